"""Who is held by which platform, and how, read once: so that nobody is asked for there one by one."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import STOPS
from bridge.jobs.line import on_a_line
from bridge.store.removing import Said
from bridge.store.rows import listed
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import EVERY_PURPOSE, EventType, Seen

_HELD = Sql("SELECT who, kept FROM held WHERE who IN ({})")


class There(NamedTuple):
    """How one platform holds an address, or that it only keeps its stop."""

    name: str
    on: frozenset[str]  # purposes it would mail her for
    stops: Sequence[Said]
    held: bool  # else she stands on its list of stops only


class _Kept(msgspec.Struct, array_like=True):
    """One thing a platform says of one address."""

    place: int
    on: list[str]
    stop: EventType | None
    purposes: list[str]
    time: int
    held: bool


class Holders:
    """What every platform holds, by keyed hash, in a file without a name: memory stays flat."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge, self._names = bridge, sorted(bridge.adapters)
        self._now = bridge.clock()
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE held (who BLOB, kept BLOB)")

    def read(self, progress: Callable[[int, int], None]) -> None:
        """Read everybody every platform holds. Raises `AdapterError`."""
        count = 0
        for place, name in enumerate(self._names):
            for seen in on_a_line(self._bridge, name, iter(self._bridge.adapters[name].everybody())):
                self._db.executemany("INSERT INTO held VALUES (?, ?)", self._rows(place, seen))
                count += len(seen.emails)
                progress(count, 0)
        self._db.execute("CREATE INDEX held_who ON held (who)")

    def of(self, emails: Sequence[str]) -> dict[str, list[There]]:
        """What the platforms hold of each of these addresses; nothing of one that none of them has."""
        hashes = dict(zip(emails, self._bridge.vault.newest_lookups(emails), strict=True))
        found: dict[bytes, list[There]] = {}
        for who, kept in listed(_HELD, self._hand(), list(set(hashes.values()))):
            found.setdefault(who, []).append(self._there(msgspec.msgpack.decode(kept, type=_Kept)))
        return {email: found.get(who, []) for email, who in hashes.items()}

    def close(self) -> None:
        """Forget all of it."""
        self._db.close()

    def _hand(self) -> Hand:
        return Hand(self._db.cursor(), "sqlite")

    def _rows(self, place: int, seen: Seen) -> Iterator[tuple[bytes, bytes]]:
        hashes = self._bridge.vault.newest_lookups(seen.emails)
        times = seen.times or [0] * len(hashes)
        for who, time in zip(hashes, times, strict=True):
            kept = _Kept(place, sorted(seen.on), seen.stop, sorted(seen.purposes), time, not seen.only_stop)
            yield who, msgspec.msgpack.encode(kept)

    def _there(self, kept: _Kept) -> There:
        about = kept.purposes if kept.stop is EventType.UNSUBSCRIBED else [EVERY_PURPOSE]
        time = datetime.fromtimestamp(kept.time, UTC) if kept.time else self._now
        kind = kept.stop
        stops = [Said(kind, purpose, min(time, self._now)) for purpose in about] if kind and kind in STOPS else []
        return There(self._names[kept.place], frozenset(kept.on), stops, kept.held)
