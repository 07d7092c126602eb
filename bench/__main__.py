"""`make bench`: the small run. Prints what the bridge costs and how many times the floor that is."""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench import floor, house, load
from bridge.bootstrap import Bridge
from bridge.vocabulary import EventType

READERS = 2_000
BATCH = 500
ROUNDS = 3


class Figures(NamedTuple):
    """What came out."""

    requests: list[tuple[str, load.Cost, load.Cost]]
    news: tuple[float, float]  # a second: ours, the floor's
    fresh: float  # bytes a reader
    lasting: float
    opt_ins: float  # a second
    pinned: bool
    seconds: float


def main() -> None:
    """Measure and print."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder, port, floor_port = Path(name), load.free_port(), load.free_port()
        pinned = load.pin(load.LOAD_CORE)
        settings = house.environment(folder, port)
        clock = house.Clock(READERS)
        bridge = house.open_house(settings, clock)
        empty = house.size(bridge)
        began = time.perf_counter()
        tokens = house.fill(bridge, clock, READERS)
        filling = time.perf_counter() - began
        fresh = (house.size(bridge) - empty) / READERS
        house.forget_limits(bridge)
        lasting = (house.size(bridge) - empty) / READERS
        floor.fill(str(folder / "floor.db"), READERS)
        served = {**settings, "CONSENT_BRIDGE_NO_DISPATCH": "1", "FLOOR_DATABASE": str(folder / "floor.db")}
        with (
            load.server("bridge.handlers.server:application", port, served) as ours,
            load.server("bench.floor:application", floor_port, served) as theirs,
        ):
            rows = [
                _compare(
                    "preference page, GET",
                    lambda some: load.measure(ours, port, "GET", [f"/preferences/{tokens[n]}" for n in some]),
                    lambda some: load.measure(theirs, floor_port, "GET", [f"/p/{n + 1}" for n in some]),
                ),
                _compare(
                    "one click, POST",
                    lambda some: load.measure(ours, port, "POST", [f"/u/{tokens[n]}" for n in some]),
                    lambda some: load.measure(theirs, floor_port, "POST", [f"/u/{n + 1}" for n in some]),
                ),
            ]
        news = _hear(bridge, str(folder / "floor.db"))
        bridge.database.engine.dispose()
    _print(
        Figures(
            requests=rows,
            news=news,
            fresh=fresh,
            lasting=lasting,
            opt_ins=READERS / filling,
            pinned=pinned,
            seconds=time.monotonic() - started,
        )
    )


def _compare(
    what: str, ours: Callable[[range], load.Cost], theirs: Callable[[range], load.Cost]
) -> tuple[str, load.Cost, load.Cost]:
    """The best of some rounds of both, one after the other; no reader is asked for twice."""
    share = READERS // (ROUNDS + 1)
    ours(range(share))  # the first requests of a program are not like the others
    theirs(range(share))
    costs = []
    for number in range(1, ROUNDS + 1):
        some = range(number * share, (number + 1) * share)
        costs.append((ours(some), theirs(some)))
    best, floor_best = (min(side, key=lambda cost: cost.milliseconds) for side in zip(*costs, strict=True))
    return what, best, floor_best


def _hear(bridge: Bridge, path: str) -> tuple[float, float]:
    """Events a second: batches of bounces, one transaction each; the floor writes as many rows."""
    began = time.perf_counter()
    heard = sum(bridge.store.hear("memory", batch) for batch in house.news(READERS, EventType.BOUNCED, BATCH))
    rate = heard / (time.perf_counter() - began)
    if heard != READERS:
        raise SystemExit(f"{heard} of {READERS} news were new: the figures would mean nothing")
    engine = floor.connect(path).execution_options(immediate=True)
    began = time.perf_counter()
    for first in range(1, READERS + 1, BATCH):
        with engine.begin() as db:
            floor.write(db, range(first, first + BATCH), "bounced", "bounced")
    floor_rate = READERS / (time.perf_counter() - began)
    engine.dispose()
    return rate, floor_rate


def _print(figures: Figures) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, Python {platform.python_version()}, SQLite, {READERS} readers")
    apart = "server on one core, requests from another" if figures.pinned else "cores not kept apart: read with care"
    print(f"{apart}; the best of {ROUNDS} rounds of each side\n")
    print("| what | bridge | floor | ratio |")
    print("|---|---|---|---|")
    for what, ours, theirs in figures.requests:
        ratio = ours.milliseconds / theirs.milliseconds
        print(f"| {what}, CPU a request | {ours.milliseconds:.2f} ms | {theirs.milliseconds:.2f} ms | {ratio:.1f} |")
    rate, floor_rate = figures.news
    print(f"| news of a platform, batches of {BATCH} | {rate:,.0f}/s | {floor_rate:,.0f}/s | {floor_rate / rate:.1f} |")
    print(f"| bytes a reader (double opt-in, two events, all indexes) | {figures.lasting:,.0f} | | |")
    print(f"| the same in her first month, with what the sign-up limits count | {figures.fresh:,.0f} | | |")
    print(f"| double opt-ins with their mails, one process | {figures.opt_ins:,.0f}/s | | |")
    print(f"\nfloor: Flask and SQLAlchemy Core, no rules, no proof, no sealing. {figures.seconds:.0f} s")


def _machine() -> str:
    """What kind of machine this is; no name of it."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    return f"{platform.system()} {platform.machine()}, {model or 'CPU of unknown kind'}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
