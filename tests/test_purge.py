"""Retention (MIN-06, section 8 of the standards): nobody and nothing is kept longer than the policy says, and nobody
is forgotten who may be mailed, may still answer, is restricted, or whose "no" is not everywhere yet."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text

from bridge.cli import main
from bridge.decide import Fate, Forget, Spans, blocks, fate, may_mail, pending
from bridge.jobs.requests import answer, open_request
from bridge.jobs.retention import RULES, Purge
from bridge.store.case_files import Told
from bridge.store.sql import Sql
from bridge.store.staff import Deed, Stage
from bridge.store.values import Person
from bridge.tables import approvals, asked, events, person_keys, pushes, stop_list, subjects, throttle
from bridge.vocabulary import (
    OPERATOR,
    SYSTEM,
    Block,
    ConsentEvent,
    EventType,
    Method,
    RequestKind,
    Status,
)
from tests.conftest import House, Reader
from tests.test_decide import LIMITS, told
from tests.test_store import asks, by_reader, consents, person

T = EventType
DAY = timedelta(days=1)
SPANS = Spans(30 * DAY, 1096 * DAY, 90 * DAY)


def purges(house: House) -> dict[str, int]:
    """A run; what it did, as the dry run before it said it would, and nothing the second time."""
    promised = Purge(house.bridge).count()
    done = Purge(house.bridge).run()
    assert done == promised, "the dry run counts the very same"
    assert Purge(house.bridge).run() == dict.fromkeys(done, 0), "the second run changes nothing"
    return {rule: count for rule, count in done.items() if count and rule != "sign_up_limits"}


def profile(house: House, email: str) -> tuple[str, str, Mapping[str, str]]:
    """What is kept of her besides her events."""
    mine = person(house, email)
    return mine.email, mine.language, mine.fields


# -- the table, line by line -------------------------------------------------------------------------------------


def test_every_line_of_the_table_says_how_long_and_what_then(house: House) -> None:
    """MIN-06: the table is data, and each of its lines is counted."""
    assert set(Purge(house.bridge).count()) == {rule.id for rule in RULES}
    assert all(rule.what and rule.then and rule.rows for rule in RULES)


def test_r9_an_unconfirmed_request_goes_with_its_address(house: House, an: Reader) -> None:
    """R9, CON-06, MIN-06: to the second; only a counter remains."""
    an.signs_up()
    house.dispatch()
    house.clock.forward(hours=72)
    assert purges(house) == {}
    house.clock.forward(seconds=1)
    assert purges(house) == {"pending": 1}
    assert not house.store.knows(an.email)


def test_r10_a_yes_without_an_act_for_three_years_expires_and_the_platform_switches_her_off(
    house: House, an: Reader
) -> None:
    """R10, decision 2: the event records what the clock said, at its own time; nothing changes for `may-mail`."""
    an.has_consented()
    since = person(house, an.email)
    given_at = next(e.time for e in an.story() if e.type is T.GIVEN)
    house.clock.now = given_at + timedelta(days=1096) - timedelta(seconds=1)
    assert purges(house) == {}
    assert an.may().may
    house.clock.forward(seconds=1)
    before = an.may()
    assert not before.may
    assert purges(house) == {"expired": 1}
    assert an.status() is Status.EXPIRED
    (event,) = [e for e in an.story() if e.type is T.EXPIRED]
    assert (event.time, event.source, event.method) == (given_at + timedelta(days=1096), SYSTEM, Method.CLOCK)
    house.dispatch()
    assert not an.is_on()
    assert person(house, an.email).id == since.id
    assert house.verify().problems == ()


def test_what_she_filled_in_goes_thirty_days_after_she_left(house: House, an: Reader) -> None:
    """MIN-06: language and fields go; the address stays sealed with the proof, and the proof is whole."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    left = next(e.time for e in an.story() if e.type is T.WITHDRAWN)
    house.clock.now = left + 30 * DAY - timedelta(seconds=1)
    assert purges(house) == {}
    assert profile(house, an.email)[1] == "nl"
    house.clock.forward(seconds=1)
    assert purges(house) == {"profile": 1}
    assert profile(house, an.email) == (an.email, "", {})
    assert [e.type for e in an.story()] == [T.REQUESTED, T.GIVEN, T.WITHDRAWN]
    assert house.verify().problems == ()


def test_the_proof_goes_after_three_years_and_only_keyed_hashes_stay(house: House, an: Reader) -> None:
    """MIN-06, SUP-04, ESP-04: erased here and at the platform; the chain still verifies."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    left = next(e.time for e in an.story() if e.type is T.WITHDRAWN)
    house.clock.now = left + 1096 * DAY - timedelta(seconds=1)
    assert purges(house) == {"profile": 1}
    house.clock.forward(seconds=1)
    assert purges(house) == {"evidence": 1}
    assert not house.store.knows(an.email)
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(person_keys)) == 0
        assert db.scalar(select(func.count()).select_from(events).where(events.c.sealed.is_not(None))) == 0
        assert [row.reason for row in db.execute(stop_list.select())] == ["withdrawn"]
    for _ in range(3):
        house.dispatch()
        house.clock.forward(minutes=11)
    assert an.email not in house.esp.people
    assert house.verify().problems == ()


def test_r7_a_dead_address_goes_after_ninety_days(house: House, an: Reader, dirk: Reader) -> None:
    """R7, MIN-06: with all that was known of it, here and at the platform; it is no "no"."""
    an.has_consented()
    dirk.has_consented()
    house.hear(an.told_by_esp(T.BOUNCED))
    house.dispatch()
    house.clock.forward(days=90, seconds=-1)
    assert purges(house) == {}
    house.clock.forward(seconds=1)
    assert purges(house) == {"bounced": 1}
    assert not house.store.knows(an.email)
    assert dirk.may().may
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(stop_list)) == 0


def test_the_stop_list_grows_old_only_when_nobody_is_mailed_any_more(
    house: House, an: Reader, make_house: Callable[..., House]
) -> None:
    """SUP-01: thirty-six months at least, and for as long as there is direct marketing; then nobody may be mailed."""
    house.hear(an.told_by_esp(T.COMPLAINED))
    house.clock.forward(days=5000)
    assert purges(house) == {}
    policy = Path(house.environment["BRIDGE_POLICY"])
    ended = house.clock().date() - timedelta(days=1)
    policy.write_text(f"{policy.read_text('utf-8')}\n[retention]\nmarketing_ended = {ended}\n", encoding="utf-8")
    after = make_house(house.environment["BRIDGE_DATABASE_URL"])
    Reader(after, "dirk@lezer.example").has_consented()
    answer = after.store.may_mail("dirk@lezer.example", "newsletter")
    assert (answer.may, "marketing ended" in answer.why[0]) == (False, True)
    assert purges(after) == {"stop_list": 1}


def test_small_things_grow_old_too(house: House, an: Reader) -> None:
    """CAP-10, ORG-02: what sign-up limits count, who did what and who approved it."""
    an.signs_up()
    house.store.approvals.ask("clean", b"x", "{}", "carla")
    house.store.staff.note(Deed("evidence", "carla", "letter 12", "run-1"), Stage.DONE)
    house.clock.forward(days=31)
    assert purges(house) == {"pending": 1}
    assert Purge(house.bridge).count()["sign_up_limits"] == 0
    house.clock.forward(seconds=1)
    assert Purge(house.bridge).count()["sign_up_limits"] > 0
    assert purges(house) == {}
    house.clock.forward(days=1096)
    assert purges(house) == {"staff_log": 1, "approvals": 1}
    with house.bridge.database.reading() as db:
        for table in (throttle, approvals):
            assert db.scalar(select(func.count()).select_from(table)) == 0
        assert db.execute(text("SELECT act, person, reason FROM staff_log")).all() == [("evidence", None, None)]


# -- who is kept -------------------------------------------------------------------------------------------------


def restricts(house: House, email: str) -> None:
    """Her data is kept, and not used, from now on."""
    house.store.record([by_reader(house, person(house, email), T.RESTRICTED, "")])


@pytest.mark.parametrize("what", ["withdrawn", "bounced", "too old", "never confirmed"])
def test_rgt_05_who_is_restricted_is_never_purged(house: House, an: Reader, what: str) -> None:
    """RGT-05: whatever rule she would fall under; and that the yes is too old is not even noted."""
    if what == "never confirmed":
        an.signs_up()
    else:
        an.has_consented()
    if what == "withdrawn":
        an.one_click()
    if what == "bounced":
        house.hear(an.told_by_esp(T.BOUNCED))
    restricts(house, an.email)
    house.dispatch()
    before = [e.type for e in an.story()]
    house.clock.forward(days=3000)
    assert purges(house) == {}
    assert profile(house, an.email)[1] == "nl"
    assert [e.type for e in an.story()] == before
    assert not an.may().may


def test_who_asked_anew_and_may_still_confirm_is_kept(house: House, an: Reader) -> None:
    """MIN-06, R4: she left long ago and signs up again: her link works until its own time is over."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(days=2000)
    an.signs_up()
    house.dispatch()
    assert purges(house) == {}
    house.clock.forward(hours=1)
    assert an.confirms().status_code == 200
    assert an.may().may
    assert purges(house) == {}


def test_who_did_not_confirm_after_all_goes_then(house: House, an: Reader) -> None:
    """MIN-06: the ground to keep her was that question."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(days=2000)
    an.signs_up()
    house.dispatch()
    house.clock.forward(hours=72, seconds=1)
    assert purges(house) == {"evidence": 1}


def test_who_fills_in_something_again_and_leaves_again_is_trimmed_again(house: House, an: Reader) -> None:
    """MIN-06: what was forgotten once may be there again."""
    for _ in range(2):
        an.has_consented()
        an.one_click()
        house.dispatch()
        house.clock.forward(days=31)
        assert purges(house) == {"profile": 1}
        assert profile(house, an.email) == (an.email, "", {})


def test_nobody_is_forgotten_whose_stop_has_not_reached_every_platform(house: House, an: Reader) -> None:
    """WDR-11, decision 23: the platform is away for years; she is kept, and her stop with her, until it heard."""
    an.has_consented()
    esp = house.esp
    esp.down = True
    an.one_click()
    house.dispatch()
    house.clock.forward(days=2000)
    assert purges(house) == {}
    assert house.store.knows(an.email)
    esp.down = False
    house.clock.forward(hours=1)
    house.dispatch()
    assert not an.is_on()
    assert purges(house) == {"evidence": 1}


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("kind", RequestKind)
def test_nobody_is_forgotten_while_a_request_of_hers_waits(
    house: House, an: Reader, kind: RequestKind, *, moved: bool
) -> None:
    """RGT-01, RGT-05: what she asks to see, to have corrected or kept is not deleted before she is answered."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(days=1200)
    asked_of, email = an.email, an.email
    if moved:
        email = "an.new@lezer.example"
        house.hear(msgspec.structs.replace(an.told_by_esp(T.MOVED), to=email))
        house.dispatch()
    case = open_request(house.bridge, Told(email=asked_of), kind, own_mailbox=True)
    waits = kind not in (RequestKind.WITHDRAW, RequestKind.OBJECT, RequestKind.ERASE)
    house.dispatch()
    house.clock.forward(days=1200)
    purges(house)
    assert house.store.knows(email) is waits
    if waits and kind is not RequestKind.RESTRICT:
        answer(house.bridge, case, own="We looked at it, and this is the answer.")
        purges(house)
        house.dispatch()
        house.clock.forward(days=1)
        purges(house)
        assert not house.store.knows(email)


@pytest.mark.parametrize("kind", RequestKind)
def test_who_never_confirmed_is_kept_while_a_request_of_hers_waits(house: House, an: Reader, kind: RequestKind) -> None:
    """RGT-01, CON-06: the same of a sign-up that nobody confirmed."""
    an.signs_up()
    house.dispatch()
    open_request(house.bridge, Told(email=an.email), kind, own_mailbox=True)
    house.clock.forward(hours=80)
    purges(house)
    keeps = kind not in (RequestKind.WITHDRAW, RequestKind.OBJECT, RequestKind.ERASE)
    assert house.store.knows(an.email) is keeps or kind in (RequestKind.WITHDRAW, RequestKind.OBJECT, RequestKind.ERASE)


# -- a no outlives her -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["withdrawn", "expired", "revoked", "objected"])
def test_her_no_survives_everything_that_is_forgotten(house: House, an: Reader, end: str) -> None:
    """SUP-03, SUP-05: her address by a file, by the platform, and at last by her own sign-up."""
    an.has_consented()
    if end == "withdrawn":
        an.one_click()
    elif end == "objected":
        house.hear(an.told_by_esp(T.COMPLAINED))
    elif end == "revoked":
        revoked = by_reader(house, person(house, an.email), T.REVOKED)
        house.store.record([msgspec.structs.replace(revoked, source=OPERATOR, method=Method.STAFF)])
    house.dispatch()
    for _ in range(3):  # expired first, then told, then forgotten
        house.clock.forward(days=1200)
        purges(house)
        house.dispatch()
    assert not house.store.knows(an.email)
    status = house.store.may_mail(an.email, "newsletter").status
    assert status is Status(end)
    house.hear(an.told_by_esp(T.SUBSCRIBED, "newsletter"))
    assert not an.may().may
    an.signs_up()
    house.dispatch()
    assert not an.may().may
    assert an.status() is Status(end)
    house.clock.forward(minutes=1)
    an.confirms()
    assert an.may().may is (end != "objected") or an.status() is Status.GIVEN


def test_an_old_mails_stop_link_still_stops_whoever_has_the_address_now(house: House, an: Reader) -> None:
    """WDR-09, decision 9: after retention and a new sign-up."""
    an.has_consented()
    link = an.link("/u/")
    an.one_click()
    house.dispatch()
    house.clock.forward(days=1200)
    assert "evidence" in purges(house)
    assert house.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    an.has_consented()
    assert an.may().may
    assert house.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert an.status() is Status.WITHDRAWN


# -- the rule, over all stories ----------------------------------------------------------------------------------

KINDS = [T.REQUESTED, T.GIVEN, T.ENROLLED, T.IMPORTED, T.WITHDRAWN, T.REFUSED, T.OBJECTED, T.EXPIRED, T.REVOKED]
KINDS += [T.INVALIDATED, T.BOUNCED, T.DEFERRED, T.RESTRICTED, T.UNRESTRICTED, T.PAUSED, T.MOVED, T.COMPLAINED]
STORIES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2000), st.sampled_from(["newsletter", "offers"])), max_size=7
)


@settings(max_examples=300)
@given(story=STORIES, today=st.integers(0, 4000))
def test_nobody_who_may_be_mailed_may_answer_or_is_restricted_is_forgotten(
    story: list[tuple[EventType, int, str]], today: int
) -> None:
    """RGT-05, R4, R10: over statuses, ages and blocks; and what is forgotten was over for as long as it says."""
    limits = msgspec.structs.replace(LIMITS, soft_opt_in=True)
    history = [told(kind, days * 86400.0, purpose) for kind, days, purpose in story]
    now = told(T.PAUSED, today * 86400.0).time
    history = [event for event in history if event.time <= now]
    found = fate(history, now, limits, SPANS)
    purposes = ("newsletter", "offers")
    may = {purpose: may_mail(history, purpose, now, limits).may for purpose in purposes}
    if any(may.values()):
        assert found.forgets is None
    if Block.RESTRICTED in blocks(history, limits):
        assert found == Fate()
    assert not any(may[purpose] for purpose in found.expires)
    if any(pending(history, purpose, now, limits) for purpose in purposes):
        assert found == Fate()
    later = [*history, *(_said(purpose, end) for purpose, end in found.expires.items())]
    for purpose in purposes:
        assert may_mail(later, purpose, now, limits).may == may[purpose], "the event only records what the clock said"
    if found.forgets is Forget.BOUNCED:
        assert any(e.type in (T.BOUNCED, T.DEFERRED) and now - e.time >= SPANS.bounced for e in history)
    if found.forgets in (Forget.PROFILE, Forget.EVIDENCE):
        span = SPANS.profile if found.forgets is Forget.PROFILE else SPANS.evidence
        for moment in (now - span + timedelta(seconds=1), *(e.time for e in history if e.time > now - span)):
            then = [event for event in history if event.time <= moment]
            assert not any(may_mail(then, purpose, moment, limits).may for purpose in purposes)
    assert fate(later, now, limits, SPANS).expires == {}


def _said(purpose: str, end: datetime) -> ConsentEvent:
    event = told(T.EXPIRED, 0, purpose)
    return msgspec.structs.replace(event, time=end, received=end, key=f"expired {purpose}")


ACTS = ("consents", "leaves", "bounces", "restricts", "asks", "away")


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(people=[["restricts", "leaves", "away"], ["leaves", "consents", "bounces"], ["asks"]], days=91)
@given(
    people=st.lists(st.lists(st.sampled_from(ACTS), min_size=1, max_size=3), min_size=1, max_size=3),
    days=st.sampled_from([0, 31, 91, 1097, 1200, 3000]),
)
def test_a_run_does_what_the_rule_says_of_each(house: House, people: list[list[str]], days: int) -> None:
    """MIN-06 on both databases: statuses x ages x restricted x waiting pushes; dry run, run and second run agree."""
    mark = house.clock().strftime("%Y%m%d%H%M%S")
    readers = [Reader(house, f"r{number}-{mark}@lezer.example") for number, _ in enumerate(people)]
    house.esp.down = False
    for reader, acts in zip(readers, people, strict=True):
        for act in acts:
            _plays(house, reader, act)
    house.clock.forward(days=days)
    limits, now = house.bridge.limits(house.clock()), house.clock()
    fates: dict[str, Any] = {}
    for reader in readers:
        mine = house.store.person(reader.email)
        waits = bool(mine and _waits(house, mine))
        fates[reader.email] = (fate(house.store.history(mine), now, limits, SPANS) if mine else None, waits)
    may = {reader.email: reader.may().may for reader in readers}
    purges(house)
    for reader in readers:
        found, waits = fates[reader.email]
        assert reader.may().may == may[reader.email]
        here = house.store.knows(reader.email)
        if found is None:
            continue
        if may[reader.email] or waits or found == Fate():
            unconfirmed = found == Fate() and not may[reader.email] and not waits
            assert here or unconfirmed
        elif found.forgets in (Forget.EVIDENCE, Forget.BOUNCED) and not found.expires:
            assert not here
    house.esp.down = False
    house.clock.forward(hours=2)
    house.dispatch()
    assert house.verify().problems == ()


def _waits(house: House, mine: Person) -> bool:
    """Whether the platform is still to be told something of her."""
    unsaid = select(func.count()).select_from(pushes).where(pushes.c.subject == mine.number, pushes.c.due.is_not(None))
    with house.bridge.database.reading() as db:
        waits = db.scalar(unsaid)
    return bool(waits) or any(clock.confirmed is None for clock in house.store.confirmations(mine))


def _plays(house: House, reader: Reader, act: str) -> None:
    house.clock.forward(hours=25)
    mine = house.store.person(reader.email)
    if act == "away":
        house.esp.down = True
    elif act == "asks":
        asks(house, reader.email, "offers")
    elif act == "consents":
        consents(house, reader.email)
    elif mine is not None and act == "bounces":
        house.hear(reader.told_by_esp(T.BOUNCED))
    elif mine is not None:
        kind = T.WITHDRAWN if act == "leaves" else T.RESTRICTED
        house.store.record([by_reader(house, mine, kind, "newsletter" if act == "leaves" else "")])
    house.dispatch()


# -- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Carla gives commands."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)

    def says(*words: str, by: str = "carla") -> Result:
        return CliRunner().invoke(main, list(words), env={"BRIDGE_OPERATOR": by})

    return says


def test_the_command_counts_first_and_then_forgets(house: House, an: Reader, staff: Callable[..., Result]) -> None:
    """MIN-06: `--dry-run` counts the very same, changes nothing and is no act; the run stands in the staff log."""
    an.signs_up()
    house.clock.forward(days=4)
    house.store.clock = house.clock
    told = json.loads(staff("purge", "--dry-run", "--json").stdout)
    assert (told["dry_run"], [row["rule"] for row in told["rules"]]) == (True, [rule.id for rule in RULES])
    assert house.store.knows(an.email)
    assert list(house.store.staff.entries()) == []
    assert staff("purge").exit_code == 0
    assert [(e.act, e.stage) for e in house.store.staff.entries()] == [("purge", "began"), ("purge", "done")]


@pytest.mark.parametrize("keep", ["evidence=40 months", "stop_list=1 month", "evidence", "profile=soon"])
def test_by_hand_only_less_is_kept(staff: Callable[..., Result], keep: str) -> None:
    """MIN-06: bad input is named, and nothing is done."""
    refused = staff("purge", "--keep", keep)
    assert (refused.exit_code, "--keep" in refused.output) == (1, True)


def test_keeping_less_by_hand_needs_two_where_the_policy_says_so(house: House, staff: Callable[..., Result]) -> None:
    """ORG-02, decision 36: the usual run needs one."""
    policy = Path(house.environment["BRIDGE_POLICY"])
    policy.write_text('second_approver = ["purge"]\n' + policy.read_text(encoding="utf-8"), encoding="utf-8")
    assert "in all" in staff("purge").output
    waits = json.loads(staff("purge", "--keep", "evidence=0 days", "--json").stdout)["waits"]
    assert staff("approve", waits).exit_code == 1
    done = staff("approve", waits, by="dora")
    assert (done.exit_code, "in all" in done.output) == (0, True), done.output
    stages = [(e.act, e.stage, e.person) for e in house.store.staff.entries()][-3:]
    assert stages == [("purge", "asked", "carla"), ("purge", "began", "dora"), ("purge", "done", "dora")]


def test_the_dispatcher_does_it_by_itself(house: House, an: Reader, caplog: pytest.LogCaptureFixture) -> None:
    """MIN-06: daily; the log has counts and no address (MIN-03)."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(days=30, seconds=1)
    with caplog.at_level("INFO"):
        house.dispatcher.purge()
    assert "retention: profile 1" in caplog.text
    assert "lezer.example" not in caplog.text


def test_a_kill_in_the_middle_is_harmless(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """MIN-06: each few people are one transaction; the next run does the rest."""
    monkeypatch.setattr("bridge.store.keeping._CHUNK", 2)
    emails = [f"lezer{number}@lezer.example" for number in range(5)]
    for email in emails:
        consents(house, email)
        house.store.record([by_reader(house, person(house, email), T.WITHDRAWN)])
    house.dispatch()
    house.clock.forward(days=40)
    asked = count()
    Purge(house.bridge, halt=lambda: next(asked) >= 2).run()
    left = [email for email in emails if profile(house, email)[1]]
    assert len(left) == 3
    assert purges(house).get("profile", 0) == len(left)


def test_the_number_of_statements_does_not_grow_with_people(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never one query per person: the same for two and for twenty, to count and to forget."""
    seen: list[str] = []
    monkeypatch.setattr(Sql, "_asked", _noting(Sql._asked, seen))
    monkeypatch.setattr(Sql, "many", _noting(Sql.many, seen))

    def note(_db: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(house.bridge.database.engine, "before_cursor_execute", note)

    def statements(people: int) -> int:
        for number in range(people):
            email = f"lezer{people}-{number}@lezer.example"
            consents(house, email)
            house.store.record([by_reader(house, person(house, email), T.WITHDRAWN)])
        house.dispatch()
        house.clock.forward(days=40)
        seen.clear()
        assert Purge(house.bridge).count()["profile"] == people
        assert Purge(house.bridge).run()["profile"] == people
        return len(seen)

    assert statements(2) == statements(20)


def _noting(work: Any, seen: list[str]) -> Any:
    def noted(self: Sql, *told: Any) -> Any:
        seen.append("statement")
        return work(self, *told)

    return noted


def test_who_has_time_to_answer_the_once_only_question_is_kept(house: House, an: Reader) -> None:
    """AUD-05: a question of ours about something else is open; afterwards she goes."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(days=1200)
    mine = person(house, an.email)
    row = {"hash": b"h", "purpose": "offers", "time": house.clock(), "subject": mine.number, "sent": house.clock()}
    with house.bridge.database.writing() as db:
        db.execute(asked.insert().values(**row, due=house.clock() + DAY))
    assert purges(house) == {}
    with house.bridge.database.writing() as db:
        db.execute(asked.update().values(due=None))
    assert purges(house) == {"evidence": 1}


def test_no_and_nothing_said_are_the_same_to_whom_is_trimmed(house: House, an: Reader) -> None:
    """MIN-06: as an old copy may have it."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    with house.bridge.database.writing() as db:
        db.execute(subjects.update().values(trimmed=False))
    house.clock.forward(days=31)
    assert purges(house) == {"profile": 1}
