"""Words that rows repeat (purposes, channels, sources), each written once and known by a number."""

from collections.abc import Collection

from sqlalchemy import Connection

from bridge.store.engine import Database
from bridge.store.sql import Hand, Sql

_ALL = Sql("SELECT number, text FROM names")
_ADD = Sql("INSERT INTO names (text) VALUES (?) ON CONFLICT DO NOTHING")


class Names:
    """Numbers to words and back, kept in memory.

    Only what was read on a connection of its own is kept: a number that is written by a transaction under way may
    still be rolled back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def text(self, db: Hand | Connection, number: int) -> str:
        """The word of a number that `db` just read; it may have been written by the transaction under way."""
        found = self._texts.get(number)
        if found is None:
            self.read()
            found = self._texts.get(number) or _read(db).get(number)
        return f"?{number}" if found is None else found  # a spoilt number must not keep `verify` from naming it

    def numbers(self, db: Hand | Connection, texts: Collection[str]) -> dict[str, int]:
        """The numbers of these words, written within this transaction where they are new."""
        known = self._numbers
        if not all(text in known for text in texts):
            self.read()
            known = self._numbers
        new = sorted(set(texts) - known.keys())
        if not new:
            return {text: known[text] for text in texts}
        _ADD.many(db, [(text,) for text in new])
        there = {text: number for number, text in _read(db).items()}
        return {text: there[text] for text in texts}

    def number(self, text: str) -> int:
        """The number of a word, 0 where it has none. Writes nothing."""
        if text not in self._numbers:
            self.read()
        return self._numbers.get(text, 0)

    def read(self) -> None:
        """Take in what is there now."""
        with self._database.looking() as db:
            self._texts = _read(db)
        self._numbers = {text: number for number, text in self._texts.items()}


def _read(db: Hand | Connection) -> dict[int, str]:
    return {row[0]: row[1] for row in _ALL.rows(db)}
