"""What an evidence pack is made of: one person's sealed events, her key, and where each stands in which checkpoint."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from bridge.seals import Seals
from bridge.store import checkpoints
from bridge.store.checkpoints import Place
from bridge.store.engine import Database
from bridge.store.errors import StoreAway, UnknownSubject
from bridge.store.values import Person
from bridge.tables import events, person_keys
from bridge.vault import Vault, about_event, unpack, unseal

_TRIES = 5


class Kept(NamedTuple):
    """One event as it is kept, and opened."""

    number: int
    canonical: bytes
    sealed: bytes
    digest: bytes
    place: Place


class Packed(NamedTuple):
    """One person's part of the history at one moment."""

    key: bytes
    events: Sequence[Kept]
    checkpoints: Sequence[dict[str, Any]]  # those that cover them


def read(database: Database, vault: Vault, seals: Seals, person: Person, now: datetime) -> Packed:
    """Her events, each covered by a signed checkpoint: what is not yet, is covered first.

    Raises `UnknownSubject` when she is gone, `Sealed` when something of hers cannot be opened.
    """
    for _ in range(_TRIES):
        checkpoints.cut(database, seals, now)
        found = _read(database, vault, person)
        if found is not None:
            return found
    raise StoreAway("so much happens to this person at this moment that no checkpoint keeps up")


def _read(database: Database, vault: Vault, person: Person) -> Packed | None:
    """None where one of her events is not covered: it was told a moment ago."""
    with database.reading() as db:
        row = db.execute(
            select(person_keys.c.kid, person_keys.c.wrapped).where(person_keys.c.subject == person.number)
        ).first()
        if row is None:
            raise UnknownSubject("this person is no longer here")
        mine = select(events.c.id, events.c.number, events.c.sealed, events.c.digest)
        rows = db.execute(mine.where(events.c.subject == person.number).order_by(events.c.number)).all()
        places = checkpoints.prove(db, [one.id for one in rows])
        if len(places) < len(rows):
            return None
        needed = {place.checkpoint for place in places.values()}
        covering = [one for one in checkpoints.statements(db) if one["number"] in needed]
    key = vault.person(person.id, row.kid, row.wrapped)
    kept = [
        Kept(
            one.number,
            unpack(unseal(key, one.sealed, about_event(person.id, one.number))),
            one.sealed,
            one.digest,
            places[one.id],
        )
        for one in rows
    ]
    return Packed(vault.secret(person.id, row.kid, row.wrapped), kept, covering)
