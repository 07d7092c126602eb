"""The record of processing (GDPR 30): for the controller by the letters of 30(1), for a processor by those of 30(2).

Made from policy and registers; nothing of readers is in it.
"""

import csv
import io
from datetime import datetime
from typing import Any

from bridge.bootstrap import Bridge
from bridge.jobs.reports.parties import KINDS_OF_DATA
from bridge.policy import ChannelKind, Policy
from bridge.statement import Content, content
from bridge.texts import Texts, mark
from bridge.vocabulary import LegalBasis, rfc3339

#: What each letter asks for, in the controller's form (30(1)) ...
CONTROLLER = {
    "a": mark("Controller, joint controllers, representative, data protection officer"),
    "b": mark("Purposes of the processing"),
    "c": mark("Categories of people and of data"),
    "d": mark("Recipients"),
    "e": mark("Transfers to third countries, with safeguards"),
    "f": mark("Time limits for erasure"),
    "g": mark("Security measures"),
}
#: ... and in that of a processor (30(2)).
PROCESSOR = {
    "a": mark("Processor, controllers served, representative, data protection officer"),
    "b": mark("Categories of processing for each controller"),
    "c": mark("Transfers to third countries, with safeguards"),
    "d": mark("Security measures"),
}

#: What this program does by itself.
MEASURES = (
    mark("Each person's history is sealed under a key of her own; erasing destroys that key."),
    mark("What happened is append-only and chained; a check names what was changed."),
    mark("Addresses are looked up and kept on the stop list as keyed hashes only."),
    mark("Links are signed; changes need a link mailed to the person's own mailbox."),
    mark("Logs, errors and figures hold no address, name or token."),
    mark("Backups hold the keys apart; whoever was erased stays erased after a restore."),
    mark("Dangerous acts can be made to need a second person; who acted is noted."),
    mark("Connections to platforms are encrypted; their webhooks are refused unless proven."),
)

COLUMNS = ("letter", "about", "item", "text")


def collect(bridge: Bridge, language: str, *, processor: bool = False) -> dict[str, Any]:
    """The record as of now, as plain data: letter -> its heading and lines."""
    policy, texts = bridge.policy, bridge.texts
    told = content(policy, texts, language)
    measures = [("", texts.gettext(language, words)) for words in MEASURES]
    measures += [("", words) for words in policy.processing.measures]
    transfers = _facts(told["transfers"])
    if processor:
        heads = PROCESSOR
        lines = {
            "a": [*_parties(policy, texts, language), *_served(policy, texts, language)],
            "b": _processing(policy, texts, language),
            "c": transfers,
            "d": measures,
        }
    else:
        heads = CONTROLLER
        lines = {
            "a": _parties(policy, texts, language),
            "b": [*_purposes(policy, texts, language), *_facts(told["duties"])],
            "c": _categories(policy, texts, language, told),
            "d": _facts(told["recipients"]),
            "e": transfers,
            "f": _facts(told["retention"]),
            "g": measures,
        }
    return {
        "made": rfc3339(bridge.clock()),
        "form": "30(2)" if processor else "30(1)",
        "controller": policy.controller.name,
        "language": language,
        "letters": {
            letter: {
                "about": texts.gettext(language, heads[letter]),
                "lines": [{"item": item, "text": text} for item, text in lines[letter]],
            }
            for letter in heads
        },
        "gaps": ["controllers_served"] if processor and not policy.controllers_served else [],
    }


def as_html(bridge: Bridge, found: dict[str, Any], made: datetime) -> str:
    """The record as a page that prints."""
    language = found["language"]
    say = bridge.texts.gettext
    served = say(language, "Record of processing for others (GDPR 30(2))")
    return bridge.texts.render(
        "report/processing.html",
        language,
        title=served if found["form"] == "30(2)" else say(language, "Record of processing (GDPR 30(1))"),
        subtitle=say(language, "E-mail to readers: what is done with their data"),
        made=made,
        letters=found["letters"],
    )


def as_csv(found: dict[str, Any]) -> str:
    """The record as a table: a line for each thing said under a letter."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    rows.writeheader()
    for letter, part in found["letters"].items():
        for line in part["lines"]:
            rows.writerow({"letter": letter, "about": part["about"], **line})
    return out.getvalue()


def as_text(found: dict[str, Any]) -> str:
    """The record in lines, for a terminal."""
    lines = [f"GDPR {found['form']}, {found['controller']}"]
    for letter, part in found["letters"].items():
        lines.append(f"({letter}) {part['about']}")
        lines += [f"  {': '.join(filter(None, (line['item'], line['text'])))}" for line in part["lines"]]
    if found["gaps"]:
        lines.append("no controller is named whom you serve: [[controllers_served]] in the policy")
    return "\n".join(lines)


def _facts(items: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Items of the statement in one line each."""
    found = []
    for item in items.values():
        facts = [f"{label}: {text}" for label, text in item["facts"].values() if text]
        found.append((item["title"], "; ".join(said.rstrip(".") for said in (item["text"], *facts) if said)))
    return found


def _purposes(policy: Policy, texts: Texts, language: str) -> list[tuple[str, str]]:
    say = texts.gettext
    grounds = {
        LegalBasis.CONSENT: say(language, "consent, GDPR 6(1)(a)"),
        LegalBasis.SOFT_OPT_IN: say(language, "legitimate interest, GDPR 6(1)(f), as a customer"),
    }
    return [
        (one.name[language], f"{one.description[language].rstrip('.')}; {grounds[one.basis]}")
        for one in policy.purposes.values()
    ]


def _parties(policy: Policy, texts: Texts, language: str) -> list[tuple[str, str]]:
    say, who, contact = texts.gettext, policy.controller, policy.contact
    found = [(who.name, f"{who.address}; {who.email}; {who.website}")]
    found += [
        (party.name, say(language, "joint controller"))
        for party in policy.processors.values()
        if party.role == "joint" and party.told
    ]
    if agent := policy.statement.representative:
        found.append((say(language, "Our representative in the European Union"), f"{agent.name}; {agent.email}"))
    officer = say(language, "Data protection officer")
    title = officer if policy.dpo else say(language, "Contact for questions about data (no officer is required)")
    return [*found, (title, f"{contact.name}; {contact.email}")]


def _served(policy: Policy, texts: Texts, language: str) -> list[tuple[str, str]]:
    label = texts.gettext(language, "on behalf of")
    return [
        (one.name, "; ".join(filter(None, (label, one.address, one.email, one.dpo))))
        for one in policy.controllers_served.values()
    ] or [("", texts.gettext(language, "No other controller is served: see the record by 30(1)."))]


def _processing(policy: Policy, texts: Texts, language: str) -> list[tuple[str, str]]:
    return [(one.name, "; ".join(one.processing)) for one in policy.controllers_served.values()] or [
        ("", texts.gettext(language, "None for others."))
    ]


def _categories(policy: Policy, texts: Texts, language: str, told: Content) -> list[tuple[str, str]]:
    say = texts.gettext
    people = [say(language, "readers who said yes, and those who have not confirmed yet"), say(language, "who left")]
    if policy.soft_opt_in:
        people.append(say(language, "customers"))
    if any(channel.kind is ChannelKind.THIRD_PARTY for channel in policy.channels.values()):
        people.append(say(language, "people on lists of third parties, for at most a month"))
    if policy.for_children:
        people.append(say(language, "children, and a parent or guardian for as long as the mail to them waits"))
    data = [say(language, words) for key, words in KINDS_OF_DATA.items() if key != "link"]
    data += [field.label[language] for field in policy.fields.values()]
    data.append(say(language, "proof of each choice: when, where, which words were shown"))
    if "age" in told["data"]:
        data.append(told["data"]["age"]["text"])
    if "network" in told["duties"]:
        data.append(told["duties"]["network"]["title"])
    return [(say(language, "People"), "; ".join(people)), (say(language, "Data"), "; ".join(data))]
