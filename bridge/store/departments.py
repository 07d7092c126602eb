"""What the departments' reports count: people by where they stand and what they did, and work that waits.

A few statements each, whatever is in the store; nobody is read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Table, and_, case, func, literal, select, type_coerce

from bridge.decide import from_bits
from bridge.store.engine import Database
from bridge.store.names import Names
from bridge.store.sql import Sql
from bridge.store.staff import Stage
from bridge.tables import (
    EVENT_TYPES,
    METHODS,
    STATUSES,
    cases,
    erase_work,
    esp_jobs,
    lists,
    outbox,
    pushes,
    staff_log,
    stop_clocks,
    unproven,
)
from bridge.vocabulary import EventType, Status, micros


def _types(*types: EventType) -> str:
    return ", ".join(str(EVENT_TYPES.index(type_) + 1) for type_ in types)


#: What people say when they want no more mail, by whatever door.
NOES = (EventType.REFUSED, EventType.WITHDRAWN, EventType.UNSUBSCRIBED, EventType.OBJECTED, EventType.COMPLAINED)
_SOFT = STATUSES.index(Status.SOFT_OPT_IN) + 1
_HEARD = "COALESCE(received, time)"
_DID = Sql(
    f"SELECT type, method, COUNT(DISTINCT subject) FROM events WHERE subject IS NOT NULL AND {_HEARD} >= ? "
    "GROUP BY type, method"
)
_STANDS = Sql("SELECT purpose, status, COUNT(*) FROM records GROUP BY purpose, status")
_BUYERS = Sql(f"SELECT purpose, since >= ?, since >= ?, COUNT(*) FROM records WHERE status = {_SOFT} GROUP BY 1, 2, 3")
_MONTH = Sql(
    f"SELECT CASE WHEN type IN ({_types(EventType.GIVEN, EventType.ENROLLED)}) THEN 1 ELSE 0 END AS yes, "
    "COUNT(DISTINCT subject) FROM events WHERE subject IS NOT NULL AND time >= ? AND time < ? "
    f"AND type IN ({_types(EventType.GIVEN, EventType.ENROLLED, *NOES)}) GROUP BY 1"
)


class Month(NamedTuple):
    """How many people said yes, and how many no, in one month; somebody may have said both."""

    begins: datetime
    yes: int
    no: int


class Reach(NamedTuple):
    """How long stops took to one platform, of those that were carried out there in a time."""

    adapter: str
    stops: int
    half: timedelta  # half of them were faster
    nearly_all: timedelta  # ninety-nine of a hundred were


class Queue(msgspec.Struct, kw_only=True):
    """Work of one kind that waits."""

    name: str
    waiting: int = 0
    stops: int = 0  # of these: somebody's no
    tried: int = 0  # of these: it did not work at first
    most_tries: int = 0
    oldest: datetime | None = None
    reasons: Mapping[str, int] = {}  # why it did not work last time


class Requests(msgspec.Struct, kw_only=True):
    """Requests of people by letter or phone, of one kind."""

    kind: str
    open: int = 0
    overdue: int = 0
    answered: int = 0  # in the time that was asked for
    refused: int = 0


class Departments:
    """Reads for the reports. `clock` is the house's."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database, self._names = database, names

    def stands(self) -> dict[str, dict[Status, int]]:
        """People by purpose and where they stand."""
        found: dict[str, dict[Status, int]] = {}
        with self._database.looking() as db:
            for purpose, status, count in _STANDS.rows(db):
                found.setdefault(self._names.text(db, purpose), {})[STATUSES[status - 1]] = count
        return found

    def did(self, since: datetime) -> Counter[tuple[str, str]]:
        """People by what was heard of them since then, as (event, method); one who did two things counts twice."""
        with self._database.looking() as db:
            return Counter({_words(row[0], row[1]): row[2] for row in _DID.rows(db, (micros(since),))})

    def months(self, bounds: Sequence[datetime]) -> list[Month]:
        """Yes and no in each span between two of these moments."""
        found = []
        with self._database.looking() as db:
            for begins, ends in pairwise(bounds):
                counts = {row[0]: row[1] for row in _MONTH.rows(db, (micros(begins), micros(ends)))}
                found.append(Month(begins, counts.get(1, 0), counts.get(0, 0)))
        return found

    def buyers(self, half_a_year: datetime, a_year: datetime) -> dict[str, tuple[int, int, int]]:
        """People who are on as customers, by purpose: bought since the first moment, since the second, before both."""
        found: dict[str, list[int]] = {}
        with self._database.looking() as db:
            for purpose, young, middle, count in _BUYERS.rows(db, (micros(half_a_year), micros(a_year))):
                row = found.setdefault(self._names.text(db, purpose), [0, 0, 0])
                row[0 if young else 1 if middle else 2] += count
        return {purpose: (row[0], row[1], row[2]) for purpose, row in found.items()}

    def lacking(self) -> tuple[int, Counter[str]]:
        """People of whom lists said something without proving it, each once for each purpose; and what is missing."""
        facts: Counter[str] = Counter()
        everybody = 0
        with self._database.reading() as db:
            query = select(unproven.c.missing, func.count()).group_by(unproven.c.missing)
            for missing, count in db.execute(query):
                everybody += count
                facts.update(dict.fromkeys(from_bits(missing), count))
        return everybody, facts

    def lists(self, since: datetime) -> tuple[int, int]:
        """Lists that staff took in since then, and how many lists are not taken to their end."""
        ended = and_(staff_log.c.act == "import", staff_log.c.stage == Stage.DONE.value)
        with self._database.reading() as db:
            taken = db.scalar(select(func.count()).where(ended, staff_log.c.time >= since)) or 0
            halfway = db.scalar(select(func.count()).where(lists.c.done > 0)) or 0
        return taken, halfway

    def reach(self, since: datetime) -> list[Reach]:
        """How long stops took, by platform; slowest and median are looked up, not all of them read."""
        took = type_coerce(stop_clocks.c.confirmed, BigInteger) - type_coerce(stop_clocks.c.acted, BigInteger)
        with self._database.reading() as db:
            query = select(stop_clocks.c.adapter, func.count()).where(stop_clocks.c.confirmed >= since)
            counts = db.execute(query.group_by(stop_clocks.c.adapter).order_by(stop_clocks.c.adapter)).all()
            found = []
            for adapter, count in counts:
                mine = and_(stop_clocks.c.adapter == adapter, stop_clocks.c.confirmed >= since)
                ordered = select(took).where(mine).order_by(took)
                half, late = (
                    max(db.scalar(ordered.offset(min(count - 1, -(-count * part // 100) - 1)).limit(1)) or 0, 0)
                    for part in (50, 99)
                )
                found.append(Reach(adapter, count, timedelta(microseconds=half), timedelta(microseconds=late)))
        return found

    def requests(self, today: date, since: datetime) -> list[Requests]:
        """Requests of people by kind; `today` is a date where the operator is."""
        late = and_(cases.c.closed.is_(None), cases.c.due < today.isoformat())
        over = cases.c.closed >= since
        columns: list[tuple[str, ColumnElement[bool]]] = [
            ("open", cases.c.closed.is_(None)),
            ("overdue", late),
            ("answered", and_(over, cases.c.refused.is_(False))),
            ("refused", and_(over, cases.c.refused.is_(True))),
        ]
        sums = [_sum(where).label(name) for name, where in columns]
        with self._database.reading() as db:
            rows = db.execute(select(cases.c.kind, *sums).group_by(cases.c.kind).order_by(cases.c.kind)).all()
        return [Requests(kind=str(row[0]), **dict(zip([n for n, _ in columns], row[1:], strict=True))) for row in rows]

    def queues(self) -> list[Queue]:
        """What waits to leave the house: mails, and news and erasures for each platform."""
        found: dict[str, Queue] = {}
        with self._database.reading() as db:
            _add(db, found, outbox, literal("mail"), outbox.c.made)
            _add(db, found, pushes, pushes.c.adapter, pushes.c.due)
            _add(db, found, erase_work, erase_work.c.adapter + " erasures", erase_work.c.made)
        return list(found.values())

    def jobs(self) -> dict[str, int]:
        """Open jobs at each platform."""
        query = select(esp_jobs.c.adapter, func.count()).group_by(esp_jobs.c.adapter).order_by(esp_jobs.c.adapter)
        with self._database.reading() as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def last_done(self) -> dict[str, datetime]:
        """When each act of staff was last carried out to its end."""
        query = select(staff_log.c.act, func.max(staff_log.c.time)).where(staff_log.c.stage == Stage.DONE.value)
        with self._database.reading() as db:
            return {row[0]: row[1] for row in db.execute(query.group_by(staff_log.c.act))}


def _add(db: Connection, found: dict[str, Queue], table: Table, name: Any, since: Any) -> None:
    """Count the rows of one table of work that is due, by name and by why it did not work last time."""
    columns = table.c
    reason = columns.reason if "reason" in columns else literal("")
    stop = columns.stop if "stop" in columns else literal(value=False)
    tried = columns.attempts > 0
    counts = (func.count(), _sum(stop), _sum(tried), func.max(columns.attempts), func.min(since))
    query = select(name.label("name"), reason.label("reason"), *counts).where(columns.due.is_not(None))
    for row in db.execute(query.group_by("name", "reason").order_by("name")):
        queue = found.setdefault(row[0], Queue(name=row[0]))
        queue.waiting += row[2]
        queue.stops += row[3]
        queue.tried += row[4]
        queue.most_tries = max(queue.most_tries, row[5])
        queue.oldest = min(filter(None, (queue.oldest, row[6])), default=None)
        if row[1]:
            queue.reasons = {**queue.reasons, row[1]: row[2]}


def _sum(condition: Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _words(type_: int, method: int) -> tuple[str, str]:
    return str(EVENT_TYPES[type_ - 1]), str(METHODS[method - 1])
