"""May she have been mailed then? Answered by what the store knew at that moment, and by nothing that came later.

Issue 5, point 7; GDPR 5(2), 7(1): the controller must be able to show it. R1, R10, R13, RGT-04, SND-01, SND-04, REG-02.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from bridge.acts import Late
from bridge.cli import main
from bridge.links import BadLink
from bridge.store import BadInput
from bridge.store.past import LISTED, LOST, NOBODY, TODAYS_POLICY
from bridge.vocabulary import Answer, Entry, EventType, Evidence, Report, Status, rfc3339
from tests.conftest import Clock, House
from tests.test_complaints import with_limits
from tests.test_store import asks, by_reader, confirm_token, consents, person, withdraws

AN, BRAM, NEW = "an.vandenberg@lezer.example", "bram@lezer.example", "an@nieuw.example"
PURPOSES = ("newsletter", "offers")


def then(house: House, email: str, moment: datetime, purpose: str = "newsletter") -> Answer:
    """The answer for a past moment."""
    return house.store.past.may_mail(email, purpose, moment).answer


def notes(house: House, email: str, moment: datetime) -> tuple[str, ...]:
    """What is to be known when reading it."""
    return house.store.past.may_mail(email, "newsletter", moment).notes


def tells(house: House, email: str, kind: EventType, *, ago: timedelta = timedelta(0), to: str = "") -> None:
    """The ESP tells now what happened a while ago."""
    key = f"{email} {kind} {house.clock()} {ago}"
    house.hear(Report(type=kind, email=email, time=house.clock() - ago, key=key, to=to))


# -- any story, step by step -------------------------------------------------------------------------------------

ACTS = (
    *("asks newsletter", "asks offers", "confirms", "confirms", "consents newsletter", "consents offers"),
    *("stops newsletter", "stops offers", "stops all", "pauses", "resumes", "is restricted", "is free again"),
    *("unsubscribed", "unsubscribed long ago", "complained", "complained long ago", "bounced", "bounced long ago"),
    *("subscribed", "deferred", "deferred", "moves", "moves back", "moves to the other", "is imported"),
)
_lives = itertools.count()


class Life:
    """One reader, who may move between two addresses of her own."""

    def __init__(self, house: House, name: str) -> None:
        self.house, self.home, self.away = house, f"{name}@lezer.example", f"{name}@elders.example"
        self.email = self.home

    def does(self, act: str, other: "Life") -> None:
        """One act; one that needs somebody who is here does nothing before she is."""
        house, here = self.house, self.house.store.person(self.email)
        match act.split():
            case ["asks", purpose]:
                asks(house, self.email, purpose, network=f"{self.email} {house.clock()}")
            case ["is", "imported"]:
                mark = house.store.lists.begin(f"list {next(_lives)}".encode(), b"rules")
                house.store.take_list([_entry(house, self.email)], mark, 1)
            case ["unsubscribed" | "complained" | "bounced" | "subscribed" | "deferred" as word, *late]:
                tells(house, self.email, EventType(word), ago=timedelta(days=40 if late else 0))
            case _ if here is not None:
                self._acts(act, other)

    def _acts(self, act: str, other: "Life") -> None:
        house, here = self.house, person(self.house, self.email)
        kinds = {"resumes": EventType.RESUMED, "is restricted": EventType.RESTRICTED}
        kinds |= {"is free again": EventType.UNRESTRICTED}
        match act.split():
            case ["confirms"]:
                if any(event.evidence.request for event in house.store.story(here)):
                    _confirm(house, self.email)
            case ["consents", purpose]:
                asks(house, self.email, purpose, network=f"{self.email} {house.clock()}")
                house.clock.forward(seconds=3)
                _confirm(house, self.email)
            case ["stops", what]:
                withdraws(house, self.email, "" if what == "all" else what)
            case ["pauses"]:
                until = house.clock() + timedelta(days=20)
                house.store.record([by_reader(house, here, EventType.PAUSED, "", until=until)])
            case ["moves", *where] if where != ["back"]:
                to = other.email if where else self.away
                tells(house, self.email, EventType.MOVED, to=to)
                self.email = self.email if where else self.away
            case ["moves", "back"]:
                tells(house, self.email, EventType.MOVED, to=self.home)
                self.email = self.home
            case _:
                house.store.record([by_reader(house, here, kinds[act], "")])


def _confirm(house: House, email: str) -> None:
    try:
        house.bridge.acts.confirm(confirm_token(house, email))
    except (Late, BadLink, IndexError):
        return


def _entry(house: House, email: str) -> Entry:
    words = house.bridge.notices.wording("newsletter", "nl")
    proof = Evidence(wording=words.sha256, language="nl", document="case 4", detail="paper")
    said = house.clock() - timedelta(days=90)
    return Entry(
        email=email, type=EventType.GIVEN, purpose="newsletter", channel="footer", time=said, notice=1, evidence=proof
    )


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(ACTS), st.sampled_from([1, 1, 3600, 86_400, 40 * 86_400])),
        min_size=4,
        max_size=14,
    )
)
@example([(0, "consents newsletter", 1), (0, "unsubscribed long ago", 1), (0, "consents newsletter", 86_400)])
@example([(0, "consents newsletter", 1), (0, "moves", 1), (0, "confirms", 3600), (0, "moves back", 1)])
@example([(0, "consents offers", 1), (1, "consents offers", 1), (0, "moves to the other", 1), (1, "stops all", 1)])
@example([(0, "consents newsletter", 1), (0, "pauses", 86_400), (0, "resumes", 1), (0, "is restricted", 1)])
@example([(0, "consents newsletter", 1), *[(0, "consents offers", 400 * 86_400)] * 3])
def test_the_answer_of_a_past_moment_is_the_one_that_was_given_then(
    house: House, story: list[tuple[int, str, int]]
) -> None:
    """Issue 5, point 7: live at each step, and asked for that step at the end. Never a yes where a no was given."""
    number = next(_lives)
    lives = Life(house, f"an{number}"), Life(house, f"bram{number}")
    emails = [email for life in lives for email in (life.home, life.away)]
    given_then: list[tuple[datetime, str, str, Answer]] = []
    holders: dict[str, set[str]] = {email: set() for email in emails}
    for who, act, seconds in story:
        lives[who].does(act, lives[1 - who])
        for email, purpose in itertools.product(emails, PURPOSES):
            given_then.append((house.clock(), email, purpose, house.store.may_mail(email, purpose)))
        for email in emails:
            there = house.store.person(email)
            holders[email] |= {there.id} if there else set()
        house.clock.forward(seconds=seconds)
    for moment, email, purpose, live in given_then:
        told = then(house, email, moment, purpose)
        assert live.may or not told.may, (moment, email, purpose, live, told)
        if len(holders[email]) > 1:  # who had it before is known only until somebody else moves to it
            continue
        assert told.may is live.may, (moment, email, purpose, live, told)
        if not any("stop-list" in why for why in (*live.why, *told.why)):
            assert told == live, (moment, email, purpose)


# -- what came later does not count ------------------------------------------------------------------------------


def test_news_that_came_late_was_not_known_before(house: House) -> None:
    """R1: it happened on Monday and was heard on Thursday; on Tuesday nobody could know."""
    consents(house, AN)
    said = house.clock.forward(days=1)
    tuesday = house.clock.forward(days=1)
    house.clock.forward(days=2)
    tells(house, AN, EventType.UNSUBSCRIBED, ago=house.clock() - said)
    assert then(house, AN, tuesday).may
    assert not then(house, AN, house.clock()).may
    assert then(house, AN, house.clock()).why[0].startswith(f"unsubscribed {rfc3339(said)}")


def test_news_that_was_parked_counts_from_when_it_was_written_and_her_own_stop_from_her_click(house: House) -> None:
    """Decision 21: an ESP's news is known when it is in the store; a click was taken by us when it was made."""
    an, bram = consents(house, AN), consents(house, BRAM)
    report = Report(type=EventType.UNSUBSCRIBED, email=AN, time=house.clock(), key="parked")
    clicked = house.clock.forward(seconds=2)
    news = house.store.news("memory", [report])
    parked = by_reader(house, bram, EventType.WITHDRAWN)
    between = house.clock.forward(minutes=30)
    house.clock.forward(minutes=30)
    house.store.take_in("memory", news)
    house.store.stop(bram.id, bram.mark, lambda _person: parked)
    assert then(house, AN, between).may
    assert not then(house, BRAM, between).may
    assert not then(house, BRAM, clicked).may
    assert then(house, BRAM, clicked - timedelta(seconds=1)).may
    assert an.id != bram.id


def test_a_clock_that_was_set_back_makes_no_stop_uncertain(house: House) -> None:
    """SND-01: what is in the store counts now, also where it seems to come from the future."""
    consents(house, AN)
    house.clock.forward(hours=-2)
    withdraws(house, AN)
    assert not house.store.may_mail(AN, "newsletter").may


# -- what ran then -----------------------------------------------------------------------------------------------


def test_a_pause_counts_while_it_ran(house: House) -> None:
    """A pause is over by itself; then it was not."""
    an = consents(house, AN)
    before = house.clock()
    house.clock.forward(minutes=1)
    until = house.clock() + timedelta(days=10)
    house.store.record([by_reader(house, an, EventType.PAUSED, "", until=until)])
    within = house.clock.forward(days=9)
    after = house.clock.forward(days=2)
    house.clock.forward(days=30)
    assert [then(house, AN, moment).may for moment in (before, within, after)] == [True, False, True]
    assert then(house, AN, within).why == (f"paused until {rfc3339(until)} by the reader",)


def test_age_is_counted_to_that_moment(house: House) -> None:
    """R10: a yes of 36 months ago has expired today, and had not a day before."""
    consents(house, AN)
    given_at = house.clock() - timedelta(minutes=1)
    age = house.bridge.policy.limits_.consent_max_age.time
    house.clock.now = given_at + age + timedelta(days=400)
    assert then(house, AN, given_at + age - timedelta(seconds=1)).may
    assert not then(house, AN, given_at + age).may
    assert then(house, AN, given_at + age).status is Status.GIVEN


def test_contracts_are_those_of_todays_policy_on_that_day(make_house: Callable[..., House], database_url: str) -> None:
    """REG-02: the day decides; which contracts there were is read from the policy of today, and that is said."""
    house = make_house(database_url)
    policy = Path(house.environment["BRIDGE_POLICY"])
    consents(house, AN)
    then_on = house.clock()
    text = policy.read_text("utf-8")
    policy.write_text(text.replace("contract = 2026-01-05", "contract = 2026-11-25"), "utf-8")
    del house.bridge.policy
    house.bridge._limits = None
    house.clock.forward(days=4)
    assert house.store.may_mail(AN, "newsletter").may
    told = then(house, AN, then_on)
    assert told.why == ("the contract with memory starts only on 2026-11-25 (REG-02)",)
    assert TODAYS_POLICY in notes(house, AN, then_on)


# -- complaints as of then (SND-04) ------------------------------------------------------------------------------


@pytest.fixture
def crowd(house: House) -> list[str]:
    """Eight readers; complaints of one in twenty stop a purpose, from two on."""
    policy = Path(house.environment["BRIDGE_POLICY"])
    policy.write_text(with_limits(policy, "complaint_warn = 1\ncomplaint_stop = 5\ncomplaint_least = 2"), "utf-8")
    del house.bridge.policy
    house.bridge._limits = None
    emails = [f"reader{number}@lezer.example" for number in range(8)]
    for email in emails:
        consents(house, email)
    house.clock.forward(minutes=20)
    return emails


def test_a_purpose_was_held_from_the_complaint_that_was_too_many(house: House, crowd: list[str]) -> None:
    """SND-04: not before it was heard, and until a whole day was better; for readers as many as there were then."""
    asked: list[tuple[datetime, Answer]] = []

    def ask() -> None:
        house.store.complaints._readers.clear()
        asked.append((house.clock(), house.store.may_mail(crowd[7], "newsletter")))
        house.clock.forward(minutes=20)

    ask()
    tells(house, crowd[0], EventType.COMPLAINED)
    ask()
    tells(house, crowd[1], EventType.COMPLAINED)
    ask()
    for _ in range(3):
        house.clock.forward(days=1)
        ask()
    for number in range(45):
        consents(house, f"later{number}@lezer.example")  # many more readers now than then
    tells(house, crowd[2], EventType.COMPLAINED, ago=house.clock() - asked[0][0])  # of that day, and heard only now
    assert [answer.may for _, answer in asked] == [True, True, False, False, True, True]
    assert [then(house, crowd[7], moment) for moment, _ in asked] == [answer for _, answer in asked]


def test_who_complained_and_was_erased_since_is_counted_all_the_same(house: House, crowd: list[str]) -> None:
    """SND-04, RGT-04: nothing is known of them any more but that they were; unknown means held."""
    for email in crowd[:2]:
        tells(house, email, EventType.COMPLAINED)
    held = house.clock()
    house.clock.forward(days=5)
    for email in crowd[:2]:
        house.store.erase_person(email)
    assert not then(house, crowd[7], held).may


# -- the stop list, moves and erasure ----------------------------------------------------------------------------


def test_a_no_of_nobody_here_counts_from_when_it_was_said(house: House) -> None:
    """SUP-01: the list keeps that moment alone. It is a no before it was heard too, and that is said."""
    said = house.clock()
    house.clock.forward(days=5)
    tells(house, BRAM, EventType.UNSUBSCRIBED, ago=house.clock() - said)
    told = then(house, BRAM, said + timedelta(days=1))
    assert (told.may, told.status) == (False, Status.WITHDRAWN)
    assert LISTED in notes(house, BRAM, said + timedelta(days=1))
    assert then(house, BRAM, said - timedelta(days=1)).status is Status.UNKNOWN
    assert LISTED not in notes(house, BRAM, said - timedelta(days=1))


def test_an_address_is_hers_until_she_moved_and_the_new_one_since(house: House) -> None:
    """R13: the old address is asked about the time before, the new one about the time after; never the other way."""
    consents(house, AN)
    before = house.clock()
    house.clock.forward(days=1)
    tells(house, AN, EventType.MOVED, to=NEW)
    moved = house.clock()
    house.clock.forward(minutes=1)
    house.bridge.acts.confirm(confirm_token(house, NEW))
    after = house.clock.forward(days=1)
    house.clock.forward(days=1)
    assert [then(house, AN, moment).may for moment in (before, moved, after)] == [True, False, False]
    assert [then(house, NEW, moment).may for moment in (before, moved, after)] == [False, False, True]
    assert NOBODY in notes(house, NEW, before)
    assert NOBODY not in notes(house, AN, before)
    withdraws(house, NEW)
    assert then(house, AN, before).may, "what she says at her new address is said now"


def test_a_move_of_which_nobody_noted_the_address_makes_it_a_no(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail closed: moves written by earlier versions do not say which address was left."""
    consents(house, AN)
    before = house.clock()
    house.clock.forward(days=1)
    monkeypatch.setattr("bridge.store.moving._leaving", lambda event, _mark: event)
    tells(house, AN, EventType.MOVED, to=NEW)
    house.clock.forward(days=1)
    for email in (AN, NEW):
        assert then(house, email, before).why == (LOST,)
        assert not then(house, email, before).may


def test_of_whoever_was_erased_nothing_can_be_said(house: House) -> None:
    """RGT-04: not yes, and not that there was no yes either; also when she is here again."""
    consents(house, AN)
    before = house.clock()
    house.clock.forward(days=1)
    house.store.erase_person(AN)
    erased = house.clock()
    house.clock.forward(days=1)
    told = then(house, AN, before)
    assert (told.may, told.status) == (False, Status.UNKNOWN)
    assert told.why[0].startswith(f"erased {rfc3339(erased)}: what was known before is destroyed")
    assert NOBODY in notes(house, AN, before)
    assert then(house, AN, erased).why == house.store.may_mail(AN, "newsletter").why
    house.clock.forward(days=40)
    consents(house, AN)
    assert house.store.may_mail(AN, "newsletter").may
    assert not then(house, AN, before).may
    assert NOBODY in notes(house, AN, before)


# -- the moment itself -------------------------------------------------------------------------------------------


def test_a_moment_to_come_is_refused(house: House) -> None:
    """Nobody knows what will be; the second we are in is not over."""
    consents(house, AN)
    now = house.clock.now = house.clock().replace(microsecond=400_000)
    assert then(house, AN, now.replace(microsecond=999_999)).may
    with pytest.raises(BadInput, match="still to come"):
        then(house, AN, now + timedelta(seconds=1))
    with pytest.raises(BadInput, match="zone"):
        then(house, AN, now.replace(tzinfo=None))


@pytest.fixture
def ask(home: House, clock: Clock) -> Iterator[Callable[..., Result]]:
    """Type `may-mail --at`; An said yes at 10:04:57.4 UTC, five hours ago."""
    day = (datetime.now(UTC) - timedelta(days=2)).replace(hour=10, minute=2, second=0, microsecond=0)
    clock.now = day
    asks(home, AN)
    clock.now = day.replace(minute=4, second=57, microsecond=400_000)
    home.bridge.acts.confirm(confirm_token(home, AN))

    def typed(at: str) -> Result:
        moment = at.replace("DAY", f"{day:%Y-%m-%d}").replace("NEXT", f"{day + timedelta(days=1):%Y-%m-%d}")
        words = ("may-mail", AN, "newsletter", "--json", "--at", moment)
        return CliRunner().invoke(main, words, env=home.environment)

    return typed  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("at", "may"),
    [
        ("DAYT10:04:56Z", False),
        ("DAYT10:04:57Z", True),  # what was told within that second counts
        ("DAYT10:04:57.3Z", False),
        ("DAYT10:04:57.4Z", True),
        ("DAYT10:04:57", True),  # no zone: UTC
        ("DAYT10:04:56", False),
        ("DAYT11:04:57+01:00", True),
        ("DAYT11:04:56+01:00", False),
        ("DAYT10:04:57+01:00", False),
        ("DAY 05:04:57-05:00", True),
        ("DAY", False),
        ("NEXT", True),
    ],
)
def test_moments_are_read_as_they_are_written(ask: Callable[[str], Result], at: str, may: bool) -> None:
    """Interface section 5: times are UTC; an offset is taken for what it says; whole seconds mean the whole second."""
    result = ask(at)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["may"] is may
    assert told["at"].endswith("Z")
    assert TODAYS_POLICY in told["notes"]


@pytest.mark.parametrize("at", ["yesterday", "10:04", "2026-13-01T00:00:00Z", "2026-11-23T10:04:57+99:00", ""])
def test_what_is_no_moment_is_a_wrong_call(ask: Callable[[str], Result], at: str) -> None:
    """Exit 2, with one that would do."""
    result = ask(at)
    assert result.exit_code == 2
    assert "2026-11-23T10:04:57Z" in result.stderr


def test_a_moment_to_come_is_named_as_such(ask: Callable[[str], Result]) -> None:
    """Exit 1, in words."""
    result = ask("2199-01-01T00:00:00Z")
    assert result.exit_code == 1
    assert "still to come" in result.stderr
