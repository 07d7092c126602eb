"""Every page and mail for every eye, ear and hand: A11Y-01, A11Y-02 (WCAG 2.2 AA, EN 301 549), in a real browser.

`tests/gallery.py` holds what is looked at; `bridge/accessibility.py` what readers are told of it. Each claim there has its
proof here or in a test that `PROOFS` names.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from bridge.accessibility import CLAIMS, LIMITS
from bridge.texts import NAMES, TEMPLATES, shipped
from scripts.chromium import MISSING, find
from scripts.translations import ALIKE
from tests import test_browser, test_embed_browser, test_four_languages, test_templates
from tests.browser import DESKTOP, NARROW, PHONE, overflow, small_targets
from tests.checker import LANDMARKS, Checker
from tests.conftest import House
from tests.gallery import ANSWERS, COVERS, LANGUAGES, NO_PAGES, ROUTES, Sheet, covers, mails, pages
from tests.test_templates import COMMON, MAILS, PAGES

FIRST = LANGUAGES[0]

#: The most room that a reader may ask for between letters, words and lines (WCAG 1.4.12).
_SPACED = """document.head.insertAdjacentHTML("beforeend", "<style>* { line-height: 1.5 !important; \
letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }</style>")"""

#: Puts a page in the place of the one that is shown, its stylesheet in it; the checker stays.
_SHOWS = """html => { const page = new DOMParser().parseFromString(html, "text/html");
  const link = page.querySelector("link[rel=stylesheet]"), style = page.createElement("style");
  if (link) { style.textContent = STYLE; link.replaceWith(style); }
  document.replaceChild(document.adoptNode(page.documentElement), document.documentElement); scrollTo(0, 0); }"""

#: All that can be acted on; a field that no person is shown or told of is none.
_CONTROLS = "a[href], button, select, textarea, summary, input:not([type=hidden], [tabindex='-1'])"
#: What a screen reader can act on.
CONTROLS = {"button", "link", "textbox", "checkbox", "radio", "combobox", "listbox", "DisclosureTriangle", "Date"}
#: And what else it reads out by its name.
SPEAKING = CONTROLS | {"heading", "navigation", "region", "group", "radiogroup", "image"}
#: What the browser itself says in a field for a date, in its own language (`LIMITS` says so).
DATE_PICKER = "Show date picker Show date picker"
#: Parts of a page in a language of their own, with their words; and names of languages that do not say which they are in.
_SWITCHED = """names => { const of = Object.fromEntries(Object.entries(names).map(([code, name]) => [name, code]));
  const words = e => e.textContent.trim(), all = [...document.querySelectorAll("body *")];
  return [...all.filter(e => e.lang && !e.classList.contains("sheet")),
    ...all.filter(e => !e.children.length && of[words(e)] && e.closest("[lang]").lang !== of[words(e)])]
    .map(e => [e.tagName, e.closest("[lang]").lang, words(e)]); }"""


class Told(NamedTuple):
    """One thing as it is read out."""

    role: str
    name: str
    description: str


#: What it says at the chief pages, word by word.
SPOKEN = {
    ("subscribe", 0): [
        ("textbox", "Your e-mail address"),
        ("checkbox", test_templates.LABEL),
        ("link", "How we handle your data"),
        ("textbox", "First name (if you like)"),
        ("combobox", "Region (if you like)"),
        ("button", "Subscribe"),
        ("link", "Nederlands"),
    ],
    ("confirm", 0): [("button", "Yes, I confirm")],
    ("unsubscribe", 0): [("button", "Stop “Monthly news”"), ("button", "Stop everything")],
    ("preferences", 0): [("button", "Stop everything"), ("button", "Save my choices"), ("button", "Pause")],
    ("erase", 0): [("button", "Erase everything for good"), ("link", "Back, erase nothing")],
    ("question", 0): [("button", "Yes, I want to receive this"), ("button", "No, remove me")],
}


def looked_at(test: Any) -> Any:
    """A test that looks at pages one by one."""
    return pytest.mark.skipif(find() is None, reason=MISSING)(pytest.mark.browser(pytest.mark.gallery(test)))


@pytest.fixture(scope="module")
def eye(browser: Browser, gallery: str) -> Page:
    """One window for this file. What is shown in it comes and goes; the checker stays."""
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{gallery}/page/{FIRST}/link/0")
    page.evaluate("style => { window.STYLE = style; }", page.request.get(f"{gallery}/style.css").text())
    return page


@pytest.fixture(scope="module")
def checker(eye: Page) -> Checker:
    """What runs over all that this window shows."""
    return Checker(eye)


def shows(eye: Page, sheet: Sheet, *, width: dict[str, int] = PHONE, scheme: str = "light") -> None:
    """Show one page or mail in a window of this size and light: the same as if it was opened, without a wait."""
    if eye.viewport_size != width:
        eye.set_viewport_size(width)
    eye.emulate_media(color_scheme=scheme)
    eye.evaluate(_SHOWS, sheet.html)


def faults(sheets: Iterator[Sheet], look: Callable[[Sheet], object]) -> dict[str, object]:
    """What was found, by the name of the page."""
    found = {sheet.title: look(sheet) for sheet in sheets}
    assert found
    return {title: fault for title, fault in found.items() if fault}


# -- the gallery is whole ----------------------------------------------------------------------------------------


def test_every_address_and_page_hangs_in_the_gallery(home: House) -> None:
    """Nobody adds a page that these tests do not look at (that each has its states: `test_every_page_has_samples`)."""
    there = {rule.rule for rule in home.app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    others = {address for address in there if address.startswith(("/webhooks/", "/receipt/"))}
    assert there - others == set(ROUTES) | NO_PAGES
    assert set.union(*ROUTES.values()) | ANSWERS == set(PAGES)


def test_every_template_is_looked_at() -> None:
    """Whatever HTML of ours reaches anybody goes past the checker in a test: a new one has to be named here or hang in
    the gallery; parts of others are in those that include them.
    """
    known = {f"pages/{name}.html" for name in PAGES} | {f"email/{name}/body.html" for name in MAILS}
    known |= {*ELSEWHERE}
    found = {path.relative_to(TEMPLATES).as_posix(): path.read_text("utf-8") for path in TEMPLATES.rglob("*.html")}
    parts = {
        part for text in found.values() for part in re.findall(r'(?:extends|include|from|import) "([^"]+\.html)"', text)
    }
    assert set(found) - parts == known
    assert parts <= set(found)


def test_the_statement_claims_what_is_proven(home: House) -> None:
    """Each sentence of the accessibility statement has its test; it names standards, limits and whom to tell."""
    assert set(PROOFS) == set(CLAIMS)
    shown = home.client.get("/accessibility?language=en").get_data(as_text=True)
    contact = home.bridge.policy.contact
    wanted = ("WCAG 2.2, level AA", "EN 301 549", contact.email, *LIMITS, *CLAIMS.values())
    assert [words for words in wanted if words not in unescape(shown)] == []
    assert 'href="/accessibility"' in home.client.get("/subscribe").get_data(as_text=True)


# -- a checker, eyes, hands and ears -----------------------------------------------------------------------------


@looked_at
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_checker_finds_nothing(language: str, eye: Page, checker: Checker) -> None:
    """A11Y-01, CAP-08: axe-core has no remark on any page, in any state and language, by day or by night; nor is a text
    too pale, nor in longer words anything too wide or too small to hit."""

    def look(sheet: Sheet) -> list[object]:
        shows(eye, sheet, width=NARROW)
        wide = overflow(eye)
        return [*small_targets(eye), *([wide] if wide else []), *checker.remarks()]

    assert faults(pages(language), look) == {}


@looked_at
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_checker_finds_nothing_in_mails(language: str, eye: Page, checker: Checker) -> None:
    """A11Y-02: nor on any mail, in any language, by day or by night, nor is one wider than a narrow window; nor on the
    mail in which a department gets its report."""

    def look(sheet: Sheet) -> list[object]:
        shows(eye, sheet, width=NARROW)
        return [*([overflow(eye)] if overflow(eye) else []), *checker.remarks(without=LANDMARKS)]

    assert faults(iter([*mails(language), *covers(language)]), look) == {}


@looked_at
def test_narrow_windows_and_wide_letters(eye: Page) -> None:
    """A11Y-01: nothing is scrolled sideways at 320 px (1.4.10), nor with the most room between letters (1.4.12)."""

    def look(sheet: Sheet) -> list[object]:
        shows(eye, sheet, width=NARROW)
        found: list[object] = [*small_targets(eye)]
        narrow = overflow(eye)
        eye.evaluate(_SPACED)
        spaced = overflow(eye)
        return [*found, (narrow, spaced)] if narrow or spaced else found

    assert faults(pages(FIRST), look) == {}


#: Buttons that answer one question: those of another size, and those that touch what stands above; a choice that is cut off.
_UNEQUAL = """() => { const faults = [], box = e => e.getBoundingClientRect();
  for (const choices of document.querySelectorAll(".choices")) {
    const buttons = [...choices.querySelectorAll(".button")], sizes = buttons.map(e => box(e).width + "x" + box(e).height);
    if (buttons.length > 1 && new Set(sizes).size > 1) faults.push("not alike: " + sizes);
    if (buttons.some(e => box(e).height > 160)) faults.push("a button as high as a page");
    const above = [...document.querySelectorAll("input, select")].filter(e => e.getClientRects().length);
    if (buttons.some(b => above.some(e => box(b).top < box(e).bottom + 8 && box(b).bottom > box(e).top))) faults.push("touches a field"); }
  const ruler = document.createElement("canvas").getContext("2d");
  for (const select of document.querySelectorAll("select")) {
    const s = getComputedStyle(select); ruler.font = s.font;
    const room = select.clientWidth - parseFloat(s.paddingLeft) - parseFloat(s.paddingRight);
    for (const option of select.options) if (ruler.measureText(option.text).width > room) faults.push("cut off: " + option.text); }
  return faults; }"""


@looked_at
@pytest.mark.parametrize("language", LANGUAGES)
def test_both_answers_look_alike_and_no_choice_is_cut_off(language: str, eye: Page) -> None:
    """CON-03, A11Y-01 (1.4.10): yes is no larger than no, digits to be typed or not; each choice of a list fits its field."""

    def look(width: dict[str, int]) -> Callable[[Sheet], object]:
        def look_(sheet: Sheet) -> object:
            shows(eye, sheet, width=width)
            return eye.evaluate(_UNEQUAL)

        return look_

    asking = [sheet for sheet in pages(language) if sheet.name in ("question", "guardian", "unsubscribe", "request")]
    assert faults(iter(asking), look(NARROW)) == {}
    assert faults(iter(asking), look(DESKTOP)) == {}


class Ears:
    """What a screen reader is told of a page: Chromium's accessibility tree."""

    def __init__(self, eye: Page) -> None:
        self.eye, self._line = eye, eye.context.new_cdp_session(eye)

    def hear(self, sheet: Sheet, roles: Collection[str]) -> list[Told]:
        """All of these roles on a page or mail, in its order."""
        shows(self.eye, sheet)
        return [
            Told(role, *(" ".join(node.get(part, {}).get("value", "").split()) for part in ("name", "description")))
            for node in self._line.send("Accessibility.getFullAXTree")["nodes"]
            if not node.get("ignored") and (role := node.get("role", {}).get("value")) in roles
        ]


@pytest.fixture(scope="module")
def ears(eye: Page) -> Ears:
    """They listen to that one window."""
    return Ears(eye)


@pytest.fixture(scope="module")
def english(ears: Ears) -> dict[tuple[str, str, int], list[Told]]:
    """What is said at each page and mail in English."""
    return {(s.kind, s.name, s.number): ears.hear(s, SPEAKING) for s in (*pages(FIRST), *mails(FIRST), *covers(FIRST))}


@looked_at
def test_every_control_has_a_name_and_a_role(ears: Ears) -> None:
    """A11Y-01 (4.1.2, 2.5.3): as a screen reader is told them: a name each, no two links of one name to two places."""
    heard: dict[tuple[str, int], list[tuple[str, str]]] = {}

    def look(sheet: Sheet) -> list[object]:
        told = [(each.role, each.name) for each in ears.hear(sheet, CONTROLS)]
        heard[sheet.name, sheet.number] = told
        stops = ears.eye.evaluate(
            f"() => [...document.querySelectorAll(`{_CONTROLS}`)].filter(e => e.getClientRects().length).length"
        )
        assert len(told) >= stops, "a control has a role of its own that this test does not know"
        return [role for role, name in told if len(name) < 2 and name != "?"]  # a sample's own label

    assert faults(pages(FIRST), look) == {}
    for page, wanted in SPOKEN.items():
        assert [each for each in wanted if each not in heard[page]] == [], page


@looked_at
@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_each_name_is_in_the_language_of_its_page(
    language: str, ears: Ears, english: dict[tuple[str, str, int], list[Told]]
) -> None:
    """A11Y-01 (3.1.1, 3.1.2, 4.1.2): the same controls, landmarks and heads in the same order as in English, each with a
    name, and that in this language; what is in another one says so itself.
    """
    foreign = {words for other in LANGUAGES if other != language for words in spoken_only(other, language)}

    def listen(sheet: Sheet) -> list[object]:
        told, there = ears.hear(sheet, SPEAKING), english[sheet.kind, sheet.name, sheet.number]
        assert [each.role for each in told] == [each.role for each in there]
        own = written(sheet)  # the operator's words and the reader's, as our samples have them: English in any language
        alike = [
            each
            for each, in_english in zip(told, there, strict=True)
            if (each.name == in_english.name and each.name not in own) or not (each.name or each.role == "group")
        ]
        said = [without(part, own) for each in told for part in (each.name, each.description)]
        strange = [words for words in said if any(sentence in words for sentence in foreign)]
        switched = [
            (code, words)
            for tag, code, words in ears.eye.evaluate(_SWITCHED, NAMES)
            if words != NAMES[code] and (tag, sheet.name) not in {("SECTION", "notice"), ("DIV", "my_data")}
        ]
        spoken = ears.eye.locator("html").get_attribute("lang")
        return [*alike, *strange, *switched, *([] if spoken == language else [spoken])]

    assert faults(iter([*pages(language), *mails(language), *covers(language)]), listen) == {}


def spoken_only(other: str, language: str) -> Iterator[str]:
    """Sentences of another language that are none of this one, long enough to be nothing else."""
    theirs, ours = shipped(other), shipped(language)
    for one, said in theirs.items():
        words, here = one if other == FIRST else said, ours[one]
        if (
            isinstance(words, str)
            and isinstance(here, str)
            and "%" not in words
            and len(words) > 7
            and words not in here
        ):
            yield words


def written(sheet: Sheet) -> set[str]:
    """All that a page or mail shows and does not say itself: names of topics, of people, of languages."""
    states = {"mail": MAILS, "page": PAGES, "cover": {"report": COVERS}}[sheet.kind]
    shown: list[object] = [states[sheet.name][sheet.number], COMMON]
    found = {*NAMES.values(), *ALIKE, DATE_PICKER}
    while shown:
        each = shown.pop()
        if isinstance(each, str):
            found.add(" ".join(each.split()))
        elif isinstance(each, Mapping):
            shown += each.values()
        elif isinstance(each, Iterable):
            shown += each
        elif is_dataclass(each) and not isinstance(each, type):
            shown += vars(each).values()
    return found


def without(words: str, own: Iterable[str]) -> str:
    """What we say, where it stands around somebody else's words."""
    for each in sorted(own, key=len, reverse=True):
        words = words.replace(each, "") if len(each) > 3 else words
    return words


@looked_at
def test_the_keyboard_comes_everywhere(eye: Page) -> None:
    """A11Y-01 (2.1.1, 2.1.2, 2.4.3, 2.4.7, 2.4.11): Tab goes to each control once, in order, and shows where it is."""
    seen = set[str]()

    def look(sheet: Sheet) -> list[object]:
        shows(eye, sheet, width=NARROW)
        controls = eye.evaluate(_STOPS)
        if str(controls) in seen:
            return []
        seen.add(str(controls))
        for _ in controls:
            eye.keyboard.press("Tab")
        return list(eye.evaluate("() => left() ? [...faults, left() + ' never reached'] : faults"))

    assert faults(pages(FIRST), look) == {}


#: Marks each stop of Tab in order; radio buttons of one name are one. A field for a date has stops of its own inside.
_STOPS = """() => { const groups = new Set();
  const stops = [...document.querySelectorAll("CONTROLS")]
    .filter(e => e.getClientRects().length && e.tabIndex >= 0 && (e.type !== "radio" || e.checked ||
      !(document.querySelector(`[name="${e.name}"]:checked`) || groups.has(e.name)) && groups.add(e.name)));
  let number = 0;
  window.faults = [];
  const where = e => { const s = getComputedStyle(e), b = e.getBoundingClientRect();
    const what = e.outerHTML.slice(0, 80);
    if (stops.some(x => x.type === "date")) { if (!stops.includes(e)) return "astray: " + what; }
    else if (e !== stops[number++]) return "out of order: " + what;
    if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) return "no ring: " + what;
    if (b.bottom <= 0 || b.top >= innerHeight) return "out of sight: " + what;
    return null; };
  document.removeEventListener("focusin", window.ear);
  window.ear = ({target}) => { const told = where(target); if (told) faults.push(told); };
  document.addEventListener("focusin", ear);
  window.left = () => stops.some(x => x.type === "date") ? 0 : stops.length - number;
  return stops.map(e => e.tagName + (e.type || "") + (e.name || "")); }""".replace("CONTROLS", _CONTROLS)


@looked_at
def test_colours_of_her_own_and_paper(eye: Page) -> None:
    """With a high-contrast theme buttons keep an edge and focus a ring; on paper nothing is shown that is to be pressed."""
    shows(eye, Sheet("page", "unsubscribe", 0, FIRST))
    eye.emulate_media(forced_colors="active")
    button = eye.locator("main .button").first
    button.focus()
    edges = button.evaluate("e => [getComputedStyle(e).borderTopWidth, getComputedStyle(e).borderTopStyle]")
    assert edges == ["2px", "solid"]
    assert eye.evaluate("() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    eye.emulate_media(forced_colors="none", media="print")
    assert not button.is_visible()
    assert eye.locator("h1").is_visible()
    assert eye.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    eye.emulate_media(media="print", color_scheme="dark")
    black = eye.evaluate("() => getComputedStyle(document.querySelector('footer .links a')).color")
    assert black == "rgb(0, 0, 0)", "the house's colour by night is too pale for paper"
    eye.emulate_media(media="screen", color_scheme="light")
    shows(eye, Sheet("page", "guardian", 0, FIRST))
    arrows = "() => { const s = getComputedStyle(document.querySelector('select')); return [s.appearance, s.backgroundImage]; }"
    assert eye.evaluate(arrows)[0] == "none"
    eye.emulate_media(forced_colors="active")
    assert eye.evaluate(arrows) == ["auto", "none"], "a list to choose from has lost its arrow"
    eye.emulate_media(forced_colors="none")


def test_nothing_moves() -> None:
    """A11Y-01 (2.2.2, 2.3.3): the stylesheet holds no animation or transition, so none has to be switched off."""
    css = (TEMPLATES / "static" / "style.css").read_text("utf-8")
    assert not re.search(r"\b(animation|transition|scroll-behavior|@keyframes)\b", css)
    pages_ = "".join(path.read_text("utf-8") for path in sorted(TEMPLATES.glob("**/*.html")))
    assert not re.search(r"<(marquee|blink|video|audio)\b|http-equiv", pages_)


def test_the_checker_is_locked() -> None:
    """The tests' checker is one version, by its hash; it is no part of what is shipped (MPL-2.0)."""
    house = Path(__file__).resolve().parent.parent
    lock = json.loads((house / "package-lock.json").read_text("utf-8"))["packages"]
    assert lock[""]["devDependencies"]["axe-core"] == lock["node_modules/axe-core"]["version"]
    assert lock["node_modules/axe-core"]["integrity"].startswith("sha512-")


#: What is no page and no mail to readers, and the test that has the checker look at it.
ELSEWHERE: dict[str, Callable[..., object]] = {
    **dict.fromkeys(
        (
            *("evidence.html", "report/audit.html", "report/breach_authority.html", "report/breach_people.html"),
            *("report/channels.html", "report/department.html", "report/marketing.html", "report/processing.html"),
            *("report/processors.html", "report/staff.html"),
        ),
        test_four_languages.test_no_paper_hinders_anybody,
    ),
    "embed/form.html": test_embed_browser.test_a_checker_finds_nothing_in_the_form,
    "staff/report.html": test_a_checker_finds_nothing_in_mails,
}
#: By which test each claim of the statement is proven.
PROOFS: dict[str, Callable[..., object]] = {
    "checker": test_a_checker_finds_nothing,
    "contrast": test_templates.TestColours.test_any_accent_can_be_read,
    "keyboard": test_the_keyboard_comes_everywhere,
    "reflow": test_narrow_windows_and_wide_letters,
    "names": test_each_name_is_in_the_language_of_its_page,
    "targets": test_browser.test_every_page_fits_a_narrow_window,
    "calm": test_nothing_moves,
    "mails": test_a_checker_finds_nothing_in_mails,
}
