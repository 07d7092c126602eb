"""What an ESP says of everybody, kept small: a few bits a person, by her number in the store.

Facts about one person come apart (a list here, a suppression there) and add up. Nothing of it is an address, so a
comparison that is cut short can be kept and goes on.
"""

import zlib
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from bridge.decide.sides import There
from bridge.vocabulary import EventType, Seen

#: Marks of ours beside what the ESP says.
BUSY, SPECIAL = 1, 2

_CODES = {"H": 16, "I": 32, "Q": 64}


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """A sight as bytes."""

    purposes: tuple[str, ...]
    last: int
    code: str
    there: bytes
    left: bytes
    marks: bytes
    dead: dict[int, int]
    complained: dict[int, int]


class Sight:
    """Everybody with a number up to `last`, at one ESP."""

    def __init__(self, purposes: Sequence[str], last: int) -> None:
        self.purposes, self.last = tuple(purposes), last
        count = len(purposes)
        needed = 2 * count + 3
        code = next((code for code, bits in _CODES.items() if bits >= needed), "")
        if not code:
            raise ValueError(f"{count} purposes at one platform are more than can be compared: 30 at most")
        self._on = {purpose: 1 << place for place, purpose in enumerate(purposes)}
        self._left = {purpose: 1 << (count + place) for place, purpose in enumerate(purposes)}
        self.present, self.is_dead, self.has_complained = (1 << (2 * count + more) for more in range(3))
        self.code = code
        self.there = array(code, bytes(array(code).itemsize * (last + 1)))
        self.left = array("I", bytes(array("I").itemsize * (last + 1)))  # when she left, in whole seconds
        self.marks = bytearray(last + 1)
        self.dead: dict[int, int] = {}
        self.complained: dict[int, int] = {}

    def bits(self, seen: Seen) -> int:
        """What is said of these people."""
        bits = self.present
        for purpose in seen.on:
            bits |= self._on.get(purpose, 0)
        if seen.stop is EventType.UNSUBSCRIBED:
            for purpose in seen.purposes:
                bits |= self._left.get(purpose, 0)
        elif seen.stop is EventType.BOUNCED:
            bits |= self.is_dead
        elif seen.stop is EventType.COMPLAINED:
            bits |= self.has_complained
        return bits

    def take(self, bits: int, numbers: Sequence[int]) -> None:
        """It is said of these people, who have numbers."""
        there, last = self.there, self.last
        for number in numbers:
            if number <= last:  # who came while we read is no difference yet
                there[number] |= bits

    def take_times(self, stop: EventType, times: Mapping[int, int]) -> None:
        """When they left, complained or died there, as far as told; the latest telling counts."""
        for number, moment in times.items():
            if number > self.last:
                continue
            if stop is EventType.UNSUBSCRIBED:
                self.left[number] = max(self.left[number], min(moment, 0xFFFFFFFF))
            else:
                kept = self.dead if stop is EventType.BOUNCED else self.complained
                kept[number] = max(kept.get(number, 0), moment)

    def mark(self, bit: int, numbers: Sequence[int]) -> None:
        """Note something of ours about these people."""
        for number in numbers:
            if number <= self.last:
                self.marks[number] |= bit

    def seen(self) -> int:
        """How many people of ours the ESP holds."""
        return self.last + 1 - self.there.count(0)

    # -- one person ---------------------------------------------------------------------------------------------

    def on(self, bits: int) -> int:
        """The purposes she would really be mailed for there, as the store's bits: a stop outweighs an "on"."""
        if bits & (self.is_dead | self.has_complained):
            return 0
        every = (1 << len(self.purposes)) - 1
        return bits & every & ~(bits >> len(self.purposes))

    def stands(self, number: int, purpose: str) -> There:
        """How the ESP holds one person for one purpose."""
        bits = self.there[number]
        if bits & self.has_complained:
            return There.COMPLAINED
        if bits & self.is_dead:
            return There.DEAD
        if bits & self._left[purpose]:
            return There.LEFT
        return There.ON if bits & self._on[purpose] else There.OFF

    def since(self, number: int, there: There) -> datetime | None:
        """When a stop there was made, at the latest; None where the ESP does not tell."""
        told = {There.DEAD: self.dead, There.COMPLAINED: self.complained}
        seconds = told[there].get(number, 0) if there in told else self.left[number] if there is There.LEFT else 0
        return datetime.fromtimestamp(seconds, UTC) if seconds else None

    # -- kept ---------------------------------------------------------------------------------------------------

    def pack(self) -> bytes:
        """All of it as bytes."""
        there, left = (zlib.compress(each.tobytes(), 1) for each in (self.there, self.left))
        marks = zlib.compress(self.marks, 1)
        return msgspec.msgpack.encode(
            _Kept(self.purposes, self.last, self.code, there, left, marks, self.dead, self.complained)
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Sight":
        """The same again."""
        kept = msgspec.msgpack.decode(data, type=_Kept)
        sight = cls(kept.purposes, kept.last)
        sight.there, sight.left = array(kept.code), array("I")
        sight.there.frombytes(zlib.decompress(kept.there))
        sight.left.frombytes(zlib.decompress(kept.left))
        sight.marks = bytearray(zlib.decompress(kept.marks))
        sight.dead, sight.complained = kept.dead, kept.complained
        return sight
