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


def shown_table(rows: Sequence[Sequence[int]]) -> list[list[int | None]]:
    """Rows of parts, each of a whole whose size is known, as the sum of each column is.

    What `shown` hides of a row, others of its column would tell: there too the next smallest is hidden with it.
    """
    hidden = [[part is None for part in shown(row)] for row in rows]
    places = [[(y, x) for x in range(len(row))] for y, row in enumerate(rows)]
    lines = [*places, *([(y, x) for y in range(len(rows))] for x in range(len(rows[0]) if rows else 0))]
    changed = True
    while changed:
        changed = False
        for line in lines:
            kept = [(y, x) for y, x in line if hidden[y][x]]
            others = sorted((at for at in line if not hidden[at[0]][at[1]]), key=lambda at: rows[at[0]][at[1]])
            told = [at for at in others if rows[at[0]][at[1]]] or others
            if kept and told and (len(kept) == 1 or sum(rows[y][x] for y, x in kept) < FEW):
                y, x = told[0]
                hidden[y][x] = changed = True
    return [
        [None if gone else part for part, gone in zip(*both, strict=True)] for both in zip(rows, hidden, strict=True)
    ]


def share(part: int, whole: int) -> tuple[int | None, float | None]:
    """A part of a whole whose size is known, and its share; None where few are in it, or few are not."""
    if 0 < part < FEW or 0 < whole - part < FEW or whole < FEW:
        return None, None
    return part, part / whole
