"""What each ESP must be told: claimed with a lease, many at once in short transactions, then finished or put off."""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from bridge.decide import paused_until
from bridge.store import journeys
from bridge.store.engine import Database
from bridge.store.finishing import after, write
from bridge.store.rows import Opened, Rows, with_stops
from bridge.store.upserts import insert_into
from bridge.store.values import Push
from bridge.store.waiting import LEASE, NOW, PATIENCE, UNSURE, at, free, held, is_held
from bridge.tables import events, pushes, retired, stop_clocks, subjects
from bridge.vault import Sealed, new_id
from bridge.vocabulary import (
    GONE_THERE,
    ConsentEvent,
    EventType,
    Outcome,
)

log = logging.getLogger("bridge.work")

#: People in one statement and one transaction: short enough that no click waits for it (decision 16).
SLICE = 500


_T = TypeVar("_T")

#: What the first and the last call told, of those whose end nobody saw.
_CALLS = re.compile(rf"{UNSURE}(\d+)-(\d+) ")
_Row = Row[*tuple[Any, ...]]


class Busy(Exception):
    """Somebody else holds a person of this job at this moment."""


class Stopped(NamedTuple):
    """A stop of hers, by the number of its event: when she said it, and when the ESP had done it."""

    number: int
    acted: datetime
    confirmed: datetime | None


class Look(NamedTuple):
    """One person as an ESP would be told of her now, and how far telling has come."""

    push: Push
    busy: bool  # the ESP is being told of her, or will be
    reason: str  # why it did not take what it was told last
    stops: tuple[Stopped, ...] = ()


class PushQueue:
    """Claims and finishes what ESPs must be told. Several processes at once lose and double nothing."""

    def __init__(self, database: Database, rows: Rows, clock: Callable[[], datetime]) -> None:
        self.database, self.rows, self.clock = database, rows, clock

    def has_pushes(self, adapter: str, *, stops: bool | None = None) -> bool:
        """Whether anybody waits; asked without a lock, so that looking costs nobody anything."""
        with self.database.glancing() as db:
            return db.execute(_due(stops), at(self.clock(), adapter=adapter, most=1)).first() is not None

    def claim_pushes(self, adapter: str, most: int, *, stops: bool | None = None) -> list[Push]:
        """People this ESP must be told about, stops first, leased to the caller; only stops, or only others, if asked.

        What the ESP was told last is forgotten here: it is sure again only when the caller has finished.
        """
        lease = new_id()
        found: list[Push] = []
        taken = 0
        while taken < most:
            wanted = min(SLICE, most - taken)
            part, now = self._claim(adapter, stops, wanted, lease)
            taken += len(part)
            found += self._held(adapter, self._opened(part, now, lease), lease)
            if len(part) < wanted:
                break
        return found

    def _held(self, adapter: str, claimed: list[Push], lease: str) -> list[Push]:
        """The same people: whoever did something between the claim and the reading counts as claimed after it, so that
        what a call told that nobody saw the end of can be known by the time of its claim."""
        late = {
            push.person.number: event.received
            for push in claimed
            for event in push.history[: push.number]
            if event.received > push.claimed
        }
        if late:
            mine = and_(pushes.c.adapter == adapter, pushes.c.lease == lease, pushes.c.subject.in_(late))
            until = max(self.clock(), *late.values()) + LEASE
            with self.database.writing() as db:
                db.execute(update(pushes).where(mine).values(leased=until))
        return claimed

    def claim_carried(self, adapter: str, numbers: Sequence[int], job: int) -> Iterator[list[Push]]:
        """The people a job carried who are still in it, leased to the caller. Raises `Busy` when one is held."""
        lease = new_id()
        for part in _sliced(numbers):
            mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_(part))
            now = self.clock()
            with self.database.reading() as db:
                rows = db.execute(select(pushes.c.subject, pushes.c.job, pushes.c.leased).where(mine)).all()
            if any(is_held(row.leased, now) and job in open_jobs(row.job) for row in rows):
                raise Busy
        for part in _sliced(numbers):
            there = select(pushes).where(pushes.c.adapter == adapter, pushes.c.subject.in_(part))
            with self.database.writing() as db:
                now = self.clock()
                found = db.execute(there.order_by(pushes.c.subject).with_for_update()).all()
                named = [row for row in found if job in open_jobs(row.job)]
                if any(is_held(row.leased, now) for row in named):
                    raise Busy
                _lease(db, adapter, named, now, lease)
            yield self._held(adapter, self._opened(named, now, lease), lease)

    def tell_again(self, adapter: str, numbers: Sequence[int]) -> list[int]:
        """Make these people due, whatever the ESP was told; gives those who are held or in a job now."""
        busy: list[int] = []
        for part in _sliced(numbers):
            mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_(part))
            with self.database.writing() as db:
                now = self.clock()
                taken = or_(held(pushes.c.leased, now), pushes.c.job.is_not(None))
                look = select(pushes.c.subject, taken.label("taken")).where(mine).order_by(pushes.c.subject)
                rows = db.execute(look.with_for_update()).all()  # in the one order, and nobody claims them meanwhile
                busy += [row.subject for row in rows if row.taken]
                others = and_(mine, pushes.c.subject.in_([row.subject for row in rows if not row.taken]))
                db.execute(update(pushes).where(others).values(due=now, told=None))
        return busy

    def look_at(self, adapter: str, numbers: Sequence[int]) -> list[Look]:
        """How these people stand, and what this ESP was told of them; nobody is claimed."""
        now = self.clock()
        found: list[Look] = []
        for part in _sliced(numbers):
            mine = and_(pushes.c.adapter == adapter, pushes.c.subject == subjects.c.number)
            query = select(subjects.c.number.label("person"), *pushes.c).outerjoin_from(subjects, pushes, mine)
            with self.database.reading() as db:
                rows = list(db.execute(query.where(subjects.c.number.in_(part)).order_by(subjects.c.number)))
                people = self._people(db, [row.person for row in rows])
                told = self._told(db, people.values())
                stops = _clocks(db, adapter, part)
            for row in rows:
                if row.person in people:
                    look = _look(row, adapter, people[row.person], told[row.person], now)
                    found.append(look._replace(stops=tuple(stops.get(row.person, ()))))
        return found

    def promise(self, adapter: str, numbers: Sequence[int]) -> None:
        """Have this ESP told of these people, whatever it was told before; whoever is being told is left alone."""
        now = self.clock()
        for part in _sliced(sorted(numbers)):
            locked = select(subjects.c.number).where(subjects.c.number.in_(part)).order_by(subjects.c.number)
            last = select(events.c.subject, func.max(events.c.number)).group_by(events.c.subject)
            with self.database.writing() as db:
                still = list(db.scalars(locked.with_for_update()))  # nobody is erased meanwhile
                rows = [
                    {"subject": subject, "adapter": adapter, "wanted": wanted, "due": now}
                    for subject, wanted in db.execute(last.where(events.c.subject.in_(still)))
                ]
                if not rows:
                    continue
                new = insert_into(pushes, self.database.dialect).values(rows)
                changes = {"due": now, "told": None, "attempts": 0, "reason": None}
                calm = and_(pushes.c.job.is_(None), free(pushes.c.leased, now))
                key = [pushes.c.subject, pushes.c.adapter]
                db.execute(new.on_conflict_do_update(index_elements=key, set_=changes, where=calm))

    def is_retired(self, adapter: str) -> bool:
        """Whether nothing is sent from this ESP any more."""
        with self.database.reading() as db:
            return db.execute(select(retired).where(retired.c.adapter == adapter)).first() is not None

    def retire(self, adapter: str) -> int:
        """Have everybody switched off at this ESP from now on; how many are told. Safe to run again."""
        now = self.clock()
        with self.database.writing() as db:
            if db.execute(select(retired).where(retired.c.adapter == adapter)).first() is None:
                db.execute(insert(retired).values(adapter=adapter, time=now))
        told = 0
        for part in self._told_there(adapter):
            mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_(part), pushes.c.job.is_(None))
            with self.database.writing() as db:
                locked = select(pushes.c.subject).where(mine, free(pushes.c.leased, now)).order_by(pushes.c.subject)
                calm = list(db.scalars(locked.with_for_update()))
                due = update(pushes).where(pushes.c.adapter == adapter, pushes.c.subject.in_(calm))
                db.execute(due.values(due=now, attempts=0))
            told += len(part)
        return told

    def take_back(self, adapter: str) -> None:
        """Mail is sent from this ESP again."""
        with self.database.writing() as db:
            db.execute(delete(retired).where(retired.c.adapter == adapter))

    def _told_there(self, adapter: str) -> Iterator[list[int]]:
        """Everybody this ESP was told of, in slices."""
        last = 0
        while True:
            query = select(pushes.c.subject).where(pushes.c.adapter == adapter, pushes.c.subject > last)
            with self.database.reading() as db:
                part = list(db.scalars(query.where(pushes.c.put > 0).order_by(pushes.c.subject).limit(SLICE)))
            if not part:
                return
            yield part
            last = part[-1]

    def finish_pushes(self, results: Iterable[tuple[Push, Outcome]]) -> None:
        """Note what became of each. A push whose lease was lost is made due again."""
        ordered = sorted(results, key=lambda result: (result[0].adapter, result[0].person.number))  # one lock order
        for adapter, mine in groupby(ordered, key=lambda result: result[0].adapter):
            for part in _sliced(list(mine)):
                self._finish(adapter, part)

    def _finish(self, adapter: str, part: Sequence[tuple[Push, Outcome]]) -> None:
        now = self.clock()
        mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_([push.person.number for push, _ in part]))
        with self.database.writing() as db:
            rows = db.execute(
                select(pushes.c.subject, pushes.c.lease).where(mine).order_by(pushes.c.subject).with_for_update()
            )
            leases = {row.subject: row.lease for row in rows}
            held = [pair for pair in part if leases.get(pair[0].person.number) == pair[0].lease]
            lost = {push.person.number for push, _ in part} & leases.keys() - {p.person.number for p, _ in held}
            if held:
                write(db, adapter, [after(push, outcome, now) for push, outcome in held], now)
                gone = [push.person.email for push, outcome in held if outcome.reason == GONE_THERE]
                journeys.remember(db, self.rows.vault, adapter, gone)
            if lost:
                # Whoever took over may have been overtaken by our late call: tell the ESP once more. The lease is
                # taken from them too, so that their own finish leaves it due.
                again = {"stop": True, "due": now, "leased": None, "lease": None, "told": None, "reason": UNSURE}
                db.execute(update(pushes).where(pushes.c.adapter == adapter, pushes.c.subject.in_(lost)).values(again))

    def _claim(self, adapter: str, stops: bool | None, most: int, lease: str) -> tuple[list[_Row], datetime]:
        with self.database.writing() as db:
            now = self.clock()  # and not as it was before somebody waited for the database
            rows = list(db.execute(_due(stops, claim=True), at(now, adapter=adapter, most=most)))
            _lease(db, adapter, rows, now, lease)
            return rows, now

    def _opened(self, rows: Sequence[_Row], now: datetime, lease: str) -> list[Push]:
        """People, histories and stops of some rows, in a few statements. A row that cannot be opened fails no other."""
        with self.database.reading() as db:
            people = self._people(db, [row.subject for row in rows])
            told = self._told(db, people.values())
            gone = self._gone(db, rows, people)
        here = [row for row in rows if row.subject in people]
        found = [_push(row, people[row.subject], told[row.subject], now, lease) for row in here]
        return [msgspec.structs.replace(push, gone=True) if push.person.email in gone else push for push in found]

    def _gone(self, db: Connection, rows: Sequence[_Row], people: Mapping[int, Opened]) -> frozenset[str]:
        """Which of these people the ESP deleted for good: they are all told to the same one."""
        emails = [opened.person.email for opened in people.values()]
        return journeys.gone(db, self.rows.vault, rows[0].adapter, emails) if rows else frozenset()

    def _people(self, db: Connection, numbers: Collection[int]) -> dict[int, Opened]:
        try:
            return self.rows.people(db, numbers)
        except (Sealed, msgspec.DecodeError) as error:
            if len(numbers) > 1:  # one by one, so that a damaged row fails no other
                return {number: opened for one in numbers for number, opened in self._people(db, [one]).items()}
            log.error("a person cannot be read (%s): run consent-bridge verify", type(error).__name__)
            return {}

    def _told(
        self, db: Connection, people: Iterable[Opened]
    ) -> dict[int, tuple[Sequence[ConsentEvent], Sequence[ConsentEvent]]]:
        persons = [opened.person for opened in people]
        told = self.rows.histories(db, persons)
        stops = self.rows.stops(db, [person.email for person in persons])
        return {person.number: (told[person.number], stops[person.email]) for person in persons}


def open_jobs(text: str | None) -> frozenset[int]:
    """The jobs a row names; none where the text is of another form."""
    numbers = (text or "").partition("|")[0].split()
    return frozenset(int(number) for number in numbers if number.isdigit())


@cache
def _due(stops: bool | None, *, claim: bool = False) -> Any:
    # No stop waits so long: one that does was promised before the clock was set back.
    late = and_(pushes.c.stop, pushes.c.due > PATIENCE)
    due = pushes.c.due <= NOW if stops is False else or_(pushes.c.due <= NOW, late)
    query = select(pushes).where(pushes.c.adapter == bindparam("adapter"), due, free(pushes.c.leased))
    if stops is not None:
        query = query.where(pushes.c.stop.is_(stops))
    query = query.order_by(pushes.c.stop.desc(), pushes.c.due).limit(bindparam("most"))
    return query.with_for_update(skip_locked=True) if claim else query


def _lease(db: Connection, adapter: str, rows: Sequence[_Row], now: datetime, lease: str) -> None:
    if rows:
        mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_([row.subject for row in rows]))
        db.execute(update(pushes).where(mine).values(leased=now + LEASE, lease=lease, told=None))


def _push(
    row: _Row, opened: Opened, told: tuple[Sequence[ConsentEvent], Sequence[ConsentEvent]], now: datetime, lease: str
) -> Push:
    history, calls = tuple(with_stops(*told)), _unseen(row, told[0])
    return Push(
        person=opened.person,
        adapter=row.adapter,
        claimed=now,
        lease=lease,
        number=len(told[0]),
        wanted=row.wanted,
        put=row.put,
        stop=row.stop,
        attempts=row.attempts,
        job=row.job,
        history=history,
        pause_end=_end_of_pause(history, now),
        known=row.told,
        reason=row.reason,
        shaken=row.lease is not None or (row.reason or "").startswith(UNSURE),
        unsure=min(calls),
        unseen=max(calls),
    )


def _unseen(row: _Row, told: Sequence[ConsentEvent]) -> list[int]:
    """How many events of hers were told by calls whose end nobody saw: by the first of them, by the last."""
    calls: list[int] = []
    if (row.reason or "").startswith(UNSURE):
        noted = _CALLS.match(row.reason)
        calls += [min(int(number), len(told)) for number in noted.groups()] if noted else [0, len(told)]
    if row.lease is not None:
        claimed = row.leased - LEASE
        calls.append(sum(event.received <= claimed for event in told))
    return calls or [0]


def _look(
    row: _Row, adapter: str, opened: Opened, told: tuple[Sequence[ConsentEvent], Sequence[ConsentEvent]], now: datetime
) -> Look:
    number, history = len(told[0]), tuple(with_stops(*told))
    if row.subject is None:  # this ESP was never to be told of her
        push = Push(
            person=opened.person,
            adapter=adapter,
            claimed=now,
            lease="",
            number=number,
            wanted=0,
            put=0,
            stop=False,
            attempts=0,
            job=None,
            history=history,
            pause_end=_end_of_pause(history, now),
        )
        return Look(push, busy=False, reason="")
    push = _push(row, opened, told, now, row.lease or "")
    waits = row.due is not None and (row.due <= now or row.attempts > 0)
    return Look(push, busy=bool(row.job) or is_held(row.leased, now) or waits, reason=row.reason or "")


def _clocks(db: Connection, adapter: str, numbers: Sequence[int]) -> dict[int, list[Stopped]]:
    """The stops of these people that this ESP was to carry out."""
    clock = stop_clocks.c
    query = select(clock.subject, clock.number, clock.acted, clock.confirmed)
    found: dict[int, list[Stopped]] = {}
    for subject, *stop in db.execute(query.where(clock.adapter == adapter, clock.subject.in_(numbers))):
        found.setdefault(subject, []).append(Stopped(*stop))
    return found


def _end_of_pause(history: Sequence[ConsentEvent], claimed: datetime) -> datetime | None:
    """When this ESP must be told again because a pause ends; one that ended during the call too."""
    if not any(event.type is EventType.PAUSED for event in history):
        return None
    ends = (paused_until(history, purpose) for purpose in {event.purpose for event in history})
    return min((end for end in ends if end and end > claimed), default=None)


def _sliced(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for begin in range(0, len(items), SLICE):
        yield items[begin : begin + SLICE]
