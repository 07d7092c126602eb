"""What a channel costs as it is, in words: a short sentence for each rule, so that a marketer sees what to mend."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.policy import Channel

#: Below this share of confirmed requests a form asks people who do not want it, or takes addresses that are wrong.
_CONFIRMED = 0.7
#: Platforms look into accounts with more dead addresses than this.
_BOUNCES = 0.02


class Facts(NamedTuple):
    """What may be told of a channel: None is hidden, and nothing is said that would tell it."""

    asked: int | None
    confirmed: int | None
    people: int | None
    without_proof: int | None
    complaints: float | None
    bounces: float | None
    proofs: int | None
    old_proofs: int | None


def risks(bridge: Bridge, language: str, channel: Channel | None, facts: Facts, today: date) -> list[str]:
    """One sentence for each thing that is not as it should be; the gravest first. Empty: nothing is to be mended."""
    return [*_proof(bridge, language, facts), *_form(bridge, language, channel, facts, today)]


def _proof(bridge: Bridge, language: str, facts: Facts) -> Iterator[str]:
    say, number = bridge.texts.gettext, bridge.texts.number
    if facts.without_proof:
        yield say(
            language,
            "%(count)s of %(people)s have no proof: none of them may be mailed, and a complaint of one cannot be "
            "answered (GDPR 7(1)). Find their proof and import it, or delete them.",
            count=number(language, facts.without_proof),
            people=number(language, facts.people or 0),
        )
    if facts.old_proofs and facts.proofs:
        yield say(
            language,
            "%(count)s of %(proofs)s yeses are older than two years: they end after %(length)s. Ask while they count.",
            count=number(language, facts.old_proofs),
            proofs=number(language, facts.proofs),
            length=bridge.texts.length(language, bridge.policy.limits_.consent_max_age),
        )
    if facts.complaints and 100 * facts.complaints >= bridge.policy.limits_.complaint_warn:
        yield say(
            language,
            "%(share)s pressed “spam”: mailbox providers then file your mail as spam for everybody. Say plainly at the "
            "box what comes and how often.",
            share=bridge.texts.percent(language, facts.complaints),
        )
    if facts.bounces and facts.bounces >= _BOUNCES:
        yield say(
            language,
            "%(share)s of the addresses are dead: platforms suspend accounts for that. Was the address typed by its "
            "owner, and how long ago?",
            share=bridge.texts.percent(language, facts.bounces),
        )


def _form(bridge: Bridge, language: str, channel: Channel | None, facts: Facts, today: date) -> Iterator[str]:
    say = bridge.texts.gettext
    if facts.asked and facts.confirmed is not None and facts.confirmed < _CONFIRMED * facts.asked:
        never = round(10 * (1 - facts.confirmed / facts.asked))
        yield say(
            language,
            "%(never)s of 10 never confirmed: their addresses were wrong, the mail was not found, or they did not mean "
            "it. Say at the form that a mail comes, and look whether it lands in the inbox.",
            never=never,
        )
    if channel is None:
        return
    if channel.next_review < today:
        yield say(
            language,
            "The review was due on %(day)s: nobody has looked since whether this form still says what it does "
            "(%(owner)s).",
            day=bridge.texts.day(language, channel.next_review),
            owner=channel.owner,
        )
    if any(bridge.policy.purposes[purpose].opt_in == "single" for purpose in channel.purposes):
        yield say(
            language,
            "Nobody is asked to confirm: whoever knows an address can enter it here, and you cannot prove who did.",
        )
