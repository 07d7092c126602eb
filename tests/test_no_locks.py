"""The schema changes under readers who go on clicking: no migration makes them wait (issue 7, point 8).

README, "Changing the schema": what each migration would tell PostgreSQL is read by squawk, and a migration that meets a
long transaction steps back and tries again.
"""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script
from sqlalchemy import text

from bridge.store import schema
from bridge.store.engine import Database
from bridge.store.errors import StoreBusy
from bridge.tables import metadata
from tests.conftest import House, Reader
from tests.test_schema import next_migration

#: Made before anybody used this program: where they run, the tables are empty.
EMPTY = {f"{number:04}" for number in range(1, 23)}

#: Rules of squawk's that say nothing about locks, and what we do instead.
OTHERS = {
    "prefer-text-field": "ids and words of ours have a length that their columns know",
    "prefer-bigint-over-int": "counts within one person are small",
    "prefer-bigint-over-smallint": "words are numbers, one byte is enough (decision 14)",
    "prefer-identity": "the first version's kind of number, the same on SQLite",
    "prefer-timestamptz": "moments are whole microseconds (`bridge.tables.AwareDateTime`)",
    "require-statement-timeout": "what takes long is refused here, not broken off there",
}


def scripts() -> list[Script]:
    """Every migration, the oldest first."""
    return list(schema._scripts().walk_revisions())[::-1]


def told(script: Script) -> str:
    """What a migration would tell a PostgreSQL in use."""
    found, said = schema._scripts(), io.StringIO()
    before, concurrently = script.down_revision, bool(getattr(script.module, "concurrently", False))

    def steps(_revision: Any, _context: Any) -> Any:
        return found._upgrade_revs(script.revision, before)  # type: ignore[arg-type]  # one line of them, no tree

    with EnvironmentContext(schema._config(), found, fn=steps, as_sql=True, starting_rev=before) as context:
        context.configure(
            dialect_name="postgresql",
            target_metadata=metadata,
            output_buffer=said,
            transaction_per_migration=False,
            concurrently=concurrently,
        )
        context.run_migrations()
    limit = schema.INDEX_MILLISECONDS if concurrently else schema.LOCK_MILLISECONDS
    return f"SET lock_timeout = {limit};\n" + said.getvalue()


def squawk(sql: str, *, in_transaction: bool) -> list[dict[str, Any]]:
    """What is wrong with it."""
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if program is None:
        pytest.fail("squawk is missing: it comes with pins/test.txt")
    within = ["--assume-in-transaction"] if in_transaction else []
    command = [program, "--reporter", "json", "--pg-version", "15.0", *within, "--exclude", ",".join(OTHERS)]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, timeout=60, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def complaints(sql: str, *, in_transaction: bool) -> set[str]:
    """The rules it breaks."""
    return {str(one["rule_name"]) for one in squawk(sql, in_transaction=in_transaction)}


def test_no_new_migration_makes_anybody_wait() -> None:
    """A new one that locks a table which people use is named with squawk's rule and help."""
    new = [script for script in scripts() if script.revision not in EMPTY]
    assert new
    for script in new:
        concurrently = bool(getattr(script.module, "concurrently", False))
        found = squawk(told(script), in_transaction=not concurrently)
        assert not found, (script.revision, [(one["rule_name"], one["message"], one["help"]) for one in found])


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("ALTER TABLE subjects ADD COLUMN seen bigint NOT NULL", "adding-required-field"),
        ("ALTER TABLE subjects ADD COLUMN seen text DEFAULT gen_random_uuid()", "adding-field-with-default"),
        ("CREATE INDEX ix ON events (time)", "require-concurrent-index-creation"),
        ("ALTER TABLE events ADD CONSTRAINT c CHECK (number > 0)", "constraint-missing-not-valid"),
        ("ALTER TABLE events ALTER COLUMN number SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE events RENAME COLUMN number TO place", "renaming-column"),
        ("ALTER TABLE events DROP COLUMN channel", "ban-drop-column"),
    ],
)
def test_what_locks_or_breaks_the_version_before_is_seen(sql: str, rule: str) -> None:
    """The check is awake: each rule of README's has something that breaks it."""
    assert rule in complaints(f"SET lock_timeout = 1;\n{sql};", in_transaction=True)


# -- behind an open transaction ----------------------------------------------------------------------------------

COLUMN = "op.add_column('subjects', sa.Column('seen', sa.BigInteger()))"
INDEX = "from bridge.migrations.indexes import create_index; create_index('ix_next', 'subjects', ['kid'])"
STEPS = {"a column": (COLUMN, ""), "an index": (INDEX, "concurrently = True")}


@pytest.fixture(params=STEPS)
def busy(
    request: pytest.FixtureRequest,
    make_house: Any,
    postgres_databases: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A house with a reader, a step to come, and little patience."""
    steps, says = STEPS[request.param]
    with postgres_databases.one() as url:
        house = make_house(url)
        Reader(house, "an@lezer.example").has_consented()
        next_migration(tmp_path, monkeypatch, steps, says)
        monkeypatch.setattr(schema, "LOCK_MILLISECONDS", 20)
        monkeypatch.setattr(schema, "INDEX_MILLISECONDS", 20)
        yield house
        house.bridge.database.engine.dispose()


def reads_at_once(database: Database) -> None:
    """A reader who may not wait at all."""
    with database.reading() as db:
        db.execute(text("SET LOCAL lock_timeout = 1"))
        assert db.scalar(text("SELECT count(*) FROM subjects")) == 1


def test_a_step_waits_a_moment_lets_readers_pass_and_tries_again(busy: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long report holds the table: whoever comes meanwhile reads, and the step is done when the report is over."""
    database, paused = busy.bridge.database, list[float]()
    with database.engine.connect() as report:
        report.execute(text("UPDATE subjects SET kid = kid"))

        def pause(seconds: float) -> None:
            paused.append(seconds)
            reads_at_once(database)
            if len(paused) == 3:
                report.rollback()

        monkeypatch.setattr(schema, "pause", pause)
        assert schema.upgrade(database)
    assert paused == [schema.PAUSE] * 3
    assert schema.current(database) == "9999"
    assert not schema.upgrade(database)
    with database.reading() as db:
        assert db.scalar(text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")) == 0
    assert busy.verify().problems == ()


def test_a_step_gives_up_and_leaves_everything_as_it_was(busy: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for ever; run again, it finds its way, also past an index that was left half made."""
    database, before = busy.bridge.database, schema.current(busy.bridge.database)
    monkeypatch.setattr(schema, "TRIES", 2)
    monkeypatch.setattr(schema, "pause", lambda _seconds: reads_at_once(database))
    with database.engine.connect() as report:
        report.execute(text("UPDATE subjects SET kid = kid"))
        with pytest.raises(StoreBusy):
            schema.upgrade(database)
        assert schema.current(database) == before
        reads_at_once(database)
        report.rollback()
    assert schema.upgrade(database)
    with database.reading() as db:
        assert db.scalar(text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")) == 0
