"""Everything of one person as plain data, for programs (GDPR 15, 20)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge import evidence
from bridge.access.collecting import Collected
from bridge.access.requests import as_rows
from bridge.bootstrap import Bridge
from bridge.decide import standing
from bridge.policy import Policy
from bridge.store.holding import Open, Waiting
from bridge.store.looks import Copy
from bridge.vocabulary import PREFERENCES, MailKind, masked_email, rfc3339


def as_data(bridge: Bridge, found: Collected, language: str) -> dict[str, Any]:
    """All that is kept, and what the law wants told with it. Times are UTC; texts are in `language`."""
    policy, person = bridge.policy, found.person
    told = evidence.as_data(bridge, found.found)
    contact = {"name": policy.contact.name, "email": policy.contact.email, "data protection officer": bool(policy.dpo)}
    return {
        "made": told["made"],
        "controller": msgspec.to_builtins(policy.controller),
        "contact": contact,
        "you": {
            "number": told["subject"],
            "address": told["address"],
            "language": told["language"],
            "fields": dict(person.fields) if person else {},
            "earlier addresses kept as codes": found.held.earlier if found.held else 0,
        },
        "purposes": [_purpose(bridge, found, purpose, language) for purpose in policy.purposes],
        "sources": sources(policy, found, language),
        "recipients": recipients(bridge, found),
        "at the platforms": [_copy(copy) for copy in (found.held.copies if found.held else ())],
        "retention": {name: str(span) for name, span in retention(policy).items()},
        "rights": rights(bridge),
        "decisions by machine": False,
        **{name: told[name] for name in ("events", "stop list", "asked once more", "chain")},
        "waiting mails": _waiting(found),
        "requests by letter": as_rows(found.requests),
        "new address that has not confirmed": _moving(found),
        "questions that wait": [
            {
                "kind": one.kind,
                "asked": rfc3339(one.asked),
                "mail left": rfc3339(one.sent) if one.sent else None,
                "wrong digits": one.wrong,
                "press held": rfc3339(one.held) if one.held else None,
            }
            for one in _noted(found)
            if one.waits
        ],
        "forms for what you receive already": [
            {"sent": rfc3339(one.asked), "wrong digits": one.wrong} for one in _noted(found) if not one.waits
        ],
        "breaches": [
            dict(zip(("number", "told"), one, strict=True)) for one in (found.held.breaches if found.held else ())
        ],
        "requests counted": _counted(found),
    }


def _purpose(bridge: Bridge, found: Collected, purpose: str, language: str) -> dict[str, Any]:
    declared = bridge.policy.purposes[purpose]
    status, by = standing(found.found.history, purpose)
    answer = found.found.standing.get(purpose)
    lacking = found.held.lacking.get(purpose, frozenset()) if found.held else frozenset()
    told: dict[str, Any] = {
        "purpose": purpose,
        "name": declared.name[language],
        "description": declared.description[language],
        "how often": declared.frequency[language],
        "legal basis": declared.basis.value,
        "status": status.value,
        "since": rfc3339(by.time) if by else None,
        "by": by.method.value if by else None,
        "may be mailed": bool(answer and answer.may),
        "why": list(answer.why) if answer else [],
        "recipients": list(declared.recipients),
    }
    return told | ({"not proven by a list": sorted(lacking)} if lacking else {})


def sources(policy: Policy, found: Collected, language: str) -> list[dict[str, Any]]:
    """Where her data came from: the places of her events, and whose list it was (GDPR 15(1)(g))."""
    told = []
    for channel in dict.fromkeys(event.channel for event in found.found.story if event.channel):
        declared = policy.channels.get(channel)
        one: dict[str, Any] = {"channel": channel, "yourself": channel == PREFERENCES}
        if declared:
            source = declared.source
            one |= {"place": declared.place[language], "kind": declared.kind.value, "yourself": source is None}
            one |= {"list of": msgspec.to_builtins(source)} if source else {}
        told.append(one)
    return told


def recipients(bridge: Bridge, found: Collected) -> list[dict[str, Any]]:
    """Who works for us, and how far each platform was told of her (GDPR 15(1)(c), 19)."""
    policy = bridge.policy
    told = {one.adapter: one for one in found.held.told} if found.held else {}
    rows = []
    for name in dict.fromkeys([*policy.processors, *told]):
        processor, one = policy.processors.get(name), told.get(name)
        row: dict[str, Any] = {"platform": name}
        if processor:
            row |= {"name": processor.name, "service": processor.service, "country": processor.country}
            row |= {"transfer tool": processor.transfer_tool} if processor.transfer_tool else {}
        row["told of you"] = bool(one)
        if one:
            row |= {"took it": one.known, "waits to be told": one.waits, "carries out work about you": one.job}
            row |= {"last refusal": one.reason} if one.reason else {}
            row |= {"deleted you for good": True} if one.gone else {}
        rows.append(row)
    return rows


def _copy(copy: Copy) -> dict[str, Any]:
    """What one platform said that it holds, in its own words."""
    if copy.facts is None:
        return {"platform": copy.adapter, "asked": rfc3339(copy.asked), "answered": False, "tried": copy.attempts}
    told: dict[str, Any] = {"platform": copy.adapter, "asked": rfc3339(copy.asked), "answered": True}
    told["read"] = rfc3339(copy.told) if copy.told else None
    return told | ({"cannot be asked about one person": True} if copy.closed else {"holds": dict(copy.facts)})


def retention(policy: Policy) -> dict[str, Any]:
    """How long what is kept, as the policy says."""
    kept = policy.retention
    return {
        "a request that is not confirmed": policy.limits_.pending_ttl,
        "a consent, since your last answer": policy.limits_.consent_max_age,
        "address and fields, after you left": kept.profile,
        "proof of your choices, after you left": kept.evidence,
        "code on the stop list": kept.stop_list,
        "backups": kept.backups,
    }


def rights(bridge: Bridge) -> dict[str, str]:
    """What she can ask, and where (GDPR 15(1)(e) and (f))."""
    page = bridge.links.url("/preferences")
    return {
        "see and take with you": page,
        "correct": page,
        "restrict": page,
        "object": page,
        "erase": page,
        "withdraw": page,
        "by letter": f"{bridge.policy.controller.name}, {bridge.policy.controller.address}",
        "complain": "the data protection authority of the country where you live or work (GDPR, article 77)",
    }


def _noted(found: Collected) -> Sequence[Open]:
    return found.held.questions if found.held else ()


def _moving(found: Collected) -> dict[str, str] | None:
    if found.held is None or found.held.moving is None:
        return None
    address, asked = found.held.moving
    return {"address": address, "asked": rfc3339(asked)}


def _waiting(found: Collected) -> list[dict[str, Any]]:
    return [
        {
            "kind": mail.kind,
            "purposes": list(mail.purposes),
            "language": mail.language,
            "promised": rfc3339(mail.made),
            "due": rfc3339(mail.due),
            "tried": mail.attempts,
            "held up by": mail.reason or None,
            "to": _whose(mail),
        }
        for mail in (found.held.waiting if found.held else ())
    ]


def _whose(mail: Waiting) -> str | None:
    """Where a mail goes, if not to her address: a new one of hers; whoever else is asked is not hers to read."""
    return (mail.to if mail.kind == MailKind.MOVE else masked_email(mail.to)) if mail.to else None


def _counted(found: Collected) -> dict[str, list[str]]:
    counted = found.held.counted if found.held else {}
    return {kind: [rfc3339(time) for time in times] for kind, times in counted.items()}
