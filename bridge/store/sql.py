"""Statements written once and sent as they are: building them anew each time costs more than they do."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

#: A row of any shape: which columns it has is said by the statement beside it.
AnyRow = Row[*tuple[Any, ...]]


class Sql:
    """One statement for both databases, with `?` for each value.

    `{}` in it stands for the places of a list whose length is known at the call; `[FOR …]` is said to PostgreSQL only,
    because on SQLite writers take turns.
    """

    def __init__(self, text: str) -> None:
        plain, _, lock = text.partition("[")
        self._texts = {"sqlite": plain, "postgresql": plain.replace("?", "%s") + lock.removesuffix("]")}
        self._listed: dict[tuple[str, int], str] = {}

    def rows(self, db: Connection, values: Sequence[Any] = (), listed: int | None = None) -> Sequence[AnyRow]:
        """All rows of a query."""
        return db.exec_driver_sql(self._text(db, listed), tuple(values)).all()

    def run(self, db: Connection, values: Sequence[Any] = (), listed: int | None = None) -> int:
        """How many rows a statement changed."""
        return db.exec_driver_sql(self._text(db, listed), tuple(values)).rowcount

    def many(self, db: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """The same statement for many rows; nothing for none."""
        if len(rows) == 1:
            db.exec_driver_sql(self._text(db, None), rows[0])
        elif rows:
            db.exec_driver_sql(self._text(db, None), list(rows))

    def _text(self, db: Connection, listed: int | None) -> str:
        name = db.dialect.name
        if listed is None:
            return self._texts[name]
        text = self._listed.get((name, listed))
        if text is None:
            places = ", ".join(["?" if name == "sqlite" else "%s"] * listed) or "NULL"
            text = self._texts[name].replace("{}", places)
            self._listed[name, listed] = text
        return text
