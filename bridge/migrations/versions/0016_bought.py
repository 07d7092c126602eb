"""Which channels brought somebody else's lists, and how many of the people who are gone had confirmed, by channel."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "bought",
        sa.Column("channel", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("channel"),
        sqlite_with_rowid=False,
    )
    op.add_column("unanswered", sa.Column("confirmed", sa.BigInteger(), nullable=False, server_default="0"))
