"""Nothing that a reader waits for reads a whole table, however many people there are (issue 7, point 8).

A story goes through every page, lane and chore; every statement that is sent meanwhile is caught with its values. Then
strangers come, twice as many the second time, and the database is asked how it would carry out each.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.memory import SIGNATURE, sign
from bridge.jobs import requests
from bridge.jobs.breach.ids import checked
from bridge.jobs.breach.papers import Window, export
from bridge.jobs.breach.telling import subject_of, tell
from bridge.store.breaches import Facts
from bridge.store.case_files import Told
from bridge.vault import new_key
from bridge.vocabulary import EventType, RequestKind, rfc3339
from tests.conftest import House, Reader
from tests.plans import BIG, Notes, plans, strangers, sweep
from tests.test_kids import CLUB, Kid
from tests.test_repermission import POLICY, Desk
from tests.test_web import everywhere

SECRET = "a-secret-only-for-tests"

#: What may read all of a table, by how the statement begins and the road that sends it, with the reason.
READS_ALL = {
    **{
        (f"GET /{name}", "SELECT count(*) AS count_1 \nFROM (SELECT"): "counts no further than a thousand"
        for name in ("readyz", "metrics")
    },
    ("lanes", "SELECT COUNT(*) FROM (SELECT 1 FROM outbox"): "counts no further than one wave",
    ("lanes", "SELECT count(*) FROM records"): "how many readers a purpose has, asked each ten minutes at most",
    ("chore: purge", "DELETE FROM open_questions"): "holds what readers were asked within some days",
    ("chore: purge", "DELETE FROM looks"): "holds what readers asked within a day",
    ("chore: purge", "DELETE FROM moves"): "holds what readers asked within three days",
    ("chore: purge", "SELECT cases.id"): "once a day: letters",
}

#: How much more a statement may cost among twice as many strangers: one more level of an index, and rounding. Chores
#: read whatever is due, and more is.
GROWTH = 1.3

FIRST, MORE = 8_000, 8_000

FILES = {f"GET /{name}" for name in ("style.css", "favicon.svg", "favicon.ico", "confirm.js", "sign-up.js", "embed.js")}


@pytest.fixture
def noted(
    policy_folder: Path,
    make_house: Callable[..., House],
    database_url: str,
    tmp_path: Path,
) -> tuple[House, Notes]:
    """The story: everything that readers and platforms do, with the dispatcher and its chores at work."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text("utf-8") + CLUB + POLICY + "\n[sign_up]\nper_network_hour = 500\n", encoding="utf-8")
    for language in ("nl", "en"):
        words = (policy_folder / "notices" / f"newsletter-1.{language}.txt").read_text(encoding="utf-8")
        for told, instead in (
            ("elke werkdag, met een overzicht in het weekend", "elke woensdag"),
            ("every working day, with a digest at the weekend", "every Wednesday"),
        ):
            words = words.replace(told, instead)
        (policy_folder / "notices" / f"club-1.{language}.txt").write_text(words, encoding="utf-8")
    house = make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"), BRIDGE_METRICS_TOKEN="t" * 32)
    notes = Notes(house.bridge.database)
    house.app.before_request_funcs.setdefault(None, []).insert(0, lambda: _route(notes))
    house.app.teardown_request_funcs.setdefault(None, []).append(lambda _error: setattr(notes, "road", ""))
    dispatcher = house.dispatcher
    notes.called(dispatcher, "work", "lanes")
    notes.called(dispatcher, "raise_alarms", "chore: clock")
    notes.called(dispatcher, "seal", "chore: checkpoint")
    notes.called(dispatcher, "forget", "chore: purge")
    _children(house)
    _questions(house, tmp_path)
    _breach(house, tmp_path)
    _pages(house)
    _platforms(house)
    house.dispatch()
    house.clock.forward(days=1)
    house.dispatch()
    dispatcher.forget()
    return house, notes


def _route(notes: Notes) -> None:
    from flask import request

    notes.road = f"{request.method} {request.url_rule}"
    notes.routes.add(notes.road)


def _pages(house: House) -> None:
    for visit in everywhere(house):
        house.client.open(visit.path, method=visit.method, data=visit.data)
    house.client.get("/embed/footer")
    house.client.get("/embed/footer/task")
    house.client.get("/webhooks/memory/secret")
    house.client.post("/webhooks/memory/secret")
    house.dispatch()
    an = Reader(house, "receipt@lezer.example").has_consented("newsletter", "offers")
    (receipt, *_) = json.loads(house.client.get(f"{an.asks_for_a_link()}/receipts").get_data())
    house.client.post("/receipt", data={"receipt": json.dumps(receipt)})
    house.client.get("/receipt/keys")
    house.client.get("/metrics", headers={"Authorization": f"Bearer {'t' * 32}"})
    an.one_click()
    eva = Reader(house, "eva@lezer.example").has_consented("newsletter")
    link = eva.asks_for_a_link().replace("/preferences/", "/my-data/")
    house.client.post(link, data={"act": "address", "email": "eva.nieuw@lezer.example"})
    house.dispatch()
    house.client.post(Reader(house, "eva.nieuw@lezer.example").link("/my-data/"), data={"act": "moved"})
    house.dispatch()
    case = requests.open_request(house.bridge, Told(email="eva.nieuw@lezer.example"), RequestKind.ERASE)
    requests.ask_whether_hers(house.bridge, case)
    house.client.post(Reader(house, "eva.nieuw@lezer.example").link("/requests/"), data={"mine": "yes"})
    link = an.asks_for_a_link().replace("/preferences/", "/my-data/")
    assert house.client.post(link, data={"act": "erase", "sure": "yes"}).status_code == 200


def _children(house: House) -> None:
    kim = Kid(house)
    kim.asks()
    kim.confirms()
    house.client.get(kim.guardian_link())
    kim.guardian_says("yes", years="1")
    house.dispatch()
    started = house.clock.now
    house.clock.now = next(e.until for e in kim.story() if e.type is EventType.GUARDIAN_CONFIRMED)
    house.clock.forward(minutes=1)
    house.dispatch()
    link = kim.link("/of-age/")
    house.client.get(link)
    house.client.post(link, data={"club": "yes"})
    house.dispatch()
    assert house.clock.now > started


def _questions(house: House, folder: Path) -> None:
    desk = Desk(house, folder)
    names = [f"vraag{number}@lezer.example" for number in range(3)]
    desk.takes_in(*names, country="BE")
    desk.asks()
    asked = [str(mail["To"]) for mail in desk.mails()]
    house.client.get(desk.link(asked[0]))
    desk.yes(asked[0])
    desk.no(asked[1])
    house.dispatch()


def _breach(house: House, folder: Path) -> None:
    words = {"nl": "Een laptop is gestolen.", "en": "A laptop was stolen."}

    breach = house.store.breaches.open(house.clock(), Facts(what="a laptop was stolen", words=words), "carla")
    path = export(house.bridge, breach, Window(datetime(2026, 1, 1, tzinfo=UTC), house.clock()), folder / "breach")[1][
        -1
    ]
    with checked(path) as ids:
        tell(house.bridge, breach.number, ids, "dora", approved=subject_of(house.bridge, breach.number, ids))
    house.dispatch()


def _platforms(house: House) -> None:
    """Batches about many, some of whom nobody knows, each told twice; and a platform that does not answer."""
    people = [Reader(house, f"lezer{number}@lezer.example") for number in range(6)]
    for one in people[:4]:
        one.has_consented("newsletter", "offers")
    kinds = ("unsubscribed", "complained", "bounced", "deferred", "unsubscribed", "complained")
    told = [
        {"id": kind + one.email, "type": kind, "email": one.email, "time": rfc3339(house.clock()), "purpose": ""}
        for kind, one in zip(kinds, people, strict=True)
    ]
    body = json.dumps(told).encode()
    for _ in range(2):
        answer = house.client.post("/webhooks/memory", data=body, headers={SIGNATURE: sign(SECRET, body)})
        assert answer.status_code == 204
    house.esp.down = True
    people[0].signs_up("newsletter")
    people[3].one_click()
    house.dispatch()
    house.esp.down = False
    house.clock.forward(minutes=10)
    house.dispatch()


def test_every_route_and_big_table_is_in_the_story_and_nothing_reads_a_table_whole(
    noted: tuple[House, Notes],
) -> None:
    """Issue 7, point 8: no full scan on a request path, in no lane's claim, and no cost that grows with strangers."""
    house, notes = noted
    told = sorted(notes)
    read = {name for statement in told for name in statement.tables}
    assert set(BIG) <= read, "a table that grows with people belongs in the story, or in SMALL with its reason"
    known = {
        f"{m} {rule}" for rule in house.app.url_map.iter_rules() for m in rule.methods or () if m in ("GET", "POST")
    }
    assert known - FILES <= notes.routes, "a new route belongs in the story"
    database = house.bridge.database
    sweep(database)
    strangers(database, 1, FIRST, house.clock())
    before = plans(database, told)
    strangers(database, FIRST + 1, MORE, house.clock())
    after = plans(database, told)
    wrong = []
    for statement, few, many in zip(told, before, after, strict=True):
        if any(road == statement.road and statement.text.startswith(begin) for road, begin in READS_ALL):
            continue
        grows = many.cost > few.cost * GROWTH + 20 and not statement.road.startswith("chore")
        if many.scans or grows:
            costs = f"cost {few.cost:.0f} to {many.cost:.0f}"
            wrong.append(f"{statement.road}: reads {sorted(many.scans)}, {costs}: {statement.text}")
    assert not wrong, "\n\n".join(wrong)
