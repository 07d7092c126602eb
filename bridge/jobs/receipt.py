"""The receipt a reader gets for her yes: the exact words, when, where and how, and the way out (CON-07).

With a seal key the same goes with it for programs, signed; and for her no, with the mail that says goodbye.
"""

import logging
from collections.abc import Sequence

import msgspec

from bridge import receipts
from bridge.bootstrap import Bridge
from bridge.decide import standing
from bridge.mailer import Occasion
from bridge.receipts import Act
from bridge.store import UnknownSubject
from bridge.store.values import Person
from bridge.vault import Sealed
from bridge.verifier import canonical
from bridge.vocabulary import ConsentEvent, EventType, Status

log = logging.getLogger("bridge.dispatch")

#: So many bytes of signed receipts fit into a mail that must stay small; the others are on her preference page.
_MOST_BYTES = 14_000


def receipt(bridge: Bridge, person: Person, occasion: Occasion) -> Occasion:
    """The same occasion with its receipt, and with where and when the yes was given."""
    story = bridge.store.story(person)
    given = [standing(story, purpose).by for purpose in occasion.purposes]
    items = []
    for event in given:
        if event is None or event.type is not EventType.GIVEN or not event.evidence.wording:
            continue
        words = bridge.store.words(event.evidence.wording)
        channel = bridge.policy.channels.get(event.channel or "")
        items.append(
            {
                "purpose": bridge.policy.purposes[event.purpose].name[occasion.language],
                "label": words.label if words else "",
                "text": words.text if words else "",
                "version": event.notice,
                "sha256": event.evidence.wording,
                "asked": event.asked,
                "given": event.time,
                "place": channel.place[occasion.language] if channel else "",
                "method": event.method,
                "event": event.key,
            }
        )
    if not items:
        return occasion
    url = bridge.mailer.unsubscribe_url(occasion)
    papers = _signed(bridge, person, occasion, story, _yeses(story, occasion))
    told = {"subject": person.id, "url": url, "check_url": bridge.links.url("/receipt") if papers else None}
    text = bridge.texts.render("email/receipt.txt", occasion.language, items=items, **told)
    first = next(event for event in given if event is not None)
    return msgspec.structs.replace(
        occasion, receipt=text, papers=papers, channel=first.channel or "", asked=first.asked or first.time
    )


def goodbye(bridge: Bridge, person: Person, occasion: Occasion) -> Occasion:
    """The same occasion with a signed receipt for each yes that ended. Without one the mail goes all the same."""
    if not bridge.seals:
        return occasion
    try:
        story = bridge.store.story(person)
    except (Sealed, UnknownSubject, ValueError, msgspec.MsgspecError):
        log.error("mail %s goes without a receipt: run consent-bridge verify", occasion.key)
        return occasion
    return msgspec.structs.replace(occasion, papers=_signed(bridge, person, occasion, story, _ends(story, occasion)))


def _yeses(story: Sequence[ConsentEvent], occasion: Occasion) -> list[Act]:
    """The last yes to each purpose of this mail."""
    last = {act.purpose: act for act in receipts.acts(story, occasion.purposes)}
    return [act for act in last.values() if act.status is Status.GIVEN]


def _ends(story: Sequence[ConsentEvent], occasion: Occasion) -> list[Act]:
    """What this goodbye is about: the purposes it names; where it names none, all that ended by the last act."""
    last = {act.purpose: act for act in receipts.acts(story, occasion.purposes or None)}
    ended = [act for act in last.values() if act.status is not Status.GIVEN]
    newest = max((act.number for act in ended), default=0)
    return [act for act in ended if occasion.purposes or act.number == newest]


def _signed(
    bridge: Bridge, person: Person, occasion: Occasion, story: Sequence[ConsentEvent], wanted: Sequence[Act]
) -> tuple[tuple[str, str, bytes], ...]:
    """These receipts as files, as many as fit; the same whenever this mail is written."""
    told = receipts.of(bridge.issuer, person.id, story, language=occasion.language, now=occasion.asked, only=wanted)
    found, room = [], _MOST_BYTES
    for act, one in zip([act for act in wanted if act.purpose in bridge.policy.purposes], told, strict=bool(told)):
        data = canonical(one)
        room -= len(data)
        if room >= 0:
            kind = "consent" if act.status is Status.GIVEN else "withdrawal"
            found.append((f"{kind}-receipt-{act.purpose}.json", "application/ld+json", data))
    return tuple(found)
