"""One click for a person, nothing for a scanner: by which road a yes behind a mailed link came (CON-04, CON-05), and what
keeps programs from the form (CAP-09, CAP-10). Peers' pains 1 to 3.
"""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bridge import evidence
from bridge.decide import by_button, must_wait
from bridge.decide.roads import AT_ONCE, MANY, SOON, TRIES
from bridge.jobs.reports import marketing
from bridge.links import Links
from bridge.store import answering
from bridge.store.answering import Asked
from bridge.tables import confirm_roads, open_questions
from bridge.testimony import document
from bridge.vault import encode
from bridge.vocabulary import (
    FEW,
    Doubt,
    EventType,
    Evidence,
    Hold,
    MailKind,
    Report,
    Road,
    Status,
)
from tests.conftest import BASE_URL, Clock, Fields, House, Reader
from tests.test_kids import Kid, paper  # noqa: F401  (`paper` is a fixture)
from tests.test_repermission import POLICY as ASKING
from tests.test_repermission import Desk
from tests.test_subscribe import everything_stored, html, seen

COOKIE = "__Host-sign-up"

SCANNERS = [f"{start}.{number}.7" for start in ("198.51", "203.0") for number in range(50)]


def browser(house: House) -> FlaskClient:
    """Another browser, which has sent no form."""
    return house.app.test_client()


def bare(house: House) -> FlaskClient:
    """A browser that takes no cookie, and every program that only follows links."""
    return house.app.test_client(use_cookies=False)


def code_of(reader: Reader) -> str:
    """The digits in the newest mail to her that has some."""
    for mail in reversed(reader.mails()):
        body = mail.get_body(("plain",))
        assert body is not None
        if found := re.search(r"^(\d{3} \d{3})\r?$", body.get_content(), re.MULTILINE):
            return found[1]
    raise AssertionError("no digits in her mails")


def proof(reader: Reader, kind: EventType = EventType.GIVEN) -> Evidence:
    """What proves her newest yes."""
    evidence_: Evidence = [event for event in reader.story() if event.type is kind][-1].evidence
    return evidence_


def said_yes(reader: Reader) -> bool:
    """Whether any yes of hers is recorded."""
    return any(event.type is EventType.GIVEN for event in reader.story())


def waiting(house: House) -> int:
    """How many questions are noted as waiting."""
    with house.bridge.database.reading() as db:
        return db.scalar(select(func.count()).select_from(open_questions)) or 0


def holding(policy_folder: Path, hold: str) -> None:
    """Let the policy hold yeses."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text(encoding="utf-8") + f'\n[sign_up]\nhold = "{hold}"\n', encoding="utf-8")


@pytest.fixture
def careful(policy_folder: Path, make_house: Callable[..., House], database_url: str) -> House:
    """A house that holds what is doubtful, on both databases."""
    holding(policy_folder, "doubtful")
    return make_house(database_url)


# -- the browser that sent the form -----------------------------------------------------------------------------------


def test_the_browser_that_sent_the_form_is_known_again(house: House, an: Reader) -> None:
    """CON-05, decision 12, RFC 6265: one random cookie, of this host only, that no script reads, as short-lived as the
    request. There the page presses its own button; the button stays for whoever has no scripts."""
    answer = an.signs_up()
    (cookie,) = answer.headers.getlist("Set-Cookie")
    name, *attributes = cookie.split("; ")
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{22}}", name)
    assert set(attributes) == {"HttpOnly", "Max-Age=259200", "Path=/", "SameSite=Lax", "Secure"}
    link, events = an.link("/confirm/"), len(an.story())
    assert name.partition("=")[2] not in everything_stored(house), "kept is a keyed hash"
    for look in (house.client.get, house.client.head):
        page = look(link)
        assert page.headers["Content-Security-Policy"].endswith("; script-src 'self'")
        assert "Set-Cookie" not in page.headers
    ahead = house.client.get(link, headers={"Sec-Purpose": "prefetch;prerender"})
    assert "script" not in html(ahead), "nobody looks at what a browser fetches ahead"
    page = html(house.client.get(link))
    assert page.count("<script") == page.count('<script src="/confirm.js" defer></script>') == 1
    assert (page.count("<button"), page.count("data-by-itself")) == (1, 1)
    assert len(an.story()) == events, "looking is not pressing"

    house.clock.forward(seconds=2)
    assert house.client.post(link).status_code == 200
    assert (proof(an).road, proof(an).after, proof(an).doubt) == ("same_browser", None, None)
    assert waiting(house) == 0
    assert house.verify().problems == ()
    assert "script" not in html(house.client.get(link)), "what is answered presses nothing"


def test_any_other_browser_has_a_button(home: House) -> None:
    """CON-05: her phone; somebody else's browser that sent a form of its own; a made-up cookie; a post that another
    site's page set off: none of them is the browser that sent this form."""
    house, an, dirk = home, Reader(home, "an@lezer.example"), Reader(home, "dirk@lezer.example")
    an.signs_up()
    link = an.link("/confirm/")
    other = browser(house)
    other.post("/subscribe", data={"email": dirk.email, "purpose": "newsletter", "channel": "footer"})
    forged = browser(house)
    forged.set_cookie(COOKIE, "A" * 22, domain="localhost")
    odd = browser(house)
    odd.set_cookie(COOKIE, "x\u00e9;", domain="localhost")
    for client in (browser(house), other, forged, odd, bare(house)):
        page = client.get(link)
        assert (html(page).count("<button"), "script" in html(page)) == (1, False)
        assert "script" not in page.headers["Content-Security-Policy"]
    house.clock.forward(seconds=SOON.seconds)
    set_off = {"Sec-Fetch-Site": "cross-site"}
    assert house.client.post(link, headers=set_off).status_code == 200
    assert (proof(an).road, proof(an).after, proof(an).doubt) == ("button", SOON.seconds, None)


@pytest.mark.parametrize(
    "site", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_a_form_that_another_site_sent_is_not_hers(home: House, site: dict[str, str]) -> None:
    """CON-05, decision 12: another site's page sends the form with her address from her own browser, in a window she
    does not look at. Her browser is none that sent a form then: opening the mail to see what it is says no yes."""
    an, hers = Reader(home, "an@lezer.example"), browser(home)
    hers.post("/subscribe", data={"email": "x@elders.example", "purpose": "newsletter", "channel": "footer"})
    told = {"email": an.email, "purpose": "newsletter", "channel": "footer", "language": "en", **seen_words(home)}
    answer = hers.post("/subscribe", data=told, headers=site)
    assert "Set-Cookie" not in answer.headers, "nor does it take the place of her own"
    link = an.link("/confirm/")
    page = hers.get(link)
    assert ("script" in html(page), "script" in page.headers["Content-Security-Policy"]) == (False, False)
    home.clock.forward(minutes=1)
    hers.post(link)
    assert proof(an).road == "button"


def test_the_digits_confirm_what_another_site_sent(home: House) -> None:
    """CON-04: a form on the operator's own site: on the page that follows, the digits of the mail count."""
    an = Reader(home, "an@lezer.example")
    told = {"email": an.email, "purpose": "newsletter", "channel": "footer", "language": "en", **seen_words(home)}
    answer = browser(home).post("/subscribe", data=told, headers={"Sec-Fetch-Site": "cross-site"})
    place = dict(Fields(html(answer)).hidden)["place"]
    assert bare(home).post("/subscribe/code", data={"code": code_of(an), "place": place}).status_code == 200
    assert proof(an).road == "code"


def seen_words(home: House) -> dict[str, str]:
    """Which words stand beside the box of a form elsewhere."""
    return {"wording": home.bridge.notices.wording("newsletter", "en").sha256}


def test_two_people_at_one_computer(house: House, an: Reader, dirk: Reader) -> None:
    """Shared computers: each link answers its own request and nobody else's, whoever sits there."""
    an.signs_up()
    dirk.signs_up()
    house.clock.forward(minutes=1)
    house.client.post(an.link("/confirm/"))
    assert (said_yes(an), said_yes(dirk)) == (True, False)
    typed = house.client.post("/subscribe/code", data={"code": code_of(dirk)})
    assert typed.status_code == 200
    assert (proof(an).road, proof(dirk).road) == ("same_browser", "code")


# -- the digits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["the page", "the cookie"])
def test_the_digits_of_the_mail_confirm_in_the_browser_that_sent_the_form(house: House, an: Reader, by: str) -> None:
    """CON-04, CON-05: read on a phone, typed at the desk: by the page that followed the form also without a cookie, by
    the cookie also on a page that was opened anew."""
    client = bare(house) if by == "the page" else browser(house)
    told = {"email": an.email, "purpose": ["newsletter", "offers"], "channel": "footer", "language": "nl"}
    hidden = dict(Fields(html(client.post("/subscribe", data=told))).hidden)
    code = code_of(an)
    assert code.replace(" ", "") not in everything_stored(house).replace(" ", ""), "no code is kept anywhere"
    house.clock.forward(minutes=1)
    data = {**(hidden if by == "the page" else {"place": ""}), "code": code.replace(" ", "-")}
    assert client.get("/subscribe/code").status_code == 200
    done = client.post("/subscribe/code", data=data)

    assert (done.status_code, "Vanaf nu ontvang je" in html(done)) == (200, True)
    assert {e.purpose for e in an.story() if e.type is EventType.GIVEN} == {"newsletter", "offers"}
    assert (proof(an).road, proof(an).token, bool(proof(an).request)) == ("code", None, True)
    assert an.may().may
    house.dispatch()
    assert an.is_on()
    assert house.verify().problems == ()
    again = client.post("/subscribe/code", data=data)
    assert (again.status_code, len([e for e in an.story() if e.type is EventType.GIVEN])) == (400, 2)
    assert "Je had al bevestigd" in html(house.client.post(an.link("/confirm/")))


def test_guessing_is_hopeless(house: House, an: Reader, clock: Clock) -> None:
    """CON-04, arithmetic: five wrong tries of a million behind one form and five of its browser, three requests a month
    for one address: thirty in a million. Then the right digits do not work any more either, from wherever; the link does."""
    place = dict(Fields(html(an.signs_up())).hidden)["place"]
    right = code_of(an)
    wrong = f"{(int(right.replace(' ', '')) + 1) % 1_000_000:06}"

    def guess(code: str, number: int, **more: str) -> Any:
        origin = {"REMOTE_ADDR": f"198.51.{number}.7"}
        data = {"code": code, "place": place, "language": "en", **more}
        return bare(house).post("/subscribe/code", data=data, environ_overrides=origin)

    answers = [guess(wrong, number) for number in range(TRIES - 1)]
    with ThreadPoolExecutor(4) as crowd:  # at the same moment, from as many networks
        answers += crowd.map(lambda number: guess(wrong, number), range(10, 14))
    answers.append(guess(right, 20))
    assert {repr(seen(answer)) for answer in answers} == {repr(seen(answers[0]))}
    assert answers[0].status_code == 400
    assert not said_yes(an)
    # One network may type so many wrong ones an hour, whoever they are meant for.
    many = [guess(wrong, 99, place="A" * 22).status_code for _ in range(21)]
    assert many == [400] * 20 + [429]
    clock.forward(minutes=1)
    assert house.client.post(an.link("/confirm/")).status_code == 200
    assert an.may().may


def test_nobody_spends_anothers_tries(house: House, an: Reader, dirk: Reader) -> None:
    """CON-04: people sign up one after the other at one computer. Wrong digits behind one's form are that form's; where
    the page names no form they are the browser's, whose turn ends after five as well: ten guesses in all for a request,
    and the page behind each form goes on working."""
    eva = Reader(house, "eva@lezer.example")
    pages = {reader.email: dict(Fields(html(reader.signs_up())).hidden)["place"] for reader in (an, dirk, eva)}
    codes = {reader.email: code_of(reader) for reader in (an, dirk, eva)}
    wrong = next(f"{n:06}" for n in range(9) if f"{n:06}" not in {code.replace(" ", "") for code in codes.values()})

    def types(code: str, place: str = "") -> int:
        return int(house.client.post("/subscribe/code", data={"code": code, "place": place}).status_code)

    assert types(codes[an.email], pages[dirk.email]) == 400, "behind his form only his digits count"
    assert [types(wrong, pages[dirk.email]) for _ in range(TRIES)] == [400] * TRIES
    assert types(codes[dirk.email], pages[dirk.email]) == 400, "those are spent"
    house.clock.forward(minutes=1)
    assert types(codes[eva.email]) == 200, "nobody else's, also where no form is named"
    assert [types(wrong) for _ in range(TRIES)] == [400] * TRIES
    assert types(codes[an.email]) == 400
    assert types(codes[an.email], pages[an.email]) == 200
    assert (said_yes(an), said_yes(dirk), said_yes(eva)) == (True, False, True)
    house.clock.forward(hours=72)
    later = Reader(house, "later@lezer.example")
    later.signs_up()
    assert types(code_of(later)) == 200, "the browser's tries come back with time"


@pytest.mark.parametrize("how", ["behind a form", "in a browser", "behind a link"])
def test_a_network_guesses_no_more_at_once_than_one_by_one(
    policy_folder: Path,
    make_house: Callable[..., House],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """CON-04, CAP-10: wrong digits that come in at the same moment count each other, on both databases."""
    file = policy_folder / "policy.toml"
    told = '\n[sign_up]\nhold = "all"\nper_network_hour = 8\n'
    file.write_text(file.read_text(encoding="utf-8") + told, encoding="utf-8")
    house = make_house(database_url)
    people = [Reader(house, f"a{number}@lezer.example") for number in range(8)]
    places = [dict(Fields(html(reader.signs_up())).hidden)["place"] for reader in people]
    links = [reader.link("/confirm/") for reader in people]
    for _ in range(6):
        assert bare(house).post("/subscribe/code", data={"code": "12"}).status_code == 400
    together, looked = Barrier(8, timeout=0.2), answering.check_guesses

    def slow(*what: Any) -> None:
        looked(*what)
        with suppress(BrokenBarrierError):
            together.wait()

    monkeypatch.setattr(answering, "check_guesses", slow)

    def guess(number: int) -> int:
        told = {"code": "12", "place": places[number] if how == "behind a form" else places[0][:22]}
        path = links[number] if how == "behind a link" else "/subscribe/code"
        return int(bare(house).post(path, data=told).status_code)

    with ThreadPoolExecutor(8) as crowd:
        assert Counter(crowd.map(guess, range(8))) == {400: 2, 429: 6}


def test_a_code_that_does_not_work_says_nothing_of_whoever(house: House, an: Reader, dirk: Reader) -> None:
    """CAP-09: unknown, subscribed already, erased, stopped, too often: the same page, the same answer to any digits."""
    dirk.has_consented()
    gone, fresh, left = (Reader(house, f"{name}@lezer.example") for name in ("gone", "fresh", "left"))
    gone.has_consented()
    house.store.erase_person(gone.email)
    left.has_consented()
    left.one_click()
    house.clock.forward(days=2)
    answers, typed = set(), set()
    for reader in (an, an, dirk, gone, fresh, left):
        client = browser(house)
        told = {"email": reader.email, "purpose": "newsletter", "channel": "footer", "language": "en"}
        answer = client.post("/subscribe", data=told)
        answers.add(repr(seen(answer)))
        place = dict(Fields(html(answer)).hidden)["place"]
        assert re.fullmatch(r"[\w-]{22}\.[\w-]{22}", place)
        house.dispatch()
        typed.add(repr(seen(client.post("/subscribe/code", data={"code": "12", "place": place, "language": "en"}))))
    assert (len(answers), len(typed)) == (1, 1)
    empty = browser(house).post("/subscribe/code", data={"code": " ", "language": "en"})
    assert empty.status_code == 400
    assert 'a new mail comes. <a href="/subscribe">To the form</a>' in html(empty), "what to do when none works"


@pytest.mark.parametrize("what", ["stop", "bounce", "erasure", "rest"])
def test_nothing_old_confirms_by_cookie_or_code(house: House, an: Reader, what: str) -> None:
    """R4, R7, CON-04, RGT-04: a stop, a dead address and an erasure win over cookie and code; after an erasure
    nothing of the request is left, and a later sign-up is not answered by what was mailed before."""
    an.signs_up()
    link, code = an.link("/confirm/"), code_of(an)
    house.clock.forward(minutes=1)
    person = house.store.person(an.email)
    assert person is not None
    if what == "stop":
        house.hear(an.told_by_esp(EventType.UNSUBSCRIBED))
    elif what == "bounce":
        house.hear(an.told_by_esp(EventType.BOUNCED))
    elif what == "erasure":
        house.store.erase_person(an.email)
        assert waiting(house) == 0
    else:
        house.clock.forward(hours=72)
        assert house.client.post("/subscribe/code", data={"code": code}).status_code == 400
        house.store.forget_requests()
        house.store.forget_wishes()
        assert waiting(house) == 0
    house.clock.forward(minutes=1)
    answers = [
        house.client.get(link),
        house.client.post(link),
        house.client.post("/subscribe/code", data={"code": code}),
    ]
    assert [answer.status_code for answer in answers[:2]] == [410, 410]
    assert answers[2].status_code in (400, 410)
    house.dispatch()
    assert not an.may().may
    assert not an.is_on()
    if what == "erasure":
        house.clock.forward(days=31)
        an.signs_up()
        house.clock.forward(minutes=1)
        assert house.client.post(link).status_code == 410
        assert house.client.post("/subscribe/code", data={"code": code}).status_code == 400
        assert not said_yes(an)
    assert house.verify().problems == ()


@pytest.mark.parametrize("road", Road)
def test_a_yes_while_her_data_is_restricted_waits_with_the_rest(house: House, an: Reader, road: Road) -> None:
    """RGT-05, GDPR 18: by cookie, digits or button, her yes is her own act and is written, with its road; while she has
    her data restricted nothing is mailed for it and no platform takes her in. Lifted, it counts."""
    an.signs_up("offers")
    link, code = an.link("/confirm/"), code_of(an)
    hers = an.asks_for_a_link().replace("/preferences/", "/my-data/")
    house.clock.forward(minutes=1)
    assert bare(house).post(hers, data={"act": "restrict"}).status_code == 200
    house.dispatch()
    house.mailbox.clear()
    if road is Road.SAME_BROWSER:
        pressed = house.client.post(link)
    elif road is Road.CODE:
        pressed = house.client.post("/subscribe/code", data={"code": code})
    else:
        pressed = bare(house).post(link)
    assert pressed.status_code == 200
    house.clock.forward(minutes=1)
    house.dispatch()
    assert (said_yes(an), proof(an).road) == (True, road.value)
    assert not house.store.may_mail(an.email, "offers").may
    assert (house.mailbox.messages, house.esp.people) == ([], {}), "no platform holds her"
    assert bare(house).post(hers, data={"act": "lift"}).status_code == 200
    house.clock.forward(minutes=1)
    house.dispatch()
    assert house.store.may_mail(an.email, "offers").may
    assert an.is_on("offers")
    assert house.verify().problems == ()


# -- scanners ---------------------------------------------------------------------------------------------------------


class Pages(msgspec.Struct):
    """Links of every mail that asks something, each with what must not come of it."""

    confirm: str
    question: str
    guardian: str
    of_age: str


@pytest.fixture
def asked(
    paper: Path,  # noqa: F811  (a fixture)
    policy_folder: Path,
    make_house: Callable[..., House],
    database_url: str,
    tmp_path: Path,
) -> tuple[House, dict[str, str]]:
    """A house that holds every yes, and one of each mail that asks, in mailboxes that a scanner reads."""
    paper.write_text(paper.read_text(encoding="utf-8") + ASKING, encoding="utf-8")
    holding(policy_folder, "all")
    house = make_house(database_url)
    grown = Kid(house, "grown@lezer.example", "other@thuis.example")
    grown.asks()
    house.client.post(grown.link("/confirm/"))
    house.clock.forward(minutes=2)
    grown.guardian_says("yes", years="1", code=code_of(grown.parent))
    house.clock.forward(days=740)
    house.dispatch()
    desk = Desk(house, tmp_path)
    desk.takes_in("bram@lezer.example")
    desk.asks()
    kim = Kid(house)
    kim.asks()
    links = {
        "confirm": kim.link("/confirm/"),
        "guardian": kim.guardian_link(),
        "of_age": grown.link("/of-age/"),
        "question": Reader(house, "bram@lezer.example").link("/question/"),
    }
    return house, links


def test_what_scanners_do_answers_nothing(asked: tuple[House, dict[str, str]]) -> None:
    """CON-05, KID-01, AUD-03; peers' pains 1 and 2: HEAD, GET, GET a hundred times from other networks, every form sent
    as it stands on the page (Safe Links): no yes, no mail that follows, no platform told, wherever something is asked.
    Then each reader's own digits say it."""
    house, links = asked
    house.dispatch()
    house.mailbox.clear()
    mails = {"confirm": "kim@lezer.example", "guardian": "ouder.peeters@thuis.example"}
    mails |= {"of_age": "grown@lezer.example", "question": "bram@lezer.example"}
    before, calls = everything_stored(house), len(house.esp.calls)
    scanner = bare(house)
    for link in links.values():
        assert scanner.head(link).data == b""
        for number, network in enumerate(SCANNERS):
            more = {"Sec-Purpose": "prefetch"} if number % 2 else {}
            seen_ = scanner.get(link, headers=more, environ_overrides={"REMOTE_ADDR": network})
            assert (seen_.status_code, "<script" in html(seen_)) == (200, False)
    assert everything_stored(house) == before
    house.clock.forward(minutes=30)
    yes = {"confirm": {}, "question": {}, "guardian": {"answer": "yes"}, "of_age": {"at_least": "yes"}}
    held = {kind: [scanner.post(link, data=yes[kind]) for _ in range(2)] for kind, link in links.items()}
    for kind, answers in held.items():
        assert [answer.status_code for answer in answers] == [200, 200], kind
        assert "zes cijfers" in html(answers[0]), kind
        assert scanner.post(links[kind], data={**yes[kind], "code": "x"}).status_code == 400, kind
    house.dispatch()
    assert (house.mailbox.messages, len(house.esp.calls)) == ([], calls)
    stands = {p: house.store.may_mail(mails[k], p).may for k, p in (("confirm", "club"), ("question", "newsletter"))}
    assert stands == {"club": False, "newsletter": False}
    assert not house.store.may_mail(mails["of_age"], "club").may
    for kind in links:
        person = house.store.person(mails[kind] if kind != "guardian" else mails["confirm"])
        assert person is not None
        code = house.bridge.links.code(*coded(house, kind, links[kind]))
        done = scanner.post(links[kind], data={**yes[kind], "code": f"{code[:3]} {code[3:]}"})
        assert (done.status_code, "zes cijfers" in html(done)) == (200, False), kind
    house.clock.forward(minutes=1)
    assert house.store.may_mail(mails["confirm"], "club").may
    assert house.store.may_mail(mails["question"], "newsletter").may
    assert house.store.may_mail(mails["of_age"], "club").may
    assert house.verify().problems == ()


def coded(house: House, kind: str, link: str) -> tuple[str, str, str]:
    """What the digits of a mail are made of, from its link."""
    from bridge.links import Action

    action = {"confirm": Action.CONFIRM, "guardian": Action.GUARDIAN, "of_age": Action.OF_AGE, "question": Action.ONCE}
    claim = house.bridge.links.read(action[kind], link.rpartition("/")[2], house.clock())
    return (MailKind.REPERMISSION if kind == "question" else MailKind(kind)), claim.subject, claim.request


def test_leaving_is_never_held(asked: tuple[House, dict[str, str]]) -> None:
    """WDR-05, WDR-10, CAP-10: under the strictest policy, with every limit used up, whoever stops has stopped: by mail
    program, by page, by the no to a question, by a guardian."""
    house, links = asked
    els = Reader(house, "els@lezer.example")
    els.signs_up("newsletter")
    house.client.post(els.link("/confirm/"))
    stop_link = els.link("/u/")
    for number in range(21):
        Reader(house, f"a{number}@lezer.example").signs_up()
        house.client.post("/subscribe/code", data={"code": "1"})
    assert Reader(house, "b@lezer.example").signs_up().status_code == 429
    assert house.client.post("/subscribe/code", data={"code": "1"}).status_code == 429
    scanner = bare(house)
    assert scanner.post(links["guardian"], data={"answer": "no"}).status_code == 200
    assert house.store.may_mail("kim@lezer.example", "club").status is not Status.GIVEN
    question = html(scanner.get(links["question"]))
    stop = re.search(r'action="(/u/[^"]+)"', question)
    assert stop
    assert scanner.post(stop[1], data={"scope": "list"}).status_code == 200
    assert house.store.may_mail("bram@lezer.example", "newsletter").status is Status.REFUSED
    assert els.may().may
    assert scanner.post(stop_link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert els.status() is Status.WITHDRAWN


@pytest.mark.parametrize("seconds", [0, 29, 30])
def test_a_button_within_seconds_of_the_mail_waits(careful: House, seconds: int) -> None:
    """CON-05: what Safe Links does: the form is sent by a program right after the mail left. Held is not given: nobody
    is mailed for it, and a stop meanwhile wins. Only the digits go on; they are proof of their own road."""
    an = Reader(careful, "an@lezer.example")
    an.signs_up()
    link = an.link("/confirm/")
    careful.clock.forward(seconds=seconds)
    pressed = bare(careful).post(link)
    if seconds == 30:
        assert (proof(an).road, proof(an).after, proof(an).doubt) == ("button", 30, None)
        return
    assert pressed.status_code == 200
    assert "zes cijfers" in html(pressed)
    careful.clock.forward(hours=1)
    careful.dispatch()
    assert not said_yes(an)
    assert (an.status(), an.may().may, careful.esp.calls) == (Status.REQUESTED, False, [])
    assert "zes cijfers" in html(bare(careful).get(link)), "the page remembers what it waits for"
    if seconds == 0:
        careful.hear(an.told_by_esp(EventType.UNSUBSCRIBED))
        careful.clock.forward(minutes=1)
        assert bare(careful).post(link, data={"code": code_of(an)}).status_code == 410
        assert not an.may().may
        return
    assert bare(careful).post(link, data={"code": code_of(an)}).status_code == 200
    assert (proof(an).road, an.may().may) == ("code", True)


def test_what_was_held_waits_however_often_it_is_pressed(careful: House) -> None:
    """CON-05: a scanner that looks at a mail once more, when it is opened or an hour later, is no more of a person."""
    an = Reader(careful, "an@lezer.example")
    an.signs_up()
    link = an.link("/confirm/")
    careful.clock.forward(seconds=5)
    assert "zes cijfers" in html(bare(careful).post(link))
    for seconds in (60, 3600, 86_400):
        careful.clock.forward(seconds=seconds)
        assert "zes cijfers" in html(bare(careful).post(link))
        careful.dispatch()
        assert (said_yes(an), an.may().may, careful.esp.calls) == (False, False, [])
    assert bare(careful).post(link, data={"code": code_of(an)}).status_code == 200
    assert (proof(an).road, an.may().may) == ("code", True)


def test_many_links_of_one_domain_at_once(house: House) -> None:
    """CON-05: a scanner presses a whole company's buttons within seconds; each says so, nobody is held by default."""
    people = [Reader(house, f"a{number}@bedrijf.example") for number in range(MANY)]
    people += [Reader(house, "x@elders.example"), Reader(house, "late@bedrijf.example")]
    for reader in people:
        reader.signs_up()
    links = [reader.link("/confirm/") for reader in people]
    house.clock.forward(minutes=5)
    for link in links[:-1]:
        assert bare(house).post(link).status_code == 200
    house.clock.forward(seconds=AT_ONCE.seconds + 1)
    assert bare(house).post(links[-1]).status_code == 200
    doubts = [None] * (MANY - 1) + ["many", None, None]
    assert [proof(reader).doubt for reader in people] == doubts
    assert all(reader.may().may for reader in people)


def test_a_new_mailbox_is_asked_as_carefully(careful: House) -> None:
    """CON-05, R13: the question to an address that a platform told of is a question as any: a program at the new
    mailbox that presses its button is held, her digits count, and what proves the old yes says nothing of the new."""
    an, new = Reader(careful, "an@lezer.example"), Reader(careful, "an@elders.example")
    an.signs_up()
    link = an.link("/confirm/")
    assert careful.client.post(link).status_code == 200
    assert proof(an).road == "same_browser"
    careful.clock.forward(days=1)
    careful.hear(Report(type=EventType.MOVED, email=an.email, to=new.email, time=careful.clock.now, key="moved"))
    link = new.link("/confirm/")
    question = [event for event in new.story() if event.type is EventType.REQUESTED][-1].evidence
    assert (question.road, question.after, question.doubt) == (None, None, None)
    careful.clock.forward(seconds=5)
    assert "zes cijfers" in html(bare(careful).post(link))
    assert not new.may().may
    assert bare(careful).post(link, data={"code": "1"}).status_code == 400
    assert bare(careful).post(link, data={"code": code_of(new)}).status_code == 200
    assert (proof(new).road, new.may().may, waiting(careful)) == ("code", True, 0)
    assert careful.verify().problems == ()


class Mover:
    """Somebody with a consent, who asked to be moved to a new address five minutes after she said yes."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.old, self.new = Reader(house, "an@lezer.example"), Reader(house, "an@elders.example")
        self.old.signs_up()
        house.client.post(self.old.link("/confirm/"))
        self.fresh = self.old.asks_for_a_link().replace("/preferences/", "/my-data/")
        house.clock.forward(minutes=5)
        bare(house).post(self.fresh, data={"act": "address", "email": self.new.email})

    def presses(self, code: str = "", network: str = "203.0.113.5") -> Any:
        """The button behind the mail to the new address, with digits or without."""
        data = {"act": "moved", **({"code": code} if code else {})}
        link = self.new.link("/my-data/")
        return bare(self.house).post(link, data=data, environ_overrides={"REMOTE_ADDR": network})

    def is_here(self) -> bool:
        """Whether she is at the new address, and mail may go there."""
        return bool(self.new.may().may)


@pytest.mark.parametrize(
    ("hold", "seconds", "waits"),
    [("never", 5, False), ("doubtful", 5, True), ("doubtful", 40, False), ("all", 5, True), ("all", 40, True)],
)
def test_a_program_at_a_new_address_takes_no_consents_there(
    policy_folder: Path, make_house: Callable[..., House], database_url: str, hold: str, seconds: int, waits: bool
) -> None:
    """CON-05, R13: the press that moves her is her yes at the new address. One that may be a program's waits for the
    digits of its mail; nothing has moved until then, and by which road she came stands in the proof."""
    holding(policy_folder, hold)
    house = make_house(database_url)
    an = Mover(house)
    link = an.new.link("/my-data/")
    digits = re.search(r"\b\d{3} \d{3}\b", str(an.new.mails()[-1].get_body(("plain",))))
    assert bool(digits) is (hold != "never")
    before = everything_stored(house)
    for number in range(20):
        assert "<script" not in html(bare(house).get(link, environ_overrides={"REMOTE_ADDR": SCANNERS[number]}))
    assert everything_stored(house) == before
    house.clock.forward(seconds=seconds)
    pressed = an.presses()
    house.dispatch()
    assert (pressed.status_code, "zes cijfers" in html(pressed), an.is_here()) == (200, waits, not waits)
    if not waits:
        moved = proof(an.new, EventType.MOVED)
        assert (moved.road, moved.after, moved.doubt) == ("button", seconds, "soon" if seconds < 30 else None)
        assert len(an.new.mails()) == 1, "nothing is asked anew"
        return
    assert an.old.may().may, "nothing has moved"
    house.clock.forward(hours=1)
    assert "zes cijfers" in html(bare(house).get(link)), "the page remembers what it waits for"
    assert "zes cijfers" in html(an.presses()), "a press an hour later is no more of a person"
    hers = bare(house).get(an.old.asks_for_a_link().replace("/preferences/", "/my-data/"))
    assert "Op de knop ervan werd gedrukt op" in html(hers), "she sees that it was"
    wrong = an.presses("12")
    assert (wrong.status_code, 'id="code-error"' in html(wrong), an.is_here()) == (400, True, False)
    assert an.presses(code_of(an.new)).status_code == 200
    house.dispatch()
    assert (an.is_here(), an.new.is_on(), proof(an.new, EventType.MOVED).road) == (True, True, "code")
    assert (len(an.new.mails()), waiting(house)) == (1, 0)
    again = an.presses("12")
    assert (again.status_code, "Je nieuwe adres" in html(again)) == (200, True), "what is done stays done"
    assert house.verify().problems == ()


@pytest.mark.parametrize(
    "how", ["mailed without digits", "asked twice", "stopped meanwhile", "joined", "by a platform"]
)
def test_digits_move_her_only_by_the_mail_that_has_them(
    policy_folder: Path, make_house: Callable[..., House], database_url: str, how: str
) -> None:
    """CON-05, R13, R4: a mail that left before the policy held anything has none: its button moves her, and each
    consent is asked anew. Digits of an earlier mail move nobody; a stop meanwhile goes with her."""
    holding(policy_folder, "never" if how == "mailed without digits" else "all")
    house = make_house(database_url)
    an = Mover(house)
    link = an.new.link("/my-data/")
    if how == "mailed without digits":
        file = policy_folder / "policy.toml"
        file.write_text(file.read_text(encoding="utf-8").replace('hold = "never"', 'hold = "doubtful"'))
        house = an.house = an.old.house = an.new.house = make_house(database_url)
        house.clock.forward(minutes=1)
        assert "vragen we je hier elk van deze nog eens" in html(bare(house).get(link))
        assert bare(house).post(link, data={"act": "moved"}).status_code == 200
        assert not an.is_here()
        code = code_of(an.new)
        house.clock.forward(seconds=5)
        assert "zes cijfers" in html(bare(house).post(an.new.link("/confirm/")))
        assert bare(house).post(an.new.link("/confirm/"), data={"code": code}).status_code == 200
        assert (proof(an.new).road, an.is_here()) == ("code", True)
        return
    code = code_of(an.new)
    if how == "asked twice":
        an.new = Reader(house, "an@derde.example")
        house.clock.forward(minutes=1)
        bare(house).post(an.fresh, data={"act": "address", "email": an.new.email})
        assert bare(house).post(link, data={"act": "moved", "code": code}).status_code == 410
        newer = code_of(an.new)
        assert newer != code
        assert an.presses(code).status_code == 400
        assert an.presses(newer).status_code == 200
        assert an.is_here()
    elif how == "stopped meanwhile":
        an.old.one_click()
        house.clock.forward(minutes=1)
        assert an.presses(code).status_code == 200
        assert an.new.status() is Status.WITHDRAWN
    elif how == "joined":
        an.new.signs_up("offers")
        house.client.post(an.new.link("/confirm/"))
        an.old.one_click()
        house.clock.forward(minutes=1)
        assert "zes cijfers" in html(an.presses())
        assert an.new.status("newsletter") is Status.UNKNOWN
        assert an.presses(code).status_code == 200
        assert (an.new.status("newsletter"), an.new.may("offers").may) == (Status.WITHDRAWN, True)
        assert waiting(house) == 0
    else:
        to = "an@derde.example"
        house.hear(Report(type=EventType.MOVED, email=an.old.email, to=to, time=house.clock.now, key="moved"))
        assert bare(house).post(link, data={"act": "moved", "code": code}).status_code == 410
        assert not an.is_here()
        assert waiting(house) == 1, "only what the third address is asked"
    house.dispatch()
    assert house.verify().problems == ()


def test_the_digits_of_a_move_are_guessed_no_more_often_than_others(
    policy_folder: Path, make_house: Callable[..., House], database_url: str
) -> None:
    """CON-04: five wrong tries, from wherever; then not even the right ones move her."""
    holding(policy_folder, "all")
    house = make_house(database_url)
    an = Mover(house)
    right = code_of(an.new)
    wrong = f"{(int(right.replace(' ', '')) + 1) % 1_000_000:06}"
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda number: an.presses(wrong, SCANNERS[number]), range(TRIES)))
    answers.append(an.presses(right, SCANNERS[TRIES]))
    assert {answer.status_code for answer in answers} == {400}
    assert (an.is_here(), an.old.may().may) == (False, True)
    assert house.verify().problems == ()


def test_links_that_are_pressed_in_the_same_instant_are_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """CON-05: a scanner presses a whole company's buttons side by side; who is not committed yet is counted all the
    same, on both databases."""
    people = [Reader(house, f"a{number}@bedrijf.example") for number in range(5)]
    for reader in people:
        reader.signs_up()
    links = [reader.link("/confirm/") for reader in people]
    house.clock.forward(minutes=5)
    together = Barrier(len(people), timeout=0.2)

    def slow(*what: Any) -> Any:
        with suppress(BrokenBarrierError):
            together.wait()
        return by_button(*what)

    monkeypatch.setattr(answering, "by_button", slow)
    with ThreadPoolExecutor(len(people)) as crowd:
        assert {answer.status_code for answer in crowd.map(lambda link: bare(house).post(link), links)} == {200}
    assert Counter(proof(reader).doubt for reader in people) == {None: MANY - 1, "many": len(people) - MANY + 1}


@settings(max_examples=60)
@given(
    after=st.none() | st.integers(-100, 1000),
    others=st.integers(0, 9),
    hold=st.sampled_from(Hold),
    coded_=st.booleans(),
)
def test_the_rule(after: int | None, others: int, hold: Hold, coded_: bool) -> None:
    """CON-05: what is not known is doubtful; a mail without digits is never waited for; cookie and code never wait."""
    now = Clock().now
    way = by_button(now, None if after is None else now - timedelta(seconds=after), others)
    assert way.road is Road.BUTTON
    assert (Doubt.SOON in way.doubts) is (after is None or after < 30)
    assert (Doubt.MANY in way.doubts) is (others >= 2)
    waits = coded_ and (hold is Hold.ALL or (hold is Hold.DOUBTFUL and bool(way.doubts)))
    assert must_wait(way, hold, coded=coded_) is waits
    for road in (Road.SAME_BROWSER, Road.CODE):
        assert not must_wait(way._replace(road=road), hold, coded=coded_)


# -- what is shown of it ----------------------------------------------------------------------------------------------


def test_the_road_is_in_evidence_report_and_her_data(house: House) -> None:
    """CAP-05, CHN-06, RGT-01: in her sealed event, in the document of her evidence, and as numbers by channel, of few
    nobody's; numbers stay when people go."""
    people = [Reader(house, f"a{number}@d{number}.example") for number in range(3 * FEW)]
    for reader in people:
        reader.signs_up()
        link = reader.link("/confirm/")
        house.clock.forward(hours=1)
        number = people.index(reader)
        client = [house.client, bare(house), bare(house)][number // FEW]
        client.post(link, data={"code": code_of(reader)} if number < 2 * FEW else {})
    roads = ["same_browser"] * FEW + ["code"] * FEW + ["button"] * FEW
    assert [proof(reader).road for reader in people] == roads
    told = marketing.collect(house.bridge, "nl")
    (channel,) = [one for one in told["channels"] if one["id"] == "footer"]
    assert channel["roads"] == {"same_browser": FEW, "code": FEW, "button": FEW, "doubtful": 0}
    assert channel["held"] == 0
    page = marketing.as_html(house.bridge, told, house.clock())
    assert "met de cijfers uit de mail" in page
    assert f"confirmed same browser {FEW}, code {FEW}, button {FEW}, doubtful 0" in marketing.as_text(told)
    house.store.erase_person(people[0].email)
    with house.bridge.database.reading() as db:
        counts = {row.road: row.count for row in db.execute(select(confirm_roads))}
    assert counts == {"same_browser": FEW, "code": FEW, "button": FEW}
    found = evidence.look(house.bridge, people[-1].email)
    assert found is not None
    for language, words in (("nl", "ook een programma zijn geweest"), ("en", "may also have been a program")):
        assert words in " ".join(document(house.bridge, found, language).text().split())
    assert '"road": "button"' in str(evidence.as_data(house.bridge, found)).replace("'", '"')


def test_proofs_from_before_are_what_they_were() -> None:
    """CAP-06: an event that names no road is the same bytes as before there were any, so that old digests hold."""
    assert encode(Evidence(box="ticked")) == b'{"box":"ticked"}'
    assert msgspec.json.decode(b'{"box":"ticked"}', type=Evidence).road is None


def test_the_digits_stay_when_keys_change(home: House, reader: Reader) -> None:
    """KEY-01, KEY-02: one code for one request, whatever is signed with today; another question's is another."""
    old, new = b"o" * 32, b"n" * 32
    before, after = Links([old], BASE_URL), Links([new, old], BASE_URL)
    codes = {before.code(kind, subject, request) for kind in "cg" for subject in "ab" for request in "xy"}
    assert len(codes) == 8
    assert before.code("c", "a", "x") == after.code("c", "a", "x")
    assert after.is_code(" 12-34 56", "c", "a", "x") is (after.code("c", "a", "x") == "123456")
    assert before.place("secret") == after.place("secret") != before.place("other")
    reader.signs_up()
    she = home.store.person(reader.email)
    assert she is not None
    request = reader.story()[0].evidence.request or ""
    assert home.store.question(she, Asked(MailKind.CONFIRM, request)) is not None


# -- programs at the form ---------------------------------------------------------------------------------------------


def test_whoever_fills_in_what_nobody_sees_is_told_the_same(home: House, reader: Reader) -> None:
    """CAP-10, CAP-09, A11Y-01: a field that people and screen readers do not meet; a program that fills it in gets the
    very same answer, and nothing is written."""
    form = html(home.client.get("/subscribe?language=en"))
    trap = re.search(r'<div class="trap" aria-hidden="true">(.*?)</div>', form, re.DOTALL)
    assert trap
    assert 'tabindex="-1" autocomplete="off"' in trap[1]
    before = everything_stored(home)
    caught = reader.signs_up(homepage="https://spam.example")
    assert everything_stored(home) == before
    assert repr(seen(caught)) == repr(seen(reader.signs_up()))
    assert everything_stored(home) != before
    wrong = [reader.signs_up("nothing", homepage=value) for value in ("", "x")]
    assert [answer.status_code for answer in wrong] == [400, 400]


def test_a_report_of_a_stop_counts_whatever_waits(house: House, an: Reader) -> None:
    """R2, CON-04: signed up, stopped at the platform, signed up again: the newest mail's digits answer the newest
    request only."""
    an.signs_up()
    first = code_of(an)
    house.hear(Report(type=EventType.UNSUBSCRIBED, email=an.email, time=house.clock(), key="1"))
    house.clock.forward(hours=25)
    an.signs_up()
    assert code_of(an) != first
    house.clock.forward(minutes=1)
    late = house.client.post("/subscribe/code", data={"code": first})
    assert (late.status_code, said_yes(an)) == (410, False)
    assert house.client.post("/subscribe/code", data={"code": code_of(an)}).status_code == 200
    assert an.may().may


@pytest.fixture
def working(policy_folder: Path, make_house: Callable[..., House], sqlite_url: str) -> House:
    """A house whose form counts before it is sent."""
    file = policy_folder / "policy.toml"
    told = "\n[sign_up]\nproof_of_work = true\nper_network_hour = 8\n"
    file.write_text(file.read_text(encoding="utf-8") + told, encoding="utf-8")
    return make_house(sqlite_url)


def solved(task: str) -> str:
    """What a browser finds."""
    found = (f"{task}:{number}" for number in range(10_000_000))
    return next(one for one in found if sha256(one.encode()).digest()[:2] == b"\0\0")


def test_a_little_counting_opens_the_form_wider(working: House) -> None:
    """CAP-10: nobody else is asked, each task is good for one form, and without scripts the form works too: a quarter as
    often from one network."""
    page = working.client.get("/subscribe")
    (task,) = re.findall(r'data-task="([^"]+)" data-bits="16"', html(page))
    assert page.headers["Content-Security-Policy"].endswith("; script-src 'self'")
    assert '<script type="module" src="/sign-up.js"></script>' in html(page)
    work = solved(task)
    bad = ["", "x", work[:-1] + "x", f"{task}:0", work.replace(".", ".A", 1), f"{int(task[:10]) - 9}{work[10:]}"]
    assert not any(working.bridge.links.is_worked(one, working.clock()) for one in bad)
    assert working.bridge.links.is_worked(work, working.clock() + timedelta(hours=3))
    assert not working.bridge.links.is_worked(work, working.clock() + timedelta(hours=3, seconds=1))
    people = iter(Reader(working, f"a{number}@lezer.example") for number in range(30))
    assert [next(people).signs_up(work=told).status_code for told in ("", "x", "")] == [200, 200, 429]
    assert [next(people).signs_up(work=told).status_code for told in (work, work)] == [200, 429], "spent"
    more = [solved(re.findall(r'data-task="([^"]+)"', html(working.client.get("/subscribe")))[0]) for _ in range(2)]
    assert [next(people).signs_up(work=told).status_code for told in more] == [200, 200]
