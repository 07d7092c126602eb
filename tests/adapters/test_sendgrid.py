"""SendGrid: what we tell it, what it answers, what it tells us.

MIN-04 (nothing else leaves), ESP-03 (twice is as good as once), ESP-04 (erased there), ESP-06 (down, slow, busy),
HOOK-01 (verify over the raw bytes), decisions 24 and 27. Every request is judged by SendGrid's own documents.
"""

import base64
import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.test import EnvironBuilder

from adapters.sendgrid import SendGrid
from bridge.adapter import AdapterError, Misconfigured, Unverified
from bridge.vocabulary import DONE, EventType, Incoming, Member, Outcome, OutcomeKind
from tests.adapters import judge
from tests.adapters.conftest import AN, BRAM, CARLA, LINK, Answer, Call, Desk, an, payload
from tests.adapters.judge import sample

NEWS = "7f0c8a52-0c6e-4f6e-9a01-000000000001"
OFFERS = "7f0c8a52-0c6e-4f6e-9a01-000000000002"
PLACES = {"newsletter": {"list": NEWS, "group": "101"}, "offers": {"list": OFFERS, "group": "102"}}
BOTH = frozenset(PLACES)
KEY = "SG.made-up-key"

CONTACTS = "/marketing/contacts"
SEARCH = f"{CONTACTS}/search/emails"
FIELDS = "/marketing/field_definitions"
JOB = "dec1a3b4-0000-4000-8000-000000000001"

EMPTY = Answer(204, None, content_type=None)
TOOK = Answer(202, {"job_id": JOB})
ERROR = {"errors": [{"message": "no", "field": None}]}


@pytest.fixture
def adapter(sendgrid_url: str) -> SendGrid:
    return Impatient(settings(sendgrid_url), PLACES, {"first_name": "first_name", "town": "Town"})


class Impatient(SendGrid):
    """Does not wait between looks."""

    pause = staticmethod(lambda _: None)


def settings(url: str, **more: str) -> dict[str, str]:
    return {"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": url} | more


@pytest.fixture
def account(sendgrid: Desk) -> Desk:
    """An account with its fields, groups and nobody in it, that takes what it is told."""
    known = [
        {"id": "e1_T", "name": "prefs", "field_type": "Text"},
        {"id": "e2_T", "name": "town", "field_type": "Text"},
    ]
    sendgrid.on("GET", FIELDS, Answer(200, {"custom_fields": known, "reserved_fields": []}))
    sendgrid.on("PUT", CONTACTS, TOOK)
    sendgrid.on("GET", "/asm/groups/10[12]", Answer(200, {"id": 101}))
    sendgrid.on("POST", "/asm/.*", Answer(201, {"recipient_emails": []}))
    sendgrid.on("DELETE", "/asm/.*", EMPTY)
    sendgrid.on("DELETE", "/marketing/.*", TOOK)
    sendgrid.on("POST", "/recipients/erasejob", TOOK)
    return sendgrid


def found(**contacts: tuple[str, list[str]]) -> Answer:
    """A search that finds these: name -> id and lists."""
    result = {
        f"{name}@krant.example": {"contact": {"id": one, "email": f"{name}@krant.example", "list_ids": lists}}
        for name, (one, lists) in contacts.items()
    }
    return Answer(200, {"result": result | {"nobody@krant.example": {"error": "contact not found"}}})


def pending(job: str = JOB) -> Outcome:
    return Outcome(OutcomeKind.PENDING, "job", 5.0, job)


def test_only_what_is_declared_leaves_the_house(adapter: SendGrid, account: Desk) -> None:
    """MIN-04: address, lists, link and declared fields. SendGrid has no field for the language."""
    member = an(on=BOTH, fields={"first_name": "An", "town": "Gent", "birthday": "1970-01-01"})

    assert adapter.put([member]) == [pending()]

    (upsert,) = account.made("PUT")
    assert upsert.body == {
        "list_ids": [NEWS, OFFERS],
        "contacts": [{"email": AN, "first_name": "An", "custom_fields": {"e1_T": LINK, "e2_T": "Gent"}}],
    }
    assert [call.method for call in account.calls] == ["GET", "PUT"]  # everything on, nothing fresh: no other call


def test_the_language_goes_only_into_a_declared_field(account: Desk, sendgrid_url: str) -> None:
    SendGrid(settings(sendgrid_url), PLACES, {"language": "Town"}).put([an(on=BOTH)])

    assert account.made("PUT")[0].body["contacts"][0]["custom_fields"]["e2_T"] == "nl"


def test_one_call_per_equal_set_of_lists(adapter: SendGrid, account: Desk) -> None:
    """Decision 27: `list_ids` belong to the call."""
    members = [an(on=BOTH), an(email=BRAM), an(email=CARLA, on=BOTH)]

    assert adapter.put(members) == [pending()] * 3

    sent = {
        tuple(call.body["list_ids"]): [one["email"] for one in call.body["contacts"]] for call in account.made("PUT")
    }
    assert sent == {(NEWS, OFFERS): [AN, CARLA], (NEWS,): [BRAM]}
    assert len(account.made("GET", FIELDS)) == 1


def test_a_fresh_yes_lifts_her_own_stops_first(adapter: SendGrid, account: Desk) -> None:
    adapter.put([an(email=CARLA, fresh=True, on=BOTH)])

    assert [(call.method, call.path) for call in account.calls if call.path != FIELDS] == [
        ("DELETE", f"/asm/groups/101/suppressions/{CARLA}"),
        ("DELETE", f"/asm/groups/102/suppressions/{CARLA}"),
        ("DELETE", f"/asm/suppressions/global/{CARLA}"),
        ("DELETE", f"/suppression/bounces/{CARLA}"),
        ("DELETE", f"/suppression/spam_reports/{CARLA}"),
        ("PUT", CONTACTS),
    ]


def test_without_a_fresh_yes_no_stop_is_lifted(adapter: SendGrid, account: Desk) -> None:
    adapter.put([an(on=BOTH), an(email=BRAM, fresh=True, blocked=True), an(email=CARLA, fresh=True, on=frozenset())])

    assert account.made("DELETE") == []


def test_a_yes_that_does_not_live_here_lifts_nothing_here(adapter: SendGrid, account: Desk) -> None:
    adapter.put([an(on=frozenset({"lives elsewhere"}), fresh=True)])

    assert account.made("DELETE") == []
    assert account.made("PUT") == []


def test_odd_characters_in_an_address_stay_in_their_place(adapter: SendGrid, account: Desk) -> None:
    """The SDK puts path parts into the URL as they are."""
    odd = "an/b?c#d%2f zoë@krant.example"

    adapter.put([an(email=odd, on=BOTH, fresh=True)])

    assert account.made("DELETE")[0].path == f"/asm/groups/101/suppressions/{odd}"


def test_no_log_line_holds_key_or_address(adapter: SendGrid, account: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's debug lines hold both."""
    caplog.set_level(0)

    adapter.put([an(on=BOTH, fresh=True)])

    assert KEY not in caplog.text
    assert AN not in "".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")


def test_many_fresh_yeses_are_looked_up_together(adapter: SendGrid, account: Desk) -> None:
    """Contracts section 10: a call for each list to look into, and one for each stop that is there."""
    account.on("GET", "/suppression/unsubscribes", Answer(200, [{"email": "p0@krant.example", "created": 1}]))
    account.on("POST", "/asm/.*", lambda call: Answer(200, ["p1@krant.example"] if "/101/" in call.path else []))
    account.on("DELETE", "/suppression/.*", EMPTY)
    adapter.put([an(email=f"p{number}@krant.example", on=BOTH, fresh=True) for number in range(2000)])

    lifted = [call.path for call in account.made("DELETE") if "p0@" in call.path or "p1@" in call.path]
    assert lifted == [
        "/asm/groups/101/suppressions/p0@krant.example",
        "/asm/groups/102/suppressions/p0@krant.example",
        "/asm/suppressions/global/p0@krant.example",
        "/suppression/bounces/p0@krant.example",
        "/suppression/spam_reports/p0@krant.example",
        "/asm/groups/101/suppressions/p1@krant.example",
    ]
    bulk = account.made("DELETE", "/suppression/(bounces|spam_reports)")
    assert [len(call.body["emails"]) for call in bulk] == [1000, 1000, 999, 999]
    assert all("delete_all" not in call.body for call in bulk)
    assert len(account.calls) == 6 + 1 + 4 + 4 + 1 + 1
    assert account.calls[-1].method == "PUT", "her stops are gone before she is in a list"


def test_a_global_list_longer_than_asking_each_is_not_read(adapter: SendGrid, account: Desk) -> None:
    """No more pages than there are people."""
    page = [{"email": f"x{number}@elsewhere.example", "created": 1} for number in range(500)]
    account.on("GET", "/suppression/unsubscribes", Answer(200, page))
    adapter.put([an(email=f"p{number}@krant.example", on=BOTH, fresh=True) for number in range(5)])

    assert len(account.made("GET", "/suppression/unsubscribes")) == 5
    assert len(account.made("DELETE", "/asm/suppressions/global/.*")) == 5


def test_suppressions_go_in_full_chunks(adapter: SendGrid, account: Desk) -> None:
    """One look at the group, then a thousand stops a call."""
    adapter.put([Member(email=f"p{number}@krant.example", stopped=BOTH, first=True) for number in range(2500)])

    sent = [len(call.body["recipient_emails"]) for call in account.made("POST", "/asm/groups/101/suppressions")]
    assert sent == [1000, 1000, 500]
    assert len(account.made("GET", "/asm/groups/101")) == 1


def test_nobody_is_looked_for_in_lists_of_which_she_never_heard(adapter: SendGrid, account: Desk) -> None:
    """A million new people with one of two topics cost no search; who was told before is looked for."""
    adapter.put([an(first=True), an(email=BRAM, first=True, stopped=frozenset({"offers"})), an(email=CARLA)])

    (search,) = account.made("POST", SEARCH)
    assert search.body == {"emails": [BRAM, CARLA]}


def test_thirty_thousand_people_are_one_upsert(adapter: SendGrid, account: Desk) -> None:
    """Contracts section 10."""
    link = "https://keuzes.krant.example/preferences/" + "p" * 80
    members = [an(email=f"reader.number{n:05}@lezer.example", link=link, on=BOTH) for n in range(30_000)]
    assert set(adapter.put(members)) == {pending()}
    assert [len(call.body["contacts"]) for call in account.made("PUT")] == [30_000]


def test_an_upsert_is_as_long_as_sendgrid_takes_and_no_longer(adapter: SendGrid, account: Desk) -> None:
    """Contracts section 10: 6 MB; and who is claimed for one call is weighed by just what it takes there."""
    link = "https://keuzes.krant.example/preferences/" + "p" * 160
    members = [an(email=f"reader.number{n:05}@lezer.example", link=link, on=BOTH) for n in range(24_000)]
    guessed = adapter.weight(members[0])
    adapter.put(members)
    first, second = (msgspec.json.encode(call.body) for call in account.made("PUT"))
    assert adapter.weight(members[0]) <= guessed
    assert 6_000_000 - adapter.weight(members[0]) < len(first) <= 6_000_000
    each = len(first) / len(msgspec.json.decode(first)["contacts"])
    assert abs(each - adapter.weight(members[0])) < 0.1
    assert len(second) < 1_000_000
    assert adapter.weight(msgspec.structs.replace(members[0], on=frozenset())) == 0


def test_no_open_job_is_forgotten_whatever_else_fails(adapter: SendGrid, account: Desk) -> None:
    """Decision 24: she is being taken from a list by a job while her link is refused."""
    account.on("POST", SEARCH, found(bram=("id-bram", [OFFERS])))
    (outcome,) = adapter.put([an(email=BRAM, link="p" * 1001)])

    assert outcome == Outcome(OutcomeKind.REFUSED, "link_too_long", job=JOB)


@pytest.mark.parametrize(("status", "kind"), [(403, Misconfigured), (503, AdapterError)])
def test_a_job_begun_before_the_whole_call_failed_is_named_all_the_same(
    adapter: SendGrid, account: Desk, status: int, kind: type[AdapterError]
) -> None:
    """Decision 24: she was being taken from one list when the key lost its scope; nobody may forget that job."""
    account.on("POST", SEARCH, found(bram=("id-bram", [NEWS, OFFERS])))
    account.on("DELETE", "/marketing/.*", lambda call: Answer(status, ERROR) if OFFERS in call.path else TOOK)
    with pytest.raises(AdapterError) as caught:
        adapter.put([Member(email=CARLA, on=frozenset()), Member(email=BRAM, on=frozenset())])
    assert type(caught.value) is kind
    assert caught.value.jobs == ("", JOB)


@pytest.mark.parametrize(("seconds", "expected"), [("30", 30.0), ("soon", None)])
def test_a_gateways_retry_after_is_told_too(
    adapter: SendGrid, account: Desk, seconds: str, expected: float | None
) -> None:
    """ESP-06."""
    account.on("PUT", CONTACTS, Answer(429, ERROR, {"Retry-After": seconds}))
    with pytest.raises(AdapterError) as caught:
        adapter.put([an(on=BOTH)])
    assert caught.value.wait == expected


def test_having_no_stop_to_lift_is_fine(adapter: SendGrid, account: Desk) -> None:
    account.on("DELETE", "/asm/.*", Answer(404, ERROR))

    assert adapter.put([an(on=BOTH, fresh=True)]) == [pending()]


def test_stops_count_at_once_and_leave_the_list(adapter: SendGrid, account: Desk) -> None:
    """Suppressed first, one call per group; then removed with ids from the search."""
    account.on("POST", SEARCH, found(bram=("id-bram", [NEWS, OFFERS]), carla=("id-carla", [OFFERS])))
    members = [
        Member(email=BRAM, stopped=BOTH),
        Member(email="carla@krant.example", stopped=frozenset({"newsletter"})),
        an(on=BOTH),
    ]

    assert adapter.put(members) == [pending()] * 3, "leaving a list is a job too"

    suppressed = {call.path: call.body["recipient_emails"] for call in account.made("POST", "/asm/.*")}
    assert suppressed == {
        "/asm/groups/101/suppressions": [BRAM, "carla@krant.example"],
        "/asm/groups/102/suppressions": [BRAM],
    }
    left = {call.path: call.query["contact_ids"] for call in account.made("DELETE")}
    assert left == {
        f"/marketing/lists/{NEWS}/contacts": "id-bram",
        f"/marketing/lists/{OFFERS}/contacts": "id-bram,id-carla",
    }


def test_an_address_with_capitals_leaves_too(adapter: SendGrid, account: Desk) -> None:
    """SendGrid answers in lower case."""
    account.on("POST", SEARCH, found(bram=("id-bram", [NEWS])))

    adapter.put([Member(email="Bram@Krant.example", stopped=BOTH)])

    assert [call.query for call in account.made("DELETE")] == [{"contact_ids": "id-bram"}]


def test_only_a_blocked_address_goes_on_the_global_list(adapter: SendGrid, account: Desk) -> None:
    """The global list would hold back the confirmation mail of somebody who wants to return."""
    adapter.put([Member(email=AN, stopped=BOTH), Member(email=BRAM, blocked=True)])

    (everywhere,) = account.made("POST", "/asm/suppressions/global")
    assert everywhere.body == {"recipient_emails": [BRAM]}
    assert {call.path for call in account.made("POST", "/asm/groups/.*") if BRAM in call.body["recipient_emails"]} == {
        "/asm/groups/101/suppressions",
        "/asm/groups/102/suppressions",
    }


def test_nobody_is_created_who_has_nothing_on(adapter: SendGrid, account: Desk) -> None:
    """Asked, not confirmed: SendGrid is only asked whether she is in a list. 404 means none of them."""
    assert adapter.put([Member(email=AN)]) == [DONE]

    assert [(call.method, call.path) for call in account.calls] == [("POST", SEARCH)]


def test_a_missing_group_never_turns_into_a_global_stop(adapter: SendGrid, account: Desk) -> None:
    """SendGrid takes addresses for an unknown group into the global list."""
    account.on("GET", "/asm/groups/10[12]", Answer(404, ERROR))

    assert adapter.put([Member(email=AN, stopped=BOTH)]) == [Outcome(OutcomeKind.LATER, "no_group")]

    assert account.made("POST", "/asm/.*") == []
    assert account.made("POST", SEARCH)


def test_one_bad_person_does_not_fail_the_batch(adapter: SendGrid, account: Desk) -> None:
    def picky(call: Call) -> Answer:
        bad = any(one["email"] == BRAM for one in call.body["contacts"])
        return Answer(400, ERROR) if bad else Answer(202, {"job_id": f"job-{len(call.body['contacts'])}"})

    account.on("PUT", CONTACTS, picky)

    outcomes = adapter.put([an(on=BOTH), an(email=BRAM, on=BOTH), an(email=CARLA, on=BOTH)])

    assert outcomes == [pending("job-1"), Outcome(OutcomeKind.REFUSED, "bad_request"), pending("job-1")]


def test_a_batch_is_cut_where_sendgrid_stops(adapter: SendGrid, account: Desk) -> None:
    """30,000 contacts or 6 MB."""
    link = "https://prefs.krant.example/p/" + "p" * 900
    members = [an(email=f"p{number}@krant.example", on=BOTH, link=link) for number in range(7000)]

    assert set(adapter.put(members)) == {pending()}

    sent = account.made("PUT")
    assert len(sent) > 1
    assert sum(len(call.body["contacts"]) for call in sent) == 7000
    assert all(len(json.dumps(call.body, separators=(",", ":"))) < 6_000_000 for call in sent)


def test_a_link_too_long_for_the_field_is_not_sent(adapter: SendGrid, account: Desk) -> None:
    assert adapter.put([an(on=BOTH, link="p" * 1001)]) == [Outcome(OutcomeKind.REFUSED, "link_too_long")]
    assert account.made("PUT") == []


def test_when_it_goes_down_midway_the_stop_is_done_and_the_rest_comes_later(adapter: SendGrid, account: Desk) -> None:
    """ESP-06."""
    account.on("PUT", CONTACTS, Answer(503, b"<html>busy</html>", content_type="text/html"))

    outcomes = adapter.put([Member(email=AN, stopped=BOTH), an(email=BRAM, on=BOTH), an(email=CARLA)])

    later = Outcome(OutcomeKind.LATER, "sendgrid: unavailable", away=True)
    assert outcomes == [DONE, later, later]
    assert len(account.made("PUT")) == 1


#: Each body of the vendor's samples, as the answer to an upsert.
NAMED: dict[str, Outcome | type[AdapterError]] = {
    "bad_request": Outcome(OutcomeKind.REFUSED, "bad_request"),
    "unauthorized": Misconfigured,
    "forbidden": Misconfigured,
    "search_none_found": Outcome(OutcomeKind.LATER, "not_found"),
    "payload_too_large": Outcome(OutcomeKind.REFUSED, "too_large"),
    "too_many_requests": AdapterError,
    "internal": Outcome(OutcomeKind.LATER, "internal"),
    "unavailable_html": AdapterError,
}


def test_every_known_error_has_one_named_outcome(account: Desk, sendgrid_url: str) -> None:
    """Issue 2, section 5."""
    errors = sample("sendgrid-errors.json")["errors"]
    assert {error["name"] for error in errors} == set(NAMED)
    for error in errors:
        body = error["body"].encode() if isinstance(error["body"], str) else error["body"]
        kind = error.get("content_type", "application/json")
        account.on("PUT", CONTACTS, Answer(error["status"], body, error.get("headers", {}), kind))
        adapter = SendGrid(settings(sendgrid_url), PLACES, {})
        expected = NAMED[error["name"]]
        if isinstance(expected, Outcome):
            assert adapter.put([an(on=BOTH, link="")]) == [expected], error["name"]
        else:
            with pytest.raises(expected) as caught:
                adapter.put([an(on=BOTH, link="")])
            assert type(caught.value) is expected
            assert KEY not in str(caught.value)


def test_a_key_without_the_scope_names_the_scope(adapter: SendGrid, account: Desk) -> None:
    account.on("PUT", CONTACTS, Answer(403, ERROR))
    with pytest.raises(Misconfigured, match="Marketing"):
        adapter.put([an(on=BOTH)])


@pytest.mark.parametrize(("reset", "low", "high"), [(30, 25, 31), (-10, 1, 1), (10**9, 3600, 3600)])
def test_the_wait_sendgrid_asks_for_is_told(adapter: SendGrid, account: Desk, reset: int, low: int, high: int) -> None:
    """ESP-06: X-RateLimit-Reset is a time, not a number of seconds."""
    account.on("PUT", CONTACTS, Answer(429, ERROR, {"X-RateLimit-Reset": str(int(time.time()) + reset)}))

    with pytest.raises(AdapterError) as caught:
        adapter.put([an(on=BOTH)])

    assert caught.value.wait is not None
    assert low <= caught.value.wait <= high


@pytest.mark.parametrize(
    "answer", [Answer(202, b"not JSON"), Answer(202, [1]), Answer(429, ERROR, {"X-RateLimit-Reset": "soon"})]
)
def test_a_strange_answer_says_later(adapter: SendGrid, account: Desk, answer: Answer) -> None:
    account.on("PUT", CONTACTS, answer)
    with pytest.raises(AdapterError) as caught:
        adapter.put([an(on=BOTH)])
    assert caught.value.wait is None


def test_a_server_that_never_answers_ends_by_our_limit(silent_server: str) -> None:
    """ESP-06; the SDK itself would wait for ever (sendgrid-python 757, 985)."""

    class Hasty(SendGrid):
        seconds = 0.2

    with pytest.raises(AdapterError, match="TimeoutError"):
        Hasty(settings(silent_server), PLACES, {}).put([an(on=BOTH, link="")])


def test_nobody_there_at_all() -> None:
    adapter = SendGrid(settings("http://127.0.0.1:1"), PLACES, {})
    with pytest.raises(AdapterError, match="URLError"):
        adapter.put([Member(email=AN)])


def test_the_eu_host_stops_but_has_no_contacts(sendgrid: Desk) -> None:
    """Contracts section 11: no call to /v3/marketing ever goes there."""
    adapter = SendGrid(settings("https://api.eu.sendgrid.com"), PLACES, {})
    for call in (
        lambda: adapter.put([an(on=BOTH)]),
        lambda: list(adapter.members()),
        lambda: adapter.follow(JOB, [an()]),
    ):
        with pytest.raises(Misconfigured, match="SENDGRID_BASE_URL"):
            call()
    assert sendgrid.calls == []


# Jobs.


def job(status: str, **results: object) -> Answer:
    return Answer(200, {"id": JOB, "status": status, "job_type": "upsert", "results": results})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (job("pending"), pending()),
        (job("completed", requested_count=2, created_count=0, updated_count=0, errored_count=0), DONE),
        (job("completed", requested_count=2, errored_count=1), Outcome(OutcomeKind.LATER, "errored_rows")),
        (job("errored", requested_count=2, errored_count=2), Outcome(OutcomeKind.LATER, "errored_rows")),
        (job("failed", requested_count=500), Outcome(OutcomeKind.LATER, "job_failed")),
        (job("a new word"), pending()),
        (Answer(404, ERROR), Outcome(OutcomeKind.LATER, "job_unknown")),
        (Answer(500, ERROR), pending()),
    ],
)
def test_a_job_is_followed_to_its_end(adapter: SendGrid, sendgrid: Desk, answer: Answer, outcome: Outcome) -> None:
    """202 is not done: sendgrid-go 366, sendgrid-nodejs 1129."""
    sendgrid.on("GET", f"{CONTACTS}/imports/{JOB}", answer)
    assert adapter.follow(JOB, [an(), an(email=BRAM)]) == [outcome] * 2


def test_the_sample_states_of_a_job(adapter: SendGrid, sendgrid: Desk) -> None:
    bodies = sample("sendgrid-errors.json")["import_job_states"]["bodies"]
    sendgrid.on("GET", f"{CONTACTS}/imports/.*", *(Answer(200, body) for body in bodies))
    bodies[2]["results"]["errors_url"] = "http://file.example/errors.csv.gz"  # not https: never fetched
    kinds = [adapter.follow(body["id"], [an(), an(email=BRAM)])[0].kind for body in bodies]
    assert kinds == [OutcomeKind.PENDING, OutcomeKind.DONE, OutcomeKind.LATER, OutcomeKind.LATER]


def test_who_spoiled_a_job_is_named_and_the_others_are_done(
    adapter: SendGrid, account: Desk, sendgrid_url: str
) -> None:
    """One bad person never fails a batch, also when SendGrid says so only minutes later."""
    url = f"{sendgrid_url}/files/errors.csv.gz"
    account.on("GET", f"{CONTACTS}/imports/{JOB}", job("errored", requested_count=3, errored_count=1, errors_url=url))
    file = gzip.compress(f"email,error\r\n{BRAM},invalid\r\n".encode())
    account.on("GET", "/files/errors.csv.gz", Answer(200, file, content_type="application/gzip"))

    outcomes = adapter.follow(JOB, [an(on=BOTH), an(email=BRAM, on=BOTH), an(email=CARLA, on=BOTH)])

    assert outcomes == [DONE, Outcome(OutcomeKind.REFUSED, "row_refused"), DONE]
    assert len(account.made("GET", f"{CONTACTS}/imports/.*")) == 1


def test_jobs_get_smaller_until_a_bad_row_stands_alone(adapter: SendGrid, account: Desk) -> None:
    """One bad person never fails the others for ever, though SendGrid does not say who she is."""
    account.on("GET", f"{CONTACTS}/imports/{JOB}", job("errored", requested_count=4, errored_count=1))
    members = [an(email=f"p{number}@krant.example", on=BOTH) for number in range(4)]
    sizes = []
    while len(members) > 1:
        assert {told.reason for told in adapter.follow(JOB, members)} == {"errored_rows"}
        adapter.put(members)
        sizes.append([len(call.body["contacts"]) for call in account.made("PUT")])
        account.calls.clear()
        members = members[: sizes[-1][0]]

    assert sizes == [[2, 2], [1, 1]]
    assert adapter.follow(JOB, members) == [Outcome(OutcomeKind.REFUSED, "row_refused")]

    account.on("GET", f"{CONTACTS}/imports/{JOB}", job("completed", requested_count=1, errored_count=0))
    for _ in range(3):
        adapter.follow(JOB, members)
    adapter.put([an(email=f"p{number}@krant.example", on=BOTH) for number in range(4)])
    assert [len(call.body["contacts"]) for call in account.made("PUT")] == [4], "and larger again when all is well"


# Erasing and reading back.


def test_erasing_removes_contact_and_mail_data_and_looks(adapter: SendGrid, account: Desk) -> None:
    """ESP-04."""
    account.on("POST", SEARCH, found(bram=("id-bram", [NEWS])), Answer(404, ERROR))

    assert adapter.erase([BRAM, AN]) == [DONE, DONE]

    assert [call.query for call in account.made("DELETE", CONTACTS)] == [{"ids": "id-bram"}]
    assert account.made("POST", "/recipients/erasejob")[0].body == {"email_addresses": [BRAM, AN]}


def test_erasing_is_not_believed_while_the_search_finds_her(adapter: SendGrid, account: Desk) -> None:
    account.on("POST", SEARCH, found(bram=("id-bram", [NEWS])))

    gone, there = adapter.erase([AN, BRAM])

    assert gone == DONE
    assert (there.kind, there.reason, there.wait) == (OutcomeKind.LATER, "still_there", 60.0)


def test_erasing_nobody_never_deletes_without_ids(adapter: SendGrid, account: Desk) -> None:
    """Without ids, or with `delete_all_contacts`, the same call would empty the account."""
    assert adapter.erase([AN]) == [DONE]
    assert account.made("DELETE") == []


def exported(adapter_url: str, account: Desk, files: dict[str | None, bytes]) -> None:
    """Exports: one per list and one of everybody, pending at first."""

    def start(call: Call) -> Answer:
        (chosen,) = call.body.get("list_ids") or [None]
        return Answer(202, {"id": f"export-{chosen}", "_metadata": {}})

    account.on("POST", f"{CONTACTS}/exports", start)
    for chosen, file in files.items():
        state = {"id": f"export-{chosen}", "created_at": "", "updated_at": "", "expires_at": ""}
        ready = state | {"status": "ready", "urls": [f"{adapter_url}/files/{chosen}"]}
        path = f"{CONTACTS}/exports/export-{chosen}"
        account.on("GET", path, Answer(200, state | {"status": "pending"}), Answer(200, ready))
        account.on("GET", f"/files/{chosen}", Answer(200, file, content_type="application/gzip"))


def as_csv(*rows: tuple[str, str]) -> bytes:
    return gzip.compress(
        ("EMAIL,FIRST_NAME,CONTACT_ID,prefs\r\n" + "".join(f"{a},,id,{b}\r\n" for a, b in rows)).encode()
    )


def as_lines(*rows: tuple[str, str]) -> bytes:
    return "".join(json.dumps({"email": a, "prefs": b}) + "\n" for a, b in rows).encode()


def as_array(*rows: tuple[str, str]) -> bytes:
    return gzip.compress(json.dumps([{"email": a, "prefs": b} for a, b in rows], indent=1).encode())


@pytest.mark.parametrize("written", [as_csv, as_lines, as_array])
def test_everybody_is_read_from_exports_less_the_suppressed(
    adapter: SendGrid, account: Desk, sendgrid_url: str, written: Callable[..., bytes]
) -> None:
    """Contracts section 4: plain GET shows the 50 newest; suppressed people stay in their lists."""
    people = [(AN, LINK), (BRAM, ""), (CARLA, ""), ("dood@krant.example", "")]
    exported(
        sendgrid_url,
        account,
        {None: written(*people), NEWS: written(*people), OFFERS: written((AN, LINK), (BRAM, ""))},
    )
    account.on("GET", "/asm/groups/101/suppressions", Answer(200, [CARLA.upper()]))
    account.on("GET", "/asm/groups/102/suppressions", Answer(200, []))
    for name in ("bounces", "spam_reports", "invalid_emails", "unsubscribes"):
        account.on("GET", f"/suppression/{name}", Answer(200, []))
    account.on("GET", "/suppression/unsubscribes", Answer(200, [{"created": 1, "email": BRAM}]))
    account.on("GET", "/suppression/bounces", Answer(200, [{"created": 1, "email": "dood@krant.example"}]))

    members = {member.email: member for member in adapter.members()}

    assert {email: member.on for email, member in members.items()} == {
        AN: BOTH,
        BRAM: frozenset(),
        CARLA: frozenset(),
        "dood@krant.example": frozenset(),
    }
    assert members[AN].link == LINK
    assert members[BRAM].stopped == BOTH
    assert members[CARLA].stopped == {"newsletter"}
    assert members["dood@krant.example"].blocked


def test_suppression_lists_are_read_to_the_last_page(adapter: SendGrid, account: Desk, sendgrid_url: str) -> None:
    people = [(f"p{number}@krant.example", "") for number in range(600)]
    exported(sendgrid_url, account, {None: as_csv(*people), NEWS: as_csv(*people), OFFERS: as_csv()})

    def page(call: Call) -> Answer:
        offset, limit = int(call.query["offset"]), int(call.query["limit"])
        return Answer(200, [{"created": 1, "email": email} for email, _ in people[offset : offset + limit]])

    account.on("GET", "/suppression/unsubscribes", page)
    account.on("GET", "/(suppression|asm)/.*", Answer(200, []))

    assert [member for member in adapter.members() if member.on] == []


@pytest.mark.parametrize("written", [as_csv, as_lines, as_array])
def test_everybody_is_told_by_what_stops_them_then_by_their_lists(
    adapter: SendGrid, account: Desk, sendgrid_url: str, written: Callable[..., bytes]
) -> None:
    """ESP-02: the stops of people who are not in the store must be known before their lists are read."""
    exported(sendgrid_url, account, {NEWS: written((AN, LINK), (BRAM, "")), OFFERS: written((AN, LINK))})
    left = [
        {"email": CARLA.upper(), "group_id": 101, "group_name": "news", "created_at": 1700},
        {"email": CARLA, "group_id": 999, "group_name": "of others", "created_at": 1800},
    ]
    account.on("GET", "/asm/suppressions", Answer(200, left))
    for name in ("bounces", "spam_reports", "invalid_emails", "unsubscribes"):
        account.on("GET", f"/suppression/{name}", Answer(200, []))
    account.on("GET", "/suppression/unsubscribes", Answer(200, [{"created": 1500, "email": BRAM}]))
    account.on("GET", "/suppression/spam_reports", Answer(200, [{"created": 1600, "email": AN}]))

    told = [seen for seen in adapter.everybody() if seen.emails]

    assert [(list(seen.emails), seen.on, seen.stop, seen.purposes, list(seen.times)) for seen in told] == [
        ([BRAM], frozenset(), EventType.UNSUBSCRIBED, BOTH, [1500]),
        ([AN], frozenset(), EventType.COMPLAINED, frozenset(), [1600]),
        ([CARLA.upper()], frozenset(), EventType.UNSUBSCRIBED, frozenset({"newsletter"}), [1700]),
        ([AN, BRAM], frozenset({"newsletter"}), None, frozenset(), []),
        ([AN], frozenset({"offers"}), None, frozenset(), []),
    ]


def test_reading_everybody_goes_on_with_the_exports_it_began(
    adapter: SendGrid, account: Desk, sendgrid_url: str
) -> None:
    exported(sendgrid_url, account, {NEWS: as_csv((AN, "")), OFFERS: as_csv((AN, ""))})
    account.on("GET", "/(suppression|asm)/.*", Answer(200, []))
    marks = [seen.mark for seen in adapter.everybody() if seen.mark]
    begun = len(account.made("POST"))
    assert [seen.on for seen in adapter.everybody(marks[-2]) if seen.emails] == [frozenset({"offers"})]
    assert [seen for seen in adapter.everybody(marks[-1]) if seen.emails] == []
    assert len(account.made("POST")) == begun


def test_a_list_without_pages_is_read_once(adapter: SendGrid, account: Desk, sendgrid_url: str) -> None:
    """One that ignores `offset` must not be read for ever."""
    exported(sendgrid_url, account, {NEWS: as_csv(), OFFERS: as_csv()})
    everyone = [{"email": f"p{n}@krant.example", "group_id": 101, "created_at": 1} for n in range(700)]
    account.on("GET", "/suppression/.*", Answer(200, []))
    account.on("GET", "/asm/suppressions", Answer(200, everyone))
    assert sum(len(seen.emails) for seen in adapter.everybody()) == 700


@pytest.mark.parametrize("status", ["failure", "pending"])
def test_an_export_that_never_comes_says_so(adapter: SendGrid, account: Desk, status: str) -> None:
    account.on("POST", f"{CONTACTS}/exports", Answer(202, {"id": "x", "_metadata": {}}))
    account.on("GET", f"{CONTACTS}/exports/x", Answer(200, {"id": "x", "status": status}))
    account.on("GET", "/(suppression|asm)/.*", Answer(200, []))
    with pytest.raises(AdapterError, match="export"):
        list(adapter.members())


@pytest.mark.parametrize("url", ["http://somewhere.example/x", "file:///etc/hostname", "ftp://127.0.0.1/x", ""])
def test_files_are_fetched_only_over_https(adapter: SendGrid, account: Desk, url: str) -> None:
    account.on("POST", f"{CONTACTS}/exports", Answer(202, {"id": "x", "_metadata": {}}))
    account.on("GET", f"{CONTACTS}/exports/x", Answer(200, {"id": "x", "status": "ready", "urls": [url]}))
    account.on("GET", "/(suppression|asm)/.*", Answer(200, []))
    with pytest.raises(AdapterError, match="https"):
        list(adapter.members())


@pytest.mark.parametrize(
    "file", [gzip.compress(b"EMAIL\r\na@krant.example\r\n", mtime=0)[:-9], b"\x1f\x8bnonsense", b"[broken"]
)
def test_a_broken_file_is_not_taken_for_a_whole_one(
    adapter: SendGrid, account: Desk, sendgrid_url: str, file: bytes
) -> None:
    exported(sendgrid_url, account, {None: file, NEWS: file, OFFERS: file})
    account.on("GET", "/(suppression|asm)/.*", Answer(200, []))
    with pytest.raises(AdapterError, match="no file"):
        list(adapter.members())


# Webhooks.

OURS = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    OURS.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()


def hearing(key: str = PUBLIC) -> SendGrid:
    return SendGrid({"SENDGRID_API_KEY": KEY, "SENDGRID_WEBHOOK_PUBLIC_KEY": key}, PLACES, {})


def signed(body: bytes, stamp: str = "1795000000") -> Incoming:
    signature = OURS.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return incoming(body, base64.b64encode(signature).decode(), stamp)


def incoming(body: bytes, signature: str, stamp: str) -> Incoming:
    name = "x-twilio-email-event-webhook"
    return Incoming(headers={f"{name}-signature": signature, f"{name}-timestamp": stamp}, body=body)


def test_signatures_of_the_samples() -> None:
    """HOOK-01, with a real delivery that ends in CR LF; years old and still right."""
    for vector in sample("sendgrid-webhook-signature.json")["vectors"]:
        call = incoming(base64.b64decode(vector["body_base64"]), vector["signature"], vector["timestamp"])
        for keys in (vector["public_key"], f"{PUBLIC},{vector['public_key']}"):
            if vector["valid"]:
                hearing(keys).verify(call)
            else:
                with pytest.raises(Unverified):
                    hearing(keys).verify(call)


def test_a_signature_over_other_bytes_is_refused() -> None:
    good = signed(payload("sendgrid/stops.json"))
    hearing().verify(good)
    for call in (
        Incoming(headers=good.headers, body=good.body.rstrip()),
        Incoming(headers=good.headers, body=json.dumps(json.loads(good.body)).encode()),
        Incoming(headers={}, body=good.body),
        incoming(good.body, "é", "1795000000"),
    ):
        with pytest.raises(Unverified):
            hearing().verify(call)


def test_without_a_key_nothing_is_believed() -> None:
    with pytest.raises(Unverified):
        hearing("").verify(signed(b"[]"))


@pytest.mark.parametrize("key", ["not base64!", "AAAA", base64.b64encode(b"x" * 91).decode()])
def test_a_wrong_key_is_named(key: str) -> None:
    with pytest.raises(Misconfigured, match="SENDGRID_WEBHOOK_PUBLIC_KEY"):
        hearing(key)


def test_stops_there_are_stops_here() -> None:
    reports = hearing().parse(signed(payload("sendgrid/stops.json")))
    assert [(report.type, report.email, report.purpose) for report in reports] == [
        (EventType.UNSUBSCRIBED, AN, ""),
        (EventType.UNSUBSCRIBED, AN, "newsletter"),
        (EventType.COMPLAINED, BRAM, ""),
        (EventType.BOUNCED, "dood@krant.example", ""),
        (EventType.UNSUBSCRIBED, AN, ""),
        (EventType.BOUNCED, "dood@krant.example", ""),
        (EventType.COMPLAINED, BRAM, ""),
        (EventType.BOUNCED, "krom@krant.example", ""),
        (EventType.DEFERRED, AN, ""),
    ]
    assert reports[0].time.isoformat() == "2026-11-18T11:06:40+00:00"
    assert len({report.key for report in reports}) == len(reports)
    assert not any("@" in report.key for report in reports)


def test_what_is_no_stop_says_nothing() -> None:
    """R7: policy blocks are our fault; another department's group is not ours; a stale resubscribe is none."""
    assert hearing().parse(signed(payload("sendgrid/no_stops.json"))) == []


def test_a_resubscribe_there_is_told_so_that_it_is_set_right() -> None:
    """ESP-01, HOOK-01: while its signature is fresh, and never as a yes; of a group that is not ours it is no news."""
    event = {"email": AN, "timestamp": 1795000000, "event": "group_resubscribe"}
    told = [event | {"asm_group_id": group} for group in (101, 999, None)]
    now = str(int(datetime.now(UTC).timestamp()))
    (report,) = hearing().parse(signed(json.dumps(told).encode(), now))
    assert (report.type, report.purpose) == (EventType.SUBSCRIBED, "newsletter")


@pytest.mark.parametrize(
    ("attempt", "response", "meaning"),
    [
        ("1", "450 4.2.1 greylisted", None),
        ("2", "450 4.2.1 still", EventType.DEFERRED),
        (3, "452 4.2.2 full", EventType.DEFERRED),
        ("5", "400 try again later", EventType.DEFERRED),
        (None, None, EventType.DEFERRED),
        ("5", "550 5.7.1 policy", None),
    ],
)
def test_what_waiting_means(attempt: object, response: object, meaning: EventType | None) -> None:
    """R7: the first try says nothing (so greylisting greets every mail); all later ones of a mail are one."""
    event = {"email": AN, "event": "deferred", "attempt": attempt, "response": response, "sg_message_id": "m.f.0"}
    told = [event | {"timestamp": 1795000000 + minutes * 60} for minutes in range(3)]
    reports = hearing().parse(signed(json.dumps(told).encode()))
    assert {report.type for report in reports} == ({meaning} if meaning else set())
    assert len({report.key for report in reports}) == bool(meaning)


@pytest.mark.parametrize(
    ("classification", "kind", "status", "meaning"),
    [
        ("Reputation", "blocked", "4.7.0", None),
        ("Content", "bounce", "5.1.1", None),
        ("Frequency or Volume Too High", "blocked", "4.2.1", None),
        ("Technical Failure", "blocked", "4.4.1", EventType.DEFERRED),
        ("Mailbox Unavailable", "blocked", "5.2.2", EventType.DEFERRED),
        ("Invalid Address", "bounce", "5.5.0", EventType.BOUNCED),
        ("Invalid Address", "bounce", "5.7.1", None),
        ("Unclassified", "bounce", "5.1.8", None),  # our own address as the sender
        ("Unclassified", "bounce", "", EventType.BOUNCED),
        (None, "blocked", None, None),
    ],
)
def test_what_a_classification_says(
    classification: str | None, kind: str, status: str | None, meaning: EventType | None
) -> None:
    """R7: whatever is said of our reputation, our content or our volume is not held against her."""
    event = {"email": AN, "timestamp": 1, "event": "bounce", "type": kind, "status": status}
    body = json.dumps([event | {"bounce_classification": classification}]).encode()
    assert [report.type for report in hearing().parse(signed(body))] == ([meaning] if meaning else [])


def test_a_code_is_found_in_what_the_mail_server_said() -> None:
    """R7: where SendGrid gives no status of its own."""
    event = {"email": AN, "timestamp": 1, "event": "bounce", "type": "bounce"}
    said = {
        "550 5.7.26 unauthenticated": None,
        "452 4.2.2 full (10.5.1.1)": EventType.DEFERRED,
        "no": EventType.BOUNCED,
    }
    for reason, meaning in said.items():
        reports = hearing().parse(signed(json.dumps([event | {"reason": reason}]).encode()))
        assert [report.type for report in reports] == ([meaning] if meaning else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"SENDGRID_WEBHOOK_OAUTH_ID": "sendgrid"},
        {"SENDGRID_WEBHOOK_OAUTH_SECRET": "0123456789abcdef"},
        {"SENDGRID_WEBHOOK_OAUTH_ID": "sendgrid", "SENDGRID_WEBHOOK_OAUTH_SECRET": "short"},
    ],
)
def test_half_of_oauth_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="SENDGRID_WEBHOOK_OAUTH"):
        SendGrid({"SENDGRID_API_KEY": KEY, **wrong}, PLACES, {})


def test_one_spoiled_element_harms_no_other() -> None:
    """HOOK-02: and a stop whose time cannot be read is a stop all the same."""
    reports = hearing().parse(signed(payload("sendgrid/spoiled.json")))
    assert [(report.type, report.email) for report in reports] == [
        (EventType.UNSUBSCRIBED, AN),
        (EventType.COMPLAINED, AN),
        (EventType.UNSUBSCRIBED, BRAM),
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'[{"email":', b"null"])
def test_a_body_that_makes_no_sense_gives_nothing(body: bytes) -> None:
    assert hearing().parse(signed(body)) == []


def test_an_event_sent_again_with_another_id_has_the_same_key() -> None:
    """HOOK-02; sendgrid-nodejs 1435: `sg_event_id` is not the same in a retry."""
    events = json.loads(payload("sendgrid/stops.json"))
    again = [event | {"sg_event_id": "another"} for event in events]

    first, second = (hearing().parse(signed(json.dumps(told).encode())) for told in (events, again))

    assert [report.key for report in first] == [report.key for report in second]


@pytest.mark.parametrize(
    ("kind", "status", "meaning"),
    [
        ("bounce", "5.1.1", EventType.BOUNCED),
        ("bounce", "5.1.10", EventType.BOUNCED),
        ("bounce", "5.0.0", EventType.BOUNCED),
        ("bounce", None, EventType.BOUNCED),
        (None, "5.0.0", EventType.BOUNCED),
        ("bounce", "5.7.1", None),
        ("bounce", "5.2.2", EventType.DEFERRED),
        ("bounce", "4.4.2", EventType.DEFERRED),
        ("blocked", "5.2.2", EventType.DEFERRED),
        ("blocked", "4.7.0", EventType.DEFERRED),
        ("blocked", "5.1.1", None),
        ("blocked", "5.7.26", None),
    ],
)
def test_what_a_bounce_means(kind: str | None, status: str | None, meaning: EventType | None) -> None:
    """R7."""
    event = {"email": AN, "timestamp": 1, "event": "bounce", "type": kind, "status": status}
    reports = hearing().parse(signed(json.dumps([event]).encode()))
    assert [report.type for report in reports] == ([meaning] if meaning else [])


def test_every_sample_event_is_understood() -> None:
    samples = sample("sendgrid-events.json")
    documented = hearing().parse(signed(json.dumps(samples["documented"]).encode()))
    assert [report.type for report in documented] == [
        EventType.DEFERRED,
        EventType.BOUNCED,
        EventType.BOUNCED,
        EventType.COMPLAINED,
        EventType.UNSUBSCRIBED,
    ]
    awkward = [hearing().parse(signed(json.dumps(case["body"]).encode())) for case in samples["cases"]]
    assert [[report.type for report in reports] for reports in awkward] == [
        [],
        [EventType.BOUNCED],
        [EventType.DEFERRED],
        [EventType.UNSUBSCRIBED],
        [],
        [],
        [],
        [EventType.UNSUBSCRIBED],
    ]


# The judge itself.


@pytest.mark.skipif(judge.MISSING, reason="official API documents not found")
def test_the_judge_knows_wrong_from_right() -> None:
    """Decision 33: a check that never says no proves nothing."""
    right = {"list_ids": [NEWS], "contacts": [{"email": AN}]}
    wrong = [
        {"contacts": [{"email": AN, "birthday": "1970"}]},
        {"list_ids": ["newsletter"], "contacts": [{"email": AN}]},
    ]
    for body, good in ((right, True), *((body, False) for body in wrong)):
        made = EnvironBuilder(
            path=f"/v3{CONTACTS}", method="PUT", json=body, headers={"Authorization": "Bearer x"}
        ).get_request()
        assert (judge.complaint_about_sendgrid(made) == "") is good


# Settings, setup, check.


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "SENDGRID_API_KEY"),
        ({"SENDGRID_API_KEY": " "}, "SENDGRID_API_KEY"),
        ({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": "https://sendgrid.evil.example"}, "SENDGRID_BASE_URL"),
        ({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": "http://api.sendgrid.com"}, "SENDGRID_BASE_URL"),
        ({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": "https://127.0.0.2"}, "SENDGRID_BASE_URL"),
        ({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": "https://localhost.evil.example"}, "SENDGRID_BASE_URL"),
        ({"SENDGRID_API_KEY": KEY, "SENDGRID_BASE_URL": "ftp://127.0.0.1"}, "SENDGRID_BASE_URL"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named) as caught:
        SendGrid(given, PLACES, {})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_may_play_sendgrid_with_and_without_tls(scheme: str, host: str) -> None:
    """The sandbox and the measurements: nothing but loopback is added to SendGrid's own two hosts."""
    adapter = SendGrid(settings(f"{scheme}://{host}"), PLACES, {})
    with pytest.raises(AdapterError, match="no answer"):
        adapter.put([an(stopped=BOTH)])


@pytest.mark.parametrize("key", ["list", "group"])
def test_two_purposes_in_one_place_are_refused(key: str) -> None:
    shared = PLACES | {"offers": PLACES["offers"] | {key: PLACES["newsletter"][key]}}
    missing = {"newsletter": {name: value for name, value in PLACES["newsletter"].items() if name != key}}
    for places in (shared, missing):
        with pytest.raises(Misconfigured, match=key):
            SendGrid({"SENDGRID_API_KEY": KEY}, places, {})


def test_setup_makes_each_field_once(adapter: SendGrid, sendgrid: Desk) -> None:
    nothing = {"custom_fields": [], "reserved_fields": []}
    known = [{"id": f"e{n}_T", "name": name, "field_type": "Text"} for n, name in enumerate(("prefs", "Town"), 1)]
    there = {"custom_fields": known, "reserved_fields": []}
    sendgrid.on("GET", FIELDS, Answer(200, nothing), Answer(200, there))
    sendgrid.on("POST", FIELDS, Answer(200, {"id": "e1_T"}))
    lists = [{"id": one, "name": "-"} for one in (NEWS, OFFERS)]
    sendgrid.on("GET", "/marketing/lists", Answer(200, {"result": lists}))
    sendgrid.on("GET", "/asm/groups", Answer(200, [{"id": one, "name": "-"} for one in (101, 102)]))

    assert [step.made for step in adapter.setup()] == [True, True, False, False, False, False]
    assert not any(step.made for step in adapter.setup())

    made = [call.body for call in sendgrid.made("POST")]
    assert made == [{"name": name, "field_type": "Text"} for name in ("prefs", "Town")]


def test_setup_while_it_stumbles_is_an_error_of_ours(adapter: SendGrid, sendgrid: Desk) -> None:
    sendgrid.on("GET", FIELDS, Answer(500, ERROR))
    with pytest.raises(AdapterError, match="internal"):
        adapter.setup()


def test_a_missing_field_names_the_fix(adapter: SendGrid, sendgrid: Desk) -> None:
    sendgrid.on("GET", FIELDS, Answer(200, {"custom_fields": [], "reserved_fields": []}))
    with pytest.raises(Misconfigured, match="setup"):
        adapter.put([an(on=BOTH)])


def test_check_names_what_is_wrong_and_the_fix(adapter: SendGrid, account: Desk) -> None:
    account.on("GET", "/scopes", Answer(200, {"scopes": ["mail.send"]}))
    account.on("GET", f"/marketing/lists/{NEWS}", Answer(200, {"id": NEWS}))
    account.on("GET", "/marketing/contacts/count", Answer(200, {"contact_count": 7}))

    wrong = {finding.subject: finding.fix for finding in adapter.check() if not finding.ok}

    assert set(wrong) == {"sendgrid key: scopes", "sendgrid webhook key", "sendgrid list of offers"}
    assert "policy" in wrong["sendgrid list of offers"]
    assert "marketing.update" in wrong["sendgrid key: scopes"]
