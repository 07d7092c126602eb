"""The stop list: GDPR 21(3) and 17(3)(b). Who said no is remembered as a keyed hash, also when we hold nothing else."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, inspect, select

from bridge.acts import Late
from bridge.decide import FOR_ALL
from bridge.tables import events, stop_list
from bridge.vault import new_id, new_key, parse_keys
from bridge.vocabulary import ConsentEvent, EventType, Method, Report, Status, normal_email
from tests.conftest import House, Reader
from tests.test_store import asks, confirm_token, consents, disguises, person, stored, withdraws


def rows(house: House) -> list[Any]:
    """The whole list."""
    with house.bridge.database.reading() as db:
        return list(db.execute(select(stop_list).order_by(stop_list.c.scope)))


def from_a_file(house: House, email: str, asked_after: bool = False) -> ConsentEvent:
    """A yes as an import writes it, with all its proof and a time after any stop."""
    who = person(house, email)
    like = next(e for e in reversed(house.store.story(who)) if e.evidence.wording)
    evidence = {**{name: getattr(like.evidence, name) for name in ("wording", "language")}, "document": "file 7, row 3"}
    return ConsentEvent(
        type=EventType.GIVEN,
        subject=who.id,
        time=house.clock(),
        received=house.clock(),
        source="operator",
        method=Method.IMPORT,
        key=new_id(),
        purpose="newsletter",
        asked=house.clock() if asked_after else None,
        channel="footer",
        notice=1,
        evidence=type(like.evidence)(**evidence),
    )


def test_a_row_holds_a_hash_and_no_person(house: House, an: Reader) -> None:
    """SUP-01: hash, scope, key id, reason and since; nothing else, and nothing that can be read without the key."""
    with house.bridge.database.engine.connect() as db:
        assert {column["name"] for column in inspect(db).get_columns("stop_list")} == {
            "hash",
            "scope",
            "kid",
            "reason",
            "since",
        }
    consents(house, an.email)
    withdraws(house, an.email)
    (row,) = rows(house)
    assert (row.scope, row.kid, row.reason, row.since) == ("newsletter", "vault1", "withdrawn", house.clock())
    assert row.hash == house.bridge.vault.stop_hashes(an.email)[0].value
    assert row.hash not in [hashlib.new(name, an.email.encode()).digest() for name in ("md5", "sha1", "sha256")]
    strange_root = parse_keys("BRIDGE_VAULT_KEYS", new_key("vault1"))
    assert row.hash != type(house.bridge.vault)(strange_root).stop_hashes(an.email)[0].value, "SUP-02"
    assert row.hash not in [entry.value for entry in house.bridge.vault.lookups(an.email)], (
        "a key used for nothing else"
    )


@pytest.mark.parametrize(
    "kind",
    [EventType.UNSUBSCRIBED, EventType.COMPLAINED, EventType.OBJECTED, EventType.WITHDRAWN],
)
def test_a_stop_of_a_stranger_is_remembered_until_she_says_yes_herself(
    house: House, an: Reader, kind: EventType
) -> None:
    """SUP-05, SUP-03: an ESP tells of somebody we do not hold: only a hash is kept, and only her own new yes lifts it."""
    told = Reader(house, "An.VandenBerg@LEZER.example")
    assert house.hear(told.told_by_esp(kind, "newsletter")) == 0
    (row,) = rows(house)
    to_all = kind in FOR_ALL
    assert (row.scope, row.reason) == ("" if to_all else "newsletter", kind.value)
    assert house.store.person(an.email) is None
    values = stored(house)
    for dress, needle in disguises(told.email).items():
        assert [place for place, raw in values if needle in raw] == [], dress
    assert not an.may().may
    assert an.status() in (Status.WITHDRAWN, Status.OBJECTED)

    house.clock.forward(minutes=1)
    asks(house, an.email)
    assert not an.may().may, "asking is not confirming"
    house.clock.forward(minutes=1)
    house.store.record([from_a_file(house, an.email)])
    assert not an.may().may, "an import lifts nothing"
    house.clock.forward(minutes=1)
    house.bridge.acts.confirm(confirm_token(house, an.email))
    assert an.may().may
    assert rows(house) == ([row] if to_all else []), "an objection was to more than what she asks for now (R6)"
    house.dispatch()
    assert an.is_on()


def test_a_question_put_before_the_stop_is_no_answer_to_it(house: House, an: Reader) -> None:
    """R2, SUP-05: she was asked, then she complained to her ESP, then she finds the old mail: the stop stands."""
    asks(house, an.email)
    token = confirm_token(house, an.email)
    house.clock.forward(minutes=5)
    house.hear(an.told_by_esp(EventType.UNSUBSCRIBED))
    house.clock.forward(minutes=5)
    with pytest.raises(Late):
        house.bridge.acts.confirm(token)
    assert not an.may().may
    assert len(rows(house)) == 1


@pytest.mark.parametrize("asked_after", [False, True])
def test_a_yes_from_a_file_does_not_make_a_stopped_address_mailable(
    house: House, an: Reader, asked_after: bool
) -> None:
    """SUP-05, R3: the operator's own import, with proof and a later date, never undoes a stop; the ESP is not told on."""
    consents(house, an.email)
    withdraws(house, an.email)
    house.dispatch()
    house.clock.forward(days=1)
    house.store.record([from_a_file(house, an.email, asked_after)])
    house.dispatch()
    assert not an.may().may
    assert an.status() is Status.WITHDRAWN
    assert not an.is_on()
    assert len(rows(house)) == 1


def test_the_list_outlives_the_person(house: House, an: Reader) -> None:
    """SUP-05: a stop that is known only as a hash counts for whoever signs up with that address again."""
    newest = house.bridge.vault.stop_hashes(an.email)[0]
    row = {"hash": newest.value, "scope": "", "kid": newest.kid, "reason": "withdrawn", "since": house.clock()}
    with house.bridge.database.engine.begin() as db:
        db.execute(insert(stop_list).values(row))
    assert [an.status("newsletter"), an.status("offers")] == [Status.WITHDRAWN] * 2
    house.clock.forward(minutes=1)
    consents(house, an.email, "offers")
    assert an.may("offers").may
    assert not an.may("newsletter").may, "a yes for one list is no yes for another"
    assert an.status("newsletter") is Status.WITHDRAWN


def test_the_last_stop_counts_in_any_order_of_arrival(house: House, an: Reader) -> None:
    """R1, R6, ESP-03: an older stop that arrives late does not make the list forget the newer one, nor is it lost."""
    now = house.clock.forward(hours=1)
    early = Report(type=EventType.COMPLAINED, email=an.email, time=now.replace(hour=10, minute=30), key="early")
    late = Report(type=EventType.UNSUBSCRIBED, email=an.email, time=now, key="late")
    for reports, reason in (((late,), "unsubscribed"), ((early,), "complained"), ((late, early), "complained")):
        house.hear(*reports)
        (row,) = rows(house)
        assert (row.reason, row.since) == (reason, now)
    ahead = Report(type=EventType.COMPLAINED, email=an.email, time=now.replace(year=2030), key="ahead")
    house.hear(ahead)
    assert rows(house)[0].since == now, "a clock that runs ahead cannot stop her for years"


def test_whoever_only_bounced_is_not_listed(house: House, an: Reader, dirk: Reader) -> None:
    """R7, MIN-01: a dead address is no "no": of a stranger nothing is kept."""
    consents(house, an.email)
    for reader in (an, dirk):
        house.hear(reader.told_by_esp(EventType.BOUNCED), reader.told_by_esp(EventType.DEFERRED))
    assert rows(house) == []
    assert not an.may().may
    assert an.status() is Status.GIVEN


# -- news from ESPs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("purpose", ["newsletter", ""])
def test_a_complaint_is_not_replaced_by_a_lesser_no(house: House, an: Reader, known: bool, purpose: str) -> None:
    """R6: it was a no to everything, and stays one on the list when she then leaves the one thing too."""
    if known:
        consents(house, an.email)
    said = house.clock.forward(hours=1)
    house.hear(Report(type=EventType.COMPLAINED, email=an.email, time=said, key="c", purpose=purpose))
    later = house.clock.forward(hours=1)
    house.hear(Report(type=EventType.UNSUBSCRIBED, email=an.email, time=later, key="u", purpose="newsletter"))
    assert {(row.scope, row.reason) for row in rows(house)} == {("", "complained"), ("newsletter", "unsubscribed")}


@pytest.mark.parametrize("first", ["erased", "complained"])
@pytest.mark.parametrize("late", [True, False])
def test_a_lesser_no_to_everything_changes_no_reason(house: House, an: Reader, first: str, late: bool) -> None:
    """R6, R12: an erased address stays one, so that it is asked again seldom and erased at the ESP again (ESP-04); a
    complaint stays one, so that she is never asked. The later time counts."""
    consents(house, an.email)
    said = house.clock.forward(hours=1)
    if first == "erased":
        house.store.erase_person(an.email)
    else:
        house.store.erase_person(an.email)
        with house.bridge.database.writing() as db:  # somebody who is not here, and complained
            db.execute(delete(stop_list))
        house.hear(Report(type=EventType.COMPLAINED, email=an.email, time=said, key="c"))
    told = house.clock.forward(hours=1) if late else said - timedelta(minutes=30)
    house.hear(Report(type=EventType.UNSUBSCRIBED, email=an.email, time=told, key="u"))
    (row,) = rows(house)
    assert (row.scope, row.reason, row.since) == ("", first, max(told, said))


def test_what_is_stricter_counts_though_it_was_said_before(house: House, an: Reader) -> None:
    """R1, R6: a complaint that comes late is one all the same."""
    left = house.clock()
    house.hear(Report(type=EventType.UNSUBSCRIBED, email=an.email, time=left, key="u"))
    house.hear(Report(type=EventType.COMPLAINED, email=an.email, time=left - timedelta(days=1), key="c"))
    (row,) = rows(house)
    assert (row.reason, row.since) == ("complained", left)


def test_a_complaint_outlives_her_new_yes_to_one_thing(house: House, an: Reader) -> None:
    """R6: what she asks for anew, she gets; of everything else the list still says no."""
    consents(house, an.email)
    house.hear(Report(type=EventType.COMPLAINED, email=an.email, time=house.clock(), key="c", purpose="newsletter"))
    house.clock.forward(days=2)
    an.has_consented("newsletter")
    assert house.store.may_mail(an.email, "newsletter").may
    assert [(row.scope, row.reason) for row in rows(house)] == [("", "complained")]
    assert not house.store.may_mail(an.email, "offers").may


def test_news_told_three_times_is_heard_once(house: House, an: Reader) -> None:
    """HOOK-02, R1: the same news in one call, again, and beside others, is one event."""
    consents(house, an.email)
    news = an.told_by_esp(EventType.UNSUBSCRIBED, "newsletter", key="evt-1")
    assert house.hear(news, news) == 1
    house.clock.forward(minutes=1)
    assert house.hear(news) == 0
    assert house.hear(an.told_by_esp(EventType.DEFERRED, key="evt-2"), news) == 1
    assert [e.type for e in an.story()][2:] == [EventType.UNSUBSCRIBED, EventType.DEFERRED]
    assert an.status() is Status.WITHDRAWN
    assert house.verify().problems == ()


def test_one_piece_of_news_may_stop_two_lists(house: House, an: Reader) -> None:
    """Decision 7: one unsubscribe told for two purposes under one id is two stops."""
    consents(house, an.email, "newsletter", "offers")
    told = [an.told_by_esp(EventType.UNSUBSCRIBED, purpose, key="evt-1") for purpose in ("newsletter", "offers")]
    assert house.hear(*told) == 2
    assert house.hear(*told) == 0
    assert [an.status("newsletter"), an.status("offers")] == [Status.WITHDRAWN] * 2


def test_two_esps_may_use_the_same_id(house: House, an: Reader) -> None:
    """HOOK-02: ids are an ESP's own; another ESP's news under the same id is other news."""
    consents(house, an.email)
    news = an.told_by_esp(EventType.DEFERRED, key="1")
    assert [house.store.hear(esp, [news]) for esp in ("memory", "mailchimp", "memory")] == [1, 1, 0]


def test_one_address_in_several_spellings_is_one_person(house: House, an: Reader) -> None:
    """SUP-03: an ESP that tells of her twice in one call, spelled differently, is heard both times."""
    consents(house, an.email)
    spelled = Reader(house, "AN.VandenBerg@Lezer.Example")
    assert house.hear(an.told_by_esp(EventType.DEFERRED), spelled.told_by_esp(EventType.COMPLAINED)) == 2
    assert house.hear(spelled.told_by_esp(EventType.DEFERRED), an.told_by_esp(EventType.UNSUBSCRIBED)) == 2
    assert sorted(e.type for e in an.story()[2:]) == ["complained", "deferred", "deferred", "unsubscribed"]
    assert an.status() is Status.OBJECTED


def test_an_esps_id_is_kept_only_as_a_keyed_hash(house: House, an: Reader) -> None:
    """Decision 18: Mailchimp's member id is the MD5 of an address: what is kept of an id tells nothing without the key."""
    consents(house, an.email)
    key = hashlib.md5(normal_email(an.email).encode()).hexdigest()
    house.hear(an.told_by_esp(EventType.UNSUBSCRIBED, key=key))
    with house.bridge.database.reading() as db:
        (report,) = db.scalars(select(events.c.report).where(events.c.report.is_not(None)))
    assert report == house.bridge.vault.report_keys(f"memory\n{key}\n")[0]
    assert [place for place, raw in stored(house) if key.encode() in raw or bytes.fromhex(key) in raw] == []
    assert key not in "".join(event.key for event in an.story())


def test_an_esps_word_alone_mails_nobody(house: House, an: Reader) -> None:
    """ESP-01, R3: "subscribed" at an ESP proves nothing: it is set right there, and a stranger is not even noted."""
    house.hear(an.told_by_esp(EventType.SUBSCRIBED, "newsletter"))
    assert house.store.person(an.email) is None
    assert rows(house) == []
    consents(house, an.email)
    house.dispatch()
    withdraws(house, an.email)
    house.dispatch()
    house.clock.forward(minutes=1)
    house.hear(an.told_by_esp(EventType.SUBSCRIBED, "newsletter"))
    assert not an.may().may
    house.esp.people[an.email].on.add("newsletter")
    house.dispatch()
    assert not an.is_on()


def test_the_echo_of_our_own_push_is_no_news(house: House, an: Reader) -> None:
    """ESP-03: what an ESP tells because we told it first is not written down and sends nothing back."""
    consents(house, an.email)
    house.dispatch()
    assert house.hear(an.told_by_esp(EventType.SUBSCRIBED, "newsletter")) == 0
    assert len(an.story()) == 2
    assert house.dispatch() == 0
