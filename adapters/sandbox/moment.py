"""What time it is at the ESPs, as their news tells it. Whoever plays with clocks sets another `now`."""

from collections.abc import Callable
from datetime import UTC, datetime

now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731  (a name that is set anew)
