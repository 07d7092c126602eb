"""Whom a breach concerns, counted in the database: people who are here and were so in a window of time.

Whoever arrived before the window ended was there in it, for she is there still. Arrived is when her first event was
heard here, whatever time it claims; who has none was always here. People who were erased since are only a number.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, not_, or_, select

from bridge.store.breaches import Breach
from bridge.store.campaigns import COUNTRY
from bridge.store.engine import Database
from bridge.store.rows import Rows
from bridge.tables import erasures, events, former, outbox, pushes, records, stop_list, subjects

_CHUNK = 500


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What narrows whom a breach concerns; an empty list narrows nothing. All that is named must hold."""

    since: datetime
    until: datetime
    purposes: tuple[str, ...] = ()  # something is kept about one of them
    channels: tuple[str, ...] = ()  # an event of hers names one of them
    adapters: tuple[str, ...] = ()  # that was told of her


class Affected(msgspec.Struct, kw_only=True):
    """Numbers of people and records, of one moment."""

    people: int
    with_events: int  # of these, people with an event that was here when the window ended
    events: int  # that were here when the window ended
    events_within: int  # of these, heard within it
    by_purpose: Mapping[str, Mapping[str, int]]  # purpose -> where she stands today -> people
    without_purpose: int  # people of whom nothing is kept about any
    by_channel: Mapping[str, int]  # people by each channel that an event of theirs names; some came by several
    by_platform: Mapping[str, int]  # people whom each platform was told of
    former_addresses: int  # people with a keyed hash of an address they had before
    mails: int  # that wait to be sent to them
    stop_list: int  # keyed hashes of whoever said no, not of these people alone
    erased_since: int  # people erased here since the window began: at most so many more


class Kept(NamedTuple):
    """What of one affected person is sealed."""

    id: str
    language: str
    country: str
    fields: Sequence[str]


def scope_of(breach: Breach, since: datetime, until: datetime, adapters: Collection[str]) -> Scope:
    """By what the register says of a breach. Where only platforms were hit, whom they were never told of is safe."""
    facts = breach.facts
    outside = bool(facts.systems) and set(facts.systems) <= set(adapters)
    return Scope(
        since=since,
        until=until,
        purposes=facts.purposes,
        channels=facts.channels,
        adapters=facts.systems if outside else (),
    )


def count(database: Database, rows: Rows, scope: Scope) -> Affected:
    """All numbers, in a fixed number of statements and of one moment."""
    mine = _affected(rows, scope)
    with database.reading() as db:

        def many(*where: ColumnElement[bool], of: Any = None) -> int:
            return db.scalar(select(func.count() if of is None else func.count(of)).where(*where)) or 0

        arrived = _arrived(events.c)
        heard = and_(events.c.subject.in_(mine), arrived <= scope.until)
        by_purpose: dict[str, dict[str, int]] = {}
        stands = select(records.c.purpose, records.c.status, func.count()).where(records.c.subject.in_(mine))
        for purpose, status, people in db.execute(stands.group_by(records.c.purpose, records.c.status)):
            by_purpose.setdefault(rows.names.text(db, purpose), {})[status] = people
        channels = select(events.c.channel, func.count(events.c.subject.distinct())).where(heard)
        told = select(pushes.c.adapter, func.count()).where(pushes.c.subject.in_(mine), _told(pushes.c))
        people = db.scalar(select(func.count()).select_from(mine.subquery())) or 0
        return Affected(
            people=people,
            with_events=many(heard, of=events.c.subject.distinct()),
            events=many(heard),
            events_within=many(heard, arrived >= scope.since),
            by_purpose={name: dict(sorted(parts.items())) for name, parts in sorted(by_purpose.items())},
            without_purpose=people - many(records.c.subject.in_(mine), of=records.c.subject.distinct()),
            by_channel=_named(db, rows, channels.where(events.c.channel.is_not(None)).group_by(events.c.channel)),
            by_platform={row.adapter: row[1] for row in db.execute(told.group_by(pushes.c.adapter))},
            former_addresses=many(former.c.subject.in_(mine), of=former.c.subject.distinct()),
            mails=many(outbox.c.subject.in_(mine)),
            stop_list=many(stop_list.c.since <= scope.until, of=stop_list.c.hash.distinct()),
            erased_since=many(erasures.c.time >= scope.since),
        )


def each(
    database: Database, rows: Rows, scope: Scope, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Iterator[Kept]:
    """Everybody who is affected, in flat memory. Profiles are sealed, so each is opened; no transaction stays open
    between batches. Who cannot be read is there all the same, with nothing known of her."""
    mine = _affected(rows, scope)
    with database.reading() as db:
        total = db.scalar(select(func.count()).select_from(mine.subquery())) or 0
    last = done = 0
    while True:
        part = mine.add_columns(subjects.c.id).where(subjects.c.number > last).order_by(subjects.c.number)
        with database.reading() as db:
            chunk = {row.number: row.id for row in db.execute(part.limit(_CHUNK))}
            opened = rows.readable(db, list(chunk))
        if not chunk:
            return
        for number, subject in chunk.items():
            person = opened[number].person if number in opened else None
            fields = {name: value for name, value in person.fields.items() if value} if person else {}
            country = fields.get(COUNTRY, "").strip().upper()
            yield Kept(subject, person.language if person else "", country, tuple(fields))
            last = number
        done += len(chunk)
        progress(done, max(done, total))


def _affected(rows: Rows, scope: Scope) -> Select[Any]:
    """The numbers of whom it concerns, as a query that each count narrows itself by."""
    hers, stands, there = events.alias("hers"), records.alias("stands"), pushes.alias("there")
    mine = hers.c.subject == subjects.c.number
    within = exists().where(mine, _arrived(hers.c) <= scope.until)
    query: Select[Any] = select(subjects.c.number).where(or_(within, not_(exists().where(mine))))
    if scope.purposes:
        purposes = _numbers(rows, scope.purposes)
        query = query.where(exists().where(stands.c.subject == subjects.c.number, stands.c.purpose.in_(purposes)))
    if scope.channels:
        channels = _numbers(rows, scope.channels)
        query = query.where(exists().where(mine, hers.c.channel.in_(channels)))
    if scope.adapters:
        here = and_(there.c.subject == subjects.c.number, there.c.adapter.in_(scope.adapters))
        query = query.where(exists().where(here, _told(there.c)))
    return query


def _arrived(told: Any) -> ColumnElement[Any]:
    """When an event was heard here."""
    return func.coalesce(told.received, told.time)


def _told(there: Any) -> ColumnElement[bool]:
    """An ESP was told of her, or may have been."""
    return or_(there.put > 0, there.job.is_not(None), there.attempts > 0, there.leased.is_not(None))


def _numbers(rows: Rows, texts: Collection[str]) -> list[int]:
    return [number for number in map(rows.names.number, texts) if number]


def _named(db: Connection, rows: Rows, query: Select[Any]) -> dict[str, int]:
    return dict(sorted((rows.names.text(db, number), people) for number, people in db.execute(query)))
