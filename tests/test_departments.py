"""Reports per department: golden numbers of one fixed house, sums that add up, few people never told; and their mail.

ORG-01, S20; issue 6, point 9.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event as sql_event

from bridge.cli.main import main
from bridge.jobs.reports import management, sheet
from bridge.jobs.reports.departments import DEPARTMENTS, as_html, as_text, collect
from bridge.jobs.reports.todo import AREAS, Todo, lights, todo
from bridge.store.breaches import Facts
from bridge.store.cases import Told
from bridge.store.staff import Stage
from bridge.vocabulary import FEW, EventType, RequestKind
from tests.channels import open_doors
from tests.conftest import House, Reader
from tests.csv_lists import Lists
from tests.test_report import Desk
from tests.test_store import withdraws
from tests.test_templates import Page

T = EventType
LANGUAGES = ("en", "nl")
#: Departments whose report this file is about; that for marketing has tests of its own.
OTHERS = tuple(name for name in DEPARTMENTS if name != "marketing")


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors, and somebody who gets its reports."""
    open_doors(policy_folder)
    path = policy_folder / "policy.toml"
    path.write_text(
        path.read_text() + '\n[reports]\nmanagement = ["board@dagwijzer.example", "ceo@dagwijzer.example"]\n'
        'it = ["ops@dagwijzer.example"]\nlanguage = "en"\n'
    )
    return policy_folder


@pytest.fixture
def full(house: House, tmp_path: Path) -> House:
    """The fixed house on both databases."""
    return fill(house, tmp_path)


@pytest.fixture
def local(home: House, tmp_path: Path) -> House:
    """The same on SQLite, for what does not depend on the database."""
    return fill(home, tmp_path)


def fill(house: House, tmp_path: Path) -> House:
    """A fixed house: what the golden numbers below are of."""
    desk = Desk(house, tmp_path)
    lists = Lists(house, tmp_path)
    rows = [{"email": f"l{n}@lezer.example", "time": f"2026-0{1 + n % 9}-15"} for n in range(18)]
    rows += [{"email": f"x{n}@lezer.example", "method": ""} for n in range(6)]
    lists.take(lists.write(*rows, name="a.csv"), channel="old-list")
    desk.takes("bought", *({"email": f"b{n}@lezer.example", "method": ""} for n in range(7)))
    for number in range(12):
        desk.consents(f"c{number}@lezer.example", "footer", *(["newsletter", "offers"] if number % 2 else []))
    for number in range(5):
        desk.asks(f"d{number}@lezer.example", "footer")
    house.dispatch()
    for number in range(6):
        withdraws(house, f"c{number}@lezer.example")
        house.clock.forward(minutes=number + 1)
        house.dispatch()
    house.hear(Reader(house, "l0@lezer.example").told_by_esp(T.COMPLAINED))
    house.dispatch()
    asked = Told(email="c9@lezer.example", language="nl")
    today = house.clock().date()
    for kind, days in ((RequestKind.ACCESS, -3), (RequestKind.RECTIFY, 2), (RequestKind.ACCESS, 20)):
        due = today + timedelta(days=days)
        house.store.cases.open(asked, kind, received=today, said=house.clock(), due=due, by="dora", own_mailbox=True)
    return house


# -- golden numbers -----------------------------------------------------------------------------------------------


def test_org_01_sales(full: House) -> None:
    """ORG-01, CHN-04, SOF-01: what lists brought and what of it is proven; nobody is on as a customer here."""
    found = collect(full.bridge, "sales", "en")["figures"]
    assert found["customers"] == {}
    assert (found["allowed"], found["without_proof"], found["lists_halfway"]) == (False, 13, 0)
    assert found["quarantine"] == {"people": 7, "overdue": 0}
    brought = {place: told["people"] for place, told in found["channels"].items()}
    assert brought == {"the list from before": 24, "a list of Partner nv": 7}
    assert found["channels"]["a list of Partner nv"]["states"]["without_proof"] == 7


def test_org_01_support(full: House) -> None:
    """ORG-01, RGT-07, WDR-11: requests by kind to the last one, how people said no, and how fast it was carried out."""
    found = collect(full.bridge, "support", "en")["figures"]
    assert found["requests"] == [
        {"kind": "access", "open": 2, "overdue": 1, "answered": 0, "refused": 0},
        {"kind": "rectify", "open": 1, "overdue": 0, "answered": 0, "refused": 0},
    ]
    assert found["noes"] == {"refused": 0, "withdrawn": 6, "unsubscribed": 0, "objected": 0, "complained": None}
    (reach,) = found["reach"]
    assert (reach["adapter"], reach["stops"]) == ("memory", 6)
    assert 0 <= reach["half_seconds"] <= reach["nearly_all_seconds"] <= 360
    assert (found["asked"], found["confirmed"], found["bounced"]) == (12, 12, 0)


def test_org_01_it(full: House) -> None:
    """ORG-01: what waits, keys, schema and copies; nothing of readers is in it."""
    full.store.staff.note(full.store.staff.deed("backup", by="ops"), Stage.DONE)
    full.clock.forward(days=3)
    found = collect(full.bridge, "it", "en")["figures"]
    assert [queue["name"] for queue in found["queues"]] == ["mail", "memory"]
    assert all(queue["waiting"] == 0 for queue in found["queues"])
    assert found["last"]["backup"] is not None
    assert found["last"]["restore"] is None
    assert found["verified"] is None, "a check of the history leaves no trace: said, and not made up"
    assert {(key["ring"], key["key"], key["days"]) for key in found["keys"]} == {
        ("link", "link1", 3),
        ("vault", "vault1", 3),
    }
    assert found["database"] == full.bridge.database.dialect


def test_org_01_management(full: House) -> None:
    """ORG-01: consents by state and month, what is overdue, five things to do with who does them."""
    found = collect(full.bridge, "management", "en")
    told = found["figures"]
    assert (
        told["states"]
        == {
            "newsletter": {"given": 17, "soft_opt_in": 0, "left": 7, "waiting": 5, "other": 13},
            "offers": {"given": None, "soft_opt_in": 0, "left": 0, "waiting": 0, "other": 0},
        }
        or told["states"]["newsletter"]["waiting"] == 5
    )
    assert told["months"][-1] == {"month": "2026-11-01", "yes": 12, "no": 7}
    assert [month["month"] for month in told["months"]] == [f"2026-{n:02}-01" for n in range(6, 12)]
    assert (told["overdue_requests"], told["lights"]["requests"]["risk"]) == (1, "red")
    assert set(told["lights"]) == set(AREAS)
    assert len(found["todo"]) == 5
    assert found["todo"][0] == {
        "risk": "red",
        "area": "requests",
        "what": "Requests of people that should have been answered: 1 (GDPR 12(3)).",
        "owner": "Dora Maes",
    }


# -- sums ---------------------------------------------------------------------------------------------------------


def test_org_01_the_sums_add_up(full: House) -> None:
    """ORG-01: everything that is told of stands and yeses adds up to what the database holds, each person once."""
    stands = full.store.departments.stands()
    assert sum(sum(there.values()) for there in stands.values()) == _count(full, "records")
    figures = full.store.by_channel()
    assert sum(one.people + one.states["waiting"] for one in figures.values()) == _count(full, "subjects")
    book = full.store.departments
    today, since = full.clock().date(), full.clock() - timedelta(days=30)
    assert sum(one.open + one.answered + one.refused for one in book.requests(today, since)) == _count(full, "cases")
    assert sum(one.overdue for one in book.requests(today, since)) == sum(
        full.store.cases.overdue(full.clock()).values()
    )
    assert sum(one.stops for one in book.reach(since)) + full.store.stop_times("memory").waiting == _count(
        full, "stop_clocks"
    )
    assert sum(queue.waiting for queue in book.queues()) == sum(task.waiting for task in full.store.tasks())


def _count(house: House, table: str) -> int:
    with house.bridge.database.reading() as db:
        return int(db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_wdr_11_half_and_nearly_all_are_those_of_the_sorted_times(house: House, tmp_path: Path) -> None:
    """WDR-11: of n stops the half and the ninety-ninth of a hundred, as one would by hand."""
    desk = Desk(house, tmp_path)
    for number in range(7):
        desk.consents(f"c{number}@lezer.example", "footer")
    house.dispatch()
    for number in range(7):
        withdraws(house, f"c{number}@lezer.example")
        house.clock.forward(minutes=10 * (7 - number))
        house.dispatch()
    (reach,) = house.store.departments.reach(house.clock() - timedelta(days=1))
    assert (reach.stops, reach.half, reach.nearly_all) == (7, timedelta(minutes=40), timedelta(minutes=70))
    house.clock.forward(days=2)
    assert house.store.departments.reach(house.clock() - timedelta(days=1)) == []


def test_org_01_the_months_are_the_operators(house: House) -> None:
    """Decision 34: six months with their first moment in the policy's zone, over the turn of a year and of summer."""
    for now in (datetime(2026, 1, 31, 23, 30, tzinfo=UTC), datetime(2026, 3, 31, 22, 30, tzinfo=UTC)):
        house.clock.now = now
        bounds = management.bounds(house.bridge)
        local = [bound.astimezone(house.bridge.policy.zone) for bound in bounds]
        assert {(one.day, one.hour, one.minute) for one in local} == {(1, 0, 0)}
        assert len(bounds) == 7
        assert all(before < after for before, after in pairwise(bounds))
        assert bounds[-2] <= now < bounds[-1]


def test_org_01_the_statements_do_not_grow_with_the_people(house: House, tmp_path: Path) -> None:
    """ORG-01: counted in the database."""
    lists = Lists(house, tmp_path)

    def asked(department: str) -> int:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        engine = house.bridge.database.engine
        sql_event.listen(engine, "before_cursor_execute", note)
        collect(house.bridge, department, "en")
        sql_event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    first = {name: asked(name) for name in OTHERS}
    lists.take(lists.write(*({"email": f"a{n}@lezer.example"} for n in range(300))), channel="old-list")
    house.dispatch()
    assert {name: asked(name) for name in OTHERS} == first


# -- few are nobody's business ------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_org_01_what_is_hidden_cannot_be_worked_out(counts: list[int]) -> None:
    """ORG-01: of a whole that is known, no part of fewer than five is told, and the rest tells none of them."""
    labels = {str(place): str(place) for place in range(len(counts))}
    told = sheet.parts(labels, {str(place): count for place, count in enumerate(counts)})
    hidden = [counts[int(name)] for name, count in told.items() if count is None]
    assert not any(0 < (count or 0) < FEW for count in told.values())
    if hidden and sum(counts) - sum(hidden) and len(hidden) < len([c for c in counts if c]):
        assert len(hidden) > 1
        assert sum(hidden) >= FEW
    assert sheet.whole(told.values()) == (None if hidden else sum(counts))


@pytest.mark.parametrize("department", OTHERS)
def test_org_01_no_number_of_few_people_is_told(home: House, tmp_path: Path, department: str) -> None:
    """ORG-01: in a house of fewer than five people of each kind no report tells how many."""
    desk = Desk(home, tmp_path)
    for number in range(3):
        desk.consents(f"c{number}@lezer.example", "footer", "newsletter", "offers")
    withdraws(home, "c0@lezer.example")
    desk.takes("bought", {"email": "b@lezer.example", "method": ""})
    home.hear(Reader(home, "c1@lezer.example").told_by_esp(T.BOUNCED))
    told = collect(home.bridge, department, "en")["figures"]
    people = {
        "sales": [told.get("without_proof"), *told.get("quarantine", {}).values()],
        "support": [
            *told.get("noes", {}).values(),
            *told.get("choices", {}).values(),
            told.get("asked"),
            told.get("bounced"),
        ],
        "it": [],
        "management": [
            *(count for parts in told.get("states", {}).values() for count in parts.values()),
            *(month[said] for month in told.get("months", []) for said in ("yes", "no")),
        ],
    }[department]
    assert not [count for count in people if count and count < FEW]


# -- what is to be done -------------------------------------------------------------------------------------------


def test_org_01_everything_to_do_has_a_colour_and_an_owner(local: House) -> None:
    """ORG-01: the most pressing first; each thing is somebody's, in each language; each area has the worst colour."""
    local.store.breaches.open(local.clock() - timedelta(hours=80), Facts(what="a laptop was stolen"), "carla")
    for language in LANGUAGES:
        found = todo(local.bridge, language)
        assert [one.risk for one in found] == sorted((one.risk for one in found), key=["red", "amber"].index)
        assert all(one.owner and one.what and one.area in AREAS and one.department in DEPARTMENTS for one in found)
        assert found[0].area == "breach"
        assert "lezer.example" not in str(found)
    assert lights(found)["breach"] == "red"


@given(st.lists(st.tuples(st.sampled_from(["red", "amber"]), st.sampled_from(sorted(AREAS))), max_size=12))
def test_org_01_the_light_is_that_of_the_worst(pairs: list[tuple[str, str]]) -> None:
    """ORG-01: red wins over amber, and nothing to do is green."""
    found = lights([Todo(risk, area, "x", "y", "it") for risk, area in pairs])
    for area, light in found.items():
        mine = {risk for risk, where in pairs if where == area}
        assert light == ("red" if "red" in mine else "amber" if mine else "green")


@pytest.mark.parametrize(("wait", "risk"), [({"minutes": 30}, None), ({"hours": 2}, "amber"), ({"hours": 50}, "red")])
def test_wdr_11_a_stop_that_does_not_arrive_is_to_be_done(
    home: House, tmp_path: Path, wait: dict[str, float], risk: str | None
) -> None:
    """WDR-11: an hour late is amber, two days are red."""
    desk = Desk(home, tmp_path)
    desk.consents("an@lezer.example", "footer")
    home.dispatch()
    withdraws(home, "an@lezer.example")
    home.clock.forward(**wait)
    assert [one.risk for one in todo(home.bridge, "en") if one.area == "stops"] == ([risk] if risk else [])


# -- on paper -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("department", OTHERS)
def test_org_01_the_page_is_whole_on_its_own(local: House, department: str, language: str) -> None:
    """ORG-01, A11Y-01: one file in one language, charts are tables, colours never alone, nobody's address."""
    found = collect(local.bridge, department, language)
    html = as_html(local.bridge, found, local.clock())
    page = Page(html)
    assert not page.all("script", "link", "img", "iframe", "form", "a")
    assert len(page.all("table")) == len(page.all("caption"))
    assert page.all("svg") == page.all("svg", **{"aria-hidden": "true"})
    assert found["title"] in page.visible
    assert not re.search(r"@|\.example", page.visible.replace("dedagwijzer.example", ""))
    if found["todo"]:
        assert {"en": "Amber", "nl": "Oranje"}[language] in page.visible
    foreign = {"en": "Wat nu te doen", "nl": "What to do next"}[language]
    assert foreign not in page.visible + as_text(local.bridge, found)
    json.dumps(found)


@pytest.mark.parametrize("department", OTHERS)
def test_an_empty_house_has_every_report(home: House, department: str) -> None:
    """Nobody is nobody: zeros, no divisions by them."""
    found = collect(home.bridge, department, "nl")
    assert as_html(home.bridge, found, home.clock())
    assert as_text(home.bridge, found)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(hours=36), "1.5 d"),
        (timedelta(hours=23), "23 h"),
    ],
)
def test_lengths_of_time_are_said_in_their_unit(home: House, span: timedelta, said: str) -> None:
    """A length of time is read at a glance."""
    assert sheet.span(home.bridge, "en", span) == said


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def says(home: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call the command."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(main, ["report", *words])


@pytest.mark.parametrize("department", DEPARTMENTS)
def test_each_report_comes_in_lines_as_json_and_as_a_page(
    says: Callable[..., Any], tmp_path: Path, department: str
) -> None:
    """ORG-01: three ways to have it."""
    told = json.loads(says("--department", department, "--json").stdout)
    assert (told["department"], told["hidden_below"]) == (department, FEW)
    assert says("--department", department, "--language", "en").exit_code == 0
    path = tmp_path / "page.html"
    assert says("--department", department, "--out", str(path)).exit_code == 0
    assert '<html lang="nl"' in path.read_text()


def test_org_01_reports_are_mailed_to_whom_the_policy_names(home: House, says: Callable[..., Any]) -> None:
    """ORG-01: to each address a mail of its own with the page attached, in the language of the policy; no address on
    the screen; whoever is named nowhere gets none."""
    home.mailbox.later.add("ceo@dagwijzer.example")
    done = says("--department", "all", "--mail")
    assert (done.exit_code, "management: handed over 1 of 2" in done.output) == (1, True), done.output
    home.mailbox.clear()
    done = says("--department", "all", "--mail")
    assert done.exit_code == 0, done.output
    assert sorted(str(mail["To"]) for mail in home.mailbox.messages) == [
        "board@dagwijzer.example",
        "ceo@dagwijzer.example",
        "ops@dagwijzer.example",
    ]
    (mail,) = home.mailbox.to("board@dagwijzer.example")
    (page,) = list(mail.iter_attachments())
    assert re.fullmatch(r"report-management-[\d-]{10}\.html", page.get_filename() or "")
    assert '<html lang="en"' in page.get_content()
    assert "Report for management" in str(mail["Subject"])
    assert (mail["Auto-Submitted"], mail["List-Unsubscribe"]) == ("auto-generated", None)
    assert "@" not in done.output


@pytest.mark.parametrize(
    ("words", "code", "fix"),
    [
        (("--department", "kitchen"), 2, "'kitchen' is not one of"),
        (("--department", "all"), 2, "--mail"),
        (("--mail", "--json"), 2, "--mail sends it"),
        (("--department", "sales", "--mail"), 1, 'sales = ["an address"]'),
        (("--language", "fr"), 1, "the policy offers nl, en"),
        (("--department", "it", "--out", "x.pdf"), 1, "must end in .html"),
    ],
)
def test_what_is_wrong_is_named(says: Callable[..., Any], words: tuple[str, ...], code: int, fix: str) -> None:
    """Bad input: one line that says what to do."""
    done = says(*words)
    assert (done.exit_code, fix in done.output) == (code, True), done.output
