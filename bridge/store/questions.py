"""Questions that were put once more and got no answer in time: what becomes of the people (AUD-05)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from bridge.decide import Ending, after_the_question
from bridge.store.door import Batch
from bridge.tables import asked, outbox
from bridge.vocabulary import SYSTEM, ConsentEvent, EventType, Method

#: Who cannot be let go yet is looked at again after so long.
_AGAIN = timedelta(days=1)


class Questions:
    """The questions of some people, who are locked by the caller and loaded as far as they can be read."""

    def __init__(self, db: Connection, batch: Batch, numbers: Sequence[int]) -> None:
        self._db, self._batch, self._numbers = db, batch, numbers

    def end(self) -> list[int]:
        """Settle every question whose time is over. Gives who is to be let go, in order."""
        now = self._batch.now
        late = and_(asked.c.subject.in_(self._numbers), asked.c.due <= now)
        still = self._still_open()
        gone: set[int] = set()
        for row in self._db.execute(select(asked.c.hash, asked.c.subject, asked.c.purpose).where(late)).all():
            ending = self._ending(row, others_open=row.subject in still)
            if ending is Ending.REMOVE:
                gone.add(row.subject)
                continue
            if ending is Ending.END:
                self._batch.add(self._batch.people[row.subject], self._ended(row))
            due = now + _AGAIN if ending is Ending.WAIT else None
            self._db.execute(update(asked).where(asked.c.hash == row.hash).values(due=due))
        return sorted(gone)

    def _still_open(self) -> set[int]:
        """Who has time to answer another question still, or is about to get one."""
        waits = and_(asked.c.sent.is_(None), outbox.c.id.is_not(None))
        query = select(asked.c.subject).outerjoin(outbox, outbox.c.id == asked.c.mail)
        open_ = or_(asked.c.due > self._batch.now, waits)
        return set(self._db.scalars(query.where(asked.c.subject.in_(self._numbers), open_)))

    def _ending(self, row: Any, *, others_open: bool) -> Ending:
        history = self._batch.history.get(row.subject)
        if history is None:  # she cannot be read
            return Ending.WAIT
        return after_the_question(history, row.purpose, others_open, self._batch.now, self._batch.limits)

    def _ended(self, row: Any) -> ConsentEvent:
        """Nothing proves that she may be mailed for this, and nothing will. She stays for something else."""
        return ConsentEvent(
            type=EventType.INVALIDATED,
            subject=self._batch.people[row.subject].person.id,
            time=self._batch.now,
            received=self._batch.now,
            source=SYSTEM,
            method=Method.CLOCK,
            key="",
            purpose=row.purpose,
        )
