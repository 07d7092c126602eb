"""Signing up: GDPR 4(11), 7 and 13, Planet49 (C-673/17); one mail that asks, and the same answer for everybody."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, text

from bridge.store import sign_up
from bridge.store.sql import Hand, Sql
from bridge.tables import metadata
from bridge.vocabulary import EventType, Report, Status
from tests.conftest import Clock, Fields, House, Reader

LANGUAGES = ("nl", "en")


def html(response: Any) -> str:
    """A page's text."""
    return str(response.get_data(as_text=True))


def lang(page: str) -> str:
    """The language a page says it is in."""
    found = re.search(r'<html lang="([^"]+)"', page)
    assert found
    return found[1]


def everything_stored(house: House) -> str:
    """Every value of every table, as text."""
    with house.bridge.database.reading() as db:
        return "\n".join(
            str([bytes(v) if isinstance(v, memoryview) else v for v in row])
            for table in metadata.sorted_tables
            for row in db.execute(text(f"SELECT * FROM {table.name}"))
        )


# -- the form -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["/subscribe", "/subscribe?channel=footer"])
def test_no_box_is_ticked_for_her(home: House, language: str, path: str) -> None:
    """CAP-01: as served, and as shown again after a mistake, every box is empty and nothing hidden says yes."""
    joint = "&" if "?" in path else "?"
    served = html(home.client.get(f"{path}{joint}language={language}"))
    again = home.client.post("/subscribe", data={"email": "x", "purpose": ["newsletter"], "language": language})
    assert again.status_code == 400
    for page in (served, html(again)):
        assert lang(page) == language
        assert "checked" not in page
        assert {name for name, _ in Fields(page).hidden} == {"channel", "language", "wording"}
        assert Fields(page).boxes == ["newsletter", "offers"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"purpose": ""},
        {"newsletter": "on", "offers": "1", "consent": "yes", "agree": "true"},
        {"Purpose": "newsletter", "purpose[]": "newsletter", "purposes": "newsletter"},
    ],
    ids=["nothing", "an empty value", "other names", "nearly the name"],
)
def test_silence_is_not_a_yes(home: House, reader: Reader, said: dict[str, str]) -> None:
    """CAP-01: without the ticked box of a purpose nothing is recorded, nothing is mailed, and she is told why."""
    answer = home.client.post("/subscribe?purpose=newsletter", data={"email": reader.email, "language": "en", **said})

    assert answer.status_code == 400
    assert home.store.person(reader.email) is None
    assert reader.mails() == []


def test_she_is_told_what_was_missing(home: House, reader: Reader) -> None:
    """CAP-01: the page says so in words, and keeps what she typed."""
    page = html(home.client.post("/subscribe", data={"email": reader.email, "language": "en"}))

    assert "Please tick at least one box" in page
    assert f'value="{reader.email}"' in page


def test_each_purpose_has_its_own_box(home: House, reader: Reader) -> None:
    """CAP-02: ticking one asks for one; the other stays as it was."""
    reader.signs_up("offers")

    assert [(e.type, e.purpose) for e in reader.story()] == [(EventType.REQUESTED, "offers")]
    assert reader.status("newsletter") is Status.UNKNOWN


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_before_the_box_are_the_words_kept(home: House, language: str) -> None:
    """CAP-04: controller, purpose, frequency, notice, statement and recipients are read before the box, and the hash
    that is stored is that of the words that were shown."""
    an = Reader(home, "an@lezer.example", language)
    page = html(home.client.get(f"/subscribe?language={language}"))
    first_box = page.index('type="checkbox"')
    words = home.bridge.notices.wording("newsletter", language)
    purpose = home.bridge.policy.purposes["newsletter"]
    for shown in (
        "De Dagwijzer NV",
        purpose.name[language],
        purpose.description[language],
        purpose.frequency[language],
        "Mailchimp",
        "SendGrid",
        "/privacy",
        {"nl": "op elk moment intrekken", "en": "withdraw your consent at any time"}[language],
    ):
        assert shown in page[:first_box]
    an.signs_up("newsletter")

    (asked,) = an.story()
    notice = re.search(r'<div class="notice" id="notice-newsletter"[^>]*>(.*?)</div>', page, re.DOTALL)
    label = re.search(r'<label for="purpose-newsletter"><span data-label>(.*?)</span>', page, re.DOTALL)
    assert notice
    assert label
    assert asked.evidence.wording == sha256(f"{label[1]}\n\n{notice[1]}".encode()).hexdigest() == words.sha256


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_language_from_form_to_proof(home: House, language: str) -> None:
    """CAP-08: form, answer, mail, confirm page, thanks, receipt, notice and record are in the language of the form,
    whatever her browser would like."""
    an, other = Reader(home, "an@lezer.example", language), "en" if language == "nl" else "nl"
    browser = {"Accept-Language": other}
    form = html(home.client.get(f"/subscribe?language={language}", headers=browser))
    hidden: dict[str, list[str]] = {}
    for name, value in Fields(form).hidden:
        hidden.setdefault(name, []).append(value)
    answer = home.client.post(
        "/subscribe", data={**hidden, "email": an.email, "purpose": "newsletter"}, headers=browser
    )
    home.clock.forward(minutes=2)
    link = an.link("/confirm/")
    asked = home.client.get(link, headers=browser)
    done = home.client.post(link, headers=browser)
    mails = an.mails()

    assert [lang(html(page)) for page in (answer, asked, done)] == [language] * 3
    assert lang(form) == language
    for mail in mails:
        body = mail.get_body(("html",))
        assert mail["Content-Language"] == language
        assert body is not None
        assert lang(body.get_content()) == language
    assert len(mails) == 2
    assert {e.evidence.language for e in an.story()} == {language}
    assert home.store.person(an.email).language == language  # type: ignore[union-attr]
    notice = home.client.get(f"/notices/newsletter/1/{language}", headers=browser)
    assert lang(html(notice)) == language


def test_the_other_language_is_on_the_same_channel(make_house: Callable[..., House], sqlite_url: str) -> None:
    """CAP-08, CHN-01: choosing the other language does not lose where she came from: that is part of the proof."""
    house = make_house(sqlite_url)
    page = html(house.client.get("/subscribe?channel=footer"))

    assert "channel=footer&amp;language=en" in page


# -- the same answer for everybody ------------------------------------------------------------------------------------


@pytest.fixture
def classes(house: House) -> dict[str, str]:
    """Six kinds of addresses: known, waiting, unknown, suppressed, erased, and of a domain that is not there."""
    Reader(house, "bekend@lezer.example").has_consented("newsletter")
    Reader(house, "wacht@lezer.example").signs_up("newsletter")
    house.hear(Report(type=EventType.COMPLAINED, email="klacht@lezer.example", time=house.clock(), key="1"))
    house.store.erase_person("gewist@lezer.example")
    house.clock.forward(days=2)
    return {
        "known": "bekend@lezer.example",
        "waiting": "wacht@lezer.example",
        "unknown": "nieuw@lezer.example",
        "suppressed": "klacht@lezer.example",
        "erased": "gewist@lezer.example",
        "no such domain": "an@bestaat-niet-echt.example",
    }


_RANDOM = re.compile(r'(?<=__Host-sign-up=)[\w-]{22}(?=;)|(?<=name="place" value=")[\w.-]{45}(?=")')


def seen(response: Any) -> tuple[int, str, list[tuple[str, str]]]:
    """All that a spy could compare, but for the random cookie, what is made of it, and the number of the request."""
    told = ((name, value) for name, value in response.headers if name != "X-Request-Id")  # of errors; random as well
    headers = sorted((name, _RANDOM.sub("*", value)) for name, value in told)
    return response.status_code, _RANDOM.sub("*", html(response)), headers


def test_signing_up_looks_the_same_for_every_address(house: House, classes: dict[str, str]) -> None:
    """CAP-09: status, headers and bytes of the answer are equal over six classes of addresses; so is the work."""
    answers, work, rows = {}, {}, {}
    for kind, email in classes.items():
        statements: list[str] = []

        def count(_c: Any, _x: Any, statement: str, *_rest: Any, into: list[str] = statements) -> None:
            into.append(statement.split(maxsplit=1)[0])

        before = house.store.tasks()[0].waiting
        event.listen(house.bridge.database.engine, "before_cursor_execute", count)
        answers[kind] = seen(Reader(house, email).signs_up("newsletter"))
        event.remove(house.bridge.database.engine, "before_cursor_execute", count)
        work[kind], rows[kind] = len(statements), house.store.tasks()[0].waiting - before

    assert len({repr(answer) for answer in answers.values()}) == 1
    assert answers["known"][0] == 200
    assert set(rows.values()) == {1}, "each is answered by one mail"
    assert len(set(work.values())) == 1, work


def test_asking_for_a_link_looks_the_same_for_every_address(house: House, classes: dict[str, str]) -> None:
    """CAP-09: "mail me my link" does not tell who is known here; only the mailbox does."""
    answers = [seen(house.client.post("/preferences", data={"email": email})) for email in classes.values()]
    house.mailbox.clear()
    house.dispatch()

    assert len({repr(answer) for answer in answers}) == 1
    assert {str(mail["To"]) for mail in house.mailbox.messages} == {classes["known"], classes["waiting"]}


def test_ten_times_is_one_mail(house: House, an: Reader) -> None:
    """CAP-10: somebody who types her address ten times fills no mailbox, and learns nothing from the answers."""
    answers = {repr(seen(an.signs_up())) for _ in range(10)}

    assert len(answers) == 1
    assert len(an.mails()) == 1


def test_three_a_month_is_enough(house: House, an: Reader) -> None:
    """CAP-10: one a day and three in thirty days; after that days she can ask again."""
    for _ in range(6):
        an.signs_up()
        house.clock.forward(days=2)
    assert len(an.mails()) <= 3
    asked = [e for e in an.story() if e.type is EventType.REQUESTED]
    assert len(asked) == 3

    house.clock.forward(days=31)
    an.signs_up()
    assert len(an.mails()) > 0
    assert len([e for e in an.story() if e.type is EventType.REQUESTED]) == 4


def test_upper_case_is_the_same_mailbox(house: House, an: Reader) -> None:
    """CAP-10: another spelling of one address is no way around the limit."""
    an.signs_up()
    house.client.post("/subscribe", data={"email": an.email.upper(), "purpose": "newsletter", "channel": "footer"})
    house.dispatch()

    assert len(house.mailbox.messages) == 1


# -- the mail that asks -----------------------------------------------------------------------------------------------


def test_the_mail_is_promised_with_the_request(make_house: Callable[..., House], database_url: str) -> None:
    """CON-01: the process dies after the commit and before sending; after a restart the mail goes, once."""
    first = make_house(database_url)
    Reader(first, "an@lezer.example").signs_up()
    first.close()
    second = make_house(database_url)
    an = Reader(second, "an@lezer.example")

    assert len(an.mails()) == 1
    second.clock.forward(hours=1)
    assert len(an.mails()) == 1


def test_a_dispatcher_that_dies_with_the_mail_in_hand(
    make_house: Callable[..., House], database_url: str, clock: Clock
) -> None:
    """CON-01: claimed and then dead before sending: when the lease has run out the mail goes, once."""
    first, second = make_house(database_url), make_house(database_url)
    Reader(first, "an@lezer.example").signs_up()
    assert len(first.store.queue.claim_mails()) == 1
    an = Reader(second, "an@lezer.example")
    assert an.mails() == []

    clock.forward(minutes=10)
    assert len(an.mails()) == 1
    clock.forward(minutes=10)
    assert len(an.mails()) == 1


def test_the_mail_is_due_at_once(house: House, an: Reader) -> None:
    """CON-01: it is tried within the minute: due in the second it was asked for."""
    an.signs_up()

    assert house.store.queue.next_due(["memory"]) == house.clock()


def test_no_esp_hears_of_her_before_she_confirms(house: House, an: Reader) -> None:
    """CON-02: before the button is pressed there is no call to an ESP and no marketing mail; after it there is."""
    an.signs_up("newsletter", "offers")
    house.dispatch()
    house.client.get(an.link("/confirm/"))
    house.dispatch()
    assert house.esp.calls == []
    assert not an.may("newsletter").may

    house.clock.forward(minutes=1)
    an.confirms()
    house.dispatch()
    assert house.esp.calls == [("put", (an.email,))]
    assert an.is_on("newsletter")


def test_signing_up_again_does_not_unconfirm(house: House, an: Reader) -> None:
    """Seen at listmonk (#2987): a second sign-up by anybody, who only typed her address, takes nothing from her."""
    an.has_consented("newsletter")
    house.clock.forward(days=2)
    an.signs_up("newsletter")
    newest = an.mails()[-1]

    assert an.status() is Status.GIVEN
    assert an.may().may
    assert an.is_on()
    assert "/confirm/" not in newest.as_string()
    assert newest["List-Unsubscribe"], "the mail says that she gets it already, with the way out"


def test_signing_up_for_more_asks_only_for_that(house: House, an: Reader) -> None:
    """CAP-02: the first purpose stays on; only the new one waits for her confirmation."""
    an.has_consented("newsletter")
    house.clock.forward(days=2)
    an.signs_up("newsletter", "offers")

    assert (an.status("newsletter"), an.status("offers")) == (Status.GIVEN, Status.REQUESTED)
    house.clock.forward(minutes=1)
    an.confirms()
    assert (an.may("newsletter").may, an.may("offers").may) == (True, True)
    assert len([e for e in an.story() if e.type is EventType.GIVEN]) == 2


# -- nothing more than needed -----------------------------------------------------------------------------------------


def test_thirty_more_fields_are_dropped(home: House, reader: Reader) -> None:
    """MIN-01: 30 fields that the policy does not declare: none is stored, in the clear or sealed."""
    extra = {f"extra_{number}": f"kanarie-{number}" for number in range(28)}
    reader.signs_up("newsletter", **extra, birth_date="kanarie-28", first_name="kanarie-29")
    person = home.store.person(reader.email)

    assert person is not None
    assert person.fields == {}
    opened = msgspec.json.encode(reader.story()).decode() + msgspec.json.encode(person).decode()
    assert "kanarie" not in opened + everything_stored(home)


@pytest.fixture
def asking(make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str]) -> House:
    """A house whose form also asks a first name and a subject."""
    policy = Path(environment["BRIDGE_POLICY"])
    more = """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet her by name"
max_length = 20
at.memory = "FNAME"

[[fields]]
id = "interest"
label.nl = "Onderwerp"
label.en = "Subject"
purposes = ["newsletter"]
need = "to choose the right edition"
choices = ["politics", "sports"]
"""
    policy.write_text(policy.read_text(encoding="utf-8") + more, encoding="utf-8")
    return make_house(sqlite_url)


def test_declared_fields_are_kept_and_sent(asking: House) -> None:
    """MIN-01, MIN-04: what the policy declares is kept, and only what has a place at the ESP is sent there."""
    an = Reader(asking, "an@lezer.example")
    an.signs_up("newsletter", first_name="  An ", interest="sports", last_name="van den Berg")
    asking.clock.forward(minutes=2)
    an.confirms()
    asking.dispatch()

    assert asking.store.person(an.email).fields == {"first_name": "An", "interest": "sports"}  # type: ignore[union-attr]
    assert asking.esp.people[an.email].fields == {"FNAME": "An"}


def test_a_field_of_a_purpose_she_did_not_tick_is_dropped(asking: House) -> None:
    """MIN-01: a name that only the newsletter needs is not kept for the offers."""
    an = Reader(asking, "an@lezer.example")
    an.signs_up("offers", first_name="An")

    assert asking.store.person(an.email).fields == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value",
    ["An\r\nBcc: dirk@lezer.example", "An\x00", "A" * 21, "\x1b[31mAn", "An\ufffd", "A\u2028n"],
    ids=["header", "nul", "long", "escape", "no utf-8", "line separator"],
)
def test_a_bad_name_is_refused_in_words(asking: House, value: str) -> None:
    """MIN-01: a name with line breaks or control characters is refused with a sentence, and nothing is stored."""
    an = Reader(asking, "an@lezer.example", "en")
    answer = an.signs_up("newsletter", first_name=value)

    if value == "An\x00":  # as if it were empty: the field is not required
        assert asking.store.person(an.email).fields == {}  # type: ignore[union-attr]
        return
    assert answer.status_code == 400
    assert "Please check what you wrote here." in html(answer)
    assert asking.store.person(an.email) is None


def test_a_choice_that_is_not_offered_is_refused(asking: House) -> None:
    """MIN-01: a closed list stays closed."""
    an = Reader(asking, "an@lezer.example", "en")

    assert an.signs_up("newsletter", interest="religion").status_code == 400
    assert asking.store.person(an.email) is None


def test_who_is_deleted_at_the_moment_she_signs_up_is_new(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """CON-06: whoever deletes old requests held her row; her form is not lost, and she is asked."""
    Reader(house, "an@lezer.example").signs_up()
    house.clock.forward(days=4)
    seen = sign_up._SEEN

    class Late:
        """Her row goes just before it is looked at again."""

        def run(self, db: Hand, values: tuple[str, bytes, str]) -> int:
            Sql("DELETE FROM person_keys").run(db)
            Sql("DELETE FROM subjects").run(db)
            return seen.run(db, values)

    monkeypatch.setattr(sign_up, "_SEEN", Late())
    assert Reader(house, "an@lezer.example").signs_up().status_code == 200
    monkeypatch.undo()
    assert house.store.may_mail("an@lezer.example", "newsletter").status is Status.REQUESTED
