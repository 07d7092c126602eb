"""An address that a reader changes herself: asked at the new mailbox first, carried out when that has confirmed (R13).

Nobody learns from it who is known here: the mail to the new address is promised whoever has it, and only whoever reads
it there is told more. Where two records meet, the stricter counts (R14).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, delete

from bridge.decide import (
    LISTED,
    MAILABLE,
    SAID_NO,
    blocks,
    declared_child,
    has_guardian,
    proven_child,
    settled,
    standing,
)
from bridge.store.answering import HELD, WRONG
from bridge.store.door import Batch
from bridge.store.moving import Mover
from bridge.store.rows import Opened
from bridge.store.sql import Hand, Sql
from bridge.tables import moment, moves
from bridge.vault import new_id, seal, unseal
from bridge.vocabulary import (
    EVERY_PURPOSE,
    Block,
    ConsentEvent,
    EventType,
    Limits,
    MailKind,
    Method,
    micros,
    normal_email,
)

_WAITING = Sql("SELECT request, asked, sealed FROM moves WHERE subject = ?")
_ASK = Sql(
    "INSERT INTO moves (subject, request, asked, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (subject) "
    "DO UPDATE SET request = excluded.request, asked = excluded.asked, sealed = excluded.sealed"
)
_TAKE = Sql("DELETE FROM moves WHERE subject = ? AND request = ?")

_NOT_ERASED = Sql("UPDATE stop_list SET reason = 'withdrawn' WHERE reason = 'erased' AND hash IN ({})")


class Moved(StrEnum):
    """What a press on the button behind the mail to a new address came to."""

    MOVED = "moved"  # her consents went along
    ASKED = "asked"  # the new mailbox is asked for each of them
    JOINED = "joined"  # somebody is here with that address: the two are one now, and the stricter counts
    VOID = "void"  # another address was asked for since, or hers has changed
    HELD = HELD  # nothing moved: it may not have been a person, and waits for the digits of the mail
    WRONG = WRONG  # nor now: those were not the digits


def ask(batch: Batch, opened: Opened, email: str, language: str) -> None:
    """Promise the mail to the new address. What was asked before is void."""
    request = new_id()
    sealed = seal(opened.key, email.encode(), _about(opened, request))
    _ASK.run(batch.db, (opened.number, request, micros(batch.now), sealed))
    batch.mail(opened, MailKind.MOVE.value, (), language=language, request=request, to=email)


def new_address(db: Hand | Connection, opened: Opened, request: str) -> str | None:
    """Where that request moves her to; None where it is void."""
    for known, _asked, sealed in _WAITING.rows(db, (opened.number,)):
        if known == request:
            return unseal(opened.key, sealed, _about(opened, request)).decode()
    return None


def waiting_move(db: Connection, opened: Opened) -> tuple[str, datetime] | None:
    """The new address that has not confirmed yet, and when she asked."""
    for request, asked, sealed in _WAITING.rows(db, (opened.number,)):
        return unseal(opened.key, sealed, _about(opened, request)).decode(), moment(asked)
    return None


def forget(db: Connection, before: datetime) -> None:
    """What was never confirmed."""
    db.execute(delete(moves).where(moves.c.asked <= before))


def carry_out(
    batch: Batch,
    mover: Mover,
    opened: Opened,
    there: Opened | None,
    *,
    email: str,
    event: ConsentEvent,
    anew: bool,
) -> Moved:
    """Move her, whom the caller has locked with whoever is `there`. `anew`: the new mailbox is asked for each consent.

    `event` is the move as her own confirmed act.
    """
    history, old = batch.history[opened.number], opened.person.email
    taken = _TAKE.run(batch.db, (opened.number, event.evidence.request))
    if not taken or normal_email(email) == normal_email(old):  # pressed twice at once, or a platform moved her there
        return Moved.VOID
    if there is not None:
        return _join(batch, opened, there, event)
    dead = Block.BOUNCED in blocks(history, batch.limits)  # that was the old mailbox: the new one answers for itself
    ask_anew = anew or dead
    told = [known for known in batch.rows.stops(batch.db, [email])[email] if _is_new(known, history)]
    if ask_anew:
        event = msgspec.structs.replace(event, method=Method.FORM)  # until the new mailbox answers, nothing goes there
    mover.move(batch, opened, event, email, None, ask=ask_anew)
    moved = batch.people[opened.number]
    if any(stop.type is EventType.ERASED for stop in told):
        _take_over(batch, moved)
    _stop(batch, moved, [(stop.type, stop.purpose) for stop in told], event)
    if not dead:
        batch.mail(moved, MailKind.MOVED.value, (), language=moved.person.language, to=old)
    return Moved.ASKED if ask_anew and _is_on(batch.history[opened.number]) else Moved.MOVED


def _take_over(batch: Batch, moved: Opened) -> None:
    """Whoever had this address was erased. She reads its mail now, so it is nobody's erased one any more; the no of
    before stays one, to everything, until she says yes anew."""
    hashes = [entry.value for entry in batch.vault.stop_hashes(moved.person.email)]
    _NOT_ERASED.run(batch.db, hashes, len(hashes))
    known = batch.history[moved.number]
    batch.history[moved.number] = [e for e in known if (e.type, e.method) != (EventType.ERASED, Method.STOP_LIST)]


def _join(batch: Batch, opened: Opened, there: Opened, event: ConsentEvent) -> Moved:
    """Two records are one person's. What either said no to is stopped, no yes goes over, and the old one ends."""
    history = batch.history[opened.number]
    stands = {purpose: standing(history, purpose).status for purpose in _purposes(history)}
    stops = [
        (by.type if by and by.type in LISTED else EventType.WITHDRAWN, purpose)
        for purpose, status in stands.items()
        if status in SAID_NO and (by := standing(history, purpose).by)
    ]
    _stop(batch, there, stops, event)
    for kind in sorted(_stays(history, batch.limits) - _stays(batch.history[there.number], batch.limits)):
        batch.add(there, _as(event, there, kind, EVERY_PURPOSE))
    batch.add(opened, _as(event, opened, EventType.WITHDRAWN, EVERY_PURPOSE))
    return Moved.JOINED


def _stays(history: Sequence[ConsentEvent], limits: Limits) -> set[EventType]:
    """What stays with her wherever she goes. A child stays one, by her own word or her guardian's: an unconfirmed form
    is anybody's. What her guardian agreed to was for another address.
    """
    held = {EventType.RESTRICTED} if Block.RESTRICTED in blocks(history, limits) else set()
    mine = settled(history)
    is_child = declared_child(mine) and (proven_child(mine) or has_guardian(mine))
    return held | ({EventType.CHILD_DECLARED} if is_child else set())


def _stop(batch: Batch, opened: Opened, stops: Collection[tuple[EventType, str]], event: ConsentEvent) -> None:
    """What was said no to at one of both addresses is stopped from now on, whatever was said yes to before (R14)."""
    for kind, purpose in sorted(set(stops)):
        told = EventType.WITHDRAWN if kind is EventType.ERASED else kind
        batch.add(opened, _as(event, opened, told, purpose))


def _as(event: ConsentEvent, opened: Opened, kind: EventType, purpose: str) -> ConsentEvent:
    changes = {"type": kind, "subject": opened.person.id, "purpose": purpose, "key": new_id()}
    return msgspec.structs.replace(event, **changes)


def _is_new(stop: ConsentEvent, history: Sequence[ConsentEvent]) -> bool:
    """Whether a stop of the new address is not one of her own, from when she had it before."""
    return not any((e.type, e.purpose, e.time) == (stop.type, stop.purpose, stop.time) for e in history)


def _is_on(history: Sequence[ConsentEvent]) -> bool:
    return any(standing(history, purpose).status in MAILABLE for purpose in _purposes(history))


def _purposes(history: Sequence[ConsentEvent]) -> list[str]:
    return sorted({event.purpose for event in history} - {EVERY_PURPOSE})


def _about(opened: Opened, request: str) -> str:
    return f"{opened.person.id}/move/{request}"
