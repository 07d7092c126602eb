"""The staff log as a paper: who did what, why and when (ORG-02). Of readers it knows kinds and counts only."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bridge.bootstrap import Bridge
from bridge.store.staff import Noted, Stage
from bridge.texts import mark
from bridge.vocabulary import rfc3339

#: How far an act came.
STAGES = {
    Stage.BEGAN.value: mark("begun, no end noted"),
    Stage.ASKED.value: mark("waits for a second person"),
    Stage.DONE.value: mark("done"),
    Stage.FAILED.value: mark("ended with an error"),
}

#: The columns of the log as a table, in their order.
COLUMNS = ("begun", "ended", "act", "person", "reason", "stage", "about")
_FREE = ("person", "reason")


def collect(bridge: Bridge, language: str, since: datetime | None) -> dict[str, Any]:
    """The log as plain data, oldest first. `person`, `reason` and `about` are None once their time is over."""
    since = since.replace(microsecond=0) if since else None  # what was done within that second too
    return {
        "made": rfc3339(bridge.clock()),
        "controller": bridge.policy.controller.name,
        "language": language,
        "since": rfc3339(since) if since else None,
        "kept": str(bridge.policy.retention.staff_log),
        "acts": _acts(bridge.store.staff.entries(since)),
    }


def _acts(entries: Iterable[Noted]) -> list[dict[str, Any]]:
    """One line for each act, from the entries that belong together."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        line = found.setdefault(entry.run, {"begun": rfc3339(entry.time), "ended": None, "act": entry.act})
        if entry.stage in (Stage.DONE, Stage.FAILED):
            line["ended"] = rfc3339(entry.time)
        line |= {"person": entry.person, "reason": entry.reason, "stage": entry.stage}
        line["about"] = None if entry.person is None else {**(line.get("about") or {}), **entry.about}
    return list(found.values())


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The log as a page that prints."""
    language = found["language"]
    say = bridge.texts.gettext
    stages = {stage: say(language, words) for stage, words in STAGES.items()}
    return bridge.texts.render(
        "report/staff.html",
        language,
        title=say(language, "Who did what"),
        subtitle=say(language, "What changed something about people or rules, or opened what is kept of them"),
        made=made,
        kept=bridge.policy.retention.staff_log,
        since=datetime.fromisoformat(found["since"]) if found["since"] else None,
        acts=[
            line
            | {"begun": datetime.fromisoformat(line["begun"]), "stage": stages[line["stage"]]}
            | {"about": _about(line["about"])}
            for line in found["acts"]
        ],
    )


def as_csv(found: dict[str, Any]) -> str:
    """The log as a table for a spreadsheet."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    rows.writeheader()
    for line in found["acts"]:
        rows.writerow({**line, "about": _about(line["about"]), **{name: _plain(line[name]) for name in _FREE}})
    return out.getvalue()


def _plain(text: str | None) -> str:
    """What staff wrote, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text and text[0] in "=+-@" else text or ""


def as_text(found: dict[str, Any]) -> str:
    """The log in lines."""
    lines = []
    for line in found["acts"]:
        who, why = line["person"] or "(forgotten)", f": {line['reason']}" if line["reason"] else ""
        about = f" ({_about(line['about'])})" if line["about"] else ""
        lines.append(f"{line['begun']}  {who}  {line['act']}{about}  {STAGES[line['stage']]}{why}")
    lines.append(f"{len(found['acts'])} acts. Who and why is kept for {found['kept']}; that it was done, for good.")
    return "\n".join(lines)


def _about(told: dict[str, Any] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (told or {}).items())
