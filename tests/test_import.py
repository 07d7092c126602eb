"""A list that is there already comes in with its evidence, and nobody who left comes back by it.

CHN-05, SUP-05, R3, R14, MIN-01, decisions 16 and 34.
"""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from adapters.memory import Person
from bridge.cli.main import main
from bridge.decide import SALE_FACTS
from bridge.jobs.lists import taking
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import, Result
from bridge.store import BadInput
from bridge.store.intake import Intake
from bridge.store.sql import Sql
from bridge.tables import metadata, stop_list
from bridge.vocabulary import Block, EventType, Report, Status
from tests.conftest import House, Reader
from tests.csv_lists import HEADER, SALE, SALE_HEADER, WHOLE, Lists, sells


@pytest.fixture
def lists(house: House, tmp_path: Path) -> Lists:
    """On SQLite and on PostgreSQL."""
    return Lists(house, tmp_path)


@pytest.fixture
def local(home: House, tmp_path: Path) -> Lists:
    """On SQLite, for what does not depend on the database."""
    return Lists(home, tmp_path)


def on_at_esp(house: House, email: str) -> set[str]:
    """What the ESP would mail her for."""
    person = house.esp.people.get(email)
    return set(person.on) if person else set()


def may(house: House, email: str, purpose: str = "newsletter") -> bool:
    """Whether she may be mailed now."""
    return house.store.may_mail(email, purpose).may


# -- what counts as proof ----------------------------------------------------------------------------------------


def test_a_row_with_its_whole_proof_is_a_yes(lists: Lists) -> None:
    """CHN-05, AUD-01: who, when, how, which words, for which use, and where that can be seen; the ESP is told."""
    assert lists.takes({"email": "an@lezer.example"}) == (1, 0, 0, 0)
    house = lists.house
    assert may(house, "an@lezer.example")
    assert not may(house, "an@lezer.example", "offers")
    person = house.store.person("an@lezer.example")
    assert person is not None
    (event,) = house.store.story(person)
    assert (event.type, event.time) == (EventType.GIVEN, datetime(2026, 5, 31, 12, 5, tzinfo=UTC))
    assert (event.channel, event.notice, event.evidence.document) == ("footer", 1, "crm-2026-05")
    assert event.evidence.wording is not None
    house.dispatch()
    assert on_at_esp(house, "an@lezer.example") == {"newsletter"}
    assert house.mailbox.messages == [], "a list mails nobody"
    assert house.verify().problems == ()


@pytest.mark.parametrize("column", WHOLE)
def test_a_row_that_lacks_any_of_it_is_a_contact_without_proof(lists: Lists, column: str) -> None:
    """CHN-05: nobody is mailed without live proof; the ESP hears nothing of her."""
    assert lists.takes({"email": "an@lezer.example", column: ""}) == (1, 0, 0, 0)
    house = lists.house
    assert house.store.may_mail("an@lezer.example", "newsletter").status is Status.UNKNOWN
    house.dispatch()
    assert "an@lezer.example" not in house.esp.people


@pytest.mark.parametrize("change", [{"method": "form"}, {"method": "phone"}, {"notice": "7"}, {"status": "unknown"}])
def test_what_does_not_meet_todays_bar_is_no_proof(lists: Lists, change: dict[str, str]) -> None:
    """AUD-01, recital 171: a form nobody confirmed, words nobody can show, or a list that says so itself."""
    assert lists.takes({"email": "an@lezer.example", **change}) == (1, 0, 0, 0)
    assert lists.house.store.may_mail("an@lezer.example", "newsletter").status is Status.UNKNOWN


def test_a_proof_that_grew_too_old_lets_nobody_mail(lists: Lists) -> None:
    """R10: an imported yes ages like any other."""
    assert lists.takes({"email": "an@lezer.example", "time": "2019-05-31"}) == (1, 0, 0, 0)
    answer = lists.house.store.may_mail("an@lezer.example", "newsletter")
    assert not answer.may
    assert "expired" in answer.why[0]


# -- a no stands -------------------------------------------------------------------------------------------------


def _left(house: House) -> None:
    Reader(house, "an@lezer.example").has_consented("newsletter", "offers")
    house.client.post(Reader(house, "an@lezer.example").link("/u/"), data={"scope": "all"})


def _complained(house: House) -> None:
    Reader(house, "an@lezer.example").has_consented("newsletter", "offers")
    house.hear(Report(type=EventType.COMPLAINED, email="an@lezer.example", time=house.clock(), key="c1"))


def _erased(house: House) -> None:
    Reader(house, "an@lezer.example").has_consented("newsletter", "offers")
    house.store.erase_person("an@lezer.example")


def _stranger(house: House) -> None:
    """She left at the ESP before she was ever here."""
    house.hear(Report(type=EventType.UNSUBSCRIBED, email="an@lezer.example", time=house.clock(), key="u1"))


@pytest.mark.parametrize("said_no", [_left, _complained, _erased, _stranger])
@pytest.mark.parametrize("row", [{}, {"notice": ""}, {"time": "2026-11-23 09:59:59"}, {"email": "An@Lezer.example "}])
def test_nobody_who_said_no_comes_back_by_a_list(
    lists: Lists, said_no: Callable[[House], None], row: dict[str, str]
) -> None:
    """R3, SUP-05, pain 4: skipped and counted, nothing of her is kept, and no ESP gets her again."""
    house = lists.house
    said_no(house)
    house.dispatch()
    known = house.store.person("an@lezer.example")
    house.clock.forward(days=1)
    for purpose in ("newsletter", "offers"):
        assert lists.takes({"email": "an@lezer.example", "purpose": purpose, **row}) == (0, 0, 1, 0)
        assert not may(house, "an@lezer.example", purpose)
    house.dispatch()
    assert not on_at_esp(house, "an@lezer.example")
    assert house.store.person("an@lezer.example") == known
    assert house.verify().problems == ()


@pytest.mark.parametrize("word", ["unsubscribed", "withdrawn", "objected", "complained", "refused"])
@pytest.mark.parametrize("first", ["yes", "no"])
def test_a_yes_and_a_no_of_one_address_are_a_no_whichever_comes_first(lists: Lists, word: str, first: str) -> None:
    """R14: two records of one normalised address stand as the stricter one does."""
    yes, no = {"email": "an@lezer.example"}, {"email": "AN@lezer.example", "status": word, "time": "2025-01-01"}
    lists.takes(*((yes, no) if first == "yes" else (no, yes)))
    lists.house.dispatch()
    assert not may(lists.house, "an@lezer.example")
    assert not on_at_esp(lists.house, "an@lezer.example")


def test_a_no_of_somebody_unknown_is_kept_as_a_hash_only(lists: Lists) -> None:
    """SUP-01, AUD-02: no person is made of her, and no later list brings her in."""
    assert lists.takes({"email": "an@lezer.example", "status": "unsubscribed"}) == (1, 0, 0, 0)
    assert lists.house.store.person("an@lezer.example") is None
    assert lists.takes({"email": "an@lezer.example", "status": "unsubscribed"}) == (0, 1, 0, 0)
    assert lists.takes({"email": "an@lezer.example"}) == (0, 0, 1, 0)


def test_a_no_counts_for_every_spelling_of_an_address_in_one_list(lists: Lists) -> None:
    """SUP-03: she left; however often a list spells her, none of its lines brings her in."""
    lists.takes({"email": "an@lezer.example", "status": "unsubscribed"})
    rows = [{"email": email} for email in ("an@lezer.example", "AN@lezer.example", "An@Lezer.example")]
    assert lists.takes(*rows) == (0, 0, 3, 0)
    assert lists.takes(*reversed(rows)) == (0, 0, 3, 0)


def test_a_no_for_one_thing_leaves_another_alone(lists: Lists) -> None:
    """R5: she left the offers; her newsletter has its proof."""
    assert lists.takes({"email": "an@lezer.example", "purpose": "offers", "status": "withdrawn"}) == (1, 0, 0, 0)
    rows = [{"email": "an@lezer.example", "purpose": purpose} for purpose in ("newsletter", "offers")]
    assert lists.takes(*rows) == (1, 0, 1, 0)
    assert may(lists.house, "an@lezer.example")
    assert not may(lists.house, "an@lezer.example", "offers")


def test_a_no_in_a_list_reaches_the_esp_and_mails_nobody(lists: Lists) -> None:
    """WDR-13: a list of people who left is one more door; an old no is acknowledged by no mail."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    assert on_at_esp(house, "an@lezer.example") == {"newsletter"}
    house.mailbox.clear()
    house.clock.forward(days=1)
    path = lists.write({"email": "an@lezer.example"}, header=("email",))
    assert lists.take(path, status="unsubscribed").imported == 1
    house.dispatch()
    assert not on_at_esp(house, "an@lezer.example")
    assert house.mailbox.messages == []


def test_an_old_no_is_older_than_her_yes_since(lists: Lists) -> None:
    """R2: she left in 2024, and came back by her own confirmed yes; a list of 2024 does not undo that."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    assert lists.takes({"email": "an@lezer.example", "status": "unsubscribed", "time": "2024-02-29"}) == (1, 0, 0, 0)
    assert may(house, "an@lezer.example")


def test_a_list_of_people_who_left_told_again_stops_nobody_who_came_back(lists: Lists) -> None:
    """Its undated no counts as said when the list was first taken in."""
    house = lists.house
    path = lists.write({"email": "an@lezer.example"}, header=("email",))
    assert lists.take(path, status="unsubscribed").imported == 1
    house.clock.forward(days=1)
    Reader(house, "an@lezer.example").has_consented("newsletter")
    assert may(house, "an@lezer.example")
    house.clock.forward(days=1)
    assert lists.take(path, status="unsubscribed").unchanged == 1
    assert may(house, "an@lezer.example")


def test_a_dead_address_closes_whoever_has_it_and_makes_nobody(lists: Lists) -> None:
    """R7: Mailchimp's cleaned addresses: a block for whoever is here, nothing kept of others."""
    house = lists.house
    lists.takes({"email": "an@lezer.example"})
    rows = [
        {"email": email, "status": "cleaned", "time": "2026-06-01"}
        for email in ("an@lezer.example", "bo@lezer.example")
    ]
    assert lists.takes(*rows) == (1, 0, 1, 0)
    assert Block.BOUNCED in house.store.may_mail("an@lezer.example", "newsletter").why[0]
    assert house.store.person("bo@lezer.example") is None


def test_an_old_list_knows_nothing_of_an_address_she_moved_from(lists: Lists) -> None:
    """R13: her old address makes no second person of her; a no there is hers."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    moved = Report(type=EventType.MOVED, email="an@lezer.example", time=house.clock(), key="m", to="an@nieuw.example")
    house.hear(moved)
    Reader(house, "an@nieuw.example").confirms()
    assert lists.takes({"email": "an@lezer.example"}) == (0, 1, 0, 0)
    assert house.store.person("an@lezer.example") is None
    assert lists.takes({"email": "an@lezer.example", "status": "unsubscribed", "time": ""}) == (1, 0, 0, 0)
    assert not may(house, "an@nieuw.example")


# -- what a row says of a no -------------------------------------------------------------------------------------


def left(lists: Lists, row: dict[str, str], **defaults: str) -> Result:
    """A row with Mailchimp's column of people who left."""
    return lists.take(
        lists.write(
            {"email": "an@lezer.example", **row}, header=(*HEADER, "channel", "unsub_time", "clean_time", "created")
        ),
        **defaults,
    )


@pytest.mark.parametrize(
    "row",
    [
        {"status": "active", "unsub_time": "2026-06-01"},
        {"status": "", "unsub_time": "2026-06-01"},
        {"status": "unsubscribed", "time": "31/31/2026"},
        {"status": "unsubscribed", "time": "04/05/2026"},
        {"status": "unsubscribed", "time": "2026-11-24"},
        {"status": "unsubscribed", "channel": "nowhere"},
        {"status": "unsubscribed", "purpose": "horoscope"},
        {"status": "unsubscribed", "notice": "first", "method": "telepathy"},
        {"status": "revoked"},
        {"status": "invalidated"},
        {"status": "expired"},
    ],
)
def test_a_no_is_a_no_whatever_else_its_row_says(lists: Lists, row: dict[str, str]) -> None:
    """R1, R14, CHN-05: what cannot be read makes no less of it, and an account that is "active" is no yes."""
    assert left(lists, row).imported == 1
    assert lists.takes({"email": "an@lezer.example"}) == (0, 0, 1, 0)
    assert left(lists, row).unchanged == 1


@pytest.mark.parametrize("column", ["time", "created"])
def test_when_she_left_is_not_when_she_came(lists: Lists, column: str) -> None:
    """R2: a row with both says when she left by its own column; a contact's date of making says nothing of it."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    house.clock.forward(days=2)
    row = {"status": "unsubscribed", "time": "", column: "2024-01-01"}
    if column == "time":
        row["unsub_time"] = "2026-11-25 09:00:00"
    assert left(lists, row).imported == 1
    assert not may(house, "an@lezer.example")


def test_a_sheet_made_of_several_exports_turns_nobody_into_a_no(lists: Lists) -> None:
    """An empty cell in the column of people who left says nothing: it is asked, and the answer counts."""
    assert left(lists, {}).rejected == 1
    assert left(lists, {}, status="subscribed").imported == 1
    assert may(lists.house, "an@lezer.example")


def test_an_erased_address_stays_one(lists: Lists) -> None:
    """R12, ESP-04: old lists of people who left hit exactly those; the stop list still knows why."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    house.store.erase_person("an@lezer.example")
    house.clock.forward(days=1)
    for row in ({"status": "unsubscribed", "time": ""}, {"status": "complained", "time": "2025-01-01"}):
        lists.takes({"email": "an@lezer.example", "purpose": "", **row})
        assert lists.takes({"email": "an@lezer.example", "purpose": "", **row}) == (0, 1, 0, 0)
    with house.bridge.database.reading() as db:
        assert [row.reason for row in db.execute(select(stop_list))] == ["erased"]


def test_an_old_no_of_a_list_raises_no_alarm_that_it_was_not_carried_out(lists: Lists) -> None:
    """WDR-11: the clock of a withdrawal begins when it reached us; the list's owner had it for a year."""
    house = lists.house
    lists.takes({"email": "an@lezer.example", "time": "2025-01-01"})
    house.dispatch()
    lists.takes({"email": "an@lezer.example", "status": "unsubscribed", "time": "2025-06-01"})
    times = house.store.stop_times("memory")
    assert (times.waiting, times.late, times.broken) == (1, 0, 0)


def test_what_is_not_known_of_her_yet_is_learnt_from_a_later_row(lists: Lists) -> None:
    """Her language and declared fields, where she chose none herself."""
    lists.takes({"email": "an@lezer.example", "language": ""})
    lists.takes({"email": "an@lezer.example", "language": "en"})
    lists.takes({"email": "an@lezer.example", "language": "nl", "time": "2026-06-30"})
    person = lists.house.store.person("an@lezer.example")
    assert person is not None
    assert person.language == "en"


# -- twice, in pieces, at once -----------------------------------------------------------------------------------


def contents(house: House) -> dict[str, list[Any]]:
    """Everything the store holds, but for how far lists are."""
    with house.bridge.database.reading() as db:
        names = [name for name in metadata.tables if name != "lists"]
        return {name: sorted(map(repr, db.exec_driver_sql(f"SELECT * FROM {name}"))) for name in names}


MIXED = (
    {"email": "an@lezer.example"},
    {"email": "bo@lezer.example", "notice": ""},
    {"email": "cas@lezer.example", "status": "unsubscribed", "time": ""},
    {"email": "an@lezer.example", "status": "cleaned", "time": ""},
    {"email": "dirk@lezer.example", "purpose": "offers"},
    {"email": "dirk@lezer.example", "purpose": "newsletter"},
    {"email": "no address"},
    {"email": "cas@lezer.example"},
)


def test_the_same_file_twice_changes_nothing(lists: Lists) -> None:
    """Whatever was new is known: not one row of the store differs, not even a time."""
    path = lists.write(*MIXED)
    first = lists.take(path)
    assert (first.imported, first.unchanged, first.suppressed, first.rejected) == (6, 0, 1, 1)
    before = contents(lists.house)
    lists.house.clock.forward(days=3)
    again = lists.take(path)
    assert (again.imported, again.unchanged, again.suppressed, again.rejected) == (0, 6, 1, 1)
    assert contents(lists.house) == before


def test_a_dry_run_says_the_same_and_writes_nothing(lists: Lists) -> None:
    """The report before is the report after; not even the list is noted."""
    path = lists.write(*MIXED)
    before = contents(lists.house)
    looked = lists.take(path, dry_run=True)
    assert contents(lists.house) == before
    with lists.house.bridge.database.reading() as db:
        assert not list(db.exec_driver_sql("SELECT * FROM lists"))
    assert lists.take(path) == looked
    assert lists.take(path, dry_run=True) == lists.take(path)


def test_a_dry_run_knows_whoever_moved(lists: Lists) -> None:
    """Two addresses of one person, and a no at the old one: looked at as it will be taken in."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    house.hear(
        Report(type=EventType.MOVED, email="an@lezer.example", time=house.clock(), key="m", to="an@nieuw.example")
    )
    Reader(house, "an@nieuw.example").confirms()
    house.clock.forward(days=1)
    path = lists.write(
        {"email": "an@lezer.example", "status": "unsubscribed", "time": ""}, {"email": "an@nieuw.example"}
    )
    looked = lists.take(path, dry_run=True)
    assert looked == lists.take(path)
    assert (looked.imported, looked.suppressed) == (1, 1)


ROWS = st.builds(
    dict,
    email=st.sampled_from(["an@lezer.example", "AN@lezer.example", "bo@lezer.example", "cas@lezer.example", "nobody"]),
    purpose=st.sampled_from(["newsletter", "offers", ""]),
    status=st.sampled_from(["", "", "unsubscribed", "complained", "cleaned", "unknown", "expired", "wrong"]),
    time=st.sampled_from(["", "2026-05-31", "2026-11-23 10:30:00", "2025-01-01"]),
    notice=st.sampled_from(["1", "1", ""]),
)


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(ROWS, max_size=12), seed=st.integers(0, 2**16), size=st.integers(1, 5))
def test_any_list_looked_at_taken_in_twice_and_shuffled(
    make_house: Callable[..., House],
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, str]],
    seed: int,
    size: int,
) -> None:
    """R1, R14: looked at first it says what it will do, twice it does nothing, and the order of rows makes nobody
    mailable whom another order would not."""
    ends = []
    for mixed in (rows, random.Random(seed).sample(rows, len(rows))):
        folder = tmp_path_factory.mktemp("any")
        shutil.copy(sqlite_template, folder / "consent.db")
        lists = Lists(make_house(f"sqlite:///{folder / 'consent.db'}"), folder)
        lists.house.clock.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        Reader(lists.house, "cas@lezer.example").has_consented("newsletter")
        path = lists.write(*mixed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(taking, "AT_ONCE", size)
            looked = lists.take(path, dry_run=True)
            taken = lists.take(path)
            assert looked == taken
            assert taken.imported + taken.unchanged + taken.suppressed + taken.rejected == taken.rows == len(rows)
            before = contents(lists.house)
            again = lists.take(path)
        assert again.imported == 0
        assert contents(lists.house) == before
        assert lists.house.verify().problems == ()
        people = ("an@lezer.example", "bo@lezer.example", "cas@lezer.example")
        ends.append({(who, what): may(lists.house, who, what) for who in people for what in ("newsletter", "offers")})
        lists.house.close()
    assert ends[0] == ends[1]


def test_a_list_that_broke_off_goes_on_where_it_was(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was committed is not counted twice, and the rejected rows of the first part are in the file too."""
    monkeypatch.setattr(taking, "AT_ONCE", 2)
    rows = [{"email": f"r{n}@lezer.example"} for n in range(7)] + [{"email": "none"}]
    path = lists.write({"email": "wrong"}, *rows)
    calls = iter(range(100))

    def breaks(_done: int, _total: int) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Import(lists.house.bridge, Defaults(channel="footer"), dry_run=False, progress=breaks).file(ListFile(path))
    assert sum(may(lists.house, row["email"]) for row in rows) == 4
    done = lists.take(path)
    assert (done.rows, done.imported, done.rejected) == (9, 7, 2)
    told = (path.parent / "list.rejected.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in told] == ["line", "2", "10"]


def test_killed_at_any_moment_it_ends_as_if_it_never_was(
    lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle, again and again: every row once, the counts as of one run."""
    house = lists.house
    rows = [{"email": f"r{n}@lezer.example", "notice": "1" if n % 3 else ""} for n in range(3000)]
    path = lists.write(*rows)
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "tests.import_child", str(path)]
    kills = 0
    for chunks in itertools.chain((1, 3, 2), itertools.repeat(100)):  # until it is killed
        with subprocess.Popen([*command, str(chunks)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = child.stdout.read()
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
        kills += 1
    assert kills == 3
    assert json.loads(told)["imported"] == 3000
    assert sum(may(house, row["email"]) for row in rows[:30]) == 20
    with house.bridge.database.reading() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM events").scalar_one() == 3000
    assert house.verify().problems == ()


def test_a_list_goes_on_only_as_it_was_begun(
    lists: Lists, make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy was mended after a first run broke off: rows that it refused are looked at anew, none is lost."""
    monkeypatch.setattr(taking, "AT_ONCE", 1)
    rows = [{"email": "r0@lezer.example", "channel": "fair"}, *({"email": f"r{n}@lezer.example"} for n in range(1, 4))]
    path = lists.write(*rows, header=(*HEADER, "channel"))

    def breaks(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    house = lists.house
    with pytest.raises(KeyboardInterrupt):
        Import(house.bridge, Defaults(channel="footer"), dry_run=False, progress=breaks).file(ListFile(path))
    policy = Path(house.environment["BRIDGE_POLICY"])
    text = policy.read_text()
    block = text[text.index("[[channels]]") : text.index("[[processors]]")]
    policy.write_text(text + block.replace('"footer"', '"fair"'))
    mended = Lists(make_house(house.environment["BRIDGE_DATABASE_URL"]), lists.folder)
    done = mended.take(path)
    assert (done.rows, done.imported, done.unchanged, done.rejected) == (4, 2, 2, 0)
    assert all(may(mended.house, row["email"]) for row in rows)


def test_erasing_somebody_whom_a_list_brings_in_at_that_moment(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    """SUP-04: whoever erases her waits for the list, or the list sees that she was erased: nothing of her is left."""
    house = lists.house
    real = Intake._insert
    erasing = ThreadPoolExecutor(1)
    begun = []

    def meanwhile(self: Intake, *args: Any) -> None:
        real(self, *args)
        begun.append(erasing.submit(house.store.erase_person, "an@lezer.example"))
        wait(begun, timeout=0.2)

    monkeypatch.setattr(Intake, "_insert", meanwhile)
    lists.takes({"email": "an@lezer.example"}, {"email": "bo@lezer.example"})
    begun[0].result(timeout=30)
    erasing.shutdown()
    assert house.store.person("an@lezer.example") is None
    assert not may(house, "an@lezer.example")
    assert may(house, "bo@lezer.example")


def _signs_up(house: House) -> None:
    Reader(house, "an@lezer.example").has_consented("newsletter")


@pytest.mark.parametrize(
    ("happens", "taken"), [(_signs_up, (1, 1, 0)), (_left, (1, 0, 1)), (_stranger, (1, 0, 1)), (_erased, (1, 0, 1))]
)
def test_what_happens_between_the_look_and_the_taking_in_counts(
    lists: Lists, monkeypatch: pytest.MonkeyPatch, happens: Callable[[House], None], taken: tuple[int, int, int]
) -> None:
    """R3, SUP-05, decision 16: new people are made ready before the transaction, and judged within it."""
    house, real, done = lists.house, Intake.prepare, []

    def prepare(self: Intake, *args: Any) -> None:
        real(self, *args)
        if not done:
            done.append(house)
            happens(house)

    monkeypatch.setattr(Intake, "prepare", prepare)
    assert lists.takes({"email": "an@lezer.example"}, {"email": "bo@lezer.example"}) == (*taken, 0)
    assert may(house, "an@lezer.example") is (happens is _signs_up)
    assert may(house, "bo@lezer.example")
    assert house.verify().problems == ()


def test_two_lists_at_once_make_nobody_twice(
    lists: Lists, make_house: Callable[..., House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs, half of the people in both lists: each person once, each row counted."""
    monkeypatch.setattr(taking, "AT_ONCE", 7)
    house = lists.house
    other = Lists(make_house(house.environment["BRIDGE_DATABASE_URL"]), tmp_path)
    rows = [{"email": f"r{n}@lezer.example"} for n in range(300)]
    mine, theirs = lists.write(*rows[:200], name="a.csv"), other.write(*reversed(rows[100:]), name="b.csv")
    with ThreadPoolExecutor(2) as both:
        one, two = both.submit(lists.take, mine), both.submit(other.take, theirs)
        told = one.result(), two.result()
    assert sum(result.imported for result in told) == 300
    assert sum(result.unchanged for result in told) == 100
    assert house.verify().people == 300
    assert house.verify().problems == ()


def test_one_list_is_taken_in_by_one_program_at_a_time(
    lists: Lists, make_house: Callable[..., House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second says so and leaves everything to the first."""
    monkeypatch.setattr(taking, "AT_ONCE", 1)
    path = lists.write(*({"email": f"r{n}@lezer.example"} for n in range(3)))
    other = Lists(make_house(lists.house.environment["BRIDGE_DATABASE_URL"]), tmp_path)

    def meanwhile(done: int, _total: int) -> None:
        if done == 1:
            other.take(path)

    job = Import(lists.house.bridge, Defaults(channel="footer"), dry_run=False, progress=meanwhile)
    with pytest.raises(BadInput, match="by another program"):
        job.file(ListFile(path))
    assert lists.take(path).unchanged == 3


@pytest.mark.parametrize("document", ["crm-7", "paper {}"])
def test_a_chunk_costs_a_fixed_number_of_statements(
    lists: Lists, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    """No query per person (decision 16): two hundred rows cost what twenty do, new or known, alike or not."""
    asked: list[Sql] = []

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(statement: Sql, db: Any, *more: Any) -> Any:
            asked.append(statement)
            return real(statement, db, *more)

        return call

    for email in ("one@lezer.example", "two@lezer.example"):  # from now on the house knows these words
        lists.takes({"email": email})
    for name in ("rows", "run", "many", "fresh"):
        monkeypatch.setattr(Sql, name, counted(getattr(Sql, name)))
    counts = []
    for size, name in ((20, "a"), (200, "b"), (20, "a"), (200, "b")):
        rows = ({"email": f"{name}{n}@lezer.example", "source_document": document.format(n)} for n in range(size))
        path = lists.write(*rows, name=f"{name}.csv")
        asked.clear()
        lists.take(path)
        counts.append(len(asked))
    assert counts[0] == counts[1]
    assert counts[2] == counts[3]


# -- everybody a platform holds ----------------------------------------------------------------------------------


def test_a_platforms_own_people_come_in_without_proof_and_its_stops_as_hashes(lists: Lists) -> None:
    """ESP-01, CHN-05: "subscribed" there is no yes; who left there is nobody's contact here; the rest is compared."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    people = house.esp.people
    people["bo@lezer.example"] = Person(on={"newsletter", "offers"})
    people["cas@lezer.example"] = Person(left={"newsletter"})
    before = house.store.may_mail("an@lezer.example", "newsletter")
    for dry_run in (True, False):
        job = Import(house.bridge, Defaults(channel="footer"), dry_run=dry_run, progress=lambda _done, _total: None)
        done = job.platform("memory")
        assert (done.rows, done.imported, done.unchanged, done.suppressed, done.rejected) == (4, 3, 1, 0, 0)
    assert house.store.may_mail("an@lezer.example", "newsletter") == before
    for purpose in ("newsletter", "offers"):
        assert house.store.may_mail("bo@lezer.example", purpose).status is Status.UNKNOWN
    assert house.store.person("cas@lezer.example") is None
    assert lists.takes({"email": "cas@lezer.example"}) == (0, 0, 1, 0)
    again = Import(house.bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _total: None)
    assert again.platform("memory").unchanged == 4


def test_a_stop_at_a_platform_of_whoever_may_be_mailed_is_left_to_comparing(lists: Lists) -> None:
    """ESP-02: comparing both sides knows which no is an echo; importing everybody must not overwrite her yes."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    house.esp.people["an@lezer.example"].left = {"newsletter"}
    job = Import(house.bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _total: None)
    assert job.platform("memory").imported == 0
    assert may(house, "an@lezer.example")


def test_a_no_at_a_platform_to_what_she_never_asked_for_here_is_kept(lists: Lists) -> None:
    """ESP-02: she may be mailed the newsletter; that she left the offers there counts here too."""
    house = lists.house
    Reader(house, "an@lezer.example").has_consented("newsletter")
    house.esp.people["an@lezer.example"].left = {"offers"}
    Import(house.bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _total: None).platform(
        "memory"
    )
    assert may(house, "an@lezer.example")
    assert lists.takes({"email": "an@lezer.example", "purpose": "offers"}) == (0, 0, 1, 0)


# -- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(home: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lists:
    """The command's own surroundings."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return Lists(home, tmp_path)


def test_the_command_counts_as_json_without_an_address(shop: Lists) -> None:
    """`import --json`: the rows are the four others added up; dropped fields are counted by name."""
    header = (*HEADER, "birthday")
    path = shop.write(
        {"email": "an@lezer.example", "birthday": "05/12"},
        {"email": "bo@lezer.example", "status": "unsubscribed"},
        {"email": "bo@lezer.example"},
        {"email": "nobody"},
        header=header,
    )
    command = ["import", str(path), "--channel", "footer", "--json"]
    looked = CliRunner().invoke(main, [*command, "--dry-run"])
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == {
        "rows": 4,
        "imported": 2,
        "unchanged": 0,
        "suppressed": 1,
        "rejected": 1,
        "dropped_fields": {"birthday": 1},
    }
    assert looked.stdout == ran.stdout
    assert "lezer.example" not in ran.output
    assert "Rejected rows, with addresses" in ran.stderr


def test_the_command_says_it_for_people_and_where_the_rejected_rows_are(shop: Lists) -> None:
    """Counts in words, the file to look at, and that a dry run changed nothing."""
    path = shop.write({"email": "an@lezer.example"}, {"email": "nobody"})
    ran = CliRunner().invoke(main, ["import", str(path), "--channel", "footer", "--dry-run"])
    assert ran.exit_code == 0, ran.output
    assert "2 rows" in ran.output
    assert "1 imported" in ran.output
    assert "They say: yes 1" in ran.output
    assert f"see {path.with_name('list.rejected.csv')}" in ran.output
    assert "Nothing was changed" in ran.output


def test_the_command_says_what_rows_without_proof_lack(shop: Lists) -> None:
    """A marketer sees which column to fill before anybody is counted as a success."""
    path = shop.write(
        {"email": "an@lezer.example", "language": "Dutch"}, {"email": "bo@lezer.example", "method": "form"}
    )
    elsewhere = shop.folder / "elsewhere.csv"
    command = ["import", str(path), "--channel", "footer", "--rejects", str(elsewhere)]
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    assert "They say: without proof 2" in ran.output
    assert "lack: notice (1), language (1), method (1)" in ran.output
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--channel", "footer"], 2, "name a FILE, or a platform"),
        (["FILE"], 2, "--channel"),
        (["FILE", "--channel", "nowhere"], 1, "unknown channel nowhere: the policy declares footer"),
        (["FILE", "--channel", "footer", "--purpose", "horoscope"], 1, "unknown purpose horoscope"),
        (["FILE", "--from", "memory", "--channel", "footer"], 2, "one of both"),
        (["--from", "pigeon", "--channel", "footer"], 1, "pigeon"),
        (["--from", "memory", "--channel", "footer", "--dates", "dmy"], 2, "are about files"),
        (["FILE", "--channel", "footer", "--status", "unsubcribed"], 1, "unknown status"),
        (["FILE", "--channel", "footer", "--dates", "ymd"], 2, "--dates"),
    ],
)
def test_a_wrong_call_is_named_before_anything_is_read(shop: Lists, words: list[str], code: int, said: str) -> None:
    """One line with the fix; 2 for a wrong call, 1 for what is not there."""
    path = shop.write({"email": "an@lezer.example"})
    ran = CliRunner().invoke(main, ["import", *(str(path) if word == "FILE" else word for word in words)])
    assert (ran.exit_code, said in ran.output) == (code, True), ran.output
    assert shop.house.store.person("an@lezer.example") is None


# -- soft opt-in -------------------------------------------------------------------------------------------------


@pytest.fixture
def shops(environment: dict[str, str], make_house: Callable[..., House], database_url: str, tmp_path: Path) -> Lists:
    """A shop in a country that allows soft opt-in: its offers rest on it."""
    sells(Path(environment["BRIDGE_POLICY"]))
    return Lists(make_house(database_url), tmp_path)


def sold(lists: Lists, **changes: str) -> Result:
    """A customer's row."""
    return lists.take(lists.write({"email": "an@lezer.example", **SALE, **changes}, header=SALE_HEADER))


def test_a_customer_is_enrolled_with_six_facts_and_never_called_consenting(shops: Lists) -> None:
    """SOF-01, R8: may be mailed about the like of what she bought; the status is soft opt-in."""
    assert sold(shops).imported == 1
    answer = shops.house.store.may_mail("an@lezer.example", "offers")
    assert (answer.may, answer.status) == (True, Status.SOFT_OPT_IN)
    person = shops.house.store.person("an@lezer.example")
    assert person is not None
    (event,) = shops.house.store.story(person)
    assert event.type is EventType.ENROLLED
    assert set(event.evidence.sale or {}) == set(SALE_FACTS)
    assert sold(shops).unchanged == 1
    assert sold(shops, email="bo@lezer.example", sale_time="2019-01-01", time="2026-11-01").imported == 1
    assert not shops.house.store.may_mail("bo@lezer.example", "offers").may, "the sale counts, not the row's date"
    shops.house.clock.forward(days=800)
    assert not shops.house.store.may_mail("an@lezer.example", "offers").may, "SOF-03: the sale is too long ago"


@pytest.mark.parametrize(
    "change",
    [
        {"sale_id": ""},
        {"sale_time": ""},
        {"sale_time": "", "time": "2026-10-01"},
        {"sale_category": ""},
        {"sale_category": "insurance"},
        {"notice": ""},
        {"channel": "footer"},
        {"purpose": "newsletter", "channel": "footer"},
    ],
)
def test_without_any_of_its_facts_it_is_refused(shops: Lists, change: dict[str, str]) -> None:
    """SOF-01, SOF-02: each fact dropped in turn; a form, a download or another's list sells nothing."""
    assert sold(shops, **change).rejected == 1
    assert shops.house.store.person("an@lezer.example") is None


def test_a_sale_is_no_date_of_a_consent(shops: Lists) -> None:
    """CHN-05: a row without the time of its yes has none, whatever she bought when."""
    row = {**SALE, "basis": "consent", "purpose": "newsletter", "channel": "footer", "method": "paper"}
    row |= {"source_document": "box 7"}
    assert sold(shops, **row).imported == 1
    assert shops.house.store.may_mail("an@lezer.example", "newsletter").status is Status.UNKNOWN


def test_whoever_said_no_before_is_never_enrolled(shops: Lists) -> None:
    """SOF-02, R8: a refusal blocks it for good."""
    shops.take(shops.write({"email": "an@lezer.example", "purpose": "offers", "status": "refused"}))
    assert sold(shops).suppressed == 1
