"""What the preference page does beyond yes and no: how often, a link mailed anew, a mistaken stop undone.

Mails are forwarded. So the link of an old mail may lower and may ask; whatever raises, or corrects, needs a link that
was mailed just now (PRF-03, decision 8).
"""

from collections.abc import Mapping, Sequence

import msgspec

from bridge.acts import Acts, by_reader, road
from bridge.decide import MAILABLE, settled, standing, taken
from bridge.links import Action, fingerprint
from bridge.policy import USUAL
from bridge.store import Plan
from bridge.store.values import Person
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent, EventType, Evidence


class Choosing:
    """These acts. Knows no web."""

    def __init__(self, acts: Acts) -> None:
        self._acts, self._store, self._policy = acts, acts.store, acts.policy

    def set_rhythms(self, token: str, wanted: Mapping[str, str]) -> bool:
        """How often she wants purposes that are on for her: choices by purpose, `usual` = as often as offered.

        False where something was asked that this link may not: more often than she has chosen, by an old mail's link.
        """
        claim, person = self._acts.holder(token)
        fresh, now = claim.action is Action.FRESH, self._acts.clock()
        fields = self._policy.rhythms
        refused: list[str] = []

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            kept, changed = dict(holder.fields), []
            for purpose, value in wanted.items():
                field = fields.get(purpose)
                if field is None or value not in field.values or standing(story, purpose).status not in MAILABLE:
                    continue
                known = kept.get(field.id, USUAL)
                if value == known:
                    continue
                if not fresh and not field.is_rarer(value, known):
                    refused.append(purpose)
                    continue
                kept[field.id] = value
                changed.append(field.id)
            if not changed:
                return Plan()
            event = by_reader(EventType.CORRECTED, holder, EVERY_PURPOSE, road(claim), now)
            seen = Evidence(detail=" ".join(changed), language=holder.language, token=fingerprint(token))
            after = msgspec.structs.replace(holder, fields=kept)
            return Plan(events=[msgspec.structs.replace(event, evidence=seen)], person=after)

        self._store.act(person.id, build)
        return not refused

    def taken(self, person: Person) -> list[str]:
        """What her last stop ended and she could have back by a new yes (`ask_again`)."""
        history = settled(self._store.history(person))
        return [p for p in taken(history, self._policy.purposes) if not self._acts.needs_form(history, p)]

    def ask_again(self, token: str, purposes: Sequence[str], *, network: str, language: str | None = None) -> bool:
        """Undo a mistaken stop: mail her the question anew. The link that stopped, or any other, switches nothing on.

        False where no mail goes, because so many went to her already.
        """
        _, person = self._acts.holder(token)
        history = settled(self._store.history(person))
        wanted = [p for p in purposes if p in self._policy.purposes and not self._acts.needs_form(history, p)]
        wanted = [p for p in wanted if standing(history, p).status not in MAILABLE]
        return self._acts.ask_by_mail(person, wanted, network=network, language=language) if wanted else True

    def mail_link(self, token: str, *, network: str) -> None:
        """Mail her a fresh link: whoever holds an old one need not type her address, and does not learn it."""
        _, person = self._acts.holder(token)
        self._store.ask_link(person.email, network, self._acts.spoken(person))
