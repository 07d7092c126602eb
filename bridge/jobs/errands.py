"""One person and what an ESP is to be told of her, and what becomes of it by what the ESP answers."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.store import Push, open_jobs
from bridge.vocabulary import HIDDEN, RESTING, UNASKED, Member, Outcome, OutcomeKind

_UNASKED_SECONDS = 60.0
_OPEN = 3600.0  # who is in a job waits for its end; this is only how often a row is looked at all the same


class Errand(NamedTuple):
    """One person and how she should be at this ESP now; her history is no longer held."""

    push: Push
    member: Member
    hidden: float | None  # seconds until a pause ends that hides a new yes of hers, or it is looked at again
    why: str = HIDDEN  # what hides it
    asked: datetime | None = None  # when the oldest of her new yeses was asked for

    @property
    def state(self) -> str:
        """What an ESP is told of her, to see later whether things have changed since."""
        return f"{self.push.number} {self.push.told}"


#: An errand, and the open jobs that name her.
Ready = tuple[Errand, frozenset[int]]


#: Say how things are now, at once.
AGAIN = Outcome(OutcomeKind.LATER, "again", 0.0)


def by_job(
    ready: Sequence[tuple[Errand, frozenset[int]]], outcomes: Sequence[Outcome]
) -> dict[str, tuple[list[int], float | None]]:
    """The jobs these outcomes name: whom each carries, in order, and when to look at it."""
    jobs: dict[str, tuple[list[int], float | None]] = {}
    for (errand, _), outcome in zip(ready, outcomes, strict=True):
        for key in outcome.job.split():
            jobs.setdefault(key, ([], outcome.wait))[0].append(errand.push.person.number)
    return jobs


def noted(errand: Errand, before: frozenset[int], mine: frozenset[int], outcome: Outcome) -> Outcome:
    """What became of one person, with the jobs that now name her.

    Of several calls about a new yes, one may have worked where another did not: lifted is lifted.
    """
    if outcome.kind is OutcomeKind.LATER and errand.member.fresh:
        outcome = outcome._replace(maybe=True)
    jobs = before | mine
    if not jobs:
        return unless_hidden(errand, outcome)
    if outcome.kind is OutcomeKind.LATER:
        return outcome._replace(job=_text(jobs, ""))
    whole = outcome.kind is OutcomeKind.PENDING and not before
    return Outcome(OutcomeKind.PENDING, outcome.reason, _OPEN, _text(jobs, errand.state if whole else ""))


def after_job(errand: Errand, outcome: Outcome, ended: int, still: Collection[int]) -> Outcome:
    """What became of one person when a job is over that named her."""
    text = errand.push.job or ""
    others = (open_jobs(text) & frozenset(still)) - {ended}
    if outcome.kind is OutcomeKind.PENDING:
        return in_jobs(others | {ended}, text)
    sent = text.partition("|")[2]
    good = sent == errand.state
    if others:
        return in_jobs(others, text if outcome.kind is OutcomeKind.DONE else "")
    if outcome.kind is OutcomeKind.LATER and good:
        return outcome
    return unless_hidden(errand, outcome) if good else AGAIN


def in_jobs(jobs: Collection[int], text: str | None) -> Outcome:
    """Nothing is said of her until these are over; what they say of her is kept."""
    return Outcome(OutcomeKind.PENDING, "job", _OPEN, _text(jobs, (text or "").partition("|")[2]))


def _text(jobs: Collection[int], state: str) -> str:
    return f"{' '.join(map(str, sorted(jobs)))}|{state}"


def _calm(errand: Errand) -> Errand:
    """Only her stops: whatever new yes is in it is told later."""
    calm = msgspec.structs.replace(errand.member, fresh=frozenset())
    unsaid = msgspec.structs.replace(errand.push, told=None)  # so that a job's end is not the end of it
    return errand._replace(push=unsaid, member=calm, hidden=_UNASKED_SECONDS, why=UNASKED)


def without_new(
    ready: Sequence[Ready], whose: Collection[str], later: Outcome
) -> tuple[list[Ready], list[tuple[Push, Outcome]]]:
    """Their new yeses are told later; whoever has a stop too is told only that."""
    calm, waiting = [], []
    for errand, jobs in ready:
        if not errand.member.fresh or errand.member.email not in whose:
            calm.append((errand, jobs))
        elif errand.push.stop:
            calm.append((_calm(errand), jobs))
        else:
            waiting.append((errand.push, later))
    return calm, waiting


def not_told(told: Member, outcome: Outcome) -> Outcome:
    """What became of somebody whose new yes was left out of the call."""
    if not told.fresh or outcome.kind is OutcomeKind.LATER:
        return outcome
    return AGAIN._replace(job=outcome.job)


def unless_hidden(errand: Errand, outcome: Outcome) -> Outcome:
    """A new yes that was not told now is not taken for told, whatever the ESP says of the rest."""
    told = outcome.kind is OutcomeKind.DONE or (errand.why == UNASKED and outcome.reason in RESTING)
    if errand.hidden is None or not told:
        return outcome
    return Outcome(OutcomeKind.LATER, errand.why, errand.hidden)
