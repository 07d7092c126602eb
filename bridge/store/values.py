"""What goes in and out of the store: plain frozen values."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from bridge.vault import Hash
from bridge.vocabulary import ConsentEvent, EventType, Evidence, Method


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One person as the store holds her, opened."""

    number: int
    id: str
    email: str
    mark: str
    language: str = ""
    fields: Mapping[str, str] = {}


class SignUp(msgspec.Struct, frozen=True, kw_only=True):
    """What one sent form asks for. `evidence` is per purpose: the words shown and the box."""

    email: str
    channel: str
    language: str
    evidence: Mapping[str, Evidence]
    notices: Mapping[str, int]
    network: str = ""
    fields: Mapping[str, str] = {}
    guardian: str = ""  # of a child: whom to ask; kept only in the mail that asks
    place: str = ""  # keyed hash of a random cookie of the browser that sent it
    request: str = ""  # what the page behind it names it by; empty = it names none
    worked: str = ""  # the task that this browser solved before it sent the form


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail that is due, claimed: what it says is in `payload`, opened."""

    id: str
    lease: str
    kind: str
    person: Person
    history: tuple[ConsentEvent, ...]
    purposes: tuple[str, ...]
    language: str
    made: datetime
    attempts: int
    handed: bool
    request: str = ""
    channel: str = ""
    child: bool = False  # she said to be below the national age
    to: str = ""  # where it goes; empty = to her address


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One person an ESP must be told about, claimed: how things are is read at the moment of sending."""

    person: Person
    adapter: str
    claimed: datetime
    lease: str
    number: int  # the person's last event now: what the ESP will know when this is done
    wanted: int
    put: int
    stop: bool
    attempts: int
    job: str | None
    history: tuple[ConsentEvent, ...]
    pause_end: datetime | None = None  # when this ESP must be told again because a pause of hers ends
    known: int | None = None  # what the ESP was told last and took, as a keyed hash
    told: int | None = None  # what it is told now
    reason: str | None = None  # what the ESP answered last, where it did not simply take it
    gone: bool = False  # the ESP deleted her address for good
    shaken: bool = False  # an earlier call about her may have been carried out there without our knowing
    unsure: int = 0  # how many events of hers the first such call may have told
    unseen: int = 0  # and the last


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work an ESP took to do later, claimed. Without a key it is one that may exist: nobody knows its name."""

    number: int
    adapter: str
    key: str | None
    carried: tuple[int, ...]  # the people it names, by number, in the order they were sent
    made: datetime
    attempts: int
    lease: str


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who must be erased at an ESP, claimed: no more of her than her address."""

    id: str
    email: str
    lease: str
    made: datetime
    attempts: int
    waits: bool  # something under way may still bring her back: what the ESP says now is not its last word
    told: bool  # all was said already that can be said while something is under way
    again: datetime  # when it is worth to look again
    newcomer: int | None  # who holds that address now, with a live yes that this ESP is told of


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of people who are to be told of a breach."""

    listed: int = 0  # noted; the dispatcher promises each a mail
    before: int = 0  # they were already
    gone: int = 0  # erased since


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an address that was to be erased."""

    known: bool  # somebody of that address was here
    moved: bool = False  # under a newer address: she was erased under both
    platforms: tuple[str, ...]  # ESPs that were promised her erasure there


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """One stop of one person at one ESP: when she said it, and when it was carried out there."""

    number: int  # of the event that is the stop
    adapter: str
    acted: datetime
    confirmed: datetime | None


class StopTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How one ESP keeps up with stops (WDR-11): those on their way, and those it confirmed within the last day."""

    adapter: str
    waiting: int
    oldest: datetime | None  # when the oldest of them was said
    late: int  # on their way for more than an hour
    broken: int  # on their way for more than two days
    confirmed: int
    in_time: int  # of these: within five minutes
    slowest: timedelta


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """How much is waiting, for people and monitors."""

    name: str
    waiting: int
    oldest: datetime | None


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One report of an ESP as the store takes it in: whom it is about, and its own name, as keyed hashes only.

    Who moved brings her new address, `to`, in the clear; such news never waits on disk.
    """

    type: EventType
    time: datetime
    purpose: str
    method: Method
    who: tuple[bytes, ...]  # her address as `subjects.lookup` may know it, under each root
    stops: tuple[Hash, ...]  # her address as the stop list may know it, newest root first
    keys: tuple[str, ...]  # the report's name under each root, newest first
    detail: str | None = None
    to: str = ""
