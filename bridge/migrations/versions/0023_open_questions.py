"""Questions that wait for a yes, how a person can be told from a scanner, and by which road each yes came."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "open_questions",
        sa.Column("subject", number, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("request", sa.String(22), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(22)),
        sa.Column("domain", sa.LargeBinary()),
        sa.Column("sent", sa.BigInteger()),
        sa.Column("coded", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("tries", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("held", sa.BigInteger()),
        sa.Column("doubt", sa.String(16)),
        sa.PrimaryKeyConstraint("subject", "kind", "request"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_open_questions_asked", "open_questions", ["asked"])
    placed = sa.text("place IS NOT NULL")
    op.create_index(
        "ix_open_questions_place", "open_questions", ["place"], sqlite_where=placed, postgresql_where=placed
    )
    op.create_table(
        "confirm_roads",
        sa.Column("channel", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("road", sa.String(12), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "road"),
        sqlite_with_rowid=False,
    )
