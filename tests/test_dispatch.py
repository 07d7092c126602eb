"""What was promised leaves the house: stops first, each ESP by itself, nothing lost and nothing twice.

GDPR 7(3), 19 and 28; decisions 23 to 25; rows WDR-11, ESP-03, ESP-06, CON-02, MIN-04, REG-02, SND-01.
"""

import re
import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from adapters.memory import Memory, account
from bridge.adapter import AdapterError, MailLater, Misconfigured, Transport
from bridge.decide import gate
from bridge.jobs.circuit import Circuit
from bridge.jobs.dispatch import Dispatcher
from bridge.links import Action, Claim
from bridge.store import StoreAway, StoreBroken
from bridge.store.engine import Database
from bridge.store.values import Mail
from bridge.store.waiting import LEASE
from bridge.store.work import WorkQueue
from bridge.tables import outbox
from bridge.vault import new_id
from bridge.vocabulary import (
    DONE,
    EVERY_PURPOSE,
    READER,
    ConsentEvent,
    EventType,
    Evidence,
    Letter,
    MailKind,
    Member,
    Method,
    Outcome,
    OutcomeKind,
    Status,
)
from tests.conftest import Clock, House, Reader

# -- two more mailing platforms, each a real adapter -------------------------------------------------------------


class Broken(Memory):
    """An ESP whose adapter has a mistake in it: it raises what nobody expects, for some people or for all."""

    name = "broken"
    poison: frozenset[str] = frozenset()
    short: bool = False

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Fail as a programming mistake does."""
        if self.short:
            return []
        if any(member.email in self.poison for member in members):
            raise KeyError("an answer without the field that was always there: an.vandenberg@lezer.example")
        return super().put(members)


class Jobs(Memory):
    """An ESP that takes most things as a job and does them later, in whatever order (decision 24)."""

    name = "jobs"

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.open: dict[str, list[Member]] = {}
        self.holds = True
        self.broken_promises: list[Member] = []
        self.numbers = count(1)

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """A stop is done at once; everything else becomes a job."""
        return [self._take(member) for member in members]

    def _take(self, member: Member) -> Outcome:
        named = any(member.email == waiting.email for job in self.open.values() for waiting in job)
        if named and not (member.stopped or member.blocked):
            self.broken_promises.append(member)
        if member.stopped or member.blocked or not self.holds:
            return super().put([member])[0]
        job = f"job-{next(self.numbers)}"
        self.open[job] = [member]
        return Outcome(OutcomeKind.PENDING, job=job)

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        """Still open, or over."""
        return [Outcome(OutcomeKind.PENDING) if job in self.open else DONE] * len(members)

    def end_jobs(self) -> None:
        """Everything that waits is carried out now, however old it is: like an import that overwrites."""
        for members in self.open.values():
            for member in members:
                self.account.people.pop(member.email.lower(), None)
            super().put([msgspec.structs.replace(member, fresh=member.on) for member in members])
        self.open.clear()


def with_esp(house: House, kind: type[Memory]) -> Any:
    """Give the house one more ESP beside the one it has; it holds the same purposes."""
    name = f"{kind.name}-{new_id()}"
    policy = house.bridge.policy
    for purpose in policy.purposes.values():
        purpose.at[kind.name] = {"list": purpose.id}
    contract = policy.processors["memory"]
    policy.processors[kind.name] = msgspec.structs.replace(contract, adapter=kind.name)
    adapter = kind({"MEMORY_NAME": name}, policy.places(kind.name), {})
    house.bridge.adapters[kind.name] = adapter
    house.store.adapters = (*house.store.adapters, kind.name)
    return adapter


def event(house: House, reader: Reader, kind: EventType, purpose: str, **more: Any) -> ConsentEvent:
    """An act of a known reader, now."""
    person = house.store.person(reader.email)
    assert person is not None
    now = house.clock()
    told = ConsentEvent(
        type=kind,
        subject=person.id,
        time=now,
        received=now,
        source=READER,
        method=Method.PREFERENCE_PAGE,
        key=new_id(),
        purpose=purpose,
    )
    return msgspec.structs.replace(told, **more)


def says_yes(house: House, reader: Reader, purpose: str) -> None:
    """Tick a box on a freshly mailed preference page."""
    words = house.bridge.notices.wording(purpose, "nl")
    proof = Evidence(wording=words.sha256, language="nl", box="ticked", token="0" * 16)
    asked = house.clock()
    house.clock.forward(seconds=1)
    act = event(house, reader, EventType.GIVEN, purpose, asked=asked, channel="preferences", notice=1, evidence=proof)
    house.store.record([act])


def says_no(house: House, reader: Reader, purpose: str) -> None:
    """Untick it."""
    house.store.record([event(house, reader, EventType.WITHDRAWN, purpose)])


def pauses(house: House, reader: Reader, **span: float) -> None:
    """Ask for no mail for a while."""
    until = house.clock() + timedelta(**span)
    house.store.record([event(house, reader, EventType.PAUSED, EVERY_PURPOSE, until=until)])


def settle(house: House, hours: int = 12) -> None:
    """Let the dispatcher work until nothing is left to do, however long it was told to wait."""
    for _ in range(hours * 4):
        house.clock.forward(minutes=15)
        house.dispatch()
        if not any(task.waiting for task in house.store.tasks()):
            return


@pytest.fixture
def bram(house: House) -> Reader:
    """Another reader."""
    return Reader(house, "bram@lezer.example")


class Watched(Transport):
    """The house's own road for mail, with somebody who acts in the middle of it."""

    def __init__(self, road: Transport, act: Callable[[Letter], None]) -> None:
        super().__init__(road.url, road.settings)
        self.road, self.act = road, act

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Act, then send."""
        self.act(letter)
        self.road.send(letter, ready)


def watch(house: House, act: Callable[[Letter], None]) -> None:
    """Let `act` happen before each mail is handed over."""
    house.bridge.transport = Watched(house.bridge.transport, act)


# -- what goes to an ESP, and when -------------------------------------------------------------------------------


def test_an_esp_hears_nothing_before_the_reader_confirmed(house, an):
    """CON-02: double opt-in; before the confirmation nobody is "subscribed" anywhere."""
    an.signs_up("newsletter", "offers")
    house.dispatch()
    house.client.get(an.link("/confirm/"))
    house.clock.forward(hours=70)
    house.dispatch()

    assert house.esp.calls == []

    an.confirms()
    house.dispatch()

    assert [what for what, _ in house.esp.calls] == ["put"]
    assert an.is_on("newsletter")
    assert an.is_on("offers")


def test_a_stop_goes_before_older_work(house, an, bram, dirk):
    """WDR-11: whatever waits, a stop goes first."""
    for reader in (an, bram, dirk):
        reader.has_consented("newsletter")
    for reader in (bram, dirk):
        says_yes(house, reader, "offers")
        house.clock.forward(minutes=1)
    says_no(house, an, "newsletter")
    house.bridge.adapters["memory"].batch = 1
    house.esp.calls.clear()
    while house.dispatcher.pushes("memory"):
        pass

    assert house.esp.calls == [("put", (reader.email,)) for reader in (an, bram, dirk)]


def test_the_gate_closes_at_once_and_the_esp_hears_when_it_is_back(house, an):
    """WDR-11, ESP-06: the ESP is down for hours; no mail passes the gate meanwhile and the stop is never given up."""
    an.has_consented()
    house.esp.down = True
    an.one_click()

    assert not an.may().may
    assert an.status() is Status.WITHDRAWN

    tries = 0
    for _ in range(4 * 60):  # four hours
        house.clock.forward(minutes=1)
        tries += house.dispatch()
        assert not an.may().may
        now = house.clock()
        person = house.store.person(an.email)
        told = house.store.history(person)
        assert not gate(MailKind.MARKETING, told, ["newsletter"], now, house.bridge.limits(now)).may

    assert an.is_on("newsletter"), "the ESP is down: it cannot know yet"
    assert 40 < tries < 120, "a stop is tried about every five minutes, neither less nor in a hurry"

    house.esp.down = False
    house.clock.forward(minutes=5, seconds=1)
    house.dispatch()

    assert not an.is_on("newsletter")


def test_a_stop_is_never_given_up_however_long_it_takes(house, an):
    """WDR-11, decision 23: ten days without the ESP, and still it is told."""
    an.has_consented()
    house.esp.down = True
    an.one_click()
    for _ in range(250):
        house.clock.forward(hours=1)
        house.dispatch()
    house.esp.down = False
    house.clock.forward(hours=1)
    house.dispatch()

    assert not an.is_on("newsletter")
    assert house.store.tasks()[1:] == []


def test_other_work_is_tried_again_ever_more_slowly(house, an):
    """ESP-06: an ESP that is down is not stormed; at most an hour passes between two tries."""
    an.signs_up()
    house.clock.forward(minutes=1)
    an.confirms()
    house.esp.down = True
    gaps, last = [], house.clock()
    for _ in range(5 * 60):
        if house.dispatcher.pushes("memory"):
            gaps.append(house.clock() - last)
            last = house.clock()
        house.clock.forward(minutes=1)

    assert 8 < len(gaps) < 25
    assert max(gaps) <= timedelta(minutes=61)
    assert gaps[-1] >= timedelta(minutes=20)

    house.esp.down = False
    house.clock.forward(hours=1)
    house.dispatch()
    assert an.is_on()


def test_a_wish_to_wait_is_honoured(house, an):
    """ESP-06: `Retry-After`."""
    an.has_consented("newsletter")
    adapter = with_esp(house, Broken)
    asked = []

    def put(members: Sequence[Member]) -> list[Outcome]:
        asked.append(house.clock())
        raise AdapterError("rate limit", wait=600)

    adapter.put = put
    says_yes(house, an, "offers")
    house.dispatch()
    for _ in range(12):
        house.clock.forward(minutes=1)
        house.dispatch()

    assert len(asked) == 2
    assert timedelta(minutes=10) <= asked[1] - asked[0] <= timedelta(minutes=11)


@pytest.mark.parametrize("trouble", ["down", "mistake", "short answer"])
def test_an_esp_in_trouble_holds_no_other_back(house, an, trouble):
    """ESP-06: two ESPs; one is down, or its adapter has a mistake. The other is told at once, the mail leaves."""
    broken = with_esp(house, Broken)
    an.has_consented()
    assert "newsletter" in account(broken.settings["MEMORY_NAME"]).people[an.email].on
    broken.account.down = trouble == "down"
    broken.poison = frozenset({an.email} if trouble == "mistake" else ())
    broken.short = trouble == "short answer"
    an.one_click()
    house.dispatch()

    assert not an.is_on()
    assert [m["Subject"] for m in an.mails()][-1].startswith("De Dagwijzer")

    broken.account.down, broken.poison, broken.short = False, frozenset(), False
    house.clock.forward(minutes=6)
    house.dispatch()
    assert not broken.account.people[an.email].on


def test_one_person_an_adapter_stumbles_over_holds_nobody_else_back(house, an, bram, dirk):
    """ESP-06: the stops of others in the same batch leave at once."""
    broken = with_esp(house, Broken)
    for reader in (an, bram, dirk):
        reader.has_consented()
    broken.poison = frozenset({bram.email})
    for reader in (an, bram, dirk):
        says_no(house, reader, "newsletter")
    house.dispatch()

    assert not broken.account.people[an.email].on
    assert not broken.account.people[dirk.email].on
    assert broken.account.people[bram.email].on

    broken.poison = frozenset()
    house.clock.forward(minutes=6)
    house.dispatch()
    assert not broken.account.people[bram.email].on


def test_a_mistake_in_an_adapter_tells_no_address_to_the_log(house, an, caplog):
    """MIN-03: not even where an exception's text holds one."""
    broken = with_esp(house, Broken)
    broken.poison = frozenset({an.email})
    with caplog.at_level("DEBUG"):
        an.has_consented()

    logged = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("bridge"))
    assert "KeyError" in logged
    assert an.email not in logged
    assert an.email.partition("@")[0] not in logged


def test_a_refused_person_never_fails_the_others(house, an, bram):
    """ESP-06: what an ESP will never take is noted and is nobody else's trouble; nor is it tried for ever."""
    house.esp.refuse.add(bram.email)
    for reader in (an, bram):
        reader.signs_up()
    house.dispatch()
    house.clock.forward(minutes=1)
    for reader in (an, bram):
        reader.confirms()
    house.dispatch()

    assert an.is_on()
    assert not bram.is_on()
    assert bram.may().may, "the store decides, not the ESP"
    assert house.store.tasks()[1:] == []


def test_a_wrong_setting_at_an_esp_waits_for_a_person(house, an, caplog):
    """ESP-06: a key that was revoked: said in the log, tried every five minutes, nothing lost, nobody else held."""
    broken = with_esp(house, Broken)
    asked = []

    def put(members: Sequence[Member]) -> list[Outcome]:
        asked.append(house.clock())
        raise Misconfigured("BROKEN_API_KEY is not accepted: make a new one")

    broken.put = put
    an.has_consented()
    for _ in range(20):
        house.clock.forward(minutes=1)
        house.dispatch()
    assert "BROKEN_API_KEY is not accepted" in caplog.text
    assert 3 <= len(asked) <= 5
    assert an.is_on()

    del broken.put
    house.clock.forward(minutes=6)
    house.dispatch()
    assert broken.account.people[an.email].on == {"newsletter"}


# -- jobs --------------------------------------------------------------------------------------------------------


def test_a_job_is_followed_to_its_end(house, an):
    """Decision 24: what an ESP took as a job is done only when the job is."""
    esp = with_esp(house, Jobs)
    an.has_consented()

    assert esp.account.people == {}
    assert len(esp.open) == 1
    for _ in range(20):
        house.clock.forward(minutes=1)
        house.dispatch()
    assert [task.waiting for task in house.store.tasks() if task.name == "jobs"] == [1]

    esp.end_jobs()
    settle(house)

    assert esp.account.people[an.email].on == {"newsletter"}
    assert len(esp.account.calls) == 1
    assert [task for task in house.store.tasks() if task.name == "jobs"] == []


def test_a_stop_overtakes_a_job_and_is_sent_again_after_it(house, an):
    """Decision 24, ESP-03: at once by a direct call, again when the job has ended: a late job cannot undo a no."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    assert esp.open
    an.one_click()
    house.dispatch()

    assert esp.account.calls, "the stop did not wait for the job"
    esp.end_jobs()
    assert esp.account.people[an.email].on, "this is the danger: the job put her on after her no"
    settle(house)

    assert esp.account.people[an.email].on == set()
    assert esp.broken_promises == []


def test_a_new_yes_waits_for_the_job_that_names_her(house, an):
    """Decision 24: while it is open nothing else about her goes to that ESP, also after a stop in between."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    says_no(house, an, "newsletter")
    house.clock.forward(seconds=1)
    says_yes(house, an, "newsletter")
    says_yes(house, an, "offers")
    settle(house, hours=1)

    assert esp.broken_promises == []
    assert esp.account.calls == []

    esp.end_jobs()
    settle(house)
    esp.end_jobs()
    settle(house)
    assert esp.account.people[an.email].on == {"newsletter", "offers"}


def test_a_pause_that_ends_while_a_job_is_open_is_not_forgotten(house, an):
    """PRF-05 and decision 24: what was sent is compared with how things are when the job is over."""
    esp = with_esp(house, Jobs)
    esp.holds = False
    an.has_consented()
    esp.holds = True
    pauses(house, an, hours=1)
    house.dispatch()
    assert esp.open
    house.clock.forward(hours=2)
    esp.end_jobs()
    assert esp.account.people.get(an.email) is None or not esp.account.people[an.email].on
    house.dispatch()
    settle(house, hours=1)
    esp.end_jobs()
    settle(house, hours=1)

    assert esp.account.people[an.email].on == {"newsletter"}


def test_a_job_that_cannot_be_looked_at_is_still_open(house, an):
    """Decision 24: an ESP that is down, or an adapter with a mistake, ends no job."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    follow = esp.follow
    troubles = iter([AdapterError("no answer"), KeyError("state"), AdapterError("slow down", wait=60)])

    def stumble(job: str, members: Sequence[Member]) -> list[Outcome]:
        raise next(troubles)

    esp.follow = stumble
    for _ in range(3):
        house.clock.forward(minutes=2)
        house.dispatch()
    assert next(troubles, None) is None
    assert esp.account.calls == []
    assert len(esp.open) == 1

    esp.follow = follow
    esp.end_jobs()
    settle(house)
    assert esp.account.people[an.email].on == {"newsletter"}
    assert len(esp.account.calls) == 1


@pytest.mark.parametrize("error", [StoreAway, StoreBroken])
def test_a_store_that_cannot_read_who_is_in_a_job_is_no_mistake_of_the_platform(house, an, caplog, error):
    """Decision 24: its line is not given up for that, and the job is followed to its end."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    follow = esp.follow

    def reads_members(job: str, members: Sequence[Member]) -> list[Outcome]:
        raise error("who is in it could not be read")

    esp.follow = reads_members
    house.clock.forward(minutes=2)
    with pytest.raises(error):
        house.dispatch()
    assert "in the adapter" not in caplog.text
    assert "while following" not in caplog.text

    esp.follow = follow
    esp.end_jobs()
    settle(house, hours=1)
    assert esp.account.people[an.email].on == {"newsletter"}


def test_a_contract_that_runs_out_forgets_no_open_job(house, an):
    """REG-02 and decision 24: the job is followed to its end; what comes after it waits."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    says_yes(house, an, "offers")
    contract = house.bridge.policy.processors["jobs"]
    house.bridge.policy.processors["jobs"] = msgspec.structs.replace(contract, review_by=date(2026, 11, 1))
    settle(house, hours=1)
    assert len(esp.open) == 1
    house.bridge.policy.processors["jobs"] = contract
    settle(house, hours=1)
    assert len(esp.open) == 1
    assert esp.broken_promises == []

    esp.end_jobs()
    esp.holds = False
    settle(house)
    assert esp.account.people[an.email].on == {"newsletter", "offers"}


ACTS = ("yes", "no", "other yes", "other no", "pause", "send", "jobs end", "time passes", "esp echoes")
_addresses = count(1)


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example is short enough to read as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(ACTS), min_size=3, max_size=10))
@example(["yes", "send", "no", "send", "yes", "send", "jobs end", "send"])
@example(["yes", "send", "no", "yes", "send", "jobs end", "send"])
@example(["yes", "no", "send", "jobs end", "yes", "send", "no", "jobs end"])
@example(["other no", "pause", "send", "other yes", "send"])
@example(["no", "send", "yes", "pause", "send", "time passes", "send"])
@example(["yes", "other yes", "send", "other no", "send", "jobs end", "send", "time passes"])
def test_in_every_order_the_esp_ends_where_the_reader_is(house, acts):
    """ESP-03, decision 24: acts, jobs and dispatches in any order; both sides are equal in the end."""
    esp = house.bridge.adapters.get("jobs") or with_esp(house, Jobs)
    house.clock.forward(hours=25)
    reader = Reader(house, f"lezer{next(_addresses)}@lezer.example")
    reader.has_consented("newsletter")
    for act in acts:
        house.clock.forward(seconds=2)
        _play(house, reader, esp, act)
    esp.end_jobs()
    esp.holds = False
    settle(house)
    esp.holds = True

    may = {purpose for purpose in ("newsletter", "offers") if reader.may(purpose).may}
    there = esp.account.people.get(reader.email)
    assert (there.on if there else set()) == may
    assert (house.esp.people[reader.email].on if reader.email in house.esp.people else set()) == may
    assert esp.broken_promises == []
    assert not any(task.waiting for task in house.store.tasks())


def _play(house: House, reader: Reader, esp: Any, act: str) -> None:
    match act:
        case "yes" | "other yes":
            says_yes(house, reader, "offers" if act.startswith("other") else "newsletter")
        case "no" | "other no":
            says_no(house, reader, "offers" if act.startswith("other") else "newsletter")
        case "pause":
            pauses(house, reader, minutes=30)
        case "send":
            house.dispatch()
        case "jobs end":
            esp.end_jobs()
        case "time passes":
            house.clock.forward(minutes=20)
        case "esp echoes":
            house.hear(reader.told_by_esp(EventType.SUBSCRIBED, "newsletter"))


# -- what the ESP is told ----------------------------------------------------------------------------------------


def test_the_echo_of_our_own_push_changes_nothing(house, an):
    """ESP-01: an ESP that tells us what we told it is no news and gives no work."""
    an.has_consented()
    before, calls = len(an.story()), len(house.esp.calls)

    assert house.hear(an.told_by_esp(EventType.SUBSCRIBED, "newsletter")) == 0
    assert house.dispatch() == 0
    assert len(an.story()) == before
    assert len(house.esp.calls) == calls


def test_an_esp_that_says_on_without_a_yes_is_set_right(house, an):
    """ESP-01: the store decides."""
    an.has_consented()
    an.one_click()
    house.dispatch()
    house.clock.forward(minutes=1)
    house.esp.people[an.email].on.add("newsletter")
    house.hear(an.told_by_esp(EventType.SUBSCRIBED, "newsletter"))
    house.dispatch()

    assert not an.is_on()
    assert not an.may().may


class Notebook(Memory):
    """An ESP that writes down what it is told, whole."""

    name = "notebook"

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Keep a copy."""
        self.told: list[Member] = [*getattr(self, "told", []), *members]
        return super().put(members)


def test_nothing_but_the_allowed_leaves_for_an_esp(house, an):
    """MIN-04: address, language, list flags and link; no evidence, no times, no ids of ours but the link's."""
    esp = with_esp(house, Notebook)
    an.has_consented()
    member = esp.told[-1]

    assert member.link.startswith("https://keuzes.dagwijzer.example/preferences/")
    token = member.link.rpartition("/")[2]
    claim = house.bridge.links.read(Action.STOP, token, house.clock())
    assert isinstance(claim, Claim)
    assert msgspec.structs.replace(member, link="") == Member(
        email=an.email, language="nl", on=frozenset({"newsletter"}), fresh=frozenset({"newsletter"}), first=True
    )
    assert an.email not in member.link
    assert set(Member.__struct_fields__) == {
        "email", "language", "on", "stopped", "paused", "fresh", "blocked", "first", "gone", "link", "fields",
    }  # fmt: skip


def test_declared_fields_leave_only_with_their_purpose(make_house, policy_folder, sqlite_url):
    """MIN-04: more only by an explicit map, and only while the purpose it is for is on."""
    file = policy_folder / "policy.toml"
    file.write_text(
        file.read_text()
        + """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet her in the newsletter"
[fields.at]
memory = "FNAME"
"""
    )
    house = make_house(sqlite_url)
    reader = Reader(house, "an.vandenberg@lezer.example")
    reader.signs_up("newsletter", "offers", first_name="An", birthday="1980-01-01")
    house.clock.forward(minutes=1)
    reader.confirms()
    house.dispatch()
    assert house.esp.people[reader.email].fields == {"FNAME": "An"}

    house.clock.forward(minutes=1)
    says_no(house, reader, "newsletter")
    house.dispatch()
    assert house.esp.people[reader.email].on == {"offers"}
    assert house.esp.people[reader.email].fields == {}


def test_only_a_yes_since_the_last_time_may_lift_a_stop_there(house, an):
    """Decision 1: `fresh` is true for her own new yes and for nothing else; it is told once."""
    esp = with_esp(house, Notebook)
    an.has_consented()
    assert esp.told[-1].fresh

    told = len(esp.told)
    pauses(house, an, hours=1)
    house.dispatch()
    house.clock.forward(hours=2)
    house.dispatch()
    says_no(house, an, "newsletter")
    house.dispatch()
    house.clock.forward(minutes=1)
    assert [member.fresh for member in esp.told[told:]] == [frozenset()] * 3

    says_yes(house, an, "newsletter")
    esp.account.down = True
    house.dispatch()
    esp.account.down = False
    house.clock.forward(minutes=5)
    house.dispatch()
    assert esp.told[-1].fresh, "a call that failed told nothing"


def test_a_yes_that_was_taken_back_lifts_nothing(house, an):
    """Decision 1: only a yes that stands, for a purpose that is on."""
    esp = with_esp(house, Notebook)
    an.has_consented("newsletter")
    says_yes(house, an, "offers")
    house.clock.forward(seconds=2)
    says_no(house, an, "offers")
    house.dispatch()

    assert esp.told[-1].on == {"newsletter"}
    assert not esp.told[-1].fresh


def test_a_paused_reader_is_off_there_and_on_again_by_herself(house, an):
    """Decision 5: a pause is no stop; it ends without anybody doing anything."""
    an.has_consented()
    pauses(house, an, days=3)
    house.dispatch()
    assert not an.is_on()
    assert house.esp.people[an.email].left == set()

    house.clock.forward(days=2, hours=23)
    house.dispatch()
    assert not an.is_on()

    house.clock.forward(hours=1, seconds=1)
    house.dispatch()
    assert an.is_on()


def test_the_end_of_a_pause_lifts_no_stop_at_the_esp(house, an):
    """Decision 1: she left at the ESP during her pause and we were not told yet; the clock is no yes."""
    an.has_consented()
    pauses(house, an, days=3)
    house.dispatch()
    house.esp.people[an.email].left.add("newsletter")
    house.clock.forward(days=3, seconds=1)
    house.dispatch()

    assert not an.is_on()


def test_a_yes_during_a_pause_counts_when_the_pause_ends(house, an):
    """Decision 1: she left, paused, and said yes again; the ESP hears of that yes when it may act on it."""
    an.has_consented("newsletter")
    says_no(house, an, "newsletter")
    house.dispatch()
    house.clock.forward(minutes=1)
    says_yes(house, an, "newsletter")
    house.clock.forward(seconds=1)
    pauses(house, an, days=2)
    for _ in range(47):
        house.dispatch()
        assert not an.is_on()
        house.clock.forward(hours=1)
    house.clock.forward(hours=1, seconds=2)
    house.dispatch()

    assert an.is_on()
    assert not any(task.waiting for task in house.store.tasks())


# -- the processor's contract ------------------------------------------------------------------------------------


def test_only_stops_leave_for_a_processor_whose_review_is_overdue(make_house, policy_folder, database_url, caplog):
    """REG-02: no sync without a valid contract; a no leaves all the same."""
    file = policy_folder / "policy.toml"
    file.write_text(re.sub(r"review_by = \S+", "review_by = 2026-11-30", file.read_text()))
    house = make_house(database_url)
    an, bram = Reader(house, "an.vandenberg@lezer.example"), Reader(house, "bram@lezer.example")
    an.has_consented()
    house.clock.now = house.clock.now.replace(month=12, day=1)
    house.esp.calls.clear()
    bram.has_consented()

    assert house.esp.calls == []
    assert not bram.may().may
    assert "REG-02" in " ".join(bram.may().why)
    assert "only stops are sent" in caplog.text

    an.one_click()
    house.dispatch()
    assert house.esp.calls == [("put", (an.email,))]
    assert not an.is_on()

    house.bridge.policy.processors["memory"] = msgspec.structs.replace(
        house.bridge.policy.processors["memory"], review_by=date(2030, 1, 1)
    )
    house.bridge._limits = None  # the operator mended the policy and started again
    house.clock.forward(minutes=6)
    house.dispatch()
    assert bram.is_on()
    assert not an.is_on()


def test_a_stop_sent_without_a_contract_takes_nothing_else_with_it(make_house, policy_folder, sqlite_url):
    """REG-02: an overdue review holds things back; it is no "no" of hers to her other topics."""
    file = policy_folder / "policy.toml"
    file.write_text(re.sub(r"review_by = \S+", "review_by = 2026-11-30", file.read_text()))
    house = make_house(sqlite_url)
    an = Reader(house, "an.vandenberg@lezer.example").has_consented("newsletter", "offers")
    house.clock.now = house.clock.now.replace(month=12, day=1)

    an.saves(an.asks_for_a_link(), "offers")
    house.dispatch()

    assert (an.is_on("newsletter"), an.is_on("offers")) == (False, True)


# -- many at once ------------------------------------------------------------------------------------------------


def test_several_dispatchers_at_once_lose_and_double_nothing(make_house, database_url, mailbox):
    """Decisions 23 and 25: two programs on one database, two threads each."""
    houses = [make_house(database_url) for _ in range(2)]
    readers = [Reader(houses[0], f"lezer{n}@lezer.example") for n in range(15)]
    for reader in readers:
        reader.signs_up("newsletter", "offers")
    _all_at_once(houses)
    assert sorted(str(mail["To"]) for mail in mailbox.messages) == sorted(reader.email for reader in readers)
    assert len({mail["Message-ID"] for mail in mailbox.messages}) == len(readers)

    houses[0].clock.forward(minutes=1)
    for reader in readers:
        link = next(w for w in str(mailbox.to(reader.email)[0]).replace("=\n", "").split() if "/confirm/" in w)
        assert link
        body = mailbox.to(reader.email)[0].get_body(("plain",)).get_content()
        path = next(w for w in body.split() if "/confirm/" in w).partition("example")[2]
        assert houses[0].client.post(path).status_code == 200
    mailbox.clear()
    for house in houses:
        house.esp.calls.clear()
    _all_at_once(houses)

    assert sorted(str(mail["To"]) for mail in mailbox.messages) == sorted(reader.email for reader in readers)
    called = [email for _, emails in houses[0].esp.calls for email in emails]
    assert sorted(called) == sorted(reader.email for reader in readers)
    assert all(reader.is_on("newsletter") and reader.is_on("offers") for reader in readers)
    assert not any(task.waiting for task in houses[0].store.tasks())


def _all_at_once(houses: Sequence[House]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(house: House) -> None:
        start.wait()
        try:
            _until_done(Dispatcher(house.bridge))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(house,)) for house in [*houses, *houses]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def _until_done(dispatcher: Dispatcher) -> None:
    for _ in range(50):
        try:
            dispatcher.once()
        except StoreAway:  # two programs on one SQLite file: the next round does it, as in `dispatch`
            continue
        return


def test_lanes_run_by_themselves_and_are_woken_by_a_commit(house, an):
    """CON-01: tried within seconds; a running dispatcher needs nobody to tell it."""
    arrived = threading.Event()
    watch(house, lambda _letter: arrived.set())
    dispatcher = Dispatcher(house.bridge)
    dispatcher.start(workers=2)
    try:
        an.signs_up()
        assert arrived.wait(20)
    finally:
        dispatcher.stop()
    assert not any(thread.is_alive() for thread in dispatcher._threads if thread.name != "purge")
    assert len(house.mailbox.to(an.email)) == 1


# -- mail --------------------------------------------------------------------------------------------------------


def test_no_welcome_for_somebody_who_left_again(house, an):
    """SND-01: the gate is asked just before hand-over; she left between the promise and the sending."""
    an.signs_up()
    house.clock.forward(minutes=1)
    an.confirms()
    house.clock.forward(seconds=1)
    says_no(house, an, "newsletter")
    an.mails()

    assert [kind_of(house, mail) for mail in house.mailbox.to(an.email)] == ["confirm", "goodbye"]


def test_the_gate_knows_what_happened_while_others_were_sent(house, an, bram):
    """SND-01: she left while the mail before hers in the same round was on its way."""
    for reader in (bram, an):
        reader.signs_up()
        house.clock.forward(seconds=1)
    for reader in (bram, an):
        reader.confirms()
        house.clock.forward(minutes=1)
    house.mailbox.clear()
    says_no(house, bram, "newsletter")
    house.clock.forward(seconds=1)
    says_yes(house, bram, "newsletter")
    left: list[Reader] = []

    def leaves(letter: Letter) -> None:
        other = an if letter.to == bram.email else bram
        if not left:
            left.append(other)
            house.clock.forward(seconds=1)
            says_no(house, other, "newsletter")

    watch(house, leaves)
    house.dispatch()

    assert left == [an] or left == [bram]
    assert "welcome" not in [kind_of(house, mail) for mail in house.mailbox.to(left[0].email)]


def kind_of(house: House, mail: Any) -> str:
    """Which of our mails this is, by its subject in Dutch."""
    texts = house.bridge.texts
    for kind in ("confirm", "subscribed", "welcome", "goodbye", "link"):
        purposes = [{"name": "Nieuwsbrief", "description": "", "frequency": ""}]
        subject = texts.render(f"email/{kind}/subject.txt", "nl", purposes=purposes)
        if " ".join(subject.split()) == mail["Subject"]:
            return kind
    return "?"


def test_every_kind_of_mail_is_sent_for_its_own_reason(house, an):
    """SND-01, WDR-12, CON-07: each kind once, each by its own rule."""
    an.has_consented()
    house.clock.forward(days=2)
    an.signs_up("newsletter")
    an.mails()
    an.asks_for_a_link()
    house.clock.forward(minutes=1)
    says_no(house, an, "newsletter")
    an.mails()

    kinds = [kind_of(house, mail) for mail in house.mailbox.to(an.email)]
    assert kinds == ["confirm", "welcome", "subscribed", "link", "goodbye"]
    elsewhere = {"breach", "guardian", "identity", "move", "moved", "of_age", "repermission"}  # in tests of their own
    assert set(kinds) == {k.value for k in MailKind} - {"answer", "marketing"} - elsewhere


def test_no_goodbye_after_a_complaint(house, an):
    """WDR-12: after a complaint no mail at all."""
    an.has_consented()
    sent = len(an.mails())
    house.hear(an.told_by_esp(EventType.COMPLAINED))
    assert len(an.mails()) == sent
    assert an.status() is Status.OBJECTED


def test_a_mail_that_cannot_be_written_holds_no_other_back(house, an, bram):
    """One bad row: its lane goes on, the row is tried again later."""
    an.signs_up()
    house.clock.forward(seconds=1)
    bram.signs_up()

    def stumble(letter: Letter) -> None:
        if letter.to == an.email and not mended:
            raise KeyError(an.email)

    mended: list[bool] = []
    watch(house, stumble)
    house.dispatch()
    assert len(house.mailbox.to(bram.email)) == 1
    assert house.mailbox.to(an.email) == []

    mended.append(True)
    house.clock.forward(minutes=1)
    house.dispatch()
    assert len(house.mailbox.to(an.email)) == 1


def test_a_mail_server_that_is_away_loses_no_mail(house, an):
    """CON-01, ESP-06: put off with back-off, sent once when it is back, with the Message-ID it had."""
    ids: list[str] = []
    away = True

    def refuse(letter: Letter) -> None:
        ids.append(letter.message_id)
        if away:
            raise MailLater("mail server: ConnectionRefusedError")

    watch(house, refuse)
    an.signs_up()
    for _ in range(5):
        house.dispatch()
        house.clock.forward(minutes=1)
    away = False
    house.clock.forward(minutes=5)
    house.dispatch()

    assert len(house.mailbox.to(an.email)) == 1
    assert len(ids) > 2
    assert set(ids) == {house.mailbox.to(an.email)[0]["Message-ID"]}


def test_the_lease_outlives_the_slowest_round_of_mails():
    """Decision 25: nobody takes over a mail that its dispatcher is still about to send."""
    from bridge.jobs.dispatch import _MAILS_AT_ONCE
    from bridge.smtp import Smtp

    assert timedelta(seconds=_MAILS_AT_ONCE * Smtp.seconds) < LEASE


def test_a_confirmation_that_lifts_a_bounce_brings_back_all_that_stood(house, an):
    """R7, ESP-03: the ESP was told to stop her because the address was dead, not because she said no to anything."""
    an.has_consented("newsletter")
    house.hear(an.told_by_esp(EventType.BOUNCED))
    house.dispatch()
    assert not an.is_on()
    house.clock.forward(minutes=1)

    an.saves(an.asks_for_a_link(), "newsletter", "offers")  # one was on before, so only the other is a new yes
    house.dispatch()

    assert an.may("newsletter").may
    assert an.may("offers").may
    assert an.is_on("newsletter")
    assert an.is_on("offers")


def test_a_confirmation_that_lifts_a_bounce_brings_back_nothing_she_left(house, an):
    """ESP-03: what she said no to stays off, bounce or not."""
    an.has_consented("newsletter", "offers")
    house.hear(an.told_by_esp(EventType.UNSUBSCRIBED, "newsletter"))
    house.clock.forward(minutes=1)
    house.hear(an.told_by_esp(EventType.BOUNCED))
    house.dispatch()
    house.clock.forward(minutes=1)

    an.saves(an.asks_for_a_link(), "offers")
    house.dispatch()

    assert not an.is_on("newsletter")


def test_a_question_about_two_is_still_put_about_the_one_that_waits(house, an):
    """CON-01: she asked for both, then for one again and confirmed that: the other is still asked, by its own mail."""
    an.signs_up("newsletter", "offers")
    house.clock.forward(days=1, minutes=1)
    an.signs_up("newsletter")
    first, second = sorted(house.store.queue.claim_mails(), key=lambda mail: len(mail.purposes), reverse=True)
    assert first.purposes == ("newsletter", "offers")
    token = house.bridge.links.token(
        Claim(
            action=Action.CONFIRM,
            subject=second.person.id,
            address=second.person.mark,
            made=second.made,
            request=second.request,
        )
    )
    assert house.client.post(f"/confirm/{token}").status_code == 200
    house.mailbox.clear()
    house.clock.forward(minutes=5)

    house.dispatch()

    assert an.confirms().status_code == 200
    assert an.may("newsletter").may
    assert an.may("offers").may


def test_a_clock_that_is_set_back_holds_no_stop(house: House, an: Reader) -> None:
    """Decision 25, WDR-11: what was promised or held by the old clock does not wait until the old time comes again."""
    an.has_consented()
    an.one_click()
    house.clock.forward(days=-1)
    house.dispatch()
    assert not an.is_on()


def test_a_clock_that_is_set_back_holds_no_stop_of_a_dispatcher_that_died(house: House, an: Reader) -> None:
    """Decision 25, WDR-11: a lease that ends later than any lease can holds nobody."""
    an.has_consented()
    an.one_click()
    assert house.store.queue.claim_pushes("memory", 10)  # and dies
    house.clock.forward(days=-1)
    house.dispatch()
    assert not an.is_on()


def test_a_clock_that_is_set_back_takes_no_mail_from_whoever_is_sending_it(house: House, an: Reader) -> None:
    """Decision 25: the holder may be alive: it gets one whole lease more, and who died holds a mail no longer than that."""
    an.signs_up()
    (held,) = house.store.queue.claim_mails()
    house.clock.forward(days=-1)
    assert not house.store.queue.claim_mails()
    assert house.store.queue.hand_over(held)
    house.clock.forward(seconds=LEASE.total_seconds() - 1)
    assert not house.store.queue.claim_mails()
    house.clock.forward(seconds=1)
    assert [mail.id for mail in house.store.queue.claim_mails()] == [held.id]


def test_a_platform_that_asked_to_wait_is_not_left_waiting_by_a_clock_that_is_set_back(clock: Clock) -> None:
    """WDR-11: a 429 of an hour holds back stops for an hour at most, by whatever clock."""
    circuit = Circuit("memory", clock)
    with circuit.turn(urgent=True) as turn:
        turn.failed("too many", 3600.0)
    with circuit.turn(urgent=True) as turn:
        assert turn.most == 0
    clock.forward(days=-1)
    with circuit.turn(urgent=True) as turn:
        assert turn.most is None


def test_a_mail_that_may_have_left_goes_once_whatever_went_wrong(
    house: House, an: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 25: an error nobody thought of, after the hand-over, is no reason to welcome her twice."""
    an.signs_up()
    house.clock.forward(minutes=2)
    an.confirms()
    send, left = house.bridge.transport.send, list[str]()

    def breaks(letter: Letter, ready: Callable[[], None]) -> None:
        send(letter, ready)
        left.append(letter.subject)
        raise ZeroDivisionError

    monkeypatch.setattr(house.bridge.transport, "send", breaks)
    house.dispatch()
    house.clock.forward(hours=2)
    house.dispatch()
    assert len(left) == 1


class Gate:
    """A lock that says when somebody asks for it, and opens when it is told to."""

    def __init__(self) -> None:
        self.asked, self.open = threading.Event(), threading.Event()

    def acquire(self, timeout: float) -> bool:
        """Wait for it."""
        self.asked.set()
        return self.open.wait(timeout)

    def release(self) -> None:
        """Whoever asks next has it at once."""


def test_who_waited_long_for_the_database_shortens_nobodys_lease(home: House) -> None:
    """Decision 25: a claim that began before a long wait judges leases by the time it is, not by the time it was."""
    Reader(home, "an.vandenberg@lezer.example").signs_up("newsletter")
    other = WorkQueue(Database(home.environment["BRIDGE_DATABASE_URL"]), home.store.rows, home.clock)
    gate, claimed = Gate(), list[Mail]()
    home.bridge.database._turns._thread = gate  # type: ignore[assignment]  # somebody else of this process writes
    late = threading.Thread(target=lambda: claimed.extend(home.store.queue.claim_mails()))
    late.start()
    assert gate.asked.wait(5)
    home.clock.forward(minutes=6)
    (mine,) = other.claim_mails()
    gate.open.set()
    late.join(10)

    assert claimed == []
    with other.database.reading() as db:
        assert db.scalar(select(outbox.c.leased)) == home.clock() + LEASE
    assert other.hand_over(mine)
    other.database.engine.dispose()
