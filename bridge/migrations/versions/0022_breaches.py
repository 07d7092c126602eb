"""The register of breaches, and who was written to about one."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "breaches",
        sa.Column("number", number, autoincrement=True, nullable=False),
        sa.Column("noticed", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger()),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "breach_notes",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("breach", number, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_breach_notes_breach", "breach_notes", ["breach"])
    op.create_table(
        "breach_told",
        sa.Column("breach", number, autoincrement=False, nullable=False),
        sa.Column("subject", number, autoincrement=False, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("breach", "subject"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_breach_told_subject", "breach_told", ["subject"])
    waits = sa.text("state = 0")
    op.create_index(
        "ix_breach_told_waits", "breach_told", ["breach", "subject"], sqlite_where=waits, postgresql_where=waits
    )
