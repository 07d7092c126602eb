"""Servers on one core, requests from another, and the CPU that the servers took."""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import NamedTuple

from bench import machine

#: Seconds until somebody who does not answer is given up; on a machine in use everything takes longer.
PATIENCE = 300.0


class Cost(NamedTuple):
    """What some requests took."""

    requests: int
    failed: int  # answered with something else than 200
    cpu: float  # seconds of the server, all its processes
    backends: float  # seconds of the database server's processes that work for it
    seconds: float
    waits: tuple[float, ...]  # seconds of each request, sorted
    generator: float  # share of its core that asking took

    @property
    def milliseconds(self) -> float:
        """CPU of the server for one request."""
        return self.cpu / self.requests * 1000

    @property
    def together(self) -> float:
        """The same with the database server's."""
        return (self.cpu + self.backends) / self.requests * 1000

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.failed) / self.seconds

    def wait(self, share: float) -> float:
        """Milliseconds in which that share of the requests was answered."""
        return self.waits[min(len(self.waits) - 1, int(len(self.waits) * share))] * 1000


class Server(NamedTuple):
    """A program that answers."""

    pid: int
    port: int
    backends: Callable[[], list[int]]


@contextmanager
def server(
    target: str, environment: Mapping[str, str], *, threads: int, backends: Callable[[], list[int]] = list
) -> Iterator[Server]:
    """A granian server on the server's core, one worker, the same for both sides."""
    port = free_port()
    options = ["--interface", "wsgi", "--factory", "--workers", "1", "--blocking-threads", str(threads)]
    options += ["--backpressure", "64", "--log-level", "error"]
    command = [sys.executable, "-m", "granian", "--host", "127.0.0.1", "--port", str(port), *options, target]
    with machine.pinned(machine.SERVER_CORE):
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        _until_it_answers(port, process)
        yield Server(process.pid, port, backends)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _until_it_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise SystemExit("a server did not start")


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(token: str) -> bytes:
    """A browser opens a preference link."""
    return (
        f"GET /preferences/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nAccept-Language: nl\r\n\r\n"
    ).encode()


def click(token: str) -> bytes:
    """A mail program posts its one click (RFC 8058)."""
    body = "List-Unsubscribe=One-Click"
    return (
        f"POST /u/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def measure(asked: Server, requests: Sequence[bytes], connections: int, *, patient: bool = False) -> Cost:
    """Send these over kept connections, each asking again when it has its answer.

    Every answer must be 200, or the figures would mean nothing; `patient` counts other answers instead.
    """
    own, theirs = machine.family(asked.pid), asked.backends()
    with machine.pinned(machine.LOAD_CORE):
        before, before_theirs = machine.cpu_seconds(own), machine.cpu_seconds(theirs)
        started, mine = time.perf_counter(), time.process_time()
        waits, failed = _drive(asked.port, requests, connections)
        seconds, asking = time.perf_counter() - started, time.process_time() - mine
    cost = Cost(
        requests=len(requests),
        failed=failed,
        cpu=machine.cpu_seconds(own) - before,
        backends=machine.cpu_seconds(theirs) - before_theirs,
        seconds=seconds,
        waits=tuple(sorted(waits)),
        generator=asking / seconds,
    )
    if failed and not patient:
        raise SystemExit(f"{failed} of {len(requests)} measured requests failed: the figures would mean nothing")
    return cost


class _Connection:
    """One kept connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got, self._asked = b"", 0.0

    def ask(self, request: bytes) -> None:
        """Send; requests are far smaller than the socket's buffer."""
        self._got, self._asked = b"", time.perf_counter()
        self.socket.sendall(request)

    def take(self) -> tuple[bool, float] | None:
        """What has come; once the answer is whole, whether it was 200 and how long it took."""
        some = self.socket.recv(65536)
        if not some:
            raise SystemExit("a server closed a measured connection: the figures would mean nothing")
        self._got += some
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return None
        _, _, rest = head.lower().partition(b"content-length:")
        if len(body) < int(rest.partition(b"\r\n")[0] or 0):
            return None
        return head.startswith(b"HTTP/1.1 200"), time.perf_counter() - self._asked


def _drive(port: int, requests: Sequence[bytes], connections: int) -> tuple[list[float], int]:
    todo, waits, failed = deque(requests), list[float](), 0
    with ExitStack() as stack, selectors.DefaultSelector() as chosen:
        for _ in range(min(connections, len(todo))):
            connection = _Connection(port)
            stack.callback(connection.socket.close)
            chosen.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(todo.popleft())
        while len(waits) < len(requests):
            ready = chosen.select(PATIENCE)
            if not ready:
                raise SystemExit("a server left a measured request without an answer for minutes")
            for key, _ in ready:
                answered = key.data.take()
                if answered is None:
                    continue
                good, wait = answered
                waits.append(wait)
                failed += not good
                if todo:
                    key.data.ask(todo.popleft())
    return waits, failed


def rounds(sides: Sequence[Callable[[int], Cost]], count: int) -> list[list[Cost]]:
    """Each side in turn, some rounds of all (ABAB); the first is not counted. Costs by side."""
    costs: list[list[Cost]] = [[] for _ in sides]
    for number in range(count + 1):
        for side, told in zip(sides, costs, strict=True):
            cost = side(number)
            if number:
                told.append(cost)
    return costs


def steadiest(costs: Sequence[Cost]) -> Cost:
    """The round with the least CPU a request: other programs can only add to it."""
    return min(costs, key=lambda cost: cost.together)
