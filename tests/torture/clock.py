"""One clock for all processes: the machine's own, moved by a number in a file that they share."""

import mmap
import os
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: By how much the clock was moved, and by how much it was moved forward.
_MOVED = struct.Struct("qq")


class Clock:
    """What time it is in the play. Whoever opens the same file sees the same time, as soon as it is moved."""

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(file).st_size < _MOVED.size:
            os.ftruncate(file, _MOVED.size)
        self._shared = mmap.mmap(file, _MOVED.size)
        os.close(file)

    def __call__(self) -> datetime:
        """The moment."""
        return datetime.now(UTC) + timedelta(microseconds=_MOVED.unpack(self._shared)[0])

    def lived(self) -> float:
        """Seconds by a clock that is never set back: between two of them lies what really passed."""
        return time.monotonic() + _MOVED.unpack(self._shared)[1] / 1_000_000

    def move(self, seconds: float) -> None:
        """Let time pass for everybody at once, or set the clock back. Only the one who leads the play does this."""
        moved, forward = _MOVED.unpack(self._shared)
        more = int(seconds * 1_000_000)
        self._shared[:] = _MOVED.pack(moved + more, forward + max(0, more))
