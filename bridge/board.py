"""What readers are told of a changed privacy statement, and for how long (GDPR 13(3), TRN-05)."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from bridge.policy import Policy
from bridge.store import Store, StoreAway

#: So long a material change is told.
TOLD = timedelta(days=60)
#: So long what was read stays known: a page asks no more often.
_KEPT = timedelta(minutes=1)


class News(NamedTuple):
    """A version of the statement with something that readers must hear of."""

    version: int
    day: date


class Board:
    """Whether there is news of the statement. Says nothing while the database is away."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store, self._policy = store, policy
        self._read: tuple[datetime, News | None] | None = None

    def page(self, now: datetime) -> News | None:
        """What readers' pages say."""
        return None if self._policy.statement.tell == "none" else self._news(now)

    def mail(self, now: datetime) -> News | None:
        """What the foot of our mails says."""
        return self._news(now) if self._policy.statement.tell == "mail" else None

    def _news(self, now: datetime) -> News | None:
        if self._read is None or not timedelta(0) <= now - self._read[0] < _KEPT:
            try:
                self._read = (now, self._look(now))
            except StoreAway:
                return None
        news = self._read[1]
        return news if news and now.astimezone(self._policy.zone).date() - news.day <= TOLD else None

    def _look(self, now: datetime) -> News | None:
        """The newest version with a material change, if it is young enough."""
        for one in reversed(self._store.papers.versions()):
            if now - one.published > TOLD:
                return None
            if any(change["material"] for change in one.changes):
                return News(one.version, one.published.astimezone(self._policy.zone).date())
        return None
