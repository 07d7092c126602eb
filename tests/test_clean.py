"""A reviewed audit carried out: who has no proof, and who said no, goes from the store and from every platform (AUD-02)."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from adapters.memory import Memory, Person
from bridge.cli.main import main
from bridge.jobs.audit import cleaning
from bridge.jobs.audit.cleaning import Clean, Cleaned, Plan
from bridge.jobs.audit.kept import About, Row, reviewed, written
from bridge.jobs.audit.looking import Audit
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.rules import rules_of
from bridge.store import BadInput
from bridge.store.lists import Mark
from bridge.store.removing import Removal, Removed
from bridge.tables import approvals, metadata, person_keys, subjects
from bridge.vocabulary import EventType, Report, Seen, Status
from tests.conftest import House, Reader
from tests.csv_lists import WHOLE, Lists
from tests.test_store import by_reader

BARE = dict.fromkeys(WHOLE, "")


def quiet(_done: int, _total: int) -> None:
    """No bar."""


class Auditor:
    """Audits and cleans as the commands do."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder, self.lists = house, folder, Lists(house, folder)
        self.count, self.stack = 0, ExitStack()

    def audits(self, source: Path | str = "store", **defaults: str) -> Path:
        """A kept audit of the store, of a file, or of a platform by its name."""
        self.count += 1
        path = self.folder / f"{self.count}.audit"
        look = Audit(self.house.bridge, quiet)
        about = About(made=look.made, source=str(source), rules=rules_of(self.house.bridge).hex())
        with written(path, self.house.bridge.vault, about) as rows:
            look.keep = rows.add
            if isinstance(source, Path):
                look.file(ListFile(source), Defaults(**{"channel": "footer", **defaults}))
            elif source == "store":
                look.store()
            else:
                look.platform(source)
        return path

    def told(self) -> Path:
        """The same of the store by the command, which goes by the machine's clock."""
        self.count += 1
        ran = CliRunner().invoke(main, ["audit", "--out", str(self.folder / str(self.count))])
        assert ran.exit_code == 0, ran.output
        return self.folder / f"{self.count}.audit"

    def job(self, path: Path) -> Clean:
        """A clean of that audit."""
        kept = self.stack.enter_context(reviewed(path, self.house.bridge.vault))
        return self.stack.enter_context(closing(Clean(self.house.bridge, kept, quiet)))

    def plans(self, path: Path) -> Plan:
        """Only look."""
        return self.job(path).plan()

    def cleans(self, path: Path) -> Cleaned:
        """Look, then do."""
        job = self.job(path)
        job.plan()
        return job.carry_out()

    def holds(self, email: str) -> bool:
        """Whether anything of this address is here but the stop list, or at the ESP."""
        return self.house.store.knows(email) or email in self.house.esp.people


@contextmanager
def opened(house: House, folder: Path) -> Iterator[Auditor]:
    """An auditor, and what she opened closed again."""
    found = Auditor(house, folder)
    with found.stack:
        yield found


@pytest.fixture
def auditor(house: House, tmp_path: Path) -> Iterator[Auditor]:
    """On SQLite and on PostgreSQL."""
    with opened(house, tmp_path) as found:
        yield found


@pytest.fixture
def shell(home: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Auditor]:
    """On SQLite, with the command's own surroundings."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    with opened(home, tmp_path) as found:
        yield found


def many(auditor: Auditor) -> list[str]:
    """A list with everybody in it, taken in, all of them on at the ESP from before. Gives the addresses by grade."""
    house = auditor.house
    emails = [f"{name}@lezer.example" for name in ("proven", "incomplete", "none", "stopped")]
    auditor.lists.take(
        auditor.lists.write(
            {"email": emails[0]},
            {"email": emails[1], "notice": ""},
            {"email": emails[2], **BARE},
            {"email": emails[3]},
        )
    )
    auditor.lists.take(auditor.lists.write({"email": emails[3], "status": "unsubscribed"}))
    for email in emails:
        house.esp.people[email] = Person(on={"newsletter"})
    return emails


def test_who_has_no_proof_and_who_said_no_is_gone_everywhere_and_the_others_stay(auditor: Auditor) -> None:
    """AUD-02, S11: counts before and after add up; the stop stays as a hash; the history still verifies."""
    house = auditor.house
    proven, incomplete, none, stopped = many(auditor)
    path = auditor.audits()
    plan = auditor.plans(path)
    assert (plan.audited, plan.remove, plan.keep) == (4, 2, 2)
    assert (plan.none, plan.stopped, plan.here, plan.there) == (1, 1, 2, {"memory": 2})
    assert all(auditor.holds(email) for email in (proven, incomplete, none, stopped)), "a plan changes nothing"
    assert auditor.cleans(path) == Cleaned(removed=2)
    house.dispatch()
    assert [auditor.holds(email) for email in (proven, incomplete, none, stopped)] == [True, True, False, False]
    assert house.store.may_mail(stopped, "newsletter").status is Status.WITHDRAWN
    assert house.store.may_mail(none, "newsletter").status is Status.UNKNOWN
    assert house.verify().problems == ()
    after = Audit(house.bridge, quiet).store().as_json()
    assert after["grades"] == {"proven": 1, "soft_proven": 0, "incomplete": 1, "none": 0, "stopped": 0}


def test_a_second_run_changes_nothing(auditor: Auditor) -> None:
    """AUD-02: carried out once, it says so; nobody who signs up meanwhile is touched by it."""
    house = auditor.house
    *_, none, _ = many(auditor)
    path = auditor.audits()
    auditor.cleans(path)
    house.dispatch()
    Reader(house, none).has_consented()
    before = house.store.last_written()
    assert auditor.plans(path).done
    assert auditor.cleans(path) == Cleaned(removed=2)
    assert house.store.last_written() == before
    assert house.store.may_mail(none, "newsletter").may, "only deleted, she may come back (AUD-02)"


def test_nothing_of_them_is_left_but_a_keyed_hash(auditor: Auditor) -> None:
    """Promise 3: neither the address nor anything that opens is in any row once the ESP has said that she is gone."""
    house = auditor.house
    *_, none, stopped = many(auditor)
    auditor.cleans(auditor.audits())
    house.dispatch()
    house.clock.forward(minutes=11)  # the ESP's last word
    house.dispatch()
    with house.bridge.database.reading() as db:
        for table in metadata.sorted_tables:
            for row in db.execute(table.select()):
                for value in row:
                    text = value if isinstance(value, bytes) else str(value).encode()
                    assert not any(email.encode() in text for email in (none, stopped)), table.name
    assert house.store.person(none) is None


def test_a_stop_that_only_the_list_knew_stays_a_stop(auditor: Auditor) -> None:
    """Promise 2: of nobody here, a no in an audited file is kept as a hash before she goes from the platform."""
    house = auditor.house
    house.esp.people["el@lezer.example"] = Person(on={"newsletter"})
    path = auditor.audits(auditor.lists.write({"email": "el@lezer.example", "status": "objected"}))
    assert auditor.cleans(path) == Cleaned(removed=1)
    house.dispatch()
    assert "el@lezer.example" not in house.esp.people
    assert house.store.may_mail("el@lezer.example", "offers").status is Status.OBJECTED
    assert auditor.lists.takes({"email": "el@lezer.example"}) == (0, 0, 1, 0)


def test_a_no_of_somebody_who_stays_for_something_else_is_taken_in(auditor: Auditor) -> None:
    """Promise 2: she left one topic in that list, and is proven for another: she stays, and her no counts."""
    house = auditor.house
    email = "an@lezer.example"
    auditor.lists.take(auditor.lists.write({"email": email}, {"email": email, "purpose": "offers"}))
    path = auditor.audits(
        auditor.lists.write(
            {"email": email}, {"email": email, "purpose": "offers", "status": "withdrawn", "time": "2026-11-01"}
        )
    )
    assert auditor.cleans(path).removed == 0
    assert house.store.may_mail(email, "newsletter").may
    assert house.store.may_mail(email, "offers").status is Status.WITHDRAWN
    assert house.verify().problems == ()


def test_who_is_proven_for_something_that_the_list_did_not_name_stays(auditor: Auditor) -> None:
    """AUD-02: the list says nothing of her yes to offers; the store does."""
    house = auditor.house
    Reader(house, "an@lezer.example").has_consented("offers")
    path = auditor.audits(auditor.lists.write({"email": "an@lezer.example", **BARE}))
    assert auditor.cleans(path) == Cleaned(kept=1)
    assert house.store.may_mail("an@lezer.example", "offers").may


def test_a_platforms_own_contacts_without_proof_go_from_it(auditor: Auditor) -> None:
    """AUD-02: nobody of them was ever here; whoever is proven stays on there."""
    house = auditor.house
    Reader(house, "an@lezer.example").has_consented()
    for name in ("bo", "cleo"):
        house.esp.people[f"{name}@lezer.example"] = Person(on={"newsletter"})
    path = auditor.audits("memory")
    assert auditor.cleans(path) == Cleaned(removed=2)
    house.dispatch()
    assert set(house.esp.people) == {"an@lezer.example"}


# -- a no outlives whoever goes ---------------------------------------------------------------------------------------

X, NEW = "x@lezer.example", "new@lezer.example"


def comes_back(auditor: Auditor, email: str = X) -> bool:
    """Whether a list with her whole proof makes her mailable again."""
    auditor.house.clock.forward(minutes=30)
    auditor.lists.take(auditor.lists.write({"email": email}))
    return auditor.house.store.may_mail(email, "newsletter").may


def moves(house: House) -> Reader:
    """X consented, moved, and confirmed from her new address."""
    Reader(house, X).has_consented()
    house.hear(Report(type=EventType.MOVED, email=X, time=house.clock(), key="moves", to=NEW))
    house.clock.forward(minutes=2)
    she = Reader(house, NEW)
    she.confirms()
    house.dispatch()
    house.clock.forward(minutes=2)
    return she


@pytest.mark.parametrize("known", [True, False])
def test_a_no_that_only_the_platform_knows_goes_on_the_stop_list(auditor: Auditor, known: bool) -> None:
    """Promise 2, ESP-02: its webhook was lost; what is deleted there was the only trace of it."""
    if known:
        auditor.lists.takes({"email": X, **BARE})
    auditor.house.esp.people[X] = Person(left={"newsletter"}, status="unsubscribed")
    path = auditor.audits("store" if known else auditor.lists.write({"email": X, **BARE}))
    assert auditor.plans(path).stopped == 1
    assert auditor.cleans(path) == Cleaned(removed=1)
    auditor.house.dispatch()
    assert X not in auditor.house.esp.people
    assert not comes_back(auditor)


def test_a_no_counts_for_the_address_she_had_before_too(auditor: Auditor) -> None:
    """Promise 2, R13: she moved, left, and is taken out; nobody mails her old address by a list."""
    moves(auditor.house)
    auditor.house.hear(Report(type=EventType.UNSUBSCRIBED, email=NEW, time=auditor.house.clock(), key="leaves"))
    assert auditor.cleans(auditor.audits()) == Cleaned(removed=1)
    assert not comes_back(auditor)
    assert not comes_back(auditor, NEW)


def test_a_no_at_her_old_address_reaches_her(auditor: Auditor) -> None:
    """R13: a list says that the address left which she had before; an import of it would stop her too."""
    she = moves(auditor.house)
    path = auditor.audits(auditor.lists.write({"email": X, "status": "unsubscribed", "time": ""}))
    auditor.house.clock.forward(minutes=1)
    assert auditor.plans(path).noes == 1
    auditor.cleans(path)
    assert not she.may().may


def test_a_no_of_a_list_is_taken_in_whatever_becomes_of_her(auditor: Auditor) -> None:
    """Promise 2: she stays for offers, which the list did not name; or was taken out by another audit meanwhile."""
    house = auditor.house
    auditor.lists.takes({"email": X}, {"email": X, "purpose": "offers"}, {"email": "y@lezer.example", **BARE})
    first = auditor.audits()
    left = {"status": "unsubscribed", "purpose": "newsletter", "time": "2026-11-01"}
    second = auditor.audits(auditor.lists.write({"email": X, **left}, {"email": "y@lezer.example", **left}))
    plan = auditor.plans(second)
    assert (plan.remove, plan.keep, plan.noes) == (1, 1, 1)
    assert auditor.cleans(first) == Cleaned(removed=1)
    assert auditor.cleans(second) == Cleaned(kept=1, gone=1)
    assert not house.store.may_mail(X, "newsletter").may
    assert house.store.may_mail(X, "offers").may
    assert not comes_back(auditor, "y@lezer.example")


@pytest.mark.parametrize("word", ["invalidated", "revoked", "objected", "refused"])
def test_every_no_outlives_her(auditor: Auditor, word: str) -> None:
    """Promise 2: also a yes that was ended here: no list brings it back."""
    auditor.lists.takes({"email": X})
    auditor.house.clock.forward(minutes=1)
    auditor.lists.takes({"email": X, "status": word, "time": ""})
    assert not comes_back(auditor)
    assert auditor.cleans(auditor.audits()) == Cleaned(removed=1)
    assert not comes_back(auditor)


def test_a_yes_that_grew_too_old_takes_no_nos_place(auditor: Auditor) -> None:
    """R1: of a list that says both, withdrawn stays; whoever reads the stop list later sees a no."""
    about = {"email": X, "purpose": "newsletter"}
    rows = [
        {**about, "status": "withdrawn", "time": "2026-10-01"},
        {**about, "status": "expired", "time": "2026-11-01"},
    ]
    for order in (rows, rows[::-1]):
        auditor.cleans(auditor.audits(auditor.lists.write(*order)))
        auditor.lists.take(auditor.lists.write(*order, name="too.csv"))
        assert auditor.house.store.may_mail(X, "newsletter").status is Status.WITHDRAWN


def test_an_undated_no_that_was_told_before_overtakes_no_newer_yes(auditor: Auditor) -> None:
    """Decision 1: taken in once, then she signed up and confirmed; the same file says nothing new of her."""
    house = auditor.house
    path = auditor.lists.write({"email": X, "status": "unsubscribed", "time": ""})
    auditor.lists.take(path)
    house.clock.forward(minutes=10)
    Reader(house, X).has_consented()
    assert auditor.plans(auditor.audits(path, channel="footer", status="unsubscribed")).remove == 0
    auditor.cleans(auditor.audits(path))
    assert house.store.may_mail(X, "newsletter").may


# -- who stays, and what is done about it ------------------------------------------------------------------------------


def test_who_stays_is_taken_off_what_is_not_proven_there(auditor: Auditor) -> None:
    """AUD-02, promise 1: proven for offers, and on there for a newsletter nobody can show she asked for."""
    house = auditor.house
    Reader(house, X).has_consented("offers")
    house.esp.people[X].on.add("newsletter")
    path = auditor.audits("memory")
    assert auditor.plans(path).off == 1
    assert auditor.cleans(path) == Cleaned()
    house.dispatch()
    assert house.esp.people[X].on == {"offers"}


def test_a_question_that_waits_for_its_answer_is_no_reason_to_go(auditor: Auditor) -> None:
    """CON-06: she left once, signed up again, and has the button in her mailbox; too late it is one."""
    house = auditor.house
    she = Reader(house, X).has_consented()
    she.one_click()
    house.dispatch()
    house.clock.forward(days=300)
    she.signs_up()
    link = she.link("/confirm/")
    path = auditor.audits()
    assert auditor.plans(path).remove == 0
    assert auditor.cleans(path) == Cleaned()
    assert house.client.post(link).status_code == 200
    assert she.may().may


def test_who_asked_that_nothing_is_done_with_her_data_is_kept(auditor: Auditor) -> None:
    """GDPR 18: restricted is kept and not used; it is not deleted either."""
    house = auditor.house
    auditor.lists.takes({"email": X, **BARE})
    person = house.store.person(X)
    assert person is not None
    house.store.record([by_reader(house, person, EventType.RESTRICTED, "")])
    path = auditor.audits()
    assert auditor.plans(path).remove == 0
    assert auditor.cleans(path) == Cleaned(kept=1)
    assert house.store.knows(X)


def test_who_cannot_be_read_is_named_and_kept_and_nobody_else_suffers(auditor: Auditor) -> None:
    """Fail closed: her key is spoilt, or somebody is erased at this very moment."""
    house = auditor.house
    auditor.lists.takes({"email": X, **BARE}, {"email": "b@lezer.example", **BARE})
    spoilt = person_keys.c.subject == select(subjects.c.number).limit(1).scalar_subquery()
    with house.bridge.database.writing() as db:
        db.execute(update(person_keys).where(spoilt).values(wrapped=b"0" * 60))
    look, found = Audit(house.bridge, quiet), list[Row]()
    look.keep = found.append
    tally = look.store()
    assert (tally.total, tally.unreadable) == (1, 1)
    path = auditor.audits(auditor.lists.write({"email": X, **BARE}, {"email": "b@lezer.example", **BARE}))
    assert auditor.cleans(path) == Cleaned(removed=1, kept=1)


def test_a_list_of_stops_that_a_platform_keeps_is_no_contact(auditor: Auditor, monkeypatch: pytest.MonkeyPatch) -> None:
    """SUP-01: SendGrid keeps its own stops whoever is erased; the next audit finds nothing left to do."""
    told = [Seen([X], stop=EventType.UNSUBSCRIBED, purposes=frozenset({"newsletter"}), times=[0], only_stop=True)]
    monkeypatch.setattr(Memory, "everybody", lambda _self, _since="": iter(told))
    for expected in (1, 0):
        path = auditor.audits("memory")
        plan = auditor.plans(path)
        assert (plan.remove, plan.noes) == (0, expected)
        assert auditor.cleans(path) == Cleaned(gone=1)
    assert not comes_back(auditor)


def test_what_was_checked_is_carried_out_whatever_becomes_of_the_file(auditor: Auditor) -> None:
    """ORG-02: somebody writes another file in its place while the question waits for its answer."""
    house = auditor.house
    Reader(house, X).has_consented()
    house.esp.people["b@lezer.example"] = Person(on={"newsletter"})
    path = auditor.audits("memory")
    job = auditor.job(path)
    job.plan()
    path.write_text(path.read_text().replace("proven", "none"))
    assert job.carry_out() == Cleaned(removed=1)
    assert house.store.may_mail(X, "newsletter").may


def test_an_empty_audit_has_nothing_to_do(shell: Auditor) -> None:
    """It says so, and not that it was done."""
    ran = CliRunner().invoke(main, ["clean", "--from", str(shell.told())])
    assert (ran.exit_code, "nothing to take out" in ran.output) == (0, True), ran.output


def test_the_command_takes_in_a_no_though_nobody_goes(shell: Auditor) -> None:
    """Promise 2: the list says that she left one topic and proves the other."""
    shell.lists.takes({"email": X}, {"email": X, "purpose": "offers"})
    path = shell.lists.write(
        {"email": X}, {"email": X, "purpose": "offers", "status": "withdrawn", "time": "2026-11-22"}
    )
    out = shell.folder / "said"
    CliRunner().invoke(main, ["audit", str(path), "--channel", "footer", "--out", str(out)])
    done = CliRunner().invoke(main, ["clean", "--from", f"{out}.audit", "--yes"])
    assert done.exit_code == 0, done.output
    assert "1 said no to something in that list" in done.output
    assert not shell.house.store.may_mail(X, "offers").may


def test_a_platform_that_is_switched_off_is_named(shell: Auditor, monkeypatch: pytest.MonkeyPatch) -> None:
    """ESP-04: nobody tells it any more: a person must."""
    Reader(shell.house, X).has_consented().one_click()
    shell.house.dispatch()
    monkeypatch.setenv("BRIDGE_ADAPTERS", "")
    done = CliRunner().invoke(main, ["clean", "--from", str(shell.told()), "--yes"])
    assert done.exit_code == 0, done.output
    assert "memory: BRIDGE_ADAPTERS does not name it any more" in done.output


# -- what is refused ---------------------------------------------------------------------------------------------


def test_an_audit_of_yesterday_is_refused(auditor: Auditor) -> None:
    """AUD-02: after 24 hours nobody knows whether it still holds."""
    many(auditor)
    path = auditor.audits()
    auditor.house.clock.forward(hours=24)
    assert auditor.plans(path).remove == 2
    auditor.house.clock.forward(seconds=1)
    with pytest.raises(BadInput, match="believed for 24 hours"):
        auditor.plans(path)


@pytest.mark.parametrize("who", [0, 1, 2, 3])
def test_an_audit_whose_people_changed_since_is_refused(auditor: Auditor, who: int) -> None:
    """AUD-02: she confirmed, or left, after it was made; who came new since is in no audit and does not matter."""
    house = auditor.house
    email = many(auditor)[who]
    path = auditor.audits()
    Reader(house, "new@lezer.example").has_consented()
    assert auditor.plans(path).remove == 2
    house.hear(Report(type=EventType.UNSUBSCRIBED, email=email, time=house.clock(), key="later"))
    with pytest.raises(BadInput, match="audit again"):
        auditor.plans(path)


def test_another_policy_makes_another_audit(auditor: Auditor, make_house: Callable[..., House]) -> None:
    """AUD-01: what was graded by other rules is not carried out."""
    many(auditor)
    path = auditor.audits()
    policy = auditor.house.bridge.settings.policy
    policy.write_text(policy.read_text().replace("complaint_least = 1000", "complaint_least = 999"))
    changed = make_house(str(auditor.house.bridge.settings.database_url))
    with opened(changed, auditor.folder) as other, pytest.raises(BadInput, match="has changed since"):
        other.plans(path)


def test_who_does_something_between_plan_and_deed_is_left_as_she_is(auditor: Auditor) -> None:
    """Decision 1: the last look is under her lock."""
    house = auditor.house
    *_, none, stopped = many(auditor)
    path = auditor.audits()
    job = auditor.job(path)
    job.plan()
    Reader(house, none).has_consented()
    assert job.carry_out() == Cleaned(removed=1, kept=1)
    assert house.store.may_mail(none, "newsletter").may
    assert not house.store.knows(stopped)


@pytest.mark.parametrize(("seen", "wanted"), [(1, Removed.REMOVED), (0, Removed.CHANGED), (2, Removed.CHANGED)])
def test_the_number_of_her_last_event_says_whether_she_is_as_she_was(
    auditor: Auditor, seen: int, wanted: Removed
) -> None:
    """AUD-02: also somebody of whom nobody was here when the audit was made."""
    auditor.lists.takes({"email": "an@lezer.example", **BARE})
    assert auditor.house.store.remove([Removal("an@lezer.example", seen, ())]) == [wanted]
    assert auditor.house.store.remove([Removal("an@lezer.example", 1, ())])[0] is (
        Removed.GONE if wanted is Removed.REMOVED else Removed.REMOVED
    )


def test_killed_it_goes_on_where_it_was(shell: Auditor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between any two transactions: run again, it ends as if nothing had happened, each person once."""
    house = shell.house
    emails = [f"p{number}@lezer.example" for number in range(5)]
    shell.lists.takes(*({"email": email, **BARE} for email in emails))
    for email in emails:
        house.esp.people[email] = Person(on={"newsletter"})
    path = shell.audits()
    monkeypatch.setattr(cleaning, "_AT_ONCE", 2)
    noting = house.store.lists.go_on
    for calls in (1, 0):
        left = iter(range(calls))

        def dies(before: Mark, after: Mark, left: Iterator[int] = left) -> None:
            next(left)  # then it is over
            noting(before, after)

        monkeypatch.setattr(house.store.lists, "go_on", dies)
        job = shell.job(path)
        job.plan()
        with pytest.raises(StopIteration):
            job.carry_out()
    monkeypatch.setattr(house.store.lists, "go_on", noting)
    done = shell.cleans(path)
    assert done.removed + done.gone == 5
    house.dispatch()
    assert not any(shell.holds(email) for email in emails)
    assert house.verify().problems == ()


# -- the command -------------------------------------------------------------------------------------------------


def test_the_command_shows_the_plan_asks_and_does_it(shell: Auditor) -> None:
    """AUD-02: without a person to ask it changes nothing; with --yes it does what it showed."""
    emails = many(shell)
    path = shell.told()
    asked = CliRunner().invoke(main, ["clean", "--from", str(path)])
    assert asked.exit_code == 1, asked.output
    assert "2 go: 1 without any proof, 1 who said no" in asked.output
    assert "from the store 2, memory 2" in asked.output
    assert all(shell.holds(email) for email in emails)
    done = CliRunner().invoke(main, ["clean", "--from", str(path), "--yes"])
    assert done.exit_code == 0, done.output
    assert "Taken out: 2." in done.output
    again = CliRunner().invoke(main, ["clean", "--from", str(path), "--yes", "--json"])
    told = json.loads(again.stdout)
    assert (again.exit_code, told["plan"]["done"], told["done"]["removed"]) == (0, True, 0)
    assert "lezer.example" not in asked.output + done.output + again.output


def test_where_the_policy_asks_another_person_must_approve(
    environment: dict[str, str],
    make_house: Callable[..., House],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decision 36, ORG-02: the first call writes what waits; only another operator carries it out, once."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text('second_approver = ["clean"]\n' + policy.read_text())
    house = make_house(database_url)
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    auditor = Auditor(house, tmp_path)
    emails = many(auditor)
    path = auditor.told()

    def says(operator: str, *words: str) -> Any:
        return CliRunner().invoke(main, list(words), env={"BRIDGE_OPERATOR": operator})

    asked = says("carla", "clean", "--from", str(path), "--yes", "--json")
    id_ = json.loads(asked.stdout)["waits"]
    assert json.loads(says("carla", "clean", "--from", str(path), "--yes", "--json").stdout)["waits"] == id_
    assert all(auditor.holds(email) for email in emails)
    herself = says("carla", "approve", id_)
    assert (herself.exit_code, "another person" in herself.output) == (1, True)
    assert says("dora", "approve", "nothing").exit_code == 1
    assert all(auditor.holds(email) for email in emails)
    done = says("dora", "approve", id_)
    assert done.exit_code == 0, done.output
    assert [house.store.knows(email) for email in emails] == [True, True, False, False]
    twice = says("dora", "approve", id_)
    assert (twice.exit_code, "done already" in twice.output) == (1, True)
    with house.bridge.database.reading() as db:
        (row,) = db.execute(approvals.select()).all()
    assert (row.asked_by, row.approved_by) == ("carla", "dora")


def test_another_audit_than_the_one_that_was_asked_for_is_not_carried_out(
    environment: dict[str, str],
    make_house: Callable[..., House],
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ORG-02: what was approved is the very file that was asked for."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text('second_approver = ["clean"]\n' + policy.read_text())
    house = make_house(sqlite_url)
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    auditor = Auditor(house, tmp_path)
    emails = many(auditor)
    path = auditor.told()
    asked = CliRunner().invoke(
        main, ["clean", "--from", str(path), "--yes", "--json"], env={"BRIDGE_OPERATOR": "carla"}
    )
    auditor.lists.takes({"email": "more@lezer.example", **BARE})
    auditor.told().replace(path)
    id_ = json.loads(asked.stdout)["waits"]
    done = CliRunner().invoke(main, ["approve", id_], env={"BRIDGE_OPERATOR": "dora"})
    assert (done.exit_code, "another audit" in done.output) == (1, True)
    assert all(auditor.holds(email) for email in emails)


def test_a_policy_names_only_acts_that_can_wait(
    environment: dict[str, str], make_house: Callable[..., House], sqlite_url: str
) -> None:
    """ORG-02: a typing error would mean that nobody approves anything."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text('second_approver = ["cleen"]\n' + policy.read_text())
    with pytest.raises(Exception, match=r"second_approver.*ORG-02"):
        make_house(sqlite_url)
