"""Everything the sandbox holds, in one hand."""

import json
from typing import Any
from urllib.parse import urlsplit

from adapters.sandbox import old_list
from adapters.sandbox.courier import Courier, Webhooks
from adapters.sandbox.esp import ActError, Esp, Judge
from adapters.sandbox.keep import Keeper
from adapters.sandbox.knock import knock
from adapters.sandbox.mailbox import Mailbox
from adapters.sandbox.mailchimp import Mailchimp
from adapters.sandbox.sendgrid import SendGrid


class State:
    """Two ESPs, a courier and a mailbox."""

    def __init__(self, webhooks: Webhooks, judge: Judge | None = None, keeper: Keeper | None = None) -> None:
        self.webhooks = webhooks
        self.keeper = keeper or Keeper()
        self.courier = Courier(self.keeper)
        self.mailbox = Mailbox(keeper=self.keeper)
        self.mailchimp = Mailchimp(self.courier, self.mailbox, webhooks, judge)
        self.sendgrid = SendGrid(self.courier, self.mailbox, webhooks, judge)
        self.esps: dict[str, Esp] = {"mailchimp": self.mailchimp, "sendgrid": self.sendgrid}
        self.smtp_port = 0
        self.timeline_url = ""  # who tells what the store knows of a reader
        self._readers: list[str] = []
        for esp in self.esps.values():
            esp.keeper = self.keeper
        self.keeper.restore([self.mailbox, *self.esps.values(), self.courier])
        self.courier.start()

    @property
    def refusals(self) -> list[str]:
        """What the judge said no to."""
        return [one for esp in self.esps.values() for one in esp.refusals]

    def esp(self, name: str) -> Esp:
        """One of the two by name. Raises `ActError`."""
        if name not in self.esps:
            raise ActError(f"esp must be one of: {', '.join(self.esps)}.")
        return self.esps[name]

    def person(self, email: str) -> dict[str, Any]:
        """How one address stands at each ESP."""
        return {name: esp.person(email) for name, esp in self.esps.items()}

    def people(self) -> list[str]:
        """Every address any ESP knows."""
        return list(dict.fromkeys(email for esp in self.esps.values() for email in esp.people()))

    def number(self, email: str) -> int:
        """A number that stands for an address in the addresses of pages."""
        low = email.strip().lower()
        if low not in self._readers:
            self._readers.append(low)
        return self._readers.index(low) + 1

    def reader(self, number: int) -> str:
        """The address that has this number; empty for none."""
        return self._readers[number - 1] if 0 < number <= len(self._readers) else ""

    def timeline(self, email: str) -> dict[str, Any] | None:
        """What the bridge's store knows of a reader; None where nobody tells."""
        if not self.timeline_url:
            return None
        answer = knock("POST", self.timeline_url, json.dumps({"email": email}).encode())
        try:
            found = json.loads(answer.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) and answer.status == 200 else None

    def friends(self) -> frozenset[str]:
        """Hosts a scanner may visit: this machine and wherever the webhooks go."""
        urls = (self.webhooks.mailchimp_url, self.webhooks.sendgrid_url)
        hosts = {urlsplit(url).hostname for url in urls if url}
        return frozenset({"127.0.0.1", "localhost", "::1"} | {host for host in hosts if host})

    def fill(self) -> dict[str, int]:
        """Let both hold an old list, as if they had for years: nobody is told. How many people came to each."""
        with self.mailchimp.lock, self.sendgrid.lock:
            came = {
                self.mailchimp.name: old_list.at_mailchimp(self.mailchimp.audience),
                self.sendgrid.name: old_list.at_sendgrid(self.sendgrid),
            }
            for esp in self.esps.values():
                esp.keep()
        return came

    def reset(self) -> None:
        """Back to the seeds, with an empty mailbox."""
        self.courier.clear()
        self.mailbox.clear()
        for esp in self.esps.values():
            esp.reset()
            esp.keep()
