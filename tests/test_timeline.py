"""The sandbox's page of one reader: whatever is pressed at a platform is seen in the store's own words beside it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.sandbox.knock import knock
from adapters.sandbox.pages import READER_ACTS
from adapters.sandbox.server import Running
from bridge.cli.timeline import timeline
from bridge.vocabulary import EventType
from tests.conftest import House, Reader


@pytest.fixture
def asked(house: House) -> Iterator[str]:
    """Where the store is asked."""
    with timeline(house.bridge) as url:
        yield url


def ask(url: str, question: bytes) -> dict[str, Any]:
    """What is answered."""
    answer = knock("POST", url, question)
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_it_tells_her_events_and_where_she_stands(asked: str, an: Reader) -> None:
    """The same evidence that `consent-bridge evidence` prints."""
    an.has_consented("newsletter")

    told = ask(asked, json.dumps({"email": an.email}).encode())

    assert told["known"] is True
    assert [event["type"] for event in told["events"]] == ["requested", "given"]
    assert told["standing"]["newsletter"]["may"] is True


def test_who_was_erased_is_not_held(asked: str, an: Reader, house: House) -> None:
    """SUP-04: of her the page knows what the stop list knows: that she was erased."""
    an.has_consented("newsletter")
    house.store.erase_person(an.email)

    told = ask(asked, json.dumps({"email": an.email}).encode())

    assert told["known"] is False
    assert "erased" in str(told["stops"])


@pytest.mark.parametrize("question", [b"", b"x", b"[]", b"{}", b"\xff", b"9" * 5000])
def test_a_question_that_is_none_is_refused(asked: str, question: bytes) -> None:
    """400, and it goes on."""
    assert knock("POST", asked, question).status == 400


def test_nobody_asks_who_does_not_know_where(asked: str) -> None:
    """Other people of this machine cannot guess the address."""
    assert knock("POST", asked.rpartition("/")[0] + "/guess", b'{"email": "an@lezer.example"}').status == 404


def test_the_page_shows_what_was_pressed_there_and_what_became_of_it_here(
    asked: str, an: Reader, house: House, running: Running
) -> None:
    """Issue 4: each event can be pressed, and its effect is read in the store's timeline."""
    running.state.reset()
    running.state.timeline_url = asked
    page = f"{running.url}/readers/{running.state.number(an.email)}"

    def shown() -> str:
        return knock("GET", page).body.decode()

    assert "The store does not hold this address." in shown()
    an.has_consented("newsletter")
    assert "may be mailed" in shown()
    house.hear(an.told_by_esp(EventType.COMPLAINED))
    assert "complained" in shown()
    for act in (label for acts in READER_ACTS.values() for key, label, _ in acts if key != "confirm"):
        assert act in shown()

    running.state.timeline_url = ""
    assert "Nobody tells what the store knows." in shown()
    assert knock("GET", f"{running.url}/readers/99").status == 404
