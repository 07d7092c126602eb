"""`evidence`: one person's story for an authority or a judge."""

import json
import os
from pathlib import Path

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import address, as_json, env_file, errors_in_a_line, fail, look_up, make_bridge, show
from bridge.cli.staff import staff_act
from bridge.evidence import Found, as_data, look
from bridge.files import write_private
from bridge.store import BadInput
from bridge.testimony import document

_NAMES = ("evidence.json", "evidence.txt", "evidence.html")
_PACK, _CHECKER, _KANTARA = "evidence-pack.jsonl", "verify_pack.py", "receipts-kantara.json"


@click.command()
@click.argument("email")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write evidence.json, .txt and .html there, and the pack with the one file that checks it.",
)
@click.option("--kantara", is_flag=True, help="Write her receipts as Kantara 1.1 there too.")
@click.option("--language", help="Of the document: one of the policy's languages, by default its first.")
@staff_act("evidence")
@as_json
@env_file
@errors_in_a_line
def evidence(email: str, out: Path | None, kantara: bool, language: str | None, json_: bool) -> None:
    """One person's whole story in words a judge understands: each yes and no, what proves it, the exact words shown.

    With --out also a pack that anybody can check with your public key and nothing of yours: verify_pack.py, beside it.

    Of an address that only the stop list knows it says what that list keeps. EMAIL `-` reads standard input.

    \b
    Example: consent-bridge evidence reader@site.example --out case-12
             consent-bridge evidence reader@site.example --language en
    """
    if kantara and out is None:
        raise click.UsageError("--kantara needs --out")
    bridge = make_bridge()
    languages, email = bridge.policy.languages, address(email)
    found = look_up(look, bridge, email, language)
    if out:
        _write(bridge, found, out, language or languages[0], kantara=kantara)
    elif json_:
        show(as_data(bridge, found))
    else:
        click.echo(document(bridge, found, language or languages[0]).text())


def _write(bridge: Bridge, found: Found, out: Path, language: str, *, kantara: bool) -> None:
    """All files, or none where one is there already."""
    without = _no_pack(bridge, found)
    out.mkdir(parents=True, exist_ok=True)
    for name in (*_NAMES, *(() if without else (_PACK, _CHECKER)), *((_KANTARA,) if kantara else ())):
        if os.path.lexists(out / name):
            fail(f"{out / name} is there already and is never overwritten; choose another folder")
    told = document(bridge, found, language)
    page = bridge.texts.render("evidence.html", language, document=told)
    files = dict(zip(_NAMES, (_json(as_data(bridge, found)), told.text(), page), strict=True))
    if not without and found.person:
        from bridge.jobs.pack import VERIFIER, pack

        try:
            files |= {_PACK: pack(bridge, found.person, language).decode(), _CHECKER: VERIFIER.read_text("utf-8")}
        except BadInput as error:
            without = str(error)
    if kantara and found.person:
        from bridge.receipts import kantara as older

        files[_KANTARA] = _json(older(bridge.issuer, found.person.id, found.story, language=language))
    for name, text in files.items():
        write_private(out / name, text)
    click.echo("Written: " + ", ".join(str(out / name) for name in files))
    if without:
        click.echo(f"No pack was written: {without}", err=True)


def _no_pack(bridge: Bridge, found: Found) -> str:
    """Why there can be no pack; empty where there can."""
    if found.person is None:
        return "nobody of this address is in the record"
    if not bridge.seals:
        return "BRIDGE_SEAL_KEYS is empty, so nothing can be signed; make a key with: consent-bridge keys new"
    if found.problems or not found.sealed:
        return "the record of this person is not whole: run consent-bridge verify"
    return ""


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)
