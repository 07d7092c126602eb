"""A reviewed audit carried out: `none` and `stopped` go, from the store and from every platform (AUD-02, S11)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import Grade, is_on, judge_entry
from bridge.jobs.audit.folding import batches
from bridge.jobs.audit.holders import Holders, There
from bridge.jobs.audit.kept import Kept, Row
from bridge.jobs.lists.rules import rules_of
from bridge.jobs.lists.taking import IntoStore
from bridge.store import BadInput
from bridge.store.proofs import Known, Proofs
from bridge.store.removing import REMOVED, Removal, Removed, Said, verdict
from bridge.vocabulary import Entry, EventType, Method, Report, Taken, normal_email, rfc3339

#: An audit says how things are: so long it is believed.
_FRESH = timedelta(hours=24)

#: People in one transaction: short enough that no click waits for it (decision 16).
_AT_ONCE = 50

#: How the note of how far it is counts them.
_COUNTED = {
    Removed.REMOVED: Taken.IMPORTED,
    Removed.KEPT: Taken.UNCHANGED,
    Removed.CHANGED: Taken.UNCHANGED,
    Removed.GONE: Taken.SUPPRESSED,
}

Progress = Callable[[int, int], None]


class Plan(msgspec.Struct, kw_only=True):
    """What a clean will do, as counts of people."""

    audited: int = 0  # people, each once, however many purposes the audit has of them
    remove: int = 0
    none: int = 0  # of these: nothing of theirs is proven ...
    stopped: int = 0  # ... or a no stands, which stays as a keyed hash
    keep: int = 0
    gone: int = 0  # nothing of theirs is left, here or at a platform
    noes: int = 0  # whose no stands in the audited list, or at a platform they go from, and is not known here yet
    off: int = 0  # who stay, and are on at a platform for something that is not proven: taken off it there
    here: int = 0  # of those removed: in the store
    there: dict[str, int] = {}  # and at each platform
    done: bool = False  # it was carried out already

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.done or not (self.remove or self.noes or self.off)


class Cleaned(msgspec.Struct, kw_only=True):
    """What a clean did, as counts of people of whom the audit says that they go."""

    removed: int = 0
    kept: int = 0  # something happened to them since, or something of theirs is proven or may not be deleted
    gone: int = 0  # nothing of them was left


class _Case(NamedTuple):
    """One person of the audit, as she stands now."""

    rows: list[Row]
    known: Known
    there: list[There]

    @property
    def email(self) -> str:
        return self.rows[0].email

    @property
    def goes(self) -> bool:
        """Whether nothing that was audited keeps her: all of it is without any proof, or stopped."""
        return all(row.grade in REMOVED for row in self.rows)

    @property
    def said(self) -> tuple[Said, ...]:
        """Each no that the audited list holds."""
        return tuple(dict.fromkeys(said for row in self.rows for said in row.stops))

    @property
    def removal(self) -> Removal:
        """What taking her out means."""
        there = tuple(sorted({one.name for one in self.there if one.held}))
        stops = (*self.said, *(no for one in self.there for no in one.stops))
        return Removal(self.email, self.rows[0].seen, there, stops)


class Clean:
    """One audit file, planned and carried out. Raises `BadInput` where it may not be."""

    def __init__(self, bridge: Bridge, kept: Kept, progress: Progress) -> None:
        self.bridge, self.kept, self._progress = bridge, kept, progress
        self._proofs = Proofs(bridge.database, bridge.store.rows)
        self._holders = Holders(bridge)
        self._mark = bridge.vault.bucket("clean", kept.hash.hex())
        self._rules = rules_of(bridge)
        self._now = bridge.clock()
        self._limits = bridge.limits(self._now)

    def plan(self) -> Plan:
        """What it would do. Nothing is written."""
        mark = self.bridge.store.lists.look(self._mark, self._rules)
        total = sum(1 for _ in self._people())
        plan = Plan(audited=total, done=0 < total <= mark.done)
        if plan.done or not total:
            return plan
        self._check()
        self._holders.read(self._progress)
        changed = done = 0
        for some in batches(self._people(), 1000):
            for place, case in enumerate(self._cases(some), start=done):
                if place < mark.done:  # a killed run did that
                    continue
                changed += bool(case.known.numbers) and case.known.readable and case.known.seen != case.rows[0].seen
                self._count(plan, case)
            done += len(some)
            self._progress(done, total)
        if changed:
            who = "somebody" if changed == 1 else f"{changed:,} people"
            raise BadInput(f"{self.kept.path}: something happened to {who} of this audit since: audit again")
        return plan

    def carry_out(self) -> Cleaned:
        """Do what `plan` said, few people a transaction. Killed, it goes on when it is called again."""
        lists, store = self.bridge.store.lists, self.bridge.store
        mark = lists.begin(self._mark, self._rules)
        told = lists.begin(self.bridge.vault.bucket("clean/no", self.kept.hash.hex()), self._rules)
        noes = IntoStore(self.bridge, told)
        total = sum(1 for _ in self._people())
        done = 0
        for some in batches(self._people(), _AT_ONCE):
            done += len(some)
            if done <= mark.done:
                continue
            cases = self._cases(some)
            going = [case for case in cases if case.goes]
            # First what nobody's removal takes with it: a no of whoever stays, or had that address before.
            noes.take([no for case in cases if not (case.goes and case.known.numbers) for no in self._noes(case)])
            self.bridge.database.give_way()
            verdicts = store.remove([case.removal for case in going]) if going else []
            left = [case for case, said in zip(going, verdicts, strict=True) if said in (Removed.KEPT, Removed.CHANGED)]
            noes.take([no for case in left for no in self._noes(case)])
            self._take_off([*left, *(case for case in cases if not case.goes)])
            after = mark.after(done, Counter(_COUNTED[said] for said in verdicts))
            lists.go_on(mark, after)
            mark = after
            self._progress(done, total)
        noes.result()
        return Cleaned(removed=mark.imported, kept=mark.unchanged, gone=mark.suppressed)

    def close(self) -> None:
        """Forget what the platforms told."""
        self._holders.close()

    def _people(self) -> Iterator[list[Row]]:
        return (list(rows) for _, rows in groupby(self.kept, lambda row: row.email))

    def _cases(self, some: Sequence[list[Row]]) -> list[_Case]:
        emails = [rows[0].email for rows in some]
        known, there = self._proofs.known(emails), self._holders.of(emails)
        return [_Case(rows, known[rows[0].email], there[rows[0].email]) for rows in some]

    def _check(self) -> None:
        about, path = self.kept.about, self.kept.path
        if not timedelta(0) <= self._now - about.made <= _FRESH:
            raise BadInput(f"{path}: made {rfc3339(about.made)}; an audit is believed for 24 hours: audit again")
        if bytes.fromhex(about.rules) != self._rules:
            raise BadInput(f"{path}: the policy, or one of its wordings, has changed since: audit again")

    def _count(self, plan: Plan, case: _Case) -> None:
        removal = case.removal
        said = verdict(removal, case.known, self._limits, self._now) if case.goes else Removed.KEPT
        plan.noes += bool(self._noes(case)) and said is not Removed.REMOVED
        if said is Removed.GONE:
            plan.gone += 1
            return
        if said is not Removed.REMOVED:
            plan.keep += 1
            plan.off += any(True for _ in self._unproven(case))
            return
        stopped = any(row.grade is Grade.STOPPED for row in case.rows) or bool(removal.stops)
        plan.remove += 1
        plan.stopped += stopped
        plan.none += not stopped
        plan.here += bool(case.known.numbers)
        for name in removal.there:
            plan.there[name] = plan.there.get(name, 0) + 1

    def _noes(self, case: _Case) -> list[Entry]:
        """Each no of the audited list that says something new here, as an import takes it in."""
        entries = [
            Entry(email=case.email, type=said.type, purpose=said.purpose, channel=case.rows[0].channel, time=said.time)
            for said in case.said
        ]
        known = bool(case.known.numbers)
        new = Taken.IMPORTED
        return [one for one in entries if judge_entry(case.known.told, one, self._now, known=known) is new]

    def _unproven(self, case: _Case) -> Iterator[tuple[str, str]]:
        """Platforms and purposes that somebody who stays here is on for there without being mailable."""
        if not case.known.numbers or not case.known.readable:
            return
        for there in case.there:
            for purpose in sorted(there.on):
                if not is_on(case.known.told, purpose, self._now, self._limits):
                    yield there.name, purpose

    def _take_off(self, cases: Sequence[_Case]) -> None:
        """Have the platforms told how these people stand: an "on" there that is no yes here is set right (ESP-01)."""
        reports: dict[str, list[Report]] = {}
        for case in cases:
            for name, purpose in self._unproven(case):
                key = f"clean\n{self._mark.hex()}\n{purpose}\n{normal_email(case.email)}"
                reports.setdefault(name, []).append(
                    Report(
                        type=EventType.SUBSCRIBED,
                        email=case.email,
                        time=self._now,
                        key=key,
                        purpose=purpose,
                        method=Method.RECONCILE,
                        detail="clean",
                    )
                )
        for name, mine in reports.items():
            self.bridge.store.hear(name, mine)
