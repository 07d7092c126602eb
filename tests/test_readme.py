"""README is true: its sentences about what the program does, as far as no other test holds them to it."""

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bridge.adapter import Unverified, find
from bridge.bootstrap import Bridge
from bridge.cli import main
from bridge.links import FRESH_LIFE
from bridge.smtp import Smtp
from bridge.texts import TEMPLATES
from bridge.vocabulary import Incoming
from tests.conftest import House, Reader, unnamed
from tests.test_docs import HOUSE, MAKEFILE, PROJECT, README, rows

MakeHouse = Callable[..., House]


# -- start -------------------------------------------------------------------------------------------------------


def test_it_needs_the_python_that_it_says() -> None:
    """Opening: "Python 3.11 or newer"."""
    (told,) = re.findall(r"Python (3\.\d+) or newer", README)
    assert PROJECT["project"]["requires-python"] == f">={told}"
    assert f"Python >= {told}" in MAKEFILE


def test_pages_and_sandbox_are_where_it_says() -> None:
    """Five minutes, Run your own: pages on 8080, the toys behind the demo on 8081, alone on 8100, mailbox beside."""
    ports = {
        name: next(param.default for param in main.commands[name].params if param.name == "port")
        for name in ("demo", "serve", "sandbox")
    }
    assert ports == {"demo": 8080, "serve": 8080, "sandbox": 8100}
    assert re.search(r"^PORT \?= 8080$", MAKEFILE, re.MULTILINE)
    assert {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/", README)} == {8080, 8081, 8100}
    assert Smtp("sandbox:", {})._port == ports["sandbox"] + 1


def test_make_clean_removes_what_make_made() -> None:
    """The house: "`make clean` removes what was made": every folder of ours that git passes over."""
    (removed,) = re.findall(r"^clean:\n\trm -rf (.*)$", MAKEFILE, re.MULTILINE)
    passed_over = re.findall(r"^([\w.-]+)/$", (HOUSE / ".gitignore").read_text(), re.MULTILINE)
    assert set(passed_over) - set(removed.split()) == {"__pycache__"}


def test_every_pin_is_exact_and_has_its_hashes() -> None:
    """Dependencies: "pinned with hashes", all of them; Mailchimp's SDK at the one version that is it."""
    for name in ("run", "test", "lambda"):
        pins = re.split(r"\n(?=\S)", (HOUSE / "pins" / f"{name}.txt").read_text(encoding="utf-8").strip())
        assert all(re.match(r"[\w.\[\]-]+==\S+( ;.*)? \\\n", pin) and "--hash=sha256:" in pin for pin in pins)
        pinned = {re.split(r"\[|==", pin)[0].lower().replace("_", "-"): pin for pin in pins}
        assert {package.lower() for package in rows("Dependencies")} <= set(pinned) or name != "run"
    run = (HOUSE / "pins" / "run.txt").read_text(encoding="utf-8")
    assert "\nmailchimp-marketing==3.0.80 " in run


def test_the_adapter_in_memory_is_the_shortest() -> None:
    """The house: "memory.py is the shortest", for whoever writes the next one."""
    points = PROJECT["project"]["entry-points"]["bridge.adapters"]
    files = [HOUSE / (point.partition(":")[0].replace(".", "/") + ".py") for point in points.values()]
    assert min(files, key=lambda file: file.stat().st_size).name == "memory.py"


# -- how often she is mailed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "mails"), [("demo", 3), ("starter", 1)])
def test_so_many_sign_up_mails_a_day(
    make_house: MakeHouse, sqlite_url: str, policy_folder: Path, policy: str, mails: int
) -> None:
    """Five minutes: three a day in the demo, one by default; a further sign-up gets the same page and no mail."""
    shutil.copytree(TEMPLATES / policy, policy_folder, dirs_exist_ok=True)
    told = tomllib.loads((policy_folder / "policy.toml").read_text(encoding="utf-8"))
    home = make_house(sqlite_url, BRIDGE_ADAPTERS="")
    channel, purpose = told["channels"][0]["id"], told["purposes"][0]["id"]
    reader = Reader(home, "an@lezer.example", told["languages"][0])
    pages = set()
    for _ in range(mails + 2):
        pages.add(unnamed(reader.signs_up(purpose, channel=channel)))
        home.clock.forward(minutes=30)
    assert len(reader.mails()) == mails
    assert len(pages) == 1


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nudge", "woken"), [("inline", True), ("none", False)])
def test_a_commit_wakes_the_dispatcher_unless_told_not_to(
    make_house: MakeHouse, sqlite_url: str, nudge: str, woken: bool
) -> None:
    """Settings: `BRIDGE_NUDGE`."""
    home = make_house(sqlite_url, BRIDGE_NUDGE=nudge)
    calls: list[bool] = []
    home.bridge.wake = lambda: calls.append(True)
    Reader(home, "an@lezer.example").signs_up()
    assert bool(calls) is woken


@pytest.mark.parametrize(
    ("adapter", "setting"), [("mailchimp", "MAILCHIMP_WEBHOOK_SECRET"), ("sendgrid", "SENDGRID_WEBHOOK_PUBLIC_KEY")]
)
def test_without_its_secret_a_webhook_is_refused(adapter: str, setting: str) -> None:
    """Settings: "none: webhooks refused". HOOK-01."""
    assert rows("Settings")[f"`{setting}`"][-1] == "none: webhooks refused"
    keys = {"MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21", "SENDGRID_API_KEY": "SG.only-for-tests"}
    esp = find(adapter)(keys, {}, {})
    with pytest.raises(Unverified):
        esp.verify(Incoming(headers={}, body=b"[]", secret=""))


# -- limits ------------------------------------------------------------------------------------------------------


def test_a_yes_that_grew_too_old_is_no_news_for_the_platform(home: House, reader: Reader) -> None:
    """Limits: answered "no" by `may-mail`; the platform hears of it when something else happens to her."""
    reader.has_consented("newsletter")
    home.clock.forward(days=3 * 366)  # the default is 36 months
    home.esp.calls.clear()
    home.dispatch()
    answer = reader.may()
    assert not answer.may
    assert any("expired" in reason for reason in answer.why)
    assert home.esp.calls == []
    assert reader.is_on()

    link = reader.asks_for_a_link()
    home.client.post(link, data={"language": "en"})
    home.dispatch()
    assert not reader.is_on()


def test_ten_changes_are_one_call(home: House, reader: Reader) -> None:
    """Decision 2 in README: the platform is told how she stands, not each change."""
    reader.has_consented("newsletter")
    link = reader.asks_for_a_link()
    home.esp.calls.clear()
    for number in range(10):
        home.client.post(link, data={"language": ("nl", "en")[number % 2]})
    home.dispatch()
    assert home.esp.calls == [("put", (reader.email,))]


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the bridge logged; the mail server of the tests logs as well."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("bridge")]


def test_the_log_names_why_a_platform_takes_somebody_no_more(
    home: House, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """Limits: "the dispatcher's log names the case", with our id of her and nothing else (MIN-03)."""
    home.esp.refuse.add(reader.email)
    with caplog.at_level("INFO"):
        reader.has_consented("newsletter")
    person = home.store.person(reader.email)
    assert person is not None
    assert f"memory: subject {person.id} refused: refused" in ours(caplog)
    assert not [line for line in ours(caplog) if reader.email in line]


def test_the_pages_say_that_a_mail_may_still_arrive(home: House, reader: Reader) -> None:
    """Limits: "A mail that already left may still arrive. The pages say so"; the goodbye mail does as well."""
    reader.has_consented("newsletter")
    stop = reader.link("/u/")
    told = "Een mail die al vertrokken was, kan nog aankomen."
    assert told in home.client.post(stop, data={"scope": "list"}).get_data(as_text=True)
    preferences = stop.replace("/u/", "/preferences/")
    assert told in home.client.post(preferences, data={"stop": "all"}).get_data(as_text=True)
    assert told in reader.mails()[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has a text


# -- security ----------------------------------------------------------------------------------------------------


def test_links_live_as_long_as_it_says(home: House) -> None:
    """Security: confirm 72 hours by the policy's default, change 30 minutes."""
    starter = Bridge.from_env({**home.environment, "BRIDGE_POLICY": str(TEMPLATES / "starter" / "policy.toml")}).policy
    assert "confirm (72 hours, by policy)" in README
    assert starter.limits_.pending_ttl.time.total_seconds() == 72 * 3600
    assert "change (30 minutes, mailed on request)" in README
    assert FRESH_LIFE.total_seconds() == 30 * 60


def test_every_command_that_takes_an_address_takes_it_from_standard_input() -> None:
    """Commands: "`EMAIL` may be `-`": each says so in its help."""
    taking = [
        name
        for name, command in main.commands.items()
        if any(isinstance(param, click.Argument) and param.name == "email" for param in command.params)
    ]
    assert taking
    assert [name for name in taking if "EMAIL `-` reads standard input" not in (main.commands[name].help or "")] == []
