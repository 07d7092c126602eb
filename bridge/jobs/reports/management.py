"""The report for management: one page that says how it stands, what is pressing, and who sees to it (ORG-01)."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any

from bridge.bootstrap import Bridge
from bridge.decide import shown_table
from bridge.jobs.reports.sheet import Block, Facts, Groups, Lights, Section, Trend, each, rows, span
from bridge.jobs.reports.todo import AREAS, lights, todo
from bridge.store.departments import Month
from bridge.texts import mark
from bridge.vocabulary import Status

TITLE = mark("Report for management")
SUBTITLE = mark("How it stands with consent, what is pressing, and who sees to it")

#: So many months are shown, the one under way the last.
_MONTHS = 6
_STOPS_DAYS = 30
#: Where people stand, as management reads it; the rest is one.
STATES = {
    "given": mark("said yes"),
    "soft_opt_in": mark("customers"),
    "left": mark("said no or left"),
    "waiting": mark("wait for their confirmation"),
    "other": mark("ended, too old or without proof"),
}
_STATE_OF = {
    Status.GIVEN: "given",
    Status.SOFT_OPT_IN: "soft_opt_in",
    Status.REFUSED: "left",
    Status.WITHDRAWN: "left",
    Status.OBJECTED: "left",
    Status.REQUESTED: "waiting",
}
SAID = {"yes": mark("Said yes"), "no": mark("Said no")}
_LIGHTS = {"red": mark("Red: act today"), "amber": mark("Amber: act soon"), "green": mark("Green: as it should be")}


def figures(bridge: Bridge, language: str) -> dict[str, Any]:
    """The numbers, as they may be told."""
    now, store = bridge.clock(), bridge.store
    found = todo(bridge, language)
    waiting = {area: [one for one in found if one.area == area] for area in AREAS}
    stands = store.departments.stands()
    counts = {purpose: _states(there) for purpose, there in sorted(stands.items()) if purpose}
    told = shown_table([list(row.values()) for row in counts.values()])
    reach = store.departments.reach(now - timedelta(days=_STOPS_DAYS))
    return {
        "lights": {area: {"risk": risk, "things": len(waiting[area])} for area, risk in lights(found).items()},
        "states": {purpose: dict(zip(STATES, row, strict=True)) for purpose, row in zip(counts, told, strict=True)},
        "months": [_month(bridge, one) for one in store.departments.months(bounds(bridge))],
        "overdue_requests": sum(store.cases.overdue(now).values()),
        "overdue_reviews": sum(one.area in ("third_parties", "channels", "papers") for one in found),
        "slowest_stop_seconds": max((one.nearly_all.total_seconds() for one in reach), default=None),
    }


def bounds(bridge: Bridge) -> list[datetime]:
    """The beginnings of the last months in the policy's zone, and of the next one."""
    today = bridge.clock().astimezone(bridge.policy.zone).date()
    months = today.year * 12 + today.month - 1
    firsts = [date(month // 12, month % 12 + 1, 1) for month in range(months - _MONTHS + 1, months + 2)]
    return [datetime.combine(first, time(), bridge.policy.zone) for first in firsts]


def sections(bridge: Bridge, language: str, found: dict[str, Any]) -> list[Section]:
    """The same on paper."""

    def say(words: str) -> str:
        return bridge.texts.gettext(language, words)

    number = bridge.texts.number
    slowest = found["slowest_stop_seconds"]
    areas = [
        (risk, say(AREAS[area]), say(_LIGHTS[risk]), [number(language, things)])
        for area, (risk, things) in ((area, light.values()) for area, light in found["lights"].items())
    ]
    heads = [say(mark("Area")), say(mark("How it stands")), say(mark("To do"))]
    states = {name: say(words) for name, words in STATES.items()}
    caption = say(mark("People by topic and where they stand"))
    topics = [(_name(bridge, purpose, language), rows(states, told)) for purpose, told in found["states"].items()]
    standing: list[Block] = [Groups(caption, [say(mark("Topic")), *states.values()], topics)] if topics else []
    longest = max((month[said] or 0 for month in found["months"] for said in SAID), default=0)
    months = [
        (
            bridge.texts.month(language, date.fromisoformat(month["month"])),
            [(said, month[said], (month[said] or 0) / longest if longest else None) for said in SAID],
        )
        for month in found["months"]
    ]
    caption = say(mark("People who said yes or no, by month"))
    trend = Trend(caption, [say(mark("Month")), *(say(words) for words in SAID.values())], months)
    return [
        Section(
            say(mark("How it stands")),
            [
                Facts(
                    [
                        (say(mark("Overdue requests")), number(language, found["overdue_requests"])),
                        (say(mark("Papers and reviews to do")), number(language, found["overdue_reviews"])),
                        (
                            say(mark("99 of 100 stops carried out within")),
                            "–" if slowest is None else span(bridge, language, timedelta(seconds=slowest)),
                        ),
                    ]
                ),
                Lights(say(mark("Each area by its most pressing thing")), heads, areas),
            ],
        ),
        Section(say(mark("Consents")), [*standing, trend]),
    ]


def _states(there: dict[Status, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for status, count in there.items():
        counts[_STATE_OF.get(status, "other")] += count
    return {name: counts[name] for name in STATES}


def _month(bridge: Bridge, one: Month) -> dict[str, Any]:
    day = one.begins.astimezone(bridge.policy.zone).date()
    return {"month": day.isoformat(), **each({"yes": one.yes, "no": one.no})}


def _name(bridge: Bridge, purpose: str, language: str) -> str:
    known = bridge.policy.purposes.get(purpose)
    return known.name[language] if known else purpose
