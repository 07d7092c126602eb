"""What each platform holds of a reader who asked to see it: asked for by a page, read by the dispatcher, kept a day.

The answer is sealed under her own key, goes with her when she is erased, and is forgotten when her address changes. It
is in no backup.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update

from bridge.store.engine import Database
from bridge.store.rows import Opened, Rows
from bridge.store.upserts import insert_into
from bridge.store.values import Person
from bridge.store.waiting import LEASE, NOW, PATIENCE, at, back_off, free
from bridge.tables import looks, subjects
from bridge.vault import new_id, seal, unseal

#: So long an answer is shown, and a question goes on being put.
KEPT = timedelta(days=1)

#: Whoever presses again so soon asks nothing new.
_SOON = timedelta(minutes=5)

_LONGEST_WAIT = timedelta(minutes=10)


class Copy(NamedTuple):
    """What one platform said that it holds of her. Without `facts` it has not answered yet."""

    adapter: str
    asked: datetime
    attempts: int  # so often it did not answer
    told: datetime | None = None
    facts: Mapping[str, str] | None = None  # its fields and their values, in its words; none = it holds nothing
    closed: bool = False  # it cannot be asked about one person


class Look(NamedTuple):
    """One person whom a platform is to be asked about, claimed."""

    person: Person
    adapter: str
    lease: str
    attempts: int


class _Answer(msgspec.Struct, array_like=True):
    facts: dict[str, str]
    closed: bool = False


class LookBook:
    """Questions to platforms about one reader each."""

    def __init__(self, database: Database, rows: Rows, clock: Callable[[], datetime]) -> None:
        self._database, self._rows, self._clock = database, rows, clock

    def ask(self, person: Person, adapters: Sequence[str]) -> None:
        """Have each platform asked what it holds of her; one that was asked a moment ago is left alone."""
        if not adapters:
            return
        now = self._clock()
        with self._database.writing() as db:
            here = select(subjects.c.number).where(subjects.c.id == person.id).with_for_update()
            if db.scalar(here) is None:  # erased at this moment
                return
            rows = [{"subject": person.number, "adapter": name, "asked": now, "due": now} for name in sorted(adapters)]
            new = insert_into(looks, self._database.dialect).values(rows)
            again = {"asked": now, "due": now, "attempts": 0, "leased": None, "lease": None}
            late = looks.c.asked <= now - _SOON
            db.execute(
                new.on_conflict_do_update(index_elements=[looks.c.subject, looks.c.adapter], set_=again, where=late)
            )

    def has_due(self, adapter: str) -> bool:
        """Whether anybody waits; asked without a lock."""
        with self._database.glancing() as db:
            return db.execute(_due(), at(self._clock(), adapter=adapter, most=1)).first() is not None

    def claim(self, adapter: str, most: int) -> list[Look]:
        """Whom this platform is to be asked about, leased to the caller."""
        lease = new_id()
        with self._database.writing() as db:
            now = self._clock()
            due = _due().with_for_update(skip_locked=True)
            rows = db.execute(due, at(now, adapter=adapter, most=most)).all()
            if not rows:
                return []
            mine = and_(looks.c.adapter == adapter, looks.c.subject.in_([row.subject for row in rows]))
            db.execute(update(looks).where(mine).values(leased=now + LEASE, lease=lease))
            people = self._rows.readable(db, [row.subject for row in rows])
        here = [row for row in rows if row.subject in people]
        return [Look(people[row.subject].person, adapter, lease, row.attempts) for row in here]

    def told(self, look: Look, facts: Mapping[str, str] | None) -> None:
        """Keep what the platform said; None = it cannot be asked about one person."""
        with self._database.writing() as db:
            opened = self._rows.people(db, [look.person.number]).get(look.person.number)
            if opened is None:
                return
            answer = msgspec.json.encode(_Answer(dict(facts or {}), closed=facts is None))
            sealed = seal(opened.key, answer, _about(opened, look.adapter))
            values = {"told": self._clock(), "sealed": sealed, "due": None, "leased": None, "lease": None}
            db.execute(update(looks).where(_mine(look)).values(values))

    def put_off(self, look: Look, wait: float | None) -> None:
        """It did not answer: again, ever more rarely."""
        due = self._clock() + back_off(look.attempts, _LONGEST_WAIT, wait)
        values = {"due": due, "attempts": look.attempts + 1, "leased": None, "lease": None}
        with self._database.writing() as db:
            db.execute(update(looks).where(_mine(look)).values(values))

    def forget(self) -> None:
        """What was asked longer than a day ago."""
        with self._database.writing() as db:
            db.execute(delete(looks).where(looks.c.asked <= self._clock() - KEPT))


def copies(db: Connection, opened: Opened, now: datetime) -> list[Copy]:
    """What platforms said of one person, and those that have not answered yet."""
    query = select(looks).where(looks.c.subject == opened.number, looks.c.asked > now - KEPT)
    found = []
    for row in db.execute(query.order_by(looks.c.adapter)):
        copy = Copy(row.adapter, row.asked, row.attempts)
        if row.sealed is not None:
            sealed = unseal(opened.key, row.sealed, _about(opened, row.adapter))
            answer = msgspec.json.decode(sealed, type=_Answer)
            copy = copy._replace(told=row.told, facts=answer.facts, closed=answer.closed)
        found.append(copy)
    return found


@cache
def _due() -> Any:
    # None waits so long: one that does was asked for before the clock was set back.
    late = or_(looks.c.due <= NOW, looks.c.due > PATIENCE)
    mine = (looks.c.adapter == bindparam("adapter"), late, free(looks.c.leased))
    return select(looks).where(*mine).order_by(looks.c.due).limit(bindparam("most"))


def _mine(look: Look) -> Any:
    return and_(looks.c.subject == look.person.number, looks.c.adapter == look.adapter, looks.c.lease == look.lease)


def _about(opened: Opened, adapter: str) -> str:
    return f"{opened.person.id}/at/{adapter}"
