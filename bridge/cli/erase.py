"""`consent-bridge erase`: what a request by letter needs (RGT-04)."""

import sys
from typing import NoReturn

import click

from bridge.cli.options import address, as_json, env_file, errors_in_a_line, fail, make_bridge, show

_LISTED = "The stop list keeps a keyed hash of it, so no import brings it back; only a confirmed sign-up does."
_UNLISTED = "The stop list does not know it, and nothing was written."


@click.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@as_json
@env_file
@errors_in_a_line
def erase(email: str, yes: bool, json_: bool) -> None:
    """Erase EMAIL for good, here and at each mailing platform. EMAIL `-` reads standard input.

    Proof of her yes goes too: it cannot be undone. The stop list keeps a keyed hash, so that nobody mails her again.

    \b
    Example: consent-bridge erase reader@site.example
             consent-bridge erase - --yes --json < letter-12.txt
    """
    bridge = make_bridge()
    wanted = address(email)
    if bridge.store.person(wanted) is None:
        _nobody(listed=bool(bridge.store.stops(wanted)))
    if not yes:
        if email == "-" or not sys.stdin.isatty():
            fail("nothing was erased: nobody can be asked here; look once more, then say --yes")
        click.confirm("Erase this person for good, with all proof?", abort=True, err=True)
    if not bridge.store.erase_person(wanted):
        _nobody(listed=bool(bridge.store.stops(wanted)))  # somebody else was faster
    waiting = bridge.store.queue.erasures.waiting()
    if json_:
        show({"erased": True, "platforms": waiting})
        return
    click.echo("Erased: profile, proof and waiting mails are gone. The stop list keeps a keyed hash of the address.")
    for name, count in waiting.items():
        click.echo(f"  {name}: erased there next by the dispatcher; {count} people wait for its last word")
    click.echo("Next: let `consent-bridge serve` or `dispatch` run. Platforms keep their own suppression lists.")


def _nobody(*, listed: bool) -> NoReturn:
    fail("nobody of that address is here: never signed up, or erased already. " + (_LISTED if listed else _UNLISTED))
