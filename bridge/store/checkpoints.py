"""Signed checkpoints of the whole history, so that whoever rewrites it, and every chain with it, is caught
(decision 14, CAP-06).

A checkpoint covers every digest that none before it covers, and says which by the ids of the events. It takes no lock:
on PostgreSQL an event may be committed after others with higher ids were covered, and then the next checkpoint
covers it, for it looks into every gap. So each digest is in exactly one, and none is lost.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, insert, or_, select
from sqlalchemy.dialects import postgresql

from bridge.merkle import Tree
from bridge.seals import Seals
from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.tables import checkpoints, events
from bridge.verifier import CHECKPOINT, Bad, check_checkpoint, checkpoint_hash
from bridge.vocabulary import rfc3339

_FIRST = bytes(32)
_AT_ONCE = 10_000
_GAPS_AT_ONCE = 200

#: First and last id, both of them in it.
Range = tuple[int, int]


class Place(NamedTuple):
    """Where an event stands in the tree of its checkpoint, and the path that proves it."""

    checkpoint: int
    leaf: int
    path: list[bytes]


class Checked(NamedTuple):
    """How many checkpoints there are, how many events none of them covers yet, and what is wrong: where, and what."""

    checkpoints: int
    uncovered: int
    problems: list[tuple[str, str]]


def cut(database: Database, seals: Seals, now: datetime) -> dict[str, Any] | None:
    """Cover what is not covered yet; the signed statement, or None where nothing is new, or no key is there.

    Killed at any moment it leaves nothing half. Of two at once one wins, and the other's work is dropped.
    """
    if not seals:
        return None
    with database.reading() as db:
        before = statements(db)
        tree, found = Tree(), list[Range]()
        for ids, digests in _uncovered(db, _covered(before)):
            tree.add(digests)
            _extend(found, ids)
    if not tree.count:
        return None
    told: dict[str, Any] = {
        "type": CHECKPOINT,
        "number": before[-1]["number"] + 1 if before else 1,
        "time": rfc3339(now),
        "leaves": " ".join(f"{first}-{last}" if last > first else str(first) for first, last in found),
        "count": tree.count,
        "root": tree.root().hex(),
        "previous": checkpoint_hash(before[-1]) if before else _FIRST.hex(),
        "key": seals.newest,
    }
    signed = {**told, "signature": seals.sign(CHECKPOINT, told)}
    return signed if _keep(database, signed, now.replace(microsecond=0)) else None


def is_due(database: Database, before: datetime) -> bool:
    """Whether something is new and the last checkpoint is not younger than that moment. A cheap look.

    What was committed late below the last id waits until something else is new.
    """
    with database.reading() as db:
        last, highest = db.scalar(select(func.max(checkpoints.c.time))), db.scalar(select(func.max(events.c.id))) or 0
        if last is not None and last > before:
            return False
        ends = (_ranges(leaves)[-1][1] for leaves in db.scalars(select(checkpoints.c.leaves)))
        return highest > max(ends, default=0)


def stored(database: Database) -> list[dict[str, Any]]:
    """Every signed checkpoint, in order."""
    with database.reading() as db:
        return statements(db)


def statements(db: Connection) -> list[dict[str, Any]]:
    """The same, within a transaction."""
    return [
        {
            "type": CHECKPOINT,
            "number": row.number,
            "time": rfc3339(row.time),
            "leaves": row.leaves,
            "count": row.count,
            "root": row.root.hex(),
            "previous": row.previous.hex(),
            "key": row.kid,
            "signature": b64encode(row.signature).decode(),
        }
        for row in db.execute(select(checkpoints).order_by(checkpoints.c.number))
    ]


def count_by_key(database: Database) -> dict[str, int]:
    """How many checkpoints each seal key has signed."""
    with database.reading() as db:
        query = select(checkpoints.c.kid, func.count()).group_by(checkpoints.c.kid)
        return {row[0]: row[1] for row in db.execute(query)}


def check(db: Connection, seals: Seals | None) -> Checked:
    """Every signature, each link to the one before, and every root made anew from the digests, in one pass and flat
    memory. Without `seals` signatures are not looked at."""
    told = statements(db)
    problems = list(_signed(told, seals))
    spans: list[tuple[int, int, int]] = []  # first and last id, and whose they are
    for one in told:
        try:
            spans += [(first, last, one["number"]) for first, last in parse(one["leaves"])]
        except ValueError:
            problems.append((f"checkpoint {one['number']}", "does not say which events it covers"))
    spans.sort()
    for (_, last, mine), (first, _, other) in pairwise(spans):
        if first <= last:
            problems.append((f"checkpoint {max(mine, other)}", "covers events that another one covers"))
            return Checked(len(told), 0, problems)
    roots, uncovered = _made_anew(db, spans)
    for one in told:
        many, root = roots.get(one["number"], (0, b""))
        if many < one["count"]:
            what = f"{one['count'] - many} of the events {one['leaves']} are missing"
        elif many != one["count"] or root.hex() != one["root"]:
            what = f"the history is not what was signed: one of the events {one['leaves']} was changed"
        else:
            continue
        problems.append((f"checkpoint {one['number']}", what))
    return Checked(len(told), uncovered, problems)


def prove(db: Connection, ids: Sequence[int]) -> dict[int, Place]:
    """Where each of these events stands; one that no checkpoint covers yet is left out. One pass for each tree.

    Raises `BadInput` where the history is not what a checkpoint signed: then nothing proves where they stand.
    """
    places: dict[int, Place] = {}
    for one in statements(db):
        spans = _ranges(one["leaves"])
        wanted = {index: id_ for id_ in ids if (index := _index(spans, id_)) is not None}
        if not wanted:
            continue
        tree = Tree(keep=wanted)
        for _, digests in _rows(db, spans):
            tree.add(digests)
        if (tree.count, tree.root().hex()) != (one["count"], one["root"]):
            raise BadInput(f"the history is not what checkpoint {one['number']} signed: run consent-bridge verify")
        places |= {id_: Place(one["number"], index, tree.path(index)) for index, id_ in wanted.items()}
    return places


def parse(leaves: str) -> list[Range]:
    """`1-500 502` as ranges; ValueError for what no checkpoint of ours says."""
    found = []
    for part in leaves.split(" "):
        first, _, last = part.partition("-")
        found.append((int(first), int(last or first)))
    if any(first > last for first, last in found):
        raise ValueError("no range")
    return found


def _keep(database: Database, signed: Mapping[str, Any], now: datetime) -> bool:
    """Write it down, unless another program was faster."""
    row = {
        "number": signed["number"],
        "time": now,
        "leaves": signed["leaves"],
        "count": signed["count"],
        "root": bytes.fromhex(signed["root"]),
        "previous": bytes.fromhex(signed["previous"]),
        "kid": signed["key"],
        "signature": b64decode(signed["signature"]),
    }
    with database.writing() as db:
        if db.dialect.name == "postgresql":  # two at once: the second one waits for the first
            added = postgresql.insert(checkpoints).values(row).on_conflict_do_nothing()
            return db.execute(added.returning(checkpoints.c.number)).first() is not None
        if (db.scalar(select(func.max(checkpoints.c.number))) or 0) != signed["number"] - 1:
            return False
        db.execute(insert(checkpoints).values(row))
        return True


def _ranges(leaves: str) -> list[Range]:
    """The same for whoever goes on from there: what cannot be read is named by `verify`."""
    try:
        return parse(leaves)
    except ValueError:
        raise BadInput("a checkpoint cannot be read: run consent-bridge verify") from None


def _covered(told: Sequence[Mapping[str, Any]]) -> list[Range]:
    """Every id that is covered, as few ranges as can be, in order."""
    found: list[Range] = []
    for first, last in sorted(each for one in told for each in _ranges(one["leaves"])):
        if found and first == found[-1][1] + 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _uncovered(db: Connection, covered: Sequence[Range]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Ids and digests that are in no checkpoint, by id: first those in the gaps, then whatever is new."""
    ends = [0, *(last for _, last in covered)]
    gaps = [(end + 1, first - 1) for end, (first, _) in zip(ends, covered, strict=False) if first > end + 1]
    for begin in range(0, len(gaps), _GAPS_AT_ONCE):
        part = gaps[begin : begin + _GAPS_AT_ONCE]
        yield from _read(db, or_(*(and_(events.c.id >= first, events.c.id <= last) for first, last in part)))
    yield from _read(db, events.c.id > ends[-1])


def _rows(db: Connection, spans: Sequence[Range]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Ids and digests of the events in these ranges, by id."""
    place = 0
    for ids, digests in _read(db, and_(events.c.id >= spans[0][0], events.c.id <= spans[-1][1])):
        mine = []
        for at, id_ in enumerate(ids):
            while place < len(spans) and id_ > spans[place][1]:
                place += 1
            if place < len(spans) and id_ >= spans[place][0]:
                mine.append(at)
        yield [ids[at] for at in mine], [digests[at] for at in mine]


def _read(db: Connection, where: Any) -> Iterator[tuple[list[int], list[bytes]]]:
    query = select(events.c.id, events.c.digest).where(where).order_by(events.c.id)
    for part in db.execute(query, execution_options={"yield_per": _AT_ONCE}).partitions():
        ids, digests = zip(*part, strict=True)
        yield list(ids), list(digests)


def _extend(found: list[Range], ids: Sequence[int]) -> None:
    """Note some more ids, in their order."""
    first = before = ids[0]
    for id_ in [*ids[1:], None]:
        if id_ is not None and id_ == before + 1:
            before = id_
            continue
        if found and first == found[-1][1] + 1:
            found[-1] = (found[-1][0], before)
        else:
            found.append((first, before))
        if id_ is not None:
            first = before = id_


def _index(spans: Iterable[Range], id_: int) -> int | None:
    """The place of an event among the leaves of a checkpoint."""
    before = 0
    for first, last in spans:
        if first <= id_ <= last:
            return before + id_ - first
        before += last - first + 1
    return None


def _signed(told: Sequence[dict[str, Any]], seals: Seals | None) -> Iterator[tuple[str, str]]:
    """Signatures, and each link to the one before."""
    previous = _FIRST.hex()
    for expected, one in enumerate(told, start=1):
        where = f"checkpoint {one['number']}"
        if one["number"] != expected:
            yield f"checkpoint {expected}", "is missing"
            return
        if one["previous"] != previous:
            yield where, "does not follow the one before it: that one was changed, or put in its place"
        previous = checkpoint_hash(one)
        if seals is None:
            continue
        if one["key"] not in seals:
            yield where, f"was signed by seal key {one['key']!r}, which BRIDGE_SEAL_KEYS does not hold: put it back"
            continue
        try:
            check_checkpoint(one, seals.keys)
        except Bad as error:
            yield where, str(error)


def _made_anew(db: Connection, spans: Sequence[tuple[int, int, int]]) -> tuple[dict[int, tuple[int, bytes]], int]:
    """How many events of each checkpoint there are, and their root; and how many events are in none.

    A tree is let go as soon as it is whole: only of what was committed late several grow at the same time.
    """
    held: dict[int, int] = {}
    for first, last, mine in spans:
        held[mine] = held.get(mine, 0) + last - first + 1
    trees: dict[int, Tree] = {}
    roots: dict[int, tuple[int, bytes]] = {}
    place = uncovered = 0
    for ids, digests in _read(db, events.c.id > 0):
        at = 0
        while at < len(ids):
            while place < len(spans) and ids[at] > spans[place][1]:
                place += 1
            if place == len(spans) or ids[at] < spans[place][0]:
                uncovered, at = uncovered + 1, at + 1
                continue
            _, last, mine = spans[place]
            end = at + 1
            while end < len(ids) and ids[end] <= last:
                end += 1
            tree = trees.setdefault(mine, Tree())
            tree.add(digests[at:end])
            if tree.count == held[mine]:
                roots[mine] = (tree.count, tree.root())
                del trees[mine]
            at = end
    return roots | {mine: (tree.count, tree.root()) for mine, tree in trees.items()}, uncovered
