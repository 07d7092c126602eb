"""How far a comparison with an ESP has come, ESPs that are given up, and who may be off whatever her status."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0007"
down_revision = "0006"

_CLOSERS = sa.text("type IN (11, 12, 14, 16, 23, 24)")


def upgrade() -> None:
    """Two small tables, and an index of few events."""
    op.create_table(
        "comparisons",
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("made", AwareDateTime(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("adapter"),
    )
    op.create_table(
        "retired",
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("time", AwareDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("adapter"),
    )
    op.create_index(
        "ix_events_closers", "events", ["subject"], sqlite_where=_CLOSERS, postgresql_where=_CLOSERS, unique=False
    )
