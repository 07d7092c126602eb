"""A copy of the store, and the store again from it: readable for whom it should be, dark for whom it should be.

Rows SUP-04, SUP-06, KEY-02, KEY-03; decisions 19 and 25. Both databases, from each to each, under load, and killed.
"""

import shutil
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from bridge.acts import Late
from bridge.bootstrap import Bridge
from bridge.cli.envfile import change
from bridge.mailer import stop_token
from bridge.settings import read_env_file
from bridge.store import OldSchema, copies, schema
from bridge.store.archive import Header, Writer, house_of, sections
from bridge.store.breaches import Facts
from bridge.store.copies import back_up, open_pair, restore
from bridge.store.engine import Database
from bridge.store.triggers import missing_triggers
from bridge.store.values import Listed
from bridge.tables import (
    connections,
    erasures,
    esp_jobs,
    events,
    keys_used,
    outbox,
    person_keys,
    pushes,
    stop_list,
    subjects,
    wordings,
)
from bridge.vault import new_id, new_key
from bridge.vocabulary import EventType, Method, Status
from tests.children import Child
from tests.conftest import House, Reader, _administer, _database
from tests.test_rotate import Load, Shop, again
from tests.test_store import asks, by_reader, confirm_token, consents, disguises, everything, person, withdraws

AN, BRAM, CARLA, DIRK, EMMA = (f"{name}@lezer.example" for name in ("an.vandenberg", "bram", "carla", "dirk", "emma"))

Fresh = Callable[[str], str]


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fresh]:
    """Make an empty database of a kind; gives its address."""
    made: list[tuple[str, str]] = []

    def make(kind: str) -> str:
        name = f"fresh_{new_id().replace('-', 'x').replace('_', 'y').lower()}"
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        server = request.getfixturevalue("postgres")
        _administer(server, f"CREATE DATABASE {name}")
        made.append((server, name))
        return _database(server, name)

    yield make
    for server, name in made:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


class Copies(Shop):
    """The shop, with a drawer of backups."""

    def __init__(self, house: House, file: Path, build: Callable[..., House], fresh: Fresh) -> None:
        house.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
        super().__init__(house, file, build)
        self.fresh = fresh
        self.kind = house.bridge.database.dialect

    def backs_up(self, name: str = "copy") -> Path:
        """Take a backup; gives its file."""
        file = self.file.with_name(name)
        self.told("backup", str(file))
        return file

    def moves_to(self, kind: str = "") -> str:
        """Have the settings name an empty database."""
        url = self.fresh(kind or self.kind)
        change(self.file, "BRIDGE_DATABASE_URL", url)
        return url

    def restores(self, file: Path, keys: Path | None = None, kind: str = "") -> tuple[House, dict[str, Any]]:
        """A new house from a backup, after a crash of the old one; gives it, and what the command told."""
        self.moves_to(kind)
        told = self.told("restore", str(file), *(["--keys", str(keys)] if keys else []))
        self.house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
        return self.starts(), told


@pytest.fixture
def shop(house: House, tmp_path: Path, make_house: Callable[..., House], fresh: Fresh) -> Copies:
    """The house on each database, its settings in a file."""
    return Copies(house, tmp_path / "settings.env", make_house, fresh)


@pytest.fixture
def small(home: House, tmp_path: Path, make_house: Callable[..., House], fresh: Fresh) -> Copies:
    """The same on SQLite only, for what does not depend on the database."""
    return Copies(home, tmp_path / "settings.env", make_house, fresh)


def keys_of(file: Path) -> Path:
    """The other half of a backup."""
    return file.with_name(file.name + ".keys")


def refused(shop: Copies, *words: str) -> str:
    """A command that fails: with its reason, and no stack of program lines."""
    result = shop.types(*words)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("consent-bridge: ")
    assert "Traceback" not in result.output
    return result.stderr


# -- there and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_comes_back_as_it_was_also_in_another_database(shop: Copies, kind: str) -> None:
    """Decision 19: every person, event, proof and stop; who outgrows one machine moves so from SQLite to PostgreSQL."""
    house = shop.house
    consents(house, AN, "newsletter", "offers")
    consents(house, BRAM)
    withdraws(house, BRAM)
    house.hear(Reader(house, CARLA).told_by_esp(EventType.COMPLAINED))
    asks(house, DIRK)
    before, stories = everything(house), {email: house.store.story(person(house, email)) for email in (AN, BRAM, DIRK)}

    new, told = shop.restores(shop.backs_up(), kind=kind)

    assert (told["people"], told["dark"], told["lost"], told["later"]) == (3, 0, 0, 0)
    after = everything(new)
    for table in ("subjects", "person_keys", "events", "records", "stop_list", "wordings", "names", "throttle"):
        assert after[table] == before[table], table
    assert {email: new.store.story(person(new, email)) for email in stories} == stories
    assert new.verify() == house.verify()
    assert Reader(new, AN).may("offers").may
    assert [Reader(new, email).status() for email in (BRAM, CARLA, DIRK)] == [
        Status.WITHDRAWN, Status.OBJECTED, Status.REQUESTED,
    ]  # fmt: skip
    # Life goes on: new numbers do not meet old ones, history is kept by triggers.
    consents(new, "els@lezer.example")
    withdraws(new, AN)
    assert new.verify().problems == ()


def test_the_files_are_private_and_the_store_alone_is_dark(shop: Copies) -> None:
    """SUP-04, KEY-02: mode 0600; no person's key in FILE; no address in either, in no common coding."""
    consents(shop.house, AN)
    withdraws(shop.house, AN)
    file = shop.backs_up()
    with shop.house.bridge.database.reading() as db:
        wrapped = bytes(db.scalars(select(person_keys.c.wrapped)).one())
        hashed = bytes(db.scalars(select(stop_list.c.hash)).one())
    store, keys = file.read_bytes(), keys_of(file).read_bytes()
    assert wrapped not in store
    assert hashed not in store
    assert wrapped in keys
    assert hashed in keys
    for dress, needle in disguises(AN).items():
        assert needle not in store, dress
        assert needle not in keys, dress
    for each in (file, keys_of(file)):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.glob("copy*")) == ["copy", "copy.keys"]


def test_what_is_only_in_the_write_ahead_log_is_in_the_copy(small: Copies) -> None:
    """Decision 19: SQLite's main file lags behind while programs are at work; a copy of that file alone would too."""
    consents(small.house, AN)
    path = Path(small.house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"))
    plain = path.with_name("plain.db")
    shutil.copy(path, plain)
    with sqlite3.connect(plain) as db:
        (count,) = db.execute("SELECT count(*) FROM events").fetchone()
    db.close()
    assert count == 0, "the picture the test is about"
    new, _ = small.restores(small.backs_up())
    assert Reader(new, AN).may().may


def test_a_copy_under_load_is_one_moment(shop: Copies) -> None:
    """Decision 19: sign-ups, confirmations, stops and mails go on in two programs; three copies, each whole in itself."""
    programs = [shop.starts(), shop.starts()]
    with Load(programs) as load:
        files = []
        for number in range(3):
            load.works_on()
            files.append(shop.backs_up(f"copy{number}"))
            load.works_on()
    assert load.errors == []
    again(programs[0].bridge.acts.parking.replay)
    for number, file in enumerate(files):
        new, told = shop.restores(file, keys_of(files[-1]))
        assert new.verify().problems == ()
        assert told["lost"] == 0
        assert told["people"] > 0
        assert (told["later"] > 0) == (number < 2)
        for email in load.people:
            may = new.store.may_mail(email, "newsletter").may
            assert not may or new.store.person(email) is not None


# -- erased since ------------------------------------------------------------------------------------------------


def test_who_was_erased_since_is_dark_in_an_old_copy_and_nobody_else(shop: Copies) -> None:
    """SUP-04, SUP-06: forgotten after the copy; restored with the newest keys: her events are blank, digests stand."""
    house = shop.house
    consents(house, AN)
    asks(house, BRAM)
    old = shop.backs_up("old")
    with house.bridge.database.reading() as db:
        digests = list(db.scalars(select(events.c.digest).order_by(events.c.id)))
    house.clock.forward(days=4)
    assert house.store.forget_requests() == 1
    newest = shop.backs_up("newest")

    new, told = shop.restores(old, keys_of(newest))

    assert (told["people"], told["dark"], told["lost"]) == (1, 1, 0)
    assert new.store.person(BRAM) is None
    assert new.store.person(AN) is not None
    with new.bridge.database.reading() as db:
        assert list(db.scalars(select(events.c.digest).order_by(events.c.id))) == digests
        assert db.scalar(select(func.count()).where(events.c.sealed.is_(None))) == 1
        assert db.scalar(select(func.count()).select_from(erasures)) == 1
        assert db.scalar(select(func.count()).select_from(person_keys)) == 1
        assert set(db.scalars(select(outbox.c.subject))) == {person(new, AN).number}, "no mail to her is kept"
    assert new.verify().problems == ()
    # And again from the restored store: the journal is in the next copy too.
    third, told = shop.restores(old, keys_of(shop.backs_up("third")))
    assert (told["dark"], third.store.person(BRAM)) == (1, None)


def test_who_was_lost_by_an_earlier_restore_is_dark_and_counted_apart(shop: Copies) -> None:
    """Decision 19: a copy of a time that was given up, with the keys of the time after: nobody mails by lost proof."""
    first = shop.backs_up("first")
    consents(shop.house, AN)
    given_up = shop.backs_up("given-up")
    shop.house, _ = shop.restores(first)
    newest = shop.backs_up("newest")
    new, told = shop.restores(given_up, keys_of(newest))
    assert (told["people"], told["dark"], told["lost"]) == (0, 0, 1)
    assert new.store.person(AN) is None
    assert new.verify().problems == ()


def test_the_journal_names_nobody(house: House) -> None:
    """SUP-06, SUP-04: a hash under her random id, which is gone: no address, no subject id, no key of ours."""
    asks(house, BRAM)
    who = person(house, BRAM)
    house.clock.forward(days=4)
    house.store.forget_requests()
    with house.bridge.database.reading() as db:
        ((value, when),) = db.execute(select(erasures.c.hash, erasures.c.time))
    assert len(value) == 16
    assert when == house.clock()
    assert value not in [entry.value[:16] for entry in [*house.bridge.vault.lookups(BRAM)]]
    assert who.id.encode() not in value


# -- told since --------------------------------------------------------------------------------------------------


def test_a_no_told_after_the_copy_is_not_lost(shop: Copies) -> None:
    """Promise: a "no" is never lost; SUP-05: one-click, page, platform and stranger, all after the copy, all stand."""
    house = shop.house
    for email in (AN, BRAM, CARLA):
        consents(house, email, "newsletter", "offers")
    house.dispatch()
    old = shop.backs_up("old")
    house.clock.forward(minutes=5)
    withdraws(house, AN)
    house.hear(Reader(house, BRAM).told_by_esp(EventType.COMPLAINED))
    house.hear(Reader(house, DIRK).told_by_esp(EventType.UNSUBSCRIBED))
    newest = shop.backs_up("newest")

    new, told = shop.restores(old, keys_of(newest))

    assert told["stops"] == 3
    assert new.verify().problems == ()
    assert not Reader(new, AN).may().may
    assert Reader(new, AN).may("offers").may, "she stopped one of two"
    assert not Reader(new, BRAM).may().may
    assert not Reader(new, DIRK).may().may
    assert Reader(new, CARLA).may().may
    # The platform had it right, and has it wrong now; it is set right, and no old yes lifts anything.
    new.esp.people[AN].on, new.esp.people[AN].left = {"newsletter", "offers"}, set()
    new.dispatch()
    assert new.esp.people[AN].on == {"offers"}
    assert new.esp.people[BRAM].on == set()
    assert new.esp.people[CARLA].on == {"newsletter", "offers"}


def test_a_yes_given_after_the_copy_is_asked_again_and_mails_nobody(shop: Copies) -> None:
    """Promise: nobody is mailed without live proof. Her yes is lost with its proof; the platform is told so; the link
    in the mail she has makes it good.
    """
    house = shop.house
    asks(house, AN)
    old = shop.backs_up("old")
    house.clock.forward(minutes=1)
    token = confirm_token(house, AN)
    house.bridge.acts.confirm(token)
    consents(house, BRAM)
    house.dispatch()
    assert house.esp.people[AN].on == {"newsletter"}
    newest = shop.backs_up("newest")
    house.mailbox.clear()
    shop.house.clock.now = datetime.now(UTC)

    shop.moves_to()
    told = shop.types("restore", str(old), "--keys", str(keys_of(newest)))
    assert told.exit_code == 0
    assert "1 people signed up after this backup and are not in it" in told.stdout
    new = shop.starts()
    new.clock.forward(seconds=2)
    assert Reader(new, AN).status() is Status.REQUESTED
    assert new.store.person(BRAM) is None
    new.dispatch()
    assert new.esp.people[AN].on == set()


def test_mails_that_may_have_left_are_not_sent_again_but_the_question_is(shop: Copies) -> None:
    """Decision 25: a welcome in the copy's outbox went out long ago: dropped. Her confirmation mail comes again as the
    same mail, for without it she waits for ever.
    """
    house = shop.house
    house.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    consents(house, AN)
    asks(house, BRAM)
    with house.bridge.database.reading() as db:
        assert sorted(db.scalars(select(outbox.c.work))) == ["mail:confirm", "mail:confirm", "mail:welcome"]
    old = shop.backs_up("old")
    house.dispatch()
    sent = {email: [str(mail["Message-ID"]) for mail in house.mailbox.to(email)] for email in (AN, BRAM)}
    assert [len(ids) for ids in sent.values()] == [1, 1]
    house.mailbox.clear()

    new, told = shop.restores(old)
    new.dispatch()

    assert told["mails_dropped"] == 1
    assert [str(mail["Message-ID"]) for mail in new.mailbox.to(AN)] == []
    assert [str(mail["Message-ID"]) for mail in new.mailbox.to(BRAM)] == sent[BRAM]


@pytest.mark.parametrize("promised", [False, True])
def test_nobody_is_mailed_twice_of_a_breach(shop: Copies, tmp_path: Path, *, promised: bool) -> None:
    """Decision 25, BRC-01: who waited for her mail in the copy may have it: it says so, and asks for a new approval."""
    house = shop.house
    house.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    consents(house, AN)
    consents(house, BRAM)
    house.dispatch()
    words = {"nl": "Een laptop is gestolen.", "en": "A laptop was stolen."}
    breach = house.store.breaches.open(house.clock(), Facts(what="a laptop was stolen", words=words), "carla")
    number = breach.number
    assert house.store.list_for_breach(number, [person(house, BRAM).id]).listed == 1
    house.store.breaches.let_go(number, words)
    house.dispatch()
    assert house.store.list_for_breach(number, [person(house, AN).id]).listed == 1
    if promised:
        assert house.store.tell_of_breaches() == 1
    old = shop.backs_up("old")
    house.mailbox.clear()
    house.dispatch()
    assert len(house.mailbox.to(AN)) == 1
    house.mailbox.clear()

    new, _ = shop.restores(old)
    new.dispatch()

    assert new.mailbox.to(AN) == new.mailbox.to(BRAM) == []
    assert "whether 1 were mailed" in new.store.breaches.notes(number)[-1].text
    ids = [person(new, AN).id, person(new, BRAM).id]
    assert new.store.list_for_breach(number, ids) == Listed(listed=1, before=1, gone=0)
    new.dispatch()
    assert (len(new.mailbox.to(AN)), len(new.mailbox.to(BRAM))) == (1, 0)


def test_what_was_under_way_at_a_platform_then_is_not_followed_now(shop: Copies) -> None:
    """Decisions 24 and 26: its jobs ended long ago, its connections are closed; everybody is told anew instead."""
    house = shop.house
    consents(house, AN)
    now = house.clock()
    with house.bridge.database.writing() as db:
        db.execute(insert(esp_jobs).values(adapter="memory", key="job-1", carried=b"", made=now, due=now))
        db.execute(insert(connections).values(adapter="memory", slot=1, lease="a", until=now + timedelta(days=99)))
        db.execute(update(pushes).values(job="1", told=7, lease="a", leased=now + timedelta(days=99), due=None))
    new, _ = shop.restores(shop.backs_up())
    with new.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(esp_jobs)) == 0
        assert db.scalar(select(func.count()).select_from(connections)) == 0
        ((job, told, leased),) = db.execute(select(pushes.c.job, pushes.c.told, pushes.c.leased))
        assert (job, told, leased) == (None, None, None)
    new.dispatch()
    assert new.esp.people[AN].on == {"newsletter"}


def test_old_links_work_in_the_restored_store(shop: Copies) -> None:
    """WDR-09, decision 9: also of somebody who was forgotten and is here again under another id."""
    house = shop.house
    who = consents(house, AN)
    token = stop_token(house.bridge.links, who.id, who.mark, house.clock(), ["newsletter"])
    new, _ = shop.restores(shop.backs_up())
    assert new.client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Reader(new, AN).status() is Status.WITHDRAWN


def test_stops_parked_beside_the_database_are_in_the_copy(small: Copies) -> None:
    """WDR-09, decision 21: what was answered as done while the store was away is no less done."""
    who = consents(small.house, AN)
    token = stop_token(small.house.bridge.links, who.id, who.mark, small.house.clock(), ["newsletter"])
    path = small.house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    small.house.bridge.acts.stop(token, Method.ONE_CLICK)
    holder.execute("ROLLBACK")
    holder.close()
    assert Path(path + ".stops").stat().st_size
    new, told = small.restores(small.backs_up())
    assert told["stops"] == 1
    assert not Reader(new, AN).may().may


# -- keys since --------------------------------------------------------------------------------------------------


def test_a_copy_from_before_a_rotation_opens_with_the_newest_keys(shop: Copies) -> None:
    """KEY-03, decision 19: the root of then is dropped; her key, wrapped anew, opens her, and she is found again."""
    consents(shop.house, AN)
    old = shop.backs_up("old")
    kid = shop.rotates("vault")
    link = shop.rotates("link")
    shop.time_goes_by()
    shop.told("keys", "drop", "vault", "vault1")
    newest = shop.backs_up("newest")
    assert "vault key 'vault1', which BRIDGE_VAULT_KEYS" in refused(shop, "restore", str(old))

    new, told = shop.restores(old, keys_of(newest))

    assert told["people"] == 1
    assert Reader(new, AN).may().may
    with new.bridge.database.reading() as db:
        assert set(db.scalars(select(subjects.c.kid))) == {kid}
        used = {(row.ring, row.kid) for row in db.execute(select(keys_used))}
    assert used == {("vault", kid), ("link", "link1"), ("link", link), ("mark", "link1")}
    asks(new, AN)
    assert new.verify().people == 1, "she is no second person"


# -- refused -----------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_never_overwritten(small: Copies) -> None:
    """Bad input: neither half."""
    file = small.backs_up()
    before = file.read_bytes(), keys_of(file).read_bytes()
    assert "is there already and is never overwritten" in refused(small, "backup", str(file))
    file.unlink()
    assert "copy.keys: is there already" in refused(small, "backup", str(file))
    assert keys_of(file).read_bytes() == before[1]
    assert not file.exists()


def test_what_is_damaged_cut_or_something_else_is_refused_before_anything_is_done(small: Copies) -> None:
    """Bad input: every byte counts; the database stays empty."""
    for number in range(5):
        asks(small.house, f"lezer{number}@lezer.example")
    file = small.backs_up()
    url = small.moves_to()
    for half in (file, keys_of(file)):
        good = half.read_bytes()
        cuts = [good[:at] for at in (0, 10, 30, 200, len(good) // 2, len(good) - 1)]
        flips = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(24, len(good), len(good) // 40)]
        for bad in [*cuts, *flips, good + b"x", b"SQLite format 3\0" * 10, good.replace(b"backup 1", b"backup 2", 1)]:
            half.write_bytes(bad)
            said = refused(small, "restore", str(file))
            assert any(
                words in said for words in ("damaged", "is no backup", "other keys", "newer version", "holds")
            ), said
        half.write_bytes(good)
    database = Database(url)
    assert schema.current(database) is None
    database.engine.dispose()
    assert small.told("restore", str(file))["people"] == 5


def test_what_does_not_belong_together_is_refused(small: Copies, tmp_path: Path) -> None:
    """Bad input: swapped halves, keys older than the copy, no keys at all, other settings, a newer schema."""
    consents(small.house, AN)
    early = small.file.with_name("early")
    with early.open("wb") as store, keys_of(early).open("wb") as keys:
        bridge = small.house.bridge
        back_up(bridge.database, bridge.links.copy_key, (store, keys), small.house.clock(), lambda _done, _all: None)
    late = small.backs_up("late")
    small.moves_to()
    assert "give the backup first" in refused(small, "restore", str(keys_of(late)), "--keys", str(late))
    assert "older than the backup" in refused(small, "restore", str(late), "--keys", str(keys_of(early)))
    keys_of(late).unlink()
    assert "late.keys is missing" in refused(small, "restore", str(late))

    other = tmp_path / "other.env"
    shutil.copy(small.file, other)
    right, small.file = small.file, other
    change(other, "BRIDGE_LINK_KEYS", new_key("link1"))
    assert "was made under other keys" in refused(small, "restore", str(early))
    shutil.copy(right, other)
    change(other, "BRIDGE_VAULT_KEYS", new_key("vault1"))
    assert "cannot be opened: BRIDGE_VAULT_KEYS" in refused(small, "restore", str(early))
    small.file = right
    assert small.told("restore", str(early))["people"] == 1, "what was refused left nothing in the way"


def test_of_two_restores_at_once_one_ends_and_the_other_spoils_nothing(
    shop: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input: the second one began on an empty database, and finds a whole store when its turn comes."""
    consents(shop.house, AN)
    file = shop.backs_up()
    shop.moves_to()
    mark = copies._mark

    def overtaken(database: Database) -> None:
        mark(database)
        monkeypatch.setattr(copies, "_mark", mark)
        assert shop.told("restore", str(file))["people"] == 1

    monkeypatch.setattr(copies, "_mark", overtaken)
    assert "another restore into this database has ended meanwhile" in refused(shop, "restore", str(file))
    assert Reader(shop.starts(), AN).may().may


def test_a_newer_schema_is_refused_and_an_older_one_is_brought_up(small: Copies) -> None:
    """Bad input: a copy of tomorrow's program; and one of yesterday's, which must open."""
    key = small.house.bridge.links.copy_key
    for revision in ("9999", "0001"):
        row = ["a" * 64, "newsletter", 1, "nl", "label", "text", 1]
        columns = [str(column.name) for column in wordings.c]
        parts: dict[str, Any] = {"store": {"wordings": (columns, 1)}, "keys": {}}
        for kind, contents in parts.items():
            with small.file.with_name(f"{revision}{'.keys' if kind == 'keys' else ''}").open("wb") as out:
                told = {"made": "2026-11-23T10:00:00Z", "schema": revision, "house": house_of(key)}
                writer = Writer(out, key, Header(kind=kind, sections=sections(contents), **told))
                for name in contents:
                    writer.rows(name, [row])
                writer.end()
    url = small.moves_to()
    assert "made by a newer version" in refused(small, "restore", str(small.file.with_name("9999")))
    assert small.told("restore", str(small.file.with_name("0001")))["people"] == 0
    database = Database(url)
    assert schema.current(database) == schema.head()
    with database.reading() as db:
        assert missing_triggers(db) == set()
        assert db.scalar(select(func.count()).select_from(wordings)) == 1
    database.engine.dispose()


def test_only_an_empty_database_is_restored_into(shop: Copies) -> None:
    """Bad input: nothing that is there is mixed with or lost; tables without rows may stand there already."""
    consents(shop.house, AN)
    file = shop.backs_up()
    before = everything(shop.house)
    assert "is not empty" in refused(shop, "restore", str(file))
    assert everything(shop.house) == before
    shop.moves_to()
    shop.types("db", "upgrade")
    assert shop.told("restore", str(file))["people"] == 1
    assert "is not empty" in refused(shop, "restore", str(file)), "nobody used it yet, but people are there"
    assert Reader(shop.starts(), AN).may().may


def test_a_full_disk_leaves_nothing_half(small: Copies) -> None:
    """Bad input: the system's word for it, and no file."""
    for number in range(10):
        asks(small.house, f"lezer{number}@lezer.example")
    file = small.file.with_name("copy")
    words = ("0", "backup", str(file), "--env-file", str(small.file))
    child = Child("tests.copy_child", *words, environment={}, largest=3000)
    assert child.ends() == 1
    assert "copy: File too large" in child.errors
    assert list(file.parent.glob("copy*")) == []


# -- killed ------------------------------------------------------------------------------------------------------


def killed(shop: Copies, after: int, *words: str) -> bool:
    """Run a command that is killed when it has told its progress so often; whether it was."""
    child = Child("tests.copy_child", str(after), *words, "--env-file", str(shop.file), environment={})
    code = child.ends(120)
    assert code in (0, -signal.SIGKILL), child.errors
    return code != 0


def test_a_backup_that_was_killed_leaves_no_file_and_is_taken_again(shop: Copies) -> None:
    """Decision 19: half a copy never bears a copy's name; what it left behind is no hindrance."""
    consents(shop.house, AN)
    file = shop.file.with_name("copy")
    for after in (1, 4):
        assert killed(shop, after, "backup", str(file))
        assert not file.exists()
        assert not keys_of(file).exists()
    shop.backs_up()
    assert sorted(path.name for path in file.parent.glob("copy*")) == ["copy", "copy.keys"]
    new, _ = shop.restores(file)
    assert Reader(new, AN).may().may


def test_a_restore_that_was_killed_cannot_be_opened_and_is_begun_again(shop: Copies) -> None:
    """Decision 19, fail closed: neither pages nor dispatcher nor `db upgrade` take half a store for a whole one."""
    consents(shop.house, AN)
    withdraws(shop.house, AN)
    file = shop.backs_up()
    shop.moves_to()
    for after in (1, 5, 8):
        assert killed(shop, after, "restore", str(file))
        for words in (
            ("serve", "--port", "1"),
            ("dispatch", "--once"),
            ("db", "upgrade"),
            ("verify",),
            ("backup", "x"),
        ):
            assert "a restore into this database was begun and not finished" in refused(shop, *words)
        settings = read_env_file(shop.file)
        bridge = Bridge.from_env(settings)
        with pytest.raises(OldSchema, match="begun and not finished"):
            bridge.ready()
        bridge.database.engine.dispose()
    assert not killed(shop, 0, "restore", str(file))
    new = shop.starts()
    assert new.verify().problems == ()
    assert not Reader(new, AN).may().may


def test_who_had_her_data_restricted_after_the_copy_is_not_mailed(shop: Copies) -> None:
    """RGT-05, promise 1: that she did is lost, so what is here is no yes any more; who lifted it since is as she was."""
    house = shop.house
    for email in (AN, BRAM, CARLA, EMMA):
        consents(house, email, "newsletter")
    restrict(house, CARLA)
    house.dispatch()
    old = shop.backs_up("old")
    house.clock.forward(minutes=5)
    restrict(house, AN)
    restrict(house, BRAM)
    house.clock.forward(minutes=5)
    restrict(house, BRAM, EventType.UNRESTRICTED)
    newest = shop.backs_up("newest")

    new, _ = shop.restores(old, keys_of(newest))

    assert [Reader(new, email).may().may for email in (AN, BRAM, CARLA, EMMA)] == [False, True, False, True]
    assert Reader(new, CARLA).status() is Status.GIVEN, "what was restricted before is so, and can be lifted"
    new.dispatch()
    assert new.esp.people[AN].on == set()


def restrict(house: House, email: str, kind: EventType = EventType.RESTRICTED) -> None:
    """She has her data restricted, or lifts it."""
    house.store.record([by_reader(house, person(house, email), kind, "")])


def test_an_address_that_was_left_after_the_copy_is_not_mailed(shop: Copies) -> None:
    """R13, promise 1: where she is now is lost, and what she said from there is kept under that address only; so what
    is here under her old one is no yes any more, until she gives another."""
    house, new_address = shop.house, "an.elders@lezer.example"
    for email in (AN, BRAM, CARLA, EMMA):
        consents(house, email, "newsletter", "offers")
    house.hear(msgspec.structs.replace(Reader(house, CARLA).told_by_esp(EventType.MOVED), to=DIRK))
    house.dispatch()
    old = shop.backs_up("old")
    house.clock.forward(minutes=5)
    house.hear(msgspec.structs.replace(Reader(house, AN).told_by_esp(EventType.MOVED), to=new_address))
    house.clock.forward(minutes=5)
    withdraws(house, new_address)
    withdraws(house, EMMA)
    house.clock.forward(minutes=5)
    house.hear(
        msgspec.structs.replace(Reader(house, EMMA).told_by_esp(EventType.MOVED), to="emma.elders@lezer.example")
    )
    newest = shop.backs_up("newest")

    new, _ = shop.restores(old, keys_of(newest))

    an = Reader(new, AN)
    assert (an.status(), an.status("offers")) == (Status.INVALIDATED, Status.INVALIDATED)
    assert Reader(new, EMMA).status() is Status.WITHDRAWN, "her own no stays hers"
    assert Reader(new, BRAM).may().may
    assert Reader(new, DIRK).status() is Status.GIVEN, "who had moved before is here as she was"
    new.esp.people[AN].on = {"newsletter", "offers"}
    new.dispatch()
    assert new.esp.people[AN].on == set()
    new.clock.forward(hours=1)
    consents(new, AN, "newsletter")
    assert an.may().may
    assert new.verify().problems == ()


# -- whatever happens --------------------------------------------------------------------------------------------

PEOPLE = ("an", "bram", "an.new")
ACTS = st.one_of(
    st.tuples(st.sampled_from(["asks", "yes", "no", "complains", "moves"]), st.sampled_from(PEOPLE)),
    st.tuples(st.just("days"), st.integers(1, 4)),
)


class Life:
    """Some readers, whatever they do."""

    def __init__(self, house: House) -> None:
        self.house = house

    def does(self, act: str, value: Any) -> None:
        """One thing happens."""
        self.house.clock.forward(seconds=61)
        if act == "days":
            self.house.clock.forward(days=value)
            self.house.store.forget_requests()
        else:
            getattr(self, act)(f"{value}@lezer.example")

    def asks(self, email: str) -> None:
        asks(self.house, email)

    def yes(self, email: str) -> None:
        asks(self.house, email)
        if self.house.store.person(email) is None:
            return
        self.house.clock.forward(seconds=61)
        try:
            self.house.bridge.acts.confirm(confirm_token(self.house, email))
        except Late:
            return

    def no(self, email: str) -> None:
        if self.house.store.person(email) is not None:
            withdraws(self.house, email)

    def complains(self, email: str) -> None:
        self.house.hear(Reader(self.house, email).told_by_esp(EventType.COMPLAINED))

    def moves(self, email: str) -> None:
        """To an address of hers that may be known, and from where she says no if she comes to it again."""
        told = Reader(self.house, email).told_by_esp(EventType.MOVED)
        self.house.hear(msgspec.structs.replace(told, to=email.replace("@", ".new@")))

    def may(self) -> dict[str, bool]:
        """Who may be mailed."""
        emails = [f"{name}{new}@lezer.example" for name in PEOPLE for new in ("", ".new")]
        return {email: self.house.store.may_mail(email, "newsletter").may for email in emails}

    def ids(self) -> set[str]:
        """Everybody who is here."""
        with self.house.bridge.database.reading() as db:
            return set(db.scalars(select(subjects.c.id)))


def copied(house: House, folder: Path, name: str) -> tuple[Path, Path]:
    """A backup while somebody is writing."""
    going, done = threading.Event(), threading.Event()

    def writes() -> None:
        number = 0
        while not done.is_set():
            again(lambda n=number: asks(house, f"druk{name}x{n}@lezer.example"))  # type: ignore[misc]  # mypy cannot infer a bound default
            number += 1
            going.set()

    thread = threading.Thread(target=writes)
    thread.start()
    assert going.wait(60)
    paths = folder / name, folder / f"{name}.keys"
    with paths[0].open("wb") as store, paths[1].open("wb") as keys:
        back_up(house.bridge.database, house.bridge.links.copy_key, (store, keys), house.clock(), lambda _d, _t: None)
    done.set()
    thread.join(60)
    return paths


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(ACTS, max_size=6), after=st.lists(ACTS, max_size=6), lost=st.lists(ACTS, max_size=3))
def test_whatever_happened_before_and_after_the_promises_hold(
    sqlite_template: Path,
    tmp_path: Path,
    make_house: Callable[..., House],
    before: list[tuple[str, Any]],
    after: list[tuple[str, Any]],
    lost: list[tuple[str, Any]],
) -> None:
    """SUP-04, SUP-06: acts, a copy under load, more acts, the newest keys, acts that are lost: then nobody is mailed
    who said no until the newest keys, or never said yes before the copy; who was erased is dark; the history is whole.
    """
    folder = tmp_path / new_id()
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "consent.db")
    house = make_house(f"sqlite:///{folder / 'consent.db'}", MEMORY_NAME=new_id())
    life = Life(house)
    for act in before:
        life.does(*act)
    then, there = life.may(), life.ids()
    file, _ = copied(house, folder, "old")
    for act in after:
        life.does(*act)
    until, left = life.may(), life.ids()
    _, keys = copied(house, folder, "newest")
    for act in lost:
        life.does(*act)
    house.dispatcher.pushes("memory")
    house.close()

    database, links = Database(f"sqlite:///{folder / 'restored.db'}"), house.bridge.links
    with file.open("rb") as store_in, keys.open("rb") as keys_in:
        restore(
            database,
            house.bridge.vault,
            open_pair(store_in, keys_in, links.copy_key),
            have={"vault": house.bridge.vault.kids},
            adapters=("memory",),
            now=house.clock(),
            progress=lambda _done, _total: None,
        )
    database.engine.dispose()
    new = make_house(f"sqlite:///{folder / 'restored.db'}", MEMORY_NAME=house.environment["MEMORY_NAME"])
    restored = Life(new)
    for email, may in restored.may().items():
        assert not may or (then[email] and until[email])
    assert there & left <= restored.ids()
    assert not (there - left) & restored.ids(), "who was erased is not here"
    assert new.verify().problems == ()
    new.dispatch()
    for email, may in restored.may().items():
        held = new.esp.people.get(email)
        if new.store.person(email) is not None and held is not None and held.on:
            assert may
    with new.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(pushes).where(pushes.c.stop)) == 0
    new.close()
