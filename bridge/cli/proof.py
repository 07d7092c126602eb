"""`verify` and `checkpoint`: that the history is what it was, shown to ourselves and to whoever need not believe us."""

import sys
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, load_environment, make_bridge, progress, show

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("pack", required=False, type=_FILE)
@click.option("--key", type=_FILE, help="Public keys as PEM, to check PACK where there is nothing of ours.")
@click.option("--against", type=_FILE, help="Checkpoints that were kept elsewhere: each must be in this history.")
@as_json
@click.option("--env-file", "file", type=_FILE, help="Settings: NAME=value lines.")
@errors_in_a_line
def verify(pack: Path | None, key: Path | None, against: Path | None, json_: bool, file: Path | None) -> None:
    """Check that no event of the history was changed, removed or moved; or one PACK, receipt or list of checkpoints.

    Without PACK: every chain, every sealed event, every signed checkpoint. With PACK: only that file, and with --key
    also on a machine that has no settings.

    \b
    Example: consent-bridge verify
             consent-bridge verify --against checkpoints.jsonl
             consent-bridge verify case-12/evidence-pack.jsonl --key seal-keys.pem
    """
    if pack is None and key is not None:
        raise click.UsageError("--key goes with a PACK")
    if pack is not None and against is not None:
        raise click.UsageError("--against compares the history: leave PACK out")
    if pack is not None:
        _verify_file(pack, key, json_=json_, file=file)
        return
    load_environment(file)
    _verify_history(make_bridge(), against, json_=json_)


def _verify_history(bridge: Bridge, against: Path | None, *, json_: bool) -> None:
    from bridge.store.verify import verify as look

    with progress("checking the history", sys.stderr) as tell:
        verdict = look(bridge.database, bridge.vault, tell, seals=bridge.seals)
    problems = [{"where": problem.where, "what": problem.what} for problem in verdict.problems]
    if against is not None:
        from bridge.jobs.checkpoints import missing
        from bridge.store.checkpoints import stored

        kept = missing(against, stored(bridge.database))
        problems += [{"where": against.name, "what": what} for what in kept]
    counts = {
        "people": verdict.people,
        "events": verdict.events,
        "erased": verdict.erased,
        "checkpoints": verdict.checkpoints,
        "uncovered": verdict.uncovered,
    }
    if json_:
        show({**counts, "problems": problems})
    else:
        click.echo(f"{verdict.people} people, {verdict.events} events, {verdict.erased} erased events")
        click.echo(f"{verdict.checkpoints} checkpoints, {verdict.uncovered} events that none covers yet")
        for problem in problems:
            click.echo(f"  {problem['where']}: {problem['what']}")
        click.echo("the history is whole" if not problems else f"{len(problems)} problems")
    if problems:
        raise SystemExit(1)


def _verify_file(pack: Path, key: Path | None, *, json_: bool, file: Path | None) -> None:
    from bridge.verifier import Bad, Keys, check_file, told

    if key is None:
        load_environment(file)
        seals = make_bridge(ready=False).seals
        if not seals:
            fail("BRIDGE_SEAL_KEYS is empty: name the public keys of whoever made this file with --key")
        keys = seals.keys
    else:
        try:
            keys = Keys.from_pem(key.read_bytes())
        except Bad as error:
            fail(str(error))
    verdict = check_file(pack.read_bytes(), keys)
    if json_:
        problems: list[dict[str, Any]] = [{"where": each.where, "what": each.what} for each in verdict.problems]
        show({"kind": verdict.kind, **verdict.facts, "problems": problems})
    else:
        for line in told(verdict):
            click.echo(line)
    if verdict.problems:
        raise SystemExit(1)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Add the checkpoints that FILE lacks.")
@as_json
@env_file
@errors_in_a_line
def checkpoint(out: Path | None, json_: bool) -> None:
    """Seal everything that happened since the last checkpoint with a signed one. The dispatcher does so by itself.

    A checkpoint names nobody. Kept where you cannot change it, it shows to anybody that you rewrote nothing.

    \b
    Example: consent-bridge checkpoint --out /mnt/elsewhere/checkpoints.jsonl
    """
    from bridge.jobs.checkpoints import Notary, append
    from bridge.store.checkpoints import stored

    bridge = make_bridge()
    if not bridge.seals:
        fail("BRIDGE_SEAL_KEYS is empty, so nothing can be signed; make a key with: consent-bridge keys new")
    signed = Notary(bridge).now()
    added = append(out, stored(bridge.database)) if out else 0
    if json_:
        show({"checkpoint": signed, "added": added})
        return
    if signed is None:
        click.echo("nothing new since the last checkpoint")
    else:
        click.echo(f"checkpoint {signed['number']}: {signed['count']} events, signed by seal key {signed['key']}")
    if out:
        click.echo(f"added to {out}: {added}")
