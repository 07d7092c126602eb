"""News of a platform, told in batches: how many a second become events, beside the floor's rows."""

import time

from bench import crowd, floor, house
from bench.figures import Row, no_goal, row
from bench.places import Place
from bench.run import Run
from bridge.vocabulary import EventType

BATCH = 500


def webhooks(run: Run) -> list[Row]:
    """Rows of all databases."""
    return [_on(run, place) for place in run.places]


def _on(run: Run, place: Place) -> Row:
    count = run.size.news
    bridge = house.open_house(house.environment(run.folder, place.url("news")))
    crowd.fill(bridge, count)
    began = time.perf_counter()
    heard = sum(bridge.store.hear("mailchimp", batch) for batch in house.news(count, EventType.BOUNCED, BATCH))
    rate = heard / (time.perf_counter() - began)
    bridge.database.engine.dispose()
    if heard != count:
        raise SystemExit(f"{heard} of {count} news were new: the figures would mean nothing")
    floor_url = place.url("news_floor")
    floor.fill(floor_url, count)
    engine = floor.connect(floor_url).execution_options(immediate=True)
    began = time.perf_counter()
    for first in range(1, count + 1, BATCH):
        with engine.begin() as db:
            floor.write(db, range(first, min(first + BATCH, count + 1)), "bounced", on=False)
    floor_rate = count / (time.perf_counter() - began)
    engine.dispose()
    what = f"bounces told by a platform, {BATCH} in a transaction"
    return row(
        "webhooks", what, f"{rate:,.0f}/s", f"{floor_rate:,.0f}/s", no_goal(floor_rate / rate), database=place.name
    )
