"""A reviewed audit carried out: `none` and `stopped` go, from the store and from every platform (AUD-02, S11)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import Grade
from bridge.jobs.audit.folding import batches
from bridge.jobs.audit.holders import Holders
from bridge.jobs.audit.kept import Kept, Row
from bridge.jobs.lists.rules import rules_of
from bridge.jobs.lists.taking import IntoStore
from bridge.store import BadInput
from bridge.store.proofs import Proofs
from bridge.store.removing import REMOVED, Removal, Removed, Said
from bridge.vocabulary import Entry, Taken, rfc3339

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
    here: int = 0  # of those removed: in the store
    there: dict[str, int] = {}  # and at each platform
    done: bool = False  # it was carried out already


class Cleaned(msgspec.Struct, kw_only=True):
    """What a clean did, as counts of people."""

    removed: int = 0
    kept: int = 0  # something happened to them since, or they are proven for something else
    gone: int = 0  # were not here any more


class Clean:
    """One audit file, planned and carried out. Raises `BadInput` where it may not be."""

    def __init__(self, bridge: Bridge, kept: Kept, progress: Progress) -> None:
        self.bridge, self.kept, self._progress = bridge, kept, progress
        self._proofs = Proofs(bridge.database, bridge.store.rows)
        self._holders = Holders(bridge)
        self._mark = bridge.vault.bucket("clean", kept.hash.hex())
        self._rules = rules_of(bridge)

    def plan(self) -> Plan:
        """What it would do. Nothing is written."""
        mark = self.bridge.store.lists.look(self._mark, self._rules)
        total = sum(1 for _ in self._people())
        plan = Plan(audited=total)
        if mark.done >= total:
            plan.done = True
            return plan
        self._check()
        self._holders.read(self._progress)
        changed = 0
        for number, some in enumerate(batches(self._people(), 1000)):
            known = self._proofs.known([rows[0].email for rows in some])
            there = self._holders.of([rows[0].email for rows in some])
            for place, rows in enumerate(some, start=1000 * number):
                if place < mark.done:  # a killed run did that
                    continue
                now = known[rows[0].email]
                changed += bool(now.number) and now.seen != rows[0].seen
                self._count(plan, rows, here=bool(now.number), there=there[rows[0].email])
            self._progress(min(1000 * (number + 1), total), total)
        if changed:
            who = "somebody" if changed == 1 else f"{changed:,} people"
            raise BadInput(
                f"{self.kept.path}: something happened to {who} of this audit since it was made; audit again"
            )
        return plan

    def carry_out(self) -> Cleaned:
        """Do what `plan` said, few people a transaction. Killed, it goes on when it is called again."""
        lists, store = self.bridge.store.lists, self.bridge.store
        mark = lists.begin(self._mark, self._rules)
        stays = IntoStore(
            self.bridge, lists.begin(self.bridge.vault.bucket("clean/no", self.kept.hash.hex()), self._rules)
        )
        total = sum(1 for _ in self._people())
        done = 0
        for some in batches(self._people(), _AT_ONCE):
            done += len(some)
            if done <= mark.done:
                continue
            stays.take([entry for rows in some if not _goes(rows) for entry in _nos(rows)])
            going = [rows for rows in some if _goes(rows)]
            there = self._holders.of([rows[0].email for rows in going])
            wanted = [Removal(r[0].email, r[0].seen, there[r[0].email], _stops(r)) for r in going]
            verdicts = store.remove(wanted) if wanted else []
            after = mark.after(done, Counter(_COUNTED[verdict] for verdict in verdicts))
            lists.go_on(mark, after)
            mark = after
            self._progress(done, total)
        stays.result()
        return Cleaned(removed=mark.imported, kept=mark.unchanged, gone=mark.suppressed)

    def close(self) -> None:
        """Forget what the platforms told."""
        self._holders.close()

    def _people(self) -> Iterator[list[Row]]:
        return (list(rows) for _, rows in groupby(self.kept, lambda row: row.email))

    def _check(self) -> None:
        about, path = self.kept.about, self.kept.path
        if not timedelta(0) <= self.bridge.clock() - about.made <= _FRESH:
            raise BadInput(f"{path}: made {rfc3339(about.made)}; an audit is believed for 24 hours: audit again")
        if bytes.fromhex(about.rules) != self._rules:
            raise BadInput(f"{path}: the policy, or one of its wordings, has changed since: audit again")

    def _count(self, plan: Plan, rows: Sequence[Row], *, here: bool, there: Sequence[str]) -> None:
        if not _goes(rows):
            plan.keep += 1
            return
        plan.remove += 1
        stopped = any(row.grade is Grade.STOPPED for row in rows)
        plan.stopped += stopped
        plan.none += not stopped
        plan.here += here
        for name in there:
            plan.there[name] = plan.there.get(name, 0) + 1


def _goes(rows: Sequence[Row]) -> bool:
    """Whether nothing keeps this contact: all it is about is without any proof, or stopped."""
    return all(row.grade in REMOVED for row in rows)


def _stops(rows: Sequence[Row]) -> tuple[Said, ...]:
    return tuple(dict.fromkeys(said for row in rows for said in row.stops))


def _nos(rows: Sequence[Row]) -> list[Entry]:
    """A no of a list's, of somebody who stays for something else: it is taken in, as an import does."""
    return [
        Entry(email=rows[0].email, type=said.type, purpose=said.purpose, channel=rows[0].channel, time=said.time)
        for said in _stops(rows)
    ]
