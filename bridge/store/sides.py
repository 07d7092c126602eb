"""What comparing with an ESP asks of the store: everybody in a few statements, the few who differ one by one.

Whoever stands here as the ESP says is never opened: a number, her statuses and the times of her yeses are enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy import delete, insert, select

from bridge.store.engine import Database
from bridge.store.pushes import PushQueue
from bridge.store.rows import Rows
from bridge.store.sql import Hand, Sql
from bridge.tables import STATUSES, comparisons
from bridge.vocabulary import ConsentEvent, EventType, Limits, Status, micros

T = TypeVar("T")

#: Addresses looked up in one statement, and people read in one.
LOOKED_UP = 1000
PAGE = 20_000

#: Of SQLite's pages, while people are looked up.
_INDEX_KIB = 32_000

_LAST = Sql("SELECT coalesce(max(number), 0) FROM subjects")
#: Whoever is being told, or waits for it: due now, tried before, in a job, or held.
_BUSY = Sql(
    "SELECT subject FROM pushes WHERE adapter = ? "
    "AND (job IS NOT NULL OR leased > ? OR due <= ? OR (due IS NOT NULL AND attempts > 0))"
)
_CLOSED = Sql("SELECT DISTINCT subject FROM events WHERE type IN (11, 12, 14, 16, 23, 24)")
_OLD_WORDS = Sql(
    "SELECT DISTINCT subject FROM events WHERE type IN (2, 3) AND purpose = ? AND (notice IS NULL OR notice < ?)"
)
_BY_LOOKUP = Sql("SELECT number, lookup FROM subjects WHERE lookup IN ({})")
_NUMBERS = Sql("SELECT number FROM subjects WHERE lookup IN ({})")
#: The same for PostgreSQL, which is given all hashes as one value: a thousand of them cost more than their search.
_PACKED = (
    "FROM generate_series(0, %s) AS place (n) JOIN subjects s ON s.lookup = substring(%s::bytea FROM n * 16 + 1 FOR 16)"
)

_NUMBER_OF = {status: number for number, status in enumerate(STATUSES, start=1)}
_GIVEN, _SOFT, _FIRST_STOP, _OBJECTED = (
    _NUMBER_OF[status] for status in (Status.GIVEN, Status.SOFT_OPT_IN, Status.REFUSED, Status.OBJECTED)
)


class Bits(NamedTuple):
    """Where one purpose stands in the number that says how a person stands here."""

    on: int
    stopped: int
    objected: int


def bits_of(place: int, purposes: int) -> Bits:
    """The bits of the purpose at that place, of so many."""
    return Bits(1 << place, 1 << (purposes + place), 1 << (2 * purposes + place))


class Sides:
    """The store's side of a comparison."""

    def __init__(self, database: Database, rows: Rows, queue: PushQueue) -> None:
        self.database, self.rows, self.queue = database, rows, queue
        self.vault = rows.vault
        self._held: Hand | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Look people up by one connection, with room for the index that is hopped about in."""
        with self.database.looking() as db:
            if db.dialect == "sqlite":
                db.cursor.execute(f"PRAGMA cache_size = -{_INDEX_KIB}")
            self._held = db
            try:
                yield
            finally:
                self._held = None
                if db.dialect == "sqlite":
                    db.cursor.execute("PRAGMA cache_size = -2000")

    @contextmanager
    def _looking(self) -> Iterator[Hand]:
        if self._held is not None:
            yield self._held
            return
        with self.database.looking() as db:
            yield db

    # -- everybody ----------------------------------------------------------------------------------------------

    def last(self) -> int:
        """The highest number a person has."""
        with self.database.looking() as db:
            return int(_LAST.rows(db)[0][0])

    def busy(self, adapter: str, now: datetime) -> list[int]:
        """Whoever this ESP is being told about, or waits for it."""
        at = micros(now)
        with self.database.looking() as db:
            return [row[0] for row in _BUSY.rows(db, (adapter, at, at))]

    def special(self, limits: Limits) -> list[int]:
        """Whoever's status alone does not say whether she may be mailed."""
        with self.database.looking() as db:
            found = _CLOSED.rows(db)
            for purpose, since in limits.notice_since.items():
                if since > 1:
                    found += _OLD_WORDS.rows(db, (self.rows.names.number(purpose), since))
        return [row[0] for row in found]

    def find(self, emails: Sequence[str]) -> tuple[list[int], list[str]]:
        """The numbers of whoever of these is here, in no order, and who is not. At most `LOOKED_UP` at once."""
        hashes = self.vault.newest_lookups(emails)
        with self._looking() as db:
            numbers = [row[0] for row in self._looked_up(db, hashes, with_hash=False)]
        if len(numbers) == len(hashes) or len(numbers) == len(set(hashes)):
            return numbers, []
        known = self.numbers(emails)
        return list(set(known.values())), [email for email in emails if email not in known]

    def numbers(self, emails: Sequence[str]) -> dict[str, int]:
        """Who of these is here, also under an older root, by the address as it was asked for."""
        by_hash: dict[bytes, list[str]] = {}
        for email in emails:
            for entry in self.vault.lookups(email):
                by_hash.setdefault(entry.value, []).append(email)
        hashes = list(by_hash)
        found: dict[str, int] = {}
        with self._looking() as db:
            for first in range(0, len(hashes), LOOKED_UP):
                for number, lookup in self._looked_up(db, hashes[first : first + LOOKED_UP], with_hash=True):
                    found |= dict.fromkeys(by_hash[bytes(lookup)], number)
        return found

    def _looked_up(self, db: Hand, hashes: Sequence[bytes], *, with_hash: bool) -> list[tuple[int, ...]]:
        if db.dialect == "postgresql":
            what = "SELECT s.number, s.lookup " if with_hash else "SELECT s.number "
            db.cursor.execute(what + _PACKED, (len(hashes) - 1, b"".join(hashes)), binary=True)
            found: list[tuple[int, ...]] = db.cursor.fetchall()
            return found
        room = next(size for size in (1, 32, LOOKED_UP) if size >= len(hashes))  # few texts, each prepared once
        filled = [*hashes, *[hashes[-1]] * (room - len(hashes))]
        return (_BY_LOOKUP if with_hash else _NUMBERS).rows(db, filled, room)

    def strangers(self, emails: Sequence[str]) -> dict[str, list[ConsentEvent]]:
        """What the stop list knows of people who are not here."""
        with self.database.looking() as db:
            return self.rows.stops(db, emails)

    def standing(
        self, purposes: Sequence[str], limits: Limits, now: datetime, *, after: int, until: int
    ) -> list[tuple[int, int]]:
        """How everybody with a number in this range stands for these purposes, as bits: by statuses alone."""
        given, soft = micros(now - limits.consent_max_age), micros(now - limits.soft_max_age)
        cases, values = [], list[int]()
        for place, purpose in enumerate(purposes):
            bit = bits_of(place, len(purposes))
            on = f"WHEN status = {_GIVEN} AND since > ? THEN {bit.on} "
            values += [self.rows.names.number(purpose), given]
            if limits.soft_opt_in:
                on += f"WHEN status = {_SOFT} AND since > ? THEN {bit.on} "
                values.append(soft)
            cases.append(
                f"WHEN ? THEN CASE {on}WHEN status = {_OBJECTED} THEN {bit.objected | bit.stopped} "
                f"WHEN status >= {_FIRST_STOP} THEN {bit.stopped} ELSE 0 END"
            )
        told = f"CAST(sum(CASE purpose {' '.join(cases)} ELSE 0 END) AS BIGINT)"
        query = Sql(f"SELECT subject, {told} FROM records WHERE subject > ? AND subject <= ? GROUP BY subject")
        with self.database.looking() as db:
            found: list[tuple[int, int]] = query.rows(db, (*values, after, until))
        return found

    # -- how far it has come ------------------------------------------------------------------------------------

    def kept(self, adapter: str) -> tuple[datetime, bytes] | None:
        """What a comparison that was cut short left."""
        with self.database.reading() as db:
            row = db.execute(select(comparisons).where(comparisons.c.adapter == adapter)).first()
        return (row.made, row.state) if row else None

    def keep(self, adapter: str, made: datetime, state: bytes | None) -> None:
        """Note how far it has come; nothing when it is over."""
        with self.database.writing() as db:
            db.execute(delete(comparisons).where(comparisons.c.adapter == adapter))
            if state is not None:
                db.execute(insert(comparisons).values(adapter=adapter, made=made, state=state))


#: Types that `_CLOSED` and its index speak of, by their place in `tables.EVENT_TYPES`.
CLOSERS: frozenset[EventType] = frozenset(
    {
        EventType.ERASED,
        EventType.PAUSED,
        EventType.RESTRICTED,
        EventType.CHILD_DECLARED,
        EventType.BOUNCED,
        EventType.DEFERRED,
    }
)


def times_of(emails: Sequence[str], times: Sequence[int]) -> Mapping[str, int]:
    """Each address with its time; 0 where none was told."""
    return dict(zip(emails, times, strict=True)) if times else dict.fromkeys(emails, 0)


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """So many at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
