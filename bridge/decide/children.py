"""What a child needs beside her own yes: the yes of whoever has parental responsibility (GDPR 8, KID-01), and an end of
that yes when she can decide alone (R15).

Nobody's birth date is known here. What is known: her own answer to "are you at least N?", the guardian's yes for each
purpose, and the month in which that yes ends.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from bridge.decide.history import (
    MAILABLE,
    declared_child,
    guardian,
    guardians_no,
    is_believed_of_age,
    latest,
    status,
    unguarded,
    whole,
)
from bridge.vocabulary import EVERY_PURPOSE, READER, ConsentEvent, EventType, Limits, Method, rfc3339

T = EventType

#: Who said from her mailbox that she is a child is not believed to be none before this, unless a guardian said when.
_GROWS = timedelta(days=366)


def guardian_ends(yes: ConsentEvent, limits: Limits) -> datetime:
    """When a guardian's consent ends: as the guardian said, else after the policy's span (R15)."""
    return yes.until or yes.time + limits.guardian_lasts


def against_child(mine: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> list[str]:
    """Why a child may not be mailed for a purpose, beside what counts for everybody. The events are settled."""
    declared = declared_child(mine)
    if declared is None:
        return []
    yes = guardian(mine, purpose)
    if yes is None:
        by = f"{declared.source} ({declared.method.replace('_', '-')})"
        return [f"child_unverified, {declared.type} {rfc3339(declared.time)} by {by}"]
    end, since = guardian_ends(yes, limits), limits.notice_since.get(purpose)
    if now >= end:
        return [f"the guardian's consent of {rfc3339(yes.time)} ended {rfc3339(end)}"]
    if yes.notice is not None and since is not None and yes.notice < since:
        return [f"the guardian agreed to words (version {yes.notice}) that no longer cover this purpose"]
    return []


def proven_child(mine: Collection[ConsentEvent]) -> ConsentEvent | None:
    """The last time it was surely she who said that she is a child: what an unconfirmed form says, anybody may have
    said. What she said before she came of age is over.
    """
    grown = latest(filter(is_believed_of_age, mine), T.OF_AGE)
    answered = {whole(e.asked) for e in mine if e.type is T.GIVEN and e.confirmed and e.asked}
    said = (e for e in mine if e.type is T.CHILD_DECLARED)
    sure = (e for e in said if e.method is not Method.FORM or whole(e.time) in answered)
    return latest((e for e in sure if grown is None or whole(e.time) >= whole(grown.time)), T.CHILD_DECLARED)


def refused_by_guardian(mine: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether a guardian said no so recently that nobody is asked about this child again (R16).

    Where only a form said that she is a child, a later request that does not say so is her own.
    """
    no, declared = guardians_no(mine, purpose), declared_child(mine)
    if no is None or declared is None or now - no.time >= limits.ask_again_after:
        return False
    asked = latest((e for e in mine if e.purpose == purpose and e.source == READER), T.REQUESTED)
    anew = asked is not None and whole(asked.time) > whole(declared.time)
    return proven_child(mine) is not None or not anew


def stands_alone(mine: Collection[ConsentEvent]) -> bool:
    """Whether she gets mail, and nothing says that she is a child: a form that says so may be anybody's."""
    if declared_child(mine) is not None:
        return False
    return any(status(mine, p) in MAILABLE for p in {e.purpose for e in mine} - {EVERY_PURPOSE})


def has_guardian(mine: Collection[ConsentEvent]) -> bool:
    """Whether a guardian's yes stands for anything."""
    return any(e.type is T.GUARDIAN_CONFIRMED and guardian(mine, e.purpose) for e in mine)


def waits_for_guardian(mine: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> bool:
    """Whether a guardian is to be asked: a child asked for it, lately, and no guardian has answered."""
    if unguarded(mine, purpose) is None or refused_by_guardian(mine, purpose, now, limits):
        return False
    asked = latest((e for e in mine if e.purpose == purpose and e.source == READER), T.REQUESTED)
    return asked is not None and now - asked.time <= limits.pending_ttl


def may_come_of_age(mine: Collection[ConsentEvent], now: datetime, limits: Limits) -> bool:
    """Whether her word that she is old enough now is believed.

    What an unconfirmed form said of her address anybody may have said. Once she said it from her own mailbox, or the
    operator's people did, the other answer counts only when the guardian's consent has ended by its time, or a year
    later: else the form would teach children which answer to give.
    """
    declared = declared_child(mine)
    if declared is None:
        return False
    said = [e for e in mine if e.type is T.GUARDIAN_CONFIRMED and whole(e.time) > whole(declared.time)]
    if said:
        return any(now >= guardian_ends(e, limits) for e in said)
    proven = proven_child(mine)
    return proven is None or now - proven.time >= _GROWS


def ended_by_age(mine: Collection[ConsentEvent], purpose: str, now: datetime, limits: Limits) -> ConsentEvent | None:
    """The guardian's yes whose time is over while a child's yes still stands on it: the clock ends that (R15)."""
    yes = guardian(mine, purpose)
    if yes is None or declared_child(mine) is None or status(mine, purpose) not in MAILABLE:
        return None
    return yes if whole(now) > whole(guardian_ends(yes, limits)) else None
