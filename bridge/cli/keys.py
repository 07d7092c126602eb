"""`consent-bridge keys`: new ones, what is there, the next step of a rotation, and dropping one that nothing names."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from bridge.bootstrap import Bridge
from bridge.cli.envfile import change, holds
from bridge.cli.options import (
    as_json,
    env_file,
    errors_in_a_line,
    fail,
    load_environment,
    make_bridge,
    progress,
    show,
    work_bridge,
)
from bridge.cli.second import waits_for_another
from bridge.cli.staff import begin, staff_act, tally
from bridge.jobs.rotation import Next, Ring, keys_of, next_step, standings
from bridge.vault import new_id, new_key

RINGS = tuple(ring.setting for ring in Ring)

_RING = click.argument("ring", type=click.Choice([ring.value for ring in Ring]))
_FILE = click.option(
    "--env-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings: NAME=value lines; the changed list is written there.",
)
_BACK_UP = "Back up the keys, apart from the database."
_RESTART = "Start every process anew that uses this database (serve, dispatch, on every machine)"


def new_kid() -> str:
    """An id for a new key: the day, and three letters so that two of one day differ."""
    letters = "".join(letter for letter in new_id() if letter.isalnum())[:3].lower()
    return f"k{datetime.now(UTC):%Y%m%d}{letters}"


@click.group()
def keys() -> None:
    """Signing, vault and seal keys: make them, list them, rotate them, drop what nothing names any more."""


@keys.command("new")
def keys_new() -> None:
    """Print one fresh key for each ring, for new settings. To change a key in use: consent-bridge keys rotate.

    \b
    Example: consent-bridge keys new
    """
    for name in RINGS:
        click.echo(f"{name}={new_key(new_kid())}")
    click.echo(
        "For settings in use: with one process, put each in front of what is there, with a comma between, and keep the "
        "old ones; with several, run: consent-bridge keys rotate. Back the keys up.",
        err=True,
    )


@keys.command("list")
@as_json
@env_file
@errors_in_a_line
def keys_list(json_: bool) -> None:
    """List the ids of the keys, newest first, how many rows name each, and which may be dropped; never the keys.

    \b
    Example: consent-bridge keys list
    """
    bridge = work_bridge()
    rings = {ring.value: [_told(key) for key in standings(bridge, ring)] for ring in Ring}
    if json_:
        show(rings)
        return
    for name, ring in rings.items():
        for key in ring:
            rows = f"{key['rows']} rows" if name != Ring.LINK else ""
            may = "may be dropped" if key["may_be_dropped"] else "stays"
            click.echo(f"{name:6} {key['id']:17} {key['use']:7} {rows:12} {may}: {key['why']}")


@keys.command("public")
@env_file
@errors_in_a_line
def keys_public() -> None:
    """Print the public seal keys as PEM, for whoever checks a pack, a receipt or a checkpoint. They are no secret.

    Hand them over by another road than what they check: on your website, in your contract, on paper.

    \b
    Example: consent-bridge keys public > seal-keys.pem
    """
    seals = make_bridge(ready=False).seals
    if not seals:
        fail("BRIDGE_SEAL_KEYS is empty: make a key with: consent-bridge keys new")
    click.echo(seals.pem(), nl=False)


@keys.command()
@_RING
@click.option("--restarted", is_flag=True, help="Every process was started anew since the last step.")
@click.option("--new", is_flag=True, help="Put a new key in although the last one is young.")
@staff_act("keys rotate")
@as_json
@_FILE
@errors_in_a_line
def rotate(ring: str, restarted: bool, new: bool, json_: bool, file: Path | None) -> None:
    """Take the next step of changing the newest key of RING (link, vault or seal), and say what to do then.

    Safe to run again, and to kill. The steps: a new key is put in, and waits (`+` before its id) until every process
    knows it; it is taken into use; vault only: people are moved to it, while everything goes on working.

    \b
    Example: consent-bridge keys rotate vault --env-file .env
             consent-bridge keys rotate vault --restarted --env-file .env
    """
    file = load_environment(file)
    bridge, chosen = work_bridge(), Ring(ring)
    step = next_step(bridge, chosen, restarted=restarted, new=new)
    if restarted and step is Next.PUT_IN:
        fail(
            f"no {ring} key waits in {chosen.setting}, so there was nothing to restart for: is this the right settings "
            f"file? A new key is begun with: consent-bridge keys rotate {ring}"
        )
    report = _STEPS[step](bridge, chosen, file)
    tally(ring=ring, step=step.value.replace(" ", "-"))
    if json_:
        show({"ring": ring, "step": step.value, **report.data, "next": report.text[-1]})
    else:
        for line in report.text:
            click.echo(line)


@keys.command()
@_RING
@click.argument("id")
@staff_act("keys drop", later=True)
@as_json
@_FILE
@errors_in_a_line
def drop(ring: str, id: str, json_: bool, file: Path | None) -> None:  # noqa: A002  (the word in the call)
    """Take key ID out of RING, if nothing names it any more. Refused, with the reason, while something does.

    \b
    Example: consent-bridge keys drop vault k20261123abc --env-file .env
    """
    file = load_environment(file)
    bridge, chosen = work_bridge(), Ring(ring)
    there = {key.id: key for key in standings(bridge, chosen)}
    if id not in there:
        fail(f"{chosen.setting} holds no key {id!r}; it holds: {', '.join(there) or 'none'}")
    if not there[id].may_go:
        fail(f"{ring} key {id!r} stays: {there[id].why}")
    about = {"ring": ring, "id": id, "file": str(file.resolve()) if file else ""}
    if not waits_for_another(bridge, "keys", f"{ring} {id}".encode(), about, json_=json_):
        begin(bridge, ring=ring, key=id)
        _drop(bridge, chosen, id, file, json_=json_)


def drop_approved(bridge: Bridge, about: Mapping[str, str], _hash: bytes, *, json_: bool) -> None:
    """What another person asked for, if nothing names that key now."""
    chosen, id_ = Ring(about["ring"]), about["id"]
    there = {key.id: key for key in standings(bridge, chosen)}
    if id_ not in there or not there[id_].may_go:
        fail(f"{chosen} key {id_!r} stays: " + (there[id_].why if id_ in there else "it is not in the list any more"))
    _drop(bridge, chosen, id_, Path(about["file"]) if about["file"] else None, json_=json_)


def _drop(bridge: Bridge, chosen: Ring, id_: str, file: Path | None, *, json_: bool) -> None:
    from bridge.store.rotate import retire

    ring = chosen.value
    retire(bridge.database, ring, id_)
    report = _put(chosen, file, [part for part in _parts(chosen) if _id_of(part) != id_])
    text = [
        *report.text,
        f"{ring} key {id_} is dropped. A backup's .keys file made before the last rotation cannot be opened any more: "
        "make a new backup.",
        f"{_RESTART}.",
    ]
    if json_:
        show({"ring": ring, "dropped": id_, **report.data, "next": text[-1]})
    else:
        for line in text:
            click.echo(line)


class _Report(NamedTuple):
    """What a step did, for people (the last line says what to do now) and for programs."""

    text: Sequence[str]
    data: dict[str, Any]


def _put_in(_bridge: Bridge, ring: Ring, file: Path | None) -> _Report:
    kid = new_kid()
    waits = "" if ring is Ring.SEAL else "+"
    report = _put(ring, file, [f"{waits}{new_key(kid)}", *_parts(ring)])
    text = [*report.text, f"A new {ring} key, {kid}, " + ("waits in the list." if waits else "is in front.")]
    if waits:
        text.append(f"{_BACK_UP} {_RESTART}; then run: consent-bridge keys rotate {ring} --restarted")
    else:
        text.append(f"{_BACK_UP} {_RESTART}; nothing more is to be done.")
    return _Report(text, {**report.data, "key": kid})


def _restart(bridge: Bridge, ring: Ring, _file: Path | None) -> _Report:
    kid = next(key.kid for key in keys_of(bridge, ring) if key.waits)
    ask = f"{_BACK_UP} {_RESTART}; then run: consent-bridge keys rotate {ring} --restarted"
    return _Report([f"The {ring} key {kid} waits in {ring.setting} until every process knows it.", ask], {"key": kid})


def _use(bridge: Bridge, ring: Ring, file: Path | None) -> _Report:
    kid = next(key.kid for key in keys_of(bridge, ring) if key.waits)
    mine = [part for part in _parts(ring) if _id_of(part) == kid]
    others = [part for part in _parts(ring) if _id_of(part) != kid]
    report = _put(ring, file, [mine[0].removeprefix("+"), *others])
    then = f"; then run: consent-bridge keys rotate {ring}" if ring is Ring.VAULT else "; then this rotation is done"
    text = [*report.text, f"The {ring} key {kid} is in front now: it is used from the next start on."]
    return _Report([*text, f"{_BACK_UP} {_RESTART}{then}."], {**report.data, "key": kid})


def _finish(bridge: Bridge, ring: Ring, _file: Path | None) -> _Report:
    kid = keys_of(bridge, ring)[0].kid
    text: list[str] = []
    data: dict[str, Any] = {"key": kid}
    if ring is Ring.VAULT:
        from bridge.store.rotate import move

        bridge.check_keys()
        with progress(f"moving people to {kid}", sys.stderr) as tell:
            moved = move(bridge.database, bridge.vault, tell)
        data |= {"people": moved.people, "stops": moved.stops, "left": moved.left}
        text.append(f"Moved to {kid}: {moved.people} people, {moved.stops} stops.")
        if moved.left:
            text.append(f"{moved.left} people could not be moved; consent-bridge verify names what is wrong with them.")
    old = [key for key in standings(bridge, ring) if key.id != kid]
    data["old"] = [_told(key) for key in old]
    text += [f"{key.id} may be dropped: consent-bridge keys drop {ring} {key.id}" for key in old if key.may_go]
    text += [f"{key.id} stays: {key.why}" for key in old if not key.may_go]
    done = f"Everything new is under {ring} key {kid}; nothing more is to be done. For one more: --new"
    return _Report([*text, done], data)


_STEPS = {Next.PUT_IN: _put_in, Next.RESTART: _restart, Next.USE: _use, Next.FINISH: _finish}


def _put(ring: Ring, file: Path | None, parts: Sequence[str]) -> _Report:
    """The changed list into the settings file, or, where it comes from elsewhere, as a line to be put there."""
    name, value = ring.setting, ",".join(parts)
    if file is not None and holds(file, name, os.environ.get(name, "")):
        change(file, name, value)
        return _Report([f"Written: {file}"], {"written": str(file)})
    place = f"the file that {name}_FILE names" if f"{name}_FILE" in os.environ else "where your settings come from"
    return _Report([f"Put this {place}, it is secret:", f"{name}={value}"], {"setting": f"{name}={value}"})


def _parts(ring: Ring) -> list[str]:
    """The ring's list as it is written in the settings, key by key."""
    text = os.environ.get(ring.setting, "")
    if path := os.environ.get(f"{ring.setting}_FILE"):
        text = Path(path).read_text(encoding="utf-8")
    return [part.strip() for part in text.split(",") if part.strip()]


def _id_of(part: str) -> str:
    return part.removeprefix("+").partition(":")[0]


def _told(key: Any) -> dict[str, Any]:
    return {"id": key.id, "use": key.use.value, "rows": key.rows, "may_be_dropped": key.may_go, "why": key.why}
