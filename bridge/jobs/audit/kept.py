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
from typing import NamedTuple, TextIO

import msgspec

from bridge.decide import Grade
from bridge.files import whole
from bridge.store import BadInput
from bridge.store.removing import Said
from bridge.vault import Vault
from bridge.vocabulary import EventType, micros

SUFFIX = ".audit"

_BEGIN, _END = "# consent-bridge audit ", "# end "
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


class Kept:
    """An audit that is kept. Raises `BadInput` where it is none, or not as it was written here."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self.path = path
        with path.open("rb") as file:
            try:
                first = file.readline(100_000).decode()
                self.about = msgspec.json.decode(first.removeprefix(_BEGIN), type=About)
            except (UnicodeDecodeError, msgspec.DecodeError):
                first = ""
        if not first.startswith(_BEGIN):
            raise BadInput(f"{path}: is no audit; make one with: consent-bridge audit --out FILE{SUFFIX}")
        self.rows = 0
        hashed, last = hashlib.sha256(), b""
        with path.open("rb") as file:
            for line in file:
                hashed.update(last)
                last = line
                self.rows += 1
        self.hash = hashed.digest()
        if not hmac.compare_digest(last, f"{_END}{_seal(vault, self.hash)}\n".encode()):
            raise BadInput(f"{path}: was changed since it was made, or made by another house; make a new one")

    def __iter__(self) -> Iterator[Row]:
        """Its rows, those of one address together."""
        with self.path.open(encoding="utf-8", newline="") as file:
            file.readline()
            reader = csv.reader(file)
            next(reader)
            for cells in reader:
                if len(cells) != len(_HEADER):
                    return  # its last line
                email, purpose, grade, missing, channel, seen, stops = cells
                said = tuple(_said(text) for text in stops.split())
                yield Row(
                    email.removeprefix("'"), purpose, Grade(grade), tuple(missing.split()), channel, int(seen), said
                )


def _said(text: str) -> Said:
    kind, purpose, time = text.split("/")
    return Said(EventType(kind), purpose, _EPOCH + timedelta(microseconds=int(time)))


def _seal(vault: Vault, hash_: bytes) -> str:
    return vault.bucket("audit", hash_.hex()).hex()
