"""The report for support: what people ask by letter, how fast their no reaches each platform, what went wrong.

RGT-07, WDR-11, SND-04.
"""

from datetime import timedelta
from typing import Any

import msgspec

from bridge.bootstrap import Bridge
from bridge.jobs.reports.sheet import Block, Chart, Facts, Grid, Said, Section, bars, each, many, span
from bridge.store.departments import NOES
from bridge.texts import mark
from bridge.vocabulary import EventType, Method, RequestKind

TITLE = mark("Report for support")
SUBTITLE = mark("What people asked, how fast their no was carried out, and what went wrong")

_DAYS = 30
_REQUESTS = {
    RequestKind.ACCESS: mark("sees her data"),
    RequestKind.RECTIFY: mark("corrects her data"),
    RequestKind.ERASE: mark("wants to be forgotten"),
    RequestKind.RESTRICT: mark("has her data set aside"),
    RequestKind.PORT: mark("takes her data along"),
    RequestKind.OBJECT: mark("objects to direct marketing"),
    RequestKind.WITHDRAW: mark("takes back her yes"),
    RequestKind.COMPLAINT: mark("complains"),
}
_NOES = {
    EventType.REFUSED: mark("refused when she was asked"),
    EventType.WITHDRAWN: mark("stopped"),
    EventType.UNSUBSCRIBED: mark("unsubscribed at a platform"),
    EventType.OBJECTED: mark("objected to direct marketing"),
    EventType.COMPLAINED: mark("pressed “spam”"),
}
_CHOICES = {
    EventType.GIVEN: mark("switched something on"),
    EventType.WITHDRAWN: mark("switched something off"),
    EventType.PAUSED: mark("paused all mail"),
    EventType.RESUMED: mark("ended a pause"),
    EventType.CORRECTED: mark("changed her language or data"),
}
_PAGES = frozenset({Method.PREFERENCE_PAGE.value, Method.PREFERENCE_LINK.value})


def figures(bridge: Bridge, language: str) -> dict[str, Any]:  # noqa: ARG001  (as every report)
    """The numbers, as they may be told. Requests are work: told exactly."""
    now, store = bridge.clock(), bridge.store
    since = now - timedelta(days=_DAYS)
    today = now.astimezone(bridge.policy.zone).date()
    did = store.departments.did(since)

    def heard(kind: EventType, *, pages: bool | None = None) -> int:
        mine = ((method, count) for (type_, method), count in did.items() if type_ == kind)
        return sum(count for method, count in mine if pages is None or (method in _PAGES) is pages)

    asked = store.by_channel().values()
    return {
        "days": _DAYS,
        "requests": [msgspec.structs.asdict(one) for one in store.departments.requests(today, since)],
        "noes": each({kind.value: heard(kind) for kind in NOES}),
        "reach": [
            {
                "adapter": one.adapter,
                "stops": many(one.stops),
                "half_seconds": one.half.total_seconds(),
                "nearly_all_seconds": one.nearly_all.total_seconds(),
            }
            for one in store.departments.reach(since)
        ],
        "waiting": {name: store.stop_times(name).waiting for name in bridge.settings.adapters},
        "bounced": many(heard(EventType.BOUNCED)),
        "choices": each({kind.value: heard(kind, pages=True) for kind in _CHOICES}),
        "asked": many(sum(one.asked for one in asked)),
        "confirmed": _confirmed(sum(one.asked for one in asked), sum(one.confirmed for one in asked)),
    }


def sections(bridge: Bridge, language: str, found: dict[str, Any]) -> list[Section]:
    """The same on paper."""

    def say(words: str) -> str:
        return bridge.texts.gettext(language, words)

    number, counted = bridge.texts.number, bridge.texts.counted
    requests: list[Block] = []
    if found["requests"]:
        columns = ("open", "overdue", "answered", "refused")
        heads = [say(mark("She")), *(say(words) for words in _COLUMNS)]
        lines = [
            [say(_REQUESTS[RequestKind(one["kind"])]), *(number(language, one[name]) for name in columns)]
            for one in found["requests"]
        ]
        caption = say(mark("Requests by letter or phone; answered and refused within 30 days"))
        requests.append(Grid(caption, heads, lines))
    else:
        requests.append(Said(say(mark("Nobody asked by letter or phone."))))
    noes = {kind.value: say(words) for kind, words in _NOES.items()}
    stops: list[Block] = [
        Chart(
            say(mark("People who said no within 30 days, by how")),
            say(mark("No")),
            bars(noes, found["noes"]),
            "counts",
        )
    ]
    if found["reach"]:
        heads = [say(mark("Platform")), *(say(words) for words in _REACH)]
        lines = [
            [
                bridge.policy.sender(one["adapter"]),
                counted(language, one["stops"]),
                span(bridge, language, timedelta(seconds=one["half_seconds"])),
                span(bridge, language, timedelta(seconds=one["nearly_all_seconds"])),
                number(language, found["waiting"].get(one["adapter"], 0)),
            ]
            for one in found["reach"]
        ]
        stops.append(Grid(say(mark("How long a no took to each platform, within 30 days")), heads, lines))
    choices = {kind.value: say(words) for kind, words in _CHOICES.items()}
    return [
        Section(say(mark("Requests of people")), requests),
        Section(say(mark("Stops")), stops),
        Section(
            say(mark("Mail and pages")),
            [
                Facts(
                    [
                        (say(mark("Dead addresses, 30 days")), counted(language, found["bounced"])),
                        (say(mark("Asked to confirm, ever")), counted(language, found["asked"])),
                        (say(mark("Of these confirmed")), counted(language, found["confirmed"])),
                    ]
                ),
                Chart(
                    say(mark("What people chose on the preference page within 30 days")),
                    say(mark("Choice")),
                    bars(choices, found["choices"]),
                    "counts",
                ),
            ],
        ),
    ]


def _confirmed(asked: int, confirmed: int) -> int | None:
    from bridge.decide import share

    return share(confirmed, asked)[0] if asked else 0


_COLUMNS = (mark("Open"), mark("Overdue"), mark("Answered"), mark("Refused"))
_REACH = (mark("Stops"), mark("Half within"), mark("99 of 100 within"), mark("On their way"))
