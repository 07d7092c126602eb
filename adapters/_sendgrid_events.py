"""SendGrid's event webhook: is it genuine, and what do its events say."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters._moments import unix_moment
from adapters._sendgrid_oauth import Tokens
from bridge.adapter import Ears, Misconfigured, Unverified
from bridge.vocabulary import EVERY_PURPOSE, EventType, Incoming, Report, bounce_type, enhanced_code

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

#: Seconds a signature counts as fresh, for news that is no stop (HOOK-01).
_FRESH = 300

#: Reason of a `dropped` event -> what SendGrid's own lists say about the address. The whole reason must match:
#: "Invalid SMTPAPI header" and "Spam Content" are about the message.
DROPPED: Mapping[str, EventType] = {
    "unsubscribed address": EventType.UNSUBSCRIBED,
    "bounced address": EventType.BOUNCED,
    "spam reporting address": EventType.COMPLAINED,
    "invalid": EventType.BOUNCED,
}

#: Refusals that are about us, whatever code came with them: never held against the reader (R7).
_OUR_FAULT = frozenset({"content", "frequency or volume too high", "reputation"})

#: Our address as the sender is wrong: no fault of hers either.
_SENDER_CODES = frozenset({"5.1.7", "5.1.8"})

#: News of one unsubscribe group, where it names the group.
_OF_A_GROUP = frozenset({"group_unsubscribe", "group_resubscribe", "dropped"})


class _Event(msgspec.Struct):
    """What we read of one event; custom arguments and everything else are ignored.

    Custom arguments stand beside SendGrid's own names and may hide them, so only what a stop cannot do without is
    asked to be of its kind: a stop is not lost because somebody calls an argument `type`.
    """

    email: str
    event: str
    timestamp: object = None
    type: object = None
    status: object = None
    reason: object = None
    response: object = None
    attempt: object = None
    bounce_classification: object = None
    sg_message_id: object = None
    asm_group_id: object = None


_EVENT, _EVENTS = msgspec.json.Decoder(_Event), msgspec.json.Decoder(list[_Event])


class SendGridEvents(Ears):
    """Signed over timestamp and raw body, CR LF at the end included.

    HOOK-01: old signatures count for stops, because losing one hurts and repeating it does not; it is not known
    whether SendGrid signs anew when it sends again. Only "subscribed again" must be fresh.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        purposes: Callable[[str], Sequence[str]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        given = settings.get("SENDGRID_WEBHOOK_PUBLIC_KEY", "").split(",")
        self._keys = [_key(text.strip()) for text in given if text.strip()]
        self._tokens = Tokens.of(settings, clock)
        self._purposes, self._clock = purposes, clock

    def answer(self, call: Incoming) -> Mapping[str, object] | None:
        """The token that SendGrid asks for where OAuth is on."""
        return self._tokens.answer(call) if self._tokens else None

    def verify(self, call: Incoming) -> None:
        """Raise `Unverified` unless one of our keys fits, and where OAuth is on the token too."""
        try:
            signature = base64.b64decode(call.headers.get(_SIGNATURE, ""), validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        signed = call.headers.get(_TIMESTAMP, "").encode() + call.body
        if not signature or not any(_fits(key, signature, signed) for key in self._keys):
            raise Unverified("the signature does not match SENDGRID_WEBHOOK_PUBLIC_KEY")
        if self._tokens:
            self._tokens.verify(call)

    def parse(self, call: Incoming) -> list[Report]:
        """All at once; where an element makes no sense, each by itself: that one is left out and harms no other."""
        try:
            events = _EVENTS.decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = list(_one_by_one(call.body))
        fresh, now = self._is_fresh(call), self._clock()
        news = [event for event in events if event.event in _MEANINGS]  # opens and clicks are not ours to know
        return [report for event in news for report in self._read(event, now, fresh=fresh)]

    def _is_fresh(self, call: Incoming) -> bool:
        stamp = call.headers.get(_TIMESTAMP, "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        return abs(self._clock().timestamp() - int(stamp)) <= _FRESH

    def _read(self, event: _Event, now: datetime, *, fresh: bool) -> list[Report]:
        meaning = _MEANINGS[event.event](event)
        if meaning is None or "@" not in event.email or (meaning is EventType.SUBSCRIBED and not fresh):
            return []
        time = _time(event.timestamp) or now
        return [
            Report(
                type=meaning,
                email=event.email.strip(),
                time=time,
                key=_name(event, meaning, purpose),
                purpose=purpose,
                detail=_code(event),
            )
            for purpose in self._about(event)
        ]

    def _about(self, event: _Event) -> Sequence[str]:
        """Leaving a group is about the purposes of that group; of a group that is not ours it is no news.

        So too a mail dropped because she had left the group it was sent with.
        """
        group = event.asm_group_id
        named = event.event in _OF_A_GROUP and isinstance(group, int | str) and not isinstance(group, bool)
        if named and (event.event != "dropped" or _text(event.reason) == "unsubscribed address"):
            return self._purposes(str(group))
        return () if event.event == "group_resubscribe" else (EVERY_PURPOSE,)


def _one_by_one(body: bytes) -> Iterator[_Event]:
    try:
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for element in elements:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield _EVENT.decode(element)


def _bounce(event: _Event) -> EventType | None:
    """`bounce` puts the address on SendGrid's list; `blocked` is this one message, which never stops the reader."""
    kind = _text(event.bounce_classification)
    code = _text(event.status) or enhanced_code(_text(event.reason))
    if kind in _OUR_FAULT or code in _SENDER_CODES:
        return None
    if _text(event.type) == "blocked":
        return EventType.DEFERRED if bounce_type(code) is EventType.DEFERRED else None
    dead = kind == "invalid address" and not code.startswith("5.7.")
    if dead or code in ("", "5.0.0") or code.startswith("5.1."):
        return EventType.BOUNCED
    return bounce_type(code)


def _deferred(event: _Event) -> EventType | None:
    """A mail that waits. The first try says nothing: so greylisting greets every mail, and then takes it."""
    if _text(event.attempt) == "1" or _text(event.bounce_classification) in _OUR_FAULT:
        return None
    code = enhanced_code(_text(event.response))
    return EventType.DEFERRED if not code or bounce_type(code) is EventType.DEFERRED else None


def _dropped(event: _Event) -> EventType | None:
    """A mail that was not sent, because of what SendGrid's lists say."""
    return DROPPED.get(_text(event.reason))


#: Their word in ours, by the event's name. A resubscribe there is no consent here.
_MEANINGS: Mapping[str, Callable[[_Event], EventType | None]] = {
    "bounce": _bounce,
    "dropped": _dropped,
    "spamreport": lambda _event: EventType.COMPLAINED,
    "unsubscribe": lambda _event: EventType.UNSUBSCRIBED,
    "group_unsubscribe": lambda _event: EventType.UNSUBSCRIBED,
    "group_resubscribe": lambda _event: EventType.SUBSCRIBED,
    "deferred": _deferred,
}


def _code(event: _Event) -> str:
    return "dropped_" + _text(event.reason).replace(" ", "_") if event.event == "dropped" else event.event


def _name(event: _Event, meaning: EventType, purpose: str) -> str:
    """What this news is known by, so that it counts once.

    `sg_event_id` differs when SendGrid sends an event again (sendgrid-nodejs 1435), so the meaning is the name. Of one
    mail all tries that failed are one piece of news: R7 counts mails, not tries.
    """
    message = event.sg_message_id if isinstance(event.sg_message_id, str) else ""
    parts = [event.event, event.email.lower(), str(event.timestamp), message, f"{meaning}\n{purpose}"]
    if meaning is EventType.DEFERRED and message:
        parts[0] = parts[2] = ""
    return "sendgrid:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _text(value: object) -> str:
    """A short word of SendGrid's in lower case; empty for anything else."""
    return str(value).strip().lower() if isinstance(value, str | int) else ""


def _time(stamp: object) -> datetime | None:
    """Unix seconds; None for what is no moment: then it counts as said now, for a stop is a stop."""
    if isinstance(stamp, str) and re.fullmatch(r"[0-9]{1,12}", stamp):
        stamp = int(stamp)
    return unix_moment(stamp)


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
