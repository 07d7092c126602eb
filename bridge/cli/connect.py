"""Commands for whoever connects a mailing platform: make what it needs, and look at what usually goes wrong."""

from collections.abc import Iterator

import click

from bridge.adapter import AdapterError, find
from bridge.bootstrap import START_ERRORS, Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.jobs import clock, journeys
from bridge.store import OldSchema, StoreAway, StoreBroken
from bridge.vocabulary import Finding


@click.command()
@click.argument("adapter")
@env_file
@errors_in_a_line
def setup(adapter: str) -> None:
    """Make what ADAPTER's platform needs (the field for the reader's link); safe to run again.

    \b
    Example: consent-bridge setup mailchimp
    """
    find(adapter)  # a typing error is named before anything else
    bridge = make_bridge()
    if adapter not in bridge.adapters:
        fail(f"{adapter} is installed but not switched on: add it to BRIDGE_ADAPTERS")
    try:
        done = bridge.adapters[adapter].setup()
    except AdapterError as error:
        fail(error.reason)
        return
    for line in done or ["nothing was missing"]:
        click.echo(line)


@click.command()
@as_json
@env_file
@errors_in_a_line
def doctor(json_: bool) -> None:
    """Look at everything that usually goes wrong, and name the fix. Exit 1 when something needs one.

    \b
    Example: consent-bridge doctor
    """
    findings = list(_look(make_bridge(ready=False)))
    if json_:
        show([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            click.echo(
                f"{'ok ' if finding.ok else 'FIX'}  {finding.subject}" + (f": {finding.fix}" if finding.fix else "")
            )
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _look(bridge: Bridge) -> Iterator[Finding]:
    """Our own side first, then each platform; one that does not answer is one finding."""
    try:
        bridge.ready()
    except (*START_ERRORS, OldSchema, StoreAway, StoreBroken) as error:
        yield from (
            Finding("settings, policy, keys and database", ok=False, fix=line) for line in str(error).splitlines()
        )
        return
    yield Finding("settings, policy, keys and database", ok=True)
    yield from bridge.transport.check()
    for name, adapter in bridge.adapters.items():
        problem = bridge.policy.processor_problem(name, bridge.clock().date())
        yield Finding(f"{name}: contract", ok=problem is None, fix=problem or "")
        try:
            yield from adapter.check()
        except AdapterError as error:
            yield Finding(f"{name}: it answers", ok=False, fix=error.reason)
    yield from clock.findings(bridge)
    yield from journeys.findings(bridge)
    for task in bridge.store.tasks():
        name, _, what = task.name.partition(" ")
        if what and name not in bridge.adapters:
            fix = f"BRIDGE_ADAPTERS does not name {name}, so nobody tells it: switch it on until they are gone there"
            yield Finding(f"{task.waiting} people wait to be erased at {name}", ok=False, fix=fix)
        elif task.waiting:
            yield Finding(f"{task.waiting} waiting for {task.name}", ok=True, fix="")
