"""Many mail programs click at once: SQLite with every commit on the disk, beside the floor's plain threads.

The bridge has the threads that `serve` gives it, the floor one for each client.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median

from bench.figures import Row, at_least, at_most, no_goal, row
from bench.load import Cost, Server, click, measure, rounds, steadiest
from bench.places import Sqlite
from bench.run import Pair, Run
from bridge.bootstrap import THREADS


def clients(run: Run) -> list[Row]:
    """Rows of SQLite; the other database locks rows, not files."""
    return [
        row for place in run.places if isinstance(place, Sqlite) for row in _on(run, run.pair(place, run.size.large))
    ]


def _on(run: Run, pair: Pair) -> list[Row]:
    drawn = pair.drawn(run.size.clicks, run.size.rounds)

    def side(tokens: Callable[[list[int]], list[str]], patient: bool, server: Server, number: int) -> Cost:
        requests = [click(token) for token in tokens(drawn[number])]
        return measure(server, requests, run.size.clients, patient=patient)

    with ExitStack() as stack:
        ours = stack.enter_context(pair.serve_ours(THREADS))
        theirs = stack.enter_context(pair.serve_floor(run.size.clients))
        sides = [partial(side, pair.tokens, False, ours), partial(side, pair.floor_tokens, True, theirs)]
        mine, floors = rounds(sides, run.size.rounds)
    best, floor_best = steadiest(mine), steadiest(floors)
    rates = [max(cost.rate for cost in costs) for costs in (mine, floors)]
    slowest, half = ([median(cost.wait(share) for cost in costs) for costs in (mine, floors)] for share in (0.99, 0.5))
    busy = [max(cost.generator for cost in costs) for costs in (mine, floors)]
    failed = sum(cost.failed for cost in floors)
    who = f"one click from {run.size.clients} clients at once"
    made = partial(row, "clients", database="SQLite")
    return [
        made(
            f"{who}: p99",
            f"{slowest[0]:.1f} ms",
            f"{slowest[1]:,.1f} ms",
            at_most(slowest[0] / slowest[1], 0.05, "≤ 1/20"),
        ),
        made(f"{who}: p50", f"{half[0]:.1f} ms", f"{half[1]:,.1f} ms"),
        made(f"{who}: throughput", f"{rates[0]:,.0f}/s", f"{rates[1]:,.0f}/s", at_least(rates[0] / rates[1], 1.0)),
        made(
            f"{who}: CPU",
            f"{best.milliseconds:.3f} ms",
            f"{floor_best.milliseconds:.3f} ms",
            no_goal(best.milliseconds / floor_best.milliseconds),
        ),
        made(
            f"{who}: answers that were no 200; share of its core that asking took",
            f"0; {busy[0]:.0%}",
            f"{failed}; {busy[1]:.0%}",
        ),
    ]
