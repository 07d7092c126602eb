"""Whoever leaves is never slowed by what keeps programs from our forms: with every limit used up, by every road."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.memory import SIGNATURE, sign
from bridge.vocabulary import Status, rfc3339
from tests.conftest import Fields, House, Reader
from tests.test_roads import bare
from tests.test_subscribe import html

SECRET = "a-secret-only-for-tests"
LIMITS = """
[sign_up]
hold = "all"
proof_of_work = true
per_network_hour = 4
global_hour = 5
"""
NETWORK = {"REMOTE_ADDR": "203.0.113.9"}


class Crowded:
    """A house where a crowd has used up every limit, by the network that she comes from too."""

    def __init__(self, house: House) -> None:
        self.house, self.client = house, bare(house)
        self.an = Reader(house, "an@lezer.example")
        self.an.signs_up("newsletter", "offers")
        house.client.post(self.an.link("/confirm/"))
        house.clock.forward(minutes=2)
        house.dispatch()
        self.old, self.stop = self.an.link("/preferences/"), self.an.link("/u/")
        self.fresh = self.an.asks_for_a_link()
        for number in range(6):
            self.sends(f"a{number}@lezer.example")
            self.posts("/subscribe/code", code="1")
            self.posts("/preferences", email=f"a{number}@lezer.example")

    def posts(self, path: str, **data: object) -> Any:
        """One form, from the crowded network."""
        return self.client.post(path, data=data, environ_overrides=NETWORK)

    def sends(self, email: str) -> Any:
        """The form, without the task that a browser solves."""
        return self.posts("/subscribe", email=email, purpose="newsletter", channel="footer")

    def saves_nothing_ticked(self, link: str) -> Any:
        """The preference page, saved with every box empty."""
        hidden = Fields(html(self.client.get(link, environ_overrides=NETWORK))).hidden
        kept = {name: [v for n, v in hidden if n == name] for name, _ in hidden if name in ("save", "was", "made")}
        return self.posts(link, **kept)

    def hears(self) -> Any:
        """An ESP tells that she unsubscribed there."""
        news = {"id": "n", "type": "unsubscribed", "email": self.an.email, "time": rfc3339(self.house.clock())}
        body = json.dumps([news | {"purpose": ""}]).encode()
        headers = {SIGNATURE: sign(SECRET, body)}
        return self.client.post("/webhooks/memory", data=body, headers=headers, environ_overrides=NETWORK)


#: Each way to leave, and what it comes to.
ROADS: dict[str, tuple[Callable[[Crowded], Any], Status]] = {
    "one click": (lambda c: c.posts(c.stop, **{"List-Unsubscribe": "One-Click"}), Status.WITHDRAWN),
    "the button for all": (lambda c: c.posts(c.stop, scope="all"), Status.WITHDRAWN),
    "boxes, old link": (lambda c: c.saves_nothing_ticked(c.old), Status.WITHDRAWN),
    "boxes, fresh link": (lambda c: c.saves_nothing_ticked(c.fresh), Status.WITHDRAWN),
    "stop all, old link": (lambda c: c.posts(c.old, stop="all"), Status.WITHDRAWN),
    "stop all, fresh link": (lambda c: c.posts(c.fresh, stop="all"), Status.WITHDRAWN),
    "object": (lambda c: c.posts(c.fresh.replace("/preferences/", "/my-data/"), act="object"), Status.OBJECTED),
    "erase": (
        lambda c: c.posts(c.fresh.replace("/preferences/", "/my-data/"), act="erase", sure="yes"),
        Status.UNKNOWN,
    ),
    "an ESP": (Crowded.hears, Status.WITHDRAWN),
}


@pytest.fixture
def crowded(policy_folder: Path, make_house: Callable[..., House], database_url: str) -> Crowded:
    """The house with its crowd, on both databases."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text(encoding="utf-8") + LIMITS, encoding="utf-8")
    return Crowded(make_house(database_url))


@pytest.mark.parametrize("road", ROADS)
def test_no_limit_and_no_hold_slows_a_stop(crowded: Crowded, road: str) -> None:
    """CAP-10, WDR-05, WDR-10, RGT-04, RGT-06: her own network and the whole house are over their limits, every yes is
    held, forms want a task solved. Each stop is taken at the first try, as often as it is pressed."""
    assert crowded.sends("b@lezer.example").status_code == 429
    assert crowded.posts("/subscribe/code", code="1").status_code == 429
    assert crowded.posts("/preferences", email=crowded.an.email).status_code == 429
    assert crowded.an.may("newsletter").may
    assert crowded.an.may("offers").may
    leaves, status = ROADS[road]
    answer = leaves(crowded)
    assert answer.status_code in (200, 204)
    assert {crowded.an.status(purpose) for purpose in ("newsletter", "offers")} == {status}
    if road != "erase":
        assert [leaves(crowded).status_code for _ in range(30)] == [answer.status_code] * 30
    crowded.house.dispatch()
    assert not crowded.an.is_on("newsletter")
    assert not crowded.an.is_on("offers")
    assert crowded.house.verify().problems == ()
