"""A release that changes the database is taken into use while the one before it still runs (issue 7, point 9).

A schema whose name says so (`0031_from_0029`) was made by additions only, and this program goes on with it; any other
it does not know is refused. The migration that is to come is played here: a table more, and in every table a column.
"""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import text

from bridge.store import OldSchema, revision, schema
from bridge.tables import metadata
from tests.conftest import House, Reader
from tests.test_webhooks import news, posts

MakeHouse = Callable[..., House]

NEXT, LATER = f"9998_from_{revision.head()[:4]}", "9999_from_0009"


def to_come(house: House, name: str) -> None:
    """What the next version's `db upgrade` does: it adds, and says since when programs run on it."""
    with house.bridge.database.writing() as db:
        for table in metadata.sorted_tables:
            db.execute(text(f"ALTER TABLE {table.name} ADD COLUMN to_come INTEGER"))
        db.execute(text("CREATE TABLE yet_to_come (id INTEGER PRIMARY KEY)"))
        db.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})


@pytest.mark.parametrize("name", [NEXT, LATER])
def test_pages_and_dispatcher_go_on_while_the_next_version_is_put_in_place(
    house: House, make_house: MakeHouse, name: str
) -> None:
    """Sign up, confirm, choose, a webhook, stop, erase: by a process from before and by one that starts now."""
    before = Reader(house, "an@lezer.example")
    before.signs_up()
    to_come(house, name)
    after = make_house(house.environment["BRIDGE_DATABASE_URL"])
    for place, reader in ((house, before), (after, Reader(after, "bram@lezer.example"))):
        if place is after:
            reader.signs_up("newsletter", "offers")
        reader.has_consented() if place is house else reader.confirms()
        place.dispatch()
        assert place.client.get("/readyz").status_code == 200
        assert reader.may().may
        assert reader.is_on()
        reader.saves(reader.asks_for_a_link(), "newsletter", "offers")
        assert reader.may("offers").may
    assert posts(after, news(reader, "complained")).status_code == 204
    assert not reader.may().may
    assert house.client.post(before.link("/u/"), data={"scope": "all"}).status_code == 200
    house.dispatch()
    assert not before.may().may
    assert not before.is_on()
    assert house.verify().problems == ()
    after.store.erase_person("bram@lezer.example")
    assert after.store.person("bram@lezer.example") is None
    assert after.verify().problems == ()


@pytest.mark.parametrize("name", [NEXT, "9998", "9999_from_9998", "later"])
def test_what_it_may_not_go_on_with_is_refused_in_words(home: House, make_house: MakeHouse, name: str) -> None:
    """A change that is no addition stops pages and start; a copy and a rotation want the very schema in any case."""
    url = home.environment["BRIDGE_DATABASE_URL"]
    with home.bridge.database.writing() as db:
        db.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})
    with pytest.raises(OldSchema, match=f"the database has schema {re.escape(name)}.*install that version"):
        schema.check(home.bridge.database)
    with pytest.raises(OldSchema):
        schema.upgrade(home.bridge.database)
    if name == NEXT:
        make_house(url)
        return
    assert home.client.get("/readyz").status_code == 503
    with pytest.raises(OldSchema, match="made by a newer version"):
        make_house(url)


@pytest.mark.parametrize(
    ("found", "may"),
    [
        *[(None, False), ("", False), (revision.head(), False), ("9999_from_9998", False)],
        *[(NEXT, True), (LATER, True), (f"x{NEXT}", False), (f"{NEXT}x", False)],
    ],
)
def test_the_name_says_it(found: str | None, may: bool) -> None:
    """Only one that is not ours, made for us or for older ones."""
    assert revision.fits(found) is may


def test_what_programs_run_on_a_schema_never_reaches_back_over_a_change() -> None:
    """The rule for migrations: an id `NEW_from_OLD` promises that every step since OLD only added."""
    steps = [str(script.revision) for script in reversed(list(schema._scripts().walk_revisions()))]
    since = [[step[:4] for step in steps].index(step.partition("_from_")[2] or step[:4]) for step in steps]
    assert since == sorted(since), "one promises more than the one before it allows"
