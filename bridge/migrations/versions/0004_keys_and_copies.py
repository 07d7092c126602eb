"""When a key came into use, and whose data was destroyed: for rotation and for restoring backups."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the journal and the moment."""
    op.add_column("keys_used", sa.Column("since", AwareDateTime(), nullable=True))
    op.create_table(
        "erasures",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("time", AwareDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
