"""The rules: who may be mailed, and why. Pure: values in, values out, no clock, no database, no settings.

Rule numbers R1 to R16 are those of section 3 of the requirements the project is built on; each test names its rule.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from bridge.vocabulary import (
    CONFIRMED,
    EVERY_PURPOSE,
    OPERATOR,
    READER,
    Answer,
    Block,
    ConsentEvent,
    EventType,
    Limits,
    MailKind,
    Method,
    Status,
    rfc3339,
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
    (T.GIVEN, READER): CONFIRMED | {Method.FORM},
    (T.GIVEN, OPERATOR): frozenset({Method.IMPORT, Method.STAFF}),
    (T.ENROLLED, OPERATOR): frozenset({Method.IMPORT, Method.STAFF}),
}

#: Said to us as a whole, whatever list the news came by: no purpose goes on after these (R5, R6).
_FOR_ALL = frozenset({T.OBJECTED, T.COMPLAINED})

#: What may put a stopped person back on a list, here or at an ESP: a stop after one of these is news.
_REOPENS = frozenset({T.REQUESTED, T.GIVEN, T.ENROLLED, T.IMPORTED, T.SUBSCRIBED, T.MERGED})

_CLOCK_TOLERANCE = timedelta(minutes=5)

#: Events after which ESPs are told how things are even where no status changed, of people they may know.
_ALWAYS_TOLD = frozenset({T.PAUSED, T.RESUMED, T.CORRECTED, T.MOVED, T.GIVEN})

MAILABLE = frozenset({S.GIVEN, S.SOFT_OPT_IN})


class Standing(NamedTuple):
    """Where a person stands for one purpose, and the event that put her there."""

    status: Status
    by: ConsentEvent | None


class Work(StrEnum):
    """What one event gives to do, promised in the same transaction."""

    WELCOME = "welcome"
    GOODBYE = "goodbye"
    PUSH = "push"
    STOP = "stop"  # a push that goes first and is never given up


_Change = tuple[Mapping[str, Status], Mapping[str, Status]]


class Decision(NamedTuple):
    """What an event changes: per purpose the status before and after, and the work that follows."""

    before: Mapping[str, Status]
    after: Mapping[str, Status]
    work: frozenset[Work]


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


def standing(events: Iterable[ConsentEvent], purpose: str) -> Standing:
    """Where a person stands for a purpose, in whatever order and however often the news came in (R1 to R6).

    Anyone's word stops the mail. Only the reader's own confirmed answer starts it again, and only to a question
    that was put after the last stop; on a tie the stop wins.
    """
    mine = _about(settled(events), purpose)
    stop = _last_stop(mine)
    status, by = (STOPS[stop.type], stop) if stop else (S.UNKNOWN, None)
    for event in sorted(mine, key=_order):
        if event.type in STOPS or not _is_believed(event) or (stop and not _answers(event, stop)):
            continue
        after = NEXT[status][event.type]
        if after is not status or after is NEXT[S.UNKNOWN][event.type]:  # told again: the last telling counts
            status, by = after, event
    return Standing(status, by)


def concerns(event: ConsentEvent, purpose: str) -> bool:
    """Whether an event counts for a purpose: it is about it, about the whole person, or an objection (R5, R6)."""
    return event.purpose in (purpose, EVERY_PURPOSE) or event.type in _FOR_ALL


def status(events: Iterable[ConsentEvent], purpose: str) -> Status:
    """Where a person stands for a purpose. No clock: what time does to it is for `may_mail`."""
    return standing(events, purpose).status


def blocks(events: Iterable[ConsentEvent], limits: Limits) -> dict[Block, ConsentEvent]:
    """Why nothing may be sent to this person, whatever the purpose; each with the event that says so."""
    mine = settled(events)
    found: dict[Block, ConsentEvent] = {}
    bounce = _last_bounce(mine, limits)
    if bounce and not any(_answers(event, bounce) for event in mine):
        found[Block.BOUNCED] = bounce
    for start, end, block in (
        (T.RESTRICTED, T.UNRESTRICTED, Block.RESTRICTED),
        (T.CHILD_DECLARED, T.GUARDIAN_CONFIRMED, Block.CHILD_UNVERIFIED),
    ):
        closed, opened = _latest(mine, start), _latest(mine, end)
        if closed and not (opened and whole(opened.time) > whole(closed.time)):
            found[block] = closed
    erased = _latest(mine, T.ERASED)
    if erased and not any(_answers(event, erased) for event in mine):
        found[Block.ERASED] = erased
    return found


def may_mail(events: Iterable[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> Answer:
    """Whether marketing for this purpose may go to this person now, and every reason. Unknown means no (SND-01)."""
    mine = settled(events)
    status, by = standing(mine, purpose)
    against = [
        *_against_status(status, by),
        *_against_age(status, by, now, limits),
        *_against_wording(status, by, purpose, limits),
        *(f"{block}, {_told(event)}" for block, event in blocks(mine, limits).items()),
    ]
    pause = paused_until(mine, purpose)
    if pause and pause > now:
        against.append(f"paused until {rfc3339(pause)} by the reader")
    if purpose in limits.closed:
        against.append(limits.closed[purpose])
    if against:
        return Answer(may=False, status=status, why=tuple(against))
    return Answer(may=True, status=status, why=(_told(by) if by else "",))


def paused_until(events: Iterable[ConsentEvent], purpose: str) -> datetime | None:
    """The end of the pause that was asked for last, if any."""
    latest = _latest_of([e for e in events if e.purpose in (purpose, EVERY_PURPOSE)], frozenset({T.PAUSED, T.RESUMED}))
    return latest.until if latest and latest.type is T.PAUSED else None


def is_on(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether an ESP should hold this purpose as on: the same answer as `may_mail`."""
    return may_mail(events, purpose, now, limits).may


def decide(history: Collection[ConsentEvent], event: ConsentEvent, limits: Limits) -> Decision:
    """What one more event changes, and the work it gives. `history` is everything of this person."""
    later = [*history, event]
    purposes = {e.purpose for e in later} - {EVERY_PURPOSE}
    before = {purpose: status(history, purpose) for purpose in purposes}
    after = {purpose: status(later, purpose) for purpose in purposes}
    return Decision(before, after, frozenset(_work(history, event, (before, after), limits)))


def is_news(history: Collection[ConsentEvent], event: ConsentEvent) -> bool:
    """Whether a reader's stop says anything that the last one did not.

    A second click on the same link is no second event (WDR-10). A click after she asked again is: it must stop
    that request too, so that a "no" is never overtaken.
    """
    told = settled(history)
    ends = (T.WITHDRAWN, T.UNSUBSCRIBED, *_FOR_ALL)
    stop = _last_stop(e for e in _about(told, event.purpose) if e.type in ends)
    if not stop:
        return True
    concerned = (e for e in told if e.purpose == event.purpose or EVERY_PURPOSE in (e.purpose, event.purpose))
    return any(e.type in _REOPENS and whole(e.time) >= whole(stop.time) for e in concerned)


def pending(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> ConsentEvent | None:
    """The request that still waits for its confirmation, if any (R4, R9)."""
    mine = _about(settled(events), purpose)
    asked = _latest(filter(_is_believed, mine), T.REQUESTED)
    if asked is None or now - asked.time > limits.pending_ttl:
        return None
    stop = _last_stop(mine)
    if stop and whole(stop.time) >= whole(asked.time):
        return None
    return None if is_live(events, purpose, now, limits) else asked


def is_live(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether a confirmed yes stands that needs no new confirmation: not too old, words still valid, address alive."""
    status, by = standing(events, purpose)
    if status is not S.GIVEN or Block.BOUNCED in blocks(events, limits):
        return False
    return not _against_age(status, by, now, limits) and not _against_wording(status, by, purpose, limits)


def gate(
    kind: MailKind, events: Collection[ConsentEvent], purposes: Collection[str], now: datetime, limits: Limits
) -> Answer:
    """Whether this kind of mail may leave now (SND-01). Asked just before hand-over; unknown is no."""
    first = status(events, next(iter(purposes), EVERY_PURPOSE))
    against: list[str] = []
    closed = blocks(events, limits)
    unknown = [why for purpose in purposes for why in _against_unknown(purpose, limits)]
    if kind is MailKind.MARKETING:
        answers = [may_mail(events, purpose, now, limits) for purpose in purposes]
        against = [why for answer in answers if not answer.may for why in answer.why]
    elif kind is MailKind.CONFIRM:
        against = unknown + [f"nothing pending for {p}" for p in purposes if not pending(events, p, now, limits)]
        against += [f"{block}" for block in closed if block in (Block.RESTRICTED, Block.CHILD_UNVERIFIED)]
    elif kind in (MailKind.WELCOME, MailKind.SUBSCRIBED):
        against = unknown + [f"no live yes for {p}" for p in purposes if status(events, p) not in MAILABLE]
        against += [f"{block}" for block in closed]
    elif kind is MailKind.GOODBYE:
        against = unknown + _against_goodbye(events, purposes, limits) + [f"{block}" for block in closed]
    elif kind in (MailKind.LINK, MailKind.ANSWER):
        against = ["erased"] if Block.ERASED in closed or not events else []
        return Answer(may=not against, status=first, why=tuple(against) or (f"{kind} asked for by the reader",))
    else:
        against = [f"no rule lets {kind!s} out"]
    if not purposes:
        against.append("no purpose named")
    return Answer(may=not against, status=first, why=tuple(against) or (f"{kind} is due",))


def may_ask(events: Iterable[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> Answer:
    """Whether we may ask for a yes by ourselves (R6, R16). The person's own form is never refused."""
    mine = settled(events)
    against = []
    if any(e.type in _FOR_ALL for e in mine):
        against.append("objected or complained: never asked again")
    stop = _latest_of(_about(mine, purpose), frozenset({T.WITHDRAWN, T.UNSUBSCRIBED, T.REFUSED}))
    if stop and now - stop.time < limits.ask_again_after:
        against.append(f"said no {rfc3339(stop.time)}: not asked again within {limits.ask_again_after.days} days")
    against += [f"{block}" for block in blocks(mine, limits)]
    return Answer(may=not against, status=status(mine, purpose), why=tuple(against) or ("never said no",))


def may_ask_once_more(
    events: Collection[ConsentEvent], purpose: str, *, asked_before: bool, now: datetime, limits: Limits
) -> Answer:
    """Whether the once-only question may go to a contact with incomplete proof (R11, AUD-04)."""
    answer = may_ask(events, purpose, now, limits)
    against = [] if answer.may else list(answer.why)
    if asked_before:
        against.append("was asked once before, and once is all there is")
    if answer.status is not S.UNKNOWN:
        against.append(f"status is {answer.status}")
    return Answer(may=not against, status=answer.status, why=tuple(against) or ("never asked before",))


def may_confirm_again(sent: Collection[datetime], now: datetime, limits: Limits) -> bool:
    """Whether an erased person who signs up anew may get another confirmation mail (R12)."""
    return all(now - moment >= limits.erased_ask_again_after for moment in sent)


#: The six facts a soft opt-in rests on (R8, SOF-01).
SALE_FACTS = ("sale_id", "from_person", "same_entity", "similar_category", "opt_out_offered", "opt_out_in_mail")


def soft_opt_in_gaps(
    facts: Mapping[str, str], events: Collection[ConsentEvent], purpose: str, limits: Limits
) -> list[str]:
    """What is missing for a soft opt-in; empty = it may be recorded (R8, SOF-01, SOF-02)."""
    gaps = [fact for fact in SALE_FACTS if not facts.get(fact)]
    if not limits.soft_opt_in:
        gaps.append("the country's profile does not allow soft opt-in")
    if any(e.type in STOPS for e in _about(events, purpose)):
        gaps.append("said no before")
    return gaps


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


def _cut(event: ConsentEvent) -> ConsentEvent:
    if event.time <= event.received + _CLOCK_TOLERANCE:
        return event
    return msgspec.structs.replace(event, time=event.received)


def _order(event: ConsentEvent) -> tuple[datetime, str]:
    return event.time, event.key


def _about(events: Iterable[ConsentEvent], purpose: str) -> list[ConsentEvent]:
    """What counts for a purpose: news of it, of the whole person, and every objection (R5, R6)."""
    return [event for event in events if concerns(event, purpose)]


def _last_stop(events: Iterable[ConsentEvent]) -> ConsentEvent | None:
    stops = (event for event in events if event.type in STOPS)
    return max(stops, key=lambda e: (whole(e.time), _SEVERITY[e.type], e.key), default=None)


def _is_believed(event: ConsentEvent) -> bool:
    """A start by someone whose word counts, and for a purpose by name: no yes stretches to all (CAP-02)."""
    return event.purpose != EVERY_PURPOSE and event.method in _BELIEVED.get((event.type, event.source), frozenset())


def _answers(event: ConsentEvent, stop: ConsentEvent) -> bool:
    """A confirmed yes of the reader's own, to a question put after the stop. No question = never."""
    if event.type is not T.GIVEN or not event.confirmed or event.asked is None:
        return False
    return whole(min(event.asked, event.time)) > whole(stop.time)


def _latest(events: Iterable[ConsentEvent], kind: EventType) -> ConsentEvent | None:
    return _latest_of(events, frozenset({kind}))


def _latest_of(events: Iterable[ConsentEvent], kinds: frozenset[EventType]) -> ConsentEvent | None:
    return max((e for e in events if e.type in kinds), key=_order, default=None)


def _last_bounce(events: Collection[ConsentEvent], limits: Limits) -> ConsentEvent | None:
    """The last news that the address is dead: a hard bounce, or so many soft ones within the window (R7)."""
    hard = _latest(events, T.BOUNCED)
    soft = sorted((e for e in events if e.type is T.DEFERRED), key=_order)
    need = limits.soft_bounces
    runs = (soft[end - need + 1 : end + 1] for end in range(need - 1, len(soft)))
    counted = [run[-1] for run in runs if run[-1].time - run[0].time <= limits.soft_bounce_window]
    return max((e for e in (hard, *counted) if e), key=_order, default=None)


def _against_status(status: Status, by: ConsentEvent | None) -> list[str]:
    if status in MAILABLE:
        return []
    return [_told(by) if by else "no yes on record"]


def _against_age(status: Status, by: ConsentEvent | None, now: datetime, limits: Limits) -> list[str]:
    if by is None or status not in MAILABLE:
        return []
    if status is S.SOFT_OPT_IN and not limits.soft_opt_in:
        return ["soft opt-in is not allowed by the country's profile"]
    age = limits.consent_max_age if status is S.GIVEN else limits.soft_max_age
    return [f"expired {rfc3339(by.time + age)}: {_told(by)}"] if now >= by.time + age else []


def _against_wording(status: Status, by: ConsentEvent | None, purpose: str, limits: Limits) -> list[str]:
    since = limits.notice_since.get(purpose)
    if since is None:
        return _against_unknown(purpose, limits)
    if by is None or status is not S.GIVEN:
        return []
    if by.notice is None or by.notice < since:
        return [f"the words agreed to (version {by.notice}) no longer cover this purpose (since version {since})"]
    return []


def _against_unknown(purpose: str, limits: Limits) -> list[str]:
    return [] if purpose in limits.notice_since else [f"unknown purpose {purpose!r}"]


def _against_goodbye(events: Collection[ConsentEvent], purposes: Collection[str], limits: Limits) -> list[str]:
    against = [] if limits.goodbye else ["the profile asks for no goodbye mail"]
    for purpose in purposes:
        state = status(events, purpose)
        if state not in (S.WITHDRAWN, S.OBJECTED):
            against.append(f"{purpose} is not stopped")
    if any(e.type is T.COMPLAINED for e in events):
        against.append("complained: no mail at all")
    return against


def _told(event: ConsentEvent) -> str:
    """One event in words: `withdrawn 2026-11-23T10:04:57Z by reader (one-click)`."""
    return f"{event.type} {rfc3339(event.time)} by {event.source} ({event.method.replace('_', '-')})"


def _work(history: Collection[ConsentEvent], event: ConsentEvent, change: _Change, limits: Limits) -> Iterable[Work]:
    before, after = change
    changed = {purpose for purpose in after if before[purpose] is not after[purpose]}
    # A receipt answers her own yes; a file of proven contacts mails nobody.
    if event.type is T.GIVEN and event.by_reader and any(after[p] is S.GIVEN for p in changed):
        yield Work.WELCOME
    left = event.type in (T.WITHDRAWN, T.UNSUBSCRIBED, T.OBJECTED) and any(before[p] in MAILABLE for p in changed)
    if left and limits.goodbye:
        yield Work.GOODBYE
    blocked, blocked_now = blocks(history, limits).keys(), blocks([*history, event], limits).keys()
    if blocked_now - blocked or (event.type in STOPS and (changed or event.by_reader)):
        yield Work.STOP
        return
    if event.type is T.SUBSCRIBED and not is_on([*history, event], event.purpose, event.received, limits):
        yield Work.STOP  # the ESP says on, we say off: it is set right first
        return
    if any(after[p] in MAILABLE or before[p] in MAILABLE for p in changed):
        yield Work.PUSH
        return
    # Before she first said yes no ESP hears of her (CON-02), whatever she changes here.
    known = any(state not in (S.UNKNOWN, S.REQUESTED) for state in after.values())
    if known and (blocked - blocked_now or event.type in _ALWAYS_TOLD):
        yield Work.PUSH


def missing_evidence(event: ConsentEvent) -> list[str]:
    """What a start lacks to count as proof (CAP-05, section 4); a stop needs none."""
    if event.type not in (T.REQUESTED, T.GIVEN, T.ENROLLED):
        return []
    need: dict[str, object] = {}
    seen = event.evidence
    if event.type in (T.REQUESTED, T.GIVEN):
        need = {"channel": event.channel, "notice": event.notice, "wording": seen.wording, "language": seen.language}
    if event.type is T.GIVEN and event.by_reader:
        need["asked"] = event.asked
    if event.by_reader and event.method is Method.CONFIRM_PAGE:
        need["request"] = seen.request
    elif event.by_reader:
        need["box"] = seen.box == "ticked"
    if event.type is T.GIVEN and event.method is Method.FORM:
        need["single_opt_in"] = seen.single_opt_in
    if event.type is T.GIVEN and event.source == OPERATOR:
        need["document"] = seen.document
    if event.type is T.ENROLLED:
        sale = seen.sale or {}
        need = {"channel": event.channel, **{fact: sale.get(fact) for fact in SALE_FACTS}}
    return [name for name, value in need.items() if not value]
