"""Asking contacts without proof once more, a wave at a time, so that nobody has to sit beside it (AUD-03 to AUD-05).

A wave is asked, leaves, and is watched for a day; then the next one follows. Dead addresses beyond the limit, or one
complaint, stop the campaign for good. Whoever has not answered in time is let go.
"""

import logging
from collections.abc import Callable, Collection, Sequence

from bridge.bootstrap import Bridge
from bridge.decide import must_stop
from bridge.store import BadInput
from bridge.store.campaigns import Campaign, Planned, State, WaveNow
from bridge.vocabulary import Asking

log = logging.getLogger("bridge.asking")


class Asker:
    """Goes on with what is due. Several may do so at once; killed at any moment, the next one goes on."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.book = bridge.store.campaigns

    def look(self) -> int:
        """Let go of people whose time is over, and ask the next; how many pieces of work that was."""
        if not self.book.has_work():
            return 0
        done = self.bridge.store.end_questions()
        for campaign in self.book.in_state(State.RUNNING, State.PAUSED, State.ASKED):
            waves = self.book.waves(campaign.id)
            if not stopped(self.bridge, campaign, waves) and campaign.state is State.RUNNING:
                done += self._go_on(campaign, waves)
        return done + self.book.close()

    def _go_on(self, campaign: Campaign, waves: Sequence[WaveNow]) -> int:
        bridge, now = self.bridge, self.bridge.clock()
        limits = bridge.limits(now)
        asking = limits.asking
        if asking is None:
            return 0
        if campaign.purpose in {**limits.closed, **bridge.store.complaints.held(now, limits)}:
            return 0  # nobody may be mailed about it now: nobody is asked either
        last = waves[-1] if waves else None
        if last and last.funnel.asked < last.size and not campaign.is_through:
            return self._ask(campaign, last.size, new=False)
        # One that is watched so long was begun before the clock was set back.
        if last and (last.watched is None or last.watched > now + asking.watch):
            return int(self.book.watch(campaign, asking.watch))
        if last and last.watched and now < last.watched:
            return 0
        if campaign.is_through:
            self.book.end(campaign, State.ASKED)
            return 0
        return self._ask(campaign, size_of(asking, len(waves)), new=True)

    def _ask(self, campaign: Campaign, size: int, *, new: bool) -> int:
        alone = confirmed(self.bridge, [campaign.purpose])
        return self.bridge.store.ask_once_more(campaign, size, confirmed=alone, new=new)


def plan(
    bridge: Bridge, purpose: str, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[Planned, Campaign | None]:
    """Who may be asked about a purpose, and the campaign that is written down for them, if there is anybody.

    Raises `BadInput` where the policy does not allow it.
    """
    allowed(bridge)
    book, chosen = bridge.store.campaigns, bridge.policy.repermission
    limits = bridge.limits(bridge.clock())
    found = book.look(purpose, limits, confirmed=confirmed(bridge, [purpose]), progress=progress)
    if not found.eligible:
        return found, None
    campaign = book.plan(
        found,
        purpose=purpose,
        approver=chosen.approver,
        reason=chosen.reason,
        countries=" ".join(chosen.countries),
        notice=bridge.policy.purposes[purpose].notice,
        answer_days=chosen.answer_within.time.days,
    )
    return found, campaign


def allowed(bridge: Bridge) -> None:
    """Raise `BadInput` unless the policy allows it: it is off by default (AUD-03)."""
    if not bridge.policy.repermission.allowed:
        raise BadInput(
            "the policy does not allow asking old contacts once more: it needs [repermission] with allowed = true, "
            "an approver, a reason and countries (AUD-03)"
        )


def resume(bridge: Bridge, campaign: Campaign) -> None:
    """Go on with a campaign that was paused, unless it must stop. Raises `BadInput` where it must."""
    if why := stopped(bridge, campaign, bridge.store.campaigns.waves(campaign.id)):
        raise BadInput(f"campaign {campaign.id} was stopped: {why}")
    bridge.store.campaigns.resume(campaign)


def stopped(bridge: Bridge, campaign: Campaign, waves: Sequence[WaveNow]) -> str:
    """Stop a campaign that must not go on, for good. Why, in words; empty where it may."""
    book, asking = bridge.store.campaigns, bridge.limits(bridge.clock()).asking
    why = changed(bridge, campaign)
    if asking and not why:
        why = must_stop([wave.counts for wave in waves], asking.bounces_stop)
    if why and book.end(campaign, State.STOPPED, why):
        log.error("campaign %s about %s was stopped: %s", campaign.id, campaign.purpose, why)
    return why


def changed(bridge: Bridge, campaign: Campaign) -> str:
    """Why a campaign is not what the policy allows now; empty while it is."""
    chosen, purpose = bridge.policy.repermission, bridge.policy.purposes.get(campaign.purpose)
    if not chosen.allowed:
        return "the policy does not allow it any more"
    if purpose is None or purpose.notice != campaign.notice:
        return "the words it asks about are no longer those of the policy"
    planned = (campaign.approver, campaign.countries, campaign.answer_days)
    if (chosen.approver, " ".join(chosen.countries), chosen.answer_within.time.days) != planned:
        return "approver, countries or answer_within in the policy are not those that it was planned with"
    return ""


def confirmed(bridge: Bridge, purposes: Collection[str]) -> bool:
    """Whether only a confirmed yes counts for these."""
    known = [bridge.policy.purposes[each] for each in purposes if each in bridge.policy.purposes]
    return any(purpose.opt_in == "double" for purpose in known)


def size_of(asking: Asking, wave: int) -> int:
    """How many the wave of that place asks, counted from 0."""
    return asking.waves[min(wave, len(asking.waves) - 1)]
