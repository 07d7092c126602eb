"""Attacks that once worked: clocks set back, stale leases, retries, jobs, contracts and old links. GDPR 7(3), 28."""

from collections.abc import Sequence
from datetime import date

import msgspec
import pytest

from adapters.memory import Memory
from bridge.adapter import MailLater, Transport
from bridge.mailer import stop_token
from bridge.spool import Parked
from bridge.vocabulary import DONE, EventType, Letter, Member, Method, Outcome, OutcomeKind
from tests.conftest import House, Reader


@pytest.fixture
def an(home: House) -> Reader:
    """An reads."""
    return Reader(home, "an.vandenberg@lezer.example")


def stop_link(house: House, reader: Reader) -> str:
    """The link that lies in ESP fields and old mails: for everything."""
    person = house.store.person(reader.email)
    assert person is not None
    return stop_token(house.bridge.links, person.id, person.mark, house.clock())


def replace_adapter(house: House, adapter: Memory) -> None:
    house.bridge.adapters["memory"] = adapter


class JobEsp(Memory):
    """An ESP that takes whoever gets mail as a job, which is done at the next look."""

    puts = 0

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        self.puts += len(members)
        jobs = zip(super().put(members), members, strict=True)
        return [Outcome(OutcomeKind.PENDING, "job", 0.0, "j") if member.on else done for done, member in jobs]

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        return [DONE] * len(members)


@pytest.mark.parametrize("minutes", [1, 4, 50])
def test_a_stop_counts_though_the_clock_was_set_back(home: House, an: Reader, minutes: int) -> None:
    """WDR-04: a no that was answered "done" is done, whatever this machine thinks the time is."""
    an.has_consented("newsletter")
    link = stop_link(home, an)
    home.clock.forward(minutes=-minutes - 4)

    assert home.client.post(f"/u/{link}").status_code == 200

    assert not an.may().may
    home.clock.forward(days=1)
    assert not an.may().may
    assert home.verify().problems == ()


@pytest.mark.parametrize("kind", [EventType.COMPLAINED, EventType.UNSUBSCRIBED, EventType.BOUNCED])
def test_what_an_esp_tells_counts_though_the_clock_was_set_back(home: House, an: Reader, kind: EventType) -> None:
    """WDR-04: a yes that was written while the clock was wrong does not overtake the no that came after it."""
    an.has_consented("newsletter")
    home.clock.forward(minutes=-30)
    home.hear(an.told_by_esp(kind))

    assert not an.may().may
    home.clock.forward(days=1)
    assert not an.may().may
    home.dispatch()
    assert not an.is_on()
    assert home.verify().problems == ()


def test_a_parked_stop_counts_though_the_clock_was_set_back(home: House, an: Reader) -> None:
    """WDR-04, decision 21: parked for minutes, written while the clock is still behind her yes."""
    an.has_consented("newsletter")
    person = home.store.person(an.email)
    assert person is not None
    home.clock.forward(minutes=-30)
    stop = Parked(subject=person.id, mark=person.mark, purpose="", time=home.clock(), method=Method.ONE_CLICK)
    home.bridge.spool.park(stop)
    home.clock.forward(minutes=5)

    assert home.bridge.acts.parking.replay() == 1

    home.clock.forward(days=1)
    assert not an.may().may


def test_leaving_one_of_two_ends_where_the_esp_works_by_jobs(home: House, an: Reader) -> None:
    """Decision 24: the job that carries what stays on is followed to its end, once."""
    an.has_consented("newsletter", "offers")
    esp = JobEsp({"MEMORY_NAME": home.environment["MEMORY_NAME"]}, home.bridge.policy.places("memory"), {})
    replace_adapter(home, esp)
    an.saves(an.asks_for_a_link(), "offers")

    for _ in range(30):
        home.dispatch()
        home.clock.forward(seconds=40)

    assert esp.puts <= 3
    assert not any(task.waiting for task in home.store.tasks())
    assert (an.is_on("newsletter"), an.is_on("offers")) == (False, True)


def test_an_old_answer_does_not_hold_up_a_newer_stop(home: House, an: Reader) -> None:
    """WDR-11: a call that began before the stop and failed after it delays the stop by nothing."""
    an.has_consented("newsletter")
    home.clock.forward(days=2)
    an.signs_up("offers")
    home.clock.forward(minutes=2)
    assert an.confirms().status_code == 200
    (push,) = home.store.queue.claim_pushes("memory", 20)
    home.client.post(f"/u/{stop_link(home, an)}")
    home.store.queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "too_many_signups", 6 * 3600.0))])

    home.dispatch()

    assert not an.is_on("newsletter")


def test_a_call_that_outlived_its_lease_is_corrected_as_a_stop(home: House, an: Reader) -> None:
    """Decision 23: whoever finishes late cannot know what came after; what is sent then goes first and is kept."""
    an.signs_up("newsletter")
    home.clock.forward(minutes=2)
    assert an.confirms().status_code == 200
    (stale,) = home.store.queue.claim_pushes("memory", 20)
    home.clock.forward(minutes=10)
    home.dispatch()  # somebody else took over

    home.store.queue.finish_pushes([(stale, DONE)])

    (again,) = home.store.queue.claim_pushes("memory", 20)
    assert again.stop


def test_a_retry_lifts_nothing_once_her_yes_was_taken(home: House, an: Reader) -> None:
    """R2: a yes is told once; what is tried again for another reason leaves a newer stop alone."""

    class Particular(Memory):
        def put(self, members: Sequence[Member]) -> list[Outcome]:
            super().put(members)
            return [Outcome(OutcomeKind.LATER, "kept_prefs", told=True)] * len(members)

    settings = {"MEMORY_NAME": home.environment["MEMORY_NAME"]}
    replace_adapter(home, Particular(settings, home.bridge.policy.places("memory"), {}))
    an.has_consented("newsletter")
    person = home.esp.people[an.email]
    person.left, person.on = {"newsletter"}, set()  # she leaves there; the news is on its way

    for _ in range(3):
        home.clock.forward(hours=2)
        home.dispatch()

    assert not an.is_on()


def test_no_new_yes_begins_at_a_processor_whose_contract_ran_out(home: House, an: Reader) -> None:
    """REG-02: an older stop that still waits is sent; what she said yes to since is not."""
    an.has_consented("newsletter", "offers")
    home.esp.down = True
    an.saves(an.asks_for_a_link(), "offers")
    home.dispatch()
    home.clock.forward(minutes=10)
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    assert an.may("newsletter").may
    home.esp.people[an.email].on.discard("newsletter")
    home.esp.down = False
    processors = home.bridge.policy.processors
    processors["memory"] = msgspec.structs.replace(processors["memory"], review_by=date(2026, 11, 1))
    home.bridge._limits = None
    home.clock.forward(hours=2)

    home.dispatch()

    assert (an.is_on("newsletter"), an.is_on("offers")) == (False, True)


def test_a_confirmation_from_before_a_bounce_promises_nothing(home: House, an: Reader) -> None:
    """R7: pressing it could not lift the bounce, so the page offers a new request instead of saying "done"."""
    an.signs_up("newsletter")
    link = an.link("/confirm/")
    home.clock.forward(minutes=1)
    home.hear(an.told_by_esp(EventType.BOUNCED))
    home.clock.forward(minutes=1)

    assert home.client.post(link).status_code == 410
    assert not an.may().may


def test_an_old_link_may_pause_and_not_end_a_pause(home: House, an: Reader) -> None:
    """Decision 8: mails are forwarded; what raises needs a fresh link."""
    an.has_consented("newsletter")
    old = f"/preferences/{stop_link(home, an)}"
    home.client.post(old, data={"pause_until": "2026-12-24"})
    home.clock.forward(minutes=1)
    assert not an.may().may

    assert 'name="pause_until" value=""' not in home.client.get(old).get_data(as_text=True)
    assert home.client.post(old, data={"pause_until": ""}).status_code == 404
    home.client.post(old, data={"pause_until": "2026-11-24"})
    home.clock.forward(days=10)
    assert not an.may().may, "nor makes it shorter"

    assert home.client.post(an.asks_for_a_link(), data={"pause_until": ""}).status_code == 200
    assert an.may().may


class LosesAnswers(Transport):
    """A road whose other end takes the mail and never says so."""

    def __init__(self) -> None:
        super().__init__("lost:", {})
        self.left: list[str] = []

    def send(self, letter: Letter, ready: object) -> None:
        assert callable(ready)
        ready()
        self.left.append(letter.message_id)
        raise MailLater("no answer", maybe=True)


def test_a_welcome_whose_answer_was_lost_is_not_sent_again(home: House, an: Reader) -> None:
    """Decision 25: welcome and goodbye do not repeat; a confirmation may, with the same Message-ID."""
    an.signs_up("newsletter")
    home.clock.forward(minutes=2)
    assert an.confirms().status_code == 200
    road = home.bridge.transport = LosesAnswers()

    for _ in range(4):
        home.dispatch()
        home.clock.forward(hours=2)
    assert len(road.left) == 1

    Reader(home, "dirk@lezer.example").signs_up("newsletter")
    for _ in range(3):
        home.dispatch()
        home.clock.forward(hours=2)
    assert len(road.left) > 2
    assert len(set(road.left)) == 2
