"""How SendGrid is called and what its errors mean. The SDK (sendgrid 6.12.5) is known only here."""

import http.client
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import HTTPSHandler, OpenerDirector, build_opener

from adapters._outcomes import INTERNAL, LONGEST_WAIT, Told, retry_after
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Outcome, OutcomeKind

#: Seconds a call may take; the SDK itself has no limit at all.
SECONDS = 15.0

HOST = "https://api.sendgrid.com"
EU_HOST = "https://api.eu.sendgrid.com"

#: What an error says about the members of one call; the vendor's texts may change, the statuses do not.
ERRORS: Mapping[int, Outcome] = {
    400: Outcome(OutcomeKind.REFUSED, "bad_request"),
    404: Outcome(OutcomeKind.LATER, "not_found"),
    405: Outcome(OutcomeKind.REFUSED, "method_not_allowed"),
    413: Outcome(OutcomeKind.REFUSED, "too_large"),
    415: Outcome(OutcomeKind.REFUSED, "bad_request"),
    500: INTERNAL,
}

#: First word of a path -> what the key must be allowed to do.
_SCOPES = {
    "marketing": "Marketing",
    "asm": "Suppressions > Unsubscribe Groups",
    "suppression": "Suppressions",
    "recipients": "Recipients' data erasure",
    "mail": "Mail Send",
    "scopes": "(any)",
    "user": "Mail Settings > Event Notification",
}

_READY_MADE = "application/json; charset=utf-8"


class SendGridApi:
    """One account at one host. A new SDK client for each call: its headers stick to the object and cross threads."""

    def __init__(self, settings: Mapping[str, str], seconds: float) -> None:
        self._key = settings.get("SENDGRID_API_KEY", "")
        if not self._key.strip() or not self._key.isascii():
            raise Misconfigured("SENDGRID_API_KEY is missing: make a key under Settings > API Keys and set it")
        #: Where it is called.
        self.host = (settings.get("SENDGRID_BASE_URL", "") or HOST).rstrip("/")
        if self.host not in {HOST, EU_HOST} and not _is_loopback(self.host):
            raise Misconfigured(f"SENDGRID_BASE_URL must be {HOST} or {EU_HOST} (or loopback, for the sandbox)")
        self.seconds = seconds
        logging.getLogger("python_http_client").setLevel(logging.INFO)  # its debug lines hold key and bodies

    @property
    def eu(self) -> bool:
        """The EU host knows mail and suppressions but no Marketing contacts."""
        return self.host == EU_HOST

    def get(self, *path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read."""
        return self._call("get", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any]) -> Any:
        """Start or add."""
        return self._call("post", path, body=body)

    def put(self, *path: str, body: bytes) -> Any:
        """Upsert, from JSON that is made already: a large body is serialised once."""
        return self._call("put", path, body=body)

    def patch(self, *path: str, body: Mapping[str, Any]) -> Any:
        """Change."""
        return self._call("patch", path, body=body)

    def delete(self, *path: str, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None) -> Any:
        """Remove."""
        return self._call("delete", path, body=body, query=query)

    def _call(
        self,
        verb: str,
        path: tuple[str, ...],
        body: Mapping[str, Any] | bytes | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """One call with its time limit; the JSON it answers, or `Told`, `AdapterError`, `Misconfigured`."""
        if self.eu and path[0] == "marketing":
            raise Misconfigured(
                f"SENDGRID_BASE_URL is {EU_HOST}, where SendGrid has no Marketing contacts: "
                f"use {HOST}, or take sendgrid out of BRIDGE_ADAPTERS and send from here by mail/send"
            )
        from python_http_client.exceptions import HTTPError

        told: dict[str, Any] = {"request_body": body}
        if isinstance(body, bytes):  # the SDK takes text as it is under any content type but the plain one
            told = {"request_body": body.decode(), "request_headers": {"Content-Type": _READY_MADE}}
        try:
            response = self._request(path, verb)(query_params=query, **told)
        except HTTPError as error:
            raise _error(error.status_code, error.headers, path) from None
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            heard = not isinstance(cause, (ConnectionRefusedError, socket.gaierror))
            raise AdapterError(f"sendgrid: no answer ({type(error).__name__})", maybe=heard) from None
        return _json(response.body)

    def _request(self, path: tuple[str, ...], verb: str) -> Callable[..., Any]:
        from sendgrid import SendGridAPIClient

        client = SendGridAPIClient(self._key, host=self.host).client
        client.timeout = self.seconds  # handed down to every part of the path
        for part in path:
            client = client._(quote(part, safe=""))
        carry = type(client)._make_request
        client._make_request = lambda _, request, timeout=None: carry(client, _opener(), request, timeout)
        request: Callable[..., Any] = getattr(client, verb)
        return request


@cache
def _opener() -> OpenerDirector:
    """What urllib opens lines with. The SDK makes one a call and reads all certificates of the machine for it."""
    trusted = ssl.create_default_context()
    trusted.set_alpn_protocols(["http/1.1"])  # as http.client does where it makes its own
    return build_opener(HTTPSHandler(context=trusted))


def mapping(answer: Any) -> Mapping[str, Any]:
    """An answer that must be an object."""
    if not isinstance(answer, dict):
        raise AdapterError("sendgrid: the answer has an unknown shape")
    return answer


def _json(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except ValueError:
        raise AdapterError("sendgrid: the answer is not JSON") from None


def _error(status: int, headers: Any, path: tuple[str, ...]) -> Exception:
    """The SDK's error in our words; bodies may hold addresses or be HTML, so none of them is read."""
    if status in (401, 403):
        scope = _SCOPES.get(path[0], path[0])
        return Misconfigured(f"SENDGRID_API_KEY is not accepted or may not use {scope!r}: give the key this scope")
    if status == 429:
        return AdapterError("sendgrid: too_many_requests", _wait(headers))
    if status in ERRORS:
        return Told(ERRORS[status], status)
    if status >= 500 or status == 408:
        return AdapterError("sendgrid: unavailable", maybe=status in (502, 504))
    return Told(Outcome(OutcomeKind.REFUSED, f"http_{status}"), status)


def _wait(headers: Any) -> float | None:
    """Seconds until the rate limit ends: SendGrid names a moment, a gateway before it a number of seconds."""
    told = headers or {}
    reset = str(told.get("X-RateLimit-Reset", ""))
    if reset.isascii() and reset.isdigit():
        return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT)
    return retry_after(told)


def _is_loopback(host: str) -> bool:
    parts = urlsplit(host)
    return parts.scheme in {"http", "https"} and parts.hostname in {"127.0.0.1", "localhost", "::1"}
