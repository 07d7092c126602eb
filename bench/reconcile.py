"""Everybody at each ESP compared with the store, beside one ORM read a member; each run is a process of its own."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.request import urlopen

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Session

from bench import crowd, house, machine
from bench.figures import Row, at_most, row
from bench.places import Place
from bench.push import stand_in
from bench.run import Run
from bridge.bootstrap import Bridge
from bridge.jobs.reconcile import Reconciler
from bridge.tables import subjects

_MOST_MEGABYTES = 150
_PATIENCE = 3600.0


def reconcile(run: Run) -> list[Row]:
    """Rows of all databases."""
    with stand_in(run.folder) as esp:
        return [row for place in run.places for row in _on(run, place, esp.base)]


def _on(run: Run, place: Place, esp: str) -> list[Row]:
    count = run.size.pushes
    settings = house.environment(run.folder, place.url("reconcile"), esp)
    bridge = house.open_house(settings)
    crowd.fill(bridge, count)
    bridge.database.engine.dispose()
    urlopen(f"{esp}/hold/{count}").close()
    floor = _told(settings, "floor", str(min(count, run.size.direct * 10)))
    rows = []
    for name in house.ADAPTERS:
        ours = _told(settings, name, str(count))
        if ours["found"] != [count, 0]:
            raise SystemExit(f"{ours['found']} of {count} people were compared or differ: the figures mean nothing")
        what, made = f"{name}, {count:,} members", partial(row, "reconcile", database=place.name)
        rows += [
            made(
                f"{what} read over TLS and compared: CPU a member, SDK loaded before; floor: one ORM read",
                f"{ours['cpu'] * 1e6:,.2f} µs",
                f"{floor['cpu'] * 1e6:,.0f} µs",
                at_most(ours["cpu"] / floor["cpu"], 1 / 30, "≤ 1/30"),
            ),
            made(
                f"{what}: peak memory of the process ({ours['before']:,.0f} MB before the first member)",
                f"{ours['peak']:,.0f} MB",
                "",
                at_most(ours["peak"], _MOST_MEGABYTES, f"≤ {_MOST_MEGABYTES} MB"),
            ),
        ]
    return rows


def _told(settings: dict[str, str], *what: str) -> dict[str, Any]:
    """One measurement in a process of its own, on the server's core."""
    command = [sys.executable, "-m", "bench.reconcile", *what]
    with machine.pinned(machine.SERVER_CORE):
        done = subprocess.run(
            command,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- in the process that is measured -----------------------------------------------------------------------------


class _Base(DeclarativeBase):
    pass


class _Reader(_Base):
    """A person as a common program reads her: one object, looked up by address."""

    __table__ = subjects


def _floor(bridge: Bridge, count: int) -> dict[str, object]:
    engine = create_engine(bridge.settings.database_url)
    began = time.process_time()
    with Session(engine) as session:
        for number in range(1, count + 1):
            lookup = bridge.vault.lookups(house.address(number))[0].value
            session.scalars(select(_Reader).where(subjects.c.lookup == lookup)).one()
    return {"cpu": (time.process_time() - began) / count}


def _ours(bridge: Bridge, name: str, count: int) -> dict[str, object]:
    next(bridge.adapters[name].everybody())  # loads the SDK and the certificates
    before = machine.peak()
    now = bridge.clock()
    bridge.clock = lambda: now + timedelta(hours=1)  # nothing is so new that it is left out
    job = Reconciler(bridge, name, dry_run=False, max_changes=0)
    began = time.process_time()
    result = job.run()
    took = time.process_time() - began
    return {
        "cpu": took / count,
        "before": before,
        "peak": machine.peak(),
        "found": [result.compared, result.differences + result.under_way],
    }


def _measured(what: str, count: int) -> dict[str, object]:
    bridge = Bridge.from_env()
    bridge.ready()
    return _floor(bridge, count) if what == "floor" else _ours(bridge, what, count)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured(sys.argv[1], int(sys.argv[2]))))
