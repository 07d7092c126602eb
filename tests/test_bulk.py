"""Many people at once, jobs that run late and in any order, ESPs that are away: both sides are equal in the end.

Decisions 18, 23, 24, 26 and 27; rows WDR-11, ESP-03, ESP-06; contracts sections 4, 6, 7 and 10.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from adapters.sandbox.server import Running
from bridge.adapter import Adapter, AdapterError, Misconfigured
from bridge.jobs.dispatch import Dispatcher
from bridge.jobs.members import member
from bridge.jobs.push import Pusher
from bridge.store import StoreAway
from bridge.store.pushes import SLICE
from bridge.tables import esp_jobs
from bridge.vocabulary import Member, Outcome, OutcomeKind
from tests.bulk import Bulk, MakeBulk
from tests.conftest import House, Reader
from tests.test_dispatch import says_no, says_yes
from tests.test_store import consents, withdraws
from tests.weather import away

MANY = 30


# -- calls -------------------------------------------------------------------------------------------------------


def test_many_people_cost_a_handful_of_calls(both: Bulk) -> None:
    """Contracts section 10: one batch and one upsert, one look each, what may be stopped there and what lifts a stop,
    for all together."""
    emails = both.people(MANY)
    both.send()
    both.house.clock.forward(seconds=10)
    both.send()

    both.equal(emails)
    assert both.waiting() == both.jobs() == 0
    assert both.calls("mailchimp") == {"POST batches": 1, "GET batches/…": 1}
    assert both.calls("sendgrid") == {
        "GET suppression/unsubscribes": 2,
        "GET suppression/spam_reports": 1,
        "GET suppression/bounces": 1,
        "POST asm/groups/…/suppressions/search": 2,
        "DELETE suppression/bounces": 1,
        "DELETE suppression/spam_reports": 1,
        "GET marketing/field_definitions": 1,
        "PUT marketing/contacts": 1,
        "GET marketing/contacts/imports/…": 1,
    }


def test_as_many_are_claimed_as_one_call_takes_by_their_bytes(both: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contracts section 10: an upsert is full, and no few people are left over for one of their own."""
    emails = both.people(MANY)
    monkeypatch.setattr("bridge.jobs.push._SLICE", 4)
    adapter = both.house.bridge.adapters["sendgrid"]
    adapter.put([])
    (push, *_) = both.house.store.queue.claim_pushes("sendgrid", 1)
    both.house.store.queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "later", 0.0))])
    each = adapter.weight(
        member(both.house.bridge, push, both.house.clock(), both.house.bridge.limits(push.claimed), closed=False)
    )
    monkeypatch.setattr(type(adapter), "bulk_bytes", 13 * (each + 4))
    sent: list[int] = []
    put = adapter.put
    monkeypatch.setattr(adapter, "put", lambda members: (sent.append(len(members)), put(members))[1])

    both.settle()

    both.equal(emails)
    assert sent == [13, 13, 4]


def test_a_job_is_looked_at_once_however_many_it_carries(both: Bulk) -> None:
    """Decision 27: a look costs one call and reads nobody's row while the job is open."""
    both.people(MANY)
    for name in both.names:
        both.trouble(name, mode="pending")
    both.send()
    for name in both.names:
        both.calls(name)
    read = Counter[str]()
    engine = both.house.bridge.database.engine

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        read["profile" if "profile" in statement else "other"] += 1

    event.listen(engine, "before_cursor_execute", note)
    for _ in range(5):
        both.house.clock.forward(minutes=2)
        both.send()
    event.remove(engine, "before_cursor_execute", note)

    assert both.calls("mailchimp") == {"GET batches/…": 5}
    assert both.calls("sendgrid") == {"GET marketing/contacts/imports/…": 5}
    assert read["profile"] == 0


def test_few_people_go_by_direct_calls(make_bulk: MakeBulk) -> None:
    """A single reader does not wait for a batch: whether a stop of hers is there, then how she should be."""
    mailchimp = make_bulk("mailchimp")
    emails = mailchimp.people(3)
    mailchimp.send()

    mailchimp.equal(emails)
    assert mailchimp.calls("mailchimp") == {"GET lists/…/members/…": 3, "PUT lists/…/members/…": 3}


def test_nothing_changed_is_no_call(both: Bulk) -> None:
    """Contracts section 10: 0 writes when both sides are equal already."""
    emails = both.people(4)
    both.settle()
    for name in both.names:
        both.calls(name)
        assert both.house.store.queue.tell_again("nobody", [1]) == []
        _due_again(both, name)
    assert both.waiting() == 2 * len(emails)
    both.send()

    assert both.waiting() == 0
    assert not both.calls("mailchimp")
    assert not both.calls("sendgrid")


def _due_again(bulk: Bulk, name: str) -> None:
    """Make everybody due, as a sync does that has nothing new."""
    from sqlalchemy import update

    from bridge.tables import pushes

    with bulk.house.bridge.database.writing() as db:
        db.execute(update(pushes).where(pushes.c.adapter == name).values(due=bulk.house.clock()))


def test_a_stop_leaves_at_once_though_many_wait(both: Bulk) -> None:
    """WDR-11: stops have a lane of their own, and go by direct calls before any batch."""
    (email,) = both.people(1, name="an")
    both.settle()
    both.people(MANY)
    withdraws(both.house, email)
    for name in both.names:
        both.calls(name)
        assert both.house.dispatcher._pusher(name).stops() == 1
        assert both.receives(name, email) == []
    assert both.calls("mailchimp") == {"PATCH lists/…/members/…": 1}
    assert "PUT marketing/contacts" not in both.calls("sendgrid")


def test_claims_and_finishes_are_a_few_short_transactions(make_bulk: MakeBulk) -> None:
    """Decision 16: not one statement a person, and no transaction that holds more than a slice."""
    bulk = make_bulk("sendgrid")
    emails = bulk.people(MANY)
    writes = Counter[str]()

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        writes[statement.partition(" ")[0].strip()] += 1

    engine = bulk.house.bridge.database.engine
    event.listen(engine, "before_cursor_execute", note)
    bulk.send()
    bulk.house.clock.forward(seconds=20)
    bulk.send()
    event.remove(engine, "before_cursor_execute", note)

    assert len(emails) <= SLICE
    assert writes["UPDATE"] <= 6
    assert writes["SELECT"] <= 40


# -- what Mailchimp may ignore -----------------------------------------------------------------------------------


def test_who_left_there_and_said_yes_since_comes_back_by_a_direct_call(make_bulk: MakeBulk) -> None:
    """R2, R3: a batch never carries `status`; whom its answer shows as gone is told by a call of her own."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    bulk.settle()
    esp = bulk.running.state.mailchimp
    for email in emails[:2]:
        esp.act(email, "unsubscribe", "")
    for email in emails[1:]:
        bulk.house.clock.forward(seconds=2)
        says_yes(bulk.house, Reader(bulk.house, email), "offers")
    bulk.calls("mailchimp")
    bulk.settle()

    assert bulk.receives("mailchimp", emails[0]) == [], "nothing she said lifts her stop there"
    assert bulk.receives("mailchimp", emails[1]) == ["offers"], "only what she said yes to since"
    bulk.equal(emails[2:])
    assert bulk.calls("mailchimp")["PUT lists/…/members/…"] == 1


def test_one_bad_person_in_a_batch_fails_nobody_else(make_bulk: MakeBulk) -> None:
    """ESP-06: errored operations are told of whom they are about, and permanent ones are tried once."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    consents(bulk.house, "fake@lezer.example")
    bulk.settle()

    bulk.equal(emails)
    assert bulk.receives("mailchimp", "fake@lezer.example") == []
    bulk.calls("mailchimp")
    bulk.house.clock.forward(days=1)
    assert bulk.send() == 0


# -- results that cannot be had ----------------------------------------------------------------------------------


def test_an_expired_link_is_asked_for_again(make_bulk: MakeBulk) -> None:
    """Contracts section 4: a link lives ten minutes; the next look gives another."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    bulk.trouble("mailchimp", mode="links_expire")
    bulk.send()
    for _ in range(3):
        bulk.house.clock.forward(minutes=2)
        bulk.send()
    assert bulk.waiting() == MANY
    bulk.trouble("mailchimp", mode="up")
    bulk.calls("mailchimp")
    bulk.settle()

    bulk.equal(emails)
    assert bulk.calls("mailchimp")["POST batches"] == 0, "nothing was sent twice"


def test_a_missing_result_is_told_again(make_bulk: MakeBulk) -> None:
    """Contracts section 4: a result lives seven days; without it nobody knows, so everybody is told once more."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    bulk.trouble("mailchimp", mode="results_gone")
    bulk.send()
    bulk.house.clock.forward(minutes=2)
    bulk.send()
    bulk.trouble("mailchimp", mode="up")
    bulk.settle()

    bulk.equal(emails)
    assert bulk.calls("mailchimp")["POST batches"] == 2


def test_a_store_that_goes_away_while_a_job_is_read_is_no_fault_of_the_esp(
    make_bulk: MakeBulk, caplog: pytest.LogCaptureFixture
) -> None:
    """Decision 24: the job stays, is read again when the store is back, and no alarm is raised about the ESP."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    bulk.send()
    bulk.house.clock.forward(minutes=2)
    adapter = bulk.house.bridge.adapters["mailchimp"]
    bulk.house.bridge.adapters["mailchimp"] = reads = _AwayWhileItReads(adapter, bulk.house)
    pusher = Pusher(bulk.house.bridge, "mailchimp")
    with pytest.raises(StoreAway):
        pusher.jobs()
    assert not pusher.circuit.is_open
    assert reads.read == 1
    assert "ERROR" not in caplog.text
    bulk.house.bridge.adapters["mailchimp"] = adapter
    bulk.settle()
    bulk.equal(emails)
    assert bulk.calls("mailchimp")["POST batches"] == 1, "nobody was told again"


@pytest.mark.parametrize("error", [Misconfigured, AdapterError])
def test_jobs_begun_before_a_whole_call_failed_are_followed(make_bulk: MakeBulk, error: type[AdapterError]) -> None:
    """Decision 24: the key lost its right after the first job was begun: it is remembered, and told of nobody twice."""
    bulk = make_bulk("sendgrid")
    emails = bulk.people(MANY)
    adapter = bulk.house.bridge.adapters["sendgrid"]
    bulk.house.bridge.adapters["sendgrid"] = _FailsAtTheEnd(adapter, error)
    bulk.send()
    assert bulk.calls("sendgrid")["PUT marketing/contacts"] == 1
    assert len(_known_jobs(bulk)) == 1
    bulk.house.bridge.adapters["sendgrid"] = adapter
    bulk.house.clock.forward(hours=2)
    bulk.send()
    assert bulk.calls("sendgrid")["GET marketing/contacts/imports/…"] >= 1
    bulk.settle()
    bulk.equal(emails)
    assert _known_jobs(bulk) == []


def _known_jobs(bulk: Bulk) -> list[str]:
    """The platform's ids of the jobs that are still to be followed."""
    with bulk.house.bridge.database.reading() as db:
        return [key for key in db.scalars(select(esp_jobs.c.key)) if key]


class _FailsAtTheEnd:
    """Does all it is asked to; then the platform refuses one call more."""

    def __init__(self, adapter: Adapter, error: type[AdapterError]) -> None:
        self._adapter, self._error = adapter, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        """Ask how a job is getting on."""
        return self._adapter.follow(job, members)

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Tell of these people."""
        error = self._error("one call more")
        error.jobs = tuple(outcome.job for outcome in self._adapter.put(members))
        raise error


class _AwayWhileItReads:
    """The store cannot be reached from the moment in which the platform's result is there."""

    def __init__(self, adapter: Adapter, house: House) -> None:
        self._adapter, self._house, self.read = adapter, house, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        """Ask how a job is getting on."""
        self.read += 1
        with away(self._house):
            return self._adapter.follow(job, members)


def test_a_batch_that_never_ends_is_given_up_and_its_people_are_told_again(make_bulk: MakeBulk) -> None:
    """Decision 24: after a day nobody waits for it, and once it may have run its people are told once more."""
    bulk = make_bulk("mailchimp")
    emails = bulk.people(MANY)
    bulk.trouble("mailchimp", mode="pending")
    bulk.send()
    for _ in range(26):
        bulk.house.clock.forward(hours=1)
        bulk.send()
    bulk.trouble("mailchimp", mode="up")
    assert bulk.calls("mailchimp")["POST batches"] == 2
    bulk.house.clock.forward(minutes=2)
    bulk.send()
    bulk.equal(emails)
    assert bulk.jobs() == 1, "what may still run is remembered"
    bulk.house.clock.forward(days=1)
    bulk.settle()
    bulk.equal(emails)


def test_where_too_many_batches_wait_no_more_are_started_but_stops_go_on(make_bulk: MakeBulk, running: Running) -> None:
    """Contracts section 4: 500 pending batches answer 429; that is not about a person, nor about direct calls."""
    bulk = make_bulk("mailchimp")
    (email,) = bulk.people(1, name="an")
    bulk.settle()
    bulk.trouble("mailchimp", mode="pending")
    for _ in range(500):
        running.state.mailchimp.jobs.add(lambda: ("finished", {}), kind="batch")
    emails = bulk.people(MANY)
    bulk.calls("mailchimp")
    for _ in range(10):
        bulk.house.clock.forward(seconds=5)
        bulk.send()
    assert bulk.calls("mailchimp") == {"POST batches": 1}, "one try a minute, not one for each five hundred people"

    withdraws(bulk.house, email)
    bulk.send()
    assert bulk.receives("mailchimp", email) == []

    bulk.trouble("mailchimp", mode="up")
    bulk.settle()
    bulk.equal([email, *emails])


# -- jobs late and in any order ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pending", "reversed", "shuffled"])
def test_a_stop_during_an_open_job_counts_at_once_and_afterwards(both: Bulk, mode: str) -> None:
    """Decision 24: sent at once by a direct call, again when the job has ended, then verified."""
    emails = both.people(MANY)
    for name in both.names:
        both.trouble(name, mode=mode)
    both.send()
    for email in emails[::3]:
        withdraws(both.house, email)
    both.send()
    for name in both.names:
        assert both.house.store.queue.jobs.has_due(name) is False
        both.trouble(name, mode="up")
        for email in emails[1::3]:
            assert both.receives(name, email) == ["newsletter"]
    both.settle()

    both.equal(emails)
    assert all(both.receives(name, email) == [] for name in both.names for email in emails[::3])


def test_a_stop_is_not_lost_where_nobody_knows_the_job(both: Bulk) -> None:
    """Decision 24: a dispatcher is killed after the ESP took the job; the job runs after her no, and is put right."""
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
    withdraws(house, email)
    both.send()
    for name in both.names:
        both.trouble(name, mode="up")
    assert both.receives("mailchimp", email) == ["newsletter"], "this is the danger: the lost job overtook her no"
    both.settle()

    both.equal([email])


ACTS = ("yes", "no", "other yes", "other no", "send", "mailchimp ends", "sendgrid ends", "both mixed", "time passes")
_numbers = count(1)


@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example is short enough to read as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(st.sampled_from(ACTS), min_size=3, max_size=12), seed=st.integers(1, 1000))
@example(acts=["yes", "send", "no", "send", "yes", "send", "sendgrid ends", "mailchimp ends"], seed=1)
@example(acts=["send", "no", "send", "yes", "both mixed", "send", "other yes", "send", "other no"], seed=2)
@example(acts=["send", "other yes", "send", "other no", "send", "other yes", "both mixed", "no"], seed=3)
def test_in_every_order_both_esps_end_where_the_readers_are(both: Bulk, acts: list[str], seed: int) -> None:
    """ESP-03, decision 24: yeses, stops and jobs that are held, reversed and mixed; the end state equals the store."""
    house, turn = both.house, next(_numbers)
    house.clock.forward(hours=25)
    for adapter in house.bridge.adapters.values():
        adapter.bulk = 500
    emails = [f"r{turn}-{number}@lezer.example" for number in range(22)]
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

    both.equal(emails)


def _play(bulk: Bulk, act: str, emails: list[str], seed: int) -> None:
    readers = [Reader(bulk.house, email) for email in dict.fromkeys(emails)]
    match act:
        case "yes" | "other yes":
            for reader in readers:
                says_yes(bulk.house, reader, "offers" if act.startswith("other") else "newsletter")
        case "no" | "other no":
            for reader in readers:
                says_no(bulk.house, reader, "offers" if act.startswith("other") else "newsletter")
        case "send":
            bulk.send()
        case "time passes":
            bulk.house.clock.forward(minutes=20)
        case _:
            for name in bulk.names if act == "both mixed" else [act.partition(" ")[0]]:
                bulk.trouble(name, mode="up")
                bulk.trouble(name, mode="shuffled" if act == "both mixed" else "reversed", every=seed)


# -- connections -------------------------------------------------------------------------------------------------


def test_ten_connections_are_shared_by_all_programs(
    make_bulk: MakeBulk, make_house: Any, database_url: str, keys: dict[str, str], running: Running
) -> None:
    """Decision 26: many dispatchers on one database never hold more than the account allows; nobody is refused."""
    first = make_bulk("mailchimp")
    emails = first.people(40)
    for email in emails:
        withdraws(first.house, email)
    others = [make_bulk("mailchimp", at=make_house(database_url)) for _ in range(3)]
    first.calls("mailchimp")
    for bulk in [first, *others]:
        bulk.house.bridge.adapters["mailchimp"].batch = 1
    failures: list[BaseException] = []

    def work(bulk: Bulk) -> None:
        pusher = Dispatcher(bulk.house.bridge)._pusher("mailchimp")
        try:
            _until_done(bulk, pusher)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(bulk,)) for bulk in [first, *others] for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failures == []
    refused = [call for call in running.state.mailchimp.calls if call["status"] == 429]
    assert refused == []
    first.house.clock.forward(minutes=5)
    first.settle()
    assert first.connections() == 0
    first.equal(emails)


def _until_done(bulk: Bulk, pusher: Pusher) -> None:
    while True:
        try:
            if not bulk.house.store.queue.has_pushes("mailchimp"):
                return
            pusher.stops()
        except StoreAway:  # many programs on one SQLite file: the next round does it, as in `dispatch`
            continue


def test_leases_are_counted_kept_for_stops_and_end_by_themselves(house: House) -> None:
    """Decision 26: the last two are for stops; a crashed holder's are free after its lease."""
    book = house.store.queue.connections
    held = [book.take("esp", 10, urgent=False) for _ in range(12)]
    assert [lease is not None for lease in held] == [True] * 8 + [False] * 4
    stops = [book.take("esp", 10, urgent=True) for _ in range(3)]
    assert [lease is not None for lease in stops] == [True, True, False]
    assert book.take("another", 1, urgent=False) is not None

    book.give_back("esp", str(stops[0]))
    assert book.take("esp", 10, urgent=False) is None
    assert book.take("esp", 10, urgent=True) is not None
    house.clock.forward(seconds=151)
    assert [book.take("esp", 10, urgent=False) is not None for _ in range(9)] == [True] * 8 + [False]


# -- an ESP that is away -----------------------------------------------------------------------------------------


def test_an_esp_that_hangs_slows_no_other(both: Bulk) -> None:
    """ESP-06: one ESP takes calls and never answers; the other is told at once meanwhile."""

    class Hasty(type(both.house.bridge.adapters["mailchimp"])):  # type: ignore[misc]  # the adapter under test
        seconds = 1.0

    slow = both.house.bridge.adapters["mailchimp"]
    both.house.bridge.adapters["mailchimp"] = Hasty(slow.settings, slow.places, slow.fields)
    both.trouble("mailchimp", mode="hang", seconds=60)
    (email,) = both.people(1)
    dispatcher = Dispatcher(both.house.bridge)
    dispatcher.start()
    try:
        told = threading.Event()
        for _ in range(400):
            both.house.clock.forward(seconds=1)
            if both.receives("sendgrid", email) == ["newsletter"]:
                told.set()
                break
            told.wait(0.05)
        assert told.is_set()
        assert both.receives("mailchimp", email) == []
    finally:
        both.trouble("mailchimp", mode="up")
        dispatcher.stop()
    both.settle()
    both.equal([email])


def test_an_esp_that_is_down_is_probed_by_one_call_at_a_time(make_bulk: MakeBulk, caplog: Any) -> None:
    """ESP-06: many wait; after three failures one person is tried, ever more rarely, and a stop is what probes first."""
    bulk = make_bulk("mailchimp")
    (email,) = bulk.people(1, name="an")
    bulk.settle()
    emails = bulk.people(MANY)
    bulk.trouble("mailchimp", mode="down")
    bulk.calls("mailchimp")
    for _ in range(60):
        bulk.house.clock.forward(minutes=1)
        bulk.send()
    withdraws(bulk.house, email)
    calls = bulk.calls("mailchimp")
    assert 10 < sum(calls.values()) < 75, "about one a minute, whoever waits"
    assert "circuit open" in caplog.text

    bulk.trouble("mailchimp", mode="up")
    bulk.house.clock.forward(minutes=2)
    assert bulk.house.dispatcher._pusher("mailchimp").others() == 1
    assert bulk.calls("mailchimp") == {"PATCH lists/…/members/…": 1}
    assert bulk.receives("mailchimp", email) == []
    assert "circuit closed" in caplog.text
    bulk.settle()
    bulk.equal([email, *emails])


def test_what_an_esp_asks_for_holds_for_the_whole_esp(make_bulk: MakeBulk) -> None:
    """ESP-06: 429 with X-RateLimit-Reset: no other call before that moment; a stop is tried once."""
    bulk = make_bulk("sendgrid")
    (email,) = bulk.people(1, name="an")
    bulk.settle()
    bulk.trouble("sendgrid", mode="throttle", seconds=600)
    emails = bulk.people(MANY)
    bulk.calls("sendgrid")
    bulk.send()
    assert sum(bulk.calls("sendgrid").values()) == 1
    bulk.people(2, name="later")
    bulk.send()
    assert sum(bulk.calls("sendgrid").values()) == 0

    withdraws(bulk.house, email)
    bulk.send()
    assert sum(bulk.calls("sendgrid").values()) == 1, "stops only wait when they too are refused"
    for _ in range(4):
        bulk.house.clock.forward(minutes=1)
        bulk.send()
    assert sum(bulk.calls("sendgrid").values()) == 0

    bulk.trouble("sendgrid", mode="up")
    bulk.house.clock.now += timedelta(minutes=20)
    bulk.settle()
    bulk.equal([email, *emails])


def test_whoever_is_claimed_while_a_lost_job_is_told_again_is_not_forgotten(house: House, an: Reader) -> None:
    """Decision 24: she is due again or named as held, whichever of two processes is faster."""
    an.has_consented()
    claim = house.store.queue.claim_pushes  # the other process
    withdraws(house, an.email, "newsletter")
    person = house.store.person(an.email)
    assert person is not None
    claimed: list[Any] = []

    def meanwhile(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("SELECT") and "FROM pushes" in statement and not claimed:
            claimed.append(None)
            if house.bridge.database.dialect == "postgresql":  # on SQLite writers take turns
                claimed.extend(claim("memory", 1))

    engine = house.bridge.database.engine
    event.listen(engine, "after_cursor_execute", meanwhile)
    busy = house.store.queue.tell_again("memory", [person.number])
    event.remove(engine, "after_cursor_execute", meanwhile)
    assert len(busy) == len(claimed[1:])
    assert len(busy) == 1 or house.store.queue.claim_pushes("memory", 1)[0].known is None
