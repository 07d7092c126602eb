"""One request of a person as it is kept: what is clear, what is sealed, and how that is destroyed (RGT-09, SUP-04)."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import CompoundSelect, Connection, and_, select, update

from bridge.store.engine import Database
from bridge.tables import cases, former, subjects
from bridge.vault import Sealed, Vault, unseal
from bridge.vocabulary import EVERY_PURPOSE, EventType, RequestKind


class Proof(StrEnum):
    """How we know that it is she who asks. Control of her mailbox is enough, and never more is asked (RGT-08)."""

    OWN_MAILBOX = "own_mailbox"  # the request came from there
    LINK = "link"  # she said so at a page behind a link that went there
    DENIED = "denied"  # she said there that it is not hers


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a case says of her: sealed."""

    email: str
    subject: str = ""  # who asks, where somebody of that address was here when it was written down
    language: str = ""
    purpose: str = EVERY_PURPOSE  # what she withdraws, if not everything
    note: str = ""  # what she asks, in the operator's words
    extension: str = ""  # why it takes longer, as she was told
    reason: str = ""  # of a refusal, as she was told
    complaint: str = ""  # to whom she may complain about that, as she was told
    answer: str = ""  # what she was told, beside what was carried out


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request, without what names her."""

    id: str
    kind: RequestKind
    received: date
    due: date
    opened: datetime
    opened_by: str
    acted: datetime | None
    asked: datetime | None
    verified: datetime | None
    how: Proof | None
    extended: datetime | None
    closed: datetime | None
    closed_by: str | None
    refused: bool
    dark: bool  # she was erased: nothing of her is left here

    @property
    def state(self) -> str:
        """Where it stands."""
        return "open" if self.closed is None else "refused" if self.refused else "answered"


#: What is carried out when it is written down, and needs nothing of hers later.
STOPPING: Mapping[RequestKind, EventType] = {
    RequestKind.WITHDRAW: EventType.WITHDRAWN,
    RequestKind.OBJECT: EventType.OBJECTED,
    RequestKind.ERASE: EventType.WITHDRAWN,
}


def asking() -> CompoundSelect[int]:
    """Numbers of people whose request waits for an answer that takes what is kept of them: nothing of theirs is
    forgotten before, also where they ask of an address they had (RGT-01, RGT-05)."""
    open_ = and_(cases.c.closed.is_(None), cases.c.lookup.is_not(None), cases.c.kind.not_in(list(STOPPING)))
    lookups = select(cases.c.lookup).where(open_)
    here = select(subjects.c.number).where(subjects.c.lookup.in_(lookups))
    return here.union(select(former.c.subject).where(former.c.lookup.in_(lookups)))


def darken(db: Connection, vault: Vault, lookups: Collection[bytes], numbers: Collection[int]) -> None:
    """Destroy what the cases of these addresses say, with their keys: these people are erased. Kind and dates stay.

    A case of somebody else who has, or had, one of these addresses and is not erased stays as it is.
    """
    mine = []
    for row in db.execute(select(cases).where(cases.c.lookup.in_(lookups))).all():
        try:
            anothers = is_anothers(db, vault, open_case(vault, row), numbers)
        except Sealed:
            anothers = False
        mine += [] if anothers else [row.id]
    if mine:
        nothing = dict.fromkeys(("kid", "lookup", "wrapped", "sealed"))
        db.execute(update(cases).where(cases.c.id.in_(mine)).values(**nothing))


def is_anothers(db: Connection, vault: Vault, told: Told, numbers: Collection[int]) -> bool:
    """Whether a case is of somebody who is here and none of these: an address may go from one to another (R13)."""
    if told.subject:
        alive = select(subjects.c.number).where(subjects.c.id == told.subject)
    else:
        alive = select(subjects.c.number).where(subjects.c.lookup.in_([e.value for e in vault.lookups(told.email)]))
    return any(number not in numbers for number in db.scalars(alive))


def rewrap(database: Database, vault: Vault) -> int:
    """Put the keys and hashes of cases under the newest root (KEY-03); how many. One that cannot be opened stays."""
    with database.reading() as db:
        rows = db.execute(select(cases).where(cases.c.kid != vault.newest)).all()
    for row in rows:
        kid, wrapped = vault.rewrap(row.id, row.kid, row.wrapped)
        lookup = vault.lookups(open_case(vault, row).email)[0].value
        with database.writing() as db:
            mine = (cases.c.id == row.id, cases.c.wrapped == row.wrapped)
            db.execute(update(cases).where(*mine).values(kid=kid, wrapped=wrapped, lookup=lookup))
    return len(rows)


def open_case(vault: Vault, row: Any) -> Told:
    """What a row says of her. Raises `Sealed`, also where kind or date of receipt were changed."""
    key = vault.person(row.id, row.kid, row.wrapped)
    data = unseal(key, row.sealed, about_case(row.id, row.kind, date.fromisoformat(row.received)))
    return msgspec.json.decode(data, type=Told)


def about_case(id_: str, kind: str, received: date) -> str:
    return f"case/{id_}/{kind}/{received.isoformat()}"


def as_case(row: Any) -> Case:
    return Case(
        id=row.id,
        kind=RequestKind(row.kind),
        received=date.fromisoformat(row.received),
        due=date.fromisoformat(row.due),
        opened=row.opened,
        opened_by=row.opened_by,
        acted=row.acted,
        asked=row.asked,
        verified=row.verified,
        how=Proof(row.how) if row.how else None,
        extended=row.extended,
        closed=row.closed,
        closed_by=row.closed_by,
        refused=bool(row.refused),
        dark=row.sealed is None,
    )
