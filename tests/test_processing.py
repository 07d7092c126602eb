"""The record of processing: all letters of GDPR 30(1) and 30(2), as data, table, page and lines. REG-01."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli.main import main
from bridge.jobs.reports.processing import COLUMNS
from tests.conftest import House, Reader
from tests.test_processors import office, write
from tests.test_templates import Page

__all__ = ["office"]

SERVED = """
[processing]
measures = ["backups in another building"]

[[controllers_served]]
name = "Zusterkrant vzw"
address = "Kaai 1, 9000 Gent"
email = "info@zusterkrant.example"
dpo = "dpo@zusterkrant.example"
processing = ["sending its newsletter", "keeping its proofs"]

[statement.representative]
name = "Agent bv, Kaai 2, 9000 Gent"
email = "agent@agent.example"
"""


def run(*words: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, ["register", "processing", *words])


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize(("form", "letters"), [((), "abcdefg"), (("--processor",), "abcd")])
def test_reg_01_every_letter_is_there(
    office: House, environment: dict[str, str], tmp_path: Path, form: tuple[str, ...], letters: str, language: str
) -> None:
    """REG-01: 30(1)(a) to (g) and 30(2)(a) to (d), none of them empty; the same on paper, in the table and in lines."""
    write(environment, end=SERVED)
    words = (*form, "--language", language)
    found = json.loads(run(*words, "--json").stdout)
    for kind in ("html", "csv", "json"):
        assert run(*words, "--out", str(tmp_path / f"r.{kind}")).exit_code == 0
    page = Page((tmp_path / "r.html").read_text("utf-8")).visible
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text("utf-8"))))
    lines = run(*words).stdout

    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["letters"] == found["letters"]
    assert "".join(found["letters"]) == letters
    assert tuple(rows[0]) == COLUMNS
    for letter, part in found["letters"].items():
        assert part["lines"]
        assert f"{part['about']} ({letter})" in page
        assert len([row for row in rows if row["letter"] == letter]) == len(part["lines"])
        for line in part["lines"]:
            assert line["text"].strip()
            assert " ".join(line["text"].split()) in page
            assert line["text"] in lines


def said(found: dict[str, Any], letter: str) -> str:
    """What stands under a letter."""
    return "\n".join(f"{line['item']}: {line['text']}" for line in found["letters"][letter]["lines"])


def test_reg_01_each_letter_says_what_the_law_asks(office: House, environment: dict[str, str]) -> None:
    """REG-01: parties and contacts, purposes, people and data, recipients, transfers with safeguard, limits, measures."""
    abroad = 'country = "US"\ntransfer_tool = "standard clauses"\ntransfer_assessed = 2026-01-05\nsafeguard.nl = "n"\nsafeguard.en = "ask us for a copy"\ncontract = '
    write(environment, ('country = "BE"\ncontract = ', abroad), end=SERVED)
    found = json.loads(run("--json", "--language", "en").stdout)
    for letter, words in {
        "a": ("De Dagwijzer NV", "info@dedagwijzer.example", "Dora Maes", "Agent bv"),
        "b": ("Newsletter", "Reader offers", "consent, GDPR 6(1)(a)", "fingerprint"),
        "c": ("readers", "e-mail address", "language", "proof"),
        "d": ("An ESP in memory", "United States"),
        "e": ("An ESP in memory", "standard clauses", "ask us for a copy"),
        "f": ("30 days", "36 months"),
        "g": ("sealed", "backups in another building"),
    }.items():
        for word in words:
            assert word in said(found, letter), letter
    found = json.loads(run("--json", "--language", "en", "--processor").stdout)
    for letter, words in {
        "a": ("De Dagwijzer NV", "Zusterkrant vzw", "info@zusterkrant.example", "dpo@zusterkrant.example"),
        "b": ("sending its newsletter; keeping its proofs",),
        "c": ("standard clauses",),
        "d": ("sealed", "backups in another building"),
    }.items():
        for word in words:
            assert word in said(found, letter), letter
    assert found["gaps"] == []


def test_reg_01_a_processor_form_without_controllers_says_so(office: House) -> None:
    """REG-01: nobody is served: named as a gap, not left empty."""
    found = json.loads(run("--json", "--processor").stdout)
    assert found["gaps"] == ["controllers_served"]
    assert "[[controllers_served]]" in run("--processor").stdout


def test_reg_01_nothing_of_readers_is_in_it(office: House) -> None:
    """REG-01, MIN-03."""
    Reader(office, "an@lezer.example").has_consented()
    for form in ((), ("--processor",)):
        assert "lezer.example" not in run(*form).stdout
