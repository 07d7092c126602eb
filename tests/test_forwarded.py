"""Mails are forwarded: whoever has somebody's old mail can at worst stop mail for her, sees no more of her than a masked
address and what is on, and changes nothing else. Issue 8, point 2; PRF-03, PRF-04, KEY-01, decision 8; peers' pain 10.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.links import Action, BadLink
from bridge.mailer import Occasion
from bridge.smtp import build
from bridge.specimens import KINDS
from bridge.store.values import Person
from bridge.vocabulary import EventType, MailKind, Status
from tests.conftest import BASE_URL, House, Reader
from tests.test_choosing import RHYTHM

#: Every link in every mail: where it leads and what its token may do. A new link needs a line here, and so a decision.
#: All mails lead to the privacy statement as well, and those with a signed receipt to the page that checks one.
IN_MAILS: Mapping[MailKind, frozenset[tuple[str, Action]]] = {
    MailKind.CONFIRM: frozenset({("/confirm/", Action.CONFIRM)}),
    MailKind.SUBSCRIBED: frozenset({("/u/", Action.STOP), ("/preferences/", Action.STOP)}),
    MailKind.WELCOME: frozenset({("/u/", Action.STOP), ("/preferences/", Action.STOP)}),
    MailKind.GOODBYE: frozenset({("/u/", Action.STOP), ("/preferences/", Action.STOP)}),
    MailKind.LINK: frozenset({("/preferences/", Action.FRESH)}),
    MailKind.IDENTITY: frozenset({("/requests/", Action.REQUEST)}),
    MailKind.MOVE: frozenset({("/my-data/", Action.MOVE)}),
    MailKind.MOVED: frozenset(),
    MailKind.REPERMISSION: frozenset({("/question/", Action.ONCE), ("/u/", Action.STOP)}),
    MailKind.BREACH: frozenset(),
    MailKind.GUARDIAN: frozenset({("/guardian/", Action.GUARDIAN)}),
    MailKind.OF_AGE: frozenset({("/of-age/", Action.OF_AGE)}),
}
PATHS = sorted({path for links in IN_MAILS.values() for path, _ in links})

NAME = "Anneke"
FIELD = """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet readers by name in the newsletter"
max_length = 40
"""


class Link(NamedTuple):
    """A link as it stands in a mail."""

    path: str
    token: str


@pytest.fixture
def house(make_house: Callable[..., House], policy_folder: Path, sqlite_url: str) -> House:
    """A house that keeps a name and how often."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text() + FIELD + RHYTHM)
    return make_house(sqlite_url)


@pytest.fixture
def an(house: House) -> Reader:
    """An, of whom there is something to be seen."""
    reader = Reader(house, "an.vandenberg@lezer.example")
    reader.signs_up("newsletter", "offers", first_name=NAME)
    house.clock.forward(minutes=2)
    assert reader.confirms().status_code == 200
    house.dispatch()
    return reader


def all_mails(house: House, reader: Reader) -> Iterator[tuple[MailKind, set[Link]]]:
    """The links of one mail of each kind to her, from both parts and the headers, and where else they lead."""
    person = house.store.person(reader.email)
    assert person is not None
    for kind in KINDS:
        occasion = Occasion(
            key=f"forwarded-{kind}",
            kind=kind,
            subject=person.id,
            mark=person.mark,
            email=person.email,
            language="nl",
            purposes=("newsletter",),
            asked=house.clock(),
            request="r" * 22,
            channel="footer",
            until=house.clock() + timedelta(days=30),
            papers=(("receipt.json", "application/json", b"{}"),) if kind is MailKind.WELCOME else (),
        )
        letter = house.bridge.mailer.write(occasion)
        raw = "\n".join([letter.text, unescape(letter.html), *(str(value) for value in build(letter).values())])
        found = set()
        for url in set(re.findall(r"https?://[^\s\"'<>]+", raw)):
            assert url.startswith(f"{BASE_URL}/"), "no mail leads anywhere but to us (TRK-01)"
            path = url.removeprefix(BASE_URL)
            where = next((one for one in PATHS if path.startswith(one)), "")
            assert where or path in ("/privacy", "/receipt"), path
            if where:
                found.add(Link(where, path.removeprefix(where)))
        yield kind, found


def may(house: House, token: str) -> Action:
    """What a token was made for: one thing alone (KEY-01)."""
    found = []
    for action in Action:
        try:
            house.bridge.links.read(action, token, house.clock())
        except BadLink:
            continue
        found.append(action)
    (only,) = found
    return only


def test_every_link_of_every_mail_is_known_and_may_do_one_thing(house: House, an: Reader) -> None:
    """KEY-01, TRK-01: the whole list, of all kinds of mail; every token opens with the key of one action."""
    for kind, links in all_mails(house, an):
        assert {(link.path, may(house, link.token)) for link in links} == IN_MAILS[kind], kind
    told = house.esp.people[an.email].link.removeprefix(f"{BASE_URL}/preferences/")
    assert may(house, told) is Action.STOP, "what platforms put into campaigns"


#: Whatever a stranger may send to a page, but stops.
def forms(house: House) -> list[dict[str, Any]]:
    made, soon = str(int(house.clock().timestamp())), (house.clock() + timedelta(days=3)).date().isoformat()
    both = ["newsletter", "offers"]
    own = [{"act": act, "sure": "yes", "email": "vreemd@elders.example", "language": "en", "first_name": "X"}
           for act in ("look", "correct", "address", "restrict", "lift", "object", "erase", "moved")]  # fmt: skip
    return [
        {},
        {"save": "purposes", "purpose": both, "was": both, "made": made, "often-newsletter": "usual"},
        {"save": "purposes", "purpose": both, "made": made},
        {"language": "en"},
        {"pause_until": soon},
        {"pause_until": ""},
        {"undo": both},
        {"link": "mail"},
        *own,
        *({"act": "download", "format": kind} for kind in ("json", "csv", "html", "receipts")),
        {"mine": "yes"},
        {"answer": "yes", "years": "12"},
        {"at_least": "yes"},
    ]


STOPS: list[dict[str, Any]] = [
    {"scope": "list"},
    {"List-Unsubscribe": "One-Click"},
    {"save": "purposes", "was": ["newsletter", "offers"]},
    {"stop": "all"},
]

#: What a page may never tell whoever holds an old link: who she is, since when, how, what platforms know, her language.
SECRETS = (
    *("an.vandenberg", NAME, "23 november", "23 November", "2026-11-23", "bevestigd vanuit", "confirmed from"),
    *("An ESP in memory", "history-title", "Download", 'name="language"', "receipts", "Paused<", "Gepauzeerd<"),
)


def tries(house: House, link: Link, datas: list[dict[str, Any]]) -> None:
    """Everything a stranger can do with a link: open it, send each form to it, and try its token at every other page."""
    pages = [f"{link.path}{link.token}"]
    others = [f"{path}{link.token}" for path in PATHS if path != link.path] + [f"/preferences/{link.token}/receipts"]
    for page in [*pages, *others]:
        for method in ("HEAD", "GET"):
            sees(house.client.open(page, method=method))
    for data in datas if datas is STOPS or link.path != "/u/" else ():  # there any form is a stop (RFC 8058)
        sees(house.client.post(pages[0], data=data))
    for page in others[:-1]:
        if not page.startswith("/u/"):
            sees(house.client.post(page, data={"act": "erase", "sure": "yes", "mine": "yes", "answer": "yes"}))


def sees(answer: Any) -> None:
    """What comes back tells nothing of her."""
    assert answer.status_code < 500
    text = unescape(answer.get_data(as_text=True))
    for secret in SECRETS:
        assert secret not in text, secret


def herself(house: House, reader: Reader) -> Person:
    """Who she is by the store."""
    person = house.store.person(reader.email)
    assert person is not None
    return person


def test_an_old_mail_in_strange_hands_can_only_stop(house: House, an: Reader) -> None:
    """PRF-03, PRF-04: every link of every mail, a month later, with everything that can be sent to it: she stays who
    she is; nothing starts, not even once all was stopped; the worst is a stop, a pause, or one more mail to herself."""
    house.clock.forward(minutes=31)
    house.client.post(an.asks_for_a_link(), data={"often-newsletter": "weekly", "save": "purposes"})
    links = {link for _, found in all_mails(house, an) for link in found}
    house.clock.forward(days=40)
    before = herself(house, an)
    for link in links:
        tries(house, link, forms(house))
        house.clock.forward(seconds=5)

    assert herself(house, an) == before, "name, language, address, how often"
    new = {event.type for event in an.story()[6:]}
    assert new <= {EventType.PAUSED, EventType.REQUESTED}
    assert (an.status("newsletter"), an.status("offers")) == (Status.GIVEN, Status.GIVEN)
    assert {mail["To"] for mail in house.mailbox.messages} == {an.email}

    for link in links:
        tries(house, link, STOPS)
        house.clock.forward(seconds=5)
    assert {an.status("newsletter"), an.status("offers")} == {Status.WITHDRAWN}
    house.clock.forward(days=4)
    for link in (link for link in links if may(house, link.token) is Action.STOP):
        tries(house, link, forms(house))
        house.clock.forward(seconds=5)
    house.dispatch()
    assert not an.may("newsletter").may
    assert not an.may("offers").may
    assert herself(house, an) == before
    assert {mail["To"] for mail in house.mailbox.messages} == {an.email}
    assert house.verify().problems == ()
