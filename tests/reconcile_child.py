"""A comparison in a process of its own that dies at a chosen point, for tests of kills."""

import json
import os
import signal
from datetime import datetime
from typing import Any

import msgspec

from bridge.bootstrap import Bridge
from bridge.jobs.reconcile import Reconciler
from bridge.vocabulary import Report
from tests.bulk import KINDS, PLACES

POINTS = ("begun", "page", "kept", "read", "before hearing", "heard", "before telling", "told")


def die() -> None:
    """End as the power does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(Reconciler):
    """Dies at `point`."""

    keeps_every = 1
    point = ""
    takes = 0

    def _at(self, point: str) -> None:
        if self.point == point:
            die()

    def _begin(self) -> None:
        super()._begin()
        self._at("begun")

    def _take(self, *args: Any) -> None:
        super()._take(*args)
        self._at("page")

    def _keep(self) -> None:
        super()._keep()
        self._at("kept")
        if not self.state.reading:
            self._at("read")

    def _hear(self, reports: Any) -> None:
        told: list[Report] = list(reports)
        if told:
            self._at("before hearing")
        super()._hear(told)
        if told:
            self._at("heard")

    def _switch_on(self) -> None:
        self._at("before telling")
        super()._switch_on()
        self._at("told")


def main(config: str) -> None:
    """Compare, or die at it."""
    chosen = json.loads(config)
    now = datetime.fromisoformat(chosen["now"])
    bridge = Bridge.from_env(chosen["environment"])
    bridge.clock = lambda: now
    contract = bridge.policy.processors["memory"]
    for name in PLACES:
        for purpose in bridge.policy.purposes.values():
            purpose.at[name] = PLACES[name][purpose.id]
        bridge.policy.processors[name] = msgspec.structs.replace(contract, adapter=name)
        bridge.adapters[name] = KINDS[name](chosen["esps"], bridge.policy.places(name), {})
    bridge.store.adapters = tuple(PLACES)
    job = Dying(bridge, chosen["name"], dry_run=False, max_changes=100)
    job.point = chosen["point"]
    job.run()
