"""Whether an ESP may be called now: a circuit and a calendar for each, so that one that is down is not stormed."""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from bridge.vocabulary import Outcome

log = logging.getLogger("bridge.circuit")

#: Failures in a row after which an ESP is only probed.
_ENOUGH = 3
_LONGEST_GAP = timedelta(minutes=1)
_LONGEST_QUIET = timedelta(hours=1)


class Turn:
    """One turn to call an ESP: `most` people may be claimed for it, None = as many as wanted, 0 = nobody."""

    def __init__(self, circuit: "Circuit", most: int | None, *, urgent: bool) -> None:
        self._circuit, self.most, self.urgent = circuit, most, urgent
        self.told = False

    def worked(self) -> None:
        """The ESP answered."""
        self.told = True
        self._circuit.worked()

    def failed(self, reason: str, wait: float | None = None) -> None:
        """It did not, or takes nothing now; `wait` is what it asked for, in seconds."""
        self.told = True
        self._circuit.failed(reason, wait, urgent=self.urgent)

    def answered(self, outcomes: Iterable[Outcome]) -> None:
        """It answered; where one outcome says that it takes nothing from anybody now, that is a failure too."""
        away = next((outcome for outcome in outcomes if outcome.away), None)
        if away is None:
            self.worked()
        else:
            self.failed(away.reason, away.wait)


class Circuit:
    """Closed: call as you like. Open: nobody calls but for one probe at a time, a stop first, ever more rarely.

    What an ESP asks for ("not before ...") holds for the whole ESP. A stop is tried all the same, once: only when
    that too is refused do stops wait. Each process learns by itself.
    """

    def __init__(self, name: str, clock: Callable[[], datetime]) -> None:
        self.name, self._clock = name, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._probing = False
        self._next = self._quiet = self._stops_quiet = clock() - _LONGEST_QUIET

    @property
    def is_open(self) -> bool:
        """Whether the ESP is only probed now."""
        with self._lock:
            return self._failures >= _ENOUGH

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[Turn]:
        """Ask for a turn; what came of it is told to the turn."""
        most = self._ask(urgent=urgent)
        mine = Turn(self, most, urgent=urgent)
        try:
            yield mine
        finally:
            if most == 1 and not mine.told:  # there was nobody to probe with
                with self._lock:
                    self._probing = False

    def _ask(self, *, urgent: bool) -> int | None:
        with self._lock:
            now = self._clock()
            if _lies_ahead(self._stops_quiet if urgent else self._quiet, now):
                return 0
            if self._failures < _ENOUGH:
                return None
            if self._probing or _lies_ahead(self._next, now):
                return 0
            self._probing = True
            return 1

    def worked(self) -> None:
        """Close it."""
        with self._lock:
            again = self._failures >= _ENOUGH
            self._failures, self._probing = 0, False
        if again:
            log.warning("%s: answers again, circuit closed", self.name)

    def failed(self, reason: str, wait: float | None, *, urgent: bool) -> None:
        """Count a failure; after some in a row, open."""
        with self._lock:
            now = self._clock()
            self._probing = False
            if wait is not None:
                until = now + min(timedelta(seconds=wait), _LONGEST_QUIET)
                self._quiet = max(self._quiet, until)
                if urgent:
                    self._stops_quiet = max(self._stops_quiet, until)
            else:
                self._failures += 1
            failures = self._failures
            gap = min(timedelta(seconds=2.0 ** min(max(failures - _ENOUGH, 0), 20)), _LONGEST_GAP)
            self._next = now + gap * (0.5 + random.random() / 2)  # noqa: S311  (jitter, no secret)
        if wait is not None:
            log.warning("%s: asks to wait %.0f s (%s)", self.name, wait, reason)
        elif failures == _ENOUGH:
            log.warning("%s: %d failures in a row (%s), circuit open: only probed now", self.name, failures, reason)
        elif failures > _ENOUGH:
            log.info("%s: still away (%s), probed again in %.0f s at most", self.name, reason, gap.total_seconds())


def _lies_ahead(moment: datetime, now: datetime) -> bool:
    """Whether a moment is still to come. One further away than any wait is of a clock that was set back since."""
    return now < moment <= now + 2 * _LONGEST_QUIET
