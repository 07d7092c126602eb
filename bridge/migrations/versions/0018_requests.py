"""Requests of people by letter or phone, with their clocks."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "cases",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("received", sa.String(10), nullable=False),
        sa.Column("due", sa.String(10), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("kid", sa.String(16)),
        sa.Column("lookup", sa.LargeBinary()),
        sa.Column("wrapped", sa.LargeBinary()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("acted", sa.BigInteger()),
        sa.Column("asked", sa.BigInteger()),
        sa.Column("verified", sa.BigInteger()),
        sa.Column("how", sa.String(12)),
        sa.Column("extended", sa.BigInteger()),
        sa.Column("closed", sa.BigInteger()),
        sa.Column("closed_by", sa.Text()),
        sa.Column("refused", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_cases_lookup", "cases", ["lookup"])
