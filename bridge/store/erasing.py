"""Who was erased here and must be at an ESP too: promised in the transaction of her erasure (decisions 20, 24).

A row holds her address under a key of its own and nothing that names the person she was here. It lasts until the ESP
said that she is gone when nothing can bring her back any more; then it goes, and its key with it (ESP-04, RGT-04).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from bridge.store.engine import Database
from bridge.store.pushes import open_jobs
from bridge.store.rows import Rows
from bridge.store.values import Erasure
from bridge.store.waiting import LEASE, LONGEST_WAIT, back_off
from bridge.tables import erase_work, esp_jobs, pushes, records, subjects
from bridge.vault import Sealed, Vault, new_id, seal, unseal
from bridge.vocabulary import Status

log = logging.getLogger("bridge.work")

#: A job that has not ended by then is no longer waited for.
LONGEST_JOB = timedelta(days=1)

#: How long an ESP may take until a search finds what it took: who is not found before that may come yet.
_SETTLES = timedelta(minutes=10)
_LOOK = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=5)
_LIVE = (Status.GIVEN, Status.SOFT_OPT_IN)


def promise(db: Connection, rows: Rows, numbers: Sequence[int], now: datetime) -> None:
    """One row for each of these people and ESP that may know her, before anything of her is destroyed."""
    mine = select(pushes.c.subject, pushes.c.adapter, pushes.c.job, pushes.c.leased)
    mine = mine.where(pushes.c.subject.in_(numbers)).order_by(pushes.c.subject, pushes.c.adapter)
    found = db.execute(mine.with_for_update()).all()  # locked: nobody begins a call about her from here on
    if not found:
        return
    lost = _maybe_jobs(db)
    made, dark = [], set()
    for row in found:
        try:
            email = rows.people(db, [row.subject])[row.subject].person.email
        except (Sealed, KeyError, msgspec.DecodeError):
            dark.add(row.subject)
            continue
        jobs = open_jobs(row.job) | {
            number for number, adapter, people in lost if adapter == row.adapter and row.subject in people
        }
        held = row.leased if row.leased and row.leased > now else None
        made.append(_row(rows.vault, row.adapter, email, now) | {"jobs": _text(jobs), "held": held})
    if made:
        db.execute(insert(erase_work), made)
    if dark:
        log.error("%d erased people could not be read: platforms cannot be told; run consent-bridge verify", len(dark))


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


class ErasureBook:
    """Claims and finishes erasures at ESPs. They are never given up (decision 23)."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], datetime]) -> None:
        self.database, self.vault, self.clock = database, vault, clock

    def has_due(self, adapter: str) -> bool:
        """Whether anybody waits; asked without a lock."""
        with self.database.reading() as db:
            return db.execute(self._due(adapter).limit(1)).first() is not None

    def waiting(self) -> dict[str, int]:
        """How many people each ESP must still say the last word about."""
        name = erase_work.c.adapter
        query = select(name, func.count().label("waiting")).group_by(name).order_by(name)
        with self.database.reading() as db:
            return {row.adapter: row.waiting for row in db.execute(query)}

    def claim(self, adapter: str, most: int) -> list[Erasure]:
        """Who is due, leased to the caller, and whether what the ESP says now can be its last word."""
        now, lease = self.clock(), new_id()
        with self.database.writing() as db:
            rows = db.execute(self._due(adapter).limit(most).with_for_update(skip_locked=True)).all()
            if not rows:
                return []
            leased = update(erase_work).where(erase_work.c.id.in_([row.id for row in rows]))
            db.execute(leased.values(leased=now + LEASE, lease=lease))
            going = db.execute(select(esp_jobs.c.number, esp_jobs.c.made).where(esp_jobs.c.adapter == adapter)).all()
            begun = {row.number: row.made for row in going}
            found = [self._erasure(db, row, lease, begun, now) for row in rows]
        return [erasure for erasure in found if erasure is not None]

    def newcomer(self, adapter: str, email: str) -> int | None:
        """Who holds this address now, if the ESP is told of a live yes of hers."""
        with self.database.reading() as db:
            return self._newcomer(db, adapter, email)

    def gone(self, erasure: Erasure) -> None:
        """That was the last word: the row and its key are destroyed."""
        with self.database.writing() as db:
            db.execute(delete(erase_work).where(_mine(erasure)))

    def told(self, erasure: Erasure) -> None:
        """The ESP says that she is gone, while something under way may bring her back."""
        self._change(erasure, {"told": self.clock(), "attempts": 0, "due": self.clock() + _LOOK})

    def look_again(self, erasure: Erasure, after: timedelta = _LOOK) -> None:
        """Nothing was asked of the ESP."""
        self._change(erasure, {"due": self.clock() + after})

    def put_off(self, erasure: Erasure, wait: float | None, *, refused: bool = False) -> None:
        """It did not work: again, ever more rarely, and never for the last time."""
        longest = LONGEST_WAIT if refused else _LONGEST_WAIT
        due = self.clock() + max(back_off(erasure.attempts, longest, wait), timedelta(seconds=1))
        self._change(erasure, {"due": due, "attempts": min(erasure.attempts + 1, 1000)})

    def _change(self, erasure: Erasure, values: Mapping[str, object]) -> None:
        with self.database.writing() as db:
            db.execute(update(erase_work).where(_mine(erasure)).values(leased=None, lease=None, **values))

    def _due(self, adapter: str) -> Any:
        now = self.clock()
        free = or_(erase_work.c.leased.is_(None), erase_work.c.leased <= now)
        where = and_(erase_work.c.adapter == adapter, erase_work.c.due <= now, free)
        return select(erase_work).where(where).order_by(erase_work.c.due)

    def _erasure(
        self, db: Connection, row: Any, lease: str, begun: Mapping[int, datetime], now: datetime
    ) -> Erasure | None:
        try:
            email = unseal(self.vault.person(row.id, row.kid, row.wrapped), row.address, row.id).decode()
        except Sealed:
            log.error("an erased person's address cannot be opened: a platform cannot be told of her")
            return None
        waits, told = now < row.calm, row.told is not None
        if _may_come_back(row, begun, now):
            waits = True
        elif row.jobs or row.held:  # over just now: erase again, and once more when a search would find her
            values = {"jobs": "", "held": None, "told": None, "calm": now + _SETTLES}
            db.execute(update(erase_work).where(erase_work.c.id == row.id).values(values))
            waits, told = True, False
        return Erasure(
            id=row.id,
            email=email,
            lease=lease,
            made=row.made,
            attempts=row.attempts,
            waits=waits,
            told=told,
            newcomer=self._newcomer(db, row.adapter, email),
        )

    def _newcomer(self, db: Connection, adapter: str, email: str) -> int | None:
        hashes = [entry.value for entry in self.vault.lookups(email)]
        live = select(records.c.subject).where(records.c.status.in_(_LIVE))
        query = select(subjects.c.number).join(pushes, pushes.c.subject == subjects.c.number)
        query = query.where(subjects.c.lookup.in_(hashes), pushes.c.adapter == adapter)
        found: int | None = db.scalar(query.where(subjects.c.number.in_(live)))
        return found


def _may_come_back(row: Any, begun: Mapping[int, datetime], now: datetime) -> bool:
    """Whether a call or job that names her may still be carried out.

    A call that was under way may have begun a job since, so every job that was begun before its end counts.
    """
    if now >= row.made + LONGEST_JOB:
        return False
    if row.held and (now < row.held or any(made <= row.held for made in begun.values())):
        return True
    return not begun.keys().isdisjoint(open_jobs(row.jobs))


def _mine(erasure: Erasure) -> Any:
    return and_(erase_work.c.id == erasure.id, erase_work.c.lease == erasure.lease)


def _text(jobs: frozenset[int]) -> str:
    return " ".join(map(str, sorted(jobs)))
