"""One click for a person, nothing for a scanner, in a real browser with its scripts on: CON-05, peers' pains 1 to 3."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from bridge.vocabulary import EventType
from scripts.chromium import MISSING, find
from tests.browser import PHONE, Site, low_contrasts, overflow, serving, small_targets
from tests.conftest import House, Reader
from tests.test_roads import code_of, everything_stored, holding, proof

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]

#: What a filter does that opens a link to see what is behind it: it waits, scrolls, and presses whatever there is.
SENDS_FORMS = "() => { for (const form of document.querySelectorAll('main form')) form.submit(); }"


@pytest.fixture
def make_site(make_house: Callable[..., House], sqlite_url: str) -> Iterator[Callable[[], Site]]:
    """Build the house where a browser can reach it."""
    running = []

    def build() -> Site:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        house = make_house(sqlite_url, BRIDGE_BASE_URL=f"http://127.0.0.1:{port}")
        running.append(serving(house.app, port))
        running[-1].__enter__()
        return Site(house, f"http://127.0.0.1:{port}")

    yield build
    for server in running:
        server.__exit__(None, None, None)


class Window:
    """A browser of somebody's, with scripts and cookies, that hears every complaint."""

    def __init__(self, browser: Browser, *, scripts: bool = True) -> None:
        self.context: BrowserContext = browser.new_context(viewport=PHONE, locale="nl-BE", java_script_enabled=scripts)
        self.context.set_default_timeout(10_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def signs_up(self, site: Site, email: str) -> None:
        """Fill in the form and send it."""
        self.page.goto(f"{site.url}/subscribe")
        self.page.locator("#email").fill(email)
        self.page.locator("#purpose-newsletter").check()
        with self.page.expect_navigation(wait_until="load"):
            self.page.locator("main form button").click()
        site.house.clock.forward(seconds=2)


@pytest.mark.complaints("status of 400")
def test_one_click_for_a_person(make_site: Callable[[], Site], browser: Browser) -> None:
    """CON-05, A11Y-01: the link of the mail, opened where the form was sent: nothing else is pressed, and it is done.
    Without scripts the button stays. Read elsewhere, the digits are typed on the page that stayed open."""
    site = make_site()
    an, bram, carla = (Reader(site.house, f"{name}@lezer.example") for name in ("an", "bram", "carla"))
    her, his, hers = Window(browser), Window(browser, scripts=False), Window(browser)
    her.signs_up(site, an.email)
    (cookie,) = her.context.cookies()
    assert {cookie[key] for key in ("httpOnly", "secure")} == {True}
    assert (cookie["sameSite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "127.0.0.1")
    faults = [(overflow(her.page), low_contrasts(her.page), small_targets(her.page))]
    link = site.mailed(an.email, "/confirm/")
    before = len(an.story())
    her.page.goto(link)
    her.page.get_by_role("heading", name="Bedankt").wait_for()
    assert (proof(an).road, an.may().may, len(an.story())) == ("same_browser", True, before + 1)
    her.page.goto(link)
    assert her.page.locator("script").count() == 0
    assert len(an.story()) == before + 1

    his.signs_up(site, bram.email)
    his.page.goto(site.mailed(bram.email, "/confirm/"))
    assert not bram.may().may
    his.page.locator("main form button").click()
    his.page.get_by_role("heading", name="Bedankt").wait_for()
    assert proof(bram).road == "same_browser"

    hers.signs_up(site, carla.email)
    site.house.dispatch()
    hers.page.locator("#code").fill("1")
    hers.page.locator("main form button").click()
    hers.page.locator("[role=alert]").wait_for()
    faults.append((overflow(hers.page), low_contrasts(hers.page), small_targets(hers.page)))
    hers.page.locator("#code").fill(_code(site, carla.email))
    hers.page.locator("main form button").click()
    hers.page.get_by_role("heading", name="Bedankt").wait_for()
    assert proof(carla).road == "code"
    assert faults == [(0, [], [])] * 2
    assert [text for window in (her, his, hers) for text in window.complaints if "400" not in text] == []


def test_nothing_for_a_scanner(make_site: Callable[[], Site], browser: Browser, policy_folder: Path) -> None:
    """CON-05: a filter opens the link with all scripts running and waits: nothing changes. One that sends every form by
    script too is what no program can tell from a person: it says so in the proof, or waits for the digits."""
    holding(policy_folder, "all")
    site = make_site()
    an = Reader(site.house, "an@lezer.example")
    Window(browser).signs_up(site, an.email)
    link = site.mailed(an.email, "/confirm/")
    site.house.clock.forward(hours=1)
    scanner = Window(browser)
    before = everything_stored(site.house)
    scanner.page.goto(link, wait_until="networkidle")
    scanner.page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    assert scanner.page.locator("script").count() == 0
    assert everything_stored(site.house) == before
    for _ in range(2):
        with scanner.page.expect_navigation(wait_until="load"):
            scanner.page.evaluate(SENDS_FORMS)
    assert scanner.page.locator("#code").count() == 1
    assert not any(event.type is EventType.GIVEN for event in an.story())
    assert (overflow(scanner.page), low_contrasts(scanner.page), small_targets(scanner.page)) == (0, [], [])
    site.house.clock.forward(minutes=1)
    scanner.page.locator("#code").fill(_code(site, an.email))
    scanner.page.locator("main form button").click()
    scanner.page.get_by_role("heading", name="Bedankt").wait_for()
    assert proof(an).road == "code"
    assert scanner.complaints == []


def test_a_browser_counts_before_it_sends_the_form(
    make_site: Callable[[], Site], browser: Browser, policy_folder: Path
) -> None:
    """CAP-10: a script of our own, nobody else's; a person who fills in a form does not notice it."""
    policy = policy_folder / "policy.toml"
    policy.write_text(policy.read_text(encoding="utf-8") + "\n[sign_up]\nproof_of_work = true\n", encoding="utf-8")
    site = make_site()
    her = Window(browser)
    her.page.goto(f"{site.url}/subscribe")
    her.page.wait_for_function("() => document.querySelector('input[name=work]').value", timeout=60_000)
    work = her.page.locator("input[name=work]").input_value()
    assert site.house.bridge.links.is_worked(work, site.house.clock())
    assert her.page.locator("#homepage").bounding_box() is not None
    for _ in range(12):  # nobody who walks by keyboard meets the field that is for programs
        her.page.keyboard.press("Tab")
        assert her.page.evaluate("() => document.activeElement.id") != "homepage"
    assert her.complaints == []


def _code(site: Site, email: str) -> str:
    return code_of(Reader(site.house, email))
