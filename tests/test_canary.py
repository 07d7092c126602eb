"""MIN-03: the watch that looks at every log record of this suite (`tests/canary.py`) sees what it is there for.

Every other test proves the promise itself: it fails where anything of anybody's is logged.
"""

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.links import Action, Claim, Links
from bridge.logs import formatter, request_id, start_logging
from tests.canary import canary, leaks
from tests.conftest import BASE_URL, Clock, House

TOKEN = Links([bytes(32)], BASE_URL).token(
    Claim(action=Action.STOP, subject="ZFMPegUdwGJdWQNZpJEBjg", address="abcdefghij", made=Clock().now)
)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("mail to an.vandenberg@lezer.example refused", ["an address"]),
        ("GET /subscribe?email=an%40lezer.example", ["an address"]),
        (f"GET /u/{TOKEN}", ["a token"]),
        (f"a link: {TOKEN}", ["a token"]),
        ("welcome Kanarina", ["a name"]),
        ("key AAAAAAAAAAAAAAAAAAAAAAAAAAAA is not known", ["a key"]),
        ("subject ZFMPegUdwGJdWQNZpJEBjg refused: no such mailbox", []),
        ("POST /u/<token> 200 3 ms", []),
    ],
)
def test_it_knows_what_is_anybodys(text: str, kinds: list[str]) -> None:
    """Addresses, links, names and keys; ids and patterns of routes are none of them."""
    assert leaks(text, frozenset({"AAAAAAAAAAAAAAAAAAAAAAAAAAAA"})) == kinds


def test_no_record_escapes_it_whichever_logger_made_it(home: House) -> None:
    """Ours at every level, a library's warning, and arguments that are not in the text yet; a house's keys too."""
    with canary.catching() as found:
        logging.getLogger("bridge.web").debug("%s asked", "an@lezer.example")
        logging.getLogger("sqlalchemy.engine").warning("welcome Kanarina")
        logging.getLogger("bridge").error("wrong: %s", home.environment["BRIDGE_VAULT_KEYS"])
    kinds = [line.split(",")[0] for line in found]
    assert kinds == ["an address", "a name", "a key"]
    assert "lezer" not in str(found)


def test_it_reads_what_programs_leave(tmp_path: Path) -> None:
    """Standard error of a program that was waited for, and log files; questions and answers on a terminal are no log."""
    line = "10:00:00 INFO    bridge.dispatch: mail to an@lezer.example left"
    with canary.catching() as found:
        subprocess.run(
            [sys.executable, "-c", f"import sys; print({line!r}, file=sys.stderr)"], capture_output=True, check=True
        )
        (tmp_path / "dispatch.log").write_text("KeyError: 'an@lezer.example'\nErase an@lezer.example?\n")
        canary.look_in(tmp_path)
        (tmp_path / "dispatch.log").unlink()
    assert found == ["an address, logged by a child program's log"] * 2


def test_a_test_that_leaks_fails() -> None:
    """What `conftest` does after each test."""
    logging.getLogger("bridge").info("an@lezer.example")
    with pytest.raises(AssertionError, match="MIN-03: a log holds an address"):
        canary.check()
    canary.check()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_is_logged_by_its_kind_and_place_only(form: str) -> None:
    """Its own text quotes values; so does a traceback that Python prints by itself."""
    address = "an@lezer.example"
    try:
        {}[address]
    except KeyError:
        record = logging.LogRecord("bridge", logging.ERROR, __file__, 1, "it broke", (), sys.exc_info())
    told = formatter(form).format(record)
    assert "it broke" in told
    assert "KeyError" in told
    assert "test_canary.py" in told
    assert leaks(told) == []


def test_every_line_of_a_request_has_its_id() -> None:
    """Both forms; outside of a request there is none."""
    record = logging.LogRecord("bridge", logging.INFO, __file__, 1, "parked\nmore", (), None)
    told = request_id.set("0011223344556677")
    try:
        assert json.loads(formatter("json").format(record))["request"] == "0011223344556677"
        assert formatter("text").format(record).endswith("parked [0011223344556677]\nmore")
    finally:
        request_id.reset(told)
    assert "request" not in json.loads(formatter("json").format(record))


def test_an_error_that_nobody_caught_says_nothing_either(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the program and of a thread: `start_logging` takes over from Python, which would print the error's text."""
    start_logging("INFO", "json")
    error = KeyError("an@lezer.example")
    sys.excepthook(KeyError, error, None)
    threading.excepthook(threading.ExceptHookArgs((KeyError, error, None, None)))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["an error that nobody thought of", "a thread ended"]
    assert [line["error"] for line in lines] == ["KeyError"] * 2
    assert "lezer" not in str(lines)
