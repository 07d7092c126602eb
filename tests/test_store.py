"""The one door: everything a reader's act changes is written together or not at all. GDPR 5(1)(d), 5(1)(e), 7(1)."""

import base64
import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
import pytest
from sqlalchemy import Engine, event, func, insert, inspect, select, text

from bridge.bootstrap import Bridge
from bridge.links import Action, Claim
from bridge.settings import read_settings
from bridge.store import BadInput, IncompleteEvidence, Plan, Push, StoreAway, StoreBroken, TooMany, UnknownSubject
from bridge.store.sign_up import Quotas
from bridge.store.values import Person
from bridge.store.work import LEASE, WorkQueue
from bridge.tables import events, metadata, outbox, person_keys, pushes, records, stop_list, subjects, throttle
from bridge.vault import new_id
from bridge.vocabulary import (
    DONE,
    READER,
    STOPPED_THERE,
    ConsentEvent,
    EventType,
    Evidence,
    Method,
    Outcome,
    OutcomeKind,
    Report,
    Status,
)
from tests.conftest import House, Reader

BRAM, CARLA = "bram@lezer.example", "carla@lezer.example"


def by_reader(
    house: House, person: Person, kind: EventType, purpose: str = "newsletter", evidence_of: Any = None, **more: Any
) -> ConsentEvent:
    """An act of the reader at this moment."""
    told: dict[str, Any] = {"method": Method.PREFERENCE_PAGE}
    if evidence_of is not None:
        told = {name: getattr(evidence_of, name) for name in ("method", "channel", "notice", "evidence")}
    return ConsentEvent(
        type=kind,
        subject=person.id,
        time=house.clock(),
        received=house.clock(),
        source=READER,
        key=new_id(),
        purpose=purpose,
        **{**told, **more},
    )


def everything(house: House) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with house.bridge.database.reading() as db:
        return {
            table.name: sorted((tuple(row) for row in db.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def person(house: House, email: str) -> Person:
    """The person behind an address, who must be there."""
    found = house.store.person(email)
    assert found is not None
    return found


def asks(house: House, email: str, *purposes: str, network: str = "") -> None:
    """Sign up, without the web."""
    house.bridge.acts.sign_up(
        email, purposes or ("newsletter",), channel="footer", language="nl", network=network or email, fields={}
    )


def confirm_token(house: House, email: str) -> str:
    """The link that the mail about the newest request holds."""
    who = person(house, email)
    asked = [e for e in house.store.story(who) if e.type is EventType.REQUESTED][-1]
    request = asked.evidence.request or ""
    claim = Claim(action=Action.CONFIRM, subject=who.id, address=who.mark, made=asked.time, request=request)
    return house.bridge.links.token(claim)


def consents(house: House, email: str, *purposes: str) -> Person:
    """Sign up and confirm, without the web."""
    asks(house, email, *purposes)
    house.clock.forward(minutes=1)
    house.bridge.acts.confirm(confirm_token(house, email))
    house.clock.forward(minutes=1)
    return person(house, email)


def withdraws(house: House, email: str, purpose: str = "newsletter") -> None:
    """Stop, without the web."""
    house.store.record([by_reader(house, person(house, email), EventType.WITHDRAWN, purpose)])


# -- all or nothing ----------------------------------------------------------------------------------------------


@contextmanager
def no_room_in(house: House, table: str) -> Iterator[None]:
    """Every insert into this table fails as on a full or failing disk, after all that came before it."""
    if house.bridge.database.dialect == "sqlite":
        make = [  # a table that had its last number takes no more rows: SQLite itself says that there is no room
            "CREATE TABLE no_room (id INTEGER PRIMARY KEY AUTOINCREMENT)",
            "INSERT INTO no_room VALUES (9223372036854775807)",
            f"CREATE TRIGGER no_room_in_{table} BEFORE INSERT ON {table} BEGIN INSERT INTO no_room VALUES (NULL); END",
        ]
        drop = [f"DROP TRIGGER no_room_in_{table}", "DROP TABLE no_room"]
    else:
        make = [
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$",
            f"CREATE TRIGGER no_room_in_{table} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()",
        ]
        drop = [f"DROP TRIGGER no_room_in_{table} ON {table}", "DROP FUNCTION no_room"]
    execute(house, *make)
    yield
    execute(house, *drop)


def execute(house: House, *statements: Any) -> None:
    """Write past the store."""
    with house.bridge.database.engine.begin() as db:
        for statement in statements:
            db.execute(text(statement) if isinstance(statement, str) else statement)


def _somebody_signs_up(house: House, _an: Reader) -> None:
    asks(house, BRAM, "newsletter", "offers")


def _she_confirms(house: House, an: Reader) -> None:
    house.bridge.acts.confirm(confirm_token(house, an.email))


def _she_stops(house: House, an: Reader) -> None:
    withdraws(house, an.email)


def _she_changes_her_language(house: House, an: Reader) -> None:
    who = person(house, an.email)
    moved = msgspec.structs.replace(who, language="en")
    event = by_reader(house, who, EventType.CORRECTED, "", evidence=Evidence(detail="language", language="en"))
    house.store.act(who.id, lambda _holder, _story: Plan(events=[event], person=moved))


def _the_esp_tells_of_her_and_a_stranger(house: House, an: Reader) -> None:
    stranger = Reader(house, CARLA)
    house.hear(stranger.told_by_esp(EventType.COMPLAINED, key="s"), an.told_by_esp(EventType.COMPLAINED, key="a"))


def _she_asks_for_a_link(house: House, an: Reader) -> None:
    house.bridge.acts.ask_link(an.email, network="n", language="nl")


@pytest.mark.parametrize(
    ("act", "tables"),
    [
        (_somebody_signs_up, ("subjects", "person_keys", "events", "records", "outbox")),
        (_she_confirms, ("events", "records", "outbox", "pushes")),
        (_she_stops, ("events", "records", "stop_list", "pushes")),
        (_she_changes_her_language, ("events", "records", "pushes")),
        (_the_esp_tells_of_her_and_a_stranger, ("stop_list", "events", "pushes")),
        (_she_asks_for_a_link, ("throttle", "outbox")),
    ],
)
def test_an_act_that_fails_leaves_nothing_half_written(
    house: House, an: Reader, act: Callable[[House, Reader], None], tables: Sequence[str]
) -> None:
    """CAP-06, CON-01, WDR-04: events, records, stop list, mails and news for ESPs are one transaction; then it works."""
    consents(house, an.email)
    house.dispatch()
    house.clock.forward(hours=25)
    asks(house, an.email, "offers")
    house.clock.forward(minutes=5)
    before = everything(house)
    for table in tables:
        with no_room_in(house, table):
            with pytest.raises(StoreAway) as away:
                act(house, an)
            assert "lezer" not in str(away.value)
            assert everything(house) == before, f"{table} failed"
    act(house, an)
    assert everything(house) != before
    house.dispatch()
    assert house.verify().problems == ()
    for email, answers in (
        (an.email, [an.may(p).may for p in ("newsletter", "offers")]),
        (BRAM, [False, False]),
    ):
        there = house.esp.people.get(email)
        assert [p in (there.on if there else ()) for p in ("newsletter", "offers")] == answers
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(outbox)) == 0
        assert db.scalar(select(func.count()).where(pushes.c.due.is_not(None))) == 0


def test_a_full_disk_is_said_and_nothing_is_half_written(home: House) -> None:
    """CAP-06: SQLite out of room: the sign-up that no longer fits is not there at all; with room again it works."""
    consents(home, BRAM)
    engine = home.bridge.database.engine
    with limited_pages(engine):
        for number in range(500):
            before = everything(home)
            try:
                asks(home, f"lezer{number}@lezer.example")
            except StoreAway:
                assert everything(home) == before
                break
        else:
            pytest.fail("the disk was never full")
        assert home.store.may_mail(BRAM, "newsletter").may, "reading goes on"
    asks(home, f"lezer{number}@lezer.example")
    assert home.store.person(f"lezer{number}@lezer.example") is not None
    assert home.verify().problems == ()


@contextmanager
def limited_pages(engine: Engine) -> Iterator[None]:
    """A disk that has no room for one more page."""
    with engine.connect() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar()

    def limit(connection: Any, _record: Any, _proxy: Any, most: int | None = pages) -> None:
        connection.execute(f"PRAGMA max_page_count = {most}")

    event.listen(engine, "checkout", limit)
    yield
    event.remove(engine, "checkout", limit)
    engine.dispose()  # every connection of the pool has the limit still


@contextmanager
def held_by_another(house: House) -> Iterator[None]:
    """Another program holds the lock that every stop needs, for longer than anyone waits."""
    database = house.bridge.database
    if database.dialect == "sqlite":
        other = sqlite3.connect(database.engine.url.database or "", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return

    def impatient(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute("SET lock_timeout = '50ms'")
        connection.commit()

    event.listen(database.engine, "checkout", impatient)
    with database.engine.connect() as db, db.begin():
        db.exec_driver_sql("LOCK TABLE pushes IN ACCESS EXCLUSIVE MODE")
        yield
    event.remove(database.engine, "checkout", impatient)


def test_a_lock_held_by_another_program_is_waited_for_only_so_long(house: House, an: Reader) -> None:
    """WDR-04: a stop that cannot be written is refused, whole, and works when the lock is gone."""
    consents(house, an.email)
    before = everything(house)
    impatient = Bridge(read_settings(house.environment), clock=house.clock, busy_seconds=0.05)
    store = house.store if house.bridge.database.dialect == "postgresql" else impatient.store
    event = by_reader(house, person(house, an.email), EventType.WITHDRAWN)
    with held_by_another(house), pytest.raises(StoreAway):
        store.record([event])
    assert everything(house) == before
    assert an.status() is Status.GIVEN
    store.record([event])
    assert an.status() is Status.WITHDRAWN
    impatient.database.engine.dispose()


def test_a_database_that_takes_no_writes_is_away(house: House, an: Reader) -> None:
    """WDR-10: while a standby takes over, PostgreSQL only reads: the stop must be parked, not answered with an error."""
    consents(house, an.email)
    engine, postgres = house.bridge.database.engine, house.bridge.database.dialect == "postgresql"

    def read_only(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute("SET default_transaction_read_only = on" if postgres else "PRAGMA query_only = on")
        connection.commit()

    event.listen(engine, "checkout", read_only)
    with pytest.raises(StoreAway):
        withdraws(house, an.email)
    event.remove(engine, "checkout", read_only)


@pytest.mark.parametrize("statement", ["DELETE FROM nowhere", "DELETE everything", "SELECT nothing FROM events"])
def test_a_statement_that_can_never_work_is_no_weather(house: House, statement: str) -> None:
    """WDR-10: "try again later" would be said for ever; a mistake of ours is named as one, on both databases."""
    database = house.bridge.database
    with pytest.raises(StoreBroken):
        database.write(lambda hand: hand.cursor.execute(statement) and None)
    with pytest.raises(StoreBroken), database.looking() as hand:
        hand.cursor.execute(statement)


def test_an_error_of_the_database_tells_nothing_of_the_reader(house: House, an: Reader) -> None:
    """MIN-03: what the driver says about a refused row never quotes the row."""
    who = consents(house, an.email)
    row = {"subject": who.number, "number": 1, "digest": b"d", "report": "a-secret-that-is-told"}
    with pytest.raises(Exception, match=r"hidden|hide_parameters") as refused:
        execute(house, insert(events).values(row))
    assert "an-unheard-type" not in str(refused.value)


# -- what may not be written at all ------------------------------------------------------------------------------


def test_an_event_that_may_not_be_is_refused_and_leaves_nothing(house: House, an: Reader) -> None:
    """CAP-05, R3, ESP-01: no unknown person or purpose, no zoneless time, no yes told by an ESP, none without proof."""
    who = consents(house, an.email)
    house.clock.forward(minutes=5)
    given = an.story()[-1]
    assert given.type is EventType.GIVEN
    good = msgspec.structs.replace(given, key=new_id(), time=house.clock(), received=house.clock(), asked=house.clock())
    naive = house.clock().replace(tzinfo=None)

    def but(**changes: Any) -> ConsentEvent:
        return msgspec.structs.replace(good, **changes)

    def proof(**changes: Any) -> ConsentEvent:
        return but(evidence=msgspec.structs.replace(good.evidence, **changes))

    form = but(method=Method.FORM, type=EventType.REQUESTED)
    from_file = but(source="operator", method=Method.IMPORT)
    soft = but(source="operator", method=Method.STAFF, type=EventType.ENROLLED)
    refusals: list[tuple[ConsentEvent, type[Exception], str]] = [
        (but(subject=new_id()), UnknownSubject, "1 people are not known here"),
        (but(purpose="parties"), BadInput, "unknown purpose 'parties': the policy declares .*newsletter.*offers"),
        (but(purpose=""), BadInput, "unknown purpose ''"),
        (but(time=naive), BadInput, "zone"),
        (but(received=naive), BadInput, "zone"),
        (but(asked=naive), BadInput, "zone"),
        (but(type=EventType.PAUSED, until=naive), BadInput, "zone"),
        (but(source="memory", method=Method.WEBHOOK), BadInput, "an ESP's word is never a yes"),
        (but(source="memory", method=Method.RECONCILE), BadInput, "an ESP's word is never a yes"),
        (proof(wording="0" * 64), BadInput, "words that no notice file holds"),
        (but(channel=None), IncompleteEvidence, "given without its proof: channel missing"),
        (but(notice=None), IncompleteEvidence, "notice missing"),
        (proof(wording=None), IncompleteEvidence, "wording missing"),
        (proof(language=None), IncompleteEvidence, "language missing"),
        (but(asked=None), IncompleteEvidence, "asked missing"),
        (proof(request=None), IncompleteEvidence, "request missing"),
        (msgspec.structs.replace(form, channel=None), IncompleteEvidence, "requested without its proof: channel"),
        (msgspec.structs.replace(form, evidence=proof(box=None).evidence), IncompleteEvidence, "box missing"),
        (but(method=Method.FORM), IncompleteEvidence, "single_opt_in missing"),
        (from_file, IncompleteEvidence, "document missing"),
        (soft, IncompleteEvidence, "enrolled without its proof: sale_id, from_person"),
    ]
    before = everything(house)
    for event_, error, words in refusals:
        stop = by_reader(house, who, EventType.WITHDRAWN)
        with pytest.raises(error, match=words) as refused:
            house.store.record([stop, event_])
        assert an.email not in str(refused.value)
        assert everything(house) == before, words
    with pytest.raises(BadInput, match="never a yes"):
        house.hear(an.told_by_esp(EventType.COMPLAINED), an.told_by_esp(EventType.GIVEN, "newsletter"))
    for email in (an.email, CARLA):
        report = Report(type=EventType.COMPLAINED, email=email, time=naive, key="k")
        with pytest.raises(BadInput, match="zone"):
            house.hear(report)
    assert everything(house) == before
    house.store.record([good])
    assert len(an.story()) == 3


def test_what_was_recorded_is_read_back_to_the_last_field(house: House, an: Reader) -> None:
    """CAP-05: every field of the evidence comes back from the seal as it went in; times are aware UTC."""
    who = consents(house, an.email)
    full = ConsentEvent(
        type=EventType.GIVEN,
        subject=who.id,
        time=house.clock.forward(microseconds=123456),
        received=house.clock(),
        source=READER,
        method=Method.CONFIRM_PAGE,
        key=new_id(),
        purpose="newsletter",
        asked=house.clock(),
        until=house.clock() + timedelta(days=1),
        channel="footer",
        notice=1,
        evidence=Evidence(
            wording=an.story()[-1].evidence.wording,
            language="nl",
            box="ticked",
            request=new_id(),
            template="0123456789abcdef",
            token="fedcba9876543210",
            document="map 7, blad 3",
            single_opt_in="een reden",
            sale={"sale_id": "1"},
            ip="192.0.2.1",
            detail="5.1.1",
        ),
    )
    house.store.record([full])
    assert an.story()[-1] == msgspec.structs.replace(full, key="3"), "an event of hers is known by its number"
    assert str(an.story()[-1].time.tzinfo) == "UTC"


def test_the_reason_an_esp_gives_is_kept_with_its_news(house: House, an: Reader) -> None:
    """CAP-05: a bounce code is part of the evidence of the bounce."""
    consents(house, an.email)
    report = msgspec.structs.replace(an.told_by_esp(EventType.BOUNCED), detail="5.1.1")
    house.hear(report)
    assert an.story()[-1].evidence.detail == "5.1.1"


# -- nothing is stored that need not be --------------------------------------------------------------------------


def disguises(address: str) -> dict[str, bytes]:
    """An address in clear and in every dress that hides nothing."""
    found = {}
    for form in {address, address.lower(), address.upper()}:
        raw = form.encode()
        found[f"{form} in clear"] = raw
        found[f"{form} in hex"] = raw.hex().encode()
        found[f"{form} in upper hex"] = raw.hex().upper().encode()
        found[f"{form} in utf-16"] = form.encode("utf-16-le")
        found[f"{form} in utf-16, the other way round"] = form.encode("utf-16-be")
        found[f"{form} in percents"] = quote(form, safe="").encode()
        found[f"every letter of {form} in percents"] = "".join(f"%{byte:02X}" for byte in raw).encode()
        for shift in range(3):  # base64 looks different at each of three places
            encoded = base64.b64encode(b"\0" * shift + raw)
            found[f"{form} in base64 at {shift}"] = encoded[4 if shift else 0 : -4]
            found[f"{form} in url base64 at {shift}"] = base64.urlsafe_b64encode(b"\0" * shift + raw)[
                4 if shift else 0 : -4
            ]
        for name in ("md5", "sha1", "sha256"):
            plain = hashlib.new(name, raw)
            found[f"{name} of {form}"] = plain.digest()
            found[f"{name} of {form} in hex"] = plain.hexdigest().encode()
            found[f"{name} of {form} in upper hex"] = plain.hexdigest().upper().encode()
            found[f"{name} of {form} in base64"] = base64.b64encode(plain.digest()).rstrip(b"=")
            found[f"{name} of {form} in url base64"] = base64.urlsafe_b64encode(plain.digest()).rstrip(b"=")
    return found


def stored(house: House) -> list[tuple[str, bytes]]:
    """Every value of every column of every table, as bytes."""
    found = []
    with house.bridge.database.reading() as db:
        for table in metadata.sorted_tables:
            for row in db.execute(select(table)):
                for name, value in row._mapping.items():
                    raw = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    found.append((f"{table.name}.{name}", raw))
    return found


def test_the_address_of_a_living_person_is_nowhere_in_the_clear(house: House, an: Reader) -> None:
    """MIN-01, SUP-02: while she is subscribed no column holds her address, its encodings or an unkeyed hash of it."""
    typed = "An.VandenBerg@Lezer.example"
    consents(house, typed, "newsletter", "offers")
    house.hear(an.told_by_esp(EventType.DEFERRED, key=hashlib.md5(an.email.encode()).hexdigest()))
    house.hear(Reader(house, CARLA).told_by_esp(EventType.COMPLAINED))
    withdraws(house, typed, "offers")
    house.clock.forward(hours=25)
    asks(house, typed, "offers")
    assert person(house, an.email).email == typed, "the typed form is kept for sending"
    values = stored(house)
    assert len({place for place, _ in values}) > 40
    if house.bridge.database.dialect == "sqlite":  # also what the file keeps beside its rows
        file = house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")
        values += [(name, Path(name).read_bytes()) for name in (file, f"{file}-wal")]
    for email in (typed, CARLA):
        for dress, needle in disguises(email).items():
            assert [place for place, raw in values if needle in raw] == [], dress


def test_only_declared_columns_exist(house: House) -> None:
    """MIN-01: what is not in this list is not kept; whoever adds a column must write it here."""
    with house.bridge.database.engine.connect() as db:
        look = inspect(db)
        tables = {name: {c["name"] for c in look.get_columns(name)} for name in look.get_table_names()}
    assert tables.pop("alembic_version") == {"version_num"}
    assert tables == {table.name: set(table.c.keys()) for table in metadata.sorted_tables}
    assert tables["subjects"] == {"number", "id", "kid", "lookup", "mark", "profile", "trimmed"}
    assert tables["throttle"] == {"id", "bucket", "time"}


# -- the same work for everybody ---------------------------------------------------------------------------------


class Work:
    """Counts what the database is asked while it is open: at the driver, so that no road around it stays unseen."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.statements, self.rows = engine, 0, 0
        self._open: list[tuple[Any, int]] = []

    def _lent(self, connection: Any, _record: Any, _proxy: Any) -> None:
        if self.engine.dialect.name == "sqlite":
            connection.set_trace_callback(self._seen)
            self._open.append((connection, connection.total_changes))
        else:
            connection.cursor_factory = partial(_Counting, self)

    def _given_back(self, connection: Any, _record: Any) -> None:
        if self.engine.dialect.name == "sqlite":
            connection.set_trace_callback(None)
            self.rows += sum(connection.total_changes - before for one, before in self._open if one is connection)
            self._open = [entry for entry in self._open if entry[0] is not connection]
        else:
            connection.cursor_factory = psycopg.Cursor

    def _seen(self, statement: str) -> None:
        self.statements += not statement.startswith(("--", "PRAGMA"))  # a trigger's own steps begin with dashes

    def __enter__(self) -> "Work":
        event.listen(self.engine, "checkout", self._lent)
        event.listen(self.engine, "checkin", self._given_back)
        return self

    def __exit__(self, *_error: object) -> None:
        event.remove(self.engine, "checkout", self._lent)
        event.remove(self.engine, "checkin", self._given_back)


class _Counting(psycopg.Cursor[Any]):
    """A cursor that tells what it was asked."""

    def __init__(self, work: Work, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._work = work

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Carry out and count."""
        done = super().execute(query, *args, **kwargs)
        self._count(query)
        return done

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Carry out and count."""
        done = super().executemany(query, *args, **kwargs)
        self._count(query)
        return done

    def _count(self, query: Any) -> None:
        self._work.statements += 1
        if str(query).lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            self._work.rows += max(0, self.rowcount)


def test_every_address_costs_the_same_work(house: House, an: Reader) -> None:
    """CAP-09, decision 12: statements, rows and mails are equal for unknown, known, stopped, waiting and odd ones."""
    consents(house, CARLA, "newsletter", "offers")  # the words are kept from now on
    subscribed, stopped = consents(house, an.email), consents(house, BRAM)
    withdraws(house, stopped.email)
    asks(house, "dirk@lezer.example")
    house.hear(Reader(house, "esp@lezer.example").told_by_esp(EventType.COMPLAINED))
    house.clock.forward(hours=25)
    classes = {
        "unknown": "nieuw@lezer.example",
        "subscribed": subscribed.email,
        "stopped": stopped.email,
        "stopped at the ESP": "esp@lezer.example",
        "waiting": "dirk@lezer.example",
        "no such domain": "iemand@-geen-domein-.example",
    }
    acts: dict[str, Callable[[str], None]] = {
        "sign-up": lambda email: asks(house, email),
        "sign-up for two": lambda email: asks(house, email, "newsletter", "offers"),
        "link": lambda email: house.bridge.acts.ask_link(email, network=email, language="nl"),
        "sign-up over the limit": lambda email: asks(house, email),
    }
    for name, act in acts.items():
        if name != "sign-up over the limit":
            house.clock.forward(hours=25)
        seen = {}
        for kind, known in classes.items():
            nobody = name == "link" and kind not in ("subscribed", "stopped")
            email = f"{kind.replace(' ', '')}@nergens.example" if nobody else known
            before = mails(house)
            with Work(house.bridge.database.engine) as work:
                act(email)
            promised = 0 if name == "link" else mails(house) - before
            seen[kind] = (work.statements, work.rows, promised)
            execute(house, throttle.delete()) if name != "sign-up for two" else None
        assert len(set(seen.values())) == 1, f"{name}: {seen}"
        assert all(statements > 3 for statements, _, _ in seen.values()), "the counting sees the work"


def mails(house: House) -> int:
    """How many mails are promised."""
    with house.bridge.database.reading() as db:
        return db.scalar(select(func.count()).select_from(outbox)) or 0


# -- limits ------------------------------------------------------------------------------------------------------


def test_ten_posts_for_one_address_are_one_mail(house: House) -> None:
    """CAP-10: whoever types somebody's address ten times, in any spelling, sends her one mail."""
    for typed in ("bram@lezer.example", "Bram@Lezer.Example", " bram@lezer.example", "BRAM@LEZER.EXAMPLE") * 3:
        asks(house, typed, network=new_id())
    asks(house, "bram@bücher.example")
    asks(house, "bram@xn--bcher-kva.example")
    assert mails(house) == 2
    assert len(house.store.story(person(house, BRAM))) == 1


def test_an_address_gets_one_mail_a_day_and_three_a_month(home: House) -> None:
    """CAP-10: 1 per 24 hours and 3 per 30 days, to the second."""
    sent = []
    for wait in ("", "23:59:59", "1", "1 day", "1 day", "1 day", "26 days - 2", "1", "1"):
        home.clock.now += {
            "": timedelta(),
            "1": timedelta(seconds=1),
            "23:59:59": timedelta(hours=24, seconds=-1),
            "1 day": timedelta(days=1),
            "26 days - 2": timedelta(days=26, seconds=-1),
        }[wait]
        before = mails(home)
        asks(home, BRAM)
        sent.append(mails(home) - before)
    assert sent == [1, 0, 1, 1, 0, 0, 0, 1, 0]


def test_a_network_that_asks_too_often_is_told_to_wait(house: House) -> None:
    """CAP-10: 20 an hour per client network, then `TooMany`; nothing is written, other networks go on."""
    for number in range(20):
        asks(house, f"lezer{number}@lezer.example", network="192.0.2.1")
    before = everything(house)
    with pytest.raises(TooMany) as refused:
        asks(house, BRAM, network="192.0.2.1")
    assert refused.value.wait == 3600
    with pytest.raises(TooMany):
        house.bridge.acts.ask_link(BRAM, network="192.0.2.1", language="nl")
    assert everything(house) == before
    asks(house, BRAM, network="192.0.2.2")
    house.clock.forward(hours=1)
    asks(house, CARLA, network="192.0.2.1")
    assert house.store.person(BRAM)
    assert house.store.person(CARLA)


def test_all_networks_together_have_a_limit_too(home: House) -> None:
    """CAP-10: over the global limit of an hour no mail goes and nobody is told; an hour later it goes."""
    home.store.sign_ups.quotas = Quotas(global_hour=3)
    for number in range(5):
        asks(home, f"lezer{number}@lezer.example")
    assert mails(home) == 3
    home.clock.forward(hours=1)
    asks(home, "lezer4@lezer.example")
    assert mails(home) == 4


def test_an_erased_person_is_asked_once_in_thirty_days(house: House, an: Reader) -> None:
    """R12, SUP-05: an erased address that signs up anew gets one mail; 30 days on another; confirming lifts the stop."""
    newest = house.bridge.vault.stop_hashes(an.email)[0]
    row = {"hash": newest.value, "kid": newest.kid, "scope": "", "reason": "erased", "since": house.clock()}
    execute(house, insert(stop_list).values(row))
    sent = []
    for wait in (
        timedelta(hours=1),
        timedelta(days=2),
        timedelta(days=28) - timedelta(seconds=1),
        timedelta(seconds=1),
    ):
        house.clock.now += wait
        before = mails(house)
        asks(house, an.email)
        sent.append(mails(house) - before)
    assert sent == [1, 0, 0, 1]
    assert not an.may().may
    house.clock.forward(minutes=1)
    house.bridge.acts.confirm(confirm_token(house, an.email))
    assert an.may().may
    assert house.store.stops(an.email) == []


# -- requests that nobody answered -------------------------------------------------------------------------------

PENDING = timedelta(hours=72)


def test_an_unanswered_request_is_forgotten_with_its_address(house: House, an: Reader, dirk: Reader) -> None:
    """CON-06, R9, MIN-01: 72 hours and not a second more; then no table names her, and she may sign up again."""
    asks(house, an.email, "newsletter", "offers")
    who = person(house, an.email)
    asked = house.clock()
    house.clock.forward(hours=1)
    asks(house, dirk.email)
    house.clock.now = asked + PENDING
    assert house.store.forget_requests() == 0
    house.clock.forward(seconds=1)
    assert house.store.forget_requests() == 1
    assert house.store.forget_requests() == 0
    assert house.store.person(an.email) is None
    assert house.store.person(dirk.email) is not None
    traces = {"id": who.id.encode(), "mark": who.mark.encode()}
    traces |= {entry.kid: entry.value for entry in house.bridge.vault.lookups(an.email)}
    for name, needle in traces.items():
        assert [place for place, raw in stored(house) if needle in raw] == [], name
    with house.bridge.database.reading() as db:
        for table in (events, records, pushes, outbox, person_keys):
            assert db.scalar(select(func.count()).where(table.c.subject == who.number)) == 0
        assert db.scalar(select(func.count()).where(subjects.c.number == who.number)) == 0
    verdict = house.verify()
    assert (verdict.erased, verdict.problems) == (2, ())

    house.dispatch()
    assert house.mailbox.to(an.email) == []
    consents(house, an.email)
    assert an.may().may
    assert person(house, an.email).id != who.id
    assert house.verify().problems == ()


def test_who_has_another_ground_stays(house: House, an: Reader, dirk: Reader) -> None:
    """CON-06: a yes to something else, a stop, or a newer request keeps a person; the old question is just void."""
    consents(house, an.email)
    consents(house, BRAM)
    withdraws(house, BRAM)
    asks(house, CARLA)
    withdraws(house, CARLA)
    asks(house, dirk.email)
    house.clock.forward(hours=25)
    asks(house, an.email, "offers")
    asks(house, BRAM)
    asks(house, dirk.email)
    house.clock.forward(hours=71)
    assert house.store.forget_requests() == 0
    house.clock.forward(hours=2)
    assert house.store.forget_requests() == 1, "Dirk's last request is too old now"
    assert house.store.person(dirk.email) is None
    assert an.may("newsletter").may
    assert not an.may("offers").may
    assert house.store.may_mail(BRAM, "newsletter").status is Status.WITHDRAWN
    assert house.verify().problems == ()


def test_neither_a_bounce_nor_a_known_stop_keeps_an_address(house: House, an: Reader, dirk: Reader) -> None:
    """CON-06, SUP-05: a mistyped address whose mail bounced, and one that the stop list knew, are forgotten as well."""
    house.hear(dirk.told_by_esp(EventType.UNSUBSCRIBED))
    house.clock.forward(minutes=1)
    asks(house, an.email)
    asks(house, dirk.email)
    house.hear(an.told_by_esp(EventType.BOUNCED))
    house.clock.forward(hours=73)
    assert house.store.forget_requests() == 2
    assert house.store.person(an.email) is None
    assert house.store.person(dirk.email) is None
    assert house.store.may_mail(dirk.email, "newsletter").status is Status.WITHDRAWN, "the hash stays"
    assert house.verify().problems == ()


def test_people_who_stay_do_not_stand_in_the_way(home: House, an_old_crowd: None) -> None:
    """CON-06: however many half-answered requests there are, the unanswered ones behind them are forgotten."""
    asks(home, BRAM)
    home.clock.forward(hours=73)
    assert home.store.forget_requests() == 1


@pytest.fixture
def an_old_crowd(home: House) -> None:
    """600 people who asked for two things and confirmed one, long ago."""
    long_ago = home.clock() - timedelta(days=300)
    crowd = range(-700, -100)  # found first, in whatever order they are looked for
    records_ = [
        {"subject": n, "purpose": "offers", "status": "requested", "since": long_ago, "number": 1} for n in crowd
    ]
    given = [
        {"subject": n, "number": 1, "type": "given", "time": long_ago, "digest": b"", "sealed": b""} for n in crowd
    ]
    with home.bridge.database.engine.begin() as db:
        db.execute(insert(records), records_)
        db.execute(insert(events), given)


def test_a_confirmation_that_comes_at_the_last_moment_is_not_forgotten(
    house: House, an: Reader, make_house: Callable[..., House], database_url: str
) -> None:
    """CON-06: while her answer is being written the purge leaves her alone, and never takes it away."""
    asks(house, an.email)
    token = confirm_token(house, an.email)
    made = house.clock()
    cleaner = Bridge(read_settings(house.environment), clock=lambda: made + PENDING * 2, busy_seconds=0.05)
    house.clock.now = made + PENDING
    acts, build = house.bridge.acts, house.bridge.acts._given

    def meanwhile(*told: Any) -> ConsentEvent:
        # On SQLite there is one writer, and it is she; on PostgreSQL the purge passes her by without waiting.
        with suppress(*([StoreAway] if house.bridge.database.dialect == "sqlite" else [])):
            assert cleaner.store.forget_requests() == 0
        return build(*told)

    acts._given = meanwhile  # type: ignore[method-assign]  # the purge runs while she is being written
    acts.confirm(token)
    assert cleaner.store.forget_requests() == 0
    assert an.status() is Status.GIVEN
    assert house.verify().problems == ()
    cleaner.database.engine.dispose()


# -- work that leaves the house ----------------------------------------------------------------------------------


@pytest.fixture
def queue(house: House) -> WorkQueue:
    """The queue of the house."""
    return house.store.queue


def people(house: House, count: int) -> list[str]:
    """So many people with a yes that no ESP knows of yet."""
    emails = [f"lezer{number}@lezer.example" for number in range(count)]
    for email in emails:
        consents(house, email)
    return emails


def due(house: House, email: str) -> Any:
    """The row of one person."""
    with house.bridge.database.reading() as db:
        return db.execute(select(pushes).where(pushes.c.subject == person(house, email).number)).one()


def claim(queue: WorkQueue, most: int = 100) -> list[Push]:
    """Take what is due."""
    return queue.claim_pushes("memory", most)


def test_stops_go_first(house: House, queue: WorkQueue) -> None:
    """WDR-11, decision 23: of many that wait, who stopped is told first."""
    emails = people(house, 5)
    queue.finish_pushes([(push, DONE) for push in claim(queue)])
    for email in emails[:3]:
        house.store.record([by_reader(house, person(house, email), EventType.PAUSED, "", until=house.clock())])
    house.clock.forward(seconds=5)
    withdraws(house, emails[4])
    withdraws(house, emails[3])
    assert {push.person.email for push in claim(queue, 2)} == {emails[3], emails[4]}
    house.clock.now += LEASE
    order = [push.stop for push in claim(queue)]
    assert order == [True, True, False, False, False]


def test_a_lease_that_ran_out_hands_the_work_over(house: House, queue: WorkQueue) -> None:
    """Decision 23: whoever dies with work in hand holds it up for 150 seconds, not for ever."""
    people(house, 1)
    first = claim(queue)
    assert len(first) == 1
    assert claim(queue) == []
    house.clock.now += LEASE - timedelta(seconds=1)
    assert claim(queue) == []
    house.clock.forward(seconds=1)
    again = claim(queue)
    assert [push.person for push in again] == [push.person for push in first]
    assert again[0].lease != first[0].lease

    mail = queue.claim_mails()
    assert {m.kind for m in mail} == {"confirm", "welcome"}
    assert queue.claim_mails() == []
    house.clock.now += LEASE
    assert {m.id for m in queue.claim_mails()} == {m.id for m in mail}


def test_two_claimers_never_get_the_same_row(
    house: House, queue: WorkQueue, make_house: Callable[..., House], database_url: str
) -> None:
    """Decision 23: two dispatchers at once take each row once, mails and news alike."""
    emails = people(house, 12)
    other = make_house(database_url, MEMORY_NAME=house.environment["MEMORY_NAME"])
    start = threading.Barrier(2)
    taken: list[tuple[int, str]] = []

    def take(mine: WorkQueue) -> None:
        start.wait()
        while got := claim(mine, 2):
            taken.extend((push.person.number, push.lease) for push in got)
        while mails := mine.claim_mails(2):
            taken.extend((0, mail.id) for mail in mails)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in (queue, other.store.queue)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [number for number, _lease in taken if number]
    assert sorted(numbers) == sorted(person(house, email).number for email in emails)
    ids = [key for number, key in taken if not number]
    assert len(ids) == len(set(ids)) == 2 * len(emails)


def test_what_happens_while_the_esp_is_told_is_told_after(house: House, queue: WorkQueue) -> None:
    """ESP-03: an event during a lease keeps the row due; the next turn tells it."""
    (email,) = people(house, 1)
    (push,) = claim(queue)
    house.clock.forward(seconds=1)
    withdraws(house, email)
    queue.finish_pushes([(push, DONE)])
    row = due(house, email)
    assert (row.put, row.wanted, row.stop, row.due) == (2, 3, True, house.clock())
    (push,) = claim(queue)
    assert (push.number, push.stop) == (3, True)
    queue.finish_pushes([(push, DONE)])
    row = due(house, email)
    assert (row.put, row.stop, row.due, row.lease, row.leased) == (3, False, None, None, None)
    assert claim(queue) == []


def test_a_refused_yes_does_not_hide_the_stop_that_came_meanwhile(house: House, queue: WorkQueue) -> None:
    """ESP-03, decision 23: a refusal ends the telling of a yes, never of a stop."""
    (email,) = people(house, 1)
    (push,) = claim(queue)
    withdraws(house, email)
    queue.finish_pushes([(push, Outcome(OutcomeKind.REFUSED, "forgotten_email"))])
    assert due(house, email).due == house.clock()
    (push,) = claim(queue)
    queue.finish_pushes([(push, Outcome(OutcomeKind.REFUSED, "odd"))])
    row = due(house, email)
    assert (row.stop, row.reason, row.due > house.clock()) == (True, "odd", True)


def test_a_stop_that_the_esp_keeps_itself_is_not_told_for_ever(house: House, queue: WorkQueue) -> None:
    """ESP-03 (found by make torture): she left everything there before we heard of it; then what had to stop is stopped,
    and telling the ESP each hour that some other topic is on would never end."""
    (email,) = people(house, 1)
    withdraws(house, email)
    (push,) = claim(queue)
    assert push.stop
    queue.finish_pushes([(push, Outcome(OutcomeKind.REFUSED, STOPPED_THERE))])
    row = due(house, email)
    assert (row.due, row.reason) == (None, STOPPED_THERE)


@pytest.mark.parametrize("late_first", [True, False])
def test_a_lost_lease_makes_the_row_due_again(house: House, queue: WorkQueue, late_first: bool) -> None:
    """ESP-03: a late call may have overtaken the one that took over, so the ESP is told once more, in either order."""
    (email,) = people(house, 1)
    (late,) = claim(queue)
    house.clock.now += LEASE
    (taker,) = claim(queue)
    for push in (late, taker) if late_first else (taker, late):
        queue.finish_pushes([(push, DONE)])
    assert due(house, email).due == house.clock()
    (again,) = claim(queue)
    queue.finish_pushes([(again, DONE)])
    assert due(house, email).due is None


def test_a_lost_mail_lease_changes_nothing(house: House, queue: WorkQueue) -> None:
    """Decision 25: whoever lost the lease can neither finish, put off nor hand over what another holds."""
    asks(house, BRAM)
    (late,) = queue.claim_mails()
    house.clock.now += LEASE
    (taker,) = queue.claim_mails()
    assert not queue.hand_over(late)
    queue.finish_mail(late)
    queue.put_off_mail(late, "smtp 451")
    assert queue.hand_over(taker)
    assert mails(house) == 1
    queue.finish_mail(taker)
    assert mails(house) == 0


def test_waiting_grows_to_a_limit_and_a_stop_is_never_given_up(house: House, queue: WorkQueue) -> None:
    """ESP-06, decision 23: back-off with jitter, capped: an hour for a yes, five minutes for a stop, for ever."""
    yes, no = people(house, 2)
    withdraws(house, no)
    for turn in range(40):
        claimed = {push.person.email: push for push in claim(queue)}
        assert set(claimed) == {yes, no}, f"turn {turn}"
        queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "no answer")) for push in claimed.values()])
        for email, longest in ((yes, 3600.0), (no, 300.0)):
            row = due(house, email)
            wait = (row.due - house.clock()).total_seconds()
            full = min(2.0**turn, longest)
            assert full / 2 <= wait <= full, (email, turn)
            assert (row.attempts, row.reason) == (turn + 1, "no answer")
        house.clock.now = max(due(house, yes).due, due(house, no).due)
    claimed = {push.person.email: push for push in claim(queue)}
    queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "429", 30.0)) for push in claimed.values()])
    for email in (yes, no):
        assert 30 <= (due(house, email).due - house.clock()).total_seconds() <= 31, "what the ESP asks for is kept"
    house.clock.forward(seconds=31)
    claimed = {push.person.email: push for push in claim(queue)}
    queue.finish_pushes([(push, Outcome(OutcomeKind.LATER, "429", 1e9)) for push in claimed.values()])
    for email in (yes, no):
        assert due(house, email).due - house.clock() <= timedelta(hours=1), "but not for ever"


def test_a_mail_is_given_up_after_its_last_try(home: House) -> None:
    """Decision 23: attempts are limited for mails, but outlast a server that is down as long as a request lives."""
    asks(home, BRAM)
    queue, tries = home.store.queue, 0
    while claimed := queue.claim_mails():
        tries += 1
        more = queue.put_off_mail(claimed[0], "smtp 451")
        assert more is (tries < 84)
        home.clock.forward(hours=2)
    assert tries == 84
    assert mails(home) == 0


def test_an_open_job_is_kept_with_the_row(house: House, queue: WorkQueue) -> None:
    """Decision 24: what the ESP took as a job is followed later, by whoever claims the row then."""
    (email,) = people(house, 1)
    (push,) = claim(queue)
    queue.finish_pushes([(push, Outcome(OutcomeKind.PENDING, job="2|job-7", wait=10.0))])
    row = due(house, email)
    assert (row.job, row.put) == ("2|job-7", 0)
    assert claim(queue) == []
    house.clock.forward(seconds=11)
    withdraws(house, email)
    (push,) = claim(queue)
    assert (push.job, push.stop) == ("2|job-7", True)
    queue.finish_pushes([(push, DONE)])
    assert due(house, email).job is None


def test_the_end_of_a_pause_is_told_when_it_comes(house: House, queue: WorkQueue) -> None:
    """PRF-02: when a pause ends the ESP is told without anyone's act."""
    (email,) = people(house, 1)
    until = house.clock() + timedelta(days=10)
    house.store.record([by_reader(house, person(house, email), EventType.PAUSED, "", until=until)])
    queue.finish_pushes([(push, DONE) for push in claim(queue)])
    assert due(house, email).due == until
    assert queue.next_due(["memory"]) is not None
    house.clock.now = until - timedelta(seconds=1)
    assert claim(queue) == []
    house.clock.forward(seconds=1)
    (push,) = claim(queue)
    queue.finish_pushes([(push, DONE)])
    assert due(house, email).due is None


def test_people_and_monitors_see_what_waits(house: House, queue: WorkQueue) -> None:
    """WDR-11: how much waits, and since when, by lane."""
    started = house.clock()
    people(house, 2)
    found = {task.name: task for task in house.store.tasks()}
    assert (found["mail"].waiting, found["mail"].oldest) == (4, started)
    assert found["memory"].waiting == 2
    house.dispatch()
    assert [task.waiting for task in house.store.tasks()] == [0]


def test_who_is_forgotten_is_in_no_log_either(home: House) -> None:
    """SUP-04: her wrapped key opened what SQLite's log still held of her; both are gone once nobody reads from it."""
    asks(home, "an@lezer.example", "newsletter")
    number = person(home, "an@lezer.example").number
    with home.bridge.database.reading() as db:
        wrapped = db.scalar(select(person_keys.c.wrapped).where(person_keys.c.subject == number))
    assert wrapped is not None
    file = home.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")
    home.clock.forward(days=8)
    with home.bridge.database.reading() as db:
        db.execute(select(person_keys.c.subject)).all()
        assert home.store.forget_requests() == 1  # a backup that is under way keeps the log, and nobody waits for it
    assert home.store.forget_requests() == 0
    assert all(wrapped not in Path(name).read_bytes() for name in (file, f"{file}-wal"))
