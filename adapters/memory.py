"""An ESP that lives in a dict: for tests and dry runs, and the shortest example of an adapter."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from adapters._held import facts
from bridge.adapter import Adapter, AdapterError, Unverified
from bridge.vocabulary import (
    DONE,
    EVERY_PURPOSE,
    STOPPED_THERE,
    EventType,
    Incoming,
    Member,
    Outcome,
    OutcomeKind,
    Report,
)

#: What this ESP can tell, in its own words, which are ours.
_NEWS = {kind.value: kind for kind in (
    EventType.SUBSCRIBED, EventType.UNSUBSCRIBED, EventType.BOUNCED, EventType.DEFERRED, EventType.COMPLAINED,
)}  # fmt: skip

SIGNATURE = "x-memory-signature"


@dataclass
class Person:
    """Somebody at this ESP."""

    on: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)  # purposes with a stop, lifted only by a fresh yes
    status: str = "subscribed"
    link: str = ""
    language: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """Everything this ESP knows, open for tests to look at and to spoil."""

    people: dict[str, Person] = field(default_factory=dict)  # by lower-case address
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # what was asked, about whom
    down: bool = False
    refuse: set[str] = field(default_factory=set)  # addresses it will never take

    def called(self, what: str, emails: Sequence[str]) -> None:
        """Note a call, or fail as an ESP does that is away."""
        if self.down:
            raise AdapterError("memory: no answer")
        self.calls.append((what, tuple(emails)))


_accounts: dict[str, Account] = {}


def account(name: str = "") -> Account:
    """The account of that name (setting MEMORY_NAME), shared by all adapters of this process."""
    return _accounts.setdefault(name, Account())


class _News(msgspec.Struct):
    """One element of a webhook call."""

    id: str
    type: str
    email: str
    time: datetime
    purpose: str = EVERY_PURPOSE


class Memory(Adapter):
    """A real adapter without a network: the same promises as the others, kept in a dict."""

    name = "memory"
    may_places = frozenset({"list"})
    signs_webhooks = True

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Find the account."""
        super().__init__(settings, places, fields)
        self.account = account(settings.get("MEMORY_NAME", ""))

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Nobody is created who has nothing on; a stop is lifted only by a fresh yes."""
        self.account.called("put", [member.email for member in members])
        return [self._put(member) for member in members]

    def _put(self, member: Member) -> Outcome:
        email = _low(member.email)
        wanted = set() if member.blocked else set(member.on)
        if wanted and email in self.account.refuse:
            return Outcome(OutcomeKind.REFUSED, "refused")
        if email not in self.account.people and not wanted:
            return DONE
        person = self.account.people.setdefault(email, Person())
        person.left -= wanted & member.fresh
        person.left |= person.on.union(self.places) if member.blocked else member.stopped
        person.on = wanted - person.left
        person.status = "subscribed" if person.on else "unsubscribed"
        person.link, person.language = member.link, member.language
        person.fields = {self.fields[key]: value for key, value in member.fields.items() if key in self.fields}
        return DONE if person.on == wanted else Outcome(OutcomeKind.REFUSED, STOPPED_THERE)

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Forget them."""
        self.account.called("erase", emails)
        for email in emails:
            self.account.people.pop(_low(email), None)
        return [DONE] * len(emails)

    def held(self, emails: Sequence[str]) -> list[Mapping[str, str]]:
        """Everything in the dict about them."""
        self.account.called("held", emails)
        return [self._held(_low(email)) for email in emails]

    def _held(self, email: str) -> Mapping[str, str]:
        person = self.account.people.get(email)
        if person is None:
            return {}
        return facts({"email": email, **vars(person), "on": sorted(person.on), "left": sorted(person.left)})

    def members(self) -> Iterator[Member]:
        """Everybody in the dict."""
        self.account.called("members", ())
        for email, person in list(self.account.people.items()):
            yield Member(
                email=email,
                language=person.language,
                on=frozenset(person.on),
                stopped=frozenset(person.left),
                link=person.link,
            )

    def verify(self, call: Incoming) -> None:
        """HMAC-SHA256 in hex over the raw body, with MEMORY_WEBHOOK_SECRET."""
        secret = self.settings.get("MEMORY_WEBHOOK_SECRET", "")
        given = call.headers.get(SIGNATURE, "")
        if not secret or not hmac.compare_digest(sign(secret, call.body).encode(), given.encode()):
            raise Unverified("the signature does not match MEMORY_WEBHOOK_SECRET")

    def parse(self, call: Incoming) -> list[Report]:
        """A JSON array of news, each element by itself."""
        try:
            elements = msgspec.json.decode(call.body, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        return [report for element in elements for report in _read(element)]


def sign(secret: str, body: bytes) -> str:
    """The signature this ESP would send."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _read(element: msgspec.Raw) -> list[Report]:
    try:
        news = msgspec.json.decode(element, type=_News)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if news.type not in _NEWS or news.time.tzinfo is None:
        return []
    key = f"memory:{news.id}"
    return [Report(type=_NEWS[news.type], email=news.email, time=news.time, key=key, purpose=news.purpose)]


def _low(email: str) -> str:
    return email.strip().lower()
