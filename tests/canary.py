"""MIN-03 over the whole suite: every log record of every test, whichever logger and handler, is searched as it is made.

Addresses of people in tests end in `.example`; links are signed tokens; secrets are those of the houses that tests
build. What stands in a record of ours may be none of them. `tests/conftest.py` fails the test that logged one.
"""

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The mail server and other helpers of the tests, which log what they are told.
_NOT_OURS = (
    "mail.log",
    "asyncio",
    "werkzeug",
    "pytest_httpserver",
    "responses",
    "moto",
    "botocore",
    "boto3",
    "hypothesis",
)

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+(?:@|%40)[\w.-]*\.example\b", re.IGNORECASE)
#: A path with a token, or a token alone: what itsdangerous signs is base64, a dot, and 43 more.
_TOKEN = re.compile(
    r"/(?:u|confirm|preferences|question|my-data|move|guardian|of-age|requests|receipt)/[\w.-]{20,}|[\w-]{20,}\.[\w-]{43}\b"
)
#: What readers of the tests are called, where a profile field holds it.
_NAME = re.compile(r"\b(?:Kanarina|Vandenberg|kanarie)\b")
#: Keys of the settings: `id:base64`, or a secret as it is.
_SECRETS = re.compile(r"_(?:KEYS?|SECRET|TOKEN|PUBLIC_KEY)$")

#: A line of ours in what a child program wrote to standard error, or the end of an error that nobody caught.
_LINE = re.compile(
    r"^\d\d:\d\d:\d\d [A-Z]+ |^\{\"time\": |^\w+(?:\.\w+)*(?:Error|Exception|Away|Broken)\b", re.MULTILINE
)

Found = list[str]


def leaks(text: str, secrets: frozenset[str] = frozenset()) -> Found:
    """What of anybody's is in a text, by kind; nothing of it is repeated."""
    kinds = {"an address": _ADDRESS, "a token": _TOKEN, "a name": _NAME}
    found = [kind for kind, pattern in kinds.items() if pattern.search(text)]
    return found + ["a key"] * any(secret in text for secret in secrets)


def _words(secret: str) -> Iterator[str]:
    """What of a setting must not be told: each key by itself."""
    for part in secret.split(","):
        if len(word := part.rpartition(":")[2].strip()) >= 16:
            yield word


class Canary:
    """Sees every record that is made in this process, and what child programs leave."""

    def __init__(self) -> None:
        self._make = logging.getLogRecordFactory()
        self._lock = threading.Lock()
        self._secrets: frozenset[str] = frozenset()
        self.records = 0
        self.found: Found = []

    def install(self) -> None:
        """From now on; and with everything logged that our code can log."""
        logging.setLogRecordFactory(self._record)
        communicate = subprocess.Popen.communicate

        def kept(process: Any, *args: Any, **more: Any) -> Any:
            out, errors = communicate(process, *args, **more)
            self.look_at_a_program(errors)
            return out, errors

        subprocess.Popen.communicate = kept  # type: ignore[method-assign]

    def knows(self, environment: Mapping[str, str]) -> None:
        """The secrets of a house that was built."""
        words = {word for name, value in environment.items() if _SECRETS.search(name) for word in _words(value)}
        if not words <= self._secrets:
            self._secrets |= words

    def _record(self, *args: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*args, **more)
        if not record.name.startswith(_NOT_OURS):
            self.records += 1
            try:
                text = record.getMessage()
            except (TypeError, ValueError):
                text = str(record.msg)  # logging itself will say so
            if record.exc_info and isinstance(record.exc_info, tuple):
                text += f" {type(record.exc_info[1]).__name__}"  # our formatters tell no more of it
            self._note(leaks(text, self._secrets), f"{record.name}, {Path(record.pathname).name}:{record.lineno}")
        return record

    def look_at_a_program(self, errors: object) -> None:
        """What a child program wrote to standard error: log lines and errors that nobody caught."""
        text = errors.decode(errors="replace") if isinstance(errors, bytes) else errors
        if not isinstance(text, str):
            return
        for line in text.splitlines():
            if _LINE.match(line):
                self._note(leaks(line, self._secrets), "a child program's log")

    def look_in(self, folder: Path) -> None:
        """Log files that child programs left there."""
        for path in folder.rglob("*.log"):
            if path.is_file():
                self.look_at_a_program(path.read_bytes())

    def _note(self, kinds: Found, where: str) -> None:
        with self._lock:
            self.found += [f"{kind}, logged by {where}" for kind in kinds]

    def check(self) -> None:
        """Raise what was found since the last time."""
        with self._lock:
            found, self.found = sorted(set(self.found)), []
        assert not found, f"MIN-03: a log holds {'; '.join(found)}"

    @contextmanager
    def catching(self) -> Iterator[Found]:
        """What is found in the block is expected, by a test of this watch itself."""
        caught: Found = []
        yield caught
        with self._lock:
            caught += self.found
            self.found = []


canary = Canary()


@contextmanager
def as_they_were() -> Iterator[None]:
    """Hooks for errors that nobody caught are those of the test runner again, whatever a command set."""
    hooks = sys.excepthook, threading.excepthook
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = hooks
