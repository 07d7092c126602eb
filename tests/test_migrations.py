"""From an older schema to today's: what was kept stays what it was. CAP-06, decision 15."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import MetaData, insert, select, text

from bridge.bootstrap import Bridge
from bridge.store import schema
from bridge.store.engine import Database
from bridge.store.verify import verify
from bridge.tables import metadata
from bridge.vault import new_id
from bridge.vocabulary import EventType, Status, micros
from tests.conftest import House, Reader, _administer, _database
from tests.test_store import by_reader, consents, person

NAMED = {"events": ("purpose", "source", "channel"), "records": ("purpose",)}


def upgraded_to(database: Database, revision: str) -> None:
    """Bring an empty database to an older schema."""
    scripts = schema._scripts()
    with (
        database.writing() as db,
        EnvironmentContext(
            schema._config(), scripts, fn=lambda there, _context: scripts._upgrade_revs(revision, there)
        ) as context,
    ):
        context.configure(connection=db, target_metadata=metadata, render_as_batch=True)
        context.run_migrations()
        if db.dialect.name == "sqlite":
            return
    with database.writing() as db:
        schema.keep_history(db)  # as it is after every upgrade


def everything(database: Database) -> dict[str, list[Mapping[str, Any]]]:
    """All rows of all tables, as today's program reads them."""
    with database.reading() as db:
        return {
            table.name: [dict(row._mapping) for row in db.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def as_version_1(house: House, table: str, row: Mapping[str, Any], dialect: str) -> dict[str, Any]:
    """One row as the first version wrote it: words in full, times of the database's own kind, long hashes."""
    old = dict(row)
    for name in NAMED.get(table, ()):
        old[name] = house.store.rows.names.text(None, old[name]) if old[name] is not None else None  # type: ignore[arg-type]  # all are known
    if table == "events":
        old["received"] = old["received"] or old["time"]
    if table == "subjects":
        old |= {"lookup": row["lookup"] + bytes(16), "created": house.clock.now}
    if dialect == "sqlite":
        old = {name: micros(value) if hasattr(value, "tzinfo") else value for name, value in old.items()}
    return old


@pytest.fixture
def older(house: House, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A second, empty database of the same kind as the house's."""
    if house.bridge.database.dialect == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'older.db'}")
        yield database
        database.engine.dispose()
        return
    server = request.getfixturevalue("postgres")
    name = f"older_{new_id().replace('-', 'x').replace('_', 'y').lower()}"
    _administer(server, f"CREATE DATABASE {name}")
    database = Database(_database(server, name))
    yield database
    database.engine.dispose()
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def version_1(house: House, an: Reader, older: Database) -> tuple[dict[str, Any], Database]:
    """What some readers did, as a database of the first version holds it."""
    consents(house, an.email, "newsletter", "offers")
    consents(house, "bram@lezer.example")
    late = an.told_by_esp(EventType.DEFERRED)
    house.clock.forward(seconds=90)
    house.hear(late, Reader(house, "dirk@lezer.example").told_by_esp(EventType.COMPLAINED))
    house.store.record([by_reader(house, person(house, "bram@lezer.example"), EventType.WITHDRAWN)])
    house.store.record(
        [by_reader(house, person(house, an.email), EventType.PAUSED, purpose="", until=house.clock.forward(days=3))]
    )
    before = everything(house.bridge.database)
    upgraded_to(older, "0001")
    old = MetaData()
    with older.writing() as db:
        old.reflect(db)
        for table in old.sorted_tables:
            rows = [as_version_1(house, table.name, row, older.dialect) for row in before.get(table.name, ())]
            mine = [{name: row[name] for name in (column.name for column in table.c) if name in row} for row in rows]
            if mine:
                db.execute(insert(table), mine)
        for table, column in (("subjects", "number"), ("events", "id")) if older.dialect == "postgresql" else ():
            db.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}")
            )
    return before, older


def test_a_database_of_the_first_version_is_brought_here_whole(
    version_1: tuple[dict[str, Any], Database], house: House, an: Reader
) -> None:
    """CAP-06: every row reads as before, no event is lost or touched, and `verify` finds the history sound."""
    before, database = version_1
    assert schema.upgrade(database)
    after = everything(database)
    del after["confirm_roads"], before["confirm_roads"]  # counts, which version 1 did not keep
    after["names"], before["names"] = [], []  # numbered anew; what they stand for is compared below
    texts = Bridge.from_env({**house.environment, "BRIDGE_DATABASE_URL": _url(database)})
    texts.clock = house.clock
    texts.store.warm()
    for side, names in ((after, texts.store.rows.names), (before, house.store.rows.names)):
        for table, columns in NAMED.items():
            for row in side[table]:
                for column in columns:
                    row[column] = None if row[column] is None else names.text(None, row[column])  # type: ignore[arg-type]  # all are known
    used = [{(row["ring"], row["kid"]) for row in side.pop("keys_used")} for side in (before, after)]
    assert used[0] <= used[1]
    assert after == before
    assert verify(database, texts.vault).problems == ()
    assert texts.store.may_mail("bram@lezer.example", "newsletter").status is Status.WITHDRAWN
    assert texts.store.may_mail(an.email, "newsletter").status is Status.GIVEN
    assert not texts.store.may_mail("dirk@lezer.example", "newsletter").may
    she = texts.store.person(an.email)
    assert she is not None
    stop = by_reader(house, she, EventType.WITHDRAWN)
    texts.store.record([stop])
    assert texts.store.may_mail(an.email, "newsletter").status is Status.WITHDRAWN
    assert verify(database, texts.vault).problems == ()
    texts.database.engine.dispose()


def _url(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)
