"""The first day with an existing list, as README tells it: its own commands, against both platforms of the sandbox.

Issue 5; rows AUD-01, AUD-02, SUP-05, MIN-03: the numbers of every report add up to the rows that went in.
"""

import csv
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from click.testing import CliRunner

from adapters.sandbox import moment
from adapters.sandbox.courier import Webhooks
from adapters.sandbox.server import Running, start
from bridge.bootstrap import Bridge
from bridge.cli import main
from bridge.texts import TEMPLATES
from bridge.vault import new_key
from tests.bulk import settings
from tests.conftest import BASE_URL, Clock, House, Mailbox
from tests.test_docs import section

SAMPLES = Path(__file__).parent / "lists"
WALK = section("First day with an existing list").partition("### Try it\n")[2].partition("\n### ")[0]
#: What is typed there, in the folder with the samples.
TYPED = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```", WALK, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("consent-bridge ")
]
#: What it shows of their output.
SHOWN = re.findall(r"^```text\n(.*?)^```", WALK, re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+")
COUNTS = re.compile(r"^ +(\d+) (imported|known|suppressed|rejected)", re.MULTILINE)
GRADES = ("proven", "soft_proven", "incomplete", "none", "stopped")


def samples(name: str) -> list[dict[str, str]]:
    """The rows of a sample."""
    with (SAMPLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def emails(name: str) -> set[str]:
    """Whom a sample names, as platforms compare them."""
    return {(row.get("Email Address") or row.get("EMAIL") or row.get("email") or "").lower() for row in samples(name)}


LEFT = emails("mailchimp-unsubscribed.csv") | emails("sendgrid-unsubscribes.csv")
ON = emails("mailchimp-subscribed.csv")
#: Of crm-proof.csv, by what is wrong with each row that is no proof.
SPOILT = {"tine@post.example": "form", "wim@bedrijf.example": "notice", "roos@lezer.example": "age"}
PROVEN = {
    purpose: {row["email"] for row in samples("crm-proof.csv") if row["purpose"] == purpose} - LEFT - SPOILT.keys()
    for purpose in ("newsletter", "offers")
}


class Day:
    """A house of the demo's policy, both platforms with the old list, and what was typed and said."""

    def __init__(self, house: House, running: Running, folder: Path, environment: dict[str, str]) -> None:
        self.house, self.running, self.folder, self.environment = house, running, folder, environment
        self.said: list[tuple[list[str], str]] = []
        self.imports: list[tuple[list[str], dict[str, Any], list[int]]] = []  # typed, its dry run's numbers, its own
        self.audits: list[dict[str, Any]] = []

    def types(self, *words: str) -> str:
        """Type a command; gives what it says."""
        ran = CliRunner().invoke(main, words, env=self.environment)
        assert ran.exit_code == 0, (words, ran.output)
        self.said.append((list(words), ran.output))
        return str(ran.stdout)

    def json(self, *words: str) -> dict[str, Any]:
        """Ask a command for its numbers, with nothing changed by it."""
        told: dict[str, Any] = json.loads(self.types(*words, "--json"))
        return told

    def of(self, *words: str) -> str:
        """What the last call that began with these words said."""
        return next(said for typed, said in reversed(self.said) if typed[: len(words)] == list(words))

    def dispatches(self) -> None:
        """Let the dispatcher work until nothing is left to do."""
        for _ in range(200):
            self.house.dispatch()
            if not any(task.waiting for task in self.house.store.tasks()):
                return
            self.house.clock.forward(seconds=20)
        raise AssertionError("it never comes to an end")

    def at(self, name: str) -> set[str]:
        """Everybody a platform holds, but whom it only keeps from being mailed."""
        esp = self.running.state.esp(name)
        return {email for email in esp.people() if esp.person(email)["present"]}

    def receives(self, name: str, purpose: str) -> set[str]:
        """Whom a platform would mail about it."""
        esp = self.running.state.esp(name)
        return {email for email in esp.people() if purpose in esp.person(email)["receives"]}


@pytest.fixture(scope="module")
def running(keys: dict[str, str]) -> Iterator[Running]:
    """Both platforms, which hold the old list."""
    hooks = Webhooks(mailchimp_url="http://127.0.0.1:9/m", sendgrid_url="http://127.0.0.1:9/s")
    sandbox = start(port=0, webhooks=hooks)
    sandbox.state.sendgrid.jobs.seconds = sandbox.state.mailchimp.jobs.seconds = 0
    sandbox.state.sendgrid.contacts.search_seconds = 0
    assert requests.post(f"{sandbox.url}/control/fill", timeout=10).json() == {"mailchimp": 36, "sendgrid": 13}
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def day(
    running: Running,
    keys: dict[str, str],
    sqlite_template: Path,
    mail_server: tuple[str, Mailbox],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Day]:
    """The whole walk, once: every line of README's in its order, the dispatcher at work after each."""
    folder = tmp_path_factory.mktemp("demo-data")
    shutil.copytree(TEMPLATES / "demo", folder, dirs_exist_ok=True)
    for sample in SAMPLES.glob("*.csv"):
        shutil.copy(sample, folder)
    shutil.copy(sqlite_template, folder / "consent.db")
    environment = {
        **settings(running, keys),
        "BRIDGE_POLICY": str(folder / "policy.toml"),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'consent.db'}",
        "BRIDGE_BASE_URL": BASE_URL,
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
        "BRIDGE_MAIL_URL": mail_server[0],
        "BRIDGE_ADAPTERS": "mailchimp,sendgrid",
    }
    clock = Clock()
    kept = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(Bridge.__init__.__kwdefaults__, "clock", clock)  # commands live in the year of the samples
        patch.setattr(moment, "clock", clock)
        house = House(environment, clock, mail_server[1])
        walked = Day(house, running, folder, environment)
        for words in TYPED:
            walks(walked, words)
        yield walked
        house.close()
    os.environ.clear()
    os.environ.update(kept)


def walks(day: Day, words: list[str]) -> None:
    """One line of README's. Numbers are asked for before by `--json`; a plan that would be asked about is agreed to."""
    if words[0] == "import" and "--dry-run" not in words:
        dry = day.json(*words, "--dry-run")
        day.imports.append((words, dry, [int(count) for count, _ in COUNTS.findall(day.types(*words))]))
    elif words[0] == "clean":
        day.types(*words, "--yes")
    else:
        if words[0] == "audit":
            day.audits.append(day.json(*(words[: words.index("--out")] if "--out" in words else words)))
        day.types(*words)
    day.dispatches()


# -- the old list ------------------------------------------------------------------------------------------------


def test_the_old_list_is_that_of_the_sample_exports() -> None:
    """Each of their rows is somebody at the toy platform, in that state since that time; nobody else is."""
    sandbox = start(
        port=0, webhooks=Webhooks(mailchimp_url="http://127.0.0.1:9/m", sendgrid_url="http://127.0.0.1:9/s")
    )
    try:
        came = sandbox.state.fill()
        members = {one.email: one for one in sandbox.state.mailchimp.audience.members.values()}
        interests = sandbox.state.mailchimp.audience.interests.popitem()[1]
        seen = set()
        for status, column in (("subscribed", ""), ("unsubscribed", "UNSUB_TIME"), ("cleaned", "CLEAN_TIME")):
            for row in samples(f"mailchimp-{status}.csv"):
                member = members[row["Email Address"]]
                if column == "UNSUB_TIME":
                    assert local(row[column]) in member.left
                if member.status != status:  # he left, and is on again
                    assert (status, member.status) == ("unsubscribed", "subscribed")
                    continue
                assert (member.created, member.last_changed) == (local(row["CONFIRM_TIME"]), local(row["LAST_CHANGED"]))
                if status == "subscribed":
                    on = [interests[one] for one, is_on in member.interests.items() if is_on]
                    assert ", ".join(on) == row["What you get"]
                seen.add(member.email)
        assert seen == set(members)
        assert sum(bool(member.left) for member in members.values()) == len(samples("mailchimp-unsubscribed.csv"))

        held = sandbox.state.sendgrid.contacts.all
        told = {row["EMAIL"]: (row["CREATED_AT"], row["UPDATED_AT"]) for row in samples("sendgrid-contacts.csv")}
        assert {email: (stamp(one.created), stamp(one.updated)) for email, one in held.items()} == told
        stops = sandbox.state.sendgrid.stops
        left = {row["email"]: int(row["created"]) for row in samples("sendgrid-unsubscribes.csv")}
        assert stops.everywhere == left
        bounced = [{**entry, "created": str(entry["created"])} for entry in stops.lists["bounces"].values()]
        assert bounced == samples("sendgrid-bounces.csv")
        assert came == {"mailchimp": len(members), "sendgrid": len(held)}
        assert not sandbox.state.courier.log
        assert sandbox.state.courier.waiting() == 0, "nobody is told: it happened before anybody listened"
    finally:
        sandbox.stop()


def test_the_old_list_takes_nothing_from_whoever_is_there_and_brings_nobody_back() -> None:
    """Pressed twice it changes nothing; who is there stays as she is; who was deleted for good does not come back."""
    sandbox = start(port=0)
    try:
        state = sandbox.state
        state.mailchimp.act("an.peeters@lezer.example", "subscribe", "offers")
        assert state.fill() == {"mailchimp": 35, "sendgrid": 13}
        assert state.mailchimp.person("an.peeters@lezer.example")["receives"] == ["offers"]
        page = requests.post(f"{sandbox.url}/do", data={"fill": "1"}, timeout=10).text
        assert "The old list is there already" in page
        assert "no contact, only never to be mailed" in page
        members = state.mailchimp.audience.members
        state.mailchimp.audience.forgotten.add(gone := next(iter(members)))
        del members[gone]
        assert state.fill() == {"mailchimp": 0, "sendgrid": 0}
        requests.post(f"{sandbox.url}/do", data={"reset": "1"}, timeout=10)
        page = requests.post(f"{sandbox.url}/do", data={"fill": "1"}, timeout=10).text
        assert "as if for years, 36 at Mailchimp and 13 at SendGrid" in page
    finally:
        sandbox.stop()


def local(text: str) -> datetime:
    """A time of Mailchimp's exports."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Brussels")).astimezone(UTC)


def stamp(time: datetime) -> str:
    """A time as SendGrid's exports write it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


# -- every report ------------------------------------------------------------------------------------------------


def test_every_sample_is_taken_in_and_its_rows_are_the_others_added_up(day: Day) -> None:
    """README's table is what the commands say; what a dry run says before is what becomes of each file."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in WALK.splitlines() if line.startswith("| `")
    ]
    table = {cells[0].split("`")[1]: [int(cell) for cell in cells[1:]] for cells in lines if len(cells) == 6}
    assert set(table) == {path.name for path in SAMPLES.glob("*.csv")}
    seen = set()
    for words, dry, counts in day.imports:
        file = words[1]
        assert [dry[name] for name in ("imported", "unchanged", "suppressed", "rejected")] == counts
        assert dry["rows"] == sum(counts) == len(samples(file))
        if file not in seen:
            assert [dry["rows"], *counts] == table[file]
        seen.add(file)
    assert seen == set(table)


def test_every_audit_adds_up(day: Day) -> None:
    """AUD-01: rows are contacts, those said again and those not read; each breakdown has every contact once."""
    assert [told["source"] for told in day.audits] == ["mailchimp", "sendgrid", "store"]
    for told in day.audits:
        assert tuple(told["grades"]) == GRADES
        assert told.get("rows", told["total"]) == told["total"] + told.get("repeated", 0) + told.get("rejected", 0)
        assert sum(told["grades"].values()) == told["total"]
        for about in ("by_purpose", "by_channel", "by_age"):
            parts = told[about].values()
            assert {grade: sum(part[grade] for part in parts) for grade in GRADES} == told["grades"], about
    first, _, last = day.audits
    assert all(first["grades"][grade] for grade in GRADES if grade != "soft_proven"), "nobody here is a customer"
    assert last["grades"] == {"proven": 12, "soft_proven": 0, "incomplete": 13, "none": 0, "stopped": 0}
    assert last["by_age"]["no date"] == dict.fromkeys(GRADES, 0)
    assert last["missing"]["confirmation"] == last["missing"]["age"] == 1


def test_every_plan_adds_up_and_is_what_was_done(day: Day) -> None:
    """AUD-02: who goes and who stays are everybody of the audit."""
    plans = [said for typed, said in day.said if typed[0] == "clean"][:3]
    assert len(plans) == sum(words[0] == "clean" for words in TYPED)
    for plan in plans[:2]:
        (audited,), (goes, none, stopped), (stays,), (removed, left, gone) = (
            [int(number) for number in re.findall(r"\d+", found[0])]
            for found in (
                re.findall(r"\d+ people\n", plan),
                re.findall(r"\d+ go: .*", plan),
                re.findall(r"\d+ stay", plan),
                re.findall(r"Taken out: .*", plan),
            )
        )
        (before,) = [int(number) for number in re.findall(r"(\d+) are gone already", plan)] or [0]
        assert (audited, goes, removed) == (goes + stays + before, none + stopped, goes)
        assert (left, gone) == (0, before)
    assert "carried out already: nothing was changed" in plans[2]


def test_readme_shows_what_they_say(day: Day) -> None:
    """The output in README is that of the commands, but for the time it was made."""
    audit, clean = SHOWN
    assert audit.strip() in day.of("audit", "--adapter", "mailchimp", "--out")
    (first, *_) = [said for typed, said in day.said if typed[0] == "clean"]
    made = re.compile(r"made \S+:")
    assert made.sub("made", clean).strip() in made.sub("made", first)


def test_readme_counts_people_as_they_are(day: Day) -> None:
    """The numbers in its sentences."""
    told = " ".join(WALK.split())
    kept = [one for one in day.running.state.sendgrid.people() if not day.running.state.sendgrid.person(one)["present"]]
    assert f"There are {len(day.at('mailchimp'))} people: {len(PROVEN['newsletter'])} proven, for 12 purposes" in told
    assert f"and {len(ON - LEFT - PROVEN['newsletter'])} of whom something is missing" in told
    assert f"nobody else but {len(kept)} whom SendGrid keeps" in told
    unknown = (emails("sendgrid-unsubscribes.csv") | emails("sendgrid-bounces.csv")) - emails("sendgrid-contacts.csv")
    assert f"Mailchimp has 36 people, the toy SendGrid 13, and {len(unknown)} more whom it does not mail" in told


def test_no_report_names_anybody(day: Day) -> None:
    """MIN-03: no address in what is printed, in the page, or in the counts; the file for the next step is private."""
    for typed, said in day.said:
        if typed[0] in ("import", "audit", "clean"):
            assert not ADDRESS.search(said), typed
    for name in ("mailchimp", "sendgrid"):
        for suffix in (".html", ".json"):
            assert not ADDRESS.search((day.folder / f"{name}{suffix}").read_text(encoding="utf-8"))
        assert (day.folder / f"{name}.audit").stat().st_mode & 0o777 == 0o600
    assert (day.folder / "sendgrid-bounces.rejected.csv").stat().st_mode & 0o777 == 0o600


# -- what it comes to --------------------------------------------------------------------------------------------


def test_both_platforms_hold_who_is_proven_or_incomplete_and_nobody_else(day: Day) -> None:
    """AUD-02: everybody who went is gone there; whoever is proven is at both, with her link, for what is proven."""
    assert day.at("mailchimp") == ON - LEFT
    assert day.at("sendgrid") == (emails("sendgrid-contacts.csv") & ON - LEFT) | PROVEN["newsletter"]
    for name in ("mailchimp", "sendgrid"):
        assert day.receives(name, "offers") == PROVEN["offers"]
        assert day.receives(name, "newsletter") >= PROVEN["newsletter"]
        for email in PROVEN["newsletter"]:
            assert day.running.state.esp(name).person(email)["link"].startswith(f"{BASE_URL}/preferences/")


def test_only_who_is_proven_may_be_mailed(day: Day) -> None:
    """README's answers, and the store's of everybody there ever was."""
    asked = [line for line in WALK.splitlines() if line.startswith("consent-bridge may-mail")]
    for line in asked:
        said = day.of(*shlex.split(line, comments=True)[1:])
        assert said.split()[0] == line.partition("# ")[2].partition(":")[0]
    assert {line.partition("# ")[2].partition(":")[0] for line in asked} == {"yes", "no"}
    everybody = set().union(*(emails(path.name) for path in SAMPLES.glob("*.csv")))
    for purpose, proven in PROVEN.items():
        assert {email for email in everybody if day.house.store.may_mail(email, purpose).may} == proven
    assert "the history is whole" in day.of("verify")


def test_who_said_no_is_remembered_and_no_list_brings_her_back(day: Day) -> None:
    """SUP-05: after the cleaning only a hash is left of them; lists that say yes are passed over, and counted."""
    for email in LEFT:
        assert day.house.store.person(email) is None
    again = day.json("import", "mailchimp-subscribed.csv", "--channel", "footer", "--dry-run")
    assert again["suppressed"] == len(ON & LEFT) == 2
    (day.folder / "back.csv").write_text(
        "email,purpose,time,notice,language,method,source_document\n"
        + "".join(f"{email},newsletter,2026-11-01,1,nl,paper,box 9\n" for email in sorted(LEFT))
    )
    back = day.json("import", "back.csv", "--channel", "footer")
    assert (back["rows"], back["suppressed"]) == (len(LEFT), len(LEFT))
    day.dispatches()
    assert not LEFT & (day.at("mailchimp") | day.at("sendgrid"))


def test_told_once_more_nothing_changes(day: Day) -> None:
    """AUD-02: the same audit is not carried out twice, nor the same file taken in."""
    before, held = day.house.store.last_written(), day.at("mailchimp") | day.at("sendgrid")
    assert "nothing was changed" in day.types("clean", "--from", "sendgrid.audit", "--yes")
    told = day.json("import", "crm-proof.csv", "--channel", "footer")
    assert (told["imported"], told["unchanged"], told["suppressed"]) == (0, 15, 1)
    day.dispatches()
    assert day.house.store.last_written() == before
    assert day.at("mailchimp") | day.at("sendgrid") == held


def test_only_who_is_proven_is_mailed_at_all(day: Day) -> None:
    """README: `clean` had the others switched off at both; a night later `reconcile` leaves it so."""
    for nights in range(2):
        for name in ("mailchimp", "sendgrid"):
            assert day.receives(name, "newsletter") == PROVEN["newsletter"]
        if not nights:
            day.house.clock.forward(minutes=11)
            day.types("reconcile")
            day.dispatches()
    assert day.at("mailchimp") == ON - LEFT, "who is incomplete stays on the list, and is not mailed"
