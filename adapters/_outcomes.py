"""What adapters share about a batch: which outcome weighs most, and that one bad member harms nobody else."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import DONE, RESTING, Outcome, OutcomeKind

#: What matters most when one member needs several calls: what must be tried again, then what never works.
_WEIGHT = {OutcomeKind.DONE: 0, OutcomeKind.PENDING: 1, OutcomeKind.REFUSED: 2, OutcomeKind.LATER: 3}

#: Answers that are about some member of a call, so that halving the call finds her.
_SPLIT = frozenset({400, 413})


#: The ESP stumbled over this call; perhaps over this member.
INTERNAL = Outcome(OutcomeKind.LATER, "internal")

_ENOUGH = 3

#: No ESP is waited for longer than this without asking it again.
LONGEST_WAIT = 3600.0

#: No new call is begun after this long, so that a batch ends well within its caller's lease.
_LONGEST_SECONDS = 60.0


class Told(Exception):
    """The ESP's answer is about this member only; the outcome says which."""

    def __init__(self, outcome: Outcome, status: int) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds an ESP, or what stands before it, asks us to wait (ESP-06)."""
    after = str(headers.get("Retry-After", ""))
    return min(max(float(after), 1.0), LONGEST_WAIT) if after.isascii() and after.isdigit() else None


def later(reason: str, wait: float | None = None) -> Outcome:
    """May work later."""
    return Outcome(OutcomeKind.LATER, reason, wait)


def refused(reason: str) -> Outcome:
    """Will never work."""
    return Outcome(OutcomeKind.REFUSED, reason)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one outcome that stands for all of a member's calls, the first among equals; no open job is forgotten.

    What one audience `told` us of her yes stays true whatever another says: it is better to miss her in that one than
    to lift a stop she made in the first since.
    """
    every = list(outcomes)
    # Of refusals those weigh less after which nothing goes to her from there.
    found = max(every, key=lambda outcome: (_WEIGHT[outcome.kind], outcome.reason not in RESTING), default=DONE)
    jobs = " ".join(dict.fromkeys(job for outcome in every for job in outcome.job.split()))
    maybe = any(outcome.maybe for outcome in every)
    told = any(outcome.told for outcome in every)
    kept = (jobs, maybe, told) == (found.job, found.maybe, found.told)
    return found if kept else found._replace(job=jobs, maybe=maybe, told=told)


class Round:
    """One batch on its way: an outcome per member, whatever becomes of the others.

    When the ESP goes down midway, no further call is made and the rest is told to come later; when it was down
    from the start, the error goes to the caller.
    """

    def __init__(self, count: int) -> None:
        self.outcomes = [DONE] * count
        self._worked = False
        self._broken = 0  # internal errors in a row: one may be about one member, three are not
        self._down: AdapterError | None = None
        self._began = time.monotonic()

    @property
    def down(self) -> bool:
        """Whether no further call is made: the ESP is away, or the time is over."""
        return self._down is not None or self._is_late()

    def _is_late(self) -> bool:
        return time.monotonic() - self._began > _LONGEST_SECONDS

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Whatever ends this: jobs that were begun before are named to the caller (decision 24)."""
        try:
            yield
        except AdapterError as error:
            error.jobs = tuple(outcome.job for outcome in self.outcomes)
            raise

    def note(self, who: Iterable[int], outcome: Outcome) -> None:
        """Keep the weightiest outcome of each."""
        for index in who:
            before = self.outcomes[index]
            self.outcomes[index] = outcome if before is DONE else worst((before, outcome))

    def attempt(self, who: Sequence[int], call: Callable[[Sequence[int]], Outcome], *, reading: bool = False) -> None:
        """Make one call for these members; what goes wrong befalls only those it is about. Reading does nothing yet."""
        if not who:
            return
        if self._down is not None:
            self.note(who, self._away(self._down))
            return
        if self._is_late():
            self.note(who, later("out_of_time", 0.0))
            return
        try:
            outcome = call(who)
        except Told as told:
            self._worked = True
            self._count(told.outcome)
            self._told(who, call, told, reading=reading)
        except Misconfigured:
            raise
        except AdapterError as error:
            if not self._worked:
                raise
            self._down = error
            self.note(who, self._away(error)._replace(maybe=error.maybe))
        else:
            self._worked = self._worked or not reading
            self._count(outcome)
            self.note(who, outcome)

    def one(self, index: int, call: Callable[[], Outcome]) -> None:
        """Make the calls of a single member."""
        self.attempt([index], lambda _: call())

    def _away(self, error: AdapterError) -> Outcome:
        return later(error.reason, error.wait)._replace(away=True)

    def _count(self, outcome: Outcome) -> None:
        self._broken = self._broken + 1 if outcome.reason == INTERNAL.reason else 0
        if self._broken == _ENOUGH:
            self._down = AdapterError(INTERNAL.reason)

    def _told(self, who: Sequence[int], call: Callable[[Sequence[int]], Outcome], told: Told, *, reading: bool) -> None:
        if told.status in _SPLIT and len(who) > 1:
            middle = len(who) // 2
            self.attempt(who[:middle], call, reading=reading)
            self.attempt(who[middle:], call, reading=reading)
        else:
            self.note(who, told.outcome)
