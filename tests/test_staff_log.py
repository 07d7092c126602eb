"""Who did what, why and when (ORG-02, GDPR 5(2)): every act of staff stands in the log, and no reader does."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bridge.cli import main
from bridge.cli.staff import staff_act, tally
from bridge.store import BadInput, StoreAway
from bridge.store.staff import Deed, Stage
from tests.conftest import House, Reader
from tests.test_clean import Auditor, many
from tests.test_docs import commands
from tests.test_rotate import Shop
from tests.test_store import person

AN = "an@lezer.example"


@pytest.fixture
def staff(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Staff give commands, Carla unless another is named."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)

    def says(*words: str, by: str = "carla", **options: Any) -> Result:
        return CliRunner().invoke(main, list(words), env={"BRIDGE_OPERATOR": by}, **options)

    return says


def log(house: House) -> list[tuple[str, str, str | None, str | None, dict[str, int | str]]]:
    """Act, stage, who, why and about what, oldest first."""
    return [(e.act, e.stage, e.person, e.reason, e.about) for e in house.bridge.store.staff.entries()]


def asks_for_a_reason(house: House) -> None:
    """The policy wants to know why."""
    policy = Path(house.environment["BRIDGE_POLICY"])
    policy.write_text('staff_reason = "required"\n' + policy.read_text(encoding="utf-8"), encoding="utf-8")


# -- the acts ----------------------------------------------------------------------------------------------------


def test_an_erasure_is_noted_with_who_why_and_how_many_and_names_nobody(
    house: House, staff: Callable[..., Result]
) -> None:
    """ORG-02, RGT-04: the entry stands in the transaction of the erasure, and nothing in it is hers."""
    Reader(house, AN).has_consented()
    subject = person(house, AN).id
    assert staff("erase", AN, "--yes", "--reason", "letter 12").exit_code == 0
    assert log(house) == [("erase", "done", "carla", "letter 12", {"people": 1, "platforms": 1})]
    with house.bridge.database.reading() as db:
        told = str(db.execute(text("SELECT * FROM staff_log")).all())
    assert AN not in told
    assert subject not in told


def test_an_erasure_that_fails_leaves_no_entry_of_its_own(house: House) -> None:
    """ORG-02: act and entry stand together or not at all."""
    Reader(house, AN).signs_up()
    deed = house.bridge.store.staff.deed("erase", by="carla")

    def fails(db: Any, about: Any) -> None:
        house.bridge.store.staff.write(db, deed, Stage.DONE, about)
        raise BadInput("no")

    with pytest.raises(BadInput):
        house.bridge.store.erase_person(AN, fails)
    assert house.bridge.store.knows(AN)
    assert log(house) == []


def test_opening_one_persons_proof_is_noted_before_and_after(house: House, staff: Callable[..., Result]) -> None:
    """ORG-02, GDPR 32: who looked, also where nobody was found."""
    Reader(house, AN).signs_up()
    assert staff("evidence", AN).exit_code == 0
    assert staff("evidence", "niemand@lezer.example", by="dirk").exit_code == 1
    assert [entry[:3] for entry in log(house)] == [
        ("evidence", "began", "carla"),
        ("evidence", "done", "carla"),
        ("evidence", "began", "dirk"),
        ("evidence", "failed", "dirk"),
    ]


def test_bulk_acts_are_noted_with_counts(house: House, staff: Callable[..., Result], tmp_path: Path) -> None:
    """ORG-02: import, audit with addresses, backup; a dry run and an audit of counts are no acts."""
    file = tmp_path / "list.csv"
    file.write_text("email\nbram@lezer.example\ncas@lezer.example\n")
    for words in (["import", str(file), "--channel", "footer", "--dry-run"], ["audit"], ["reconcile", "--dry-run"]):
        assert staff(*words).exit_code == 0, words
    assert log(house) == []
    assert staff("import", str(file), "--channel", "footer").exit_code == 0
    assert staff("audit", "--out", str(tmp_path / "first")).exit_code == 0
    assert staff("backup", str(tmp_path / "copy")).exit_code == 0
    done = [(act, about) for act, stage, _, _, about in log(house) if stage == "done"]
    assert done == [
        ("import", {"rows": 2, "imported": 2, "suppressed": 0, "rejected": 0, "channel": "footer"}),
        ("audit", {"contacts": 2}),
        ("backup", {"people": 2, "events": 2}),
    ]
    assert "lezer.example" not in str(log(house))


def test_a_kill_leaves_the_beginning(
    house: House, staff: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ORG-02: what was begun stands in the log, whatever becomes of the program."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bridge.cli.staff._Doing.end", lambda *_, **__: None)  # a kill says nothing any more
    monkeypatch.setattr("bridge.cli.evidence.look", killed)
    assert staff("evidence", AN).exit_code != 0
    assert [entry[:2] for entry in log(house)] == [("evidence", "began")]
    assert "begun, no end noted" in staff("register", "staff").output


#: Commands that change something about people or rules, or open what is kept of them ...
ACTS = {
    *("approve", "audit", "backup", "child", "clean", "erase", "evidence", "export", "import", "move", "purge"),
    *("breach close", "breach export", "breach note", "breach notify", "breach open", "keys drop", "keys rotate"),
    *("reconcile", "register acknowledge", "restore", "statement publish"),
    *("repermission pause", "repermission plan", "repermission resume", "repermission start"),
    *("rights answer", "rights extend", "rights lift", "rights open", "rights refuse", "rights show", "rights verify"),
}
#: ... and those that do not.
LOOKS = {
    *("breach list", "breach show", "checkpoint", "db check", "db upgrade", "demo", "dispatch", "doctor", "init"),
    *("keys list", "keys new", "keys public", "may-mail", "register channels", "register processing"),
    *("register processors", "register staff", "repermission status", "report", "rights list", "sandbox", "serve"),
    *("mail preview", "setup", "snippet form", "snippet mail", "statement check", "statement show", "texts", "verify"),
}


def test_every_command_is_an_act_or_known_to_be_none() -> None:
    """ORG-02: no new command is forgotten: it takes `--reason`, or is named here as one that only looks."""
    found = {name.removeprefix("consent-bridge "): command for name, command in commands()}
    acts = {name for name, command in found.items() if "--reason" in [o for p in command.params for o in p.opts]}
    assert acts == ACTS
    assert found.keys() - acts == LOOKS


# -- why ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["evidence", AN], ["erase", AN, "--yes"], ["backup", "copy"], ["keys", "rotate", "seal"]]
)
def test_where_the_policy_asks_for_a_reason_nothing_happens_without_one(
    house: House, staff: Callable[..., Result], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ORG-02: `staff_reason = "required"`: exit 2, nothing done, nothing noted."""
    monkeypatch.chdir(tmp_path)
    Reader(house, AN).signs_up()
    asks_for_a_reason(house)
    refused = staff(*words)
    assert (refused.exit_code, "--reason" in refused.output) == (2, True)
    assert log(house) == []
    assert house.bridge.store.knows(AN)
    assert staff(*words, "--reason", "letter 12").exit_code == 0
    assert {entry[3] for entry in log(house)} == {"letter 12"}


@pytest.mark.parametrize("reason", ["asked by an@lezer.example", "x" * 301, "a\x00b"])
def test_a_reason_that_holds_an_address_is_refused(house: House, staff: Callable[..., Result], reason: str) -> None:
    """ORG-02, RGT-04: nobody erases what staff wrote, so no address gets in."""
    refused = staff("evidence", AN, "--reason", reason)
    assert refused.exit_code == 2
    assert "lezer.example" not in refused.output.replace(AN, "", 0).split("Error:")[-1]
    assert log(house) == []


@pytest.mark.parametrize("value", [AN, "Bram Bos", "é", "x" * 65])
def test_the_log_takes_counts_and_words_of_ours_only(house: House, value: str) -> None:
    """ORG-02: a command that would note an address or a name fails in its own tests."""
    deed = house.bridge.store.staff.deed("export", by="carla")
    with pytest.raises(ValueError, match="kinds and counts"):
        house.bridge.store.staff.note(deed, Stage.DONE, {"who": value})


# -- append-only -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM staff_log",
        "UPDATE staff_log SET person = 'dirk'",
        "UPDATE staff_log SET reason = NULL",
        "UPDATE staff_log SET act = 'import', person = NULL, reason = NULL, about = NULL",
        "UPDATE staff_log SET time = 1, person = NULL, reason = NULL, about = NULL",
        "INSERT OR REPLACE INTO staff_log (number, time, act, stage, run) VALUES (1, 1, 'a', 'done', 'r')",
        "TRUNCATE staff_log",
    ],
)
def test_nobody_changes_an_entry(house: House, change: str) -> None:
    """ORG-02, decision 15: by raw SQL neither; blanking who and why is the only change, once."""
    staff_log = house.bridge.store.staff
    staff_log.note(Deed("evidence", "carla", "letter 12", "run-1"))
    before = log(house)
    with pytest.raises((DBAPIError, StoreAway)), house.bridge.database.writing() as db:
        db.execute(text(change))
    assert log(house) == before
    assert staff_log.forget(house.clock.forward(seconds=1)) == 1
    assert log(house) == [("evidence", "done", None, None, {})]
    with pytest.raises((DBAPIError, StoreAway)), house.bridge.database.writing() as db:
        db.execute(text("UPDATE staff_log SET person = 'dirk'"))


# -- two people --------------------------------------------------------------------------------------------------


def wants_two(house: House, *acts: str) -> None:
    """The policy asks for a second person."""
    policy = Path(house.environment["BRIDGE_POLICY"])
    policy.write_text(f"second_approver = {json.dumps(acts)}\n" + policy.read_text(encoding="utf-8"), encoding="utf-8")


def test_deleting_all_needs_two_and_both_stand_in_the_log(
    house: House, staff: Callable[..., Result], tmp_path: Path
) -> None:
    """ORG-02: delete-all needs two. Who asked and who approved are joined by the id of the approval."""
    wants_two(house, "clean")
    auditor = Auditor(house, tmp_path)
    many(auditor)
    words = ("clean", "--from", str(auditor.told()), "--yes", "--json", "--reason", "audit of november")
    waits = json.loads(staff(*words).stdout)["waits"]
    assert staff("approve", waits).exit_code == 1
    for spelling in (
        "Carla",
        "CARLA ",
        "c\u0430rla".replace("\u0430", "\u00e1"),
        "car\u200bla",
        "\uff43arla",
        "-carla.",
    ):
        assert staff("approve", waits, by=spelling, input="").exit_code == 1, "she herself, spelt otherwise"
    assert staff("approve", waits, by="dora", input="").exit_code == 0
    mine = [entry for entry in log(house) if entry[0] in ("clean", "approve")]
    assert [entry[:4] for entry in mine] == [
        ("clean", "asked", "carla", "audit of november"),
        ("clean", "began", "dora", None),
        ("clean", "done", "dora", None),
    ]
    assert {entry[4].get("approval") for entry in mine} == {waits}
    assert mine[-1][4]["removed"] == 2


def test_dropping_a_key_needs_two(house: House, make_house: Callable[..., House], tmp_path: Path) -> None:
    """ORG-02, KEY-03: the second person's word carries it out, with the settings file that was named first."""
    wants_two(house, "keys")
    shop = Shop(house, tmp_path / "settings.env", make_house)
    shop.told("keys", "rotate", "link")
    kid = shop.keys("link")[0]
    waits = shop.told("keys", "drop", "link", kid.removeprefix("+"))["waits"]
    assert shop.keys("link") == [kid, "link1"]
    with shop.file.open("a") as file:
        file.write("BRIDGE_OPERATOR=dora\n")
    assert shop.told("approve", waits)["dropped"] == kid.removeprefix("+")
    assert shop.keys("link") == ["link1"]
    assert [entry[:2] for entry in log(house)][-3:] == [("keys drop", "asked"), ("keys", "began"), ("keys", "done")]


def test_a_restore_needs_two(
    house: House, staff: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ORG-02, decision 36: there is no store yet to note it in, so it is noted beside the file, signed; only another
    person's same command, about the very same files, carries it out."""
    Reader(house, AN).signs_up()
    copy, other = tmp_path / "copy", tmp_path / "other"
    assert staff("backup", str(copy)).exit_code == 0
    wants_two(house, "restore")
    empty = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv("BRIDGE_DATABASE_URL", empty)
    for _ in range(2):
        waits = staff("restore", str(copy))
        assert (waits.exit_code, "second person" in waits.output) == (0, True)
    assert staff("db", "check").exit_code == 1
    assert "second person" in staff("restore", str(copy), by="CARLA").output
    note = tmp_path / "copy.waits"
    forged = json.loads(note.read_text()) | {"asked_by": "nobody"}
    kept = note.read_text()
    note.write_text(json.dumps(forged))
    assert "second person" in staff("restore", str(copy)).output  # forged: it is asked for anew
    note.write_text(kept)
    for end in ("", ".keys"):
        shutil.copy(f"{copy}{end}", f"{other}{end}")
    done = staff("restore", str(copy), by="dora")
    assert (done.exit_code, "Restored" in done.output) == (0, True), done.output
    assert not note.exists()
    shown = json.loads(staff("register", "staff", "--json").stdout)["acts"]
    assert [(act["act"], act["person"]) for act in shown] == [("backup", "carla"), ("restore", "dora")]


def test_the_log_comes_back_with_the_newest_keys_file(
    house: House, staff: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ORG-02, decision 19: restoring an old copy takes nobody's acts out of the log, and new entries follow."""
    old, new = tmp_path / "old", tmp_path / "new"
    assert staff("backup", str(old)).exit_code == 0
    assert staff("evidence", "bram@lezer.example", by="dirk").exit_code == 1
    house.clock.forward(hours=1)
    assert staff("backup", str(new)).exit_code == 0
    monkeypatch.setenv("BRIDGE_DATABASE_URL", f"sqlite:///{tmp_path / 'again.db'}")
    assert staff("restore", str(old), "--keys", f"{new}.keys").exit_code == 0
    acts = json.loads(staff("register", "staff", "--json").stdout)["acts"]
    assert [(act["act"], act["person"]) for act in acts] == [
        ("backup", "carla"),
        ("evidence", "dirk"),
        ("backup", "carla"),
        ("restore", "carla"),
    ]


# -- reading it --------------------------------------------------------------------------------------------------


def test_the_register_shows_who_did_what(house: House, staff: Callable[..., Result], tmp_path: Path) -> None:
    """ORG-02: in lines, as JSON, as a page and as a table; `--since` leaves out what was before."""
    book = house.bridge.store.staff
    book.note(Deed("import", "carla", "", "run-1"), Stage.DONE, {"rows": 10})
    since = house.clock.forward(days=2)
    book.note(Deed("evidence", "dora", "=letter 12", "run-2"), Stage.BEGAN)
    house.clock.forward(minutes=1)
    book.note(Deed("evidence", "dora", "=letter 12", "run-2"), Stage.DONE)
    assert "carla  import (rows 10)  done" in staff("register", "staff").output
    acts = json.loads(staff("register", "staff", "--json", "--since", since.isoformat()).stdout)["acts"]
    (only,) = acts
    assert (only["act"], only["person"], only["stage"]) == ("evidence", "dora", "done")
    assert only["ended"] > only["begun"]
    for name in ("staff.html", "staff.csv"):
        assert staff("register", "staff", "--out", str(tmp_path / name), "--language", "nl").exit_code == 0
    assert "Wie wat deed" in (tmp_path / "staff.html").read_text(encoding="utf-8")
    assert ",'=letter 12," in (tmp_path / "staff.csv").read_text(encoding="utf-8")


def test_whoever_is_blanked_is_shown_as_forgotten(house: House, staff: Callable[..., Result], tmp_path: Path) -> None:
    """MIN-06: that it was done stays, who did it goes."""
    book = house.bridge.store.staff
    book.note(Deed("import", "carla", "", "run-1"), Stage.DONE, {"rows": 10})
    before = house.clock() + timedelta(days=1)
    assert book.count_late(before) == 1
    assert book.forget(before) == 1
    assert (book.count_late(before), book.forget(before)) == (0, 0)
    told = staff("register", "staff").output
    assert "(forgotten)  import  done" in told
    assert "carla" not in told


def test_one_line_makes_a_command_an_act() -> None:
    """ORG-02: what a command needs is `@staff_act`; it takes `--reason` then."""

    @click.command()
    @staff_act("export")
    def export() -> None:
        tally(people=1)

    assert "--reason" in [opt for param in export.params for opt in param.opts]
    assert CliRunner().invoke(export, ["--reason", "an@lezer.example"]).exit_code == 2
