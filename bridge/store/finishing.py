"""What a push becomes after an outcome: done, again later, or waiting for a job; many rows in one statement."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from bridge.store import journeys
from bridge.store.values import Push
from bridge.store.waiting import LONGEST_WAIT, UNSURE, back_off
from bridge.tables import AwareDateTime, corrections, pushes, stop_clocks
from bridge.vocabulary import HELD_BACK, HIDDEN, RESTING, UNASKED, Outcome, OutcomeKind

_LONGEST_STOP_WAIT = timedelta(minutes=5)
_OPEN_JOB_WAIT = timedelta(seconds=30)


class After(NamedTuple):
    """A row after one outcome; `put` and `due` as far as nothing newer came meanwhile."""

    subject: int
    number: int
    put: int | None
    done: int
    due: datetime | None
    attempts: int
    job: str | None = None
    reason: str | None = None
    told: int | None = None
    stopped: int = 0  # 1 = every stop of hers up to `number` is carried out there


#: The columns of `After` as a database is to read them from JSON.
_KINDS: tuple[tuple[str, TypeEngine[Any]], ...] = (
    ("subject", BigInteger()),
    ("number", Integer()),
    ("put", Integer()),
    ("done", Integer()),
    ("due", Text()),
    ("attempts", Integer()),
    ("job", Text()),
    ("reason", Text()),
    ("told", BigInteger()),
    ("stopped", Integer()),
)


def after(push: Push, outcome: Outcome, now: datetime) -> After:
    """The row after one outcome. Stops are never given up (decision 23)."""
    ended = outcome.kind is not OutcomeKind.PENDING and outcome.reason in {*RESTING, HIDDEN, HELD_BACK, UNASKED}
    stopped = outcome.kind is OutcomeKind.DONE or ended
    row = After(push.person.number, push.number, None, 0, None, min(push.attempts + 1, 1000), stopped=int(stopped))
    match outcome.kind:
        case OutcomeKind.DONE:
            return row._replace(put=push.number, done=1, due=push.pause_end, attempts=0, told=push.told)
        case OutcomeKind.PENDING:
            unsure = _unsure(push, outcome) if push.shaken or outcome.maybe else None
            due = now + back_off(push.attempts, _OPEN_JOB_WAIT, outcome.wait)
            return row._replace(due=due, job=outcome.job, reason=unsure)
        case OutcomeKind.REFUSED if not push.stop or outcome.reason in RESTING:  # what had to stop, is stopped
            reason = journeys.still(push.reason, outcome.reason)
            return row._replace(put=push.number, attempts=push.attempts, reason=reason[:64])
    maybe = outcome.maybe or push.shaken or push.job
    urgent = push.stop and outcome.kind is not OutcomeKind.REFUSED
    longest = _LONGEST_STOP_WAIT if urgent else LONGEST_WAIT
    return row._replace(
        put=push.number if outcome.told else None,  # her yes was taken: a retry lifts nothing any more
        due=now + back_off(push.attempts, longest, outcome.wait),
        job=outcome.job or None,
        reason=(_unsure(push, outcome) + outcome.reason)[:64] if maybe else outcome.reason[:64],
    )


def _unsure(push: Push, outcome: Outcome) -> str:
    """How a reason begins after calls that may have been carried out, with what the first and the last of them told."""
    calls = [push.unsure, push.unseen] if push.shaken else []
    if outcome.maybe:
        calls.append(push.number)
    if push.job:  # whatever that told
        calls += [0, push.number]
    return f"{UNSURE}{min(calls)}-{max(calls)} "


def write(db: Connection, adapter: str, rows: Sequence[After], now: datetime) -> None:
    """All rows in one statement, handed over as JSON."""
    bind = AwareDateTime().process_bind_param
    data = [row._replace(due=bind(row.due, db.dialect)) for row in rows]
    new = _from_json(db.dialect.name)
    newer = pushes.c.wanted > new.c.number
    moment = AwareDateTime()
    db.execute(
        update(pushes)
        .where(pushes.c.adapter == adapter, pushes.c.subject == new.c.subject)
        .values(
            put=func.coalesce(new.c.put, pushes.c.put),
            stop=case((new.c.done == 1, and_(pushes.c.stop, newer)), else_=pushes.c.stop),
            due=case((newer, literal(now, moment)), else_=cast(new.c.due, moment)),
            attempts=case((newer, 0), else_=new.c.attempts),
            job=new.c.job,
            reason=new.c.reason,
            told=new.c.told,
            leased=None,
            lease=None,
        ),
        {"rows": json.dumps(data, default=str)},
    )
    _note(db, stop_clocks, adapter, [row for row in data if row.stopped], now)
    _note(db, corrections, adapter, [row for row in data if row.put is not None], now)


def _note(db: Connection, clocks: Table, adapter: str, rows: Sequence[After], now: datetime) -> None:
    """Note that the stops of these people are carried out (WDR-11), or that they were told of a correction (GDPR 19);
    most of the time no clock runs."""
    running = and_(clocks.c.adapter == adapter, clocks.c.confirmed.is_(None))
    if not rows or db.execute(select(clocks.c.subject).where(running).limit(1)).first() is None:
        return
    new = _from_json(db.dialect.name)
    carried_out = and_(clocks.c.subject == new.c.subject, clocks.c.number <= new.c.number)
    ended = update(clocks).where(running, carried_out).values(confirmed=now)
    db.execute(ended, {"rows": json.dumps(rows, default=str)})


def _from_json(dialect: str) -> Any:
    """A table of `After` rows in JSON arrays, as a parameter of a statement."""
    columns: list[Any]
    if dialect == "postgresql":
        told = func.jsonb_array_elements(cast(bindparam("rows", type_=Text()), JSONB)).table_valued(
            column("value", JSONB)
        )
        columns = [cast(told.c.value[place].astext, kind).label(name) for place, (name, kind) in enumerate(_KINDS)]
    else:
        told = func.json_each(bindparam("rows", type_=Text())).table_valued(column("value", JSON))
        columns = [
            func.json_extract(told.c.value, f"$[{place}]", type_=kind).label(name)
            for place, (name, kind) in enumerate(_KINDS)
        ]
    return select(*columns).subquery("new")
