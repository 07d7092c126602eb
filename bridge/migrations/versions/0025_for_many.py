"""What would be read whole where there are many people: mails in the order they are taken up, and open requests."""

import sqlalchemy as sa

from bridge.migrations.indexes import create_index

revision = "0025"
down_revision = "0023"
concurrently = True


def upgrade() -> None:
    """Make the indexes."""
    for name, word in (("wishes", "NOT IN"), ("waves", "IN")):
        which = sa.text(f"work {word} ('mail:repermission', 'mail:breach')")
        create_index(f"ix_outbox_{name}", "outbox", ["due"], sqlite_where=which, postgresql_where=which)
    is_open = sa.text("closed IS NULL")
    create_index("ix_cases_open", "cases", ["due"], sqlite_where=is_open, postgresql_where=is_open)
