"""Who must still be erased at a mailing platform, each address under a key of its own (decision 20)."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "erase_work",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("adapter", sa.String(32), nullable=False),
        sa.Column("kid", sa.String(16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("made", AwareDateTime(), nullable=False),
        sa.Column("jobs", sa.Text(), nullable=False),
        sa.Column("held", AwareDateTime(), nullable=True),
        sa.Column("calm", AwareDateTime(), nullable=False),
        sa.Column("told", AwareDateTime(), nullable=True),
        sa.Column("due", AwareDateTime(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("leased", AwareDateTime(), nullable=True),
        sa.Column("lease", sa.String(22), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_erase_work_due", "erase_work", ["adapter", "due"])
