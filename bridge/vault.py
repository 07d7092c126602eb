"""Keys and what is done with them: the keyed hashes of addresses, the sealing of a person's data, the chain of events.

Every use has a key of its own, derived by HKDF from a root in `BRIDGE_VAULT_KEYS`. Roots are kept as long as rows name
them. A person's data is sealed with AES-256-GCM under her own random key, which is kept wrapped; without it her data
is dark, in old backups too.

Format 2 of an event, which an evidence pack must be able to read without us:
`sealed = nonce(12) ‖ AES-256-GCM(person's key, packed, associated data = subject ‖ "/" ‖ number in ASCII)`,
`packed` = canonical bytes as raw DEFLATE (window 2^10) with the preset dictionary `_DICTIONARY` below,
`digest = SHA-256("consent-bridge event 1\\n" ‖ digest of that person's previous event, or 32 zero bytes ‖ sealed)`,
canonical bytes = JSON (RFC 8259, UTF-8, no white space) array
`[2, key, type, purpose, time, received, asked, until, source, method, channel, notice, evidence]`; times are whole
microseconds since 1970 UTC, absent values null, `key` only of a machine's news (null: the event's number is its key),
`evidence` an object with sorted keys and only what is known, its `wording` the SHA-256 in base64url without padding.
Format 1 (events before 2026-11-25) begins with 1, has a key for every event and `wording` in hexadecimal digits.
"""

import os
import secrets
import zlib
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.mac import mac
from bridge.vocabulary import REPORTED, ConsentEvent, EventType, Evidence, Method, micros, normal_email

_TAG = b"consent-bridge event 1\n"
FIRST = bytes(32)
_FORMAT = 2
#: Part of both formats: what most events hold, so that a sealed event takes half the room.
_DICTIONARY = (
    b'"withdrawn","requested","given","newsletter",null,null,null,"reader","confirm_page","form","one_click",null,'
    b'"footer",1,{"box":"ticked","language":"nl","request":"","template":"","wording":"0123456789abcdef"}]'
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sealed(Exception):
    """A sealed thing cannot be opened: wrong key, or it was changed."""


class Key(NamedTuple):
    """One secret of a key list, with the id that rows name it by.

    A key that waits (`+` before its id) opens and verifies, and is not used for anything new: every process learns of
    it before the first one uses it.
    """

    kid: str
    secret: bytes
    waits: bool = False


class Hash(NamedTuple):
    """A keyed hash of an address, and the id of the root it was made under."""

    kid: str
    value: bytes


def new_id() -> str:
    """A fresh opaque id: 128 random bits, 22 characters, never derived from an address."""
    return urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode("ascii")


def new_typed_id() -> str:
    """The same, for people to type into a command: none that begins as an option does."""
    return next(id_ for id_ in iter(new_id, "") if not id_.startswith("-"))


def new_ids(count: int) -> list[str]:
    """So many of them."""
    return [_text(part) for part in _random(count, 16)]


def new_key(kid: str) -> str:
    """A fresh key in the form settings have: `kid:base64url`."""
    return f"{kid}:{urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode('ascii')}"


def parse_keys(setting: str, text: str) -> list[Key]:
    """A key list as in the settings: those in use, newest first, then those that wait (`+id:key`).

    A ValueError names the setting and the fix, never the key.
    """
    keys: list[Key] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        kid, colon, encoded = part.removeprefix("+").partition(":")
        try:
            secret = b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except ValueError:
            secret = b""
        if not colon or not kid.isalnum() or len(kid) > 16 or len(secret) < 32:
            raise ValueError(
                f"{setting}: key {len(keys) + 1} is not `kid:base64url` with 32 bytes; run: consent-bridge keys new"
            )
        keys.append(Key(kid, secret, waits=part.startswith("+")))
    if all(key.waits for key in keys) or len({key.kid for key in keys}) != len(keys):
        raise ValueError(
            f"{setting} needs at least one key that does not wait (`+`), each with an id of its own; "
            "run: consent-bridge keys new"
        )
    return sorted(keys, key=lambda key: key.waits)


class Vault:
    """All work with vault keys. `roots` are newest first, as `parse_keys` gives them.

    `limits` is the secret that limits count under: one that never changes, so that no rotation resets a limit.
    """

    def __init__(self, roots: list[Key], limits: bytes | None = None) -> None:
        self.kids = tuple(root.kid for root in roots)
        self.newest = roots[0].kid
        self._stop_list = {root.kid: mac(_derive(root.secret, b"stop list")) for root in roots}
        self._lookup = {root.kid: mac(_derive(root.secret, b"address lookup")) for root in roots}
        self._throttle = mac(_derive(limits or roots[-1].secret, b"throttle"))
        self._report = {root.kid: mac(_derive(root.secret, b"report keys")) for root in roots}
        self._texts = {root.kid: AESGCM(_derive(root.secret, b"platform secrets")) for root in roots}
        self._wrap = {root.kid: AESGCM(_derive(root.secret, b"wrapping")) for root in roots}

    def lookups(self, email: str) -> list[Hash]:
        """The address as the contacts table knows it, under every root, newest first."""
        address = normal_email(email).encode()
        return [Hash(kid, of(address)[:16]) for kid, of in self._lookup.items()]

    def lookup_values(self, emails: Sequence[str]) -> list[tuple[bytes, ...]]:
        """Many addresses as the contacts table knows them, each under every root, newest first; in order."""
        addresses = [normal_email(email).encode() for email in emails]
        return list(zip(*([of(each)[:16] for each in addresses] for of in self._lookup.values()), strict=True))

    def newest_lookups(self, emails: Sequence[str]) -> list[bytes]:
        """Many addresses as the contacts table knows them under the newest root, in order."""
        of = self._lookup[self.newest]
        return [
            of((email.strip().lower() if email.isascii() else normal_email(email)).encode())[:16] for email in emails
        ]

    def stop_hashes(self, email: str) -> list[Hash]:
        """The address as the stop list knows it, under every root, newest first (SUP-02)."""
        address = normal_email(email).encode()
        return [Hash(kid, of(address)) for kid, of in self._stop_list.items()]

    def bucket(self, kind: str, value: str) -> bytes:
        """What a limit counts by: an address or network as a keyed hash."""
        return self._throttle(f"{kind}\n{value}".encode())[:16]

    def once(self, purpose: str, email: str) -> bytes:
        """What a question that is put once is known by: address and purpose, under a key that never changes, so that no
        rotation lets it be put again (R11)."""
        return self.bucket(f"asked once about {purpose}", normal_email(email))

    def report_keys(self, key: str) -> list[str]:
        """An ESP's id of its news under every root; such ids may be made from an address (decision 18)."""
        return [_text(of(key.encode())[:16]) for of in self._report.values()]

    def new_person(self, subject: str) -> tuple[str, bytes]:
        """A wrapped new key for one person, and the root's id."""
        return self.new_person_opened(subject)[:2]

    def new_person_opened(self, subject: str) -> tuple[str, bytes, AESGCM]:
        """The same, and the key itself to write with at once."""
        nonce, key = os.urandom(12), AESGCM.generate_key(256)
        return self.newest, nonce + self._wrap[self.newest].encrypt(nonce, key, subject.encode()), AESGCM(key)

    def new_people(self, subjects: Sequence[str]) -> tuple[list[bytes], list[AESGCM]]:
        """Wrapped new keys of many people under the newest root, and the keys themselves."""
        secrets_ = _random(len(subjects), 32)
        wrapped = seal_each([self._wrap[self.newest]] * len(subjects), secrets_, subjects)
        return wrapped, [AESGCM(secret) for secret in secrets_]

    def person(self, subject: str, kid: str, wrapped: bytes) -> AESGCM:
        """The key of one person, opened."""
        return AESGCM(self._unwrap(subject, kid, wrapped))

    def secret(self, subject: str, kid: str, wrapped: bytes) -> bytes:
        """The same as bytes, for an evidence pack: whoever gets one must open it without us."""
        return self._unwrap(subject, kid, wrapped)

    def rewrap(self, subject: str, kid: str, wrapped: bytes) -> tuple[str, bytes]:
        """The same person's key, wrapped under the newest root (decision 17)."""
        nonce = os.urandom(12)
        key = self._unwrap(subject, kid, wrapped)
        return self.newest, nonce + self._wrap[self.newest].encrypt(nonce, key, subject.encode())

    def seal_text(self, about: str, text: str) -> tuple[str, bytes]:
        """A platform's secret, sealed under the newest root and bound to what it is about; with the root's id."""
        return self.newest, seal(self._texts[self.newest], text.encode(), about)

    def open_text(self, about: str, kid: str, sealed: bytes) -> str:
        """The same, opened."""
        return unseal(_root(self._texts, kid), sealed, about).decode()

    def _unwrap(self, subject: str, kid: str, wrapped: bytes) -> bytes:
        return _open(_root(self._wrap, kid), wrapped, subject.encode())


def _root(ring: Mapping[str, AESGCM], kid: str) -> AESGCM:
    """The key of a ring that a row names."""
    root = ring.get(kid)
    if root is None:
        raise Sealed(f"a row names vault key {kid!r}, which BRIDGE_VAULT_KEYS no longer holds")
    return root


def pack(data: bytes) -> bytes:
    """Canonical bytes made small: `packed` of format 1."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -10, 1, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return packer.compress(data) + packer.flush()


def unpack(data: bytes) -> bytes:
    """Canonical bytes from `packed`."""
    return zlib.decompressobj(-10, _DICTIONARY).decompress(data)


def seal(key: AESGCM, data: bytes, about: str) -> bytes:
    """Seal bytes under a person's key, bound to what they are about."""
    nonce = os.urandom(12)
    return nonce + key.encrypt(nonce, data, about.encode())


def seal_each(keys: Iterable[AESGCM], data: Sequence[bytes], abouts: Iterable[str]) -> list[bytes]:
    """The same of many, each under a key of its own, at half of what it takes one by one."""
    nonces = _random(len(data), 12)
    return [
        nonce + key.encrypt(nonce, each, about.encode())
        for nonce, key, each, about in zip(nonces, keys, data, abouts, strict=True)
    ]


def unseal(key: AESGCM, sealed: bytes, about: str) -> bytes:
    """Open sealed bytes, or raise `Sealed`."""
    return _open(key, sealed, about.encode())


def canonical(event: ConsentEvent) -> bytes:
    """The bytes of an event that are sealed and chained: format 2 of this module's docstring."""
    evidence = event.evidence
    fields = [
        _FORMAT,
        event.key if event.method in REPORTED else None,
        event.type,
        event.purpose,
        micros(event.time),
        micros(event.received),
        None if event.asked is None else micros(event.asked),
        None if event.until is None else micros(event.until),
        event.source,
        event.method,
        event.channel,
        event.notice,
        evidence if evidence.wording is None else msgspec.structs.replace(evidence, wording=_short(evidence.wording)),
    ]
    return msgspec.json.encode(fields, order="sorted")


def from_canonical(subject: str, number: int, data: bytes) -> ConsentEvent:
    """The event whose canonical bytes these are, of either format; `number` is its place in the person's chain."""
    form, key, kind, purpose, time, received, asked, until, source, method, channel, notice, evidence = (
        msgspec.json.decode(data, type=_Canonical)
    )
    if form > 1 and evidence.wording is not None:
        evidence = msgspec.structs.replace(evidence, wording=urlsafe_b64decode(evidence.wording + "=").hex())
    return ConsentEvent(
        type=kind,
        subject=subject,
        time=_moment(time),
        received=_moment(received),
        source=source,
        method=method,
        key=str(number) if key is None else key,
        purpose=purpose,
        asked=_moment(asked) if asked is not None else None,
        until=_moment(until) if until is not None else None,
        channel=channel,
        notice=notice,
        evidence=evidence,
    )


_Canonical = tuple[
    int, str | None, EventType, str, int, int, int | None, int | None, str, Method, str | None, int | None, Evidence
]


@lru_cache(maxsize=1024)
def _short(sha256_hex: str) -> str:
    """A SHA-256 in fewer characters. ValueError when it is none."""
    value = bytes.fromhex(sha256_hex)
    if len(value) != 32 or value.hex() != sha256_hex:
        raise ValueError("evidence.wording is no SHA-256 in 64 hexadecimal digits")
    return _text(value)


def digest(previous: bytes, sealed: bytes) -> bytes:
    """The link of the chain: this event's digest over the person's previous one and the sealed bytes."""
    return sha256(_TAG + previous + sealed).digest()


def about_event(subject: str, number: int) -> str:
    """What an event's sealed bytes are bound to."""
    return f"{subject}/{number}"


def _derive(root: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"consent-bridge " + use).derive(root)


def _open(key: AESGCM, sealed: bytes, about: bytes) -> bytes:
    try:
        return key.decrypt(sealed[:12], sealed[12:], about)
    except (InvalidTag, ValueError):  # ValueError: cut so short that not even the nonce is whole
        raise Sealed("sealed bytes were changed, or belong to another key") from None


def _random(count: int, size: int) -> list[bytes]:
    """So many times so many random bytes, drawn at once."""
    drawn = os.urandom(count * size)
    return [drawn[first : first + size] for first in range(0, len(drawn), size)]


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def encode(fields: Mapping[str, object]) -> bytes:
    """Small structured data (a profile, a mail's particulars) as bytes to be sealed."""
    return msgspec.json.encode(fields, order="sorted")
