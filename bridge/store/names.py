"""Words that rows repeat (purposes, channels, sources), each written once and known by a number."""

from collections.abc import Collection

from sqlalchemy import Connection

from bridge.store.engine import Database
from bridge.store.sql import Hand, Sql

_ALL = Sql("SELECT number, text FROM names")
_ADD = Sql("INSERT INTO names (text) VALUES (?) ON CONFLICT DO NOTHING")


class Names:
    """Numbers to words and back, kept in memory.

    What is read within a transaction that may have written some is not kept: they may still be rolled back. It is read
    on the connection at hand all the same: of many writers, each would hold one and wait for a second.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._behind = False

    def text(self, db: Hand | Connection, number: int) -> str:
        """The word of a number that `db` just read; it may have been written by the transaction under way."""
        found = self._texts.get(number)
        if found is None:
            found = self._look(db).get(number)
        return f"?{number}" if found is None else found  # a spoilt number must not keep `verify` from naming it

    def numbers(self, db: Hand, texts: Collection[str]) -> dict[str, int]:
        """The numbers of these words, written within this transaction where they are new."""
        known = self._numbers
        if not all(text in known for text in texts):
            known = {text: number for number, text in self._look(db).items()}
        new = sorted(set(texts) - known.keys())
        if not new:
            return {text: known[text] for text in texts}
        _ADD.many(db, [(text,) for text in new])
        there = {text: number for number, text in self._look(db).items()}
        return {text: there[text] for text in texts}

    def number(self, text: str) -> int:
        """The number of a word, 0 where it has none. Writes nothing."""
        if text not in self._numbers:
            self.read()
        return self._numbers.get(text, 0)

    def read(self) -> None:
        """Take in what is there now."""
        self._behind = False
        with self._database.looking() as db:
            self._look(db)

    def catch_up(self) -> None:
        """Take in what a transaction before met and could not keep. Called where no connection is held."""
        if self._behind:
            self.read()

    def _look(self, db: Hand | Connection) -> dict[int, str]:
        there: dict[int, str] = {row[0]: row[1] for row in _ALL.rows(db)}
        if isinstance(db, Hand) and db.writes:
            self._behind = True
        else:  # nobody but the one door writes words
            self._texts = there
            self._numbers = {text: number for number, text in there.items()}
        return there
