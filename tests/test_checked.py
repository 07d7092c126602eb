"""Pages that come up while the database is away look again and again; until they know what is there it stays shut."""

import threading

import pytest

from bridge.handlers.cold import Checked
from bridge.settings import BadSetting
from bridge.store import OldSchema, StoreAway
from tests.conftest import House, Reader


def test_while_it_is_looked_at_nobody_else_is_let_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 7, point 9: a schema that is none of this program's is not written to, not even between two looks."""
    an = Reader(house, "an@lezer.example").has_consented()
    database, told = house.bridge.database, list[str]()

    def meanwhile() -> None:
        try:
            told.append(str(house.store.person(an.email)))
        except StoreAway as error:
            told.append(str(error))

    def ready() -> None:
        other = threading.Thread(target=meanwhile)
        other.start()
        other.join()
        assert house.store.person(an.email), "whoever looks may"
        raise OldSchema("another")

    monkeypatch.setattr(house.bridge, "ready", ready)
    checked = Checked(house.bridge, "mend it")
    database.closed = "the store was away"
    for _ in range(2):
        checked.check()
    assert told == ["the store was away", "its schema is another one"]
    monkeypatch.undo()
    checked.check()
    assert database.closed == ""
    assert house.store.person(an.email)


def test_settings_that_are_wrong_open_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEY-03: a database that came back and names a key which is not here: a "no" under it would be overlooked."""
    checked = Checked(house.bridge, "mend it")
    house.bridge.database.closed = "the store was away"

    def ready() -> None:
        raise BadSetting("a key is missing")

    monkeypatch.setattr(house.bridge, "ready", ready)
    with pytest.raises(BadSetting):
        checked.check()
    assert house.bridge.database.closed
