"""A received mail: may mail programs show their unsubscribe button? (RFC 8058 section 4, SND-03)"""

import re
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.utils import parseaddr
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.vocabulary import Finding

#: What the signature must cover, or the button is not offered.
COVERED = ("from", "list-unsubscribe", "list-unsubscribe-post")


class Signature(NamedTuple):
    """One DKIM signature of a mail, as far as it is looked at."""

    domain: str
    selector: str
    covers: frozenset[str]


def signatures(message: EmailMessage) -> list[Signature]:
    """All DKIM signatures, those that make no sense left out."""
    found = []
    for text in _all(message, "DKIM-Signature"):
        tags = dict(_tag(part) for part in text.split(";") if "=" in part)
        covers = frozenset(name.strip().lower() for name in tags.get("h", "").split(":"))
        domain, selector = tags.get("d", "").lower(), tags.get("s", "").lower()
        if domain and selector:
            found.append(Signature(domain, selector, covers))
    return found


def look(bridge: Bridge, message: EmailMessage) -> Iterator[Finding]:
    """The list headers, and that a signature of the sender's own domain covers them."""
    sender = from_domain(message)
    ours = bridge.policy.mail.sender_address.rpartition("@")[2].lower()
    if not sender:
        fix = "it has no From with an address: save the mail as it came (“show original”), with all headers"
        yield Finding("sample mail: From", False, fix)
        return
    hint = (
        "" if sender == ours else f"it is from {sender}, the policy's mail.from is at {ours}: is it the right sample?"
    )
    yield Finding(f"sample mail: from {sender}", True, hint)
    yield _address(bridge, message)
    posted = [text.strip() for text in _all(message, "List-Unsubscribe-Post")]
    right = posted == ["List-Unsubscribe=One-Click"]
    fix = "must be there once and say List-Unsubscribe=One-Click: switch one-click unsubscribe on where it was sent"
    yield Finding("sample mail: List-Unsubscribe-Post", right, "" if right else fix)
    yield from _signed(sender, signatures(message))


def from_domain(message: EmailMessage) -> str:
    """The domain a mail says to be from."""
    senders = _all(message, "From")
    return parseaddr(senders[0])[1].rpartition("@")[2].lower() if len(senders) == 1 else ""


def aligned(signer: str, sender: str) -> bool:
    """Whether two names belong to one organisation, as far as names alone say it (DMARC, relaxed)."""
    return signer == sender or sender.endswith(f".{signer}") or signer.endswith(f".{sender}")


def _address(bridge: Bridge, message: EmailMessage) -> Finding:
    subject = "sample mail: List-Unsubscribe"
    told = _all(message, "List-Unsubscribe")
    addresses = re.findall(r"<\s*(https://[^>\s]+)\s*>", " ".join(told))
    if not addresses:
        here = re.findall(r"<\s*(http://[^>\s]+)\s*>", " ".join(told))
        if here and here[0].startswith(f"{bridge.settings.base_url}/u/"):  # this machine, for trying out
            return Finding(subject, True)
        return Finding(subject, False, "it names no https address: switch list unsubscribe on where it was sent")
    if len(told) > 1:
        return Finding(subject, False, "it is there more than once: let only one system write it")
    if not addresses[0].startswith(f"{bridge.settings.base_url}/u/"):
        return Finding(subject, True, "its address is the platform's: what is pressed there is heard by its webhook")
    return Finding(subject, True)


def _signed(sender: str, found: Sequence[Signature]) -> Iterator[Finding]:
    subject = "sample mail: DKIM"
    if not found:
        fix = "it is not signed: switch DKIM on where it was sent, for the domain in From"
        yield Finding(subject, False, fix)
        return
    own = [signature for signature in found if aligned(signature.domain, sender)]
    if not own:
        others = ", ".join(sorted({signature.domain for signature in found}))
        fix = f"it is signed by {others} only, which is not {sender}: authenticate {sender} where it was sent"
        yield Finding(f"{subject} aligned with From", False, fix)
        return
    yield Finding(f"{subject} aligned with From", True)
    missing = min(([name for name in COVERED if name not in one.covers] for one in own), key=len)
    fix = f"h= does not name {', '.join(missing)}: have the signing system sign it, else no button is shown (RFC 8058)"
    yield Finding(f"{subject} covers the list headers (h=)", not missing, fix if missing else "")


def _tag(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip().lower(), re.sub(r"\s+", "", value)


def _all(message: EmailMessage, name: str) -> list[str]:
    return [str(value) for value in message.get_all(name, [])]
