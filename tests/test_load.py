"""Under load, with processes killed and platforms that fail, everything that was promised is true afterwards.

The short form of `make load` (issue on serverless functions, point 7): the commands that an operator runs, several
processes at once, in real time. CON-01, WDR-04, ESP-03, MIN-03, decisions 16, 20 to 25.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.load.__main__ import main
from tests.load.figures import Told, table
from tests.load.run import play
from tests.torture.town import ROOT, Broken

SECONDS = 6

#: The ESPs, a dispatcher, the server and its worker.
_SERVERS = 4


@pytest.mark.parametrize(("database", "seed"), [("sqlite", 21), ("postgresql", 22)])
def test_nothing_is_lost_and_nothing_doubled_under_load(database: str, seed: int) -> None:
    """CON-01, WDR-04, ESP-03, MIN-03: every accepted act is there once, both ESPs equal it, the chain is whole."""
    told = play(seed, database, SECONDS, short=True)
    assert told.acts["confirm"] > 0
    assert sum(told.kills.values()) > 0


def test_a_run_that_broke_something_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sees a red run can make it again; it ends with 1."""

    def breaks(seed: int, database: str, seconds: float) -> Told:
        if database == "sqlite":
            raise Broken("an accepted stop is not there")
        return Told(database, "8 web workers, 4 dispatchers", seconds)

    monkeypatch.setattr("tests.load.__main__.play", breaks)
    assert main(["--seed", "7", "--seconds", "30"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("postgresql, 30 s")
    assert "an accepted stop is not there" in told.err
    assert "make load SEED=7 SECONDS=30 DATABASE=sqlite" in told.err


def test_whoever_is_killed_himself_leaves_nothing_running(tmp_path: Path) -> None:
    """Not even SIGKILL to the program that leads the run leaves a server behind."""
    command = [sys.executable, "-m", "tests.load", "--seconds", "60", "--database", "sqlite"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}) as run:
        started: list[psutil.Process] = []
        while len(started) < _SERVERS and run.poll() is None:
            started = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    assert len(started) >= _SERVERS
    assert not psutil.wait_procs(started, timeout=60)[1]


def test_the_figures_of_a_run_stand_in_a_table() -> None:
    """What is copied into a report."""
    told = Told("sqlite", "1 web worker, 1 dispatcher", 60, readers=12, maybe=1, again=3, mails=20, repeated=1)
    told.acts = Counter({"sign up": 10, "confirm": 8, "stop": 2, "sendgrid bounce": 1, "mailchimp unsubscribe": 3})
    told.pages = {"confirm": [0.01] * 99 + [0.2], "look": [0.05]}
    told.kills, told.calls = Counter({"web": 2, "dispatch": 1}), Counter({"well": 95, "error": 5})
    told.equal, told.mailed, told.memory = 151.4, 20.1, {"web": 90.2}
    shown = " ".join(table(told).split())
    for text in (
        "readers; accepted acts; acts a second 12; 24; 0.4",
        "sign-ups 10, confirmations 8, stops 2, news of platforms 4",
        "pages answered; p50, p99, longest 101; 10 ms, 50 ms, 200 ms",
        "confirm 10 ms, 200 ms, 200 ms",
        "kills survived 3: dispatch 1, web 2",
        "both platforms equal to the store 151 s after the last act (mails: 20 s)",
        "web 90 MB",
    ):
        assert text in shown
