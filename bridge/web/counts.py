"""How often each route answered and how fast, in numbers that several processes of one server add up together.

A process counts in memory of its own, or, where a server with several workers has set that aside before it made them
(`share`), in its own part of what they share. A route is its pattern: a path would hold a reader's token.
"""

import mmap
import threading
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

#: Upper ends of the spans that answers are sorted into, in seconds; what took longer is in the last one.
SPANS = (0.005, 0.025, 0.1, 0.5, 2.0)
#: Answers by kind: 1xx and 2xx, 3xx, 4xx, 5xx.
KINDS = ("2xx", "3xx", "4xx", "5xx")

_COLUMNS = len(KINDS) + len(SPANS) + 2  # what took longer, and microseconds in all
_BYTES = 8
#: Room for the routes of one process: more than there are, so that a later version's fit as well.
_PART = 16 * 1024

_shared: mmap.mmap | None = None
_mine = 0


class Row(NamedTuple):
    """One route."""

    name: str
    kinds: tuple[int, ...]
    spans: tuple[int, ...]  # one more than `SPANS`
    seconds: float


def share(parts: int) -> None:
    """Set memory aside for so many processes, before they are made."""
    global _shared  # noqa: PLW0603  (the one thing that processes made from this one have in common)
    _shared = mmap.mmap(-1, parts * _PART)


def take_part(number: int) -> None:
    """This process counts in that part; whoever had it before has ended, and its numbers go on."""
    global _mine  # noqa: PLW0603  (as above)
    _mine = number


class Counts:
    """The counts of one application: its routes by name, and `other` for whatever is none of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = ["other", *sorted(set(names))]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._lock = threading.Lock()
        shape = "\n".join([*self._names, *map(str, SPANS)])
        self._shape = int.from_bytes(sha256(shape.encode()).digest()[:_BYTES], "big")
        memory = memoryview(_shared if _shared is not None else bytearray(_PART)).cast("Q")
        size = _PART // _BYTES
        self._parts = [memory[start : start + size] for start in range(0, len(memory), size)]
        self._mine = self._parts[_mine % len(self._parts)]
        if self._mine[0] != self._shape:  # never used, or by another version
            self._mine[:] = memoryview(bytearray(_PART)).cast("Q")
            self._mine[0] = self._shape

    def add(self, name: str, status: int, seconds: float) -> None:
        """One answer."""
        span = next((place for place, end in enumerate(SPANS) if seconds <= end), len(SPANS))
        row = 1 + self._places.get(name, 0) * _COLUMNS
        kind = min(max(status // 100 - 2, 0), len(KINDS) - 1)
        with self._lock:
            self._mine[row + kind] += 1
            self._mine[row + len(KINDS) + span] += 1
            self._mine[row + _COLUMNS - 1] += int(seconds * 1_000_000)

    def rows(self) -> Iterator[Row]:
        """Routes that were asked for, of all processes together."""
        parts = [part for part in self._parts if part[0] == self._shape]
        for name, place in self._places.items():
            first = 1 + place * _COLUMNS
            cells = [sum(part[first + column] for part in parts) for column in range(_COLUMNS)]
            if any(cells):
                kinds, spans = cells[: len(KINDS)], cells[len(KINDS) : -1]
                yield Row(name, tuple(kinds), tuple(spans), cells[-1] / 1_000_000)
