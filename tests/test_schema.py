"""The schema: from nothing to today's, on both databases, and never without the triggers that keep history. CAP-06."""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, inspect, text
from sqlalchemy.exc import DBAPIError, StatementError

from bridge.bootstrap import Bridge
from bridge.store import OldSchema, revision, schema
from bridge.store.engine import Database
from bridge.tables import TRIGGERS, AwareDateTime, metadata
from bridge.vault import new_id
from bridge.vocabulary import EventType
from tests.conftest import House, Reader, _administer, _database
from tests.test_store import consents, person

KEPT = ("events", "wordings", "statements", "staff_log", "checkpoints")
BOTH = {f"{table}_keep_{when}" for table in KEPT for when in ("update", "delete")}
LISTED = {
    "sqlite": BOTH | {f"{table}_keep_insert" for table in KEPT},
    "postgresql": BOTH | {f"{table}_keep_truncate" for table in KEPT},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a single table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = f"empty_{new_id().replace('-', 'x').replace('_', 'y').lower()}"
    _administer(server, f"CREATE DATABASE {name}")
    yield _database(server, name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """The same, opened."""
    database = Database(empty_url)
    yield database
    database.engine.dispose()


def triggers(database: Database) -> set[str]:
    """The triggers that are there, asked of the database itself."""
    asked = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'",
    }
    with database.reading() as db:
        return set(db.scalars(text(asked[database.dialect])))


# -- there and current -------------------------------------------------------------------------------------------


def test_an_empty_database_comes_to_todays_schema(empty: Database) -> None:
    """CAP-06, decision 15: all tables and triggers, then nothing more to do; the migration makes what the tables say."""
    assert schema.current(empty) is None
    assert schema.upgrade(empty)
    assert schema.current(empty) == schema.head()
    schema.check(empty)
    assert triggers(empty) == LISTED[empty.dialect] == set(TRIGGERS[empty.dialect])
    assert not schema.upgrade(empty)
    with empty.engine.connect() as db:
        assert set(inspect(db).get_table_names()) == {*metadata.tables, "alembic_version"}
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migration_writes_what_the_tables_say_to_the_letter(tmp_path: Path) -> None:
    """Decision 15: what alembic cannot compare (partial indexes, AUTOINCREMENT, WITHOUT ROWID) is the same too."""
    migrated, made = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("migrated", "made"))
    schema.upgrade(migrated)
    metadata.create_all(made.engine)
    read = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND tbl_name != 'alembic_version'"
    found = []
    for database in (migrated, made):
        with database.reading() as db:
            found.append({name: words(sql) for name, sql in db.execute(text(read))})
        database.engine.dispose()
    assert found[0] == found[1]


def words(sql: str | None) -> Counter[str]:
    """A definition without the order of its parts: its words, each as often as it is there."""
    return Counter(re.findall(r"[^\s(),]+", sql or ""))


@pytest.mark.parametrize(("there", "fix"), [(None, "run: consent-bridge db upgrade"), ("9998", "install that version")])
def test_an_old_schema_says_what_to_run(
    empty: Database, empty_url: str, environment: dict[str, str], there: Any, fix: str
) -> None:
    """Bad input: a start on an empty or newer database is refused with what to do, and changes nothing."""
    if there:
        schema.upgrade(empty)
        with empty.writing() as db:
            db.execute(text(f"UPDATE alembic_version SET version_num = '{there}'"))
    bridge = Bridge.from_env({**environment, "BRIDGE_DATABASE_URL": empty_url})
    with pytest.raises(OldSchema, match=fix) as refused:
        bridge.ready()
    assert (f"schema {there}" if there else "no tables") in str(refused.value)
    if there:
        with pytest.raises(OldSchema, match=fix):
            schema.upgrade(bridge.database)
    bridge.database.engine.dispose()
    assert schema.current(empty) == there


def test_a_start_asks_without_the_migrations_tools(empty: Database) -> None:
    """Issue 3, point 6: the quick look at a start knows the same head, and refuses what the long one refuses."""
    assert revision.head() == schema.head()
    with pytest.raises(OldSchema, match=r"no tables.*consent-bridge db upgrade"):
        revision.check(empty)
    schema.upgrade(empty)
    revision.check(empty)
    with empty.writing() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OldSchema, match="newer version"):
        revision.check(empty)


def test_two_upgrades_at_once_are_harmless(empty: Database, empty_url: str) -> None:
    """Decision 15: two programs that start together: one migrates, the other waits and finds it done."""
    other = Database(empty_url)
    start, done = threading.Barrier(2), []

    def upgrade(database: Database) -> None:
        start.wait()
        done.append(schema.upgrade(database))

    threads = [threading.Thread(target=upgrade, args=(database,)) for database in (empty, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True]
    assert triggers(empty) == LISTED[empty.dialect]
    other.engine.dispose()


def test_a_migration_that_fails_leaves_nothing(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP-06: half a migration would be a store without its triggers: all of it or nothing, on both."""
    next_migration(
        tmp_path, monkeypatch, "op.create_table('half', sa.Column('id', sa.Integer())); op.drop_table('never')"
    )
    with pytest.raises(Exception, match=r"never|StoreAway|OperationalError"):
        schema.upgrade(empty)
    with empty.engine.connect() as db:
        assert inspect(db).get_table_names() == []


# -- the triggers outlive every migration -------------------------------------------------------------------------


def next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str, says: str = "") -> None:
    """Add one migration behind today's, as a later version of this program would bring it, and what it `says` first."""
    folder = Path(shutil.copytree(Path(schema.__file__).parent.parent / "migrations", tmp_path / "migrations"))
    (folder / "versions" / "9999_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9999'\ndown_revision = {schema.head()!r}\n{says}\n\n\ndef upgrade():\n    {steps}\n"
    )
    monkeypatch.setattr(schema, "_FOLDER", folder)


REBUILD = "with op.batch_alter_table('events', recreate='always') as b: b.add_column(sa.Column('next', sa.Integer()))"


def test_a_rebuilt_table_gets_its_triggers_back(
    house: House, an: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP-06, decision 15: alembic's batch mode on SQLite rebuilds `events` and drops its triggers; upgrade makes them."""
    consents(house, an.email)
    database = house.bridge.database
    steps = REBUILD if database.dialect == "sqlite" else REBUILD.replace("recreate='always'", "recreate='never'")
    next_migration(tmp_path, monkeypatch, steps)
    kept: list[set[str]] = []
    made = schema.keep_history

    def and_look(db: Any) -> None:
        if db.dialect.name == "sqlite":
            kept.append(set(db.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))))
        made(db)

    monkeypatch.setattr(schema, "keep_history", and_look)
    with pytest.raises(OldSchema, match="9999"):
        schema.check(database)
    assert schema.upgrade(database)
    assert not any("events_keep_insert" in names for names in kept), "the rebuild dropped them, or this proves nothing"
    assert triggers(database) == LISTED[database.dialect]
    for statement in ("UPDATE events SET purpose = 99", "DELETE FROM events"):
        with pytest.raises(DBAPIError, match="append-only"), database.engine.begin() as db:
            db.execute(text(statement))
    assert house.verify().problems == ()
    assert an.may().may
    house.store.record([an.story()[-1]])
    assert house.verify().events == 3


def test_a_database_that_lost_a_trigger_is_told_and_mended(house: House) -> None:
    """CAP-06, decision 15: dropped or switched off by hand: `verify` names it, stops go on, `db upgrade` mends it."""
    database = house.bridge.database
    lost = {
        "sqlite": ["DROP TRIGGER events_keep_update"],
        "postgresql": ["DROP TRIGGER events_keep_update ON events", "ALTER TABLE events DISABLE TRIGGER USER"],
    }
    for statement in lost[database.dialect]:
        with database.engine.begin() as db:
            db.execute(text(statement))
        house.bridge.ready()
        found = {problem.where: problem.what for problem in house.verify().problems}
        assert found["trigger events_keep_update"].endswith("run consent-bridge db upgrade")
        assert schema.upgrade(database)
        assert triggers(database) == LISTED[database.dialect]
        assert house.verify().problems == ()
        assert not schema.upgrade(database)


# -- times -------------------------------------------------------------------------------------------------------


def test_times_are_aware_utc_whatever_the_session_thinks(house: House, an: Reader) -> None:
    """R1: under a session of Europe/Amsterdam, and told in another zone, a moment is the same moment, in UTC."""
    engine = house.bridge.database.engine

    def in_amsterdam(connection: Any, _record: Any, _proxy: Any) -> None:
        if house.bridge.database.dialect == "postgresql":
            connection.execute("SET timezone TO 'Europe/Amsterdam'")
            connection.commit()

    event.listen(engine, "checkout", in_amsterdam)
    for moment in (datetime(2026, 3, 29, 0, 59, 59, 999999, UTC), datetime(2026, 10, 25, 1, 30, 0, 1, UTC)):
        house.clock.now = moment.astimezone(timezone(timedelta(hours=5, minutes=45)))
        house.hear(an.told_by_esp(EventType.UNSUBSCRIBED))
        (stop,) = house.store.stops(an.email)
        assert (stop.type, stop.time, stop.time.utcoffset()) == (EventType.UNSUBSCRIBED, moment, timedelta())
    house.clock.now = datetime(2026, 11, 23, 10, 0, 0, 123456, UTC)
    consents(house, an.email)
    for told in (an.story()[-1], house.store.history(person(house, an.email))[1]):
        assert (told.time, told.time.utcoffset()) == (
            datetime(2026, 11, 23, 10, 1, 0, 123456, UTC),
            timedelta(),
        )
    assert house.verify().problems == ()
    event.remove(engine, "checkout", in_amsterdam)


def test_a_time_without_a_zone_is_stored_nowhere(empty: Database) -> None:
    """R1: it means something else on every machine; no column takes it."""
    schema.upgrade(empty)
    naive = datetime(2026, 11, 23, 10, 0, 0)  # noqa: DTZ001  (that is what is tested)
    columns = [
        (table, column)
        for table in metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, AwareDateTime)
    ]
    assert len(columns) == 67
    for table, column in columns:
        with pytest.raises(StatementError, match="without its zone"), empty.engine.begin() as db:
            db.execute(table.update().values({column.name: naive}))
