"""The fork server: one process that has imported everything and opened nothing, from which the others are born.

Born in some milliseconds instead of two seconds, so that thousands can be killed. It talks over one socket: a line of
JSON with a pipe's end comes in, the child's pid and a handle of it go out; the child writes a byte into the pipe when
it is ready.
"""

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from werkzeug.serving import WSGIRequestHandler, make_server

from adapters.sandbox import courier, moment
from adapters.sandbox.__main__ import webhooks_from
from adapters.sandbox.server import start
from adapters.sandbox.state import State
from bridge.bootstrap import Bridge
from bridge.jobs import dispatch
from bridge.logs import start_logging
from bridge.store import StoreAway, schema
from bridge.web.app import create_app
from tests.torture import clerk
from tests.torture.clock import Clock
from tests.torture.steps import Steps
from tests.torture.trail import Trail

#: What a process ends with when it cannot begin because the database is away; its supervisor tries again.
AWAY = 75

#: How long a job at an ESP takes where nothing holds it up.
JOB_SECONDS = 0.05

#: What a clerk ends with: everybody else lives until it is killed.
DONE = 0


class _Quiet(WSGIRequestHandler):
    """Writes no token into any log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: paths hold tokens."""


class Nursery:
    """Everything that is there before a child is born."""

    def __init__(self, line: socket.socket, config: dict[str, Any]) -> None:
        self.line, self.config = line, config
        self.folder = Path(config["folder"])
        self.clock = Clock(self.folder / "clock")
        self.bridge = Bridge.from_env(config["environment"])
        self.bridge.clock = self.clock
        self.bridge._busy_seconds = config["busy_seconds"]
        bridge = self.bridge
        _ = bridge.notices, bridge.texts, bridge.mailer, bridge.vault, bridge.transport, bridge.adapters
        create_app(bridge).test_client().get("/subscribe")  # templates are read and compiled once
        schema.head()
        import mailchimp_marketing
        import sendgrid

        self._loaded = mailchimp_marketing, sendgrid
        bridge.database.engine.dispose()  # no open file of SQLite's may go into a child: it would believe in its locks
        for made in ("database", "store", "acts"):
            vars(bridge).pop(made, None)
        self.children: set[int] = set()
        self.trail = Trail(self.folder / "trail", "nursery", self.clock)

    def run(self) -> None:
        """Bear children until the one who leads the play is gone; then end them all."""
        gc.collect()
        gc.freeze()
        asked = select.poll()
        asked.register(self.line, select.POLLIN)
        try:
            while True:
                self._bury()
                if not asked.poll(100):
                    continue
                message, ends, _flags, _address = socket.recv_fds(self.line, 65_536, 1)
                if not message:
                    return
                pid = self._bear(json.loads(message), ends[0])
                handle = os.pidfd_open(pid)  # here, where it is buried only later, however soon it dies
                socket.send_fds(self.line, [f"{pid}\n".encode()], [handle])
                os.close(handle)
                os.close(ends[0])
        finally:
            for pid in self.children:
                os.kill(pid, signal.SIGKILL)

    def _bury(self) -> None:
        for pid in list(self.children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.children.remove(pid)
                self.trail.say("ended", child=pid, code=os.waitstatus_to_exitcode(status))

    def _bear(self, order: dict[str, Any], ready: int) -> int:
        pid = os.fork()
        if pid:
            self.children.add(pid)
            return pid
        try:
            self._live(order, ready)
        except StoreAway:
            os._exit(AWAY)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)

    def _live(self, order: dict[str, Any], ready: int) -> None:
        """The child's life, from here to its kill."""
        self.line.close()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        trail = Trail(self.folder / "trail", order["name"], self.clock)
        steps = Steps(order["last"], trail)
        steps.watch()
        roles = {"web": self._web, "dispatch": self._dispatch, "sandbox": self._sandbox, "clerk": self._clerk}
        role: Callable[..., None] = roles[order["role"]]
        role(order, trail, lambda word=b"r": os.write(ready, word))

    def _open(self) -> None:
        start_logging("INFO", "text")
        bridge = self.bridge
        if bridge.database.dialect == "postgresql":
            patience = f"SET lock_timeout = '{int(self.config['busy_seconds'] * 1000)}ms'"

            @event.listens_for(bridge.database.engine, "connect")
            def _hurry(connection: Any, _record: Any) -> None:
                connection.execute(patience)
                connection.commit()

        bridge.ready()

    def _web(self, order: dict[str, Any], trail: Trail, ready: Callable[[], object]) -> None:
        """The pages, with the dispatcher inside where the seed says so."""
        self._open()
        server = make_server("127.0.0.1", order["port"], create_app(self.bridge), threaded=True, request_handler=_Quiet)
        server.daemon_threads = True
        trail.follow_stops()
        trail.follow_news()
        if order["inside"]:
            _start(self.bridge, trail)
        ready()
        server.serve_forever(0.5)

    def _dispatch(self, _order: dict[str, Any], trail: Trail, ready: Callable[[], object]) -> None:
        """A dispatcher of its own."""
        self._open()
        _start(self.bridge, trail)
        ready()
        while True:
            time.sleep(3600)

    def _clerk(self, order: dict[str, Any], trail: Trail, ready: Callable[..., object]) -> None:
        """One errand."""
        try:
            self._open()
            clerk.carry_out(self.bridge, order["errand"], trail)
        except StoreAway:
            ready(b"a")
            raise
        ready()
        os._exit(DONE)

    def _sandbox(self, order: dict[str, Any], trail: Trail, ready: Callable[[], object]) -> None:
        """Both ESPs and the mailbox, with everything they ever knew."""
        logging.disable()
        trail.follow_news()
        moment.clock = self.clock
        keys = Path(order["keys"])
        # An ESP tries for days; here some thousand times in quick succession, from the first moment.
        courier.GAPS = (0.02, 0.05, *[0.1] * 2000)
        real = State.__init__

        def hurried(state: State, *args: Any, **options: Any) -> None:
            real(state, *args, **options)
            for esp in state.esps.values():
                esp.jobs.seconds = JOB_SECONDS
                if mode := order["modes"].get(esp.name):  # its jobs are held from the first moment
                    esp.trouble.set(mode["mode"], mode.get("seconds"), mode.get("every", 2))
            state.sendgrid.search_lag(0.02)

        State.__init__ = hurried  # type: ignore[method-assign]
        start(order["port"], webhooks=webhooks_from(keys, order["bridge"]), keep=Path(order["keep"]))
        ready()
        while True:
            time.sleep(3600)


def _start(bridge: Bridge, trail: Trail) -> None:
    """A dispatcher that leaves a trail of what it does with each mail."""
    dispatch._IDLE_SECONDS = 0.05
    trail.follow_mails()
    trail.follow_jobs()
    dispatch.Dispatcher(bridge).start()


if __name__ == "__main__":
    Nursery(socket.socket(fileno=int(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text())).run()
