"""What ESPs tell us: verified over the raw bytes before anything is read (HOOK-01), heard once (HOOK-02)."""

import json
import logging
from typing import Any

import pytest

from adapters.memory import SIGNATURE, sign
from bridge.vocabulary import Block, EventType, Report, Status, rfc3339
from tests.conftest import House, Reader
from tests.test_subscribe import everything_stored
from tests.weather import away, locked

SECRET = "a-secret-only-for-tests"


def posts(house: House, body: bytes, *, secret: str = SECRET, **more: Any) -> Any:
    """The ESP's call, signed."""
    return house.client.post("/webhooks/memory", data=body, headers={SIGNATURE: sign(secret, body)}, **more)


def news(reader: Reader, kind: str, purpose: str = "", key: str = "1") -> bytes:
    """One piece of news about her."""
    told = {"id": key, "type": kind, "email": reader.email, "time": rfc3339(reader.house.clock()), "purpose": purpose}
    return json.dumps([told]).encode()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("unsubscribed", Status.WITHDRAWN), ("complained", Status.OBJECTED), ("bounced", Status.GIVEN)],
)
def test_news_that_stops_mail(house: House, an: Reader, kind: str, status: Status) -> None:
    """WDR-13, ESP-02: left, complained or bounced at the ESP: the gate says no before the ESP has its answer, and the
    ESP is told how things are."""
    an.has_consented("newsletter", "offers")
    answer = posts(house, news(an, kind))

    assert (answer.status_code, answer.data) == (204, b"")
    assert an.status() is status
    assert not any(an.may(purpose).may for purpose in ("newsletter", "offers"))
    assert (an.story()[-1].type.value, an.story()[-1].source) == (kind, "memory")
    assert not an.story()[-1].by_reader
    house.dispatch()
    assert not an.is_on("newsletter")
    if kind == "bounced":
        assert any(Block.BOUNCED in reason for reason in an.may().why)


def test_leaving_one_list_there(house: House, an: Reader) -> None:
    """WDR-13: news of one list stops that purpose."""
    an.has_consented("newsletter", "offers")
    posts(house, news(an, "unsubscribed", "offers"))

    assert (an.may("newsletter").may, an.may("offers").may) == (True, False)


def test_an_esp_cannot_say_yes(house: House, an: Reader) -> None:
    """ESP-01: "subscribed" without our proof switches nothing on."""
    an.signs_up("newsletter")
    an.mails()
    house.clock.forward(minutes=1)

    assert posts(house, news(an, "subscribed", "newsletter")).status_code == 204
    assert not an.may().may


def test_three_times_is_once(house: House, an: Reader) -> None:
    """HOOK-02: the same call three times has one effect, and each is answered well."""
    an.has_consented("newsletter")
    body = news(an, "unsubscribed", "newsletter")
    before = len(an.story())

    assert {posts(house, body).status_code for _ in range(3)} == {204}
    assert len(an.story()) == before + 1


def test_a_replay_after_a_new_yes_changes_nothing(house: House, an: Reader) -> None:
    """HOOK-01, HOOK-02: a recorded call played again much later cannot undo what she chose since."""
    an.has_consented("newsletter")
    body = news(an, "unsubscribed", "newsletter")
    posts(house, body)
    house.clock.forward(days=2)
    an.signs_up("newsletter")
    house.clock.forward(minutes=1)
    an.confirms()
    house.clock.forward(minutes=1)

    assert posts(house, body).status_code == 204
    assert an.may().may


def test_a_stop_of_somebody_unknown_is_remembered(house: House, dirk: Reader) -> None:
    """SUP-05: kept as a hash only: not even her address is stored."""
    posts(house, news(dirk, "complained"))

    assert house.store.person(dirk.email) is None
    assert dirk.status() is Status.OBJECTED
    assert dirk.email not in everything_stored(house)


UNSIGNED: dict[str, dict[str, str]] = {
    "no signature": {},
    "empty": {SIGNATURE: ""},
    "wrong": {SIGNATURE: "0" * 64},
    "not ascii": {SIGNATURE: "\u00e9" * 64},
    "of other bytes": {SIGNATURE: sign(SECRET, b"[]")},
    "with another secret": {SIGNATURE: sign("guess", b"x")},
}


@pytest.mark.parametrize("how", UNSIGNED)
@pytest.mark.parametrize("body", ["news", "no json"])
def test_what_is_not_signed_is_not_read(house: House, an: Reader, how: str, body: str) -> None:
    """HOOK-01: 401 for good and bad content alike: nothing of it was parsed, nothing stored."""
    an.has_consented("newsletter")
    content = news(an, "unsubscribed") if body == "news" else b"{" * 1000
    answer = house.client.post("/webhooks/memory", data=content, headers=UNSIGNED[how])

    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert an.may().may


def test_one_changed_byte_is_not_genuine(house: House, an: Reader) -> None:
    """HOOK-01: the signature is over the raw bytes: the same JSON written otherwise does not pass."""
    an.has_consented("newsletter")
    body = news(an, "unsubscribed")
    again = json.dumps(json.loads(body), indent=1).encode()
    answer = house.client.post("/webhooks/memory", data=again, headers={SIGNATURE: sign(SECRET, body)})

    assert answer.status_code == 401
    assert an.may().may


ODD = {
    "empty": b"",
    "no json": b"hello",
    "null": b"null",
    "an object": b"{}",
    "no utf-8": b'["\xff\xfe"]',
    "nul bytes": b"[\x00]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'[{"id":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}]",
    "wrong types": b'[{"id": 1, "type": [], "email": {}, "time": "yesterday"}, 5, "x", null]',
    "a huge number": b"[" + b"9" * 100_000 + b"]",
    "no zone": b'[{"id": "1", "type": "unsubscribed", "email": "an@lezer.example", "time": "2026-11-23T10:00:00"}]',
    "unknown news": b'[{"id":"1","type":"danced","email":"an@lezer.example","time":"2026-11-23T10:00:00Z"}]',
    "no address": b'[{"id":"1","type":"unsubscribed","email":"","time":"2026-11-23T10:00:00Z"}]',
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_content_is_answered_and_forgotten(house: House, kind: str) -> None:
    """HOOK-02: genuine but senseless: 2xx, so that it is not sent for ever; nobody is invented."""
    assert posts(house, ODD[kind]).status_code == 204
    with house.bridge.database.reading() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM subjects").scalar() == 0


def test_one_bad_element_spoils_nothing(house: House, an: Reader, dirk: Reader) -> None:
    """HOOK-02: the good ones around it count."""
    an.has_consented("newsletter")
    dirk.has_consented("newsletter")
    one, two = json.loads(news(an, "unsubscribed")), json.loads(news(dirk, "complained", key="2"))

    assert posts(house, json.dumps([*one, {"id": 5}, "x", *two]).encode()).status_code == 204
    assert (an.status(), dirk.status()) == (Status.WITHDRAWN, Status.OBJECTED)


def test_who_is_looked_for_by_an_esp_is_found(home: House) -> None:
    """HOOK-02: ESPs look whether the address answers: 200 for GET and HEAD, nothing said; other adapters are 404."""
    for path in ("/webhooks/memory", "/webhooks/memory/", "/webhooks/memory/secret"):
        answer = home.client.get(path)
        assert (answer.status_code, answer.data) == (200, b"")
        assert home.client.head(path).status_code == 200
    for path in ("/webhooks/mailchimp/x", "/webhooks/nobody", "/webhooks/nobody/secret"):
        answer = home.client.post(path, data=b"[]")
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
        assert home.client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(home: House, method: str) -> None:
    """WEB-06: 405 with Allow."""
    answer = home.client.open("/webhooks/memory", method=method)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_body_beyond_the_limit(home: House, reader: Reader) -> None:
    """HOOK-02, decision 28: 8 MiB are taken (a thousand events are one), more are 413, also without a length."""
    reader.has_consented("newsletter")
    most = 8 * 1024 * 1024
    body = news(reader, "unsubscribed")
    fits, beyond = body + b" " * (most - len(body)), body + b" " * (most - len(body) + 1)

    assert posts(home, beyond).status_code == 413
    assert reader.may().may
    assert posts(home, fits).status_code == 204
    assert not reader.may().may


@pytest.mark.parametrize("weather", [away, locked])
def test_in_bad_weather_a_stop_is_parked_and_counts(home: House, reader: Reader, weather: Any) -> None:
    """HOOK-02, decision 21: acknowledged only because it is safe on disk; sent again all the same it counts once, and
    nothing is sent before it."""
    reader.has_consented("newsletter")
    body = news(reader, "unsubscribed")
    with weather(home):
        assert {posts(home, body).status_code for _ in range(2)} == {204}
        assert reader.email.encode() not in home.bridge.spool.path.read_bytes()
    assert posts(home, body).status_code == 204
    home.dispatch()
    assert not reader.may().may
    assert [e.type for e in reader.story()].count(EventType.UNSUBSCRIBED) == 1
    assert not home.verify().problems


def test_a_call_without_news_says_when_the_store_is_away(home: House) -> None:
    """HOOK-02: there is nothing to keep: 503 with Retry-After, so that monitors see it."""
    with away(home):
        answer = posts(home, b"[]")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0


def test_nothing_of_the_call_is_logged(house: House, an: Reader, caplog: pytest.LogCaptureFixture) -> None:
    """MIN-03: neither address nor payload, genuine or not."""
    an.has_consented("newsletter")
    caplog.set_level(logging.DEBUG, "bridge")
    caplog.clear()
    posts(house, news(an, "unsubscribed", key="kanarie"))
    house.client.post("/webhooks/memory/geheim", data=news(an, "bounced", key="kanarie"))

    assert caplog.records
    for word in (an.email, "kanarie", "geheim"):
        assert word not in caplog.text


def test_nothing_of_the_call_is_kept_but_its_news(house: House, an: Reader) -> None:
    """MIN-05: the raw body is in no table, nor in what is sealed; what was not asked for is gone with the answer."""
    an.has_consented("newsletter")
    (told,) = json.loads(news(an, "unsubscribed"))
    posts(house, json.dumps([told | {"campaign": "kanarie"}, {"note": "kanarie"}]).encode())
    house.dispatch()

    assert an.story()[-1].type.value == "unsubscribed"
    assert "kanarie" not in everything_stored(house) + repr(an.story())


def test_a_whole_body_of_news_is_taken_at_once(house: House) -> None:
    """HOOK-02: as many as fit into the largest body; a database takes only so many values in one statement."""
    now = house.clock()
    told = [
        Report(type=EventType.COMPLAINED, email=f"{n}@lezer.example", time=now, key=str(n), purpose="")
        for n in range(66_000)
    ]
    assert house.hear(*told) == 0
    assert house.store.stops("65999@lezer.example")
