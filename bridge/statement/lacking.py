"""What the statement does not say yet: nothing is published while one item of section 9 is empty (TRN-01)."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from bridge.policy import Policy, is_third_country
from bridge.statement.items import Content, told_of

#: Sections that must say something, with the keys that must be there; more follow from the policy (`wanted`).
REQUIRED = {
    "controller": ("controller",),
    "contact": ("contact",),
    "duties": ("proof", "stop_list", "requests"),
    "data": ("address", "language", "choices", "proof"),
    "source": ("yourself",),
    "required": ("required",),
    "retention": ("pending", "consent", "profile", "evidence", "stop_list", "bounced", "requests", "backups"),
    "rights": ("access", "rectify", "erase", "restrict", "object", "port"),
    "withdrawal": ("withdrawal",),
    "complaint": ("complaint",),
    "automated": ("automated",),
}


class Lack(NamedTuple):
    """One item that is empty: nothing is published until it is not."""

    where: str  # transfers.mailchimp.safeguard
    fix: str


def lacks(policy: Policy, told: Content, today: date) -> list[Lack]:
    """Every item of section 9 that is missing or empty in what is told (TRN-01), with the fix."""
    found = []
    for section, keys in wanted(policy).items():
        there = told.get(section, {})
        for key in keys:
            item = there.get(key)
            where = f"{section}.{key}"
            if item is None or not (item["title"] or item["text"]).strip():
                found.append(Lack(where, _fix(section, key)))
                continue
            if section in ("complaint", "representative") and not item["title"].strip():
                found.append(Lack(where, _fix(section, key)))
            if section != "controller" and not item["text"].strip():
                found.append(Lack(f"{where}.text", _fix(section, key)))
            for fact, (_, text) in item["facts"].items():
                if not text.strip():
                    found.append(Lack(f"{where}.{fact}", _fix(section, f"{key}.{fact}")))
    return [*found, *_unready(policy, today)]


def wanted(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Which items there must be with this policy, section by section."""
    told = told_of(policy)
    found = dict(REQUIRED)
    found["purposes"] = tuple(policy.purposes)
    found["data"] += tuple(policy.fields)
    found["source"] += tuple(channel.id for channel in policy.channels.values() if channel.source)
    if policy.for_children:
        found["duties"] += ("age",)
        found["data"] += ("age",)
        found["source"] += ("guardian",)
        found["retention"] += ("guardian",)
    found["recipients"] = tuple(party.key for party in told) or ("nobody",)
    found["transfers"] = tuple(party.key for party in told if party.abroad) or ("none",)
    if is_third_country(policy.country) or policy.statement.representative:
        found["representative"] = ("representative",)
    return found


def _fix(section: str, key: str) -> str:
    """What to write in the policy."""
    fixes = {
        "complaint": "name the authority where readers complain: [statement.authority] name, address, website",
        "representative": "name your representative in the Union: [statement.representative] name, email (GDPR 27)",
        "contact": "add [dpo], or [privacy_contact] where no officer is required",
    }
    fact = key.rpartition(".")[2]
    facts = {
        "interest": "say which interest is legitimate: interest.<language> under [statement] (GDPR 13(1)(d))",
        "safeguard": "say what protects the data there and how to have a copy: safeguard.<language> in the entry",
        "tool": "name the transfer tool: transfer_tool in the entry",
    }
    return facts.get(fact) or fixes.get(section) or "this item of the statement is empty: fill it in in the policy"


def _unready(policy: Policy, today: date) -> Iterator[Lack]:
    """Readers are not told of a recipient that nobody checked, nor left untold of one that is used."""
    for purpose in policy.purposes.values():
        for adapter in purpose.at:
            party = policy.processors.get(adapter)
            if party is None or not party.told:
                fix = policy.processor_problem(adapter, today) or f"{adapter} is not in use"
                yield Lack(f"recipients.{adapter}", fix)
