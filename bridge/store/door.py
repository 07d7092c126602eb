"""The one door: how events, records, stop list and promised work are written together, in one transaction."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bridge.decide import STOPS, Decision, Work, concerns, decide, is_news, missing_evidence, standing
from bridge.store.errors import BadInput, IncompleteEvidence, UnknownSubject
from bridge.store.rows import (
    PERSON,
    Opened,
    chains,
    columns,
    open_person,
    profile_bytes,
    stops_known,
    with_stops,
)
from bridge.store.values import Person
from bridge.tables import events, outbox, person_keys, pushes, records, stop_list, subjects
from bridge.vault import Vault, about_event, canonical, digest, encode, new_id, pack, seal
from bridge.vocabulary import EVERY_PURPOSE, READER, ConsentEvent, EventType, Limits, Method, Status

#: Stops that the stop list remembers as a keyed hash, beyond the person herself.
LISTED = frozenset(
    {
        EventType.WITHDRAWN,
        EventType.UNSUBSCRIBED,
        EventType.OBJECTED,
        EventType.COMPLAINED,
        EventType.REFUSED,
        EventType.ERASED,
    }
)

_STARTS = frozenset({EventType.REQUESTED, EventType.GIVEN, EventType.ENROLLED})


#: A stop that was received longer ago was parked, and is written late at its own time.
_JUST_NOW = timedelta(seconds=60)


class Batch:
    """Everything one transaction writes about some people. Load them (locked), add events, flush once."""

    def __init__(self, db: Connection, vault: Vault, adapters: Sequence[str], limits: Limits, now: datetime) -> None:
        self.db, self.vault, self.adapters, self.limits, self.now = db, vault, adapters, limits, now
        self.words: set[str] = set()  # wordings kept by this transaction
        self.people: dict[int, Opened] = {}
        self.history: dict[int, list[ConsentEvent]] = {}
        self._tails: dict[int, tuple[int, bytes]] = {}
        self._events: list[Mapping[str, object]] = []
        self._records: dict[tuple[int, str], Mapping[str, object]] = {}
        self._pushes: dict[int, bool] = {}
        self._mails: list[Mapping[str, object]] = []
        self._letters: dict[tuple[int, str], list[str]] = {}
        self._stops: dict[tuple[bytes, str], Mapping[str, object]] = {}
        self._lifted: list[tuple[bytes, str]] = []
        self._profiles: list[tuple[int, bytes]] = []

    def load(self, ids: Collection[str]) -> None:
        """Lock these people in a fixed order and read all that was told of them, in three reads."""
        query = PERSON.where(subjects.c.id.in_(ids)).order_by(subjects.c.number).with_for_update(of=subjects)
        found = [open_person(self.vault, row) for row in self.db.execute(query)]
        if missing := set(ids) - {opened.person.id for opened in found}:
            raise UnknownSubject(f"{len(missing)} people are not known here")
        people = [opened.person for opened in found]
        told, tails = chains(self.db, people)
        self._tails.update(tails)
        stops = stops_known(self.db, self.vault, [person.email for person in people])
        for opened in found:
            self.people[opened.number] = opened
            self.history[opened.number] = with_stops(told[opened.number], stops[opened.person.email])

    def by_id(self, subject: str) -> Opened:
        """The loaded person of that id."""
        return next(opened for opened in self.people.values() if opened.person.id == subject)

    def add(self, opened: Opened, event: ConsentEvent) -> Decision | None:
        """Take one event in: what it changes is decided on everything known so far. None = it says nothing new."""
        check(event, self.limits)
        history = self.history[opened.number]
        if event.by_reader and event.type in STOPS:
            event = self._not_before(history, event)
            if not is_news(history, event):
                return None
        decision = decide(history, event, self.limits)
        self._chain(opened, event)
        self._project(opened, event)
        self._promise(opened, event, decision)
        return decision

    def _not_before(self, history: Sequence[ConsentEvent], event: ConsentEvent) -> ConsentEvent:
        """A stop said now is the last word, also where the clock was set back; a parked one keeps its time."""
        latest = max((known.received for known in history), default=event.received)
        if self.now - event.received > _JUST_NOW or event.received >= latest:
            return event
        return msgspec.structs.replace(event, time=max(event.time, latest), received=latest)

    def mail(
        self, opened: Opened, kind: str, purposes: Iterable[str], *, language: str, request: str = "", channel: str = ""
    ) -> None:
        """Promise one mail in this same transaction."""
        key = new_id()
        payload = {"purposes": sorted(purposes), "language": language, "request": request, "channel": channel}
        self._mails.append(
            {
                "id": key,
                "work": f"mail:{kind}",
                "subject": opened.number,
                "payload": seal(opened.key, encode(payload), f"{opened.person.id}/{key}"),
                "made": self.now,
                "due": self.now,
            }
        )

    def correct(self, opened: Opened, person: Person) -> None:
        """Keep a changed profile (language, declared fields)."""
        self._profiles.append((opened.number, seal(opened.key, profile_bytes(person), person.id)))
        self.people[opened.number] = Opened(person=person, key=opened.key)

    def flush(self) -> bool:
        """Write everything, batch-wise. True when work was promised."""
        for (number, kind), purposes in self._letters.items():
            self.mail(self.people[number], kind, set(purposes), language=self.people[number].person.language)
        for number, profile in self._profiles:
            self.db.execute(update(subjects).where(subjects.c.number == number).values(profile=profile))
        if self._events:
            self.db.execute(insert(events), self._events)
        if self._records:
            self._upsert(records, list(self._records.values()), ("status", "since", "number"))
        remember_stops(self.db, list(self._stops.values()))
        for value, scope in self._lifted:
            is_it = (stop_list.c.scope == scope) | ((stop_list.c.scope == "") & (stop_list.c.reason == "erased"))
            self.db.execute(delete(stop_list).where(stop_list.c.hash == value, is_it))
        if self._mails:
            self.db.execute(insert(outbox), self._mails)
        if self._pushes and self.adapters:
            self._upsert_pushes()
        return bool(self._mails or self._pushes)

    def _chain(self, opened: Opened, event: ConsentEvent) -> None:
        number, previous = self._tails[opened.number]
        number += 1
        sealed = seal(opened.key, pack(canonical(event)), about_event(opened.person.id, number))
        mine = digest(previous, sealed)
        self._tails[opened.number] = (number, mine)
        clear = columns(event, opened.number, number)
        self._events.append({**clear, "sealed": sealed, "digest": mine})
        # As it will be read again, so that ties are decided now as they will be then.
        self.history[opened.number].append(msgspec.structs.replace(event, key=clear["report"] or str(number)))

    def _project(self, opened: Opened, event: ConsentEvent) -> None:
        """Where she stands by her own events; the stop list is asked anew each time."""
        number = self._tails[opened.number][0]
        told = [known for known in self.history[opened.number] if known.method is not Method.STOP_LIST]
        for purpose in {known.purpose for known in told} - {EVERY_PURPOSE}:
            if not concerns(event, purpose):
                continue
            status, by = standing(told, purpose)
            self._records[opened.number, purpose] = {
                "subject": opened.number,
                "purpose": purpose,
                "status": status.value,
                "since": by.time if by else event.time,
                "number": number,
            }

    def _promise(self, opened: Opened, event: ConsentEvent, decision: Decision) -> None:
        work = decision.work
        changed = [p for p, status in decision.after.items() if status is not decision.before[p]]
        for kind in (Work.WELCOME, Work.GOODBYE):
            if kind in work:
                self._letters.setdefault((opened.number, kind.value), []).extend(changed)
        if Work.STOP in work or Work.PUSH in work:
            self._pushes[opened.number] = self._pushes.get(opened.number, False) or Work.STOP in work
        if event.type in LISTED:
            newest = self.vault.stop_hashes(opened.person.email)[0]
            self._lifted = [entry for entry in self._lifted if entry != (newest.value, event.purpose)]
            self._stops[newest.value, event.purpose] = {
                "hash": newest.value,
                "scope": event.purpose,
                "kid": newest.kid,
                "reason": event.type.value,
                "since": event.time,
            }
        lifts = event.type is EventType.GIVEN and event.confirmed
        if lifts and decision.after.get(event.purpose) is Status.GIVEN:
            hashes = self.vault.stop_hashes(opened.person.email)
            self._lifted += [(entry.value, event.purpose) for entry in hashes]
            self._stops.pop((hashes[0].value, event.purpose), None)

    def _upsert(self, table: Any, rows: list[Mapping[str, object]], changing: Sequence[str]) -> None:
        query = _insert(self.db)(table)
        changes = {name: query.excluded[name] for name in changing}
        key = [column.name for column in table.primary_key]
        self.db.execute(query.on_conflict_do_update(index_elements=key, set_=changes), rows)

    def _upsert_pushes(self) -> None:
        rows = [
            {
                "subject": number,
                "adapter": adapter,
                "wanted": self._tails[number][0],
                "put": 0,
                "stop": stop,
                "due": self.now,
                "attempts": 0,
            }
            for number, stop in sorted(self._pushes.items())
            for adapter in self.adapters
        ]
        query = _insert(self.db)(pushes)
        self.db.execute(
            query.on_conflict_do_update(
                index_elements=["subject", "adapter"],
                set_={
                    "wanted": query.excluded.wanted,
                    "due": query.excluded.due,
                    "stop": or_(pushes.c.stop, query.excluded.stop),
                    "attempts": literal_column("0"),
                    "reason": None,
                },
            ),
            rows,
        )


def check(event: ConsentEvent, limits: Limits) -> None:
    """Refuse what may not be written, before anything is."""
    if any(moment and moment.tzinfo is None for moment in (event.time, event.received, event.asked, event.until)):
        raise BadInput("an event's times must know their zone")
    if event.type in _STARTS and event.purpose not in limits.notice_since:
        raise BadInput(f"unknown purpose {event.purpose!r}: the policy declares {sorted(limits.notice_since)}")
    if event.type in _STARTS and event.source != READER and event.method in (Method.WEBHOOK, Method.RECONCILE):
        raise BadInput("an ESP's word is never a yes")
    if missing := missing_evidence(event):
        raise IncompleteEvidence(f"{event.type} without its proof: {', '.join(missing)} missing")


def _insert(db: Connection) -> Callable[[Any], Any]:
    return postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert


def upsert_nothing(db: Connection, table: Any, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert what is not there yet; how many were new."""
    if not rows:
        return 0
    return int(db.execute(_insert(db)(table).values(list(rows)).on_conflict_do_nothing()).rowcount)


def keep_key(db: Connection, row: Mapping[str, object]) -> None:
    """Keep a new person's key; of a known one the row is written as it was, the same work either way (CAP-09)."""
    as_it_was = {"kid": person_keys.c.kid}
    db.execute(_insert(db)(person_keys).values(row).on_conflict_do_update(index_elements=["subject"], set_=as_it_was))


def take_turns(db: Connection, bucket: bytes) -> None:
    """Let requests for one address count each other. On SQLite writers take turns anyway."""
    if db.dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(int.from_bytes(bucket[:8], "big", signed=True))))


def remember_stops(db: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Keep stops as keyed hashes only; the latest counts."""
    query = _insert(db)(stop_list)
    changes = {name: query.excluded[name] for name in ("kid", "reason", "since")}
    where = query.excluded.since >= stop_list.c.since
    in_order = sorted(rows, key=lambda row: (row["hash"], row["scope"]))  # one lock order for all writers
    if in_order:
        db.execute(query.on_conflict_do_update(index_elements=["hash", "scope"], set_=changes, where=where), in_order)
