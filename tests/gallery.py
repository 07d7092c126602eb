"""Every page and mail in every state and language, on one shelf: what checks eyes, hands and sizes, and the pictures.

A new page is one line of `ROUTES` here and its states in `tests/test_templates.py`; tests see to it that both are there.
"""

import gzip
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from flask import Flask, Response, send_file

from bridge.texts import TEMPLATES, Texts, palette
from tests.browser import serving
from tests.test_templates import ACCENT, COMMON, LANGUAGES, MAILS, NOON, PAGES

#: What a reader may open, and the pages that may answer.
ROUTES = {
    "/subscribe": {"subscribe"},
    "/subscribe/code": {"code"},
    "/confirm/<token>": {"confirm", "confirmed", "confirm_late"},
    "/question/<token>": {"question", "confirmed", "confirm_late"},
    "/u/<token>": {"unsubscribe", "unsubscribed"},
    "/preferences": {"link", "link_sent"},
    "/preferences/<token>": {"preferences"},
    "/my-data/<token>": {"my_data", "erase", "erased", "move", "moved", "move_late"},
    "/requests/<token>": {"request"},
    "/guardian/<token>": {"guardian"},
    "/of-age/<token>": {"of_age", "still_a_child"},
    "/receipt": {"receipt"},
    "/accessibility": {"accessibility"},
    "/privacy": {"privacy"},
    "/privacy/<version>": {"privacy"},
    "/notices/<purpose>/<int:version>/<spoken>": {"notice"},
}
#: Pages that only answer a form, or any address.
ANSWERS = {"asked", "thanks", "error"}
#: Addresses that show no page: files, and words for programs.
NO_PAGES = {
    *(
        "/style.css",
        "/favicon.svg",
        "/favicon.ico",
        "/logo",
        "/confirm.js",
        "/sign-up.js",
        "/embed.js",
        "/embed/<channel>",
        "/embed/<channel>/task",
    ),
    *("/assets/<channel>", "/samples/<purpose>/<spoken>", "/preferences/<token>/receipts"),
    *("/healthz", "/readyz", "/metrics"),
}


#: What the mail is told in which a department gets its report: with something pressing, and without.
COVERS: list[dict[str, object]] = [
    {"title": "Report for management", "made": NOON, "pressing": pressing, "sender_name": "De Krant"}
    | {
        "postal_address": "Kaaistraat 1\n1000 Brussels",
        "unsubscribe_url": None,
        "preferences_url": None,
        "statement": None,
    }
    for pressing in ([], ["A breach must be told.", "A request is overdue."])
]


@dataclass(frozen=True)
class Sheet:
    """One page or mail in one state and language."""

    kind: str
    name: str
    number: int
    language: str

    @property
    def path(self) -> str:
        """Where the gallery shows it."""
        return f"/{self.kind}/{self.language}/{self.name}/{self.number}"

    @property
    def title(self) -> str:
        """Its name in a list."""
        return f"{self.name} {self.number} ({self.language})"

    @property
    def html(self) -> str:
        """What a browser is given."""
        if self.kind == "mail":
            return _texts().render(f"email/{self.name}/body.html", self.language, **MAILS[self.name][self.number])
        if self.kind == "cover":
            return _texts().render("staff/report.html", self.language, **COVERS[self.number])
        return _texts().render(f"pages/{self.name}.html", self.language, **PAGES[self.name][self.number])


def pages(*languages: str) -> Iterator[Sheet]:
    """Every page in every state."""
    for language in languages:
        for name, states in PAGES.items():
            yield from (Sheet("page", name, number, language) for number in range(len(states)))


def mails(*languages: str) -> Iterator[Sheet]:
    """Every mail in every state."""
    for language in languages:
        for name, states in MAILS.items():
            yield from (Sheet("mail", name, number, language) for number in range(len(states)))


def covers(*languages: str) -> Iterator[Sheet]:
    """The mail in which a report leaves, in every state."""
    for language in languages:
        yield from (Sheet("cover", "report", number, language) for number in range(len(COVERS)))


@contextmanager
def hung() -> Iterator[str]:
    """The gallery on a port of loopback; gives its address."""
    app = Flask("gallery", static_folder=None)
    style = gzip.compress(((TEMPLATES / "static" / "style.css").read_text("utf-8") + palette(ACCENT)).encode())

    @app.get("/style.css")
    def stylesheet() -> Response:
        return Response(style, mimetype="text/css", headers={"Content-Encoding": "gzip"})

    @app.get("/favicon.svg")
    def icon() -> Response:
        return send_file(TEMPLATES / "static" / "favicon.svg")

    @app.get("/favicon.ico")
    def no_icon() -> Response:
        return Response(status=204)  # a mail names none, so a browser asks for this

    @app.get("/<name>.js")
    def script(name: str) -> Response:
        return Response("", mimetype="text/javascript")  # here a page only stands still

    @app.get("/<kind>/<language>/<name>/<int:number>")
    def sheet(kind: str, language: str, name: str, number: int) -> str:
        return Sheet(kind, name, number, language).html

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(app, port):
        yield f"http://127.0.0.1:{port}"


@cache
def _texts() -> Texts:
    return Texts(LANGUAGES, ZoneInfo("Europe/Brussels"), common=COMMON)
