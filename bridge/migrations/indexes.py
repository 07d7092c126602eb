"""How a migration makes an index on a table that is in use: beside readers and writers, who go on."""

from typing import Any

from alembic import op


def create_index(name: str, table: str, columns: list[Any], **more: Any) -> None:
    """Make an index. What a killed attempt left half made is taken away first: nobody uses it, and all write to it.

    On PostgreSQL it is made concurrently, and its migration says so (`concurrently = True`, see `bridge.store.schema`),
    but for an empty database, which is made in one transaction.
    """
    if op.get_context().opts.get("concurrently"):
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        more |= {"postgresql_concurrently": True, "if_not_exists": True}
    op.create_index(name, table, columns, **more)
