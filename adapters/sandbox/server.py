"""The sandbox as a server: HTTP for ESPs, control and pages, SMTP for the mailbox."""

import socket
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, abort, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from adapters.sandbox.control import control
from adapters.sandbox.courier import Webhooks
from adapters.sandbox.esp import Judge
from adapters.sandbox.keep import Keeper
from adapters.sandbox.mailbox import SmtpServer
from adapters.sandbox.pages import pages
from adapters.sandbox.state import State

#: Largest body any call may have.
LARGEST = 32 * 1024 * 1024


class _Quiet(WSGIRequestHandler):
    """Writes no address into any log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: paths hold addresses."""


@dataclass
class Running:
    """A sandbox that runs in this process."""

    url: str
    smtp_port: int
    state: State
    _http: BaseWSGIServer
    _smtp: SmtpServer
    _thread: threading.Thread

    def stop(self) -> None:
        """End it; calls that are being held are let go."""
        for esp in self.state.esps.values():
            esp.change_mode("up")
        self._http.shutdown()
        self._thread.join(timeout=10)
        self._http.server_close()
        self._smtp.stop()
        self.state.courier.stop()
        self.state.keeper.close()


def neighbours_only() -> None:
    """Pages of other sites may neither press buttons here nor read mails by giving this machine a name of theirs."""
    name = urlsplit(f"//{request.host}").hostname or ""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and request.method == "POST":
        abort(403)
    if "." in name and not name.replace(".", "").isdigit() and not name.endswith((".local", ".internal", ".localhost")):
        abort(403)


def make_app(state: State) -> Flask:
    """The web side."""
    app = Flask("adapters.sandbox")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST
    app.config["MAX_FORM_MEMORY_SIZE"] = LARGEST
    app.before_request(neighbours_only)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    for esp in state.esps.values():
        esp.register(app)
    app.register_blueprint(control(state))
    app.register_blueprint(pages(state))
    return app


def start(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    webhooks: Webhooks | None = None,
    judge: Judge | None = None,
    smtp_port: int | None = None,
    keep: Path | None = None,
) -> Running:
    """Start in background threads. Port 0 takes free ports; else SMTP is on the next port unless told.

    With `keep` everything is in that file as well, and comes back from it.
    """
    with closing(socket.create_server((host, port))) as line:
        port_there = line.getsockname()[1]
        state = State(webhooks or Webhooks(), judge, Keeper(keep))
        try:
            smtp = SmtpServer(state.mailbox, host, smtp_port if smtp_port is not None else port + 1 if port else 0)
        except OSError:
            state.courier.stop()
            raise
        http = make_server(
            host, port_there, make_app(state), threaded=True, request_handler=_Quiet, fd=line.fileno()
        )  # takes a copy of the line
    smtp.start()
    state.smtp_port = smtp.port
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), name="sandbox-http", daemon=True)
    thread.start()
    return Running(f"http://{host}:{port_there}", smtp.port, state, http, smtp, thread)
