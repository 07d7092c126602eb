"""Both sides compared: lost news is heard, nobody is on there without a yes here, nothing unknown is touched.

Rows ESP-01, ESP-02, ESP-03, R2, R6, SUP-05; GDPR 5(1)(d), 24. On both databases, with the sandbox's ESPs.
"""

import csv
import json
import signal
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event as listen_event

from adapters.sandbox.control import perform
from adapters.sandbox.server import Running
from bridge.adapter import AdapterError
from bridge.cli import main
from bridge.decide.sides import Here, Repair, There, Verdict, judge
from bridge.jobs.line import on_a_line
from bridge.jobs.reconcile import Difference, Reconciler, Result
from bridge.jobs.sight import Sight
from bridge.policy import Strangers
from bridge.store.sides import CLOSERS
from bridge.tables import EVENT_TYPES
from bridge.vocabulary import EventType, Member, Report, Seen, Status
from tests.bulk import Bulk, settings
from tests.children import Child
from tests.conftest import House, Reader
from tests.reconcile_child import POINTS
from tests.test_dispatch import pauses, says_yes
from tests.test_store import asks, consents, everything, person, withdraws

NAMES = ("mailchimp", "sendgrid")


@pytest.fixture
def both(house: House, running: Running, keys: dict[str, str]) -> Bulk:
    """A house with both ESPs, some hours ago, so that what happens at them comes after what happened here."""
    running.state.reset()
    house.clock.now = datetime.now(UTC) - timedelta(hours=9)
    return Bulk(house, running, keys, NAMES).at_once()


def told(bulk: Bulk, count: int = 3, *purposes: str) -> list[str]:
    """So many readers whom both ESPs know."""
    emails = bulk.people(count, *(purposes or ("newsletter", "offers")))
    bulk.settle()
    bulk.equal(emails)
    return emails


def later(bulk: Bulk) -> None:
    """What happened at the ESPs has settled there."""
    bulk.house.clock.now = max(bulk.house.clock.now, datetime.now(UTC)) + timedelta(minutes=30)


def compare(bulk: Bulk, name: str, *, dry_run: bool = False, most: int = 100) -> tuple[Result, list[Difference]]:
    """One comparison with one ESP."""
    found: list[Difference] = []
    later(bulk)
    job = Reconciler(bulk.house.bridge, name, dry_run=dry_run, max_changes=most, tell=found.append)
    return job.run(), found


def reconcile(bulk: Bulk) -> list[Difference]:
    """Both ESPs, what follows carried out, and once more: the second time nothing is left to do."""
    found = [difference for name in bulk.names for difference in compare(bulk, name)[1]]
    bulk.settle()
    for name in bulk.names:
        result, _ = compare(bulk, name)
        assert result.applied == result.missing == 0, name
    return found


def happens(bulk: Bulk, esp: str, email: str, act: str, purpose: str = "") -> None:
    """Somebody does something at an ESP, and its webhook is lost."""
    perform(bulk.running.state, {"esp": esp, "email": email, "act": act, "purpose": purpose})


def verdicts(found: Sequence[Difference]) -> set[tuple[str, str, str]]:
    """What was said, in short."""
    return {(difference.purpose, difference.verdict, difference.repair) for difference in found}


# -- the rules ---------------------------------------------------------------------------------------------------

FLAGS = ("under_way", "known", "answered", "ours", "refused")
ALL = [
    (here, there, dict(zip(FLAGS, flags, strict=True)))
    for here, there in product(Here, There)
    for flags in product((False, True), repeat=len(FLAGS))
]


def test_in_every_case_a_yes_comes_from_here_and_a_no_from_anywhere() -> None:
    """ESP-01, ESP-02: all combinations of both sides and of what is known besides."""
    for here, there, flags in ALL:
        verdict, repair = judge(here, there, **flags)
        case = (here, there, flags)
        missing = there is There.OFF or (flags["answered"] and not flags["refused"])
        assert (repair is Repair.SUBSCRIBE) <= (here is Here.ON and missing), case
        assert (repair in (Repair.UNSUBSCRIBE, Repair.SWITCH_OFF)) <= (there is There.ON and here is not Here.ON), case
        assert (repair in (Repair.STOP_HERE, Repair.BOUNCE_HERE)) <= (there not in (There.ON, There.OFF)), case
        if flags["under_way"]:
            assert (verdict, repair) == (Verdict.UNDER_WAY, Repair.NONE), case
        elif here is Here.STRANGER and there in (There.ON, There.OFF):
            assert repair is Repair.NONE, case
        elif there is There.ON and here is not Here.ON:
            assert repair is not Repair.NONE, case


def test_a_stop_there_is_kept_here_unless_it_is_known_answered_or_ours() -> None:
    """ESP-02: whatever she is here, an unheard "no" is heard; ASKED answers with her next word."""
    for here, there in product(set(Here) - {Here.ASKED, Here.ERASED}, (There.LEFT, There.COMPLAINED)):
        assert judge(here, there) == (Verdict.WITHDRAWAL, Repair.STOP_HERE)
        assert judge(here, there, known=True)[1] is Repair.NONE
        assert judge(here, there, answered=True, refused=True)[1] is Repair.NONE
    assert judge(Here.ON, There.LEFT, ours=True) == (Verdict.OURS, Repair.NONE)
    assert judge(Here.ON, There.COMPLAINED, ours=True)[1] is Repair.STOP_HERE


# -- one difference each -----------------------------------------------------------------------------------------


def test_equal_sides_differ_in_nothing(both: Bulk) -> None:
    emails = told(both)
    withdraws(both.house, emails[0])
    both.settle()
    before = everything(both.house)
    for name in NAMES:
        result, found = compare(both, name)
        assert (result.differences, result.applied, result.missing, found) == (0, 0, 0, [])
        assert result.compared >= 2
    assert everything(both.house) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_whose_webhook_was_lost_is_found(both: Bulk, name: str) -> None:
    """ESP-02: one run, and every ESP agrees."""
    emails = told(both)
    happens(both, name, emails[1], "unsubscribe")

    found = reconcile(both)

    assert {difference.subject for difference in found} == {person(both.house, emails[1]).id}
    assert verdicts(found) == {
        ("newsletter", "withdrawal wins", "stop here"),
        ("offers", "withdrawal wins", "stop here"),
    }
    assert found[0].theirs == "unsubscribed"
    assert found[0].ours == "given"
    both.equal(emails)
    for other in NAMES:
        assert both.receives(other, emails[1]) == []
    story = both.house.store.story(person(both.house, emails[1]))
    heard = [event for event in story if event.type is EventType.UNSUBSCRIBED]
    assert {(event.source, event.method.value, event.purpose) for event in heard} == {
        (name, "reconcile", "newsletter"),
        (name, "reconcile", "offers"),
    }


def test_a_stop_of_one_list_stops_only_that(both: Bulk) -> None:
    emails = told(both)
    happens(both, "sendgrid", emails[0], "unsubscribe", "offers")
    found = reconcile(both)
    assert verdicts(found) == {("offers", "withdrawal wins", "stop here")}
    assert both.receives("mailchimp", emails[0]) == ["newsletter"]
    both.equal(emails)


@pytest.mark.parametrize("name", NAMES)
def test_a_complaint_that_was_lost_is_an_objection_to_everything(both: Bulk, name: str) -> None:
    """R6."""
    emails = told(both, 3, "newsletter")
    happens(both, name, emails[2], "complain")
    found = reconcile(both)
    assert ("", "withdrawal wins", "stop here") in verdicts(found)
    assert both.house.store.may_mail(emails[2], "newsletter").status is Status.OBJECTED
    assert both.house.store.may_mail(emails[2], "offers").status is Status.OBJECTED
    both.equal(emails)


@pytest.mark.parametrize("name", NAMES)
def test_a_dead_address_that_was_lost_is_a_block_and_no_stop(both: Bulk, name: str) -> None:
    """R7: bounced is for the address; her yes stands beneath it."""
    emails = told(both)
    happens(both, name, emails[0], "bounce")
    found = reconcile(both)
    assert verdicts(found) == {("", "the address is dead there", "note the bounce here")}
    answer = both.house.store.may_mail(emails[0], "newsletter")
    assert not answer.may
    assert answer.status is Status.GIVEN
    both.equal(emails)


@pytest.mark.parametrize("name", NAMES)
def test_who_said_no_here_and_is_on_there_is_switched_off_there(both: Bulk, name: str) -> None:
    """ESP-01: an import at the ESP put her back."""
    emails = told(both)
    withdraws(both.house, emails[0])
    both.settle()
    _on_again(both, name, emails[0], "newsletter")
    assert both.receives(name, emails[0]) != []

    result, found = compare(both, name)
    assert ("newsletter", "withdrawal wins", "unsubscribe there") in verdicts(found)
    assert result.applied == 1
    both.settle()
    both.equal(emails)
    assert compare(both, name)[0].differences == 0


def _on_again(bulk: Bulk, name: str, email: str, *purposes: str) -> None:
    """Somebody puts her on a list at the ESP itself, without asking anybody."""
    if name == "mailchimp":
        for purpose in purposes:
            happens(bulk, name, email, "subscribe", purpose)
        return
    adapter = bulk.house.bridge.adapters[name]
    adapter.put([Member(email=email, on=frozenset(purposes), fresh=frozenset(purposes), first=True)])


@pytest.mark.parametrize("name", NAMES)
def test_an_esps_subscribed_is_no_yes(both: Bulk, name: str) -> None:
    """ESP-01: known here without a yes for that purpose; on there. Off there, and still no yes here."""
    emails = told(both, 2, "newsletter")
    _on_again(both, name, emails[0], "offers")
    assert both.receives(name, emails[0]) == ["newsletter", "offers"]
    found = reconcile(both)
    assert verdicts(found) == {("offers", "no yes here that counts", "unsubscribe there")}
    assert both.house.store.may_mail(emails[0], "offers").status is Status.UNKNOWN
    both.equal(emails)


@pytest.mark.parametrize("name", NAMES)
def test_a_first_sign_up_that_was_never_confirmed_is_off_there(both: Bulk, name: str) -> None:
    """ESP-01, CON-02: nothing of ours was ever there; the ESP holds her all the same."""
    asks(both.house, "bram@lezer.example")
    _on_again(both, name, "bram@lezer.example", "newsletter")
    found = reconcile(both)
    assert ("newsletter", "no yes here that counts", "unsubscribe there") in verdicts(found)
    both.equal(["bram@lezer.example"])


@pytest.mark.parametrize("name", NAMES)
def test_who_is_missing_there_is_told_again(both: Bulk, name: str) -> None:
    emails = told(both)
    _lost(both, name, emails[1])
    assert both.receives(name, emails[1]) == []
    result, found = compare(both, name)
    assert verdicts(found) == {
        ("newsletter", "missing there", "subscribe there"),
        ("offers", "missing there", "subscribe there"),
    }
    assert (result.missing, result.applied) == (1, 1)
    both.settle()
    both.equal(emails)
    assert compare(both, name)[0].differences == 0


def _lost(bulk: Bulk, name: str, email: str) -> None:
    """The ESP loses her without a word."""
    esp: Any = bulk.running.state.esp(name)
    with esp.lock:
        if name == "mailchimp":
            from adapters.sandbox.mailchimp_audience import hashed

            del esp.audience.members[hashed(email)]
        else:
            del esp.contacts.all[email]


def test_more_missing_than_allowed_switches_on_nobody(both: Bulk) -> None:
    """The brake: an audience that was emptied, or a wrong list id, must not mail everybody anew."""
    emails = told(both, 4)
    for email in emails[:3]:
        _lost(both, "mailchimp", email)
    happens(both, "mailchimp", emails[3], "unsubscribe")

    result, found = compare(both, "mailchimp", most=2)
    assert (result.braked, result.missing) == (True, 3)
    assert result.applied == 2, "the stop is heard all the same"
    assert len(found) == 8
    both.settle()
    assert [both.receives("mailchimp", email) for email in emails] == [[], [], [], []]

    assert not compare(both, "mailchimp", most=3)[0].braked
    both.settle()
    both.equal(emails)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_it_does_not_know_is_reported_and_never_touched(both: Bulk, name: str) -> None:
    """Contracts section 12 (hitobito 2752): who came by another form is reported; nothing is deleted."""
    told(both)
    _on_again(both, name, "vreemd@elders.example", "newsletter")
    both.calls(name)
    result, found = compare(both, name)
    (stranger,) = found
    assert (stranger.subject, stranger.email) == ("", "vreemd@elders.example")
    assert (stranger.verdict, stranger.repair) == (Verdict.UNKNOWN, Repair.NONE)
    assert result.applied == 0
    assert all(call.split()[0] == "GET" or call == "POST marketing/contacts/exports" for call in both.calls(name))
    assert both.receives(name, "vreemd@elders.example") == ["newsletter"]
    assert both.house.store.person("vreemd@elders.example") is None
    assert compare(both, name)[0].differences == 1, "reported each time"


@pytest.mark.parametrize("name", NAMES)
def test_a_member_it_does_not_know_is_switched_off_where_the_policy_says_so(both: Bulk, name: str) -> None:
    """ESP-01: on there without a yes here; nobody is deleted, and a list that was not imported yet is not emptied."""
    emails = told(both)
    processors = both.house.bridge.policy.processors
    processors[name] = msgspec.structs.replace(processors[name], strangers=Strangers.UNSUBSCRIBE)
    strangers = [f"vreemd{number}@elders.example" for number in range(3)]
    for stranger in strangers:
        _on_again(both, name, stranger, "newsletter")

    dry, found = compare(both, name, dry_run=True)
    assert (dry.strangers, dry.strangers_braked, dry.applied) == (3, False, 0)
    assert verdicts(found) == {("newsletter", "not known here", "unsubscribe there")}
    few, _ = compare(both, name, most=2)
    assert (few.strangers, few.strangers_braked, few.applied) == (3, True, 0)
    assert both.receives(name, strangers[0]) == ["newsletter"]
    result, _ = compare(both, name, most=3)
    assert (result.strangers, result.strangers_braked, result.applied) == (3, False, 3)
    assert [both.receives(name, stranger) for stranger in strangers] == [[], [], []]
    assert all(both.running.state.esp(name).person(stranger)["present"] for stranger in strangers)
    both.equal(emails)


def test_a_stranger_who_signs_up_meanwhile_is_not_switched_off(both: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """She is known when the reading ends."""
    told(both)
    processors = both.house.bridge.policy.processors
    processors["mailchimp"] = msgspec.structs.replace(processors["mailchimp"], strangers=Strangers.UNSUBSCRIBE)
    _on_again(both, "mailchimp", "vreemd@elders.example", "newsletter")
    end = Reconciler._end_strangers

    def after_a_sign_up(job: Reconciler) -> None:
        consents(both.house, "vreemd@elders.example", "newsletter")
        end(job)

    monkeypatch.setattr(Reconciler, "_end_strangers", after_a_sign_up)
    assert compare(both, "mailchimp")[0].applied == 0
    assert both.receives("mailchimp", "vreemd@elders.example") == ["newsletter"]


@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_stop_is_kept_as_a_hash(both: Bulk, name: str) -> None:
    """SUP-05: no later import mails her."""
    told(both)
    _on_again(both, name, "vreemd@elders.example", "newsletter")
    happens(both, name, "vreemd@elders.example", "unsubscribe")
    found = reconcile(both)
    assert ("newsletter", "withdrawal wins", "stop here") in verdicts(found)
    assert not any(difference.verdict is Verdict.UNKNOWN for difference in found)
    assert both.house.store.may_mail("vreemd@elders.example", "newsletter").status is Status.WITHDRAWN
    assert both.house.store.person("vreemd@elders.example") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_who_said_no_and_is_on_there_is_switched_off_there(both: Bulk, name: str) -> None:
    """SUP-05: only a keyed hash of her is here, and it is a no."""
    told(both)
    email = "vreemd@elders.example"
    now = both.house.clock()
    both.house.store.hear("mail", [Report(type=EventType.UNSUBSCRIBED, email=email, time=now, key="1")])
    _on_again(both, name, email, "newsletter")
    result, found = compare(both, name)
    assert ("newsletter", "withdrawal wins", "unsubscribe there") in verdicts(found)
    assert (result.applied, result.failed) == (1, 0)
    assert both.receives(name, email) == []
    assert compare(both, name)[0].applied == 0


@pytest.mark.parametrize(("name", "left"), [("mailchimp", []), ("sendgrid", ["newsletter"])])
def test_a_strangers_no_to_one_purpose_is_carried_out_for_that(both: Bulk, name: str, left: list[str]) -> None:
    """SUP-05: nothing else of hers is touched, but for what can only be left together with it, as in an audience."""
    told(both)
    email, now = "vreemd@elders.example", both.house.clock()
    both.house.store.hear(
        "mail", [Report(type=EventType.UNSUBSCRIBED, email=email, time=now, key="1", purpose="offers")]
    )
    for purpose in ("newsletter", "offers"):
        _on_again(both, name, email, purpose)
    result, found = compare(both, name)
    assert verdicts(found) == {
        ("newsletter", "not known here", "none"),
        ("offers", "withdrawal wins", "unsubscribe there"),
    }
    assert (result.applied, result.failed) == (1, 0)
    assert both.receives(name, email) == left


@pytest.mark.parametrize("name", NAMES)
def test_who_was_erased_and_is_on_there_again_is_erased_there(both: Bulk, name: str) -> None:
    """ESP-04, SUP-04: only a keyed hash is left of her here; nothing of her may be left there."""
    emails = told(both, 2)
    both.house.store.erase_person(emails[0])
    assert compare(both, name)[0].differences == 0, "her erasure there is under way"
    for _ in range(30):
        both.house.clock.forward(minutes=10)
        both.house.dispatch()
    for other in NAMES:
        esp: Any = both.running.state.esp(other)
        esp.audience.forgotten.clear() if other == "mailchimp" else None
    _on_again(both, name, emails[0], "newsletter")

    result, found = compare(both, name)
    assert verdicts(found) == {("newsletter", "erased here", "erase there")}
    assert (found[0].subject, result.applied) == ("", 1)
    assert compare(both, name)[0].applied == 0, "it is under way"
    for _ in range(30):
        both.house.clock.forward(minutes=10)
        both.house.dispatch()
    assert not both.running.state.esp(name).person(emails[0])["present"]
    assert compare(both, name)[0].differences == 0


def test_who_came_back_after_her_erasure_is_not_erased_again(both: Bulk) -> None:
    """R12: she is a new person, with a yes of her own."""
    emails = told(both, 1)
    both.house.store.erase_person(emails[0])
    both.house.clock.forward(hours=1)
    consents(both.house, "nieuw@lezer.example")
    assert both.house.store.erase_there("mailchimp", ["nieuw@lezer.example"]) == 0
    assert both.house.store.may_mail("nieuw@lezer.example", "newsletter").may


# -- what is no difference ---------------------------------------------------------------------------------------


def test_what_is_just_being_told_is_no_difference(both: Bulk) -> None:
    """A yes and a no whose pushes wait: counted as under way, nothing is written or told."""
    emails = told(both, 3)
    withdraws(both.house, emails[0])
    consents(both.house, "nieuw@lezer.example")
    for name in NAMES:
        result, found = compare(both, name)
        assert (result.under_way, result.applied, found) == (2, 0, []), name
    both.settle()
    both.equal([*emails, "nieuw@lezer.example"])


def test_an_act_of_the_last_minutes_is_no_difference(both: Bulk) -> None:
    """Read lag: the ESP has taken it and does not show it yet."""
    emails = told(both, 2)
    both.house.clock.now = datetime.now(UTC) + timedelta(hours=1)
    withdraws(both.house, emails[0])
    both.send()
    _on_again(both, "sendgrid", emails[0], "newsletter")  # as she is still seen there
    job = Reconciler(both.house.bridge, "sendgrid", dry_run=False, max_changes=9)
    assert (job.run().under_way, job.state.result.applied) == (1, 0)


def test_a_paused_reader_is_off_there_and_equal(both: Bulk) -> None:
    emails = told(both, 2)
    reader = Reader(both.house, emails[0])
    pauses(both.house, reader, days=20)
    both.send()
    both.house.clock.forward(minutes=5)
    both.send()
    for name in NAMES:
        assert compare(both, name)[0].differences == 0, name
    assert both.house.store.may_mail(emails[0], "newsletter").status is Status.GIVEN


def test_who_waits_at_an_esp_is_reported_as_not_taken(both: Bulk) -> None:
    """Mailchimp's compliance state: Mailchimp asked her itself, and only her answer there ends it."""
    emails = told(both, 2)
    happens(both, "mailchimp", emails[0], "compliance")
    later(both)
    says_yes(both.house, Reader(both.house, emails[0]), "offers")
    both.settle()
    result, found = compare(both, "mailchimp")
    assert {difference.repair for difference in found} == {Repair.NONE}
    assert {difference.verdict for difference in found} == {Verdict.REFUSED}
    assert (result.applied, result.missing) == (0, 0)
    assert both.house.store.may_mail(emails[0], "offers").may


def test_a_pause_that_an_esp_cannot_tell_from_a_stop_stops_nothing(both: Bulk) -> None:
    """README, Limits: without an interest a pause is an unsubscribe at Mailchimp, by us."""
    emails = told(both, 2)
    adapter = both.house.bridge.adapters["mailchimp"]
    pauses(both.house, Reader(both.house, emails[0]), hours=1)
    adapter.put([Member(email=emails[0], stopped=frozenset({"newsletter", "offers"}))])  # as it would be without
    adapter.knows_pause = lambda purpose: False  # type: ignore[method-assign]
    both.settle()
    both.house.clock.forward(hours=2)
    both.settle()
    found = compare(both, "mailchimp")[1]
    assert {difference.verdict for difference in found} == {Verdict.OURS}
    assert both.house.store.may_mail(emails[0], "newsletter").may


def test_a_newer_yes_is_not_taken_back_by_an_older_stop_there(house: House, an: Reader) -> None:
    """ESP-03: the ESP keeps a stop that she has answered here since, and refuses her new yes."""
    an.has_consented("newsletter")
    house.esp.people[an.email].left, house.esp.people[an.email].on = {"newsletter"}, set()
    house.esp.refuse.add(an.email)
    house.clock.forward(hours=1)
    says_yes(house, an, "newsletter")
    house.dispatch()
    house.clock.forward(hours=1)
    found: list[Difference] = []
    result = Reconciler(house.bridge, "memory", dry_run=False, max_changes=5, tell=found.append).run()
    assert verdicts(found) == {("newsletter", "her newer yes waits there", "none")}
    assert result.applied == 0
    assert an.may().may


# -- the run -----------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_says_the_same(both: Bulk) -> None:
    emails = told(both, 4)
    happens(both, "mailchimp", emails[0], "unsubscribe")
    _lost(both, "mailchimp", emails[1])
    _on_again(both, "mailchimp", "vreemd@elders.example", "offers")
    before, people = everything(both.house), both.running.state.people()
    dry, said = compare(both, "mailchimp", dry_run=True)
    assert everything(both.house) == before
    assert both.running.state.people() == people
    assert dry.applied == 0

    wet, done = compare(both, "mailchimp")
    assert verdicts(said) == verdicts(done)
    assert dry.differences == wet.differences == 5
    assert wet.applied == 3


def test_whatever_is_lost_one_run_makes_both_sides_equal(both: Bulk) -> None:
    """Issue 4, point 3: no stop lost, nobody subscribed without proof."""
    emails = told(both, 12)
    acts = ["unsubscribe", "complain", "bounce"]
    for number, email in enumerate(emails[:6]):
        happens(both, NAMES[number % 2], email, acts[number % 3])
    _lost(both, "mailchimp", emails[6])
    _lost(both, "sendgrid", emails[7])
    withdraws(both.house, emails[8])
    both.settle()
    for name in NAMES:
        _on_again(both, name, emails[8], "offers")
    reconcile(both)
    both.equal(emails)
    assert [both.house.store.may_mail(email, "newsletter").may for email in emails[:6]] == [False] * 6
    assert all(both.house.store.may_mail(email, "newsletter").may for email in (emails[6], emails[7]))
    assert not both.house.verify().problems


def test_nobody_equal_is_looked_at_one_by_one(both: Bulk) -> None:
    """A fixed number of statements for many people, whose rows are not opened."""
    told(both, 40)
    statements: list[str] = []
    engine = both.house.bridge.database.engine
    listen_event.listen(engine, "before_cursor_execute", lambda _c, _cur, text, *_: statements.append(text))
    for name in NAMES:
        compare(both, name)
    assert not any("profile" in text for text in statements)
    assert len(statements) < 40


def test_an_esp_that_cannot_be_read_changes_nothing(both: Bulk) -> None:
    """ESP-06: half a list is not taken for a whole one."""
    emails = told(both, 3)
    for name in NAMES:
        both.trouble(name, mode="down")
        with pytest.raises(AdapterError):
            compare(both, name)
        both.trouble(name, mode="up")
    both.equal(emails)
    assert both.waiting() == 0


# -- connections -------------------------------------------------------------------------------------------------


def taken(bulk: Bulk) -> int:
    """How many of Mailchimp's connections are in use."""
    with bulk.house.bridge.database.reading() as db:
        return db.exec_driver_sql("SELECT count(*) FROM connections").scalar() or 0


def test_a_reading_counts_among_the_connections_an_esp_allows(both: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 26: one lease from the first page to the last, however long that takes, given back at the end."""
    told(both, 2)
    adapter, seen = both.house.bridge.adapters["mailchimp"], list[int]()
    pages = list(adapter.everybody())

    def slowly(_since: str = "") -> Iterator[Seen]:
        for page in pages * 4:
            both.house.clock.forward(seconds=100)
            seen.append(taken(both))
            yield page

    monkeypatch.setattr(adapter, "everybody", slowly)
    book = both.house.bridge.store.queue.connections
    compare(both, "mailchimp")
    assert set(seen) == {1}
    assert taken(both) == 0
    full = [book.take("mailchimp", 10, urgent=True) for _ in range(10)]
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            for lease in full:
                book.give_back("mailchimp", str(lease))

    assert list(on_a_line(both.house.bridge, "mailchimp", iter("ab"), pause)) == ["a", "b"]
    assert len(waits) == 3
    full = [book.take("mailchimp", 10, urgent=True) for _ in range(10)]
    with pytest.raises(AdapterError, match="all connections are in use"):
        list(on_a_line(both.house.bridge, "mailchimp", iter("ab"), waits.append))
    assert list(on_a_line(both.house.bridge, "sendgrid", iter("ab"), waits.append)) == ["a", "b"]


# -- kills ---------------------------------------------------------------------------------------------------------


def dies(bulk: Bulk, keys: dict[str, str], name: str, point: str) -> None:
    """A comparison in a process of its own is killed at this point."""
    later(bulk)
    esps = settings(bulk.running, keys)
    config = {"environment": bulk.house.environment, "esps": esps, "name": name, "point": point}
    config |= {"now": bulk.house.clock().isoformat()}
    child = Child("tests.reconcile_child", json.dumps(config), environment={})
    assert child.ends() == -signal.SIGKILL, child.errors


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_the_next_run_ends_it(both: Bulk, keys: dict[str, str], name: str, point: str) -> None:
    """Issue 4, point 5: nothing is lost, nothing is written twice."""
    emails = told(both, 5)
    happens(both, name, emails[0], "unsubscribe")
    _lost(both, name, emails[1])
    withdraws(both.house, emails[2])
    both.settle()
    _on_again(both, name, emails[2], "offers")

    dies(both, keys, name, point)
    compare(both, name)
    both.settle()
    result, _ = compare(both, name)

    assert (result.applied, result.missing) == (0, 0)
    both.equal(emails)
    heard = [(e.type, e.purpose) for e in both.house.store.story(person(both.house, emails[0])) if e.source == name]
    assert sorted(heard) == [(EventType.UNSUBSCRIBED, "newsletter"), (EventType.UNSUBSCRIBED, "offers")]


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_reading_goes_on_where_it_was(both: Bulk, keys: dict[str, str], name: str) -> None:
    """What was read is not read again: complaints at Mailchimp, exports at SendGrid."""
    told(both, 3)
    dies(both, keys, name, "read")
    both.calls(name)
    result, _ = compare(both, name)
    assert result.compared == 3
    assert both.calls(name) == {}, "everything had been read"
    compare(both, name)
    assert both.calls(name) != {}, "the next one begins anew"


def test_a_reading_goes_on_from_an_export_that_is_gone(both: Bulk, keys: dict[str, str]) -> None:
    """Links of exports end some day: then it is read anew."""
    emails = told(both, 3)
    happens(both, "sendgrid", emails[0], "unsubscribe")
    dies(both, keys, "sendgrid", "kept")
    esp: Any = both.running.state.esp("sendgrid")
    esp.contacts.exports.clear()
    compare(both, "sendgrid")
    both.settle()
    both.equal(emails)
    assert both.receives("mailchimp", emails[0]) == []


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_reports_without_an_address_and_keeps_the_file_to_its_owner(
    house: House, an: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIN-03: addresses only where asked, and for whoever asked."""
    an.has_consented("newsletter")
    house.esp.people[an.email].left = {"newsletter"}
    house.esp.people[an.email].on = set()
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "differences.csv"

    ran = CliRunner().invoke(main, ["reconcile", "memory", "--dry-run", "--out", str(file)])
    assert ran.exit_code == 0, ran.output
    assert "withdrawal wins: 1" in ran.output
    assert "Nothing was changed" in ran.output
    assert an.email not in ran.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert (row["email"], row["repair"]) == (an.email, "stop here")
    assert an.may().may

    ran = CliRunner().invoke(main, ["reconcile", "memory", "--dry-run", "--out", str(file)])
    assert ran.exit_code == 1, "a file that is there is never overwritten"

    ran = CliRunner().invoke(main, ["reconcile", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    (difference,) = told.pop("differences")
    assert told == {
        "compared": 1, "applied": 1, "under_way": 0, "failed": 0, "missing": 0, "refused": [], "errors": {},
    }  # fmt: skip
    assert difference["subject"] == person(house, an.email).id
    assert difference["ours"] == "given"
    assert difference["theirs"] == "unsubscribed"
    assert an.email not in ran.stdout
    house.clock.now = datetime.now(UTC) + timedelta(minutes=1)
    assert an.status() is Status.WITHDRAWN


def test_the_command_ends_with_1_where_the_brake_holds(
    house: House, an: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    an.has_consented("newsletter")
    house.esp.people.clear()
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(main, ["reconcile", "memory", "--max-changes", "0"])
    assert ran.exit_code == 1
    assert "BRAKE: 1 people would be switched on there, 0 are allowed" in ran.output
    house.dispatch()
    assert not an.is_on()
    assert CliRunner().invoke(main, ["reconcile", "memory"]).exit_code == 0
    house.clock.now = datetime.now(UTC) + timedelta(minutes=1)
    house.dispatch()
    assert an.is_on()


def test_the_command_names_an_esp_that_cannot_be_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.esp.down = True
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(main, ["reconcile", "--json"])
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["errors"] == {"memory": "memory: no answer"}
    assert CliRunner().invoke(main, ["reconcile", "pigeon"]).exit_code == 1


# -- adapters of others, and the sight -----------------------------------------------------------------------------


def test_an_adapter_with_nothing_but_members_is_compared_too(house: House, an: Reader) -> None:
    """docs/another-esp.md: `members` is enough."""
    an.has_consented("newsletter")
    house.clock.forward(minutes=30)
    house.esp.people[an.email].left = {"newsletter"}
    house.esp.people[an.email].on = set()
    found: list[Difference] = []
    Reconciler(house.bridge, "memory", dry_run=False, max_changes=5, tell=found.append).run()
    assert verdicts(found) == {("newsletter", "withdrawal wins", "stop here")}
    assert an.status() is Status.WITHDRAWN


def test_the_index_of_closers_names_the_types_it_means() -> None:
    """Numbers in SQL are the places of the words."""
    assert {EVENT_TYPES.index(kind) + 1 for kind in CLOSERS} == {11, 12, 14, 16, 23, 24}


FACTS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),
        st.sampled_from(
            [
                Seen((), frozenset({"a"})),
                Seen((), frozenset({"a", "b"})),
                Seen((), stop=EventType.UNSUBSCRIBED, purposes=frozenset({"b"})),
                Seen((), stop=EventType.BOUNCED),
                Seen((), stop=EventType.COMPLAINED),
            ]
        ),
    ),
    max_size=8,
)


@given(facts=FACTS, data=st.data())
def test_facts_add_up_in_any_order_and_survive_being_kept(facts: list[tuple[int, Seen]], data: st.DataObject) -> None:
    """ESP-03: pages overlap and come in any order; a stop outweighs an "on"."""
    sights = [Sight(("a", "b"), 3), Sight(("a", "b"), 3)]
    for sight, order in zip(sights, (facts, data.draw(st.permutations(facts * 2))), strict=True):
        for number, seen in order:
            sight.take(sight.bits(seen), [number])
            if seen.stop:
                sight.take_times(seen.stop, {number: 1000 + number})
    one, other = sights[0], Sight.unpack(sights[1].pack())
    assert one.there == other.there
    for number, purpose in product((1, 2, 3), ("a", "b")):
        stands = one.stands(number, purpose)
        assert one.since(number, stands) == other.since(number, stands)
        told = [seen for who, seen in facts if who == number]
        stopped = any(
            seen.stop in (EventType.BOUNCED, EventType.COMPLAINED) or purpose in seen.purposes for seen in told
        )
        assert (stands is There.ON) == (any(purpose in seen.on for seen in told) and not stopped)
