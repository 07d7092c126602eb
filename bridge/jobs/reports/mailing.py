"""Reports by mail, to whom the policy names for each department: no marketing, nothing of readers in it (ORG-01)."""

import logging
from datetime import datetime
from email.headerregistry import Address
from typing import Any

from bridge.adapter import MailLater, MailRefused
from bridge.bootstrap import Bridge
from bridge.jobs.reports.departments import as_html, collect
from bridge.texts import mark
from bridge.vault import new_id
from bridge.vocabulary import Letter

log = logging.getLogger("bridge.reports")

_NAMES = {
    "marketing": mark("Report for marketing"),
    "sales": mark("Report for sales"),
    "support": mark("Report for support"),
    "it": mark("Report for IT"),
    "management": mark("Report for management"),
}


def addresses(bridge: Bridge, department: str) -> tuple[str, ...]:
    """Who gets a department's report by mail."""
    found: tuple[str, ...] = getattr(bridge.policy.reports, department)
    return found


def send(bridge: Bridge, department: str, language: str) -> list[str]:
    """Mail one department's report, to each address a mail of its own; gives why any of them did not take it."""
    now = bridge.clock()
    found = collect(bridge, department, language)
    page = as_html(bridge, found, now)
    failed = []
    for address in addresses(bridge, department):
        try:
            bridge.transport.send(_letter(bridge, found, page, address, now), lambda: None)
        except (MailLater, MailRefused) as error:
            failed.append(error.reason)
    return failed


def send_all(bridge: Bridge) -> int:
    """Each department's report to whom the policy names for it; how many mails were handed over."""
    language = bridge.policy.reports.language or bridge.policy.languages[0]
    sent = 0
    for department in _NAMES:
        if wanted := addresses(bridge, department):
            failed = send(bridge, department, language)
            for reason in failed:
                log.error("the report for %s: a mail was not handed over (%s)", department, reason)
            sent += len(wanted) - len(failed)
    return sent


def _letter(bridge: Bridge, found: dict[str, Any], page: str, address: str, now: datetime) -> Letter:
    language, department, policy = found["language"], found["department"], bridge.policy
    title = bridge.texts.gettext(language, _NAMES[department])
    day = now.astimezone(policy.zone).date()
    about = {
        "title": title,
        "made": now,
        "pressing": [one["what"] for one in found.get("todo", []) if one["risk"] == "red"],
        "sender_name": policy.mail.sender_name,
        "postal_address": policy.mail.postal_address,
        "unsubscribe_url": None,
        "preferences_url": None,
        "statement": None,
    }
    return Letter(
        sender=str(Address(display_name=policy.mail.sender_name, addr_spec=policy.mail.sender_address)),
        to=address,
        reply_to=policy.mail.reply_to,
        subject=f"{policy.looks.name}: {title}, {bridge.texts.day(language, day)}",
        text=bridge.texts.render("staff/report.txt", language, **about),
        html=bridge.texts.render("staff/report.html", language, **about),
        message_id=f"<{new_id()}@{policy.mail.sender_address.rpartition('@')[2]}>",
        headers={"Auto-Submitted": "auto-generated", "Content-Language": language},
        attachments=((f"report-{department}-{day.isoformat()}.html", "text/html", page.encode()),),
    )
