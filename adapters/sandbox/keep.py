"""What the sandbox keeps on disk when it is asked to: an ESP whose power is cut forgets nothing it answered for.

Everything that changed during one call is written in one transaction before the answer goes out. A call that was
killed before that never happened; one that was killed after it has happened and was not answered.
"""

import io
import json
import pickle
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

_TABLES = (
    "CREATE TABLE IF NOT EXISTS kept (place TEXT, key TEXT, content BLOB, PRIMARY KEY (place, key))",
    "CREATE TABLE IF NOT EXISTS letters (id INTEGER PRIMARY KEY, recipient TEXT, message_id TEXT)",
)
#: An entry that is written again keeps its place in the order.
_PUT = "INSERT INTO kept VALUES (?, ?, ?) ON CONFLICT (place, key) DO UPDATE SET content = excluded.content"
#: Containers an owner may have.
_Container = dict[Any, Any] | set[Any] | list[Any]


class Kept(dict[Any, Any]):
    """A dictionary that knows which entries were taken out or put in since they were last written.

    Going through all of it marks nothing: whoever changes an entry on such a walk says so with `touch`.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.touched: set[Any] = set(self)

    def touch(self, key: Any) -> None:
        """This entry may have changed."""
        self.touched.add(key)

    def __getitem__(self, key: Any) -> Any:
        self.touched.add(key)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.touched.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self.touched.add(key)
        super().__delitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The entry, which may be changed by whoever asked for it."""
        self.touched.add(key)
        return super().get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        """Take the entry out."""
        self.touched.add(key)
        return super().pop(key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The entry, put in if it was not there."""
        self.touched.add(key)
        return super().setdefault(key, default)

    def clear(self) -> None:
        """Take everything out."""
        self.touched.update(self)
        super().clear()


class Owner(Protocol):
    """Somebody whose memory is kept. It calls `Keeper.write` while it holds its own lock."""

    @property
    def name(self) -> str:
        """Its word in the file."""

    def memory(self) -> Mapping[str, _Container]:
        """The containers to keep, by name; always the ones in use now."""

    def parts(self) -> Mapping[str, object]:
        """What stays where it is and is only named in what is kept."""


class Keeper:
    """The file. Without a path it keeps nothing and costs nothing."""

    def __init__(self, path: Path | None = None) -> None:
        self.on = path is not None
        self._lock = threading.Lock()
        self._written: dict[str, dict[str, bytes]] = {}
        self._seen: dict[str, int] = {}
        self._parts: dict[int, str] = {}
        self._named: dict[str, object] = {}
        self._db: sqlite3.Connection | None = None
        if path is not None:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            for table in _TABLES:
                self._db.execute(table)

    def restore(self, owners: Iterable[Owner]) -> None:
        """Give every owner back what was kept of it; a new file keeps the seeds."""
        if self._db is None:
            return
        every = list(owners)
        for owner in every:
            for name, part in owner.parts().items():
                self._named[name] = part
                self._parts[id(part)] = name
        found: dict[str, dict[str, bytes]] = {}
        for place, key, content in self._db.execute("SELECT place, key, content FROM kept ORDER BY rowid"):
            found.setdefault(place, {})[key] = content
        for owner in every:
            if found:
                self._give_back(owner, found)
            self.write(owner)

    def write(self, *owners: Owner, letters: Iterable[tuple[int, str, str]] = ()) -> None:
        """Write what changed, all of it or nothing."""
        if self._db is None:
            return
        with self._lock:
            changes = [change for owner in owners for change in self._changes(owner)]
            fresh = list(letters)
            if not changes and not fresh:
                return
            self._db.execute("BEGIN IMMEDIATE")
            for place, key, content in changes:
                self._change(place, key, content)
            self._db.executemany("INSERT INTO letters VALUES (?, ?, ?)", fresh)
            self._db.execute("COMMIT")

    def letters(self) -> list[tuple[int, str, str]]:
        """Every mail that ever came: number, recipient, Message-ID."""
        if self._db is None:
            return []
        with self._lock:
            return list(self._db.execute("SELECT id, recipient, message_id FROM letters ORDER BY id"))

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()

    def _change(self, place: str, key: str, content: bytes | None) -> None:
        assert self._db is not None  # noqa: S101  (only `write` comes here)
        if content is None:
            self._written[place].pop(key, None)
            self._db.execute("DELETE FROM kept WHERE place = ? AND key = ?", (place, key))
        else:
            self._written[place][key] = content
            self._db.execute(_PUT, (place, key, content))

    def _changes(self, owner: Owner) -> Iterator[tuple[str, str, bytes | None]]:
        for name, container in owner.memory().items():
            place = f"{owner.name}.{name}"
            written = self._written.setdefault(place, {})
            entries = _entries(container)
            keys: Iterable[Any] = entries
            gone: Iterable[str] = ()
            if isinstance(container, Kept) and self._seen.get(place) == id(container):
                keys = [key for key in container.touched if key in entries]
                gone = [json.dumps(key) for key in container.touched if key not in entries]
            else:
                gone = written.keys() - {json.dumps(key) for key in entries}
            self._seen[place] = id(container)
            if isinstance(container, Kept):
                container.touched.clear()
            for key in keys:
                content = self._dumps(dict.get(entries, key))
                if written.get(json.dumps(key)) != content:
                    yield place, json.dumps(key), content
            for text in gone:
                if text in written:
                    yield place, text, None

    def _give_back(self, owner: Owner, found: Mapping[str, Mapping[str, bytes]]) -> None:
        for name, container in owner.memory().items():
            rows = found.get(f"{owner.name}.{name}", {})
            self._written[f"{owner.name}.{name}"] = dict(rows)
            entries = {json.loads(key): self._loads(content) for key, content in rows.items()}
            container.clear()
            if isinstance(container, list):
                container.extend(entries[place] for place in sorted(entries))
            else:
                container.update(entries)

    def _dumps(self, content: object) -> bytes:
        file = io.BytesIO()
        pickler = pickle.Pickler(file, protocol=5)
        pickler.persistent_id = lambda one: self._parts.get(id(one))  # type: ignore[method-assign]
        pickler.dump(content)
        return file.getvalue()

    def _loads(self, content: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(content))  # noqa: S301  (our own file)
        unpickler.persistent_load = self._named.__getitem__  # type: ignore[method-assign]
        return unpickler.load()


def _entries(container: _Container) -> dict[Any, Any]:
    if isinstance(container, dict):
        return container
    if isinstance(container, set):
        return dict.fromkeys(container)
    return dict(enumerate(container))
