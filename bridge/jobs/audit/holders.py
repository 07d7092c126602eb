"""Who is held by which platform, read once: so that nobody is asked for there one by one."""

import sqlite3
from collections.abc import Callable, Sequence

from bridge.bootstrap import Bridge
from bridge.jobs.line import on_a_line

_AT_ONCE = 500


class Holders:
    """Which platforms hold an address, by keyed hash, in a file without a name: memory stays flat."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge, self._names = bridge, sorted(bridge.adapters)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE held (who BLOB, place INTEGER, PRIMARY KEY (who, place)) WITHOUT ROWID")

    def read(self, progress: Callable[[int, int], None]) -> None:
        """Read everybody every platform holds. Raises `AdapterError`."""
        count = 0
        for place, name in enumerate(self._names):
            for seen in on_a_line(self._bridge, name, iter(self._bridge.adapters[name].everybody())):
                hashes = self._bridge.vault.newest_lookups(seen.emails)
                self._db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", [(who, place) for who in hashes])
                count += len(hashes)
                progress(count, 0)

    def of(self, emails: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The platforms that hold each of these addresses, in order."""
        hashes = dict(zip(emails, self._bridge.vault.newest_lookups(emails), strict=True))
        found: dict[bytes, list[str]] = {}
        every = list(set(hashes.values()))
        for first in range(0, len(every), _AT_ONCE):
            part = every[first : first + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            query = f"SELECT who, place FROM held WHERE who IN ({marks}) ORDER BY who, place"  # noqa: S608 - marks only
            for who, place in self._db.execute(query, part):
                found.setdefault(who, []).append(self._names[place])
        return {email: tuple(found.get(who, ())) for email, who in hashes.items()}

    def close(self) -> None:
        """Forget all of it."""
        self._db.close()
