"""No checkpoint beside a commit: SQLite before 3.51.3 may lose what was committed then (the WAL-reset bug; promise 2)."""

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from bridge.jobs.doctor import house as house_checks
from bridge.store import engine
from bridge.store.engine import Database
from bridge.store.errors import StoreAway
from bridge.store.turns import Turns
from tests.conftest import House, Reader, unsynced

HOLDER = """
import sys
from bridge.store.turns import Turns
turns = Turns(sys.argv[1], 5.0)
with turns.{how}():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is."""
    return str(tmp_path / "consent.db")


def other(path: str, how: str) -> "subprocess.Popen[str]":
    """Another process in its turn, until it is told to end."""
    command = [sys.executable, "-c", HOLDER.format(how=how), path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nobody_clears_the_log_while_another_process_writes(path: str) -> None:
    """It is left for the next time; afterwards it can be done."""
    turns = Turns(path, 1.0)
    with other(path, "writing") as process:
        with turns.clearing() as alone:
            assert not alone
        with turns.writing():
            pass  # writers do not keep each other out here: SQLite itself does
        process.communicate()
    with turns.clearing() as alone:
        assert alone


def test_nobody_writes_while_another_process_clears_the_log(path: str) -> None:
    """Who cannot wait any longer is told that the store is away: a stop is parked then (decision 21)."""
    turns = Turns(path, 0.05)
    with other(path, "clearing") as process:
        with pytest.raises(StoreAway), turns.writing():
            raise AssertionError("it wrote")
        process.communicate()
    with turns.writing():
        pass


def test_a_process_that_dies_in_its_turn_holds_nobody_up(path: str) -> None:
    """kill -9 lets go of everything."""
    with other(path, "clearing") as process:
        process.kill()
        process.wait()
    with Turns(path, 1.0).writing():
        pass


def test_a_child_has_turns_of_its_own(path: str) -> None:
    """A fork shares open files, and with them locks: the child opens the file anew."""
    turns = Turns(path, 1.0)
    with turns.writing():
        child = os.fork()
        if not child:
            code = 1
            with Turns._held(turns, 2, 0.0) as alone:  # LOCK_EX
                code = int(alone)
            os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == 0, "the child cleared the log while its parent wrote"


def test_threads_take_turns_too(path: str) -> None:
    """One at a time in one process, whatever they do."""
    turns = Turns(path, 0.05)
    refused = []

    def writes() -> None:
        try:
            with turns.writing():
                pass
        except StoreAway:
            refused.append(True)

    with turns.clearing():
        thread = threading.Thread(target=writes)
        thread.start()
        thread.join()
    assert refused == [True]


def test_sqlite_never_clears_its_log_by_itself(home: House) -> None:
    """The one who does it is `Database`, between two writers; the log does not grow without end."""
    for number in range(60):
        Reader(home, f"lezer{number}@lezer.example").has_consented("newsletter")
    with home.bridge.database.looking() as db:
        db.cursor.execute("PRAGMA wal_autocheckpoint")
        assert db.cursor.fetchone() == (0,)
    log = Path(f"{home.bridge.database.engine.url.database}-wal")
    assert log.stat().st_size < 40 * 1024 * 1024
    assert home.bridge.database._changed < 10_000


def test_what_was_answered_is_on_the_disk(path: str) -> None:
    """Decision 22: no power cut takes a yes or no back. All other tests have it switched off."""
    event.remove(Pool, "checkout", unsynced)
    try:
        with Database(f"sqlite:///{path}").looking() as db:
            assert db.cursor.execute("PRAGMA synchronous").fetchone() == (2,)
            assert db.cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        event.listen(Pool, "checkout", unsynced)


def test_what_was_committed_is_there_though_the_log_is_cleared_all_the_time(tmp_path: Path) -> None:
    """Several processes write and clear, again and again: no row is missing."""
    path = tmp_path / "consent.db"
    made = sqlite3.connect(path)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("CREATE TABLE t (who INTEGER, n INTEGER)")
    made.commit()
    made.close()
    program = (
        "import sys\n"
        "from bridge.store.engine import Database\n"
        "database = Database('sqlite:///' + sys.argv[1], 30.0)\n"
        "for n in range(150):\n"
        "    with database.writing() as db:\n"
        "        db.exec_driver_sql('INSERT INTO t VALUES (?, ?)', (int(sys.argv[2]), n))\n"
        "    database.forget_log()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path), str(who)]) for who in range(3)]
    assert [child.wait(100) for child in children] == [0, 0, 0]
    database = Database(f"sqlite:///{path}")
    with database.reading() as db:
        assert db.exec_driver_sql("SELECT who, count(*) FROM t GROUP BY who").all() == [(0, 150), (1, 150), (2, 150)]
    database.engine.dispose()


@pytest.mark.parametrize(
    ("version", "hint"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((4, 0, 0), False)]
)
def test_doctor_names_an_sqlite_with_the_bug(version: tuple[int, ...], *, hint: bool) -> None:
    """Nothing to fix, and worth knowing."""
    found = house_checks._sqlite(version)
    assert found.ok
    assert bool(found.fix) is hint


def test_whoever_may_open_the_database_may_take_a_turn(tmp_path: Path) -> None:
    """The lock has the database's mode, as SQLite's own log has; one name for one file, whatever path leads to it."""
    path, link = tmp_path / "consent.db", tmp_path / "link.db"
    path.touch()
    path.chmod(0o660)
    link.symlink_to(path)
    first, second = Turns(str(path), 0.05), Turns(str(link), 0.05)
    with first.clearing() as alone:
        assert alone
        with pytest.raises(StoreAway), second.writing():
            raise AssertionError("it wrote")
    assert (tmp_path / "consent.db.lock").stat().st_mode & 0o777 == 0o660
    assert not (tmp_path / "link.db.lock").exists()


def test_its_file_is_closed_with_it(path: str) -> None:
    """A program that opens many databases, one after the other, runs out of nothing."""
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(20):
        with Turns(path, 1.0).writing():
            pass
    gc.collect()
    assert len(list(Path("/dev/fd").iterdir())) <= before + 1


def test_bulk_work_lets_whoever_waits_go_first(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 16: before each of its chunks a list gives way to every click that waits, in any process."""
    monkeypatch.setattr(engine, "_GIVES_WAY", 60.0)
    database = Database(sqlite_url)
    others = Turns(sqlite_url.removeprefix("sqlite:///"), 60.0)
    done: list[str] = []

    def bulk() -> None:
        database.give_way()
        done.append("bulk")

    with others.writing():
        waits = threading.Thread(target=bulk)
        waits.start()
        waits.join(0.2)
        done.append("click")
    waits.join(60.0)
    assert done == ["click", "bulk"]
    database.engine.dispose()
