"""The store: people, events, records, work, stop list, wordings, limits.

Triggers are not made here: `bridge.store.schema.upgrade` makes them anew after every migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "events",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("subject", NUMBER, nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("type", sa.String(length=20), nullable=True),
        sa.Column("purpose", sa.String(length=32), nullable=True),
        sa.Column("time", TIME, nullable=True),
        sa.Column("received", TIME, nullable=True),
        sa.Column("asked", TIME, nullable=True),
        sa.Column("until", TIME, nullable=True),
        sa.Column("source", sa.String(length=32), nullable=True),
        sa.Column("method", sa.String(length=20), nullable=True),
        sa.Column("channel", sa.String(length=32), nullable=True),
        sa.Column("notice", sa.SmallInteger(), nullable=True),
        sa.Column("report", sa.String(length=22), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("report", name=op.f("uq_events_report")),
        sa.UniqueConstraint("subject", "number", name=op.f("uq_events_subject_number")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "keys_used",
        sa.Column("ring", sa.String(length=8), nullable=False),
        sa.Column("kid", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("ring", "kid"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=22), nullable=False),
        sa.Column("work", sa.String(length=24), nullable=False),
        sa.Column("subject", NUMBER, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("made", TIME, nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("leased", TIME, nullable=True),
        sa.Column("lease", sa.String(length=22), nullable=True),
        sa.Column("handed", TIME, nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_outbox_due"), "outbox", ["due"], unique=False)
    op.create_index(op.f("ix_outbox_subject"), "outbox", ["subject"], unique=False)
    op.create_table(
        "person_keys",
        sa.Column("subject", NUMBER, autoincrement=False, nullable=False),
        sa.Column("kid", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "pushes",
        sa.Column("subject", NUMBER, autoincrement=False, nullable=False),
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("put", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stop", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("due", TIME, nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("leased", TIME, nullable=True),
        sa.Column("lease", sa.String(length=22), nullable=True),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("subject", "adapter"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_pushes_due",
        "pushes",
        ["adapter", "stop", "due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "records",
        sa.Column("subject", NUMBER, autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "purpose"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_records_requested",
        "records",
        ["since"],
        unique=False,
        sqlite_where=sa.text("status = 'requested'"),
        postgresql_where=sa.text("status = 'requested'"),
    )
    op.create_table(
        "stop_list",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("kid", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("hash", "scope"),
    )
    op.create_table(
        "subjects",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=22), nullable=False),
        sa.Column("kid", sa.String(length=16), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("mark", sa.String(length=10), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id", name=op.f("uq_subjects_id")),
        sa.UniqueConstraint("lookup", name=op.f("uq_subjects_lookup")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_subjects_mark"), "subjects", ["mark"], unique=False)
    op.create_table(
        "throttle",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("bucket", sa.LargeBinary(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_throttle_bucket_time", "throttle", ["bucket", "time"], unique=False)
    op.create_index(op.f("ix_throttle_time"), "throttle", ["time"], unique=False)
    op.create_table(
        "wordings",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("first_used", TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
        sa.UniqueConstraint("purpose", "version", "language", name=op.f("uq_wordings_purpose_version_language")),
    )
