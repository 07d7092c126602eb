"""Which fields are kept of people, and where these stand: read in batches, for counting; never whose they are."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.store.engine import Database
from bridge.store.rows import Rows, open_person
from bridge.store.sql import Sql
from bridge.tables import STATUSES, moment
from bridge.vault import Sealed
from bridge.vocabulary import Status

log = logging.getLogger("bridge.store")

_PEOPLE = Sql(
    "SELECT s.number, s.id, s.mark, s.profile, k.kid, k.wrapped FROM subjects s "
    "JOIN person_keys k ON k.subject = s.number WHERE s.number > ? ORDER BY s.number LIMIT ?"
)
_ALL = Sql("SELECT count(*) FROM subjects")
_RECORDS = Sql("SELECT subject, purpose, status, since FROM records WHERE subject IN ({})")

_CHUNK = 500


class Filled(NamedTuple):
    """The fields that are kept of one person, by name, and where she stands for each purpose, and since when."""

    fields: frozenset[str]
    stands: Mapping[str, tuple[Status, datetime]]


def filled(
    database: Database, rows: Rows, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Iterator[Filled]:
    """Everybody of whom a field is kept, in flat memory. Profiles are sealed, so each is opened.

    No transaction is held open between batches. Who cannot be read is left out and named in the log by her id.
    """
    with database.looking() as db:
        ((total,),) = _ALL.rows(db)
    last = done = 0
    while True:
        with database.looking() as db:
            chunk = _PEOPLE.rows(db, (last, _CHUNK))
            if not chunk:
                return
            fields: dict[int, frozenset[str]] = {}
            for row in chunk:
                try:
                    kept = open_person(rows.vault, row).person.fields
                except (Sealed, msgspec.DecodeError):
                    log.error("subject %s cannot be read: run consent-bridge verify", row[1])
                    continue
                if there := frozenset(name for name, value in kept.items() if value):
                    fields[row[0]] = there
            numbers = list(fields)
            stands: dict[int, dict[str, tuple[Status, datetime]]] = {number: {} for number in numbers}
            for subject, purpose, status, since in _RECORDS.rows(db, numbers, len(numbers)) if numbers else ():
                stands[subject][rows.names.text(db, purpose)] = STATUSES[status - 1], moment(since)
        yield from (Filled(fields[number], stands[number]) for number in numbers)
        last, done = chunk[-1][0], done + len(chunk)
        progress(done, max(done, total))
