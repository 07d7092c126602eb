"""Fast for readers: what a page weighs, in requests and bytes, as Chromium counts them; and a slow line.

Issue 8, point 9: at most 30 KB all in, one request and one stylesheet (and the icon), usable at slow 3G.
"""

import gzip
import os
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession

from bridge.texts import TEMPLATES
from scripts.chromium import MISSING, find
from tests.browser import PHONE
from tests.conftest import House
from tests.gallery import LANGUAGES, PAGES, Sheet

pytestmark = [
    pytest.mark.browser,
    pytest.mark.gallery,
    pytest.mark.skipif(find() is None, reason=MISSING),
]

MOST = 30 * 1024
#: The icon with its headers.
ICON = (TEMPLATES / "static" / "favicon.svg").stat().st_size + 300
#: "Slow 3G" as those who measure pages mean it: 400 kbit/s each way, and 0.4 s until an answer begins.
SLOW_3G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}


@dataclass
class Weight:
    """What one page made the browser fetch: bytes over the line, by kind."""

    bytes: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    script: int = 0
    began: float = 0
    ended: float = 0

    @property
    def total(self) -> int:
        """All in; the icon is fetched when the rest is there, so it is weighed apart."""
        return self.bytes["Document"] + self.bytes["Stylesheet"] + self.script + ICON

    def listens(self, line: CDPSession) -> None:
        """Hear of each request, and of what it took."""
        line.on("Network.requestWillBeSent", self._sent)
        line.on("Network.loadingFinished", self._came)

    def stops(self, line: CDPSession) -> None:
        """Hear no more."""
        line.remove_listener("Network.requestWillBeSent", self._sent)
        line.remove_listener("Network.loadingFinished", self._came)

    def _sent(self, told: dict[str, Any]) -> None:
        if not told["request"]["url"].startswith("http"):
            return  # what the browser draws itself: a calendar's leaf
        self.kinds[told["requestId"]] = told["type"]
        self.began = self.began or told["timestamp"]

    def _came(self, told: dict[str, Any]) -> None:
        kind = self.kinds.get(told["requestId"], "")
        if not kind:
            return
        self.bytes[kind] = self.bytes.get(kind, 0) + int(told["encodedDataLength"])
        self.ended = told["timestamp"]


def opened(browser: Browser, *urls: str, slow: bool = False) -> list[Weight]:
    """Open pages one after the other, each as a reader who was never here, with nothing kept from before."""
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.setCacheDisabled", {"cacheDisabled": True})
    if slow:
        line.send("Network.emulateNetworkConditions", SLOW_3G)
    weights = []
    for url in urls:
        weight = Weight()
        weight.listens(line)
        page.goto(url, wait_until="load", timeout=60_000)
        assert page.locator("h1").is_visible()
        weight.stops(line)
        weights.append(weight)
    context.close()
    return weights


def largest(name: str) -> Sheet:
    """The heaviest state of a page, in its heaviest language."""
    sheets = [Sheet("page", name, number, code) for code in LANGUAGES for number in range(len(PAGES[name]))]
    return max(sheets, key=lambda sheet: len(sheet.html.encode()))


def scripts(sheet: Sheet) -> int:
    """What scripts a page would have, with their headers; the browser here runs none."""
    names = re.findall(r'<script src="/([^"]+)"', sheet.html)
    assert len(names) <= 1
    return sum((TEMPLATES / "static" / name).stat().st_size + 300 for name in names)


def tell(*lines: str) -> None:
    """Print to whoever runs `make test-browser`; workers of `make test` keep silent."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        print("", *lines, sep="\n")


def test_every_page_is_light(browser: Browser, gallery: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each page in its heaviest state: one document, one stylesheet, one icon, one script at most, and no more than 30 KB of all."""
    weights = dict(zip(PAGES, opened(browser, *(gallery + largest(name).path for name in PAGES)), strict=True))

    for name, weight in weights.items():
        weight.script = max(scripts(Sheet("page", name, number, LANGUAGES[0])) for number in range(len(PAGES[name])))
    told = [f"{'page, heaviest state':24}{'document':>10}{'style':>8}{'script':>8}{'icon':>7}{'all':>8}"]
    for name, weight in sorted(weights.items(), key=lambda pair: -pair[1].total):
        of = weight.bytes
        told.append(f"{name:24}{of['Document']:10}{of['Stylesheet']:8}{weight.script:8}{ICON:7}{weight.total:8}")
    with capsys.disabled():
        tell(*told)
    heavy = {name: weight.total for name, weight in weights.items() if weight.total > MOST}
    assert heavy == {}
    more = {name: list(weight.kinds.values()) for name, weight in weights.items() if len(weight.kinds) > 3}
    assert more == {}


def test_the_stylesheet_comes_packed(home: House) -> None:
    """The application sends it packed to whoever can take it so, and the same bytes to whoever cannot."""
    packed = home.client.get("/style.css", headers={"Accept-Encoding": "gzip, br"})
    plain = home.client.get("/style.css", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) * 3 < len(plain.data)
    assert {packed.headers["Vary"], plain.headers["Vary"]} == {"Accept-Encoding"}


@pytest.mark.parametrize("name", ["subscribe", "unsubscribe"])
def test_a_slow_line_is_enough(name: str, browser: Browser, gallery: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At slow 3G a page is whole and can be used after two waits: for itself, then for its stylesheet."""
    (weight,) = opened(browser, gallery + Sheet("page", name, 0, LANGUAGES[0]).path, slow=True)
    with capsys.disabled():
        tell(f"{name} at slow 3G: {weight.ended - weight.began:.1f} s until all of it was there")
    assert {"Document", "Stylesheet"} <= set(weight.kinds.values())
    assert "Script" not in weight.kinds.values()
