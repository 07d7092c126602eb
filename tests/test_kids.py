"""Children: their own yes is not enough, nobody is asked for a birth date, and a guardian's consent ends.

GDPR article 8; KID-01 and R15 of `standards.md`.
"""

import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from adapters.memory import Person
from bridge import tables
from bridge.cli.main import main
from bridge.decide import Grade, against_child, blocks, decide, gate, may_mail, settled, standing
from bridge.evidence import look as evidence_of
from bridge.jobs.doctor import ages
from bridge.jobs.reconcile import Reconciler
from bridge.jobs.retention import Purge
from bridge.policy.ages import AGES, STRICT, age_of
from bridge.policy.personal import forbidden_label, forbidden_name
from bridge.testimony import document
from bridge.vocabulary import (
    GUARDIAN,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    Limits,
    MailKind,
    Method,
    Report,
    Status,
)
from scripts.chromium import MISSING, find
from tests.browser import DESKTOP, NARROW, Hand, Site, low_contrasts, overflow, serving, small_targets
from tests.conftest import BASE_URL, Clock, House, Reader, unnamed
from tests.csv_lists import HEADER, Lists
from tests.test_audit import rows_of
from tests.test_decide import at, told
from tests.test_my_data import Owner

T, S, M = EventType, Status, Method
LIMITS = Limits(notice_since={"club": 1, "news": 1}, for_children=frozenset({"club"}))

#: The tests' newspaper with a club for children beside its newsletter.
CLUB = """
[[purposes]]
id = "club"
basis = "consent"
offered_to_children = true
name.nl = "Kinderkrant"
name.en = "Children's paper"
description.nl = "Nieuws, raadsels en tekeningen voor kinderen."
description.en = "News, riddles and drawings for children."
label.nl = "Ja, stuur mij de Kinderkrant van De Dagwijzer."
label.en = "Yes, send me the Children's paper of De Dagwijzer."
frequency.nl = "elke woensdag"
frequency.en = "every Wednesday"
recipients = ["Mailchimp", "SendGrid"]

[purposes.at.memory]
list = "club"

[[channels]]
id = "kids"
place.nl = "het formulier van de Kinderkrant"
place.en = "the form of the Children's paper"
purposes = ["club", "newsletter"]
owner = "Carla, marketing"
next_review = 2035-06-30
"""
PARENT = "ouder.peeters@thuis.example"


@pytest.fixture
def paper(policy_folder: Path) -> Path:
    """The policy with the club."""
    path = policy_folder / "policy.toml"
    path.write_text(path.read_text(encoding="utf-8") + CLUB, encoding="utf-8")
    for language in ("nl", "en"):
        model = (policy_folder / "notices" / f"newsletter-1.{language}.txt").read_text(encoding="utf-8")
        told = {"nl": ("elke werkdag, met een overzicht in het weekend", "elke woensdag")}
        told["en"] = ("every working day, with a digest at the weekend", "every Wednesday")
        assert told[language][0] in model
        (policy_folder / "notices" / f"club-1.{language}.txt").write_text(
            model.replace(*told[language]), encoding="utf-8"
        )
    return path


@pytest.fixture
def club(paper: Path, make_house: Callable[..., House], database_url: str) -> House:
    """The house with a club for children, on both databases."""
    assert paper
    return make_house(database_url)


@pytest.fixture
def clubhouse(paper: Path, make_house: Callable[..., House], sqlite_url: str) -> House:
    """The same on SQLite only."""
    assert paper
    return make_house(sqlite_url)


class Kid(Reader):
    """Kim is twelve. Her parent has a mailbox of her own."""

    def __init__(self, house: House, email: str = "kim@lezer.example", parent: str = PARENT) -> None:
        super().__init__(house, email)
        self.parent = Reader(house, parent)

    def asks(self, *purposes: str, at_least: str = "no", **fields: str) -> Any:
        """Send the club's form."""
        given = {"guardian": self.parent.email} if at_least == "no" else {}
        answer = {"at_least": at_least} if at_least else {}
        page = self.signs_up(*(purposes or ("club",)), channel="kids", **{**answer, **given, **fields})
        self.house.clock.forward(minutes=2)
        return page

    def confirms(self) -> Any:
        """Press her own button, and let a while pass."""
        page = super().confirms()
        self.house.clock.forward(minutes=2)
        return page

    def guardian_link(self) -> str:
        """What the guardian's mail links to."""
        return self.parent.link("/guardian/")

    def guardian_says(self, answer: str, link: str = "", **fields: str) -> Any:
        """The guardian presses a button."""
        page = self.house.client.post(link or self.guardian_link(), data={"answer": answer, **fields})
        self.house.clock.forward(minutes=2)
        return page

    def may_club(self) -> bool:
        """Whether she may be mailed."""
        return self.may("club").may


@pytest.fixture
def kim(club: House) -> Kid:
    """Kim."""
    return Kid(club)


@pytest.fixture
def kit(clubhouse: House) -> Kid:
    """Kim, on SQLite only."""
    return Kid(clubhouse)


def test_a_child_is_mailed_when_she_and_her_guardian_have_both_said_yes(kim: Kid) -> None:
    """KID-01: her own confirmation, then the guardian's; before that nothing leaves, nor is she on at an ESP."""
    assert kim.asks().status_code == 200
    assert kim.confirms().status_code == 200
    kim.house.dispatch()
    assert not kim.may_club()
    assert "child_unverified" in kim.may("club").why[0]
    assert not kim.is_on("club")
    link = kim.guardian_link()
    assert kim.house.client.get(link).status_code == 200
    assert not kim.may_club()
    assert kim.guardian_says("yes").status_code == 200
    kim.house.dispatch()
    assert kim.may_club()
    assert kim.is_on("club")
    assert [str(m["Subject"]) for m in kim.mails()] == [  # the receipt comes when both are there, and once
        "De Dagwijzer: bevestig je inschrijving",
        "De Dagwijzer: je bent ingeschreven",
    ]
    assert kim.house.verify().problems == ()


def test_the_guardian_may_be_the_quicker_one(kim: Kid) -> None:
    """KID-01: the other order; the guardian's yes alone mails nobody."""
    kim.asks()
    assert kim.guardian_says("yes").status_code == 200
    kim.house.dispatch()
    assert not kim.may_club()
    assert kim.status("club") is S.REQUESTED
    assert not kim.is_on("club")
    kim.confirms()
    kim.house.dispatch()
    assert kim.may_club()
    assert kim.is_on("club")
    assert len([m for m in kim.mails() if m["Subject"] == "De Dagwijzer: je bent ingeschreven"]) == 1


def test_pressed_twice_or_by_both_parents_it_is_said_once(kim: Kid) -> None:
    """CON-04: one guardian's yes in the record; what is pressed again changes nothing."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    assert kim.guardian_says("yes", link).status_code == 200
    first = len(kim.story())
    assert kim.guardian_says("yes", link, years="1").status_code == 200
    assert len(kim.story()) == first
    assert [e.type for e in kim.story()].count(T.GUARDIAN_CONFIRMED) == 1


# -- the form ----------------------------------------------------------------------------------------------------


def test_the_form_asks_once_in_plain_words_and_preselects_nothing(clubhouse: House) -> None:
    """KID-01, CAP-01: a yes/no question with the country's age, in each language; Belgium says 13."""
    for language, words in (("nl", "Ben je minstens 13 jaar?"), ("en", "Are you at least 13 years old?")):
        page = clubhouse.client.get(f"/subscribe?channel=kids&language={language}").get_data(as_text=True)
        assert page.count(words) == 1
        radios = re.findall(r'<input type="radio"[^>]*>', page)
        assert [re.search(r'value="(\w+)"', radio)[1] for radio in radios] == ["yes", "no"]  # type: ignore[index]
        assert "checked" not in page
        assert 'type="date"' not in page


def test_a_form_without_anything_for_children_never_asks(clubhouse: House) -> None:
    """KID-01: nor does it take the answer, whoever sends one."""
    page = clubhouse.client.get("/subscribe?channel=footer").get_data(as_text=True)
    assert "at_least" not in page
    assert "guardian" not in page
    an = Reader(clubhouse, "an@lezer.example")
    an.signs_up("newsletter", at_least="no", guardian=PARENT)
    assert [e.type for e in an.story()] == [T.REQUESTED]
    assert an.story()[0].evidence.at_least is None
    clubhouse.dispatch()
    assert not clubhouse.mailbox.to(PARENT)


def test_without_an_answer_the_form_says_so(kit: Kid) -> None:
    """KID-01: asked where something for children is ticked, and only there."""
    page = kit.asks("club", at_least="")
    assert page.status_code == 400
    assert "Kies of je minstens 13 jaar bent." in page.get_data(as_text=True)
    assert kit.house.store.person(kit.email) is None
    assert kit.asks("newsletter", at_least="").status_code == 200  # she ticked nothing for children
    assert kit.story()[0].evidence.at_least is None


def test_below_the_age_she_can_take_only_what_is_offered_to_children(kit: Kid) -> None:
    """KID-01: a channel with both kinds."""
    for wanted in (("newsletter",), ("club", "newsletter")):
        page = kit.asks(*wanted)
        assert page.status_code == 400
        assert "Dit kun je krijgen als je 13 bent: Nieuwsbrief" in page.get_data(as_text=True)
    assert kit.house.store.person(kit.email) is None
    assert kit.asks("club", "newsletter", at_least="yes").status_code == 200


@pytest.mark.parametrize("guardian", ["", "geen adres", "kim@lezer.example", " KIM@Lezer.EXAMPLE "])
def test_a_child_names_somebody_else(kit: Kid, guardian: str) -> None:
    """KID-01: without an address nobody can be asked, and nobody is her own guardian."""
    page = kit.asks(guardian=guardian)
    assert page.status_code == 400
    assert 'id="guardian-error"' in page.get_data(as_text=True)
    assert kit.house.store.person(kit.email) is None


def test_old_enough_she_decides_alone_and_her_answer_is_in_the_proof(kim: Kid) -> None:
    """KID-01: the yes to "at least 13" is all that is kept."""
    kim.asks(at_least="yes", guardian=PARENT)  # what a browser sends of a field she does not see
    kim.confirms()
    kim.house.dispatch()
    assert kim.may_club()
    assert {e.evidence.at_least for e in kim.story()} == {"13 yes"}
    assert not kim.house.mailbox.to(PARENT)


# -- no birth date -----------------------------------------------------------------------------------------------

_BIRTH = re.compile(r"birth|bday|dob\b|geboort|verjaar|(^|_)age($|_)")


def test_no_table_and_no_value_has_room_for_a_birth_date() -> None:
    """KID-01, section 7: by name, in every table and in all that is sealed."""
    for table in tables.metadata.tables.values():
        assert not [column.name for column in table.columns if _BIRTH.search(column.name)], table.name
    for kept in (Evidence, ConsentEvent):
        assert not [name for name in kept.__struct_fields__ if _BIRTH.search(name)]


@pytest.mark.parametrize("name", ["birth_date", "birthday", "BDAY", "dob", "geboortedatum", "age", "leeftijd"])
def test_nobody_may_declare_a_field_for_it(name: str) -> None:
    """KID-01, MIN-01: not by its id, not by its name at a platform, not by its label."""
    assert forbidden_name([name])
    assert forbidden_name([name.upper()])
    assert forbidden_label([name.replace("_", " ").capitalize()])


# -- the guardian's mail and address -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_guardian_reads_who_asks_for_what_in_which_words(kit: Kid, language: str) -> None:
    """KID-01, PRF-03, SND-05: the child's address masked, the label in full, one link, nothing promoted, and its own
    salt."""
    kit.language = language
    kit.asks()
    kit.house.dispatch()
    (mail,) = kit.house.mailbox.to(PARENT)
    label = kit.house.bridge.policy.purposes["club"].label[language]
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        text = " ".join(body.get_content().split())
        assert kit.email not in text
        assert "k•••@l•••.example" in text
        assert (label if kind == "plain" else label.replace("'", "&#39;")) in text
        assert len(set(re.findall(re.escape(BASE_URL) + r"/(?!privacy)\S+?(?=[\s\"<])", text))) == 1
    assert kit.email not in str(mail)
    assert "List-Unsubscribe" not in mail
    page = kit.house.client.get(kit.guardian_link()).get_data(as_text=True)
    assert label.replace("'", "&#39;") in page
    assert "k•••@l•••.example" in page
    assert kit.email not in page
    token = kit.guardian_link().rpartition("/")[2]
    for path in ("confirm", "u", "preferences", "of-age", "question"):
        assert kit.house.client.get(f"/{path}/{token}").status_code >= 400
    child = kit.link("/confirm/").rpartition("/")[2]
    assert kit.house.client.get(f"/guardian/{child}").status_code >= 400


def test_looking_answers_nothing(kim: Kid) -> None:
    """CON-05: scanners open every link, with GET and HEAD; a POST without an answer says nothing either."""
    kim.asks()
    link = kim.guardian_link()
    before = len(kim.story())
    for _ in range(3):
        kim.house.client.get(link)
        kim.house.client.head(link)
    assert kim.house.client.post(link).status_code == 400
    assert len(kim.story()) == before


def test_the_guardians_address_is_only_in_the_mail_that_asks(kit: Kid) -> None:
    """KID-01, MIN-06: sealed while it waits, gone when the mail has left; no platform is ever told of it."""
    kit.asks()
    files = [Path(kit.house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"))]
    files += [files[0].with_name(files[0].name + "-wal")]

    def everything() -> bytes:
        return b"".join(file.read_bytes() for file in files if file.exists())

    assert PARENT.encode() not in everything()
    link = kit.guardian_link()
    with sqlite3.connect(files[0]) as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    kit.confirms()
    kit.guardian_says("yes", link)
    kit.house.dispatch()
    assert PARENT not in "".join(msgspec.json.encode(e).decode() for e in kit.story())
    assert PARENT.encode() not in everything()
    assert set(kit.house.esp.people) == {kit.email}


def test_a_guardians_mail_that_waits_goes_with_the_request(club: House, clock: Clock) -> None:
    """KID-01: erased, or too old: it never leaves."""
    kim = Kid(club)
    kim.asks()
    club.store.erase_person(kim.email)
    club.dispatch()
    assert not club.mailbox.to(PARENT)
    ben = Kid(club, "ben@lezer.example", "moeder@thuis.example")
    ben.asks()
    clock.forward(hours=73)
    club.dispatch()
    assert not club.mailbox.to("moeder@thuis.example")
    with club.bridge.database.reading() as db:
        assert not db.execute(tables.outbox.select()).all()


def test_a_dead_guardians_address_is_not_the_childs(kim: Kid) -> None:
    """R7: what comes back from the guardian's mailbox says nothing of hers."""
    kim.house.mailbox.refuse.add(PARENT)
    kim.asks()
    kim.house.dispatch()
    assert T.BOUNCED not in {e.type for e in kim.story()}
    kim.confirms()
    assert "bounced" not in str(kim.may("club").why)


def test_a_guardian_cannot_be_flooded(clubhouse: House) -> None:
    """CAP-10: ten children who name one address: one mail; the answer is the same each time, and so for every child."""
    pages = set()
    for number in range(10):
        pages.add(unnamed(Kid(clubhouse, f"kind{number}@lezer.example").asks()))
    clubhouse.dispatch()
    assert len(pages) == 1
    assert len(clubhouse.mailbox.to(PARENT)) == 1
    # nobody is kept whose guardian could not be asked
    assert clubhouse.store.person("kind0@lezer.example")
    assert clubhouse.store.person("kind1@lezer.example") is None


def test_the_answer_is_the_same_for_every_address(clubhouse: House) -> None:
    """CAP-09: known, unknown, said no, on with a guardian: page and number of promised mails alike."""
    on, left, new = (
        Kid(clubhouse, f"{name}@lezer.example", f"p.{name}@thuis.example") for name in ("on", "left", "new")
    )
    for kid in (on, left):
        kid.asks()
        kid.confirms()
        kid.guardian_says("yes")
    left.one_click()
    clubhouse.dispatch()
    clubhouse.clock.forward(days=31)
    seen = set()
    for kid in (on, left, new):
        page = kid.asks()
        with clubhouse.bridge.database.reading() as db:
            promised = sorted(row.work for row in db.execute(tables.outbox.select()))
        seen.add((page.status_code, unnamed(page), len(promised)))
        clubhouse.dispatch()
    assert len(seen) == 1


# -- a guardian's no ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["child", "guardian"])
def test_a_guardian_who_refuses_ends_it_and_is_not_asked_again(kim: Kid, first: str) -> None:
    """KID-01, R16: the child gets nothing; another form, or another guardian, asks nobody within six months."""
    kim.asks()
    if first == "child":
        kim.confirms()
    link = kim.guardian_link()
    assert kim.guardian_says("no", link).status_code == 200
    assert kim.status("club") is S.REFUSED
    if first == "guardian":
        assert kim.confirms().status_code == 410
    assert kim.guardian_says("yes", link).status_code == 410
    assert not kim.may_club()
    story = [(e.type, e.source) for e in kim.story()]
    assert story.count((T.REFUSED, GUARDIAN)) == 1
    kim.guardian_says("no", link)
    assert [(e.type, e.source) for e in kim.story()].count((T.REFUSED, GUARDIAN)) == 1
    kim.house.mailbox.clear()
    kim.house.clock.forward(days=2)
    other = Kid(kim.house, kim.email, "opa@thuis.example")
    other.asks()
    kim.house.dispatch()
    assert not kim.house.mailbox.messages
    kim.house.clock.forward(days=200)
    other.asks()
    kim.house.dispatch()
    assert kim.house.mailbox.to("opa@thuis.example")


def test_a_guardian_takes_the_yes_back_by_the_same_link(kim: Kid) -> None:
    """KID-01: years later too; it stops at once, everywhere, and the record says who."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    kim.guardian_says("yes", link, years="2")
    kim.house.dispatch()
    assert kim.is_on("club")
    kim.house.clock.forward(days=300)
    assert kim.guardian_says("no", link).status_code == 200
    kim.house.dispatch()
    assert not kim.is_on("club")
    assert kim.status("club") is S.WITHDRAWN
    last = next(e for e in kim.story() if e.type is T.WITHDRAWN)
    assert (last.source, last.purpose) == (GUARDIAN, "club")
    # She cannot switch it on again by herself.
    page = kim.saves(kim.asks_for_a_link(), "club")
    assert page.status_code == 400
    assert not kim.may_club()


def test_the_child_leaves_by_herself_at_any_time(kim: Kid) -> None:
    """GDPR 7(3): nobody is asked for that; and while the guardian's yes stands she may come back by herself."""
    kim.asks()
    kim.confirms()
    kim.guardian_says("yes")
    kim.one_click()
    kim.house.dispatch()
    assert kim.status("club") is S.WITHDRAWN
    assert not kim.is_on("club")
    kim.house.clock.forward(days=1)
    link = kim.asks_for_a_link()
    kim.saves(link, "club")
    kim.house.dispatch()
    assert kim.may_club()
    kim.house.clock.forward(minutes=1)
    kim.saves(link)
    assert not kim.may_club()


def test_a_childs_no_voids_the_question_to_the_guardian(kim: Kid) -> None:
    """R4: she left after it was put; the guardian's yes comes too late."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    kim.saves(kim.asks_for_a_link())
    assert kim.guardian_says("yes", link).status_code == 410
    assert not kim.may_club()
    assert T.GUARDIAN_CONFIRMED not in {e.type for e in kim.story()}


def test_a_question_that_waited_too_long_takes_only_a_no(kim: Kid, clock: Clock) -> None:
    """R9: 72 hours, to the second."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    clock.forward(hours=73)
    assert kim.guardian_says("yes", link).status_code == 410
    assert not kim.may_club()
    assert kim.guardian_says("no", link).status_code == 200
    assert kim.status("club") is S.REFUSED


# -- who said that she is a child? -------------------------------------------------------------------------------


def test_a_form_of_somebody_else_silences_nobody(kim: Kid) -> None:
    """KID-01: what an unconfirmed form says of An's address may be anybody's word: what she gets goes on, and the
    stranger's "guardian" gets no link to stop it."""
    an = Kid(kim.house, "an@lezer.example", "vreemd@elders.example")
    an.has_consented("newsletter")
    kim.house.clock.forward(days=2)
    an.asks("club")
    kim.house.dispatch()
    assert an.may("newsletter").may
    assert an.is_on("newsletter")
    assert not kim.house.mailbox.to("vreemd@elders.example")
    # Pressed in her own mailbox it is her own word: then nothing goes on without a guardian, whom nobody asked yet.
    link = an.link("/confirm/")
    for page in (kim.house.client.post(link), kim.house.client.post(link)):
        said = page.get_data(as_text=True)
        assert "dus hebben we het je ouder of voogd nog niet gevraagd" in said
        assert "We hebben het je ouder of voogd in een mail gevraagd" not in said
    kim.house.dispatch()
    assert not an.may("newsletter").may
    assert not an.may("club").may
    assert not an.is_on("newsletter")


def test_whoever_was_called_a_child_by_a_form_signs_up_as_she_is(kim: Kid) -> None:
    """KID-01: An never confirmed what a stranger typed, also where the stranger's "guardian" said no."""
    an = Kid(kim.house, "an@lezer.example", "vreemd@elders.example")
    an.asks("club")
    an.guardian_says("no")
    kim.house.clock.forward(days=2)
    an.asks("club", at_least="yes")
    assert an.confirms().status_code == 200
    assert an.may("club").may
    assert T.OF_AGE in {e.type for e in an.story()}


def test_who_said_from_her_own_mailbox_that_she_is_a_child_is_believed(kim: Kid) -> None:
    """KID-01: the other answer, a day later, opens nothing; a year later it does."""
    kim.asks()
    kim.confirms()
    kim.guardian_says("no")
    kim.house.clock.forward(days=2)
    kim.asks(at_least="yes")
    kim.house.dispatch()
    assert not kim.may_club()
    kim.house.clock.forward(days=370)
    kim.asks(at_least="yes")
    kim.confirms()
    assert kim.may_club()


def test_the_form_does_not_teach_which_answer_to_give(kim: Kid) -> None:
    """KID-01: a second form as a child that she does not confirm makes her first word no less hers."""
    kim.asks()
    kim.confirms()
    for at_least in ("no", "yes"):
        kim.house.clock.forward(days=1, hours=1)
        kim.asks(at_least=at_least)
        kim.house.dispatch()
    assert not kim.may_club()
    assert T.OF_AGE not in {e.type for e in kim.story()}


def test_what_is_for_older_readers_is_told_to_be(kit: Kid) -> None:
    """KID-01: who said to be a child and asks for it by another form is mailed nothing, and reads why."""
    kit.asks()
    kit.confirms()
    kit.house.clock.forward(days=2)
    kit.signs_up("newsletter")
    kit.house.clock.forward(minutes=2)
    page = kit.confirms().get_data(as_text=True)
    assert "Dit is voor lezers van 13 en ouder" in page
    assert not kit.may("newsletter").may
    page = kit.house.client.get(kit.asks_for_a_link()).get_data(as_text=True)
    assert "Dit is voor lezers van 13 en ouder" in page


def test_a_guardian_is_asked_for_each_thing(club: House) -> None:
    """KID-01, CAP-02: agreed to one, the question about another is open; yes to one more leaves the first as it was."""
    path = Path(club.environment["BRIDGE_POLICY"])
    path.write_text(
        path.read_text(encoding="utf-8").replace('id = "offers"\n', 'id = "offers"\noffered_to_children = true\n')
    )
    path.write_text(
        path.read_text(encoding="utf-8").replace('["club", "newsletter"]', '["club", "newsletter", "offers"]')
    )
    house = House(club.environment, club.clock, club.mailbox)
    kim = Kid(house)
    kim.asks("club")
    kim.confirms()
    kim.guardian_says("yes")
    club.clock.forward(days=2)
    kim.asks("club", "offers")
    kim.confirms()
    assert (kim.may("club").may, kim.may("offers").may) == (True, False)
    link = kim.guardian_link()
    page = house.client.get(link).get_data(as_text=True)
    assert 'value="yes"' in page
    kim.guardian_says("yes", link)
    house.dispatch()
    assert (kim.may("club").may, kim.may("offers").may) == (True, True)
    assert kim.is_on("offers")
    house.close()


def test_both_alike_with_a_guardian_for_one_thing_only(kim: Kid) -> None:
    """KID-01: the guardian's yes is for what it named: not for what an old mail's link or page could switch on."""
    kim.asks()
    kim.confirms()
    kim.guardian_says("yes")
    kim.house.clock.forward(days=1)
    page = kim.saves(kim.asks_for_a_link(), "club", "newsletter", "offers")
    assert page.status_code == 400
    assert kim.may_club()
    assert not kim.may("newsletter").may
    assert kim.status("newsletter") is S.UNKNOWN


# -- the preference page -----------------------------------------------------------------------------------------


def test_the_preference_page_says_what_waits_for_a_guardian(kit: Kid) -> None:
    """PRF-01, KID-01: and nothing that asks an age is switched on there, whoever looks."""
    kit.asks()
    kit.confirms()
    page = kit.house.client.get(kit.asks_for_a_link()).get_data(as_text=True)
    assert "Dit wacht op je ouder of voogd" in page
    assert 'value="club" checked' in page  # she may untick it
    an = Kid(kit.house, "an@lezer.example")
    an.has_consented("newsletter")
    link = an.asks_for_a_link()
    page = kit.house.client.get(link).get_data(as_text=True)
    assert 'value="club"' not in page
    assert "/subscribe?channel=kids" in page
    assert an.saves(link, "newsletter", "club").status_code == 400
    assert an.status("club") is S.UNKNOWN
    assert an.may("newsletter").may


# -- R15: the end ------------------------------------------------------------------------------------------------


def grown(kim: Kid, years: str) -> Kid:
    """Kim with both yeses, the guardian's until she is old enough."""
    kim.asks()
    kim.confirms()
    kim.guardian_says("yes", years=years)
    kim.house.dispatch()
    assert kim.may_club()
    kim.house.mailbox.clear()
    return kim


@pytest.mark.parametrize(("years", "month"), [("1", "2027-11"), ("3", "2029-11"), ("", "2027-11"), ("13", "2039-11")])
def test_only_the_month_is_kept_in_which_it_ends(kit: Kid, years: str, month: str) -> None:
    """R15: the beginning of that month, in the reader's zone; unsaid it is a year."""
    grown(kit, years)
    (yes,) = [e for e in kit.story() if e.type is T.GUARDIAN_CONFIRMED]
    assert yes.until is not None
    here = yes.until.astimezone(kit.house.bridge.policy.zone)
    assert here.strftime("%Y-%m") == month
    if years:
        assert (here.day, here.hour, here.minute) == (1, 0, 0)


@pytest.mark.parametrize("years", ["0", "14", "999"])
def test_no_other_number_of_years_counts(kit: Kid, years: str) -> None:
    """R15: nobody is a child for longer than that."""
    kit.asks()
    assert kit.guardian_says("yes", years=years).status_code >= 400
    assert T.GUARDIAN_CONFIRMED not in {e.type for e in kit.story()}


def test_when_the_guardians_consent_ends_the_child_is_asked_once_and_decides(kim: Kid, clock: Clock) -> None:
    """R15: it is over to the second, also before anybody wrote that down; then one mail to her, and her own yes."""
    grown(kim, "1")
    until = next(e.until for e in kim.story() if e.type is T.GUARDIAN_CONFIRMED)
    clock.now = until - timedelta(seconds=1)
    assert kim.may_club()
    kim.house.dispatch()
    assert not kim.house.mailbox.messages
    clock.now = until
    assert not kim.may_club()
    clock.forward(minutes=1)
    kim.house.dispatch()
    assert kim.status("club") is S.EXPIRED
    assert not kim.is_on("club")
    (mail,) = kim.house.mailbox.messages
    assert mail["Subject"] == "De Dagwijzer: wil je doorgaan?"
    for _ in range(3):
        clock.forward(days=1)
        kim.house.dispatch()
    assert len(kim.house.mailbox.messages) == 1
    link = kim.link("/of-age/")
    assert kim.house.client.get(link).status_code == 200
    assert kim.house.client.post(link).status_code == 400
    assert kim.house.client.post(link, data={"at_least": "no"}).status_code == 200
    assert kim.status("club") is S.EXPIRED
    assert kim.house.client.post(link, data={"at_least": "yes"}).status_code == 200
    clock.forward(minutes=1)
    kim.house.dispatch()
    assert kim.may_club()
    assert kim.is_on("club")
    events = len(kim.story())
    assert kim.house.client.post(link, data={"at_least": "yes"}).status_code == 200
    assert len(kim.story()) == events
    clock.forward(days=400)
    kim.house.dispatch()
    assert kim.may_club()
    assert kim.house.verify().problems == ()


def test_without_her_answer_it_stays_ended(kim: Kid, clock: Clock) -> None:
    """R15: expired for good; after a month the link says so, and a no since then voids it."""
    grown(kim, "")
    clock.forward(days=367)
    link = kim.link("/of-age/")
    kim.saves(kim.asks_for_a_link())
    clock.forward(days=31)
    assert kim.house.client.post(link, data={"at_least": "yes"}).status_code == 410
    assert not kim.may_club()


def test_the_question_is_void_when_she_left(kim: Kid, clock: Clock) -> None:
    """R4: a "no" is never overtaken: the old link starts nothing after it."""
    grown(kim, "")
    clock.forward(days=367)
    link = kim.link("/of-age/")
    clock.forward(days=1)
    kim.house.client.post(kim.asks_for_a_link(), data={"stop": "all"})
    assert kim.house.client.post(link, data={"at_least": "yes"}).status_code == 410
    assert not kim.may_club()


def test_a_guardians_old_link_says_nothing_of_who_decides_alone(kim: Kid, clock: Clock) -> None:
    """R15: grown up, her parent's link neither stops nor shows anything."""
    kim.asks()
    kim.confirms()
    parents = kim.guardian_link()
    kim.guardian_says("yes", parents, years="1")
    clock.forward(days=367)
    kim.house.client.post(kim.link("/of-age/"), data={"at_least": "yes"})
    clock.forward(minutes=1)
    assert kim.may_club()
    assert kim.guardian_says("no", parents).status_code == 200
    assert kim.may_club()


# -- forgetting, erasing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pressed", ["nobody", "child", "guardian"])
def test_whose_guardian_or_self_never_answers_is_forgotten(kim: Kid, clock: Clock, pressed: str) -> None:
    """CON-06, KID-01: 72 hours later nothing of her is left, whoever of the two was the one to answer."""
    kim.asks()
    if pressed == "child":
        kim.confirms()
    if pressed == "guardian":
        kim.guardian_says("yes")
    kim.house.dispatch()
    assert kim.house.store.forget_requests() == 0
    clock.forward(hours=73)
    assert Purge(kim.house.bridge).count()["pending"] == 1, "a dry run counts the very same"
    assert kim.house.store.forget_requests() == 1
    assert kim.house.store.person(kim.email) is None


def test_whoever_has_both_or_had_a_yes_before_is_kept(kim: Kid, clock: Clock) -> None:
    """KID-01: nobody else is forgotten by it."""
    kim.asks()
    kim.confirms()
    kim.guardian_says("yes")
    an = Kid(kim.house, "an@lezer.example", "vreemd@elders.example")
    an.has_consented("newsletter")
    clock.forward(days=1)
    an.asks("club")
    an.confirms()
    clock.forward(hours=80)
    assert kim.house.store.forget_requests() == 0


def test_after_erasure_a_guardians_link_finds_nobody(kim: Kid, clock: Clock) -> None:
    """R12, decision 9: nor does it say anything of whoever signs up with that address later."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    kim.guardian_says("yes", link)
    kim.house.store.erase_person(kim.email)
    assert "k•••" not in kim.house.client.get(link).get_data(as_text=True)
    clock.forward(days=31)
    kim.asks("newsletter", at_least="yes")
    kim.confirms()
    assert kim.may("newsletter").may
    assert kim.guardian_says("no", link).status_code == 200
    assert kim.guardian_says("yes", link).status_code == 410
    assert kim.may("newsletter").may
    assert kim.house.verify().problems == ()


# -- papers ------------------------------------------------------------------------------------------------------


def test_the_ages_are_data_with_source_and_check_date(kit: Kid) -> None:
    """KID-01, section 9: 13 to 16, a source and a day each; an unknown country is strict; `doctor` names old ones."""
    for country, age in AGES.items():
        assert 13 <= age.years <= 16, country
        assert age.source
    assert age_of("ZZ") == STRICT
    assert STRICT.years == 16
    house = kit.house
    (found,) = list(ages.look(house.bridge))
    assert not found.ok
    assert "child_age_checked" in found.fix
    path = Path(house.environment["BRIDGE_POLICY"])
    path.write_text(
        "child_age = 14\nchild_age_checked = 2026-11-01\n" + path.read_text(encoding="utf-8"), encoding="utf-8"
    )
    mended = House(house.environment, house.clock, house.mailbox)
    assert [each.ok for each in ages.look(mended.bridge)] == [True]
    assert "Ben je minstens 14 jaar?" in mended.client.get("/subscribe?channel=kids").get_data(as_text=True)
    house.clock.forward(days=400)
    assert [each.ok for each in ages.look(mended.bridge)] == [False]
    mended.close()


def test_the_evidence_tells_who_said_what(kit: Kid) -> None:
    """CON-07, KID-01: sentences for the answer, the guardian's yes with its end, and the taking back."""
    kit.asks()
    kit.confirms()
    link = kit.guardian_link()
    kit.guardian_says("yes", link)
    kit.guardian_says("no", link)
    found = evidence_of(kit.house.bridge, kit.email)
    assert found is not None
    for language in ("en", "nl"):
        text = " ".join(document(kit.house.bridge, found, language).text().split())
        if language == "en":
            assert "Asked was whether the reader is at least 13 years old. The answer was no." in text
            assert "mailed to the address given as that of a parent or guardian" in text
            assert "was taken back on the page behind the link that had been mailed to the reader's parent" in text
        assert PARENT not in text


def test_a_letter_counts_like_the_mailed_link(kim: Kid, monkeypatch: pytest.MonkeyPatch) -> None:
    """KID-01: staff note a guardian's yes and no, a child, and a wrong click; with a document, never an address in it."""
    monkeypatch.setattr("bridge.cli.child.make_bridge", lambda: kim.house.bridge)  # for its clock

    def notes(who: Kid, *words: str) -> int:
        ran = CliRunner().invoke(main, ["child", who.email, *words])
        assert who.email not in ran.output
        kim.house.clock.forward(minutes=2)
        kim.house.dispatch()
        return ran.exit_code

    kim.asks()
    kim.confirms()
    assert notes(kim, "--agreed", "club", "--document", "letter-17") == 0
    assert kim.may_club()
    assert kim.is_on("club")
    assert notes(kim, "--refused", "club", "--document", "letter-18") == 0
    assert not kim.may_club()
    assert not kim.is_on("club")
    an = Kid(kim.house, "an@lezer.example")
    an.has_consented("newsletter")
    assert notes(an, "--declared", "--document", "call-19") == 0
    assert not an.may("newsletter").may
    assert not an.is_on("newsletter")
    assert notes(an, "--of-age", "--document", "call-20") == 0
    assert an.may("newsletter").may
    before = len(an.story())
    for wrong in (
        ("--of-age", "--declared", "--document", "x"),
        ("--document", "x"),
        ("--agreed", "nothing", "--document", "x"),
        ("--of-age", "--document", "an@lezer.example"),
        ("--of-age",),
    ):
        assert CliRunner().invoke(main, ["child", an.email, *wrong]).exit_code in (1, 2)
    assert CliRunner().invoke(main, ["child", "nobody@lezer.example", "--of-age", "--document", "x"]).exit_code == 1
    assert len(an.story()) == before


def test_a_list_speaks_for_no_guardian(club: House, tmp_path: Path) -> None:
    """CHN-05, AUD-01, KID-01: its whole proof mails no child; and where children are invited no list shows who is one:
    the audit names what is missing. A birth date is no column: it is dropped and counted."""
    kim = Kid(club)
    kim.asks()
    kim.confirms()
    lists = Lists(club, tmp_path)
    assert lists.takes({"email": kim.email}) == (1, 0, 0, 0)
    assert "child_unverified" in str(kim.may("newsletter").why)
    path = lists.write({"email": "jan@lezer.example"}, header=HEADER)
    path.write_text(path.read_text().replace("email,", "birthday,email,").replace("jan@", "2014-05-01,jan@"))
    told = lists.take(path, channel="kids", purpose="club")
    assert (told.imported, dict(told.dropped_fields)) == (1, {"birthday": 1})
    assert club.store.may_mail("jan@lezer.example", "club").status is S.UNKNOWN
    club.dispatch()
    assert "jan@lezer.example" not in club.esp.people
    rows = rows_of(club)
    assert rows["jan@lezer.example", "club"].grade is Grade.INCOMPLETE
    assert rows["jan@lezer.example", "club"].missing == ("guardian",)
    for purpose in ("club", "newsletter"):
        assert (rows[kim.email, purpose].grade, rows[kim.email, purpose].missing) == (Grade.INCOMPLETE, ("guardian",))
    kim.guardian_says("yes")
    assert rows_of(club)[kim.email, "club"].grade is Grade.PROVEN
    assert rows_of(club)[kim.email, "newsletter"].grade is Grade.INCOMPLETE
    club.clock.forward(days=367)
    assert rows_of(club)[kim.email, "club"].grade is Grade.INCOMPLETE


def test_comparing_with_a_platform_puts_a_child_off_there(kim: Kid) -> None:
    """ESP-01, KID-01: whatever the platform says, without both she is off; with both she stays."""
    kim.asks()
    kim.confirms()
    kim.house.dispatch()
    kim.house.esp.people[kim.email] = Person(on={"club"})
    kim.house.clock.forward(days=1)
    Reconciler(kim.house.bridge, "memory", dry_run=False, max_changes=5, tell=lambda _: None).run()
    kim.house.dispatch()
    assert not kim.is_on("club")
    assert kim.status("club") is S.GIVEN, "our own stop there is none of hers"
    kim.guardian_says("yes")
    kim.house.dispatch()
    assert kim.status("club") is S.GIVEN
    assert kim.is_on("club")
    kim.house.clock.forward(days=1)
    Reconciler(kim.house.bridge, "memory", dry_run=False, max_changes=5, tell=lambda _: None).run()
    kim.house.dispatch()
    assert kim.is_on("club")
    assert kim.may_club()


def test_a_guardian_stops_it_under_a_new_address_too(kim: Kid) -> None:
    """R13: the child moved; the old question is void, the guardian's no is not."""
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    kim.guardian_says("yes", link)
    moved = Report(
        type=T.MOVED, email=kim.email, time=kim.house.clock(), key="m1", method=M.WEBHOOK, to="kim.nieuw@lezer.example"
    )
    kim.house.hear(moved)
    kim.house.clock.forward(minutes=2)
    kim.email = "kim.nieuw@lezer.example"
    kim.confirms()
    kim.house.dispatch()
    assert kim.may_club()
    assert kim.guardian_says("no", link).status_code == 200
    assert kim.status("club") is S.WITHDRAWN


def test_a_child_stays_one_at_an_address_that_is_known_already(kim: Kid) -> None:
    """R14, KID-01: she moves to an address with choices of its own: she is a child there too, her guardian's yes does
    not go over, and the guardian's old link speaks for nobody there."""
    other = Kid(kim.house, "kim.tweede@lezer.example")
    other.has_consented("newsletter")
    kim.asks()
    kim.confirms()
    link = kim.guardian_link()
    kim.guardian_says("yes", link)
    assert kim.may_club()
    done = Owner(kim.house, kim.email).moves(other.email)
    assert "al eigen keuzes" in done.get_data(as_text=True)
    kim.house.clock.forward(minutes=2)
    for purpose in ("club", "newsletter"):
        assert not other.may(purpose).may
        assert not kim.may(purpose).may
    assert T.CHILD_DECLARED in {e.type for e in other.story()}
    kim.guardian_says("yes", link)
    assert not other.may("newsletter").may
    assert not other.may_club()


def test_a_strangers_form_goes_with_nobody(kim: Kid) -> None:
    """R14, KID-01: what a stranger typed of an address she left does not silence her where she gets her mail."""
    an = Kid(kim.house, "an@lezer.example", "vreemd@elders.example")
    other = Kid(kim.house, "an.tweede@lezer.example")
    for each in (an, other):
        each.has_consented("newsletter")
    an.one_click()
    kim.house.clock.forward(days=2)
    an.asks("club")
    assert T.CHILD_DECLARED in {e.type for e in an.story()}
    kim.house.clock.forward(days=2)
    Owner(kim.house, an.email).moves(other.email)
    assert T.CHILD_DECLARED not in {e.type for e in other.story()}
    kim.house.clock.forward(minutes=2)
    other.signs_up("newsletter")
    kim.house.clock.forward(minutes=2)
    other.confirms()
    assert other.may("newsletter").may


# -- the rules ---------------------------------------------------------------------------------------------------


def club_event(kind: EventType, moment: float, **more: Any) -> ConsentEvent:
    """One event of the club's."""
    roads = {T.GUARDIAN_CONFIRMED: (GUARDIAN, M.CONFIRM_PAGE), T.CHILD_DECLARED: ("reader", M.FORM)}
    source, method = roads.get(kind, (None, None))
    more = {**({"source": source, "method": method} if source else {}), **more}
    return told(kind, moment, "" if kind in (T.CHILD_DECLARED, T.OF_AGE) else "club", **more)


def both_there(story: list[ConsentEvent], now: float) -> bool:
    """By hand: a child's yes that no stop came after, and a guardian's for it that was not taken back nor has ended."""
    stops = [e.time for e in story if e.type in (T.WITHDRAWN, T.EXPIRED, T.REFUSED)]
    yes = [e for e in story if e.type is T.GIVEN and all(e.asked > stop for stop in stops)]
    child = max((e.time for e in story if e.type is T.CHILD_DECLARED), default=None)
    noes = [e.time for e in story if e.source == GUARDIAN and e.type is not T.GUARDIAN_CONFIRMED]
    agreed = [
        e
        for e in story
        if e.type is T.GUARDIAN_CONFIRMED
        and (child is None or e.time > child)
        and all(e.time > no for no in noes)
        and at(now) < (e.until or e.time + LIMITS.guardian_lasts)
    ]
    return bool(yes) and (child is None or bool(agreed))


def test_nobody_is_mailed_without_both_whatever_the_order() -> None:
    """KID-01, R1: every order of one story, and its news in every order of arrival."""
    for order in permutations(range(5)):
        when = {name: 10 * place + 10 for name, place in zip("dqgcw", order, strict=True)}
        story = [
            club_event(T.CHILD_DECLARED, when["d"]),
            club_event(T.REQUESTED, when["q"]),
            club_event(T.GIVEN, when["g"], asked=at(when["g"] - 5)),
            club_event(T.GUARDIAN_CONFIRMED, when["c"]),
            club_event(T.WITHDRAWN, when["w"]),
        ]
        for now in (55, 100):
            assert may_mail(story, "club", at(now), LIMITS).may is both_there(story, now)
            assert may_mail(story[::-1], "club", at(now), LIMITS).may is both_there(story, now)


_HAPPENS = st.sampled_from(
    [
        (T.CHILD_DECLARED, {}),
        (T.REQUESTED, {}),
        (T.GIVEN, {"asked": 0}),
        (T.GUARDIAN_CONFIRMED, {}),
        (T.GUARDIAN_CONFIRMED, {"until": 45}),
        (T.WITHDRAWN, {}),
        (T.WITHDRAWN, {"source": GUARDIAN, "method": M.UNSUBSCRIBE_PAGE}),
        (T.REFUSED, {"source": GUARDIAN, "method": M.UNSUBSCRIBE_PAGE}),
        (T.EXPIRED, {}),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_HAPPENS, st.integers(0, 60)), max_size=9), st.integers(61, 90))
def test_nobody_is_mailed_without_both_by_any_story(happened: list[Any], now: int) -> None:
    """KID-01, R1 to R4, R15: child, guardian and clock in any order; marketing, welcome and platform say the same."""
    story = []
    for number, ((kind, more), when) in enumerate(happened):
        known = dict(more)
        if "asked" in known:
            known["asked"] = at(when - 0.5)
        if "until" in known:
            known["until"] = at(known["until"])
        story.append(msgspec.structs.replace(club_event(kind, when, **known), key=str(number)))
    may = may_mail(story, "club", at(now), LIMITS).may
    if may:
        assert both_there(story, now)
    assert gate(MailKind.MARKETING, story, ["club"], at(now), LIMITS).may is may
    if standing(story, "club").status is S.GIVEN and against_child(settled(story), "club", at(now), LIMITS):
        assert not gate(MailKind.WELCOME, story, ["club"], at(now), LIMITS).may
    for event in story:  # one more of the same, told twice, changes nothing
        assert may_mail([*story, event], "club", at(now), LIMITS).may is may


@pytest.mark.parametrize(
    ("source", "method", "opens"),
    [
        (GUARDIAN, M.CONFIRM_PAGE, True),
        ("operator", M.STAFF, True),
        ("operator", M.IMPORT, False),
        ("mailchimp", M.WEBHOOK, False),
        ("mailchimp", M.CONFIRM_PAGE, False),
        ("reader", M.CONFIRM_PAGE, False),
        ("reader", M.FORM, False),
        ("system", M.RECONCILE, False),
        (GUARDIAN, M.FORM, False),
    ],
)
def test_only_the_guardians_own_link_or_a_paper_speaks_for_a_guardian(source: str, method: Method, opens: bool) -> None:
    """KID-01: a platform, a list and the child herself know no guardian."""
    story = [club_event(T.CHILD_DECLARED, 1), club_event(T.GIVEN, 5, asked=at(1))]
    story.append(club_event(T.GUARDIAN_CONFIRMED, 9, source=source, method=method))
    assert (Block.CHILD_UNVERIFIED not in blocks(story, LIMITS)) is opens
    assert may_mail(story, "club", at(20), LIMITS).may is opens


def test_a_guardians_yes_is_news_for_every_platform() -> None:
    """ESP-01: it turns her on there; taken back it goes first, as a stop."""
    story = [club_event(T.CHILD_DECLARED, 1), club_event(T.REQUESTED, 1), club_event(T.GIVEN, 5, asked=at(1))]
    yes = decide(story, club_event(T.GUARDIAN_CONFIRMED, 9), LIMITS)
    assert {str(w) for w in yes.work} == {"welcome", "push"}
    assert yes.welcomes == {"club"}
    story.append(club_event(T.GUARDIAN_CONFIRMED, 9))
    no = club_event(T.WITHDRAWN, 20, source=GUARDIAN, method=M.UNSUBSCRIBE_PAGE)
    assert {str(w) for w in decide(story, no, LIMITS).work} == {"stop"}
    first = decide(story[:2], club_event(T.GIVEN, 5, asked=at(1)), LIMITS)
    assert {str(w) for w in first.work} == {"push"}
    assert not first.welcomes


def test_words_that_changed_need_the_guardian_again() -> None:
    """CAP-07: the guardian agreed to words, too."""
    story = [
        club_event(T.CHILD_DECLARED, 1),
        club_event(T.GUARDIAN_CONFIRMED, 9, notice=1),
        club_event(T.GIVEN, 15, asked=at(1), notice=2),
    ]
    limits = msgspec.structs.replace(LIMITS, notice_since={"club": 2})
    assert may_mail(story, "club", at(20), LIMITS).may
    assert not may_mail(story, "club", at(20), limits).may


# -- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def site(paper: Path, make_house: Callable[..., House], sqlite_url: str) -> Iterator[Site]:
    """The house with the club, where a browser can reach it."""
    assert paper
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    house = make_house(sqlite_url, BRIDGE_BASE_URL=url)
    with serving(house.app, port):
        yield Site(house, url)


def walk(site: Site, hand: Hand, shots: Path | None) -> Iterator[str]:
    """The whole way of Kim and her parent, and what ends it; stand still on each page with its name."""
    kim, page, send = "kim@lezer.example", hand.page, "main form button"

    def stop(name: str) -> str:
        if shots:
            page.screenshot(path=shots / f"{name}.png", full_page=True)
        return name

    hand.opens(f"{site.url}/subscribe?channel=kids")
    assert not page.locator("#guardian").is_visible()
    assert page.locator("input[type=radio]:checked").count() == 0
    yield stop("form")
    page.locator("#purpose-club").check()
    page.locator("#email").fill(kim)
    hand.enters(send)
    assert "400" in hand.complaints.pop()
    yield stop("form-unanswered")
    page.locator("#purpose-club").check()
    page.locator("#at-least-no").check()
    assert page.locator("#guardian").is_visible()
    page.locator("#guardian").fill(PARENT)
    yield stop("form-younger")
    hand.enters(send)
    yield stop("asked")
    site.house.clock.forward(minutes=2)
    hand.opens(site.mailed(kim, "/confirm/"))
    hand.enters(send)
    yield stop("waits")
    site.house.clock.forward(minutes=2)
    assert not site.house.store.may_mail(kim, "club").may
    guardian = site.mailed(PARENT, "/guardian/")
    hand.opens(guardian)
    page.locator("#years").select_option("2")
    yield stop("guardian")
    hand.enters("button[value=yes]")
    yield stop("guardian-agreed")
    assert site.house.store.may_mail(kim, "club").may
    site.house.clock.forward(days=750)
    link = site.mailed(kim, "/of-age/")
    assert not site.house.store.may_mail(kim, "club").may
    hand.opens(link)
    yield stop("of-age")
    page.locator("#at-least-no").check()
    hand.enters(send)
    yield stop("still-a-child")
    hand.opens(link)
    page.locator("#at-least-yes").check()
    hand.enters(send)
    yield stop("goes-on")
    site.house.clock.forward(minutes=2)
    assert site.house.store.may_mail(kim, "club").may
    hand.opens(guardian)
    yield stop("guardian-over")


@pytest.mark.complaints("status of 400")
@pytest.mark.browser
@pytest.mark.skipif(find() is None, reason=MISSING)
@pytest.mark.parametrize(("window", "scheme"), [(NARROW, "light"), (DESKTOP, "dark")])
def test_the_whole_way_in_a_browser(site: Site, browser: Browser, window: dict[str, int], scheme: str) -> None:
    """KID-01, R15, A11Y-01: child and guardian, without scripts; every page fits, can be read and hit; each is left by keyboard."""
    kim = Hand(browser, viewport=window, color_scheme=scheme)
    told = os.environ.get("BRIDGE_TEST_PICTURES")
    shots = Path(told) / scheme if told else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    faults = {
        name: (overflow(kim.page), low_contrasts(kim.page), small_targets(kim.page)) for name in walk(site, kim, shots)
    }
    assert {name: fault for name, fault in faults.items() if fault != (0, [], [])} == {}
    kim.context.close()
    assert kim.complaints == []
