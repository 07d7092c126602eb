"""`consent-bridge rights`: what the DPO types, reads and hands on. Rows RGT-07, RGT-08, RGT-09, MIN-03."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bridge.cli.envfile import change
from bridge.cli.main import main
from bridge.files import write_private
from bridge.settings import read_env_file
from bridge.tables import cases
from tests.conftest import House, Reader
from tests.test_backup import Copies, fresh  # noqa: F401  (`fresh` is a fixture)
from tests.test_erase import all_over
from tests.test_rotate import Shop
from tests.test_store import consents

AN = "an.vandenberg@lezer.example"


class Desk(Shop):
    """Dora's desk: today is today, for the command knows no other clock."""

    def __init__(self, house: House, file: Path, build: Callable[..., House]) -> None:
        house.clock.now = datetime.now(UTC).replace(microsecond=0)
        super().__init__(house, file, build)

    def opens(self, kind: str, *words: str, email: str = AN) -> dict[str, Any]:
        """Write a letter down."""
        return self.told("rights", "open", email, kind, *words)

    def fails(self, *words: str, code: int = 1) -> str:
        """A command that does not do it; what it says, in lines of our own."""
        result = self.types("rights", *words)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.stderr


@pytest.fixture
def desk(house: House, tmp_path: Path, make_house: Callable[..., House]) -> Desk:
    """Dora's, with An as a reader."""
    desk = Desk(house, tmp_path / "settings.env", make_house)
    consents(house, AN)
    return desk


def test_a_letter_from_the_first_line_to_the_answer(desk: Desk, tmp_path: Path) -> None:
    """RGT-07, RGT-08, RGT-09: open, list, show, verify by her mailbox, answer: letter and three files, for her alone."""
    opened = desk.types("rights", "open", AN, "access", "--note", "Belde vanmorgen.")
    assert opened.exit_code == 0
    (listed,) = json.loads(desk.types("rights", "list", "--json").stdout)
    id_ = listed["id"]
    assert id_ in opened.stdout
    assert listed["due"] in opened.stdout
    assert f"rights verify {id_}" in opened.stdout
    assert AN not in opened.stdout + desk.types("rights", "list").stdout
    shown = desk.told("rights", "show", id_)
    assert (shown["email"], shown["note"], shown["state"]) == (AN, "Belde vanmorgen.", "open")

    assert "nobody knows yet" in desk.fails("answer", id_, "--out", str(tmp_path / "too-early"))
    assert desk.types("rights", "verify", id_).exit_code == 0
    an = Reader(desk.house, AN)
    assert desk.house.client.post(an.link("/requests/"), data={"mine": "yes"}).status_code == 200
    assert "--out" in desk.fails("answer", id_)
    folder = tmp_path / "letter"
    told = desk.told("rights", "answer", id_, "--out", str(folder), "--language", "en")

    assert (told["state"], told["how"]) == ("answered", "link")
    assert sorted(path.name for path in folder.iterdir()) == [
        "letter.txt",
        "my-data.csv",
        "my-data.html",
        "my-data.json",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert "Dear reader" in (folder / "letter.txt").read_text()
    assert json.loads((folder / "my-data.json").read_text())["you"]["address"] == AN
    assert "No request is open." in desk.types("rights", "list").stdout
    assert id_ in desk.types("rights", "list", "--all").stdout
    assert "closed already" in desk.fails("answer", id_, "--out", str(tmp_path / "again"))


def test_an_answer_that_cannot_be_written_closes_nothing(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RGT-09: the disk is full: the request stays open, half an answer is left nowhere, and it is answered later."""
    id_ = desk.opens("access", "--own-mailbox")["id"]
    folder = tmp_path / "letter"
    with monkeypatch.context() as patch:

        def full(path: Path, text: str) -> None:
            if path.name == "my-data.csv":
                raise OSError(28, "No space left on device")
            write_private(path, text)

        patch.setattr("bridge.cli.rights.write_private", full)
        assert "No space left" in desk.fails("answer", id_, "--out", str(folder))
    assert list(folder.iterdir()) == []
    assert desk.told("rights", "show", id_)["state"] == "open"
    assert desk.told("rights", "answer", id_, "--out", str(folder))["state"] == "answered"
    assert (folder / "my-data.csv").is_file()


def test_an_erasure_by_letter_asks_first_and_prints_the_answer(desk: Desk) -> None:
    """RGT-04: it cannot be undone; afterwards `show` says what is left of the request."""
    id_ = desk.opens("erase", "--own-mailbox")["id"]
    assert "say --yes" in desk.fails("answer", id_)
    assert desk.house.store.person(AN) is not None
    letter = desk.types("rights", "answer", id_, "--yes", "--language", "en").stdout
    assert "We erased your data today" in letter
    all_over(desk.house)
    shown = desk.types("rights", "show", id_).stdout
    assert "kind and dates are left" in shown
    assert AN not in shown + letter


def test_what_is_wrong_is_named_in_a_line_and_nothing_is_written(desk: Desk) -> None:
    """Bad input: address, day, kind, purpose, language, reason, id; an address is never repeated."""
    assert "no e-mail address" in desk.fails("open", "an.vandenberg", "access")
    assert "has not come" in desk.fails("open", AN, "access", "--received", "2199-01-01")
    assert "2026-11-25" in desk.fails("open", AN, "access", "--received", "yesterday", code=2)
    assert "of a withdrawal" in desk.fails("open", AN, "object", "--purpose", "newsletter")
    assert "no purpose" in desk.fails("open", AN, "withdraw", "--purpose", "news")
    assert "no language" in desk.fails("open", AN, "access", "--language", "fr")
    desk.fails("open", AN, "everything", code=2)
    assert "no request of that id" in desk.fails("show", "nobody")
    assert desk.house.store.cases.all() == []
    id_ = desk.opens("rectify", "--own-mailbox")["id"]
    desk.fails("refuse", id_, code=2)
    assert "sentence" in desk.fails("refuse", id_, "--reason", " ")
    assert "NAME=VALUE" in desk.fails("answer", id_, "--set", "language")
    assert "nothing called" in desk.fails("answer", id_, "--set", "birthday=1999-01-01")
    assert "no restriction" in desk.fails("lift", id_, "--reason", "What was in dispute is settled.")
    assert "one mailbox" in desk.fails("verify", id_, "--own-mailbox", "--other-mailbox")
    assert AN not in "".join(desk.fails("answer", id_) for _ in range(2))


def test_an_address_from_standard_input_is_in_no_shell_history(desk: Desk) -> None:
    """MIN-03: `-` for the address, as every command has it."""
    environment = dict(read_env_file(desk.file))
    result = CliRunner().invoke(main, ["rights", "open", "-", "object", "--json"], input=f"{AN}\n", env=environment)
    assert result.exit_code == 0, result.output
    assert not Reader(desk.house, AN).may().may


def test_words_of_the_operators_own_stand_in_the_letter_and_the_file(desk: Desk) -> None:
    """RGT-09: a complaint is answered in words, and the file keeps them."""
    id_ = desk.opens("complaint")["id"]
    assert "in words" in desk.fails("answer", id_)
    assert (
        "We spoke with the editors."
        in desk.types("rights", "answer", id_, "--text", "We spoke with the editors.").stdout
    )
    assert desk.told("rights", "show", id_)["answer"] == "We spoke with the editors."


def test_a_restriction_is_lifted_in_two_steps(desk: Desk) -> None:
    """GDPR 18(3): without --yes only the letter is printed."""
    id_ = desk.opens("restrict", "--own-mailbox")["id"]
    desk.types("rights", "answer", id_)
    an = Reader(desk.house, AN)
    assert not an.may().may
    reason = ("--reason", "What was in dispute is settled.", "--language", "en")
    first = desk.types("rights", "lift", id_, *reason)
    assert "What was in dispute is settled." in " ".join(first.stdout.split())
    assert "Nothing was lifted yet" in first.stderr
    assert not an.may().may
    assert desk.types("rights", "lift", id_, *reason, "--yes").exit_code == 0
    desk.house.clock.forward(seconds=2)
    assert an.may().may


def test_who_wrote_it_down_and_who_answered_are_in_the_file(desk: Desk) -> None:
    """ORG-02: two operators, both by name."""
    id_ = desk.opens("withdraw")["id"]
    desk.file.write_text(desk.file.read_text() + "BRIDGE_OPERATOR=carla\n")
    desk.types("rights", "answer", id_)
    shown = desk.told("rights", "show", id_)
    assert shown["closed_by"] == "carla"
    assert shown["opened_by"] not in ("", "carla")


def test_files_move_to_a_new_key_and_a_root_they_need_is_not_dropped(
    house: House,
    tmp_path: Path,
    make_house: Callable[..., House],
    fresh: Callable[[str], str],  # noqa: F811
) -> None:
    """KEY-03: after a rotation they open under the newest root alone, and her erasure still finds them."""
    shop = Copies(house, tmp_path / "settings.env", make_house, fresh)
    consents(house, AN)
    id_ = shop.told("rights", "open", AN, "access")["id"]
    old = shop.keys("vault")[-1]
    shop.rotates("vault")
    keys = read_env_file(shop.file)["BRIDGE_VAULT_KEYS"].split(",")
    newest = [part for part in keys if not part.startswith(f"{old}:")]
    change(shop.file, "BRIDGE_VAULT_KEYS", ",".join(newest))
    shop.told("keys", "list")
    new = make_house(house.environment["BRIDGE_DATABASE_URL"], BRIDGE_VAULT_KEYS=",".join(keys))
    with new.bridge.database.reading() as db:
        assert {row.kid for row in db.execute(select(cases))} == {newest[0].partition(":")[0]}
    assert new.verify().problems == ()
    new.store.erase_person(AN)
    assert new.store.cases.find(id_).dark
