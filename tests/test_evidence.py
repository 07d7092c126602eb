"""One person's whole story for somebody who never saw this program: a judge, an authority, a DPO.

Issue 5, point 7; GDPR 5(2), 7(1); rows CAP-05, CAP-06, CAP-07, SOF-01, WDR-11, SUP-01, R13. On both databases.
"""

import json
import re
import stat
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from bridge import decide
from bridge.cli import main
from bridge.evidence import as_data, look
from bridge.sentences import BLOCKED, CLAIMED, COLLECTED, HAPPENED, LISTED, SALE, STANDING, TOLD
from bridge.tables import events
from bridge.testimony import Document, document
from bridge.vault import new_id
from bridge.vocabulary import (
    OPERATOR,
    READER,
    SYSTEM,
    Block,
    ConsentEvent,
    Entry,
    EventType,
    Evidence,
    Method,
    Report,
    Status,
)
from tests.conftest import House, Reader
from tests.test_history import break_in
from tests.test_past import AN, BRAM, NEW, _entry, tells
from tests.test_store import by_reader, consents, withdraws

LANGUAGES = ("en", "nl")


def told(house: House, email: str = AN, language: str = "en") -> str:
    """The document about an address, on one line."""
    return " ".join(paper(house, email, language).text().split())


def paper(house: House, email: str, language: str = "en") -> Document:
    """The document about an address."""
    found = look(house.bridge, email)
    assert found is not None
    return document(house.bridge, found, language)


def section(house: House, title: str, email: str = AN) -> str:
    """One section of it, on one line."""
    found = next(each for each in paper(house, email).sections if each.title == title)
    return " ".join(line for entry in found.entries for line in (entry.heading, *entry.lines))


def takes(house: House, *entries: Entry) -> None:
    """Take in a list of these lines."""
    house.store.take_list(entries, house.store.lists.begin(new_id().encode(), b"rules"), len(entries))


def sold(house: House) -> Entry:
    """A line about a customer."""
    facts = Evidence(sale={fact: f"feit {number}" for number, fact in enumerate(SALE)})
    return Entry(
        email=AN, type=EventType.ENROLLED, purpose="newsletter", channel="footer", time=house.clock(), evidence=facts
    )


def enters(house: House, purpose: str, detail: str | None = None) -> None:
    """A member of the staff enters a yes that was said now."""
    words, now = house.bridge.notices.wording(purpose, "nl"), house.clock()
    an = house.store.person(AN)
    assert an is not None
    proof = Evidence(wording=words.sha256, language="nl", document="case 5", detail=detail)
    house.store.record(
        [
            ConsentEvent(
                type=EventType.GIVEN, subject=an.id, time=now, received=now, source=OPERATOR, method=Method.STAFF,
                key=new_id(), purpose=purpose, channel="footer", notice=1, evidence=proof,
            )
        ]
    )  # fmt: skip


# -- the sentences -----------------------------------------------------------------------------------------------


def test_everything_that_can_happen_has_its_sentence() -> None:
    """No machine word is left to guess: every event by every road, every status, block and entry of the stop list."""
    assert set(EventType) <= HAPPENED.keys()
    assert set(STANDING) == set(Status)
    assert set(BLOCKED) == set(Block)
    assert {Method.IMPORT, Method.STAFF, Method.WEBHOOK, Method.RECONCILE, Method.CLOCK} == set(TOLD)
    assert set(LISTED) == set(decide.LISTED)
    assert tuple(SALE) == decide.SALE_FACTS
    assert {(kind, Method.IMPORT) for kind in (*decide.STOPS, EventType.BOUNCED)} <= HAPPENED.keys()
    assert decide.NO_YES in COLLECTED
    assert set(CLAIMED) == {Method.IMPORT, Method.STAFF}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_is_said_in_full_in_every_language(home: House, language: str) -> None:
    """A story in which each kind of event stands once by each road: nothing breaks, no place stays unfilled."""
    an = consents(home, AN)
    found = look(home.bridge, AN)
    assert found is not None
    now = home.clock()
    story = [
        ConsentEvent(
            type=kind, subject=an.id, time=now, received=now + timedelta(hours=1), source=source, method=method,
            key=f"{kind} {method}", purpose="newsletter", asked=now, until=now, channel="footer", notice=1,
            evidence=Evidence(document="map 4", detail="paper", sale=dict.fromkeys(SALE, "waar")),
        )
        for kind in EventType
        for method in Method
        for source in [{Method.WEBHOOK: "memory", Method.RECONCILE: "memory"}.get(method, OPERATOR)]
    ]  # fmt: skip
    text = document(home.bridge, found._replace(story=story), language).text()
    assert "%(" not in text
    assert not re.search(r"\b[a-z]+_[a-z]+\b", text), "no word of the program's own"


def test_a_story_is_told_as_it_happened(house: House) -> None:
    """CAP-05: when by the controller's clock and by UTC, the question, the button, the box, the exact words."""
    an = Reader(house, AN)
    an.has_consented("newsletter")
    house.clock.forward(days=1)
    an.one_click()
    words = house.bridge.notices.wording("newsletter", "nl")
    text = told(house)
    assert (
        "On 23 November 2026 at 11:02:00 (10:02:00 UTC) the reader pressed the confirm button on the page behind the "
        "link that had been mailed to the reader's address, and so consented to “Newsletter”. The question had been put "
        "on 23 November 2026 at 11:00:00 (10:00:00 UTC). The place was: the form at the foot of our website."
    ) in text
    assert "the unsubscribe button of the reader's mail program was used (RFC 8058): stop for “Newsletter”." in text
    assert text.count("The box beside the words below was sent as ticked.") == 2
    for part in (words.label, words.sha256, *words.text.split("\n\n")):
        assert " ".join(part.split()) in " ".join(text.replace(" | ", " ").split())
    assert "De Dagwijzer NV, Drukkerijstraat 1, 1000 Brussel, België" in text
    assert "Times are those of Europe/Brussels" in text
    assert "“Newsletter”: may not be mailed on that day This person said stop (entry 3)." in text
    assert "“Reader offers”: may not be mailed on that day There is no proof of a yes." in text
    for word in ("confirm_page", "one_click", "given", "withdrawn", "subject"):
        assert word not in text
    assert "drukte de lezer op de bevestigingsknop" in told(house, language="nl")


def test_midnight_in_the_readers_country_is_another_day_in_utc(house: House) -> None:
    """Both days are named where they differ."""
    house.clock.now = house.clock().replace(hour=23, minute=30)
    consents(house, AN)
    assert "On 24 November 2026 at 00:31:00 (23 November 2026 at 23:31:00 UTC) the reader pressed" in told(house)


def test_a_customer_is_never_said_to_have_consented(house: House) -> None:
    """SOF-01: the six facts, and that it is no consent; in every language."""
    an = consents(house, AN, "offers")
    now = house.clock()
    facts = {fact: f"feit {number}" for number, fact in enumerate(SALE)}
    house.store.record(
        [
            ConsentEvent(
                type=EventType.ENROLLED, subject=an.id, time=now, received=now, source=OPERATOR, method=Method.IMPORT,
                key=new_id(), purpose="newsletter", channel="footer", evidence=Evidence(sale=facts),
            )
        ]
    )  # fmt: skip
    for language, no in (("en", "This is not a consent"), ("nl", "Dit is geen toestemming")):
        entry = paper(house, AN, language).sections[2].entries[-1]
        said = " ".join(entry.lines)
        assert no in said
        assert all(fact in said for fact in facts.values())
        assert "consented" not in said
        assert "gaf toestemming" not in said
    stands = section(house, "Where this person stands")
    assert "This person is a customer (entry 3)" in stands
    assert "allows no mail on this ground" in stands


@pytest.mark.parametrize(
    ("kind", "source", "method", "stands"),
    [
        (EventType.PAUSED, READER, Method.PREFERENCE_PAGE, "This person is a customer (entry 1)"),
        (EventType.EXPIRED, SYSTEM, Method.CLOCK, "This person bought too long ago for that to count (entry 2)."),
        (EventType.INVALIDATED, OPERATOR, Method.STAFF, "The rule for a seller's own customers was found not to hold"),
        (EventType.WITHDRAWN, READER, Method.ONE_CLICK, "This person said stop (entry 2)."),
    ],
)
def test_a_customer_never_consented_whatever_came_of_it(
    house: House, kind: EventType, source: str, method: Method, stands: str
) -> None:
    """SOF-01: nor when it grew too old, was found not to hold, or was paused; in every language."""
    takes(house, sold(house))
    house.clock.forward(days=1)
    now, until = house.clock(), house.clock() + timedelta(days=9)
    an = house.store.person(AN)
    assert an is not None
    house.store.record(
        [
            ConsentEvent(
                type=kind, subject=an.id, time=now, received=now, source=source, method=method, key=new_id(),
                purpose="newsletter", until=until if kind is EventType.PAUSED else None,
            )
        ]
    )  # fmt: skip
    assert stands in section(house, "Where this person stands")
    for language, denied, word in (
        ("en", ("This is not a consent", ", not consent"), "consent"),
        ("nl", ("Dit is geen toestemming", ", geen toestemming"), "toestemming"),
    ):
        said = " ".join(
            line for part in paper(house, AN, language).sections[1:3] for e in part.entries for line in e.lines
        )
        assert denied[0] in said
        assert word not in said.replace(denied[0], "").replace(denied[1], "")


def test_what_never_was_a_consent_is_not_one_that_grew_too_old(house: House) -> None:
    """CHN-05: a list calls somebody expired for everything; only what she said yes to before was ever a consent."""
    consents(house, AN)
    house.clock.forward(days=1)
    for kind, ended in (
        (EventType.EXPIRED, "The consent is too old to count (entry 3)."),
        (EventType.INVALIDATED, "The consent was found not to hold (entry 4)."),
    ):
        takes(house, Entry(email=AN, type=kind, purpose="", channel="footer"))
        stands = section(house, "Where this person stands")
        assert f"“Newsletter”: may not be mailed on that day {ended}" in stands
        assert "“Reader offers”: may not be mailed on that day There is no proof of a yes." in stands
        assert stands.endswith("There is no proof of a yes."), "that is no list's word"
        unknown = section(house, "What is not known")
        assert "Nothing proves a yes to “Reader offers”." in unknown
        assert "Nothing proves a yes to “Newsletter”." not in unknown
        house.clock.forward(days=1)


def test_a_yes_after_it_ended_is_not_what_ended(house: House) -> None:
    """CHN-05: nor is a yes that a member of the staff enters for a later day."""
    takes(house, Entry(email=AN, type=EventType.IMPORTED, purpose="newsletter", channel="footer"))
    takes(house, Entry(email=AN, type=EventType.EXPIRED, purpose="", channel="footer"))
    house.clock.forward(days=1)
    enters(house, "newsletter")
    assert "The consent is too old" not in section(house, "Where this person stands")
    assert "Nothing proves a yes to “Newsletter”." in section(house, "What is not known")


def test_a_list_is_believed_no_further_than_its_document(house: House) -> None:
    """CHN-05: when it was read, which document it names, that nobody here saw it; and it stands among the gaps."""
    mark = house.store.lists.begin(b"a list", b"rules")
    house.store.take_list([_entry(house, AN)], mark, 1)
    happened, unknown = section(house, "What happened"), section(house, "What is not known")
    assert "The controller holds that this person consented to “Newsletter”" in happened
    assert "This program did not see it happen" in happened
    assert "The document that proves it: case 4" in happened
    assert "By the word of that list it was given on paper." in happened
    assert "Entries read from a list (1) were not seen by this program" in unknown
    assert "Nothing proves a yes to “Reader offers”." in unknown
    stands = section(house, "Where this person stands")
    claim = "The controller holds, by a list and the document it names, that the reader consented (entry 1); the ground"
    assert claim in stands
    assert "The reader consented" not in stands


def test_a_yes_of_her_own_says_more_than_what_is_claimed(house: House) -> None:
    """CAP-05: what her mailbox confirmed is hers, also where a list or the staff names a later day."""
    takes(house, _entry(house, BRAM))
    consents(house, AN)
    house.clock.forward(days=9)
    enters(house, "newsletter")
    enters(house, "offers")
    stands = section(house, "Where this person stands")
    assert "“Newsletter”: may be mailed on that day The reader consented (entry 2); the ground" in stands
    claim = (
        "The controller holds, by the word of its staff and the document they name, that the reader consented (entry 4)"
    )
    assert f"“Reader offers”: may be mailed on that day {claim}" in stands
    withdraws(house, AN)
    assert "“Newsletter”: may not be mailed on that day This person said stop" in section(
        house, "Where this person stands"
    )


@pytest.mark.parametrize("kind", [*decide.STOPS, EventType.BOUNCED])
def test_a_no_of_a_list_is_that_lists_word(house: House, kind: EventType) -> None:
    """CHN-05: that a list says so; and that it gives no date where it gives none."""
    dated, undated = (
        "By that list it happened on",
        "The list gives no date; it counts from the day that list was first taken in",
    )
    proof = Evidence(document="case 4")
    consents(house, AN)
    consents(house, BRAM)
    house.clock.forward(days=2)
    yesterday = house.clock() - timedelta(days=1)
    takes(
        house,
        Entry(email=AN, type=kind, purpose="", channel="footer", evidence=proof),
        Entry(email=BRAM, type=kind, purpose="", channel="footer", time=yesterday, evidence=proof),
    )
    for email, day, this, other, detail in ((AN, 25, undated, dated, "undated"), (BRAM, 24, dated, undated, None)):
        found = look(house.bridge, email)
        assert found is not None
        assert found.story[-1].evidence == Evidence(document="case 4", detail=detail)
        last = " ".join(paper(house, email).sections[2].entries[-1].lines)
        assert last.startswith("A list says that ")
        assert re.search(rf"{this},? ?{day} November 2026 at", last)
        assert other not in last
        assert "This program did not see it happen" in last
        assert "undated" not in last
        assert "The document that proves it: case 4" in last
        assert " ".join(paper(house, email, "nl").sections[2].entries[-1].lines).startswith("Een lijst zegt dat ")
    if kind not in (EventType.BOUNCED, EventType.ERASED):
        assert "Only a list says so." in section(house, "Where this person stands")


def test_a_no_of_a_stranger_may_be_a_lists_word(house: House) -> None:
    """SUP-01: the stop list does not keep whether a platform or a list told it, nor whether that list gave a date."""
    takes(house, Entry(email=BRAM, type=EventType.UNSUBSCRIBED, purpose="", channel="footer"))
    text = told(house, BRAM)
    assert "left at a mailing platform, or by the word of a list: stop to every mailing, since" in text
    assert "A no of a list without a date counts from the day that list was first taken in." in text


def test_codes_are_those_of_platforms(house: House) -> None:
    """CAP-05: what a platform sent is shown as it came; what this program notes for itself is a sentence."""
    noted = Evidence(document="case 4", detail=decide.NO_YES)
    takes(house, Entry(email=AN, type=EventType.IMPORTED, purpose="newsletter", channel="footer", evidence=noted))
    text = told(house)
    assert "That list itself does not say that a yes was given." in text
    assert "Die lijst zegt zelf niet dat er een ja is gegeven." in told(house, language="nl")
    enters(house, "newsletter", detail="note_to_self")
    assert "The code that came with it" not in told(house)
    house.hear(Report(type=EventType.BOUNCED, email=AN, time=house.clock(), key="b", detail="5.1.1"))
    text = told(house)
    assert text.count("The code that came with it") == 1
    assert "The code that came with it: 5.1.1" in text
    assert "no_yes" not in text


@pytest.mark.parametrize("when", ["story", "confirmations"])
def test_where_she_stands_follows_from_what_is_told(house: House, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """CAP-05: a stop that comes while the document is made is in both or in neither, and no entry is named twice."""
    an = consents(house, AN)
    enters(house, "offers")
    read = getattr(house.store, when)

    def meanwhile(of: object) -> object:
        seen = read(of)
        monkeypatch.undo()
        house.store.record([by_reader(house, an, EventType.REVOKED, "offers")])
        withdraws(house, AN)
        return seen

    monkeypatch.setattr(house.store, when, meanwhile)
    found = look(house.bridge, AN)
    assert found is not None
    assert len(found.story) == 3
    for purpose, answer in found.standing.items():
        assert answer == decide.may_mail(found.history, purpose, found.made, found.limits)
        assert answer.status is decide.standing(found.history, purpose).status
    assert found.standing["offers"].may
    assert found.standing["newsletter"].may == (when == "confirmations"), "a stop list is read after the story"
    found = look(house.bridge, AN)
    assert found is not None
    assert (len(found.story), found.stops) == (5, [])


def test_it_says_when_a_platform_told_and_when_each_carried_out_a_stop(house: House) -> None:
    """WDR-11: what happened there and when we heard it are two moments; what is not confirmed is said to be so."""
    consents(house, AN, "newsletter", "offers")
    house.dispatch()
    house.clock.forward(days=3)
    withdraws(house, AN, "offers")
    waiting = section(house, "What happened")
    assert "An ESP in memory has not confirmed yet that it is carried out." in waiting
    assert "Whether a stop was carried out" in section(house, "What is not known")
    house.clock.forward(minutes=4)
    house.dispatch()
    tells(house, AN, EventType.UNSUBSCRIBED, ago=timedelta(days=1))
    happened = section(house, "What happened")
    assert "An ESP in memory had carried it out on 26 November 2026 at 11:06:00 (10:06:00 UTC)." in happened
    assert "On 25 November 2026 at 11:06:00 (10:06:00 UTC) the reader left at a mailing platform" in happened
    assert "An ESP in memory told it; the message came in on 26 November 2026 at 11:06:00 (10:06:00 UTC)." in happened
    assert "Whether a stop was carried out" not in section(house, "What is not known")
    found = look(house.bridge, AN)
    assert found is not None
    stop = as_data(house.bridge, found)["events"][4]
    assert stop["carried out"] == [{"platform": "memory", "time": "2026-11-26T10:06:00Z"}]


def test_every_reason_against_mail_is_a_sentence(house: House) -> None:
    """SND-01: a yes stands, and why nothing may be mailed all the same."""
    an = consents(house, AN)
    until = house.clock() + timedelta(days=5)
    house.store.record([by_reader(house, an, EventType.PAUSED, "", until=until)])
    house.store.record([by_reader(house, an, EventType.RESTRICTED, "")])
    tells(house, AN, EventType.BOUNCED)
    stands = section(house, "Where this person stands")
    assert "The reader consented (entry 2); the ground is GDPR, article 6(1)(a)." in stands
    assert "The mailbox is not there (entry 5)." in stands
    assert "The use of this person's data is restricted (entry 4)." in stands
    assert "The reader asked for no mail until 28 November 2026 at 11:02:00 (10:02:00 UTC)." in stands
    house.clock.forward(days=2000)
    assert "It has been too old to count since" in section(house, "Where this person stands")


# -- the chain ---------------------------------------------------------------------------------------------------


def test_her_own_chain_is_checked_and_nobody_elses(house: House) -> None:
    """CAP-06: whole, until one byte of hers is another one; then it says so, and what can still be read is shown."""
    consents(house, AN)
    bram = consents(house, BRAM)
    assert "The chain of entries about this person (2 in all) was checked" in told(house)
    spoilt = update(events).where(events.c.subject == bram.number, events.c.number == 2)
    break_in(house, spoilt.values(sealed=b"something else"))
    assert "and it is whole" in told(house)
    broken = told(house, BRAM)
    assert "and it is whole" not in broken
    assert (
        f"THE CHAIN IS NOT WHOLE: something in the record of this person was changed. Found was: - {bram.id}/2"
        in broken
    )
    assert "The evidence of at least one entry cannot be opened" in broken
    assert "the reader pressed the confirm button" in broken
    found = look(house.bridge, BRAM)
    assert found is not None
    assert as_data(house.bridge, found)["chain"]["whole"] is False


def test_a_changed_outline_is_seen_too(house: House) -> None:
    """CAP-06: the clear columns that deciding uses are held against what was sealed."""
    an = consents(house, AN)
    moved = update(events).where(events.c.subject == an.number, events.c.number == 2)
    break_in(house, moved.values(time=house.clock() - timedelta(days=9)))
    assert "THE CHAIN IS NOT WHOLE" in told(house)
    assert "clear columns differ from what was sealed: time" in told(house)


# -- who is not here ---------------------------------------------------------------------------------------------


def test_of_an_address_on_the_stop_list_it_says_what_that_list_keeps(house: House) -> None:
    """SUP-01: that a no is kept as a code, since when, for what, and what that code is not."""
    tells(house, BRAM, EventType.COMPLAINED)
    text = told(house, BRAM)
    assert "a code is kept that is made from the address with a secret key" in text
    assert "reported a mail as spam: no to every mailing, since 23 November 2026 at 11:00:00 (10:00:00 UTC)" in text
    assert "Nobody of this address is in the record" in text
    assert "What happened" not in text
    found = look(house.bridge, BRAM)
    assert found is not None
    data = as_data(house.bridge, found)
    assert data["subject"] is None
    assert data["stop list"] == [{"type": "complained", "purpose": "every purpose", "since": "2026-11-23T10:00:00Z"}]
    assert data["events"] == []


def test_of_somebody_erased_only_the_code_is_told(house: House) -> None:
    """RGT-04: since when; nothing else is left to tell."""
    consents(house, AN)
    house.store.erase_person(AN)
    text = told(house)
    assert "was erased on request on 23 November 2026" in text
    assert "Newsletter" not in text


def test_of_nobody_there_is_no_document(house: House) -> None:
    """Never signed up, nothing told."""
    assert look(house.bridge, BRAM) is None


def test_a_former_address_is_told_to_be_a_code(house: House) -> None:
    """R13: her story is at her new address; the old one cannot be read from it."""
    consents(house, AN)
    tells(house, AN, EventType.MOVED, to=NEW)
    text = told(house, NEW)
    assert "the reader's address changed" in text
    assert "An earlier address is kept as a code only" in text
    assert AN not in text
    assert look(house.bridge, AN) is None


def test_it_is_about_her_and_nobody_else(house: House) -> None:
    """RGT-01: nothing of Dirk in it."""
    consents(house, AN)
    dirk = consents(house, "dirk@lezer.example")
    found = look(house.bridge, AN)
    assert found is not None
    everything = told(house) + json.dumps(as_data(house.bridge, found))
    assert dirk.id not in everything
    assert "dirk" not in everything


# -- the command -------------------------------------------------------------------------------------------------


Run = Callable[..., Result]


@pytest.fixture
def run(home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type `evidence …` in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ("evidence", *words), env=home.environment)


class Page(HTMLParser):
    """What a page is made of, and what it reads as."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Read on."""
        self.text += data


def test_three_files_for_their_owner_only(run: Run, home: House) -> None:
    """Data, text and a page that prints alone: no script, nothing from elsewhere; mode 0600; all or none."""
    consents(home, AN)
    result = run(AN, "--out", "case-12", "--language", "en")
    assert result.exit_code == 0, result.output
    files = {path.name: path for path in Path("case-12").iterdir()}
    assert set(files) == {"evidence.json", "evidence.txt", "evidence.html"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    page = Page(files["evidence.html"].read_text("utf-8"))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "form"})
    assert page.tags[0] == ("html", {"lang": "en", "dir": "ltr"})
    assert [attrs for tag, attrs in page.tags if tag == "blockquote"] == [{"lang": "nl"}] * 2
    seen = " ".join(page.text.split())
    for entry in (entry for part in paper(home, AN).sections[1:] for entry in part.entries):
        assert all(" ".join(line.split()) in seen for line in entry.lines if "checked on" not in line)
    words = home.bridge.notices.wording("newsletter", "nl")
    assert " ".join(words.text.split()) in seen
    assert " ".join(words.label.split()) in seen

    files["evidence.json"].unlink()
    result = run(AN, "--out", "case-12")
    assert result.exit_code == 1
    assert "evidence.txt is there already" in result.stderr
    assert not files["evidence.json"].exists()


def test_the_language_is_one_of_the_policys(run: Run, home: House) -> None:
    """Its first, where none is named."""
    consents(home, AN)
    assert run(AN).output.startswith("Bewijs over toestemming voor mail")
    assert run(AN, "--language", "en").output.startswith("Evidence about consent to mail")
    refused = run(AN, "--language", "fr")
    assert refused.exit_code == 1
    assert "no language 'fr' in the policy; there are: nl, en" in refused.stderr


def test_who_has_moved_is_asked_for_under_the_new_address(run: Run, home: House) -> None:
    """The new address is not told: whoever asks must know it."""
    consents(home, AN)
    tells(home, AN, EventType.MOVED, to=NEW)
    result = run(AN)
    assert result.exit_code == 1
    assert "under a newer one" in result.stderr
    assert NEW not in result.output


def test_a_person_who_cannot_be_opened_is_named_as_such(run: Run, home: House) -> None:
    """A spoilt profile: no stack of program lines, and what to do."""
    an = consents(home, AN)
    with home.bridge.database.engine.begin() as db:
        db.exec_driver_sql("UPDATE subjects SET profile = x'00' WHERE number = " + str(an.number))
    result = run(AN)
    assert result.exit_code == 1
    assert "run consent-bridge verify" in result.stderr
