"""The channel register: where addresses are collected, for what, on which ground, and who looks at it (CHN-01)."""

import csv
import io
from datetime import date, datetime
from typing import Any

from bridge.bootstrap import Bridge
from bridge.decide import share
from bridge.policy import Channel, Policy
from bridge.texts import mark
from bridge.vocabulary import FEW, LegalBasis, rfc3339

#: What each kind of channel is called.
KINDS = {
    "form": mark("form"),
    "contact_form": mark("contact form"),
    "brochure": mark("download"),
    "order": mark("order form"),
    "list": mark("list taken in"),
    "third_party": mark("list of a third party"),
    "api": mark("program"),
}

#: The columns of the register as a table, in their order.
COLUMNS = (
    *("id", "kind", "place", "purpose", "basis", "notice", "double_opt_in"),
    *("owner", "last_review", "next_review", "overdue", "source"),
)


def entries(policy: Policy, today: date) -> list[dict[str, Any]]:
    """Every channel with its facts, as plain data; what follows from its purposes is said for each of them."""
    return [_entry(policy, channel, today) for channel in policy.channels.values()]


def collect(bridge: Bridge, language: str) -> dict[str, Any]:
    """The register as of now, as plain data. None stands for a number that is hidden: few people (ORG-01)."""
    now = bridge.clock()
    policy = bridge.policy
    found: dict[str, Any] = {
        "made": rfc3339(now),
        "controller": policy.controller.name,
        "language": language,
        "third_party_lists": policy.third_party_lists,
        "channels": entries(policy, now.astimezone(policy.zone).date()),
    }
    if others := bridge.third_parties:
        kept = bridge.store.in_quarantine(others)
        overdue = share(kept.overdue, kept.people)[0] if kept.overdue else 0
        found["quarantine"] = {"people": None if 0 < kept.people < FEW else kept.people, "overdue": overdue}
    return found


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The register as a page that prints."""
    language = found["language"]
    say = bridge.texts.gettext
    return bridge.texts.render(
        "report/channels.html",
        language,
        title=say(language, "Channel register"),
        subtitle=say(language, "Where we collect addresses, for what, and who looks at it"),
        made=made,
        kinds={kind: say(language, words) for kind, words in KINDS.items()},
        channels=[
            entry | {name: _day(entry[name]) for name in ("last_review", "next_review")} for entry in found["channels"]
        ],
        quarantine=found.get("quarantine"),
    )


def as_csv(found: dict[str, Any]) -> str:
    """The register as a table for a spreadsheet: a line for each channel and purpose."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\r\n", extrasaction="ignore")
    rows.writeheader()
    for entry in found["channels"]:
        for purpose in entry["purposes"]:
            flat = entry | purpose | {"id": entry["id"], "purpose": purpose["id"]}
            flat["place"] = entry["place"][found["language"]]
            flat["source"] = "{name}, {contact}".format(**entry["source"]) if entry["source"] else ""
            flat["double_opt_in"], flat["overdue"] = _yes(flat["double_opt_in"]), _yes(flat["overdue"])
            rows.writerow(flat)
    return out.getvalue()


def as_text(found: dict[str, Any]) -> str:
    """The register in lines, for a terminal."""
    lines = []
    for entry in found["channels"]:
        late = " OVERDUE" if entry["overdue"] else ""
        last = entry["last_review"] or "never noted"
        lines += [
            f"{entry['id']} ({entry['kind']}): {entry['place'][found['language']]}",
            f"  owner {entry['owner']}; last review {last}, next {entry['next_review']}{late}",
        ]
        for purpose in entry["purposes"]:
            confirmed = "double opt-in" if purpose["double_opt_in"] else "no confirmation"
            lines.append(f"  {purpose['id']}: {purpose['basis']}, notice {purpose['notice']}, {confirmed}")
        if entry["source"]:
            lines.append("  source: {name}, {contact}".format(**entry["source"]))
    if kept := found.get("quarantine"):
        people, overdue = ("hidden" if count is None else count for count in (kept["people"], kept["overdue"]))
        lines.append(f"third parties' lists: people without proof {people}, of them for too long {overdue}")
    return "\n".join(lines)


def _entry(policy: Policy, channel: Channel, today: date) -> dict[str, Any]:
    return {
        "id": channel.id,
        "kind": channel.kind.value,
        "place": dict(channel.place),
        "purposes": [_purpose(policy, channel, purpose) for purpose in channel.purposes],
        "owner": channel.owner,
        "last_review": channel.last_review.isoformat() if channel.last_review else None,
        "next_review": channel.next_review.isoformat(),
        "overdue": channel.next_review < today,
        "source": {"name": channel.source.name, "contact": channel.source.contact} if channel.source else None,
    }


def _purpose(policy: Policy, channel: Channel, id_: str) -> dict[str, Any]:
    """What a channel asks for: the ground, the words and the confirmation are the purpose's own."""
    purpose = policy.purposes[id_]
    sold = purpose.basis is LegalBasis.SOFT_OPT_IN and channel.sale is not None
    return {
        "id": id_,
        "name": dict(purpose.name),
        "basis": (LegalBasis.SOFT_OPT_IN if sold else LegalBasis.CONSENT).value,
        "notice": purpose.notice,
        "double_opt_in": purpose.opt_in == "double",
    }


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _yes(value: bool) -> str:
    return "yes" if value else "no"
