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
_INSERT = re.compile(r"(INSERT INTO (\w+) \((.*?)\) )VALUES \([?, ]+\)(.*)", re.DOTALL)


def _for_many(text: str, table: Table) -> tuple[str, str]:
    """An `INSERT` of one row as PostgreSQL takes many: with an array for each column; and as `COPY`."""
    found = _INSERT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    before, name, columns, after = found.groups()
    kinds = [table.c[column].type.compile(_POSTGRESQL) for column in columns.split(", ")]
    arrays = ", ".join(f"%b::{kind}[]" for kind in kinds)  # %b: as bytes, at a fifth of what escaping them takes
    return f"{before}SELECT * FROM unnest({arrays}){after}", f"COPY {name} ({columns}) FROM STDIN"


#: Longer lists are asked for seldom: their text is made each time.
_LONGEST_KEPT = 4096


class Sql:
    """One statement for both databases, with `?` for each value.

    `IN ({})` in it stands for a list whose length is known at the call, and whose values come last; `[FOR …]` is said
    to PostgreSQL only, because on SQLite writers take turns. PostgreSQL is told the list as one array. For SQLite its
    length is rounded up to a power of two and the last value said again, which `IN` does not mind: so only a few texts
    are kept.
    """

    def __init__(self, text: str, table: Table | None = None) -> None:
        """`table`: of an `INSERT`, whose rows never have the same key twice: PostgreSQL is told all of them at once."""
        plain, _, lock = text.partition("[")
        self._arrays, self._copy = ("", "") if table is None else _for_many(plain, table)
        array = plain.replace("IN ({})", "= ANY(%b)")
        self._texts = {"sqlite": plain, "postgresql": array.replace("?", "%s") + lock.removesuffix("]")}
        self._listed: dict[int, str] = {}

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

    def many(self, db: Hand | Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """The same statement for many rows; nothing for none. How many rows it changed."""
        hand = Hand.of(db)
        if not rows:
            return 0
        if len(rows) == 1:
            hand.cursor.execute(self._texts[hand.dialect], rows[0])
        elif self._arrays and hand.dialect == "postgresql":
            hand.cursor.execute(self._arrays, [list(column) for column in zip(*rows, strict=True)])
        else:
            hand.cursor.executemany(self._texts[hand.dialect], rows)
        return int(hand.cursor.rowcount)

    def fresh(self, db: Hand | Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """An `INSERT` of many rows none of whose keys is there; what is said for that case is not looked at."""
        hand = Hand.of(db)
        if hand.dialect == "sqlite" or not rows:
            self.many(hand, rows)
            return
        with hand.cursor.copy(self._copy) as copy:
            for row in rows:
                copy.write_row(row)

    def _asked(self, dialect: str, values: Sequence[Any], listed: int | None) -> tuple[str, Sequence[Any]]:
        text = self._texts[dialect]
        if listed is None:
            return text, values
        if dialect == "postgresql":
            before = len(values) - listed
            return text, [*values[:before], list(values[before:])]
        if listed > _LONGEST_KEPT:
            return _written(text, listed), values
        length = 1 << (listed - 1).bit_length() if listed else 0
        if length not in self._listed:
            self._listed[length] = _written(text, length)
        return self._listed[length], values if length == listed else (*values, *[values[-1]] * (length - listed))


def _written(text: str, length: int) -> str:
    return text.replace("{}", ", ".join(["?"] * length) or "NULL")
