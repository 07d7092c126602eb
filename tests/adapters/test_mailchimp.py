"""Mailchimp: what we tell it, what it answers, what it tells us.

MIN-04 (nothing else leaves), ESP-03 (twice is as good as once), ESP-04 (erased there), ESP-06 (down, slow, busy),
HOOK-01 (verify over the raw bytes), decisions 7 and 24. Every request is judged by Mailchimp's own document.
"""

import hashlib
import hmac
import io
import json
import tarfile
import traceback
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from adapters.mailchimp import Mailchimp
from bridge.adapter import AdapterError, Misconfigured, Unverified
from bridge.vocabulary import ALONE, DONE, EventType, Incoming, Member, Outcome, OutcomeKind
from tests.adapters import judge
from tests.adapters.conftest import AN, BRAM, CARLA, LINK, NOT_THERE, Answer, Call, Desk, an, payload
from tests.adapters.judge import sample

AUDIENCE = "a1b2c3d4e5"
NEWS, OFFERS = "11aa22bb33", "44cc55dd66"
KEY = "0123456789abcdef0123456789abcdef-us21"
SECRET = "a-path-nobody-guesses"
SIGNING = "made-up-signing-secret"
SETTINGS = {"MAILCHIMP_API_KEY": KEY, "MAILCHIMP_WEBHOOK_SECRET": SECRET}
PLACES = {
    "newsletter": {"audience": AUDIENCE, "interest": NEWS},
    "offers": {"audience": AUDIENCE, "interest": OFFERS},
}
MEMBER = rf"/lists/{AUDIENCE}/members/[0-9a-f]{{32}}"
PROBLEM = "application/problem+json; charset=utf-8"


@pytest.fixture
def adapter() -> Mailchimp:
    return Mailchimp(SETTINGS, PLACES, {"first_name": "FNAME"})


def obeys(call: Call) -> Answer:
    """Mailchimp doing as it was told."""
    told = call.body
    return Answer(
        200,
        {
            "email_address": told.get("email_address", AN),
            "status": told.get("status") or told.get("status_if_new"),
            "interests": told.get("interests", {}),
            "merge_fields": told.get("merge_fields", {}),
        },
    )


def keeps(**kept: object) -> object:
    """Mailchimp keeping something as it was."""

    def answer(call: Call) -> Answer:
        return Answer(200, obeys(call).body | kept)

    return answer


def problem(title: str, status: int = 400, detail: str = "") -> Answer:
    return Answer(status, {"title": title, "status": status, "detail": detail}, content_type=PROBLEM)


def test_only_what_is_declared_leaves_the_house(adapter: Mailchimp, mailchimp: Desk) -> None:
    """MIN-04: address, language, list flags, link and declared fields; nothing else, and `status` only when fresh."""
    mailchimp.on("PUT", MEMBER, obeys)
    member = an(fields={"first_name": "An", "birthday": "1970-01-01"})

    assert adapter.put([member]) == [DONE]

    (call,) = mailchimp.calls
    assert call.body == {
        "email_address": AN,
        "status_if_new": "subscribed",
        "interests": {NEWS: True, OFFERS: False},
        "language": "nl",
        "merge_fields": {"FNAME": "An", "PREFS": LINK},
    }
    assert call.query == {"skip_merge_validation": "true"}
    assert call.path.endswith(hashlib.md5(AN.encode()).hexdigest())


def test_a_fresh_yes_lifts_the_stop_there(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("PUT", MEMBER, obeys)

    assert adapter.put([an(fresh=True)]) == [DONE]

    assert mailchimp.calls[0].body["status"] == "subscribed"


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned", "archived"])
def test_without_a_fresh_yes_a_stop_there_stands(adapter: Mailchimp, mailchimp: Desk, status: str) -> None:
    """Decision 1; contracts finding 8: the state is looked at after writing."""
    mailchimp.on("PUT", MEMBER, keeps(status=status))

    assert adapter.put([an()]) == [Outcome(OutcomeKind.REFUSED, "stopped_there")]

    assert "status" not in mailchimp.calls[0].body


@pytest.mark.parametrize(
    ("kept", "kind", "reason"),
    [
        ({"status": "unsubscribed"}, OutcomeKind.REFUSED, "form_there"),
        ({"status": "archived"}, OutcomeKind.REFUSED, "form_there"),
        ({"status": "cleaned"}, OutcomeKind.REFUSED, "form_there"),
        ({"status": "transactional"}, OutcomeKind.REFUSED, "form_there"),
        ({"status": "pending"}, OutcomeKind.REFUSED, "waiting_there"),
        ({"status": "something new"}, OutcomeKind.LATER, "kept_unknown"),
        ({"interests": {NEWS: False, OFFERS: True}}, OutcomeKind.LATER, "kept_interests"),
        ({"merge_fields": {"PREFS": LINK[:20]}}, OutcomeKind.LATER, "kept_prefs"),
        ({"merge_fields": None}, OutcomeKind.LATER, "kept_prefs"),
    ],
)
def test_what_mailchimp_ignores_has_a_name(
    adapter: Mailchimp, mailchimp: Desk, kept: dict[str, object], kind: OutcomeKind, reason: str
) -> None:
    mailchimp.on("PUT", MEMBER, keeps(**kept))

    # Where she is subscribed all the same her yes was taken: a retry must not lift a newer stop.
    taken = reason in ("kept_interests", "kept_prefs")
    assert adapter.put([an(fresh=True)]) == [Outcome(kind, reason, told=taken)]


def test_nobody_is_created_who_has_nothing_on(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Never there is as good as gone."""
    members = [an(on=frozenset()), an(on=frozenset({"newsletter"}), blocked=True)]

    assert adapter.put(members) == [DONE, DONE]

    assert mailchimp.made("PUT") == []
    assert [call.body for call in mailchimp.made("PATCH")] == [
        {"status": "unsubscribed", "interests": {NEWS: False, OFFERS: False}}
    ] * 2


def test_leaving_one_purpose_switches_its_interest_off_and_leaving_the_last_unsubscribes(
    adapter: Mailchimp, mailchimp: Desk
) -> None:
    """Decision 7."""
    mailchimp.on("PUT", MEMBER, obeys)
    mailchimp.on("PATCH", MEMBER, obeys)

    assert adapter.put([an(on=frozenset({"offers"}), stopped=frozenset({"newsletter"}))]) == [DONE]
    assert adapter.put([an(on=frozenset(), stopped=frozenset({"newsletter", "offers"}))]) == [DONE]

    one, last = mailchimp.calls
    assert (one.method, one.body["interests"]) == ("PUT", {NEWS: False, OFFERS: True})
    assert (last.method, last.body["status"]) == ("PATCH", "unsubscribed")


@pytest.mark.parametrize("title", ["Member In Compliance State", "Forgotten Email Not Subscribed"])
def test_a_stop_for_an_address_that_gets_nothing_anyway_is_done(
    adapter: Mailchimp, mailchimp: Desk, title: str
) -> None:
    mailchimp.on("PATCH", MEMBER, problem(title))

    assert adapter.put([an(on=frozenset())]) == [DONE]


def test_a_stop_that_is_not_obeyed_is_tried_again(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Decision 23: stops are never given up."""
    mailchimp.on("PATCH", MEMBER, keeps(status="subscribed"))

    assert adapter.put([an(on=frozenset())]) == [Outcome(OutcomeKind.LATER, "kept_subscribed")]


def test_a_link_that_mailchimp_would_cut_is_not_sent_but_the_stop_is(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Contracts finding 10: text fields are cut at 255 bytes without an error."""
    mailchimp.on("PATCH", MEMBER, obeys)
    longest = "https://prefs.krant.example/" + "p" * (255 - 28)
    mailchimp.on("PUT", MEMBER, obeys)

    outcomes = adapter.put([an(link=longest), an(link=longest + "p"), an(link="https://é" + "p" * 246)])

    too_long = Outcome(OutcomeKind.REFUSED, "link_too_long")
    assert outcomes == [DONE, too_long, too_long]
    assert len(mailchimp.made("PUT")) == 1
    assert [call.body for call in mailchimp.made("PATCH")] == [{"interests": {OFFERS: False}}] * 2


def test_each_audience_is_told_by_itself(mailchimp: Desk) -> None:
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    mailchimp.on("PUT", "/lists/aaaa000001/.*", problem("Member In Compliance State"))
    mailchimp.on("PATCH", "/lists/bbbb000002/.*", obeys)

    outcomes = Mailchimp(SETTINGS, places, {}).put([an(stopped=frozenset({"offers"}))])

    assert outcomes == [Outcome(OutcomeKind.REFUSED, "compliance")]
    assert "interests" not in mailchimp.made("PUT")[0].body
    assert mailchimp.made("PATCH")[0].body == {"status": "unsubscribed"}


#: Each body of the vendors' samples -> what becomes of the member, or of the whole call.
NAMED = {
    "compliance": (OutcomeKind.REFUSED, "form_there"),
    "forgotten": (OutcomeKind.REFUSED, "gone_there"),
    "too_many_signups": (OutcomeKind.LATER, "too_many_signups"),
    "fake": (OutcomeKind.REFUSED, "fake"),
    "merge_fields": (OutcomeKind.REFUSED, "merge_fields"),
    "member_exists": (OutcomeKind.LATER, "member_exists"),
    "schema": (OutcomeKind.REFUSED, "schema"),
    "not_found": (OutcomeKind.LATER, "not_found"),
    "method_not_allowed": (OutcomeKind.REFUSED, "method_not_allowed"),
    "internal": (OutcomeKind.LATER, "internal"),
    "api_key": Misconfigured,
    "too_many_requests": AdapterError,
    "throttled_without_body": AdapterError,
}


def test_every_known_error_has_one_named_outcome(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Issue 2, section 5. Some come as text, some without a body: SDK 3.0.80 raises only for the first."""
    errors = sample("mailchimp-errors.json")["errors"]
    assert {error["name"] for error in errors} == set(NAMED)
    for error in errors:
        mailchimp.on("PUT", MEMBER, Answer(error["status"], error["body"], content_type=error["content_type"]))
        expected = NAMED[error["name"]]
        if isinstance(expected, type):
            with pytest.raises(expected) as caught:
                adapter.put([an(fresh=True)])
            assert type(caught.value) is expected
            assert "@" not in str(caught.value)
        else:
            (outcome,) = adapter.put([an(fresh=True)])
            assert (outcome.kind, outcome.reason) == expected, error["name"]


def test_a_guard_of_mailchimps_asks_for_hours(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on(
        "PUT", MEMBER, problem("Invalid Resource", detail="an@x has signed up to a lot of lists very recently")
    )

    (outcome,) = adapter.put([an()])

    assert outcome.wait is not None
    assert outcome.wait >= 3600


def test_one_bad_person_does_not_fail_the_batch(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("PUT", MEMBER, obeys, problem("Invalid Resource", detail="bram looks fake or invalid"), obeys)

    outcomes = adapter.put([an(), an(email=BRAM), an(email=CARLA)])

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.DONE, OutcomeKind.REFUSED, OutcomeKind.DONE]


def test_when_it_goes_down_midway_the_rest_comes_later(adapter: Mailchimp, mailchimp: Desk) -> None:
    """ESP-06: no call is made to an ESP that just said it is busy."""
    mailchimp.on("PUT", MEMBER, obeys, Answer(429, None, content_type=None))

    outcomes = adapter.put([an(), an(email=BRAM), an(email=CARLA)])

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.DONE, OutcomeKind.LATER, OutcomeKind.LATER]
    assert len(mailchimp.calls) == 2


@pytest.mark.parametrize("body", [None, {"title": "Too Many Requests", "detail": "slow down", "status": 429}])
@pytest.mark.parametrize(("seconds", "wait"), [("30", 30.0), ("soon", None)])
def test_what_mailchimp_asks_us_to_wait_is_heeded(
    adapter: Mailchimp, mailchimp: Desk, body: object, seconds: str, wait: float | None
) -> None:
    """ESP-06: by a call of the SDK's, which keeps no header, and by our own for batches."""
    kind = "application/json; charset=utf-8" if body else None
    mailchimp.on("PUT", MEMBER, Answer(429, body, {"Retry-After": seconds}, content_type=kind))
    with pytest.raises(AdapterError) as caught:
        adapter.put([an()])
    assert caught.value.wait == wait
    mailchimp.on("POST", "/batches", Answer(429, body, {"Retry-After": seconds}, content_type=kind))
    with pytest.raises(AdapterError) as caught:
        adapter.put([an(email=f"p{number}@krant.example") for number in range(30)])
    assert caught.value.wait == wait


def test_an_error_inside_mailchimp_is_about_one_member_until_it_is_not(adapter: Mailchimp, mailchimp: Desk) -> None:
    """One may be about one member; three in a row are about Mailchimp, and it is left in peace."""
    internal = problem("InternalServerError", 500)
    mailchimp.on("PUT", MEMBER, internal, obeys, internal)

    outcomes = adapter.put([an(email=f"p{number}@krant.example") for number in range(20)])

    assert outcomes[1] == DONE
    assert {outcome.reason for outcome in outcomes[2:]} == {"internal"}
    assert len(mailchimp.calls) == 5


@pytest.mark.parametrize(
    "answer",
    [
        requests.ConnectionError(f"cannot reach https://user:{KEY}@us21.api.mailchimp.com/"),
        requests.ReadTimeout("too slow"),
        Answer(503, None, content_type=None),
        Answer(502, b"<html>Bad Gateway</html>", content_type="text/html"),
        Answer(403, None, content_type=None),
        Answer(200, b"<html>a hotel's login page</html>", content_type="text/html"),
        Answer(200, b"{broken", content_type="application/json"),
        Answer(200, b"[1]", content_type="application/json"),
    ],
)
def test_trouble_on_the_way_says_later_and_no_secret(
    adapter: Mailchimp, mailchimp: Desk, answer: Answer | Exception
) -> None:
    """ESP-06: a network error, an empty error, a page instead of an answer."""
    mailchimp.on("PUT", MEMBER, answer)

    with pytest.raises(AdapterError) as caught:
        adapter.put([an()])

    assert type(caught.value) is AdapterError
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_an_answer_without_anything_in_it_is_not_taken_for_done(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("PUT", MEMBER, Answer(200, {}))
    mailchimp.on("PATCH", MEMBER, Answer(204, None, content_type=None))

    outcomes = adapter.put([an(), an(on=frozenset())])

    assert outcomes == [Outcome(OutcomeKind.LATER, "kept_unknown")] * 2


def test_a_server_that_never_answers_ends_by_our_limit(silent_server: str) -> None:
    """ESP-06; the SDK itself would wait two minutes."""

    class Hasty(Mailchimp):
        seconds = 0.2

    adapter = Hasty(SETTINGS | {"MAILCHIMP_BASE_URL": f"{silent_server}/3.0"}, PLACES, {})

    with pytest.raises(AdapterError, match="Timeout"):
        adapter.put([an()])


def test_the_word_server_in_an_address_harms_nothing(mailchimp: Desk) -> None:
    """SDK 3.0.80 replaces every "server" in a URL by the data centre."""
    places = {"newsletter": {"audience": "server0001"}}
    mailchimp.on("PUT", "/lists/server0001/members/.*", obeys)

    assert Mailchimp(SETTINGS, places, {}).put([an(email="webserver@krant.example")]) == [DONE]


# Many at once.

BATCH = "8b2428d747"
RESULT = "https://us21.api.mailchimp.com/files/result.tar.gz"


def crowd(count: int = 25, **about: Any) -> list[Member]:
    """So many people that they go by a batch."""
    return [an(email=f"p{number}@krant.example", **about) for number in range(count)]


def packed(*files: bytes) -> bytes:
    """A result as Mailchimp packs it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        folder = tarfile.TarInfo("results")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, file in enumerate(files):
            entry = tarfile.TarInfo(f"results/{number}.json")
            entry.size = len(file)
            archive.addfile(entry, io.BytesIO(file))
    return content.getvalue()


def done(place: int, body: object, status: int = 200, audience: int = 0) -> dict[str, Any]:
    """One line of a result."""
    return {"status_code": status, "operation_id": f"{place}.{audience}", "response": json.dumps(body)}


def finished(desk: Desk, result: bytes | Answer, link: str = RESULT) -> None:
    """The batch is over and its result is this."""
    desk.on("GET", f"/batches/{BATCH}", Answer(200, {"status": "finished", "response_body_url": link}))
    answer = result if isinstance(result, Answer) else Answer(200, result, content_type="application/gzip")
    desk.on("GET", "/files/result.tar.gz", answer)


def taken(desk: Desk) -> None:
    """Batches are taken."""
    desk.on("POST", "/batches", Answer(200, {"id": BATCH, "status": "pending"}))


def test_many_people_are_one_batch_of_upserts_without_a_status(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Decision 24: `status_if_new` only, whoever said yes; ids that say nothing about anybody (decision 18)."""
    taken(mailchimp)
    members = crowd(300, fresh=True)

    assert adapter.put(members) == [Outcome(OutcomeKind.PENDING, "job", job=BATCH)] * 300

    (call,) = mailchimp.calls
    operations = call.body["operations"]
    assert [operation["operation_id"] for operation in operations] == [f"{place}.0" for place in range(300)]
    assert {operation["method"] for operation in operations} == {"PUT"}
    assert {json.dumps(operation["params"]) for operation in operations} == {'{"skip_merge_validation": "true"}'}
    for operation, member in zip(operations, members, strict=True):
        body = json.loads(operation["body"])
        assert body["email_address"] == member.email
        assert body["status_if_new"] == "subscribed"
        assert "status" not in body
        assert operation["path"].endswith(hashlib.md5(member.email.encode()).hexdigest())


def test_a_batch_never_has_more_than_five_hundred_operations(mailchimp: Desk) -> None:
    """Two audiences are two operations a person."""
    taken(mailchimp)
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    adapter = Mailchimp(SETTINGS, places, {})
    adapter.put(crowd(500, on=frozenset(places)))

    sizes = [len(call.body["operations"]) for call in mailchimp.made("POST", "/batches")]
    assert sizes == [500, 500]


def test_stops_and_whatever_needs_a_status_go_by_direct_calls_stops_first(adapter: Mailchimp, mailchimp: Desk) -> None:
    """WDR-11: a stop does not wait in a batch."""
    taken(mailchimp)
    mailchimp.on("PATCH", MEMBER, obeys)
    stop = an(email=BRAM, on=frozenset(), stopped=frozenset({"newsletter", "offers"}))
    long = an(email=CARLA, link="https://prefs.krant.example/" + "p" * 300)
    outcomes = adapter.put([*crowd(), stop, long])

    assert [call.method for call in mailchimp.calls] == ["PATCH", "POST", "PATCH"]
    assert mailchimp.calls[0].body["status"] == "unsubscribed"
    assert outcomes[-2:] == [DONE, Outcome(OutcomeKind.REFUSED, "link_too_long")]
    assert {outcome.job for outcome in outcomes[:-2]} == {BATCH}


def test_an_audience_she_never_heard_of_costs_no_call(mailchimp: Desk) -> None:
    """Of many new people each has one of two audiences: nothing of ours is in the other."""
    taken(mailchimp)
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    adapter = Mailchimp(SETTINGS, places, {})
    adapter.put(crowd(first=True))

    (call,) = mailchimp.calls
    assert {operation["path"].split("/")[2] for operation in call.body["operations"]} == {"aaaa000001"}


def test_each_ones_outcome_is_read_from_the_result(adapter: Mailchimp, mailchimp: Desk) -> None:
    """The body of each operation is looked at like the answer to a direct call, in whatever order they come."""
    kept = {"status": "subscribed", "interests": {NEWS: True}, "merge_fields": {"PREFS": LINK}}
    lines = [
        done(6, {"status": "subscribed", "interests": {NEWS: True}, "merge_fields": {"PREFS": LINK[:9]}}),
        done(0, kept),
        done(1, {"status": "unsubscribed"}),
        done(2, {"title": "Forgotten Email Not Subscribed", "status": 400, "detail": "x"}, 400),
        done(3, {"title": "Invalid Resource", "detail": "p looks fake or invalid"}, 400),
        done(4, None, 429),
    ]
    others = [done(99, kept), {"status_code": 200, "operation_id": "", "response": ""}, done(7, [1])]
    finished(mailchimp, packed(json.dumps(lines).encode(), json.dumps(others).encode()))

    outcomes = adapter.follow(BATCH, crowd(9))

    assert [(told.kind.value, told.reason) for told in outcomes] == [
        ("done", ""),
        ("refused", "stopped_there"),
        ("refused", "gone_there"),
        ("refused", "fake"),
        ("later", "operation_failed"),
        ("later", "no_result"),
        ("later", "kept_prefs"),
        ("later", "kept_unknown"),
        ("later", "no_result"),
    ]
    assert outcomes[6].told
    link = mailchimp.made("GET", "/files/result.tar.gz")[0]
    assert "Authorization" not in link.headers, "the link is its own key"


def test_who_left_there_and_has_said_yes_since_is_told_by_a_direct_call(adapter: Mailchimp, mailchimp: Desk) -> None:
    """R3: only her own fresh yes lifts a stop there, and only outside of a batch, once her stop there was asked for."""
    finished(mailchimp, packed(json.dumps([done(0, {"status": "unsubscribed"})]).encode()))

    assert adapter.follow(BATCH, [an(fresh=True)]) == [Outcome(OutcomeKind.LATER, ALONE, 0.0)]

    assert not mailchimp.made("PUT")


@pytest.mark.parametrize(
    ("result", "kind", "reason"),
    [
        (Answer(403, b"expired", content_type="text/xml"), OutcomeKind.PENDING, "link_expired"),
        (Answer(404, None, content_type=None), OutcomeKind.LATER, "result_missing"),
        (b"no archive", OutcomeKind.LATER, "result_ReadError"),
        (packed(json.dumps([done(0, {})]).encode())[:60], OutcomeKind.LATER, "result_ReadError"),
        (packed(b"[{broken"), OutcomeKind.LATER, "result_DecodeError"),
        (packed(b'[{"operation_id": 1}]'), OutcomeKind.LATER, "result_ValidationError"),
    ],
    ids=["expired", "gone", "no archive", "cut off", "no json", "no result"],  # an archive holds the time it was made
)
def test_a_result_that_cannot_be_had_has_a_name(
    adapter: Mailchimp, mailchimp: Desk, result: bytes | Answer, kind: OutcomeKind, reason: str
) -> None:
    """Contracts section 4: nothing is lost; who is not known to be done is told again."""
    finished(mailchimp, result)

    assert adapter.follow(BATCH, crowd(2)) == [Outcome(kind, reason)] * 2


def test_a_result_is_only_fetched_over_https(adapter: Mailchimp, mailchimp: Desk) -> None:
    finished(mailchimp, b"", link="http://elsewhere.example/result.tar.gz")

    assert adapter.follow(BATCH, crowd(1))[0].reason == "result_address"
    assert len(mailchimp.calls) == 1


@pytest.mark.parametrize("status", ["pending", "preprocessing", "started", "finalizing", "a new word", None])
def test_a_batch_that_is_not_over_is_one_call(adapter: Mailchimp, mailchimp: Desk, status: str | None) -> None:
    mailchimp.on("GET", f"/batches/{BATCH}", Answer(200, {"status": status}))

    assert {told.kind for told in adapter.follow(BATCH, crowd(500))} == {OutcomeKind.PENDING}

    assert len(mailchimp.calls) == 1


def test_a_batch_mailchimp_no_longer_knows_is_told_again(adapter: Mailchimp, mailchimp: Desk) -> None:
    assert adapter.follow(BATCH, crowd(2)) == [Outcome(OutcomeKind.LATER, "job_unknown")] * 2


def test_too_many_waiting_batches_are_no_trouble_of_a_person(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Contracts section 4: 500 pending batches; direct calls go on."""
    mailchimp.on("POST", "/batches", problem("Too Many Requests", 429, "You have more than 500 pending batches."))

    outcomes = adapter.put(crowd())

    assert set(outcomes) == {Outcome(OutcomeKind.LATER, "batches_full", 60.0, away=True)}
    assert len(mailchimp.calls) == 1


@pytest.mark.parametrize(("answer", "maybe"), [(requests.ReadTimeout("slow"), True), (Answer(503, None), False)])
def test_a_call_that_may_have_been_heard_is_told_apart(
    adapter: Mailchimp, mailchimp: Desk, answer: Answer | Exception, maybe: bool
) -> None:
    """Decision 24: where nobody knows whether there is a job, its people are told again later."""
    mailchimp.on("POST", "/batches", answer)

    with pytest.raises(AdapterError) as caught:
        adapter.put(crowd())

    assert caught.value.maybe is maybe


def test_a_line_that_never_stood_carried_nothing() -> None:
    """Refused at the door: no job can have begun."""
    adapter = Mailchimp(SETTINGS | {"MAILCHIMP_BASE_URL": "http://127.0.0.1:1/3.0"}, PLACES, {})
    with pytest.raises(AdapterError) as caught:
        adapter.put(crowd())
    assert not caught.value.maybe


def test_erasing_deletes_for_good_and_looks(adapter: Mailchimp, mailchimp: Desk) -> None:
    """ESP-04."""
    mailchimp.on("POST", f"{MEMBER}/actions/delete-permanent", Answer(204, None, content_type=None))

    assert adapter.erase([AN]) == [DONE]

    assert [call.method for call in mailchimp.calls] == ["POST", "GET"]


def test_erasing_somebody_who_was_never_there_is_done(adapter: Mailchimp, mailchimp: Desk) -> None:
    assert adapter.erase([AN]) == [DONE]
    assert mailchimp.calls


def test_erasing_is_not_believed_while_the_member_can_be_read(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("POST", f"{MEMBER}/actions/delete-permanent", Answer(204, None, content_type=None))
    mailchimp.on("GET", MEMBER, Answer(200, {"status": "archived"}))

    assert adapter.erase([AN]) == [Outcome(OutcomeKind.LATER, "still_there")]


def person(number: int, **about: object) -> dict[str, object]:
    told = {
        "email_address": f"p{number}@krant.example",
        "status": "subscribed",
        "interests": {NEWS: True, OFFERS: False},
    }
    return told | about


def listing(people: list[dict[str, object]], archived: list[dict[str, object]]) -> object:
    def answer(call: Call) -> Answer:
        chosen = archived if call.query.get("status") == "archived" else people
        offset, count = int(call.query["offset"]), int(call.query["count"])
        return Answer(200, {"members": chosen[offset : offset + count], "total_items": len(chosen)})

    return answer


def test_everybody_is_read_to_the_last_page_and_once(adapter: Mailchimp, mailchimp: Desk) -> None:
    people = [person(number) for number in range(2300)]
    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", listing(people, [person(9999, status="archived")]))

    members = list(adapter.members())

    assert len(members) == 2301
    assert len({member.email for member in members}) == 2301
    assert members[0].on == {"newsletter"}
    assert members[-1].on == frozenset()


def test_a_page_that_is_too_large_is_halved(adapter: Mailchimp, mailchimp: Desk) -> None:
    """python-mailchimp 207: large pages may answer 504."""
    whole = listing([person(number) for number in range(700)], [])

    def answer(call: Call) -> Answer:
        return Answer(504, None, content_type=None) if int(call.query["count"]) > 300 else whole(call)  # type: ignore[operator]

    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", answer)

    assert len(list(adapter.members())) == 700


def test_what_a_status_there_says_about_mail(adapter: Mailchimp, mailchimp: Desk) -> None:
    people = [
        person(1, language="nl", merge_fields={"PREFS": LINK}),
        person(2, status="unsubscribed"),
        person(3, status="cleaned"),
        person(4, status="pending"),
    ]
    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", listing(people, []))

    one, left, dead, asked = adapter.members()

    assert (one.on, one.language, one.link) == ({"newsletter"}, "nl", LINK)
    assert (left.on, left.stopped) == (frozenset(), {"newsletter", "offers"})
    assert (dead.on, dead.blocked) == (frozenset(), True)
    assert (asked.on, asked.stopped) == (frozenset(), frozenset())


def test_one_person_in_two_audiences_is_one_member(mailchimp: Desk) -> None:
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    mailchimp.on("GET", "/lists/aaaa000001/members", listing([person(1)], []))
    mailchimp.on("GET", "/lists/bbbb000002/members", listing([person(1, email_address="P1@krant.example")], []))

    (member,) = Mailchimp(SETTINGS, places, {}).members()

    assert member.on == {"newsletter", "offers"}


def complaints(*rows: tuple[str, str]) -> object:
    def answer(call: Call) -> Answer:
        told = [{"email_address": email, "date": date} for email, date in rows]
        return Answer(200, {"abuse_reports": told[int(call.query["offset"]) :], "total_items": len(told)})

    return answer


def test_everybody_is_told_in_groups_with_what_stops_them_and_since_when(adapter: Mailchimp, mailchimp: Desk) -> None:
    """ESP-02: complaints, then all pages, then the archived ones."""
    since = "2026-11-20T08:00:00+00:00"
    people = [
        person(1, last_changed=since),
        person(2, status="unsubscribed", last_changed=since),
        person(3, status="cleaned", last_changed=since),
        person(4, status="pending"),
        person(5, interests={NEWS: True, OFFERS: True}),
        person(6, interests=None),
    ]
    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", listing(people, [person(9, status="archived")]))
    mailchimp.on("GET", f"/lists/{AUDIENCE}/abuse-reports", complaints((AN, since)))

    told = list(adapter.everybody())

    seconds = int(datetime.fromisoformat(since).timestamp())
    found = {email: (seen.on, seen.stop, seen.purposes, seen.times) for seen in told for email in seen.emails}
    both = frozenset({"newsletter", "offers"})
    assert told[0].emails == [AN]
    assert found == {
        AN: (frozenset(), EventType.COMPLAINED, frozenset(), [seconds]),
        "p1@krant.example": (frozenset({"newsletter"}), None, frozenset(), ()),
        "p2@krant.example": (frozenset(), EventType.UNSUBSCRIBED, both, [seconds]),
        "p3@krant.example": (frozenset(), EventType.BOUNCED, frozenset(), [seconds]),
        "p4@krant.example": (frozenset(), None, frozenset(), ()),
        "p5@krant.example": (both, None, frozenset(), ()),
        "p6@krant.example": (frozenset(), None, frozenset(), ()),
        "p9@krant.example": (frozenset(), EventType.UNSUBSCRIBED, both, [0]),
    }


def test_reading_everybody_goes_on_from_any_mark(adapter: Mailchimp, mailchimp: Desk) -> None:
    """What was read before a crash is not read again, but for a small overlap."""
    people = [person(number) for number in range(2300)]
    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", listing(people, [person(9999, status="archived")]))
    mailchimp.on("GET", f"/lists/{AUDIENCE}/abuse-reports", complaints())

    whole = list(adapter.everybody())
    marks = [seen.mark for seen in whole if seen.mark]
    assert len(marks) == len(set(marks)) >= 4

    for place, mark in enumerate(marks):
        before = {email for seen in whole[: place + 1] for email in seen.emails}
        after = {email for seen in adapter.everybody(mark) for email in seen.emails}
        assert len(before | after) == 2301
    assert {email for seen in adapter.everybody(marks[-1]) for email in seen.emails} == set()


@pytest.mark.parametrize("body", [b"<html>", b'{"members": 7}', b'{"members": [{"email_address": 5}]}'])
def test_a_page_of_another_shape_is_not_taken_for_an_empty_one(
    adapter: Mailchimp, mailchimp: Desk, body: bytes
) -> None:
    """ESP-06: fail closed."""
    mailchimp.on("GET", f"/lists/{AUDIENCE}/abuse-reports", complaints())
    mailchimp.on("GET", f"/lists/{AUDIENCE}/members", Answer(200, body))
    with pytest.raises(AdapterError):
        list(adapter.everybody())


# Webhooks.


def call(body: bytes, signature: str | None = None, secret: str = SECRET) -> Incoming:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Incoming(
        headers=headers | ({"x-mailchimp-signature": signature} if signature else {}), body=body, secret=secret
    )


def signing(secrets: str, now: int) -> Mailchimp:
    class Then(Mailchimp):
        clock = staticmethod(lambda: datetime.fromtimestamp(now, UTC))

    return Then(SETTINGS | {"MAILCHIMP_WEBHOOK_SIGNING_SECRET": secrets}, PLACES, {})


def signed(body: bytes, time: int, secret: str = SIGNING) -> Incoming:
    v1 = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return call(body, f"t={time},v1={v1}")


@pytest.mark.parametrize("secret", ["", "a-path-nobody-guesse", "a-path-nobody-guesses1", "é"])
def test_a_wrong_path_is_refused(adapter: Mailchimp, secret: str) -> None:
    with pytest.raises(Unverified):
        adapter.verify(call(payload("mailchimp/unsubscribe.txt"), secret=secret))


def test_without_a_path_secret_nothing_is_believed() -> None:
    adapter = Mailchimp({"MAILCHIMP_API_KEY": KEY}, PLACES, {})
    with pytest.raises(Unverified):
        adapter.verify(call(b"", secret=""))


def test_signatures_of_the_samples() -> None:
    """HOOK-01. An old but right signature is let in: `parse` then takes only stops from it."""
    samples = sample("mailchimp-webhooks.json")
    body = samples["bodies"][0]["body"].encode()
    for case in samples["signature_cases_over_first_body"]:
        adapter = signing(f"other,{samples['signing_secret']}", case["now"])
        incoming = call(body, case["header"])
        old = case["name"] == "301 s old"
        if case["valid"] or old:
            adapter.verify(incoming)
            assert adapter._webhooks.fresh(incoming) is not old
        else:
            with pytest.raises(Unverified):
                adapter.verify(incoming)
    for entry in samples["bodies"]:
        signing(samples["signing_secret"], int(samples["timestamp"])).verify(
            call(entry["body"].encode(), entry["signature_header"])
        )


def test_every_sample_body_is_understood() -> None:
    """Their words, our words; audiences that are not ours give nothing."""
    places = {"newsletter": {"audience": "a6b5da1054"}, "offers": {"audience": "19a203dae6"}}
    adapter = Mailchimp(SETTINGS, places, {})
    told = {
        entry["name"]: [(report.type, report.purpose) for report in adapter.parse(call(entry["body"].encode()))]
        for entry in sample("mailchimp-webhooks.json")["bodies"]
    }
    assert told == {
        "subscribe": [(EventType.SUBSCRIBED, "newsletter")],
        "unsubscribe by the reader": [(EventType.UNSUBSCRIBED, "newsletter")],
        "unsubscribe by complaint": [(EventType.COMPLAINED, "")],
        "unsubscribe without action": [(EventType.UNSUBSCRIBED, "offers")],
        "profile": [],
        "upemail": [(EventType.MOVED, "")],
        "cleaned, hard bounce": [(EventType.BOUNCED, "")],
        "campaign": [],
        "subscribe with groups, address, empty fields": [],
        "plus sign and non-ASCII": [(EventType.SUBSCRIBED, "newsletter")],
        "batch finished (batch webhook)": [],
    }


@pytest.mark.parametrize("tampering", [b"&x=1", b"\r\n"])
def test_a_changed_body_is_refused(tampering: bytes) -> None:
    body = payload("mailchimp/unsubscribe.txt")
    adapter = signing(SIGNING, 1795000000)
    good = signed(body, 1795000000)
    adapter.verify(good)
    with pytest.raises(Unverified):
        adapter.verify(Incoming(headers=good.headers, body=body + tampering, secret=SECRET))
    with pytest.raises(Unverified):
        adapter.verify(signed(body, 1795000000, "not the secret"))


def test_a_stale_stop_is_taken_and_a_stale_start_is_not() -> None:
    """HOOK-01: R2 makes a repeated stop harmless, losing it does not."""
    adapter = signing(SIGNING, 1795000000)
    day_old = 1795000000 - 86_400

    assert len(adapter.parse(signed(payload("mailchimp/unsubscribe.txt"), day_old))) == 2
    assert adapter.parse(signed(payload("mailchimp/subscribe.txt"), day_old)) == []
    assert len(adapter.parse(signed(payload("mailchimp/subscribe.txt"), 1795000000))) == 2


TWO = {"newsletter": {"audience": "a6b5da1054"}, "offers": {"audience": "19a203dae6"}}
#: The samples' audiences; the first one's webhook is signed.
SIGNED = b"type=unsubscribe&data[list_id]=a6b5da1054&data[email]=an%40lezer.example"
UNSIGNED = b"type=unsubscribe&data[list_id]=19a203dae6&data[email]=an%40lezer.example"


@pytest.mark.parametrize(("secrets", "refused"), [(f"a6b5da1054:{SIGNING}", False), (SIGNING, True)])
def test_a_signed_audience_does_not_silence_an_unsigned_one(secrets: str, refused: bool) -> None:
    """HOOK-01, decision 28: secrets are per webhook; a stop from an audience without one is heard. One that is said
    to be every audience's is asked of every audience."""
    adapter = Mailchimp(SETTINGS | {"MAILCHIMP_WEBHOOK_SIGNING_SECRET": secrets}, TWO, {})
    incoming = call(UNSIGNED)
    if refused:
        with pytest.raises(Unverified):
            adapter.verify(incoming)
        return
    adapter.verify(incoming)
    assert [report.purpose for report in adapter.parse(incoming)] == ["offers"]


def test_an_unsigned_audience_is_no_way_round_the_signature_of_another() -> None:
    """HOOK-01. Who knows only the path may say nothing about an audience that signs."""
    adapter = Mailchimp(SETTINGS | {"MAILCHIMP_WEBHOOK_SIGNING_SECRET": f"a6b5da1054:{SIGNING}"}, TWO, {})
    now = int(datetime.now(UTC).timestamp())
    adapter.verify(call(SIGNED))
    with pytest.raises(Unverified):
        adapter.parse(call(SIGNED))
    with pytest.raises(Unverified):
        adapter.parse(signed(SIGNED, now, "another"))
    adapter.verify(signed(SIGNED, now))
    assert [report.purpose for report in adapter.parse(signed(SIGNED, now))] == ["newsletter"]


def test_a_secret_that_is_not_known_here_loses_no_stop() -> None:
    """HOOK-01: whoever only knows the path could leave the signature out, so one that cannot be checked harms nobody."""
    adapter = Mailchimp(SETTINGS | {"MAILCHIMP_WEBHOOK_SIGNING_SECRET": f"a6b5da1054:{SIGNING}"}, TWO, {})
    other = signed(UNSIGNED, int(datetime.now(UTC).timestamp()), "not known here")
    adapter.verify(other)
    assert [report.purpose for report in adapter.parse(other)] == ["offers"]


def test_each_audience_has_its_own_signature() -> None:
    """Decision 28."""
    both = f"a6b5da1054:{SIGNING},19a203dae6:another"
    adapter = Mailchimp(SETTINGS | {"MAILCHIMP_WEBHOOK_SIGNING_SECRET": both}, TWO, {})
    wrong = signed(UNSIGNED, int(datetime.now(UTC).timestamp()))
    adapter.verify(wrong)
    with pytest.raises(Unverified):
        adapter.parse(wrong)


def test_an_unsubscribe_there_stops_all_that_lives_in_that_audience(adapter: Mailchimp) -> None:
    """Decision 7; the time is UTC."""
    reports = adapter.parse(call(payload("mailchimp/unsubscribe.txt")))

    assert [(report.type, report.email, report.purpose) for report in reports] == [
        (EventType.UNSUBSCRIBED, AN, "newsletter"),
        (EventType.UNSUBSCRIBED, AN, "offers"),
    ]
    assert reports[0].time == datetime(2026, 11, 20, 9, 15, 2, tzinfo=UTC)
    assert reports[0].detail == "unsubscribe_manual"


def test_the_same_news_has_the_same_key_and_no_address_in_it(adapter: Mailchimp) -> None:
    """HOOK-02: Mailchimp sends no id of its own."""
    once, again = (adapter.parse(call(payload("mailchimp/unsubscribe.txt"))) for _ in range(2))

    assert [report.key for report in once] == [report.key for report in again]
    assert len({report.key for report in once}) == 2
    assert "@" not in once[0].key


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("complaint", [(EventType.COMPLAINED, AN, "")]),
        ("cleaned", [(EventType.BOUNCED, BRAM, "")]),
        ("subscribe", [(EventType.SUBSCRIBED, CARLA, "newsletter"), (EventType.SUBSCRIBED, CARLA, "offers")]),
        ("profile", []),
        ("upemail", [(EventType.MOVED, AN, "")]),
        ("campaign", []),
    ],
)
def test_their_words_in_ours(adapter: Mailchimp, name: str, expected: list[tuple[EventType, str, str]]) -> None:
    reports = adapter.parse(call(payload(f"mailchimp/{name}.txt")))
    assert [(report.type, report.email, report.purpose) for report in reports] == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"{}",
        b"type=unsubscribe",
        b"&" * 10_000,
        urlencode({"type": "unsubscribe", "data[list_id]": AUDIENCE, "data[email]": "nobody"}).encode(),
        b"type=unsubscribe&data%5Blist_id%5D=a1b2c3d4e5&data%5Bemail%5D=%ff%40krant.example",
        b"a=1&" * 3000 + b"type=unsubscribe&data%5Blist_id%5D=a1b2c3d4e5&data%5Bemail%5D=a%40krant.example",
    ],
)
def test_a_body_that_makes_no_sense_gives_nothing(adapter: Mailchimp, body: bytes) -> None:
    assert adapter.parse(call(body)) == []


# The judge itself.


@pytest.mark.skipif(judge.MISSING, reason="official API documents not found")
def test_the_judge_knows_wrong_from_right() -> None:
    """Decision 33: a check that never says no proves nothing."""
    address = f"https://us21.api.mailchimp.com/3.0/lists/{AUDIENCE}/members/{hashlib.md5(AN.encode()).hexdigest()}"
    right = {"email_address": AN, "status_if_new": "subscribed"}
    for body, good in ((right, True), (right | {"birthday": "1970"}, False), (right | {"status": "archived"}, False)):
        assert (
            judge.complaint_about_mailchimp(requests.Request("PUT", address, json=body, auth=("user", KEY))) == ""
        ) is good


# Settings, setup, check.


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "MAILCHIMP_API_KEY"),
        ({"MAILCHIMP_API_KEY": "no-data-centre"}, "MAILCHIMP_API_KEY"),
        ({"MAILCHIMP_API_KEY": "abc-us21.evil.example"}, "MAILCHIMP_API_KEY"),
        (SETTINGS | {"MAILCHIMP_BASE_URL": "http://mailchimp.example/3.0"}, "MAILCHIMP_BASE_URL"),
        (SETTINGS | {"MAILCHIMP_WEBHOOK_SECRET": "short"}, "MAILCHIMP_WEBHOOK_SECRET"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(settings: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named) as caught:
        Mailchimp(settings, PLACES, {})
    assert not any(value in str(caught.value) for value in settings.values())


@pytest.mark.parametrize(
    "places",
    [
        {"newsletter": {}},
        {"newsletter": {"audience": "a"}, "offers": {"audience": "a", "interest": "i"}},
        {"newsletter": {"audience": "a", "interest": "i"}, "offers": {"audience": "a", "interest": "i"}},
    ],
)
def test_purposes_that_cannot_be_told_apart_there_are_refused(places: dict[str, dict[str, str]]) -> None:
    with pytest.raises(Misconfigured, match="audience"):
        Mailchimp(SETTINGS, places, {})


def groups_there(mailchimp: Desk, *ids: str) -> None:
    """The audience has one category with these groups."""
    categories = f"/lists/{AUDIENCE}/interest-categories"
    mailchimp.on("GET", categories, Answer(200, {"categories": [{"id": "c0ffee0001", "type": "hidden"}]}))
    there = {"interests": [{"id": one, "name": "-"} for one in ids]}
    mailchimp.on("GET", f"{categories}/c0ffee0001/interests", Answer(200, there))


def test_setup_makes_each_merge_field_once(adapter: Mailchimp, mailchimp: Desk) -> None:
    """The reader's link, and what the policy declares: whoever has a value for a field that is not there is refused."""
    groups_there(mailchimp, NEWS, OFFERS)
    fields = f"/lists/{AUDIENCE}/merge-fields"
    nothing, there = ([{"tag": tag} for tag in tags] for tags in ((), ("PREFS", "FNAME")))
    mailchimp.on("GET", fields, *(Answer(200, {"merge_fields": one}) for one in (nothing, nothing, there)))
    mailchimp.on("POST", fields, Answer(200, {"tag": "PREFS"}))

    assert [step.made for step in adapter.setup()] == [True, True, False, False]
    assert not any(step.made for step in adapter.setup())

    made, other = mailchimp.made("POST")
    assert other.body == {"name": "FNAME", "type": "text", "tag": "FNAME", "public": False}
    assert made.body == {"name": "Preference link", "type": "text", "tag": "PREFS", "public": False}


def test_check_names_what_is_wrong_and_the_fix(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("GET", "/ping", Answer(200, {"health_status": "Everything's Chimpy!"}))
    mailchimp.on("GET", f"/lists/{AUDIENCE}", Answer(200, {"id": AUDIENCE, "double_optin": True}))
    mailchimp.on("GET", f"/lists/{AUDIENCE}/merge-fields", Answer(200, {"merge_fields": []}))
    groups_there(mailchimp, NEWS)

    findings = adapter.check()

    assert [finding.ok for finding in findings] == [True, True, True, True, False, False, False, True]
    assert "double opt-in is on" in findings[3].subject
    assert all("setup" in finding.fix for finding in findings[4:6])
    assert "FNAME" in findings[5].subject
    assert OFFERS in findings[6].subject


def test_check_of_an_unknown_audience_or_a_wrong_key(adapter: Mailchimp, mailchimp: Desk) -> None:
    mailchimp.on("GET", "/ping", Answer(200, {"health_status": "ok"}), problem("API Key Invalid", 401))
    mailchimp.on("GET", f"/lists/{AUDIENCE}", Answer(404, NOT_THERE, content_type=PROBLEM))

    assert "policy" in adapter.check()[-1].fix
    assert "MAILCHIMP_API_KEY" in adapter.check()[0].fix
