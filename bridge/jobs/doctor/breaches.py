"""Breaches whose clock runs: the authority must hear of each in time (GDPR 33(1), BRC-01)."""

from collections.abc import Iterator

from bridge.bootstrap import Bridge
from bridge.jobs.breach.papers import clock_of, time_left
from bridge.vocabulary import Finding, rfc3339


def look(bridge: Bridge) -> Iterator[Finding]:
    """Each breach that is open."""
    for breach in bridge.store.breaches.all():
        if breach.closed:
            continue
        clock, number = clock_of(bridge, breach), breach.number
        subject = f"breach {number}: {time_left(clock)}"
        if clock.stopped:
            yield Finding(subject, True, f"it is open: consent-bridge breach close {number}, once it is over")
            continue
        fix = (
            f"the authority must hear of it by {rfc3339(clock.due)}: consent-bridge breach export {number}, send it, "
            f"then consent-bridge breach note {number} --sent REFERENCE"
        )
        yield Finding(subject, not clock.overdue, fix)
