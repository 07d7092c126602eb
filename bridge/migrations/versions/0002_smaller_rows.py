"""Smaller rows: words as numbers, times as whole microseconds on both databases, half as long hashes for look-up.

The clear columns are no part of the digest, so history stays what it was: sealed bytes and digests are copied.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

from bridge.tables import EVENT_TYPES, METHODS, STATUSES

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_NAMED = {"events": ("purpose", "source", "channel"), "records": ("purpose",)}
_CODED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "events": {"type": EVENT_TYPES, "method": METHODS},
    "records": {"status": STATUSES},
}
_TIMES = {
    "events": ("time", "received", "asked", "until"),
    "records": ("since",),
    "pushes": ("due", "leased"),
    "outbox": ("made", "due", "leased", "handed"),
    "stop_list": ("since",),
    "wordings": ("first_used",),
    "throttle": ("time",),
}


def upgrade() -> None:
    """Rewrite events and records; shorten the look-up hashes."""
    op.create_table(
        "names",
        sa.Column("number", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("text", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("text", name=op.f("uq_names_text")),
    )
    for table, columns in _NAMED.items():
        for column in columns:
            op.execute(
                f"INSERT INTO names (text) SELECT DISTINCT {column} FROM {table} "
                f"WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT text FROM names) ORDER BY {column}"
            )
    if op.get_bind().dialect.name == "postgresql":
        _change()
    else:
        _rewrite()
    op.execute("UPDATE subjects SET lookup = substr(lookup, 1, 16)")
    op.drop_column("subjects", "created")  # her first event says it


def _change() -> None:
    """PostgreSQL changes columns where they are."""
    op.drop_index("ix_records_requested", "records")
    op.execute("ALTER TABLE events DISABLE TRIGGER USER")  # made anew, and on, after every migration
    op.execute("ALTER TABLE events DROP CONSTRAINT uq_events_report")
    for table, times in _TIMES.items():
        for column in times:
            asked = f"(extract(epoch FROM {column}) * 1000000)::bigint"
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint USING {asked}")
    for table, coded in _CODED.items():
        for column, words in coded.items():
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE smallint USING {_code(column, words)}")
    for table, columns in _NAMED.items():
        for column in columns:  # a column's new value may not be looked up elsewhere, so the words are written out
            found = op.get_bind().execute(sa.text("SELECT number, text FROM names")).all()
            cases = " ".join(f"WHEN '{_quoted(text)}' THEN {number}" for number, text in found)
            asked = f"CASE {column} {cases} END" if cases else "NULL"
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE smallint USING ({asked})::smallint")
    op.execute("UPDATE events SET received = NULL WHERE received = time")
    _make_indexes()


def _rewrite() -> None:
    """SQLite keeps a column's kind for ever: the tables are written anew."""
    op.rename_table("events", "events_before")
    op.rename_table("records", "records_before")
    op.create_table(
        "events",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("subject", NUMBER, nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("type", sa.SmallInteger(), nullable=True),
        sa.Column("purpose", sa.SmallInteger(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=True),
        sa.Column("asked", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.SmallInteger(), nullable=True),
        sa.Column("method", sa.SmallInteger(), nullable=True),
        sa.Column("channel", sa.SmallInteger(), nullable=True),
        sa.Column("notice", sa.SmallInteger(), nullable=True),
        sa.Column("report", sa.String(length=22), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject", "number", name=op.f("uq_events_subject_number")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "records",
        sa.Column("subject", NUMBER, autoincrement=False, nullable=False),
        sa.Column("purpose", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "purpose"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO events SELECT id, subject, number, "
        f"{_code('type', EVENT_TYPES)}, {_name('purpose')}, time, nullif(received, time), asked, until, "
        f"{_name('source')}, {_code('method', METHODS)}, {_name('channel')}, notice, report, sealed, digest "
        "FROM events_before ORDER BY id"
    )
    op.execute(
        f"INSERT INTO records SELECT subject, {_name('purpose')}, {_code('status', STATUSES)}, since, number "
        "FROM records_before"
    )
    op.drop_table("events_before")
    op.drop_table("records_before")
    _make_indexes()


def _make_indexes() -> None:
    where = sa.text("report IS NOT NULL")
    op.create_index("ix_events_report", "events", ["report"], unique=True, sqlite_where=where, postgresql_where=where)
    requested = sa.text("status = 2")
    op.create_index("ix_records_requested", "records", ["since"], sqlite_where=requested, postgresql_where=requested)


def _code(column: str, words: Sequence[str]) -> str:
    """The number of a word, as SQL."""
    cases = " ".join(f"WHEN '{word}' THEN {number}" for number, word in enumerate(words, start=1))
    return f"CASE {column} {cases} END"


def _name(column: str) -> str:
    """The number of a name, as SQL."""
    return f"(SELECT n.number FROM names n WHERE n.text = {column})"


def _quoted(text: str) -> str:
    return text.replace("'", "''")
