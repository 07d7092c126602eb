"""A toy SendGrid's mail/send: checks as published, then hands the mail to the sandbox's mailbox."""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from flask import Response

from adapters.sandbox.addresses import plain, valid
from adapters.sandbox.esp import Refusal, body_of
from adapters.sandbox.sendgrid_account import make_event

if TYPE_CHECKING:
    from adapters.sandbox.sendgrid import SendGrid

#: Long lines stay whole: folding turns a long List-Unsubscribe address into encoded words.
POLICY = policy.SMTP.clone(max_line_length=998)
_KNOWN = frozenset(
    {
        "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "template_id",
        "headers", "categories", "custom_args", "send_at", "batch_id", "asm", "ip_pool_name", "mail_settings",
        "tracking_settings",
    }
)  # fmt: skip
_RESERVED_HEADERS = frozenset(
    {
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
        "subject", "reply-to", "cc", "bcc",
    }
)  # fmt: skip


class Sender:
    """Takes mails by API."""

    def __init__(self, esp: "SendGrid") -> None:
        self.esp = esp

    def send(self) -> Response:
        body = body_of()
        self._check(body)
        message_id = uuid.uuid4().hex[:22]
        for personal in body["personalizations"]:
            self._hand_over(body, personal, message_id)
        response = Response(b"", 202)
        response.headers["X-Message-Id"] = message_id
        return response

    def _wrong(self, text: str, field: str) -> Refusal:
        return self.esp.refuse(400, text, field)

    def _check(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise self._wrong("Bad Request", "")
        for name in body:
            if name not in _KNOWN:
                raise self._wrong(f"Additional property {name} is not allowed", "")
        if not isinstance(body.get("from"), dict) or not valid(body["from"].get("email")):
            raise self._wrong("The from object must be provided for every email send.", "from")
        self._check_people(body.get("personalizations"))
        self._check_content(body)
        self._check_headers(body.get("headers", {}), "headers")
        if len(json.dumps(body.get("custom_args", {}))) > 10_000:
            raise self._wrong("custom_args may have at most 10000 bytes", "custom_args")
        asm = body.get("asm")
        if asm is not None and (not isinstance(asm, dict) or not isinstance(asm.get("group_id"), int)):
            raise self._wrong("The asm group_id must be an integer.", "asm.group_id")

    def _check_people(self, people: Any) -> None:
        if not isinstance(people, list) or not 1 <= len(people) <= 1000:
            raise self._wrong(
                "The personalizations field is required and must have at least one personalization.", "personalizations"
            )
        for place, personal in enumerate(people):
            to = personal.get("to") if isinstance(personal, dict) else None
            if (
                not isinstance(to, list)
                or not to
                or not all(isinstance(one, dict) and valid(one.get("email")) for one in to)
            ):
                text = (
                    "The to array is required for all personalization objects, "
                    "and must have at least one email object with a valid email address."
                )
                raise self._wrong(text, f"personalizations.{place}.to")
            self._check_headers(personal.get("headers", {}), f"personalizations.{place}.headers")

    def _check_content(self, body: Mapping[str, Any]) -> None:
        subject = body.get("subject") or all(one.get("subject") for one in body["personalizations"])
        if not subject:
            raise self._wrong("The subject is required.", "subject")
        content = body.get("content")
        if not isinstance(content, list) or not content:
            raise self._wrong("Unless a valid template_id is provided, the content parameter is required.", "content")
        for place, part in enumerate(content):
            if not isinstance(part, dict) or not part.get("type") or not part.get("value"):
                raise self._wrong(
                    "The content value must be a string at least one character in length.", f"content.{place}.value"
                )
        kinds = [part["type"] for part in content]
        if "text/plain" in kinds[1:]:
            raise self._wrong("text/plain must come first.", "content")

    def _check_headers(self, headers: Any, where: str) -> None:
        if not isinstance(headers, dict):
            raise self._wrong("headers must be an object", where)
        for name, value in headers.items():
            if name.lower() in _RESERVED_HEADERS:
                raise self._wrong(f"The header {name} is reserved.", f"{where}.{name}")
            if not isinstance(value, str) or "\n" in value or "\r" in value:
                raise self._wrong("Header values are text without line ends.", f"{where}.{name}")

    def _hand_over(self, body: Mapping[str, Any], personal: Mapping[str, Any], message_id: str) -> None:
        """Deliver to everybody who is not suppressed, and tell what became of each."""
        asm = (body.get("asm") or {}).get("group_id")
        facts = {**body.get("custom_args", {}), **personal.get("custom_args", {})}
        facts["sg_message_id"] = f"{message_id}.recvd-sandbox-1"
        if asm is not None:
            facts["asm_group_id"] = asm
        content: bytes | None = None
        for email in self._recipients(personal):
            reason = self.esp.stops.reason(email, asm)
            if reason:
                self.esp.account.tell("dropped", email, reason=reason, **facts)
            elif email.startswith("refuse"):
                self._bounced(email, facts)
            elif email.startswith("later"):
                self.esp.account.tell("deferred", email, response="451 4.3.0 Try again later", attempt="1", **facts)
            else:
                content = content or self._message(body, personal)
                self.esp.mailbox.put([email], content)
                done: list[tuple[str, dict[str, str]]] = [("processed", {}), ("delivered", {"response": "250 OK"})]
                self.esp.account.tell_all([make_event(event, email, {**facts, **more}) for event, more in done])

    def _recipients(self, personal: Mapping[str, Any]) -> list[str]:
        every = [one["email"] for kind in ("to", "cc", "bcc") for one in personal.get(kind, [])]
        return list(dict.fromkeys(map(plain, every)))

    def _bounced(self, email: str, facts: Mapping[str, Any]) -> None:
        reason = "550 5.1.1 The email account that you tried to reach does not exist."
        self.esp.stops.add("bounces", email, reason=reason, status="5.1.1")
        self.esp.account.tell("bounce", email, **facts, type="bounce", status="5.1.1", reason=reason)

    def _message(self, body: Mapping[str, Any], personal: Mapping[str, Any]) -> bytes:
        mail = EmailMessage(policy=POLICY)
        mail["From"] = _address(body["from"])
        mail["To"] = ", ".join(str(_address(one)) for one in personal["to"])
        mail["Subject"] = personal.get("subject") or body["subject"]
        if body.get("reply_to"):
            mail["Reply-To"] = _address(body["reply_to"])
        headers = {**body.get("headers", {}), **personal.get("headers", {})}
        tracking = (body.get("tracking_settings") or {}).get("subscription_tracking") or {}
        if tracking.get("enable"):  # SendGrid's own header wins over ours
            headers = {
                name: value for name, value in headers.items() if not name.lower().startswith("list-unsubscribe")
            }
            headers["List-Unsubscribe"] = "<https://u.sendgrid.example/unsubscribe>"
        for name, value in headers.items():
            mail[name] = value
        for part in body["content"]:
            self._add_part(mail, part)
        for one in body.get("attachments", []):
            self._attach(mail, one)
        return mail.as_bytes()

    def _add_part(self, mail: EmailMessage, part: Mapping[str, str]) -> None:
        subtype = part["type"].split(";")[0].partition("/")[2]
        if mail.get_content_type() == "text/plain" and not mail.get_payload():
            mail.set_content(part["value"], subtype=subtype)
        else:
            mail.add_alternative(part["value"], subtype=subtype)

    def _attach(self, mail: EmailMessage, one: Mapping[str, str]) -> None:
        try:
            content = base64.b64decode(one["content"], validate=True)
        except (KeyError, binascii.Error):
            raise self._wrong("The attachment content must be base64 encoded.", "attachments.0.content") from None
        maintype, _, subtype = one.get("type", "application/octet-stream").partition("/")
        mail.add_attachment(content, maintype=maintype, subtype=subtype or "octet-stream", filename=one.get("filename"))


def _address(one: Mapping[str, str]) -> Address:
    return Address(one.get("name", ""), addr_spec=one["email"])
