"""Houses to measure: a bridge with both ESPs switched on, and many readers in it.

`act` makes readers by the acts that pages use. `fill` makes many: the first by such acts, and the others like her, each
with an id, an address, keys, sealed and chained events of her own, written many rows a statement. Which columns there
are, and what stands in those that are equal for all, is read from the first one's rows. `prove` copies a sample into
an empty house and has the store's own `verify` look at it.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from bench import machine
from bridge.adapter import Transport
from bridge.bootstrap import Bridge
from bridge.links import Action, Claim
from bridge.mailer import stop_token
from bridge.store import schema
from bridge.store.rows import profile_bytes
from bridge.store.values import Person
from bridge.store.verify import verify
from bridge.tables import metadata, subjects
from bridge.vault import FIRST, about_event, canonical, digest, new_id, new_key, pack, seal
from bridge.vocabulary import DONE, ConsentEvent, EventType, Letter, Report

POLICY = Path(__file__).resolve().parent.parent / "tests" / "policy"
ADAPTERS = ("mailchimp", "sendgrid")

#: People whose rows are made at a time, and chunks that are written in one transaction.
CHUNK, CHUNKS_AT_ONCE = 2_000, 5

#: KiB of SQLite's pages that are held while filling: the indexes on random ids are written all over.
_CACHE = 400_000

#: So many are made by this process alone; more are worth the start of others.
_ALONE = 4_000

_SECONDS_APART = 4

#: Longer than an ESP's job is waited for between two looks.
A_WHILE = timedelta(seconds=60)

#: How each purpose is known at the ESPs.
_PLACES = """[purposes.at.mailchimp]
audience = "a1b2c3d4e5"
interest = "{name}"

[purposes.at.sendgrid]
list = "list-{name}"
group = "{group}"
"""

_PROCESSOR = """
[[processors]]
adapter = "{name}"
name = "{name}"
service = "sends newsletter and offers"
country = "BE"
contract = 2026-01-05
review_by = 2036-01-05
"""


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Bin(Transport):
    """A road for mail that ends here: the mails are written and handed over, nobody reads them."""

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:  # noqa: ARG002  (the name is the contract's)
        """Take one."""
        ready()


def environment(folder: Path, url: str, esp: str = "http://127.0.0.1:1") -> dict[str, str]:
    """Settings of the house that is measured: both ESPs on, their accounts at `esp`."""
    return {
        "BRIDGE_POLICY": str(_policy(folder)),
        "BRIDGE_DATABASE_URL": url,
        "BRIDGE_BASE_URL": "http://127.0.0.1:8080",
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
        "BRIDGE_MAIL_URL": "smtp://127.0.0.1:1",
        "BRIDGE_ADAPTERS": ",".join(ADAPTERS),
        "BRIDGE_LOG_LEVEL": "ERROR",
        "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21",
        "MAILCHIMP_BASE_URL": f"{esp}/3.0",
        "MAILCHIMP_WEBHOOK_SECRET": "a-secret-only-for-figures",
        "SENDGRID_API_KEY": "SG.only-for-figures",
        "SENDGRID_BASE_URL": esp,
    }


def _policy(folder: Path) -> Path:
    """The tests' newspaper, with its lists at both ESPs."""
    made = folder / "policy"
    if not made.exists():
        shutil.copytree(POLICY, made)
        text = (made / "policy.toml").read_text(encoding="utf-8").partition("[[processors]]")[0]
        for group, name in enumerate(("newsletter", "offers"), start=1):
            places = _PLACES.format(name=name, group=group)
            text = text.replace(f'[purposes.at.memory]\nlist = "{name}"\n', places)
        text += "".join(_PROCESSOR.format(name=name) for name in ADAPTERS)
        (made / "policy.toml").write_text(text, encoding="utf-8")
    return made / "policy.toml"


def open_house(settings: Mapping[str, str]) -> Bridge:
    """An empty house."""
    bridge = Bridge.from_env(settings)
    bridge.clock = Clock(datetime.now(UTC))
    bridge.transport = Bin("smtp://127.0.0.1:1", {})
    schema.upgrade(bridge.database)
    bridge.ready()
    return bridge


def address(number: int) -> str:
    """The address of a reader, of a common length."""
    return f"reader.number{number:07}@lezer.example"


# -- by the acts that pages use ----------------------------------------------------------------------------------


def act(bridge: Bridge, numbers: Sequence[int], *, told: bool = True, ago: timedelta = timedelta()) -> None:
    """Readers sign up for a purpose and confirm, the last one so long ago. Their mails leave.

    `told` = both ESPs know of them.
    """
    clock = bridge.clock
    assert isinstance(clock, Clock)
    clock.now = datetime.now(UTC) - ago - timedelta(seconds=2 * _SECONDS_APART * len(numbers))
    for number in numbers:
        email, network = address(number), f"10.{number >> 8 & 255}.{number & 255}.0/24"
        bridge.acts.sign_up(email, ["newsletter"], channel="footer", language="nl", network=network, fields={})
        person = bridge.store.person(email)
        assert person is not None
        asked = bridge.store.story(person)[-1]
        confirm = Claim(
            action=Action.CONFIRM,
            subject=person.id,
            address=person.mark,
            made=clock.now,
            request=asked.evidence.request or "",
        )
        clock.now += timedelta(seconds=_SECONDS_APART)
        bridge.acts.confirm(bridge.links.token(confirm))
        clock.now += timedelta(seconds=_SECONDS_APART)
    clock.now = datetime.now(UTC)
    post(bridge)
    if told:
        tell(bridge)


def post(bridge: Bridge) -> None:
    """Hand over all mails that are due."""
    from bridge.jobs.dispatch import Dispatcher

    dispatcher = Dispatcher(bridge)
    while dispatcher.mails():
        pass


def tell(bridge: Bridge) -> None:
    """Note that both ESPs were told everything."""
    for name in ADAPTERS:
        while claimed := bridge.store.queue.claim_pushes(name, 500):
            bridge.store.queue.finish_pushes((push, DONE) for push in claimed)


def forget_limits(bridge: Bridge) -> None:
    """What the sign-up limits count goes by itself after a month; here at once."""
    with bridge.database.engine.begin() as db:
        db.exec_driver_sql("DELETE FROM throttle")


# -- many at once ------------------------------------------------------------------------------------------------

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
    act(bridge, [1], told=told, ago=timedelta(seconds=_SECONDS_APART * count))
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
        self._now = datetime.now(UTC)

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
        kid, wrapped = vault.new_person(person.id)
        key = vault.person(person.id, kid, wrapped)
        lookup = vault.lookups(person.email)[0]
        shift = timedelta(seconds=_SECONDS_APART * (number - 1))
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
            "created": story[0].time,
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


# -- looking -----------------------------------------------------------------------------------------------------


def tokens(bridge: Bridge, numbers: Sequence[int]) -> list[str]:
    """The stop links of these readers, as their mails and both ESPs have them."""
    found: dict[int, str] = {}
    with bridge.database.engine.connect() as db:
        for first in range(0, len(numbers), 500):
            some = select(subjects.c.number, subjects.c.id, subjects.c.mark)
            for number, subject, mark in db.execute(some.where(subjects.c.number.in_(numbers[first : first + 500]))):
                found[number] = stop_token(bridge.links, subject, mark, datetime.now(UTC), ["newsletter"])
    return [found[number] for number in numbers]


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


def news(count: int, kind: EventType, batch: int) -> Iterator[list[Report]]:
    """What a platform tells about all of them, in batches."""
    now = datetime.now(UTC)
    for first in range(1, count + 1, batch):
        yield [
            Report(type=kind, email=address(number), time=now, key=f"{kind}-{number}")
            for number in range(first, min(count + 1, first + batch))
        ]


def size(bridge: Bridge) -> int:
    """Bytes of the database that are in use."""
    with bridge.database.engine.connect() as db:
        if db.dialect.name == "postgresql":
            query = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
            query += "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'"
            return int(db.exec_driver_sql(query).scalar_one())
        pages, free, each = (
            int(db.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * each


_PARTS = {
    "sqlite": "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC",
    "postgresql": "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i') "
    "ORDER BY 2 DESC",
}


def parts(bridge: Bridge) -> dict[str, int]:
    """Bytes of each table and index, the largest first; nothing where SQLite was built without `dbstat`."""
    try:
        with bridge.database.engine.connect() as db:
            return {str(name): int(took) for name, took in db.exec_driver_sql(_PARTS[db.dialect.name])}
    except OperationalError:
        return {}
