"""Stops and news that wait in a queue while the database is away: functions have no disk (decision 21, issue 7).

WDR-10, MIN-03. The file beside the database has tests of its own (tests/test_spool.py).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from msgspec import structs
from sqlalchemy import update

from adapters.memory import SIGNATURE, sign
from bridge.bootstrap import Bridge
from bridge.handlers.cold import Checked
from bridge.mailer import stop_token
from bridge.settings import BadSetting, read_settings
from bridge.spool import Parked, QueueSpool, from_message
from bridge.store import StoreAway
from bridge.tables import person_keys
from bridge.vocabulary import EventType, Method, Status, rfc3339
from bridge.web.app import create_app
from tests.aws import Played, played
from tests.conftest import House, Reader


@pytest.fixture(scope="module")
def aws() -> Iterator[Played]:
    """Queues."""
    with played() as there:
        yield there


@pytest.fixture
def queue(aws: Played, request: pytest.FixtureRequest) -> str:
    """A queue of this test's own."""
    return aws.queue(f"parked-{abs(hash(request.node.name))}")


@pytest.fixture
def parking(make_house: Callable[..., House], database_url: str, aws: Played, queue: str) -> House:
    """A house that parks there."""
    return make_house(database_url, BRIDGE_SPOOL=f"sqs:{queue}", **aws.environment)


@contextmanager
def away(house: House) -> Iterator[None]:
    """The database is out of reach."""
    house.bridge.database.closed = "for this test"
    yield
    house.bridge.database.closed = ""


def replayed(house: House, body: str) -> bool:
    """What the function does with one message of the queue."""
    line = from_message(json.loads(body))
    assert line is not None
    return house.bridge.acts.parking.take_parked(line)


def test_a_click_is_answered_and_written_later_at_its_own_time(parking: House, aws: Played, queue: str) -> None:
    """200 at once; nothing but opaque ids and the time lies in the queue; told twice it is the same no."""
    an = Reader(parking, "an@lezer.example").has_consented()
    link, clicked = an.link("/u/"), parking.clock()
    with away(parking):
        assert parking.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    held = aws.held(queue)
    (body,) = aws.messages(queue)
    assert held == [body], "what other tests search for what is anybody's"
    assert an.status() is Status.GIVEN
    for secret in (an.email, link.rpartition("/")[2], "newsletter@", "lezer"):
        assert secret not in body
    parking.clock.forward(hours=3)
    assert replayed(parking, body)
    assert replayed(parking, body)
    assert an.status() is Status.WITHDRAWN
    assert {event.time for event in an.story() if event.type is EventType.WITHDRAWN} == {clicked}
    parking.dispatch()
    assert not an.is_on()


def test_nothing_is_sent_before_parked_stops_are_written(parking: House, aws: Played, queue: str) -> None:
    """Promise 2: a mail and a place at the platform were promised, she said no while the database was away: neither."""
    an = Reader(parking, "an@lezer.example")
    an.signs_up()
    parking.clock.forward(minutes=1)
    an.confirms()
    person = parking.store.person(an.email)
    assert person is not None
    parking.mailbox.clear()
    parking.clock.forward(seconds=5)
    link = f"/u/{stop_token(parking.bridge.links, person.id, person.mark, parking.clock(), ('newsletter',))}"
    with away(parking):
        assert parking.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    (held,) = aws.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=60)["Messages"]
    for _ in range(2):  # somebody else was handed it: he may write it, or be gone
        with pytest.raises(StoreAway, match="parked stops"):
            parking.dispatch()
    back = {"QueueUrl": queue, "ReceiptHandle": held["ReceiptHandle"], "VisibilityTimeout": 0}
    aws.client("sqs").change_message_visibility(**back)
    parking.dispatch()
    assert an.status() is Status.WITHDRAWN
    assert aws.held(queue) == []
    assert not an.is_on()
    assert [
        message["Subject"] for message in parking.mailbox.to(an.email) if "welkom" in message["Subject"].lower()
    ] == []


def test_where_the_queue_cannot_be_asked_nothing_is_sent(
    make_house: Callable[..., House], database_url: str, aws: Played
) -> None:
    """Fail closed: a "no" may lie there."""
    nowhere = {**aws.environment, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9"}
    house = make_house(database_url, BRIDGE_SPOOL="sqs:https://sqs.eu-central-1.amazonaws.com/1/q", **nowhere)
    house.client.post("/subscribe", data={"email": "an@lezer.example", "purpose": "newsletter", "channel": "footer"})
    with pytest.raises(StoreAway, match="cannot be read"):
        house.dispatch()
    assert house.mailbox.messages == []


def test_what_nobody_can_write_is_a_dead_letter_and_holds_up_nothing(
    make_house: Callable[..., House], database_url: str, aws: Played, request: pytest.FixtureRequest
) -> None:
    """Neither her parked stop, whose key is broken, nor a message that is none."""
    name = f"aside-{abs(hash(request.node.name))}"
    letters, url = aws.queue(f"{name}-letters"), aws.queue(name)
    house = make_house(database_url, BRIDGE_SPOOL=f"sqs:{url},{letters}", **aws.environment)
    an = Reader(house, "an@lezer.example").has_consented()
    link, person = an.link("/u/"), house.store.person(an.email)
    assert person is not None
    with away(house):
        house.client.post(link, data={"List-Unsubscribe": "One-Click"})
    with house.bridge.database.writing() as db:
        db.execute(update(person_keys).where(person_keys.c.subject == person.number).values(wrapped=b"x" * 60))
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="no json")
    house.dispatch()
    assert aws.held(url) == []
    assert len(aws.held(letters)) == 2
    line = from_message(json.loads(next(body for body in aws.messages(letters) if "parked" in body)))
    assert line is not None
    assert house.bridge.acts.parking.is_over(line)
    assert len(aws.held(letters)) == 1, "so too by the function that is handed them"
    spool = house.bridge.spool
    assert isinstance(spool, QueueSpool)
    assert spool.park_again() == 1
    assert (aws.held(letters), len(aws.held(url))) == ([], 1), "a person has mended it: it is tried again"


def test_a_yes_that_came_later_is_not_overtaken_by_a_parked_no(parking: House, aws: Played, queue: str) -> None:
    """Decision 1: her newer answer, to a newer question, stands; however late the queue is."""
    an = Reader(parking, "an@lezer.example").has_consented()
    link = an.link("/u/")
    with away(parking):
        parking.client.post(link, data={"List-Unsubscribe": "One-Click"})
    (body,) = aws.messages(queue)
    assert replayed(parking, body)
    parking.clock.forward(days=2)
    an.has_consented()
    assert replayed(parking, body), "the queue gives it out once more"
    assert an.status() is Status.GIVEN


def test_while_the_database_is_away_it_stays_in_the_queue(parking: House, aws: Played, queue: str) -> None:
    """Whoever takes it out says so, and it comes again."""
    an = Reader(parking, "an@lezer.example").has_consented()
    link = an.link("/u/")
    with away(parking):
        parking.client.post(link, data={"List-Unsubscribe": "One-Click"})
        (body,) = aws.messages(queue)
        with pytest.raises(StoreAway):
            replayed(parking, body)


def test_when_the_queue_is_away_too_she_is_told_to_come_back(
    make_house: Callable[..., House], database_url: str, aws: Played
) -> None:
    """WDR-10: 503 with `Retry-After`, never "done"."""
    nowhere = {**aws.environment, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9"}
    link = Reader(make_house(database_url), "an@lezer.example").has_consented().link("/u/")
    house = make_house(database_url, BRIDGE_SPOOL="sqs:https://sqs.eu-central-1.amazonaws.com/1/q", **nowhere)
    with away(house):
        answer = house.client.post(link, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_news_of_a_platform_waits_as_hashes(parking: House, aws: Played, queue: str) -> None:
    """HOOK-01: acknowledged, kept without the address, heard later."""
    an = Reader(parking, "an@lezer.example").has_consented()
    with away(parking):
        assert parking.bridge.acts.parking.hear("memory", [an.told_by_esp(EventType.COMPLAINED)]) is None
    (body,) = aws.messages(queue)
    assert "lezer" not in body
    assert replayed(parking, body)
    assert an.status() is Status.OBJECTED


def test_a_large_call_of_a_platform_is_parked_in_messages_that_a_queue_takes(
    parking: House, aws: Played, queue: str
) -> None:
    """Decision 28: 8 MiB may come at once; SQS takes a message of 256 KiB everywhere, of 1 MiB at most."""
    an = Reader(parking, "an@lezer.example").has_consented()
    told = an.told_by_esp(EventType.COMPLAINED)
    others = [structs.replace(told, email=f"lezer{n}@krant.example", key=f"k{n}") for n in range(5_000)]
    with away(parking):
        assert parking.bridge.acts.parking.hear("memory", [*others, told]) is None
    bodies = aws.messages(queue)
    assert max(len(body) for body in bodies) < 128 * 1024
    assert all(replayed(parking, body) for body in bodies)
    assert an.status() is Status.OBJECTED


def test_news_is_parked_by_pages_that_never_heard_of_that_platform_before(
    parking: House, aws: Played, queue: str
) -> None:
    """Issue 7, point 6: adapters wait for their first news; what `setup` kept for them was read while it could be."""
    an = Reader(parking, "an@lezer.example").has_consented()
    parking.bridge.kept.keep("memory", "MEMORY_WEBHOOK_SECRET", "", "kept-secret")
    settings = {name: value for name, value in parking.environment.items() if name != "MEMORY_WEBHOOK_SECRET"}
    pages = Checked(Bridge(read_settings(settings), clock=parking.clock), "", sends=False)
    pages.check()
    assert not {"adapters", "transport", "mailer"} & vars(pages.bridge).keys()
    pages.bridge.database.closed = "for this test"
    news = {"id": "1", "type": "complained", "email": an.email, "time": rfc3339(parking.clock()), "purpose": ""}
    body = json.dumps([news]).encode()
    client = create_app(pages.bridge).test_client()
    assert client.post("/webhooks/memory", data=body, headers={SIGNATURE: sign("wrong", body)}).status_code == 503
    assert client.post("/webhooks/memory", data=body, headers={SIGNATURE: sign("kept-secret", body)}).status_code == 204
    pages.bridge.close()
    (parked,) = aws.messages(queue)
    assert replayed(parking, parked)
    assert an.status() is Status.OBJECTED


def test_one_that_nobody_can_write_is_told_apart(parking: House) -> None:
    """A person whose key is broken: the message is set aside in the end, and no other waits for it."""
    an = Reader(parking, "an@lezer.example").has_consented()
    person = parking.store.person(an.email)
    assert person is not None
    line = Parked(subject=person.id, mark=person.mark, purpose="", time=parking.clock(), method=Method.ONE_CLICK)
    with parking.bridge.database.writing() as db:
        db.execute(update(person_keys).where(person_keys.c.subject == person.number).values(wrapped=b"x" * 60))
    assert parking.bridge.acts.parking.take_parked(line) is False


def test_news_that_nobody_can_write_comes_to_an_end(parking: House, aws: Played, queue: str) -> None:
    """It is told apart from its neighbours once; then its own message fails, so that the queue counts its tries. Put
    into the queue anew each time it would be new each time, and never a dead letter."""
    an, dirk = (Reader(parking, f"{name}@lezer.example").has_consented() for name in ("an", "dirk"))
    with away(parking):
        parking.bridge.acts.parking.hear("memory", [one.told_by_esp(EventType.COMPLAINED) for one in (an, dirk)])
    (body,) = aws.messages(queue)
    person = parking.store.person(an.email)
    assert person is not None
    with parking.bridge.database.writing() as db:
        db.execute(update(person_keys).where(person_keys.c.subject == person.number).values(wrapped=b"x" * 60))
    assert replayed(parking, body)
    assert dirk.status() is Status.OBJECTED
    (alone,) = aws.messages(queue)
    assert replayed(parking, alone) is False
    assert aws.messages(queue) == []


def test_erasing_somebody_is_no_error_where_stops_wait_in_a_queue(
    parking: House, aws: Played, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SUP-04: there is no file to blot her out of; her message, when it comes, holds nothing up and brings nobody back."""
    an = Reader(parking, "an@lezer.example").has_consented()
    link = an.link("/u/")
    with away(parking):
        parking.client.post(link, data={"List-Unsubscribe": "One-Click"})
    (body,) = aws.messages(queue)
    parking.store.erase_person(an.email)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert replayed(parking, body)
    assert parking.store.person(an.email) is None


@pytest.mark.parametrize("told", [None, [], "x", 1, {}, {"ring": []}])
def test_a_message_that_parks_nothing_is_a_ring(told: object) -> None:
    """Both kinds come to one function."""
    assert from_message(told) is None


@pytest.mark.parametrize(
    "spool", ["sqs:", "file:///tmp/x", "sqs:work", "lambda:worker", "sqs:https://q.example/1/q,work"]
)
def test_a_place_that_keeps_nothing_is_refused(environment: dict[str, str], spool: str) -> None:
    """The setting and its form."""
    with pytest.raises(BadSetting, match="BRIDGE_SPOOL must be sqs:URL of a queue"):
        read_settings({**environment, "BRIDGE_SPOOL": spool})
