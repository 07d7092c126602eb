"""A page of the operator's own site that asks for a yes: no box may be ticked, and the words must be those on file.

A yes is proven by the words that were shown (CAP-01, CAP-07); what a page really shows is known only by looking.
"""

from collections.abc import Iterator
from html.parser import HTMLParser

import msgspec

from bridge.bootstrap import Bridge
from bridge.notices import Wording, file_name
from bridge.vocabulary import Finding

_VOID_TEXT = frozenset({"script", "style", "template", "noscript", "head"})
#: Between these and the words around them there is no blank.
_INLINE = frozenset(
    {
        "a",
        "abbr",
        "b",
        "bdi",
        "code",
        "em",
        "font",
        "i",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
        "wbr",
    }
)
_BOXES = frozenset({"checkbox", "radio"})


class Box(msgspec.Struct):
    """One box, switch or hidden choice on the page."""

    kind: str
    name: str
    value: str
    ticked: bool
    id: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.label[:60] or self.value or self.name or self.id or "without a name"


class Page(HTMLParser):
    """What a reader sees of a page: its words, its boxes with their labels, its language. Scripts are not run."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.language = ""
        self.boxes: list[Box] = []
        self._words: list[str] = []
        self._hidden = 0
        self._labels: list[tuple[str, list[str], int]] = []  # for, words, boxes before it
        self._by_id: dict[str, str] = {}
        self.feed(html)
        self.close()
        while self._labels:
            self._end_label()
        for box in self.boxes:
            box.label = box.label or self._by_id.get(box.id, "")

    @property
    def text(self) -> str:
        """All visible words, with single blanks."""
        return plain("".join(self._words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Boxes, labels, and what is not shown."""
        told = {name: value or "" for name, value in attrs}
        self._blank(tag)
        if tag == "html":
            self.language = told.get("lang", "")
        elif tag in _VOID_TEXT:
            self._hidden += 1
        elif tag == "label":
            self._labels.append((told.get("for", ""), [], len(self.boxes)))
        kind = told.get("type", "text").lower() if tag == "input" else ""
        switch = told.get("role") in ("checkbox", "switch")
        if kind in _BOXES or kind == "hidden" or switch:
            ticked = "checked" in told or told.get("aria-checked") == "true"
            self.boxes.append(
                Box(kind or "switch", told.get("name", ""), told.get("value", ""), ticked, told.get("id", ""))
            )

    def handle_endtag(self, tag: str) -> None:
        """Labels end; what was not shown is over."""
        self._blank(tag)
        if tag in _VOID_TEXT:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "label" and self._labels:
            self._end_label()

    def handle_data(self, data: str) -> None:
        """Words."""
        if self._hidden:
            return
        self._words.append(data)
        for _, words, _ in self._labels:
            words.append(data)

    def _blank(self, tag: str) -> None:
        if tag not in _INLINE:
            self.handle_data(" ")

    def _end_label(self) -> None:
        named, words, before = self._labels.pop()
        text = plain("".join(words))
        if named:
            self._by_id[named] = text
            return
        for box in self.boxes[before:]:
            box.label = box.label or text


def plain(text: str) -> str:
    """Words with single blanks between them, as a reader reads them; a soft hyphen is none."""
    return " ".join(text.replace("\u00ad", "").split())


def look(bridge: Bridge, html: str) -> Iterator[Finding]:
    """Ticked boxes, choices made in hiding, and the words beside each box."""
    page = Page(html)
    shown = [box for box in page.boxes if box.kind != "hidden"]
    if not shown:
        fix = "it has no box at all: a yes needs a box of its own that the reader ticks (CAP-01)"
        yield Finding("page: boxes", False, fix)
    ticked = [box for box in shown if box.ticked and (box.kind != "radio" or _purposes_of(bridge, box))]
    for box in ticked:
        fix = "it is ticked before the reader came: take `checked` out; a yes by leaving it alone is none (CAP-01)"
        yield Finding(f"page: box “{box.title}”", False, fix)
    for box in page.boxes:
        if box.kind == "hidden" and box.name == "purpose":
            fix = f"{box.value or 'a purpose'} is chosen by a hidden field: give it a box of its own (CAP-01)"
            yield Finding("page: hidden choice", False, fix)
    if shown and not ticked:
        yield Finding("page: no box is ticked", True)
    language = _language(bridge, page)
    about = {purpose for box in shown for purpose in _purposes_of(bridge, box)}
    asked = [purpose for purpose in bridge.policy.purposes if purpose in about]
    if not asked:
        fix = "no box is about a purpose of the policy: give it the purpose's id as value, or its label word for word"
        yield Finding("page: wording", False, fix)
    for purpose in asked:
        yield _words(page, bridge.notices.wording(purpose, language), shown)


def _language(bridge: Bridge, page: Page) -> str:
    languages = bridge.policy.languages
    short = page.language.split("-")[0].lower()
    return next((one for one in languages if one.split("-")[0].lower() == short), languages[0])


def _purposes_of(bridge: Bridge, box: Box) -> list[str]:
    """What a box is about: by its value or name, or because its label is that of a purpose in some language."""
    found = []
    for purpose in bridge.policy.purposes.values():
        labels = {plain(label) for label in purpose.label.values()}
        if purpose.id in (box.value, box.name) or any(box.label.startswith(label) for label in labels):
            found.append(purpose.id)
    return found


def _words(page: Page, wording: Wording, shown: list[Box]) -> Finding:
    subject = f"page: wording of {wording.purpose} ({wording.language})"
    file = file_name(wording.purpose, wording.version, wording.language)
    label, text = plain(wording.label), plain(wording.text)
    if not any(label in box.label for box in shown) and label not in page.text:
        return Finding(subject, False, f"the label is not the policy's: put “{wording.label}” beside the box (CAP-07)")
    if text not in page.text:
        fix = f"the text is not that of {file}: show it word for word, or give the wording a new version (CAP-07)"
        return Finding(subject, False, fix)
    return Finding(subject, True)
