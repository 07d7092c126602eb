"""The machine under the figures: cores, CPU clocks, and what kind it is (never its name)."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil

SERVER_CORE, LOAD_CORE = 0, 1


def can_pin() -> bool:
    """Whether programs can be kept on cores of their own here."""
    return hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process on one core for a while; what it starts meanwhile stays there."""
    if not can_pin():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(processes: Iterable[int]) -> float:
    """CPU that these processes took so far, all their threads; who is gone counts nothing."""
    return sum(_of_one(pid) for pid in processes)


def _of_one(pid: int) -> float:
    try:
        if sys.platform == "linux":  # the kernel's own clock of a process: nanoseconds, where psutil has hundredths
            return time.clock_gettime((~pid << 3) | 2)
        times = psutil.Process(pid).cpu_times()
    except (OSError, psutil.Error):
        return 0.0
    return float(times.user + times.system)


def family(pid: int) -> list[int]:
    """A process and all it started."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return [pid]


def peak() -> float:
    """Most megabytes this process ever took; what it was forked from is in no count but the kernel's own of it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def kind() -> str:
    """What kind of machine this is; no name of it."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    return f"{platform.system()} {platform.machine()}, {model or 'CPU of unknown kind'}, {os.cpu_count()} cores"


@contextmanager
def bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where somebody looks: call what is given with how many more are done."""
    with click.progressbar(
        length=length, label=f"{label:<40}", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as shown:
        yield lambda more: shown.update(min(more, max(0, length - shown.pos)))


def say(text: str) -> None:
    """One line about what is going on, on stderr."""
    click.echo(text, err=True)
