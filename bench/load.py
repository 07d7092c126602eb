"""Servers on one core, requests from another, and the CPU that the servers took."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import NamedTuple

import psutil

SERVER_CORE, LOAD_CORE = 0, 1


class Cost(NamedTuple):
    """What some requests took."""

    requests: int
    cpu: float  # seconds of the server, all its processes
    seconds: float

    @property
    def milliseconds(self) -> float:
        """CPU of the server for one request."""
        return self.cpu / self.requests * 1000


def pin(core: int) -> bool:
    """Keep this process on one core, where the system and the machine allow it."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        return False
    os.sched_setaffinity(0, {core})
    return True


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(target: str, port: int, environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A granian server on the server's core: the same for both sides, one worker."""
    options = ["--interface", "wsgi", "--factory", "--workers", "1", "--blocking-threads", "4", "--log-level", "error"]
    command = [sys.executable, "-m", "granian", "--host", "127.0.0.1", "--port", str(port), *options, target]
    pin(SERVER_CORE)
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    pin(LOAD_CORE)
    try:
        _wait(port, process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            if _ask(HTTPConnection("127.0.0.1", port, timeout=2), "GET", "/healthz") == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server did not start")


def measure(process: psutil.Process, port: int, method: str, paths: Sequence[str]) -> Cost:
    """Send these requests over one kept connection; every answer must be 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    before, started = _cpu(process), time.perf_counter()
    for path in paths:
        status = _ask(connection, method, path)
        if status != 200:
            raise SystemExit(f"a measured request answered {status}: the figures would mean nothing")
    cost = Cost(len(paths), _cpu(process) - before, time.perf_counter() - started)
    connection.close()
    return cost


def _ask(connection: HTTPConnection, method: str, path: str) -> int:
    body, headers = None, {"Accept": "text/html"}
    if method == "POST":
        body, headers = "List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _cpu(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)
