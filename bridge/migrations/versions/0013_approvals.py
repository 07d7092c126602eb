"""Dangerous acts that wait for a second person."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("act", sa.String(24), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("approved", sa.BigInteger()),
        sa.Column("approved_by", sa.Text()),
        sa.Column("done", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
    )
