"""Who was erased here and must be at an ESP too: promised in the transaction of her erasure (decisions 20, 24).

A row holds her address under a key of its own and nothing that names the person she was here. It lasts until the ESP
said that she is gone when nothing can bring her back any more; then it goes, and its key with it (ESP-04, RGT-04).
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, or_, select, update

from bridge.store.engine import Database
from bridge.store.pushes import open_jobs
from bridge.store.sql import Hand, Sql
from bridge.store.values import Erasure
from bridge.store.waiting import LEASE, LONGEST_WAIT, NOW, PATIENCE, at, back_off, free, is_held
from bridge.tables import erase_work, esp_jobs, moment, pushes, records, retired, subjects
from bridge.vault import Sealed, Vault, new_id, seal, unseal
from bridge.vocabulary import Status, micros

log = logging.getLogger("bridge.work")

#: How long an ESP may take until a search finds what it took: who is not found before that may come yet.
_SETTLES = timedelta(minutes=10)
#: After a restore nobody follows the jobs of the time before: by then they are over.
LONGEST_JOB = timedelta(days=1)

#: The number of an address that is not here: no person has it.
NOBODY = -1

_LOOK = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=5)
_LIVE = (Status.GIVEN, Status.SOFT_OPT_IN)


def promise(
    db: Connection, vault: Vault, people: Mapping[int, str], now: datetime, everywhere: Collection[str] = ()
) -> list[str]:
    """A row for each of these people (address by number) and ESP that may know her, before her own rows are destroyed.

    Gives the ESPs. `everywhere` are those that are told of each, whether or not they were ever told of her before.
    """
    mine = select(pushes.c.subject, pushes.c.adapter, pushes.c.job, pushes.c.leased)
    mine = mine.where(pushes.c.subject.in_(people)).order_by(pushes.c.subject, pushes.c.adapter)
    known = {(row.subject, row.adapter): row for row in db.execute(mine.with_for_update())}  # no new call about her
    lost = _maybe_jobs(db) if known else []
    made = []
    for number, adapter in sorted(known.keys() | {(number, adapter) for number in people for adapter in everywhere}):
        row = known.get((number, adapter))
        jobs = {job for job, at, carried in lost if at == adapter and number in carried}
        jobs |= open_jobs(row.job) if row else frozenset()
        # A clock that was set back lets no lease last longer than a lease.
        held = min(row.leased, now + LEASE) if row and row.leased and row.leased > now else None
        made.append(_row(vault, adapter, people[number], now) | {"jobs": _text(jobs), "held": held})
    if made:
        db.execute(insert(erase_work), made)
    return sorted({str(row["adapter"]) for row in made})


_TOLD = Sql("SELECT adapter, job, leased FROM pushes WHERE subject = ? ORDER BY adapter [FOR UPDATE]")
_LOST = Sql("SELECT number, adapter, carried FROM esp_jobs WHERE key IS NULL")
_OLD = Sql(
    "INSERT INTO erase_work (id, adapter, kid, wrapped, address, made, jobs, held, calm, due) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def promise_old(hand: Hand, vault: Vault, number: int, email: str, now: datetime) -> None:
    """The same for the old address of somebody who moved, wherever an ESP was told of it (R13)."""
    told = _TOLD.rows(hand, (number,))
    lost = (
        [(job, at) for job, at, carried in _LOST.rows(hand) if number in msgspec.msgpack.decode(carried)]
        if told
        else []
    )
    rows = []
    for adapter, job, leased in told:
        jobs = open_jobs(job) | {number for number, at in lost if at == adapter}
        until = moment(leased) if leased is not None else now
        row = _row(vault, adapter, email, now)
        held = micros(min(until, now + LEASE)) if until > now else None
        calm = micros(now + _SETTLES)
        ids = (row["id"], adapter, row["kid"], row["wrapped"], row["address"])
        rows.append((*ids, micros(now), _text(jobs), held, calm, micros(now)))
    _OLD.many(hand, rows)


def _maybe_jobs(db: Connection) -> list[tuple[int, str, frozenset[int]]]:
    """Jobs of which nobody knows whether they exist: people do not name them, they name people."""
    notes = select(esp_jobs.c.number, esp_jobs.c.adapter, esp_jobs.c.carried).where(esp_jobs.c.key.is_(None))
    return [(n, adapter, frozenset(msgspec.msgpack.decode(carried))) for n, adapter, carried in db.execute(notes)]


def _row(vault: Vault, adapter: str, email: str, now: datetime) -> dict[str, object]:
    key = new_id()
    kid, wrapped = vault.new_person(key)
    address = seal(vault.person(key, kid, wrapped), email.encode(), key)
    told = {"id": key, "adapter": adapter, "kid": kid, "wrapped": wrapped, "address": address}
    return {**told, "made": now, "calm": now + _SETTLES, "due": now}


@cache
def _due() -> Any:
    # None waits so long: one that does was promised before the clock was set back.
    due = or_(erase_work.c.due <= NOW, erase_work.c.due > PATIENCE)
    mine = (erase_work.c.adapter == bindparam("adapter"), due, free(erase_work.c.leased))
    return select(erase_work).where(*mine).order_by(erase_work.c.due).limit(bindparam("most"))


class ErasureBook:
    """Claims and finishes erasures at ESPs. They are never given up (decision 23)."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], datetime]) -> None:
        self.database, self.vault, self.clock = database, vault, clock

    def has_due(self, adapter: str) -> bool:
        """Whether anybody waits; asked without a lock."""
        with self.database.glancing() as db:
            return db.execute(_due(), at(self.clock(), adapter=adapter, most=1)).first() is not None

    def claim(self, adapter: str, most: int) -> list[Erasure]:
        """Who is due, leased to the caller, and whether what the ESP says now can be its last word."""
        lease = new_id()
        with self.database.writing() as db:
            now = self.clock()
            due = _due().with_for_update(skip_locked=True)
            rows = db.execute(due, at(now, adapter=adapter, most=most)).all()
            if not rows:
                return []
            leased = update(erase_work).where(erase_work.c.id.in_([row.id for row in rows]))
            db.execute(leased.values(leased=now + LEASE, lease=lease))
            going = frozenset(db.scalars(select(esp_jobs.c.number).where(esp_jobs.c.adapter == adapter)))
            found = [self._erasure(db, row, lease, going, now) for row in rows]
        return [erasure for erasure in found if erasure is not None]

    def newcomer(self, adapter: str, email: str) -> int | None:
        """Who holds this address now, if the ESP is told of a live yes of hers."""
        with self.database.reading() as db:
            return self._newcomer(db, adapter, email)

    def gone(self, erasures: Sequence[Erasure]) -> None:
        """That was the last word: the rows and their keys are destroyed, in SQLite's log too."""
        if not erasures:
            return
        with self.database.writing() as db:
            for erasure in erasures:
                db.execute(delete(erase_work).where(_mine(erasure)))
        self.database.forget_log()

    def told(self, erasure: Erasure) -> None:
        """All was said that can be said now; something under way may still bring her back."""
        self._change(erasure, {"told": self.clock(), "attempts": 0, "due": erasure.again})

    def tell_newcomer(self, erasure: Erasure) -> None:
        """Somebody new said yes while the ESP was called, and may have been erased by that: look at once."""
        self._change(erasure, {"told": None, "due": self.clock()})

    def look_again(self, erasure: Erasure, *, soon: bool = False) -> None:
        """Nothing was asked of the ESP."""
        self._change(erasure, {"due": self.clock() + _LOOK if soon else erasure.again})

    def put_off(self, erasure: Erasure, wait: float | None, *, refused: bool = False) -> None:
        """It did not work: again, ever more rarely, and never for the last time.

        It may be carried out late all the same, so somebody new is told again when that, too, must be over.
        """
        now = self.clock()
        longest = LONGEST_WAIT if refused else _LONGEST_WAIT
        due = now + max(back_off(erasure.attempts, longest, wait), timedelta(seconds=1))
        attempts = min(erasure.attempts + 1, 1000)
        self._change(erasure, {"due": due, "attempts": attempts, "told": None, "calm": now + _SETTLES})

    def _change(self, erasure: Erasure, values: Mapping[str, object]) -> None:
        with self.database.writing() as db:
            db.execute(update(erase_work).where(_mine(erasure)).values(leased=None, lease=None, **values))

    def _erasure(self, db: Connection, row: Any, lease: str, going: frozenset[int], now: datetime) -> Erasure | None:
        try:
            email = unseal(self.vault.person(row.id, row.kid, row.wrapped), row.address, row.id).decode()
        except Sealed:
            log.error("%s: the address of an erased person cannot be opened: keys are missing (KEY-03)", row.adapter)
            return None
        state = _look(row, going, now)
        if state.ended:
            changes = {"jobs": _text(state.jobs), "held": state.held, "told": None, "calm": state.calm}
            db.execute(update(erase_work).where(erase_work.c.id == row.id).values(changes))
        return Erasure(
            id=row.id,
            email=email,
            lease=lease,
            made=row.made,
            attempts=row.attempts,
            waits=state.waits,
            told=row.told is not None and not state.ended,
            again=state.again(now),
            newcomer=self._newcomer(db, row.adapter, email),
        )

    def _newcomer(self, db: Connection, adapter: str, email: str) -> int | None:
        hashes = [entry.value for entry in self.vault.lookups(email)]
        live = exists().where(records.c.subject == subjects.c.number, records.c.status.in_(_LIVE))
        query = select(subjects.c.number).join(pushes, pushes.c.subject == subjects.c.number)
        query = query.where(subjects.c.lookup.in_(hashes), pushes.c.adapter == adapter)
        query = query.where(~exists().where(retired.c.adapter == adapter))  # nobody is on at an ESP that is given up
        found: int | None = db.scalar(query.where(live))
        return found


class _State(NamedTuple):
    """What may still bring her back at this moment."""

    jobs: frozenset[int]  # that may name her, and are open
    held: datetime | None  # a call about her is under way
    calm: datetime | None  # the ESP has not settled
    ended: bool  # one of them was under way the last time, and is over

    @property
    def waits(self) -> bool:
        return bool(self.jobs or self.held or self.calm)

    def again(self, now: datetime) -> datetime:
        """When it is worth to look again."""
        if self.jobs:
            return now + _LOOK
        return min(self.held or self.calm or now, now + LONGEST_WAIT)


def _look(row: Any, going: frozenset[int], now: datetime) -> _State:
    """A call that was under way may have begun a job: when it is over, whatever job is open then may name her."""
    before, held = open_jobs(row.jobs), row.held if is_held(row.held, now) else None
    over = row.held is not None and held is None
    jobs = (before | going if over else before) & going
    ended = over or jobs != before
    calm = now + _SETTLES if ended else row.calm
    # None lasts so long: one that does was promised before the clock was set back.
    return _State(jobs, held, calm if now < calm <= now + 2 * LONGEST_JOB else None, ended)


def _mine(erasure: Erasure) -> Any:
    return and_(erase_work.c.id == erasure.id, erase_work.c.lease == erasure.lease)


def _text(jobs: Collection[int]) -> str:
    return " ".join(map(str, sorted(jobs)))
