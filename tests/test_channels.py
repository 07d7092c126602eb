"""Where addresses are collected: every yes names the place, and nothing else is paid for with one.

CHN-01 to CHN-04, CAP-03, SOF-02, decision 35; GDPR 7(4), 14.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.memory import Person as There
from bridge.decide import SALE_FACTS
from bridge.jobs.doctor import house as doctor
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import
from bridge.jobs.reports import marketing, register
from bridge.store import BadInput
from bridge.store.forgetting import QUARANTINE
from bridge.tables import metadata
from bridge.vocabulary import (
    OPERATOR,
    PREFERENCES,
    READER,
    ConsentEvent,
    Entry,
    EventType,
    Evidence,
    Limits,
    Method,
    Status,
)
from tests.channels import GUIDE, open_doors
from tests.conftest import Fields, House, Reader
from tests.test_import import HEADER, WHOLE, Lists
from tests.test_store import asks, confirm_token, consents, everything, person, withdraws

T = EventType
BESIDE = {"contact": "https://www.dedagwijzer.example/thanks", "guide": "/assets/guide", "shop": None}


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors."""
    return open_doors(policy_folder)


def text(answer: Any) -> str:
    """A page's text."""
    return str(answer.get_data(as_text=True))


# -- the box stands beside something ------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{}, {"email": "an@lezer.example"}, {"email": "no address"}, {"purpose": ""}], ids=str)
@pytest.mark.parametrize("channel", BESIDE)
def test_cap_03_what_she_came_for_is_hers_without_the_box(home: House, channel: str, said: dict[str, str]) -> None:
    """CAP-03, CHN-02, CHN-03, GDPR 7(4): no tick, and she gets it all the same; nothing of her is kept anywhere: no
    person, no event, no count of her network, no mail."""
    before = everything(home)
    message = {"message": "When do you open?", "name": "An"}
    for _ in range(25):  # more than one network may ask for mails in an hour
        answer = home.client.post("/subscribe", data={"channel": channel, "language": "en", **message, **said})
        assert answer.status_code == 200
    page = text(answer)
    assert "puts you on no list, and keeps nothing of what you typed" in page
    assert (BESIDE[channel] is None) or f'href="{BESIDE[channel]}"' in page
    assert everything(home) == before
    home.dispatch()
    assert home.mailbox.messages == []
    assert "When do you open?" not in page


@pytest.mark.parametrize("channel", BESIDE)
def test_cap_03_with_the_box_it_is_the_same_and_a_question_by_mail(house: House, channel: str) -> None:
    """CAP-03, CON-02: a tick gives nothing more but the ordinary double opt-in; a message is not kept (CHN-02)."""
    an = Reader(house, "an@lezer.example", "en")
    purpose = house.bridge.policy.channels[channel].purposes[0]
    answer = an.signs_up(purpose, channel=channel, message="When do you open?")
    assert answer.status_code == 200
    page = text(answer)
    assert (BESIDE[channel] is None) or f'href="{BESIDE[channel]}"' in page
    assert "Look in your mailbox" in page
    assert an.status(purpose) is Status.REQUESTED
    assert not an.is_on(purpose)
    house.clock.forward(minutes=2)
    an.confirms()
    house.dispatch()
    assert an.is_on(purpose)
    assert [(e.type, e.channel) for e in an.story()] == [(T.REQUESTED, channel), (T.GIVEN, channel)]
    assert "When do you open?" not in str(everything(house))


@pytest.mark.parametrize("channel", BESIDE)
def test_cap_03_a_network_that_asks_too_often_gets_what_it_came_for(home: House, channel: str) -> None:
    """CAP-03, CAP-09, CAP-10: with the box, too, and whoever asks; only the tick is not taken now, and that is said."""
    consents(home, "known@lezer.example")
    purpose = home.bridge.policy.channels[channel].purposes[0]
    for number in range(20):
        Reader(home, f"a{number}@lezer.example", "en").signs_up(purpose, channel=channel)
    before = everything(home)
    answers = [
        Reader(home, f"{name}@lezer.example", "en").signs_up(purpose, channel=channel) for name in ("known", "new")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    page, other = map(text, answers)
    assert page == other
    assert (BESIDE[channel] is None) or f'href="{BESIDE[channel]}"' in page
    assert "could not take your sign-up now" in page
    assert "Look in your mailbox" not in page
    assert everything(home) == before
    assert Reader(home, "new@lezer.example").signs_up("newsletter", channel="footer").status_code == 429


@pytest.mark.parametrize("channel", BESIDE)
def test_cap_01_the_box_is_empty_and_the_address_is_not_asked_for_without_it(home: House, channel: str) -> None:
    """CAP-01, CAP-03, MIN-01: the page of such a form needs neither tick nor address."""
    page = text(home.client.get(f"/subscribe?channel={channel}&language=en"))
    assert Fields(page).checked == []
    assert "required" not in page
    assert "whether you tick a box or not" in page
    assert "required" in text(home.client.get("/subscribe?channel=footer"))


def test_chn_02_a_message_puts_nobody_on_a_list(house: House) -> None:
    """CHN-02: who only asks something is nobody's contact, here and at the platform."""
    house.client.post("/subscribe", data={"channel": "contact", "email": "an@lezer.example", "message": "Hello"})
    house.dispatch()
    assert house.store.person("an@lezer.example") is None
    assert house.esp.people == {}


def test_cap_09_the_answer_is_the_same_for_every_address(home: House) -> None:
    """CAP-09: with the box, known, unknown, stopped and strange addresses get one page."""
    consents(home, "known@lezer.example")
    consents(home, "stopped@lezer.example")
    withdraws(home, "stopped@lezer.example")
    pages = {
        text(Reader(home, email).signs_up("newsletter", channel="guide"))
        for email in ("known@lezer.example", "stopped@lezer.example", "new@lezer.example", "new@nowhere.example")
    }
    assert len(pages) == 1


def test_a_tick_with_a_wrong_address_is_asked_again(home: House) -> None:
    """Without the tick the address does not matter; with it she is told."""
    answer = home.client.post("/subscribe", data={"channel": "guide", "purpose": "newsletter", "email": "an"})
    assert answer.status_code == 400
    assert 'id="email-error"' in text(answer)


def test_the_file_is_given_to_whoever_asks(home: House) -> None:
    """CAP-03: the address needs no token; nothing else beside the policy can be had by it."""
    given = home.client.get("/assets/guide")
    assert (given.status_code, given.data) == (200, GUIDE)
    given.close()
    assert given.headers["Content-Disposition"] == "attachment; filename=guide.pdf"
    assert "Set-Cookie" not in given.headers
    for path in ("footer", "contact", "shop", "nothing", "policy.toml", "..%2Fpolicy.toml", "guide/../policy.toml"):
        assert home.client.get(f"/assets/{path}").status_code == 404
    (home.bridge.settings.policy.parent / "guide.pdf").unlink()
    assert home.client.get("/assets/guide").status_code == 404


# -- every event names its channel --------------------------------------------------------------------------------

COLLECTED = (T.REQUESTED, T.GIVEN, T.ENROLLED, T.IMPORTED)
STOPS = (T.WITHDRAWN, T.REFUSED, T.OBJECTED, T.COMPLAINED, T.UNSUBSCRIBED, T.BOUNCED, T.REVOKED, T.INVALIDATED)


def told(house: House, subject: str, type_: EventType, channel: str | None) -> ConsentEvent:
    """An event whose proof is whole but for the channel."""
    words = house.bridge.notices.wording("newsletter", "nl")
    source, method = (READER, Method.FORM) if type_ is T.REQUESTED else (OPERATOR, Method.IMPORT)
    return ConsentEvent(
        type=type_,
        subject=subject,
        time=house.clock(),
        received=house.clock(),
        source=source,
        method=method,
        key=f"{type_}-{channel}",
        purpose="newsletter",
        asked=house.clock(),
        channel=channel,
        notice=words.version,
        evidence=Evidence(
            wording=words.sha256,
            language="nl",
            box="ticked",
            document="crm",
            sale=dict.fromkeys(SALE_FACTS, "yes"),
        ),
    )


@pytest.mark.parametrize("channel", [None, "", "nowhere", "Footer", "footer "])
@pytest.mark.parametrize("type_", COLLECTED)
def test_chn_01_what_names_no_channel_of_the_policy_is_refused(
    home: House, type_: EventType, channel: str | None
) -> None:
    """CHN-01: by whichever door, what says where an address was collected names a channel that is declared."""
    an = consents(home, "an@lezer.example")
    before = everything(home)
    with pytest.raises(BadInput):
        home.store.record([told(home, an.id, type_, channel)])
    assert everything(home) == before
    home.store.record([told(home, an.id, type_, "guide")])


@pytest.mark.parametrize("type_", STOPS)
def test_chn_01_a_stop_needs_no_channel(home: House, type_: EventType) -> None:
    """CHN-01, WDR-13: nobody has to know where she said yes to take her no."""
    an = consents(home, "an@lezer.example")
    home.store.record([told(home, an.id, type_, None)])
    assert not home.store.may_mail("an@lezer.example", "newsletter").may


def test_chn_01_a_list_that_is_taken_in_names_its_channel_too(house: House) -> None:
    """CHN-01: the very door of the store refuses it, also of somebody who is new."""
    mark = house.store.lists.begin(b"list", b"rules")
    for channel in ("", "nowhere"):
        entry = Entry(email="an@lezer.example", type=T.IMPORTED, purpose="newsletter", channel=channel)
        with pytest.raises(BadInput, match="CHN-01"):
            house.store.take_list([entry], mark, 1)
    assert house.store.person("an@lezer.example") is None


def test_chn_01_nothing_is_declared_until_the_policy_declares_it() -> None:
    """CHN-01: unknown is refused: no channel is known by default."""
    assert Limits().channels == frozenset()


@pytest.mark.parametrize("channel", ["nowhere", "old-list", "bought", "", None])
def test_chn_01_a_form_that_names_no_form_is_refused(home: House, channel: str | None) -> None:
    """CHN-01, CHN-04: what is sent must name its form: a guess would be a false proof, and a list is no form."""
    data = {"email": "an@lezer.example", "purpose": "newsletter"} | ({} if channel is None else {"channel": channel})
    assert home.client.post("/subscribe", data=data).status_code == 400
    assert home.store.person("an@lezer.example") is None
    shown = 404 if channel else 200
    assert home.client.get("/subscribe", query_string={"channel": channel or ""}).status_code == shown


def test_chn_01_where_there_is_one_form_it_needs_no_name(
    make_house: Callable[..., House], sqlite_url: str, policy_folder: Path
) -> None:
    """An old form without the field goes on while it cannot mean another."""
    path = policy_folder / "policy.toml"
    path.write_text(path.read_text("utf-8").partition('[[channels]]\nid = "contact"')[0], encoding="utf-8")
    home = make_house(sqlite_url)
    answer = home.client.post("/subscribe", data={"email": "an@lezer.example", "purpose": "newsletter"})
    assert answer.status_code == 200
    assert Reader(home, "an@lezer.example").story()[0].channel == "footer"


def test_chn_01_an_answer_outlives_its_channel(
    make_house: Callable[..., House], database_url: str, policy_folder: Path
) -> None:
    """Decision 35: a form that was taken out of the policy asks nobody any more; who was asked may still answer."""
    before = make_house(database_url)
    before.bridge.acts.sign_up(
        "an@lezer.example", ["newsletter"], channel="guide", language="nl", network="n", fields={}
    )
    path = policy_folder / "policy.toml"
    path.write_text(path.read_text("utf-8").replace('id = "guide"', 'id = "handbook"'), encoding="utf-8")
    after = make_house(database_url)
    after.clock.forward(minutes=1)
    after.bridge.acts.confirm(confirm_token(after, "an@lezer.example"))
    assert after.store.may_mail("an@lezer.example", "newsletter").may
    with pytest.raises(BadInput, match="CHN-01"):
        after.bridge.acts.sign_up(
            "bo@lezer.example", ["newsletter"], channel="guide", language="nl", network="n", fields={}
        )


def test_the_preference_page_is_a_channel_of_its_own(house: House, an: Reader) -> None:
    """CHN-01: a yes given there names it, and needs no block in the policy."""
    an.has_consented("newsletter")
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    assert [e.channel for e in an.story() if e.type is T.GIVEN] == ["footer", PREFERENCES]


# -- somebody else's list -----------------------------------------------------------------------------------------


@pytest.fixture
def lists(house: House, tmp_path: Path) -> Lists:
    """Takes lists in, on both databases."""
    return Lists(house, tmp_path)


def bought(lists: Lists, *rows: dict[str, str], name: str = "bought.csv") -> Any:
    """Take in a list of somebody else's."""
    return lists.take(lists.write(*rows, name=name), channel="bought")


WITHOUT = [{column: ""} for column in WHOLE] + [{"method": "form"}, {"method": "phone"}, {"notice": "7"}]


@pytest.mark.parametrize("row", WITHOUT, ids=str)
def test_chn_04_a_row_without_her_own_proof_stays_in_quarantine(lists: Lists, row: dict[str, str]) -> None:
    """CHN-04: she is known, never mailed, never told to a platform; the list proves no yes to us."""
    house = lists.house
    assert bought(lists, {"email": "an@lezer.example", **row}).imported == 1
    assert house.store.may_mail("an@lezer.example", "newsletter").status is Status.UNKNOWN
    house.dispatch()
    assert house.esp.people == {}
    assert house.mailbox.messages == []
    assert house.store.in_quarantine(["bought"]) == (1, 0)


def test_chn_04_a_row_with_her_yes_to_our_own_words_is_a_proof(lists: Lists) -> None:
    """CHN-04: time, place, our words (which name the controller: CAP-04), her mailbox, and where that can be seen."""
    house = lists.house
    assert bought(lists, {"email": "an@lezer.example"}).imported == 1
    assert house.store.may_mail("an@lezer.example", "newsletter").may
    (event,) = house.store.story(person(house, "an@lezer.example"))
    words = house.store.words(event.evidence.wording or "")
    assert words is not None
    assert house.bridge.policy.controller.name in words.text
    assert house.store.in_quarantine(["bought"]) == (0, 0)


def test_chn_04_single_opt_in_is_not_for_others_to_claim(lists: Lists, policy_folder: Path) -> None:
    """CHN-04: where the newspaper's own form needs no confirmation, somebody else's still does."""
    purposes = lists.house.bridge.policy.purposes
    single = msgspec.structs.replace(purposes["newsletter"], opt_in="single", single_opt_in_reason="an old habit here")
    purposes["newsletter"] = single
    lists.take(lists.write({"email": "own@lezer.example", "method": "form"}), channel="old-list")
    bought(lists, {"email": "theirs@lezer.example", "method": "form"})
    assert lists.house.store.may_mail("own@lezer.example", "newsletter").may
    assert not lists.house.store.may_mail("theirs@lezer.example", "newsletter").may


def test_sof_02_a_bought_list_has_no_customers(lists: Lists) -> None:
    """SOF-02, CHN-04: never soft opt-in, whatever its rows say."""
    found = bought(lists, {"email": "an@lezer.example", "status": "soft_opt_in"})
    assert (found.imported, found.rejected) == (0, 1)
    assert lists.house.store.person("an@lezer.example") is None


def test_chn_04_by_a_platform_it_is_the_same(house: House) -> None:
    """CHN-04: a list that lies at the platform already is no proof either."""
    house.esp.people["an@lezer.example"] = There(on={"newsletter"})
    job = Import(house.bridge, Defaults(channel="bought"), dry_run=False, progress=lambda _done, _total: None)
    assert job.platform("memory").imported == 1
    assert house.store.may_mail("an@lezer.example", "newsletter").status is Status.UNKNOWN
    assert house.store.in_quarantine(["bought"]) == (1, 0)


def test_gdpr_14_a_contact_in_quarantine_is_gone_within_a_month(lists: Lists) -> None:
    """CHN-04, GDPR 14(3)(a): four weeks after her address came she is deleted, not a second earlier; whoever proved a
    yes of her own, asks, or said no meanwhile is not, and nobody who came otherwise."""
    house = lists.house
    quiet, proven, left = "quiet@lezer.example", "proven@lezer.example", "left@lezer.example"
    own, other, asking = "own@lezer.example", "other@lezer.example", "asking@lezer.example"
    bought(lists, *({"email": email, "method": ""} for email in (quiet, proven, left, own, asking)))
    lists.take(lists.write({"email": other, "method": ""}, {"email": own, "method": ""}), channel="old-list")
    bought(lists, {"email": proven}, name="evidence.csv")
    withdraws(house, left)
    assert house.store.in_quarantine(["bought"]) == (2, 0)  # quiet and asking
    house.clock.forward(seconds=QUARANTINE.total_seconds())
    asks(house, asking)
    assert house.store.forget_quarantined(["bought"]) == 0
    assert house.store.in_quarantine(["bought"]) == (1, 0)
    house.clock.forward(seconds=1)
    assert house.store.in_quarantine(["bought"]) == (1, 1)
    assert house.store.forget_quarantined(["bought"]) == 1
    assert house.store.forget_quarantined(["bought"]) == 0
    there = {email for email in (quiet, proven, left, own, other, asking) if house.store.person(email)}
    assert there == {proven, left, own, other, asking}
    house.clock.forward(days=4)
    assert house.store.forget_quarantined(["bought"]) == 1, "she asked, and did not confirm"
    assert house.verify().problems == ()


def test_gdpr_14_a_second_list_gives_no_second_month(lists: Lists) -> None:
    """CHN-04: the month begins with the first telling; an older date in the list does not begin it earlier."""
    house = lists.house
    bought(lists, {"email": "an@lezer.example", "method": "", "time": "2024-01-01"})
    house.clock.forward(days=20)
    assert house.store.forget_quarantined(["bought"]) == 0
    bought(lists, {"email": "an@lezer.example", "method": "", "time": "2026-02-01"}, name="second.csv")
    house.clock.forward(days=9)
    assert house.store.forget_quarantined(["bought"]) == 1


def test_gdpr_14_doctor_says_who_is_kept_for_too_long(lists: Lists) -> None:
    """CHN-04: red while anybody is overdue, with what to do."""
    house = lists.house
    bought(lists, *({"email": f"a{number}@lezer.example", "method": ""} for number in range(3)))
    for days, ok, said in ((0, True, "0 of them"), (29, False, "3 of them")):
        house.clock.forward(days=days)
        (finding,) = [found for found in doctor.look(house.bridge) if "third parties" in found.subject]
        assert (finding.ok, said in finding.subject) == (ok, True)
    assert "dispatch" in finding.fix


def test_gdpr_14_the_dispatcher_deletes_them(lists: Lists, caplog: pytest.LogCaptureFixture) -> None:
    """CHN-04: by itself, all of them, and the log names nobody (MIN-03)."""
    house = lists.house
    bought(lists, *({"email": f"a{number}@lezer.example", "method": ""} for number in range(3)))
    house.clock.forward(days=29)
    with caplog.at_level("INFO"):
        house.dispatcher._purge_quarantine()
    assert house.store.in_quarantine(["bought"]) == (0, 0)
    assert house.store.person("a0@lezer.example") is None
    assert "without proof deleted: 3" in caplog.text
    assert "lezer.example" not in caplog.text


@pytest.mark.parametrize("kind", ["list", None])
def test_chn_04_a_bought_list_stays_one_whatever_the_policy_says_later(
    make_house: Callable[..., House], database_url: str, policy_folder: Path, tmp_path: Path, kind: str | None
) -> None:
    """CHN-04, AUD-01, GDPR 14: her channel is called a list, or is gone: she is in quarantine all the same, doctor and
    register say so, and she is deleted in time."""
    before = make_house(database_url)
    bought(Lists(before, tmp_path), *({"email": f"a{number}@lezer.example", "method": ""} for number in range(6)))
    path = policy_folder / "policy.toml"
    old, _, block = path.read_text("utf-8").rpartition("[[channels]]")
    block = f"[[channels]]{block.partition('[channels.source]')[0]}".replace('"third_party"', '"list"')
    path.write_text((old + (block if kind else "")).replace('third_party_lists = "quarantine"', ""), encoding="utf-8")
    after = make_house(database_url)
    after.clock.now = before.clock.now
    assert after.bridge.policy.third_parties == ()
    assert after.bridge.third_parties == ("bought",)
    if kind:
        Lists(after, tmp_path).take(
            Lists(after, tmp_path).write({"email": "theirs@lezer.example", "method": "form"}, name="more.csv"),
            channel="bought",
        )
        assert not after.store.may_mail("theirs@lezer.example", "newsletter").may
    after.clock.forward(days=29)
    (finding,) = [found for found in doctor.look(after.bridge) if "third parties" in found.subject]
    assert not finding.ok
    assert register.collect(after.bridge, "en")["quarantine"]["people"] == 6 + bool(kind)
    assert any("GDPR 14" in risk for risk in marketing.collect(after.bridge, "en")["risks"])
    after.dispatcher._purge_quarantine()
    assert after.store.person("a0@lezer.example") is None
    assert after.store.person("theirs@lezer.example") is None


def test_chn_04_what_was_bought_before_such_notes_is_noted_at_a_start(house: House, tmp_path: Path) -> None:
    """CHN-04: a house of before loses nothing; a channel that brought nobody is nobody's list yet."""
    database = house.bridge.database

    def noted() -> tuple[str, ...]:
        return house.store.third_parties(())

    house.bridge.ready()
    assert noted() == ()
    bought(Lists(house, tmp_path), {"email": "an@lezer.example"}, {"email": "bo@lezer.example", "method": ""})
    assert noted() == ("bought",)
    with database.writing() as db:
        db.execute(metadata.tables["bought"].delete())
    assert noted() == ()
    house.bridge.ready()
    assert noted() == ("bought",)


def test_chn_04_a_list_that_is_not_taken_in_notes_nothing(house: House, tmp_path: Path) -> None:
    """CHN-04: the note is of the very transaction that brings the first of them."""
    mark = house.store.lists.begin(b"list", b"rules")
    whole = Entry(email="an@lezer.example", type=T.IMPORTED, purpose="newsletter", channel="bought")
    with pytest.raises(BadInput):
        house.store.take_list([whole, msgspec.structs.replace(whole, email="b@lezer.example", channel="no")], mark, 2)
    assert house.store.third_parties(()) == ()
    Lists(house, tmp_path).take(Lists(house, tmp_path).write({"email": "c@lezer.example"}), channel="old-list")
    assert house.store.third_parties(()) == ()


def test_gdpr_14_the_statement_names_the_source(home: House) -> None:
    """GDPR 14(2)(f): whoever asks where her address came from finds it in the statement."""
    page = text(home.client.get("/privacy?language=en"))
    assert "Partner nv" in page
    assert "privacy@partner.example" in page


def test_nothing_is_forgotten_where_no_list_was_bought(house: House) -> None:
    """A house without such channels deletes nobody by this rule."""
    lists = Lists(house, house.bridge.settings.policy.parent)
    lists.take(lists.write({"email": "an@lezer.example", "method": ""}), channel="old-list")
    house.clock.forward(days=400)
    assert house.store.forget_quarantined([]) == 0
    assert house.store.forget_quarantined(["bought"]) == 0
    assert house.store.person("an@lezer.example") is not None


def test_what_these_tests_lean_on() -> None:
    """What is dropped from a row here is a column that the importer reads; no month is shorter than the quarantine."""
    assert set(WHOLE) < set(HEADER)
    assert timedelta(days=28) >= QUARANTINE
