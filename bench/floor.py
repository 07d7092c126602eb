"""The floor: a small honest Flask and SQLAlchemy Core program. No consent rules, no proof, no sealing, no languages.

A page is one read by primary key and one rendered template; a stop is event, state and outbox row in one durable
transaction. Whoever does less than this does not do the job.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, render_template
from jinja2 import DictLoader
from sqlalchemy import (
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
    select,
    update,
)

metadata = MetaData()
people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String, nullable=False, unique=True),
    Column("status", String, nullable=False),
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

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your preferences</title>
<link rel="stylesheet" href="/style.css"></head><body><h1>Your preferences</h1><p>For {{ email }}.</p>
<form method="post"><button name="stop" value="all">Stop everything</button></form>
<form method="post">{% for name in names %}<p><label><input type="checkbox" name="purpose" value="{{ name }}"
{% if status == "given" %} checked{% endif %}> {{ name }}</label></p>{% endfor %}<button>Save</button></form></body>
</html>"""


def connect(path: str) -> Engine:
    """SQLite as durable as the bridge's own: WAL, every commit on the disk."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("immediate") else "BEGIN")

    return engine


def fill(path: str, count: int) -> None:
    """People with a yes."""
    engine = connect(path)
    metadata.create_all(engine)
    now = datetime.now(UTC).replace(tzinfo=None)
    with engine.execution_options(immediate=True).begin() as db:
        rows = [{"id": n, "email": f"reader{n}@lezer.example", "status": "given"} for n in range(1, count + 1)]
        db.execute(insert(people), rows)
        db.execute(insert(events), [{"person": n, "type": "given", "time": now} for n in range(1, count + 1)])
    engine.dispose()


def write(db: Connection, told: Sequence[int], kind: str, status: str) -> None:
    """Event, state and outbox row of some people."""
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute(insert(events), [{"person": person, "type": kind, "time": now} for person in told])
    db.execute(update(people).where(people.c.id.in_(told)).values(status=status))
    db.execute(insert(outbox), [{"person": person, "work": "push"} for person in told])


def application() -> Flask:
    """The program around the database named by FLOOR_DATABASE."""
    engine = connect(os.environ["FLOOR_DATABASE"])
    writing = engine.execution_options(immediate=True)
    app = Flask("floor")
    app.jinja_loader = DictLoader({"page.html": PAGE})  # compiled once, as templates in files are

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.get("/p/<int:person>")
    def page(person: int) -> str:
        with engine.connect() as db:
            row = db.execute(select(people).where(people.c.id == person)).one_or_none()
        if row is None:
            abort(404)
        names = ("newsletter", "offers")
        return render_template("page.html", email=row.email, status=row.status, names=names)

    @app.post("/u/<int:person>")
    def stop(person: int) -> str:
        with writing.begin() as db:
            write(db, [person], "withdrawn", "withdrawn")
        return "Unsubscribed.\n"

    return app
