"""What every adapter promises, run over each of them: memory, and Mailchimp and SendGrid at the sandbox.

ESP-01 (the store decides), ESP-03 (twice is as good as once), ESP-04 (erased there), ESP-06 (down: fail closed),
HOOK-01 (nothing unverified), MIN-04. An adapter of yours passes when it is added to `FAR_SIDES`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.mailchimp import Mailchimp
from adapters.memory import SIGNATURE, Account, Memory, _accounts, sign
from adapters.sandbox.control import perform, tune
from adapters.sandbox.courier import Webhooks, public_key
from adapters.sandbox.server import Running, start
from adapters.sendgrid import SendGrid
from bridge.adapter import Adapter, AdapterError, Unverified, find
from bridge.vocabulary import DONE, EventType, Incoming, Member, Outcome, OutcomeKind, Report
from tests.adapters import judge
from tests.adapters.conftest import AN, BRAM, CARLA, LINK, an

BOTH = frozenset({"newsletter", "offers"})
NEWS = frozenset({"newsletter"})
NOBODY_AT_HOME = "http://127.0.0.1:1"


@dataclass
class FarSide:
    """An ESP and the adapter that speaks to it."""

    adapter: Adapter
    leaves: Callable[[str], object]  # a reader leaves everything at the ESP itself
    goes_down: Callable[[], object]

    def put(self, *members: Member) -> list[Outcome]:
        """Tell the ESP and follow its jobs to their end, one look a job."""
        outcomes = self.adapter.put(members)
        for _ in range(50):
            jobs: dict[str, list[int]] = {}
            for place, outcome in enumerate(outcomes):
                for job in outcome.job.split():
                    jobs.setdefault(job, []).append(place)
            if not jobs:
                return outcomes
            for job, places in jobs.items():
                told = self.adapter.follow(job, [members[place] for place in places])
                assert len(told) == len(places)
                for place, found in zip(places, told, strict=True):
                    if found.kind is not OutcomeKind.PENDING:
                        outcomes[place] = _without(outcomes[place], job, found)
        raise AssertionError("the job never ends")

    @property
    def people(self) -> dict[str, Member]:
        """Everybody there, by address."""
        return {member.email: member for member in self.adapter.members()}

    def on(self, email: str) -> frozenset[str]:
        """What she gets there."""
        return self.people[email].on if email in self.people else frozenset()


def _without(outcome: Outcome, job: str, found: Outcome) -> Outcome:
    """One job less; what is weightier counts."""
    left = " ".join(other for other in outcome.job.split() if other != job)
    if left or outcome.kind is not OutcomeKind.PENDING:
        return outcome._replace(job=left)
    return found


@pytest.fixture(scope="module")
def sandbox(keys: dict[str, str]) -> Iterator[Running]:
    running = start(port=0, webhooks=Webhooks(), judge=judge.judge_for_the_sandbox)
    yield running
    running.stop()


@pytest.fixture
def esps(sandbox: Running) -> Iterator[Running]:
    """The sandbox with nobody in it and jobs that are done at once; every request stood up to the judge."""
    sandbox.state.reset()
    for name in ("mailchimp", "sendgrid"):
        tune(sandbox.state.esp(name), {"job_seconds": 0})
    tune(sandbox.state.esp("sendgrid"), {"search_seconds": 0})
    yield sandbox
    assert sandbox.state.refusals == []


def memory(request: pytest.FixtureRequest) -> FarSide:
    name = request.node.name
    request.addfinalizer(lambda: _accounts.pop(name, None))
    adapter = Memory({"MEMORY_NAME": name, "MEMORY_WEBHOOK_SECRET": "s"}, {"newsletter": {}, "offers": {}}, {})
    account: Account = adapter.account

    def leaves(email: str) -> None:
        account.people[email].left |= BOTH
        account.people[email].on.clear()

    return FarSide(adapter, leaves, lambda: setattr(account, "down", True))


def mailchimp(request: pytest.FixtureRequest) -> FarSide:
    keys, running = request.getfixturevalue("keys"), request.getfixturevalue("esps")
    settings = {
        "MAILCHIMP_API_KEY": keys["mailchimp_api_key"],
        "MAILCHIMP_BASE_URL": f"{running.url}/mailchimp/3.0",
        "MAILCHIMP_WEBHOOK_SECRET": keys["mailchimp_path_secret"],
        "MAILCHIMP_WEBHOOK_SIGNING_SECRET": keys["mailchimp_signing_secret"],
    }
    places = {
        "newsletter": {"audience": "a1b2c3d4e5", "interest": "11aa22bb33"},
        "offers": {"audience": "a1b2c3d4e5", "interest": "44cc55dd66"},
    }
    return _at_sandbox(Mailchimp(settings, places, {}), running)


class Impatient(SendGrid):
    """Does not wait between looks at an export."""

    pause = staticmethod(lambda _: None)


def sendgrid(request: pytest.FixtureRequest) -> FarSide:
    keys, running = request.getfixturevalue("keys"), request.getfixturevalue("esps")
    settings = {
        "SENDGRID_API_KEY": keys["sendgrid_api_key"],
        "SENDGRID_BASE_URL": f"{running.url}/sendgrid",
        "SENDGRID_WEBHOOK_PUBLIC_KEY": public_key(keys["sendgrid_private_key_pem"]),
    }
    places = {
        "newsletter": {"list": "7f0c8a52-0c6e-4f6e-9a01-000000000001", "group": "101"},
        "offers": {"list": "7f0c8a52-0c6e-4f6e-9a01-000000000002", "group": "102"},
    }
    return _at_sandbox(Impatient(settings, places, {}), running)


def _at_sandbox(adapter: Adapter, running: Running) -> FarSide:
    def happens(email: str) -> object:
        return perform(running.state, {"esp": adapter.name, "email": email, "act": "unsubscribe"})

    return FarSide(adapter, happens, lambda: tune(running.state.esp(adapter.name), {"mode": "down"}))


FAR_SIDES: dict[str, Callable[[pytest.FixtureRequest], FarSide]] = {
    "memory": memory,
    "mailchimp": mailchimp,
    "sendgrid": sendgrid,
}


@pytest.fixture(params=FAR_SIDES)
def far(request: pytest.FixtureRequest) -> FarSide:
    return FAR_SIDES[request.param](request)


def test_it_is_found_by_its_name(far: FarSide) -> None:
    """One file and one line: the entry point."""
    assert isinstance(far.adapter, find(far.adapter.name))
    assert far.adapter.batch >= 1


def test_a_yes_here_is_mail_there(far: FarSide) -> None:
    assert far.put(an(fresh=True), an(email=BRAM, on=BOTH, fresh=True)) == [DONE, DONE]

    assert far.on(AN) == NEWS
    assert far.on(BRAM) == BOTH
    assert far.people[AN].link == LINK


def test_twice_is_as_good_as_once(far: FarSide) -> None:
    """ESP-03."""
    for _ in range(2):
        assert far.put(an(fresh=True)) == [DONE]
        assert far.put(an()) == [DONE]
    assert far.on(AN) == NEWS
    assert list(far.people) == [AN]


def test_one_outcome_each_in_order(far: FarSide) -> None:
    assert far.adapter.put([]) == []
    assert len(far.put(an(), an(email=BRAM, on=frozenset()), an(email=CARLA))) == 3


def test_many_at_once_are_as_good_as_one_by_one(far: FarSide) -> None:
    """Decisions 24 and 27: yeses, stops and an address the ESP will not take, more than it tells by direct calls."""
    many = [an(email=f"p{number}@krant.example", on=BOTH if number % 2 else NEWS, fresh=True) for number in range(40)]
    assert far.put(*many) == [DONE] * 40
    later = [an(email=member.email, on=frozenset(), stopped=BOTH) for member in many[::4]]

    assert far.put(*later, *many[1::4]) == [DONE] * 20

    people = far.people
    assert [people[member.email].on for member in many[1::2]] == [BOTH] * 20
    assert all(people[member.email].on == frozenset() for member in later)
    assert all(people[member.email].on == NEWS for member in many[2::4])


def test_nobody_is_created_who_has_nothing_on(far: FarSide) -> None:
    """MIN-04: asked but not confirmed, stopped, or blocked: no contact there."""
    members = [an(on=frozenset()), an(email=BRAM, on=frozenset(), stopped=BOTH), an(email=CARLA, blocked=True)]

    assert far.put(*members) == [DONE] * 3

    assert far.people == {}


def test_leaving_one_leaves_the_other_alone(far: FarSide) -> None:
    """R5."""
    far.put(an(on=BOTH, fresh=True))

    assert far.put(an(on=NEWS, stopped=frozenset({"offers"}))) == [DONE]
    assert far.on(AN) == NEWS


def test_a_yes_for_one_topic_lifts_no_stop_of_another(far: FarSide) -> None:
    """R2, R5: she left there, we have not heard of it yet, and says yes to one topic again: only that comes back."""
    far.put(an(on=BOTH, fresh=True))
    far.leaves(AN)

    far.put(an(on=BOTH, fresh=frozenset({"offers"})))

    assert far.on(AN) == {"offers"}


def test_a_pause_holds_mail_back_and_ends_without_a_new_yes(far: FarSide) -> None:
    """PRF, peers pain 10: a pause is no stop, so its end needs no act of hers."""
    far.put(an(fresh=True))

    assert far.put(an(on=frozenset(), paused=NEWS)) == [DONE]
    assert far.on(AN) == frozenset()

    assert far.put(an()) == [DONE]
    assert far.on(AN) == NEWS


def test_a_stop_there_during_a_pause_outlives_the_pause(far: FarSide) -> None:
    """R2: the end of a pause is no yes."""
    far.put(an(fresh=True))
    far.put(an(on=frozenset(), paused=NEWS))
    far.leaves(AN)

    far.put(an())

    assert far.on(AN) == frozenset()


def test_a_stop_here_is_a_stop_there(far: FarSide) -> None:
    far.put(an(on=BOTH, fresh=True))

    for _ in range(2):
        assert far.put(an(on=frozenset(), stopped=BOTH)) == [DONE]
    assert far.on(AN) == frozenset()


def test_a_blocked_address_gets_nothing(far: FarSide) -> None:
    far.put(an(on=BOTH, fresh=True))

    assert far.put(an(on=BOTH, blocked=True)) == [DONE]
    assert far.on(AN) == frozenset()


def test_a_late_push_does_not_lift_a_stop_but_a_new_yes_does(far: FarSide) -> None:
    """R2, R3: what counts is the reader's own act since."""
    far.put(an(on=BOTH, fresh=True))
    far.put(an(on=frozenset(), stopped=BOTH))

    far.put(an(on=BOTH))
    assert far.on(AN) == frozenset()

    assert far.put(an(on=BOTH, fresh=True)) == [DONE]
    assert far.on(AN) == BOTH


def test_who_left_there_stays_away_until_she_says_yes_here(far: FarSide) -> None:
    """ESP-02, ESP-05: their link is one more door."""
    far.put(an(on=BOTH, fresh=True))
    far.leaves(AN)
    assert far.on(AN) == frozenset()

    far.put(an(on=BOTH))
    assert far.on(AN) == frozenset()
    assert far.people[AN].stopped == BOTH

    assert far.put(an(on=BOTH, fresh=True)) == [DONE]
    assert far.on(AN) == BOTH


def test_what_is_held_of_an_address_is_told_to_the_last_field(far: FarSide) -> None:
    """RGT-01, GDPR 15: by address and in order, also of one who left; nothing of one that is not there; no change."""
    far.put(an(), an(email=BRAM, on=BOTH))
    before = far.people
    hers, nobodys, his = far.adapter.held([AN.upper(), CARLA, BRAM]) or ()
    assert AN in hers.values()
    assert BRAM in his.values()
    assert LINK in hers.values()
    assert nobodys == {}
    assert not any(AN in value for value in his.values())
    assert far.people == before
    far.leaves(AN)
    (after,) = far.adapter.held([AN]) or ()
    assert after != hers, "what she left is there too"


def test_erased_is_gone_and_never_there_is_fine(far: FarSide) -> None:
    """ESP-04."""
    far.put(an(fresh=True), an(email=BRAM, fresh=True))

    assert far.adapter.erase([AN, CARLA]) == [DONE, DONE]
    assert far.adapter.erase([AN]) == [DONE]

    assert list(far.people) == [BRAM]


def test_an_esp_that_is_down_is_an_error_and_nothing_else(far: FarSide) -> None:
    """ESP-06: the caller keeps its work and comes back."""
    far.goes_down()
    for call in (
        lambda: far.adapter.put([an(fresh=True)]),
        lambda: far.adapter.put([an(on=frozenset(), stopped=BOTH)]),
        lambda: far.adapter.erase([AN]),
        lambda: far.adapter.held([AN]),
        lambda: list(far.adapter.members()),
    ):
        with pytest.raises(AdapterError) as caught:
            call()
        assert AN not in str(caught.value)


def test_setup_twice_does_nothing_the_second_time(far: FarSide) -> None:
    far.adapter.setup()
    assert not [step for step in far.adapter.setup() if step.made]


def test_check_finds_nothing_wrong_here(far: FarSide) -> None:
    assert [finding for finding in far.adapter.check() if not finding.ok] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"type=unsubscribe", b"\xff\x00", b'[{"event":"unsubscribe"}]'])
def test_an_unsigned_call_is_refused(far: FarSide, body: bytes) -> None:
    """HOOK-01: nothing of it is read."""
    for headers in ({}, {SIGNATURE: "0" * 64}, {"x-mailchimp-signature": "t=1,v1=0"}):
        with pytest.raises(Unverified):
            far.adapter.verify(Incoming(headers=headers, body=body, secret="guess"))


@pytest.mark.parametrize("body", [b"", b"[]", b"[1]", b"{}", b"\xff\x00", b"type=unsubscribe", b"[" * 2000])
def test_a_call_that_makes_no_sense_is_no_news(far: FarSide, body: bytes) -> None:
    assert far.adapter.parse(Incoming(headers={}, body=body)) == []


# Bad days at the sandbox.


def at_sandbox(name: str, request: pytest.FixtureRequest) -> tuple[FarSide, Callable[..., object]]:
    far = FAR_SIDES[name](request)
    running: Running = request.getfixturevalue("esps")
    return far, lambda **how: tune(running.state.esp(name), how)


@pytest.mark.parametrize("name", ["mailchimp", "sendgrid"])
def test_after_many_errors_the_state_is_right_in_the_end(name: str, request: pytest.FixtureRequest) -> None:
    """ESP-06: saying it again to those for whom it failed is all that is needed."""
    far, trouble = at_sandbox(name, request)
    wanted = [an(on=BOTH, fresh=True), an(email=BRAM, fresh=True), an(email=CARLA, on=frozenset(), stopped=BOTH)]
    far.put(*(an(email=member.email, on=BOTH, fresh=True) for member in wanted))
    trouble(mode="errors", every=11)

    left = wanted
    for _ in range(60):
        try:
            left = [member for member, outcome in zip(left, far.put(*left), strict=True) if outcome != DONE]
        except AdapterError:
            continue
    assert left == []

    trouble(mode="up")
    assert [far.on(member.email) for member in wanted] == [BOTH, NEWS, frozenset()]


@pytest.mark.parametrize("name", ["mailchimp", "sendgrid"])
def test_a_call_that_was_heard_but_not_answered_may_be_said_again(name: str, request: pytest.FixtureRequest) -> None:
    """ESP-06: the time limit ends the call, not what it did."""
    far, trouble = at_sandbox(name, request)
    far.adapter._api = _hasty(far.adapter)  # type: ignore[attr-defined]  # both have one
    trouble(mode="hang-after")
    with pytest.raises(AdapterError):
        far.put(an(fresh=True))
    trouble(mode="up")

    assert far.put(an(fresh=True)) == [DONE]
    assert far.on(AN) == NEWS
    assert list(far.people) == [AN]


def _hasty(adapter: Adapter) -> Any:
    """The same account with less patience."""
    return type(adapter._api)(adapter.settings, 0.3)  # type: ignore[attr-defined]  # both have one


@pytest.mark.parametrize("name", ["mailchimp", "sendgrid"])
def test_a_stop_is_carried_out_where_a_yes_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    """One bad person never fails a batch."""
    far, _ = at_sandbox(name, request)
    far.put(an(on=BOTH, fresh=True))

    bad, stop = far.put(an(email="no address", fresh=True), an(on=frozenset(), stopped=BOTH))

    assert bad.kind is OutcomeKind.REFUSED
    assert stop == DONE
    assert far.on(AN) == frozenset()
    request.getfixturevalue("esps").state.sendgrid.refusals.clear()  # the judge saw the bad address too


def test_mailchimps_own_refusals_have_names(request: pytest.FixtureRequest) -> None:
    """Contracts findings 8 and 9."""
    far, trouble = at_sandbox("mailchimp", request)
    running: Running = request.getfixturevalue("esps")
    far.put(an(fresh=True), an(email=BRAM, fresh=True), an(email=CARLA, fresh=True))
    perform(running.state, {"esp": "mailchimp", "email": AN, "act": "compliance"})
    far.adapter.erase([BRAM])
    far.leaves(CARLA)
    trouble(mode="keeps_unsubscribed")

    outcomes = far.put(an(fresh=True), an(email=BRAM, fresh=True), an(email=CARLA), an(email=CARLA, fresh=True))

    assert [outcome.reason for outcome in outcomes] == ["waiting_there", "gone_there", "stopped_there", "waiting_there"]


def test_sendgrids_jobs_may_wait_or_fail(request: pytest.FixtureRequest) -> None:
    """Contracts section 12: 202 but the contact is never there; the plan is full."""
    far, trouble = at_sandbox("sendgrid", request)
    trouble(mode="pending")
    (outcome,) = far.adapter.put([an(fresh=True)])
    assert [told.kind for told in far.adapter.follow(outcome.job, [an(fresh=True)])] == [OutcomeKind.PENDING]

    trouble(mode="contact_limit")
    assert [told.reason for told in far.adapter.follow(outcome.job, [an(fresh=True)])] == ["job_failed"]
    trouble(mode="up")
    assert far.put(an(fresh=True)) == [DONE]


# The sandbox's webhooks, as they come over the wire.


@pytest.mark.parametrize(
    ("name", "act", "expected"),
    [
        ("mailchimp", "unsubscribe", {(EventType.UNSUBSCRIBED, "newsletter"), (EventType.UNSUBSCRIBED, "offers")}),
        ("mailchimp", "complain", {(EventType.COMPLAINED, "")}),
        ("mailchimp", "bounce", {(EventType.BOUNCED, "")}),
        ("sendgrid", "unsubscribe", {(EventType.UNSUBSCRIBED, "")}),
        ("sendgrid", "complain", {(EventType.COMPLAINED, "")}),
        ("sendgrid", "bounce", {(EventType.BOUNCED, "")}),
    ],
)
def test_what_happens_there_is_heard_here(
    keys: dict[str, str], httpserver: Any, name: str, act: str, expected: set[tuple[EventType, str]]
) -> None:
    """HOOK-01, ESP-02: the signed call of the ESP is believed and understood."""
    webhooks = Webhooks(
        mailchimp_url=httpserver.url_for("/webhooks/mailchimp"),
        mailchimp_signing_secret=keys["mailchimp_signing_secret"],
        sendgrid_url=httpserver.url_for("/webhooks/sendgrid"),
        sendgrid_private_key_pem=keys["sendgrid_private_key_pem"],
    )
    httpserver.expect_request(f"/webhooks/{name}").respond_with_data("", 204)
    running = start(port=0, webhooks=webhooks)
    try:
        tune(running.state.esp("sendgrid"), {"job_seconds": 0, "search_seconds": 0})
        far = _far(name, keys, running)
        far.put(an(on=BOTH, fresh=True))
        perform(running.state, {"esp": name, "email": AN, "act": act})
        assert running.state.courier.idle()
    finally:
        running.stop()
    (heard,) = [request for request, _ in httpserver.log if request.method == "POST"]
    headers = {key.lower(): value for key, value in heard.headers.items()}
    call = Incoming(headers=headers, body=heard.data, secret=keys["mailchimp_path_secret"])

    far.adapter.verify(call)
    reports = far.adapter.parse(call)

    assert {(report.type, report.purpose) for report in reports} == expected
    assert {report.email for report in reports} == {AN}


def _far(name: str, keys: dict[str, str], running: Running) -> FarSide:
    fixtures = {"keys": keys, "esps": running}

    class Request:
        getfixturevalue = staticmethod(fixtures.__getitem__)

    return FAR_SIDES[name](Request())  # type: ignore[arg-type]  # all a far side asks of it


# What is peculiar to memory.


def heard(*news: dict[str, object], secret: str = "s") -> tuple[Memory, Incoming]:
    body = json.dumps(news).encode()
    adapter = Memory({"MEMORY_WEBHOOK_SECRET": "s"}, {}, {})
    return adapter, Incoming(headers={SIGNATURE: sign(secret, body)}, body=body)


def test_memory_tells_its_news() -> None:
    good = {"id": "7", "type": "unsubscribed", "email": AN, "time": "2026-11-20T09:15:02Z", "purpose": "offers"}
    adapter, call = heard(good, {"id": 8}, good | {"type": "given"}, good | {"time": "2026-11-20T09:15:02"})

    adapter.verify(call)
    (report,) = adapter.parse(call)

    assert isinstance(report, Report)
    assert (report.type, report.email, report.purpose, report.key) == (EventType.UNSUBSCRIBED, AN, "offers", "memory:7")


def test_memory_refuses_a_wrong_signature() -> None:
    adapter, call = heard({}, secret="another")
    with pytest.raises(Unverified):
        adapter.verify(call)
    assert hashlib.sha256(call.body).digest()  # the body itself was never looked at


def test_memory_can_refuse_one_address() -> None:
    adapter = Memory({"MEMORY_NAME": "picky"}, {"newsletter": {}}, {"first_name": "FIRST"})
    adapter.account.refuse.add(AN)

    outcomes = adapter.put([an(), an(email=BRAM, fields={"first_name": "Bram", "birthday": "1970-01-01"})])

    assert outcomes == [Outcome(OutcomeKind.REFUSED, "refused"), DONE]
    assert adapter.account.people[BRAM].fields == {"FIRST": "Bram"}
    assert adapter.account.calls == [("put", (AN, BRAM))]
