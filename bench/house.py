"""Houses to measure: a bridge with both ESPs switched on, and readers who came by the acts that pages use."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bridge.adapter import Transport
from bridge.bootstrap import Bridge
from bridge.links import Action, Claim
from bridge.mailer import stop_token
from bridge.store import schema
from bridge.tables import subjects
from bridge.vault import new_key
from bridge.vocabulary import DONE, EventType, Letter, Report

POLICY = Path(__file__).resolve().parent.parent / "tests" / "policy"
ADAPTERS = ("mailchimp", "sendgrid")

#: How far apart readers come.
APART = timedelta(seconds=4)

#: Longer than an ESP's job is waited for between two looks.
A_WHILE = timedelta(seconds=60)

#: How each purpose is known at the ESPs.
_PLACES = """[purposes.at.mailchimp]
audience = "a1b2c3d4e5"
interest = "{name}"

[purposes.at.sendgrid]
list = "list-{name}"
group = "{group}"
"""

_PROCESSOR = """
[[processors]]
adapter = "{name}"
name = "{name}"
service = "sends newsletter and offers"
country = "BE"
contract = 2026-01-05
review_by = 2036-01-05
"""


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Bin(Transport):
    """A road for mail that ends here: the mails are written and handed over, nobody reads them."""

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:  # noqa: ARG002  (the name is the contract's)
        """Take one."""
        ready()


def environment(folder: Path, url: str, esp: str = "http://127.0.0.1:1") -> dict[str, str]:
    """Settings of the house that is measured: both ESPs on, their accounts at `esp`."""
    return {
        "BRIDGE_POLICY": str(_policy(folder)),
        "BRIDGE_DATABASE_URL": url,
        "BRIDGE_BASE_URL": "http://127.0.0.1:8080",
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
        "BRIDGE_MAIL_URL": "smtp://127.0.0.1:1",
        "BRIDGE_ADAPTERS": ",".join(ADAPTERS),
        "BRIDGE_LOG_LEVEL": "ERROR",
        "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21",
        "MAILCHIMP_BASE_URL": f"{esp}/3.0",
        "MAILCHIMP_WEBHOOK_SECRET": "a-secret-only-for-figures",
        "SENDGRID_API_KEY": "SG.only-for-figures",
        "SENDGRID_BASE_URL": esp,
    }


def _policy(folder: Path) -> Path:
    """The tests' newspaper, with its lists at both ESPs."""
    made = folder / "policy"
    if not made.exists():
        shutil.copytree(POLICY, made)
        text = (made / "policy.toml").read_text(encoding="utf-8").partition("[[processors]]")[0]
        for group, name in enumerate(("newsletter", "offers"), start=1):
            places = _PLACES.format(name=name, group=group)
            text = text.replace(f'[purposes.at.memory]\nlist = "{name}"\n', places)
        text += "".join(_PROCESSOR.format(name=name) for name in ADAPTERS)
        (made / "policy.toml").write_text(text, encoding="utf-8")
    return made / "policy.toml"


def open_house(settings: Mapping[str, str]) -> Bridge:
    """An empty house."""
    bridge = Bridge.from_env(settings)
    bridge.clock = Clock(datetime.now(UTC))
    bridge.transport = Bin("smtp://127.0.0.1:1", {})
    schema.upgrade(bridge.database)
    bridge.ready()
    return bridge


def address(number: int) -> str:
    """The address of a reader, of a common length."""
    return f"reader.number{number:07}@lezer.example"


# -- by the acts that pages use ----------------------------------------------------------------------------------


def act(bridge: Bridge, numbers: Sequence[int], *, told: bool = True, ago: timedelta = timedelta()) -> None:
    """Readers sign up for a purpose and confirm, the last one so long ago. Their mails leave.

    `told` = both ESPs know of them.
    """
    clock = bridge.clock
    assert isinstance(clock, Clock)
    clock.now = datetime.now(UTC) - ago - 2 * APART * len(numbers)
    for number in numbers:
        email, network = address(number), f"10.{number >> 8 & 255}.{number & 255}.0/24"
        bridge.acts.sign_up(email, ["newsletter"], channel="footer", language="nl", network=network, fields={})
        person = bridge.store.person(email)
        assert person is not None
        asked = bridge.store.story(person)[-1]
        confirm = Claim(
            action=Action.CONFIRM,
            subject=person.id,
            address=person.mark,
            made=clock.now,
            request=asked.evidence.request or "",
        )
        clock.now += APART
        bridge.acts.confirm(bridge.links.token(confirm))
        clock.now += APART
    clock.now = datetime.now(UTC)
    post(bridge)
    if told:
        tell(bridge)


def post(bridge: Bridge) -> None:
    """Hand over all mails that are due."""
    from bridge.jobs.dispatch import Dispatcher

    dispatcher = Dispatcher(bridge)
    while dispatcher.mails():
        pass


def tell(bridge: Bridge) -> None:
    """Note that both ESPs were told everything."""
    for name in ADAPTERS:
        while claimed := bridge.store.queue.claim_pushes(name, 500):
            bridge.store.queue.finish_pushes((push, DONE) for push in claimed)


def forget_limits(bridge: Bridge) -> None:
    """What the sign-up limits count goes by itself after a month; here at once."""
    with bridge.database.engine.begin() as db:
        db.exec_driver_sql("DELETE FROM throttle")


# -- looking -----------------------------------------------------------------------------------------------------


def tokens(bridge: Bridge, numbers: Sequence[int]) -> list[str]:
    """The stop links of these readers, as their mails and both ESPs have them."""
    found: dict[int, str] = {}
    with bridge.database.engine.connect() as db:
        for first in range(0, len(numbers), 500):
            some = select(subjects.c.number, subjects.c.id, subjects.c.mark)
            for number, subject, mark in db.execute(some.where(subjects.c.number.in_(numbers[first : first + 500]))):
                found[number] = stop_token(bridge.links, subject, mark, datetime.now(UTC), ["newsletter"])
    return [found[number] for number in numbers]


def news(count: int, kind: EventType, batch: int) -> Iterator[list[Report]]:
    """What a platform tells about all of them, in batches."""
    now = datetime.now(UTC)
    for first in range(1, count + 1, batch):
        yield [
            Report(type=kind, email=address(number), time=now, key=f"{kind}-{number}")
            for number in range(first, min(count + 1, first + batch))
        ]


def size(bridge: Bridge) -> int:
    """Bytes of the database that are in use."""
    with bridge.database.engine.connect() as db:
        if db.dialect.name == "postgresql":
            query = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
            query += "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'"
            return int(db.exec_driver_sql(query).scalar_one())
        pages, free, each = (
            int(db.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * each


_PARTS = {
    "sqlite": "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC",
    "postgresql": "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i') "
    "ORDER BY 2 DESC",
}


def parts(bridge: Bridge) -> dict[str, int]:
    """Bytes of each table and index, the largest first; nothing where SQLite was built without `dbstat`."""
    try:
        with bridge.database.engine.connect() as db:
            return {str(name): int(took) for name, took in db.exec_driver_sql(_PARTS[db.dialect.name])}
    except OperationalError:
        return {}
