"""Whether the database is at this program's schema, asked at each start: without the migrations' tools."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sqlalchemy import String, column, select, table

from bridge.store.engine import Database

_VERSIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_NAMED = re.compile(r'^(revision|down_revision)\b.*= "(\w+)"$', re.MULTILINE)
_ADDS = re.compile(r"\d{4}_from_(\d{4})")
_THERE = select(column("version_num", String)).select_from(table("alembic_version"))


@cache
def _named() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in _VERSIONS.glob("*.py"):
        for which, value in _NAMED.findall(path.read_text(encoding="utf-8")):
            found[which].add(value)
    return {which: frozenset(values) for which, values in found.items()}


@cache
def head() -> str:
    """The schema this program needs: that of the migration which no other one follows."""
    (last,) = _named()["revision"] - _named()["down_revision"]
    return last


def there(database: Database) -> str | None:
    """The schema that the database has; None when it is empty. Raises `StoreAway`."""
    with database.reading() as db:
        found: str | None = db.scalar(_THERE) if db.dialect.has_table(db, "alembic_version") else None
        return found


def fits(found: str | None) -> bool:
    """Whether a newer program's schema says by its name that this program may go on with it.

    `0031_from_0029` was made by migrations that only add since 0029, so programs that know 0029 still run on it.
    """
    ours, named = _named()["revision"], _ADDS.fullmatch(found or "")
    return named is not None and found not in ours and named[1] in {name[:4] for name in ours}


def check(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this program's schema, or at one that it may go on with."""
    found = there(database)
    if found != head() and not fits(found):
        from bridge.store import schema  # knows in words what is wrong

        schema.check(database)
