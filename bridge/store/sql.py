"""Statements written once and sent as they are: building them anew each time costs more than they do."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql

#: A row of any shape: which columns it has is said by the statement beside it.
AnyRow = tuple[Any, ...]


class Hand(NamedTuple):
    """A transaction under way, without anything around the driver's own cursor."""

    cursor: Any  # sqlite3.Cursor or psycopg.Cursor
    dialect: str
    writes: bool = False  # then what is read on it may be rolled back still

    @classmethod
    def of(cls, db: "Hand | Connection") -> "Hand":
        """The same of a connection of SQLAlchemy's, within its transaction."""
        if isinstance(db, Hand):
            return db
        return cls(db.connection.cursor(), db.dialect.name, bool(db.get_execution_options().get("immediate")))


_POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own class has no types
_INSERT = re.compile(r"(INSERT INTO \w+ \((.*?)\) )VALUES \([?, ]+\)(.*)", re.DOTALL)


def _as_arrays(text: str, table: Table) -> str:
    """An `INSERT` of one row as one of many, whose columns are arrays."""
    found = _INSERT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    before, names, after = found.groups()
    kinds = [table.c[name].type.compile(_POSTGRESQL) for name in names.split(", ")]
    return f"{before}SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in kinds)}){after}"


#: Longer lists are asked for seldom: their text is made each time.
_LONGEST_KEPT = 4096


class Sql:
    """One statement for both databases, with `?` for each value.

    `IN ({})` in it stands for a list whose length is known at the call, and whose values come last; `[FOR …]` is said
    to PostgreSQL only, because on SQLite writers take turns. The length is rounded up to a power of two and the last
    value said again, which `IN` does not mind: so only a few texts are kept, by us and by the database.
    """

    def __init__(self, text: str, table: Table | None = None) -> None:
        """`table`: of an `INSERT`, whose rows never have the same key twice: PostgreSQL is told all of them at once."""
        plain, _, lock = text.partition("[")
        self._arrays = "" if table is None else _as_arrays(plain, table)
        self._texts = {"sqlite": plain, "postgresql": plain.replace("?", "%s") + lock.removesuffix("]")}
        self._listed: dict[tuple[str, int], str] = {}

    def rows(self, db: Hand | Connection, values: Sequence[Any] = (), listed: int | None = None) -> list[AnyRow]:
        """All rows of a query."""
        hand = Hand.of(db)
        hand.cursor.execute(*self._asked(hand.dialect, values, listed))
        found: list[AnyRow] = hand.cursor.fetchall()
        return found

    def run(self, db: Hand | Connection, values: Sequence[Any] = (), listed: int | None = None) -> int:
        """How many rows a statement changed."""
        hand = Hand.of(db)
        hand.cursor.execute(*self._asked(hand.dialect, values, listed))
        return int(hand.cursor.rowcount)

    def many(self, db: Hand | Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same statement for many rows; nothing for none."""
        hand = Hand.of(db)
        if len(rows) == 1:
            hand.cursor.execute(self._texts[hand.dialect], rows[0])
        elif rows and self._arrays and hand.dialect == "postgresql":
            self._columns(hand, rows)
        elif rows:
            hand.cursor.executemany(self._texts[hand.dialect], rows)

    def _columns(self, hand: Hand, rows: Sequence[tuple[Any, ...]]) -> None:
        """All rows in one statement, column by column: PostgreSQL takes many rows as some arrays."""
        hand.cursor.execute(self._arrays, [list(column) for column in zip(*rows, strict=True)])

    def _asked(self, dialect: str, values: Sequence[Any], listed: int | None) -> tuple[str, Sequence[Any]]:
        if listed is None:
            return self._texts[dialect], values
        if listed > _LONGEST_KEPT:
            return self._written(dialect, listed), values
        length = 1 << (listed - 1).bit_length() if listed else 0
        text = self._listed.get((dialect, length))
        if text is None:
            text = self._listed[dialect, length] = self._written(dialect, length)
        return text, values if length == listed else (*values, *[values[-1]] * (length - listed))

    def _written(self, dialect: str, length: int) -> str:
        places = ", ".join(["?" if dialect == "sqlite" else "%s"] * length) or "NULL"
        return self._texts[dialect].replace("{}", places)
