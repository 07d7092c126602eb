"""The wordings beside the boxes: complete (CAP-04), immutable once used (CAP-07), one per language (CAP-08)."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.notices import (
    Key,
    NoticeChanged,
    NoticeError,
    Notices,
    UnknownWording,
    Wording,
    check_unchanged,
    file_name,
    read,
    wording,
)
from bridge.policy import PolicyError, load

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


class House:
    """A copy of the demo's policy and wordings that a test may edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, name: str, raw: bytes) -> None:
        (self.folder / name).write_bytes(raw)

    def notices(self) -> Notices:
        return read(load(self.folder / "policy.toml"), self.folder)

    def problems(self) -> list[str]:
        with pytest.raises(NoticeError) as caught:
            self.notices()
        assert str(caught.value) == "\n".join(caught.value.problems)
        return caught.value.problems


@pytest.fixture
def house(tmp_path: Path) -> House:
    shutil.copytree(TEMPLATES / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("*.fr.txt", "*.de.txt"))
    policy = tmp_path / "demo" / "policy.toml"
    told = re.sub(r"(?m)^[\w.]+\.(fr|de) = .*\n", "", policy.read_text(encoding="utf-8"))
    policy.write_text(told.replace('["nl", "en", "fr", "de"]', '["nl", "en"]'), encoding="utf-8")
    return House(tmp_path / "demo")


def shown(notices: Notices) -> dict[Key, str]:
    """As the events hold them."""
    return {one.key: one.sha256 for one in notices}


@pytest.mark.parametrize(("name", "languages"), [("starter", ("nl", "en")), ("demo", ("nl", "en", "fr", "de"))])
def test_the_templates_wordings_are_complete(name: str, languages: tuple[str, ...]) -> None:
    """CAP-04, in every language (CAP-08); readers of the demo may switch to each that we ship."""
    folder = TEMPLATES / name

    notices = read(load(folder / "policy.toml"), folder)

    assert {one.key for one in notices} == {
        (purpose, 1, language) for purpose in ("newsletter", "offers") for language in languages
    }
    assert len(notices) == 2 * len(languages)


def test_the_hash_is_that_of_label_and_text(house: House) -> None:
    """CAP-04, CAP-05: the stored hash equals the hash of what was shown."""
    policy = load(house.folder / "policy.toml")
    for one in house.notices():
        text = (house.folder / file_name(*one.key)).read_text(encoding="utf-8").strip()
        label = policy.purposes[one.purpose].label[one.language]
        assert (one.label, one.text) == (label, text)
        assert one.sha256 == hashlib.sha256(label.encode() + b"\n\n" + text.encode()).hexdigest()


def test_a_wording_is_found_by_purpose_and_language(house: House) -> None:
    notices = house.notices()

    assert notices.wording("offers", "en").label == "Yes, send me the reader offers of De Dagwijzer."
    assert notices.wording("offers", "en", 1) == notices.wording("offers", "en")
    assert notices.is_current(notices.wording("offers", "nl"))


@pytest.mark.parametrize(
    ("purpose", "language", "version"),
    [("partners", "en", None), ("offers", "fr", None), ("offers", "en", 2), ("offers", "en", 0)],
)
def test_an_unknown_wording_is_refused(house: House, purpose: str, language: str, version: int | None) -> None:
    with pytest.raises(UnknownWording):
        house.notices().wording(purpose, language, version)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("newsletter-1.nl.txt", "De Dagwijzer NV", "Wij", "the controller"),
        ("newsletter-1.nl.txt", "elke werkdag", "soms", "how often"),
        ("newsletter-1.nl.txt", "intrekken", "bekijken", "taken back"),
        ("newsletter-1.nl.txt", "privacyverklaring", "boekje", "privacy statement"),
        ("newsletter-1.nl.txt", "SendGrid", "anderen", '"SendGrid"'),
        ("offers-1.en.txt", "De Dagwijzer NV", "We", "the controller"),
        ("offers-1.en.txt", "at most twice a month", "sometimes", "how often"),
        ("offers-1.en.txt", "withdraw", "admire", "taken back"),
        ("offers-1.en.txt", "privacy statement", "booklet", "privacy statement"),
        ("offers-1.en.txt", "Mailchimp", "Others", '"Mailchimp"'),
    ],
)
def test_each_thing_a_reader_must_be_told_is_asked_for(house: House, file: str, old: str, new: str, says: str) -> None:
    """CAP-04: controller, frequency, withdrawal, statement, recipients, dropped in turn."""
    house.edit(f"notices/{file}", old, new)

    [line] = house.problems()

    assert line.startswith(f"notices/{file}: CAP-04: ")
    assert says in line


def test_line_breaks_and_capitals_do_not_matter(house: House) -> None:
    house.edit("notices/offers-1.en.txt", "at most twice a month", "At most twice\na month")

    assert len(house.notices()) == 4


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "De Dagwijzer NV, elke dag. Sie können jederzeit widerrufen. Datenschutzerklärung. Mailchimp, SendGrid"),
        (
            "fr",
            "De Dagwijzer NV, elke dag. Vous pouvez retirer votre accord. Politique de confidentialité. Mailchimp, SendGrid",
        ),
    ],
)
def test_german_and_french_texts_are_judged_by_their_own_words(house: House, language: str, text: str) -> None:
    house.edit("policy.toml", '["nl", "en"]', f'["{language}"]')
    path = house.folder / "policy.toml"
    lines = [line for line in path.read_text().splitlines() if ".en = " not in line]
    path.write_text("\n".join(lines).replace(".nl = ", f".{language} = "))
    house.edit(
        "policy.toml",
        f'frequency.{language} = "elke werkdag, met een overzicht in het weekend"',
        f'frequency.{language} = "elke dag"',
    )
    house.edit(
        "policy.toml", f'frequency.{language} = "hoogstens twee keer per maand"', f'frequency.{language} = "elke dag"'
    )
    shutil.rmtree(house.folder / "notices")
    (house.folder / "notices").mkdir()
    for purpose in ("newsletter", "offers"):
        house.write(f"notices/{purpose}-1.{language}.txt", text.encode())

    assert len(house.notices()) == 2
    house.write(f"notices/offers-1.{language}.txt", b"De Dagwijzer NV, elke dag. Mailchimp, SendGrid")
    assert len(house.problems()) == 2


def test_a_language_without_words_is_not_waved_through(house: House) -> None:
    house.edit("policy.toml", '["nl", "en"]', '["xx"]')
    path = house.folder / "policy.toml"
    lines = [line for line in path.read_text().splitlines() if ".en = " not in line]
    path.write_text("\n".join(lines).replace(".nl = ", ".xx = "))
    shutil.rmtree(house.folder / "notices")
    (house.folder / "notices").mkdir()
    for purpose in ("newsletter", "offers"):
        nl = (TEMPLATES / "demo" / "notices" / f"{purpose}-1.nl.txt").read_bytes()
        house.write(f"notices/{purpose}-1.xx.txt", nl)

    assert all("cannot be checked" in line for line in house.problems())


def test_explicit_consent_is_asked_in_the_words_of_the_policy(house: House) -> None:
    """MIN-02."""
    words = 'special_category = true\ndpia = "DPIA-7"\nexplicit_wording = { nl = "Ja, ook mijn geloof.", en = "Yes, my faith too." }'
    house.edit("policy.toml", 'id = "offers"', f'id = "offers"\n{words}')

    assert {line.partition(": ")[2].partition(":")[0] for line in house.problems()} == {"MIN-02"}

    house.edit("notices/offers-1.nl.txt", "De Dagwijzer NV", "Ja, ook mijn geloof. De Dagwijzer NV")
    house.edit("notices/offers-1.en.txt", "De Dagwijzer NV", "Yes, my faith too. De Dagwijzer NV")
    assert len(house.notices()) == 4


def test_a_missing_file_is_named(house: House) -> None:
    """Decision 35."""
    (house.folder / "notices" / "offers-1.nl.txt").unlink()

    [line] = house.problems()

    assert line.startswith("notices/offers-1.nl.txt: CAP-04: there is no such file")


def test_a_missing_folder_names_every_file(house: House) -> None:
    shutil.rmtree(house.folder / "notices")

    assert len(house.problems()) == 4


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"De Dagwijzer \xff", "UTF-8"),
        ("Dé Dagwijzer".encode("utf-16"), "UTF-8"),
        (b" \n ", "empty"),
        (b"a" * 4001, "longer than 4000"),
        (b"a" * 10_000_000, "longer than 4000"),
        (b"De Dag\x00wijzer", "control characters"),
        (b"De\tDagwijzer", "control characters"),
        ("De \u202edagwijzer".encode(), "control characters"),
    ],
    ids=["latin", "utf16", "empty", "long", "enormous", "nul", "tab", "turned"],
)
def test_a_file_that_is_no_plain_text_is_refused(house: House, raw: bytes, says: str) -> None:
    house.write("notices/offers-1.nl.txt", raw)

    assert any(line.startswith("notices/offers-1.nl.txt: CAP-04: ") and says in line for line in house.problems())


def test_a_folder_in_place_of_a_file_is_refused(house: House) -> None:
    (house.folder / "notices" / "offers-1.nl.txt").unlink()
    (house.folder / "notices" / "offers-1.nl.txt").mkdir()

    assert "cannot be read" in house.problems()[0]


@pytest.mark.parametrize(
    "change",
    [lambda raw: raw.replace(b"\n", b"\r\n"), lambda raw: b"\xef\xbb\xbf" + raw, lambda raw: raw + b"\n\n"],
    ids=["crlf", "bom", "end"],
)
def test_line_ends_do_not_change_the_hash(house: House, change: Callable[[bytes], bytes]) -> None:
    before = house.notices().wording("offers", "nl")
    house.write("notices/offers-1.nl.txt", change((house.folder / "notices" / "offers-1.nl.txt").read_bytes()))

    assert house.notices().wording("offers", "nl") == before


@pytest.mark.parametrize(
    "name", ["readme.txt", "offers.nl.txt", "offers-1.txt", "offers-01.nl.txt", "partners-1.nl.txt", "offers-1.NL.txt"]
)
def test_a_file_with_a_strange_name_is_refused(house: House, name: str) -> None:
    house.write(f"notices/{name}", b"De Dagwijzer")

    assert house.problems()[0].startswith(f"notices/{name}: CAP-07: ")


def test_a_draft_of_the_next_version_may_lie_there(house: House) -> None:
    house.write("notices/offers-2.nl.txt", b"not ready")

    assert len(house.notices()) == 4


def test_everything_is_reported_at_once(house: House) -> None:
    house.edit("notices/newsletter-1.nl.txt", "SendGrid", "anderen")
    house.edit("notices/newsletter-1.nl.txt", "intrekken", "bekijken")
    (house.folder / "notices" / "offers-1.en.txt").unlink()
    house.write("notices/readme.txt", b"x")

    assert len(house.problems()) == 4


def test_what_was_used_may_stay_as_it_is(house: House) -> None:
    check_unchanged(house.notices(), shown(house.notices()))
    check_unchanged(house.notices(), {})


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("notices/offers-1.nl.txt", "hoogstens", "Hoogstens"),
        ("policy.toml", "Ja, stuur mij de lezers", "Ja! Stuur mij de lezers"),
    ],
)
def test_a_used_wording_cannot_be_edited(house: House, file: str, old: str, new: str) -> None:
    """CAP-07: neither text nor label."""
    used = shown(house.notices())
    house.edit(file, old, new)

    with pytest.raises(NoticeChanged) as caught:
        check_unchanged(house.notices(), used)

    [line] = caught.value.problems
    assert line.startswith("notices/offers-1.nl.txt: CAP-07: ")
    assert "notice = 2" in line


@pytest.mark.parametrize("key", [("offers", 2, "nl"), ("offers", 1, "fr"), ("partners", 1, "nl")])
def test_a_used_wording_cannot_disappear(house: House, key: Key) -> None:
    """CAP-07, decision 35: a version, a dropped language, a removed purpose."""
    with pytest.raises(NoticeChanged) as caught:
        check_unchanged(house.notices(), {key: "0" * 64})

    assert "put file, purpose and label back" in str(caught.value)


def test_a_new_version_leaves_the_old_words_readable(house: House) -> None:
    """CAP-07: old records still show the old words, also when label and frequency changed."""
    before = house.notices()
    for language in ("nl", "en"):
        source = house.folder / "notices" / f"offers-1.{language}.txt"
        house.write(f"notices/offers-2.{language}.txt", source.read_bytes())
    house.edit("policy.toml", 'id = "offers"', 'id = "offers"\nnotice = 2')
    house.edit("policy.toml", "Ja, stuur mij de lezers", "Ja! Stuur mij de lezers")
    house.edit("policy.toml", "hoogstens twee keer per maand", "hoogstens één keer per maand")
    house.edit("notices/offers-2.nl.txt", "hoogstens twee keer per maand", "hoogstens één keer per maand")

    with pytest.raises(NoticeChanged, match=r"\[purposes\.earlier_labels\.1\], key nl"):
        check_unchanged(house.notices(), shown(before))

    label = before.wording("offers", "nl").label
    house.edit("policy.toml", "notice = 2", f'notice = 2\nearlier_labels.1.nl = "{label}"')
    after = house.notices()
    check_unchanged(after, shown(before))
    assert after.wording("offers", "nl", 1) == before.wording("offers", "nl")
    assert after.wording("offers", "nl").label != label
    assert not after.is_current(after.wording("offers", "nl", 1))


def test_the_words_of_a_dropped_language_stay_with_their_label(house: House) -> None:
    """Decision 35."""
    before = house.notices()
    path = house.folder / "policy.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if ".en = " not in line))
    house.edit("policy.toml", '["nl", "en"]', '["nl"]')

    assert all("[purposes.earlier_labels.1], key en" in line for line in house.problems())

    for purpose in ("newsletter", "offers"):
        label = before.wording(purpose, "en").label
        house.edit("policy.toml", f'id = "{purpose}"', f'id = "{purpose}"\nearlier_labels.1.en = "{label}"')
    check_unchanged(house.notices(), shown(before))


def test_a_wording_made_by_hand_is_hashed_alike() -> None:
    one = wording(purpose="news", version=1, language="en", label="Yes", text="Words")

    assert isinstance(one, Wording)
    assert one.sha256 == hashlib.sha256(b"Yes\n\nWords").hexdigest()
    assert one.key == ("news", 1, "en")


def test_one_handler_catches_policy_and_wordings() -> None:
    assert issubclass(NoticeChanged, NoticeError)
    assert issubclass(NoticeError, PolicyError)
