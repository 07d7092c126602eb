"""The file of whom a breach concerns: opaque ids, sealed, so that nobody opens it whom no second person let.

One line of JSON about it, with a key of its own wrapped under the vault's newest root; then blocks of ids, each sealed
under that key and bound to its place, the last one empty: a block that is missing, moved or changed is found. When the
root was dropped since, nobody can open it any more: export again.
"""

import hashlib
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.files import whole
from bridge.store import BadInput
from bridge.vault import Sealed, Vault, seal, unseal

SUFFIX = ".ids"

_BEGIN = b"# consent-bridge breach "
_BLOCK = 500
_LENGTH = 4  # bytes before each block
_LONGEST_LINE, _LONGEST_BLOCK = 10_000, 100_000


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the first line."""

    breach: int
    made: datetime
    kid: str
    key: str  # wrapped, base64


class Writer:
    """Takes ids one by one."""

    def __init__(self, file: BinaryIO, key: AESGCM, breach: int) -> None:
        self._file, self._key, self._breach = file, key, breach
        self._ids: list[str] = []
        self._blocks = self.count = 0

    def add(self, subject: str) -> None:
        """One id."""
        self._ids.append(subject)
        self.count += 1
        if len(self._ids) == _BLOCK:
            self._write()

    def end(self) -> None:
        """The last block says that none follows."""
        if self._ids:
            self._write()
        self._write()

    def _write(self) -> None:
        block = seal(self._key, msgspec.json.encode(self._ids), _place(self._breach, self._blocks))
        self._file.write(len(block).to_bytes(_LENGTH, "big") + block)
        self._ids, self._blocks = [], self._blocks + 1


@contextmanager
def written(path: Path, vault: Vault, breach: int, made: datetime) -> Iterator[Writer]:
    """A new file, for its owner only; there as a whole or not at all."""
    secret = AESGCM.generate_key(256)
    kid, wrapped = vault.seal_text(_about(breach), b64encode(secret).decode())
    about = About(breach=breach, made=made, kid=kid, key=b64encode(wrapped).decode())
    with whole(path) as file:
        file.write(_BEGIN + msgspec.json.encode(about) + b"\n")
        writer = Writer(file, AESGCM(secret), breach)
        yield writer
        writer.end()


@contextmanager
def checked(path: Path) -> Iterator["Ids"]:
    """Such a file as it is now: what is carried out is what was checked, whatever becomes of it.

    Raises `BadInput` where it is none.
    """
    with TemporaryFile() as copy:
        yield Ids(path, copy)


class Ids:
    """A file of ids that is kept."""

    def __init__(self, path: Path, copy: Any) -> None:
        self.path, self._copy = path, copy
        with path.open("rb") as file:
            shutil.copyfileobj(file, copy)
        copy.seek(0)
        self.hash = hashlib.file_digest(copy, "sha256").digest()
        copy.seek(0)
        first = copy.readline(_LONGEST_LINE)
        if not first.startswith(_BEGIN):
            raise BadInput(f"{path}: is no file of a breach; make one with: consent-bridge breach export")
        try:
            self.about = msgspec.json.decode(first.removeprefix(_BEGIN), type=About)
        except msgspec.DecodeError:
            raise self._spoilt() from None
        self._begin = copy.tell()

    def read(self, vault: Vault) -> Iterator[list[str]]:
        """The ids, some at a time. Only for what a second person approved."""
        about = self.about
        try:
            secret = vault.open_text(_about(about.breach), about.kid, b64decode(about.key))
            key = AESGCM(b64decode(secret))
        except (Sealed, ValueError):
            raise self._spoilt() from None
        at, number = self._begin, 0
        while True:
            self._copy.seek(at)
            size = int.from_bytes(self._copy.read(_LENGTH), "big")
            block = self._copy.read(size) if size <= _LONGEST_BLOCK else b""
            if len(block) != size:
                raise self._spoilt()
            try:
                ids = msgspec.json.decode(unseal(key, block, _place(about.breach, number)), type=list[str])
            except (Sealed, msgspec.DecodeError):
                raise self._spoilt() from None
            if not ids:
                if self._copy.read(1):
                    raise self._spoilt()
                return
            yield ids
            at, number = at + _LENGTH + size, number + 1

    def _spoilt(self) -> BadInput:
        return BadInput(f"{self.path}: was changed or cut, or its key was dropped since: export the breach again")


def _about(breach: int) -> str:
    return f"breach {breach}"


def _place(breach: int, number: int) -> str:
    return f"breach {breach}/{number}"
