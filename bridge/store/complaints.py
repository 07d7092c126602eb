"""How many readers pressed "spam", by purpose and day: warned of early, and a stop for what is new (SND-04).

Counted are readers who were on when their complaint was heard, each once, for every purpose they were on for: few
platforms say which mail it was. A rate is their number over all readers who are on. No platform's count of deliveries
is taken: it would have to be told of every mail to every reader.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from bridge.store.engine import Database
from bridge.store.names import Names
from bridge.store.sql import Sql
from bridge.tables import STATUSES
from bridge.vocabulary import Limits, Status

_SINCE = Sql("SELECT day, purpose, count FROM complaints WHERE day >= ? ORDER BY day, purpose")
_READERS = Sql(
    "SELECT count(*) FROM records WHERE purpose = ? AND status IN "
    f"({STATUSES.index(Status.GIVEN) + 1}, {STATUSES.index(Status.SOFT_OPT_IN) + 1})"
)
#: A purpose stays stopped until a whole day was better: its own and the next.
_HELD_DAYS = 1
#: Counting readers reads a row of each: no more often than this.
_COUNT_AGAIN = timedelta(minutes=10)


class Rate(NamedTuple):
    """What one day was like for one purpose."""

    day: date
    purpose: str
    complaints: int
    readers: int

    @property
    def percent(self) -> float:
        """Complaints in a hundred readers; who complained was one of them."""
        return 100 * self.complaints / max(1, self.readers + self.complaints)

    @property
    def words(self) -> str:
        """The same for people."""
        everybody = self.readers + self.complaints
        return f"{self.percent:.2f} % of readers complained on {self.day} ({self.complaints} of {everybody:,})"


class Complaints:
    """Rates by day. Asked before anything new begins at a platform, so it costs one small read."""

    def __init__(self, database: Database, names: Names, clock: Callable[[], datetime]) -> None:
        self._database, self._names, self._clock = database, names, clock
        self._readers: dict[str, tuple[datetime, int]] = {}

    def rates(self, first: date, last: date) -> list[Rate]:
        """Every day from the first to the last on which somebody complained."""
        with self._database.looking() as db:
            rows = _SINCE.rows(db, (first.isoformat(),))
        days = [(date.fromisoformat(day), purpose, count) for day, purpose, count in rows]
        return [Rate(day, purpose, count, self._count(purpose)) for day, purpose, count in days if day <= last]

    def held(self, now: datetime, limits: Limits) -> Mapping[str, str]:
        """Purposes for which nothing new begins now, each with the reason."""
        today = now.astimezone(limits.zone).date()
        found = self.rates(today - timedelta(days=_HELD_DAYS), today)
        high = [rate for rate in found if rate.percent >= limits.complaint_stop]
        return {
            rate.purpose: f"{rate.words}: stopped (SND-04)"
            for rate in high
            if rate.complaints >= limits.complaint_least
        }

    def _count(self, purpose: str) -> int:
        now = self._clock()
        known = self._readers.get(purpose)
        if known is None or abs(now - known[0]) > _COUNT_AGAIN:
            with self._database.looking() as db:
                ((count,),) = _READERS.rows(db, (self._names.number(purpose),))
            known = self._readers[purpose] = (now, count)
        return known[1]
