"""A program that is told to end does so in good order: what was asked is answered, what was claimed is done or given
back, and it ends by itself (issue 7, point 9; CON-01, WDR-03, decision 25). Real processes.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import func, select

from bridge.jobs.dispatch import Dispatcher
from bridge.tables import outbox
from tests.conftest import Databases, House, Mailbox, Reader, _plain
from tests.programs import COMMAND, GUNICORN, Program, ask, is_up, running, until
from tests.served import free_port

MakeHouse = Callable[..., House]

SERVERS = {
    "serve": (*COMMAND, "serve", "--port"),
    "gunicorn": (*GUNICORN, "--workers", "2", "--bind"),
}


class Slow(Mailbox):
    """A mail server that takes its time with each mail until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.goes_on = threading.Event(), threading.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        """Keep a message, late."""
        self.began.set()
        while not self.goes_on.is_set():
            await asyncio.sleep(0.01)
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture
def slow() -> Iterator[tuple[str, Slow]]:
    """Its address, and itself."""
    box, port = Slow(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    yield f"smtp://127.0.0.1:{port}", box
    box.goes_on.set()
    controller.stop()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """A fresh migrated database of the server."""
    with postgres_databases.one() as url:
        yield url


def told_to_end(program: Program) -> None:
    """The word is given; a moment later what it waits for goes on."""
    program.process.terminate()
    threading.Event().wait(0.3)


@pytest.mark.parametrize("server", SERVERS)
def test_a_click_that_is_under_way_is_written_and_answered(
    make_house: MakeHouse, postgres_url: str, tmp_path: Path, server: str
) -> None:
    """WDR-03: the database makes the click wait, the server is told to end meanwhile: 200, and she gets no more mail."""
    house = make_house(postgres_url)
    an = Reader(house, "an@lezer.example").has_consented()
    stop, port = an.link("/u/"), free_port()
    command = (*SERVERS[server], str(port) if server == "serve" else f"127.0.0.1:{port}")
    with running(command, house.environment, tmp_path, server) as program, ThreadPoolExecutor(1) as others:
        until(lambda: is_up(port), "the pages are up")
        with psycopg.connect(_plain(postgres_url)) as db:
            db.execute("LOCK TABLE events, subjects, records IN ACCESS EXCLUSIVE MODE")
            click = others.submit(ask, port, stop, {"List-Unsubscribe": "One-Click"})
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            until(lambda: (db.execute(waits).fetchone() or (0,))[0], "the click waits")
            told_to_end(program)
        assert click.result(30) == (200, "Unsubscribed.\n"), program.log()
        assert program.process.wait(40) == 0, program.log()
    assert not an.may().may
    assert "Traceback" not in program.log()


@pytest.mark.parametrize("name", ["dispatch", "serve"])
def test_mails_that_were_claimed_have_left_or_are_given_back(
    make_house: MakeHouse, database_url: str, tmp_path: Path, slow: tuple[str, Slow], name: str
) -> None:
    """Decision 25: each mail comes once, no lease is left behind, whoever comes next sends the rest at once."""
    url, box = slow
    house = make_house(database_url, BRIDGE_MAIL_URL=url)
    house.clock.now = datetime.now(UTC)  # the program's
    for number in range(5):
        Reader(house, f"lezer{number}@krant.example").signs_up()
    command = (*COMMAND, "dispatch") if name == "dispatch" else (*COMMAND, "serve", "--port", str(free_port()))
    with running(command, house.environment, tmp_path, name) as program:
        until(box.began.is_set, "the first mail is being handed over")
        told_to_end(program)
        box.goes_on.set()
        assert program.process.wait(40) == 0, program.log()
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).where(outbox.c.leased.is_not(None))) == 0
    left = len(box.messages)
    assert left >= 1
    house.dispatch()
    assert sorted(box._to) == [f"lezer{number}@krant.example" for number in range(5)]


def test_an_end_has_a_bound_whoever_hangs(make_house: MakeHouse, sqlite_url: str, slow: tuple[str, Slow]) -> None:
    """A mail server that never answers holds nobody up: all lanes together get that long, not each of them."""
    house = make_house(sqlite_url, BRIDGE_MAIL_URL=slow[0])
    Reader(house, "an@lezer.example").signs_up()
    dispatcher = Dispatcher(house.bridge)
    dispatcher.start()
    assert slow[1].began.wait(30)
    assert dispatcher.stop(0.2) is False
    slow[1].goes_on.set()
    assert dispatcher.stop(30) is True
    assert len(slow[1].messages) == 1


def test_a_function_whose_time_is_up_begins_no_further_mail(home: House) -> None:
    """Issue 7: on Lambda each mail may take what is left; one that is cut off comes twice, or not at all."""
    readers = [f"lezer{number}@krant.example" for number in range(5)]
    for reader in readers:
        Reader(home, reader).signs_up()
    left = iter([True] * 20)

    def more() -> bool:
        return next(left, False) and len(home.mailbox.messages) < 2

    Dispatcher(home.bridge).work(more)
    assert len(home.mailbox.messages) == 2
    with home.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).where(outbox.c.leased.is_not(None))) == 0
    home.dispatch()
    assert sorted(home.mailbox._to) == readers
