"""A reader's own data in a real browser, with scripts off: see, take, correct, move, restrict, object, erase.

GDPR 12(1), 15 to 21; rows RGT-01, PRF-02, PRF-06, RGT-05, RGT-06, A11Y-01. In Dutch and in English.
"""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.chromium import MISSING, find
from tests.browser import NARROW, PHONE, Hand, Site, low_contrasts, overflow, small_targets
from tests.test_browser import AN, fresh_link, hand, joins, may, site  # noqa: F401  (two are fixtures)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]

NEW = "an.nieuw@lezer.example"


def presses(an: Hand, act: str) -> None:
    """Press the button of an act on her page."""
    an.sends(f"button[name=act][value={act}]")


def looks_right(an: Hand, name: str, faults: dict[str, object]) -> None:
    """Note what is wrong with a page: too wide, too small to hit, too pale; no one heading, no title, no language."""
    page = an.page
    found = [*small_targets(page), *low_contrasts(page)]
    found += [f"{overflow(page)} px too wide"] if overflow(page) else []
    found += [] if page.locator("h1").count() == 1 and page.title() else ["no heading"]
    unnamed = page.locator("input:not([type=hidden]), select").evaluate_all(
        "all => all.filter(e => !e.labels.length).map(e => e.name)"
    )
    if found or unnamed:
        faults[name] = [*found, *unnamed]
    if folder := os.environ.get("MY_DATA_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("language", "window"), [("nl", PHONE), ("en", NARROW)])
def test_the_whole_way(
    site: Site,  # noqa: F811  (a fixture)
    hand: Callable[..., Hand],  # noqa: F811  (a fixture)
    language: str,
    window: dict[str, int],
) -> None:
    """RGT-01 to RGT-06, PRF-02, PRF-06: every step in a browser, each page readable, no script, cookie or other host."""
    an, faults = hand(viewport=window, color_scheme="dark" if language == "en" else "light"), dict[str, object]()
    joins(an, site)
    an.opens(fresh_link(site))
    an.sends("a[href^='/my-data/']")
    if language == "en":
        an.page.locator("#language").select_option("en")
        presses(an, "correct")
    assert an.page.locator("html").get_attribute("lang") == language
    assert AN in an.page.locator("main").inner_text()
    looks_right(an, f"{language}-1-my-data", faults)

    presses(an, "look")
    site.house.dispatch()
    an.page.reload()
    for fold in an.page.locator("summary").all():
        fold.click()
    assert "newsletter" in an.page.locator("main").inner_text()
    looks_right(an, f"{language}-2-opened", faults)
    for kind in ("html", "csv", "json"):
        with an.page.expect_download() as told:
            an.page.locator(f"button[name=format][value={kind}]").click()
        assert told.value.suggested_filename == f"my-data.{kind}"
        assert AN in Path(told.value.path()).read_text()

    presses(an, "restrict")
    assert not may(site)
    looks_right(an, f"{language}-3-restricted", faults)
    site.house.clock.forward(minutes=1)
    presses(an, "lift")
    assert may(site)

    an.page.locator("#email").fill(NEW)
    presses(an, "address")
    assert an.page.locator("[role=status]").is_visible()
    looks_right(an, f"{language}-4-asked", faults)
    site.house.clock.forward(minutes=1)
    an.opens(site.mailed(NEW, "/my-data/"))
    looks_right(an, f"{language}-5-move", faults)
    presses(an, "moved")
    looks_right(an, f"{language}-6-moved", faults)
    assert site.house.store.may_mail(NEW, "newsletter").may

    site.house.clock.forward(minutes=6)
    site.house.client.post("/preferences", data={"email": NEW})
    an.opens(site.mailed(NEW, "/preferences/").replace("/preferences/", "/my-data/"))
    presses(an, "object")
    assert not site.house.store.may_mail(NEW, "newsletter").may
    looks_right(an, f"{language}-7-objected", faults)
    presses(an, "erase")
    looks_right(an, f"{language}-8-erase", faults)
    assert site.house.store.knows(NEW)
    an.sends("button[name=sure]")
    looks_right(an, f"{language}-9-erased", faults)
    assert not site.house.store.knows(NEW)

    assert faults == {}
    assert {urlsplit(url).netloc for url in an.asked} == {urlsplit(site.url).netloc}
    assert [cookie["name"] for cookie in an.context.cookies()] == ["__Host-sign-up"]  # of the form, and of nothing here


def test_the_keyboard_is_enough(site: Site, hand: Callable[..., Hand]) -> None:  # noqa: F811  (fixtures)
    """A11Y-01: Tab and Enter reach every act, and the focus can be seen on the way."""
    an = hand()
    joins(an, site)
    an.opens(fresh_link(site).replace("/preferences/", "/my-data/"))
    an.enters("button[name=act][value=erase]")
    an.enters("button[name=sure]")
    assert not site.house.store.knows(AN)
