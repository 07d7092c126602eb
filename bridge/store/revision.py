"""Whether the database is at this program's schema, asked at each start: without the migrations' tools."""

from functools import cache
from pathlib import Path

from sqlalchemy import String, column, select, table

from bridge.store.engine import Database

_VERSIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_THERE = select(column("version_num", String)).select_from(table("alembic_version"))


@cache
def head() -> str:
    """The schema this program needs: the number of its last migration."""
    return max(path.stem.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def check(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this program's schema."""
    with database.reading() as db:
        there = db.scalar(_THERE) if db.dialect.has_table(db, "alembic_version") else None
    if there != head():
        from bridge.store import schema  # knows in words what is wrong

        schema.check(database)
