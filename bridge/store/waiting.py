"""How long work is held, and how long it waits before it is tried again."""

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, not_

from bridge.tables import AwareDateTime

#: How a reason begins after a call that may have been carried out all the same, until one is known to be. Then, where
#: that is known, how many events the first and the last such call told: "~3-4 internal".
UNSURE = "~"

#: Longer than any round of calls to an ESP or mail server may take: who holds a lease is alone.
LEASE = timedelta(seconds=150)

LONGEST_WAIT = timedelta(hours=1)

#: Moments in a statement that is built once, because building it costs more than asking: `at` gives their values. No
#: work waits for longer than until `PATIENCE`: what does was promised before the clock was set back.
NOW, _LAST_LEASE, PATIENCE = (bindparam(f"at_{name}", type_=AwareDateTime()) for name in ("now", "lease", "patience"))


def at(now: datetime, **told: Any) -> dict[str, Any]:
    """What a statement with these moments is told, and whatever else it asks for."""
    return {"at_now": now, "at_lease": now + 2 * LEASE, "at_patience": now + 2 * LONGEST_WAIT, **told}


def held(until: Any, now: datetime | None = None) -> Any:
    """Whether a lease until then holds now, of a column; without a moment, in a statement that is told `at` which.

    One that ends much later than any lease can was taken before the clock was set back: it must not hold a stop until
    the old time comes again. Machines whose clocks differ by less than a lease do not disturb each other.
    """
    begin, end = (NOW, _LAST_LEASE) if now is None else (now, now + 2 * LEASE)
    return and_(until.is_not(None), until > begin, until <= end)


def free(until: Any, now: datetime | None = None) -> Any:
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
