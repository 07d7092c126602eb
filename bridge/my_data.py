"""What a reader does with her own data behind a freshly mailed link: correct, move, restrict, object, erase.

An old mail's link, forwarded to anybody, does none of it (PRF-03). Each act counts from the moment it is pressed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.acts import Acts, Late, by_reader
from bridge.decide import FOR_ALL, MAILABLE, after_restriction, asks_anew, blocks, standing
from bridge.links import Action, Claim, fingerprint
from bridge.store import Erased, Moved, Plan
from bridge.store.answering import Asked, Press
from bridge.store.values import Person
from bridge.vocabulary import (
    EVERY_PURPOSE,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    MailKind,
    Method,
    normal_email,
)

#: The detail of a correction: what was changed, never to what.
_LANGUAGE = "language"


class Own(NamedTuple):
    """Who opened her own page, and what decides what it offers."""

    person: Person
    language: str
    fields: tuple[str, ...]  # that she may fill in
    restricted: bool
    objected: bool


class Move(NamedTuple):
    """What the button behind the mail to a new address will do."""

    person: Person
    language: str
    email: str
    purposes: tuple[str, ...]  # that move with her
    done: bool  # it was pressed already
    anew: bool  # each of them is asked again at the new address
    held: bool = False  # it was pressed, maybe by a program, and waits for the digits of the mail


class MyData:
    """The acts of the page "my data". Knows no web."""

    def __init__(self, acts: Acts, *, new_consent: bool) -> None:
        self._acts, self._store, self._policy = acts, acts.store, acts.policy
        self._anew = new_consent

    def own(self, token: str) -> Own:
        """Whose page it is. Raises `ExpiredLink`, or `BadLink` for a link of any other kind."""
        person, history, _ = self._acts.own(token)
        return Own(
            person=person,
            language=self._acts.spoken(person),
            fields=tuple(self._open(person, history)),
            restricted=Block.RESTRICTED in blocks(history, self._store.limits(self._acts.clock())),
            objected=any(event.type in FOR_ALL for event in history) and not _is_on(history),
        )

    def look(self, token: str) -> None:
        """Have every platform asked what it holds of her."""
        person, _, _ = self._acts.own(token)
        self._store.queue.looks.ask(person, self._store.adapters)
        self._store.nudge()

    def correct(self, token: str, language: str, fields: Mapping[str, str]) -> bool:
        """Put language and declared fields right at once, here and at each platform (GDPR 16, 19). `fields` holds those
        that she filled in; an empty one is taken away. Whether anything changed.
        """
        person, _, _ = self._acts.own(token)
        now = self._acts.clock()

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            told = {name: fields[name] for name in self._open(holder, story) if name in fields}
            kept = {**holder.fields, **told}
            after = msgspec.structs.replace(
                holder, language=language, fields={name: value for name, value in kept.items() if value}
            )
            changed = [_LANGUAGE] if language != holder.language else []
            changed += [name for name in told if told[name] != holder.fields.get(name, "")]
            if not changed:
                return Plan()
            evidence = Evidence(detail=" ".join(changed), language=language, token=fingerprint(token))
            event = msgspec.structs.replace(_event(EventType.CORRECTED, holder, now), evidence=evidence)
            return Plan(events=[event], person=after, answer="changed")

        return bool(self._store.act(person.id, build).answer)

    def ask_move(self, token: str, email: str, network: str) -> bool:
        """Mail a new address whether it is hers; the same answer whoever has it. False = it is her address already."""
        person, _, _ = self._acts.own(token)
        if normal_email(email) == normal_email(person.email):
            return False
        self._store.ask_move(person.id, email, network, self._acts.spoken(person))
        return True

    def moving(self, token: str) -> Move:
        """What the mail to a new address asks, to show it. Raises `ExpiredLink`, `Late` or `BadLink`."""
        claim = self._acts.links.read(Action.MOVE, token, self._acts.clock(), self._policy.limits_.pending_ttl.time)
        found = self._store.look(claim.subject, claim.address)
        if found is None or found[0].id != claim.subject:
            raise Late
        person, history = found
        story = self._story(person, claim)
        moves = [event for event in story if event.type is EventType.MOVED]
        done = bool(moves) and moves[-1].evidence.request == claim.request  # a later move is told at its own mailbox
        email = self._store.new_address(person, claim.request)
        if done:
            email = person.email
        elif email is None or person.mark != claim.address:
            raise Late
        waiting = self._store.question(person, Asked(MailKind.MOVE, claim.request))
        dead = Block.BOUNCED in blocks(history, self._store.limits(self._acts.clock()))
        anew = self._anew or dead or asks_anew(self._policy.sign_up.hold, coded=waiting is not None and waiting.coded)
        return Move(
            person=person,
            language=self._acts.spoken(person),
            email=email,
            purposes=tuple(_on(history)),
            done=done,
            anew=anew,
            held=waiting is not None and waiting.held is not None,
        )

    def move(self, token: str, press: Press) -> tuple[Moved, Move]:
        """The new mailbox has confirmed: she is there from now on (R13). Raises `Late` where it no longer counts.

        `HELD` or `WRONG`: she is not, and what her mail's digits may still do.
        """
        asked = self.moving(token)
        if asked.done:
            return Moved.MOVED, asked
        claim = self._acts.links.read(Action.MOVE, token, self._acts.clock())
        event = _event(EventType.MOVED, asked.person, self._acts.clock(), Method.CONFIRM_PAGE)
        evidence = Evidence(request=claim.request, token=fingerprint(token))
        told = msgspec.structs.replace(event, asked=claim.made, evidence=evidence)
        came = self._store.move(asked.person, told, press, anew=self._anew)
        if came is Moved.VOID:
            raise Late
        return came, asked

    def restrict(self, token: str, *, restricted: bool) -> None:
        """Keep what there is and use none of it, or use it again (GDPR 18). A second press changes nothing."""
        person, _, _ = self._acts.own(token)
        now, limits = self._acts.clock(), self._store.limits(self._acts.clock())

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            standing = blocks(story, limits).get(Block.RESTRICTED)
            if (standing is not None) is restricted:
                return Plan()
            if standing is None:
                return Plan(events=[_event(EventType.RESTRICTED, holder, now)])
            return Plan(events=[_event(EventType.UNRESTRICTED, holder, after_restriction(standing, now))])

        self._store.act(person.id, build)

    def object(self, token: str) -> None:
        """No marketing of any kind from now on, without weighing anything (GDPR 21(2) and (3), RGT-06)."""
        person, _, _ = self._acts.own(token)
        self._store.record([_event(EventType.OBJECTED, person, self._acts.clock())])

    def erase(self, token: str) -> tuple[str, Erased]:
        """Erase her, here at once and at every platform (GDPR 17, RGT-04). Gives her language, and who was promised."""
        person, _, _ = self._acts.own(token)
        return self._acts.spoken(person), self._store.erase_person(person.email)

    def _open(self, person: Person, history: list[ConsentEvent]) -> list[str]:
        """Fields that she may fill in: those there are, and those that a purpose of hers uses (MIN-01)."""
        on = set(_on(history))
        declared = [field for field in self._policy.fields.values() if not field.rhythm]  # that is asked elsewhere
        return [field.id for field in declared if field.id in person.fields or on & set(field.purposes)]

    def _story(self, person: Person, claim: Claim) -> list[ConsentEvent]:
        """Her story, where her address is no longer the one that the link was made for."""
        return self._store.story(person) if person.mark != claim.address else []


def _event(kind: EventType, person: Person, now: datetime, method: Method = Method.PREFERENCE_PAGE) -> ConsentEvent:
    return by_reader(kind, person, EVERY_PURPOSE, method, now)


def _on(history: list[ConsentEvent]) -> list[str]:
    purposes = dict.fromkeys(event.purpose for event in history if event.purpose)
    return [purpose for purpose in purposes if standing(history, purpose).status in MAILABLE]


def _is_on(history: list[ConsentEvent]) -> bool:
    return bool(_on(history))
