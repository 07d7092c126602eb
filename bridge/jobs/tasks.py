"""What a person must look at, because the registers are not as somebody last saw them (REG-04, decision 35)."""

from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.policy.snapshot import Difference, differences, snapshot
from bridge.store.papers import Look


class Task(NamedTuple):
    """What changed since the last look. `last` is None where nobody ever looked."""

    last: Look | None
    changed: list[Difference]

    @property
    def open(self) -> bool:
        """Somebody has to look."""
        return self.last is None or bool(self.changed)


def task(bridge: Bridge) -> Task:
    """The registers of today beside those that were last seen."""
    last = bridge.store.papers.last_look()
    return Task(last, differences(last.content, snapshot(bridge.policy)) if last else [])


def acknowledge(bridge: Bridge, by: str) -> list[Difference]:
    """Note that a person has seen the registers as they are; what was new to her."""
    found = task(bridge).changed
    bridge.store.papers.looked(by, snapshot(bridge.policy))
    return found
