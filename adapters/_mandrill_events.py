"""Mailchimp Transactional's webhook (Mandrill): is it genuine, and what became of our mails."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from adapters._moments import unix_moment
from bridge.adapter import Ears, Unverified
from bridge.vocabulary import EventType, Incoming, Report, bounce_type, enhanced_code

_HEADER = "x-mandrill-signature"
_FIELD = "mandrill_events"

#: With this key, and nothing in it, Mandrill tries an address before it has made the webhook's own key.
_PROBE_KEY = "test-webhook"

#: Why an address stands on Mandrill's list of the rejected -> what that says about it. Whoever put it there by hand
#: ("custom", "manual edit") said that it gets no mail: anybody's word stops.
_REJECTED: Mapping[str, EventType] = {
    "hard-bounce": EventType.BOUNCED,
    "soft-bounce": EventType.DEFERRED,
    "spam": EventType.COMPLAINED,
    "unsub": EventType.UNSUBSCRIBED,
    "custom": EventType.UNSUBSCRIBED,
    "manual": EventType.UNSUBSCRIBED,
    "manual edit": EventType.UNSUBSCRIBED,
}


class _Message(msgspec.Struct):
    email: str = ""
    diag: object = None
    reject: object = None


class _Reject(msgspec.Struct):
    email: str = ""
    reason: object = None


class _Event(msgspec.Struct):
    """What we read of one event: of a message, or (`type`) of the list of the rejected."""

    event: object = None
    type: object = None
    action: object = None
    ts: object = None
    id: object = msgspec.field(default=None, name="_id")
    msg: _Message | None = None
    reject: _Reject | None = None


class MandrillEvents(Ears):
    """Signed over the webhook's address and the form's fields, sorted; with no time in it, so none can be too old."""

    def __init__(self, settings: Mapping[str, str], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        given = settings.get("MANDRILL_WEBHOOK_KEY", "").split(",")
        self._keys = [key.strip() for key in given if key.strip()]
        self._clock = clock

    def knows(self, key: str) -> bool:
        """Whether calls signed with this key are believed."""
        return any(hmac.compare_digest(key.encode(), one.encode()) for one in self._keys)

    def verify(self, call: Incoming) -> None:
        """Raise `Unverified` unless one of our keys fits. The events themselves are not read for it."""
        fields = _form(call.body)
        given = call.headers.get(_HEADER, "").encode()
        message = (call.url + "".join(name + value for name, value in sorted(fields))).encode()
        keys = [*self._keys, *([_PROBE_KEY] if fields == [(_FIELD, "[]")] else [])]
        signed = [base64.b64encode(hmac.digest(key.encode(), message, hashlib.sha1)) for key in keys]
        if not any(hmac.compare_digest(one, given) for one in signed):
            raise Unverified("the signature does not match MANDRILL_WEBHOOK_KEY and the address of this webhook")

    def parse(self, call: Incoming) -> list[Report]:
        """Every element by itself: one that makes no sense is left out and harms no other."""
        told = next((value for name, value in _form(call.body) if name == _FIELD), "")
        try:
            elements = msgspec.json.decode(told, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return []
        return [report for element in elements for report in self._read(element)]

    def _read(self, element: msgspec.Raw) -> list[Report]:
        try:
            event = msgspec.json.decode(element, type=_Event)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return []
        email, meaning = _email(event), _meaning(event)
        if meaning is None or "@" not in email:
            return []
        time = unix_moment(event.ts)
        about = [_word(event.id), str(event.ts if time else self._clock().date()), email.lower(), meaning]
        name = hashlib.sha256("\n".join(about).encode()).hexdigest()
        return [
            Report(
                type=meaning,
                email=email,
                time=time or self._clock(),
                key=f"mandrill:{name}",
                detail=f"{'rejected' if _word(event.type) == 'blacklist' else _word(event.event)}_{meaning}",
            )
        ]


def _meaning(event: _Event) -> EventType | None:
    """Their word in ours; `deferral` is a mail that waits and says nothing yet."""
    if _word(event.type) == "blacklist":
        added = _word(event.action) in ("add", "change")
        return _REJECTED.get(_word(event.reject.reason)) if event.reject and added else None
    code = enhanced_code(_word(event.msg.diag)) if event.msg else ""
    match _word(event.event):
        case "hard_bounce":
            return bounce_type(code) if code not in ("", "5.0.0") else EventType.BOUNCED
        case "soft_bounce":
            soft = not code or bounce_type(code) is not None
            return EventType.DEFERRED if soft else None
        case "spam":
            return EventType.COMPLAINED
        case "unsub":
            return EventType.UNSUBSCRIBED
        case "reject":
            return _REJECTED.get(_reason(event.msg))
    return None


def _reason(message: _Message | None) -> str:
    """Why a mail was rejected: a word, or one word inside."""
    told = message.reject if message else None
    return _word(told.get("reason") if isinstance(told, dict) else told)


def _email(event: _Event) -> str:
    told = event.reject.email if _word(event.type) and event.reject else event.msg.email if event.msg else ""
    return told.strip()


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _form(body: bytes) -> list[tuple[str, str]]:
    """The fields as sent; none where it is no form."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return []
