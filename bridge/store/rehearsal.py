"""What taking in a list would do, without doing it: the same rule for each line, in the same order."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.decide import STOPS, event_of, judge_entry
from bridge.store.door import Stop, with_stop
from bridge.store.engine import Database
from bridge.store.rows import BEFORE, HERE, Rows, listed, with_stops
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import ConsentEvent, Entry, Taken

_SEEN = Sql("SELECT who, known FROM seen WHERE who IN ({})")
_SEE = Sql("INSERT OR REPLACE INTO seen (who, known) VALUES (?, ?)")


class _Known(msgspec.Struct):
    """What is known of somebody, what this list would have added so far too."""

    here: bool  # there is such a person, or would be; else it is only what the stop list says of an address
    told: list[ConsentEvent]


class _About(NamedTuple):
    """Whom an address means."""

    who: bytes  # a person, else a keyed hash of the address
    moved: bool  # she had it before


class Rehearsal:
    """One list, from its first line to its last. What it would add is kept by keyed hash in a file without a name, so
    that memory stays flat however long the list is."""

    def __init__(self, database: Database, rows: Rows, begun: datetime) -> None:
        self._database, self._rows, self._begun = database, rows, begun
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("CREATE TABLE seen (who BLOB PRIMARY KEY, known BLOB) WITHOUT ROWID")

    def take(self, entries: Sequence[Entry], now: datetime) -> Counter[Taken]:
        """How many of these lines would be new, known, or stood against."""
        abouts, known = self._known({entry.email for entry in entries})
        taken: Counter[Taken] = Counter()
        for entry in entries:
            who, moved = abouts[entry.email]
            hers = known[who]
            verdict = Taken.UNCHANGED
            if not moved or entry.type in STOPS:
                verdict = judge_entry(hers.told, entry, self._begun, known=hers.here)
            taken[verdict] += 1
            if verdict is Taken.IMPORTED:
                self._add(hers, entry, now)
        _SEE.many(self._hand(), [(who, msgspec.msgpack.encode(hers)) for who, hers in known.items()])
        return taken

    def close(self) -> None:
        """Forget what would have been added."""
        self._seen.close()

    def _add(self, hers: _Known, entry: Entry, now: datetime) -> None:
        event = event_of(entry, "", self._begun, now)
        if hers.here or entry.type not in STOPS:
            hers.here = True
            hers.told.append(msgspec.structs.replace(event, key=f"added/{len(hers.told)}"))
        else:
            stop = Stop(self._rows.vault.stop_hashes(entry.email)[0], entry.purpose, entry.type, event.time)
            hers.told = with_stop(hers.told, stop)

    def _known(self, emails: set[str]) -> tuple[dict[str, _About], dict[bytes, _Known]]:
        """Whom each address means, and what is known of each of them, by this list or from before."""
        vault, rows = self._rows.vault, self._rows
        hashes = {email: [h.value for h in vault.lookups(email)] for email in emails}
        every = [value for mine in hashes.values() for value in mine]
        with self._database.looking() as db:
            here: dict[bytes, int] = dict(listed(HERE, db, every))
            before: dict[bytes, int] = dict(listed(BEFORE, db, every))
            people = rows.people(db, {*here.values(), *before.values()})
            histories = rows.histories(db, [opened.person for opened in people.values()])
            stops = rows.stops(db, [*emails, *(opened.person.email for opened in people.values())])
        abouts: dict[str, _About] = {}
        known: dict[bytes, _Known] = {}
        for email, mine in hashes.items():
            number = next((found[value] for found in (here, before) for value in mine if value in found), None)
            if number in people:
                who, told = b"%d" % number, with_stops(histories[number], stops[people[number].person.email])
            else:
                who, told = mine[0], list(stops[email])
            abouts[email] = _About(who, moved=number in people and not any(value in here for value in mine))
            known.setdefault(who, _Known(here=number in people, told=told))
        for who, kept in _SEEN.rows(self._hand(), list(known), len(known)):
            known[who] = msgspec.msgpack.decode(kept, type=_Known)
        return abouts, known

    def _hand(self) -> Hand:
        return Hand(self._seen.cursor(), "sqlite", writes=True)
