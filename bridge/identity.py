"""Whether a request by letter or phone is hers: she says so at a page behind a link that went to her mailbox (RGT-08).

Nothing else is ever asked: no paper, no copy of a card, no password.
"""

from collections.abc import Mapping
from datetime import timedelta

from bridge.bootstrap import Bridge
from bridge.links import Action, BadLink
from bridge.store import BadInput
from bridge.store.case_files import Case, Proof, Told
from bridge.texts import mark
from bridge.vocabulary import RequestKind

#: How long she may take to answer: as long as we have.
LIFE = timedelta(days=30)

#: What she asks, as a page or letter says it behind a colon.
ASKED: Mapping[RequestKind, str] = {
    RequestKind.ACCESS: mark("to see what we hold about you"),
    RequestKind.RECTIFY: mark("to correct what we hold about you"),
    RequestKind.ERASE: mark("to erase what we hold about you"),
    RequestKind.RESTRICT: mark("to keep your data but not to use it"),
    RequestKind.PORT: mark("to give you your data in a form for other programs"),
    RequestKind.OBJECT: mark("to send you no marketing mail any more"),
    RequestKind.WITHDRAW: mark("to stop mail that you had agreed to"),
    RequestKind.COMPLAINT: mark("to look into a complaint of yours"),
}


def asked(bridge: Bridge, token: str) -> tuple[Case, Told | None]:
    """What a link is about; without what names her where she was erased. Raises `BadLink` and `ExpiredLink`."""
    claim = bridge.links.read(Action.REQUEST, token, bridge.clock(), LIFE)
    try:
        case = bridge.store.cases.find(claim.request)
    except BadInput:
        raise BadLink from None  # deleted when its time was over
    told = bridge.store.cases.told(case)
    if told is not None:
        person = bridge.store.cases.person(told)
        if person is None or (person.id, person.mark) != (claim.subject, claim.address):
            raise BadLink  # what was mailed to another address, or to whoever had it before, is void (R13)
    return case, told


def say(bridge: Bridge, token: str, *, hers: bool) -> Proof | None:
    """She pressed a button; what is known now. A yes stays, a no may be a slip, and a closed request
    stays as it is."""
    case, told = asked(bridge, token)
    if told is not None:
        bridge.store.cases.verify(case, Proof.LINK if hers else Proof.DENIED)
    case = bridge.store.cases.find(case.id)
    return None if case.closed else case.how
