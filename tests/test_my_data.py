"""A reader and her own data, behind a link that was mailed to her a moment ago: see, take, correct, move, restrict,
object, erase.

GDPR 7, 12, 15 to 21; rows PRF-02, PRF-03, RGT-01, RGT-02, RGT-03, RGT-05, RGT-06, RGT-08, RGT-10, R12, R13, R14,
TRN-02, WEB-01, WEB-02, CAP-09. On both databases where the database decides.
"""

import json
import re
from itertools import count, product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from bridge.access import CSV, HTML, JSON, RECEIPTS, files
from bridge.jobs import requests as jobs
from bridge.links import Action, Claim
from bridge.policy import Policy
from bridge.receipts import about
from bridge.store.case_files import Told
from bridge.tables import corrections, looks, moves, stop_list
from bridge.vault import new_key
from bridge.verifier import check_receipt
from bridge.vocabulary import Block, EventType, RequestKind, Status, masked_email
from tests.bulk import Bulk
from tests.conftest import BASE_URL, House, Reader
from tests.test_fields import FIELDS
from tests.test_store import consents, disguises, person, stored, withdraws

NEW = "an.nieuw@lezer.example"


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """A policy that asks for a first name."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text() + FIELDS)
    return policy_folder


class Owner(Reader):
    """A reader who knows of her page."""

    def opens(self) -> str:
        """Have a fresh link mailed; the address of her page."""
        return self.asks_for_a_link().replace("/preferences/", "/my-data/")

    def does(self, link: str, act: str, **more: str) -> Any:
        """Press a button there."""
        return self.house.client.post(link, data={"act": act, **more})

    def page(self, link: str) -> str:
        """What she sees."""
        answer = self.house.client.get(link)
        assert answer.status_code == 200
        return str(answer.get_data(as_text=True))

    def moves(self, email: str) -> Any:
        """Ask for another address and press the button in the mail there."""
        assert self.does(self.opens(), "address", email=email).status_code == 200
        self.house.clock.forward(minutes=2)
        return self.confirms_at(email)

    def confirms_at(self, email: str) -> Any:
        """Press the button in the newest mail to a new address."""
        return self.does(Owner(self.house, email).link("/my-data/"), "moved")

    def lands(self, email: str) -> "Owner":
        """She is there now."""
        self.email = email
        self.house.clock.forward(minutes=2)
        self.house.dispatch()
        return self


@pytest.fixture
def an(house: House) -> Owner:
    """An, with a yes that both sides know of."""
    an = Owner(house, "an.vandenberg@lezer.example")
    an.signs_up("newsletter", first_name="Annelies")
    house.clock.forward(minutes=2)
    an.confirms()
    house.dispatch()
    house.clock.forward(minutes=2)
    return an


@pytest.fixture
def bram(house: House) -> Owner:
    """Somebody else who is here."""
    bram = Owner(house, "bram@elders.example")
    bram.has_consented("newsletter", "offers")
    return bram


def types(house: House, email: str) -> list[EventType]:
    return [event.type for event in house.store.story(person(house, email))]


# -- who may open it ---------------------------------------------------------------------------------------------


def test_only_a_freshly_mailed_link_opens_it(house: House, an: Owner) -> None:
    """PRF-03: no old mail's link, forwarded or not, no other kind of link, and none after half an hour."""
    link = an.opens()
    assert "Annelies" in an.page(link)
    old = an.link("/u/").removeprefix("/u/")
    others = [old, an.link("/confirm/").removeprefix("/confirm/"), "x", link.removeprefix("/my-data/")[:-3]]
    for token, act in product(others, (None, "download", "erase", "moved")):
        path = f"/my-data/{token}"
        answer = house.client.get(path) if act is None else an.does(path, act, format="json", sure="yes")
        assert answer.status_code in (404, 410), (act, answer.status_code)
        assert "Annelies" not in answer.get_data(as_text=True)
    house.clock.forward(minutes=31)
    for answer in (house.client.get(link), an.does(link, "erase", sure="yes"), an.does(link, "download", format="csv")):
        assert answer.status_code == 410
    assert house.store.knows(an.email)


def test_looking_changes_nothing_and_only_named_acts_do(house: House, an: Owner) -> None:
    """CON-05: scanners open every link; a POST that names no act of the page is refused."""
    link = an.opens()
    before = stored(house)
    for path in (link, f"{link}?act=erase&sure=yes", f"{link}?language=en"):
        assert house.client.get(path).status_code == 200
        assert house.client.head(path).status_code == 200
    for data in ({}, {"act": "burn"}, {"act": "download"}, {"act": "download", "format": "exe"}, {"sure": "yes"}):
        assert house.client.post(link, data=data).status_code in (400, 410)
    assert stored(house) == before


def test_no_answer_is_kept_by_anybody_and_no_address_stands_in_one(house: House, an: Owner) -> None:
    """WEB-01, WEB-02: every answer of the page says no-store, no-referrer and noindex, also errors and files."""
    link = an.opens()
    answers = [house.client.get(link), house.client.get("/my-data/x"), an.does(link, "burn")]
    answers += [an.does(link, "download", format=kind) for kind in ("json", "csv", "html")]
    answers += [an.does(link, "erase"), an.does(link, "address", email=NEW)]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert "Set-Cookie" not in answer.headers
        assert "Location" not in answer.headers
    assert "@" not in link


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_page_asks_for_no_paper_and_names_whom_to_write_to(house: House, an: Owner, language: str) -> None:
    """RGT-08, TRN-02: the mailbox is proof enough; nothing can be uploaded; who to ask; the way back."""
    link = an.opens()
    page = an.page(f"{link}?language={language}")
    assert f'<html lang="{language}"' in page
    assert 'type="file"' not in page
    assert "multipart" not in page
    contact = house.bridge.policy.contact
    assert contact.name in page
    assert page.count(contact.email) >= 2
    assert "12(6)" in page or "artikel 12, lid 6" in page
    assert link.replace("/my-data/", "/preferences/") in page
    assert link in house.client.get(link.replace("/my-data/", "/preferences/")).get_data(as_text=True)
    old = an.link("/u/").replace("/u/", "/preferences/")
    assert "/my-data/" not in house.client.get(old).get_data(as_text=True), "an old link leads to no page of hers"


# -- see and take ------------------------------------------------------------------------------------------------


def test_she_takes_all_of_it_with_her(house: House, an: Owner) -> None:
    """RGT-01, RGT-02: three files, as attachments, that say what the command says."""
    link = an.opens()
    for kind, name, media in (
        ("json", JSON, "application/json"),
        ("csv", CSV, "text/csv"),
        ("html", HTML, "text/html"),
    ):
        answer = an.does(link, "download", format=kind)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == f"{media}; charset=utf-8"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        text = answer.get_data(as_text=True)
        assert an.email in text
        assert "Annelies" in text
    assert (
        json.loads(an.does(link, "download", format="json").get_data())["you"]["number"] == person(house, an.email).id
    )


def test_she_takes_her_receipts_with_her(make_house: Any, database_url: str) -> None:
    """RGT-02, CON-07: with a seal key there is a file of signed receipts, at her page and in every answer; without a yes,
    or a key, there is neither file nor button."""
    house = make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    an = Owner(house, "an@lezer.example")
    an.signs_up("newsletter")
    link = an.opens()
    assert 'value="receipts"' not in an.page(link)
    assert an.does(link, "download", format="receipts").status_code == 400
    an.confirms()
    house.clock.forward(minutes=2)
    link = an.opens()
    an.saves(link.replace("/my-data/", "/preferences/"), "offers")
    assert 'value="receipts"' in an.page(link)
    answer = an.does(link, "download", format="receipts")
    assert answer.headers["Content-Type"].startswith("application/ld+json")
    assert answer.headers["Cache-Control"] == "no-store"
    told = json.loads(answer.get_data())
    assert [about(one)[1] for one in told] == ["newsletter", "newsletter", "offers"]
    for one in told:
        check_receipt(one, house.bridge.seals.keys)
    she = person(house, an.email)
    assert {about(one)[0] for one in told} == {she.id}
    assert files(house.bridge, she, "nl")[RECEIPTS] == answer.get_data()
    assert an.email not in answer.get_data(as_text=True), "they are shown to others"


def test_she_sees_what_each_platform_holds(house: House, an: Owner, bram: Owner) -> None:
    """RGT-01: a press asks them; the page never waits for one; until then it says that nobody has answered."""
    link = an.opens()
    assert "FNAME" not in an.page(link)
    house.esp.down = True
    calls = len(house.esp.calls)
    assert an.does(link, "look").status_code == 200
    assert len(house.esp.calls) == calls, "a page asks nobody itself"
    house.dispatch()
    assert "nog geen antwoord" in an.page(link)
    house.esp.down = False
    house.clock.forward(minutes=20)
    house.dispatch()
    page = an.page(link)
    assert "FNAME: Annelies" in page
    assert bram.email not in page
    assert json.loads(an.does(link, "download", format="json").get_data())["at the platforms"][0]["holds"]


# -- correct -----------------------------------------------------------------------------------------------------


def test_what_she_corrects_counts_at_once_and_each_platform_is_told_once(house: House, an: Owner) -> None:
    """PRF-02, RGT-03, GDPR 16 and 19: name and language; a note of who was told when; a second press says nothing new."""
    link = an.opens()
    house.esp.calls.clear()
    answer = an.does(link, "correct", first_name=" Ann ", language="en")
    assert answer.status_code == 200
    assert '<html lang="en"' in answer.get_data(as_text=True)
    after = person(house, an.email)
    assert (after.fields, after.language) == ({"first_name": "Ann"}, "en")
    assert types(house, an.email)[-1] is EventType.CORRECTED
    event = house.store.story(after)[-1]
    assert event.evidence.detail == "language first_name"
    assert "Ann" not in msgspec.json.encode(event).decode(), "what it was and is stands in the profile alone"
    (told,) = house.store.corrections(after)
    assert (told.adapter, told.confirmed) == ("memory", None)
    assert "still to be told" in an.page(link)

    house.clock.forward(minutes=1)
    house.dispatch()
    assert [call for call in house.esp.calls if call[0] == "put"] == [("put", (an.email,))]
    there = house.esp.people[an.email]
    assert (there.fields, there.language) == ({"FNAME": "Ann"}, "en")
    (told,) = house.store.corrections(after)
    assert told.confirmed == house.clock()
    assert "was told of it on" in an.page(link)
    assert an.may().may

    an.does(link, "correct", first_name="Ann", language="en")
    house.dispatch()
    assert len([call for call in house.esp.calls if call[0] == "put"]) == 1
    an.does(link, "correct", first_name="", language="en")
    assert person(house, an.email).fields == {}
    assert house.verify().problems == ()


def test_what_may_not_be_kept_is_not_taken(house: House, an: Owner) -> None:
    """MIN-01: only fields that the policy declares and a purpose of hers uses, and only what they may hold."""
    link = an.opens()
    before = stored(house)
    for data in (
        {"first_name": "x" * 101},
        {"first_name": "a\x07b"},
        {"topic": "politics"},
        {"language": "fr"},
        {"salutation": "Mevrouw"},  # for offers, which she does not get
        {"birth_date": "2000-01-01"},
    ):
        answer = an.does(link, "correct", **data)
        assert answer.status_code in (200, 400)
    assert stored(house) == before
    assert person(house, an.email).fields == {"first_name": "Annelies"}


# -- another address ---------------------------------------------------------------------------------------------


def test_a_new_address_counts_when_its_mailbox_has_confirmed(house: House, an: Owner) -> None:
    """PRF-02, R13: until then nothing changes; then her consents move, the platform hears it once, the old box too."""
    link = an.opens()
    answer = an.does(link, "address", email=NEW)
    assert NEW in answer.get_data(as_text=True)
    house.clock.forward(minutes=2)
    new = Owner(house, NEW)
    mailed = new.link("/my-data/")
    assert types(house, an.email).count(EventType.MOVED) == 0
    shown = house.client.get(mailed).get_data(as_text=True)
    assert "Nieuwsbrief" in shown
    assert an.email not in shown
    assert types(house, an.email).count(EventType.MOVED) == 0, "a scanner moves nobody"
    assert an.may().may

    house.esp.calls.clear()
    done = an.does(mailed, "moved")
    assert done.status_code == 200
    assert not house.store.knows(an.email)
    assert house.store.may_mail(NEW, "newsletter").may
    moved = house.store.story(person(house, NEW))[-1]
    assert (moved.type, moved.confirmed) == (EventType.MOVED, True)
    old_box = len(house.mailbox.to(an.email))
    house.dispatch()
    assert [str(mail["Subject"]) for mail in house.mailbox.to(an.email)[old_box:]] == [
        "De Dagwijzer: je adres is gewijzigd"
    ]
    assert house.mailbox.to(an.email)[-1].get("List-Unsubscribe") is None
    assert house.esp.people.keys() == {NEW}
    assert [who for what, who in house.esp.calls if what == "put"] == [(NEW,)]
    assert house.esp.people[NEW].on == {"newsletter"}
    assert len(new.mails()) == 1, "she is asked nothing more"
    assert [(one.adapter, bool(one.confirmed)) for one in house.store.corrections(person(house, NEW))] == [
        ("memory", True)
    ]

    again = an.does(mailed, "moved")
    assert again.status_code == 200, "pressed twice: done"
    assert types(house, NEW).count(EventType.MOVED) == 1
    assert house.client.get(link).status_code == 404, "the link to the old mailbox opens nothing any more"
    house.client.post(an.link("/u/"), data={"List-Unsubscribe": "One-Click"})
    assert not house.store.may_mail(NEW, "newsletter").may, "but an old stop link still stops"
    assert house.verify().problems == ()


def test_where_the_policy_says_so_each_consent_is_asked_anew(house: House, an: Owner) -> None:
    """R13, the other mode of `new_consent_on_address_change`: nothing goes to the new address before its own yes."""
    house.bridge.my_data._anew = True
    an.moves(NEW)
    an.lands(NEW)
    answer = an.may()
    assert (answer.may, answer.status) == (False, Status.GIVEN)
    assert not an.is_on()
    assert an.confirms().status_code == 200
    house.dispatch()
    assert an.may().may
    assert an.is_on()


@pytest.mark.parametrize("value", [True, False])
def test_the_policy_chooses(make_house: Any, sqlite_url: str, policy_folder: Path, value: bool) -> None:
    """R13: the key at the top of the policy; off unless it is there."""
    file = policy_folder / "policy.toml"
    if value:
        file.write_text("new_consent_on_address_change = true\n" + file.read_text())
    house = make_house(sqlite_url)
    assert isinstance(house.bridge.policy, Policy)
    assert house.bridge.my_data._anew is value


def test_an_address_that_never_confirms_changes_nothing_and_is_forgotten(house: House, an: Owner) -> None:
    """PRF-02, R9: not by asking, not by another asking, not by a link that waited too long; then it is gone."""
    link = an.opens()
    an.does(link, "address", email="tikfout@lezer.example")
    house.clock.forward(minutes=2)
    wrong = Owner(house, "tikfout@lezer.example").link("/my-data/")
    an.does(link, "address", email=NEW)
    assert an.does(wrong, "moved").status_code == 410, "another was asked for since"
    house.clock.forward(minutes=2)
    right = Owner(house, NEW).link("/my-data/")
    assert NEW in an.page(link)
    house.clock.forward(hours=73)
    assert house.client.get(right).status_code == 410
    assert an.does(right, "moved").status_code == 410
    house.store.forget_wishes()
    with house.bridge.database.reading() as db:
        assert db.execute(select(moves)).all() == []
    assert an.may().may
    assert not house.store.knows(NEW)


def test_nobody_learns_who_is_known_here(house: House, an: Owner, bram: Owner) -> None:
    """CAP-09: the page answers alike for a stranger's, a reader's, a stopped and an erased address; one mail each."""
    withdraws(house, bram.email)
    gone = Owner(house, "weg@elders.example").has_consented()
    house.store.erase_person(gone.email)
    house.dispatch()
    answers = []
    for email in ("vreemd@elders.example", bram.email, gone.email):
        link = an.opens()
        before = len(house.mailbox.to(email))
        answer = an.does(link, "address", email=email)
        house.clock.forward(minutes=1)
        house.dispatch()
        assert len(house.mailbox.to(email)) == before + 1
        text = answer.get_data(as_text=True).replace(email, "EMAIL")
        text = re.sub(r"/(my-data|preferences)/[^\"?]+", "LINK", text)
        answers.append(re.sub(r"<(section|details) class=\"card.*?</\1>", "", text, flags=re.S))  # what is kept
    assert answers[0] == answers[1] == answers[2]
    same = an.does(an.opens(), "address", email=an.email.upper())
    assert same.status_code == 400


def test_no_mailbox_is_flooded_by_it(house: House, an: Owner) -> None:
    """CAP-10: a stranger's address gets no second mail within five minutes, and three in a month."""
    for _ in range(9):
        house.clock.forward(hours=2)
        link = an.opens()
        an.does(link, "address", email=NEW)
        assert an.does(link, "address", email=NEW).status_code == 200
        house.dispatch()
    assert len(house.mailbox.to(NEW)) == 3


def test_who_is_here_already_is_joined_and_the_stricter_counts(house: House, an: Owner, bram: Owner) -> None:
    """R14: no yes goes over; what either said no to is stopped; what was restricted stays so; the old one ends."""
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    house.clock.forward(minutes=2)
    an.saves(an.asks_for_a_link(), "offers")  # no to the newsletter, which Bram gets
    house.clock.forward(minutes=2)
    bram.saves(bram.asks_for_a_link(), "newsletter")  # no to offers, which An gets
    house.clock.forward(minutes=2)
    an.does(an.opens(), "restrict")
    house.clock.forward(minutes=2)
    number = person(house, bram.email).id
    done = an.moves(bram.email)
    assert "al eigen keuzes" in done.get_data(as_text=True)
    house.clock.forward(minutes=2)
    house.dispatch()
    assert person(house, bram.email).id == number
    for purpose in ("newsletter", "offers"):
        assert house.store.may_mail(bram.email, purpose).status is Status.WITHDRAWN
        assert not an.may(purpose).may
        assert not bram.is_on(purpose)
    assert any(why.startswith(Block.RESTRICTED) for why in house.store.may_mail(bram.email, "newsletter").why)
    assert house.verify().problems == ()


@pytest.mark.parametrize("reason", ["withdrawn", "objected", "erased"])
def test_a_stop_of_the_new_address_stays_one(house: House, an: Owner, reason: str) -> None:
    """R14, SUP-05: whoever had that address before said no; her older yes, and her newer, does not overtake it."""
    before = Owner(house, NEW)
    if reason == "erased":
        before.has_consented()
        house.store.erase_person(NEW)
    else:
        kind = EventType.UNSUBSCRIBED if reason == "withdrawn" else EventType.COMPLAINED
        house.hear(before.told_by_esp(kind))
    house.clock.forward(days=40)
    an.saves(an.asks_for_a_link(), "newsletter", "offers")  # a yes of after that no, for her old address
    house.clock.forward(minutes=2)
    an.moves(NEW)
    an.lands(NEW)
    assert not an.may("newsletter").may
    assert not an.may("offers").may
    assert not an.is_on()
    house.clock.forward(minutes=2)
    link = an.asks_for_a_link()
    an.saves(link, "newsletter")
    house.dispatch()
    assert an.may("newsletter").may, "her own new yes counts"


def test_back_to_an_address_she_had_before(house: House, an: Owner) -> None:
    """R13, R14: what she stopped there herself, and said yes to since, is her own story: nothing is lost or overtaken."""
    old = an.email
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    house.clock.forward(minutes=2)
    an.saves(an.asks_for_a_link(), "newsletter")
    house.clock.forward(minutes=2)
    an.moves(NEW)
    an.lands(NEW)
    an.saves(an.asks_for_a_link(), "offers")
    house.clock.forward(minutes=2)
    house.dispatch()
    an.moves(old)
    an.lands(old)
    house.clock.forward(minutes=30)
    house.dispatch()
    assert (an.may("newsletter").may, an.may("offers").may) == (False, True)
    assert house.esp.people[old].on == {"offers"}
    assert NEW not in house.esp.people
    assert house.verify().problems == ()


def test_a_dead_mailbox_is_left_for_one_that_answers(house: House, an: Owner) -> None:
    """R7, R13: the block of the old mailbox is lifted by an answer from the new one, not by the move alone."""
    link = an.opens()
    an.does(link, "address", email=NEW)
    house.hear(an.told_by_esp(EventType.BOUNCED))
    house.clock.forward(minutes=2)
    old_box = len(house.mailbox.to(an.email))
    assert an.confirms_at(NEW).status_code == 200
    an.lands(NEW)
    assert not an.may().may
    assert len(house.mailbox.to("an.vandenberg@lezer.example")) == old_box, "no notice to a mailbox that is not there"
    an.confirms()
    assert an.may().may


def test_a_mail_to_a_new_address_that_is_refused_is_no_bounce_of_hers(house: House, an: Owner) -> None:
    """R7: that a typing error leads nowhere says nothing about her own mailbox."""
    house.mailbox.refuse.add("tikfout@lezer.example")
    an.does(an.opens(), "address", email="tikfout@lezer.example")
    house.dispatch()
    assert an.may().may


def test_what_waited_for_the_old_address_is_void(house: House, an: Owner) -> None:
    """R13: a request that was mailed to the old address confirms nothing after the move, nor does its waiting mail."""
    an.signs_up("offers", channel="footer")
    house.clock.forward(days=2)
    an.signs_up("offers")
    asked = an.link("/confirm/")
    an.does(an.opens(), "address", email=NEW)
    house.clock.forward(minutes=2)
    an.confirms_at(NEW)
    assert house.client.post(asked).status_code in (404, 410)
    assert not house.store.may_mail(NEW, "offers").may


def test_a_link_that_was_used_says_nothing_of_a_later_move(house: House, an: Owner) -> None:
    """R13, PRF-03: whoever reads the mailbox that she left since learns no newer address of hers from its old mail."""
    an.does(an.opens(), "address", email=NEW)
    house.clock.forward(minutes=2)
    used = Owner(house, NEW).link("/my-data/")
    an.does(used, "moved")
    an.lands(NEW)
    page = house.client.get(used).get_data(as_text=True)
    assert masked_email(NEW) in page
    assert "Is dit je nieuwe adres?" not in page, "that is answered"
    assert NEW not in page, "nor the whole of this one to whoever was forwarded it"
    an.moves("an.later@elders.example")
    for answer in (house.client.get(used), an.does(used, "moved")):
        assert answer.status_code == 410
        assert masked_email("an.later@elders.example") not in answer.get_data(as_text=True)


def test_who_moves_on_at_once_leaves_each_mailbox_its_notice(house: House, an: Owner) -> None:
    """R13: whoever stole her link and moves her twice, while her own mailbox is slow, does not keep it from her."""
    first = an.email
    an.does(an.opens(), "address", email=NEW)
    house.clock.forward(minutes=2)
    moving = Owner(house, NEW).link("/my-data/")
    house.mailbox.later.add(first)
    an.does(moving, "moved")
    an.lands(NEW)
    an.moves("an.later@lezer.example")
    assert house.store.knows("an.later@lezer.example")
    house.mailbox.later.clear()
    house.clock.forward(hours=1)
    house.dispatch()
    for left in (first, NEW):
        assert "gewijzigd" in str(house.mailbox.to(left)[-1]["Subject"]), left


_EITHER = ("newsletter", "offers")
_CHOICES: dict[str, tuple[str, ...]] = {"both": _EITHER, "news": ("newsletter",), "none": ()}
_COUNT = count()


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.sampled_from([*_CHOICES, "restrict", "lift", "object", "left there", "move"]), min_size=3, max_size=7)
)
@example(["news", "move", "both", "move", "none", "move"])
@example(["object", "move", "both", "move", "restrict", "move", "lift"])
@example(["left there", "move", "news", "move", "object", "move"])
@example(["none", "restrict", "both", "lift"])
@example(["restrict", "none", "both", "left there", "lift"])
def test_in_any_order_her_last_word_counts_at_whichever_address(home: House, acts: list[str]) -> None:
    """R1 to R6, R13, R14, RGT-05, RGT-06: she is mailed for what she last said yes to, and for nothing else, wherever
    she is; no stop is lost and none overtaken by a move, there or back."""
    number = next(_COUNT)
    an = Owner(home, f"an{number}@lezer.example")
    other = f"an{number}.nieuw@lezer.example"
    consents(home, an.email, "newsletter")
    yes, restricted = {"newsletter"}, False
    for act in acts:
        home.clock.forward(hours=1)
        if act in _CHOICES:
            an.saves(an.asks_for_a_link(), *_CHOICES[act])
            yes = set(_CHOICES[act])
        elif act == "left there":
            home.hear(an.told_by_esp(EventType.UNSUBSCRIBED))
            yes = set()
        elif act == "move":
            home.clock.forward(days=14)  # an address gets three such mails a month
            assert an.moves(other).status_code == 200
            an.email, other = other, an.email
        else:
            an.does(an.opens(), act)
            restricted = {"restrict": True, "lift": False}.get(act, restricted)
            yes = set() if act == "object" else yes
        home.clock.forward(minutes=2)
        home.dispatch()
        for purpose in _EITHER:
            assert an.may(purpose).may is (purpose in yes and not restricted), (act, purpose, an.may(purpose))
            assert an.is_on(purpose) is an.may(purpose).may, (act, purpose)
            assert not home.store.may_mail(other, purpose).may
    assert home.verify().problems == ()


# -- restrict, object --------------------------------------------------------------------------------------------


def test_what_is_restricted_is_kept_and_not_used(house: House, an: Owner) -> None:
    """RGT-05, GDPR 18: not mailed, not synced, not deleted; lifted it goes on as before, without a new yes anywhere."""
    link = an.opens()
    an.does(link, "restrict")
    an.does(link, "restrict")
    assert types(house, an.email).count(EventType.RESTRICTED) == 1
    assert "Beperking opheffen" in an.page(link) or "beperking opheffen" in an.page(link)
    house.clock.forward(minutes=1)
    house.dispatch()
    assert not an.may().may
    there = house.esp.people[an.email]
    assert there.on == set()
    assert there.left == set(), "no stop of hers: she said none"
    an.does(link, "correct", first_name="Ann")
    house.dispatch()
    assert "Ann" not in house.esp.people[an.email].fields.values()
    house.clock.forward(days=400)
    house.store.forget_requests()
    house.store.forget_quarantined(["footer"])
    assert house.store.knows(an.email)
    link = an.opens()
    an.does(link, "lift")
    an.does(link, "lift")
    assert types(house, an.email).count(EventType.UNRESTRICTED) == 1
    house.clock.forward(minutes=1)
    house.dispatch()
    assert an.may().may
    assert house.esp.people[an.email].on == {"newsletter"}


def test_a_restricted_request_is_not_deleted_until_she_lifts_it(house: House) -> None:
    """RGT-05, CON-06: not even a request whose time is up, while she wants it kept; then it is, as any other."""
    an = Owner(house, "an@lezer.example")
    an.signs_up()
    an.does(an.opens(), "restrict")
    house.clock.forward(days=30)
    house.store.forget_requests()
    assert house.store.knows(an.email)
    an.does(an.opens(), "lift")
    an.does(an.opens(), "restrict")
    house.store.forget_requests()
    assert house.store.knows(an.email), "restricted anew"
    an.does(an.opens(), "lift")
    house.store.forget_requests()
    assert not house.store.knows(an.email)


@pytest.mark.parametrize("back", [0, 3, 90])
def test_a_clock_that_is_set_back_overtakes_no_restriction(house: House, an: Owner, back: int) -> None:
    """RGT-05: what she pressed last counts, in the same second too, and with a clock that went back meanwhile."""
    link = an.opens()
    house.clock.forward(minutes=5)
    for act, restricted in (("restrict", True), ("lift", False)) * 2:
        assert an.does(link, act).status_code == 200
        assert an.may().may is not restricted, act
        house.clock.forward(seconds=-back)
    house.clock.forward(minutes=20)
    house.dispatch()
    assert an.may().may
    assert an.is_on()
    an.does(an.opens(), "restrict")
    assert not an.may().may


@pytest.mark.parametrize("road", ["her page", "a letter"])
def test_both_platforms_keep_her_on_hold_and_take_her_back(both: Bulk, road: str) -> None:
    """RGT-05: restricted by her page or by letter, lifted on the same road: no stop there, and no new yes is needed."""
    house = both.house
    an = Owner(house, "an@lezer.example")
    consents(house, an.email, "newsletter", "offers")
    both.settle()
    both.equal([an.email])
    if road == "her page":
        an.does(an.opens(), "restrict")
    else:
        case = jobs.open_request(house.bridge, Told(email=an.email), RequestKind.RESTRICT, own_mailbox=True)
        jobs.answer(house.bridge, case)
    house.clock.forward(hours=1)
    both.settle()
    assert not an.may().may
    assert both.receives("mailchimp", an.email) == both.receives("sendgrid", an.email) == []
    house.clock.forward(days=2)
    if road == "her page":
        an.does(an.opens(), "lift")
    else:
        case, why = house.store.cases.find(case.id), "What was in dispute is settled."
        jobs.lift(house.bridge, case, why, None, carry_out=True)
    both.settle()
    assert an.may().may
    both.equal([an.email])
    assert both.receives("sendgrid", an.email) == ["newsletter", "offers"]


def test_an_objection_stops_everything_and_is_weighed_against_nothing(house: House, an: Owner) -> None:
    """RGT-06, GDPR 21(2) and (3): one press, every purpose, at every platform; nobody's list holds her any more."""
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    house.clock.forward(minutes=2)
    link = an.opens()
    assert an.does(link, "object").status_code == 200
    an.does(link, "object")
    assert types(house, an.email).count(EventType.OBJECTED) == 1
    house.dispatch()
    for purpose in ("newsletter", "offers"):
        assert an.status(purpose) is Status.OBJECTED
        assert not an.is_on(purpose)
    with house.bridge.database.reading() as db:
        hashes = {entry.value for entry in house.bridge.vault.stop_hashes(an.email)}
        found = db.execute(select(stop_list.c.reason, stop_list.c.scope).where(stop_list.c.hash.in_(hashes))).all()
    assert ("objected", "") in [tuple(row) for row in found]
    assert "Je maakte bezwaar" in an.page(link)


@pytest.mark.parametrize(("language", "words"), [("nl", "recht van bezwaar"), ("en", "right to object")])
def test_the_first_mails_mention_the_right_to_object_by_itself(house: House, language: str, words: str) -> None:
    """RGT-06, GDPR 21(4): in the question and in the receipt, apart from everything else, in text and HTML."""
    an = Reader(house, "an@lezer.example", language)
    an.signs_up()
    house.clock.forward(minutes=2)
    an.confirms()
    for mail in an.mails():
        for kind in ("plain", "html"):
            body = mail.get_body((kind,))
            assert body is not None
            assert words in body.get_content().lower()


def test_no_list_of_people_leaves_without_the_gate(house: House, an: Owner, bram: Owner) -> None:
    """RGT-10, GDPR 21(3): there is no export of a segment. What a platform is told is on for nobody whom `may_mail`
    refuses: by an objection, a stop, a restriction; each other road out gives one person's data, or numbers.
    """
    an.does(an.opens(), "object")
    bram.does(bram.opens(), "restrict")
    house.clock.forward(minutes=1)
    house.dispatch()
    assert {email: there.on for email, there in house.esp.people.items()} == {an.email: set(), bram.email: set()}
    from bridge.cli import main

    exporting = {name for name, command in main.commands.items() if "export" in (command.help or "").lower()}
    assert exporting <= {"import", "export", "audit"}, "a new road that gives a list of people must pass the gate"


# -- erase -------------------------------------------------------------------------------------------------------


def test_she_is_erased_in_two_steps_and_nothing_is_left(house: House, an: Owner) -> None:
    """RGT-04, R12: first what goes and what stays; then all of it, also looks, moves and corrections; no mail after."""
    link = an.opens()
    an.does(link, "look")
    an.does(link, "correct", first_name="Ann")
    an.does(link, "address", email=NEW)
    first = an.does(link, "erase")
    assert "Wat blijft" in first.get_data(as_text=True)
    assert house.store.knows(an.email)
    done = an.does(link, "erase", sure="yes")
    assert "?language=" not in done.text, "nobody can open this page once more"
    assert done.status_code == 200
    page = done.get_data(as_text=True)
    assert an.email not in page
    assert "An ESP in memory" in page
    mails = len(house.mailbox.messages)
    house.dispatch()
    house.clock.forward(minutes=30)
    house.dispatch()
    assert len(house.mailbox.messages) == mails, "she gets no mail after it, at either address"
    assert not house.store.knows(an.email)
    assert an.email not in house.esp.people
    with house.bridge.database.reading() as db:
        for table in (looks, moves, corrections):
            assert db.execute(select(table)).all() == []
    for where, value in stored(house):
        for name, disguise in (disguises(an.email) | disguises(NEW)).items():
            assert disguise not in value, (where, name)
    for again in (house.client.get(link), an.does(link, "erase", sure="yes"), an.does(link, "correct", first_name="A")):
        assert again.status_code == 404
    assert house.verify().problems == ()


def test_a_link_from_before_does_nothing_to_who_signs_up_anew(house: House, an: Owner) -> None:
    """R12: the new person of that address is nobody's to erase, move or read by a link of the old one."""
    before = person(house, an.email)
    an.does(an.opens(), "erase", sure="yes")
    house.clock.forward(days=40)
    consents(house, an.email, "newsletter")
    assert an.may().may
    claim = Claim(action=Action.FRESH, subject=before.id, address=before.mark, made=house.clock())
    link = f"/my-data/{house.bridge.links.token(claim)}"
    for act in ("erase", "object", "restrict", "correct", "download"):
        assert an.does(link, act, sure="yes", format="json", first_name="A").status_code == 404
    claim = msgspec.structs.replace(claim, action=Action.MOVE, request="x")
    assert an.does(f"/my-data/{house.bridge.links.token(claim)}", "moved").status_code == 410
    assert an.may().may


def test_two_presses_at_once_erase_once(house: House, an: Owner) -> None:
    """RGT-04: whoever presses twice, or moves and erases at the same time, is gone under both addresses."""
    link = an.opens()
    an.does(link, "address", email=NEW)
    house.clock.forward(minutes=1)
    moving = Owner(house, NEW).link("/my-data/")
    she = person(house, an.email)
    an.does(moving, "moved")
    assert house.store.erase_person(she.email).moved, "read before the move, erased after it"
    assert not house.store.knows(NEW)
    assert not house.store.may_mail(NEW, "newsletter").may


# -- the mails ---------------------------------------------------------------------------------------------------


def test_the_mail_to_the_new_address_says_nothing_of_the_old_one(house: House, an: Owner) -> None:
    """WEB-02: no address in a link, none of hers in the mail; no way to leave is offered to a stranger's mailbox."""
    an.does(an.opens(), "address", email=NEW)
    house.dispatch()
    (mail,) = house.mailbox.to(NEW)
    raw = mail.as_string()
    assert an.email not in raw
    assert "List-Unsubscribe" not in raw
    token = Owner(house, NEW).link("/my-data/").removeprefix("/my-data/")
    claim = house.bridge.links.read(Action.MOVE, token, house.clock())
    assert claim.request
    assert BASE_URL in raw.replace("=\n", "")
