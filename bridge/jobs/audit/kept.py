"""An audit as a file for the next step: each contact with its grade. It holds addresses, so it is its owner's only.

It opens in any sheet: one line about the audit, a header, a row for each contact and purpose. The last line is a keyed
hash of all the others: what was reviewed is what is carried out, and nothing else.
"""

import csv
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, TextIO

import msgspec

from bridge.decide import Grade
from bridge.files import whole
from bridge.store import BadInput
from bridge.store.removing import Said
from bridge.vault import Vault
from bridge.vocabulary import EventType, micros

SUFFIX = ".audit"

_BEGIN, _END = "# consent-bridge audit ", "# end "
_BLOCK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER = ("email", "purpose", "grade", "missing", "channel", "seen", "stops")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the first line. `rules` is a hash of the policy that it was graded by."""

    made: datetime
    source: str
    rules: str


class Row(NamedTuple):
    """One contact and purpose."""

    email: str
    purpose: str
    grade: Grade
    missing: Sequence[str] = ()
    channel: str = ""
    seen: int = 0  # number of the last event that was known of her; 0 = nobody of that address was here
    stops: Sequence[Said] = ()


class Writer:
    """Writes the rows of one audit, in the order they are found."""

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file)
        self._rows.writerow(_HEADER)

    def add(self, row: Row) -> None:
        """One row."""
        stops = " ".join(f"{said.type}/{said.purpose}/{micros(said.time)}" for said in row.stops)
        # A sheet takes cells that begin with these for sums.
        email = f"'{row.email}" if row.email[0] in "=+-@'" else row.email
        self._rows.writerow([email, row.purpose, row.grade, " ".join(row.missing), row.channel, row.seen, stops])


@contextmanager
def written(path: Path, vault: Vault, about: About) -> Iterator[Writer]:
    """A new audit file, for its owner only; there as a whole or not at all. `about` is what is known before it ends."""
    with whole(path) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        text.write(_BEGIN + msgspec.json.encode(about).decode() + "\n")
        yield Writer(text)
        text.flush()
        text.detach()
        with path.with_name(path.name + ".part").open("rb") as so_far:
            seal = _seal(vault, hashlib.file_digest(so_far, "sha256").digest())
        file.write(f"{_END}{seal}\n".encode())


@contextmanager
def reviewed(path: Path, vault: Vault) -> Iterator["Kept"]:
    """An audit that is kept, as it is now: what is carried out is what was checked, whatever becomes of the file.

    Raises `BadInput` where it is none, or not as it was written here.
    """
    with TemporaryFile() as copy:
        yield Kept(path, copy, vault)


class Kept:
    """An audit that is kept."""

    def __init__(self, path: Path, copy: BinaryIO, vault: Vault) -> None:
        self.path, self._copy = path, copy
        hashed, last = hashlib.sha256(), b""
        with path.open("rb") as file:
            for line in file:
                hashed.update(last)
                last = line
                self._copy.write(line)
        self.hash = hashed.digest()
        self._copy.seek(0)
        first = self._copy.readline(100_000)
        if not first.startswith(_BEGIN.encode()):
            raise BadInput(f"{path}: is no audit; make one with: consent-bridge audit --out FILE{SUFFIX}")
        if not hmac.compare_digest(last, f"{_END}{_seal(vault, self.hash)}\n".encode()):
            raise BadInput(f"{path}: was changed since it was made, or made by another house; make a new one")
        self.about = msgspec.json.decode(first.removeprefix(_BEGIN.encode()), type=About)

    def __iter__(self) -> Iterator[Row]:
        """Its rows, those of one address together."""
        place = 0
        while lines := self._lines(place):
            for cells in csv.reader(line.decode() for line in lines):
                if len(cells) == len(_HEADER) and tuple(cells) != _HEADER:
                    yield _row(cells)
            place += sum(map(len, lines))

    def _lines(self, place: int) -> list[bytes]:
        """Some whole lines from there on; several may read at once."""
        self._copy.seek(place)
        return self._copy.readlines(_BLOCK)


def _row(cells: Sequence[str]) -> Row:
    email, purpose, grade, missing, channel, seen, stops = cells
    said = tuple(_said(text) for text in stops.split())
    return Row(email.removeprefix("'"), purpose, Grade(grade), tuple(missing.split()), channel, int(seen), said)


def _said(text: str) -> Said:
    kind, purpose, time = text.split("/")
    return Said(EventType(kind), purpose, _EPOCH + timedelta(microseconds=int(time)))


def _seal(vault: Vault, hash_: bytes) -> str:
    return vault.bucket("audit", hash_.hex()).hex()
