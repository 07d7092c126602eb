"""Confirming: double opt-in (BGH I ZR 164/09), safe methods (RFC 9110), and the receipt of GDPR 7(1) and 13."""

from datetime import timedelta
from typing import Any

import pytest

from bridge.links import Action, Claim
from bridge.vocabulary import EventType, Method, Report, Status
from tests.conftest import House, Reader
from tests.test_subscribe import everything_stored, html

PENDING = timedelta(hours=72)


def given(reader: Reader) -> list[Any]:
    """Her recorded yeses."""
    return [event for event in reader.story() if event.type is EventType.GIVEN]


def test_the_button_is_her_yes(house: House, an: Reader) -> None:
    """CON-02: pressed once, it is recorded with what was asked and when, the words, the mail and the link."""
    an.signs_up("newsletter", "offers")
    asked = house.clock()
    house.clock.forward(minutes=3)
    page = an.confirms()

    assert page.status_code == 200
    assert {event.purpose for event in given(an)} == {"newsletter", "offers"}
    for event in given(an):
        assert (event.asked, event.time, event.method) == (asked, house.clock(), Method.CONFIRM_PAGE)
        assert event.evidence.box == "ticked"
        assert event.evidence.request
        assert event.evidence.template
        assert event.evidence.token
    assert an.may("newsletter").may


def test_only_what_was_asked_is_given(house: House, an: Reader) -> None:
    """CAP-02: confirming the newsletter says nothing about the offers."""
    an.signs_up("newsletter")
    house.clock.forward(minutes=3)
    an.confirms()

    assert (an.may("newsletter").may, an.may("offers").may) == (True, False)


@pytest.mark.parametrize(("late", "works"), [(-1, True), (0, True), (1, False)])
def test_a_link_lives_72_hours(house: House, an: Reader, late: int, works: bool) -> None:
    """CON-04: one second before its end the link works, one second after it does not, and the page offers a new one."""
    an.signs_up()
    link = an.link("/confirm/")
    house.clock.forward(seconds=PENDING.total_seconds() + late)
    seen, pressed = house.client.get(link), house.client.post(link)

    assert seen.status_code == pressed.status_code == (200 if works else 410)
    assert an.may().may is works
    if not works:
        assert 'href="/subscribe"' in html(pressed)


def test_a_second_press_says_that_it_is_done(house: House, an: Reader) -> None:
    """CON-04: "already confirmed", no second event, no second welcome."""
    an.signs_up()
    house.clock.forward(minutes=2)
    link = an.link("/confirm/")
    first = house.client.post(link)
    house.clock.forward(minutes=2)
    second = house.client.post(link, headers={"Accept-Language": "en"})
    mails = an.mails()

    assert (first.status_code, second.status_code) == (200, 200)
    assert "Je had al bevestigd" in html(second)
    assert len(given(an)) == 1
    assert len(mails) == 2


def test_the_second_of_two_requests_confirms_too(house: House, an: Reader) -> None:
    """CON-04: each link answers its own request; the older one still works, and both together are no two yeses too
    many."""
    an.signs_up("newsletter")
    first = an.link("/confirm/")
    house.clock.forward(hours=25)
    an.signs_up("newsletter")
    second = an.link("/confirm/")
    assert first != second

    house.clock.forward(minutes=1)
    assert house.client.post(first).status_code == 200
    house.clock.forward(minutes=1)
    assert house.client.post(second).status_code == 200
    assert an.may().may
    assert len({event.evidence.request for event in given(an)}) == len(given(an))


@pytest.mark.parametrize("action", [Action.STOP, Action.FRESH])
def test_no_other_link_confirms(house: House, an: Reader, action: Action) -> None:
    """CON-04, KEY-01: a token made for something else confirms nothing, even with the same content."""
    an.signs_up()
    an.mails()
    person = house.store.person(an.email)
    assert person is not None
    request = an.story()[0].evidence.request or ""
    claim = Claim(action=action, subject=person.id, address=person.mark, made=house.clock(), request=request)
    path = f"/confirm/{house.bridge.links.token(claim)}"

    assert (house.client.get(path).status_code, house.client.post(path).status_code) == (404, 404)
    assert not an.may().may


def test_scanners_confirm_nothing(house: House, an: Reader) -> None:
    """CON-05: a hundred GETs, HEADs and prefetches leave everything as it was; the page has one button, no script."""
    an.signs_up()
    link = an.link("/confirm/")
    before = len(an.story())
    scanner = house.app.test_client(use_cookies=False)
    for number in range(100):
        kind = {"Purpose": "prefetch", "Sec-Purpose": "prefetch"} if number % 2 else {}
        assert (
            scanner.get(link, headers=kind, environ_overrides={"REMOTE_ADDR": f"198.51.{number}.7"}).status_code == 200
        )
    head = scanner.head(link)
    page = html(scanner.get(link))

    assert head.status_code == 200
    assert head.data == b""
    assert len(an.story()) == before
    assert an.status() is Status.REQUESTED
    assert page.count("<button") == 1
    assert "<script" not in page
    assert "http-equiv" not in page


def test_who_never_confirms_is_forgotten(house: House, an: Reader) -> None:
    """CON-06: when the request is too old it goes, with her address and her id, out of every table and queue."""
    an.signs_up("newsletter", "offers")
    link = an.link("/confirm/")
    person = house.store.person(an.email)
    assert person is not None
    house.clock.forward(seconds=PENDING.total_seconds() + 60)

    assert house.store.forget_requests() == 1
    left = everything_stored(house)
    assert person.id not in left
    assert person.mark not in left
    assert an.email not in left
    assert house.store.person(an.email) is None
    assert house.client.post(link).status_code == 410
    assert not house.verify().problems


def test_who_never_confirms_is_forgotten_also_where_a_platform_says_that_she_moved(house: House, an: Reader) -> None:
    """CON-06, R13: a change of address there is no ground to keep the new one."""
    to = "an.new@lezer.example"
    an.signs_up("newsletter")
    house.clock.forward(hours=1)
    moved = Report(type=EventType.MOVED, email=an.email, to=to, time=house.clock.now, key="moved")
    assert house.store.hear("memory", [moved]) == 1
    house.clock.forward(seconds=PENDING.total_seconds() + 60)

    assert house.store.forget_requests() == 1
    assert house.store.person(to) is None
    assert to not in everything_stored(house)


def test_who_has_another_ground_stays(house: House, an: Reader) -> None:
    """CON-06: she confirmed one purpose; a second request that she never confirms takes nothing from her."""
    an.has_consented("newsletter")
    house.clock.forward(days=2)
    an.signs_up("offers")
    house.clock.forward(days=4)

    assert house.store.forget_requests() == 0
    assert an.may("newsletter").may


def test_one_receipt_with_the_exact_words(house: House, an: Reader) -> None:
    """CON-07: exactly one mail after confirming, for all purposes together, with a receipt of the exact words, the
    time, the place, and the ways out."""
    an.signs_up("newsletter", "offers")
    house.clock.forward(minutes=2)
    an.confirms()
    house.dispatch()
    house.clock.forward(hours=1)
    welcome = [mail for mail in an.mails() if mail["List-Unsubscribe"]]

    assert len(welcome) == 1
    (receipt,) = list(welcome[0].iter_attachments())
    assert receipt.get_filename() == "consent-receipt.txt"
    text = receipt.get_content().replace("\r\n", "\n")
    for purpose in ("newsletter", "offers"):
        words = house.bridge.notices.wording(purpose, "nl")
        for exact in (words.label, words.text, words.sha256):
            assert exact in text
    for event in given(an):
        assert event.key in text
    assert "het formulier onderaan onze website" in text
    assert "/u/" in text
    body = welcome[0].get_body(("plain",))
    assert body is not None
    assert "/preferences/" in body.get_content()
    assert "/u/" in body.get_content()


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_receipt_is_in_one_language(home: House, language: str) -> None:
    """CON-07, CAP-08: in Dutch no sentence of the receipt is English, and the other way round."""
    an = Reader(home, "an@lezer.example", language).has_consented()
    (receipt,) = list(an.mails()[-1].iter_attachments())
    text = receipt.get_content()

    assert ("RECEIPT OF YOUR CONSENT" in text) is (language == "en")
    assert ("You can take this back" in text) is (language == "en")
    assert ("Asked:" in text) is (language == "en")
    assert ("The words you" in text) is (language == "en")


# -- a stop in between --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["one click", "page", "all", "complaint", "left at the ESP"])
def test_a_link_from_before_a_stop_is_void(house: House, an: Reader, how: str) -> None:
    """Rule R4: she asked, then left, then found the old mail: the button of that mail no longer speaks for her. The
    page says so and offers to ask anew."""
    an.has_consented("newsletter")
    house.clock.forward(days=2)
    stop = an.link("/u/")
    house.mailbox.clear()
    an.signs_up("newsletter", "offers")
    old = an.link("/confirm/")
    house.clock.forward(minutes=1)
    acts = {
        "one click": lambda: house.client.post(stop, data={"List-Unsubscribe": "One-Click"}),
        "page": lambda: house.client.post(stop, data={"scope": "list"}),
        "all": lambda: house.client.post(stop, data={"scope": "all"}),
        "complaint": lambda: house.hear(an.told_by_esp(EventType.COMPLAINED)),
        "left at the ESP": lambda: house.hear(an.told_by_esp(EventType.UNSUBSCRIBED)),
    }
    acts[how]()
    house.dispatch()
    house.clock.forward(minutes=1)
    seen = house.client.get(old, headers={"Accept-Language": "en"})
    pressed = house.client.post(old, headers={"Accept-Language": "en"})

    assert not an.may("newsletter").may
    assert not an.is_on("newsletter")
    assert (seen.status_code, pressed.status_code) == (410, 410)
    assert "your last word counts" in html(pressed)
    assert 'href="/subscribe"' in html(pressed)
    assert not an.may("offers").may


def test_a_new_request_after_the_stop_works(house: House, an: Reader) -> None:
    """Rule R4: her own new request, put after the stop and confirmed, starts the mail again."""
    an.has_consented("newsletter")
    an.one_click()
    house.clock.forward(days=2)
    an.signs_up("newsletter")
    house.clock.forward(minutes=1)
    assert an.confirms().status_code == 200
    house.dispatch()

    assert an.may().may
    assert an.is_on()


def test_the_stop_wins_within_one_second(house: House, an: Reader) -> None:
    """Rule R4: asked and stopped in the same second: stopped."""
    an.has_consented("newsletter")
    stop = an.link("/u/")
    house.clock.forward(days=2)
    an.signs_up("newsletter", "offers")
    house.client.post(stop, data={"scope": "all"})
    house.clock.forward(minutes=1)

    assert an.may("newsletter").may is False
    person = house.store.person(an.email)
    assert person is not None
    request = next(e.evidence.request for e in an.story() if e.purpose == "offers")
    claim = Claim(
        action=Action.CONFIRM,
        subject=person.id,
        address=person.mark,
        made=house.clock() - timedelta(minutes=1),
        request=request or "",
    )
    assert house.client.post(f"/confirm/{house.bridge.links.token(claim)}").status_code == 410
    assert an.may("offers").may is False
