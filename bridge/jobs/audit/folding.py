"""All that a list says of each address, together: a row may be said again, and a no anywhere in it counts (R14)."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple, TypeVar

import msgspec

from bridge.decide import SAYS_YES, STOPS, Proof, common, event_of, judge_entry, lacking, proof
from bridge.store.proofs import Known, Proofs
from bridge.store.removing import Said
from bridge.vault import Vault
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent, Entry, EventType, Taken

T = TypeVar("T")

#: What a list may hold of a no. That a yes grew too old is none.
_NOES = frozenset(STOPS) - {EventType.EXPIRED}

#: Addresses looked up in the store at a time.
_AT_ONCE = 1000

#: So many kinds of rows are remembered at a time.
_MOST_ALIKE = 1000


class Folded(NamedTuple):
    """One contact and purpose."""

    email: str
    purpose: str
    proof: Proof
    seen: int  # number of her last event here; 0 = nobody of that address is here
    stops: Sequence[Said]  # what the list itself holds of a no


class Fold:
    """Rows of one list, gathered by address in a file without a name, so that memory stays flat (SUP-03: by the
    normalised address). `purpose` is what a no to everything, and a dead address, are graded for; a no without a date
    counts as said when the list was `begun`: taken in for the first time, else now."""

    def __init__(self, vault: Vault, purpose: str, begun: datetime) -> None:
        self._vault, self._purpose, self._begun = vault, purpose, begun
        self._said = sqlite3.connect("", isolation_level=None)
        self._said.execute("PRAGMA journal_mode = OFF")
        self._said.execute("CREATE TABLE said (who BLOB, entry BLOB)")
        self._alike: dict[tuple[object, ...], Folded] = {}

    def add(self, entries: Sequence[Entry]) -> None:
        """Some rows."""
        hashes = self._vault.newest_lookups([entry.email for entry in entries])
        rows = zip(hashes, map(msgspec.msgpack.encode, entries), strict=True)
        self._said.executemany("INSERT INTO said VALUES (?, ?)", rows)

    def contacts(self, proofs: Proofs, now: datetime) -> Iterator[Folded]:
        """Each address and purpose once, with what proves it: by these rows and by the store."""
        rows = self._said.execute("SELECT who, entry FROM said ORDER BY who")
        decode = msgspec.msgpack.Decoder(Entry).decode
        people = ([decode(row[1]) for row in group] for _, group in groupby(rows, itemgetter(0)))
        for some in batches(people, _AT_ONCE):
            known = proofs.known([entries[0].email for entries in some])
            for entries in some:
                mine = known[entries[0].email]
                if len(entries) == 1 and not mine.told and entries[0].evidence.sale is None:
                    yield self._alone(entries[0], mine, now)
                else:
                    yield from self._folded(entries, mine, now)

    def close(self) -> None:
        """Forget all of it."""
        self._said.close()

    def _alone(self, entry: Entry, known: Known, now: datetime) -> Folded:
        """A row about somebody of whom nothing else is known, as nearly all are: what it comes to is worked out once
        for all that are alike but for who says it when."""
        like = entry.type, entry.purpose, entry.channel, entry.notice, entry.evidence, entry.time is None
        folded = self._alike.get(like)
        if folded is None:
            if len(self._alike) == _MOST_ALIKE:
                self._alike.clear()
            (folded,) = self._folded([entry], known, now)
            self._alike[like] = folded
        time = entry.time or (now if entry.type in SAYS_YES else self._begun)
        stops = tuple(stop._replace(time=time) for stop in folded.stops)
        dated = folded.proof if folded.proof.time is None else folded.proof._replace(time=time)
        return folded._replace(email=entry.email, proof=dated, stops=stops)

    def _folded(self, entries: Sequence[Entry], known: Known, now: datetime) -> Iterator[Folded]:
        events = [
            msgspec.structs.replace(event_of(entry, "", self._begun, now), key=f"row {number}")
            for number, entry in enumerate(entries)
            # A stop at a platform that may be older than her yes here is for `reconcile` to judge.
            if not entry.by_platform or _says_something(entry, known, now)
        ]
        for purpose in sorted({entry.purpose or self._purpose for entry in entries}):
            told = [*known.told, *(event for event in events if _adds(event, known.gaps.get(purpose)))]
            gaps = common(known.gaps.get(purpose), *(lacking(event) for event in _named(events, purpose)))
            stops = [Said(each.type, each.purpose, each.time) for each in events if each.type in _NOES]
            yield Folded(entries[0].email, purpose, proof(told, purpose, gaps), known.seen, tuple(stops))


def _says_something(entry: Entry, known: Known, now: datetime) -> bool:
    return entry.type in SAYS_YES or judge_entry(known.told, entry, now, known=bool(known.seen)) is Taken.IMPORTED


def _adds(event: ConsentEvent, gaps: frozenset[str] | None) -> bool:
    """Whether it says more than lists of before did: only then its date and channel are hers."""
    return event.type is not EventType.IMPORTED or gaps is None or not lacking(event) >= gaps


def _named(events: Sequence[ConsentEvent], purpose: str) -> Iterator[ConsentEvent]:
    return (event for event in events if event.type is EventType.IMPORTED and event.purpose in (purpose, EVERY_PURPOSE))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many at a time."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
