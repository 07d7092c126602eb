"""Somebody of whom there is something everywhere is erased: what is left is a keyed hash.

Rows RGT-04, SUP-04, SUP-05, SUP-06, ESP-04, R12; decisions 9, 19 and 20. Both databases.
"""

import hashlib
import logging
import tempfile
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from bridge.acts import Confirmed
from bridge.cli.traces import dresses, files_with
from bridge.jobs import doctor
from bridge.jobs import requests as jobs
from bridge.mailer import stop_token
from bridge.spool import Parked, Spool
from bridge.store.case_files import Told
from bridge.store.copies import back_up
from bridge.tables import erase_work, metadata, person_keys, stop_list
from bridge.vocabulary import EventType, Method, RequestKind, Status
from tests.conftest import House, Reader
from tests.test_backup import Copies, fresh  # noqa: F401  (`fresh` is a fixture)
from tests.test_erase import all_over
from tests.test_import import HEADER
from tests.test_repermission import POLICY, Desk
from tests.test_store import confirm_token, disguises, person, stored

AN, NEW, DIRK = "An.VandenBerg@lezer.example", "an.nieuw@lezer.example", "dirk@lezer.example"
NOTE = "Mevrouw Van den Berg belde vanmorgen"


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """A policy that asks old contacts once more, and for a country."""
    path = policy_folder / "policy.toml"
    path.write_text(path.read_text(encoding="utf-8") + POLICY, encoding="utf-8")
    return policy_folder


@pytest.fixture
def temporary(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What programs write into temporary files lies where it is looked for."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Trail:
    """An, who left a trace wherever a reader can leave one."""

    def __init__(self, house: House, papers: Path) -> None:
        self.house, self.papers = house, papers
        self.an, self.new = Reader(house, AN), Reader(house, NEW)

    def leaves(self) -> None:
        """From an old list, by the question that is put once, forms, mails, links, platforms, a move, a letter."""
        house, an, new = self.house, self.an, self.new
        self.desk = Desk(house, self.papers)
        self.desk.takes_in(AN, country="BE")
        self.desk.asks()
        house.clock.forward(minutes=5)
        house.client.post(an.link("/question/"))
        house.clock.forward(minutes=5)
        an.signs_up("newsletter", "offers", country="NL")
        house.clock.forward(minutes=5)
        house.bridge.acts.confirm(confirm_token(house, AN))
        house.dispatch()
        link = an.asks_for_a_link()
        an.saves(link, "offers")
        house.client.post(link, data={"language": "en"})
        house.client.post(link, data={"pause_until": "2026-12-24"})
        md5 = hashlib.md5(AN.lower().encode()).hexdigest()
        house.hear(an.told_by_esp(EventType.DEFERRED, key=md5), an.told_by_esp(EventType.SUBSCRIBED, "newsletter"))
        house.hear(an.told_by_esp(EventType.BOUNCED, key=f"{md5} bounced {AN}"))
        house.clock.forward(minutes=5)
        house.hear(msgspec.structs.replace(an.told_by_esp(EventType.MOVED), to=NEW))
        house.clock.forward(minutes=5)
        assert new.confirms().status_code == 200
        house.dispatch()
        self.old_link = stop_token(house.bridge.links, self.who.id, self.who.mark, house.clock())
        house.hear(new.told_by_esp(EventType.COMPLAINED))
        house.dispatch()
        house.store.queue.jobs.begin("memory", [self.who.number])
        for email in (AN, NEW):
            told = Told(email=email, note=NOTE)
            case = jobs.open_request(house.bridge, told, RequestKind.ACCESS)
            jobs.ask_whether_hers(house.bridge, case)  # this mail waits
        stop = Parked(subject=self.who.id, mark=self.who.mark, purpose="", time=house.clock(), method=Method.ONE_CLICK)
        for spool in (house.bridge.spool, Spool(house.bridge.spool.aside)):
            spool.park(msgspec.structs.replace(stop, subject="another-one"))
            spool.park(stop)
            spool.park(msgspec.structs.replace(stop, subject="another-one"))

    @property
    def who(self) -> Any:
        """Her row, wherever she is reached."""
        return self.house.store.person(NEW) or person(self.house, AN)

    def needles(self) -> dict[str, bytes]:
        """Everything that names her, in every dress."""
        who = self.who
        with self.house.bridge.database.reading() as db:
            (wrapped,) = db.scalars(select(person_keys.c.wrapped).where(person_keys.c.subject == who.number))
            keys = {"her key": bytes(wrapped), "her raw id": urlsafe_b64decode(who.id + "==")}
        return disguises(AN) | disguises(NEW) | disguises(who.id) | keys | {"note": NOTE.encode()}


@pytest.fixture
def trail(house: House, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """An in this house; her papers lie elsewhere, for they are the operator's own."""
    return Trail(house, tmp_path_factory.mktemp("papers"))


def told(caplog: pytest.LogCaptureFixture) -> bytes:
    """What our own log says."""
    return "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("bridge")).encode()


def places(house: House, folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, bytes]]:
    """Every place of ours: log, each value of each table, every file, a backup of now, what monitors and people see."""
    yield "log", told(caplog)
    yield from stored(house)
    copies = folder / "copy", folder / "copy.keys"
    with copies[0].open("wb") as store, copies[1].open("wb") as keys:
        back_up(house.bridge.database, house.bridge.links.copy_key, (store, keys), house.clock(), lambda _d, _t: None)
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()
    for address in ("/metrics", "/readyz", "/privacy", "/subscribe"):
        answer = house.client.get(address, headers={"Authorization": "Bearer a-token-only-for-tests"})
        assert answer.status_code == 200
        yield address, answer.data
    yield "doctor", str(list(doctor.requests.look(house.bridge)) + list(doctor.campaigns.look(house.bridge))).encode()
    yield "requests", str(house.store.cases.all()).encode()
    yield "campaigns", str([house.store.campaigns.waves(each.id) for each in house.store.campaigns.all()]).encode()
    yield from heaps(house)


def heaps(house: House) -> Iterator[tuple[str, bytes]]:
    """PostgreSQL's own files of our tables, after a full vacuum. Its write-ahead log keeps what it likes."""
    if house.bridge.database.dialect != "postgresql":
        return
    with house.bridge.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        for table in metadata.sorted_tables:
            db.execute(text(f"VACUUM FULL {table.name}"))
        db.execute(text("CHECKPOINT"))
        root = Path(str(db.scalar(text("SELECT current_setting('data_directory')"))))
        files = db.execute(
            text("SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 'i', 't')")
        )
        for name, path in files.all():
            if path and (root / path).is_file():
                yield f"heap of {name}", (root / path).read_bytes()


@pytest.fixture
def found_in(trail: Trail, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[[dict[str, bytes]], list[Any]]:
    """Where any of these needles is found."""

    def look(needles: dict[str, bytes]) -> list[Any]:
        everywhere = list(places(trail.house, tmp_path, caplog))
        assert len(everywhere) > 30
        return [
            (where, dress) for where, content in everywhere for dress, needle in needles.items() if needle in content
        ]

    return look


@pytest.fixture
def house(make_house: Callable[..., House], database_url: str) -> House:
    """A house that a monitor may look into."""
    return make_house(database_url, BRIDGE_METRICS_TOKEN="a-token-only-for-tests")


def test_of_somebody_who_was_everywhere_nothing_is_left(
    trail: Trail, dirk: Reader, caplog: pytest.LogCaptureFixture, found_in: Callable[[dict[str, bytes]], list[Any]]
) -> None:
    """RGT-04, SUP-04, ESP-04: database, its files and log, journal, parked stops, temporary files, logs, metrics, a
    backup: address and id in clear, both cases, base64 thrice, hex, UTF-16, percents, and as plain hashes: 0 hits.
    """
    house = trail.house
    caplog.set_level(logging.DEBUG, "bridge")
    dirk.has_consented()
    trail.leaves()
    needles = trail.needles()
    hits = {dress for _, dress in found_in(needles)}
    assert {f"{trail.who.id} in clear", "her key"} <= hits, "the picture the test is about: her id and key are there"
    assert not {dress for dress in hits if "lezer.example" in dress.lower()}, "her address never was"
    with house.bridge.database.reading() as db:
        mails = db.scalar(text("SELECT count(*) FROM outbox"))
    assert mails, "something waits for her"

    said = [(dress, needle) for dress, needle in needles.items() if needle in told(caplog)]
    assert {dress for dress, _ in said} <= {f"{trail.who.id} in clear", f"{trail.who.id} in percents"}
    caplog.clear()  # MIN-03: until now a log may name her random id, which says nothing from now on

    done = house.store.erase_person(NEW)

    assert done.known
    parked = house.bridge.spool.path.read_bytes(), house.bridge.spool.aside.read_bytes()
    assert [each.count(b"another-one") for each in parked] == [2, 2], "the stops of others are still parked"
    assert found_in(needles) == []
    with house.bridge.database.reading() as db:
        works = db.execute(select(erase_work)).all()
    assert works
    secrets = {
        f"{name} of work {n}": getattr(row, name) for n, row in enumerate(works) for name in ("wrapped", "address")
    }
    with house.bridge.database.writing() as db:  # the ESP's job that may name her is over
        db.execute(text("DELETE FROM esp_jobs"))
    all_over(house)
    house.store.forget_requests()
    assert found_in(needles | secrets) == []
    assert not {AN, AN.lower(), NEW} & house.esp.people.keys()
    assert house.verify().problems == ()
    assert dirk.may().may
    assert dirk.is_on()
    with house.bridge.database.reading() as db:
        reasons = set(db.scalars(select(stop_list.c.reason).where(stop_list.c.scope == "")))
    assert reasons == {"erased"}
    assert all(case.dark for case in house.store.cases.all())


def test_lists_and_platforms_that_bring_her_again_are_counted_and_skipped(
    trail: Trail, caplog: pytest.LogCaptureFixture, found_in: Callable[[dict[str, bytes]], list[Any]]
) -> None:
    """SUP-05: an import of either address, and what a platform tells of it; nothing is kept or told there."""
    house = trail.house
    trail.leaves()
    needles = trail.needles()
    house.store.erase_person(AN)
    with house.bridge.database.writing() as db:
        db.execute(text("DELETE FROM esp_jobs"))
    all_over(house)
    house.clock.forward(days=1)
    lists = trail.desk.lists
    rows = [{"email": email, "country": "BE"} for email in (AN.upper(), NEW)]
    taken = lists.take(lists.write(*rows, header=(*HEADER, "country")))
    assert (taken.imported, taken.suppressed) == (0, 2)
    for reader in (trail.an, trail.new):
        house.hear(reader.told_by_esp(EventType.SUBSCRIBED, "newsletter"), reader.told_by_esp(EventType.UNSUBSCRIBED))
        assert not reader.may().may
    house.dispatch()
    assert not {AN, AN.lower(), NEW} & house.esp.people.keys()
    caplog.clear()
    assert found_in({dress: needle for dress, needle in needles.items() if dress != "note"}) == []


def test_who_comes_back_is_a_new_person_whom_the_old_link_still_stops(trail: Trail) -> None:
    """R12, decision 9: one question in 30 days; her yes lifts the hash; nothing ties her to who she was."""
    house, new = trail.house, trail.new
    trail.leaves()
    before = trail.who
    house.store.erase_person(NEW)
    with house.bridge.database.writing() as db:
        db.execute(text("DELETE FROM esp_jobs"))
    all_over(house)
    house.clock.forward(days=31)
    house.mailbox.clear()
    for _ in range(3):
        new.signs_up()
        house.dispatch()
        house.clock.forward(days=2)
    (question,) = new.mails()
    assert question["Subject"]
    assert new.status() in (Status.UNKNOWN, Status.REQUESTED)
    assert not new.may().may
    house.clock.forward(days=-5)
    assert house.bridge.acts.confirm(confirm_token(house, NEW))[0] is Confirmed.NOW
    after = person(house, NEW)
    assert after.id != before.id
    assert after.number != before.number
    assert new.may().may
    assert [event.type for event in new.story()][:1] == [EventType.REQUESTED]
    assert house.store.cases.of(NEW) == []
    house.dispatch()
    assert new.is_on()
    house.clock.forward(hours=1)
    answer = house.client.post(f"/u/{trail.old_link}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert not new.may().may
    house.dispatch()
    assert not new.is_on()


def test_no_old_backup_brings_her_or_her_letters_back(
    trail: Trail,
    tmp_path_factory: pytest.TempPathFactory,
    make_house: Callable[..., House],
    fresh: Callable[[str], str],  # noqa: F811  (the fixture)
) -> None:
    """SUP-06, decision 19: an older copy with the newest keys: she and what her letters said are dark, letters of
    others, and those that came after the copy, are there with their clocks.
    """
    shop = Copies(trail.house, tmp_path_factory.mktemp("shop") / "settings.env", make_house, fresh)
    trail.house.clock.forward(days=-20)
    trail.leaves()
    house, book = trail.house, trail.house.store.cases
    dirks = jobs.open_request(house.bridge, Told(email=DIRK, note="Dirk wil inzage."), RequestKind.ACCESS)
    needles = trail.needles()
    old = shop.backs_up("old")
    hers = [case.id for case, _ in book.of(NEW)]
    assert len(hers) == 2
    house.store.erase_person(NEW)
    late = jobs.open_request(house.bridge, Told(email=DIRK), RequestKind.OBJECT)
    newest = shop.backs_up("newest")

    new, restored = shop.restores(old, newest.with_name("newest.keys"))

    assert restored["dark"] == 1
    found = {case.id: case for case in new.store.cases.all()}
    assert {id_ for id_, case in found.items() if case.dark} == set(hers)
    assert found.keys() == {*hers, dirks.id, late.id}
    letter = new.store.cases.told(found[dirks.id])
    assert letter is not None
    assert letter.note == "Dirk wil inzage."
    assert found[late.id].due == late.due
    assert new.store.person(NEW) is None
    content = [value for _, value in stored(new)]
    assert [dress for dress, needle in needles.items() if any(needle in value for value in content)] == []
    assert new.verify().problems == ()
    assert not Reader(new, DIRK).may().may


@pytest.mark.parametrize("shift", range(6))
def test_whoever_looks_for_a_word_finds_it_in_every_dress(tmp_path: Path, shift: int) -> None:
    """RGT-04: what `demo --check` looks with: each dress planted in a file, at each place, is named without the word."""
    raw = AN.encode()
    planted = {
        "clear": raw,
        "lower": raw.lower(),
        "upper": raw.upper(),
        "percents": b"An.VandenBerg%40lezer.example",
        "utf16": AN.encode("utf-16-le"),
        "hex": raw.hex().encode(),
        "upper-hex": raw.hex().upper().encode(),
        "base64": b64encode(b"." * shift + raw + b"..."),
        "url": urlsafe_b64encode(b"." * shift + raw.lower() + b"..."),
        "md5": hashlib.md5(raw.lower()).digest(),
        "sha1": hashlib.sha1(raw.lower()).hexdigest().encode(),
        "sha256": b64encode(hashlib.sha256(raw).digest()),
    }
    for name, dress in planted.items():
        (tmp_path / name).write_bytes(b"x" * 7 + dress + b"x" * 7)
    (tmp_path / "nothing").write_bytes(b"dirk@lezer.example")
    found = files_with([*sorted(tmp_path.iterdir()), tmp_path / "gone"], dresses(AN))
    assert {line.partition(":")[0] for line in found} == planted.keys()
    assert "anden" not in "".join(found).lower()
