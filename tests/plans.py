"""Statements caught as a house sends them, many strangers beside its readers, and how a database would look for each."""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, Table, event, text
from sqlalchemy.types import TypeDecorator

from bridge.store.engine import Database
from bridge.tables import AwareDateTime, metadata
from bridge.vocabulary import micros
from tests.conftest import dialects

#: Tables that stay small however many people there are, and why. All others are filled with strangers.
SMALL: Mapping[str, str] = {
    "names": "one row for each word",
    "wordings": "one for each version of a text",
    "statements": "one for each version of the statement",
    "keys_used": "one for each root key",
    "connections": "one for each connection a platform allows",
    "comparisons": "one for each platform",
    "retired": "one for each platform",
    "esp_secrets": "one for each webhook",
    "lists": "one for each list that was taken in",
    "approvals": "one for each dangerous act",
    "breaches": "one for each breach",
    "breach_notes": "some for each breach",
    "campaigns": "one for each campaign",
    "waves": "some for each campaign",
    "bought": "one for each channel",
    "unanswered": "one for each channel",
    "confirm_roads": "one for each form and road",
    "complaints": "one for each day and purpose",
    "checkpoints": "one for each hour with news, none of which reads another",
    "register_looks": "one for each time that somebody looked",
    "staff_log": "one for each act of staff",
    "esp_jobs": "one for each job a platform has open: 500 to 30,000 people each",
}
BIG = sorted(set(metadata.tables) - set(SMALL))

#: Indexes that hold few of a table's rows: reading all of one is no full scan.
PARTIAL = {
    str(index.name)
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
    and index.name not in ("ix_events_report", "ix_outbox_wishes")
}

_WORDS = re.compile(r"[A-Za-z_]+")
_DATA = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class Statement(NamedTuple):
    """One statement, as it was sent."""

    road: str
    text: str
    values: Any

    @property
    def tables(self) -> set[str]:
        """What it reads or writes."""
        return set(metadata.tables) & set(_WORDS.findall(self.text))


class Notes:
    """What a database was asked, by whom; each statement once for each road."""

    def __init__(self, database: Database) -> None:
        self.road, self.routes, self._noted = "", set[str](), dict[tuple[str, str], Statement]()
        self._database = database
        database.engine.dialect = dialects[database.engine]
        event.listen(database.engine, "do_connect" if database.dialect == "sqlite" else "checkout", self._listen)
        database.engine.dispose()

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._noted.values())

    @contextmanager
    def on(self, road: str) -> Iterator[None]:
        """What is sent meanwhile is sent by this one."""
        before, self.road = self.road, road
        try:
            yield
        finally:
            self.road = before

    def called(self, what: Any, name: str, road: str) -> None:
        """Whatever this method sends is sent by this one."""
        method = getattr(what, name)

        def call(*args: Any, **more: Any) -> Any:
            with self.on(road):
                return method(*args, **more)

        setattr(what, name, call)

    def note(self, query: Any, values: Any = ()) -> None:
        """Keep a statement with its first values."""
        told = str(query).strip()
        if self.road and told.startswith(_DATA):
            self._noted.setdefault((self.road, told), Statement(self.road, told, values))

    def _listen(self, *args: Any) -> Any:
        notes = self

        class SqliteCursor(sqlite3.Cursor):
            def execute(self, query: str, values: Any = (), /) -> Any:
                notes.note(query, values)
                return super().execute(query, values)

            def executemany(self, query: str, rows: Any, /) -> Any:
                rows = list(rows)
                notes.note(query, rows[0])
                return super().executemany(query, rows)

        class SqliteConnection(sqlite3.Connection):
            def cursor(self, factory: Any = SqliteCursor) -> Any:
                return super().cursor(factory)

        class PostgresCursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
                notes.note(query, params)
                return super().execute(query, params, **more)

            def executemany(self, query: Any, params_seq: Any, **more: Any) -> None:
                rows = list(params_seq)
                notes.note(query, rows[0])
                super().executemany(query, rows, **more)

        if self._database.dialect == "sqlite":
            _dialect, _record, cargs, cparams = args
            return sqlite3.connect(*cargs, **cparams, factory=SqliteConnection)
        args[0].cursor_factory = PostgresCursor
        return None


# -- strangers ---------------------------------------------------------------------------------------------------

#: Of so many rows one is in what the partial indexes hold.
_FEW = 40

#: Columns in which most rows are alike, in SQL, by table and column; `k` is the row's number.
_ALIKE = {
    ("events", "type"): f"CASE WHEN k % {_FEW} = 0 THEN 12 ELSE 1 + k % 2 END",
    ("records", "status"): f"CASE WHEN k % {_FEW} = 0 THEN 2 ELSE 3 END",
    ("records", "purpose"): "1",
    ("unproven", "purpose"): "1",
    ("outbox", "work"): f"CASE WHEN k % {_FEW} = 0 THEN 'mail:breach' ELSE 'mail:welcome' END",
    ("cases", "closed"): "CASE WHEN k > 8 THEN k END",
    ("cases", "due"): "'2099-12-31'",
    ("stop_list", "scope"): "''",
    ("breach_told", "breach"): "1",
    ("breach_told", "state"): f"CASE WHEN k % {_FEW} = 0 THEN 0 ELSE 1 END",
    ("asked", "wave"): "1",
}

#: Moments lie an hour apart, and before now, but of these columns in every second row: half of all work is due.
_HOUR, _AHEAD = 3_600_000_000, ("due", "until", "held", "calm", "leased")


def sweep(database: Database) -> None:
    """Leave no room that other rows had: PostgreSQL's databases are used by many tests, and their dead rows cost too."""
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(text(f"VACUUM FULL {', '.join(metadata.tables)}"))


def strangers(database: Database, first: int, count: int, now: Any) -> None:
    """So many rows of people nobody asks about, in every big table."""
    series = f"generate_series({first}, {first + count - 1}) AS s(k)"
    if database.dialect == "sqlite":
        series = f"(WITH RECURSIVE s(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM s "
        series += f"WHERE k < {first + count - 1}) SELECT k FROM s)"
    with database.writing() as db:
        for name in BIG:
            table = metadata.tables[name]
            values = ", ".join(_value(table, column, database.dialect, micros(now)) for column in table.c)
            names = ", ".join(f'"{column.name}"' for column in table.c)
            db.execute(text(f"INSERT INTO {name} ({names}) SELECT {values} FROM {series}"))
    if database.dialect == "postgresql":  # as its own housekeeping does; nobody does so on SQLite
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(text("ANALYZE"))


def _value(table: Table, column: "Column[Any]", dialect: str, now: int) -> str:
    alike = _ALIKE.get((table.name, column.name))
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    if alike:
        return alike
    told = _made(column, kind, dialect, now)
    return f"CASE WHEN k % {_FEW} = 0 THEN {told} END" if column.nullable and _sparse(table, column) else told


def _made(column: "Column[Any]", kind: Any, dialect: str, now: int) -> str:
    random = f"md5('{column.name}' || k)" if dialect == "postgresql" else "lower(hex(randomblob(16)))"
    if isinstance(column.type, AwareDateTime):
        side = "CASE WHEN k % 2 = 0 THEN k ELSE -k END" if column.name in _AHEAD else "-k"
        return f"{now} + ({side}) * CAST({_HOUR} AS BIGINT)"
    if isinstance(kind, LargeBinary):
        return f"decode({random}, 'hex')" if dialect == "postgresql" else "randomblob(16)"
    if isinstance(kind, Boolean):
        return f"(k % {_FEW} = 0)"
    if isinstance(kind, BigInteger) or (column.primary_key and column.name in ("number", "id")):
        return "1000000 + k"
    if column.name == "adapter":
        return "'memory'"
    if getattr(kind, "length", None) or kind.__class__.__name__ == "Text":
        return f"substr({random}, 1, {min(getattr(kind, 'length', None) or 20, 22)})"
    return "1 + k % 3"


def _sparse(table: Table, column: "Column[Any]") -> bool:
    """Whether most rows have nothing there: what partial indexes leave out, and leases."""
    wheres = [
        str(index.dialect_options["postgresql"]["where"])
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    ]
    return column.name in ("leased", "lease") or any(f"{column.name} IS NOT NULL" in where for where in wheres)


# -- plans -------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How one statement would be carried out."""

    scans: tuple[str, ...]  # big tables of which everything is read; a small index of few of its rows is none
    cost: float  # in PostgreSQL's own unit; 0 on SQLite


def plans(database: Database, statements: Sequence[Statement]) -> list[Plan]:
    """Ask the database, without carrying anything out."""
    with database.engine.connect() as db:
        look = _sqlite if database.dialect == "sqlite" else _postgresql
        cursor = db.connection.cursor()
        return [look(cursor, statement) for statement in statements]


def _sqlite(cursor: Any, statement: Statement) -> Plan:
    cursor.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
    lines = [str(row[3]) for row in cursor.fetchall()]
    names = _aliases(statement.text)
    whole = [told.split() for told in lines if told.startswith("SCAN ") and told.split()[-1] not in PARTIAL]
    found = [names.get(words[1], words[1]) for words in whole]
    return Plan(tuple(name for name in found if name in BIG), 0.0)


def _aliases(query: str) -> dict[str, str]:
    return {alias: name for name, alias in re.findall(r"\b(?:FROM|JOIN|,)\s+(\w+) (?:AS )?(\w+)", query)}


def _postgresql(cursor: Any, statement: Statement) -> Plan:
    cursor.execute("SET random_page_cost = 1.1")  # no disk that turns: as everybody sets it
    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement.text}", statement.values)
    (told,) = cursor.fetchone()
    plan = told[0]["Plan"]
    cost = float(plan["Total Cost"])
    return Plan(tuple(_read_whole(plan)), cost)


def _read_whole(node: Mapping[str, Any], *, stops: bool = False) -> Iterator[str]:
    """Big tables below a node that are read whole; whether whoever is above it `stops` after a few rows."""
    name = node.get("Relation Name")
    kind = node["Node Type"]
    if kind == "Bitmap Index Scan":
        name = metadata_of(str(node["Index Name"]))
    small = stops or node.get("Index Name") in PARTIAL
    if name in BIG and not small and (kind == "Seq Scan" or (kind in _BY_INDEX and not node.get("Index Cond"))):
        yield str(name)
    for below in node.get("Plans", ()):
        yield from _read_whole(below, stops=kind == "Limit" or (stops and kind not in _READS_ALL))


def metadata_of(index: str) -> str:
    """The table of an index, by its name."""
    return next((name for name in BIG for one in metadata.tables[name].indexes if one.name == index), "")


#: What needs all rows below before it gives its first.
_READS_ALL = ("Sort", "Aggregate", "Hash", "Hash Join", "Materialize", "Unique", "Gather", "Gather Merge")

_BY_INDEX = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
