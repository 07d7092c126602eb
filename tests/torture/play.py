"""One run: readers act, processes die and begin again, faults come and go; then everything is looked at."""

import math
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bridge.cli.options import progress
from tests.torture.check import Check
from tests.torture.crowd import Crowds
from tests.torture.nursery import JOB_SECONDS
from tests.torture.quiet import until_quiet
from tests.torture.readers import Reader
from tests.torture.town import Broken, Figures, Town

#: Who can be killed, and from how many to how many steps each lives: many die early, some do a lot first.
VICTIMS = {"web": (8, 4000), "dispatch-1": (8, 6000), "dispatch-2": (8, 6000), "sandbox": (20, 60_000)}

_DRIVERS, _LIVES = 4, 8

#: One kill in so many goes to the real commands, which take seconds to begin.
_REAL = 100

_ESP_TROUBLE: tuple[dict[str, Any], ...] = (
    {"mode": "down"},
    {"mode": "throttle", "seconds": 1},
    {"mode": "throttle-bare"},
    {"mode": "errors", "every": 2},
    {"mode": "hang", "seconds": 0.2},
    {"mode": "hang-after", "seconds": 0.2},
    {"mode": "cut"},
    {"mode": "pending"},
    {"mode": "duplicate"},
    {"mode": "delay", "seconds": 0.3},
    {"mode": "reorder"},
)

#: What befalls the jobs of one of them only.
_JOB_TROUBLE: dict[str, tuple[dict[str, Any], ...]] = {
    "mailchimp": ({"mode": "links_expire"}, {"mode": "results_gone"}),
    "sendgrid": ({"mode": "contact_limit"},),
}

#: How the jobs of many people end: late, newest first, in any order, or soon.
_LATE = ("pending", "reversed", "shuffled", "shuffled", "slow", "up")

#: How many come at once, or are changed at once; so many in all, and one more with so many kills.
_SIZES = (25, 40, 40, 60, 80, 80, 120, 200, 300)
_PEOPLE, _PEOPLE_PER_KILL = 80, 0.5


class Play:
    """A seed, a database, and so many kills."""

    def __init__(self, seed: int, database: str, kills: int, folder: Path) -> None:
        self.seed, self.kills = seed, kills
        self.rng = random.Random(f"{seed} {database}")
        self.town = Town(database, folder, random.Random(self.rng.random()))
        self.sqlite = database == "sqlite"
        self.readers: list[Reader] = []
        self.ending = threading.Event()
        self.failed: list[BaseException] = []
        self._fault: ExitStack | None = None
        self._fault_ends = (0, 0.0)
        self._next_fault = 6
        self._next_outside = 4
        self._next_real = _REAL // 4
        self._limit = -1
        self._counted = 0
        self._next_crowd = 1
        self._crowds = Crowds(self.town, self.readers, self.ending.is_set)

    def run(self, tell: Callable[[int, int], None]) -> Figures:
        """Play it; raises `Broken` with what did not hold."""
        town = self.town
        try:
            for name in ("sandbox", *list(VICTIMS)[:-1]):
                self._start(name)
            drivers = [threading.Thread(target=self._drive, args=(self.rng.random(),)) for _ in range(_DRIVERS)]
            drivers.append(self._crowds.thread)
            for driver in drivers:
                driver.start()
            while self._counted < self.kills and not self.failed:
                self._look()
                tell(self._counted, self.kills)
            self._fault_over()
            self.ending.set()
            while any(driver.is_alive() for driver in drivers):
                self._look(mortal=False)
            if self.failed:
                raise self.failed[0]
            self._settle()
            Check(town, self.readers).all()
            return town.figures
        finally:
            self.ending.set()
            self._fault_over()
            town.close()

    # -- readers ------------------------------------------------------------------------------------------------

    def _drive(self, seed: float) -> None:
        """Several lives at once, a step of one after a step of another."""
        rng = random.Random(seed)
        lives: list[Iterator[None]] = []
        try:
            while not self.ending.is_set():
                with suppress(IndexError):
                    lives.append(self._crowds.lives.popleft())
                while len(lives) < _LIVES:
                    reader = self._born(rng)
                    lives.append(reader.life())
                one = rng.choice(lives)
                try:
                    next(one)
                    time.sleep(0.015)
                except StopIteration:
                    lives.remove(one)
        except BaseException as error:
            self.failed.append(error)

    def _born(self, rng: random.Random) -> Reader:
        email = f"lezer{len(self.readers)}-{rng.randrange(10**6)}@krant-lezer.example"
        reader = Reader(self.town, email, random.Random(rng.random()), self.ending.is_set)
        self.readers.append(reader)
        return reader

    # -- deaths -------------------------------------------------------------------------------------------------

    def _start(self, name: str, *, mortal: bool = True) -> None:
        least, most = VICTIMS[name]
        last = int(math.exp(self.rng.uniform(math.log(least), math.log(most)))) if mortal else 0
        inside = self.rng.random() < 0.3
        self.town.start(name, last=last, inside=inside)
        if self._limit >= 0 and name != "sandbox":
            self.town.fill(name, self._limit)

    def _look(self, *, mortal: bool = True) -> None:
        """Who died begins again; who should die now is killed; a fault comes or goes."""
        town = self.town
        for child in town.fallen():
            self._count(child.name, outside=child.killed)
            if child.name in VICTIMS:
                self._start(child.name, mortal=mortal)
        while town.dead_clerks:
            self._count(town.dead_clerks.popleft().name, outside=False)
        missing = [name for name in VICTIMS if name not in town.children and f"real {name}" not in town.children]
        for name in missing:
            self._start(name, mortal=mortal)
        if mortal:
            if self._counted >= self._next_crowd:
                self._next_crowd = self._counted + self.rng.randint(8, 24)
                self._crowd(town.figures.acted())
            self._faults(town.figures.acted())
            if town.figures.acted() >= self._next_outside:
                self._next_outside += self.rng.randint(2, 8)
                time.sleep(self.rng.random() * 0.01)
                town.kill(self.rng.choice(list(VICTIMS)))
            if self._counted >= self._next_real:
                self._next_real += _REAL
                self._real()
        time.sleep(0.004)

    def _count(self, name: str, *, outside: bool) -> None:
        self._counted += 1
        role = name.partition("-")[0]
        self.town.figures.kills[f"{role} {'from outside' if outside else 'at a step'}"] += 1
        if role == "dispatch" and self.rng.random() < 0.6:
            self.town.lease_ends()

    def _real(self) -> None:
        """The commands as an operator starts them, killed as well."""
        town = self.town
        for name in ("web", "dispatch-1"):
            town.kill(name)
        town.until(lambda: not {"web", "dispatch-1"} & {c.name for c in town.children.values() if c.alive()})
        for child in town.fallen():
            self._count(child.name, outside=True)
        self._fault_over()
        town.start_command("real dispatch-1", "dispatch")
        town.start_command("real web", "serve", "--port", str(town.port), *self.rng.choice([(), ("--no-dispatch",)]))
        until = town.figures.acted() + self.rng.randint(4, 20)
        end = time.monotonic() + 10
        while town.figures.acted() < until and time.monotonic() < end:
            self._look_only()
        for name in ("real web", "real dispatch-1"):
            town.kill(name)
            town.children[name].wait()
        self._look_only()

    def _look_only(self) -> None:
        """Count the dead, begin nothing but the sandbox and the second dispatcher."""
        for child in self.town.fallen():
            self._count(child.name, outside=child.killed)
            if child.name in ("sandbox", "dispatch-2"):
                self._start(child.name)
        time.sleep(0.004)

    # -- faults -------------------------------------------------------------------------------------------------

    def _faults(self, acted: int) -> None:
        """A fault lasts for some acts; where nobody gets anything done because of it, for a second and a half."""
        until, end = self._fault_ends
        if self._fault is not None and (acted >= until or time.monotonic() > end):
            self._fault_over()
        if self._fault is None and acted >= self._next_fault:
            self._next_fault = acted + self.rng.randint(8, 25)
            self._fault_ends = (acted + self.rng.randint(3, 12), time.monotonic() + 1.5)
            self._fault = ExitStack()
            kind = self.rng.choice(["esp", "esp", "locked", "clock", "full" if self.sqlite else "crash"])
            self.town.figures.faults[getattr(self, f"_{kind}")(self._fault)] += 1

    def _fault_over(self) -> None:
        if self._fault is not None:
            self._fault.close()
            self._fault = None

    def _crowd(self, acted: int) -> None:
        """Many at once, whose jobs last for some acts of theirs; meanwhile whoever has to do with them is killed."""
        self._fault_over()
        most = min(_PEOPLE + _PEOPLE_PER_KILL * self.kills, 10 + 3 * self.kills)
        self._crowds.come(min(self.rng.choice(_SIZES), int(most)), self.rng.random(), int(most))
        self._fault_ends = (acted + self.rng.randint(5, 40), time.monotonic() + self.rng.uniform(0.5, 3))
        self._fault = ExitStack()
        for esp in self.rng.choice([("mailchimp", "sendgrid"), ("mailchimp",), ("sendgrid",)]):
            self.town.figures.faults[self._late(self._fault, esp)] += 1
        self._next_outside = acted + self.rng.randint(1, 4)

    def _late(self, fault: ExitStack, esp: str) -> str:
        how, seed = self.rng.choice(_LATE), self.rng.randrange(1, 10**6)
        slow = {"job_seconds": self.rng.uniform(0.3, 1.5)} if how == "slow" else {}
        self.town.tune(esp, mode="up" if slow else how, every=seed, **slow)
        fault.callback(self.town.tune, esp, mode="up", job_seconds=JOB_SECONDS)
        return f"{esp} jobs {how}"

    def _esp(self, fault: ExitStack) -> str:
        esp = self.rng.choice(["mailchimp", "sendgrid"])
        trouble = self.rng.choice(_ESP_TROUBLE + _JOB_TROUBLE[esp])
        self.town.tune(esp, **trouble)
        fault.callback(self.town.tune, esp, mode="up")
        return f"{esp} {trouble['mode']}"

    def _locked(self, fault: ExitStack) -> str:
        fault.enter_context(self.town.locked())
        self._away(fault)
        return "database locked"

    def _away(self, fault: ExitStack) -> None:
        self.town.store_away = True
        self._fault_ends = (self._fault_ends[0], time.monotonic() + 2.5)
        fault.callback(setattr, self.town, "store_away", False)

    def _full(self, fault: ExitStack) -> str:
        """At 0 not even a stop can be parked; at 64 KiB it can."""
        self._limit = self.rng.choice([0, 65_536])
        for name in VICTIMS:
            if name != "sandbox":
                self.town.fill(name, self._limit)
        fault.callback(self._room_again)
        self._away(fault)
        return f"disk full ({'spool too' if not self._limit else 'not the spool'})"

    def _room_again(self) -> None:
        self._limit = -1
        for name in VICTIMS:
            self.town.fill(name, -1)

    def _clock(self, _fault: ExitStack) -> str:
        if self.rng.random() < 0.5:
            self.town.jumps += 1
            self.town.clock.move(-self.rng.choice([5.0, 60.0, 900.0, 3600.0]))
            return "clock set back"
        self.town.clock.move(self.rng.choice([300.0, 3600.0, 40_000.0]))
        return "clock leaps"

    def _crash(self, _fault: ExitStack) -> str:
        assert self.town.postgres is not None
        self.town.postgres.crash()
        return "PostgreSQL crash"

    # -- the end ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Faults off, everything up, time passes until nobody has anything left to do."""
        town = self.town
        for name in list(town.children):
            town.kill(name)
        town.until(lambda: not any(child.alive() for child in town.children.values()))
        town.fallen()
        for esp in list(town.mode):
            town.mode[esp] = {"mode": "up", "job_seconds": JOB_SECONDS}
        town.lease_ends()
        for name in VICTIMS:
            town.start(name)
        until_quiet(town)
        town.clock.move(5 * 86_400)  # five days, in which every pause ends
        town.bridge.store.forget_requests()  # as a dispatcher does each minute: who is forgotten is erased at the ESPs
        until_quiet(town)
        for name in ("web", "dispatch-1", "dispatch-2"):
            town.kill(name)
        town.until(lambda: [child.name for child in town.children.values() if child.alive()] == ["sandbox"])
        town.fallen()
        town.bridge.database.forget_log()  # as a dispatcher does each minute


def play(seed: int, database: str, kills: int) -> Figures:
    """Play one seed on one database in a folder of its own, which is kept when something did not hold."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
        tell = stack.enter_context(progress(f"{database}, {kills} kills", sys.stderr))
        try:
            figures = Play(seed, database, kills, folder).run(tell)
        except BaseException as error:
            if isinstance(error, Broken):
                raise Broken(f"{error}\nfiles and logs: {folder}") from None
            raise
        with suppress(OSError):
            import shutil

            shutil.rmtree(folder)
        return figures
