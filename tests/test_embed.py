"""The form on the operator's own site and the link for her mails: issue 8, point 6; CAP-01, CAP-04, CAP-07, CAP-09."""

import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import combinations, product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from werkzeug.datastructures import Headers

from adapters.mailchimp import Mailchimp
from adapters.sendgrid import SendGrid
from bridge import embedding
from bridge.cli import main
from bridge.notices import Notices, wording
from bridge.texts import TEMPLATES, contrast
from bridge.vocabulary import EventType
from bridge.web.browser import COOKIE
from tests.conftest import BASE_URL, Fields, House, Reader
from tests.test_roads import solved
from tests.test_subscribe import everything_stored, html

#: What a browser says when a page of another domain sends it a form, and a page of the same domain.
STRANGER, NEIGHBOUR = {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}


def form(house: House, channel: str = "footer", language: str = "nl") -> str:
    """The form to paste."""
    its = house.bridge
    return embedding.form(its.policy, its.notices, its.links, its.texts, channel=channel, language=language)


def sends(house: House, email: str, *wordings: str, language: str = "nl", headers: Any = STRANGER, **more: Any) -> Any:
    """Her browser sends it from the operator's site."""
    headers = Headers(headers)
    headers["Accept"] = "text/html"
    told = {
        "email": email,
        "purpose": "newsletter",
        "channel": "footer",
        "language": language,
        "wording": list(wordings),
    }
    return house.client.post("/subscribe", data={**told, **more}, headers=headers)


@pytest.fixture
def children(make_house: Callable[..., House], policy_folder: Path, sqlite_url: str) -> House:
    """A house with all that a form can ask: her age, a field, a choice; and one that gives something away."""
    file = policy_folder / "policy.toml"
    text = file.read_text(encoding="utf-8")
    text = text.replace('id = "newsletter"\n', 'id = "newsletter"\noffered_to_children = true\n', 1)
    field = (
        '[[fields]]\nid = "{id}"\nlabel.nl = "{id} <nl>"\nlabel.en = "{id} <en>"\nneed = "To address her."\n'
        'purposes = ["newsletter"]\n{more}\n'
    )
    text += field.format(id="first_name", more="") + field.format(id="region", more='choices = ["north", "south"]\n')
    text += (
        '[[channels]]\nid = "guide"\nkind = "brochure"\nplace.nl = "de gids"\nplace.en = "the guide"\n'
        'purposes = ["offers"]\nowner = "Carla"\nnext_review = 2035-06-30\nasset = "https://www.dedagwijzer.example/g"\n'
    )
    file.write_text(text, encoding="utf-8")
    return make_house(sqlite_url)


def test_what_is_pasted_says_all_and_ticks_nothing(children: House) -> None:
    """CAP-01, CAP-04, CAP-08: each form in each language: no script, no style, no ticked box, the exact words before
    their box, every address ours and whole, and no two forms of one page share a name of a part."""
    its, seen = children.bridge, set()
    for channel, language in product(("footer", "guide"), ("nl", "en")):
        told = form(children, channel, language)
        assert not re.search(r"<script|<style|\bstyle=|\bon\w+=|checked|selected|<iframe", told)
        places = re.findall(r'(?:href|action|src)="([^"]*)"', told)
        assert all(place.startswith(f"{BASE_URL}/") for place in places)
        assert set(re.findall(r"https?://[^/\"<> ]+", told)) == {BASE_URL}, "no host but ours"
        assert f'lang="{language}" dir="ltr"' in told
        asked = its.policy.channels[channel].purposes
        for purpose in asked:
            words = its.notices.wording(purpose, language)
            box = told.index(f'value="{purpose}"')
            for said in (*words.text.split("\n\n"), its.policy.purposes[purpose].name[language], words.sha256):
                assert told.index(said) < box
            assert told.index(its.policy.controller.name) < box < told.index(words.label)
        fields = Fields(told)
        assert fields.boxes == list(asked)
        assert {name for name, _ in fields.hidden} == {"channel", "language", "wording"}
        ids = set(re.findall(r'\bid="([^"]+)"', told))
        assert set(re.findall(r'\b(?:for|aria-describedby)="([^"]+)"', told)) <= ids
        assert language == "en" or not ids & seen
        seen |= ids
        names = set(re.findall(r'\bname="([^"]+)"', told)) - {"channel", "language", "wording", "purpose", "email"}
        assert names == (
            {"homepage", "at_least", "guardian", "first_name", "region"} if channel == "footer" else {"homepage"}
        )
        assert ("required" in told) is (channel == "footer"), "what she came for needs no address"
        assert "&lt;nl&gt;" in told or "&lt;en&gt;" in told or channel == "guide"


@pytest.mark.parametrize("accent", ["#9b1c31", "#ffffff", "#000000", "#ffd400", "#1a5fb4", "#808080"])
def test_its_looks_are_small_and_touch_nothing_else(accent: str) -> None:
    """A11Y-01, WEB-02: whatever the operator's colour is, words can be read on it by day and by night; each rule is of the
    form alone, nothing is fetched, and the hash for a strict policy is of the very rules."""

    class Looks(msgspec.Struct):
        accent: str

    class Policy(msgspec.Struct):
        looks: Looks

    policy: Any = Policy(Looks(accent))
    told = embedding.style(policy)
    (known,), (rules,) = re.findall("'sha256-(.+?)'", told), re.findall("<style>(.*?)</style>", told, re.S)
    assert b64decode(known) == sha256(rules.encode()).digest()
    assert len(rules) <= 3 * 1024
    assert not re.search(r"url\(|@import|/\*|https?:|<", rules)
    for selectors in re.findall(r"(?:^|{)([^{}]+){[^{}]+}", rules.strip(), re.M):
        for one in re.split(r",(?![^(]*\))", selectors):
            assert one.startswith((".consent-", "[dir=rtl].consent-form ")), one
    plain, both = (dict(re.findall(r"--([a-z-]+):(.+?)[;}]", part)) for part in rules.split("@supports"))
    either = {name: re.findall(r"#\w+", value) for name, value in {**plain, **both}.items()}
    assert {name: value[0] for name, value in either.items()} == plain, "an old browser shows the day"
    for hour in (0, -1):
        ink, soft, card, wash, edge, accent_, on_accent, link = (
            value if len(value := either[name][hour]) == 7 else f"#{''.join(2 * each for each in value[1:])}"
            for name in ("ink", "soft", "card", "wash", "edge", "accent", "on-accent", "link")
        )
        for text, ground in ((ink, card), (ink, wash), (soft, card), (link, card), (on_accent, accent_)):
            assert contrast(text, ground) >= 4.5
        assert contrast(edge, card) >= 3


def test_versions_are_known_by_their_hashes_alone() -> None:
    """CAP-07: every set of hashes a form may send, for every set of boxes: each box has its own, in her language, of a
    version that counts; else nothing is taken."""

    class Purpose(msgspec.Struct):
        notice_since: int

    class Policy(msgspec.Struct):
        purposes: dict[str, Purpose]

    words = [
        wording(purpose=p, version=v, language=code, label=f"{p}{v}{code}", text="x")
        for p, v, code in product("ab", (1, 2), ("nl", "en"))
    ]
    notices = Notices({one.key: one for one in words}, {"a": 2, "b": 2})
    policy: Any = Policy({"a": Purpose(1), "b": Purpose(2)})
    for size in range(4):
        for sent in combinations(words, size):
            for boxes in (["a"], ["b"], ["a", "b"]):
                found = embedding.versions(notices, policy, boxes, [one.sha256 for one in sent] + ["0" * 64], "nl")
                mine = {one.purpose: one.version for one in sent if one.language == "nl" and one.purpose in boxes}
                good = set(mine) == set(boxes) and mine.get("b", 2) == 2
                assert found == (mine if good else None)


def test_what_she_saw_is_what_is_kept(make_house: Callable[..., House], policy_folder: Path, database_url: str) -> None:
    """CAP-07: an old copy of the form is taken with its own version; the mail and the proof show those words. Words that
    nobody knows, none, or another language's: nothing is written, and she gets the form of today, unticked."""
    policy_file, old = policy_folder / "policy.toml", make_house(database_url)
    (first,) = [one.sha256 for one in old.bridge.notices if one.key == ("newsletter", 1, "nl")]
    pasted = form(old)
    for language, more in (("nl", "Nieuw."), ("en", "New.")):
        text = (policy_folder / f"notices/newsletter-1.{language}.txt").read_text(encoding="utf-8")
        (policy_folder / f"notices/newsletter-2.{language}.txt").write_text(f"{text}\n{more}\n", encoding="utf-8")
    text = policy_file.read_text(encoding="utf-8")
    policy_file.write_text(text.replace('id = "newsletter"\n', 'id = "newsletter"\nnotice = 2\n', 1), encoding="utf-8")
    house = make_house(database_url)
    second = house.bridge.notices.wording("newsletter", "nl").sha256
    english = house.bridge.notices.wording("newsletter", "en").sha256
    assert first in pasted
    assert second in form(house)
    before = everything_stored(house)
    offers = house.bridge.notices.wording("offers", "nl").sha256
    for wrong in ([], [offers], ["0" * 64], [english], ["x" * 5000], [""]):
        answer = sends(house, "an@lezer.example", *wrong)
        assert answer.status_code == 400
        assert "verouderd" in html(answer)
        assert Fields(html(answer)).checked == []
        assert 'value="an@lezer.example"' in html(answer)
        assert COOKIE not in answer.headers.get("Set-Cookie", "")
    assert sends(house, "an@lezer.example", first, purpose=["newsletter", "offers"]).status_code == 400
    assert everything_stored(house) == before
    for name, told, version in (("an", first, 1), ("dirk", second, 2)):
        her = Reader(house, f"{name}@lezer.example")
        assert sends(house, her.email, told, offers).status_code == 200
        house.clock.forward(minutes=1)
        page = html(house.client.get(her.link("/confirm/")))
        assert ("Nieuw." in page) is (version == 2)
        assert her.confirms().status_code == 200
        for event in her.story():
            if event.type in (EventType.REQUESTED, EventType.GIVEN):
                assert (event.notice, event.evidence.wording, event.channel) == (version, told, "footer")
        assert her.may().may
    policy_file.write_text(policy_file.read_text().replace("notice = 2\n", "notice = 2\nnotice_since = 2\n", 1))
    assert sends(make_house(database_url), "eva@lezer.example", first).status_code == 400, "it no longer counts"


def test_only_who_is_of_our_domain_confirms_by_itself(home: House) -> None:
    """CON-05: a page of a stranger's could send any address from her browser: then no cookie is given or used, and the
    mail's link shows its button. The digits work on the page that followed."""
    words = home.bridge.notices.wording("newsletter", "nl").sha256
    origin = {"Origin": BASE_URL}
    ours = [{}, origin, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {"Sec-Fetch-Site": "none"}, NEIGHBOUR]
    theirs = [STRANGER, {"Sec-Fetch-Site": "x"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
    for number, told in enumerate([*ours, *theirs]):
        home.client.delete_cookie(COOKIE)
        her = Reader(home, f"a{number}@lezer.example")
        home.client.set_cookie(COOKIE, "A" * 22, domain="localhost")  # of an earlier form of hers
        answer = sends(home, her.email, words, headers=told)
        assert answer.status_code == 200
        assert (COOKIE in answer.headers.get("Set-Cookie", "")) is (told in ours), told
        assert ("in deze browser hoef je verder niets te doen" in html(answer)) is (told in ours), told
        home.clock.forward(minutes=1)
        page = html(home.client.get(her.link("/confirm/")))
        assert ("/confirm.js" in page) is (told in ours), told
        assert not her.may().may
        (place,) = re.findall(r'name="place" value="([^"]+)"', html(answer))
        code = re.findall(r"\b\d{3} ?\d{3}\b", her.mails()[-1].get_body(("plain",)).get_content())[0]
        assert home.client.post("/subscribe/code", data={"place": place, "code": code}).status_code == 200
        assert her.may().may


#: The operator's own site, of another domain than ours.
OWN = "https://www.shop.example"


@pytest.fixture
def own(make_house: Callable[..., House], policy_folder: Path, sqlite_url: str) -> House:
    """A house whose policy names a site of another domain."""
    file = policy_folder / "policy.toml"
    told = f'\n[sign_up]\nown_sites = ["{OWN}", "https://blog.example:8443"]\nper_network_hour = 500\n'
    file.write_text(file.read_text(encoding="utf-8") + told, encoding="utf-8")
    return make_house(sqlite_url)


def test_a_site_that_the_policy_names_confirms_by_itself(own: House) -> None:
    """CON-05: a form from the operator's own origin counts as ours: cookie given, and the link presses its button in that
    browser. Only as a browser tells it, to the letter; whatever is missing or contradicts it leaves a button."""
    words = own.bridge.notices.wording("newsletter", "nl").sha256
    window = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    good: list[list[tuple[str, str]]] = [
        [("Origin", OWN), *STRANGER.items(), *window.items()],
        [("Origin", OWN), *STRANGER.items()],
        [("Origin", OWN)],  # a browser of before 2023
        [("Origin", "https://blog.example:8443"), *STRANGER.items()],
    ]
    lies = [
        "null",
        "",
        "https://evil.example",
        f"{OWN}.evil.example",
        f"{OWN}x",
        f"{OWN}/",
        f"{OWN}:443",
        f"{OWN}:8443",
    ]
    lies += [
        "http://www.shop.example",
        "https://shop.example",
        "https://x.www.shop.example",
        "https://evilwww.shop.example",
    ]
    lies += [
        OWN.upper(),
        "https://WWW.shop.example",
        f" {OWN},",
        f"{OWN}, {OWN}",
        f"{OWN} https://evil.example",
        "www.shop.example",
    ]
    lies += [
        "https://blog.example",
        "https://blog.example:8444",
        "*",
        f"https://evil.example/{OWN}",
        f"{OWN}@evil.example",
    ]
    bad: list[list[tuple[str, str]]] = [[("Origin", lie), *STRANGER.items()] for lie in lies]
    bad += [[("Origin", lie)] for lie in lies]
    bad += [
        [*STRANGER.items()],
        [("Referer", f"{OWN}/form"), *STRANGER.items()],
        [("Origin", OWN), ("Origin", OWN), *STRANGER.items()],
        [("Origin", OWN), ("Origin", "https://evil.example")],
        [("Origin", "https://evil.example"), ("Origin", OWN), *STRANGER.items()],
        *(
            [("Origin", OWN), ("Sec-Fetch-Site", told)]
            for told in ("same-origin", "none", "x", "", "cross-site, same-origin")
        ),
        *(
            [("Origin", OWN), *STRANGER.items(), ("Sec-Fetch-Mode", mode)]
            for mode in ("cors", "no-cors", "websocket", "")
        ),
        *(
            [("Origin", OWN), *STRANGER.items(), ("Sec-Fetch-Dest", place)]
            for place in ("iframe", "frame", "empty", "object")
        ),
    ]
    for number, told in enumerate([*good, *bad]):
        own.client.delete_cookie(COOKIE)
        her = Reader(own, f"a{number}@lezer.example")
        answer = sends(own, her.email, words, headers=Headers(told))
        assert answer.status_code == 200
        assert (COOKIE in answer.headers.get("Set-Cookie", "")) is (told in good), told
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        page = html(own.client.get(her.link("/confirm/")))
        assert ("/confirm.js" in page) is (told in good), told


def test_a_site_that_the_policy_names_may_do_nothing_else(own: House) -> None:
    """CON-05, WEB-01: it is named for that one form. It must say its words as any, reads no answer, and what it posts to
    another address of ours is no yes of this browser's."""
    from_own = {"Origin": OWN, **STRANGER}
    assert sends(own, "an@lezer.example", headers=from_own).status_code == 400, "an old copy may stand there too"
    words = own.bridge.notices.wording("newsletter", "nl").sha256
    an = Reader(own, "an@lezer.example")
    sends(own, an.email, words, headers=from_own)
    own.clock.forward(minutes=1)
    link = an.link("/confirm/")
    for path in ("/subscribe", "/preferences", "/privacy", link):
        assert own.client.get(path, headers=from_own).headers.get("Access-Control-Allow-Origin") is None
    answer = own.client.post(link, headers={**from_own, "Accept": "text/html"})
    assert answer.headers.get("Access-Control-Allow-Origin") is None
    (given,) = [event for event in an.story() if event.type is EventType.GIVEN]
    assert given.evidence.road == "button", "the cookie came along, and a page of another origin pressed"


def test_the_answer_tells_nobody_anything(home: House) -> None:
    """CAP-09: from another site too, the answer is the same for whoever is known, stopped or neither; and no site may
    read it, nor send with the cookie of ours."""
    known, gone = Reader(home, "an@lezer.example").has_consented(), Reader(home, "dirk@lezer.example").has_consented()
    home.client.post(gone.link("/u/"))
    home.client.delete_cookie(COOKIE)
    words = home.bridge.notices.wording("newsletter", "nl").sha256
    answers = [sends(home, who, words) for who in (known.email, gone.email, "new@lezer.example", "a@no.such.example")]
    answers.append(sends(home, "bot@lezer.example", words, homepage="x"))
    bodies = {re.sub(r'name="place" value="[^"]+"', "", html(answer)) for answer in answers}
    assert len(bodies) == len({str(sorted(answer.headers.keys())) for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_any_site_may_fetch_the_form_and_nothing_else(home: House) -> None:
    """WEB-01: the form is nobody's: any site may read it, for five minutes without asking again; a cookie changes
    nothing and none is set. The component is under 4 KB and names no address."""
    first = home.client.get("/embed/footer?language=nl", headers={"Origin": "https://www.site.example"})
    assert html(first) == form(home)
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in first.headers
    assert (first.headers["Cache-Control"], "Set-Cookie" in first.headers) == ("public, max-age=300", False)
    again = home.client.get("/embed/footer?language=nl", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert html(home.client.get("/embed/footer?language=en")) == form(home, language="en")
    assert home.client.get("/embed/nowhere").status_code == 404
    script = home.client.get("/embed.js")
    assert (script.mimetype, script.headers["Cache-Control"]) == ("text/javascript", "public, max-age=86400")
    assert script.headers["ETag"]
    assert len(script.data) == (TEMPLATES / "static" / "embed.js").stat().st_size <= 4 * 1024
    assert (TEMPLATES / "static" / "sign-up.js").stat().st_size <= 1024, "what it loads when it is needed"
    assert not re.search(rb"https?://|import |eval|document\.cookie|localStorage", script.data)
    script.close()
    for path in ("/subscribe", "/subscribe/code", "/preferences", "/privacy"):
        assert "Access-Control-Allow-Origin" not in home.client.get(path).headers


def test_a_task_for_the_component_opens_the_form_wider(
    make_house: Callable[..., House], policy_folder: Path, sqlite_url: str
) -> None:
    """CAP-10: where the policy asks for it, the component's form says so and any site gets a task for it: without a
    cookie, another each time, kept nowhere. Solved, it is good for one form; the form without scripts stays as it is."""
    file, plain = policy_folder / "policy.toml", make_house(sqlite_url)
    pasted = form(plain)
    assert plain.client.get("/embed/footer/task").status_code == 404
    told = "\n[sign_up]\nproof_of_work = true\nper_network_hour = 8\n"
    file.write_text(file.read_text(encoding="utf-8") + told, encoding="utf-8")
    house = make_house(sqlite_url)
    assert form(house) == pasted
    its = house.bridge
    scripted = embedding.form(
        its.policy, its.notices, its.links, its.texts, channel="footer", language="nl", scripted=True
    )
    assert html(house.client.get("/embed/footer?language=nl")) == scripted
    assert '<input type="hidden" name="work" value="">' in scripted
    assert '<p role="status" data-wait="Een ogenblik: dit formulier wordt verstuurd."></p>' in scripted
    before, works = everything_stored(house), []
    for _ in range(2):
        answer = house.client.get("/embed/footer/task", headers={"Origin": "https://www.site.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert (answer.headers["Cache-Control"], "Set-Cookie" in answer.headers) == ("no-store", False)
        assert sorted(answer.json) == ["bits", "task"]
        assert answer.json["bits"] == 16
        works.append(solved(answer.json["task"]))
    assert house.client.get("/embed/nowhere/task").status_code == 404
    assert everything_stored(house) == before
    words = its.notices.wording("newsletter", "nl").sha256
    people = iter(f"a{number}@lezer.example" for number in range(9))
    took = [sends(house, next(people), words, work=told).status_code for told in ("", "x", "", *works, works[0])]
    assert took == [200, 200, 429, 200, 200, 429]


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(home: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """`consent-bridge snippet ...` in this house."""
    kept = dict(os.environ)
    yield lambda *words: CliRunner().invoke(main, ["snippet", *words], env=home.environment)
    os.environ.clear()
    os.environ.update(kept)


def test_the_command_prints_what_is_pasted(home: House, run: Callable[..., Result]) -> None:
    """Issue 8, point 6: the form, the component around it, and each platform's link; what is wrong is named."""
    assert run("form", "--channel", "footer", "--language", "en").stdout == form(home, language="en") + "\n"
    whole = run("form", "--channel", "footer", "--component").stdout
    assert form(home) in whole
    assert whole.startswith('<consent-bridge-form channel="footer" language="nl">\n')
    assert whole.endswith(f'</consent-bridge-form>\n<script src="{BASE_URL}/embed.js" defer></script>\n')
    link = '<a href="{}">See and change your preferences</a>\n'
    assert run("mail", "mailchimp", "--language", "en").stdout == link.format("*|PREFS|*")
    assert run("mail", "sendgrid", "--language", "en").stdout == link.format("{{prefs}}")
    assert run("mail", "mailchimp").stdout == '<a href="*|PREFS|*">Je voorkeuren bekijken en wijzigen</a>\n'
    looks = embedding.style(home.bridge.policy)
    assert run("form", "--channel", "footer", "--style").stdout == f"{looks}\n{form(home)}\n"
    assert run("form", "--channel", "footer", "--component", "--style").stdout == f"{looks}\n{whole}"
    for words, said in (
        (("form", "--channel", "nowhere"), "--channel: the policy's forms are footer"),
        (("form", "--channel", "footer", "--language", "fr"), "--language: the policy offers nl, en"),
        (("mail", "memory"), "memory does not say where"),
        (("mail", "pigeonpost"), "not installed"),
    ):
        wrong = run(*words)
        assert (wrong.exit_code, wrong.stdout) == (1, "")
        assert said in wrong.stderr
    assert run("form").exit_code == 2


def test_the_link_is_of_the_field_that_the_adapter_fills() -> None:
    """The snippet names the very field that carries her link."""
    assert (Mailchimp.link_place, SendGrid.link_place) == ("*|PREFS|*", "{{prefs}}")
