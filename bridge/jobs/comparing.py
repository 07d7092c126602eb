"""One person and purpose, as she stands here and at one ESP: what the difference means, and what is to be done."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bridge.adapter import Adapter
from bridge.decide import MAILABLE, STOPS, standing, whole
from bridge.decide.sides import Here, Repair, There, Verdict, judge
from bridge.store.pushes import Look
from bridge.store.sides import CLOSERS
from bridge.store.waiting import LEASE
from bridge.vocabulary import EVERY_PURPOSE, STOPPED_THERE, Block, ConsentEvent, EventType, Member, Status

#: What a stop at an ESP is as news.
NEWS = {
    There.LEFT: EventType.UNSUBSCRIBED,
    There.DEAD: EventType.BOUNCED,
    There.COMPLAINED: EventType.COMPLAINED,
}
THERE = {kind: there for there, kind in NEWS.items()}


class Stands(NamedTuple):
    """How an ESP holds somebody for one purpose, and when a stop there was made."""

    purpose: str
    there: There
    since: datetime | None


def compare(
    adapter: Adapter, look: Look, told: Member, theirs: Stands, shut: Mapping[Block, ConsentEvent]
) -> tuple[Here, Verdict, Repair]:
    """Judge it. `told` is how she should be there, `shut` what blocks her here."""
    (purpose, there, since), history = theirs, look.push.history
    state, by = standing(history, purpose)
    here = _here(told, purpose, state, by, shut=bool(shut))
    if there is There.DEAD:  # any confirmed yes of hers since says that the mailbox lives (R7)
        answered = any(_is_answered(event, since, look.reason) for event in history)
    else:
        answered = _is_answered(by, since, look.reason)
    verdict, repair = judge(
        here,
        there,
        known=_is_known(there, here, state, history, shut),
        answered=there in NEWS
        and (answered or is_explained(adapter, look, theirs) or _is_echo(adapter, look, by, theirs)),
        ours=_may_be_ours(adapter, history, by, purpose),
        refused=bool(look.reason),
    )
    return here, verdict, repair


def is_explained(adapter: Adapter, look: Look, theirs: Stands) -> bool:
    """Whether her yes has answered a stop that this ESP told us of, or that we had told it, since it took a yes last.

    While that one stands there she cannot leave, complain or die there anew, whatever time it bears by now. Where a
    yes may have got there that nobody noted, the stop there is that one only if it is from before her yes.
    """
    purpose, there, since = theirs
    by = standing(look.push.history, purpose).by
    if by is None:  # no word of hers could have answered it
        return False
    shared = adapter.shared(purpose)
    taken = _taken(look, shared)
    heard = [
        (event.time, True)
        for event in look.push.history
        if event.type is NEWS[there] and event.source == look.push.adapter and event.purpose in (EVERY_PURPOSE, purpose)
    ]
    if there is There.LEFT:
        heard += [(time, True) for time in _followed(look, look.push.put)]
    told = _told(look, shared) if there is There.LEFT else []
    stops = [stop for stop in heard + told if (taken is None or taken < stop[0]) and stop[0] <= by.time]
    _, is_done = max(stops, key=lambda stop: stop[0], default=(None, False))
    if not is_done or not _may_be_taken(look, shared):
        return is_done
    return since is not None and whole(since) < whole(by.time)  # had that yes been taken, this one would be lifted


def _followed(look: Look, last: int | None = None) -> list[datetime]:
    """Complaints that the ESP told, up to an event: it keeps them in a list of their own, and we wrote a stop there."""
    told = look.push.history[:last]
    return [e.time for e in told if e.type is EventType.COMPLAINED and e.source == look.push.adapter]


def _told(look: Look, shared: Collection[str]) -> list[tuple[datetime, bool]]:
    """Her stops here, and whether the ESP has done them, as far as nothing was left on of what shares one status."""
    histories = [(look.push.history[: stop.number], stop) for stop in look.stops]
    return [
        (stop.acted, stop.confirmed is not None)
        for history, stop in histories
        if not any(standing(history, purpose).status in MAILABLE for purpose in shared)
    ]


def _yeses(events: Sequence[ConsentEvent], shared: Collection[str]) -> list[datetime]:
    """When she said yes to one of these."""
    return [event.time for event in events if event.type is EventType.GIVEN and event.purpose in shared]


def _may_be_taken(look: Look, shared: Collection[str]) -> bool:
    """Whether the ESP may have taken a yes for one of these that nobody noted: by a call while it stood."""
    push = look.push
    return any(
        _yeses(push.history[push.put : told], shared)
        and any(standing(push.history[:told], purpose).status in MAILABLE for purpose in shared)
        for told in range(max(push.unsure, push.put + 1), push.unseen + 1)
    )


def _taken(look: Look, shared: Collection[str]) -> datetime | None:
    """When the last yes was given that this ESP took for one of these: what stood there before, that one lifted."""
    return max(_yeses(look.push.history[: look.push.put], shared), default=None)


def _here(told: Member, purpose: str, state: Status, by: ConsentEvent | None, *, shut: bool) -> Here:
    if purpose in told.on:
        return Here.ON
    if state not in MAILABLE:
        if by is not None and by.type in STOPS:
            return Here.STOPPED
        return Here.ASKED if state is Status.REQUESTED else Here.NOTHING
    if shut:
        return Here.BLOCKED
    return Here.PAUSED if purpose in told.paused else Here.NOTHING


def _is_known(
    there: There, here: Here, state: Status, history: Sequence[ConsentEvent], shut: Mapping[Block, ConsentEvent]
) -> bool:
    """Whether what stopped her there is known here already, or follows from what is."""
    if there is There.DEAD:
        return Block.BOUNCED in shut
    if there is There.COMPLAINED:
        return state is Status.OBJECTED
    # Who left one of two may be off for both there; where she never said yes to the other, that is no news. Nor is it
    # where the ESP said "on" without a yes, and was set right.
    ended = any(event.type in STOPS or event.type is EventType.SUBSCRIBED for event in history)
    return here is Here.STOPPED or (here is Here.NOTHING and ended)


def _is_answered(by: ConsentEvent | None, since: datetime | None, reason: str) -> bool:
    """Whether her own confirmed yes is newer than the stop there, by its time, else because the ESP refused it."""
    if by is None or not by.confirmed or by.type is not EventType.GIVEN:
        return False
    if since is None:
        return bool(reason) and reason != STOPPED_THERE
    return by.asked is not None and whole(min(by.asked, by.time)) > whole(since)


def _is_echo(adapter: Adapter, look: Look, by: ConsentEvent | None, theirs: Stands) -> bool:
    """Whether the stop there is one that she said here before her yes, or that followed from a block of hers, and that
    we may have written there after it: by a call that was under way.

    Where that call may as well have been one that told her yes, only a stop from before her yes is ours for certain.
    """
    if by is None or theirs.since is None or theirs.there is not There.LEFT:
        return False
    shared = adapter.shared(theirs.purpose)
    if _may_be_taken(look, shared):
        if whole(theirs.since) >= whole(by.time):
            return False
    elif theirs.since > by.time + LEASE:
        return False
    taken = _taken(look, shared)
    acted = [stop.acted for stop in look.stops if stop.confirmed is None] + _followed(look) if look.push.shaken else []
    acted += [e.time for e in look.push.history if e.time <= theirs.since and _switches_off(e, look, shared)]
    return any(moment <= by.time and (taken is None or taken < moment) for moment in acted)


def _switches_off(event: ConsentEvent, look: Look, shared: Collection[str]) -> bool:
    """Whether something that is no stop of hers had us switch her off there: a block, or that the ESP said "on"."""
    if event.type is EventType.SUBSCRIBED:
        return event.source == look.push.adapter and event.purpose in shared
    return event.type in CLOSERS


def _may_be_ours(adapter: Adapter, history: Sequence[ConsentEvent], by: ConsentEvent | None, purpose: str) -> bool:
    """Whether something of ours that is no stop of hers switched her off there since her yes."""
    own = CLOSERS if not adapter.knows_pause(purpose) else CLOSERS - {EventType.PAUSED}
    return by is not None and any(e.type in own and whole(e.time) >= whole(by.time) for e in history)
