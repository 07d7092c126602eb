"""Work that leaves the house: claimed with a lease, done without a lock, and finished or put off."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, delete, func, or_, select, text, update

from bridge.store.answering import note_sent as note_sent_question
from bridge.store.campaigns import free as free_to_ask
from bridge.store.campaigns import note_sent, note_unsent
from bridge.store.engine import Database
from bridge.store.erasing import ErasureBook
from bridge.store.jobs import Connections, JobBook
from bridge.store.looks import LookBook
from bridge.store.pushes import PushQueue
from bridge.store.rows import Opened, Rows, with_stops
from bridge.store.sql import Hand
from bridge.store.values import Mail
from bridge.store.waiting import LEASE, LONGEST_WAIT, NOW, PATIENCE, at, back_off, free
from bridge.tables import WAVES, WISHES, asked, erase_work, looks, outbox, pushes
from bridge.vault import new_id, unseal
from bridge.vocabulary import ConsentEvent, MailKind

__all__ = ["LEASE", "WorkQueue"]

#: With the waits below: more than the three days a request lives.
_MAIL_ATTEMPTS = 84


class _Payload(msgspec.Struct, frozen=True):
    purposes: tuple[str, ...]
    language: str
    request: str = ""
    channel: str = ""
    to: str = ""
    child: bool = False


class WorkQueue(PushQueue):
    """Claims, finishes and puts off promised work: mails here, what ESPs are told in `PushQueue`."""

    def __init__(self, database: Database, rows: Rows, clock: Callable[[], datetime]) -> None:
        super().__init__(database, rows, clock)
        self.jobs, self.connections = JobBook(database, clock), Connections(database, clock)
        self.looks = LookBook(database, rows, clock)
        self.erasures = ErasureBook(database, rows.vault, clock)

    def claim_mails(self, most: int = 20) -> list[Mail]:
        """Mails that are due, leased to the caller."""
        lease = new_id()
        with self.database.writing() as db:
            now = self.clock()  # whoever waited for the database for minutes must not judge leases by the time before
            found = list[Any]()
            for query in _due():
                if len(found) < most:
                    found += db.execute(query, at(now, most=most - len(found))).all()
            # A lease of the time before the clock was set back may still have its holder: it gets one whole lease more,
            # for a mail that was taken too early goes twice.
            early = [row.id for row in found if row.leased is not None and row.leased > now]
            if early:
                db.execute(update(outbox).where(outbox.c.id.in_(early)).values(leased=now + LEASE))
            ids = [row.id for row in found if row.id not in early]
            if not ids:
                return []
            claimed = update(outbox).where(outbox.c.id.in_(ids)).values(leased=now + LEASE, lease=lease)
            rows = sorted(db.execute(claimed.returning(*outbox.c)), key=lambda row: (row.work in _OURS, row.due))
            people = self._people(db, {row.subject for row in rows})
            told = self._told(db, people.values())
            return [_mail(row, people[row.subject], told[row.subject]) for row in rows if row.subject in people]

    def hand_over(self, mail: Mail) -> bool:
        """Note that a mail is about to leave; False when somebody else holds it now and it must not."""
        now = self.clock()
        with self.database.writing() as db:
            mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
            leaves = bool(db.execute(update(outbox).where(mine).values(handed=now)).rowcount)
            if leaves and mail.kind == MailKind.REPERMISSION:
                note_sent(Hand.of(db), mail.id, now)
            return leaves

    def ask(self, mail: Mail, *, coded: bool, template: str) -> bool:
        """Note that a question's mail is about to leave; False when somebody else holds it, or she is gone, and it must
        not. `coded`: it holds a code that can be typed; `template`: which words it says."""
        now = self.clock()
        mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
        with self.database.writing() as db:
            leaves = db.execute(select(outbox.c.id).where(mine).with_for_update()).first() is not None
            if leaves:
                note_sent_question(db, self.rows.vault, mail, now, coded=coded, template=template)
            return leaves

    def finish_mail(self, mail: Mail) -> None:
        """The mail has left, or will never: forget it."""
        with self.database.writing() as db:
            db.execute(delete(outbox).where(outbox.c.id == mail.id, outbox.c.lease == mail.lease))

    def drop_mail(self, mail: Mail) -> None:
        """The mail must not leave: forget it. Whom it would have asked once more was not asked."""
        with self.database.writing() as db:
            mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
            if db.execute(delete(outbox).where(mine)).rowcount and mail.kind == MailKind.REPERMISSION:
                free_to_ask(Hand.of(db), mail.id)

    def put_off_mail(self, mail: Mail, reason: str, wait: float | None = None) -> bool:
        """Try again later; False when that was the last try and the mail is given up."""
        last = mail.attempts + 1 >= _MAIL_ATTEMPTS
        due = self.clock() + back_off(mail.attempts, LONGEST_WAIT, wait)
        mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
        values = {"due": due, "attempts": mail.attempts + 1, "reason": reason[:64], "handed": None}
        change: Any = delete(outbox) if last else update(outbox).values(leased=None, lease=None, **values)
        with self.database.writing() as db:
            if db.execute(change.where(mine)).rowcount and mail.kind == MailKind.REPERMISSION:
                note_unsent(Hand.of(db), mail.id)
                if last:
                    free_to_ask(Hand.of(db), mail.id)
        return not last

    def hold_mail(self, mail: Mail, span: timedelta) -> None:
        """Not now, and that is no failure: look at it again then."""
        mine = and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease)
        with self.database.writing() as db:
            db.execute(update(outbox).where(mine).values(leased=None, lease=None, due=self.clock() + span))

    def give_back(self, mails: Sequence[Mail]) -> None:
        """Claimed, and not begun: whoever comes next may have them at once."""
        mine = [and_(outbox.c.id == mail.id, outbox.c.lease == mail.lease) for mail in mails]
        with self.database.writing() as db:
            db.execute(update(outbox).where(or_(*mine)).values(leased=None, lease=None))

    def note_returned(self, mail: Mail, *, dead: bool) -> None:
        """The once-only question was refused. Where the address lives, she was not asked, and is not let go for it."""
        with self.database.writing() as db:
            note_sent(Hand.of(db), mail.id, self.clock()) if dead else note_unsent(Hand.of(db), mail.id)
            db.execute(update(asked).where(asked.c.mail == mail.id).values(returned=True))

    def waits(self, rows: Sequence[str | int]) -> bool:
        """Whether any of these rows is still to be done: mails by id, news for platforms by the person's number."""
        ids, numbers = [row for row in rows if isinstance(row, str)], [row for row in rows if isinstance(row, int)]
        mail = select(outbox.c.id).where(outbox.c.id.in_(ids)).limit(1)
        news = select(pushes.c.subject).where(pushes.c.subject.in_(numbers), pushes.c.due.is_not(None)).limit(1)
        with self.database.reading() as db:
            asked = [query for query, there in ((mail, ids), (news, numbers)) if there]
            return any(db.execute(query).first() is not None for query in asked)

    def next_due(self, names: Collection[str]) -> datetime | None:
        """When the next work is due here and for these adapters, leased or not: each the first entry of an index."""
        firsts = [select(func.min(outbox.c.due))]
        for name in names:
            here = select(func.min(pushes.c.due)).where(pushes.c.adapter == name, pushes.c.due.is_not(None))
            firsts += [here.where(pushes.c.stop.is_(stop)) for stop in (True, False)]
            firsts.append(select(func.min(erase_work.c.due)).where(erase_work.c.adapter == name))
            firsts.append(select(func.min(looks.c.due)).where(looks.c.adapter == name, looks.c.due.is_not(None)))
        with self.database.reading() as db:
            moments = [db.scalar(first) for first in firsts]
        return min((moment for moment in moments if moment), default=None)


_OURS = (f"mail:{MailKind.REPERMISSION}", f"mail:{MailKind.BREACH}")


@cache
def _due() -> Sequence[Any]:
    """What to ask in turn: readers' own wishes, then waves of ours, each by an index and in the order it is due."""
    # No mail waits so long as `PATIENCE`: one that does was promised before the clock was set back.
    return [
        select(outbox.c.id, outbox.c.leased)
        .where(text(turn), due, free(outbox.c.leased))
        .order_by(outbox.c.due)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        for turn in (WISHES, WAVES)  # to the letter, or no database finds the index
        for due in (outbox.c.due <= NOW, outbox.c.due > PATIENCE)
    ]


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
        to=payload.to,
        child=payload.child,
    )
