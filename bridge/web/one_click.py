"""The mail program's one click before Flask: thousands come in the minutes after a mailing (RFC 8058, WDR-10)."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Response

from bridge.bootstrap import Bridge
from bridge.vocabulary import Method
from bridge.web.watch import ROUTE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = "/u/"
_RULE = "/u/<token>"
_ANSWER = "Unsubscribed.\n"
#: Far more than a mail program posts.
_MOST_BYTES = 4096


def answer() -> Response:
    """What a mail program is told, the same on both roads."""
    return Response(_ANSWER, mimetype="text/plain")


class OneClick:
    """Stops whom a plain one-click POST means. Whatever is odd about it, or goes wrong, is Flask's.

    A click that Flask repeats is no second event (`is_news`), so that this road needs no errors of its own.
    """

    def __init__(self, application: "WSGIApplication", house: Bridge, headers: Callable[[Response], Response]) -> None:
        self._application, self._house = application, house
        told = headers(answer())
        told.headers["Content-Length"] = str(len(_ANSWER))
        self._headers = list(told.headers)
        self._body = _ANSWER.encode()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """One request."""
        token = _token(environ)
        if token and self._stopped(token, environ):
            environ[ROUTE] = _RULE
            start_response("200 OK", list(self._headers))
            return [self._body]
        return self._application(environ, start_response)

    def _stopped(self, token: str, environ: dict[str, Any]) -> bool:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = BytesIO(body)
        if b"scope" in body:
            return False  # a button of our page
        try:
            self._house.acts.stop(token, Method.ONE_CLICK, everything=None)
        except Exception:  # Flask meets it again, answers and logs it
            return False
        return True


def _token(environ: dict[str, Any]) -> str:
    """The link of a plain one-click POST; empty for all else."""
    path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH") or ""
    token: str = path[len(_PATH) :]
    plain = environ["REQUEST_METHOD"] == "POST" and path.startswith(_PATH) and "/" not in token
    return token if plain and length.isascii() and length.isdigit() and int(length) <= _MOST_BYTES else ""
