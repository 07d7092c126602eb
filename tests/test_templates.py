"""Every page and mail, in every language and state: what readers see is complete, plain, fair and readable."""

import re
import runpy
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from html.parser import HTMLParser
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from babel.localedata import locale_identifiers
from jinja2 import UndefinedError

from bridge.accessibility import CLAIMS, LIMITS, STANDARDS
from bridge.notices import Wording
from bridge.remembered import Told
from bridge.testimony import Entry, Section
from bridge.texts import (
    DARK,
    LIGHT,
    NAMES,
    RIGHT_TO_LEFT,
    TEMPLATES,
    MissingCatalogue,
    Texts,
    contrast,
    ink,
    palette,
    shipped,
)
from bridge.vocabulary import Method, Status

HOUSE = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "nl", "fr", "de")
ACCENT = "#1d3f8f"
NOON = datetime(2026, 11, 23, 10, 4, 57, tzinfo=UTC)
TOKEN = "https://prefs.krant.example/u/eyJ2IjoxfQ.Zk3xT0k3n-made_of.letters"
SHA = "5b3c" * 16
NOTICE = (
    "De Krant nv (Kaaistraat 1, Brussels) sends you this & nothing else, about once a month.\n\n"
    "Nobody outside De Krant nv gets your address. You can stop <at any time>: each mail’s foot has a link."
)
LABEL = "Yes, send me “Monthly news” & I know that I can stop at any time."


class Length(NamedTuple):
    count: int
    unit: str


COMMON = {
    "looks": {"name": "De Krant", "logo_url": "", "accent": ACCENT},
    "controller": {
        "name": "De Krant nv",
        "address": "Kaaistraat 1\n1000 Brussels",
        "email": "post@krant.example",
        "website": "https://krant.example",
    },
    "contact": {"name": "Els Peeters", "email": "dpo@krant.example", "is_dpo": True},
    "statement_url": "https://prefs.krant.example/privacy",
    "home_url": "https://krant.example",
}


def purpose(id_: str = "newsletter", name: str = "Monthly news") -> dict[str, Any]:
    return {
        "id": id_,
        "name": name,
        "description": "The stories our editors are proud of, with a look behind the scenes.",
        "frequency": "once a month",
        "label": LABEL,
        "notice": NOTICE,
        "wording": SHA,
        "version": 2,
        "url": f"/notices/{id_}/2/en",
        "basis": "consent",
        "recipients": (),
    }


NEWS, OFFERS = purpose(), purpose("offers", "Offers for readers")


def row(status: Status, *, on: bool = False, paused: date | None = None, how: str = "") -> dict[str, Any]:
    state = {"status": status, "on": on, "since": NOON if how else None, "how": how, "paused_until": paused}
    told = [("Mailchimp", NOON, True), ("SendGrid", NOON, False), ("Another", None, False)]
    state["confirmed"] = [] if on else [{"by": by, "at": at, "today": today} for by, at, today in told]
    forms = [("Mailchimp", True, ""), ("SendGrid", False, "https://form.example/"), ("Another", False, "")]
    state["waits"] = [{"at": at, "mailed": mailed, "form": form} for at, mailed, form in forms] if on else []
    state |= {"guardian_waits": False, "asks_age": False, "form": "", "for_children": True}
    often = [{"id": "usual", "name": "Every day"}, {"id": "weekly", "name": "Once a week"}] if on else []
    state |= {"sample": "https://krant.example/issue" if on else "", "rhythms": often, "rhythm": "weekly"}
    return purpose(status.value, f"Letter {status.value}") | state


def subscribe(**changes: Any) -> dict[str, Any]:
    name = {"id": "first_name", "label": "First name", "value": "", "choices": (), "max_length": 100}
    region = {"id": "region", "label": "Region", "value": "North", "choices": ("North", "South"), "max_length": 9}
    usual = {
        "action": "/subscribe",
        "channel": "site-foot",
        "email": "",
        "task": "",
        "task_bits": 16,
        "purposes": [NEWS, OFFERS],
        "errors": {},
    }
    usual |= {"beside": False, "age": None, "at_least": "", "guardian": ""}
    return usual | {"fields": [name, region]} | changes


KNOWN = {
    "fields": [("First name?", "An")],
    "history": [Told(NOON, "You said yes.")],
    "older": 2,
}
HEARD = [{"by": "Mailchimp", "at": NOON}, {"by": "SendGrid", "at": None}]
MISTAKE = {"id": "news", "name": "Monthly news"}


def preferences(**changes: Any) -> dict[str, Any]:
    rows = [
        row(Status.GIVEN, on=True, how="confirmed from your mailbox"),
        row(Status.WITHDRAWN, how="through the unsubscribe link in a mail"),
    ]
    usual = {"action": "/preferences/TOKEN", "masked": "a•••@krant.example", "fresh": True, "saved": None, "rows": rows}
    pause = {"pause_until": None, "pause_min": "2026-11-24", "pause_max": "2027-11-23"}
    more = {
        "news": None,
        "was": ["given"],
        "made": 1795428297,
        "language": "en",
        "errors": {},
        "now": NOON,
        "known": None,
        "kept": Length(30, "days"),
    }
    more |= {"age": 13, "receipts_url": None, "stopped": False, "platforms": [], "undo": []}
    more["my_data_url"] = "/my-data/TOKEN"
    return usual | pause | more | changes


def mail(**changes: Any) -> dict[str, Any]:
    usual = {
        "purposes": [NEWS, OFFERS],
        "place": "the form at the foot of our site",
        "asked": NOON,
        "hours": 72,
        "url": None,
        "code": "",
        "unsubscribe_url": None,
        "no_url": None,
        "until": None,
        "preferences_url": None,
        "postal_address": "Kaaistraat 1\n1000 Brussels",
        "sender_name": "De Krant",
        "receipt": "",
        "statement": None,
        "about": "",
        "child": False,
        "age": 13,
        "check_url": None,
    }
    return usual | changes


CHECK = "https://prefs.krant.example/receipt"
LEAVE = {"unsubscribe_url": TOKEN, "preferences_url": TOKEN.replace("/u/", "/preferences/")}
ERRORS = {"email": "This is no address.", "purpose": "Tick at least one box.", "page": "Wait a minute."}
ADDRESS = {
    "title": "De Krant nv",
    "text": "",
    "facts": [["Website", "https://krant.example"], ["E-mail", "x@y.example"]],
}
PRIVACY = {
    "sections": [
        ("controller", "Responsible", [ADDRESS]),
        ("contact", "Whom to ask", [{"title": "Officer:", "text": "Els Peeters", "facts": []}]),
        (
            "purposes",
            "What we send",
            [{"title": "Monthly news", "text": "The stories.", "facts": [["Often", "Monthly"]]}],
        ),
        ("data", "Which data", [{"title": "", "text": "your e-mail address", "facts": []}]),
        ("transfers", "Outside Europe", [{"title": "", "text": "Nothing leaves.", "facts": []}]),
        ("retention", "How long", [{"title": "A request", "text": "3 days", "facts": []}]),
        ("rights", "What you can ask", [{"title": "", "text": "See it.", "facts": []}]),
        ("complaint", "Complaining", [ADDRESS | {"text": "To the authority."}]),
    ],
    "headings": {"purposes": "What we send", "recipients": "Who gets it"},
    "version": "3",
    "date": date(2026, 11, 23),
    "changes": [],
    "earlier": [],
}
CHANGED = [
    {
        "how": how,
        "section": "recipients",
        "key": "x",
        "title": "Host bv",
        "before": "then",
        "after": "now",
        "material": "",
    }
    for how in ("added", "removed", "changed")
]
RECEIPT_ITEM = {
    "purpose": "Monthly news",
    "label": LABEL,
    "text": NOTICE,
    "version": 2,
    "sha256": SHA,
    "asked": NOON,
    "given": NOON,
    "place": "the form at the foot of our site",
    "method": Method.CONFIRM_PAGE,
    "event": "0192-77",
}
LINK = TOKEN.replace("/u/", "/confirm/")


def my_data(**changes: Any) -> dict[str, Any]:
    words = Wording(purpose="news", version=2, language="en", label=LABEL, text=NOTICE, sha256=SHA)
    usual = {
        "action": "/my-data/TOKEN",
        "preferences_url": "/preferences/TOKEN",
        "email": "an@krant.example",
        "sections": [Section("Wat, what", [Entry("", ["een, one"])])],
        "more": [Section("Meer, more", [Entry("1", ["twee, two"], "woorden:", words)])],
        "has_receipts": True,
        "asked": False,
        "waiting": False,
        "platforms": ["Mailchimp"],
        "language": "en",
        "fields": [
            {"id": "first_name", "label": "?", "value": "An", "choices": (), "max_length": 100},
            {"id": "topic", "label": "??", "value": "books", "choices": ("sport", "books"), "max_length": 100},
        ],
        "restricted": False,
        "objected": False,
        "moving": None,
        "new_email": "",
        "done": None,
        "errors": {},
    }
    return usual | changes


PAGES: dict[str, list[dict[str, Any]]] = {
    "my_data": [
        my_data(),
        my_data(restricted=True, objected=True, moving="an@nieuw.example", asked=True, waiting=True),
        my_data(asked=True, platforms=[], fields=[], has_receipts=False),
        *(
            my_data(done=done, new_email="an@nieuw.example")
            for done in ("look", "corrected", "same", "asked", "restricted", "lifted", "objected")
        ),
        my_data(errors={"email": "This is no address.", "first_name": "?", "topic": "??"}, new_email="an@"),
    ],
    "erase": [
        {"action": "/my-data/TOKEN", "back_url": "/my-data/TOKEN", "email": "an@krant.example"}
        | {"platforms": platforms, "backups": Length(35, "days")}
        for platforms in (["Mailchimp", "SendGrid"], [])
    ],
    "erased": [
        {"platforms": platforms, "backups": Length(35, "days"), "stop_list": Length(36, "months")}
        for platforms in (["Mailchimp"], [])
    ],
    "move": [
        {"action": "/my-data/TOKEN", "email": "an@nieuw.example", "purposes": names, "anew": anew, "done": done}
        | {"held": held, "errors": errors}
        for names, anew, done, held, errors in (
            (["News"], False, False, False, {}),
            (["News"], True, False, False, {}),
            ([], False, False, False, {}),
            ([], False, True, False, {}),
            (["News"], False, False, True, {}),
            (["News"], False, False, True, {"code": "These digits do not work."}),
        )
    ],
    "moved": [
        {"email": "an@nieuw.example", "came": came, "link_url": "/preferences"} for came in ("moved", "asked", "joined")
    ],
    "move_late": [{"reason": reason, "link_url": "/preferences"} for reason in ("expired", "void")],
    "subscribe": [
        subscribe(),
        subscribe(purposes=[NEWS], fields=[]),
        subscribe(email="an@krant", errors=ERRORS | {"region": "?"}),
        subscribe(beside=True),
        subscribe(age=13, task="1795428297.abc.def"),
        subscribe(age=16, at_least="no", guardian="mum@", errors={"at_least": "Say so.", "guardian": "No address."}),
    ],
    "guardian": [
        {
            "action": "/guardian/TOKEN",
            "masked": "k•••@krant.example",
            "purposes": [NEWS, OFFERS],
            "word": word,
            "pressed": pressed,
            "may_stop": may_stop,
            "until": until,
            "age": 13,
            "held": held,
            "errors": errors,
            "years": "2" if held else "",
            "ends": [(1, date(2027, 11, 1)), (2, date(2028, 11, 1))],
            "months": 12,
        }
        for word, pressed, may_stop, until, held, errors in (
            ("asked", False, False, None, False, {}),
            ("asked", False, False, None, True, {}),
            ("asked", False, False, None, True, {"code": "Not these."}),
            ("yes", True, False, NOON, False, {}),
            ("yes", False, False, None, False, {}),
            ("no", True, False, None, False, {}),
            ("over", False, True, None, False, {}),
            ("over", False, False, None, False, {}),
        )
    ],
    "of_age": [
        {"action": "/of-age/TOKEN", "age": 13, "at_least": "", "purposes": [NEWS], "errors": errors, "held": held}
        for held, errors in ((False, {}), (False, {"at_least": "Say so."}), (True, {}), (True, {"code": "Not these."}))
    ],
    "still_a_child": [{"subscribe_url": "/subscribe"}],
    "asked": [
        {"guardian": young, "known": not young, "action": "/subscribe/code", "place": "PLACE", "errors": {}}
        for young in (False, True)
    ],
    "code": [
        {"action": "/subscribe/code", "place": "PLACE", "errors": errors, "subscribe_url": "/subscribe"}
        for errors in ({}, {"code": "Not these."})
    ],
    "thanks": [
        {"asset_url": url, "asked": asked, "later": later}
        for url in ("/assets/guide", None)
        for asked, later in ((False, False), (True, False), (False, True))
    ],
    "confirm": [
        {"action": "/confirm/TOKEN", "masked": "a•••@krant.example", "purposes": [NEWS, OFFERS]}
        | {"how": how, "errors": errors}
        for how, errors in (("press", {}), ("by itself", {}), ("type", {}), ("type", {"code": "Not these."}))
    ],
    "confirmed": [
        {"purposes": [NEWS], "again": again, "waits": waits, "age": 13, "for_children": young, "unasked": unasked}
        | {"paused": paused, "preferences_url": "/preferences", "subscribe_url": "/subscribe"}
        for again, waits, young, unasked, paused in (
            (False, False, False, False, False),
            (True, False, False, False, False),
            (False, True, True, False, False),
            (False, True, True, True, False),
            (False, True, False, False, False),
            (False, False, False, False, True),
        )
    ],
    "confirm_late": [{"reason": reason, "subscribe_url": "/subscribe"} for reason in ("expired", "void")],
    "request": [
        {
            "action": "/requests/TOKEN",
            "said": said,
            "closed": closed,
            "due": date(2026, 12, 28),
            "received": date(2026, 11, 27),
            "masked": "a•••@krant.example",
            "asked": "to see what we hold about you",
            "stopped": said != "hers",
            "link_url": "/preferences",
        }
        for said, closed in ((None, False), ("hers", False), ("denied", False), (None, True))
    ],
    "question": [
        {"action": "/question/TOKEN", "no_action": "/u/TOKEN", "masked": "a•••@krant.example", "purpose": NEWS}
        | {"held": held, "errors": errors}
        for held, errors in ((False, {}), (True, {}), (True, {"code": "Not these."}))
    ],
    "unsubscribe": [
        {"action": "/u/TOKEN", "masked": masked, "purpose": name, "others": others, "question": question}
        for masked, name, others, question in (
            ("a•••@krant.example", "Monthly news", True, False),
            ("a•••@krant.example", "Monthly news", False, False),
            ("a•••@krant.example", None, False, False),
            (None, None, False, False),
            ("a•••@krant.example", "Monthly news", True, True),
            ("a•••@krant.example", "Monthly news", False, True),
        )
    ],
    "unsubscribed": [
        {"purpose": name, "within": within, "preferences_url": "/preferences", "still_on": on, "all_action": action}
        | {"undo": [] if within else [MISTAKE]}
        for name, within, on, action in (
            ("Monthly news", None, ["Offers for readers"], "/u/TOKEN"),
            ("Monthly news", None, ["Offers for readers", "Books"], "/u/TOKEN"),
            (None, None, [], None),
            ("Monthly news", Length(30, "days"), [], None),
            ("Monthly news", Length(30, "days"), ["Offers for readers"], "/u/TOKEN"),
            (None, Length(30, "days"), [], None),
        )
    ],
    "link": [
        {"action": "/preferences", "email": "", "errors": {}},
        {"action": "/preferences", "email": "an@krant", "errors": ERRORS},
    ],
    "link_sent": [{}],
    "preferences": [
        preferences(),
        preferences(fresh=False),
        preferences(receipts_url="/preferences/TOKEN/receipts", known=KNOWN),
        preferences(known=KNOWN | {"older": 1}, stopped=True, saved="stopped", platforms=HEARD, undo=[MISTAKE]),
        preferences(fresh=False, stopped=True, saved="saved", platforms=HEARD, undo=[MISTAKE, MISTAKE]),
        *(preferences(saved=saved) for saved in ("saved", "mailed", "stopped", "language", "paused", "resumed")),
        preferences(errors={"pause_until": "Choose a day within a year.", "language": "?", "page": "?"}),
        preferences(
            pause_until=date(2026, 12, 24),
            rows=[row(Status.GIVEN, on=True, paused=date(2026, 12, 24), how="on this page")],
        ),
        preferences(rows=[row(status) for status in Status], news={"version": 2, "day": date(2026, 11, 23)}),
        preferences(
            rows=[
                row(Status.GIVEN, on=True, how="confirmed from your mailbox") | {"guardian_waits": True},
                row(Status.REQUESTED) | {"guardian_waits": True, "for_children": False},
                row(Status.UNKNOWN) | {"asks_age": True, "form": "/subscribe?channel=kids"},
                row(Status.EXPIRED) | {"asks_age": True},
            ]
        ),
    ],
    "receipt": [
        {"action": "/receipt", "judged": None, "error": None},
        {"action": "/receipt", "judged": None, "error": "This is no receipt."},
        {
            "action": "/receipt",
            "error": None,
            "judged": [
                {"ours": False, "purpose": "", "yes": False, "time": None, "now": "unknown", "since": None},
                {"ours": True, "purpose": "", "yes": False, "time": None, "now": "unknown", "since": None},
                *(
                    {"ours": True, "purpose": "Monthly news", "yes": yes, "time": NOON, "now": now, "since": since}
                    for yes in (True, False)
                    for now in ("stands", "old", "ended", "again", "gone")
                    for since in ((NOON,) if now == "again" else (NOON, None))
                ),
            ],
        },
    ],
    "privacy": [
        PRIVACY,
        PRIVACY
        | {"changes": CHANGED, "earlier": [{"version": "2", "day": date(2026, 1, 2), "sha256": SHA}]}
        | {
            "sections": [
                *PRIVACY["sections"][:-1],
                ("complaint", "Complaining", [ADDRESS | {"title": "", "text": "There."}]),
            ]
        },
    ],
    "accessibility": [
        {"standards": STANDARDS, "claims": [*CLAIMS.values()], "limits": LIMITS, "reviewed": date(2026, 11, 30)},
    ],
    "notice": [
        {"purpose": "Monthly news", "version": 2, "language": "en", "label": LABEL, "notice": NOTICE, "sha256": SHA}
    ],
    "error": [
        {"title": "No such page", "message": "Nothing is here.", "todo": "Ask for a new link.", "status": 404}
        | {"link_url": url, "link_text": url and "To your preferences"}
        for url in ("/preferences", None)
    ],
}
MAILS: dict[str, list[dict[str, Any]]] = {
    "confirm": [
        mail(url=LINK, code="012 345"),
        mail(url=LINK, code="012 345", hours=24),
        mail(url=LINK, code="012 345", hours=36, purposes=[NEWS]),
        mail(url=LINK, code="012 345", child=True),
    ],
    "guardian": [
        mail(url=TOKEN.replace("/u/", "/guardian/"), about="k•••@krant.example", hours=hours, code=code)
        for hours, code in ((72, ""), (30, "012 345"))
    ],
    "of_age": [mail(url=TOKEN.replace("/u/", "/of-age/"), child=True, code=code) for code in ("", "012 345")],
    "move": [
        mail(url=TOKEN.replace("/u/", "/my-data/"), hours=hours, code=code)
        for hours, code in ((72, ""), (36, "012 345"))
    ],
    "moved": [mail()],
    "subscribed": [mail(**LEAVE)],
    "welcome": [mail(**LEAVE, receipt="Receipt\nof consent")],
    "goodbye": [
        mail(preferences_url=LEAVE["preferences_url"], receipt="Receipt"),
        mail(**LEAVE, purposes=[]),
        mail(**LEAVE, check_url=CHECK),
    ],
    "identity": [mail(url=TOKEN.replace("/u/", "/requests/"))],
    "breach": [mail(purposes=[], words=["A laptop was stolen.", "Beware of mails in our name."])],
    "link": [
        mail(url=TOKEN.replace("/u/", "/preferences/")),
        mail(
            url=TOKEN.replace("/u/", "/preferences/"),
            statement={"day": date(2026, 11, 23), "url": "https://prefs.krant.example/privacy/2"},
        ),
    ],
    "repermission": [
        mail(url=TOKEN.replace("/u/", "/question/"), no_url=TOKEN, purposes=[NEWS], until=NOON, code=code)
        for code in ("", "012 345")
    ],
}


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts(LANGUAGES, ZoneInfo("Europe/Brussels"), common=COMMON)


#: No sleeve is pulled (WDR-14), nothing is praised where a question is put (CON-03), in any language.
GUILT = (
    "sorry|sad|miss|why|jammer|spijt|missen|helaas|waarom|désolée?s?|dommage|triste|regrett\\w*|pourquoi|manquer\\w*|"
    "schade|traurig|leider|vermissen|warum|bedauer\\w*"
)
PROMOTION = (
    "free|offer|save|discount|exclusive|don't miss|gratis|korting|aanbieding|exclusief|voordeel|mis niet|gratuite?s?|"
    "offres?|remise|exclusi\\w+|avantage|ne manquez|kostenlos|Angebot|Rabatt|exklusiv|sparen|verpassen"
)
IGNORE = {
    "en": "ignore this mail",
    "nl": "hoef je niets te doen",
    "fr": "ignorez cet e-mail",
    "de": "ignorieren Sie diese E-Mail",
}
LEAVE_WORDS = {"en": "Unsubscribe", "nl": "Uitschrijven", "fr": "Se désinscrire", "de": "Abmelden"}


#: What no sentence of a language holds: marks as other languages print them, a space that may end a line before one.
FAULTS = {
    "nl": r"[«»„]|(?<=\w)'|'(?=\w)",
    "fr": r"[^\xa0][;!?»]|[^\xa0]:(?!//)|«[^\xa0]|[“”„]|(?<=\w)'|\b(article|paragraphe|art\.) \d",
    "de": r"[«»”]|(?<=\w)'|“\w| [;:!?]|\b(Art|Abs)\. \d",
}


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str | None]


class Page(HTMLParser):
    """A page as a reader's program takes it apart."""

    void = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.words: list[tuple[tuple[Element, ...], str]] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in self.void:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append((tuple(self._open), data))

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        wanted = attributes.items()
        return [e for e in self.elements if e.tag in tags and all(e.attributes.get(k) == v for k, v in wanted)]

    def text(self, attribute: str) -> list[str]:
        """The exact text of each element that carries this attribute."""
        marked = [e for e in self.elements if attribute in e.attributes]
        return ["".join(data for above, data in self.words if any(e is a for a in above)) for e in marked]

    @property
    def visible(self) -> str:
        """What is read on the page, in one line."""
        seen = (data for above, data in self.words if not {"style", "title"} & {e.tag for e in above})
        return " ".join(" ".join(seen).split())


def pages() -> Iterator[Any]:
    for language in LANGUAGES:
        for name, states in PAGES.items():
            for number, state in enumerate(states):
                yield pytest.param(name, language, state, id=f"{language}-{name}-{number}")


def states() -> Iterator[Any]:
    """Every page in every state, the languages taking turns: what no sentence can change (`TestWords` sees to it)."""
    turn = cycle(LANGUAGES)
    for name, of_page in PAGES.items():
        for number, state in enumerate(of_page):
            yield pytest.param(name, next(turn), state, id=f"{name}-{number}")


def mails() -> Iterator[Any]:
    for language in LANGUAGES:
        for name, states in MAILS.items():
            for number, state in enumerate(states):
                yield pytest.param(name, language, state, id=f"{language}-{name}-{number}")


every_page = pytest.mark.parametrize(("name", "language", "state"), list(pages()))
every_state = pytest.mark.parametrize(("name", "language", "state"), list(states()))
every_mail = pytest.mark.parametrize(("name", "language", "state"), list(mails()))


def page(texts: Texts, name: str, language: str, state: dict[str, Any]) -> Page:
    return Page(texts.render(f"pages/{name}.html", language, **state))


def urls(text: str) -> set[str]:
    return set(re.findall(r"https?://[^\s\"'<>]+", text))


class TestPages:
    def test_every_page_has_samples(self) -> None:
        """Nobody adds a page or a mail that these tests do not walk."""
        assert {path.stem for path in (TEMPLATES / "pages").glob("*.html")} == set(PAGES)
        assert {path.name for path in (TEMPLATES / "email").iterdir()} == {*MAILS, "receipt.txt"}

    @every_page
    def test_one_heading_one_language(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """A11Y-01, CAP-08: one h1, no level skipped, the language and its direction named, a title."""
        found = page(texts, name, language, state)
        (html,) = found.all("html")
        assert html.attributes == {"lang": language, "dir": "ltr"}
        levels = [int(e.tag[1]) for e in found.all("h1", "h2", "h3", "h4")]
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), levels
        assert len(found.all("title", "main")) == 2

    @every_state
    def test_inputs_are_labelled(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """A11Y-01: each input has its label, ids are unique, descriptions exist, errors are announced in text."""
        found = page(texts, name, language, state)
        ids = [e.attributes["id"] for e in found.elements if "id" in e.attributes]
        assert len(ids) == len(set(ids))
        labelled = {e.attributes["for"] for e in found.all("label")}
        inputs = [e for e in found.all("input", "select", "textarea") if e.attributes.get("type") != "hidden"]
        assert labelled == {e.attributes["id"] for e in inputs}
        for element in found.elements:
            for attribute in ("aria-describedby", "aria-labelledby"):
                assert set((element.attributes.get(attribute) or "").split()) <= set(ids)
            if "aria-invalid" in element.attributes:
                assert "aria-describedby" in element.attributes
        jumps = [e.attributes["href"] for e in found.all("a") if (e.attributes["href"] or "").startswith("#")]
        assert {jump[1:] for jump in jumps if jump} <= set(ids)
        if state.get("errors"):
            assert [e for e in found.elements if e.attributes.get("role") == "alert"]
            assert set(state["errors"].values()) <= {words.strip() for _, words in found.words} or name == "link"

    @every_state
    def test_no_proof_of_identity_is_asked(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """RGT-08: control of the mailbox is identity enough: no page takes a file or a password."""
        kinds = {e.attributes.get("type") for e in page(texts, name, language, state).all("input")}
        assert kinds <= {"checkbox", "radio", "date", "email", "hidden", "text"}

    @every_state
    def test_forms_post_where_told(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """Every form posts to the address it was given and has a button; nothing else leaves the page."""
        found = page(texts, name, language, state)
        told = {state.get("action"), state.get("all_action"), state.get("no_action")} - {None}
        told |= {state["preferences_url"]} if state.get("undo") and name == "unsubscribed" else set()
        forms = found.all("form")
        assert {e.attributes["action"] for e in forms} <= told
        assert all(e.attributes["method"] == "post" for e in forms)
        assert len(found.all("button", type="submit")) >= len(forms)

    @every_state
    def test_nothing_from_elsewhere(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """PRF-06, WEB-02, WEB-03: no script but a file of ours on two pages, no inline style, no foreign resource; no
        index, no referrer."""
        found = page(texts, name, language, state)
        scripts = [{"src": "/confirm.js", "defer": None}] if state.get("how") == "by itself" else []
        scripts += [{"type": "module", "src": "/sign-up.js"}] if state.get("task") else []
        assert [e.attributes for e in found.all("script")] == scripts
        assert not found.all("style", "iframe", "object", "embed", "base")
        for element in found.elements:
            assert not [key for key in element.attributes if key == "style" or key.startswith("on")]
        loaded = [e.attributes.get("src") or e.attributes["href"] for e in found.all("link", "img")]
        assert all(address and re.match("/[a-z]", address) for address in loaded)
        meta = {e.attributes.get("name"): e.attributes.get("content") for e in found.all("meta")}
        assert meta["robots"] == "noindex, nofollow"
        assert meta["referrer"] == "no-referrer"
        assert meta["color-scheme"] == "light dark"
        assert meta["viewport"] == "width=device-width, initial-scale=1"

    @every_page
    def test_who_speaks(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """Each page names the controller, who answers questions, the statement, and the other languages."""
        found = page(texts, name, language, state)
        assert "De Krant nv Kaaistraat 1 1000 Brussels" in found.visible
        links = {e.attributes["href"] for e in found.all("a")}
        assert {
            "mailto:dpo@krant.example",
            "https://prefs.krant.example/privacy",
            *(f"?language={code}" for code in LANGUAGES),
        } <= links
        assert [e.attributes["lang"] for e in found.all("a") if "aria-current" in e.attributes] == [language]

    @every_page
    def test_no_language_left_behind(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """No English sentence on a page of another language, except what the operator wrote."""
        html = texts.render(f"pages/{name}.html", language, **state)
        left = [message for message in _translated(language) if message in html and message not in str(state)]
        assert left == []

    def test_escaping(self, texts: Texts) -> None:
        """What the policy and the reader wrote is text, never markup, also inside translated sentences."""
        html = texts.render(
            "pages/unsubscribe.html",
            "nl",
            action="/u/T",
            masked="<b>a",
            purpose='<i>"news"',
            others=False,
            question=False,
        )
        assert "<b>" not in html
        assert "<i>" not in html
        assert "&lt;b&gt;a" in html

    def test_unknown_variables_are_errors(self, texts: Texts) -> None:
        """A page that is not given all it shows is never shown half."""
        with pytest.raises(UndefinedError):
            texts.render("pages/unsubscribe.html", "en", action="/u/T")


class TestConsent:
    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("name", ["subscribe", "confirm"])
    def test_cap_01_boxes_are_empty(self, texts: Texts, name: str, language: str) -> None:
        """CAP-01: no box is ticked at load, no hidden field says yes, one box per purpose."""
        for state in PAGES[name]:
            found = page(texts, name, language, state)
            answered = [("at_least", state["at_least"])] if state.get("at_least") else []  # what she said of her age
            checked = [e.attributes for e in found.elements if "checked" in e.attributes]
            assert [(each["name"], each["value"]) for each in checked] == answered
            hidden = {e.attributes["name"] for e in found.all("input", type="hidden")}
            assert hidden <= {"channel", "language", "wording"} | ({"work"} if state.get("task") else set())
            if name == "subscribe":
                boxes = [e.attributes["value"] for e in found.all("input", type="checkbox", name="purpose")]
                assert boxes == [p["id"] for p in state["purposes"]]

    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("name", ["subscribe", "confirm", "question", "notice"])
    def test_cap_04_words_are_exact(self, texts: Texts, name: str, language: str) -> None:
        """CAP-04, CAP-07: label and notice stand on the page to the letter, with their fingerprint."""
        for state in PAGES[name]:
            found = page(texts, name, language, state)
            count = len(state.get("purposes", [1])) if name != "notice" else 1
            assert found.text("data-label") == [LABEL] * count
            assert found.text("data-wording") == [NOTICE] * count
            assert [e.attributes["data-wording"] for e in found.elements if "data-wording" in e.attributes] == [
                SHA
            ] * count

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_cap_04_before_the_box(self, texts: Texts, language: str) -> None:
        """CAP-04: controller, statement, name, kind, frequency and notice come before the box they are about."""
        html = texts.render("pages/subscribe.html", language, **subscribe(purposes=[NEWS]))
        box = html.index('type="checkbox"')
        for words in (
            "De Krant nv",
            "Nobody outside De Krant",
            COMMON["statement_url"],
            *(NEWS[key] for key in ("name", "description", "frequency")),
        ):
            assert html.index(words) < box

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_address_field(self, texts: Texts, language: str) -> None:
        """A11Y-01 (1.3.5): phones offer the reader's own address and the right keyboard."""
        for name in ("subscribe", "link"):
            (field,) = page(texts, name, language, PAGES[name][0]).all("input", type="email")
            assert field.attributes["autocomplete"] == field.attributes["inputmode"] == "email"


class TestPreferences:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_prf_01_every_state(self, texts: Texts, language: str) -> None:
        """PRF-01: every purpose shows its state, since when and by which act; all change in one POST."""
        found = page(texts, "preferences", language, PAGES["preferences"][0])
        for words in ("Letter given", "Letter withdrawn", texts.day(language, NOON), "confirmed from your mailbox"):
            assert words in found.visible
        assert texts.status_text(language, Status.WITHDRAWN) in found.visible
        boxes = found.all("input", type="checkbox", name="purpose")
        assert {e.attributes["value"]: "checked" in e.attributes for e in boxes} == {"given": True, "withdrawn": False}
        assert [e.attributes["value"] for e in found.all("input", name="was")] == ["given"]

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_prf_04_words_beside_what_is_off(self, texts: Texts, language: str) -> None:
        """PRF-04: notice and label stand beside each box that may be switched on, to the letter."""
        found = page(texts, "preferences", language, PAGES["preferences"][0])
        assert found.text("data-label") == [LABEL]
        assert NOTICE in [words for _, words in found.words]

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_each_save_is_its_own(self, texts: Texts, language: str) -> None:
        """Decision 10: language, pause and stop are forms of their own that touch no purpose."""
        html = texts.render("pages/preferences.html", language, **preferences())
        forms = [Page(form) for form in re.findall(r"<form.*?</form>", html, re.DOTALL)]
        names = [{e.attributes["name"] for e in f.elements if "name" in e.attributes} for f in forms]
        saved = {"save", "made", "was", "purpose", "often-given", "often-was-given"}
        assert names == [{"stop"}, saved, {"pause_until"}, {"language"}]

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_wdr_14_equal_and_in_sight(self, texts: Texts, language: str) -> None:
        """WDR-14: leaving and staying look the same; "stop everything" comes before the list."""
        html = texts.render("pages/preferences.html", language, **preferences())
        stop, save, *_ = Page(html).all("button")
        assert stop.attributes["class"] == save.attributes["class"] == "button"
        assert html.index('name="stop"') < html.index("<h2")
        found = page(texts, "unsubscribe", language, PAGES["unsubscribe"][0])
        buttons = [e.attributes for e in found.all("button")]
        assert [b["value"] for b in buttons] == ["list", "all"]
        assert {b["class"] for b in buttons} == {"button"}
        question = page(texts, "question", language, PAGES["question"][0])
        assert [b.attributes["class"] for b in question.all("button")] == ["button", "button"]

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_wdr_14_no_guilt(self, texts: Texts, language: str) -> None:
        """WDR-01, WDR-14: leaving asks no reason, pulls no sleeve, and never takes more than one button."""
        for name in ("unsubscribe", "unsubscribed"):
            for state in PAGES[name]:
                found = page(texts, name, language, state)
                assert not re.search(rf"\b({GUILT})\b", found.visible, re.I)
                asked = found.all("input", "select", "textarea")
                assert all(one.attributes.get("type") == "hidden" for one in asked)
                if name == "unsubscribed":
                    assert found.all("button")[-1].attributes["class"] == "button plain" if state["undo"] else True


class TestMails:
    @every_mail
    def test_parts_agree(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """Text and HTML carry the same links, and each link it was given is there."""
        text, html = (texts.render(f"email/{name}/body.{kind}", language, **state) for kind in ("txt", "html"))
        assert urls(text) == urls(html)
        changed = {state["statement"]["url"]} if state["statement"] else set()
        given = {
            state[key] for key in ("url", "no_url", "unsubscribe_url", "preferences_url", "check_url") if state[key]
        }
        assert urls(text) == given | changed | {COMMON["statement_url"]}

    @every_mail
    def test_text_part(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """A11Y-02: the text part stands alone: wrapped lines, whole links, no blank ends, one line of subject."""
        subject = texts.render(f"email/{name}/subject.txt", language, **state)
        assert subject.strip() == subject != ""
        assert "\n" not in subject
        assert len(subject) <= 78
        text = texts.render(f"email/{name}/body.txt", language, **state)
        for line in text.splitlines():
            assert line == line.rstrip()
            assert len(line) <= 72 or "://" in line
        assert "\n\n\n" not in text
        assert "&" not in text.replace("&c", "").replace("& I", "")  # those of the operator's words

    @every_mail
    def test_html_part(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """A11Y-02: language, one heading, links whose names stand alone, no table, no image, nothing loaded."""
        found = Page(texts.render(f"email/{name}/body.html", language, **state))
        (html,) = found.all("html")
        assert html.attributes == {"lang": language, "dir": "ltr"}
        assert len(found.all("h1")) == 1
        assert not found.all("img", "table", "script", "link", "iframe", "form")
        assert "url(" not in str(found.elements)
        names = [data.strip() for above, data in found.words if above and above[-1].tag == "a"]
        assert len(names) == len(found.all("a"))
        assert all(len(words) > 5 for words in names)
        buttons = [e for e in found.all("a") if "padding" in (e.attributes["style"] or "")]
        assert len(buttons) == (1 if state["url"] else 0) + (1 if state["no_url"] else 0)

    @every_mail
    def test_snd_02_who_sends(self, texts: Texts, name: str, language: str, state: dict[str, Any]) -> None:
        """SND-02: both parts name the sender, the controller, a postal address and a contact."""
        for kind in ("txt", "html"):
            body = texts.render(f"email/{name}/body.{kind}", language, **state)
            for words in ("De Krant nv", "Kaaistraat 1\n1000 Brussels", "dpo@krant.example"):
                assert words in body

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_con_03_only_the_question(self, texts: Texts, language: str) -> None:
        """CON-03: the confirmation mail asks and sells nothing: no image, no promotion, one link of its own."""
        for state in MAILS["confirm"]:
            plain = state | {"purposes": [NEWS]}
            for kind in ("subject.txt", "body.txt", "body.html"):
                body = texts.render(f"email/confirm/{kind}", language, **plain)
                assert "<img" not in body
                assert not re.search(rf"\b({PROMOTION})\b", body, re.I)
                assert NEWS["description"] not in body  # the operator's praise of it does not belong in the question
            body = texts.render("email/confirm/body.txt", language, **plain)
            flat = " ".join(body.split())
            for words in ("De Krant nv", NEWS["name"], texts.moment(language, NOON), state["place"], state["url"]):
                assert words in flat
            assert IGNORE[language] in flat

    @pytest.mark.parametrize(("language", "word"), LEAVE_WORDS.items())
    @pytest.mark.parametrize("name", ["welcome", "subscribed"])
    def test_wdr_02_a_visible_way_out(self, texts: Texts, name: str, language: str, word: str) -> None:
        """WDR-02: a text link whose name says unsubscribe in the mail's language."""
        (state,) = MAILS[name]
        html = texts.render(f"email/{name}/body.html", language, **state)
        found = Page(html)
        (link,) = (above[-1] for above, data in found.words if data == word)
        assert link.tag == "a"
        assert link.attributes["href"] == state["unsubscribe_url"]
        colon = texts.gettext(language, ":")
        assert f"{word}{colon}\n{state['unsubscribe_url']}" in texts.render(f"email/{name}/body.txt", language, **state)
        colours = re.findall(r"(?<![-\w])color:(#\w+)", html)
        assert all(contrast(colour, "#ffffff") >= 4.5 for colour in colours if colour not in ("#ffffff",))

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_how_long_the_link_lives(self, texts: Texts, language: str) -> None:
        """Days where they come out even, hours else, in the right number."""
        said = [texts.render("email/confirm/body.txt", language, **state) for state in MAILS["confirm"]]
        wanted = {
            "en": ("3 days", "1 day.", "36 hours", "3 days"),
            "nl": ("3 dagen", "1 dag.", "36 uur", "3 dagen"),
            "fr": ("3 jours", "1 jour.", "36 heures", "3 jours"),
            "de": ("3 Tage", "1 Tag.", "36 Stunden", "3 Tage"),
        }
        assert all(words in text for words, text in zip(wanted[language], said, strict=True))


class TestReceipt:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_con_07_all_of_it(self, texts: Texts, language: str) -> None:
        """CON-07, CAP-05: the receipt holds the exact words, who, when, where, how, and the way out."""
        items = [RECEIPT_ITEM, RECEIPT_ITEM | {"purpose": "Offers", "asked": None, "place": ""}]
        text = texts.render("email/receipt.txt", language, items=items, subject="s-123", url=TOKEN, check_url=None)
        for words in (NOTICE, LABEL, SHA, "De Krant nv", "2026-11-23T10:04:57Z", "0192-77", "s-123", TOKEN):
            assert words in text
        assert texts.moment(language, NOON) in text
        assert texts.how_text(language, Method.CONFIRM_PAGE) in text
        assert not [line for line in text.splitlines() if line != line.rstrip()]
        assert "\n\n\n" not in text


class TestColours:
    @staticmethod
    def tokens(css: str) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", css))

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast(self, scheme: str) -> None:
        """A11Y-01 (1.4.3, 1.4.11): text reaches 4.5:1 on its ground, edges of inputs 3:1, light and dark."""
        css = (TEMPLATES / "static" / "style.css").read_text("utf-8")
        blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
        token = self.tokens(blocks[0]) | (self.tokens(blocks[1]) if scheme == "dark" else {})
        assert (token["paper"], token["card"]) == (LIGHT if scheme == "light" else DARK)
        for text in ("ink", "soft", "link", "alert"):
            assert contrast(token[text], token["paper"]) >= 4.5
            assert contrast(token[text], token["card"]) >= 4.5
        for text, ground in (("ink", "wash"), ("done", "done-wash"), ("alert", "alert-wash"), ("on-accent", "accent")):
            assert contrast(token[text], token[ground]) >= 4.5
        for edge in ("edge", "accent"):
            assert contrast(token[edge], token["card"]) >= 3

    def test_style_is_the_palette_of_its_accent(self) -> None:
        """The stylesheet's own colours are what `palette` would append."""
        css = (TEMPLATES / "static" / "style.css").read_text("utf-8")
        light, dark = (self.tokens(block) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2])
        said = [self.tokens(block) for block in palette(light["accent"]).split("@media")]
        assert [said[0].items() <= light.items(), said[1].items() <= dark.items()] == [True, True]

    @pytest.mark.parametrize("accent", [ACCENT, "#ffd500", "#e30613", "#000000", "#ffffff", "#777777", "#00ff7f"])
    def test_any_accent_can_be_read(self, accent: str) -> None:
        """Whatever colour the operator likes, buttons and links stay readable in light and dark."""
        for block, grounds in zip(palette(accent).split("@media"), (LIGHT, DARK), strict=True):
            token = self.tokens(block)
            assert contrast(token["accent"], token["on-accent"]) >= 4.5
            assert all(contrast(token["link"], ground) >= 4.5 for ground in grounds)
        assert contrast(ink(accent), accent) >= 4.5

    def test_large_targets(self) -> None:
        """A11Y-01 (2.5.8): what is pressed is at least 44 px high; the stylesheet loads nothing from elsewhere."""
        css = (TEMPLATES / "static" / "style.css").read_text("utf-8")
        for selector in (
            r"\.button",
            r"\.tick",
            r"\.languages a",
            r"\.field input,\n\.field select,\n\.field textarea",
        ):
            (rules,) = re.findall(rf"^{selector} \{{(.*?)\}}", css, re.DOTALL | re.MULTILINE)
            height = re.search(r"min-height: ([\d.]+)rem", rules)
            assert height
            assert float(height[1]) * 16 >= 44
        assert "url(" not in css
        assert "@import" not in css
        assert ":focus-visible" in css


class TestWords:
    def test_catalogues_are_complete(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Every sentence has its translation in every language; none is unsure or left over."""
        assert _script()["main"]([], _extracted()) == 0, capsys.readouterr().out

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (('msgid "Subscribe"\nmsgstr "Inschrijven"', 'msgid "Subscribe"\nmsgstr ""'), "nl: missing: 'Subscribe'"),
            (('msgid "Subscribe"', '#, fuzzy\nmsgid "Subscribe"'), "nl: fuzzy: 'Subscribe'"),
            (('msgid "Subscribe"', 'msgid "Join"\nmsgstr "Word lid"\n\nmsgid "Subscribe"'), "nl: obsolete: 'Join'"),
            (('msgstr "Mail van %(name)s"', 'msgstr "Mail van %(naam)s"'), "nl: wrong: 'Mail from %(name)s'"),
        ],
    )
    def test_what_is_wrong_is_told(self, tmp_path: Path, change: tuple[str, str], told: str) -> None:
        """A missing, unsure, left-over or broken translation is named."""
        catalogues = tmp_path / "bridge" / "translations"
        catalogues.mkdir(parents=True)
        text = (HOUSE / "bridge" / "translations" / "nl.po").read_text("utf-8")
        assert change[0] in text
        (catalogues / "nl.po").write_text(text.replace(*change), encoding="utf-8")
        found = _script()["problems"]("nl", _extracted(), tmp_path)
        assert [line[: len(told)] for line in found] == [told]

    def test_a_catalogue_that_was_not_compiled_is_told(self, tmp_path: Path) -> None:
        """The program reads the compiled file: a new word that readers would not see is named."""
        script = _script()
        catalogues = tmp_path / "bridge" / "translations"
        catalogues.mkdir(parents=True)
        text = (HOUSE / "bridge" / "translations" / "nl.po").read_text("utf-8")
        (catalogues / "nl.po").write_text(text, encoding="utf-8")
        assert not script["is_compiled"]("nl", tmp_path)
        script["compile_catalogue"]("nl", tmp_path)
        assert script["is_compiled"]("nl", tmp_path)
        assert (catalogues / "nl.mo").read_bytes() == (HOUSE / "bridge" / "translations" / "nl.mo").read_bytes()
        (catalogues / "nl.po").write_text(text.replace('msgstr "Inschrijven"', 'msgstr "Word lid"'), encoding="utf-8")
        assert not script["is_compiled"]("nl", tmp_path)

    @pytest.mark.parametrize(("language", "faults"), FAULTS.items())
    def test_marks_are_those_of_the_language(self, language: str, faults: str) -> None:
        """Quotes, apostrophes and the spaces around marks are as this language prints them."""
        said = [words for each in shipped(language).values() for words in _forms(each)]
        assert [words for words in said if re.search(faults, words)] == []

    def test_a_name_and_what_is_said_of_it(self, texts: Texts) -> None:
        """The French put a space before a colon, which may not begin a line."""
        assert texts.named("fr", "Langue", "anglais") == "Langue\xa0: anglais"
        assert texts.named("de", "Sprache", "Englisch") == "Sprache: Englisch"

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_status_and_method_has_words(self, texts: Texts, language: str) -> None:
        """No reader ever meets a word of the machine."""
        states = [texts.status_text(language, status) for status in Status]
        roads = [texts.how_text(language, method) for method in Method]
        assert len(set(states)) == len(Status)
        assert len(set(roads)) == len(Method)
        assert not [words for words in (*states, *roads) if "_" in words]
        consent = r"\b(yes|consent|ja|toestemming|einwilligung|zustimmung|oui|accord|consentement)\b"
        assert not re.search(consent, texts.status_text(language, Status.SOFT_OPT_IN), re.I)
        assert re.search(consent, texts.status_text(language, Status.GIVEN), re.I)

    def test_unknown_words_are_errors(self, texts: Texts) -> None:
        """A status nobody knows is a fault of ours, not something to show."""
        with pytest.raises(ValueError, match="half"):
            texts.status_text("en", "half")

    def test_a_language_without_catalogue(self) -> None:
        """The operator is told which file is missing."""
        with pytest.raises(MissingCatalogue, match=r"'it'.*it\.mo.*texts/it\.toml"):
            Texts(("en", "it"), ZoneInfo("UTC"))
        with pytest.raises(MissingCatalogue, match="'zz'"):
            Texts(("en", "zz"), ZoneInfo("UTC"))

    def test_a_regional_language_leans_on_its_mother(self) -> None:
        """nl-BE speaks Dutch without a catalogue of its own."""
        assert Texts(("nl-BE",), ZoneInfo("UTC")).gettext("nl-BE", "Unsubscribe") == "Uitschrijven"

    @pytest.mark.parametrize(
        ("wanted", "accept", "chosen"),
        [
            (("nl", "en"), "", "nl"),
            ((None, "", "fr", "nl"), "en", "nl"),
            ((), "nl-BE,nl;q=0.9,en;q=0.8", "nl"),
            ((), "fr, en;q=0.5, nl;q=0.7", "nl"),
            ((), "nl;q=0, en;q=0.1", "en"),
            ((), "NL", "nl"),
            ((), "fr,de", "en"),
            ((), "*", "en"),
            ((), "nl;q=high,;;,=", "en"),
            (("../../etc/passwd", "nl-BE"), "", "nl"),
            ((), "x," * 100_000 + "nl", "en"),
        ],
    )
    def test_choice(self, wanted: tuple[str | None, ...], accept: str, chosen: str) -> None:
        """The reader's choice, then the form, then the browser, then the policy's first language."""
        assert Texts(("en", "nl"), ZoneInfo("UTC")).choose(*wanted, accept=accept) == chosen

    def test_dates_follow_the_reader(self, texts: Texts) -> None:
        """Dates in the reader's language and the policy's zone."""
        late = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
        assert texts.day("en", late) == "1 January 2027"
        assert texts.day("nl", late) == "1 januari 2027"
        assert texts.day("nl", date(2026, 12, 31)) == "31 december 2026"
        assert texts.moment("nl", NOON) == "23 november 2026 om 11:04"
        assert texts.moment("en", NOON) == "23 November 2026 at 11:04"
        assert texts.day("fr", late) == "1er janvier 2027"
        assert texts.day("fr", date(2026, 12, 11)) == "11 décembre 2026"
        assert texts.moment("fr", NOON) == "23 novembre 2026 à 11:04"
        assert texts.day("de", late) == "1. Januar 2027"
        assert texts.moment("de", NOON) == "23. November 2026 um 11:04 Uhr"
        assert texts.exact("de", NOON) == "23. November 2026 um 11:04:57 Uhr (10:04:57 UTC)"
        assert texts.exact("fr", late) == "1er janvier 2027 à 00:30:00 (31 décembre 2026 à 23:30:00 UTC)"
        numbers = {code: texts.number(code, 12345.5) for code in LANGUAGES}
        assert numbers == {"en": "12,345.5", "nl": "12.345,5", "fr": "12\u202f345,5", "de": "12.345,5"}

    @pytest.mark.parametrize(
        ("count", "unit", "said"),
        [
            (72, "hours", ["3 days", "3 dagen", "3 jours", "3 Tage"]),
            (1, "hours", ["1 hour", "1 uur", "1 heure", "1 Stunde"]),
            (0, "months", ["0 months", "0 maanden", "0 mois", "0 Monate"]),
            (0, "hours", ["0 days", "0 dagen", "0 jour", "0 Tage"]),
            (36, "hours", ["36 hours", "36 uur", "36 heures", "36 Stunden"]),
            (1, "days", ["1 day", "1 dag", "1 jour", "1 Tag"]),
            (36, "months", ["36 months", "36 maanden", "36 mois", "36 Monate"]),
        ],
    )
    def test_lengths_of_time(self, texts: Texts, count: int, unit: str, said: list[str]) -> None:
        """What the policy says in hours, days and months, said to a reader; the French count nought as one."""
        assert [texts.length(language, Length(count, unit)) for language in LANGUAGES] == said

    def test_languages_call_themselves(self, texts: Texts) -> None:
        """The switch names each language in itself."""
        assert texts.names(("en", "nl", "fr", "nl-BE")) == {
            "en": "English",
            "nl": "Nederlands",
            "fr": "Français",
            "nl-BE": "Nederlands (België)",
        }


def _forms(said: str | dict[str, str]) -> list[str]:
    """One sentence, or each of its numbers."""
    return [said] if isinstance(said, str) else [*said.values()]


@cache
def _script() -> dict[str, Any]:
    return runpy.run_path(str(HOUSE / "scripts" / "translations.py"))


@cache
def _extracted() -> Any:
    return _script()["extracted"]()


@cache
def _translated(language: str) -> list[str]:
    """Sentences that are said otherwise in a language, long enough to mean nothing else where a page has them."""
    spoken = Texts((language,), ZoneInfo("UTC"))
    found = [m.id for m in _extracted() if isinstance(m.id, str) and len(m.id) > 12 and "%" not in m.id]
    return [words for words in found if spoken.gettext(language, words) != words]


def test_languages_call_themselves_what_babel_says() -> None:
    """Written down because asking takes long; and which of all that Babel knows are written from right to left."""
    for code, name in NAMES.items():
        told = Locale.parse(code).get_display_name() or ""
        assert name == told[:1].upper() + told[1:]
    plain = {code for code in locale_identifiers() if "_" not in code}
    assert {code for code in plain if Locale.parse(code).text_direction == "rtl"} == RIGHT_TO_LEFT
