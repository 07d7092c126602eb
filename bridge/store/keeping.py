"""Nobody and nothing is kept longer than the policy says: who is due, and what is forgotten then (MIN-06).

One pass over the people in the order of their numbers, a few in each transaction: flat, harmless to kill, and safe to
run again. What becomes of each is decided by `decide.fate`, under her lock, on all that is known of her.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, Table, and_, delete, func, or_, select, tuple_

from bridge.decide import ENDED, Fate, Forget, Spans, fate
from bridge.store.case_files import asking
from bridge.store.door import Batch, Stop, remember_stops
from bridge.store.engine import Database
from bridge.store.erase import erase
from bridge.store.erasing import promise
from bridge.store.removing import remember_nos
from bridge.store.rows import Opened, Rows, profile_bytes, with_stops
from bridge.store.sql import Hand, Sql
from bridge.tables import EVENT_TYPES, STATUSES, approvals, asked, pushes, stop_clocks, stop_list, subjects, throttle
from bridge.vault import seal
from bridge.vocabulary import SYSTEM, ConsentEvent, EventType, Limits, Method, Status, micros

#: People in one look, and in one transaction.
_RANGE, _CHUNK = 10_000, 100

#: Told what is done, and of how much.
Tell = Callable[[int, int], None]


def _numbers(statuses: Collection[Status]) -> str:
    return ", ".join(str(number) for number, status in enumerate(STATUSES, start=1) if status in statuses)


def _types(*types: EventType) -> str:
    return ", ".join(str(EVENT_TYPES.index(type_) + 1) for type_ in types)


_LIVE = _numbers((Status.GIVEN, Status.SOFT_OPT_IN))
_ENDED_AT = f"MAX(CASE WHEN r.status IN ({_numbers(ENDED)}) THEN r.since END)"
#: Who may be due, by numbers alone: a yes that is too old, nothing on any more for so long, or a dead address.
_MAYBE = Sql(
    "SELECT r.subject FROM records r JOIN subjects s ON s.number = r.subject WHERE r.subject > ? AND r.subject <= ? "
    "GROUP BY r.subject, s.trimmed HAVING "
    f"MAX(CASE WHEN (r.status = {_numbers([Status.GIVEN])} AND r.since <= ?) "
    f"OR (r.status = {_numbers([Status.SOFT_OPT_IN])} AND r.since <= ?) THEN 1 ELSE 0 END) = 1 "
    f"OR (MAX(CASE WHEN r.status IN ({_LIVE}) THEN 1 ELSE 0 END) = 0 AND {_ENDED_AT} <= ? "
    f"AND (s.trimmed IS NOT TRUE OR {_ENDED_AT} <= ?)) "
    "OR EXISTS (SELECT 1 FROM events e WHERE e.subject = r.subject AND e.type IN (11, 12, 14, 16, 23, 24) "
    f"AND e.type IN ({_types(EventType.BOUNCED, EventType.DEFERRED)}) AND e.time <= ?) ORDER BY r.subject"
)
_LAST = Sql("SELECT COALESCE(MAX(number), 0) FROM subjects")
_TRIM = Sql("UPDATE subjects SET profile = ?, trimmed = TRUE WHERE number = ?")

EXPIRED = "expired"


class Keeper:
    """Forgets what is due, or counts it. `limits` and `spans` are the policy's of this moment."""

    def __init__(
        self, rows: Rows, adapters: Sequence[str], *, database: Database, now: datetime, limits: Limits, spans: Spans
    ) -> None:
        self.database, self.rows, self.adapters = database, rows, tuple(adapters)
        self.now, self.limits, self.spans = now, limits, spans
        rows.names.catch_up()

    def count(self, tell: Tell, before: Sequence[Select[int]] = ()) -> Counter[str]:
        """What `forget` would do now, of people whom what is forgotten `before` leaves here; changes nothing."""
        found = Counter[str]()
        for part in self._due(tell):
            with self.database.reading() as db:
                gone = {number for late in before for number in db.scalars(_of(late, part))}
                found += self._counted(db, [number for number in part if number not in gone])
        return found

    def forget(self, tell: Tell, halt: Callable[[], bool] = lambda: False) -> Counter[str]:
        """Carry out what is due; how much of each kind."""
        found = Counter[str]()
        for part in self._due(tell):
            if halt():
                break
            self.database.give_way()
            with self.database.writing() as db:
                found += self._carried_out(db, part)
        if found:
            self.database.forget_log()
        return found

    # -- who ----------------------------------------------------------------------------------------------------

    def _due(self, tell: Tell) -> Iterator[list[int]]:
        """Who may be due, a few at a time; no transaction is held between them."""
        ages = [self.limits.consent_max_age, self.limits.soft_max_age, min(self.spans[:2]), *self.spans[1:]]
        before = [micros(self.now - age) for age in ages]
        with self.database.looking() as db:
            ((last,),) = _LAST.rows(db)
        for low in range(0, last, _RANGE):
            with self.database.looking() as db:
                found = [number for (number,) in _MAYBE.rows(db, (low, low + _RANGE, *before))]
            for first in range(0, len(found), _CHUNK):
                yield found[first : first + _CHUNK]
            tell(min(low + _RANGE, last), last)

    def _fates(self, told: Mapping[int, Collection[ConsentEvent]], waits: Collection[int]) -> dict[int, Fate]:
        """What becomes of these people. Whoever an ESP does not know the last of yet is kept until it does, so that no
        "no" is lost; that her yes is too old must be told there too."""
        fates = {}
        for number, history in told.items():
            found = fate(history, self.now, self.limits, self.spans)
            if number in waits or (found.expires and self.adapters):
                found = found._replace(forgets=None)
            fates[number] = found
        return fates

    def _waiting(self, db: Connection, numbers: Sequence[int]) -> set[int]:
        """Who has something on its way to an ESP that is switched on, a question of ours that she may answer, or an
        open request of her own."""
        on_its_way = or_(pushes.c.job.is_not(None), and_(pushes.c.due.is_not(None), _unsaid()))
        mine = and_(pushes.c.subject.in_(numbers), pushes.c.adapter.in_(self.adapters))
        running = and_(stop_clocks.c.subject.in_(numbers), stop_clocks.c.adapter.in_(self.adapters))
        open_ = or_(asked.c.due.is_not(None), asked.c.mail.is_not(None))
        return {
            *db.scalars(select(pushes.c.subject).where(mine, on_its_way)),
            *db.scalars(select(stop_clocks.c.subject).where(running, stop_clocks.c.confirmed.is_(None))),
            *db.scalars(select(asked.c.subject).where(asked.c.subject.in_(numbers), open_)),
            *db.scalars(
                select(subjects.c.number).where(subjects.c.number.in_(numbers), subjects.c.number.in_(asking()))
            ),
        }

    # -- counting -----------------------------------------------------------------------------------------------

    def _counted(self, db: Connection, numbers: Sequence[int]) -> Counter[str]:
        people = self.rows.readable(db, numbers)
        persons = [opened.person for opened in people.values()]
        told = self.rows.histories(db, persons)
        stops = self.rows.stops(db, [person.email for person in persons])
        known = {person.number: with_stops(told[person.number], stops[person.email]) for person in persons}
        trimmed = self._trimmed(db, numbers)
        return _tally(self._fates(known, self._waiting(db, numbers)), trimmed)

    def _trimmed(self, db: Connection, numbers: Sequence[int]) -> set[int]:
        mine = subjects.c.number.in_(numbers)
        return set(db.scalars(select(subjects.c.number).where(mine, subjects.c.trimmed.is_(True))))

    # -- forgetting ---------------------------------------------------------------------------------------------

    def _carried_out(self, db: Connection, numbers: Sequence[int]) -> Counter[str]:
        locked = select(subjects.c.number).where(subjects.c.number.in_(numbers)).order_by(subjects.c.number)
        free = list(db.scalars(locked.with_for_update(skip_locked=True)))  # held: she does something at this moment
        batch = Batch(Hand.of(db), self.rows, self.adapters, self.limits, self.now)
        batch.load_numbers(list(self.rows.readable(db, free)))
        fates = self._fates(batch.history, self._waiting(db, free))
        trimmed = self._trimmed(db, free)
        found = _tally(fates, trimmed)
        gone = sorted(number for number, each in fates.items() if _goes(each))
        trims = []
        for number, each in fates.items():
            if number in gone:
                continue
            for purpose, end in each.expires.items():
                batch.add(batch.people[number], _expired(batch.people[number].person.id, purpose, end, self.now))
            if each.forgets is Forget.PROFILE and number not in trimmed:
                trims.append((_bare(batch.people[number]), number))
        batch.flush()
        _TRIM.many(batch.db, trims)
        self._erase(db, batch, gone, fates)
        return found

    def _erase(self, db: Connection, batch: Batch, gone: Sequence[int], fates: Mapping[int, Fate]) -> None:
        """Only keyed hashes stay: what ended each purpose, by her address and by those she had before."""
        if not gone:
            return
        vault, stops = self.rows.vault, []
        for number in gone:
            hash_ = vault.stop_hashes(batch.people[number].person.email)[0]
            stops += [Stop(hash_, no.purpose, no.type, no.time) for no in fates[number].noes]
            stops += [Stop(hash_, p, EventType.EXPIRED, end) for p, end in fates[number].expires.items()]
        remember_stops(batch.db, stops)
        remember_nos(batch.db, {number: batch.history[number] for number in gone})
        promise(db, vault, {number: batch.people[number].person.email for number in gone}, self.now)
        erase(db, gone, self.now)


def _of(late: Select[int], numbers: Sequence[int]) -> Select[int]:
    return late.where(late.selected_columns[0].in_(numbers))


def _bare(opened: Opened) -> bytes:
    """Her profile without what she filled in: her address stays with the proof, sealed as that is."""
    person = msgspec.structs.replace(opened.person, language="", fields={})
    return seal(opened.key, profile_bytes(person), person.id)


def _unsaid() -> Any:
    return or_(pushes.c.stop, pushes.c.wanted > pushes.c.put)


def _goes(each: Fate) -> bool:
    return each.forgets in (Forget.EVIDENCE, Forget.BOUNCED)


def _tally(fates: Mapping[int, Fate], trimmed: Collection[int]) -> Counter[str]:
    """How much of each kind: yeses that are noted as too old, and people of whom something is forgotten."""
    found = Counter[str]()
    for number, each in fates.items():
        if not _goes(each):
            found[EXPIRED] += len(each.expires)
        if each.forgets is not None and not (each.forgets is Forget.PROFILE and number in trimmed):
            found[each.forgets.value] += 1
    return +found


def _expired(subject: str, purpose: str, end: datetime, now: datetime) -> ConsentEvent:
    """What the clock said already (decision 2): at its own time, so that no later answer of hers is overtaken."""
    return ConsentEvent(
        type=EventType.EXPIRED,
        subject=subject,
        time=end,
        received=now,
        source=SYSTEM,
        method=Method.CLOCK,
        key="",
        purpose=purpose,
    )


class Aged(NamedTuple):
    """Rows of a table that go when so much time has passed since a moment of theirs."""

    table: Table
    since: Any  # the column; a row where it is empty stays
    only: Any = None  # and what else must be so

    def where(self, before: datetime) -> Any:
        """Which rows are due."""
        due = and_(self.since.is_not(None), self.since < before)
        return due if self.only is None else and_(due, self.only)

    def due(self, database: Database, before: datetime) -> int:
        """How many are due."""
        with database.reading() as db:
            return db.scalar(select(func.count()).select_from(self.table).where(self.where(before))) or 0

    def forget(self, database: Database, before: datetime) -> int:
        """Delete them, a few at a time; how many."""
        keys, done = list(self.table.primary_key.columns), 0
        while True:
            database.give_way()
            with database.writing() as db:
                rows = db.execute(select(*keys).where(self.where(before)).limit(500)).all()
                if rows:
                    mine = tuple_(*keys).in_([tuple(row) for row in rows])
                    db.execute(delete(self.table).where(mine, self.where(before)))
            if not rows:
                return done
            done += len(rows)


#: Tables whose rows only grow old, by the rule they are kept by. A table of cases is one line more.
AGED: Mapping[str, Aged] = {
    "stop_list": Aged(stop_list, stop_list.c.since),
    "sign_up_limits": Aged(throttle, throttle.c.time),
    "approvals": Aged(approvals, approvals.c.asked),
}
