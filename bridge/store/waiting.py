"""How long work is held, and how long it waits before it is tried again."""

import random
from datetime import timedelta

#: Longer than any round of calls to an ESP or mail server may take: who holds a lease is alone.
LEASE = timedelta(seconds=150)

LONGEST_WAIT = timedelta(hours=1)


def back_off(attempts: int, longest: timedelta, wait: float | None) -> timedelta:
    """What the other side asked for, else twice as long each time, with jitter, up to a limit. 0 is at once."""
    if wait is not None and wait <= 0:
        return timedelta(0)
    if wait is not None:
        return min(timedelta(seconds=wait) + timedelta(seconds=random.random()), LONGEST_WAIT)  # noqa: S311  (jitter, no secret)
    seconds = min(2.0 ** min(attempts, 20), longest.total_seconds())
    return timedelta(seconds=seconds * (0.5 + random.random() / 2))  # noqa: S311  (jitter, no secret)
