"""Our side and an ESP's, compared for one person and purpose: who is right, and what is to be done.

The store decides (ESP-01); but anybody's "no" is a no, also one that only the ESP heard (ESP-02, R2). Nothing here
ever makes a yes.
"""

from enum import StrEnum


class Here(StrEnum):
    """How a person stands in the store for one purpose."""

    ON = "on"  # may be mailed now
    PAUSED = "paused"  # may be mailed again after a while
    BLOCKED = "blocked"  # a yes, but nothing may be sent to her
    STOPPED = "stopped"  # said no, or her yes was ended
    ASKED = "asked"  # has not confirmed yet
    NOTHING = "nothing"  # no yes that counts, and no no
    STRANGER = "stranger"  # not in the store at all
    NO_ONLY = "no only"  # not in the store but for a keyed hash: she said no
    ERASED = "erased"  # not in the store but for a keyed hash: she was erased


class There(StrEnum):
    """How an ESP holds her for that purpose."""

    OFF = "off"  # not there, or there without it
    ON = "subscribed"
    LEFT = "unsubscribed"
    DEAD = "bounced"
    COMPLAINED = "complained"


class Verdict(StrEnum):
    """What the comparison says."""

    EQUAL = "equal"
    UNDER_WAY = "under way"  # one side is being told at this moment: no difference
    WITHDRAWAL = "withdrawal wins"
    DEAD = "the address is dead there"
    NO_PROOF = "no yes here that counts"
    PAUSED = "paused here"
    BLOCKED = "blocked here"
    ERASED = "erased here"
    MISSING = "missing there"
    REFUSED = "refused there"  # told, and the ESP does not take her
    ANSWERED = "her newer yes waits there"  # the ESP keeps a stop that she has answered here since
    OURS = "stopped there by us"  # by a pause or block of ours that the ESP cannot tell from her own stop
    UNKNOWN = "not known here"


class Repair(StrEnum):
    """What is done about it."""

    NONE = "none"
    STOP_HERE = "stop here"
    BOUNCE_HERE = "note the bounce here"
    UNSUBSCRIBE = "unsubscribe there"
    SWITCH_OFF = "switch off there"
    SUBSCRIBE = "subscribe there"
    ERASE = "erase there"


#: Somebody is on there: what it means, by where she stands here.
_ON_THERE = {
    Here.ON: (Verdict.EQUAL, Repair.NONE),
    Here.PAUSED: (Verdict.PAUSED, Repair.SWITCH_OFF),
    Here.BLOCKED: (Verdict.BLOCKED, Repair.SWITCH_OFF),
    Here.STOPPED: (Verdict.WITHDRAWAL, Repair.UNSUBSCRIBE),
    Here.ASKED: (Verdict.NO_PROOF, Repair.UNSUBSCRIBE),
    Here.NOTHING: (Verdict.NO_PROOF, Repair.UNSUBSCRIBE),
    Here.STRANGER: (Verdict.UNKNOWN, Repair.NONE),
    Here.NO_ONLY: (Verdict.WITHDRAWAL, Repair.UNSUBSCRIBE),
    Here.ERASED: (Verdict.ERASED, Repair.ERASE),
}


def judge(
    here: Here,
    there: There,
    *,
    under_way: bool = False,
    known: bool = False,
    answered: bool = False,
    ours: bool = False,
    refused: bool = False,
) -> tuple[Verdict, Repair]:
    """Who is right about one person and purpose, and what to do.

    `known`: the stop there is known here. `answered`: she answered it here with a newer yes. `ours`: it may be one of
    our own doing. `refused`: the ESP did not take what it was told of her last.
    """
    if under_way:
        return Verdict.UNDER_WAY, Repair.NONE
    if there is There.ON:
        return _ON_THERE[here]
    if there is There.OFF:
        if here is not Here.ON:
            return Verdict.EQUAL, Repair.NONE
        return (Verdict.REFUSED, Repair.NONE) if refused else (Verdict.MISSING, Repair.SUBSCRIBE)
    if answered and not known and here is Here.ON and not refused:
        return Verdict.ANSWERED, Repair.SUBSCRIBE  # it was never told of that yes, or not in a way that lifts a stop
    return _stopped(here, there, known=known, answered=answered, ours=ours)


def _stopped(here: Here, there: There, *, known: bool, answered: bool, ours: bool) -> tuple[Verdict, Repair]:
    """She gets nothing there. Whether that is a "no" we have not heard is all that matters."""
    if known or here is Here.ERASED:
        return Verdict.EQUAL, Repair.NONE
    if here is Here.ASKED:  # the question was put after, or her answer to it is the next we hear
        return Verdict.UNDER_WAY, Repair.NONE
    if answered:
        return Verdict.ANSWERED, Repair.NONE
    if ours and there is There.LEFT:
        return (Verdict.OURS, Repair.NONE) if here is Here.ON else (Verdict.EQUAL, Repair.NONE)
    if there is There.DEAD:
        return (Verdict.EQUAL, Repair.NONE) if here in _HASH_ONLY else (Verdict.DEAD, Repair.BOUNCE_HERE)
    return Verdict.WITHDRAWAL, Repair.STOP_HERE


#: Of whom no address is kept that could bounce.
_HASH_ONLY = frozenset({Here.STRANGER, Here.NO_ONLY, Here.ERASED})
