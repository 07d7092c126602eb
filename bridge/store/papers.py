"""Papers that are kept as they were: published privacy statements, and the registers as somebody last saw them.

Nothing of readers. A published statement is never changed: the database itself refuses it (TRN-03).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, insert, select

from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.tables import register_looks, statements

#: What the register of third parties says, flat: where -> what.
Content = dict[str, str]


class Published(NamedTuple):
    """One version of the statement in one language, without its bytes."""

    version: int
    language: str
    published: datetime
    published_by: str
    sha256: str  # of its bytes
    content: dict[str, Any]
    changes: list[dict[str, str]]


class Look(NamedTuple):
    """When somebody last looked at the registers, who, and what they said."""

    time: datetime
    by: str
    content: Content


class Papers:
    """What was published and seen."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def newest(self) -> int:
        """The number of the newest version; 0 before the first."""
        with self._database.reading() as db:
            return int(db.scalar(select(func.max(statements.c.version))) or 0)

    def versions(self, version: int | None = None) -> list[Published]:
        """All versions in all their languages, the oldest first; or those of one version."""
        wanted = select(*(column for column in statements.c if column.name != "body"))
        if version is not None:
            wanted = wanted.where(statements.c.version == version)
        with self._database.reading() as db:
            rows = db.execute(wanted.order_by(statements.c.version, statements.c.language)).all()
        return [_published(row) for row in rows]

    def bytes_of(self, version: int, languages: Sequence[str]) -> tuple[str, bytes] | None:
        """The very bytes of a version in the first of these languages that it has, else in any, with the language."""
        wanted = select(statements.c.language).where(statements.c.version == version).order_by(statements.c.language)
        with self._database.reading() as db:
            there = list(db.scalars(wanted))
            language = next((one for one in languages if one in there), there[0] if there else None)
            if language is None:
                return None
            body = select(statements.c.body)
            mine = statements.c.version == version, statements.c.language == language
            return language, bytes(db.scalar(body.where(*mine)) or b"")

    def publish(
        self,
        version: int,
        by: str,
        published: datetime,
        texts: Mapping[str, tuple[bytes, Mapping[str, Any], Sequence[Mapping[str, str]]]],
    ) -> list[str]:
        """Keep a version: for each language its bytes, its items and what changed. Gives the hash of each.

        Raises `BadInput` where somebody else published that version meanwhile.
        """
        rows = [
            {
                "version": version,
                "language": language,
                "published": published,
                "published_by": by,
                "sha256": hashlib.sha256(body).hexdigest(),
                "body": body,
                "content": json.dumps(content, ensure_ascii=False),
                "changes": json.dumps(changes, ensure_ascii=False),
            }
            for language, (body, content, changes) in texts.items()
        ]
        with self._database.writing() as db:
            if self._database.dialect == "postgresql":
                db.exec_driver_sql("LOCK TABLE statements IN SHARE ROW EXCLUSIVE MODE")
            if (db.scalar(select(func.max(statements.c.version))) or 0) + 1 != version:
                raise BadInput(f"version {version} was published by somebody else meanwhile; look at it, then go on")
            db.execute(insert(statements), rows)
        return [str(row["sha256"]) for row in rows]

    def spoilt(self) -> list[Published]:
        """Versions whose bytes are no longer those that were published."""
        found = []
        with self._database.reading() as db:
            for row in db.execute(select(statements)):
                if hashlib.sha256(row.body).hexdigest() != row.sha256:
                    found.append(_published(row))
        return found

    def last_look(self) -> Look | None:
        """When somebody last said that she had seen the registers."""
        with self._database.reading() as db:
            row = db.execute(select(register_looks).order_by(register_looks.c.number.desc()).limit(1)).first()
        return Look(row.time, row.looked_by, json.loads(row.content)) if row else None

    def looked(self, by: str, content: Content) -> None:
        """Somebody saw the registers as they are."""
        told = {"time": self._clock(), "looked_by": by, "content": json.dumps(content, ensure_ascii=False)}
        with self._database.writing() as db:
            db.execute(insert(register_looks).values(told))


def _published(row: Row[Any]) -> Published:
    return Published(
        row.version,
        row.language,
        row.published,
        row.published_by,
        row.sha256,
        json.loads(row.content),
        json.loads(row.changes),
    )
