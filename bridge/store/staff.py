"""Who did what, why and when: every act of staff that changes something about people or rules, or opens what is kept
of them (ORG-02, GDPR 5(2)). Of readers it knows kinds and counts only, so nobody's erasure has to look here."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.store.sql import Hand, Sql
from bridge.tables import staff_log
from bridge.vault import new_id
from bridge.vocabulary import micros

#: What an act was about: kinds (words of ours, ids of papers and campaigns) and counts. Never anything of a person.
About = Mapping[str, int | str]

LONGEST_REASON = 300

_KIND = re.compile(r"[A-Za-z0-9_.:/,-]{0,64}")
_NOTE = Sql("INSERT INTO staff_log (time, act, stage, run, person, reason, about) VALUES (?, ?, ?, ?, ?, ?, ?)")
_AT_ONCE = 500


class Stage(StrEnum):
    """How far an act had come when an entry was written."""

    BEGAN = "began"
    ASKED = "asked"  # it waits for another person's word
    DONE = "done"
    FAILED = "failed"  # it ended with an error; what it had done until then may stand


class Deed(NamedTuple):
    """One act, whose entries belong together by `run`."""

    act: str
    by: str
    reason: str
    run: str


class Noted(NamedTuple):
    """One entry. Person, reason and about are empty once its time is over."""

    number: int
    time: datetime
    act: str
    stage: str
    run: str
    person: str | None
    reason: str | None
    about: dict[str, int | str]


class StaffLog:
    """Writes and reads the staff log. Entries are never changed; when their time is over they are blanked."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def deed(self, act: str, *, by: str, reason: str = "") -> Deed:
        """An act that is about to begin. Raises `BadInput` for a reason that may name a reader."""
        return Deed(act, by, checked(reason), new_id())

    def note(self, deed: Deed, stage: Stage = Stage.DONE, about: About | None = None) -> None:
        """Write an entry in a transaction of its own."""
        self._database.write(lambda db: self.write(db, deed, stage, about))

    def write(self, db: Hand | Connection, deed: Deed, stage: Stage = Stage.DONE, about: About | None = None) -> None:
        """Write an entry in the transaction of the act itself: both stand, or neither."""
        told = None if not about else _text(about)
        row = (micros(self._clock()), deed.act, stage.value, deed.run, deed.by, deed.reason or None, told)
        _NOTE.run(db, row)

    def entries(self, since: datetime | None = None) -> Iterator[Noted]:
        """The entries since a moment, oldest first; no transaction is held between batches."""
        last = 0
        while True:
            query = select(staff_log).where(staff_log.c.number > last).order_by(staff_log.c.number).limit(_AT_ONCE)
            if since is not None:
                query = query.where(staff_log.c.time >= since)
            with self._database.reading() as db:
                rows = db.execute(query).all()
            if not rows:
                return
            yield from (_noted(row) for row in rows)
            last = rows[-1].number

    def count_late(self, before: datetime) -> int:
        """How many entries from before then still say who and why."""
        with self._database.reading() as db:
            return db.scalar(select(func.count()).select_from(staff_log).where(_late(before))) or 0

    def forget(self, before: datetime) -> int:
        """Forget who, why and about what of entries from before then; that it was done, and when, stays. How many."""
        done = 0
        while True:
            with self._database.writing() as db:
                few = select(staff_log.c.number).where(_late(before)).order_by(staff_log.c.number).limit(_AT_ONCE)
                numbers = list(db.scalars(few))
                blank = update(staff_log).where(staff_log.c.number.in_(numbers), staff_log.c.person.is_not(None))
                db.execute(blank.values(person=None, reason=None, about=None))
            done += len(numbers)
            if len(numbers) < _AT_ONCE:
                return done


def _late(before: datetime) -> ColumnElement[bool]:
    return and_(staff_log.c.time < before, staff_log.c.person.is_not(None))


def _noted(row: Any) -> Noted:
    about = json.loads(row.about) if row.about else {}
    return Noted(row.number, row.time, row.act, row.stage, row.run, row.person, row.reason, about)


def checked(reason: str) -> str:
    """A reason in one line. Raises `BadInput` for what is, or may hold, an address: nobody erases it here."""
    text = " ".join(reason.split())
    if len(text) > LONGEST_REASON:
        raise BadInput(f"the reason is longer than {LONGEST_REASON} characters")
    if "@" in text or not text.isprintable():
        raise BadInput("a reason names no reader and holds no address: name the case or the letter, as in: letter 12")
    return text


def _text(about: About) -> str:
    """As it is kept. A value that is neither a count nor a word of ours is a mistake of the program."""
    for key, value in about.items():
        if not isinstance(value, int) and not _KIND.fullmatch(value):
            raise ValueError(f"the staff log takes kinds and counts only, not {key!r}")
    return json.dumps(dict(about), separators=(",", ":"), sort_keys=True)
