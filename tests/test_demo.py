"""`make demo`: everything embedded starts, plays its story, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from bridge.cli.demo import free_port

COMMAND = [sys.executable, "-m", "bridge.cli"]
DEMO = [*COMMAND, "demo"]


def test_the_whole_story_holds(tmp_path: Path) -> None:
    """Reader, both mailing platforms, scanner, bounce, complaint: every step is printed and holds; no file is left."""
    done = subprocess.run([*DEMO, "--check"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    steps = re.findall(r"^ *(\d+)\. (\w+) ", done.stdout, re.MULTILINE)
    assert steps == [(str(number), "ok") for number in range(1, len(steps) + 1)]
    assert len(steps) >= 15
    assert f"all {len(steps)} steps held" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_and_ends_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C, or being told to end, ends every process it started; what it made stays, answers
    questions, and holds keys for one only."""
    port = free_port()
    command = [*DEMO, "--port", str(port), "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said = []
        while "Ctrl-C" not in (line := demo.stdout.readline()):
            assert line, "it ended before it was ready"
            said.append(line)
        children = psutil.Process(demo.pid).children(recursive=True)
        assert len(children) >= 2
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert answer.status == 200
        heard = [line for child in children for line in child.net_connections() if line.status == psutil.CONN_LISTEN]
        assert len(heard) >= 3
        assert {line.laddr.ip for line in heard} <= {"127.0.0.1", "::1"}, "README: nothing leaves your machine"

        demo.send_signal(ending)
        assert demo.wait(60) == 0

    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert f"http://127.0.0.1:{port}/subscribe" in "".join(said)
    assert (tmp_path / "data" / "consent.db").exists()
    assert (tmp_path / "data" / "keys.env").stat().st_mode & 0o077 == 0
    settings = ["--env-file", str(tmp_path / "data" / ".env")]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    for question, answer in (
        (["verify"], "the history is whole"),
        (["may-mail", "an@site.example", "newsletter"], "no ("),
    ):
        said = subprocess.run([*COMMAND, *question, *settings], env=ours, capture_output=True, text=True, check=False)
        assert answer in said.stdout, said.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Nothing starts when one of its three ports is in use; the line names the port and the fix."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + 1))
        taken.listen()
        done = subprocess.run(
            [*DEMO, "--port", str(port), "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert f"port {port + 1} is taken" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "data").exists()
