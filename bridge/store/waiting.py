"""How long work is held, and how long it waits before it is tried again."""

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, not_

#: How a reason begins after a call that may have been carried out all the same, until one is known to be.
UNSURE = "~"

#: Longer than any round of calls to an ESP or mail server may take: who holds a lease is alone.
LEASE = timedelta(seconds=150)

LONGEST_WAIT = timedelta(hours=1)


def held(until: Any, now: datetime) -> Any:
    """Whether a lease until then holds now, of a column.

    One that ends much later than any lease can was taken before the clock was set back: it must not hold a stop until
    the old time comes again. Machines whose clocks differ by less than a lease do not disturb each other.
    """
    return and_(until.is_not(None), until > now, until <= now + 2 * LEASE)


def free(until: Any, now: datetime) -> Any:
    """The opposite."""
    return until.is_(None) | not_(held(until, now))


def is_held(until: datetime | None, now: datetime) -> bool:
    """The same as `held`, of a value."""
    return until is not None and now < until <= now + 2 * LEASE


def back_off(attempts: int, longest: timedelta, wait: float | None) -> timedelta:
    """What the other side asked for, else twice as long each time, with jitter, up to a limit. 0 is at once."""
    if wait is not None and wait <= 0:
        return timedelta(0)
    if wait is not None:
        return min(timedelta(seconds=wait) + timedelta(seconds=random.random()), LONGEST_WAIT)  # noqa: S311  (jitter, no secret)
    seconds = min(2.0 ** min(attempts, 20), longest.total_seconds())
    return timedelta(seconds=seconds * (0.5 + random.random() / 2))  # noqa: S311  (jitter, no secret)
