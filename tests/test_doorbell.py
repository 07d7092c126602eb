"""`BRIDGE_NUDGE`: a ring after a commit, of row ids only; lost, late, doubled and reordered rings do no harm (issue 7, 3)."""

import json
from collections.abc import Callable, Iterator
from itertools import permutations

import pytest

from bridge.doorbell import MOST, heard
from bridge.handlers import worker
from bridge.jobs.dispatch import Dispatcher
from bridge.settings import BadSetting, read_settings
from tests.aws import Played, played
from tests.conftest import House, Reader

MakeHouse = Callable[..., House]


@pytest.fixture(scope="module")
def aws() -> Iterator[Played]:
    """Queues."""
    with played() as there:
        yield there


@pytest.fixture
def queue(aws: Played, request: pytest.FixtureRequest) -> str:
    """A queue of this test's own."""
    return aws.queue(f"work-{abs(hash(request.node.name))}")


@pytest.fixture
def ringing(make_house: MakeHouse, database_url: str, aws: Played, queue: str) -> House:
    """A house that rings."""
    return make_house(database_url, BRIDGE_NUDGE=f"sqs:{queue}", **aws.environment)


def test_a_ring_carries_ids_of_rows_and_nothing_else(ringing: House, aws: Played, queue: str) -> None:
    """MIN-03: no address, name, purpose or token leaves by the queue, so that erasing never has to look there."""
    an = Reader(ringing, "an@lezer.example")
    an.signs_up()
    ringing.dispatch()
    an.confirms()
    rings = [json.loads(body) for body in aws.messages(queue)]
    assert len(rings) == 2
    for ring in rings:
        assert ring
        assert all(isinstance(row, int) or len(row) == 22 for row in ring)
    assert any(isinstance(row, int) for row in rings[1]), "the platforms are to be told of her"


def test_a_ring_is_rung_after_the_commit(ringing: House, aws: Played, queue: str) -> None:
    """Whoever answers it finds the rows; an act that wrote nothing rings nothing."""
    an = Reader(ringing, "an@lezer.example")
    an.signs_up()
    (ring,) = [json.loads(body) for body in aws.messages(queue)]
    assert ringing.store.queue.waits(ring)
    assert Dispatcher(ringing.bridge).answer(ring, lambda: True) > 0
    assert not ringing.store.queue.waits(ring)
    assert len(an.mails()) == 1
    assert ringing.client.get(an.link("/confirm/")).status_code == 200
    assert aws.messages(queue) == []


def test_rings_out_of_order_doubled_and_late_send_each_mail_once(ringing: House, aws: Played, queue: str) -> None:
    """Whatever SQS makes of them, in every order: it promises at least once, and no order."""
    dispatcher = Dispatcher(ringing.bridge)
    for number, order in enumerate(permutations(range(3))):
        readers = [Reader(ringing, f"{name}{number}@lezer.example") for name in ("an", "bram", "dirk")]
        for reader in readers:
            reader.signs_up()
        rings = sorted(aws.messages(queue))
        for place in (*order, *order):
            dispatcher.answer(json.loads(rings[place]), lambda: True)
        ringing.clock.forward(days=1)  # one that lay in a queue for long
        dispatcher.answer(json.loads(rings[0]), lambda: True)
        assert [len(reader.mails()) for reader in readers] == [1, 1, 1]


def test_a_lost_ring_costs_nothing_but_the_wait(
    make_house: MakeHouse, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is at the other end: she is answered, and the timetable's next look sends her mail."""
    nobody = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    house = make_house(database_url, BRIDGE_NUDGE="sqs:https://sqs.eu-central-1.amazonaws.com/1/work", **nobody)
    an = Reader(house, "an@lezer.example")
    assert an.signs_up().status_code == 200
    assert "the doorbell: ConnectionRefusedError; the work is found within a minute" in caplog.text
    assert "an@lezer" not in caplog.text
    assert worker.JOBS["relay"](Dispatcher(house.bridge), lambda: True) > 0
    assert len(an.mails()) == 1


@pytest.mark.parametrize("body", [None, {}, "x", [None, True, 1.5, {}, [], 2**63, -1], {"ring": ["a"]}])
def test_a_ring_that_is_none_means_look(body: object) -> None:
    """Garbage in a queue loses nothing."""
    assert heard(body) == []


def test_a_ring_names_so_many_rows_at_most() -> None:
    """The others are found by whoever answers it."""
    assert len(heard(list(range(10 * MOST)))) == MOST


def test_rows_that_never_were_are_no_work(house: House) -> None:
    """A ring of another house's, or of somebody who was erased meanwhile."""
    Reader(house, "an@lezer.example").signs_up()
    assert Dispatcher(house.bridge).answer(["AAAAAAAAAAAAAAAAAAAAAA", 999_999], lambda: True) == 0
    assert Dispatcher(house.bridge).answer([], lambda: True) > 0


def test_when_time_is_out_nothing_new_is_begun(house: House) -> None:
    """A function has so long; what it leaves is found by the next."""
    an = Reader(house, "an@lezer.example")
    an.signs_up()
    assert Dispatcher(house.bridge).work(lambda: False) == 0
    assert house.store.tasks()[0].waiting == 1
    assert Dispatcher(house.bridge).work() == 1
    assert len(an.mails()) == 1


@pytest.mark.parametrize(
    "nudge",
    [
        "sqs:",
        "sqs:work",
        "sqs:ftp://x/y",
        "sqs:https://a b/c",
        "lambda:",
        "lambda:a b",
        "lambda:arn:aws:x",
        "SQS:https://x",
    ],
)
def test_a_bell_that_cannot_ring_is_refused(environment: dict[str, str], nudge: str) -> None:
    """The setting and its forms."""
    with pytest.raises(BadSetting, match="BRIDGE_NUDGE must be one of: inline, none, sqs:URL"):
        read_settings({**environment, "BRIDGE_NUDGE": nudge})
