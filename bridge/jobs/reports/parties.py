"""The register of third parties: who gets data, under which contract, where, and what it does not show yet (REG-02)."""

import csv
import io
from datetime import date, datetime
from typing import Any

from bridge.bootstrap import Bridge
from bridge.jobs.tasks import Task, task
from bridge.policy import CLAUSES, Gap, GapKind, Policy, Processor, gaps, processor_gaps
from bridge.policy.gaps import received
from bridge.texts import mark
from bridge.vocabulary import rfc3339

#: What each line of an entry is called, in the order of the register.
LINES = {
    "role": mark("Role"),
    "service": mark("Service"),
    "data": mark("Data sent"),
    "purposes": mark("For"),
    "address": mark("Address"),
    "contact": mark("Contact for questions about data"),
    "country": mark("Country"),
    "region": mark("Region"),
    "contract": mark("Contract of"),
    "contract_version": mark("Its version"),
    "contract_file": mark("Where it lies"),
    "clauses": mark("Clauses of GDPR 28(3) found in it"),
    "transfer_tool": mark("Transfer tool"),
    "transfer_assessed": mark("Transfer assessed"),
    "safeguard": mark("Safeguard, as readers are told"),
    "security": mark("Evidence of security"),
    "breach_contact": mark("At a breach, call"),
    "deletion_proof": mark("Proof of deletion on exit"),
    "owner": mark("Owner"),
    "last_review": mark("Last review"),
    "review_by": mark("Next review"),
    "sub_processors_as_of": mark("List of sub-processors of"),
}
#: What is missing, where it is no line of the above.
LACKS = {
    "to_check": mark("An example of ours: to be checked by you"),
    "status": mark("Not in use"),
    "sub_processors": mark("Transfer tool of a sub-processor"),
    "dpia_screening": mark("Whether an impact assessment is needed (GDPR 35)"),
    "suppression": mark("Weighing of interests: the stop list"),
    "soft_opt_in": mark("Weighing of interests: mail to customers"),
    "repermission": mark("Weighing of interests: asking old contacts once more"),
    "third_party_lists": mark("Weighing of interests: lists of third parties"),
    "next_review": mark("Review of a channel"),
    "recipients": mark("A recipient that readers are told of has no entry here"),
    "entry": mark("A platform that is switched on has no entry here"),
}
ROLES = {
    "processor": mark("processor"),
    "controller": mark("controller of its own"),
    "joint": mark("joint controller"),
}
STATES = {"active": mark("in use"), "planned": mark("planned"), "ended": mark("ended")}
#: What an adapter is told of everybody (MIN-04); declared fields come to it.
KINDS_OF_DATA = {
    "address": mark("e-mail address"),
    "language": mark("language"),
    "choices": mark("choices per topic"),
    "link": mark("link to her own page"),
}

#: The columns of the register as a table.
COLUMNS = ("id", "name", "status", *LINES, "sub_processors", "may_be_used", "gaps")


def collect(bridge: Bridge, language: str) -> dict[str, Any]:
    """The register as of now, as plain data."""
    now = bridge.clock()
    policy = bridge.policy
    today = now.astimezone(policy.zone).date()
    others = [gap for gap in gaps(policy, today) if not gap.where.startswith("processors.")]
    others += [
        Gap(GapKind.PROCESSOR, f"processors.{name}.entry", "REG-02", policy.processor_problem(name, today) or "")
        for name in bridge.settings.adapters
        if name not in policy.processors
    ]
    return {
        "made": rfc3339(now),
        "controller": policy.controller.name,
        "language": language,
        "gate": policy.processor_gaps.value,
        "processors": [_entry(policy, party, today, language) for party in policy.processors.values()],
        "gaps": [_gap(gap) for gap in others],
        "task": _task(task(bridge)),
    }


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The register as a page that prints."""
    language = found["language"]
    say = bridge.texts.gettext
    names = {key: say(language, words) for key, words in (LINES | LACKS).items()}
    return bridge.texts.render(
        "report/processors.html",
        language,
        title=say(language, "Register of third parties"),
        subtitle=say(language, "Who gets data from us, under which contract, and what is still to do"),
        made=made,
        lines=names,
        topics={purpose.id: purpose.name[language] for purpose in bridge.policy.purposes.values()},
        roles={key: say(language, words) for key, words in ROLES.items()},
        states={key: say(language, words) for key, words in STATES.items()},
        kinds={key: say(language, words) for key, words in KINDS_OF_DATA.items()},
        processors=[_for_people(entry) for entry in found["processors"]],
        gaps=[gap | {"key": _key(gap), "overdue": _day(gap["overdue"])} for gap in found["gaps"]],
        task=found["task"] | {"last": _day(found["task"]["last"])},
    )


def as_csv(found: dict[str, Any]) -> str:
    """The register as a table for a spreadsheet: a line for each third party."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\r\n", extrasaction="ignore")
    rows.writeheader()
    for entry in found["processors"]:
        rows.writerow({key: _cell(value) for key, value in entry.items()})
    return out.getvalue()


def as_text(found: dict[str, Any]) -> str:
    """The register in lines, for a terminal."""
    lines = []
    for entry in found["processors"]:
        shut = "NOTHING NEW IS SENT THERE" if entry["adapter"] else "NOT VALID: SEND IT NOTHING"
        state = "may be used" if entry["may_be_used"] else shut
        lines.append(f"{entry['id']}: {entry['name']}, {entry['country']}, {entry['status']}; {state}")
        lines.append(
            f"  {entry['service']}; contract {entry['contract'] or 'none'}; review by {entry['review_by'] or 'none'}"
        )
        for other in entry["sub_processors"]:
            lines.append(f"  passes on to {other['name']}: {other['service']}, {other['country']}")
        lines += _todo(entry["gaps"])
    if found["gaps"]:
        lines += ["besides:", *_todo(found["gaps"])]
    told = found["task"]
    if told["last"] is None:
        lines.append("nobody has looked at this yet: consent-bridge register acknowledge --by NAME")
    elif told["changed"]:
        lines.append(f"changed since {told['by']} looked on {told['last']}:")
        lines += [f"  {change['text']}" for change in told["changed"]]
        lines.append("when you have looked: consent-bridge register acknowledge --by NAME")
    return "\n".join(lines) or "no third party gets data"


def _todo(found: list[dict[str, Any]]) -> list[str]:
    return [f"  {'OVERDUE' if gap['overdue'] else 'gap'} {gap['where']} ({gap['row']}): {gap['fix']}" for gap in found]


def _entry(policy: Policy, party: Processor, today: date, language: str) -> dict[str, Any]:
    return {
        "id": party.key,
        "adapter": party.adapter or None,
        "name": party.name,
        "status": party.status,
        "to_check": party.to_check,
        "role": party.role,
        "service": party.service_text.get(language) or party.service,
        "data": list(received(policy, party)),
        "purposes": list(policy.uses(party)),
        "address": party.address,
        "contact": party.contact,
        "country": party.country,
        "region": party.region,
        "contract": _iso(party.contract),
        "contract_version": party.contract_version,
        "contract_file": party.contract_file,
        "clauses": {letter: letter in party.clauses for letter in CLAUSES},
        "sub_processors": [
            {
                "name": other.name,
                "service": other.service,
                "country": other.country,
                "region": other.region,
                "since": _iso(other.since),
                "transfer_tool": other.transfer_tool,
            }
            for other in party.sub_processors.values()
        ],
        "sub_processors_as_of": _iso(party.sub_processors_as_of),
        "transfer_tool": party.transfer_tool,
        "transfer_assessed": _iso(party.transfer_assessed),
        "safeguard": party.safeguard.get(language, ""),
        "security": party.security,
        "breach_contact": party.breach_contact,
        "deletion_proof": party.deletion_proof,
        "owner": party.owner,
        "last_review": _iso(party.last_review),
        "review_by": _iso(party.review_by),
        "may_be_used": policy.processor_problem(party.key, today) is None,
        "gaps": [_gap(gap) for gap in processor_gaps(policy, party, today)],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "where": gap.where,
        "row": gap.row,
        "fix": gap.fix,
        "overdue": _iso(gap.overdue),
        "blocks": gap.blocks,
    }


def _task(found: Task) -> dict[str, Any]:
    return {
        "last": rfc3339(found.last.time) if found.last else None,
        "by": found.last.by if found.last else None,
        "changed": [change._asdict() | {"text": str(change)} for change in found.changed],
    }


def _for_people(entry: dict[str, Any]) -> dict[str, Any]:
    days = ("contract", "sub_processors_as_of", "transfer_assessed", "last_review", "review_by")
    missing = [gap | {"key": _key(gap), "overdue": _day(gap["overdue"])} for gap in entry["gaps"]]
    return entry | {key: _day(entry[key]) for key in days} | {"gaps": missing}


def _key(gap: dict[str, Any]) -> str:
    """Which line a gap is about: processors.crm.contract -> contract."""
    parts = gap["where"].split(".")
    return str(parts[2] if parts[0] in ("processors", "channels", "purposes") else parts[1])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(letter for letter, there in value.items() if there)
    if isinstance(value, list):
        return "; ".join(_item(item) for item in value)
    return "" if value is None else str(value)


def _item(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return str(item["where"]) if "where" in item else "{name}, {service}, {country}".format(**item)


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None
