"""Moving rows from old vault roots to the newest, while readers and dispatchers go on working (decision 17, KEY-03).

A person's key is only ever replaced where it still stands as it was read, never written anew: whoever was forgotten
in between stays forgotten (SUP-04).
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from bridge.store.case_files import rewrap
from bridge.store.door import Stop, remember_stops
from bridge.store.engine import Database
from bridge.store.errors import StoreAway
from bridge.store.kept import reseal
from bridge.store.rows import open_person
from bridge.store.sql import Hand
from bridge.tables import checkpoints, erase_work, keys_used, metadata, person_keys, stop_list, subjects
from bridge.vault import Hash, Sealed, Vault
from bridge.vocabulary import EventType

#: How long one chunk may hold its locks, and how many people one may have: a click must not wait (decision 16).
_CHUNK_SECONDS = 0.015
_LEAST, _MOST, _FIRST_CHUNK = 10, 500, 20
_TRIES = 20

#: Tables whose rows say which root they are made under. Checkpoints name seal keys.
_NAMING = tuple(table for table in metadata.sorted_tables if "kid" in table.c and table not in (keys_used, checkpoints))


class Moved(NamedTuple):
    """What a run did: people and stops that are now under the newest root, and people it had to leave as they are."""

    people: int
    stops: int
    left: int


class _Step(NamedTuple):
    """One person's rows as they were read, and as they shall be."""

    number: int
    was: tuple[bytes, str, bytes]  # lookup, id of the key's root, wrapped key
    lookup: Hash
    wrapped: tuple[str, bytes]
    stops: Sequence[Hash]  # newest first


def named(database: Database) -> dict[str, dict[str, int]]:
    """How many rows of which tables name each root."""
    found: dict[str, dict[str, int]] = {}
    with database.reading() as db:
        for table in _NAMING:
            rows_of = select(table.c.kid, func.count()).where(table.c.kid.is_not(None)).group_by(table.c.kid)
            for kid, rows in db.execute(rows_of):
                found.setdefault(kid, {})[table.name] = rows
    return found


def used(database: Database) -> dict[tuple[str, str], datetime | None]:
    """The keys that programs have used for something new, by ring and id, and since when."""
    with database.reading() as db:
        return {(row.ring, row.kid): row.since for row in db.execute(select(keys_used))}


def retire(database: Database, ring: str, kid: str) -> None:
    """Forget that a key was used, so that a start without it is no longer refused. Ask first whether it may go."""
    with database.writing() as db:
        db.execute(delete(keys_used).where(keys_used.c.ring == ring, keys_used.c.kid == kid))


def move(
    database: Database,
    vault: Vault,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> Moved:
    """Put every person's key, look-up hash and stops under the newest root. May be ended and begun again at any moment.

    Between two chunks it rests as long as the last one took: on SQLite, writers take turns and a click has its turn.
    """
    with database.reading() as db:
        everyone = db.scalar(select(func.count()).select_from(subjects)) or 0
        old_stops = db.scalar(select(func.count()).where(stop_list.c.kid != vault.newest)) or 0
    with database.writing() as db:
        reseal(db, vault)
    people = stops = left = last = seen = 0
    size = _FIRST_CHUNK
    while True:
        with database.reading() as db:
            rows = _chunk(db, vault, last, size, everybody=bool(old_stops))
        if not rows:
            break
        steps = [step for step in (_prepare(vault, row) for row in rows) if step is not None]
        left += len(rows) - len(steps)
        done, moved, twice, took = _write(database, vault, steps)
        people, stops, left = people + done, stops + moved, left + twice
        last, seen = rows[-1].number, seen + len(rows)
        progress(seen, everyone)
        size = max(_LEAST, min(_MOST, 2 * size, int(size * _CHUNK_SECONDS / max(took, 0.001))))
        rest(took)
    _move_erasures(database, vault)
    rewrap(database, vault)
    return Moved(people, stops, left)


def _move_erasures(database: Database, vault: Vault) -> None:
    """The keys of people who must still be erased at a platform; a row that is finished meanwhile stays gone."""
    with database.reading() as db:
        rows = db.execute(select(erase_work).where(erase_work.c.kid != vault.newest)).all()
    for row in rows:
        try:
            kid, wrapped = vault.rewrap(row.id, row.kid, row.wrapped)
        except Sealed:
            continue  # its root is missing: it keeps that root from being dropped
        with database.writing() as db:
            db.execute(update(erase_work).where(erase_work.c.id == row.id).values(kid=kid, wrapped=wrapped))


def _chunk(db: Connection, vault: Vault, last: int, size: int, *, everybody: bool) -> list[Any]:
    """The next people with something under an old root; all people while an old root still has stops."""
    stale = or_(subjects.c.kid != vault.newest, person_keys.c.kid != vault.newest)
    query = select(
        subjects.c.number,
        subjects.c.id,
        subjects.c.mark,
        subjects.c.profile,
        person_keys.c.kid,
        person_keys.c.wrapped,
        subjects.c.lookup,
    ).join(person_keys, person_keys.c.subject == subjects.c.number)
    where = subjects.c.number > last
    query = query.where(where if everybody else and_(where, stale))
    return list(db.execute(query.order_by(subjects.c.number).limit(size)))


def _prepare(vault: Vault, row: Any) -> _Step | None:
    """What is to be written of one person, worked out before anything is locked. None = her rows cannot be opened."""
    try:
        email = open_person(vault, row).person.email
        same = row.kid == vault.newest
        wrapped = (row.kid, row.wrapped) if same else vault.rewrap(row.id, row.kid, row.wrapped)
    except Sealed:
        return None
    was = (row.lookup, row.kid, row.wrapped)
    return _Step(row.number, was, vault.lookups(email)[0], wrapped, vault.stop_hashes(email))


def _write(database: Database, vault: Vault, steps: Sequence[_Step]) -> tuple[int, int, int, float]:
    """One chunk in one short transaction: people and stops it moved, people it left, and how long it worked.

    What the disk takes to commit is not counted: a smaller chunk would not make it less.
    """
    if not steps:
        return 0, 0, 0, 0.0
    for attempt in range(_TRIES):
        try:
            with database.writing() as db:
                began = time.perf_counter()
                done, moved, twice = _carry_out(db, vault, steps)
                took = time.perf_counter() - began
        except StoreAway:
            if attempt == _TRIES - 1:
                raise
            continue
        return done, moved, twice, took
    raise AssertionError  # the loop ends by return or raise


def _carry_out(db: Connection, vault: Vault, steps: Sequence[_Step]) -> tuple[int, int, int]:
    numbers = [step.number for step in steps]
    in_order = select(subjects.c.number).where(subjects.c.number.in_(numbers)).order_by(subjects.c.number)
    here = set(db.scalars(in_order.with_for_update()))  # as every other writer: people first, in the order of numbers
    wanted = select(subjects.c.lookup, subjects.c.number)
    taken = {row.lookup: row.number for row in db.execute(wanted.where(_in_lookups(steps)))}
    mine = [step for step in steps if step.number in here]
    # Made twice by a process that did not know the newest root: that one cannot be moved, and stays as it is.
    free = [step for step in mine if taken.get(step.lookup.value, step.number) == step.number]
    looked_up = [step for step in free if step.was[0] != step.lookup.value]
    keyed = [step for step in free if step.was[2] != step.wrapped[1]]
    if looked_up:
        db.execute(
            update(subjects)
            .where(subjects.c.number == bindparam("n"), subjects.c.lookup == bindparam("was"))
            .values(kid=bindparam("k"), lookup=bindparam("v")),
            [{"n": s.number, "was": s.was[0], "k": s.lookup.kid, "v": s.lookup.value} for s in looked_up],
        )
    if keyed:
        db.execute(
            update(person_keys)
            .where(person_keys.c.subject == bindparam("n"), person_keys.c.wrapped == bindparam("was"))
            .values(kid=bindparam("k"), wrapped=bindparam("v")),
            [{"n": s.number, "was": s.was[2], "k": s.wrapped[0], "v": s.wrapped[1]} for s in keyed],
        )
    moved = _move_stops(db, vault, free)
    return len({step.number for step in [*looked_up, *keyed]}), moved, len(mine) - len(free)


def _in_lookups(steps: Sequence[_Step]) -> Any:
    return subjects.c.lookup.in_([step.lookup.value for step in steps])


def _move_stops(db: Connection, vault: Vault, steps: Sequence[_Step]) -> int:
    """The stops of people we hold, under the newest root: the later one counts, as for every other stop."""
    newest = {old.value: step.stops[0] for step in steps for old in step.stops[1:]}
    old = and_(stop_list.c.hash.in_(newest), stop_list.c.kid != vault.newest)
    rows = db.execute(delete(stop_list).where(old).returning(*stop_list.c)).all()
    remember_stops(Hand.of(db), [Stop(newest[row.hash], row.scope, EventType(row.reason), row.since) for row in rows])
    return len(rows)
