"""Trouble on command: how an ESP behaves badly, and for how long."""

import random
import threading
import time
from collections import Counter

#: How an ESP can be; one at a time each.
MODES: dict[str, str] = {
    "up": "works as it should",
    "down": "answers 503 with a page instead of JSON",
    "hang": "takes the call and does not answer; a caller who gave up meanwhile changed nothing",
    "hang-after": "does what was asked and does not answer",
    "cut": "does what was asked and breaks off in the middle of its answer",
    "throttle": "answers 429",
    "throttle-bare": "answers 429 without a body",
    "errors": "every so many calls fail with 500",
    "flaky": "some calls in a hundred fail with 500, some hang, and every second of these did what was asked",
    "pending": "jobs stay pending",
    "reversed": "jobs stay pending; afterwards they are done newest first",
    "shuffled": "jobs stay pending; afterwards they, and the operations in them, are done in any order",
    "links_expire": "Mailchimp's links to results answer 403, as ten minutes later",
    "results_gone": "Mailchimp's results answer 404, as seven days later",
    "keeps_unsubscribed": "Mailchimp answers 200 and silently leaves an unsubscribed member unsubscribed",
    "refuses_pending": "Mailchimp refuses status pending in compliance state too: only its own form works",
    "asks_permission": "Mailchimp's audience has GDPR fields: whoever permits nothing gets no campaign",
    "contact_limit": "SendGrid's jobs fail: the plan is full",
    "duplicate": "every webhook is sent three times",
    "delay": "webhooks are sent late",
    "reorder": "webhooks are kept and then sent newest first",
    "lose": "webhooks are lost",
}

#: While one of these lasts no job is done.
HOLDING = frozenset({"pending", "reversed", "shuffled"})


class Trouble:
    """The one mode an ESP is in. Safe to ask from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._mode = "up"
        self._until: float | None = None
        self.seconds: float | None = None
        self.every = 2
        self._calls = 0
        self._errors = self._hangs = 0.0
        #: What became of calls while flaky: "well", "error", "hang", "hang-after".
        self.fates: Counter[str] = Counter()
        self._chance = random.Random()

    @property
    def mode(self) -> str:
        """The mode now; `down` with a length ends by itself."""
        with self._changed:
            if self._until is not None and time.monotonic() >= self._until:
                self._mode, self._until = "up", None
            return self._mode

    def set(
        self,
        mode: str,
        seconds: float | None = None,
        every: int = 2,
        *,
        errors: float = 5,
        hangs: float = 1,
        seed: int | None = None,
    ) -> None:
        """Go into another mode and let go of every call that is being held.

        `errors` and `hangs` are calls in a hundred, for "flaky"; the same seed draws the same fates, call by call.
        """
        with self._changed:
            self._mode, self.seconds, self.every, self._calls = mode, seconds, max(1, every), 0
            self._errors, self._hangs = errors, hangs
            self.fates.clear()
            self._chance = random.Random(seed)
            self._until = time.monotonic() + seconds if mode == "down" and seconds else None
            self._changed.notify_all()

    def hold(self) -> None:
        """Keep a caller waiting until the time is over or the mode changes."""
        with self._changed:
            mode = self._mode
            self._changed.wait_for(lambda: self._mode != mode, timeout=self.seconds or 30)

    def unlucky(self) -> bool:
        """Whether this is one of the calls that fail."""
        with self._changed:
            self._calls += 1
            return self._calls % self.every == 0

    def fate(self) -> str:
        """What befalls one call while the ESP is flaky: "error", "hang", "hang-after", or "" for nothing."""
        with self._changed:
            if self._mode != "flaky":
                return ""
            drawn = self._chance.random() * 100
            if drawn < self._hangs:
                fate = "hang" if drawn < self._hangs / 2 else "hang-after"
            else:
                fate = "error" if drawn < self._hangs + self._errors else ""
            self.fates[fate or "well"] += 1
            return fate

    def wait(self) -> float:
        """What a throttled caller is asked to wait, in seconds."""
        return self.seconds or 2
