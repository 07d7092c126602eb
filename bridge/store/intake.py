"""Lines of a list, taken in: many people a transaction, the one rule for each, no statement per person.

Whoever is not here yet is made ready before the transaction begins (her key, her sealed profile and event), so that it
stays short and no click waits for it (decision 16).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.decide import SAYS_YES, STOPS, Decision, Standing, decide, event_of, judge_entry
from bridge.store.door import Arrival, Batch, Stop, with_stop
from bridge.store.engine import Database
from bridge.store.hearing import FORMER, LOOKUPS
from bridge.store.newcomers import Draft, drafted, insert
from bridge.store.rows import Opened, Rows, StopKeys, listed
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import ConsentEvent, Entry, EventType, Limits, Taken

_LAST = Sql("SELECT seq FROM sqlite_sequence WHERE name = 'subjects'")
_NUMBERS = Sql("SELECT nextval(pg_get_serial_sequence('subjects', 'number')) FROM generate_series(1, ?)")
#: Several lists come in beside each other; whoever erases an address that nobody has yet waits for them, and they for
#: it: on PostgreSQL somebody who is not committed yet cannot be seen. On SQLite writers take turns anyway.
_BESIDE = Sql("SELECT pg_advisory_xact_lock_shared(72051207)")
ALONE = Sql("SELECT pg_advisory_xact_lock(72051207)")


class Overtaken(Exception):
    """Somebody of this list signed up at this very moment: nothing was written, do it again."""


class Line(NamedTuple):
    """One line, and its address as the tables know it, under each root."""

    entry: Entry
    lookups: Sequence[bytes]

    @property
    def who(self) -> bytes:
        """Its address under the newest root."""
        return self.lookups[0]


class Intake:
    """Some lines of one list, which was `begun` at that moment. `mark` is `Links.mark`."""

    def __init__(
        self, rows: Rows, mark: Callable[[str], str], entries: Sequence[Entry], begun: datetime, now: datetime
    ) -> None:
        self._rows, self._vault = rows, rows.vault
        self._mark, self._begun, self._now = mark, begun, now
        hashes = self._vault.lookup_values([entry.email for entry in entries])
        self._lines = [Line(*each) for each in zip(entries, hashes, strict=True)]
        self._drafts: dict[bytes, Draft] = {}
        self._single: list[Line] = []
        self._stop_keys: StopKeys = {}
        self._numbers: Sequence[int] = ()
        self._decisions: dict[tuple[EventType, str], Decision] = {}
        self._found: dict[bytes, str] = {}
        self._former: dict[bytes, str] = {}

    def prepare(self, database: Database) -> None:
        """Look who may be new, and make them ready, outside of any transaction."""
        with database.looking() as db:
            known = {lookup for lookup, _ in listed(LOOKUPS, db, _hashes(self._lines))}
            new = [line for line in self._lines if known.isdisjoint(line.lookups)]
            if db.dialect == "postgresql":
                self._numbers = [number for (number,) in _NUMBERS.rows(db, (len(new),))]
        first: dict[bytes, Entry] = {}
        for line in new:
            if line.entry.type in SAYS_YES:
                first.setdefault(line.who, line.entry)
        self._drafts = dict(zip(first, self._drafted(list(first.values())), strict=True))
        times = Counter([line.who for line in self._lines])
        self._single = [line for line in new if line.who in first and times[line.who] == 1]
        self._stop_keys = self._rows.stop_keys(line.entry.email for line in self._single)

    def take(self, batch: Batch) -> Counter[Taken]:
        """Write them within a transaction; how many lines were new, known, or stood against. Raises `Overtaken`."""
        db = batch.db
        if db.dialect == "postgresql":
            _BESIDE.rows(db)
        newcomers, others = self._apart(db)
        free = iter(self._numbers if db.dialect == "postgresql" else _after_last(db, len(self._lines)))
        taken: Counter[Taken] = Counter()
        arrived = self._arrive_alike(batch, newcomers, free, taken)
        arrived |= self._one_by_one(batch, others, free, taken)
        self._insert(db, arrived)
        return taken

    def _apart(self, db: Hand) -> tuple[list[Line], list[Line]]:
        """Lines about somebody of whom nothing is known anywhere, nor said by another line; and all others.

        That nobody has such an address by now, is seen when it is written.
        """
        single = {line.who for line in self._single}
        others = [line for line in self._lines if line.who not in single]
        older = [value for line in self._single for value in line.lookups[1:]]
        self._found = dict(listed(LOOKUPS, db, _hashes(others) + older))
        self._former = dict(listed(FORMER, db, _hashes(self._lines)))
        told = self._rows.stops_under(db, self._stop_keys)
        newcomers: list[Line] = []
        for line in self._single:
            known = _at(self._found, line) or _at(self._former, line) or line.entry.email in told
            (others if known else newcomers).append(line)
        return newcomers, others

    def _arrive_alike(
        self, batch: Batch, newcomers: Sequence[Line], free: Iterator[int], taken: Counter[Taken]
    ) -> dict[bytes, int]:
        """Take in whoever nothing is known of: what is judged and decided of one is so of all who say the same."""
        arrived: dict[bytes, int] = {}
        alike: dict[tuple[object, ...], list[Line]] = {}
        for line in newcomers:
            entry = line.entry
            said = entry.type, entry.purpose, entry.channel, entry.notice, id(entry.evidence)
            alike.setdefault(said, []).append(line)
        for lines in alike.values():
            verdict = judge_entry((), lines[0].entry, self._begun, known=False)
            taken[verdict] += len(lines)
            if verdict is not Taken.IMPORTED:
                continue
            numbers = {line.who: _next(free) for line in lines}
            told = [self._drafts[who].written(number) for who, number in numbers.items()]
            batch.arrive_alike(told, self._decision(told[0].event, (), batch.limits))
            arrived |= numbers
        return arrived

    def _one_by_one(
        self, batch: Batch, lines: Sequence[Line], free: Iterator[int], taken: Counter[Taken]
    ) -> dict[bytes, int]:
        """Judge each of these lines by what is known of its address."""
        batch.load_known({*self._found.values(), *self._former.values()})
        numbers = {opened.person.id: number for number, opened in batch.people.items()}
        strangers = self._strangers(batch, lines)
        arrived: dict[bytes, int] = {}
        for line in lines:
            here = arrived.get(line.who) or numbers.get(_at(self._found, line))
            number = here or numbers.get(_at(self._former, line))
            if number is not None:
                taken[self._of_somebody(batch, batch.people[number], line.entry, moved=here is None)] += 1
                continue
            history = strangers[line.who]
            verdict = judge_entry(history, line.entry, self._begun, known=False)
            taken[verdict] += 1
            if verdict is Taken.IMPORTED and line.entry.type in STOPS:
                strangers[line.who] = self._remember(batch, line.entry, history)
            elif verdict is Taken.IMPORTED:
                arrived[line.who] = number = _next(free)
                self._arrive(batch, number, line, history)
        return arrived

    def _of_somebody(self, batch: Batch, opened: Opened, entry: Entry, *, moved: bool) -> Taken:
        """A line about somebody who is here. Where she moved away from that address, only a no there is still hers."""
        if moved and entry.type not in STOPS:
            return Taken.UNCHANGED
        verdict = judge_entry(batch.history[opened.number], entry, self._begun, known=True)
        if verdict is Taken.IMPORTED:
            batch.add(opened, event_of(entry, opened.person.id, self._begun, self._now))
            if entry.type in SAYS_YES:
                _complete(batch, opened.number, entry)
        return verdict

    def _strangers(self, batch: Batch, lines: Sequence[Line]) -> dict[bytes, list[ConsentEvent]]:
        """What the stop list says of each address of nobody here, by its newest hash."""
        here = {opened.person.id for opened in batch.people.values()}
        unknown = [line for line in lines if here.isdisjoint((_at(self._found, line), _at(self._former, line)))]
        told = batch.rows.stops(batch.db, [line.entry.email for line in unknown])
        found: dict[bytes, list[ConsentEvent]] = {}
        for line in unknown:
            found.setdefault(line.who, told[line.entry.email])
        return found

    def _remember(self, batch: Batch, entry: Entry, told: Sequence[ConsentEvent]) -> list[ConsentEvent]:
        """A no of nobody here, as a hash; what the stop list says of the address then, for the lines that follow."""
        said = event_of(entry, "", self._begun, self._now)
        stop = Stop(self._vault.stop_hashes(entry.email)[0], entry.purpose, entry.type, said.time)
        batch.remember(stop)
        return with_stop(told, stop)

    def _drafted(self, entries: Sequence[Entry]) -> list[Draft]:
        return drafted(self._vault, self._mark, entries, self._begun, self._now)

    def _arrive(self, batch: Batch, number: int, line: Line, stops: Sequence[ConsentEvent]) -> None:
        """Somebody new. Her draft may be of an earlier line about her, which was not taken: then it is made anew."""
        draft = self._drafts.get(line.who)
        if draft is None or draft.entry is not line.entry:
            (draft,) = self._drafted([line.entry])
            self._drafts[line.who] = draft
        opened = Opened(person=msgspec.structs.replace(draft.person, number=number), key=draft.key)
        decision = self._decision(draft.event, stops, batch.limits)
        batch.arrive(Arrival(opened, draft.event, draft.sealed, draft.digest, decision), stops)

    def _decision(self, event: ConsentEvent, stops: Sequence[ConsentEvent], limits: Limits) -> Decision:
        """What a first event decides: of those that say the same, the same but for who says it when."""
        if stops:
            return decide(stops, event, limits)
        about = event.type, event.purpose
        decision = self._decisions.get(about)
        if decision is None:
            decision = self._decisions[about] = decide((), event, limits)
        stands = {
            purpose: Standing(there.status, event if there.by else None) for purpose, there in decision.stands.items()
        }
        return decision._replace(stands=stands)

    def _insert(self, db: Hand, arrived: Mapping[bytes, int]) -> None:
        """The rows of those who are new."""
        if not insert(db, self._vault.newest, {who: (number, self._drafts[who]) for who, number in arrived.items()}):
            raise Overtaken  # they signed up


def _next(free: Iterator[int]) -> int:
    """A number for somebody new."""
    number = next(free, 0)
    if not number:  # more are new than a moment ago: somebody was erased meanwhile
        raise Overtaken
    return number


def _hashes(lines: Iterable[Line]) -> list[bytes]:
    return [value for line in lines for value in line.lookups]


def _at(found: Mapping[bytes, str], line: Line) -> str:
    """The id of whoever is found under this line's address; empty for nobody."""
    if len(line.lookups) == 1 or not found:  # nearly always
        return found.get(line.lookups[0], "")
    return next((found[value] for value in line.lookups if value in found), "")


def _after_last(db: Hand, count: int) -> range:
    """The next numbers on SQLite, where writers take turns."""
    last = next((seq for (seq,) in _LAST.rows(db)), 0)
    return range(last + 1, last + 1 + count)


def _complete(batch: Batch, number: int, entry: Entry) -> None:
    """Her language and declared fields where none are known; what she chose herself is not touched."""
    opened = batch.people[number]
    person = opened.person
    fields = {**entry.fields, **person.fields}
    language = person.language or entry.language
    if (language, fields) != (person.language, dict(person.fields)):
        batch.correct(opened, msgspec.structs.replace(person, language=language, fields=fields))
