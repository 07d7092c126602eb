"""What may be said of who can use our pages: each claim has a test that proves it (WCAG 2.2 AA, EN 301 549).

Directive (EU) 2019/882, annex V wants such words from whoever sells a service to consumers.
"""

from collections.abc import Mapping
from datetime import date

from bridge.texts import mark

#: The standards that pages and mails are made for, as they call themselves.
STANDARDS = (mark("WCAG 2.2, level AA"), "EN 301 549 V3.2.1")

#: The day on which somebody last went through all pages and this list.
REVIEWED = date(2026, 12, 1)

#: What is tested before each version, by the name under which tests/test_accessibility.py proves it.
CLAIMS: Mapping[str, str] = {
    "checker": mark(
        "A program that looks for obstacles (axe-core) finds none: on every page and in every mail, in every state and "
        "language, and in all their colours, light and dark."
    ),
    "contrast": mark("Each text stands out from its ground by 4.5 to 1 at least, whatever colour our house has."),
    "keyboard": mark("The keyboard alone is enough, and you always see where you are."),
    "reflow": mark(
        "On a narrow screen (320 pixels), or much enlarged, or with more room between letters and lines, "
        "you never have to scroll sideways."
    ),
    "names": mark("Every field, box, button and link has a name that a screen reader speaks, in the page's language."),
    "targets": mark("What is to be pressed is large enough, or has room around it."),
    "calm": mark("Nothing moves, blinks or disappears, and no puzzle has to be solved. No page needs scripts."),
    "mails": mark("Every mail can also be read as plain text, and its links have names that stand alone."),
}

#: What is not perfect, or not known.
LIMITS = (
    mark("Tests find only a part of what hinders people. If something hinders you, we would like to know."),
    mark("What we write or give away ourselves, such as descriptions and files, is not part of these tests."),
    mark("A field for a date is drawn by your browser, and looks and speaks as your browser makes it."),
    mark("Some mail programs change the colours and sizes of our mails. Then the plain text is the surest."),
)
