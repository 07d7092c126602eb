"""What commands share: settings from the environment or a file, JSON output, errors in one line."""

import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

import click

from bridge.bootstrap import START_ERRORS, Bridge
from bridge.logs import start_logging
from bridge.settings import BadSetting, MissingSetting, read_env_file
from bridge.store import BadInput, OldSchema, StoreAway, StoreBroken, UnknownSubject
from bridge.vault import Sealed

#: What is called with the bridge once it is there and checked (`bridge.cli.staff`).
READY = "bridge.cli.ready"

#: Why the folder's own settings were left alone; said when one is missing.
_UNREAD = "bridge.cli.unread"
_WHO = "BRIDGE_OPERATOR"

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_Found = TypeVar("_Found")


def env_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--env-file FILE`: settings as NAME=value lines; `.env` in the current folder is read when nothing is set."""

    @click.option(
        "--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Settings: NAME=value lines."
    )
    @functools.wraps(command)
    def with_settings(env_file: Path | None, **options: Any) -> Any:
        load_environment(env_file)
        return command(**options)

    return with_settings


def load_environment(file: Path | None) -> Path | None:
    """Put the settings of a file into the environment; what is set there already wins. Gives the file that was read.

    `BRIDGE_OPERATOR` says who acts and nothing of the house: set alone, the folder's own `.env` is read all the same.
    """
    if file is None and Path(".env").is_file():
        ours = next((name for name in sorted(os.environ) if name.startswith("BRIDGE_") and name != _WHO), None)
        if ours is None:
            file = Path(".env")
        else:
            click.get_current_context().meta[_UNREAD] = (
                f". The .env in this folder was not read, because {ours} is set in the environment: "
                "name it with --env-file .env"
            )
    try:
        for name, value in read_env_file(file).items() if file else ():
            os.environ.setdefault(name, value)
    except BadSetting as error:
        fail(str(error))
    return file


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the answer for programs."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(command)


def errors_in_a_line(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say what is wrong and what to do, without a stack of program lines; exit 1."""

    @functools.wraps(command)
    def guarded(**options: Any) -> Any:
        try:
            return command(**options)
        except MissingSetting as error:
            fail(str(error) + click.get_current_context().meta.get(_UNREAD, ""))
        except START_ERRORS as error:
            fail(str(error))
        except (OldSchema, BadInput, UnknownSubject) as error:
            fail(str(error))
        except Sealed:
            fail("something that is needed here cannot be opened: run consent-bridge verify")
        except StoreAway as error:
            fail(f"the store is away: {error}. Nothing was changed; try again in a moment")
        except StoreBroken as error:
            fail(f"the database refused a statement ({error}). Nothing was changed; run: consent-bridge db check")
        except OSError as error:
            fail(f"{error.filename or 'system'}: {error.strerror or type(error).__name__}")

    return guarded


def make_bridge(*, ready: bool = True) -> Bridge:
    """The bridge of this environment, checked."""
    bridge = Bridge.from_env()
    start_logging(bridge.settings.log_level, bridge.settings.log_format)
    click.get_current_context().call_on_close(bridge.close)
    if ready:
        bridge.ready()
        _is_ready(bridge)
    return bridge


def work_bridge() -> Bridge:
    """The same for work on the database itself, which needs its schema right, but neither platforms nor mail."""
    from bridge.store import schema

    bridge = make_bridge(ready=False)
    schema.check(bridge.database)
    _is_ready(bridge)
    return bridge


def _is_ready(bridge: Bridge) -> None:
    if (then := click.get_current_context().meta.get(READY)) is not None:
        then(bridge)


def fail(message: str) -> NoReturn:
    """One thing is wrong: name it and end with 1."""
    for line in message.splitlines():
        click.echo(f"consent-bridge: {line}", err=True)
    sys.exit(1)


def show(data: object) -> None:
    """Print JSON."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def address(text: str) -> str:
    """An address from the call, or from standard input for `-` (so that it is in no shell history)."""
    given = sys.stdin.readline().strip() if text == "-" else text.strip()
    if not given:
        fail("no address was given")
    return given


def check_address(text: str) -> None:
    """A word that is no address is a typing error; it is not repeated, for it may be most of one."""
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        fail("that is no e-mail address: nothing was written")


class Moment(click.ParamType[datetime]):
    """A moment as RFC 3339 writes it; without a zone it is UTC, and only a date is its beginning.

    Given in whole seconds it is that whole second: what was told within it counts, as in every answer of ours.
    """

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; 2 is the exit code for what is no moment."""
        text = str(value).strip()
        try:
            moment = datetime.fromisoformat(text)
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is no moment: write 2026-11-23T10:04:57Z, with +01:00 or another zone for Z", param, ctx
            )
        return moment if "." in text or "," in text else moment.replace(microsecond=999_999)


@contextmanager
def progress(label: str, out: TextIO, patience: float = 1.0) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left, on a terminal, for what takes longer than a second: call what is given with
    (done, total)."""
    started, shown, rate = time.monotonic(), 0, ""
    bar: Any = click.progressbar(length=1000, label=label, file=out, item_show_func=lambda _: rate)

    def tell(done: int, total: int) -> None:
        nonlocal shown, rate
        if not out.isatty() or time.monotonic() - started < patience:
            return
        rate = f"{done / (time.monotonic() - started):,.0f}/s"
        at = min(1000, done * 1000 // max(1, total))
        bar.update(at - shown)
        shown = at

    yield tell
    if shown:
        bar.render_finish()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there yet: a second server would share the traffic without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def look_up(
    look: Callable[[Bridge, str], _Found | None], bridge: Bridge, email: str, language: str | None = None
) -> _Found:
    """What `look` finds of an address; ends the command with what to do where that is nothing, or no such language."""
    languages = bridge.policy.languages
    if language is not None and language not in languages:
        fail(f"no language {language!r} in the policy; there are: {', '.join(languages)}")
    try:
        found = look(bridge, email)
    except Sealed:
        fail("what is kept of this person cannot be opened: run consent-bridge verify")
    if found is None:
        moved = bridge.store.has_moved(email)
        fail(
            "whoever had this address is here under a newer one: ask with that"
            if moved
            else "no such person here, and nothing on the stop list: never signed up, or forgotten"
        )
    return found
