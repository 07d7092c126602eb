"""How a department's report is told: a few figures, charts and things to do, the same on paper, screen and terminal.

Numbers of people are hidden where they are few (`bridge.decide.cells`); work that somebody has to do is told exactly,
else nobody could do it (ORG-01).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bridge.bootstrap import Bridge
from bridge.decide import shown
from bridge.texts import mark
from bridge.vocabulary import FEW

#: A row of a chart: label, number, share; None is hidden, or nothing to share.
Row = tuple[str, int | None, float | None]


class Facts(NamedTuple):
    """A few large figures, as text."""

    pairs: Sequence[tuple[str, str]]
    kind: str = "facts"


class Chart(NamedTuple):
    """Bars, or with `kind="stack"` parts of one whole in one bar."""

    caption: str
    head: str  # of the labels
    rows: Sequence[Row]
    kind: str = "bars"


class Grid(NamedTuple):
    """A plain table: the first column names the row."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "grid"


class Said(NamedTuple):
    """A sentence."""

    text: str
    kind: str = "said"


class Lights(NamedTuple):
    """A traffic light for each of some areas: rows of (risk, area, the light in words, other cells)."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, str, str, Sequence[str]]]
    kind: str = "lights"


class Groups(NamedTuple):
    """Groups of people by the same parts: a row of numbers for each, and a bar."""

    caption: str
    heads: Sequence[str]  # of the groups, then of the parts
    rows: Sequence[tuple[str, Sequence[Row]]]
    kind: str = "groups"


class Trend(NamedTuple):
    """Two numbers a month, each with a bar beside the longest of all."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Row]]]
    kind: str = "trend"


Block = Facts | Chart | Grid | Said | Lights | Groups | Trend


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


def parts(labels: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, int | None]:
    """Parts of one whole that may be told, by name, in the order of the labels; what has no label is not there."""
    names = list(labels)
    return dict(zip(names, shown([counts.get(name, 0) for name in names]), strict=True))


def many(count: int) -> int | None:
    """A number of people that stands alone; None where few."""
    return None if 0 < count < FEW else count


def each(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Numbers of people that are no parts of one whole."""
    return {name: many(count) for name, count in counts.items()}


def whole(told: Iterable[int | None]) -> int | None:
    """What parts add up to; hidden where one of them is."""
    found = list(told)
    return None if None in found else sum(count or 0 for count in found)


def rows(labels: Mapping[str, str], told: Mapping[str, int | None]) -> list[Row]:
    """Rows of a chart, shares of what they add up to."""
    everything = whole(told.values())
    return [
        (labels.get(name, name), count, count / everything if everything and count is not None else None)
        for name, count in told.items()
    ]


def bars(labels: Mapping[str, str], told: Mapping[str, int | None]) -> list[Row]:
    """Rows of numbers that are no parts of one whole: bars beside the longest of them."""
    longest = max((count or 0 for count in told.values()), default=0)
    return [
        (labels.get(name, name), count, count / longest if longest and count is not None else None)
        for name, count in told.items()
    ]


def span(bridge: Bridge, language: str, value: timedelta) -> str:
    """A length of time in its largest fitting unit."""
    say, number = bridge.texts.gettext, bridge.texts.number
    seconds = value.total_seconds()
    for length, words in (
        (86400, mark("%(num)s d")),
        (3600, mark("%(num)s h")),
        (60, mark("%(num)s min")),
        (1, mark("%(num)s s")),
    ):
        if seconds >= length or length == 1:
            return say(language, words, num=number(language, round(seconds / length, 1)))
    raise AssertionError  # the last one always fits


def as_html(bridge: Bridge, found: dict[str, Any], sections: Sequence[Section], made: datetime) -> str:
    """The report as a page that prints."""
    language = found["language"]
    return bridge.texts.render(
        "report/department.html",
        language,
        title=found["title"],
        subtitle=found["subtitle"],
        made=made,
        sections=sections,
        todo=found["todo"],
        risks={risk: bridge.texts.gettext(language, words) for risk, words in RISKS.items()},
    )


def as_text(bridge: Bridge, found: dict[str, Any], sections: Sequence[Section]) -> str:
    """The report in lines, for a terminal."""
    language = found["language"]
    say = bridge.texts.gettext
    lines = [found["title"]]
    for section in sections:
        lines += ["", section.title]
        for block in section.blocks:
            lines += [f"  {line}" for line in _lines(bridge, language, block)]
    lines += ["", say(language, mark("What to do next"))]
    for item in found["todo"]:
        risk = RISKS[item["risk"]]
        lines.append(f"  {say(language, risk)}: {item['what']} ({item['owner']})")
    if not found["todo"]:
        lines.append("  " + say(language, mark("Nothing: all is as it should be.")))
    return "\n".join(lines)


def _lines(bridge: Bridge, language: str, block: Block) -> list[str]:
    match block:
        case Facts():
            return [f"{label}: {text}" for label, text in block.pairs]
        case Chart():
            told = (f"{label}: {bridge.texts.counted(language, count)}" for label, count, _ in block.rows)
            return [f"{block.caption}:", *(f"  {line}" for line in told)]
        case Grid():
            told = (f"{first}: {_cells(block.heads[1:], rest)}" for first, *rest in block.rows)
            return [f"{block.caption}:", *(f"  {line}" for line in told)]
        case Groups() | Trend():
            counts = bridge.texts.counted
            told = (
                f"{first}: {_cells(block.heads[1:], [counts(language, count) for _, count, _ in rest])}"
                for first, rest in block.rows
            )
            return [f"{block.caption}:", *(f"  {line}" for line in told)]
        case Lights():
            told = (f"{area}: {', '.join([light, *rest])}" for _, area, light, rest in block.rows)
            return [f"{block.caption}:", *(f"  {line}" for line in told)]
        case Said():
            return [block.text]


def _cells(heads: Sequence[str], cells: Sequence[str]) -> str:
    return ", ".join(f"{head} {cell}" for head, cell in zip(heads, cells, strict=True))


#: How pressing a thing is, worst first.
RISKS = {"red": mark("Red"), "amber": mark("Amber"), "green": mark("Green")}
