"""Mailchimp's list webhooks: is it genuine, and what does it say."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from bridge.adapter import Misconfigured, Unverified
from bridge.vocabulary import EVERY_PURPOSE, EventType, Incoming, Report

#: Seconds a signature counts as fresh.
_FRESH = 300

_HEADER = "x-mailchimp-signature"

#: More form fields than any audience has.
_MOST_FIELDS = 2000


#: The setting with the secrets that webhooks are signed with, and how each of its values names one audience.
SIGNING = "MAILCHIMP_WEBHOOK_SIGNING_SECRET"


def signing_secrets(settings: Mapping[str, str], audiences: Collection[str]) -> dict[str, list[str]]:
    """The secrets of each audience that has any: every audience's webhook is signed with its own, or not at all.

    `AUDIENCE:secret` is that audience's; a secret by itself may be any audience's, so all of them must sign.
    """
    found: dict[str, list[str]] = {}
    for value in map(str.strip, settings.get(SIGNING, "").split(",")):
        audience, _, secret = value.partition(":")
        mine, secret = ([audience], secret) if secret and audience in audiences else (list(audiences), value)
        for one in mine if value else ():
            found.setdefault(one, []).append(secret)
    return found


class MailchimpWebhooks:
    """Path secret always; signature besides, where we were told an audience's signing secret (webhooks since 2026).

    HOOK-01: a stale but validly signed stop is still taken, because losing it hurts and repeating it does not. The
    age of a signature therefore refuses only news that is no stop.
    """

    def __init__(
        self, settings: Mapping[str, str], audiences: Mapping[str, Collection[str]], clock: Callable[[], datetime]
    ) -> None:
        self._path = settings.get("MAILCHIMP_WEBHOOK_SECRET", "")
        if self._path and len(self._path) < 16:
            raise Misconfigured("MAILCHIMP_WEBHOOK_SECRET is too easy to guess: use 16 characters or more")
        self._secrets = signing_secrets(settings, audiences)
        self._audiences = audiences
        self._clock = clock

    def verify(self, call: Incoming) -> None:
        """Raise `Unverified` unless path and signature are right.

        Whose news it is stands in the body, which is not read yet: where an audience's webhook is not signed, `parse`
        sees to it that unsigned news is only about such an audience.
        """
        if not self._path or not hmac.compare_digest(self._path.encode(), call.secret.encode()):
            raise Unverified("the secret in the path is not MAILCHIMP_WEBHOOK_SECRET")
        if self._secrets.keys() >= set(self._audiences):
            self._need_signature(call, [secret for secrets in self._secrets.values() for secret in secrets])

    def _need_signature(self, call: Incoming, secrets: Sequence[str]) -> None:
        stamp, given = _signature(call)
        message = stamp.encode() + b"." + call.body
        wanted = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets]
        if not stamp or not any(hmac.compare_digest(w.encode(), one.encode()) for w in wanted for one in given):
            raise Unverified(f"the signature does not match {SIGNING}")

    def fresh(self, call: Incoming) -> bool:
        """Whether the signature was made just now; an unsigned webhook carries no time and cannot be stale."""
        if not self._secrets or _HEADER not in call.headers:
            return True
        stamp, _ = _signature(call)
        return bool(stamp) and abs(self._clock().timestamp() - int(stamp)) <= _FRESH

    def parse(self, call: Incoming) -> list[Report]:
        """One form is one piece of news: no, one or several reports. Raises `Unverified` where its audience signs and
        this call is not signed by it."""
        form = _form(call.body)
        audience = form.get("data[list_id]", "")
        if audience in self._secrets:
            self._need_signature(call, self._secrets[audience])
        meaning = _meaning(form)
        moved = meaning is EventType.MOVED
        email = form.get("data[old_email]" if moved else "data[email]", "").strip()
        if meaning is None or not all(map(_is_address, [email, _new_address(form)] if moved else [email])):
            return []
        # A complaint or a dead address is news whatever list it came by (R6); a start counts only while it is fresh.
        about: Collection[str] = self._audiences.get(audience, ())
        if meaning not in _PER_PURPOSE:
            about = (EVERY_PURPOSE,) if about or not moved else ()
        if meaning is EventType.SUBSCRIBED and not self.fresh(call):
            return []
        return [self._report(form, email, meaning, purpose) for purpose in about]

    def _report(self, form: Mapping[str, str], email: str, meaning: EventType, purpose: str) -> Report:
        time = self._time(form.get("fired_at", ""))
        return Report(
            type=meaning,
            email=email,
            time=time,
            key=_key(form, email, f"{meaning}\n{form.get('fired_at') or time.date()}\n{purpose}"),
            purpose=purpose,
            detail=_code(form),
            to=_new_address(form) if meaning is EventType.MOVED else "",
        )

    def _time(self, fired_at: str) -> datetime:
        # No zone on the wire; handlers in public read it as UTC, and so do we.
        try:
            return datetime.strptime(fired_at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return self._clock()


#: News about one audience; the rest is about the address as a whole.
_PER_PURPOSE = frozenset({EventType.UNSUBSCRIBED, EventType.SUBSCRIBED})

#: Mailchimp's reasons; anything else is not repeated.
_REASONS = frozenset({"manual", "abuse", "hard"})


def _meaning(form: Mapping[str, str]) -> EventType | None:
    """Their word in ours. `profile` says nothing about the status (also sent for people who left); `campaign` and the
    beta `sms_*` have no word here."""
    abuse = form.get("data[reason]") == "abuse"
    match form.get("type"):
        case "unsubscribe":
            return EventType.COMPLAINED if abuse else EventType.UNSUBSCRIBED
        case "cleaned":
            return EventType.COMPLAINED if abuse else EventType.BOUNCED
        case "subscribe":
            return EventType.SUBSCRIBED
        case "upemail":
            return EventType.MOVED
    return None


def _new_address(form: Mapping[str, str]) -> str:
    return form.get("data[new_email]", "").strip()


def _is_address(text: str) -> bool:
    return "@" in text and "\ufffd" not in text


def _code(form: Mapping[str, str]) -> str:
    reason = form.get("data[reason]", "")
    return f"{form['type']}_{reason}" if reason in _REASONS else form["type"]


def _key(form: Mapping[str, str], email: str, meaning: str) -> str:
    # Mailchimp sends no id of the event, so its meaning is its name; hashed, because an address is part of it.
    parts = (form["type"], form.get("data[list_id]", ""), email.lower(), meaning)
    return "mailchimp:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _form(body: bytes) -> dict[str, str]:
    """The form as sent, nested names kept as they are; of a repeated name the first value counts."""
    try:
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _signature(call: Incoming) -> tuple[str, list[str]]:
    """Time and signatures of `t=…,v1=…[,v1=…]`; empty where the header is not of that shape."""
    parts = [part.strip().partition("=") for part in call.headers.get(_HEADER, "").split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit()) or len(stamps[0]) > 12:
        return "", []
    return stamps[0], given
