"""A house that hears from the real adapters, and calls as Mailchimp, SendGrid and Mandrill make them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.mailchimp import Mailchimp
from adapters.sendgrid import SendGrid
from tests.bulk import PLACES
from tests.conftest import House, Reader

AUDIENCE = PLACES["mailchimp"]["newsletter"]["audience"]
GROUPS = {purpose: int(place["group"]) for purpose, place in PLACES["sendgrid"].items()}
PATH = "a-path-nobody-guesses"
SIGNING = "a-signing-secret-only-for-tests"
NOBODY = "http://127.0.0.1:1"  # no ESP is called in these tests

OLD, NEW = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """A public key as SendGrid shows it."""
    kind = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(key.public_key().public_bytes(*kind)).decode()


SETTINGS = {
    "BRIDGE_ADAPTERS": "memory,mailchimp,sendgrid",
    "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21",
    "MAILCHIMP_BASE_URL": NOBODY,
    "MAILCHIMP_WEBHOOK_SECRET": PATH,
    "MAILCHIMP_WEBHOOK_SIGNING_SECRET": SIGNING,
    "SENDGRID_API_KEY": "SG.made-up",
    "SENDGRID_BASE_URL": NOBODY,
    "SENDGRID_WEBHOOK_PUBLIC_KEY": f"{public(NEW)},{public(OLD)}",
}


def connect(policy: Path) -> None:
    """Let every purpose of the tests' policy live at both platforms."""
    text = policy.read_text(encoding="utf-8")
    for purpose in ("newsletter", "offers"):
        here = f'[purposes.at.memory]\nlist = "{purpose}"\n'
        there = "".join(
            f"\n[purposes.at.{name}]\n"
            + "".join(f'{key} = "{value}"\n' for key, value in PLACES[name][purpose].items())
            for name in ("mailchimp", "sendgrid")
        )
        text = text.replace(here, here + there)
    contract = text[text.index("[[processors]]") :]
    text += "".join("\n" + contract.replace('"memory"', f'"{name}"') for name in ("mailchimp", "sendgrid"))
    policy.write_text(text, encoding="utf-8")


class Hooks:
    """A house, and what its ESPs tell it."""

    def __init__(self, house: House) -> None:
        self.house = house

    def now(self) -> int:
        """This moment, as SendGrid writes it."""
        return int(self.house.clock().timestamp())

    def event(self, reader: Reader, event: str, **more: Any) -> dict[str, Any]:
        """One event of SendGrid's about a reader, now."""
        told = {"email": reader.email, "timestamp": self.now(), "event": event, "sg_message_id": "m1.filter.0"}
        return {**told, "sg_event_id": f"{event}-{self.now()}", **more}

    def sendgrid(self, *events: Any, age: int = 0, key: Any = NEW, **more: Any) -> Any:
        """A batch as SendGrid sends it."""
        return self.post("/webhooks/sendgrid", (json.dumps(events) + "\r\n").encode(), age=age, key=key, **more)

    def post(self, path: str, body: bytes, *, age: int = 0, key: Any = NEW, **more: Any) -> Any:
        """Any bytes, signed as SendGrid signs."""
        headers = {**signature(body, self.now() - age, key), **more.pop("headers", {})}
        kind = more.pop("content_type", "application/json")
        return self.house.client.post(path, data=more.pop("sent", body), headers=headers, content_type=kind, **more)

    def mailchimp(self, kind: str, reader: Reader | None = None, *, age: int = 0, **data: str) -> Any:
        """One form as Mailchimp sends it, with everything it has of a member."""
        form = {"type": kind, "fired_at": f"{self.house.clock():%Y-%m-%d %H:%M:%S}", "data[list_id]": AUDIENCE}
        if reader is not None:
            form |= {"data[email]": reader.email, "data[merges][EMAIL]": reader.email, "data[id]": "8a25ff1d98"}
            form |= {
                "data[merges][GROUPINGS][0][groups]": "Yes",
                "data[merges][FNAME]": "",
                "data[ip_opt]": "192.0.2.3",
            }
        return self.form(form | {f"data[{name}]": value for name, value in data.items()}, age=age)

    def form(self, form: Mapping[str, str], *, age: int = 0, secret: str = PATH) -> Any:
        """Any form, signed as Mailchimp signs."""
        body, stamp = urlencode(form).encode(), self.now() - age
        mac = hmac.new(SIGNING.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Mailchimp-Signature": f"t={stamp},v1={mac}"}
        kind = "application/x-www-form-urlencoded"
        return self.house.client.post(f"/webhooks/mailchimp/{secret}", data=body, headers=headers, content_type=kind)


def signature(body: bytes, stamp: int, key: ec.EllipticCurvePrivateKey = NEW) -> dict[str, str]:
    """SendGrid's two headers."""
    signed = base64.b64encode(key.sign(f"{stamp}".encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "X-Twilio-Email-Event-Webhook"
    return {f"{name}-Signature": signed, f"{name}-Timestamp": str(stamp)}


@pytest.fixture
def open_hooks(
    make_house: Callable[..., House], policy_folder: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Hooks]:
    """Build a house that hears: `open_hooks(url, SETTING="…")`."""
    connect(policy_folder / "policy.toml")
    for kind in (Mailchimp, SendGrid):
        monkeypatch.setattr(kind, "clock", staticmethod(clock))
    return lambda url, **settings: Hooks(make_house(url, **SETTINGS, **settings))


def mandrill_signature(url: str, fields: Sequence[tuple[str, str]], key: str) -> str:
    """Mandrill's header: over its address and the fields, sorted."""
    text = url + "".join(name + value for name, value in sorted(fields))
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha1)).decode()
