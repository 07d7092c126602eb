"""Two ESPs that answer what a test tells them to, and note and judge everything they are asked."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.vocabulary import Member
from tests.adapters import judge

PAYLOADS = Path(__file__).parent / "payloads"

AN = "an.vandenberg@krant.example"
BRAM = "bram@krant.example"
CARLA = "carla+news@krant.example"
LINK = "https://prefs.krant.example/p/Q2FybGE"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line that a check was not made."""
    if judge.MISSING:
        terminalreporter.write_line("official API documents not found: form not judged")


@dataclass
class Call:
    """One request an adapter made."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass
class Answer:
    """What the ESP answers: a value as JSON, or bytes as they are; an exception is a broken line."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = "application/json; charset=utf-8"

    @property
    def raw(self) -> bytes:
        """The body on the wire."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


class Desk:
    """Answers by method and path: the next of those told, the last one for ever."""

    def __init__(self, unknown: Answer) -> None:
        self.calls: list[Call] = []
        self.complaints: list[str] = []
        self._answers: dict[tuple[str, str], list[Any]] = {}
        self._unknown = unknown

    def on(self, method: str, pattern: str, *answers: Answer | Exception | Callable[[Call], Answer]) -> None:
        """What to answer to requests whose whole path fits."""
        self._answers[method, pattern] = list(answers)

    def answer(self, call: Call) -> Answer | Exception:
        """Note the call and find its answer."""
        self.calls.append(call)
        for (method, pattern), answers in self._answers.items():
            if method == call.method and re.fullmatch(pattern, call.path):
                told = answers.pop(0) if len(answers) > 1 else answers[0]
                return told(call) if callable(told) else told
        return self._unknown

    def made(self, method: str, pattern: str = ".*") -> list[Call]:
        """The calls that fit."""
        return [call for call in self.calls if call.method == method and re.fullmatch(pattern, call.path)]


NOT_THERE = {"title": "Resource Not Found", "status": 404, "detail": "The requested resource could not be found."}


@pytest.fixture
def mailchimp() -> Iterator[Desk]:
    """Mailchimp at its own address, answered by `responses`."""
    desk = Desk(Answer(404, NOT_THERE, content_type="application/problem+json; charset=utf-8"))

    def callback(request: Any) -> Any:
        if "/files/" not in request.url:  # results are fetched by plain address
            desk.complaints += filter(None, [judge.complaint_about_mailchimp(request)])
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = json.loads(request.body) if request.body else None
        told = desk.answer(Call(request.method, parts.path.removeprefix("/3.0"), query, body, dict(request.headers)))
        if isinstance(told, Exception):
            return told
        headers = told.headers | ({"Content-Type": told.content_type} if told.content_type else {})
        return told.status, headers, told.raw

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            address = re.compile(r"https://us21\.api\.mailchimp\.com/.*")
            mock.add_callback(method, address, callback=callback, content_type=None)
        yield desk
    assert desk.complaints == []


@pytest.fixture
def sendgrid(httpserver: HTTPServer) -> Iterator[Desk]:
    """SendGrid on a port of this machine (its SDK does not use `requests`)."""
    desk = Desk(Answer(404, {"errors": [{"message": "not found"}]}))

    def handler(request: Request) -> Response:
        if request.path.startswith("/v3"):  # files are fetched by plain address
            desk.complaints += filter(None, [judge.complaint_about_sendgrid(request)])
        body = json.loads(request.data) if request.data else None
        path = request.path.removeprefix("/v3")
        told = desk.answer(Call(request.method, path, request.args.to_dict(), body, dict(request.headers)))
        assert isinstance(told, Answer)
        return Response(told.raw, told.status, told.headers, content_type=told.content_type)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(handler)
    yield desk
    assert desk.complaints == []


@pytest.fixture
def sendgrid_url(httpserver: HTTPServer) -> str:
    """Where that SendGrid is."""
    return httpserver.url_for("").rstrip("/")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes a connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def an(**about: Any) -> Member:
    """An, who reads the newsletter."""
    told: dict[str, Any] = {"email": AN, "language": "nl", "on": frozenset({"newsletter"}), "link": LINK}
    told |= about
    if told.get("fresh") is True:  # a yes for all that is on
        told["fresh"] = told["on"]
    return Member(**told)


def payload(name: str) -> bytes:
    """A recorded call, as bytes."""
    return (PAYLOADS / name).read_bytes()
