"""The mails as they go over the wire, byte for byte: RFC 5322, 2369, 8058, 2919, 3834; GDPR 7(2); e-Commerce 6."""

import re
from collections.abc import Callable
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bridge.links import Action
from bridge.smtp import build
from bridge.vocabulary import EventType, MailKind
from tests.conftest import BASE_URL, House, Reader

KINDS = ("confirm", "subscribed", "welcome", "goodbye", "link")
WITH_A_WAY_OUT = ("subscribed", "welcome")
LANGUAGES = ("nl", "en")
POSTAL = "De Dagwijzer NV, Drukkerijstraat 1, 1000 Brussel, België"

#: What sells something, in the languages of this house (OLG Celle 13 U 15/14: a confirmation mail is no place for it).
PROMOTION = {
    "nl": r"korting|aanbieding|actie|gratis|win |voordeel|nu bestellen|bestel|koop|abonneer|exclusief|mis het niet",
    "en": r"discount|offer|free|sale|win |buy|order now|exclusive|deal|don.t miss|subscribe now",
}


def mails_of(reader: Reader) -> dict[str, tuple[bytes, Any]]:
    """One mail of each kind, raw and read: a life as a reader."""
    house = reader.house
    raw: dict[str, tuple[bytes, Any]] = {}

    def arrived(kind: str) -> None:
        house.dispatch()
        raw[kind] = (house.mailbox.raw[-1], house.mailbox.messages[-1])
        house.clock.forward(minutes=6)

    reader.signs_up("newsletter")
    arrived("confirm")
    house.client.post(reader.link("/confirm/"))
    arrived("welcome")
    house.clock.forward(days=2)
    reader.signs_up("newsletter")
    arrived("subscribed")
    way_out = reader.link("/u/")
    data = {"email": reader.email}
    house.client.post("/preferences", data=data, headers={"Accept-Language": reader.language})
    arrived("link")
    assert house.client.post(way_out).status_code == 200
    arrived("goodbye")
    assert len(house.mailbox.raw) == len(KINDS)
    return raw


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each language of the house."""
    return str(request.param)


@pytest.fixture
def mails(home: House, language: str) -> dict[str, tuple[bytes, Any]]:
    """One mail of each kind in that language."""
    return mails_of(Reader(home, "an.vandenberg@lezer.example", language))


def head(raw: bytes) -> list[bytes]:
    """The header lines of the message itself."""
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


def line(raw: bytes, name: str) -> bytes:
    """The one line with this header, which is not folded."""
    lines = head(raw)
    found = [n for n, text in enumerate(lines) if text.lower().startswith(name.lower().encode() + b":")]
    assert len(found) == 1, f"{name}: {len(found)} times"
    following = lines[found[0] + 1 : found[0] + 2]
    assert not following or not following[0].startswith((b" ", b"\t")), f"{name} is folded"
    return lines[found[0]]


def words(mail: Any) -> tuple[str, str]:
    """The text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    return text.get_content(), html.get_content()


def links(text: str) -> set[str]:
    """The web addresses in a text or in HTML."""
    return set(re.findall(r"https?://[^\s\"'<>]+", unescape(text)))


# -- headers -----------------------------------------------------------------------------------------------------


def test_each_header_is_there_exactly_once(mails):
    """RFC 5322 3.6, RFC 8058: one of each, in every kind of mail."""
    for kind, (raw, _) in mails.items():
        names = [text.partition(b":")[0].lower() for text in head(raw) if not text.startswith((b" ", b"\t"))]
        assert len(names) == len(set(names)), kind
        assert {
            b"from", b"to", b"reply-to", b"subject", b"date", b"message-id", b"mime-version", b"auto-submitted",
            b"content-language",
        } <= set(names), kind  # fmt: skip


def test_the_way_out_stands_in_the_headers_byte_for_byte(mails):
    """WDR-03, RFC 8058: one https URI in angle brackets on one line, the one pair, nothing encoded."""
    for kind in WITH_A_WAY_OUT:
        raw, mail = mails[kind]
        given = line(raw, "List-Unsubscribe")
        assert re.fullmatch(rb"List-Unsubscribe: <https://keuzes\.dagwijzer\.example/u/[A-Za-z0-9_.-]+>", given), kind
        assert line(raw, "List-Unsubscribe-Post") == b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"
        assert b"=?" not in given
        url = given.partition(b"<")[2].rstrip(b">").decode()
        assert url in links(words(mail)[0]), "the header and the visible link are the same"


def test_the_url_in_the_header_stops_the_mail(home):
    """WDR-04, RFC 8058: what a mail program posts to the address in the raw bytes is enough."""
    reader = Reader(home, "an.vandenberg@lezer.example")
    reader.has_consented()
    url = line(home.mailbox.raw[-1], "List-Unsubscribe").partition(b"<")[2].rstrip(b">").decode()
    answer = home.client.post(url.removeprefix(BASE_URL), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert not reader.may().may


def test_the_list_is_named_as_rfc_2919_has_it(mails):
    """WDR-03, RFC 2919: a phrase and an identifier below a name of ours."""
    for kind in WITH_A_WAY_OUT:
        given = line(mails[kind][0], "List-Id")
        assert re.fullmatch(rb'List-Id: ("[^"]+"|[A-Za-z0-9 ]+) <newsletter\.lists\.keuzes\.dagwijzer\.example>', given)


@pytest.mark.parametrize("kind", ["confirm", "link", "goodbye"])
def test_a_question_is_no_list_mail(mails, kind):
    """RFC 8058, section 2.9: a confirmation, a link and a goodbye carry none of the three."""
    names = {text.partition(b":")[0].lower() for text in head(mails[kind][0])}
    assert not names & {b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"}


def test_who_sends_is_plain(mails):
    """SND-02: the sender's own name and address, an answer reaches somebody, the date is there."""
    for raw, mail in mails.values():
        assert line(raw, "From") == b"From: De Dagwijzer <nieuws@post.dedagwijzer.example>"
        assert line(raw, "Reply-To") == b"Reply-To: lezers@dedagwijzer.example"
        assert line(raw, "To") == b"To: an.vandenberg@lezer.example"
        assert line(raw, "Auto-Submitted") == b"Auto-Submitted: auto-generated"
        assert mail["Date"].datetime.tzinfo is not None


def test_a_message_id_is_ours_and_each_has_its_own(mails):
    """Decision 25: `<row@our-domain>`."""
    ids = [line(raw, "Message-ID") for raw, _ in mails.values()]
    assert len(set(ids)) == len(KINDS)
    for given in ids:
        assert re.fullmatch(rb"Message-ID: <[A-Za-z0-9_-]{22}@post\.dedagwijzer\.example>", given)


def test_no_line_is_longer_than_a_mail_server_takes(mails):
    """RFC 5321 4.5.3.1.6: 998 bytes, CRLF everywhere, seven bits on the wire."""
    for raw, _ in mails.values():
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert b"\n" not in raw.replace(b"\r\n", b"")
        assert raw.isascii()


# -- names and addresses that are not plain ----------------------------------------------------------------------


@pytest.fixture
def renamed(make_house: Callable[..., House], policy_folder: Path, sqlite_url: str) -> Callable[..., House]:
    """A house whose policy says something else: `renamed(("old", "new"), ...)`."""

    def build_with(*changes: tuple[str, str], **settings: str) -> House:
        file = policy_folder / "policy.toml"
        text = file.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
        return make_house(sqlite_url, **settings)

    return build_with


NAMES = [
    "Zaterdagmagazine",
    "Café & co",
    "Nieuws, sport en meer",
    'De \\"Grote\\" Krant',
    "Überraschung; täglich",
    "Новости",
    "a <b@evil.example>",
    "Een lange naam, en één met ümlauten, voor wie graag veel leest"[:60],
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_list_gives_a_right_list_id(renamed, name):
    """RFC 2919: non-ASCII as encoded words outside quotes, specials quoted, the identifier always clear."""
    house = renamed(('name.nl = "Nieuwsbrief"', f'name.nl = "{name}"'))
    reader = Reader(house, "an.vandenberg@lezer.example")
    reader.has_consented()
    raw = house.mailbox.raw[-1]
    given = line(raw, "List-Id")
    identifier = b" <newsletter.lists.keuzes.dagwijzer.example>"

    assert given.endswith(identifier)
    phrase = given.removeprefix(b"List-Id: ").removesuffix(identifier)
    word = rb"(?:=\?utf-8\?[bq]\?[^? ]+\?=|[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)"
    assert re.fullmatch(rb'"(?:[^"\\]|\\.)*"|%b(?: %b)*' % (word, word), phrase), phrase
    if phrase.startswith(b'"'):
        assert b"=?" not in phrase
    read = message_from_bytes(raw, policy=policy.default)["List-Id"]
    assert _letters(name) in _letters(str(read))
    assert line(raw, "List-Unsubscribe").endswith(b">")


def _letters(text: str) -> str:
    """What is left of a name without punctuation."""
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize("base", ["https://a.example", "https://" + "lang." * 9 + "dagwijzer.example/keuzes"])
def test_a_long_address_of_ours_is_neither_folded_nor_encoded(renamed, base):
    """WDR-03: Python's own policies would make encoded words of it."""
    house = renamed(BRIDGE_BASE_URL=base)
    reader = Reader(house, "an.vandenberg@lezer.example")
    reader.signs_up()
    house.dispatch()
    token = re.search(r"/confirm/(\S+)", words(house.mailbox.messages[-1])[0]).group(1)
    house.clock.forward(minutes=1)
    house.client.post(f"/confirm/{token}")
    house.dispatch()
    given = line(house.mailbox.raw[-1], "List-Unsubscribe")

    assert given.startswith(f"List-Unsubscribe: <{base}/u/".encode())
    assert given.endswith(b">")
    assert b" " not in given.partition(b": ")[2]
    assert len(given.partition(b"<")[2]) <= 250


def test_a_sender_with_an_accent_arrives_as_written(renamed):
    """RFC 2047 in From and Subject; the address itself stays clear."""
    house = renamed(
        (
            '"De Dagwijzer <nieuws@post.dedagwijzer.example>"',
            "'\"De Dagwijzer, Überall\" <nieuws@post.dedagwijzer.example>'",
        ),
        ('[looks]\nname = "De Dagwijzer"', '[looks]\nname = "De Dagwijzer, Überall"'),
    )
    reader = Reader(house, "an.vandenberg@lezer.example")
    reader.signs_up()
    mail = reader.mails()[0]
    raw = house.mailbox.raw[0]

    assert mail["From"].addresses[0].display_name == "De Dagwijzer, Überall"
    assert mail["From"].addresses[0].addr_spec == "nieuws@post.dedagwijzer.example"
    assert line(raw, "From").endswith(b"<nieuws@post.dedagwijzer.example>")
    assert mail["Subject"].startswith("De Dagwijzer, Überall: ")
    assert raw.partition(b"\r\n\r\n")[0].isascii()


@pytest.mark.parametrize("email", ["an@köln.example", "jörg@lezer.example", "jörg@köln.example", "用户@例子.example"])
def test_international_addresses_get_their_mail(home, email):
    """RFC 6531, SUP-03: from the form to the mailbox and back."""
    reader = Reader(home, email)
    assert reader.signs_up().status_code == 200
    home.dispatch()
    assert len(home.mailbox.messages) == 1
    path = re.search(r"/confirm/\S+", words(home.mailbox.messages[0])[0]).group(0)
    home.clock.forward(minutes=1)
    assert home.client.post(path).status_code == 200
    assert reader.may().may


@pytest.mark.parametrize(
    "evil",
    [
        "an@lezer.example\r\nBcc: dirk@lezer.example",
        "an@lezer.example\nBcc: d@x.example",
        "an@lezer.example,d@x.example",
    ],
)
def test_nothing_in_an_address_becomes_a_header(home, evil):
    """Bad input: no second recipient, no second header, no mail at all."""
    home.client.post("/subscribe", data={"email": evil, "purpose": "newsletter", "channel": "footer", "language": "nl"})
    home.dispatch()
    for raw in home.mailbox.raw:
        assert b"\r\nBcc" not in raw
        assert b"dirk@" not in raw
        assert b"d@x.example" not in raw


# -- what they say -----------------------------------------------------------------------------------------------


def test_a_confirmation_mail_only_asks(mails, language):
    """CON-03: who, what, when, the link, "ignore this if it was not you"; no promotion, no image, no foreign link."""
    raw, mail = mails["confirm"]
    text, html = words(mail)
    asked = {url for url in links(text) | links(html) if "/confirm/" in url}

    assert len(asked) == 1
    assert links(text) | links(html) == asked | {f"{BASE_URL}/privacy"}
    for part in (text, unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.S))):
        assert re.search(PROMOTION[language], part, re.IGNORECASE) is None
        assert "De Dagwijzer NV" in part
        assert re.search(r"Was jij het niet" if language == "nl" else r"Then ignore", part)
        assert re.search(r"23 november 2026|November 23, 2026|23 November 2026", part)
    assert "<img" not in html
    assert "url(" not in html
    assert not list(mail.iter_attachments())
    assert line(raw, "Auto-Submitted") == b"Auto-Submitted: auto-generated"


def test_no_mail_tracks(mails):
    """TRK-01: no image, no script, no address but ours."""
    for kind, (_, mail) in mails.items():
        html = words(mail)[1]
        assert not re.search(r"<(img|script|iframe|link|object)|url\(|@import", html), kind
        assert all(url.startswith(BASE_URL) for url in links(html)), kind


def test_text_and_html_hold_the_same_links(mails):
    """Section 2.8 of the style: who reads the text misses nothing."""
    for kind, (_, mail) in mails.items():
        text, html = words(mail)
        assert links(text) == links(html), kind


def test_every_mail_says_where_its_sender_lives(mails):
    """SND-02: postal address, who is responsible, and the statement."""
    for kind, (_, mail) in mails.items():
        for part in words(mail):
            joined = " ".join(unescape(part).split())
            assert POSTAL in joined, kind
            assert "De Dagwijzer NV" in joined, kind
            assert "privacy@dedagwijzer.example" in joined, kind
            assert f"{BASE_URL}/privacy" in joined, kind


def test_every_mail_a_reader_can_leave_from_says_so_in_words(mails, language):
    """WDR-02: a visible link in the mail's own language."""
    name = "Uitschrijven" if language == "nl" else "Unsubscribe"
    for kind in (*WITH_A_WAY_OUT, "goodbye"):
        text, html = words(mails[kind][1])
        assert re.search(rf"<a [^>]*href=\"{BASE_URL}/u/[^\"]+\"[^>]*>{name}</a>", html), kind
        assert re.search(rf"{name}:\s+{BASE_URL}/u/", text), kind


def test_form_mail_page_and_proof_speak_one_language(home, language):
    """CAP-08: the four language tags are equal."""
    reader = Reader(home, "an.vandenberg@lezer.example", language)
    form = home.client.get(f"/subscribe?language={language}").get_data(as_text=True)
    reader.signs_up()
    home.dispatch()
    mail = home.mailbox.messages[-1]
    page = home.client.get(reader.link("/confirm/")).get_data(as_text=True)
    home.clock.forward(minutes=1)
    reader.confirms()

    tags = {
        "form": re.search(r'<html lang="([^"]+)"', form).group(1),
        "mail": mail["Content-Language"],
        "body": re.search(r'<html lang="([^"]+)"', words(mail)[1]).group(1),
        "page": re.search(r'<html lang="([^"]+)"', page).group(1),
    }
    for event in reader.story():
        tags[event.type] = event.evidence.language
        tags[f"words {event.type}"] = home.store.words(event.evidence.wording).language
    assert EventType.GIVEN in tags
    assert set(tags.values()) == {language}, tags


def test_the_receipt_holds_the_words_she_agreed_to(home, language):
    """CON-07: attached as text that opens everywhere, with the exact words, the moment and the way out."""
    reader = Reader(home, "an.vandenberg@lezer.example", language)
    reader.has_consented("newsletter", "offers")
    mail = home.mailbox.messages[-1]
    (receipt,) = mail.iter_attachments()
    content = receipt.get_content()

    assert receipt.get_filename() == "consent-receipt.txt"
    assert receipt.get_content_type() == "text/plain"
    assert receipt.get_content_charset() == "utf-8"
    for purpose in ("newsletter", "offers"):
        shown = home.bridge.notices.wording(purpose, language)
        assert shown.sha256 in content
        assert " ".join(shown.label.split()) in " ".join(content.split())
        assert " ".join(shown.text.split()) in " ".join(content.split())
    assert "België" in content
    assert f"{BASE_URL}/u/" in content
    assert "2026-11-23T10:02:00Z" in content
    assert reader.email not in content


@pytest.mark.parametrize("kind", KINDS)
def test_links_do_only_what_their_mail_is_for(mails, home, kind):
    """KEY-01, decision 8: confirm confirms, link is fresh, all others can only stop or ask; no address in any."""
    found = {url for url in links(words(mails[kind][1])[0]) if url != f"{BASE_URL}/privacy"}
    actions = {"confirm": Action.CONFIRM, "link": Action.FRESH}
    now = home.clock.now.replace(day=23, hour=10, minute=1)
    for url in found:
        assert "lezer" not in url
        token = url.rpartition("/")[2]
        assert home.bridge.links.read(actions.get(kind, Action.STOP), token, max(now, home.clock()))
    assert found


def test_a_repeat_is_the_same_mail(home, reader):
    """Decision 25: Message-ID, words and links are those of the outbox row, whenever it is written."""
    reader.signs_up()
    (mail,) = home.store.queue.claim_mails()
    dispatcher = home.dispatcher
    first = home.bridge.mailer.write(dispatcher._occasion(mail, MailKind.CONFIRM))
    home.clock.forward(hours=5)
    second = home.bridge.mailer.write(dispatcher._occasion(mail, MailKind.CONFIRM))

    assert first == second
    assert build(first)["Message-ID"] == f"<{mail.id}@post.dedagwijzer.example>"
