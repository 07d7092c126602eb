"""The floor: a small honest Flask and SQLAlchemy Core program. No consent rules, no proof, no sealing, no languages.

A page is a signed link read, one read by primary key and one rendered template of the size of ours; a stop is event,
state and outbox row in one durable transaction. Whoever does less than this does not do the job. Server, database and
durability are the bridge's own; threads write plainly, each waiting in SQLite's busy handler when another writes.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, render_template
from itsdangerous import BadSignature, URLSafeSerializer
from jinja2 import DictLoader
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    make_url,
    select,
    update,
)

metadata = MetaData()
people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String, nullable=False, unique=True),
    Column("newsletter", Boolean, nullable=False),
    Column("offers", Boolean, nullable=False),
    Column("since", DateTime, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", ForeignKey("people.id"), nullable=False, index=True),
    Column("type", String, nullable=False),
    Column("time", DateTime, nullable=False),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", ForeignKey("people.id"), nullable=False),
    Column("work", String, nullable=False),
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>Your preferences · De Dagwijzer</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><a href="https://www.dedagwijzer.example">De Dagwijzer</a></header>
<main>
<h1>Your preferences</h1>
<p>For <strong>{{ person.email }}</strong>.</p>
<form method="post" action="{{ action }}"><button name="stop" value="all">Stop everything</button></form>
<form method="post" action="{{ action }}">
  <h2>What you receive</h2>
  {% for purpose in purposes %}
  <section aria-labelledby="name-{{ purpose.id }}">
    <h3 id="name-{{ purpose.id }}">{{ purpose.name }}</h3>
    <p>{{ purpose.description }}</p>
    <p>How often: {{ purpose.frequency }}</p>
    <p>{% if person[purpose.id] %}On since {{ person.since.strftime("%d %B %Y") }}{% else %}Off{% endif %}</p>
    <input type="checkbox" id="purpose-{{ purpose.id }}" name="purpose" value="{{ purpose.id }}"
      {% if person[purpose.id] %} checked{% endif %}>
    <label for="purpose-{{ purpose.id }}">{{ purpose.label }}</label>
    <p><a href="/notices/{{ purpose.id }}">The words of this consent on a page of their own</a></p>
  </section>
  {% endfor %}
  <button>Save my choices</button>
</form>
<section>
  <h2>A pause</h2>
  <p>Too much for a while? Choose the day on which it may start again.</p>
  <form method="post" action="{{ action }}">
    <label for="pause">No mail until</label>
    <input type="date" id="pause" name="pause_until" min="{{ today }}" required>
    <button>Pause</button>
  </form>
</section>
</main>
<footer>
  <address><strong>De Dagwijzer NV</strong> Drukkerijstraat 1, 1000 Brussel, België</address>
  <p>Questions about your data: <a href="mailto:privacy@dedagwijzer.example">privacy@dedagwijzer.example</a></p>
  <p><a href="/privacy">How we handle your data</a></p>
</footer>
</body>
</html>
"""

PURPOSES = (
    {
        "id": "newsletter",
        "name": "Newsletter",
        "description": "The main news of our editors in your mailbox.",
        "frequency": "every working day, with a digest at the weekend",
        "label": "Yes, send me the newsletter of De Dagwijzer.",
    },
    {
        "id": "offers",
        "name": "Reader offers",
        "description": "Books, trips and events of De Dagwijzer, at a better price for readers.",
        "frequency": "at most twice a month",
        "label": "Yes, send me the reader offers of De Dagwijzer.",
    },
)


def connect(url: str) -> Engine:
    """A database as durable as the bridge's own and with its pool; of SQLite connections as many as threads."""
    if make_url(url).get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=16,
            connect_args={"options": "-c lock_timeout=10s -c timezone=UTC"},
        )
    engine = create_engine(url, pool_size=64, connect_args={"timeout": 5.0, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("immediate") else "BEGIN")

    return engine


def fill(url: str, count: int) -> None:
    """People with a yes."""
    engine = connect(url)
    metadata.create_all(engine)
    now = datetime.now(UTC).replace(tzinfo=None)
    mark, moment = ("?", str(now)) if engine.dialect.name == "sqlite" else ("%s", now)
    with engine.execution_options(immediate=True).begin() as db:
        for first in range(1, count + 1, 10_000):
            some = range(first, min(first + 10_000, count + 1))
            db.exec_driver_sql(
                f"INSERT INTO people (id, email, newsletter, offers, since) VALUES ({', '.join([mark] * 5)})",
                [(n, f"reader.number{n:07}@lezer.example", True, False, moment) for n in some],
            )
            db.exec_driver_sql(
                f"INSERT INTO events (person, type, time) VALUES ({', '.join([mark] * 3)})",
                [(n, "given", moment) for n in some],
            )
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def write(db: Connection, told: Sequence[int], kind: str, *, on: bool) -> None:
    """Event, state and outbox row of some people."""
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute(insert(events), [{"person": person, "type": kind, "time": now} for person in told])
    db.execute(update(people).where(people.c.id.in_(told)).values(newsletter=on, offers=on, since=now))
    db.execute(insert(outbox), [{"person": person, "work": "push"} for person in told])


def links(key: str) -> URLSafeSerializer:
    """Signed links, as the bridge has them."""
    return URLSafeSerializer(key, salt="floor")


def application() -> Flask:
    """The program around the database named by FLOOR_DATABASE."""
    engine, signed = connect(os.environ["FLOOR_DATABASE"]), links(os.environ["FLOOR_KEY"])
    writing = engine.execution_options(immediate=True)
    app = Flask("floor")
    app.jinja_loader = DictLoader({"page.html": PAGE})  # compiled once, as templates in files are

    def number(token: str) -> int:
        try:
            return int(signed.loads(token))
        except BadSignature:
            abort(404)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.get("/preferences/<token>")
    def page(token: str) -> str:
        with engine.connect() as db:
            person = db.execute(select(people).where(people.c.id == number(token))).mappings().one_or_none()
        if person is None:
            abort(404)
        today = datetime.now(UTC).date()
        return render_template(
            "page.html", person=person, purposes=PURPOSES, action=f"/preferences/{token}", today=today
        )

    @app.post("/u/<token>")
    def stop(token: str) -> str:
        person = number(token)
        with writing.begin() as db:
            write(db, [person], "withdrawn", on=False)
        return "Unsubscribed.\n"

    return app
