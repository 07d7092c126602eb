"""An import in a process of its own that dies when so many chunks are in, for tests of kills."""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bridge.bootstrap import Bridge
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import


def main(path: str, chunks: str) -> None:
    """Take the file in, or die at it."""
    bridge = Bridge.from_env()
    bridge.clock = lambda: datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    left = int(chunks)

    def dies(_done: int, _total: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    result = Import(bridge, Defaults(channel="footer"), dry_run=False, progress=dies).file(ListFile(Path(path)))[0]
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
