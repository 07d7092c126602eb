"""One person's whole story, for an authority or a judge: every event with its proof and the exact words she saw."""

from typing import Any

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import may_mail
from bridge.store.values import Person
from bridge.vocabulary import ConsentEvent, rfc3339


def collect(bridge: Bridge, person: Person) -> dict[str, Any]:
    """Everything that is known of one person's consent, as plain data."""
    now = bridge.clock()
    story = bridge.store.story(person)
    history = bridge.store.history(person)
    limits = bridge.limits(now)
    return {
        "made": rfc3339(now),
        "controller": bridge.policy.controller.name,
        "subject": person.id,
        "address": person.email,
        "language": person.language,
        "standing": {
            purpose: msgspec.to_builtins(may_mail(history, purpose, now, limits)) for purpose in bridge.policy.purposes
        },
        "events": [_event(bridge, number, event) for number, event in enumerate(story, start=1)],
    }


def _event(bridge: Bridge, number: int, event: ConsentEvent) -> dict[str, Any]:
    proof = {name: value for name, value in msgspec.to_builtins(event.evidence).items() if value is not None}
    words = bridge.store.words(event.evidence.wording) if event.evidence.wording else None
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
        "proof": proof or None,
        "words shown": {"label": words.label, "text": words.text} if words else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def as_text(found: dict[str, Any]) -> str:
    """The same in lines that print well."""
    lines = [
        f"Evidence of consent, made {found['made']} by {found['controller']}",
        f"Person {found['subject']}, address {found['address']}, language {found['language']}",
        "",
        "Where she stands:",
    ]
    for purpose, answer in found["standing"].items():
        verdict = "may be mailed" if answer["may"] else "may not be mailed"
        lines.append(f"  {purpose}: {verdict} ({answer['status']}): {'; '.join(answer['why'])}")
    lines += ["", "What happened:"]
    for event in found["events"]:
        lines.append(f"  {event['number']}. {event['time']}  {event['type']}, {event['purpose']}")
        lines += [f"       {name}: {event[name]}" for name in _SHOWN if name in event]
        lines += [f"       {name}: {value}" for name, value in event.get("proof", {}).items()]
        if words := event.get("words shown"):
            lines += [
                "       words shown:",
                *(f"         | {line}" for line in (words["label"], "", *words["text"].splitlines())),
            ]
    return "\n".join(lines) + "\n"


_SHOWN = ("event", "received", "asked", "until", "told by", "method", "channel", "wording version")
