"""What the store keeps of one person beside her profile and her events: for her who asks what there is (RGT-01).

Every table that names a person, or holds a keyed hash of her address, has its part here; a test looks that none is
missing. Nothing is locked and nothing is written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from bridge.decide import from_bits
from bridge.store import journeys
from bridge.store.changing import waiting_move
from bridge.store.engine import Database
from bridge.store.looks import Copy, copies
from bridge.store.rows import Opened, Rows
from bridge.tables import breach_told, former, open_questions, outbox, pushes, throttle, unproven
from bridge.vault import unseal
from bridge.vocabulary import MailKind, normal_email

#: Kinds of requests that limits count by address (CAP-10).
COUNTED = ("sign-up", "preferences", "link", "move", "guardian")


#: `breach_told.state` in words.
_HOW_FAR = ("a mail will be promised", "a mail was promised", "no mail may go to this address")


class Told(NamedTuple):
    """How far one platform was told of her."""

    adapter: str
    waits: bool  # it is to be told something yet
    stop: bool  # and that is a stop
    job: bool  # it has taken work that names her, and has not ended it
    attempts: int
    reason: str  # why it did not take what it was told last, as a code
    known: bool  # it took something of hers
    gone: bool  # it deleted her address for good, and takes it back by its own form only


class Waiting(NamedTuple):
    """A mail that is promised and has not left."""

    kind: str
    purposes: Sequence[str]
    language: str
    made: datetime
    due: datetime
    attempts: int
    reason: str
    to: str  # where it goes, if not to her address


class Open(NamedTuple):
    """A question that waits for a yes; or a form that asked for what she had said yes to before, which asks nothing."""

    kind: str
    asked: datetime
    sent: datetime | None  # when its mail left
    wrong: int  # codes that were typed
    held: datetime | None  # when a press was held that may not have been hers

    @property
    def waits(self) -> bool:
        """Whether her answer would change anything."""
        return self.kind != MailKind.SUBSCRIBED


class Holding(NamedTuple):
    """All of it, for one person."""

    earlier: int  # addresses she had before, kept as codes
    told: Sequence[Told]
    waiting: Sequence[Waiting]
    lacking: Mapping[str, frozenset[str]]  # what lists did not prove, by purpose
    counted: Mapping[str, Sequence[datetime]]  # when her address asked for mail, by kind
    copies: Sequence[Copy] = ()  # what platforms said that they hold
    moving: tuple[str, datetime] | None = None  # a new address that has not confirmed, and when she asked
    questions: Sequence[Open] = ()  # that wait for her yes
    breaches: Sequence[tuple[int, str]] = ()  # of her data, by number, and how far telling her of each is


class _Payload(msgspec.Struct, frozen=True):
    purposes: tuple[str, ...]
    language: str
    to: str = ""


def holding(database: Database, rows: Rows, number: int, now: datetime) -> Holding | None:
    """What is kept of the person of that number; None where she is gone."""
    with database.reading() as db:
        opened = rows.people(db, [number]).get(number)
        if opened is None:
            return None
        earlier = db.scalar(select(func.count()).select_from(former).where(former.c.subject == number))
        lacking = select(unproven.c.purpose, unproven.c.missing).where(unproven.c.subject == number)
        return Holding(
            earlier=earlier or 0,
            told=_told(db, rows, opened),
            waiting=_waiting(db, opened),
            lacking={rows.names.text(db, purpose): from_bits(bits) for purpose, bits in db.execute(lacking)},
            counted=_counted(db, rows, opened),
            copies=copies(db, opened, now),
            moving=waiting_move(db, opened),
            questions=_questions(db, number),
            breaches=_breaches(db, number),
        )


def _questions(db: Connection, number: int) -> list[Open]:
    mine = select(open_questions).where(open_questions.c.subject == number).order_by(open_questions.c.asked)
    return [Open(row.kind, row.asked, row.sent, row.tries, row.held) for row in db.execute(mine)]


def _breaches(db: Connection, number: int) -> list[tuple[int, str]]:
    mine = select(breach_told.c.breach, breach_told.c.state).where(breach_told.c.subject == number)
    return [(breach, _HOW_FAR[state]) for breach, state in db.execute(mine.order_by(breach_told.c.breach))]


def _told(db: Connection, rows: Rows, opened: Opened) -> list[Told]:
    found = []
    query = select(pushes).where(pushes.c.subject == opened.number).order_by(pushes.c.adapter)
    for row in db.execute(query).all():
        gone = journeys.gone(db, rows.vault, row.adapter, [opened.person.email])
        waits = row.due is not None and row.put < row.wanted
        one = Told(
            adapter=row.adapter,
            waits=waits,
            stop=bool(row.stop),
            job=bool(row.job),
            attempts=row.attempts,
            reason=row.reason or "",
            known=row.put > 0,
            gone=bool(gone),
        )
        found.append(one)
    return found


def _waiting(db: Connection, opened: Opened) -> list[Waiting]:
    found = []
    for row in db.execute(select(outbox).where(outbox.c.subject == opened.number).order_by(outbox.c.made)):
        payload = unseal(opened.key, row.payload, f"{opened.person.id}/{row.id}")
        told = msgspec.json.decode(payload, type=_Payload)
        kind = row.work.removeprefix("mail:")
        found.append(
            Waiting(kind, told.purposes, told.language, row.made, row.due, row.attempts, row.reason or "", told.to)
        )
    return found


def _counted(db: Connection, rows: Rows, opened: Opened) -> dict[str, list[datetime]]:
    email = normal_email(opened.person.email)
    buckets = {rows.vault.bucket(f"{kind} address", email): kind for kind in COUNTED}
    query = select(throttle.c.bucket, throttle.c.time).where(throttle.c.bucket.in_(buckets)).order_by(throttle.c.time)
    found: dict[str, list[datetime]] = {}
    for bucket, time in db.execute(query):
        found.setdefault(buckets[bytes(bucket)], []).append(time)
    return found
