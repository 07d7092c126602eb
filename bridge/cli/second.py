"""Acts that the policy wants two people for (decision 36): the first call notes what is asked for."""

import hmac
import json
from pathlib import Path
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import show
from bridge.cli.staff import asked as note_asked
from bridge.files import write_private
from bridge.store.approvals import same_person


def waits_for_another(
    bridge: Bridge, act: str, hash_: bytes, about: dict[str, Any], *, json_: bool = False, always: bool = False
) -> bool:
    """Whether this act must be approved first; then it is noted, and said how. `hash_` is of what is to be done.

    `always`: whatever the policy says.
    """
    if not always and act not in bridge.policy.second_approver:
        return False
    asked = bridge.store.approvals.ask(act, hash_, json.dumps(about), bridge.settings.operator)
    note_asked(bridge, asked.id)
    if json_:
        show({"waits": asked.id, "asked_by": asked.asked_by})
    else:
        why = "this takes two people" if always else "the policy asks for a second person"
        click.echo(f"Nothing was changed: {why}. Another operator says:")
        click.echo(f"  BRIDGE_OPERATOR=her-name consent-bridge approve {asked.id}")
    return True


def waits_beside(bridge: Bridge, act: str, file: Path, hash_: bytes, *, json_: bool = False) -> bool:
    """The same for an act that makes the store: it is noted in a file beside `file`, and the second person says the
    same command herself. The note is signed, and counts for the very same files only."""
    if act not in bridge.policy.second_approver:
        return False
    note = file.with_name(f"{file.name}.waits")
    asked_by = _asked_by(bridge, act, note, hash_)
    if asked_by is not None and not same_person(asked_by, bridge.settings.operator):
        note.unlink()
        return False
    if asked_by is None:
        by = bridge.settings.operator
        note.unlink(missing_ok=True)
        write_private(note, json.dumps({"asked_by": by, "mac": _signed(bridge, act, by, hash_)}) + "\n")
    if json_:
        show({"waits": str(note), "asked_by": bridge.settings.operator})
    else:
        click.echo("Nothing was changed: the policy asks for a second person. Another operator, who sets")
        click.echo(f"BRIDGE_OPERATOR to her own name, gives the same command. It is noted in {note}")
    return True


def _asked_by(bridge: Bridge, act: str, note: Path, hash_: bytes) -> str | None:
    """Who asked for this very act before; None where nobody did."""
    if not note.is_file():
        return None
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        by, mac = str(told["asked_by"]), str(told["mac"])
    except (ValueError, KeyError, TypeError):
        return None
    return by if hmac.compare_digest(mac, _signed(bridge, act, by, hash_)) else None


def _signed(bridge: Bridge, act: str, by: str, hash_: bytes) -> str:
    return hmac.digest(bridge.links.copy_key, b"\0".join([b"waits", act.encode(), by.encode(), hash_]), "sha256").hex()
