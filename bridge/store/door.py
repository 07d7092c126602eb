"""The one door: how events, records, stop list and promised work are written together, in one transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from bridge.decide import (
    FOR_ALL,
    LISTED,
    MAILABLE,
    STOPS,
    Decision,
    Work,
    as_bits,
    concerns,
    decide,
    is_news,
    lacking,
    missing_evidence,
    standing,
)
from bridge.store import bought, journeys
from bridge.store.errors import BadInput, IncompleteEvidence, UnknownSubject
from bridge.store.rows import COLUMNS, Opened, Rows, Written, names_of, profile_bytes, stop_event, with_stops
from bridge.store.sql import Hand, Sql
from bridge.store.values import Person
from bridge.store.waiting import UNSURE
from bridge.tables import STATUSES, corrections, events, outbox, pushes, records, stop_clocks, stop_list, unproven
from bridge.vault import Hash, about_event, canonical, digest, encode, new_id, pack, seal
from bridge.vocabulary import (
    EVERY_PURPOSE,
    OPERATOR,
    PREFERENCES,
    READER,
    REPORTED,
    SYSTEM,
    ConsentEvent,
    EventType,
    Limits,
    MailKind,
    Method,
    Status,
    micros,
)

_EVENT = Sql(
    f"INSERT INTO events ({', '.join(COLUMNS)}, sealed, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    table=events,
)
_RECORD = Sql(
    "INSERT INTO records (subject, purpose, status, since, number) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (subject, purpose) DO UPDATE SET status = excluded.status, since = excluded.since, "
    "number = excluded.number",
    table=records,
)
_UNPROVEN = Sql(
    "INSERT INTO unproven (subject, purpose, missing) VALUES (?, ?, ?) "
    "ON CONFLICT (subject, purpose) DO UPDATE SET missing = unproven.missing & excluded.missing",
    table=unproven,
)
_PUSH = Sql(
    "INSERT INTO pushes (subject, adapter, wanted, stop, due) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (subject, adapter) DO UPDATE SET wanted = excluded.wanted, due = excluded.due, "
    "stop = pushes.stop OR excluded.stop, attempts = 0, "
    f"reason = CASE WHEN pushes.reason IN ({journeys.WAITS}) OR substr(pushes.reason, 1, 1) = '{UNSURE}' "
    "THEN pushes.reason END",  # until the ESP says otherwise
    table=pushes,
)
_CLOCK = Sql("INSERT INTO stop_clocks (subject, adapter, number, acted) VALUES (?, ?, ?, ?)", table=stop_clocks)
_MAIL = Sql("INSERT INTO outbox (id, work, subject, payload, made, due) VALUES (?, ?, ?, ?, ?, ?)", table=outbox)
_IDS = Sql("SELECT id FROM subjects WHERE number IN ({})")
_PROFILE = Sql("UPDATE subjects SET profile = ?, trimmed = NULL WHERE number = ?")
_MOVE = Sql("UPDATE subjects SET kid = ?, lookup = ?, mark = ?, profile = ? WHERE number = ?")
_FORMER = Sql(
    "INSERT INTO former (lookup, kid, subject, stop) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (lookup) DO UPDATE SET subject = excluded.subject, stop = excluded.stop"
)
#: But for the notice to an address she left before, which is for nobody else.
_VOID = Sql(f"DELETE FROM outbox WHERE subject = ? AND work <> 'mail:{MailKind.MOVED}'")
#: What platforms hold of an address that was left is not what they hold of her.
_UNSEEN = Sql("DELETE FROM looks WHERE subject = ?")
#: Nor does a link to another new address count any more.
_UNMOVED = Sql("DELETE FROM moves WHERE subject = ?")
#: Nor any question that went to an address she left.
_UNANSWERED = Sql("DELETE FROM open_questions WHERE subject = ?")
_CORRECTION = Sql("INSERT INTO corrections (subject, adapter, number, acted) VALUES (?, ?, ?, ?)", table=corrections)
#: A question that has not left went with its mail.
_UNASKED = Sql("DELETE FROM asked WHERE subject = ? AND sent IS NULL AND NOT returned")
_QUESTIONS = Sql("SELECT hash, purpose, time FROM asked WHERE subject = ? ORDER BY hash")
_REHASH = Sql(
    "UPDATE asked SET hash = ? WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM asked other WHERE other.hash = ?)"
)
_ASKED_BEFORE = Sql("INSERT INTO asked (hash, purpose, time) VALUES (?, ?, ?)")
_BACK = Sql("DELETE FROM former WHERE lookup IN ({})")
_LIFT = Sql("DELETE FROM stop_list WHERE hash = ? AND (scope = ? OR (scope = '' AND reason = 'erased'))")
#: What no lesser no takes the place of, however late it comes: the strictest last.
_STRICT = ("objected", "complained", "erased")
_RANK = (
    "CASE {}.reason WHEN 'expired' THEN -1 "  # a yes that grew too old says nothing about a no
    + " ".join(f"WHEN '{word}' THEN {rank}" for rank, word in enumerate(_STRICT, 1))
    + " ELSE 0 END"
)
_MINE, _THEIRS = _RANK.format("stop_list"), _RANK.format("excluded")
_STOP = Sql(
    "INSERT INTO stop_list (hash, scope, kid, reason, since) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (hash, scope) DO UPDATE SET kid = excluded.kid, "
    f"reason = CASE WHEN {_THEIRS} > {_MINE} OR ({_THEIRS} = {_MINE} AND excluded.since >= stop_list.since) "
    "THEN excluded.reason ELSE stop_list.reason END, "
    "since = CASE WHEN excluded.since > stop_list.since THEN excluded.since ELSE stop_list.since END",
    table=stop_list,
)

_COMPLAINT = Sql(
    "INSERT INTO complaints (day, purpose, count) VALUES (?, ?, ?) "
    "ON CONFLICT (day, purpose) DO UPDATE SET count = complaints.count + excluded.count"
)

_ROAD = Sql(
    "INSERT INTO confirm_roads (channel, road, count) VALUES (?, ?, 1) "
    "ON CONFLICT (channel, road) DO UPDATE SET count = confirm_roads.count + 1"
)

_STATUS_NUMBERS = {status: number for number, status in enumerate(STATUSES, start=1)}

_STARTS = frozenset({EventType.REQUESTED, EventType.GIVEN, EventType.ENROLLED})

#: What names the channel by which it came (CHN-01); a stop needs none.
_COLLECTED = _STARTS | {EventType.IMPORTED}


#: A stop that was received longer ago was parked, and is written late at its own time.
_JUST_NOW = timedelta(seconds=60)


#: What every recipient is told of, and when is noted (GDPR 19).
_CORRECTED = frozenset({EventType.CORRECTED, EventType.MOVED})


class Stop(NamedTuple):
    """One entry for the stop list: who said no to what, as a keyed hash."""

    hash: Hash
    scope: str  # a purpose; empty = all
    reason: EventType
    since: datetime

    def and_also(self, other: "Stop") -> "Stop":
        """Both as one: the stricter reason, else the later one; the later time."""
        first, last = sorted((self, other), key=lambda stop: (_strictness(stop.reason), stop.since))
        return last._replace(since=max(first.since, last.since))

    @property
    def key(self) -> tuple[bytes, str]:
        """What it stands under. An objection or complaint is one to everything (R6): no lesser no takes its place."""
        return self.hash.value, EVERY_PURPOSE if self.reason in FOR_ALL else self.scope


class Arrival(NamedTuple):
    """Somebody new with her first event, sealed and chained, and what it decides."""

    opened: Opened
    event: ConsentEvent
    sealed: bytes
    digest: bytes
    decision: Decision


class Batch:
    """Everything one transaction writes about some people. Load them (locked), add events, flush once."""

    def __init__(self, db: Hand, rows: Rows, adapters: Sequence[str], limits: Limits, now: datetime) -> None:
        self.db, self.rows, self.adapters, self.limits, self.now = db, rows, adapters, limits, now
        self.vault = rows.vault
        self.words: set[str] = set()  # wordings kept by this transaction
        self.people: dict[int, Opened] = {}
        self.history: dict[int, list[ConsentEvent]] = {}
        self._tails: dict[int, tuple[int, bytes]] = {}
        self._events: list[Written] = []
        self._records: dict[tuple[int, str], tuple[Status, datetime, int]] = {}
        self._unproven: dict[tuple[int, str], int] = {}
        self._alike: list[tuple[Sequence[Written], Decision]] = []
        self._pushes: dict[int, bool] = {}
        self._clocks: list[tuple[int, str, int, int]] = []
        self._corrections: list[tuple[int, str, int, int]] = []
        self._rejoined: set[tuple[int, str, str]] = set()
        self._mails: list[tuple[object, ...]] = []
        self._letters: dict[tuple[int, str], list[str]] = {}
        self._stops: dict[tuple[bytes, str], Stop] = {}
        self._lifted: list[tuple[bytes, str]] = []
        self._profiles: list[tuple[int, bytes]] = []
        self._complaints: Counter[tuple[str, str]] = Counter()  # by day and purpose
        self._roads: list[tuple[str, str]] = []  # channel and road of what was confirmed now

    def load(self, ids: Collection[str]) -> None:
        """Lock these people in a fixed order and read all that was told of them, in three reads."""
        found = self.rows.locked(self.db, ids)
        if missing := set(ids) - {opened.person.id for opened in found}:
            raise UnknownSubject(f"{len(missing)} people are not known here")
        self._take_in(found)

    def load_known(self, ids: Collection[str]) -> None:
        """The same, without those who were forgotten meanwhile."""
        self._take_in(self.rows.locked(self.db, ids))

    def load_numbers(self, numbers: Sequence[int]) -> None:
        """The same, by number."""
        self.load_known({subject for (subject,) in _IDS.rows(self.db, numbers, len(numbers))} if numbers else ())

    def load_by_link(self, subject: str, mark: str) -> Opened | None:
        """Lock whom a link means and read her; None when nobody is here any more."""
        opened = self.rows.locked_by_link(self.db, subject, mark)
        if opened is not None:
            self._take_in([opened])
        return opened

    def _take_in(self, found: Sequence[Opened]) -> None:
        people = [opened.person for opened in found]
        told, tails = self.rows.chains(self.db, people)
        self._tails.update(tails)
        stops = self.rows.stops(self.db, [person.email for person in people])
        for opened in found:
            self.people[opened.number] = opened
            self.history[opened.number] = with_stops(told[opened.number], stops[opened.person.email])

    def by_id(self, subject: str) -> Opened:
        """The loaded person of that id."""
        return next(opened for opened in self.people.values() if opened.person.id == subject)

    def add(self, opened: Opened, event: ConsentEvent) -> Decision | None:
        """Take one event in: what it changes is decided on everything known so far. None = it says nothing new."""
        history = self.history[opened.number]
        check(event, self.limits, history)
        if event.type in STOPS or event.type in (EventType.BOUNCED, EventType.RESTRICTED):
            event = self._not_before(history, event)
        if event.by_reader and event.type in STOPS and not is_news(history, event):
            return None
        # As it will be read again, so that ties are decided now as they will be then.
        number = self._tails[opened.number][0] + 1
        known = event if event.method in REPORTED else msgspec.structs.replace(event, key=str(number))
        decision = decide(history, known, self.limits)
        self._chain(opened, event, number)
        history.append(known)
        self._project(opened, event, decision)
        self._promise(opened, event, decision)
        return decision

    def _not_before(self, history: Sequence[ConsentEvent], event: ConsentEvent) -> ConsentEvent:
        """A stop said now is the last word, also where the clock was set back; a parked one keeps its time.

        While the clock is behind what is known already, no stop can be told to be an old one: each is the last word.
        """
        latest = max((known.received for known in history), default=event.received)
        parked = self.now - event.received > _JUST_NOW and self.now >= latest
        if parked or event.received >= latest:
            return event
        return msgspec.structs.replace(event, time=max(event.time, latest), received=latest)

    def mail(
        self,
        opened: Opened,
        kind: str,
        purposes: Iterable[str],
        *,
        language: str,
        request: str = "",
        channel: str = "",
        to: str = "",
        child: bool = False,
    ) -> str:
        """Promise one mail in this same transaction; gives its id. `to` is where it goes if not to her address."""
        key = new_id()
        payload: dict[str, object] = {
            "purposes": sorted(purposes),
            "language": language,
            "request": request,
            "channel": channel,
        }
        payload |= ({"to": to} if to else {}) | ({"child": True} if child else {})
        sealed = seal(opened.key, encode(payload), f"{opened.person.id}/{key}")
        now = micros(self.now)
        self._mails.append((key, f"mail:{kind}", opened.number, sealed, now, now))
        return key

    def count_road(self, channel: str, road: str) -> None:
        """One more sign-up of this channel was confirmed, or held, by this road."""
        self._roads.append((channel, road))

    def correct(self, opened: Opened, person: Person) -> None:
        """Keep a changed profile (language, declared fields)."""
        self._profiles.append((opened.number, seal(opened.key, profile_bytes(person), person.id)))
        self.people[opened.number] = Opened(person=person, key=opened.key)

    def arrive(self, arrival: Arrival, stops: Sequence[ConsentEvent]) -> None:
        """Take in somebody who is new here, with her first event, made and sealed before this transaction began.

        `stops` is what the stop list says of her address: she is here all the same, for something else.
        """
        opened, event, decision = arrival.opened, arrival.event, arrival.decision
        check(event, self.limits)
        self.people[opened.number], self._tails[opened.number] = opened, (1, arrival.digest)
        self._events.append(Written(event, opened.number, 1, arrival.sealed, arrival.digest))
        self.history[opened.number] = [*stops, msgspec.structs.replace(event, key="1")]
        self._project(opened, event, decision)
        if decision.work:
            self._promise(opened, event, decision)

    def arrive_alike(self, told: Sequence[Written], decision: Decision) -> None:
        """Take in people who are new here, of whom nothing else is told now or on the stop list, each with one event.

        These say the same but for who says it when, so that one decision is that of each: at most to tell the ESPs.
        """
        check(told[0].event, self.limits)
        if decision.work - {Work.PUSH}:
            raise ValueError("more than a push follows: it must be promised one by one")
        self._alike.append((told, decision))

    def remember(self, stop: Stop) -> None:
        """Keep the stop of somebody who is not here, as a hash (SUP-05)."""
        self._stops[stop.key] = stop.and_also(self._stops.get(stop.key, stop))

    def tell(self, opened: Opened) -> None:
        """Have every ESP told how she stands, though nothing has changed here."""
        self._pushes.setdefault(opened.number, False)

    def rejoined(self, opened: Opened, adapter: str) -> None:
        """An ESP says she is on there again: whatever of hers waited there can go on."""
        self._rejoined.add((opened.number, adapter, opened.person.email))

    def move(self, opened: Opened, email: str, mark: str) -> Opened:
        """Her address is another one from now on.

        The stops that were kept under either stand (R14); mails that wait were for the old one and are void (R13).
        """
        old, new = self.vault.lookups(opened.person.email), self.vault.lookups(email)
        kept = self.rows.stops(self.db, [opened.person.email, email])
        newest = self.vault.stop_hashes(email)[0]
        remember_stops(
            self.db,
            [Stop(newest, stop.purpose, stop.type, stop.time) for stop in kept[opened.person.email]],
        )
        self.history[opened.number] = with_stops(self.history[opened.number], kept[email])
        person = msgspec.structs.replace(opened.person, email=email, mark=mark)
        profile = seal(opened.key, profile_bytes(person), person.id)
        _MOVE.run(self.db, (new[0].kid, new[0].value, mark, profile, person.number))
        _VOID.run(self.db, (person.number,))
        _UNSEEN.run(self.db, (person.number,))
        _UNMOVED.run(self.db, (person.number,))
        _UNANSWERED.run(self.db, (person.number,))
        self._take_questions_along(person.number, email)
        gone = self.vault.stop_hashes(opened.person.email)[0]  # of the same root as the newest of `old`
        _FORMER.run(self.db, (old[0].value, old[0].kid, person.number, gone.value))
        _BACK.run(self.db, [entry.value for entry in new], len(new))
        self.people[opened.number] = Opened(person=person, key=opened.key)
        return self.people[opened.number]

    def _take_questions_along(self, number: int, email: str) -> None:
        """What she was asked once more is known by her new address from now on; that the old one was asked stays."""
        _UNASKED.run(self.db, (number,))
        for before, purpose, time in _QUESTIONS.rows(self.db, (number,)):
            now = self.vault.once(purpose, email)
            if _REHASH.run(self.db, (now, before, now)):
                _ASKED_BEFORE.run(self.db, (before, purpose, time))

    def flush(self) -> bool:
        """Write everything, batch-wise. True when work was promised."""
        for (number, kind), purposes in self._letters.items():
            self.mail(self.people[number], kind, set(purposes), language=self.people[number].person.language)
        _PROFILE.many(self.db, [(profile, number) for number, profile in self._profiles])
        if self._events:
            self._write_events()
        remember_stops(self.db, list(self._stops.values()))
        _LIFT.many(self.db, self._lifted)
        _MAIL.many(self.db, self._mails)
        due = micros(self.now)
        _PUSH.many(
            self.db,
            [
                (number, adapter, self._tails[number][0], stop, due)
                for number, stop in sorted(self._pushes.items())
                for adapter in self.adapters
            ],
        )
        told = self._write_alike() if self._alike else False
        _CLOCK.many(self.db, sorted(self._clocks))
        _CORRECTION.many(self.db, sorted(self._corrections))
        journeys.rejoined(self.db, self.vault, list(self._rejoined), due)
        _COMPLAINT.many(self.db, [(*about, count) for about, count in sorted(self._complaints.items())])
        if self._roads:
            numbers = self.rows.names.numbers(self.db, {channel for channel, _ in self._roads})
            _ROAD.many(self.db, [(numbers[channel], road) for channel, road in sorted(self._roads)])
        return bool(self._mails or self._pushes or self._rejoined or told)

    def promised(self) -> list[str | int]:
        """The rows of work that this transaction promises: mails by id, people to tell platforms of by number."""
        return [*(str(mail[0]) for mail in self._mails), *sorted(self._pushes)]

    def _write_events(self) -> None:
        """Events and where they leave each person."""
        names = names_of(written.event for written in self._events) | {purpose for _, purpose in self._records}
        numbers = self.rows.names.numbers(self.db, names)
        self._note_bought((written.event for written in self._events), numbers)
        _EVENT.many(
            self.db,
            [
                (*self.rows.columns(event, subject, number, numbers.__getitem__), sealed, chained)
                for event, subject, number, sealed, chained in self._events
            ],
        )
        _RECORD.many(
            self.db,
            [
                (subject, numbers[purpose], _STATUS_NUMBERS[status], micros(since), number)
                for (subject, purpose), (status, since, number) in self._records.items()
            ],
        )
        _UNPROVEN.many(
            self.db,
            [(subject, numbers[purpose], missing) for (subject, purpose), missing in sorted(self._unproven.items())],
        )

    def _write_alike(self) -> bool:
        """The same of people who are new here, and what is promised of them; True when anything is."""
        names = names_of(told[0].event for told, _ in self._alike)
        names |= {purpose for _, decision in self._alike for purpose in decision.stands}
        numbers = self.rows.names.numbers(self.db, names)
        self._note_bought((told[0].event for told, _ in self._alike), numbers)
        rows: list[tuple[Any, ...]] = []
        stands: list[tuple[Any, ...]] = []
        pushes: list[tuple[Any, ...]] = []
        lacks: list[tuple[int, int, int]] = []
        due = micros(self.now)
        for told, decision in self._alike:
            alike = self.rows.rows_alike(told, numbers.__getitem__)
            rows += alike
            for purpose, (status, _) in decision.stands.items():
                where = numbers[purpose], _STATUS_NUMBERS[status]
                stands += [(subject, *where, time, number) for subject, number, _, _, time, *_ in alike]
            if decision.work:
                pushes += [(each.subject, name, each.number, False, due) for each in told for name in self.adapters]
            if told[0].event.type is EventType.IMPORTED:
                lacks += [(one.subject, numbers[one.event.purpose], as_bits(lacking(one.event))) for one in told]
        _EVENT.fresh(self.db, rows)
        _RECORD.fresh(self.db, stands)
        _UNPROVEN.fresh(self.db, lacks)
        _PUSH.fresh(self.db, pushes)
        return bool(pushes)

    def _note_bought(self, told: Iterable[ConsentEvent], numbers: Mapping[str, int]) -> None:
        """Note by which channels somebody else's lists come in now: tomorrow's policy may not say it any more."""
        theirs = {event.channel for event in told if event.channel in self.limits.bought and event.type in _COLLECTED}
        bought.note(self.db, [numbers[channel] for channel in theirs if channel])

    def _chain(self, opened: Opened, event: ConsentEvent, number: int) -> None:
        _, previous = self._tails[opened.number]
        sealed = seal(opened.key, pack(canonical(event)), about_event(opened.person.id, number))
        mine = digest(previous, sealed)
        self._tails[opened.number] = (number, mine)
        self._events.append(Written(event, opened.number, number, sealed, mine))

    def _project(self, opened: Opened, event: ConsentEvent, decision: Decision) -> None:
        """Where she stands by her own events; the stop list is asked anew each time."""
        number, known = self._tails[opened.number][0], self.history[opened.number]
        told = [event for event in known if event.method is not Method.STOP_LIST]
        of_all = len(told) == len(known)  # then it is decided already
        if event.type is EventType.IMPORTED:
            missing, about = as_bits(lacking(event)), (opened.number, event.purpose)
            self._unproven[about] = self._unproven.get(about, missing) & missing
        for purpose in {event.purpose for event in told} - {EVERY_PURPOSE}:
            if not concerns(event, purpose):
                continue
            status, by = decision.stands[purpose] if of_all else standing(told, purpose)
            self._records[opened.number, purpose] = (status, by.time if by else event.time, number)

    def _promise(self, opened: Opened, event: ConsentEvent, decision: Decision) -> None:
        work = decision.work
        changed = [p for p, status in decision.after.items() if status is not decision.before[p]]
        if Work.WELCOME in work:
            self._letters.setdefault((opened.number, Work.WELCOME.value), []).extend(decision.welcomes)
        if Work.GOODBYE in work:
            self._letters.setdefault((opened.number, Work.GOODBYE.value), []).extend(changed)
        if event.type is EventType.COMPLAINED:
            day = event.time.astimezone(self.limits.zone).date().isoformat()
            self._complaints.update((day, p) for p, status in decision.before.items() if status in MAILABLE)
        if Work.STOP in work or Work.PUSH in work:
            self._pushes[opened.number] = self._pushes.get(opened.number, False) or Work.STOP in work
        ours = event.by_reader or event.source == OPERATOR  # a platform that tells of a move knows it
        if event.type in _CORRECTED and ours and (Work.PUSH in work or Work.STOP in work):
            one = (self._tails[opened.number][0], micros(event.time))
            self._corrections += [(opened.number, name, *one) for name in self.adapters]
        if Work.STOP in work and event.type in STOPS:
            # An ESP that told us of the stop itself has nothing to confirm; one in a list was said to somebody else.
            said = event.received if event.method is Method.IMPORT else min(event.time, event.received)
            mine = (opened.number, self._tails[opened.number][0], micros(said))
            self._clocks += [(mine[0], name, *mine[1:]) for name in self.adapters if name != event.source]
        if event.type in LISTED:
            newest = self.vault.stop_hashes(opened.person.email)[0]
            self._lifted = [entry for entry in self._lifted if entry != (newest.value, event.purpose)]
            stop = Stop(newest, event.purpose, event.type, event.time)
            self._stops[stop.key] = stop.and_also(self._stops.get(stop.key, stop))
        lifts = event.type is EventType.GIVEN and event.confirmed
        if lifts and decision.after.get(event.purpose) is Status.GIVEN:
            hashes = self.vault.stop_hashes(opened.person.email)
            self._lifted += [(entry.value, event.purpose) for entry in hashes]
            self._stops.pop((hashes[0].value, event.purpose), None)


def check(event: ConsentEvent, limits: Limits, history: Collection[ConsentEvent] = ()) -> None:
    """Refuse what may not be written, before anything is. `history` is what is known of her already."""
    if any(moment and moment.tzinfo is None for moment in (event.time, event.received, event.asked, event.until)):
        raise BadInput("an event's times must know their zone")
    if event.type in _STARTS and event.purpose not in limits.notice_since:
        raise BadInput(f"unknown purpose {event.purpose!r}: the policy declares {sorted(limits.notice_since)}")
    ours = event.type is EventType.REQUESTED and event.source == SYSTEM  # a question of our own
    if event.type in _STARTS and event.source != READER and event.method in REPORTED and not ours:
        raise BadInput("an ESP's word is never a yes")
    if missing := missing_evidence(event):
        raise IncompleteEvidence(f"{event.type} without its proof: {', '.join(missing)} missing")
    if event.type in _COLLECTED and not _is_declared(event, limits, history):
        raise BadInput(f"unknown channel {event.channel!r}: the policy declares {sorted(limits.channels)} (CHN-01)")


def _is_declared(event: ConsentEvent, limits: Limits, history: Collection[ConsentEvent]) -> bool:
    """Whether the policy knows where this was collected. An answer names the channel of its question, which may have
    left the policy since."""
    known = event.channel == PREFERENCES or event.channel in limits.channels
    return known or any(event.channel == told.channel for told in history if event.channel and told.type in _COLLECTED)


def with_stop(told: Sequence[ConsentEvent], stop: Stop) -> list[ConsentEvent]:
    """What the stop list will say of an address that nobody has here, once this is remembered too."""
    _, scope = stop.key
    there = [event for event in told if event.purpose == scope]
    for event in there:
        stop = stop.and_also(Stop(stop.hash, scope, event.type, event.time))
    return [*(event for event in told if event not in there), stop_event(stop.reason.value, scope, stop.since)]


def remember_stops(db: Hand, stops: Sequence[Stop]) -> None:
    """Keep stops as keyed hashes only; the strictest counts, then the latest."""
    kept: dict[tuple[bytes, str], Stop] = {}
    for stop in stops:
        kept[stop.key] = stop.and_also(kept.get(stop.key, stop))
    in_order = [kept[key] for key in sorted(kept)]  # one lock order for all writers
    _STOP.many(db, [(*stop.key, stop.hash.kid, stop.reason.value, micros(stop.since)) for stop in in_order])


def _strictness(reason: EventType) -> int:
    if reason is EventType.EXPIRED:
        return -1
    return _STRICT.index(reason.value) + 1 if reason.value in _STRICT else 0
