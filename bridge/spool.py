"""Stops that arrive while the database is away: a fsynced file beside it, replayed before the next mail or push leaves.

A line holds opaque ids or keyed hashes, a time and the road it came by; no address. What cannot be read or written goes
into a second file beside it, so that it is neither lost nor in the way of others.
"""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bridge.aws import Aws, AwsError
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

    def waiting(self) -> int:
        """How many lines are parked now; 0 where they wait in a queue."""
        try:
            with self.path.open("rb") as file:
                return sum(bool(line.strip()) for line in file)
        except FileNotFoundError:
            return 0

    @property
    def aside(self) -> Path:
        """Where the stops are that nobody could write, and the lines that nobody could read."""
        return self.path.with_name(self.path.name + ".aside")

    def put_aside(self, line: _Line) -> None:
        """Keep one line that cannot be written where a person finds it, or raise OSError."""
        Spool(self.aside).park(line)

    def is_set_aside(self, line: _Line) -> bool:
        """The same; False where there is no such place."""
        self.put_aside(line)
        return True

    @property
    def aside_name(self) -> str:
        """How the log calls that place."""
        return self.aside.name

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


class SpoolWaits(Exception):
    """What is parked cannot be written now, or nobody can say whether all of it was: nothing may be sent yet."""


class QueueSpool(Spool):
    """The same in an SQS queue, where functions have no disk of their own (decision 21).

    A function of its own is handed the messages; whoever sends writes what is left of them first. One that nobody can
    write goes to another queue. That is decided here, never by SQS, which would give up after 1,000 tries: while the
    database is away each minute is one.
    """

    aside_name = "the dead-letter queue"

    def __init__(self, url: str, aws: Aws, letters: str = "") -> None:
        """`letters` is the URL of that other queue; without one, what nobody can write stays where it is."""
        super().__init__(Path(os.devnull))
        self._url, self._aws, self._letters = url, aws, letters

    def _keep(self, text: bytes) -> None:
        try:
            self._aws.send(self._url, _message(text))
        except AwsError as error:
            raise OSError(errno.EIO, str(error)) from None

    def forget(self, subjects: Collection[str]) -> None:
        """Nothing: messages hold opaque ids and keyed hashes, and are gone within 14 days."""

    def put_aside(self, line: _Line) -> None:
        """Into the dead-letter queue, where an alarm looks; into the same queue where there is none."""
        if not self.is_set_aside(line):
            self.park(line)

    def is_set_aside(self, line: _Line) -> bool:
        """Put it into the dead-letter queue; False where there is none. Raises OSError."""
        return self._is_set_aside(_message(msgspec.json.encode(line)))

    def replay(self, write: Callable[[_Line], object]) -> int:
        """Write what lies in the queue. How many messages there were.

        Raises `SpoolWaits` while any is left, such as those that others hold a minute after the database is back, and
        where the queue cannot be asked. AWS counts with a delay: what was parked in the last moment may be counted too
        late.
        """
        try:
            if not any(self._counted().values()):
                return 0
            written = 0
            while messages := self._received(self._url):
                for message in messages:
                    self._write(write, message)
                    written += 1
            if any(self._counted().values()):
                raise SpoolWaits("parked stops are being written")
        except AwsError as error:
            raise SpoolWaits(f"parked stops cannot be read: {error}") from None
        return written

    def _write(self, write: Callable[[_Line], object], message: dict[str, str]) -> None:
        try:
            line = from_message(json.loads(message["Body"]))
        except (ValueError, msgspec.DecodeError):
            line = None
        told = False if line is None else write(line)
        if isinstance(told, Exception):
            raise told
        if told is False and not self._is_set_aside(message["Body"]):
            return  # it comes again
        self._ask(self._url, "DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    def _counted(self) -> dict[str, int]:
        told = self._ask(self._url, "GetQueueAttributes", AttributeNames=[_SEEN, _HELD])["Attributes"]
        return {name: int(told[name]) for name in (_SEEN, _HELD)}

    def _is_set_aside(self, text: str) -> bool:
        try:
            if self._letters:
                self._aws.send(self._letters, text)
        except AwsError as error:
            raise OSError(errno.EIO, str(error)) from None
        return bool(self._letters)

    def park_again(self) -> int:
        """Put back what was set aside, once what kept it from being written is mended. How many messages.

        One is taken out there only when it is parked here. Raises `AwsError`.
        """
        moved = 0
        while self._letters and moved < _PUT_BACK and (messages := self._received(self._letters)):
            for message in messages:
                self._aws.send(self._url, message["Body"])
                self._ask(self._letters, "DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return moved

    def _received(self, url: str) -> list[dict[str, str]]:
        """Some messages. Asked without a wait SQS looks in some of its servers, and may find none where some lie."""
        told = self._ask(url, "ReceiveMessage", MaxNumberOfMessages=10, WaitTimeSeconds=1)
        found: list[dict[str, str]] = told.get("Messages", [])
        return found

    def _ask(self, url: str, action: str, **about: Any) -> dict[str, Any]:
        return self._aws.queue(url, action, {"QueueUrl": url, **about})


#: At a time, of what was set aside: what still cannot be written comes back there meanwhile.
_PUT_BACK = 1000

_SEEN, _HELD = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def _message(text: bytes) -> str:
    return f'{{"parked":{text.decode()}}}'


def from_message(told: object) -> _Line | None:
    """What a message of that queue holds; None of one that is none."""
    parked = told.get("parked") if isinstance(told, dict) else None
    return None if parked is None else _line(msgspec.json.encode(parked))


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
