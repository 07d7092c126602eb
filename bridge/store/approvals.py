"""Acts of one operator that another must approve before they are carried out (decision 36, ORG-02)."""

import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, update

from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.tables import approvals
from bridge.vault import new_typed_id


class Approval(NamedTuple):
    """One act that waits, or waited."""

    id: str
    act: str
    hash: bytes  # of what is to be done
    about: str  # what the act needs, as JSON
    asked: datetime
    asked_by: str
    approved_by: str | None
    done: datetime | None


class ApprovalBook:
    """Who asked for what, and who approved it. Names of operators only, nothing of readers."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def ask(self, act: str, hash_: bytes, about: str, by: str) -> Approval:
        """Note an act that waits; the one that is noted already where the same is asked for again."""
        columns = approvals.c
        mine = select(approvals).where(columns.act == act, columns.hash == hash_, columns.done.is_(None))
        with self._database.writing() as db:
            row = db.execute(mine).first()
            if row is None:
                told = {"id": new_typed_id(), "act": act, "hash": hash_, "about": about}
                db.execute(insert(approvals).values(**told, asked=self._clock(), asked_by=by))
                row = db.execute(mine).one()
        return _approval(row)

    def approve(self, id_: str, by: str) -> Approval:
        """Approve an act. Raises `BadInput` where there is none, where it is done, or where its asker approves it."""
        with self._database.writing() as db:
            row = db.execute(select(approvals).where(approvals.c.id == id_).with_for_update()).first()
            if row is None:
                raise BadInput("no act of that id waits here; the command that asked for it printed the id")
            found = _approval(row)
            if found.done is not None:
                raise BadInput("that act is done already")
            if same_person(found.asked_by, by):
                raise BadInput(f"{by} asked for it: another person must approve it (set BRIDGE_OPERATOR to her name)")
            approved = update(approvals).where(approvals.c.id == id_, approvals.c.approved.is_(None))
            db.execute(approved.values(approved=self._clock(), approved_by=by))
        return found

    def waiting(self) -> list[Approval]:
        """What nobody has carried out yet, the oldest first."""
        query = select(approvals).where(approvals.c.done.is_(None)).order_by(approvals.c.asked)
        with self._database.reading() as db:
            return [_approval(row) for row in db.execute(query)]

    def finish(self, id_: str) -> None:
        """It is done."""
        with self._database.writing() as db:
            db.execute(update(approvals).where(approvals.c.id == id_).values(done=self._clock()))


def same_person(one: str, other: str) -> bool:
    """Whether two names of operators may be one person's: only letters and digits count, without case or accents."""
    return _letters(one) == _letters(other)


def _letters(name: str) -> str:
    told = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(char for char in told if char.isalnum())


def _approval(row: object) -> Approval:
    return Approval(*(getattr(row, name) for name in Approval._fields))
