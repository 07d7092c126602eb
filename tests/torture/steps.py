"""Where a process can die: each step it takes is counted, and at one of them it is killed as by a power cut.

A step is a statement to the database, a commit and what follows it, a write to or a read from a socket, an fsync.
So the seed says after how many steps, and every place between two effects comes up in the long run.
"""

import os
import signal
import socket
import sqlite3
import sqlite3.dbapi2
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from adapters.sandbox.keep import Keeper
from tests.torture.trail import Trail


class Steps:
    """Counts the steps of this process; at `last` it dies. 0 lives for ever."""

    def __init__(self, last: int, trail: Trail) -> None:
        self.last, self.trail = last, trail
        self._taken = 0
        self._lock = threading.Lock()

    def __call__(self, where: str) -> None:
        """One more step."""
        if not self.last:
            return
        with self._lock:
            self._taken += 1
            if self._taken == self.last:
                self.trail.say("dies", where=where)
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Count from now on. Only in a process that was just forked."""
        for name in ("execute", "executemany"):
            self._around(psycopg.Cursor, name, "database statement")
        for name in ("commit", "rollback"):
            self._around(psycopg.Connection, name, f"database {name}")
        self._watch_sqlite()
        for name in ("sendall", "send", "recv_into", "connect"):
            self._around(socket.socket, name, f"socket {name}")
        for name in ("fsync", "ftruncate"):
            self._around(os, name, f"file {name}")
        self._around(Keeper, "write", "sandbox keeps")

    def _watch_sqlite(self) -> None:
        """SQLite's own classes are closed; connections are made of these instead."""

        class Cursor(sqlite3.Cursor):
            """Counts its statements."""

        class Connection(sqlite3.Connection):
            """Counts its statements and commits."""

            def cursor(self, factory: Any = Cursor) -> Any:
                return super().cursor(factory)

        for owner, names in ((Cursor, ("execute", "executemany")), (Connection, ("execute", "commit", "rollback"))):
            for name in names:
                self._around(owner, name, f"database {name}")
        sqlite3.dbapi2.connect = partial(sqlite3.dbapi2.connect, factory=Connection)  # type: ignore[assignment]

    def _around(self, owner: Any, name: str, where: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            self(f"before {where}")
            answer = real(*args, **options)
            self(f"after {where}")
            return answer

        setattr(owner, name, counted)
