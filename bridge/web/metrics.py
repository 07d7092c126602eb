"""What monitors read: how each ESP keeps up with stops (WDR-11), and requests that wait. Counts only."""

import hmac
from collections.abc import Iterator
from datetime import datetime

from flask import Blueprint, Response, request

from bridge.bootstrap import Bridge
from bridge.store import StopTimes
from bridge.web.app import bridge, problem

bp = Blueprint("metrics", __name__)

#: The figures in the text form that Prometheus reads: name and what it says.
_FIGURES = (
    ("waiting", "Stops on their way to this platform."),
    ("oldest_seconds", "Age of the oldest stop on its way."),
    ("late", "Stops on their way for more than 1 hour: alarm."),
    ("broken", "Stops on their way for more than 48 hours: must never be."),
    ("confirmed_day", "Stops this platform confirmed within the last 24 hours."),
    ("confirmed_in_time_day", "Of these, within 5 minutes of the act."),
    ("slowest_day_seconds", "The slowest of these."),
)


@bp.get("/metrics")
def show() -> Response:
    """The withdrawal clock, for whoever has the token; without one set the address does not exist."""
    house = bridge()
    wanted = house.settings.metrics_token
    if not wanted:
        return problem(404, "no such page")
    if not hmac.compare_digest(f"Bearer {wanted}".encode(), request.headers.get("Authorization", "").encode()):
        response = problem(401, "not for everybody", "send Authorization: Bearer and BRIDGE_METRICS_TOKEN")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return Response("\n".join([*_lines(house), ""]), content_type="text/plain; version=0.0.4; charset=utf-8")


def _lines(house: Bridge) -> Iterator[str]:
    now = house.clock()
    told = {name: _figures(house.store.stop_times(name), now) for name in house.adapters}
    for place, (figure, meaning) in enumerate(_FIGURES):
        name = f"consent_bridge_stops_{figure}"
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        for adapter, values in told.items():
            yield f'{name}{{adapter="{adapter}"}} {values[place]}'
    yield from _requests(house, now)


def _requests(house: Bridge, now: datetime) -> Iterator[str]:
    """How many requests of people wait too long for their answer (RGT-07)."""
    book = house.store.cases
    for figure, meaning, counts in (
        ("overdue", "Requests of people that should have been answered before today: alarm.", book.overdue(now)),
        ("due_soon", "Requests of people that must be answered within 3 days.", book.due_soon(now)),
    ):
        name = f"consent_bridge_requests_{figure}"
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        yield f"{name} {sum(counts.values())}"


def _figures(times: StopTimes, now: datetime) -> tuple[int, ...]:
    age = max(0, int((now - times.oldest).total_seconds())) if times.oldest else 0
    slowest = int(times.slowest.total_seconds())
    return times.waiting, age, times.late, times.broken, times.confirmed, times.in_time, slowest
