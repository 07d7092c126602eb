"""After waiting in vain for a database that says nothing: for some seconds nobody waits for it again."""

import threading
import time
from collections.abc import Callable

#: So long it is left alone; then one is let through to look, and the others are told "away" meanwhile.
_SECONDS = 10.0

#: An attempt that failed sooner cost nobody a wait: a refusal, or a database that restarts and is back at any moment.
_SLOW = 1.0


class Rest:
    """Whether it is worth trying: a machine that is gone costs one wait in ten seconds, not one a click."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._until: float | None = None
        self._one = threading.Lock()

    def refuses(self) -> bool:
        """True while it rests. When that is over one caller is told False, and rests begin anew for all others."""
        if self._until is None:
            return False
        with self._one:
            now = self.clock()
            if self._until is None or now >= self._until:
                self._until = None if self._until is None else now + _SECONDS
                return False
            return True

    def failed(self, begun: float) -> None:
        """An attempt that began then had no answer."""
        now = self.clock()
        if now - begun >= _SLOW:
            with self._one:
                self._until = now + _SECONDS

    def answered(self) -> None:
        """It is there."""
        self._until = None
