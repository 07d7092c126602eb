"""What proves that a contact may be mailed, as an auditor sorts it: proven, a customer's, incomplete, nothing, or a no.

The article's first step (S10): a yes counts by today's bar however old it is (GDPR recital 171), and whoever cannot be
shown to have said one is named with what is missing (AUD-01). Whether an address is alive is another question: a dead
one may have a proven yes.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from bridge.decide.history import (
    MAILABLE,
    STOPS,
    about,
    declared_child,
    guardian,
    is_believed,
    latest_of,
    settled,
    stands,
    unconfirmed_move,
    whole,
)
from bridge.decide.proof import SALE_FACTS
from bridge.vocabulary import UNASKED_AGE as UNASKED
from bridge.vocabulary import ConsentEvent, EventType, Limits, Status

T = EventType
S = Status


class Grade(StrEnum):
    """How well a contact's standing for one purpose is proven."""

    PROVEN = "proven"  # who, when, how, which words, for which use
    SOFT_PROVEN = "soft_proven"  # a customer, with all facts of a soft opt-in; never a consent
    INCOMPLETE = "incomplete"  # something is there, and something is missing
    NONE = "none"  # nothing is there
    STOPPED = "stopped"  # a no stands


#: What may be missing. The first are those of lists, by their columns; their place is their bit in the database, so
#: only ever add at the end.
FACTS = (
    *("time", "notice", "language", "method", "confirmation", "source_document", "status", "channel"),
    *SALE_FACTS,
    "guardian",
)
#: Without any of these nothing shows that anything was ever said.
_PROOF = frozenset({"time", "notice", "source_document"})

#: Said by lists of people of whom the list itself does not say that they said yes.
NO_YES = "no_yes"

_SAY_YES = frozenset({T.REQUESTED, T.GIVEN, T.ENROLLED, T.IMPORTED})

#: Ways to say yes that show that whoever holds the mailbox said it.
SHOWS_WHO = frozenset({"double_opt_in", "paper"})


class Proof(NamedTuple):
    """What a grade rests on: where she stands, and the event that puts her there or says so without proving it.

    Without her events, so that people who are alike in these can be counted together.
    """

    status: Status
    stopped: bool = False  # a no stands, whatever came after it
    time: datetime | None = None  # of the yes, or of the no
    notice: int | None = None
    channel: str | None = None
    gaps: frozenset[str] | None = None  # what a contact from a list lacks; None where no list named her
    moved: bool = False  # to an address that has not confirmed
    asked: datetime | None = None  # when she last asked for it anew, after a no
    child: bool = False  # said to be one
    guarded: datetime | None = None  # of a child: until when a guardian's yes stands


class Graded(NamedTuple):
    """A grade and the missing facts, in the order of `FACTS`, then what time and place did to the yes."""

    grade: Grade
    missing: tuple[str, ...] = ()


def grade(proof: Proof, purpose: str, now: datetime, limits: Limits, *, confirmed: bool = True) -> Graded:
    """How well somebody's standing for a purpose is proven. `confirmed`: only a confirmed yes counts there."""
    if proof.stopped:
        waits = proof.asked is not None and now - proof.asked <= limits.pending_ttl
        return Graded(Grade.INCOMPLETE, ("confirmation",)) if waits else Graded(Grade.STOPPED)
    if proof.status in MAILABLE:
        spoilt = _spoilt(proof, purpose, now, limits)
        if spoilt:
            return Graded(Grade.INCOMPLETE, spoilt)
        return Graded(Grade.PROVEN if proof.status is S.GIVEN else Grade.SOFT_PROVEN)
    if proof.status is S.REQUESTED:
        return Graded(Grade.INCOMPLETE, ("confirmation",))
    if proof.status is S.EXPIRED:
        return Graded(Grade.INCOMPLETE, ("age",))
    if proof.gaps is None:
        return Graded(Grade.NONE)
    told_with = {"confirmation"} if not confirmed or "method" in proof.gaps else set()  # how she said it shows who did
    gaps = proof.gaps - told_with
    missing = tuple(fact for fact in FACTS if fact in gaps) or ("status",)
    nothing = "status" in gaps or gaps >= _PROOF
    return Graded(Grade.NONE if nothing else Grade.INCOMPLETE, missing)


def proof(events: Iterable[ConsentEvent], purpose: str, gaps: frozenset[str] | None = None) -> Proof:
    """What is known of somebody's standing for a purpose. `gaps`: what lists that named her lacked (`common`)."""
    told = settled(events)
    mine = about(told, purpose)
    last = latest_of(mine, _SAY_YES)
    channel = last.channel if last else None
    # That a yes grew too old says nothing about a no of before.
    status, by = stands((event for event in mine if event.type is not T.EXPIRED), purpose)
    if by is not None and by.type in STOPS:
        anew = latest_of(filter(is_believed, mine), frozenset({T.REQUESTED}))
        asked = anew.time if anew and whole(anew.time) > whole(by.time) else None
        return Proof(status, stopped=True, time=by.time, channel=channel, asked=asked)
    status, by = stands(mine, purpose)
    named = latest_of(mine, frozenset({T.IMPORTED}))
    shown = by or named
    if named is not None and gaps is None:  # from before that was noted: nobody says that nothing is there
        gaps = frozenset()
    if shown is None:
        return Proof(status, channel=channel, gaps=gaps)
    moved = unconfirmed_move(told) is not None
    where = channel if by is None else by.channel
    child, yes = declared_child(told) is not None, guardian(told, purpose)
    guarded = yes.until or datetime.max.replace(tzinfo=UTC) if child and yes else None
    return Proof(status, False, shown.time, shown.notice, where, gaps, moved, child=child, guarded=guarded)


def lacking(event: ConsentEvent) -> frozenset[str]:
    """What one line of a list that only says so lacks, by `FACTS`. The event is complete, with its evidence."""
    seen = event.evidence
    there: dict[str, object] = {
        "time": event.time != event.received,  # a line without a date counts as said when it came in
        "notice": seen.wording,
        "language": seen.language,
        "method": seen.detail,
        "confirmation": seen.detail == NO_YES or seen.detail in SHOWS_WHO,
        "source_document": seen.document,
        "status": seen.detail != NO_YES,
        "channel": event.channel,
        "guardian": seen.at_least != UNASKED,
    }
    if seen.sale is not None:  # a customer's: nobody asks how she confirmed, and the sale is the document
        there |= {"method": True, "confirmation": True, "source_document": seen.sale.get("sale_id")}
        there |= {fact: seen.sale.get(fact) for fact in SALE_FACTS}
    return frozenset(name for name, value in there.items() if name in FACTS and not value)


def common(*gaps: frozenset[str] | None) -> frozenset[str] | None:
    """What several lines about one contact lack together; None where there was none."""
    told = [each for each in gaps if each is not None]
    return frozenset.intersection(*told) if told else None


def as_bits(gaps: Collection[str]) -> int:
    """Missing facts as one number, for the database."""
    return sum(1 << place for place, fact in enumerate(FACTS) if fact in gaps)


def from_bits(bits: int) -> frozenset[str]:
    """And back."""
    return frozenset(fact for place, fact in enumerate(FACTS) if bits >> place & 1)


def _spoilt(proof: Proof, purpose: str, now: datetime, limits: Limits) -> tuple[str, ...]:
    """What makes a yes, or a sale, no proof any more."""
    age = limits.consent_max_age if proof.status is S.GIVEN else limits.soft_max_age
    since = limits.notice_since.get(purpose)
    against = {
        "age": proof.time is None or now >= proof.time + age,
        "words": proof.status is S.GIVEN and (since is None or proof.notice is None or proof.notice < since),
        "country": proof.status is S.SOFT_OPT_IN and not limits.soft_opt_in,
        "address": proof.moved,
        "guardian": proof.child and (proof.guarded is None or now >= proof.guarded),
    }
    return tuple(name for name, holds in against.items() if holds)
