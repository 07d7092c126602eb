"""A list with its evidence taken in, beside a bare load of the very same rows; each run is a process of its own."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bench import house, machine
from bench.figures import Row, at_least, at_most, row
from bench.load import Cost, click, measure
from bench.places import Place
from bench.run import Pair, Run
from bridge.bootstrap import THREADS, Bridge
from bridge.jobs.audit.looking import Audit
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import
from bridge.store.rows import COLUMNS
from bridge.tables import metadata

_MOST_MEGABYTES = 200
_PATIENCE = 7200.0

#: Rows that the bare load writes in one transaction.
_AT_ONCE = 10_000

#: The list's people are nobody's of the houses that other sections filled.
_APART = 100_000_000

_GOALS = {"SQLite": 0.4, "PostgreSQL": 0.2}


def lists(run: Run) -> list[Row]:
    """Rows of all databases."""
    count = run.size.pushes
    path = run.folder / "list.csv"
    _write(path, count)
    return [row for place in run.places for row in _on(run, place, path, count)]


def _write(path: Path, count: int) -> None:
    """A file as an export of a careful CRM: each row with its whole proof, and columns that nobody needs."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=300)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["email", "first", "last", "time", "notice", "language", "method", "source_document", "city", "tags"]
        )
        for number in range(1, count + 1):
            said = (began + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
            rows.writerow(
                [
                    house.address(number),
                    "An",
                    "Peeters",
                    said,
                    1,
                    "nl",
                    "double_opt_in",
                    "crm-7",
                    "Gent",
                    '"shop","vip"',
                ]
            )


def _on(run: Run, place: Place, path: Path, count: int) -> list[Row]:
    settings = house.environment(run.folder, place.url("list"))
    house.open_house(settings).database.engine.dispose()
    ours = _told(settings, "ours", str(path))
    if ours["imported"] != count:
        raise SystemExit(f"{ours['imported']} of {count} rows were taken in: the figures mean nothing")
    again = _told(settings, "ours", str(path))
    if again["unchanged"] != count:
        raise SystemExit(f"{again['unchanged']} of {count} rows were known: the figures mean nothing")
    looked, plain = _told(settings, "audit", str(path)), _told(settings, "plain", str(path))
    if looked["total"] != count:
        raise SystemExit(f"{looked['total']} of {count} contacts were audited: the figures mean nothing")
    empty = house.environment(run.folder, place.url("list_floor"))
    house.open_house(empty).database.engine.dispose()
    floor = _told({**empty, "BENCH_FROM": settings["BRIDGE_DATABASE_URL"]}, "floor", str(path))
    made = partial(row, "import", database=place.name)
    alone, beside = _clicked(run, place, path)
    what, least = f"{count:,} rows with their evidence", _GOALS[place.name]
    bare = "COPY" if place.name == "PostgreSQL" else "executemany"
    return [
        made(
            f"{what} taken in, sealed and chained; floor: {bare} of the same table rows",
            f"{count / ours['seconds']:,.0f} rows/s",
            f"{count / floor['seconds']:,.0f}",
            at_least(floor["seconds"] / ours["seconds"], least),
        ),
        made(f"{what}: the same file again", f"{count / again['seconds']:,.0f} rows/s", "", None),
        made(
            f"{what}: peak memory of the process",
            f"{max(ours['peak'], again['peak']):,.0f} MB",
            "",
            at_most(max(ours["peak"], again["peak"]), _MOST_MEGABYTES, f"≤ {_MOST_MEGABYTES} MB"),
        ),
        made(
            f"{count:,} contacts audited; floor: one plain pass over their rows",
            f"{count / looked['seconds']:,.0f} contacts/s, peak {looked['peak']:,.0f} MB",
            f"{count / plain['seconds']:,.0f}",
            at_most(looked["seconds"] / plain["seconds"], 3),
        ),
        made(
            f"one click over {run.connections} connections while a list is taken in: p50 and p99; beside: no list",
            f"{beside.wait(0.5):.1f} and {beside.wait(0.99):.1f} ms",
            f"{alone.wait(0.5):.1f} and {alone.wait(0.99):.1f} ms",
        ),
    ]


def _clicked(run: Run, place: Place, path: Path) -> tuple[Cost, Cost]:
    """Readers' clicks, without and with another program that takes in a list; both have both cores."""
    pair = run.pair(place, run.size.large)
    costs = []
    with pair.serve_ours(THREADS) as server:
        for listed in (False, True):
            clicks = [click(token) for token in pair.tokens(pair.unused(run.size.requests))]
            with _taking(pair, path) if listed else nullcontext():
                costs.append(measure(server, clicks, run.connections))
    return costs[0], costs[1]


@contextmanager
def _taking(pair: Pair, path: Path) -> Iterator[None]:
    """Another program that takes in the list, from when it has begun."""
    command = [sys.executable, "-m", "bench.lists", "ours", str(path)]
    with subprocess.Popen(command, env={**os.environ, **pair.settings}, stdout=subprocess.DEVNULL) as other:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and not _begun(pair):
            time.sleep(0.05)
        try:
            yield
        finally:
            other.kill()


def _begun(pair: Pair) -> bool:
    with pair.bridge.database.reading() as db:
        return bool(db.exec_driver_sql("SELECT count(*) FROM lists").scalar_one())


def _told(settings: dict[str, str], *what: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    with machine.pinned(machine.SERVER_CORE):
        done = subprocess.run(
            [sys.executable, "-m", "bench.lists", *what],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- in the process that is measured -----------------------------------------------------------------------------


def _ours(bridge: Bridge, path: Path) -> dict[str, object]:
    began = time.monotonic()
    job = Import(bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _total: None)
    result, _ = job.file(ListFile(path))
    took = time.monotonic() - began
    return {"seconds": took, "imported": result.imported, "unchanged": result.unchanged, "peak": machine.peak()}


def _floor(bridge: Bridge) -> dict[str, object]:
    """Write what ours wrote, table by table, into an empty database of the same schema and settings."""
    source = Bridge.from_env({**os.environ, "BRIDGE_DATABASE_URL": os.environ["BENCH_FROM"]})
    took = 0.0
    with source.database.engine.connect() as db, bridge.database.engine.connect() as to:
        for table in metadata.sorted_tables:
            if table.name in ("lists", "wordings", "keys_used"):
                continue
            for names, rows in _read(db, table.name):
                began = time.monotonic()
                with to.begin():
                    _load(to, table.name, names, rows)
                took += time.monotonic() - began
        if to.dialect.name == "sqlite":  # ours is in the file too, and not in the log
            began = time.monotonic()
            to.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            took += time.monotonic() - began
    return {"seconds": took}


def _read(db: Connection, table: str) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    found = db.execution_options(stream_results=True).exec_driver_sql(f"SELECT * FROM {table}")
    names = list(found.keys())
    while rows := [tuple(each) for each in islice(found, _AT_ONCE)]:
        yield names, rows


def _load(to: Connection, table: str, names: list[str], rows: list[tuple[Any, ...]]) -> None:
    columns = ", ".join(names)
    if to.dialect.name == "postgresql":
        driver: Any = to.connection.driver_connection
        with driver.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for each in rows:
                copy.write_row(each)
    else:
        marks = ", ".join("?" * len(names))
        to.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def _audit(bridge: Bridge) -> dict[str, object]:
    began = time.monotonic()
    tally = Audit(bridge, lambda _done, _total: None).store()
    return {"seconds": time.monotonic() - began, "total": tally.total, "peak": machine.peak()}


def _plain(bridge: Bridge) -> dict[str, object]:
    """Read once what an audit is about: where people stand, and what they said, without its sealed half."""
    began = time.monotonic()
    with bridge.database.looking() as db:
        for columns, table in (("*", "records"), (", ".join(COLUMNS), "events")):
            db.cursor.execute(f"SELECT {columns} FROM {table}")
            while db.cursor.fetchmany(_AT_ONCE):
                pass
    return {"seconds": time.monotonic() - began}


def _measured(what: str, path: Path) -> dict[str, object]:
    bridge = Bridge.from_env()
    bridge.ready()
    measured = {"floor": _floor, "audit": _audit, "plain": _plain}
    return measured[what](bridge) if what in measured else _ours(bridge, path)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]))))
