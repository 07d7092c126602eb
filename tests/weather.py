"""Bad weather for the store: away, locked by somebody else, or full. Real databases, nothing is mocked."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event

from tests.conftest import House


@contextmanager
def away(house: House) -> Iterator[None]:
    """The database cannot be reached: its file is gone, or its server lets nobody in."""
    engine = house.bridge.database.engine
    engine.dispose()
    if house.bridge.database.dialect == "sqlite":
        path = _path(house)
        kept = path.rename(path.with_name("kept.db"))
        path.mkdir()
        try:
            yield
        finally:
            engine.dispose()
            path.rmdir()
            kept.rename(path)
        return
    server = engine.url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {engine.url.database} ALLOW_CONNECTIONS false")  # type: ignore[call-overload]
        try:
            yield
        finally:
            db.execute(f"ALTER DATABASE {engine.url.database} ALLOW_CONNECTIONS true")  # type: ignore[call-overload]


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Another program holds the SQLite file and does not let go."""
    other = sqlite3.connect(_path(house), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def full(house: House) -> Iterator[None]:
    """The SQLite file may not grow by a single page."""
    engine = house.bridge.database.engine
    engine.dispose()

    def no_more(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # SQLite makes this the number of pages there are

    event.listen(engine, "connect", no_more)
    yield
    event.remove(engine, "connect", no_more)
    engine.dispose()


@contextmanager
def broken(house: House) -> Iterator[None]:
    """A table is missing: the database answers, but no statement of ours about events can work."""
    _rename(house, "events", "events_elsewhere")
    yield
    _rename(house, "events_elsewhere", "events")


def _rename(house: House, old: str, new: str) -> None:
    with house.bridge.database.engine.begin() as db:
        db.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


def _path(house: House) -> Path:
    return Path(str(house.bridge.database.engine.url.database))
