"""Jobs of ESPs, the connections they allow, and what each was told last."""

import sqlalchemy as sa
from alembic import op

from bridge.tables import AwareDateTime

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Two tables and one column."""
    op.create_table(
        "connections",
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("lease", sa.String(length=22), nullable=False),
        sa.Column("until", AwareDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("adapter", "slot"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "esp_jobs",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("adapter", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("carried", sa.LargeBinary(), nullable=False),
        sa.Column("made", AwareDateTime(), nullable=False),
        sa.Column("due", AwareDateTime(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("leased", AwareDateTime(), nullable=True),
        sa.Column("lease", sa.String(length=22), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_esp_jobs_due", "esp_jobs", ["adapter", "due"], unique=False)
    op.add_column("pushes", sa.Column("told", sa.BigInteger(), nullable=True))
    # Jobs were named in the rows themselves, in another form: whoever was in one is told again, as things are now.
    op.execute("UPDATE pushes SET job = NULL WHERE job IS NOT NULL")
