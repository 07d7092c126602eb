"""A stop counts although the store is away: RFC 8058, GDPR 7(3). It is parked on disk and written before anything is sent."""

import errno
import os
import resource
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bridge.mailer import stop_token
from bridge.spool import Parked, ParkedNews, Spool
from bridge.store import StoreAway, StoreBroken
from bridge.tables import person_keys, pushes
from bridge.vocabulary import EventType, Method, Status
from tests.conftest import House, Reader
from tests.test_store import consents, no_room_in, person
from tests.weather import broken

NOON = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)


def stop(subject: str, purpose: str = "newsletter") -> Parked:
    """One stop that nobody could write."""
    return Parked(subject=subject, mark="0123456789", purpose=purpose, time=NOON, method=Method.ONE_CLICK)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "consent.db.stops")


def replayed(spool: Spool) -> list[Parked | ParkedNews]:
    """Everything that is parked, taken out."""
    found: list[Parked | ParkedNews] = []
    assert spool.replay(found.append) == len(found)
    return found


# -- the file ----------------------------------------------------------------------------------------------------


def test_what_is_parked_comes_back_once_in_order(spool: Spool) -> None:
    """Decision 21: every field comes back, to the microsecond; then the file is empty."""
    assert replayed(spool) == []
    parked = [stop("an"), stop("bram", ""), stop("an", "offers")]
    for one in parked:
        spool.park(one)
    assert replayed(spool) == parked
    assert replayed(spool) == []
    spool.park(stop("carla"))
    assert replayed(spool) == [stop("carla")]


def test_only_its_owner_can_read_it(spool: Spool) -> None:
    """Decision 21, MIN-03: it holds opaque ids and a time, and is private all the same."""
    spool.park(stop("an"))
    assert spool.path.stat().st_mode & 0o777 == 0o600
    assert b"@" not in spool.path.read_bytes()


@pytest.mark.parametrize("torn", [b'{"subject":"to', b"\x00\x00\x00", b'{"subject":"torn"}', b"\xff\xfe"])
def test_half_a_line_takes_nobody_with_it(spool: Spool, torn: bytes) -> None:
    """Decision 21: killed while parking, nobody was told it was done; the stops before and after it were."""
    spool.park(stop("before"))
    with spool.path.open("ab") as file:
        file.write(torn)
    spool.park(stop("after"))
    assert replayed(spool) == [stop("before"), stop("after")]


@pytest.mark.parametrize("line", [b'{"subject":"an","mark":"of another version"}', b"\xff\xfe", b'["an"]'])
def test_a_line_that_cannot_be_read_is_put_aside_and_named(
    spool: Spool, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Decision 21, WDR-10: whatever it says, it may be a "no" that was answered: a person looks at it; MIN-03."""
    spool.park(stop("before"))
    with spool.path.open("ab") as file:
        file.write(line + b"\n")
    spool.park(stop("after"))
    assert replayed(spool) == [stop("before"), stop("after")]
    assert spool.aside.read_bytes() == line + b"\n"
    (said,) = caplog.messages
    assert said.startswith("1 line of consent.db.stops ")
    assert "another version" not in said
    assert replayed(spool) == []
    assert len(caplog.messages) == 1, "it is named once"


def test_the_name_of_the_file_is_on_disk_before_any_stop_is_answered(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WDR-10: killed between the first stop and the sync of the folder, a new process may not trust the file's name."""
    sync, synced = os.fsync, []

    def dies_at_the_folder(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "the process ends here")
        sync(file)

    monkeypatch.setattr(os, "fsync", dies_at_the_folder)
    with pytest.raises(OSError):
        spool.park(stop("first"))
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(stat.S_ISDIR(os.fstat(file).st_mode)), sync(file)))
    Spool(spool.path).park(stop("second"))
    assert synced == [False, True], "first the line, then its file's name"
    assert replayed(spool) == [stop("first"), stop("second")]


def test_a_replay_that_fails_keeps_every_stop(spool: Spool) -> None:
    """Decision 21: the file is emptied only when all are written; then they are told again, which is harmless."""
    for name in ("an", "bram"):
        spool.park(stop(name))
    seen: list[str] = []

    def away(one: Parked | ParkedNews) -> None:
        seen.append(one.subject)
        if one.subject == "bram":
            raise StoreAway("still away")

    with pytest.raises(StoreAway):
        spool.replay(away)
    assert seen == ["an", "bram"]
    assert replayed(spool) == [stop("an"), stop("bram")]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """WDR-10: what could not be kept must not be called done: then the answer is 503."""
    with pytest.raises(OSError):
        Spool(tmp_path / "nowhere" / "stops").park(stop("an"))
    (tmp_path / "stops").mkdir()
    with pytest.raises(OSError):
        Spool(tmp_path / "stops").park(stop("an"))


def test_a_full_disk_is_an_error_and_leaves_no_half_line(spool: Spool) -> None:
    """WDR-10: a stop that fits only by half is not kept by half, and not called done."""
    spool.park(stop("before"))
    size = spool.path.stat().st_size
    with files_no_longer_than(size + 10), pytest.raises(OSError):
        spool.park(stop("too-much"))
    assert spool.path.stat().st_size == size
    spool.park(stop("after"))
    assert replayed(spool) == [stop("before"), stop("after")]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """A disk that is full: the system itself cuts the write."""
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN, "python asks for an error instead of a signal"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- in the house ------------------------------------------------------------------------------------------------


@contextmanager
def away(house: House) -> Iterator[None]:
    """Another program holds the database for longer than anyone waits."""
    other = sqlite3.connect(house.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def unsubscribe(house: House, email: str) -> str:
    """The path behind her mail program's button."""
    who = person(house, email)
    return "/u/" + stop_token(house.bridge.links, who.id, who.mark, house.clock(), ["newsletter"])


def test_a_parked_stop_is_written_before_anything_is_sent(home: House, reader: Reader) -> None:
    """Decision 21, WDR-04: the push that was due at that moment tells the ESP of the stop, not of the yes before it."""
    consents(home, reader.email)
    path = unsubscribe(home, reader.email)
    clicked = home.clock.forward(minutes=1)
    with away(home):
        answer = home.client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert reader.status() is Status.GIVEN
    assert home.bridge.spool.path.stat().st_size > 0

    home.clock.forward(hours=3)
    home.dispatch()
    assert not reader.is_on()
    event = reader.story()[-1]
    assert (event.type, event.time, event.method) == (EventType.WITHDRAWN, clicked, Method.ONE_CLICK)
    assert home.bridge.spool.path.stat().st_size == 0
    (goodbye,) = home.mailbox.to(reader.email)  # WDR-12; neither welcome nor confirmation is true any more
    assert "/confirm/" not in str(goodbye)
    assert home.verify().problems == ()


def test_a_stop_that_is_replayed_twice_is_one_event(home: House, reader: Reader) -> None:
    """WDR-10: killed between writing and emptying the file, the same stop is told again and is no second event."""
    consents(home, reader.email)
    home.clock.forward(minutes=1)
    path = unsubscribe(home, reader.email)
    with away(home):
        for _ in range(2):
            home.client.post(path, data={"List-Unsubscribe": "One-Click"})
    kept = home.bridge.spool.path.read_bytes()
    for _ in range(2):
        home.bridge.spool.path.write_bytes(kept)
        assert home.bridge.acts.parking.replay() == 2
    assert [event.type for event in reader.story()] == [EventType.REQUESTED, EventType.GIVEN, EventType.WITHDRAWN]
    assert home.verify().problems == ()


def test_nothing_is_sent_while_parked_stops_cannot_be_written(home: House, reader: Reader) -> None:
    """WDR-04: as long as a stop waits on disk, no mail and no news leaves."""
    consents(home, reader.email)
    home.clock.forward(minutes=1)
    path = unsubscribe(home, reader.email)
    with no_room_in(home, "pushes"):
        assert home.client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        with pytest.raises(StoreAway):
            home.dispatch()
        assert home.esp.calls == []
        assert home.mailbox.messages == []
    home.dispatch()
    assert not reader.is_on()
    with home.bridge.database.reading() as db:
        assert list(db.scalars(select(pushes.c.due))) == [None]


def test_a_stop_that_a_broken_database_refuses_is_kept_until_it_is_mended(
    house: House, an: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """WDR-04, WDR-10: a missing table is no weather that passes, and is named in the log; but a "no" is a "no"."""
    an.has_consented()
    path = unsubscribe(house, an.email)
    clicked, told = house.clock.forward(minutes=1), len(house.esp.calls)
    with broken(house):
        assert house.client.get(path).status_code == 200
        assert house.client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert "StoreBroken" in caplog.text
        with pytest.raises(StoreBroken):
            house.dispatch()
    assert len(house.esp.calls) == told, "nothing is sent while a stop waits"
    house.clock.forward(hours=3)
    house.dispatch()
    assert not an.is_on()
    assert (an.story()[-1].type, an.story()[-1].time) == (EventType.WITHDRAWN, clicked)


def test_a_stop_that_alone_cannot_be_written_keeps_nobody_elses_waiting(spool: Spool) -> None:
    """Decision 21: the others are written; nothing is sent, and the file is kept, until the fault is mended."""
    for name in ("an", "bram"):
        spool.park(stop(name))
    written: list[str] = []

    def refuses_an(one: Parked) -> StoreBroken | None:
        if one.subject == "an":
            return StoreBroken("a mistake of ours")
        written.append(one.subject)
        return None

    with pytest.raises(StoreBroken):
        spool.replay(refuses_an)
    assert written == ["bram"]
    assert replayed(spool) == [stop("an"), stop("bram")]


def test_a_stop_of_somebody_forgotten_meanwhile_holds_nothing_up(home: House, reader: Reader) -> None:
    """WDR-10: she is no longer here, so there is nothing to stop; the next reader's stop is written all the same."""
    gone = Parked(subject="nobody-here", mark="0123456789", purpose="", time=home.clock(), method=Method.ONE_CLICK)
    home.bridge.spool.park(gone)
    who = consents(home, reader.email)
    home.clock.forward(minutes=1)
    hers = Parked(subject=who.id, mark=who.mark, purpose="", time=home.clock(), method=Method.UNSUBSCRIBE_PAGE)
    home.bridge.spool.park(hers)
    assert home.bridge.acts.parking.replay() == 2
    assert reader.status() is Status.WITHDRAWN


def test_a_yes_that_she_gave_after_the_parked_stop_stands(home: House, reader: Reader) -> None:
    """R2: the stop is written with the moment of the click, so her newer answer to a newer question still counts."""
    who = consents(home, reader.email)
    clicked = home.clock.forward(minutes=1)
    home.bridge.spool.park(
        Parked(subject=who.id, mark=who.mark, purpose="newsletter", time=clicked, method=Method.ONE_CLICK)
    )
    home.clock.forward(hours=25)
    consents(home, reader.email)
    home.dispatch()
    assert reader.status() is Status.GIVEN
    assert reader.is_on()


def test_neither_store_nor_spool_is_told_to_come_back(home: House, reader: Reader) -> None:
    """WDR-10, decision 21: if parking fails too the answer is 503 with `Retry-After`, never "done"."""
    consents(home, reader.email)
    path = unsubscribe(home, reader.email)
    home.bridge.spool.path.mkdir()
    with away(home):
        answer = home.client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    home.bridge.spool.path.rmdir()
    assert home.client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert reader.status() is Status.WITHDRAWN


def test_one_who_cannot_be_read_keeps_nobody_elses_stop_waiting(house: House, an: Reader, dirk: Reader) -> None:
    """Decision 21, WDR-11: a damaged row stops neither An's "no" nor the dispatcher; the stop itself is kept."""
    people = []
    for reader in (dirk, an):
        reader.has_consented()
        people.append(person(house, reader.email))
    with house.bridge.database.writing() as db:
        db.execute(update(person_keys).where(person_keys.c.subject == people[0].number).values(wrapped=b"x" * 60))
    for one in people:
        house.bridge.spool.park(
            Parked(subject=one.id, mark=one.mark, purpose="", time=house.clock(), method=Method.ONE_CLICK)
        )
    house.clock.forward(minutes=5)
    house.dispatch()
    assert not an.is_on()
    assert [kept.subject for kept in replayed(Spool(house.bridge.spool.aside))] == [people[0].id]
    assert replayed(house.bridge.spool) == []


def test_pages_without_a_dispatcher_write_their_own_parked_stops(
    home: House, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 21, WDR-11: the file lies beside the pages; a dispatcher on another machine never sees it."""
    consents(home, reader.email)
    path = unsubscribe(home, reader.email)
    with away(home):
        assert home.client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    written, replay = threading.Event(), home.bridge.spool.replay

    def told(write: Callable[[Parked | ParkedNews], object]) -> int:
        found = replay(write)
        if found:
            written.set()
        return found

    monkeypatch.setattr(home.bridge.spool, "replay", told)
    home.dispatcher.start_replay()
    assert written.wait(30)
    home.dispatcher.stop()
    assert reader.status() is Status.WITHDRAWN
