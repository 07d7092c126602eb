#!/usr/bin/env python
"""Compare the catalogues with the sentences in templates and code; exit 1 if one is missing, unsure or left over.

`--update` writes new sentences into every catalogue, takes old ones out and compiles it; `--new CODE` begins one more.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from bridge.own_texts import unfit  # noqa: E402  (the house is put on the path first)

CATALOGUES = HOUSE / "bridge" / "translations"

#: The sentences by themselves: what an operator may say in words of her own (`texts/<language>.toml`).
SENTENCES = CATALOGUES / "sentences.json"

#: The language that sentences are written in: its catalogue may stay empty.
SOURCE = "en"

#: What another language may say in the same letters: names, units, words that both have.
ALIKE = frozenset(
    {
        ":", "“%(words)s”",
        "%(database)s, schema %(schema)s.", "%(num)s d", "%(num)s h", "%(num)s min", "%(num)s s",
        "%(service)s, %(country)s", "Code %(status)s",
        "E-mail", "IT", "Marketing", "Name", "Page (HTML)", "Platform", "Region", "Service", "Tables", "Technique",
        "Version", "Version %(version)s, %(day)s", "Website", "download", "mails", "open", "version %(version)s",
        "Contact: %(name)s, %(email)s.", "Open", "Stops",
    }
)  # fmt: skip

#: Compiled catalogues carry no date: the same sentences are the same file.
_NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)

#: `texts.gettext(language, "…")`, `mark("…")`, and what the pages make of them: `say("…")`, `say(language, "…")`.
Spec = tuple[int | tuple[int, int] | tuple[int, str], ...]
Keywords = Mapping[str, dict[int | None, Spec | None] | Spec | None]
IN_CODE: Keywords = {"mark": None, "mark_plural": (1, 2), "gettext": (2,), "_say": None, "say": {None: (2,), 1: (1,)}}
IN_TEMPLATES: Keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}


def extracted(house: Path = HOUSE) -> Catalog:
    """Every sentence that readers may see, with the file it stands in."""
    catalogue = Catalog(fuzzy=False)
    for path, method in _sources(house):
        keywords = IN_CODE if method == "python" else IN_TEMPLATES
        found = extract_from_file(
            method, path, keywords=keywords, comment_tags=("Translators:",), options={"silent": "false"}
        )
        for _line, message, comments, _context in found:
            place = str(path.relative_to(house))
            catalogue.add(message, locations=[(place, None)], auto_comments=comments)  # type: ignore[list-item]  # write_po takes a place without a line, its type does not
    return catalogue


def problems(code: str, sentences: Catalog, house: Path = HOUSE) -> list[str]:
    """What is wrong with one language's catalogue, a line each."""
    catalogue = _read(code, house)
    lines = [f"{code}: obsolete: {_short(key)}" for key in catalogue.obsolete]
    lines += [f"{code}: obsolete: {_short(m.id)}" for m in catalogue if m.id and not sentences.get(m.id)]
    for sentence in sentences:
        if not sentence.id:
            continue
        message = catalogue.get(sentence.id)
        strings = _strings(message.string) if message else ()
        if code != SOURCE and not (strings and all(strings)):
            lines.append(f"{code}: missing: {_short(sentence.id)}")
        elif message and message.fuzzy:
            lines.append(f"{code}: fuzzy: {_short(sentence.id)}")
        elif message and all(strings):
            lines += [f"{code}: wrong: {_short(sentence.id)}: {error}" for error in _wrong(message, catalogue)]
            if code != SOURCE and strings == _strings(sentence.id) and strings[0] not in ALIKE:
                lines.append(f"{code}: not translated: {_short(sentence.id)}")
    return lines


def _wrong(message: Message, catalogue: Catalog) -> Iterator[str]:
    """What in a translation would break a page or a mail: the rule that an operator's own words keep too."""
    ours, said = set(_strings(message.id)), _strings(message.string)
    if len(said) != (catalogue.num_plurals if message.pluralizable else 1):
        yield f"{len(said)} forms, the language has {catalogue.num_plurals}"
    for words in said:
        yield from unfit(words, ours)


def languages(house: Path = HOUSE) -> list[str]:
    """The languages that have a catalogue."""
    return sorted(path.stem for path in (house / "bridge" / "translations").glob("*.po"))


def update(code: str, sentences: Catalog) -> None:
    """Write a catalogue anew: new sentences come in empty, old ones go."""
    path = CATALOGUES / f"{code}.po"
    catalogue = _read(code) if path.exists() else Catalog(locale=code)
    old = {message.id: message for message in catalogue if message.id}
    fresh = Catalog(
        locale=code.replace("-", "_"),
        project="consent-bridge",
        version="1",
        header_comment=f"# {code}: what readers see. `scripts/translations.py --update` keeps it in step.",
        fuzzy=False,
    )
    for sentence in sentences if code != SOURCE else ():
        if sentence.id:
            known = old.get(sentence.id)
            fresh.add(
                sentence.id,
                known.string if known else None,
                locations=sentence.locations,
                flags=(known.flags if known else set()) | sentence.flags,
                auto_comments=sentence.auto_comments,
            )
    written = BytesIO()
    write_po(written, fresh, width=110, include_lineno=False, omit_header=False)
    lines = written.getvalue().decode().splitlines()
    changing = (
        '"POT-Creation-Date',
        '"PO-Revision-Date',
        '"Generated-By',
        '"Report-Msgid',
        '"Last-Translator',
        '"Language-Team',
    )
    kept = (line for line in lines if not line.startswith(changing))
    path.write_text("\n".join(kept).strip() + "\n", encoding="utf-8")


def listed(sentences: Catalog) -> str:
    """All sentences as the program reads them, one a line; a pair for one that counts."""
    lines = (json.dumps(message.id, ensure_ascii=False) for message in sentences if message.id)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def compile_catalogue(code: str, house: Path = HOUSE) -> None:
    """Write what the program reads (`.mo`) beside what translators write (`.po`)."""
    catalogue = _read(code, house)
    catalogue.creation_date = catalogue.revision_date = _NO_DATE
    with _compiled(code, house).open("wb") as file:
        write_mo(file, catalogue)


def is_compiled(code: str, house: Path = HOUSE) -> bool:
    """Whether the program reads what the translators wrote last."""
    if not _compiled(code, house).is_file():
        return False
    with _compiled(code, house).open("rb") as file:
        there = read_mo(file)
    return _said(there) == _said(_read(code, house))


def main(arguments: list[str] | None = None, sentences: Catalog | None = None) -> int:
    """Report, or write with `--update` and `--new`, then report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write new sentences into the catalogues")
    parser.add_argument("--new", metavar="CODE", help="begin the catalogue of one more language")
    options = parser.parse_args(arguments)
    sentences = sentences or extracted()
    for code in languages() if options.update else []:
        update(code, sentences)
    if options.new:
        update(options.new, sentences)
    for code in languages() if options.update or options.new else []:
        compile_catalogue(code)
    if options.update:
        SENTENCES.write_text(listed(sentences), encoding="utf-8")
    found = [line for code in languages() for line in problems(code, sentences)]
    found += [f"{code}: not compiled: run it with --update" for code in languages() if not is_compiled(code)]
    if not SENTENCES.is_file() or SENTENCES.read_text(encoding="utf-8") != listed(sentences):
        found.append(f"{SENTENCES.name}: not of today: run it with --update")
    print("\n".join(found) or f"{len(sentences)} sentences, complete in {', '.join(languages())}")
    return 1 if found else 0


def _sources(house: Path) -> Iterator[tuple[Path, str]]:
    """Files with sentences for readers, and how to read them. Notices are the operator's words, not ours."""
    for path in sorted((house / "bridge").rglob("*.py")):
        yield path, "python"
    for path in sorted((house / "templates").rglob("*.*")):
        if path.suffix in (".html", ".txt") and "notices" not in path.parts:
            yield path, "jinja2.ext:babel_extract"


def _read(code: str, house: Path = HOUSE) -> Catalog:
    with (house / "bridge" / "translations" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code.replace("-", "_"), abort_invalid=True)


def _compiled(code: str, house: Path) -> Path:
    return house / "bridge" / "translations" / f"{code}.mo"


def _said(catalogue: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Each translated sentence with its words."""
    words = {_strings(message.id): _strings(message.string) for message in catalogue if message.id}
    return {sentence: said for sentence, said in words.items() if said and all(said)}


def _strings(string: object) -> tuple[str, ...]:
    """The forms of a sentence or its translation: one, or one for each plural."""
    if isinstance(string, str):
        return (string,)
    return tuple(string) if isinstance(string, list | tuple) else ()


def _short(identity: object) -> str:
    first = identity[0] if isinstance(identity, list | tuple) else identity
    return repr(str(first)[:70])


if __name__ == "__main__":
    sys.exit(main())
