"""Where a person stands: her whole history in, one status and the blocks out, whatever order the news came in."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from bridge.vocabulary import (
    CONFIRMED,
    EVERY_PURPOSE,
    GUARDIAN,
    OPERATOR,
    READER,
    SYSTEM,
    Block,
    ConsentEvent,
    EventType,
    Limits,
    Method,
    Status,
)

T = EventType
S = Status

#: What ends a yes, whoever says it, and where it leaves the person. Strictest last: it wins within one second.
STOPS: Mapping[EventType, Status] = {
    T.EXPIRED: S.EXPIRED,
    T.REFUSED: S.REFUSED,
    T.WITHDRAWN: S.WITHDRAWN,
    T.UNSUBSCRIBED: S.WITHDRAWN,
    T.REVOKED: S.REVOKED,
    T.INVALIDATED: S.INVALIDATED,
    T.OBJECTED: S.OBJECTED,
    T.COMPLAINED: S.OBJECTED,
    T.ERASED: S.UNKNOWN,
}

#: Where a no leaves people; a yes that grew too old is none.
SAID_NO = frozenset(STOPS.values()) - {S.EXPIRED, S.UNKNOWN}

#: Stops that the stop list remembers as a keyed hash, beyond the person herself.
LISTED = frozenset({T.WITHDRAWN, T.UNSUBSCRIBED, T.OBJECTED, T.COMPLAINED, T.REFUSED, T.ERASED})

_SEVERITY = {event: rank for rank, event in enumerate(STOPS)}

_MOVES: Mapping[tuple[Status, EventType], Status] = {
    (S.UNKNOWN, T.REQUESTED): S.REQUESTED,
    (S.UNKNOWN, T.ENROLLED): S.SOFT_OPT_IN,
    (S.REQUESTED, T.ENROLLED): S.SOFT_OPT_IN,
    **{(status, T.GIVEN): S.GIVEN for status in S},
}

#: Every status × every event. A start reaches a stopped status only when it answers a question put after the stop.
NEXT: Mapping[Status, Mapping[EventType, Status]] = {
    status: {event: STOPS.get(event) or _MOVES.get((status, event), status) for event in T} for status in S
}

#: Whose word counts for a start, and by which road. An ESP's never does.
_BELIEVED: Mapping[tuple[EventType, str], frozenset[Method]] = {
    (T.REQUESTED, READER): frozenset({Method.FORM, Method.PREFERENCE_LINK, Method.PREFERENCE_PAGE}),
    (T.REQUESTED, SYSTEM): frozenset({Method.WEBHOOK}),  # our question to a new address of hers (R13)
    (T.GIVEN, READER): CONFIRMED | {Method.FORM},
    (T.GIVEN, OPERATOR): frozenset({Method.IMPORT, Method.STAFF}),
    (T.ENROLLED, OPERATOR): frozenset({Method.IMPORT, Method.STAFF}),
}

#: Said to us as a whole, whatever list the news came by: no purpose goes on after these (R5, R6).
FOR_ALL = frozenset({T.OBJECTED, T.COMPLAINED})

#: What a block begins with: without any of these there is none, and most people have none.
_CLOSERS = frozenset({T.BOUNCED, T.DEFERRED, T.RESTRICTED, T.CHILD_DECLARED, T.ERASED})

_CLOCK_TOLERANCE = timedelta(minutes=5)

MAILABLE = frozenset({S.GIVEN, S.SOFT_OPT_IN})


class Standing(NamedTuple):
    """Where a person stands for one purpose, and the event that put her there."""

    status: Status
    by: ConsentEvent | None


def whole(moment: datetime) -> datetime:
    """A time in whole seconds: ESPs tell no finer, and who spoke last is compared in these."""
    return moment.replace(microsecond=0)


def settled(events: Iterable[ConsentEvent]) -> list[ConsentEvent]:
    """The events once each, with claimed times that lie ahead of their arrival cut (R1)."""
    first: dict[str, ConsentEvent] = {}
    for event in events:
        known = first.get(event.key)
        if known is None or event.received < known.received:
            first[event.key] = event
    return [_cut(event) for event in first.values()]


def and_then(told: Sequence[ConsentEvent], event: ConsentEvent) -> list[ConsentEvent]:
    """What is settled already, and one more event."""
    if any(known.key == event.key for known in told):
        return settled([*told, event])
    return [*told, _cut(event)]


def standing(events: Iterable[ConsentEvent], purpose: str) -> Standing:
    """Where a person stands for a purpose, in whatever order and however often the news came in (R1 to R6).

    Anyone's word stops the mail. Only the reader's own confirmed answer starts it again, and only to a question
    that was put after the last stop; on a tie the stop wins.
    """
    return stands(settled(events), purpose)


def stands(told: Iterable[ConsentEvent], purpose: str) -> Standing:
    """The same of events that are settled already."""
    mine = about(told, purpose)
    stop = last_stop(mine)
    status, by = (STOPS[stop.type], stop) if stop else (S.UNKNOWN, None)
    for event in sorted(mine, key=_order):
        if event.type in STOPS or not is_believed(event) or (stop and not answers(event, stop)):
            continue
        after = NEXT[status][event.type]
        if after is not status or after is NEXT[S.UNKNOWN][event.type]:  # told again: the last telling counts
            status, by = after, event
    return Standing(status, by)


def concerns(event: ConsentEvent, purpose: str) -> bool:
    """Whether an event counts for a purpose: it is about it, about the whole person, or an objection (R5, R6)."""
    return event.purpose in (purpose, EVERY_PURPOSE) or event.type in FOR_ALL


def status(events: Iterable[ConsentEvent], purpose: str) -> Status:
    """Where a person stands for a purpose. No clock: what time does to it is for `may_mail`."""
    return standing(events, purpose).status


def blocks(events: Iterable[ConsentEvent], limits: Limits) -> dict[Block, ConsentEvent]:
    """Why nothing may be sent to this person, whatever the purpose; each with the event that says so."""
    return closed_by(settled(events), limits)


def closed_by(mine: Collection[ConsentEvent], limits: Limits) -> dict[Block, ConsentEvent]:
    """The same of events that are settled already."""
    found: dict[Block, ConsentEvent] = {}
    if _CLOSERS.isdisjoint([event.type for event in mine]):
        return found
    bounce = _last_bounce(mine, limits)
    if bounce and not any(answers(event, bounce) for event in mine):
        found[Block.BOUNCED] = bounce
    closed, opened = latest(mine, T.RESTRICTED), latest(mine, T.UNRESTRICTED)
    if closed and not (opened and whole(opened.time) > whole(closed.time)):
        found[Block.RESTRICTED] = closed
    child = declared_child(mine)
    if child and not any(guardian(mine, e.purpose) for e in mine if e.type is T.GUARDIAN_CONFIRMED):
        found[Block.CHILD_UNVERIFIED] = child
    erased = latest(mine, T.ERASED)
    if erased and not any(answers(event, erased) for event in mine):
        found[Block.ERASED] = erased
    return found


def after_restriction(restricted: ConsentEvent, now: datetime) -> datetime:
    """When what lifts a restriction now counts from: within a second of it, or with a clock set back, it would win."""
    return max(now, restricted.time + timedelta(seconds=1))


def declared_child(mine: Collection[ConsentEvent]) -> ConsentEvent | None:
    """What says that she is below the national age, unless she has come of age since (KID-01, R15)."""
    declared = latest(mine, T.CHILD_DECLARED)
    if declared is None:  # of nearly everybody
        return None
    grown = latest(filter(is_believed_of_age, mine), T.OF_AGE)
    return None if grown and whole(grown.time) > whole(declared.time) else declared


def guardian(mine: Collection[ConsentEvent], purpose: str) -> ConsentEvent | None:
    """The guardian's yes for a purpose: to what was declared before it, and not taken back. Its end is another question
    (`may_mail`).
    """
    about = [e for e in mine if e.purpose in (purpose, EVERY_PURPOSE)]
    declared = latest(mine, T.CHILD_DECLARED)
    yes = latest((e for e in about if _is_believed_guardian(e)), T.GUARDIAN_CONFIRMED)
    no = guardians_no(about, purpose)
    if yes is None or (declared and whole(yes.time) <= whole(declared.time)):
        return None
    return None if no and whole(no.time) >= whole(yes.time) else yes


def guardians_no(mine: Iterable[ConsentEvent], purpose: str) -> ConsentEvent | None:
    """The guardian's last no for a purpose, if any."""
    said = (e for e in mine if e.source == GUARDIAN and e.purpose in (purpose, EVERY_PURPOSE))
    return latest_of(said, frozenset({T.REFUSED, T.WITHDRAWN}))


def unguarded(mine: Collection[ConsentEvent], purpose: str) -> ConsentEvent | None:
    """What says that she is a child, where no guardian's yes stands for this purpose (KID-01)."""
    declared = declared_child(mine)
    return None if declared is None or guardian(mine, purpose) else declared


def is_believed_of_age(event: ConsentEvent) -> bool:
    """Whose word counts that she decides alone: from her own mailbox, or by the operator's people, who saw a proof."""
    return event.confirmed or (event.source == OPERATOR and event.method is Method.STAFF)


def _is_believed_guardian(event: ConsentEvent) -> bool:
    """By the mailed link, or on a paper that the operator's people hold. A platform or a list knows no guardian."""
    by_link = event.source == GUARDIAN and event.method is Method.CONFIRM_PAGE
    return by_link or (event.source == OPERATOR and event.method is Method.STAFF)


def unconfirmed_move(events: Iterable[ConsentEvent]) -> ConsentEvent | None:
    """The move to an address whose mailbox has not confirmed since, if any: until then no consent moves with her (R13).

    One answer from there is enough, as it is for a dead address.
    """
    mine = list(events)
    if not any(event.type is T.MOVED for event in mine):  # of nearly everybody
        return None
    moved = latest(mine, T.MOVED)
    if moved is None or moved.confirmed:
        return None
    since = whole(moved.time)  # in that same second the question is ours, and goes to the new address
    asked = (min(e.asked, e.time) for e in mine if e.type is T.GIVEN and e.confirmed and e.asked)
    return None if any(whole(moment) >= since for moment in asked) else moved


def paused_until(events: Iterable[ConsentEvent], purpose: str) -> datetime | None:
    """The end of the pause that was asked for last, if any."""
    latest = latest_of([e for e in events if e.purpose in (purpose, EVERY_PURPOSE)], frozenset({T.PAUSED, T.RESUMED}))
    return latest.until if latest and latest.type is T.PAUSED else None


_STRICTNESS = (
    S.GIVEN,
    S.SOFT_OPT_IN,
    S.REQUESTED,
    S.UNKNOWN,
    S.EXPIRED,
    S.REFUSED,
    S.WITHDRAWN,
    S.REVOKED,
    S.INVALIDATED,
    S.OBJECTED,
)


def strictest(one: Status, other: Status) -> Status:
    """Where two records of one address stand together (R14)."""
    return max(one, other, key=_STRICTNESS.index)


def about(events: Iterable[ConsentEvent], purpose: str) -> list[ConsentEvent]:
    """What counts for a purpose: news of it, of the whole person, and every objection (R5, R6)."""
    return [event for event in events if concerns(event, purpose)]


def last_stop(events: Iterable[ConsentEvent]) -> ConsentEvent | None:
    stops = (event for event in events if event.type in STOPS)
    return max(stops, key=lambda e: (whole(e.time), _SEVERITY[e.type], e.key), default=None)


def is_believed(event: ConsentEvent) -> bool:
    """A start by someone whose word counts, and for a purpose by name: no yes stretches to all (CAP-02)."""
    return event.purpose != EVERY_PURPOSE and event.method in _BELIEVED.get((event.type, event.source), frozenset())


def answers(event: ConsentEvent, stop: ConsentEvent) -> bool:
    """A confirmed yes of the reader's own, to a question put after the stop. No question = never."""
    if event.type is not T.GIVEN or not event.confirmed or event.asked is None:
        return False
    return whole(min(event.asked, event.time)) > whole(stop.time)


def latest(events: Iterable[ConsentEvent], kind: EventType) -> ConsentEvent | None:
    return latest_of(events, frozenset({kind}))


def latest_of(events: Iterable[ConsentEvent], kinds: frozenset[EventType]) -> ConsentEvent | None:
    return max((e for e in events if e.type in kinds), key=_order, default=None)


def _cut(event: ConsentEvent) -> ConsentEvent:
    if event.time <= event.received + _CLOCK_TOLERANCE:
        return event
    return msgspec.structs.replace(event, time=event.received)


def _order(event: ConsentEvent) -> tuple[datetime, str]:
    return event.time, event.key


def _last_bounce(events: Collection[ConsentEvent], limits: Limits) -> ConsentEvent | None:
    """The last news that the address is dead: a hard bounce, or so many soft ones within the window (R7)."""
    hard = latest(events, T.BOUNCED)
    soft = sorted((e for e in events if e.type is T.DEFERRED), key=_order)
    need = limits.soft_bounces
    runs = (soft[end - need + 1 : end + 1] for end in range(need - 1, len(soft)))
    answered = [e for e in events if e.type is T.GIVEN and e.confirmed] if soft else []
    counted = [
        run[-1]
        for run in runs
        if run[-1].time - run[0].time <= limits.soft_bounce_window
        # An answer from the mailbox in between says that it was alive: counting begins anew.
        and not any(e.time <= run[-1].time and answers(e, run[0]) for e in answered)
    ]
    return max((e for e in (hard, *counted) if e), key=_order, default=None)
