"""What one more event changes, and the work it gives."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from bridge.decide.history import (
    FOR_ALL,
    MAILABLE,
    STOPS,
    Standing,
    about,
    and_then,
    closed_by,
    last_stop,
    settled,
    stands,
    unconfirmed_move,
    unguarded,
    whole,
)
from bridge.decide.mails import is_on
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent, EventType, Limits, Method, Status

T = EventType
S = Status

#: What may put a stopped person back on a list, here or at an ESP: a stop after one of these is news.
_REOPENS = frozenset({T.REQUESTED, T.GIVEN, T.ENROLLED, T.IMPORTED, T.SUBSCRIBED, T.MERGED})

#: Events after which ESPs are told how things are even where no status changed, of people they may know.
_ALWAYS_TOLD = frozenset({T.PAUSED, T.RESUMED, T.CORRECTED, T.MOVED, T.GIVEN, T.GUARDIAN_CONFIRMED, T.OF_AGE})


class Work(StrEnum):
    """What one event gives to do, promised in the same transaction."""

    WELCOME = "welcome"
    GOODBYE = "goodbye"
    PUSH = "push"
    STOP = "stop"  # a push that goes first and is never given up


_Change = tuple[Mapping[str, Status], Mapping[str, Status]]


class Decision(NamedTuple):
    """What an event changes: per purpose the status before and after, and the work that follows.

    `stands` names the events that put her there; `welcomes` for which purposes the welcome is.
    """

    before: Mapping[str, Status]
    after: Mapping[str, Status]
    work: frozenset[Work]
    stands: Mapping[str, Standing]
    welcomes: frozenset[str] = frozenset()


def decide(history: Collection[ConsentEvent], event: ConsentEvent, limits: Limits) -> Decision:
    """What one more event changes, and the work it gives. `history` is everything of this person."""
    told = settled(history)
    later = and_then(told, event)
    purposes = {e.purpose for e in later} - {EVERY_PURPOSE}
    there = {purpose: stands(later, purpose) for purpose in purposes}
    before = {purpose: stands(told, purpose).status for purpose in purposes}
    after = {purpose: standing.status for purpose, standing in there.items()}
    welcomes = frozenset(_welcomes(told, later, event, (before, after), limits))
    work = frozenset(_work(told, later, event, (before, after), limits))
    return Decision(before, after, work | {Work.WELCOME} if welcomes else work, there, welcomes)


def is_news(history: Collection[ConsentEvent], event: ConsentEvent) -> bool:
    """Whether a reader's stop says anything that the last one did not.

    A second click on the same link is no second event (WDR-10). A click after she asked again is: it must stop
    that request too, so that a "no" is never overtaken.
    """
    told = settled(history)
    ends = {T.WITHDRAWN, T.UNSUBSCRIBED, *FOR_ALL, event.type}
    stop = last_stop(e for e in about(told, event.purpose) if e.type in ends)
    if not stop:
        return True
    concerned = (e for e in told if e.purpose == event.purpose or EVERY_PURPOSE in (e.purpose, event.purpose))
    return any(e.type in _REOPENS and whole(e.time) >= whole(stop.time) for e in concerned)


def _welcomes(
    told: Collection[ConsentEvent],
    later: Collection[ConsentEvent],
    event: ConsentEvent,
    change: _Change,
    limits: Limits,
) -> Iterable[str]:
    """For what a receipt answers her own yes: when it is given, of a child when her guardian's is there as well."""
    before, after = change
    if event.type is T.GIVEN and event.by_reader:
        new = (purpose for purpose in after if after[purpose] is S.GIVEN and before[purpose] is not S.GIVEN)
        return [purpose for purpose in new if unguarded(later, purpose) is None]
    if event.type is not T.GUARDIAN_CONFIRMED or event.purpose not in after:
        return []
    here = [is_on(known, event.purpose, event.received, limits) for known in (told, later)]
    return [event.purpose] if here == [False, True] else []


def _work(
    told: Collection[ConsentEvent],
    later: Collection[ConsentEvent],
    event: ConsentEvent,
    change: _Change,
    limits: Limits,
) -> Iterable[Work]:
    before, after = change
    changed = {purpose for purpose in after if before[purpose] is not after[purpose]}
    # A goodbye answers a no; a file mails nobody.
    left = event.type in (T.WITHDRAWN, T.UNSUBSCRIBED, T.OBJECTED) and any(before[p] in MAILABLE for p in changed)
    if left and limits.goodbye and event.method is not Method.IMPORT:
        yield Work.GOODBYE
    blocked, blocked_now = closed_by(told, limits).keys(), closed_by(later, limits).keys()
    moved = event.type is T.MOVED and unconfirmed_move(later)  # nothing may go to the new address yet
    # Before she first said yes no ESP hears of her (CON-02), whatever she changes here or becomes of her address.
    known = any(state not in (S.UNKNOWN, S.REQUESTED) for state in (*before.values(), *after.values()))
    closes = blocked_now - blocked or (moved and any(status in MAILABLE for status in after.values()))
    if (closes and known) or (event.type in STOPS and (changed or event.by_reader)):
        yield Work.STOP
        return
    if event.type is T.SUBSCRIBED and not is_on(later, event.purpose, event.received, limits):
        yield Work.STOP  # the ESP says on, we say off: it is set right first
        return
    if any(after[p] in MAILABLE or before[p] in MAILABLE for p in changed):
        yield Work.PUSH
        return
    if known and (blocked - blocked_now or event.type in _ALWAYS_TOLD):
        yield Work.PUSH
