"""What a line of a list changes, beside all that is known of the address: a list proves little and undoes no stop."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from bridge.decide.history import FOR_ALL, MAILABLE, STOPS, is_believed, settled, stands, whole
from bridge.vocabulary import EVERY_PURPOSE, OPERATOR, ConsentEvent, Entry, EventType, Method, Status, Taken

T = EventType

#: The stop list keeps these whatever lesser no comes after.
_STRICTEST = FOR_ALL | {T.ERASED}

#: A yes, or what only says so.
SAYS_YES = frozenset({T.GIVEN, T.ENROLLED, T.IMPORTED})

#: Said by a no, or a dead address, of a list that does not say since when.
UNDATED = "undated"


def judge_entry(history: Collection[ConsentEvent], entry: Entry, begun: datetime, *, known: bool) -> Taken:
    """What becomes of a line. `history` is what is known of the address, the stop list's entries too.

    `begun` is when this list was taken in for the first time: a no without a date counts as said then, so that the same
    list told again says nothing new. `known`: somebody here has the address; else a no is kept as a keyed hash only.
    """
    if not history:  # nothing stands against it, and nothing says as much: of nearly everybody
        return Taken.SUPPRESSED if entry.type is T.BOUNCED and not known else Taken.IMPORTED
    told = settled(history)
    if entry.by_platform and entry.type not in SAYS_YES and _may_be_mailed(told, entry.purpose):
        return Taken.UNCHANGED
    if entry.type is T.BOUNCED:
        if not known:
            return Taken.SUPPRESSED
        return _new(not any(e.type is T.BOUNCED and e.time >= _said(entry, begun) for e in told))
    if entry.type in STOPS:
        return _new(not any(_says_so(event, entry, begun) for event in told))
    return _start(told, entry)


def event_of(entry: Entry, subject: str, begun: datetime, now: datetime) -> ConsentEvent:
    """The line as an event of this person; the store numbers it. A no without a date is marked as such."""
    time, evidence = entry.time or now, entry.evidence
    if entry.type in STOPS or entry.type is T.BOUNCED:
        time = _said(entry, begun)
        evidence = evidence if entry.time else msgspec.structs.replace(evidence, detail=UNDATED)
    return ConsentEvent(
        type=entry.type,
        subject=subject,
        time=time,
        received=now,
        source=OPERATOR,
        method=Method.IMPORT,
        key="",
        purpose=entry.purpose,
        channel=entry.channel,
        notice=entry.notice,
        evidence=evidence,
    )


def _start(told: Collection[ConsentEvent], entry: Entry) -> Taken:
    """A yes, or what only says so: it passes no stop, and says nothing where as much is known already."""
    status = stands(told, entry.purpose).status
    if status not in MAILABLE and any(e.type in STOPS and _covers(e, entry.purpose) for e in told):
        return Taken.SUPPRESSED
    mine = [event for event in told if event.purpose == entry.purpose]
    if entry.type is T.IMPORTED:
        return _new(not any(_proves_more(event) or _is_same(event, entry) for event in mine))
    if entry.type is T.ENROLLED and status is Status.GIVEN:  # a consent says more (R8)
        return Taken.UNCHANGED
    return _new(not any(e.type is entry.type and is_believed(e) and _is_no_older(e, entry) for e in mine))


def _may_be_mailed(told: Collection[ConsentEvent], purpose: str) -> bool:
    """Whether she may be mailed about something that a no to this (or to all) would end."""
    purposes = {purpose} if purpose else {event.purpose for event in told}
    return any(stands(told, each).status in MAILABLE for each in purposes)


def _says_so(event: ConsentEvent, entry: Entry, begun: datetime) -> bool:
    """Whether a stop that is known says all that this one does, and no earlier."""
    if event.type not in STOPS or not _covers(event, entry.purpose):
        return False
    as_strict = event.type in _STRICTEST or entry.type not in FOR_ALL
    return as_strict and whole(event.time) >= whole(_said(entry, begun))


def _covers(event: ConsentEvent, purpose: str) -> bool:
    """Whether a stop of one purpose, of all, or an objection is one for this purpose (R5, R6)."""
    return event.purpose in (purpose, EVERY_PURPOSE) or event.type in FOR_ALL


def _proves_more(event: ConsentEvent) -> bool:
    return event.type in (T.GIVEN, T.ENROLLED) and is_believed(event)


def _is_same(event: ConsentEvent, entry: Entry) -> bool:
    """Whether this was told before: with the same date, or without one on both sides."""
    if event.type is not T.IMPORTED or event.channel != entry.channel or event.notice != entry.notice:
        return False
    return entry.time is None or event.time == entry.time


def _is_no_older(event: ConsentEvent, entry: Entry) -> bool:
    return entry.time is None or event.time >= entry.time


def _said(entry: Entry, begun: datetime) -> datetime:
    return entry.time or begun


def _new(is_new: bool) -> Taken:
    return Taken.IMPORTED if is_new else Taken.UNCHANGED
