"""The form on a page of another origin, in Chromium: plain, with the component, by keyboard and without scripts."""

import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Frame, Page
from werkzeug import Request, Response

from bridge import embedding
from bridge.web.browser import COOKIE
from scripts.chromium import MISSING, find
from tests.browser import DESKTOP, NARROW, PHONE, Hand, Site, look, overflow, serving, small_targets
from tests.checker import LANDMARKS, Checker
from tests.conftest import House, Reader
from tests.test_roads import proof

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find() is None, reason=MISSING)]


#: What the operator's page looks like by itself, and one whose own rules would spoil many a form.
OWN_STYLE = (
    "html {color-scheme: light dark} body {background: Canvas; color: CanvasText} :focus-visible {outline: 3px solid}"
)
UNRULY = OWN_STYLE + (
    "* {margin: 0; padding: 0} html {font-size: 62.5%} body {font: 1.8rem/1 serif} div, p {display: flex; color: gold}"
    "input {appearance: none; width: 10%; border: 0} label {color: gold; font-size: 3rem} fieldset {border: 9px solid}"
    "a {color: gold; text-decoration: none} button {width: 10px; color: gold} legend {border: 1px solid; color: gold}"
)


class Shop:
    """The operator's own site: another origin, with a policy of its own that lets in what README says."""

    def __init__(self, site: Site, port: int) -> None:
        self.site, self.port, self.body = site, port, ""
        self.rules = f"default-src 'none'; form-action {site.url}; script-src {site.url}; connect-src {site.url}; "
        self.styles = ""

    def shows(
        self,
        channel: str = "footer",
        *,
        component: bool = False,
        style: bool = False,
        old: str = "",
        own: str = OWN_STYLE,
    ) -> None:
        """Paste what the command prints; `old`: another wording in the place of the one in use."""
        its = self.site.house.bridge
        told = embedding.form(
            its.policy, its.notices, its.links, its.texts, channel=channel, language="nl", scripted=component
        )
        told = told.replace(its.notices.wording("newsletter", "nl").sha256, old) if old else told
        told = embedding.component(told, its.links, channel=channel, language="nl") if component else told
        told = f"{embedding.style(its.policy)}\n{told}" if style else told
        known = f"'sha256-{b64encode(sha256(own.encode()).digest()).decode()}'"
        self.styles = " ".join(["style-src", known, *re.findall("style-src ('sha256-[^']+')", told)])
        self.body = (
            "<!doctype html><html lang=nl><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>Onze winkel</title><style>{own}</style><h1>Winkel</h1>{told}"
        )

    def neighbour(self) -> str:
        """Its page, of another origin and the same host."""
        return f"http://127.0.0.1:{self.port}/"

    def stranger(self) -> str:
        """Its page, under a name that has nothing to do with ours."""
        return f"http://localhost:{self.port}/"

    def __call__(self, environ: Any, start: Any) -> Any:
        around = "<!doctype html><title>Around</title><iframe src=/></iframe>"
        body = {"/": self.body, "/around": around}.get(Request(environ).path, "")
        answer = Response(body, 200 if body else 204, mimetype="text/html")
        answer.headers["Content-Security-Policy"] = self.rules + self.styles
        return answer(environ, start)


@pytest.fixture
def make_shop(make_house: Callable[..., House], sqlite_url: str, policy_folder: Path) -> Iterator[Callable[..., Shop]]:
    """Our house and the operator's site, each on a port of its own; `{site}` in the policy's lines is that site."""
    with ExitStack() as open_:

        def build(lines: str = "") -> Shop:
            ports = []
            for _ in range(2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    ports.append(probe.getsockname()[1])
            file = policy_folder / "policy.toml"
            lines = lines.replace("{site}", f"http://localhost:{ports[1]}")
            file.write_text(f"{file.read_text(encoding='utf-8')}\n{lines}", encoding="utf-8")
            house = make_house(sqlite_url, BRIDGE_BASE_URL=f"http://127.0.0.1:{ports[0]}")
            built = Shop(Site(house, f"http://127.0.0.1:{ports[0]}"), ports[1])
            for app, port in ((house.app, ports[0]), (built, ports[1])):
                open_.enter_context(serving(app, port))
            return built

        yield build


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """The same, with the policy as it is."""
    return make_shop()


def test_without_a_script_and_by_keyboard(shop: Shop, browser: Browser) -> None:
    """Issue 8, point 6; CAP-01, A11Y-01: nothing is ticked, Tab reaches every part in order and never the trap, Enter
    sends it, and our page answers. Nothing was asked of anybody before."""
    shop.shows()
    an, hand = Reader(shop.site.house, "an@lezer.example"), Hand(browser)
    page = hand.opens(shop.neighbour())
    assert overflow(page) == 0
    assert page.locator("input:checked").count() == 0
    assert not page.locator("[name=homepage]").is_visible()
    assert {address for address in hand.asked if not address.startswith(shop.neighbour())} == set()
    hand.walks_to("[name=email]")
    page.keyboard.type(an.email)
    assert hand.walks_to("[value=newsletter][type=checkbox]").get_attribute("name") == "purpose"
    page.keyboard.press("Space")
    hand.enters("form button")
    assert page.url == f"{shop.site.url}/subscribe"
    assert page.get_by_role("heading", level=1).inner_text()
    shop.site.house.clock.forward(minutes=1)
    hand.opens(shop.site.mailed(an.email, "/confirm/"))
    hand.sends("main form button")
    assert (an.may().may, proof(an).road) == (True, "same_browser")
    assert hand.complaints == []


@pytest.mark.gallery
def test_a_checker_finds_nothing_in_the_form(shop: Shop, browser: Browser) -> None:
    """A11Y-01: on the operator's own page too, plain and as the component, in the page's light and dark colours: axe-core
    has no remark, nothing is scrolled sideways at 320 px, and each of its fields has a name."""
    for component in (False, True):
        shop.shows(component=component)
        page = browser.new_page(viewport=NARROW)
        page.goto(shop.neighbour())
        if component:
            page.locator("consent-bridge-form form").wait_for()
        assert (overflow(page), small_targets(page)) == (0, [])
        # The page's own rules let no other script in, so this one comes through the browser's tools.
        assert Checker(page).remarks(without=LANDMARKS) == []
        assert page.get_by_role("textbox", name="Je e-mailadres").count() == 1
        page.context.close()


@pytest.mark.gallery
def test_its_own_looks_are_good_on_any_page(shop: Shop, browser: Browser) -> None:
    """A11Y-01, WEB-02: with `--style`, on a page that lets in nothing but its hash, plain and as the component, by day and
    by night, narrow and wide: axe-core has no remark, nothing is scrolled sideways, and all is big enough for a thumb.
    A page with rules of its own that would spoil it changes none of that."""
    for component, wide, own in product((False, True), (NARROW, DESKTOP), (OWN_STYLE, UNRULY)):
        shop.shows(component=component, style=True, own=own)
        page = browser.new_page(viewport=wide)
        page.goto(shop.neighbour())
        if component:
            page.wait_for_load_state("networkidle")
        assert Checker(page).remarks(without=LANDMARKS) == []
        assert (overflow(page), small_targets(page)) == (0, [])
        for seen in ("[name=email]", ".consent-tick", "button"):
            assert look(page.locator(f".consent-form {seen}").first)["height"] >= 44
        assert not page.locator("[name=homepage]").is_visible(), "whatever a page does with each div"
        button, body = look(page.locator(".consent-form button")), look(page.locator("body"))
        family = "e => getComputedStyle(e).fontFamily"
        assert page.locator(".consent-form button").evaluate(family) == page.locator("body").evaluate(family)
        assert button["ground"] not in (body["ground"], "rgba(0, 0, 0, 0)")
        page.context.close()


def test_its_looks_follow_the_page_and_stay_with_the_component(shop: Shop, browser: Browser) -> None:
    """A page that is light whatever the reader's night is has a light form. From right to left the box is at the right. The
    component puts the form in its own place: nothing moves and no colour changes. Nothing else on the page changes."""
    light = OWN_STYLE.replace("color-scheme: light dark", "color-scheme: light")
    grounds = set()
    for own, night in product((OWN_STYLE, light), ("light", "dark")):
        shop.shows(style=True, own=own)
        page = browser.new_page(viewport=PHONE, color_scheme=night)
        page.goto(shop.neighbour())
        grounds.add((own == light, night, look(page.locator("form"))["ground"]))
        page.context.close()
    assert {ground for is_light, night, ground in grounds if is_light or night == "light"} == {"rgb(255, 255, 255)"}
    assert (False, "dark", "rgb(29, 32, 37)") in grounds

    seen = []
    for scripts in (False, True):
        shop.shows(component=True, style=True)
        context = browser.new_context(viewport=PHONE, java_script_enabled=scripts)
        page = context.new_page()
        page.goto(shop.neighbour(), wait_until="networkidle")
        seen.append(
            [look(page.locator(part).first) for part in ("h1", "form", "[name=email]", ".consent-tick", "button")]
        )
        context.close()
    assert seen[0] == seen[1]
    shop.shows()
    page = browser.new_page(viewport=PHONE)
    page.goto(shop.neighbour())
    assert look(page.locator("h1")) == seen[0][0]

    shop.shows(style=True)
    shop.body = shop.body.replace('dir="ltr"', 'dir="rtl"')
    page.goto(shop.neighbour())
    box, words = (page.locator(f".consent-tick {part}").first.bounding_box() for part in ("input", "label"))
    assert box is not None
    assert words is not None
    assert words["x"] + words["width"] <= box["x"]
    assert overflow(page) == 0
    page.context.close()


@pytest.mark.complaints("net::ERR_FAILED", "status of 400")
def test_the_component_keeps_the_words_at_todays(shop: Shop, browser: Browser) -> None:
    """CAP-07: an old copy is renewed before she reads it, but never under her hands; where it cannot be, the copy stays.
    Sent as it is, an old copy whose words nobody has is not taken: she sees our own form."""
    shop.shows(component=True, old="0" * 64)
    its = shop.site.house.bridge
    words = its.notices.wording("newsletter", "nl")
    page, complaints = opened(browser, shop.neighbour())
    page.locator(f"input[name=wording][value='{words.sha256}']").wait_for(state="attached")
    assert page.locator("consent-bridge-form form").count() == 1
    assert page.locator("input:checked").count() == 0
    seen = page.locator("#consent-footer-newsletter-notice").inner_text()
    assert seen.split() == words.text.split(), "the very words, in sight"
    signs_up(page, "an@lezer.example")
    assert page.url == f"{shop.site.url}/subscribe"
    her = Reader(shop.site.house, "an@lezer.example")
    shop.site.house.clock.forward(minutes=1)
    page.goto(shop.site.mailed(her.email, "/confirm/"))
    page.get_by_role("heading", name="Bedankt").wait_for()
    assert (her.may().may, proof(her).road) == (True, "same_browser")
    assert complaints == []

    waits: list[Any] = []
    page.route("**/embed/footer?language=nl", lambda route: waits.append(route))  # noqa: PLW0108  (it takes no builtin)
    with page.expect_request("**/embed/footer*"):
        page.goto(shop.neighbour())
    page.locator("[name=email]").fill("dirk@lezer.example")
    (late,) = waits
    with page.expect_event("requestfinished"):
        late.continue_()
    page.evaluate(f"() => fetch('{shop.site.url}/embed/footer?language=en').then(answer => answer.text())")
    assert page.locator("[name=email]").input_value() == "dirk@lezer.example"
    page.unroute("**/embed/footer?language=nl")
    page.route("**/embed/footer*", lambda route: route.abort())
    page.goto(shop.neighbour())
    signs_up(page, "dirk@lezer.example")
    assert page.get_by_role("alert").is_visible()
    assert page.locator("#email").input_value() == "dirk@lezer.example"
    assert shop.site.house.mailbox.to("dirk@lezer.example") == []


@pytest.mark.complaints("blocked by CORS policy", "status of 400", "net::ERR_FAILED")
def test_a_strangers_page_gets_no_yes_by_itself(shop: Shop, browser: Browser) -> None:
    """CON-05, CAP-09: from another domain no cookie is set or sent, so a page that sends her address behind her back
    leaves a button between her and a yes; and no script of it can read what we answer."""
    shop.shows()
    page, _ = opened(browser, shop.stranger())
    an = Reader(shop.site.house, "an@lezer.example")
    form = "new URLSearchParams([...new FormData(document.querySelector('form'))])"
    for mode, seen in (("cors", "refused"), ("no-cors", "opaque")):
        send = f"() => fetch('{shop.site.url}/subscribe', {{method: 'POST', mode: '{mode}', body: {form}}})"
        assert page.evaluate(f"{send}.then(answer => answer.type, () => 'refused')") == seen
    signs_up(page, an.email)
    assert page.url == f"{shop.site.url}/subscribe"
    assert page.context.cookies() == []
    shop.site.house.clock.forward(minutes=1)
    page.goto(shop.site.mailed(an.email, "/confirm/"))
    assert page.locator("script").count() == 0
    assert not an.may().may
    page.locator("main form button").click()
    page.get_by_role("heading", name="Bedankt").wait_for()
    assert (an.may().may, proof(an).road) == (True, "button")


@pytest.mark.complaints("frame-ancestors")
def test_a_site_of_another_domain_that_the_policy_names(make_shop: Callable[..., Shop], browser: Browser) -> None:
    """CON-05: two sites as a browser sees it, the operator's named in the policy: the cookie of the answer is kept, and the
    link confirms by itself. From a frame of that same page none is given, nor to one that hides where it is."""
    shop = make_shop('[sign_up]\nown_sites = ["{site}"]')
    shop.shows(style=True)
    page, complaints = opened(browser, shop.stranger())
    an = Reader(shop.site.house, "an@lezer.example")
    signs_up(page, an.email)
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"], cookie["secure"]) == (COOKIE, "Lax", True, True)
    shop.site.house.clock.forward(minutes=1)
    page.goto(shop.site.mailed(an.email, "/confirm/"))
    page.get_by_role("heading", name="Bedankt").wait_for()
    assert (an.may().may, proof(an).road) == (True, "same_browser")
    assert complaints == []

    for spoils in ("referrer", "frame"):
        page.context.clear_cookies()
        dirk = Reader(shop.site.house, f"{spoils}@lezer.example")
        shop.shows()
        inside: Page | Frame = page
        if spoils == "referrer":
            shop.body = shop.body.replace("<title>", "<meta name=referrer content=no-referrer><title>")
            page.goto(shop.stranger())
            signs_up(page, dirk.email)
        else:
            shop.rules += "frame-src *; "
            page.goto(shop.stranger() + "around")
            inside = page.frames[1]
            inside.locator("[name=email]").fill(dirk.email)
            inside.locator("[value=newsletter][type=checkbox]").check()
            with page.expect_request("**/subscribe") as sent:
                inside.locator("form button").click()
            assert sent.value.all_headers()["origin"] == shop.stranger()[:-1]
            answer = sent.value.response()
            assert answer is not None
            assert "set-cookie" not in answer.all_headers()
        assert page.context.cookies() == []
        assert shop.site.mailed(dirk.email, "/confirm/")


WORKS = "[sign_up]\nproof_of_work = true\nper_network_hour = 8"


def test_the_component_counts_before_it_sends(make_shop: Callable[..., Shop], browser: Browser) -> None:
    """CAP-10: nothing is asked for before somebody begins, and nothing of hers before she sends; then a task of ours is
    solved in her browser, the form says that it waits, and however often she presses it is sent once."""
    shop = make_shop(WORKS)
    shop.shows(component=True, style=True)
    page, complaints = opened(browser, shop.stranger())
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108  (it takes no builtin)
    page.goto(shop.stranger(), wait_until="networkidle")
    assert {urlsplit(each.url).path for each in asked} == {"/", "/embed.js", "/embed/footer"}
    held: list[Any] = []
    page.route("**/sign-up.js", lambda route: held.append(route))  # noqa: PLW0108  (it takes no builtin)
    with page.expect_request("**/sign-up.js"):
        page.locator("[name=email]").fill("an@lezer.example")
    page.locator("[value=newsletter][type=checkbox]").check()
    for each in asked:
        assert (each.method, each.post_data) == ("GET", None)
        told = each.all_headers()
        assert "cookie" not in told
        assert told.get("referer") in (None, "", *([shop.stranger()] if each.url.endswith(".js") else []))
        assert "lezer" not in each.url
    button, status = page.locator("form button"), page.get_by_role("status")
    assert status.inner_text() == ""
    for _ in range(3):
        button.click(force=True)  # a hand knows nothing of aria-disabled
    page.locator("[name=email]").press("Enter")
    assert status.inner_text() == "Een ogenblik: dit formulier wordt verstuurd."
    assert status.is_visible()
    assert button.get_attribute("aria-disabled") == "true"
    assert Checker(page).remarks(without=LANDMARKS) == []
    assert [each.method for each in asked if each.method != "GET"] == []
    posts: list[Any] = []
    button.scroll_into_view_if_needed()
    place = button.bounding_box()
    assert place is not None
    page.route("**/subscribe", lambda route: posts.append(route))  # noqa: PLW0108  (it takes no builtin)
    with page.expect_request("**/subscribe"):
        held[0].continue_()
    page.mouse.click(place["x"] + 9, place["y"] + 9)  # it is on its way, and has no answer yet
    posts[0].fulfill(status=204)
    page.wait_for_function("() => document.activeElement.matches('.consent-form button')")
    (sent,) = [each for each in asked if each.method == "POST"]
    (work,) = parse_qs(sent.post_data)["work"]
    assert shop.site.house.bridge.links.is_worked(work, shop.site.house.clock())

    # She comes back to the page as it was: it can be sent anew, with a task of its own.
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert (status.inner_text(), button.get_attribute("aria-disabled")) == ("", None)
    page.unroute("**/subscribe")
    page.unroute("**/sign-up.js")
    with page.expect_navigation(url=re.compile("/subscribe$"), wait_until="load"):
        button.click()
    (_, again) = [each for each in asked if each.method == "POST"]
    (other,) = parse_qs(again.post_data)["work"]
    assert other != work
    assert shop.site.house.bridge.links.is_worked(other, shop.site.house.clock())
    assert shop.site.mailed("an@lezer.example", "/confirm/")
    assert complaints == []


@pytest.mark.complaints("Content Security Policy", "net::ERR_FAILED", "status of 404")
def test_the_form_works_where_nothing_can_be_counted(make_shop: Callable[..., Shop], browser: Browser) -> None:
    """CAP-10: whatever fails, the form is sent all the same, without: a site that lets no script in, none that fetches, no
    answer, no counting script, a browser that cannot, one that never ends."""
    shop = make_shop(WORKS.replace("8", "100"))
    shop.shows(component=True)
    own = shop.rules
    without_script = own.replace(f"script-src {shop.site.url}; ", "")
    without_fetch = own.replace(f"connect-src {shop.site.url}; ", "")
    away: dict[str, str] = {"task": "**/embed/footer/task", "count": "**/sign-up.js"}
    for number, what in enumerate(("no script", "no fetch", "task", "count", "a page for it", "no crypto", "never")):
        shop.rules = {"no script": without_script, "no fetch": without_fetch}.get(what, own)
        page, _ = opened(browser, "about:blank")
        if what in away:
            page.route(away[what], lambda route: route.abort())
        elif what == "a page for it":
            page.route(away["task"], lambda route: route.fulfill(status=404, body="<p>Not here"))
        elif what == "no crypto":
            page.add_init_script("Object.defineProperty(crypto, 'subtle', {value: undefined})")
        elif what == "never":
            page.route(away["task"], lambda route: None)
            page.clock.install()
        page.goto(shop.stranger(), wait_until="load" if what == "never" else "networkidle")
        who = f"a{number}@lezer.example"
        page.locator("[name=email]").fill(who)
        page.locator("[value=newsletter][type=checkbox]").check()
        with page.expect_request("**/subscribe") as sent, page.expect_navigation(url=re.compile("/subscribe$")):
            page.locator("form button").click()
            if what == "never":
                page.clock.fast_forward(10_000)
        assert parse_qs(sent.value.post_data or "", keep_blank_values=True)["work"] == [""], what
        assert shop.site.mailed(who, "/confirm/")
        page.context.close()


def opened(browser: Browser, url: str) -> tuple[Page, list[str]]:
    """A page in a browser with scripts, and what the browser complains of."""
    page = browser.new_context(viewport=PHONE, locale="nl-BE").new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    return page, complaints


def signs_up(page: Page, email: str) -> None:
    """Fill in the form on the operator's page and send it."""
    page.locator("[name=email]").fill(email)
    page.locator("[value=newsletter][type=checkbox]").check()
    with page.expect_navigation(url=re.compile("/subscribe$"), wait_until="load"):
        page.locator("form button").click()
