"""Who may write to an SQLite file, and who may clear its log: threads and processes take turns.

SQLite before 3.51.3 can lose committed transactions where one connection copies the log into the file (a checkpoint)
while another's commit begins the log anew: the "WAL-reset bug", sqlite.org/wal.html. Most systems carry such a version
for years, and a lost transaction may be somebody's no. So here no checkpoint ever runs beside a commit: writers share a
lock on a file beside the database, and whoever clears the log holds it alone. A process that dies lets go of it.
"""

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.store.errors import StoreAway

_LOOK_SECONDS = 0.002


class Turns:
    """The turns of one SQLite file; without a path it has a single process for itself, or is another database."""

    def __init__(self, path: str, patience: float) -> None:
        self._database = os.path.realpath(path) if path and path != ":memory:" else ""
        self._path = f"{self._database}.lock" if self._database else ""
        self._patience = patience
        self._thread = threading.Lock()
        self._file: tuple[int, int] | None = None  # whose process, and the file

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A turn to write; raises `StoreAway` when it does not come."""
        with self._among_threads(), self._held(fcntl.LOCK_SH, self._patience) as held:
            if not held:
                raise StoreAway("another program clears the log")
            yield

    @contextmanager
    def clearing(self, patience: float = 0.0) -> Iterator[bool]:
        """A turn in which nobody writes; gives whether it came."""
        with self._among_threads(), self._held(fcntl.LOCK_EX, patience) as held:
            yield held

    @contextmanager
    def _among_threads(self) -> Iterator[None]:
        if not self._thread.acquire(timeout=self._patience):
            raise StoreAway("another writer holds the database")
        try:
            yield
        finally:
            self._thread.release()

    @contextmanager
    def _held(self, how: int, patience: float) -> Iterator[bool]:
        if not self._path:
            yield True
            return
        file, end = self._opened(), time.monotonic() + patience
        while not _locked(file, how):
            if time.monotonic() >= end:
                yield False
                return
            time.sleep(_LOOK_SECONDS)
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _opened(self) -> int:
        """The lock's file; after a fork one of our own, for locks belong to the opening."""
        me = os.getpid()
        if self._file is None or self._file[0] != me:
            try:
                self._file = (me, file := _open(self._path, self._database))
                weakref.finalize(self, _close, file)
            except OSError as error:
                raise StoreAway(f"no lock file: {type(error).__name__}") from None
        return self._file[1]


def _open(path: str, database: str) -> int:
    """The file, made for everybody who may open the database: as SQLite does with its log."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # no database yet: it is made by whoever made this
        there = Path(database).stat()
        os.fchmod(file, there.st_mode & 0o777)
        if os.geteuid() == 0:
            os.fchown(file, there.st_uid, there.st_gid)
    return file


def _close(file: int) -> None:
    with suppress(OSError):
        os.close(file)


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreAway(f"files cannot be locked here: {type(error).__name__}") from None
    return True
