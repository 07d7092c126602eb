"""What an adapter is: how any mailing platform is told how its members should be, and what it tells us."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import entry_points
from itertools import islice
from typing import Any, ClassVar

from bridge.vocabulary import EventType, Finding, Incoming, Left, Letter, Member, Outcome, Report, Seen, Step

#: Members taken together where an adapter has no faster way of its own.
_AT_ONCE = 500


class AdapterError(Exception):
    """The whole call failed and may work later. `wait` is what the ESP asked for, in seconds.

    `maybe`: the line broke after the call went out, so that it may have been carried out, or may be later. `jobs`: what
    `put` had begun before, for each member as in `Outcome.job`; empty = nothing.
    """

    def __init__(self, reason: str, wait: float | None = None, *, maybe: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.maybe = maybe
        self.jobs: tuple[str, ...] = ()


class Misconfigured(AdapterError):
    """The whole call will fail until a person changes a setting; the text names it and the fix."""


class Unverified(Exception):
    """A webhook call is not from whom it says; nothing of it was read."""


class MailLater(Exception):
    """A mail could not be handed over now. `wait` is what the other side asked for, in seconds.

    `maybe`: the line broke after the message went out, so that it may have been taken all the same.
    """

    def __init__(self, reason: str, wait: float | None = None, *, maybe: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.maybe = maybe


class MailRefused(Exception):
    """A mail will never be taken: a dead address, or a message the other side does not accept.

    `code` is the enhanced status code where there was one.
    """

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Ears(ABC):
    """What listens at `/webhooks/NAME`: to a mailing platform, or to a road for mail that tells of its mails."""

    def answer(self, call: Incoming) -> Mapping[str, object] | None:  # noqa: ARG002  (names are the contract)
        """What the ESP asks for at this address before it tells anything, such as a token; raises `Unverified`.

        None = it asks nothing here.
        """
        return None

    @abstractmethod
    def verify(self, call: Incoming) -> None:
        """Check over the raw bytes that a webhook call is genuine, or raise `Unverified`. Parse nothing."""

    @abstractmethod
    def parse(self, call: Incoming) -> list[Report]:
        """A genuine call in our words. News we have no word for gives nothing; one bad element never fails the rest.

        Raises `Unverified` where only its content shows that it is not from whom it says; nothing of it is kept then.
        """


class Transport(ABC):
    """A road for mail out of the house, chosen by the scheme of `BRIDGE_MAIL_URL`."""

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Check the address and settings; open nothing. Raises `Misconfigured`."""
        self.url = url
        self.settings = settings

    def ears(self) -> Ears | None:
        """What hears of the mails that left by this road, at `/webhooks/` and the URL's scheme. None = nothing does."""
        return None

    @abstractmethod
    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand one mail over within ten seconds, or raise `MailLater` or `MailRefused`.

        Call `ready` at the last moment before the message itself goes out: what may not be sent twice is noted then.
        """

    def check(self, webhook: str = "") -> list[Finding]:  # noqa: ARG002  (the name is the contract)
        """Whether this road is open, looked at now without sending a mail, with the fix where it is not.

        `webhook` is where it is to tell what became of the mails; empty = an adapter of the same ESP looks after that.
        """
        return [Finding(f"mail by {self.url.partition(':')[0]}", True, "is not looked at; the first mail will show it")]


class Adapter(Ears):
    """One mailing platform. A subclass is one file, reads its own settings and never knows our store.

    `places` says where each purpose lives there: `{"newsletter": {"audience": "a1b2", "interest": "c3"}}`, from
    `[purposes.at.<name>]` of the policy. `fields` maps declared fields to the ESP's own: `{"first_name": "FNAME"}`.
    """

    #: Name in settings, addresses and the policy.
    name: ClassVar[str]
    #: Keys a purpose must have under `[purposes.at.<name>]`, and those it may have.
    needs_places: ClassVar[frozenset[str]] = frozenset()
    may_places: ClassVar[frozenset[str]] = frozenset()
    #: Most members `put` takes at once while only a few wait, and of stops: it ends well within a minute.
    batch: ClassVar[int] = 500
    #: Most members `put` takes at once while many wait, where the ESP takes more of them in one call. 0 = `batch`.
    bulk: ClassVar[int] = 0
    #: Most bytes of members that one call of `put` takes while many wait, as `weight` counts them; 0 = any.
    bulk_bytes: ClassVar[int] = 0
    #: Most connections the ESP allows one account; None = as many as you like.
    connections: ClassVar[int | None] = None
    #: What an operator must know of an address once it was erased there, as a sentence (ESP-04); empty = nothing.
    after_erasure: ClassVar[str] = ""
    #: Whether its webhooks carry a signature over the raw bytes.
    signs_webhooks: ClassVar[bool] = False
    #: What its templates put each reader's link for, as it is written there; empty = `snippet mail` has none.
    link_place: ClassVar[str] = ""
    #: Names of the DKIM keys it signs with, at the sender's domain; any of them will do.
    dkim_selectors: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Check the settings; open nothing. Raises `Misconfigured` with the setting's name and the fix."""
        self.settings = settings
        self.places = places
        self.fields = fields

    @abstractmethod
    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Make the ESP agree: these members should be as told. One outcome each, in order; twice is as good as once.

        One bad member never fails the others. Raises `AdapterError` when nothing could be done at all.
        """

    def weight(self, member: Member) -> int:  # noqa: ARG002  (the name is the contract)
        """Bytes of `bulk_bytes` that a member takes: no more are claimed than one call holds."""
        return 0

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:  # noqa: ARG002  (names are the contract)
        """What became of a job that `put` left pending, for each it carried, in the order `put` had them.

        Ask the ESP once for the job, not once a member: `members` is read from the store only when it is looked at,
        so a job that is still open costs one call (`[Outcome(OutcomeKind.PENDING)] * len(members)`). They are told as
        they should be *now*; who has gone meanwhile has no address, and whatever is said of her is not used.
        """
        raise AdapterError("no jobs here")

    @abstractmethod
    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Make these addresses gone for good, and look that they are. Never having been there is done."""

    def held(self, emails: Sequence[str]) -> list[Mapping[str, str]] | None:  # noqa: ARG002  (the name is the contract)
        """All that this ESP holds of each of these addresses, in order, by its own names, for readers who ask to see
        it (GDPR 15). Nothing = it holds nothing of that address. It changes nothing and ends within a minute.

        None = it cannot be asked about single people. Raises `AdapterError` when it could not be asked now.
        """
        return None

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Everybody the ESP holds, to the last page, with the purposes that are on."""

    def everybody(self, since: str = "") -> Iterator[Seen]:  # noqa: ARG002  (the name is the contract)
        """The same people as far as mail is concerned, some hundreds at a time, for comparing a million of them.

        `since` is the `mark` of what was taken in last, when reading goes on after a crash. An adapter writes its own
        where `members` makes more of each person than that needs.
        """
        members = self.members()
        while some := list(islice(members, _AT_ONCE)):
            yield from _alike(some, self.places)

    def left(self, members: Sequence[Member], since: datetime, *, exact: bool = False) -> Left:  # noqa: ARG002
        """The stops this ESP holds of these people, read before a new yes of theirs is told (ESP-02): a webhook may
        have been lost, and what `put` writes would overwrite the only trace of her "no".

        `since` is when the oldest of these yeses was asked for: where the ESP can only be asked for stops from a time
        on, that is the time. Whoever `put` writes without lifting anything, when it is given the same people or more,
        need not be looked at. `exact` = the times are needed where they were not told before, even if that is a long
        reading. It ends within a minute. An adapter whose `put` never lifts a stop has nothing to say here.
        """
        return Left()

    def shared(self, purpose: str) -> Collection[str]:
        """Purposes that are left together there, this one among them: she has left only when all of them are off."""
        return (purpose,)

    def knows_pause(self, purpose: str) -> bool:  # noqa: ARG002  (the name is the contract)
        """Whether somebody who is paused there looks different from somebody who left."""
        return True

    @property
    def site(self) -> str:
        """An address of the ESP that answers anybody, if only with a no: `doctor` reads the time from it."""
        return ""

    def setup(self, webhook: str = "") -> list[Step]:  # noqa: ARG002  (names are the contract)
        """Make what the ESP needs (fields, groups, webhooks), idempotently; say what was made and what was there.

        `webhook` is the address its news should go to, without a secret part; empty = nothing about webhooks.
        """
        return []

    def check(self, webhook: str = "") -> list[Finding]:  # noqa: ARG002  (names are the contract)
        """What usually goes wrong here, looked at now, each with its fix. Changes nothing."""
        return []


def _alike(members: Sequence[Member], places: Collection[str]) -> Iterator[Seen]:
    """Members in groups that stand alike."""
    groups: dict[tuple[bool, frozenset[str], frozenset[str]], list[str]] = {}
    for member in members:
        groups.setdefault((member.blocked, member.on, member.stopped.intersection(places)), []).append(member.email)
    for (dead, on, stopped), emails in groups.items():
        if dead:
            yield Seen(emails, stop=EventType.BOUNCED)
        else:
            yield Seen(emails, on, EventType.UNSUBSCRIBED if stopped else None, stopped)


def find(name: str) -> type[Adapter]:
    """The adapter of that name among the installed ones. Loads only this one."""
    adapter: type[Adapter] = _load("bridge.adapters", name, "BRIDGE_ADAPTERS")
    return adapter


def find_transport(url: str) -> type[Transport]:
    """The mail transport for a URL's scheme among the installed ones."""
    transport: type[Transport] = _load("bridge.transports", url.partition(":")[0], "BRIDGE_MAIL_URL")
    return transport


@cache
def _everything(_path: tuple[str, ...]) -> Any:
    """What is installed where Python looks: read once, for it takes as long as all else of a start."""
    return entry_points()


@cache
def _installed(group: str, path: tuple[str, ...]) -> dict[str, Any]:
    return {entry.name: entry for entry in _everything(path).select(group=group)}


def _load(group: str, name: str, setting: str) -> Any:
    installed = _installed(group, tuple(sys.path))
    if name not in installed:
        known = ", ".join(sorted(installed)) or "none"
        raise Misconfigured(f"{setting} names {name!r}, which is not installed; installed are: {known}")
    return installed[name].load()
