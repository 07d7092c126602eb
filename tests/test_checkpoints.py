"""Signed checkpoints: whoever rewrites history, and every chain with it, is caught. Decision 14, rows CAP-06, SUP-04."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, event, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from bridge import verifier
from bridge.bootstrap import Bridge
from bridge.cli import main
from bridge.jobs.checkpoints import Notary, append, missing
from bridge.jobs.doctor.house import look as house_look
from bridge.merkle import Tree
from bridge.policy import PolicyError
from bridge.seals import Seals
from bridge.settings import BadSetting
from bridge.store import BadInput, schema
from bridge.store import checkpoints as book
from bridge.store.engine import Database
from bridge.store.verify import Verdict, verify
from bridge.tables import TRIGGERS, checkpoints, events, person_keys, records, stop_list, subjects
from bridge.vault import FIRST, about_event, digest, new_key, parse_keys, seal, unseal
from bridge.verifier import canonical, checkpoint_hash
from tests.conftest import Databases, House, Reader
from tests.test_store import consents, person

AN, BRAM = "an.vandenberg@lezer.example", "bram@lezer.example"

MakeHouse = Callable[..., House]


@pytest.fixture
def sealed(make_house: MakeHouse, database_url: str) -> House:
    """A house with a seal key, on SQLite and on PostgreSQL."""
    return make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"))


def cut(house: House) -> dict[str, Any] | None:
    """Cut a checkpoint now."""
    return book.cut(house.bridge.database, house.bridge.seals, house.clock())


def looked(house: House) -> Verdict:
    """The whole history, with signatures."""
    return verify(house.bridge.database, house.bridge.vault, seals=house.bridge.seals)


def raw(house: House, count: int) -> None:
    """So many digests of people who were erased long ago."""
    rows = [{"digest": number.to_bytes(32, "big")} for number in range(1, count + 1)]
    with house.bridge.database.writing() as db:
        db.execute(insert(events), rows)


def unkept(house: House) -> None:
    """The operator takes the triggers away."""
    database = house.bridge.database
    with database.engine.begin() as db:
        for name in TRIGGERS[database.dialect]:
            on = f" ON {name.partition('_keep_')[0]}" if database.dialect == "postgresql" else ""
            db.execute(text(f"DROP TRIGGER {name}{on}"))


def covered(house: House) -> list[int]:
    """Every id that a checkpoint covers, as often as it is covered."""
    told = book.stored(house.bridge.database)
    ranges = [each for one in told for each in book.parse(one["leaves"])]
    return sorted(id_ for first, last in ranges for id_ in range(first, last + 1))


def there(house: House) -> list[int]:
    """Every id there is."""
    with house.bridge.database.reading() as db:
        return sorted(db.scalars(select(events.c.id)))


# -- what they cover ---------------------------------------------------------------------------------------------


def test_each_covers_what_is_new_and_nothing_twice(sealed: House) -> None:
    """Decision 14: roots are those of the digests by id, each names the one before, and none is cut of nothing."""
    assert cut(sealed) is None
    told = []
    for email in (AN, BRAM, "carla@lezer.example"):
        consents(sealed, email)
        told.append(cut(sealed))
        assert cut(sealed) is None
    assert [one["leaves"] for one in told if one] == ["1-2", "3-4", "5-6"]
    assert covered(sealed) == there(sealed) == [1, 2, 3, 4, 5, 6]
    with sealed.bridge.database.reading() as db:
        all_ = list(db.scalars(select(events.c.digest).order_by(events.c.id)))
    tree = Tree()
    tree.add(all_[2:4])
    assert told[1]
    assert told[1]["root"] == tree.root().hex()
    assert told[1]["previous"] == checkpoint_hash(told[0] or {})
    assert book.stored(sealed.bridge.database) == told
    verdict = looked(sealed)
    assert (verdict.problems, verdict.checkpoints, verdict.uncovered) == ((), 3, 0)


def test_what_is_committed_late_is_covered_by_the_next(make_house: MakeHouse, postgres_databases: Databases) -> None:
    """Decision 14: on PostgreSQL ids are not given in the order of commits: two transactions are open while a
    checkpoint is cut, one of them is rolled back, and no digest is lost or covered twice.
    """
    with postgres_databases.one() as url:
        house = make_house(url, BRIDGE_SEAL_KEYS=new_key("seal1"))
        consents(house, AN)
        late, never = house.bridge.database.engine.connect(), house.bridge.database.engine.connect()
        late.execute(insert(events).values(digest=b"l" * 32))
        never.execute(insert(events).values(digest=b"n" * 32))
        consents(house, BRAM)
        first = cut(house)
        assert first
        assert first["leaves"] == "1-2 5-6"
        late.commit()
        never.rollback()
        assert looked(house).uncovered == 1
        consents(house, "carla@lezer.example")
        second = cut(house)
        assert second
        assert second["leaves"] == "3 7-8"
        assert cut(house) is None
        assert covered(house) == there(house) == [1, 2, 3, 5, 6, 7, 8]
        assert looked(house).problems == ()
        late.close()
        never.close()


def test_of_two_at_once_one_wins(sealed: House, database_url: str) -> None:
    """Decision 14: two programs cut at the same moment: one number each, and nothing is covered twice."""
    others = [Database(database_url) for _ in range(3)]
    start, told = threading.Barrier(3), list[Any]()

    def work(database: Database) -> None:
        start.wait()
        told.append(book.cut(database, sealed.bridge.seals, sealed.clock()))

    for number in range(3):
        consents(sealed, f"reader{number}@lezer.example")
        threads = [threading.Thread(target=work, args=(each,)) for each in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for each in others:
        each.engine.dispose()
    assert sorted(one["number"] for one in told if one) == [1, 2, 3]
    assert covered(sealed) == there(sealed)
    assert looked(sealed).problems == ()


class Dies(Seals):
    """A program that is killed when all is read and nothing written yet."""

    def sign(self, _kind: str, _value: Any) -> str:
        """The end."""
        raise KeyboardInterrupt


def test_one_that_dies_in_the_middle_leaves_nothing(sealed: House) -> None:
    """Decision 14: it is one row, written in one short transaction; the next one covers everything."""
    consents(sealed, AN)
    with pytest.raises(KeyboardInterrupt):
        book.cut(sealed.bridge.database, Dies(sealed.bridge.settings.seal_keys), sealed.clock())
    assert book.stored(sealed.bridge.database) == []
    assert cut(sealed)
    assert covered(sealed) == there(sealed)


def test_the_work_does_not_grow_with_queries(sealed: House) -> None:
    """Decision 14: as many statements for 25,000 events as for 25; also for proving and for looking."""

    def statements(work: Callable[[], Any]) -> int:
        asked: list[str] = []

        def note(_db: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            asked.append(statement)

        event.listen(sealed.bridge.database.engine, "before_cursor_execute", note)
        work()
        event.remove(sealed.bridge.database.engine, "before_cursor_execute", note)
        return len(asked)

    def prove() -> None:
        with sealed.bridge.database.reading() as db:
            assert len(book.prove(db, [1, 20])) == 2

    raw(sealed, 25)
    few = (statements(lambda: cut(sealed)), statements(prove), statements(lambda: looked(sealed)))
    raw(sealed, 25_000)
    many = (statements(lambda: cut(sealed)), statements(prove), statements(lambda: looked(sealed)))
    assert many == few
    assert looked(sealed).uncovered == 0


def test_erasing_keeps_them_true(sealed: House) -> None:
    """SUP-04, RGT-04: after an erasure every root is what it was, and no checkpoint says anything of her."""
    who = consents(sealed, AN)
    consents(sealed, BRAM)
    before = cut(sealed)
    sealed.store.erase_person(AN)
    assert looked(sealed).problems == ()
    assert book.stored(sealed.bridge.database) == [before]
    assert who.id not in json.dumps(before)
    assert cut(sealed) is None, "an erasure blanks, and adds no event"


# -- who rewrites ------------------------------------------------------------------------------------------------


def rewrite(house: House, email: str) -> None:
    """Seal a person's events anew, with other bytes inside, and make her chain fit again: the keys are all there."""
    number = person(house, email).number
    vault, database = house.bridge.vault, house.bridge.database
    with database.engine.begin() as db:
        who = db.execute(
            select(subjects.c.id, person_keys.c.kid, person_keys.c.wrapped)
            .join(person_keys, person_keys.c.subject == subjects.c.number)
            .where(subjects.c.number == number)
        ).one()
        key, previous = vault.person(*who), FIRST
        mine = select(events.c.id, events.c.number, events.c.sealed).where(events.c.subject == number)
        for row in db.execute(mine.order_by(events.c.number)).all():
            about = about_event(who.id, row.number)
            again = seal(key, unseal(key, row.sealed, about), about)
            previous = digest(previous, again)
            db.execute(events.update().where(events.c.id == row.id).values(sealed=again, digest=previous))


def test_an_operator_who_rewrites_history_and_its_chains_is_caught(sealed: House) -> None:
    """CAP-06: with every key, every trigger gone and every chain made anew the chains say nothing; a checkpoint does."""
    consents(sealed, AN)
    consents(sealed, BRAM)
    cut(sealed)
    consents(sealed, "carla@lezer.example")
    cut(sealed)
    unkept(sealed)
    rewrite(sealed, BRAM)
    assert schema.upgrade(sealed.bridge.database), "the triggers are put back, as if nothing had been"
    (found,) = looked(sealed).problems
    assert found.where == "checkpoint 1"
    assert "one of the events 1-4 was changed" in found.what


def test_a_no_that_is_blanked_as_if_she_were_erased_is_caught(sealed: House) -> None:
    """CAP-06, SUP-04: the one change that the database allows takes a living person's last word away, and her record is
    set back. No chain and no checkpoint shows it; that a platform was to be told of it does."""
    an = Reader(sealed, AN).has_consented()
    with sealed.bridge.database.reading() as db:
        before = dict(db.execute(select(records)).mappings().one())
    an.one_click()
    cut(sealed)
    assert looked(sealed).problems == ()
    blank = {column.name: None for column in events.c if column.name not in ("id", "digest")}
    with sealed.bridge.database.engine.begin() as db:
        db.execute(update(events).where(events.c.number == 3).values(**blank))
        db.execute(update(records).values(**before))
        db.execute(delete(stop_list))
    who = person(sealed, AN).id
    assert [tuple(one) for one in looked(sealed).problems] == [
        (f"{who}/3", "this event is missing: a platform was to be told of it")
    ]


def test_an_event_that_is_gone_is_caught_also_of_the_erased(sealed: House) -> None:
    """CAP-06: of an erased person no chain is left to look at; her digests are covered all the same."""
    raw(sealed, 3000)
    cut(sealed)
    unkept(sealed)
    with sealed.bridge.database.engine.begin() as db:
        db.execute(text("DELETE FROM events WHERE id IN (7, 8)"))
    found = {problem.where: problem.what for problem in looked(sealed).problems}
    assert found["checkpoint 1"] == "2 of the events 1-3000 are missing"
    with sealed.bridge.database.engine.begin() as db:
        db.execute(insert(events), [{"id": 7, "digest": b"x" * 32}, {"id": 8, "digest": b"y" * 32}])
    found = {problem.where: problem.what for problem in looked(sealed).problems}
    assert "was changed" in found["checkpoint 1"]


@pytest.mark.parametrize(
    "change",
    [
        "number = 9",
        "time = time + 60000000",
        "leaves = '1-3'",
        "leaves = '1-99'",
        "leaves = 'all of them'",
        "count = count - 1",
        "root = previous",
        "previous = root",
        "kid = 'other'",
        "signature = root",
    ],
)
def test_whatever_is_changed_in_a_checkpoint_is_named(make_house: MakeHouse, sqlite_url: str, change: str) -> None:
    """CAP-06: each column is signed, or is the signature."""
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    consents(home, AN)
    consents(home, BRAM)
    cut(home)
    unkept(home)
    with home.bridge.database.engine.begin() as db:
        db.execute(text(f"UPDATE checkpoints SET {change}"))
    schema.upgrade(home.bridge.database)
    found = looked(home).problems
    assert found
    if change == "leaves = 'all of them'":
        with pytest.raises(BadInput, match="run consent-bridge verify"):
            cut(home)
    assert {problem.where for problem in found} <= {"checkpoint 1", "checkpoint 9"}


def test_one_that_is_taken_out_is_missed(sealed: House, tmp_path: Path) -> None:
    """CAP-06: from the middle by its follower; the last one by what was sent elsewhere before."""
    kept = tmp_path / "elsewhere.jsonl"
    for number in range(3):
        consents(sealed, f"reader{number}@lezer.example")
        cut(sealed)
    kept.touch()
    assert missing(kept, book.stored(sealed.bridge.database)) == ["holds no checkpoint, so nothing was compared"]
    append(kept, book.stored(sealed.bridge.database))
    unkept(sealed)
    with sealed.bridge.database.engine.begin() as db:
        db.execute(text("DELETE FROM checkpoints WHERE number = 3"))
    schema.upgrade(sealed.bridge.database)
    assert looked(sealed).problems == ()
    assert missing(kept, book.stored(sealed.bridge.database)) == ["checkpoint 3 (line 3) is not in this history"]
    unkept(sealed)
    with sealed.bridge.database.engine.begin() as db:
        db.execute(text("DELETE FROM checkpoints WHERE number = 1"))
    schema.upgrade(sealed.bridge.database)
    assert ("checkpoint 1", "is missing") in [tuple(problem) for problem in looked(sealed).problems]


@pytest.mark.parametrize("statement", ["UPDATE checkpoints SET kid = 'x'", "DELETE FROM checkpoints"])
def test_the_database_changes_none(sealed: House, statement: str) -> None:
    """CAP-06, decision 15: by triggers, as events; INSERT OR REPLACE, which deletes without a word, as well."""
    consents(sealed, AN)
    cut(sealed)
    more = {
        "sqlite": "INSERT OR REPLACE INTO checkpoints SELECT * FROM checkpoints",
        "postgresql": "TRUNCATE checkpoints",
    }
    for each in (statement, more[sealed.bridge.database.dialect]):
        with pytest.raises(DBAPIError, match="append-only"), sealed.bridge.database.engine.begin() as db:
            db.execute(text(each))


# -- keys --------------------------------------------------------------------------------------------------------


def test_what_an_old_key_signed_stays_verifiable(make_house: MakeHouse, database_url: str) -> None:
    """KEY-02: after a rotation the new key signs and both verify; without the old one its checkpoints are named."""
    old, new = new_key("old"), new_key("new")
    first = make_house(database_url, BRIDGE_SEAL_KEYS=old)
    consents(first, AN)
    cut(first)
    second = make_house(database_url, BRIDGE_SEAL_KEYS=f"{new},{old}")
    consents(second, BRAM)
    told = cut(second)
    assert told
    assert told["key"] == "new"
    assert looked(second).problems == ()
    assert book.count_by_key(second.bridge.database) == {"old": 1, "new": 1}
    third = make_house(database_url, BRIDGE_SEAL_KEYS=new)
    (found,) = looked(third).problems
    assert found.where == "checkpoint 1"
    assert "'old', which BRIDGE_SEAL_KEYS does not hold" in found.what


def test_a_key_of_another_size_is_refused(environment: dict[str, str], sqlite_url: str) -> None:
    """KEY-01: Ed25519 keys have 32 bytes; nothing is cut off or filled up in silence."""
    told = {**environment, "BRIDGE_DATABASE_URL": sqlite_url, "BRIDGE_SEAL_KEYS": f"seal1:{'A' * 64}"}
    with pytest.raises(BadSetting, match="BRIDGE_SEAL_KEYS: a key is not 32 bytes long"):
        Bridge.from_env(told)


def test_a_key_that_waits_verifies_and_does_not_sign() -> None:
    """KEY-02: as in the other rings."""
    seals = Seals(parse_keys("BRIDGE_SEAL_KEYS", f"+{new_key('next')},{new_key('now')}"))
    assert seals.newest == "now"
    assert set(seals.kids) == {"now", "next"}
    assert not Seals([])


# -- as a job ----------------------------------------------------------------------------------------------------


def test_the_dispatcher_cuts_one_an_hour_where_something_is_new(sealed: House) -> None:
    """CAP-06: by the policy's rhythm, one hour by default."""
    many = lambda: len(book.stored(sealed.bridge.database))  # noqa: E731
    consents(sealed, AN)
    sealed.dispatch()
    assert many() == 1
    consents(sealed, BRAM)
    sealed.clock.forward(minutes=50)
    sealed.dispatch()
    assert many() == 1
    sealed.clock.forward(minutes=11)
    sealed.dispatch()
    assert many() == 2
    sealed.clock.forward(hours=5)
    sealed.dispatch()
    assert many() == 2, "nothing is new"


def test_without_a_key_everything_else_goes_on(house: House) -> None:
    """CAP-06: nothing is cut, and nothing breaks."""
    consents(house, AN)
    house.dispatch()
    assert book.stored(house.bridge.database) == []
    assert Notary(house.bridge).now() is None
    assert looked(house).problems == ()


def test_they_are_sent_elsewhere_and_name_nobody(
    make_house: MakeHouse, sqlite_url: str, policy_folder: Path, tmp_path: Path
) -> None:
    """CAP-06: to a file that is only added to, and to mailboxes of the policy; nothing of any reader is in it."""
    policy, kept = policy_folder / "policy.toml", tmp_path / "kept.jsonl"
    policy.write_text(f'{policy.read_text()}\n[checkpoints]\nfile = "{kept}"\nmail = ["dpo@toezicht.example"]\n')
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    who = consents(home, AN)
    home.dispatch()
    home.clock.forward(hours=2)
    consents(home, BRAM)
    kept.write_bytes(kept.read_bytes()[:-40])  # a kill cut the line off
    home.dispatch()
    told = book.stored(home.bridge.database)
    lines = kept.read_bytes().splitlines()
    assert [canonical(one) for one in told] == lines[1:], "what was cut off stands there once more, whole"
    assert missing(kept, told) == []
    mails = home.mailbox.to("dpo@toezicht.example")
    attached = [next(mail.iter_attachments()) for mail in mails]
    assert [json.loads(part.get_content()) for part in attached] == told
    everything = kept.read_text() + "".join(str(mail) for mail in mails)
    for secret in (AN, BRAM, who.id, who.mark):
        assert secret not in everything


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        ("1 2 3 4", ""),
        ("2 3", ""),
        ("1 1 2", ""),
        ("1 2 3 1 2 3 4", ""),
        ("1 3", "2 is missing"),
        ("1 2 3 2x", "history was rewritten"),
        ("1 2 3 4 2x 3x", "history was rewritten"),
        ("1 2x 3", "does not follow"),
        ("4 3 2 1", "is missing"),
    ],
)
def test_a_kept_list_shows_whoever_signed_another_history(order: str, wrong: str) -> None:
    """CAP-06: with the seal key and all rights, too: two of one number, one that is missing, another order."""
    seals = Seals([("seal1", b"s" * 32, False)])

    def signed(number: int, previous: str, root: str) -> dict[str, Any]:
        told = {"type": verifier.CHECKPOINT, "number": number, "previous": previous, "root": root}
        return told | {"signature": seals.sign(verifier.CHECKPOINT, told)}

    made: dict[str, dict[str, Any]] = {}
    for number in range(1, 5):
        before = checkpoint_hash(made[f"{number - 1}"]) if number > 1 else ""
        made[f"{number}"] = signed(number, before, "a")
        twin = checkpoint_hash(made[f"{number - 1}x"]) if number > 2 else before
        made[f"{number}x"] = signed(number, twin, "b")
    found = verifier.check_file(b"".join(canonical(made[name]) + b"\n" for name in order.split()), seals.keys).problems
    assert bool(found) is bool(wrong)
    assert wrong in " ".join(problem.what for problem in found)


def test_a_place_that_takes_nothing_holds_nothing_back(
    make_house: MakeHouse, sqlite_url: str, policy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """CAP-06: it is said in the log; the checkpoint is cut, and the next one is told with it."""
    policy, folder = policy_folder / "policy.toml", policy_folder / "not-there"
    policy.write_text(f'{policy.read_text()}\n[checkpoints]\nfile = "not-there/kept.jsonl"\nmail = ["d@t.example"]\n')
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    home.mailbox.refuse.add("d@t.example")
    consents(home, AN)
    home.dispatch()
    assert len(book.stored(home.bridge.database)) == 1
    assert "its file was not written" in caplog.text
    assert "its mail did not leave" in caplog.text
    assert "d@t.example" not in caplog.text
    folder.mkdir()
    home.clock.forward(hours=2)
    consents(home, BRAM)
    home.dispatch()
    assert len((folder / "kept.jsonl").read_bytes().splitlines()) == 2


def test_doctor_says_what_is_not_sealed(make_house: MakeHouse, sqlite_url: str, policy_folder: Path) -> None:
    """CAP-06: no key is a note, a late checkpoint, a lost key and a file that stays behind are each named with the fix."""

    def found(home: House) -> dict[str, tuple[bool, str]]:
        return {
            one.subject: (one.ok, one.fix)
            for one in house_look(home.bridge)
            if "eckpoint" in one.subject or "seal" in one.subject
        }

    policy, key = policy_folder / "policy.toml", new_key("seal1")
    without = found(make_house(sqlite_url))
    assert without["seal key"][0]
    assert "BRIDGE_SEAL_KEYS is empty" in without["seal key"][1]
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=key)
    consents(home, AN)
    home.dispatch()
    assert found(home) == {"seal key seal1": (True, ""), "checkpoints: 1": (True, "")}
    home.clock.forward(hours=3)
    consents(home, BRAM)
    ok, fix = found(home)["checkpoints: 1"]
    assert not ok
    assert "consent-bridge checkpoint" in fix
    policy.write_text(f'{policy.read_text()}\n[checkpoints]\nfile = "kept.jsonl"\n')
    home = make_house(sqlite_url, BRIDGE_SEAL_KEYS=key)
    assert "it lacks 1" in found(home)["checkpoints kept elsewhere"][1]
    home.dispatch()
    assert "checkpoints kept elsewhere" not in found(home)
    lost = found(make_house(sqlite_url, BRIDGE_SEAL_KEYS=new_key("other")))
    assert lost["seal keys of the checkpoints"][0] is False
    assert "lacks seal1" in lost["seal keys of the checkpoints"][1]


def test_the_policys_choices_have_limits(make_house: MakeHouse, sqlite_url: str, policy_folder: Path) -> None:
    """CAP-06: at least one a week, at most one an hour, and addresses that are some."""
    policy = policy_folder / "policy.toml"
    text_ = policy.read_text()
    for wrong in ('every = "8 days"', 'every = "0h"', 'mail = ["dpo"]'):
        policy.write_text(f"{text_}\n[checkpoints]\n{wrong}\n")
        with pytest.raises(PolicyError, match="CAP-06"):
            make_house(sqlite_url)


# -- by hand -----------------------------------------------------------------------------------------------------


def test_the_commands(sealed: House, tmp_path: Path) -> None:
    """CAP-06: `checkpoint` cuts and adds to a file, `verify` looks at all of them, and at those kept elsewhere."""
    run = lambda *words: CliRunner().invoke(main, words, env=sealed.environment)  # noqa: E731
    kept, pem = tmp_path / "kept.jsonl", tmp_path / "seal.pem"
    consents(sealed, AN)
    result = run("checkpoint", "--out", str(kept))
    assert result.exit_code == 0, result.output
    assert "checkpoint 1: 2 events, signed by seal key seal1" in result.stdout
    assert "nothing new" in run("checkpoint").stdout
    result = run("verify", "--against", str(kept), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["checkpoints"] == 1
    pem.write_text(run("keys", "public").stdout)
    result = CliRunner().invoke(main, ["verify", str(kept), "--key", str(pem)], env={})
    assert result.exit_code == 0, result.output
    kept.write_text(kept.read_text().replace('"count":2', '"count":3'))
    result = run("verify", "--against", str(kept))
    assert result.exit_code == 1
    assert "checkpoint 1 (line 1) is not in this history" in result.stdout
    assert CliRunner().invoke(main, ["verify", str(kept), "--key", str(pem)], env={}).exit_code == 1
    seals = json.loads(run("keys", "list", "--json").stdout)["seal"]
    assert [(key["id"], key["rows"], key["may_be_dropped"]) for key in seals] == [("seal1", 1, False)]


def test_without_a_key_the_commands_say_so(house: House) -> None:
    """CAP-06: exit 1, and how to make one."""
    for words in (["checkpoint"], ["keys", "public"], ["verify", str(Path(__file__))]):
        result = CliRunner().invoke(main, words, env=house.environment)
        assert result.exit_code == 1
        assert "BRIDGE_SEAL_KEYS is empty" in result.stderr
        assert "keys new" in result.stderr or "--key" in result.stderr


def test_they_are_in_a_copy(sealed: House, tmp_path: Path, make_house: MakeHouse) -> None:
    """SUP-06: a restored store has its checkpoints, and they hold; the next one goes on where the last one ended."""
    run = lambda *words, **env: CliRunner().invoke(main, words, env={**sealed.environment, **env})  # noqa: E731
    consents(sealed, AN)
    cut(sealed)
    assert run("backup", str(tmp_path / "copy")).exit_code == 0
    url = f"sqlite:///{tmp_path / 'again.db'}"
    result = run("restore", str(tmp_path / "copy"), BRIDGE_DATABASE_URL=url)
    assert result.exit_code == 0, result.output
    again = make_house(url, BRIDGE_SEAL_KEYS=sealed.environment["BRIDGE_SEAL_KEYS"])
    assert book.stored(again.bridge.database) == book.stored(sealed.bridge.database)
    assert looked(again).problems == ()
    consents(again, BRAM)
    assert cut(again)
    assert looked(again).problems == ()
    with again.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(checkpoints)) == 2
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
