"""A file of contacts as rows of text: CSV as people and platforms write it, checked to its end before it is used."""

import codecs
import csv
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bridge.store import BadInput

_BLOCK = 1 << 19

#: No line of a list of contacts is longer, in characters; more than are in a block.
_LONGEST = 1_000_000

#: Nor is any row, over however many lines its cells go.
_LONGEST_ROW = 2 * _LONGEST

_DELIMITERS = (",", ";", "\t")

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class ListFile:
    """One CSV file. Raises `BadInput` with what to do where it cannot be read to its end; then nothing was used."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        self.path = path
        self.sha256, self._encoding = _whole(path)
        with self._opened() as file:
            self._skipped, self.delimiter = _first(path, file)
        self.header: list[str] = []
        self.rows = 0
        size = path.stat().st_size
        with self._opened() as file:
            for _, _cells in self._records(file):
                self.rows += 1
                if not self.rows % 50_000:
                    progress(file.buffer.tell(), size)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """The line each row begins at, and its cells."""
        with self._opened() as file:
            yield from self._records(file)

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        with self.path.open(encoding=self._encoding, newline="") as file:
            yield file

    def _records(self, file: TextIO) -> Iterator[tuple[int, list[str]]]:
        for _ in range(self._skipped):
            file.readline()
        began = self._skipped + 1
        reader = csv.reader(self._lines(file, lambda: began), delimiter=self.delimiter, strict=True)
        try:
            self.header = [name.strip() for name in next(reader)]
            began = self._skipped + reader.line_num + 1
            for cells in reader:
                if any(cells):  # sheets end in rows of nothing
                    yield began, cells
                began, self._read = self._skipped + reader.line_num + 1, 0
        except StopIteration:
            raise BadInput(f"{self.path}: names no columns; one of them must be email") from None
        except csv.Error:
            raise BadInput(
                f'{self.path}: line {began} is no CSV: a " that begins there is never closed, or something follows it, '
                f'or a cell is longer than {csv.field_size_limit():,} characters; write a quote inside a cell as ""'
            ) from None

    def _lines(self, file: TextIO, began: Callable[[], int]) -> Iterator[str]:
        """Line by line; what is one row over so many of them is none."""
        self._read = 0
        for line in file:
            self._read += len(line)
            if self._read > _LONGEST_ROW:
                raise BadInput(
                    f"{self.path}: the row that begins in line {began()} is longer than {_LONGEST_ROW:,} characters"
                )
            yield line


def _whole(path: Path) -> tuple[bytes, str]:
    """The SHA-256 of all bytes, and their encoding, if this is text of lines that a person could have written."""
    hashed, before = hashlib.sha256(), 0
    with path.open("rb") as file:
        first = file.read(_BLOCK)
        if not first.strip():
            raise BadInput(f"{path}: is empty; export the list again")
        encoding = _encoding(first)
        decoder = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)()
        block = first
        while True:
            hashed.update(block)
            before = _readable(path, decoder, block, before)
            if not block:
                return hashed.digest(), encoding
            block = file.read(_BLOCK)


def _readable(path: Path, decoder: codecs.IncrementalDecoder, block: bytes, before: int) -> int:
    """How many characters of an unfinished line there are after this block; what no list holds is an error."""
    try:
        text = decoder.decode(block, final=not block)
    except UnicodeDecodeError:
        raise BadInput(f'{path}: is not UTF-8 text; save it as "CSV UTF-8" (Excel), or export it again') from None
    if "\0" in text:
        raise BadInput(f"{path}: is no text but a binary file; save the sheet as CSV")
    text = text.replace("\r", "\n")
    head, newline, _ = text.partition("\n")
    if before + len(head) > _LONGEST:
        raise BadInput(f"{path}: a line is longer than {_LONGEST:,} characters; this is no list of contacts")
    return len(text) - text.rfind("\n") - 1 if newline else before + len(head)


def _encoding(first: bytes) -> str:
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return encoding
    if first[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if first[:1] == b"\0" else "utf-8"


def _first(path: Path, file: TextIO) -> tuple[int, str]:
    """Lines before the header (Excel's `sep=;`), and what stands between cells."""
    line = file.readline()
    if line.lower().startswith("sep=") and line[4:5] in _DELIMITERS:
        return 1, line[4]
    found = max(_DELIMITERS, key=lambda mark: (len(_cells(line, mark)), -_DELIMITERS.index(mark)))
    if not any(cell.strip() for cell in _cells(line, found)):
        raise BadInput(f"{path}: the first line must name the columns, one of them email")
    return 0, found


def _cells(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:  # a cell of a hundred thousand characters names no column
        return []
