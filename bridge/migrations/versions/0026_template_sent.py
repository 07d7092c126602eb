"""Which words a mail said when it left: they may be others when its question is answered."""

import sqlalchemy as sa
from alembic import op

revision = "0026_from_0025"
down_revision = "0025"


def upgrade() -> None:
    """Make the column."""
    op.add_column("open_questions", sa.Column("template", sa.String(11)))
