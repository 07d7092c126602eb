"""Campaigns that ask contacts without proof once more (AUD-03)."""

from collections.abc import Iterator
from datetime import timedelta

from bridge.bootstrap import Bridge
from bridge.store.campaigns import State
from bridge.vocabulary import Finding

#: So long one that stopped by itself is red; afterwards it is history.
_RED = timedelta(days=30)


def look(bridge: Bridge) -> Iterator[Finding]:
    """One that stopped by itself, unless another about the same was begun since; and one that waits for a person."""
    now, later = bridge.clock(), set[str]()
    for campaign in bridge.store.campaigns.all():  # the newest first
        subject = f"campaign {campaign.id} about {campaign.purpose}"
        if campaign.state is State.STOPPED and campaign.purpose not in later:
            fresh = campaign.ended is not None and now - campaign.ended < _RED
            if fresh:
                fix = "find out why before you plan another one; who was asked is never asked again"
                yield Finding(f"{subject} stopped by itself: {campaign.why}", False, fix)
        elif campaign.state is State.PAUSED:
            yield Finding(f"{subject} is paused", True, "go on with consent-bridge repermission resume")
        if campaign.state is not State.PLANNED:
            later.add(campaign.purpose)
