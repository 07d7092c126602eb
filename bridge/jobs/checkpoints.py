"""Checkpoints as a job: cut from time to time, and sent to where whoever runs this program cannot change them."""

import logging
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from bridge.adapter import MailLater, MailRefused
from bridge.bootstrap import Bridge
from bridge.store.checkpoints import cut, is_due, stored
from bridge.vault import new_id
from bridge.verifier import Bad, canonical, checkpoint_hash, strict
from bridge.vocabulary import Letter

log = logging.getLogger("bridge.checkpoints")


class Notary:
    """Seals the history. Several may run at once: of two that cut together one wins."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def look(self) -> int:
        """Cut a checkpoint when one is due; how many were cut."""
        bridge = self.bridge
        if not bridge.seals or not is_due(bridge.database, bridge.clock() - bridge.policy.checkpoints.every.time):
            return 0
        return 1 if self.now() else 0

    def now(self) -> dict[str, Any] | None:
        """Cut one whatever the time, and send it on; None where nothing is new."""
        signed = cut(self.bridge.database, self.bridge.seals, self.bridge.clock())
        if signed is not None:
            log.info("checkpoint %d: %d events", signed["number"], signed["count"])
            self._send(signed)
        return signed

    def _send(self, signed: dict[str, Any]) -> None:
        """A place that takes nothing now is told more the next time: a checkpoint names all before it."""
        chosen = self.bridge.policy.checkpoints
        if chosen.file:
            try:
                append(self.bridge.settings.policy.parent / chosen.file, stored(self.bridge.database))
            except OSError as error:
                log.error("checkpoint %d: its file was not written (%s)", signed["number"], error.strerror)
        for address in chosen.mail:
            try:
                self.bridge.transport.send(_letter(self.bridge, signed, address), lambda: None)
            except (MailLater, MailRefused) as error:
                log.error("checkpoint %d: its mail did not leave (%s)", signed["number"], error.reason)


def behind(bridge: Bridge) -> int:
    """How many checkpoints the policy's file lacks."""
    path = bridge.settings.policy.parent / bridge.policy.checkpoints.file
    try:
        have = {_hash(line) for line in path.read_bytes().splitlines()}
    except OSError:
        have = set()
    return sum(checkpoint_hash(one) not in have for one in stored(bridge.database))


def append(path: Path, told: Sequence[dict[str, Any]]) -> int:
    """Add the checkpoints that a file lacks, a line for each; how many. Nothing in it is ever changed.

    A line that a kill cut off stays, and the checkpoint is written once more.
    """
    there = path.read_bytes() if path.exists() else b""
    have = {_hash(line) for line in there.splitlines()}
    new = [one for one in told if checkpoint_hash(one) not in have]
    if not new:
        return 0
    with path.open("ab") as file:
        if there and not there.endswith(b"\n"):
            file.write(b"\n")
        for one in new:
            file.write(canonical(one) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return len(new)


def missing(path: Path, told: Sequence[dict[str, Any]]) -> list[str]:
    """Which checkpoints of a file are not in this history, by their names: then it was rewritten, or restored from
    before."""
    here = {checkpoint_hash(one) for one in told}
    lines = [canonical(one) for one in told]
    kept = path.read_bytes().splitlines()
    found = [] if kept else ["holds no checkpoint, so nothing was compared"]
    for place, line in enumerate(kept, start=1):
        try:
            one = strict(line)
            number = one["number"]
        except (Bad, KeyError, TypeError):
            if not any(whole.startswith(line) for whole in lines):  # a kill cut it off; it was written once more
                found.append(f"line {place} cannot be read")
            continue
        if checkpoint_hash(one) not in here:
            found.append(f"checkpoint {number} (line {place}) is not in this history")
    return found


def _hash(line: bytes) -> str:
    try:
        return checkpoint_hash(strict(line))
    except (Bad, AttributeError):
        return ""


def _letter(bridge: Bridge, signed: dict[str, Any], address: str) -> Letter:
    """The mail to whoever keeps checkpoints: nothing of any reader."""
    mail, say = bridge.policy.mail, bridge.texts.gettext
    language = bridge.policy.languages[0]
    text = say(
        language,
        "Attached is checkpoint %(number)s of the consent records of %(name)s: a signed seal of the whole history, "
        "without anything of any reader. Please keep it where the people who run the records cannot change it.",
        number=signed["number"],
        name=bridge.policy.controller.name,
    )
    return Letter(
        sender=mail.sender,
        to=address,
        reply_to=mail.reply_to,
        subject=say(language, "Checkpoint %(number)s of the consent records", number=signed["number"]),
        text=text + "\n",
        html=f"<p>{escape(text)}</p>",
        message_id=f"<{new_id()}@{mail.sender_address.rpartition('@')[2]}>",
        headers={"Auto-Submitted": "auto-generated"},
        attachments=((f"checkpoint-{signed['number']}.json", "application/json", canonical(signed)),),
    )
