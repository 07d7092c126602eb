"""What ESPs tell, taken in: each piece of news once, in the order it happened, in a fixed number of statements."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.decide import LISTED, STOPS, may_mail
from bridge.store.door import Batch, Stop, remember_stops
from bridge.store.moving import REPORTS, Mover
from bridge.store.rows import Opened, listed
from bridge.store.sql import Sql
from bridge.store.values import News
from bridge.vault import Vault
from bridge.vocabulary import EVERY_PURPOSE, REPORTED, ConsentEvent, EventType, Evidence, Report

LOOKUPS = Sql("SELECT lookup, id FROM subjects WHERE lookup IN ({})")
FORMER = Sql("SELECT f.lookup, s.id FROM former f JOIN subjects s ON s.number = f.subject WHERE f.lookup IN ({})")

#: A moment before this, or so much ahead of us, is no moment anything can have happened at.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)

#: Two roads may give one moment so differently.
_SAME = timedelta(minutes=1)

_YES = frozenset({EventType.REQUESTED, EventType.GIVEN})

#: What is about an address, and not about whoever had it before.
_OF_THE_ADDRESS = frozenset({EventType.BOUNCED, EventType.DEFERRED, EventType.SUBSCRIBED, EventType.MOVED})


def hashed(vault: Vault, adapter: str, report: Report) -> News:
    """A report as the store takes it in."""
    return News(
        type=report.type,
        time=report.time,
        purpose=report.purpose,
        method=report.method,
        who=tuple(entry.value for entry in vault.lookups(report.email)),
        stops=tuple(vault.stop_hashes(report.email)),
        keys=tuple(report_keys(vault, adapter, report)),
        detail=report.detail,
        to=report.to,
    )


def report_keys(vault: Vault, adapter: str, report: Report) -> list[str]:
    """What a report is known again by."""
    return vault.report_keys(f"{adapter}\n{report.key}\n{report.purpose}")


def _said_between(history: Sequence[ConsentEvent], one: datetime, other: datetime) -> bool:
    """Whether she asked or said yes between two moments: then these are two stops."""
    first, last = min(one, other), max(one, other)
    return any(first < event.time <= last and event.type in _YES for event in history)


class Hearing:
    """One batch of news from one ESP, within one transaction."""

    def __init__(self, vault: Vault, batch: Batch, adapter: str, mover: Mover) -> None:
        self._vault, self._batch, self._adapter, self._mover = vault, batch, adapter, mover
        self._found: dict[bytes, str] = {}  # lookup -> id of whoever has that address
        self._former: dict[bytes, str] = {}  # the same of addresses people had before

    def take(self, news: Sequence[News]) -> int:
        """Take everything in; how many pieces were new."""
        batch = self._batch
        self._look_up(news)
        batch.load_known({*self._found.values(), *self._former.values()})
        numbers = {opened.person.id: number for number, opened in batch.people.items()}
        known = {report for (report,) in listed(REPORTS, batch.db, [key for one in news for key in one.keys])}
        strangers, new = [], 0
        for one in sorted(news, key=lambda each: (each.time, each.keys[0])):
            number = next((numbers[who] for who in self._meant(one) if who in numbers), None)
            if number is None:
                strangers.append(one)
            elif known.isdisjoint(one.keys):
                known.update(one.keys)
                new += self._take(batch.people[number], one)
        self._remember(strangers)
        return new

    def _look_up(self, news: Sequence[News]) -> None:
        """Whom the news is about, and who is at the addresses that people move to."""
        lookups = [who for one in news for who in one.who]
        lookups += [entry.value for one in news if one.to for entry in self._vault.lookups(one.to)]
        self._found = dict(listed(LOOKUPS, self._batch.db, lookups))
        self._former = dict(listed(FORMER, self._batch.db, lookups))

    def _meant(self, one: News) -> list[str]:
        """Whoever has the address, else whoever had it before: what she said there is still hers."""
        now = [self._found[who] for who in one.who if who in self._found]
        then = [] if one.type in _OF_THE_ADDRESS else [self._former[who] for who in one.who if who in self._former]
        return now + then

    def _take(self, opened: Opened, one: News) -> bool:
        """One piece of news of a known person as an event."""
        batch = self._batch
        history = batch.history[opened.number]
        if one.type is EventType.SUBSCRIBED:
            batch.rejoined(opened, self._adapter)
        if one.type is EventType.SUBSCRIBED and may_mail(history, one.purpose, batch.now, batch.limits).may:
            return False  # the echo of our own push
        if one.type is EventType.MOVED:
            return self._move(opened, one)
        if self._is_told(history, one):
            return False
        batch.add(opened, self._event(opened, one, self._moment(one)))
        return True

    def _is_told(self, history: Sequence[ConsentEvent], one: News) -> bool:
        """Whether this was heard already by the other road: a webhook, or a look at what the ESP holds."""
        if one.type not in STOPS and one.type is not EventType.BOUNCED:
            return False
        told = {
            event.purpose
            for event in history
            if (event.type, event.source) == (one.type, self._adapter)
            and event.method in REPORTED - {one.method}
            and abs(event.time - one.time) <= _SAME
            and not _said_between(history, event.time, one.time)
        }
        about = {one.purpose} if one.purpose else {event.purpose for event in history} - {EVERY_PURPOSE}
        return EVERY_PURPOSE in told or (bool(told) and about <= told)

    def _move(self, opened: Opened, one: News) -> bool:
        """Her address changed there. It counts from now: what was answered at the old one until now was hers."""
        batch = self._batch
        lookups = [entry.value for entry in self._vault.lookups(one.to)]
        there = next((self._found[lookup] for lookup in lookups if lookup in self._found), None)
        if there == opened.person.id:
            return False  # only spelled another way
        found = next((other for other in batch.people.values() if other.person.id == there), None)
        if found is None:
            self._found |= dict.fromkeys(lookups, opened.person.id)
            for who in one.who:
                self._found.pop(who, None)
                self._former[who] = opened.person.id
        self._mover.move(batch, opened, self._event(opened, one, batch.now), one.to, found)
        return True

    def _taken_over(self, one: News, stops: Sequence[ConsentEvent]) -> None:
        """Somebody who is not here has an address now at which somebody is: nobody knows what she was on for. What she
        said no to is stopped for both (R14)."""
        batch = self._batch
        ids = {self._found[entry.value] for entry in self._vault.lookups(one.to) if entry.value in self._found}
        ids -= {self._former[who] for who in one.who if who in self._former}  # told by another audience of hers too
        for there in [opened for opened in batch.people.values() if opened.person.id in ids]:
            event = self._event(there, one, batch.now)
            self._mover.stop_too(batch, stops, there, event)
            self._mover.set_right(batch, there, event, batch.limits.notice_since)

    def _event(self, opened: Opened, one: News, time: datetime) -> ConsentEvent:
        return ConsentEvent(
            type=one.type,
            subject=opened.person.id,
            time=time,
            received=self._batch.now,
            source=self._adapter,
            method=one.method,
            key=one.keys[0],
            purpose=one.purpose,
            evidence=Evidence(detail=one.detail),
        )

    def _moment(self, one: News) -> datetime:
        """When it happened; a time that cannot be counts as now: a stop is a stop (R1)."""
        now = self._batch.now
        return one.time if _EARLIEST <= one.time <= now + _AHEAD else now

    def _remember(self, strangers: Sequence[News]) -> None:
        """Keep a stop of somebody we do not hold as a hash, so that no later import mails her (SUP-05)."""
        now = self._batch.now
        stops = [
            Stop(one.stops[0], one.purpose, one.type, min(self._moment(one), now))
            for one in strangers
            if one.type in LISTED and one.type in STOPS
        ]
        remember_stops(self._batch.db, stops)
        for one in strangers:
            if one.type is EventType.MOVED:
                self._taken_over(one, self._mover.carry_stops(self._batch, one.stops, one.to))
