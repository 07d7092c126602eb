"""`consent-bridge backup` and `restore`: the store as files, and back."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show, work_bridge
from bridge.cli.second import waits_beside
from bridge.cli.staff import check_reason, note_of, staff_act, tally
from bridge.files import whole
from bridge.store import StoreAway

_KEYS = ".keys"
_DARK = "people who were erased since are dark again"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@staff_act("backup", anyway=True)
@as_json
@env_file
@errors_in_a_line
def backup(file: Path, json_: bool) -> None:
    """Copy the store into FILE and FILE.keys, as it is at one moment, while everything goes on working.

    FILE holds no person's key. FILE.keys holds the keys, the stop list and the journal of erasures: keep only the
    newest one, apart from the FILEs, and destroy the older ones; then old FILEs show nobody who was erased.

    \b
    Example: consent-bridge backup /backup/consent-2026-11-23
    """
    from bridge.store.copies import back_up

    keys = file.with_name(file.name + _KEYS)
    bridge = work_bridge()
    _replay(bridge)
    with progress("backing up", sys.stderr) as tell, whole(file) as store_out, whole(keys) as keys_out:
        key = bridge.links.copy_key
        copied = back_up(bridge.database, key, (store_out, keys_out), bridge.clock(), tell)
    tally(people=copied.people, events=copied.events)
    told = {"people": copied.people, "events": copied.events, "stops": copied.stops}
    if json_:
        show({"file": str(file), "keys": str(keys), **told})
        return
    click.echo(f"Written: {file} ({copied.people} people, {copied.events} events), {keys} (keys, {copied.stops} stops)")
    click.echo(
        f"Keep {keys.name} apart from {file.name}, and destroy older .keys files: the newest opens every backup."
    )


def _replay(bridge: Bridge) -> None:
    """Stops that wait beside the store belong into the copy; where they cannot be written now they go on waiting."""
    if bridge.spool.path.exists():
        bridge.acts.parking.replay()


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The newest .keys file there is [FILE.keys].",
)
@staff_act("restore", later=True)
@as_json
@env_file
@errors_in_a_line
def restore(file: Path, keys_file: Path | None, json_: bool) -> None:
    """Make an empty database (BRIDGE_DATABASE_URL) the store again, from FILE and the newest .keys file.

    The settings must hold the keys of then and of the newest .keys file. It may be another kind of database than the
    one that was copied. Cut short, it leaves a database that nothing opens: run it again.

    \b
    Example: consent-bridge restore /backup/consent-2026-11-01 --keys /backup/consent-2026-11-23.keys
    """
    from bridge.store.archive import BadCopy
    from bridge.store.copies import open_pair
    from bridge.store.copies import restore as carry_out

    keys_path = keys_file or file.with_name(file.name + _KEYS)
    if not keys_path.is_file():
        fail(f"{keys_path} is missing: name the newest .keys file with --keys; without it nobody in {file} can be read")
    bridge = make_bridge(ready=False)
    check_reason(bridge)
    if waits_beside(bridge, "restore", file, _ends(file) + _ends(keys_path), json_=json_):
        return
    try:
        with file.open("rb") as store_in, keys_path.open("rb") as keys_in, progress("restoring", sys.stderr) as tell:
            restored = carry_out(
                bridge.database,
                bridge.vault,
                open_pair(store_in, keys_in, bridge.links.copy_key),
                have={"vault": bridge.vault.kids, "link": [key.kid for key in bridge.settings.link_keys]},
                adapters=bridge.settings.adapters,
                now=bridge.clock(),
                progress=tell,
            )
    except BadCopy as error:
        fail(f"{error}. Nothing was restored")
    except StoreAway as error:
        fail(f"the database is away or in use: {error}. Nothing was restored; run restore again")
    note_of(bridge)  # there was no log before; it is written when this ends
    tally(people=restored.people, events=restored.events, dark=restored.dark)
    if json_:
        show(restored._asdict())
        return
    for line in _words(restored):
        click.echo(line)


def _ends(path: Path) -> bytes:
    """The signature over a whole file of a backup: its last bytes."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 32))
        return file.read()


def _words(restored: Any) -> Sequence[str]:
    """What came back, what did not, and what to do."""
    lines = [
        f"Restored as of {restored.made}: {restored.people} people, {restored.events} events; "
        f"stops as of {restored.keys_made}: {restored.stops}.",
        f"  {restored.dark} {_DARK}.",
        f"  {restored.pushes} people will be told to the platforms anew, stops first.",
        f"  {restored.mails_dropped} mails that waited are not sent, because they may have left since; "
        "confirmation mails are sent again (the same mail).",
    ]
    if restored.lost:
        lines.append(f"  {restored.lost} people are dark because the .keys file never knew them.")
    if restored.later:
        lines.append(
            f"  {restored.later} people signed up after this backup and are not in it: nobody may mail them. At the "
            f"platforms, take off everybody who was added after {restored.made}; those who still want it sign up anew."
        )
    return [*lines, "Next: consent-bridge verify, then consent-bridge serve"]
