"""Lines of a list, taken in: many people a transaction, the one rule for each, no statement per person.

Whoever is not here yet is made ready before the transaction begins (her key, her sealed profile and event), so that it
stays short and no click waits for it (decision 16).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from bridge.decide import SAYS_YES, STOPS, Decision, Standing, decide, event_of, judge_entry
from bridge.store.door import Arrival, Batch, Stop, with_stop
from bridge.store.engine import Database
from bridge.store.hearing import FORMER, LOOKUPS
from bridge.store.rows import Opened, listed, profile_bytes
from bridge.store.sql import Hand, Sql
from bridge.store.values import Person
from bridge.tables import person_keys, subjects
from bridge.vault import FIRST, Hash, Vault, about_event, canonical, digest, new_id, pack, seal
from bridge.vocabulary import ConsentEvent, Entry, EventType, Limits, Taken

_NEW = Sql(
    "INSERT INTO subjects (number, id, kid, lookup, mark, profile) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    table=subjects,
)
_KEYS = Sql("INSERT INTO person_keys (subject, kid, wrapped) VALUES (?, ?, ?)", table=person_keys)
_LAST = Sql("SELECT seq FROM sqlite_sequence WHERE name = 'subjects'")
_NUMBERS = Sql("SELECT nextval(pg_get_serial_sequence('subjects', 'number')) FROM generate_series(1, ?)")
#: Several lists come in beside each other; whoever erases an address that nobody has yet waits for them, and they for
#: it: on PostgreSQL somebody who is not committed yet cannot be seen. On SQLite writers take turns anyway.
_BESIDE = Sql("SELECT pg_advisory_xact_lock_shared(72051207)")
ALONE = Sql("SELECT pg_advisory_xact_lock(72051207)")

_MADE = Sql("SELECT count(*) FROM subjects WHERE number IN ({})")


class Overtaken(Exception):
    """Somebody of this list signed up at this very moment: nothing was written, do it again."""


class Line(NamedTuple):
    """One line, and its address as the tables know it, under each root."""

    entry: Entry
    lookups: Sequence[Hash]


class _Draft(NamedTuple):
    """Somebody who may be new, ready but for her number."""

    entry: Entry
    person: Person
    key: Any
    kid: str
    wrapped: bytes
    profile: bytes
    event: ConsentEvent
    sealed: bytes
    digest: bytes


class Intake:
    """Some lines of one list, which was `begun` at that moment. `mark` is `Links.mark`."""

    def __init__(
        self, vault: Vault, mark: Callable[[str], str], entries: Sequence[Entry], begun: datetime, now: datetime
    ) -> None:
        self._vault, self._mark, self._begun, self._now = vault, mark, begun, now
        self._lines = [Line(entry, vault.lookups(entry.email)) for entry in entries]
        self._drafts: dict[bytes, _Draft] = {}
        self._numbers: Sequence[int] = ()
        self._decisions: dict[tuple[EventType, str], Decision] = {}
        self._found: dict[bytes, str] = {}
        self._former: dict[bytes, str] = {}

    def prepare(self, database: Database) -> None:
        """Look who may be new, and make them ready, outside of any transaction."""
        with database.looking() as db:
            known = {lookup for lookup, _ in listed(LOOKUPS, db, self._hashes())}
            for entry, lookups in self._lines:
                newest = lookups[0].value
                if entry.type in SAYS_YES and newest not in self._drafts and known.isdisjoint(h.value for h in lookups):
                    self._drafts[newest] = self._draft(entry)
            if db.dialect == "postgresql":
                self._numbers = [number for (number,) in _NUMBERS.rows(db, (len(self._drafts),))]

    def take(self, batch: Batch) -> Counter[Taken]:
        """Write them within a transaction; how many lines were new, known, or stood against. Raises `Overtaken`."""
        db = batch.db
        if db.dialect == "postgresql":
            _BESIDE.rows(db)
        hashes = self._hashes()
        self._found, self._former = dict(listed(LOOKUPS, db, hashes)), dict(listed(FORMER, db, hashes))
        batch.load_known({*self._found.values(), *self._former.values()})
        numbers = {opened.person.id: number for number, opened in batch.people.items()}
        strangers = self._strangers(batch)
        free = iter(self._numbers if db.dialect == "postgresql" else _after_last(db, len(self._lines)))
        arrived: dict[bytes, int] = {}
        taken: Counter[Taken] = Counter()
        for line in self._lines:
            here = arrived.get(line.lookups[0].value) or numbers.get(_at(self._found, line))
            number = here or numbers.get(_at(self._former, line))
            if number is not None:
                taken[self._of_somebody(batch, batch.people[number], line.entry, moved=here is None)] += 1
                continue
            history = strangers[line.lookups[0].value]
            verdict = judge_entry(history, line.entry, self._begun, known=False)
            taken[verdict] += 1
            if verdict is Taken.IMPORTED and line.entry.type in STOPS:
                strangers[line.lookups[0].value] = self._remember(batch, line.entry, history)
            elif verdict is Taken.IMPORTED:
                number = next(free, 0)
                if not number:  # more are new than a moment ago: somebody was erased meanwhile
                    raise Overtaken
                arrived[line.lookups[0].value] = number
                self._arrive(batch, number, line, history)
        self._insert(db, arrived)
        return taken

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

    def _strangers(self, batch: Batch) -> dict[bytes, list[ConsentEvent]]:
        """What the stop list says of each address of nobody here, by its newest hash."""
        here = {opened.person.id for opened in batch.people.values()}
        unknown = [line for line in self._lines if here.isdisjoint((_at(self._found, line), _at(self._former, line)))]
        told = batch.rows.stops(batch.db, [line.entry.email for line in unknown])
        found: dict[bytes, list[ConsentEvent]] = {}
        for line in unknown:
            found.setdefault(line.lookups[0].value, told[line.entry.email])
        return found

    def _remember(self, batch: Batch, entry: Entry, told: Sequence[ConsentEvent]) -> list[ConsentEvent]:
        """A no of nobody here, as a hash; what the stop list says of the address then, for the lines that follow."""
        said = event_of(entry, "", self._begun, self._now)
        stop = Stop(self._vault.stop_hashes(entry.email)[0], entry.purpose, entry.type, said.time)
        batch.remember(stop)
        return with_stop(told, stop)

    def _draft(self, entry: Entry) -> _Draft:
        subject = new_id()
        kid, wrapped, key = self._vault.new_person_opened(subject)
        person = Person(
            number=0,
            id=subject,
            email=entry.email,
            mark=self._mark(entry.email),
            language=entry.language,
            fields=entry.fields,
        )
        event = event_of(entry, subject, self._begun, self._now)
        sealed = seal(key, pack(canonical(event)), about_event(subject, 1))
        profile = seal(key, profile_bytes(person), subject)
        return _Draft(entry, person, key, kid, wrapped, profile, event, sealed, digest(FIRST, sealed))

    def _arrive(self, batch: Batch, number: int, line: Line, stops: Sequence[ConsentEvent]) -> None:
        """Somebody new. Her draft may be of an earlier line about her, which was not taken: then it is made anew."""
        newest = line.lookups[0].value
        draft = self._drafts.get(newest)
        if draft is None or draft.entry is not line.entry:
            draft = self._draft(line.entry)
        draft = self._drafts[newest] = draft._replace(person=msgspec.structs.replace(draft.person, number=number))
        opened = Opened(person=draft.person, key=draft.key)
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
        """The rows of those who are new, in one lock order for all writers."""
        drafts = [(lookup, self._drafts[lookup]) for lookup in sorted(arrived)]
        kid = self._vault.newest
        _NEW.many(db, [(d.person.number, d.person.id, kid, lookup, d.person.mark, d.profile) for lookup, d in drafts])
        if drafts and db.dialect == "postgresql":
            numbers = list(arrived.values())
            if _MADE.rows(db, numbers, len(numbers))[0][0] != len(numbers):
                raise Overtaken  # they signed up
        _KEYS.many(db, [(d.person.number, d.kid, d.wrapped) for _, d in drafts])

    def _hashes(self) -> list[bytes]:
        return [entry.value for line in self._lines for entry in line.lookups]


def _at(found: Mapping[bytes, str], line: Line) -> str:
    """The id of whoever is found under this line's address; empty for nobody."""
    if len(line.lookups) == 1 or not found:  # nearly always
        return found.get(line.lookups[0].value, "")
    return next((found[h.value] for h in line.lookups if h.value in found), "")


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
