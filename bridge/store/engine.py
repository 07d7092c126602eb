"""Connections and transactions, the same on SQLite and PostgreSQL."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bridge.store.errors import StoreAway
from bridge.store.group import Group

T = TypeVar("T")

_BUSY_SECONDS = 5.0
_READ_ONLY = "25006"  # PostgreSQL on a standby, or while it changes places with one


class Database:
    """One database. Writers in this process take turns, so that none of them waits in SQLite's busy handler."""

    def __init__(self, url: str, busy_seconds: float = _BUSY_SECONDS) -> None:
        address = make_url(url)
        self.dialect = address.get_backend_name()
        if self.dialect == "sqlite":
            self.engine = _sqlite(url, busy_seconds)
        elif self.dialect == "postgresql":
            self.engine = create_engine(
                url,
                hide_parameters=True,  # an error's text must not carry what was written (MIN-03)
                pool_pre_ping=True,
                pool_size=8,
                max_overflow=8,
                pool_timeout=busy_seconds,
                connect_args={
                    "connect_timeout": max(2, int(busy_seconds)),
                    "options": "-c lock_timeout=10s -c timezone=UTC",
                },
            )
        else:
            raise ValueError(
                f"BRIDGE_DATABASE_URL: {self.dialect} is not supported; use sqlite:/// or postgresql+psycopg://"
            )
        self._turn = threading.Lock()
        self._patience = busy_seconds
        self._group = Group(self.writing, busy_seconds)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Carry out one short piece of work and commit it before this returns: all of it or nothing.

        On SQLite the pieces that wait together share one transaction, so that many readers at once pay for one sync of
        the disk (decision 22). Raises what the work raises, and `StoreAway` when the database cannot.
        """
        if self.dialect == "sqlite":
            return self._group.write(lambda db: self._do(work, db))
        with self.writing() as db:
            return work(db)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes: all of it or nothing. Raises `StoreAway` when the database cannot."""
        if self.dialect != "sqlite":
            with self._guarded(), self.engine.begin() as db:
                yield db
            return
        if not self._turn.acquire(timeout=self._patience):
            raise StoreAway("another writer holds the database")
        try:
            with self._guarded(), self.engine.connect().execution_options(immediate=True) as db, db.begin():
                yield db
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view for reads: what others write meanwhile is not seen by halves."""
        view: dict[str, Any] = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self._guarded(), self.engine.connect().execution_options(**view) as db, db.begin():
            yield db

    def _do(self, work: Callable[[Connection], T], db: Connection) -> T:
        with self._guarded():
            return work(db)

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """A connection for a few reads, each of which sees what was committed when it began: the cheapest look."""
        view: dict[str, Any] = {} if self.dialect == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        with self._guarded(), self.engine.connect().execution_options(**view) as db:
            yield db

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StoreAway(_reason(error)) from None
        except DBAPIError as error:
            if error.connection_invalidated or type(error) is DatabaseError:  # the file is damaged, or no database
                raise StoreAway("the connection was lost") from None
            if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
                raise StoreAway("the database takes no writes") from None
            raise


def _reason(error: Exception) -> str:
    """The driver's class only: its text may quote parameters."""
    cause = getattr(error, "orig", None) or error
    return f"database: {type(cause).__name__}"


def _write_ahead(connection: Any, patience: float) -> None:
    """Switch to WAL. SQLite waits for nobody here: of two programs that open a new file together one must ask again."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite(url: str, busy_seconds: float) -> Engine:
    waits = {"timeout": busy_seconds, "check_same_thread": False}
    engine = create_engine(url, connect_args=waits, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        _write_ahead(connection, busy_seconds)
        for pragma in (
            "synchronous=FULL",  # a yes or no that was answered survives a power cut
            "foreign_keys=ON",
            "secure_delete=ON",  # erased means overwritten
            "recursive_triggers=ON",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("immediate") else "BEGIN")

    return engine
