"""What the policy does not declare is never stored, from any door; what it declares is counted where it has no use.

Issue 5, point 8; GDPR 5(1)(c), 25(2); rows MIN-01, MIN-03, MIN-04; section 7. On both databases.
"""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from sqlalchemy import select

from adapters._mandrill_events import MandrillEvents
from adapters.sandbox.control import perform
from adapters.sandbox.mailchimp_audience import MergeField
from adapters.sandbox.server import Running
from bridge.decide import is_in_use
from bridge.jobs.fields import FieldUse, field_use
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import
from bridge.jobs.reconcile import Reconciler
from bridge.jobs.reports.marketing import as_html, as_text, collect
from bridge.store import profiles
from bridge.tables import subjects
from bridge.vault import unseal
from bridge.vocabulary import EventType, Incoming, Limits, Status
from tests.bulk import Bulk
from tests.conftest import House, Reader
from tests.esps import Hooks, open_hooks
from tests.test_import import Lists
from tests.test_past import AN, BRAM, tells
from tests.test_store import asks, by_reader, consents, everything, person, withdraws
from tests.test_subscribe import everything_stored

__all__ = ["open_hooks"]

CANARY = "kanarie"
#: Thirty fields of which the policy says nothing: made up, of another trade, and such as nobody may hold.
EXTRA = {
    **{f"{CANARY}_{number}": f"{CANARY}-{number}" for number in range(24)},
    **dict.fromkeys(("birth_date", "gender", "phone", "last_name", "religion", "first_name"), f"{CANARY}-x"),
}


def nothing_kept(house: House) -> None:
    """No trace: in no row, sealed or clear, in no event, in no profile, and in no file of the database."""
    database = house.bridge.database
    rows = house.store.rows
    with database.reading() as db:
        opened = rows.people(db, list(db.scalars(select(subjects.c.number)))).values()
        for one in opened:
            profile = unseal(
                one.key, db.scalar(select(subjects.c.profile).where(subjects.c.number == one.number)), one.person.id
            )
            assert CANARY.encode() not in profile
            assert one.person.fields == {}
            assert CANARY not in msgspec.json.encode(rows.story(db, one)).decode()
    assert opened
    assert CANARY not in everything_stored(house)
    if database.dialect == "sqlite":
        file = Path(house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"))
        for part in file.parent.glob(f"{file.name}*"):
            assert CANARY.encode() not in part.read_bytes(), part.name


# -- every door --------------------------------------------------------------------------------------------------


def test_thirty_fields_from_every_page_are_not_kept(house: House) -> None:
    """MIN-01: the form, the confirm button, the preference page by both kinds of link, the stop."""
    assert len(EXTRA) == 30
    an = Reader(house, AN)
    an.signs_up("newsletter", **EXTRA)
    house.clock.forward(minutes=2)
    assert house.client.post(an.link("/confirm/"), data=EXTRA).status_code == 200
    house.dispatch()
    stop = an.link("/u/")
    fresh = an.asks_for_a_link()
    old = stop.replace("/u/", "/preferences/")
    for link in (fresh, old):
        for act in ({"save": "purposes", "purpose": ["newsletter", "offers"]}, {"language": "en"}, {"stop": "all"}):
            assert house.client.post(link, data={**EXTRA, **act}).status_code < 500
            house.clock.forward(seconds=5)
    house.client.post("/preferences", data={"email": AN, **EXTRA})
    assert house.client.post(stop, data={**EXTRA, "scope": "list"}).status_code == 200
    assert house.client.post("/subscribe", data={**EXTRA, "email": BRAM, "purpose": "offers"}).status_code == 200
    house.dispatch()
    nothing_kept(house)


def test_thirty_columns_of_a_list_are_counted_and_not_kept(house: House, tmp_path: Path) -> None:
    """MIN-01: with proof, without, a no, a rejected row; the reject file holds what it was given, and is the operator's."""
    lists = Lists(house, tmp_path)
    path = tmp_path / "list.csv"
    columns = ("email", "purpose", "status", "time", "notice", "language", "method", "source_document", *EXTRA)
    proof = ("2026-05-31T12:05:00Z", "1", "nl", "double_opt_in", "form 7")
    rows = [
        (AN, "newsletter", "", *proof),
        (BRAM, "newsletter", "", *("",) * 5),
        ("carla@lezer.example", "newsletter", "unsubscribed", *("",) * 5),
    ]
    path.write_text("\n".join(",".join(row) for row in [columns, *((*row, *EXTRA.values()) for row in rows)]))
    done = lists.take(path)
    assert (done.imported, done.rejected) == (3, 0)
    assert done.dropped_fields == dict.fromkeys(sorted(EXTRA), 3)
    nothing_kept(house)


@pytest.fixture
def there(house: House, running: Running, keys: dict[str, str]) -> Bulk:
    """Both platforms, where everybody has thirty fields more."""
    running.state.reset()
    house.clock.now = datetime.now(UTC) - timedelta(hours=9)
    return Bulk(house, running, keys, ("mailchimp", "sendgrid")).at_once()


def fill(bulk: Bulk) -> None:
    """The operator kept more of everybody there than anybody may know here."""
    audience = bulk.running.state.esp("mailchimp").audience  # type: ignore[attr-defined]  # the toy's own
    for number, name in enumerate(EXTRA, start=10):
        audience.fields[name[:10].upper()] = MergeField(number, name[:10].upper(), name)
    for member in audience.members.values():
        member.fields |= {name[:10].upper(): value for name, value in EXTRA.items()}
    sendgrid = bulk.running.state.esp("sendgrid")
    for number, name in enumerate(EXTRA, start=10):
        sendgrid.fields[f"e{number}_T"] = {"id": f"e{number}_T", "name": name, "field_type": "Text"}  # type: ignore[attr-defined]
    for contact in sendgrid.contacts.all.values():  # type: ignore[attr-defined]
        contact.fields |= {"first_name": f"{CANARY}-x", "last_name": f"{CANARY}-x", "phone_number": f"{CANARY}-x"}
        contact.custom |= {f"e{number}_T": value for number, value in enumerate(EXTRA.values(), start=10)}


def test_a_platform_is_read_for_who_and_what_and_for_nothing_more(there: Bulk) -> None:
    """MIN-01: taken in from there, and compared with it, both ways: known people, strangers, people who left."""
    there.people(2, "newsletter", "offers")
    there.settle()
    for esp, email, act in [
        ("mailchimp", "vreemd@elders.example", "subscribe"),
        ("sendgrid", "vreemd@elders.example", "subscribe"),
        ("mailchimp", "lezer0@lezer.example", "unsubscribe"),
        ("sendgrid", "lezer1@lezer.example", "unsubscribe"),
    ]:
        perform(there.running.state, {"esp": esp, "email": email, "act": act, "purpose": "newsletter"})
    fill(there)
    there.house.clock.now = datetime.now(UTC) + timedelta(minutes=30)
    for name in there.names:
        job = Import(there.house.bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _all: None)
        assert job.platform(name).imported >= 0
        Reconciler(there.house.bridge, name, dry_run=False, max_changes=100, tell=lambda _found: None).run()
    assert there.house.store.person("vreemd@elders.example") is not None
    nothing_kept(there.house)


def test_whatever_a_platform_tells_only_its_meaning_is_kept(
    open_hooks: Callable[..., Hooks], database_url: str
) -> None:
    """MIN-01, MIN-05: SendGrid's and Mailchimp's webhooks with thirty things more, and with free text of theirs."""
    hooks = open_hooks(database_url)
    consents(hooks.house, AN, "newsletter", "offers")
    an, dirk = Reader(hooks.house, AN), Reader(hooks.house, "dirk@lezer.example")
    said = {"reason": f"550 5.1.1 {CANARY} says no", "response": f"451 {CANARY}", "status": "5.1.1", **EXTRA}
    said |= {"category": [CANARY], "url": f"https://{CANARY}.example/", "useragent": CANARY, "ip": "192.0.2.9"}
    events = [
        hooks.event(who, kind, **said)
        for who in (an, dirk)
        for kind in ("bounce", "deferred", "dropped", "spamreport", "unsubscribe", "open", "click", CANARY)
    ]
    assert hooks.sendgrid(*events).status_code == 204
    extra = {f"merges][{name}": value for name, value in EXTRA.items()}
    for who in (an, dirk):
        for kind in ("unsubscribe", "cleaned", "subscribe", "profile", CANARY):
            answer = hooks.mailchimp(kind, who, **extra, **{**EXTRA, "reason": f"{CANARY} of its own"})
            assert answer.status_code == 204
    assert {event.type for event in an.story()} >= {EventType.BOUNCED, EventType.COMPLAINED, EventType.UNSUBSCRIBED}
    nothing_kept(hooks.house)


def test_mandrills_words_are_those_we_know() -> None:
    """MIN-01: what becomes of a mail is told in its words only; whatever else stands there is left."""
    ears = MandrillEvents({"MANDRILL_WEBHOOK_KEY": "a-key-for-tests"}, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    diag = {"email": AN, "diag": f"smtp;550 5.1.1 {CANARY}", "bounce_description": CANARY, "metadata": EXTRA, **EXTRA}
    told: list[dict[str, object]] = [
        {"event": event, "ts": 1795000000, "_id": event, "msg": diag, **EXTRA}
        for event in ("hard_bounce", "spam", "unsub", "open", CANARY)
    ]
    reject = {"email": AN, "reason": "hard-bounce", "detail": CANARY, **EXTRA}
    told.append({"type": "blacklist", "action": "add", "event": CANARY, "ts": 1795000000, "reject": reject})
    body = urlencode({"mandrill_events": json.dumps(told)}).encode()
    reports = ears.parse(Incoming(headers={}, body=body))
    assert [report.type for report in reports] == [
        *(EventType.BOUNCED, EventType.COMPLAINED, EventType.UNSUBSCRIBED, EventType.BOUNCED)
    ]
    assert CANARY not in msgspec.json.encode(reports).decode()


# -- declared fields ---------------------------------------------------------------------------------------------

FIELDS = """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet readers by name at the top of the newsletter"
[fields.at]
memory = "FNAME"

[[fields]]
id = "topic"
label.nl = "Onderwerp"
label.en = "Topic"
purposes = ["newsletter", "offers"]
need = "to choose which stories come first"
choices = ["sport", "books"]

[[fields]]
id = "salutation"
label.nl = "Aanspreking"
label.en = "Salutation"
purposes = ["offers"]
need = "to address readers as they like in offers"
[fields.at]
memory = "SALUT"
"""


def test_a_list_brings_in_nothing_that_no_form_would_take(asking: House, tmp_path: Path) -> None:
    """MIN-01: control and direction characters are dropped and counted, and told to no platform."""
    row = (
        'email,first_name,time,notice,language,method,source_document\nan@lezer.example,"{}",2026-05-31,1,nl,doi,crm\n'
    )
    for number, value in enumerate(("An\n\x1b[2J", "An\u202e")):
        path = tmp_path / f"{number}.csv"
        path.write_text(row.format(value), encoding="utf-8")
        result, _ = Import(
            asking.bridge, Defaults(channel="footer"), dry_run=False, progress=lambda _done, _total: None
        ).file(ListFile(path))
        assert result.dropped_fields == {"first_name": 1}
    person = asking.store.person("an@lezer.example")
    assert person is not None
    assert person.fields == {}


@pytest.fixture
def asking(make_house: Callable[..., House], environment: dict[str, str], database_url: str) -> House:
    """A house that asks for three things."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text(policy.read_text("utf-8") + FIELDS, "utf-8")
    return make_house(database_url)


def says(house: House, email: str, *purposes: str, confirms: bool = True, **fields: str) -> Reader:
    """She fills in the form, and confirms it."""
    she = Reader(house, email)
    assert she.signs_up(*purposes, **fields).status_code == 200
    house.clock.forward(minutes=1)
    if confirms:
        she.confirms()
        house.clock.forward(minutes=1)
    return she


def used(house: House) -> dict[str, tuple[int, int]]:
    """Of how many people each field is kept, and of how many without a use."""
    return {use.field: (use.kept, use.needless) for use in field_use(house.bridge)}


def test_a_field_leaves_with_the_last_purpose_that_needs_it(asking: House) -> None:
    """MIN-04: while one of its purposes is on it is told; when none is, it is taken out there and told to nobody."""
    house = asking
    she = says(house, AN, "newsletter", "offers", first_name="An", topic="sport", salutation="Mevrouw")
    house.dispatch()
    assert house.esp.people[AN].fields == {"FNAME": "An", "SALUT": "Mevrouw"}
    withdraws(house, AN, "newsletter")
    house.dispatch()
    assert she.is_on("offers")
    assert house.esp.people[AN].fields == {"SALUT": "Mevrouw"}
    withdraws(house, AN, "offers")
    house.dispatch()
    assert house.esp.people[AN].fields == {}
    assert used(house) == {"first_name": (1, 1), "topic": (1, 1), "salutation": (1, 1)}


def test_a_field_is_needed_while_one_of_its_purposes_is(asking: House) -> None:
    """MIN-01: topic serves two purposes; it is without a use when both are off, the name when its only one is."""
    says(asking, AN, "newsletter", "offers", first_name="An", topic="sport")
    assert used(asking) == {"first_name": (1, 0), "topic": (1, 0), "salutation": (0, 0)}
    withdraws(asking, AN, "newsletter")
    assert used(asking) == {"first_name": (1, 1), "topic": (1, 0), "salutation": (0, 0)}
    withdraws(asking, AN, "offers")
    assert used(asking) == {"first_name": (1, 1), "topic": (1, 1), "salutation": (0, 0)}


def test_everything_that_is_to_be_known_of_a_field_stands_in_its_line(asking: House) -> None:
    """Issue 5, point 8: told to whom, never filled in, no longer declared."""
    says(asking, AN, "newsletter", first_name="An", topic="sport")
    policy = Path(asking.environment["BRIDGE_POLICY"])
    policy.write_text(policy.read_text("utf-8").replace('id = "first_name"', 'id = "voornaam"'), "utf-8")
    del asking.bridge.policy
    name, topic, salutation, gone = field_use(asking.bridge)
    assert name == FieldUse("voornaam", True, ("newsletter",), ("memory",), 0, 0)
    assert topic == FieldUse("topic", True, ("newsletter", "offers"), (), 1, 0)
    assert salutation == FieldUse("salutation", True, ("offers",), ("memory",), 0, 0)
    assert gone == FieldUse("first_name", False, (), (), 1, 1)
    assert [use.never_filled for use in (name, topic, salutation, gone)] == [True, False, True, False]
    assert [use.needed for use in (name, topic, salutation, gone)] == [False] * 4
    asking.dispatch()
    assert asking.esp.people[AN].fields == {}, "what is declared no more is told to nobody"


def test_the_report_names_what_is_collected_but_not_needed(asking: House) -> None:
    """MIN-01, issue 5, point 8: in words, with the numbers of few people hidden."""
    says(asking, AN, "newsletter", topic="sport")
    found = {field["id"]: field for field in collect(asking.bridge, "en")["fields"]}
    assert [(field["kept"], field["needless"]) for field in found.values()] == [(0, 0), (None, 0), (0, 0)]
    assert found["topic"]["risks"] == ["Collected but not needed: no platform is told of it."]
    assert found["salutation"]["risks"] == ["Nobody ever filled it in: do not ask for it."]
    for number in range(6):
        says(asking, f"r{number}@lezer.example", "newsletter", "offers", first_name="An", salutation="Mevrouw")
    withdraws(asking, AN, "newsletter")
    told = collect(asking.bridge, "en")
    found = {field["id"]: field for field in told["fields"]}
    assert found["first_name"] == found["first_name"] | {"kept": 6, "needless": 0, "risks": []}
    assert "have nothing on that it is for" in found["topic"]["risks"][1]
    page = as_html(asking.bridge, told, asking.clock())
    assert "Nothing: it is needed." in page
    assert "no platform is told of it" in page
    assert "topic: hidden; hidden" in as_text(told)


def test_a_platform_that_is_switched_off_gets_nothing(
    make_house: Callable[..., House], asking: House, database_url: str
) -> None:
    """A field that only goes to a platform nobody uses serves nothing."""
    says(asking, AN, "newsletter", first_name="An")
    assert field_use(asking.bridge)[0].needed
    without = make_house(database_url, BRIDGE_ADAPTERS="")
    assert field_use(without.bridge)[0].told == ()
    assert not field_use(without.bridge)[0].needed


def test_who_has_not_confirmed_is_waited_for_and_no_longer(asking: House) -> None:
    """R9: what she filled in is needed until her request is too old."""
    says(asking, AN, "newsletter", confirms=False, first_name="An")
    assert used(asking)["first_name"] == (1, 0)
    asking.clock.forward(days=4)
    assert used(asking)["first_name"] == (1, 1)
    asking.store.forget_requests()
    assert used(asking)["first_name"] == (0, 0)


def test_a_pause_or_a_block_ends_no_need(asking: House) -> None:
    """They end themselves; a yes that grew too old does not."""
    she = says(asking, AN, "newsletter", first_name="An")
    until = asking.clock() + timedelta(days=9)
    asking.store.record([by_reader(asking, person(asking, AN), EventType.PAUSED, "", until=until)])
    tells(asking, AN, EventType.BOUNCED)
    assert not she.may().may
    assert used(asking)["first_name"] == (1, 0)
    asking.clock.forward(days=1200)
    assert used(asking)["first_name"] == (1, 1)


@pytest.mark.parametrize("status", list(Status))
def test_what_is_in_use_by_every_status(status: Status) -> None:
    """R9, R10, SOF-03: exact to the moment; where soft opt-in is not allowed it needs nothing."""
    limits = Limits(soft_opt_in=True)
    since = datetime(2026, 1, 1, tzinfo=UTC)
    ends = {
        Status.GIVEN: since + limits.consent_max_age - timedelta(microseconds=1),
        Status.SOFT_OPT_IN: since + limits.soft_max_age - timedelta(microseconds=1),
        Status.REQUESTED: since + limits.pending_ttl,
    }
    last = ends.get(status, since)
    assert is_in_use(status, since, last, limits) is (status in ends)
    assert not is_in_use(status, since, last + timedelta(microseconds=1), limits)
    allowed = is_in_use(status, since, since, msgspec.structs.replace(limits, soft_opt_in=False))
    assert allowed is (status in ends and status is not Status.SOFT_OPT_IN)


# -- counting many -----------------------------------------------------------------------------------------------


def test_everybody_is_counted_once_in_batches(asking: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In so many reads as there are batches, whatever their size; it says how far it is; nothing is written."""
    monkeypatch.setattr(profiles, "_CHUNK", 3)
    for number in range(7):
        consents(asking, f"lezer{number}@lezer.example", "newsletter")
    for number in range(3):
        says(asking, f"naam{number}@lezer.example", "newsletter", first_name="Naam")
    before, told = everything(asking), list[tuple[int, int]]()
    found = field_use(asking.bridge, lambda done, total: told.append((done, total)))
    assert found[0].kept == 3
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert everything(asking) == before


def test_a_profile_nobody_can_open_is_named_and_the_others_counted(
    asking: House, caplog: pytest.LogCaptureFixture
) -> None:
    """MIN-03: by her id, never by name or address."""
    says(asking, AN, "newsletter", first_name="An")
    bram = consents(asking, BRAM)
    with asking.bridge.database.engine.begin() as db:
        db.execute(subjects.update().where(subjects.c.number == bram.number).values(profile=b"spoilt"))
    with caplog.at_level(logging.ERROR):
        assert used(asking)["first_name"] == (1, 0)
    assert bram.id in caplog.text
    assert BRAM not in caplog.text


def test_an_empty_store_has_fields_that_nobody_filled_in(asking: House) -> None:
    """Before anybody is here."""
    uses: Sequence[FieldUse] = field_use(asking.bridge)
    assert [use.field for use in uses] == ["first_name", "topic", "salutation"]
    assert all(use.never_filled and not use.needed for use in uses)
    asks(asking, AN)
    assert all(use.never_filled for use in field_use(asking.bridge))
