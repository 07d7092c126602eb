"""What an operator sees of a running house: figures for monitors and the id of a request (issue 7, point 9).

Rows WDR-11, SND-04, MIN-03, WEB-02, WEB-05. The withdrawal clock's own figures: `test_clock.py`.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.logs import start_logging
from bridge.vocabulary import EventType
from bridge.web import counts
from tests.conftest import House, Reader
from tests.test_docs import rows
from tests.weather import away

MakeHouse = Callable[..., House]

TOKEN = "a-token-only-for-tests"


@pytest.fixture
def watched(make_house: MakeHouse, database_url: str) -> House:
    """A house that a monitor may look into."""
    return make_house(database_url, BRIDGE_METRICS_TOKEN=TOKEN)


def told(house: House) -> str:
    """What a monitor reads."""
    answer = house.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return str(answer.get_data(as_text=True))


def figures(house: House) -> dict[str, str]:
    """The same by name, without what is the same for all of them."""
    lines = [line for line in told(house).splitlines() if not line.startswith("#")]
    return {name.removeprefix("consent_bridge_"): value for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_work_that_nobody_does_grows_old(watched: House) -> None:
    """No dispatcher runs: what waits, and for how long it is due."""
    Reader(watched, "an@lezer.example").signs_up()
    watched.clock.forward(minutes=11)
    found = figures(watched)
    assert (found["work_overdue_seconds"], found['work_waiting{task="mail"}']) == ("660", "1")
    watched.dispatch()
    found = figures(watched)
    assert (found["work_overdue_seconds"], found['work_waiting{task="mail"}']) == ("0", "0")


def test_a_database_that_is_away_is_told_with_what_is_parked(watched: House) -> None:
    """Decision 21: then a monitor needs its figures most; what stands in the database is not among them."""
    an = Reader(watched, "an@lezer.example").has_consented()
    stop = an.link("/u/")
    assert figures(watched)["database_up"] == "1"
    with away(watched):
        assert watched.client.post(stop, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        found = figures(watched)
    assert (found["database_up"], found["stops_parked"]) == ("0", "1")
    assert "work_overdue_seconds" not in found
    watched.bridge.acts.parking.replay()
    found = figures(watched)
    assert (found["database_up"], found["stops_parked"]) == ("1", "0")


def test_complaints_are_told_by_purpose(make_house: MakeHouse, sqlite_url: str, policy_folder: Path) -> None:
    """SND-04: from as many as the policy counts from; a purpose without any is 0."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text().replace("complaint_least = 1000", "complaint_least = 1"))
    house = make_house(sqlite_url, BRIDGE_METRICS_TOKEN=TOKEN)
    readers = [Reader(house, f"lezer{number}@krant.example").has_consented() for number in range(4)]
    house.hear(readers[0].told_by_esp(EventType.COMPLAINED))
    found = figures(house)
    assert found['complaint_percent{purpose="newsletter"}'] == "25"
    assert found['complaint_percent{purpose="offers"}'] == "0"


def test_answers_are_counted_by_route_and_never_by_path(watched: House) -> None:
    """WEB-02: the road before Flask counts as well; what is no route of ours is one figure, whatever was asked."""
    an = Reader(watched, "an@lezer.example").has_consented()
    stop = an.link("/u/")
    watched.client.get(stop)
    watched.client.head(stop)
    watched.client.post(stop, data={"List-Unsubscribe": "One-Click"})
    watched.client.get("/u/an@lezer.example")
    watched.client.get("/an@lezer.example/of-the-web")
    watched.client.delete("/subscribe")
    text, found = told(watched), figures(watched)
    assert found['http_requests_total{route="GET /u/<token>",status="2xx"}'] == "2"
    assert found['http_requests_total{route="GET /u/<token>",status="4xx"}'] == "1"
    assert found['http_requests_total{route="POST /u/<token>",status="2xx"}'] == "1"
    assert found['http_requests_total{route="other",status="4xx"}'] == "2"
    assert found['http_seconds_count{route="POST /u/<token>"}'] == "1"
    assert found['http_seconds_bucket{route="POST /u/<token>",le="+Inf"}'] == "1"
    assert "lezer" not in text
    assert stop.removeprefix("/u/") not in text


def test_readme_names_every_figure(watched: House) -> None:
    """And none that is not there, each with its meaning in the answer itself."""
    Reader(watched, "an@lezer.example").signs_up()
    watched.client.get("/subscribe")
    there = set(re.findall(r"^# TYPE consent_bridge_(\w+) ", told(watched), re.MULTILINE))
    named = {name for cell in rows("What a monitor reads") for name in re.findall(r"`([a-z]+_[a-z_]+)`", cell)}
    assert named == there
    assert there == set(re.findall(r"^# HELP consent_bridge_(\w+) \S", told(watched), re.MULTILINE))


@pytest.fixture
def _shared() -> Iterator[None]:
    counts.share(4)
    yield
    counts._shared, counts._mine = None, 0


@pytest.mark.usefixtures("_shared")
def test_workers_of_one_server_are_added_up() -> None:
    """Each in a part of its own; whoever follows one that ended goes on with its numbers; another version is left out."""
    made = []
    for part, routes in ((0, ["GET /a"]), (1, ["GET /a"]), (2, ["GET /b"]), (1, ["GET /a"])):
        counts.take_part(part)
        made.append(counts.Counts(routes))
        made[-1].add(routes[0], 200, 0.05)
    made[0].add("GET /x", 503, 9.0)
    one, other = made[1].rows()
    assert (other.name, other.kinds, other.spans) == ("GET /a", (3, 0, 0, 0), (0, 0, 3, 0, 0, 0))
    assert (one.name, one.kinds, one.spans, one.seconds) == ("other", (0, 0, 0, 1), (0, 0, 0, 0, 0, 1), 9.0)
    assert [row.name for row in made[2].rows()] == ["GET /b"]


def _broken() -> Any:
    raise RuntimeError("an@lezer.example broke it")


def test_an_error_is_found_in_the_log_by_its_id(
    home: House, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    """WEB-05: its answer and its log line carry the same id, which is ours whatever the client sends; good answers none."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        start_logging("INFO", "json")
        sent = {"X-Request-Id": "an@lezer.example"}
        assert "X-Request-Id" not in home.client.get("/subscribe", headers=sent).headers
        home.store.clock = _broken
        form = {"email": reader.email, "purpose": "newsletter", "channel": "footer"}
        answers = [home.client.post("/subscribe", data=form, headers=sent) for _ in range(2)]
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{16}", asked) for asked in ids)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request"] for line in lines if line["level"] == "ERROR"] == ids
    assert "lezer" not in str(lines)
