"""Rows to values and back: the mapping, and the reads that deciding needs."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from bridge.store.names import Names
from bridge.store.sql import AnyRow, Hand, Sql
from bridge.store.values import Person
from bridge.tables import EVENT_TYPES, METHODS, moment
from bridge.vault import FIRST, Sealed, Vault, about_event, from_canonical, unpack, unseal
from bridge.vocabulary import REPORTED, SYSTEM, ConsentEvent, EventType, Method, micros

log = logging.getLogger("bridge.store")

#: Most values in one statement: below what either database takes.
_AT_ONCE = 5000

_COLUMNS = "s.number, s.id, s.mark, s.profile, k.kid, k.wrapped"
_PEOPLE = "subjects s JOIN person_keys k ON k.subject = s.number"
_PERSON = f"{_COLUMNS} FROM {_PEOPLE}"
#: The clear columns that deciding needs, in one place for the reads that decide.
COLUMNS = (
    *("subject", "number", "type", "purpose", "time", "received", "asked", "until"),
    *("source", "method", "channel", "notice", "report"),
)
_CLEAR = ", ".join(f"e.{name}" for name in (*COLUMNS[1:], "digest"))
#: Who has one of these addresses now, who had it before she moved, and the first of these locked in one order.
HERE = Sql("SELECT lookup, number FROM subjects WHERE lookup IN ({})")
BEFORE = Sql("SELECT lookup, subject FROM former WHERE lookup IN ({})")
LOCKED = Sql("SELECT number FROM subjects WHERE lookup IN ({}) ORDER BY number [FOR UPDATE]")
_BY_NUMBER = Sql(f"SELECT {_PERSON} WHERE s.number IN ({{}})")
_BY_LOOKUP = Sql(f"SELECT {_PERSON} WHERE s.lookup IN ({{}})")
_BY_ID_LOCKED = Sql(f"SELECT {_PERSON} WHERE s.id IN ({{}}) ORDER BY s.number [FOR UPDATE OF s]")
_BY_LINK_LOCKED = Sql(f"SELECT {_PERSON} WHERE s.id = ? OR s.mark = ? ORDER BY s.number [FOR UPDATE OF s]")
_CHAINS = Sql(f"SELECT e.subject, {_CLEAR} FROM events e WHERE e.subject IN ({{}}) ORDER BY e.subject, e.number")
#: A person and everything that happened to her at once. Never with a lock: while one waits for it, others tell more.
_TOGETHER = f"SELECT {_COLUMNS}, {_CLEAR} FROM {_PEOPLE} LEFT JOIN events e ON e.subject = s.number"
_BY_LINK = Sql(f"{_TOGETHER} WHERE s.id = ? OR s.mark = ? ORDER BY s.number, e.number")
_STORY = Sql("SELECT number, sealed FROM events WHERE subject = ? ORDER BY number")
_STOPS = Sql("SELECT hash, kid, reason, scope, since FROM stop_list WHERE hash IN ({})")

_TYPE_NUMBERS: Mapping[str, int] = {word: number for number, word in enumerate(EVENT_TYPES, start=1)}
_METHOD_NUMBERS: Mapping[str, int] = {word: number for number, word in enumerate(METHODS, start=1)}


#: Addresses by what the stop list knows them by: root and hash. One may be told in several spellings.
StopKeys = dict[tuple[str, bytes], list[str]]


class _Profile(msgspec.Struct, frozen=True, array_like=True):
    email: str
    language: str = ""
    fields: dict[str, str] = {}


class _OldProfile(msgspec.Struct, frozen=True):
    """As profiles were sealed before 2026-11-25."""

    email: str
    language: str = ""
    fields: dict[str, str] = {}


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A person with her key, as the door works with her."""

    person: Person
    key: Any  # AESGCM; stays inside the store

    @property
    def number(self) -> int:
        """Her number inside the store."""
        return self.person.number


class Written(NamedTuple):
    """One event as it is written: sealed, and a link of her chain."""

    event: ConsentEvent
    subject: int
    number: int
    sealed: bytes
    digest: bytes


class Rows:
    """Reads people and what happened to them."""

    def __init__(self, vault: Vault, names: Names) -> None:
        self.vault, self.names = vault, names

    # -- people -------------------------------------------------------------------------------------------------

    def people(self, db: Hand | Connection, numbers: Collection[int]) -> dict[int, Opened]:
        """People by their numbers; who is not there is left out."""
        found = (open_person(self.vault, row) for row in listed(_BY_NUMBER, db, list(numbers)))
        return {opened.number: opened for opened in found}

    def readable(self, db: Hand | Connection, numbers: Sequence[int]) -> dict[int, Opened]:
        """The same, without those who cannot be read: one of them must not keep the others from what is theirs."""
        try:
            return self.people(db, numbers)
        except (Sealed, msgspec.DecodeError):
            found: dict[int, Opened] = {}
            for number in numbers:
                try:
                    found |= self.people(db, [number])
                except (Sealed, msgspec.DecodeError):
                    log.error("a person cannot be read: run consent-bridge verify")
            return found

    def by_email(self, db: Hand | Connection, email: str) -> Opened | None:
        """The person behind an address."""
        row = next(iter(listed(_BY_LOOKUP, db, [entry.value for entry in self.vault.lookups(email)])), None)
        return None if row is None else open_person(self.vault, row)

    def locked(self, db: Hand | Connection, ids: Collection[str]) -> list[Opened]:
        """These people, locked in the one order that all writers keep."""
        return [open_person(self.vault, row) for row in _BY_ID_LOCKED.rows(db, tuple(ids), len(ids))]

    def locked_by_link(self, db: Hand | Connection, subject: str, mark: str) -> Opened | None:
        """Whom a link means, locked: the person of that id, or whoever holds that address now (decision 9)."""
        found = [open_person(self.vault, row) for row in _BY_LINK_LOCKED.rows(db, (subject, mark))]
        return _meant(found, subject)

    def by_link(self, db: Hand | Connection, subject: str, mark: str) -> tuple[Opened, list[ConsentEvent]] | None:
        """Whom a link means, and what happened to her, in one read."""
        found = {}
        for _, group in groupby(_BY_LINK.rows(db, (subject, mark)), itemgetter(0)):
            rows = list(group)
            opened = open_person(self.vault, rows[0])
            told = [clear_event(row[6:], opened.person.id, self._words(db)) for row in rows if row[6] is not None]
            found[opened.person.id] = (opened, told)
        return found.get(subject) or next(iter(found.values()), None)

    # -- what happened ------------------------------------------------------------------------------------------

    def histories(self, db: Hand | Connection, people: Iterable[Person]) -> dict[int, list[ConsentEvent]]:
        """Everything that happened to these people, from clear columns."""
        return self.chains(db, people)[0]

    def chains(
        self, db: Hand | Connection, people: Iterable[Person]
    ) -> tuple[dict[int, list[ConsentEvent]], dict[int, tuple[int, bytes]]]:
        """Everything that happened to these people, and number and digest of each one's last event: where hers goes
        on."""
        ids = {person.number: person.id for person in people}
        found: dict[int, list[ConsentEvent]] = {number: [] for number in ids}
        tails = dict.fromkeys(ids, (0, FIRST))
        words = self._words(db)
        for row in listed(_CHAINS, db, list(ids)):
            subject = row[0]
            found[subject].append(clear_event(row[1:], ids[subject], words))
            tails[subject] = (row[1], row[13])
        return found, tails

    def story(self, db: Hand | Connection, opened: Opened) -> list[ConsentEvent]:
        """What happened to one person, with all evidence."""
        return [open_event(opened, number, sealed) for number, sealed in _STORY.rows(db, (opened.number,))]

    def stops(self, db: Hand | Connection, emails: Sequence[str]) -> dict[str, list[ConsentEvent]]:
        """What the stop list says of these addresses, as events the rules can read (SUP-05)."""
        return {email: [] for email in emails} | self.stops_under(db, self.stop_keys(emails))

    def stop_keys(self, emails: Iterable[str]) -> StopKeys:
        """What the stop list would know these addresses by."""
        found: StopKeys = {}
        for email in emails:
            for entry in self.vault.stop_hashes(email):
                found.setdefault((entry.kid, entry.value), []).append(email)
        return found

    def stops_under(self, db: Hand | Connection, keys: StopKeys) -> dict[str, list[ConsentEvent]]:
        """What the stop list says under these keys, by address; one that it says nothing of is not there."""
        found: dict[str, list[ConsentEvent]] = {}
        for hash_, kid, reason, scope, since in listed(_STOPS, db, [value for _kid, value in keys]):
            for email in set(keys.get((kid, hash_), ())):
                found.setdefault(email, []).append(stop_event(reason, scope, moment(since)))
        return found

    def columns(
        self, event: ConsentEvent, subject: int, number: int, numbers: Callable[[str], int]
    ) -> tuple[object, ...]:
        """The clear columns of one event, in the order of `COLUMNS`."""
        time, received = micros(event.time), micros(event.received)
        return (
            subject,
            number,
            _TYPE_NUMBERS[event.type],
            numbers(event.purpose),
            time,
            None if received == time else received,
            None if event.asked is None else micros(event.asked),
            None if event.until is None else micros(event.until),
            numbers(event.source),
            _METHOD_NUMBERS[event.method],
            None if event.channel is None else numbers(event.channel),
            event.notice,
            event.key if event.method in REPORTED else None,
        )

    def rows_alike(self, told: Sequence[Written], numbers: Callable[[str], int]) -> list[tuple[object, ...]]:
        """Whole rows of events that differ by person, time and what is sealed only."""
        one = told[0].event
        _, _, type_, purpose, _, _, *same = self.columns(one, 0, 0, numbers)
        received = micros(one.received)
        rows: list[tuple[object, ...]] = []
        for event, subject, number, sealed, chained in told:
            time = micros(event.time)
            late = None if time == received else received
            rows.append((subject, number, type_, purpose, time, late, *same, sealed, chained))
        return rows

    def _words(self, db: Hand | Connection) -> Callable[[int], str]:
        return lambda number: self.names.text(db, number)


def names_of(events: Iterable[ConsentEvent]) -> set[str]:
    """The words of these events that `names` holds."""
    found: set[str] = set()
    for event in events:
        found.update((event.purpose, event.source))
        if event.channel is not None:
            found.add(event.channel)
    return found


def open_person(vault: Vault, row: AnyRow) -> Opened:
    """One row of a person with her key, opened."""
    number, subject, mark, sealed, kid, wrapped = row[:6]
    key = vault.person(subject, kid, wrapped)
    data = unseal(key, sealed, subject)
    kind: type[_Profile | _OldProfile] = _OldProfile if data[:1] == b"{" else _Profile
    profile = msgspec.json.decode(data, type=kind)
    person = Person(
        number=number,
        id=subject,
        mark=mark,
        email=profile.email,
        language=profile.language,
        fields=profile.fields,
    )
    return Opened(person=person, key=key)


def profile_bytes(person: Person) -> bytes:
    """What is sealed of a person besides her events: a JSON array of address, language and, if any, declared fields."""
    return msgspec.json.encode([person.email, person.language, *([dict(person.fields)] if person.fields else [])])


def clear_event(row: Sequence[Any], subject: str, text: Callable[[int], str]) -> ConsentEvent:
    """An event from its clear columns: enough to decide, without its evidence."""
    number, type_, purpose, time, received, asked, until, source, method, channel, notice, report = row[:12]
    when = moment(time)
    return ConsentEvent(
        type=EVENT_TYPES[type_ - 1],
        subject=subject,
        time=when,
        received=when if received is None else moment(received),
        source=text(source),
        method=METHODS[method - 1],
        key=report or str(number),
        purpose=text(purpose),
        asked=None if asked is None else moment(asked),
        until=None if until is None else moment(until),
        channel=None if channel is None else text(channel),
        notice=notice,
    )


def open_event(opened: Opened, number: int, sealed: bytes) -> ConsentEvent:
    """An event with its evidence, from its sealed bytes."""
    person = opened.person
    return from_canonical(person.id, number, unpack(unseal(opened.key, sealed, about_event(person.id, number))))


def stop_event(reason: str, scope: str, since: Any) -> ConsentEvent:
    """One entry of the stop list as an event: known only as a hash, so without a subject."""
    return ConsentEvent(
        type=EventType(reason),
        subject="",
        time=since,
        received=since,
        source=SYSTEM,
        method=Method.STOP_LIST,
        key=f"stop-list/{scope}/{reason}/{micros(since)}",  # under two roots, or with the list's other rows, its own
        purpose=scope,
    )


def with_stops(history: Sequence[ConsentEvent], stops: Sequence[ConsentEvent]) -> list[ConsentEvent]:
    """A person's history and what the stop list knows of her address beyond it."""
    if not stops:
        return list(history)
    told = {(event.type, event.purpose, event.time) for event in history}
    return [*history, *(stop for stop in stops if (stop.type, stop.purpose, stop.time) not in told)]


def _meant(found: Sequence[Opened], subject: str) -> Opened | None:
    return next((opened for opened in found if opened.person.id == subject), next(iter(found), None))


def listed(statement: Sql, db: Hand | Connection, values: Sequence[Any]) -> Iterator[AnyRow]:
    """The rows of a query with a list in it, so many values at once as a statement takes.

    Without values it is asked all the same: nobody can tell from the work whether an address is known (CAP-09).
    """
    for first in range(0, len(values) or 1, _AT_ONCE):
        part = values[first : first + _AT_ONCE]
        yield from statement.rows(db, part, len(part))
