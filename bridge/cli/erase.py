"""`consent-bridge erase`: what a request by letter needs (RGT-04)."""

import sys
from collections.abc import Iterator

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import address, as_json, check_address, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.cli.staff import note_of, staff_act
from bridge.store import Erased


@click.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@staff_act("erase", later=True)
@as_json
@env_file
@errors_in_a_line
def erase(email: str, yes: bool, json_: bool) -> None:
    """Erase EMAIL for good, here and at each mailing platform. EMAIL `-` reads standard input.

    All proof of her yes goes too, and it cannot be undone. The stop list keeps a keyed hash of the address, so that
    nobody mails her again unless she signs up anew. Who is not known here is erased at the platforms all the same.

    \b
    Example: consent-bridge erase reader@site.example
             consent-bridge erase - --yes --json < letter-12.txt
    """
    bridge = make_bridge()
    wanted = address(email)
    if not bridge.store.knows(wanted) and not bridge.store.has_moved(wanted):
        check_address(wanted)
        if not bridge.adapters:
            fail("nobody of that address is here, and no platform is switched on: nothing was written")
    if not yes:
        if email == "-" or not sys.stdin.isatty():
            fail("nothing was erased: nobody can be asked here; look once more, then say --yes")
        click.confirm(_question(bridge, wanted), abort=True, err=True)
    done = bridge.store.erase_person(wanted, note_of(bridge))
    waiting = {name: _waiting(bridge, name) for name in done.platforms}
    if json_:
        warnings = list(_warnings(bridge, done))
        moved = {"moved": True} if done.moved else {}
        show(
            {"known": done.known, **moved, "platforms": list(done.platforms), "waiting": waiting, "warnings": warnings}
        )
        return
    for line in _told(bridge, done, waiting):
        click.echo(line)


def _question(bridge: Bridge, wanted: str) -> str:
    if bridge.store.knows(wanted):
        return f"Erase this person for good, with all proof, here and at {_list(bridge)}?"
    if bridge.store.has_moved(wanted):
        who = "Nobody of that address is here, but somebody who had it before she moved to a newer one."
        return f"{who} Is it she who asks? Erase her for good, with all proof, here and at {_list(bridge)}?"
    return f"Nobody of that address is here. Erase it at {_list(bridge)} all the same, and never mail it?"


def _list(bridge: Bridge) -> str:
    return ", ".join(bridge.adapters) or "no platform"


def _told(bridge: Bridge, done: Erased, waiting: dict[str, int]) -> Iterator[str]:
    if done.moved:
        yield "She was here under a newer address: erased under both."
    if done.known:
        yield "Erased here: profile, proof, and all that waited for her."
    else:
        yield "Nobody of that address was here: never signed up, or erased already."
    yield "The stop list keeps a keyed hash of the address; only a sign-up of her own that she confirms lifts it."
    for name, count in waiting.items():
        yield f"{name}: promised; the dispatcher erases there and looks that it holds ({count} waiting in all)."
    yield from _warnings(bridge, done)
    if waiting:
        yield "Let `consent-bridge serve` or `dispatch` run: its sealed address is destroyed with the last answer."


def _warnings(bridge: Bridge, done: Erased) -> Iterator[str]:
    """What the operator must know of the platforms (ESP-04)."""
    for name in done.platforms:
        if name not in bridge.adapters:
            yield f"{name}: BRIDGE_ADAPTERS does not name it any more, so nobody tells it; erase her there by hand."
        elif told := bridge.adapters[name].after_erasure:
            yield f"{name}: {told}"


def _waiting(bridge: Bridge, name: str) -> int:
    return next((task.waiting for task in bridge.store.tasks() if task.name == f"{name} erasures"), 0)
