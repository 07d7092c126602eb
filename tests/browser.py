"""What the browser tests look with: a real server, a browser without scripts, and eyes for size, colour and focus."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Request, sync_playwright
from werkzeug.serving import make_server

from scripts.chromium import find
from tests.conftest import House

#: How the browser is started: it calls nobody by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",  # a window is as wide as one that nobody sees
]
PHONE, DESKTOP, NARROW = {"width": 390, "height": 844}, {"width": 1280, "height": 900}, {"width": 320, "height": 640}

_TARGETS = "a[href], button, select, input:not([type=hidden], [aria-hidden=true] *)"  # nobody reaches what is hidden

#: Every text with its colour on the first opaque ground under it, and its contrast (WCAG 2.2, 1.4.3).
_CONTRASTS = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
  ).map(e => { const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
    return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
}"""

#: Targets that break WCAG 2.2, 2.5.8: smaller than 24 × 24, not inside a sentence, and another one within 24 px.
_SMALL = """selector => {
  const all = [...document.querySelectorAll(selector)].filter(e => e.getClientRects().length);
  const box = e => e.getBoundingClientRect();
  const small = e => box(e).width < 24 || box(e).height < 24;
  const middle = e => [box(e).left + box(e).width / 2, box(e).top + box(e).height / 2];
  const near = (e, o) => { const [x, y] = middle(e), b = box(o);
    const dx = Math.max(b.left - x, 0, x - b.right), dy = Math.max(b.top - y, 0, y - b.bottom);
    if (Math.hypot(dx, dy) < 12) return true;
    const [u, v] = middle(o); return small(o) && Math.hypot(x - u, y - v) < 24; };
  const sentence = e => getComputedStyle(e).display === "inline" &&
    [...e.parentElement.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return all.filter(e => small(e) && !sentence(e) && all.some(o => o !== e && near(e, o)))
    .map(e => e.outerHTML.slice(0, 80) + " " + Math.round(box(e).width) + "x" + Math.round(box(e).height));
}"""

_FOCUS = """() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
  return {what: e.outerHTML.slice(0, 80), body: e === document.body,
    ring: s.outlineStyle !== "none" ? parseFloat(s.outlineWidth) : 0,
    seen: b.bottom > 0 && b.top < innerHeight && b.right > 0 && b.left < innerWidth}; }"""

_LOOK = """e => { const s = getComputedStyle(e), b = e.getBoundingClientRect();
  return {width: Math.round(b.width), height: Math.round(b.height), ink: s.color, ground: s.backgroundColor,
    border: s.border, font: s.font, underline: s.textDecorationLine, opacity: s.opacity}; }"""


#: With HEADED=1 journeys are made in a window, each step this many milliseconds after the one before.
_TO_WATCH = 400


def chromium(play: Playwright) -> Browser:
    """A Chromium for journeys: out of sight, or with HEADED=1 (`make test-browser HEADED=1`) in a window to watch."""
    if not os.environ.get("HEADED"):
        return play.chromium.launch(executable_path=find(), args=ARGUMENTS)
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.exit("HEADED=1 needs a screen: this machine has none (neither DISPLAY nor WAYLAND_DISPLAY is set)", 2)
    if not (program := find(to_watch=True)):
        pytest.exit("HEADED=1 needs a Chromium with windows: `make test-browser HEADED=1` gets one", 2)
    return play.chromium.launch(executable_path=program, args=ARGUMENTS, headless=False, slow_mo=_TO_WATCH)


#: What browsers complained of since the last test: errors of scripts and policies, answers that failed.
heard: list[str] = []


@contextmanager
def started() -> Iterator[Browser]:
    """A Chromium that is closed at the end; each window of it is listened to, and its complaints are `heard`."""
    with sync_playwright() as play:
        browser = chromium(play)
        for name in ("new_context", "new_page"):
            setattr(browser, name, _listened(getattr(browser, name)))
        yield browser
        browser.close()


def _listened(opens: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with an ear on what it opens."""

    @wraps(opens)
    def open_(**told: Any) -> Any:
        opened = opens(**told)
        context: BrowserContext = opened.context if isinstance(opened, Page) else opened
        context.on("console", lambda said: heard.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda failed: heard.append(str(failed.error)))
        return opened

    return open_


class Site:
    """A house that a browser can reach, and what is mailed from it."""

    def __init__(self, house: House, url: str) -> None:
        self.house, self.url = house, url

    def mailed(self, email: str, path: str) -> str:
        """The newest mailed link to her with this path, after everything due was sent."""
        self.house.dispatch()
        for mail in reversed(self.house.mailbox.to(email)):
            body = mail.get_body(("plain",))
            assert body is not None
            for word in body.get_content().split():
                if word.startswith(self.url + path):
                    return str(word)
        raise AssertionError(f"no mail to her holds a link with {path}")


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """The application on a port of loopback."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Hand:
    """A reader at her browser: counts what she has to do, and hears every complaint of the browser. On whatever page she
    comes, nothing is wider than her window (WCAG 2.2, 1.4.10).
    """

    def __init__(self, browser: Browser, **looks: Any) -> None:
        told = {"viewport": PHONE, "locale": "nl-BE", **looks}
        self.context = browser.new_context(java_script_enabled=False, **told)
        self.context.set_default_timeout(10_000)
        self.page: Page = self.context.new_page()
        self.steps = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("requestfailed", self._failed)
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # she went on to the next page before a picture had come
            self.complaints.append(f"{request.method}: {request.failure}")

    def opens(self, url: str) -> Page:
        """Follow a link: one step."""
        self.steps += 1
        answer = self.page.goto(url)
        assert answer is not None
        assert answer.status == 200
        self._fits()
        return self.page

    def _fits(self) -> None:
        assert (wide := overflow(self.page)) == 0, f"{wide} px wider than the window: {self.page.title()}"

    def presses(self, selector: str) -> None:
        """Click something: one step."""
        self.steps += 1
        if selector.startswith("#purpose-"):  # a box leads nowhere
            self.page.locator(selector).click()
        else:
            self.sends(selector)

    def sends(self, selector: str) -> None:
        """Click what leads to another page, and wait until that page is whole; its address may be the same."""
        with self.page.expect_navigation(wait_until="load"):
            self.page.locator(selector).click()
        self._fits()

    def enters(self, selector: str) -> None:
        """Walk to what leads to another page, by keyboard, and press Enter there."""
        self.walks_to(selector)
        self.submits()

    def submits(self, key: str = "Enter") -> None:
        """Press a key where the focus is, in a field or on a button, and wait for the page that follows."""
        with self.page.expect_navigation(wait_until="load"):
            self.page.keyboard.press(key)
        self._fits()

    def writes(self, selector: str, text: str) -> None:
        """Fill in a field: one step."""
        self.steps += 1
        self.page.locator(selector).fill(text)

    def walks_to(self, selector: str) -> Locator:
        """Press Tab until this has the focus; every stop on the way can be seen."""
        wanted = self.page.locator(selector)
        for _ in range(60):
            self.page.keyboard.press("Tab")
            stop = self.page.evaluate(_FOCUS)
            if not stop["body"]:
                assert stop["ring"] >= 2, f"no visible focus: {stop['what']}"
                assert stop["seen"], f"focus is outside the window: {stop['what']}"
            if wanted.evaluate("e => e === document.activeElement"):
                return wanted
        raise AssertionError(f"Tab never comes to {selector}")


def low_contrasts(page: Page) -> list[tuple[str, float]]:
    """The texts of a page that are too pale: less than 4.5 to 1."""
    seen = page.evaluate(_CONTRASTS)
    assert len(seen) > 3
    return [(text, round(ratio, 2)) for text, ratio in seen if ratio < 4.5]


def small_targets(page: Page) -> list[str]:
    """What is too small to hit."""
    assert page.locator(_TARGETS).count()
    return list(page.evaluate(_SMALL, _TARGETS))


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth"))


def look(locator: Locator) -> dict[str, Any]:
    """Size, colours and type of one thing, as the browser draws it."""
    return dict(locator.evaluate(_LOOK))


def end_of(locator: Locator) -> float:
    """Where something ends, in pixels from the top of the page."""
    box = locator.bounding_box()
    assert box is not None
    return box["y"] + box["height"]
