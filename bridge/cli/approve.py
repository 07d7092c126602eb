"""`consent-bridge approve`: what one operator asked for, carried out by another (decision 36, ORG-02)."""

import json
from collections.abc import Callable, Mapping

import click

from bridge.cli import breach
from bridge.cli.audit import carry_out
from bridge.cli.keys import drop_approved
from bridge.cli.move import delete_there
from bridge.cli.options import as_json, env_file, errors_in_a_line, make_bridge
from bridge.cli.purge import carry_out as carry_out_purge
from bridge.cli.repermission import begin as start_campaign
from bridge.cli.staff import begin, staff_act

#: How each act that waits is carried out.
_ACTS: Mapping[str, Callable[..., None]] = {
    "breach": breach.carry_out,
    "clean": carry_out,
    "keys": drop_approved,
    "move": delete_there,
    "purge": carry_out_purge,
    "repermission": start_campaign,
}


@click.command()
@click.argument("id")
@staff_act("approve", later=True)
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
    begin(bridge, act=act.act, approval=act.id)
    _ACTS[act.act](bridge, json.loads(act.about), act.hash, json_=json_)
    bridge.store.approvals.finish(id)
