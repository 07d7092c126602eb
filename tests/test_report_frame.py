"""The frame and the charts of printed reports: whole on their own, read by ear, eye and paper (A11Y-01, ORG-01)."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from zoneinfo import ZoneInfo

import pytest

from bridge.texts import TEMPLATES, Texts, contrast
from bridge.vocabulary import FEW
from tests.test_templates import COMMON, Page

REPORT = """{% extends "report/layout.html" %}
{% import "report/charts.html" as charts %}
{% block main %}
<section>
<h2>Grades</h2>
{{ charts.facts([("People", "1,234")]) }}
{{ charts.bars(rows, "Contacts by channel", "Channel") }}
{{ charts.stack(rows, "All of them", "Channel") }}
</section>
{% endblock %}
"""
ROWS = [("site <b>", 12000, 0.8), ("shop", 2985, 0.1996), ("fair", None, None), ("fax", 9, 0.0006), ("none", 0, 0.0)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    folder = tmp_path_factory.mktemp("house") / "templates"
    copytree(TEMPLATES, folder)
    (folder / "report" / "sample.html").write_text(REPORT, encoding="utf-8")
    return Texts(("en", "nl"), ZoneInfo("Europe/Brussels"), folder, COMMON)


@pytest.fixture(params=["en", "nl"])
def html(texts: Texts, request: pytest.FixtureRequest) -> str:
    made = datetime(2026, 11, 30, 14, 17, tzinfo=UTC)
    return texts.render("report/sample.html", request.param, title="An audit", subtitle="", made=made, rows=ROWS)


def test_nothing_comes_from_elsewhere(html: str) -> None:
    """A report is one file: no script, no image, no style sheet, nothing that is fetched, no address to open."""
    found = Page(html)
    assert not found.all("script", "link", "img", "iframe", "object", "embed", "base", "a", "form")
    assert not re.search(r"https?:|@import|url\((?!#ground-\d\))", html)
    assert not [key for element in found.elements for key in element.attributes if key.startswith("on")]


def test_every_bar_is_a_number_first(html: str) -> None:
    """A11Y-01: each chart is a table with its caption and heads; drawings are kept from a screen reader."""
    found = Page(html)
    tables = found.all("table")
    assert len(tables) == len(found.all("caption")) == 2
    assert len(found.all("th", scope="row")) == 2 * len(ROWS)
    assert found.all("svg") == found.all("svg", **{"aria-hidden": "true"})
    assert found.visible.count("12,000" if 'lang="en"' in html else "12.000") == 2


def test_the_bars_are_as_long_as_the_shares(html: str) -> None:
    """A bar's length is its share, parts of one bar stand end to end, and what is hidden or nothing has none."""
    bars = re.findall(r'<rect width="([\d.]+)" height="10" fill="#1f3d73"/>', html)
    assert bars == ["80.00", "19.96", "0.06"]
    parts = re.findall(r'<rect x="([\d.]+)" width="([\d.]+)" height="24"', html)
    assert parts == [("0.00", "560.00"), ("560.00", "139.72"), ("699.72", "0.42")]


def test_shares_are_rounded_but_never_to_nothing(html: str) -> None:
    """Whole percents; below one, enough to see that there is something. A hidden share is a dash, never a zero."""
    said = Page(html).visible
    for words in ("80%", "20%", "0.06%" if 'lang="en"' in html else "0,06%", "0%", "–"):
        assert words in said


def test_org_01_hidden_counts_are_named_as_hidden(html: str) -> None:
    """ORG-01: what is hidden says so, and the foot says from which size on."""
    said = Page(html).visible
    hidden, foot = ("hidden", "fewer than 5") if 'lang="en"' in html else ("verborgen", "minder dan 5")
    assert (said.count(hidden), said.count(foot), FEW) == (2, 1, 5)


def test_colour_is_never_the_only_difference(html: str) -> None:
    """A11Y-01 (1.4.1): neighbours in one bar differ in lightness or hatching; text is dark on white."""
    grounds = re.findall(r'<pattern id="ground-\d".*?fill="(#\w+)"/><path d="(.*?)"', html)
    assert len(grounds) == 7
    for (one, hatched), (other, lined) in pairwise(grounds):
        assert hatched != lined
        assert contrast(one, other) >= 1.3 or hatched or lined
    colours = re.findall(r"(?<![-\w])color: (#\w+)", html)
    assert all(contrast(colour, "#ffffff") >= 7 for colour in colours)


def test_words_are_text(html: str) -> None:
    """What the policy says is text, never markup; ids are there once; one title and one heading."""
    found = Page(html)
    assert "<b>" not in html
    ids = [e.attributes["id"] for e in found.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert len(found.all("h1", "title", "main")) == 3


def test_it_is_dated_and_signed(html: str) -> None:
    """Who made it and when, to the minute, in the policy's zone and for machines."""
    assert "De Krant nv" in html
    assert '<time datetime="2026-11-30T14:17:00Z">' in html
    assert "15:17" in html


def test_every_report_is_in_the_frame() -> None:
    """No report has a frame of its own."""
    for path in Path(TEMPLATES / "report").glob("*.html"):
        if path.name not in ("layout.html", "charts.html"):
            assert path.read_text("utf-8").startswith('{% extends "report/layout.html" %}')
