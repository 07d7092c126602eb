"""The floor of a cold start: a bare function of Flask, SQLAlchemy Core and psycopg that inserts three rows.

What its first request needs is loaded and connected while it is made ready, as ours does.
"""

import os
from datetime import UTC, datetime
from typing import Any

from apig_wsgi import make_lambda_handler
from flask import Flask
from sqlalchemy import create_engine, insert, make_url, text

from bench.floor import events, outbox

engine = create_engine(make_url(os.environ["FLOOR_DATABASE"]), pool_size=1, max_overflow=0, pool_pre_ping=True)
application = Flask(__name__)


@application.post("/u/<int:person>")
def stop(person: int) -> str:
    """Three rows in one transaction."""
    with engine.begin() as db:
        for kind in ("clicked", "withdrawn"):
            db.execute(insert(events).values(person=person, type=kind, time=datetime.now(UTC).replace(tzinfo=None)))
        db.execute(insert(outbox).values(person=person, work="push"))
    return "You are off the list."


with engine.connect() as db:
    db.execute(text("SELECT 1"))

handler: Any = make_lambda_handler(application, binary_support=True)
