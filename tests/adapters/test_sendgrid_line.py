"""SendGrid over TLS: the machine's certificates are read once, and still say whom the key may travel to."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters._sendgrid_api import _opener
from adapters.sendgrid import SendGrid
from bench import tls
from bridge.adapter import AdapterError
from bridge.vocabulary import DONE
from tests.adapters.test_sendgrid import KEY, PLACES


class _Caller(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Nobody is here, and everything is taken."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{"result":{}}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Account(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller who does not trust us says so."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tmp_path / "sendgrid.pem"


@pytest.fixture
def adapter(certificate: Path) -> Iterator[SendGrid]:
    _opener.cache_clear()  # a process reads them once
    with _Account(("127.0.0.1", 0), _Caller) as server:
        context = tls.server(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        host = f"https://localhost:{server.server_port}"
        yield SendGrid({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": host}, PLACES, {})
        server.shutdown()
        thread.join()
    _opener.cache_clear()


def test_certificates_are_read_once_for_many_calls(
    adapter: SendGrid, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK reads them at each call, which is dearer than all the rest of it."""
    read: list[object] = []
    load = ssl.SSLContext.load_default_certs
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *told: (read.append(told), load(*told)))
    with tls.trusted(certificate):
        assert [adapter.erase([f"p{number}@krant.example"]) for number in range(3)] == [[DONE]] * 3
    assert len(read) == 1


def test_the_key_travels_to_nobody_who_cannot_prove_the_name(adapter: SendGrid) -> None:
    with pytest.raises(AdapterError, match="no answer"):
        adapter.erase(["p1@krant.example"])
