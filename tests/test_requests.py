"""Requests by letter or phone: their files, clocks and answers. Rows RGT-07, RGT-08, RGT-09, WDR-13; decision 20."""

import contextlib
import logging
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from bridge.access import CSV, HTML, JSON
from bridge.decide.requests import due
from bridge.identity import ASKED
from bridge.jobs import doctor
from bridge.jobs import requests as jobs
from bridge.jobs.retention import Purge
from bridge.store import BadInput
from bridge.store.case_files import Case, Proof, Told
from bridge.store.erase import erase
from bridge.tables import cases, subjects
from bridge.vault import new_id
from bridge.vocabulary import EventType, RequestKind, Status
from tests.conftest import House, Reader
from tests.test_store import consents, disguises

AN, NEW = "an.vandenberg@lezer.example", "an.new@lezer.example"
KINDS = list(RequestKind)
STOPPED = (RequestKind.WITHDRAW, RequestKind.OBJECT, RequestKind.ERASE)


def writes(house: House, kind: RequestKind, email: str = AN, **more: Any) -> Case:
    """A letter arrives, today unless said otherwise, and is written down."""
    now = house.clock()
    today = now.date()
    received: date = more.pop("received", today)
    told = Told(email=email, **more)
    last, own = due(received, "BE"), False
    said = now if received == today else now - (today - received) * 1
    return house.store.cases.open(told, kind, received=received, said=said, due=last, by="carla", own_mailbox=own)


# -- a no counts at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_no_more_mail_gets_none_from_the_moment_it_is_written_down(
    house: House, an: Reader, kind: RequestKind
) -> None:
    """WDR-13, WDR-11: also who asks to be erased; no proof of identity is waited for. Other requests stop nothing."""
    an.has_consented("newsletter", "offers")
    found = writes(house, kind)
    assert an.may().may is (kind not in STOPPED)
    assert an.may("offers").may is (kind not in STOPPED)
    assert (found.acted is not None) is (kind in STOPPED)
    house.dispatch()
    assert an.is_on() is (kind not in STOPPED)
    if kind in STOPPED:
        assert an.story()[-1].evidence.document == found.id
        expected = Status.OBJECTED if kind is RequestKind.OBJECT else Status.WITHDRAWN
        assert an.status() is expected
    assert house.verify().problems == ()


def test_a_letter_may_stop_one_list_only(house: House, an: Reader) -> None:
    """R5, WDR-13: she names the list that she wants no more."""
    an.has_consented("newsletter", "offers")
    writes(house, RequestKind.WITHDRAW, purpose="newsletter")
    assert not an.may().may
    assert an.may("offers").may


def test_an_objection_is_to_everything_whatever_list_it_names(house: House, an: Reader) -> None:
    """R5, RGT-06."""
    an.has_consented("newsletter", "offers")
    writes(house, RequestKind.OBJECT, purpose="newsletter")
    assert not an.may("offers").may


@pytest.mark.parametrize("kind", STOPPED)
def test_a_no_of_somebody_who_is_not_here_is_kept(house: House, kind: RequestKind) -> None:
    """SUP-05, WDR-13: she may be on a list that is taken in tomorrow."""
    writes(house, kind)
    (stop,) = house.store.stops(AN)
    assert stop.type is (EventType.OBJECTED if kind is RequestKind.OBJECT else EventType.WITHDRAWN)
    assert not house.store.may_mail(AN, "newsletter").may


def test_a_yes_given_after_the_letter_stands(house: House, an: Reader) -> None:
    """R2: the letter of Friday is written down on Monday; on Saturday she signed up anew and confirmed."""
    house.clock.forward(days=3)
    an.has_consented()
    writes(house, RequestKind.WITHDRAW, received=(house.clock() - timedelta(days=2)).date())
    assert an.may().may
    writes(house, RequestKind.WITHDRAW)
    assert not an.may().may


def test_a_letter_of_her_old_address_stops_her_at_the_new_one(house: House, an: Reader) -> None:
    """R13, WDR-13: whoever moved is who she was; and the old address stays off too."""
    an.has_consented()
    report = an.told_by_esp(EventType.MOVED)
    house.hear(msgspec.structs.replace(report, to=NEW))
    house.clock.forward(minutes=5)
    consents(house, NEW)
    assert Reader(house, NEW).may().may
    writes(house, RequestKind.OBJECT)
    assert not Reader(house, NEW).may().may
    assert not an.may().may


# -- counted -----------------------------------------------------------------------------------------------------


def test_what_is_due_and_overdue_is_counted_by_kind(house: House) -> None:
    """RGT-07, ORG-01: for reports, without a person; what is closed or extended is not late."""
    start = house.clock()
    book = house.store.cases
    access = writes(house, RequestKind.ACCESS)
    writes(house, RequestKind.ACCESS, email=NEW)
    port = writes(house, RequestKind.PORT)
    assert (book.overdue(start), book.due_soon(start)) == ({}, {})
    soon = start.replace(year=access.due.year, month=access.due.month, day=access.due.day)
    assert book.due_soon(soon - timedelta(days=4)) == {}
    assert book.due_soon(soon - timedelta(days=3)) == book.due_soon(soon) == {"access": 2, "port": 1}
    assert book.overdue(soon) == {}
    late = soon + timedelta(days=1)
    assert (book.due_soon(late), book.overdue(late)) == ({}, {"access": 2, "port": 1})
    told = book.told(access)
    assert told is not None
    book.close(access, told, "carla")
    book.extend(port, Told(email=AN, extension="many systems"), due(port.received, "BE", months=3))
    assert book.overdue(late) == {"access": 1}
    assert book.find(port.id).due > port.due


# -- is it she? --------------------------------------------------------------------------------------------------


def asks_by_letter(house: House, kind: RequestKind, email: str = AN, *, own: bool = False, **told: Any) -> Case:
    """The same through the command's own code, with the policy's calendar."""
    return jobs.open_request(house.bridge, Told(email=email, **told), kind, own_mailbox=own)


def again(house: House, case: Case) -> Case:
    """How it stands now."""
    return house.store.cases.find(case.id)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_given_or_done_before_she_is_known(house: House, an: Reader, kind: RequestKind) -> None:
    """RGT-08: a no and a complaint need nobody's proof; everything else does."""
    an.has_consented()
    case = asks_by_letter(house, kind)
    if kind in jobs.NEEDS_PROOF:
        with pytest.raises(BadInput, match="nobody knows yet"):
            jobs.answer(house.bridge, case, own="We looked into it.")
        assert again(house, case).state == "open"
    else:
        jobs.answer(house.bridge, case, own="We looked into it.")
        assert again(house, case).state == "answered"
    assert house.store.person(AN) is not None


@pytest.mark.parametrize(("button", "known"), [("yes", Proof.LINK), ("no", Proof.DENIED)])
def test_her_mailbox_says_whether_it_is_she(house: House, an: Reader, button: str, known: Proof) -> None:
    """RGT-08: a page behind a mailed link with two buttons; a look, or a scanner's, changes nothing; no upload field."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS)
    jobs.ask_whether_hers(house.bridge, case)
    link = an.link("/requests/")
    for _ in range(3):
        page = house.client.get(link)
        house.client.head(link)
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert AN not in text
    assert 'type="file"' not in text
    assert "<input" not in text
    assert (again(house, case).verified, again(house, case).how) == (None, None)

    assert house.client.post(link, data={"mine": button}).status_code == 200
    other = "no" if button == "yes" else "yes"
    house.clock.forward(minutes=1)
    house.client.post(link, data={"mine": other})

    found = again(house, case)
    assert found.how is (known if button == "yes" else Proof.LINK), "a no there may be a slip; a yes is proof"
    assert (found.verified is not None) is (found.how is Proof.LINK)


def test_who_says_there_that_it_is_not_hers_keeps_her_data(house: House, an: Reader) -> None:
    """RGT-08: somebody wrote in her name: nothing is given away or erased, and the refusal says why."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ERASE)
    jobs.ask_whether_hers(house.bridge, case)
    house.client.post(an.link("/requests/"), data={"mine": "no"})
    with pytest.raises(BadInput, match="did not ask this"):
        jobs.answer(house.bridge, again(house, case))
    with pytest.raises(BadInput, match="only she can say otherwise"):
        house.store.cases.verify(again(house, case), Proof.OWN_MAILBOX)
    assert again(house, case).how is Proof.DENIED, "whoever writes in her name may write in her mailbox's, too"
    jobs.refuse(house.bridge, again(house, case), "You told us that you did not ask this.", None)
    assert house.store.person(AN) is not None
    assert again(house, case).state == "refused"


@pytest.mark.parametrize("kind", [RequestKind.OBJECT, RequestKind.ERASE, RequestKind.ACCESS])
def test_whoever_did_not_ask_learns_that_mail_was_stopped(house: House, an: Reader, kind: RequestKind) -> None:
    """RGT-08, GDPR 12(1): a no counted at once, whoever said it; her page says so, and where she switches it on again."""
    an.has_consented()
    case = asks_by_letter(house, kind)
    jobs.ask_whether_hers(house.bridge, case)
    link = an.link("/requests/")
    for answer in (house.client.get(link), house.client.post(link, data={"mine": "no"})):
        page = answer.get_data(as_text=True)
        assert ("al gestopt" in page) is (kind in STOPPED)
        assert ('href="/preferences"' in page) is (kind in STOPPED)


@pytest.mark.parametrize("what", ["confirm", "u", "preferences"])
def test_no_other_link_of_hers_is_proof(house: House, an: Reader, what: str) -> None:
    """RGT-08, PRF-03: mails are forwarded; the link must be the one that was mailed for this request."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS)
    token = an.link(f"/{what}/").rpartition("/")[2]
    assert house.client.post(f"/requests/{token}", data={"mine": "yes"}).status_code == 404
    assert again(house, case).verified is None


def test_the_link_ends_with_its_time_her_address_and_the_request(house: House, an: Reader) -> None:
    """RGT-08, R13: after 30 days, after a move, after an erasure, and after the answer it proves nothing."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS)
    jobs.ask_whether_hers(house.bridge, case)
    link = an.link("/requests/")
    for seen in (again(house, case), case):  # also by whoever looked before she was asked
        with pytest.raises(BadInput, match="less than a day ago"):
            jobs.ask_whether_hers(house.bridge, seen)
    house.clock.forward(days=31)
    assert house.client.get(link).status_code == 410
    jobs.ask_whether_hers(house.bridge, again(house, case))
    link = an.link("/requests/")
    house.hear(msgspec.structs.replace(an.told_by_esp(EventType.MOVED), to=NEW))
    assert house.client.post(link, data={"mine": "yes"}).status_code == 404
    assert again(house, case).verified is None


def test_a_link_of_an_answered_request_says_so(house: House, an: Reader) -> None:
    """RGT-09: pressed late, it changes nothing."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.RESTRICT, own=True)
    jobs.ask_whether_hers(house.bridge, case)
    link = an.link("/requests/")
    jobs.answer(house.bridge, again(house, case))
    page = house.client.post(link, data={"mine": "no"})
    assert page.status_code == 200
    assert again(house, case).how is Proof.OWN_MAILBOX


def test_another_mailbox_gets_the_text_of_the_law(house: House, an: Reader) -> None:
    """RGT-08, GDPR 12(6): it names no address and asks for no paper, in both languages."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.OBJECT)
    for language, words in (("en", "never ask for a copy of an identity card"), ("nl", "nooit een kopie van een")):
        text = " ".join(jobs.other_mailbox(house.bridge, case, language).split())
        assert words in text
        assert "12(6)" in text or "12, lid 6" in text
        assert AN not in text
        assert "/preferences" in text
    assert again(house, case).asked == house.clock()


# -- the answer --------------------------------------------------------------------------------------------------


def test_a_restriction_holds_until_it_is_lifted(house: House, an: Reader) -> None:
    """RGT-05, GDPR 18(3): kept, not used; she is told before it ends, and her yes counts again then."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.RESTRICT, own=True)
    jobs.answer(house.bridge, case)
    house.dispatch()
    assert not an.may().may
    assert not an.is_on()
    assert an.story()[-1].evidence.document == case.id
    house.clock.forward(days=2)
    letter = jobs.lift(house.bridge, again(house, case), "What was in dispute is settled.", None, carry_out=False)
    assert "toezichthouder" in letter
    assert not an.may().may
    jobs.lift(house.bridge, again(house, case), "What was in dispute is settled.", None, carry_out=True)
    assert an.may().may
    assert house.verify().problems == ()


def test_a_letter_lifts_its_own_restriction_and_no_later_one(house: House, an: Reader) -> None:
    """RGT-05: what she had restricted anew since, herself or by another letter, stays restricted."""
    an.has_consented()
    why = "What was in dispute is settled."
    case = asks_by_letter(house, RequestKind.RESTRICT, own=True)
    jobs.answer(house.bridge, case)
    jobs.lift(house.bridge, again(house, case), why, None, carry_out=True)
    assert an.may().may, "in the same second too"
    with pytest.raises(BadInput, match="not restricted any more"):
        jobs.lift(house.bridge, again(house, case), why, None, carry_out=True)
    house.client.post(an.asks_for_a_link().replace("/preferences/", "/my-data/"), data={"act": "restrict"})
    assert not an.may().may
    house.clock.forward(days=1)
    with pytest.raises(BadInput, match="anew"):
        jobs.lift(house.bridge, again(house, case), why, None, carry_out=True)
    assert not an.may().may
    later = asks_by_letter(house, RequestKind.RESTRICT, own=True)
    jobs.answer(house.bridge, later)
    with pytest.raises(BadInput, match="anew"):
        jobs.lift(house.bridge, again(house, case), why, None, carry_out=True)
    jobs.lift(house.bridge, again(house, later), why, None, carry_out=True)
    assert an.may().may


def test_each_platform_that_is_told_of_a_correction_by_letter_is_noted(house: House, an: Reader) -> None:
    """RGT-03, GDPR 19: one note for each, with the time; what was right already is no correction."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.RECTIFY, own=True)
    jobs.answer(house.bridge, case, changes={"language": "en"})
    she = house.store.person(AN)
    assert she is not None
    (told,) = house.store.corrections(she)
    assert (told.adapter, told.number, told.confirmed) == ("memory", len(an.story()), None)
    house.clock.forward(minutes=1)
    house.dispatch()
    (told,) = house.store.corrections(she)
    assert told.confirmed == house.clock()
    assert house.esp.people[AN].language == "en"
    events = len(an.story())
    same = asks_by_letter(house, RequestKind.RECTIFY, own=True)
    jobs.answer(house.bridge, same, changes={"language": "en"})
    assert again(house, same).state == "answered"
    assert len(an.story()) == events


@pytest.mark.parametrize("has_it", ["nobody", "another", "one who moved"])
def test_an_erasure_of_who_was_forgotten_meanwhile_leaves_nothing_in_its_file(
    house: House, an: Reader, has_it: str
) -> None:
    """RGT-04, decision 20: she never confirmed and was deleted before the answer. The platforms are told all the same,
    and the file goes dark; but whoever has, or had, her address now is left alone."""
    an.signs_up()
    case = asks_by_letter(house, RequestKind.ERASE, own=True, note="Wants to be gone.")
    she = house.store.person(AN)
    assert she is not None
    with house.bridge.database.writing() as db:
        erase(db, [she.number], house.clock())
    house.clock.forward(days=1)
    if has_it != "nobody":
        consents(house, AN)
    if has_it == "one who moved":
        house.hear(msgspec.structs.replace(an.told_by_esp(EventType.MOVED), to=NEW))
    before = {email for email in (AN, NEW) if house.store.knows(email)}
    house.clock.forward(days=1)
    done = jobs.answer(house.bridge, again(house, case))
    assert again(house, case).dark
    assert done.platforms == (("memory",) if has_it == "nobody" else ())
    assert {email for email in (AN, NEW) if house.store.knows(email)} == before
    assert [one.type for one in house.store.stops(AN)].count(EventType.ERASED) == (has_it == "nobody")


def test_what_is_wrong_is_corrected_here_and_there(house: House, an: Reader) -> None:
    """RGT-03: her language; a name that nobody keeps, or a value that is none, is refused and nothing is closed."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.RECTIFY, own=True)
    for wrong in ({}, {"birthday": "1999-01-01"}, {"language": "xx"}):
        with pytest.raises(BadInput):
            jobs.answer(house.bridge, case, changes=wrong)
    assert again(house, case).state == "open"
    jobs.answer(house.bridge, case, changes={"language": "en"})
    found = house.store.person(AN)
    assert found is not None
    assert found.language == "en"
    assert an.story()[-1].type is EventType.CORRECTED
    assert an.may().may, "a correction is no stop"
    with pytest.raises(BadInput, match="closed already"):
        jobs.answer(house.bridge, again(house, case), changes={"language": "nl"})


def test_an_erasure_by_letter_leaves_kind_and_dates(house: House, an: Reader) -> None:
    """RGT-04, RGT-09, decision 20: her file goes dark with her, and stays in the book as a count."""
    an.has_consented()
    other = asks_by_letter(house, RequestKind.ACCESS, note="Wants to know since when.")
    case = asks_by_letter(house, RequestKind.ERASE, own=True)
    done = jobs.answer(house.bridge, case)
    assert done.platforms == ("memory",)
    assert house.store.person(AN) is None
    found = again(house, case)
    assert (found.state, found.dark, found.kind, found.acted) == ("answered", True, RequestKind.ERASE, case.opened)
    assert again(house, other).dark
    with house.bridge.database.reading() as db:
        rows = db.execute(select(cases)).mappings().all()
    assert {row[name] for row in rows for name in ("kid", "lookup", "wrapped", "sealed")} == {None}
    answered = jobs.answer(house.bridge, again(house, other))
    assert "niets over je" in answered.files[jobs.LETTER].decode()


@pytest.fixture
def passed_on(house: House, an: Reader) -> tuple[Reader, Reader]:
    """An moved, and somebody else came to have her old mailbox and said yes from there: An, and the other."""
    an.has_consented()
    house.hear(msgspec.structs.replace(an.told_by_esp(EventType.MOVED), to=NEW))
    house.clock.forward(days=1)
    moved, other = Reader(house, NEW), Reader(house, AN)
    consents(house, NEW)
    return moved, other


@pytest.mark.parametrize("kind", [RequestKind.ACCESS, RequestKind.ERASE, RequestKind.RESTRICT, RequestKind.OBJECT])
def test_a_request_is_never_answered_with_whoever_has_her_address_now(
    house: House, passed_on: tuple[Reader, Reader], kind: RequestKind
) -> None:
    """R13, RGT-01: between the letter and the answer her old mailbox got a new reader, who is left alone."""
    moved, other = passed_on
    case = asks_by_letter(house, kind, AN, own=True)  # An's letter still names it
    house.clock.forward(minutes=5)
    consents(house, AN)
    stranger = house.store.person(AN)
    mine = house.store.person(NEW)
    assert stranger is not None
    assert mine is not None
    files = jobs.answer(house.bridge, case).files
    if kind is RequestKind.ACCESS:
        assert stranger.id.encode() not in files[JSON]
        assert mine.id.encode() in files[JSON]
    assert (house.store.person(NEW) is None) is (kind is RequestKind.ERASE)
    assert house.store.person(AN) is not None
    assert other.may().may
    assert moved.may().may is (kind is RequestKind.ACCESS)


def test_files_of_two_readers_of_one_mailbox_stay_apart(house: House, passed_on: tuple[Reader, Reader]) -> None:
    """R13, RGT-01, RGT-04: each sees her own, and the erasure of one darkens only hers."""
    hers = asks_by_letter(house, RequestKind.ACCESS, AN, own=True)
    consents(house, AN)
    theirs = asks_by_letter(house, RequestKind.PORT, AN, own=True)
    book = house.store.cases
    assert [case.id for case, _ in book.of(NEW)] == [hers.id]
    assert [case.id for case, _ in book.of(AN)] == [theirs.id]
    house.store.erase_person(NEW)
    assert (again(house, hers).dark, again(house, theirs).dark) == (True, False)
    house.store.erase_person(AN)
    assert again(house, theirs).dark


def test_who_cannot_be_read_is_erased_by_letter_too(house: House, an: Reader) -> None:
    """RGT-04: her profile was damaged after her letter came."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ERASE, own=True)
    with house.bridge.database.writing() as db:
        db.execute(update(subjects).values(profile=b"damaged"))
    jobs.answer(house.bridge, case)
    assert not house.store.knows(AN)


def test_an_erasure_that_was_killed_before_its_file_was_closed_is_answered_once_more(house: House, an: Reader) -> None:
    """RGT-04, RGT-09: erased first, closed then; the open file says that only the answer is missing."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ERASE, own=True)
    house.store.erase_person(AN)
    assert again(house, case).state == "open"
    jobs.answer(house.bridge, again(house, case))
    assert again(house, case).state == "answered"


@pytest.mark.parametrize("kind", sorted(jobs.NEVER_REFUSED))
def test_a_no_is_never_refused(house: House, kind: RequestKind) -> None:
    """GDPR 7(3), 21(3)."""
    case = asks_by_letter(house, kind)
    with pytest.raises(BadInput, match="cannot be refused"):
        jobs.refuse(house.bridge, case, "We would rather not do this.", None)


@pytest.mark.parametrize("language", ["en", "nl"])
def test_a_refusal_names_the_authority_that_the_policy_names(
    make_house: Callable[..., House], sqlite_url: str, policy_folder: Path, language: str
) -> None:
    """GDPR 12(4), TRN-01: the same as the statement does."""
    policy = policy_folder / "policy.toml"
    named = (
        '\n[statement.authority]\nname = "Autoriteit"\naddress = "Straat 1, Brussel"\nwebsite = "https://a.example"\n'
    )
    policy.write_text(policy.read_text(encoding="utf-8") + named, encoding="utf-8")
    house = make_house(sqlite_url)
    Reader(house, AN).has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS)
    letter = " ".join(jobs.refuse(house.bridge, case, "We cannot tell you from others.", language).split())
    assert "Autoriteit (Straat 1, Brussel, https://a.example)" in letter


@pytest.mark.parametrize("language", ["en", "nl"])
def test_a_refusal_has_a_reason_and_says_where_to_complain(house: House, an: Reader, language: str) -> None:
    """RGT-09, GDPR 12(4): without a reason it is impossible; the file keeps both as she was told them."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS)
    for empty in ("", "   ", "no\n\n"):
        with pytest.raises(BadInput, match="sentence"):
            jobs.refuse(house.bridge, case, empty, language)
    letter = " ".join(jobs.refuse(house.bridge, case, "We cannot  tell you\nfrom others.", language).split())
    assert "We cannot tell you from others." in letter
    complaint = house.bridge.texts.gettext(language, jobs.COMPLAINT)
    assert complaint in letter
    assert ("rechter" if language == "nl" else "court") in complaint
    told = house.store.cases.told(again(house, case))
    assert told is not None
    assert (told.reason, told.complaint) == ("We cannot tell you from others.", complaint)
    assert (again(house, case).state, again(house, case).closed) == ("refused", house.clock())


def test_more_time_is_given_once_and_within_the_first_month(house: House) -> None:
    """RGT-07, GDPR 12(3): two months more, for reasons that she is told before the first one is over."""
    case = asks_by_letter(house, RequestKind.ACCESS)
    later, letter = jobs.extend(house.bridge, case, "Three departments must be asked.", "en")
    assert "Three departments must be asked." in " ".join(letter.split())
    assert later.due == due(case.received, "BE", months=3)
    assert house.bridge.texts.day("en", later.due) in letter
    with pytest.raises(BadInput, match="extended already"):
        jobs.extend(house.bridge, later, "Three departments must be asked.", "en")
    other = asks_by_letter(house, RequestKind.PORT)
    house.clock.forward(days=40)
    with pytest.raises(BadInput, match="month is over"):
        jobs.extend(house.bridge, other, "Three departments must be asked.", "en")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "nl"])
def test_each_answer_is_a_letter_that_names_no_address(
    house: House, an: Reader, kind: RequestKind, language: str
) -> None:
    """RGT-08, TRN-02: who we are, what was asked, whom to write to; nothing of hers, so that it may be printed."""
    an.has_consented()
    case = asks_by_letter(house, kind, own=True, language=language)
    changes = {"language": "en"} if kind is RequestKind.RECTIFY else None
    files = jobs.answer(house.bridge, case, own="Own words.", changes=changes).files
    letter = " ".join(files[jobs.LETTER].decode().split())
    assert AN not in letter
    for said in ("De Dagwijzer NV", "Dora Maes", "privacy@dedagwijzer.example", case.id, "Own words."):
        assert said in letter
    assert house.bridge.texts.gettext(language, ASKED[kind]) in letter
    assert set(files) - {jobs.LETTER} == ({CSV, HTML, JSON} if kind in jobs.WITH_DATA else set())
    if kind in jobs.WITH_DATA:
        assert AN.encode() in files[JSON]
        assert case.id.encode() in files[JSON]
        assert case.id.encode() in files[HTML]


def test_who_is_not_here_is_told_so(house: House) -> None:
    """RGT-01: nothing, or the stop list's entry and nothing else."""
    case = asks_by_letter(house, RequestKind.ACCESS, own=True)
    done = jobs.answer(house.bridge, case, language="en")
    assert "hold nothing about you" in done.files[jobs.LETTER].decode()
    asks_by_letter(house, RequestKind.OBJECT)
    case = asks_by_letter(house, RequestKind.ACCESS, own=True)
    done = jobs.answer(house.bridge, case, language="en")
    assert "keyed hash" in done.files[jobs.LETTER].decode()


def test_a_day_that_has_not_come_is_refused(house: House) -> None:
    """Bad input: nothing is written."""
    tomorrow = house.clock().date() + timedelta(days=2)
    with pytest.raises(BadInput, match="has not come"):
        jobs.open_request(house.bridge, Told(email=AN), RequestKind.OBJECT, tomorrow)
    assert house.store.cases.all() == []
    assert house.store.stops(AN) == []


def test_the_policys_own_holidays_count(
    make_house: Callable[..., House], database_url: str, policy_folder: Path
) -> None:
    """Section 11, `dsar_holidays`: the day after is the last one."""
    house = make_house(database_url)
    case = asks_by_letter(house, RequestKind.ACCESS)
    policy = policy_folder / "policy.toml"
    policy.write_text(f"dsar_holidays = [{case.due}]\n" + policy.read_text(encoding="utf-8"), encoding="utf-8")
    later = asks_by_letter(make_house(database_url), RequestKind.ACCESS)
    assert later.due > case.due


# -- kept, alarmed, deleted --------------------------------------------------------------------------------------


def test_alarms_name_kinds_and_nobody(house: House, an: Reader, caplog: pytest.LogCaptureFixture) -> None:
    """RGT-07, MIN-03: the dispatcher says so once a day, `doctor` each time; neither knows who asks."""
    an.has_consented()
    case = asks_by_letter(house, RequestKind.ACCESS, note="Mevrouw Van den Berg belde.")
    house.dispatch()
    assert "requests" not in caplog.text
    for days, words in ((28, "due within 3 days"), (5, "overdue")):
        house.clock.forward(days=days)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            house.dispatch()
            house.dispatch()
        said = [record.message for record in caplog.records if "RGT-07" in record.message]
        assert len(said) == 1
        assert words in said[0]
        assert "1 access" in said[0]
        (finding,) = [found for found in doctor.requests.look(house.bridge) if words in found.subject]
        assert finding.ok is (words != "overdue")
    for secret in (AN, case.id, "Van den Berg"):
        assert secret not in caplog.text


def forgotten(house: House) -> int:
    """How many files a purge deletes, as its dry run said before."""
    told = Purge(house.bridge).count()["request_files"]
    assert Purge(house.bridge).run()["request_files"] == told
    return told


def test_files_are_deleted_when_their_time_is_over(house: House, an: Reader, dirk: Reader) -> None:
    """Section 8, RGT-05: 36 months after they were closed; not the open ones, nor hers whose data is restricted."""
    for reader in (an, dirk):
        reader.has_consented()
    gone = asks_by_letter(house, RequestKind.OBJECT)
    jobs.answer(house.bridge, gone)
    kept = [
        asks_by_letter(house, RequestKind.ACCESS),
        asks_by_letter(house, RequestKind.RESTRICT, dirk.email, own=True),
    ]
    jobs.answer(house.bridge, kept[1])
    moved = dirk.told_by_esp(EventType.MOVED)
    house.hear(msgspec.structs.replace(moved, to="dirk.new@lezer.example"))  # the file is under the address he had
    house.clock.forward(days=36 * 30)
    assert forgotten(house) == 0
    house.clock.forward(days=30)
    assert forgotten(house) == 1
    assert {case.id for case in house.store.cases.all()} == {case.id for case in kept}
    assert forgotten(house) == 0


def test_what_a_file_says_is_sealed_and_bound_to_it(house: House, an: Reader) -> None:
    """Decision 20, CAP-06: no column names her; a kind or date that was changed, or a seal that was moved, is found."""
    an.has_consented()
    one = asks_by_letter(house, RequestKind.ACCESS, note="Belde vanmorgen over haar gegevens.")
    two = asks_by_letter(house, RequestKind.ERASE, "dirk@lezer.example")
    with house.bridge.database.reading() as db:
        rows = [dict(row) for row in db.execute(select(cases)).mappings()]
    for dress, needle in {**disguises(AN), "note": b"Belde vanmorgen"}.items():
        assert not any(needle in _bytes(value) for row in rows for value in row.values()), dress
    assert house.verify().problems == ()
    sealed = {row["id"]: row["sealed"] for row in rows}
    for wrong in ({"kind": "port"}, {"received": "2026-01-01"}, {"sealed": sealed[two.id]}):
        before = next(row for row in rows if row["id"] == one.id)
        with house.bridge.database.writing() as db:
            db.execute(update(cases).where(cases.c.id == one.id).values(**wrong))
        assert [problem.where for problem in house.verify().problems] == [f"request {one.id}"]
        with house.bridge.database.writing() as db:
            db.execute(update(cases).where(cases.c.id == one.id).values(**{name: before[name] for name in wrong}))
    assert house.verify().problems == ()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


ACTS = st.sampled_from(["letter", "answer", "erase", "signs up", "moves", "forget", "days"])


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=st.lists(st.tuples(ACTS, st.sampled_from(KINDS)), min_size=1, max_size=8))
def test_whatever_happens_a_no_stands_and_what_is_erased_is_dark(
    sqlite_template: Path, tmp_path: Path, make_house: Callable[..., House], acts: list[tuple[str, RequestKind]]
) -> None:
    """WDR-13, RGT-04, R2: letters, answers, erasures, moves and new sign-ups in any order: who said no by letter last is
    not mailed, no file of an erased person can be opened, and the history is whole.
    """
    folder = tmp_path / new_id()
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "consent.db")
    house = make_house(f"sqlite:///{folder / 'consent.db'}", MEMORY_NAME=new_id())
    email, said_no, erased = AN, False, set[str]()
    for act, kind in acts:
        house.clock.forward(minutes=7)
        if act == "letter":
            asks_by_letter(house, kind, email, own=True)
            said_no = said_no or kind in STOPPED
        elif act == "answer":
            for case in house.store.cases.all(closed=False):
                with contextlib.suppress(BadInput):
                    jobs.answer(house.bridge, case, own="Done.")
                if case.kind is RequestKind.ERASE and house.store.person(email) is None:
                    erased |= {each.id for each in house.store.cases.all()}
                    said_no = True
        elif act == "erase":
            erased |= {case.id for case in house.store.cases.all()}
            house.store.erase_person(email)
            said_no = True
        elif act == "signs up" and house.store.person(email) is None:
            house.clock.forward(days=31)
            consents(house, email)
            said_no = False
        elif act == "moves" and house.store.person(email) is not None and email == AN:
            house.hear(msgspec.structs.replace(Reader(house, email).told_by_esp(EventType.MOVED), to=NEW))
            email = NEW
        elif act == "forget":
            Purge(house.bridge).run()
        else:
            house.clock.forward(days=1)
        if said_no:
            assert not house.store.may_mail(email, "newsletter").may, acts
    assert all(case.dark for case in house.store.cases.all() if case.id in erased and email == AN)
    assert house.verify().problems == ()
