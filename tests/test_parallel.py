"""Several programs on one store at the same moment: real processes, both databases. GDPR 5(1)(d), decisions 16 and 23."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.mailer import stop_token
from bridge.tables import events, outbox, person_keys, pushes, records, subjects
from bridge.vocabulary import EventType, Status
from tests import at_once
from tests.children import forks
from tests.conftest import House, Reader
from tests.test_store import asks, confirm_token, consents, person

PROGRAMS = 8

AtOnce = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def programs() -> Iterator[ProcessPoolExecutor]:
    """Eight processes of their own, started once for this file."""
    with ProcessPoolExecutor(PROGRAMS, forks, at_once.begin, (forks.Barrier(PROGRAMS),)) as pool:
        yield pool


@pytest.fixture
def at_the_same_moment(house: House, programs: ProcessPoolExecutor) -> AtOnce:
    """Have eight programs do something at once; the last arguments are per program. Gives their answers."""

    def go(job: str, *shared: Any, each: list[tuple[Any, ...]] | None = None) -> list[Any]:
        house.bridge.database.engine.dispose()
        jobs = [
            programs.submit(at_once.run, job, house.environment, house.clock(), *shared, *own)
            for own in each or [()] * PROGRAMS
        ]
        answers = [future.result(90) for future in jobs]
        assert len({process for process, _answer in answers}) == PROGRAMS, "each in a process of its own"
        return [answer for _process, answer in answers]

    return go


def chain(house: House, email: str) -> list[int]:
    """The numbers of a person's events."""
    with house.bridge.database.reading() as db:
        mine = events.c.subject == person(house, email).number
        return list(db.scalars(select(events.c.number).where(mine).order_by(events.c.id)))


def count(house: House, table: Any, *where: Any) -> int:
    """How many rows."""
    with house.bridge.database.reading() as db:
        return db.scalar(select(func.count()).select_from(table).where(*where)) or 0


def test_many_writers_to_one_person_lose_nothing(house: House, an: Reader, at_the_same_moment: AtOnce) -> None:
    """CAP-06, decision 16: 8 programs × 6 acts on one person: 48 events more, in one unbroken chain."""
    who = consents(house, an.email)
    assert sum(at_the_same_moment("pauses", [who.id], 6)) == 48
    assert chain(house, an.email) == list(range(1, 51))
    assert house.verify().problems == ()
    with house.bridge.database.reading() as db:
        assert db.scalar(select(pushes.c.wanted)) == 50
        assert set(db.scalars(select(records.c.number))) == {50}


def test_many_writers_to_many_people_neither_lose_nor_lock_up(house: House, at_the_same_moment: AtOnce) -> None:
    """Decision 16: batches that name the same people in eight different orders are serialised, not deadlocked."""
    emails = [f"lezer{number}@lezer.example" for number in range(PROGRAMS)]
    ids = [consents(house, email).id for email in emails]
    orders = [((ids[turn:] + ids[:turn])[:: 1 if turn % 2 else -1], 3) for turn in range(PROGRAMS)]
    assert sum(at_the_same_moment("pauses", each=orders)) == PROGRAMS * PROGRAMS * 3
    for email in emails:
        assert chain(house, email) == list(range(1, 2 + PROGRAMS * 3 + 1))
    verdict = house.verify()
    assert (verdict.people, verdict.events, verdict.problems) == (8, 8 * 26, ())


def test_a_confirmation_pressed_eight_times_at_once_is_one_yes(
    house: House, an: Reader, at_the_same_moment: AtOnce
) -> None:
    """CON-04: scanners, double clicks and retries: one event, one welcome; the others hear it was done."""
    asks(house, an.email)
    house.clock.forward(minutes=1)
    answers = at_the_same_moment("confirm", confirm_token(house, an.email))
    assert Counter(answers) == {"now": 1, "again": 7}
    assert [event.type for event in an.story()] == [EventType.REQUESTED, EventType.GIVEN]
    assert count(house, outbox, outbox.c.work == "mail:welcome") == 1
    assert house.verify().problems == ()


def test_one_address_that_signs_up_eight_times_at_once_is_one_person(
    house: House, an: Reader, at_the_same_moment: AtOnce
) -> None:
    """CAP-10, SUP-03: one person, one request per purpose and one mail, however many forms arrive together."""
    spelled = [an.email, an.email.upper(), an.email.title(), an.email] * 2
    at_the_same_moment("sign_up", each=[(email,) for email in spelled])
    assert [count(house, table) for table in (subjects, person_keys, outbox)] == [1, 1, 1]
    assert [event.type for event in an.story()] == [EventType.REQUESTED] * 2
    house.clock.forward(minutes=1)
    house.bridge.acts.confirm(confirm_token(house, an.email))
    assert an.may().may
    assert house.verify().problems == ()


def test_eight_people_sign_up_at_once(house: House, at_the_same_moment: AtOnce) -> None:
    """CON-01: eight strangers in the same moment are eight people with a mail each; the words are kept once (CAP-07)."""
    emails = [f"lezer{number}@lezer.example" for number in range(PROGRAMS)]
    at_the_same_moment("sign_up", each=[(email,) for email in emails])
    assert [count(house, table) for table in (subjects, person_keys, outbox)] == [PROGRAMS] * 3
    assert len(house.store.words_used()) == 2
    assert all(chain(house, email) == [1, 2] for email in emails)
    assert house.verify().problems == ()


def test_a_network_sends_no_more_forms_at_once_than_one_by_one(
    house: House, policy_folder: Path, at_the_same_moment: AtOnce
) -> None:
    """CAP-10: forms of one network that arrive together count each other, for whomever they are."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n[sign_up]\nper_network_hour = 3\n", encoding="utf-8")
    forms = [(f"lezer{number}@lezer.example", "203.0.113.9") for number in range(PROGRAMS)]
    assert Counter(at_the_same_moment("sign_up", each=forms)) == {"taken": 3, "too many": 5}
    assert [count(house, table) for table in (subjects, person_keys, outbox)] == [3] * 3


def test_a_network_that_asks_for_everything_at_once_does_not_lock_itself_up(
    house: House, policy_folder: Path, at_the_same_moment: AtOnce
) -> None:
    """CAP-10: whoever has the turn of a network or an address waits for people, and nobody the other way about: no
    form, link or new address is refused because two of them wait for each other."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n[sign_up]\nper_network_hour = 1000\n", encoding="utf-8")
    emails = [f"lezer{number}@lezer.example" for number in range(6)]
    people = [(consents(house, email).id, email) for email in emails]
    answers = at_the_same_moment("asks", people, each=[(seed, 20) for seed in range(PROGRAMS)])
    assert answers == [[]] * PROGRAMS
    assert house.verify().problems == ()


def test_a_stop_clicked_eight_times_at_once_is_one_stop(house: House, an: Reader, at_the_same_moment: AtOnce) -> None:
    """WDR-10: eight mail programs press the same button: one event, and every one is told it is done."""
    who = consents(house, an.email)
    token = stop_token(house.bridge.links, who.id, who.mark, house.clock(), ["newsletter"])
    assert at_the_same_moment("stop", token) == ["newsletter"] * PROGRAMS
    house.bridge.acts.parking.replay()
    assert [event.type for event in an.story()][2:] == [EventType.WITHDRAWN]
    assert an.status() is Status.WITHDRAWN
    assert house.verify().problems == ()


def test_news_that_arrives_eight_times_at_once_is_heard_once(
    house: House, an: Reader, dirk: Reader, at_the_same_moment: AtOnce
) -> None:
    """HOOK-02, SUP-05: the same call to eight programs, people and strangers in any order: each piece counts once."""
    consents(house, an.email)
    consents(house, dirk.email)
    strangers = [Reader(house, f"vreemd{number}@lezer.example") for number in range(6)]
    told = [reader.told_by_esp(EventType.UNSUBSCRIBED, key="1") for reader in strangers]
    told += [reader.told_by_esp(EventType.COMPLAINED, key=reader.email) for reader in (an, dirk)]
    orders = [((told[turn:] + told[:turn])[:: 1 if turn % 2 else -1],) for turn in range(PROGRAMS)]
    assert sum(at_the_same_moment("hear", each=orders)) == 2
    assert [len(reader.story()) for reader in (an, dirk)] == [3, 3]
    assert {reader.status() for reader in strangers} == {Status.WITHDRAWN}
    assert house.verify().problems == ()


def test_eight_dispatchers_take_each_piece_of_work_once(house: House, at_the_same_moment: AtOnce) -> None:
    """Decision 23: what is claimed by one program is not claimed by another; nothing is left behind."""
    for number in range(12):
        consents(house, f"lezer{number}@lezer.example")
    house.clock.forward(seconds=1)
    taken = [piece for answer in at_the_same_moment("claim", 3) for piece in answer]
    assert max(Counter(taken).values()) == 1
    assert Counter(kind for kind, _id in taken) == {"push": 12, "mail": 24}
    house.clock.now += timedelta(seconds=150)
    house.dispatch()
    assert all(f"lezer{number}@lezer.example" in house.esp.people for number in range(12))
    assert count(house, outbox) == 0
