"""Check that the history is what it was: each chain, sealed events against clear columns, records against events."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select

from bridge.decide import concerns, standing
from bridge.store.engine import Database
from bridge.store.rows import (
    PERSON,
    AnyRow,
    Opened,
    clear_event,
    columns,
    open_event,
    open_person,
)
from bridge.store.schema import missing_triggers
from bridge.store.values import Person
from bridge.tables import events, person_keys, records, subjects
from bridge.vault import FIRST, Sealed, Vault, digest
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent

_CHUNK = 500


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


def verify(
    database: Database, vault: Vault, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Verdict:
    """Check the whole history, person by person, in flat memory."""
    problems: list[Problem] = []
    people = seen = 0
    with database.reading() as db:
        total = db.scalar(select(func.count()).select_from(subjects)) or 0
        for chunk in _chunks(db):
            numbers = [row.number for row in chunk]
            rows, kept = _by_subject(db, events, numbers), _by_subject(db, records, numbers)
            for row in chunk:
                mine = rows.get(row.number, [])
                problems += _check_person(vault, row, mine, kept.get(row.number, []))
                people, seen = people + 1, seen + len(mine)
            progress(people, total)
        problems += _strays(db)
        lost = sorted(missing_triggers(db))
        problems += [Problem(f"trigger {name}", "is gone or off: run consent-bridge db upgrade") for name in lost]
        erased = db.scalar(select(func.count()).where(events.c.sealed.is_(None))) or 0
    return Verdict(people, seen, erased, tuple(problems))


def _chunks(db: Connection) -> Iterator[list[AnyRow]]:
    last = 0
    while rows := list(db.execute(PERSON.where(subjects.c.number > last).order_by(subjects.c.number).limit(_CHUNK))):
        yield rows
        last = rows[-1].number


def _by_subject(db: Connection, table: Table, numbers: list[int]) -> dict[int, list[AnyRow]]:
    query = select(table).where(table.c.subject.in_(numbers)).order_by(table.c.subject, table.c.number)
    found: dict[int, list[AnyRow]] = {}
    for row in db.execute(query):
        found.setdefault(row.subject, []).append(row)
    return found


def _check_person(vault: Vault, row: AnyRow, mine: list[AnyRow], kept: list[AnyRow]) -> Iterator[Problem]:
    try:
        opened = open_person(vault, row)
    except Sealed as error:
        yield Problem(row.id, str(error))
        return
    chain = list(_check_chain(opened, mine))
    yield from chain
    if not chain:
        yield from _check_records(opened.person, [clear_event(row, opened.person.id) for row in mine], kept)


def _check_chain(opened: Opened, mine: list[AnyRow]) -> Iterator[Problem]:
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
        clear = columns(event, row.subject, row.number)
        wrong = [name for name, value in clear.items() if getattr(row, name) != value]
        if wrong:
            yield Problem(where, f"clear columns differ from what was sealed: {', '.join(wrong)}")
        previous = row.digest


def _check_records(person: Person, told: list[ConsentEvent], kept: list[AnyRow]) -> Iterator[Problem]:
    """Each record against the events it was made from, and each purpose against its record."""
    known = {record.purpose: record for record in kept}
    for record in kept:
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
            yield from _check_record(where, known[purpose], told)


def _check_record(where: str, record: AnyRow, told: list[ConsentEvent]) -> Iterator[Problem]:
    number, last = [(n, e) for n, e in enumerate(told, start=1) if concerns(e, record.purpose)][-1]
    status, by = standing(told, record.purpose)
    if record.status != status:
        yield Problem(where, f"the record says {record.status}, the events say {status}")
    elif (record.number, record.since) != (number, by.time if by else last.time):
        yield Problem(where, "the record names another event or moment than the events do")


def _strays(db: Connection) -> Iterator[Problem]:
    """Events that name a person who is not there, and people whose key is not."""
    known = select(subjects.c.number)
    for row in db.execute(select(events.c.id).where(events.c.subject.is_not(None), events.c.subject.not_in(known))):
        yield Problem(f"event {row.id}", "names a person who is not there")
    lost = events.c.subject.is_(None) & events.c.sealed.is_not(None)
    for row in db.execute(select(events.c.id).where(lost)):
        yield Problem(f"event {row.id}", "names nobody")
    keys = select(person_keys.c.subject)
    for row in db.execute(select(subjects.c.id).where(subjects.c.number.not_in(keys))):
        yield Problem(row.id, "the key of this person is gone: nothing of her can be opened")
