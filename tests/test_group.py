"""Bursts of readers: writers that wait together are written together, each still by itself. Decision 22, WDR-04."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.store import StoreAway, StoreBroken
from bridge.store.engine import Database
from bridge.store.names import Names
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import EventType, Status
from tests.conftest import House
from tests.test_store import by_reader, consents, person

_NOTE = Sql("INSERT INTO keys_used (ring, kid) VALUES ('test', ?)")
_NOTED = Sql("SELECT kid FROM keys_used WHERE ring = 'test'")


def noted(database: Database) -> set[str]:
    with database.looking() as db:
        return {row[0] for row in _NOTED.rows(db)}


def note(kid: str) -> Callable[[Hand], str]:
    def work(hand: Hand) -> str:
        _NOTE.run(hand, (kid,))
        return kid

    return work


class Crowd:
    """Writers in threads, and how each fared. The first holds the transaction open until all others wait."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.fared: dict[str, Any] = {}
        self._inside, self._go_on = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def comes(self, name: str, work: Callable[[Hand], Any]) -> None:
        def write() -> None:
            try:
                self.fared[name] = self.database.write(work)
            except BaseException as error:
                self.fared[name] = error

        thread = threading.Thread(target=write)
        thread.start()
        self._threads.append(thread)

    def first(self, work: Callable[[Hand], Any]) -> None:
        """Somebody is writing and does not finish yet."""

        def slowly(hand: Hand) -> Any:
            self._inside.set()
            assert self._go_on.wait(30)
            return work(hand)

        self.comes("first", slowly)
        assert self._inside.wait(30)

    def all_wait(self, count: int) -> None:
        """So many wait in the queue now."""
        group = self.database._group
        until = threading.Event()
        while len(group._waiting) < count:
            until.wait(0.001)

    def goes_on(self) -> None:
        self._go_on.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "somebody waits for ever"


@contextmanager
def commits(database: Database) -> Iterator[list[str]]:
    """The commits that happen meanwhile, as SQLite saw them."""
    from sqlalchemy import event

    seen: list[str] = []

    def lent(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_trace_callback(lambda said: seen.append(said) if said == "COMMIT" else None)

    event.listen(database.engine, "checkout", lent)
    yield seen
    event.remove(database.engine, "checkout", lent)


def test_who_waits_together_is_written_together(home: House) -> None:
    """Decision 22: twenty clicks that wait are one transaction, so one sync of the disk; each is answered after it."""
    database = home.bridge.database
    crowd = Crowd(database)
    crowd.first(note("first"))
    with commits(database) as seen:
        for number in range(20):
            crowd.comes(str(number), note(str(number)))
        crowd.all_wait(20)
        crowd.goes_on()
        assert len(seen) == 1
    assert crowd.fared == {"first": "first"} | {str(number): str(number) for number in range(20)}
    assert noted(database) == set(crowd.fared)


def test_what_fails_fails_alone(home: House) -> None:
    """Decision 22: a piece that breaks is undone by itself and told to its own writer; the others are written."""
    database = home.bridge.database

    def breaks(hand: Hand) -> None:
        _NOTE.run(hand, ("half",))
        raise RuntimeError("of its own making")

    def asks_wrongly(hand: Hand) -> None:
        _NOTE.run(hand, ("other half",))
        _NOTE.run(hand, ("a",))  # is there already

    crowd = Crowd(database)
    crowd.first(note("first"))
    crowd.comes("a", note("a"))
    crowd.all_wait(1)
    crowd.comes("breaks", breaks)
    crowd.all_wait(2)
    crowd.comes("asks wrongly", asks_wrongly)
    crowd.all_wait(3)
    crowd.comes("b", note("b"))
    crowd.all_wait(4)
    crowd.goes_on()
    assert noted(database) == {"first", "a", "b"}
    assert isinstance(crowd.fared["breaks"], RuntimeError)
    assert type(crowd.fared["asks wrongly"]).__name__ == "StoreBroken"
    assert database.write(note("after")) == "after"


def test_a_transaction_that_ends_by_itself_is_told_to_all(home: House) -> None:
    """WDR-04, WDR-10: a full disk may take the whole transaction: nobody is told that she was heard when she was not."""
    database = home.bridge.database

    def loses_all(hand: Hand) -> None:
        hand.cursor.execute("ROLLBACK")  # as SQLite does by itself on a full disk or a broken file
        raise RuntimeError

    crowd = Crowd(database)
    crowd.first(note("first"))
    for name, work in (("a", note("a")), ("loses all", loses_all), ("b", note("b"))):
        crowd.comes(name, work)
        crowd.all_wait(len(crowd._threads) - 1)
    crowd.goes_on()
    assert isinstance(crowd.fared["a"], StoreAway)
    assert isinstance(crowd.fared["loses all"], RuntimeError)
    assert crowd.fared["first"] == "first", "that was a transaction of its own"
    assert noted(database) == {name for name, fared in crowd.fared.items() if fared == name}, "who was told, is there"
    assert database.write(note("after")) == "after"


def test_a_commit_that_fails_is_told_to_all(home: House) -> None:
    """WDR-04: everybody's answer waits for the commit; when it fails nobody's stop was taken."""
    database = home.bridge.database
    crowd = Crowd(database)

    def breaks_the_commit(hand: Hand) -> None:
        hand.cursor.execute("PRAGMA defer_foreign_keys = ON")
        hand.cursor.execute("CREATE TABLE IF NOT EXISTS parent (id INTEGER PRIMARY KEY)")
        hand.cursor.execute("CREATE TABLE IF NOT EXISTS child (of INTEGER REFERENCES parent (id))")
        hand.cursor.execute("INSERT INTO child VALUES (1)")

    crowd.first(note("first"))
    crowd.comes("a", note("a"))
    crowd.all_wait(1)
    crowd.comes("breaks", breaks_the_commit)
    crowd.all_wait(2)
    crowd.goes_on()
    assert noted(database) == {"first"}, "that was a transaction of its own"
    assert all(isinstance(crowd.fared[name], Exception) for name in ("a", "breaks"))
    assert database.write(note("after")) == "after"


def test_a_commit_that_is_refused_is_told_to_a_lone_writer_as_what_it_is(home: House) -> None:
    """Decision 22: nobody else can be at fault, so it is no weather that passes: trying again would never end."""
    database = home.bridge.database

    def breaks_the_commit(hand: Hand) -> None:
        hand.cursor.execute("PRAGMA defer_foreign_keys = ON")
        hand.cursor.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        hand.cursor.execute("CREATE TABLE child (of INTEGER REFERENCES parent (id))")
        hand.cursor.execute("INSERT INTO child VALUES (1)")

    with pytest.raises(StoreBroken):
        database.write(breaks_the_commit)
    assert database.write(note("after")) == "after"
    assert noted(database) == {"after"}


def test_who_waits_too_long_leaves_and_is_not_written(home: House) -> None:
    """Decision 21, 22: after its patience a stop is told `away` (and is parked), and is not written behind its back."""
    database = Database(str(home.bridge.database.engine.url), busy_seconds=0.05)
    crowd = Crowd(database)
    crowd.first(note("first"))
    with pytest.raises(StoreAway):
        database.write(note("impatient"))
    crowd.goes_on()
    assert crowd.fared == {"first": "first"}
    assert noted(database) == {"first"}
    assert database.write(note("after")) == "after"
    database.engine.dispose()


@given(st.lists(st.sampled_from(["writes", "breaks", "refused"]), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_everyone_is_told_what_became_of_hers(any_database: Database, kinds: list[str]) -> None:
    """Decision 22: in any mixture of good and bad pieces, exactly those who were answered `done` are there."""
    any_database.write(lambda hand: hand.cursor.execute("DELETE FROM keys_used WHERE ring = 'test'") and None)

    def breaks(hand: Hand, kid: str) -> str:
        _NOTE.run(hand, (kid,))
        raise ValueError(kid)

    crowd = Crowd(any_database)
    for number, kind in enumerate(kinds):
        kid = f"{number}"
        work = {
            "writes": note(kid),
            "breaks": lambda hand, kid=kid: breaks(hand, kid),
            "refused": lambda hand: _NOTE.run(hand, (None,)),
        }[kind]
        crowd.comes(kid, work)
    crowd.goes_on()
    done = {kid for kid, fared in crowd.fared.items() if fared == kid}
    assert done == {str(number) for number, kind in enumerate(kinds) if kind == "writes"}
    assert noted(any_database) == done


@pytest.fixture(scope="module")
def any_database(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for many small tries."""
    path = tmp_path_factory.mktemp("group") / "consent.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    yield database
    database.engine.dispose()


def test_lists_of_every_length_find_what_they_name_and_few_texts_are_kept(house: House) -> None:
    """Decision 22: a statement is written once; a process that lives for months does not keep one for each length."""
    database = house.bridge.database
    named = Sql("SELECT kid FROM keys_used WHERE ring = 'test' AND kid IN ({})")
    gone = Sql("DELETE FROM keys_used WHERE ring = ? AND kid IN ({})")
    database.write(lambda hand: _NOTE.many(hand, [(str(number),) for number in range(200)]))
    for length in (*range(70), 199, 200, 4096, 4097, 9000):
        wanted = [str(number) for number in range(length)]
        with database.looking() as db:
            found = [row[0] for row in named.rows(db, wanted, length)]
        assert sorted(found) == sorted(wanted[:200]), f"{length} asked for"
    assert len(named._listed) <= 15
    assert database.write(lambda hand: gone.run(hand, ["test", "1", "2", "3"], 3)) == 3


def test_a_word_that_was_rolled_back_is_not_remembered(house: House) -> None:
    """CAP-06: the number of a new purpose or channel counts only once it is committed; else events would name nothing."""
    names = house.store.rows.names

    def fails(hand: Hand) -> None:
        assert names.numbers(hand, {"a-new-channel"})["a-new-channel"] > 0
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.bridge.database.write(fails)
    assert names.number("a-new-channel") == 0
    number = house.bridge.database.write(lambda hand: names.numbers(hand, {"a-new-channel"})["a-new-channel"])
    assert names.number("a-new-channel") == number


def test_whoever_meets_a_new_word_needs_no_second_connection(house: House) -> None:
    """WDR-04: of many writers each would hold one and wait for another: a stop would wait until none has patience."""
    from sqlalchemy import event

    engine, lent, most = house.bridge.database.engine, 0, 0

    def out(*_: Any) -> None:
        nonlocal lent, most
        lent += 1
        most = max(most, lent)

    def back(*_: Any) -> None:
        nonlocal lent
        lent -= 1

    event.listen(engine, "checkout", out)
    event.listen(engine, "checkin", back)
    consents(house, "an@lezer.example", "newsletter", "offers")
    house.dispatch()
    assert (most, lent) == (1, 0)
    fresh = Names(house.bridge.database)  # as in a process that has just begun
    number = house.bridge.database.write(lambda hand: fresh.numbers(hand, {"a-new-channel"}))["a-new-channel"]
    for view in (house.bridge.database.reading, house.bridge.database.writing):
        with view() as db:
            assert house.store.rows.names.text(db, number) == "a-new-channel"
    assert (most, lent) == (1, 0)


def test_a_word_written_in_this_transaction_is_read_in_it(house: House) -> None:
    """Decision 22: of pieces in one transaction, the later one reads what the earlier one wrote."""
    names = house.store.rows.names

    def writes_and_reads(hand: Hand) -> str:
        number = names.numbers(hand, {"fresh"})["fresh"]
        return names.text(hand, number)

    assert house.bridge.database.write(writes_and_reads) == "fresh"


def test_two_clicks_of_one_reader_in_one_transaction_are_two_in_a_row(home: House) -> None:
    """CAP-06, WDR-10: the second click sees the first one's event, though it is not committed yet: one chain, one stop."""
    consents(home, "an@lezer.example", "newsletter", "offers")
    she = person(home, "an@lezer.example")
    store, crowd = home.store, Crowd(home.bridge.database)
    crowd.first(note("first"))

    def clicks(purpose: str) -> None:
        event = by_reader(home, she, EventType.WITHDRAWN, purpose)
        thread = threading.Thread(target=lambda: store.record([event]))
        thread.start()
        crowd._threads.append(thread)
        crowd.all_wait(len(crowd._threads) - 1)

    for purpose in ("newsletter", "newsletter", "offers"):
        clicks(purpose)
    crowd.goes_on()
    for purpose in ("newsletter", "offers"):
        assert store.may_mail(she.email, purpose).status is Status.WITHDRAWN
    told = [event.type for event in store.story(she)]
    assert told.count(EventType.WITHDRAWN) == 2
    assert home.verify().problems == ()
