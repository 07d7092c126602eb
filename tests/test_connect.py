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

from adapters.mailchimp import Mailchimp
from adapters.sandbox import Sandbox, make_keys
from adapters.sandbox.courier import Webhooks, mailchimp_signature, public_key, sendgrid_signature
from adapters.sandbox.mailchimp_audience import hashed
from adapters.sandbox.server import Running, start
from bench import tls
from bridge import smtp
from bridge.cli import main
from bridge.jobs.doctor.knock import knock
from bridge.smtp import Smtp
from bridge.store.kept import KeptSecrets
from bridge.store.rotate import move, named
from bridge.texts import TEMPLATES
from bridge.vault import Key, Vault
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


def test_a_road_that_cannot_be_looked_at_says_so(set_up: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence would be taken for "it works"."""
    monkeypatch.delattr("adapters.sendgrid_mail.SendGridMail.check")
    result = set_up("doctor", BRIDGE_MAIL_URL="sendgrid:")
    assert result.exit_code == 0
    assert mail_line(result).startswith("note mail by sendgrid: is not looked at")


def test_a_road_through_a_platform_is_looked_at_like_one(set_up: Run) -> None:
    """Its key; its webhook only once, where the platform's lists are there too."""
    result = set_up("doctor", "--json", BRIDGE_MAIL_URL="sendgrid:")
    looks = [look["subject"] for look in json.loads(result.stdout)]
    assert "sendgrid key: may send mail" in looks
    assert sum("event webhook" in look for look in looks) == 1
    assert sum(look.startswith("sendgrid: its webhook reaches us") for look in looks) == 1


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


# -- setup -------------------------------------------------------------------------------------------------------


def at_platforms(sandbox: Running) -> dict[str, str]:
    """All that both platforms remember."""
    return {name: repr(esp.memory()) for name, esp in sandbox.state.esps.items()}


def steps(result: Result) -> dict[str, dict[str, object]]:
    """What setup says, by subject."""
    assert result.exit_code == 0, result.output
    return {step["subject"]: step for step in json.loads(result.stdout)}


def hook_secret(sandbox: Running) -> str:
    """What the played Mailchimp signs its one webhook with."""
    (hook,) = sandbox.state.mailchimp.webhooks.values()
    return str(hook.signing_secret)


@pytest.mark.parametrize("adapter", ["mailchimp", "sendgrid"])
def test_a_second_run_changes_nothing_anywhere_and_says_what_was_there(
    run: Run, sandbox: Running, site: Site, adapter: str
) -> None:
    first = steps(run("setup", adapter, "--json"))
    assert any(step["made"] for step in first.values())
    before, kept = at_platforms(sandbox), site.house.bridge.kept.of(adapter)
    again = steps(run("setup", adapter, "--json"))
    assert again.keys() == first.keys()
    assert not any(step["made"] or step["todo"] for step in again.values())
    assert at_platforms(sandbox) == before
    assert site.house.bridge.kept.of(adapter) == kept != {}
    assert not any(secret in run("setup", adapter).output for secret in kept.values())


def changed(site: Site, old: str, new: str) -> None:
    """Change a place in the policy."""
    policy = Path(site.settings["BRIDGE_POLICY"])
    text = policy.read_text(encoding="utf-8")
    assert old in text
    policy.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("adapter", "key", "old"),
    [
        ("mailchimp", "interest", "11aa22bb33"),
        ("sendgrid", "list", "7f0c8a52-0c6e-4f6e-9a01-000000000001"),
        ("sendgrid", "group", "101"),
    ],
)
def test_a_place_that_is_not_there_is_made_once_and_its_id_said(
    run: Run, sandbox: Running, site: Site, adapter: str, key: str, old: str
) -> None:
    """The platform gives the id, the operator writes it into the policy; then doctor is content."""
    changed(site, f'{key} = "{old}"', f'{key} = "new"')
    chimp, grid = sandbox.state.mailchimp, sandbox.state.sendgrid
    there = {"interest": next(iter(chimp.audience.interests.values())), "list": grid.lists, "group": grid.stops.groups}
    there[key].pop(int(old) if key == "group" else old)  # nothing there has the purpose's name either
    wrong = findings(run("doctor", "--json"))
    assert any(f"setup {adapter}" in fix and "newsletter" in subject for subject, fix in wrong.items())
    (made,) = [step for step in steps(run("setup", adapter, "--json")).values() if step["todo"]]
    assert made["made"]
    (again,) = [step for step in steps(run("setup", adapter, "--json")).values() if step["todo"]]
    assert again == {**made, "made": False}
    found = str(made["todo"]).split('"')[1]
    changed(site, f'{key} = "new"', f'{key} = "{found}"')
    assert run("setup", "mailchimp").exit_code == run("setup", "sendgrid").exit_code == 0
    assert findings(run("doctor", "--json")) == {}


def test_what_setup_learns_is_believed_at_once_by_pages_that_run(run: Run, sandbox: Running, site: Site) -> None:
    """HOOK-01, decision 28: no restart; whoever signs otherwise is refused as before."""
    body, url = b"type=profile&data[email]=an@lezer.example", f"{site.settings['BRIDGE_BASE_URL']}/webhooks"
    path = f"{url}/mailchimp/{site.settings['MAILCHIMP_WEBHOOK_SECRET']}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert run("setup", "mailchimp").exit_code == 0
    assert knock("POST", path, body, {**form, **mailchimp_signature(hook_secret(sandbox), body)}).status == 204
    assert run("setup", "sendgrid").exit_code == 0
    pem = sandbox.state.sendgrid.told.sendgrid_private_key_pem
    assert knock("POST", f"{url}/sendgrid", b"[]", sendgrid_signature(pem, b"[]")).status == 204
    assert knock("POST", f"{url}/sendgrid", b"[ ]", sendgrid_signature(pem, b"[]")).status == 401


def test_a_signing_secret_that_was_lost_is_had_by_a_new_webhook(run: Run, sandbox: Running, site: Site) -> None:
    """Mailchimp tells it only when a webhook is made."""
    assert run("setup", "mailchimp").exit_code == 0
    old = hook_secret(sandbox)
    with site.house.bridge.database.writing() as db:
        db.exec_driver_sql("DELETE FROM esp_secrets")
    assert any("signing secret" in fix for fix in findings(run("doctor", "--json")).values())
    assert steps(run("setup", "mailchimp", "--json"))["webhook of audience a1b2c3d4e5"]["made"]
    assert hook_secret(sandbox) != old
    assert site.house.bridge.kept.of("mailchimp") == {
        "MAILCHIMP_WEBHOOK_SIGNING_SECRET": f"a1b2c3d4e5:{hook_secret(sandbox)}"
    }


def test_a_webhook_that_is_signed_no_more_is_named_and_mended(set_up: Run, sandbox: Running, site: Site) -> None:
    """HOOK-01: all it tells would be refused, and `doctor` must not be green."""
    (hook,) = sandbox.state.mailchimp.webhooks.values()
    hook.signing_secret = ""
    assert "all it tells is refused" in findings(set_up("doctor", "--json"))["mailchimp audience a1b2c3d4e5, webhook"]
    assert set_up("setup", "mailchimp").exit_code == 0
    assert findings(set_up("doctor", "--json")) == {}


def test_a_secret_is_forgotten_with_the_webhook_it_was_of(site: Site) -> None:
    """Where Mailchimp makes one that it does not sign."""
    kept = site.house.bridge.kept
    kept.keep("mailchimp", "MAILCHIMP_WEBHOOK_SIGNING_SECRET", "a1b2c3d4e5", "a1b2c3d4e5:secret")
    kept.keep("mailchimp", "MAILCHIMP_WEBHOOK_SIGNING_SECRET", "a1b2c3d4e5", "")
    assert kept.of("mailchimp") == {}


def test_webhooks_that_are_deaf_are_named_and_mended(set_up: Run, sandbox: Running) -> None:
    """ESP-02: a "no" that is told nobody."""
    chimp, grid = sandbox.state.mailchimp, sandbox.state.sendgrid
    (hook,) = chimp.webhooks.values()
    (events,) = grid.account.webhooks.values()
    hook.events["unsubscribe"] = False
    events["group_unsubscribe"] = False
    wrong = findings(set_up("doctor", "--json"))
    assert sum("does not tell of" in fix for fix in wrong.values()) == 2
    events["enabled"] = False
    assert any("switched off" in fix for fix in findings(set_up("doctor", "--json")).values())
    for name in ("mailchimp", "sendgrid"):
        assert set_up("setup", name).exit_code == 0
    assert findings(set_up("doctor", "--json")) == {}


def test_a_group_that_readers_can_untick_there_is_named(set_up: Run, sandbox: Running) -> None:
    """Promise 2: Mailchimp tells nobody that a topic was unticked, so its own pages must not offer it."""
    audience = sandbox.state.mailchimp.audience
    audience.shown.update(audience.categories)
    wrong = findings(set_up("doctor", "--json"))
    assert [where.split(", ")[1][:5] for where, fix in wrong.items() if "set its category to hidden" in fix] == 2 * [
        "group"
    ]
    told = steps(set_up("setup", "mailchimp", "--json"))
    assert sum("set its category to hidden" in str(step["todo"]) for step in told.values()) == 2
    audience.shown.clear()
    assert findings(set_up("doctor", "--json")) == {}


def test_webhooks_that_are_missing_or_unsigned_are_named(run: Run, sandbox: Running) -> None:
    assert run("setup", "sendgrid").exit_code == 0
    (hook,) = sandbox.state.sendgrid.account.webhooks.values()
    hook["signed"] = False
    wrong = findings(run("doctor", "--json"))
    assert "not signed" in wrong["sendgrid event webhook"]
    assert "there is none" in wrong["mailchimp audience a1b2c3d4e5, webhook"]


def test_a_setting_that_stands_in_the_way_of_what_was_told_is_named(run: Run, tmp_path: Path) -> None:
    """A setting wins over what is kept, so it must not be an old one."""
    other = public_key(make_keys(tmp_path / "other.json")["sendgrid_private_key_pem"])
    for _ in range(2):
        told = steps(run("setup", "sendgrid", "--json", SENDGRID_WEBHOOK_PUBLIC_KEY=other))
        assert "is set and wins" in str(told["signature of the event webhook"]["todo"])
    assert not any(step["made"] for step in told.values())
    wrong = findings(run("doctor", "--json", SENDGRID_WEBHOOK_PUBLIC_KEY=other))
    assert "a key that is not known here" in wrong["sendgrid event webhook"]


def test_a_webhook_needs_pages_that_answer(run: Run, sandbox: Running, site: Site) -> None:
    """Mailchimp looks first; the error names the command, and not the secret in the address."""
    result = run("setup", "mailchimp", BRIDGE_BASE_URL=f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "consent-bridge serve" in result.stderr
    assert site.settings["MAILCHIMP_WEBHOOK_SECRET"] not in result.output


def test_kept_secrets_are_sealed_and_move_to_a_new_key(run: Run, sandbox: Running, site: Site, tmp_path: Path) -> None:
    """Decision 17, KEY-03: not in the open in the file; `keys rotate` takes them along."""
    assert run("setup", "mailchimp").exit_code == 0
    bridge, secret = site.house.bridge, hook_secret(sandbox)
    files = [file.read_bytes() for file in tmp_path.glob("consent.db*")]
    assert files
    assert not any(secret.encode() in content for content in files)
    newer = Vault([Key("vault2", bytes(range(32))), *site.house.bridge.settings.vault_keys])
    move(bridge.database, newer)
    assert "esp_secrets" not in named(bridge.database).get("vault1", {})
    assert KeptSecrets(bridge.database, newer, bridge.clock).of("mailchimp") == {
        "MAILCHIMP_WEBHOOK_SIGNING_SECRET": f"a1b2c3d4e5:{secret}"
    }


# -- doctor's papers and the rest ----------------------------------------------------------------------------------


def test_a_mail_and_a_page_are_looked_at_as_well(set_up: Run, site: Site, tmp_path: Path) -> None:
    """SND-03, CAP-01: the page by its address, the mail as a file; exit 1 for what is wrong with either."""
    mail = tmp_path / "received.eml"
    mail.write_text("From: De Dagwijzer <nieuws@post.dedagwijzer.example>\nTo: x@y.example\n\nDag\n")
    page = f"{site.settings['BRIDGE_BASE_URL']}/subscribe"
    result = set_up("doctor", "--json", "--page", page)
    assert result.exit_code == 0, result.output
    assert "page: no box is ticked" in {found["subject"] for found in json.loads(result.stdout)}
    result = set_up("doctor", "--message", str(mail))
    assert result.exit_code == 1
    assert "FIX  sample mail: DKIM: it is not signed" in result.stdout


@pytest.mark.parametrize("page", ["not-there.html", "http://127.0.0.1:1/"])
def test_a_page_that_cannot_be_had_is_a_wrong_call(set_up: Run, page: str) -> None:
    result = set_up("doctor", "--page", page)
    assert result.exit_code == 2
    assert "--page" in result.stderr


def test_a_file_that_is_no_mail_is_a_wrong_call(set_up: Run, tmp_path: Path) -> None:
    file = tmp_path / "picture.eml"
    file.write_bytes(b"\x89PNG\r\n")
    assert set_up("doctor", "--message", str(file)).exit_code == 2


def test_a_plan_that_is_full_is_red_and_one_nearly_full_a_note(set_up: Run, sandbox: Running) -> None:
    """ESP plan limits, as the operator tells them."""
    for number in range(9):
        sandbox.state.mailchimp.audience.put(
            hashed(f"r{number}@lezer.example"),
            {"email_address": f"r{number}@lezer.example", "status_if_new": "subscribed"},
            lenient=True,
        )
    assert "mailchimp plan: 9 contacts of 9" in findings(set_up("doctor", "--json", MAILCHIMP_PLAN_CONTACTS="9"))
    nearly = set_up("doctor", MAILCHIMP_PLAN_CONTACTS="10", SENDGRID_PLAN_CONTACTS="10000")
    assert nearly.exit_code == 0
    assert "note mailchimp plan: 9 contacts of 10" in nearly.stdout
    assert "ok   sendgrid plan: 0 contacts of 10,000" in nearly.stdout
    assert "MAILCHIMP_PLAN_CONTACTS must be" in set_up("doctor", MAILCHIMP_PLAN_CONTACTS="many").stdout


def test_a_key_of_another_data_centre_is_named() -> None:
    """The key's end says where it works."""
    settings = {"MAILCHIMP_API_KEY": "0123456789abcdef-us21", "MAILCHIMP_BASE_URL": "https://us9.api.mailchimp.com/3.0"}
    found = Mailchimp(settings, {"newsletter": {"audience": "a"}}, {})._needs.centre()
    assert not found.ok
    assert "us9" in found.fix
