"""Stops that arrive while the database is away: a fsynced file beside it, replayed before the next mail or push leaves.

A line holds opaque ids or keyed hashes, a time and the road it came by; no address. What cannot be read or written goes
into a second file beside it, so that it is neither lost nor in the way of others.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from bridge.vocabulary import Method

log = logging.getLogger("bridge.spool")


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """One stop that could not be written yet."""

    subject: str
    mark: str
    purpose: str
    time: datetime
    method: Method
    request: str = ""  # the question of ours that this is the no to
    token: str = ""  # `short_hash` of the link that said so


class ParkedNews(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of an ESP told that could not be written yet, as the store takes it in: addresses as hashes."""

    adapter: str
    news: msgspec.Raw


_Line = Parked | ParkedNews


class Spool:
    """The file of parked stops and news."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def park(self, stop: _Line) -> None:
        """Keep one line safely, or raise OSError: then the caller must not say it is done."""
        self._keep(msgspec.json.encode(stop))

    def _keep(self, text: bytes) -> None:
        with self._locked("a") as file:
            whole = os.lseek(file, 0, os.SEEK_END)
            # A line that was cut by a crash must not swallow this one.
            begun = whole > 0 and os.pread(file, 1, whole - 1) != b"\n"
            line = (b"\n" if begun else b"") + text + b"\n"
            if os.write(file, line) != len(line):
                os.ftruncate(file, whole)
                raise OSError(errno.ENOSPC, "no room to park a stop")
            os.fsync(file)
            _keep_name(self.path)  # each time: who made the file may have died before it did this

    def forget(self, subjects: Collection[str]) -> None:
        """Blot out every line about these people, here and among what was put aside: they were erased, and that is a
        stronger no. The lines of others are not touched, so that a crash loses none of them. Raises OSError.
        """
        for path in (self.path, self.aside):
            if path.exists():
                with Spool(path)._locked("r") as file:
                    _blot(file, [subject.encode() for subject in subjects])

    @property
    def aside(self) -> Path:
        """Where the stops are that nobody could write, and the lines that nobody could read."""
        return self.path.with_name(self.path.name + ".aside")

    def replay(self, write: Callable[[_Line], object]) -> int:
        """Write every parked line, in order; the file is emptied only when all are written. How many there were.

        One for which `write` says False cannot be written, now or later: it is put aside. One for which it gives an
        error waits until a person has mended what is wrong: the others are written, then the error is raised.
        """
        if not self.path.exists():
            return 0
        with self._locked("r") as file:
            stops, unread = _read(file)
            told = [write(stop) for stop in stops]
            for error in told:
                if isinstance(error, Exception):
                    raise error
            kept = Spool(self.aside)
            for stop in (stop for stop, done in zip(stops, told, strict=True) if done is False):
                kept.park(stop)
            for line in unread:  # half a line was never answered, but who can tell what a spoilt one was
                kept._keep(line)
            os.ftruncate(file, 0)
            os.fsync(file)
        if unread:
            what = f"{len(unread)} line{'s' * (len(unread) > 1)}"
            log.error("%s of %s cannot be read and went to %s: look there", what, self.path.name, self.aside.name)
        return len(stops)

    @contextmanager
    def _locked(self, mode: str) -> Iterator[int]:
        flags = os.O_RDWR | (os.O_CREAT | os.O_APPEND if mode == "a" else 0)
        file = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _blot(file: int, words: Collection[bytes]) -> None:
    at, size = 0, os.fstat(file).st_size
    for line in os.pread(file, size, 0).splitlines(keepends=True):
        if any(word in line for word in words):
            os.pwrite(file, b" " * len(line.rstrip(b"\n")), at)
        at += len(line)
    os.fsync(file)


def _keep_name(path: Path) -> None:
    """A new file survives a power cut only when its folder was written too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: int) -> tuple[list[_Line], list[bytes]]:
    """What is parked, and the lines that are none."""
    found: list[_Line] = []
    unread: list[bytes] = []
    with os.fdopen(os.dup(file), "rb") as lines:
        for line in lines:
            try:
                found.append(_line(line))
            except msgspec.DecodeError:
                unread += [line.rstrip(b"\n")] if line.strip() else []
    return found, unread


def _line(line: bytes) -> _Line:
    try:
        return msgspec.json.decode(line, type=Parked)
    except msgspec.DecodeError:
        return msgspec.json.decode(line, type=ParkedNews)
