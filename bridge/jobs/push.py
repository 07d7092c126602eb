"""One ESP told how its members should be: stops at once, many people in bulk, jobs followed to their end."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import overload

import msgspec

from bridge.adapter import Adapter, AdapterError, Misconfigured
from bridge.bootstrap import Bridge
from bridge.jobs.asking import unheard
from bridge.jobs.circuit import Circuit, Turn
from bridge.jobs.errands import (
    AGAIN,
    Errand,
    Ready,
    after_job,
    by_job,
    in_jobs,
    not_told,
    noted,
    unless_hidden,
    without_new,
)
from bridge.jobs.members import asked_for, hidden, is_held, member
from bridge.store import Busy, Job, Push, StoreAway, StoreBroken, open_jobs
from bridge.vocabulary import (
    ALONE,
    DONE,
    HELD_BACK,
    UNASKED,
    Limits,
    Member,
    Outcome,
    OutcomeKind,
)

log = logging.getLogger("bridge.dispatch")

#: People are claimed in slices, and for no longer than this, so that the first slice's lease outlives the call.
_SLICE = 500
_CLAIM_SECONDS = 30.0

#: No new call is begun after this long with one batch whose members an adapter stumbles over.
_STUMBLE_SECONDS = 60.0

_UNTIL_MENDED = 300.0
_LONGEST_JOB = timedelta(days=1)
_NOBODY = Member(email="")

#: So many lines about single people at most; of more, one line a reason.
_LINES = 20


class Pusher:
    """Carries the news to one ESP. Every lane of it may run in several threads and processes at once."""

    def __init__(self, bridge: Bridge, name: str) -> None:
        self.bridge, self.name = bridge, name
        self.circuit = Circuit(name, self._now)
        self._held: frozenset[str] = frozenset()

    def _now(self) -> datetime:
        return self.bridge.clock()  # asked each time: tests set another clock

    @property
    def adapter(self) -> Adapter:
        """The adapter of that name."""
        return self.bridge.adapters[self.name]

    @property
    def _has_jobs(self) -> bool:
        return type(self.adapter).follow is not Adapter.follow

    # -- lanes --------------------------------------------------------------------------------------------------

    def stops(self) -> int:
        """Carry out the stops that are due, by direct calls; how many people were taken up."""
        return self._tell(stops=True, most=self.adapter.batch)

    def others(self) -> int:
        """Tell everything else that is due, in bulk where many wait; how many people were taken up."""
        return self._tell(stops=False, most=max(self.adapter.batch, self.adapter.bulk))

    def jobs(self) -> int:
        """Look at one open job that wants it; how many were looked at."""
        queue = self.bridge.store.queue
        book = queue.jobs
        if not book.has_due(self.name) or (self.circuit.is_open and queue.has_pushes(self.name)):
            return 0  # an ESP that is away is probed with a person, best with a stop
        with self.circuit.turn(urgent=False) as turn, self.connection(turn) as free:
            job = book.claim(self.name) if free else None
            if job is None:
                return 0
            if job.key is None or not self._has_jobs:
                self._tell_again(job)
            else:
                self._follow(turn, job, job.key)
            return 1

    @contextmanager
    def connection(self, turn: Turn) -> Iterator[bool]:
        """One of the connections the ESP allows, for a while; False when there is none, or no turn."""
        if turn.most == 0:
            yield False
            return
        book = self.bridge.store.queue.connections
        with book.one(self.name, self.adapter.connections, urgent=turn.urgent) as free:
            yield free

    @contextmanager
    def spare_turn(self) -> Iterator[Turn | None]:
        """A turn with a connection for what may wait; None when there is none. An ESP that is away is probed with a
        stop first."""
        if self.circuit.is_open and self.bridge.store.queue.has_pushes(self.name, stops=True):
            yield None
            return
        with self.circuit.turn(urgent=False) as turn, self.connection(turn) as free:
            yield turn if free else None

    # -- telling ------------------------------------------------------------------------------------------------

    def _tell(self, *, stops: bool, most: int) -> int:
        queue = self.bridge.store.queue
        if not queue.has_pushes(self.name, stops=stops):
            return 0
        with self.circuit.turn(urgent=stops) as turn, self.connection(turn) as free:
            if not free:
                return 0
            errands = self._claim(most, stops) if turn.most is None else self._claim(turn.most, None)
            if errands:
                self._carry_out(turn, errands)
            return len(errands)

    def _claim(self, most: int, stops: bool | None) -> list[Errand]:
        """Claim in slices and let go of the histories, so that many people at once stay small in memory; as many as
        one call takes, also by their bytes."""
        found: list[Errand] = []
        began, bytes_so_far = time.monotonic(), 0
        while len(found) < most and time.monotonic() - began < _CLAIM_SECONDS:
            wanted = min(_SLICE, most - len(found))
            part = self.bridge.store.queue.claim_pushes(self.name, wanted, stops=stops)
            errands = self._errands(part)
            found += errands
            if len(part) < wanted:
                break
            bytes_so_far += sum(self.adapter.weight(errand.member) for errand in errands)
            if bytes_so_far:
                most = min(most, self.adapter.bulk_bytes * len(found) // bytes_so_far)
        return found

    def _errands(self, pushes: Sequence[Push]) -> list[Errand]:
        now, closed = self.bridge.clock(), self._contract_problem()
        # A contract that ran out holds back everything but stops; it is no "no" of hers.
        limits = msgspec.structs.replace(self.bridge.limits(now), closed={})
        held, retired = self._held_back(now, limits), self.bridge.store.queue.is_retired(self.name)
        return [self._errand(push, now, limits, held, closed=bool(closed), retired=retired) for push in pushes]

    def _held_back(self, now: datetime, limits: Limits) -> frozenset[str]:
        """Purposes whose readers complain so much that nobody new is told about them now (SND-04); logged once."""
        held = self.bridge.store.complaints.held(now, limits)
        for purpose in held.keys() - self._held:
            log.error("%s: nothing new for %s: %s", self.name, purpose, held[purpose])
        self._held = frozenset(held)
        return self._held

    def _errand(
        self, push: Push, now: datetime, limits: Limits, held: frozenset[str], *, closed: bool, retired: bool
    ) -> Errand:
        told = member(self.bridge, push, now, limits, closed=closed, held=held, retired=retired)
        heard = any(event.source == self.name for event in push.history[push.put : push.number])
        known = None if push.stop or heard or told.fresh else push.known
        slim = msgspec.structs.replace(push, history=(), known=known, told=self._mark(told))
        asked = asked_for(push, told)
        if not closed and held and is_held(self.bridge, push, now, limits, held):
            return Errand(slim, told, _UNTIL_MENDED, HELD_BACK, asked)
        return Errand(slim, told, hidden(self.bridge, push, now), asked=asked)

    def _mark(self, told: Member) -> int:
        """What an ESP is told of her as eight bytes of a keyed hash: enough to see that nothing changed."""
        parts = [
            *(self.name, told.email, told.language, told.link, told.blocked),
            *(sorted(told.on), sorted(told.stopped), sorted(told.paused), sorted(told.fields.items())),
        ]
        keyed = self.bridge.vault.bucket("told", msgspec.json.encode(parts).decode())
        return int.from_bytes(keyed[:8], "big", signed=True)

    def _carry_out(self, turn: Turn, errands: Sequence[Errand]) -> None:
        queue, closed = self.bridge.store.queue, self._contract_problem()
        if closed:
            log.error("%s: %s; only stops are sent", self.name, closed)
        still = queue.jobs.open({number for errand in errands for number in open_jobs(errand.push.job)})
        results: list[tuple[Push, Outcome]] = []
        ready: list[Ready] = []
        for errand in errands:
            push, told = errand.push, errand.member
            jobs = open_jobs(push.job) & still
            if jobs and push.stop and (told.stopped or told.blocked):
                # A stop goes at once, and again when the job has ended (decision 24). A new yes waits for that.
                calm = msgspec.structs.replace(told, fresh=frozenset())
                ready.append((errand._replace(member=calm), jobs))
            elif jobs:
                results.append((push, in_jobs(jobs, push.job)))
            elif closed and not push.stop:
                results.append((push, Outcome(OutcomeKind.LATER, "processor closed", _UNTIL_MENDED)))
            elif push.known is not None and push.known == push.told:
                results.append((push, unless_hidden(errand, DONE)))  # it was told just this, and took it
            else:
                ready.append((errand, frozenset()))
        ready, unanswered = self._hear_first(ready)
        results += unanswered
        if not ready:
            self._finish(results)
            return
        note = queue.jobs.begin(self.name, [errand.push.person.number for errand, _ in ready]) if self._has_jobs else 0
        outcomes = self._call(turn, [errand.member for errand, _ in ready], time.monotonic())
        numbers = queue.jobs.started(self.name, by_job(ready, outcomes))
        for (errand, jobs), outcome in zip(ready, outcomes, strict=True):
            mine = frozenset(numbers[key] for key in outcome.job.split())
            results.append((errand.push, noted(errand, jobs, mine, outcome)))
        self._finish(results)
        if note:
            maybe = [e.push.person.number for (e, _), told in zip(ready, outcomes, strict=True) if told.maybe]
            queue.jobs.settle(note, maybe)

    def _hear_first(self, ready: Sequence[Ready]) -> tuple[list[Ready], list[tuple[Push, Outcome]]]:
        """Who can be told now, and what became of the others: somebody whose stop there was not heard yet is decided
        about anew; where nobody can say whether there is one, new yeses wait and only stops are sent."""
        new = [errand for errand, _ in ready if errand.member.fresh]
        oldest = min((errand.asked for errand in new if errand.asked), default=None)
        if oldest is None:
            return list(ready), []
        try:
            found = unheard(self.bridge, self.name, [(errand.push, errand.member) for errand in new], oldest)
        except (StoreAway, StoreBroken):
            raise
        except Exception as error:  # stops need no answer to this, and an adapter's own mistake holds back no stop
            reason: str = "adapter failed"
            wait: float | None = _UNTIL_MENDED
            if isinstance(error, AdapterError):
                reason, wait = error.reason, _UNTIL_MENDED if isinstance(error, Misconfigured) else error.wait
            log.warning("%s: %s (%s) while asking what is stopped there", self.name, reason, type(error).__name__)
            self.circuit.failed(reason, wait, urgent=False)
            everybody = {errand.member.email for errand in new}
            return without_new(ready, everybody, Outcome(OutcomeKind.LATER, reason, wait))
        ready, unasked = without_new(ready, found.unasked, Outcome(OutcomeKind.LATER, UNASKED))
        heard = self.bridge.store.hear(self.name, found.reports) if found.reports else 0
        if not heard:  # nothing, or what the rules know already: they have decided with it
            return ready, unasked
        log.info("%s: %d stops there that nobody had told", self.name, heard)
        stopped = {report.email for report in found.reports}
        again = [(errand.push, AGAIN) for errand, _ in ready if errand.member.email in stopped]
        left, others = self._hear_first([pair for pair in ready if pair[0].member.email not in stopped])
        return left, unasked + again + others

    def _call(self, turn: Turn, members: Sequence[Member], began: float) -> list[Outcome]:
        """Call the ESP. Whatever happens there gives each person an outcome."""
        try:
            outcomes = self.adapter.put(members)
            if len(outcomes) != len(members):
                raise RuntimeError
        except Misconfigured as error:
            log.error("%s: %s", self.name, error.reason)
            turn.failed("misconfigured", _UNTIL_MENDED)
            failed = Outcome(OutcomeKind.LATER, "misconfigured", _UNTIL_MENDED, maybe=True)
            return [failed._replace(job=job) for job in error.jobs or [""] * len(members)]
        except AdapterError as error:
            log.warning("%s: %s", self.name, error.reason)
            turn.failed(error.reason, error.wait)
            failed = Outcome(OutcomeKind.LATER, error.reason, error.wait, maybe=error.maybe)
            return [failed._replace(job=job) for job in error.jobs or [""] * len(members)]
        except Exception as error:  # an adapter's own mistake with one person must not hold back the others
            if len(members) > 1 and time.monotonic() - began < _STUMBLE_SECONDS:
                # What was asked was asked for all of them together: alone a new yes may be told another way.
                calm = [msgspec.structs.replace(one, fresh=frozenset()) for one in members]
                middle = len(members) // 2
                told = [*self._call(turn, calm[:middle], began), *self._call(turn, calm[middle:], began)]
                return [not_told(one, outcome) for one, outcome in zip(members, told, strict=True)]
            log.error("%s: %s in the adapter", self.name, type(error).__name__)
            turn.failed("adapter failed")
            return [Outcome(OutcomeKind.LATER, "adapter failed", maybe=True)] * len(members)
        turn.answered(outcomes)
        return outcomes

    def _finish(self, results: Sequence[tuple[Push, Outcome]]) -> None:
        troubles = (OutcomeKind.REFUSED, OutcomeKind.LATER)
        told = [pair for pair in results if pair[1].kind in troubles and pair[1] is not AGAIN]
        if len(told) > _LINES:
            for (kind, reason), count in Counter((outcome.kind, outcome.reason) for _, outcome in told).items():
                log.warning("%s: %d people %s: %s", self.name, count, kind, reason)
            told = []
        for push, outcome in told:
            log.warning("%s: subject %s %s: %s", self.name, push.person.id, outcome.kind, outcome.reason)
        self.bridge.store.queue.finish_pushes(results)

    # -- jobs ---------------------------------------------------------------------------------------------------

    def _follow(self, turn: Turn, job: Job, key: str) -> None:
        """Ask once how a job is getting on; when it is over, note what became of each."""
        book = self.bridge.store.queue.jobs
        carried = _Carried(self, job)
        try:
            outcomes = self.adapter.follow(key, carried)
            if len(outcomes) != len(carried):
                raise RuntimeError
        except Busy:
            self._still_open(job, carried, 1.0)
            return
        except AdapterError as error:
            turn.failed(error.reason, _UNTIL_MENDED if isinstance(error, Misconfigured) else error.wait)
            log.warning("%s: %s while following a job", self.name, error.reason)
            self._still_open(job, carried, error.wait)
            return
        except (StoreAway, StoreBroken):
            raise  # the ESP is well: who is in the job could not be read; its lease ends by itself
        except Exception as error:  # an adapter's own mistake: the job may still be open
            turn.failed("adapter failed")
            log.error("%s: %s while following a job", self.name, type(error).__name__)
            self._still_open(job, carried, None)
            return
        turn.worked()
        left = [number for number, told in zip(job.carried, outcomes, strict=True) if told.kind is OutcomeKind.PENDING]
        if len(left) == len(outcomes) and self.bridge.clock() - job.made < _LONGEST_JOB:
            self._still_open(job, carried, outcomes[0].wait if outcomes else None)
            return
        lost = bool(left) and self.bridge.clock() - job.made >= _LONGEST_JOB
        if lost:
            log.error("%s: a job that was begun %s has not ended: its people are told again", self.name, job.made)
            outcomes = [told if told.kind is not OutcomeKind.PENDING else AGAIN for told in outcomes]
        try:
            people = carried.errands
        except Busy:
            self._still_open(job, carried, 1.0)
            return
        still = book.open({number for errand in people if errand for number in open_jobs(errand.push.job)})
        pairs = [(errand, told) for errand, told in zip(people, outcomes, strict=True) if errand is not None]
        pairs = self._alone(turn, pairs)
        self._finish([(errand.push, after_job(errand, told, job.number, still)) for errand, told in pairs])
        if lost:
            book.lose(job)
        elif left:
            book.look_again(job, None, left)
        else:
            book.end(job)

    def _alone(self, turn: Turn, pairs: Sequence[tuple[Errand, Outcome]]) -> list[tuple[Errand, Outcome]]:
        """Tell those by calls of their own to whom a job could not say it; what a job said of the others stands."""
        alone = [errand for errand, told in pairs if told.reason == ALONE]
        said: dict[int, Outcome] = {}
        began = time.monotonic()
        for first in range(0, len(alone), self.adapter.batch):
            if time.monotonic() - began > _STUMBLE_SECONDS:
                break
            part = [(errand, frozenset[int]()) for errand in alone[first : first + self.adapter.batch]]
            ready, unanswered = self._hear_first(part)
            said |= {push.person.number: outcome for push, outcome in unanswered}
            if ready:
                outcomes = self._call(turn, [errand.member for errand, _ in ready], began)
                pairs_now = zip(ready, outcomes, strict=True)
                said |= {e.push.person.number: unless_hidden(e, told) for (e, _), told in pairs_now}
        return [(errand, said.get(errand.push.person.number, told)) for errand, told in pairs]

    def _still_open(self, job: Job, carried: "_Carried", wait: float | None) -> None:
        """Let go of whoever was looked at."""
        held = [(errand.push, in_jobs(open_jobs(errand.push.job), errand.push.job)) for errand in carried.held]
        self.bridge.store.queue.finish_pushes(held)
        self.bridge.store.queue.jobs.look_again(job, wait)

    def _tell_again(self, job: Job) -> None:
        """A call whose end nobody saw may have begun a job: its people are told once more (decision 24)."""
        book = self.bridge.store.queue.jobs
        jobs = book.claim_lost(self.name, job) if job.key is None else [job]
        people = sorted({number for one in jobs for number in one.carried})
        busy = set(self.bridge.store.queue.tell_again(self.name, people))
        for one in jobs:
            if left := busy.intersection(one.carried):
                book.look_again(one, None, sorted(left))
        book.end(*(one for one in jobs if busy.isdisjoint(one.carried)))

    # -- what is told -------------------------------------------------------------------------------------------

    def _contract_problem(self) -> str | None:
        """Why nothing new may go to this processor today, by the policy's own calendar (REG-02)."""
        policy = self.bridge.policy
        return policy.processor_problem(self.name, self.bridge.clock().astimezone(policy.zone).date())


class _Carried(Sequence[Member]):
    """The members of a job, claimed and read when somebody first looks at one."""

    def __init__(self, pusher: Pusher, job: Job) -> None:
        self._pusher, self._job = pusher, job
        self._found: list[Errand | None] | None = None
        self.held: list[Errand] = []

    @property
    def errands(self) -> list[Errand | None]:
        """Everybody at her place in the job; None where she is no longer in it. Raises `Busy`."""
        if self._found is None:
            job = self._job
            for part in self._pusher.bridge.store.queue.claim_carried(job.adapter, job.carried, job.number):
                self.held += self._pusher._errands(part)
            known = {errand.push.person.number: errand for errand in self.held}
            self._found = [known.get(number) for number in job.carried]
        return self._found

    def __len__(self) -> int:
        return len(self._job.carried)

    @overload
    def __getitem__(self, place: int) -> Member: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Member]: ...
    def __getitem__(self, place: int | slice) -> Member | Sequence[Member]:
        if isinstance(place, slice):
            return [errand.member if errand else _NOBODY for errand in self.errands[place]]
        errand = self.errands[place]
        return errand.member if errand else _NOBODY
