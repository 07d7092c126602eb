"""What the operator types: each command does one thing, says what is wrong in one line, and keeps secrets.

Interface section 2; rows CAP-05, CAP-06, KEY-02, MIN-03; section 7 of the issue: wrong settings, old schema.
"""

import json
import logging
import os
import pty
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bridge.bootstrap import Bridge
from bridge.cli import main
from bridge.cli.options import progress
from bridge.handlers import server
from bridge.logs import start_logging
from bridge.settings import read_env_file
from bridge.store import StoreAway
from bridge.vault import parse_keys
from bridge.vocabulary import EventType, Report, rfc3339
from tests.conftest import House, Reader
from tests.served import free_port

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder and an environment of the test's own; commands set logging up, which is undone."""
    kept, handlers, level = dict(os.environ), logging.getLogger().handlers[:], logging.getLogger().level
    for name in kept:
        if name.startswith("BRIDGE_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    os.environ.clear()
    os.environ.update(kept)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


Run = Callable[..., Result]


@pytest.fixture
def shop(home: House) -> House:
    """A house whose clock is near the real one, which commands read."""
    home.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    return home


@pytest.fixture
def an(shop: House) -> Reader:
    """An reads."""
    return Reader(shop, "an.vandenberg@lezer.example")


@pytest.fixture
def run(shop: House) -> Run:
    """Type a command in that house's environment: `run("may-mail", "an@…", "newsletter")`."""

    def typed(*words: str, stdin: str | None = None, **settings: str | None) -> Result:
        return CliRunner().invoke(main, words, input=stdin, env={**shop.environment, **settings})

    return typed


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command there is."""
    for name, command in sorted(group.commands.items()):
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def refused(result: Result, *says: str) -> None:
    """Exit 1, with the reason and no stack of program lines."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("consent-bridge: ")
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    for words in says:
        assert words in result.stderr


# -- all of them -------------------------------------------------------------------------------------------------


def test_the_commands_of_this_issue_are_there():
    """Section 6 of the issue."""
    there = {" ".join(path) for path in commands(main)}
    assert there >= {
        "demo", "init", "serve", "dispatch", "db upgrade", "db check", "sandbox", "may-mail", "evidence", "verify",
        "keys new", "keys list",
    }  # fmt: skip


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path):
    """`--help` with an example that begins with the command itself."""
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    if not isinstance(command, click.Group):
        assert f"Example: consent-bridge {' '.join(path)}" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("dance",),
        ("may-mail",),
        ("may-mail", "an@lezer.example"),
        ("may-mail", "an@lezer.example", "newsletter", "--at", "yesterday"),
        ("serve", "--port", "0"),
        ("serve", "--port", "many"),
        ("dispatch", "--workers", "0"),
        ("verify", "--env-file", "/nowhere/.env"),
        ("db", "downgrade"),
    ],
)
def test_a_wrong_call_is_told_apart(run, words):
    """Exit 2: the call is wrong, nothing was looked at."""
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("words", [("verify",), ("db", "check"), ("may-mail", "a@b.example", "newsletter"), ("serve",)])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"BRIDGE_BASE_URL": None}, "BRIDGE_BASE_URL is missing"),
        ({"BRIDGE_LINK_KEYS": "geheim"}, "BRIDGE_LINK_KEYS: key 1"),
        ({"BRIDGE_BASEURL": "x"}, "did you mean BRIDGE_BASE_URL?"),
        ({"BRIDGE_DATABASE_URL": "mysql://u:geheim@h/d"}, "BRIDGE_DATABASE_URL must begin with"),
    ],
)
def test_a_wrong_setting_is_one_line(run, words, settings, says):
    """The setting, the fix, no secret, no program lines."""
    result = run(*words, **settings)
    refused(result, says)
    assert len(result.stderr.splitlines()) == 1
    assert "geheim" not in result.output


# -- init --------------------------------------------------------------------------------------------------------


def test_init_writes_a_starter_that_works_as_it_is(tmp_path):
    """Section 2 of the issue: a starter a newspaper could use tomorrow; `db upgrade` and a start succeed in it."""
    folder = Path("my-list")
    result = CliRunner().invoke(main, ["init", str(folder)])
    assert result.exit_code == 0, result.output
    assert "BACK UP THESE KEYS" in result.output
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    secrets = read_env_file(folder / ".env")
    for name in ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS"):
        (key,) = parse_keys(name, secrets[name])
        assert len(key.secret) == 32
        assert secrets[name] not in result.output

    os.chdir(folder)
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 1
    done = CliRunner().invoke(main, ["db", "upgrade"])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 0
    assert CliRunner().invoke(main, ["verify"]).exit_code == 0
    bridge = Bridge.from_env(read_env_file(Path(".env")))
    bridge.ready()
    bridge.database.engine.dispose()


@pytest.mark.parametrize("there", ["policy.toml", ".env", "notices"])
def test_init_never_overwrites(there):
    """What is there stays as it is, and nothing is added."""
    folder = Path("my-list")
    folder.mkdir()
    if there == "notices":
        (folder / there).mkdir()
    else:
        (folder / there).write_text("mine")
    refused(CliRunner().invoke(main, ["init", str(folder)]), there, "never overwritten")
    assert [path.name for path in folder.iterdir()] == [there]


def test_init_where_a_file_is_in_the_way():
    """One line."""
    Path("my-list").write_text("a file")
    refused(CliRunner().invoke(main, ["init", "my-list"]), "my-list")


def test_two_starters_share_no_key():
    """No default secrets."""
    for name in ("one", "two"):
        CliRunner().invoke(main, ["init", name])
    one, two = (read_env_file(Path(name) / ".env") for name in ("one", "two"))
    for name in ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS"):
        assert one[name] != two[name]


# -- the database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("serve",), ("dispatch", "--once"), ("verify",), ("db", "check")])
def test_an_old_schema_is_refused_with_the_command_that_mends_it(run, tmp_path, words):
    """Section 7: nothing is guessed, nothing half-written."""
    result = run(*words, BRIDGE_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    refused(result, "consent-bridge db upgrade")


def test_upgrading_twice_does_nothing_the_second_time(run, tmp_path):
    """Idempotent, and it says which."""
    url = f"sqlite:///{tmp_path}/new.db"
    assert "now at schema" in run("db", "upgrade", BRIDGE_DATABASE_URL=url).output
    assert "current already" in run("db", "upgrade", BRIDGE_DATABASE_URL=url).output
    assert "is current" in run("db", "check", BRIDGE_DATABASE_URL=url).output


def test_a_database_that_is_away_is_one_line(run):
    """No driver's words, no password."""
    result = run("db", "check", BRIDGE_DATABASE_URL="postgresql+psycopg://carla:geheim@127.0.0.1:1/x")
    refused(result, "the store is away", "Nothing was changed")
    assert "geheim" not in result.output


def test_a_locked_database_is_one_line(run, shop, monkeypatch):
    """Section 7: database locked."""
    monkeypatch.setitem(Bridge.__init__.__kwdefaults__, "busy_seconds", 0.1)
    holder = sqlite3.connect(shop.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    result = run("dispatch", "--once")
    holder.close()
    refused(result, "try again in a moment")


# -- may-mail ----------------------------------------------------------------------------------------------------


def test_may_mail_says_yes_with_its_reason(run, an):
    """Interface section 5."""
    an.has_consented()
    result = run("may-mail", an.email, "newsletter")
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "yes (given)"
    assert "by reader (confirm-page)" in result.output


def test_may_mail_says_no_in_the_exact_shape(run, an, shop):
    """Interface section 5: `{"may": false, "status": "withdrawn", "why": ["withdrawn …Z by reader (one-click)"]}`."""
    an.has_consented()
    moment = rfc3339(shop.clock())
    an.one_click()
    result = run("may-mail", an.email, "newsletter", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "may": False,
        "status": "withdrawn",
        "why": [f"withdrawn {moment} by reader (one-click)"],
    }
    assert list(json.loads(result.stdout)) == ["may", "status", "why"]


def test_may_mail_at_a_past_moment_answers_as_it_was_known_then(run, an, shop):
    """`--at`: before, between and after."""
    start = shop.clock()
    an.has_consented()
    given = shop.clock()
    shop.clock.forward(minutes=10)
    an.one_click()
    shop.clock.forward(minutes=10)
    expected = {rfc3339(start - timedelta(hours=1)): False, rfc3339(given): True, rfc3339(shop.clock()): False}
    for moment, may in expected.items():
        result = run("may-mail", an.email, "newsletter", "--json", "--at", moment)
        assert json.loads(result.stdout)["may"] is may, moment


def test_an_address_may_come_from_standard_input(run, an):
    """Decision 34: so that it is in no shell history and no process list."""
    an.has_consented()
    assert run("may-mail", "-", "newsletter", stdin=f"{an.email}\n").output.startswith("yes")
    assert "withdraw" not in run("evidence", "-", "--json", stdin=f"{an.email}\n").stderr


@pytest.mark.parametrize("words", [("may-mail", "-", "newsletter"), ("evidence", "-")])
def test_no_address_is_no_answer(run, words):
    """An empty line is not somebody."""
    refused(run(*words, stdin=""), "no address was given")


def test_an_unknown_purpose_is_named_with_those_there_are(run, an):
    """A misspelt purpose must not look like a "no"."""
    refused(run("may-mail", an.email, "newsleter"), "newsleter", "newsletter, offers")


def test_an_unknown_address_may_not_be_mailed(run):
    """SND-01: unknown is no; it is an answer, so exit 0."""
    result = run("may-mail", "bram@lezer.example", "newsletter", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"may": False, "status": "unknown", "why": ["no yes on record"]}


# -- evidence ----------------------------------------------------------------------------------------------------


def test_evidence_holds_every_event_with_its_proof(run, an, shop):
    """CAP-05: who, when, how, which words; for people and for programs."""
    an.has_consented()
    an.one_click()
    found = json.loads(run("evidence", an.email, "--json").stdout)
    words = shop.bridge.notices.wording("newsletter", "nl")

    assert found["address"] == an.email
    assert [event["type"] for event in found["events"]] == ["requested", "given", "withdrawn"]
    given = found["events"][1]
    assert given["words shown"] == {"label": words.label, "text": words.text}
    assert given["proof"]["wording"] == words.sha256
    assert given["proof"]["language"] == "nl"
    assert {"time", "received", "asked", "method", "channel", "wording version", "event"} <= given.keys()
    assert found["standing"]["newsletter"]["may"] is False

    text = run("evidence", an.email).stdout
    assert words.label in text
    assert "uitschrijfknop" in text
    assert an.email in text


def test_evidence_is_written_for_its_owner_only(run, an):
    """Mode 0600; what is there is never overwritten."""
    an.has_consented()
    result = run("evidence", an.email, "--out", "case-12")
    assert result.exit_code == 0, result.output
    files = sorted(Path("case-12").iterdir())
    assert [file.name for file in files] == ["evidence.html", "evidence.json", "evidence.txt"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert json.loads(files[1].read_text())["address"] == an.email
    refused(run("evidence", an.email, "--out", "case-12"), "evidence.json")


def test_evidence_of_nobody(run):
    """Exit 1, in words."""
    refused(run("evidence", "bram@lezer.example"), "no such person")


def test_what_is_asked_for_stands_in_no_log(run, an):
    """MIN-03: neither address nor token on standard error, at any log level."""
    an.has_consented()
    token = an.link("/u/").rpartition("/")[2]
    for words in (("may-mail", an.email, "newsletter"), ("evidence", an.email), ("dispatch", "--once"), ("verify",)):
        result = run(*words, BRIDGE_LOG_LEVEL="DEBUG")
        assert result.exit_code == 0, result.output
        assert an.email not in result.stderr
        assert token not in result.stderr


# -- verify ------------------------------------------------------------------------------------------------------


def test_verify_says_that_the_history_is_whole(run, an):
    """CAP-06."""
    an.has_consented()
    result = run("verify")
    assert result.exit_code == 0
    assert "1 people, 2 events, 0 erased events" in result.stdout
    assert "the history is whole" in result.stdout
    told = json.loads(run("verify", "--json").stdout)
    counts = {"people": 1, "events": 2, "erased": 0, "checkpoints": 0, "uncovered": 2}
    assert told == {**counts, "problems": []}


def test_verify_names_the_damaged_event_and_fails(run, an, shop):
    """CAP-06: one flipped byte, found and named; exit 1."""
    an.has_consented()
    path = shop.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")
    with sqlite3.connect(path) as db:
        kept = db.execute("SELECT name, sql FROM sqlite_master WHERE type='trigger' AND tbl_name='events'").fetchall()
        for name, _ in kept:
            db.execute(f"DROP TRIGGER {name}")
        (sealed,) = db.execute("SELECT sealed FROM events WHERE number = 2").fetchone()
        db.execute("UPDATE events SET sealed = ? WHERE number = 2", (bytes([sealed[0] ^ 1]) + sealed[1:],))
        for _, sql in kept:
            db.execute(sql)
    db.close()

    result = run("verify")
    assert result.exit_code == 1
    person = shop.store.person(an.email)
    assert f"{person.id}/2" in result.stdout or (person.id in result.stdout and "2" in result.stdout)
    told = json.loads(run("verify", "--json").stdout)
    assert told["problems"]
    assert run("verify", "--json").exit_code == 1


def test_a_slow_command_shows_a_bar_on_a_terminal():
    """Interface section 2: on standard error, on a terminal, after a second; else nothing."""
    shown = {seconds: _on_a_terminal(seconds) for seconds in (0.0, 60.0)}
    assert "checking the history" in shown[0.0]
    assert "100%" in shown[0.0]
    assert shown[60.0] == ""


def _on_a_terminal(patience: float) -> str:
    main_end, other = pty.openpty()
    with os.fdopen(other, "w") as terminal:
        with progress("checking the history", terminal, patience) as tell:
            for done in (1, 5, 10):
                tell(done, 10)
        terminal.write("|")
        terminal.flush()
        seen = ""
        while not seen.endswith("|"):  # a terminal gives what was written in pieces
            seen += os.read(main_end, 10_000).decode()
    os.close(main_end)
    return seen.removesuffix("|")


def test_a_bar_is_for_terminals_only(run, an):
    """A log file is not filled with bars."""
    assert "checking" not in run("verify").stderr


# -- erase -------------------------------------------------------------------------------------------------------


def test_erase_says_what_it_did_and_what_is_still_under_way(run, shop, an):
    """RGT-04: here at once; at which platform it is promised, and how many wait there; in words and as JSON."""
    an.has_consented()
    result = run("erase", an.email, "--yes")
    assert result.exit_code == 0
    assert "Erased here: profile, proof" in result.stdout
    assert "memory: promised" in result.stdout
    assert "1 waiting" in result.stdout
    assert shop.store.person(an.email) is None
    told = json.loads(run("erase", "-", "--yes", "--json", stdin=f"{an.email}\n").stdout)
    assert told == {"known": False, "platforms": ["memory"], "waiting": {"memory": 2}, "warnings": []}
    assert an.email not in result.output
    assert "2 waiting for memory erasures" in run("doctor").stdout
    shop.clock.now = datetime.now(UTC) + timedelta(seconds=1)
    shop.dispatch()
    assert an.email not in shop.esp.people


def test_erase_asks_first_and_without_anybody_to_ask_does_nothing(run, shop, an):
    """It cannot be undone: a no, or a script without --yes, leaves everything as it is."""
    an.has_consented()
    refused(run("erase", an.email), "nothing was erased", "--yes")
    refused(run("erase", "-", stdin=f"{an.email}\n"), "nothing was erased", "--yes")
    code, said = _types_on_a_terminal(shop, "n", "erase", an.email)
    assert code == 1
    assert "Erase this person for good, with all proof, here and at memory?" in said
    assert shop.store.person(an.email) is not None
    code, said = _types_on_a_terminal(shop, "y", "erase", an.email)
    assert code == 0, said
    assert shop.store.person(an.email) is None


def test_erase_by_an_address_that_she_had_before_asks_whether_it_is_she(run, shop, an):
    """RGT-04, R13: she is here under a newer address that the letter does not name."""
    an.has_consented()
    to = "an.new@lezer.example"
    moved = Report(type=EventType.MOVED, email=an.email, to=to, time=shop.clock.now, key="moved")
    shop.store.hear("memory", [moved])
    code, said = _types_on_a_terminal(shop, "n", "erase", an.email)
    assert code == 1
    assert "had it before she moved to a newer one. Is it she who asks?" in said
    assert shop.store.person(to) is not None
    result = run("erase", an.email, "--yes", "--json")
    assert json.loads(result.stdout)["moved"] is True
    assert shop.store.person(to) is None
    assert "under a newer" not in run("erase", an.email, "--yes").stdout


def _types_on_a_terminal(shop: House, answer: str, *words: str) -> tuple[int, str]:
    """Type a command, and an answer to what it asks."""
    ours, theirs = pty.openpty()
    environment = {**shop.environment, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "bridge.cli", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        os.write(ours, f"{answer}\n".encode())
        said, _ = child.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    return child.returncode, said.decode()


def test_erase_takes_no_word_that_is_no_address(run, shop):
    """A typing error is named, and not repeated: it may be most of an address."""
    refused(run("erase", "an.vandenberg", "--yes"), "no e-mail address", "nothing was written")
    refused(run("erase", "nobody@lezer.example", "--yes", BRIDGE_ADAPTERS=""), "nothing was written")
    assert shop.store.tasks()[1:] == []


def test_who_waits_at_a_platform_that_is_switched_off_is_named(run, an):
    """ESP-04: nobody tells it now, so her sealed address would stay for ever."""
    an.has_consented()
    told = json.loads(run("erase", an.email, "--yes", "--json", BRIDGE_ADAPTERS="").stdout)
    assert told["platforms"] == ["memory"]
    assert "BRIDGE_ADAPTERS does not name it" in told["warnings"][0]
    result = run("doctor", BRIDGE_ADAPTERS="")
    assert result.exit_code == 1
    assert "1 people wait to be erased at memory" in result.stdout


# -- keys --------------------------------------------------------------------------------------------------------


def test_new_keys_are_good_and_different():
    """KEY-02: one for each ring, ready to paste."""
    first, second = (CliRunner().invoke(main, ["keys", "new"]) for _ in range(2))
    lines = first.stdout.splitlines()
    assert [line.partition("=")[0] for line in lines] == ["BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS"]
    for line in lines:
        name, _, value = line.partition("=")
        assert len(parse_keys(name, value)[0].secret) == 32
    assert not set(lines) & set(second.stdout.splitlines())
    assert "keep the old ones" in first.stderr


def test_listing_keys_tells_ids_and_never_secrets(run, shop):
    """KEY-02."""
    for words in (("keys", "list"), ("keys", "list", "--json")):
        result = run(*words)
        assert result.exit_code == 0
        assert "link1" in result.stdout
        assert "vault1" in result.stdout
        for name in ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS"):
            assert shop.environment[name].partition(":")[2] not in result.output
    told = json.loads(run("keys", "list", "--json").stdout)
    assert {ring: [key["id"] for key in keys] for ring, keys in told.items()} == {
        "link": ["link1"], "vault": ["vault1"], "seal": [],
    }  # fmt: skip
    assert set(told["vault"][0]) == {"id", "use", "rows", "may_be_dropped", "why"}


# -- settings from a file ----------------------------------------------------------------------------------------


def test_settings_are_read_from_a_file(shop):
    """`--env-file`, and `.env` in the folder when nothing is set; what is set wins."""
    lines = "".join(f"{name}={value}\n" for name, value in shop.environment.items())
    Path("mine.env").write_text(lines)
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 1
    assert CliRunner().invoke(main, ["db", "check", "--env-file", "mine.env"]).exit_code == 0
    wrong = CliRunner().invoke(main, ["db", "check", "--env-file", "mine.env"], env={"BRIDGE_BASE_URL": "nonsense"})
    refused(wrong, "BRIDGE_BASE_URL")


def test_the_folders_own_env_is_found(shop):
    """`cd my-list && consent-bridge …`."""
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in shop.environment.items()))
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 0
    named = CliRunner().invoke(main, ["db", "check"], env={"BRIDGE_OPERATOR": "dora"})  # who acts, not which house
    assert named.exit_code == 0


def test_a_missing_setting_says_when_the_folders_own_env_was_not_read(shop):
    """One setting in the environment is enough to leave `.env` alone: whoever does not know that looks for hours."""
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in shop.environment.items()))
    result = CliRunner().invoke(main, ["db", "check"], env={"BRIDGE_LOG_LEVEL": "INFO"})
    refused(result, "is missing")
    assert "The .env in this folder was not read, because BRIDGE_LOG_LEVEL is set" in result.stderr
    assert "--env-file .env" in result.stderr
    asked = CliRunner().invoke(main, ["db", "check", "--env-file", ".env"], env={"BRIDGE_LOG_LEVEL": "INFO"})
    assert asked.exit_code == 0
    wrong = CliRunner().invoke(main, ["db", "check"], env={**shop.environment, "BRIDGE_BASE_URL": "nonsense"})
    assert ".env" not in wrong.stderr, "what is there and wrong has nothing to do with it"


def test_a_broken_env_file_is_one_line():
    """The line's number, not its content."""
    Path(".env").write_text("BRIDGE_LINK_KEYS geheim\n")
    result = CliRunner().invoke(main, ["db", "check"])
    refused(result, ".env, line 1")
    assert "geheim" not in result.output


# -- dispatch and serve ------------------------------------------------------------------------------------------


def test_dispatch_once_sends_what_is_due(run, an, shop):
    """CON-01: a program of its own, on the same database."""
    an.signs_up()
    result = run("dispatch", "--once")
    assert result.exit_code == 0
    assert "work done: 1" in result.stdout
    assert len(shop.mailbox.to(an.email)) == 1
    assert "work done: 0" in run("dispatch", "--once").stdout


def test_dispatch_ends_in_good_order_when_told(shop, an):
    """A service manager says TERM: what is held is finished, the program ends by itself."""
    told = [sys.executable, "-u", "-c", _DISPATCH]
    environment = {**shop.environment, "PATH": os.environ["PATH"]}
    with subprocess.Popen(told, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"running\n"
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


#: The command itself, which says when it has started: then the test knows when to end it.
_DISPATCH = """
import threading
from bridge.cli import main
from bridge.jobs.dispatch import Dispatcher
class Telling(Dispatcher):
    def start(self, workers=1):
        super().start(workers)
        print("running")
import bridge.jobs.dispatch
bridge.jobs.dispatch.Dispatcher = Telling
main(["dispatch"], standalone_mode=False)
"""


def test_several_processes_serve_on_postgresql_and_share_its_connections(house, monkeypatch):
    """Decision 22: SQLite has one writer. PostgreSQL as it comes refuses the hundred-and-first connection; `make load`
    found eight processes and four dispatchers with 93."""
    made = []
    monkeypatch.setattr("granian.Granian.serve", lambda _: made.append(server.application()))
    words = ["serve", "--workers", "8", "--no-dispatch", "--port", str(free_port())]
    result = CliRunner().invoke(main, words, env=house.environment)
    if house.bridge.database.dialect == "sqlite":
        assert result.exit_code == 1
        assert "SQLite has one writer" in result.output
        return
    assert result.exit_code == 0, result.output
    pool = made[0].bridge.database.engine.pool
    assert pool.size() + pool._max_overflow == 8
    made[0].bridge.database.engine.dispose()


def test_a_lost_connection_is_one_line_and_no_traceback(house, capsys):
    """MIN-03, found by `make load`: the pool's traceback quoted what the driver said. That the store is away is enough."""
    database = house.bridge.database
    if database.dialect == "sqlite":
        return  # it has no connection to lose
    start_logging("INFO", "text")
    with pytest.raises(StoreAway):
        database.write(lambda hand: hand.cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert capsys.readouterr().err == ""


def test_the_served_application_is_ready(shop, monkeypatch):
    """`serve` runs this factory; `--no-dispatch` leaves the sending to another program."""
    for name, value in {**shop.environment, server.NO_DISPATCH: "1"}.items():
        monkeypatch.setenv(name, value)
    app = server.application()
    assert app.test_client().get("/healthz").status_code == 200
    assert app.test_client().get("/readyz").status_code == 200
    app.bridge.database.engine.dispose()


@pytest.mark.parametrize(
    ("no_dispatch", "threads"),
    [
        (
            "",
            [
                "breaches-0",
                "checkpoints",
                "mail-0",
                "memory erasures-0",
                "memory jobs-0",
                "memory looks-0",
                "memory stops-0",
                "memory-0",
                "purge",
                "questions",
                "withdrawal clock",
            ],
        ),
        ("1", ["parked stops"]),
    ],
)
def test_the_dispatcher_is_inside_unless_told_not_to(shop, no_dispatch, threads):
    """One process, one writer."""
    script = (
        "import threading; from bridge.handlers.server import application; application();"
        "print(sorted(t.name for t in threading.enumerate() if t is not threading.main_thread()))"
    )
    environment = {**shop.environment, "PATH": os.environ["PATH"], server.NO_DISPATCH: no_dispatch}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == str(threads)


def test_logs_may_be_json(run, an, shop):
    """Interface section 3: one JSON object a line, for programs."""
    shop.mailbox.refuse.add(an.email)
    an.signs_up()
    result = run("dispatch", "--once", BRIDGE_LOG_FORMAT="json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert any("refused" in line["message"] for line in lines)
    for line in lines:
        assert set(line) == {"time", "level", "logger", "message"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
        assert an.email not in line["message"]


def test_the_story_a_command_tells_is_the_stores(run, an):
    """Nothing but the store decides what a command says."""
    an.has_consented()
    events: list[Any] = [event.type for event in an.story()]
    assert events == [EventType.REQUESTED, EventType.GIVEN]
    assert run("may-mail", an.email.upper(), "newsletter").output.startswith("yes")
