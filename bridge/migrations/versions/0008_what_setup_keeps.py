"""Secrets that platforms told `setup`, and how many readers complained on a day."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0008"
down_revision = "0009"


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "esp_secrets",
        sa.Column("adapter", sa.String(32), nullable=False),
        sa.Column("setting", sa.String(64), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("kid", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("since", AwareDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("adapter", "setting", "place"),
    )
    op.create_table(
        "complaints",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "purpose"),
    )
