"""A toy SendGrid's mail/send: hands mails to the sandbox's mailbox and tells what became of each."""

import base64
import binascii
import uuid
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from flask import Response

from adapters.sandbox.addresses import plain
from adapters.sandbox.esp import body_of
from adapters.sandbox.sendgrid_account import make_event
from adapters.sandbox.sendgrid_letter import Attachment, Part, Person, Personal, Sent, WrongLetter, read_letter

if TYPE_CHECKING:
    from adapters.sandbox.sendgrid import SendGrid

#: Long lines stay whole: folding turns a long List-Unsubscribe address into encoded words.
POLICY = policy.SMTP.clone(max_line_length=998)


class Sender:
    """Takes mails by API."""

    def __init__(self, esp: "SendGrid") -> None:
        self.esp = esp

    def send(self) -> Response:
        try:
            sent = read_letter(body_of())
            mails = [(personal, build(sent, personal)) for personal in sent.personalizations]
        except WrongLetter as wrong:
            raise self.esp.refuse(400, wrong.text, wrong.field) from None
        message_id = uuid.uuid4().hex[:22]
        for personal, content in mails:
            self._hand_over(sent, personal, content, message_id)
        response = Response(b"", 202)
        response.headers["X-Message-Id"] = message_id
        return response

    def _hand_over(self, sent: Sent, personal: Personal, content: bytes, message_id: str) -> None:
        """Deliver to everybody who is not suppressed, and tell what became of each."""
        group_id = sent.asm.group_id if sent.asm else None
        facts: dict[str, Any] = {**sent.custom_args, **personal.custom_args}
        facts["sg_message_id"] = f"{message_id}.recvd-sandbox-1"
        if group_id is not None:
            facts["asm_group_id"] = group_id
        people = dict.fromkeys(plain(one.email) for one in [*personal.to, *personal.cc, *personal.bcc])
        for email in people:
            events = self._fate(email, group_id, content)
            self.esp.account.tell_all([make_event(event, email, {**facts, **more}) for event, more in events])

    def _fate(self, email: str, group_id: int | None, content: bytes) -> list[tuple[str, dict[str, str]]]:
        """What becomes of one mail, as SendGrid's events tell it."""
        if reason := self.esp.stops.reason(email, group_id):
            return [("dropped", {"reason": reason})]
        if email.startswith("refuse"):
            reason = "550 5.1.1 The email account that you tried to reach does not exist."
            self.esp.stops.add("bounces", email, reason=reason, status="5.1.1")
            return [("bounce", {"type": "bounce", "status": "5.1.1", "reason": reason})]
        if email.startswith("later"):
            return [("deferred", {"response": "451 4.3.0 Try again later", "attempt": "2"})]
        self.esp.mailbox.put([email], content)
        return [("processed", {}), ("delivered", {"response": "250 OK"})]


def build(sent: Sent, personal: Personal) -> bytes:
    """The mail as it goes out, with the headers that were asked for. Raises `WrongLetter`."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _address(sent.sender)
    mail["To"] = [_address(one) for one in personal.to]
    mail["Subject"] = personal.subject or sent.subject
    if sent.reply_to:
        mail["Reply-To"] = _address(sent.reply_to)
    headers = {**sent.headers, **personal.headers}
    if sent.tracking_settings.get("subscription_tracking", {}).get("enable"):  # then SendGrid's own header wins
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("list-unsubscribe")}
        headers["List-Unsubscribe"] = "<https://u.sendgrid.example/unsubscribe>"
    for name, value in headers.items():
        mail[name] = value
    for place, part in enumerate(sent.content):
        _add_part(mail, part, first=place == 0)
    for one in sent.attachments:
        _attach(mail, one)
    return mail.as_bytes()


def _add_part(mail: EmailMessage, part: Part, *, first: bool) -> None:
    subtype = part.type.split(";")[0].partition("/")[2]
    if first:
        mail.set_content(part.value, subtype=subtype)
    else:
        mail.add_alternative(part.value, subtype=subtype)


def _attach(mail: EmailMessage, one: Attachment) -> None:
    try:
        content = base64.b64decode(one.content, validate=True)
    except binascii.Error:
        raise WrongLetter("The attachment content must be base64 encoded.", "attachments.0.content") from None
    maintype, _, subtype = one.type.partition("/")
    mail.add_attachment(content, maintype=maintype, subtype=subtype or "octet-stream", filename=one.filename)


def _address(person: Person) -> Address:
    try:
        return Address(person.name, addr_spec=person.email)
    except (ValueError, IndexError):
        raise WrongLetter("Does not contain a valid address.", "email") from None
