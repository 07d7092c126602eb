"""The store against one ESP, both ways: what webhooks lost is heard, what the ESP forgot is told again.

First everything the ESP holds is read, and noted as a few bits a person (`Sight`). Then everybody here is gone through
by number: whoever stands alike on both sides is not looked at any closer. The few who differ are read in full and
judged one by one (`decide.sides`). What is found here goes through the one door (`store.hear`), what must change there
through the pushes that the dispatcher carries out.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from bridge.adapter import Adapter, AdapterError
from bridge.bootstrap import Bridge
from bridge.decide import blocks, may_mail, status
from bridge.decide.sides import Here, Repair, There, Verdict, judge
from bridge.jobs.comparing import NEWS, THERE, Stands, compare
from bridge.jobs.line import on_a_line
from bridge.jobs.members import member
from bridge.jobs.sight import BUSY, SPECIAL, Sight
from bridge.policy import Strangers
from bridge.store.pushes import SLICE, Look
from bridge.store.sides import LOOKED_UP, PAGE, Sides, bits_of, slices, times_of
from bridge.vault import new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    ConsentEvent,
    EventType,
    Limits,
    Member,
    Method,
    OutcomeKind,
    Report,
    Seen,
    normal_email,
    rfc3339,
)

log = logging.getLogger("bridge.reconcile")

#: News in one transaction: short enough that no click waits for it (decision 16).
_HEARD = 100

#: An ESP shows what it was told only after a while (contracts section 7).
_SETTLES = timedelta(minutes=10)

#: What a killed comparison read is believed so long.
_KEPT_FOR = timedelta(hours=6)

#: What is done by hearing the ESP: its stop, or that it says "on", which has it set right (ESP-01).
_BY_HEARING = frozenset({Repair.STOP_HERE, Repair.BOUNCE_HERE, Repair.UNSUBSCRIBE, Repair.SWITCH_OFF})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One person and purpose that the two sides do not agree about. The address is for a protected file only."""

    subject: str  # empty where she is not in the store
    email: str
    adapter: str
    purpose: str  # empty = all
    ours: str
    ours_last: str
    theirs: str
    theirs_last: str
    verdict: Verdict
    repair: Repair


class Result(msgspec.Struct, kw_only=True):
    """What a comparison found and did."""

    compared: int = 0  # people the ESP holds
    under_way: int = 0  # people of whom one side is just being told
    differences: int = 0
    verdicts: dict[str, int] = {}
    applied: int = 0
    failed: int = 0  # people who are not here and could not be switched off there: the next run tries again
    may: int = 0  # people here who may be mailed, by their statuses
    missing: int = 0  # people to be switched on there
    braked: bool = False  # they are more than allowed, so none was
    strangers: int = 0  # people not known here to be switched off there, by policy
    strangers_braked: bool = False  # the same


class _State(msgspec.Struct, kw_only=True):
    """How far a comparison has come."""

    began: datetime
    reading: bool = True
    mark: str = ""
    last: int = 0
    on: list[int] = []
    erasing: bool = False  # the ESP still has to erase people; who is on there may be one of them
    result: Result
    sight: bytes = b""


class Reconciler:
    """Compares with one ESP. `tell` is given each difference, `progress` what is done of how much."""

    #: Addresses after which it is noted how far the reading has come.
    keeps_every = 200_000

    def __init__(
        self,
        bridge: Bridge,
        name: str,
        *,
        dry_run: bool,
        max_changes: int,
        tell: Callable[[Difference], None] = lambda _: None,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        self.bridge, self.name, self.dry_run, self.max_changes = bridge, name, dry_run, max_changes
        self._tell, self._progress = tell, progress
        self.store = bridge.store
        self.sides = Sides(self.store.database, self.store.rows, self.store.queue)
        self.purposes = tuple(sorted(bridge.policy.places(name)))
        self._run = new_id()
        self._retired = self.store.queue.is_retired(name)
        processor = bridge.policy.processors.get(name)
        self._ends_strangers = processor is not None and processor.strangers is Strangers.UNSUBSCRIBE
        self._ending: dict[str, set[str]] = {}  # address -> purposes, of no more than may be ended
        self._stopped_strangers: dict[int, int] = {}  # by a hash of the address: what she left, as bits

    @property
    def adapter(self) -> Adapter:
        """The ESP's."""
        return self.bridge.adapters[self.name]

    def run(self) -> Result:
        """Compare, and unless it is a dry run do what follows. Raises `AdapterError` when the ESP cannot be read."""
        resumed = self._resume()
        if not resumed:
            self._begin()
        if self.state.reading:
            try:
                self._read()
            except AdapterError:
                if not resumed:
                    raise
                self._begin()  # what the reading went on from is no longer there
                self._read()
        self._end_strangers()
        self._compare()
        self._switch_on()
        if not self.dry_run:
            self.sides.keep(self.name, self.state.began, None)
        return self.state.result

    # -- beginning, and going on --------------------------------------------------------------------------------

    def _resume(self) -> bool:
        kept = None if self.dry_run else self.sides.kept(self.name)
        if kept is None or not timedelta(0) <= self.bridge.clock() - kept[0] < _KEPT_FOR:
            return False
        self.state = msgspec.msgpack.decode(kept[1], type=_State)
        self.sight = Sight.unpack(self.state.sight)
        log.info("%s: a comparison that was cut short goes on", self.name)
        return self.sight.purposes == self.purposes

    def _begin(self) -> None:
        now = self.bridge.clock()
        erasing = any(task.name == f"{self.name} erasures" and task.waiting for task in self.store.tasks())
        self.state = _State(began=now, erasing=erasing, result=Result())
        self.sight = Sight(self.purposes, self.sides.last())
        # Who is being told while we read may be seen there as she was before.
        self.sight.mark(BUSY, self.sides.busy(self.name, now))
        self.sight.mark(SPECIAL, self.sides.special(self.bridge.limits(now)))

    def _keep(self) -> None:
        """Note how far it has come, so that a killed comparison goes on from here."""
        if not self.dry_run:
            state = msgspec.structs.replace(self.state, sight=self.sight.pack())
            self.sides.keep(self.name, self.state.began, msgspec.msgpack.encode(state))

    # -- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        with self.sides.held():
            self._read_all()
        self.state.reading = False
        self.state.result.compared += self.sight.seen()
        self._keep()

    def _read_all(self) -> None:
        read = kept = 0
        for seen in on_a_line(self.bridge, self.name, self.adapter.everybody(self.state.mark)):
            for first in range(0, len(seen.emails), LOOKED_UP):
                part = slice(first, first + LOOKED_UP)
                self._take(seen, seen.emails[part], seen.times[part])
            read += len(seen.emails)
            self._progress(f"reading {self.name}", read, max(read, self.sight.last))
            if seen.mark:
                self.state.mark = seen.mark
                if read - kept >= self.keeps_every:
                    kept = read
                    self._keep()

    def _take(self, seen: Seen, emails: Sequence[str], times: Sequence[int]) -> None:
        """Some of them: whoever is here by her number, the others at once."""
        if seen.stop is None:
            numbers, strangers = self.sides.find(emails)
            self.sight.take(self.sight.bits(seen), numbers)
        else:
            known, at = self.sides.numbers(emails), times_of(emails, times)
            self.sight.take(self.sight.bits(seen), list(known.values()))
            self.sight.take_times(seen.stop, {number: at[email] for email, number in known.items() if at[email]})
            strangers = [email for email in emails if email not in known]
        if strangers:
            self._strangers(seen, strangers, times_of(emails, times))

    # -- people who are not here --------------------------------------------------------------------------------

    def _strangers(self, seen: Seen, emails: Sequence[str], times: Mapping[str, int]) -> None:
        """Their stops are kept as hashes; whoever is on there without one is reported, and nothing else."""
        listed = self.sides.strangers(emails)
        reports: list[Report] = []
        off: dict[str, set[str]] = {}
        gone: list[str] = []
        self.state.result.compared += len(emails)
        for email in emails:
            stops, nowhere = listed[email], set[str]()
            for purpose, there in self._facts(seen, email):
                here = _stranger(stops, purpose)
                known = any(stop.purpose in (EVERY_PURPOSE, purpose) for stop in stops)
                under_way = here is Here.ERASED and self.state.erasing
                verdict, repair = judge(here, there, known=known, under_way=under_way)
                if verdict is Verdict.UNKNOWN and self._ends_strangers:
                    repair = Repair.UNSUBSCRIBE
                    nowhere.add(purpose)
                if verdict in (Verdict.EQUAL, Verdict.UNDER_WAY):
                    continue
                since = datetime.fromtimestamp(times[email], self.state.began.tzinfo) if times[email] else None
                last = max((stop.time for stop in stops), default=None)
                self._found(
                    Difference(
                        subject="",
                        email=email,
                        adapter=self.name,
                        purpose=purpose,
                        ours=here.value,
                        ours_last=f"said no {rfc3339(last)}" if last else "never seen here",
                        theirs=there.value,
                        theirs_last=_when(there, since),
                        verdict=verdict,
                        repair=repair,
                    )
                )
                if repair is Repair.STOP_HERE:
                    reports.append(self._report(NEWS[there], email, purpose, since))
                elif repair is Repair.UNSUBSCRIBE and verdict is not Verdict.UNKNOWN:
                    off.setdefault(email, set()).update(self.adapter.shared(purpose))
                elif repair is Repair.ERASE and email not in gone:
                    gone.append(email)
            if nowhere:
                self._to_end(email, nowhere)
        self._hear(reports)
        if gone and not self.dry_run:
            self.state.result.applied += self.store.erase_there(self.name, gone)
        self._switch_off(off)

    def _to_end(self, email: str, purposes: Collection[str]) -> None:
        """She is on there and nobody knows why: by policy she is switched off, if there are not too many of them."""
        result = self.state.result
        result.strangers += 1
        result.strangers_braked = result.strangers > self.max_changes
        if result.strangers_braked:
            self._ending.clear()
        else:
            self._ending[email] = {each for purpose in purposes for each in self.adapter.shared(purpose)}

    def _end_strangers(self) -> None:
        """Unless somebody signed up here meanwhile."""
        for part in slices(list(self._ending), LOOKED_UP):
            here = self.sides.numbers(part)
            self._switch_off({email: self._ending[email] for email in part if email not in here})
        self._ending.clear()

    def _facts(self, seen: Seen, email: str) -> list[tuple[str, There]]:
        """What this says of somebody who has no number to add it up by."""
        key = hash(normal_email(email))
        left = self._stopped_strangers.get(key, 0)
        if seen.stop is not None:
            about = seen.purposes if seen.stop is EventType.UNSUBSCRIBED else self.purposes
            left |= sum(1 << place for place, purpose in enumerate(self.purposes) if purpose in about)
            self._stopped_strangers[key] = left
        facts = [
            (purpose, There.ON)
            for place, purpose in enumerate(self.purposes)
            if purpose in seen.on and not left >> place & 1
        ]
        if seen.stop is EventType.UNSUBSCRIBED:
            return [*facts, *((purpose, There.LEFT) for purpose in sorted(seen.purposes))]
        return [*facts, (EVERY_PURPOSE, THERE[seen.stop])] if seen.stop else facts

    def _switch_off(self, off: Mapping[str, Collection[str]]) -> None:
        """These addresses are on there for these purposes, and nobody here is to be mailed at them.

        No row of ours can hold this work, so it is done at once or next time.
        """
        if self.dry_run:
            return
        book, result = self.store.queue.connections, self.state.result
        members = [Member(email=email, stopped=frozenset(left), first=True) for email, left in off.items()]
        for part in slices(members, self.adapter.batch):
            with book.one(self.name, self.adapter.connections, urgent=True) as free:
                outcomes = self.adapter.put(part) if free else []
            done = sum(outcome.kind in (OutcomeKind.DONE, OutcomeKind.PENDING) for outcome in outcomes)
            result.applied += done
            result.failed += len(part) - done

    # -- comparing ----------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        now = self.bridge.clock()
        limits = msgspec.structs.replace(self.bridge.limits(now), closed={})  # a contract that ran out is no "no"
        sight, wanted = self.sight, _Wanted(self.sight)
        nobody = wanted.on if self._retired else 0
        for after in range(self.state.last, sight.last, PAGE):
            until = min(after + PAGE, sight.last)
            ours = [0] * (until - after)
            stands = self.sides.standing(self.purposes, limits, now, after=after, until=until)
            for number, bits in stands:
                ours[number - after - 1] = bits & ~nobody
            self.state.result.may += sum([1 for _, bits in stands if bits & wanted.on])
            page = slice(after + 1, until + 1)
            rows = list(zip(ours, sight.there[page], sight.marks[page], strict=True))
            odd = {row for row in set(rows) if wanted.differ(*row)}  # of a few combinations, however many people
            differ = [number for number, row in enumerate(rows, after + 1) if row in odd] if odd else []
            calm = [number for number in differ if not sight.marks[number] & BUSY]
            self.state.result.under_way += len(differ) - len(calm)
            before = self.state.result.applied, len(self.state.on)
            for part in slices(calm, SLICE):
                self._look(self.store.queue.look_at(self.name, part), now, limits)
            self.state.last = until
            self._progress(f"comparing {self.name}", until, sight.last)
            if before != (self.state.result.applied, len(self.state.on)):
                self._keep()

    def _look(self, looks: Sequence[Look], now: datetime, limits: Limits) -> None:
        """Judge some people, then do what follows for all of them."""
        reports: list[Report] = []
        off: list[int] = []
        for look in looks:
            settled = self.state.began - _SETTLES
            if look.busy or any(event.received >= settled for event in look.push.history):
                self.state.result.under_way += 1
                continue
            repairs = self._person(look, now, limits)
            reports += [report for report, _ in repairs if report is not None]
            if any(repair is Repair.SUBSCRIBE for _, repair in repairs):
                self.state.on.append(look.push.person.number)
            elif any(report is None and repair is Repair.SWITCH_OFF for report, repair in repairs):
                off.append(look.push.person.number)
        self._hear(reports)
        if off and not self.dry_run:
            self.store.queue.promise(self.name, off)
            self.state.result.applied += len(off)

    def _person(self, look: Look, now: datetime, limits: Limits) -> list[tuple[Report | None, Repair]]:
        """What she differs in, purpose by purpose."""
        push, person = look.push, look.push.person
        told = member(self.bridge, push, now, limits, closed=False, retired=self._retired)
        shut = blocks(push.history, limits)
        found: list[tuple[Report | None, Repair]] = []
        whole_person: set[There] = set()
        for purpose in self.purposes:
            there = self.sight.stands(person.number, purpose)
            since = self.sight.since(person.number, there)
            here, verdict, repair = compare(self.adapter, look, told, Stands(purpose, there, since), shut)
            if verdict in (Verdict.EQUAL, Verdict.UNDER_WAY) or there in whole_person:
                continue
            about = purpose
            if there in (There.DEAD, There.COMPLAINED):
                whole_person.add(there)
                about = EVERY_PURPOSE
            self._found(
                Difference(
                    subject=person.id,
                    email=person.email,
                    adapter=self.name,
                    purpose=about,
                    ours=here.value if here in (Here.PAUSED, Here.BLOCKED) else status(push.history, purpose).value,
                    ours_last="; ".join(may_mail(push.history, purpose, now, limits).why),
                    theirs=there.value,
                    theirs_last=_when(there, since),
                    verdict=verdict,
                    repair=repair,
                )
            )
            # "On" at an ESP that is given up is no news of hers: it is only told again.
            heard = repair in _BY_HEARING and not (self._retired and repair is Repair.SWITCH_OFF)
            kind = NEWS.get(there, EventType.SUBSCRIBED)
            found.append((self._report(kind, person.email, about, since) if heard else None, repair))
        return found

    # -- what follows -------------------------------------------------------------------------------------------

    def _found(self, difference: Difference) -> None:
        result = self.state.result
        result.differences += 1
        result.verdicts[difference.verdict] = result.verdicts.get(difference.verdict, 0) + 1
        self._tell(difference)

    def _report(self, kind: EventType, email: str, purpose: str, since: datetime | None) -> Report:
        """What the ESP says of her, as news: each run's is its own, so that what did not help is tried again."""
        now = self.bridge.clock()
        time = min(since, now) if since and kind is not EventType.SUBSCRIBED else now
        key = f"reconcile\n{self._run}\n{kind}\n{purpose}\n{normal_email(email)}"
        return Report(
            type=kind, email=email, time=time, key=key, purpose=purpose, method=Method.RECONCILE, detail="reconcile"
        )

    def _hear(self, reports: Sequence[Report]) -> None:
        if self.dry_run:
            return
        for first in range(0, len(reports), _HEARD):
            part = reports[first : first + _HEARD]
            self.store.hear(self.name, part)
            self.state.result.applied += len(part)

    def _switch_on(self) -> None:
        """Whoever may be mailed and is not there is told again, unless these are more than somebody expected."""
        state = self.state
        state.result.missing = len(state.on)
        state.result.braked = len(state.on) > self.max_changes
        if state.result.braked or self.dry_run or not state.on:
            return
        self.store.queue.promise(self.name, state.on)
        self.store.nudge()
        state.result.applied += len(state.on)


class _Wanted:
    """Whether somebody must be looked at, by how she stands here, there, and by our marks."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        count = len(sight.purposes)
        bits = [bits_of(place, count) for place in range(count)]
        self.on, self._stopped, self._objected = (sum(bit[kind] for bit in bits) for kind in range(3))

    def differ(self, ours: int, theirs: int, marks: int) -> bool:
        """Whether these two do not say the same, as far as bits tell."""
        special = bool(marks & SPECIAL)
        sight = self._sight
        on = sight.on(theirs)
        if on != ours & self.on or (special and on):
            return True
        if theirs & sight.has_complained:
            return not ours & self._objected
        if theirs & sight.is_dead:
            return not special
        left = theirs & ~sight.present & ~self.on
        return bool(left) and not ours & self._stopped


def _stranger(stops: Sequence[ConsentEvent], purpose: str) -> Here:
    kinds = Counter(stop.type for stop in stops if stop.purpose in (EVERY_PURPOSE, purpose))
    if kinds[EventType.ERASED]:
        return Here.ERASED
    return Here.NO_ONLY if kinds else Here.STRANGER


def _when(there: There, since: datetime | None) -> str:
    return f"{there} {rfc3339(since)}" if since else there.value
