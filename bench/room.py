"""Bytes a person: double opt-in (two events), all indexes, seal and chain, and both ESPs' push rows."""

from functools import partial

from bench import crowd, house
from bench.figures import Row, at_most, row
from bench.places import Place, Sqlite
from bench.run import Run

MOST = 900


def room(run: Run) -> list[Row]:
    """Rows of all databases; the goal is SQLite's."""
    return [row for place in run.places for row in _on(run, place)]


def _on(run: Run, place: Place) -> list[Row]:
    pair = run.pair(place, run.size.large)
    filled = (pair.filled - pair.empty) / pair.people
    made = partial(row, "bytes", database=place.name)
    verdict = at_most(filled, MOST) if isinstance(place, Sqlite) else None
    what = "bytes a person (two events, indexes, seal, chain, push rows of both ESPs)"
    rows = [made(f"{what}, {pair.people:,} people, {pair.proven:,} of them verified", f"{filled:,.0f}", "", verdict)]
    bridge = house.open_house(house.environment(run.folder, place.url("acts")))
    empty = house.size(bridge)
    house.act(bridge, range(1, run.size.acts + 1))
    fresh = (house.size(bridge) - empty) / run.size.acts
    house.forget_limits(bridge)
    crowd.settle(bridge)
    lasting = (house.size(bridge) - empty) / run.size.acts
    bridge.database.engine.dispose()
    rows.append(made(f"the same by real acts, {run.size.acts:,} people", f"{lasting:,.0f}"))
    rows.append(made("the same in her first month, with what the sign-up limits count", f"{fresh:,.0f}"))
    if run.verbose:
        if not pair.parts:
            rows.append(made("of these, each table and index", "this SQLite was built without dbstat"))
        rows += [
            made(f"of these, {name}", f"{took / pair.people:,.1f}")
            for name, took in pair.parts.items()
            if took > pair.people
        ]
    return rows
