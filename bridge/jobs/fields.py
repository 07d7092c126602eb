"""What is collected but not needed: of how many people each field is kept, and of how many without a use (MIN-01)."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.decide import is_in_use
from bridge.store.profiles import Filled, filled
from bridge.vocabulary import Limits


class FieldUse(NamedTuple):
    """One field in numbers: counts of people, nobody's name or value."""

    field: str
    declared: bool  # else the policy had it once: what is kept of it nobody needs
    purposes: tuple[str, ...]  # that it is asked for
    told: tuple[str, ...]  # platforms in use that get it; without any it serves nothing
    kept: int  # people of whom a value is kept
    needless: int  # of these: people with no purpose on, nor waiting for their confirmation, that needs it

    @property
    def never_filled(self) -> bool:
        """Nobody ever gave it, or all who did are gone."""
        return self.kept == 0

    @property
    def needed(self) -> bool:
        """It is collected, told to a platform, and of nobody without a reason."""
        return self.declared and bool(self.told) and self.kept > 0 and self.needless == 0


def field_use(bridge: Bridge, progress: Callable[[int, int], None] = lambda _done, _all: None) -> list[FieldUse]:
    """Every declared field in the policy's order, then those it no longer declares. Reads each profile, in batches."""
    policy, now = bridge.policy, bridge.clock()
    limits = bridge.limits(now)
    purposes = {field.id: field.purposes for field in policy.fields.values()}
    kept: Counter[str] = Counter()
    needless: Counter[str] = Counter()
    for person in filled(bridge.database, bridge.store.rows, progress):
        kept.update(person.fields)
        needless.update(name for name in person.fields if not _is_needed(person, purposes.get(name, ()), now, limits))
    told = {
        field.id: tuple(name for name in bridge.settings.adapters if name in field.at)
        for field in policy.fields.values()
    }
    return [
        FieldUse(name, name in purposes, purposes.get(name, ()), told.get(name, ()), kept[name], needless[name])
        for name in [*purposes, *sorted(kept.keys() - purposes.keys())]
    ]


def _is_needed(person: Filled, purposes: Collection[str], now: datetime, limits: Limits) -> bool:
    """Whether a purpose of hers that needs a field is in use."""
    there = (person.stands[purpose] for purpose in purposes if purpose in person.stands)
    return any(is_in_use(status, since, now, limits) for status, since in there)
