"""What is still to be done in the town, and time that passes until nothing is."""

import time
from datetime import datetime, timedelta

from sqlalchemy import func, select

from bridge.tables import erase_work, esp_jobs, outbox, pushes
from tests.torture.town import Broken, Town

#: Work that has not become less for so many seconds has no end.
_ENDLESS = 200.0

#: Time passes by so much more than until the next work is due: what is due soon after is done with it.
_STRIDE = 60.0

#: What is due later than this waits for the end of a pause, and for nobody.
_SOON = timedelta(hours=2)


def until_quiet(town: Town) -> None:
    """Time passes from one piece of work to the next; where none is finished for a while, until leases end.

    While somebody is at work no time passes: a machine that is slow loses no lease by that.
    """
    end = time.monotonic() + _ENDLESS
    before, since, patience = left(town), time.monotonic(), 1.0
    least = sum(before.values())
    while any(before.values()):
        if sum(before.values()) < least:  # it becomes less, so it comes to an end
            least, end = sum(before.values()), time.monotonic() + _ENDLESS
        if time.monotonic() > end:
            raise Broken(f"work is left that nobody ends: {before}")
        time.sleep(0.02)
        now, after = town.clock(), left(town)
        due = _next(town)
        if after != before:
            since = time.monotonic()
        if due and due > now and not _held(town):
            town.clock.move((due - now).total_seconds() + _STRIDE)
        elif time.monotonic() - since > patience:
            town.lease_ends()
            since, patience = time.monotonic(), min(2 * patience, 10.0)
        before = after


def left(town: Town) -> dict[str, int]:
    """What is still to be done, by whom."""
    due = town.bridge.store.queue.next_due(town.bridge.settings.adapters)
    soon = due is not None and due <= town.clock() + _SOON
    mine = {task.name: task.waiting for task in town.bridge.store.tasks()} if soon else {}
    with town.database().reading() as db:
        mine["jobs"] = db.scalar(select(func.count()).select_from(esp_jobs)) or 0
    return {**outside(town), **mine}


def outside(town: Town) -> dict[str, int]:
    """What waits outside the store: news and jobs at the ESPs, and stops that are parked."""
    waiting: dict[str, int] = (town.control("healthz") or {"waiting": {"sandbox": 1}})["waiting"]
    parked = town.bridge.spool.path
    return {**waiting, "parked": parked.stat().st_size if parked.exists() else 0}


def _held(town: Town) -> bool:
    """Whether somebody has taken up a piece of work, and has not put it down."""
    with town.database().reading() as db:
        tables = (outbox, pushes, erase_work, esp_jobs)
        return any(db.scalar(select(func.count()).where(table.c.leased.is_not(None))) for table in tables)


def _next(town: Town) -> datetime | None:
    """When the next work is due, or a job is to be looked at."""
    with town.database().reading() as db:
        jobs = db.scalar(select(func.min(esp_jobs.c.due)))
    moments = [town.bridge.store.queue.next_due(town.bridge.settings.adapters), jobs]
    return min((moment for moment in moments if moment), default=None)
