"""`INSERT … ON CONFLICT` for SQLAlchemy's builder, which has one for each database: only the one in use is loaded."""

from typing import TYPE_CHECKING

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_into(table: Table, dialect: str) -> "Insert":
    """An insert into a table that knows what to do where a row is there; both databases' builders say it alike."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)  # type: ignore[return-value]  # the same methods by the same names
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
