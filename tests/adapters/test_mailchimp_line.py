"""The line on which batches are begun and looked at: one for many calls, checked like any other, left when it is old.

A server of its own, for only a real one shows how many lines there were.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters import _mailchimp_api
from adapters.mailchimp import Mailchimp
from bench import tls
from bridge.adapter import AdapterError
from bridge.vocabulary import Member, OutcomeKind
from tests.adapters.conftest import an
from tests.adapters.test_mailchimp import BATCH, PLACES, SETTINGS


class Account(ThreadingHTTPServer):
    """Over TLS; counts the lines on which somebody spoke, and hangs up after each answer where it is told to."""

    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Caller)
        self.socket = tls.server(certificate).wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.lines: set[object] = set()
        self.cookies: list[str] = []
        self.hangs_up = False
        self.hung_up = threading.Semaphore(0)

    def shutdown_request(self, request: object) -> None:
        """Hang up."""
        super().shutdown_request(request)  # type: ignore[arg-type]  # whatever socketserver made
        self.hung_up.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller who does not trust us says so."""


class _Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        assert isinstance(self.server, Account)
        self.server.lines.add(self.client_address)
        self.server.cookies += self.headers.get_all("Cookie", [])
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{"id":"%b","status":"started"}' % BATCH.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "seen=1")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.server.hangs_up  # without a word before

    do_GET = do_POST = _answer  # noqa: N815  (http.server's names)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tmp_path / "mailchimp.pem"


@pytest.fixture
def account(certificate: Path) -> Iterator[Account]:
    with Account(certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def adapter(account: Account) -> Mailchimp:
    return Mailchimp(SETTINGS | {"MAILCHIMP_BASE_URL": f"https://127.0.0.1:{account.server_port}/3.0"}, PLACES, {})


def crowd() -> list[Member]:
    """So many that they go by a batch."""
    return [an(email=f"p{number}@krant.example") for number in range(25)]


def begin_and_look(adapter: Mailchimp) -> None:
    """Two calls."""
    outcomes = [*adapter.put(crowd()), *adapter.follow(BATCH, crowd())]
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.PENDING}


def test_batches_share_one_line_and_keep_no_cookies(adapter: Mailchimp, account: Account, certificate: Path) -> None:
    with tls.trusted(certificate):
        begin_and_look(adapter)
        begin_and_look(adapter)
    assert (len(account.lines), account.cookies) == (1, [])


def test_a_line_that_was_silent_for_long_is_not_spoken_on(
    adapter: Mailchimp, account: Account, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ESP-06: what stands between may have forgotten it, and would swallow the call."""
    monkeypatch.setattr(_mailchimp_api, "_IDLE", 0.0)
    with tls.trusted(certificate):
        begin_and_look(adapter)
    assert len(account.lines) == 2


def test_a_line_the_other_end_closed_is_opened_anew(adapter: Mailchimp, account: Account, certificate: Path) -> None:
    """ESP-06: hung up after an answer, nothing is lost by it."""
    account.hangs_up = True
    with tls.trusted(certificate):
        for _ in range(3):
            assert adapter.put(crowd())[0].kind is OutcomeKind.PENDING
            assert account.hung_up.acquire(timeout=10)
    assert len(account.lines) == 3


def test_the_key_travels_to_nobody_who_cannot_prove_the_name(adapter: Mailchimp, account: Account) -> None:
    """No certificate we trust: the call never went out, and no job can have begun."""
    with pytest.raises(AdapterError) as caught:
        adapter.put(crowd())
    assert not caught.value.maybe
    assert not account.lines
