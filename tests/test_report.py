"""The report for marketing: its numbers are those of the people who are there, and few of them are never told.

CHN-06, ORG-01, CON-06; issue 5, point 6.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event as sql_event

from bridge.cli.main import main
from bridge.decide import share, shown
from bridge.jobs.reports.marketing import ROADS, as_html, collect, told_of
from bridge.store.figures import AGES, STATES, Figures
from bridge.tables import metadata
from bridge.vocabulary import FEW, PREFERENCES, EventType
from tests.channels import open_doors
from tests.conftest import House, Reader
from tests.test_import import Lists
from tests.test_store import confirm_token, withdraws
from tests.test_templates import Page

T = EventType


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors."""
    return open_doors(policy_folder)


class Desk:
    """Whom the tests bring to the newspaper, by hand and counted."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.lists = house, Lists(house, folder)

    def asks(self, email: str, channel: str, *purposes: str) -> None:
        self.house.bridge.acts.sign_up(
            email, purposes or ("newsletter",), channel=channel, language="nl", network=email, fields={}
        )

    def consents(self, email: str, channel: str, *purposes: str) -> None:
        self.asks(email, channel, *purposes)
        self.house.clock.forward(seconds=1)
        self.house.bridge.acts.confirm(confirm_token(self.house, email))

    def takes(self, channel: str, *rows: dict[str, str]) -> None:
        self.lists.take(self.lists.write(*rows, name=f"{channel}-{len(rows)}.csv"), channel=channel)

    def hears(self, email: str, type_: EventType) -> None:
        self.house.hear(Reader(self.house, email).told_by_esp(type_))


@pytest.fixture
def desk(house: House, tmp_path: Path) -> Desk:
    """On SQLite and on PostgreSQL."""
    return Desk(house, tmp_path)


def figures(people: int, asked: int = 0, confirmed: int = 0, ages: tuple[int, ...] = (0,) * 5, **more: int) -> Figures:
    """What a channel should have brought."""
    states = dict.fromkeys(STATES, 0) | {name: more.pop(name) for name in STATES if name in more}
    roads = {"doubtful": confirmed} if confirmed else {}  # programs press these buttons, at once
    return Figures(people=people, asked=asked, confirmed=confirmed, ages=ages, states=states, roads=roads, **more)


# -- the numbers --------------------------------------------------------------------------------------------------


def test_chn_06_the_numbers_are_those_of_the_people_who_are_there(desk: Desk) -> None:
    """CHN-06: who asked, confirmed, left, complained, bounced, with proofs of every age, counted by hand; what adds up,
    adds up to everybody in the store; nobody who was forgotten is there but as a number (CON-06)."""
    house = desk.house
    for name in ("a", "b", "c", "d"):
        desk.asks(f"{name}.never@lezer.example", "footer")
    desk.asks("both.never@lezer.example", "footer")
    house.clock.forward(days=1)
    desk.asks("both.never@lezer.example", "guide")
    house.clock.forward(days=4)
    assert house.store.forget_requests() == 5
    for name in ("a", "b", "c"):
        desk.consents(f"{name}.footer@lezer.example", "footer")
    desk.consents("both.footer@lezer.example", "footer", "newsletter", "offers")
    desk.consents("a.guide@lezer.example", "guide")
    desk.takes(
        "old-list",
        {"email": "half.year@lezer.example", "time": "2026-07-01"},
        {"email": "a.year@lezer.example", "time": "2026-01-15"},
        {"email": "old@lezer.example", "time": "2024-12-01", "purpose": "offers"},
        {"email": "older@lezer.example", "time": "2024-01-15"},
        {"email": "oldest@lezer.example", "time": "2019-01-15"},
        {"email": "none@lezer.example", "method": ""},
        {"email": "a.footer@lezer.example", "time": "2025-01-15", "purpose": "offers"},
    )
    desk.takes(
        "bought", {"email": "bought@lezer.example", "method": ""}, {"email": "comes@lezer.example", "method": ""}
    )
    desk.consents("comes@lezer.example", "guide")
    withdraws(house, "b.footer@lezer.example")
    desk.hears("c.footer@lezer.example", T.COMPLAINED)
    desk.hears("a.year@lezer.example", T.BOUNCED)
    desk.hears("a.year@lezer.example", T.BOUNCED)
    desk.hears("none@lezer.example", T.BOUNCED)
    both = Reader(house, "a.guide@lezer.example")
    both.saves(both.asks_for_a_link(), "newsletter", "offers")
    desk.asks("now@lezer.example", "footer")
    desk.asks("a.guide@lezer.example", "footer", "offers")  # has it already: no new question is open
    house.clock.forward(minutes=1)

    found = house.store.by_channel()

    assert found == {
        "footer": figures(people=3, asked=9, confirmed=4, ages=(3, 0, 0, 0, 0), on=1, left=2, waiting=1, complained=1),
        "guide": figures(people=2, asked=3, confirmed=2, ages=(2, 0, 0, 0, 0), on=2),
        "old-list": figures(people=7, ages=(1, 1, 2, 1, 1), on=6, without_proof=1, bounced=2),
        "bought": figures(people=1, without_proof=1),
        PREFERENCES: figures(people=0, ages=(1, 0, 0, 0, 0)),
    }
    with house.bridge.database.reading() as db:
        there = len(db.execute(metadata.tables["subjects"].select()).all())
        live = [
            row for row in db.execute(metadata.tables["records"].select()) if row.status in ("given", "soft_opt_in")
        ]
    assert sum(one.people + one.states["waiting"] for one in found.values()) == there
    assert all(one.people == sum(one.states.values()) - one.states["waiting"] for one in found.values())
    assert sum(sum(one.ages) for one in found.values()) == len(live)


def test_an_erased_person_is_in_no_number(desk: Desk) -> None:
    """RGT-04: what is told of everybody tells nothing of her any more, but that one more asked and confirmed."""
    house = desk.house
    desk.consents("an@lezer.example", "footer")
    desk.hears("an@lezer.example", T.COMPLAINED)
    house.store.erase_person("an@lezer.example")
    assert house.store.by_channel() == {"footer": figures(people=0, asked=1, confirmed=1)}


def test_chn_06_the_rate_outlives_the_people(desk: Desk) -> None:
    """CHN-06: whoever confirmed and is gone counts for as long as whoever never did; each once, by each channel."""
    house = desk.house
    for number in range(40):
        desk.asks(f"a{number}@lezer.example", "footer")
    for number in range(30):
        house.bridge.acts.confirm(confirm_token(house, f"a{number}@lezer.example"))
    house.clock.forward(days=4)
    before = house.store.by_channel()["footer"]
    assert (before.asked, before.confirmed) == (40, 30)
    assert house.store.forget_requests() == 10
    for number in range(12):
        house.store.erase_person(f"a{number}@lezer.example")
        house.store.erase_person(f"a{number}@lezer.example")
    after = house.store.by_channel()["footer"]
    assert (after.people, after.asked, after.confirmed) == (18, 40, 30)
    (told,) = [channel for channel in collect(house.bridge, "en")["channels"] if channel["id"] == "footer"]
    assert told["confirm_rate"] == 0.75


def test_an_empty_house_has_a_report(home: House) -> None:
    """Nobody is nobody: zeros, no divisions by them."""
    found = collect(home.bridge, "en")
    assert found["totals"] == {"people": 0, "on": 0, "without_proof": 0, "complained": 0, "bounced": 0}
    assert {channel["confirm_rate"] for channel in found["channels"]} == {None}
    as_html(home.bridge, found, home.clock())


def test_the_number_of_statements_does_not_grow_with_the_people(desk: Desk) -> None:
    """A few statements, however many are in the store."""

    def asked() -> int:
        statements: list[str] = []
        engine = desk.house.bridge.database.engine

        def note(_connection: Any, cursor: Any, *_: Any) -> None:
            statements.append(str(cursor))

        sql_event.listen(engine, "before_cursor_execute", note)
        desk.house.store.by_channel()
        sql_event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    few = asked()
    desk.takes("old-list", *({"email": f"a{number}@lezer.example"} for number in range(300)))
    assert asked() == few


def test_a_person_who_moved_was_not_asked_by_the_form(desk: Desk) -> None:
    """CHN-06, R13: our question to her new address is not one of the form's."""
    house = desk.house
    desk.takes("old-list", {"email": "an@lezer.example"})
    report = Reader(house, "an@lezer.example").told_by_esp(T.MOVED)
    house.hear(msgspec.structs.replace(report, to="new@lezer.example"))
    assert house.store.by_channel()["old-list"].asked == 0
    house.store.erase_person("new@lezer.example")
    assert house.store.by_channel() == {}


# -- few people are hidden ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_org_01_no_part_of_few_people_can_be_worked_out(parts: list[int]) -> None:
    """ORG-01: a part of 1 to 4 is never told, and what is told with the whole leaves at least two ways to fill it."""
    told = shown(parts)
    assert all(part is None or part == real for part, real in zip(told, parts, strict=True))
    assert not [part for part in told if part is not None and 0 < part < FEW]
    hidden = [real for part, real in zip(told, parts, strict=True) if part is None]
    assert 0 not in hidden
    if not hidden or sum(parts) < FEW:
        return
    assert len(hidden) > 1
    assert sum(hidden) >= FEW


@given(st.lists(st.integers(0, 40), min_size=2, max_size=6))
def test_org_01_nothing_is_hidden_in_vain(parts: list[int]) -> None:
    """What has no small part is told whole; of two small parts that hide each other nothing more is hidden."""
    told = shown(parts)
    small = [part for part in parts if 0 < part < FEW]
    hidden = [real for part, real in zip(told, parts, strict=True) if part is None]
    if not small:
        assert told == parts
    if len(small) > 1 and sum(small) >= FEW:
        assert sorted(hidden) == sorted(small)


@given(st.integers(0, 60), st.integers(0, 60))
def test_org_01_a_share_tells_neither_few_who_are_nor_few_who_are_not(part: int, more: int) -> None:
    """ORG-01: 3 of 100 are few, and so are 97 of 100."""
    told, of_all = share(part, part + more)
    if 0 < part < FEW or 0 < more < FEW or part + more < FEW:
        assert (told, of_all) == (None, None)
    else:
        assert (told, of_all) == (part, part / (part + more))


counts = st.integers(0, 30)


@given(
    st.fixed_dictionaries(dict.fromkeys(STATES, counts)),
    st.tuples(*[counts] * (len(AGES) + 1)),
    counts,
    counts,
    counts,
    counts,
    st.tuples(*[counts] * 5),
)
def test_org_01_no_number_of_the_report_tells_of_few(
    states: dict[str, int],
    ages: tuple[int, ...],
    never: int,
    confirmed: int,
    complained: int,
    bounced: int,
    roads: tuple[int, ...],
) -> None:
    """ORG-01: no number of 1 to 4 stands in a row, nor comes out of one that is taken from another."""
    people = sum(states.values()) - states["waiting"]
    row = told_of(
        Figures(
            people=people,
            states=states,
            asked=confirmed + never,
            confirmed=confirmed,
            complained=min(complained, people),
            bounced=min(bounced, people),
            ages=ages,
            roads=dict(zip((*ROADS, "held"), roads, strict=True)),
        )
    )
    told = [
        row["people"],
        row["asked"],
        row["confirmed"],
        row["complained"],
        row["bounced"],
        *row["states"].values(),
        *row["proofs"].values(),
        *row["roads"].values(),
        row["held"],
    ]
    assert not [count for count in told if count is not None and 0 < count < FEW]
    pairs = [("people", "complained"), ("people", "bounced"), ("asked", "confirmed")]
    for whole, part in [*pairs, ("people", "confirmed")] if None in row["states"].values() else pairs:
        if row[whole] is not None and row[part] is not None:
            assert not 0 < abs(row[whole] - row[part]) < FEW
    if 0 < people < FEW:
        assert {row["people"], *row["states"].values(), *row["proofs"].values()} == {None}
    if row["confirmed"] is None:
        assert set(row["roads"].values()) == {None} or not any(roads[:4])
    for name, rate in (("confirmed", "confirm_rate"), ("complained", "complaint_rate"), ("bounced", "bounce_rate")):
        assert row[name] is not None or row[rate] is None


def test_org_01_a_column_that_hides_a_number_tells_no_sum(desk: Desk) -> None:
    """ORG-01: else whoever has the sum and the others has the hidden one too."""
    desk.takes("old-list", *({"email": f"a{number}@lezer.example"} for number in range(8)))
    found = collect(desk.house.bridge, "en")
    assert (found["totals"]["people"], found["totals"]["on"]) == (8, 8)
    desk.takes("bought", {"email": "b@lezer.example", "method": ""})
    found = collect(desk.house.bridge, "en")
    assert (found["totals"]["people"], found["totals"]["on"]) == (None, None)
    rows = {channel["id"]: channel for channel in found["channels"]}
    assert (rows["old-list"]["people"], rows["bought"]["people"]) == (8, None)


# -- what it costs, in words --------------------------------------------------------------------------------------


def sentences(monkeypatch: pytest.MonkeyPatch, home: House, told: Figures, channel: str = "footer") -> list[str]:
    """What is said of a channel that brought that."""
    monkeypatch.setattr(home.store, "by_channel", lambda: {channel: told})
    (row,) = [row for row in collect(home.bridge, "en")["channels"] if row["id"] == channel]
    return list(row["risks"])


SAID = {
    "nothing": (figures(100, 100, 100, (100, 0, 0, 0, 0), on=100), "footer", None),
    "few confirm": (figures(70, 100, 60, (70, 0, 0, 0, 0), on=70), "footer", "4 of 10 never confirmed"),
    "most confirm": (figures(70, 100, 70, (70, 0, 0, 0, 0), on=70), "footer", None),
    "no proof": (figures(100, on=80, without_proof=20, ages=(80, 0, 0, 0, 0)), "old-list", "20 of 100 have no proof"),
    "few without proof": (figures(100, on=98, without_proof=2, ages=(98, 0, 0, 0, 0)), "old-list", None),
    "old": (figures(100, on=100, ages=(60, 10, 10, 15, 5)), "old-list", "20 of 100 yeses are older than two years"),
    "complaints": (figures(10_000, on=9990, left=10, complained=10, ages=(9990, 0, 0, 0, 0)), "footer", "0.1% pressed"),
    "few complaints": (figures(10_000, on=9990, left=10, complained=4, ages=(9990, 0, 0, 0, 0)), "footer", None),
    "dead": (figures(100, on=100, bounced=5, ages=(100, 0, 0, 0, 0)), "footer", "5% of the addresses are dead"),
    "review": (figures(0), "contact", "The review was due on 30 June 2026"),
}


@pytest.mark.parametrize(("told", "channel", "words"), SAID.values(), ids=SAID.keys())
def test_each_risk_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, home: House, told: Figures, channel: str, words: str | None
) -> None:
    """CHN-06: a marketer reads what to mend; where nothing is wrong, or few are concerned, nothing is said."""
    said = sentences(monkeypatch, home, told, channel)
    assert len(said) == (1 if words else 0), said
    assert not words or said[0].startswith(words)


def test_gdpr_14_an_overdue_quarantine_is_named(desk: Desk) -> None:
    """CHN-04: the report says that a third party's list breaks the law; not before it does."""
    desk.takes("bought", {"email": "an@lezer.example", "method": ""})
    assert collect(desk.house.bridge, "en")["risks"] == []
    desk.house.clock.forward(days=29)
    (said,) = collect(desk.house.bridge, "nl")["risks"]
    assert "AVG 14" in said


# -- as it is handed over -----------------------------------------------------------------------------------------


@pytest.fixture
def office(home: House, environment: dict[str, str], sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house that the command finds."""
    for name, value in {**environment, "BRIDGE_DATABASE_URL": sqlite_url}.items():
        monkeypatch.setenv(name, value)
    return home


def run(*words: str) -> Any:
    """Call the command."""
    return CliRunner().invoke(main, list(words))


def test_the_report_as_a_page_as_json_and_in_lines(office: House, tmp_path: Path) -> None:
    """ORG-01: the same numbers each way; no address in any; the page is written once and never over another."""
    desk = Desk(office, tmp_path)
    desk.takes("old-list", *({"email": f"a{number}@lezer.example"} for number in range(8)))
    out = tmp_path / "report.html"
    assert run("report", "--out", str(out)).exit_code == 0
    html = out.read_text("utf-8")
    assert 'lang="nl"' in html
    assert "Verslag voor marketing" in html
    lines, told = run("report", "--language", "en"), run("report", "--json")
    found = json.loads(told.stdout)
    assert found["hidden_below"] == FEW
    (row,) = [row for row in found["channels"] if row["id"] == "old-list"]
    assert (row["people"], row["states"]["on"], row["confirm_rate"]) == (8, 8, None)
    assert "old-list: the list from before\n  people 8: on 8" in lines.stdout
    for text in (html, lines.output, told.output):
        assert "lezer.example" not in text
    again = run("report", "--out", str(out))
    assert (again.exit_code, "never overwritten" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--language", "fr"], "the policy offers nl, en"),
        (["--out", "report.pdf"], "report.pdf must end in .html"),
    ],
)
def test_a_wrong_call_says_what_to_do(office: House, words: list[str], said: str) -> None:
    """One line with the fix."""
    told = run("report", *words)
    assert (told.exit_code, said in told.output) == (1, True), told.output


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_page_holds_every_number_that_may_be_told(
    monkeypatch: pytest.MonkeyPatch, home: House, language: str
) -> None:
    """ORG-01, A11Y-01: charts are tables; hidden is said as hidden; no English on a Dutch page."""
    told = {
        "footer": figures(1200, 2000, 1100, (600, 400, 100, 50, 50), on=1000, left=150, ended=50, bounced=30),
        "guide": figures(3, 3, 3, (3, 0, 0, 0, 0), on=3),
        "gone-form": figures(50, on=50, ages=(0, 0, 0, 0, 50)),
        PREFERENCES: figures(0, ages=(20, 0, 0, 0, 0)),
        "": figures(6, without_proof=6),
    }
    monkeypatch.setattr(home.store, "by_channel", lambda: told)
    found = collect(home.bridge, language)
    page = Page(as_html(home.bridge, found, home.clock()))
    number = home.bridge.texts.number(language, 1200)
    for words in (number, "55%", "gone-form", {"en": "hidden", "nl": "verborgen"}[language]):
        assert words in page.visible
    assert (
        len(page.all("table")) == len(page.all("caption")) == 1 + 3 + 3 + 2
    )  # of two channels how sign-ups were confirmed
    assert not page.all("script", "link", "img")
    foreign = {"en": "Formulier", "nl": "Standing"}[language]
    assert foreign not in page.visible
    assert not re.search(r"@|\.example", page.visible.replace("dedagwijzer.example", ""))
