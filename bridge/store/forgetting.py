"""Who is forgotten when her time is up: whoever never confirmed (R9, CON-06), and whom somebody else's list brought
without a proof (CHN-04). Of a request only a number is left."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, exists, func, select, text, type_coerce

from bridge.store.sql import Sql
from bridge.tables import EVENT_TYPES, METHODS, events, records
from bridge.vocabulary import EventType, Method

#: So long a contact of a third party's list is kept without a proof: within a month she must be told that we have her
#: address (GDPR 14(3)(a)), and whoever may not be mailed cannot be told by us. No month is shorter.
QUARANTINE = timedelta(days=28)

#: What is no ground to keep the address of someone who never confirmed (CON-06).
_NO_BASIS = (
    EventType.REQUESTED.value,
    EventType.SUBSCRIBED.value,
    EventType.BOUNCED.value,
    EventType.DEFERRED.value,
    EventType.CORRECTED.value,
    EventType.PAUSED.value,
    EventType.RESUMED.value,
    EventType.MOVED.value,
    EventType.CHILD_DECLARED.value,
    EventType.GUARDIAN_CONFIRMED.value,
    EventType.RESTRICTED.value,
    EventType.UNRESTRICTED.value,
)
_RESTRICTED, _UNRESTRICTED = EventType.RESTRICTED.value, EventType.UNRESTRICTED.value
_CHILD, _GIVEN_WORD, _GUARDIAN = (
    each.value for each in (EventType.CHILD_DECLARED, EventType.GIVEN, EventType.GUARDIAN_CONFIRMED)
)
_IMPORTED = EventType.IMPORTED.value

_METHOD = {method: number for number, method in enumerate(METHODS, start=1)}
_REQUESTED, _GIVEN = (EVENT_TYPES.index(type_) + 1 for type_ in (EventType.REQUESTED, EventType.GIVEN))
#: When a person asked last by a channel's own form, and whether she answered there; a question of ours to a new address
#: of hers came by a webhook. Whose is said behind it, then `GROUP BY channel, subject`.
QUESTIONS = (
    f"SELECT channel, subject, MAX(CASE WHEN type = {_GIVEN} AND method IN "
    f"({_METHOD[Method.CONFIRM_PAGE]}, {_METHOD[Method.FORM]}) THEN 1 ELSE 0 END) AS confirmed, "
    f"MAX(CASE WHEN (type = {_REQUESTED} AND method <> {_METHOD[Method.WEBHOOK]}) OR method = {_METHOD[Method.FORM]} "
    "THEN time ELSE 0 END) AS asked "
    f"FROM events WHERE channel IS NOT NULL AND type IN ({_REQUESTED}, {_GIVEN}) AND subject "
)
_ANSWERS = Sql(
    "INSERT INTO unanswered (channel, count, confirmed) SELECT channel, SUM(1 - confirmed), SUM(confirmed) "
    f"FROM ({QUESTIONS}IN ({{}}) GROUP BY channel, subject) q WHERE asked > 0 GROUP BY channel "
    "ON CONFLICT (channel) DO UPDATE SET count = unanswered.count + excluded.count, "
    "confirmed = unanswered.confirmed + excluded.confirmed"
)

_People = Select[int]


def unconfirmed(cutoff: datetime) -> _People:
    """Whose request was made before, and who gave no other ground to keep her address."""
    waits = text("records.status = 2")  # by the small index of these
    requested = and_(waits, records.c.since < cutoff)
    fresh = and_(events.c.type == EventType.REQUESTED.value, events.c.time >= cutoff)
    kept = exists().where(events.c.subject == records.c.subject, events.c.type.not_in(_NO_BASIS) | fresh)
    subject = records.c.subject + 0  # else SQLite goes through everybody, because their key is in order already
    return select(subject).where(requested, ~kept, ~restricted(records.c.subject)).distinct()


def unguarded(cutoff: datetime) -> _People:
    """Children who said yes from their own mailbox while no guardian has, since before (KID-01): without that yes there
    is no ground to keep their address."""
    few = text("events.type IN (11, 12, 14, 16, 23, 24)")  # by the small index of these
    said = and_(few, events.c.type == _CHILD, events.c.method == Method.FORM.value, events.c.time < cutoff)
    told = events.alias()
    no_ground = [word for word in (*_NO_BASIS, _GIVEN_WORD) if word != _GUARDIAN]
    fresh = and_(told.c.type.in_((EventType.REQUESTED.value, _CHILD)), told.c.time >= cutoff)
    own = and_(told.c.type == _GIVEN_WORD, told.c.time < events.c.time)  # from before: not a child's
    kept = exists().where(told.c.subject == events.c.subject, told.c.type.not_in(no_ground) | fresh | own)
    late = select(events.c.subject).where(events.c.subject.is_not(None), said, ~kept)
    return late.where(~restricted(events.c.subject)).distinct()


def quarantined(channels: Collection[int], asked_since: datetime, before: datetime | None = None) -> _People:
    """Of whom only somebody else's lists told (numbers of their channels), without a proof: all, or those since
    `before`. Whoever asked by herself since `asked_since` is none."""
    brought = and_(events.c.type == _IMPORTED, events.c.channel.in_(channels))
    if before is not None:
        brought = and_(brought, func.coalesce(events.c.received, events.c.time) < before)
    told = events.alias()
    other = told.c.type.not_in((*_NO_BASIS, _IMPORTED))
    own = and_(told.c.type == _IMPORTED, func.coalesce(told.c.channel, 0).not_in(channels))
    asks = and_(told.c.type == EventType.REQUESTED.value, told.c.time >= asked_since)
    kept = exists().where(told.c.subject == events.c.subject, other | own | asks)
    late = select(events.c.subject).where(events.c.subject.is_not(None), brought, ~kept)
    return late.where(~restricted(events.c.subject)).distinct()


def restricted(subject: ColumnElement[int]) -> ColumnElement[bool]:
    """Who had her data restricted, and has not lifted it since (RGT-05): as `decide.blocks`, by whole seconds."""
    closed, opened = events.alias("closed"), events.alias("opened")
    few = text("closed.type IN (11, 12, 14, 16, 23, 24)")  # by the small index of these
    later = _second(opened.c.time) > _second(closed.c.time)
    lifted = exists().where(opened.c.subject == closed.c.subject, opened.c.type == _UNRESTRICTED, later)
    return exists().where(few, closed.c.subject == subject, closed.c.type == _RESTRICTED, ~lifted)


def _second(moment: ColumnElement[datetime]) -> ColumnElement[int]:
    return type_coerce(moment, BigInteger) // 1_000_000


def note_answers(db: Connection, numbers: Sequence[int]) -> None:
    """Count who of these people, who are gone now, confirmed and who did not: no rate changes by it (CHN-06)."""
    if numbers:
        _ANSWERS.run(db, numbers, len(numbers))
