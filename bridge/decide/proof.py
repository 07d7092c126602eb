"""What a yes or a sale must bring with it to count as proof; a stop needs none."""

from collections.abc import Collection, Mapping

from bridge.decide.history import STOPS, about
from bridge.vocabulary import GUARDIAN, OPERATOR, ConsentEvent, EventType, Limits, Method

T = EventType

#: The six facts a soft opt-in rests on (R8, SOF-01).
SALE_FACTS = ("sale_id", "from_person", "same_entity", "similar_category", "opt_out_offered", "opt_out_in_mail")


def soft_opt_in_gaps(
    facts: Mapping[str, str], events: Collection[ConsentEvent], purpose: str, limits: Limits
) -> list[str]:
    """What is missing for a soft opt-in; empty = it may be recorded (R8, SOF-01, SOF-02)."""
    gaps = [fact for fact in SALE_FACTS if not facts.get(fact)]
    if not limits.soft_opt_in:
        gaps.append("the country's profile does not allow soft opt-in")
    if any(e.type in STOPS for e in about(events, purpose)):
        gaps.append("said no before")
    return gaps


def missing_evidence(event: ConsentEvent) -> list[str]:
    """What a start lacks to count as proof (CAP-05, section 4); a stop needs none."""
    seen = event.evidence
    if event.type is T.GUARDIAN_CONFIRMED and event.source == GUARDIAN:
        told = {"purpose": event.purpose, "asked": event.asked, "notice": event.notice, "until": event.until}
        told |= {"wording": seen.wording, "language": seen.language, "request": seen.request, "token": seen.token}
        return [name for name, value in told.items() if not value]
    if event.type not in (T.REQUESTED, T.GIVEN, T.ENROLLED):
        return []
    need: dict[str, object] = {}
    if event.type in (T.REQUESTED, T.GIVEN):
        need = {"channel": event.channel, "notice": event.notice, "wording": seen.wording, "language": seen.language}
    if event.type is T.GIVEN and event.by_reader:
        need["asked"] = event.asked
    if event.by_reader and event.method is Method.CONFIRM_PAGE:
        need["request"] = seen.request
    elif event.by_reader:
        need["box"] = seen.box == "ticked"
    if event.type is T.GIVEN and event.method is Method.FORM:
        need["single_opt_in"] = seen.single_opt_in
    if event.type is T.GIVEN and event.source == OPERATOR:
        need["document"] = seen.document
    if event.type is T.ENROLLED:
        sale = seen.sale or {}
        need = {"channel": event.channel, **{fact: sale.get(fact) for fact in SALE_FACTS}}
    return [name for name, value in need.items() if not value]
