"""All pages together: headers, methods, hosts, limits and languages (OWASP ASVS; RFC 9110, 9111, 6585, 9457)."""

import ast
import logging
import re
import runpy
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.memory import SIGNATURE, sign
from bridge.jobs import requests
from bridge.store.case_files import Told
from bridge.vocabulary import RequestKind
from bridge.web.rules import Route
from tests.conftest import BASE_URL, House, Reader
from tests.test_preferences import fresh_link, old_link
from tests.test_subscribe import html, lang
from tests.test_unsubscribe import stop_link
from tests.weather import away

BROKE_IT = "kanarie.vogel@lezer.example broke it"
ROOT = Path(__file__).resolve().parent.parent
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Visit(NamedTuple):
    """One request, and what is asked of it."""

    method: str
    path: str
    status: int
    data: Any = None


def confirm_link(reader: Reader) -> str:
    """The link of a request that waits."""
    return reader.link("/confirm/")


def letter_link(reader: Reader) -> str:
    """The link by which she says whether a letter was hers."""
    case = requests.open_request(reader.house.bridge, Told(email=reader.email), RequestKind.ACCESS)
    requests.ask_whether_hers(reader.house.bridge, case)
    return reader.link("/requests/")


def on_my_data(old: str, stale: str, fresh: str) -> list[Visit]:
    """The same of the page "my data"."""
    old, stale, fresh = (link.replace("/preferences/", "/my-data/") for link in (old, stale, fresh))
    return [
        Visit("GET", fresh, 200),
        Visit("GET", stale, 410),
        Visit("GET", old, 404),
        Visit("GET", "/my-data/abc.def", 404),
        Visit("POST", stale, 410, {"act": "erase", "sure": "yes"}),
        Visit("POST", old, 404, {"act": "erase", "sure": "yes"}),
        Visit("POST", fresh, 400, {}),
        Visit("POST", fresh, 400, {"act": "burn"}),
        Visit("POST", fresh, 400, {"act": "correct", "language": "fr"}),
        Visit("POST", fresh, 200, {"act": "correct", "language": "nl"}),
        *(Visit("POST", fresh, 200, {"act": "download", "format": kind}) for kind in ("json", "csv", "html")),
        *(Visit("POST", fresh, 200, {"act": act}) for act in ("look", "restrict", "lift", "erase")),
        Visit("POST", fresh, 400, {"act": "address", "email": "an"}),
        Visit("POST", fresh, 200, {"act": "address", "email": "an.nieuw@lezer.example"}),
        Visit("PUT", fresh, 405),
    ]


def everywhere(house: House) -> list[Visit]:
    """Every route with every status it can give in fair weather."""
    an, dirk = Reader(house, "an@lezer.example"), Reader(house, "dirk@lezer.example")
    an.has_consented("newsletter", "offers")
    dirk.signs_up("newsletter")
    waiting, stop, old, letter = confirm_link(dirk), stop_link(an), old_link(an), letter_link(an)
    stale = fresh_link(an)
    house.clock.forward(minutes=31)
    fresh = fresh_link(an)
    words = house.bridge.links
    version = re.search(r"(?:Versie|Version) (\w{12})", html(house.client.get("/privacy")))
    assert version
    assert words.base_url == BASE_URL
    form = {"email": "nieuw@lezer.example", "purpose": "newsletter", "channel": "footer"}
    house.client.delete_cookie("__Host-sign-up")  # from here on it is any browser
    return [
        Visit("GET", "/subscribe", 200),
        Visit("GET", "/subscribe?channel=nowhere", 404),
        Visit("POST", "/subscribe", 200, form),
        Visit("POST", "/subscribe", 400, {}),
        Visit("POST", "/subscribe", 400, {**form, "channel": "nowhere"}),
        Visit("POST", "/subscribe", 413, {"email": "x" * 70_000}),
        Visit("PUT", "/subscribe", 405),
        Visit("GET", "/subscribe/code", 200),
        Visit("POST", "/subscribe/code", 400, {}),
        Visit("POST", "/subscribe/code", 400, {"code": "123456"}),
        Visit("PUT", "/subscribe/code", 405),
        Visit("GET", waiting, 200),
        Visit("GET", "/confirm/abc.def", 404),
        Visit("POST", waiting, 200),
        Visit("POST", waiting, 200),
        Visit("POST", "/confirm/abc.def", 404),
        Visit("DELETE", waiting, 405),
        Visit("GET", letter, 200),
        Visit("POST", letter, 400, {}),
        Visit("POST", letter, 200, {"mine": "no"}),
        Visit("PUT", letter, 405),
        Visit("GET", "/requests/abc.def", 404),
        Visit("POST", "/requests/abc.def", 404, {"mine": "yes"}),
        Visit("GET", "/question/abc.def", 404),
        Visit("POST", "/question/abc.def", 404),
        Visit("PUT", "/question/abc.def", 405),
        Visit("GET", "/guardian/abc.def", 404),
        Visit("POST", "/guardian/abc.def", 404),
        Visit("PUT", "/guardian/abc.def", 405),
        Visit("GET", "/of-age/abc.def", 404),
        Visit("POST", "/of-age/abc.def", 404),
        Visit("PUT", "/of-age/abc.def", 405),
        Visit("GET", stop, 200),
        Visit("GET", "/u/abc.def", 404),
        Visit("PATCH", stop, 405),
        Visit("GET", "/preferences", 200),
        Visit("POST", "/preferences", 200, {"email": "an@lezer.example"}),
        Visit("POST", "/preferences", 400, {"email": "an"}),
        Visit("PUT", "/preferences", 405),
        Visit("GET", old, 200),
        Visit("GET", fresh, 200),
        Visit("GET", stale, 410),
        Visit("POST", stale, 410, {"stop": "all"}),
        Visit("GET", "/preferences/abc.def", 404),
        Visit("POST", fresh, 400, {}),
        Visit("POST", fresh, 400, {"language": "fr"}),
        Visit("POST", fresh, 400, {"pause_until": "never"}),
        Visit("POST", fresh, 200, {"language": "nl"}),
        Visit("POST", fresh, 200, {"pause_until": "2026-12-24"}),
        Visit("POST", fresh, 200, {"pause_until": ""}),
        Visit("POST", fresh, 200, {"save": "purposes", "was": "offers"}),
        Visit("POST", fresh, 200, {"stop": "all"}),
        Visit("POST", fresh, 400, {"stop": "some"}),
        Visit("POST", fresh, 400, {"undo": "horoscope"}),
        Visit("POST", old, 404, {"language": "en"}),
        Visit("POST", old, 400, {"link": "post"}),
        Visit("POST", old, 200, {"link": "mail"}),
        Visit("PUT", fresh, 405),
        Visit("GET", "/samples/newsletter/nl", 404),
        Visit("POST", "/samples/newsletter/nl", 405),
        *on_my_data(old, stale, fresh),
        Visit("POST", stop, 200, {"scope": "list"}),
        Visit("POST", stop, 200, {"List-Unsubscribe": "One-Click"}),
        Visit("POST", "/u/abc.def", 404, {"scope": "all"}),
        Visit("GET", "/accessibility", 200),
        Visit("POST", "/accessibility", 405),
        Visit("GET", "/privacy", 200),
        Visit("GET", f"/privacy/{version[1]}", 200),
        Visit("GET", "/privacy/1", 404),
        Visit("POST", "/privacy", 405),
        Visit("GET", "/notices/newsletter/1/nl", 200),
        Visit("GET", "/notices/newsletter/9/nl", 404),
        Visit("POST", "/notices/newsletter/1/nl", 405),
        Visit("GET", "/receipt", 200),
        Visit("POST", "/receipt", 400, {"receipt": "{}"}),
        Visit("PUT", "/receipt", 405),
        Visit("GET", "/receipt/keys", 404),
        Visit("POST", "/receipt/keys", 405),
        Visit("GET", f"{old}/receipts", 404),
        Visit("GET", f"{fresh}/receipts", 200),
        Visit("GET", f"{stale}/receipts", 410),
        Visit("POST", f"{fresh}/receipts", 405),
        Visit("GET", "/webhooks/memory", 200),
        Visit("POST", "/webhooks/memory", 401),
        Visit("POST", "/webhooks/nobody", 404),
        Visit("GET", "/assets/footer", 404),
        Visit("POST", "/assets/footer", 405),
        Visit("GET", "/logo", 404),
        Visit("GET", "/healthz", 200),
        Visit("GET", "/readyz", 200),
        Visit("POST", "/healthz", 405),
        Visit("GET", "/metrics", 404),
        Visit("GET", "/", 404),
        Visit("GET", "/preferences/abc/def", 404),
        Visit("GET", "/%00%ff", 404),
    ]


@pytest.fixture
def spacious(make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]) -> House:
    """A house whose limits these tests do not meet."""
    return limited(make_house, sqlite_url, environment, per_network_hour=500)


def limited(make: Callable[..., House], url: str, environment: dict[str, str], **limits: int) -> House:
    """A house with these sign-up limits; settings in capitals go to the environment."""
    policy = Path(environment["BRIDGE_POLICY"])
    lines = "".join(f"{name} = {number}\n" for name, number in limits.items() if name.islower())
    policy.write_text(policy.read_text(encoding="utf-8") + f"\n[sign_up]\n{lines}", encoding="utf-8")
    return make(url, **{name: str(number) for name, number in limits.items() if name.isupper()})


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "application/json", None])
def test_every_answer_carries_the_headers(spacious: House, accept: str | None) -> None:
    """WEB-01, WEB-02, WEB-03: every route and status, as a page and as problem+json: not stored, no referrer, not
    indexed, nothing from elsewhere, no cookie."""
    visits = everywhere(spacious)
    routes = {visit.path.split("?")[0].split("/")[1] for visit in visits}
    known = {str(rule).split("/")[1] for rule in spacious.app.url_map.iter_rules()}
    assert (
        known - {"style.css", "favicon.svg", "favicon.ico", "confirm.js", "sign-up.js", "embed.js", "embed"} <= routes
    ), "a new route belongs in this list"
    headers = {"Accept": accept} if accept else {}
    for visit in visits:
        answer = spacious.client.open(visit.path, method=visit.method, data=visit.data, headers=headers)
        where = (visit.method, visit.path[:40], answer.status_code)
        assert answer.status_code == visit.status, where
        assert answer.headers["Cache-Control"] == "no-store", where
        assert answer.headers["Referrer-Policy"] == "no-referrer", where
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow", where
        assert answer.headers["X-Content-Type-Options"] == "nosniff", where
        assert answer.headers["Content-Security-Policy"] == POLICY, where
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", where
        sent = (visit.method, visit.path, answer.status_code) == ("POST", "/subscribe", 200)
        assert ("Set-Cookie" in answer.headers) is sent, where  # decision 12: where a form was taken, and nowhere else
        assert "Location" not in answer.headers, where
        if answer.status_code >= 400 and accept == "application/json" and "<form" not in html(answer):
            assert answer.mimetype == "application/problem+json", where
            assert answer.json["status"] == answer.status_code, where
            assert set(answer.json) <= {"type", "title", "status", "detail", "instance"}, where


def test_bad_weather_has_the_headers_too(spacious: House) -> None:
    """WEB-01, WEB-03: also when the store is away, and when even the spool is."""
    an = Reader(spacious, "an@lezer.example").has_consented()
    fresh, stop = fresh_link(an), stop_link(an)
    spacious.bridge.spool.path.mkdir()
    with away(spacious):
        answers = [spacious.client.get(fresh), spacious.client.get("/readyz"), spacious.client.post(stop)]
    assert [answer.status_code for answer in answers] == [503] * 3
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Retry-After"]


def test_hsts_only_where_there_is_https(make_house: Callable[..., House], sqlite_url: str) -> None:
    """WEB-03: on http://localhost a browser must not be told to insist on https."""
    house = make_house(sqlite_url, BRIDGE_BASE_URL="http://localhost:8000")

    for path in ("/subscribe", "/nowhere", "/healthz"):
        assert "Strict-Transport-Security" not in house.client.get(path).headers


def test_every_route_can_write_its_address(home: House) -> None:
    """Although none has learnt to before it is asked (cold starts)."""
    rules = list(home.client.application.url_map.iter_rules())
    assert {type(rule) for rule in rules} == {Route}
    for rule in rules:
        told = rule.build(dict.fromkeys(rule.arguments, 1))
        assert told is not None
        assert told[1] == re.sub(r"<(\w+:)?\w+>", "1", rule.rule)


def test_nothing_comes_from_elsewhere(spacious: House) -> None:
    """PRF-06, WEB-02: no script, no frame, no foreign source, no address of hers in any link, on any page."""
    for visit in everywhere(spacious):
        answer = spacious.client.open(visit.path, method=visit.method, data=visit.data, headers={"Accept": "text/html"})
        page = html(answer)
        if answer.mimetype != "text/html":
            continue
        assert not re.search(r"<(script|iframe|object|embed|base)\b", page)
        assert not re.search(r'\b(on\w+|style)="', page)
        assert not re.search(r'<(?:img|link|source|audio)\b[^>]*(?:src|href)="(?!/[a-z])', page)
        for target in re.findall(r'(?:href|action)="([^"]*)"', page):
            assert "lezer.example" not in target


# -- hosts and proxies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "keuzes.dagwijzer.example@evil.example", "[", "a b"]
)
def test_a_forged_host_changes_no_link(home: House, reader: Reader, host: str) -> None:
    """WEB-04: links in mails and pages come from the configured address, whatever Host and its cousins say."""
    headers = {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": "http", "Forwarded": f"host={host}"}
    data = {"email": reader.email, "purpose": "newsletter", "channel": "footer"}
    answers = [
        home.client.post("/subscribe", data=data, headers=headers),
        home.client.get("/subscribe", headers=headers),
        home.client.get("/u/abc.def", headers=headers),
    ]
    home.dispatch()

    for answer in answers:
        assert "evil" not in html(answer) + str(answer.headers)
    assert [answer.status_code for answer in answers] in ([200, 200, 404], [400, 400, 400])
    for mail in home.mailbox.messages:
        assert "evil" not in mail.as_string()
        assert re.findall(r"https?://([^/\s]+)/", mail.as_string().replace("=\n", ""))


def sign_ups(house: House, times: int, headers: Callable[[int], dict[str, str]]) -> list[int]:
    """So many sign-ups of different people; the status of each answer."""
    return [
        house.client.post(
            "/subscribe",
            data={"email": f"lezer{number}@lezer.example", "purpose": "newsletter", "channel": "footer"},
            headers=headers(number),
        ).status_code
        for number in range(times)
    ]


def test_without_a_proxy_its_header_is_not_believed(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WEB-05: nobody escapes the limit of her network by inventing X-Forwarded-For."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=5)

    assert sign_ups(house, 7, lambda n: {"X-Forwarded-For": f"203.0.{n}.1"}) == [200] * 5 + [429] * 2


def test_behind_one_proxy_only_its_word_counts(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WEB-05: the last entry is the proxy's; what a client put before it is not believed. Two networks do not share a
    limit."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=5, BRIDGE_TRUSTED_PROXIES=1)

    spoofed = sign_ups(house, 7, lambda n: {"X-Forwarded-For": f"203.0.{n}.1, 198.51.100.7"})
    assert spoofed == [200] * 5 + [429] * 2
    assert sign_ups(house, 1, lambda _: {"X-Forwarded-For": "198.51.101.7"}) == [200]
    assert sign_ups(house, 2, lambda n: {"X-Forwarded-For": f"::ffff:192.0.{n}.1"}) == [200, 200]


@pytest.mark.parametrize("client", ["", "nonsense", "fe80::1%eth0", "::ffff:192.0.2.1", "2001:db8::1", "unix:"])
def test_any_kind_of_client_address_is_taken(home: House, reader: Reader, client: str) -> None:
    """WEB-05: an odd client address (a socket, a zone, IPv4 inside IPv6) is no reason to fail."""
    data = {"email": reader.email, "purpose": "newsletter", "channel": "footer"}
    answer = home.client.post("/subscribe", data=data, environ_overrides={"REMOTE_ADDR": client})

    assert answer.status_code == 200


def test_ipv4_readers_do_not_share_one_limit(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WEB-05: a server that listens on IPv6 sees IPv4 readers as ::ffff:a.b.c.d: still a network each."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=2)
    answers = [
        house.client.post(
            "/subscribe",
            data={"email": f"lezer{n}@lezer.example", "purpose": "newsletter", "channel": "footer"},
            environ_overrides={"REMOTE_ADDR": f"::ffff:192.0.{n}.1"},
        ).status_code
        for n in range(4)
    ]

    assert answers == [200] * 4


# -- limits ------------------------------------------------------------------------------------------------------------------


def test_a_thousand_stops_pass_where_sign_ups_are_refused(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WEB-05: 429 with Retry-After for too many sign-ups of a network; a thousand stops from there are all taken."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=5)
    an = Reader(house, "an@lezer.example").has_consented("newsletter", "offers")
    link, fresh = stop_link(an), fresh_link(an)
    assert sign_ups(house, 6, lambda _: {})[-1] == 429
    refused = house.client.post("/subscribe", data={"email": "x@lezer.example", "purpose": "newsletter"})
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    asked = house.client.post("/preferences", data={"email": an.email}, headers={"Accept": "text/html"})
    assert (asked.status_code, asked.mimetype) == (429, "text/html")

    answers = [house.client.post(link, data={"List-Unsubscribe": "One-Click"}) for _ in range(1000)]
    assert {answer.status_code for answer in answers} == {200}
    assert house.client.post(fresh, data={"save": "purposes", "was": "offers"}).status_code == 200
    assert house.client.post(fresh, data={"stop": "all"}).status_code == 200
    assert not an.may("newsletter").may


def test_the_limit_ends_after_an_hour(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """WEB-05: what Retry-After says is true."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=2)
    assert sign_ups(house, 3, lambda _: {}) == [200, 200, 429]
    house.clock.forward(seconds=3601)

    assert sign_ups(house, 1, lambda _: {}) == [200]


# -- methods -----------------------------------------------------------------------------------------------------------------

GET_ONLY, BOTH = {"GET", "HEAD"}, {"GET", "HEAD", "POST"}
METHODS = {
    "/subscribe": BOTH,
    "/subscribe/code": BOTH,
    "/confirm.js": GET_ONLY,
    "/sign-up.js": GET_ONLY,
    "/embed.js": GET_ONLY,
    "/embed/footer": GET_ONLY,
    "/embed/footer/task": GET_ONLY,
    "/confirm/x": BOTH,
    "/question/x": BOTH,
    "/guardian/x": BOTH,
    "/of-age/x": BOTH,
    "/u/x": BOTH,
    "/preferences": BOTH,
    "/preferences/x": BOTH,
    "/accessibility": GET_ONLY,
    "/privacy": GET_ONLY,
    "/privacy/1": GET_ONLY,
    "/notices/newsletter/1/nl": GET_ONLY,
    "/webhooks/memory": BOTH,
    "/webhooks/memory/x": BOTH,
    "/style.css": GET_ONLY,
    "/logo": GET_ONLY,
    "/favicon.svg": GET_ONLY,
    "/favicon.ico": GET_ONLY,
    "/healthz": GET_ONLY,
    "/readyz": GET_ONLY,
}


@pytest.mark.parametrize("path", METHODS)
def test_only_listed_methods(home: House, path: str) -> None:
    """WEB-06: everything else is 405 and says what is allowed."""
    for method in {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "MKCOL"} - METHODS[path]:
        answer = home.client.open(path, method=method)
        assert answer.status_code == 405, method
        assert set(answer.headers["Allow"].split(", ")) == METHODS[path]


def test_head_is_get_without_a_body(spacious: House) -> None:
    """WEB-06: the same status and headers, and no effect."""
    for visit in everywhere(spacious):
        if visit.method != "GET":
            continue
        got, head = spacious.client.get(visit.path), spacious.client.head(visit.path)
        assert head.status_code == got.status_code, visit.path
        assert head.data == b""
        told = [{k: v for k, v in one.headers if k not in ("Date", "X-Request-Id")} for one in (got, head)]
        assert told[0] == told[1], visit.path
        got.close()
        head.close()


# -- languages ---------------------------------------------------------------------------------------------------------------


def sentences() -> Iterator[str]:
    """Every English sentence that readers may see, from the project's own extractor."""
    found = runpy.run_path(str(ROOT / "scripts" / "translations.py"))["extracted"]()
    for message in found:
        for one in message.id if isinstance(message.id, tuple) else (message.id,):
            if one:
                yield one


def test_no_page_or_error_speaks_two_languages(spacious: House) -> None:
    """CAP-08: in Dutch no answer for readers, whatever its status, holds an English sentence of ours."""
    english = [s for s in sentences() if spacious.bridge.texts.gettext("nl", s.replace("%", "%%")) != s]
    english = [s for s in english if " " in s and "%" not in s]
    assert len(english) > 100
    seen = set()
    for visit in everywhere(spacious):
        headers = {"Accept": "text/html", "Accept-Language": "nl"}
        answer = spacious.client.open(visit.path, method=visit.method, data=visit.data, headers=headers)
        if answer.mimetype != "text/html" or not answer.data:
            continue
        page = unescape(html(answer))
        seen.add(answer.status_code)
        assert lang(page) == "nl", visit
        for sentence in english:
            assert sentence not in page, (visit.path, sentence)
    assert {200, 400, 404, 405, 410, 413} <= seen


def test_the_rare_errors_are_dutch_as_well(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """CAP-08: 429, 500 and 503 too."""
    house = limited(make_house, sqlite_url, environment, per_network_hour=2)
    headers = {"Accept": "text/html", "Accept-Language": "nl"}
    an = Reader(house, "an@lezer.example")
    an.signs_up("newsletter")
    sign_ups(house, 2, lambda _: {})
    many = house.client.post("/subscribe", data={"email": "x@lezer.example", "purpose": "newsletter"}, headers=headers)
    link = old_link(an)
    with away(house):
        store = house.client.get(link, headers=headers)
    house.store.clock = broken
    ours = house.client.post("/subscribe", data={"email": "x@lezer.example", "purpose": "newsletter"}, headers=headers)

    assert [answer.status_code for answer in (many, store, ours)] == [429, 503, 500]
    for answer, title in ((many, "Te veel"), (store, "niet"), (ours, "onze kant")):
        page = unescape(html(answer))
        assert lang(page) == "nl"
        assert title in page
        assert not re.search(r"\b(please|try|again|nothing|changed|network)\b", page, re.IGNORECASE)


def broken() -> Any:
    """Something of ours that fails, with a value in its text."""
    raise RuntimeError(BROKE_IT)


def test_each_sentence_in_the_pages_code_is_found_by_the_extractor() -> None:
    """CAP-08: what the code of the pages says is known to the translators, by whatever name it is translated."""
    known = set(sentences())
    said = set()
    for path in (ROOT / "bridge" / "web").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name in ("say", "_say", "gettext"):
                    said |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    assert len(said) > 20
    assert said <= known


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("nl", "nl"), ("en-GB,en;q=0.9,nl;q=0.1", "en"), ("fr, nl;q=0.5", "nl"), ("xx", "nl"), ("", "nl"), ("*", "nl")],
)
def test_the_browser_chooses_where_nobody_else_did(home: House, asked: str, expected: str) -> None:
    """CAP-08: reader's choice first, then the form, then Accept-Language, then the policy's first language."""
    assert lang(html(home.client.get("/subscribe", headers={"Accept-Language": asked}))) == expected
    chosen = home.client.get("/subscribe?language=en", headers={"Accept-Language": asked})
    assert lang(html(chosen)) == "en"


# -- what is logged ----------------------------------------------------------------------------------------------------------


def test_no_address_and_no_token_in_any_log(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """MIN-03: sign-up, confirmation, one click, errors, a refused mail and webhooks, with everything logged that our
    code can log: neither canary appears in any record, message or argument."""
    caplog.set_level(logging.DEBUG)
    house = limited(make_house, sqlite_url, environment, per_network_hour=6)
    an = Reader(house, "kanarie.vogel@lezer.example")
    an.signs_up("newsletter", first_name="Kanarina")
    confirm = an.link("/confirm/")
    house.clock.forward(minutes=1)
    house.client.post(confirm)
    stop, fresh = an.link("/u/"), fresh_link(an)
    house.client.get(fresh)
    house.client.post(fresh, data={"save": "purposes", "was": "newsletter", "purpose": ["newsletter", "offers"]})
    house.client.post(stop, data={"List-Unsubscribe": "One-Click"})
    house.client.get(stop + "x")
    body = f'[{{"id":"1","type":"bounced","email":"{an.email}","time":"2026-11-23T10:00:00Z"}}]'.encode()
    house.client.post("/webhooks/memory", data=body, headers={SIGNATURE: sign("a-secret-only-for-tests", body)})
    house.client.post("/webhooks/memory/kanarie", data=body)
    house.mailbox.refuse.add("kanarie.twee@lezer.example")
    Reader(house, "kanarie.twee@lezer.example").signs_up()
    house.dispatch()
    house.esp.down = True
    house.clock.forward(minutes=6)
    house.client.post(fresh, data={"stop": "all"})
    house.dispatch()
    with away(house):
        house.client.post(stop, data={"scope": "all"})
        house.client.get(fresh)
    house.store.clock = broken
    assert house.client.post("/subscribe", data={"email": an.email, "purpose": "newsletter"}).status_code == 500
    tokens = [link.rpartition("/")[2] for link in (confirm, stop, fresh)]

    ours = [r for r in caplog.records if not r.name.startswith(("mail.log", "asyncio"))]  # the tests' mail server
    assert any(record.name == "bridge.web" for record in ours)
    logged = "\n".join(f"{r.getMessage()} {r.args} {r.exc_text} {r.__dict__.get('exc_info')}" for r in ours)
    for canary in ("kanarie", "Kanarina", "lezer.example", *tokens, *(token[:40] for token in tokens)):
        assert canary not in logged


def test_a_bug_shows_nothing_of_the_inside(home: House, reader: Reader) -> None:
    """WEB-05: 500 as a page and as problem+json: no stack, no value, no path."""
    home.store.clock = broken
    data = {"email": reader.email, "purpose": "newsletter", "channel": "footer"}
    for accept in ("text/html", "application/json"):
        answer = home.client.post("/subscribe", data=data, headers={"Accept": accept})
        assert answer.status_code == 500
        for inside in ("Traceback", "RuntimeError", "broke it", "bridge/", reader.email):
            assert inside not in html(answer)


# -- health ------------------------------------------------------------------------------------------------------------------


def test_health_and_readiness(home: House, reader: Reader) -> None:
    """`/healthz` says that the process is up, `/readyz` that the store is there; neither names anybody."""
    reader.signs_up()
    assert home.client.get("/healthz").json == {"status": "ok"}
    ready = home.client.get("/readyz")
    assert ready.json == {"status": "ready", "waiting": {"mail": 1}}
    with away(home):
        assert home.client.get("/healthz").status_code == 200
        answer = home.client.get("/readyz")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert home.client.get("/readyz").status_code == 200


def test_style_and_icon(home: House) -> None:
    """The stylesheet carries the operator's colour; both may be cached, for they hold nothing of anybody."""
    style, icon = home.client.get("/style.css"), home.client.get("/favicon.svg")

    assert (style.status_code, style.mimetype) == (200, "text/css")
    assert "#9b1c31" in html(style)
    assert style.headers["Cache-Control"].startswith("public")
    for shown in (icon, home.client.get("/favicon.ico")):
        assert (shown.status_code, shown.mimetype) == (200, "image/svg+xml")
        shown.close()
    for path in ("/confirm.js", "/sign-up.js"):
        script = home.client.get(path)
        assert (script.status_code, script.mimetype) == (200, "text/javascript")
        assert script.headers["Cache-Control"] == "public, max-age=86400"
        assert len(script.data) < 1024
        script.close()
