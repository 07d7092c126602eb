"""Destroying a person's data, and the journal that makes a restored backup do the same (SUP-04, SUP-06, RGT-04)."""

import hmac
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from bridge.store.forgetting import note_answers
from bridge.store.funnel import forget
from bridge.store.sql import Sql
from bridge.store.upserts import insert_into
from bridge.tables import (
    asked,
    breach_told,
    corrections,
    erasures,
    events,
    former,
    looks,
    moves,
    open_questions,
    outbox,
    person_keys,
    pushes,
    records,
    stop_clocks,
    subjects,
    unproven,
)

#: Addresses these people had before and that are nobody's now, as the stop list knows them.
LEFT = Sql(
    "SELECT f.subject, f.kid, f.stop FROM former f WHERE f.stop IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.lookup = f.lookup) AND f.subject IN ({})"
)


def erase(db: Connection, numbers: Sequence[int], now: datetime) -> None:
    """Destroy everything of these people, locked by the caller, in her transaction.

    Their key goes, so that backups are dark too; of each event the digest stays, so that the chains still verify.
    What the ESPs must be told is promised before (`erasing.promise`).
    """
    ids = list(db.scalars(select(subjects.c.id).where(subjects.c.number.in_(numbers)).order_by(subjects.c.number)))
    if not ids:
        return
    db.execute(delete(outbox).where(outbox.c.subject.in_(numbers)))  # before `asked`, as at hand-over: no deadlock
    forget(db, asked.c.subject.in_(numbers))  # before her events: what she answered is read once more
    note_answers(db, numbers)
    hers = (pushes, looks, moves, open_questions, corrections, stop_clocks, records, unproven, former, breach_told)
    for table in (*hers, person_keys):
        db.execute(delete(table).where(table.c.subject.in_(numbers)))
    blank = {column.name: None for column in events.c if column.name not in ("id", "digest")}
    db.execute(update(events).where(events.c.subject.in_(numbers)).values(**blank))
    db.execute(delete(subjects).where(subjects.c.number.in_(numbers)))
    journal = [{"hash": trace(subject), "time": now} for subject in ids]
    known = insert_into(erasures, db.dialect.name).values(journal).on_conflict_do_nothing()
    db.execute(known)  # known already where a backup is restored


def trace(subject: str) -> bytes:
    """What the journal keeps of an erased person: a hash under her own random id, which is gone with her."""
    return hmac.digest(subject.encode(), b"consent-bridge erased", "sha256")[:16]
