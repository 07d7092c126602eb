"""What is refused: first in the house itself (who decides, who sends, how long, how often), then block by block."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.policy.ages import HIGHEST, LOWEST
from bridge.policy.blocks import block_refusals
from bridge.policy.checks import CONTROL, Problems, country_code, mail_address, one_line
from bridge.policy.countries import profile
from bridge.policy.origins import own_sites
from bridge.policy.shapes import MailIdentity, Policy, Problem, Span

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_ACCENT = re.compile(r"#[0-9a-fA-F]{6}")
_NO_ANSWER = re.compile(
    r"(no|do-?not|niet|ne-?pas|nicht)[-_.]?(reply|answer|antwoord(en)?|beantwoorden|repondre|antworten)"
)
_LOGO_TYPES = frozenset({".svg", ".png", ".jpg", ".jpeg", ".webp"})

#: Acts that may wait for a second person.
APPROVED = frozenset({"clean", "repermission", "restore", "keys", "move", "purge", "breach"})

#: Key of `[limits]` -> shortest, longest, rule.
_LIMITS: Mapping[str, tuple[Span, Span, str]] = {
    "pending_ttl": (Span(24, "hours"), Span(7, "days"), "R9"),
    "consent_max_age": (Span(1, "months"), Span(60, "months"), "R10"),
    "refresh_lead": (Span(7, "days"), Span(90, "days"), "R10"),
    "soft_max_age": (Span(1, "months"), Span(60, "months"), "SOF-03"),
    "soft_bounce_window": (Span(1, "days"), Span(60, "days"), "R7"),
    "ask_again_after": (Span(6, "months"), Span(60, "months"), "R16"),
    "erased_ask_again_after": (Span(30, "days"), Span(12, "months"), "R12"),
    "breach_clock": (Span(24, "hours"), Span(96, "hours"), "BRC-01"),
    "guardian_lasts": (Span(1, "months"), Span(12, "months"), "R15"),
    "of_age_answer": (Span(7, "days"), Span(60, "days"), "R15"),
}
#: Key of `[retention]` -> shortest, longest, rule (section 8).
_RETENTION: Mapping[str, tuple[Span, Span, str]] = {
    "profile": (Span(0, "days"), Span(30, "days"), "MIN-06"),
    "evidence": (Span(0, "months"), Span(60, "months"), "MIN-06"),
    "bounced": (Span(0, "days"), Span(90, "days"), "MIN-06"),
    "stop_list": (Span(36, "months"), Span(1200, "months"), "SUP-01"),
    "webhook_bodies": (Span(0, "days"), Span(7, "days"), "MIN-05"),
    "request_files": (Span(1, "months"), Span(36, "months"), "MIN-06"),
    "logs": (Span(0, "days"), Span(30, "days"), "MIN-06"),
    "backups": (Span(0, "days"), Span(35, "days"), "SUP-06"),
    "staff_log": (Span(12, "months"), Span(60, "months"), "ORG-02"),
    "breach_register": (Span(12, "months"), Span(60, "months"), "BRC-01"),
}
#: Key of `[repermission]` -> shortest, longest, rule.
_REPERMISSION: Mapping[str, tuple[Span, Span, str]] = {
    "answer_within": (Span(7, "days"), Span(60, "days"), "AUD-05"),
    "watch": (Span(24, "hours"), Span(14, "days"), "AUD-03"),
}


#: Key of `[checkpoints]` -> shortest, longest, rule.
_CHECKPOINTS: Mapping[str, tuple[Span, Span, str]] = {"every": (Span(1, "hours"), Span(7, "days"), "CAP-06")}


def refusals(policy: Policy, folder: Path) -> Problems:
    """Everything about this policy that a rule forbids. `folder` is where the file lies."""
    yield from _house(policy)
    yield from _people(policy)
    yield from _mail(policy)
    yield from _looks(policy, folder)
    yield from _choices(policy)
    yield from _spans(policy)
    yield from _counts(policy)
    yield from own_sites(policy)
    yield from _reports(policy)
    yield from block_refusals(policy, folder)


def _house(policy: Policy) -> Problems:
    if not policy.languages:
        yield Problem("languages", "CAP-08", 'name at least one, the default first: languages = ["nl", "en"]')
    for language in policy.languages:
        if not _LANGUAGE.fullmatch(language):
            yield Problem("languages", "CAP-08", f'"{language}" is no language code; write "nl", "en", "pt-BR"')
    if len(set(policy.languages)) < len(policy.languages):
        yield Problem("languages", "CAP-08", "a language is there twice; name each once")
    yield from country_code("country", policy.country)
    try:
        ZoneInfo(policy.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem("timezone", "decision 34", 'is no time zone; write one like "Europe/Brussels"')


def _people(policy: Policy) -> Problems:
    controller = policy.controller
    yield from one_line("controller.name", controller.name, "TRN-01")
    yield from one_line("controller.address", controller.address, "TRN-01", most=300)
    yield from mail_address("controller.email", controller.email, "TRN-01")
    if not re.fullmatch(r"https://[^\s/]+\S*", controller.website):
        yield Problem("controller.website", "TRN-01", 'must start with https://, like "https://www.krant.example"')
    if policy.dpo is None and policy.privacy_contact is None:
        fix = "add [dpo] with name and email, or [privacy_contact] where no officer is required"
        yield Problem("dpo", "TRN-02", fix)
    for key, contact in (("dpo", policy.dpo), ("privacy_contact", policy.privacy_contact)):
        if contact is not None:
            yield from one_line(f"{key}.name", contact.name, "TRN-02")
            yield from mail_address(f"{key}.email", contact.email, "TRN-02")


def _mail(policy: Policy) -> Problems:
    mail = policy.mail
    if not re.fullmatch(r"[^<>]*<[^<>]+>", mail.sender) or not mail.sender_name:
        yield Problem("mail.from", "SND-02", 'must be a name and an address: "De Krant <post@krant.example>"')
    else:
        yield from mail_address("mail.from", mail.sender_address, "SND-02")
        yield from one_line("mail.from", mail.sender_name, "SND-02", most=78)
        yield from _disguise(policy, mail)
    yield from mail_address("mail.reply_to", mail.reply_to, "SND-02")
    if _NO_ANSWER.search(mail.reply_to.lower()):
        yield Problem("mail.reply_to", "SND-02", "answers must reach somebody; name a mailbox that is read")
    yield from _postal(mail)


def _disguise(policy: Policy, mail: MailIdentity) -> Problems:
    shown = mail.sender_name.casefold()
    owners = [name.strip() for name in (policy.controller.name, policy.looks.name)]
    if not any(name and name.casefold() in shown for name in owners):
        fix = 'the name must hold that of the controller or of [looks], so that readers see who writes: "{} <...>"'
        yield Problem("mail.from", "SND-02", fix.format(owners[1] or owners[0]))


def _postal(mail: MailIdentity) -> Problems:
    postal = mail.postal_address.strip()
    if len(postal) < 10 or not any(char.isdigit() for char in postal) or len(postal) > 300:
        fix = 'each mail names where you live: "Drukkerijstraat 1, 1000 Brussel, Belgium"'
        yield Problem("mail.postal_address", "SND-02", fix)
    elif CONTROL.search(postal):
        yield Problem("mail.postal_address", "SND-02", "write it on one line, with commas")


def _looks(policy: Policy, folder: Path) -> Problems:
    yield from one_line("looks.name", policy.looks.name, "SND-02", most=60)
    if not _ACCENT.fullmatch(policy.looks.accent):
        fix = 'must be #rrggbb, like "#1a5fb4"; white or black text on it (whichever reads at 4.5:1) is chosen for you'
        yield Problem("looks.accent", "A11Y-01", fix)
    logo = policy.looks.logo
    if not logo:
        return
    path = Path(logo)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in _LOGO_TYPES:
        fix = "must be a file beside the policy (svg, png, jpg or webp); pages load nothing from elsewhere"
        yield Problem("looks.logo", "WEB-02", fix)
    elif not (folder / path).is_file():
        yield Problem("looks.logo", "WEB-02", 'there is no such file beside the policy; leave it "" for no logo')


def _choices(policy: Policy) -> Problems:
    if policy.tracking:
        fix = "must stay false; opens and clicks may be followed only as a purpose of their own with its own box"
        yield Problem("tracking", "TRK-01", fix)
    if policy.soft_opt_in and not policy.profile.soft_opt_in:
        fix = f'must be false: the profile of "{policy.country}" has no soft opt-in (unknown countries: strict profile)'
        yield Problem("soft_opt_in", "SOF-03", fix)
    if policy.goodbye_mail_ is False and policy.profile.goodbye_mail:
        fix = f"must be true: {policy.country} asks that leaving is acknowledged by e-mail; or leave the line out"
        yield Problem("goodbye_mail", "WDR-12", fix)
    if policy.child_age is not None and not LOWEST <= policy.child_age <= HIGHEST:
        fix = f"{policy.child_age} is outside {LOWEST} to {HIGHEST}: GDPR article 8 leaves no other age open"
        yield Problem("child_age", "KID-01", fix)
    yield from _repermission(policy)
    for address in policy.checkpoints.mail:
        yield from mail_address("checkpoints.mail", address, "CAP-06")
    for act in sorted(set(policy.second_approver) - APPROVED):
        fix = f'"{act}" is no act that can wait for a second person; there are: {", ".join(sorted(APPROVED))}'
        yield Problem("second_approver", "ORG-02", fix)


def _reports(policy: Policy) -> Problems:
    for department in ("marketing", "sales", "support", "it", "management"):
        for address in getattr(policy.reports, department):
            yield from mail_address(f"reports.{department}", address, "ORG-01")
    if policy.reports.language and policy.reports.language not in policy.languages:
        fix = f"is not among the languages of the policy: {', '.join(policy.languages)}"
        yield Problem("reports.language", "ORG-01", fix)


def _repermission(policy: Policy) -> Problems:
    chosen = policy.repermission
    yield from _waves(chosen.waves)
    if not chosen.allowed:
        return
    if not policy.profile.repermission:
        fix = f'must be false: the profile of "{policy.country}" forbids asking old contacts again'
        yield Problem("repermission.allowed", "AUD-03", fix)
    for key in ("approver", "reason"):
        yield from one_line(f"repermission.{key}", getattr(chosen, key), "AUD-03", most=300)
    where = "repermission.countries"
    if not chosen.countries:
        yield Problem(where, "AUD-03", f'name the countries whose readers may be asked, like ["{policy.country}"]')
    for country in chosen.countries:
        yield from country_code(where, country)
        if not profile(country).repermission:
            fix = f'take "{country}" out: its profile (or the strict one, of unknown countries) forbids asking again'
            yield Problem(where, "AUD-03", fix)
    if len(set(chosen.countries)) < len(chosen.countries):
        yield Problem(where, "AUD-03", "a country is there twice; name each once")


def _waves(waves: tuple[int, ...]) -> Problems:
    """Small first: what goes wrong must go wrong with few."""
    where = "repermission.waves"
    if not waves or not all(1 <= size <= 10_000 for size in waves):
        yield Problem(where, "AUD-03", "name how many are asked at once, each from 1 to 10000, like [100, 250, 1000]")
    elif waves[0] > 250 or any(after > 10 * size for size, after in pairwise(waves)):
        yield Problem(where, "AUD-03", "begin with at most 250, and let no wave be more than ten times the one before")


def _spans(policy: Policy) -> Problems:
    for table, part, ranges in (
        ("limits", policy.limits_, _LIMITS),
        ("retention", policy.retention, _RETENTION),
        ("repermission", policy.repermission, _REPERMISSION),
        ("checkpoints", policy.checkpoints, _CHECKPOINTS),
    ):
        for key, (least, most, row) in ranges.items():
            span: Span = getattr(part, key)
            if not least.time <= span.time <= most.time:
                yield Problem(f"{table}.{key}", row, f'"{span}" is outside {least} to {most}')
    longest = policy.profile.soft_max_months
    if policy.soft_opt_in and longest and policy.limits_.soft_max_age.time > Span(longest, "months").time:
        fix = f'at most "{longest} months" after the last sale in {policy.country}'
        yield Problem("limits.soft_max_age", "SOF-03", fix)


def _counts(policy: Policy) -> Problems:
    sign_up, warn, stop = policy.sign_up, policy.limits_.complaint_warn, policy.limits_.complaint_stop
    for where, value, least, most, row in (
        ("limits.soft_bounces", policy.limits_.soft_bounces, 3, 20, "R7"),
        ("limits.complaint_warn", warn, 0.01, stop, "SND-04"),
        ("limits.complaint_stop", stop, 0.05, 5.0, "SND-04"),
        ("limits.complaint_least", policy.limits_.complaint_least, 1, 1000, "SND-04"),
        ("repermission.bounces_stop", policy.repermission.bounces_stop, 0.1, 5.0, "AUD-03"),
        ("sign_up.per_address_day", sign_up.per_address_day, 1, 3, "CAP-10"),
        ("sign_up.per_address_month", sign_up.per_address_month, sign_up.per_address_day, 10, "CAP-10"),
        ("sign_up.per_network_hour", sign_up.per_network_hour, 1, 10_000, "CAP-10"),
        ("sign_up.global_hour", sign_up.global_hour, 1, 1_000_000, "CAP-10"),
    ):
        if not least <= value <= most:
            yield Problem(where, row, f"{value} is outside {least} to {most}")
