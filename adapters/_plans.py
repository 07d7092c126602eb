"""How full a platform's plan is: no API tells the limit, so the operator does."""

from collections.abc import Mapping

from bridge.adapter import Misconfigured
from bridge.vocabulary import Finding

#: The setting that tells the limit of each platform's plan.
SETTINGS = {"mailchimp": "MAILCHIMP_PLAN_CONTACTS", "sendgrid": "SENDGRID_PLAN_CONTACTS"}


def plan_limit(name: str, settings: Mapping[str, str]) -> int:
    """The contacts a plan holds; 0 = not told. Raises `Misconfigured`."""
    setting = SETTINGS[name]
    text = settings.get(setting, "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise Misconfigured(f"{setting} must be the number of contacts your plan holds, such as 10000")
    return int(text or 0)


def contacts_of_plan(name: str, contacts: int, settings: Mapping[str, str]) -> Finding:
    """Beyond its plan a platform takes nobody new, or bills for it; from nine tenths on that is near."""
    limit = plan_limit(name, settings)
    subject = f"{name} plan: {contacts:,} contacts" + (f" of {limit:,}" if limit else "")
    if not limit or contacts * 10 < limit * 9:
        return Finding(subject, True)
    fix = "take a larger plan, or delete contacts who left there"
    return Finding(subject, contacts < limit, fix)
