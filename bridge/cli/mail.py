"""`consent-bridge mail`: the mails that readers get, to look at before anybody gets one."""

import os
import secrets
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import texts_of
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, show
from bridge.links import Links
from bridge.policy import load
from bridge.vocabulary import Letter, MailKind

#: Where the links of a sample lead when no address is set yet: nowhere.
_NOWHERE = "https://preferences.example"
_ALL = "all"


@click.group()
def mail() -> None:
    """The mails that readers get."""


@mail.command()
@click.argument("name", required=False)
@click.option("--language", metavar="CODE", help="In this language only; else in each of the policy.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="mail-preview",
    show_default=True,
    metavar="FOLDER",
    help="Where the files go.",
)
@as_json
@env_file
@errors_in_a_line
def preview(name: str | None, language: str | None, out: Path, json_: bool) -> None:
    """Write a sample of one mail, or of `all`, as text and as HTML; without NAME, list them.

    In your policy's words, name and colours, with nobody's data and links that open nothing. Reads the policy alone: no
    database is opened and nothing is sent.

    \b
    Example: consent-bridge mail preview confirm --language nl
    """
    from bridge.specimens import KINDS, Specimens

    if name is None:
        if json_:
            show({"mails": {kind.value: what for kind, what in KINDS.items()}})
        else:
            for kind, what in KINDS.items():
                click.echo(f"{kind.value:14}{what}")
        return
    kinds = list(KINDS) if name == _ALL else [kind for kind in KINDS if kind.value == name]
    if not kinds:
        raise click.UsageError(f"there is no mail {name!r}; there are: {', '.join(KINDS)}, or {_ALL}")
    path = Path(os.environ.get("BRIDGE_POLICY") or "policy.toml")
    policy = load(path)
    if language and language not in policy.languages:
        fail(f"the policy has no language {language!r}; it has: {', '.join(policy.languages)}")
    links = Links([secrets.token_bytes(32)], os.environ.get("BRIDGE_BASE_URL") or _NOWHERE)
    made = Specimens(policy, texts_of(policy, links, path.parent), links)
    out.mkdir(parents=True, exist_ok=True)
    written = [
        _write(out, kind, code, made.letter(kind, code))
        for kind in kinds
        for code in ([language] if language else policy.languages)
    ]
    if json_:
        show({"written": written})
        return
    for one in written:
        click.echo(f"{one['text']} and {one['html']}: {one['bytes'] / 1000:.1f} KB as a mail; “{one['subject']}”")


def _write(out: Path, kind: MailKind, language: str, letter: Letter) -> dict[str, Any]:
    """Both parts as files; how large the mail is on its way, without what is attached."""
    import msgspec

    from bridge.smtp import build

    text, html = out / f"{kind}.{language}.txt", out / f"{kind}.{language}.html"
    text.write_text(letter.text, encoding="utf-8")
    html.write_text(letter.html, encoding="utf-8")
    size = len(build(msgspec.structs.replace(letter, attachments=())).as_bytes())
    return {
        "name": kind.value,
        "language": language,
        "subject": letter.subject,
        "text": str(text),
        "html": str(html),
        "bytes": size,
    }
