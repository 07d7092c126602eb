"""Jobs that ESPs took to do later, and the connections an ESP allows: rows that all processes share."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Row, and_, bindparam, delete, insert, select, update

from bridge.store.engine import Database
from bridge.store.upserts import insert_into
from bridge.store.values import Job
from bridge.store.waiting import LEASE, NOW, at, back_off, free, held
from bridge.tables import connections, esp_jobs
from bridge.vault import new_id

#: A job of which nobody knows whether it exists is over by then, as far as one can tell: its people are told again.
LOST = timedelta(hours=1)

#: So many of those are taken up together.
_LOST_AT_ONCE = 100

_LONGEST_LOOK = timedelta(minutes=1)

#: Free slots that only a stop may take, so that it never waits for bulk work.
_FOR_STOPS = 2


class JobBook:
    """The jobs that are open, one row each: a look at one costs one call and touches one row, whoever it carries."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self.database, self.clock = database, clock

    def begin(self, adapter: str, people: Sequence[int]) -> int:
        """Note, before the ESP is called, that these people may soon be in a job; gives the note's number.

        A process that dies in the call leaves the note behind: its people are told again later (decision 24).
        """
        now = self.clock()
        row = {"adapter": adapter, "carried": _packed(people), "made": now, "due": now + LOST}
        with self.database.writing() as db:
            return int(db.execute(insert(esp_jobs).returning(esp_jobs.c.number), [row]).scalar_one())

    def started(self, adapter: str, jobs: Mapping[str, tuple[Sequence[int], float | None]]) -> dict[str, int]:
        """Note the jobs an ESP took: by its id, whom each carries and when to look; gives our number of each."""
        now = self.clock()
        rows = [
            {
                "adapter": adapter,
                "key": key,
                "carried": _packed(people),
                "made": now,
                "due": now + back_off(0, _LONGEST_LOOK, wait),
            }
            for key, (people, wait) in jobs.items()
        ]
        if not rows:
            return {}
        with self.database.writing() as db:
            found = db.execute(insert(esp_jobs).returning(esp_jobs.c.key, esp_jobs.c.number), rows)
            return {str(row.key): row.number for row in found}

    def settle(self, note: int, lost: Sequence[int]) -> None:
        """The call is over: forget the note, but for those of whom nobody knows what became."""
        mine = esp_jobs.c.number == note
        with self.database.writing() as db:
            if lost:
                db.execute(update(esp_jobs).where(mine).values(carried=_packed(lost)))
            else:
                db.execute(delete(esp_jobs).where(mine))

    def open(self, numbers: Collection[int]) -> set[int]:
        """Which of these jobs are not over."""
        if not numbers:
            return set()
        with self.database.reading() as db:
            return set(db.scalars(select(esp_jobs.c.number).where(esp_jobs.c.number.in_(numbers))))

    def has_due(self, adapter: str) -> bool:
        """Whether a job wants to be looked at; asked without a lock."""
        with self.database.glancing() as db:
            return db.execute(_due(), at(self.clock(), adapter=adapter, most=1)).first() is not None

    def claim(self, adapter: str) -> Job | None:
        """The job that waits longest, leased to the caller."""
        lease = new_id()
        with self.database.writing() as db:
            due = _due().with_for_update(skip_locked=True)
            row = db.execute(due, at(self.clock(), adapter=adapter, most=1)).first()
            if row is None:
                return None
            leased = {"leased": self.clock() + LEASE, "lease": lease}
            db.execute(update(esp_jobs).where(esp_jobs.c.number == row.number).values(leased))
        return _job(row, lease)

    def claim_lost(self, adapter: str, job: Job) -> list[Job]:
        """With one job that nobody knows the name of, all others like it that are due: after many crashes their people
        are the same ones, and are told once."""
        due = _due().where(esp_jobs.c.key.is_(None), esp_jobs.c.number != job.number).with_for_update(skip_locked=True)
        with self.database.writing() as db:
            rows = list(db.execute(due, at(self.clock(), adapter=adapter, most=_LOST_AT_ONCE)))
            leased = {"leased": self.clock() + LEASE, "lease": job.lease}
            db.execute(update(esp_jobs).where(esp_jobs.c.number.in_([row.number for row in rows])).values(leased))
        return [job, *(_job(row, job.lease) for row in rows)]

    def look_again(self, job: Job, wait: float | None, people: Sequence[int] | None = None) -> None:
        """It is still open: when to look next, and for whom, if no longer for all."""
        due = self.clock() + max(back_off(job.attempts, _LONGEST_LOOK, None), timedelta(seconds=wait or 0.0))
        changes: dict[str, object] = {
            "due": due,
            "attempts": min(job.attempts + 1, 1000),
            "leased": None,
            "lease": None,
        }
        if people is not None:
            changes["carried"] = _packed(people)
        self._change(job, changes)

    def lose(self, job: Job) -> None:
        """It never ends: nobody waits for it any longer, but its people are told again once more much later."""
        due = self.clock() + 24 * LOST
        self._change(job, {"key": None, "due": due, "attempts": 0, "leased": None, "lease": None})

    def end(self, *jobs: Job) -> None:
        """They are over, and what became of each person is noted."""
        numbers, leases = [job.number for job in jobs], {job.lease for job in jobs}
        with self.database.writing() as db:
            db.execute(delete(esp_jobs).where(esp_jobs.c.number.in_(numbers), esp_jobs.c.lease.in_(leases)))

    def _change(self, job: Job, values: Mapping[str, object]) -> None:
        mine = and_(esp_jobs.c.number == job.number, esp_jobs.c.lease == job.lease)
        with self.database.writing() as db:
            db.execute(update(esp_jobs).where(mine).values(values))


@cache
def _due() -> Any:
    mine = (esp_jobs.c.adapter == bindparam("adapter"), esp_jobs.c.due <= NOW, free(esp_jobs.c.leased))
    return select(esp_jobs).where(*mine).order_by(esp_jobs.c.due, esp_jobs.c.number).limit(bindparam("most"))


class Connections:
    """Turns to speak to an ESP that allows so many at once (decision 26), over all processes."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self.database, self.clock = database, clock

    @contextmanager
    def one(self, adapter: str, most: int | None, *, urgent: bool) -> Iterator[bool]:
        """One of them for a while; False when none is free. Without a limit (`most`) there always is."""
        lease = self.take(adapter, most, urgent=urgent) if most else None
        try:
            yield most is None or lease is not None
        finally:
            if lease is not None:
                self.give_back(adapter, lease)

    def take(self, adapter: str, most: int, *, urgent: bool) -> str | None:
        """A lease on a free one, or None. The last two are kept for what is urgent."""
        lease = new_id()
        room = most if urgent else max(1, most - _FOR_STOPS)
        with self.database.writing() as db:
            now = self.clock()
            mine = and_(connections.c.adapter == adapter, held(connections.c.until, now))
            taken = set(db.scalars(select(connections.c.slot).where(mine)))
            for slot in range(most):
                if slot in taken:
                    continue
                if len(taken) >= room:
                    return None
                row = {"adapter": adapter, "slot": slot, "lease": lease, "until": now + LEASE}
                query = insert_into(connections, db.dialect.name).values(row)
                taking = query.on_conflict_do_update(
                    index_elements=["adapter", "slot"],
                    set_={"lease": query.excluded.lease, "until": query.excluded.until},
                    where=free(connections.c.until, now),
                )
                if db.execute(taking).rowcount:
                    return lease
                taken.add(slot)  # another process was faster
        return None

    def renew(self, adapter: str, lease: str) -> bool:
        """Hold it longer; False when it was lost."""
        with self.database.writing() as db:
            now = self.clock()
            mine = and_(connections.c.adapter == adapter, connections.c.lease == lease, held(connections.c.until, now))
            return bool(db.execute(update(connections).where(mine).values(until=now + LEASE)).rowcount)

    def give_back(self, adapter: str, lease: str) -> None:
        """The call is over."""
        with self.database.writing() as db:
            db.execute(delete(connections).where(connections.c.adapter == adapter, connections.c.lease == lease))


def _job(row: Row[Any], lease: str) -> Job:
    return Job(
        number=row.number,
        adapter=row.adapter,
        key=row.key,
        carried=msgspec.msgpack.decode(row.carried, type=tuple[int, ...]),
        made=row.made,
        attempts=row.attempts,
        lease=lease,
    )


def _packed(people: Sequence[int]) -> bytes:
    return msgspec.msgpack.encode(list(people))
