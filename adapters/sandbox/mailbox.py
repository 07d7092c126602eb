"""A mailbox that takes every mail by real SMTP and shows it; nothing ever leaves this machine."""

import re
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from aiosmtpd.controller import Controller

from adapters.sandbox.addresses import plain
from adapters.sandbox.keep import Keeper, Kept

_URL = re.compile(r"https?://[^\s<>\"'\)\]]+")
_HEADER_URL = re.compile(r"<(https?://[^>\s]+)>")


class _Links(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.extend(value for name, value in attrs if name == "href" and value)


def links_in(html: str) -> list[str]:
    """Where the links of a page lead, in order."""
    parser = _Links()
    parser.feed(html)
    return parser.found


@dataclass(frozen=True)
class Mail:
    """One mail as it came in, for one of its recipients."""

    id: int
    to: str
    sender: str
    subject: str
    headers: list[tuple[str, str]]
    text: str
    html: str
    attachments: list[str]
    links: list[str]
    one_click: str
    raw: str
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def message_id(self) -> str:
        """What its sender calls it."""
        return next((value for name, value in self.headers if name.lower() == "message-id"), "")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "to": self.to,
            "from": self.sender,
            "subject": self.subject,
            "headers": [list(one) for one in self.headers],
            "text": self.text,
            "html": self.html,
            "attachments": self.attachments,
            "links": self.links,
            "one_click": self.one_click,
            "time": self.time.isoformat(),
            "raw": self.raw,
        }


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def read_mail(number: int, to: str, content: bytes) -> Mail:
    """Take a mail apart."""
    message = message_from_bytes(content, policy=policy.default)
    text, html = _part(message, "plain"), _part(message, "html")
    unsubscribe = _HEADER_URL.findall(str(message.get("List-Unsubscribe", "")))
    body_links = [one.rstrip(".,;:!?") for one in _URL.findall(text)]
    body_links += [one for one in links_in(html) if one.startswith(("http://", "https://"))]
    one_click = unsubscribe[0] if unsubscribe and message.get("List-Unsubscribe-Post") else ""
    return Mail(
        id=number,
        to=plain(to),
        sender=str(message.get("From", "")),
        subject=str(message.get("Subject", "")),
        headers=[(name, str(value)) for name, value in message.items()],
        text=text,
        html=html,
        attachments=[part.get_filename() or "unnamed" for part in message.iter_attachments()],
        links=list(dict.fromkeys([*body_links, *unsubscribe])),
        one_click=one_click,
        raw=content.decode("utf-8", "replace"),
    )


class Mailbox:
    """The last mails, newest last."""

    name = "mailbox"

    def __init__(self, keep: int = 500, keeper: Keeper | None = None) -> None:
        self._most = keep
        self.keeper = keeper or Keeper()
        self._mails: dict[int, Mail] = Kept()
        self._last = {"number": 0}
        self._lock = threading.Lock()

    def memory(self) -> Mapping[str, Any]:
        """The mails that are shown, and the number of the last."""
        return {"mails": self._mails, "last": self._last}

    def parts(self) -> Mapping[str, object]:
        """Nothing that others name."""
        return {}

    def put(self, recipients: Iterable[str], content: bytes) -> None:
        """A mail has come."""
        for to in recipients:
            with self._lock:
                self._last["number"] += 1
                mail = read_mail(self._last["number"], to, content)
                self._mails[mail.id] = mail
                for old in list(self._mails)[: -self._most]:
                    del self._mails[old]
                self.keeper.write(self, letters=[(mail.id, mail.to, mail.message_id)])

    def mails(self, to: str = "") -> list[Mail]:
        """The mails to that address, or all; newest first."""
        with self._lock:
            return [mail for mail in reversed(self._mails.values()) if not to or mail.to == plain(to)]

    def mail(self, number: int) -> Mail | None:
        """One mail by its number."""
        with self._lock:
            return self._mails.get(number)

    def clear(self) -> None:
        """Throw all mails away."""
        with self._lock:
            self._mails.clear()
            self.keeper.write(self)


class _Door:
    """What the SMTP server asks us."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802, ARG002 - aiosmtpd's name
        if plain(address).startswith("refuse"):
            return "550 5.1.1 The email account that you tried to reach does not exist"
        if plain(address).startswith("later"):
            return "451 4.3.0 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002 - aiosmtpd's name
        self.mailbox.put(envelope.rcpt_tos, envelope.content)
        return "250 OK kept in the sandbox"


class SmtpServer(Controller):
    """The mailbox's SMTP side, on a port that is ours from the first moment."""

    def __init__(self, mailbox: Mailbox, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port))
        super().__init__(_Door(mailbox), hostname=host, port=self._socket.getsockname()[1], enable_SMTPUTF8=True)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)
