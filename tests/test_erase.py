"""Erased: at once here, and at each ESP until it holds her no more; nothing is left but a keyed hash.

Rows RGT-04, ESP-04, SUP-04, SUP-05, SUP-06, R12, KEY-03; decisions 20, 23 and 24. Both databases, both ESPs.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update

from adapters.memory import Memory
from adapters.memory import Person as There
from bridge.adapter import AdapterError, Misconfigured
from bridge.store.rotate import named
from bridge.store.waiting import LEASE
from bridge.tables import (
    connections,
    erase_work,
    esp_jobs,
    events,
    outbox,
    person_keys,
    pushes,
    stop_list,
    subjects,
    throttle,
)
from bridge.vault import new_id
from bridge.vocabulary import EventType, Outcome, OutcomeKind, Status
from tests.bulk import Bulk, MakeBulk
from tests.conftest import House, Reader
from tests.test_backup import Copies, fresh, keys_of  # noqa: F401  (`fresh` is a fixture)
from tests.test_dispatch import says_no, says_yes
from tests.test_store import asks, consents, disguises, everything, no_room_in, person, stored, withdraws

AN = "an.vandenberg@lezer.example"
MANY = 30


def waiting(house: House) -> dict[str, int]:
    """How many people each ESP must still say the last word about."""
    return {task.name: task.waiting for task in house.store.tasks() if task.name.endswith(" erasures")}


def called(house: House) -> int:
    """How often the ESP in memory was told to erase somebody, since the last time this was asked."""
    found = sum(1 for what, _ in house.esp.calls if what == "erase")
    house.esp.calls.clear()
    return found


def all_over(house: House) -> None:
    """Let the dispatcher work until every ESP said its last word."""
    for _ in range(100):
        house.dispatch()
        if not waiting(house):
            return
        house.clock.forward(minutes=5)
    raise AssertionError("it never comes to an end")


def long_known(house: House, *emails: str) -> None:
    """People with a yes that is old enough for a question anew after their erasure (R12)."""
    for email in emails:
        consents(house, email)
    house.dispatch()
    house.clock.forward(days=31)


def held_there(bulk: Bulk, name: str, email: str) -> bool:
    """Whether this ESP holds her at all."""
    return bool(bulk.running.state.esp(name).person(email)["present"])


# -- here --------------------------------------------------------------------------------------------------------


def test_who_is_erased_is_gone_here_at_once_and_there_soon(house: House, an: Reader, dirk: Reader) -> None:
    """RGT-04, ESP-04: one call takes her off the ESP, a second one is its last word; then the work is gone too."""
    an.has_consented()
    dirk.has_consented()
    called(house)

    done = house.store.erase_person(AN)

    assert (done.known, done.platforms) == (True, ("memory",))
    assert house.store.person(AN) is None
    assert an.status() is Status.UNKNOWN
    assert not an.may().may
    assert waiting(house) == {"memory erasures": 1}
    house.dispatch()
    assert AN not in house.esp.people
    assert called(house) == 1
    assert waiting(house) == {"memory erasures": 1}, "what was on its way may still bring her back"
    house.clock.forward(minutes=11)
    house.dispatch()
    assert called(house) == 1
    assert waiting(house) == {}
    assert dirk.is_on()
    assert house.verify().problems == ()


def test_only_digests_a_stop_and_sealed_work_are_left_of_her(house: House, an: Reader) -> None:
    """SUP-04, R12: in the same transaction; the stop list keeps one keyed hash, whatever it knew of her before."""
    an.has_consented("newsletter", "offers")
    an.one_click()
    asks(house, AN, "newsletter")
    with house.bridge.database.reading() as db:
        digests = list(db.scalars(select(events.c.digest).order_by(events.c.id)))

    house.store.erase_person(AN)

    with house.bridge.database.reading() as db:
        assert list(db.scalars(select(events.c.digest).order_by(events.c.id))) == digests
        assert db.scalar(select(func.count()).where(events.c.sealed.is_not(None))) == 0
        for table in (subjects, person_keys, pushes, outbox):
            assert db.scalar(select(func.count()).select_from(table)) == 0, table.name
        stops = {row.scope: row.reason for row in db.execute(select(stop_list))}
    assert stops[""] == "erased"
    assert house.verify().problems == ()


def test_mails_that_waited_for_her_are_not_sent(house: House, an: Reader) -> None:
    """RGT-04: queue entries go with her."""
    an.signs_up()
    house.store.erase_person(AN)
    assert an.mails() == []
    assert house.store.tasks()[0].waiting == 0


@pytest.mark.parametrize("table", ["erase_work", "stop_list", "erasures"])
def test_erasing_is_all_or_nothing(house: House, an: Reader, table: str) -> None:
    """SUP-04, decision 20: on a full disk nothing is half erased, and nobody is told; the next try works."""
    an.has_consented()
    before = everything(house)
    with no_room_in(house, table), pytest.raises(Exception):  # noqa: B017  (each database fails in its own way)
        house.store.erase_person(AN)
    assert everything(house) == before
    assert house.store.erase_person(AN).known
    all_over(house)
    assert AN not in house.esp.people


def test_an_address_that_is_not_here_is_erased_at_the_platforms_all_the_same(house: House) -> None:
    """RGT-04: a platform may hold an address from before; it stays off by the stop list (SUP-05)."""
    house.esp.people[AN] = _somebody()
    done = house.store.erase_person(AN.upper())
    assert (done.known, done.platforms) == (False, ("memory",))
    all_over(house)
    assert AN not in house.esp.people
    assert [stop.type for stop in house.store.stops(AN)] == [EventType.ERASED]


def _somebody() -> There:
    return There(on={"newsletter"})


def test_without_a_platform_an_unknown_address_writes_nothing(
    make_house: Callable[..., House], database_url: str
) -> None:
    """Nothing half-written: there is nobody to erase and nobody to tell."""
    house = make_house(database_url, BRIDGE_ADAPTERS="")
    before = everything(house)
    assert house.store.erase_person(AN).known is False
    assert everything(house) == before
    consents(house, AN)
    assert house.store.erase_person(AN).platforms == ()
    assert house.store.person(AN) is None


def test_a_person_who_cannot_be_read_is_erased_by_her_address(house: House, an: Reader) -> None:
    """RGT-04: her profile is damaged; what she asked for is done all the same."""
    an.has_consented()
    with house.bridge.database.writing() as db:
        db.execute(update(subjects).values(profile=b"damaged"))
    assert house.store.knows(AN)
    assert house.store.erase_person(AN).known
    all_over(house)
    assert AN not in house.esp.people
    assert not house.store.knows(AN)


def test_erasing_twice_is_as_good_as_once(house: House, an: Reader) -> None:
    """A letter that is answered twice."""
    an.has_consented()
    assert house.store.erase_person(AN).known
    assert not house.store.erase_person(AN).known
    all_over(house)
    assert AN not in house.esp.people


# -- requests that were never confirmed ---------------------------------------------------------------------------


def test_the_purge_tells_an_esp_that_may_know_her_and_no_other(house: House) -> None:
    """CON-06, ESP-04: she asked here, never confirmed, and subscribed at the platform's own form."""
    asks(house, AN)
    asks(house, "dirk@lezer.example")
    house.esp.people[AN] = _somebody()
    house.hear(Reader(house, AN).told_by_esp(EventType.SUBSCRIBED, "newsletter"))
    house.dispatch()
    house.clock.forward(days=8)
    called(house)

    assert house.store.forget_requests() == 2

    assert waiting(house) == {"memory erasures": 1}
    all_over(house)
    assert AN not in house.esp.people
    assert {email for what, emails in house.esp.calls if what == "erase" for email in emails} == {AN}


# -- what is under way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pending", "reversed", "shuffled"])
def test_a_late_job_cannot_bring_her_back(both: Bulk, mode: str) -> None:
    """Decision 24: erased at once by a direct call, again when the job that named her has ended; nobody else is."""
    emails = both.people(MANY)
    house, gone = both.house, emails[::3]
    for name in both.names:
        both.trouble(name, mode=mode)
    both.send()
    for email in emails[::3]:
        house.store.erase_person(email)
    both.send()
    for name in both.names:
        both.trouble(name, mode="up")
    assert all(held_there(both, "mailchimp", email) for email in gone), "this is the danger: the job overtook it"
    assert all(held_there(both, "sendgrid", email) for email in gone)

    both.settle()
    all_over(house)

    assert not any(held_there(both, name, email) for name in both.names for email in gone)
    both.equal(emails)
    assert both.receives("mailchimp", emails[1]) == ["newsletter"]


def test_while_a_job_is_open_the_work_is_not_forgotten(both: Bulk) -> None:
    """Decisions 20, 24: for hours; the key is destroyed with the last word and not before."""
    (email, *_) = both.people(MANY)
    for name in both.names:
        both.trouble(name, mode="pending")
    both.send()
    both.house.store.erase_person(email)
    for _ in range(8):
        both.send()
        both.house.clock.forward(hours=1)
    assert waiting(both.house) == {"mailchimp erasures": 1, "sendgrid erasures": 1}
    for name in both.names:
        both.trouble(name, mode="up")
    both.settle()
    all_over(both.house)
    assert not any(held_there(both, name, email) for name in both.names)


def test_a_job_that_nobody_knows_cannot_bring_her_back(both: Bulk) -> None:
    """Decision 24: a dispatcher was killed after the ESP took the job; only the note it left behind names her."""
    (email,) = both.people(1)
    house = both.house
    for name in both.names:
        both.trouble(name, mode="pending")
        queue, pusher = house.store.queue, house.dispatcher._pusher(name)
        (errand,) = pusher._claim(1, None)
        queue.jobs.begin(name, [errand.push.person.number])
        if name == "mailchimp":  # alone she would go by a direct call
            house.bridge.adapters[name]._start([errand.member], [0])  # type: ignore[attr-defined]  # as in bulk
        else:
            house.bridge.adapters[name].put([errand.member])
    house.clock.forward(minutes=5)  # ... and here it was killed
    house.store.erase_person(email)
    both.send()
    for name in both.names:
        both.trouble(name, mode="up")
    assert held_there(both, "mailchimp", email), "this is the danger: the lost job overtook her erasure"

    house.clock.forward(minutes=30)
    both.send()
    assert waiting(house), "the job may still be carried out"
    all_over(house)

    assert not any(held_there(both, name, email) for name in both.names)


def test_a_call_that_was_on_its_way_cannot_bring_her_back(house: House, an: Reader) -> None:
    """Decision 24: another dispatcher holds her in its hands while she is erased, and its call comes in late."""
    an.has_consented()
    says_yes(house, an, "offers")
    pusher = house.dispatcher._pusher("memory")
    (errand,) = pusher._claim(1, None)
    house.store.erase_person(AN)
    house.dispatch()
    assert AN not in house.esp.people
    house.bridge.adapters["memory"].put([errand.member])
    assert AN in house.esp.people, "this is the danger: the late call brought her back"
    pusher._finish([(errand.push, Outcome(OutcomeKind.DONE))])

    house.clock.forward(seconds=LEASE.total_seconds() + 1)
    house.dispatch()

    assert AN not in house.esp.people
    all_over(house)
    assert AN not in house.esp.people


def test_a_job_that_was_begun_by_that_call_cannot_either(house: House, an: Reader) -> None:
    """Decision 24: the call began a job after she was erased; whatever job is open when it is over may name her."""
    an.has_consented()
    says_yes(house, an, "offers")
    pusher = house.dispatcher._pusher("memory")
    (errand,) = pusher._claim(1, None)
    house.store.erase_person(AN)
    house.dispatch()
    house.clock.forward(seconds=30)
    queue = house.store.queue
    (number,) = queue.jobs.started("memory", {"late": ([errand.push.person.number], 3600.0)}).values()
    called(house)
    for _ in range(6):
        house.clock.forward(minutes=20)
        queue_is_left = house.dispatcher._eraser("memory").erasures
        while queue_is_left():
            pass
    assert waiting(house) == {"memory erasures": 1}
    house.bridge.adapters["memory"].put([errand.member])  # the job is carried out, and ends
    with house.bridge.database.writing() as db:
        db.execute(esp_jobs.delete().where(esp_jobs.c.number == number))
    all_over(house)
    assert AN not in house.esp.people


# -- the ESP is away ----------------------------------------------------------------------------------------------


def test_it_is_never_given_up(house: House, an: Reader) -> None:
    """Decision 23: away for ten days; tried at least every few minutes, listed, and done when it is back."""
    an.has_consented()
    house.esp.down = True
    house.store.erase_person(AN)
    for _ in range(10):
        house.dispatch()
        house.clock.forward(hours=24)
    with house.bridge.database.reading() as db:
        due, made, attempts = db.execute(select(erase_work.c.due, erase_work.c.made, erase_work.c.attempts)).one()
    assert house.clock() - made > timedelta(days=9)
    assert attempts == 10
    assert due <= house.clock(), "never longer than some minutes after the last try"
    house.esp.down = False
    all_over(house)
    assert AN not in house.esp.people


def test_an_esp_that_does_not_lose_her_is_asked_again_and_named(
    house: House, an: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """ESP-04: verified; failure is retried and listed, after an hour as an error, without her address."""
    an.has_consented()
    house.bridge.adapters["memory"] = _Stubborn(house)
    house.store.erase_person(AN)
    with caplog.at_level(logging.INFO):
        house.dispatch()
        house.clock.forward(hours=2)
        house.dispatch()
    said = [record.levelno for record in caplog.records if "1 erased people are not known to be gone" in record.message]
    assert said == [logging.WARNING, logging.ERROR]
    assert AN not in caplog.text
    assert waiting(house) == {"memory erasures": 1}
    house.bridge.adapters["memory"] = Memory(house.bridge.adapters["memory"].settings, {}, {})
    all_over(house)


class _Wrapped(Memory):
    """The ESP in memory of a house, with a mind of its own."""

    def __init__(self, house: House) -> None:
        known = house.bridge.adapters["memory"]
        super().__init__(known.settings, known.places, known.fields)
        self.house = house


class _Stubborn(_Wrapped):
    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """She is still found there."""
        return [Outcome(OutcomeKind.LATER, "still_there")] * len(emails)


def test_an_address_that_an_adapter_stumbles_over_holds_back_nobody_else(house: House) -> None:
    """ESP-04: its own mistake with one address."""
    emails = [f"lezer{number}@lezer.example" for number in range(5)]
    for email in emails:
        consents(house, email)
    house.dispatch()
    house.bridge.adapters["memory"] = _Stumbling(house)
    for email in emails:
        house.store.erase_person(email)
    house.dispatch()
    house.clock.forward(minutes=11)
    house.dispatch()
    assert set(house.esp.people) == {emails[2]}
    assert waiting(house) == {"memory erasures": 1}
    assert not house.dispatcher._pusher("memory").circuit.is_open, "it is no ground to let stops wait"


class _Stumbling(_Wrapped):
    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """It cannot read one of them."""
        if any("lezer2@" in email for email in emails):
            raise ValueError
        return super().erase(emails)


@pytest.mark.parametrize("error", [Misconfigured("a scope is missing"), AdapterError("busy", 600.0)])
def test_an_erasure_that_is_refused_makes_no_stop_wait(house: House, dirk: Reader, error: Exception) -> None:
    """WDR-11, decision 24: a key that may not erase, or a limit on erasing alone; the next stop leaves at once."""
    dirk.has_consented()
    consents(house, AN)
    house.dispatch()
    house.bridge.adapters["memory"] = _Refusing(house, error)
    house.store.erase_person(AN)
    house.dispatch()
    withdraws(house, dirk.email)
    house.dispatch()
    assert not dirk.is_on()
    assert waiting(house) == {"memory erasures": 1}


class _Refusing(_Wrapped):
    def __init__(self, house: House, error: Exception) -> None:
        super().__init__(house)
        self.error = error

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Not now."""
        raise self.error


def test_it_takes_a_connection_as_every_call_does(make_bulk: MakeBulk) -> None:
    """Decision 26: where others hold all that the account allows, it waits, and two are kept for stops."""
    bulk = make_bulk("mailchimp")
    house, name = bulk.house, "mailchimp"
    (email,) = bulk.people(1)
    bulk.settle()
    house.store.erase_person(email)
    until = house.clock() + LEASE
    with house.bridge.database.writing() as db:
        rows = [{"adapter": name, "slot": slot, "lease": new_id(), "until": until} for slot in range(8)]
        db.execute(insert(connections), rows)
    bulk.calls(name)
    bulk.send()
    assert bulk.calls(name) == {}
    house.clock.forward(seconds=LEASE.total_seconds() + 1)
    bulk.send()
    assert not held_there(bulk, name, email)
    assert bulk.connections() == 0


def test_several_programs_at_once_lose_nobody(house: House, make_house: Callable[..., House]) -> None:
    """Decisions 23, 25: three dispatchers on one database."""
    emails = [f"lezer{number}@lezer.example" for number in range(12)]
    for email in emails:
        consents(house, email)
    house.dispatch()
    for email in emails:
        house.store.erase_person(email)
    others = [make_house(house.environment["BRIDGE_DATABASE_URL"]) for _ in range(3)]
    for _ in range(3):
        threads = [threading.Thread(target=other.dispatcher._eraser("memory").erasures) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        house.dispatch()
        house.clock.forward(minutes=11)
    assert not house.esp.people.keys() & set(emails)
    assert waiting(house) == {}


def test_a_clock_that_is_set_back_keeps_nobody_waiting(house: House, an: Reader) -> None:
    """What was promised while the clock was a year ahead is done all the same."""
    an.has_consented()
    today = house.clock()
    house.clock.forward(days=365)
    house.store.erase_person(AN)
    house.clock.now = today
    all_over(house)
    assert AN not in house.esp.people


# -- somebody new --------------------------------------------------------------------------------------------------


def test_who_signs_up_anew_is_not_erased_again_and_not_swallowed(house: House, an: Reader) -> None:
    """R12, ESP-04: a permanent delete is a one-way door at some ESPs; whoever holds the address now said yes."""
    long_known(house, AN)
    before = person(house, AN)
    house.esp.down = True
    house.store.erase_person(AN)
    house.dispatch()
    house.clock.forward(minutes=1)
    consents(house, AN)
    assert person(house, AN).id != before.id
    house.esp.down = False
    called(house)
    house.clock.forward(minutes=10)

    all_over(house)

    assert called(house) == 0
    assert an.is_on()
    assert an.may().may


def test_who_says_yes_while_the_call_is_made_is_not_swallowed(house: House, an: Reader) -> None:
    """R12: her own push went out first, then the late delete came in: she is told again."""
    long_known(house, AN)
    house.store.erase_person(AN)
    house.clock.forward(minutes=1)
    house.bridge.adapters["memory"] = _Slow(house, lambda: consents(house, AN))
    house.dispatch()
    assert an.is_on(), "told again at once, and not only when all is over"
    all_over(house)
    assert an.is_on()


class _Slow(_Wrapped):
    def __init__(self, house: House, meanwhile: Callable[[], object]) -> None:
        super().__init__(house)
        self.meanwhile: Callable[[], object] | None = meanwhile

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """She signs up and is told of while this call is on its way."""
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
            self.house.dispatcher._pusher("memory").others()
        return super().erase(emails)


def test_a_delete_that_came_in_too_late_does_not_keep_her_off(house: House, an: Reader) -> None:
    """R12: a call without an answer may be carried out minutes later, when somebody new is on the list already."""
    long_known(house, AN)
    house.esp.down = True
    house.store.erase_person(AN)
    house.dispatch()
    house.clock.forward(minutes=1)
    house.esp.down = False
    consents(house, AN)
    house.dispatch()
    assert an.is_on()
    house.esp.people.pop(AN)  # the call of then is carried out now
    all_over(house)
    assert an.is_on()


def test_who_asked_anew_and_did_not_confirm_is_erased_there(house: House, an: Reader) -> None:
    """ESP-04: only a live yes is a ground for an ESP to hold her."""
    long_known(house, AN)
    house.esp.down = True
    house.store.erase_person(AN)
    house.clock.forward(minutes=1)
    asks(house, AN)
    house.esp.down = False
    house.clock.forward(minutes=10)
    all_over(house)
    assert AN not in house.esp.people
    assert house.store.knows(AN)
    assert len(an.mails()) == 2, "she is asked, as anybody"


def test_erased_back_and_erased_again(house: House, an: Reader) -> None:
    """R12, SUP-04: two erasures of one address wait together; both end, and she is off."""
    long_known(house, AN)
    house.esp.down = True
    house.store.erase_person(AN)
    house.clock.forward(minutes=1)
    consents(house, AN)
    house.clock.forward(minutes=1)
    house.store.erase_person(AN)
    assert waiting(house) == {"memory erasures": 2}
    house.esp.down = False
    all_over(house)
    assert AN not in house.esp.people
    assert not an.may().may


ACTS = ("yes", "other yes", "no", "erase", "anew", "send", "mailchimp ends", "sendgrid ends", "both mixed", "time")
_numbers = count(1)


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example is short enough to read as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(st.sampled_from(ACTS), min_size=4, max_size=12), seed=st.integers(1, 1000))
@example(acts=["send", "erase", "send", "anew", "send", "both mixed", "send"], seed=1)
@example(acts=["other yes", "send", "erase", "anew", "sendgrid ends", "send", "mailchimp ends", "time"], seed=2)
@example(acts=["send", "no", "send", "erase", "both mixed", "anew", "send", "erase", "send"], seed=3)
@example(acts=["send", "other yes", "send", "erase", "send", "sendgrid ends", "anew", "no", "send"], seed=4)
def test_in_every_order_no_esp_holds_whom_it_may_not(both: Bulk, acts: list[str], seed: int) -> None:
    """ESP-04, R12, decision 24: pushes, late and mixed jobs, erasures and sign-ups anew, in any order.

    Afterwards no ESP holds who was erased, unless she is somebody new with a word of her own; nobody is mailed without
    a live yes, and who has one is on the list, but where the ESP itself takes her back by its own form only.
    """
    house, turn = both.house, next(_numbers)
    house.clock.forward(hours=1)
    for adapter in house.bridge.adapters.values():
        adapter.bulk = 500
    emails = [f"e{turn}-{number}@lezer.example" for number in range(22)]
    for email in emails:
        consents(house, email)
    for name in both.names:
        both.trouble(name, mode="shuffled", every=seed)
    for place, act in enumerate(acts):
        house.clock.forward(seconds=3)
        _play(both, act, [emails[0], emails[place % len(emails)]], seed)
    for name in both.names:
        both.trouble(name, mode="up")
    both.settle()
    for _ in range(100):
        if not waiting(house):
            break
        house.clock.forward(minutes=5)
        both.settle()

    assert waiting(house) == {}
    for email in emails:
        may = sorted(p for p in ("newsletter", "offers") if house.store.may_mail(email, p).may)
        for name in both.names:
            there = both.running.state.esp(name).person(email)
            assert sorted(there["receives"]) == ([] if there.get("forgotten") else may), (name, email)
            if not house.store.knows(email):
                assert not there["present"], (name, email)
    assert house.verify().problems == ()


def _play(bulk: Bulk, act: str, emails: list[str], seed: int) -> None:
    house = bulk.house
    for email in dict.fromkeys(emails):
        reader = Reader(house, email)
        match act:
            case "yes" | "other yes" | "no" if house.store.knows(email):
                say = says_no if act == "no" else says_yes
                say(house, reader, "offers" if act == "other yes" else "newsletter")
            case "erase":
                house.store.erase_person(email)
            case "anew" if not house.store.knows(email):
                with house.bridge.database.writing() as db:
                    db.execute(delete(throttle))  # as if the month were over, while the jobs of before are still open
                consents(house, email)
    match act:
        case "send":
            bulk.send()
        case "time":
            house.clock.forward(minutes=20)
        case "mailchimp ends" | "sendgrid ends" | "both mixed":
            for name in bulk.names if act == "both mixed" else [act.partition(" ")[0]]:
                bulk.trouble(name, mode="up")
                bulk.trouble(name, mode="shuffled" if act == "both mixed" else "reversed", every=seed)


# -- nothing is left ------------------------------------------------------------------------------------------------


def test_afterwards_no_file_table_or_log_holds_anything_of_her(
    house: House, an: Reader, dirk: Reader, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """RGT-04, SUP-04: database, WAL, shm, spool and logs searched for address, id and keys, in every common coding."""
    with caplog.at_level(logging.DEBUG):
        an.has_consented()
        dirk.has_consented()
        an.asks_for_a_link()
        an.one_click()
        subject = person(house, AN).id
        secrets = {"subject id": subject.encode(), "its key": _wrapped(house)}
        house.store.erase_person(AN)
        (work,) = _works(house)
        secrets |= {"id of the work": work.id.encode(), "key of the work": work.wrapped, "its address": work.address}
        house.dispatch()
        for what, found in _places(house, tmp_path, caplog):
            for dress, needle in disguises(AN).items():
                assert needle not in found, (what, dress)
        all_over(house)
        house.store.forget_requests()

    needles = disguises(AN) | secrets
    needles |= {"mailchimp's id": hashlib.md5(AN.encode()).hexdigest().encode()}
    for what, found in _places(house, tmp_path, caplog):
        for dress, needle in needles.items():
            assert needle not in found, (what, dress)


def _wrapped(house: House) -> bytes:
    with house.bridge.database.reading() as db:
        number = person(house, AN).number
        return bytes(db.scalar(select(person_keys.c.wrapped).where(person_keys.c.subject == number)) or b"")


def _works(house: House) -> list[Any]:
    with house.bridge.database.reading() as db:
        return list(db.execute(select(erase_work)).all())


def _places(house: House, folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, bytes]]:
    """Every place where something of her might be: files, every value of every table, the log."""
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("bridge")]
    yield "log", "\n".join(ours).encode()
    yield from stored(house)
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def test_the_key_is_out_of_sqlites_log_with_the_last_word(home: House) -> None:
    """SUP-04, decision 20: while somebody reads the log stays, and nobody waits; the next minute it is emptied."""
    consents(home, AN)
    home.dispatch()
    file = Path(home.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"))
    files = [file, file.with_name(file.name + "-wal")]
    mine = _wrapped(home)
    home.store.erase_person(AN)
    assert not any(mine in each.read_bytes() for each in files)
    (work,) = _works(home)
    home.dispatch()
    home.clock.forward(minutes=11)
    with home.bridge.database.reading() as db:
        db.execute(select(subjects.c.number)).all()
        home.dispatch()
        assert any(work.wrapped in each.read_bytes() for each in files)
    assert home.store.forget_requests() == 0
    assert not any(work.wrapped in each.read_bytes() for each in files)


def test_an_erasure_whose_log_cannot_be_emptied_now_is_told_as_done(home: House) -> None:
    """Who was told "nothing was changed" would tell the reader so; another writer holds SQLite after the commit."""
    database = home.bridge.database
    with database._own_turn():
        assert database.forget_log() is False
    assert database.forget_log() is True


# -- copies and keys ------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(
    house: House,
    tmp_path: Path,
    make_house: Callable[..., House],
    fresh: Callable[[str], str],  # noqa: F811  (the fixture)
) -> Copies:
    """The house with its settings in a file, and a drawer of backups."""
    return Copies(house, tmp_path / "settings.env", make_house, fresh)


def test_a_restored_backup_does_not_bring_her_back_and_still_tells_the_esp(shop: Copies) -> None:
    """SUP-06, decisions 19 and 20: an older copy with the newest keys, in which the work stands."""
    house = shop.house
    consents(house, AN)
    consents(house, "bram@lezer.example")
    house.dispatch()
    old = shop.backs_up("old")
    house.esp.down = True
    house.store.erase_person(AN)
    newest = shop.backs_up("newest")
    for file in (old, newest, keys_of(newest)):
        for dress, needle in disguises(AN).items():
            assert needle not in file.read_bytes(), dress

    new, told = shop.restores(old, keys_of(newest))

    assert (told["people"], told["dark"]) == (1, 1)
    assert new.store.person(AN) is None
    assert waiting(new) == {"memory erasures": 1}
    new.esp.down = False
    assert AN in new.esp.people
    all_over(new)
    assert AN not in new.esp.people
    assert "bram@lezer.example" in new.esp.people
    assert new.store.stops(AN)[0].type is EventType.ERASED


def test_after_a_restore_a_job_that_nobody_follows_is_waited_for(shop: Copies) -> None:
    """Decision 24: erased at once, and again a day later, when no job of the time before can be open any more."""
    house = shop.house
    consents(house, AN)
    house.dispatch()
    number = house.store.queue.jobs.begin("memory", [person(house, AN).number])
    house.store.erase_person(AN)
    with house.bridge.database.reading() as db:
        assert db.scalar(select(erase_work.c.jobs)) == str(number)
    file = shop.backs_up("copy")
    new, _ = shop.restores(file)
    new.dispatch()
    assert AN not in new.esp.people
    new.esp.people[AN] = _somebody()  # the job is carried out
    new.clock.forward(hours=23)
    new.dispatch()
    assert waiting(new) == {"memory erasures": 1}
    new.clock.forward(hours=2)
    new.dispatch()
    assert AN not in new.esp.people
    assert waiting(new) == {}


def test_rotation_takes_the_work_along_and_a_root_it_needs_is_not_dropped(shop: Copies) -> None:
    """KEY-03: listed, refused while a row needs the root, and moved with the people."""
    house = shop.house
    consents(house, AN)
    house.dispatch()
    house.esp.down = True
    house.store.erase_person(AN)
    assert named(house.bridge.database)["vault1"]["erase_work"] == 1
    shop.told("keys", "rotate", "vault", "--new")
    shop.starts()
    shop.told("keys", "rotate", "vault", "--restarted")
    shop.house = shop.starts()
    result = shop.types("keys", "drop", "vault", "vault1")
    assert result.exit_code == 1
    assert "rows of people name it" in result.stderr
    shop.told("keys", "rotate", "vault")
    assert "erase_work" not in named(shop.house.bridge.database).get("vault1", {})

    assert "stops of people we do not hold" in shop.types("keys", "drop", "vault", "vault1").stderr

    shop.house.esp.down = False
    all_over(shop.house)
    assert AN not in shop.house.esp.people


def test_a_row_whose_root_is_missing_waits_and_holds_back_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """KEY-03: it is named in the log, without her address, and done when the key is back."""
    for email in (AN, "bram@lezer.example"):
        consents(house, email)
    house.dispatch()
    house.store.erase_person(AN)
    with house.bridge.database.writing() as db:
        db.execute(update(erase_work).values(kid="gone"))
    house.store.erase_person("bram@lezer.example")
    house.dispatch()
    assert "bram@lezer.example" not in house.esp.people
    assert "cannot be opened" in caplog.text
    with house.bridge.database.writing() as db:
        db.execute(update(erase_work).where(erase_work.c.kid == "gone").values(kid="vault1"))
    all_over(house)
    assert AN not in house.esp.people
