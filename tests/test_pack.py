"""One person's evidence in one file that needs nobody's word: decision 14, rows CAP-05, CAP-06, RGT-01, CON-07."""

import json
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from bridge import vault, verifier
from bridge.cli import main
from bridge.jobs.pack import VERIFIER, pack
from bridge.mailer import template_hash
from bridge.seals import Seals
from bridge.store import schema
from bridge.tables import events
from bridge.vault import new_key, parse_keys
from bridge.verifier import FORMAT, Bad, Keys, canonical, check_file, check_pack, strict
from bridge.vocabulary import EventType, MailKind
from tests.conftest import House, Reader
from tests.test_checkpoints import unkept
from tests.test_roads import code_of
from tests.test_store import person

MakeHouse = Callable[..., House]
DIRK = "dirk@lezer.example"


@pytest.fixture
def sealed(make_house: MakeHouse, database_url: str) -> House:
    """A house with a seal key, in which others live too."""
    house = make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    Reader(house, DIRK).has_consented()
    with house.bridge.database.writing() as db:  # whoever was erased before
        db.execute(insert(events), [{"digest": number.to_bytes(32, "big")} for number in range(1, 1500)])
    return house


@pytest.fixture
def an(sealed: House) -> Reader:
    """An said yes to both, left one, was told of by an ESP, and came back."""
    an = Reader(sealed, "an.vandenberg@lezer.example")
    an.has_consented("newsletter", "offers")
    an.one_click()
    sealed.hear(an.told_by_esp(EventType.UNSUBSCRIBED, "offers"))
    sealed.clock.forward(hours=30)
    an.has_consented("newsletter")
    return an


def packed(house: House, reader: Reader) -> bytes:
    """Her pack."""
    return pack(house.bridge, person(house, reader.email), "nl")


def keys(house: House) -> Keys:
    """The public keys as somebody else has them."""
    return Keys.from_pem(house.bridge.seals.pem().encode())


def lines(data: bytes) -> list[dict[str, Any]]:
    """A pack's parts."""
    return [json.loads(line) for line in data.splitlines()]


def resealed(house: House, parts: list[dict[str, Any]], ring: str = "") -> bytes:
    """Parts changed, and sealed anew with a key of whoever changed them."""
    seals = Seals(parse_keys("x", ring)) if ring else house.bridge.seals
    data = b"".join(canonical(part) + b"\n" for part in parts[:-1])
    seal = {"part": "seal", "sha256": sha256(data).hexdigest(), "key": seals.newest}
    return data + canonical({**seal, "signature": seals.sign(FORMAT, seal)}) + b"\n"


def test_a_mails_words_are_the_operators_own_where_there_are_any(
    make_house: MakeHouse, policy_folder: Path, database_url: str
) -> None:
    """CAP-05: what asked her is named with the sentences the operator says in her own words, and they are in the pack.
    Words of another language or of no such mail change nothing: proofs of before name the same as ever."""
    write = policy_folder / "texts" / "nl.toml"
    write.parent.mkdir()
    write.write_text('"Confirm my subscription" = "Ja, stuur maar"\n', encoding="utf-8")
    house = make_house(database_url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    an, bram = Reader(house, "an@lezer.example", language="nl"), Reader(house, "bram@lezer.example", language="en")
    for reader in (an, bram):
        reader.has_consented()
    named = [reader.story()[-1].evidence.template for reader in (an, bram)]
    assert named[0] != named[1] == template_hash(MailKind.CONFIRM)
    (mail,) = (part for part in lines(packed(house, an)) if part["part"] == "mail")
    assert (mail["template"], mail["files"][-1][0]) == (named[0], "texts")
    assert "Ja, stuur maar" in mail["files"][-1][1]
    assert check_pack(packed(house, an), keys(house)).problems == ()


@pytest.mark.parametrize("road", ["button", "digits"])
def test_a_proof_names_what_her_mail_said_when_it_left(
    make_house: MakeHouse, policy_folder: Path, database_url: str, road: str
) -> None:
    """CAP-05: the operator's words change while a mail waits for its answer. Her proof is of the mail she read; whose
    mail leaves afterwards, of the new one. So it is of the mail that asks whether an address is hers."""
    write = policy_folder / "texts" / "nl.toml"
    write.parent.mkdir()
    write.write_text('"Confirm my subscription" = "Ja, stuur maar"\n', encoding="utf-8")
    house = make_house(database_url)
    an, bram = Reader(house, "an@lezer.example"), Reader(house, "bram@lezer.example")
    an.signs_up()
    link, digits = an.link("/confirm/"), code_of(an)
    sent = house.bridge.mailer.templates.hash(MailKind.CONFIRM, "nl")
    house.clock.forward(minutes=2)
    write.write_text('"Confirm my subscription" = "Graag"\n"Look and confirm" = "Kijk"\n', encoding="utf-8")
    later = bram.house = an.house = make_house(database_url)
    if road == "button":
        assert later.app.test_client().post(link).status_code == 200
    else:
        assert later.app.test_client().post(link, data={"code": digits}).status_code == 200
    bram.has_consented()
    now = later.bridge.mailer.templates.hash(MailKind.CONFIRM, "nl")
    assert [reader.story()[-1].evidence.template for reader in (an, bram)] == [sent, now]
    assert sent != now
    fresh = an.asks_for_a_link().replace("/preferences/", "/my-data/")
    later.client.post(fresh, data={"act": "address", "email": "an@elders.example"})
    new = Reader(later, "an@elders.example")
    later.clock.forward(minutes=2)
    later.client.post(new.link("/my-data/"), data={"act": "moved"})
    assert new.story()[-1].evidence.template == later.bridge.mailer.templates.hash(MailKind.MOVE, "nl")
    assert later.verify().problems == ()


# -- whole -------------------------------------------------------------------------------------------------------


def test_a_stranger_checks_it_with_the_public_key_alone(sealed: House, an: Reader, tmp_path: Path) -> None:
    """Decision 14: the one file runs where there is no package of ours, and finds everything as it was signed."""
    (tmp_path / "verify_pack.py").write_bytes(VERIFIER.read_bytes())
    (tmp_path / "pack.jsonl").write_bytes(packed(sealed, an))
    (tmp_path / "key.pem").write_text(sealed.bridge.seals.pem())
    block = "import sys; sys.modules['bridge'] = None; import runpy; sys.argv = sys.argv[1:]; "
    program = [sys.executable, "-I", "-c", f"{block}runpy.run_path(sys.argv[0], run_name='__main__')"]
    words = ["verify_pack.py", "pack.jsonl", "--key", "key.pem"]
    done = subprocess.run([*program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is as it was signed" in done.stdout
    other = Seals(parse_keys("x", new_key("other")))
    (tmp_path / "key.pem").write_text(other.pem())
    done = subprocess.run([*program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not signed by a key you gave" in done.stdout
    assert an.email not in done.stdout + done.stderr


def test_it_holds_her_whole_story_and_nobody_elses(sealed: House, an: Reader) -> None:
    """CAP-05, RGT-01: every event opened, the words she saw, the mails' templates, a receipt for each yes and each end."""
    data = packed(sealed, an)
    parts, who = lines(data), person(sealed, an.email)
    story = an.story()
    told = [part for part in parts if part["part"] == "event"]
    assert [vault.from_canonical(who.id, e["number"], e["event"].encode()) for e in told] == story
    shown = {event.evidence.wording for event in story if event.evidence.wording}
    assert {part["sha256"] for part in parts if part["part"] == "wording"} == shown
    assert {part["kind"] for part in parts if part["part"] == "mail"} == {"confirm"}
    assert sum(part["part"] == "receipt" for part in parts) == 5, "three yeses, and the ends of two"
    dirk = person(sealed, DIRK)
    for secret in (DIRK, dirk.id, dirk.mark):
        assert secret not in data.decode()
    verdict = check_pack(data, keys(sealed))
    assert verdict.problems == ()
    assert verdict.facts["events"] == len(story)
    assert len(verdict.facts) == 5


def test_events_of_before_and_after_are_each_in_their_checkpoint(sealed: House, an: Reader) -> None:
    """Decision 14: one pack after each act of hers; each event is proven by the checkpoint that covered it first."""
    assert check_pack(packed(sealed, an), keys(sealed)).problems == ()
    an.one_click()
    data = packed(sealed, an)
    assert check_pack(data, keys(sealed)).problems == ()
    numbers = [part["checkpoint"] for part in lines(data) if part["part"] == "event"]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1


def test_the_format_is_that_of_the_store() -> None:
    """Decision 14: the one file has its own copy of what an event is; both are the same."""
    assert verifier.DICTIONARY == vault._DICTIONARY
    assert (verifier.EVENT_TAG, verifier.FIRST) == (vault._TAG, vault.FIRST)
    assert verifier.event_digest(b"p" * 32, b"s") == vault.digest(b"p" * 32, b"s")
    source = VERIFIER.read_text()
    assert "import bridge" not in source
    assert "from bridge" not in source


# -- changed -----------------------------------------------------------------------------------------------------


def home_with_pack(make_house: MakeHouse, url: str) -> tuple[House, bytes]:
    home = make_house(url, BRIDGE_SEAL_KEYS=new_key("seal1"))
    an = Reader(home, "an.vandenberg@lezer.example").has_consented()
    an.one_click()
    return home, packed(home, an)


def test_flipping_any_byte_names_the_event(make_house: MakeHouse, sqlite_url: str) -> None:
    """CAP-06: in every place of an event's line, whatever the byte becomes."""
    home, data = home_with_pack(make_house, sqlite_url)
    known, start = keys(home), data.index(b"\n") + 1
    assert check_pack(data, known).problems == ()
    for number in (1, 2, 3):
        end = data.index(b"\n", start)
        step = 1 if number == 2 else 17
        for place in range(start, end, step):
            changed = bytearray(data)
            changed[place] ^= 1 + place % 127
            found = [problem.where for problem in check_pack(bytes(changed), known).problems]
            assert f"event {number}" in found or changed[place] == ord("\n"), (number, place)
            assert found
        start = end + 1


def test_flipping_any_byte_anywhere_is_found(make_house: MakeHouse, sqlite_url: str) -> None:
    """CAP-06: head, words, mails, receipts, checkpoints and the seal itself as well; and cutting, doubling, swapping."""
    home, data = home_with_pack(make_house, sqlite_url)
    known, rows = keys(home), data.splitlines(keepends=True)

    @given(st.integers(0, len(data) - 1), st.integers(1, 255))
    @settings(
        max_examples=250,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def flip(place: int, by: int) -> None:
        changed = bytearray(data)
        changed[place] ^= by
        assert check_pack(bytes(changed), known).problems

    flip()
    for each in range(len(rows)):
        assert check_pack(b"".join(rows[:each] + rows[each + 1 :]), known).problems
        assert check_pack(b"".join(rows[: each + 1] + rows[each:]), known).problems
        if each:
            assert check_pack(
                b"".join([*rows[: each - 1], rows[each], rows[each - 1], *rows[each + 1 :]]), known
            ).problems
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        assert check_pack(data[:cut], known).problems
    assert check_pack(data + b"\n", known).problems
    assert check_pack(data + b"{}\n", known).problems


def _shorter(parts: list[dict[str, Any]]) -> None:
    """Her last event, a no, is left out."""
    many = parts[0]["events"]
    del parts[many]
    parts[0]["events"] = many - 1
    parts[:] = [part for part in parts if part["part"] != "receipt"]


def _another_time(parts: list[dict[str, Any]]) -> None:
    parts[1]["event"] = parts[1]["event"].replace(",17", ",16", 1)


def _other_words(parts: list[dict[str, Any]]) -> None:
    next(part for part in parts if part["part"] == "wording")["text"] += "!"


def _other_mail(parts: list[dict[str, Any]]) -> None:
    next(part for part in parts if part["part"] == "mail")["files"][0][1] += "!"


def _other_receipt(parts: list[dict[str, Any]]) -> None:
    next(part for part in parts if part["part"] == "receipt")["receipt"]["dct:created"] = "2020-01-01T00:00:00Z"


def _other_root(parts: list[dict[str, Any]]) -> None:
    next(part for part in parts if part["part"] == "checkpoint")["checkpoint"]["root"] = "0" * 64


def _other_path(parts: list[dict[str, Any]]) -> None:
    parts[1]["path"] = parts[2]["path"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_another_time, "event 1"),
        (_other_words, "wording in line"),
        (_other_mail, "mail in line"),
        (_other_receipt, "receipt in line"),
        (_other_root, "checkpoint in line"),
        (_other_path, "event 1"),
    ],
)
def test_even_whoever_has_the_seal_key_cannot_change_what_fits_together(
    make_house: MakeHouse, sqlite_url: str, change: Any, where: str
) -> None:
    """CAP-06: a pack sealed anew around changed parts is still found out, and by another's key all the more."""
    home, data = home_with_pack(make_house, sqlite_url)
    parts = lines(data)
    assert check_pack(resealed(home, parts), keys(home)).problems == ()
    change(parts)
    found = check_pack(resealed(home, parts), keys(home)).problems
    assert any(problem.where.startswith(where) for problem in found), found
    assert check_pack(resealed(home, lines(data), new_key("other")), keys(home)).problems


def test_leaving_out_her_last_word_takes_the_seal_key(make_house: MakeHouse, sqlite_url: str) -> None:
    """CAP-06: whoever was given a pack cannot shorten it: what comes last is held by the seal."""
    home, data = home_with_pack(make_house, sqlite_url)
    parts = lines(data)
    _shorter(parts)
    shortened = b"".join(canonical(part) + b"\n" for part in parts)
    assert [problem.where for problem in check_pack(shortened, keys(home)).problems] == [f"seal in line {len(parts)}"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1} {}',
        b'{"a":1}x',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b'{"a":1,}',
        b"\xff",
        b"",
        b"[" * 100_000,
    ],
)
def test_strict_is_strict(text: bytes) -> None:
    """Section 5: double keys, something behind, fractions, half characters: nothing that two programs read differently."""
    with pytest.raises(Bad):
        strict(text)


def test_base64_has_one_spelling() -> None:
    """CAP-06: bits that decoding would drop are not free."""
    assert verifier._bytes(b64encode(b"a").decode()) == b"a"
    for other in ("YR==", "YQ", "YQ==\n", "Y Q==", "_w==", 7, None):
        with pytest.raises((Bad, ValueError)):
            verifier._bytes(other)


@pytest.mark.parametrize("signature", ["x", "!!!!", "YQ", "é", "", 7, None, [], {}, "A" * 88])
@pytest.mark.parametrize("many", [False, True])
def test_a_signature_that_is_none_is_said_to_be_none(signature: Any, *, many: bool) -> None:
    """Bad input, CON-07: a receipt or a checkpoint whose signature is not even base64: an answer and no crash."""
    receipt = {"cb:proof": {"cb:signature": signature}}
    files = [
        [receipt, receipt] if many else receipt,
        {"type": verifier.CHECKPOINT, "number": 1, "signature": signature},
    ]
    for file in files:
        assert check_file(canonical(file), Keys([])).problems


@pytest.mark.parametrize("name", ["subject", "made"])
def test_a_forged_pack_cannot_steer_the_terminal(name: str) -> None:
    """CAP-06: what is wrong stays readable, whatever a forger wrote into the head."""
    hidden = {name: "x\neverything is as it was signed\x1b[8m\u202e" + "\n" * 500}
    verdict = check_file(canonical({"part": "head", "format": FORMAT, **hidden}) + b"\n", Keys([]))
    lines_ = verifier.told(verdict)
    assert verdict.problems
    assert all(line.isprintable() for line in lines_)
    assert len(lines_[0]) < 200


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_rubbish_is_said_to_be_rubbish(data: bytes) -> None:
    """Bad input: whatever the file is, an answer and no crash."""
    assert check_file(data, Keys([])).problems


# -- by hand -----------------------------------------------------------------------------------------------------


def test_the_commands(sealed: House, an: Reader, tmp_path: Path) -> None:
    """CAP-06: `evidence --out` writes pack and checker for their owner only; `verify PACK` says whether it holds."""

    def run(*words: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, words, env=sealed.environment if env is None else env)

    folder = tmp_path / "case-12"
    result = run("evidence", an.email, "--out", str(folder), "--kantara")
    assert result.exit_code == 0, result.output
    names = {"evidence.json", "evidence.txt", "evidence.html", "evidence-pack.jsonl", "verify_pack.py"}
    assert {path.name for path in folder.iterdir()} == names | {"receipts-kantara.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    older = json.loads((folder / "receipts-kantara.json").read_text())
    assert {one["version"] for one in older} == {"KI-CR-v1.1.0"}
    assert (folder / "verify_pack.py").read_bytes() == VERIFIER.read_bytes()
    assert run("verify", str(folder / "evidence-pack.jsonl")).exit_code == 0
    pem = tmp_path / "seal.pem"
    pem.write_text(run("keys", "public").stdout)
    alone = ["verify", str(folder / "evidence-pack.jsonl"), "--key", str(pem)]
    result = run(*alone, "--json", env={})
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kind"] == "pack"
    file = folder / "evidence-pack.jsonl"
    file.write_text(file.read_text().replace('"number":2', '"number":7'))
    result = run(*alone, env={})
    assert result.exit_code == 1
    assert "event 2" in result.stdout
    pem.write_text("no key")
    assert run(*alone, env={}).exit_code == 1
    assert run("verify", "--key", str(pem)).exit_code == 2
    assert run("evidence", an.email, "--out", str(folder)).exit_code == 1


@pytest.mark.parametrize("change", [delete(events), update(events).values(digest=b"x" * 32)])
def test_a_rewritten_history_makes_no_pack_and_is_named(sealed: House, an: Reader, tmp_path: Path, change: Any) -> None:
    """CAP-06: somebody else's event is gone or another; hers would be in no history that was signed. The story is
    written all the same, and it is said why nothing is signed."""
    packed(sealed, an)
    unkept(sealed)
    with sealed.bridge.database.engine.begin() as db:
        db.execute(change.where(events.c.id == 700))
    schema.upgrade(sealed.bridge.database)
    result = CliRunner().invoke(main, ["evidence", an.email, "--out", str(tmp_path / "case")], env=sealed.environment)
    assert (result.exit_code, "consent-bridge verify" in result.stderr) == (0, True), result.output
    assert {path.name for path in (tmp_path / "case").iterdir()} == {"evidence.json", "evidence.txt", "evidence.html"}


def test_without_a_key_there_is_no_pack(house: House, tmp_path: Path) -> None:
    """CAP-06: the story is written all the same, and it is said why nothing is signed."""
    an = Reader(house, "an.vandenberg@lezer.example").has_consented()
    result = CliRunner().invoke(main, ["evidence", an.email, "--out", str(tmp_path / "case")], env=house.environment)
    assert result.exit_code == 0, result.output
    assert "No pack was written: BRIDGE_SEAL_KEYS is empty" in result.stderr
    assert not (tmp_path / "case" / "evidence-pack.jsonl").exists()


def test_of_an_erased_person_there_is_nothing_to_pack(sealed: House, an: Reader, tmp_path: Path) -> None:
    """RGT-04, SUP-04: no receipt and no pack of hers is kept; only what the stop list says can be told."""
    packed(sealed, an)
    sealed.store.erase_person(an.email)
    result = CliRunner().invoke(main, ["evidence", an.email, "--out", str(tmp_path / "case")], env=sealed.environment)
    assert result.exit_code == 0, result.output
    assert "No pack was written: nobody of this address" in result.stderr
    assert sealed.verify().problems == ()
