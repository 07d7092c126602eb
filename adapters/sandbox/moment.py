"""What time it is at the ESPs, as their news tells it. Whoever plays with clocks sets another `clock`."""

from collections.abc import Callable
from datetime import UTC, datetime


def real() -> datetime:
    """This moment."""
    return datetime.now(UTC)


clock: Callable[[], datetime] = real


def now() -> datetime:
    """What time it is there."""
    return clock()


def seconds() -> int:
    """The same in whole seconds since 1970, as SendGrid writes it."""
    return int(now().timestamp())
