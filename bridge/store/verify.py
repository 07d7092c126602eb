"""Check that the history is what it was: each chain, sealed events against clear columns, records against events."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from bridge.decide import standing
from bridge.store.engine import Database
from bridge.store.rows import (
    PERSON,
    AnyRow,
    Opened,
    clear_event,
    columns,
    open_event,
    open_person,
    stops_known,
    with_stops,
)
from bridge.tables import events, records, subjects
from bridge.vault import FIRST, Sealed, Vault, digest

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
            rows = _events_of(db, [row.number for row in chunk])
            for row in chunk:
                mine = rows.get(row.number, [])
                problems += _check_person(db, vault, row, mine)
                people, seen = people + 1, seen + len(mine)
            progress(people, total)
        problems += _strays(db)
        erased = db.scalar(select(func.count()).where(events.c.sealed.is_(None))) or 0
    return Verdict(people, seen, erased, tuple(problems))


def _chunks(db: Connection) -> Iterator[list[AnyRow]]:
    last = 0
    while rows := list(db.execute(PERSON.where(subjects.c.number > last).order_by(subjects.c.number).limit(_CHUNK))):
        yield rows
        last = rows[-1].number


def _events_of(db: Connection, numbers: list[int]) -> dict[int, list[AnyRow]]:
    query = select(events).where(events.c.subject.in_(numbers)).order_by(events.c.subject, events.c.number)
    found: dict[int, list[AnyRow]] = {}
    for row in db.execute(query):
        found.setdefault(row.subject, []).append(row)
    return found


def _check_person(db: Connection, vault: Vault, row: AnyRow, mine: list[AnyRow]) -> Iterator[Problem]:
    try:
        opened = open_person(vault, row)
    except Sealed as error:
        yield Problem(row.id, str(error))
        return
    chain = list(_check_chain(opened, mine))
    yield from chain
    if not chain:
        yield from _check_records(db, vault, opened, mine)


def _check_chain(opened: Opened, mine: list[AnyRow]) -> Iterator[Problem]:
    previous = FIRST
    for expected, row in enumerate(mine, start=1):
        where = f"{opened.person.id}/{row.number}"
        if row.number != expected:
            yield Problem(f"{opened.person.id}/{expected}", "this event is missing")
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
        if row.report is not None and row.report != event.key:
            wrong.append("report")
        if wrong:
            yield Problem(where, f"clear columns differ from what was sealed: {', '.join(wrong)}")
        previous = row.digest


def _check_records(db: Connection, vault: Vault, opened: Opened, mine: list[AnyRow]) -> Iterator[Problem]:
    person = opened.person
    history = with_stops(
        [clear_event(row, person.id) for row in mine], stops_known(db, vault, [person.email])[person.email]
    )
    last = len(mine)
    for record in db.execute(select(records).where(records.c.subject == person.number)):
        where = f"{person.id}/{record.purpose}"
        if record.number > last:
            yield Problem(f"{person.id}/{last + 1}", "this event is missing: a record was written after it")
        elif record.status != standing(history, record.purpose).status:
            yield Problem(where, f"the record says {record.status}, the events say otherwise")


def _strays(db: Connection) -> Iterator[Problem]:
    """Events that name a person who is not there, or are blanked by half."""
    known = select(subjects.c.number)
    for row in db.execute(select(events.c.id).where(events.c.subject.is_not(None), events.c.subject.not_in(known))):
        yield Problem(f"event {row.id}", "names a person who is not there")
    half = events.c.sealed.is_(None) & events.c.subject.is_not(None)
    for row in db.execute(select(events.c.id).where(half)):
        yield Problem(f"event {row.id}", "was blanked by half")
