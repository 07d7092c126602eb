"""A command of ours in a process of its own that dies as by a power cut: `python -m tests.copy_child N WORD …`.

It is killed when it has told its progress N times; N = 0 is a command that lives.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bridge.cli import copies, keys, main


def dying(after: int) -> Callable[..., Any]:
    """A progress bar that ends the process."""

    @contextmanager
    def progress(*_: object) -> Iterator[Callable[[int, int], None]]:
        told = 0

        def tell(_done: int, _total: int) -> None:
            nonlocal told
            told += 1
            if told == after:
                os.kill(os.getpid(), signal.SIGKILL)

        yield tell

    return progress


if __name__ == "__main__":
    copies.progress = keys.progress = dying(int(sys.argv[1]))
    main(sys.argv[2:])
