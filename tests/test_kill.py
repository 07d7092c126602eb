"""Killed in the middle of it: what was promised still happens, and what must not happen twice does not.

Decision 25, rows CON-01, ESP-03. Real processes and SIGKILL, both databases, a real mail server, an ESP in a file.
"""

import json
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.store.work import LEASE
from tests.children import Child
from tests.conftest import House, Reader
from tests.kill_child import Ledger, told


@pytest.fixture
def ledger(tmp_path: Path, policy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One more ESP, as an operator adds one: an installed distribution with one entry point, and a contract."""
    info = tmp_path / "site" / "ledger_esp-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ledger-esp\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bridge.adapters]\nledger = tests.kill_child:Ledger\n")
    monkeypatch.syspath_prepend(str(info.parent))
    file = policy_folder / "policy.toml"
    text = file.read_text().replace("purposes.at.memory", "purposes.at.ledger")
    file.write_text(text.replace('adapter = "memory"', 'adapter = "ledger"'))
    return {"BRIDGE_ADAPTERS": "ledger", "LEDGER_PATH": str(tmp_path / "ledger.jsonl")}


class Told:
    """The house, and what its two other sides know: the mailbox and the ESP in a file."""

    def __init__(self, house: House) -> None:
        self.house = house

    def child(self, point: str) -> Child:
        """Start a dispatcher of its own that dies at this point."""
        settings = {k: v for k, v in self.house.environment.items() if not k.startswith("MEMORY_")}
        config = json.dumps({"environment": settings, "now": self.house.clock().isoformat()})
        return Child("tests.kill_child", point, config, environment={})

    def dies_at(self, point: str) -> None:
        """Run a dispatcher that is killed at this point."""
        child = self.child(point)
        assert child.ends() == -signal.SIGKILL, child.errors

    def lives(self) -> None:
        """Run a dispatcher that lives, once the dead one's lease is over."""
        self.house.clock.forward(seconds=LEASE.total_seconds() + 1)
        child = self.child("never")
        assert child.ends() == 0, child.errors

    def ids(self, reader: Reader) -> list[str]:
        """The Message-IDs of her mails."""
        return [str(mail["Message-ID"]) for mail in self.house.mailbox.to(reader.email)]

    def esp(self, reader: Reader) -> dict[str, Any]:
        """What the ESP was told of her last."""
        return told(Path(self.house.environment["LEDGER_PATH"])).get(reader.email, {})


@pytest.fixture
def both(ledger: dict[str, str], make_house: Callable[..., House], database_url: str) -> Told:
    """The house with the ESP in a file."""
    house = make_house(database_url, **ledger)
    assert isinstance(house.bridge.adapters["ledger"], Ledger)
    return Told(house)


@pytest.fixture
def an(both: Told) -> Reader:
    """An reads."""
    return Reader(both.house, "an.vandenberg@lezer.example")


def _asks(an: Reader) -> None:
    an.signs_up()


def _asks_for_a_link(an: Reader) -> None:
    an.has_consented()
    an.house.mailbox.clear()
    an.house.clock.forward(minutes=6)
    an.house.client.post("/preferences", data={"email": an.email})


def _confirms(an: Reader) -> None:
    an.signs_up()
    an.house.clock.forward(minutes=2)
    assert an.confirms().status_code == 200
    an.house.mailbox.clear()


def _leaves(an: Reader) -> None:
    an.has_consented()
    an.one_click()
    an.house.mailbox.clear()


@pytest.mark.parametrize("point", ["mail claimed", "before hand-over"])
@pytest.mark.parametrize("act", [_asks, _confirms, _leaves], ids=["confirm", "welcome", "goodbye"])
def test_killed_before_hand_over_a_mail_goes_exactly_once(both, an, act, point):
    """CON-01, decision 25: promised in the transaction of its event, so it goes once after the restart."""
    act(an)
    both.dies_at(point)
    assert both.ids(an) == []

    both.lives()
    both.lives()

    assert len(both.ids(an)) == 1
    assert not any(task.waiting for task in both.house.store.tasks())


@pytest.mark.parametrize("act", [_asks, _asks_for_a_link], ids=["confirm", "link"])
def test_killed_after_hand_over_a_question_may_come_twice_as_the_same_mail(both, an, act):
    """Decision 25: better twice than never; the same Message-ID, so that mailboxes show one."""
    act(an)
    both.dies_at("after hand-over")
    assert len(both.ids(an)) == 1

    both.lives()

    assert len(both.ids(an)) == 2
    assert len(set(both.ids(an))) == 1
    first, second = both.house.mailbox.to(an.email)
    assert first.get_body(("plain",)).get_content() == second.get_body(("plain",)).get_content()
    assert not any(task.waiting for task in both.house.store.tasks())


@pytest.mark.parametrize("act", [_confirms, _leaves], ids=["welcome", "goodbye"])
def test_killed_after_hand_over_a_welcome_or_goodbye_does_not_come_twice(both, an, act):
    """Decision 25."""
    act(an)
    both.dies_at("after hand-over")
    both.lives()
    both.lives()

    assert len(both.ids(an)) == 1
    assert not any(task.waiting for task in both.house.store.tasks())


@pytest.mark.parametrize("point", ["push claimed", "before push", "after push"])
def test_killed_around_the_call_the_esp_ends_where_the_reader_is(both, an, point):
    """ESP-03, decision 25: a yes, then a no; killed at each; both sides are equal in the end."""
    _confirms(an)
    both.dies_at(point)
    both.lives()
    assert both.esp(an)["on"] == ["newsletter"]
    assert both.esp(an)["fresh"], "a call that may not have happened told nothing"

    an.house.client.post(an.link("/u/"))
    both.dies_at(point)
    both.lives()
    assert both.esp(an) == {"email": an.email, "on": [], "stopped": ["newsletter"], "fresh": False}
    assert not any(task.waiting for task in both.house.store.tasks())


def test_a_no_that_came_while_the_yes_was_with_a_dead_dispatcher_wins(both, an):
    """ESP-03: the second dispatcher tells how things are now, not what the first one held."""
    _confirms(an)
    both.dies_at("before push")
    an.house.clock.forward(seconds=30)
    both.house.mailbox.clear()
    link = both.house.bridge.links
    claim = an.house.store.person(an.email)
    from bridge.mailer import stop_token

    token = stop_token(link, claim.id, claim.mark, an.house.clock(), ["newsletter"])
    assert an.house.client.post(f"/u/{token}").status_code == 200
    both.lives()

    assert both.esp(an)["on"] == []
    assert both.esp(an)["stopped"] == ["newsletter"]
    assert not an.may().may


@pytest.mark.parametrize("point", ["erasure claimed", "before erasing", "after erasing"])
def test_killed_while_she_is_erased_there_she_is_gone_in_the_end(both, an, point):
    """ESP-04, decisions 20 and 23: killed each of the two times the ESP is called; then she and the work are gone."""
    _confirms(an)
    both.lives()
    assert an.house.store.erase_person(an.email).known
    both.dies_at(point)
    assert _erasures(both) == 1
    both.lives()
    assert both.esp(an) == {"email": an.email, "gone": True}
    assert _erasures(both) == 1, "what was on its way may still bring her back"

    an.house.clock.forward(minutes=11)
    both.dies_at(point)
    assert _erasures(both) == 1
    both.lives()
    assert both.esp(an) == {"email": an.email, "gone": True}
    assert _erasures(both) == 0


def _erasures(both: Told) -> int:
    return sum(task.waiting for task in both.house.store.tasks() if task.name == "ledger erasures")


def test_nobody_takes_over_before_the_lease_ends(both, an):
    """Decision 25: a dispatcher that is only slow is not doubled."""
    _asks(an)
    both.dies_at("after hand-over")
    both.house.clock.forward(seconds=LEASE.total_seconds() - 2)
    child = both.child("never")
    assert child.ends() == 0

    assert len(both.ids(an)) == 1
    assert timedelta(seconds=60) < LEASE


def test_several_processes_at_once_lose_and_double_nothing(both):
    """Decisions 23 and 25: three dispatchers, each a process, on one database."""
    house = both.house
    readers = [Reader(house, f"lezer{n}@lezer.example") for n in range(12)]
    for reader in readers:
        reader.signs_up("newsletter", "offers")
    _together(both)
    assert sorted(len(both.ids(reader)) for reader in readers) == [1] * 12

    house.clock.forward(minutes=1)
    for reader in readers:
        body = house.mailbox.to(reader.email)[0].get_body(("plain",)).get_content()
        path = next(word for word in body.split() if "/confirm/" in word).partition(".example")[2]
        assert house.client.post(path).status_code == 200
    house.mailbox.clear()
    _together(both)

    assert sorted(len(both.ids(reader)) for reader in readers) == [1] * 12
    assert all(both.esp(reader)["on"] == ["newsletter", "offers"] for reader in readers)
    lines = Path(house.environment["LEDGER_PATH"]).read_text().splitlines()
    assert len(lines) == 12
    assert not any(task.waiting for task in house.store.tasks())


def _together(both: Told) -> None:
    children = [both.child("never") for _ in range(3)]
    for child in children:
        assert child.ends(90) == 0, child.errors
