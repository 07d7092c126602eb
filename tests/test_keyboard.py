"""What a reader does behind her links, by the keyboard alone and in a narrow window (WCAG 2.2: 1.4.10, 2.1.1, 2.4.7)."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from bridge.vocabulary import Status
from scripts.chromium import MISSING, find
from tests.browser import NARROW, Hand, Site
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
from tests.test_repermission import Desk, allowing  # noqa: F401  (a fixture)
from tests.test_roads import code_of, holding

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]

BRAM = "bram@lezer.example"
#: The two answers to the question that is put once.
YES, NO = ".choices button:not([name])", ".choices button[name=scope]"


def reads(one: Hand, language: str, words: str) -> None:
    """The page is in this language: it says so, and these words are on it to be seen."""
    assert one.page.locator("html").get_attribute("lang") == language
    expect(one.page.locator("main").get_by_text(words).first).to_be_visible()


@pytest.fixture
def held(allowing: Path, policy_folder: Path) -> None:  # noqa: F811  (a fixture)
    """A policy that asks once more, and holds each yes until its digits are typed."""
    holding(policy_folder, "all")


def is_asked(at: Site, folder: Path) -> str:
    """Bram comes from an old list and is asked once; the link in his mail."""
    desk = Desk(at.house, folder)
    desk.takes_in(BRAM)
    desk.asks()
    return at.mailed(BRAM, "/question/")


def stands(at: Site) -> tuple[Status, bool]:
    """Where Bram stands, and whether he may be mailed."""
    found = at.house.store.may_mail(BRAM, "newsletter")
    return found.status, found.may


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
    reads(an, "nl", "Je voorkeuren")
    an.enters("form:has(#language) button")
    reads(an, "en", "Your preferences")
    reads(an, "en", "From now on we write to you in this language.")
    an.enters("button[name=stop]")
    assert not may(site)
    site.house.clock.forward(minutes=2)
    an.enters("form:has(input[name=undo]) button")
    an.opens(site.mailed(AN, "/confirm/"))
    an.enters(CONFIRM)
    assert may(site)
    reads(an, "en", "Thank you, it is done")


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
    reads(an, "nl", "Mijn gegevens")
    an.enters("button[name=act][value=correct]")
    assert (person := site.house.store.person(AN))
    assert person.language == "en"
    reads(an, "en", "My data")
    an.walks_to("#email")
    keys.type(new)
    an.enters("button[name=act][value=address]")
    an.opens(site.mailed(new, "/my-data/"))
    an.enters("main button")
    assert site.house.store.person(new)
    assert site.house.store.person(AN) is None


@pytest.mark.usefixtures("allowing")
def test_the_question_that_is_put_once(site: Site, hand: Callable[..., Hand], tmp_path: Path) -> None:  # noqa: F811
    """A11Y-01, AUD-03: yes by keyboard, and it counts."""
    bram = hand(viewport=NARROW)
    bram.opens(is_asked(site, tmp_path))
    reads(bram, "nl", "Mogen we je adres houden?")
    assert stands(site) == (Status.UNKNOWN, False)
    bram.enters(YES)
    reads(bram, "nl", "Bedankt, het is geregeld")
    site.house.clock.forward(minutes=1)
    assert stands(site) == (Status.GIVEN, True)


@pytest.mark.usefixtures("held")
def test_no_is_one_press_away(site: Site, hand: Callable[..., Hand], tmp_path: Path) -> None:  # noqa: F811
    """WDR-05, WDR-10: no by keyboard, also where every yes is held: nothing is typed, and it counts at once."""
    bram = hand(viewport=NARROW)
    bram.opens(is_asked(site, tmp_path))
    bram.enters(NO)
    reads(bram, "nl", "Bedankt voor je antwoord")
    assert stands(site) == (Status.REFUSED, False)


@pytest.mark.complaints("status of 400")
@pytest.mark.usefixtures("held")
def test_digits_are_typed_where_a_yes_is_held(
    site: Site,  # noqa: F811
    hand: Callable[..., Hand],  # noqa: F811
    tmp_path: Path,
) -> None:
    """A11Y-01, CON-05: the field for the digits comes before both answers; Enter in it says yes, and so does the button."""
    bram = hand(viewport=NARROW)
    keys = bram.page.keyboard
    bram.opens(is_asked(site, tmp_path))
    bram.enters(YES)
    reads(bram, "nl", "De zes cijfers in onze mail")
    assert stands(site) == (Status.UNKNOWN, False)
    bram.walks_to("#code")
    keys.type("000 000")
    for answer in (YES, NO):
        keys.press("Tab")
        assert bram.page.locator(answer).evaluate("e => e === document.activeElement")
    bram.enters(YES)
    assert "400" in bram.complaints.pop()  # the browser notes the status of an answer that says what is wrong
    reads(bram, "nl", "Nog niet gelukt.")
    bram.walks_to("#code")
    keys.type(code_of(Reader(site.house, BRAM)))
    bram.submits()
    reads(bram, "nl", "Bedankt, het is geregeld")
    site.house.clock.forward(minutes=1)
    assert stands(site) == (Status.GIVEN, True)
