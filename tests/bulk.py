"""A house whose ESPs are the sandbox's Mailchimp and SendGrid, and what its tests ask of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from adapters.mailchimp import Mailchimp
from adapters.sandbox import moment
from adapters.sandbox.control import tune
from adapters.sandbox.courier import public_key
from adapters.sandbox.server import Running
from adapters.sendgrid import SendGrid
from bridge.adapter import Adapter
from bridge.tables import connections, esp_jobs
from tests.conftest import House
from tests.test_store import consents

PLACES: dict[str, dict[str, dict[str, str]]] = {
    "mailchimp": {
        "newsletter": {"audience": "a1b2c3d4e5", "interest": "11aa22bb33"},
        "offers": {"audience": "a1b2c3d4e5", "interest": "44cc55dd66"},
    },
    "sendgrid": {
        "newsletter": {"list": "7f0c8a52-0c6e-4f6e-9a01-000000000001", "group": "101"},
        "offers": {"list": "7f0c8a52-0c6e-4f6e-9a01-000000000002", "group": "102"},
    },
}
KINDS: dict[str, type[Mailchimp | SendGrid]] = {"mailchimp": Mailchimp, "sendgrid": SendGrid}


def settings(running: Running, keys: dict[str, str]) -> dict[str, str]:
    """Both ESPs' settings for the sandbox."""
    return {
        "MAILCHIMP_API_KEY": keys["mailchimp_api_key"],
        "MAILCHIMP_BASE_URL": f"{running.url}/mailchimp/3.0",
        "SENDGRID_API_KEY": keys["sendgrid_api_key"],
        "SENDGRID_BASE_URL": f"{running.url}/sendgrid",
        "SENDGRID_WEBHOOK_PUBLIC_KEY": public_key(keys["sendgrid_private_key_pem"]),
    }


class Bulk:
    """A house with one or both of them, and the sandbox they live in."""

    def __init__(self, house: House, running: Running, keys: dict[str, str], names: Sequence[str], **more: str) -> None:
        self.house, self.running, self.names = house, running, names
        moment.clock = house.clock
        policy = house.bridge.policy
        for name in names:
            for purpose in policy.purposes.values():
                purpose.at[name] = PLACES[name][purpose.id]
            contract = policy.processors["memory"]
            policy.processors[name] = msgspec.structs.replace(contract, adapter=name)
            adapter: Adapter = KINDS[name]({**settings(running, keys), **more}, policy.places(name), {})
            house.bridge.adapters[name] = adapter
        house.store.adapters = tuple(names)

    def at_once(self) -> "Bulk":
        """The ESPs carry out each job in the moment it is begun."""
        self.trouble("sendgrid", job_seconds=0, search_seconds=0)
        self.trouble("mailchimp", job_seconds=0)
        return self

    def people(self, count: int, *purposes: str, name: str = "lezer") -> list[str]:
        """So many people with a yes that no ESP knows of yet."""
        emails = [f"{name}{number}@lezer.example" for number in range(count)]
        for email in emails:
            consents(self.house, email, *purposes)
        return emails

    def send(self) -> int:
        """Tell both ESPs what is due now."""
        done = 0
        while taken := sum(self.house.dispatcher.pushes(name) for name in self.names):
            done += taken
        return done

    def settle(self) -> None:
        """Let the dispatcher work until nothing waits and no job is open, however long it was told to wait."""
        for _ in range(200):
            self.send()
            if not self.waiting() and not self.jobs():
                return
            self.house.clock.forward(minutes=5)
        raise AssertionError("it never comes to an end")

    def waiting(self) -> int:
        """How many people wait to be told."""
        return sum(task.waiting for task in self.house.store.tasks() if task.name in self.names)

    def jobs(self) -> int:
        """How many jobs are open, or may be."""
        return self._count(esp_jobs)

    def connections(self) -> int:
        """How many connections are held."""
        return self._count(connections, connections.c.until > self.house.clock())

    def _count(self, table: Any, *where: Any) -> int:
        with self.house.bridge.database.reading() as db:
            return db.scalar(select(func.count()).select_from(table).where(*where)) or 0

    def trouble(self, name: str, **how: Any) -> None:
        """Let something be wrong at an ESP."""
        tune(self.running.state.esp(name), how)

    def calls(self, name: str) -> Counter[str]:
        """What an ESP was asked since the last time, by method and kind of address."""
        esp = self.running.state.esp(name)
        found = Counter(f"{call['method']} {_kind(call['path'])}" for call in esp.calls)
        esp.calls.clear()
        return found

    def receives(self, name: str, email: str) -> list[str]:
        """What an ESP would really mail her for."""
        return sorted(self.running.state.esp(name).person(email)["receives"])

    def equal(self, emails: Sequence[str]) -> None:
        """Both sides say the same of everybody."""
        for email in emails:
            may = sorted(p for p in ("newsletter", "offers") if self.house.store.may_mail(email, p).may)
            for name in self.names:
                assert self.receives(name, email) == may, (name, email)


MakeBulk = Callable[..., Bulk]


def _kind(path: str) -> str:
    """An address of an API without what is peculiar to one call."""
    parts = path.split("/")[3:]
    return "/".join("…" if any(c.isdigit() for c in part) or "@" in part else part for part in parts)
