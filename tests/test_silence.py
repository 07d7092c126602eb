"""A database whose machine says nothing: packets are dropped, as behind a firewall or after a cut (WDR-05, WDR-10).

A refusal is told at once, and others test it (tests/test_lambda.py). Here each try costs a wait, and clicks must not.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from bridge.bootstrap import Bridge
from bridge.handlers.cold import Checked
from bridge.settings import read_settings
from bridge.store.rest import Rest
from bridge.web.app import create_app
from tests.conftest import House, Reader


class Hole:
    """A socket that takes calls and never answers; calls are kept open."""

    def __init__(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._calls: list[socket.socket] = []

    @property
    def url(self) -> str:
        """As a database."""
        port = self._listening.getsockname()[1]
        return f"postgresql+psycopg://bridge@127.0.0.1:{port}/consent?sslmode=disable&connect_timeout=2"

    def calls(self) -> int:
        """How many there were."""
        while True:
            try:
                self._calls.append(self._listening.accept()[0])
            except BlockingIOError:
                return len(self._calls)

    def close(self) -> None:
        """Hang up."""
        for call in self._calls:
            call.close()


@contextmanager
def black_hole() -> Iterator[Hole]:
    """Listen."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hole = Hole(listening)
        yield hole
        hole.close()


def test_one_click_waits_and_the_others_are_parked_at_once(home: House) -> None:
    """WDR-10: all are answered 200 and none is lost; ten seconds later one of them looks again, and only one.

    So for a function that was up already and for one that comes up meanwhile, which looks at its schema first.
    """
    an = Reader(home, "an@lezer.example").has_consented()
    link = an.link("/u/")
    with black_hole() as hole:
        bridge = Bridge(read_settings({**home.environment, "BRIDGE_DATABASE_URL": hole.url}), connections=1)
        cold = Checked(bridge, "migrate", sends=False)
        client, rest, later = create_app(bridge).test_client(), bridge.database.rest, 0.0
        rest.clock = lambda: time.monotonic() + later
        for looks, comes_up in ((1, False), (2, True)):
            for _click in range(4):
                if comes_up:
                    cold.check()
                assert client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
            assert hole.calls() == looks
            later += 10.0
        assert bridge.spool.waiting() == 8
        bridge.close()


@given(st.lists(st.sampled_from(["silence", "refusal", "answer", "second", "ask"]), max_size=40))
def test_who_waits_for_a_silent_database(story: list[str]) -> None:
    """Nobody within ten seconds after silence, one at a time after that; a refusal or an answer spares nobody a try."""
    now, until = 0.0, None
    rest = Rest(lambda: now)
    for step in story:
        if step == "silence":
            now += 3.0
            rest.failed(now - 3.0)
            until = now + 10.0
        elif step == "refusal":
            rest.failed(now)
        elif step == "answer":
            rest.answered()
            until = None
        elif step == "second":
            now += 4.0
        else:
            resting = until is not None and now < until
            assert rest.refuses() is resting
            if until is not None and not resting:
                until = now + 10.0
                assert rest.refuses(), "one looks for all"
