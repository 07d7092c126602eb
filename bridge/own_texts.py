"""Sentences that the operator says in words of her own: `texts/<language>.toml` beside the policy.

Each line is one of our English sentences and what stands in its place, such as `"Subscribe" = "Word lid"`. A language
that we do not ship is the same file with every sentence in it. Nobody who has no such file pays for this.
"""

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from gettext import NullTranslations
from pathlib import Path

from babel import Locale

from bridge.policy import PolicyError

#: Every sentence that readers may see, as `scripts/translations.py --update` found them in templates and code.
_SENTENCES = Path(__file__).resolve().parent / "translations" / "sentences.json"

_PLACE = re.compile(r"%\((\w+)\)s|%%")
_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""")
#: The same words stand on pages, in attributes of them, and in plain mails.
_MARKUP = re.compile(r"[<>&\"]")
#: Marks that turn the direction of writing: what is read would not be what is written here.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SHORT = 60


class OwnTextsError(PolicyError):
    """A file in `texts/` cannot be used. `problems` has one line for each thing to mend."""


class OwnTexts(NullTranslations):
    """The operator's words in one language; for what she leaves alone, those of its fallback."""

    def __init__(self, words: Mapping[str, str | Mapping[str, str]], locale: Locale) -> None:
        super().__init__()
        self.words = words
        self._plural = locale.plural_form

    def gettext(self, message: str) -> str:
        """One sentence."""
        own = self.words.get(message)
        return own if isinstance(own, str) else super().gettext(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """A sentence that counts: the form which the language has for this number (CLDR)."""
        own = self.words.get(one)
        if not isinstance(own, Mapping):
            return super().ngettext(one, many, count)
        return own.get(self._plural(count)) or own["other"]

    @property
    def missing(self) -> list[str]:
        """Our sentences that it leaves alone, in our order."""
        return [sentence for sentence in sentences() if sentence not in self.words]


@cache
def sentences() -> dict[str, str | None]:
    """Every sentence that may be said otherwise; for one that counts, its plural."""
    found: list[str | list[str]] = json.loads(_SENTENCES.read_text(encoding="utf-8"))
    return {each if isinstance(each, str) else each[0]: None if isinstance(each, str) else each[1] for each in found}


def forms(locale: Locale) -> list[str]:
    """How a language tells numbers apart: `one`, `few`, ... and always `other`."""
    return [*sorted(locale.plural_form.tags - {"other"}), "other"]


def read(folder: Path, languages: Mapping[str, Locale]) -> dict[str, OwnTexts]:
    """The files of these languages, or `OwnTextsError` with everything that is wrong, each with file and line."""
    found: dict[str, OwnTexts] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        locale = languages.get(path.stem)
        if path.suffix != ".toml" or locale is None:
            fix = f"is not <language>.toml with a language of the policy: {', '.join(languages)}; rename or remove it"
            problems.append(f"texts/{path.name}: {fix}")
            continue
        try:
            text = path.read_text(encoding="utf-8-sig")
            words = tomllib.loads(text)
        except UnicodeDecodeError:
            problems.append(f"texts/{path.name}: is not UTF-8; save it as UTF-8")
        except tomllib.TOMLDecodeError as error:
            problems.append(f"texts/{path.name}: is not TOML: {error}")
        except OSError as error:
            problems.append(f"texts/{path.name}: cannot be read ({error.strerror})")
        else:
            said = {sentence: value for sentence, value in words.items() if value != ""}
            problems += [
                f"texts/{path.name}, line {_line(text, sentence)}: “{_cut(sentence)}” {problem}"
                for sentence, value in said.items()
                for problem in _wrong(sentence, value, locale)
            ]
            found[path.stem] = OwnTexts(said, locale)
    if problems:
        raise OwnTextsError(problems)
    return found


def _wrong(sentence: str, value: object, locale: Locale) -> Iterator[str]:
    """What does not fit in the words for one sentence."""
    if sentence not in sentences():
        near = get_close_matches(sentence, sentences(), n=1)
        yield "is no sentence of ours" + (f"; did you mean “{near[0]}”?" if near else "")
        return
    plural = sentences()[sentence]
    if plural is None:
        if not isinstance(value, str):
            yield 'must be text in quotes, like "this"'
        else:
            yield from unfit(value, {sentence})
        return
    known = forms(locale)
    if not isinstance(value, Mapping) or not value.get("other") or not set(value) <= set(known):
        example = ", ".join(f'{form} = "…"' for form in known)
        yield f"counts, so it needs a form for each number: {{{example}}}"
        return
    for said in value.values():
        if not isinstance(said, str):
            yield 'must have text in quotes for each number, like "this"'
        else:
            yield from unfit(said, {sentence, plural})


def unfit(said: str, ours: set[str]) -> Iterator[str]:
    """What in these words would break a page, a mail or its subject; `ours` is the sentence, with its plural if any."""
    if found := _MARKUP.search(said):
        yield f'holds {found[0]}, but the words stand on pages and in plain mails alike: no HTML, no < > & "'
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") or char in _TURNS for char in said):
        yield "holds a line break or a control character; write it in one line of plain text"
    if "%" in _PLACE.sub("", said):
        yield "holds a single %: write %% for a percent sign"
    there = _places(said)
    wanted = set().union(*map(_places, ours))
    # A form for one number may say it in words: "one other".
    needed = wanted - {"num"} if len(ours) > 1 else wanted
    if not needed <= there <= wanted:
        names = ", ".join(f"%({name})s" for name in sorted(wanted)) or "no place for a value"
        yield f"must hold exactly: {names}"


def _places(text: str) -> set[str]:
    return {found[1] for found in _PLACE.finditer(text) if found[1]}


def _line(text: str, sentence: str) -> int:
    """Where a sentence stands in its file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if (found := _KEY.match(line)) and _key(found[1]) == sentence:
            return number
    return 1


def _key(written: str) -> str:
    """The key that a line of TOML begins with."""
    try:
        return next(iter(tomllib.loads(f"{written} = 0")))
    except tomllib.TOMLDecodeError:  # a line in the middle of a longer text
        return ""


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= _SHORT else f"{sentence[:_SHORT]}…"
