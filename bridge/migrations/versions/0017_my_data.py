"""What readers do behind "my data": looks at what platforms hold, moves to a new address, who was told of what."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "looks",
        sa.Column("subject", number, nullable=False),
        sa.Column("adapter", sa.String(32), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger()),
        sa.Column("attempts", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("leased", sa.BigInteger()),
        sa.Column("lease", sa.String(22)),
        sa.Column("told", sa.BigInteger()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("subject", "adapter"),
        sqlite_with_rowid=False,
    )
    there = sa.text("due IS NOT NULL")
    op.create_index("ix_looks_due", "looks", ["adapter", "due"], sqlite_where=there, postgresql_where=there)
    op.create_table(
        "moves",
        sa.Column("subject", number, nullable=False),
        sa.Column("request", sa.String(22), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "corrections",
        sa.Column("subject", number, nullable=False),
        sa.Column("adapter", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("acted", sa.BigInteger(), nullable=False),
        sa.Column("confirmed", sa.BigInteger()),
        sa.PrimaryKeyConstraint("subject", "adapter", "number"),
        sqlite_with_rowid=False,
    )
    waits = sa.text("confirmed IS NULL")
    op.create_index("ix_corrections_adapter", "corrections", ["adapter"], sqlite_where=waits, postgresql_where=waits)
