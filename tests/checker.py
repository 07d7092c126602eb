"""A program that looks for obstacles on a page (axe-core), for the tests that look at pages: A11Y-01, A11Y-02."""

from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Page

from scripts.osls import AXE, NO_AXE
from tests.browser import low_contrasts

#: WCAG 2.0 to 2.2, A and AA, and what the makers of axe advise beyond.
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: The rules that see colours: what another light can change, and another language cannot.
OF_COLOURS = ("color-contrast", "link-in-text-block")
#: A mail is a part of a mail program's page: whether that has landmarks is not ours to say. Nor is it of a form on
#: somebody else's.
LANDMARKS = ("region", "landmark-one-main")

_AXE = """async rules => (await axe.run(document, {resultTypes: ["violations"], preload: false, ...rules})).violations
  .map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join("; ").slice(0, 300))"""
#: Where its colours come from, for each text: the names of what it stands in, and styles of its own.
_COLOURS = """() => [...new Set([...document.querySelectorAll("body *")].filter(e =>
  [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => { const names = [];
    for (; e.parentElement; e = e.parentElement) names.push(e.tagName + "." + e.className + (e.getAttribute("style") || ""));
    return names.join(" "); }))]"""


class Checker:
    """Runs over what a window shows, by day and by night."""

    def __init__(self, page: Page) -> None:
        if not AXE.is_file():
            pytest.skip(NO_AXE)
        self.page = page
        self._source = AXE.read_text("utf-8")
        self._seen = set[str]()

    def remarks(self, *, without: Sequence[str] = ()) -> list[object]:
        """All rules, those of colours where some text stands as none did before, by day or by night. A text that is too
        pale is looked for by day and by night, whatever was seen before.
        """
        found: list[object] = []
        self.page.emulate_media(color_scheme="light")
        colours = set(self.page.evaluate(_COLOURS))
        known, self._seen = colours <= self._seen, self._seen | colours
        off = [*without, *(OF_COLOURS if known else ())]
        found += self._run({"runOnly": _TAGS, "rules": {rule: {"enabled": False} for rule in off}})
        found += low_contrasts(self.page)
        self.page.emulate_media(color_scheme="dark")
        if not known:
            found += self._run({"runOnly": {"type": "rule", "values": OF_COLOURS}})
        return found + low_contrasts(self.page)

    def _run(self, rules: dict[str, Any]) -> list[str]:
        if self.page.evaluate("() => typeof axe") == "undefined":
            self.page.evaluate(self._source)
        return list(self.page.evaluate(_AXE, rules))
