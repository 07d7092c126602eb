"""The preference page and the one click: CPU of one request beside the floor's, and beside itself with more people."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench import sealing
from bench.figures import Row, at_most, row
from bench.load import Cost, Server, click, measure, page, rounds, steadiest
from bench.places import Place
from bench.run import Pair, Run
from bridge.bootstrap import THREADS

MOST, GROWTH = 2.0, 1.15


def pages(run: Run) -> list[Row]:
    """Rows of all databases."""
    return [row for place in run.places for row in _on(run, place)]


def _on(run: Run, place: Place) -> list[Row]:
    pairs = [run.pair(place, people) for people in dict.fromkeys((run.size.small, run.size.large))]
    with ExitStack() as stack:
        servers = [
            *(stack.enter_context(pair.serve_ours(THREADS)) for pair in pairs),
            *(stack.enter_context(pair.serve_floor(THREADS)) for pair in pairs),
        ]
        looks = [pair.anybody(run.size.requests, run.size.rounds) for pair in pairs]
        clicks = [pair.drawn(run.size.requests, run.size.rounds) for pair in pairs]
        return [
            *_rows(run, "preference page, GET", pairs, _sides(run, page, pairs, servers, looks), sealing.of_page),
            *_rows(run, "one click, POST", pairs, _sides(run, click, pairs, servers, clicks), sealing.of_click),
        ]


Readers = list[list[int]]  # by round


def _sides(
    run: Run, ask: Callable[[str], bytes], pairs: list[Pair], servers: list[Server], readers: list[Readers]
) -> list[Callable[[int], Cost]]:
    """A round of each server: our houses first, then the floor's, with the same readers."""

    def side(server: Server, tokens: Callable[[list[int]], list[str]], drawn: Readers, number: int) -> Cost:
        return measure(server, [ask(token) for token in tokens(drawn[number])], run.connections)

    makers = [*(pair.tokens for pair in pairs), *(pair.floor_tokens for pair in pairs)]
    return [partial(side, *told) for told in zip(servers, makers, [*readers, *readers], strict=True)]


def _rows(
    run: Run,
    what: str,
    pairs: list[Pair],
    sides: list[Callable[[int], Cost]],
    shares: Callable[[Pair, int], sealing.Spent],
) -> list[Row]:
    best = [steadiest(costs) for costs in rounds(sides, run.size.rounds)]
    ours, floors = best[: len(pairs)], best[len(pairs) :]
    place, rows = pairs[0].place, []
    for pair, cost, floor in zip(pairs, ours, floors, strict=True):
        rows += _compared(f"{what}, {pair.people:,} people", place, cost, floor)
    rows.append(_grown(what, place, ours, floors))
    rows.append(_sealed(what, place, shares(pairs[-1], min(60, run.size.requests)), ours[-1]))
    return rows


def _compared(what: str, place: Place, ours: Cost, floor: Cost) -> list[Row]:
    rows = [
        row(
            "pages",
            f"{what}: CPU",
            f"{ours.milliseconds:.3f} ms, {ours.rate:,.0f}/s",
            f"{floor.milliseconds:.3f} ms, {floor.rate:,.0f}/s",
            at_most(ours.milliseconds / floor.milliseconds, MOST),
            database=place.name,
        )
    ]
    if ours.backends and floor.backends:
        rows.append(
            row(
                "pages",
                f"{what}: CPU with the database server's",
                f"{ours.milliseconds:.3f} + {ours.together - ours.milliseconds:.3f} ms",
                f"{floor.milliseconds:.3f} + {floor.together - floor.milliseconds:.3f} ms",
                at_most(ours.together / floor.together, MOST),
                database=place.name,
            )
        )
    return rows


def _grown(what: str, place: Place, ours: list[Cost], floors: list[Cost]) -> Row:
    small, large = (cost.milliseconds for cost in (ours[0], ours[-1]))
    return row(
        "pages",
        f"{what}: CPU with the larger number of people ÷ with the smaller",
        f"{large:.3f} ÷ {small:.3f} ms",
        f"{floors[-1].milliseconds:.3f} ÷ {floors[0].milliseconds:.3f} ms",
        at_most(large / small, GROWTH),
        database=place.name,
    )


def _sealed(what: str, place: Place, spent: sealing.Spent, cost: Cost) -> Row:
    share = spent.milliseconds / cost.milliseconds
    parts = ", ".join(f"{name} {took * 1000:.0f} µs" for name, took in spent.parts)
    return row(
        "pages",
        f"{what}: share of sealing in it ({parts})",
        f"{spent.milliseconds:.3f} ms = {share:.0%}",
        database=place.name,
    )
