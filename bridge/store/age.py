"""Guardians' consents whose time is over: the clock ends what rests on them, and each child is asked herself (R15)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bridge.decide import ended_by_age, guardian_ends, settled
from bridge.store.door import Batch
from bridge.store.sql import Hand, Sql
from bridge.tables import EVENT_TYPES, STATUSES
from bridge.vault import new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    GUARDIAN,
    SYSTEM,
    ConsentEvent,
    EventType,
    Evidence,
    MailKind,
    Method,
    Status,
    micros,
)

_MOST = 100

_TYPES = {word: number for number, word in enumerate(EVENT_TYPES, start=1)}
_CHILD, _YES, _GROWN = (
    _TYPES[each] for each in (EventType.CHILD_DECLARED, EventType.GUARDIAN_CONFIRMED, EventType.OF_AGE)
)
_GIVEN = STATUSES.index(Status.GIVEN) + 1
#: Few lists have any; the question below takes a database longer to plan than to answer.
_ANY = Sql(f"SELECT 1 FROM events WHERE type IN (11, 12, 14, 16, 23, 24) AND type = {_CHILD} LIMIT 1")
#: Children, by the small index of few people; of each the last yes of a guardian, which is over, while hers stands.
_ENDED = Sql(
    "SELECT DISTINCT s.id FROM events c JOIN events g ON g.subject = c.subject JOIN subjects s ON s.number = c.subject "
    f"WHERE c.type IN (11, 12, 14, 16, 23, 24) AND c.type = {_CHILD} AND g.type = {_YES} "
    "AND coalesce(g.until, g.time + ?) < ? "
    f"AND NOT EXISTS (SELECT 1 FROM events o WHERE o.subject = g.subject AND o.type = {_GROWN} AND o.time > c.time) "
    f"AND NOT EXISTS (SELECT 1 FROM events l WHERE l.subject = g.subject AND l.type = {_YES} "
    "AND l.purpose = g.purpose AND l.time > g.time) "
    f"AND NOT EXISTS (SELECT 1 FROM events d WHERE d.subject = g.subject AND d.type = {_CHILD} AND d.time >= g.time) "
    "AND NOT EXISTS (SELECT 1 FROM events n WHERE n.subject = g.subject AND n.purpose = g.purpose AND n.time > g.time "
    f"AND n.source = (SELECT number FROM names WHERE text = '{GUARDIAN}')) "
    f"AND EXISTS (SELECT 1 FROM records r WHERE r.subject = g.subject AND r.status = {_GIVEN} "
    f"AND (r.purpose = g.purpose OR g.purpose = (SELECT number FROM names WHERE text = ''))) LIMIT {_MOST}"
)


def ended_guardians(db: Hand, now: datetime, lasts: timedelta) -> list[str]:
    """Some children whose guardian's consent is over by now while their own yes stands, by their ids."""
    if not _ANY.rows(db):
        return []
    span = lasts // timedelta(microseconds=1)
    return [subject for (subject,) in _ENDED.rows(db, (span, micros(now - timedelta(seconds=1))))]


def ask_of_age(batch: Batch, children: Sequence[str], now: datetime) -> int:
    """End it in the record of each, and promise her the one mail that asks herself. How many there were."""
    batch.load_known(set(children))
    count = 0
    for number in sorted(batch.people):
        opened, mine = batch.people[number], settled(batch.history[number])
        purposes = sorted({event.purpose for event in mine} - {EVERY_PURPOSE})
        over = {p: yes for p in purposes if (yes := ended_by_age(mine, p, now, batch.limits))}
        request = new_id()
        for purpose, yes in over.items():
            expired = ConsentEvent(
                type=EventType.EXPIRED,
                subject=opened.person.id,
                time=guardian_ends(yes, batch.limits),
                received=now,
                source=SYSTEM,
                method=Method.CLOCK,
                key=new_id(),
                purpose=purpose,
                evidence=Evidence(request=request, detail="guardian"),
            )
            batch.add(opened, expired)
        if over:
            language = opened.person.language
            batch.mail(opened, MailKind.OF_AGE.value, over, language=language, request=request, child=True)
            count += 1
    return count
