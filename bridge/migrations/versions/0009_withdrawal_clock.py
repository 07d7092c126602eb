"""How long each stop took to reach each ESP (WDR-11), and whom an ESP takes back only by its own form."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0009"
down_revision = "0007"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Stops that are still on their way: their clocks have been running since the reader's act.
RUNNING = """
    INSERT INTO stop_clocks (subject, adapter, number, acted)
    SELECT events.subject, pushes.adapter, events.number, events.time
    FROM pushes JOIN events ON events.subject = pushes.subject AND events.number > pushes.put
    JOIN names ON names.number = events.source
    WHERE pushes.stop AND pushes.due IS NOT NULL AND names.text <> pushes.adapter
    AND events.type IN (5, 6, 7, 8, 9, 10, 11, 22, 25)
"""


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "stop_clocks",
        sa.Column("subject", NUMBER, autoincrement=False, nullable=False),
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("acted", AwareDateTime(), nullable=False),
        sa.Column("confirmed", AwareDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject", "adapter", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_stop_clocks_confirmed", "stop_clocks", ["adapter", "confirmed", "acted"], unique=False)
    op.execute(RUNNING)
    op.create_table(
        "gone_there",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_gone_there_adapter", "gone_there", ["adapter"], unique=False)
