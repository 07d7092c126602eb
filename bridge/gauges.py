"""How the house does, in numbers for monitors: for CloudWatch on AWS, for Prometheus elsewhere. Counts only."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from bridge.bootstrap import Bridge
from bridge.store import StopTimes

#: Work that waits is counted no further: a monitor asks each 15 seconds, also while ten million mails wait.
MOST = 1_000


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one moment."""

    overdue: float  # seconds that the oldest promised work is due already; 0 = nothing is late
    waiting: Mapping[str, int]  # work by what it is for, counted to `MOST`
    stops: Mapping[str, StopTimes]  # by platform
    complaints: Mapping[str, float]  # percent by purpose, the worse of today and yesterday; few complaints count as 0


def look(bridge: Bridge) -> Gauges:
    """What they are now. Raises `StoreAway`."""
    store, now = bridge.store, bridge.clock()
    due = store.queue.next_due(bridge.settings.adapters)
    return Gauges(
        overdue=max(0.0, (now - due).total_seconds()) if due else 0.0,
        waiting=store.waiting(bridge.settings.adapters, MOST),
        stops={name: store.stop_times(name) for name in bridge.settings.adapters},
        complaints=_complaints(bridge, now),
    )


def _complaints(bridge: Bridge, now: datetime) -> dict[str, float]:
    limits = bridge.limits(now)
    today = now.astimezone(limits.zone).date()
    found = dict.fromkeys(bridge.policy.purposes, 0.0)
    for rate in bridge.store.complaints.rates(today - timedelta(days=1), today):
        if rate.complaints >= limits.complaint_least:
            found[rate.purpose] = max(found.get(rate.purpose, 0.0), rate.percent)
    return found


def oldest_stop(stops: Mapping[str, StopTimes], now: datetime) -> float:
    """How long the oldest stop is on its way, in seconds."""
    moments = [times.oldest for times in stops.values() if times.oldest]
    return max(0.0, (now - min(moments)).total_seconds()) if moments else 0.0
