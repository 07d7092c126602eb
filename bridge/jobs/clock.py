"""Stops that an ESP does not confirm: said aloud after an hour, and louder after two days (WDR-11)."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.bootstrap import Bridge
from bridge.store.clocks import ALERT, CEILING
from bridge.store.values import StopTimes
from bridge.vocabulary import Finding, rfc3339

log = logging.getLogger("bridge.clock")

#: While nothing changes, an alarm is raised again after so long.
_AGAIN = timedelta(hours=1)

#: So many people are named who must be stopped by hand.
_NAMED = 20


class StopWatch:
    """Looks at the withdrawal clock from time to time and raises the alarm, once an hour for each ESP."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self._said: dict[tuple[str, bool], datetime] = {}

    def look(self) -> None:
        """Raise the alarms that are due."""
        for name in self.bridge.adapters:
            times, now = self.bridge.store.stop_times(name), self.bridge.clock()
            if times.late and self._is_due(name, now, broken=False):
                log.error("%s: %s", name, _late(times))
            if times.broken and self._is_due(name, now, broken=True):
                people = self.bridge.store.late_people(name, now - CEILING, _NAMED)
                log.critical(
                    "%s: %d stops were not confirmed within 48 hours (WDR-11): send no campaign from there until they "
                    "are; subjects %s",
                    *(name, times.broken, ", ".join(people)),
                )

    def _is_due(self, name: str, now: datetime, *, broken: bool) -> bool:
        before = self._said.get((name, broken))
        if before is not None and timedelta(0) <= now - before < _AGAIN:
            return False
        self._said[name, broken] = now
        return True


def findings(bridge: Bridge) -> Iterator[Finding]:
    """What `doctor` says of the clock, a line for each ESP."""
    for name in bridge.adapters:
        times = bridge.store.stop_times(name)
        if times.broken:
            fix = f"{_late(times)}; {times.broken} for over 48 hours: send no campaign from there until they are"
        elif times.late:
            fix = f"{_late(times)}: see what the log says of {name}, and whether consent-bridge dispatch runs"
        else:
            fix = ""
        yield Finding(f"{name}: stops {_kept(times)}", ok=not times.late, fix=fix)


def _late(times: StopTimes) -> str:
    oldest = rfc3339(times.oldest) if times.oldest else "-"
    hours = int(ALERT.total_seconds() // 3600)
    return f"{times.late} stops not confirmed for over {hours} hour (WDR-11), the oldest of {oldest}"


def _kept(times: StopTimes) -> str:
    day = f"{times.confirmed} confirmed within a day, {times.in_time} of them in five minutes"
    slowest = f", the slowest in {int(times.slowest.total_seconds())} s" if times.confirmed else ""
    return f"on their way: {times.waiting}; {day}{slowest}"
