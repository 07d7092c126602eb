"""What goes wrong from outside: clear words, no internals, nothing half-written, and all is well afterwards."""

import logging
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import decompress

import pytest

from bridge.links import Action, Claim, Links
from bridge.vault import new_key, parse_keys
from bridge.vocabulary import Status
from tests.conftest import House, Reader
from tests.test_preferences import fresh_link, old_link
from tests.test_subscribe import html
from tests.test_unsubscribe import stop_link
from tests.weather import away, full, locked

URLENCODED = "application/x-www-form-urlencoded"
PAGE = {"Accept": "text/html", "Accept-Language": "en"}
INSIDES = re.compile(r"Traceback|sqlalchemy|sqlite|psycopg|bridge/|\.py\b|Exception|OperationalError|NoneType")


def people(house: House) -> int:
    """How many people are stored."""
    with house.bridge.database.reading() as db:
        return int(db.exec_driver_sql("SELECT count(*) FROM subjects").scalar() or 0)


def is_clear(answer: Any) -> bool:
    """A page with one heading that says what to do, and nothing of the inside."""
    page = html(answer)
    return page.count("<h1>") == 1 and not INSIDES.search(page)


# -- forms --------------------------------------------------------------------------------------------------------------

PARTS = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nnewsletter\r\n' * 300 + b"--b--\r\n"
FORMS: dict[str, tuple[bytes, str, int]] = {
    "empty": (b"", URLENCODED, 400),
    "no type": (b"email=an%40lezer.example&purpose=newsletter", "", 400),
    "json": (b'{"email": "an@lezer.example", "purpose": ["newsletter"]}', "application/json", 400),
    "xml": (b"<email>an@lezer.example</email>", "text/xml", 400),
    "only separators": (b"&&&&;;==&=&", URLENCODED, 400),
    "percent rubbish": (b"email=%zz%&purpose=%", URLENCODED, 400),
    "nul bytes": (b"email=an%00@lezer.example&purpose=newsletter", URLENCODED, 400),
    "nul in a purpose": (b"email=an%40lezer.example&purpose=news%00letter", URLENCODED, 400),
    "no utf-8 in the address": (b"email=\xff\xfe%40lezer.example&purpose=newsletter", URLENCODED, 400),
    "latin-1 in the domain": (b"email=an%40l\xe9zer.example&purpose=newsletter", URLENCODED, 400),
    "unknown purpose": (b"email=an%40lezer.example&purpose=horoscope", URLENCODED, 400),
    "known and unknown": (b"email=an%40lezer.example&purpose=newsletter&purpose=horoscope", URLENCODED, 400),
    "a purpose of code": (b"email=an%40lezer.example&purpose=__class__", URLENCODED, 400),
    "unknown channel": (b"email=an%40lezer.example&purpose=newsletter&channel=nowhere", URLENCODED, 400),
    "nul in the channel": (b"email=an%40lezer.example&purpose=newsletter&channel=footer%00", URLENCODED, 400),
    "a long channel": (b"email=an%40lezer.example&purpose=newsletter&channel=" + b"f" * 5000, URLENCODED, 400),
    "65 KB": (b"email=an%40lezer.example&purpose=newsletter&x=" + b"x" * 65_536, URLENCODED, 413),
    "a megabyte": (b"x=" + b"x" * 1_000_000, URLENCODED, 413),
    "10,000 checkboxes": (b"email=an%40lezer.example" + b"&purpose=newsletter" * 10_000, URLENCODED, 413),
    "3,000 checkboxes": (b"email=an%40lezer.example" + b"&purpose=newsletterX" * 3_000, URLENCODED, 400),
    "10,000 names": (b"&".join(b"a%d=" % n for n in range(8_000)), URLENCODED, 400),
    "too many parts": (PARTS, "multipart/form-data; boundary=b", 413),
    "multipart without its end": (PARTS[:70], "multipart/form-data; boundary=b", 400),
    "multipart without a boundary": (PARTS[:700], "multipart/form-data", 400),
    "multipart, boundary of bytes": (PARTS[:700], "multipart/form-data; boundary=\xe9", 400),
    "a file": (
        b'--b\r\nContent-Disposition: form-data; name="email"; filename="a"\r\n\r\nan@lezer.example\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
        400,
    ),
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("path", ["/subscribe", "/preferences"])
def test_a_form_that_is_none(home: House, kind: str, path: str) -> None:
    """Malformed, enormous or of wrong types: a page that says what is wrong, nothing stored, no mail."""
    body, content_type, status = FORMS[kind]
    answer = home.client.post(path, data=body, content_type=content_type or None, headers=PAGE)

    assert people(home) == 0
    assert answer.mimetype == "text/html"
    assert is_clear(answer)
    if path == "/subscribe":
        assert answer.status_code == status
    assert answer.status_code in (200, status)
    home.dispatch()
    assert home.mailbox.messages == []


ADDRESSES = [
    "",
    " ",
    "an",
    "@",
    "an@",
    "@lezer.example",
    "an@lezer",
    "an@@lezer.example",
    "an@lezer..example",
    ".an@lezer.example",
    "an@-lezer.example",
    "an lezer@lezer.example",
    "an@lezer.example, dirk@lezer.example",
    "an@lezer.example;dirk@lezer.example",
    "An <an@lezer.example>",
    "<an@lezer.example>",
    '"an\r\n"@lezer.example',
    "an@lezer.example\r\nBcc: dirk@lezer.example",
    "an@lezer.example\nSubject: x",
    "an\r\nBcc:dirk@lezer.example",
    "an@lezer.example%0d%0aBcc:dirk@lezer.example\x0d",
    "an\u2028bcc@lezer.example",
    "an@lezer.example\x00",
    "an\x07@lezer.example",
    "an@[127.0.0.1]",
    "an@127.0.0.1",
    "an@" + "a" * 64 + ".example",
    "a" * 250 + "@lezer.example",
    "an@" + "lezer." * 60 + "example",
    "an\ufffd@lezer.example",
    "an@l\ufffdzer.example",
    "an\u202e@lezer.example",
    "an@localhost",
    "an@lezer.invalid",
]


@pytest.mark.parametrize("email", ADDRESSES)
def test_what_is_no_address(home: House, email: str) -> None:
    """Section 7: no line break, list, name or control character passes for an address; she is shown an example."""
    form = {"email": email, "purpose": "newsletter", "channel": "footer", "language": "en"}
    answers = [home.client.post(path, data=form, headers=PAGE) for path in ("/subscribe", "/preferences")]

    for answer in answers:
        assert answer.status_code == 400
        assert "Example: name@example.org" in html(answer)
    assert people(home) == 0
    home.dispatch()
    assert home.mailbox.messages == []


@pytest.mark.parametrize(
    "email",
    [
        "an.van-den_berg+nieuws@lezer.example",
        "AN@LEZER.EXAMPLE",
        "  an@lezer.example\t",
        "o'neill@lezer.example",
        "an@b\u00fccher.example",
        "j\u00fcrgen@lezer.example",
        "a=?utf-8?q?b?=@lezer.example",
        "!#$%&'*/=?^`{|}~-@lezer.example",
        "bcc:xan@lezer.example".replace(":", ""),
    ],
)
def test_an_unusual_address_gets_its_mail(home: House, email: str) -> None:
    """Section 7: letters of every kind are fine; on the wire there is one recipient and one of each header."""
    answer = home.client.post("/subscribe", data={"email": email, "purpose": "newsletter"}, headers=PAGE)
    home.dispatch()

    assert answer.status_code == 200
    (raw,) = home.mailbox.raw
    names = [
        line.partition(b":")[0].lower() for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] > b" "
    ]
    for name in (b"from", b"to", b"subject", b"message-id", b"date", b"auto-submitted"):
        assert names.count(name) == 1
    assert b"bcc" not in names
    assert b"cc" not in names


def test_a_name_cannot_bring_headers(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """Section 7: line breaks in what the operator wrote or a reader typed never become header lines of a mail."""
    policy = Path(environment["BRIDGE_POLICY"])
    text = policy.read_text(encoding="utf-8").replace(
        'name.nl = "Nieuwsbrief"', 'name.nl = "Nieuwsbrief: \\"extra\\" <x@y.example>, Cc"'
    )
    policy.write_text(text, encoding="utf-8")
    house = make_house(sqlite_url)
    Reader(house, "an@lezer.example").has_consented("newsletter")

    for raw in house.mailbox.raw:
        head = raw.partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
        assert len(names) == len(set(names)), names
        assert b"extra" not in names


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7*7 }}", "%(email)s", "%s"])
def test_what_she_types_is_text(home: House, value: str) -> None:
    """Section 7: shown again in the form it is text, never markup, template or format."""
    page = html(home.client.post("/subscribe", data={"email": value, "purpose": "newsletter"}, headers=PAGE))

    assert value not in page or "<" not in value
    assert "49" not in re.findall(r'id="email"[^>]*value="([^"]*)"', page)
    assert "<script" not in page
    assert "<img" not in page


QUERIES = [
    "?language=../../etc",
    "?language=%00",
    "?language=" + "x" * 5000,
    "?lang=<b>",
    "?channel=%ff",
    "?channel=..%2f",
]


@pytest.mark.parametrize("query", QUERIES)
def test_odd_queries(home: House, query: str) -> None:
    """Section 7: a language or channel that is none gives the usual page or 404, never an error of ours."""
    answer = home.client.get(f"/subscribe{query}")

    assert answer.status_code in (200, 404)
    assert is_clear(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept-Language": "a" * 60_000},
        {"Accept-Language": ",;q=,;,q=1.5555;;"},
        {"Accept": ",;q=x,*/;"},
        {"Accept": "text/html;q=nan"},
        {"X-Forwarded-For": "," * 5000},
        {"Cookie": "a=b; " * 2000},
        {"Content-Length": "-5"},
        {"Content-Length": "many"},
        {"Transfer-Encoding": "chunked, chunked"},
        {"Content-Type": "\xff\xfe"},
        {"Range": "bytes=9999999999-"},
        {"If-None-Match": "*"},
    ],
    ids=range(12),
)
def test_odd_headers(home: House, headers: dict[str, str]) -> None:
    """Section 7: whatever headers say, the form is shown and the stop is taken."""
    an = Reader(home, "an@lezer.example").has_consented()

    assert home.client.get("/subscribe", headers=headers).status_code == 200
    assert home.client.post(stop_link(an), headers=headers).status_code == 200
    assert an.status() is Status.WITHDRAWN


# -- tokens -------------------------------------------------------------------------------------------------------------


def claim(reader: Reader, action: Action, **changes: Any) -> Claim:
    """A true claim about her."""
    person = reader.house.store.person(reader.email)
    assert person is not None
    usual = {"action": action, "subject": person.id, "address": person.mark, "made": reader.house.clock()}
    return Claim(**{**usual, **changes})


ROUTES = {Action.CONFIRM: "/confirm/", Action.STOP: "/u/", Action.FRESH: "/preferences/"}


@pytest.mark.parametrize("action", ROUTES)
def test_a_token_of_another_house(home: House, reader: Reader, action: Action) -> None:
    """KEY-01: signed with a key that is not ours: 404, and nothing is shown of her."""
    reader.has_consented("newsletter")
    foreign = Links([key.secret for key in parse_keys("X", new_key("link1"))], home.bridge.links.base_url)
    path = ROUTES[action] + foreign.token(claim(reader, action))

    for answer in (home.client.get(path), home.client.post(path, data={"stop": "all", "scope": "all"})):
        assert answer.status_code == 404
        assert "•••" not in html(answer)
    assert reader.may().may


@pytest.mark.parametrize("action", ROUTES)
def test_a_token_of_tomorrow(home: House, reader: Reader, action: Action) -> None:
    """CON-04: a question put in the future would pass a stop to come: not ours. WDR-09: only a stop link works whatever
    the clock says, also after it was set back."""
    reader.has_consented("newsletter")
    later = home.bridge.links.token(claim(reader, action, made=home.clock() + timedelta(days=2)))

    expected = 200 if action is Action.STOP else 404
    assert home.client.get(ROUTES[action] + later).status_code == expected
    if action is Action.STOP:
        assert home.client.post(ROUTES[action] + later).status_code == 200
        assert not reader.may().may


@pytest.mark.parametrize("action", ROUTES)
def test_a_token_holds_no_address(home: House, reader: Reader, action: Action) -> None:
    """KEY-01, WEB-02: what can be read in a token are ids, and a link is at most 250 bytes."""
    reader.has_consented("newsletter")
    token = home.bridge.links.token(claim(reader, action, purpose="newsletter", request="A" * 22))
    payload = token.rpartition(".")[0].lstrip(".")
    inside = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    inside = decompress(inside) if token.startswith(".") else inside

    assert b"lezer" not in inside
    assert b"@" not in inside
    assert len("https://" + "x" * 52 + ROUTES[action] + token) <= 250


@pytest.mark.parametrize("path", ["/confirm/", "/u/", "/preferences/"])
@pytest.mark.parametrize(
    "token", ["", "%20", ".", "..", "%00", "%ff%fe", "a" * 9000, "\u00e9", "<script>", "a.b.c", "%2e%2e%2f"]
)
def test_rubbish_for_a_token(home: House, path: str, token: str) -> None:
    """Section 7: always 404 (or the page without a token), never an error of ours, never an echo."""
    got = home.client.get(path + token, headers=PAGE)
    posted = home.client.post(path + token, data={"stop": "all", "scope": "all"}, headers=PAGE)

    if path == "/preferences/" and token == "":
        assert (got.status_code, posted.status_code) == (200, 400)
        return
    assert (got.status_code, posted.status_code) == (404, 404)
    assert is_clear(got)
    assert "<script" not in html(got)


# -- bad weather -------------------------------------------------------------------------------------------------------------

Request = Callable[[House, Reader], Any]


def _paths(reader: Reader) -> dict[str, str]:
    """Her links of each kind."""
    return {"confirm": reader.link("/confirm/"), "fresh": fresh_link(reader), "old": old_link(reader)}


WRITES: dict[str, tuple[str, dict[str, str]]] = {
    "sign up": ("/subscribe", {"email": "nieuw@lezer.example", "purpose": "newsletter"}),
    "confirm": ("confirm", {}),
    "ask a link": ("/preferences", {"email": "an@lezer.example"}),
    "switch on": ("fresh", {"save": "purposes", "purpose": "offers"}),
    "ask for more": ("old", {"save": "purposes", "purpose": "offers"}),
    "language": ("fresh", {"language": "en"}),
    "pause": ("fresh", {"pause_until": "2026-12-24"}),
}


@pytest.mark.parametrize("kind", WRITES)
def test_the_store_is_away(house: House, kind: str) -> None:
    """Section 7: 503 with Retry-After and a page that says so; nothing half-written; the same request works later."""
    an = Reader(house, "an@lezer.example")
    an.signs_up("newsletter")
    house.clock.forward(hours=25)
    path, data = WRITES[kind]
    path = _paths(an).get(path, path)
    before = len(an.story())
    with away(house):
        answer = house.client.post(path, data=data, headers=PAGE)
        program = house.client.post(path, data=data)

    assert answer.status_code == program.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert is_clear(answer)
    assert "Nothing was changed" in html(answer)
    assert program.mimetype == "application/problem+json"
    assert len(an.story()) == before
    assert house.client.post(path, data=data, headers=PAGE).status_code == 200
    assert not house.verify().problems


def test_what_can_be_read_without_the_store(house: House) -> None:
    """Section 7: forms, statement and words are shown; what needs the store says that it is away; the way out stays
    open on every stop link."""
    an = Reader(house, "an@lezer.example")
    an.signs_up("newsletter")
    links = _paths(an)
    expected = {
        "/subscribe": 200,
        "/preferences": 200,
        "/privacy": 200,
        "/notices/newsletter/1/nl": 200,
        "/notices/newsletter/7/nl": 503,
        "/healthz": 200,
        stop_link(an): 200,
        links["confirm"]: 503,
        links["fresh"]: 503,
        links["old"]: 503,
    }
    with away(house):
        answers = {path: house.client.get(path, headers=PAGE) for path in expected}

    assert {path: answer.status_code for path, answer in answers.items()} == expected
    for path, answer in answers.items():
        assert path == "/healthz" or is_clear(answer)
        assert answer.status_code == 200 or answer.headers["Retry-After"]
    assert "<button" in html(answers[stop_link(an)])


@pytest.mark.parametrize("kind", WRITES)
def test_the_store_is_locked(home: House, reader: Reader, kind: str) -> None:
    """Section 7: another program holds the file: the same, after a short wait; reading still works."""
    reader.email = "an@lezer.example"
    reader.signs_up("newsletter")
    home.clock.forward(hours=25)
    path, data = WRITES[kind]
    path = _paths(reader).get(path, path)
    before = len(reader.story())
    with locked(home):
        answer = home.client.post(path, data=data, headers=PAGE)
        assert home.client.get(path).status_code == 200

    assert answer.status_code == 503
    assert len(reader.story()) == before
    assert home.client.post(path, data=data, headers=PAGE).status_code == 200


def test_stops_while_the_store_is_locked(home: House, reader: Reader) -> None:
    """WDR-10: kept beside the file, answered well, and written with the next work."""
    reader.has_consented("newsletter")
    link = stop_link(reader)
    with locked(home):
        assert home.client.post(link).status_code == 200
        assert home.client.get(link).status_code == 200
    home.dispatch()

    assert reader.status() is Status.WITHDRAWN


def test_the_disk_is_full(home: House) -> None:
    """Section 7: when the file cannot grow, a sign-up is whole or not at all: 503, no half of a person; with room
    again all works, and the history is sound."""
    form = {"purpose": "newsletter", "channel": "footer"}
    with full(home):
        answers = []
        for number in range(40):
            data = {**form, "email": f"lezer{number}@lezer.example", "x": "y"}
            there = {"REMOTE_ADDR": f"198.51.{number}.7"}  # each in a network of her own: no limit stands in the way
            answers.append(home.client.post("/subscribe", data=data, headers=PAGE, environ_overrides=there))
        taken = [answer.status_code for answer in answers].count(200)

    assert 503 in {answer.status_code for answer in answers}
    assert is_clear(answers[-1])
    assert people(home) == taken == home.store.tasks()[0].waiting
    assert not home.verify().problems
    again = home.client.post("/subscribe", data={**form, "email": "ruimte@lezer.example"}, headers=PAGE)
    assert again.status_code == 200


def test_a_stop_when_the_disk_is_full(home: House, reader: Reader) -> None:
    """WDR-10: a stop is taken all the same: in the store where it fits, else beside it."""
    reader.has_consented("newsletter", "offers")
    link = stop_link(reader)
    with full(home):
        for number in range(20):
            home.client.post("/subscribe", data={"email": f"l{number}@lezer.example", "purpose": "newsletter"})
        answer = home.client.post(link)
    home.dispatch()

    assert answer.status_code == 200
    assert reader.status() is Status.WITHDRAWN


def test_the_old_schema_is_no_reason_to_lose_a_stop(home: House, reader: Reader) -> None:
    """Section 7: somebody moved the tables away under the running program: readers get 503, a stop is parked."""
    reader.has_consented("newsletter")
    link = stop_link(reader)
    with home.bridge.database.writing() as db:
        db.exec_driver_sql("ALTER TABLE subjects RENAME TO elsewhere")
    assert home.client.get(fresh_like(link), headers=PAGE).status_code == 503
    assert home.client.post(link).status_code == 200
    with home.bridge.database.writing() as db:
        db.exec_driver_sql("ALTER TABLE elsewhere RENAME TO subjects")
    home.dispatch()

    assert reader.status() is Status.WITHDRAWN


def fresh_like(link: str) -> str:
    """The preference page of a stop link."""
    return "/preferences/" + link.removeprefix("/u/")


def test_no_insides_in_the_log_either(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """MIN-03: a form that fails leaves no address in the log."""
    caplog.set_level(logging.DEBUG, "bridge")
    for body, content_type, _status in FORMS.values():
        home.client.post("/subscribe", data=body, content_type=content_type or None, headers=PAGE)
    with away(home):
        home.client.post("/subscribe", data={"email": "kanarie@lezer.example", "purpose": "newsletter"})

    assert "lezer.example" not in caplog.text
