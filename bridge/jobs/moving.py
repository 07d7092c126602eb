"""From one ESP to another: copied by consent from the store, both told for a while, then the old one is given up.

Nothing is read from the old ESP but stops that were not heard here; who gets what comes from the store alone.
"""

from collections.abc import Callable

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide.sides import Verdict
from bridge.jobs.reconcile import Reconciler, Result
from bridge.store import BadInput
from bridge.store.sides import Sides

#: People the new ESP does not take, or keeps a stop of: a person must know of them, and nothing can be done here.
NOT_TAKEN = (Verdict.REFUSED, Verdict.ANSWERED, Verdict.OURS)

_EVERYBODY = 2**31

Progress = Callable[[str, int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a move as they are now."""

    old: Result
    new: Result
    retired: bool  # the old one is given up already

    @property
    def not_taken(self) -> int:
        """Differences at the new ESP that only the ESP or the reader can end."""
        return sum(self.new.verdicts.get(verdict, 0) for verdict in NOT_TAKEN)

    @property
    def is_equal(self) -> bool:
        """Whether everybody who may be mailed is at the new ESP, and nobody else of ours."""
        rest = self.new.differences - self.not_taken - self.new.verdicts.get(Verdict.UNKNOWN, 0)
        return not (rest or self.new.under_way or self.new.missing)

    @property
    def unheard(self) -> int:
        """Where one side does not know of a "no", or of a dead address."""
        return sum(r.verdicts.get(v, 0) for r in (self.old, self.new) for v in (Verdict.WITHDRAWAL, Verdict.DEAD))


class Move:
    """A move from `old` to `new`. Each step is safe to run again."""

    def __init__(self, bridge: Bridge, old: str, new: str, progress: Progress = lambda *_: None) -> None:
        self.bridge, self.old, self.new, self._progress = bridge, old, new, progress
        self.queue = bridge.store.queue
        for name in (old, new):
            if name not in bridge.adapters:
                raise BadInput(f"{name} is not switched on: both platforms must be in BRIDGE_ADAPTERS during a move")
        if old == new:
            raise BadInput("--from and --to name the same platform")
        missing = bridge.policy.places(old).keys() - bridge.policy.places(new).keys()
        if missing:
            lacks = ", ".join(f"[purposes.at.{new}] of {purpose}" for purpose in sorted(missing))
            raise BadInput(f"the policy does not say where these live at {new}: add {lacks}")
        problem = bridge.policy.processor_problem(new, bridge.clock().astimezone(bridge.policy.zone).date())
        if problem:
            raise BadInput(f"nothing may go to {new}: {problem}")

    def plan(self) -> Plan:
        """Look at both; change nothing."""
        old, new = (self._compare(name, dry_run=True, most=0) for name in (self.old, self.new))
        return Plan(old=old, new=new, retired=self.queue.is_retired(self.old))

    def copy(self) -> Result:
        """Hear the stops that only an ESP knows, then have the new one told of everybody who may be mailed."""
        self.queue.take_back(self.new)
        self._compare(self.old, dry_run=False, most=0)
        return self._compare(self.new, dry_run=False, most=_EVERYBODY)

    def finish(self) -> int:
        """Have everybody switched off at the old ESP; how many people are told there. Its stops still count."""
        if deaf := [
            p for p in self.bridge.policy.places(self.old) if not self.bridge.adapters[self.old].knows_pause(p)
        ]:
            raise BadInput(
                f"{self.old} cannot switch off {', '.join(deaf)} without an unsubscribe that would look like the "
                f"reader's own: give it an interest in the policy, run reconcile {self.old}, and finish then"
            )
        told = self.queue.retire(self.old)
        self.bridge.store.nudge()
        return told

    def delete(self) -> int:
        """Have everybody of ours deleted at the old ESP, after all there were switched off."""
        if not self.queue.is_retired(self.old):
            raise BadInput(f"{self.old} is still in use: first run move with --finish alone")
        store = self.bridge.store
        waiting = len(Sides(store.database, store.rows, self.queue).busy(self.old, self.bridge.clock()))
        if waiting:
            raise BadInput(f"{waiting} people are still being switched off at {self.old}: run this again when they are")
        return self.bridge.store.delete_there(
            self.old, lambda done: self._progress(f"deleting at {self.old}", done, done)
        )

    def _compare(self, name: str, *, dry_run: bool, most: int) -> Result:
        return Reconciler(self.bridge, name, dry_run=dry_run, max_changes=most, progress=self._progress).run()
