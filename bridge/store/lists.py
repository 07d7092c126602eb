"""How far a list was taken in or carried out, so that a killed run goes on, and a list told again says nothing new."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import msgspec

from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.store.sql import Hand, Sql
from bridge.tables import moment
from bridge.vocabulary import Taken, micros

_COUNTS = ("done", "imported", "unchanged", "suppressed")
_FIND = Sql(f"SELECT begun, judged, rules, {', '.join(_COUNTS)} FROM lists WHERE hash = ?")
_BEGIN = Sql(
    f"INSERT INTO lists (hash, begun, judged, rules, {', '.join(_COUNTS)}) VALUES (?, ?, ?, ?, 0, 0, 0, 0) "
    "ON CONFLICT (hash) DO UPDATE SET judged = excluded.judged, rules = excluded.rules, "
    "done = 0, imported = 0, unchanged = 0, suppressed = 0 WHERE lists.done = 0 OR lists.rules <> excluded.rules"
)
_GO_ON = Sql(
    "UPDATE lists SET done = ?, imported = ?, unchanged = ?, suppressed = ? WHERE hash = ? AND done = ? AND judged = ?"
)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one list was taken in: lines done, and what became of those."""

    hash: bytes  # of the whole list and how it is read: keyed, so that it tells nobody who had which list
    begun: datetime  # when it was taken in for the first time
    judged: datetime  # its lines are judged as of then, by one policy: else a killed run would go on with other ones
    done: int = 0
    imported: int = 0
    unchanged: int = 0
    suppressed: int = 0

    def after(self, done: int, taken: Counter[Taken]) -> "Mark":
        """The same, some lines further."""
        return msgspec.structs.replace(
            self,
            done=done,
            imported=self.imported + taken[Taken.IMPORTED],
            unchanged=self.unchanged + taken[Taken.UNCHANGED],
            suppressed=self.suppressed + taken[Taken.SUPPRESSED],
        )


class ListBook:
    """The lists that were taken in, one row each; never a name or an address."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def look(self, hash_: bytes, rules: bytes) -> Mark:
        """How far a list is, without noting anything."""
        now = self._clock()
        with self._database.looking() as db:
            found = _found(db, hash_, rules)
        if found is None:
            return Mark(hash=hash_, begun=now, judged=now)
        return found if found.done else Mark(hash=hash_, begun=found.begun, judged=now)

    def begin(self, hash_: bytes, rules: bytes) -> Mark:
        """How far a list is: where a killed run stopped, if the policy is the same since; else at its first line."""
        now = micros(self._clock())

        def note(db: Hand) -> Mark:
            _BEGIN.run(db, (hash_, now, now, rules))
            mark = _found(db, hash_, rules)
            assert mark is not None  # noqa: S101 - it was just written
            return mark

        return self._database.write(note)

    def go_on(self, before: Mark, after: Mark) -> None:
        """Note how far it is now. Raises `BadInput` where another program does the same."""
        self._database.write(lambda db: go_on(db, before, after))

    def finish(self, mark: Mark) -> None:
        """The list is over: told again, it begins at its first line, and at the moment when it was first told."""
        over = msgspec.structs.replace(mark, done=0, imported=0, unchanged=0, suppressed=0)
        self.go_on(mark, over)


def go_on(db: Hand, before: Mark, after: Mark) -> None:
    """Note how far it is now, in the transaction that took the lines in. Raises where another program does the same."""
    row = (after.done, after.imported, after.unchanged, after.suppressed)
    if not _GO_ON.run(db, (*row, before.hash, before.done, micros(before.judged))):
        raise BadInput("this very list is in use by another program at this moment; let it finish")


def _found(db: Hand, hash_: bytes, rules: bytes) -> Mark | None:
    for begun, judged, by, *counts in _FIND.rows(db, (hash_,)):
        told = dict(zip(_COUNTS, counts, strict=True)) if bytes(by) == rules else {}
        return Mark(hash=hash_, begun=moment(begun), judged=moment(judged), **told)
    return None
