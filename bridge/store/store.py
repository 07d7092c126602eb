"""The consent store: what pages, webhooks and jobs ask of it. Every write goes through the one door."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, and_, case, delete, exists, func, insert, or_, select, update

from bridge.decide import STOPS, Decision, concerns, is_live, may_confirm_again, may_mail
from bridge.notices import Wording
from bridge.store.door import LISTED, Batch, keep_key, remember_stops, take_turns, upsert_nothing
from bridge.store.engine import Database
from bridge.store.errors import BadInput, TooMany, UnknownSubject
from bridge.store.rows import (
    PERSON,
    AnyRow,
    Opened,
    histories,
    open_event,
    open_person,
    profile_bytes,
    stops_known,
    with_stops,
)
from bridge.store.values import Person, SignUp, Task
from bridge.store.work import WorkQueue
from bridge.tables import (
    events,
    keys_used,
    outbox,
    person_keys,
    pushes,
    records,
    stop_list,
    subjects,
    throttle,
    wordings,
)
from bridge.vault import Hash, Vault, new_id, seal
from bridge.vocabulary import (
    PREFERENCES,
    READER,
    Answer,
    ConsentEvent,
    EventType,
    Evidence,
    Limits,
    MailKind,
    Method,
    Report,
    Status,
    normal_email,
)

#: What is no ground to keep the address of someone who never confirmed (CON-06).
_NO_BASIS = (
    EventType.REQUESTED.value,
    EventType.SUBSCRIBED.value,
    EventType.BOUNCED.value,
    EventType.DEFERRED.value,
    EventType.CORRECTED.value,
    EventType.PAUSED.value,
    EventType.RESUMED.value,
)


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """How often a sign-up mail may be asked for (CAP-10)."""

    per_address_day: int = 1
    per_address_month: int = 3
    per_network_hour: int = 20
    global_hour: int = 1000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one act of a reader writes: events, mails and a changed profile."""

    events: Sequence[ConsentEvent] = ()
    mails: Sequence[tuple[MailKind, Sequence[str]]] = ()
    person: Person | None = None
    answer: str = ""


class Store:
    """The source of truth. `limits` gives the policy's limits as they stand at a moment; `mark` is `Links.mark`."""

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
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        self.database, self.vault, self.clock = database, vault, clock
        self.adapters = tuple(adapters)
        self.limits, self.quotas = limits, quotas or Quotas()
        self.nudge = nudge
        self.queue = WorkQueue(database, vault, clock)
        self._mark = mark
        self._words = dict(words or {})
        self._kept_words: frozenset[str] = frozenset()

    # -- writes -------------------------------------------------------------------------------------------------

    def record(self, told: Sequence[ConsentEvent]) -> list[Decision | None]:
        """Write events of known people, in one transaction. None where one said nothing new."""
        if not told:
            return []
        with self._batch() as batch:
            self._keep_words(batch, told)
            batch.load({event.subject for event in told})
            people = {opened.person.id: opened for opened in batch.people.values()}
            return [batch.add(people[event.subject], event) for event in told]

    def act(self, subject: str, build: Callable[[Person, list[ConsentEvent]], Plan]) -> Plan:
        """One act of one reader, decided under her lock on her whole story. `build` is pure."""
        with self._batch() as batch:
            batch.load({subject})
            opened = batch.by_id(subject)
            plan = build(opened.person, self._story(batch, opened))
            self._keep_words(batch, plan.events)
            for event in plan.events:
                batch.add(opened, event)
            if plan.person is not None:
                batch.correct(opened, plan.person)
            for kind, purposes in plan.mails:
                language = (plan.person or opened.person).language
                batch.mail(opened, kind.value, purposes, language=language)
            return plan

    def sign_up(self, form: SignUp) -> None:
        """Take one sent form: its requests and the one mail that answers it, the same work for every address (CAP-09).

        Raises `TooMany` when the client's network asks too often; over the address's own limit nothing is written and
        nobody is told.
        """
        now = self.clock()
        with self._batch(now) as batch:
            erased = self._is_erased(batch, form.email)
            kind = "preferences" if form.channel == PREFERENCES else "sign-up"
            if not self._has_room(batch, form, now, erased=erased, kind=kind):
                return
            opened = self._ensure(batch, form.email, form.language, form.fields, now)
            request = new_id()
            told = [_requested(form, purpose, opened.person.id, request, now) for purpose in sorted(form.evidence)]
            told = [_single(event, batch.history[opened.number]) for event in told]
            self._keep_words(batch, told)
            for event in told:
                batch.add(opened, event)
            history = batch.history[opened.number]
            open_questions = [e.purpose for e in told if not is_live(history, e.purpose, now, batch.limits)]
            if not open_questions and all(e.type is EventType.GIVEN for e in told):
                return  # single opt-in: the welcome mail is the answer
            answer = MailKind.CONFIRM if open_questions else MailKind.SUBSCRIBED
            batch.mail(
                opened,
                answer.value,
                open_questions or [e.purpose for e in told],
                language=form.language,
                request=request,
                channel=form.channel,
            )

    def ask_link(self, email: str, network: str, language: str) -> None:
        """Mail the person behind an address a fresh link; the same answer and work when there is none (CAP-09)."""
        now = self.clock()
        with self._batch(now) as batch:
            form = SignUp(email=email, channel="", language=language, evidence={}, notices={}, network=network)
            if not self._has_room(batch, form, now, erased=False, kind="link"):
                return
            opened = self._find(batch, email)
            if opened is not None:
                batch.mail(opened, MailKind.LINK.value, (), language=opened.person.language or language)
            else:  # a row all the same: nobody can tell from the work whether an address is known here
                batch.db.execute(insert(throttle), [{"bucket": self.vault.bucket("nobody", new_id()), "time": now}])

    def hear(self, adapter: str, reports: Sequence[Report]) -> int:
        """Take what an ESP tells, in one transaction; how many were new. Told twice is heard once."""
        if any(report.time.tzinfo is None for report in reports):
            raise BadInput("a report's time must know its zone")
        with self._batch() as batch:
            numbers = self._numbers(batch, {report.email for report in reports})
            self._remember_strangers([r for r in reports if r.email not in numbers], batch)
            batch.load(set(numbers.values()))
            people = {opened.person.id: opened for opened in batch.people.values()}
            known = self._known_reports(batch, adapter, reports)
            new = 0
            for report in sorted(reports, key=lambda r: (r.time, r.key)):
                keys = self.vault.report_keys(f"{adapter}\n{report.key}\n{report.purpose}")
                if report.email not in numbers or known & set(keys):
                    continue
                known.update(keys)
                new += self._take(batch, people[numbers[report.email]], report, adapter=adapter, key=keys[0])
            return new

    def forget_requests(self) -> int:
        """Delete people who never confirmed, with their address, once their request is too old (CON-06, R9)."""
        now = self.clock()
        cutoff = now - self.limits(now).pending_ttl
        requested = and_(records.c.status == Status.REQUESTED.value, records.c.since < cutoff)
        fresh = and_(events.c.type == EventType.REQUESTED.value, events.c.time >= cutoff)
        kept = exists().where(events.c.subject == records.c.subject, events.c.type.not_in(_NO_BASIS) | fresh)
        late = select(records.c.subject).where(requested, ~kept).distinct()
        with self.database.reading() as db:  # looked for without a lock, so that no click waits
            found = list(db.scalars(late.limit(500)))
        with self.database.writing() as db:
            still = select(subjects.c.number).where(subjects.c.number.in_(found)).order_by(subjects.c.number)
            free = list(db.scalars(still.with_for_update(skip_locked=True)))  # held: she confirms at this moment
            gone = list(db.scalars(late.where(records.c.subject.in_(free))))
            for table in (outbox, pushes, records, person_keys):
                db.execute(delete(table).where(table.c.subject.in_(gone)))
            blank = {column.name: None for column in events.c if column.name not in ("id", "digest")}
            db.execute(update(events).where(events.c.subject.in_(gone)).values(**blank))
            db.execute(delete(subjects).where(subjects.c.number.in_(gone)))
            db.execute(delete(throttle).where(throttle.c.time < now - timedelta(days=31)))
            return len(gone)

    # -- reads --------------------------------------------------------------------------------------------------

    def find(self, subject: str, mark: str) -> Person | None:
        """Whom a link means: the person of that id, or whoever holds that address now (decision 9)."""
        with self.database.reading() as db:
            query = PERSON.where((subjects.c.id == subject) | (subjects.c.mark == mark))
            found = [open_person(self.vault, row).person for row in db.execute(query)]
        return next((p for p in found if p.id == subject), next(iter(found), None))

    def person(self, email: str) -> Person | None:
        """The person behind an address."""
        with self.database.reading() as db:
            row = db.execute(PERSON.where(subjects.c.lookup.in_(_values(self.vault.lookups(email))))).first()
            return open_person(self.vault, row).person if row else None

    def history(self, person: Person) -> list[ConsentEvent]:
        """What happened to one person and what the stop list knows of her address: enough to decide."""
        with self.database.reading() as db:
            told = histories(db, [person])[person.number]
            return with_stops(told, stops_known(db, self.vault, [person.email])[person.email])

    def stops(self, email: str) -> list[ConsentEvent]:
        """What the stop list knows of an address we may not hold."""
        with self.database.reading() as db:
            return stops_known(db, self.vault, [email])[email]

    def story(self, person: Person) -> list[ConsentEvent]:
        """What happened to one person, with all evidence."""
        with self.database.reading() as db:
            row = db.execute(PERSON.where(subjects.c.number == person.number)).first()
            if row is None:
                raise UnknownSubject("this person is no longer here")
            return self._opened_events(db, open_person(self.vault, row))

    def may_mail(self, email: str, purpose: str, at: datetime | None = None) -> Answer:
        """May this address be mailed for this purpose, today or as the store knew it at a past moment; and why."""
        moment = at or self.clock()
        person = self.person(email)
        known = self.history(person) if person else self.stops(email)
        told = [event for event in known if event.received <= moment and event.time <= moment + timedelta(minutes=5)]
        return may_mail(told, purpose, moment, self.limits(moment))

    def words(self, sha256: str) -> Wording | None:
        """The exact words of that hash, as they were shown."""
        with self.database.reading() as db:
            row = db.execute(select(wordings).where(wordings.c.sha256 == sha256)).first()
        return _words(row) if row else None

    def words_used(self) -> dict[tuple[str, int, str], str]:
        """The hash of every wording ever shown, by purpose, version and language (CAP-07)."""
        columns = (wordings.c.purpose, wordings.c.version, wordings.c.language, wordings.c.sha256)
        with self.database.reading() as db:
            return {
                (purpose, version, language): sha for purpose, version, language, sha in db.execute(select(*columns))
            }

    def shown(self, purpose: str, version: int, language: str) -> Wording | None:
        """The words of a purpose, version and language, if they were ever shown."""
        where = and_(wordings.c.purpose == purpose, wordings.c.version == version, wordings.c.language == language)
        with self.database.reading() as db:
            row = db.execute(select(wordings).where(where)).first()
        return _words(row) if row else None

    def tasks(self) -> list[Task]:
        """What waits, for people and monitors: mails, and pushes per ESP."""
        with self.database.reading() as db:
            mails = db.execute(select(func.count(), func.min(outbox.c.made))).one()
            found = [Task(name="mail", waiting=mails[0], oldest=mails[1])]
            query = select(pushes.c.adapter, func.count(), func.min(pushes.c.due)).where(pushes.c.due.is_not(None))
            rows = db.execute(query.group_by(pushes.c.adapter))
            return found + [Task(name=adapter, waiting=waiting, oldest=oldest) for adapter, waiting, oldest in rows]

    def use_keys(self, rings: Mapping[str, Sequence[str]]) -> list[str]:
        """Note the newest key of each ring as used; say which used keys are missing (KEY-03). Writes only when new."""
        with self.database.reading() as db:
            used = {(row.ring, row.kid) for row in db.execute(select(keys_used))}
        have = {(ring, kid) for ring, kids in rings.items() for kid in kids}
        missing = [f"{ring} key {kid!r}" for ring, kid in sorted(used - have)]
        newest = [{"ring": ring, "kid": kids[0]} for ring, kids in rings.items() if (ring, kids[0]) not in used]
        if newest and not missing:
            with self.database.writing() as db:
                upsert_nothing(db, keys_used, newest)
        return missing

    # -- inside -------------------------------------------------------------------------------------------------

    @contextmanager
    def _batch(self, now: datetime | None = None) -> Iterator[Batch]:
        moment = now or self.clock()
        with self.database.writing() as db:
            batch = Batch(db, self.vault, self.adapters, self.limits(moment), moment)
            yield batch
            promised = batch.flush()
        self._kept_words |= batch.words
        if promised:
            self.nudge()

    def _story(self, batch: Batch, opened: Opened) -> list[ConsentEvent]:
        told = self._opened_events(batch.db, opened)
        return with_stops(told, [e for e in batch.history[opened.number] if e.method is Method.STOP_LIST])

    def _opened_events(self, db: Connection, opened: Opened) -> list[ConsentEvent]:
        query = select(events.c.number, events.c.sealed).where(events.c.subject == opened.number)
        rows = db.execute(query.order_by(events.c.number))
        return [open_event(opened, row.number, row.sealed) for row in rows]

    def _numbers(self, batch: Batch, emails: Collection[str]) -> dict[str, str]:
        """The ids of the people behind these addresses, in one read."""
        by_hash: dict[bytes, list[str]] = {}  # one address may be told in several spellings
        for email in emails:
            for entry in self.vault.lookups(email):
                by_hash.setdefault(entry.value, []).append(email)
        query = select(subjects.c.id, subjects.c.lookup).where(subjects.c.lookup.in_(by_hash))
        return {email: row.id for row in batch.db.execute(query) for email in by_hash[row.lookup]}

    def _find(self, batch: Batch, email: str) -> Opened | None:
        """The person behind an address, with the same reads when there is none (CAP-09)."""
        ids = self._numbers(batch, {email})
        batch.load(set(ids.values()))
        return batch.by_id(ids[email]) if email in ids else None

    def _ensure(self, batch: Batch, email: str, language: str, fields: Mapping[str, str], now: datetime) -> Opened:
        """The person behind an address, made if new, with the same statements either way (CAP-09)."""
        lookups = self.vault.lookups(email)
        query = select(subjects.c.id, subjects.c.lookup, subjects.c.kid).where(subjects.c.lookup.in_(_values(lookups)))
        known = batch.db.execute(query).first()
        subject = known.id if known else new_id()
        kid, wrapped = self.vault.new_person(subject)
        key = self.vault.person(subject, kid, wrapped)
        person = Person(number=0, id=subject, email=email, mark=self._mark(email), language=language, fields=fields)
        newest = {"kid": lookups[0].kid, "lookup": lookups[0].value}
        profile = seal(key, profile_bytes(person), subject)
        if known:  # KEY-03: a hit is rewritten under the newest root
            batch.db.execute(update(subjects).where(subjects.c.id == subject).values(**newest))
        else:
            row = {"id": subject, **newest, "mark": person.mark, "profile": profile, "created": now}
            upsert_nothing(batch.db, subjects, [row])
        found = batch.db.execute(
            select(subjects.c.number, subjects.c.id).where(subjects.c.lookup.in_(_values(lookups)))
        )
        number, subject = found.one()
        keep_key(batch.db, {"subject": number, "kid": kid, "wrapped": wrapped})
        batch.load({subject})
        return batch.people[number]

    def _is_erased(self, batch: Batch, email: str) -> bool:
        hashes = _values(self.vault.stop_hashes(email))
        query = select(func.count()).select_from(stop_list)
        where = and_(stop_list.c.hash.in_(hashes), stop_list.c.reason == EventType.ERASED.value)
        return bool(batch.db.scalar(query.where(where)))

    def _has_room(self, batch: Batch, form: SignUp, now: datetime, *, erased: bool, kind: str = "sign-up") -> bool:
        """Count this request against the limits (CAP-10, R12). Mails that were promised count, refused ones do not."""
        address = self.vault.bucket(f"{kind} address", normal_email(form.email))
        take_turns(batch.db, address)
        network = self.vault.bucket("network", form.network)
        everyone = self.vault.bucket(f"{kind} everyone", "")
        hour, month = throttle.c.time > now - timedelta(hours=1), throttle.c.time > now - timedelta(days=30)
        counted = or_(and_(throttle.c.bucket == address, month), and_(throttle.c.bucket.in_([network, everyone]), hour))
        today = func.sum(case((throttle.c.time > now - timedelta(days=1), 1), else_=0)).label("today")
        columns = (throttle.c.bucket, func.count().label("times"), today, func.max(throttle.c.time).label("last"))
        rows = batch.db.execute(select(*columns).where(counted).group_by(throttle.c.bucket))
        seen = {row.bucket: (row.times, row.today, row.last) for row in rows}
        nothing: tuple[int, int, datetime | None] = (0, 0, None)
        if seen.get(network, nothing)[0] >= self.quotas.per_network_hour:
            raise TooMany(3600)
        times, day, last = seen.get(address, nothing)
        quota = self.quotas
        soon, most = day >= quota.per_address_day, quota.per_address_month
        if kind != "sign-up":  # who holds a link, or asks for one, is let in more often than a stranger's sign-up
            soon = last is not None and now - last < timedelta(minutes=5)
            most = 10 * quota.per_address_month
        room = (
            not soon
            and times < most
            and seen.get(everyone, nothing)[0] < quota.global_hour
            and not (erased and last is not None and not may_confirm_again([last], now, batch.limits))
        )
        buckets = [address, network, everyone] if room else [network]
        batch.db.execute(insert(throttle), [{"bucket": bucket, "time": now} for bucket in buckets])
        return room

    def _keep_words(self, batch: Batch, told: Sequence[ConsentEvent]) -> None:
        """Keep the words an event rests on, once, before the event itself (CAP-07)."""
        shown = {event.evidence.wording for event in told if event.evidence.wording} - self._kept_words
        for sha256 in sorted(shown):
            words = self._words.get(sha256)
            if words is None:
                known = batch.db.scalar(select(func.count()).select_from(wordings).where(wordings.c.sha256 == sha256))
                if not known:
                    raise BadInput("an event names words that no notice file holds")
                batch.words.add(sha256)
                continue
            same = and_(
                wordings.c.purpose == words.purpose,
                wordings.c.version == words.version,
                wordings.c.language == words.language,
            )
            kept = batch.db.scalar(select(wordings.c.sha256).where(same))
            if kept is None:
                upsert_nothing(batch.db, wordings, [{**msgspec.structs.asdict(words), "first_used": batch.now}])
                kept = batch.db.scalar(select(wordings.c.sha256).where(same))
            if kept != sha256:
                raise BadInput(
                    f"notices/{words.purpose}-{words.version}.{words.language}.txt was changed after it was shown: "
                    f"put the old text back and write version {words.version + 1} (CAP-07)"
                )
            batch.words.add(sha256)

    def _known_reports(self, batch: Batch, adapter: str, reports: Sequence[Report]) -> set[str]:
        keys = [key for r in reports for key in self.vault.report_keys(f"{adapter}\n{r.key}\n{r.purpose}")]
        return set(batch.db.scalars(select(events.c.report).where(events.c.report.in_(keys))))

    def _take(self, batch: Batch, opened: Opened, report: Report, *, adapter: str, key: str) -> bool:
        """One report of a known person as an event."""
        history = batch.history[opened.number]
        if report.type is EventType.SUBSCRIBED and may_mail(history, report.purpose, batch.now, batch.limits).may:
            return False  # the echo of our own push
        event = ConsentEvent(
            type=report.type,
            subject=opened.person.id,
            time=report.time,
            received=batch.now,
            source=adapter,
            method=report.method,
            key=key,
            purpose=report.purpose,
            evidence=Evidence(detail=report.detail),
        )
        batch.add(opened, event)
        return True

    def _remember_strangers(self, reports: Sequence[Report], batch: Batch) -> None:
        """Keep a stop of somebody we do not hold as a hash, so that no later import mails her (SUP-05)."""
        rows = []
        for report in reports:
            if report.type in LISTED and report.type in STOPS:
                newest = self.vault.stop_hashes(report.email)[0]
                rows.append(
                    {
                        "hash": newest.value,
                        "scope": report.purpose,
                        "kid": newest.kid,
                        "reason": report.type.value,
                        "since": min(report.time, batch.now),
                    }
                )
        remember_stops(batch.db, rows)


def _requested(form: SignUp, purpose: str, subject: str, request: str, now: datetime) -> ConsentEvent:
    return ConsentEvent(
        type=EventType.REQUESTED,
        subject=subject,
        time=now,
        received=now,
        source=READER,
        method=Method.FORM,
        key=new_id(),
        purpose=purpose,
        channel=form.channel,
        notice=form.notices[purpose],
        evidence=msgspec.structs.replace(form.evidence[purpose], request=request, language=form.language),
    )


def _single(event: ConsentEvent, history: Sequence[ConsentEvent]) -> ConsentEvent:
    """A request as a yes, where the policy asks for no confirmation and no stop stands in the way."""
    stopped = any(e.type in STOPS and concerns(e, event.purpose) for e in history)
    if not event.evidence.single_opt_in or stopped:
        return event
    return msgspec.structs.replace(event, type=EventType.GIVEN, asked=event.time)


def _values(hashes: Sequence[Hash]) -> list[bytes]:
    return [entry.value for entry in hashes]


def _words(row: AnyRow) -> Wording:
    return Wording(
        purpose=row.purpose,
        version=row.version,
        language=row.language,
        label=row.label,
        text=row.text,
        sha256=row.sha256,
    )
