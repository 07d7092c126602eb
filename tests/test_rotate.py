"""Keys are changed while readers click: nobody loses her way out, no "no" is lost, nobody forgotten comes back.

Rows KEY-02, KEY-03, SUP-04; decisions 9, 16 and 17. Both databases, the real command, several programs at once.
"""

import json
import logging
import os
import signal
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import event, func, insert, select, update

from bridge.cli import main
from bridge.cli.envfile import change
from bridge.links import Action, Claim
from bridge.mailer import stop_token
from bridge.settings import BadSetting, read_env_file
from bridge.store import StoreAway, rotate
from bridge.store.rotate import move, named
from bridge.tables import erasures, keys_used, person_keys, stop_list, subjects
from bridge.vault import new_key
from bridge.vocabulary import EventType, Method, Status
from tests.children import Child
from tests.conftest import House, Reader
from tests.test_store import asks, confirm_token, consents, person, withdraws

AN, BRAM, CARLA = "an.vandenberg@lezer.example", "bram@lezer.example", "carla@lezer.example"


class Shop:
    """A house whose settings live in a file, with the command that changes them, and programs that are restarted."""

    def __init__(self, house: House, file: Path, build: Callable[..., House]) -> None:
        self.house, self.file, self._build = house, file, build
        file.touch(mode=0o600)
        lines = [f"{name}={value}" for name, value in house.environment.items()]
        file.write_text("# Keep this file.\n" + "\n".join(lines) + "\n")

    def types(self, *words: str) -> Result:
        """Type a command; its environment and logging are its own."""
        kept, handlers = dict(os.environ), logging.getLogger().handlers[:]
        for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
            del os.environ[name]
        try:
            return CliRunner().invoke(main, [*words, "--env-file", str(self.file)])
        finally:
            os.environ.clear()
            os.environ.update(kept)
            logging.getLogger().handlers[:] = handlers

    def told(self, *words: str) -> dict[str, Any]:
        """The same with `--json`, which must succeed."""
        result = self.types(*words, "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def starts(self) -> House:
        """One more program, started with the settings as they are now."""
        settings = read_env_file(self.file)
        return self._build(settings["BRIDGE_DATABASE_URL"], **settings)

    def keys(self, ring: str) -> list[str]:
        """The ids in a list, as they are written."""
        value = read_env_file(self.file)[f"BRIDGE_{ring.upper()}_KEYS"]
        return [part.partition(":")[0] for part in value.split(",")]

    def rotates(self, ring: str) -> str:
        """A whole rotation with one program, restarted as it should be; gives the new key's id."""
        self.told("keys", "rotate", ring, "--new")
        self.starts()
        key: str = self.told("keys", "rotate", ring, "--restarted")["key"]
        self.house = self.starts()
        if ring == "vault":
            self.told("keys", "rotate", ring)
        return key

    def time_goes_by(self, days: int = 16) -> None:
        """Platforms have stopped repeating old news, and no queue holds any."""
        with self.house.bridge.database.writing() as db:
            for row in list(db.execute(select(keys_used))):
                mine = update(keys_used).where(keys_used.c.ring == row.ring, keys_used.c.kid == row.kid)
                db.execute(mine.values(since=row.since - timedelta(days=days)))


@pytest.fixture
def shop(house: House, tmp_path: Path, make_house: Callable[..., House]) -> Shop:
    """The house with its settings in a file."""
    return Shop(house, tmp_path / "settings.env", make_house)


def kids(house: House, column: Any) -> set[str]:
    """The roots that a table's rows name."""
    with house.bridge.database.reading() as db:
        return set(db.scalars(select(column)))


# -- the steps ---------------------------------------------------------------------------------------------------


def test_a_rotation_is_three_calls_and_each_says_what_to_do_then(shop: Shop) -> None:
    """KEY-02, KEY-03: put in, used, moved; the word `restart` between; called once more nothing happens."""
    for email in (AN, BRAM, CARLA):
        consents(shop.house, email)
    withdraws(shop.house, BRAM)
    before = shop.file.read_text()

    first = shop.types("keys", "rotate", "vault")
    assert "waits in the list" in first.stdout
    assert "keys rotate vault --restarted" in first.stdout
    (waiting, old) = shop.keys("vault")
    assert waiting.startswith("+k")
    assert old == "vault1"
    again = shop.told("keys", "rotate", "vault")
    assert (again["step"], again["key"]) == ("restart", waiting.removeprefix("+"))
    assert shop.keys("vault") == [waiting, old]

    shop.starts()
    second = shop.told("keys", "rotate", "vault", "--restarted")
    assert second["step"] == "use"
    assert shop.keys("vault") == [waiting.removeprefix("+"), old]

    new = shop.starts()
    third = shop.told("keys", "rotate", "vault")
    assert (third["step"], third["people"], third["stops"], third["left"]) == ("finish", 3, 1, 0)
    for column in (subjects.c.kid, person_keys.c.kid, stop_list.c.kid):
        assert kids(new, column) == {waiting.removeprefix("+")}
    fourth = shop.told("keys", "rotate", "vault")
    assert (fourth["step"], fourth["people"]) == ("finish", 0)
    assert shop.keys("vault") == [waiting.removeprefix("+"), old]

    assert Reader(new, AN).may().may
    assert Reader(new, BRAM).status() is Status.WITHDRAWN
    assert new.verify().problems == ()
    others = [line for line in before.splitlines() if not line.startswith("BRIDGE_VAULT_KEYS")]
    assert [line for line in shop.file.read_text().splitlines() if not line.startswith("BRIDGE_VAULT_KEYS")] == others
    assert stat.S_IMODE(shop.file.stat().st_mode) == 0o600
    assert list(shop.file.parent.glob("*.part")) == []


@pytest.mark.parametrize("ring", ["link", "vault", "seal"])
@pytest.mark.parametrize("more", [(), ("--new",)])
def test_restarted_without_a_key_that_waits_is_an_error_and_begins_nothing(
    shop: Shop, ring: str, more: tuple[str, ...]
) -> None:
    """KEY-02, KEY-03: whoever says "restarted" means a rotation under way, here perhaps in another settings file."""
    before = shop.file.read_text()
    result = shop.types("keys", "rotate", ring, "--restarted", *more)
    assert result.exit_code == 1
    assert f"no {ring} key waits in BRIDGE_{ring.upper()}_KEYS" in result.stderr
    assert f"consent-bridge keys rotate {ring}" in result.stderr
    assert shop.file.read_text() == before


def test_a_step_that_was_done_may_be_said_again(shop: Shop) -> None:
    """KEY-03: killed after writing, or not sure whether it worked: the same call does no harm and begins nothing."""
    shop.rotates("link")
    kept = shop.file.read_text()
    assert shop.told("keys", "rotate", "link", "--restarted")["step"] == "finish"
    assert shop.file.read_text() == kept


@pytest.mark.parametrize("ring", ["link", "vault"])
def test_the_keys_are_backed_up_before_a_new_one_is_used(shop: Shop, ring: str) -> None:
    """KEY-03: from step 2 on there are rows that nobody could read without it."""
    assert "Back up the keys" in shop.types("keys", "rotate", ring).stdout
    assert "Back up the keys" in shop.types("keys", "rotate", ring).stdout, "asked again it says so again"


def test_no_step_prints_a_key_that_it_could_write(shop: Shop) -> None:
    """MIN-03: a secret is shown only where it must be carried by hand."""
    said = "".join(shop.types("keys", *words).output for words in (
        ("rotate", "vault"), ("rotate", "vault"), ("rotate", "vault", "--restarted"), ("rotate", "vault"),
        ("rotate", "link"), ("rotate", "seal"), ("list",), ("list", "--json"),
    ))  # fmt: skip
    settings = read_env_file(shop.file)
    for name in ("BRIDGE_VAULT_KEYS", "BRIDGE_LINK_KEYS", "BRIDGE_SEAL_KEYS"):
        for part in settings[name].split(","):
            assert part.partition(":")[2] not in said


def test_settings_that_live_elsewhere_are_given_as_a_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEY-02: environment variables, a secret's file: the tool says what to put there, and the rest goes on alike."""
    settings = read_env_file(shop.file)
    link = settings["BRIDGE_LINK_KEYS"]
    result = CliRunner().invoke(main, ["keys", "rotate", "link", "--json"], env=settings)
    line = json.loads(result.stdout)["setting"]
    assert line.startswith("BRIDGE_LINK_KEYS=+k")
    assert line.endswith(f",{link}")
    assert read_env_file(shop.file)["BRIDGE_LINK_KEYS"] == link
    settings["BRIDGE_LINK_KEYS"] = line.partition("=")[2]
    result = CliRunner().invoke(main, ["keys", "rotate", "link", "--restarted"], env=settings)
    assert f"\n{line.replace('+', '')}\n" in result.stdout

    secret = shop.file.with_name("link-keys")
    secret.write_text(link)
    settings |= {"BRIDGE_LINK_KEYS_FILE": str(secret)}
    del settings["BRIDGE_LINK_KEYS"]
    said = CliRunner().invoke(main, ["keys", "rotate", "link"], env=settings).stdout
    assert "the file that BRIDGE_LINK_KEYS_FILE names" in said
    assert f",{link}\n" in said


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\nBRIDGE_LINK_KEYS=a:b\nB=2\n", "A=1\nBRIDGE_LINK_KEYS=new\nB=2\n"),
        ("# BRIDGE_LINK_KEYS=x\nexport BRIDGE_LINK_KEYS='a:b'", "# BRIDGE_LINK_KEYS=x\nexport BRIDGE_LINK_KEYS=new"),
        ("\ufeffBRIDGE_LINK_KEYS=a:b\r\nB=ü\r\n", "\ufeffBRIDGE_LINK_KEYS=new\r\nB=ü\r\n"),
        ("A=1", "A=1\nBRIDGE_LINK_KEYS=new\n"),
    ],
)
def test_only_the_one_line_of_a_settings_file_changes(tmp_path: Path, before: str, after: str) -> None:
    """Bad input: comments, quotes, line ends and a byte order mark stay; through a link the real file changes."""
    real, link = tmp_path / "real.env", tmp_path / "link.env"
    real.write_bytes(before.encode())
    real.chmod(0o640)
    link.symlink_to(real)
    change(link, "BRIDGE_LINK_KEYS", "new")
    assert real.read_bytes() == after.encode()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert link.is_symlink()


def test_a_setting_that_stands_twice_is_not_guessed_at(tmp_path: Path) -> None:
    """Bad input."""
    file = tmp_path / "settings.env"
    file.write_text("BRIDGE_LINK_KEYS=a\nBRIDGE_LINK_KEYS=b\n")
    with pytest.raises(BadSetting, match="stands there 2 times"):
        change(file, "BRIDGE_LINK_KEYS", "c")
    assert file.read_text() == "BRIDGE_LINK_KEYS=a\nBRIDGE_LINK_KEYS=b\n"


# -- dropping ----------------------------------------------------------------------------------------------------


def test_a_root_that_nothing_names_any_more_may_be_dropped(shop: Shop) -> None:
    """KEY-03: after a rotation and 15 days; then a start without it works, and everything of hers opens."""
    shop.house.clock.now = datetime.now(UTC)  # as the command's own: the days are counted between them
    consents(shop.house, AN)
    withdraws(shop.house, AN)
    kid = shop.rotates("vault")
    early = shop.types("keys", "drop", "vault", "vault1")
    assert early.exit_code == 1
    assert "platforms may repeat news" in early.stderr
    shop.time_goes_by(13)
    parked = shop.types("keys", "drop", "vault", "vault1")
    assert parked.exit_code == 1, "what a platform told while the database was away may lie in a queue for 14 days"
    shop.time_goes_by()
    shop.told("keys", "drop", "vault", "vault1")
    assert shop.keys("vault") == [kid]
    alone = shop.starts()
    assert Reader(alone, AN).status() is Status.WITHDRAWN
    assert alone.verify().problems == ()


def test_a_root_that_strangers_stops_name_stays_and_says_why(shop: Shop) -> None:
    """KEY-03, decision 17: without her address her hash cannot be made anew, and her "no" must not be lost."""
    shop.house.hear(Reader(shop.house, CARLA).told_by_esp(EventType.COMPLAINED))
    consents(shop.house, AN)
    shop.rotates("vault")
    shop.time_goes_by()
    refused = shop.types("keys", "drop", "vault", "vault1")
    assert refused.exit_code == 1
    assert "vault key 'vault1' stays: 1 stops of people we do not hold name it" in refused.stderr
    (key,) = [key for key in shop.told("keys", "list")["vault"] if key["id"] == "vault1"]
    assert (key["rows"], key["may_be_dropped"]) == (1, False)
    assert shop.keys("vault")[-1] == "vault1"

    # She signs up: now her address is known, and a rotation moves her stop.
    shop.house.clock.forward(minutes=1)
    asks(shop.house, CARLA)
    assert shop.told("keys", "rotate", "vault")["stops"] == 1
    assert kids(shop.house, stop_list.c.kid) == {shop.keys("vault")[0]}
    assert not Reader(shop.house, CARLA).may().may
    shop.told("keys", "drop", "vault", "vault1")
    alone = shop.starts()
    assert not Reader(alone, CARLA).may().may
    alone.clock.forward(minutes=1)
    alone.bridge.acts.confirm(confirm_token(alone, CARLA))
    assert Reader(alone, CARLA).may().may, "her own yes lifts the stop that was moved"


@pytest.mark.parametrize("ring", ["link", "seal"])
def test_a_link_or_seal_key_in_use_is_never_dropped(shop: Shop, ring: str) -> None:
    """WDR-09, KEY-02: old mails must stop, old signatures must verify; the oldest link key also makes the mark."""
    shop.told("keys", "rotate", ring, "--new")
    if ring == "seal":
        shop.told("keys", "rotate", ring, "--new")
    else:
        shop.starts()
        shop.told("keys", "rotate", ring, "--restarted")
        shop.starts()
    for kid in shop.keys(ring):
        refused = shop.types("keys", "drop", ring, kid)
        assert refused.exit_code == 1
        assert f"{ring} key '{kid}' stays" in refused.stderr
    unknown = shop.types("keys", "drop", ring, "nobody")
    assert unknown.exit_code == 1
    assert "holds no key 'nobody'" in unknown.stderr


def test_a_key_that_waits_may_be_taken_back(shop: Shop) -> None:
    """KEY-03: nothing was made under it."""
    for ring in ("link", "vault"):
        shop.told("keys", "rotate", ring)
        shop.starts()
        shop.told("keys", "drop", ring, shop.keys(ring)[0].removeprefix("+"))
        assert shop.keys(ring) == [f"{ring}1"]
    shop.starts()


# -- moving ------------------------------------------------------------------------------------------------------


def under_two_roots(house: House, make_house: Callable[..., House], kid: str = "vault2") -> House:
    """The same house with a newer root in use."""
    keys = f"{new_key(kid)},{house.environment['BRIDGE_VAULT_KEYS']}"
    return make_house(house.environment["BRIDGE_DATABASE_URL"], BRIDGE_VAULT_KEYS=keys)


def test_who_was_forgotten_while_her_key_was_being_moved_stays_forgotten(
    house: House, make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SUP-04: her rows were read, then she is forgotten, then the chunk is written: no key comes back."""
    for number in range(5):
        asks(house, f"nooit{number}@lezer.example")
    consents(house, AN)
    house.clock.forward(days=4)
    new = under_two_roots(house, make_house)
    write = rotate._write

    def forgetting(*chunk: Any) -> Any:
        new.store.forget_requests()
        return write(*chunk)

    monkeypatch.setattr(rotate, "_write", forgetting)
    assert move(new.bridge.database, new.bridge.vault, rest=lambda _: None).people == 1
    with new.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(person_keys)) == 1
        assert db.scalar(select(func.count()).select_from(subjects)) == 1
        assert db.scalar(select(func.count()).select_from(erasures)) == 5
    assert new.verify().problems == ()


def test_forgetting_and_moving_at_once_ends_in_nobodys_key_too_many(
    house: House, make_house: Callable[..., House]
) -> None:
    """SUP-04, decision 16: both at work on the same people, in threads of their own."""
    for number in range(30):
        asks(house, f"nooit{number}@lezer.example")
    house.clock.forward(days=4)
    new = under_two_roots(house, make_house)
    start = threading.Barrier(2)

    def forgets() -> None:
        start.wait(30)
        again(house.store.forget_requests)

    thread = threading.Thread(target=forgets)
    thread.start()
    start.wait(30)
    move(new.bridge.database, new.bridge.vault, rest=lambda _: None)
    thread.join(60)
    again(house.store.forget_requests)  # who was held by the other at that moment is forgotten the next time
    with new.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(person_keys)) == 0
    assert new.verify().problems == ()


def test_of_two_stops_of_one_address_the_stricter_and_the_later_day_are_kept(
    house: House, make_house: Callable[..., House]
) -> None:
    """SUP-05, R6: one under each root, in either order: moving them loses no "no" and no day of it."""
    new = under_two_roots(house, make_house)
    consents(new, AN)
    consents(new, BRAM)
    early, late = new.clock(), new.clock() + timedelta(minutes=3)
    with new.bridge.database.writing() as db:
        for email, old, newest in ((AN, early, late), (BRAM, late, early)):
            hashes = new.bridge.vault.stop_hashes(email)
            for entry, since, reason in ((hashes[1], old, "withdrawn"), (hashes[0], newest, "objected")):
                values = {"hash": entry.value, "scope": "", "kid": entry.kid, "reason": reason, "since": since}
                db.execute(insert(stop_list).values(values))
    assert move(new.bridge.database, new.bridge.vault, rest=lambda _: None).stops == 2
    with new.bridge.database.reading() as db:
        kept = {(row.hash, row.reason, row.since) for row in db.execute(select(stop_list))}
    newest = {email: new.bridge.vault.stop_hashes(email)[0].value for email in (AN, BRAM)}
    assert kept == {(newest[AN], "objected", late), (newest[BRAM], "objected", late)}


def test_the_stops_of_a_chunk_are_moved_together(house: House, make_house: Callable[..., House]) -> None:
    """Decision 16: twenty people's "no" are as many statements as one person's, or the locks would be held for long."""
    for number in range(20):
        consents(house, f"lezer{number}@lezer.example")
        withdraws(house, f"lezer{number}@lezer.example")
    new = under_two_roots(house, make_house)
    said: list[str] = []

    def note(_db: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.extend([statement] if statement.startswith(("DELETE FROM stop_list", "INSERT INTO stop_list")) else [])

    engine = new.bridge.database.engine
    event.listen(engine, "before_cursor_execute", note)
    assert move(new.bridge.database, new.bridge.vault, rest=lambda _: None).stops == 20
    assert len(said) <= 2
    assert kids(new, stop_list.c.kid) == {new.bridge.vault.newest}
    assert not any(new.store.may_mail(f"lezer{number}@lezer.example", "newsletter").may for number in range(20))


def test_nothing_is_locked_while_keys_are_worked_out_and_chunks_stay_small(
    house: House, make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 16: 60 people are several short transactions; between them a click has its turn."""
    for number in range(60):
        asks(house, f"lezer{number}@lezer.example")
    new = under_two_roots(house, make_house)
    writing: list[bool] = []
    chunks: list[int] = []
    prepare, carry_out = rotate._prepare, rotate._carry_out

    def prepared(*row: Any) -> Any:
        assert not writing
        return prepare(*row)

    def carried(*chunk: Any) -> Any:
        writing.append(True)
        chunks.append(len(chunk[2]))
        try:
            return carry_out(*chunk)
        finally:
            writing.clear()

    monkeypatch.setattr(rotate, "_prepare", prepared)
    monkeypatch.setattr(rotate, "_carry_out", carried)
    rests: list[float] = []
    move(new.bridge.database, new.bridge.vault, rest=rests.append)
    assert sum(chunks) == 60
    assert chunks[0] == 20
    assert len(rests) == len(chunks) > 1


def test_killed_in_the_middle_it_is_begun_again_and_ends(shop: Shop) -> None:
    """KEY-03, decision 16: a real process, SIGKILL after the first chunk; half are moved, all can be read; then all."""
    for number in range(50):
        asks(shop.house, f"lezer{number}@lezer.example")
    shop.told("keys", "rotate", "vault")
    shop.starts()
    shop.told("keys", "rotate", "vault", "--restarted")
    new = shop.starts()
    words = ("1", "keys", "rotate", "vault", "--env-file", str(shop.file))
    child = Child("tests.copy_child", *words, environment={})
    assert child.ends(120) == -signal.SIGKILL, child.errors
    rows = named(new.bridge.database)
    assert rows["vault1"]["person_keys"] == 30
    assert new.verify().problems == ()
    assert shop.told("keys", "rotate", "vault")["people"] == 30
    assert set(named(new.bridge.database)) == {shop.keys("vault")[0]}
    assert new.verify().problems == ()


def test_a_person_made_twice_by_a_forgotten_program_is_left_and_counted(
    house: House, make_house: Callable[..., House]
) -> None:
    """KEY-03: a program that was never restarted made her anew: the rotation says so, ends, and drops nothing."""
    new = under_two_roots(house, make_house)
    consents(new, AN)
    house.clock.forward(hours=25)
    asks(house, AN)  # does not see what stands under the newest root
    moved = move(new.bridge.database, new.bridge.vault, rest=lambda _: None)
    assert moved.left == 1
    assert named(new.bridge.database)["vault1"]["person_keys"] == 1


# -- the drill ---------------------------------------------------------------------------------------------------


def again(act: Callable[[], Any]) -> Any:
    """Try as a caller should: whoever is told that the store is away tries again."""
    for _ in range(60):
        try:
            return act()
        except StoreAway:
            continue
    return act()


class Load:
    """Readers at work on two programs: they sign up, confirm, choose, stop by links of every age; a dispatcher sends."""

    def __init__(self, programs: list[House]) -> None:
        self.programs = programs
        self.people: list[str] = []
        self.links: list[tuple[str, str]] = []  # address and stop token, as mailed under the key of that moment
        self.stopped: set[str] = set()
        self.rounds = [0, 0, 0]
        self.errors: list[BaseException] = []
        self._end = threading.Event()
        self._work = [threading.Semaphore(0) for _ in self.rounds]
        self._taken = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n, self._reader)) for n in range(2)]
        self._threads.append(threading.Thread(target=self._run, args=(2, self._dispatcher)))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for work in self._work:
            work.release()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads)

    def works_on(self) -> None:
        """Give everybody work, and wait until each has done some of it with the keys as they are now; what is left
        goes on beside whatever the test does next.
        """
        before = list(self.rounds)
        for work in self._work:
            work.release(8)
        for number in range(3):
            while self.rounds[number] < before[number] + 2 and self._threads[number].is_alive():
                self._end.wait(0.005)
        assert self.errors == []

    def _run(self, number: int, act: Callable[[House, int], None]) -> None:
        try:
            while self._work[number].acquire() and not self._end.is_set():
                act(self.programs[number % 2], number)
                self.rounds[number] += 1
        except BaseException as error:  # shown by the test, which is in another thread
            self.errors.append(error)

    def _reader(self, house: House, number: int) -> None:
        email = f"lezer{number}x{self.rounds[number]}@lezer.example"
        again(lambda: asks(house, email))
        token = again(lambda: confirm_token(house, email))
        again(lambda: house.bridge.acts.confirm(token))
        who = again(lambda: person(house, email))
        stop = stop_token(house.bridge.links, who.id, who.mark, house.clock(), ["newsletter"])
        claim = Claim(action=Action.FRESH, subject=who.id, address=who.mark, made=house.clock())
        fresh = house.bridge.links.token(claim)
        again(lambda: house.bridge.acts.pause(fresh, house.clock().date() + timedelta(days=2)))
        again(lambda: house.bridge.acts.pause(fresh, None))
        with self._taken:
            self.people.append(email)
            self.links.append((email, stop))
            old = self.links.pop(len(self.links) // 2) if len(self.links) > 6 else None
        if old is not None:  # a link of some time ago, under whatever key was in use then
            assert house.bridge.acts.stop(old[1], Method.ONE_CLICK)[0] == "newsletter"
            self.stopped.add(old[0])

    def _dispatcher(self, house: House, _number: int) -> None:
        again(house.dispatcher.once)


def test_all_rings_are_rotated_twice_while_everything_goes_on(shop: Shop) -> None:
    """KEY-02, KEY-03, WDR-09, decision 17: no "no" is lost, every link ever sent stops, the history is whole, and the
    root that went out may be dropped; the one that strangers' stops name may not.
    """
    shop.house.hear(Reader(shop.house, "vreemd@lezer.example").told_by_esp(EventType.UNSUBSCRIBED))
    programs = [shop.starts(), shop.starts()]
    with Load(programs) as load:
        for _ in range(2):
            for ring in ("link", "vault", "seal"):
                shop.told("keys", "rotate", ring, "--new")
            restart(shop, load)
            for ring in ("link", "vault"):
                assert shop.told("keys", "rotate", ring, "--restarted")["step"] == "use"
            restart(shop, load)
            assert shop.told("keys", "rotate", "vault")["left"] == 0
            load.works_on()
    assert load.errors == []

    last = shop.starts()
    again(last.bridge.acts.parking.replay)
    shop.told("keys", "rotate", "vault")
    assert last.verify().problems == ()
    assert load.stopped
    for email in load.stopped:
        assert not last.store.may_mail(email, "newsletter").may
    on = [email for email in load.people if email not in load.stopped]
    assert all(last.store.may_mail(email, "newsletter").may for email in on)

    newest, middle, oldest = shop.keys("vault")
    assert set(named(last.bridge.database)) == {newest, oldest}
    assert named(last.bridge.database)[oldest] == {"stop_list": 1}
    shop.time_goes_by()
    shop.told("keys", "drop", "vault", middle)
    assert shop.types("keys", "drop", "vault", oldest).exit_code == 1
    final = shop.starts()
    for email, token in load.links:
        assert final.client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert not final.store.may_mail(email, "newsletter").may
    assert not final.store.may_mail("vreemd@lezer.example", "newsletter").may
    final.dispatch()
    assert not any(final.esp.people[email].on for email in load.people if email in final.esp.people)
    assert final.verify().problems == ()


def restart(shop: Shop, load: Load) -> None:
    """Restart the two programs one after the other, while readers use both."""
    for number in range(2):
        load.programs[number] = shop.starts()
        load.works_on()
