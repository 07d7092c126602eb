"""The papers: what the registers do not show yet, what changed since somebody looked, the statement that is out."""

from collections.abc import Iterator
from datetime import date

from bridge.bootstrap import Bridge
from bridge.jobs.publishing import draft
from bridge.jobs.tasks import task
from bridge.policy import GapKind, gaps
from bridge.vocabulary import Finding, rfc3339

_SEEN = "look at `consent-bridge register processors`, then: consent-bridge register acknowledge --by NAME"
#: More changes than this are counted.
_MOST_LINES = 20


def look(bridge: Bridge) -> Iterator[Finding]:
    """Gaps that hold nothing back are notes: they are the DPO's to fill, and mails go on."""
    policy = bridge.policy
    today = bridge.clock().astimezone(policy.zone).date()
    yield from _gaps(bridge, today)
    yield from _road(bridge)
    found = task(bridge)
    if found.last is None:
        yield Finding("registers: nobody has looked at them yet", True, _SEEN)
    for changed in found.changed[:_MOST_LINES]:
        yield Finding(f"changed since {found.last and rfc3339(found.last.time)}: {changed}", True, _SEEN)
    more = len(found.changed) - _MOST_LINES
    if more > 0:
        yield Finding(f"changed since: {more} more", True, _SEEN)
    yield from _statement(bridge)
    for spoilt in bridge.store.papers.spoilt():
        fix = "its bytes are no longer those that were published: restore it from a backup, and find out who did that"
        yield Finding(f"privacy statement {spoilt.version} ({spoilt.language})", False, fix)


def _statement(bridge: Bridge) -> Iterator[Finding]:
    """Whether what is out says what the policy does."""
    made = draft(bridge)
    lacking = {lack.where for each in made.lacks.values() for lack in each}
    if lacking:
        fix = f"it lacks {', '.join(sorted(lacking))}: consent-bridge statement check"
        yield Finding("privacy statement: cannot be published", True, fix)
    elif not made.newest:
        yield Finding("privacy statement: a draft", True, "nothing is missing in it: consent-bridge statement publish")
    elif made.changed:
        fix = f"the policy says something else than version {made.version - 1}: consent-bridge statement publish"
        yield Finding("privacy statement: out of date", False, fix)


def _gaps(bridge: Bridge, today: date) -> Iterator[Finding]:
    """Contracts of platforms in use and reviews of channels are looked at by `house`."""
    for gap in gaps(bridge.policy, today):
        name = gap.where.split(".")[1]
        if gap.kind is GapKind.CHANNEL or (gap.blocks and name in bridge.adapters):
            continue
        overdue = gap.overdue is not None
        yield Finding(f"{gap.where} ({gap.row})", not overdue, gap.fix)


def _road(bridge: Bridge) -> Iterator[Finding]:
    """Whoever carries our own mails gets addresses too."""
    road = bridge.road
    if bridge.transport.ears() is not None and road not in bridge.policy.processors:
        fix = f'our own mails leave by {road}, which gets addresses: add a [[processors]] block with id = "{road}"'
        yield Finding(f"{road}: entry in the register (REG-02)", True, fix)
