"""What the store knew at a past moment: whose an address was then, what had been told of her, what was held.

Only what had arrived by then counts, whatever time it claims. Limits, contracts and wordings are those of today's
policy, applied to that moment: the store keeps no older policy. What cannot be known any more is said, and is a no.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

import msgspec

from bridge.decide import MAILABLE, may_mail, settled, stands, whole
from bridge.store.complaints import Rate
from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.store.rows import Opened, Rows, with_stops
from bridge.store.sql import Hand, Sql
from bridge.tables import EVENT_TYPES, STATUSES
from bridge.vocabulary import Answer, ConsentEvent, EventType, Limits, Method, Status, micros, rfc3339

_HOLDERS = Sql("SELECT number FROM subjects WHERE lookup IN ({})")
_FORMER = Sql("SELECT subject FROM former WHERE lookup IN ({})")
_COUNTED = Sql("SELECT day, count FROM complaints WHERE purpose = ? AND day >= ? AND day <= ? ORDER BY day")
_COMPLAINED = EVENT_TYPES.index(EventType.COMPLAINED) + 1
_LATER = Sql(
    f"SELECT subject, number FROM events WHERE type = {_COMPLAINED} AND time >= ? AND time < ? "
    "AND coalesce(received, time) > ?"
)
_ON = f"({STATUSES.index(Status.GIVEN) + 1}, {STATUSES.index(Status.SOFT_OPT_IN) + 1})"
_AS_THEN = Sql(
    f"SELECT count(*) FROM records r WHERE r.purpose = ? AND r.status IN {_ON} AND NOT EXISTS "
    "(SELECT 1 FROM events e WHERE e.subject = r.subject AND coalesce(e.received, e.time) > ?)"
)
_CHANGED = Sql(
    "SELECT DISTINCT subject FROM events WHERE subject > ? AND coalesce(received, time) > ? ORDER BY subject LIMIT ?"
)

_CHUNK = 500

LOST = "her address changed since, and it is not known which one was hers then"

TODAYS_POLICY = "limits, contracts and wordings are those of today's policy, applied to that moment"
NOBODY = "nobody who can be found now had this address then; whoever was erased or forgotten since left nothing to tell"
LISTED = "the stop list keeps when a no was said, not when it was heard here; it counts from when it was said"


class Then(NamedTuple):
    """The answer for a past moment, and what to know when reading it."""

    answer: Answer
    notes: tuple[str, ...]


class Past:
    """Answers for a moment before now. `mark` is `Links.mark`."""

    def __init__(
        self,
        database: Database,
        rows: Rows,
        *,
        limits: Callable[[datetime], Limits],
        mark: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._rows = database, rows
        self._limits, self._mark, self._clock = limits, mark, clock

    def may_mail(self, email: str, purpose: str, moment: datetime) -> Then:
        """Might this address be mailed for this purpose at that moment, by what the store knew then; and why.

        Raises `BadInput` for a moment that is still to come, or that does not know its zone.
        """
        if moment.tzinfo is None:
            raise BadInput("a moment must know its zone")
        now = self._clock()
        if whole(moment) > now:  # the second we are in is not over, and is no future
            raise BadInput("that moment is still to come: ask about one that is past")
        moment = min(moment, now)
        with self._database.looking() as db:
            hers, unsure = self._whose(db, email, moment)
            listed = self._rows.stops(db, [email])[email]  # last: what is told in between can only be one more stop
        known = [event for event in with_stops(hers, listed) if event.received <= moment]
        limits = self._limits(moment)
        closed = {**limits.closed, **self._held(purpose, moment, limits)}
        answer = may_mail(known, purpose, moment, msgspec.structs.replace(limits, closed=closed))
        notes = [TODAYS_POLICY]
        if any(event.method is Method.STOP_LIST for event in known):
            notes.append(LISTED)
        if not hers:
            notes.append(NOBODY)
            answer = _of_nobody(answer, listed, moment, unsure=unsure)
        return Then(answer, tuple(notes))

    def _whose(self, db: Hand, email: str, moment: datetime) -> tuple[list[ConsentEvent], bool]:
        """The story of whoever had the address then; and whether somebody had it of whom that is not known."""
        hashes = [entry.value for entry in self._rows.vault.lookups(email)]
        numbers = [number for (number,) in _HOLDERS.rows(db, hashes, len(hashes))]
        numbers += [number for (number,) in _FORMER.rows(db, hashes, len(hashes))]
        mark, unsure = self._mark(email), False
        for opened in self._rows.people(db, numbers).values():
            story = self._rows.story(db, opened)
            if not any(event.received <= moment for event in story):
                continue
            then = _address_then(opened, story, moment)
            if then == mark:
                return story, False
            unsure |= then is None
        return [], unsure

    # -- complaints (SND-04) ------------------------------------------------------------------------------------

    def _held(self, purpose: str, moment: datetime, limits: Limits) -> Mapping[str, str]:
        """The purpose with its reason, where too many readers had complained by then, on that day or the one before."""
        today = moment.astimezone(limits.zone).date()
        first = today - timedelta(days=1)
        number = self._rows.names.number(purpose)
        with self._database.looking() as db:
            days: dict[str, int] = dict(_COUNTED.rows(db, (purpose, first.isoformat(), today.isoformat())))
            if max(days.values(), default=0) < limits.complaint_least:
                return {}
            begin = datetime.combine(first, time(), limits.zone)
            end = datetime.combine(today + timedelta(days=1), time(), limits.zone)
            for subject, place in _LATER.rows(db, (micros(begin), micros(end), micros(moment))):
                self._take_out(db, days, (subject, place), purpose, limits)
            most = max(days.values())
            if most < limits.complaint_least:
                return {}
            # So many readers, and it was too few who complained.
            enough = int(most * 100 / limits.complaint_stop) if limits.complaint_stop else 0
            readers = self._readers(db, (number, purpose), moment, enough)
        rates = [
            Rate(day, purpose, days[day.isoformat()], readers) for day in (first, today) if day.isoformat() in days
        ]
        high = [r for r in rates if r.percent >= limits.complaint_stop and r.complaints >= limits.complaint_least]
        return {rate.purpose: f"{rate.words}: stopped (SND-04)" for rate in high}

    def _take_out(self, db: Hand, days: dict[str, int], told: tuple[int, int], purpose: str, limits: Limits) -> None:
        """A complaint that was heard only later counts not yet. Of whoever was erased since it counts all the same."""
        subject, number = told
        opened = self._rows.people(db, [subject]).get(subject)
        if opened is None:
            return
        chain = self._rows.histories(db, [opened.person])[subject]
        if stands(settled(chain[: number - 1]), purpose).status in MAILABLE:
            days[chain[number - 1].time.astimezone(limits.zone).date().isoformat()] -= 1

    def _readers(self, db: Hand, about: tuple[int, str], moment: datetime, enough: int) -> int:
        """How many were on then. Beyond `enough` nobody is counted any more."""
        number, purpose = about
        found = int(_AS_THEN.rows(db, (number, micros(moment)))[0][0])
        for chains in self._changed(db, moment):
            if found > enough:
                break
            then = ([event for event in chain if event.received <= moment] for chain in chains)
            found += sum(stands(settled(known), purpose).status in MAILABLE for known in then)
        return found

    def _changed(self, db: Hand, moment: datetime) -> Iterator[list[list[ConsentEvent]]]:
        """The histories of everybody of whom something was told after that moment."""
        last = 0
        while numbers := [number for (number,) in _CHANGED.rows(db, (last, micros(moment), _CHUNK))]:
            people = [opened.person for opened in self._rows.people(db, numbers).values()]
            yield list(self._rows.histories(db, people).values())
            last = numbers[-1]


def _address_then(opened: Opened, story: Sequence[ConsentEvent], moment: datetime) -> str | None:
    """The mark of the address she had then; None where nobody noted which she left."""
    moves = (event.evidence.left for event in story if event.type is EventType.MOVED and event.received > moment)
    return next((left for left in moves if left != ""), opened.person.mark)


def _of_nobody(answer: Answer, listed: Sequence[ConsentEvent], moment: datetime, *, unsure: bool) -> Answer:
    """The same where nobody is found: it says so where somebody was there of whom nothing can be known any more."""
    erased = [event for event in listed if event.type is EventType.ERASED and event.received > moment]
    if erased:
        why = f"erased {rfc3339(erased[-1].time)}: what was known before is destroyed, so nothing can be said of then"
        return msgspec.structs.replace(answer, why=(why,), may=False)
    if unsure:
        return msgspec.structs.replace(answer, why=(LOST,), may=False)
    return answer
