"""Rows to values and back: the mapping, in plain functions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from bridge.store.values import Person
from bridge.tables import events, person_keys, stop_list, subjects
from bridge.vault import FIRST, Vault, about_event, encode, from_canonical, unpack, unseal
from bridge.vocabulary import SYSTEM, ConsentEvent, EventType, Method

#: Roads by which a machine tells its news; each piece counts once.
REPORTED = frozenset({Method.WEBHOOK, Method.RECONCILE})

#: A row of any shape: which columns it has is said by the query beside it.
AnyRow = Row[*tuple[Any, ...]]

#: The clear columns that deciding needs, in one place for the reads that decide.
CLEAR = (
    events.c.subject,
    events.c.number,
    events.c.type,
    events.c.purpose,
    events.c.time,
    events.c.received,
    events.c.asked,
    events.c.until,
    events.c.source,
    events.c.method,
    events.c.channel,
    events.c.notice,
    events.c.report,
)

#: A person with her key.
PERSON = select(
    subjects.c.number, subjects.c.id, subjects.c.mark, subjects.c.profile, person_keys.c.kid, person_keys.c.wrapped
).join(person_keys, person_keys.c.subject == subjects.c.number)


class _Profile(msgspec.Struct, frozen=True):
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


def open_person(vault: Vault, row: AnyRow) -> Opened:
    """One row of `PERSON`, opened."""
    key = vault.person(row.id, row.kid, row.wrapped)
    profile = msgspec.json.decode(unseal(key, row.profile, row.id), type=_Profile)
    person = Person(
        number=row.number,
        id=row.id,
        mark=row.mark,
        email=profile.email,
        language=profile.language,
        fields=profile.fields,
    )
    return Opened(person=person, key=key)


def profile_bytes(person: Person) -> bytes:
    """What is sealed of a person besides her events."""
    return encode({"email": person.email, "language": person.language, "fields": dict(person.fields)})


def clear_event(row: AnyRow, subject: str) -> ConsentEvent:
    """An event from its clear columns: enough to decide, without its evidence."""
    return ConsentEvent(
        type=EventType(row.type),
        subject=subject,
        time=row.time,
        received=row.received,
        source=row.source,
        method=Method(row.method),
        key=row.report or str(row.number),
        purpose=row.purpose,
        asked=row.asked,
        until=row.until,
        channel=row.channel,
        notice=row.notice,
    )


def open_event(opened: Opened, number: int, sealed: bytes) -> ConsentEvent:
    """An event with its evidence, from its sealed bytes."""
    person = opened.person
    return from_canonical(person.id, unpack(unseal(opened.key, sealed, about_event(person.id, number))))


def histories(db: Connection, people: Iterable[Person]) -> dict[int, list[ConsentEvent]]:
    """Everything that happened to these people, in one read, from clear columns."""
    return chains(db, people)[0]


def chains(
    db: Connection, people: Iterable[Person]
) -> tuple[dict[int, list[ConsentEvent]], dict[int, tuple[int, bytes]]]:
    """Everything that happened to these people, and number and digest of each one's last event: where hers goes on."""
    ids = {person.number: person.id for person in people}
    found: dict[int, list[ConsentEvent]] = {number: [] for number in ids}
    tails = dict.fromkeys(ids, (0, FIRST))
    query = select(*CLEAR, events.c.digest).where(events.c.subject.in_(ids))
    for row in db.execute(query.order_by(events.c.subject, events.c.number)):
        found[row.subject].append(clear_event(row, ids[row.subject]))
        tails[row.subject] = (row.number, row.digest)
    return found, tails


def stops_known(db: Connection, vault: Vault, emails: Sequence[str]) -> dict[str, list[ConsentEvent]]:
    """What the stop list says of these addresses, as events the rules can read (SUP-05)."""
    by_hash = {(entry.kid, entry.value): email for email in emails for entry in vault.stop_hashes(email)}
    rows = db.execute(select(stop_list).where(stop_list.c.hash.in_([value for _kid, value in by_hash])))
    found: dict[str, list[ConsentEvent]] = {email: [] for email in emails}
    for row in rows:
        email = by_hash.get((row.kid, row.hash))
        if email is not None:
            found[email].append(stop_event(row.reason, row.scope, row.since))
    return found


def stop_event(reason: str, scope: str, since: Any) -> ConsentEvent:
    """One entry of the stop list as an event: known only as a hash, so without a subject."""
    return ConsentEvent(
        type=EventType(reason),
        subject="",
        time=since,
        received=since,
        source=SYSTEM,
        method=Method.STOP_LIST,
        key=f"stop-list/{scope}",
        purpose=scope,
    )


def with_stops(history: Sequence[ConsentEvent], stops: Sequence[ConsentEvent]) -> list[ConsentEvent]:
    """A person's history and what the stop list knows of her address beyond it."""
    told = {(event.type, event.purpose, event.time) for event in history}
    return [*history, *(stop for stop in stops if (stop.type, stop.purpose, stop.time) not in told)]


def columns(event: ConsentEvent, subject: int, number: int) -> Mapping[str, object]:
    """The clear columns of one event."""
    return {
        "subject": subject,
        "number": number,
        "type": event.type.value,
        "purpose": event.purpose,
        "time": event.time,
        "received": event.received,
        "asked": event.asked,
        "until": event.until,
        "source": event.source,
        "method": event.method.value,
        "channel": event.channel,
        "notice": event.notice,
        "report": event.key if event.method in REPORTED else None,
    }
