"""`evidence`: one person's story for an authority or a judge."""

import json
import os
from pathlib import Path

import click

from bridge.bootstrap import Bridge, write_private
from bridge.cli.options import address, as_json, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.evidence import Found, as_data, look
from bridge.testimony import document
from bridge.vault import Sealed

_NAMES = ("evidence.json", "evidence.txt", "evidence.html")


@click.command()
@click.argument("email")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write evidence.json, evidence.txt and evidence.html there.",
)
@click.option("--language", help="Of the document: one of the policy's languages, by default its first.")
@as_json
@env_file
@errors_in_a_line
def evidence(email: str, out: Path | None, language: str | None, json_: bool) -> None:
    """One person's whole story in words a judge understands: each yes and no, what proves it, the exact words shown.

    Of an address that only the stop list knows it says what that list keeps. EMAIL `-` reads standard input.

    \b
    Example: consent-bridge evidence reader@site.example --out case-12
             consent-bridge evidence reader@site.example --language en
    """
    bridge = make_bridge()
    languages = bridge.policy.languages
    if language is not None and language not in languages:
        fail(f"no language {language!r} in the policy; there are: {', '.join(languages)}")
    email = address(email)
    try:
        found = look(bridge, email)
    except Sealed:
        fail("what is kept of this person cannot be opened: run consent-bridge verify")
    if found is None:
        moved = bridge.store.has_moved(email)
        fail(
            "whoever had this address is here under a newer one: ask with that"
            if moved
            else "no such person here, and nothing on the stop list: never signed up, or forgotten"
        )
    if out:
        _write(bridge, found, out, language or languages[0])
    elif json_:
        show(as_data(bridge, found))
    else:
        click.echo(document(bridge, found, language or languages[0]).text())


def _write(bridge: Bridge, found: Found, out: Path, language: str) -> None:
    """All three files, or none where one is there already."""
    out.mkdir(parents=True, exist_ok=True)
    for name in _NAMES:
        if os.path.lexists(out / name):
            fail(f"{out / name} is there already and is never overwritten; choose another folder")
    told = document(bridge, found, language)
    page = bridge.texts.render("evidence.html", language, document=told)
    data = json.dumps(as_data(bridge, found), ensure_ascii=False, indent=2)
    for name, text in zip(_NAMES, (data, told.text(), page), strict=True):
        write_private(out / name, text)
    click.echo("Written: " + ", ".join(str(out / name) for name in _NAMES))
