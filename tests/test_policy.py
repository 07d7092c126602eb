"""The operator's policy: what `standards.md` sections 1, 7, 8 and 11 forbid is refused with the row and the fix."""

import copy
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis.strategies import from_regex

from bridge.policy import (
    COUNTRIES,
    STRICT,
    Policy,
    PolicyError,
    Span,
    checks,
    is_third_country,
    load,
    parse_span,
    profile,
)
from bridge.policy.ages import age_of
from bridge.policy.personal import forbidden_label, forbidden_name
from bridge.policy.reading import Reading
from bridge.policy.rules import refusals
from bridge.texts import ink

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
STARTER = (TEMPLATES / "starter" / "policy.toml").read_text(encoding="utf-8")
DEMO = (TEMPLATES / "demo" / "policy.toml").read_text(encoding="utf-8")
TODAY = date(2026, 11, 23)

Write = Callable[[str], Path]

PROCESSOR = """
[[processors]]
adapter = "memory"
name = "Memory Mail"
service = "sends the newsletter"
country = "BE"
contract = 2026-01-05
review_by = 2027-01-05
"""

FIELD = """
[[fields]]
id = "first_name"
label.nl = "Voornaam"
label.en = "First name"
purposes = ["newsletter"]
need = "to greet readers by name"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Puts a policy on disk, beside the demo's samples, and gives its path."""
    shutil.copytree(TEMPLATES / "demo" / "samples", tmp_path / "samples")

    def put(text: str) -> Path:
        path = tmp_path / "policy.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def starter(*edits: tuple[str, str], top: str = "", end: str = "") -> str:
    """The starter with some passages replaced (the first place where each stands)."""
    text = STARTER
    for old, new in edits:
        assert old in text, f"the starter no longer holds {old!r}"
        text = text.replace(old, new, 1)
    return f"{top}\n{text}\n{end}"


def problems(path: Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def purpose(lines: str) -> str:
    """The starter with lines added to its first purpose."""
    return starter(('id = "newsletter"\n', f'id = "newsletter"\n{lines}\n'))


def channel(lines: str, top: str = "") -> str:
    """The starter with lines added to its first channel."""
    return starter(('id = "website"\n', f'id = "website"\n{lines}\n'), top=top)


QUARANTINE = 'third_party_lists = "quarantine"'
SOURCE = 'source = { name = "Partner nv", contact = "privacy@partner.example" }'


def sells(kind: str) -> str:
    """A channel of that kind which claims to sell."""
    sale = 'sale = { collected = "asked for at the till of the web shop", categories = ["books"] }'
    return channel(f'kind = "{kind}"\n{sale}', top="soft_opt_in = true")


def field(*edits: tuple[str, str]) -> str:
    text = FIELD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return starter(end=text)


def processor(*edits: tuple[str, str]) -> str:
    text = PROCESSOR
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return starter(end=text)


ASKING = """
[repermission]
allowed = true
approver = "Carla"
reason = "list of 2016"
countries = ["BE"]
"""


REFUSED = {
    # one purpose, one use, one box
    "several uses in one purpose": (purpose('uses = ["news", "partners"]'), "purposes.newsletter.uses", "CAP-02"),
    "inside the terms": (purpose("part_of_terms = true"), "purposes.newsletter.part_of_terms", "CAP-02"),
    "one box for two purposes": (channel('boxes = [["newsletter", "offers"]]'), "channels.website.boxes", "CAP-02"),
    "box of a stranger": (channel('boxes = [["partners"]]'), "channels.website.boxes", "CAP-02"),
    "box ticked beforehand": (channel("pre_ticked = true"), "channels.website.pre_ticked", "CAP-01"),
    "enrolled by itself": (channel("auto_enrol = true"), "channels.website.auto_enrol", "CHN-03"),
    "two purposes in one place": (
        DEMO.replace("44cc55dd66", "11aa22bb33"),
        "purposes.offers.at.mailchimp",
        "CAP-02",
    ),
    # channels
    "no owner": (starter(('owner = "Marketing"', 'owner = ""')), "channels.website.owner", "CHN-01"),
    "no review date": (starter(("next_review = 2027-06-30", "")), "channels.website.next_review", "form"),
    "channel of unknown purpose": (
        starter(('["newsletter", "offers"]', '["newsletter", "offer"]')),
        "channels.website.purposes",
        "CHN-01",
    ),
    "channel without purpose": (starter(('["newsletter", "offers"]', "[]")), "channels.website.purposes", "CHN-01"),
    "channel names a purpose twice": (
        starter(('["newsletter", "offers"]', '["newsletter", "newsletter"]')),
        "channels.website.purposes",
        "CHN-01",
    ),
    "bought lists": (channel(f'kind = "third_party"\n{SOURCE}'), "channels.website.kind", "CHN-04"),
    "bought from nobody": (channel('kind = "third_party"', top=QUARANTINE), "channels.website.source", "CHN-04"),
    "bought from no address": (
        channel('kind = "third_party"\nsource = { name = "Partner nv", contact = "the sales desk" }', top=QUARANTINE),
        "channels.website.source.contact",
        "CHN-04",
    ),
    "own form of a stranger": (channel(SOURCE), "channels.website.source", "CHN-04"),
    "brochure without the brochure": (channel('kind = "brochure"'), "channels.website.asset", "CAP-03"),
    "brochure by http": (channel('kind = "brochure"\nasset = "http://krant.example/guide"'), "channels.website.asset", "CAP-03"),
    "brochure that is not there": (channel('kind = "brochure"\nasset = "guide.pdf"'), "channels.website.asset", "CAP-03"),
    "brochure from elsewhere": (channel('kind = "brochure"\nasset = "../guide.pdf"'), "channels.website.asset", "CAP-03"),
    "brochure of a program": (channel('kind = "brochure"\nasset = "policy.toml"'), "channels.website.asset", "CAP-03"),
    "brochure for a yes": (channel('asset = "https://krant.example/guide"'), "channels.website.asset", "CAP-03"),
    "brochure enrols by itself": (
        channel('kind = "brochure"\nasset = "https://krant.example/guide"\nauto_enrol = true'),
        "channels.website.auto_enrol",
        "CHN-03",
    ),
    "contact form that sells": (sells("contact_form"), "channels.website.sale", "SOF-02"),
    "brochure that sells": (sells("brochure"), "channels.website.sale", "SOF-02"),
    "bought list that sells": (sells("third_party"), "channels.website.sale", "SOF-02"),
    "reviewed after the next review": (
        channel("last_review = 2027-06-30"),
        "channels.website.next_review",
        "CHN-01",
    ),
    # special categories, children
    "special category without papers": (
        purpose("special_category = true"),
        "purposes.newsletter.dpia",
        "MIN-02",
    ),
    "special category without words": (
        purpose('special_category = true\ndpia = "DPIA-7"\nexplicit_wording.nl = "Ja."'),
        "purposes.newsletter.explicit_wording.en",
        "MIN-02",
    ),
    "children without the guardian's double opt-in": (
        starter(('opt_in = "double" ', 'offered_to_children = true\nopt_in = "single"\nsingle_opt_in_reason = "' + "w" * 30 + '"')),
        "purposes.newsletter.opt_in",
        "KID-01",
    ),
    "an age below what GDPR 8 allows": (starter(('country = "BE"', 'country = "BE"\nchild_age = 12')), "child_age", "KID-01"),
    "an age above what GDPR 8 allows": (starter(('country = "BE"', 'country = "BE"\nchild_age = 17')), "child_age", "KID-01"),
    "a guardian's consent without end": (
        starter(('guardian_lasts = "12 months"', 'guardian_lasts = "13 months"')),
        "limits.guardian_lasts",
        "R15"),
    # sender
    "From without a name": (
        starter(("De Dagwijzer <nieuws@post.dedagwijzer.example>", "nieuws@post.dedagwijzer.example")),
        "mail.from",
        "SND-02",
    ),
    "disguised From": (starter(('from = "De Dagwijzer <', 'from = "Uw bank <')), "mail.from", "SND-02"),
    "header injection in From": (
        starter(('from = "De Dagwijzer <', 'from = "De Dagwijzer\\r\\nBcc: x <')),
        "mail.from",
        "SND-02",
    ),
    "From is no address": (starter(("nieuws@post.dedagwijzer.example", "nieuws@")), "mail.from", "SND-02"),
    "no-reply": (starter(('"lezers@', '"no-reply@')), "mail.reply_to", "SND-02"),
    "niet antwoorden": (starter(('"lezers@', '"niet-antwoorden@')), "mail.reply_to", "SND-02"),
    "reply to nobody": (starter(('"lezers@dedagwijzer.example"', '"lezers"')), "mail.reply_to", "SND-02"),
    "no postal address": (
        starter(('postal_address = "De Dagwijzer NV, Drukkerijstraat 1, 1000 Brussel, België"', 'postal_address = "België"')),
        "mail.postal_address",
        "SND-02",
    ),
    "postal address on two lines": (
        starter(('postal_address = "De Dagwijzer NV, ', 'postal_address = "De Dagwijzer NV\\n')),
        "mail.postal_address",
        "SND-02",
    ),
    # controller and contact
    "nobody to write to": (
        starter(('[dpo]\nname = "Functionaris voor gegevensbescherming"\nemail = "privacy@dedagwijzer.example"', "")),
        "dpo",
        "TRN-02",
    ),
    "contact without address": (starter(('"privacy@dedagwijzer.example"', '"privacy"')), "dpo.email", "TRN-02"),
    "controller without name": (starter(('name = "De Dagwijzer NV"', 'name = " "')), "controller.name", "TRN-01"),
    "website without https": (starter(('"https://', '"http://')), "controller.website", "TRN-01"),
    # limits
    "pending too short": (starter(('"72h"', '"23h"')), "limits.pending_ttl", "R9"),
    "pending too long": (starter(('"72h"', '"8 days"')), "limits.pending_ttl", "R9"),
    "consent for ever": (starter(('consent_max_age = "36 months"', 'consent_max_age = "61 months"')), "limits.consent_max_age", "R10"),
    "consent for nothing": (starter(('consent_max_age = "36 months"', 'consent_max_age = "0 months"')), "limits.consent_max_age", "R10"),
    "refresh too late": (starter(('refresh_lead = "30 days"', 'refresh_lead = "1 day"')), "limits.refresh_lead", "R10"),
    "one bounce kills": (starter(("soft_bounces = 5", "soft_bounces = 1")), "limits.soft_bounces", "R7"),
    "bounces of a year": (starter(('"15 days"', '"12 months"')), "limits.soft_bounce_window", "R7"),
    "asks again at once": (starter(('"6 months"', '"1 month"')), "limits.ask_again_after", "R16"),
    "a clock too long": (starter(('"72 hours"', '"97 hours"')), "limits.breach_clock", "BRC-01"),
    "asks the erased again": (starter(("[limits]", '[limits]\nerased_ask_again_after = "7 days"')), "limits.erased_ask_again_after", "R12"),
    "ten mails a day": (starter(("per_address_day = 1", "per_address_day = 10")), "sign_up.per_address_day", "CAP-10"),
    "month below day": (starter(("per_address_month = 3", "per_address_month = 0")), "sign_up.per_address_month", "CAP-10"),
    "network limit off": (starter(("per_network_hour = 20", "per_network_hour = 0")), "sign_up.per_network_hour", "CAP-10"),
    "global limit off": (starter(("global_hour = 1000", "global_hour = 0")), "sign_up.global_hour", "CAP-10"),
    **{
        f"own site {site!r}": (starter(("[sign_up]", f"[sign_up]\nown_sites = [{json.dumps(site)}]")), "sign_up.own_sites", "CON-05")
        for site in (
            *("", "*", "null", "https://", "shop.example", "www.shop.example:443", "https://*.shop.example", "https://shop"),
            *("https://shop.example/", "https://shop.example/form", "https://shop.example?a", "https://shop.example#a"),
            *("https://shop.example.", "https://shop.example:", "https://shop.example:443", "https://shop.example:0x1"),
            *("https://shop.example:99999", "https://Shop.example", "HTTPS://shop.example", " https://shop.example"),
            *("https://shop.example\n", "http://shop.example", "http://localhost.shop.example", "http://localhost:80"),
            *("https://a@shop.example", "https://b\u00fccher.example", "https://-a.example", "https://a,https://b.example"),
            *("ftp://shop.example", "file:///", "https://sho\tp.example", "https://[::2]", "https://shop.example\\a"),
        )
    },
    "own site twice": (
        starter(("[sign_up]", '[sign_up]\nown_sites = ["https://a.example", "https://a.example"]')),
        "sign_up.own_sites",
        "CON-05",
    ),
    # retention
    "profile kept": (starter(('profile = "30 days"', 'profile = "31 days"')), "retention.profile", "MIN-06"),
    "evidence kept": (starter(('evidence = "36 months"', 'evidence = "72 months"')), "retention.evidence", "MIN-06"),
    "stop list dropped": (starter(('stop_list = "36 months"', 'stop_list = "12 months"')), "retention.stop_list", "SUP-01"),
    "webhook bodies kept": (starter(("[retention]", '[retention]\nwebhook_bodies = "8 days"')), "retention.webhook_bodies", "MIN-05"),
    "backups kept": (starter(('backups = "35 days"', 'backups = "90 days"')), "retention.backups", "SUP-06"),
    # choices of section 11
    "tracking": (starter(top="tracking = true"), "tracking", "TRK-01"),
    "soft opt-in in an unknown country": (starter(('"BE"', '"BR"'), top="soft_opt_in = true"), "soft_opt_in", "SOF-03"),
    "soft basis while off": (starter(('basis = "consent"', 'basis = "soft_opt_in"')), "purposes.newsletter.basis", "SOF-03"),
    "soft opt-in older than the law": (starter(('"BE"', '"IE"'), top="soft_opt_in = true"), "limits.soft_max_age", "SOF-03"),
    "no goodbye in Belgium": (starter(top="goodbye_mail = false"), "goodbye_mail", "WDR-12"),
    "re-permission in Germany": (
        starter(('"BE"', '"DE"'), end='[repermission]\nallowed = true\napprover = "Carla"\nreason = "old list"\ncountries = ["BE"]'),
        "repermission.allowed",
        "AUD-03",
    ),
    "re-permission by nobody": (starter(end='[repermission]\nallowed = true\nreason = "old list"\ncountries = ["BE"]'), "repermission.approver", "AUD-03"),
    "re-permission without a reason": (starter(end=ASKING.replace("list of 2016", " ")), "repermission.reason", "AUD-03"),
    "re-permission nowhere": (starter(end=ASKING.replace('["BE"]', "[]")), "repermission.countries", "AUD-03"),
    "re-permission of Germans": (starter(end=ASKING.replace('["BE"]', '["BE", "DE"]')), "repermission.countries", "AUD-03"),
    "re-permission in a country twice": (starter(end=ASKING.replace('["BE"]', '["BE", "BE"]')), "repermission.countries", "AUD-03"),
    "an answer in six days": (starter(end=ASKING + 'answer_within = "6 days"'), "repermission.answer_within", "AUD-05"),
    "an answer in two months": (starter(end=ASKING + 'answer_within = "61 days"'), "repermission.answer_within", "AUD-05"),
    "no watch": (starter(end=ASKING + 'watch = "23h"'), "repermission.watch", "AUD-03"),
    "many bounces": (starter(end=ASKING + "bounces_stop = 5.1"), "repermission.bounces_stop", "AUD-03"),
    "all at once": (starter(end=ASKING + "waves = [251]"), "repermission.waves", "AUD-03"),
    "no wave": (starter(end=ASKING + "waves = []"), "repermission.waves", "AUD-03"),
    "a wave of nobody": (starter(end=ASKING + "waves = [100, 0]"), "repermission.waves", "AUD-03"),
    "waves that leap": (starter(end=ASKING + "waves = [100, 1001]"), "repermission.waves", "AUD-03"),
    "a wave of a crowd": (starter(end=ASKING + "waves = [250, 2500, 10001]"), "repermission.waves", "AUD-03"),
    "single opt-in without reason": (starter(('opt_in = "double"', 'opt_in = "single"')), "purposes.newsletter.single_opt_in_reason", "CON-02"),
    "single opt-in in the strict profile": (
        starter(('"BE"', '"BR"'), ('opt_in = "double"', 'opt_in = "single"\nsingle_opt_in_reason = "the till has no keyboard for readers"')),
        "purposes.newsletter.opt_in",
        "CON-02",
    ),
    "unknown scope": (starter(top='oneclick_scope = "none"'), "oneclick_scope", "form"),
    "no basis": (starter(('basis = "consent"', "")), "purposes.newsletter.basis", "form"),
    "unlawful basis": (starter(('basis = "consent"', 'basis = "legitimate_interest"')), "purposes.newsletter.basis", "form"),
    # ids, versions, languages, texts
    "the same purpose twice": (starter(('id = "offers"', 'id = "newsletter"')), "purposes.newsletter.id", "form"),
    "capitals in an id": (starter(('id = "offers"', 'id = "Offers"')), "purposes.Offers.id", "decision 35"),
    "endless id": (starter(('id = "offers"', f'id = "{"o" * 33}"')), f"purposes.{'o' * 33}.id", "decision 35"),
    "no version": (starter(("notice = 1 ", "notice = 0 ")), "purposes.newsletter.notice", "CAP-07"),
    "covered by a version to come": (purpose("notice_since = 2"), "purposes.newsletter.notice_since", "CAP-07"),
    "label of a version to come": (
        purpose('earlier_labels.2 = { nl = "Ja" }'),
        "purposes.newsletter.earlier_labels.2",
        "CAP-07",
    ),
    "text missing in a language": (starter(('label.en = "Yes, send me the newsletter of De Dagwijzer."', "")), "purposes.newsletter.label.en", "CAP-08"),
    "text empty": (starter(('name.nl = "Nieuwsbrief"', 'name.nl = ""')), "purposes.newsletter.name.nl", "CAP-08"),
    "text too long": (starter(('name.nl = "Nieuwsbrief"', f'name.nl = "{"N" * 61}"')), "purposes.newsletter.name.nl", "CAP-04"),
    "line break in a name": (starter(('name.nl = "Nieuwsbrief"', 'name.nl = "Nieuws\\nbrief"')), "purposes.newsletter.name.nl", "CAP-04"),
    "text in another language": (starter(('name.nl = "Nieuwsbrief"', 'name.nl = "Nieuwsbrief"\nname.fr = "Lettre"')), "purposes.newsletter.name.fr", "CAP-08"),
    "place missing": (starter(('place.en = "the form on our website"', "")), "channels.website.place.en", "CAP-08"),
    "frequency missing": (starter(('frequency.nl = "hoogstens twee keer per maand"', "")), "purposes.offers.frequency.nl", "CAP-08"),
    "description missing": (starter(('description.en = "The main news of our editors in your mailbox."', "")), "purposes.newsletter.description.en", "CAP-08"),
    "no language": (starter(('["nl", "en"]', "[]")), "languages", "CAP-08"),
    "a language twice": (starter(('["nl", "en"]', '["nl", "en", "nl"]')), "languages", "CAP-08"),
    "no such language": (starter(('["nl", "en"]', '["nl", "en", "Dutch"]')), "languages", "CAP-08"),
    "recipient without a name": (purpose('recipients = [""]'), "purposes.newsletter.recipients", "CAP-04"),
    "timezone": (starter(('"Europe/Brussels"', '"Europe/Bruxelles"')), "timezone", "decision 34"),
    "timezone as a path": (starter(('"Europe/Brussels"', '"../../etc/passwd"')), "timezone", "decision 34"),
    "country": (starter(('"BE"', '"Belgium"')), "country", "section 11"),
    "country UK": (starter(('"BE"', '"UK"')), "country", "section 11"),
    # looks
    "accent by name": (starter(('"#9b1c31"', '"red"')), "looks.accent", "A11Y-01"),
    "logo from elsewhere": (starter(('logo = ""', 'logo = "https://cdn.example/logo.svg"')), "looks.logo", "WEB-02"),
    "logo above the folder": (starter(('logo = ""', 'logo = "../logo.svg"')), "looks.logo", "WEB-02"),
    "logo missing": (starter(('logo = ""', 'logo = "logo.svg"')), "looks.logo", "WEB-02"),
    # fields
    "field without need": (field(('need = "to greet readers by name"', "")), "fields.first_name.need", "form"),
    "field with an empty need": (field(('"to greet readers by name"', '"yes"')), "fields.first_name.need", "MIN-01"),
    "field without purpose": (field(('["newsletter"]', "[]")), "fields.first_name.purposes", "MIN-01"),
    "field of unknown purpose": (field(('["newsletter"]', '["news"]')), "fields.first_name.purposes", "MIN-01"),
    "birth date": (field(('"first_name"', '"birth_date"')), "fields.birth_date", "MIN-01"),
    "geslacht": (field(('"first_name"', '"geslacht"')), "fields.geslacht", "MIN-01"),
    "phone by its label": (field(('"First name"', '"Your phone number"')), "fields.first_name", "MIN-01"),
    "birthday as merge field": (field(('need =', 'at.memory = "BIRTHDAY"\nneed ='),) + PROCESSOR, "fields.first_name", "MIN-01"),
    "free text": (field(('"first_name"', '"hobby"')), "fields.hobby", "MIN-01"),
    "a choice twice": (field(('"first_name"', '"topic"'), ("need =", 'choices = ["sport", "sport"]\nneed =')), "fields.topic.choices", "MIN-01"),
    "an empty choice": (field(('"first_name"', '"topic"'), ("need =", 'choices = ["sport", ""]\nneed =')), "fields.topic.choices", "MIN-01"),
    "the form's own name": (field(('"first_name"', '"email"')), "fields.email", "MIN-01"),
    "endless field": (field(("need =", "max_length = 1000\nneed =")), "fields.first_name.max_length", "MIN-01"),
    "field label missing": (field(('label.nl = "Voornaam"', "")), "fields.first_name.label.nl", "CAP-08"),
    "the link's own field": (field(("need =", 'at.memory = "PREFS"\nneed =')) + PROCESSOR, "fields.first_name.at.memory", "MIN-04"),
    "field at a stranger": (field(("need =", 'at.memory = "FNAME"\nneed =')), "fields.first_name.at.memory", "REG-02"),
    "two fields in one": (
        field(("need =", 'at.memory = "FNAME"\nneed =')) + FIELD.replace("first_name", "salutation").replace("need =", 'at.memory = "fname"\nneed =') + PROCESSOR,
        "fields",
        "MIN-04",
    ),
    # processors
    "place without a contract": (purpose('at.memory = { list = "1" }'), "purposes.newsletter.at.memory", "REG-02"),
    "place left empty": (purpose('at.memory = { list = "" }') + PROCESSOR, "purposes.newsletter.at.memory.list", "section 11"),
    "neither adapter nor id": (processor(('adapter = "memory"', "")), "processors.3.adapter", "REG-02"),
    "adapter and id": (processor(('adapter = "memory"', 'adapter = "memory"\nid = "crm"')), "processors.memory.id", "REG-02"),
    "a clause of no law": (processor(("country", 'clauses = ["a", "i"]\ncountry')), "processors.memory.clauses", "REG-02"),
    "for no purpose of ours": (processor(("country", 'purposes = ["pay"]\ncountry')), "processors.memory.purposes", "REG-02"),
    "looked at after the next look": (processor(("country", "last_review = 2027-02-01\ncountry")), "processors.memory.review_by", "REG-02"),
    "safeguard in one language": (processor(("country", 'safeguard.en = "clauses"\ncountry')), "processors.memory.safeguard.nl", "CAP-08"),
    "sub-processor of nowhere": (
        processor() + '[[processors.sub_processors]]\nname = "Host"\nservice = "hosting"\ncountry = "Ireland"',
        "processors.memory.sub_processors.Host.country",
        "section 11",
    ),
    "nobody weighed it": (starter(end='[assessments.suppression]\nreference = "LIA 1"\nmade = 2026-01-05\nby = ""'), "assessments.suppression.by", "REG-05"),
    "an authority without https": (starter(('website = "https://www.gegevens', 'website = "http://www.gegevens')), "statement.authority.website", "TRN-01"),
    "served with nothing": (
        starter(end='[[controllers_served]]\nname = "Club"\naddress = "Street 1"\nemail = "info@club.example"\nprocessing = []'),
        "controllers_served.Club.processing",
        "REG-01",
    ),
    "review before contract": (processor(("2027-01-05", "2026-01-05")), "processors.memory.review_by", "REG-02"),
    "service unsaid": (processor(('"sends the newsletter"', '""')), "processors.memory.service", "REG-02"),
    "third country without tool": (processor(('"BE"', '"US"')), "processors.memory.transfer_tool", "REG-03"),
    "third country not assessed": (processor(('"BE"', '"US"\ntransfer_tool = "SCC"')), "processors.memory.transfer_assessed", "REG-03"),
    "country of nowhere": (processor(('"BE"', '"Ireland"')), "processors.memory.country", "section 11"),
    "processor twice": (starter(end=PROCESSOR + PROCESSOR), "processors.memory.adapter", "form"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "where", "row"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_rule_forbids_is_refused_with_place_row_and_fix(write: Write, text: str, where: str, row: str) -> None:
    found = problems(write(text))

    assert any(line.startswith(f"{where}: {row}: ") for line in found), found
    assert all(len(line.partition(": ")[2]) > 10 for line in found)


TYPES = {
    "text for a number": (starter(("soft_bounces = 5", 'soft_bounces = "5"')), "limits.soft_bounces: form: must be a whole number"),
    "number for text": (starter(('country = "BE"', "country = 32")), "country: form: must be text in quotes"),
    "truth for a number": (starter(("soft_bounces = 5", "soft_bounces = true")), "limits.soft_bounces: form: must be a whole number"),
    "text for a date": (starter(("2027-06-30", '"2027-06-30"')), "channels.website.next_review: form: must be a date"),
    "time for a date": (starter(("2027-06-30", "2027-06-30T10:00:00Z")), "channels.website.next_review: form: must be a date"),
    "text for truth": (starter(top='tracking = "no"'), "tracking: form: must be true or false"),
    "text for a list": (starter(('["nl", "en"]', '"nl"')), "languages: form: must be a list"),
    "number for a length of time": (starter(('"72h"', "72")), "limits.pending_ttl: form: must be a length of time"),
    "no length of time": (starter(('"72h"', '"three days"')), "limits.pending_ttl: form: must be a length of time"),
    "text for texts": (starter(('name.nl = "Nieuwsbrief"\nname.en = "Newsletter"', 'name = "Newsletter"')), "purposes.newsletter.name: form: must be a table"),
    "one block for many": (starter(("[[channels]]", "[channels]")), "channels: form: must be written as [[channels]]"),
    "text for a block": (starter(('[dpo]\nname = "Functionaris voor gegevensbescherming"\nemail = "privacy@dedagwijzer.example"', ""), top='dpo = "Dora"'), "dpo: form: must be a table"),
    "choice": (starter(('opt_in = "double"', 'opt_in = "triple"')), 'purposes.newsletter.opt_in: form: must be "double" or "single"'),
    "unknown key, near": (starter(('reply_to = "', 'replyto = "')), "mail.replyto: form: unknown key; did you mean reply_to?"),
    "unknown key, far": (starter(top="zzz = 1"), "zzz: form: unknown key; known here: "),
    "unknown table": (starter(end="[procesors]\nx = 1"), "procesors: form: unknown key; did you mean processors?"),
    "missing table": (starter(("[mail]", "[looks_like_mail]")), "mail: form: is missing; must be a table"),
    "missing text": (starter(('website = "https://www.dedagwijzer.example"', "")), "controller.website: form: is missing; must be text"),
    "missing id": (starter(('id = "website"', "")), "channels.1.id: form: is missing; must be text"),
    "no purposes": ("\n".join(f"{key} = 1" for key in ("country", "timezone")), "purposes: form: is missing; at least one block"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), TYPES.values(), ids=TYPES.keys())
def test_what_does_not_fit_is_named_by_its_place(write: Write, text: str, line: str) -> None:
    found = problems(write(text))

    assert any(problem.startswith(line) for problem in found), found


def test_a_value_that_cannot_be_read_is_named_once(write: Write) -> None:
    found = problems(write(starter(('country = "BE"', "country = 32"), ('"72h"', "72"))))

    assert [line.partition(":")[0] for line in found] == ["country", "limits.pending_ttl"]


def test_everything_is_reported_at_once(write: Write) -> None:
    text = starter(
        ('"72h"', '"1h"'),
        ('"lezers@', '"noreply@'),
        ("soft_bounces = 5", 'soft_bounces = "5"'),
        top="tracking = true\nx = 1",
    )

    found = problems(write(text))

    assert {line.partition(":")[0] for line in found} == {
        "limits.pending_ttl",
        "mail.reply_to",
        "limits.soft_bounces",
        "tracking",
        "x",
    }


def test_no_line_repeats_an_address(write: Write) -> None:
    found = problems(
        write(
            starter(
                ("lezers@dedagwijzer.example", "no-reply@dedagwijzer"), ("privacy@dedagwijzer.example", "privacy@x")
            )
        )
    )

    assert len(found) >= 2
    assert not any("@dedagwijzer" in line or "privacy@" in line for line in found)


@pytest.mark.parametrize("name", ["starter", "demo"])
def test_the_templates_load_and_send_from_example_addresses(name: str) -> None:
    policy = load(TEMPLATES / name / "policy.toml")

    addresses = [policy.mail.sender_address, policy.mail.reply_to, policy.controller.email, policy.contact.email]
    assert all(address.endswith(".example") for address in addresses)
    assert list(policy.purposes) == ["newsletter", "offers"]
    assert policy.limits(TODAY, ["mailchimp", "sendgrid"]).closed == {}


def test_the_starter_with_its_comments_lifted_loads_too(write: Write) -> None:
    """What is commented out must be right as well: a user only takes the # away."""
    lines = []
    for line in STARTER.splitlines():
        bare = line.removeprefix("# ")
        is_toml = line.startswith("# ") and (bare.startswith("[") or bare.partition(" ")[2].startswith("= "))
        lines.append(bare if is_toml else line)
    path = write("\n".join(lines))
    assert {"processors", "fields"} <= tomllib.loads(path.read_text()).keys()

    policy = load(path)

    assert policy.places("mailchimp")["offers"]["interest"] == "44cc55dd66"
    assert policy.field_names("sendgrid") == {"first_name": "first_name", "pace": "pace"}
    assert policy.rhythms["newsletter"].values == ("usual", "weekly")


def test_own_sites_are_origins_and_a_wrong_one_is_put_right(write: Write) -> None:
    """CON-05: what is compared to the letter is written as a browser writes it; the error says how."""
    good = (
        "https://www.shop.example",
        "https://shop.example:8443",
        "https://xn--bcher-kva.example",
        "http://localhost:8000",
    )
    good += ("http://127.0.0.1", "http://[::1]:80801"[:-1], "https://localhost", "https://10.0.0.1")
    told = STARTER.replace("[sign_up]", f"[sign_up]\nown_sites = {json.dumps(good)}")
    assert load(write(told)).sign_up.own_sites == good
    for wrong, meant in (
        ("HTTPS://WWW.Shop.example:443/form?a#b", "https://www.shop.example"),
        ("http://localhost:80", "http://localhost"),
        ("https://*.shop.example", "https://www.shop.example"),
        ("http://shop.example", "https://www.shop.example"),
    ):
        with pytest.raises(PolicyError, match=f'write (it like )?"{meant}"'):
            load(write(STARTER.replace("[sign_up]", f"[sign_up]\nown_sites = [{json.dumps(wrong)}]")))


def test_the_starters_limits_are_the_defaults(write: Write) -> None:
    bare = STARTER[: STARTER.index("[limits]")]

    chosen, default = load(write(STARTER)), load(write(bare))

    assert (chosen.limits_, chosen.sign_up, chosen.retention) == (default.limits_, default.sign_up, default.retention)
    assert chosen.limits(TODAY, []).pending_ttl == timedelta(hours=72)
    assert chosen.limits(TODAY, []).consent_max_age == timedelta(days=1096)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "consent-bridge init"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b'country = "\xff"'), "UTF-8"),
        (lambda path: path.write_text("country = BE\n"), "line 1"),
    ],
    ids=["missing", "folder", "encoding", "syntax"],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    path = tmp_path / "policy.toml"
    make(path)

    [line] = problems(path)

    assert line.startswith(str(path))
    assert says in line


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("72h", Span(72, "hours")), ("1 hour", Span(1, "hours")), ("15 days", Span(15, "days")), ("1 day", Span(1, "days")),
        ("36 months", Span(36, "months")), ("0 days", Span(0, "days")),
        ("", None), ("72", None), ("h", None), ("-1 days", None), ("1.5 days", None), ("07 days", None), (" 7 days", None),
        ("7  days", None), ("7 years", None), ("7 DAYS", None), ("999999 days", None), ("٧ days", None), ("7 days\n", None),
    ],
)  # fmt: skip
def test_lengths_of_time_are_read_strictly(text: str, span: Span | None) -> None:
    assert parse_span(text) == span


def test_lengths_of_time_say_themselves() -> None:
    assert [str(parse_span(text)) for text in ("72h", "1 day", "36 months")] == ["72 hours", "1 day", "36 months"]
    assert Span(36, "months").time == timedelta(days=1096)
    assert Span(60, "months").time > Span(59, "months").time


@pytest.mark.parametrize(
    "name",
    [
        "birthdate", "dateOfBirth", "BIRTHDAY", "dob", "age", "leeftijd", "gender", "sex", "geslacht", "phone",
        "PHONE", "mobile", "gsm", "telefoonnummer", "home_phone", "address", "ADDRESS", "postal_address",
        "postcode", "zip", "straat", "huisnummer", "city", "ip", "location", "user_agent", "notes",
        "opmerkingen", "rijksregisternummer", "national_number", "password", "wachtwoord", "religion",
        "ethnicity", "health", "politics", "inferred_interests",
    ],
)  # fmt: skip
def test_forbidden_data_is_known_by_its_names(name: str) -> None:
    """MIN-01, section 7: in English and Dutch, as id and as merge field."""
    assert forbidden_name(["first_name", name]) == name


@pytest.mark.parametrize(
    "label",
    [
        "Date of birth",
        "Geboortedatum",
        "Your phone",
        "Gsm-nummer",
        "Geslacht",
        "Postal address",
        "Address:",
        "Postcode",
        "Leeftijd",
    ],
)
def test_forbidden_data_is_known_by_its_label(label: str) -> None:
    assert forbidden_label([label]) == label


@pytest.mark.parametrize(
    "text",
    [
        "Voornaam",
        "First name",
        "How shall we address you?",
        "Politiek en stad",
        "Comment on sport",
        "E-mailadres",
        "News of your city",
    ],
)
def test_harmless_labels_pass(text: str) -> None:
    assert forbidden_label([text]) is None


def test_a_closed_list_of_interests_is_allowed(write: Write) -> None:
    text = field(('"first_name"', '"topics"'), ("need =", 'choices = ["sport", "culture"]\nneed ='))

    assert load(write(text)).fields["topics"].choices == ("sport", "culture")


def test_a_special_category_with_words_and_assessment_is_allowed(write: Write) -> None:
    words = (
        'special_category = true\ndpia = "DPIA-7"\nexplicit_wording = { nl = "Ja, ook dit.", en = "Yes, also this." }'
    )

    assert load(write(purpose(words))).purposes["newsletter"].special_category


def test_single_opt_in_with_a_reason_is_allowed_where_the_country_does(write: Write) -> None:
    reason = 'opt_in = "single"\nsingle_opt_in_reason = "the till has no keyboard for readers"'

    assert load(write(starter(('opt_in = "double"', reason)))).purposes["newsletter"].opt_in == "single"


def test_soft_opt_in_is_allowed_where_the_country_does(write: Write) -> None:
    policy = load(write(starter(('basis = "consent"', 'basis = "soft_opt_in"'), top="soft_opt_in = true")))

    assert policy.limits(TODAY, []).soft_opt_in


def test_re_permission_is_allowed_with_a_name_and_a_reason(write: Write) -> None:
    policy = load(write(starter(end=ASKING + "waves = [250, 2500, 10000]")))

    assert policy.repermission.approver == "Carla"
    asking = policy.limits(TODAY, []).asking
    assert asking is not None
    assert (asking.home, asking.countries, asking.waves) == ("BE", {"BE"}, (250, 2500, 10000))
    assert load(write(starter())).limits(TODAY, []).asking is None
    assert load(write(starter(end=ASKING.replace("true", "false")))).limits(TODAY, []).asking is None


@given(from_regex(checks.PLAIN, fullmatch=True))
def test_a_plain_address_is_one_by_the_library_too(address: str) -> None:
    """CAP-08: what is taken without the library, to start sooner, is what the library takes."""
    assert validate_email(address, check_deliverability=False)


def test_a_privacy_contact_stands_in_for_an_officer(write: Write) -> None:
    policy = load(write(starter(("[dpo]", "[privacy_contact]"))))

    assert policy.dpo is None
    assert policy.contact.email == "privacy@dedagwijzer.example"


def test_a_logo_beside_the_policy_is_found(write: Write, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    assert load(write(starter(('logo = ""', 'logo = "logo.svg"')))).looks.logo == "logo.svg"


@pytest.mark.parametrize(
    ("accent", "readable"),
    [
        ("#9b1c31", "#ffffff"),
        ("#1a5fb4", "#ffffff"),
        ("#ffd400", "#000000"),
        ("#FFFFFF", "#000000"),
        ("#000000", "#ffffff"),
    ],
)
def test_text_on_the_accent_is_readable(write: Write, accent: str, readable: str) -> None:
    """A11Y-01: 4.5:1."""
    assert ink(load(write(starter(('"#9b1c31"', f'"{accent}"')))).looks.accent) == readable


@pytest.mark.parametrize(
    ("country", "line", "mails"),
    [("BE", "", True), ("NL", "", False), ("NL", "goodbye_mail = true", True), ("BR", "", False)],
)
def test_leaving_is_acknowledged_as_the_country_asks(write: Write, country: str, line: str, mails: bool) -> None:
    """WDR-12: on for Belgium."""
    policy = load(write(starter(('"BE"', f'"{country}"'), top=line)))

    assert policy.goodbye_mail is mails
    assert policy.limits(TODAY, []).goodbye is mails


def test_an_unknown_country_gets_the_strict_profile() -> None:
    """Section 11."""
    assert profile("BR") == STRICT
    assert not any((STRICT.soft_opt_in, STRICT.single_opt_in, STRICT.repermission))
    assert age_of("BR").years == 16
    assert profile("NL") == COUNTRIES["NL"]


@pytest.mark.parametrize(
    ("country", "third"), [("BE", False), ("NO", False), ("GB", False), ("CH", False), ("US", True), ("IN", True)]
)
def test_third_countries_are_known(country: str, third: bool) -> None:
    """REG-03."""
    assert is_third_country(country) is third


def demo(write: Write, *edits: tuple[str, str]) -> Policy:
    text = DEMO
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return load(write(text))


def test_a_processor_past_its_review_is_not_used(write: Write) -> None:
    """REG-02: on the day itself it still may, the next day no more."""
    policy = demo(write, ("review_by = 2036-01-05", "review_by = 2026-11-22"))

    assert policy.processor_problem("mailchimp", date(2026, 11, 22)) is None
    assert "2026-11-22" in (policy.processor_problem("mailchimp", TODAY) or "")
    assert policy.processor_problem("sendgrid", TODAY) is None


def test_a_processor_without_or_before_its_contract_is_not_used(write: Write) -> None:
    policy = demo(write)

    assert "REG-02" in (policy.processor_problem("brevo", TODAY) or "")
    assert "2026-01-05" in (policy.processor_problem("mailchimp", date(2026, 1, 4)) or "")


def test_an_entry_without_a_contract_is_shown_and_not_used(write: Write) -> None:
    """REG-02: what is not signed yet stands in the register as it is, and nothing goes there."""
    policy = demo(write, ("contract = 2026-01-05", ""))

    assert "no contract" in (policy.processor_problem("mailchimp", TODAY) or "")
    assert policy.processor_problem("sendgrid", TODAY) is None


def test_a_transfer_is_not_made_before_it_was_assessed(write: Write) -> None:
    policy = demo(write, ("transfer_assessed = 2026-01-05", "transfer_assessed = 2027-01-05"))

    assert "REG-03" in (policy.processor_problem("mailchimp", TODAY) or "")


def test_a_purpose_closes_only_when_no_switched_on_processor_is_left(write: Write) -> None:
    policy = demo(write, ("review_by = 2036-01-05", "review_by = 2026-11-22"))

    assert policy.limits(TODAY, ["mailchimp", "sendgrid"]).closed == {}
    assert policy.limits(TODAY, []).closed == {}
    closed = policy.limits(TODAY, ["mailchimp"]).closed
    assert closed.keys() == {"newsletter", "offers"}
    assert "REG-02" in closed["newsletter"]


def test_limits_carry_the_oldest_wording_that_covers_a_purpose(write: Write) -> None:
    policy = load(write(starter(("notice = 1 ", "notice = 3\nnotice_since = 2 "))))

    assert policy.limits(TODAY, []).notice_since == {"newsletter": 2, "offers": 1}


def test_a_policy_cannot_be_changed() -> None:
    policy = load(TEMPLATES / "demo" / "policy.toml")

    with pytest.raises(AttributeError):
        policy.country = "NL"  # type: ignore[misc]  # the refusal is what is tested
    assert policy.zone is policy.zone


def test_the_sender_is_split_into_name_and_address() -> None:
    mail = load(TEMPLATES / "demo" / "policy.toml").mail

    assert (mail.sender_name, mail.sender_address) == ("De Dagwijzer", "nieuws@post.dedagwijzer.example")


def _paths(node: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value of a parsed file."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*above, key)
        yield from _paths(value, (*above, key))


WRONG = [-1, 10**30, 0.5, True, "", "\x00", "x" * 5000, [], [1], [[]], {}, {"": 1}, [{"id": 5}, {"id": [1]}, 7], TODAY]


@pytest.mark.parametrize("wrong", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_no_value_whatever_breaks_the_reading(wrong: object) -> None:
    """Each value of the demo replaced in turn: the answer is a list of problems, never another error."""
    data = tomllib.loads(DEMO)
    for *way, last in _paths(data):
        changed = copy.deepcopy(data)
        node: Any = changed
        for key in way:
            node = node[key]
        node[last] = wrong

        reading = Reading()
        policy = reading.policy(changed)

        assert all(str(line) for line in [*reading.problems, *refusals(policy, TEMPLATES / "demo")])
