"""The consent store: what pages, webhooks and jobs ask of it. Every write goes through the one door."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Select, delete, func, select, union

from bridge.decide import Decision, Spans, asks_anew, gate, has_guardian, is_live, settled, stands_alone
from bridge.notices import Wording
from bridge.store import affected, answering, changing
from bridge.store.affected import Affected, Kept, Scope
from bridge.store.age import ask_of_age, ended_guardians
from bridge.store.answering import HELD, WRONG, Asked, Press, Question
from bridge.store.approvals import ApprovalBook
from bridge.store.bought import brought, note, noted
from bridge.store.breaches import BreachBook
from bridge.store.campaigns import Campaign, Campaigns
from bridge.store.case_files import asking, darken
from bridge.store.cases import CaseBook
from bridge.store.departments import Departments
from bridge.store.door import Batch, Stop, remember_stops
from bridge.store.engine import Database
from bridge.store.erase import LEFT, erase
from bridge.store.erasing import NOBODY, promise
from bridge.store.errors import BadInput
from bridge.store.forgetting import QUARANTINE, quarantined, unconfirmed, unguarded
from bridge.store.hearing import Hearing, hashed, report_keys
from bridge.store.intake import ALONE, Intake, Overtaken
from bridge.store.keeping import Keeper
from bridge.store.lists import ListBook, Mark, go_on
from bridge.store.moving import REPORTS, Mover
from bridge.store.papers import Papers
from bridge.store.past import Past
from bridge.store.questions import Questions
from bridge.store.reads import Reads
from bridge.store.rehearsal import Rehearsal
from bridge.store.removing import Removal, Removed, remember_nos, remove
from bridge.store.rows import LOCKED, Opened, listed, with_stops
from bridge.store.sign_up import Quotas, SignUps, declared, requested, single
from bridge.store.sql import Hand, Sql
from bridge.store.staff import StaffLog
from bridge.store.values import Erased, Listed, News, Person, SignUp
from bridge.store.words import Words
from bridge.store.work import WorkQueue
from bridge.tables import WAVES, asked, breach_told, events, former, keys_used, outbox, pushes, subjects
from bridge.vault import Hash, Sealed, Vault, new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    PREFERENCES,
    ConsentEvent,
    Entry,
    EventType,
    Limits,
    MailKind,
    Method,
    Report,
    Road,
    micros,
    normal_email,
)

T = TypeVar("T")

log = logging.getLogger("bridge.store")

_IDS = Sql("SELECT id, lookup FROM subjects WHERE lookup IN ({})")
_LOCKED_FORMER = Sql(
    "SELECT s.number FROM former f JOIN subjects s ON s.number = f.subject "
    "WHERE f.lookup IN ({}) ORDER BY s.number [FOR UPDATE OF s]"
)
_NUMBERS = Sql("SELECT number FROM subjects WHERE id IN ({}) ORDER BY number")
_LIST = Sql("INSERT INTO breach_told (breach, subject) VALUES (?, ?) ON CONFLICT DO NOTHING", breach_told)
_WAITING = Sql(f"SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE {WAVES} AND work = ? LIMIT ?) AS w")
_NEXT = Sql("SELECT subject FROM breach_told WHERE state = 0 ORDER BY breach, subject LIMIT ?")
_STILL = Sql("SELECT breach, subject FROM breach_told WHERE state = 0 AND subject IN ({})")
_TELL = Sql("UPDATE breach_told SET state = ? WHERE breach = ? AND subject = ?")
_USE_KEY = Sql("INSERT INTO keys_used (ring, kid, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")

#: No policy gives more time to answer the once-only question; its mail may leave some days later.
_LONGEST_ANSWER = timedelta(days=64)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one act of a reader writes: events, mails and a changed profile."""

    events: Sequence[ConsentEvent] = ()
    mails: Sequence[tuple[MailKind, Sequence[str]]] = ()
    person: Person | None = None
    answer: str = ""


class Store(Reads):
    """The source of truth. `limits` gives the policy's limits as they stand at a moment; `mark` is `Links.mark`.

    `erased` is told the ids of whoever was erased, after that was committed: what lies outside the database goes too.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        adapters: Sequence[str] = (),
        limits: Callable[[datetime], Limits] = lambda _now: Limits(),
        mark: Callable[[str], str],
        words: Mapping[str, Wording] | None = None,
        quotas: Quotas | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        nudge: Callable[[Sequence[str | int]], None] = lambda _rows: None,
        erased: Callable[[Collection[str]], None] = lambda _ids: None,
    ) -> None:
        super().__init__(database, vault, limits=limits, clock=clock)
        self.adapters = tuple(adapters)
        self._nudge, self._erased = nudge, erased
        self.queue = WorkQueue(database, self.rows, clock)
        self.sign_ups = SignUps(vault, mark, quotas or Quotas())
        self.lists = ListBook(database, clock)
        self.approvals = ApprovalBook(database, clock)
        self.breaches = BreachBook(database, clock)
        self.departments = Departments(database, self.rows.names)
        self.papers = Papers(database, clock)
        self.staff = StaffLog(database, clock)
        self.campaigns = Campaigns(database, self.rows, clock)
        self.cases = CaseBook(database, self.rows, self._write, limits, clock)
        self._mark, self._mover = mark, Mover(vault, mark)
        self.past = Past(database, self.rows, limits=limits, mark=mark, clock=clock)
        self._words = Words(words or {})

    def nudge(self, rows: Sequence[str | int] = ()) -> None:
        """Tell whoever sends that there is work, after a commit: these rows of it, or whatever is due."""
        self._nudge(rows)

    # -- writes -------------------------------------------------------------------------------------------------

    def record(self, told: Sequence[ConsentEvent]) -> list[Decision | None]:
        """Write events of known people, in one transaction. None where one said nothing new."""
        if not told:
            return []

        def carry_out(batch: Batch) -> list[Decision | None]:
            self._words.keep(batch, told)
            batch.load({event.subject for event in told})
            people = {opened.person.id: opened for opened in batch.people.values()}
            return [batch.add(people[event.subject], event) for event in told]

        return self._write(carry_out)

    def act(self, subject: str, build: Callable[[Person, list[ConsentEvent]], Plan]) -> Plan:
        """One act of one reader, decided under her lock on her whole story. `build` is pure."""

        def carry_out(batch: Batch) -> Plan:
            batch.load({subject})
            opened = batch.by_id(subject)
            stops = [event for event in batch.history[opened.number] if event.method is Method.STOP_LIST]
            plan = build(opened.person, with_stops(self.rows.story(batch.db, opened), stops))
            self._words.keep(batch, plan.events)
            for event in plan.events:
                batch.add(opened, event)
            if plan.person is not None:
                batch.correct(opened, plan.person)
            for kind, purposes in plan.mails:
                language = (plan.person or opened.person).language
                batch.mail(opened, kind.value, purposes, language=language)
            return plan

        return self._write(carry_out)

    def answer(
        self, subject: str, asked: Asked, press: Press, build: Callable[[Person, list[ConsentEvent]], Plan]
    ) -> Plan:
        """The same for a yes behind a mailed link: by which road it came is kept in its proof, and where it must wait
        for a code, or a wrong one was typed, nothing is written but that; the plan's answer says so.
        """

        def carry_out(batch: Batch) -> Plan:
            answering.take_turns(batch, press)
            batch.load({subject})
            return self._answer(batch, batch.by_id(subject), asked, press, build)

        return self._write(carry_out)

    def answer_at(
        self, press: Press, build: Callable[[str, datetime, str], Callable[[Person, list[ConsentEvent]], Plan]]
    ) -> Plan:
        """The same where only the digits of the mail were typed, in the browser that sent the form. `build` is given
        the person's mark, when she asked, and the request. Too old, unknown, wrong: all of it is `WRONG`.
        """

        def carry_out(batch: Batch) -> Plan:
            answering.take_turns(batch, press)
            answering.check_guesses(batch, press)
            is_open = bool(press.place) and answering.may_guess(batch, press)
            there = answering.asked_at(batch.db, press.place, press.form) if is_open else []
            batch.load_known({subject for subject, _ in there})
            here = {opened.person.id: opened for opened in batch.people.values()}
            guessed = []
            for subject, form in there:
                opened = here.get(subject)
                question = answering.find(batch.db, opened.number, form) if opened else None
                if opened is None or question is None or batch.now > question.asked + batch.limits.pending_ttl:
                    continue
                if press.is_code and answering.is_right(question, subject, form, press.is_code):
                    typed = press._replace(place="")
                    plan = build(opened.person.mark, question.asked, form.request)
                    return self._answer(batch, opened, form, typed, plan)
                guessed.append((opened.number, form))
            answering.count_wrong(batch, press, guessed if press.form else ())
            return Plan(answer=WRONG)

        return self._write(carry_out)

    def _answer(
        self,
        batch: Batch,
        opened: Opened,
        asked: Asked,
        press: Press,
        build: Callable[[Person, list[ConsentEvent]], Plan],
    ) -> Plan:
        stops = [event for event in batch.history[opened.number] if event.method is Method.STOP_LIST]
        plan = build(opened.person, with_stops(self.rows.story(batch.db, opened), stops))
        if not plan.events:
            return plan
        channel = next((event.channel for event in plan.events if event.channel), "")
        question = answering.find(batch.db, opened.number, asked)
        way = answering.way_of(batch, opened.number, asked, question, press)
        if isinstance(way, str):
            if way == HELD and asked.kind is MailKind.CONFIRM and question and question.held is None:
                batch.count_road(channel, HELD)
            return Plan(answer=way)
        events = answering.proven(plan.events, way, question)
        if asked.kind is MailKind.CONFIRM:
            batch.count_road(channel, "doubtful" if way.doubts else way.road.value)
        answering.done(batch, opened.number, asked)
        self._words.keep(batch, events)
        for event in events:
            batch.add(opened, event)
        if plan.person is not None:
            batch.correct(opened, plan.person)
        return msgspec.structs.replace(plan, events=events)

    def question(self, person: Person, asked: Asked) -> Question | None:
        """A question to her as it waits."""
        with self.database.looking() as db:
            return answering.find(db, person.number, asked)

    def stop(self, subject: str, mark: str, event: Callable[[Person], ConsentEvent]) -> Person | None:
        """Write the stop of whom a link means, found and locked in one step; None when nobody is left to mail."""

        def carry_out(batch: Batch) -> Person | None:
            opened = batch.load_by_link(subject, mark)
            if opened is None:
                return None
            batch.add(opened, event(opened.person))
            return opened.person

        return self._write(carry_out)

    def sign_up(self, form: SignUp) -> None:
        """Take one sent form: its requests and the one mail that answers it, the same work for every address (CAP-09).

        A child names a guardian, who gets a mail as well (KID-01). Raises `TooMany` when the client's network asks too
        often; over an address's own limit nothing is written and nobody is told.
        """
        if form.guardian and normal_email(form.guardian) == normal_email(form.email):
            raise BadInput("a child is not its own guardian (KID-01)")
        now = self.clock()
        self._write(lambda batch: self._sign_up(batch, form, now), now)

    def _sign_up(self, batch: Batch, form: SignUp, now: datetime) -> None:
        erased = self.sign_ups.is_erased(batch, form.email)
        kind = "preferences" if form.channel == PREFERENCES else "sign-up"
        if not self.sign_ups.has_room(batch, form, now, erased=erased, kind=kind):
            return
        opened = self.sign_ups.ensure(batch, form.email, form.language, form.fields)
        request = form.request or new_id()
        told = [requested(form, purpose, opened.person.id, request, now) for purpose in sorted(form.evidence)]
        told = [single(event, batch.history[opened.number]) for event in told]
        self._words.keep(batch, told)
        before = settled(batch.history[opened.number])
        if form.guardian and not has_guardian(before) and not stands_alone(before):
            batch.add(opened, declared(form, opened.person.id, request, now))
        for event in told:
            batch.add(opened, event)
        history = batch.history[opened.number]
        open_questions = [e.purpose for e in told if not is_live(history, e.purpose, now, batch.limits)]
        waits = open_questions or not all(e.type is EventType.GIVEN for e in told)
        answer = MailKind.CONFIRM if open_questions else MailKind.SUBSCRIBED
        answering.note_asked(batch, opened.number, Asked(answer, request), form.place)
        if form.guardian:  # also where nobody needs to be asked: the gate says so, and the work is the same (CAP-09)
            batch.mail(
                opened,
                MailKind.GUARDIAN.value,
                form.evidence,
                language=form.language,
                request=request,
                channel=form.channel,
                to=form.guardian,
            )
        if not waits:
            return  # single opt-in: the welcome mail is the answer
        batch.mail(
            opened,
            answer.value,
            open_questions or [e.purpose for e in told],
            language=form.language,
            request=request,
            channel=form.channel,
            child=bool(form.guardian),
        )

    def ask_link(self, email: str, network: str, language: str) -> None:
        """Mail the person behind an address a fresh link; the same answer and work when there is none (CAP-09)."""
        now = self.clock()
        form = SignUp(email=email, channel="", language=language, evidence={}, notices={}, network=network)

        def carry_out(batch: Batch) -> None:
            if not self.sign_ups.has_room(batch, form, now, erased=False, kind="link"):
                return
            ids = self._ids(batch, {email})
            batch.load_known(set(ids.values()))
            if batch.people:
                opened = batch.by_id(ids[email])
                batch.mail(opened, MailKind.LINK.value, (), language=opened.person.language or language)
            else:
                self.sign_ups.count_nobody(batch, now)

        self._write(carry_out, now)

    def ask_move(self, subject: str, email: str, network: str, language: str) -> None:
        """Mail a new address of hers whether it is hers: the same work, whoever has it (CAP-09). Over the address's own
        limit nothing is written and nobody is told. Raises `TooMany` when the client's network asks too often.
        """
        now = self.clock()
        form = SignUp(email=email, channel="", language=language, evidence={}, notices={}, network=network)

        def carry_out(batch: Batch) -> None:
            erased = self.sign_ups.is_erased(batch, email)
            if self.sign_ups.has_room(batch, form, now, erased=erased, kind="move"):
                batch.load({subject})
                changing.ask(batch, batch.by_id(subject), email, language)

        self._write(carry_out, now)

    def new_address(self, person: Person, request: str) -> str | None:
        """Where a request of hers moves her to; None where it is void."""
        with self.database.reading() as db:
            opened = self.rows.people(db, [person.number]).get(person.number)
            return changing.new_address(db, opened, request) if opened else None

    def move(self, person: Person, event: ConsentEvent, press: Press, *, anew: bool) -> changing.Moved:
        """Carry out the change of address that the new mailbox has confirmed, once (R13, R14). By which road is kept in
        its proof; where it must wait for the digits of the mail, nothing is written but that.
        """
        asked = Asked(MailKind.MOVE, event.evidence.request or "")

        def carry_out(batch: Batch) -> changing.Moved:
            answering.take_turns(batch, press)
            seen = self.rows.people(batch.db, [person.number]).get(person.number)
            email = changing.new_address(batch.db, seen, asked.request) if seen else None
            if email is None:
                return changing.Moved.VOID
            ids = set(self._ids(batch, {email}).values())
            batch.load_known({person.id, *ids})
            opened = next((one for one in batch.people.values() if one.person.id == person.id), None)
            if opened is None:
                return changing.Moved.VOID
            others = [one for one in batch.people.values() if one.person.id != person.id]
            there = others[0] if others else None
            question = answering.find(batch.db, opened.number, asked)
            way = answering.way_of(batch, opened.number, asked, question, press)
            if isinstance(way, str):
                return changing.Moved(way)
            answering.done(batch, opened.number, asked)
            (moved,) = answering.proven([event], way, question)
            unsure = way.road is Road.BUTTON and asks_anew(press.hold, coded=question is not None and question.coded)
            return changing.carry_out(batch, self._mover, opened, there, email=email, event=moved, anew=anew or unsure)

        return self._write(carry_out)

    def forget_wishes(self) -> None:
        """What readers wanted to see of platforms, after a day; new addresses that never confirmed, and what was noted
        of questions that nobody can answer any more (GDPR 5(1)(e))."""
        self.queue.looks.forget()
        now = self.clock()
        limits = self.limits(now)
        asked = now - limits.pending_ttl
        ends = dict.fromkeys((MailKind.CONFIRM, MailKind.SUBSCRIBED, MailKind.GUARDIAN, MailKind.MOVE), asked)
        ends |= {MailKind.OF_AGE: now - limits.of_age_answer, MailKind.REPERMISSION: now - _LONGEST_ANSWER}
        with self.database.writing() as db:
            changing.forget(db, asked)
            answering.forget(db, ends)

    def hear(self, adapter: str, reports: Sequence[Report]) -> int:
        """Take what an ESP tells, in one transaction; how many were new. Told twice is heard once."""
        return self.take_in(adapter, self.news(adapter, self.untold(adapter, reports)))

    def untold(self, adapter: str, reports: Sequence[Report]) -> Sequence[Report]:
        """Those that were not heard before, as far as one look tells: ESPs tell whole batches again, and whatever is
        known needs neither a lock nor anybody's row."""
        keys = [report_keys(self.vault, adapter, report) for report in reports]
        with self.database.looking() as db:
            known = {key for (key,) in listed(REPORTS, db, [key for mine in keys for key in mine])}
        return [report for report, mine in zip(reports, keys, strict=True) if known.isdisjoint(mine)]

    def news(self, adapter: str, reports: Sequence[Report]) -> list[News]:
        """Reports without their addresses, so that they may wait on disk while the database is away (decision 21)."""
        if any(report.time.tzinfo is None for report in reports):
            raise BadInput("a report's time must know its zone")
        return [hashed(self.vault, adapter, report) for report in reports]

    def take_in(self, adapter: str, news: Sequence[News]) -> int:
        """Write news in one transaction; how many pieces were new. Told twice is heard once."""
        if not news:
            return 0
        return self._write(lambda batch: Hearing(self.vault, batch, adapter, self._mover).take(news))

    def take_list(self, entries: Sequence[Entry], before: Mark, done: int) -> Mark:
        """Take in some lines of a list in one transaction, and note that `done` of its lines are.

        Raises `BadInput` when another program takes in the same list, or where a line names words nobody can show.
        """
        while True:
            now = self.clock()
            intake = Intake(self.rows, self._mark, entries, before.begun, now)
            intake.prepare(self.database)

            def carry_out(batch: Batch, intake: Intake = intake) -> Mark:
                after = before.after(done, intake.take(batch))
                self._words.keep(batch, entries)  # after the people, as a sign-up does: no deadlock
                go_on(batch.db, before, after)
                return after

            with suppress(Overtaken):
                return self._write(carry_out, now)

    def rehearse(self, begun: datetime) -> Rehearsal:
        """What taking in a list would do."""
        return Rehearsal(self.database, self.rows, begun)

    def overdue_requests(self, now: datetime) -> list[Select[int]]:
        """Whose request is too old: who never confirmed, and children whose guardian never did (CON-06, R9, KID-01)."""
        cutoff = now - self.limits(now).pending_ttl
        return [_not_asking(late) for late in (unconfirmed(cutoff), unguarded(cutoff))]

    def overdue_quarantined(self, channels: Collection[str], now: datetime) -> Select[int]:
        """Whom only these channels brought, too long ago."""
        asked = now - self.limits(now).pending_ttl
        return _not_asking(quarantined(self.numbers(channels), asked, now - QUARANTINE))

    def forget_requests(self) -> int:
        """Delete people who never confirmed, with their address, once their request is too old (CON-06, R9).

        A child counts as confirmed when her guardian has confirmed too (KID-01).
        """
        now = self.clock()
        return sum(self._forget(late, now) for late in self.overdue_requests(now))

    def forget_quarantined(self, channels: Collection[str]) -> int:
        """Delete people whom only somebody else's lists brought, by these channels, and who have no proof (CHN-04)."""
        now = self.clock()
        return self._forget(self.overdue_quarantined(channels, now), now)

    def _forget(self, late: Select[int], now: datetime) -> int:
        """Delete some of these people, and their addresses at ESPs that were told of them."""
        with self.database.reading() as db:  # looked for without a lock, so that no click waits
            found = list(db.scalars(late.limit(500)))
        with self.database.writing() as db:
            still = select(subjects.c.number).where(subjects.c.number.in_(found)).order_by(subjects.c.number)
            free = list(db.scalars(still.with_for_update(skip_locked=True)))  # held: she confirms at this moment
            gone = list(db.scalars(late.where(late.selected_columns[0].in_(free))))
            told_of = select(pushes.c.subject).where(pushes.c.subject.in_(gone)).distinct()
            promise(db, self.vault, self._addresses(db, list(db.scalars(told_of))), now)
            erase(db, gone, now)
        self.database.forget_log()  # for a process, too, that died or ended before it could
        if gone:
            self.nudge()
        return len(gone)

    def keeper(self, now: datetime, spans: Spans) -> Keeper:
        """Who forgets people whose time is over, as of this moment (MIN-06)."""
        limits = self.limits(now)
        return Keeper(self.rows, self.adapters, database=self.database, now=now, limits=limits, spans=spans)

    def count(self, *people: Select[int]) -> int:
        """How many these are, each once."""
        with self.database.reading() as db:
            return db.scalar(select(func.count()).select_from(union(*people).subquery())) or 0

    def ask_once_more(self, campaign: Campaign, size: int, *, confirmed: bool, new: bool) -> int:
        """Come to some contacts of a campaign and promise each who may be asked her one mail, in one transaction (R11).

        How many were come to; 0 where another program has gone on with it.
        """
        return self._write(lambda batch: self.campaigns.ask(batch, campaign, size, confirmed=confirmed, new=new))

    def end_questions(self) -> int:
        """Let go of people who were asked once more and whose time to answer is over, here and at every ESP (AUD-05).

        Nobody is suppressed by it: only what says that she was asked stays. How many were looked at.
        """
        now = self.clock()
        self.rows.names.catch_up()
        with self.database.reading() as db:
            late = _not_asking(select(asked.c.subject).where(asked.c.due <= now, asked.c.subject.is_not(None)))
            found = sorted(set(db.scalars(late.order_by(asked.c.due).limit(100))))
        if not found:
            return 0
        with self.database.writing() as db:
            locked = select(subjects.c.number).where(subjects.c.number.in_(found)).order_by(subjects.c.number)
            free = list(db.scalars(locked.with_for_update(skip_locked=True)))  # held: she answers at this moment
            batch = Batch(Hand.of(db), self.rows, self.adapters, self.limits(now), now)
            mails = select(outbox.c.id).where(outbox.c.subject.in_(free)).order_by(outbox.c.id)
            db.execute(mails.with_for_update()).all()  # before `asked`, as at hand-over: no deadlock
            batch.load_numbers(list(self.rows.readable(db, free)))
            gone = Questions(db, batch, free).end()
            batch.flush()
            people = {number: batch.people[number].person.email for number in gone}
            remember_nos(Hand.of(db), {number: batch.history[number] for number in gone})
            promise(db, self.vault, people, now, self.adapters)
            erase(db, gone, now)
        self.database.forget_log()
        self.nudge()
        return len(free)

    def end_guardians(self) -> int:
        """End what rests on a guardian's consent whose time is over, and ask each child herself, once (R15).

        How many were ended.
        """
        now = self.clock()
        with self.database.looking() as db:
            found = ended_guardians(db, now, self.limits(now).guardian_lasts)
        if not found:
            return 0
        return self._write(lambda batch: ask_of_age(batch, found, now), now)

    def erase_person(
        self, email: str, note: Callable[[Hand, Mapping[str, int | str]], None] = lambda _db, _about: None
    ) -> Erased:
        """Erase whoever is behind an address, here and at every ESP (RGT-04, SUP-04, R12).

        At once, in one transaction: the stop list keeps the keyed hash, everything else of her goes dark, and each ESP
        is promised her erasure there. Whoever had the address before she moved to a newer one is erased under both. An
        ESP may hold an address that is not here, from before; without any ESP nothing is written then. `note` writes in
        the same transaction that it was done, with counts.
        """
        now = self.clock()
        with self.database.writing() as db:
            if db.dialect.name == "postgresql":
                ALONE.rows(db)
            lookups = [entry.value for entry in self.vault.lookups(email)]
            numbers = [number for (number,) in LOCKED.rows(db, lookups, len(lookups))]
            moved = [] if numbers else [number for (number,) in _LOCKED_FORMER.rows(db, lookups, len(lookups))]
            numbers = numbers or moved
            if not numbers and not self.adapters:
                darken(db, self.vault, lookups, [])
                return Erased(known=False, platforms=())
            # The last word also where the clock was set back, as every stop.
            received = func.max(func.coalesce(events.c.received, events.c.time))
            last = db.scalar(select(received).where(events.c.subject.in_(numbers))) or now
            people = dict.fromkeys(numbers, email) | self._addresses(db, numbers)
            people |= {NOBODY: email} if moved or not numbers else {}
            hashes = {self.vault.stop_hashes(address)[0] for address in {email, *people.values()}}
            hashes |= {Hash(kid, stop) for _, kid, stop in LEFT.rows(db, numbers, len(numbers))}
            said = max(now, last)
            remember_stops(Hand.of(db), [Stop(each, EVERY_PURPOSE, EventType.ERASED, said) for each in hashes])
            platforms = promise(db, self.vault, people, now, self.adapters)
            left = list(db.scalars(select(former.c.lookup).where(former.c.subject.in_(numbers))))
            named = [entry.value for one in {email, *people.values()} for entry in self.vault.lookups(one)]
            darken(db, self.vault, [*left, *named], numbers)
            ids = list(db.scalars(select(subjects.c.id).where(subjects.c.number.in_(numbers))))
            erase(db, numbers, now)
            note(Hand.of(db), {"people": len(numbers), "platforms": len(platforms)})
        self._erased(ids)
        self.database.forget_log()
        self.nudge()
        return Erased(known=bool(numbers), moved=bool(moved), platforms=tuple(platforms))

    def erase_there(self, adapter: str, emails: Sequence[str]) -> int:
        """Promise the erasure at one ESP of people who were erased here before and are there again (ESP-04).

        Whoever is here again meanwhile is left alone. How many were promised.
        """
        now, promised = self.clock(), 0
        with self.database.writing() as db:
            for email in emails:
                hashes = [entry.value for entry in self.vault.lookups(email)]
                if not LOCKED.rows(db, hashes, len(hashes)):
                    promise(db, self.vault, {NOBODY: email}, now, (adapter,))
                    promised += 1
        self.nudge()
        return promised

    def remove(self, wanted: Sequence[Removal]) -> list[Removed]:
        """Take contacts without proof, or with a no, out for good, as a reviewed audit says (AUD-02)."""
        now = self.clock()
        with self.database.writing() as db:
            verdicts = remove(db, self.rows, wanted, self.limits(now), now)
        self.database.forget_log()
        self.nudge()
        return verdicts

    def delete_there(self, adapter: str, progress: Callable[[int], None] = lambda _: None) -> int:
        """Promise the deletion of everybody an ESP was told of, at that ESP only. Killed, it goes on when run again.

        They stay here as they are. How many were promised.
        """
        now, promised = self.clock(), 0
        query = select(pushes.c.subject).where(pushes.c.adapter == adapter).order_by(pushes.c.subject).limit(100)
        while True:
            with self.database.reading() as db:
                part = list(db.scalars(query))
            if not part:
                break
            locked = select(subjects.c.number).where(subjects.c.number.in_(part)).order_by(subjects.c.number)
            with self.database.writing() as db:
                db.execute(locked.with_for_update())
                for email in self._addresses(db, part).values():
                    promise(db, self.vault, {NOBODY: email}, now, (adapter,))
                db.execute(delete(pushes).where(pushes.c.adapter == adapter, pushes.c.subject.in_(part)))
            promised += len(part)
            progress(promised)
        self.nudge()
        return promised

    def _addresses(self, db: Connection, numbers: Sequence[int]) -> dict[int, str]:
        """The addresses of these people. One who cannot be read keeps nobody else's erasure waiting."""
        found: dict[int, str] = {}
        for number in numbers:
            try:
                found |= {one: opened.person.email for one, opened in self.rows.people(db, [number]).items()}
            except (Sealed, msgspec.DecodeError):
                log.error("a person who is erased cannot be read: run consent-bridge verify")
        return found

    def affected(self, scope: Scope) -> Affected:
        """Whom and what a breach concerns, in numbers (BRC-01)."""
        return affected.count(self.database, self.rows, scope)

    def each_affected(
        self, scope: Scope, progress: Callable[[int, int], None] = lambda _done, _all: None
    ) -> Iterator[Kept]:
        """Everybody whom a breach concerns, by id, in flat memory."""
        return affected.each(self.database, self.rows, scope, progress)

    def list_for_breach(self, number: int, ids: Sequence[str]) -> Listed:
        """Note who is to be told of a breach, each once ever (GDPR 34); the dispatcher does it, a few at a time."""

        def carry_out(batch: Batch) -> Listed:
            here = [each for (each,) in _NUMBERS.rows(batch.db, ids, len(ids))] if ids else []
            fresh = _LIST.many(batch.db, [(number, each) for each in here])
            return Listed(listed=fresh, before=len(here) - fresh, gone=len(ids) - len(here))

        return self._write(carry_out)

    def tell_of_breaches(self, most: int = 100) -> int:
        """Promise some of those people their mail; how many were come to. None while so many mails wait already: a
        reader's own mail never waits behind them, and looking what is due stays cheap."""
        with self.database.looking() as db:
            found = [each for (each,) in _NEXT.rows(db, (most,))]
            ((waiting,),) = _WAITING.rows(db, (f"mail:{MailKind.BREACH}", most)) if found else ((0,),)
        if not found or waiting >= most:
            return 0

        def carry_out(batch: Batch) -> int:
            batch.load_numbers(list(self.rows.readable(batch.db, found)))
            rows = _STILL.rows(batch.db, found, len(found))  # under their locks: nobody else comes to them now
            for breach, number in rows:
                opened = batch.people.get(number)
                may = opened is not None and _may_be_told(batch, number)
                if may and opened is not None:
                    language = opened.person.language
                    batch.mail(opened, MailKind.BREACH.value, (), language=language, request=str(breach))
                _TELL.run(batch.db, (1 if may else 2, breach, number))
            return len(rows)

        return self._write(carry_out)

    def note_third_parties(self, declared: Collection[str]) -> None:
        """Note these channels where they brought anybody before such notes were kept. Writes only when new."""
        with self.database.looking() as db:
            new = [self.rows.names.number(channel) for channel in set(declared) - noted(db)]
            new = [number for number in new if number and brought(db, number)]
        if new:
            self.database.write(lambda db: note(db, new))

    def use_keys(self, rings: Mapping[str, Sequence[str]]) -> list[str]:
        """Note the newest key of each ring as used; say which used keys are missing (KEY-03). Writes only when new."""
        with self.database.glancing() as db:
            used = {(row.ring, row.kid) for row in db.execute(select(keys_used))}
        have = {(ring, kid) for ring, kids in rings.items() for kid in kids}
        missing = [f"{ring} key {kid!r}" for ring, kid in sorted(used - have)]
        now = micros(self.clock())
        newest = [(ring, kids[0], now) for ring, kids in rings.items() if (ring, kids[0]) not in used]
        if newest and not missing:
            self.database.write(lambda db: _USE_KEY.many(db, newest))
        return missing

    # -- inside -------------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[Batch], T], now: datetime | None = None) -> T:
        """One piece of work in one transaction; then, after its commit, whoever sends is nudged."""
        at = now or self.clock()
        self.rows.names.catch_up()

        def carry_out(db: Hand) -> tuple[T, Batch, bool]:
            batch = Batch(db, self.rows, self.adapters, self.limits(at), at)
            return work(batch), batch, batch.flush()

        result, batch, promised = self.database.write(carry_out)
        self._words.committed(batch)
        if promised:
            self.nudge(batch.promised())
        return result

    def _ids(self, batch: Batch, emails: Collection[str]) -> dict[str, str]:
        """The ids of the people behind these addresses, in one read."""
        by_hash: dict[bytes, list[str]] = {}  # one address may be told in several spellings
        for email in emails:
            for entry in self.vault.lookups(email):
                by_hash.setdefault(entry.value, []).append(email)
        rows = listed(_IDS, batch.db, tuple(by_hash))
        return {email: subject for subject, lookup in rows for email in by_hash[lookup]}


def _not_asking(people: Select[int]) -> Select[int]:
    """Those of them who wait for no answer that takes what is kept of them."""
    return people.where(people.selected_columns[0].not_in(asking()))


def _may_be_told(batch: Batch, number: int) -> bool:
    return gate(MailKind.BREACH, batch.history[number], (), batch.now, batch.limits).may
