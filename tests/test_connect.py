"""Connecting a mailing platform: `setup` makes what it needs, `doctor` names what is wrong and the fix."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapters.sandbox import Sandbox
from adapters.sandbox.server import Running, start
from bridge.cli import main
from bridge.texts import TEMPLATES
from tests.conftest import House

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    """Both platforms, played over HTTP."""
    running = start(port=0)
    yield running
    running.stop()


@pytest.fixture
def run(home: House, sandbox: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Type a command with the demo's policy, at the sandbox."""
    sandbox.state.reset()
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    folder = Path(shutil.copytree(TEMPLATES / "demo", tmp_path / "demo"))
    played = Sandbox(tmp_path, 1, "http://127.0.0.1:2").settings()
    settings = {
        **home.environment,
        **played,
        "BRIDGE_POLICY": str(folder / "policy.toml"),
        "MAILCHIMP_BASE_URL": f"{sandbox.url}/mailchimp/3.0",
        "SENDGRID_BASE_URL": f"{sandbox.url}/sendgrid",
    }
    kept = dict(os.environ)

    def typed(*words: str, **changed: str) -> Result:
        return CliRunner().invoke(main, words, env={**settings, **changed})

    yield typed
    os.environ.clear()
    os.environ.update(kept)


def findings(result: Result) -> dict[str, str]:
    """What is wrong, by subject."""
    return {found["subject"]: found["fix"] for found in json.loads(result.stdout) if not found["ok"]}


def test_a_sound_house_has_nothing_to_mend(run: Run) -> None:
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    assert findings(result) == {}


def test_a_wrong_key_is_named_with_its_fix(run: Run) -> None:
    result = run("doctor", "--json", SENDGRID_API_KEY="bad-SG.0123456789abcdef")
    assert result.exit_code == 1
    assert any(subject.startswith("sendgrid") for subject in findings(result))
    assert not any(subject.startswith("mailchimp") for subject in findings(result))
    assert "0123456789abcdef" not in result.output


def test_a_platform_that_is_down_is_one_line_and_keeps_no_other_from_being_looked_at(run: Run) -> None:
    result = run("doctor", SENDGRID_BASE_URL="http://127.0.0.1:1")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("FIX  sendgrid") for line in lines)
    assert any(line.startswith("ok   mailchimp") for line in lines)


def test_our_own_side_is_looked_at_first(run: Run, tmp_path: Path) -> None:
    result = run("doctor", BRIDGE_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    assert result.exit_code == 1
    assert "consent-bridge db upgrade" in result.stdout


@pytest.mark.parametrize("adapter", ["mailchimp", "sendgrid"])
def test_setup_makes_what_is_missing_and_a_second_run_nothing(run: Run, adapter: str) -> None:
    assert run("setup", adapter).exit_code == 0
    again = run("setup", adapter)
    assert again.exit_code == 0
    assert "nothing was missing" in again.stdout


def test_setup_of_what_is_not_switched_on_says_so(run: Run) -> None:
    result = run("setup", "mailchimp", BRIDGE_ADAPTERS="sendgrid")
    assert result.exit_code == 1
    assert "BRIDGE_ADAPTERS" in result.stderr


def test_setup_of_a_name_nobody_knows_lists_those_installed(run: Run) -> None:
    result = run("setup", "mailchump")
    assert result.exit_code == 1
    assert "mailchimp" in result.stderr


def test_setup_of_a_platform_that_is_down_says_so_in_a_line(run: Run) -> None:
    result = run("setup", "mailchimp", MAILCHIMP_BASE_URL="http://127.0.0.1:1/3.0")
    assert result.exit_code == 1
    assert result.stderr.startswith("consent-bridge: mailchimp")
