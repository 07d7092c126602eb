"""Statements written once and sent as they are: building them anew each time costs more than they do."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

#: A row of any shape: which columns it has is said by the statement beside it.
AnyRow = tuple[Any, ...]


class Hand(NamedTuple):
    """A transaction under way, without anything around the driver's own cursor."""

    cursor: Any  # sqlite3.Cursor or psycopg.Cursor
    dialect: str

    @classmethod
    def of(cls, db: "Hand | Connection") -> "Hand":
        """The same of a connection of SQLAlchemy's, within its transaction."""
        return db if isinstance(db, Hand) else cls(db.connection.cursor(), db.dialect.name)


class Sql:
    """One statement for both databases, with `?` for each value.

    `{}` in it stands for the places of a list whose length is known at the call; `[FOR …]` is said to PostgreSQL only,
    because on SQLite writers take turns.
    """

    def __init__(self, text: str) -> None:
        plain, _, lock = text.partition("[")
        self._texts = {"sqlite": plain, "postgresql": plain.replace("?", "%s") + lock.removesuffix("]")}
        self._listed: dict[tuple[str, int], str] = {}

    def rows(self, db: Hand | Connection, values: Sequence[Any] = (), listed: int | None = None) -> list[AnyRow]:
        """All rows of a query."""
        hand = Hand.of(db)
        hand.cursor.execute(self._text(hand.dialect, listed), values)
        found: list[AnyRow] = hand.cursor.fetchall()
        return found

    def run(self, db: Hand | Connection, values: Sequence[Any] = (), listed: int | None = None) -> int:
        """How many rows a statement changed."""
        hand = Hand.of(db)
        hand.cursor.execute(self._text(hand.dialect, listed), values)
        return int(hand.cursor.rowcount)

    def many(self, db: Hand | Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same statement for many rows; nothing for none."""
        hand = Hand.of(db)
        if len(rows) == 1:
            hand.cursor.execute(self._texts[hand.dialect], rows[0])
        elif rows:
            hand.cursor.executemany(self._texts[hand.dialect], rows)

    def _text(self, dialect: str, listed: int | None) -> str:
        if listed is None:
            return self._texts[dialect]
        text = self._listed.get((dialect, listed))
        if text is None:
            places = ", ".join(["?" if dialect == "sqlite" else "%s"] * listed) or "NULL"
            text = self._texts[dialect].replace("{}", places)
            self._listed[dialect, listed] = text
        return text
