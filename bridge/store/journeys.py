"""Readers whose new yes waits at an ESP: they once left or were deleted there, and only they can go on."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, func, select

from bridge.store.sql import Hand, Sql
from bridge.tables import gone_there, pushes
from bridge.vault import Vault
from bridge.vocabulary import FORM_THERE, JOURNEYS, STOPPED_THERE, normal_email

#: As a list for SQL: words of ours.
WAITS = ", ".join(f"'{reason}'" for reason in JOURNEYS)

_MINE = Sql(f"SELECT adapter, reason FROM pushes WHERE subject = ? AND reason IN ({WAITS}) ORDER BY adapter")
_REMEMBER = Sql("INSERT INTO gone_there (hash, adapter) VALUES (?, ?) ON CONFLICT DO NOTHING")
_FORGET = Sql("DELETE FROM gone_there WHERE hash = ?")
#: Told again, whoever is telling at this moment: her state there is another one now.
_AGAIN = Sql(
    "UPDATE pushes SET due = ?, told = NULL, attempts = 0, leased = NULL, lease = NULL "
    f"WHERE subject = ? AND adapter = ? AND reason IN ({WAITS})"
)


def waits(db: Hand | Connection, subject: int) -> dict[str, str]:
    """At which ESPs one person's yes waits, each with its reason."""
    return dict(_MINE.rows(db, (subject,)))


def counted(db: Connection, adapter: str) -> dict[str, int]:
    """How many people wait at one ESP, by reason."""
    waiting = select(pushes.c.reason, func.count().label("people")).group_by(pushes.c.reason)
    rows = db.execute(waiting.where(pushes.c.adapter == adapter, pushes.c.reason.in_(JOURNEYS)))
    return {row.reason: row.people for row in rows}


def still(before: str | None, reason: str) -> str:
    """The reason to keep. A stop that an ESP keeps of whoever waited is no news: its form is still the way back."""
    return FORM_THERE if reason == STOPPED_THERE and before in JOURNEYS else reason


def remember(db: Hand | Connection, vault: Vault, adapter: str, emails: Iterable[str]) -> None:
    """Note that an ESP deleted these addresses for good: as keyed hashes, which outlive erasure."""
    _REMEMBER.many(db, [(_hash(vault, adapter, email), adapter) for email in sorted(set(emails))])


def gone(db: Connection, vault: Vault, adapter: str, emails: Iterable[str]) -> frozenset[str]:
    """Which of these addresses the ESP deleted for good; nothing is worked out where it deleted nobody."""
    if db.execute(select(gone_there.c.hash).where(gone_there.c.adapter == adapter).limit(1)).first() is None:
        return frozenset()
    hashes = {_hash(vault, adapter, email): email for email in emails}
    found = db.scalars(select(gone_there.c.hash).where(gone_there.c.hash.in_(hashes)))
    return frozenset(hashes[bytes(value)] for value in found)


def rejoined(db: Hand, vault: Vault, who: Sequence[tuple[int, str, str]], now: int) -> None:
    """These people (number, ESP, address) are on there again by their own act: whoever waited is told now."""
    _AGAIN.many(db, [(now, number, adapter) for number, adapter, _ in sorted(who)])
    _FORGET.many(db, [(_hash(vault, adapter, email),) for _, adapter, email in who])


def _hash(vault: Vault, adapter: str, email: str) -> bytes:
    return vault.bucket(f"gone at {adapter}", normal_email(email))
