"""Asking contacts without proof once more: campaigns, their waves, and who was asked, ever."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("countries", sa.Text(), nullable=False),
        sa.Column("notice", sa.SmallInteger(), nullable=False),
        sa.Column("answer_days", sa.SmallInteger(), nullable=False),
        sa.Column("eligible", sa.Integer(), nullable=False),
        sa.Column("upto", number, nullable=False),
        sa.Column("done", number, nullable=False),
        sa.Column("wave", sa.SmallInteger(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger()),
        sa.Column("ended", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "waves",
        sa.Column("campaign", sa.String(22), nullable=False),
        sa.Column("wave", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("begun", sa.BigInteger(), nullable=False),
        sa.Column("watched", sa.BigInteger()),
        *(
            sa.Column(name, sa.Integer(), nullable=False, server_default="0")
            for name in ("yes", "no", "complained", "bounced", "removed")
        ),
        sa.PrimaryKeyConstraint("campaign", "wave"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "asked",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("campaign", sa.String(22)),
        sa.Column("wave", sa.SmallInteger()),
        sa.Column("subject", number),
        sa.Column("mail", sa.String(22)),
        sa.Column("sent", sa.BigInteger()),
        sa.Column("due", sa.BigInteger()),
        sa.Column("returned", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asked_campaign_wave", "asked", ["campaign", "wave"])
    for name in ("subject", "mail", "due"):
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_asked_{name}", "asked", [name], sqlite_where=there, postgresql_where=there)
