"""Signed links: what each may do, and keys that change without killing a withdrawal.

Eight actions, one salt each: `confirm` answers one request, `once` says yes to a question of ours, `stop` lives for
ever and can only stop or ask, `fresh` is mailed on request and lives half an hour, `move` says that a new address is
hers, `request` whether a letter came from her; by `guardian` a child's guardian agrees, refuses and takes back, by
`of_age` she goes on alone. A token holds random ids and a short keyed hash, never an address.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec
from itsdangerous import BadData, URLSafeSerializer, base64_decode, base64_encode

from bridge.mac import mac
from bridge.vocabulary import EVERY_PURPOSE, normal_email, short_hash

_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_TOLERANCE = timedelta(minutes=5)


class Action(StrEnum):
    """What a link may do; each is a salt of its own, so that no link can be used as another."""

    CONFIRM = "confirm"
    STOP = "stop"
    FRESH = "fresh"
    ONCE = "once"
    REQUEST = "request"
    GUARDIAN = "guardian"
    OF_AGE = "of_age"
    MOVE = "move"


FRESH_LIFE = timedelta(minutes=30)

#: So many zero bits a solved task begins with: some 65,000 tries, a second or two of a phone.
TASK_BITS = 16
_TASK_LIFE = timedelta(hours=3)


class BadLink(Exception):
    """The link is not ours, or was damaged on its way."""


class ExpiredLink(BadLink):
    """The link was ours and grew too old: offer a new one."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a link says once verified.

    `address` is a short keyed hash of the address the mail went to: after an erasure and a new sign-up an old stop
    link still stops whoever holds that address. `made` is when the question was put. `request` is what is answered; a
    stop link has one where it is the no to a question of ours. `template` is a short hash of the mail that asks, in a
    link that says yes by itself.
    """

    action: Action
    subject: str
    address: str
    made: datetime
    purpose: str = EVERY_PURPOSE
    request: str = ""
    template: str = ""


class Links:
    """Makes and reads links. `keys` are newest first: the first signs, all verify; `waiting` ones only verify."""

    def __init__(self, keys: list[bytes], base_url: str, waiting: Sequence[bytes] = ()) -> None:
        oldest_first = list(reversed(keys))
        self.base_url = base_url.rstrip("/")
        self._mark = mac(hmac.digest(oldest_first[0], b"consent-bridge address mark", "sha256"))
        self._place = mac(hmac.digest(oldest_first[0], b"consent-bridge browser", "sha256"))
        self._task = mac(hmac.digest(oldest_first[0], b"consent-bridge task", "sha256"))
        self._code = mac(hmac.digest(oldest_first[0], b"consent-bridge code", "sha256"))
        #: What a backup is sealed with: under the oldest key, because that one is never dropped.
        self.copy_key = hmac.digest(oldest_first[0], b"consent-bridge backup", "sha256")
        self._serializers = {
            action: URLSafeSerializer(
                [*waiting, *oldest_first],  # the last one signs
                salt=f"consent-bridge.{action}",
                signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
            )
            for action in Action
        }

    def token(self, claim: Claim) -> str:
        """The signed form of a claim. The same claim gives the same token: a mail sent again is the same."""
        payload: list[Any] = [_VERSION, claim.subject, claim.address, int(claim.made.timestamp()), claim.purpose]
        if claim.request:
            payload.append(claim.request)
        if claim.template:
            payload.append(claim.template)
        signed = self._serializers[claim.action].dumps(payload)
        return signed if isinstance(signed, str) else signed.decode("ascii")

    def read(self, action: Action, token: str, now: datetime, life: timedelta | None = None) -> Claim:
        """What a token claims, or `BadLink` / `ExpiredLink`. Without `life` it never expires (WDR-09)."""
        try:
            claim = _claim(action, self._serializers[action].loads(_exact(token)))
        except (BadData, ValueError, OverflowError, UnicodeError):
            raise BadLink from None
        if action is not Action.STOP and claim.made > now + _CLOCK_TOLERANCE:  # a stop works whatever the clock says
            raise BadLink
        if life is not None and now > claim.made + life:
            raise ExpiredLink
        return claim

    def mark(self, email: str) -> str:
        """The short keyed hash of an address that links carry: 60 bits under the oldest key, which is never dropped."""
        return urlsafe_b64encode(self._mark(normal_email(email).encode()))[:10].decode()

    def place(self, cookie: str) -> str:
        """What a browser is known by here that holds this random cookie: the cookie cannot be made from it."""
        return urlsafe_b64encode(self._place(cookie.encode()))[:22].decode()

    def code(self, kind: str, subject: str, request: str) -> str:
        """The six digits in the mail of one question. They are made anew from the key each time, and kept nowhere."""
        number = int.from_bytes(self._code(f"{kind}\n{subject}\n{request}".encode())[:16], "big")
        return f"{number % 1_000_000:06}"

    def is_code(self, typed: str, kind: str, subject: str, request: str) -> bool:
        """Whether these are its digits; blanks and dashes between them do not matter."""
        return hmac.compare_digest(plain_code(typed).encode(), self.code(kind, subject, request).encode())

    def task(self, now: datetime) -> str:
        """What a browser counts on before it sends a form: one of its own for each page."""
        told = f"{int(now.timestamp())}.{secrets.token_urlsafe(9)}"
        return f"{told}.{self._signed_task(told)}"

    def is_worked(self, work: str, now: datetime) -> bool:
        """Whether this is a task of ours of the last hours, and a number that solves it."""
        task, _, number = work.rpartition(":")
        told, _, signature = task.rpartition(".")
        if (
            not number.isascii()
            or not number.isdigit()
            or not hmac.compare_digest(signature.encode(), self._signed_task(told).encode())
        ):
            return False
        age = now - _moment(int(told.partition(".")[0]))
        solved = int.from_bytes(sha256(work.encode()).digest()[:4], "big") >> (32 - TASK_BITS) == 0
        return solved and -_CLOCK_TOLERANCE <= age <= _TASK_LIFE

    def _signed_task(self, told: str) -> str:
        return urlsafe_b64encode(self._task(told.encode()))[:22].decode()

    def url(self, path: str, token: str = "") -> str:
        """An address on the configured base, never on a request's Host header (WEB-04)."""
        return f"{self.base_url}{path}{token}"


def plain_code(typed: str) -> str:
    """What was typed as a code, without what people put between digits."""
    return "".join(typed.replace("-", " ").split())


def _exact(token: str) -> str:
    """The token, if its signature is spelled as we spell it: base64 readers forgive stray and loose characters."""
    signature = token.rpartition(".")[2]
    if base64_encode(base64_decode(signature)).decode("ascii") != signature:
        raise ValueError
    return token


def _claim(action: Action, payload: object) -> Claim:
    if isinstance(payload, list) and any(isinstance(part, bool | float) for part in payload):
        raise ValueError  # they would pass for whole numbers
    match payload:
        case [1, str(subject), str(address), int(made), str(purpose)]:
            return Claim(action=action, subject=subject, address=address, made=_moment(made), purpose=purpose)
        case [1, str(subject), str(address), int(made), str(purpose), str(request)]:
            return Claim(
                action=action, subject=subject, address=address, made=_moment(made), purpose=purpose, request=request
            )
        case [1, str(), str(), int(), str(), str(), str(template)] if action is Action.ONCE:
            return msgspec.structs.replace(_claim(action, payload[:-1]), template=template)
    raise ValueError


def _moment(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)  # `fromtimestamp` has an error of its own on each system


def fingerprint(token: str) -> str:
    """Which link was used, for the evidence of what it did, without keeping the link."""
    return short_hash(token.encode())
