"""One person's whole story: every event with its proof and the exact words she saw. As data here, as a document in
`testimony`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import may_mail
from bridge.notices import Wording
from bridge.store.rows import with_stops
from bridge.store.values import Confirmation, Person
from bridge.store.verify import Problem, verify_person
from bridge.vault import Sealed
from bridge.vocabulary import Answer, ConsentEvent, Limits, rfc3339


class Found(NamedTuple):
    """All that is known of one address at this moment. Without a `person` only the stop list knows it."""

    made: datetime
    email: str
    person: Person | None
    story: Sequence[ConsentEvent]
    sealed: bool  # whether the evidence of every event could be opened
    stops: Sequence[ConsentEvent]  # what the stop list says beyond her own events
    standing: Mapping[str, Answer]
    limits: Limits
    confirmed: Mapping[int, Sequence[Confirmation]]  # by the number of the stop
    words: Mapping[str, Wording]
    problems: Sequence[Problem]  # of her own chain
    asked: Sequence[Mapping[str, Any]] = ()  # what campaigns asked her once more: campaign, purpose, time, sent

    @property
    def history(self) -> list[ConsentEvent]:
        """What deciding is done with."""
        return [*self.story, *self.stops]


def look(bridge: Bridge, email: str) -> Found | None:
    """What is known of an address; None where nothing is."""
    store, now = bridge.store, bridge.clock()
    person = store.person(email)
    limits = store.limits_now(now)
    if person is None:
        stops = store.stops(email)
        return Found(now, email, None, (), True, stops, {}, limits, {}, {}, ()) if stops else None
    sealed = True
    try:
        story = store.story(person)
    except (Sealed, ValueError, msgspec.MsgspecError):
        sealed, story = False, store.told(person)
    history = with_stops(story, store.stops(person.email))  # the stop list last: it can only say one more no
    confirmed: dict[int, list[Confirmation]] = {}
    for one in (*store.confirmations(person), *store.corrections(person)):
        confirmed.setdefault(one.number, []).append(one)
    shown = {event.evidence.wording for event in story if event.evidence.wording}
    return Found(
        made=now,
        email=person.email,
        person=person,
        story=story,
        sealed=sealed,
        stops=history[len(story) :],
        standing={purpose: may_mail(history, purpose, now, limits) for purpose in bridge.policy.purposes},
        limits=limits,
        confirmed=confirmed,
        words={sha256: words for sha256 in sorted(shown) if (words := store.words(sha256))},
        problems=verify_person(bridge.database, bridge.vault, person.number),
        asked=store.campaigns.of(person),
    )


def as_data(bridge: Bridge, found: Found) -> dict[str, Any]:
    """The same as plain data."""
    person = found.person
    told: dict[str, Any] = {
        "made": rfc3339(found.made),
        "controller": bridge.policy.controller.name,
        "subject": person.id if person else None,
        "address": found.email,
        "language": person.language if person else None,
        "standing": {purpose: msgspec.to_builtins(answer) for purpose, answer in found.standing.items()},
        "events": [_event(found, number, event) for number, event in enumerate(found.story, start=1)],
        "stop list": [
            {"type": stop.type.value, "purpose": stop.purpose or "every purpose", "since": rfc3339(stop.time)}
            for stop in found.stops
        ],
        "asked once more": [
            {
                "campaign": row["campaign"],
                "purpose": row["purpose"],
                "promised": rfc3339(row["time"]),
                "sent": rfc3339(row["sent"]) if row["sent"] else None,
            }
            for row in found.asked
        ],
        "chain": {
            "events": len(found.story),
            "whole": not found.problems,
            "problems": [{"where": problem.where, "what": problem.what} for problem in found.problems],
        },
    }
    return told


def _event(found: Found, number: int, event: ConsentEvent) -> dict[str, Any]:
    proof = {name: value for name, value in msgspec.to_builtins(event.evidence).items() if value is not None}
    words = found.words.get(event.evidence.wording or "")
    told = {
        "number": number,
        "event": event.key,
        "type": event.type.value,
        "purpose": event.purpose or "every purpose",
        "time": rfc3339(event.time),
        "received": rfc3339(event.received),
        "asked": rfc3339(event.asked) if event.asked else None,
        "until": rfc3339(event.until) if event.until else None,
        "told by": event.source,
        "method": event.method.value,
        "channel": event.channel,
        "wording version": event.notice,
        "campaign": next((row["campaign"] for row in found.asked if row["campaign"] == event.evidence.request), None),
        "proof": proof or None,
        "words shown": {"label": words.label, "text": words.text} if words else None,
        "carried out": _carried_out(found, number),
    }
    return {name: value for name, value in told.items() if value is not None}


def _carried_out(found: Found, number: int) -> list[dict[str, str | None]] | None:
    """At which platform this stop was carried out when; None while that is not known."""
    there = found.confirmed.get(number)
    if there is None:
        return None
    return [{"platform": one.adapter, "time": rfc3339(one.confirmed) if one.confirmed else None} for one in there]
