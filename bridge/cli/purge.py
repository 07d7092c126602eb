"""`consent-bridge purge`: nobody and nothing is kept longer than the policy says (MIN-06)."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.second import waits_for_another
from bridge.cli.staff import begin, staff_act, tally
from bridge.jobs.retention import Purge, as_data, shorter
from bridge.store import StoreAway


@click.command()
@click.option("--dry-run", is_flag=True, help="Count what would go; change nothing.")
@click.option("--keep", metavar="KEY=SPAN", multiple=True, help="This once for less long: evidence='12 months'.")
@staff_act("purge", unless=lambda options: options["dry_run"], later=True)
@as_json
@env_file
@errors_in_a_line
def purge(*, dry_run: bool, keep: tuple[str, ...], json_: bool) -> None:
    """Forget what the policy's time is over for: line by line of the retention table, with counts.

    The dispatcher does the same once a day. Nobody who may be mailed, waits for a confirmation or for an answer to a
    request, or is restricted is forgotten, nor anybody whose stop has not reached every platform. A stop stays a stop,
    as a keyed hash. Killed, it goes on when run again; run twice, the second time changes nothing.

    \b
    Example: consent-bridge purge --dry-run
    """
    bridge = make_bridge()
    wanted = dict(_pair(each) for each in keep)
    if dry_run:
        with progress("counting", sys.stderr) as tell:
            job = _job(bridge, wanted, tell)
            _say(bridge, job, job.count(), json_=json_, dry_run=True)
        return
    _job(bridge, wanted)  # what cannot be is named before anybody is asked
    asked = json.dumps(wanted, sort_keys=True)
    if wanted and waits_for_another(bridge, "purge", asked.encode(), wanted, json_=json_):
        return
    begin(bridge, **_noted(wanted))
    carry_out(bridge, wanted, b"", json_=json_)


def carry_out(bridge: Bridge, wanted: Mapping[str, str], _hash: bytes, *, json_: bool) -> None:
    """The run itself; also what another person asked for."""
    with progress("forgetting", sys.stderr) as tell:
        job = _job(bridge, wanted, tell)
        try:
            counts = job.run()
        except StoreAway as error:
            fail(f"the store is away: {error}. Run it again: what was forgotten stays forgotten")
    tally(**{rule: count for rule, count in counts.items() if count})
    _say(bridge, job, counts, json_=json_, dry_run=False)


def _job(bridge: Bridge, wanted: Mapping[str, str], tell: Any = lambda _done, _all: None) -> Purge:
    try:
        return Purge(bridge, retention=shorter(bridge.policy.retention, wanted), tell=tell)
    except ValueError as error:
        fail(f"--keep: {error}")


def _pair(text: str) -> tuple[str, str]:
    key, _, span = text.partition("=")
    return key.strip(), span.strip()


def _noted(wanted: Mapping[str, str]) -> dict[str, str]:
    return {f"kept_{key}": "-".join(span.split()) for key, span in wanted.items()}


def _say(bridge: Bridge, job: Purge, counts: Mapping[str, int], *, json_: bool, dry_run: bool) -> None:
    rows = as_data(bridge.policy, counts, job.retention)
    if json_:
        show({"dry_run": dry_run, "total": sum(counts.values()), "rules": rows})
        return
    for row in rows:
        click.echo(f"{row['count']:>9,}  {row['what']} (kept {row['kept']}): {row['then']}")
    click.echo("Nothing was changed (dry run)." if dry_run else f"{sum(counts.values()):,} in all.")
