"""`consent-bridge export`: the answer to somebody who asks by letter what there is of her (RGT-01, RGT-02)."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from bridge.access import CSV, HTML, JSON, as_data, collect, document, written
from bridge.cli.options import address, as_json, env_file, errors_in_a_line, fail, look_up, make_bridge, show
from bridge.cli.staff import staff_act
from bridge.files import write_private


@click.command()
@click.argument("email")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Write {JSON}, {CSV}, {HTML} and, where she has any, her receipts there.",
)
@click.option("--language", help="Of the page: by default the reader's own, else the policy's first.")
@staff_act("export")
@as_json
@env_file
@errors_in_a_line
def export(email: str, out: Path | None, language: str | None, json_: bool) -> None:
    """Everything that is kept of one person, in files for her: GDPR 15 and 20. EMAIL `-` reads standard input.

    A page to read and print, JSON with every event and its proof, and a CSV that `import` reads. Look who asks first:
    whoever can read the mail of that address may have it. Without --out it is printed, as text or as --json.

    \b
    Example: consent-bridge export reader@site.example --out letter-12
             consent-bridge export - --json < letter-12.txt
    """
    bridge = make_bridge()
    languages, email = bridge.policy.languages, address(email)
    found = look_up(collect, bridge, email, language)
    own = found.person.language if found.person else ""
    spoken = language or (own if own in languages else languages[0])
    if found.person is None and bridge.store.has_moved(email):
        click.echo("Whoever had this address is here under a newer one: ask with that too.", err=True)
    if out:
        _write(written(bridge, found, spoken), out)
    elif json_:
        show(as_data(bridge, found, spoken))
    else:
        click.echo(document(bridge, found, spoken).text())


def _write(files: Mapping[str, bytes], out: Path) -> None:
    """All of them, or none where one is there already."""
    out.mkdir(parents=True, exist_ok=True)
    for name in files:
        if os.path.lexists(out / name):
            fail(f"{out / name} is there already and is never overwritten; choose another folder")
    for name, content in files.items():
        write_private(out / name, content.decode())
    click.echo("Written: " + ", ".join(str(out / name) for name in files))
