"""Which numbers of people may be told to others: few of them are persons (ORG-01)."""

from collections.abc import Sequence

from bridge.vocabulary import FEW


def shown(parts: Sequence[int]) -> list[int | None]:
    """The parts of a whole whose size is known; None for what is hidden.

    A part of fewer than `FEW` people is hidden, and where the others would tell its size the next smallest is hidden
    with it. Nobody is in a part of none: that is told.
    """
    hidden = {place for place, part in enumerate(parts) if 0 < part < FEW}
    others = sorted((place for place, part in enumerate(parts) if part >= FEW), key=parts.__getitem__)
    while hidden and others and (len(hidden) == 1 or sum(parts[place] for place in hidden) < FEW):
        hidden.add(others.pop(0))
    return [None if place in hidden else part for place, part in enumerate(parts)]


def share(part: int, whole: int) -> tuple[int | None, float | None]:
    """A part of a whole whose size is known, and its share; None where few are in it, or few are not."""
    if 0 < part < FEW or 0 < whole - part < FEW or whole < FEW:
        return None, None
    return part, part / whole
