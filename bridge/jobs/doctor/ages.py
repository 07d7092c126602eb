"""The age from which a child decides alone: laws change, so somebody looks it up once a year (KID-01)."""

from collections.abc import Iterator

from bridge.bootstrap import Bridge
from bridge.policy.ages import RECHECK
from bridge.vocabulary import Finding


def look(bridge: Bridge) -> Iterator[Finding]:
    """Only where something is offered to children."""
    policy = bridge.policy
    if not policy.for_children:
        return
    today, age = bridge.clock().astimezone(policy.zone).date(), policy.age
    fresh = today - RECHECK <= age.checked <= today
    fix = (
        f"{age.years} ({age.source}) was looked up on {age.checked}: look up the law of {policy.country} today, then "
        f"write child_age and child_age_checked = {today} in the policy (KID-01)"
    )
    yield Finding("age of a child's own consent", fresh, "" if fresh else fix)
