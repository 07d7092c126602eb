"""What people whom lists name without proof lack: for audits. Who came in before counts as lacking everything."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "unproven",
        sa.Column("subject", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("purpose", sa.SmallInteger(), nullable=False),
        sa.Column("missing", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "purpose"),
        sqlite_with_rowid=False,
    )
