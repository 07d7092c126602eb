"""Which channels brought somebody else's lists. That outlives the policy: whoever came by one was never asked by us,
whatever the channel is called today (CHN-04)."""

from collections.abc import Iterable

from sqlalchemy import Connection

from bridge.store.sql import Hand, Sql
from bridge.tables import EVENT_TYPES
from bridge.vocabulary import EventType

_ALL = Sql("SELECT n.text FROM bought b JOIN names n ON n.number = b.channel")
_NOTE = Sql("INSERT INTO bought (channel) VALUES (?) ON CONFLICT DO NOTHING")
_BROUGHT = Sql(
    "SELECT 1 FROM events WHERE channel = ? AND type IN "
    f"({EVENT_TYPES.index(EventType.GIVEN) + 1}, {EVENT_TYPES.index(EventType.IMPORTED) + 1}) LIMIT 1"
)


def noted(db: Hand | Connection) -> frozenset[str]:
    """The channels that are noted."""
    return frozenset(text for (text,) in _ALL.rows(db))


def note(db: Hand | Connection, channels: Iterable[int]) -> None:
    """Note these channels, in the transaction of what they bring. One that is noted stays so."""
    _NOTE.many(db, [(channel,) for channel in sorted(channels)])


def brought(db: Hand | Connection, channel: int) -> bool:
    """Whether anybody ever came by this channel."""
    return bool(_BROUGHT.rows(db, (channel,)))
