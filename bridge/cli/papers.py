"""`consent-bridge register` and `consent-bridge report`: what is written for people who answer for the mail."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.files import whole

_NEW = click.Path(dir_okay=False, path_type=Path)
_LANGUAGE = click.option("--language", help="One of your policy's languages; else its first.")

#: Departments that have a report.
_DEPARTMENTS = ("marketing",)


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
    from bridge.jobs.reports.register import as_csv, as_html, as_text, collect

    bridge = make_bridge()
    found = collect(bridge, _spoken(bridge, language))
    _tell(
        found,
        json_=json_,
        text=lambda: as_text(found),
        out=out,
        kinds={".html": lambda: as_html(bridge, found, bridge.clock()), ".csv": lambda: as_csv(found)},
    )


@click.command()
@click.option("--department", default="marketing", show_default=True, help="For whom; only marketing has one so far.")
@_LANGUAGE
@click.option("--out", type=_NEW, help="Write it there as a page that prints: FILE.html.")
@as_json
@env_file
@errors_in_a_line
def report(department: str, language: str | None, out: Path | None, json_: bool) -> None:
    """What each channel brings, what of it can be proven, and which form to mend first. Numbers of people only.

    \b
    Example: consent-bridge report
             consent-bridge report --department marketing --out marketing.html
    """
    from bridge.jobs.reports.marketing import as_html, as_text, collect

    if department not in _DEPARTMENTS:
        fail(f"there is no report for {department} yet; there is one for: {', '.join(_DEPARTMENTS)}")
    bridge = make_bridge()
    with progress("counting", sys.stderr) as tell:
        found = collect(bridge, _spoken(bridge, language), tell)
    _tell(
        found,
        json_=json_,
        text=lambda: as_text(found),
        out=out,
        kinds={".html": lambda: as_html(bridge, found, bridge.clock())},
    )


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
