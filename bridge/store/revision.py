"""Whether the database is at this program's schema, asked at each start: without the migrations' tools."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import String, column, select, table

from bridge.store.engine import Database

_VERSIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_NAMED = re.compile(r'^(revision|down_revision)\b.*= "(\w+)"$', re.MULTILINE)
_THERE = select(column("version_num", String)).select_from(table("alembic_version"))


@cache
def head() -> str:
    """The schema this program needs: that of the migration which no other one follows."""
    named: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in _VERSIONS.glob("*.py"):
        for which, value in _NAMED.findall(path.read_text(encoding="utf-8")):
            named[which].add(value)
    (last,) = named["revision"] - named["down_revision"]
    return last


def check(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this program's schema."""
    with database.reading() as db:
        there = db.scalar(_THERE) if db.dialect.has_table(db, "alembic_version") else None
    if there != head():
        from bridge.store import schema  # knows in words what is wrong

        schema.check(database)
