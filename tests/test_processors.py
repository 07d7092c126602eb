"""The register of third parties and its gate: GDPR 28, 44 to 46; REG-02, REG-03, REG-04. A no is never lost by it."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.main import main
from bridge.jobs.doctor import house as own_side
from bridge.jobs.doctor import papers
from bridge.jobs.reports.parties import COLUMNS, KINDS_OF_DATA, LACKS, LINES, collect
from bridge.policy import CLAUSES, Gate, Processor, SubProcessor, gaps
from bridge.policy.snapshot import How, differences, snapshot
from tests.conftest import House, Reader
from tests.test_doctor import notes, wrong
from tests.test_gaps import EMPTIED
from tests.test_templates import Page

#: What makes an entry invalid.
INVALID: dict[str, dict[str, Any]] = {
    "to be checked": {"to_check": True},
    "planned": {"status": "planned"},
    "ended": {"status": "ended"},
    "unsigned": {"contract": None},
    "signed later": {"contract": date(2030, 1, 1)},
    "third country without tool": {"country": "US"},
    "transfer assessed later": {"transfer_assessed": date(2030, 1, 1)},
    "review overdue": {"review_by": date(2026, 11, 1)},
    "no review": {"review_by": None},
    "clauses missing": {"clauses": ("a", "b")},
}


def becomes(house: House, **changes: Any) -> None:
    """The operator changed the entry, and started again."""
    parties = house.bridge.policy.processors
    parties["memory"] = msgspec.structs.replace(parties["memory"], **changes)
    house.bridge._limits = None


@pytest.mark.parametrize("changes", INVALID.values(), ids=INVALID.keys())
def test_reg_02_without_a_valid_entry_only_a_no_leaves(
    home: House, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    """REG-02, REG-03: no valid entry, no sync: logged without anybody's address, seen by `doctor` with its fix; a stop
    and an erasure are told all the same, and the rest when the entry is valid again."""
    an, bram, emma = (Reader(home, f"{name}@lezer.example") for name in ("an", "bram", "emma"))
    an.has_consented()
    emma.has_consented()
    before = home.bridge.policy.processors["memory"]
    becomes(home, **changes)
    home.esp.calls.clear()
    bram.has_consented()

    assert home.esp.calls == []
    assert not bram.may().may
    assert "only stops are sent" in caplog.text
    assert "lezer.example" not in caplog.text
    fix = wrong(own_side.look(home.bridge))["memory: contract"]
    assert fix
    assert home.bridge.policy.processor_problem("memory", date(2026, 11, 23)) == fix

    an.one_click()
    home.dispatch()
    assert not an.is_on()
    home.store.erase_person(emma.email)
    home.dispatch()
    home.clock.forward(hours=1)
    home.dispatch()
    assert not emma.is_on()
    assert any(kind == "erase" and emma.email in who for kind, who in home.esp.calls), home.esp.calls

    home.bridge.policy.processors["memory"] = before
    home.bridge._limits = None
    home.clock.forward(minutes=6)
    home.dispatch()
    assert (bram.is_on(), an.is_on()) == (True, False)


@pytest.mark.parametrize("name", ["review overdue", "no review", "clauses missing"])
def test_reg_02_the_policy_may_only_warn(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str], name: str
) -> None:
    """REG-02 (CFG warn): what is softer is named, and mail goes on."""
    write(environment, ('country = "BE"', 'country = "BE"\nprocessor_gaps = "warn"'))
    home = make_house(sqlite_url)
    assert home.bridge.policy.processor_gaps is Gate.WARN
    an = Reader(home, "an@lezer.example")
    becomes(home, **INVALID[name])
    an.has_consented()

    assert an.is_on()
    assert "memory: contract" not in wrong(own_side.look(home.bridge))
    (key,) = INVALID[name]
    told = list(papers.look(home.bridge))
    assert any(found.subject.startswith(f"processors.memory.{key}") for found in told)


# -- the register ------------------------------------------------------------------------------------------------


@pytest.fixture
def office(home: House, environment: dict[str, str], sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house that the command finds."""
    for name, value in {**environment, "BRIDGE_DATABASE_URL": sqlite_url}.items():
        monkeypatch.setenv(name, value)
    return home


def run(*words: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, ["register", *words])


def write(environment: dict[str, str], *edits: tuple[str, str], end: str = "") -> None:
    """Change the policy file."""
    path = Path(environment["BRIDGE_POLICY"])
    text = path.read_text("utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text + end, "utf-8")


CRM = """
[[processors]]
id = "crm"
name = "Klantenboek nv"
service = "keeps our customers"
data = ["name", "customer number"]
country = "BE"
contract = 2026-01-05
review_by = 2026-11-01
[[processors.sub_processors]]
name = "Host bv"
service = "hosting"
country = "NL"
"""


@pytest.mark.parametrize("language", ["nl", "en"])
def test_reg_02_the_register_is_whole_on_paper_and_for_programs(
    office: House, environment: dict[str, str], tmp_path: Path, language: str
) -> None:
    """REG-02, REG-04, S14: name, role, service, data, contract, clauses, sub-processors, country, review, gaps and what
    is overdue: as JSON, table, page and lines, in either language."""
    write(environment, end=CRM)
    found = json.loads(run("processors", "--json", "--language", language).stdout)
    for kind in ("html", "csv", "json"):
        assert run("processors", "--out", str(tmp_path / f"r.{kind}"), "--language", language).exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["processors"] == found["processors"]
    page = Page((tmp_path / "r.html").read_text("utf-8")).visible
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text("utf-8")))}
    lines = run("processors", "--language", language).stdout

    memory, crm = found["processors"]
    assert memory["data"] == list(KINDS_OF_DATA)
    assert memory["purposes"] == ["newsletter", "offers"]
    assert set(memory["clauses"]) == set(CLAUSES)
    assert (memory["may_be_used"], crm["may_be_used"]) == (True, False)
    assert {gap["where"] for gap in crm["gaps"] if gap["overdue"]} == {"processors.crm.review_by"}
    assert "OVERDUE processors.crm.review_by" in lines
    assert set(rows["crm"]) == set(COLUMNS)
    assert rows["crm"]["sub_processors"] == "Host bv, hosting, NL"
    for words in (
        "Klantenboek nv",
        "Host bv",
        "customer number",
        office.bridge.texts.gettext(language, "overdue since %(day)s", day="").strip(),
    ):
        assert words in page
    assert {gap["where"] for gap in found["gaps"]} == {
        *("assessments.dpia_screening", "assessments.suppression"),
        *("purposes.newsletter.recipients", "purposes.offers.recipients"),  # Mailchimp, SendGrid: not in this house
    }


def test_every_line_and_gap_has_its_words() -> None:
    """No key of the policy stands on a page as it is."""
    assert set(EMPTIED) <= set(LINES)
    assert {"dpia_screening", "suppression", "soft_opt_in", "repermission", "third_party_lists"} <= set(LACKS)


# -- REG-04 ------------------------------------------------------------------------------------------------------


def party(*subs: tuple[str, str]) -> dict[str, SubProcessor]:
    return {name: SubProcessor(name=name, service="hosting", country=country) for name, country in subs}


lists = st.dictionaries(st.sampled_from(["A", "B", "C"]), st.sampled_from(["BE", "IE", "US"]))


@given(before=lists, after=lists)
def test_reg_04_every_change_of_a_list_is_a_difference(before: dict[str, str], after: dict[str, str]) -> None:
    """REG-04: whoever came, went or moved is named, and nobody else."""
    from tests.test_gaps import DEMO, WHOLE, having

    old = snapshot(having(WHOLE, sub_processors=party(*before.items())))
    new = snapshot(having(WHOLE, sub_processors=party(*after.items())))
    found = {(change.how, change.where.rpartition(".")[2]) for change in differences(old, new)}

    assert found == (
        {(How.ADDED, name) for name in after.keys() - before.keys()}
        | {(How.REMOVED, name) for name in before.keys() - after.keys()}
        | {(How.CHANGED, name) for name in before.keys() & after.keys() if before[name] != after[name]}
    )
    assert differences(snapshot(DEMO), snapshot(DEMO)) == []


def test_reg_04_a_change_is_a_task_until_a_person_has_looked(
    make_house: Callable[..., House], database_url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-04, decision 35: a new sub-processor, a moved contract, a changed purpose: named by `doctor` and the register
    against what was last seen, on both databases, until somebody says by name that she looked."""
    for name, value in {**environment, "BRIDGE_DATABASE_URL": database_url}.items():
        monkeypatch.setenv(name, value)
    first = make_house(database_url)
    assert "registers: nobody has looked at them yet" in notes(papers.look(first.bridge))
    assert run("acknowledge", "--by", "Dora Maes").exit_code == 0
    assert collect(first.bridge, "en")["task"]["changed"] == []
    first.close()

    sub = '\n[[processors.sub_processors]]\nname = "Host Inc."\nservice = "hosting"\ncountry = "IE"\n'
    write(environment, ("review_by = 2036-01-05", "review_by = 2036-01-05\nsub_processors_as_of = 2026-11-01"), end=sub)
    second = make_house(database_url)
    told = collect(second.bridge, "en")["task"]
    assert told["by"] == "Dora Maes"
    assert {(change["how"], change["where"]) for change in told["changed"]} == {
        ("added", "processors.memory.sub_processors.Host Inc."),
        ("added", "processors.memory.sub_processors_as_of"),
    }
    named = [found.subject for found in papers.look(second.bridge) if "Host Inc." in found.subject]
    assert len(named) == 1
    assert "Host Inc." in run("processors").stdout

    seen = run("acknowledge", "--by", "Dora Maes", "--json")
    assert len(json.loads(seen.stdout)["seen"]) == 2
    assert collect(second.bridge, "en")["task"]["changed"] == []
    assert not [found for found in papers.look(second.bridge) if "changed since" in found.subject]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "Dora\x00"])
def test_reg_04_somebody_looked_by_name(office: House, name: str) -> None:
    """REG-04: no name, no look."""
    assert run("acknowledge", "--by", name).exit_code != 0
    assert office.store.papers.last_look() is None


def test_whoever_carries_our_own_mails_is_in_the_register_too(home: House) -> None:
    """REG-02: a mail road that belongs to a company gets addresses; without an entry it is named."""

    class Road:
        def ears(self) -> object:
            return object()

    home.bridge.settings = msgspec.structs.replace(home.bridge.settings, mail_url="postal:")
    home.bridge.transport = Road()
    assert "postal: entry in the register (REG-02)" in notes(papers._road(home.bridge))
    home.bridge.policy.processors["postal"] = msgspec.structs.replace(
        home.bridge.policy.processors["memory"], adapter="", id="postal"
    )
    assert not list(papers._road(home.bridge))


def test_no_register_names_a_reader(office: House) -> None:
    """MIN-03: it is made of the policy alone."""
    Reader(office, "an@lezer.example").has_consented()
    assert not re.search("lezer.example", run("processors", "--json").stdout)
    assert isinstance(office.bridge.policy.processors["memory"], Processor)
    assert gaps(office.bridge.policy, date(2026, 11, 23))
