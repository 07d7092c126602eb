"""Connections and transactions, the same on SQLite and PostgreSQL."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bridge.store.errors import StoreAway, StoreBroken, StoreBusy
from bridge.store.group import Group
from bridge.store.rest import Rest
from bridge.store.sql import Hand
from bridge.store.turns import Turns

T = TypeVar("T")

_BUSY_SECONDS = 5.0

#: Rows changed, after which the log is copied into the file: about a thousand pages of it.
_CLEARED_EVERY = 400

#: Where many rows are changed at once, only after so many transactions of that kind: each writes all over the indexes.
_BULK = 4

#: So long it is waited for a moment without a writer.
_GIVES_WAY = 0.25  # seconds; for a writer that never stops, bulk work goes on all the same
_SHORT_WAIT = 0.25

#: When a machine is gone without a word, a click waits for it so long: in ms until what was sent is taken, in seconds
#: until its silence is asked about, and then again, so often.
_LINE = {
    "connect_timeout": 3,  # seconds
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}

_LOCKED = "55P03"  # PostgreSQL waited for `lock_timeout`
_READ_ONLY = "25006"  # PostgreSQL on a standby, or while it changes places with one


class Database:
    """One database. Writers in this process take turns, so that none of them waits in SQLite's busy handler."""

    def __init__(self, url: str, busy_seconds: float = _BUSY_SECONDS, connections: int = 0) -> None:
        """`connections` is the most that PostgreSQL is asked for; 0 = as many as a server with threads needs."""
        address = make_url(url)
        self.dialect = address.get_backend_name()
        self.rest = Rest()
        if self.dialect == "sqlite":
            self.engine = _sqlite(url, busy_seconds)
        elif self.dialect == "postgresql":
            self.engine = create_engine(
                url,
                hide_parameters=True,  # an error's text must not carry what was written (MIN-03)
                pool_pre_ping=True,
                pool_size=connections or 8,
                max_overflow=0 if connections else 16,
                pool_timeout=busy_seconds,
                use_native_hstore=False,  # of which we have none: a start does not look for it
                connect_args={
                    **{name: value for name, value in _LINE.items() if name not in address.query},
                    "options": "-c lock_timeout=10s -c timezone=UTC",
                },
            )
            event.listen(self.engine, "do_connect", self._connect)
        else:
            raise ValueError(
                f"BRIDGE_DATABASE_URL: {self.dialect} is not supported; use sqlite:/// or postgresql+psycopg://"
            )
        assert self.engine.dialect.dbapi is not None  # noqa: S101 - both drivers were just loaded
        self._driver: Any = self.engine.dialect.dbapi
        self._turns = Turns((address.database or "") if self.dialect == "sqlite" else "", busy_seconds)
        self._patience = busy_seconds
        self._changed = 0  # rows since the log was cleared last
        self._most = 0  # rows that one transaction since then changed
        self._group = Group(self._by_hand, busy_seconds)
        #: Why nothing may be read or written here for now; empty = it may.
        self.closed = ""
        self._looks: int | None = None  # the thread that looks whether it may be opened

    @contextmanager
    def inspected(self) -> Iterator[None]:
        """This thread alone may read and write meanwhile, to see whether it may be opened. For one thread at a time."""
        self._looks = threading.get_ident()
        try:
            yield
        finally:
            self._looks = None

    def _refuse(self) -> None:
        if self.closed and self._looks != threading.get_ident():
            raise StoreAway(self.closed)

    def _connect(self, dialect: Any, _record: object, values: Any, names: Any) -> Any:
        """Connect as SQLAlchemy would; where nothing answers, nobody else waits for that for a while."""
        if self.rest.refuses():
            raise StoreAway("the database does not answer")
        begun = self.rest.clock()
        try:
            made = dialect.connect(*values, **names)
        except self._driver.Error:
            self.rest.failed(begun)
            raise
        self.rest.answered()
        return made

    def write(self, work: Callable[[Hand], T]) -> T:
        """Carry out one short piece of work and commit it before this returns: all of it or nothing.

        On SQLite the pieces that wait together share one transaction, so that many readers at once pay for one sync of
        the disk (decision 22). Raises what the work raises, and `StoreAway` when the database cannot.
        """
        self._refuse()  # here too: another thread may carry it out
        if self.dialect == "sqlite":
            return self._group.write(lambda hand: self._do(work, hand))
        with self._by_hand() as hand:
            return work(hand)

    def _do(self, work: Callable[[Hand], T], hand: Hand) -> T:
        with self._guarded():
            return work(hand)

    @contextmanager
    def _by_hand(self) -> Iterator[Hand]:
        """One transaction that writes, on the driver's own connection."""
        with self._own_turn(), self._guarded():
            connection = self.engine.raw_connection()
            try:
                hand = Hand(connection.cursor(), self.dialect, writes=True)
                with self._counted(connection.dbapi_connection):
                    if self.dialect == "sqlite":
                        hand.cursor.execute("BEGIN IMMEDIATE")
                    yield hand
                    connection.commit()
            finally:
                connection.close()  # the pool takes back what was not committed

    @contextmanager
    def looking(self) -> Iterator[Hand]:
        """A few reads, each of which sees what was committed when it began: the cheapest look."""
        with self._guarded():
            connection = self.engine.raw_connection()
            try:
                if self.dialect == "sqlite":
                    yield Hand(connection.cursor(), self.dialect)
                    return
                driver: Any = connection.dbapi_connection
                driver.autocommit = True
                try:
                    yield Hand(driver.cursor(), self.dialect)
                finally:
                    if not driver.closed:
                        driver.autocommit = False
            finally:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes: all of it or nothing. Raises `StoreAway` when the database cannot."""
        made = self.engine.connect
        with (
            self._own_turn(),
            self._guarded(),
            made().execution_options(immediate=True) as db,
            self._counted(db.connection.dbapi_connection),
            db.begin(),
        ):
            yield db

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Statements that each stand by themselves, for what PostgreSQL does in no transaction."""
        with self._guarded(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            yield db

    @contextmanager
    def glancing(self) -> Iterator[Connection]:
        """One read by itself, for whoever only asks whether there is work: PostgreSQL is told of no transaction."""
        with self.reading() if self.dialect == "sqlite" else self.autocommit() as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view for reads: what others write meanwhile is not seen by halves."""
        view: dict[str, Any] = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self._guarded(), self.engine.connect().execution_options(**view) as db, db.begin():
            yield db

    def forget_log(self) -> bool:
        """Empty SQLite's log, in which pages still stand as they were before something was erased (SUP-04).

        False while somebody still reads from it, or the database is away: what was erased is erased all the same, and
        nobody waits for this. The dispatcher asks again each minute.
        """
        if self.dialect != "sqlite":
            return True
        try:
            return self._empty_log()
        except StoreAway:
            return False

    def _empty_log(self) -> bool:
        with self._turns.clearing(_SHORT_WAIT) as alone:
            return alone and self._checkpoint("TRUNCATE")

    def _checkpoint(self, kind: str) -> bool:
        """Copy the log into the file, while nobody writes; whether all of it was copied."""
        with self._guarded():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA busy_timeout = 0")
                try:
                    ((busy, _pages, _moved),) = cursor.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
                finally:
                    cursor.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            finally:
                connection.close()
        self._changed = self._most = 0
        return not busy

    def give_way(self) -> None:
        """Let whoever waits to write here go first, for a moment at most: for bulk work, before each of its chunks.

        Writers hold their turn together from when they begin to wait, so having it alone means that nobody waits.
        """
        with self._turns.clearing(_GIVES_WAY):
            pass

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """On SQLite writers take turns, so that none waits in its busy handler, and clear the log in between."""
        if self.dialect != "sqlite":
            yield
            return
        every = max(_CLEARED_EVERY, _BULK * self._most)
        if self._changed >= every:  # before, and not after: whoever has written is answered at once
            # Where others write all the time it is tried again, and waited for at last.
            wait = _SHORT_WAIT if self._changed >= 10 * every else 0.0
            with suppress(StoreAway, StoreBroken), self._turns.clearing(wait) as alone:
                if alone:
                    self._checkpoint("PASSIVE")
        with self._turns.writing():
            yield

    @contextmanager
    def _counted(self, connection: Any) -> Iterator[None]:
        """Count the rows that a transaction changes: SQLite itself clears its log at a time that suits nobody."""
        if self.dialect != "sqlite":
            yield
            return
        before = connection.total_changes
        try:
            yield
        finally:
            changed = connection.total_changes - before
            self._changed, self._most = self._changed + changed, max(self._most, changed)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        self._refuse()
        try:
            yield
        except PoolTimeout as error:
            raise StoreAway(_reason(error)) from None
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StoreAway("the connection was lost") from None
            self._judge(error.orig)
            raise
        except self._driver.Error as error:
            self._judge(error)
            raise StoreBroken(_reason(error)) from None

    def _judge(self, error: Any) -> None:
        """Raise `StoreAway` where the database cannot just now; return where a statement of ours is at fault."""
        driver = self._driver
        if getattr(error, "sqlstate", None) == _LOCKED:
            raise StoreBusy(_reason(error)) from None
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:  # no such table, no statement at all
            return
        if isinstance(error, driver.OperationalError | driver.InterfaceError):
            raise StoreAway(_reason(error)) from None
        if type(error) is driver.DatabaseError:  # the file is damaged, or no database
            raise StoreAway("the connection was lost") from None
        if getattr(error, "sqlstate", None) == _READ_ONLY:
            self.engine.dispose()  # by now its name may lead to the one that does; this one would answer for ever
            raise StoreAway("the database takes no writes") from None


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
    # The connection used last first: SQLite throws away what it remembers of the file where another one has written.
    engine = create_engine(url, connect_args=waits, hide_parameters=True, pool_size=16, pool_use_lifo=True)

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
            "wal_autocheckpoint=0",  # see `turns`
            "cache_size=-8000",  # in KiB: the upper pages of every index of a million people
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("immediate") else "BEGIN")

    return engine
