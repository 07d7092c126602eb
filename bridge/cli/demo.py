"""The demo: store, pages, dispatcher, sandbox and mailbox, each a process of its own, started and ended together."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import fail, is_free
from bridge.cli.story import Story
from bridge.cli.timeline import timeline
from bridge.files import write_private
from bridge.settings import read_env_file
from bridge.texts import TEMPLATES
from bridge.vault import new_key

_START_SECONDS = 30.0


def find_sandbox() -> Any:
    """The sandbox that is installed, by entry point: the bridge itself names no mailing platform."""
    found = list(entry_points(group="bridge.sandboxes"))
    if not found:
        fail("no sandbox is installed")
    return found[0].load()


def run(port: int, data: Path | None, *, check: bool) -> int:
    """Start everything; play the story or wait for Ctrl-C; end everything. The exit code."""
    # Told to end, the terminal closed, or started by a shell with SIGINT ignored: all the same as Ctrl-C.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)
    if check and data is None:
        with tempfile.TemporaryDirectory(prefix="consent-bridge-") as folder:
            return _run(free_port(), Path(folder), check=True)
    return _run(port, data or Path("demo-data"), check=check)


def _run(port: int, folder: Path, *, check: bool) -> int:
    for wanted in (port, port + 1, port + 2):
        if not is_free(wanted):
            fail(f"port {wanted} is taken: end what uses it, or choose others with --port")
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    url = f"http://127.0.0.1:{port}"
    played = find_sandbox()(folder, port + 1, url)
    environment = _environment(folder, url, played.settings())
    from bridge.store import schema

    bridge = Bridge.from_env(environment)
    schema.upgrade(bridge.database)
    bridge.ready()
    bridge.database.engine.dispose()
    serve = [sys.executable, "-m", "bridge.cli", "serve", "--port", str(port)]
    with (
        timeline(bridge) as told,
        _process(played.command(), {**environment, "SANDBOX_TIMELINE": told}, folder / "sandbox.log"),
    ):
        _wait(f"{played.url}/control/healthz", folder / "sandbox.log")
        for adapter in bridge.adapters.values():
            adapter.setup()  # the fields that the policy declares
        with _process(serve, environment, folder / "serve.log") as pages:
            _wait(f"{url}/readyz", folder / "serve.log")
            try:
                if check:
                    return Story(url, played.url, environment, folder).play()
                _say(url, played.url, folder)
                pages.wait()
            except KeyboardInterrupt:
                click.echo("\nended; the store is kept for the next start, the toy platforms begin empty")
                return 1 if check else 0
            return 0


def _say(url: str, sandbox: str, folder: Path) -> None:
    click.echo(
        f"""
Consent Bridge is running. Open:

  {url}/subscribe        sign up as a reader (any address ending in .example)
  {sandbox}/                 her mailbox, and the two mailing platforms' lists; press her address there
                                    for all that can happen to her, and what the store makes of it
  {url}/preferences      ask for a link to change your mind
  {url}/privacy          the privacy statement

Ask the store: consent-bridge may-mail ADDRESS newsletter --env-file {folder}/.env
Files and logs: {folder}    Ctrl-C ends all of it.
"""
    )


def _environment(folder: Path, url: str, sandbox: Mapping[str, str]) -> dict[str, str]:
    """The demo's settings; keys and policy are made once and kept."""
    if not (folder / "policy.toml").exists():
        shutil.copy(TEMPLATES / "demo" / "policy.toml", folder / "policy.toml")
        for part in ("notices", "samples"):
            shutil.copytree(TEMPLATES / "demo" / part, folder / part, dirs_exist_ok=True)
    keys = folder / "keys.env"
    if not keys.exists():
        names = ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS")
        write_private(keys, "".join(f"{name}={new_key('demo')}\n" for name in names))
    settings = {
        **read_env_file(keys),
        "BRIDGE_POLICY": str(folder / "policy.toml"),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'consent.db'}",
        "BRIDGE_BASE_URL": url,
        **sandbox,
    }
    (folder / ".env").unlink(missing_ok=True)  # for commands beside the demo: --env-file demo-data/.env
    write_private(folder / ".env", "".join(f"{name}={value}\n" for name, value in settings.items()))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**ours, **settings}


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A child of ours, ended with us."""
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603  (our own commands, no shell)
            command, env=dict(environment), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with its workers: it leads a session of its own
            process.wait(5)


def _wait(url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            with urlopen(url, timeout=2) as answer:  # noqa: S310  (an address of ours, on loopback)
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    _fail_with("it did not start", log)


def _fail_with(what: str, log: Path) -> int:
    tail = log.read_text(errors="replace").splitlines()[-15:]
    fail("\n".join([f"{what}; the last lines of its log:", *tail]))
    return 1


def free_port() -> int:
    """The first of three free ports in a row, from below those that systems give to anybody who asks for any."""
    for _ in range(50):
        port = 20_000 + secrets.randbelow(12_000)
        if all(is_free(port + step) for step in range(3)):
            return port
    fail("no three free ports in a row were found")
    return 0
