"""The withdrawal clock: how long from a reader's stop until each ESP had carried it out (WDR-11)."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, select, type_coerce
from sqlalchemy.types import BigInteger

from bridge.store.sql import Hand, Sql
from bridge.store.values import Confirmation, StopTimes
from bridge.tables import moment, stop_clocks, subjects

_COLUMNS = "SELECT number, adapter, acted, confirmed FROM"
_MINE = Sql(f"{_COLUMNS} stop_clocks WHERE subject = ? ORDER BY number, adapter")
_CORRECTED = Sql(f"{_COLUMNS} corrections WHERE subject = ? ORDER BY number, adapter")

#: A stop should have reached every ESP after the first; after the second somebody is told; the third may never pass.
TARGET, ALERT, CEILING = timedelta(minutes=5), timedelta(hours=1), timedelta(hours=48)

_RECENT = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def confirmations(db: Hand | Connection, subject: int) -> list[Confirmation]:
    """The clocks of one person's stops, in the order they were said."""
    return _clocks(db, _MINE, subject)


def corrections(db: Hand | Connection, subject: int) -> list[Confirmation]:
    """Who was told when of what one person corrected, in the order she did (GDPR 19)."""
    return _clocks(db, _CORRECTED, subject)


def _clocks(db: Hand | Connection, query: Sql, subject: int) -> list[Confirmation]:
    return [
        Confirmation(
            number=number,
            adapter=adapter,
            acted=moment(acted),
            confirmed=None if confirmed is None else moment(confirmed),
        )
        for number, adapter, acted, confirmed in query.rows(db, (subject,))
    ]


def stop_times(db: Connection, adapter: str, now: datetime) -> StopTimes:
    """Stops on their way to one ESP, and those it confirmed within the last day; from one index, in two looks."""
    running, ended = _looks()
    late_ones = {"alert": now - ALERT, "ceiling": now - CEILING}
    waiting, oldest, late, broken = db.execute(running, {"adapter": adapter, **late_ones}).one()
    done = {"a_day_ago": now - _RECENT, "target": TARGET // _MICROSECOND}
    count, in_time, slowest = db.execute(ended, {"adapter": adapter, **done}).one()
    return StopTimes(
        adapter=adapter,
        waiting=waiting,
        oldest=oldest,
        late=late,
        broken=broken,
        confirmed=count,
        in_time=in_time,
        slowest=max(slowest or 0, 0) * _MICROSECOND,  # a clock that was set back took no time
    )


@cache
def _looks() -> tuple[Any, Any]:
    """At the stops that are on their way, and at those that were carried out of late: built once, asked each minute."""
    acted, confirmed = stop_clocks.c.acted, stop_clocks.c.confirmed
    alert, ceiling, a_day_ago = (bindparam(name, type_=acted.type) for name in ("alert", "ceiling", "a_day_ago"))
    here = stop_clocks.c.adapter == bindparam("adapter")
    running = select(func.count(), func.min(acted), _counted(acted < alert), _counted(acted < ceiling))
    took = type_coerce(confirmed, BigInteger) - type_coerce(acted, BigInteger)
    ended = select(func.count(), _counted(took <= bindparam("target", type_=BigInteger)), func.max(took))
    return running.where(here, confirmed.is_(None)), ended.where(here, confirmed > a_day_ago)


def late_people(db: Connection, adapter: str, before: datetime, most: int) -> list[str]:
    """Ids of people whose stop was said before then and is not carried out there yet, the oldest first."""
    running = and_(stop_clocks.c.adapter == adapter, stop_clocks.c.confirmed.is_(None), stop_clocks.c.acted < before)
    query = select(subjects.c.id).join(stop_clocks, stop_clocks.c.subject == subjects.c.number).where(running)
    return list(db.scalars(query.group_by(subjects.c.id).order_by(func.min(stop_clocks.c.acted)).limit(most)))


def _counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
