"""Many readers at once: the first by the acts that pages use, the others like her.

Each has an id, an address, keys, sealed and chained events of her own, made by the store's own functions and written
many rows a statement. Which columns there are, and what stands in those that are equal for all, is read from the first
one's rows. `prove` copies a sample into an empty house and has the store's own `verify` look at it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import islice
from multiprocessing import get_context
from typing import Any

import msgspec
from sqlalchemy import Connection

from bench import machine
from bench.house import APART, act, address, forget_limits, open_house
from bridge.bootstrap import Bridge
from bridge.store.rows import profile_bytes
from bridge.store.values import Person
from bridge.store.verify import verify
from bridge.tables import metadata
from bridge.vault import FIRST, about_event, canonical, digest, new_id, pack, seal
from bridge.vocabulary import ConsentEvent

#: People whose rows are made at a time, and chunks that are written in one transaction.
CHUNK, CHUNKS_AT_ONCE = 2_000, 5

#: KiB of SQLite's pages that are held while filling: the indexes on random ids are written all over.
_CACHE = 400_000

#: So many are made by this process alone; more are worth the start of others.
_ALONE = 4_000
Raw = dict[str, list[dict[str, Any]]]
Rows = dict[str, list[tuple[Any, ...]]]


class Model(msgspec.Struct):
    """The first reader: what she did, and her rows as the database holds them, by table."""

    person: Person
    story: list[ConsentEvent]
    rows: Raw
    columns: dict[str, list[str]]


def fill(bridge: Bridge, count: int, *, told: bool = True) -> None:
    """So many readers who signed up and confirmed, one after the other, the first one longest ago."""
    act(bridge, [1], told=told, ago=APART * count)
    forget_limits(bridge)
    if count < 2:
        return
    model = _model(bridge)
    chunks = [range(first, min(first + CHUNK, count + 1)) for first in range(2, count + 1, CHUNK)]
    with machine.bar(f"filling {count:,} people", count) as done:
        made = _made(bridge, model, chunks, alone=count <= _ALONE)
        with bridge.database.engine.connect().execution_options(immediate=True) as db:
            if db.dialect.name == "sqlite":
                db.connection.driver_connection.execute(f"PRAGMA cache_size = {-_CACHE}")  # type: ignore[union-attr]  # it is open
            while some := list(islice(made, CHUNKS_AT_ONCE)):
                with db.begin():
                    for rows in some:
                        _write(db, model.columns, rows)
                        done(len(rows["subjects"]))
        bridge.database.engine.dispose()  # and with it the large cache
    settle(bridge)


def _model(bridge: Bridge) -> Model:
    person = bridge.store.person(address(1))
    assert person is not None
    tables = [name for name, table in metadata.tables.items() if "subject" in table.c]
    with bridge.database.engine.connect() as db:
        rows = {name: _raw(db, name, f"subject = {person.number}") for name in tables}
        rows["subjects"] = _raw(db, "subjects", f"number = {person.number}")
    rows = {name: found for name, found in rows.items() if found}
    for row in rows["events"]:
        row.pop("id", None)  # the database numbers them
    rows = {"subjects": rows.pop("subjects"), **rows}
    columns = {name: list(found[0]) for name, found in rows.items()}
    return Model(person=person, story=bridge.store.story(person), rows=rows, columns=columns)


def _raw(db: Connection, table: str, where: str = "1 = 1") -> list[dict[str, Any]]:
    return [dict(row) for row in db.exec_driver_sql(f"SELECT * FROM {table} WHERE {where}").mappings()]


def _made(bridge: Bridge, model: Model, chunks: Sequence[range], *, alone: bool) -> Iterator[Rows]:
    """The rows of each chunk, in order; by several processes, not far ahead of the writing."""
    if alone:
        maker = _Maker(bridge, model)
        yield from map(maker.make, chunks)
        return
    workers = max(2, os.cpu_count() or 1)
    settings = dict(bridge.settings.environment)
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (settings, model)) as pool:
        ahead = [pool.submit(_make, chunk) for chunk in chunks[: 2 * workers]]
        for next_one in range(len(ahead), len(chunks) + len(ahead)):
            yield ahead.pop(0).result()
            if next_one < len(chunks):
                ahead.append(pool.submit(_make, chunks[next_one]))


_maker: "list[_Maker]" = []


def _begin(settings: Mapping[str, str], model: Model) -> None:
    _maker.append(_Maker(Bridge.from_env(settings), model))


def _make(numbers: range) -> Rows:
    return _maker[0].make(numbers)


class _Maker:
    """Makes the rows of readers who are like the first one."""

    def __init__(self, bridge: Bridge, model: Model) -> None:
        self._vault, self._mark, self._model = bridge.vault, bridge.links.mark, model
        dialect = bridge.database.engine.dialect
        self._bind = {
            (name, column.name): column.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
            for name, table in metadata.tables.items()
            for column in table.c
        }

    def make(self, numbers: range) -> Rows:
        """All rows of these readers, by table, in the order of the model's columns."""
        rows: Rows = {name: [] for name in self._model.rows}
        for number in numbers:
            for name, changes in self._reader(number).items():
                for row, change in zip(self._model.rows[name], changes, strict=True):
                    mine = {key: value for key, value in change.items() if row[key] is not None}  # empty stays so
                    own = {key: _plain(self._bind[name, key](value)) for key, value in mine.items()}
                    rows[name].append(tuple({**row, **own}.values()))
        return rows

    def _reader(self, number: int) -> dict[str, list[dict[str, Any]]]:
        """What is her own in each of her rows."""
        model, vault = self._model, self._vault
        person = msgspec.structs.replace(
            model.person, number=number, id=new_id(), email=address(number), mark=self._mark(address(number))
        )
        kid, wrapped, key = vault.new_person_opened(person.id)
        lookup = vault.lookups(person.email)[0]
        shift = APART * (number - 1)
        story = _hers(model.story, person.id, shift)
        told, previous = [], FIRST
        for place, event in enumerate(story, start=1):
            sealed = seal(key, pack(canonical(event)), about_event(person.id, place))
            previous = digest(previous, sealed)
            times = {"time": event.time, "received": event.received, "asked": event.asked}
            told.append({"subject": number, **times, "sealed": sealed, "digest": previous})
        her = {
            "number": number,
            "id": person.id,
            "kid": lookup.kid,
            "lookup": lookup.value,
            "mark": person.mark,
            "profile": seal(key, profile_bytes(person), person.id),
        }
        changes = {name: [{"subject": number} for _ in rows] for name, rows in model.rows.items()}
        since = [{"subject": number, "since": story[-1].time} for _ in model.rows["records"]]
        mine = {"subject": number, "kid": kid, "wrapped": wrapped}
        return {**changes, "subjects": [her], "person_keys": [mine], "events": told, "records": since}


def _hers(story: Sequence[ConsentEvent], subject: str, shift: timedelta) -> list[ConsentEvent]:
    """The same story, later, of another person: her own ids, one request that ties question and answer."""
    request = new_id()
    return [
        msgspec.structs.replace(
            event,
            subject=subject,
            key=new_id(),
            time=event.time + shift,
            received=event.received + shift,
            asked=event.asked + shift if event.asked else None,
            evidence=msgspec.structs.replace(
                event.evidence, request=request, token=event.evidence.token and new_id()[: len(event.evidence.token)]
            ),
        )
        for event in story
    ]


def _as_it_is(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _write(db: Connection, columns: Mapping[str, Sequence[str]], rows: Rows) -> None:
    """Many rows a statement: COPY on PostgreSQL, tuples on SQLite."""
    for name, found in rows.items():
        names = ", ".join(columns[name])
        if db.dialect.name == "postgresql":
            driver: Any = db.connection.driver_connection
            with driver.cursor().copy(f"COPY {name} ({names}) FROM STDIN") as copy:
                for row in found:
                    copy.write_row(row)
        else:
            marks = ", ".join("?" * len(columns[name]))
            db.exec_driver_sql(f"INSERT INTO {name} ({names}) VALUES ({marks})", found)


def settle(bridge: Bridge) -> None:
    """Sequences behind what was written, statistics as a server's own housekeeping has them, the log in the file."""
    engine = bridge.database.engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if engine.dialect.name == "postgresql":
            last = "pg_get_serial_sequence('subjects', 'number'), (SELECT max(number) FROM subjects)"
            db.exec_driver_sql(f"SELECT setval({last})")
            db.exec_driver_sql("VACUUM ANALYZE")
        else:
            db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def prove(bridge: Bridge, url: str, most: int = 1_000) -> int:
    """Copy a sample, first and last included, into an empty house at `url`; `verify` must find nothing wrong."""
    other = open_house({**bridge.settings.environment, "BRIDGE_DATABASE_URL": url})
    with bridge.database.engine.connect() as db, other.database.engine.begin() as to:
        last = int(db.exec_driver_sql("SELECT max(number) FROM subjects").scalar_one())
        few = min(most, last)
        sample = ", ".join(str(1 + step * (last - 1) // max(1, few - 1)) for step in range(few))
        mark = "?" if db.dialect.name == "sqlite" else "%s"
        for name, table in metadata.tables.items():
            key = "subject" if "subject" in table.c else "number" if name == "subjects" else ""
            for row in _raw(db, name, f"{key} IN ({sample})" if key else "1 = 1"):
                marks = ", ".join([mark] * len(row))
                to.exec_driver_sql(
                    f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT DO NOTHING",
                    tuple(row.values()),
                )
    verdict = verify(other.database, other.vault)
    other.database.engine.dispose()
    if verdict.problems or verdict.people < few:
        raise SystemExit(f"`verify` found {len(verdict.problems)} problems in a filled house: {verdict.problems[:3]}")
    return verdict.people
