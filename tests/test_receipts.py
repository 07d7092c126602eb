"""A receipt for each yes and each end of one: GDPR 7(1), 13; ISO/IEC TS 27560 in DPV 2.3; Kantara 1.1. CON-07, RGT-02."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bridge import receipts
from bridge.decide import STOPS, standing
from bridge.receipts import RENEWED, TERMS, acts, kantara, of
from bridge.tables import events, metadata
from bridge.vault import new_key
from bridge.verifier import Bad, Keys, canonical, check_file, check_receipt, strict
from bridge.vocabulary import ConsentEvent, EventType, Method, Status
from tests.conftest import BASE_URL, House, Reader
from tests.dpv import IRIS, NAMESPACES, addresses, expand, texts
from tests.dpv import TERMS as WORDS
from tests.test_checkpoints import unkept
from tests.test_decide import at, told
from tests.test_preferences import fresh_link, old_link
from tests.test_store import person
from tests.test_subscribe import html

MakeHouse = Callable[..., House]
E = EventType
RECORD = "dpv:hasRecordOfActivity"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def sealed(make_house: MakeHouse, database_url: str) -> House:
    """A house with a seal key, on SQLite and on PostgreSQL."""
    return make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"))


@pytest.fixture
def home(make_house: MakeHouse, sqlite_url: str) -> House:
    """The same on SQLite only."""
    return make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))


@pytest.fixture
def an(home: House) -> Reader:
    """An reads, at home."""
    return Reader(home, "an.vandenberg@lezer.example")


def given_to(house: House, reader: Reader, **more: Any) -> list[dict[str, Any]]:
    """Her receipts, as of now."""
    who = person(house, reader.email)
    return of(house.bridge.issuer, who.id, house.store.story(who), language="nl", now=house.clock(), **more)


def made(house: House, *story: ConsentEvent) -> list[dict[str, Any]]:
    """Receipts of a story that was made up."""
    return of(house.bridge.issuer, "an", story, language="en", now=NOW)


def states(receipt: dict[str, Any]) -> list[str]:
    """Where she stood, one after the other."""
    return [state["@type"][0] for state in receipt[RECORD]["dpv:hasConsentStatus"]]


def attached(mail: EmailMessage) -> dict[str, bytes]:
    """The files of a mail."""
    return {str(part.get_filename()): part.get_payload(decode=True) for part in mail.iter_attachments()}  # type: ignore[misc]


# -- which there are ---------------------------------------------------------------------------------------------


def test_a_yes_and_its_end_have_one_each(sealed: House) -> None:
    """CON-07, RGT-02: of two purposes, one of which she left, three; none of anybody else's."""
    an, dirk = Reader(sealed, "an.vandenberg@lezer.example"), Reader(sealed, "dirk@lezer.example")
    an.has_consented("newsletter", "offers")
    dirk.has_consented()
    an.saves(fresh_link(an), "offers")
    found = given_to(sealed, an)
    assert [receipts.about(one)[1] for one in found] == ["newsletter", "offers", "newsletter"]
    assert [states(one) for one in found] == [
        ["dpv:ConsentRequested", "dpv:ConsentGiven"],
        ["dpv:ConsentRequested", "dpv:ConsentGiven"],
        ["dpv:ConsentRequested", "dpv:ConsentGiven", "dpv:ConsentWithdrawn"],
    ]
    assert person(sealed, dirk.email).id not in json.dumps(found)
    assert len({one["dct:identifier"] for one in found}) == 3
    records = [one[RECORD]["dct:identifier"] for one in found]
    assert records[0] == records[2] != records[1], "a yes and its end are one record"


def test_every_status_has_its_word(home: House) -> None:
    """Section 5, the table of states: each status a term of DPV 2.3, and soft opt-in none, for it is no consent."""
    assert set(TERMS) == set(Status)
    assert {status for status, term in TERMS.items() if term is None} == {Status.SOFT_OPT_IN}
    assert {term for term in TERMS.values() if term} | {RENEWED} <= WORDS
    asked, yes = told(E.REQUESTED, 1), told(E.GIVEN, 10, asked=at(2))
    assert states(made(home, asked, yes)[0]) == ["dpv:ConsentRequested", "dpv:ConsentGiven"]
    again = told(E.GIVEN, 20, asked=at(15))
    assert states(made(home, yes, again)[-1]) == ["dpv:ConsentGiven", "dpv:RenewedConsentGiven"]
    for kind, word in {
        E.WITHDRAWN: "Withdrawn",
        E.UNSUBSCRIBED: "Withdrawn",
        E.OBJECTED: "Withdrawn",
        E.COMPLAINED: "Withdrawn",
        E.REFUSED: "Refused",
        E.EXPIRED: "Expired",
        E.REVOKED: "Revoked",
        E.INVALIDATED: "Invalidated",
        E.ERASED: "Unknown",
    }.items():
        assert kind in STOPS
        assert states(made(home, yes, told(kind, 30))[-1])[-1] == f"dpv:Consent{word}", kind
    listed = told(E.IMPORTED, 1, source="operator", method=Method.IMPORT)
    assert states(made(home, listed, yes)[0]) == ["dpv:ConsentUnknown", "dpv:ConsentGiven"]


@pytest.mark.parametrize(
    "story",
    [
        [],
        [told(E.REQUESTED, 1)],
        [told(E.IMPORTED, 1, source="operator", method=Method.IMPORT)],
        [told(E.ENROLLED, 1)],
        [told(E.ENROLLED, 1), told(E.WITHDRAWN, 2)],
        [told(E.WITHDRAWN, 1), told(E.OBJECTED, 2)],
        [told(E.GIVEN, 1, source="memory", method=Method.WEBHOOK)],
        [told(E.WITHDRAWN, 5), told(E.GIVEN, 9, asked=at(4))],
        [told(E.SUBSCRIBED, 1), told(E.UNSUBSCRIBED, 2)],
    ],
)
def test_what_is_no_yes_has_no_receipt(home: House, story: list[ConsentEvent]) -> None:
    """Section 5: a request, a claim of a list or an ESP, a customer's soft opt-in, a yes that a stop overtook: none."""
    assert made(home, *story) == []


KINDS = [*STOPS, E.GIVEN, E.GIVEN, E.GIVEN, E.REQUESTED, E.ENROLLED, E.IMPORTED]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 40), st.integers(0, 40), st.booleans()), max_size=9))
@settings(max_examples=200, deadline=None)
def test_in_any_order_receipts_end_where_she_stands(news: list[tuple[EventType, int, int, bool]]) -> None:
    """CON-07, R1: the last receipt is for a yes exactly where she stands on one, and no end comes without its yes."""
    story = [
        msgspec.structs.replace(
            told(kind, when, "" if all_ and kind in STOPS else "newsletter"),
            key=str(number),
            asked=at(asked) if kind is E.GIVEN else None,
        )
        for number, (kind, when, asked, all_) in enumerate(news, start=1)
    ]
    found = acts(story)
    stands = standing(story, "newsletter").status is Status.GIVEN
    assert (bool(found) and found[-1].status is Status.GIVEN) is stands
    before = False
    for act in found:
        yes = act.status is Status.GIVEN
        assert yes or before, "an end without a yes"
        assert act.renewed is (yes and before)
        before = yes


# -- their shape -------------------------------------------------------------------------------------------------

#: What TS 27560 makes mandatory, as paths: `*` = each of a list.
MANDATORY = (
    "dct:conformsTo",
    "dct:identifier",
    f"{RECORD}/dct:conformsTo",
    f"{RECORD}/dct:identifier",
    f"{RECORD}/dpv:hasDataSubject/dct:identifier",
    f"{RECORD}/dpv:hasNotice/@id",
    f"{RECORD}/dpv:hasNotice/dct:language",
    f"{RECORD}/dpv:hasProcess/*/dpv:hasPurpose/dct:description",
    f"{RECORD}/dpv:hasProcess/*/dpv:hasPersonalData/*/@type",
    f"{RECORD}/dpv:hasProcess/*/dpv:hasStorageCondition/*/@type",
    f"{RECORD}/dpv:hasProcess/*/dpv:hasRecipient",
    f"{RECORD}/dpv:hasDataController",
    f"{RECORD}/dpv:hasConsentControl/dpv:isExercisedAt",
    f"{RECORD}/dpv:hasJurisdiction",
    f"{RECORD}/dpv:hasEntity/*/dpv:hasIdentifier",
    f"{RECORD}/dpv:hasEntity/*/dpv:hasName",
    f"{RECORD}/dpv:hasEntity/*/dpv:hasAddress",
    f"{RECORD}/dpv:hasEntity/*/dpv:hasContact",
    f"{RECORD}/dpv:hasEntity/*/@type",
    f"{RECORD}/dpv:hasConsentStatus/*/@type",
    f"{RECORD}/dpv:hasConsentStatus/*/dpv:isIndicatedAtTime",
    f"{RECORD}/dpv:hasConsentStatus/*/dpv:isIndicatedBy",
)


def reach(told_: Any, path: list[str]) -> list[Any]:
    """Everything at the end of a path; KeyError where a part of it is missing."""
    if not path:
        return [told_]
    if path[0] == "*":
        assert told_
        return [found for each in told_ for found in reach(each, path[1:])]
    return reach(told_[path[0]], path[1:])


def all_kinds(house: House) -> list[dict[str, Any]]:
    """Receipts of every kind."""
    yes = told(E.GIVEN, 10, asked=at(2))
    ends = [[yes, told(kind, 30)] for kind in STOPS]
    listed = told(E.GIVEN, 1, source="operator", method=Method.IMPORT)
    return [one for story in ([yes], [listed], *ends) for one in made(house, *story)]


@pytest.mark.parametrize("path", MANDATORY)
def test_every_mandatory_field_is_there(home: House, an: Reader, path: str) -> None:
    """Section 5: each M of the table, in each kind of receipt, and never empty."""
    an.has_consented()
    an.one_click()
    for receipt in [*given_to(home, an), *all_kinds(home)]:
        assert all(reach(receipt, path.split("/"))), path


def test_every_word_is_one_of_the_vocabulary(home: House, an: Reader) -> None:
    """Section 5: expanded without any fetching, each address at w3id.org/dpv is a pinned term, and none stays a text."""
    an.has_consented("newsletter", "offers")
    an.one_click()
    seen = set()
    for receipt in [*given_to(home, an), *all_kinds(home)]:
        whole = expand(receipt)
        found = {each for each in addresses(whole) if "w3id.org/dpv" in each}
        assert found <= IRIS, found - IRIS
        seen |= found
        loose = [each for each in texts(whole) if re.match(rf"(?:{'|'.join(NAMESPACES)}):\w", each)]
        assert loose == []
    assert NAMESPACES["dpv"] + "ConsentReceipt" in seen
    assert len(seen) > 60


def test_a_purpose_with_fields_and_a_sender_abroad(make_house: MakeHouse, sqlite_url: str, policy_folder: Any) -> None:
    """Section 5: what else she told, who imports data and with which tool, and a controller elsewhere: all in words that
    exist."""
    policy = policy_folder / "policy.toml"
    text = policy.read_text().replace('country = "BE"\ncontract', 'country = "US"\ntransfer_tool = "DPF"\ncontract')
    text = text.replace("review_by = 2036-01-05", "review_by = 2036-01-05\ntransfer_assessed = 2026-01-05")
    policy.write_text(text)
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    an = Reader(home, "an.vandenberg@lezer.example").has_consented()
    (receipt,) = given_to(home, an)
    assert {each for each in addresses(expand(receipt)) if "w3id.org/dpv" in each} <= IRIS
    sender = receipt[RECORD]["dpv:hasEntity"][1]
    assert "dpv:DataImporter" in sender["@type"]
    assert sender["cb:transferTool"] == "DPF"
    places = receipt[RECORD]["dpv:hasProcess"][0]["dpv:hasStorageCondition"][0]["dpv:hasLocation"]
    assert places == ["loc:BE", "loc:US"]


def test_a_sender_is_named_with_its_own_contact(make_house: MakeHouse, sqlite_url: str, policy_folder: Any) -> None:
    """Section 5: address and contact of a third party, where its entry says them; else the controller's answer."""
    policy = policy_folder / "policy.toml"
    said = 'review_by = 2036-01-05\naddress = "Postlaan 1, 1000 Brussel"\ncontact = "privacy@post.example"'
    policy.write_text(policy.read_text().replace("review_by = 2036-01-05", said))
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    (receipt,) = given_to(home, Reader(home, "an.vandenberg@lezer.example").has_consented())
    sender = receipt[RECORD]["dpv:hasEntity"][1]
    assert (sender["dpv:hasAddress"], sender["dpv:hasContact"]) == ("Postlaan 1, 1000 Brussel", "privacy@post.example")


def test_no_address_is_in_it_but_in_the_long_form(home: House, an: Reader) -> None:
    """Section 5: only where she asks for it herself."""
    an.has_consented()
    an.one_click()
    short, long = given_to(home, an), given_to(home, an, address=an.email)
    for secret in (an.email, an.email.partition("@")[0], person(home, an.email).mark):
        assert secret not in json.dumps(short)
    for one in long:
        assert one[RECORD]["dpv:hasDataSubject"]["schema:email"] == an.email
        check_receipt(one, home.bridge.seals.keys)
    assert {one["dct:identifier"] for one in short}.isdisjoint(one["dct:identifier"] for one in long)


def test_kantara_is_another_form_of_the_same(home: House, an: Reader) -> None:
    """Section 5: Kantara 1.1 of each yes, signed as well; it knows no word for an end."""
    an.has_consented("newsletter", "offers")
    an.one_click()
    who = person(home, an.email)
    found = kantara(home.bridge.issuer, who.id, an.story(), language="en")
    assert len(found) == 2
    for one in found:
        assert one["version"] == "KI-CR-v1.1.0"
        assert one["piiPrincipalId"] == who.id
        assert one["consentTimestamp"] == int(an.story()[-2].time.timestamp())
        assert one["services"][0]["purposes"][0]["purposeCategory"] == ["Direct Marketing"]
        assert one["sensitive"] is False
        assert an.email not in json.dumps(one)
        check_receipt(one, home.bridge.seals.keys)


# -- their signature ---------------------------------------------------------------------------------------------


def test_whatever_is_changed_in_one_is_found(home: House, an: Reader) -> None:
    """Section 5: signed over canonical bytes: how it is written makes no difference, what it says makes one."""
    an.has_consented()
    (receipt,) = given_to(home, an)
    keys = Keys.from_pem(home.bridge.seals.pem().encode())
    for spelling in (
        json.dumps(receipt, indent=4),
        json.dumps(receipt, ensure_ascii=False),
        json.dumps(dict(reversed(receipt.items()))),
        json.dumps([receipt, receipt]),
    ):
        assert check_file(spelling.encode(), keys).problems == ()

    def changed(told_: Any, path: tuple[Any, ...] = ()) -> Any:
        """Each place where something can be said otherwise."""
        if isinstance(told_, dict):
            for name, each in told_.items():
                yield from changed(each, (*path, name))
        elif isinstance(told_, list):
            for place, each in enumerate(told_):
                yield from changed(each, (*path, place))
        else:
            yield path

    places = list(changed(receipt))
    assert len(places) > 100
    for path in places:
        copy = json.loads(json.dumps(receipt))
        inside = copy
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = str(inside[path[-1]]) + "x"
        with pytest.raises((Bad, ValueError)):
            check_receipt(copy, keys)
    assert check_file(json.dumps({**receipt, "more": 1}).encode(), keys).problems
    assert check_file(json.dumps(receipt).replace("{", '{"a":1,"a":1,', 1).encode(), keys).problems
    other = Keys.from_pem(home.bridge.seals.__class__([("k", b"k" * 32, False)]).pem().encode())
    assert check_file(json.dumps(receipt).encode(), other).problems


def test_the_same_receipt_is_the_same_to_the_last_byte(home: House, an: Reader) -> None:
    """CON-07: nothing of it is kept, so it must come out the same for the mail that is sent again."""
    an.has_consented()
    assert canonical(given_to(home, an)) == canonical(given_to(home, an))
    before = given_to(home, an)[0]
    home.clock.forward(days=1)
    after = given_to(home, an)[0]
    assert before[RECORD] == after[RECORD]
    assert before["dct:identifier"] != after["dct:identifier"], "each issue has its own number, the record stays"


def test_without_a_key_there_are_none(house: House) -> None:
    """CON-07: mails go, with the readable receipt, and nothing says that anything is signed."""
    an = Reader(house, "an.vandenberg@lezer.example").has_consented()
    an.one_click()
    assert given_to(house, an) == []
    for mail in an.mails():
        assert not any(name.endswith(".json") for name in attached(mail))
        body = mail.get_body(("plain",))
        assert body
        assert "/receipt" not in body.get_content()
    assert house.client.get("/receipt").status_code == 200
    assert house.client.get("/receipt/keys").status_code == 404
    assert "/receipts" not in html(house.client.get(fresh_link(an)))


# -- with the mails ----------------------------------------------------------------------------------------------


def test_the_welcome_brings_one_for_each_yes(sealed: House) -> None:
    """CON-07, S13: exactly one mail, readable and signed receipts, and small enough."""
    an = Reader(sealed, "an.vandenberg@lezer.example").has_consented("newsletter", "offers")
    mail = an.mails()[-1]
    files = attached(mail)
    assert set(files) == {"consent-receipt.txt", "consent-receipt-newsletter.json", "consent-receipt-offers.json"}
    for purpose in ("newsletter", "offers"):
        receipt = strict(files[f"consent-receipt-{purpose}.json"])
        check_receipt(receipt, sealed.bridge.seals.keys)
        assert receipts.about(receipt)[1] == purpose
        assert states(receipt)[-1] == "dpv:ConsentGiven"
    assert f"{BASE_URL}/receipt" in files["consent-receipt.txt"].decode()
    assert len(bytes(mail)) <= 30 * 1024
    (raw,) = [raw for raw in sealed.mailbox.raw if b"consent-receipt.txt" in raw]
    assert len(raw) <= 30 * 1024


def test_the_goodbye_brings_one_for_each_yes_that_ended(sealed: House) -> None:
    """CON-07, WDR-12: of the purpose she left, and of all where she stopped everything."""
    an = Reader(sealed, "an.vandenberg@lezer.example").has_consented("newsletter", "offers")
    an.saves(fresh_link(an), "offers")
    first = attached(an.mails()[-1])
    assert set(first) == {"withdrawal-receipt-newsletter.json"}
    sealed.clock.forward(minutes=5)
    sealed.client.post(fresh_link(an), data={"stop": "all"})
    second = attached(an.mails()[-1])
    assert set(second) == {"withdrawal-receipt-offers.json"}
    told_ = {**first, **second}
    for data in told_.values():
        receipt = strict(data)
        check_receipt(receipt, sealed.bridge.seals.keys)
        assert states(receipt)[-1] == "dpv:ConsentWithdrawn"
        assert an.email not in data.decode()


def test_a_goodbye_goes_also_where_her_record_cannot_be_read(home: House, an: Reader) -> None:
    """WDR-12: a receipt that cannot be made keeps no answer back."""
    an.has_consented()
    unkept(home)
    with home.bridge.database.engine.begin() as db:
        db.execute(events.update().where(events.c.number == 1).values(sealed=b"spoilt"))
    an.one_click()
    last = an.mails()[-1]
    assert attached(last) == {}
    assert str(last["Subject"]) == home.bridge.texts.gettext(
        "nl", "%(name)s: you are unsubscribed", name="De Dagwijzer"
    )


def test_a_customer_who_leaves_gets_no_receipt_of_a_consent(home: House) -> None:
    """Section 5, SOF-01: there was none."""
    story = [told(E.ENROLLED, 1), told(E.WITHDRAWN, 9)]
    assert acts(story) == []


def test_many_purposes_make_no_large_mail(home: House, an: Reader) -> None:
    """CON-07: what does not fit is on her preference page."""
    from bridge.jobs.receipt import _MOST_BYTES

    an.has_consented("newsletter", "offers")
    files = attached(an.mails()[-1])
    assert sum(len(data) for name, data in files.items() if name.endswith(".json")) <= _MOST_BYTES


# -- checked by the reader ---------------------------------------------------------------------------------------


def shown(house: House, *found: dict[str, Any], text: str = "") -> Any:
    """What the page says of these."""
    told_ = text or json.dumps(found[0] if len(found) == 1 else list(found), indent=1)
    return house.client.post("/receipt?language=en", data={"receipt": told_})


def rows(house: House) -> dict[str, int]:
    """How much is in every table."""
    with house.bridge.database.reading() as db:
        return {t.name: db.scalar(select(func.count()).select_from(t)) or 0 for t in metadata.sorted_tables}


def test_the_page_says_whether_it_is_ours_and_still_stands(sealed: House) -> None:
    """CON-07: through a yes, its end, a new yes, her erasure; and it keeps nothing of what it was shown."""
    an = Reader(sealed, "an.vandenberg@lezer.example").has_consented()
    (yes,) = given_to(sealed, an)
    assert "nothing in it was changed" in html(shown(sealed, yes))
    assert "That yes still stands." in html(shown(sealed, yes))
    an.one_click()
    no = given_to(sealed, an)[-1]
    assert "That yes no longer stands: it ended on" in html(shown(sealed, yes))
    assert "That still stands: no such mail is sent." in html(shown(sealed, no))
    sealed.clock.forward(hours=30)
    an.has_consented()
    assert "Since then there was a new yes" in html(shown(sealed, no))
    assert "Since then there was a new yes" in html(shown(sealed, yes)), "it ended all the same"
    assert "That yes still stands." in html(shown(sealed, given_to(sealed, an)[-1]))
    both = html(shown(sealed, yes, no))
    assert both.count("nothing in it was changed") == 2
    sealed.clock.forward(days=1200)
    assert "too old" in html(shown(sealed, yes))
    before = rows(sealed)
    shown(sealed, yes, no)
    sealed.client.get("/receipt")
    assert rows(sealed) == before
    sealed.store.erase_person(an.email)
    page = html(shown(sealed, yes))
    assert "nothing in it was changed" in page
    assert "We hold nothing about this person any more." in page
    assert given_of_nobody(sealed, an)
    for secret in (an.email, "••"):
        assert secret not in page


def given_of_nobody(house: House, reader: Reader) -> bool:
    """RGT-04: there is nobody left to give one to."""
    return house.store.person(reader.email) is None


def test_the_page_is_not_to_be_fooled(home: House, an: Reader) -> None:
    """CON-07: changed, of others, of another form, rubbish: it says so, and never more than that."""
    an.has_consented()
    (yes,) = given_to(home, an)
    forged = json.loads(json.dumps(yes))
    forged[RECORD]["dpv:hasConsentStatus"][-1]["dpv:isIndicatedAtTime"] = "2020-01-01T00:00:00Z"
    assert "is not as we signed it" in html(shown(home, forged))
    assert "That yes still stands" not in html(shown(home, forged))
    older = kantara(home.bridge.issuer, person(home, an.email).id, an.story(), language="en")
    assert "nothing in it was changed" in html(shown(home, *older))
    for text in (
        "{}",
        "[]",
        "x",
        "[1]",
        '{"cb:proof": 1}',
        json.dumps([{"cb:proof": 1}] * 51),
        '"\\ud800"',
        '{"a":1,"a":2}',
    ):
        answer = shown(home, text=text)
        assert answer.status_code == (200 if text == '{"cb:proof": 1}' else 400), text[:40]
        assert "That yes still stands" not in html(answer)
    assert home.client.post("/receipt", data={"receipt": "x" * 70_000}).status_code == 413
    odd = {**yes, "cb:proof": {"cb:signature": 7}}
    assert "is not as we signed it" in html(shown(home, odd))


def test_her_receipts_come_by_a_fresh_link_only(sealed: House) -> None:
    """PRF-03, RGT-02: mails get forwarded: an old mail's link shows none; the long form is her own choice."""
    an, dirk = Reader(sealed, "an.vandenberg@lezer.example"), Reader(sealed, "dirk@lezer.example")
    an.has_consented("newsletter", "offers")
    dirk.has_consented()
    assert sealed.client.get(f"{old_link(an)}/receipts").status_code == 404
    link = fresh_link(an)
    page = html(sealed.client.get(link))
    assert f"{link}/receipts" in page
    assert "/receipts" not in html(sealed.client.get(old_link(an)))
    before = rows(sealed)
    answer = sealed.client.get(f"{link}/receipts")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="receipts.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    keys = Keys.from_pem(sealed.client.get("/receipt/keys").data)
    assert check_file(answer.data, keys).problems == ()
    assert len(json.loads(answer.data)) == 2
    for secret in (an.email, dirk.email, person(sealed, dirk.email).id):
        assert secret not in answer.text
    long = sealed.client.get(f"{link}/receipts?form=long")
    assert check_file(long.data, keys).problems == ()
    assert an.email in long.text
    assert dirk.email not in long.text
    assert rows(sealed) == before
    sealed.clock.forward(minutes=31)
    assert sealed.client.get(f"{link}/receipts").status_code == 410
