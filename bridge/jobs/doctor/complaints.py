"""How many readers press "spam" (SND-04)."""

from collections.abc import Iterator
from datetime import timedelta

from bridge.bootstrap import Bridge
from bridge.vocabulary import Finding

_DAYS = 7


def look(bridge: Bridge) -> Iterator[Finding]:
    """The last days on which a purpose came near the limit or over it, and whether it is stopped now."""
    now = bridge.clock()
    limits = bridge.limits(now)
    today = now.astimezone(bridge.policy.zone).date()
    held = bridge.store.complaints.held(now, limits)
    for purpose, why in held.items():
        fix = "find out who was mailed and why; what is new goes on after a whole day below the limit"
        yield Finding(f"complaints about {purpose}: {why}", False, fix)
    rates = bridge.store.complaints.rates(today - timedelta(days=_DAYS), today)
    high = [rate for rate in rates if rate.percent >= limits.complaint_warn and rate.purpose not in held]
    for rate in high:
        hint = f"above {limits.complaint_warn:g} % mail programs begin to file you as spam: mail less, or fewer"
        yield Finding(f"complaints about {rate.purpose}: {rate.words}", True, hint)
    if not held and not high:
        yield Finding(f"complaints: below {limits.complaint_warn:g} % on each of the last {_DAYS} days", True)
