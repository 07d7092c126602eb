"""The report of each department: collected, as a page that prints, and in lines for a terminal (ORG-01, S20)."""

from collections.abc import Callable
from datetime import datetime
from types import ModuleType
from typing import Any

from bridge.bootstrap import Bridge
from bridge.jobs.reports import it, management, marketing, sales, sheet, support
from bridge.jobs.reports.todo import todo
from bridge.vocabulary import FEW, rfc3339

#: How many things to do management is told of.
_TOP = 5
_MODULES: dict[str, ModuleType] = {"sales": sales, "support": support, "it": it, "management": management}

DEPARTMENTS = ("marketing", *_MODULES)


def collect(
    bridge: Bridge, department: str, language: str, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> dict[str, Any]:
    """A department's report as plain data. None stands for a number that is hidden."""
    if department == "marketing":
        return marketing.collect(bridge, language, progress)
    module = _MODULES[department]
    found = todo(bridge, language)
    mine = found[:_TOP] if department == "management" else [one for one in found if one.department == department]
    return {
        "department": department,
        "title": bridge.texts.gettext(language, module.TITLE),
        "subtitle": bridge.texts.gettext(language, module.SUBTITLE),
        "made": rfc3339(bridge.clock()),
        "controller": bridge.policy.controller.name,
        "language": language,
        "hidden_below": FEW,
        "figures": module.figures(bridge, language),
        "todo": [{"risk": one.risk, "area": one.area, "what": one.what, "owner": one.owner} for one in mine],
    }


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The report as a page that prints."""
    if found["department"] == "marketing":
        return marketing.as_html(bridge, found, made)
    return sheet.as_html(bridge, found, _sections(bridge, found), made)


def as_text(bridge: Bridge, found: dict[str, Any]) -> str:
    """The report in lines, for a terminal."""
    if found["department"] == "marketing":
        return marketing.as_text(found)
    return sheet.as_text(bridge, found, _sections(bridge, found))


def _sections(bridge: Bridge, found: dict[str, Any]) -> list[sheet.Section]:
    sections: list[sheet.Section] = _MODULES[found["department"]].sections(bridge, found["language"], found["figures"])
    return sections
