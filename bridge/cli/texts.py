"""`texts`: every sentence that readers may see, in one language, as `texts/<language>.toml` takes it."""

import json

import click

from bridge.cli.options import errors_in_a_line, fail
from bridge.texts import MissingCatalogue, shipped


@click.command()
@click.argument("language")
@click.option("--find", "wanted", metavar="WORDS", default="", help="Only what holds these words, in either language.")
@errors_in_a_line
def texts(language: str, wanted: str) -> None:
    """Print our sentences and how they are said in LANGUAGE; empty where we do not speak it.

    \b
    Example: consent-bridge texts nl --find subscribe
             consent-bridge texts ar > texts/ar.toml
    """
    try:
        found = shipped(language)
    except MissingCatalogue:
        fail(f"{language} is no language: write its code, such as nl, ar or pt-BR")
    for sentence, words in found.items():
        forms = words.values() if isinstance(words, dict) else (words,)
        if wanted.casefold() in "\n".join((sentence, *forms)).casefold():
            click.echo(f"{_quoted(sentence)} = {_value(words)}")


def _value(words: str | dict[str, str]) -> str:
    if isinstance(words, str):
        return _quoted(words)
    return "{" + ", ".join(f"{form} = {_quoted(text)}" for form, text in words.items()) + "}"


def _quoted(text: str) -> str:
    """A text as TOML writes it: the same as in JSON."""
    return json.dumps(text, ensure_ascii=False)
