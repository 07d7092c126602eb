"""An operator's own words: any sentence can be said otherwise, and a language added, without touching our code.

Issue 8, point 3; rows CAP-08 (one language on form, mail and page), CON-03, A11Y-01.
"""

import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.cli import main
from bridge.jobs.doctor import house as doctor
from bridge.own_texts import OwnTexts, OwnTextsError, sentences, unfit
from bridge.texts import Texts, shipped
from tests.conftest import House
from tests.test_docs import section
from tests.test_templates import COMMON, LANGUAGES, MAILS, PAGES, Length, Page, mail, subscribe

ZONE = ZoneInfo("Europe/Brussels")
STILL_ON = PAGES["unsubscribed"]


def texts(folder: Path, *languages: str) -> Texts:
    return Texts(languages or LANGUAGES, ZONE, common=COMMON, own=folder / "texts")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "texts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def whole(language: str) -> str:
    """A file with every sentence in it, in words that keep its places: what a translator would write."""
    lines = []
    for sentence, words in shipped(language).items():
        places = " ".join(dict.fromkeys(re.findall(r"%\(\w+\)s", sentence)))
        said = f"كلمة {places} كلمات".replace("  ", " ")
        value = f'"{said}"' if isinstance(words, str) else "{" + ", ".join(f'{f} = "{said}"' for f in words) + "}"
        lines.append(f"{_key(sentence)} = {value}")
    return "\n".join(lines)


def _key(sentence: str) -> str:
    return '"' + sentence.replace("\\", "\\\\").replace('"', '\\"') + '"'


class TestWords:
    def test_they_stand_on_pages_and_in_mails(self, tmp_path: Path) -> None:
        """A sentence is said in the operator's words wherever it stands; whatever she leaves alone is said in ours."""
        write(
            tmp_path,
            "nl.toml",
            """# Ours say u, not je.
            "Subscribe" = "Word lid van de club"
            "%(name)s: you are subscribed" = "Welkom bij %(name)s, 100%% gratis"
            "You still receive one other" = {one = "U krijgt nog één brief", other = "U krijgt nog %(num)s brieven"}
            "%(num)s day" = {other = "%(num)s etmalen"}
            "You said yes" = "U zei ja"
            "What would you like to receive?" = ""
            """,
        )
        own, ours = texts(tmp_path), texts(tmp_path / "elsewhere")
        page = own.render("pages/subscribe.html", "nl", **subscribe())
        assert "Word lid van de club" in page
        assert "Inschrijven" not in page
        assert "Wat wil je ontvangen?" in page  # empty: not said otherwise
        assert own.render("email/welcome/subject.txt", "nl", **mail()) == "Welkom bij De Krant, 100% gratis"
        assert own.status_text("nl", "given") == "U zei ja"
        assert own.length("nl", Length(1, "days")) == "1 etmalen"
        said = [Page(own.render("pages/unsubscribed.html", "nl", **state)).visible for state in STILL_ON]
        assert ["U krijgt nog één brief" in text for text in said][:2] == [True, False]
        assert ["U krijgt nog 2 brieven" in text for text in said][:2] == [False, True]
        for code in ("en", "fr", "de"):
            for name in ("subscribe", "unsubscribed"):
                state = PAGES[name][0]
                assert own.render(f"pages/{name}.html", code, **state) == ours.render(
                    f"pages/{name}.html", code, **state
                )

    def test_a_reader_meets_them(self, make_house: Callable[..., House], sqlite_url: str, policy_folder: Path) -> None:
        """From the page to the mail: the house reads `texts/` beside its policy."""
        write(
            policy_folder,
            "nl.toml",
            '"Subscribe" = "Word lid"\n"%(name)s: please confirm your subscription" = "Klik even, %(name)s"',
        )
        house = make_house(sqlite_url)
        assert "Word lid" in house.client.get("/subscribe?language=nl").text
        form = {"email": "an@lezer.example", "purpose": "newsletter", "channel": "footer", "language": "nl"}
        house.client.post("/subscribe", data=form)
        house.dispatch()
        assert house.mailbox.messages[-1]["Subject"] == "Klik even, De Dagwijzer"
        (found,) = doctor._texts(house.bridge)
        assert (found.subject, found.ok, found.fix) == ("texts/nl.toml: 2 sentences", True, "")

    def test_nobody_pays_for_what_nobody_reads(self, tmp_path: Path) -> None:
        """A language is made when its first reader comes: offering four costs what one costs."""
        found = texts(tmp_path)
        assert found.own == {}
        found.gettext("fr", "Subscribe")
        assert set(found._spoken) == {"fr"}
        with pytest.raises(KeyError):
            found.gettext("ar", "Subscribe")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"Subscribe now" = "x"', "“Subscribe now” is no sentence of ours; did you mean “Subscribe”?"),
        ('"Subscribe" = 3', '“Subscribe” must be text in quotes, like "this"'),
        ('"Subscribe" = "<b>Nu</b>"', "“Subscribe” holds <, but the words stand on pages and in plain mails alike"),
        ('"Subscribe" = \'"Nu"\'', '“Subscribe” holds ", but'),
        ('"Subscribe" = "Ja & nee"', "“Subscribe” holds &, but"),
        ('"Subscribe" = "Ja\\nBcc: x"', "“Subscribe” holds a line break or a control character"),
        ('"Subscribe" = "a\\u202eb"', "“Subscribe” holds a line break or a control character"),
        ('"Subscribe" = "100 %"', "“Subscribe” holds a single %: write %% for a percent sign"),
        ('"Subscribe" = "%(name)s"', "“Subscribe” must hold exactly: no place for a value"),
        ('"Mail from %(name)s" = "Mail"', "“Mail from %(name)s” must hold exactly: %(name)s"),
        ('"Mail from %(name)s" = "Mail %(naam)s"', "“Mail from %(name)s” must hold exactly: %(name)s"),
        ('"Mail from %(name)s" = "Mail %(name)d"', "“Mail from %(name)s” holds a single %"),
        (
            '"%(num)s day" = "%(num)s"',
            '“%(num)s day” counts, so it needs a form for each number: {one = "…", other = "…"}',
        ),
        ('"%(num)s day" = {one = "x"}', "“%(num)s day” counts, so it needs a form for each number"),
        ('"%(num)s day" = {few = "x", other = "y"}', "“%(num)s day” counts, so it needs a form for each number"),
        ('"%(num)s day" = {other = "%(days)s"}', "“%(num)s day” must hold exactly: %(num)s"),
        ('"%(num)s day" = {other = 3}', '“%(num)s day” must have text in quotes for each number, like "this"'),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    """The start is refused with file, line, sentence and what to do; nothing is left to a reader's page."""
    write(tmp_path, "nl.toml", f'# ours\n\n"Unsubscribe" = "Weg ermee"\n{line}\n')
    with pytest.raises(OwnTextsError) as caught:
        texts(tmp_path)
    assert caught.value.problems[0].startswith(f"texts/nl.toml, line 4: {told}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """All of them at once: no TOML, no UTF-8, a language nobody offers, a name with a slip."""
    write(tmp_path, "nl.toml", '"Subscribe" = \n')
    write(tmp_path, "en.toml", "").write_bytes(b'"Subscribe" = "\xff"')
    write(tmp_path, "it.toml", "")
    write(tmp_path, "fr.tml", "")
    with pytest.raises(OwnTextsError) as caught:
        texts(tmp_path)
    said = caught.value.problems
    assert said[0] == "texts/en.toml: is not UTF-8; save it as UTF-8"
    assert said[1].startswith("texts/fr.tml: is not <language>.toml with a language of the policy: en, nl, fr, de;")
    assert said[2].startswith("texts/it.toml: is not <language>.toml")
    assert said[3].startswith("texts/nl.toml: is not TOML: Invalid value (at line 1")


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("aé %()s<>&\"'\n\u202e{}_") | st.characters(codec="utf-8"), max_size=40))
@example("%%")
@example("{{ x }}{% y")
def test_whatever_is_accepted_can_be_shown(said: str) -> None:
    """Words that pass the check stand on the page to the letter: no error, no markup, no other line."""
    if [*unfit(said, {"Unsubscribe"})]:
        return
    spoken = Texts(("nl",), ZONE, common=COMMON)
    spoken.own = {"nl": OwnTexts({"Unsubscribe": said}, Locale("nl"))}
    shown = said.replace("%%", "%")
    assert spoken.gettext("nl", "Unsubscribe") == shown
    state = mail(unsubscribe_url="https://x.example/u")
    found = Page(spoken.render("email/welcome/body.html", "nl", **state))
    assert shown in [words for above, words in found.words if above and above[-1].tag == "a"] or not shown
    assert spoken.render("email/welcome/body.txt", "nl", **state)


class TestALanguageOfTheirOwn:
    """Arabic stands for every language that we do not ship: written from right to left, with six forms of a number."""

    def test_it_is_spoken_everywhere(self, tmp_path: Path) -> None:
        """CAP-08: with every sentence in the file, pages and mails are wholly in it, in its direction and its dates."""
        write(tmp_path, "ar.toml", whole("ar"))
        spoken = texts(tmp_path, "nl", "ar")
        assert spoken.lacking("ar") == []
        for name, states in PAGES.items():
            found = Page(spoken.render(f"pages/{name}.html", "ar", **states[0]))
            (html,) = found.all("html")
            assert html.attributes == {"lang": "ar", "dir": "rtl"}
            assert "كلمة" in found.visible
        for name, states in MAILS.items():
            html_ = spoken.render(f"email/{name}/body.html", "ar", **states[0])
            (sheet,) = Page(html_).all("div", **{"class": "sheet"})  # a mailbox may throw the rest away
            assert (sheet.attributes["lang"], sheet.attributes["dir"]) == ("ar", "rtl")
            assert not re.search(r"[^-](left|right)\b", re.sub(r"<[^>]*>", "", html_))
            assert spoken.render(f"email/{name}/body.txt", "ar", **states[0])
        assert spoken.month("ar", date(2026, 12, 1)) == "ديسمبر 2026"
        assert spoken.names(("ar",)) == {"ar": "العربية"}

    def test_each_number_has_its_form(self, tmp_path: Path) -> None:
        """Unicode's plural forms; a form that is left out is said as the others are."""
        write(tmp_path, "ar.toml", '"%(num)s day" = {two = "يومان", few = "%(num)s أيام", other = "%(num)s يوم"}')
        said = [texts(tmp_path, "ar").length("ar", Length(count, "days")) for count in (1, 2, 3, 11)]
        assert said == ["1 يوم", "يومان", "3 أيام", "11 يوم"]

    def test_what_it_lacks_is_counted(
        self,
        make_house: Callable[..., House],
        sqlite_url: str,
        policy_folder: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A page is never broken by it: the sentence is English, and the start and `doctor` say how many are."""
        policy = policy_folder / "policy.toml"
        told = policy.read_text(encoding="utf-8")
        told = re.sub(r"(?m)^(\w+)\.en = (.*)$", r"\1.en = \2\n\1.ar = \2", told)
        policy.write_text(told.replace('["nl", "en"]', '["nl", "en", "ar"]'), encoding="utf-8")
        for wording in (policy_folder / "notices").glob("*.en.txt"):
            words = wording.read_text(encoding="utf-8") + "\nيمكنك سحب موافقتك. سياسة الخصوصية"
            wording.with_name(wording.name.replace(".en.", ".ar.")).write_text(words, encoding="utf-8")
        lines = whole("ar").splitlines()
        write(policy_folder, "ar.toml", "\n".join(line for line in lines if not line.startswith('"Sub')))
        gone = len([sentence for sentence in sentences() if sentence.startswith("Sub")])
        house = make_house(sqlite_url)
        assert f"texts/ar.toml lacks {gone} sentences: they are said in English" in caplog.messages
        page = house.client.get("/subscribe?language=ar").text
        assert '<html lang="ar" dir="rtl">' in page
        assert "Subscribe</button>" in page
        (found,) = doctor._texts(house.bridge)
        assert not found.ok
        assert found.fix.startswith(f"{gone} sentences are said in English, the first: “Sub")


class TestCommand:
    def test_it_prints_what_the_file_takes(self) -> None:
        """What it prints is TOML of every sentence, in our words, and passes our own check."""
        for code in ("nl", "fr"):
            done = CliRunner().invoke(main, ["texts", code])
            assert done.exit_code == 0
            said = tomllib.loads(done.stdout)
            assert list(said) == list(sentences())
            assert "" not in said.values()
        assert said["%(num)s hour"] == {"one": "%(num)s heure", "other": "%(num)s heures"}

    def test_it_finds(self) -> None:
        """By a word of either language."""
        done = CliRunner().invoke(main, ["texts", "nl", "--find", "uitschrijven"])
        assert '"Unsubscribe" = "Uitschrijven"' in done.stdout.splitlines()
        assert '"Subscribe" = ' not in done.stdout

    def test_it_begins_a_language(self) -> None:
        """Empty words, a form for each number; a code that is no language is refused."""
        said = tomllib.loads(CliRunner().invoke(main, ["texts", "pl"]).stdout)
        assert said["Subscribe"] == ""
        assert said["%(num)s hour"] == dict.fromkeys(("few", "many", "one"), "")
        done = CliRunner().invoke(main, ["texts", "zz"])
        assert done.exit_code == 1
        assert "zz is no language" in done.output


def test_readme_shows_a_file_that_loads(tmp_path: Path) -> None:
    """README, Languages: its example is taken as it stands, and says what README says."""
    (example_,) = re.findall(r"^```toml\n(# texts/nl.*?)^```", section("Languages"), re.DOTALL | re.MULTILINE)
    write(tmp_path, "nl.toml", example_)
    own = texts(tmp_path).own["nl"]
    assert own.words["Unsubscribe"] == "Ik stop ermee"
    assert len(own.words) == 3
