"""What monitors read (WDR-11, RGT-07, SND-04): what is late, how stops fare, how pages answer. Counts only."""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version

from flask import Blueprint, Response, request

from bridge.bootstrap import Bridge
from bridge.gauges import MOST, look
from bridge.spool import Spool
from bridge.store import StopTimes, StoreAway, StoreBroken, revision
from bridge.web.app import BridgeApp, app_of, bridge, problem
from bridge.web.counts import KINDS, SPANS, Row

bp = Blueprint("metrics", __name__)

#: The withdrawal clock in the text form that Prometheus reads: name and what it says.
_FIGURES = (
    ("waiting", "Stops on their way to this platform."),
    ("oldest_seconds", "Age of the oldest stop on its way."),
    ("late", "Stops on their way for more than 1 hour: alarm."),
    ("broken", "Stops on their way for more than 48 hours: must never be."),
    ("confirmed_day", "Stops this platform confirmed within the last 24 hours."),
    ("confirmed_in_time_day", "Of these, within 5 minutes of the act."),
    ("slowest_day_seconds", "The slowest of these."),
)

_Values = Sequence[tuple[Mapping[str, str], float]]
_NONE: Mapping[str, str] = {}


@bp.get("/metrics")
def show() -> Response:
    """The figures, for whoever has the token; without one set the address does not exist.

    While the database is away they are fewer, and one of them says so: then a monitor needs them most.
    """
    house = bridge()
    wanted = house.settings.metrics_token
    if not wanted:
        return problem(404, "no such page")
    if not hmac.compare_digest(f"Bearer {wanted}".encode(), request.headers.get("Authorization", "").encode()):
        response = problem(401, "not for everybody", "send Authorization: Bearer and BRIDGE_METRICS_TOKEN")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    lines = [*_here(house, app_of()), *_in_the_store(house)]
    return Response("\n".join([*lines, ""]), content_type="text/plain; version=0.0.4; charset=utf-8")


def _in_the_store(house: Bridge) -> Iterator[str]:
    try:
        lines = [*_work(house), *_requests(house), *_schema(house)]
    except (StoreAway, StoreBroken):
        lines = []
    up = [(_NONE, float(bool(lines)))]
    yield from _figure("database_up", "Whether the database answers; 0: stops are parked, nothing is sent.", up)
    yield from lines


def _work(house: Bridge) -> Iterator[str]:
    now, found = house.clock(), look(house)
    late = [(_NONE, found.overdue)]
    yield from _figure("work_overdue_seconds", "How long the oldest promised work is due already.", late)
    waiting = [({"task": task}, float(count)) for task, count in found.waiting.items()]
    yield from _figure("work_waiting", f"Promised work by what it is for, due or not; {MOST} is that or more.", waiting)
    told = {
        name: _stops(times, (now - times.oldest).total_seconds() if times.oldest else 0)
        for name, times in found.stops.items()
    }
    for place, (figure, meaning) in enumerate(_FIGURES):
        values = [({"adapter": adapter}, float(numbers[place])) for adapter, numbers in told.items()]
        yield from _figure(f"stops_{figure}", meaning, values)
    complaints = [({"purpose": purpose}, percent) for purpose, percent in found.complaints.items()]
    meaning = "Complaints in a hundred readers, the worse of today and yesterday: 0.1 is too many, 0.3 stops it."
    yield from _figure("complaint_percent", meaning, complaints)


def _requests(house: Bridge) -> Iterator[str]:
    """How many requests of people wait too long for their answer (RGT-07)."""
    book, now = house.store.cases, house.clock()
    for figure, meaning, counts in (
        ("overdue", "Requests of people that should have been answered before today: alarm.", book.overdue(now)),
        ("due_soon", "Requests of people that must be answered within 3 days.", book.due_soon(now)),
    ):
        yield from _figure(f"requests_{figure}", meaning, [(_NONE, float(sum(counts.values())))])


def _schema(house: Bridge) -> Iterator[str]:
    there = [({"schema": revision.there(house.database) or "none"}, 1.0)]
    yield from _figure("database_schema", "The schema that the database has.", there)


def _here(house: Bridge, app: BridgeApp) -> Iterator[str]:
    """What this server knows without the database."""
    build = [({"version": _version(), "schema": revision.head()}, 1.0)]
    yield from _figure("build_info", "This program, and the schema it was made for.", build)
    parked = [(_NONE, float(house.spool.waiting()))]
    yield from _figure("stops_parked", "Stops and news that wait on disk for the database.", parked)
    aside = [(_NONE, float(Spool(house.spool.aside).waiting()))]
    yield from _figure("stops_aside", "Parked lines that could not be written: a person must look.", aside)
    rows = list(app.counts.rows())
    answers = [
        ({"route": row.name, "status": kind}, float(count))
        for row in rows
        for kind, count in zip(KINDS, row.kinds, strict=True)
        if count
    ]
    yield from _figure("http_requests_total", "Answers by route and kind.", answers, "counter")
    if rows:
        yield "# HELP consent_bridge_http_seconds How long answers took."
        yield "# TYPE consent_bridge_http_seconds histogram"
    for row in rows:
        yield from _histogram(row)


def _histogram(row: Row) -> Iterator[str]:
    name, count = "consent_bridge_http_seconds", 0
    for end, inside in zip((*map(str, SPANS), "+Inf"), row.spans, strict=True):
        count += inside
        yield f'{name}_bucket{{route="{row.name}",le="{end}"}} {count}'
    yield f'{name}_sum{{route="{row.name}"}} {row.seconds:g}'
    yield f'{name}_count{{route="{row.name}"}} {count}'


def _figure(name: str, meaning: str, values: _Values, kind: str = "gauge") -> Iterator[str]:
    yield f"# HELP consent_bridge_{name} {meaning}"
    yield f"# TYPE consent_bridge_{name} {kind}"
    for labels, value in values:
        told = ",".join(f'{label}="{text}"' for label, text in labels.items())
        yield f"consent_bridge_{name}{f'{{{told}}}' if told else ''} {value:.15g}"


def _stops(times: StopTimes, age: float) -> tuple[int, ...]:
    slowest = int(times.slowest.total_seconds())
    return times.waiting, max(0, int(age)), times.late, times.broken, times.confirmed, times.in_time, slowest


@cache
def _version() -> str:
    return version("consent-bridge")
