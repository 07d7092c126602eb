"""Keys change, and nobody loses her way out: GDPR 32, NIST SP 800-57. Old keys verify as long as rows or mails name them."""

import shutil
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from bridge.bootstrap import Bridge
from bridge.links import BadLink
from bridge.mailer import stop_token
from bridge.settings import BadSetting
from bridge.tables import events, keys_used, person_keys, stop_list, subjects
from bridge.vault import new_key
from bridge.vocabulary import EventType, Method, Status
from tests.conftest import House, Reader
from tests.test_store import asks, confirm_token, consents, person, withdraws

AN, BRAM = "an.vandenberg@lezer.example", "bram@lezer.example"

MakeHouse = Callable[..., House]


@pytest.fixture
def later(make_house: MakeHouse, database_url: str, environment: dict[str, str]) -> Callable[..., House]:
    """The same house after a restart with other keys: `later(BRIDGE_VAULT_KEYS=...)`."""
    return lambda **settings: make_house(database_url, **settings)


def in_front(house: House, setting: str, kid: str) -> dict[str, str]:
    """The setting with a fresh key put in front of what is there."""
    return {setting: f"{new_key(kid)},{house.environment[setting]}"}


def without(house: House, setting: str, kid: str) -> dict[str, str]:
    """The setting without one key."""
    return {setting: ",".join(key for key in house.environment[setting].split(",") if not key.startswith(f"{kid}:"))}


# -- the vault's roots -------------------------------------------------------------------------------------------


def test_a_person_made_under_an_old_root_is_found_under_a_new_one(house: House, later: Callable[..., House]) -> None:
    """KEY-03: look-ups go by all roots; a hit is rewritten under the newest; seals, stops and reports stay readable."""
    who = consents(house, AN, "newsletter", "offers")
    consents(house, BRAM)
    withdraws(house, BRAM)
    news = Reader(house, AN).told_by_esp(EventType.UNSUBSCRIBED, "offers", key="evt-1")
    house.hear(news)
    house.hear(Reader(house, "carla@lezer.example").told_by_esp(EventType.COMPLAINED))

    new = later(**in_front(house, "BRIDGE_VAULT_KEYS", "vault2"))
    an = Reader(new, AN)
    assert person(new, AN).id == who.id
    assert an.may().may
    assert new.hear(news) == 0, "news heard under the old root is not heard again"
    assert not new.store.may_mail(BRAM, "newsletter").may
    assert new.store.may_mail("carla@lezer.example", "newsletter").status is Status.OBJECTED
    assert [event.type for event in an.story()] == [EventType.REQUESTED] * 2 + [EventType.GIVEN] * 2 + [
        EventType.UNSUBSCRIBED
    ]
    assert new.verify().problems == ()

    new.clock.forward(hours=25)
    consents(new, AN, "offers")
    consents(new, BRAM)
    with new.bridge.database.reading() as db:
        kids = {row.id: row.kid for row in db.execute(select(subjects.c.id, subjects.c.kid))}
        lookups = set(db.scalars(select(subjects.c.lookup)))
        assert db.scalar(select(func.count()).select_from(person_keys)) == 2
    assert kids == {who.id: "vault2", person(new, BRAM).id: "vault2"}
    assert lookups == {new.bridge.vault.lookups(email)[0].value for email in (AN, BRAM)}
    assert new.store.may_mail(BRAM, "newsletter").may, "her own new yes lifts the stop kept under the old root"
    assert new.verify().problems == ()
    withdraws(new, BRAM)
    with new.bridge.database.reading() as db:
        kept = {(row.hash, row.kid) for row in db.execute(select(stop_list))}
    newest = new.bridge.vault.stop_hashes(BRAM)[0]
    assert (newest.value, "vault2") in kept, "new stops are kept under the newest root"


def test_a_root_that_rows_name_may_not_be_dropped(house: House, later: Callable[..., House]) -> None:
    """KEY-03: a start without a root that the database names is refused, with the key's id and what to do."""
    consents(house, AN)
    new = later(**in_front(house, "BRIDGE_VAULT_KEYS", "vault2"))
    bad = Bridge.from_env({**new.environment, **without(new, "BRIDGE_VAULT_KEYS", "vault1")})
    bad.clock = new.clock
    with pytest.raises(
        BadSetting, match=r"vault key 'vault1' is named by the database.*put it back.*KEY-03"
    ) as refused:
        bad.ready()
    secret = house.environment["BRIDGE_VAULT_KEYS"].partition(":")[2]
    assert secret not in str(refused.value)
    bad.database.engine.dispose()
    with new.bridge.database.reading() as db:
        used = {(row.ring, row.kid) for row in db.execute(select(keys_used))}
    assert used == {("vault", "vault1"), ("vault", "vault2"), ("link", "link1"), ("mark", "link1")}


def test_a_root_that_no_row_names_may_go(house: House, later: Callable[..., House]) -> None:
    """KEY-03: a key that stood in the list but was never the newest is named nowhere."""
    spare = later(BRIDGE_VAULT_KEYS=f"{house.environment['BRIDGE_VAULT_KEYS']},{new_key('spare')}")
    consents(spare, AN)
    again = later()
    assert Reader(again, AN).may().may


def test_a_database_without_its_keys_is_refused_whole(house: House, later: Callable[..., House]) -> None:
    """KEY-03, KEY-02: the wrong keys altogether: both are named, and nothing is noted as used."""
    wrong = Bridge.from_env({**house.environment, "BRIDGE_VAULT_KEYS": new_key("x"), "BRIDGE_LINK_KEYS": new_key("y")})
    wrong.clock = house.clock
    with pytest.raises(BadSetting, match=r"link key 'link1', vault key 'vault1'"):
        wrong.ready()
    wrong.database.engine.dispose()
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(keys_used)) == 3


def test_two_starts_at_once_note_a_key_once(house: House) -> None:
    """KEY-03: a second program that starts with the same keys changes nothing."""
    for _ in range(2):
        house.bridge.ready()
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(keys_used)) == 3


def test_rows_written_under_a_root_name_it(house: House) -> None:
    """KEY-02: which root seals and hashes is on each row, so that nobody has to guess."""
    consents(house, AN)
    withdraws(house, AN)
    with house.bridge.database.reading() as db:
        for column in (subjects.c.kid, person_keys.c.kid, stop_list.c.kid):
            assert set(db.scalars(select(column))) == {"vault1"}


def test_a_backup_without_its_keys_is_dark(home: House, reader: Reader, make_house: MakeHouse) -> None:
    """SUP-04, KEY-02: the database alone opens nothing: another root under the same id cannot read a single event."""
    reader.has_consented()
    home.bridge.database.engine.dispose()
    file = home.environment["BRIDGE_DATABASE_URL"].removeprefix("sqlite:///")
    shutil.copy(file, file + ".copy")
    thief = make_house(f"sqlite:///{file}.copy", BRIDGE_VAULT_KEYS=new_key("vault1"))
    assert thief.store.person(reader.email) is None
    assert [problem.what for problem in thief.verify().problems] == [
        "sealed bytes were changed, or belong to another key"
    ]


# -- link keys ---------------------------------------------------------------------------------------------------


def test_old_links_work_under_new_keys(house: House, later: Callable[..., House]) -> None:
    """KEY-01, KEY-02, WDR-09: a rotation under readers' feet: old stop links for ever, old confirm links for their life."""
    an, bram = Reader(house, AN), Reader(house, BRAM)
    an.has_consented()
    stop = an.link("/u/")
    bram.signs_up()
    confirm = bram.link("/confirm/")

    new = later(**in_front(house, "BRIDGE_LINK_KEYS", "link2"))
    new.clock.forward(hours=71)
    assert new.client.post(confirm).status_code == 200
    assert Reader(new, BRAM).status() is Status.GIVEN
    new.clock.now += timedelta(days=3652)
    assert new.client.post(stop, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Reader(new, AN).status() is Status.WITHDRAWN
    assert new.verify().problems == ()


def test_a_confirm_link_dies_at_its_hour_also_under_new_keys(house: House, later: Callable[..., House]) -> None:
    """CON-04, KEY-02: a rotation makes no link live longer."""
    bram = Reader(house, BRAM)
    bram.signs_up()
    confirm = bram.link("/confirm/")
    new = later(**in_front(house, "BRIDGE_LINK_KEYS", "link2"))
    new.clock.forward(hours=72, seconds=1)
    assert new.client.post(confirm).status_code != 200
    assert Reader(new, BRAM).status() is not Status.GIVEN


def test_new_links_are_signed_with_the_new_key(house: House, later: Callable[..., House]) -> None:
    """KEY-02: the newest key signs; whoever has only the old one cannot read what it signed."""
    consents(house, AN)
    new = later(**in_front(house, "BRIDGE_LINK_KEYS", "link2"))
    new.clock.forward(hours=25)
    token = Reader(new, AN).asks_for_a_link().rpartition("/")[2]
    assert new.bridge.acts.preferences(token).fresh
    with pytest.raises(BadLink):
        house.bridge.acts.preferences(token)


def test_an_old_stop_link_finds_whoever_holds_the_address_now(house: House, later: Callable[..., House]) -> None:
    """Decision 9, KEY-02: forgotten, keys rotated, signed up again: the link in the old mail still stops the mail."""
    an = Reader(house, AN)
    an.signs_up()
    mark = person(house, AN).mark
    token = confirm_token(house, AN)
    stop = stop_token(house.bridge.links, person(house, AN).id, mark, house.clock(), ["newsletter"])
    house.clock.forward(hours=73)
    assert house.store.forget_requests() == 1
    new = later(**in_front(house, "BRIDGE_LINK_KEYS", "link2"), **in_front(house, "BRIDGE_VAULT_KEYS", "vault2"))
    consents(new, AN)
    assert person(new, AN).mark == mark
    with pytest.raises(BadLink):
        new.bridge.acts.confirm(token)
    new.clock.forward(minutes=1)
    assert new.bridge.acts.stop(stop, Method.ONE_CLICK)[0] == "newsletter"
    assert Reader(new, AN).status() is Status.WITHDRAWN


def test_a_link_key_that_was_used_may_not_be_dropped(house: House, later: Callable[..., House]) -> None:
    """WDR-09, KEY-03: dropping a link key would make old mails' unsubscribe links dead: the start is refused."""
    new = later(**in_front(house, "BRIDGE_LINK_KEYS", "link2"))
    bad = Bridge.from_env({**new.environment, **without(new, "BRIDGE_LINK_KEYS", "link1")})
    bad.clock = new.clock
    with pytest.raises(BadSetting, match="link key 'link1'"):
        bad.ready()
    bad.database.engine.dispose()


def test_a_row_that_names_an_unknown_root_is_said_in_words(home: House, reader: Reader) -> None:
    """KEY-03: should a row name a root that is gone after all, the text names it and the setting, not the reader."""
    reader.has_consented()
    with home.bridge.database.engine.begin() as db:
        db.execute(person_keys.update().values(kid="vault0"))
        db.execute(insert(keys_used).values(ring="vault", kid="vault0"))
    (problem,) = home.verify().problems
    assert "vault key 'vault0'" in problem.what
    assert "BRIDGE_VAULT_KEYS" in problem.what
    with home.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(events)) == 2


# -- keys that wait ----------------------------------------------------------------------------------------------


def waiting(house: House, setting: str, kid: str) -> dict[str, str]:
    """The setting with a fresh key that waits."""
    return {setting: f"+{new_key(kid)},{house.environment[setting]}"}


def in_use(settings: dict[str, str]) -> dict[str, str]:
    """The same, with what waited taken into use."""
    return {name: value.replace("+", "") for name, value in settings.items()}


def test_a_root_that_waits_is_used_for_nothing_new_and_opens_what_others_wrote(
    house: House, later: Callable[..., House]
) -> None:
    """KEY-02, KEY-03: of two programs one is restarted later: neither loses sight of what the other one writes."""
    consents(house, AN)
    known = waiting(house, "BRIDGE_VAULT_KEYS", "vault2")
    slow, quick = later(**known), later(**in_use(known))
    consents(quick, BRAM)
    withdraws(quick, AN)
    assert not Reader(slow, AN).may().may, "a stop kept under the newest root"
    assert Reader(slow, BRAM).may().may
    withdraws(slow, BRAM)
    assert not Reader(quick, BRAM).may().may
    consents(slow, "carla@lezer.example")
    with house.bridge.database.reading() as db:
        assert set(db.scalars(select(person_keys.c.kid))) == {"vault1", "vault2"}
    assert person(slow, BRAM).id == person(quick, BRAM).id
    assert slow.verify().problems == ()


def test_a_link_key_that_waits_reads_what_it_will_sign_and_changes_no_mark(
    house: House, later: Callable[..., House]
) -> None:
    """KEY-02, decision 9: it stands in front and is not the oldest: the marks in old mails stay what they are."""
    who = consents(house, AN)
    known = waiting(house, "BRIDGE_LINK_KEYS", "link2")
    slow, quick = later(**known), later(**in_use(known))
    assert who.mark == slow.bridge.links.mark(AN) == quick.bridge.links.mark(AN)
    token = stop_token(quick.bridge.links, who.id, who.mark, quick.clock(), ["newsletter"])
    assert token != stop_token(slow.bridge.links, who.id, who.mark, slow.clock(), ["newsletter"])
    assert slow.bridge.acts.stop(token, Method.ONE_CLICK)[0] == "newsletter"
    assert Reader(quick, AN).status() is Status.WITHDRAWN


def test_a_list_in_which_every_key_waits_is_refused(house: House) -> None:
    """KEY-02: nothing could be signed or sealed."""
    for setting in ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS"):
        with pytest.raises(BadSetting, match=f"{setting} needs at least one key that does not wait"):
            Bridge.from_env({**house.environment, setting: f"+{new_key('k')}"})


def test_a_link_key_put_at_the_end_is_refused(house: House, later: Callable[..., House]) -> None:
    """KEY-02, decision 9: the oldest key makes the mark in every link ever sent: a start with another one is refused."""
    bad = Bridge.from_env(
        {**house.environment, "BRIDGE_LINK_KEYS": f"{house.environment['BRIDGE_LINK_KEYS']},{new_key('x')}"}
    )
    bad.clock = house.clock
    with pytest.raises(BadSetting, match="link key 'link1' must stay the last in BRIDGE_LINK_KEYS"):
        bad.ready()
    bad.database.engine.dispose()


def test_no_rotation_resets_a_limit(house: House, later: Callable[..., House]) -> None:
    """CAP-10, R12: asked once today, under whatever root: no second mail; not when the old root is gone either."""
    asks(house, AN)
    new = later(**in_front(house, "BRIDGE_VAULT_KEYS", "vault2"), **in_front(house, "BRIDGE_LINK_KEYS", "link2"))
    buckets = {each.bridge.vault.bucket("address", AN) for each in (house, new)}
    alone = Bridge.from_env({**new.environment, "BRIDGE_VAULT_KEYS": new_key("vault3")})
    assert buckets == {alone.vault.bucket("address", AN)}
    asks(new, AN)
    new.dispatch()
    assert len(new.mailbox.to(AN)) == 1


def test_a_program_that_does_not_know_a_key_in_use_stops_itself(house: House, later: Callable[..., House]) -> None:
    """KEY-03, SND-01: forgotten at a rotation, it could overlook a "no" kept under the newest root: it does nothing."""
    consents(house, AN)
    later(**in_front(house, "BRIDGE_VAULT_KEYS", "vault2"))
    answer = house.client.get("/readyz")
    assert answer.status_code == 503
    assert "vault key 'vault2'" in answer.get_json()["detail"]
    with pytest.raises(BadSetting, match="vault key 'vault2'"):
        house.dispatch()
    assert house.mailbox.to(AN) == []
