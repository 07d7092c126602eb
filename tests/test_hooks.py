"""What Mailchimp and SendGrid tell, by their own calls, to the end: the store, the gate and what goes out."""

import base64
import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from bridge.store.sql import Sql
from bridge.vocabulary import Block, EventType, Status
from tests.conftest import House, Reader
from tests.esps import AUDIENCE, GROUPS, NEW, OLD, PATH, Hooks, open_hooks, signature
from tests.test_store import asks, consents
from tests.test_subscribe import everything_stored
from tests.weather import away, locked

__all__ = ["open_hooks"]

BOTH = ("newsletter", "offers")
DONE = (204, b"")


@pytest.fixture
def hooks(open_hooks: Callable[..., Hooks], database_url: str) -> Hooks:
    """On SQLite and on PostgreSQL."""
    return open_hooks(database_url)


@pytest.fixture
def home_hooks(open_hooks: Callable[..., Hooks], sqlite_url: str) -> Hooks:
    """On SQLite only, for what does not depend on the database."""
    return open_hooks(sqlite_url)


def reads(hooks: Hooks, name: str, *purposes: str) -> Reader:
    """Somebody who said yes to both topics, or to these."""
    reader = Reader(hooks.house, f"{name}@lezer.example")
    consents(hooks.house, reader.email, *(purposes or BOTH))
    return reader


def gets(reader: Reader) -> set[str]:
    """What she may be mailed for."""
    return {purpose for purpose in BOTH if reader.may(purpose).may}


def ok(answer: Any) -> bool:
    """Taken, and nothing said."""
    return (answer.status_code, answer.data) == DONE


# -- SendGrid ----------------------------------------------------------------------------------------------------


def test_each_event_of_sendgrid_means_the_right_thing(hooks: Hooks) -> None:
    """WDR-13, ESP-01, ESP-02, ESP-05, R6, R7: the eleven events in one batch, each about another reader."""
    means: dict[str, tuple[dict[str, Any], set[str]]] = {
        "processed": ({}, set(BOTH)),
        "delivered": ({"response": "250 OK"}, set(BOTH)),
        "open": ({"sg_machine_open": True}, set(BOTH)),
        "click": ({"url": "https://www.dedagwijzer.example", "url_offset": {"index": 0, "type": "html"}}, set(BOTH)),
        "deferred": ({"response": "400 try again later", "attempt": "5"}, set(BOTH)),
        "bounce": ({"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown"}, set()),
        "dropped": ({"reason": "Unsubscribed Address"}, set()),
        "spamreport": ({}, set()),
        "unsubscribe": ({}, set()),
        "group_unsubscribe": ({"asm_group_id": GROUPS["offers"]}, {"newsletter"}),
        "group_resubscribe": ({"asm_group_id": GROUPS["offers"]}, {"newsletter"}),
    }
    people = {event: reads(hooks, event) for event in means}
    people["group_resubscribe"] = reads(hooks, "back", "newsletter")
    batch = [hooks.event(people[event], event, **more) for event, (more, _) in means.items()]
    random.Random(7).shuffle(batch)

    assert ok(hooks.sendgrid(*batch))
    assert {event: gets(people[event]) for event in means} == {event: left for event, (_, left) in means.items()}
    assert people["spamreport"].status("offers") is Status.OBJECTED
    assert people["bounce"].status() is Status.GIVEN  # R7: no withdrawal
    assert people["unsubscribe"].status() is Status.WITHDRAWN
    kept = {event for event in means if people[event].story()[-1].source == "sendgrid"}
    assert kept == {*means} - {"processed", "delivered", "open", "click"}
    assert not hooks.house.verify().problems


def test_a_refused_message_is_no_dead_address(hooks: Hooks) -> None:
    """R7: `blocked`, and refusals for our reputation or content, are never held against her, however often."""
    an, dirk = reads(hooks, "an"), reads(hooks, "dirk")
    for n in range(8):
        blocked = {"type": "blocked", "sg_message_id": f"m{n}"}
        assert ok(
            hooks.sendgrid(
                hooks.event(an, "bounce", status="5.7.1", reason="550 5.7.1 blocked for spam", **blocked),
                hooks.event(an, "bounce", status="5.0.0", **blocked),
                hooks.event(an, "bounce", status="4.2.2", bounce_classification="Reputation", **blocked),
                hooks.event(an, "bounce", status="5.1.1", bounce_classification="Content", sg_message_id=f"c{n}"),
                hooks.event(an, "deferred", bounce_classification="Frequency or Volume Too High", attempt="7"),
                hooks.event(dirk, "bounce", status="5.2.2", bounce_classification="Mailbox Unavailable", **blocked),
            )
        )
        hooks.house.clock.forward(hours=20)
    assert gets(an) == set(BOTH)
    assert an.story()[-1].by_reader  # nothing of it is held at all
    assert gets(dirk) == set()  # R7: a full mailbox is soft, and five soft ones in fifteen days are a dead address
    assert Block.BOUNCED in dirk.may().why[0]


@pytest.mark.parametrize("mails", [4, 5])
def test_soft_bounces_are_counted_by_mails_not_by_tries(hooks: Hooks, mails: int) -> None:
    """R7: every try of a mail that waits is told; five mails within fifteen days make an address dead, four do not."""
    an = reads(hooks, "an")
    for number in range(mails):
        for attempt in range(1, 9):
            hooks.house.clock.forward(minutes=30)
            more = {"attempt": str(attempt), "response": "452 4.2.2 over quota", "sg_message_id": f"m{number}"}
            assert ok(hooks.sendgrid(hooks.event(an, "deferred", **more)))
        last = {"type": "blocked", "status": "4.2.2", "sg_message_id": f"m{number}"}
        assert ok(hooks.sendgrid(hooks.event(an, "bounce", **last)))
        hooks.house.clock.forward(days=2)

    assert len([e for e in an.story() if e.type is EventType.DEFERRED]) == mails
    assert (gets(an) == set()) is (mails == 5)


def test_the_threshold_of_soft_bounces_is_a_setting(
    open_hooks: Callable[..., Hooks], sqlite_url: str, policy_folder: Any
) -> None:
    """R7: `soft_bounces` and `soft_bounce_window` of the policy."""
    policy = policy_folder / "policy.toml"
    limits = '[limits]\nsoft_bounces = 3\nsoft_bounce_window = "2 days"\n'
    policy.write_text(policy.read_text().replace("[limits]\n", limits, 1))
    hooks = open_hooks(sqlite_url)
    an, dirk = reads(hooks, "an"), reads(hooks, "dirk")
    for number in range(3):
        message = {"attempt": "3", "sg_message_id": f"m{number}"}
        hooks.sendgrid(hooks.event(an, "deferred", **message))
        hooks.house.clock.forward(hours=20)
        if number < 2:
            hooks.sendgrid(hooks.event(dirk, "deferred", **message))
    hooks.house.clock.forward(days=2)
    hooks.sendgrid(hooks.event(dirk, "deferred", attempt="3", sg_message_id="m9"))

    assert (gets(an), gets(dirk)) == (set(), set(BOTH))


@pytest.mark.parametrize(
    ("reason", "group", "left"),
    [
        ("Unsubscribed Address", None, set()),
        ("Unsubscribed Address", GROUPS["offers"], {"newsletter"}),
        ("Unsubscribed Address", 999, set(BOTH)),  # another department's group
        ("Bounced Address", GROUPS["offers"], set()),
        ("Spam Reporting Address", None, set()),
        ("Invalid", None, set()),
        ("Invalid SMTPAPI header", None, set(BOTH)),
        ("Spam Content", None, set(BOTH)),
        ("Recipient List over Package Quota", None, set(BOTH)),
        ("", None, set(BOTH)),
    ],
)
def test_a_dropped_mail_copies_the_stop_that_is_there(
    home_hooks: Hooks, reason: str, group: int | None, left: set[str]
) -> None:
    """ESP-02: the reason says why their list stops it; a fault of the message stops nobody."""
    an = reads(home_hooks, "an")
    more = {} if group is None else {"asm_group_id": group}
    assert ok(home_hooks.sendgrid(home_hooks.event(an, "dropped", reason=reason, **more)))
    assert gets(an) == left


@pytest.mark.parametrize("group", [GROUPS["offers"], str(GROUPS["offers"])])
def test_leaving_a_group_is_leaving_its_topic_only(home_hooks: Hooks, group: object) -> None:
    """WDR-13: so too, a group that is not ours is none of our business."""
    an = reads(home_hooks, "an")
    home_hooks.sendgrid(home_hooks.event(an, "group_unsubscribe", asm_group_id=999))
    assert gets(an) == set(BOTH)
    home_hooks.sendgrid(home_hooks.event(an, "group_unsubscribe", asm_group_id=group))
    assert gets(an) == {"newsletter"}


def test_who_subscribes_again_there_is_set_right_and_never_believed(hooks: Hooks) -> None:
    """ESP-01: a resubscribe at the ESP is no consent: the stop is told there once more. The ESP in memory sees it."""
    an = reads(hooks, "an")
    hooks.sendgrid(hooks.event(an, "group_unsubscribe", asm_group_id=GROUPS["offers"]))
    hooks.house.clock.forward(hours=1)
    before = waiting(hooks.house)
    assert ok(hooks.sendgrid(hooks.event(an, "group_resubscribe", asm_group_id=GROUPS["offers"])))

    assert gets(an) == {"newsletter"}
    assert an.story()[-1].type is EventType.SUBSCRIBED
    assert before[1] < waiting(hooks.house)[1]
    assert waiting(hooks.house)[2], "a stop goes first"
    # For what she has a live yes it is the echo of our own push: nothing is written, nothing goes out.
    story, queue = len(an.story()), waiting(hooks.house)
    assert ok(hooks.sendgrid(hooks.event(an, "group_resubscribe", asm_group_id=GROUPS["newsletter"])))
    assert (len(an.story()), waiting(hooks.house)) == (story, queue)


def waiting(house: House) -> tuple[int, int, bool]:
    """Mails that wait, what SendGrid must hear of, and whether it is a stop."""
    with house.bridge.database.reading() as db:
        mails = db.exec_driver_sql("SELECT count(*) FROM outbox").scalar() or 0
        told = db.exec_driver_sql("SELECT wanted, stop FROM pushes WHERE adapter = 'sendgrid'").first()
    return mails, told[0] if told else 0, bool(told and told[1])


def test_late_but_genuine_stops_are_taken(hooks: Hooks) -> None:
    """HOOK-01: an old signature refuses only what is no stop; the event counts at its own time, so that a yes said
    since stands."""
    an, dirk = reads(hooks, "an"), reads(hooks, "dirk", "newsletter")
    stop = hooks.event(an, "unsubscribe")
    again = hooks.event(dirk, "group_resubscribe", asm_group_id=GROUPS["offers"])
    hooks.house.clock.forward(days=3)
    assert ok(hooks.sendgrid(stop, again, age=3 * 86_400))
    assert gets(an) == set()
    assert dirk.story()[-1].by_reader

    carla = reads(hooks, "carla", "newsletter")
    old = hooks.event(carla, "unsubscribe", timestamp=hooks.now() - 9 * 86_400)
    assert ok(hooks.sendgrid(old, age=9 * 86_400))
    assert gets(carla) == {"newsletter"}


def test_two_keys_at_once_while_one_replaces_the_other(home_hooks: Hooks) -> None:
    """HOOK-01: SENDGRID_WEBHOOK_PUBLIC_KEY holds both, so that nothing is lost in between."""
    for name, key in (("an", OLD), ("dirk", NEW)):
        reader = reads(home_hooks, name)
        assert ok(home_hooks.sendgrid(home_hooks.event(reader, "unsubscribe"), key=key))
        assert gets(reader) == set()


def test_a_gateway_that_wraps_the_body_is_unwrapped_before_the_check(home_hooks: Hooks) -> None:
    """HOOK-01, decision 28: base64 as a whole; the signature is over what is inside, and the limit too."""
    an = reads(home_hooks, "an")
    body = json.dumps([home_hooks.event(an, "unsubscribe")]).encode() + b"\r\n"
    wrapped = base64.b64encode(body)
    spoiled = base64.b64encode(body.replace(b"unsubscribe", b"unsubscribf"))

    assert home_hooks.post("/webhooks/sendgrid", body, sent=spoiled).status_code == 401
    assert gets(an) == set(BOTH)
    assert ok(home_hooks.post("/webhooks/sendgrid", body, sent=wrapped))
    assert gets(an) == set()
    huge = b"[" + b" " * (8 * 1024 * 1024) + b"]"
    assert home_hooks.post("/webhooks/sendgrid", huge, sent=base64.b64encode(huge)).status_code == 413


def test_one_bad_element_never_fails_the_others_and_no_stop_is_lost_over_a_field(hooks: Hooks) -> None:
    """HOOK-02: whatever stands around it, and whatever an argument of another department's hides of it."""
    an, dirk, els = reads(hooks, "an"), reads(hooks, "dirk"), reads(hooks, "els")
    odd = [
        5,
        None,
        "x",
        [],
        {"event": "unsubscribe"},
        {"email": 7, "event": "unsubscribe", "timestamp": 1},
        {"email": "nobody", "event": "unsubscribe", "timestamp": 1},
        {"email": "a\u0000b@lezer.example", "event": "spamreport", "timestamp": 1},
        {"email": "x" * 100_000 + "@lezer.example", "event": "spamreport", "timestamp": 1},
        {"email": "@", "event": "unsubscribe", "timestamp": -1e18},
        hooks.event(an, "something_new"),
    ]
    hiding = {"type": 5, "status": {"a": 1}, "reason": [1], "asm_group_id": {"b": 2}, "attempt": 1.5}
    assert ok(
        hooks.sendgrid(
            *odd,
            hooks.event(an, "spamreport", **hiding),
            *odd,
            hooks.event(dirk, "unsubscribe", timestamp="yesterday"),
            hooks.event(els, "unsubscribe", timestamp=10**15),
        )
    )
    assert an.status() is Status.OBJECTED
    assert (gets(dirk), gets(els)) == (set(), set())
    assert not hooks.house.verify().problems


def test_a_stop_whose_time_cannot_be_counts_from_now(hooks: Hooks) -> None:
    """R1, R4: said before anybody sent mail, or in a year to come: it stops today, and holds nobody for ever."""
    for name, stamp in (("an", 0), ("dirk", -(10**9)), ("els", 32_503_680_000)):
        reader = reads(hooks, name, "newsletter")
        assert ok(hooks.sendgrid(hooks.event(reader, "unsubscribe", timestamp=stamp)))
        assert gets(reader) == set(), name
        assert reader.story()[-1].time == hooks.house.clock()
        hooks.house.clock.forward(hours=30)
        consents(hooks.house, reader.email, "newsletter")
        assert gets(reader) == {"newsletter"}, name


def test_nobody_elses_data_is_kept_with_a_person(hooks: Hooks) -> None:
    """MIN-05, MIN-01: neither the rest of the batch nor what stands in an event besides its news."""
    an, dirk = reads(hooks, "an"), reads(hooks, "dirk")
    spy = {"ip": "203.0.113.77", "useragent": "kanarie", "url": "https://kanarie.example", "cb_note": "kanarie"}
    hooks.sendgrid(
        hooks.event(an, "unsubscribe", category=["kanarie"], **spy),
        hooks.event(dirk, "spamreport", reason="kanarie", **spy),
        hooks.event(dirk, "click", **spy),
    )
    told = everything_stored(hooks.house) + repr(an.story()) + repr(dirk.story())
    assert "kanarie" not in told
    assert "203.0.113.77" not in told
    assert dirk.email not in repr(an.story())
    assert [e.type for e in dirk.story()[-1:]] == [EventType.COMPLAINED]


class Counter:
    """Counts what is asked of the database: a statement for many rows is one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        for name in ("rows", "run", "many"):
            monkeypatch.setattr(Sql, name, self._counted(getattr(Sql, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(statement: Sql, db: Any, values: Any = (), *more: Any) -> Any:
            if real.__name__ != "many" or values:
                self.asked.append(statement._texts["sqlite"])
            return real(statement, db, values, *more)

        return counted


def test_a_batch_costs_as_many_statements_as_one_event(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue 4, 1: a thousand events, 768 KB, in one transaction; what is asked does not grow with them."""
    caplog.set_level(logging.WARNING)
    readers = [reads(hooks, f"r{n}", "newsletter") for n in range(24)]

    def batch(size: int, who: list[Reader]) -> list[dict[str, Any]]:
        noise = Reader(hooks.house, "stranger@lezer.example")
        told = [hooks.event(one, "unsubscribe") for one in who]
        told += [hooks.event(Reader(hooks.house, f"s{size}-{n}@lezer.example"), "spamreport") for n in range(size // 8)]
        return told + [hooks.event(noise, "delivered", padding="x" * 560) for _ in range(size - len(told))]

    for reader in readers[:2]:  # from now on the house knows these words
        assert ok(hooks.sendgrid(*batch(16, [reader])))
    small, large = batch(8, readers[2:4]), batch(1000, readers[4:])
    assert len(json.dumps(large)) > 600_000
    counter = Counter(monkeypatch)
    assert ok(hooks.sendgrid(*small))
    few = sorted(counter.asked)
    counter.asked.clear()
    assert ok(hooks.sendgrid(*large))
    assert sorted(counter.asked) == few
    assert len(few) < 15
    counter.asked.clear()
    assert ok(hooks.sendgrid(*large))  # told again: only looked up
    assert not any(text.startswith(("INSERT INTO events", "UPDATE")) for text in counter.asked)
    assert not any(gets(reader) for reader in readers)


def test_any_order_and_any_number_of_times_ends_the_same(hooks: Hooks) -> None:
    """ESP-03, HOOK-02: a thousand events of ten people, shuffled and doubled: the same end as in order and once."""
    luck = random.Random(4)
    start = hooks.now()
    kinds = [
        ("group_unsubscribe", {"asm_group_id": GROUPS["newsletter"]}),
        ("group_unsubscribe", {"asm_group_id": GROUPS["offers"]}),
        ("deferred", {"attempt": "2"}),
        ("bounce", {"type": "blocked", "status": "4.2.2"}),
        ("delivered", {}),
    ]
    ends = []
    for run in ("ordered", "shuffled"):
        luck.seed(4)
        readers = [reads(hooks, f"{run}{n}") for n in range(10)]
        batch = []
        for number in range(500):
            event, more = luck.choice(kinds)
            told = hooks.event(luck.choice(readers[: 9 if number else 10]), event, **more)
            batch.append(told | {"timestamp": start + 3600 + number, "sg_message_id": f"m{number % 40}"})
        hooks.house.clock.forward(hours=3)
        if run == "shuffled":
            batch = batch * 2
            luck.shuffle(batch)
        for begin in range(0, len(batch), 100):
            assert ok(hooks.sendgrid(*batch[begin : begin + 100]))
        ends.append([(gets(one), one.status(), one.status("offers"), len(one.story())) for one in readers])
        hooks.house.clock.forward(days=-0.125)
    assert ends[0] == ends[1]


# -- OAuth -------------------------------------------------------------------------------------------------------

OAUTH = {"SENDGRID_WEBHOOK_OAUTH_ID": "sendgrid", "SENDGRID_WEBHOOK_OAUTH_SECRET": "a-long-secret-for-tests"}


@pytest.fixture
def guarded(open_hooks: Callable[..., Hooks], sqlite_url: str) -> Hooks:
    """SendGrid is told to fetch a token first."""
    return open_hooks(sqlite_url, **OAUTH)


def token(hooks: Hooks, *, basic: bool = False, **form: str) -> Any:
    """SendGrid asks for a token, its credentials in the form or in the header."""
    own = {"client_id": OAUTH["SENDGRID_WEBHOOK_OAUTH_ID"], "client_secret": OAUTH["SENDGRID_WEBHOOK_OAUTH_SECRET"]}
    told = {"grant_type": "client_credentials", **({} if basic else own), **form}
    auth = (own["client_id"], own["client_secret"]) if basic else None
    return hooks.house.client.post("/webhooks/sendgrid/token", data=told, auth=auth)


@pytest.mark.parametrize("basic", [True, False])
def test_with_oauth_a_call_needs_token_and_signature(guarded: Hooks, *, basic: bool) -> None:
    """HOOK-01: the token is one more lock, never instead of the signature; it ends after an hour."""
    an = reads(guarded, "an")
    answer = token(guarded, basic=basic)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("bearer", 3600)
    bearer = {"Authorization": f"Bearer {answer.json['access_token']}"}
    stop = guarded.event(an, "unsubscribe")

    assert guarded.sendgrid(stop).status_code == 401
    for wrong in (
        "",
        "Bearer",
        "Bearer .",
        "Bearer 99999999999." + "0" * 64,
        bearer["Authorization"].replace(".", "1."),
    ):
        assert guarded.sendgrid(stop, headers={"Authorization": wrong}).status_code == 401
    unsigned = guarded.house.client.post("/webhooks/sendgrid", json=[stop], headers=bearer)
    assert unsigned.status_code == 401
    assert gets(an) == set(BOTH)
    assert ok(guarded.sendgrid(stop, headers=bearer))
    assert gets(an) == set()
    guarded.house.clock.forward(minutes=61)
    assert guarded.sendgrid(stop, headers=bearer).status_code == 401


def test_a_token_is_only_for_the_right_client(guarded: Hooks) -> None:
    """HOOK-01: wrong or missing credentials, another grant: 401, and no word why."""
    for wrong in (
        {"client_id": "x"},
        {"client_secret": "x"},
        {"client_secret": ""},
        {"client_secret": "\u00e9"},
        {"grant_type": "password"},
    ):
        answer = token(guarded, **wrong)
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
        assert "token" not in answer.json


def test_without_oauth_nobody_gets_a_token(home_hooks: Hooks) -> None:
    """HOOK-01: the address is then a webhook like any other: not signed, not heard."""
    assert token(home_hooks).status_code == 401


# -- Mailchimp ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "left", "status"),
    [
        ("unsubscribe", {"action": "unsub", "reason": "manual"}, set(), Status.WITHDRAWN),
        ("unsubscribe", {"action": "delete", "reason": "manual"}, set(), Status.WITHDRAWN),
        ("unsubscribe", {"reason": "manual"}, set(), Status.WITHDRAWN),
        ("unsubscribe", {}, set(), Status.WITHDRAWN),
        ("unsubscribe", {"action": "unsub", "reason": "abuse"}, set(), Status.OBJECTED),
        ("cleaned", {"reason": "hard", "campaign_id": "4fjk2ma9xd"}, set(), Status.GIVEN),
        ("cleaned", {"reason": "abuse"}, set(), Status.OBJECTED),
        ("profile", {"email_type": "html"}, set(BOTH), Status.GIVEN),
        ("subscribe", {}, set(BOTH), Status.GIVEN),
        ("campaign", {"status": "sent"}, set(BOTH), Status.GIVEN),
        ("batch_operation_completed", {"status": "finished"}, set(BOTH), Status.GIVEN),
        ("sms_unsubscribe", {}, set(BOTH), Status.GIVEN),
        ("danced", {}, set(BOTH), Status.GIVEN),
        ("unsubscribe", {"list_id": "anotherone"}, set(BOTH), Status.GIVEN),
        ("cleaned", {"list_id": "anotherone", "reason": "abuse"}, set(), Status.OBJECTED),
    ],
)
def test_each_word_of_mailchimps_means_the_right_thing(
    home_hooks: Hooks, kind: str, data: dict[str, str], left: set[str], status: Status
) -> None:
    """WDR-13, ESP-02, ESP-05, R6, R7: left, complained and dead told apart; `profile` says nothing; of an audience
    that is not ours only what is about the address itself counts."""
    an = reads(home_hooks, "an")
    assert ok(home_hooks.mailchimp(kind, an, **data))
    assert (gets(an), an.status()) == (left, status)


def test_a_profile_change_of_somebody_who_left_brings_her_back_nowhere(home_hooks: Hooks) -> None:
    """ESP-01 (civicrm 336): it is also sent for people who left."""
    an = reads(home_hooks, "an")
    home_hooks.mailchimp("unsubscribe", an, reason="manual")
    home_hooks.house.clock.forward(hours=1)
    story = len(an.story())
    home_hooks.mailchimp("profile", an)

    assert (gets(an), len(an.story())) == (set(), story)


def test_path_and_signature_are_both_asked_for(home_hooks: Hooks) -> None:
    """HOOK-01: never 410, which would end the webhook for good."""
    an = reads(home_hooks, "an")
    form = {"type": "unsubscribe", "data[email]": an.email, "data[list_id]": AUDIENCE}
    client, kind = home_hooks.house.client, "application/x-www-form-urlencoded"
    answers = [
        home_hooks.form(form, secret="a-path-nobody-guesse"),
        home_hooks.form(form, secret="x"),
        client.post("/webhooks/mailchimp", data=form),
        client.post(f"/webhooks/mailchimp/{PATH}", data=form),
        client.post(f"/webhooks/mailchimp/{PATH}/", data=form),
        client.post(f"/webhooks/mailchimp/{PATH}", data=b"\xff" * 10, content_type=kind),
    ]
    assert {(answer.status_code, answer.mimetype) for answer in answers} <= {
        (401, "application/problem+json"),
        (404, "application/problem+json"),
    }
    assert gets(an) == set(BOTH)
    for path in ("/webhooks/mailchimp", "/webhooks/mailchimp/", f"/webhooks/mailchimp/{PATH}", "/webhooks/mailchimp/x"):
        assert [client.get(path).status_code, client.head(path).status_code] == [200, 200]
    assert ok(home_hooks.form(form))


def test_a_stale_stop_is_taken_and_a_stale_start_says_nothing(home_hooks: Hooks) -> None:
    """HOOK-01: the age of a signature refuses only what is no stop."""
    an, dirk = reads(home_hooks, "an"), reads(home_hooks, "dirk", "newsletter")
    assert ok(home_hooks.mailchimp("subscribe", dirk, age=301))
    assert dirk.story()[-1].by_reader
    assert ok(home_hooks.mailchimp("unsubscribe", an, age=9 * 86_400))
    assert gets(an) == set()


def test_an_echo_of_our_own_push_changes_nothing_and_sends_nothing(hooks: Hooks) -> None:
    """ESP-01, ESP-03 (mc-magento2 2334): "subscribed" and "unsubscribed" that we said ourselves, where Mailchimp tells
    what the API did too."""
    an, dirk = reads(hooks, "an"), reads(hooks, "dirk")
    withdraw(dirk)
    hooks.house.dispatch()
    hooks.house.clock.forward(minutes=1)
    before = [waiting(hooks.house), len(an.story()), gets(an), gets(dirk), dirk.status(), pushes(hooks.house)]
    assert ok(hooks.mailchimp("subscribe", an))
    assert ok(hooks.mailchimp("unsubscribe", dirk, action="unsub", reason="manual"))
    assert [waiting(hooks.house), len(an.story()), gets(an), gets(dirk), dirk.status(), pushes(hooks.house)] == before


def withdraw(reader: Reader) -> None:
    """Her one click."""
    from tests.test_store import withdraws

    for purpose in BOTH:
        withdraws(reader.house, reader.email, purpose)


def pushes(house: House) -> list[Any]:
    """What every ESP must hear of, and when."""
    with house.bridge.database.reading() as db:
        return [tuple(row) for row in db.exec_driver_sql("SELECT subject, adapter, wanted, due, stop FROM pushes")]


# -- an address that changes -------------------------------------------------------------------------------------


def moves(hooks: Hooks, old: Reader, new: Reader, **data: str) -> Any:
    """She, or her administrator, changes her address at Mailchimp."""
    told = {"old_email": old.email, "new_email": new.email, "new_id": "51da8c3259", **data}
    return hooks.mailchimp("upemail", None, **told)


def somebody(hooks: Hooks, name: str) -> Reader:
    """An address of nobody we know."""
    return Reader(hooks.house, f"{name}@lezer.example")


def test_an_address_that_changes_takes_the_person_along(hooks: Hooks) -> None:
    """R13: the same person with her whole history; her consents move when the mailbox of the new address has
    confirmed, and until then nobody mails it."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    hooks.house.dispatch()
    was = hooks.house.store.person(an.email)
    assert was
    hooks.house.clock.forward(hours=1)
    assert ok(moves(hooks, an, new))

    now = hooks.house.store.person(new.email)
    assert now
    assert (now.id, now.email) == (was.id, new.email)
    assert hooks.house.store.person(an.email) is None
    assert (gets(an), gets(new)) == (set(), set())
    assert new.status() is Status.GIVEN
    assert "has not confirmed yet" in new.may().why[0]
    hooks.house.dispatch()
    assert not new.is_on()
    assert not new.is_on("offers")
    with hooks.house.bridge.database.reading() as db:  # where no platform answers here, it stays promised
        left = {row[0] for row in db.exec_driver_sql("SELECT adapter FROM erase_work")}
    assert {"mailchimp", "sendgrid"} <= left
    assert an.email not in hooks.house.esp.people
    assert an.email not in everything_stored(hooks.house)
    (question,) = hooks.house.mailbox.to(new.email)
    hooks.house.clock.forward(hours=2)
    assert new.confirms().status_code == 200
    assert gets(new) == set(BOTH)
    hooks.house.dispatch()
    assert new.is_on()
    assert new.is_on("offers")
    assert len(hooks.house.mailbox.to(new.email)) == 1, question["Subject"]
    assert not hooks.house.verify().problems


@pytest.mark.parametrize("by", ["old", "new"])
def test_who_moved_and_is_erased_by_either_address_is_gone_and_nobody_mails_her_at_the_newer_one(
    hooks: Hooks, by: str
) -> None:
    """RGT-04, SUP-05, R13: her letter may name the address she had when she signed up."""
    an, new, store = reads(hooks, "an"), somebody(hooks, "an.new"), hooks.house.store
    hooks.house.dispatch()
    hooks.house.clock.forward(hours=1)
    assert ok(moves(hooks, an, new))
    assert (store.has_moved(an.email), store.has_moved(new.email)) == (True, False)

    done = store.erase_person(an.email if by == "old" else new.email)

    assert (done.known, done.moved) == (True, by == "old")
    assert store.person(new.email) is None
    assert not store.has_moved(an.email)
    assert new.email not in everything_stored(hooks.house)
    assert an.email not in everything_stored(hooks.house)
    assert [[stop.type for stop in store.stops(one.email)] for one in (an, new)] == [[EventType.ERASED]] * 2
    hooks.house.clock.forward(minutes=1)
    hooks.house.dispatch()
    assert not {an.email, new.email} & hooks.house.esp.people.keys()


def test_whoever_is_erased_stops_nobody_who_has_her_old_address_now(hooks: Hooks) -> None:
    """R13: a mailbox with a new reader, who said yes herself."""
    an, new, store = reads(hooks, "an"), somebody(hooks, "an.new"), hooks.house.store
    assert ok(moves(hooks, an, new))
    hooks.house.clock.forward(days=1)
    an.has_consented("newsletter")

    store.erase_person(new.email)

    assert an.may().may
    assert store.stops(an.email) == []


def test_an_old_address_with_a_new_reader_erases_the_new_reader_only(hooks: Hooks) -> None:
    """R13: whoever has the address now is meant; the one who moved away is left alone."""
    an, new, store = reads(hooks, "an"), somebody(hooks, "an.new"), hooks.house.store
    assert ok(moves(hooks, an, new))
    hooks.house.clock.forward(days=1)
    an.has_consented("newsletter")  # somebody else's mailbox by now

    done = store.erase_person(an.email)

    assert (done.known, done.moved) == (True, False)
    assert store.person(an.email) is None
    assert store.person(new.email) is not None


def test_told_again_she_moves_once(hooks: Hooks) -> None:
    """HOOK-02: one event, one mail."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    form = [moves(hooks, an, new).status_code for _ in range(3)]
    assert form == [204, 204, 204]
    assert len([e for e in new.story() if e.type is EventType.MOVED]) == 1
    hooks.house.dispatch()
    assert len(hooks.house.mailbox.to(new.email)) == 1


def test_old_links_still_stop_and_do_nothing_else(hooks: Hooks) -> None:
    """R13, WDR-09: what waits at the old address is void; a stop link from there works for ever."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    link = an.asks_for_a_link()
    from bridge.mailer import stop_token

    person = hooks.house.store.person(an.email)
    assert person
    stop = "/u/" + stop_token(hooks.house.bridge.links, person.id, person.mark, hooks.house.clock())
    hooks.house.clock.forward(minutes=1)
    moves(hooks, an, new)
    hooks.house.clock.forward(minutes=1)

    assert hooks.house.client.get(link).status_code == 404
    hooks.house.dispatch()
    assert new.confirms().status_code == 200
    assert gets(new) == set(BOTH)
    assert hooks.house.client.post(stop).status_code == 200
    assert gets(new) == set()


def test_a_confirmation_asked_at_the_old_address_is_void(hooks: Hooks) -> None:
    """R13: pending items of the old address; the mailbox that answers is not hers any more."""
    an, new = somebody(hooks, "an"), somebody(hooks, "an.new")
    asks(hooks.house, an.email, "newsletter")
    hooks.house.dispatch()
    link = an.link("/confirm/")
    hooks.house.clock.forward(minutes=1)
    moves(hooks, an, new)

    assert hooks.house.client.post(link).status_code == 410
    assert gets(new) == set()
    hooks.house.dispatch()
    assert hooks.house.mailbox.to(new.email) == []


@pytest.mark.parametrize("order", ["stop first", "move first"])
def test_a_stop_follows_her_whichever_news_comes_first(hooks: Hooks, order: str) -> None:
    """ESP-03, R13: what she said at the old address is about her; so is what is told of the new one too early."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    dirk, newer = reads(hooks, "dirk"), somebody(hooks, "dirk.new")
    acts: list[Callable[[], Any]] = [
        lambda: hooks.mailchimp("unsubscribe", an, reason="manual"),
        lambda: moves(hooks, an, new),
    ]
    for act in acts if order == "stop first" else reversed(acts):
        assert ok(act())
    assert ok(hooks.mailchimp("unsubscribe", newer, reason="manual"))
    assert ok(moves(hooks, dirk, newer))

    assert (gets(new), new.status()) == (set(), Status.WITHDRAWN)
    assert (gets(newer), newer.status()) == (set(), Status.WITHDRAWN)
    hooks.house.dispatch()
    if order == "stop first":
        assert hooks.house.mailbox.to(new.email) == []  # nothing was on, so nothing is asked


def test_a_bounce_of_the_old_address_is_no_longer_hers(hooks: Hooks) -> None:
    """R7, R13: it is about a mailbox, not about her."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    moves(hooks, an, new)
    hooks.house.dispatch()
    new.confirms()
    hooks.house.clock.forward(minutes=1)
    assert ok(hooks.mailchimp("cleaned", an, reason="hard"))
    assert gets(new) == set(BOTH)


def test_who_moved_and_is_erased_leaves_nothing_at_either_address(hooks: Hooks) -> None:
    """SUP-04, R13: the keyed hash of the old address goes with her."""
    an, new = reads(hooks, "an"), somebody(hooks, "an.new")
    moves(hooks, an, new)
    hooks.house.store.erase_person(new.email)
    with hooks.house.bridge.database.reading() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM former").scalar() == 0
        assert db.exec_driver_sql("SELECT count(*) FROM subjects").scalar() == 0
    assert ok(hooks.mailchimp("unsubscribe", an, reason="manual"))
    assert new.email not in everything_stored(hooks.house)


def test_two_people_who_turn_out_to_share_an_address_keep_the_strictest(hooks: Hooks) -> None:
    """R14: she moves to an address that is known here: what she said no to is stopped there too; the one who moved is
    held."""
    an, other = reads(hooks, "an"), reads(hooks, "other")
    hooks.mailchimp("unsubscribe", an, reason="abuse")
    hooks.house.clock.forward(minutes=1)
    els, there = reads(hooks, "els"), reads(hooks, "there")
    assert ok(moves(hooks, an, other))
    assert ok(moves(hooks, els, there))

    assert (gets(an), gets(other), other.status()) == (set(), set(), Status.OBJECTED)
    assert (gets(els), gets(there)) == (set(), set(BOTH))
    assert not hooks.house.verify().problems


def test_the_stops_of_somebody_unknown_move_too(hooks: Hooks) -> None:
    """SUP-05, R13: known only as a hash, her "no" goes with her; her new address is stored nowhere."""
    old, new = somebody(hooks, "old"), somebody(hooks, "new")
    hooks.mailchimp("cleaned", old, reason="abuse")
    assert ok(moves(hooks, old, new))

    assert new.status() is Status.OBJECTED
    assert new.email not in everything_stored(hooks.house)


def test_a_move_in_another_audience_or_to_the_same_address_is_no_news(home_hooks: Hooks) -> None:
    """R13: nothing of it is about us."""
    an = reads(home_hooks, "an")
    assert ok(moves(home_hooks, an, somebody(home_hooks, "x"), list_id="anotherone"))
    assert ok(moves(home_hooks, an, Reader(home_hooks.house, "AN@Lezer.example")))
    assert ok(moves(home_hooks, an, Reader(home_hooks.house, "nowhere")))
    assert gets(an) == set(BOTH)
    assert an.story()[-1].by_reader


# -- bad input ---------------------------------------------------------------------------------------------------


class Unread:
    """A body of fifty megabytes, of which nobody may read more than there is room for."""

    def __init__(self, most: int) -> None:
        self.left, self.read_so_far, self._most = 50_000_000, 0, most

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        self.read_so_far += size
        assert self.read_so_far <= self._most, "read into memory"
        return b" " * size

    readline = read


@pytest.mark.parametrize("told", [True, False])
def test_fifty_megabytes_are_refused_unread(home_hooks: Hooks, *, told: bool) -> None:
    """HOOK-02, decision 28: 413 at once where the length is told; else no more is read than could be right."""
    body = Unread(0 if told else 12 * 1024 * 1024)
    environ = EnvironBuilder("/webhooks/sendgrid", method="POST").get_environ()
    wire = {"CONTENT_LENGTH": "50000000"} if told else {"wsgi.input_terminated": True}
    answer = Response.from_app(home_hooks.house.app, environ | wire | {"wsgi.input": body})

    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")


ODD: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "unsigned": lambda body: {"headers": {}},
    "no time": lambda body: {"headers": signature(body, 1795000000) | {"X-Twilio-Email-Event-Webhook-Timestamp": ""}},
    "of another time": lambda body: {
        "headers": signature(body, 1795000000) | {"X-Twilio-Email-Event-Webhook-Timestamp": "1795000001"}
    },
    "of other bytes": lambda body: {"headers": signature(body + b" ", 1795000000)},
    "with a key of nobody": lambda body: {"headers": signature(body, 1795000000, STRANGER)},
    "no base64": lambda body: {"headers": {"X-Twilio-Email-Event-Webhook-Signature": "!!!not-base64"}},
}


def _stranger() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


STRANGER = _stranger()


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("content", ["news", "deep", "no json"])
def test_what_is_not_genuine_is_refused_before_it_is_read(home_hooks: Hooks, how: str, content: str) -> None:
    """HOOK-01: 401 and problem+json, for news and for what no parser would bear alike."""
    an = reads(home_hooks, "an")
    news = json.dumps([home_hooks.event(an, "unsubscribe")]).encode()
    body = {"news": news, "deep": b"[" * 500_000, "no json": b"\xff\x00"}[content]
    answer = home_hooks.house.client.post("/webhooks/sendgrid", data=body, **ODD[how](body))

    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert set(answer.json) == {"type", "title", "status"}
    assert gets(an) == set(BOTH)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[",
        b"[" * 200_000 + b"]" * 200_000,
        b'[{"email":"an@lezer.example","event":"unsubscribe","timestamp":' + b"[" * 50_000 + b"]" * 50_000 + b"}]",
        b'[{"email":"\xff@lezer.example","event":"unsubscribe","timestamp":1}]',
        b'[{"email":"\\ud800@lezer.example","event":"unsubscribe","timestamp":1}]',
        b"type=unsubscribe&data[email]=an@lezer.example",
    ],
)
def test_genuine_nonsense_is_taken_and_forgotten(home_hooks: Hooks, body: bytes) -> None:
    """HOOK-02: 2xx, so that it does not come for ever; nobody is stopped or invented."""
    an = reads(home_hooks, "an")
    assert ok(home_hooks.post("/webhooks/sendgrid", body))
    assert gets(an) == set(BOTH)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_the_bytes_count_and_not_what_they_are_called(home_hooks: Hooks, kind: str) -> None:
    """HOOK-01: a wrong content type loses no stop that is genuine, and lets nothing in that is not."""
    an = reads(home_hooks, "an")
    body = json.dumps([home_hooks.event(an, "unsubscribe")]).encode()
    refused = home_hooks.house.client.post("/webhooks/sendgrid", data=body, content_type=kind)
    assert (refused.status_code, gets(an)) == (401, set(BOTH))
    assert ok(home_hooks.post("/webhooks/sendgrid", body, content_type=kind))
    assert gets(an) == set()


def test_a_replay_changes_nothing(hooks: Hooks) -> None:
    """HOOK-01, HOOK-02: recorded and played again after a new yes: the same bytes say nothing twice."""
    an = reads(hooks, "an", "newsletter")
    body, stamp = json.dumps([hooks.event(an, "unsubscribe")]).encode(), hooks.now()
    post = lambda: hooks.house.client.post("/webhooks/sendgrid", data=body, headers=signature(body, stamp))  # noqa: E731  (the same call, twice)
    assert ok(post())
    hooks.house.clock.forward(hours=30)
    consents(hooks.house, an.email, "newsletter")
    story = len(an.story())
    assert ok(post())
    assert (gets(an), len(an.story())) == ({"newsletter"}, story)


# -- the store is away -------------------------------------------------------------------------------------------


@pytest.fixture(params=[away, locked])
def weather(request: pytest.FixtureRequest) -> Any:
    """The database is gone, or held by somebody else."""
    return request.param


def test_news_that_comes_while_the_store_is_away_is_parked_and_counts(home_hooks: Hooks, weather: Any) -> None:
    """WDR-11, WDR-13, ESP-06, decision 21: Mailchimp tries for 75 minutes only. Parked on disk without an address,
    written before anything is sent, once, at its own time."""
    house = home_hooks.house
    an, dirk, els = (reads(home_hooks, name) for name in ("an", "dirk", "els"))
    stranger = somebody(home_hooks, "stranger")
    said = house.clock()
    with weather(house):
        batch = [home_hooks.event(dirk, "spamreport"), home_hooks.event(stranger, "unsubscribe")]
        assert ok(home_hooks.mailchimp("unsubscribe", an, reason="manual"))
        assert ok(home_hooks.sendgrid(*batch))
        assert ok(home_hooks.sendgrid(*batch))
        assert ok(home_hooks.sendgrid(home_hooks.event(els, "bounce", type="bounce", status="5.1.1")))
        kept = house.bridge.spool.path.read_bytes()
    for reader in (an, dirk, els, stranger):
        assert reader.email.encode() not in kept
        assert base64.b64encode(reader.email.encode()) not in kept
    house.clock.forward(hours=3)
    house.dispatch()

    assert [gets(reader) for reader in (an, dirk, els)] == [set(), set(), set()]
    assert (an.status(), dirk.status(), els.status()) == (Status.WITHDRAWN, Status.OBJECTED, Status.GIVEN)
    assert stranger.status() is Status.WITHDRAWN
    assert {reader.story()[-1].time for reader in (an, dirk)} == {said}
    assert len([e for e in dirk.story() if e.type is EventType.COMPLAINED]) == 1
    assert house.bridge.spool.path.read_bytes() == b""
    assert not house.verify().problems


def test_what_cannot_be_parked_is_not_acknowledged(home_hooks: Hooks) -> None:
    """HOOK-02, decision 21: 503 with Retry-After, so that the ESP tells it again; so too an address that must not lie
    on disk."""
    an = reads(home_hooks, "an")
    house = home_hooks.house
    with away(house):
        answers = [moves(home_hooks, an, somebody(home_hooks, "an.new"))]
        house.bridge.spool.path.mkdir()
        answers.append(home_hooks.sendgrid(home_hooks.event(an, "unsubscribe")))
        house.bridge.spool.path.rmdir()
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
    assert gets(an) == set(BOTH)


def test_somebody_who_cannot_be_read_keeps_nobody_elses_stop(hooks: Hooks) -> None:
    """HOOK-02: one damaged row: the others of her batch are stopped, hers is kept aside and said."""
    readers = [reads(hooks, f"r{n}") for n in range(5)]
    damaged = hooks.house.store.person(readers[2].email)
    assert damaged
    with hooks.house.bridge.database.writing() as db:
        db.exec_driver_sql(f"UPDATE person_keys SET kid = 'gone' WHERE subject = {damaged.number}")
    assert ok(hooks.sendgrid(*[hooks.event(reader, "unsubscribe") for reader in readers]))

    assert [gets(reader) for n, reader in enumerate(readers) if n != 2] == [set()] * 4
    assert hooks.house.bridge.spool.aside.read_bytes().count(b"\n") == 1
