"""What comes out: rows of one table, as Markdown for README and people, as JSON for programs."""

import platform
import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import machine

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


#: Ratio, goal, and whether it is met.
Verdict = tuple[float, str, bool | None]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: ours, the floor's where there is one, and the goal where issue 3 sets one.

    `ratio` is what the goal speaks about: most often ours ÷ floor, else the figure itself.
    """

    section: str
    what: str
    database: str = ""
    ours: str
    floor: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one run and what they were measured on."""

    date: str
    machine: str
    python: str
    databases: tuple[str, ...]
    people: tuple[int, int]
    how: str
    seconds: float
    rows: tuple[Row, ...]


def at_most(value: float, most: float, words: str = "") -> Verdict:
    """Ratio, goal and verdict of something that should be small."""
    return value, words or f"≤ {most:g}", value <= most


def at_least(value: float, least: float, words: str = "") -> Verdict:
    """Ratio, goal and verdict of something that should be large."""
    return value, words or f"≥ {least:g}", value >= least


def no_goal(value: float) -> Verdict:
    """A ratio that only informs."""
    return value, "", None


def row(
    section: str, what: str, ours: str, floor: str = "", verdict: Verdict | None = None, *, database: str = ""
) -> Row:
    """One row; without a verdict it only informs."""
    ratio, goal, met = verdict or (None, "", None)
    return Row(section=section, what=what, database=database, ours=ours, floor=floor, ratio=ratio, goal=goal, met=met)


def report(
    rows: Sequence[Row], databases: Sequence[str], *, people: tuple[int, int], how: str, seconds: float
) -> Report:
    """The rows with what they were measured on."""
    return Report(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine.kind(),
        python=platform.python_version(),
        databases=(f"SQLite {sqlite3.sqlite_version}", *databases),
        people=people,
        how=how,
        seconds=round(seconds),
        rows=tuple(rows),
    )


def markdown(told: Report) -> str:
    """The table, with what it was measured on above it."""
    small, large = told.people
    head = [
        f"{told.date}; {told.machine}; Python {told.python}; {', '.join(told.databases)}; "
        f"{small:,} and {large:,} people.",
        told.how,
        "",
        "| what | database | ours | floor | ratio | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(line(row) for row in told.rows), ""])


def line(row: Row) -> str:
    """One row of the table."""
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}" if row.ratio < 1000 else f"{row.ratio:,.0f}"
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    return f"| {row.what} | {row.database} | {row.ours} | {row.floor} | {ratio} | {row.goal} | {met} |"


def to_readme(told: Report, readme: Path = README) -> None:
    """Put the table between README's markers."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{readme.name} has no line {BEGIN} with {END} after it: put them where the table belongs")
    made = f"{BEGIN}\n\n{markdown(told)}\n{END}"
    readme.write_text(
        re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: made, text, flags=re.DOTALL), encoding="utf-8"
    )
