"""Connecting a mailing platform: `setup` makes what it needs, `doctor` names what is wrong and the fix."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from click.testing import CliRunner, Result

from adapters.sandbox import Sandbox, make_keys
from adapters.sandbox.courier import Webhooks
from adapters.sandbox.server import Running, start
from bench import tls
from bridge import smtp
from bridge.cli import main
from bridge.smtp import Smtp
from bridge.texts import TEMPLATES
from tests.conftest import House
from tests.served import free_port, served

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both platforms, played over HTTP."""
    keys = make_keys(tmp_path_factory.mktemp("keys") / "keys.json")
    running = start(port=0, webhooks=Webhooks(sendgrid_private_key_pem=keys["sendgrid_private_key_pem"]))
    yield running
    running.stop()


class Site(NamedTuple):
    """The pages of the demo's newspaper on a real port, at the sandbox's platforms."""

    house: House
    settings: dict[str, str]


@pytest.fixture
def site(make_house: Callable[..., House], sqlite_url: str, sandbox: Running, tmp_path: Path) -> Iterator[Site]:
    """Pages that answer, both platforms switched on, nothing set up there yet."""
    sandbox.state.reset()
    port = free_port()
    folder = Path(shutil.copytree(TEMPLATES / "demo", tmp_path / "demo"))
    played = Sandbox(tmp_path, 1, "http://127.0.0.1:2").settings()
    for name in ("MAILCHIMP_WEBHOOK_SIGNING_SECRET", "SENDGRID_WEBHOOK_PUBLIC_KEY"):
        del played[name]  # `setup` finds them out
    del played["BRIDGE_MAIL_URL"]  # the SMTP server of the tests
    settings = {
        **played,
        "BRIDGE_POLICY": str(folder / "policy.toml"),
        "BRIDGE_BASE_URL": f"http://127.0.0.1:{port}",
        "MAILCHIMP_BASE_URL": f"{sandbox.url}/mailchimp/3.0",
        "SENDGRID_BASE_URL": f"{sandbox.url}/sendgrid",
    }
    house = make_house(sqlite_url, **settings)
    with served(house.app, port):
        yield Site(house, {**house.environment, **settings})


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Type a command with the demo's policy, at the sandbox."""
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    kept = dict(os.environ)

    def typed(*words: str, **changed: str) -> Result:
        return CliRunner().invoke(main, words, env={**site.settings, **changed})

    yield typed
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def set_up(run: Run) -> Run:
    """The same, with both platforms set up."""
    for name in ("mailchimp", "sendgrid"):
        done = run("setup", name)
        assert done.exit_code == 0, done.output
    return run


def findings(result: Result) -> dict[str, str]:
    """What is wrong, by subject."""
    return {found["subject"]: found["fix"] for found in json.loads(result.stdout) if not found["ok"]}


def test_a_sound_house_has_nothing_to_mend(set_up: Run) -> None:
    result = set_up("doctor", "--json")
    assert result.exit_code == 0, result.output
    assert findings(result) == {}


def test_a_wrong_key_is_named_with_its_fix(set_up: Run) -> None:
    result = set_up("doctor", "--json", SENDGRID_API_KEY="bad-SG.0123456789abcdef")
    assert result.exit_code == 1
    assert any(subject.startswith("sendgrid") for subject in findings(result))
    assert not any(subject.startswith("mailchimp") for subject in findings(result))
    assert "0123456789abcdef" not in result.output


def test_a_platform_that_is_down_is_one_line_and_keeps_no_other_from_being_looked_at(set_up: Run) -> None:
    result = set_up("doctor", SENDGRID_BASE_URL="http://127.0.0.1:1")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("FIX  sendgrid") for line in lines)
    assert any(line.startswith("ok   mailchimp") for line in lines)


# -- the mail server ---------------------------------------------------------------------------------------------


def mail_line(result: Result) -> str:
    """What doctor says of the road for mail."""
    (line,) = [line for line in result.stdout.splitlines() if line[5:].startswith(("mail server ", "mail by "))]
    return line


def test_the_mail_server_is_spoken_to_and_gets_no_mail(set_up: Run, home: House) -> None:
    """Interface: doctor. The real SMTP server of the tests, which takes mail in the open."""
    result = set_up("doctor")
    assert result.exit_code == 0, result.output
    where = home.environment["BRIDGE_MAIL_URL"].removeprefix("smtp://")
    assert mail_line(result) == f"ok   mail server {where} answers; it offers no encryption"
    assert home.mailbox.messages == []


@pytest.fixture
def closed_mail_server(tmp_path: Path) -> Iterator[str]:
    """A mail server that wants encryption, then a password; gives host and port."""
    certificate = tmp_path / "mail.pem"
    context = tls.server(certificate)

    def knows(_server: object, _session: object, _envelope: object, mechanism: str, told: LoginPassword) -> AuthResult:
        return AuthResult(success=told == LoginPassword(b"carla@krant.example", b"s3cret"), handled=False)

    controller = Controller(
        object(),
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=knows,
    )
    controller.start()
    with tls.trusted(certificate):
        yield f"localhost:{controller.port}"
    controller.stop()


def test_encryption_and_password_are_tried(run: Run, closed_mail_server: str) -> None:
    """MIN-03: STARTTLS, then the login, as a mail would need them; no line holds the password."""
    right = run("doctor", BRIDGE_MAIL_URL=f"smtp://carla%40krant.example:s3cret@{closed_mail_server}")
    assert mail_line(right) == f"ok   mail server {closed_mail_server} answers, encrypted, and takes our password"
    wrong = run("doctor", BRIDGE_MAIL_URL=f"smtp://carla%40krant.example:wr0ng@{closed_mail_server}")
    assert wrong.exit_code == 1
    assert mail_line(wrong).startswith(f"FIX  mail server {closed_mail_server}: ")
    assert "does not take user and password (answered 535)" in mail_line(wrong)
    assert "wr0ng" not in wrong.output
    assert "carla" not in wrong.output


def test_a_certificate_that_proves_another_name_is_named(run: Run, tmp_path: Path, closed_mail_server: str) -> None:
    """A password travels to nobody who cannot prove the name."""
    other = tmp_path / "other.pem"
    tls.server(other)
    with tls.trusted(other):
        result = run("doctor", BRIDGE_MAIL_URL=f"smtp://u:p@{closed_mail_server}")
    assert result.exit_code == 1
    assert "certificate" in mail_line(result)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("smtp://127.0.0.1:1", "nobody listens there"),
        ("smtp://mail.invalid", "there is no such host"),
        ("sandbox:", "consent-bridge sandbox"),
        ("smtps://{open}", "smtp:// instead of smtps://"),
        ("smtp://u:p@{open}", "smtps://"),
    ],
)
def test_a_mail_server_out_of_reach_is_one_line_with_its_fix(
    run: Run, home: House, monkeypatch: pytest.MonkeyPatch, url: str, fix: str
) -> None:
    """Each reason has its own fix, and keeps nothing else from being looked at."""
    monkeypatch.setattr(smtp, "_SANDBOX", ("127.0.0.1", 1))
    monkeypatch.setattr(Smtp, "seconds", 2.0)
    there = home.environment["BRIDGE_MAIL_URL"].removeprefix("smtp://")
    result = run("doctor", BRIDGE_MAIL_URL=url.replace("{open}", there))
    assert result.exit_code == 1
    assert mail_line(result).startswith("FIX  mail server ")
    assert fix in mail_line(result)
    assert any(line.startswith("ok   mailchimp") for line in result.stdout.splitlines())


def test_a_road_that_cannot_be_looked_at_says_so(set_up: Run) -> None:
    """Silence would be taken for "it works"."""
    result = set_up("doctor", BRIDGE_MAIL_URL="sendgrid:")
    assert result.exit_code == 0
    assert mail_line(result).startswith("note mail by sendgrid: is not looked at")


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
