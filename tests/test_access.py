"""What a reader gets who asks what there is of her: everything, in words and for programs, and nothing of anybody else.

GDPR 12(1), 15, 20; rows RGT-01, RGT-02, TRN-02. On both databases.
"""

import csv
import json
import stat
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select

from bridge.access import CSV, HTML, JSON, files
from bridge.access.document import COUNTED as COUNTED_IN_WORDS
from bridge.access.document import MAILS
from bridge.cli import main
from bridge.store import UnknownSubject
from bridge.store.holding import COUNTED
from bridge.tables import asked, breach_told, metadata, stop_list
from bridge.vault import new_id
from bridge.vocabulary import EventType, MailKind, Report, Status, rfc3339
from tests.conftest import Fields, House, Reader
from tests.csv_lists import Lists
from tests.test_fields import FIELDS
from tests.test_store import person

AN, DIRK = "An.vandenBerg@lezer.example", "dirk@elders.example"


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """A policy that asks for a first name."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text() + FIELDS)
    return policy_folder


@pytest.fixture
def an(house: House) -> Reader:
    """Of whom there is something in every place that a person can be in."""
    an = Reader(house, AN)
    an.signs_up("newsletter", first_name="Annelies")
    house.clock.forward(minutes=2)
    an.confirms()
    house.clock.forward(minutes=6)
    an.saves(an.asks_for_a_link(), "newsletter", "offers")
    house.clock.forward(minutes=2)
    an.saves(an.asks_for_a_link(), "newsletter")
    house.clock.forward(minutes=2)
    house.hear(Report(type=EventType.DEFERRED, email=AN, time=house.clock(), key=new_id(), detail="4.2.2"))
    house.clock.forward(minutes=2)
    house.hear(Report(type=EventType.MOVED, email=AN, time=house.clock(), key=new_id(), to=f"nieuw-{AN}"))
    an.email = f"nieuw-{AN}"
    an.confirms()
    house.client.post(an.asks_for_a_link(), data={"pause_until": "2026-12-24"})
    house.client.post("/preferences", data={"email": an.email})
    house.clock.forward(minutes=6)
    house.client.post("/preferences", data={"email": an.email})  # this mail waits
    told = {"hash": b"1", "purpose": "newsletter", "time": house.clock(), "campaign": "aftrap", "wave": 1}
    with house.bridge.database.writing() as db:
        db.execute(insert(asked).values(**told, subject=person(house, an.email).number, sent=house.clock()))
        db.execute(insert(breach_told).values(breach=7, subject=person(house, an.email).number, state=2))
    return an


@pytest.fixture
def dirk(house: House) -> Reader:
    """Somebody else, of whom An must see nothing."""
    dirk = Reader(house, DIRK, "en")
    dirk.signs_up("newsletter", first_name="Diederik")
    house.clock.forward(minutes=2)
    dirk.confirms()
    return dirk


def given(house: House, an: Reader, language: str = "nl") -> dict[str, str]:
    """Her files, as text."""
    made = files(house.bridge, person(house, an.email), language)
    return {name: content.decode() for name, content in made.items()}


def leaves(value: Any) -> set[str]:
    """Every value in some data, as text."""
    if isinstance(value, dict):
        return {leaf for each in value.values() for leaf in leaves(each)}
    if isinstance(value, list | tuple):
        return {leaf for each in value for leaf in leaves(each)}
    return {str(value)}


def test_every_stored_field_is_in_her_files_and_nothing_of_anybody_else(house: House, dirk: Reader, an: Reader) -> None:
    """RGT-01: profile, events with all their evidence, standing, stop list, platforms, mails, questions, counts."""
    made = given(house, an)
    told = json.loads(made[JSON])
    known = leaves(told)
    she = person(house, an.email)
    assert (told["you"]["address"], told["you"]["language"]) == (f"nieuw-{AN}", "nl")
    assert told["you"]["fields"] == {"first_name": "Annelies"}
    assert told["you"]["earlier addresses kept as codes"] == 1
    story = house.store.story(she)
    assert len(told["events"]) == len(story) > 8
    for event in story:
        seen = msgspec.to_builtins(event)
        seen |= {name: rfc3339(getattr(event, name)) for name in ("time", "received")}
        seen |= {n: rfc3339(moment) for n in ("asked", "until") if (moment := getattr(event, n))}
        seen["purpose"] = event.purpose or "every purpose"
        assert leaves([value for value in seen.values() if value is not None]) <= known
    with house.bridge.database.reading() as db:
        hers = {entry.value for entry in house.bridge.vault.stop_hashes(an.email)}
        for row in db.execute(select(stop_list).where(stop_list.c.hash.in_(hers))):
            assert {row.reason, row.scope, rfc3339(row.since)} <= known
    assert {purpose["purpose"]: purpose["status"] for purpose in told["purposes"]} == {
        "newsletter": "given",
        "offers": "withdrawn",
    }
    assert [row["platform"] for row in told["recipients"] if row["told of you"]] == ["memory"]
    assert [mail["kind"] for mail in told["waiting mails"]] == ["link"]
    assert [asked["campaign"] for asked in told["asked once more"]] == ["aftrap"]
    assert set(told["requests counted"]) == {"link"}
    assert told["breaches"] == [{"number": 7, "told": "no mail may go to this address"}]
    assert told["chain"]["whole"]

    for name, text in made.items():
        for word in (DIRK, "Diederik", person(house, DIRK).id):
            assert word not in text, name


#: Every table that holds anything about one person, and what of the files tells of it.
TOLD_BY = {
    "subjects": "you",
    "person_keys": "you",
    "former": "you",
    "events": "events",
    "records": "purposes",
    "unproven": "purposes",
    "pushes": "recipients",
    "looks": "at the platforms",
    "moves": "new address that has not confirmed",
    "corrections": "events",
    "gone_there": "recipients",
    "stop_clocks": "events",
    "outbox": "waiting mails",
    "asked": "asked once more",
    "cases": "requests by letter",
    "breach_told": "breaches",
    "open_questions": "questions that wait",
    "stop_list": "stop list",
    "throttle": "requests counted",
}
#: Not about one person who is here: of lists and acts; of those who were erased, whom nobody can find there.
OF_NOBODY = {"lists", "approvals", "erasures", "erase_work"}


def test_no_table_about_people_is_left_out(house: House, an: Reader) -> None:
    """RGT-01: whoever adds a table that names people, or holds a keyed hash, has to tell them of it here."""
    naming = {"subject", "lookup", "hash", "bucket", "address"}
    found = {table.name for table in metadata.sorted_tables if naming & {column.name for column in table.c}}
    assert found - OF_NOBODY == TOLD_BY.keys()
    assert set(TOLD_BY.values()) <= json.loads(given(house, an)[JSON]).keys()


@pytest.mark.parametrize("language", ["nl", "en"])
def test_the_page_says_it_in_her_words(house: House, an: Reader, language: str) -> None:
    """RGT-01, TRN-02, GDPR 12(1): data, purposes, ground, source, who gets it, how long, her rights, whom to ask."""
    page = given(house, an, language)[HTML]
    assert f'lang="{language}"' in page
    policy = house.bridge.policy
    for word in (
        *(f"nieuw-{AN}", "Annelies", policy.controller.address, policy.contact.name, policy.contact.email),
        *(purpose.name[language] for purpose in policy.purposes.values()),
        policy.channels["footer"].place[language],
        policy.processors["memory"].name,
        house.bridge.links.url("/preferences"),
        house.bridge.notices.wording("newsletter", "nl").label,
        "4.2.2",
        "artikel 6" if language == "nl" else "6(1)(a)",
    ):
        assert word in page, word
    assert "%(" not in page
    number = len(house.store.story(person(house, an.email)))
    for entry in range(1, number + 1):
        assert f"<h3>{'Nummer' if language == 'nl' else 'Entry'} {entry}</h3>" in page


def test_who_gets_it_is_said_in_her_language(house: House, an: Reader) -> None:
    """TRN-02, GDPR 12(1): with the words that the policy has for readers; where it has none, with those for the file."""
    policy = house.bridge.policy
    told = {"service": "sends it", "country": "US", "transfer_tool": "standard contractual clauses"}
    own = {"service_text": {"nl": "verstuurt de post"}, "safeguard": {"nl": "standaardbepalingen; vraag een kopie"}}
    memory = msgspec.structs.replace(policy.processors["memory"], **told, **own)
    house.bridge.policy = msgspec.structs.replace(policy, processors={"memory": memory})
    dutch, english = (given(house, an, language)[HTML] for language in ("nl", "en"))
    assert "verstuurt de post, Verenigde Staten" in dutch
    assert "standaardbepalingen; vraag een kopie" in dutch
    assert not any(word in dutch for word in ("sends it", "standard contractual clauses"))
    assert "sends it, United States" in english
    assert "safeguard for data outside Europe: standard contractual clauses" in english


def test_a_policy_without_a_data_protection_officer_names_whom_to_ask(house: House, an: Reader) -> None:
    """TRN-02: both modes."""
    assert "Data protection officer: Dora Maes" in given(house, an, "en")[HTML]
    policy = house.bridge.policy
    house.bridge.policy = msgspec.structs.replace(policy, dpo=None, privacy_contact=policy.dpo)
    assert "Questions about your data: Dora Maes" in given(house, an, "en")[HTML]


def test_another_controller_takes_her_table_in(
    house: House, an: Reader, make_house: Callable[..., House], sqlite_template: Path, tmp_path: Path
) -> None:
    """RGT-02, GDPR 20: `import` of the CSV reproduces her profile and how she stands, with the same moments."""
    told = tmp_path / CSV
    told.write_text(given(house, an)[CSV])
    (tmp_path / "other.db").write_bytes(sqlite_template.read_bytes())
    other = make_house(f"sqlite:///{tmp_path / 'other.db'}")
    other.clock = house.clock
    result = Lists(other, tmp_path).take(told)
    assert (result.rows, result.rejected, dict(result.dropped_fields)) == (2, 0, {})

    before, after = person(house, an.email), person(other, an.email)
    assert (after.email, after.language, after.fields) == (before.email, before.language, before.fields)
    for purpose in house.bridge.policy.purposes:
        assert other.store.may_mail(an.email, purpose).status is house.store.may_mail(an.email, purpose).status
    given_at = next(e for e in other.store.story(after) if e.type is EventType.GIVEN)
    was = [e for e in house.store.story(before) if e.type is EventType.GIVEN and e.purpose == "newsletter"][-1]
    assert (given_at.time, given_at.notice) == (was.time.replace(microsecond=0), was.notice)
    assert given_at.evidence.wording == was.evidence.wording


def test_every_standing_is_a_row_that_can_be_taken_in(house: House, tmp_path: Path) -> None:
    """RGT-02: a yes, a no, an objection, a contact without proof; a question that waits is hers, and nobody's yes."""
    lists = Lists(house, tmp_path)
    for status, kept in (("given", "given"), ("unknown", "unknown")):
        lists.takes({"email": f"{status}@lezer.example", "status": status})
        row = next(csv.DictReader(StringIO(given(house, Reader(house, f"{status}@lezer.example"))[CSV])))
        assert (row["status"], row["purpose"]) == (kept, "newsletter")
        assert row["time"]
    an = Reader(house, AN)
    an.signs_up("newsletter")
    (row,) = csv.DictReader(StringIO(given(house, an)[CSV]))
    assert row["status"] == "requested"
    house.clock.forward(minutes=2)
    an.confirms()
    house.hear(an.told_by_esp(EventType.COMPLAINED))
    rows = list(csv.DictReader(StringIO(given(house, an)[CSV])))
    assert [row["status"] for row in rows] == ["objected", "objected"]
    assert an.status() is Status.OBJECTED


def test_a_form_for_what_she_receives_already_asks_her_nothing(house: House, an: Reader, dirk: Reader) -> None:
    """RGT-01, CAP-09: signed up anew for what she said yes to, she is told of that form, and not that anything waits;
    of a form for more, that it does. Whoever sent it is answered alike, and is no wiser by typing digits."""
    house.clock.forward(days=2)
    told, typed = {}, set()
    for reader, purposes in ((an, ("newsletter",)), (dirk, ("newsletter", "offers"))):
        answer = reader.signs_up(*purposes)
        place = dict(Fields(answer.get_data(as_text=True)).hidden)["place"]
        told[reader] = given(house, reader, "en")
        wrong = house.client.post("/subscribe/code", data={"code": "12", "place": place, "language": "en"})
        typed.add((wrong.status_code, wrong.get_data(as_text=True).replace(place, "")))
    assert len(typed) == 1
    hers, his = json.loads(told[an][JSON]), json.loads(told[dirk][JSON])
    at = rfc3339(house.clock())
    assert (hers["questions that wait"], hers["forms for what you receive already"]) == (
        [],
        [{"sent": at, "wrong digits": 0}],
    )
    assert his["forms for what you receive already"] == []
    assert [one["asked"] for one in his["questions that wait"]] == [at]
    assert ("so nothing waits" in told[an][HTML], "A question that waits" in told[an][HTML]) == (True, False)
    assert ("so nothing waits" in told[dirk][HTML], "A question that waits" in told[dirk][HTML]) == (False, True)
    after = json.loads(given(house, an)[JSON])["forms for what you receive already"]
    assert after == [{"sent": at, "wrong digits": 1}], "the same is counted, whoever it was"
    house.clock.forward(hours=73)
    house.store.forget_wishes()
    assert json.loads(given(house, an)[JSON])["forms for what you receive already"] == []


def test_who_was_erased_meanwhile_has_no_files(house: House, an: Reader) -> None:
    """RGT-04: nothing of hers is told after it."""
    she = person(house, an.email)
    house.store.erase_person(an.email)
    with pytest.raises(UnknownSubject):
        files(house.bridge, she, "nl")


# -- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(house: House, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., Result]:
    """Run `consent-bridge export …` on the house's database."""
    for name, value in {**house.environment, "BRIDGE_DATABASE_URL": database_url}.items():
        monkeypatch.setenv(name, value)
    return lambda *words, **options: CliRunner().invoke(main, ["export", *words], **options)


def test_the_command_writes_three_files_that_only_its_user_reads(
    run: Callable[..., Result], house: House, an: Reader, tmp_path: Path
) -> None:
    """RGT-01: in her own language, never over what is there."""
    out = tmp_path / "letter"
    ran = run(an.email, "--out", str(out))
    assert ran.exit_code == 0, ran.output
    assert an.email not in ran.output
    assert sorted(path.name for path in out.iterdir()) == sorted((JSON, CSV, HTML))
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert 'lang="nl"' in (out / HTML).read_text()
    again = run("-", "--out", str(out), input=f"{an.email}\n")
    assert again.exit_code == 1
    assert "never overwritten" in again.output


def test_the_command_tells_programs_and_names_what_is_wrong(
    run: Callable[..., Result], house: House, an: Reader
) -> None:
    """RGT-01: JSON alone writes nothing; an address that nobody knows, and one that only the stop list knows."""
    ran = run(an.email, "--json", "--language", "en")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["you"]["address"] == an.email
    assert "Annelies" in run(an.email).stdout
    assert "newer one" in run(AN).stderr, "the stop list knows it too"
    assert run("niemand@lezer.example").exit_code == 1
    assert run(an.email, "--language", "fr").exit_code == 1
    house.store.erase_person(an.email)
    house.clock.forward(minutes=1)
    told = json.loads(run(an.email, "--json").stdout)
    assert {stop["type"] for stop in told["stop list"]} == {"erased", "withdrawn"}
    assert told["you"]["number"] is None


@pytest.mark.parametrize("language", ["nl", "en"])
def test_each_kind_of_mail_that_waits_has_words(home: House, language: str) -> None:
    """GDPR 12(1): a reader never sees a word of the program."""
    assert MAILS.keys() == set(MailKind) - {MailKind.MARKETING}
    assert COUNTED_IN_WORDS.keys() == set(COUNTED)
    assert all(home.bridge.texts.gettext(language, words) for words in MAILS.values())
