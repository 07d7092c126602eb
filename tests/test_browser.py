"""A reader's whole way in a real browser with its scripts switched off: GDPR 7(3), ePrivacy 5(3), WCAG 2.2."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page

from bridge.texts import TEMPLATES, Texts
from scripts.chromium import MISSING, find
from tests.browser import (
    DESKTOP,
    NARROW,
    PHONE,
    Hand,
    Site,
    end_of,
    look,
    low_contrasts,
    overflow,
    serving,
    small_targets,
)
from tests.conftest import House
from tests.test_own_texts import whole, write
from tests.test_templates import COMMON, LANGUAGES, MAILS, PAGES

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]

AN = "an.vandenberg@lezer.example"
ONE, ALL, STOP = "button[name=scope][value=list]", "button[name=scope][value=all]", "button[name=stop][value=all]"
SEND, CONFIRM, SAVE = "main form button", "main form button", "form:has(input[name=save]) button"


#: How far a heading's words are from the left and the right of its line.
_SIDES = """e => { const range = document.createRange(); range.selectNodeContents(e); const words = range.getBoundingClientRect(),
  line = e.getBoundingClientRect(); return {left: words.left - line.left, right: line.right - words.right}; }"""


@pytest.fixture
def site(make_house: Callable[..., House], sqlite_url: str) -> Iterator[Site]:
    """The house, where a browser can reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    house = make_house(sqlite_url, BRIDGE_BASE_URL=url)
    with serving(house.app, port):
        yield Site(house, url)


@pytest.fixture
def hand(browser: Browser) -> Iterator[Callable[..., Hand]]:
    """Open browsers: `hand(viewport=PHONE)`. At the end none of them has complained."""
    opened: list[Hand] = []

    def open_(**looks: object) -> Hand:
        opened.append(Hand(browser, **looks))
        return opened[-1]

    yield open_
    for one in opened:
        one.context.close()
        assert one.complaints == []


def joins(hand: Hand, site: Site, *purposes: str) -> None:
    """Sign up and confirm with the mouse."""
    hand.opens(f"{site.url}/subscribe")
    for purpose in purposes or ("newsletter",):
        hand.presses(f"#purpose-{purpose}")
    hand.writes("#email", AN)
    hand.presses(SEND)
    assert hand.page.locator("form[action='/subscribe']").count() == 0
    site.house.clock.forward(minutes=2)
    hand.opens(site.mailed(AN, "/confirm/"))
    hand.presses(CONFIRM)
    assert "bedankt" in hand.page.locator("h1").inner_text().lower()
    site.house.clock.forward(minutes=2)


def adds(hand: Hand, site: Site, purpose: str) -> None:
    """Tick one more on the preference page: the newest mail is then about that purpose."""
    hand.opens(fresh_link(site))
    hand.presses(f"#purpose-{purpose}")
    hand.presses(SAVE)
    assert may(site, purpose)
    site.house.clock.forward(minutes=2)


def asks_by_keyboard(hand: Hand, site: Site) -> None:
    """Send the form for one topic without a mouse."""
    keys = hand.page.keyboard
    hand.opens(f"{site.url}/subscribe")
    hand.walks_to("#purpose-newsletter")
    keys.press("Space")
    hand.walks_to("#email")
    keys.type(AN)
    hand.enters(SEND)


def fresh_link(site: Site) -> str:
    """A mailed preference link."""
    site.house.clock.forward(minutes=6)
    site.house.client.post("/preferences", data={"email": AN})
    return site.mailed(AN, "/preferences/")


def may(site: Site, purpose: str = "newsletter") -> bool:
    """Whether she may be mailed now."""
    return site.house.store.may_mail(AN, purpose).may


def all_pages(site: Site, hand: Hand) -> Iterator[str]:
    """Walk the whole way; stand still on each page with its name."""
    hand.opens(f"{site.url}/subscribe")
    yield "subscribe"
    hand.page.locator("#email").fill(AN)
    hand.sends(SEND)
    assert hand.page.locator("[role=alert]").count() == 1
    assert "400" in hand.complaints.pop()  # the browser notes the status of an answer that says what is missing
    yield "subscribe, nothing ticked"
    hand.page.locator("#purpose-newsletter").check()
    hand.sends(SEND)
    yield "asked"
    hand.opens(site.mailed(AN, "/confirm/"))
    yield "confirm"
    site.house.clock.forward(minutes=2)
    hand.sends(CONFIRM)
    yield "confirmed"
    hand.opens(f"{site.url}/preferences")
    yield "ask for a link"
    hand.opens(fresh_link(site))
    yield "preferences"
    hand.page.locator("#purpose-offers").check()
    hand.sends(SAVE)
    yield "preferences, saved"
    hand.opens(site.mailed(AN, "/u/"))
    yield "unsubscribe"
    site.house.clock.forward(minutes=2)
    hand.sends(ONE)
    yield "unsubscribed"
    hand.opens(f"{site.url}/privacy")
    yield "privacy"
    hand.opens(f"{site.url}/notices/newsletter/1/nl")
    yield "notice"


def test_leaving_takes_no_more_steps_than_joining(site: Site, hand: Callable[..., Hand]) -> None:
    """WDR-01: withdrawing is as easy as giving, counted in what a reader has to do."""
    joining, leaving, stopping = hand(), hand(), hand()
    joins(joining, site)
    assert may(site)

    leaving.opens(site.mailed(AN, "/u/"))
    leaving.presses(ONE + "," + ALL)

    assert not may(site)
    assert leaving.steps == 2
    assert leaving.steps <= joining.steps
    site.house.clock.forward(days=2)  # a second sign-up mail goes to one address only on another day
    joins(hand(), site)
    stopping.opens(fresh_link(site))
    stopping.presses(STOP)
    assert not may(site)
    assert stopping.steps <= joining.steps


def test_everything_works_without_scripts_and_cookies_at_one_place(site: Site, hand: Callable[..., Hand]) -> None:
    """PRF-06: scripts are off, no cookie is there but the one of the form, which nothing needs, and the browser talks
    to one host only."""
    an = hand()
    joins(an, site, "newsletter", "offers")
    assert [cookie["name"] for cookie in an.context.cookies()] == ["__Host-sign-up"]
    an.context.clear_cookies()
    an.opens(fresh_link(site))
    an.page.locator("#purpose-offers").uncheck()
    an.presses(SAVE)
    assert an.page.locator("[role=status]").is_visible()
    assert (may(site), may(site, "offers")) == (True, False)
    site.house.clock.forward(minutes=2)
    an.page.locator("#language").select_option("en")
    an.presses("form:has(#language) button")
    assert an.page.locator("html").get_attribute("lang") == "en"
    an.page.locator("#pause_until").fill(f"{site.house.clock.forward(minutes=2).date().replace(year=2027, month=1)}")
    an.presses("form:has(#pause_until) button")
    assert not may(site)
    site.house.clock.forward(minutes=2)
    an.presses("form:has(input[name=pause_until]) button")
    assert may(site)
    site.house.clock.forward(minutes=2)
    an.presses(STOP)
    assert not may(site)

    assert {urlsplit(url).netloc for url in an.asked} == {urlsplit(site.url).netloc}
    assert an.context.cookies() == []


def test_the_keyboard_alone_is_enough(site: Site, hand: Callable[..., Hand]) -> None:
    """A11Y-01: Tab, Space and Enter do everything, and the focus can be seen at every stop."""
    an = hand(viewport=DESKTOP)
    keys = an.page.keyboard
    asks_by_keyboard(an, site)
    site.house.clock.forward(minutes=2)
    an.opens(site.mailed(AN, "/confirm/"))
    an.enters(CONFIRM)
    assert may(site)

    site.house.clock.forward(minutes=2)
    an.opens(fresh_link(site))
    an.walks_to("#purpose-offers")
    keys.press("Space")
    an.enters(SAVE)
    assert may(site, "offers")

    site.house.clock.forward(minutes=2)
    an.opens(site.mailed(AN, "/u/"))
    an.walks_to(ALL)
    an.submits("Space")
    assert not may(site)
    assert not may(site, "offers")


def test_her_own_data_by_the_keyboard_in_a_narrow_window(site: Site, hand: Callable[..., Hand]) -> None:
    """A11Y-01, RGT-02: from her preferences to her data, restrict, lift, and erase for good; nothing else is needed."""
    an = hand(viewport=NARROW)
    joins(an, site)
    an.opens(fresh_link(site))
    for stop, after in (
        ("main a[href^='/my-data/']", True),
        ("button[name=act][value=restrict]", False),
        ("button[name=act][value=lift]", True),
        ("button[name=act][value=erase]", True),
        ("button[name=sure]", False),
    ):
        an.enters(stop)
        assert overflow(an.page) == 0
        assert may(site) is after
        site.house.clock.forward(minutes=2)


@pytest.mark.complaints("status of 400")
def test_every_page_fits_a_narrow_window(site: Site, hand: Callable[..., Hand]) -> None:
    """A11Y-01: at 320 px nothing has to be scrolled sideways (WCAG 1.4.10), and targets can be hit (2.5.8)."""
    an = hand(viewport=NARROW)
    faults = {name: (overflow(an.page), small_targets(an.page)) for name in all_pages(site, an)}
    assert {name: fault for name, fault in faults.items() if fault != (0, [])} == {}


def test_no_language_breaks_a_page(hand: Callable[..., Hand], tmp_path: Path) -> None:
    """A11Y-01: nor does one of the house's own, at 320 px (1.4.10, 2.5.8): a language that is written from
    right to left sees each page mirrored, addresses excepted."""
    write(tmp_path, "ar.toml", whole("ar"))
    texts = Texts((*LANGUAGES, "ar"), ZoneInfo("UTC"), common=COMMON, own=tmp_path / "texts")
    style = f"<style>{(TEMPLATES / 'static' / 'style.css').read_text('utf-8')}</style></head>"
    page, faults = hand(viewport=NARROW).page, {}
    for name, states in PAGES.items():
        html = max((texts.render(f"pages/{name}.html", "ar", **state) for state in states), key=len)
        page.set_content(re.sub(r"<link [^>]*>", "", html).replace("</head>", style))
        if (overflow(page), small := small_targets(page)) != (0, []):
            faults[name] = (overflow(page), small)
        if name == "subscribe":
            _runs(page, backwards=True)
    for name, states in MAILS.items():
        page.set_content(texts.render(f"email/{name}/body.html", "ar", **states[0]))
        if overflow(page):
            faults[f"mail {name}"] = overflow(page)
    assert faults == {}
    for code in ("fr", "de"):
        html = max((texts.render("pages/subscribe.html", code, **state) for state in PAGES["subscribe"]), key=len)
        page.set_content(re.sub(r"<link [^>]*>", "", html).replace("</head>", style))
        _runs(page, backwards=False)


def _runs(page: Page, *, backwards: bool) -> None:
    """Which way the sign-up form runs: its boxes beside their words, its heading; addresses never backwards."""
    box, words = (page.locator(f"{what} >> nth=0").bounding_box() for what in (".tick input", ".tick label"))
    assert box
    assert words
    assert (box["x"] > words["x"]) is backwards
    assert page.locator("#email").evaluate("e => getComputedStyle(e).direction") == "ltr"
    lines = page.locator("h1").evaluate(_SIDES)
    assert (lines["right"] < lines["left"]) is backwards, lines


@pytest.mark.complaints("status of 400")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(site: Site, hand: Callable[..., Hand], scheme: str) -> None:
    """A11Y-01: at least 4.5 to 1 for every text as it is drawn (WCAG 1.4.3), by day and by night."""
    an = hand(color_scheme=scheme, viewport=DESKTOP)
    faults = {name: low_contrasts(an.page) + small_targets(an.page) for name in all_pages(site, an)}
    assert {name: fault for name, fault in faults.items() if fault} == {}
    ground = an.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 22, 26)") is (scheme == "dark")


@pytest.mark.parametrize("window", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_both_ways_to_leave_look_alike(site: Site, hand: Callable[..., Hand], window: dict[str, int]) -> None:
    """WDR-14: "stop this" and "stop everything" have the same size, colours and type."""
    an = hand(viewport=window)
    joins(an, site)
    adds(an, site, "offers")
    an.opens(site.mailed(AN, "/u/"))

    assert look(an.page.locator(ONE)) == look(an.page.locator(ALL))
    assert end_of(an.page.locator(ALL)) <= window["height"]


def test_stop_everything_is_seen_without_scrolling(site: Site, hand: Callable[..., Hand]) -> None:
    """WDR-14: on a phone "stop everything" stands in the first window, in the dress of the main button."""
    an = hand(viewport=PHONE)
    joins(an, site, "newsletter", "offers")
    for link in (fresh_link(site), site.mailed(AN, "/u/").replace("/u/", "/preferences/")):
        an.opens(link)
        stop, save = an.page.locator(STOP), an.page.locator(SAVE)
        assert end_of(stop) <= PHONE["height"]
        assert look(stop) == look(save)


def test_the_reader_can_change_to_english(site: Site, hand: Callable[..., Hand]) -> None:
    """CAP-08: one press changes the language; form, mail and confirmation follow."""
    an = hand()
    an.opens(f"{site.url}/subscribe")
    assert an.page.locator("html").get_attribute("lang") == "nl"

    an.presses("nav.languages a[hreflang=en]")
    assert an.page.locator("html").get_attribute("lang") == "en"
    an.presses("#purpose-newsletter")
    an.writes("#email", AN)
    an.presses(SEND)

    link = site.mailed(AN, "/confirm/")
    assert "confirm" in str(site.house.mailbox.to(AN)[-1]["Subject"]).lower()
    an.opens(link)
    assert an.page.locator("html").get_attribute("lang") == "en"


def test_a_browser_that_is_told_but_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is skipped in silence: what was told by CHROMIUM is used, or none."""
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    assert find() is None
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setitem(os.environ, "CHROMIUM", str(program))
    assert find() == str(program)


@pytest.mark.parametrize("whose", ["the system's", "Playwright's"])
def test_who_watches_gets_one_with_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whose: str) -> None:
    """Out of sight the shell without windows is taken where it is there; to watch, never."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "kept"))
    if whose == "the system's":
        shell, full = tmp_path / "chromium-headless-shell", tmp_path / "chromium"
    else:
        shell = tmp_path / "kept" / "chromium_headless_shell-1234" / "chrome-headless-shell-linux64" / "headless_shell"
        full = tmp_path / "kept" / "chromium-1234" / "chrome-linux64" / "chrome"
    for program in (shell, full):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
    assert find() == str(shell)
    assert find(to_watch=True) == str(full)
    full.unlink()
    assert find(to_watch=True) is None
