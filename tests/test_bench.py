"""The figures are measured by a program that works: a run so small that its numbers mean nothing, on both databases."""

import json
import os
import re
import socket
import sys
from pathlib import Path
from subprocess import run as start
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from bench import crowd, figures, house, machine, multitude
from bench.__main__ import SECTIONS, main
from bench.places import Postgres
from bridge.bootstrap import Bridge
from bridge.store.verify import verify
from bridge.vocabulary import Method

HOUSE = Path(__file__).resolve().parent.parent

#: What must be measured, by section, and on which databases.
BOTH = {"SQLite", "PostgreSQL"}
ROWS = {
    "pages": {
        "preference page, GET, 40 people: CPU": BOTH,
        "preference page, GET, 80 people: CPU": BOTH,
        "preference page, GET: CPU with the larger number": BOTH,
        "preference page, GET: share of sealing": BOTH,
        "one click, POST, 40 people: CPU": BOTH,
        "one click, POST, 80 people: CPU": BOTH,
        "one click, POST: CPU with the larger number": BOTH,
        "one click, POST: share of sealing": BOTH,
    },
    "clients": {
        "one click from 4 clients at once: p99": {"SQLite"},
        "one click from 4 clients at once: throughput": {"SQLite"},
        "one click from 4 clients at once: CPU": {"SQLite"},
    },
    "cold": {
        "cold start on Lambda, init + first click": {"PostgreSQL"},
        "cold start on Lambda, init + first click: CPU": {"PostgreSQL"},
        "cold start on Lambda, init + first click, CPU cut to 0.29 after init": {"PostgreSQL"},
        "cold start on Lambda, init + first click, CPU cut to 0.29 after init: CPU": {"PostgreSQL"},
    },
    "push": {
        "mailchimp, 60 people told: CPU of the adapter": {""},
        "sendgrid, 60 people told: CPU of the adapter": {""},
        "mailchimp, 60 people told: calls": BOTH,
        "sendgrid, 60 people told: upserts": BOTH,
        "both ESPs, 60 people told: CPU of the whole dispatcher": BOTH,
        "both ESPs, 60 people looked at again, nothing changed": BOTH,
    },
    "reconcile": {
        "mailchimp, 60 members read over TLS and compared": BOTH,
        "sendgrid, 60 members read over TLS and compared": BOTH,
        "mailchimp, 60 members: peak memory": BOTH,
        "sendgrid, 60 members: peak memory": BOTH,
    },
    "import": {
        "60 rows with their evidence taken in": BOTH,
        "60 rows with their evidence: the same file again": BOTH,
        "60 rows with their evidence: peak memory": BOTH,
        "60 contacts audited": BOTH,
        "one click over 8 connections while a list is taken in": BOTH,
    },
    "bytes": {"bytes a person": BOTH, "the same by real acts": BOTH},
    "webhooks": {"signed batches of 1,000 events": BOTH},
    "growing": {
        "bytes a person, ": {"PostgreSQL"},
        "may this person be mailed: CPU": {"PostgreSQL"},
        "preference page, GET: CPU": {"PostgreSQL"},
        "one click, POST: CPU": {"PostgreSQL"},
        "a signed batch of 1,000 events": {"PostgreSQL"},
        "10 mails taken up, 100 due beside 50": {"PostgreSQL"},
    },
}


@pytest.fixture(scope="module")
def told(postgres: str) -> dict[str, Any]:
    """What one tiny run of everything prints as JSON."""
    environment = {**os.environ, "BRIDGE_TEST_POSTGRES_URL": postgres}
    done = start(
        [sys.executable, "-m", "bench", "--tiny", "--json"],
        cwd=HOUSE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(told: dict[str, Any], section: str, what: str) -> list[dict[str, Any]]:
    """The rows of a section that begin so."""
    return [row for row in told["rows"] if row["section"] == section and row["what"].startswith(what)]


@pytest.mark.parametrize(("section", "what"), [(section, what) for section, rows in ROWS.items() for what in rows])
def test_each_figure_is_measured_on_each_database(told: dict[str, Any], section: str, what: str) -> None:
    """The whole table stands, whatever the goals say of it."""
    assert {row["database"] for row in rows(told, section, what)} == ROWS[section][what]


def test_a_goal_has_a_verdict_and_its_ratio(told: dict[str, Any]) -> None:
    """Nothing is called met or missed without the figure that says so."""
    for row in told["rows"]:
        assert (row["met"] is None) == (row["goal"] == ""), row["what"]
        assert row["ratio"] is not None or row["met"] is None, row["what"]
    assert {row["section"] for row in told["rows"] if row["goal"]} == {
        "pages",
        "clients",
        "push",
        "reconcile",
        "import",
        "bytes",
        "webhooks",
        "growing",
        "cold",
    }


def test_every_request_to_the_floor_and_to_us_has_a_figure(told: dict[str, Any]) -> None:
    """Ours beside the floor's, wherever the same was asked of both."""
    for row in [*rows(told, "pages", "one click, POST, 40"), *rows(told, "clients", "one click from")]:
        assert re.match(r"[\d.,]+", row["ours"]), row
        assert re.match(r"[\d.,]+", row["floor"]), row


def test_the_head_says_on_what_and_names_nobody(told: dict[str, Any]) -> None:
    """Date, kind of machine, Python and databases; no host name."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", told["date"])
    assert told["machine"] == machine.kind()
    assert [name.split()[0] for name in told["databases"]] == ["SQLite", "PostgreSQL"]
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in json.dumps(told)


def test_the_table_goes_between_readmes_markers(told: dict[str, Any], tmp_path: Path) -> None:
    """`--readme` writes the same rows again and again and touches nothing else."""
    made = msgspec.convert(told, figures.Report)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{figures.BEGIN}\nyesterday\n{figures.END}\nafter\n", encoding="utf-8")
    figures.to_readme(made, readme)
    figures.to_readme(made, readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "yesterday" not in text
    assert text.count("\n| ") == len(made.rows) + 1
    assert figures.BEGIN in (HOUSE / "README.md").read_text(encoding="utf-8")


def test_sections_and_databases_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name is a wrong call: exit 2, with what there is."""
    for option in ("--only", "--databases"):
        with pytest.raises(SystemExit) as ended:
            main([option, "nothing"])
        assert ended.value.code == 2
        assert ("sqlite" if option == "--databases" else "pages") in capsys.readouterr().err
    assert set(ROWS) == set(SECTIONS)


def test_many_people_are_as_many_and_the_few_among_them_are_real(postgres: str, tmp_path: Path) -> None:
    """A grown house has look-alikes with ids of their own; its readers of before click, are told of and are found."""
    place = Postgres(postgres)
    few = house.open_house(house.environment(tmp_path, place.url("few")))
    crowd.fill(few, 5)
    (token,) = house.tokens(few, [4])
    many = multitude.grow(few, place.url("many"), 20)
    with many.database.reading() as db:
        for name, rows in (("subjects", 100), ("events", 200), ("records", 100), ("pushes", 200)):
            assert db.scalar(text(f"SELECT count(*) FROM {name}")) == rows
        assert db.scalar(text("SELECT count(DISTINCT id) + count(DISTINCT lookup) FROM subjects")) == 200
    many.acts.stop(token, Method.ONE_CLICK)
    assert not many.store.may_mail(house.address(4), "newsletter").may
    assert many.store.may_mail(house.address(5), "newsletter").may
    house.act(many, [6])
    assert many.store.may_mail(house.address(6), "newsletter").may
    assert indexes(few) == indexes(many)
    for bridge in (few, many):
        bridge.database.engine.dispose()
    place.drop()


def indexes(bridge: Bridge) -> set[str]:
    """What each index is made by."""
    with bridge.database.reading() as db:
        return set(db.scalars(text("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")))


def test_a_filled_house_is_what_real_acts_make(tmp_path: Path, database_url: str) -> None:
    """Filled people verify, may be mailed, and stop by their links, like those who came through the pages."""
    bridge = house.open_house(house.environment(tmp_path, database_url))
    crowd.fill(bridge, 30)
    for number in (1, 2, 30):
        answer = bridge.store.may_mail(house.address(number), "newsletter")
        assert answer.may, answer
    person, other = (bridge.store.person(house.address(number)) for number in (1, 30))
    assert person is not None
    assert other is not None
    shape = [(e.type, e.method, e.channel, e.evidence.wording) for e in bridge.store.story(person)]
    assert shape == [(e.type, e.method, e.channel, e.evidence.wording) for e in bridge.store.story(other)]
    (token,) = house.tokens(bridge, [30])
    bridge.acts.stop(token, Method.ONE_CLICK)
    assert not bridge.store.may_mail(house.address(30), "newsletter").may
    house.act(bridge, [31])
    assert bridge.store.may_mail(house.address(31), "newsletter").may
    verdict = verify(bridge.database, bridge.vault)
    assert (verdict.people, verdict.events, verdict.problems) == (31, 63, ())
    bridge.database.engine.dispose()
