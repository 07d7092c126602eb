"""Every contact is sorted by its proof, by today's bar, and the reasons are named (AUD-01)."""

import itertools
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.memory import Person
from bridge.cli.main import main
from bridge.decide import FACTS, Grade, Proof, as_bits, common, from_bits, grade, proof, shown_table
from bridge.jobs.audit.kept import Row, reviewed
from bridge.jobs.audit.looking import Audit
from bridge.jobs.audit.paper import as_counts
from bridge.jobs.audit.tally import Tally
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.store import BadInput
from bridge.store.proofs import Proofs
from bridge.store.removing import Said
from bridge.tables import unproven
from bridge.vocabulary import EventType, Limits, Report, Status
from tests.conftest import House, Reader
from tests.csv_lists import HEADER, SALE, SALE_HEADER, WHOLE, Lists, sells

WIDE = (*SALE_HEADER, "note")
BARE = dict.fromkeys(WHOLE, "")


def quiet(_done: int, _total: int) -> None:
    """No bar."""


def audited(house: House, path: Path | None = None, **defaults: str) -> Tally:
    """The counts of an audit of the store, or of a file."""
    look = Audit(house.bridge, quiet)
    if path is None:
        return look.store()
    return look.file(ListFile(path), Defaults(**{"channel": "", **defaults}))


def rows_of(house: House, path: Path | None = None, **defaults: str) -> dict[tuple[str, str], Row]:
    """Each contact of an audit, by address and purpose."""
    look, found = Audit(house.bridge, quiet), list[Row]()
    look.keep = found.append
    if path is None:
        look.store()
    else:
        look.file(ListFile(path), Defaults(**{"channel": "", **defaults}))
    assert len({(row.email, row.purpose) for row in found}) == len(found), "each contact and purpose once"
    return {(row.email, row.purpose): row for row in found}


@pytest.fixture
def shops(environment: dict[str, str], make_house: Callable[..., House], database_url: str, tmp_path: Path) -> Lists:
    """A shop in a country that allows soft opt-in: its offers rest on it."""
    sells(Path(environment["BRIDGE_POLICY"]))
    return Lists(make_house(database_url), tmp_path)


@pytest.fixture
def lists(house: House, tmp_path: Path) -> Lists:
    """On SQLite and on PostgreSQL."""
    return Lists(house, tmp_path)


@pytest.fixture
def local(home: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lists:
    """On SQLite, with the command's own surroundings."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return Lists(home, tmp_path)


#: What a row says beside a whole proof, and what an auditor makes of it: the grade, and what is missing.
CASES: list[tuple[str, dict[str, str], Grade, tuple[str, ...]]] = [
    ("whole", {}, Grade.PROVEN, ()),
    ("on paper", {"method": "paper"}, Grade.PROVEN, ()),
    ("customer", SALE, Grade.SOFT_PROVEN, ()),
    ("too old", {"time": "2019-05-31"}, Grade.INCOMPLETE, ("age",)),
    ("unconfirmed form", {"method": "form"}, Grade.INCOMPLETE, ("confirmation",)),
    ("words nobody can show", {"notice": "7"}, Grade.INCOMPLETE, ("notice",)),
    ("a date only", {**BARE, "time": "2024-01-01"}, Grade.INCOMPLETE, ()),
    ("customer without an order", {**SALE, "sale_id": ""}, Grade.INCOMPLETE, ()),
    ("an address only", BARE, Grade.NONE, ()),
    ("how, but nothing else", {**BARE, "method": "double_opt_in"}, Grade.NONE, ()),
    ("never confirmed", {"status": "pending"}, Grade.NONE, ("status",)),
    ("left", {"status": "unsubscribed"}, Grade.STOPPED, ()),
    ("complained", {"status": "complained"}, Grade.STOPPED, ()),
]


def test_each_of_twelve_cases_and_one_more_is_sorted_exactly_and_twice_the_same(shops: Lists) -> None:
    """AUD-01, S10, recital 171: who, when, how, which words, for which use; the reasons are named, nothing changes."""
    house = shops.house
    emails = [f"case{number}@lezer.example" for number in range(len(CASES))]
    told = [{"email": email, "channel": "footer", **says} for email, (_, says, _, _) in zip(emails, CASES, strict=True)]
    path = shops.write(*told, header=WIDE)
    before = house.store.last_written()
    first, again = rows_of(house, path), rows_of(house, path)
    assert first == again
    assert house.store.last_written() == before
    for email, (name, says, wanted, missing) in zip(emails, CASES, strict=True):
        row = first[email, says.get("purpose", "newsletter")]
        assert (name, row.grade) == (name, wanted)
        if missing:
            assert (name, tuple(row.missing)) == (name, missing)
        assert bool(row.missing) is (row.grade in (Grade.INCOMPLETE, Grade.NONE)), name
    tally = audited(house, path)
    assert (tally.rows, tally.total, tally.rejected, tally.repeated) == (13, 13, 0, 0)
    assert tally.as_json()["grades"] == {"proven": 2, "soft_proven": 1, "incomplete": 5, "none": 3, "stopped": 2}
    assert sum(sum(counts.values()) for counts in tally.by_purpose.values()) == 13
    assert sum(sum(counts.values()) for counts in tally.by_channel.values()) == 13
    assert sum(sum(counts.values()) for counts in tally.by_age.values()) == 13


def test_taken_in_the_same_contacts_have_the_same_grades_in_the_store(shops: Lists) -> None:
    """AUD-01: a file, and the store after it was imported, are judged alike; what no import takes is not there."""
    house = shops.house
    emails = [f"case{number}@lezer.example" for number in range(len(CASES))]
    told = [{"email": email, "channel": "footer", **says} for email, (_, says, _, _) in zip(emails, CASES, strict=True)]
    path = shops.write(*told, header=WIDE)
    of_file = rows_of(house, path)
    shops.take(path)
    of_store = rows_of(house)
    assert of_store, "somebody was taken in"
    for about, row in of_store.items():
        assert (about, row.grade, row.missing) == (about, of_file[about].grade, of_file[about].missing)
    left_out = of_file.keys() - of_store.keys()
    assert {of_file[about].grade for about in left_out} == {Grade.STOPPED, Grade.NONE, Grade.INCOMPLETE}
    assert rows_of(house, path).keys() == of_file.keys()
    assert house.verify().problems == ()


# -- the rule ----------------------------------------------------------------------------------------------------

NOW = datetime.fromisoformat("2026-11-23T10:00:00+00:00")
LIMITS = Limits(notice_since={"newsletter": 2}, soft_opt_in=True)
FRESH = Proof(Status.GIVEN, time=NOW - timedelta(days=100), notice=2, channel="footer")


@pytest.mark.parametrize(
    ("changes", "wanted", "missing"),
    [
        ({}, Grade.PROVEN, ()),
        ({"status": Status.SOFT_OPT_IN, "notice": None}, Grade.SOFT_PROVEN, ()),
        ({"time": NOW - timedelta(days=1096)}, Grade.INCOMPLETE, ("age",)),
        ({"time": NOW - timedelta(days=1095)}, Grade.PROVEN, ()),
        ({"time": None}, Grade.INCOMPLETE, ("age",)),
        ({"status": Status.SOFT_OPT_IN, "time": NOW - timedelta(days=731)}, Grade.INCOMPLETE, ("age",)),
        ({"notice": 1}, Grade.INCOMPLETE, ("words",)),
        ({"notice": None}, Grade.INCOMPLETE, ("words",)),
        ({"moved": True}, Grade.INCOMPLETE, ("address",)),
        ({"moved": True, "notice": 1}, Grade.INCOMPLETE, ("words", "address")),
        ({"status": Status.REQUESTED}, Grade.INCOMPLETE, ("confirmation",)),
        ({"status": Status.EXPIRED}, Grade.INCOMPLETE, ("age",)),
        ({"status": Status.UNKNOWN}, Grade.NONE, ()),
        ({"status": Status.WITHDRAWN, "stopped": True}, Grade.STOPPED, ()),
        ({"stopped": True}, Grade.STOPPED, ()),
    ],
)
def test_what_makes_a_grade(changes: dict[str, Any], wanted: Grade, missing: tuple[str, ...]) -> None:
    """AUD-01: a yes counts by the words, the age and the address of today; a no counts whatever else is there."""
    assert grade(FRESH._replace(**changes), "newsletter", NOW, LIMITS) == (wanted, missing)


def test_a_customer_is_proven_only_where_the_country_allows_it() -> None:
    """SOF-03: where the profile changes, yesterday's soft opt-in proves nothing."""
    sold = FRESH._replace(status=Status.SOFT_OPT_IN)
    strict = Limits(notice_since={"newsletter": 2}, soft_opt_in=False)
    assert grade(sold, "newsletter", NOW, strict) == (Grade.INCOMPLETE, ("country",))


def test_any_of_the_facts_may_lack_and_only_without_any_of_what_shows_it_there_is_nothing() -> None:
    """AUD-01: over all combinations; each missing fact is named, in one order, and none that is there."""
    facts = [fact for fact in FACTS if fact not in ("sale_id", "from_person")]
    for count in range(len(facts) + 1):
        for gaps in map(frozenset, itertools.combinations(facts, count)):
            found = grade(Proof(Status.UNKNOWN, gaps=gaps), "newsletter", NOW, LIMITS)
            nothing = "status" in gaps or {"time", "notice", "source_document"} <= gaps
            assert found.grade is (Grade.NONE if nothing else Grade.INCOMPLETE)
            assert set(found.missing) == (set(gaps) - ({"confirmation"} if "method" in gaps else set()) or {"status"})
            assert list(found.missing) == sorted(found.missing, key=FACTS.index)
            assert from_bits(as_bits(gaps)) == gaps
            plain = grade(Proof(Status.UNKNOWN, gaps=gaps), "newsletter", NOW, LIMITS, confirmed=False)
            assert set(plain.missing) == (set(gaps) - {"confirmation"} or {"status"})


def test_several_lines_lack_only_what_all_of_them_lack() -> None:
    """R14: what one list does not say another may."""
    assert common(None, None) is None
    assert common(None, frozenset({"time"})) == {"time"}
    assert common(frozenset({"time", "notice"}), frozenset({"notice", "method"})) == {"notice"}


def test_a_list_that_does_not_say_how_does_not_say_that_it_was_she(lists: Lists) -> None:
    """AUD-01: a form that nobody confirmed stays unconfirmed, whatever bare lists name her beside, in any order."""
    rows = [{"method": "form"}, {**BARE, "time": "2024-01-01"}, BARE]
    for number, order in enumerate(itertools.permutations(rows)):
        email = f"an{number}@lezer.example"
        told = [{"email": email, **says} for says in order]
        path = lists.write(*told)
        row = rows_of(lists.house, path, channel="footer")[email, "newsletter"]
        assert (row.grade, row.missing) == (Grade.INCOMPLETE, ("confirmation",))
        for says in told:
            lists.takes(says)
        assert rows_of(lists.house)[email, "newsletter"].missing == ("confirmation",)
    assert lists.house.verify().problems == ()


@pytest.mark.parametrize("says", [{}, {"notice": ""}, {**BARE, "time": "2025-05-31"}])
def test_a_list_that_says_nothing_of_her_changes_neither_her_age_nor_her_channel(
    lists: Lists, says: dict[str, str]
) -> None:
    """AUD-01: a platform, or a bare file, knows addresses only; when and where she said it is what the store knows."""
    lists.takes({"email": "an@lezer.example", **says})
    of_store = audited(lists.house).as_json()
    lists.house.esp.people["an@lezer.example"] = Person(on={"newsletter"})
    of_platform = Audit(lists.house.bridge, quiet).platform("memory").as_json()
    of_file = audited(lists.house, lists.write({"email": "an@lezer.example", **BARE})).as_json()
    for name in ("grades", "by_purpose", "by_channel", "by_age", "missing"):
        assert of_platform[name] == of_file[name] == of_store[name], name
    assert of_store["by_age"]["no date"]["proven"] == 0


# -- what is known counts ----------------------------------------------------------------------------------------


def test_what_the_store_knows_counts_for_a_file(lists: Lists, an: Reader, dirk: Reader) -> None:
    """AUD-01: a bare address whose yes is proven here is proven; a whole proof of somebody who left here is stopped."""
    an.has_consented()
    dirk.has_consented()
    dirk.one_click()
    found = rows_of(lists.house, lists.write({"email": an.email.upper(), **BARE}, {"email": dirk.email}))
    assert {email.lower(): row.grade for (email, _), row in found.items()} == {
        an.email: Grade.PROVEN,
        dirk.email: Grade.STOPPED,
    }


def test_a_no_that_only_the_stop_list_knows_counts(lists: Lists) -> None:
    """SUP-05: she was erased, or said no at a platform before anybody had her address here."""
    house = lists.house
    house.hear(Report(type=EventType.UNSUBSCRIBED, email="el@lezer.example", time=house.clock(), key="1"))
    Reader(house, "bo@lezer.example").has_consented()
    house.store.erase_person("bo@lezer.example")
    found = rows_of(house, lists.write({"email": "el@lezer.example"}, {"email": "bo@lezer.example"}))
    assert {row.grade for row in found.values()} == {Grade.STOPPED}


def test_one_address_on_two_rows_is_one_contact_and_a_no_counts(lists: Lists) -> None:
    """R14: in whatever order they stand, however the address is written; the numbers add up to the rows."""
    rows = [
        {"email": "an@lezer.example"},
        {"email": "AN@lezer.example", "status": "unsubscribed"},
        {"email": "bo@lezer.example", "notice": ""},
        {"email": "bo@lezer.example"},
        {"email": "nobody"},
    ]
    for order in itertools.permutations(rows):
        path = lists.write(*order)
        found = {email: row.grade for (email, _), row in rows_of(lists.house, path, channel="footer").items()}
        assert {email.lower(): grade for email, grade in found.items()} == {
            "an@lezer.example": Grade.STOPPED,
            "bo@lezer.example": Grade.PROVEN,
        }
    tally = audited(lists.house, path, channel="footer")
    assert (tally.rows, tally.total, tally.repeated, tally.rejected) == (5, 2, 2, 1)


def test_a_date_a_notice_or_a_channel_that_cannot_be_read_is_a_gap_and_no_row_is_refused_for_it(lists: Lists) -> None:
    """AUD-01: an audit says what is missing; only without an address, a status or a purpose there is nothing to grade."""
    path = lists.write(
        {"email": "a@lezer.example", "time": "soon"},
        {"email": "b@lezer.example", "notice": "first"},
        {"email": "c@lezer.example", "channel": "nowhere"},
        {"email": "d@lezer.example", "source_document": "letter of d@lezer.example"},
        {"email": "e@lezer.example", "method": "magic"},
        {"email": "f@lezer.example", "status": "perhaps"},
        {"email": "g@lezer.example", "purpose": "unheard"},
        header=(*HEADER, "channel"),
    )
    found = rows_of(lists.house, path, channel="footer")
    assert {email[0]: row.missing for (email, _), row in found.items()} == {
        "a": ("time",),
        "b": ("notice",),
        "c": ("channel",),
        "d": ("source_document",),
        "e": ("method",),
    }
    assert audited(lists.house, path).rejected == 2


def test_a_platform_is_audited_and_proves_nothing_by_itself(lists: Lists, an: Reader) -> None:
    """ESP-01: whoever is on there needs a yes here; whoever left there has left. A stop there that is older than her yes
    is for `reconcile` to judge, not for an audit."""
    house = lists.house
    an.has_consented()
    house.esp.people["cleo@lezer.example"] = Person(on={"newsletter", "offers"})
    house.esp.people["dora@lezer.example"] = Person(left={"newsletter"}, status="unsubscribed")
    look, found = Audit(house.bridge, quiet), list[Row]()
    look.keep = found.append
    tally = look.platform("memory")
    assert {(row.email, row.purpose): row.grade for row in found} == {
        (an.email, "newsletter"): Grade.PROVEN,
        ("cleo@lezer.example", "newsletter"): Grade.NONE,
        ("cleo@lezer.example", "offers"): Grade.NONE,
        ("dora@lezer.example", "newsletter"): Grade.STOPPED,
    }
    assert tally.rows == tally.total + tally.repeated + tally.rejected
    house.esp.people[an.email].on.clear()
    house.esp.people[an.email].left.add("newsletter")
    found.clear()
    look.platform("memory")
    assert {row.grade for row in found if row.email == an.email} == {Grade.PROVEN}


def test_a_contact_that_is_on_for_nothing_of_ours_is_one_without_proof(lists: Lists) -> None:
    """AUD-01: an audience from before there were topics: all of it can be mailed there, and none of it is proven."""
    house = lists.house
    house.esp.people["cleo@lezer.example"] = Person(on=set())
    house.esp.people["dora@lezer.example"] = Person(on={"gone"})
    look, found = Audit(house.bridge, quiet), list[Row]()
    look.keep = found.append
    assert look.platform("memory").total == 2
    assert {(row.purpose, row.grade) for row in found} == {("newsletter", Grade.NONE)}


def test_who_came_in_before_the_gaps_were_noted_is_incomplete_and_verifies(lists: Lists) -> None:
    """AUD-01: nobody says that nothing is there; one more line about her is no sign of tampering."""
    lists.takes({"email": "an@lezer.example", "method": "form"})
    with lists.house.bridge.database.writing() as db:
        db.execute(unproven.delete())
    (row,) = rows_of(lists.house).values()
    assert row.grade is Grade.INCOMPLETE
    assert audited(lists.house).grades[Grade.INCOMPLETE] == 1
    lists.house.clock.forward(minutes=5)
    lists.takes({"email": "an@lezer.example", "notice": "", "time": "2026-06-01"})
    assert lists.house.verify().problems == ()


def test_who_moved_to_an_address_that_somebody_has_is_not_proven(lists: Lists, an: Reader, dirk: Reader) -> None:
    """R13, R14: she is held, in SQL as by the rule."""
    an.has_consented()
    dirk.has_consented()
    lists.house.hear(Report(type=EventType.MOVED, email=an.email, time=lists.house.clock(), key="m", to=dirk.email))
    assert rows_of(lists.house)[an.email, "newsletter"].missing == ("address",)


def test_a_strangers_no_that_moved_to_somebodys_address_is_hers_here_too(lists: Lists, dirk: Reader) -> None:
    """R14: who is not here said no, and has Dirk's address now; told twice, in SQL as by the rule, he is stopped."""
    house = lists.house
    dirk.has_consented()
    house.hear(Report(type=EventType.UNSUBSCRIBED, email="x@lezer.example", time=house.clock(), key="leaves"))
    house.clock.forward(minutes=5)
    for key in ("moves", "moves again"):
        house.hear(Report(type=EventType.MOVED, email="x@lezer.example", time=house.clock(), key=key, to=dirk.email))
    assert not dirk.may().may
    assert rows_of(house)[dirk.email, "newsletter"].grade is Grade.STOPPED
    assert house.verify().problems == ()


def test_no_column_and_no_row_tells_of_few(lists: Lists) -> None:
    """ORG-01: what is hidden of one purpose is not told by the sums of all of them."""
    lists.takes(
        *({"email": f"a{number}@lezer.example", **BARE} for number in range(9)),
        *({"email": f"p{number}@lezer.example"} for number in range(6)),
        *({"email": f"p{number}@lezer.example", "purpose": "offers"} for number in range(6)),
        *({"email": f"b{number}@lezer.example", **BARE, "purpose": "offers"} for number in range(2)),
    )
    told = as_counts(audited(lists.house))
    assert told["grades"]["none"] == 11
    assert told["by_purpose"]["newsletter"]["none"] is told["by_purpose"]["offers"]["none"] is None


@given(table=st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=1, max_size=4))
def test_in_no_table_one_hidden_number_stands_alone(table: list[list[int]]) -> None:
    """ORG-01: in each row and each column nothing or at least two are hidden, of five people or more together."""
    shown_ = shown_table(table)
    lines = [*zip(table, shown_, strict=True), *zip(zip(*table, strict=True), zip(*shown_, strict=True), strict=True)]
    for numbers, told in lines:
        hidden = [number for number, seen in zip(numbers, told, strict=True) if seen is None]
        assert all(seen is None or not 0 < number < 5 for number, seen in zip(numbers, told, strict=True))
        assert not hidden or len(hidden) == len(numbers) or (len(hidden) > 1 and sum(hidden) >= 5)


# -- the database counts as the rule does ------------------------------------------------------------------------

_ACTS = ("whole", "old", "bare", "dated", "form", "unknown", "left", "later", "expired", "signs up", "moved", "yes")


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_the_database_counts_everybody_as_the_rule_does(lists: Lists, seed: int) -> None:
    """AUD-01: what is counted in SQL, what is listed, and what the rule says of each whole story are one answer."""
    house, dice = lists.house, random.Random(seed)
    emails = [f"p{seed}-{number}@lezer.example" for number in range(8)]
    for _ in range(3):
        rows = []
        for email in emails:
            says = {
                "whole": {},
                "old": {"time": "2021-02-03"},
                "bare": BARE,
                "dated": {**BARE, "time": "2025-02-03"},
                "form": {"method": "form"},
                "unknown": {"status": "unknown"},
                "left": {"status": "unsubscribed", "time": "2026-11-01"},
                "later": {"purpose": "offers", "notice": ""},
                "expired": {"status": "expired"},
            }.get(act := dice.choice(_ACTS))
            if says is not None:
                rows.append({"email": email, **says})
            elif act == "signs up":
                Reader(house, email).signs_up()
            elif act == "yes" and not house.store.knows(email):
                Reader(house, email).has_consented("newsletter", "offers")
        lists.take(lists.write(*rows))
        house.clock.forward(hours=dice.randrange(30))
    listed = rows_of(house)
    for (email, purpose), row in listed.items():
        known = Proofs(house.bridge.database, house.store.rows).known([email])[email]
        told = proof(known.told, purpose, known.gaps.get(purpose))
        assert (row.grade, row.missing) == grade(told, purpose, house.clock(), house.bridge.limits(house.clock()))
        assert row.channel == (told.channel or "")
    tally = audited(house)
    assert tally.total == len(listed)
    for wanted in Grade:
        assert tally.grades[wanted] == sum(row.grade is wanted for row in listed.values())
    assert tally.as_json() == audited(house).as_json()
    look = Audit(house.bridge, quiet)
    look.keep = lambda _row: None
    assert look.store().as_json() == tally.as_json(), "each by itself, and together"
    assert house.verify().problems == ()


# -- the command -------------------------------------------------------------------------------------------------


def test_the_command_counts_and_tells_nobody_who(local: Lists) -> None:
    """`audit --json`: total, grades, by purpose, by channel; no address anywhere."""
    path = local.write({"email": "an@lezer.example"}, {"email": "bo@lezer.example", **BARE})
    ran = CliRunner().invoke(main, ["audit", str(path), "--channel", "footer", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    grades = {"proven": 1, "soft_proven": 0, "incomplete": 0, "none": 1, "stopped": 0}
    assert (told["total"], told["grades"]) == (2, grades)
    assert told["by_purpose"] == {"newsletter": grades}
    assert told["by_channel"] == {"footer": grades}
    assert "lezer.example" not in ran.output
    said = CliRunner().invoke(main, ["audit", str(path), "--channel", "footer"])
    assert "2 contacts" in said.output
    assert "1  50.0%  proven" in said.output
    assert "What is missing: when (1)" in said.output
    assert "lezer.example" not in said.output


def test_an_audit_is_kept_for_its_owner_only_and_as_it_was(local: Lists) -> None:
    """AUD-01, MIN-03: counts for others, addresses in a file of mode 0600 that nobody may change."""
    path = local.write({"email": "an@lezer.example"}, {"email": "=1+1@lezer.example", "status": "unsubscribed"})
    out = local.folder / "first-day"
    ran = CliRunner().invoke(main, ["audit", str(path), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    kept = out.with_suffix(".audit")
    assert kept.stat().st_mode & 0o777 == 0o600
    with reviewed(kept, local.house.bridge.vault) as read:
        assert {row.email for row in read} == {"an@lezer.example", "=1+1@lezer.example"}
        (stop,) = next(row.stops for row in read if row.grade is Grade.STOPPED)
    assert stop[:2] == Said(EventType.UNSUBSCRIBED, "", stop.time)[:2]
    for name in (".json", ".html"):
        assert "lezer.example" not in out.with_suffix(name).read_text()
    again = CliRunner().invoke(main, ["audit", str(path), "--out", str(out)])
    assert (again.exit_code, "never overwritten" in again.output) == (1, True)
    whole = kept.read_text()
    for spoilt in (whole.replace("stopped", "proven "), whole + "x", whole.partition("\n")[2], ""):
        kept.write_text(spoilt)
        with (
            pytest.raises(BadInput, match=r"changed since it was made|is no audit"),
            reviewed(kept, local.house.bridge.vault),
        ):
            pass


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["FILE", "--adapter", "memory"], 2, "not both"),
        (["--status", "unsubscribed"], 2, "about files"),
        (["--adapter", "sendgrid"], 1, "add it to BRIDGE_ADAPTERS"),
        (["--adapter", "nowhere"], 1, "nowhere"),
        (["FILE", "--purpose", "unheard"], 1, "unknown purpose unheard"),
        (["FILE", "--channel", "nowhere"], 1, "unknown channel nowhere"),
        (["FILE", "--status", "perhaps"], 1, "unknown status"),
    ],
)
def test_a_wrong_call_is_named(local: Lists, words: list[str], code: int, said: str) -> None:
    """Bad input gets a clear error that says what to do."""
    path = local.write({"email": "an@lezer.example"})
    ran = CliRunner().invoke(main, ["audit", *(str(path) if word == "FILE" else word for word in words)])
    assert (ran.exit_code, said in ran.output) == (code, True), ran.output
