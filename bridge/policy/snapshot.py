"""The registers as flat lines, so that two of them can be laid side by side: what was changed, line by line.

Decision 35, REG-04: what is different from what a person last looked at is a task, until she says that she has seen it.
"""

from enum import StrEnum
from typing import NamedTuple

from bridge.policy.parties import Processor
from bridge.policy.shapes import Policy


class How(StrEnum):
    """What became of a line."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Difference(NamedTuple):
    """One line that is not as it was."""

    how: How
    where: str  # processors.mailchimp.sub_processors.Host Inc.
    before: str
    after: str

    def __str__(self) -> str:
        if self.how is How.CHANGED:
            return f"{self.where}: {self.before} -> {self.after}"
        return f"{self.how} {self.where}: {self.after or self.before}"


def snapshot(policy: Policy) -> dict[str, str]:
    """What readers and authorities are told of: controller, purposes, third parties and theirs, how long."""
    lines = {"controller": f"{policy.controller.name}, {policy.controller.address}"}
    for purpose in policy.purposes.values():
        where = f"purposes.{purpose.id}"
        lines[where] = f"{purpose.basis}, notice {purpose.notice}, counted since {purpose.notice_since}"
        for name in purpose.recipients:
            lines[f"{where}.recipients.{name}"] = name
        for adapter in purpose.at:
            lines[f"{where}.at.{adapter}"] = adapter
    for party in policy.processors.values():
        lines |= _party(party)
    for key in policy.retention.__struct_fields__:
        lines[f"retention.{key}"] = str(getattr(policy.retention, key))
    return lines


def _party(party: Processor) -> dict[str, str]:
    where = f"processors.{party.key}"
    lines = {
        where: f"{party.name}, {party.role}, {party.status}" + (", to be checked" if party.to_check else ""),
        f"{where}.country": f"{party.country} {party.region}".strip(),
    }
    if party.contract:
        lines[f"{where}.contract"] = f"{party.contract} {party.contract_version}".strip()
    if party.transfer_tool:
        lines[f"{where}.transfer_tool"] = party.transfer_tool
    if party.sub_processors_as_of:
        lines[f"{where}.sub_processors_as_of"] = str(party.sub_processors_as_of)
    for other in party.sub_processors.values():
        said = (other.service, f"{other.country} {other.region}".strip(), other.transfer_tool)
        lines[f"{where}.sub_processors.{other.name}"] = ", ".join(filter(None, said))
    return lines


def differences(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """What is not as it was, in the order of the later one, then what is gone."""
    found = []
    for where, line in after.items():
        if where not in before:
            found.append(Difference(How.ADDED, where, "", line))
        elif before[where] != line:
            found.append(Difference(How.CHANGED, where, before[where], line))
    return found + [Difference(How.REMOVED, where, line, "") for where, line in before.items() if where not in after]
