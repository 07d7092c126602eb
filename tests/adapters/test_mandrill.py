"""Mailchimp Transactional (Mandrill): mails that leave by it, and what it tells of them."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import responses

from adapters._mandrill_events import MandrillEvents
from adapters.mandrill_mail import HOST, MandrillMail
from bridge.adapter import MailLater, MailRefused, Misconfigured, Unverified, find_transport
from bridge.vocabulary import EventType, Incoming, Letter, Status
from tests.adapters import judge
from tests.adapters.judge import sample
from tests.conftest import BASE_URL, House, Reader
from tests.esps import mandrill_signature
from tests.test_store import consents

KEY = "a-webhook-key-for-tests"
API_KEY = "md-made-up-key"
URL = f"{BASE_URL}/webhooks/mandrill"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def ears(key: str = KEY) -> MandrillEvents:
    return MandrillEvents({"MANDRILL_WEBHOOK_KEY": key}, lambda: NOON)


def call(told: Any, *, key: str = KEY, url: str = URL, more: dict[str, str] | None = None) -> Incoming:
    """A call as Mandrill makes it."""
    fields = {"mandrill_events": told if isinstance(told, str) else json.dumps(told), **(more or {})}
    headers = {"x-mandrill-signature": mandrill_signature(url, list(fields.items()), key)}
    return Incoming(headers=headers, body=urlencode(fields).encode(), url=URL)


def message(event: str, **about: Any) -> dict[str, Any]:
    return {"event": event, "ts": 1795000000, "_id": event, "msg": {"email": "an@krant.example", **about}}


def means(*told: Any) -> list[EventType]:
    return [report.type for report in ears().parse(call(list(told)))]


# -- is it genuine -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(judge.MISSING, reason="official API documents not found")
def test_the_sample_and_its_probe_are_genuine() -> None:
    """HOOK-01: key, address and fields as published; so too before there is a key."""
    told = sample("mandrill-webhook.json")
    probe = told["url_check"]
    for key, events, signed in (
        (told["key"], told["mandrill_events"], told["signature"]),
        ("", probe["mandrill_events"], probe["signature"]),
    ):
        body = urlencode({"mandrill_events": events}).encode()
        ears(key).verify(Incoming(headers={"x-mandrill-signature": signed}, body=body, url=told["url"]))
    reports = ears().parse(Incoming(headers={}, body=urlencode({"mandrill_events": told["mandrill_events"]}).encode()))
    assert [(report.type, report.email) for report in reports] == [
        (EventType.BOUNCED, "bounce@example.com"),
        (EventType.COMPLAINED, "spam@example.com"),
        (EventType.UNSUBSCRIBED, "unsub@example.com"),
        (EventType.UNSUBSCRIBED, "recipient@example.com"),  # put there by hand: somebody said that she gets no mail
    ]


def test_address_key_and_fields_are_all_signed() -> None:
    """HOOK-01: also with two keys while one replaces the other; without one nothing but the probe is believed."""
    good = call([message("spam")], more={"a": "1"})
    ears(f"other,{KEY}").verify(good)
    wrong = [
        call([message("spam")], key="other"),
        call([message("spam")], key="test-webhook"),
        call([message("spam")], url=URL + "/"),
        Incoming(headers=good.headers, body=good.body + b"&b=2", url=URL),
        Incoming(headers=good.headers, body=good.body.replace(b"spam", b"send"), url=URL),
        Incoming(headers={}, body=good.body, url=URL),
        Incoming(headers={"x-mandrill-signature": "\u00e9"}, body=good.body, url=URL),
        Incoming(headers=good.headers, body=b"\xff", url=URL),
        Incoming(headers=good.headers, body=b"", url=URL),
    ]
    for one in wrong:
        with pytest.raises(Unverified):
            ears().verify(one)
    with pytest.raises(Unverified):
        ears("").verify(good)


# -- what it says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "about", "meaning"),
    [
        ("hard_bounce", {"diag": "smtp;550 5.1.1 does not exist"}, EventType.BOUNCED),
        ("hard_bounce", {}, EventType.BOUNCED),
        ("hard_bounce", {"diag": "smtp;550 5.7.1 blocked by policy"}, None),
        ("soft_bounce", {"diag": "smtp;452 4.2.2 over quota"}, EventType.DEFERRED),
        ("soft_bounce", {"diag": "smtp;552 5.2.2 over quota"}, EventType.DEFERRED),
        ("soft_bounce", {}, EventType.DEFERRED),
        ("soft_bounce", {"diag": "smtp;550 5.7.26 unauthenticated"}, None),
        ("deferral", {"diag": "451 4.3.0 later"}, None),
        ("spam", {}, EventType.COMPLAINED),
        ("unsub", {}, EventType.UNSUBSCRIBED),
        ("reject", {"reject": {"reason": "hard-bounce"}}, EventType.BOUNCED),
        ("reject", {"reject": "unsub"}, EventType.UNSUBSCRIBED),
        ("reject", {"reject": {"reason": "invalid-sender"}}, None),
        ("reject", {}, None),
        ("send", {}, None),
        ("open", {}, None),
        ("click", {}, None),
        ("danced", {}, None),
    ],
)
def test_their_words_in_ours(event: str, about: dict[str, Any], meaning: EventType | None) -> None:
    """ESP-02, R6, R7."""
    assert means(message(event, **about)) == ([meaning] if meaning else [])


@pytest.mark.parametrize(
    ("kind", "action", "reason", "meaning"),
    [
        ("blacklist", "add", "hard-bounce", EventType.BOUNCED),
        ("blacklist", "add", "soft-bounce", EventType.DEFERRED),
        ("blacklist", "add", "spam", EventType.COMPLAINED),
        ("blacklist", "change", "unsub", EventType.UNSUBSCRIBED),
        ("blacklist", "add", "custom", EventType.UNSUBSCRIBED),
        ("blacklist", "remove", "unsub", None),  # no consent either
        ("whitelist", "add", "custom", None),
    ],
)
def test_its_list_of_the_rejected(kind: str, action: str, reason: str, meaning: EventType | None) -> None:
    """ESP-01, ESP-02: who is added is stopped here; who is taken off is not subscribed by that."""
    told = {"type": kind, "action": action, "reject": {"email": "an@krant.example", "reason": reason}}
    assert means(told) == ([meaning] if meaning else [])


def test_one_spoiled_element_harms_no_other() -> None:
    """HOOK-02: and the same news twice has one name, without an address in it."""
    odd = [5, None, [], {"event": "spam"}, {"event": "spam", "msg": {"email": 7}}, {"event": "spam", "msg": "x"}]
    good = message("spam", diag=5, reject=[1])
    reports = ears().parse(call([*odd, good, *odd, good | {"ts": "soon"}, good]))
    assert [report.type for report in reports] == [EventType.COMPLAINED] * 3
    assert reports[1].time == NOON
    assert reports[0].key == reports[2].key != reports[1].key
    assert not any("@" in report.key for report in reports)


@pytest.mark.parametrize(
    "told", ["", "{}", "[", "null", "[" * 100_000, '[{"event":"spam","msg":{"email":"\\ud800@x"}}]']
)
def test_a_body_that_makes_no_sense_gives_nothing(told: str) -> None:
    assert ears().parse(call(told)) == []


# -- in the house ------------------------------------------------------------------------------------------------


@pytest.fixture
def house_of_mandrill(make_house: Callable[..., House], sqlite_url: str) -> House:
    """Its mails leave by Mandrill."""
    return make_house(sqlite_url, BRIDGE_MAIL_URL="mandrill:", MANDRILL_API_KEY=API_KEY, MANDRILL_WEBHOOK_KEY=KEY)


def test_what_became_of_our_mails_is_heard(house_of_mandrill: House) -> None:
    """HOOK-01, WDR-13, R6: at `/webhooks/mandrill`, only where mails go out that way."""
    house = house_of_mandrill
    an = Reader(house, "an.vandenberg@lezer.example")
    consents(house, an.email, "newsletter", "offers")
    told = [message("spam") | {"ts": int(house.clock().timestamp()), "msg": {"email": an.email}}]
    incoming = call(told)
    post = {"data": incoming.body, "content_type": "application/x-www-form-urlencoded"}
    signed = {"X-Mandrill-Signature": incoming.headers["x-mandrill-signature"]}

    assert house.client.head("/webhooks/mandrill").status_code == 200
    assert house.client.post("/webhooks/mandrill", **post).status_code == 401
    assert house.client.post("/webhooks/mandrill?x=1", headers=signed, **post).status_code == 401
    assert an.may().may
    assert house.client.post("/webhooks/mandrill", headers=signed, **post).status_code == 204
    assert (an.status(), an.status("offers")) == (Status.OBJECTED, Status.OBJECTED)
    probe = call("[]", key="test-webhook")
    signed = {"X-Mandrill-Signature": probe.headers["x-mandrill-signature"]}
    assert house.client.post("/webhooks/mandrill", data=probe.body, headers=signed).status_code == 204


def test_without_mandrill_there_is_no_such_webhook(home: House) -> None:
    """HOOK-01."""
    assert home.client.head("/webhooks/mandrill").status_code == 404


# -- looking -----------------------------------------------------------------------------------------------------

HOOK = "https://keuzes.krant.example/webhooks/mandrill"
NEEDED = ["hard_bounce", "soft_bounce", "spam", "unsub", "reject"]


def looked(hooks: Any, key: str = "", *, ping: int = 200, webhook: str = HOOK) -> dict[str, str]:
    """What `doctor` finds wrong, by subject."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(
            f"{HOST}/users/ping2", status=ping, json={"PING": "PONG!"} if ping == 200 else {"name": "Invalid_Key"}
        )
        mock.post(f"{HOST}/webhooks/list", json=hooks)
        settings = {"MANDRILL_API_KEY": API_KEY, "MANDRILL_WEBHOOK_KEY": key}
        found = MandrillMail("mandrill:", settings).check(webhook)
        assert all(json.loads(one.request.body or b"")["key"] == API_KEY for one in mock.calls)
    return {finding.subject: finding.fix for finding in found if not finding.ok}


@pytest.mark.parametrize(
    ("hooks", "key", "fix"),
    [
        ([], "k", "there is none to"),
        ([{"url": HOOK + "/", "events": NEEDED, "auth_key": "k"}], "k", "there is none to"),
        ([{"url": HOOK, "events": NEEDED[1:], "auth_key": "k"}], "k", "does not tell of hard_bounce"),
        ([{"url": HOOK, "events": NEEDED, "auth_key": "k"}], "", "set MANDRILL_WEBHOOK_KEY"),
        ([{"url": HOOK, "events": NEEDED, "auth_key": "k"}], "other", "set MANDRILL_WEBHOOK_KEY"),
    ],
)
def test_a_webhook_that_would_not_be_heard_is_named(hooks: Any, key: str, fix: str) -> None:
    """SND-03, HOOK-01: mails that come back in silence are held against nobody, until Mandrill holds them against us."""
    (told,) = looked(hooks, key).values()
    assert fix in told


def test_a_road_that_is_open_and_tells_has_nothing_to_mend() -> None:
    assert looked([{"url": HOOK, "events": [*NEEDED, "send"], "auth_key": "k"}], "old,k") == {}
    assert looked(None, webhook="") == {}


@pytest.mark.parametrize("odd", [None, {}, "hooks"])
def test_an_answer_of_another_kind_is_one_line(odd: Any) -> None:
    assert "not as it should" in looked(odd)["mandrill answers"]


def test_a_key_that_is_refused_is_named() -> None:
    assert "MANDRILL_API_KEY" in looked([], ping=401)["mandrill answers"]


# -- sending -----------------------------------------------------------------------------------------------------

LETTER = Letter(
    sender="De Krant <nieuws@krant.example>",
    to="an@krant.example",
    reply_to="lezers@krant.example",
    subject="Bevestig",
    text="Hallo",
    html="<p>Hallo</p>",
    message_id="<m1@krant.example>",
    headers={"List-Unsubscribe": "<https://krant.example/u/x>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    attachments=(("bewijs.txt", "text/plain", b"ja"),),
)


def send(answer: Any = None, status: int = 200, **how: Any) -> list[Any]:
    """Hand a letter over; what was asked."""
    with responses.RequestsMock() as mock:
        told = {"json": answer} if answer is not None else how
        mock.post(f"{HOST}/messages/send", status=status, **told)
        MandrillMail("mandrill:", {"MANDRILL_API_KEY": API_KEY}).send(LETTER, lambda: None)
        return [json.loads(one.request.body or b"") for one in mock.calls]


@pytest.mark.parametrize("status", ["sent", "queued", "scheduled"])
def test_a_mail_goes_out_whole_and_untouched(status: str) -> None:
    """SND-04, WDR-06: our headers, no tracking, the receipt with it."""
    (asked,) = send([{"email": LETTER.to, "status": status, "_id": "x"}])
    told = asked["message"]
    assert asked["key"] == API_KEY
    assert (told["from_email"], told["from_name"], told["to"]) == (
        "nieuws@krant.example",
        "De Krant",
        [{"email": LETTER.to, "type": "to"}],
    )
    assert told["headers"] == {**LETTER.headers, "Message-ID": LETTER.message_id, "Reply-To": LETTER.reply_to}
    assert (told["track_opens"], told["track_clicks"], told["view_content_link"]) == (False, False, False)
    assert base64.b64decode(told["attachments"][0]["content"]) == b"ja"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ([{"status": "rejected", "reject_reason": "hard-bounce"}], "5.1.1"),
        ([{"status": "rejected", "reject_reason": "unsub"}], ""),
        ([{"status": "invalid"}], "5.1.3"),
        ({"status": "error", "name": "ValidationError"}, ""),
    ],
)
def test_what_it_will_never_take(answer: Any, code: str) -> None:
    """R7: a dead address is told as one."""
    with pytest.raises(MailRefused) as refused:
        send(answer)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("how", "maybe"),
    [
        ({"answer": {"status": "error", "name": "Invalid_Key"}, "status": 401}, False),
        ({"answer": {"status": "error", "name": "GeneralError"}, "status": 500}, True),
        ({"body": b"<html>", "status": 502}, True),
        ({"answer": [], "status": 200}, True),
        ({"body": TimeoutError("x")}, True),
    ],
)
def test_what_may_work_later(how: dict[str, Any], *, maybe: bool) -> None:
    """ESP-06: and whether it may have left all the same; neither key nor address is told."""
    if "body" in how and isinstance(how["body"], Exception):
        import requests

        how = {"body": requests.Timeout(API_KEY + LETTER.to)}
    with pytest.raises(MailLater) as later:
        send(**how)
    assert later.value.maybe is maybe
    assert API_KEY not in later.value.reason
    assert LETTER.to not in later.value.reason


def test_it_is_found_and_needs_its_key() -> None:
    assert find_transport("mandrill:") is MandrillMail
    with pytest.raises(Misconfigured, match="MANDRILL_API_KEY"):
        MandrillMail("mandrill:", {})
