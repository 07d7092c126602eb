"""A sent form on its way in: the limits it counts against, and the person behind an address, made if new.

Every step does the same work whether an address is known here or not (CAP-09).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from bridge.decide import STOPS, concerns, may_confirm_again
from bridge.store.door import Batch
from bridge.store.errors import TooMany
from bridge.store.rows import Opened, profile_bytes
from bridge.store.sql import Sql
from bridge.store.values import Person, SignUp
from bridge.tables import moment
from bridge.vault import Vault, new_id, seal
from bridge.vocabulary import READER, ConsentEvent, EventType, Evidence, Limits, Method, micros, normal_email

_KNOWN = Sql("SELECT number, id, lookup FROM subjects WHERE lookup IN ({})")
_NEW = Sql("INSERT INTO subjects (id, kid, lookup, mark, profile) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
#: KEY-03: a hit is rewritten under the newest root.
_SEEN = Sql("UPDATE subjects SET kid = ?, lookup = ? WHERE id = ?")
#: A new person's key; of a known one the row is written as it was.
_KEY = Sql(
    "INSERT INTO person_keys (subject, kid, wrapped) VALUES (?, ?, ?) "
    "ON CONFLICT (subject) DO UPDATE SET kid = person_keys.kid"
)
_ERASED = Sql("SELECT count(*) FROM stop_list WHERE reason = 'erased' AND hash IN ({})")
_COUNTED = Sql(
    "SELECT bucket, count(*), sum(CASE WHEN time > ? THEN 1 ELSE 0 END), max(time) FROM throttle "
    "WHERE (bucket = ? AND time > ?) OR (bucket IN (?, ?) AND time > ?) GROUP BY bucket"
)
_COUNT = Sql("INSERT INTO throttle (bucket, time) VALUES (?, ?)")
_SPENT = Sql("SELECT count(*) FROM throttle WHERE bucket = ?")
_TAKE_TURNS = Sql("SELECT pg_advisory_xact_lock(?)")


#: Mails to guardians are counted by their own address (KID-01).
_GUARDIAN = "guardian"


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """How often a sign-up mail may be asked for (CAP-10)."""

    per_address_day: int = 1
    per_address_month: int = 3
    per_network_hour: int = 20
    global_hour: int = 1000
    proof_of_work: bool = False  # without a solved task a network has a quarter of its forms


class SignUps:
    """What one form needs of the store, inside a transaction. `mark` is `Links.mark`."""

    def __init__(self, vault: Vault, mark: Callable[[str], str], quotas: Quotas) -> None:
        self.vault, self.quotas = vault, quotas
        self._mark = mark

    def ensure(self, batch: Batch, email: str, language: str, fields: Mapping[str, str]) -> Opened:
        """The person behind an address, made if new, with the same statements either way (CAP-09)."""
        lookups = self.vault.lookups(email)
        values = [entry.value for entry in lookups]
        known = _KNOWN.rows(batch.db, values, len(values))
        newest = lookups[0]
        if known and not _SEEN.run(batch.db, (newest.kid, newest.value, known[0][1])):
            known = []  # she was deleted at this very moment: now she is new
        subject = known[0][1] if known else new_id()
        kid, wrapped, key = self.vault.new_person_opened(subject)
        person = Person(number=0, id=subject, email=email, mark=self._mark(email), language=language, fields=fields)
        profile = seal(key, profile_bytes(person), subject)
        if not known:
            _NEW.run(batch.db, (subject, newest.kid, newest.value, person.mark, profile))
        ((number, subject, _lookup),) = _KNOWN.rows(batch.db, values, len(values))
        _KEY.run(batch.db, (number, kid, wrapped))
        batch.load({subject})
        return batch.people[number]

    def is_erased(self, batch: Batch, email: str) -> bool:
        """Whether the stop list remembers that this address was erased."""
        hashes = [entry.value for entry in self.vault.stop_hashes(email)]
        return bool(_ERASED.rows(batch.db, hashes, len(hashes))[0][0])

    def has_room(self, batch: Batch, form: SignUp, now: datetime, *, erased: bool, kind: str) -> bool:
        """Count this request against the limits (CAP-10, R12). Mails that were promised count, refused ones do not.
        Before anybody is locked: whoever has a turn waits for people, and nobody the other way about.

        Raises `TooMany` when the client's network asks too often.
        """
        db = batch.db
        addresses = {kind: self.vault.bucket(f"{kind} address", normal_email(form.email))}
        if form.guardian:
            addresses[_GUARDIAN] = self.vault.bucket(f"{_GUARDIAN} address", normal_email(form.guardian))
        network = self.vault.bucket("network", form.network)
        if db.dialect == "postgresql":  # let requests of one network, for one address, with one task count each other
            task = [self.vault.bucket("task", form.worked)] if form.worked else []
            for bucket in sorted([*addresses.values(), network, *task]):
                _TAKE_TURNS.rows(db, (int.from_bytes(bucket[:8], "big", signed=True),))
        gone = {kind: erased, _GUARDIAN: bool(form.guardian) and self.is_erased(batch, form.guardian)}
        everyone = self.vault.bucket(f"{kind} everyone", "")
        hour, day, month = (micros(now - timedelta(hours=hours)) for hours in (1, 24, 30 * 24))
        nothing: tuple[int, int, datetime | None] = (0, 0, None)
        most = self._most(batch, form, now, kind)
        room = True
        for role, address in addresses.items():
            rows = _COUNTED.rows(db, (day, address, month, network, everyone, hour))
            seen = {bucket: (times, today, moment(last)) for bucket, times, today, last in rows}
            if seen.get(network, nothing)[0] >= most:
                raise TooMany(3600)
            fits = self._fits(role, seen.get(address, nothing), now, batch.limits, erased=gone[role])
            room = room and fits and seen.get(everyone, nothing)[0] < self.quotas.global_hour
        buckets = [*addresses.values(), network, everyone] if room else [network]
        _COUNT.many(db, [(bucket, micros(now)) for bucket in buckets])
        return room

    def _most(self, batch: Batch, form: SignUp, now: datetime, kind: str) -> int:
        """How many forms of one network are taken in an hour: few of those that come without a task solved. Each is
        good for one form.
        """
        most = self.quotas.per_network_hour
        if not self.quotas.proof_of_work or kind != "sign-up":
            return most
        if form.worked:
            bucket = self.vault.bucket("task", form.worked)
            ((spent,),) = _SPENT.rows(batch.db, (bucket,))
            _COUNT.run(batch.db, (bucket, micros(now)))
            if not spent:
                return most
        return max(1, most // 4)

    def _fits(
        self, role: str, seen: tuple[int, int, datetime | None], now: datetime, limits: Limits, *, erased: bool
    ) -> bool:
        """Whether one more mail of this kind may go to an address."""
        times, today, last = seen
        soon, most = today >= self.quotas.per_address_day, self.quotas.per_address_month
        if role not in (
            "sign-up",
            _GUARDIAN,
        ):  # who holds a link, or asks for one, is let in more often than a stranger
            soon = last is not None and now - last < timedelta(minutes=5)
            most = self.quotas.per_address_month * (1 if role == "move" else 10)  # a stranger's mailbox, perhaps
        again = not erased or last is None or may_confirm_again([last], now, limits)
        return not soon and times < most and again

    def count_nobody(self, batch: Batch, now: datetime) -> None:
        """A row all the same: nobody can tell from the work whether an address is known here."""
        _COUNT.run(batch.db, (self.vault.bucket("nobody", new_id()), micros(now)))


def requested(form: SignUp, purpose: str, subject: str, request: str, now: datetime) -> ConsentEvent:
    """The request for one purpose that a form makes."""
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


def declared(form: SignUp, subject: str, request: str, now: datetime) -> ConsentEvent:
    """That a form says she is below the national age: her yes or no to that question, and nothing of her birth."""
    answer = next(iter(form.evidence.values())).at_least
    return ConsentEvent(
        type=EventType.CHILD_DECLARED,
        subject=subject,
        time=now,
        received=now,
        source=READER,
        method=Method.FORM,
        key=new_id(),
        channel=form.channel,
        evidence=Evidence(request=request, language=form.language, at_least=answer),
    )


def single(event: ConsentEvent, history: Sequence[ConsentEvent]) -> ConsentEvent:
    """A request as a yes, where the policy asks for no confirmation and no stop stands in the way."""
    stopped = any(e.type in STOPS and concerns(e, event.purpose) for e in history)
    if not event.evidence.single_opt_in or stopped:
        return event
    return msgspec.structs.replace(event, type=EventType.GIVEN, asked=event.time)
