"""Taking in a list: few lines a transaction, from where a killed run stopped, and nothing that a no stands against."""

import csv
import gc
import io
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import msgspec

from bridge.bootstrap import Bridge
from bridge.files import whole
from bridge.jobs.line import on_a_line
from bridge.jobs.lists.columns import Columns
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults, Lines
from bridge.jobs.lists.platforms import entries_of
from bridge.jobs.lists.rules import rules_of
from bridge.store import StoreAway
from bridge.store.lists import Mark
from bridge.store.rehearsal import Rehearsal
from bridge.vault import new_id
from bridge.vocabulary import Entry, EventType

#: Lines in one transaction: short enough that no click waits for it (decision 16).
AT_ONCE = 500

#: A store that is away: so often it is tried, after so many seconds more each time.
_TRIES, _PAUSE = 6, 0.5

#: Called with what is done, and how much there is.
Progress = Callable[[int, int], None]


class Result(msgspec.Struct, kw_only=True):
    """What became of the rows of a list: they are the four others added up."""

    rows: int = 0
    imported: int = 0
    unchanged: int = 0
    suppressed: int = 0
    rejected: int = 0
    dropped_fields: dict[str, int] = {}


class Said(msgspec.Struct, kw_only=True):
    """What the rows of a list say, as far as they can be read, and where the others are."""

    kinds: dict[str, int] = {}  # "yes", "without proof", "no", ...
    lacking: dict[str, int] = {}  # columns, and of how many rows without proof
    rejects: Path | None = None


class Rejects:
    """The file for rows that were not taken in, each with its line and the reason. There only when there are any."""

    def __init__(self, path: Path, header: Sequence[str], stack: ExitStack) -> None:
        self.path, self._header, self._stack = path, header, stack
        self.count = 0

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        """One row."""
        if not self.count:
            file = self._stack.enter_context(whole(self.path))
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            self._stack.callback(text.detach)
            self._rows = csv.writer(text)
            self._rows.writerow(["line", "reason", *self._header])
        self._rows.writerow([line, reason, *cells])
        self.count += 1


class _Taker(ABC):
    """Takes lines in, from where `mark` stands."""

    mark: Mark

    @abstractmethod
    def take(self, entries: Sequence[Entry], done: int | None = None) -> None:
        """Some lines, at once. `done`: lines of the list that are behind us then."""

    @abstractmethod
    def result(self) -> Result:
        """It is over: what became of them."""


class IntoStore(_Taker):
    """Into the store, for good."""

    def __init__(self, bridge: Bridge, mark: Mark) -> None:
        self._store, self._database, self.mark = bridge.store, bridge.database, mark

    def take(self, entries: Sequence[Entry], done: int | None = None) -> None:
        """Some lines in one transaction, and the note how far it is. A store that is away is waited for a while."""
        if not entries:
            return
        behind = self.mark.done + len(entries) if done is None else done
        for tries in count(1):
            try:
                self._database.give_way()  # no click waits for more than the one chunk
                self.mark = self._store.take_list(entries, self.mark, behind)
            except StoreAway:
                if tries == _TRIES:
                    raise
                time.sleep(_PAUSE * tries)
            else:
                return

    def result(self) -> Result:
        """What became of them; told again, the list begins at its first line."""
        mark = self.mark
        self._store.lists.finish(mark)
        return Result(imported=mark.imported, unchanged=mark.unchanged, suppressed=mark.suppressed)


class _Looker(_Taker):
    """Only looked at."""

    def __init__(self, rehearsal: Rehearsal, mark: Mark) -> None:
        self._rehearsal, self.mark = rehearsal, mark

    def take(self, entries: Sequence[Entry], done: int | None = None) -> None:  # noqa: ARG002 - nothing is noted
        """What would become of some lines."""
        self.mark = self.mark.after(self.mark.done, self._rehearsal.take(entries, self.mark.judged))

    def result(self) -> Result:
        """What would become of them, with what a killed run took in."""
        mark = self.mark
        return Result(imported=mark.imported, unchanged=mark.unchanged, suppressed=mark.suppressed)


def _free(beside: Path) -> Path:
    """A name beside the list that no file has."""
    for number in count(1):
        path = beside.with_name(f"{beside.stem}.rejected{f'-{number}' if number > 1 else ''}.csv")
        if not path.exists():
            return path
    raise AssertionError  # there is always one


def content(bridge: Bridge, list_: ListFile) -> bytes:
    """What a file is known by, however it is read: keyed, so that it tells nobody who had which list."""
    return bridge.vault.bucket("list content", list_.sha256.hex())


class Import:
    """One list, taken in or, with `dry_run`, only looked at: both count alike."""

    def __init__(self, bridge: Bridge, defaults: Defaults, *, dry_run: bool, progress: Progress) -> None:
        self.bridge, self.defaults, self.dry_run, self.progress = bridge, defaults, dry_run, progress

    def file(self, list_: ListFile, rejects_to: Path | None = None) -> tuple[Result, Said]:
        """A file. Rows that cannot be taken in are written to `rejects_to`, else beside the list.

        Raises `BadInput` before anything is taken in.
        """
        policy, notices, rules = self.bridge.policy, self.bridge.notices, rules_of(self.bridge)
        columns = Columns(list_.path, list_.header, policy)
        if not self.dry_run:  # so that an audit knows when its undated rows were told first
            self.bridge.store.lists.begin(content(self.bridge, list_), rules)
        with ExitStack() as stack, self._taker(list_.sha256.hex(), rules) as taker:
            others = self.bridge.third_parties
            lines, again = (
                Lines(policy, notices, columns, self.defaults, taker.mark.judged, third_parties=others)
                for _ in range(2)
            )
            rejects = Rejects(rejects_to or _free(list_.path), list_.header, stack)
            if self._go_through(list_, self._entries(list_, lines, rejects), taker, last=False):
                # Last, so that it is the same wherever it stands: it closes whoever is here by then.
                self._go_through(list_, self._entries(list_, again), taker, last=True)
            result = taker.result()
            result.rows, result.rejected = list_.rows, rejects.count
            result.dropped_fields = dict(sorted(lines.dropped.items()))
        said = Said(kinds=dict(lines.said.most_common()), lacking=dict(lines.lacking.most_common()))
        said.rejects = rejects.path if rejects.count else None
        return result, said

    def _entries(self, list_: ListFile, lines: Lines, rejects: Rejects | None = None) -> Iterator[tuple[int, Entry]]:
        """What each row says, by its place in the list."""
        for number, (line, cells) in enumerate(list_, start=1):
            try:
                yield number, lines.entry(cells)
            except ValueError as error:
                if rejects:
                    rejects.add(line, str(error), cells)

    def _go_through(
        self, list_: ListFile, entries: Iterator[tuple[int, Entry]], taker: "_Taker", *, last: bool
    ) -> bool:
        """Take in what comes last, or all else; whether anything is left for last."""
        passed, found, waiting = list_.rows if last else 0, False, list[Entry]()
        behind = taker.mark.done
        for number, entry in entries:
            if (entry.type is EventType.BOUNCED) is not last:
                found = True
            elif passed + number > behind:  # else it was taken in before this was killed
                waiting.append(entry)
            if len(waiting) == AT_ONCE:
                taker.take(waiting, passed + number)
                waiting = []
                self.progress(number, list_.rows)
        taker.take(waiting, passed + list_.rows)
        return found

    def platform(self, name: str) -> Result:
        """Everybody an ESP holds: whom it mails are contacts without proof, who left there has left here."""
        adapter = self.bridge.adapters[name]
        result, known = Result(), 0
        with self._taker(f"platform {name}", new_id().encode()) as taker:  # it begins anew each time
            for seen in on_a_line(self.bridge, name, iter(adapter.everybody())):
                entries, bad = entries_of(seen, self.bridge.policy.purposes, self.defaults.channel)
                result.rejected += bad
                known += len(entries)
                for first in range(0, len(entries), AT_ONCE):
                    taker.take(entries[first : first + AT_ONCE])
                self.progress(known, 0)
            told = taker.result()
        result.imported, result.unchanged, result.suppressed = told.imported, told.unchanged, told.suppressed
        result.rows = result.imported + result.unchanged + result.suppressed + result.rejected
        return result

    @contextmanager
    def _taker(self, what: str, rules: bytes) -> Iterator["_Taker"]:
        """Whatever takes the lines in, or looks what would become of them."""
        store = self.bridge.store
        asked = msgspec.json.encode(self.defaults).decode()
        hash_ = self.bridge.vault.bucket("list", f"{what}\n{asked}")
        with ExitStack() as stack:
            gc.freeze()  # the whole program is not looked through again and again for what rows leave behind
            stack.callback(gc.unfreeze)
            if not self.dry_run:
                yield IntoStore(self.bridge, store.lists.begin(hash_, rules))
                return
            mark = store.lists.look(hash_, rules)
            rehearsal = store.rehearse(mark.begun)
            stack.callback(rehearsal.close)
            yield _Looker(rehearsal, mark)
