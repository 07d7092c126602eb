"""Work that leaves the house: claimed with a lease, done without a lock, and finished or put off."""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, case, delete, func, literal, or_, select, update

from bridge.decide import paused_until
from bridge.store.engine import Database
from bridge.store.rows import Opened, Rows, with_stops
from bridge.store.values import Mail, Push
from bridge.tables import AwareDateTime, outbox, pushes
from bridge.vault import new_id, unseal
from bridge.vocabulary import ConsentEvent, Outcome, OutcomeKind

#: Longer than any call to an ESP or mail server may take: who holds a lease is alone.
LEASE = timedelta(seconds=150)

#: With the waits below: more than the three days a request lives.
_MAIL_ATTEMPTS = 84
_LONGEST_WAIT = timedelta(hours=1)
_LONGEST_STOP_WAIT = timedelta(minutes=5)


class _Payload(msgspec.Struct, frozen=True):
    purposes: tuple[str, ...]
    language: str
    request: str = ""
    channel: str = ""


class WorkQueue:
    """Claims, finishes and puts off promised work. Several processes at once lose and double nothing."""

    def __init__(self, database: Database, rows: Rows, clock: Callable[[], datetime]) -> None:
        self.database, self.rows, self.clock = database, rows, clock

    def claim_mails(self, most: int = 20) -> list[Mail]:
        """Mails that are due, leased to the caller."""
        now, lease = self.clock(), new_id()
        free = or_(outbox.c.leased.is_(None), outbox.c.leased <= now)
        due = select(outbox.c.id).where(outbox.c.due <= now, free).order_by(outbox.c.due).limit(most)
        with self.database.writing() as db:
            ids = list(db.scalars(due.with_for_update(skip_locked=True)))
            if not ids:
                return []
            claimed = update(outbox).where(outbox.c.id.in_(ids)).values(leased=now + LEASE, lease=lease)
            rows = sorted(db.execute(claimed.returning(*outbox.c)), key=lambda row: row.due)
            people = self._people(db, {row.subject for row in rows})
            told = self._told(db, people.values())
            return [_mail(row, people[row.subject], told[row.subject]) for row in rows if row.subject in people]

    def hand_over(self, mail: Mail) -> bool:
        """Note that a mail is about to leave; False when somebody else holds it now and it must not."""
        with self.database.writing() as db:
            mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
            return bool(db.execute(update(outbox).where(mine).values(handed=self.clock())).rowcount)

    def finish_mail(self, mail: Mail) -> None:
        """The mail has left, or will never: forget it."""
        with self.database.writing() as db:
            db.execute(delete(outbox).where(outbox.c.id == mail.id, outbox.c.lease == mail.lease))

    def put_off_mail(self, mail: Mail, reason: str, wait: float | None = None) -> bool:
        """Try again later; False when that was the last try and the mail is given up."""
        if mail.attempts + 1 >= _MAIL_ATTEMPTS:
            self.finish_mail(mail)
            return False
        due = self.clock() + _back_off(mail.attempts, _LONGEST_WAIT, wait)
        mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
        values = {"due": due, "attempts": mail.attempts + 1, "reason": reason[:64], "handed": None}
        with self.database.writing() as db:
            db.execute(update(outbox).where(mine).values(leased=None, lease=None, **values))
        return True

    def claim_pushes(self, adapter: str, most: int) -> list[Push]:
        """People this ESP must be told about, stops first, leased to the caller."""
        now, lease = self.clock(), new_id()
        free = or_(pushes.c.leased.is_(None), pushes.c.leased <= now)
        due = select(pushes.c.subject).where(pushes.c.adapter == adapter, pushes.c.due <= now, free)
        due = due.order_by(pushes.c.stop.desc(), pushes.c.due).limit(most)
        with self.database.writing() as db:
            numbers = list(db.scalars(due.with_for_update(skip_locked=True)))
            if not numbers:
                return []
            mine = and_(pushes.c.adapter == adapter, pushes.c.subject.in_(numbers))
            claimed = update(pushes).where(mine).values(leased=now + LEASE, lease=lease)
            rows = sorted(db.execute(claimed.returning(*pushes.c)), key=lambda row: (not row.stop, row.due))
            people = self._people(db, {row.subject for row in rows})
            told = self._told(db, people.values())
            return [
                Push(
                    person=people[row.subject].person,
                    adapter=adapter,
                    claimed=now,
                    lease=lease,
                    number=len(told[row.subject][0]),
                    wanted=row.wanted,
                    put=row.put,
                    stop=row.stop,
                    attempts=row.attempts,
                    job=row.job,
                    history=tuple(with_stops(*told[row.subject])),
                )
                for row in rows
                if row.subject in people
            ]

    def finish_pushes(self, results: Iterable[tuple[Push, Outcome]]) -> None:
        """Note what became of each, in one transaction. A push whose lease was lost is made due again."""
        now = self.clock()
        with self.database.writing() as db:
            for push, outcome in sorted(results, key=lambda result: result[0].person.number):  # one lock order
                mine = and_(pushes.c.subject == push.person.number, pushes.c.adapter == push.adapter)
                values = _after(push, outcome, now)
                held = update(pushes).where(mine, pushes.c.lease == push.lease)
                if not db.execute(held.values(leased=None, lease=None, **values)).rowcount:
                    # Whoever took over may have been overtaken by our late call: tell the ESP once more. The
                    # lease is taken from them too, so that their own finish leaves it due.
                    db.execute(update(pushes).where(mine).values(stop=True, due=now, leased=None, lease=None))

    def next_due(self) -> datetime | None:
        """When the next work is due, leased or not."""
        with self.database.reading() as db:
            moments = [db.scalar(select(func.min(outbox.c.due))), db.scalar(select(func.min(pushes.c.due)))]
        return min((moment for moment in moments if moment), default=None)

    def _people(self, db: Connection, numbers: Collection[int]) -> dict[int, Opened]:
        return self.rows.people(db, numbers)

    def _told(
        self, db: Connection, people: Iterable[Opened]
    ) -> dict[int, tuple[Sequence[ConsentEvent], Sequence[ConsentEvent]]]:
        persons = [opened.person for opened in people]
        told = self.rows.histories(db, persons)
        stops = self.rows.stops(db, [person.email for person in persons])
        return {person.number: (told[person.number], stops[person.email]) for person in persons}


def _mail(row: Any, opened: Opened, told: tuple[Sequence[ConsentEvent], Sequence[ConsentEvent]]) -> Mail:
    opened_payload = unseal(opened.key, row.payload, f"{opened.person.id}/{row.id}")
    payload = msgspec.json.decode(opened_payload, type=_Payload)
    return Mail(
        id=row.id,
        lease=row.lease,
        kind=row.work.removeprefix("mail:"),
        person=opened.person,
        history=tuple(with_stops(*told)),
        purposes=payload.purposes,
        language=payload.language,
        made=row.made,
        attempts=row.attempts,
        handed=row.handed is not None,
        request=payload.request,
        channel=payload.channel,
    )


def _after(push: Push, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The row after one outcome. Stops are never given up (decision 23)."""
    newer = pushes.c.wanted > push.number
    if outcome.kind is OutcomeKind.DONE:
        return {
            "put": push.number,
            "stop": and_(pushes.c.stop, newer),
            "due": _case(newer, now, _end_of_pause(push)),
            "attempts": 0,
            "job": None,
            "reason": None,
        }
    if outcome.kind is OutcomeKind.PENDING:
        wait = _back_off(push.attempts, timedelta(seconds=30), outcome.wait)
        return {"job": outcome.job, "due": now + wait, "attempts": min(push.attempts + 1, 1000)}
    if outcome.kind is OutcomeKind.REFUSED and not push.stop:
        return {"put": push.number, "due": _case(newer, now, None), "job": None, "reason": outcome.reason[:64]}
    urgent = push.stop and outcome.kind is not OutcomeKind.REFUSED
    longest = _LONGEST_STOP_WAIT if urgent else _LONGEST_WAIT
    known = {"put": push.number} if outcome.told else {}  # her yes was taken: a retry lifts nothing any more
    return {
        **known,
        "due": _case(newer, now, now + _back_off(push.attempts, longest, outcome.wait)),
        "attempts": case((newer, 0), else_=min(push.attempts + 1, 1000)),
        "job": None,
        "reason": outcome.reason[:64],
    }


def _case(condition: Any, then: datetime | None, otherwise: datetime | None) -> Any:
    return case((condition, literal(then, AwareDateTime())), else_=literal(otherwise, AwareDateTime()))


def _end_of_pause(push: Push) -> datetime | None:
    """When this ESP must be told again because a pause ends; one that ended during the call too."""
    ends = (paused_until(push.history, purpose) for purpose in {event.purpose for event in push.history})
    return min((end for end in ends if end and end > push.claimed), default=None)


def _back_off(attempts: int, longest: timedelta, wait: float | None) -> timedelta:
    """What the other side asked for, else twice as long each time, with jitter, up to a limit."""
    if wait is not None:
        return min(timedelta(seconds=max(0.0, wait)) + timedelta(seconds=random.random()), _LONGEST_WAIT)  # noqa: S311  (jitter, no secret)
    seconds = min(2.0 ** min(attempts, 20), longest.total_seconds())
    return timedelta(seconds=seconds * (0.5 + random.random() / 2))  # noqa: S311  (jitter, no secret)
