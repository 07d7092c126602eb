"""Requests of people by letter or phone: what is asked, by when it must be answered, what became of it (RGT-09).

A no needs no answer of ours first: whoever asks to be mailed no more, or to be erased, is stopped in the transaction in
which her request is written down (WDR-13). What names or describes her is sealed under a key of the case's own, which
is destroyed when she is erased.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from bridge.decide import blocks
from bridge.store.case_files import STOPPING, Case, Proof, Told, about_case, as_case, is_anothers, open_case
from bridge.store.door import Batch, Stop
from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.store.rows import BEFORE, HERE, LOCKED, Opened, Rows, listed
from bridge.store.sql import Hand, Sql
from bridge.store.values import Person
from bridge.tables import cases, former, moment
from bridge.vault import new_id, new_typed_id, seal
from bridge.vocabulary import (
    EVERY_PURPOSE,
    OPERATOR,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    Limits,
    MailKind,
    Method,
    RequestKind,
    micros,
)

#: She is asked again from her mailbox at most so often.
_ASK_AGAIN = timedelta(days=1)

#: Within so many days of its end a request is due soon (RGT-07).
_SOON = timedelta(days=3)

_WRITE = Sql(
    "INSERT INTO cases (id, kind, received, due, opened, opened_by, kid, lookup, wrapped, sealed, acted, verified, "
    "how) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OPEN = Sql("SELECT id, kid, wrapped, asked FROM cases WHERE id = ? AND closed IS NULL [FOR UPDATE]")
_CLOSE = Sql("UPDATE cases SET closed = ?, closed_by = ?, refused = ?, acted = COALESCE(acted, ?) WHERE id = ?")
_DARKEN = Sql("UPDATE cases SET kid = NULL, lookup = NULL, wrapped = NULL, sealed = NULL WHERE id = ?")
_BY_ID = Sql("SELECT number FROM subjects WHERE id = ?")
_ASKED = Sql("UPDATE cases SET asked = ? WHERE id = ?")
_SEAL = Sql("UPDATE cases SET sealed = ? WHERE id = ?")


#: What a request is carried out by: her new events, and her changed profile.
Act = Callable[[Person, Sequence[ConsentEvent]], tuple[Sequence[ConsentEvent], Person | None]]


class CaseBook:
    """The book of requests. `write` is the store's one door."""

    def __init__(
        self,
        database: Database,
        rows: Rows,
        write: Callable[[Callable[[Batch], Any]], Any],
        limits: Callable[[datetime], Limits],
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._rows, self._write, self._limits, self._clock = database, rows, write, limits, clock

    # -- looking ------------------------------------------------------------------------------------------------

    def all(self, *, closed: bool = True) -> list[Case]:
        """Every request, what is due first; without those that are closed where they are not wanted."""
        query = select(cases).order_by(cases.c.closed.is_not(None), cases.c.due, cases.c.opened)
        with self._database.reading() as db:
            return [as_case(row) for row in db.execute(query if closed else query.where(cases.c.closed.is_(None)))]

    def find(self, id_: str) -> Case:
        """One request. Raises `BadInput` where there is none."""
        with self._database.reading() as db:
            row = db.execute(select(cases).where(cases.c.id == id_)).first()
        if row is None:
            raise BadInput("there is no request of that id: see consent-bridge rights list")
        return as_case(row)

    def told(self, case: Case) -> Told | None:
        """What a case says of her; None when she was erased. Raises `Sealed`."""
        with self._database.reading() as db:
            row = db.execute(select(cases).where(cases.c.id == case.id)).first()
        return None if row is None or row.sealed is None else open_case(self._rows.vault, row)

    def of(self, email: str) -> list[tuple[Case, Told]]:
        """Every request of whoever has that address, also of those she had before: what she may see (RGT-01)."""
        hashes = [entry.value for entry in self._rows.vault.lookups(email)]
        query = select(cases).where(cases.c.sealed.is_not(None)).order_by(cases.c.received, cases.c.opened)
        with self._database.reading() as db:
            numbers = self._numbers(db, email)
            left = list(db.scalars(select(former.c.lookup).where(former.c.subject.in_(numbers))))
            rows = db.execute(query.where(cases.c.lookup.in_([*hashes, *left]))).all()
            found = [(as_case(row), open_case(self._rows.vault, row)) for row in rows]
            return [(case, told) for case, told in found if not is_anothers(db, self._rows.vault, told, numbers)]

    def person(self, told: Told) -> Person | None:
        """Who asks, if she is here: who was here then; of an address that was nobody's, whoever has or had it."""
        with self._database.looking() as db:
            opened = self._rows.readable(db, self._meant(db, told))
        return next((one.person for one in opened.values()), None)

    def is_here(self, told: Told) -> bool:
        """Whether who asks is here; she need not be readable."""
        with self._database.looking() as db:
            return bool(self._meant(db, told))

    def overdue(self, now: datetime) -> dict[str, int]:
        """How many open requests should have been answered before today, by kind."""
        return self._count(cases.c.due < self._day(now).isoformat())

    def due_soon(self, now: datetime) -> dict[str, int]:
        """How many open requests must be answered within three days, today included, by kind."""
        today = self._day(now)
        return self._count(cases.c.due.between(today.isoformat(), (today + _SOON).isoformat()))

    def _count(self, where: Any) -> dict[str, int]:
        query = select(cases.c.kind, func.count()).where(cases.c.closed.is_(None), where)
        with self._database.reading() as db:
            rows = db.execute(query.group_by(cases.c.kind).order_by(cases.c.kind)).all()
        return {row[0]: row[1] for row in rows}

    def _day(self, now: datetime) -> date:
        return now.astimezone(self._limits(now).zone).date()

    # -- writing ------------------------------------------------------------------------------------------------

    def open(
        self, told: Told, kind: RequestKind, *, received: date, said: datetime, due: date, by: str, own_mailbox: bool
    ) -> Case:
        """Write down a request, and in the same transaction stop what it asks to be stopped, as of when she `said` so.

        Of an address that nobody has here the stop list remembers the no.
        """
        id_ = new_typed_id()

        def carry_out(batch: Batch) -> None:
            now, vault = batch.now, batch.vault
            opened = self._load(batch, told)
            kept = msgspec.structs.replace(told, subject=opened.person.id) if opened else told
            stops = STOPPING.get(kind)
            if stops:
                purpose = told.purpose if stops is EventType.WITHDRAWN else EVERY_PURPOSE
                self._stop(batch, opened, told.email, ConsentEvent(
                    type=stops, subject="", time=min(said, now), received=now, source=OPERATOR, method=Method.STAFF,
                    key=new_id(), purpose=purpose, evidence=Evidence(document=id_),
                ))  # fmt: skip
            lookup = vault.lookups(told.email)[0]
            kid, wrapped = vault.new_person(id_)
            sealed = seal(vault.person(id_, kid, wrapped), msgspec.json.encode(kept), about_case(id_, kind, received))
            told_at = micros(now)
            how = Proof.OWN_MAILBOX.value if own_mailbox else None
            about = (id_, kind.value, received.isoformat(), due.isoformat(), told_at, by, kid, lookup.value)
            proof = (told_at if own_mailbox else None, how)
            _WRITE.run(batch.db, (*about, wrapped, sealed, told_at if stops else None, *proof))

        self._write(carry_out)
        return self.find(id_)

    def _stop(self, batch: Batch, opened: Opened | None, email: str, event: ConsentEvent) -> None:
        if opened is not None:
            batch.add(opened, msgspec.structs.replace(event, subject=opened.person.id))
        if opened is None or opened.person.email != email:  # also for the address she wrote of
            batch.remember(Stop(batch.vault.stop_hashes(email)[0], event.purpose, event.type, event.time))

    def ask_mailbox(self, case: Case, told: Told, language: str) -> None:
        """Promise her the mail that asks whether the request is hers. Raises `BadInput` where it cannot go."""

        def carry_out(batch: Batch) -> None:
            opened = self._load(batch, told)
            if opened is None:
                raise BadInput("nobody of that address is here, so no mail goes there")
            _, _, asked = self._hold(batch, case)
            if asked is not None and batch.now - asked < _ASK_AGAIN:
                raise BadInput("she was asked less than a day ago: let her answer")
            batch.mail(opened, MailKind.IDENTITY.value, (), language=language, request=case.id)
            _ASKED.run(batch.db, (micros(batch.now), case.id))

        self._write(carry_out)

    def note_asked(self, case: Case) -> None:
        """She was asked by letter, or at the mailbox that she wrote from, to ask from her own."""
        self._change(case, asked=self._clock())

    def verify(self, case: Case, how: Proof) -> None:
        """Note how we know that it is she, or that it is not. What is known already stays; but a no of hers may be a
        slip, which she may take back there. Raises `BadInput` where somebody else would.
        """
        known = {"verified": self._clock()} if how is not Proof.DENIED else {}
        with self._database.writing() as db:
            mine = (cases.c.id == case.id, cases.c.closed.is_(None), cases.c.verified.is_(None))
            said = select(cases.c.how).where(*mine).with_for_update()
            if how is Proof.OWN_MAILBOX and db.scalar(said) == Proof.DENIED:
                raise BadInput("she said, from her mailbox, that she did not ask this: only she can say otherwise")
            db.execute(update(cases).where(*mine).values(how=how.value, **known))

    def extend(self, case: Case, told: Told, due: date) -> None:
        """It takes longer, and she was told why (GDPR 12(3)). Once."""

        def carry_out(batch: Batch) -> None:
            kid, wrapped, _ = self._hold(batch, case)
            extend = Sql("UPDATE cases SET due = ?, extended = ? WHERE id = ? AND extended IS NULL")
            if not extend.run(batch.db, (due.isoformat(), micros(batch.now), case.id)):
                raise BadInput("it was extended already: the law gives two months more, once")
            self._seal(batch, case, told, kid, wrapped)

        self._write(carry_out)

    def close(
        self,
        case: Case,
        told: Told | None,
        by: str,
        *,
        act: Act | None = None,
        acted: bool = False,
        refused: bool = False,
    ) -> None:
        """Answered, or refused; what it asks is carried out by `act` in the same transaction, or `acted` was before.

        Raises `BadInput` where it is closed already, or nobody is here on whom to act.
        """

        def carry_out(batch: Batch) -> None:
            if act is not None and told is not None:
                opened = self._load(batch, told)
                if opened is None:
                    raise BadInput("nobody of that address is here: there is nothing to carry out")
                events, person = act(opened.person, batch.history[opened.number])
                for event in events:
                    batch.add(opened, msgspec.structs.replace(event, evidence=_with(event.evidence, case)))
                if person is not None:
                    batch.correct(opened, person)
            kid, wrapped, _ = self._hold(batch, case)
            now = micros(batch.now)
            _CLOSE.run(batch.db, (now, by, refused, now if act or acted else None, case.id))
            if case.kind is RequestKind.ERASE and not refused:  # also of one who was forgotten before her letter came
                _DARKEN.run(batch.db, (case.id,))
            if told is not None:
                self._seal(batch, case, told, kid, wrapped)

        self._write(carry_out)
        if case.kind is RequestKind.ERASE:
            self._database.forget_log()

    def count_late(self, before: datetime) -> int:
        """How many files `forget` would delete."""
        with self._database.reading() as db:
            return len(self._late(db, before))

    def forget(self, before: datetime) -> int:
        """Delete what was closed before then (section 8), but nothing of whoever had her data restricted (RGT-05)."""
        with self._database.reading() as db:
            gone = self._late(db, before)
        for first in range(0, len(gone), 500):
            self._database.give_way()
            with self._database.writing() as db:
                db.execute(delete(cases).where(cases.c.id.in_(gone[first : first + 500])))
        if gone:
            self._database.forget_log()
        return len(gone)

    # -- inside -------------------------------------------------------------------------------------------------

    def _numbers(self, db: Hand | Connection, email: str) -> list[int]:
        lookups = [entry.value for entry in self._rows.vault.lookups(email)]
        here = [number for _, number in listed(HERE, db, lookups)]
        return here or [number for _, number in listed(BEFORE, db, lookups)]

    def _meant(self, db: Hand | Connection, told: Told) -> list[int]:
        """Who asks: never whoever came to have her address after her."""
        if told.subject:
            return [number for (number,) in _BY_ID.rows(Hand.of(db), (told.subject,))]
        return self._numbers(db, told.email)

    def _load(self, batch: Batch, told: Told) -> Opened | None:
        """Lock who is meant. One who cannot be read is nobody: the stop list keeps her no."""
        lookups = [entry.value for entry in batch.vault.lookups(told.email)]
        LOCKED.rows(batch.db, lookups, len(lookups))
        batch.load_numbers(list(self._rows.readable(batch.db, self._meant(batch.db, told))))
        return next(iter(batch.people.values()), None)

    def _hold(self, batch: Batch, case: Case) -> tuple[str, bytes, datetime | None]:
        """Lock a case that is open still; always after the person, as erasing does."""
        found = _OPEN.rows(batch.db, (case.id,))
        if not found:
            raise BadInput("that request is closed already: see consent-bridge rights list --all")
        _, kid, wrapped, asked = found[0]
        return kid, wrapped, None if asked is None else moment(asked)

    def _seal(self, batch: Batch, case: Case, told: Told, kid: str | None, wrapped: bytes | None) -> None:
        if kid is None or wrapped is None:  # she was erased meanwhile
            return
        key = batch.vault.person(case.id, kid, bytes(wrapped))
        sealed = seal(key, msgspec.json.encode(told), about_case(case.id, case.kind, case.received))
        _SEAL.run(batch.db, (sealed, case.id))

    def _change(self, case: Case, **values: object) -> None:
        with self._database.writing() as db:
            db.execute(update(cases).where(cases.c.id == case.id, cases.c.closed.is_(None)).values(**values))

    def _late(self, db: Connection, before: datetime) -> list[str]:
        query = select(cases.c.id, cases.c.lookup).where(cases.c.closed < before).order_by(cases.c.closed)
        late = {row.id: row.lookup and bytes(row.lookup) for row in db.execute(query)}
        kept = self._restricted(db, [lookup for lookup in late.values() if lookup])
        return [id_ for id_, lookup in late.items() if not lookup or lookup not in kept]

    def _restricted(self, db: Connection, lookups: Collection[bytes]) -> set[bytes]:
        """Which of these are, or were, addresses of people who had their data restricted, or who cannot be read."""
        whose = [(bytes(lookup), n) for sql in (HERE, BEFORE) for lookup, n in listed(sql, db, list(lookups))]
        numbers = {number for _, number in whose}
        people = [opened.person for opened in self._rows.readable(db, sorted(numbers)).values()]
        limits, told = self._limits(self._clock()), self._rows.histories(db, people)
        free = {number for number, history in told.items() if Block.RESTRICTED not in blocks(history, limits)}
        return {lookup for lookup, number in whose if number not in free}


def _with(evidence: Evidence, case: Case) -> Evidence:
    return msgspec.structs.replace(evidence, document=case.id)
