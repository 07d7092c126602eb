"""Contacts without proof, or with a no, taken out for good after a reviewed audit (AUD-02).

Nobody is suppressed by it: whoever is only deleted may sign up again, and is mailed the question as everybody is. What
she said no to stays on the stop list, as a keyed hash.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from bridge.decide import Grade, grade, proof
from bridge.store.door import Stop, remember_stops
from bridge.store.erase import erase
from bridge.store.erasing import promise
from bridge.store.intake import ALONE
from bridge.store.proofs import Known, known_by
from bridge.store.rows import Rows, listed, stop_event
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import EVERY_PURPOSE, EventType, Limits

_LOCKED = Sql("SELECT number FROM subjects WHERE lookup IN ({}) ORDER BY number [FOR UPDATE]")

#: What is taken out.
REMOVED = frozenset({Grade.NONE, Grade.STOPPED})


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
    stops: Sequence[Said] = ()


class Removed(StrEnum):
    """What became of one."""

    REMOVED = "removed"
    GONE = "gone"  # was here and is not any more
    CHANGED = "changed"  # something happened to her since: left as she is
    KEPT = "kept"  # she may be mailed for something else: left as she is


def remove(db: Connection, rows: Rows, wanted: Sequence[Removal], limits: Limits, now: datetime) -> list[Removed]:
    """Take these people out, here and at the ESPs that hold them, in one transaction. Nothing of them is left but what
    the stop list keeps. Who is not as she was when it was decided is left alone."""
    hand = Hand.of(db)
    if hand.dialect == "postgresql":
        ALONE.rows(hand)  # else somebody whom a list just brings in could not be seen
    hashes = [entry.value for each in wanted for entry in rows.vault.lookups(each.email)]
    list(listed(_LOCKED, hand, hashes))  # nobody of them does anything meanwhile
    known = known_by(hand, rows, [each.email for each in wanted])
    verdicts = [_verdict(each, known[each.email], limits, now) for each in wanted]
    gone = [each for each, verdict in zip(wanted, verdicts, strict=True) if verdict is Removed.REMOVED]
    stops = [(rows.vault.stop_hashes(each.email)[0], said) for each in gone for said in each.stops]
    remember_stops(hand, [Stop(hash_, said.purpose, said.type, said.time) for hash_, said in stops])
    for there in sorted({each.there for each in gone}):
        mine = [each for each in gone if each.there == there]
        # Whoever is not here has no number: each gets one that nobody has.
        people = {known[each.email].number or -place: each.email for place, each in enumerate(mine, start=1)}
        promise(db, rows.vault, people, now, there)
    erase(db, sorted({known[each.email].number for each in gone} - {0}), now)
    return verdicts


def _verdict(wanted: Removal, known: Known, limits: Limits, now: datetime) -> Removed:
    if wanted.seen and not known.number:
        return Removed.GONE
    if known.seen != wanted.seen:
        return Removed.CHANGED
    return Removed.REMOVED if _grades(known, wanted.stops, limits, now) <= REMOVED else Removed.KEPT


def _grades(known: Known, stops: Sequence[Said], limits: Limits, now: datetime) -> set[Grade]:
    """How all that is known of her is graded, with what the list holds against her: by the audit's own rule."""
    told = [*known.told, *(stop_event(said.type.value, said.purpose, said.time) for said in stops)]
    purposes = {event.purpose for event in known.told} - {EVERY_PURPOSE}
    return {grade(proof(told, each, known.gaps.get(each)), each, now, limits).grade for each in purposes}
