"""Issue of all issues: whatever is interleaved, doubled, late or lost, and whoever crashes, both sides end up equal.

Readers click, platforms act and tell (or do not), the dispatcher dies before and after its calls, platforms fail; then
one comparison. ESP-01 to 03, HOOK-01, 02, WDR-11, decisions 23 to 25, promises 1 and 2.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from adapters._outcomes import later
from adapters.mailchimp import Mailchimp
from adapters.sandbox.control import perform
from adapters.sandbox.courier import Delivery, Webhooks, mailchimp_signature, sendgrid_signature
from adapters.sandbox.server import Running, start
from adapters.sendgrid import SendGrid
from bridge.jobs.push import Pusher
from bridge.jobs.reconcile import Reconciler
from bridge.links import Action
from bridge.vocabulary import EventType, Left
from tests.bulk import Bulk
from tests.conftest import BASE_URL, House, Reader

PURPOSES = ("newsletter", "offers")
ESPS = ("mailchimp", "sendgrid")

ACTS = (
    *("signs up newsletter", "signs up offers", "confirms", "confirms", "one click", "stops everything"),
    *("saves newsletter", "saves offers", "saves both", "saves none"),
    *("leaves mailchimp", "leaves sendgrid newsletter", "leaves sendgrid offers", "leaves sendgrid"),
    *(
        "bounces sendgrid",
        "is blocked sendgrid",
        "complains mailchimp",
        "complains sendgrid",
        "joins sendgrid newsletter",
    ),
    *("first news comes", "last news comes", "news comes twice", "news is lost", "old news comes again"),
    *("dispatch", "dispatch", "dispatch", "dies before telling mailchimp", "dies before telling sendgrid"),
    *("dies after telling mailchimp", "dies after telling sendgrid"),
    *("mailchimp down", "sendgrid down", "mailchimp cut", "sendgrid cut", "up", "minutes pass", "hours pass"),
)

_turns = itertools.count(1)


@dataclass
class Word:
    """Something she said: yes or no, to what, and when; a yes counts from when the question was put."""

    yes: bool
    purposes: frozenset[str]
    time: datetime


class Killed(BaseException):
    """Here a dispatcher was killed."""


def _killed(*_: object) -> None:
    raise Killed


class Patient(Reader):
    """Her mails come at once; what the platforms are told waits until somebody tells it."""

    def mails(self) -> list[EmailMessage]:
        """What is in her mailbox, after every mail that was due was sent."""
        while self.house.dispatcher.mails():
            pass
        return self.house.mailbox.to(self.email)


@dataclass
class Life:
    """One reader, and all she really said, wherever she said it."""

    reader: Reader
    words: list[Word] = field(default_factory=list)
    asked: dict[str, tuple[datetime, tuple[str, ...]]] = field(default_factory=dict)  # confirm link -> when, for what
    requests: int = 0
    dead: bool = False  # bounced or complained: her yes may count for less, never for more

    def last(self, purpose: str) -> Word | None:
        """Her last word."""
        said = [word for word in self.words if purpose in word.purposes]
        return max(said, key=lambda word: word.time, default=None)


class World:
    """A house, both platforms, and the news on its way between them."""

    def __init__(self, bulk: Bulk, keys: dict[str, str]) -> None:
        self.bulk, self.house, self.keys = bulk, bulk.house, keys
        self.patch = pytest.MonkeyPatch()
        self.news: list[Delivery] = []
        self.told: list[Delivery] = []
        bulk.running.state.courier.send = lambda delivery, *_: self.news.append(delivery)  # type: ignore[method-assign]

    def comes(self, delivery: Delivery) -> None:
        """A webhook arrives, signed now."""
        now = self.house.clock().timestamp()
        sign: Callable[[str, bytes, float], dict[str, str]]
        name, sign = "sendgrid_private_key_pem", sendgrid_signature
        if delivery.esp == "mailchimp":
            name, sign = "mailchimp_signing_secret", mailchimp_signature
        headers = dict(sign(self.keys[name], delivery.body, now))
        path = urlsplit(delivery.url).path
        answer = self.house.client.post(path, data=delivery.body, headers=headers, content_type=delivery.content_type)
        assert answer.status_code < 300, (answer.status_code, delivery.what)
        self.told.append(delivery)

    def there(self, life: Life, name: str) -> dict[str, object]:
        """How a platform holds her."""
        return self.bulk.running.state.esp(name).person(life.reader.email)

    def gets(self, life: Life, name: str) -> frozenset[str]:
        """What a platform would mail her."""
        receives = self.there(life, name)["receives"]
        assert isinstance(receives, list)
        return frozenset(receives)

    # -- acts ---------------------------------------------------------------------------------------------------

    def play(self, life: Life, act: str) -> None:
        """One act, a while after the last."""
        self.house.clock.forward(seconds=7)
        words = act.split()
        match words:
            case ["signs", "up", purpose]:
                self._signs_up(life, purpose)
            case ["confirms"]:
                self._confirms(life)
            case ["one", "click"]:
                self._one_click(life)
            case ["stops", "everything"]:
                self._saves(life, None)
            case ["saves", what]:
                self._saves(life, {"both": PURPOSES, "none": ()}.get(what, (what,)))
            case [("leaves" | "bounces" | "is" | "complains" | "joins"), *_]:
                self._at_the_platform(life, words)
            case ["dies", when, "telling", name]:
                self._dies(name, after=when == "after")
            case ["dispatch"]:
                self.house.dispatch()
            case _:
                self._weather(act)

    def _weather(self, act: str) -> None:
        """What nobody of us does."""
        match act.split():
            case ["minutes", _]:
                self.house.clock.forward(minutes=7)
            case ["hours", _]:
                self.house.clock.forward(hours=3)
            case ["up"]:
                self.up()
            case [name, ("down" | "cut") as mode]:
                self.bulk.trouble(name, mode=mode)
            case _:
                self._news(act)

    def up(self) -> None:
        """No platform is in trouble any more."""
        for name in ESPS:
            self.bulk.trouble(name, mode="up")

    def _signs_up(self, life: Life, purpose: str) -> None:
        before = self._links(life)
        asked = self.house.clock()
        assert life.reader.signs_up(purpose).status_code == 200
        life.requests += 1
        for link in self._links(life) - before:
            life.asked[link] = (asked, (purpose,))

    def _links(self, life: Life) -> set[str]:
        bodies = [mail.get_body(("plain",)) for mail in life.reader.mails()]
        found = (word for body in bodies if body for word in body.get_content().split())
        return {word.removeprefix(BASE_URL) for word in found if word.startswith(f"{BASE_URL}/confirm/")}

    def _confirms(self, life: Life) -> None:
        for link, (asked, purposes) in list(life.asked.items())[-1:]:
            if self.house.client.post(link).status_code == 200 and life.reader.may(purposes[0]).may:
                last = life.last(purposes[0])
                if last is None or last.time < asked:  # an old link says nothing over a later word
                    life.words.append(Word(yes=True, purposes=frozenset(purposes), time=asked))

    def _one_click(self, life: Life) -> None:
        with suppress(AssertionError):  # no mail of hers has such a link yet
            token = life.reader.link("/u/").removeprefix("/u/")  # of the newest mail, also of one that says goodbye
            purpose = self.house.bridge.links.read(Action.STOP, token, self.house.clock()).purpose
            assert life.reader.one_click().status_code == 200
            gone = frozenset([purpose] if purpose else PURPOSES)
            life.words.append(Word(yes=False, purposes=gone, time=self.house.clock()))

    def _saves(self, life: Life, wanted: tuple[str, ...] | None) -> None:
        if not self.house.store.knows(life.reader.email):
            return
        self.house.clock.forward(minutes=40)  # fresh links are not mailed often
        try:
            link = life.reader.asks_for_a_link()
        except AssertionError:
            return
        self.house.clock.forward(seconds=5)
        asked, was = self.house.clock(), {p for p in PURPOSES if life.reader.may(p).may}
        self.house.clock.forward(seconds=5)
        if wanted is None:
            answer = self.house.client.post(link, data={"stop": "all"})
        else:
            answer = life.reader.saves(link, *wanted)
        if answer.status_code != 200:
            return
        on = frozenset(wanted or ()) - was
        off = frozenset(PURPOSES) if wanted is None else frozenset(was) - frozenset(wanted)
        if on:
            life.words.append(Word(yes=True, purposes=frozenset(p for p in on if life.reader.may(p).may), time=asked))
        if off:
            life.words.append(Word(yes=False, purposes=off, time=self.house.clock()))

    def _at_the_platform(self, life: Life, words: list[str]) -> None:
        name = next(word for word in words if word in ESPS)
        purpose = words[-1] if words[-1] in PURPOSES else ""
        gets = self.gets(life, name)
        act = {"leaves": "unsubscribe", "bounces": "bounce", "is": "block", "complains": "complain"}.get(
            words[0], "subscribe"
        )
        # Whoever gets no mail from there has no link of theirs to press.
        if act != "subscribe" and (not gets or (purpose and purpose not in gets)):
            return
        # A platform that forgets a stop before anybody has heard of it leaves nothing that could be found.
        if act == "subscribe" and purpose not in gets and life.reader.may(purpose).may:
            return
        perform(self.bulk.running.state, {"esp": name, "email": life.reader.email, "act": act, "purpose": purpose})
        if act in ("bounce", "complain"):
            life.dead = True
        if act in ("unsubscribe", "complain"):
            gone = frozenset([purpose] if purpose else PURPOSES)
            life.words.append(Word(yes=False, purposes=gone, time=self.house.clock()))

    def _news(self, act: str) -> None:
        if act == "old news comes again":
            if self.told:
                self.comes(self.told[0])
        elif self.news:
            delivery = self.news.pop(-1 if act.startswith("last") else 0)
            if act != "news is lost":
                self.comes(delivery)
            if act == "news comes twice":
                self.comes(delivery)

    def _dies(self, name: str, *, after: bool) -> None:
        """A dispatcher that is killed with people in its hands, before its call or when the platform has answered."""
        queue = self.house.store.queue
        if not after:
            queue.claim_pushes(name, 20)
            return
        self.patch.setattr(queue, "finish_pushes", _killed)
        pusher = Pusher(self.house.bridge, name)
        with suppress(Killed):
            pusher.stops()
        with suppress(Killed):
            pusher.others()
        self.patch.undo()

    # -- the end ------------------------------------------------------------------------------------------------

    def ends(self, arrive: int) -> None:
        """Trouble is over, some news still comes, the rest is lost; everything settles, and both sides are compared."""
        self.up()
        for delivery in self.news[:arrive]:
            self.comes(delivery)
        self.news.clear()
        self.house.clock.forward(minutes=10)
        self.bulk.settle()
        self.house.clock.forward(hours=1)
        for name in ESPS:
            Reconciler(self.house.bridge, name, dry_run=False, max_changes=10).run()
        self.bulk.settle()


@pytest.fixture(scope="module")
def telling(keys: dict[str, str]) -> Iterator[Running]:
    """A sandbox that has somewhere to tell its news."""
    hooks = Webhooks(
        mailchimp_url=f"{BASE_URL}/webhooks/mailchimp/{keys['mailchimp_path_secret']}",
        mailchimp_signing_secret=keys["mailchimp_signing_secret"],
        sendgrid_url=f"{BASE_URL}/webhooks/sendgrid",
        sendgrid_private_key_pem=keys["sendgrid_private_key_pem"],
    )
    sandbox = start(port=0, webhooks=hooks)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def world(house: House, telling: Running, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> World:
    """The house on both databases, with both platforms and the news between them."""
    for kind in (Mailchimp, SendGrid):
        monkeypatch.setattr(kind, "clock", staticmethod(house.clock))
    telling.state.reset()
    secrets = {
        "MAILCHIMP_WEBHOOK_SECRET": keys["mailchimp_path_secret"],
        "MAILCHIMP_WEBHOOK_SIGNING_SECRET": keys["mailchimp_signing_secret"],
    }
    bulk = Bulk(house, telling, keys, ESPS, **secrets).at_once()
    house.bridge.adapters.pop("memory")
    return World(bulk, keys)


@settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example is short enough to read as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    acts=st.lists(st.sampled_from(ACTS), min_size=5, max_size=25).map(
        lambda acts: ["signs up newsletter", "confirms", *acts]
    ),
    arrive=st.integers(0, 9),
)
@example(
    acts=["signs up newsletter", "confirms", "dispatch", "leaves mailchimp", "news is lost", "saves both"], arrive=0
)
@example(
    acts=[
        "signs up newsletter",
        "confirms",
        "dispatch",
        "saves none",
        "saves newsletter",
        "leaves sendgrid newsletter",
    ],
    arrive=0,
)
@example(
    acts=[
        "signs up newsletter",
        "confirms",
        "saves both",
        "dispatch",
        "saves newsletter",
        "dispatch",
        "saves both",
        "leaves mailchimp",
    ],
    arrive=0,
)
@example(  # the newest mail is a goodbye, and its link is about the topic she had left
    acts=["signs up newsletter", "confirms", "saves both", "saves newsletter", "one click"], arrive=0
)
@example(  # a yes that was taken and not noted, then a stop that only the platform heard
    acts=[
        "signs up newsletter",
        "confirms",
        "dispatch",
        "saves none",
        "dispatch",
        "saves newsletter",
        "dies after telling sendgrid",
        "dies after telling mailchimp",
        "leaves sendgrid",
        "leaves mailchimp",
        "hours pass",
    ],
    arrive=0,
)
def test_in_every_order_both_sides_end_equal(world: World, acts: list[str], arrive: int) -> None:
    """Her last word is what counts, on both sides, wherever she said it and whoever lost it."""
    world.news.clear()
    world.told.clear()
    world.house.clock.forward(days=1)
    life = Life(Patient(world.house, f"o{next(_turns)}@lezer.example"))
    for act in acts:
        world.play(life, act)
    world.ends(arrive)

    email, store = life.reader.email, world.house.store
    may = {purpose for purpose in PURPOSES if store.may_mail(email, purpose).may}
    for purpose in PURPOSES:
        last = life.last(purpose)
        if last is None or not last.yes:
            assert purpose not in may, f"no stop is lost, and nobody is on without proof: {purpose} {life.words}"
        elif not life.dead:
            assert purpose in may, f"her yes stands: {purpose} {life.words} {store.may_mail(email, purpose)}"
    for name in ESPS:
        there = world.there(life, name)
        less = there.get("compliance") or there.get("forgotten") or there.get("status") == "pending"
        gets = world.gets(life, name)
        assert gets <= may, f"{name}: nobody is mailed without a live yes: {there}"
        assert less or gets == may, f"{name}: who may be mailed is on: {there} {life.words}"
    confirmations = {mail["Message-ID"] for mail in world.house.mailbox.to(email) if "/confirm/" in mail.as_string()}
    assert len(confirmations) <= life.requests, "at most one mail for each request"
    asked = [mail for mail in world.bulk.running.state.mailbox.mails(email) if "mailchimp.example" in mail.sender]
    assert len(asked) <= sum(word.yes for word in life.words)
    assert world.house.verify().problems == ()


def test_the_news_is_told_late(world: World) -> None:
    """What this file plays is real: news waits until it comes."""
    life = Life(Patient(world.house, f"o{next(_turns)}@lezer.example"))
    for act in ("signs up newsletter", "confirms", "dispatch", "dispatch", "leaves mailchimp"):
        world.play(life, act)
    assert [delivery.what for delivery in world.news if delivery.esp == "mailchimp"] == ["unsubscribe"]
    assert life.reader.may().may

    world.house.clock.forward(hours=2)
    world.play(life, "last news comes")

    assert not life.reader.may().may
    assert world.house.clock() - life.words[-1].time > timedelta(hours=1)


@pytest.mark.parametrize("stranger", [False, True])
def test_an_address_that_somebody_moves_to_gets_only_its_own_mail(world: World, stranger: bool) -> None:
    """ESP-01, R13: a platform that has put another reader's topics on an address that is known here is set right at
    once, also where nobody here knows who moved."""
    number = next(_turns)
    old, there = (Life(Patient(world.house, f"{name}o{number}@lezer.example")) for name in ("", "new."))
    for act in ("signs up newsletter", "confirms", "saves both", "dispatch", "dispatch"):
        world.play(old, act)
    world.play(there, "signs up newsletter")
    if stranger:
        world.house.store.erase_person(old.reader.email)  # the platform was not told yet
    perform(world.bulk.running.state, {"esp": "mailchimp", "email": old.reader.email, "act": "move", "purpose": ""})
    assert world.there(there, "mailchimp")["receives"] == list(PURPOSES)

    world.play(there, "last news comes")
    world.house.dispatch()

    assert world.there(there, "mailchimp")["receives"] == []
    assert not there.reader.may().may
    if not stranger:  # with the keyed hash of somebody erased goes that her old question is void
        world.play(there, "confirms")
        world.bulk.settle()
        assert there.reader.may().may
        assert world.there(there, "mailchimp")["receives"] == ["newsletter"]
    assert world.house.verify().problems == ()


@pytest.mark.parametrize(("act", "status"), [("abuse", "objected"), ("remove", "withdrawn"), ("edit", "given")])
def test_what_else_is_pressed_at_mailchimp_is_told_and_understood(world: World, act: str, status: str) -> None:
    """R2, R6: cleaned as abuse is an objection, taken off by hand a stop, and a changed name says nothing."""
    life = Life(Patient(world.house, f"o{next(_turns)}@lezer.example"))
    for each in ("signs up newsletter", "confirms", "dispatch"):
        world.play(life, each)
    perform(world.bulk.running.state, {"esp": "mailchimp", "email": life.reader.email, "act": act, "purpose": ""})
    world.play(life, "last news comes")
    assert life.reader.status() == status
    assert life.reader.may().may is (act == "edit")


# -- calls whose end nobody saw ------------------------------------------------------------------------------------


def lives(world: World, *acts: str) -> Life:
    """A new reader, and what she and the dispatcher did so far."""
    world.news.clear()
    world.house.clock.forward(days=1)
    life = Life(Patient(world.house, f"o{next(_turns)}@lezer.example"))
    for act in acts:
        world.play(life, act)
    return life


def leaves(world: World, life: Life, name: str, purpose: str = "newsletter") -> None:
    """She leaves at a platform, which tells nobody; hours later both sides are compared. Her no must have won."""
    assert purpose in world.gets(life, name)
    about = purpose if name == "sendgrid" else ""
    perform(world.bulk.running.state, {"esp": name, "email": life.reader.email, "act": "unsubscribe", "purpose": about})
    world.house.clock.forward(hours=3)
    world.ends(0)
    assert not life.reader.may(purpose).may, "her last word was no"
    assert purpose not in world.gets(life, name)


STOPPED_AND_BACK = (
    *("signs up newsletter", "confirms", "saves both", "dispatch", "dispatch", "saves none", "dispatch", "dispatch"),
    "saves newsletter",
)


@pytest.mark.parametrize("reason", ["errored_rows", "job_failed", "job_unknown"])
def test_a_yes_that_a_failed_job_told_may_have_got_there(world: World, reason: str) -> None:
    """ESP-02: the stop was lifted before the job began; what she says there afterwards is no older stop."""
    life = lives(world, *STOPPED_AND_BACK)
    adapter, pusher = world.house.bridge.adapters["sendgrid"], Pusher(world.house.bridge, "sendgrid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapter, "follow", lambda _, members: [later(reason, 600.0)] * len(members))
        for lane in (pusher.stops, pusher.others, *[pusher.jobs] * 5):
            lane()
            world.house.clock.forward(seconds=5)
    leaves(world, life, "sendgrid")


def test_a_yes_that_came_while_she_was_being_read_was_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A yes between the claim and the reading is told with the rest, and the dispatcher dies."""
    life = lives(world, *STOPPED_AND_BACK)
    queue, seen = world.house.store.queue, list[str]()
    opened = queue._opened

    def between(*told: Any) -> Any:
        if told[0] and not seen:
            seen.append("now")
            world.play(life, "saves both")
        return opened(*told)

    monkeypatch.setattr(queue, "_opened", between)
    world.play(life, "dies after telling sendgrid")
    monkeypatch.undo()
    leaves(world, life, "sendgrid", "offers")


@pytest.mark.parametrize("name", ESPS)
def test_a_stop_that_is_called_done_late_explains_no_later_one(world: World, name: str) -> None:
    """Her stop of before was overtaken by her yes; that it counts as carried out only later says nothing of then."""
    acts = "signs up newsletter", "confirms", "dispatch", "dispatch", "saves none", "saves newsletter"
    life = lives(world, *acts, f"dies after telling {name}")
    perform(world.bulk.running.state, {"esp": name, "email": life.reader.email, "act": "unsubscribe", "purpose": ""})
    world.house.clock.forward(minutes=10)
    adapter, pusher = world.house.bridge.adapters[name], Pusher(world.house.bridge, name)
    with pytest.MonkeyPatch.context() as patch:  # a round in which nobody can say what is stopped there
        patch.setattr(adapter, "left", lambda members, *_, **__: Left((), frozenset(one.email for one in members)))
        pusher.stops()
        pusher.others()
    world.house.clock.forward(hours=3)
    world.ends(0)
    assert not life.reader.may().may, "her last word was no"


@pytest.mark.parametrize("name", ESPS)
def test_her_own_stop_that_was_told_again_is_no_new_one(world: World, name: str) -> None:
    """ESP-03, found by `make torture`: she asks anew, her old stop is told once more and so bears a later time there,
    she confirms, and the dispatcher dies before it has told that. Her yes stands."""
    life = lives(world, *STOPPED_AND_BACK[:-1])
    person = world.house.store.person(life.reader.email)
    assert person is not None
    world.house.clock.forward(days=1)  # so many sign-up mails are sent in a day
    world.play(life, "signs up newsletter")
    world.house.clock.forward(minutes=1)
    world.house.store.queue.tell_again(name, [person.number])
    for act in ("dispatch", "dispatch", "confirms", f"dies before telling {name}", "hours pass"):
        world.play(life, act)
    assert life.reader.may().may
    world.ends(0)
    assert life.reader.may().may
    assert "newsletter" in world.gets(life, name)


@pytest.mark.parametrize("esp", ["mailchimp", "memory"])
def test_news_of_a_stranger_who_took_over_an_address_may_come_twice(home: House, esp: str) -> None:
    """HOOK-02, R13: told again, or twice in one batch, or of a reader by each of her audiences."""
    there = Reader(home, "there@lezer.example")
    there.has_consented("newsletter")
    moved = msgspec.structs.replace(
        Reader(home, "stranger@lezer.example").told_by_esp(EventType.MOVED, key="k"), to=there.email
    )
    for reports in ([moved], [moved], [moved, moved]):
        home.store.hear(esp, reports)
    assert there.may().may
    assert len([event for event in there.story() if event.type is EventType.SUBSCRIBED]) == 2


def test_the_second_audience_that_tells_of_a_move_moves_nobody(home: House) -> None:
    """R13: she is the stranger whom it seems to speak of, and is at her new address already."""
    an = Reader(home, "an@lezer.example")
    an.has_consented("newsletter")
    for key in ("first", "second", "second"):
        told = msgspec.structs.replace(an.told_by_esp(EventType.MOVED, key=key), to="an.new@lezer.example")
        home.store.hear("mailchimp", [told])
        home.clock.forward(seconds=5)
    new = Reader(home, "an.new@lezer.example")
    assert [event.type for event in new.story()].count(EventType.MOVED) == 1
    assert EventType.SUBSCRIBED not in {event.type for event in new.story()}
