"""The clock of a breach: by when the authority must have heard of it, and what must be said if not (GDPR 33)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class BreachClock(NamedTuple):
    """How a breach stands against its clock, which runs from when somebody here knew of it."""

    due: datetime
    left: timedelta  # negative: over
    stopped: bool  # the authority heard of it, or a reason is noted why it need not

    @property
    def overdue(self) -> bool:
        """The authority should have heard of it by now."""
        return self.left < timedelta() and not self.stopped


def breach_clock(
    noticed: datetime, clock: timedelta, now: datetime, sent: Sequence[datetime], excused: bool
) -> BreachClock:
    """`sent` are the phases told to the authority; `excused`: it need not be told, for no risk is likely (33(1))."""
    due = noticed + clock
    return BreachClock(due, due - now, bool(sent) or excused)


def needs_reason(noticed: datetime, clock: timedelta, sent: datetime, before: Sequence[datetime]) -> bool:
    """Whether a phase must say why it is late: the first one, past the clock (33(1)); later ones are phases (33(4))."""
    return not before and sent > noticed + clock
