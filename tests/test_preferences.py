"""Choosing: GDPR 7(3), 16 and 25: one page that shows every purpose as it is, and changes only what she changed."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from bridge.links import Action, Claim
from bridge.store.values import Person
from bridge.vocabulary import READER, ConsentEvent, EventType, Method, Status
from tests.conftest import Fields, House, Reader
from tests.test_subscribe import html, lang
from tests.test_unsubscribe import stop_link
from tests.weather import away


def old_link(reader: Reader) -> str:
    """The preference page behind the link of an old mail."""
    return "/preferences/" + stop_link(reader, "").removeprefix("/u/")


def fresh_link(reader: Reader) -> str:
    """The preference page behind a link that was mailed just now."""
    person = someone(reader)
    house = reader.house
    claim = Claim(action=Action.FRESH, subject=person.id, address=person.mark, made=house.clock())
    return f"/preferences/{house.bridge.links.token(claim)}"


def someone(reader: Reader) -> Person:
    """The person behind the reader."""
    person = reader.house.store.person(reader.email)
    assert person is not None
    return person


def cards(page: str) -> dict[str, str]:
    """What the page says of each purpose, by its id, without markup."""
    found = re.findall(r'<section class="card" aria-labelledby="name-([\w-]+)">(.*?)</section>', page, re.DOTALL)
    return {name: " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split()) for name, body in found}


def state(page: str, purpose: str) -> str:
    """The word beside a purpose's name."""
    section = page[page.index(f'id="name-{purpose}"') :]
    found = re.search(r'<span class="state \w+">(.*?)</span>', section)
    assert found
    return found[1]


def told(page: str) -> str:
    """The page's message, without markup."""
    found = re.search(r'<div class="message (?:done|alert)".*?</div>', page, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split()) if found else ""


def types(reader: Reader) -> list[tuple[EventType, str]]:
    """What happened to her, shortly."""
    return [(event.type, event.purpose) for event in reader.story()]


# -- what the page shows ----------------------------------------------------------------------------------------------


def test_the_page_is_the_store(house: House, an: Reader) -> None:
    """PRF-01: every purpose with its state, since when and by which act, before and after each kind of act; the ticks
    are what is on."""
    an.has_consented("newsletter")
    an.language = "en"
    yes = an.story()[-1].time
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))
    assert Fields(page).checked == ["newsletter"]
    assert Fields(page).boxes == ["newsletter", "offers"]
    assert state(page, "newsletter") == "On"
    assert "You said yes · since 23 November 2026 · confirmed from your mailbox" in cards(page)["newsletter"]
    assert yes.date().isoformat() == "2026-11-23"
    assert state(page, "offers") == "Off"
    assert "We have no yes from you" in cards(page)["offers"]

    house.clock.forward(days=1)
    an.one_click()
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))
    assert Fields(page).checked == []
    assert state(page, "newsletter") == "Off"
    assert "You stopped this · since 24 November 2026" in cards(page)["newsletter"]
    assert "unsubscribe button of your mail program" in cards(page)["newsletter"]

    house.clock.forward(days=1)
    house.hear(an.told_by_esp(EventType.COMPLAINED))
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))
    assert (
        "You objected to our mail · since 25 November 2026 · reported by our mailing service" in cards(page)["offers"]
    )

    house.clock.forward(days=1)
    an.signs_up("offers")
    house.clock.forward(minutes=1)
    an.confirms()
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))
    assert Fields(page).checked == ["offers"]
    assert "You said yes · since 26 November 2026" in cards(page)["offers"]
    assert "You objected" in cards(page)["newsletter"]


def test_waiting_is_not_on(house: House, an: Reader) -> None:
    """PRF-01: asked and not confirmed: off, and the page says what it waits for."""
    an.signs_up("newsletter")
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))

    assert Fields(page).checked == []
    assert "Waiting for your confirmation" in cards(page)["newsletter"]


def test_all_in_one_post(house: House, an: Reader) -> None:
    """PRF-01: one purpose off and the other on with one button."""
    an.has_consented("newsletter")
    link = an.asks_for_a_link()
    house.clock.forward(seconds=5)
    page = html(an.saves(link, "offers"))

    assert (an.may("newsletter").may, an.may("offers").may) == (False, True)
    assert told(page) == "Bewaard."
    house.dispatch()
    assert (an.is_on("newsletter"), an.is_on("offers")) == (False, True)


def test_nothing_changed_is_nothing_recorded(house: House, an: Reader) -> None:
    """Decision 10: saving the page as it is writes no event: only differences are acts."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    before = types(an)
    house.clock.forward(minutes=1)

    assert an.saves(link, "newsletter").status_code == 200
    assert types(an) == before


@pytest.mark.parametrize(
    "form",
    [{"language": "en"}, {"pause_until": "2026-12-24"}, {"pause_until": ""}],
    ids=["language", "pause", "resume"],
)
def test_language_and_pause_touch_no_purpose(house: House, an: Reader, form: dict[str, str]) -> None:
    """Decision 10: a POST of only the language or the pause leaves each purpose as it is, though no box is in it."""
    an.has_consented("newsletter", "offers")
    before = {purpose: an.status(purpose) for purpose in ("newsletter", "offers")}
    answer = house.client.post(fresh_link(an), data=form)

    assert answer.status_code == 200
    assert {purpose: an.status(purpose) for purpose in before} == before
    assert all(kind not in (EventType.WITHDRAWN, EventType.GIVEN) for kind, _ in types(an)[4:])


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"purpose": "offers"},
        {"was": "newsletter"},
        {"save": "everything", "was": "newsletter"},
        {"stop": "nothing"},
        {"save": "purposes", "purpose": "horoscope"},
    ],
)
def test_a_post_that_is_no_form_of_ours_changes_nothing(house: House, an: Reader, form: dict[str, str]) -> None:
    """Decision 10: without `save=purposes` no box means anything; an unknown purpose is refused."""
    an.has_consented("newsletter")
    before = types(an)
    answer = house.client.post(fresh_link(an), data=form)

    assert answer.status_code == 400
    assert types(an) == before


def test_unticking_everything_is_a_stop_of_each(house: House, an: Reader) -> None:
    """PRF-01: no box in the form, but `was` tells what was on."""
    an.has_consented("newsletter", "offers")
    house.clock.forward(minutes=1)
    an.saves(fresh_link(an))

    assert (an.status("newsletter"), an.status("offers")) == (Status.WITHDRAWN, Status.WITHDRAWN)


# -- a page that grew old --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_stale_page_cannot_switch_on(house: House, an: Reader, seconds: int) -> None:
    """Decision 10: the page was open while she stopped elsewhere; its yes answers a question from before the stop. It
    is not taken, and she is told to look again."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    stale = Fields(html(house.client.get(link)))
    house.clock.forward(seconds=seconds)
    house.client.post(stop_link(an, ""), data={"scope": "all"})
    house.clock.forward(seconds=10)
    data = {name: value for name, value in stale.hidden if name in ("save", "was", "made")}
    answer = house.client.post(f"{link}?language=en", data={**data, "purpose": ["newsletter", "offers"]})

    assert answer.status_code == 400
    assert "Look again" in told(html(answer))
    assert not an.may("offers").may
    assert not an.may("newsletter").may
    assert Fields(html(answer)).checked == []

    house.clock.forward(seconds=10)
    assert an.saves(link, "offers").status_code == 200
    assert an.may("offers").may


def test_a_stale_page_brings_nothing_back(house: House, an: Reader) -> None:
    """Decision 10: the newsletter was on when the page was made and still has its tick, but she stopped it since: no
    difference, so no act."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    stale = Fields(html(house.client.get(link)))
    house.clock.forward(minutes=1)
    an.one_click()
    house.clock.forward(minutes=1)
    hidden: dict[str, Any] = {name: value for name, value in stale.hidden if name in ("save", "was", "made")}
    house.client.post(link, data={**hidden, "purpose": "newsletter"})

    assert an.status() is Status.WITHDRAWN


def test_the_time_of_the_page_cannot_be_moved(house: House, an: Reader) -> None:
    """Decision 10: a page "made" in the future, long ago or never does not outrun a stop."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    house.clock.forward(minutes=1)
    house.client.post(stop_link(an, ""), data={"scope": "all"})
    for made in ("99999999999", "0", "-5", "abc", "", "\u0661", "1e9"):
        answer = house.client.post(link, data={"save": "purposes", "purpose": "offers", "made": made})
        assert answer.status_code == 400, made
    assert not an.may("offers").may


# -- which link may do what --------------------------------------------------------------------------------------------------


def test_an_old_link_stops_at_once_and_asks_for_more(house: House, an: Reader) -> None:
    """PRF-03, PRF-04: behind the link of an old mail, which may have been forwarded, a no counts at once; a yes only
    asks: a confirmation mail goes to the mailbox, and only that switches on."""
    an.has_consented("newsletter")
    house.clock.forward(days=2)
    link = old_link(an)
    page = html(house.client.get(link))
    assert "a•••@l•••.example" in page
    assert an.email not in page
    answer = an.saves(link, "offers")

    assert "we hebben je een mail gestuurd" in told(html(answer))
    assert an.status("newsletter") is Status.WITHDRAWN
    assert an.status("offers") is Status.REQUESTED
    assert not an.may("offers").may
    house.dispatch()
    assert not an.is_on("offers")
    house.clock.forward(minutes=1)
    assert an.confirms().status_code == 200
    assert an.may("offers").may
    assert not an.may("newsletter").may


def test_an_old_link_asks_for_more_on_the_day_of_signing_up(home: House, reader: Reader) -> None:
    """CAP-10: the limit of a stranger's form does not stand in the way of the reader who holds a link."""
    reader.has_consented("newsletter")
    answer = reader.saves(old_link(reader), "newsletter", "offers")

    assert "we hebben je een mail gestuurd" in told(html(answer))
    home.clock.forward(minutes=1)
    assert reader.confirms().status_code == 200
    assert reader.may("offers").may


def test_a_mail_that_does_not_go_is_not_announced(home: House, reader: Reader) -> None:
    """PRF-04, CAP-10: she asked so often that no further mail goes: then the page does not say "we sent you a mail",
    but what works instead. The no in the same form counts."""
    reader.has_consented("newsletter")
    link = old_link(reader)
    for purposes in (["newsletter", "offers"],) * 40:
        answer = reader.saves(f"{link}", *purposes)
        house_mails = len([mail for mail in reader.mails() if "/confirm/" in mail.as_string()])
        assert ("we hebben je een mail gestuurd" in told(html(answer))) is (reader.status("offers") is Status.REQUESTED)
        home.client.post(stop_link(reader, "offers"))
        home.clock.forward(minutes=1)
        if answer.status_code == 400:
            break
    assert house_mails <= 3
    assert "Niet alles is bewaard." in told(html(answer))
    assert "Zet het aan met een nieuwe link" in told(html(answer))

    reader.saves(link, "offers")
    assert reader.status("newsletter") is Status.WITHDRAWN


def test_a_fresh_link_switches_on_with_proof(house: House, an: Reader) -> None:
    """PRF-04: behind a freshly mailed link her yes counts at once, with the words, the box, the time of the page."""
    an.has_consented("newsletter")
    link = an.asks_for_a_link()
    house.clock.forward(minutes=1)
    page = html(house.client.get(link))
    words = house.bridge.notices.wording("offers", "nl")
    assert unescape(page).count(words.text) == 1, "the notice stands beside the box"
    made = house.clock()
    data = {name: value for name, value in Fields(page).hidden if name in ("save", "was", "made")}
    house.clock.forward(minutes=2)
    house.client.post(link, data={**data, "purpose": ["newsletter", "offers"]})
    given = an.story()[-1]

    assert (given.type, given.purpose, given.method) == (EventType.GIVEN, "offers", Method.PREFERENCE_PAGE)
    assert (given.asked, given.notice, given.channel) == (made, 1, "preferences")
    assert (given.evidence.wording, given.evidence.language) == (words.sha256, "nl")
    assert given.evidence.box == "ticked"
    assert given.evidence.token
    assert an.may("offers").may


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (30, 200), (31, 410), (60 * 25, 410)])
def test_a_fresh_link_lives_half_an_hour(house: House, an: Reader, minutes: int, status: int) -> None:
    """PRF-03, PRF-04: after 30 minutes it neither shows nor changes, and offers a new one."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    house.clock.forward(minutes=minutes)
    answer = house.client.post(link, data={"save": "purposes", "purpose": "offers"})

    assert house.client.get(link).status_code == answer.status_code == status
    assert an.may("offers").may is (status == 200)
    if status == 410:
        page = html(house.client.get(link))
        assert 'href="https://keuzes.dagwijzer.example/preferences"' in page
        assert "•••" not in page


def test_a_confirm_link_opens_no_preferences(house: House, an: Reader) -> None:
    """PRF-03: a token works only for what it was made for."""
    an.signs_up("newsletter")
    token = an.link("/confirm/").removeprefix("/confirm/")

    assert house.client.get(f"/preferences/{token}").status_code == 404
    assert house.client.post(f"/preferences/{token}", data={"stop": "all"}).status_code == 404


def test_links_come_by_mail_only(house: House, an: Reader, dirk: Reader) -> None:
    """PRF-03: who asks for An's link sees nothing of it: it goes to her mailbox, and Dirk gets none."""
    an.has_consented("newsletter")
    answer = house.client.post("/preferences", data={"email": an.email})
    house.client.post("/preferences", data={"email": dirk.email})

    assert an.email not in html(answer)
    assert not re.search(r"/preferences/\w", html(answer))
    link = an.link("/preferences/")
    assert house.client.get(link).status_code == 200
    assert dirk.mails() == []


# -- stop, language, pause -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [old_link, fresh_link], ids=["old", "fresh"])
def test_one_button_stops_everything(house: House, an: Reader, link: Any) -> None:
    """PRF-05, WDR-14: in sight above the list; one POST, every purpose stopped, also one that never was on."""
    an.has_consented("newsletter", "offers")
    path = link(an)
    page = html(house.client.get(path))
    assert page.index('name="stop"') < page.index('type="checkbox"')
    answer = html(house.client.post(path, data={"stop": "all"}))

    assert types(an)[-1] == (EventType.WITHDRAWN, "")
    assert an.story()[-1].method is (Method.PREFERENCE_LINK if link is old_link else Method.PREFERENCE_PAGE)
    assert not any(an.may(purpose).may for purpose in ("newsletter", "offers"))
    assert told(answer).startswith("Alles is stopgezet.")
    assert Fields(answer).checked == []
    assert {state(answer, purpose) for purpose in ("newsletter", "offers")} == {"Uit"}
    house.dispatch()
    assert not an.is_on("newsletter")


def test_stop_everything_while_the_store_is_away(house: House, an: Reader) -> None:
    """PRF-05, WDR-10: the button is kept and says so; it is carried out when the store is back."""
    an.has_consented("newsletter", "offers")
    link = fresh_link(an)
    with away(house):
        answer = house.client.post(link, data={"stop": "all"})
    house.dispatch()

    assert answer.status_code == 200
    assert "•••" not in html(answer)
    assert not any(an.may(purpose).may for purpose in ("newsletter", "offers"))


def test_language_changes_at_once(house: House, an: Reader) -> None:
    """PRF-02: the language of her mail, at the ESP too; the answer and the next mail are in it."""
    an.has_consented("newsletter")
    answer = html(house.client.post(fresh_link(an), data={"language": "en"}))

    assert lang(answer) == "en"
    assert told(answer).startswith("Saved.")
    assert re.search(r'<option value="en"[^>]* selected', answer)
    assert (types(an)[-1][0], an.story()[-1].evidence.language) == (EventType.CORRECTED, "en")
    house.dispatch()
    assert house.esp.people[an.email].language == "en"
    house.clock.forward(minutes=6)
    house.client.post("/preferences", data={"email": an.email})
    body = an.mails()[-1].get_body(("html",))
    assert body is not None
    assert lang(body.get_content()) == "en"
    assert an.may().may


def test_the_same_language_again_is_no_act(house: House, an: Reader) -> None:
    """PRF-02: choosing what is chosen writes nothing."""
    an.has_consented("newsletter")
    before = types(an)
    house.client.post(fresh_link(an), data={"language": "nl"})

    assert types(an) == before


def test_the_page_in_another_language_is_recorded_so(house: House, an: Reader) -> None:
    """CAP-08: she reads the page in English and ticks there: the proof holds the English words."""
    an.has_consented("newsletter")
    link = fresh_link(an)
    page = html(house.client.get(f"{link}?language=en"))
    action = re.search(r'<form method="post" action="([^"]+)" class="stop"', page)
    assert action
    house.clock.forward(seconds=5)
    data = {name: value for name, value in Fields(page).hidden if name in ("save", "was", "made")}
    house.client.post(action[1], data={**data, "purpose": ["newsletter", "offers"]})
    given = an.story()[-1]

    assert given.evidence.wording == house.bridge.notices.wording("offers", "en").sha256
    assert given.evidence.language == "en"
    assert someone(an).language == "nl", "the language of her mail is another choice"


def test_a_pause_holds_mail_back_and_ends_by_itself(house: House, an: Reader) -> None:
    """PRF-01: until the day she chose, in the policy's zone, no mail; the page says so; then it goes on by itself."""
    an.has_consented("newsletter")
    page = html(house.client.post(f"{fresh_link(an)}?language=en", data={"pause_until": "2026-12-24"}))

    assert told(page).startswith("Paused.")
    assert state(page, "newsletter") == "Paused"
    assert "Paused until 24 December 2026" in cards(page)["newsletter"]
    assert "No mail until 24 December 2026" in page
    assert "Paused until" not in cards(page)["offers"], "what is off is not paused"
    assert Fields(page).checked == ["newsletter"]
    assert not an.may().may
    assert an.status() is Status.GIVEN
    house.clock.now = house.clock.now.replace(month=12, day=23, hour=22, minute=59)
    assert not an.may().may
    house.clock.forward(minutes=1)
    assert an.may().may


def test_a_pause_ends_when_she_says_so(house: House, an: Reader) -> None:
    """PRF-01: and what was stopped in the meantime stays stopped."""
    an.has_consented("newsletter", "offers")
    house.client.post(fresh_link(an), data={"pause_until": "2026-12-24"})
    house.clock.forward(days=1)
    house.client.post(stop_link(an, "offers"))
    house.clock.forward(minutes=1)
    page = html(house.client.post(f"{fresh_link(an)}?language=en", data={"pause_until": ""}))

    assert told(page).startswith("The pause is over.")
    assert (state(page, "newsletter"), state(page, "offers")) == ("On", "Off")
    assert (an.may("newsletter").may, an.may("offers").may) == (True, False)


def test_what_was_stopped_in_a_pause_is_not_said_to_begin_again(house: House, an: Reader) -> None:
    """PRF-01, WDR-12: after a stop of everything no day is named on which mail starts again: it does not."""
    an.has_consented("newsletter", "offers")
    house.client.post(fresh_link(an), data={"pause_until": "2026-12-24"})
    house.clock.forward(minutes=1)
    house.client.post(stop_link(an, "offers"))
    house.clock.forward(minutes=6)
    link = fresh_link(an)
    left = html(house.client.get(f"{link}?language=en"))
    assert "No mail until 24 December 2026. After that it starts again by itself" in left, "the newsletter is on"
    stopped = html(house.client.post(f"{link}?language=en", data={"stop": "all"}))
    assert told(stopped).startswith("Everything is stopped.")
    for page in (stopped, html(house.client.get(f"{link}?language=en"))):
        assert "starts again by itself" not in page
        assert "End the pause now" not in page


def test_a_yes_in_a_pause_promises_no_mail_before_it_ends(house: House, an: Reader) -> None:
    """PRF-01, CON-04: what she confirms while her pause runs comes when that has ended, and the page says so."""
    an.has_consented("newsletter")
    house.client.post(fresh_link(an), data={"pause_until": "2026-12-24"})
    house.clock.forward(days=1)
    an.signs_up("offers", language="en")
    house.clock.forward(minutes=1)
    for _ in range(2):
        page = html(an.confirms())
        assert "Your pause goes on. When it has ended, you receive:" in page
        assert "From now on you receive" not in page
    assert (an.status("offers"), an.may("offers").may) == (Status.GIVEN, False)
    house.client.post(fresh_link(an), data={"pause_until": ""})
    assert "There is nothing more to do. You receive:" in html(an.confirms())
    assert an.may("offers").may


@pytest.mark.parametrize(
    "day", ["2026-11-23", "2020-01-01", "2027-12-01", "9999-12-31", "tomorrow", "2026-02-30", "24/12/2026", "\x00"]
)
def test_a_day_that_cannot_be_is_refused_in_words(house: House, an: Reader, day: str) -> None:
    """PRF-01: today, the past, more than a year ahead, or no day: nothing changes, and she is told what can be."""
    an.has_consented("newsletter")
    before = types(an)
    answer = house.client.post(f"{fresh_link(an)}?language=en", data={"pause_until": day})

    if day == "\x00":  # as an empty field: the end of a pause that is not there
        assert answer.status_code == 200
        assert an.may().may
        return
    assert answer.status_code == 400
    assert "Please choose a day from tomorrow on" in told(html(answer))
    assert types(an) == before


def test_acts_behind_an_old_link_are_recorded_as_such(house: House, an: Reader) -> None:
    """PRF-03: the proof tells by which road she came: an old link is not passed off as a fresh one."""
    an.has_consented("newsletter")
    house.client.post(old_link(an), data={"pause_until": "2026-12-24"})
    methods = {event.type: event.method for event in an.story()}

    assert methods[EventType.PAUSED] is Method.PREFERENCE_LINK


def test_the_page_says_so_in_each_language(house: House, an: Reader) -> None:
    """PRF-01, CAP-08: in Dutch, states and roads are Dutch."""
    an.has_consented("newsletter")
    page = html(house.client.get(fresh_link(an)))

    assert lang(page) == "nl"
    assert (state(page, "newsletter"), state(page, "offers")) == ("Aan", "Uit")
    assert "23 november 2026" in cards(page)["newsletter"]


def test_an_old_yes_of_long_ago_is_not_shown_as_hers(house: House, an: Reader) -> None:
    """PRF-01: a stop by the whole person shows at every purpose, whatever came before."""
    an.has_consented("newsletter")
    event = ConsentEvent(
        type=EventType.OBJECTED,
        subject=someone(an).id,
        time=house.clock(),
        received=house.clock(),
        source=READER,
        method=Method.STAFF,
        key="letter-1",
    )
    house.store.record([event])
    house.clock.forward(seconds=timedelta(hours=1).total_seconds())
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))

    assert Fields(page).checked == []
    assert all("You objected to our mail" in text for text in cards(page).values())
