"""Acts that the policy wants two people for (decision 36): the first call notes what is asked for."""

import json
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import show


def waits_for_another(bridge: Bridge, act: str, hash_: bytes, about: dict[str, Any], *, json_: bool = False) -> bool:
    """Whether this act must be approved first; then it is noted, and said how. `hash_` is of what is to be done."""
    if act not in bridge.policy.second_approver:
        return False
    asked = bridge.store.approvals.ask(act, hash_, json.dumps(about), bridge.settings.operator)
    if json_:
        show({"waits": asked.id, "asked_by": asked.asked_by})
    else:
        click.echo("Nothing was changed: the policy asks for a second person. Another operator says:")
        click.echo(f"  BRIDGE_OPERATOR=her-name consent-bridge approve {asked.id}")
    return True
