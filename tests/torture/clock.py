"""One clock for all processes: the machine's own, moved by a number in a file that they share."""

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_MICROSECONDS = struct.Struct("q")


class Clock:
    """What time it is in the play. Whoever opens the same file sees the same time, as soon as it is moved."""

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(file).st_size < _MICROSECONDS.size:
            os.ftruncate(file, _MICROSECONDS.size)
        self._shared = mmap.mmap(file, _MICROSECONDS.size)
        os.close(file)

    def __call__(self) -> datetime:
        """The moment."""
        return datetime.now(UTC) + timedelta(microseconds=_MICROSECONDS.unpack(self._shared)[0])

    def move(self, seconds: float) -> None:
        """Let time pass for everybody at once, or set the clock back. Only the one who leads the play does this."""
        moved = _MICROSECONDS.unpack(self._shared)[0] + int(seconds * 1_000_000)
        self._shared[:] = _MICROSECONDS.pack(moved)
