"""Before a new yes is told to an ESP: whether it holds a stop of hers that nobody has told us (ESP-02).

Webhooks get lost, and a yes that is written over a stop takes away the only trace of it, also for the other purposes
she left there. So the stop is heard first, by the same rules as in a comparison, and the rules decide again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bridge.adapter import Adapter
from bridge.bootstrap import Bridge
from bridge.decide import blocks
from bridge.decide.sides import Repair, There
from bridge.jobs.comparing import NEWS, THERE, Stands, compare, is_explained
from bridge.jobs.members import member
from bridge.store import Push
from bridge.store.pushes import Look
from bridge.vocabulary import EVERY_PURPOSE, EventType, Member, Method, Report, Seen, normal_email

#: What there is of the whole person, whatever the purpose.
_WHOLE = frozenset({There.DEAD, There.COMPLAINED})


#: Seconds since 1970 that no year has any more: a time that cannot be.
_LATEST = 253_402_300_800


class _Stop(NamedTuple):
    """A stop an ESP holds of one person."""

    there: There
    purposes: frozenset[str]
    since: datetime | None


class Unheard(NamedTuple):
    """What an ESP holds that nobody has told us, and the addresses of whom it could not be asked."""

    reports: list[Report]
    unasked: frozenset[str]


def unheard(bridge: Bridge, name: str, asking: Sequence[tuple[Push, Member]], oldest: datetime) -> Unheard:
    """Stops that this ESP holds of these people and that nobody has told us; raises `AdapterError`.

    `oldest` is when the oldest of their new yeses was asked for.
    """
    adapter = bridge.adapters[name]
    seen, unasked = adapter.left([told for _, told in asking], oldest)
    there = _by_address(seen)
    found = {push.person.number: push for push, told in asking if normal_email(told.email) in there}
    if not found:
        return Unheard([], unasked)
    looks = [_claimed(look, found) for look in bridge.store.queue.look_at(name, list(found))]
    puzzling = {look.push.person.number for look in looks if _is_puzzling(adapter, look, there[_address(look)])}
    if puzzling:
        again = adapter.left([told for push, told in asking if push.person.number in puzzling], oldest, exact=True)
        unasked |= again.unasked
        for email, stops in _by_address(again.seen).items():
            there[email] = [stop for stop in there[email] if stop.since is not None] + stops
    reports = (report for look in looks for report in _reports(bridge, name, look, there.get(_address(look), [])))
    return Unheard(list({report.key: report for report in reports}.values()), unasked)


def _claimed(look: Look, found: Mapping[int, Push]) -> Look:
    """As she was when she was claimed: since then she is held by us."""
    was = found[look.push.person.number]
    # A reason of hers is that of a delay: the ESP has refused nothing.
    push = msgspec.structs.replace(look.push, shaken=was.shaken, unsure=was.unsure, unseen=was.unseen)
    return look._replace(push=push, reason="")


def _address(look: Look) -> str:
    return normal_email(look.push.person.email)


def _by_address(seen: Iterable[Seen]) -> dict[str, list[_Stop]]:
    found: dict[str, list[_Stop]] = {}
    for one in seen:
        if one.stop is None:
            continue
        there = THERE[one.stop]
        purposes = frozenset({EVERY_PURPOSE}) if there in _WHOLE else one.purposes
        for email, seconds in zip(one.emails, one.times or [0] * len(one.emails), strict=True):
            since = datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None
            found.setdefault(normal_email(email), []).append(_Stop(there, purposes, since))
    return found


def _is_puzzling(adapter: Adapter, look: Look, stops: Sequence[_Stop]) -> bool:
    """Whether one of these has no time, and nothing known here says where it comes from."""
    return any(
        not is_explained(adapter, look, Stands(purpose, stop.there, None))
        for stop in stops
        if stop.since is None
        for purpose in stop.purposes
    )


def _reports(bridge: Bridge, name: str, look: Look, stops: Sequence[_Stop]) -> Iterable[Report]:
    adapter, now = bridge.adapters[name], bridge.clock()
    limits = bridge.limits(now)
    told = member(bridge, look.push, now, limits, closed=False)
    shut = blocks(look.push.history, limits)
    for stop in stops:
        everything = EVERY_PURPOSE in stop.purposes
        for purpose in sorted(told.on if everything else stop.purposes & told.on):
            _, _, repair = compare(adapter, look, told, Stands(purpose, stop.there, stop.since), shut)
            if repair in (Repair.STOP_HERE, Repair.BOUNCE_HERE):
                about = EVERY_PURPOSE if everything else purpose
                yield _report(NEWS[stop.there], look.push.person.email, about, min(stop.since or now, now))


def _report(kind: EventType, email: str, purpose: str, time: datetime) -> Report:
    key = f"before a yes\n{kind}\n{purpose}\n{normal_email(email)}\n{int(time.timestamp())}"
    return Report(
        type=kind, email=email, time=time, key=key, purpose=purpose, method=Method.RECONCILE, detail="before a yes"
    )
