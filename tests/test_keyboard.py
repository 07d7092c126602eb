"""What a reader does behind her links, by the keyboard alone and in a narrow window (WCAG 2.2: 1.4.10, 2.1.1, 2.4.7)."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from scripts.chromium import MISSING, find
from tests.browser import NARROW, Hand, Site, overflow
from tests.conftest import Reader
from tests.test_browser import (  # noqa: F401  (hand and site are fixtures)
    AN,
    CONFIRM,
    asks_by_keyboard,
    fresh_link,
    hand,
    joins,
    may,
    site,
)
from tests.test_roads import code_of

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]


def test_what_else_she_chooses(site: Site, hand: Callable[..., Hand]) -> None:  # noqa: F811  (fixtures)
    """A11Y-01, WDR-12: the digits of the mail, a pause and its end, another language, a stop, and its undoing by mail."""
    an = hand(viewport=NARROW)
    keys = an.page.keyboard
    asks_by_keyboard(an, site)
    an.walks_to("#code")
    keys.type(code_of(Reader(site.house, AN)))
    an.submits()
    assert may(site)
    site.house.clock.forward(minutes=2)
    an.opens(fresh_link(site))
    day = site.house.clock().date() + timedelta(days=30)
    an.walks_to("#pause_until")
    keys.type(f"{day:%m%d%Y}")
    an.submits()
    assert not may(site)
    an.enters("form:has(input[name=pause_until]) button")
    assert may(site)
    an.walks_to("#language")
    keys.type("e")
    an.enters("form:has(#language) button")
    assert an.page.locator("html").get_attribute("lang") == "en"
    an.enters("button[name=stop]")
    assert not may(site)
    site.house.clock.forward(minutes=2)
    an.enters("form:has(input[name=undo]) button")
    an.opens(site.mailed(AN, "/confirm/"))
    an.enters(CONFIRM)
    assert may(site)
    assert overflow(an.page) == 0


def test_her_papers_a_correction_and_a_move(site: Site, hand: Callable[..., Hand]) -> None:  # noqa: F811  (fixtures)
    """A11Y-01, RGT-01, RGT-03: she takes her data with her, sets her language right, and moves to another mailbox."""
    an = hand(viewport=NARROW)
    keys, new = an.page.keyboard, "an@nieuw.example"
    joins(an, site)
    an.opens(fresh_link(site))
    an.enters("main a[href^='/my-data/']")
    an.walks_to("button[name=format][value=csv]")
    with an.page.expect_download() as loading:
        keys.press("Enter")
    assert AN in loading.value.path().read_text("utf-8")
    an.walks_to("#language")
    keys.type("e")
    an.enters("button[name=act][value=correct]")
    assert (person := site.house.store.person(AN))
    assert person.language == "en"
    an.walks_to("#email")
    keys.type(new)
    an.enters("button[name=act][value=address]")
    assert overflow(an.page) == 0
    an.opens(site.mailed(new, "/my-data/"))
    an.enters("main button")
    assert overflow(an.page) == 0
    assert site.house.store.person(new)
    assert site.house.store.person(AN) is None
