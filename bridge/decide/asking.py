"""Whom we may ask by ourselves, and the question for proof that is put once, ever (R11, R16, AUD-03 to AUD-05).

A contact whose proof is incomplete may be asked once, where the law of her country and a named approver allow it. Who
said no, is dead, was bought, or waited too long is not asked; whoever does not answer is let go.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from bridge.decide.grades import Grade, grade, proof
from bridge.decide.history import (
    FOR_ALL,
    MAILABLE,
    SAID_NO,
    about,
    blocks,
    latest,
    latest_of,
    paused_until,
    settled,
    status,
    unconfirmed_move,
)
from bridge.vocabulary import (
    EVERY_PURPOSE,
    PREFERENCES,
    Answer,
    Block,
    ConsentEvent,
    EventType,
    Limits,
    Status,
    rfc3339,
)

T = EventType
S = Status


class Contact(NamedTuple):
    """What is known of a contact beside her events. The defaults are the careful ones."""

    gaps: frozenset[str] | None = None  # what the lists that named her lack (`proof`); None where none did
    country: str = ""  # where she is, where a declared field says so
    asked: bool = True  # put to her address for this purpose before, ever
    confirmed: bool = True  # only a confirmed yes counts for this purpose
    bought: frozenset[str] = frozenset()  # channels that brought somebody else's lists, whatever the policy says today


class Unaskable(StrEnum):
    """Why a contact is not asked once more: of several reasons the first is counted."""

    OFF = "the policy does not allow it"
    CLOSED = "the purpose is unknown, or nobody may be mailed for it now"
    ASKED = "asked once before: once is all there is"
    OBJECTED = "objected or complained"
    ERASED = "erased before"
    NO = "said no, or was stopped"
    EXPIRED = "the consent, or what the list says of one, is too old"
    YES = "said yes, or is a customer"
    REQUESTED = "asked for it herself and has not confirmed yet"
    DEAD = "the address is dead"
    RESTRICTED = "restricted: kept, not used"
    CHILD = "said to be a child"
    MOVED = "the address changed and has not confirmed"
    PAUSED = "paused all mail"
    BOUGHT = "came from a third party's list, or from a place the policy does not name any more"
    NOTHING = "nothing shows that she was ever asked"
    COUNTRY = "her country is not among the countries of the policy"


def may_ask(events: Iterable[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> Answer:
    """Whether we may ask for a yes by ourselves (R6, R16). The person's own form is never refused."""
    mine = settled(events)
    against = []
    if any(e.type in FOR_ALL for e in mine):
        against.append("objected or complained: never asked again")
    stop = latest_of(about(mine, purpose), frozenset({T.WITHDRAWN, T.UNSUBSCRIBED, T.REFUSED}))
    if stop and now - stop.time < limits.ask_again_after:
        against.append(f"said no {rfc3339(stop.time)}: not asked again within {limits.ask_again_after.days} days")
    against += [f"{block}" for block in blocks(mine, limits)]
    return Answer(may=not against, status=status(mine, purpose), why=tuple(against) or ("never said no",))


def may_ask_once_more(
    events: Collection[ConsentEvent], purpose: str, contact: Contact, now: datetime, limits: Limits
) -> Answer:
    """Whether the once-only question may go to a contact (R11, AUD-03, AUD-04). `why` are `Unaskable` reasons."""
    mine = settled(events)
    against = [reason for reason, holds in _against(mine, purpose, contact, now, limits).items() if holds]
    return Answer(may=not against, status=status(mine, purpose), why=tuple(against) or ("never asked before",))


def _against(
    mine: Collection[ConsentEvent], purpose: str, contact: Contact, now: datetime, limits: Limits
) -> dict[Unaskable, bool]:
    """Each reason, and whether it holds."""
    asking, state, closed = limits.asking, status(mine, purpose), blocks(mine, limits)
    known = proof(mine, purpose, contact.gaps)
    graded = grade(known, purpose, now, limits, confirmed=contact.confirmed)
    anew = known.asked is not None and now - known.asked <= limits.pending_ttl  # after a no
    claimed = latest(about(mine, purpose), T.IMPORTED)
    old = claimed is not None and now >= claimed.time + limits.consent_max_age
    pause = paused_until(mine, purpose)
    unproven = state is S.UNKNOWN
    places = {e.channel for e in mine if e.type is T.IMPORTED}
    unplaced = not places <= limits.channels | {PREFERENCES}  # whose list that was, nobody can tell
    return {
        Unaskable.OFF: asking is None,
        Unaskable.CLOSED: purpose not in limits.notice_since or purpose in limits.closed,
        Unaskable.ASKED: contact.asked,
        Unaskable.OBJECTED: any(e.type in FOR_ALL for e in mine),
        Unaskable.ERASED: Block.ERASED in closed,
        Unaskable.NO: known.stopped or state in SAID_NO,  # a question after it lifts nothing
        Unaskable.EXPIRED: state is S.EXPIRED or "age" in graded.missing or (unproven and old),
        Unaskable.YES: state in MAILABLE,
        Unaskable.REQUESTED: state is S.REQUESTED or anew,
        Unaskable.DEAD: Block.BOUNCED in closed,
        Unaskable.RESTRICTED: Block.RESTRICTED in closed,
        # Whoever it was never asked her age either (KID-01): her own form asks both.
        Unaskable.CHILD: any(e.type is T.CHILD_DECLARED for e in mine) or purpose in limits.for_children,
        Unaskable.MOVED: unconfirmed_move(mine) is not None,
        Unaskable.PAUSED: pause is not None and pause > now,
        Unaskable.BOUGHT: unplaced or any(e.channel in limits.bought | contact.bought for e in mine),
        Unaskable.NOTHING: unproven and (graded.grade is Grade.NONE or contact.gaps is None),
        Unaskable.COUNTRY: asking is None or (contact.country or asking.home) not in asking.countries,
    }


class Ending(StrEnum):
    """What becomes of whoever was asked, when her time to answer is over (AUD-05)."""

    KEEP = "keep"  # she said yes
    WAIT = "wait"  # nothing may be done now: restricted, or she just signed up herself
    END = "end"  # nothing came, and something else keeps her here: only this purpose ends
    REMOVE = "remove"  # nothing keeps her here


def after_the_question(
    events: Collection[ConsentEvent], purpose: str, others_open: bool, now: datetime, limits: Limits
) -> Ending:
    """What becomes of her. A no keeps nobody here: its keyed hash is on the stop list. `others_open`: she has time to
    answer another question still.
    """
    mine = settled(events)
    standing = {each: status(mine, each) for each in {event.purpose for event in mine} - {EVERY_PURPOSE}}
    if standing.get(purpose) in MAILABLE:
        return Ending.KEEP
    requests = (e for e in mine if e.type is T.REQUESTED and standing.get(e.purpose) is S.REQUESTED)
    if Block.RESTRICTED in blocks(mine, limits) or any(now - e.time <= limits.pending_ttl for e in requests):
        return Ending.WAIT
    if others_open or any(state in MAILABLE for state in standing.values()):
        return Ending.END
    return Ending.REMOVE


class Wave(NamedTuple):
    """What is known of one wave: how many it has asked, and what came back of it."""

    asked: int
    bounced: int
    complained: int


def must_stop(waves: Collection[Wave], bounces_stop: float) -> str:
    """Why a campaign must stop asking, in words; empty while it may go on. `bounces_stop` is a percentage."""
    for number, wave in enumerate(waves, start=1):
        if wave.complained:
            people = "reader" if wave.complained == 1 else "readers"
            return f"{wave.complained} {people} of wave {number} complained"
        if wave.bounced and 100 * wave.bounced >= bounces_stop * wave.asked:
            return (
                f"{wave.bounced} of the {wave.asked} mails of wave {number} bounced ({bounces_stop:g} % is the limit)"
            )
    return ""
