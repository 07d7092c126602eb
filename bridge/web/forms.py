"""What a reader's form says, read with care: nothing absurdly long, nothing unreadable, nothing unknown."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_network

from flask import abort, request

from bridge.web.app import bridge

_LONGEST_VALUE = 320
_PLACE = re.compile(r"[A-Za-z0-9_-]{22}(\.[A-Za-z0-9_-]{22})?")

#: A field of the sign-up form that no person sees: whoever fills it in is a program (CAP-10).
TRAP = "homepage"

#: What Python makes of bytes that are no UTF-8: such an address or name was never typed.
UNREADABLE = "\ufffd"


class NoAddress(ValueError):
    """What was typed cannot be an e-mail address."""


def one(name: str) -> str:
    """One value of the form; empty when it is missing or absurdly long."""
    value = request.form.get(name, "")
    return value if len(value) <= _LONGEST_VALUE and "\x00" not in value else ""


def many(name: str) -> list[str]:
    """Every value that was sent under a name, without what is absurdly long."""
    return [value for value in request.form.getlist(name) if len(value) <= _LONGEST_VALUE]


def known(values: Sequence[str]) -> list[str]:
    """Those of the values that are purposes of the policy, once each."""
    return [value for value in dict.fromkeys(values) if value in bridge().policy.purposes]


def made() -> datetime | None:
    """When the page was made that sent this form, as it says itself; None where it says nothing readable."""
    text = one("made")
    return datetime.fromtimestamp(int(text), UTC) if text.isascii() and text.isdigit() and len(text) <= 11 else None


def place_as_told() -> str:
    """Which form the digits are meant for, as the page after it says itself; empty where it says nothing readable."""
    text = one("place")
    return text if _PLACE.fullmatch(text) else ""


def place_of_form() -> tuple[str, str]:
    """The same apart: the browser that sent it, and its request."""
    place, _, request_ = place_as_told().partition(".")
    return place, request_


def address(text: str) -> str:
    """The address as typed, else `NoAddress`. Asks no name server: the answer must not depend on the domain."""
    from email_validator import EmailNotValidError, validate_email  # a mail program's click brings no address

    if UNREADABLE in text:
        raise NoAddress
    try:
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise NoAddress from None


def channel(wanted: str | None) -> str:
    """The channel a form belongs to, and no unknown one (CHN-01).

    A page is shown for the first where none is named. What is sent must name its own: where a yes was given is part of
    its proof. Lists and programs have no form.
    """
    offered = bridge().policy.forms
    if not wanted and offered and (request.method != "POST" or len(offered) == 1):
        return offered[0]
    if wanted not in offered:
        abort(400 if request.method == "POST" else 404)
    return wanted


def network() -> str:
    """The client's network, for limits only; kept as a keyed hash (/24 or /56)."""
    try:
        address = ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network(f"{address}/{24 if address.version == 4 else 56}", strict=False))
