"""Contacts without proof are asked one single time, ever: whoever is silent is let go, and a yes is a whole proof.

AUD-03, AUD-04, AUD-05, R8, R11, R16, SND-05; peers' pain 25.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as listen_event
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from adapters.memory import Person as There
from bridge import evidence, mailer
from bridge.cli.main import main
from bridge.decide import (
    Contact,
    Ending,
    Unaskable,
    Wave,
    after_the_question,
    grade,
    may_ask,
    may_ask_once_more,
    missing_evidence,
    must_stop,
    proof,
)
from bridge.jobs import repermission
from bridge.jobs.dispatch import Dispatcher
from bridge.jobs.doctor import campaigns as doctor
from bridge.mailer import Promotes, check_natures
from bridge.policy import Policy
from bridge.store import BadInput
from bridge.store.campaigns import Campaign, State, WaveNow
from bridge.store.door import Batch
from bridge.store.funnel import Funnel
from bridge.tables import asked, erase_work, outbox, stop_list, subjects
from bridge.testimony import document
from bridge.texts import TEMPLATES
from bridge.vocabulary import (
    EVERY_PURPOSE,
    NATURES,
    PREFERENCES,
    Asking,
    ConsentEvent,
    EventType,
    Limits,
    MailKind,
    Method,
    Nature,
    Status,
)
from tests.conftest import BASE_URL, House, Reader
from tests.test_backup import Copies, fresh  # noqa: F401  (`fresh` is a fixture)
from tests.test_import import HEADER, Lists
from tests.test_rotate import Shop
from tests.test_store import disguises, stored

T, S = EventType, Status

POLICY = """
[repermission]
allowed = true
approver = "Carla Janssens"
reason = "the list of 2024, whose forms kept no wording"
countries = ["BE", "NL"]
waves = [2, 3]

[[fields]]
id = "country"
label.nl = "Land"
label.en = "Country"
purposes = ["newsletter"]
need = "to ask nobody whose country forbids it"
choices = ["BE", "NL", "DE"]
"""
AN, BRAM, CARLA, DIRK, EMMA, FRED, GIJS = (
    f"{name}@lezer.example" for name in ("an.vandenberg", "bram", "carla", "dirk", "emma", "fred", "gijs")
)


class Desk:
    """Carla's desk: lists come in, and whoever has no proof is asked once more."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.lists = house, Lists(house, folder)
        self.book = house.store.campaigns

    def takes_in(self, *emails: str, **row: str) -> None:
        """Contacts from an old list, whose wording nobody knows."""
        rows = [{"email": email, "notice": "", "language": "", **row} for email in emails]
        found = self.lists.take(self.lists.write(*rows, header=(*HEADER, "country")))
        assert found.imported == len(emails)

    def plans(self, purpose: str = "newsletter") -> Campaign:
        """Write a campaign down."""
        campaign = repermission.plan(self.house.bridge, purpose)[1]
        assert campaign is not None
        return campaign

    def not_asked(self, purpose: str = "newsletter") -> dict[str, int]:
        """Who may not be asked, by reason."""
        return dict(repermission.plan(self.house.bridge, purpose)[0].not_asked)

    def asks(self, purpose: str = "newsletter") -> Campaign:
        """Plan, start, and let the first wave leave."""
        campaign = self.plans(purpose)
        self.book.start(campaign)
        self.house.dispatch()
        return campaign

    def now(self, campaign: Campaign) -> Campaign:
        """The campaign as it stands."""
        found = self.book.find(campaign.id)
        assert found is not None
        return found

    def a_day_goes_by(self, times: int = 1) -> None:
        """With the dispatcher at work before and after."""
        for _ in range(times):
            self.house.dispatch()
            self.house.clock.forward(days=1, seconds=1)
            self.house.dispatch()

    def a_month_goes_by(self) -> None:
        """Long enough for every answer: three days, and then the rest."""
        self.a_day_goes_by(3)
        self.house.clock.forward(days=31)
        self.a_day_goes_by()

    def funnel(self, campaign: Campaign) -> dict[str, int]:
        """What became of everybody so far; nobody is lost and nobody counts twice."""
        waves = self.book.waves(campaign.id)
        for wave in waves:
            told = {name: getattr(wave.funnel, name) for name in Funnel.__struct_fields__}
            assert told.pop("asked") == sum(told.values())
        names = Funnel.__struct_fields__
        return {name: n for name in names if (n := sum(getattr(wave.funnel, name) for wave in waves))}

    def rows(self) -> list[Any]:
        """What says who was asked."""
        with self.house.bridge.database.reading() as db:
            return list(db.execute(select(asked).order_by(asked.c.time)))

    def mails(self, *emails: str) -> list[EmailMessage]:
        """The questions in these mailboxes, or in all."""
        found = [m for m in self.house.mailbox.messages if "houden? We vragen" in str(m["Subject"])]
        return [m for m in found if not emails or str(m["To"]) in emails]

    def link(self, email: str, path: str = "/question/") -> str:
        """A link of the question in her mailbox, without the host."""
        (mail,) = self.mails(email)
        body = mail.get_body(("plain",))
        assert body is not None
        (word,) = [word for word in body.get_content().split() if word.startswith(BASE_URL + path)]
        return str(word.removeprefix(BASE_URL))

    def yes(self, email: str) -> Any:
        """Press the button behind the link for yes."""
        return self.house.client.post(self.link(email))

    def no(self, email: str) -> Any:
        """Press the button behind the link for no."""
        return self.house.client.post(self.link(email, "/u/"), data={"scope": "list"})

    def story(self, email: str) -> list[ConsentEvent]:
        """What happened to her."""
        person = self.house.store.person(email)
        assert person is not None
        return self.house.store.story(person)

    def status(self, email: str, purpose: str = "newsletter") -> Status:
        """Where she stands."""
        return self.house.store.may_mail(email, purpose).status


@pytest.fixture
def allowing(policy_folder: Path) -> Path:
    """A policy that allows the question."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text(encoding="utf-8") + POLICY, encoding="utf-8")
    return file


@pytest.fixture
def desk(allowing: Path, house: House, tmp_path: Path) -> Desk:
    """On SQLite and on PostgreSQL."""
    return Desk(house, tmp_path)


@pytest.fixture
def local(allowing: Path, home: House, tmp_path: Path) -> Desk:
    """On SQLite, for what does not depend on the database."""
    return Desk(home, tmp_path)


# -- off by default ----------------------------------------------------------------------------------------------


def typed(house: House, *words: str, **settings_: str) -> Result:
    """A command at this house; its logging is its own."""
    handlers = logging.getLogger().handlers[:]
    try:
        return CliRunner().invoke(main, ["repermission", *words], env={**house.environment, **settings_})
    finally:
        logging.getLogger().handlers[:] = handlers


def test_it_is_off_by_default(home: House) -> None:
    """AUD-03: without approver, reason and countries the commands refuse, and the rule refuses everybody."""
    for words in (["plan", "newsletter"], ["start", "--yes"]):
        refused = typed(home, *words)
        assert refused.exit_code == 1
        assert "AUD-03" in refused.output
        assert "Traceback" not in refused.output
    assert home.bridge.limits(home.clock()).asking is None
    with pytest.raises(BadInput, match="AUD-03"):
        repermission.plan(home.bridge, "newsletter")


def test_where_the_policy_asks_another_person_begins_it(
    allowing: Path, make_house: Callable[..., House], sqlite_url: str, tmp_path: Path
) -> None:
    """Decision 36, ORG-02: the first call notes what waits; another operator's word begins it, once."""
    allowing.write_text('second_approver = ["repermission"]\n' + allowing.read_text(encoding="utf-8"), encoding="utf-8")
    desk = Desk(make_house(sqlite_url), tmp_path)
    desk.takes_in(AN)
    campaign = desk.plans()
    asked_ = typed(desk.house, "start", "--yes", BRIDGE_OPERATOR="carla")
    assert (asked_.exit_code, "second person" in asked_.output) == (0, True), asked_.output
    assert desk.now(campaign).state is State.PLANNED
    id_ = asked_.output.split()[-1]
    environment = {**desk.house.environment, "BRIDGE_OPERATOR": "carla"}
    for operator, code, state in (("carla", 1, State.PLANNED), ("dora", 0, State.RUNNING), ("dora", 1, State.RUNNING)):
        done = CliRunner().invoke(main, ["approve", id_], env={**environment, "BRIDGE_OPERATOR": operator})
        assert (done.exit_code, desk.now(campaign).state) == (code, state), done.output


# -- the rule ----------------------------------------------------------------------------------------------------

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NOW = START + timedelta(days=20)
LIMITS = Limits(
    notice_since={"newsletter": 1, "offers": 1},
    channels=frozenset({"footer", "bought"}),
    bought=frozenset({"bought"}),
    asking=Asking(home="BE", countries=frozenset({"BE", "NL"})),
)
GAPS = frozenset({"notice", "language"})

_ROADS = {
    T.IMPORTED: ("operator", Method.IMPORT),
    T.ENROLLED: ("operator", Method.IMPORT),
    T.REQUESTED: ("reader", Method.FORM),
    T.GIVEN: ("reader", Method.CONFIRM_PAGE),
    T.MOVED: ("mailchimp", Method.WEBHOOK),
    T.EXPIRED: ("system", Method.CLOCK),
}


def told(kind: EventType, day: float = 1, purpose: str = "newsletter", **more: Any) -> ConsentEvent:
    """Something that happened so many days after the beginning."""
    source, method = _ROADS.get(kind, ("reader", Method.FORM))
    time = START + timedelta(days=day)
    about = {"asked": time, "channel": "footer", "notice": 1, **more}
    return ConsentEvent(
        type=kind,
        subject="s",
        time=time,
        received=time,
        source=source,
        method=method,
        key=f"{kind}{day}",
        purpose=purpose,
        **about,
    )


IMPORTED = told(T.IMPORTED, 0)

#: One thing that is against her, and the reason it must be refused for.
AGAINST: dict[str, tuple[list[ConsentEvent], Unaskable]] = {
    "withdrew": ([told(T.WITHDRAWN)], Unaskable.NO),
    "withdrew from all": ([told(T.WITHDRAWN, purpose=EVERY_PURPOSE)], Unaskable.NO),
    "refused": ([told(T.REFUSED)], Unaskable.NO),
    "left there": ([told(T.UNSUBSCRIBED)], Unaskable.NO),
    "revoked": ([told(T.REVOKED)], Unaskable.NO),
    "invalidated": ([told(T.INVALIDATED)], Unaskable.NO),
    "withdrew, then requested": ([told(T.WITHDRAWN), told(T.REQUESTED, 19)], Unaskable.NO),
    "withdrew, then requested long ago": ([told(T.WITHDRAWN), told(T.REQUESTED, 2)], Unaskable.NO),
    "a no, then too old": ([told(T.WITHDRAWN), told(T.EXPIRED, 2)], Unaskable.NO),
    "objected": ([told(T.OBJECTED, purpose="offers")], Unaskable.OBJECTED),
    "complained": ([told(T.COMPLAINED, purpose="offers")], Unaskable.OBJECTED),
    "erased": ([told(T.ERASED, purpose=EVERY_PURPOSE)], Unaskable.ERASED),
    "dead": ([told(T.BOUNCED, purpose=EVERY_PURPOSE)], Unaskable.DEAD),
    "expired": ([told(T.EXPIRED)], Unaskable.EXPIRED),
    "restricted": ([told(T.RESTRICTED, purpose=EVERY_PURPOSE)], Unaskable.RESTRICTED),
    "a child": ([told(T.CHILD_DECLARED, purpose=EVERY_PURPOSE)], Unaskable.CHILD),
    "a child with a guardian": (
        [told(T.CHILD_DECLARED, purpose=EVERY_PURPOSE), told(T.GUARDIAN_CONFIRMED, 2, EVERY_PURPOSE)],
        Unaskable.CHILD,
    ),
    "moved": ([told(T.MOVED, purpose=EVERY_PURPOSE)], Unaskable.MOVED),
    "paused": ([told(T.PAUSED, purpose=EVERY_PURPOSE, until=NOW + timedelta(days=1))], Unaskable.PAUSED),
    "bought": ([told(T.IMPORTED, channel="bought")], Unaskable.BOUGHT),
    "bought for something else": ([told(T.IMPORTED, purpose="offers", channel="bought")], Unaskable.BOUGHT),
    "from a place nobody knows any more": ([told(T.IMPORTED, channel="gone")], Unaskable.BOUGHT),
    "for something else from such a place": ([told(T.IMPORTED, purpose="offers", channel=None)], Unaskable.BOUGHT),
    "asked herself": ([told(T.REQUESTED)], Unaskable.REQUESTED),
    "said yes": ([told(T.GIVEN)], Unaskable.YES),
    "a customer": ([told(T.ENROLLED)], Unaskable.YES),
    "said yes long ago": ([told(T.GIVEN, -1100)], Unaskable.EXPIRED),
}
#: What is known of her besides, and the reason.
ABOUT: dict[str, tuple[Contact, Unaskable]] = {
    "asked before": (Contact(GAPS, asked=True), Unaskable.ASKED),
    "no list named her": (Contact(None, asked=False), Unaskable.NOTHING),
    "nothing proves anything": (
        Contact(frozenset({"time", "notice", "source_document"}), asked=False),
        Unaskable.NOTHING,
    ),
    "the list says no yes": (Contact(frozenset({"status"}), asked=False), Unaskable.NOTHING),
    "bought before": (Contact(GAPS, asked=False, bought=frozenset({"footer"})), Unaskable.BOUGHT),
    "another country": (Contact(GAPS, "DE", asked=False), Unaskable.COUNTRY),
    "no country at all": (Contact(GAPS, "BELGIUM", asked=False), Unaskable.COUNTRY),
}
FINE = Contact(GAPS, asked=False)


def reasons(history: list[ConsentEvent], contact: Contact = FINE, limits: Limits = LIMITS) -> set[str]:
    """Why she may not be asked; nothing where she may."""
    answer = may_ask_once_more(history, "newsletter", contact, NOW, limits)
    return set() if answer.may else set(answer.why)


def test_a_contact_whose_proof_is_incomplete_may_be_asked() -> None:
    """AUD-03, AUD-04: nothing stands against her, here or in the countries that allow it."""
    assert reasons([IMPORTED]) == set()
    assert reasons([IMPORTED], Contact(GAPS, "NL", asked=False)) == set()
    assert reasons([told(T.IMPORTED, 0, channel=PREFERENCES)]) == set(), "a channel that is always there"
    assert reasons([IMPORTED, told(T.WITHDRAWN, purpose="offers")]) == set(), "a no to something else is none to this"
    assert reasons([IMPORTED, told(T.PAUSED, purpose=EVERY_PURPOSE, until=NOW)]) == set()


@pytest.mark.parametrize("what", AGAINST)
def test_each_thing_against_her_is_enough(what: str) -> None:
    """AUD-04, R6, R8, R16: with a reason that is counted, and whatever is fine about her."""
    more, reason = AGAINST[what]
    answer = may_ask_once_more([IMPORTED, *more], "newsletter", FINE, NOW, LIMITS)
    assert not answer.may
    assert answer.why[0] == reason


@pytest.mark.parametrize("what", ABOUT)
def test_each_thing_known_of_her_is_enough(what: str) -> None:
    """AUD-03, AUD-04, R11."""
    contact, reason = ABOUT[what]
    assert reasons([IMPORTED], contact) == {reason}


def test_what_the_policy_closes_is_closed() -> None:
    """AUD-03, REG-02: off, an unknown purpose, a purpose for which nobody may be mailed."""
    off = {"asking": None}
    for change in (off, {"closed": {"newsletter": "no contract"}}, {"notice_since": {"offers": 1}}):
        limits = Limits(**{**{name: getattr(LIMITS, name) for name in Limits.__struct_fields__}, **change})
        found = reasons([IMPORTED], limits=limits)
        assert (Unaskable.OFF if change is off else Unaskable.CLOSED) in found


def test_what_was_said_too_long_ago_is_not_asked_about() -> None:
    """AUD-04, R10: a consent that would have expired by age, had it been proven; to the second."""
    age = LIMITS.consent_max_age
    for seconds, old in ((-1, False), (0, True)):
        said = (NOW - age) - timedelta(seconds=seconds) - START
        history = [told(T.IMPORTED, said.total_seconds() / 86_400)]
        assert (reasons(history) == {Unaskable.EXPIRED}) is old


@given(
    st.lists(st.sampled_from(sorted(AGAINST)), max_size=3, unique=True),
    st.none() | st.sampled_from(sorted(ABOUT)),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_nothing_makes_up_for_anything(against: list[str], about: str | None, shuffle: Any) -> None:
    """AUD-04, R1, R11, R16: over all combinations and orders: she is asked only where nothing at all is against it,
    her proof is incomplete, and we might ask her anything."""
    history = [IMPORTED, *(event for what in against for event in AGAINST[what][0])]
    shuffle.shuffle(history)
    contact = ABOUT[about][0] if about else FINE
    answer = may_ask_once_more([*history, *history[:2]], "newsletter", contact, NOW, LIMITS)
    assert answer.why
    if answer.may:
        assert not against
        assert about is None
        assert may_ask(history, "newsletter", NOW, LIMITS).may
        assert grade(proof(history, "newsletter", contact.gaps), "newsletter", NOW, LIMITS).grade == "incomplete"
    else:
        assert against or about


def test_what_becomes_of_her_when_her_time_is_over() -> None:
    """AUD-05: a yes keeps her, another one keeps her for that, nothing else does; who is restricted is not touched."""
    yes_to_offers = told(T.GIVEN, 1, "offers")
    fresh_request = told(T.REQUESTED, 19)
    for history, others, ending in (
        ([IMPORTED], False, Ending.REMOVE),
        ([IMPORTED], True, Ending.END),
        ([IMPORTED, told(T.GIVEN)], False, Ending.KEEP),
        ([IMPORTED, told(T.ENROLLED)], False, Ending.KEEP),
        ([IMPORTED, told(T.GIVEN), told(T.WITHDRAWN, 2)], False, Ending.REMOVE),
        ([IMPORTED, told(T.REFUSED)], False, Ending.REMOVE),
        ([IMPORTED, told(T.BOUNCED, purpose=EVERY_PURPOSE)], False, Ending.REMOVE),
        ([IMPORTED, yes_to_offers], False, Ending.END),
        ([IMPORTED, yes_to_offers, told(T.WITHDRAWN, 2, EVERY_PURPOSE)], False, Ending.REMOVE),
        ([IMPORTED, told(T.IMPORTED, 0, "offers")], False, Ending.REMOVE),
        ([IMPORTED, told(T.RESTRICTED, purpose=EVERY_PURPOSE)], False, Ending.WAIT),
        ([IMPORTED, told(T.REQUESTED, 1)], False, Ending.REMOVE),
        ([IMPORTED, fresh_request], False, Ending.WAIT),
        ([IMPORTED, told(T.REQUESTED, 19, "offers")], False, Ending.WAIT),
    ):
        assert after_the_question(history, "newsletter", others, NOW, LIMITS) is ending, history[1:]


def test_a_campaign_stops_at_two_percent_or_one_complaint() -> None:
    """AUD-03, pain 25: over every number: bounces from two percent of a wave on, and any complaint."""
    for size, bounced, complained in product((7, 50, 100, 250), range(6), (0, 1, 2)):
        why = must_stop([Wave(100, 1, 0), Wave(size, bounced, complained)], 2.0)
        assert bool(why) is (complained > 0 or (bounced > 0 and bounced >= 0.02 * size)), (size, bounced, complained)
        assert not why or "wave 2" in why


@pytest.mark.parametrize(
    ("size", "left", "waits", "bounced", "watched", "stops"),
    [
        (250, 60, 0, 2, True, True),  # the last wave: fewer were left than it was planned for
        (100, 100, 0, 1, True, False),
        (100, 100, 0, 2, True, True),
        (250, 60, 40, 2, False, True),  # it is being asked
        (250, 60, 60, 2, False, False),
        (250, 60, 60, 2, True, True),  # what never left bounced nowhere
    ],
)
def test_dead_addresses_are_a_share_of_who_was_asked(
    size: int, left: int, waits: int, bounced: int, watched: bool, stops: bool
) -> None:
    """AUD-03, pain 25: not of how many a wave was planned for."""
    funnel = Funnel(asked=left + waits, unsent=waits, bounced=bounced, silent=left - bounced)
    wave = WaveNow(wave=1, size=size, begun=NOW, watched=NOW if watched else None, funnel=funnel)
    assert bool(must_stop([wave.counts], 2.0)) is stops


# -- whom it may be ----------------------------------------------------------------------------------------------


def test_a_plan_counts_who_may_be_asked_and_who_not_and_why(desk: Desk) -> None:
    """AUD-03, AUD-04: counts only; planned once more the old plan is forgotten; nothing is sent and nobody noted."""
    house = desk.house
    desk.takes_in(AN, BRAM, CARLA, DIRK)
    desk.takes_in(EMMA, time="2021-05-31 14:05:00")
    desk.takes_in(FRED, country="DE")
    desk.takes_in(GIJS, time="", source_document="")
    house.hear(Reader(house, BRAM).told_by_esp(T.COMPLAINED), Reader(house, CARLA).told_by_esp(T.BOUNCED))
    Reader(house, DIRK).has_consented()

    found, campaign = repermission.plan(house.bridge, "newsletter")

    assert found.eligible == 1
    assert found.not_asked == {
        Unaskable.OBJECTED: 1,
        Unaskable.DEAD: 1,
        Unaskable.YES: 1,
        Unaskable.EXPIRED: 1,
        Unaskable.COUNTRY: 1,
        Unaskable.NOTHING: 1,
    }
    assert campaign is not None
    assert (campaign.state, campaign.eligible, campaign.approver) == (State.PLANNED, 1, "Carla Janssens")
    again = desk.plans()
    assert [each.id for each in desk.book.all()] == [again.id]
    house.clock.forward(days=2)
    house.dispatch()
    assert desk.mails() == []
    assert desk.rows() == []
    assert repermission.plan(house.bridge, "offers")[1] is None


def test_a_bought_list_is_never_asked(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUD-04, CHN-04: whatever channel the policy names as somebody else's list."""
    monkeypatch.setattr(Policy, "third_parties", property(lambda _policy: ("footer",)), raising=False)
    local.takes_in(AN)
    assert local.not_asked() == {Unaskable.BOUGHT: 1}


@pytest.mark.parametrize("gone", ["before the plan", "before the wave", "before the mail"])
def test_a_bought_list_is_never_asked_whatever_the_policy_says_today(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """AUD-04, CHN-04, AUD-01: that a list was bought outlives the policy, at every step that leads to a mail; it is
    known as soon as another program has taken the list in."""
    bridge, channel = desk.house.bridge, next(iter(desk.house.bridge.policy.channels))
    if gone == "before the plan":
        with monkeypatch.context() as then:
            then.setattr(Policy, "third_parties", property(lambda _policy: (channel,)))
            bridge._limits = None
            desk.takes_in(AN)
        bridge._limits = None
        assert desk.not_asked() == {Unaskable.BOUGHT: 1}
        return
    desk.takes_in(AN)
    campaign = desk.plans()
    desk.book.start(campaign)
    if gone == "before the mail":
        repermission.Asker(bridge).look()
        assert len(desk.rows()) == 1
    bridge.store.note_third_parties([channel])
    desk.house.dispatch()
    assert desk.mails() == []


def test_who_came_in_after_the_plan_was_not_planned_for(desk: Desk) -> None:
    """AUD-03: the approver said yes to so many people."""
    desk.takes_in(AN)
    campaign = desk.plans()
    desk.takes_in(BRAM)
    desk.book.start(campaign)
    desk.a_day_goes_by(3)
    assert [str(mail["To"]) for mail in desk.mails()] == [AN]
    assert desk.now(campaign).state is State.ASKED


# -- the mail ----------------------------------------------------------------------------------------------------


def test_the_mail_asks_and_promotes_nothing(local: Desk) -> None:
    """AUD-03, SND-02, WDR-02, SND-05: who asks, why her, what for, how often; a yes, a no, the statement, a day."""
    local.takes_in(AN)
    local.takes_in(BRAM, language="en", notice="")
    local.asks()
    (dutch,), (english,) = local.mails(AN), local.house.mailbox.to(BRAM)
    for mail, words in ((dutch, ("Nieuwsbrief", "elke werkdag")), (english, ("Newsletter", "every working day"))):
        text = " ".join(str(mail.get_body(("plain",)).get_content()).split())  # type: ignore[union-attr]
        for word in (*words, "De Dagwijzer NV", f"{BASE_URL}/privacy", f"{BASE_URL}/question/", f"{BASE_URL}/u/"):
            assert word in text
        assert "List-Unsubscribe=One-Click" in str(mail["List-Unsubscribe-Post"])
        assert f"<{BASE_URL}/u/" in str(mail["List-Unsubscribe"])
        assert mail["Auto-Submitted"] == "auto-generated"
    assert "het formulier onderaan onze website" in " ".join(dutch.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert "the form at the foot of our website" in " ".join(english.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert "22 december 2026" in " ".join(dutch.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert AN not in local.link(AN)


def test_opening_answers_nothing(desk: Desk) -> None:
    """AUD-05, CON-05, WDR-05: scanners open every link, often; nothing is written by it."""
    desk.takes_in(AN)
    desk.asks()
    before = desk.house.store.last_written()
    for path in (desk.link(AN), desk.link(AN, "/u/")):
        for _ in range(3):
            assert desk.house.client.get(path).status_code == 200
            assert desk.house.client.head(path).status_code == 200
    page = desk.house.client.get(desk.link(AN)).get_data(as_text=True)
    assert page.count("<button") == 2
    assert AN not in page
    assert desk.house.store.last_written() == before
    assert desk.status(AN) is S.UNKNOWN


# -- yes ---------------------------------------------------------------------------------------------------------


def test_a_yes_is_a_whole_proof_that_names_the_campaign(desk: Desk) -> None:
    """AUD-05, CON-02, CAP-05: her own act from her mailbox, with words, language, mail, link and campaign; mailable at
    once, told to the ESP, and told to whoever asks for evidence."""
    house = desk.house
    desk.takes_in(AN)
    campaign = desk.asks()
    house.clock.forward(hours=2)

    assert desk.yes(AN).status_code == 200

    given = desk.story(AN)[-1]
    assert (given.type, given.method, given.source) == (T.GIVEN, Method.CONFIRM_PAGE, "reader")
    assert given.asked == house.clock() - timedelta(hours=2)
    assert missing_evidence(given) == []
    assert (given.evidence.request, given.evidence.language) == (campaign.id, "nl")
    assert (given.channel, given.notice) == ("footer", 1)
    assert given.evidence.template == mailer.template_hash(MailKind.REPERMISSION)
    assert house.store.words(str(given.evidence.wording)) is not None
    assert house.store.may_mail(AN, "newsletter").may
    assert not house.store.may_mail(AN, "offers").may
    house.dispatch()
    assert "newsletter" in house.esp.people[AN].on
    assert [str(m["Subject"]) for m in house.mailbox.to(AN)][1:] == ["De Dagwijzer: je bent ingeschreven"]
    found = evidence.look(house.bridge, AN)
    assert found is not None
    told = evidence.as_data(house.bridge, found)
    assert told["events"][-1]["campaign"] == campaign.id
    assert [row["campaign"] for row in told["asked once more"]] == [campaign.id]
    assert "asked once more" in (text := document(house.bridge, found, "en").text())
    assert campaign.id in text
    again = desk.yes(AN)
    assert again.status_code == 200
    assert len(desk.story(AN)) == 2, "a second press says that it was done"
    desk.a_month_goes_by()
    assert house.store.may_mail(AN, "newsletter").may
    assert desk.funnel(campaign) == {"asked": 1, "yes": 1}
    assert desk.now(campaign).state is State.DONE
    assert house.verify().problems == ()


def test_a_yes_comes_too_late_after_a_no_and_after_the_day(desk: Desk) -> None:
    """AUD-05, R4: her last word counts, to the second; after so many days the link is dead."""
    desk.takes_in(AN, BRAM)
    desk.asks()
    an, bram = desk.link(AN), desk.link(BRAM)
    desk.house.clock.forward(days=2)
    assert desk.no(AN).status_code == 200
    desk.house.clock.forward(days=1)
    assert desk.house.client.get(an).status_code == 410
    assert desk.house.client.post(an).status_code == 410
    assert desk.status(AN) is S.REFUSED
    desk.house.clock.forward(days=27)
    assert desk.house.client.get(bram).status_code == 200
    desk.house.clock.forward(seconds=1)
    assert desk.house.client.get(bram).status_code == 410
    assert desk.house.client.post(bram).status_code == 410
    assert desk.status(BRAM) is S.UNKNOWN


@pytest.mark.parametrize("path", ["/confirm/", "/preferences/", "/u/"])
def test_the_link_for_yes_does_nothing_else(local: Desk, path: str) -> None:
    """PRF-03, decision 8: a salt of its own; and no other link says yes to it."""
    local.takes_in(AN)
    local.asks()
    token = local.link(AN).removeprefix("/question/")
    assert local.house.client.get(path + token).status_code == 404
    assert local.house.client.get("/question/" + local.link(AN, "/u/").removeprefix("/u/")).status_code == 404


# -- no ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("road", ["page", "question page", "mail program"])
def test_a_no_is_a_no_for_good(desk: Desk, road: str) -> None:
    """R8, R11, R16, WDR-10: by the button, or by her mail program's; written as refused, once, with the campaign; on
    the stop list, so that no list and no soft opt-in brings her back."""
    house = desk.house
    desk.takes_in(AN)
    campaign = desk.asks()
    link = desk.link(AN, "/u/")
    if road == "question page":
        page = house.client.get(desk.link(AN)).get_data(as_text=True)
        assert f'action="{link}"' in page
    data = {"List-Unsubscribe": "One-Click"} if road == "mail program" else {"scope": "list"}
    assert "Nee, verwijder mij" in house.client.get(link).get_data(as_text=True)
    for _ in range(2):
        assert house.client.post(link, data=data).status_code == 200

    refused = desk.story(AN)[1:]
    assert [(e.type, e.purpose, e.evidence.request) for e in refused] == [(T.REFUSED, "newsletter", campaign.id)]
    assert refused[0].method is (Method.ONE_CLICK if road == "mail program" else Method.UNSUBSCRIBE_PAGE)
    assert desk.status(AN) is S.REFUSED
    assert [(e.type, e.purpose) for e in house.store.stops(AN)] == [(T.REFUSED, "newsletter")]
    assert desk.funnel(campaign) == {"asked": 1, "no": 1}
    assert desk.lists.takes({"email": AN}) == (0, 0, 1, 0)
    desk.a_month_goes_by()
    assert house.store.person(AN) is None, "removed, as she asked"
    assert [(e.type, e.purpose) for e in house.store.stops(AN)] == [(T.REFUSED, "newsletter")]
    assert desk.funnel(campaign) == {"asked": 1, "no": 1}
    assert desk.lists.takes({"email": AN}) == (0, 0, 1, 0)


def test_a_no_while_the_store_is_away_is_kept(local: Desk) -> None:
    """Decision 21, R8: it is parked with what it is the no to, and written as that."""
    local.takes_in(AN)
    campaign = local.asks()
    house, link = local.house, local.link(AN, "/u/")
    token = link.removeprefix("/u/")
    claim, _ = house.bridge.acts.to_stop(token)
    parked: list[Any] = []
    keep = house.bridge.acts.parking._carry_out
    house.bridge.acts.parking._carry_out = parked.append  # type: ignore[method-assign]
    house.client.post(link, data={"scope": "list"})
    house.bridge.acts.parking._carry_out = keep  # type: ignore[method-assign]
    house.bridge.spool.park(parked[0])
    assert (claim.request, local.status(AN)) == (campaign.id, S.UNKNOWN)
    house.dispatch()
    assert local.story(AN)[-1].type is T.REFUSED
    assert local.story(AN)[-1].evidence.request == campaign.id


# -- once, ever --------------------------------------------------------------------------------------------------


def test_the_database_itself_refuses_a_second_time(desk: Desk) -> None:
    """R11, AUD-04: not only in code: whoever writes the row again is refused, whoever and wherever he is."""
    desk.takes_in(AN)
    desk.asks()
    (row,) = desk.rows()
    again = {"hash": row.hash, "purpose": "newsletter", "time": desk.house.clock()}
    with pytest.raises(IntegrityError), desk.house.bridge.database.engine.begin() as db:
        db.execute(insert(asked).values(**again))
    spelled = desk.house.bridge.vault.once("newsletter", f" {AN.upper()} ")
    assert bytes(row.hash) == spelled
    assert spelled != desk.house.bridge.vault.once("offers", AN)


def test_nobody_is_asked_twice_by_whatever_road(desk: Desk) -> None:
    """R11, AUD-04: not by the next campaign, not after she was let go and came in by a list anew; about something else
    she may be."""
    desk.takes_in(AN)
    desk.asks()
    assert desk.not_asked() == {Unaskable.ASKED: 1}
    desk.a_month_goes_by()
    assert desk.house.store.person(AN) is None
    desk.takes_in(AN)
    desk.takes_in(AN, purpose="offers")
    assert desk.not_asked() == {Unaskable.ASKED: 1}
    assert repermission.plan(desk.house.bridge, "offers")[0].eligible == 1
    desk.a_day_goes_by(3)
    assert len(desk.mails()) == 1


def moves(house: House, email: str, to: str) -> None:
    """Her address changes at the ESP."""
    house.hear(msgspec.structs.replace(Reader(house, email).told_by_esp(T.MOVED), to=to))


def test_who_moves_takes_with_her_that_she_was_asked(desk: Desk) -> None:
    """R11, R13, AUD-04, AUD-05: whoever was asked at an address she left is not asked at the next one, not after she was
    let go either; she counts once."""
    desk.takes_in(AN, BRAM)
    campaign = desk.asks()
    moves(desk.house, AN, EMMA)
    hashes = {bytes(row.hash) for row in desk.rows()}
    assert {desk.house.bridge.vault.once("newsletter", email) for email in (AN, BRAM, EMMA)} == hashes
    assert desk.not_asked() == {Unaskable.ASKED: 2}
    assert desk.funnel(campaign) == {"asked": 2, "silent": 2}
    desk.a_month_goes_by()
    assert desk.house.store.person(EMMA) is None
    for email in (AN, EMMA):
        desk.takes_in(email)
    assert desk.not_asked() == {Unaskable.ASKED: 2}
    assert desk.funnel(campaign) == {"asked": 2, "removed": 2}
    assert desk.house.verify().problems == ()


def test_whoever_was_asked_before_she_moved_is_known_by_herself(desk: Desk) -> None:
    """R11, AUD-04: also where only the address that she left was noted."""
    desk.takes_in(AN)
    desk.asks()
    with desk.house.bridge.database.writing() as db:
        db.execute(asked.update().values(hash=desk.house.bridge.vault.once("newsletter", EMMA)))
    assert desk.not_asked() == {Unaskable.ASKED: 1}


def test_who_moved_before_the_mail_left_was_not_asked(desk: Desk) -> None:
    """R13, AUD-05: the mail was for the old address and is void."""
    desk.takes_in(AN, BRAM)
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    moves(desk.house, AN, EMMA)
    assert [bytes(row.hash) for row in desk.rows()] == [desk.house.bridge.vault.once("newsletter", BRAM)]


def test_her_no_stands_at_every_address_she_had(desk: Desk) -> None:
    """R8, R14, AUD-05: when she is let go it stays on the stop list, under the address she left too."""
    desk.takes_in(AN)
    desk.asks()
    moves(desk.house, AN, EMMA)
    assert desk.no(AN).status_code == 200
    desk.a_month_goes_by()
    assert desk.house.store.person(EMMA) is None
    for email in (AN, EMMA):
        assert [(e.type, e.purpose) for e in desk.house.store.stops(email)] == [(T.REFUSED, "newsletter")]


def test_two_starts_and_two_programs_send_one_mail_each(desk: Desk, make_house: Callable[..., House]) -> None:
    """R11, AUD-04: whoever starts it twice, and however many dispatchers are at work at the same moment."""
    desk.takes_in(*(f"reader-{n}@lezer.example" for n in range(5)))
    campaign = desk.plans()
    other = make_house(desk.house.environment["BRIDGE_DATABASE_URL"])
    begun: list[str] = []

    def start(house: House, line: threading.Barrier) -> None:
        line.wait(30)
        try:
            house.store.campaigns.start(campaign)
            begun.append("begun")
        except BadInput:
            begun.append("refused")

    def send(house: House, line: threading.Barrier) -> None:
        line.wait(30)
        Dispatcher(house.bridge).once()

    for job in (start, send, send):
        line = threading.Barrier(2)
        threads = [threading.Thread(target=job, args=(house, line)) for house in (desk.house, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(begun) == ["begun", "refused"]
    assert len(desk.rows()) == len(desk.mails()) == 2, "the first wave"
    for _ in range(6):
        desk.a_day_goes_by()
        Dispatcher(other.bridge).once()
    assert sorted(str(mail["To"]) for mail in desk.mails()) == sorted(f"reader-{n}@lezer.example" for n in range(5))
    assert len(desk.rows()) == 5


def test_one_campaign_asks_at_a_time(desk: Desk) -> None:
    """AUD-03: another one waits until it is through; while answers are awaited it may begin."""
    desk.takes_in(AN)
    desk.takes_in(AN, purpose="offers")
    first, second = desk.plans(), desk.plans("offers")
    desk.book.start(first)
    with pytest.raises(BadInput, match="newsletter"):
        desk.book.start(second)
    desk.book.pause(first)
    with pytest.raises(BadInput, match="newsletter"):
        desk.book.start(second)
    desk.book.resume(first)
    desk.a_day_goes_by(2)
    desk.book.start(second)
    desk.a_day_goes_by(2)
    with pytest.raises(BadInput, match="begun already"):
        desk.book.start(first)


@pytest.mark.parametrize("step", ["before the commit", "before it leaves", "after it left"])
def test_killed_in_between_nobody_gets_two(desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R11, decision 25: a question that may have left is not sent again; one that surely has not is."""
    desk.takes_in(AN)
    campaign = desk.plans()
    desk.book.start(campaign)

    class Killed(BaseException):
        pass

    def die(*_args: Any, **_more: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "before the commit":
            patch.setattr(Batch, "flush", die)
        else:
            at = (
                (desk.house.bridge.mailer, "write")
                if step == "before it leaves"
                else (desk.house.store.queue, "finish_mail")
            )
            patch.setattr(*at, die)
        with pytest.raises(Killed):
            desk.house.dispatch()
    assert len(desk.rows()) == (0 if step == "before the commit" else 1)
    assert len(desk.mails()) == (1 if step == "after it left" else 0)
    desk.house.clock.forward(minutes=10)
    desk.a_day_goes_by(3)
    assert len(desk.mails()) == 1
    assert desk.funnel(campaign) == {"asked": 1, "silent": 1}


# -- waves -------------------------------------------------------------------------------------------------------


def test_waves_follow_each_other_a_day_apart(desk: Desk) -> None:
    """AUD-03, pain 25: few first, each watched for a day by the clock, by the dispatcher alone; then all were asked."""
    desk.takes_in(*(f"reader-{n}@lezer.example" for n in range(9)))
    campaign = desk.asks()
    assert len(desk.mails()) == 2
    desk.house.clock.forward(hours=23, minutes=59, seconds=59)
    desk.house.dispatch()
    assert len(desk.mails()) == 2
    for count, state in ((5, State.RUNNING), (8, State.RUNNING), (9, State.RUNNING), (9, State.ASKED)):
        desk.house.clock.forward(seconds=1)
        desk.house.dispatch()
        assert (len(desk.mails()), desk.now(campaign).state) == (count, state)
        desk.house.clock.forward(hours=23, minutes=59, seconds=59)
        desk.house.dispatch()
        assert len(desk.mails()) == count
    assert [wave.funnel.asked for wave in desk.book.waves(campaign.id)] == [2, 3, 3, 1]


def test_a_wave_is_watched_from_when_its_last_mail_was_settled(desk: Desk) -> None:
    """AUD-03: tried is not left: while a mail server says "later" to one of them, nobody else is asked."""
    desk.takes_in(AN, BRAM, CARLA)
    desk.house.mailbox.later = {AN}
    campaign = desk.asks()
    desk.a_day_goes_by(2)
    (wave,) = desk.book.waves(campaign.id)
    assert wave.watched is None
    assert desk.funnel(campaign) == {"asked": 2, "unsent": 1, "silent": 1}
    desk.house.mailbox.later = set()
    desk.house.clock.forward(hours=2)
    desk.house.dispatch()
    (wave,) = desk.book.waves(campaign.id)
    assert wave.watched == desk.house.clock() + timedelta(hours=24)
    assert desk.funnel(campaign) == {"asked": 2, "silent": 2}


def test_where_no_mail_leaves_nobody_was_asked(desk: Desk) -> None:
    """R11, AUD-03: a mail server that takes nothing for days: one wave waits, and whoever got no mail may be asked
    another time."""
    desk.takes_in(AN, BRAM, CARLA, DIRK)
    desk.house.mailbox.later = {AN, BRAM, CARLA, DIRK}
    campaign = desk.asks()
    for _ in range(3):
        desk.a_day_goes_by()
        assert desk.funnel(campaign) == {"asked": 2, "unsent": 2}
    desk.a_day_goes_by(8)
    assert desk.mails() == desk.rows() == []
    assert repermission.plan(desk.house.bridge, "newsletter")[0].eligible == 4
    assert desk.now(campaign).state in (State.ASKED, State.DONE)


def test_a_mail_that_is_given_up_has_asked_nobody(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUD-03, R11: its contact is free, unless it was handed over."""
    monkeypatch.setattr("bridge.store.work._MAIL_ATTEMPTS", 1)
    local.takes_in(AN, BRAM)
    local.house.mailbox.later = {AN}
    campaign = local.asks()
    assert local.funnel(campaign) == {"asked": 1, "silent": 1}
    assert local.not_asked() == {Unaskable.ASKED: 1}


def test_a_clock_that_was_set_back_holds_no_wave(desk: Desk) -> None:
    """AUD-03: it is watched for a day from then."""
    desk.takes_in(AN, BRAM, CARLA)
    desk.asks()
    desk.house.clock.forward(days=-300)
    desk.a_day_goes_by(3)
    assert len(desk.mails()) == 3


@pytest.mark.parametrize("how", ["refused at once", "told later"])
def test_dead_addresses_stop_it(desk: Desk, how: str) -> None:
    """AUD-03, pain 25: two percent of a wave: with the reason in words, said by the doctor; what has not left is taken
    back, and nobody can go on with it."""
    desk.takes_in(AN, BRAM, CARLA, DIRK)
    if how == "refused at once":
        desk.house.mailbox.refuse = {AN}
    campaign = desk.asks()
    if how == "told later":
        desk.house.hear(Reader(desk.house, AN).told_by_esp(T.BOUNCED))
    desk.a_day_goes_by(2)
    now = desk.now(campaign)
    assert now.state is State.STOPPED
    assert now.why == "1 of the 2 mails of wave 1 bounced (2 % is the limit)"
    assert len(desk.mails()) == (1 if how == "refused at once" else 2)
    assert desk.funnel(campaign) == {"asked": 2, "bounced": 1, "silent": 1}
    (finding,) = doctor.look(desk.house.bridge)
    assert not finding.ok
    assert now.why in finding.subject
    with pytest.raises(BadInput):
        desk.book.resume(now)
    again = desk.asks()
    assert [f.ok for f in doctor.look(desk.house.bridge)] == [], "another one about the same was begun"
    assert len(desk.rows()) == 4
    assert desk.now(again).state is State.RUNNING


def test_one_complaint_stops_it_and_takes_back_what_has_not_left(desk: Desk) -> None:
    """AUD-03, R6, pain 25: also of a wave before; and she counts as who complained."""
    desk.takes_in(AN, BRAM, CARLA, DIRK, EMMA)
    campaign = desk.asks()
    desk.house.mailbox.later = {CARLA, DIRK, EMMA}
    desk.a_day_goes_by()
    first = str(desk.mails()[0]["To"])
    desk.house.hear(Reader(desk.house, first).told_by_esp(T.COMPLAINED))
    desk.house.dispatch()
    desk.house.mailbox.later = set()
    desk.a_day_goes_by(3)
    assert desk.now(campaign).why == "1 reader of wave 1 complained"
    assert len(desk.mails()) == 2
    assert desk.funnel(campaign) == {"asked": 2, "complained": 1, "silent": 1}
    with desk.house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(outbox)) == 0
    desk.a_month_goes_by()
    assert desk.funnel(campaign) == {"asked": 2, "complained": 1, "removed": 1}
    left = [email for email in (AN, BRAM, CARLA, DIRK, EMMA) if desk.house.store.person(email)]
    assert len(left) == 3, "who got no mail stays"


@pytest.mark.parametrize("state", ["paused", "asked", "running"])
def test_no_mail_leaves_after_a_complaint(desk: Desk, state: str) -> None:
    """AUD-03, R6, pain 25: whatever the campaign is at, and before anything looks at it again."""
    desk.takes_in(AN, BRAM, *([] if state == "asked" else [CARLA, DIRK]))
    desk.house.mailbox.later = {BRAM}
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    desk.house.dispatch()
    if state == "paused":
        desk.book.pause(campaign)
    if state == "asked":
        assert desk.book.end(desk.now(campaign), State.ASKED)
    desk.house.hear(Reader(desk.house, AN).told_by_esp(T.COMPLAINED))
    desk.house.mailbox.later = set()
    desk.house.clock.forward(hours=5)
    if state == "paused":
        with pytest.raises(BadInput, match="complained"):
            repermission.resume(desk.house.bridge, desk.now(campaign))
        assert desk.now(campaign).state is State.STOPPED
    Dispatcher(desk.house.bridge).mails()
    assert [str(mail["To"]) for mail in desk.mails()] == [AN]
    desk.house.dispatch()
    assert desk.now(campaign).why == "1 reader of wave 1 complained"
    assert [str(mail["To"]) for mail in desk.mails()] == [AN]


def test_a_complaint_counts_also_when_she_is_gone(local: Desk) -> None:
    """AUD-03, RGT-04: the mails of the others do not leave because she had herself erased."""
    local.takes_in(AN, BRAM)
    local.house.mailbox.later = {BRAM}
    local.asks()
    local.house.hear(Reader(local.house, AN).told_by_esp(T.COMPLAINED))
    local.house.store.erase_person(AN)
    local.house.mailbox.later = set()
    local.house.clock.forward(hours=5)
    Dispatcher(local.house.bridge).mails()
    assert len(local.mails()) == 1


def test_paused_nobody_is_asked_and_resumed_it_goes_on(desk: Desk) -> None:
    """AUD-03: mails that have not left wait; what was answered counts; nobody is asked twice for it."""
    desk.takes_in(AN, BRAM, CARLA, DIRK)
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    desk.book.pause(campaign)
    with pytest.raises(BadInput):
        desk.book.pause(campaign)
    desk.a_day_goes_by(2)
    assert desk.mails() == []
    assert [f.ok for f in doctor.look(desk.house.bridge)] == [True]
    desk.book.resume(campaign)
    desk.house.dispatch()
    assert len(desk.mails()) == 2
    desk.a_day_goes_by(2)
    assert len(desk.mails()) == 4
    assert len({str(mail["To"]) for mail in desk.mails()}) == 4


def test_a_question_that_waited_for_days_is_taken_back(desk: Desk) -> None:
    """AUD-05: its link and its day count from the promise, so that it never leaves long after that: the next ones are
    asked instead, and she may be another time."""
    desk.takes_in(AN, BRAM, CARLA, DIRK)
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    desk.book.pause(campaign)
    desk.house.clock.forward(days=3, seconds=1)
    repermission.resume(desk.house.bridge, desk.now(campaign))
    desk.house.dispatch()
    assert sorted(str(mail["To"]) for mail in desk.mails()) == [CARLA, DIRK]
    assert desk.funnel(campaign) == {"asked": 2, "silent": 2}
    assert desk.yes(CARLA).status_code == 200
    assert repermission.plan(desk.house.bridge, "newsletter")[0].eligible == 2


def test_whoever_said_something_meanwhile_gets_no_mail(desk: Desk) -> None:
    """SND-01, AUD-04: the rule is asked once more just before hand-over; who was not mailed is not let go for it."""
    desk.takes_in(AN, BRAM)
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    desk.house.hear(Reader(desk.house, AN).told_by_esp(T.RESTRICTED))
    desk.a_month_goes_by()
    assert [str(mail["To"]) for mail in desk.mails()] == [BRAM]
    assert desk.house.store.person(AN) is not None
    assert desk.funnel(campaign) == {"asked": 1, "removed": 1}


def test_another_policy_stops_it(desk: Desk, allowing: Path, make_house: Callable[..., House]) -> None:
    """AUD-03: the approver said yes to these countries; a policy that says something else needs a new plan."""
    desk.takes_in(AN, BRAM, CARLA)
    campaign = desk.asks()
    allowing.write_text(allowing.read_text().replace('countries = ["BE", "NL"]', 'countries = ["BE"]'))
    other = make_house(desk.house.environment["BRIDGE_DATABASE_URL"])
    desk.house.clock.forward(days=2)
    Dispatcher(other.bridge).once()
    assert desk.now(campaign).state is State.STOPPED
    assert "not those that it was planned with" in desk.now(campaign).why
    assert len(desk.mails()) == 2


def test_a_mail_never_shows_other_words_than_were_planned(
    desk: Desk, allowing: Path, make_house: Callable[..., House]
) -> None:
    """AUD-03, AUD-05, CAP-07: promised under one wording, it does not leave under the next one."""
    desk.takes_in(AN)
    campaign = desk.plans()
    desk.book.start(campaign)
    desk.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    allowing.write_text(allowing.read_text().replace('countries = ["BE", "NL"]', 'countries = ["BE"]'))
    other = make_house(desk.house.environment["BRIDGE_DATABASE_URL"])
    Dispatcher(other.bridge).mails()
    assert desk.mails() == desk.rows() == []


def test_a_yes_to_words_that_count_no_more_comes_too_late(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUD-05, NOT-03: it would be a yes that may not be mailed."""
    local.takes_in(AN)
    local.asks()
    link, policy = local.link(AN), local.house.bridge.policy
    newer = msgspec.structs.replace(policy.purposes["newsletter"], notice=2, notice_since=2)
    monkeypatch.setitem(policy.purposes, "newsletter", newer)
    assert local.house.client.get(link).status_code == 410
    assert local.house.client.post(link).status_code == 410
    assert local.status(AN) is S.UNKNOWN


def test_the_proof_names_the_mail_that_asked(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """CAP-05, AUD-05: by its own templates, also where those are others when she answers."""
    local.takes_in(AN)
    local.asks()
    sent = mailer.template_hash(MailKind.REPERMISSION)
    monkeypatch.setattr(local.house.bridge.acts.templates, "hash", lambda *_: "anotherone")
    page = local.house.client.get(local.link(AN)).get_data(as_text=True)
    assert local.yes(AN).status_code == 200
    assert local.story(AN)[-1].evidence.template == sent
    (no,) = re.findall(r'action="(/u/[^"]+)"', page)
    assert no == local.link(AN, "/u/")


def test_about_what_many_complain_nobody_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """SND-04: while a purpose is held, no new wave begins; then it goes on."""
    desk.takes_in(AN, BRAM, CARLA)
    campaign = desk.asks()
    with monkeypatch.context() as patch:
        patch.setattr(desk.house.store.complaints, "held", lambda *_: {"newsletter": "too many"})
        desk.a_day_goes_by(2)
        assert (len(desk.mails()), desk.now(campaign).state) == (2, State.RUNNING)
    desk.house.dispatch()
    assert len(desk.mails()) == 3


def test_about_what_many_complain_no_promised_mail_leaves(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """SND-04: what was promised before waits, and leaves when the purpose is free again."""
    local.takes_in(AN, BRAM)
    campaign = local.plans()
    local.book.start(campaign)
    local.house.store.ask_once_more(campaign, 2, confirmed=True, new=True)
    with monkeypatch.context() as patch:
        patch.setattr(local.house.store.complaints, "held", lambda *_: {"newsletter": "too many"})
        local.a_day_goes_by()
        assert local.mails() == []
    local.house.clock.forward(hours=1)
    local.house.dispatch()
    assert len(local.mails()) == 2


# -- no answer ---------------------------------------------------------------------------------------------------


def test_who_does_not_answer_in_time_is_let_go(desk: Desk) -> None:
    """AUD-05, SUP-04: to the second: gone here, erased at the ESP that held her, and not suppressed: only a keyed hash
    says that she was asked. Her own sign-up is as everybody's."""
    house = desk.house
    desk.takes_in(AN)
    house.esp.people[AN] = There(on={"newsletter"})
    campaign = desk.asks()
    house.clock.forward(days=30, seconds=-1)
    house.dispatch()
    assert house.store.person(AN) is not None

    house.clock.forward(seconds=1)
    house.dispatch()

    assert house.store.person(AN) is None
    assert AN not in house.esp.people
    with house.bridge.database.reading() as db:
        assert db.execute(select(stop_list)).all() == []
        assert db.execute(select(subjects)).all() == []
    (row,) = desk.rows()
    kept = {name: value for name, value in row._mapping.items() if value not in (None, False)}
    assert set(kept) == {"hash", "purpose", "time"}
    assert desk.funnel(campaign) == {"asked": 1, "removed": 1}
    house.clock.forward(minutes=11)
    house.dispatch()
    with house.bridge.database.reading() as db:
        assert db.execute(select(erase_work)).all() == []
    assert desk.now(campaign).state is State.DONE
    values = stored(house)
    for dress, needle in disguises(AN).items():
        assert [place for place, raw in values if needle in raw] == [], dress
    Reader(house, AN).has_consented()
    assert house.store.may_mail(AN, "newsletter").may
    assert house.verify().problems == ()


def test_who_said_yes_to_something_else_stays_for_that(desk: Desk) -> None:
    """AUD-05: only this purpose ends, and its ESP is told; what she said yes to goes on."""
    house = desk.house
    desk.takes_in(AN)
    Reader(house, AN).has_consented("offers")
    campaign = desk.asks()
    desk.a_month_goes_by()
    assert (desk.status(AN), desk.status(AN, "offers")) == (S.INVALIDATED, S.GIVEN)
    last = desk.story(AN)[-1]
    assert (last.type, last.source, last.method) == (T.INVALIDATED, "system", Method.CLOCK)
    assert desk.funnel(campaign) == {"asked": 1, "removed": 1}
    assert desk.now(campaign).state is State.DONE
    assert house.store.stops(AN) == []
    desk.a_day_goes_by(2)
    assert len(desk.story(AN)) == 4, "once"
    assert house.verify().problems == ()


def test_who_is_restricted_is_not_touched_until_that_ends(desk: Desk) -> None:
    """AUD-05, RGT-05: kept, not used; and let go when it has ended."""
    house = desk.house
    desk.takes_in(AN)
    desk.asks()
    house.hear(Reader(house, AN).told_by_esp(T.RESTRICTED))
    desk.a_month_goes_by()
    assert house.store.person(AN) is not None
    house.hear(Reader(house, AN).told_by_esp(T.UNRESTRICTED))
    desk.a_day_goes_by(2)
    assert house.store.person(AN) is None


def test_one_who_cannot_be_read_keeps_nobody_waiting(desk: Desk) -> None:
    """AUD-05: a damaged row is skipped, asked nothing and let go never, and `verify` names it; the others go on."""
    desk.takes_in(AN, BRAM, CARLA)
    with desk.house.bridge.database.writing() as db:
        first = db.scalar(select(func.min(subjects.c.number)))
        db.execute(subjects.update().where(subjects.c.number == first).values(profile=b"spoilt"))
    assert sum(desk.not_asked().values()) == 1
    desk.asks()
    desk.a_month_goes_by()
    assert len(desk.mails()) == 2
    with desk.house.bridge.database.reading() as db:
        assert list(db.scalars(select(subjects.c.number))) == [first]


def test_who_asks_to_be_erased_is_counted_and_forgotten(desk: Desk) -> None:
    """RGT-04, AUD-05: nothing ties her to the campaign any more, and the numbers still add up."""
    desk.takes_in(AN, BRAM)
    campaign = desk.asks()
    desk.yes(AN)
    for email in (AN, BRAM):
        desk.house.store.erase_person(email)
    assert {(row.subject, row.campaign, row.sent) for row in desk.rows()} == {(None, None, None)}
    assert desk.funnel(campaign) == {"asked": 2, "yes": 1, "removed": 1}
    assert desk.house.verify().problems == ()


STEPS = st.lists(
    st.tuples(
        st.integers(0, 4), st.sampled_from(["yes", "no", "bounces", "leaves", "erased", "signs up", "day", "month"])
    ),
    max_size=8,
)


@given(STEPS)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_numbers_add_up(local: Desk, steps: list[tuple[int, str]]) -> None:
    """AUD-05, R11: any order of answers, erasures and days: nobody is lost, nobody counts twice or is mailed twice."""
    house = local.house
    house.mailbox.clear()
    tag = len(local.book.all())
    emails = [f"reader-{tag}-{n}@lezer.example" for n in range(5)]
    local.takes_in(*emails)
    campaign = local.plans()
    for other in local.book.in_state(State.RUNNING, State.PAUSED):
        local.book.end(other, State.STOPPED, "the next example")
    local.book.start(campaign)
    house.dispatch()
    for who, what in steps:
        email = emails[who]
        if what in ("yes", "no") and local.mails(email):
            local.yes(email) if what == "yes" else local.no(email)
        elif what in ("bounces", "leaves"):
            house.hear(Reader(house, email).told_by_esp(T.BOUNCED if what == "bounces" else T.UNSUBSCRIBED))
        elif what == "erased":
            house.store.erase_person(email)
        elif what == "signs up":
            Reader(house, email).signs_up()
        house.clock.forward(days={"day": 1, "month": 31}.get(what, 0), minutes=1)
        house.dispatch()
        local.funnel(campaign)
    assert len(local.mails()) == len({str(mail["To"]) for mail in local.mails()})
    found = local.funnel(campaign)
    assert found["asked"] <= campaign.eligible
    assert house.verify().problems == ()


@pytest.mark.parametrize("how", ["erased", "let go"])
def test_whoever_goes_is_locked_in_the_order_in_which_mails_leave(desk: Desk, how: str) -> None:
    """SUP-04: the mail first, then that she was asked, as at hand-over: else each would wait for the other."""
    desk.takes_in(AN)
    desk.asks()
    desk.house.clock.forward(days=31)
    engine, seen = desk.house.bridge.database.engine, list[str]()

    def note(_db: Any, _cursor: Any, text: str, *_more: Any) -> None:
        words = " ".join(text.split())
        for name in ("outbox", "asked"):
            if words.startswith((f"DELETE FROM {name} ", f"UPDATE {name} ")) or (
                words.endswith("FOR UPDATE") and f"FROM {name} " in words
            ):
                seen.append(name)

    listen_event.listen(engine, "before_cursor_execute", note)
    try:
        if how == "erased":
            desk.house.store.erase_person(AN)
        else:
            assert desk.house.store.end_questions() == 1
    finally:
        listen_event.remove(engine, "before_cursor_execute", note)
    assert seen[0] == "outbox"
    assert "asked" in seen


# -- keys and copies ---------------------------------------------------------------------------------------------


def test_new_keys_let_nobody_be_asked_again(desk: Desk, tmp_path: Path, make_house: Callable[..., House]) -> None:
    """R11, KEY-03: neither while she is here, nor after she was let go; the hash is under a key that never changes."""
    desk.takes_in(AN, BRAM)
    desk.asks()
    desk.house.store.erase_person(BRAM)
    shop = Shop(desk.house, tmp_path / "settings.env", make_house)
    shop.rotates("vault")
    shop.rotates("link")
    later = Desk(shop.house, tmp_path)
    later.house.clock.forward(days=31)
    assert later.not_asked() == {Unaskable.ASKED: 1}
    later.house.dispatch()
    later.takes_in(AN)
    assert later.not_asked() == {Unaskable.ASKED: 1}
    assert len(later.mails()) == 2


def test_a_restored_store_asks_nobody_again(
    desk: Desk,
    tmp_path: Path,
    make_house: Callable[..., House],
    fresh: Callable[[str], str],  # noqa: F811
) -> None:
    """R11, AUD-05, SUP-06, decision 19: the newest keys' file knows who was asked after the backup; whoever is here again
    is let go in time; a campaign that was running is stopped."""
    shop = Copies(desk.house, tmp_path / "settings.env", make_house, fresh)
    desk.takes_in(AN, BRAM, CARLA)
    campaign = desk.plans()
    desk.book.start(campaign)
    old = shop.backs_up("old")
    desk.house.dispatch()
    assert len(desk.mails()) == 2
    keys = shop.backs_up("new").with_name("new.keys")

    house, _ = shop.restores(old, keys)

    later = Desk(house, tmp_path)
    assert later.now(campaign).state is State.STOPPED
    assert "restored" in later.now(campaign).why
    house.dispatch()
    assert len(later.mails()) == 2
    assert later.not_asked() == {Unaskable.ASKED: 2}
    assert sorted(row.subject is not None for row in later.rows()) == [True, True]
    house.clock.forward(days=31)
    house.dispatch()
    assert [house.store.person(email) is None for email in (AN, BRAM, CARLA)] == [True, True, False]
    assert house.verify().problems == ()


def test_verify_names_a_question_to_nobody(desk: Desk) -> None:
    """CAP-06: a row that names a person who is not there was changed by hand."""
    desk.takes_in(AN)
    campaign = desk.asks()
    with desk.house.bridge.database.writing() as db:
        db.execute(asked.update().values(subject=4711))
    (problem,) = desk.house.verify().problems
    assert problem.where == f"campaign {campaign.id}"


# -- the commands ------------------------------------------------------------------------------------------------


def test_the_commands_lead_through_it(desk: Desk) -> None:
    """AUD-03: plan, start, pause, resume, status; counts and ids only, no address in any of it."""
    house = desk.house
    house.clock.now = datetime.now(UTC)
    assert "No campaign" in typed(house, "status").output
    assert json.loads(typed(house, "status", "--json").output) == []
    desk.takes_in(AN, BRAM, CARLA)
    assert typed(house, "start", "--yes").exit_code == 1
    told_ = json.loads(typed(house, "plan", "newsletter", "--json").output)
    assert (told_["eligible"], told_["not_asked"]) == (3, {})
    said = typed(house, "plan", "newsletter").output
    assert "3 may be asked about newsletter" in said
    assert "Carla Janssens" in said
    assert typed(house, "plan", "nothing").exit_code == 1
    assert "nobody can be asked here" in typed(house, "start").output
    assert typed(house, "start", "nobody-knows", "--yes").exit_code == 1
    assert typed(house, "start", "--yes").exit_code == 0
    assert typed(house, "start", "--yes").exit_code == 1
    house.clock.now = datetime.now(UTC)
    house.dispatch()
    assert typed(house, "pause").exit_code == 0
    assert typed(house, "pause").exit_code == 1
    assert typed(house, "resume").exit_code == 0
    (campaign,) = json.loads(typed(house, "status", "--json").output)
    assert (campaign["state"], campaign["eligible"], campaign["asked"], campaign["delivered"]) == ("running", 3, 2, 2)
    assert [wave["silent"] for wave in campaign["waves"]] == [2]
    said = typed(house, "status").output
    assert campaign["campaign"] in said
    assert "wave 1" in said
    assert "@" not in said


# -- service and marketing ---------------------------------------------------------------------------------------


def mail_templates() -> Iterator[str]:
    """Every mail that has templates."""
    return (folder.name for folder in (TEMPLATES / "email").iterdir() if folder.is_dir())


def test_every_mail_is_declared_and_no_service_promotes() -> None:
    """SND-05: one place says what each mail is; ours hold no promotion."""
    assert set(NATURES) == set(MailKind)
    assert set(mail_templates()) <= {kind.value for kind in MailKind}
    assert NATURES[MailKind.MARKETING] is Nature.MARKETING
    check_natures(TEMPLATES / "email")


PROMOTIONS = (
    "{% block promotion %}Ten percent off{% endblock %}",
    "{%- block promotion -%}{% endblock %}",
    "{{ promotion('books') }}",
    '{% from "mail_parts.html" import promotion %}',
    '{% include "promotion.html" %}',
    "{# promotion #}",
    "<!-- Promotion: books -->",
    '<p data-promotion="books">',
)


@pytest.mark.parametrize("promotion", PROMOTIONS)
@pytest.mark.parametrize(
    "file", ["email/welcome/body.html", "email/goodbye/body.txt", "email/repermission/subject.txt", "mail.html"]
)
def test_a_service_mail_that_promotes_is_refused(tmp_path: Path, file: str, promotion: str) -> None:
    """SND-05: in its own template or in one that it is made of, it is named; a macro that nobody calls harms nobody."""
    import shutil

    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    check_natures(folder / "email")
    check_natures.cache_clear()
    parts = folder / "mail_parts.html"
    parts.write_text(parts.read_text() + "{% macro promotion(what) %}{{ what }}{% endmacro %}")
    check_natures(folder / "email")
    check_natures.cache_clear()
    path = folder / file
    path.write_text(path.read_text() + promotion)
    with pytest.raises(Promotes, match=file.replace(".", r"\.") + r".*SND-05"):
        check_natures(folder / "email")
    check_natures.cache_clear()


def test_a_house_with_such_a_mail_does_not_start(home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SND-05: in one line, before anything is sent."""
    import shutil

    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    path = folder / "email" / "welcome" / "body.txt"
    path.write_text(path.read_text() + "{# promotion #}")
    monkeypatch.setattr(mailer, "TEMPLATES", folder)
    result = typed(home, "status")
    assert result.exit_code == 1
    assert "email/welcome/body.txt" in result.output
    assert result.output.count("\n") == 1


def test_a_mail_declared_marketing_passes_as_such(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """SND-05: it may promote; then it goes only to who said yes, and with all headers of a list."""
    from bridge.decide import gate

    house = local.house
    natures = {**NATURES, MailKind.GOODBYE: Nature.MARKETING}
    for module in ("bridge.decide.mails", "bridge.mailer"):
        monkeypatch.setattr(f"{module}.NATURES", natures)
    mailer.check_natures.cache_clear()
    left = [told(T.REQUESTED, 0), told(T.GIVEN, 1), told(T.WITHDRAWN, 2)]
    limits = Limits(notice_since={"newsletter": 1}, goodbye=True)
    assert not gate(MailKind.GOODBYE, left, ["newsletter"], NOW, limits).may
    assert gate(MailKind.GOODBYE, left[:2], ["newsletter"], NOW, limits).may
    occasion = mailer.Occasion(
        key="k",
        kind=MailKind.GOODBYE,
        subject="s",
        mark="m",
        email=AN,
        language="nl",
        purposes=["newsletter"],
        asked=NOW,
    )
    headers = house.bridge.mailer.write(occasion).headers
    assert {"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"} <= headers.keys()
    mailer.check_natures.cache_clear()


# -- what a reader meets -----------------------------------------------------------------------------------------


def test_after_her_yes_the_link_says_that_it_was_done(local: Desk) -> None:
    """CON-04: opened again, nothing asks her a second time, and nothing threatens to delete her."""
    local.takes_in(AN)
    local.asks()
    assert local.yes(AN).status_code == 200
    again = local.house.client.get(local.link(AN))
    assert again.status_code == 200
    assert "/u/" not in again.get_data(as_text=True)
    assert "wissen we je adres" not in again.get_data(as_text=True)


def test_who_did_not_unsubscribe_is_not_told_that_she_did(local: Desk) -> None:
    """WDR-10: her mailbox was dead for a while: the page says that the question is over, and no more."""
    local.takes_in(AN)
    local.asks()
    local.house.clock.forward(minutes=1)
    local.house.hear(Reader(local.house, AN).told_by_esp(T.BOUNCED))
    late = local.yes(AN)
    assert late.status_code == 410
    assert "uitgeschreven" not in late.get_data(as_text=True)


def test_a_readers_own_mail_goes_before_a_wave(local: Desk) -> None:
    """CON-01: whoever signs up while a wave leaves waits for none of it."""
    local.takes_in(*(f"old-{number}@lezer.example" for number in range(5)))
    campaign = local.plans()
    local.book.start(campaign)
    repermission.Asker(local.house.bridge).look()
    Reader(local.house, AN).signs_up()
    (first,) = local.house.store.queue.claim_mails(1)
    assert first.kind == MailKind.CONFIRM
