"""`consent-bridge approve`: what one operator asked for, carried out by another (decision 36, ORG-02)."""

import json

import click

from bridge.cli.audit import carry_out
from bridge.cli.options import as_json, env_file, errors_in_a_line, make_bridge
from bridge.cli.repermission import begin

#: How each act that waits is carried out.
_ACTS = {"clean": carry_out, "repermission": begin}


@click.command()
@click.argument("id")
@as_json
@env_file
@errors_in_a_line
def approve(id: str, *, json_: bool) -> None:  # noqa: A002  (the word of the command)
    """Approve, and carry out, what another person asked for: `BRIDGE_OPERATOR` says who you are.

    \b
    Example: consent-bridge approve 5hX0c1Yb2kQ8r9tUvWxYzA
    """
    bridge = make_bridge()
    act = bridge.store.approvals.approve(id, bridge.settings.operator)
    _ACTS[act.act](bridge, json.loads(act.about), act.hash, json_=json_)
    bridge.store.approvals.finish(id)
