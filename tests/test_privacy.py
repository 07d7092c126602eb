"""The papers: the privacy statement (GDPR 13 and 14) and each wording as it was shown (GDPR 7(1))."""

import re
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest

from tests.conftest import House, Reader
from tests.test_subscribe import html, lang

SENTENCES = {
    "nl": ("Functionaris voor gegevensbescherming", "vingerafdruk", "autoriteit", "intrekken", "artikel 6"),
    "en": ("Data protection officer", "fingerprint", "supervis|authority", "take it back", "article 6"),
}


def text(page: str) -> str:
    """What is read, without markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_statement_says_what_the_law_asks(home: House, language: str) -> None:
    """TRN-01, TRN-02: controller, contact, each purpose with its ground, recipients, processors, how long, rights,
    complaint, and that a fingerprint stays on the stop list and why; in the reader's language."""
    page = html(home.client.get(f"/privacy?language={language}"))
    policy, read = home.bridge.policy, text(page)

    assert lang(page) == language
    for said in (policy.controller.name, policy.controller.address, policy.controller.email, "Dora Maes"):
        assert said in read
    assert "privacy@dedagwijzer.example" in read
    for purpose in policy.purposes.values():
        for said in (purpose.name, purpose.description, purpose.frequency):
            assert said[language] in read
    assert "Mailchimp, SendGrid" in read
    assert "An ESP in memory" in read
    for sentence in SENTENCES[language]:
        assert re.search(sentence, read), sentence
    for right in {"nl": ("wissen", "kopie"), "en": ("erased", "copy")}[language]:
        assert right in read


def test_without_an_officer_the_contact_is_named(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """TRN-02: no data protection officer: the privacy contact stands in the statement and at the foot of each page."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text(policy.read_text(encoding="utf-8").replace("[dpo]", "[privacy_contact]"), encoding="utf-8")
    house = make_house(sqlite_url)

    for path in ("/privacy", "/subscribe"):
        read = text(html(house.client.get(f"{path}?language=en")))
        assert "Questions about your data: Dora Maes" in read
        assert "Data protection officer" not in read


def test_a_version_is_what_it_is_made_of(home: House) -> None:
    """TRN-03: the statement names its version, and the address with that version shows it; others are not there."""
    page = text(html(home.client.get("/privacy?language=en")))
    version = re.search(r"Version (\w{12}),", page)
    assert version

    assert home.client.get(f"/privacy/{version[1]}").status_code == 200
    for other in ("1", "000000000000", "x" * 5000, "%00", "..%2f"):
        assert home.client.get(f"/privacy/{other}").status_code == 404


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("purpose", ["newsletter", "offers"])
def test_each_wording_has_a_page(home: House, purpose: str, language: str) -> None:
    """CAP-07: purpose, version and language name exact words; the page shows them with their fingerprint."""
    page = html(home.client.get(f"/notices/{purpose}/1/{language}"))
    words = home.bridge.notices.wording(purpose, language)
    notice = re.search(r'<div class="notice"[^>]*>(.*?)</div>', page, re.DOTALL)
    label = re.search(r"<span data-label>(.*?)</span>", page, re.DOTALL)

    assert notice
    assert label
    shown = sha256(f"{unescape(label[1])}\n\n{unescape(notice[1])}".encode()).hexdigest()
    assert shown == words.sha256
    assert words.sha256 in page


def test_words_once_shown_stay_readable(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]
) -> None:
    """CAP-07: after a new version the words An saw are still at their address, and her proof still names them."""
    first = make_house(sqlite_url)
    an = Reader(first, "an@lezer.example").has_consented("newsletter")
    shown = an.story()[0].evidence.wording
    before = html(first.client.get("/notices/newsletter/1/nl"))
    first.close()
    policy = Path(environment["BRIDGE_POLICY"])
    for language in ("nl", "en"):
        words = (policy.parent / "notices" / f"newsletter-1.{language}.txt").read_text(encoding="utf-8")
        new = policy.parent / "notices" / f"newsletter-2.{language}.txt"
        new.write_text(f"{words}\nHeel andere woorden.\n", encoding="utf-8")
    changed = policy.read_text(encoding="utf-8").replace('id = "newsletter"', 'id = "newsletter"\nnotice = 2', 1)
    policy.write_text(changed, encoding="utf-8")
    second = make_house(sqlite_url)

    page = html(second.client.get("/notices/newsletter/1/nl"))
    assert page == before
    assert shown
    assert shown in page
    assert "Heel andere woorden" in html(second.client.get("/subscribe"))


@pytest.mark.parametrize(
    "path",
    [
        "/notices/newsletter/2/nl",
        "/notices/newsletter/0/nl",
        "/notices/newsletter/1/fr",
        "/notices/horoscope/1/nl",
        "/notices/newsletter/one/nl",
        "/notices/newsletter/-1/nl",
        f"/notices/newsletter/{2**31}/nl",
        f"/notices/newsletter/{2**63}/nl",
        f"/notices/newsletter/{10**300}/nl",
        "/notices/news%00letter/1/nl",
        "/notices/newsletter/1/n%00l",
        "/notices/%ff%fe/1/nl",
        "/notices/..%2f..%2fpolicy/1/nl",
        "/notices/newsletter/1",
    ],
)
def test_no_such_words(house: House, path: str) -> None:
    """CAP-07: what was never a wording is a 404 page on both databases, whatever the numbers and bytes in it."""
    answer = house.client.get(path)

    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
