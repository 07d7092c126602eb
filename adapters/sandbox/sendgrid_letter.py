"""What a body of SendGrid's mail/send may hold, and the rules its published errors speak of."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.sandbox.addresses import valid

_RESERVED_HEADERS = frozenset(
    {
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
        "subject", "reply-to", "cc", "bcc",
    }
)  # fmt: skip
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_LINE_END = re.compile(r"[\r\n]")


class WrongLetter(Exception):
    """SendGrid refuses the mail: text and the field that is wrong."""

    def __init__(self, text: str, field: str) -> None:
        super().__init__(text)
        self.text = text
        self.field = field


class Person(msgspec.Struct, forbid_unknown_fields=True):
    """An address with a name."""

    email: str
    name: str = ""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """One form of the text."""

    type: str
    value: str


class Attachment(msgspec.Struct):
    """One file, base64."""

    content: str
    filename: str
    type: str = "application/octet-stream"


class Asm(msgspec.Struct):
    """The group whose suppressions count."""

    group_id: int
    groups_to_display: list[int] = []


class Personal(msgspec.Struct, forbid_unknown_fields=True):
    """Who gets it, and what differs for them."""

    to: list[Person]
    cc: list[Person] = []
    bcc: list[Person] = []
    subject: str = ""
    headers: dict[str, str] = {}
    substitutions: dict[str, str] = {}
    custom_args: dict[str, str] = {}
    dynamic_template_data: dict[str, Any] = {}
    send_at: int = 0
    from_: Person | None = msgspec.field(default=None, name="from")


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """A whole body."""

    personalizations: list[Personal]
    sender: Person = msgspec.field(name="from")
    content: list[Part] = []
    subject: str = ""
    reply_to: Person | None = None
    reply_to_list: list[Person] = []
    attachments: list[Attachment] = []
    template_id: str = ""
    headers: dict[str, str] = {}
    categories: list[str] = []
    custom_args: dict[str, str] = {}
    send_at: int = 0
    batch_id: str = ""
    asm: Asm | None = None
    ip_pool_name: str = ""
    mail_settings: dict[str, Any] = {}
    tracking_settings: dict[str, dict[str, Any]] = {}


def read_letter(body: Any) -> Sent:
    """The body in typed form, checked. Raises `WrongLetter`."""
    try:
        sent = msgspec.convert(body, Sent)
    except msgspec.ValidationError as error:
        raise WrongLetter(str(error), _place(str(error))) from None
    if not 1 <= len(sent.personalizations) <= 1000:
        raise WrongLetter("There must be between 1 and 1000 personalizations.", "personalizations")
    _check_person(sent.sender, "from")
    if sent.reply_to:
        _check_person(sent.reply_to, "reply_to")
    for place, personal in enumerate(sent.personalizations):
        _check_personal(personal, f"personalizations.{place}")
        if not (personal.subject or sent.subject):
            raise WrongLetter("The subject is required.", "subject")
    _check_line(sent.subject, "subject")
    _check_content(sent.content)
    _check_headers(sent.headers, "headers")
    if len(json.dumps(sent.custom_args)) > 10_000:
        raise WrongLetter("custom_args may have at most 10000 bytes.", "custom_args")
    if len(sent.categories) > 10 or any(len(one) > 255 for one in sent.categories):
        raise WrongLetter("There may be at most 10 categories of 255 characters.", "categories")
    return sent


def _place(text: str) -> str:
    """Where msgspec found the fault, as SendGrid writes it: `$.content[0].value` is `content.0.value`."""
    found = re.search(r"`\$\.?(.*?)`$", text)
    return re.sub(r"\[(\d+)\]", r".\1", found[1]).lstrip(".") if found else ""


def _check_personal(personal: Personal, where: str) -> None:
    if not personal.to:
        text = "The to array is required for all personalization objects, and must have at least one email object."
        raise WrongLetter(text, f"{where}.to")
    for kind, people in (("to", personal.to), ("cc", personal.cc), ("bcc", personal.bcc)):
        for person in people:
            _check_person(person, f"{where}.{kind}")
    _check_line(personal.subject, f"{where}.subject")
    _check_headers(personal.headers, f"{where}.headers")


def _check_person(person: Person, where: str) -> None:
    if not valid(person.email) or not person.email.isascii():
        raise WrongLetter("Does not contain a valid address.", f"{where}.email")
    _check_line(person.name, f"{where}.name")


def _check_line(text: str, where: str) -> None:
    if _LINE_END.search(text):
        raise WrongLetter("Line ends are not allowed here.", where)


def _check_content(parts: list[Part]) -> None:
    if not parts:
        raise WrongLetter("Unless a valid template_id is provided, the content parameter is required.", "content")
    for place, part in enumerate(parts):
        if not part.value or "/" not in part.type:
            raise WrongLetter("The content value must be at least one character in length.", f"content.{place}")
    if "text/plain" in [part.type for part in parts][1:]:
        raise WrongLetter("If present, text/plain must come first.", "content")


def _check_headers(headers: Mapping[str, str], where: str) -> None:
    for name, value in headers.items():
        if name.lower() in _RESERVED_HEADERS or not _HEADER_NAME.fullmatch(name):
            raise WrongLetter(f"The header {name!r} is reserved or malformed.", f"{where}.{name}")
        _check_line(value, f"{where}.{name}")
