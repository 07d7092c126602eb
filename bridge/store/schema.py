"""Migrations: bring a database to this program's schema, and say whether it is there.

On PostgreSQL people go on reading and clicking meanwhile (README, "Changing the schema"): a migration waits for a lock
a moment only, because whoever comes behind it waits too, and then tries again; indexes on tables in use are made
concurrently, outside of a transaction, by migrations that do nothing else.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from bridge.store.engine import Database
from bridge.store.errors import OldSchema, StoreBusy
from bridge.store.revision import fits
from bridge.store.triggers import missing_triggers
from bridge.tables import FUNCTIONS, TRIGGERS, metadata

#: Stands in place of the schema while a backup is being restored: nothing opens such a database (decision 19).
RESTORING = "restoring"

log = logging.getLogger("bridge.schema")

#: So long a migration waits for a lock at a time, and so often it tries: five minutes with the pauses between.
LOCK_MILLISECONDS, TRIES, PAUSE = 1_000, 100, 2.0

#: An index that is made concurrently keeps nobody waiting: it waits for the longest report, or is begun anew.
INDEX_MILLISECONDS = 600_000

_ALONE = 72051206

pause = time.sleep

_FOLDER = Path(__file__).resolve().parent.parent / "migrations"


def head() -> str:
    """The schema this program needs."""
    return str(_scripts().get_current_head())


def current(database: Database) -> str | None:
    """The schema this database has; None when it is empty."""
    with database.reading() as db:
        return current_of(db)


def alone(db: Connection) -> None:
    """Let nobody else migrate or restore until this transaction ends. On SQLite writers take turns anyway."""
    if db.dialect.name == "postgresql":
        db.execute(text(f"SELECT pg_advisory_xact_lock({_ALONE})"))


def current_of(db: Connection) -> str | None:
    """The same, asked within a transaction."""
    if not inspect(db).has_table("alembic_version"):
        return None
    found: str | None = db.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def mark_restoring(db: Connection) -> None:
    """Say that what is here may not be used until a restore was carried to its end."""
    if not inspect(db).has_table("alembic_version"):
        db.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    db.execute(text("DELETE FROM alembic_version"))
    db.execute(text("INSERT INTO alembic_version (version_num) VALUES (:mark)"), {"mark": RESTORING})


def migrate(db: Connection, revision: str) -> None:
    """Bring an empty or older database to one schema, without the triggers: `keep_history` makes them."""
    _run(db, revision)


def check(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this program's schema."""
    there = current(database)
    known(there)
    if there != head():
        has = f"schema {there}" if there else "no tables"
        raise OldSchema(f"the database has {has}, this program needs schema {head()}; run: consent-bridge db upgrade")


def upgrade(database: Database) -> bool:
    """Migrate to this program's schema; True when anything was done. Two at once are harmless.

    An empty database and SQLite come there in one transaction. PostgreSQL in use goes step by step, each of which is
    whole or was never begun; killed in between, it goes on the next time.
    """
    if database.dialect == "postgresql":
        there = current(database)
        known(there)
        if there:
            with _alone(database):
                return _step_by_step(database)
    with database.writing() as db:
        alone(db)
        there = current_of(db)
        known(there)
        if there == head() and not missing_triggers(db):
            return False
        _run(db)
        keep_history(db)
        return True


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Nobody else migrates or restores meanwhile. Without a transaction, for which an index would wait."""
    with database.autocommit() as db:
        db.execute(text("SET lock_timeout = 0"))
        db.execute(text(f"SELECT pg_advisory_lock({_ALONE})"))
        try:
            yield
        finally:
            db.execute(text(f"SELECT pg_advisory_unlock({_ALONE})"))
            db.execute(text("RESET lock_timeout"))


def _step_by_step(database: Database) -> bool:
    there = current(database)
    known(there)
    done = False
    waiting = list(_scripts().iterate_revisions("head", there))[::-1]
    for concurrently, scripts in groupby(waiting, lambda script: bool(getattr(script.module, "concurrently", False))):
        target = list(scripts)[-1].revision
        _patiently(lambda: (_indexes if concurrently else _changes)(database, target))  # noqa: B023  (called at once)
        done = True
    with database.reading() as db:
        lost = missing_triggers(db)
    if lost:
        _patiently(lambda: _changes(database, ""))
    return done or bool(lost)


def _patiently(step: Callable[[], None]) -> None:
    """Try until the locks are there; in between whoever waited behind us goes first."""
    for last in range(1, TRIES + 1):
        try:
            return step()
        except StoreBusy:
            if last == TRIES:
                raise
            log.warning("the tables are in use: tried again in %g s", PAUSE)
            pause(PAUSE)
    return None


def _changes(database: Database, target: str) -> None:
    with database.writing() as db:
        db.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
        if target:
            _run(db, target)
        keep_history(db)


def _indexes(database: Database, target: str) -> None:
    with database.autocommit() as db:
        db.execute(text(f"SET lock_timeout = {INDEX_MILLISECONDS}"))
        try:
            _run(db, target, concurrently=True)
        finally:
            db.execute(text("RESET lock_timeout"))


def keep_history(db: Connection) -> None:
    """Make the triggers that refuse to change history, anew; those of tables that an older schema has."""
    dialect, there = db.dialect.name, inspect(db).get_table_names()
    for statement in FUNCTIONS if dialect == "postgresql" else ():
        db.exec_driver_sql(statement)
    for name, statement in TRIGGERS[dialect].items():
        table = name.partition("_keep_")[0]
        if table not in there:
            continue
        db.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if dialect == "postgresql" else ""))
        db.exec_driver_sql(statement)


def known(there: str | None) -> None:
    """Raise `OldSchema` for a schema that this program does not know."""
    if there == RESTORING:
        raise OldSchema(
            "a restore into this database was begun and not finished, so nothing in it may be used; "
            "run consent-bridge restore again"
        )
    if fits(there):
        raise OldSchema(
            f"the database has schema {there} of a newer version; pages and dispatcher of this one may go on with it, "
            "this command may not: install that version"
        )
    if there is not None and there not in {script.revision for script in _scripts().walk_revisions()}:
        raise OldSchema(
            f"the database has schema {there}, which this program does not know: it was made by a newer version; "
            "install that version, or restore the backup made before the upgrade"
        )


def _run(db: Connection, target: str = "head", *, concurrently: bool = False) -> None:
    scripts = _scripts()
    config = _config()

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(target, revision)  # alembic has no public name for this

    with EnvironmentContext(config, scripts, fn=steps) as context:
        context.configure(
            connection=db,
            target_metadata=metadata,
            render_as_batch=True,
            transaction_per_migration=False,
            concurrently=concurrently,
        )
        context.run_migrations()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
