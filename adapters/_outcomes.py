"""What adapters share about a batch: which outcome weighs most, and that one bad member harms nobody else."""

from collections.abc import Callable, Iterable, Sequence

from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import DONE, Outcome, OutcomeKind

#: What matters most when one member needs several calls: what must be tried again, then what never works.
_WEIGHT = {OutcomeKind.DONE: 0, OutcomeKind.PENDING: 1, OutcomeKind.REFUSED: 2, OutcomeKind.LATER: 3}

#: Answers that are about some member of a call, so that halving the call finds her.
_SPLIT = frozenset({400, 413})


#: The ESP stumbled over this call; perhaps over this member.
INTERNAL = Outcome(OutcomeKind.LATER, "internal")

_ENOUGH = 3


class Told(Exception):
    """The ESP's answer is about this member only; the outcome says which."""

    def __init__(self, outcome: Outcome, status: int) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


def later(reason: str, wait: float | None = None) -> Outcome:
    """May work later."""
    return Outcome(OutcomeKind.LATER, reason, wait)


def refused(reason: str) -> Outcome:
    """Will never work."""
    return Outcome(OutcomeKind.REFUSED, reason)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one outcome that stands for all of a member's calls; the first among equals."""
    return max(outcomes, key=lambda outcome: _WEIGHT[outcome.kind], default=DONE)


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

    def note(self, who: Iterable[int], outcome: Outcome) -> None:
        """Keep the weightiest outcome of each."""
        for index in who:
            self.outcomes[index] = worst((self.outcomes[index], outcome))

    def attempt(self, who: Sequence[int], call: Callable[[Sequence[int]], Outcome]) -> None:
        """Make one call for these members; what goes wrong befalls only those it is about."""
        if not who:
            return
        if self._down is not None:
            self.note(who, later(self._down.reason, self._down.wait))
            return
        try:
            outcome = call(who)
        except Told as told:
            self._worked = True
            self._count(told.outcome)
            self._told(who, call, told)
        except Misconfigured:
            raise
        except AdapterError as error:
            if not self._worked:
                raise
            self._down = error
            self.note(who, later(error.reason, error.wait))
        else:
            self._worked = True
            self._count(outcome)
            self.note(who, outcome)

    def one(self, index: int, call: Callable[[], Outcome]) -> None:
        """Make the calls of a single member."""
        self.attempt([index], lambda _: call())

    def _count(self, outcome: Outcome) -> None:
        self._broken = self._broken + 1 if outcome.reason == INTERNAL.reason else 0
        if self._broken == _ENOUGH:
            self._down = AdapterError(INTERNAL.reason)

    def _told(self, who: Sequence[int], call: Callable[[Sequence[int]], Outcome], told: Told) -> None:
        if told.status in _SPLIT and len(who) > 1:
            middle = len(who) // 2
            self.attempt(who[:middle], call)
            self.attempt(who[middle:], call)
        else:
            self.note(who, told.outcome)
