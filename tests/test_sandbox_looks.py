"""The sandbox's own pages, for everybody who tries the demo: A11Y-01 (WCAG 2.2 AA), on a phone, by day and by night."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from adapters.sandbox.server import Running, start
from scripts.chromium import MISSING, find
from tests.browser import NARROW, overflow, small_targets
from tests.checker import Checker
from tests.test_sandbox import AN, smtp_send

pytestmark = [
    pytest.mark.browser,
    pytest.mark.gallery,
    pytest.mark.skipif(find() is None, reason=MISSING),
]


@pytest.fixture
def running() -> Iterator[Running]:
    """A sandbox with an old list in it and one mail."""
    sandbox = start()
    sandbox.state.reset()
    sandbox.state.fill()
    smtp_send(sandbox, AN)
    yield sandbox
    sandbox.stop()


def test_nothing_on_the_pages_of_the_demo_hinders_anybody(running: Running, browser: Browser) -> None:
    """Both platforms with their people, one reader there, one mail: axe-core has no remark, nothing is scrolled sideways."""
    page = browser.new_page(viewport=NARROW)
    checker, faults = Checker(page), {}
    page.goto(running.url)
    reader = page.locator("a[href^='/readers/']").first.get_attribute("href")
    mail = page.locator("a[href^='/mails/']").first.get_attribute("href")
    for path in ("/", reader, mail):
        page.goto(f"{running.url}{path}")
        wide = overflow(page)
        if found := [*([f"{wide} px too wide"] if wide else []), *small_targets(page), *checker.remarks()]:
            faults[path] = found
    assert faults == {}
