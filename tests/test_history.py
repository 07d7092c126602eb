"""History stays what it was: GDPR 5(1)(f) and 7(1). Events are only added, words once shown never change."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from bridge.bootstrap import Bridge
from bridge.store import BadInput, schema
from bridge.store.errors import UnknownSubject
from bridge.store.store import Store
from bridge.tables import TRIGGERS, events, person_keys, records, subjects, wordings
from bridge.vocabulary import EventType, Status
from tests.conftest import House, Reader
from tests.test_store import by_reader

AN, BRAM = "an.vandenberg@lezer.example", "bram@lezer.example"


@pytest.fixture
def told(house: House) -> House:
    """A house in which An has a story of four events and Bram one of two."""
    for reader in (Reader(house, AN), Reader(house, BRAM)):
        reader.has_consented("newsletter", "offers")
    story(house, AN)
    return house


def story(house: House, email: str) -> list[Any]:
    """A person's rows, first to last."""
    person = house.store.person(email)
    assert person is not None
    with house.bridge.database.reading() as db:
        return list(db.execute(select(events).where(events.c.subject == person.number).order_by(events.c.number)))


def subject(house: House, email: str) -> str:
    """A person's opaque id, as `verify` names her."""
    person = house.store.person(email)
    assert person is not None
    return person.id


def write(house: House, *statements: Any) -> None:
    """Write past the one door, as somebody with the database's password could."""
    with house.bridge.database.engine.begin() as db:
        for statement in statements:
            db.execute(text(statement) if isinstance(statement, str) else statement)


def break_in(house: House, *statements: Any) -> None:
    """Write past the triggers too: drop them, write, and put them back."""
    dialect = house.bridge.database.dialect
    with house.bridge.database.engine.begin() as db:
        for name in TRIGGERS[dialect]:
            table = name.partition("_keep_")[0]
            db.execute(text(f"DROP TRIGGER {name}" + (f" ON {table}" if dialect == "postgresql" else "")))
        for statement in statements:
            db.execute(statement)
        schema.keep_history(db)


def named(house: House) -> list[str]:
    """The places that `verify` names."""
    return [problem.where for problem in house.verify().problems]


# -- nothing is changed or removed -------------------------------------------------------------------------------

BLANKS = ", ".join(f"{column.name} = NULL" for column in events.c if column.name not in ("id", "digest"))
HALF_BLANKS = BLANKS.replace("purpose = NULL, ", "")

FORBIDDEN = {
    "an update": "UPDATE events SET purpose = 99 WHERE id = 1",
    "an update of nothing": "UPDATE events SET type = type WHERE id = 1",
    "a delete": "DELETE FROM events WHERE id = 1",
    "a delete of all": "DELETE FROM events",
    "blanking by half": f"UPDATE events SET {HALF_BLANKS} WHERE id = 1",
    "blanking all but the seal": f"UPDATE events SET {BLANKS.replace('sealed = NULL', 'sealed = sealed')} WHERE id = 1",
    "blanking with another digest": f"UPDATE events SET {BLANKS}, digest = sealed WHERE id = 1",
    "blanking with another id": f"UPDATE events SET {BLANKS}, id = 99 WHERE id = 1",
    "changed words": "UPDATE wordings SET text = 'Yes to everything'",
    "words never shown": "DELETE FROM wordings",
}
ONLY_SQLITE = {
    "a replaced event": "INSERT OR REPLACE INTO events SELECT * FROM events WHERE id = 1",
    "a replaced number": "INSERT OR REPLACE INTO events (id, subject, number, digest) VALUES (99, 1, 1, x'00')",
    "a replaced report": "INSERT OR REPLACE INTO events (id, report, digest) VALUES (99, 'told-once', x'00')",
    "an update that replaces": "UPDATE OR REPLACE events SET id = 2 WHERE id = 1",
    "replaced words": "INSERT OR REPLACE INTO wordings SELECT * FROM wordings",
    "words replaced by their version": "INSERT OR REPLACE INTO wordings SELECT 'f00', purpose, version, language, label,"
    " 'Yes to everything', first_used FROM wordings",
}
ONLY_POSTGRESQL = {
    "truncated events": "TRUNCATE events",
    "truncated words": "TRUNCATE wordings CASCADE",
    "an upsert": "INSERT INTO events (id, digest) VALUES (1, '') ON CONFLICT (id) DO UPDATE SET purpose = 99",
}


def test_the_database_refuses_to_change_history(told: House) -> None:
    """CAP-06, decision 15: raw SQL cannot change, remove, replace or empty events; CAP-07: nor words."""
    dialect = told.bridge.database.dialect
    write(told, insert(events).values(report="told-once", digest=b"x", sealed=b"x"))
    before = everything(told)
    for what, statement in {**FORBIDDEN, **(ONLY_SQLITE if dialect == "sqlite" else ONLY_POSTGRESQL)}.items():
        assert refusal(lambda statement=statement: write(told, statement)), f"{what} was let through"
    assert everything(told) == before


def refusal(act: Callable[[], Any]) -> bool:
    """Whether a trigger refuses this, with its reason."""
    try:
        act()
    except (DBAPIError, sqlite3.IntegrityError) as error:
        return "append-only" in str(error) or "never change" in str(error)
    return False


def everything(house: House) -> list[Any]:
    """All events and words, as they are stored."""
    with house.bridge.database.reading() as db:
        return [list(db.execute(select(table).order_by(*table.primary_key))) for table in (events, wordings)]


def test_a_careless_connection_cannot_replace_history_either(home: House, reader: Reader) -> None:
    """CAP-06: REPLACE deletes without a word where `recursive_triggers` is off, as in SQLite's own shell."""
    reader.has_consented()
    before = everything(home)
    with sqlite3.connect(home.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")) as shell:
        for what, statement in ONLY_SQLITE.items():
            if what == "a replaced report":
                shell.execute("INSERT INTO events (report, digest) VALUES ('told-once', x'00')")
            assert refusal(lambda statement=statement: shell.execute(statement)), f"{what} was let through"
        shell.rollback()
    shell.close()
    assert everything(home) == before


def test_our_own_road_cannot_change_history(told: House) -> None:
    """CAP-06: UPDATE and DELETE are refused through SQLAlchemy as well."""
    for statement in (
        update(events).values(purpose=99),
        delete(events),
        update(wordings).values(label="Yes"),
        delete(wordings),
    ):
        with pytest.raises(DBAPIError, match=r"append-only|never change"):
            write(told, statement)


def test_erasure_may_blank_an_event_and_nothing_else(told: House) -> None:
    """CAP-06, decision 15: the one update that is let through takes all but id and digest, and there is no way back."""
    first = story(told, AN)[0]
    write(told, f"UPDATE events SET {BLANKS} WHERE id = {first.id}")
    with told.bridge.database.reading() as db:
        blanked = db.execute(select(events).where(events.c.id == first.id)).one()
    assert [name for name, value in blanked._mapping.items() if value is not None] == ["id", "digest"]
    assert blanked.digest == first.digest
    for back in (update(events).values(**first._mapping), update(events).values(purpose=1)):
        with pytest.raises(DBAPIError, match="append-only"):
            write(told, back.where(events.c.id == first.id))


# -- whoever gets past the triggers is found out ------------------------------------------------------------------


def flipped(value: Any, at: int = 0) -> Any:
    """The same value, off by one bit; of bytes, at this place."""
    if isinstance(value, bytes):
        at %= len(value)
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    if isinstance(value, str):
        return chr(ord(value[0]) ^ 1) + value[1:] if value else "x"
    if isinstance(value, int):
        return value ^ 1
    return value.replace(microsecond=value.microsecond ^ 1)


CLEAR = [column.name for column in events.c if column.name not in ("id", "subject", "number")]


def test_one_flipped_bit_anywhere_is_named(told: House) -> None:
    """CAP-06: `verify` names the event whose sealed bytes, digest or clear column was changed."""
    late = Reader(told, AN).told_by_esp(EventType.DEFERRED)
    told.clock.forward(seconds=1)  # heard later than it happened: then both moments are kept
    told.hear(late)
    told.store.record([paused(told, AN)])
    rows = story(told, AN)
    who = subject(told, AN)
    assert named(told) == []
    seen = set()
    for row in rows:
        for column in CLEAR:
            value = getattr(row, column)
            for at in (0, 11, 12, 40, -1) if isinstance(value, bytes) else (0,):  # nonce, contents, tag
                changed = flipped(value, at) if value is not None else other(column, rows)
                if column in ("type", "method"):  # a column of known words only
                    changed = next(str(word) for word in events.c[column].type.words if word != value)
                break_in(told, update(events).where(events.c.id == row.id).values({column: changed}))
                assert f"{who}/{row.number}" in named(told), f"{column} of event {row.number} ({row.type})"
            break_in(told, update(events).where(events.c.id == row.id).values({column: value}))
            seen.add(column) if value is not None else None
    assert seen == set(CLEAR), "each column was told at least once"
    assert named(told) == []


def other(column: str, rows: list[Any]) -> Any:
    """A value for a column that is empty here, taken from where it is not."""
    return next(getattr(row, column) for row in rows if getattr(row, column) is not None) if column != "report" else "x"


def paused(house: House, email: str) -> Any:
    """An event that fills the column `until`."""
    person = house.store.person(email)
    assert person is not None
    return by_reader(house, person, EventType.PAUSED, purpose="", until=house.clock.forward(days=3))


def test_a_spoilt_time_is_named_not_stumbled_over(home: House, reader: Reader) -> None:
    """CAP-06: on SQLite a moment is a number; one far out of the calendar is named like any other change."""
    reader.has_consented()
    for number in (2**62, -(2**62)):
        break_in(home, text(f"UPDATE events SET time = {number} WHERE number = 2"))
        assert named(home) == [f"{subject(home, reader.email)}/2"]


Spoil = Callable[[House], tuple[list[Any], str]]


def _middle_removed(house: House) -> tuple[list[Any], str]:
    rows = story(house, AN)
    return [delete(events).where(events.c.id == rows[1].id)], f"{subject(house, AN)}/2"


def _last_removed(house: House) -> tuple[list[Any], str]:
    rows = story(house, AN)
    return [delete(events).where(events.c.id == rows[-1].id)], f"{subject(house, AN)}/{len(rows)}"


def _all_removed(house: House) -> tuple[list[Any], str]:
    number = story(house, AN)[0].subject
    return [delete(events).where(events.c.subject == number)], f"{subject(house, AN)}/1"


def _last_blanked(house: House) -> tuple[list[Any], str]:
    rows = story(house, AN)
    return [text(f"UPDATE events SET {BLANKS} WHERE id = {rows[-1].id}")], f"{subject(house, AN)}/{len(rows)}"


def _seal_removed(house: House) -> tuple[list[Any], str]:
    row = story(house, AN)[1]
    return [update(events).where(events.c.id == row.id).values(sealed=None)], f"{subject(house, AN)}/2"


def _swapped(house: House) -> tuple[list[Any], str]:
    one, two = story(house, AN)[1:3]
    moved = [update(events).where(events.c.id == row.id) for row in (one, two)]
    return [moved[0].values(number=99), moved[1].values(number=2), moved[0].values(number=3)], f"{subject(house, AN)}/2"


def _contents_swapped(house: House) -> tuple[list[Any], str]:
    one, two = (row._mapping for row in story(house, AN)[1:3])
    keep = ("id", "number")
    takes = [
        update(events).where(events.c.id == mine["id"]).values({k: v for k, v in its.items() if k not in keep})
        for mine, its in ((one, two), (two, one))
    ]
    return takes, f"{subject(house, AN)}/2"


def _copied_from_bram(house: House) -> tuple[list[Any], str]:
    mine, his = story(house, AN), story(house, BRAM)[0]._mapping
    copy = {**his, "id": 999, "subject": mine[0].subject, "number": len(mine) + 1, "report": None}
    return [insert(events).values(copy)], f"{subject(house, AN)}/{len(mine) + 1}"


def _put_in_place_of_hers(house: House) -> tuple[list[Any], str]:
    mine, his = story(house, AN)[0], story(house, BRAM)[0]._mapping
    taken = {key: value for key, value in his.items() if key in ("sealed", "digest")}
    return [update(events).where(events.c.id == mine.id).values(taken)], f"{subject(house, AN)}/1"


def _own_event_repeated(house: House) -> tuple[list[Any], str]:
    mine = story(house, AN)
    copy = {**mine[-1]._mapping, "id": 999, "number": len(mine) + 1}
    return [insert(events).values(copy)], f"{subject(house, AN)}/{len(mine) + 1}"


def _record(house: House, **values: Any) -> Any:
    newsletter = house.store.rows.names.number("newsletter")
    mine = (records.c.subject == story(house, AN)[0].subject) & (records.c.purpose == newsletter)
    return update(records).where(mine).values(values) if values else delete(records).where(mine)


def _record_says_otherwise(house: House) -> tuple[list[Any], str]:
    return [_record(house, status=Status.WITHDRAWN.value)], f"{subject(house, AN)}/newsletter"


def _record_of_another_day(house: House) -> tuple[list[Any], str]:
    return [_record(house, since=house.clock.now)], f"{subject(house, AN)}/newsletter"


def _record_of_an_older_event(house: House) -> tuple[list[Any], str]:
    return [_record(house, number=1)], f"{subject(house, AN)}/newsletter"


def _record_removed(house: House) -> tuple[list[Any], str]:
    return [_record(house)], f"{subject(house, AN)}/newsletter"


def _record_invented(house: House) -> tuple[list[Any], str]:
    number = story(house, AN)[0].subject
    row = {"subject": number, "purpose": 99, "status": "given", "since": house.clock.now, "number": 1}
    return [insert(records).values(row)], f"{subject(house, AN)}/?99"


def _person_removed(house: House) -> tuple[list[Any], str]:
    row = story(house, AN)[0]
    return [delete(subjects).where(subjects.c.number == row.subject)], f"event {row.id}"


def _key_removed(house: House) -> tuple[list[Any], str]:
    number = story(house, AN)[0].subject
    return [delete(person_keys).where(person_keys.c.subject == number)], subject(house, AN)


def _event_disowned(house: House) -> tuple[list[Any], str]:
    row = story(house, AN)[-1]
    return [update(events).where(events.c.id == row.id).values(subject=None)], f"event {row.id}"


def _profile_of_another(house: House) -> tuple[list[Any], str]:
    number = story(house, AN)[0].subject
    his = select(subjects.c.profile).where(subjects.c.number != number).limit(1).scalar_subquery()
    return [update(subjects).where(subjects.c.number == number).values(profile=his)], subject(house, AN)


SPOILS: list[Spoil] = [
    _middle_removed,
    _last_removed,
    _all_removed,
    _last_blanked,
    _seal_removed,
    _swapped,
    _contents_swapped,
    _copied_from_bram,
    _put_in_place_of_hers,
    _own_event_repeated,
    _record_says_otherwise,
    _record_of_another_day,
    _record_of_an_older_event,
    _record_removed,
    _record_invented,
    _person_removed,
    _key_removed,
    _event_disowned,
    _profile_of_another,
]


def test_every_way_to_spoil_history_is_named(told: House) -> None:
    """CAP-06: removed, swapped, copied and blanked events and edited records: each is named, and nobody else is."""
    assert named(told) == []
    for spoil in SPOILS:
        saved = saved_tables(told)
        statements, where = spoil(told)
        break_in(told, *statements)
        found = named(told)
        assert where in found, spoil.__name__
        assert not any(place.startswith(subject(told, BRAM)) for place in found), spoil.__name__
        restore(told, saved)
        assert named(told) == [], spoil.__name__


_SPOILT = (events, records, person_keys, subjects)


def saved_tables(house: House) -> list[list[dict[str, Any]]]:
    """What the spoils touch."""
    with house.bridge.database.reading() as db:
        return [[dict(row._mapping) for row in db.execute(select(table))] for table in _SPOILT]


def restore(house: House, saved: list[list[dict[str, Any]]]) -> None:
    """Put it back."""
    statements = [delete(table) for table in _SPOILT]
    rows = [insert(table).values(row) for table, kept in zip(_SPOILT, saved, strict=True) for row in kept]
    break_in(house, *statements, *rows)


def test_a_clean_history_is_called_whole_and_is_counted(told: House) -> None:
    """CAP-06: what `verify` looked at is said, erased events too."""
    verdict = told.verify()
    assert (verdict.people, verdict.events, verdict.erased, verdict.problems) == (2, 8, 0, ())


def test_verify_sees_one_moment_while_readers_go_on(told: House) -> None:
    """CAP-06: a story that grows while it is checked is no false alarm: reads are one view of the store."""
    with told.bridge.database.reading() as db:
        before = db.scalar(select(func.count()).select_from(events))
        told.store.record([paused(told, AN)])
        assert db.scalar(select(func.count()).select_from(events)) == before
        assert db.scalar(select(func.max(records.c.number))) == 4
    assert named(told) == []


def test_the_stop_list_makes_no_false_alarm(house: House, an: Reader) -> None:
    """CAP-06, SUP-05: records speak of events; a stop known as a hash before she came, and lifted later, is apart."""
    house.hear(an.told_by_esp(EventType.UNSUBSCRIBED, "newsletter"))
    house.clock.forward(minutes=5)
    an.signs_up("newsletter", "offers")
    assert named(house) == []
    house.clock.forward(minutes=5)
    an.confirms()
    assert an.status() is Status.GIVEN
    assert named(house) == []


def test_an_objection_by_way_of_one_list_is_kept_for_all(house: House, an: Reader) -> None:
    """R6, CAP-06: an ESP that names a list in a complaint stops all purposes, and the records agree."""
    an.has_consented("newsletter", "offers")
    house.hear(an.told_by_esp(EventType.COMPLAINED, "newsletter"))
    assert [an.status("newsletter"), an.status("offers")] == [Status.OBJECTED] * 2
    assert named(house) == []


def test_two_stops_within_one_second_are_read_back_as_they_were_written(house: House, an: Reader) -> None:
    """R2, CAP-06: who stops twice in a second is stopped once; what was decided then is what `verify` decides now."""
    an.has_consented("newsletter", "offers")
    person = house.store.person(an.email)
    assert person is not None
    for _ in range(8):
        house.clock.forward(seconds=1)
        house.clock.now = house.clock.now.replace(microsecond=0)
        first = by_reader(house, person, EventType.REQUESTED, evidence_of=an.story()[0])
        one = by_reader(house, person, EventType.WITHDRAWN)
        house.clock.forward(microseconds=500)
        house.store.record([first, one, by_reader(house, person, EventType.WITHDRAWN, purpose="")])
        assert named(house) == []


# -- words -------------------------------------------------------------------------------------------------------


def test_words_are_kept_once(house: House, an: Reader, dirk: Reader) -> None:
    """CAP-07: a wording is stored with its first use, whoever sees it after."""
    an.signs_up("newsletter")
    house.clock.forward(minutes=1)
    dirk.signs_up("newsletter")
    with house.bridge.database.reading() as db:
        kept = list(db.execute(select(wordings)))
    assert [(row.purpose, row.version, row.language) for row in kept] == [("newsletter", 1, "nl")]
    assert kept[0].first_used == house.clock.now.replace(minute=0)
    assert an.story()[0].evidence.wording == dirk.story()[0].evidence.wording == kept[0].sha256


def test_changed_words_are_refused_with_the_name_of_the_file(house: House, an: Reader) -> None:
    """CAP-07: editing a used version raises, at the start and at the door; the old record still shows the old words."""
    an.has_consented()
    old = house.bridge.notices.wording("newsletter", "nl")
    file = house.bridge.settings.policy.parent / "notices" / "newsletter-1.nl.txt"
    file.write_text(file.read_text(encoding="utf-8").rstrip() + " En nog iets.\n", encoding="utf-8")

    again = Bridge.from_env(house.environment)
    again.clock = house.clock
    with pytest.raises(Exception, match=r"newsletter-1\.nl\.txt") as refused:
        again.ready()
    assert "CAP-07" in str(refused.value)
    with pytest.raises(BadInput, match=r"notices/newsletter-1\.nl\.txt was changed after it was shown"):
        again.acts.sign_up("dirk@lezer.example", ["newsletter"], channel="footer", language="nl", network="", fields={})
    assert again.store.person("dirk@lezer.example") is None
    again.database.engine.dispose()

    sha256 = an.story()[-1].evidence.wording
    kept = house.store.words(sha256)
    assert kept is not None
    assert (kept.text, kept.label, kept.sha256) == (old.text, old.label, old.sha256)


def test_words_outlive_their_file(house: House, an: Reader) -> None:
    """CAP-07: a store that knows no file still shows what she saw, and still takes an event that rests on it."""
    an.has_consented()
    bridge = house.bridge
    bare = Store(bridge.database, bridge.vault, limits=bridge.limits, mark=bridge.links.mark, clock=house.clock)
    sha256 = an.story()[-1].evidence.wording
    assert bare.words(sha256) == house.store.words(sha256)
    bare.record([an.story()[-1]])
    assert named(house) == []


def test_a_person_who_is_gone_has_no_story(house: House, an: Reader) -> None:
    """CAP-06: whoever was forgotten is said to be unknown, in words."""
    an.signs_up()
    person = house.store.person(an.email)
    assert person is not None
    house.clock.forward(days=4)
    house.store.forget_requests()
    with pytest.raises(UnknownSubject, match="no longer here"):
        house.store.story(person)
