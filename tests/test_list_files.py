"""What lists look like: as platforms export them, as sheets save them, and as nobody can read them.

MIN-01, SUP-03, CHN-05, decision 34; pains 4, 5, 23.
"""

import csv
import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.jobs.lists import files
from bridge.jobs.lists.addresses import address
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.moments import moment
from bridge.store import BadInput
from bridge.vocabulary import EventType, Status, normal_email
from tests.conftest import House
from tests.test_import import WHOLE, Lists, may

SAMPLES = Path(__file__).parent / "lists"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")

TABLE = "email,notice,time\nan@lezer.example,1,2026-05-31\nbo@lezer.example,,\n"


@pytest.fixture
def lists(home: House, tmp_path: Path) -> Lists:
    """On SQLite: nothing here depends on the database."""
    return Lists(home, tmp_path)


def sample(lists: Lists, name: str) -> Path:
    """A copy of an export, so that what is rejected lies beside the copy."""
    return Path(shutil.copy(SAMPLES / name, lists.folder))


def rows(path: Path) -> list[list[str]]:
    """Header and rows as they are read."""
    file = ListFile(path)
    return [file.header, *(cells for _, cells in file)]


# -- as platforms export them ------------------------------------------------------------------------------------


def test_mailchimps_own_exports_come_in_as_they_are(lists: Lists) -> None:
    """Its names of columns and its times; who left has left, who is dead is dead, nobody is proven by an export."""
    house = lists.house
    left = lists.take(sample(lists, "mailchimp-unsubscribed.csv"))
    assert (left.rows, left.imported) == (7, 7)
    on = lists.take(sample(lists, "mailchimp-subscribed.csv"))
    assert (on.rows, on.imported, on.unchanged, on.suppressed, on.rejected) == (24, 23, 0, 1, 0)
    dead = lists.take(sample(lists, "mailchimp-cleaned.csv"))
    assert (dead.rows, dead.imported, dead.suppressed) == (6, 0, 6)
    for email in ("an.peeters@lezer.example", "bram.devries@lezer.example", "carla@xn--bcher-kva.example"):
        assert house.store.may_mail(email, "newsletter").status is Status.UNKNOWN
    assert house.store.person("dirk@lezer.example") is None, "he left: only a hash is kept"
    person = house.store.person("an.peeters@lezer.example")
    assert person is not None
    (event,) = house.store.story(person)
    assert event.type is EventType.IMPORTED
    assert event.time == datetime(2023, 3, 8, 8, 14, 2, tzinfo=UTC), "without a zone it is the policy's"


def test_what_an_export_holds_beyond_our_columns_is_dropped_and_counted(lists: Lists) -> None:
    """MIN-01: phone, birthday, place and address are in no table, whatever the file says."""
    dropped = lists.take(sample(lists, "mailchimp-subscribed.csv")).dropped_fields
    assert {name: dropped[name] for name in ("First Name", "Birthday", "OPTIN_IP", "LATITUDE", "NOTES")} == {
        "First Name": 24,
        "Birthday": 1,
        "OPTIN_IP": 19,
        "LATITUDE": 24,
        "NOTES": 5,
    }
    assert "Phone Number" not in dropped, "nobody gave one"
    person = lists.house.store.person("an.peeters@lezer.example")
    assert person is not None
    assert person.fields == {}
    told = repr(lists.house.store.story(person)) + repr(person)
    for word in ("Kerkstraat", "05/12", "192.0.2.10", "Webshop", "51.05", "Peeters"):
        assert word not in told


def test_sendgrids_own_exports_come_in_as_they_are(lists: Lists) -> None:
    """Contacts without proof; a file of unsubscribes is one because its owner says so; a code decides who is dead."""
    house = lists.house
    contacts = lists.take(sample(lists, "sendgrid-contacts.csv"))
    assert (contacts.rows, contacts.imported) == (13, 13)
    left = lists.take(sample(lists, "sendgrid-unsubscribes.csv"), status="unsubscribed")
    assert (left.rows, left.imported) == (5, 5)
    assert (
        house.store.may_mail("guy@lezer.example", "newsletter").why[0].startswith("unsubscribed 2025-01-01T00:00:00Z")
    )
    bounces = lists.take(sample(lists, "sendgrid-bounces.csv"))
    assert (bounces.rows, bounces.imported, bounces.suppressed, bounces.rejected) == (4, 1, 1, 2)


# -- as sheets save them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        ("sep=;\n" + TABLE.replace(",", ";")).encode(),
        TABLE.replace("\nbo", "\n\n\nbo").encode(),
        TABLE.replace("an@lezer.example", '"an@lezer.example"').encode(),
    ],
    ids=[
        "plain",
        "bom",
        "utf-16",
        "utf-16-be",
        "no-bom-le",
        "no-bom-be",
        ";",
        "tab",
        "crlf",
        "cr",
        "sep",
        "blank",
        '"',
    ],
)
def test_every_way_a_sheet_saves_a_table_is_read(tmp_path: Path, data: bytes) -> None:
    """Encodings, delimiters, line ends, Excel's first line."""
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    header, *found = rows(path)
    assert header == ["email", "notice", "time"]
    assert found == [["an@lezer.example", "1", "2026-05-31"], ["bo@lezer.example", "", ""]]


def test_a_cell_may_hold_lines_and_quotes_and_a_row_is_named_by_its_first_line(tmp_path: Path) -> None:
    """Notes with line ends do not shift the numbers of lines."""
    path = tmp_path / "list.csv"
    path.write_text('email,note\nan@lezer.example,"one\ntwo ""three"""\nbo@lezer.example,x\n')
    assert list(ListFile(path)) == [(2, ["an@lezer.example", 'one\ntwo "three"']), (4, ["bo@lezer.example", "x"])]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"an@lezer.example,1\nbo@lezer.example,2\n", "the first line holds an address"),
        (b"name,phone\nAn,1\n", "no column is called email"),
        (b"email,Email Address\na@lezer.example,b@lezer.example\n", "two columns are email"),
        (b"email\n\xff\xfe\xfa\n", "is not UTF-8"),
        ("email\nm\u00fcller@lezer.example\n".encode("cp1252"), "is not UTF-8"),
        (b"email\n\x00\x01\x02\n", "is no text but a binary file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8"),
        (b'email,note\nan@lezer.example,"never closed\nbo@lezer.example,x\n', "line 2 is no CSV"),
        (b'email,note\nan@lezer.example,"a"b\n', "line 2 is no CSV"),
        (b"sep=;\n", "names no columns"),
        (b"x" * 200_000 + b"\n", "must name the columns"),
        (b"email\n" + b"x" * 200_000 + b"\n", "line 2 is no CSV"),
    ],
)
def test_what_is_no_list_is_named_before_anything_of_it_is_taken_in(lists: Lists, data: bytes, said: str) -> None:
    """Bad input: one clear sentence with the fix, nothing written, and none of its words repeated."""
    path = lists.folder / "list.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=said) as error:
        lists.take(path)
    assert "lezer" not in str(error.value).removeprefix(str(path))
    assert lists.house.verify().people == 0


def test_a_line_without_an_end_is_refused_without_being_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gigabyte in one line: read in blocks, named when it is too long, wherever a block ends."""
    monkeypatch.setattr(files, "_BLOCK", 7)
    monkeypatch.setattr(files, "_LONGEST", 40)
    path = tmp_path / "list.csv"
    path.write_text("email\n" + "x" * 34 + "@a.example\n")
    with pytest.raises(BadInput, match="a line is longer than 40"):
        ListFile(path)
    path.write_text("email\n" + ("x" * 20 + "@a.example\n") * 30)
    assert ListFile(path).rows == 30


# -- rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"email": ""}, "no address"),
        ({"email": "an@lezer"}, "no valid address"),
        ({"email": "an lezer.example"}, "no valid address"),
        ({"email": "an@lezer.example, bo@lezer.example"}, "no valid address"),
        ({"email": "An <an@lezer.example>, Bo <bo@lezer.example>"}, "more than one address"),
        ({"email": "(" * 4000 + "<an@lezer.example>"}, "more than one address"),
        ({"email": "\u0430n@lezer.example"}, "mixes alphabets"),
        ({"email": "an@l\u0435zer.example"}, "mixes alphabets"),
        ({"purpose": "horoscope"}, "unknown purpose"),
        ({"channel": "nowhere"}, "unknown channel"),
        ({"status": "maybe"}, "unknown status"),
        ({"status": "pending"}, "was never confirmed"),
        ({"basis": "legitimate_interest"}, "unknown basis"),
        ({"method": "telepathy"}, "unknown method"),
        ({"notice": "first"}, "notice must be the version"),
        ({"source_document": "mail of an@lezer.example"}, "without any address"),
        ({"time": "31/02/2026"}, "cannot be read"),
        ({"time": "04/05/2026"}, "may be two days"),
        ({"time": "2027-01-01"}, "lies in the future"),
        ({"time": "1983-01-01"}, "before 1995"),
        ({"time": "0001-01-01 00:00:00"}, "cannot be read"),
        ({"time": "9999-12-31T23:59:59-05:00"}, "cannot be read"),
        ({"basis": "soft_opt_in"}, "soft opt-in is off"),
    ],
)
def test_a_row_that_cannot_be_taken_in_is_written_down_with_its_line_and_the_reason(
    lists: Lists, row: dict[str, str], said: str
) -> None:
    """Rejected rows lie beside the list, readable by its owner only; the rows around them come in."""
    header = ("email", "purpose", "channel", "status", "basis", *WHOLE)
    path = lists.folder / "list.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for each in ({"email": "bo@lezer.example"}, {"email": "an@lezer.example", **row}):
            writer.writerow([{**WHOLE, **each}.get(name, "") for name in header])
    done = lists.take(path)
    assert (done.imported, done.rejected) == (1, 1)
    assert may(lists.house, "bo@lezer.example")
    rejected = path.with_name("list.rejected.csv")
    assert rejected.stat().st_mode & 0o777 == 0o600
    told_header, told = list(csv.reader(rejected.read_text().splitlines()))
    assert told_header == ["line", "reason", *header]
    assert told[0] == "3"
    assert said in told[1]
    assert told[2] == row.get("email", "an@lezer.example")


def test_a_row_of_another_width_is_rejected_and_rejects_never_overwrite_each_other(lists: Lists) -> None:
    """A missing delimiter shifts every cell: nothing of such a row is believed."""
    path = lists.folder / "list.csv"
    path.write_text("email,notice\nan@lezer.example\nbo@lezer.example,1,x\ncas@lezer.example,1\n")
    assert lists.take(path).rejected == 2
    assert lists.take(path).rejected == 2
    assert {found.name for found in lists.folder.glob("list.rejected*")} == {"list.rejected.csv", "list.rejected-2.csv"}


def test_a_row_over_endless_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells may hold lines, but no row is held in memory without an end."""
    monkeypatch.setattr(files, "_LONGEST_ROW", 100)
    path = tmp_path / "list.csv"
    path.write_text('email,a\nan@lezer.example,"' + "x\n" * 80 + '"\n')
    with pytest.raises(BadInput, match="the row that begins in line 2 is longer than 100"):
        ListFile(path)


def test_rows_of_nothing_are_no_rows(lists: Lists) -> None:
    """Sheets end in them."""
    path = lists.folder / "list.csv"
    path.write_text("email,notice\nan@lezer.example,1\n,\n,\n")
    assert lists.take(path).rows == 1


def test_a_list_without_rejected_rows_leaves_no_file(lists: Lists) -> None:
    """Nothing to mend, nothing to delete."""
    lists.takes({"email": "an@lezer.example"})
    assert not list(lists.folder.glob("*rejected*"))


# -- fields ------------------------------------------------------------------------------------------------------

FIELD = """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet readers by name at the top of the newsletter"
max_length = 10
[fields.at]
memory = "FNAME"
"""


@pytest.mark.parametrize("name", ["first_name", "Voornaam", "First Name", "FNAME"])
def test_a_declared_field_comes_in_by_any_of_its_names_for_its_purpose_only(
    environment: dict[str, str], make_house: object, sqlite_url: str, tmp_path: Path, name: str
) -> None:
    """MIN-01: declared, needed for that purpose and no longer than it may be; else dropped and counted."""
    policy = Path(environment["BRIDGE_POLICY"])
    policy.write_text(policy.read_text() + FIELD)
    house: House = make_house(sqlite_url)  # type: ignore[operator]  # the fixture builds houses
    path = tmp_path / "list.csv"
    path.write_text(
        f"email,purpose,{name}\nan@lezer.example,newsletter,An\nbo@lezer.example,offers,Bo\n"
        "cas@lezer.example,newsletter,Casimir Alexander\n"
    )
    done = Lists(house, tmp_path).take(path)
    assert done.dropped_fields == {"first_name": 2}
    people = [house.store.person(f"{who}@lezer.example") for who in ("an", "bo", "cas")]
    assert [dict(person.fields) for person in people if person] == [{"first_name": "An"}, {}, {}]


# -- dates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("2026-05-31T12:05:00Z", ""),
        ("2026-05-31T14:05:00+02:00", ""),
        ("2026-05-31 14:05:00", ""),
        ("2026-05-31 14:05", ""),
        ("31/05/2026 14:05", ""),
        ("05/31/2026 2:05 PM", ""),
        ("31-05-2026 14:05:00", ""),
        ("31.05.2026, 14:05", ""),
        ("31/05/2026 14:05", "dmy"),
        ("05/31/2026 14:05", "mdy"),
        ("1780229100", ""),
        ("2026-05-31 12:05:00 +0000 UTC", ""),
    ],
)
def test_dates_are_read_as_people_and_platforms_write_them(text: str, order: str) -> None:
    """One moment, however it is written; without a zone it is the policy's (decision 34)."""
    assert moment(text, BRUSSELS, NOW, order) == datetime(2026, 5, 31, 12, 5, tzinfo=UTC)


def test_a_date_that_may_be_two_days_is_asked_about() -> None:
    """04/05 is April or May: nobody guesses when somebody said yes."""
    with pytest.raises(ValueError, match="--dates dmy or --dates mdy"):
        moment("04/05/2026", BRUSSELS, NOW)
    assert moment("04/05/2026", BRUSSELS, NOW, "dmy").month == 5
    assert moment("04/05/2026", BRUSSELS, NOW, "mdy").month == 4
    assert moment("05/05/2026", BRUSSELS, NOW).month == 5
    assert moment("04-05-2026", BRUSSELS, NOW).month == 5, "only slashes are written both ways"


# -- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "typed", "compared"),
    [
        ("An@Lezer.Example", "An@lezer.example", "an@lezer.example"),
        (' "an@lezer.example" ', "an@lezer.example", "an@lezer.example"),
        ("An Peeters <an@lezer.example>", "an@lezer.example", "an@lezer.example"),
        ('"Peeters, An" <an@lezer.example>', "an@lezer.example", "an@lezer.example"),
        ("<an@lezer.example>", "an@lezer.example", "an@lezer.example"),
        ("an@lezer.example\u200b", "an@lezer.example", "an@lezer.example"),
        ("an+nieuws@lezer.example", "an+nieuws@lezer.example", "an+nieuws@lezer.example"),
        ("an@bücher.example", "an@bücher.example", "an@xn--bcher-kva.example"),
        ("an@xn--bcher-kva.example", "an@bücher.example", "an@xn--bcher-kva.example"),
        ("jörg@lezer.example", "jörg@lezer.example", "jörg@lezer.example"),
        ("анна@почта.example", "анна@почта.example", "анна@xn--80a1acny.example"),
    ],
)
def test_addresses_are_kept_as_typed_and_compared_as_one(text: str, typed: str, compared: str) -> None:
    """SUP-03: display forms, stray characters, names in other alphabets."""
    assert address(text) == typed
    assert normal_email(address(text)) == compared


LETTERS = st.text("aB9._%+-'", max_size=12)


@given(
    local=LETTERS,
    domain=st.lists(st.text("aZ3-", max_size=8), max_size=4),
    top=st.sampled_from(["example", "test", "c", "x-y", "local", "com"]),
)
@example(local="a", domain=["xn--bcher-kva"], top="example")
@example(local="a", domain=["b" * 64], top="com")
@example(local="a" * 65, domain=["b"], top="com")
@example(local="a", domain=["b" * 60] * 4, top="com")
def test_the_short_way_takes_what_the_library_takes(local: str, domain: list[str], top: str) -> None:
    """Plain addresses do not go through `email-validator`, which takes fifty times as long: the answer is the same."""
    text = f"{local}@{'.'.join([*domain, top])}"
    try:
        expected = validate_email(text.strip("'"), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        with pytest.raises(ValueError, match="address"):
            address(text)
    else:
        assert address(text) == expected
