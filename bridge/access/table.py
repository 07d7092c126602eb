"""What she gave, as a table that another controller can take in: the columns of `consent-bridge import` (RGT-02)."""

import csv
from collections.abc import Mapping
from io import StringIO

from bridge.access.collecting import Collected
from bridge.bootstrap import Bridge
from bridge.decide import STOPS, proof, standing
from bridge.vocabulary import CONFIRMED, EVERY_PURPOSE, ConsentEvent, EventType, LegalBasis, Method, Status, rfc3339

_COLUMNS = (
    *("email", "purpose", "language", "status", "basis", "time", "channel", "notice", "method", "source_document"),
    *("sale_id", "sale_time", "sale_category"),
)

#: What a list calls how it was collected, where our own word is another.
_METHODS = {"spoken": "phone"}


def as_csv(bridge: Bridge, found: Collected) -> str:
    """A row for each purpose that anything was said about; with declared fields where that purpose uses them."""
    fields = list(bridge.policy.fields)
    out = StringIO()
    table = csv.DictWriter(out, [*_COLUMNS, *(name for name in fields if name not in _COLUMNS)], restval="")
    table.writeheader()
    history = found.found.history
    told = [p for p in bridge.policy.purposes if any(event.purpose == p for event in history)]
    if any(event.purpose == EVERY_PURPOSE and event.type in STOPS for event in history):
        told = list(bridge.policy.purposes)
    for purpose in told:
        table.writerow(_row(bridge, found, purpose))
    if not told and found.person:
        table.writerow({"email": found.found.email, "language": found.person.language, "status": "unknown"})
    return out.getvalue()


def _row(bridge: Bridge, found: Collected, purpose: str) -> Mapping[str, object]:
    history, person = found.found.history, found.person
    status, by = standing(history, purpose)
    row: dict[str, object] = {"email": found.found.email, "purpose": purpose, "status": status.value}
    if person:
        row["language"] = person.language
        used = [field.id for field in bridge.policy.fields.values() if purpose in field.purposes]
        row |= {name: person.fields[name] for name in used if name in person.fields}
    if by is None:
        seen = proof(history, purpose, found.held.lacking.get(purpose) if found.held else None)
        return row | {"time": rfc3339(seen.time) if seen.time else "", "channel": _channel(bridge, seen.channel)}
    row["time"] = rfc3339(by.time)
    if by.type in STOPS or status is Status.REQUESTED:
        return row
    return row | _yes(bridge, by)


def _yes(bridge: Bridge, by: ConsentEvent) -> dict[str, object]:
    """What proves it, as far as a list can say."""
    sale, seen = by.evidence.sale or {}, by.evidence
    told: dict[str, object] = {
        "basis": LegalBasis.SOFT_OPT_IN.value if by.type is EventType.ENROLLED else LegalBasis.CONSENT.value,
        "channel": _channel(bridge, by.channel),
        "notice": by.notice or "",
        "method": _method(by),
        "source_document": seen.document or f"event {by.subject}/{by.key}",
    }
    if seen.language:
        told["language"] = seen.language
    if by.type is EventType.ENROLLED:
        category = sale.get("similar_category", "")
        told |= {"sale_id": sale.get("sale_id", ""), "sale_time": rfc3339(by.time), "sale_category": category}
    return told


def _method(by: ConsentEvent) -> str:
    if by.method in CONFIRMED:
        return "double_opt_in"
    if by.method is Method.FORM:
        return "form"
    told = by.evidence.detail or ""
    return _METHODS.get(told, told)


def _channel(bridge: Bridge, channel: str | None) -> str:
    """One that a list may name; the preference page, and one the policy lost, is left to whoever takes it in."""
    return channel if channel in bridge.policy.channels else ""
