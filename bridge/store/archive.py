"""The form of a backup file: the same for every database, so that a store can move from one to another.

Format 1: the line `consent-bridge backup 1\\n`; a block of JSON, the header; blocks of MessagePack
`[section, [row, …]]`, a row being an array of the columns the header names; an empty block; and 32 bytes
HMAC-SHA-256 over everything before them, under a key derived from the oldest link key. A block is its length in four
bytes, big-endian, and so many bytes.

Sections bear the names of tables and hold rows as the database has them (times in whole microseconds since 1970 UTC).
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

_MAGIC = b"consent-bridge backup 1\n"
_ANY_VERSION = b"consent-bridge backup "
_MOST = 1 << 28  # no block of ours comes near: a larger one is damage


class BadCopy(Exception):
    """A backup file that cannot be used; the text says why and what to do."""


class Section(msgspec.Struct, frozen=True):
    """One table's part: its columns, and how many rows there are."""

    columns: list[str]
    rows: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself. `house` is the same for all copies made under one oldest link key."""

    kind: str
    made: str
    schema: str
    house: str
    sections: dict[str, Section]


def house_of(key: bytes) -> str:
    """What tells copies of one house from those of another, without the key."""
    return hmac.digest(key, b"house", "sha256")[:8].hex()


class Writer:
    """Writes one file, block by block."""

    def __init__(self, out: BinaryIO, key: bytes, header: Header) -> None:
        self._out, self._mac = out, hmac.new(key, digestmod="sha256")
        self._put(_MAGIC)
        self._block(msgspec.json.encode(header))

    def rows(self, section: str, rows: Sequence[Sequence[Any]]) -> None:
        """Some rows of a section."""
        self._block(msgspec.msgpack.encode([section, rows]))

    def end(self) -> None:
        """That was everything."""
        self._block(b"")
        self._out.write(self._mac.digest())

    def _block(self, data: bytes) -> None:
        self._put(len(data).to_bytes(4, "big") + data)

    def _put(self, data: bytes) -> None:
        self._mac.update(data)
        self._out.write(data)


class Reader:
    """Reads one file: first `check` it whole, then go through its rows as often as needed."""

    def __init__(self, file: BinaryIO, name: str, key: bytes, kind: str) -> None:
        self._file, self.name, self._key = file, name, key
        start = file.read(len(_MAGIC))
        if start != _MAGIC:
            if start.startswith(_ANY_VERSION):
                raise BadCopy(f"{name} was made by a newer version of this program: install that version")
            raise BadCopy(f"{name} is no backup of Consent Bridge")
        try:
            self.header = msgspec.json.decode(self._block(None), type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._damaged() from None
        self._body = file.tell()
        if self.header.house != house_of(key):
            raise BadCopy(
                f"{name} was made under other keys: BRIDGE_LINK_KEYS must end with the key that was the oldest then"
            )
        if self.header.kind != kind:
            raise BadCopy(f"{name} holds {self.header.kind}, not {kind}: give the backup first, its .keys with --keys")

    def check(self) -> None:
        """Read everything once, opening nothing: a damaged or cut file is refused before anything is done with it."""
        self._file.seek(0)
        mac = hmac.new(self._key, digestmod="sha256")
        mac.update(self._file.read(len(_MAGIC)))
        while self._block(mac):
            pass
        if not hmac.compare_digest(self._file.read(33), mac.digest()):
            raise self._damaged()

    def rows(self, *wanted: str) -> Iterator[tuple[str, list[list[Any]]]]:
        """The rows of these sections (all, when none is named), a block at a time; of a file that was checked."""
        self._file.seek(self._body)
        while data := self._block(None):
            section, rows = msgspec.msgpack.decode(data, type=tuple[str, list[list[Any]]])
            if not wanted or section in wanted:
                yield section, rows

    def _block(self, mac: Any) -> bytes:
        size = self._file.read(4)
        length = int.from_bytes(size, "big")
        data = self._file.read(length) if len(size) == 4 and length <= _MOST else b""
        if len(size) != 4 or len(data) != length:
            raise self._damaged()
        if mac is not None:
            mac.update(size + data)
        return data

    def _damaged(self) -> BadCopy:
        return BadCopy(f"{self.name} is damaged or was cut: take another copy of it")


def sections(counts: Mapping[str, tuple[Sequence[str], int]]) -> dict[str, Section]:
    """The header's table of contents."""
    return {name: Section(list(columns), rows) for name, (columns, rows) in counts.items()}
