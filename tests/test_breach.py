"""A breach: its clock, whom it concerns in numbers equal to the database's truth, and telling each of them once.

BRC-01; GDPR 33, 34; standards.md sections 6, 8 and 9; ORG-02 for the second person.
"""

import json
import stat
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import Phase as Round
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sql_event
from sqlalchemy import func, select

from bridge.cli.main import main
from bridge.decide import breach_clock, needs_reason
from bridge.jobs.breach.ids import checked, written
from bridge.jobs.breach.papers import Window, export
from bridge.jobs.breach.telling import subject_of, tell
from bridge.jobs.doctor import breaches as doctor
from bridge.jobs.reports import staff
from bridge.jobs.retention import Purge
from bridge.store import BadInput
from bridge.store.affected import Scope, scope_of
from bridge.store.breaches import Breach, Facts, Phase
from bridge.store.values import Listed
from bridge.tables import breach_told, events, metadata, outbox, pushes, records
from bridge.vocabulary import EventType
from tests.channels import open_doors
from tests.conftest import House, Reader
from tests.csv_lists import Lists
from tests.test_store import asks, consents, person, withdraws

T = EventType
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORDS = {"nl": "Een laptop is gestolen.\n\nWees op je hoede.", "en": "A laptop was stolen.\n\nBeware of mails."}
ALWAYS = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors."""
    return open_doors(policy_folder)


def opened(house: House, **facts: Any) -> Breach:
    """A breach that is on the register since now."""
    return house.store.breaches.open(house.clock(), Facts(what="a laptop was stolen", **facts), "carla")


def ids_of(house: House, folder: Path, breach: Breach, window: Window = ALWAYS) -> Path:
    """Export it; gives the sealed file."""
    return export(house.bridge, breach, window, folder)[1][-1]


def told(house: House, breach: Breach, path: Path) -> Listed:
    """What the second person's act does."""
    with checked(path) as ids:
        return tell(house.bridge, breach.number, ids, "dora", approved=subject_of(house.bridge, breach.number, ids))


# -- the clock ----------------------------------------------------------------------------------------------------


@given(clock=st.integers(24, 96), hours=st.integers(-200, 200), said=st.booleans(), excused=st.booleans())
def test_brc_01_the_clock_runs_from_awareness_and_only_word_stops_it(
    clock: int, hours: int, *, said: bool, excused: bool
) -> None:
    """BRC-01, GDPR 33(1): due so long after it was noticed; overdue only past that, with nothing told and no reason."""
    now = NOW + hours * HOUR
    found = breach_clock(NOW, clock * HOUR, now, [now] if said else [], excused)
    assert (found.due, found.left) == (NOW + clock * HOUR, (clock - hours) * HOUR)
    assert found.stopped is (said or excused)
    assert found.overdue is (hours > clock and not said and not excused)


@pytest.mark.parametrize(("late", "before"), list(product([False, True], [(), (NOW,)])))
def test_brc_01_only_a_late_first_word_must_say_why(*, late: bool, before: tuple[datetime, ...]) -> None:
    """BRC-01, GDPR 33(1), (4): the first phase past the clock gives its reason; what follows is a phase."""
    sent = NOW + 72 * HOUR + timedelta(seconds=late)
    assert needs_reason(NOW, 72 * HOUR, sent, before) is (late and not before)


def test_brc_01_an_overdue_breach_is_named(house: House) -> None:
    """BRC-01: doctor names each open breach and the time left; a closed one no more."""
    breach = opened(house)
    (found,) = doctor.look(house.bridge)
    assert (found.ok, "72 h 0 min left" in found.subject) == (True, True)
    house.clock.forward(hours=73)
    (found,) = doctor.look(house.bridge)
    assert (found.ok, "OVERDUE by 1 h" in found.subject) == (False, True)
    phase = Phase(time=house.clock(), reference="BE-1", delay="holidays")
    facts = Facts(what="a laptop was stolen", phases=(phase,))
    house.store.breaches.change(breach.number, lambda _: facts, "sent", "carla")
    assert next(iter(doctor.look(house.bridge))).ok
    house.store.breaches.change(breach.number, lambda _: facts, "over", "carla", close=True)
    assert list(doctor.look(house.bridge)) == []


# -- the register -------------------------------------------------------------------------------------------------


def test_brc_01_the_register_names_no_reader(house: House) -> None:
    """BRC-01, MIN-01: an address in any of its texts is refused, and nothing is written then."""
    for field in ("what", "consequences", "measures", "no_report", "told", "no_word"):
        with pytest.raises(BadInput, match="an e-mail address"):
            house.store.breaches.open(house.clock(), Facts(**{"what": "x", field: "of an@lezer.example too"}), "carla")
    for facts in ({"systems": ("an@lezer.example",)}, {"words": {"nl": "an@lezer.example"}}):
        with pytest.raises(BadInput):
            opened(house, **facts)
    breach = opened(house)
    with pytest.raises(BadInput):
        house.store.breaches.change(breach.number, lambda b: b.facts, "it was an@lezer.example", "carla")
    assert [one.number for one in house.store.breaches.all()] == [breach.number]
    assert len(house.store.breaches.notes(breach.number)) == 1


def test_brc_01_what_is_closed_stays_as_it_was_and_goes_after_its_time(house: House) -> None:
    """GDPR 33(5), section 8: a closed breach takes no change, and is forgotten with all about it once it is old."""
    breach, other = opened(house), opened(house)
    house.store.breaches.change(breach.number, lambda b: b.facts, "over", "carla", close=True)
    with pytest.raises(BadInput, match="closed"):
        house.store.breaches.change(breach.number, lambda b: b.facts, "more", "carla")
    closed = house.clock()
    assert (house.store.breaches.count_late(closed), house.store.breaches.forget(closed)) == (0, 0)
    house.clock.forward(days=1)
    assert house.store.breaches.count_late(house.clock()) == 1
    assert house.store.breaches.forget(house.clock()) == 1
    assert [one.number for one in house.store.breaches.all()] == [other.number]
    assert house.store.breaches.notes(breach.number) == []


def test_min_06_a_breach_is_kept_for_sixty_months_after_it_was_closed(house: House) -> None:
    """MIN-06, section 8: `purge` counts it dry, deletes it once it is old, and leaves what is open for ever."""
    breach = opened(house)
    opened(house)
    house.store.breaches.change(breach.number, lambda b: b.facts, "over", "carla", close=True)
    house.clock.forward(days=365 * 5)
    assert Purge(house.bridge).run()["breaches"] == 0
    house.clock.forward(days=3)
    assert Purge(house.bridge).count()["breaches"] == 1
    assert [Purge(house.bridge).run()["breaches"] for _ in range(2)] == [1, 0]
    assert len(house.store.breaches.all()) == 1


def test_a_breach_of_tomorrow_is_refused(home: House) -> None:
    """Bad input: awareness in the future would stop the clock."""
    with pytest.raises(BadInput, match="future"):
        home.store.breaches.open(home.clock() + HOUR, Facts(what="x"), "carla")


# -- whom it concerns ---------------------------------------------------------------------------------------------


def truth(house: House, scope: Scope) -> dict[str, Any]:
    """The same numbers, counted one by one from the rows themselves."""
    names = metadata.tables["names"]
    with house.bridge.database.reading() as db:
        words = {row.number: row.text for row in db.execute(select(names))}
        told_of = [row for row in db.execute(select(events)) if row.subject is not None]
        stands = db.execute(select(records)).all()
        there = db.execute(select(pushes)).all()
        everybody = {row.number for row in db.execute(select(metadata.tables["subjects"]))}
    heard = [row for row in told_of if (row.received or row.time) <= scope.until]
    mine = {row.subject for row in heard} & everybody
    mine |= everybody - {row.subject for row in told_of}
    if scope.purposes:
        mine &= {row.subject for row in stands if words[row.purpose] in scope.purposes}
    if scope.channels:
        mine &= {row.subject for row in told_of if words.get(row.channel) in scope.channels}
    if scope.adapters:
        mine &= {row.subject for row in there if row.adapter in scope.adapters and (row.put or row.attempts)}
    heard = [row for row in heard if row.subject in mine]
    channels = {(row.subject, words[row.channel]) for row in heard if row.channel is not None}
    by_purpose: dict[str, Counter[str]] = {}
    for row in stands:
        if row.subject in mine:
            by_purpose.setdefault(words[row.purpose], Counter())[row.status] += 1
    return {
        "people": len(mine),
        "with_events": len({row.subject for row in heard}),
        "events": len(heard),
        "events_within": len([row for row in heard if (row.received or row.time) >= scope.since]),
        "by_purpose": {name: dict(parts) for name, parts in by_purpose.items()},
        "without_purpose": len(mine - {row.subject for row in stands}),
        "by_channel": dict(Counter(channel for _, channel in channels)),
    }


def fill(house: House, folder: Path) -> list[datetime]:
    """People of every kind, who came at different times; gives moments in between."""
    lists, moments = Lists(house, folder), [house.clock()]
    house.clock.forward(hours=1)
    for number in range(4):
        consents(house, f"a{number}@lezer.example", "newsletter", *(["offers"] if number % 2 else []))
    withdraws(house, "a0@lezer.example")
    house.dispatch()
    moments.append(house.clock.forward(hours=1))
    lists.take(
        lists.write({"email": "old@lezer.example"}, {"email": "old2@lezer.example", "purpose": "offers"}),
        channel="old-list",
    )
    asks(house, "waits@lezer.example", "offers")
    moments.append(house.clock.forward(hours=1))
    consents(house, "late@lezer.example")
    house.hear(Reader(house, "a1@lezer.example").told_by_esp(T.BOUNCED))
    moments.append(house.clock.forward(hours=1))
    return moments


def test_brc_01_the_numbers_are_the_databases_truth(house: House, tmp_path: Path) -> None:
    """BRC-01: over every window, purpose, channel and platform the counts are those of the rows, one by one."""
    moments = fill(house, tmp_path)
    seen = set()
    for since, until in [(moments[0], at) for at in moments] + [(at, at) for at in moments[1:3]]:
        for purposes, channels, adapters in product(((), ("offers",)), ((), ("old-list",)), ((), ("memory",))):
            scope = Scope(since=since, until=until, purposes=purposes, channels=channels, adapters=adapters)
            found = house.store.affected(scope)
            expected = truth(house, scope)
            assert {name: getattr(found, name) for name in expected} == expected, scope
            if not purposes:
                assert len(list(house.store.each_affected(scope))) == found.people
            seen.add(found.people)
    assert seen >= {0, 1, 2, 4, 7, 8}


def test_brc_01_erased_people_are_only_a_number(house: House, tmp_path: Path) -> None:
    """BRC-01, RGT-04: whoever was erased since the window began is in no other number and in no file of ids."""
    fill(house, tmp_path)
    before, gone = house.clock(), person(house, "a2@lezer.example").id
    house.clock.forward(minutes=1)
    house.store.erase_person("a2@lezer.example")
    breach = opened(house)
    scope = scope_of(breach, before, house.clock(), ["memory"])
    assert (house.store.affected(scope).people, house.store.affected(scope).erased_since) == (7, 1)
    assert gone not in {one.id for one in house.store.each_affected(scope)}
    assert house.store.affected(scope_of(breach, house.clock.forward(hours=1), house.clock(), [])).erased_since == 0


@pytest.mark.parametrize(
    ("systems", "adapters"), [((), ()), (("memory",), ("memory",)), (("memory", "laptop"), ()), (("laptop",), ())]
)
def test_brc_01_only_where_nothing_but_platforms_was_hit_others_are_safe(
    home: House, systems: tuple[str, ...], adapters: tuple[str, ...]
) -> None:
    """BRC-01: unknown means everybody: one thing of ours among the systems, and nobody is left out."""
    assert scope_of(opened(home, systems=systems), *ALWAYS, ["memory"]).adapters == adapters


def test_brc_01_the_statements_do_not_grow_with_the_people(house: House, tmp_path: Path) -> None:
    """BRC-01: counted in the database, in a fixed number of statements."""
    lists = Lists(house, tmp_path)

    def asked() -> int:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        engine = house.bridge.database.engine
        sql_event.listen(engine, "before_cursor_execute", note)
        house.store.affected(scope_of(breach, *ALWAYS, []))
        sql_event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    breach = opened(house)
    few = asked()
    lists.take(lists.write(*({"email": f"a{number}@lezer.example"} for number in range(300))), channel="old-list")
    assert asked() == few
    assert house.store.affected(scope_of(breach, *ALWAYS, [])).people == 300


# -- the files ----------------------------------------------------------------------------------------------------


def test_brc_01_the_papers_tell_what_is_known_and_nobody(house: House, tmp_path: Path) -> None:
    """BRC-01, GDPR 33(3), 34(2): both drafts, both languages, HTML and text, with every number; no address, no id."""
    fill(house, tmp_path)
    breach = opened(house, consequences="spam in our name", systems=("laptop",), words={"nl": WORDS["nl"]})
    numbers, paths = export(house.bridge, breach, Window(ALWAYS.since, house.clock()), tmp_path / "out")
    assert [path.name for path in paths] == [
        "breach-1.json",
        *(
            f"breach-1-{whom}.{language}.{end}"
            for whom in ("authority", "people")
            for language in ("nl", "en")
            for end in ("html", "txt")
        ),
        "breach-1.ids",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert json.loads(paths[0].read_text()) == numbers
    assert (numbers["people"], numbers["by_language"], numbers["ids"]) == (8, {"nl": 8}, 8)
    people = [one.id for one in house.store.each_affected(scope_of(breach, *ALWAYS, []))]
    for path in paths:
        text = path.read_bytes().decode("latin-1")
        assert "lezer.example" not in text, path
        assert not any(one in text for one in people), path
    authority = paths[1].read_text()
    for words in ("spam in our name", "laptop", "Dora Maes", "72 uur" if "72 uur" in authority else "3 dagen"):
        assert words in authority
    assert "33(4)" in authority, "what is not known yet is said"
    assert "Wees op je hoede." in paths[5].read_text()
    assert "spam in our name" in paths[7].read_text(), "without words of its own the draft is made of the facts"
    with pytest.raises(FileExistsError):
        export(house.bridge, breach, ALWAYS, tmp_path / "out")


@settings(phases=[Round.explicit, Round.generate], max_examples=25, deadline=None)
@given(data=st.data())
def test_brc_01_the_sealed_file_is_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """BRC-01: its ids come back as they went in; any byte changed, or a piece cut off, and it is refused."""
    from bridge.vault import Key, Vault

    vault = Vault([Key("v1", b"v" * 32)])
    path = tmp_path_factory.mktemp("ids") / "breach-7.ids"
    ids = [f"{number:022}" for number in range(data.draw(st.sampled_from([0, 1, 499, 500, 501, 1200])))]
    with written(path, vault, 7, NOW) as file:
        for one in ids:
            file.add(one)
    with checked(path) as kept:
        assert [one for block in kept.read(vault) for one in block] == ids
    raw = bytearray(path.read_bytes())
    assert not ids or ids[0].encode() not in raw
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        place = data.draw(st.integers(raw.index(b"\n") + 1, len(raw) - 1))
        raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput), checked(path) as kept:
        list(kept.read(vault))


def test_brc_01_another_houses_keys_open_nothing(tmp_path: Path) -> None:
    """BRC-01: without the vault the file is dark; and no file of another kind is taken for one."""
    from bridge.vault import Key, Vault

    path = tmp_path / "breach-7.ids"
    with written(path, Vault([Key("v1", b"v" * 32)]), 7, NOW) as file:
        file.add("x" * 22)
    for other in (Vault([Key("v1", b"w" * 32)]), Vault([Key("v2", b"v" * 32)])):
        with checked(path) as kept, pytest.raises(BadInput, match="export the breach again"):
            list(kept.read(other))
    (tmp_path / "list.csv").write_text("email\n")
    with pytest.raises(BadInput, match="no file of a breach"), checked(tmp_path / "list.csv"):
        pass


# -- telling people -----------------------------------------------------------------------------------------------


def test_brc_01_everybody_is_written_to_once_whatever_she_said(house: House, tmp_path: Path) -> None:
    """BRC-01, GDPR 34: also who left, each in her language, with no link to press; twice approved, or exported anew
    with more people in it, is still one mail to each. Nobody at a dead address, nobody who is gone."""
    fill(house, tmp_path)
    house.hear(Reader(house, "a3@lezer.example").told_by_esp(T.COMPLAINED))
    house.dispatch()
    house.mailbox.clear()
    breach = opened(house, words=WORDS)
    path = ids_of(house, tmp_path / "one", breach, Window(ALWAYS.since, house.clock()))
    house.clock.forward(hours=1)
    consents(house, "later@lezer.example")
    house.dispatch()
    house.mailbox.clear()
    house.store.erase_person("a2@lezer.example")
    found = told(house, breach, path)
    assert found == Listed(listed=7, before=0, gone=1)
    assert told(house, breach, path) == Listed(listed=0, before=7, gone=1)
    house.dispatch()
    assert house.store.breaches.told(breach.number) == (0, 6, 1)
    got = Counter(str(mail["To"]) for mail in house.mailbox.messages)
    assert got == dict.fromkeys((f"{name}@lezer.example" for name in ("a0", "a3", "old", "old2", "waits", "late")), 1)
    again = ids_of(house, tmp_path / "two", breach)
    assert told(house, breach, again) == Listed(listed=1, before=7, gone=0)
    house.dispatch()
    assert len(house.mailbox.to("later@lezer.example")) == 1
    (mail,) = house.mailbox.to("a0@lezer.example")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Een laptop is gestolen." in body.get_content()
    assert "/u/" not in body.get_content()
    assert "List-Unsubscribe" not in mail
    assert house.store.breaches.told(breach.number) == (0, 7, 1)


@pytest.mark.parametrize("promised", [False, True])
def test_rgt_04_who_was_written_to_is_forgotten_with_her(house: House, tmp_path: Path, *, promised: bool) -> None:
    """RGT-04, R12: erased, nothing says that she was told; if the same address signs up anew, it is a new person."""
    consents(house, "an@lezer.example")
    breach = opened(house, words=WORDS)
    assert told(house, breach, ids_of(house, tmp_path / "one", breach)).listed == 1
    if promised:
        assert house.store.tell_of_breaches() == 1
    house.store.erase_person("an@lezer.example")
    with house.bridge.database.reading() as db:
        assert db.execute(select(breach_told)).all() == []
    house.mailbox.clear()
    house.dispatch()
    assert house.mailbox.to("an@lezer.example") == [], "the promised mail went with her"


def test_con_01_a_readers_own_mail_never_waits_behind_the_news(house: House, tmp_path: Path) -> None:
    """CON-01: however many are to be told, few of their mails wait at once, and what a reader asked for goes first."""
    lists = Lists(house, tmp_path)
    lists.take(lists.write(*({"email": f"a{n}@lezer.example"} for n in range(40))), channel="old-list")
    house.dispatch()
    breach = opened(house, words=WORDS)
    assert told(house, breach, ids_of(house, tmp_path / "one", breach)).listed == 40
    assert [house.store.tell_of_breaches(15) for _ in range(3)] == [15, 0, 0]
    house.clock.forward(seconds=1)
    asks(house, "an@lezer.example")
    assert house.store.queue.claim_mails(1)[0].kind == "confirm"
    house.clock.forward(minutes=10)
    house.mailbox.clear()
    house.dispatch()
    got = Counter(str(mail["To"]) for mail in house.mailbox.messages)
    assert got == dict.fromkeys([*(f"a{n}@lezer.example" for n in range(40)), "an@lezer.example"], 1)


def test_two_dispatchers_tell_nobody_twice(house: House, make_house: Callable[..., House], tmp_path: Path) -> None:
    """GDPR 34: two programs that come to the same people at once promise each one mail."""
    lists = Lists(house, tmp_path)
    lists.take(lists.write(*({"email": f"a{n}@lezer.example"} for n in range(20))), channel="old-list")
    breach = opened(house, words=WORDS)
    told(house, breach, ids_of(house, tmp_path / "one", breach))
    other = make_house(house.environment["BRIDGE_DATABASE_URL"])
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(one.store.tell_of_breaches) for one in (house, other)]
        assert sum(each.result() for each in done) == 20
    with house.bridge.database.reading() as db:
        assert db.scalar(select(func.count()).where(outbox.c.work == "mail:breach")) == 20


def test_verify_names_who_was_told_and_is_not_there(house: House) -> None:
    """RGT-04: a row of somebody who is gone is found."""
    with house.bridge.database.writing() as db:
        db.execute(breach_told.insert().values(breach=3, subject=77))
    assert [(one.where, one.what) for one in house.verify().problems] == [
        ("breach 3", "a person was told who is not there")
    ]


def test_brc_01_words_in_every_language_come_first(house: House, tmp_path: Path) -> None:
    """BRC-01, CAP-08: no approval is asked while a language is missing, nor for another breach's file."""
    breach = opened(house, words={"nl": "Een laptop is gestolen."})
    path = ids_of(house, tmp_path / "one", breach)
    with checked(path) as ids, pytest.raises(BadInput, match=r"missing in en.*--words en=FILE"):
        subject_of(house.bridge, breach.number, ids)
    other = opened(house, words=WORDS)
    with checked(path) as ids, pytest.raises(BadInput, match="belongs to breach 1"):
        subject_of(house.bridge, other.number, ids)


def test_a_stop_beside_the_mail_is_kept(house: House, tmp_path: Path) -> None:
    """R1: being told changes nothing of where she stands, and a stop after it is a stop."""
    consents(house, "an@lezer.example")
    an = Reader(house, "an@lezer.example")
    breach = opened(house, words=WORDS)
    told(house, breach, ids_of(house, tmp_path / "one", breach))
    withdraws(house, "an@lezer.example")
    house.dispatch()
    assert (an.status(), an.may().may) == ("withdrawn", False)
    assert not house.verify().problems


@pytest.mark.parametrize("promised", [False, True])
def test_org_02_what_is_mailed_is_what_was_approved(house: House, tmp_path: Path, *, promised: bool) -> None:
    """ORG-02: words that are noted after the approval go out to nobody before another one."""
    consents(house, "an@lezer.example")
    house.dispatch()
    house.mailbox.clear()
    breach = opened(house, words=WORDS)
    path = ids_of(house, tmp_path / "one", breach)
    told(house, breach, path)
    if promised:
        house.store.tell_of_breaches()
    other = {**WORDS, "nl": "Bel meteen nul negenhonderd."}
    house.store.breaches.change(breach.number, lambda b: msgspec.structs.replace(b.facts, words=other), "x", "carla")
    house.dispatch()
    (mail,) = house.mailbox.to("an@lezer.example")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Een laptop is gestolen." in body.get_content()
    assert "negenhonderd" not in str(mail)
    consents(house, "bo@lezer.example")
    house.dispatch()
    told(house, breach, ids_of(house, tmp_path / "two", breach))
    house.dispatch()
    assert "negenhonderd" in house.mailbox.to("bo@lezer.example")[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def says(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call the command as an operator: `says("carla", "breach", "list")`."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)

    def call(operator: str, *words: str) -> Any:
        return CliRunner().invoke(main, list(words), env={"BRIDGE_OPERATOR": operator})

    return call


def test_org_02_only_a_second_person_lets_the_mails_go(house: House, says: Callable[..., Any], tmp_path: Path) -> None:
    """ORG-02, BRC-01: from the first entry to the last: nothing leaves before another operator approved exactly these
    people and words, and no address is on any screen."""
    consents(house, "an@lezer.example")
    consents(house, "dirk@lezer.example")
    house.dispatch()
    house.mailbox.clear()
    for language, words in WORDS.items():
        (tmp_path / f"{language}.txt").write_text(words)
    out = [
        says("carla", "breach", "open", "a laptop was stolen", "--system", "laptop", "--table", "subjects", "--json")
    ]
    assert json.loads(out[-1].stdout)["number"] == 1
    letters = [f"--words={language}={tmp_path / language}.txt" for language in WORDS]
    out.append(says("carla", "breach", "note", "1", *letters))
    out.append(says("carla", "breach", "export", "1", "--out", str(tmp_path / "b")))
    ids = str(tmp_path / "b" / "breach-1.ids")
    asked = says("carla", "breach", "notify", "1", "--ids", ids, "--json")
    id_ = json.loads(asked.stdout)["waits"]
    (act,) = [one for one in staff.collect(house.bridge, "en", None)["acts"] if one["act"] == "breach notify"]
    assert (act["stage"], act["about"]["approval"]) == (
        "asked",
        id_,
    )  # not begun without an end, as one that was killed
    house.dispatch()
    assert house.mailbox.messages == []
    herself = says("carla", "approve", id_)
    assert (herself.exit_code, "another person" in herself.output) == (1, True)
    (tmp_path / "en.txt").write_text("Nothing happened.")
    out.append(says("carla", "breach", "note", "1", letters[1]))
    changed = says("dora", "approve", id_)
    assert (changed.exit_code, "others than those" in changed.output) == (1, True)
    id_ = json.loads(says("carla", "breach", "notify", "1", "--ids", ids, "--json").stdout)["waits"]
    done = says("dora", "approve", id_)
    assert (done.exit_code, "2 people are to be told" in done.output) == (0, True)
    house.dispatch()
    assert len(house.mailbox.messages) == 2
    early = says("carla", "breach", "close", "1", "over")
    assert (early.exit_code, "the authority heard nothing" in early.output) == (1, True)
    out.append(says("carla", "breach", "note", "1", "--sent", "BE-2026-114"))
    out.append(says("carla", "breach", "close", "1", "keys changed"))
    shown = says("carla", "breach", "show", "1", "--json")
    told_ = json.loads(shown.stdout)
    assert (told_["people"], told_["mails"]["promised"], told_["overdue"]) == (2, 2, False)
    assert [note["by"] for note in told_["notes"]].count("dora") == 1
    out += [
        says("carla", "breach", "show", "1"),
        says("carla", "breach", "list"),
        says("carla", "breach", "list", "--json"),
    ]
    assert [one.exit_code for one in out] == [0] * len(out), [one.output for one in out]
    assert not any("lezer.example" in one.output for one in [*out, asked, herself, changed, done, early, shown])


def test_brc_01_a_late_first_word_without_a_reason_is_refused(says: Callable[..., Any]) -> None:
    """BRC-01, GDPR 33(1): overdue is named and ends with 1; the first word says why it is late, else it is refused."""
    says("carla", "breach", "open", "a list was lost", "--noticed", "2026-11-01")
    late = says("carla", "breach", "list")
    assert (late.exit_code, "OVERDUE" in late.output) == (1, True)
    refused = says("carla", "breach", "note", "1", "--sent", "BE-1")
    assert (refused.exit_code, "--delay" in refused.output) == (1, True)
    assert says("carla", "breach", "note", "1", "--sent", "BE-1", "--delay", "found late").exit_code == 0
    assert says("carla", "breach", "list").exit_code == 0
    assert says("carla", "breach", "note", "1", "--sent", "BE-1/2").exit_code == 0, "a later phase needs none"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("show", "7"), "no breach of that number"),
        (("open", "x", "--purpose", "nothing"), "the policy has no nothing"),
        (("open", "x", "--channel", "nowhere"), "the policy has no nowhere"),
        (("open", "x", "--table", "people"), "the store has no people"),
        (("open", "x", "--noticed", "2090-01-01"), "in the future"),
        (("open", "of an@lezer.example"), "write it without"),
        (("open", " "), "say in a sentence"),
        (("note", "1", "--words", "fr=x"), "LANGUAGE=FILE"),
        (("note", "1", "--sent", "x", "--at", "2090-01-01"), "still to come"),
        (("export", "1", "--from", "2026-02-01", "--to", "2026-01-01", "--out", "x"), "before --to"),
    ],
)
def test_what_is_wrong_is_named(says: Callable[..., Any], words: tuple[str, ...], fix: str) -> None:
    """Bad input: one line that says what to do, exit 1, nothing written; no address is repeated."""
    says("carla", "breach", "open", "a laptop was stolen")
    done = says("carla", "breach", *words)
    assert (done.exit_code, fix in done.output) == (1, True), done.output
    assert "lezer.example" not in done.output
    assert len(json.loads(says("carla", "breach", "list", "--json").stdout)) == 1


def test_a_number_that_no_database_holds_is_a_wrong_call(says: Callable[..., Any]) -> None:
    """Bad input: no crash."""
    assert says("carla", "breach", "show", str(2**63)).exit_code == 2
    assert says("carla", "breach", "show", str(2**63 - 1)).exit_code == 1
