"""What the operator's papers do not show yet: contracts, reviews that ran out, assessments. Nothing of readers.

For `doctor`, the registers, the privacy statement and the departments' reports. A gap is something to do, not a crash:
what may not go on because of one is decided by `Policy.processor_problem`.
"""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from bridge.policy.parties import Processor, flaws, incomplete
from bridge.policy.shapes import Assessment, Policy
from bridge.vocabulary import LegalBasis


class GapKind(StrEnum):
    """Which paper it is missing in."""

    PROCESSOR = "processor"
    CHANNEL = "channel"
    ASSESSMENT = "assessment"


class Gap(NamedTuple):
    """One thing to do: where in the policy, which row asks for it, what to do."""

    kind: GapKind
    where: str  # processors.mailchimp.review_by
    row: str  # REG-02
    fix: str
    overdue: date | None = None  # since when, of a review
    blocks: bool = False  # nothing new goes to this processor until it is done


def gaps(policy: Policy, today: date) -> list[Gap]:
    """Everything that is missing or overdue on that day, in the order of the policy."""
    return [*_processors(policy, today), *_recipients(policy), *_assessments(policy, today), *_channels(policy, today)]


def processor_gaps(policy: Policy, party: Processor, today: date) -> list[Gap]:
    """What is missing about one third party. One that is only planned or ended lacks nothing yet, or any more."""
    where = f"processors.{party.key}"
    if party.to_check:
        found = [flaw for flaw in flaws(party, today) if flaw.key == "to_check"]
    elif party.status == "planned":
        found = []
    elif party.status == "ended":
        found = [flaw for flaw in incomplete(party) if flaw.key == "deletion_proof"]
    else:
        holding = list(flaws(party, today))
        keys = {flaw.key for flaw in holding}
        found = [*holding, *(flaw for flaw in incomplete(party) if flaw.key not in keys)]
    return [
        Gap(GapKind.PROCESSOR, f"{where}.{flaw.key}", flaw.row, flaw.fix, flaw.due, policy.holds_back(flaw))
        for flaw in found
    ]


def _processors(policy: Policy, today: date) -> Iterator[Gap]:
    for party in policy.processors.values():
        yield from processor_gaps(policy, party, today)


def _recipients(policy: Policy) -> Iterator[Gap]:
    """Whom readers are told of by name is in the register too."""
    known = [party.name.casefold() for party in policy.processors.values()]
    for purpose in policy.purposes.values():
        for name in purpose.recipients:
            if not any(name.casefold() in one for one in known):
                fix = f"readers are told that {name} gets data: give it a [[processors]] block"
                yield Gap(GapKind.PROCESSOR, f"purposes.{purpose.id}.recipients", "REG-02", fix)


def _assessments(policy: Policy, today: date) -> Iterator[Gap]:
    for key, why in needed_assessments(policy).items():
        found: Assessment | None = getattr(policy.assessments, key)
        where = f"assessments.{key}"
        if found is None:
            fix = f"{why}: write down who weighed it, when, and where the paper lies ([{where}])"
            yield Gap(GapKind.ASSESSMENT, where, "REG-05", fix)
        elif found.made > today:
            yield Gap(GapKind.ASSESSMENT, where, "REG-05", f"is dated {found.made}, which is yet to come")
        elif found.review_by is not None and found.review_by < today:
            fix = f"its review was due on {found.review_by}: weigh it again, then move review_by"
            yield Gap(GapKind.ASSESSMENT, where, "REG-05", fix, found.review_by)


def needed_assessments(policy: Policy) -> dict[str, str]:
    """Which slots of `[assessments]` this policy has to fill, each with its reason (GDPR 35, 6(1)(f))."""
    needed = {"dpia_screening": "whether this needs an impact assessment must be weighed (GDPR 35)"}
    soft = any(purpose.basis is LegalBasis.SOFT_OPT_IN for purpose in policy.purposes.values())
    if soft or policy.soft_opt_in:
        needed["soft_opt_in"] = "customers are mailed without a yes: legitimate interest (GDPR 6(1)(f))"
    needed["suppression"] = "who said no is kept as a keyed hash without a yes: legitimate interest (GDPR 6(1)(f))"
    if policy.repermission.allowed:
        needed["repermission"] = "old contacts are asked without a yes: legitimate interest (GDPR 6(1)(f))"
    if policy.third_party_lists == "quarantine":
        needed["third_party_lists"] = "somebody else's list is looked through: legitimate interest (GDPR 6(1)(f))"
    return needed


def received(policy: Policy, party: Processor) -> tuple[str, ...]:
    """What a third party gets: as its entry says, else what every adapter is told (MIN-04) and the fields it maps."""
    if party.data or not party.adapter:
        return party.data
    fields = (field.id for field in policy.fields.values() if party.adapter in field.at)
    return ("address", "language", "choices", "link", *fields)


def _channels(policy: Policy, today: date) -> Iterator[Gap]:
    for channel in policy.channels.values():
        if channel.next_review < today:
            fix = (
                f"was due {channel.next_review}: {channel.owner} looks at the form and moves next_review in the policy"
            )
            yield Gap(GapKind.CHANNEL, f"channels.{channel.id}.next_review", "CHN-01", fix, channel.next_review)
