"""Contacts without proof, or with a no, taken out for good after a reviewed audit (AUD-02).

Nobody is suppressed by it: whoever is only deleted may sign up again, and is mailed the question as everybody is. What
she said no to stays on the stop list, as a keyed hash.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from bridge.decide import STOPS, Grade, blocks, grade, proof
from bridge.store.door import Stop, remember_stops
from bridge.store.erase import LEFT, erase
from bridge.store.erasing import promise
from bridge.store.intake import ALONE
from bridge.store.proofs import Known, known_by
from bridge.store.rows import LOCKED, Rows, listed, stop_event
from bridge.store.sql import Hand
from bridge.vault import Hash, Vault
from bridge.vocabulary import EVERY_PURPOSE, Block, ConsentEvent, EventType, Limits, Method

#: What is taken out.
REMOVED = frozenset({Grade.NONE, Grade.STOPPED})

#: What is a no that outlives her; a yes that grew too old is none.
_NOS = frozenset(STOPS) - {EventType.EXPIRED, EventType.ERASED}


class Said(NamedTuple):
    """A no that stands in a list, and perhaps in no store yet. `purpose` "" = to everything."""

    type: EventType
    purpose: str
    time: datetime


class Removal(NamedTuple):
    """Somebody who is to be taken out."""

    email: str
    seen: int  # number of her last event when that was decided; 0 = nobody of that address was here
    there: tuple[str, ...]  # ESPs that hold the address, in order
    stops: Sequence[Said] = ()  # what the list, or an ESP, holds of a no


class Removed(StrEnum):
    """What becomes of one."""

    REMOVED = "removed"
    GONE = "gone"  # nothing of her is left, here or at an ESP
    CHANGED = "changed"  # something happened to her since: left as she is
    KEPT = "kept"  # something is proven, incomplete, restricted or cannot be read: left as she is


def verdict(wanted: Removal, known: Known, limits: Limits, now: datetime) -> Removed:
    """What becomes of somebody of whom this is known now. Pure."""
    if not known.numbers and (wanted.seen or not wanted.there):
        return Removed.GONE
    if not known.readable:
        return Removed.KEPT
    if known.seen != wanted.seen:
        return Removed.CHANGED
    if Block.RESTRICTED in blocks(known.told, limits):  # kept, and not used (GDPR 18)
        return Removed.KEPT
    told = [*known.told, *(stop_event(said.type.value, said.purpose, said.time) for said in wanted.stops)]
    purposes = {event.purpose for event in known.told} - {EVERY_PURPOSE}
    grades = {grade(proof(told, each, known.gaps.get(each)), each, now, limits).grade for each in purposes}
    return Removed.REMOVED if grades <= REMOVED else Removed.KEPT


def remove(db: Connection, rows: Rows, wanted: Sequence[Removal], limits: Limits, now: datetime) -> list[Removed]:
    """Take these people out, here and at the ESPs that hold them, in one transaction. Nothing of them is left but what
    the stop list keeps: every no, also at an address they had before. Who is not as she was is left alone."""
    hand, vault = Hand.of(db), rows.vault
    if hand.dialect == "postgresql":
        ALONE.rows(hand)  # else somebody whom a list just brings in could not be seen
    hashes = [entry.value for each in wanted for entry in vault.lookups(each.email)]
    list(listed(LOCKED, hand, hashes))  # nobody of them does anything meanwhile
    known = known_by(hand, rows, [each.email for each in wanted])
    verdicts = [verdict(each, known[each.email], limits, now) for each in wanted]
    gone = [each for each, said in zip(wanted, verdicts, strict=True) if said is Removed.REMOVED]
    numbers = sorted({number for each in gone for number in known[each.email].numbers})
    remember_stops(hand, [stop for each in gone for stop in _stops(vault, each, known[each.email])])
    remember_nos(hand, {n: known[each.email].told for each in gone for n in known[each.email].numbers})
    for there in sorted({each.there for each in gone}):
        mine = [each for each in gone if each.there == there]
        # Whoever is not here has no number: each gets one that nobody has.
        people = {n: each.email for place, each in enumerate(mine, 1) for n in known[each.email].numbers or (-place,)}
        promise(db, vault, people, now, there)
    erase(db, numbers, now)
    return verdicts


def remember_nos(db: Hand, told: Mapping[int, Collection[ConsentEvent]]) -> None:
    """Every no of people who go, by number, stands at the addresses they had before, too."""
    stops = []
    for subject, kid, stop in listed(LEFT, db, sorted(told)):
        stops += [Stop(Hash(kid, stop), said.purpose, said.type, said.time) for said in _nos(told[subject])]
    remember_stops(db, stops)


def _nos(told: Collection[ConsentEvent]) -> list[Said]:
    """Every no of somebody who goes. That she was erased before is about that address alone, and that she did not
    answer is no no."""
    nos = [e for e in told if e.type in _NOS and (e.type, e.method) != (EventType.INVALIDATED, Method.CLOCK)]
    return [Said(e.type, e.purpose, e.time) for e in nos]


def _stops(vault: Vault, wanted: Removal, known: Known) -> list[Stop]:
    """The same for her address, with those that the list or an ESP holds."""
    hash_ = vault.stop_hashes(wanted.email)[0]
    return [Stop(hash_, said.purpose, said.type, said.time) for said in (*_nos(known.told), *wanted.stops)]
