"""A dispatcher in a process of its own that dies at a named point, and an ESP that lives in a file.

`main(POINT, CONFIG)`: CONFIG is JSON with the settings and the moment it is. At POINT the process
is killed as a power cut would do it; POINT `never` is a dispatcher that lives.
"""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.adapter import Adapter, Transport, Unverified
from bridge.bootstrap import Bridge
from bridge.jobs.circuit import Turn
from bridge.jobs.dispatch import Dispatcher
from bridge.jobs.erasing import Eraser
from bridge.jobs.errands import Errand
from bridge.jobs.push import Pusher
from bridge.store import Erasure, StoreAway
from bridge.vocabulary import DONE, Incoming, Letter, Member, Outcome, Report

POINTS = (
    *("mail claimed", "before hand-over", "after hand-over", "push claimed", "before push", "after push"),
    *("erasure claimed", "before erasing", "after erasing"),
)


class Ledger(Adapter):
    """An ESP that many processes share: a file with one line for each thing it was told."""

    name = "ledger"
    may_places = frozenset({"list"})

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Find the file."""
        super().__init__(settings, places, fields)
        self.path = Path(settings["LEDGER_PATH"])

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Write down how each should be."""
        with self.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for member in members:
                line = {"email": member.email, "on": sorted(member.on), "stopped": sorted(member.stopped)}
                file.write(json.dumps({**line, "fresh": bool(member.fresh)}) + "\n")
        return [DONE] * len(members)

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Write down who is gone."""
        with self.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for email in emails:
                file.write(json.dumps({"email": email, "gone": True}) + "\n")
        return [DONE] * len(emails)

    def members(self) -> Iterator[Member]:
        """How everybody was told to be last."""
        for email, line in told(self.path).items():
            yield Member(email=email, on=frozenset(line["on"]), stopped=frozenset(line["stopped"]))

    def verify(self, call: Incoming) -> None:
        """It calls nobody."""
        raise Unverified

    def parse(self, call: Incoming) -> list[Report]:
        """It calls nobody."""
        return []


def told(path: Path) -> dict[str, dict[str, Any]]:
    """What the ESP was told last of each person."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line["email"]: line for line in lines}


def die() -> None:
    """As a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingRoad(Transport):
    """The house's road for mail, on which the process dies."""

    def __init__(self, road: Transport, point: str) -> None:
        super().__init__(road.url, road.settings)
        self.road, self.point = road, point

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Die before the mail server has the mail, or right after."""
        if self.point == "before hand-over":
            die()
        self.road.send(letter, ready)
        if self.point == "after hand-over":
            die()


class DyingLedger(Ledger):
    """The ESP, at whose door the process dies."""

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Die before the ESP knows, or right after."""
        if self.settings["LEDGER_POINT"] == "before push":
            die()
        outcomes = super().put(members)
        if self.settings["LEDGER_POINT"] == "after push":
            die()
        return outcomes

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Die before she is gone there, or right after."""
        if self.settings["LEDGER_POINT"] == "before erasing":
            die()
        outcomes = super().erase(emails)
        if self.settings["LEDGER_POINT"] == "after erasing":
            die()
        return outcomes


class DyingEraser(Eraser):
    """Erases nobody: it dies with the people it claimed."""

    def _erase(self, turn: Turn, ready: Sequence[Erasure]) -> None:
        die()


class DyingPusher(Pusher):
    """Tells an ESP nothing: it dies with the people it claimed."""

    def _carry_out(self, turn: Turn, errands: Sequence[Errand]) -> None:
        die()


class DyingDispatcher(Dispatcher):
    """A dispatcher that dies with work in its hands."""

    point = "never"

    def _mail(self, mail: Any) -> None:
        if self.point == "mail claimed":
            die()
        super()._mail(mail)

    def _eraser(self, name: str) -> Eraser:
        if self.point == "erasure claimed":
            return DyingEraser(self._pusher(name))
        return super()._eraser(name)

    def _pusher(self, name: str) -> Pusher:
        return DyingPusher(self.bridge, name) if self.point == "push claimed" else super()._pusher(name)


def main(point: str, config: str) -> None:
    """Send what is due, or die at it."""
    chosen = json.loads(config)
    now = datetime.fromisoformat(chosen["now"])
    bridge = Bridge.from_env(chosen["environment"])
    bridge.clock = lambda: now
    bridge.transport = DyingRoad(bridge.transport, point)
    ledger = bridge.adapters["ledger"]
    bridge.adapters["ledger"] = DyingLedger({**ledger.settings, "LEDGER_POINT": point}, ledger.places, ledger.fields)
    dispatcher = DyingDispatcher(bridge)
    dispatcher.point = point
    for _ in range(20):
        try:
            dispatcher.once()
        except StoreAway:  # others are at the same file: the next round does it
            continue
        return
    raise SystemExit("the store stayed away")
