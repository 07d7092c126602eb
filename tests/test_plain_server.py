"""The page `docs/plain-server.md` is true: its commands, in its order, on a PostgreSQL, as an operator types them.

Issue 7, points 9 and 10. What belongs to the machine (`sudo ...`) is looked at in `test_deploy.py`.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import Databases, Mailbox, _administer, _database
from tests.programs import COMMAND, GUNICORN, ROOT, Program, ask, running, until

PAGE = (ROOT / "docs" / "plain-server.md").read_text(encoding="utf-8")
AN, BRAM = "an@lezer.example", "bram@lezer.example"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
DONE = (200, "Unsubscribed.\n")

#: What is the machine's, not ours.
MACHINES = ("sudo ", "export PATH=", "cd ", "kill ", "exit", "journalctl ")

#: Starts a program with a listening socket as systemd does (sd_listen_fds(3)).
AS_SYSTEMD = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); "
    "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}; os.execv(sys.argv[2], sys.argv[2:])"
)


def lines(section: int, kind: str = "sh") -> list[str]:
    """What the page says to type in a section, or shows there."""
    (text,) = re.findall(rf"^## {section}\. .*?\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


class Server:
    """The machine: a folder for the services, an address that stays open, a database, and who is logged in."""

    def __init__(self, folder: Path, listening: socket.socket, stack: ExitStack) -> None:
        self.folder, self._listening, self._stack = folder, listening, stack
        self.port = listening.getsockname()[1]
        self.typed: list[str] = []
        self.programs: dict[str, Program] = {}

    def types(self, line: str, **environment: str) -> str:
        """One line of the page; gives what it prints."""
        self.typed.append(line)
        words = shlex.split(line)
        if line.startswith(MACHINES):
            return ""
        if words[0] == "curl":
            headers = (
                {"Authorization": words[words.index("--header") + 1].partition(": ")[2]} if "--header" in words else {}
            )
            token = self.setting("BRIDGE_METRICS_TOKEN")
            path = words[-1].removeprefix("http://127.0.0.1:8080")
            status, body = ask(
                self.port, path, **{k: v.replace("$BRIDGE_METRICS_TOKEN", token) for k, v in headers.items()}
            )
            assert status == 200, line
            return body
        if words[-1] == "&":
            return self.starts(words[:-1])
        assert Path(words[0]).name == "consent-bridge", line
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        told = {"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment}
        done = subprocess.run(
            [*COMMAND, *words[1:]], cwd=self.folder, env=told, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0 or words[1] == "doctor", done.stderr
        return done.stdout

    def starts(self, words: list[str]) -> str:
        """A program that goes on."""
        known = {"gunicorn": GUNICORN[:3], "consent-bridge": COMMAND}
        command = (*known[words[0]], *words[1:])
        name, more = words[0], {}
        if name == "gunicorn":
            command = (sys.executable, "-S", "-c", AS_SYSTEMD, str(self._listening.fileno()), *command)
            more = {"pass_fds": [self._listening.fileno()]}
        self.programs[name] = self._stack.enter_context(running(command, {}, self.folder, name, **more))
        return ""

    def setting(self, name: str) -> str:
        """As `.env` has it."""
        (found,) = re.findall(rf"^{name}=(.*)$", (self.folder / ".env").read_text(), re.MULTILINE)
        return str(found)

    def set(self, told: dict[str, str]) -> None:
        """Fill in `.env`."""
        file = self.folder / ".env"
        text = file.read_text()
        for name, value in told.items():
            text = re.sub(rf"^{name}=.*\n", "", text, flags=re.MULTILINE) + f"{name}={value}\n"
        file.write_text(text)

    def is_ready(self) -> bool:
        """Whether the pages are up and find their database."""
        return ask(self.port, "/readyz", seconds=3)[0] == 200


@contextmanager
def away(server: str, name: str) -> Iterator[None]:
    """The database lets nobody in."""
    leave = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
    _administer(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", leave)
    try:
        yield
    finally:
        _administer(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The name of an empty one, as `createdb` leaves it."""
    name = f"plain_{os.getpid()}"
    _administer(postgres, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    yield name
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A plain server."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening, ExitStack() as stack:
        yield Server(tmp_path, listening, stack)


def link(mailbox: Mailbox, email: str, path: str) -> str:
    """The newest mailed link of that kind, as a path."""
    base = "https://preferences.your-domain.example"

    def found() -> list[str]:
        bodies = [mail.get_body(("plain",)) for mail in mailbox.to(email)]
        text = "\n".join(body.get_content() for body in bodies if body)
        return [word.removeprefix(base) for word in text.split() if word.startswith(base + path)]

    until(found, f"a mail with {path}")
    return found()[-1]


def signs_up(server: Server, mailbox: Mailbox, email: str) -> str:
    """By the form and the mail's button; gives the link that stops it all."""
    policy = tomllib.loads((server.folder / "policy.toml").read_text(encoding="utf-8"))
    form = {
        "email": email,
        "purpose": policy["purposes"][0]["id"],
        "channel": policy["channels"][0]["id"],
        "language": "en",
    }
    through = {
        "X_Forwarded_For": "203.0.113.7",
        "X_Forwarded_Proto": "https",
        "Host": "preferences.your-domain.example",
    }
    assert ask(server.port, "/subscribe", form, **through)[0] == 200
    assert ask(server.port, link(mailbox, email, "/confirm/"), {}, **through)[0] == 200
    return link(mailbox, email, "/u/")


def test_its_commands_in_their_order_make_a_server_that_serves(
    server: Server, mailbox: Mailbox, mail_server: tuple[str, Mailbox], postgres: str, empty_database: str
) -> None:
    """From `init` to an upgrade: a sign-up to one click through it, a database that goes away under it, a worker that is
    killed meanwhile, and a restart during which nobody meets a closed door."""
    for line in [*lines(1), *lines(2), *lines(3)]:
        server.types(line)
    shown = dict(line.split("=", 1) for line in lines(3, "text"))
    ours = {"BRIDGE_DATABASE_URL": _database(postgres, empty_database), "BRIDGE_MAIL_URL": mail_server[0]}
    server.set({**shown, **ours})

    upgrade, pages, sender, ready, doctor = lines(4)[:5]
    assert "is now at schema" in server.types(upgrade)
    server.types(pages)
    server.types(sender)
    until(server.is_ready, "the pages are up")
    assert '"status":"ready"' in server.types(ready)
    # Its own name leads nowhere from here: it is asked at this machine.
    told = server.types(f"{doctor} --env-file .env", BRIDGE_BASE_URL=f"http://127.0.0.1:{server.port}")
    assert re.search(r"^ok .*one-click", told, re.MULTILINE | re.IGNORECASE), told

    assert ask(server.port, signs_up(server, mailbox, AN), ONE_CLICK) == DONE
    stop = signs_up(server, mailbox, BRAM)
    assert server.types(f"consent-bridge may-mail {AN} newsletter").startswith("no")
    assert server.types(f"consent-bridge may-mail {BRAM} newsletter").startswith("yes")

    def answers() -> int:
        found = re.search(r'requests_total{route="GET /healthz",status="2xx"} (\d+)', server.types(lines(7)[1]))
        return int(found[1]) if found else 0

    before = answers()
    for _ in range(20):
        ask(server.port, "/healthz")
    assert [answers() - before for _ in range(4)] == [20] * 4, "of all workers together, whichever is asked"
    figures = server.types(lines(7)[1])
    assert "/u/<token>" in figures
    assert stop not in figures

    workers = psutil.Process(server.programs["gunicorn"].process.pid).children()
    assert len(workers) == 2
    with away(postgres, empty_database):
        workers[0].kill()
        until(lambda: server.programs["gunicorn"].log().count("Booting worker") == 3, "another worker instead")
        assert ask(server.port, stop, ONE_CLICK) == DONE
        assert "consent_bridge_database_up 0" in server.types(lines(7)[1])
        assert (server.folder / "parked.stops").stat().st_size
        assert ask(server.port, "/subscribe")[0] == 200
    until(lambda: not (server.folder / "parked.stops").stat().st_size, "the parked stop is written")
    assert server.types(f"consent-bridge may-mail {BRAM} newsletter").startswith("no")

    *upgrades, restart, check = lines(8)
    (server.folder / "backups").mkdir()
    for line in upgrades:
        server.types(line)
    with ThreadPoolExecutor(1) as others:
        old = server.programs["gunicorn"]
        old.process.terminate()
        click = others.submit(ask, server.port, stop, ONE_CLICK)
        assert old.process.wait(40) == 0, old.log()
        assert "systemctl restart" in restart
        server.types(pages)
        assert click.result(30) == DONE
    assert server.programs["consent-bridge"].ends() == 0
    assert server.types(check).startswith("the database is current")
    assert server.programs["gunicorn"].ends(signal.SIGTERM) == 0
    assert "Traceback" not in old.log()

    page = [line for number in range(1, 9) for line in lines(number)]
    told_but_not_typed = {line for line in page if line not in server.typed and not line.startswith(MACHINES)}
    assert told_but_not_typed == {doctor}


def test_it_does_not_start_with_what_is_wrong(server: Server, tmp_path: Path) -> None:
    """One line that names it and the fix, before there is any worker; exit 1."""
    server.types("consent-bridge init .")
    wrong = {"BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'consent.db'}"}
    for told, said in (
        ({}, "run: consent-bridge db upgrade"),
        ({"BRIDGE_BASE_URL": "http://x.example"}, "must be https"),
    ):
        server.set({**wrong, **told})
        server.starts(["gunicorn", "--config", "python:bridge.handlers.gunicorn"])
        program = server.programs["gunicorn"]
        assert program.process.wait(40) == 1
        assert program.log().count("consent-bridge: ") == (said == "must be https") + 1, "one line each time"
        assert said in program.log().splitlines()[-1]
        assert "Booting worker" not in program.log()


def test_gunicorn_tells_nothing_of_a_request_that_is_none(server: Server, postgres_databases: Databases) -> None:
    """MIN-03: its own lines would name the sender and what was sent; ours say only that it was refused."""
    with postgres_databases.one() as url:
        server.types("consent-bridge init .")
        server.set({"BRIDGE_DATABASE_URL": url, "BRIDGE_LOG_FORMAT": "json"})
        server.starts(["gunicorn", "--config", "python:bridge.handlers.gunicorn", "--workers", "1"])
        until(server.is_ready, "the pages are up")
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(b"GET /u/ImFuQGxlemVyLmV4YW1wbGUi.an@lezer.example not-http\r\n\r\n")
            assert b" 400 " in line.recv(200)
        program = server.programs["gunicorn"]
        assert program.ends() == 0
    assert "a request was refused that is none" in program.log()
    assert "lezer" not in program.log()
    assert "127.0.0.1" not in program.log().partition("refused")[2].partition("\n")[0]
