"""What each platform holds of a reader: asked for in a moment, read by the dispatcher, shown for a day, gone with her.

GDPR 15; rows RGT-01, RGT-04, SUP-04. On both databases.
"""

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.access import HTML, JSON, files
from bridge.store.looks import LookBook
from bridge.store.values import Person
from bridge.tables import looks
from bridge.vocabulary import EventType, Report
from tests.conftest import House, Reader
from tests.test_store import person


@pytest.fixture
def book(house: House) -> LookBook:
    """Where the questions stand."""
    return house.store.queue.looks


def asks(house: House, an: Reader) -> Person:
    """An wants to see what the platforms hold."""
    she = person(house, an.email)
    house.store.queue.looks.ask(she, house.store.adapters)
    return she


def told(house: House, she: Person) -> list[dict[str, Any]]:
    """What her file says of the platforms."""
    found: list[dict[str, Any]] = json.loads(files(house.bridge, she, "en")[JSON])["at the platforms"]
    return found


def rows(house: House) -> int:
    with house.bridge.database.reading() as db:
        return db.scalar(select(func.count()).select_from(looks)) or 0


def test_a_platform_is_asked_and_what_it_holds_is_in_her_files(house: House, an: Reader, dirk: Reader) -> None:
    """RGT-01: in its own words, sealed on the way; of her alone."""
    an.has_consented()
    dirk.has_consented()
    she = asks(house, an)
    assert told(house, she) == [
        {"platform": "memory", "asked": told(house, she)[0]["asked"], "answered": False, "tried": 0}
    ]
    house.dispatch()
    (answer,) = told(house, she)
    assert answer["holds"]["email"] == an.email
    assert answer["holds"]["on.1"] == "newsletter"
    assert an.email in files(house.bridge, she, "en")[HTML].decode()
    assert told(house, person(house, dirk.email)) == []
    with house.bridge.database.reading() as db:
        assert an.email.encode() not in bytes(db.scalars(select(looks.c.sealed)).one())
    asked = [call for call in house.esp.calls if call[0] == "held"]
    assert asked == [("held", (an.email,))]
    asks(house, an)  # pressed twice
    house.dispatch()
    assert [call for call in house.esp.calls if call[0] == "held"] == asked


def test_a_platform_that_is_away_is_said_to_be_and_asked_again(house: House, an: Reader) -> None:
    """ESP-06: nobody is told "nothing" because nobody could look."""
    an.has_consented()
    house.esp.down = True
    she = asks(house, an)
    house.dispatch()
    assert [(copy["answered"], copy["tried"]) for copy in told(house, she)] == [(False, 1)]
    assert "has not answered yet" in files(house.bridge, she, "en")[HTML].decode()
    house.esp.down = False
    house.clock.forward(hours=1)
    house.dispatch()
    assert told(house, she)[0]["answered"]


def test_one_that_cannot_be_asked_about_one_person_is_said_to_be(
    house: House, an: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RGT-01: an adapter need not know how."""
    an.has_consented()
    monkeypatch.setattr(house.bridge.adapters["memory"], "held", lambda _emails: None)
    she = asks(house, an)
    house.dispatch()
    assert told(house, she)[0]["cannot be asked about one person"]
    assert "cannot be asked about one person" in files(house.bridge, she, "en")[HTML].decode()


def test_after_a_day_it_is_forgotten(house: House, an: Reader, book: LookBook) -> None:
    """GDPR 5(1)(e): shown for a day, and then gone from the database too."""
    an.has_consented()
    she = asks(house, an)
    house.dispatch()
    house.clock.forward(hours=23)
    book.forget()
    assert told(house, she)
    house.clock.forward(hours=2)
    assert told(house, she) == []
    book.forget()
    assert rows(house) == 0


@pytest.mark.parametrize("answered", [False, True])
def test_it_goes_with_her(house: House, an: Reader, book: LookBook, answered: bool) -> None:
    """RGT-04, SUP-04: nothing of it is left after erasure, also where the platform answers a moment later."""
    an.has_consented()
    she = asks(house, an)
    (look,) = book.claim("memory", 5)
    if answered:
        book.told(look, {"email": an.email})
    house.store.erase_person(an.email)
    book.told(look, {"email": an.email})
    book.put_off(look, None)
    book.ask(she, house.store.adapters)
    assert rows(house) == 0
    assert house.verify().problems == ()


def test_what_is_held_of_an_address_she_left_is_forgotten(house: House, an: Reader, book: LookBook) -> None:
    """R13: the answer about the old address is not about the new one."""
    an.has_consented()
    she = asks(house, an)
    (look,) = book.claim("memory", 5)
    news = Report(type=EventType.MOVED, email=an.email, time=house.clock(), key="1", to="an.nieuw@lezer.example")
    house.hear(news)
    book.told(look, {"email": an.email})
    assert rows(house) == 0
    assert book.claim("memory", 5) == []
    assert she.number


def test_two_dispatchers_ask_once(house: House, an: Reader, book: LookBook) -> None:
    """Decision 23: a lease; one that ran out hands the question over, and the late answer of the first changes nothing."""
    an.has_consented()
    she = asks(house, an)
    (first,) = book.claim("memory", 5)
    assert book.claim("memory", 5) == []
    house.clock.forward(minutes=5)
    (second,) = book.claim("memory", 5)
    book.told(first, {"late": "yes"})
    assert not told(house, she)[0]["answered"]
    book.told(second, {"email": an.email})
    assert told(house, she)[0]["holds"] == {"email": an.email}
