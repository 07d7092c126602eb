"""A stop that only the ESP knows, met by a new yes: no yes is written over it (ESP-01, ESP-02; promise 2).

Webhooks get lost; what an ESP then holds of a reader is the only trace of her "no".
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from adapters.sandbox.control import perform
from bridge.adapter import Adapter, AdapterError
from bridge.jobs.reconcile import Reconciler
from bridge.vocabulary import DONE, EventType, Left, Member, Method, Outcome, OutcomeKind, Report, Status
from tests.bulk import Bulk, MakeBulk
from tests.conftest import Reader
from tests.test_dispatch import says_no, says_yes

ESPS = ("mailchimp", "sendgrid")


@pytest.fixture(params=ESPS)
def far(request: pytest.FixtureRequest, make_bulk: MakeBulk) -> Iterator[Bulk]:
    """A house with one of them."""
    bulk = make_bulk(request.param)
    bulk.house.bridge.adapters.pop("memory")
    return bulk


def leaves(bulk: Bulk, reader: Reader, act: str = "unsubscribe", purpose: str = "") -> None:
    """She says no at the ESP; its webhook is lost."""
    (name,) = bulk.names
    bulk.house.clock.forward(minutes=1)
    perform(bulk.running.state, {"esp": name, "email": reader.email, "act": act, "purpose": purpose})
    bulk.house.clock.forward(minutes=1)


def compares(bulk: Bulk) -> int:
    """A comparison a while later, with what follows; how many differences it found."""
    bulk.house.clock.forward(hours=1)
    (name,) = bulk.names
    found = Reconciler(bulk.house.bridge, name, dry_run=False, max_changes=10).run().differences
    bulk.settle()
    return found


def receives(bulk: Bulk, reader: Reader) -> list[str]:
    """What she is mailed for there."""
    (name,) = bulk.names
    return bulk.receives(name, reader.email)


def test_a_yes_to_another_purpose_does_not_take_her_stop_away(far: Bulk, an: Reader) -> None:
    """ESP-02: she left everything there, then says yes here to one thing: that comes, the rest is a no on both sides."""
    an.has_consented("newsletter")
    leaves(far, an)
    says_yes(far.house, an, "offers")
    far.settle()
    compares(far)

    assert receives(far, an) == ["offers"]
    assert an.status("newsletter") is Status.WITHDRAWN
    assert an.may("offers").may
    assert compares(far) == 0, "and both sides say the same"


def test_a_stop_there_to_what_she_never_asked_for_is_heard_too(far: Bulk, an: Reader) -> None:
    """ESP-02: of a purpose without any word of hers here the platform's no is the only one: a comparison keeps it."""
    an.has_consented("newsletter")
    far.settle()
    leaves(far, an, purpose="offers" if far.names == ["sendgrid"] else "")
    compares(far)

    assert [event.type for event in an.story() if event.purpose == "offers"] == [EventType.UNSUBSCRIBED]
    assert an.may("newsletter").may is (far.names == ["sendgrid"])


def test_her_later_stop_there_is_not_overtaken_by_her_earlier_yes(far: Bulk, an: Reader) -> None:
    """R2, R3: yes here at ten, no there at eleven, told at twelve: the no is the last word, for that yes too."""
    an.has_consented("newsletter")
    far.settle()
    says_yes(far.house, an, "offers")
    leaves(far, an)
    far.settle()
    compares(far)

    assert receives(far, an) == []
    assert not an.may("newsletter").may
    assert not an.may("offers").may
    assert not compares(far)


def test_a_complaint_there_is_not_overtaken(far: Bulk, an: Reader) -> None:
    """R6: a complaint is an objection to everything, also where only the platform heard it."""
    an.has_consented("newsletter")
    says_yes(far.house, an, "offers")
    leaves(far, an, act="complain")
    far.settle()
    compares(far)

    assert receives(far, an) == []
    assert not an.may("newsletter").may
    assert not an.may("offers").may


def test_what_was_heard_names_its_road_and_its_time(far: Bulk, an: Reader) -> None:
    """CON-06: the evidence of such a stop says which platform held it, and since when."""
    an.has_consented("newsletter")
    leaves(far, an)
    left = far.house.clock() - timedelta(minutes=1)
    says_yes(far.house, an, "offers")
    far.settle()
    compares(far)

    (heard,) = (event for event in an.story() if event.type is EventType.UNSUBSCRIBED and event.purpose != "offers")
    assert (heard.source, heard.method) == (far.names[0], Method.RECONCILE)
    assert abs(heard.time - left) <= timedelta(seconds=1)


@pytest.mark.parametrize("crashes", [False, True])
def test_a_stop_of_hers_that_we_wrote_there_is_no_news(far: Bulk, an: Reader, *, crashes: bool) -> None:
    """ESP-03: she stops here and thinks better of it while the platform is being told: her yes stands."""
    an.has_consented("newsletter")
    far.settle()
    says_no(far.house, an, "newsletter")
    (name,) = far.names
    (push,) = far.house.store.queue.claim_pushes(name, 1)
    far.house.clock.forward(seconds=2)
    says_yes(far.house, an, "newsletter")
    far.house.clock.forward(seconds=2)  # the call that was under way reaches it only now
    (told,) = far.house.bridge.adapters[name].put([Member(email=an.email, stopped=frozenset({"newsletter"}))])
    if not crashes:
        far.house.store.queue.finish_pushes([(push, DONE if told.kind is OutcomeKind.PENDING else told)])
    far.house.clock.forward(minutes=10)
    far.settle()

    assert receives(far, an) == ["newsletter"]
    assert an.may("newsletter").may
    assert not compares(far)


def says_her_first_yes(bulk: Bulk, reader: Reader) -> None:
    """She confirms; nobody has told the platform yet."""
    reader.signs_up("newsletter")
    link = reader.link("/confirm/")
    bulk.house.clock.forward(minutes=2)
    assert bulk.house.client.post(link).status_code == 200


def seems_to_fail(bulk: Bulk, told: Member, act: Callable[[], None] = lambda: None) -> None:
    """A call about her that the platform carries out, and answers that it failed; meanwhile somebody acts."""
    (name,) = bulk.names
    bulk.house.clock.forward(minutes=30)
    (push,) = bulk.house.store.queue.claim_pushes(name, 1)
    act()
    bulk.house.bridge.adapters[name].put([told])
    bulk.house.store.queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "internal", maybe=True))])


@pytest.mark.parametrize("calls", [1, 2])
def test_nor_is_one_that_we_wrote_by_a_call_that_seemed_to_fail(far: Bulk, an: Reader, calls: int) -> None:
    """ESP-03: she says yes and stops before the platform hears of either, and thinks better of it while it is told to
    stop. No call ever told a yes of hers, so the stop there can only be ours."""
    says_her_first_yes(far, an)
    says_no(far.house, an, "newsletter")
    stop = Member(email=an.email, stopped=frozenset({"newsletter"}))
    for _ in range(calls - 1):
        seems_to_fail(far, stop)
    seems_to_fail(far, stop, lambda: says_yes(far.house, an, "newsletter"))
    far.house.clock.forward(minutes=30)
    far.settle()

    assert receives(far, an) == ["newsletter"]
    assert an.may("newsletter").may
    assert not compares(far)


def test_after_a_call_that_may_have_told_her_yes_a_stop_there_counts(far: Bulk, an: Reader) -> None:
    """R2, promise 2: a call that seemed to fail may have switched her on there: what stands there may be her own no."""
    says_her_first_yes(far, an)
    yes = Member(email=an.email, on=frozenset({"newsletter"}), fresh=frozenset({"newsletter"}))
    seems_to_fail(far, yes, lambda: says_no(far.house, an, "newsletter"))
    seems_to_fail(far, yes, lambda: says_yes(far.house, an, "newsletter"))  # the stop did not get there
    leaves(far, an)
    far.settle()

    assert receives(far, an) == []
    assert not an.may("newsletter").may


def test_what_we_wrote_there_after_her_complaint_is_no_news(far: Bulk, an: Reader) -> None:
    """R6, ESP-03: she complains there and asks anew here; then we hear of it and write it there: her yes stands."""
    complaint, link = complains_and_asks_anew(far, an)
    far.house.store.hear(far.names[0], [complaint])
    far.house.dispatch()
    far.house.clock.forward(minutes=30)
    far.house.client.post(link)
    far.settle()

    assert {p for p in ("newsletter", "offers") if an.may(p).may} == {"newsletter", "offers"}
    if far.names == ["sendgrid"]:  # Mailchimp waits for her own answer to its mail
        assert receives(far, an) == ["newsletter", "offers"]
        assert not compares(far)


@pytest.mark.parametrize("far", ["sendgrid"], indirect=True)  # at Mailchimp who complained cannot leave once more
def test_a_stop_there_that_we_did_not_write_counts_beside_a_complaint(far: Bulk, an: Reader) -> None:
    """ESP-02, R2: her complaint is heard and not written there yet; what she left there by herself since is a no."""
    complaint, link = complains_and_asks_anew(far, an)
    far.house.store.hear(far.names[0], [complaint])
    leaves(far, an, purpose="newsletter")
    far.house.client.post(link)
    far.settle()

    assert not an.may("newsletter").may


def complains_and_asks_anew(far: Bulk, reader: Reader) -> tuple[Report, str]:
    """The complaint that nobody has told us yet, and the link that confirms what she asked for since."""
    reader.has_consented("newsletter")
    far.settle()
    leaves(far, reader, act="complain")
    complaint = reader.told_by_esp(EventType.COMPLAINED)
    far.house.clock.forward(days=2)
    reader.signs_up("newsletter", "offers")
    link = reader.link("/confirm/")
    far.house.clock.forward(minutes=30)
    return complaint, link


def test_while_nobody_can_say_only_stops_are_sent(far: Bulk, an: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail closed, decision 23: the platform does not say what it holds: a yes waits, a no goes, nothing is lost."""
    an.has_consented("newsletter")
    says_yes(far.house, an, "offers")
    far.settle()
    leaves(far, an)
    (name,) = far.names

    def silent(*_: object, **__: object) -> None:
        raise AdapterError(f"{name}: no answer")

    monkeypatch.setattr(type(far.house.bridge.adapters[name]), "left", silent)
    says_yes(far.house, an, "offers")
    far.house.clock.forward(seconds=5)
    says_no(far.house, an, "newsletter")
    for _ in range(3):
        far.send()
        far.house.clock.forward(minutes=10)
    assert receives(far, an) == []
    assert far.waiting() == 1

    monkeypatch.undo()
    far.settle()
    assert receives(far, an) == ["offers"]


def test_many_at_once_are_asked_for_together(make_bulk: MakeBulk) -> None:
    """Contracts section 10: of many people a stop there is found without a call for each."""
    bulk = make_bulk("sendgrid")
    emails = bulk.people(40, "newsletter")
    bulk.settle()
    perform(bulk.running.state, {"esp": "sendgrid", "email": emails[0], "act": "unsubscribe", "purpose": "newsletter"})
    bulk.house.clock.forward(minutes=1)
    for email in emails:
        says_yes(bulk.house, Reader(bulk.house, email), "offers")
    bulk.calls("sendgrid")
    bulk.settle()

    assert sum(bulk.calls("sendgrid").values()) < 20
    assert bulk.receives("sendgrid", emails[0]) == ["offers"]
    bulk.equal(emails[1:])


@pytest.mark.parametrize("first", ["webhook", "look"])
def test_one_stop_by_two_roads_is_one_stop(far: Bulk, an: Reader, first: str) -> None:
    """HOOK-02: a webhook that comes after the look that found its stop, or before it, is no second event."""
    an.has_consented("newsletter")
    far.settle()
    leaves(far, an)
    (name,) = far.names
    moment = far.house.clock() - timedelta(minutes=1)
    told = Report(type=EventType.UNSUBSCRIBED, email=an.email, time=moment, key="told", purpose="newsletter")
    if first == "webhook":
        far.house.store.hear(name, [told])
    says_yes(far.house, an, "offers")
    far.settle()
    if first == "look":
        far.house.store.hear(name, [told])
    compares(far)

    stops = [event for event in an.story() if event.type is EventType.UNSUBSCRIBED]
    assert len({event.purpose for event in stops} & {"newsletter", ""}) == len(stops) == 1


def test_a_revived_address_is_told_for_all_that_stood(far: Bulk, an: Reader) -> None:
    """R7: an old yes, a bounce there, a new confirmed yes to something else: the mailbox lives, and both are told."""
    an.has_consented("newsletter")
    far.settle()
    (name,) = far.names
    leaves(far, an, act="bounce")
    far.house.store.hear(name, [an.told_by_esp(EventType.BOUNCED)])
    far.settle()
    far.house.clock.forward(days=2)
    says_yes(far.house, an, "offers")
    far.house.clock.forward(minutes=5)
    far.send()
    far.house.clock.forward(minutes=5)
    far.send()

    assert {p for p in ("newsletter", "offers") if an.may(p).may} == {"newsletter", "offers"}
    assert not [event for event in an.story() if event.type is EventType.BOUNCED][1:], "and no second bounce is made up"
    if name == "sendgrid":
        far.settle()
        assert receives(far, an) == ["newsletter", "offers"]


def test_when_one_of_many_had_left_the_others_are_asked_about_anew(make_bulk: MakeBulk) -> None:
    """21 new yeses ride a batch that lifts nothing; 20 are told by direct calls that do: those are asked about first."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(22, "newsletter")
    bulk.settle()
    state = bulk.running.state
    perform(state, {"esp": "mailchimp", "email": emails[0], "act": "unsubscribe", "purpose": ""})
    bulk.house.clock.forward(minutes=1)
    for email in emails:
        says_yes(bulk.house, Reader(bulk.house, email), "offers")
    bulk.house.clock.forward(minutes=1)
    perform(state, {"esp": "mailchimp", "email": emails[1], "act": "unsubscribe", "purpose": ""})  # newer than her yes
    bulk.settle()

    assert bulk.receives("mailchimp", emails[0]) == ["offers"]
    assert bulk.receives("mailchimp", emails[1]) == []
    bulk.equal(emails)


def test_two_stops_with_a_yes_between_are_two(far: Bulk, an: Reader) -> None:
    """HOOK-02: within one minute she leaves, comes back and leaves again: the last word is no."""
    an.has_consented("newsletter")
    far.settle()
    (name,) = far.names
    first, second = (
        Report(type=EventType.UNSUBSCRIBED, email=an.email, time=time, key=key, purpose="newsletter", method=method)
        for time, key, method in (
            (far.house.clock(), "one", Method.RECONCILE),
            (far.house.clock() + timedelta(seconds=40), "two", Method.WEBHOOK),
        )
    )
    far.house.store.hear(name, [first])
    far.house.clock.forward(seconds=10)
    says_yes(far.house, an, "newsletter")
    far.house.clock.forward(seconds=40)
    far.house.store.hear(name, [second])

    assert not an.may("newsletter").may


def test_one_who_cannot_be_asked_about_holds_up_nobody(make_bulk: MakeBulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """ESP-06: her own new yes waits; everybody else's is told, and stops too."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(3, "newsletter")
    adapter = bulk.house.bridge.adapters["mailchimp"]
    real = type(adapter).left

    def odd(self: Adapter, members: Sequence[Member], *args: Any, **more: Any) -> Left:
        found = real(self, members, *args, **more)
        return found._replace(unasked=frozenset({emails[1]}))

    monkeypatch.setattr(type(adapter), "left", odd)
    bulk.send()

    assert [bulk.receives("mailchimp", email) for email in emails] == [["newsletter"], [], ["newsletter"]]
    assert bulk.waiting() == 1
    monkeypatch.undo()
    bulk.settle()
    bulk.equal(emails)


def test_an_adapter_that_stumbles_over_the_question_holds_back_no_stop(
    far: Bulk, an: Reader, dirk: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 23: whatever goes wrong while asking, a no goes at once."""
    for reader in (an, dirk):
        reader.has_consented("newsletter")
    far.settle()
    (name,) = far.names

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake of the adapter's")

    monkeypatch.setattr(type(far.house.bridge.adapters[name]), "left", broken)
    says_yes(far.house, an, "offers")
    says_no(far.house, dirk, "newsletter")
    far.send()
    assert receives(far, dirk) == []

    monkeypatch.undo()
    far.settle()
    assert receives(far, an) == ["newsletter", "offers"]
