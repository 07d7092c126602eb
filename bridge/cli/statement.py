"""`consent-bridge statement`: the privacy statement, checked, published and shown."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.cli.staff import staff_act, tally
from bridge.files import whole
from bridge.vocabulary import rfc3339

_NEW = click.Path(dir_okay=False, path_type=Path)


@click.group()
def statement() -> None:
    """The privacy statement (GDPR 13, 14): made from the policy, published in versions that stay readable."""


@statement.command()
@as_json
@env_file
@errors_in_a_line
def check(json_: bool) -> None:
    """Say what the statement lacks, and what changed since the version that is out. Exit 1 while it lacks anything.

    \b
    Example: consent-bridge statement check
    """
    from bridge.jobs.publishing import draft

    found = draft(make_bridge())
    if json_:
        show(
            {
                "version": found.version,
                "gaps": {language: [lack._asdict() for lack in each] for language, each in found.lacks.items()},
                "changes": found.changes,
                "material": found.material,
            }
        )
    else:
        for language, each in found.lacks.items():
            for lack in each:
                click.echo(f"gap ({language}) {lack.where}: {lack.fix}")
        _tell_changes(found.changes)
        if found.whole:
            todo = "consent-bridge statement publish" if found.changed else f"version {found.version - 1} says it all"
            click.echo(f"nothing is missing: {todo}")
    if not found.whole:
        raise SystemExit(1)


@statement.command()
@click.option("--by", metavar="NAME", help="Who answers for it, by name; else BRIDGE_OPERATOR.")
@staff_act("statement publish")
@as_json
@env_file
@errors_in_a_line
def publish(by: str | None, json_: bool) -> None:
    """Publish the statement as the next version, in all languages; refused while a gap is in it.

    \b
    Example: consent-bridge statement publish --by "Dora Maes"
    """
    from bridge.jobs.publishing import Refused
    from bridge.jobs.publishing import publish as carry_out

    bridge = make_bridge()
    try:
        made = carry_out(bridge, " ".join((by or bridge.settings.operator).split())[:100])
    except Refused as error:
        fail(f"not published\n{error}")
    tally(version=made.version)
    out = bridge.store.papers.versions(made.version)
    if json_:
        show({"version": made.version, "published": [_row(one) for one in out], "material": made.material})
        return
    _tell_changes(made.changes)
    for one in out:
        click.echo(f"published: {bridge.links.url(f'/privacy/{one.version}')} ({one.language}) SHA-256 {one.sha256}")
    if made.material:
        told = {"none": "nobody is told (statement.tell)", "page": "their pages say so for 60 days"}
        mail = "their pages and the foot of our mails say so for 60 days"
        click.echo(f"readers must hear of this: {told.get(bridge.policy.statement.tell, mail)}")


@statement.command("show")
@click.option("--language", help="One of your policy's languages; else its first.")
@click.option("--version", "number", type=click.IntRange(1, 32_000), help="That published version; else the newest.")
@click.option("--out", type=_NEW, help="Write the very bytes there: FILE.html.")
@as_json
@env_file
@errors_in_a_line
def show_(language: str | None, number: int | None, out: Path | None, json_: bool) -> None:
    """The versions that are out, with date, hash and changes; with --out one of them, byte for byte.

    Before the first is published, --out writes the draft.

    \b
    Example: consent-bridge statement show
             consent-bridge statement show --language en --out statement.html
    """
    bridge = make_bridge()
    if language is not None and language not in bridge.policy.languages:
        fail(f"--language: the policy offers {', '.join(bridge.policy.languages)}")
    versions = bridge.store.papers.versions(number)
    if number is not None and not versions:
        fail(f"version {number} was never published")
    if out is not None:
        with whole(out) as file:
            file.write(_bytes(bridge, number, language or bridge.policy.languages[0]))
        if not json_:
            click.echo(f"Written: {out}")
            return
    if json_:
        show([_row(one) | {"changes": one.changes} for one in versions])
        return
    for one in versions:
        day = one.published.astimezone(bridge.policy.zone).date()
        click.echo(f"version {one.version} ({one.language}) of {day}, by {one.published_by}, SHA-256 {one.sha256}")
        _tell_changes({one.language: one.changes})
    if not versions:
        click.echo("none was published yet: /privacy shows the draft; consent-bridge statement check")


def _bytes(bridge: Bridge, number: int | None, language: str) -> bytes:
    book = bridge.store.papers
    found = book.bytes_of(number or book.newest(), [language])
    if found is not None:
        return found[1]
    from bridge.statement import content, render

    today: date = bridge.clock().astimezone(bridge.policy.zone).date()
    told = content(bridge.policy, bridge.texts, language)
    return render(bridge.texts, language, told, version="0", day=today).encode()


def _row(one: Any) -> dict[str, Any]:
    return {
        "version": one.version,
        "language": one.language,
        "published": rfc3339(one.published),
        "by": one.published_by,
        "sha256": one.sha256,
    }


def _tell_changes(found: dict[str, list[dict[str, str]]]) -> None:
    for language, each in found.items():
        for change in each:
            mark = " (readers must hear of it)" if change["material"] else ""
            click.echo(f"  {change['how']} ({language}) {change['section']}.{change['key']}: {change['title']}{mark}")
