"""How one person should be at one ESP now: all that may be told about her, and nothing else (MIN-04)."""

from collections.abc import Collection, Sequence
from datetime import datetime

from bridge.bootstrap import Bridge
from bridge.decide import MAILABLE, STOPS, blocks, concerns, is_on, paused_until, standing, unconfirmed_move
from bridge.mailer import stop_token
from bridge.store import Push
from bridge.vocabulary import Block, ConsentEvent, EventType, Limits, Member


def hidden(bridge: Bridge, push: Push, now: datetime) -> float | None:
    """Seconds until a pause ends that hides a new yes: it must still count as new then, so it was not told yet."""
    if push.pause_end is None:
        return None
    paused = [purpose for purpose in bridge.policy.places(push.adapter) if _is_paused(push, purpose, now)]
    if not paused or not _new_yes(push, paused, bridge.limits(now)):
        return None
    ends = [end - now for purpose in paused if (end := paused_until(push.history, purpose))]
    return min(ends).total_seconds()


def member(
    bridge: Bridge,
    push: Push,
    now: datetime,
    limits: Limits,
    *,
    closed: bool,
    held: Collection[str] = (),
    retired: bool = False,
) -> Member:
    """How this person should be at this ESP now.

    Without a contract (`closed`) nothing new begins there (REG-02), nor for a purpose that is `held` (SND-04). At one
    that is given up (`retired`) nobody is on any more. That is no stop of hers, so it is told as a pause.
    """
    person, history, policy = push.person, push.history, bridge.policy
    purposes = policy.places(push.adapter)
    shut = blocks(history, limits)
    restricted = shut.pop(Block.RESTRICTED, None)  # kept, not used: on hold, so that lifting it needs no act there
    on = frozenset(purpose for purpose in purposes if is_on(history, purpose, now, limits))
    fresh = _new_yes(push, on, limits)
    new = fresh if closed else fresh.intersection(held)
    on, fresh = on - new, fresh - new
    stopped = frozenset(p for p in purposes if p not in on and (shut or _is_stopped(push, p)))
    # On hold until the mailbox of her new address has answered (R13).
    held_back = restricted is not None or unconfirmed_move(history) is not None
    paused = frozenset(p for p in purposes if p not in on and not shut and (held_back or _is_paused(push, p, now)))
    paused -= stopped
    # An ESP that said something of her knows her, whoever told it.
    first = push.put == 0 and not any(event.source == push.adapter for event in history)
    if retired:
        paused, on, fresh = frozenset() if first else paused | on, frozenset(), frozenset()
    fields = {
        field.id: person.fields[field.id]
        for field in policy.fields.values()
        if push.adapter in field.at and field.id in person.fields and on & set(field.purposes)
    }
    token = stop_token(bridge.links, person.id, person.mark, min(history[0].time, now) if history else now)
    return Member(
        email=person.email,
        language=person.language,
        on=on,
        stopped=stopped,
        fresh=fresh,
        paused=paused,
        # A dead address is stopped per purpose only: a global stop there would also hold back her own
        # confirmation mail, which is what brings her back (R7).
        blocked=bool(shut.keys() - {Block.BOUNCED}),
        first=first,
        gone=push.gone,
        link=bridge.links.url("/preferences/", token),
        fields=fields,
    )


def asked_for(push: Push, told: Member) -> datetime | None:
    """When the oldest of her new yeses was asked for."""
    found = (standing(push.history, purpose).by for purpose in told.fresh)
    return min((min(by.asked or by.time, by.time) for by in found if by is not None), default=None)


def is_held(bridge: Bridge, push: Push, now: datetime, limits: Limits, held: Collection[str]) -> bool:
    """Whether a new yes of hers waits until fewer readers complain (SND-04)."""
    mine = bridge.policy.places(push.adapter).keys() & held
    on = [purpose for purpose in mine if is_on(push.history, purpose, now, limits)]
    return bool(_new_yes(push, on, limits))


def _new_yes(push: Push, purposes: Collection[str], limits: Limits) -> frozenset[str]:
    """For which of these a standing yes of her own is newer than what the ESP was told last.

    A new yes that brings a dead address back to life renews all that stood: the ESP was told to stop it (R7).
    """
    new = {event.key for event in push.history[push.put : push.number]}
    revived = _is_revived(push, new, limits)
    yes = {purpose: standing(push.history, purpose).by for purpose in purposes}
    return frozenset(
        purpose
        for purpose, by in yes.items()
        if by is not None and by.confirmed and by.type is EventType.GIVEN
        if revived or by.key in new or _is_agreed(push, new, purpose) or _is_released(push, new, by, limits)
    )


def _is_released(push: Push, new: Collection[str], yes: ConsentEvent, limits: Limits) -> bool:
    """Whether she said this yes while her data was restricted, and lifts that by these events of hers: until now the
    ESP was told to hold her, so that the yes is news there (RGT-05)."""
    if not any(event.type is EventType.UNRESTRICTED and event.key in new for event in push.history):
        return False
    said = next(place for place, event in enumerate(push.history) if event.key == yes.key)
    if any(event.type is EventType.UNRESTRICTED for event in push.history[said : push.put]):
        return False  # it was lifted before, and told then
    return Block.RESTRICTED in blocks(push.history[:said], limits)


def _is_agreed(push: Push, new: Collection[str], purpose: str) -> bool:
    """Whether a child's guardian agreed, or she came of age, by these events of hers: her yes counts since then only,
    and the ESP may have been told to stop her before (KID-01)."""
    kinds = (EventType.GUARDIAN_CONFIRMED, EventType.OF_AGE)
    return any(event.type in kinds and event.key in new and concerns(event, purpose) for event in push.history)


def _is_revived(push: Push, new: Collection[str], limits: Limits) -> bool:
    """Whether the address was dead, or new and unconfirmed, before these events of hers, and is not after them."""
    if not any(event.type in _REVIVABLE for event in push.history):
        return False
    before = [event for event in push.history if event.type is not EventType.GIVEN or event.key not in new]
    return _is_out_of_use(before, limits) and not _is_out_of_use(push.history, limits)


#: What keeps mail from an address until it answers.
_REVIVABLE = frozenset({EventType.BOUNCED, EventType.DEFERRED, EventType.MOVED})


def _is_out_of_use(history: Sequence[ConsentEvent], limits: Limits) -> bool:
    return Block.BOUNCED in blocks(history, limits) or unconfirmed_move(history) is not None


def _is_paused(push: Push, purpose: str, now: datetime) -> bool:
    if push.pause_end is None:  # no pause of hers is still to end
        return False
    pause = paused_until(push.history, purpose)
    return pause is not None and pause > now and standing(push.history, purpose).status in MAILABLE


def _is_stopped(push: Push, purpose: str) -> bool:
    by = standing(push.history, purpose).by
    return by is not None and by.type in STOPS
