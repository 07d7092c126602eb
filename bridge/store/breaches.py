"""The register of breaches (GDPR 33(5)): facts, effects, measures, and what was told to whom. Nothing of readers."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.tables import breach_notes, breach_told, breaches

_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")


class Phase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing told to the authority (GDPR 33(4))."""

    time: datetime
    reference: str
    delay: str = ""  # why it is late


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a breach now. Empty = not known yet."""

    what: str
    begun: datetime | None = None
    contained: datetime | None = None
    systems: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    consequences: str = ""
    measures: str = ""
    people: int | None = None  # by the last export
    records: int | None = None
    phases: tuple[Phase, ...] = ()
    no_report: str = ""  # why the authority need not be told (33(1))
    told: str = ""  # how people were told
    told_at: datetime | None = None
    no_word: str = ""  # why people are not told (34(1), (3))
    words: dict[str, str] = {}  # what people are told, by language
    approved: dict[str, str] = {}  # the same, as a second person let it go: what is mailed


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of the register."""

    number: int
    noticed: datetime
    closed: datetime | None
    facts: Facts


class Note(NamedTuple):
    """One thing that was written down about a breach."""

    time: datetime
    by: str  # an operator
    text: str


class Progress(NamedTuple):
    """People who are told of a breach by mail."""

    waiting: int
    promised: int
    unreached: int  # no mail may go: the address is dead or not confirmed, or she cannot be read


class BreachBook:
    """Every breach, and what was noted of it by whom. Nothing is taken out before its time (`forget`)."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def open(self, noticed: datetime, facts: Facts, by: str) -> Breach:
        """Begin the register of a breach. Raises `BadInput` for a future moment, no words, or an address in them."""
        now = self._clock()
        if noticed > now:
            raise BadInput("a breach cannot have been noticed in the future")
        if not facts.what.strip():
            raise BadInput("say in a sentence what happened")
        _without_addresses(facts)
        row = {"noticed": noticed, "facts": msgspec.json.encode(facts).decode()}
        with self._database.writing() as db:
            number = db.scalar(insert(breaches).values(row).returning(breaches.c.number))
            assert number is not None  # noqa: S101 - it was just written
            _note(db, number, now, by, f"opened: {facts.what}")
        return Breach(number=number, noticed=noticed, closed=None, facts=facts)

    def find(self, number: int) -> Breach:
        """One breach. Raises `BadInput` where there is none of that number."""
        with self._database.reading() as db:
            row = db.execute(select(breaches).where(breaches.c.number == number)).first()
        return _breach(row)

    def all(self) -> list[Breach]:
        """Every breach, the newest first."""
        with self._database.reading() as db:
            return [_breach(row) for row in db.execute(select(breaches).order_by(breaches.c.number.desc()))]

    def notes(self, number: int) -> list[Note]:
        """What was written down about a breach, in that order."""
        query = select(breach_notes).where(breach_notes.c.breach == number).order_by(breach_notes.c.id)
        with self._database.reading() as db:
            return [Note(row.time, row.by, row.text) for row in db.execute(query)]

    def told(self, number: int) -> Progress:
        """How far telling people is, of those who are still here."""
        query = select(breach_told.c.state, func.count()).where(breach_told.c.breach == number)
        with self._database.reading() as db:
            counts = {row[0]: row[1] for row in db.execute(query.group_by(breach_told.c.state))}
        return Progress(counts.get(0, 0), counts.get(1, 0), counts.get(2, 0))

    def change(
        self, number: int, build: Callable[[Breach], Facts], text: str, by: str, *, close: bool = False
    ) -> Breach:
        """Write down what is known now. Raises `BadInput` where it is closed, or a text holds an address."""
        now = self._clock()
        with self._database.writing() as db:
            row = db.execute(select(breaches).where(breaches.c.number == number).with_for_update()).first()
            before = _breach(row)
            if before.closed:
                raise BadInput(f"breach {number} is closed: what is new about it is another entry (breach open)")
            facts = build(before)
            _without_addresses(facts, text)
            after = {"facts": msgspec.json.encode(facts).decode(), "closed": now if close else None}
            db.execute(update(breaches).where(breaches.c.number == number).values(after))
            _note(db, number, now, by, text)
        return msgspec.structs.replace(before, facts=facts, closed=now if close else None)

    def let_go(self, number: int, words: dict[str, str]) -> None:
        """From now on these words are mailed, whatever is noted later, until others are approved. Also of a closed one.

        Raises `BadInput` where others were noted meanwhile.
        """
        with self._database.writing() as db:
            row = db.execute(select(breaches).where(breaches.c.number == number).with_for_update()).first()
            before = _breach(row)
            if before.facts.words != words:
                raise BadInput("other words were noted at this moment; ask for approval again")
            facts = msgspec.structs.replace(before.facts, approved=words)
            after = msgspec.json.encode(facts).decode()
            db.execute(update(breaches).where(breaches.c.number == number).values(facts=after))

    def add(self, number: int, text: str, by: str) -> None:
        """Note what was done about a breach, also about a closed one."""
        with self._database.writing() as db:
            _note(db, number, self._clock(), by, text)

    def count_late(self, before: datetime) -> int:
        """How many breaches were closed before then."""
        with self._database.reading() as db:
            return db.scalar(select(func.count()).where(breaches.c.closed < before)) or 0

    def forget(self, before: datetime) -> int:
        """Let go of breaches that were closed before then (`standards.md` section 8); how many."""
        with self._database.writing() as db:
            old = list(db.scalars(select(breaches.c.number).where(breaches.c.closed < before)))
            for table, column in ((breach_notes, "breach"), (breach_told, "breach"), (breaches, "number")):
                db.execute(delete(table).where(table.c[column].in_(old)))
        return len(old)


def _note(db: Connection, number: int, time: datetime, by: str, text: str) -> None:
    db.execute(insert(breach_notes).values(breach=number, time=time, by=by, text=text))


def _breach(row: object) -> Breach:
    if row is None:
        raise BadInput("there is no breach of that number: consent-bridge breach list shows them")
    number, noticed, closed, facts = (getattr(row, name) for name in ("number", "noticed", "closed", "facts"))
    return Breach(number=number, noticed=noticed, closed=closed, facts=msgspec.json.decode(facts, type=Facts))


def _without_addresses(facts: Facts, text: str = "") -> None:
    """The register is read by many and kept for years: whoever it is about is never named in it."""
    said = [facts.what, facts.consequences, facts.measures, facts.no_report, facts.told, facts.no_word, text]
    said += [*facts.systems, *facts.tables, *facts.words.values(), *(p.reference + " " + p.delay for p in facts.phases)]
    if any(_ADDRESS.search(one) for one in said):
        raise BadInput("an e-mail address stands in that text: the register names no person; write it without")
