"""The triggers that keep history what it was: which of them are there. Without migrations, which load slowly."""

from sqlalchemy import Connection, text

from bridge.tables import TRIGGERS

_THERE = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
}


def missing_triggers(db: Connection) -> set[str]:
    """The triggers that should keep history and are dropped or switched off: `verify` says so, `upgrade` mends it."""
    asked = _THERE[db.dialect.name]
    return set(TRIGGERS[db.dialect.name]) - set(db.scalars(text(asked)))
