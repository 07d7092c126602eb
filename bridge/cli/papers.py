"""`consent-bridge register` and `consent-bridge report`: what is written for people who answer for the mail."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import Moment, as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.staff import staff_act
from bridge.files import whole

_NEW = click.Path(dir_okay=False, path_type=Path)
_LANGUAGE = click.option("--language", help="One of your policy's languages; else its first.")

#: How a register may be written: to print and for a spreadsheet; and for programs too.
_PRINTED = (".html", ".csv")
_KEPT = (*_PRINTED, ".json")

#: Departments that have a report.
_DEPARTMENTS = ("marketing", "sales", "support", "it", "management")


@click.group()
def register() -> None:
    """The registers: what is done with addresses, and who answers for it."""


@register.command()
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there: .html prints well, .csv is for a spreadsheet.")
@as_json
@env_file
@errors_in_a_line
def channels(language: str | None, out: Path | None, json_: bool) -> None:
    """Where addresses are collected: place, topics, ground, wording, owner and reviews of each channel.

    \b
    Example: consent-bridge register channels
             consent-bridge register channels --out channels.html
    """
    from bridge.jobs.reports import register as paper

    bridge = make_bridge()
    _show(bridge, paper, paper.collect(bridge, _spoken(bridge, language)), json_=json_, out=out, kinds=_PRINTED)


@register.command()
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there: .html prints well, .csv is for a spreadsheet, .json.")
@as_json
@env_file
@errors_in_a_line
def processors(language: str | None, out: Path | None, json_: bool) -> None:
    """Who gets data: contract, clauses, sub-processors, transfers; what is missing, overdue or changed.

    \b
    Example: consent-bridge register processors
             consent-bridge register processors --out processors.html
    """
    from bridge.jobs.reports import parties as paper

    bridge = make_bridge()
    _show(bridge, paper, paper.collect(bridge, _spoken(bridge, language)), json_=json_, out=out, kinds=_KEPT)


@register.command()
@click.option("--processor", is_flag=True, help="The form of who works for others: 30(2) instead of 30(1).")
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there: .html prints well, .csv is for a spreadsheet, .json.")
@as_json
@env_file
@errors_in_a_line
def processing(processor: bool, language: str | None, out: Path | None, json_: bool) -> None:
    """The record of processing that the authority may ask for (GDPR 30), letter by letter.

    \b
    Example: consent-bridge register processing
             consent-bridge register processing --processor --out record.html
    """
    from bridge.jobs.reports import processing as paper

    bridge = make_bridge()
    found = paper.collect(bridge, _spoken(bridge, language), processor=processor)
    _show(bridge, paper, found, json_=json_, out=out, kinds=_KEPT)


@register.command()
@click.option("--by", metavar="NAME", required=True, help="Who looked, by name.")
@staff_act("register acknowledge")
@as_json
@env_file
@errors_in_a_line
def acknowledge(by: str, json_: bool) -> None:
    """Note that a person has seen the registers as they are now; later changes are named against that.

    \b
    Example: consent-bridge register acknowledge --by "Dora Maes"
    """
    from bridge.jobs.tasks import acknowledge

    name = " ".join(by.split())
    if not name or len(name) > 100 or not name.isprintable():
        fail("--by: write the name of the person who looked")
    seen = acknowledge(make_bridge(), name)
    if json_:
        show({"by": name, "seen": [change._asdict() for change in seen]})
        return
    for change in seen:
        click.echo(str(change))
    click.echo(f"Noted: {name} has seen the registers as they are.")


@register.command()
@click.option("--since", type=Moment(), help="Only what was done from then on, such as 2026-11-01.")
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there: .html prints well, .csv is for a spreadsheet.")
@as_json
@env_file
@errors_in_a_line
def staff(since: datetime | None, language: str | None, out: Path | None, json_: bool) -> None:
    """Who did what: every act of staff that changed something about people or rules, or opened what is kept of them.

    \b
    Example: consent-bridge register staff --since 2026-11-01
             consent-bridge register staff --out staff.html
    """
    from bridge.jobs.reports import staff as paper

    bridge = make_bridge()
    _show(bridge, paper, paper.collect(bridge, _spoken(bridge, language), since), json_=json_, out=out, kinds=_PRINTED)


@click.command()
@click.option(
    "--department",
    type=click.Choice((*_DEPARTMENTS, "all")),
    default="marketing",
    show_default=True,
    help="For whom; all only with --mail.",
)
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there as a page that prints: FILE.html.")
@click.option("--mail", is_flag=True, help="Send it to the addresses that the policy names for that department.")
@as_json
@env_file
@errors_in_a_line
def report(*, department: str, language: str | None, out: Path | None, mail: bool, json_: bool) -> None:
    """One page for a department: how it stands, what is overdue, what to do next. Numbers only, of nobody.

    \b
    Example: consent-bridge report
             consent-bridge report --department management --out management.html
             consent-bridge report --department all --mail
    """
    from bridge.jobs.reports.departments import as_html, as_text, collect

    if department == "all" and not mail:
        raise click.UsageError("--department all is for --mail; name one department")
    if mail and (out or json_):
        raise click.UsageError("--mail sends it: leave --out and --json out")
    bridge = make_bridge()
    if mail:
        _mail(bridge, [department] if department != "all" else list(_DEPARTMENTS), language)
        return
    with progress("counting", sys.stderr) as tell:
        found = collect(bridge, department, _spoken(bridge, language), tell)
    _tell(
        found,
        json_=json_,
        text=lambda: as_text(bridge, found),
        out=out,
        kinds={".html": lambda: as_html(bridge, found, bridge.clock())},
    )


def _mail(bridge: Bridge, departments: list[str], language: str | None) -> None:
    """Each department's report to its own addresses; of these only how many there are is said."""
    from bridge.jobs.reports.mailing import addresses, send

    chosen = _spoken(bridge, language or bridge.policy.reports.language or None)
    wanted = [department for department in departments if addresses(bridge, department)]
    if not wanted:
        fail(f'the policy names nobody for it: add [reports] with {departments[0]} = ["an address"]')
    failed = {department: send(bridge, department, chosen) for department in wanted}
    for department in wanted:
        count = len(addresses(bridge, department))
        click.echo(f"{department}: handed over {count - len(failed[department])} of {count}")
    if wrong := [f"{department}: {why}" for department, reasons in failed.items() for why in reasons]:
        fail("\n".join(wrong))


def _show(
    bridge: Bridge, paper: ModuleType, found: dict[str, Any], *, json_: bool, out: Path | None, kinds: Sequence[str]
) -> None:
    """A register, by the module that knows how it is written."""
    ways: dict[str, Callable[[], str]] = {
        ".html": lambda: paper.as_html(bridge, found, bridge.clock()),
        ".csv": lambda: paper.as_csv(found),
        ".json": lambda: json.dumps(found, ensure_ascii=False, indent=2) + "\n",
    }
    _tell(found, json_=json_, text=lambda: paper.as_text(found), out=out, kinds={kind: ways[kind] for kind in kinds})


def _spoken(bridge: Bridge, language: str | None) -> str:
    offered = bridge.policy.languages
    if language is None:
        return offered[0]
    if language not in offered:
        fail(f"--language: the policy offers {', '.join(offered)}")
    return language


def _tell(
    found: dict[str, Any],
    *,
    json_: bool,
    text: Callable[[], str],
    out: Path | None,
    kinds: dict[str, Callable[[], str]],
) -> None:
    """A paper as it was asked for: as a file by its ending, as JSON, or in lines."""
    if out is not None:
        if out.suffix.lower() not in kinds:
            fail(f"--out: {out.name} must end in {' or '.join(kinds)}")
        with whole(out) as file:
            file.write(kinds[out.suffix.lower()]().encode())
        if not json_:
            click.echo(f"Written: {out}")
            return
    if json_:
        show(found)
    else:
        click.echo(text())
