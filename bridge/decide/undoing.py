"""What a stop took from a reader, so that a mistaken one can be undone: by a new yes, never by taking the stop back."""

from collections.abc import Iterable
from datetime import timedelta

from bridge.decide.history import MAILABLE, settled, stands, whole
from bridge.vocabulary import ConsentEvent, EventType, Status

#: Presses within this time are one thought: a button pressed twice, topic after topic.
_ONE_THOUGHT = timedelta(hours=1)


def taken(events: Iterable[ConsentEvent], purposes: Iterable[str]) -> list[str]:
    """Which of these purposes the reader's own last stop ended, whoever pressed it.

    Not what she objected to, complained of or refused, nor what others ended: that is no slip of a finger.
    """
    told = settled(events)
    stops = [event for event in told if event.by_reader and event.type is EventType.WITHDRAWN]
    if not stops:
        return []
    last = max(whole(stop.time) for stop in stops)
    pressed = {stop.key for stop in stops if last - whole(stop.time) <= _ONE_THOUGHT}
    before = [event for event in told if event.key not in pressed]
    return [
        purpose
        for purpose in purposes
        if stands(told, purpose).status is Status.WITHDRAWN and stands(before, purpose).status in MAILABLE
    ]
