"""Check that the history is what it was: each chain, sealed events against clear columns, records against events."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, func, or_, select

from bridge.decide import as_bits, common, concerns, lacking, standing
from bridge.seals import Seals
from bridge.store import checkpoints
from bridge.store.case_files import open_case
from bridge.store.engine import Database
from bridge.store.names import Names
from bridge.store.rows import COLUMNS, Opened, Rows, clear_event, listed, open_event, open_person
from bridge.store.sql import AnyRow, Sql
from bridge.store.triggers import missing_triggers
from bridge.store.values import Person
from bridge.tables import (
    STATUSES,
    asked,
    breach_told,
    cases,
    corrections,
    events,
    looks,
    moves,
    open_questions,
    person_keys,
    pushes,
    subjects,
)
from bridge.tables import moment as moment_of
from bridge.vault import FIRST, Sealed, Vault, digest
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent, EventType

_PEOPLE = Sql(
    "SELECT s.number, s.id, s.mark, s.profile, k.kid, k.wrapped FROM subjects s "
    "JOIN person_keys k ON k.subject = s.number WHERE s.number > ? ORDER BY s.number LIMIT ?"
)
_ONE = Sql(
    "SELECT s.number, s.id, s.mark, s.profile, k.kid, k.wrapped FROM subjects s "
    "JOIN person_keys k ON k.subject = s.number WHERE s.number = ?"
)
_EVENTS = Sql(
    f"SELECT {', '.join(COLUMNS)}, sealed, digest FROM events WHERE subject IN ({{}}) ORDER BY subject, number"
)
_RECORDS = Sql("SELECT subject, purpose, status, since, number FROM records WHERE subject IN ({})")
_LACKS = Sql("SELECT subject, purpose, missing FROM unproven WHERE subject IN ({})")

_CHUNK = 500


class _Told(NamedTuple):
    """One event as it is kept: its clear columns in their order, sealed bytes and digest."""

    subject: int
    number: int
    type: int
    purpose: int
    time: int
    received: int | None
    asked: int | None
    until: int | None
    source: int
    method: int
    channel: int | None
    notice: int | None
    report: str | None
    sealed: bytes | None
    digest: bytes


class _Record(NamedTuple):
    """One row of `records`."""

    subject: int
    purpose: int
    status: int
    since: int
    number: int


class _Lack(NamedTuple):
    """One row of `unproven`."""

    subject: int
    purpose: int
    missing: int


class _Kept(NamedTuple):
    """What is kept of one person beside her events."""

    records: list[_Record]
    lacks: list[_Lack]


class Problem(NamedTuple):
    """One place where history is not what it was. `where` names the event: subject id and its number."""

    where: str
    what: str


class Verdict(NamedTuple):
    """What was looked at, and what was found."""

    people: int
    events: int
    erased: int
    problems: tuple[Problem, ...]
    checkpoints: int = 0
    uncovered: int = 0  # events that no checkpoint covers yet


def verify(
    database: Database,
    vault: Vault,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    seals: Seals | None = None,
) -> Verdict:
    """Check the whole history, person by person and then checkpoint by checkpoint, in flat memory.

    Without `seals` the signatures of checkpoints are not looked at, only what they say.
    """
    problems: list[Problem] = []
    people = seen = 0
    rows = Rows(vault, Names(database))
    with database.reading() as db:
        total = db.scalar(select(func.count()).select_from(subjects)) or 0
        for chunk in _chunks(db):
            for count, found in _checked(db, rows, chunk):
                problems += found
                people, seen = people + 1, seen + count
            progress(people, total)
        problems += _strays(db, vault)
        lost = sorted(missing_triggers(db))
        problems += [Problem(f"trigger {name}", "is gone or off: run consent-bridge db upgrade") for name in lost]
        erased = db.scalar(select(func.count()).where(events.c.sealed.is_(None))) or 0
        sealed = checkpoints.check(db, seals)
        problems += [Problem(where, what) for where, what in sealed.problems]
    return Verdict(people, seen, erased, tuple(problems), sealed.checkpoints, sealed.uncovered)


def verify_person(database: Database, vault: Vault, number: int) -> tuple[Problem, ...]:
    """Check one person's own chain, events and records, and nobody else's."""
    rows = Rows(vault, Names(database))
    with database.reading() as db:
        found = _checked(db, rows, _ONE.rows(db, (number,)))
        return tuple(problem for _, problems in found for problem in problems)


def _chunks(db: Connection) -> Iterator[Sequence[AnyRow]]:
    last = 0
    while rows := _PEOPLE.rows(db, (last, _CHUNK)):
        yield rows
        last = rows[-1][0]


_Row = TypeVar("_Row", _Told, _Record, _Lack)


def _by_subject(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.subject, []).append(row)
    return found


def _checked(db: Connection, rows: Rows, chunk: Sequence[AnyRow]) -> Iterator[tuple[int, list[Problem]]]:
    """How many events each of these people has, and what is wrong with her."""
    numbers = [row[0] for row in chunk]
    told = _by_subject(_Told(*row) for row in listed(_EVENTS, db, numbers))
    kept = _by_subject(_Record(*row) for row in listed(_RECORDS, db, numbers))
    lacks = _by_subject(_Lack(*row) for row in listed(_LACKS, db, numbers))
    for number, row in zip(numbers, chunk, strict=True):
        mine = told.get(number, [])
        hers = _Kept(kept.get(number, []), lacks.get(number, []))
        yield len(mine), list(_check_person(db, rows, row, mine, hers))


def _check_person(db: Connection, rows: Rows, row: AnyRow, mine: list[_Told], kept: _Kept) -> Iterator[Problem]:
    try:
        opened = open_person(rows.vault, row)
    except Sealed as error:
        yield Problem(row[1], str(error))
        return
    whole: list[ConsentEvent] = []
    chain = list(_check_chain(rows, opened, mine, whole))
    yield from chain
    if not chain:
        told = [clear_event(one[1:], opened.person.id, lambda number: rows.names.text(db, number)) for one in mine]
        known = {rows.names.text(db, record.purpose): record for record in kept.records}
        yield from _check_records(opened.person, told, known)
        lacking_by = {rows.names.text(db, lack.purpose): lack.missing for lack in kept.lacks}
        yield from _check_lacks(opened.person, whole, lacking_by)


def _check_chain(rows: Rows, opened: Opened, mine: list[_Told], whole: list[ConsentEvent]) -> Iterator[Problem]:
    """Each event after the one before it. Those that open are added to `whole`."""
    previous = FIRST
    for expected, row in enumerate(mine, start=1):
        where = f"{opened.person.id}/{row.number}"
        if row.number != expected:
            yield Problem(f"{opened.person.id}/{expected}", "this event is missing")
            return
        if row.sealed is None:
            yield Problem(where, "was blanked by half")
            return
        if row.digest != digest(previous, row.sealed):
            yield Problem(where, "the digest does not fit: this event, or the one before it, was changed")
            return
        try:
            event = open_event(opened, row.number, row.sealed)
        except (Sealed, ValueError) as error:
            yield Problem(where, f"cannot be opened: {error}")
            return
        clear = rows.columns(event, row.subject, row.number, rows.names.number)
        wrong = [name for name, here, sealed in zip(COLUMNS, row, clear, strict=False) if here != sealed]
        if wrong:
            yield Problem(where, f"clear columns differ from what was sealed: {', '.join(wrong)}")
        previous = row.digest
        whole.append(event)


def _check_records(person: Person, told: list[ConsentEvent], known: dict[str, _Record]) -> Iterator[Problem]:
    """Each record against the events it was made from, and each purpose against its record."""
    for record in known.values():
        if record.number > len(told):
            yield Problem(f"{person.id}/{len(told) + 1}", "this event is missing: a record was written after it")
            return
    purposes = {event.purpose for event in told} - {EVERY_PURPOSE}
    for purpose in sorted(purposes | known.keys()):
        where = f"{person.id}/{purpose}"
        if purpose not in known:
            yield Problem(where, "the record is missing")
        elif purpose not in purposes:
            yield Problem(where, "a record without an event")
        else:
            yield from _check_record(where, purpose, known[purpose], told)


def _check_record(where: str, purpose: str, record: _Record, told: list[ConsentEvent]) -> Iterator[Problem]:
    number, last = [(n, e) for n, e in enumerate(told, start=1) if concerns(e, purpose)][-1]
    status, by = standing(told, purpose)
    said = STATUSES[record.status - 1] if 0 < record.status <= len(STATUSES) else record.status
    if said != status:
        yield Problem(where, f"the record says {said}, the events say {status}")
    elif (record.number, moment_of(record.since)) != (number, by.time if by else last.time):
        yield Problem(where, "the record names another event or moment than the events do")


def _check_lacks(person: Person, whole: list[ConsentEvent], kept: dict[str, int]) -> Iterator[Problem]:
    """What lists did not prove, against their events. Whoever came in before that was noted has no row."""
    for purpose, missing in kept.items():
        said = [lacking(event) for event in whole if event.type is EventType.IMPORTED and event.purpose == purpose]
        if not said or as_bits(common(*said) or ()) & ~missing:  # it may lack more: not every line was noted once
            yield Problem(f"{person.id}/{purpose}", "what is noted as missing there is not what her events lack")


def _strays(db: Connection, vault: Vault) -> Iterator[Problem]:
    """Events and questions that name a person who is not there, requests and people whose key is not."""
    known = select(subjects.c.number)
    of_nobody = asked.c.subject.is_not(None) & asked.c.subject.not_in(known)
    for row in db.execute(select(asked.c.campaign).where(of_nobody)):
        yield Problem(f"campaign {row.campaign}", "has asked a person who is not there")
    for row in db.execute(select(breach_told.c.breach).where(breach_told.c.subject.not_in(known))):
        yield Problem(f"breach {row.breach}", "a person was told who is not there")
    for row in db.execute(select(events.c.id).where(events.c.subject.is_not(None), events.c.subject.not_in(known))):
        yield Problem(f"event {row.id}", "names a person who is not there")
    for table in (looks, moves, open_questions, corrections):
        for _ in db.execute(select(table.c.subject).where(table.c.subject.not_in(known))):
            yield Problem(table.name, "are about a person who is not there")
    lost = events.c.subject.is_(None) & events.c.sealed.is_not(None)
    for row in db.execute(select(events.c.id).where(lost)):
        yield Problem(f"event {row.id}", "names nobody")
    for row in db.execute(select(cases).where(cases.c.sealed.is_not(None))):
        try:
            open_case(vault, row)
        except Sealed as error:
            yield Problem(f"request {row.id}", f"cannot be opened: {error}")
    last = select(func.coalesce(func.max(events.c.number), 0)).where(events.c.subject == pushes.c.subject)
    told = select(subjects.c.id, last.scalar_subquery().label("last")).join(
        pushes, pushes.c.subject == subjects.c.number
    )
    later = or_(pushes.c.wanted > last.scalar_subquery(), pushes.c.put > last.scalar_subquery())
    for row in db.execute(told.where(later).distinct()):  # blanked, as only an erasure may be
        yield Problem(f"{row.id}/{row.last + 1}", "this event is missing: a platform was to be told of it")
    keys = select(person_keys.c.subject)
    for row in db.execute(select(subjects.c.id).where(subjects.c.number.not_in(keys))):
        yield Problem(row.id, "the key of this person is gone: nothing of her can be opened")
