"""How long a person is kept: what her own story and the clock say of it (section 8 of the standards, MIN-06)."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from bridge.decide.history import MAILABLE, STOPS, Standing, closed_by, settled, stands
from bridge.decide.mails import grew_too_old, pending
from bridge.vocabulary import EVERY_PURPOSE, Block, ConsentEvent, EventType, Limits, Method, Status

#: Where no purpose goes on any more.
ENDED = frozenset(STOPS.values()) - {Status.UNKNOWN}


class Spans(NamedTuple):
    """How long what is kept after the end: `[retention]` of the policy."""

    profile: timedelta
    evidence: timedelta
    bounced: timedelta


class Forget(StrEnum):
    """What is forgotten of a person."""

    PROFILE = "profile"  # what she filled in; her address stays with the proof, sealed
    EVIDENCE = "evidence"  # all of her but keyed hashes
    BOUNCED = "bounced"  # the same, because the address is dead


class Fate(NamedTuple):
    """What time has made of a person."""

    expires: Mapping[str, datetime] = {}  # purposes whose yes grew too old, and since when
    forgets: Forget | None = None
    noes: Collection[ConsentEvent] = ()  # what ended each purpose: it outlives her, as a keyed hash


def fate(events: Collection[ConsentEvent], now: datetime, limits: Limits, spans: Spans) -> Fate:
    """What time has made of somebody of whom this is known, with what the stop list says of her address.

    Nobody who may be mailed, or may still answer a question of ours, is forgotten; nobody who is restricted (GDPR 18).
    """
    mine = settled(events)
    closed = closed_by(mine, limits)
    purposes = sorted({event.purpose for event in mine} - {EVERY_PURPOSE})
    if Block.RESTRICTED in closed or any(pending(mine, purpose, now, limits) for purpose in purposes):
        return Fate()
    where = {purpose: stands(mine, purpose) for purpose in purposes}
    old = {purpose: grew_too_old(*standing, limits) for purpose, standing in where.items()}
    expires = {purpose: end for purpose, end in old.items() if end is not None and end <= now}
    noes = [standing.by for standing in where.values() if standing.status in ENDED and standing.by and _is_no(standing)]
    bounce = closed.get(Block.BOUNCED)
    if bounce is not None and now >= bounce.time + spans.bounced:
        return Fate(expires, Forget.BOUNCED, noes)
    alive = any(standing.status in MAILABLE and purpose not in expires for purpose, standing in where.items())
    ends = [*expires.values(), *(s.by.time for s in where.values() if s.status in ENDED and s.by)]
    if alive or not ends:
        return Fate(expires)
    left = now - max(ends)
    forgets = Forget.EVIDENCE if left >= spans.evidence else Forget.PROFILE if left >= spans.profile else None
    return Fate(expires, forgets, noes)


def _is_no(standing: Standing) -> bool:
    """That she did not answer the once-only question is no no: what remembers it is that she was asked."""
    by = standing.by
    return by is not None and (by.type, by.method) != (EventType.INVALIDATED, Method.CLOCK)
