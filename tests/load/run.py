"""One run: many readers at once, processes killed at random; then everything is compared."""

import math
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import Table, func, select, text

from bridge.cli.options import progress
from bridge.store.work import LEASE
from bridge.tables import esp_jobs, outbox, pushes
from tests.load.figures import Told
from tests.load.people import Post, Tally, Visitor
from tests.torture.calls import call
from tests.torture.check import Check
from tests.torture.quiet import outside, until_quiet
from tests.torture.town import Broken, Town

#: Both ESPs, all the time: calls in a hundred.
TROUBLE = {"mode": "flaky", "errors": 5, "hangs": 1}

#: Who is killed how often: one of the processes that answer, all of them at once, a dispatcher, the ESPs.
_VICTIMS = {"web worker": 6, "web": 1, "dispatch": 5, "sandbox": 1}

#: A server takes a worker that dies twice within so many seconds for broken.
_CRASH_LOOP = 7.0

#: What falls by itself within so many seconds of what made it fall is only begun again, as a service manager does.
_AFTERMATH = 15.0

#: What is due later than this is not waited for.
_FAR = timedelta(seconds=120)


@dataclass(frozen=True)
class Size:
    """How many of everything."""

    workers: int
    dispatchers: int
    threads: int
    lives: int
    gap: float  # seconds between two kills, on average
    # Of a short run, however long a slow machine takes: so many confirm before the first is killed, and so many are.
    confirmed: int = 0
    kills: int = 0


FULL = {"postgresql": Size(8, 4, 16, 12, 4.0), "sqlite": Size(1, 1, 16, 12, 8.0)}
SHORT = {
    "postgresql": Size(2, 2, 8, 4, 1.5, confirmed=3, kills=3),
    "sqlite": Size(1, 1, 8, 4, 1.5, confirmed=3, kills=2),
}


class Load:
    """A seed, a database, and so many seconds."""

    def __init__(self, seed: int, database: str, seconds: float, folder: Path, size: Size) -> None:
        self.seed, self.seconds, self.size, self.database = seed, seconds, size, database
        self.rng = random.Random(f"{seed} {database}")
        self.town = Town(database, folder, random.Random(self.rng.random()))
        self.readers: list[Visitor] = []
        self.ending = threading.Event()
        self.failed: list[BaseException] = []
        self.post, self.tally = Post(self.town, self.failed), Tally()
        self.told = Told(database, self._processes(), seconds)
        self._kills: Counter[str] = Counter()
        self._memory: dict[str, float] = {}
        self._fates: Counter[str] = Counter()
        self._crashed = self._hurt = -_AFTERMATH

    def _processes(self) -> str:
        many = "s" * (self.size.workers > 1), "s" * (self.size.dispatchers > 1)
        return f"{self.size.workers} web worker{many[0]}, {self.size.dispatchers} dispatcher{many[1]}"

    def run(self, tell: Callable[[int, int], None], *, hurry: bool = False) -> Told:
        """Run it; raises `Broken` with what did not hold. In a hurry no real time is waited for leases to end."""
        town = self.town
        clients = [
            threading.Thread(target=self._serve, args=(self.rng.random(),), daemon=True)
            for _ in range(self.size.threads)
        ]
        try:
            self._open()
            self.post.start()
            for client in clients:
                client.start()
            self._burden(tell)
            self.ending.set()
            for client in clients:
                while client.is_alive():
                    self._look()
            last = time.monotonic()
            if self.failed:
                raise self.failed[0]
            if not hurry:
                self._wait_until_equal(last)
            self._settle()
            self._count()
            Check(town, self.readers).all()
            self.told.repeated, self.told.parked = town.figures.repeated, town.figures.parked
            return self.told
        finally:
            self.ending.set()
            self.post.stop()
            town.close()

    # -- processes ----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._start("sandbox")
        self._trouble()
        for number in range(self.size.dispatchers):
            self._start(f"dispatch-{number + 1}")
        self._start("web")
        self.town.until(self._answers)
        self._all_try()

    def _all_try(self) -> None:
        """Nobody here knows who is up: whoever gets no answer tries again."""
        for name in ("web", "sandbox"):
            self.town.is_up(name)

    def _answers(self) -> bool:
        answer = call("GET", f"{self.town.url}/readyz")
        return answer is not None and answer.status == 200

    def _trouble(self) -> None:
        self.town.until(lambda: self.town.control("healthz") is not None)
        for place, esp in enumerate(("mailchimp", "sendgrid")):
            self.town.tune(esp, **TROUBLE, seed=self.seed + place + self._kills["sandbox"])

    def _start(self, name: str) -> None:
        town = self.town
        match name.partition("-")[0]:
            case "sandbox":
                kept = ["--keep", str(town.folder / "esps.db")]
                town.start_program(name, [*town.toys.command(), *kept])
            case "dispatch":
                town.start_program(name, [_command(), "dispatch"])
            case "web":
                several = ["--workers", str(self.size.workers)] if self.size.workers > 1 else []
                words = ["serve", "--port", str(town.port), "--no-dispatch", *several]
                town.start_program(name, [_command(), *words])

    def _look(self) -> None:
        """Who fell begins again, as a service manager does it."""
        for child in self.town.fallen():
            assert child.process is not None
            code = child.process.returncode
            if not child.killed and not self._may_fall(child.name):
                self.town.figures.wrong.append(f"{child.name} ended by itself with {code}")
            self._start(child.name)
            self._all_try()
            if child.name == "sandbox":
                self._trouble()
        time.sleep(0.05)

    def _may_fall(self, name: str) -> bool:
        """Without its database none begins; and a server whose workers are killed in quick succession gives up."""
        since = max(self._crashed, self._hurt if name == "web" else self._crashed)
        return time.monotonic() - since < _AFTERMATH

    # -- kills --------------------------------------------------------------------------------------------------

    def _burden(self, tell: Callable[[int, int], None]) -> None:
        began = time.monotonic()
        crash = self.seconds * self.rng.uniform(0.35, 0.65) if self.town.postgres else math.inf
        due = self.rng.expovariate(1 / self.size.gap)
        look = 0.0
        while not self._is_over(passed := time.monotonic() - began):
            self._look()
            tell(int(passed * 10), int(self.seconds * 10))
            if passed >= due and self._may_kill():
                due = passed + self.rng.expovariate(1 / self.size.gap)
                self._kill(self.rng.choices(list(_VICTIMS), list(_VICTIMS.values()))[0])
            if passed >= crash and self._may_kill():
                crash = math.inf
                self._crash()
            if passed >= look:
                look = passed + 2
                self._weigh()
        self.told.seconds = time.monotonic() - began

    def _is_over(self, passed: float) -> bool:
        if self.failed or passed > 20 * self.seconds:
            return True
        return passed >= self.seconds and self._kills.total() >= self.size.kills

    def _may_kill(self) -> bool:
        enough = self.town.figures.acts["confirm"] >= self.size.confirmed
        return enough and (not self.size.kills or self._kills.total() < self.size.kills)

    def _kill(self, what: str) -> None:
        if what == "web worker":
            old = [one for one in self._workers() if time.time() - one.create_time() > _CRASH_LOOP]
            if not old:
                return
            with suppress(psutil.Error):
                self._hurt = time.monotonic()
                self.rng.choice(old).kill()
        elif what == "dispatch":
            self.town.kill(f"dispatch-{self.rng.randint(1, self.size.dispatchers)}")
        else:
            workers = self._workers() if what == "web" else []
            if what == "sandbox":
                self._note_fates()
                self.told.calls, self._fates = self.told.calls + self._fates, Counter()
            self.town.kill(what)
            psutil.wait_procs(workers, 10)
        self._kills[what] += 1

    def _workers(self) -> list[psutil.Process]:
        """The processes that answer; they are the children of the one that was started."""
        web = self.town.children.get("web")
        if web is None:
            return []
        try:
            return psutil.Process(web.pid).children()
        except psutil.Error:
            return []

    def _crash(self) -> None:
        assert self.town.postgres is not None
        self.town.store_away = True
        self.town.postgres.crash()
        self._crashed = time.monotonic()
        self.town.store_away = False
        self._kills["PostgreSQL"] += 1

    def _note_fates(self) -> None:
        """What became of the calls to the ESPs since those began; who is told nothing keeps what it knows."""
        there = self.town.control("healthz")
        if there is not None:
            self._fates = sum((Counter(some) for some in there["fates"].values()), Counter())

    def _weigh(self) -> None:
        """The most memory each kind of process takes, and how many connections there are."""
        found = [("web", one) for one in self._workers()]
        for child in list(self.town.children.values()):
            with suppress(psutil.Error):
                found.append((child.name.partition("-")[0], psutil.Process(child.pid)))
        for kind, process in found:
            with suppress(psutil.Error):
                self._memory[kind] = max(self._memory.get(kind, 0.0), process.memory_info().rss / 1_000_000)
        if self.town.postgres:
            with suppress(Exception), self.town.database().reading() as db:  # it may be away just now
                there = db.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
                self.told.connections = max(self.told.connections, int(there or 0))

    # -- readers ------------------------------------------------------------------------------------------------

    def _serve(self, seed: float) -> None:
        """Several lives at once; whoever has rested goes on."""
        rng = random.Random(seed)
        lives: list[tuple[Visitor, Iterator[None]]] = []
        try:
            while not self.ending.is_set():
                while len(lives) < self.size.lives:
                    reader = self._born(rng)
                    lives.append((reader, reader.life()))
                now = time.monotonic()
                ready = [one for one in lives if one[0].rested <= now]
                if not ready:
                    time.sleep(0.02)
                    continue
                one = rng.choice(ready)
                try:
                    next(one[1])
                except StopIteration:
                    lives.remove(one)
        except BaseException as error:
            self.failed.append(error)

    def _born(self, rng: random.Random) -> Visitor:
        email = f"lezer{len(self.readers)}-{rng.randrange(10**9)}@krant-lezer.example"
        one = random.Random(rng.random())
        reader = Visitor(self.town, email, one, self.ending.is_set, post=self.post, tally=self.tally)
        reader.rested = time.monotonic() + rng.uniform(0, min(10.0, self.seconds / 4))
        self.readers.append(reader)
        return reader

    # -- the end ------------------------------------------------------------------------------------------------

    def _wait_until_equal(self, last: float) -> None:
        """In real time, with the ESPs as bad as before: until nothing is due any more."""
        end = time.monotonic() + 3 * LEASE.total_seconds()
        while self._due(outbox, pushes) or any(outside(self.town).values()):
            self._look()
            if self.told.mailed is None and not self._due(outbox):
                self.told.mailed = time.monotonic() - last
            if time.monotonic() > end:
                raise Broken(
                    f"work is left after {3 * LEASE.total_seconds():.0f} s: {self._due(outbox, pushes)}, {outside(self.town)}"
                )
            time.sleep(0.5)
        self.told.equal = time.monotonic() - last
        self.told.late = len(list(Check(self.town, self.readers)._esps()))

    def _due(self, *tables: Table) -> int:
        """Work that somebody has taken up, or will within two minutes."""
        soon = self.town.clock() + _FAR
        with self.town.database().reading() as db:
            counts = [
                db.scalar(select(func.count()).where((table.c.due <= soon) | table.c.leased.is_not(None)))
                for table in tables
            ]
            if pushes in tables:
                counts.append(db.scalar(select(func.count()).where(esp_jobs.c.key.is_not(None))))
        return sum(count or 0 for count in counts)

    def _settle(self) -> None:
        """Nobody is killed any more, the ESPs are well, time passes until nobody has anything left to do."""
        town = self.town
        self._note_fates()
        self.told.calls += self._fates
        for esp in list(town.mode):
            town.tune(esp, mode="up")
        until_quiet(town)
        for name in [name for name in town.children if name != "sandbox"]:
            town.kill(name)
        town.until(lambda: not any(c.alive() for c in town.children.values() if c.name != "sandbox"))
        town.fallen()
        town.bridge.database.forget_log()
        if town.postgres:
            town.postgres.copy_log(town.folder / "postgres.log")

    def _count(self) -> None:
        told = self.told
        acts = [act for reader in self.readers for act in reader.acts]
        told.readers = len(self.readers)
        told.acts = Counter(act.kind for act in acts if act.accepted and act.kind not in ("look", "ask link"))
        told.maybe = sum(not act.accepted and not act.refused for act in acts)
        told.again = sum(act.tries - 1 for act in acts)
        told.pages = {kind: self.tally.seconds[kind] for kind in sorted(self.tally.seconds)}
        told.kills, told.memory = self._kills, self._memory
        told.mails = len(self.town.control("letters") or [])


def _command() -> str:
    return str(Path(sys.executable).parent / "consent-bridge")


def play(seed: int, database: str, seconds: float, *, short: bool = False) -> Told:
    """One run in a folder of its own, which is kept when something did not hold."""
    size = (SHORT if short else FULL)[database]
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="load-"))
        tell = stack.enter_context(progress(f"{database}, {seconds:.0f} s", sys.stderr))
        try:
            told = Load(seed, database, seconds, folder, size).run(tell, hurry=short)
        except BaseException as error:
            if isinstance(error, Broken):
                raise Broken(f"{error}\nfiles and logs: {folder}") from None
            raise
        with suppress(OSError):
            import shutil

            shutil.rmtree(folder)
        return told
