"""SendGrid's event webhook: is it genuine, and what do its events say."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bridge.adapter import Misconfigured, Unverified
from bridge.vocabulary import EVERY_PURPOSE, EventType, Incoming, Report, bounce_type

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

#: Reason of a `dropped` event -> what SendGrid's own lists say about the address. The whole reason must match:
#: "Invalid SMTPAPI header" and "Spam Content" are about the message.
DROPPED: Mapping[str, EventType] = {
    "unsubscribed address": EventType.UNSUBSCRIBED,
    "bounced address": EventType.BOUNCED,
    "spam reporting address": EventType.COMPLAINED,
    "invalid": EventType.BOUNCED,
}


class _Event(msgspec.Struct):
    """What we read of one event; custom arguments and everything else are ignored."""

    email: str
    timestamp: int | float
    event: str
    type: str | None = None
    status: str | None = None
    reason: str | None = None
    sg_message_id: str | None = None
    asm_group_id: int | str | None = None


class SendGridEvents:
    """Signed over timestamp and raw body, CR LF at the end included. Old signatures count: HOOK-01."""

    def __init__(self, settings: Mapping[str, str], purposes: Callable[[str], Sequence[str]]) -> None:
        given = settings.get("SENDGRID_WEBHOOK_PUBLIC_KEY", "").split(",")
        self._keys = [_key(text.strip()) for text in given if text.strip()]
        self._purposes = purposes

    def verify(self, call: Incoming) -> None:
        """Raise `Unverified` unless one of our keys fits."""
        try:
            signature = base64.b64decode(call.headers.get(_SIGNATURE, ""), validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        signed = call.headers.get(_TIMESTAMP, "").encode() + call.body
        if not signature or not any(_fits(key, signature, signed) for key in self._keys):
            raise Unverified("the signature does not match SENDGRID_WEBHOOK_PUBLIC_KEY")

    def parse(self, call: Incoming) -> list[Report]:
        """Every element by itself: one that makes no sense is left out and harms no other."""
        try:
            elements = msgspec.json.decode(call.body, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        return [report for element in elements for report in self._read(element)]

    def _read(self, element: msgspec.Raw) -> list[Report]:
        try:
            event = msgspec.json.decode(element, type=_Event)
            time = datetime.fromtimestamp(event.timestamp, UTC)
        except (msgspec.DecodeError, ValueError, OverflowError, OSError, RecursionError):
            return []
        meaning = _meaning(event)
        if meaning is None or "@" not in event.email:
            return []
        return [
            Report(
                type=meaning,
                email=event.email.strip(),
                time=time,
                key=_name(event, f"{meaning}\n{purpose}"),
                purpose=purpose,
                detail=_code(event),
            )
            for purpose in self._about(event)
        ]

    def _about(self, event: _Event) -> Sequence[str]:
        """A group unsubscribe is about the purposes of that group; of a group that is not ours it is no news."""
        if event.event == "group_unsubscribe" and event.asm_group_id is not None:
            return self._purposes(str(event.asm_group_id))
        return (EVERY_PURPOSE,)


def _meaning(event: _Event) -> EventType | None:
    """Their word in ours. A resubscribe there is no consent here; opens and clicks are not ours to know."""
    match event.event:
        case "bounce":
            return _bounce(event)
        case "dropped":
            return DROPPED.get((event.reason or "").strip().lower())
        case "spamreport":
            return EventType.COMPLAINED
        case "unsubscribe" | "group_unsubscribe":
            return EventType.UNSUBSCRIBED
        case "deferred":
            return EventType.DEFERRED
    return None


def _bounce(event: _Event) -> EventType | None:
    """`bounce` puts the address on SendGrid's list; `blocked` is this one message, which never stops the reader."""
    code = event.status or ""
    if event.type == "blocked":
        return EventType.DEFERRED if bounce_type(code) is EventType.DEFERRED else None
    if code in ("", "5.0.0") or code.startswith("5.1."):
        return EventType.BOUNCED
    return bounce_type(code)


def _code(event: _Event) -> str:
    if event.event == "dropped":
        return "dropped_" + (event.reason or "").strip().lower().replace(" ", "_")
    return event.event


def _name(event: _Event, meaning: str) -> str:
    # `sg_event_id` differs when SendGrid sends an event again (sendgrid-nodejs 1435), so the meaning is the name.
    parts = (event.event, event.email.lower(), str(event.timestamp), event.sg_message_id or "", meaning)
    return "sendgrid:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Misconfigured(
            "SENDGRID_WEBHOOK_PUBLIC_KEY is no verification key: copy it from Settings > Mail Settings > Event Webhooks"
        )
    return key


def _fits(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
