"""By which road a yes behind a mailed link came, and whether it may be a program's that presses buttons (CON-05).

A cookie of the browser that sent the form, or the code of the mail, is a person's. A button alone may be a scanner's:
nobody can tell for sure, so what makes it doubtful is kept, and where the policy says so it waits for the code.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from bridge.vocabulary import ConsentEvent, Doubt, Hold, Road

#: Nobody sees a mail come in, opens it and presses a button so soon after it left.
SOON = timedelta(seconds=30)
#: So many people of one mail domain, within so long, all without cookie and code.
MANY, AT_ONCE = 3, timedelta(seconds=10)
#: Wrong codes for one request; the next one is not looked at.
TRIES = 5


class Way(NamedTuple):
    """How a yes came."""

    road: Road
    after: timedelta | None = None  # since the mail left; None = not known
    doubts: tuple[Doubt, ...] = ()


def by_button(now: datetime, sent: datetime | None, others: int) -> Way:
    """A button that was pressed with no cookie and no code. `others`: other people's of that domain, just now."""
    after = None if sent is None else now - sent
    doubts = [Doubt.SOON] if after is None or after < SOON else []
    doubts += [Doubt.MANY] if others + 1 >= MANY else []
    return Way(Road.BUTTON, after, tuple(doubts))


def must_wait(way: Way, hold: Hold, *, coded: bool, held: bool = False) -> bool:
    """Whether this yes waits until the code is typed. What has no code in its mail never does; what was `held` before
    does however late it is pressed again."""
    if way.road is not Road.BUTTON or not coded:
        return False
    return hold is Hold.ALL or (hold is Hold.DOUBTFUL and (held or bool(way.doubts)))


def asks_anew(hold: Hold, *, coded: bool) -> bool:
    """Whether what a button alone let go on is asked once more, by a mail with digits: its own mail had none, and a yes
    may have to wait for some. Where it had, a button that may be a program's waits instead."""
    return hold is not Hold.NEVER and not coded


def stamped(events: Sequence[ConsentEvent], way: Way) -> list[ConsentEvent]:
    """What she says, with its road in the proof."""
    after = None if way.after is None else int(way.after.total_seconds())
    doubt = " ".join(way.doubts) or None
    return [
        msgspec.structs.replace(
            event, evidence=msgspec.structs.replace(event.evidence, road=way.road.value, after=after, doubt=doubt)
        )
        for event in events
    ]
