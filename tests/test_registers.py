"""The channel register: every place where addresses are collected, with what follows from its topics. CHN-01."""

import csv
import io
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli.main import main
from bridge.jobs.reports.register import COLUMNS, KINDS, as_html, collect
from bridge.policy import ChannelKind, load
from tests.channels import open_doors
from tests.conftest import House
from tests.test_import import Lists
from tests.test_templates import Page

SOLD = """
[[channels]]
id = "till"
kind = "order"
place.nl = "de kassa"
place.en = "the till"
purposes = ["news-of-books", "newsletter"]
owner = "Dirk, desk"
next_review = 2035-06-30
[channels.sale]
collected = "asked for at the till of the web shop, with a box to refuse beside it"
categories = ["books"]

[[purposes]]
id = "news-of-books"
basis = "soft_opt_in"
opt_in = "single"
single_opt_in_reason = "a customer gave the address herself with her order"
name.nl = "Boeken"
name.en = "Books"
description.nl = "Boeken zoals je die kocht."
description.en = "Books like those you bought."
label.nl = "Ja, graag."
label.en = "Yes, please."
frequency.nl = "elke maand"
frequency.en = "every month"
"""


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors."""
    return open_doors(policy_folder)


@pytest.fixture
def office(home: House, environment: dict[str, str], sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house that the command finds."""
    for name, value in {**environment, "BRIDGE_DATABASE_URL": sqlite_url}.items():
        monkeypatch.setenv(name, value)
    return home


def run(*words: str) -> Any:
    """Call the command."""
    return CliRunner().invoke(main, ["register", "channels", *words])


def test_chn_01_the_register_holds_every_channel_with_its_facts(home: House) -> None:
    """CHN-01: id, place, purposes, ground, wording, double opt-in, owner, last and next review; what is overdue."""
    found = {entry["id"]: entry for entry in collect(home.bridge, "en")["channels"]}
    assert list(found) == list(home.bridge.policy.channels)
    assert found["contact"] == {
        "id": "contact",
        "kind": "contact_form",
        "place": {"nl": "het contactformulier", "en": "the contact form"},
        "purposes": [
            {
                "id": "newsletter",
                "name": {"nl": "Nieuwsbrief", "en": "Newsletter"},
                "basis": "consent",
                "notice": 1,
                "double_opt_in": True,
            }
        ],
        "owner": "Dirk, desk",
        "last_review": "2026-01-15",
        "next_review": "2026-06-30",
        "overdue": True,
        "source": None,
    }
    assert found["bought"]["source"] == {"name": "Partner nv", "contact": "privacy@partner.example"}
    assert not found["footer"]["overdue"]


def test_sof_01_a_customers_ground_is_never_called_consent(policy_folder: Path) -> None:
    """SOF-01, CHN-01: what a sale gives is soft opt-in in the register, and only where something is sold."""
    from bridge.jobs.reports.register import entries

    path = policy_folder / "policy.toml"
    path.write_text("soft_opt_in = true\n" + path.read_text("utf-8") + SOLD, encoding="utf-8")
    (till,) = [entry for entry in entries(load(path), date(2026, 11, 23)) if entry["id"] == "till"]
    said = {purpose["id"]: (purpose["basis"], purpose["double_opt_in"]) for purpose in till["purposes"]}
    assert said == {"news-of-books": ("soft_opt_in", False), "newsletter": ("consent", True)}


def test_a_channel_is_overdue_the_day_after(home: House) -> None:
    """CHN-01: on the day of the review it is not late yet; the day is the policy's."""
    for time, late in ("2035-06-30T21:59:59Z", False), ("2035-06-30T22:00:00Z", True):
        home.clock.now = home.clock.now.fromisoformat(time)
        (footer,) = [entry for entry in collect(home.bridge, "en")["channels"] if entry["id"] == "footer"]
        assert footer["overdue"] is late


@pytest.mark.parametrize("language", ["nl", "en"])
def test_chn_01_the_page_and_the_table_say_the_same(office: House, tmp_path: Path, language: str) -> None:
    """CHN-01: as JSON, as a page that prints, as a table and in lines; in either language."""
    found = json.loads(run("--json", "--language", language).stdout)
    assert [
        run("--out", str(tmp_path / f"r.{kind}"), "--language", language).exit_code for kind in ("html", "csv")
    ] == [0, 0]
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text("utf-8"))))
    lines = run("--language", language).stdout
    for entry in found["channels"]:
        place = entry["place"][language]
        assert place in page.visible
        assert f"{entry['id']} ({entry['kind']}): {place}" in lines
        mine = [row for row in rows if row["id"] == entry["id"]]
        assert [row["purpose"] for row in mine] == [purpose["id"] for purpose in entry["purposes"]]
        assert {row["overdue"] for row in mine} == {"yes" if entry["overdue"] else "no"}
    assert tuple(rows[0]) == COLUMNS
    assert page.visible.count({"nl": "Te laat.", "en": "Overdue."}[language]) == 1
    assert lines.count("OVERDUE") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--language", "fr"], "the policy offers nl, en"),
        (["--out", "channels.pdf"], "channels.pdf must end in .html or .csv"),
    ],
)
def test_a_wrong_call_says_what_to_do(office: House, words: list[str], said: str) -> None:
    """One line with the fix."""
    told = run(*words)
    assert (told.exit_code, said in told.output) == (1, True), told.output


@pytest.mark.parametrize(
    ("kept", "days", "told"),
    [
        (0, 0, {"people": 0, "overdue": 0}),
        (3, 0, {"people": None, "overdue": 0}),
        (3, 29, {"people": None, "overdue": None}),
        (8, 0, {"people": 8, "overdue": 0}),
        (8, 29, {"people": 8, "overdue": 8}),
    ],
)
def test_chn_04_the_register_says_who_is_overdue(
    house: House, tmp_path: Path, kept: int, days: int, told: dict[str, int | None]
) -> None:
    """CHN-04, GDPR 14, ORG-01: people of third parties' lists who should be gone, as a number, hidden where few."""
    lists = Lists(house, tmp_path)
    if kept:
        rows = [{"email": f"a{number}@lezer.example", "method": ""} for number in range(kept)]
        lists.take(lists.write(*rows), channel="bought")
    house.clock.forward(days=days)
    found = collect(house.bridge, "en")
    assert found["quarantine"] == told
    page = Page(as_html(house.bridge, found, house.clock())).visible
    assert ("kept for too long" in page) is bool(kept and days)
    assert not re.search("lezer.example", page)


def test_every_kind_has_its_word() -> None:
    """No kind of channel is shown as a word of the machine."""
    assert set(KINDS) == {kind.value for kind in ChannelKind}
