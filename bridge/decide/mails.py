"""What may leave: each question is answered with every reason. Unknown means no."""

from collections.abc import Collection, Iterable
from datetime import datetime

from bridge.decide.asking import Contact, may_ask_once_more
from bridge.decide.children import against_child, refused_by_guardian, waits_for_guardian
from bridge.decide.history import (
    MAILABLE,
    about,
    blocks,
    is_believed,
    last_stop,
    latest,
    paused_until,
    settled,
    standing,
    status,
    unconfirmed_move,
    whole,
)
from bridge.vocabulary import (
    EVERY_PURPOSE,
    NATURES,
    Answer,
    Block,
    ConsentEvent,
    EventType,
    Limits,
    MailKind,
    Nature,
    Status,
    rfc3339,
)

#: What answers an act of hers behind a link, or tells of one: whatever stops, she gets it while she is here.
_ANSWERS_HER = frozenset({MailKind.LINK, MailKind.ANSWER, MailKind.IDENTITY, MailKind.MOVE, MailKind.MOVED})

T = EventType
S = Status


def may_mail(events: Iterable[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> Answer:
    """Whether marketing for this purpose may go to this person now, and every reason. Unknown means no (SND-01)."""
    mine = settled(events)
    status, by = standing(mine, purpose)
    against = [
        *_against_status(status, by),
        *_against_age(status, by, now, limits),
        *_against_wording(status, by, purpose, limits),
        *(f"{b}, {_told(event)}" for b, event in blocks(mine, limits).items() if b is not Block.CHILD_UNVERIFIED),
        *against_child(mine, purpose, now, limits),
        *_against_move(mine),
    ]
    pause = paused_until(mine, purpose)
    if pause and pause > now:
        against.append(f"paused until {rfc3339(pause)} by the reader")
    if purpose in limits.closed:
        against.append(limits.closed[purpose])
    if against:
        return Answer(may=False, status=status, why=tuple(against))
    return Answer(may=True, status=status, why=(_told(by) if by else "",))


def is_on(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether an ESP should hold this purpose as on: the same answer as `may_mail`."""
    return may_mail(events, purpose, now, limits).may


def is_live(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether a confirmed yes stands that needs no new confirmation: not too old, words still valid, address alive and
    still hers.
    """
    status, by = standing(events, purpose)
    if status is not S.GIVEN or Block.BOUNCED in blocks(events, limits) or unconfirmed_move(events):
        return False
    return not _against_age(status, by, now, limits) and not _against_wording(status, by, purpose, limits)


def is_in_use(status: Status, since: datetime, now: datetime, limits: Limits) -> bool:
    """Whether data for a purpose is still needed by where she stands alone: it is on, or waits for her confirmation.

    A pause, a block or a contract that has run out ends no need: they may end themselves.
    """
    if status is S.GIVEN:
        return now < since + limits.consent_max_age
    if status is S.SOFT_OPT_IN:
        return limits.soft_opt_in and now < since + limits.soft_max_age
    return status is S.REQUESTED and now <= since + limits.pending_ttl


def pending(events: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> ConsentEvent | None:
    """The request that still waits for its confirmation, if any (R4, R9)."""
    mine = about(settled(events), purpose)
    asked = latest(filter(is_believed, mine), T.REQUESTED)
    if asked is None or now - asked.time > limits.pending_ttl:
        return None
    stop, moved = last_stop(mine), unconfirmed_move(events)
    if stop and whole(stop.time) >= whole(asked.time):
        return None
    if moved and whole(moved.time) > whole(asked.time):  # put to an old address: void (R13)
        return None
    return None if is_live(events, purpose, now, limits) else asked


def gate(
    kind: MailKind,
    events: Collection[ConsentEvent],
    purposes: Collection[str],
    now: datetime,
    limits: Limits,
    *,
    contact: Contact | None = None,
) -> Answer:
    """Whether this kind of mail may leave now (SND-01). Asked just before hand-over; unknown is no.

    `contact` is for the once-only question: None where no campaign asks her now.
    """
    first = status(events, next(iter(purposes), EVERY_PURPOSE))
    against: list[str] = []
    closed = blocks(events, limits)
    unknown = [why for purpose in purposes for why in _against_unknown(purpose, limits)]
    if NATURES.get(kind) is Nature.MARKETING:
        answers = [may_mail(events, purpose, now, limits) for purpose in purposes]
        against = [why for answer in answers if not answer.may for why in answer.why]
    elif kind is MailKind.CONFIRM:
        against = unknown + [f"nothing pending for {p}" for p in purposes if not pending(events, p, now, limits)]
        against += [f"{block}" for block in closed if block is Block.RESTRICTED]
        against += _against_guardian(events, purposes, now, limits)
    elif kind in (MailKind.WELCOME, MailKind.SUBSCRIBED):
        against = unknown + [f"no live yes for {p}" for p in purposes if status(events, p) not in MAILABLE]
        against += [f"{block}" for block in closed if block is not Block.CHILD_UNVERIFIED] + _against_move(events)
        against += [why for p in purposes for why in against_child(settled(events), p, now, limits)]
    elif kind is MailKind.GUARDIAN:
        waiting = {p for p in purposes if waits_for_guardian(settled(events), p, now, limits)}
        against = unknown + [f"no guardian is to be asked about {p}" for p in purposes if p not in waiting]
        against += [f"{block}" for block in closed if block is Block.RESTRICTED]
    elif kind is MailKind.OF_AGE:
        against = unknown + [f"{p} did not end by her age" for p in purposes if status(events, p) is not S.EXPIRED]
        against += [f"{block}" for block in closed if block is not Block.CHILD_UNVERIFIED] + _against_move(events)
    elif kind is MailKind.GOODBYE:
        against = unknown + _against_goodbye(events, purposes, limits)
        against += [f"{block}" for block in closed if block is not Block.CHILD_UNVERIFIED] + _against_move(events)
    elif kind is MailKind.REPERMISSION:
        against = _against_question(events, purposes, contact, now, limits)
    elif kind in _ANSWERS_HER:
        against = ["erased"] if Block.ERASED in closed or not events else []
        return Answer(may=not against, status=first, why=tuple(against) or (f"{kind} asked for by the reader",))
    elif kind is MailKind.BREACH:
        # The law wants her told whatever she said of our mail; but no stranger, and nobody at a dead address.
        against = [f"{block}" for block in closed if block in (Block.ERASED, Block.BOUNCED)] + _against_move(events)
        against += [] if events else ["erased"]
        return Answer(may=not against, status=first, why=tuple(against) or ("the law asks that she is told",))
    else:
        against = [f"no rule lets {kind!s} out"]
    if not purposes:
        against.append("no purpose named")
    return Answer(may=not against, status=first, why=tuple(against) or (f"{kind} is due",))


def _against_guardian(
    events: Collection[ConsentEvent], purposes: Collection[str], now: datetime, limits: Limits
) -> list[str]:
    """A child whose guardian said no is not asked again (R16)."""
    mine = settled(events)
    return [f"a guardian said no to {p}" for p in purposes if refused_by_guardian(mine, p, now, limits)]


def _against_question(
    events: Collection[ConsentEvent],
    purposes: Collection[str],
    contact: Contact | None,
    now: datetime,
    limits: Limits,
) -> list[str]:
    if contact is None:
        return ["no campaign asks her now"]
    answers = [may_ask_once_more(events, purpose, contact, now, limits) for purpose in purposes]
    return [str(why) for answer in answers if not answer.may for why in answer.why]


def may_confirm_again(sent: Collection[datetime], now: datetime, limits: Limits) -> bool:
    """Whether an erased person who signs up anew may get another confirmation mail (R12)."""
    return all(now - moment >= limits.erased_ask_again_after for moment in sent)


def _against_status(status: Status, by: ConsentEvent | None) -> list[str]:
    if status in MAILABLE:
        return []
    return [_told(by) if by else "no yes on record"]


def _against_age(status: Status, by: ConsentEvent | None, now: datetime, limits: Limits) -> list[str]:
    if by is None or status not in MAILABLE:
        return []
    if status is S.SOFT_OPT_IN and not limits.soft_opt_in:
        return ["soft opt-in is not allowed by the country's profile"]
    end = grew_too_old(status, by, limits)
    return [f"expired {rfc3339(end)}: {_told(by)}"] if end is not None and now >= end else []


def grew_too_old(status: Status, by: ConsentEvent | None, limits: Limits) -> datetime | None:
    """When a standing yes grows, or grew, too old (R10, SOF-03); None where none stands."""
    if by is None or status not in MAILABLE:
        return None
    return by.time + (limits.consent_max_age if status is S.GIVEN else limits.soft_max_age)


def _against_wording(status: Status, by: ConsentEvent | None, purpose: str, limits: Limits) -> list[str]:
    since = limits.notice_since.get(purpose)
    if since is None:
        return _against_unknown(purpose, limits)
    if by is None or status is not S.GIVEN:
        return []
    if by.notice is None or by.notice < since:
        return [f"the words agreed to (version {by.notice}) no longer cover this purpose (since version {since})"]
    return []


def _against_move(events: Iterable[ConsentEvent]) -> list[str]:
    moved = unconfirmed_move(events)
    return [f"{_told(moved)}: the new address has not confirmed yet"] if moved else []


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
