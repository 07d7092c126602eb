"""Whether the database is at this program's schema, asked at each start: without the migrations' tools."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bridge.store.engine import Database

_VERSIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_NAMED = re.compile(r'^(revision|down_revision)\b.*= "(\w+)"$', re.MULTILINE)
_ADDS = re.compile(r"\d{4}_from_(\d{4})")
#: Whether the table that names the schema is there: asked in the database's own words, which costs a start less.
_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE name = 'alembic_version'",
    "postgresql": "SELECT to_regclass('alembic_version')",
}


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
    with database.looking() as db:
        named = db.cursor.execute(_NAMES[db.dialect]).fetchone()
        if not named or named[0] is None:
            return None
        found = db.cursor.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found[0]) if found else None


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
