"""A house with many more people than can be sealed one by one: a small house, and so many look-alikes of each of its
readers, written by the database itself.

Readers of the small house stay who they are, far apart from each other in every table, so that what is asked about them
has to be looked for among all. The others have keyed hashes and ids of their own and rows of the same size; nobody can
open what is sealed in them.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from bench import house, machine
from bridge.bootstrap import Bridge
from bridge.store import schema
from bridge.tables import metadata

#: What is different in a look-alike, in SQL, by table and column; `{}` stands for the column, `k` for which one it is.
_HEX = "md5(row.id || '/' || k)"
_OWN = {
    ("subjects", "id"): f"left({_HEX}, 22)",
    ("subjects", "lookup"): f"substring(sha256({_HEX}::bytea) FOR octet_length(row.lookup))",
    ("subjects", "mark"): f"left({_HEX}, 10)",
    ("outbox", "id"): f"left({_HEX}, 22)",
    ("outbox", "due"): "(SELECT max(due) FROM outbox) + k",
}

#: Numbers: those of look-alikes come behind hers.
_SPREAD = {("subjects", "number"), ("events", "id")}

_MEMORY = "SET maintenance_work_mem = '512MB'", "SET synchronous_commit = off", "SET work_mem = '64MB'"


def grow(small: Bridge, url: str, times: int) -> Bridge:
    """Fill the empty database at `url` with `times` as many people as `small` has, and open it."""
    settings = {**small.settings.environment, "BRIDGE_DATABASE_URL": url}
    empty = Bridge.from_env(settings)
    schema.upgrade(empty.database)
    empty.database.engine.dispose()
    with _opened(small.settings.database_url) as source, _opened(url) as db:
        for statement in _MEMORY:
            db.execute(statement)
        ours = [name for name in metadata.tables if _rows(source, name)]
        many = [name for name in ours if _person(name)]
        with machine.bar(f"growing to {times} times as many", 3 * len(many)) as done:
            for name in ours:
                _copy(source, db, name, f"seed_{name}" if name in many else name)
            for name in many:
                machine.say(f"   {name}")
                later = _without_indexes(db, name)
                done(1)
                _multiply(db, name, times)
                done(1)
                for statement in later:
                    db.execute(statement)
                db.execute(f"DROP TABLE seed_{name}")
                done(1)
        for name in ours:
            _count_on(db, name)
        db.execute("VACUUM ANALYZE")
    return house.open_house(settings)


def mails(bridge: Bridge) -> int:
    """How many mails wait."""
    with _opened(bridge.settings.database_url) as db:
        return int(_one(db, "SELECT count(*) FROM outbox"))


def forget_mails(bridge: Bridge) -> None:
    """Let none wait."""
    with _opened(bridge.settings.database_url) as db:
        db.execute("DELETE FROM outbox")


def more_mails(many: Bridge, times: int) -> None:
    """To each mail that waits so many others, due behind them all."""
    with _opened(many.settings.database_url) as db:
        columns = list(metadata.tables["outbox"].c)
        values = ", ".join(_OWN.get(("outbox", column.name), f"row.{column.name}") for column in columns)
        values = values.replace("row.subject", "row.subject + k")
        db.execute(f"INSERT INTO outbox SELECT {values} FROM outbox AS row, generate_series(1, {times - 1}) AS k")
        db.execute("VACUUM ANALYZE outbox")


def _opened(url: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def _one(db: "psycopg.Connection[Any]", query: str) -> Any:
    found = db.execute(query).fetchone()
    return found[0] if found else None


def _rows(db: "psycopg.Connection[Any]", name: str) -> bool:
    return bool(_one(db, f"SELECT EXISTS (SELECT 1 FROM {name})"))


def _person(name: str) -> bool:
    return name == "subjects" or "subject" in metadata.tables[name].c


def _copy(source: "psycopg.Connection[Any]", db: "psycopg.Connection[Any]", name: str, into: str) -> None:
    """All rows of a table, as they are."""
    columns = ", ".join(f'"{column.name}"' for column in metadata.tables[name].c)
    if into != name:
        db.execute(f"CREATE UNLOGGED TABLE {into} (LIKE {name})")
    with (
        source.cursor().copy(f"COPY (SELECT {columns} FROM {name} ORDER BY 1, 2) TO STDOUT (FORMAT binary)") as taken,
        db.cursor().copy(f"COPY {into} ({columns}) FROM STDIN (FORMAT binary)") as given,
    ):
        for block in taken:
            given.write(block)


def _count_on(db: "psycopg.Connection[Any]", name: str) -> None:
    """Let a table number its next row behind those that were written."""
    key = next(iter(metadata.tables[name].primary_key)).name
    if sequence := _one(db, f"SELECT pg_get_serial_sequence('{name}', '{key}')"):
        db.execute(f"SELECT setval('{sequence}', (SELECT max({key}) FROM {name}))")


def _without_indexes(db: "psycopg.Connection[Any]", name: str) -> list[str]:
    """Drop what would be written all over, and give what makes it anew: at once is many times faster."""
    keys = db.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE conrelid = '{name}'::regclass AND contype IN ('p', 'u')"
    ).fetchall()
    others = db.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        f"WHERE indrelid = '{name}'::regclass AND NOT indisprimary "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)"
    ).fetchall()
    for key, _ in keys:
        db.execute(f"ALTER TABLE {name} DROP CONSTRAINT {key}")
    for index, _ in others:
        db.execute(f"DROP INDEX {index}")
    return [
        *(f"ALTER TABLE {name} ADD CONSTRAINT {key} {made}" for key, made in keys),
        *(made for _, made in others),
    ]


def _multiply(db: "psycopg.Connection[Any]", name: str, times: int) -> None:
    columns: Sequence[str] = [column.name for column in metadata.tables[name].c]
    number = "number" if name == "subjects" else "subject"
    values = ", ".join(_value(name, column, times) for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    # The series is made to depend on the row, so that each reader's look-alikes follow her.
    series = f"generate_series(0, {times - 1} + 0 * row.{number}) AS k"
    db.execute(f"INSERT INTO {name} ({names}) SELECT {values} FROM seed_{name} AS row CROSS JOIN LATERAL {series}")


def _value(name: str, column: str, times: int) -> str:
    if (name, column) in _SPREAD or column == "subject":
        return f"(row.{column} - 1) * {times} + 1 + k"
    own = _OWN.get((name, column))
    return f"CASE k WHEN 0 THEN row.{column} ELSE {own} END" if own else f'row."{column}"'
