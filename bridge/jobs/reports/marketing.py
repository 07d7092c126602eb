"""The report for marketing: per channel what it brings, what of it can be proven, and what it costs to leave it so.

Numbers of people only, and none of few (ORG-01, CHN-06): see `bridge.decide.cells`. How they are counted is said in
`bridge.store.figures`.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from bridge.bootstrap import Bridge
from bridge.decide import share, shown
from bridge.jobs.fields import FieldUse, field_use
from bridge.jobs.reports.register import KINDS
from bridge.jobs.reports.risks import Facts, risks
from bridge.store.figures import AGES, STATES, Figures
from bridge.texts import mark
from bridge.vocabulary import FEW, PREFERENCES, rfc3339

#: What each state is called, in the order of the report.
STANDS = {
    "on": mark("said yes, or are customers"),
    "left": mark("said no or left"),
    "ended": mark("ended or grew too old"),
    "without_proof": mark("without proof"),
}
#: By which road a sign-up was confirmed, in the order of the report; parts of one whole.
ROADS = {
    "same_browser": mark("in the browser that sent the form"),
    "code": mark("by the digits of the mail"),
    "button": mark("by a button elsewhere"),
    "doubtful": mark("by a button, doubtful"),
}
#: What the ages of proofs are called, youngest first.
BUCKETS = (
    mark("younger than 6 months"),
    mark("6 to 12 months"),
    mark("12 to 24 months"),
    mark("24 to 36 months"),
    mark("36 months or older"),
)
_AGE_KEYS = (*(f"under_{months}" for months in AGES), "older")
#: What becomes of whoever is asked once more, in the order of the report.
ANSWERS = {
    "unsent": mark("the mail has not left yet"),
    "silent": mark("have time to answer"),
    "yes": mark("said yes"),
    "no": mark("said no"),
    "complained": mark("complained"),
    "bounced": mark("dead address"),
    "removed": mark("let go without an answer"),
}
#: Columns whose sum over all channels is told where every channel tells its own.
_SUMMED = ("people", "on", "without_proof", "complained", "bounced")


def collect(
    bridge: Bridge, language: str, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> dict[str, Any]:
    """The report as plain data. None stands for a number that is hidden."""
    now = bridge.clock()
    policy = bridge.policy
    today = now.astimezone(policy.zone).date()
    figures = bridge.store.by_channel()
    waiting = sum(one.states["waiting"] for one in figures.values())
    channels = [_channel(bridge, language, id_, figures.get(id_, _nobody()), today) for id_ in _order(bridge, figures)]
    return {
        "department": "marketing",
        "made": rfc3339(now),
        "controller": policy.controller.name,
        "language": language,
        "hidden_below": FEW,
        "waiting": _many(waiting),
        "totals": {name: _sum(channels, name) for name in _SUMMED},
        "channels": channels,
        "risks": _of_lists(bridge, language),
        "campaigns": _campaigns(bridge, language),
        "fields": [_field(bridge, language, use) for use in field_use(bridge, progress)],
    }


def totals(bridge: Bridge) -> dict[str, int | None]:
    """What the channels add up to, with what may not be told hidden: the same in every report."""
    told = [told_of(figures) for figures in bridge.store.by_channel().values()]
    return {name: _sum(told, name) for name in _SUMMED}


def _campaigns(bridge: Bridge, language: str) -> list[dict[str, Any]]:
    """What became of whoever was asked once more, by campaign (AUD-03); parts of one whole."""
    found = []
    for campaign in bridge.store.campaigns.all():
        funnels = [wave.funnel for wave in bridge.store.campaigns.waves(campaign.id)]
        counts = {name: sum(getattr(one, name) for one in funnels) for name in ANSWERS}
        asked = sum(counts.values())
        few = 0 < asked < FEW
        parts = dict.fromkeys(ANSWERS) if few else dict(zip(ANSWERS, shown(list(counts.values())), strict=True))
        purpose = bridge.policy.purposes.get(campaign.purpose)
        named = purpose.name[language] if purpose else campaign.purpose
        found.append({"purpose": named, "state": campaign.state.value, "asked": None if few else asked, **parts})
    return found


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The report as a page that prints."""
    language = found["language"]
    say = bridge.texts.gettext
    return bridge.texts.render(
        "report/marketing.html",
        language,
        title=say(language, "Report for marketing"),
        subtitle=say(language, "What each form brings, and which one to mend first"),
        made=made,
        kinds={kind: say(language, words) for kind, words in KINDS.items()},
        states={name: say(language, words) for name, words in STANDS.items()},
        answers={name: say(language, words) for name, words in ANSWERS.items()},
        roads={name: say(language, words) for name, words in ROADS.items()},
        ages=dict(zip(_AGE_KEYS, (say(language, words) for words in BUCKETS), strict=True)),
        report=found | {"channels": [c | {"next_review": _day(c["next_review"])} for c in found["channels"]]},
    )


def as_text(found: dict[str, Any]) -> str:
    """The report in lines, for a terminal."""
    lines = [f"people {_said(found['totals']['people'])}, waiting for their confirmation {_said(found['waiting'])}"]
    for channel in found["channels"]:
        lines += [
            "",
            f"{channel['id'] or '(no channel)'}: {channel['place']}",
            f"  people {_said(channel['people'])}: "
            + ", ".join(f"{name.replace('_', ' ')} {_said(channel['states'][name])}" for name in STANDS),
            f"  asked {_said(channel['asked'])}, confirmed {_said(channel['confirmed'])}"
            f" ({_percent(channel['confirm_rate'])}); complaints {_percent(channel['complaint_rate'])}"
            f", dead addresses {_percent(channel['bounce_rate'])}",
            "  confirmed "
            + ", ".join(f"{name.replace('_', ' ')} {_said(channel['roads'][name])}" for name in ROADS)
            + f"; presses held {_said(channel['held'])}",
            "  proofs by age in months: "
            + ", ".join(f"{name.replace('_', ' ')} {_said(channel['proofs'][name])}" for name in _AGE_KEYS),
            *(f"  - {risk}" for risk in channel["risks"]),
        ]
    lines += [f"- {risk}" for risk in found["risks"]]
    for campaign in found["campaigns"]:
        told = ", ".join(f"{name} {_said(campaign[name])}" for name in ("asked", *ANSWERS))
        lines += ["", f"asked once more about {campaign['purpose']} ({campaign['state']}): {told}"]
    if found["fields"]:
        lines += ["", "fields, and how many people each is kept of; of these, without a use:"]
    for field in found["fields"]:
        lines.append(f"  {field['id']}: {_said(field['kept'])}; {_said(field['needless'])}")
        lines += [f"  - {risk}" for risk in field["risks"]]
    return "\n".join(lines)


def _channel(bridge: Bridge, language: str, id_: str, figures: Figures, today: date) -> dict[str, Any]:
    declared = bridge.policy.channels.get(id_)
    told = told_of(figures)
    say = bridge.texts.gettext
    if declared:
        place = declared.place[language]
    elif id_ == PREFERENCES:
        place = say(language, "the preference page")
    else:
        place = say(language, "no longer in the policy") if id_ else say(language, "people of whom no channel is known")
    entry = {
        "id": id_,
        "place": place,
        "kind": declared.kind.value if declared else None,
        "owner": declared.owner if declared else None,
        "next_review": declared.next_review.isoformat() if declared else None,
        "overdue": bool(declared and declared.next_review < today),
        **told,
    }
    facts = Facts(
        asked=told["asked"],
        confirmed=told["confirmed"],
        people=told["people"],
        without_proof=told["states"]["without_proof"],
        complaints=told["complaint_rate"],
        bounces=told["bounce_rate"],
        proofs=sum(told["proofs"].values()) if None not in told["proofs"].values() else None,
        old_proofs=_together(told["proofs"], _AGE_KEYS[3:]),
    )
    return entry | {"risks": risks(bridge, language, declared, facts, today)}


def told_of(figures: Figures) -> dict[str, Any]:
    """What of a channel's figures may be told. A row of few people tells nothing."""
    few = 0 < figures.people < FEW
    parts = [None] * len(STANDS) if few else shown([figures.states[name] for name in STANDS])
    states = dict(zip(STANDS, parts, strict=True))
    asked = figures.asked if figures.asked >= FEW else None if figures.asked else 0
    confirmed, rate = _few_of(figures.confirmed, figures.asked)
    if None in parts and confirmed is not None and 0 < abs(figures.people - confirmed) < FEW:
        confirmed, rate = None, None  # else who came by another road would tell what is hidden of where they stand
    complained, complaints = (None, None) if few else _few_of(figures.complained, figures.people)
    bounced, bounces = (None, None) if few else _few_of(figures.bounced, figures.people)
    ways = [figures.roads.get(name, 0) for name in ROADS]
    hides = confirmed is None or sum(ways) < FEW  # else their sum would tell what is hidden there
    roads = [None] * len(ROADS) if any(ways) and hides else shown(ways)
    held = figures.roads.get("held", 0)
    proofs = shown(figures.ages)
    if states["on"] is None or 0 < sum(figures.ages) < FEW:
        proofs = [None] * len(proofs)
    return {
        "people": None if few else figures.people,
        "states": states,
        "asked": asked,
        "confirmed": confirmed,
        "confirm_rate": rate,
        "roads": dict(zip(ROADS, roads, strict=True)),
        "held": held if held >= FEW or not held else None,
        "complained": complained,
        "complaint_rate": complaints,
        "bounced": bounced,
        "bounce_rate": bounces,
        "proofs": dict(zip(_AGE_KEYS, proofs, strict=True)),
    }


def _few_of(part: int, whole: int) -> tuple[int | None, float | None]:
    return share(part, whole) if whole else (0, None)


def _together(proofs: Mapping[str, int | None], keys: tuple[str, ...]) -> int | None:
    found = [proofs[key] for key in keys]
    return sum(count or 0 for count in found) if None not in found else None


def _sum(channels: list[dict[str, Any]], name: str) -> int | None:
    """A column added up; hidden where one of its numbers is, for the others would tell it."""
    found = [channel["states"][name] if name in STATES else channel[name] for channel in channels]
    return None if None in found else sum(found)


def _field(bridge: Bridge, language: str, use: FieldUse) -> dict[str, Any]:
    """What is kept of one field, and why it would not be needed (MIN-01)."""
    label = bridge.policy.fields[use.field].label[language] if use.declared else use.field
    few = use.kept and (use.needless < FEW or use.kept - use.needless < FEW)
    needless = None if few and use.needless > 0 else use.needless
    risks = [
        bridge.texts.gettext(language, words)
        for words, holds in (
            (mark("Collected but not needed: the policy does not declare it any more."), not use.declared),
            (mark("Collected but not needed: no platform is told of it."), use.declared and not use.told),
            (mark("Collected but not needed: some of these people have nothing on that it is for."), use.needless),
            (mark("Nobody ever filled it in: do not ask for it."), use.never_filled),
        )
        if holds
    ]
    told = {"declared": use.declared, "purposes": list(use.purposes), "told": list(use.told)}
    return {"id": use.field, "label": label, **told, "kept": _many(use.kept), "needless": needless, "risks": risks}


def _of_lists(bridge: Bridge, language: str) -> list[str]:
    """What is wrong with lists of third parties (CHN-04)."""
    if not bridge.store.in_quarantine(bridge.third_parties).overdue:
        return []
    words = mark(
        "People of a third party's list are kept for more than a month without a proof and without having been told: "
        "that breaks the law every day (GDPR 14). Start the dispatcher; it deletes them."
    )
    return [bridge.texts.gettext(language, words)]


def _order(bridge: Bridge, figures: Mapping[str, Figures]) -> list[str]:
    """The policy's channels in its order, then the others that brought anybody, those of no channel last."""
    others = sorted(figures.keys() - bridge.policy.channels.keys() - {""})
    return [*bridge.policy.channels, *others, *([""] if "" in figures else [])]


def _nobody() -> Figures:
    return Figures(states=dict.fromkeys(STATES, 0))


def _many(count: int) -> int | None:
    return None if 0 < count < FEW else count


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _said(count: int | None) -> str:
    return "hidden" if count is None else f"{count:,}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.{0 if value >= 0.01 or not value else 2}f} %"
