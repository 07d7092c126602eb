"""For the demo's pages only: what the store knows of a reader, told on loopback to whoever has the address."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bridge import evidence
from bridge.bootstrap import Bridge
from bridge.store import StoreAway

#: Most bytes of a question.
_MOST = 2000


@contextmanager
def timeline(bridge: Bridge) -> Iterator[str]:
    """Answer questions while the block lasts; gives the address, which nobody can guess."""
    secret = secrets.token_urlsafe(24)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(bridge, f"/{secret}"))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="timeline", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{secret}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(bridge: Bridge, path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """What is known of the address in the body."""
            if not secrets.compare_digest(self.path.encode(), path.encode()):
                self.send_error(404)
                return
            length = self.headers.get("Content-Length", "")
            question = self.rfile.read(min(int(length), _MOST)) if length.isdigit() else b""
            try:
                answer = _known(bridge, str(json.loads(question)["email"]))
            except (ValueError, KeyError, TypeError):
                self.send_error(400)
                return
            except StoreAway:
                self.send_error(503)
                return
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: it is about people."""

    return Handler


def _known(bridge: Bridge, email: str) -> dict[str, Any]:
    found = evidence.look(bridge, email)
    if found is None or found.person is None:
        purposes = {purpose: bridge.store.may_mail(email, purpose) for purpose in bridge.policy.purposes}
        stops = "; ".join(f"{purpose}: {', '.join(answer.why)}" for purpose, answer in purposes.items())
        return {"known": False, "stops": stops}
    return {"known": True, **evidence.as_data(bridge, found)}
