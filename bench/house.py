"""A bridge of our own with many readers, made through the same acts that pages use."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.adapter import Transport
from bridge.bootstrap import Bridge
from bridge.jobs.dispatch import Dispatcher
from bridge.links import Action, Claim
from bridge.mailer import stop_token
from bridge.store import schema
from bridge.vault import new_key
from bridge.vocabulary import EventType, Letter, Report

POLICY = Path(__file__).resolve().parent.parent / "tests" / "policy" / "policy.toml"


class Clock:
    """Readers come one after the other, four seconds apart, and the last one came just now."""

    def __init__(self, readers: int) -> None:
        self.now = datetime.now(UTC) - timedelta(seconds=5 * readers)

    def __call__(self) -> datetime:
        return self.now


class Bin(Transport):
    """A road for mail that ends here: the mails are written and handed over, nobody reads them."""

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:  # noqa: ARG002  (the name is the contract's)
        """Take one."""
        ready()


def environment(folder: Path, port: int) -> dict[str, str]:
    """Settings of the house that is measured: SQLite, one platform in memory."""
    return {
        "BRIDGE_POLICY": str(POLICY),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'consent.db'}",
        "BRIDGE_BASE_URL": f"http://127.0.0.1:{port}",
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
        "BRIDGE_MAIL_URL": "smtp://127.0.0.1:1",
        "BRIDGE_ADAPTERS": "memory",
        "BRIDGE_LOG_LEVEL": "ERROR",
    }


def open_house(settings: Mapping[str, str], clock: Clock) -> Bridge:
    """An empty house."""
    bridge = Bridge.from_env(settings)
    bridge.clock = clock
    bridge.transport = Bin("smtp://127.0.0.1:1", {})
    schema.upgrade(bridge.database)
    bridge.ready()
    return bridge


def address(number: int) -> str:
    """The address of a reader, of a common length."""
    return f"reader.number{number:06}@lezer.example"


def fill(bridge: Bridge, clock: Clock, count: int) -> list[str]:
    """Readers who signed up for two purposes and confirmed; their stop tokens. All work that follows is done."""
    tokens = []
    for number in range(count):
        email = address(number)
        network = f"10.{number >> 8 & 255}.{number & 255}.0/24"
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
        clock.now += timedelta(seconds=4)
        bridge.acts.confirm(bridge.links.token(confirm))
        tokens.append(stop_token(bridge.links, person.id, person.mark, clock.now, ["newsletter"]))
    clock.now = datetime.now(UTC)
    Dispatcher(bridge).once()
    return tokens


def size(bridge: Bridge) -> int:
    """Bytes of the database that are in use."""
    with bridge.database.engine.connect() as db:
        pages, free, each = (
            int(db.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * each


def forget_limits(bridge: Bridge) -> None:
    """What the sign-up limits count goes by itself after a month; here at once."""
    with bridge.database.engine.begin() as db:
        db.exec_driver_sql("DELETE FROM throttle")


def news(count: int, kind: EventType, batch: int) -> Iterator[list[Report]]:
    """What a platform tells about all of them, in batches."""
    now = datetime.now(UTC)
    for first in range(0, count, batch):
        yield [
            Report(type=kind, email=address(number), time=now, key=f"{kind}-{number}")
            for number in range(first, min(count, first + batch))
        ]
