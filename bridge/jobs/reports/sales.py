"""The report for sales: which customers may be mailed without a box, what their sales prove, what lists brought.

CHN-04, CHN-05, SOF-01.
"""

from datetime import timedelta
from typing import Any

from bridge.bootstrap import Bridge
from bridge.decide import SALE_FACTS
from bridge.jobs.audit.paper import MISSING
from bridge.jobs.reports.marketing import STANDS, told_of
from bridge.jobs.reports.sheet import Block, Chart, Facts, Groups, Said, Section, bars, each, many, parts, rows
from bridge.policy import ChannelKind
from bridge.texts import mark

TITLE = mark("Report for sales")
SUBTITLE = mark("Customers who are mailed without a box, what proves it, and what lists brought")

_AGES = {
    "under_6": mark("bought within 6 months"),
    "under_12": mark("6 to 12 months ago"),
    "older": mark("more than a year ago"),
}
#: Channels that sales answers for: what is sold, and lists.
_KINDS = frozenset({ChannelKind.ORDER, ChannelKind.LIST, ChannelKind.THIRD_PARTY, ChannelKind.API})


def figures(bridge: Bridge, language: str) -> dict[str, Any]:
    """The numbers, as they may be told."""
    now, store, policy = bridge.clock(), bridge.store, bridge.policy
    buyers = store.departments.buyers(now - timedelta(days=183), now - timedelta(days=365.25))
    everybody, facts = store.departments.lacking()
    taken, halfway = store.departments.lists(now - timedelta(days=30))
    kept = store.in_quarantine(bridge.third_parties)
    brought = store.by_channel()
    channels = [channel for channel in policy.channels.values() if channel.kind in _KINDS]
    return {
        "allowed": policy.soft_opt_in,
        "customers": {
            _name(bridge, purpose, language): parts(_AGES, dict(zip(_AGES, counts, strict=True)))
            for purpose, counts in sorted(buyers.items())
        },
        "without_proof": many(everybody),
        "missing": each({fact: facts[fact] for fact in SALE_FACTS if facts[fact]}),
        "lists_taken": taken,
        "lists_halfway": halfway,
        "quarantine": {"people": many(kept.people), "overdue": many(kept.overdue)},
        "channels": {
            channel.place[language]: told_of(brought[channel.id]) for channel in channels if channel.id in brought
        },
    }


def sections(bridge: Bridge, language: str, found: dict[str, Any]) -> list[Section]:
    """The same on paper."""

    def say(words: str) -> str:
        return bridge.texts.gettext(language, words)

    counted = bridge.texts.counted
    ages = {name: say(words) for name, words in _AGES.items()}
    customers: list[Block] = [
        Chart(purpose, say(mark("Last sale")), rows(ages, told)) for purpose, told in found["customers"].items()
    ]
    if not found["allowed"]:
        customers.append(Said(say(mark("The policy does not let customers be mailed without a box (soft_opt_in)."))))
    elif not found["customers"]:
        customers.append(Said(say(mark("Nobody is on as a customer."))))
    facts = {fact: say(words) for fact, words in MISSING.items()}
    proof: list[Block] = [
        Facts(
            [
                (say(mark("Said by a list, without proof")), counted(language, found["without_proof"])),
                (say(mark("Lists taken in within 30 days")), counted(language, found["lists_taken"])),
                (say(mark("Lists not taken to their end")), counted(language, found["lists_halfway"])),
            ]
        )
    ]
    if found["missing"]:
        caption = say(mark("Facts of a sale that are missing; one contact may lack several"))
        proof.append(Chart(caption, say(mark("Missing")), bars(facts, found["missing"]), "counts"))
    stands = {name: say(words) for name, words in STANDS.items()}
    lines = [
        (f"{place}: {counted(language, told['people'])}", rows(stands, told["states"]))
        for place, told in found["channels"].items()
    ]
    caption = say(mark("People by the list or order that brought them"))
    came: list[Block] = [Groups(caption, [say(mark("Channel")), *stands.values()], lines)] if lines else []
    quarantine = found["quarantine"]
    came.append(
        Facts(
            [
                (say(mark("Third parties’ people without proof")), counted(language, quarantine["people"])),
                (say(mark("Of these, kept for too long")), counted(language, quarantine["overdue"])),
            ]
        )
    )
    return [
        Section(say(mark("Customers who are mailed without a box")), customers),
        Section(say(mark("What sales and lists prove")), proof),
        Section(say(mark("Lists and orders")), came),
    ]


def _name(bridge: Bridge, purpose: str, language: str) -> str:
    known = bridge.policy.purposes.get(purpose)
    return known.name[language] if known else purpose
