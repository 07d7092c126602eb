"""A former address as the stop list knows it: nothing mails it again when whoever moved away is erased (SUP-05)."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; of addresses that were left before, nothing can tell it any more."""
    op.add_column("former", sa.Column("stop", sa.LargeBinary(), nullable=True))
