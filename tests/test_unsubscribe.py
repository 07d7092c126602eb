"""Leaving: GDPR 7(3) and 21(3), RFC 8058 (one click), and the Belgian Royal Decree of 4 April 2003 (the goodbye)."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.signals import request_started

from bridge.links import Action, Claim
from bridge.mailer import stop_token
from bridge.vault import new_key
from bridge.vocabulary import EventType, Method, Status
from tests.conftest import Clock, House, Reader
from tests.test_subscribe import html
from tests.weather import away

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def withdrawals(reader: Reader) -> list[Any]:
    """Her recorded stops."""
    return [event for event in reader.story() if event.type is EventType.WITHDRAWN]


def stop_link(reader: Reader, purpose: str = "newsletter", made: datetime | None = None) -> str:
    """A stop link as an ESP puts it into a mail."""
    person = reader.house.store.person(reader.email)
    assert person is not None
    links = reader.house.bridge.links
    return f"/u/{stop_token(links, person.id, person.mark, made or reader.house.clock(), (purpose,))}"


# -- as easy as joining -----------------------------------------------------------------------------------------------


def test_leaving_takes_no_more_steps_than_joining(home: House, reader: Reader) -> None:
    """WDR-01: from any mail a link and one button: no login, nothing to type, to choose or to explain; joining takes
    more."""

    def steps(page: str) -> int:
        asked = len(re.findall(r'<input type="(?!hidden)|<select|<textarea', page))
        return asked + 1  # and one button

    form = html(home.client.get("/subscribe?channel=footer"))
    reader.signs_up()
    joining = steps(form) + 1 + steps(html(home.client.get(reader.link("/confirm/"))))
    home.clock.forward(minutes=1)
    reader.confirms()
    page = html(home.client.get(reader.link("/u/")))
    leaving = 1 + steps(page)

    assert steps(page) == 1, "nothing to fill in"
    assert leaving == 2 < joining
    home.client.post(reader.link("/u/"), data={"scope": "list"})
    assert reader.status() is Status.WITHDRAWN


def test_the_page_says_whom_and_what(home: House, reader: Reader) -> None:
    """WDR-01: she sees a masked address and the name of what she leaves; with one purpose on there is one button."""
    reader.has_consented("newsletter")
    page = html(home.client.get(reader.link("/u/")))

    assert "a•••@l•••.example" in page
    assert reader.email not in page
    assert "Nieuwsbrief" in page
    assert page.count("<button") == 1


def test_both_buttons_weigh_the_same(home: House, reader: Reader) -> None:
    """WDR-14: with two purposes on, "this one" and "everything" look alike, and nothing on the page talks her round."""
    reader.has_consented("newsletter", "offers")
    page = html(home.client.get(stop_link(reader, "offers")))
    buttons = re.findall(r"<button ([^>]*)>", page)

    assert [re.findall(r'value="(\w+)"', button)[0] for button in buttons] == ["list", "all"]
    assert len({re.sub(r'value="\w+"', "", button) for button in buttons}) == 1
    done = html(home.client.post(stop_link(reader, "offers"), data={"scope": "list"}))
    for text in (page, done):
        assert not re.search(r"jammer|spijt|missen|waarom|zeker weten|sorry", text, re.IGNORECASE)


# -- one click ----------------------------------------------------------------------------------------------------------


def test_one_click_stops_before_it_answers(house: House, an: Reader) -> None:
    """WDR-04: the answer comes after the commit: the gate for marketing mail says no at once, and the ESP hears it."""
    an.has_consented("newsletter")
    assert an.is_on()
    answer = an.one_click()

    assert answer.status_code == 200
    assert not an.may().may
    assert (an.status(), withdrawals(an)[0].method) == (Status.WITHDRAWN, Method.ONE_CLICK)
    house.dispatch()
    assert not an.is_on()


def test_one_click_is_about_the_list_of_that_mail(house: House, an: Reader) -> None:
    """WDR-04: with the scope `list` the other purpose stays on."""
    an.has_consented("newsletter", "offers")
    house.client.post(stop_link(an, "offers"), data=ONE_CLICK)

    assert (an.may("newsletter").may, an.may("offers").may) == (True, False)


def test_one_click_may_be_about_everything(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WDR-04: where the operator chose `oneclick_scope = "all"` one click stops every purpose."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text('oneclick_scope = "all"\n' + policy.read_text(encoding="utf-8"), encoding="utf-8")
    an = Reader(make_house(sqlite_url), "an@lezer.example").has_consented("newsletter", "offers")
    an.house.client.post(stop_link(an, "offers"), data=ONE_CLICK)

    assert (an.may("newsletter").may, an.may("offers").may) == (False, False)


def test_scanners_stop_nothing(house: House, an: Reader) -> None:
    """WDR-05: a hundred GETs and HEADs on the link change nothing and show the page with the button."""
    an.has_consented("newsletter")
    link = an.link("/u/")
    before = len(an.story())
    for number in range(100):
        headers = {"Purpose": "prefetch"} if number % 2 else {"User-Agent": "BarracudaCentral"}
        assert house.client.get(link, headers=headers).status_code == 200
    head, page = house.client.head(link), house.client.get(link)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == page.headers["Content-Length"]
    assert len(an.story()) == before
    assert an.may().may
    assert "<script" not in html(page)


MULTIPART = b'---FormBoundaryX\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n---FormBoundaryX--\r\n'
URLENCODED = "application/x-www-form-urlencoded"
BODIES: dict[str, tuple[bytes, str | None]] = {
    "urlencoded": (b"List-Unsubscribe=One-Click", URLENCODED),
    "with a charset": (b"List-Unsubscribe=One-Click", f"{URLENCODED}; charset=UTF-8"),
    "multipart": (MULTIPART, "multipart/form-data; boundary=-FormBoundaryX"),
    "empty": (b"", URLENCODED),
    "no body and no type": (b"", None),
    "other case": (b"list-unsubscribe=one-click", URLENCODED),
    "plain text": (b"List-Unsubscribe=One-Click", "text/plain"),
    "json": (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
    "an unknown type": (b"\x00\xff\xfe", "application/x-nobody-knows"),
    "a type that is none": (b"List-Unsubscribe=One-Click", ";;;=,"),
    "multipart without its boundary": (MULTIPART, "multipart/form-data"),
    "multipart with an odd boundary": (MULTIPART, 'multipart/form-data; boundary="\u00e9\u00e9"'),
    "multipart cut off": (MULTIPART[:70], "multipart/form-data; boundary=-FormBoundaryX"),
    "multipart with another boundary": (MULTIPART, "multipart/form-data; boundary=other"),
    "bytes that are no utf-8": (b"List-Unsubscribe=\xff\xfe\xe9&scope=\xff", URLENCODED),
    "a huge body": (b"x=" + b"y" * 300_000, URLENCODED),
    "a huge multipart body": (MULTIPART + b"x" * 300_000, "multipart/form-data; boundary=-FormBoundaryX"),
    "a thousand parts": (MULTIPART[:-20] * 1000 + MULTIPART, "multipart/form-data; boundary=-FormBoundaryX"),
    "a scope nobody offered": (b"scope=nothing", URLENCODED),
}


@pytest.mark.parametrize("slash", ["", "/"], ids=["no slash", "slash"])
@pytest.mark.parametrize("kind", BODIES)
def test_every_body_stops(home: House, reader: Reader, kind: str, slash: str) -> None:
    """WDR-06, WDR-07, WDR-08: urlencoded, multipart, empty or odd; with and without a slash at the end; without a
    cookie or login: stopped, 200, a short text, no redirect, no cookie."""
    reader.has_consented("newsletter")
    body, content_type = BODIES[kind]
    bare = home.app.test_client(use_cookies=False)
    answer = bare.post(reader.link("/u/") + slash, data=body, content_type=content_type)

    assert (answer.status_code, answer.data) == (200, b"Unsubscribed.\n")
    assert answer.mimetype == "text/plain"
    assert "Location" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert reader.status() is Status.WITHDRAWN
    assert not reader.may().may


@pytest.mark.parametrize("kind", ["urlencoded", "multipart", "empty", "other case", "json"])
def test_a_plain_click_is_answered_before_flask_in_the_same_words(home: House, reader: Reader, kind: str) -> None:
    """WDR-08, WDR-10: the short road of a mail program's click answers as the long one does, header by header."""
    reader.has_consented("newsletter")
    asked: list[object] = []
    body, content_type = BODIES[kind]
    with request_started.connected_to(asked.append, home.app):
        short = home.client.post(reader.link("/u/"), data=body, content_type=content_type)
        assert (reader.status(), asked) == (Status.WITHDRAWN, [])

        long = home.client.post(reader.link("/u/") + "/", data=body, content_type=content_type)
        assert asked == [home.app]
    assert (short.status, short.data, list(short.headers)) == (long.status, long.data, list(long.headers))


@pytest.mark.parametrize("path", ["//u/{}", "/u/{}//", "/./u/{}", "/U/{}", "/u/{}?x=1", "/u/{}/?List-Unsubscribe="])
def test_no_spelling_of_the_address_redirects(home: House, reader: Reader, path: str) -> None:
    """WDR-06: whatever a mail program makes of the address, the answer is never a 3xx."""
    reader.has_consented("newsletter")
    token = reader.link("/u/").removeprefix("/u/")
    answer = home.client.post(path.format(token), data=ONE_CLICK)

    assert answer.status_code in (200, 404)
    assert "Location" not in answer.headers
    assert (answer.status_code == 200) is (reader.status() is Status.WITHDRAWN)


def test_no_limit_stands_before_a_stop(home: House, reader: Reader) -> None:
    """Decision 29: as often as it is pressed, and from one address of a proxy for thousands; sign-ups have limits."""
    reader.has_consented("newsletter", "offers")
    links = [stop_link(reader), stop_link(reader, "offers"), "/u/damaged"]
    answers = [home.client.post(link, data=ONE_CLICK).status_code for _ in range(100) for link in links]
    assert answers == [200, 200, 404] * 100
    assert {event.purpose for event in withdrawals(reader)} == {"newsletter", "offers"}
    webhook = [home.client.post("/webhooks/memory/wrong", data=b"x").status_code for _ in range(300)]
    assert set(webhook) == {401}


AGENTS = [
    "",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Barracuda Sentinel (EE)",
    "curl/8.5.0",
    "python-requests/2.32",
    "Microsoft Office/16.0 (Microsoft Outlook Mail)",
    "Apple-iCloud-Mail",
    "A" * 4000,
    "\u00e9\u00e8 'quote\" <tag>",
]


@pytest.mark.parametrize("agent", AGENTS, ids=range(len(AGENTS)))
def test_no_user_agent_is_taken_for_a_robot(home: House, reader: Reader, agent: str) -> None:
    """WDR-08: seen elsewhere: a POST was dropped because its sender looked like a scanner. A stop is a stop."""
    reader.has_consented("newsletter")
    headers = {"User-Agent": agent.encode().decode("latin-1"), "Accept": "*/*", "Origin": "null", "Sec-Fetch-Site": "x"}
    answer = home.client.post(reader.link("/u/"), data=ONE_CLICK, headers=headers)

    assert answer.status_code == 200
    assert reader.status() is Status.WITHDRAWN


# -- for ever -------------------------------------------------------------------------------------------------------------


def test_the_oldest_key_still_stops_after_ten_years(
    make_house: Callable[..., House], database_url: str, environment: dict[str, str], clock: Clock
) -> None:
    """WDR-09: signed with a key that long only verifies, pressed ten years later: 200, and she is off."""
    old = make_house(database_url)
    an = Reader(old, "an@lezer.example").has_consented("newsletter")
    link = an.link("/u/")
    old.close()
    keys = f"{new_key('link3')},{new_key('link2')},{environment['BRIDGE_LINK_KEYS']}"
    house = make_house(database_url, BRIDGE_LINK_KEYS=keys)
    clock.forward(days=3653)

    assert house.client.get(link).status_code == 200
    assert house.client.post(link, data=ONE_CLICK).status_code == 200
    assert Reader(house, an.email).status() is Status.WITHDRAWN


def test_an_old_link_stops_who_holds_the_address_now(house: House, an: Reader) -> None:
    """WDR-09, decision 9: forgotten, then signed up anew under another id: the link of long ago does not say "done"
    to nobody, it stops her."""
    an.signs_up("newsletter")
    link = stop_link(an)
    first = house.store.person(an.email)
    house.clock.forward(days=4)
    assert house.store.forget_requests() == 1
    an.has_consented("newsletter")
    second = house.store.person(an.email)
    assert first is not None
    assert second is not None
    assert first.id != second.id
    page = html(house.client.get(link))
    assert "a•••@l•••.example" in page

    assert house.client.post(link, data=ONE_CLICK).status_code == 200
    assert an.status() is Status.WITHDRAWN
    assert not an.may().may


def test_three_kinds_of_links_do_three_things(house: House, an: Reader) -> None:
    """Decision 8: confirm, stop and fresh: each opens its own pages only."""
    an.signs_up("newsletter")
    confirm = an.link("/confirm/").removeprefix("/confirm/")
    house.clock.forward(minutes=1)
    an.confirms()
    house.clock.forward(minutes=1)
    stop = an.link("/u/").removeprefix("/u/")
    fresh = an.asks_for_a_link().removeprefix("/preferences/")
    expected = {
        "confirm": {"/confirm/": 200, "/u/": 404, "/preferences/": 404},
        "stop": {"/confirm/": 404, "/u/": 200, "/preferences/": 200},
        "fresh": {"/confirm/": 404, "/u/": 404, "/preferences/": 200},
    }
    tokens = {"confirm": confirm, "stop": stop, "fresh": fresh}

    for kind, paths in expected.items():
        for path, status in paths.items():
            assert house.client.get(path + tokens[kind]).status_code == status, (kind, path)
            if status == 404:
                pressed = house.client.post(path + tokens[kind], data={"stop": "all", "scope": "all"})
                assert pressed.status_code == 404, (kind, path)
    assert an.may().may


# -- every cell of the table --------------------------------------------------------------------------------------------

REQUESTS: dict[str, Callable[[House, str], Any]] = {
    "GET": lambda house, link: house.client.get(link),
    "HEAD": lambda house, link: house.client.head(link),
    "pair": lambda house, link: house.client.post(link, data=ONE_CLICK),
    "empty": lambda house, link: house.client.post(link),
    "list": lambda house, link: house.client.post(link, data={"scope": "list"}, headers={"Accept": "text/html"}),
    "all": lambda house, link: house.client.post(link, data={"scope": "all"}, headers={"Accept": "text/html"}),
}
POSTS = ("pair", "empty", "list", "all")


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_valid_link(house: House, an: Reader, kind: str) -> None:
    """WDR-10, first column: GET and HEAD show the page; each POST is the stop it says, with 200 and no redirect."""
    an.has_consented("newsletter", "offers")
    answer = REQUESTS[kind](house, stop_link(an))

    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert answer.mimetype == ("text/plain" if kind in ("pair", "empty") else "text/html")
    on = {"GET": (True, True), "HEAD": (True, True), "all": (False, False)}.get(kind, (False, True))
    assert (an.may("newsletter").may, an.may("offers").may) == on


def test_pressed_again(house: House, an: Reader) -> None:
    """WDR-10, "any POST, repeated": 200, the same text, no second event, no second goodbye."""
    an.has_consented("newsletter")
    link = an.link("/u/")
    answers = []
    for _ in range(3):
        answers.append(house.client.post(link, data=ONE_CLICK))
        house.clock.forward(minutes=1)
    pages = [house.client.post(link, data={"scope": "list"}) for _ in range(2)]

    assert {(answer.status_code, answer.data) for answer in answers} == {(200, b"Unsubscribed.\n")}
    assert {page.status_code for page in pages} == {200}
    assert len(withdrawals(an)) == 1


def test_she_is_no_longer_here(house: House, an: Reader) -> None:
    """WDR-10, "or the person is gone": 200, the same text, nothing recorded."""
    an.signs_up("newsletter")
    link = stop_link(an)
    house.clock.forward(days=4)
    assert house.store.forget_requests() == 1

    assert house.client.get(link).status_code == 200
    for kind in POSTS:
        assert REQUESTS[kind](house, link).status_code == 200
    assert house.client.post(link, data=ONE_CLICK).data == b"Unsubscribed.\n"
    assert house.store.person(an.email) is None


def test_forgotten_while_the_button_is_pressed(home: House, reader: Reader) -> None:
    """WDR-10: the purge comes between looking her up and writing the stop: still 200."""
    reader.signs_up("newsletter")
    link = stop_link(reader)
    home.clock.forward(days=4)
    told = iter([True])

    def clock() -> datetime:
        if next(told, False):
            home.store.forget_requests()
        return home.clock()

    home.store.clock = clock
    assert home.client.post(link, data=ONE_CLICK).status_code == 200
    assert home.store.person(reader.email) is None


def bad(link: str, how: str, reader: Reader) -> str:
    """A link that is none."""
    token = link.removeprefix("/u/")
    person = reader.house.store.person(reader.email)
    assert person is not None
    claim = Claim(action=Action.FRESH, subject=person.id, address=person.mark, made=reader.house.clock())
    return (
        "/u/"
        + {
            "made up": "abc.def",
            "one letter": "x",
            "forged": token[:-1] + ("A" if token[-1] != "A" else "B"),
            "cut off": token[:-5],
            "longer": token + "AAAA",
            "without a signature": token.rpartition(".")[0],
            "two tokens": f"{token}.{token}",
            "of another purpose": reader.house.bridge.links.token(claim),
            "nul": token + "%00",
            "no utf-8": "%ff%fe" + token,
            "enormous": "A" * 60_000,
        }[how]
    )


BAD = (
    "made up",
    "one letter",
    "forged",
    "cut off",
    "longer",
    "without a signature",
    "two tokens",
    "of another purpose",
    "nul",
    "no utf-8",
    "enormous",
)


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("how", BAD)
def test_a_bad_link(home: House, reader: Reader, kind: str, how: str) -> None:
    """WDR-10, second column: 404 and nothing changed: a page for who looks, problem+json for who posts, no hint."""
    reader.has_consented("newsletter", "offers")
    before = len(reader.story())
    answer = REQUESTS[kind](home, bad(stop_link(reader), how, reader))

    assert answer.status_code == 404
    assert answer.mimetype == ("application/problem+json" if kind in ("pair", "empty") else "text/html")
    assert len(reader.story()) == before
    text = html(answer)
    assert reader.email not in text
    assert "•••" not in text
    if kind == "pair":
        assert answer.json["status"] == 404


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/json"])
def test_a_bad_one_click_gets_no_page(home: House, accept: str) -> None:
    """WDR-10: a mail program gets 404 problem+json whatever it says it likes to read."""
    answer = home.client.post("/u/abc.def", data=ONE_CLICK, headers={"Accept": accept})

    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("kind", POSTS)
def test_a_stop_while_the_store_is_away(house: House, an: Reader, kind: str) -> None:
    """WDR-10, "the store is down": parked beside the database, 200; written when the store is back, at its own time,
    before anything is sent."""
    an.has_consented("newsletter", "offers")
    link = stop_link(an)
    at = house.clock()
    with away(house):
        answer = REQUESTS[kind](house, link)
        assert house.client.get(link).status_code == 200
    house.clock.forward(minutes=20)

    assert answer.status_code == 200
    if kind in ("pair", "empty"):
        assert answer.data == b"Unsubscribed.\n"
    assert an.may("newsletter").may, "not written yet"
    house.dispatch()
    assert not an.may("newsletter").may
    assert an.may("offers").may is (kind != "all")
    assert not an.is_on("newsletter")
    assert [event.time for event in withdrawals(an)] == [at]
    house.dispatch()
    assert len(withdrawals(an)) == 1


def test_a_stop_while_the_database_file_is_damaged(home: House, reader: Reader) -> None:
    """WDR-10: a file that is no database any more is a store that is away: the stop is parked, never dropped."""
    reader.has_consented("newsletter")
    link = stop_link(reader)
    home.close()
    path = Path(home.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"))
    whole = path.read_bytes()
    path.write_bytes(b"not a database at all " * 400)
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)

    answer = home.client.post(link, data=ONE_CLICK)

    assert answer.status_code == 200
    home.close()
    path.write_bytes(whole)
    home.dispatch()
    assert reader.status() is Status.WITHDRAWN


def test_the_spool_holds_no_address(house: House, an: Reader) -> None:
    """WDR-10, MIN-03: what is parked are ids and a time, in a file only its owner reads."""
    an.has_consented("newsletter")
    link = stop_link(an)
    with away(house):
        house.client.post(link, data=ONE_CLICK)
    path = house.bridge.spool.path

    assert "lezer" not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_stops_of_many_wait_together(house: House, an: Reader, dirk: Reader) -> None:
    """WDR-10: two readers stop, one of them twice; nothing of the other's is touched, and a fresh yes after the stop
    is not undone by the late writing."""
    an.has_consented("newsletter", "offers")
    dirk.has_consented("newsletter")
    links = [stop_link(an), stop_link(dirk), stop_link(an)]
    with away(house):
        assert {house.client.post(link, data=ONE_CLICK).status_code for link in links} == {200}
    house.dispatch()

    assert (an.status("newsletter"), an.status("offers")) == (Status.WITHDRAWN, Status.GIVEN)
    assert dirk.status("newsletter") is Status.WITHDRAWN
    assert len(withdrawals(an)) == len(withdrawals(dirk)) == 1


@pytest.mark.parametrize("kind", POSTS)
def test_nowhere_to_keep_the_stop(house: House, an: Reader, kind: str) -> None:
    """WDR-10, "if that fails": 503 with Retry-After, never a false "done"; sent again later it works."""
    an.has_consented("newsletter")
    link = stop_link(an)
    house.bridge.spool.path.mkdir()
    with away(house):
        answer = REQUESTS[kind](house, link)
    house.bridge.spool.path.rmdir()

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.mimetype == ("application/problem+json" if kind in ("pair", "empty") else "text/html")
    assert an.may().may
    assert REQUESTS[kind](house, link).status_code == 200
    assert not an.may().may


def test_a_bad_link_while_the_store_is_away(house: House) -> None:
    """WDR-10: a forged link is never parked. That it is forged shows without the store, so the answer stays 404."""
    with away(house):
        answer = house.client.post("/u/abc.def", data=ONE_CLICK)

    assert answer.status_code == 404
    assert not house.bridge.spool.path.exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("valid", [True, False])
def test_other_methods(home: House, reader: Reader, method: str, valid: bool) -> None:
    """WDR-10, last row: 405 with Allow, and nothing happens."""
    reader.has_consented("newsletter")
    answer = home.client.open(stop_link(reader) if valid else "/u/abc.def", method=method, data=ONE_CLICK)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert reader.may().may


# -- the goodbye ----------------------------------------------------------------------------------------------------------


def told_goodbye(house: House, reader: Reader) -> list[Any]:
    """Her mails after the welcome."""
    house.dispatch()
    return reader.mails()[2:]


def test_belgium_gets_one_goodbye(house: House, an: Reader) -> None:
    """WDR-12: country BE: one plain acknowledgement for one stop, however often she presses; it invites to nothing."""
    an.has_consented("newsletter", "offers")
    link = stop_link(an)
    for _ in range(3):
        house.client.post(link, data=ONE_CLICK)
        house.clock.forward(minutes=1)
    (goodbye,) = told_goodbye(house, an)
    body = goodbye.get_body(("plain",))

    assert body is not None
    text = body.get_content()
    assert "Nieuwsbrief" in text
    assert "Lezersaanbiedingen" not in text
    assert "/subscribe" not in text
    assert goodbye["List-Unsubscribe"] is None
    assert goodbye["Auto-Submitted"] == "auto-generated"


def test_one_goodbye_for_everything(house: House, an: Reader) -> None:
    """WDR-12: stopping everything at once is one mail, not one for each purpose."""
    an.has_consented("newsletter", "offers")
    house.client.post(stop_link(an), data={"scope": "all"})

    assert len(told_goodbye(house, an)) == 1


@pytest.mark.parametrize("country", ["NL", "DE", "FR"])
def test_elsewhere_no_goodbye(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str], country: str
) -> None:
    """WDR-12: other profiles: none."""
    policy = Path(environment["BRIDGE_POLICY"])
    text = policy.read_text(encoding="utf-8").replace('country = "BE"', f'country = "{country}"', 1)
    policy.write_text(text, encoding="utf-8")
    house = make_house(sqlite_url)
    an = Reader(house, "an@lezer.example").has_consented("newsletter")
    house.client.post(stop_link(an), data=ONE_CLICK)

    assert not an.may().may
    assert told_goodbye(house, an) == []


@pytest.mark.parametrize("news", [EventType.COMPLAINED, EventType.BOUNCED])
def test_no_goodbye_after_a_complaint_or_a_dead_address(house: House, an: Reader, news: EventType) -> None:
    """WDR-12: who called us spam, or has no mailbox any more, gets no mail, not even after pressing the button."""
    an.has_consented("newsletter")
    link = stop_link(an)
    house.hear(an.told_by_esp(news))
    assert told_goodbye(house, an) == []
    house.clock.forward(minutes=1)
    house.client.post(link, data=ONE_CLICK)

    assert told_goodbye(house, an) == []
    assert not an.may().may


def test_a_goodbye_that_waited_is_held_back_by_a_complaint(house: House, an: Reader) -> None:
    """WDR-12: the gate is asked when the mail leaves, not when it was promised."""
    an.has_consented("newsletter")
    house.client.post(stop_link(an), data=ONE_CLICK)
    assert house.store.tasks()[0].waiting == 1
    house.clock.forward(minutes=1)
    house.hear(an.told_by_esp(EventType.COMPLAINED))

    assert told_goodbye(house, an) == []


def test_the_page_after_a_stop_tells_what_is_left(house: House, an: Reader) -> None:
    """WDR-14: she is told what she still gets, with one button for everything, which works."""
    an.has_consented("newsletter", "offers")
    link = stop_link(an, "offers")
    page = html(house.client.post(link, data={"scope": "list"}))

    assert "Lezersaanbiedingen" in page
    assert "Nieuwsbrief" in page
    assert 'value="all"' in page
    last = html(house.client.post(link, data={"scope": "all"}))
    assert 'value="all"' not in last
    assert not an.may("newsletter").may
