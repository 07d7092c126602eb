"""What can be asked of the store: people, what happened to them, whether they may be mailed, what waits."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, select

from bridge.decide import may_mail
from bridge.notices import Wording
from bridge.store import clocks, journeys
from bridge.store.bought import noted
from bridge.store.complaints import Complaints
from bridge.store.engine import Database
from bridge.store.errors import UnknownSubject
from bridge.store.figures import Figures, Quarantine, by_channel, in_quarantine
from bridge.store.forgetting import QUARANTINE
from bridge.store.names import Names
from bridge.store.rows import Rows, with_stops
from bridge.store.values import Confirmation, Person, StopTimes, Task
from bridge.tables import erase_work, events, former, outbox, pushes, subjects, throttle, wordings
from bridge.vault import Vault
from bridge.vocabulary import Answer, ConsentEvent, Limits


class Reads:
    """The looking half of the store. `limits` gives the policy's limits as they stand at a moment."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        limits: Callable[[datetime], Limits] = lambda _now: Limits(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database, self.vault, self.limits, self.clock = database, vault, limits, clock
        self.rows = Rows(vault, Names(database))
        self.complaints = Complaints(database, self.rows.names, clock)

    def warm(self) -> None:
        """Read what every first request needs, so that none of them does."""
        self.rows.names.read()

    def find(self, subject: str, mark: str) -> Person | None:
        """Whom a link means: the person of that id, or whoever holds that address now (decision 9)."""
        found = self.look(subject, mark)
        return found[0] if found else None

    def look(self, subject: str, mark: str) -> tuple[Person, list[ConsentEvent]] | None:
        """Whom a link means, and what happened to her: enough to decide, in two reads.

        The stop list is read last: what is told in between can only be one more stop.
        """
        with self.database.looking() as db:
            found = self.rows.by_link(db, subject, mark)
            if found is None:
                return None
            person = found[0].person
            return person, with_stops(found[1], self.rows.stops(db, [person.email])[person.email])

    def person(self, email: str) -> Person | None:
        """The person behind an address."""
        with self.database.looking() as db:
            opened = self.rows.by_email(db, email)
        return opened.person if opened else None

    def knows(self, email: str) -> bool:
        """Whether somebody of that address is here; she need not be readable."""
        hashes = [entry.value for entry in self.vault.lookups(email)]
        with self.database.reading() as db:
            return db.execute(select(subjects.c.number).where(subjects.c.lookup.in_(hashes))).first() is not None

    def has_moved(self, email: str) -> bool:
        """Whether somebody is here who had that address before; ask first who has it now (`knows`)."""
        hashes = [entry.value for entry in self.vault.lookups(email)]
        with self.database.reading() as db:
            return db.execute(select(former.c.subject).where(former.c.lookup.in_(hashes))).first() is not None

    def history(self, person: Person) -> list[ConsentEvent]:
        """What happened to one person and what the stop list knows of her address: enough to decide."""
        with self.database.looking() as db:  # the stop list last: what is told in between can only be one more stop
            told = self.rows.histories(db, [person])[person.number]
            return with_stops(told, self.rows.stops(db, [person.email])[person.email])

    def stops(self, email: str) -> list[ConsentEvent]:
        """What the stop list knows of an address we may not hold."""
        with self.database.looking() as db:
            return self.rows.stops(db, [email])[email]

    def story(self, person: Person) -> list[ConsentEvent]:
        """What happened to one person, with all evidence."""
        with self.database.reading() as db:
            opened = self.rows.people(db, [person.number]).get(person.number)
            if opened is None:
                raise UnknownSubject("this person is no longer here")
            return self.rows.story(db, opened)

    def told(self, person: Person) -> list[ConsentEvent]:
        """The same from the clear columns, without evidence: what can still be read where a seal was broken."""
        with self.database.looking() as db:
            return self.rows.histories(db, [person])[person.number]

    def may_mail(self, email: str, purpose: str) -> Answer:
        """May this address be mailed for this purpose now, and why. `Store.past` answers for a moment before."""
        now = self.clock()
        person = self.person(email)
        known = self.history(person) if person else self.stops(email)
        return may_mail(known, purpose, now, self.limits_now(now))

    def limits_now(self, now: datetime) -> Limits:
        """The policy's limits, and what is closed because too many readers complain (SND-04)."""
        limits = self.limits(now)
        closed = {**limits.closed, **self.complaints.held(now, limits)}
        return msgspec.structs.replace(limits, closed=closed)

    def confirmations(self, person: Person) -> list[Confirmation]:
        """When each ESP carried out each of her stops, in the order they were said."""
        with self.database.looking() as db:
            return clocks.confirmations(db, person.number)

    def corrections(self, person: Person) -> list[Confirmation]:
        """Which ESP was told when of what she corrected, in the order she did (RGT-03)."""
        with self.database.looking() as db:
            return clocks.corrections(db, person.number)

    def stop_times(self, adapter: str) -> StopTimes:
        """How one ESP keeps up with stops at this moment."""
        with self.database.reading() as db:
            return clocks.stop_times(db, adapter, self.clock())

    def late_people(self, adapter: str, before: datetime, most: int) -> list[str]:
        """Ids of people whose stop of before then one ESP has not confirmed, the oldest first."""
        with self.database.reading() as db:
            return clocks.late_people(db, adapter, before, most)

    def waits_there(self, person: Person) -> dict[str, str]:
        """At which ESPs her yes waits for an act of hers there, each with its reason."""
        with self.database.looking() as db:
            return journeys.waits(db, person.number)

    def waiting_there(self, adapter: str) -> dict[str, int]:
        """How many people's yes waits at one ESP, by reason."""
        with self.database.reading() as db:
            return journeys.counted(db, adapter)

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

    def last_written(self) -> tuple[int, int, int]:
        """Marks of the last writing: who sees the same ones later knows that nothing was written in between."""
        marks = (func.max(events.c.id), func.max(throttle.c.id), func.count(outbox.c.id))
        with self.database.reading() as db:
            event, limit, mails = (db.scalar(select(mark)) or 0 for mark in marks)
        return event, limit, mails

    def numbers(self, texts: Collection[str]) -> list[int]:
        """The numbers that these words have in the tables; those that were never used have none."""
        return [number for number in map(self.rows.names.number, texts) if number]

    def by_channel(self) -> dict[str, Figures]:
        """What each channel brought, in numbers of people; "" for those who came by none."""
        now = self.clock()
        return by_channel(self.database, self.rows.names, now, now - self.limits(now).pending_ttl)

    def third_parties(self, declared: Collection[str]) -> tuple[str, ...]:
        """The channels that somebody else's lists came in by: those the policy declares, and those of before."""
        with self.database.looking() as db:
            return tuple(sorted(noted(db).union(declared)))

    def in_quarantine(self, channels: Collection[str]) -> Quarantine:
        """How many people only somebody else's lists told of, by these channels, and how many of them for too long."""
        now = self.clock()
        asked = now - self.limits(now).pending_ttl
        return in_quarantine(self.database, self.numbers(channels), asked, now - QUARANTINE)

    def waiting(self, names: Collection[str], most: int = 1_000) -> dict[str, int]:
        """How much waits here and for these adapters, counted no further: a load balancer asks every few seconds."""
        waits: dict[str, Any] = {"mail": select(outbox.c.id)}
        waits |= {n: select(pushes.c.subject).where(pushes.c.adapter == n, pushes.c.due.is_not(None)) for n in names}
        waits |= {f"{n} erasures": select(erase_work.c.id).where(erase_work.c.adapter == n) for n in names}
        with self.database.reading() as db:
            found = {
                name: db.scalar(select(func.count()).select_from(query.limit(most).subquery())) or 0
                for name, query in waits.items()
            }
        return {name: count for name, count in found.items() if count or name == "mail"}

    def tasks(self) -> list[Task]:
        """What waits, for people and monitors: mails, and pushes and erasures per ESP."""
        with self.database.reading() as db:
            mails = db.execute(select(func.count(), func.min(outbox.c.made))).one()
            found = [Task(name="mail", waiting=mails[0], oldest=mails[1])]
            query = select(pushes.c.adapter, func.count(), func.min(pushes.c.due)).where(pushes.c.due.is_not(None))
            rows = db.execute(query.group_by(pushes.c.adapter))
            found += [Task(name=adapter, waiting=waiting, oldest=oldest) for adapter, waiting, oldest in rows]
            query = select(erase_work.c.adapter, func.count(), func.min(erase_work.c.made))
            rows = db.execute(query.group_by(erase_work.c.adapter))
            found += [Task(name=f"{adapter} erasures", waiting=count, oldest=made) for adapter, count, made in rows]
            return found


def _words(row: Row[*tuple[Any, ...]]) -> Wording:
    return Wording(
        purpose=row.purpose,
        version=row.version,
        language=row.language,
        label=row.label,
        text=row.text,
        sha256=row.sha256,
    )
