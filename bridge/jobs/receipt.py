"""The receipt a reader gets for her yes: the exact words, when, where and how, and the way out (CON-07)."""

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import standing
from bridge.mailer import Occasion
from bridge.store.values import Person
from bridge.vocabulary import EventType


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
    text = bridge.texts.render("email/receipt.txt", occasion.language, items=items, subject=person.id, url=url)
    first = next(event for event in given if event is not None)
    return msgspec.structs.replace(occasion, receipt=text, channel=first.channel or "", asked=first.asked or first.time)
