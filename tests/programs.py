"""Programs of ours as they run on a server: started, waited for, told to end."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent

COMMAND = (sys.executable, "-m", "bridge.cli")
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "python:bridge.handlers.gunicorn")


def until(look: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait for something that happens in another process."""
    pause, end, moment = threading.Event(), time.monotonic() + seconds, 0.001
    while time.monotonic() < end:
        if look():
            return
        pause.wait(moment)
        moment = min(2 * moment, 0.02)
    raise AssertionError(f"never: {what}")


class Program:
    """One that runs, with its standard error in `NAME.log`."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self._log = process, log

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def ends(self, word: signal.Signals = signal.SIGTERM, seconds: float = 40.0) -> int:
        """Tell it to end and wait until it has; its exit code."""
        self.process.send_signal(word)
        return self.process.wait(seconds)


@contextmanager
def running(
    command: tuple[str, ...], environment: Mapping[str, str], folder: Path, name: str = "program", **more: object
) -> Iterator[Program]:
    """A program in that folder, until the end of the block."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment}
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=folder, env=told, stdout=out, stderr=out, **more)  # type: ignore[call-overload]  # as the caller says
    try:
        yield Program(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def ask(
    port: int, path: str, data: Mapping[str, str] | None = None, *, seconds: float = 30, **headers: str
) -> tuple[int, str]:
    """One request on a line of its own: status and body; 0 when nobody answers."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        if data is None:
            line.request("GET", path, headers=told)
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded", **told}
            line.request("POST", path, urlencode(data), form)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        line.close()


def is_up(port: int) -> bool:
    """Whether its pages are ready."""
    return ask(port, "/readyz")[0] == 200
