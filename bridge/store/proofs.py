"""What an audit asks of the store: how well everybody's standing is proven, without opening anybody's seal.

People who are alike in all a grade rests on are counted together by the database; the few whose clear columns do not
say it all are read one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.decide import SAID_NO, STOPS, Proof, from_bits, proof
from bridge.store.engine import Database
from bridge.store.rows import BEFORE, HERE, Rows, listed, with_stops
from bridge.store.sql import Hand, Sql
from bridge.tables import EVENT_TYPES, STATUSES, moment
from bridge.vocabulary import ConsentEvent, EventType, Status, micros

#: People in one statement.
PAGE = 20_000

_TYPES = {word: number for number, word in enumerate(EVENT_TYPES, start=1)}
_NUMBERS = {status: number for number, status in enumerate(STATUSES, start=1)}


def _types(*kinds: EventType) -> str:
    return ", ".join(str(_TYPES[kind]) for kind in kinds)


_MAY = f"{_NUMBERS[Status.GIVEN]}, {_NUMBERS[Status.SOFT_OPT_IN]}"
_YES = _types(EventType.GIVEN, EventType.ENROLLED)
_SAY_YES = _types(EventType.REQUESTED, EventType.GIVEN, EventType.ENROLLED, EventType.IMPORTED)
#: Who is read one by one: stops that lie before what a record says, a question that is asked anew, a move, a child.
_WHOLE = f"r.status IN ({_NUMBERS[Status.REQUESTED]}, {_NUMBERS[Status.EXPIRED]})"
_TURNED = f"q.type IN ({_types(EventType.MOVED, EventType.CHILD_DECLARED)})"
_ANEW = f"q.type = {_TYPES[EventType.REQUESTED]} AND q.purpose = r.purpose AND q.time > r.since"
#: The event that says yes, or only says so.
_SAID = (
    f"{{0}}.subject = r.subject AND {{0}}.purpose = r.purpose AND {{0}}.type IN ({_SAY_YES}) "
    f"AND (r.status NOT IN ({_MAY}) OR ({{0}}.time = r.since AND {{0}}.type IN ({_YES})))"
)
_STANDS = "r.subject, r.purpose, r.status, r.since, p.time, p.channel, p.notice"


class _Way(NamedTuple):
    """How a database is asked best: SQLite looks each of them up, PostgreSQL reads a range of each table once."""

    each: str  # people's purposes with their events, as `e`, but for those who are read one by one
    special: str  # these, as `r`
    ranges: tuple[int, int]  # how often each of the two is told from which number to which


_SPECIAL = f"({_WHOLE} OR EXISTS (SELECT 1 FROM events q WHERE q.subject = r.subject AND ({_TURNED} OR ({_ANEW}))))"
_SQLITE = _Way(
    each=f"(SELECT {_STANDS} FROM records r LEFT JOIN events p ON p.subject = r.subject AND p.number = ("
    f"SELECT x.number FROM events x WHERE {_SAID.format('x')} ORDER BY x.time DESC, x.number DESC LIMIT 1) "
    f"WHERE r.subject > ? AND r.subject <= ? AND NOT {_SPECIAL}) e",
    special=f"records r WHERE r.subject > ? AND r.subject <= ? AND {_SPECIAL}",
    ranges=(1, 1),
)
_FOUND = "SELECT r.subject, r.purpose FROM records r "
_ONES = (
    f"({_FOUND} WHERE r.subject > ? AND r.subject <= ? AND {_WHOLE} "
    f"UNION {_FOUND} JOIN events q ON q.subject = r.subject WHERE q.subject > ? AND q.subject <= ? AND {_TURNED} "
    f"UNION {_FOUND} JOIN events q ON q.subject = r.subject WHERE q.subject > ? AND q.subject <= ? AND {_ANEW}) "
)
_POSTGRESQL = _Way(
    each=f"(SELECT DISTINCT ON (r.subject, r.purpose) {_STANDS} FROM records r "
    f"LEFT JOIN events p ON {_SAID.format('p')} AND p.subject > ? AND p.subject <= ? "
    f"LEFT JOIN {_ONES} s ON s.subject = r.subject AND s.purpose = r.purpose "
    "WHERE r.subject > ? AND r.subject <= ? AND s.subject IS NULL "
    "ORDER BY r.subject, r.purpose, p.time DESC, p.number DESC) e",
    special=f"{_ONES} r",
    ranges=(5, 3),
)
_WAYS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}

#: When it was said, whatever it is.
_TIME = f"CASE WHEN e.status = {_NUMBERS[Status.UNKNOWN]} THEN e.time ELSE e.since END"
_SEEN = "(SELECT max(y.number) FROM events y WHERE y.subject = {}.subject)"
_UNPROVEN = "LEFT JOIN unproven u ON u.subject = e.subject AND u.purpose = e.purpose"
_ONE_BY_ONE = {
    name: Sql(f"SELECT r.subject, r.purpose, {_SEEN.format('r')} FROM {way.special}") for name, way in _WAYS.items()
}
_LISTED = {
    name: Sql(
        f"SELECT e.subject, e.purpose, {_SEEN.format('e')}, e.status, u.missing, e.channel, e.notice, {_TIME} "
        f"FROM {way.each} {_UNPROVEN}"
    )
    for name, way in _WAYS.items()
}
_GAPS = Sql("SELECT subject, purpose, missing FROM unproven WHERE subject IN ({})")
_LAST = Sql("SELECT coalesce(max(number), 0) FROM subjects")


class Alike(NamedTuple):
    """So many contacts of one purpose, whose proofs are alike but for the time: all of them lie within one age."""

    purpose: str
    proof: Proof
    age: int  # how many of the given moments lie after the yes
    people: int


class Contact(NamedTuple):
    """One contact's standing for one purpose."""

    number: int
    purpose: str
    proof: Proof
    seen: int  # number of her last event


class Known(NamedTuple):
    """What is known here of an address: her events with what the stop list says, and what lists did not prove."""

    told: Sequence[ConsentEvent] = ()
    gaps: Mapping[str, frozenset[str]] = {}  # by purpose
    numbers: Sequence[int] = ()  # hers inside the store; none = nobody of that address is here
    seen: int = 0  # that of her last event
    readable: bool = True  # else her row is there, and cannot be opened: nothing is known of her


class Proofs:
    """The store's side of an audit."""

    def __init__(self, database: Database, rows: Rows) -> None:
        self._database, self._rows = database, rows

    def last(self) -> int:
        """The highest number a person has."""
        with self._database.looking() as db:
            return int(_LAST.rows(db)[0][0])

    def alike(self, moments: Sequence[datetime], after: int, until: int) -> list[Alike]:
        """Everybody with a number in this range, counted. `moments` part the ages, so that no group lies on both sides
        of one."""
        cuts = [micros(each) for each in moments]
        age = " + ".join(f"CASE WHEN {_TIME} <= ? THEN 1 ELSE 0 END" for _ in cuts) or "0"
        way = _WAYS[self._database.dialect]
        query = Sql(
            f"SELECT e.purpose AS a, e.status AS b, u.missing AS c, e.channel AS d, e.notice AS n, max({_TIME}), "
            f"{age} AS f, count(*) FROM {way.each} {_UNPROVEN} GROUP BY a, b, c, d, n, f"
        )
        with self._database.looking() as db:
            found = [
                Alike(self._text(db, purpose), self._proof(db, about), age, count)
                for purpose, *about, age, count in query.rows(db, (*cuts, *(after, until) * way.ranges[0]))
            ]
            for contact in self._special(db, after, until):
                time = contact.proof.time
                old = sum(1 for each in moments if time is not None and time <= each)
                found.append(Alike(contact.purpose, contact.proof, old, 1))
        return found

    def contacts(self, after: int, until: int) -> tuple[list[Contact], dict[int, str]]:
        """The same, each by itself, and everybody's address by number, of whoever can be read and is still here."""
        name = self._database.dialect
        with self._database.looking() as db:
            told = _LISTED[name].rows(db, (after, until) * _WAYS[name].ranges[0])
            found = [
                Contact(number, self._text(db, purpose), self._proof(db, about), seen)
                for number, purpose, seen, *about in told
            ]
            found = sorted([*found, *self._special(db, after, until)], key=lambda each: (each.number, each.purpose))
            people = self._rows.readable(db, sorted({contact.number for contact in found}))
        return found, {number: one.person.email for number, one in people.items()}

    def known(self, emails: Sequence[str]) -> dict[str, Known]:
        """What is known here of these addresses; nothing of one that nobody ever named."""
        with self._database.looking() as db:
            return known_by(db, self._rows, emails)

    def _special(self, db: Hand, after: int, until: int) -> Iterator[Contact]:
        pairs = _ONE_BY_ONE[db.dialect].rows(db, (after, until) * _WAYS[db.dialect].ranges[1])
        if not pairs:
            return
        numbers = sorted({number for number, *_ in pairs})
        people = self._rows.readable(db, numbers)
        histories = self._rows.histories(db, [one.person for one in people.values()])
        stops = self._rows.stops(db, [one.person.email for one in people.values()])
        gaps = _gaps(db, self._rows, numbers)
        for number, purpose, seen in pairs:
            if number in people:
                told = with_stops(histories[number], stops[people[number].person.email])
                about = self._text(db, purpose)
                yield Contact(number, about, proof(told, about, gaps.get(number, {}).get(about)), seen)

    def _proof(self, db: Hand, about: Sequence[int | None]) -> Proof:
        """What clear columns say of somebody's proof, as `decide.proof` says it of her events."""
        status, missing, channel, notice, time = about  # the time is that of a yes, or of what the record says
        stands = STATUSES[(status or 1) - 1]
        said = None if time is None else moment(time)
        where = None if channel is None else self._text(db, channel)
        if stands in SAID_NO:
            return Proof(stands, stopped=True, time=said, channel=where)
        gaps = None if missing is None else from_bits(missing)
        if stands is Status.UNKNOWN and time is not None and gaps is None:
            gaps = frozenset()  # a list named her before that was noted
        return Proof(stands, time=said, notice=notice, channel=where, gaps=gaps)

    def _text(self, db: Hand, number: int) -> str:
        return self._rows.names.text(db, number)


def known_by(db: Hand, rows: Rows, emails: Sequence[str]) -> dict[str, Known]:
    """What is known of these addresses, in few reads for all of them. What somebody said no to who had an address
    before she moved counts against it too."""
    hashes = {email: [entry.value for entry in rows.vault.lookups(email)] for email in emails}
    every = [value for mine in hashes.values() for value in mine]
    here: dict[bytes, int] = dict(listed(HERE, db, every))
    before: dict[bytes, int] = dict(listed(BEFORE, db, every))
    numbers = sorted({*here.values(), *before.values()})
    people = rows.readable(db, numbers)
    told, tails = rows.chains(db, [one.person for one in people.values()])
    gaps = _gaps(db, rows, list(people))
    stops = rows.stops(db, emails)  # last: what is told in between can only be one more stop
    found = {}
    for email, mine in hashes.items():
        hers = sorted({here[value] for value in mine if value in here})
        left = set() if hers else {before[value] for value in mine if value in before}
        nos = [event for number in left & people.keys() for event in told[number] if event.type in STOPS]
        events = [event for number in hers[:1] if number in people for event in told[number]]
        events += _elsewhere([event for number in hers[1:] if number in people for event in told[number]])
        lacks: dict[str, frozenset[str]] = {}
        for number in hers:
            for purpose, missing in gaps.get(number, {}).items():
                lacks[purpose] = lacks.get(purpose, missing) & missing
        found[email] = Known(
            told=with_stops([*events, *_elsewhere(nos)], stops[email]),
            gaps=lacks,
            numbers=hers,
            seen=sum(tails[number][0] for number in hers if number in people),
            readable=people.keys() >= set(hers),
        )
    return found


def _elsewhere(events: Sequence[ConsentEvent]) -> list[ConsentEvent]:
    """Events of somebody else, whose numbers are her own."""
    return [msgspec.structs.replace(event, key=f"before/{number}/{event.key}") for number, event in enumerate(events)]


def _gaps(db: Hand, rows: Rows, numbers: Sequence[int]) -> dict[int, dict[str, frozenset[str]]]:
    """What lists did not prove of these people, by purpose."""
    found: dict[int, dict[str, frozenset[str]]] = {}
    for subject, purpose, missing in listed(_GAPS, db, numbers):
        found.setdefault(subject, {})[rows.names.text(db, purpose)] = from_bits(missing)
    return found
