"""Addresses people had before they moved, as keyed hashes (R13)."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "former",
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("kid", sa.String(16), nullable=False),
        sa.Column("subject", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("lookup"),
    )
    op.create_index("ix_former_subject", "former", ["subject"])
