"""SPF, DKIM and DMARC of the domain our mails are from, as DNS tells them now (SND-03).

Gmail, Yahoo and Microsoft take mail to many readers only where all three are there and the signer is the sender.
"""

import re
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from urllib.parse import urlsplit

from bridge.bootstrap import Bridge
from bridge.jobs.doctor.sample import from_domain, signatures
from bridge.settings import LOOPBACK
from bridge.vocabulary import Finding

_SECONDS = 5.0
#: Receivers look up no more than this for one SPF record (RFC 7208 section 4.6.4).
_MOST_LOOKUPS = 10


class _Silent(Exception):
    """DNS gave no answer: neither yes nor no."""


def look(bridge: Bridge, message: EmailMessage | None) -> Iterator[Finding]:
    """The three, each with its fix; one line where DNS does not answer."""
    domain = bridge.policy.mail.sender_address.rpartition("@")[2].lower()
    if urlsplit(bridge.settings.base_url).hostname in LOOPBACK and not bridge.settings.dns:
        yield Finding(f"DNS of {domain}: not looked at, BRIDGE_BASE_URL is this machine", True)
        return
    names = _Names(bridge.settings.dns)
    try:
        yield _spf(names, domain)
        policy = _Dmarc(names, domain)
        yield from _dkim(bridge, names, policy, message)
        yield policy.finding()
    except _Silent as error:
        fix = f"no answer about {error}: look at this machine's resolver (or BRIDGE_DNS)"
        yield Finding(f"DNS of {domain}", False, fix)


class _Names:
    """TXT records by name, through the machine's resolver or the one that BRIDGE_DNS names."""

    def __init__(self, server: str) -> None:
        from dns.resolver import Resolver

        self._resolver = Resolver(configure=not server)
        if server:
            host, _, port = server.rpartition(":")
            self._resolver.nameservers, self._resolver.port = [host.strip("[]")], int(port)
        self._resolver.lifetime = _SECONDS

    def texts(self, name: str) -> list[str]:
        """Every TXT record of a name; none where there is no such name."""
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            found = self._resolver.resolve(name, "TXT", search=False)
        except (NXDOMAIN, NoAnswer):
            return []
        except DNSException:
            raise _Silent(name) from None
        return [b"".join(record.strings).decode("utf-8", "replace") for record in found]


def _spf(names: _Names, domain: str) -> Finding:
    subject = f"SPF of {domain}"
    found = _spf_records(names, domain)
    if not found:
        return Finding(
            subject,
            False,
            f'add a TXT record at {domain}: "v=spf1 include:… -all", with what your mail server asks for',
        )
    if len(found) > 1:
        return Finding(subject, False, f"{len(found)} records: receivers then use none; put them together into one")
    if re.search(r"(^|\s)\+?all(\s|$)", found[0]):
        return Finding(subject, False, "it ends in +all, which lets anybody send in your name: end it in ~all or -all")
    lookups = _lookups(names, domain, found[0], frozenset())
    if lookups > _MOST_LOOKUPS:
        return Finding(
            subject, False, f"it needs {lookups} look-ups, receivers make {_MOST_LOOKUPS}: take includes out"
        )
    return Finding(subject, True)


def _spf_records(names: _Names, domain: str) -> list[str]:
    return [text for text in names.texts(domain) if re.match(r"v=spf1(\s|$)", text, re.IGNORECASE)]


def _lookups(names: _Names, domain: str, record: str, seen: frozenset[str]) -> int:
    """How many look-ups a receiver makes for a record and those it includes."""
    count = 0
    for word in record.lower().split()[1:]:
        term = word.lstrip("+-~?")
        kind = re.split(r"[:=/]", term, maxsplit=1)[0]
        if kind not in ("include", "redirect", "a", "mx", "ptr", "exists"):
            continue
        count += 1
        other = term.partition(":" if kind == "include" else "=")[2]
        if kind in ("include", "redirect") and other and "%" not in other and other not in seen | {domain}:
            for inner in _spf_records(names, other)[:1]:
                count += _lookups(names, other, inner, seen | {domain})
        if count > 2 * _MOST_LOOKUPS:
            break
    return count


class _Dmarc:
    """The DMARC record that counts for a domain: its own, or that of the nearest name above it."""

    def __init__(self, names: _Names, domain: str) -> None:
        self.domain, self.at, self.records = domain, domain, list[str]()
        for above in _upwards(domain):
            self.records = [text for text in names.texts(f"_dmarc.{above}") if text.lower().startswith("v=dmarc1")]
            if self.records:
                self.at = above
                break

    @property
    def tags(self) -> dict[str, str]:
        """What the record says."""
        pairs = (part.partition("=") for part in (self.records or [""])[0].split(";"))
        return {name.strip().lower(): value.strip().lower() for name, _, value in pairs if value}

    @property
    def is_strict(self) -> bool:
        """Whether the signer must be the very domain in From."""
        return self.tags.get("adkim", "r") == "s"

    def finding(self) -> Finding:
        """DMARC, at least p=none."""
        subject = f"DMARC of {self.domain}"
        if not self.records:
            fix = f'add a TXT record at _dmarc.{self.domain}: "v=DMARC1; p=none; rua=mailto:…"; raise p later'
            return Finding(subject, False, fix)
        if len(self.records) > 1:
            return Finding(
                subject, False, f"{len(self.records)} records at _dmarc.{self.at}: receivers then use none; keep one"
            )
        wanted = self.tags.get("sp", self.tags.get("p")) if self.at != self.domain else self.tags.get("p")
        if wanted not in ("none", "quarantine", "reject"):
            return Finding(subject, False, f"_dmarc.{self.at} has no p=none, p=quarantine or p=reject: add one")
        hint = "p=none only watches: raise it to quarantine when reports are clean" if wanted == "none" else ""
        return Finding(subject, True, hint)


def _upwards(domain: str) -> list[str]:
    """The domain and those above it, but no top-level one."""
    labels = domain.split(".")
    return [".".join(labels[place:]) for place in range(max(1, len(labels) - 1))]


def _dkim(bridge: Bridge, names: _Names, dmarc: _Dmarc, message: EmailMessage | None) -> Iterator[Finding]:
    """Keys under the names that each platform uses; those of our own mail server only a sample mail can tell."""
    domain = dmarc.domain
    homes = [domain] if dmarc.is_strict else _upwards(domain)
    for name, adapter in bridge.adapters.items():
        if adapter.dkim_selectors:
            yield _key(names, f"DKIM of {domain} for {name}", adapter.dkim_selectors, homes, name)
    signed = signatures(message) if message is not None and from_domain(message) == domain else []
    own = [one for one in signed if one.domain in homes]
    for one in own:
        yield _key(names, f"DKIM of {one.domain}, selector {one.selector}", [one.selector], [one.domain], "the sender")
    if not own:
        hint = "only a mail shows which key signs it: doctor --message FILE, with a mail of ours as it was received"
        yield Finding(f"DKIM of {domain} for our own mails: not looked at", True, hint)


def _key(names: _Names, subject: str, selectors: Sequence[str], homes: Sequence[str], sender: str) -> Finding:
    places = [f"{selector}._domainkey.{home}" for home in homes for selector in selectors]
    revoked = ""
    for place in places:
        for record in names.texts(place):
            key = re.search(r"(?:^|;)\s*p=([^;]*)", record)
            if key and key[1].strip():
                return Finding(subject, True)
            revoked = place if key else revoked
    if revoked:
        return Finding(subject, False, f"the key at {revoked} is empty, which means withdrawn: publish the new one")
    looked = " or ".join(places[: len(selectors)])
    fix = f"no key at {looked}: authenticate {homes[0]} at {sender} and add the records it shows"
    return Finding(subject, False, fix)
