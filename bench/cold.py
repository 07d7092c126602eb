"""Cold start on AWS Lambda: a fresh process until it is ready, and its first committed click, beside a bare function's.

Without Lambda's own runtime client, which costs both the same; from the checkout, with bytecode.
"""

import compileall
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from statistics import median
from typing import Any, NamedTuple

from bench import machine
from bench.figures import Row, at_most, no_goal, row
from bench.run import Run

MOST = 1.25

#: What a function of 512 MB has of a CPU once it is ready: 512 / 1,769 of one.
SHARE, _SLICE = 512 / 1769, 0.02

_HERE = Path(__file__).resolve().parent.parent

#: What the runtime does: ask the module for its handler, then give it events.
_RUNTIME = """
import importlib, json, sys
handler = importlib.import_module(sys.argv[1]).handler
print("ready", flush=True)
print(handler(json.loads(sys.stdin.readline()), None)["statusCode"], flush=True)
"""


class Start(NamedTuple):
    """Seconds of one start."""

    init: float
    click: float
    cpu_init: float
    cpu_click: float


def cold(run: Run) -> list[Row]:
    """Rows of PostgreSQL: on Lambda there is no other."""
    for name in ("bridge", "adapters", "bench"):
        compileall.compile_dir(_HERE / name, quiet=2)
    return [row for place in run.places if place.name == "PostgreSQL" for row in _on(run, place)]


def _on(run: Run, place: Any) -> list[Row]:
    pair = run.pair(place, run.size.small)
    ours = {**pair.settings, "BRIDGE_NUDGE": "none"}
    theirs = {"FLOOR_DATABASE": pair.floor_url}
    rows = []
    for how, hold in (("", _free), (f", CPU cut to {SHARE:.2f} after init", _held)):
        told = dict[str, list[Start]](ours=[], floor=[])
        for number in pair.unused(1 + 2 * run.size.rounds):  # the first is not counted: it fills the machine's memory
            (token,) = pair.tokens([number])
            told["ours"].append(_start("bridge.handlers.web", ours, f"/u/{token}", hold))
            told["floor"].append(_start("bench.bare", theirs, f"/u/{number}", hold))
        one, other = (told[name][1:] for name in ("ours", "floor"))
        ratio = _ratio(one, other, lambda start: start.init + start.click)
        name = f"cold start on Lambda, init + first click{how}"
        rows.append(row("cold", name, _said(one), _said(other), at_most(ratio, MOST), database=place.name))
        ratio = _ratio(one, other, lambda start: start.cpu_init + start.cpu_click)
        mine, bare = (
            f"{_of(starts, lambda start: start.cpu_init + start.cpu_click):.0f} ms" for starts in (one, other)
        )
        rows.append(row("cold", f"{name}: CPU", mine, bare, no_goal(ratio), database=place.name))
    return rows


def _ratio(ours: Sequence[Start], floor: Sequence[Start], of: Callable[[Start], float]) -> float:
    """Of what was measured in turn: the median of each pair's, as the machine's other work changes with the time."""
    return median(of(one) / of(other) for one, other in zip(ours, floor, strict=True))


def _of(starts: Sequence[Start], of: Callable[[Start], float]) -> float:
    return 1000 * median(of(start) for start in starts)


def _said(starts: Sequence[Start]) -> str:
    return f"{_of(starts, lambda start: start.init):.0f} + {_of(starts, lambda start: start.click):.0f} ms"


def _start(module: str, settings: Mapping[str, str], path: str, hold: Callable[[int], Any]) -> Start:
    """One start, one click, and the end of it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _RUNTIME, module],
        cwd=_HERE,
        env={**ours, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise SystemExit(f"{module} did not start")
        ready, cpu_ready = time.perf_counter(), machine.cpu_seconds([child.pid])
        with hold(child.pid):
            clicked = time.perf_counter()
            child.stdin.write(json.dumps(_event(path)) + "\n")
            child.stdin.flush()
            status = child.stdout.readline().strip()
            done, cpu_done = time.perf_counter(), machine.cpu_seconds([child.pid])
        if status != "200":
            raise SystemExit(f"{module} answered {status}")
        return Start(ready - began, done - clicked, cpu_ready, cpu_done - cpu_ready)


@contextmanager
def _free(_pid: int) -> Iterator[None]:
    yield


@contextmanager
def _held(pid: int) -> Iterator[None]:
    """Stopped and let go in turn, as the kernel does with whoever used up the share of a period."""
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            os.kill(pid, SIGSTOP)
            over.wait(_SLICE * (1 - SHARE))
            os.kill(pid, SIGCONT)
            over.wait(_SLICE * SHARE)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _event(path: str) -> dict[str, Any]:
    """One click of a mail program, as an HTTP API hands it over (payload 2.0)."""
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "127.0.0.1", "content-type": "application/x-www-form-urlencoded"},
        "requestContext": {"stage": "$default", "http": http},
        "isBase64Encoded": False,
        "body": "List-Unsubscribe=One-Click",
    }
