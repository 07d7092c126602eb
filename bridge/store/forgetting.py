"""Who is forgotten when her time is up: whoever never confirmed (R9, CON-06), and whom somebody else's list brought
without a proof (CHN-04). Of a request only a number is left."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, and_, exists, func, select

from bridge.store.sql import Sql
from bridge.tables import EVENT_TYPES, events, records
from bridge.vocabulary import EventType, Status

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
)
_IMPORTED = EventType.IMPORTED.value

_UNANSWERED = Sql(
    "INSERT INTO unanswered (channel, count) SELECT channel, COUNT(DISTINCT subject) FROM events "
    f"WHERE type = {EVENT_TYPES.index(EventType.REQUESTED) + 1} AND channel IS NOT NULL AND subject IN ({{}}) "
    "GROUP BY channel ON CONFLICT (channel) DO UPDATE SET count = unanswered.count + excluded.count"
)

_People = Select[int]


def unconfirmed(cutoff: datetime) -> _People:
    """Whose request was made before, and who gave no other ground to keep her address."""
    requested = and_(records.c.status == Status.REQUESTED.value, records.c.since < cutoff)
    fresh = and_(events.c.type == EventType.REQUESTED.value, events.c.time >= cutoff)
    kept = exists().where(events.c.subject == records.c.subject, events.c.type.not_in(_NO_BASIS) | fresh)
    return select(records.c.subject).where(requested, ~kept).distinct()


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
    return select(events.c.subject).where(events.c.subject.is_not(None), brought, ~kept).distinct()


def note_unanswered(db: Connection, numbers: Sequence[int]) -> None:
    """Count the requests of people who are forgotten now, in the same transaction."""
    if numbers:
        _UNANSWERED.run(db, numbers, len(numbers))
