"""What is refused in purposes and fields, block by block; channels and third parties have files of their own."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from bridge.policy.agreements import party_refusals
from bridge.policy.channels import channel_refusals
from bridge.policy.checks import (
    CONTROL,
    Problems,
    every_language,
    known_purposes,
    one_line,
    well_formed_id,
)
from bridge.policy.personal import FREE, forbidden_label, forbidden_name, is_allowed_without_choices
from bridge.policy.shapes import USUAL, Field, Policy, Problem, Purpose
from bridge.vocabulary import LegalBasis

#: Names that the sign-up and preference forms use for themselves.
_FORM_NAMES = frozenset(
    {"email", "purpose", "channel", "language", "page", "save", "was", "stop", "scope", "pause_until"}
    | {"at_least", "guardian", "made", "answer", "years", "code", "place", "homepage", "work"}
)
#: What a sample may be, where it is a file: nothing that could run on our pages.
SAMPLES: Mapping[str, str] = {
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".txt": "text/plain",
}

#: The field that carries the reader's own link at every ESP.
_LINK_FIELD = "prefs"


def block_refusals(policy: Policy, folder: Path) -> Problems:
    """Everything about these blocks that a rule forbids. `folder` is where the file lies."""
    yield from _purposes(policy, folder)
    yield from channel_refusals(policy, folder)
    yield from _fields(policy)
    yield from party_refusals(policy)


def _purposes(policy: Policy, folder: Path) -> Problems:
    if not policy.purposes:
        yield Problem("purposes", "CAP-02", "add at least one [[purposes]] block")
    for key, purpose in policy.purposes.items():
        where = f"purposes.{key}"
        yield from well_formed_id(where, purpose.id)
        yield from every_language(policy, f"{where}.name", purpose.name, most=60)
        yield from every_language(policy, f"{where}.description", purpose.description, most=400)
        yield from every_language(policy, f"{where}.label", purpose.label, most=300)
        yield from every_language(policy, f"{where}.frequency", purpose.frequency, most=80)
        yield from _one_use(where, purpose)
        yield from _basis(policy, where, purpose)
        yield from _sensitive(policy, where, purpose)
        yield from _children(where, purpose)
        yield from _sample(policy, where, purpose, folder)
        yield from _notice(where, purpose)
        yield from _places(policy, where, purpose)
    yield from _shared_places(policy)


def _one_use(where: str, purpose: Purpose) -> Problems:
    if len(purpose.uses) > 1:
        fix = "one purpose is one use with its own box; make a [[purposes]] block for each of: "
        yield Problem(f"{where}.uses", "CAP-02", fix + ", ".join(purpose.uses))
    if purpose.part_of_terms:
        fix = "must be false: a yes is never part of accepting the terms; give it its own box"
        yield Problem(f"{where}.part_of_terms", "CAP-02", fix)


def _basis(policy: Policy, where: str, purpose: Purpose) -> Problems:
    if purpose.basis is LegalBasis.SOFT_OPT_IN and not policy.soft_opt_in:
        fix = 'write basis = "consent", or soft_opt_in = true at the top where the country allows it'
        yield Problem(f"{where}.basis", "SOF-03", fix)
    if purpose.opt_in != "single":
        return
    if not policy.profile.single_opt_in:
        fix = f'must be "double": the profile of "{policy.country}" takes only a confirmed yes as proof'
        yield Problem(f"{where}.opt_in", "CON-02", fix)
    if len(purpose.single_opt_in_reason.strip()) < 20:
        fix = "write in a full sentence why no confirmation is asked; it goes into each proof"
        yield Problem(f"{where}.single_opt_in_reason", "CON-02", fix)


def _sensitive(policy: Policy, where: str, purpose: Purpose) -> Problems:
    if purpose.special_category:
        if not purpose.dpia.strip():
            fix = "name the impact assessment (its reference) that allows special categories of data"
            yield Problem(f"{where}.dpia", "MIN-02", fix)
        for language in policy.languages:
            if not purpose.explicit_wording.get(language, "").strip():
                fix = "write the sentence of explicit consent that the notice shows"
                yield Problem(f"{where}.explicit_wording.{language}", "MIN-02", fix)


def _children(where: str, purpose: Purpose) -> Problems:
    if not purpose.offered_to_children:
        return
    if purpose.opt_in != "double":
        fix = 'must be "double": a child and its guardian each confirm from their own mailbox'
        yield Problem(f"{where}.opt_in", "KID-01", fix)
    if purpose.basis is not LegalBasis.CONSENT:
        fix = 'must be "consent": what children are invited to needs a yes, theirs and their guardian\'s'
        yield Problem(f"{where}.basis", "KID-01", fix)


def _sample(policy: Policy, where: str, purpose: Purpose, folder: Path) -> Problems:
    if not purpose.sample:
        return
    for language in policy.languages:
        told, place = purpose.sample.get(language, ""), f"{where}.sample.{language}"
        path = Path(told)
        if re.fullmatch(r"https://[^\s/]+\S*", told):
            continue
        if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in SAMPLES:
            fix = f"must be an https address, or a file beside the policy ({', '.join(sorted(SAMPLES))})"
            yield Problem(place, "PRF-01", fix)
        elif not (folder / path).is_file():
            yield Problem(place, "PRF-01", "there is no such file beside the policy; take `sample` out for none")


def _notice(where: str, purpose: Purpose) -> Problems:
    if not 1 <= purpose.notice <= 9999:
        yield Problem(f"{where}.notice", "CAP-07", "versions count from 1: the newest of notices/")
    elif not 1 <= purpose.notice_since <= purpose.notice:
        fix = f"must be from 1 to {purpose.notice}: the oldest wording that still covers this use"
        yield Problem(f"{where}.notice_since", "CAP-07", fix)
    for version in purpose.earlier_labels:
        if version not in {str(number) for number in range(1, purpose.notice + 1)}:
            fix = f"must be a version from 1 to {purpose.notice}"
            yield Problem(f"{where}.earlier_labels.{version}", "CAP-07", fix)
    for name in purpose.recipients:
        yield from one_line(f"{where}.recipients", name, "CAP-04")


def _places(policy: Policy, where: str, purpose: Purpose) -> Problems:
    for adapter, place in purpose.at.items():
        if adapter not in policy.processors:
            yield Problem(f"{where}.at.{adapter}", "REG-02", _no_contract(adapter))
        for key, value in place.items():
            if not value.strip() or CONTROL.search(value):
                yield Problem(f"{where}.at.{adapter}.{key}", "section 11", "is empty; copy it from the ESP")


def _no_contract(adapter: str) -> str:
    return f'add a [[processors]] block with adapter = "{adapter}" and its contract, or remove the place'


def _shared_places(policy: Policy) -> Problems:
    for first, second in combinations(policy.purposes.values(), 2):
        for adapter in first.at.keys() & second.at.keys():
            if first.at[adapter] == second.at[adapter]:
                fix = f"is the very place of {first.id}: one yes would start both; give it its own interest or list"
                yield Problem(f"purposes.{second.id}.at.{adapter}", "CAP-02", fix)


def _fields(policy: Policy) -> Problems:
    for key, field in policy.fields.items():
        where = f"fields.{key}"
        yield from well_formed_id(where, field.id)
        yield from every_language(policy, f"{where}.label", field.label, most=60)
        yield from known_purposes(policy, where, field.purposes, "MIN-01")
        yield from _minimal(where, field)
        yield from _choices(policy, where, field)
        yield from _field_places(policy, where, field)
        if not 1 <= field.max_length <= 255:
            yield Problem(f"{where}.max_length", "MIN-01", f"{field.max_length} is outside 1 to 255")
    for purpose, number in Counter(
        p for field in policy.fields.values() if field.rhythm for p in field.purposes
    ).items():
        if number > 1:
            yield Problem("fields", "PRF-01", f"two fields say how often {purpose} is wanted; keep one")
    for (adapter, _), number in Counter(
        (adapter, name.casefold()) for field in policy.fields.values() for adapter, name in field.at.items()
    ).items():
        if number > 1:
            yield Problem("fields", "MIN-04", f"two fields have one name at {adapter}; give each its own")


def _minimal(where: str, field: Field) -> Problems:
    word = forbidden_name([field.id, *field.at.values()]) or forbidden_label(field.label.values())
    if word:
        fix = f'"{word}" may not be asked or stored (section 7); remove this field'
        yield Problem(where, "MIN-01", fix)
    elif field.id in _FORM_NAMES:
        yield Problem(where, "MIN-01", f'the form uses the name "{field.id}" itself; choose another id')
    elif not field.choices and not is_allowed_without_choices(field.id):
        fix = f"list its choices = [..]; free text is open only to {', '.join(sorted(FREE))}"
        yield Problem(where, "MIN-01", fix)
    if len(field.need.strip()) < 10:
        yield Problem(f"{where}.need", "MIN-01", "write in a sentence what you need it for, or remove the field")
    if len(set(field.choices)) < len(field.choices):
        yield Problem(f"{where}.choices", "MIN-01", "a choice is there twice; name each once")
    for choice in field.choices:
        yield from one_line(f"{where}.choices", choice, "MIN-01", most=100)


def _choices(policy: Policy, where: str, field: Field) -> Problems:
    for choice in field.choice_names:
        if choice not in field.choices:
            yield Problem(f"{where}.choice_names.{choice}", "MIN-01", "is none of its choices")
    named = field.choices if field.rhythm else tuple(field.choice_names)
    for choice in named:
        names = field.choice_names.get(choice, {})
        yield from every_language(policy, f"{where}.choice_names.{choice}", names, most=80)
    if not field.rhythm:
        return
    if len(field.purposes) != 1:
        yield Problem(f"{where}.purposes", "PRF-01", "how often is said of one purpose; name that one")
    if not field.choices or USUAL in field.choices:
        fix = f'name what is rarer than `frequency`, each rarer than the one before; "{USUAL}" is there by itself'
        yield Problem(f"{where}.choices", "PRF-01", fix)


def _field_places(policy: Policy, where: str, field: Field) -> Problems:
    for adapter, name in field.at.items():
        if adapter not in policy.processors:
            yield Problem(f"{where}.at.{adapter}", "REG-02", _no_contract(adapter))
        if not name.strip() or name.strip().casefold() == _LINK_FIELD:
            fix = "name the ESP's own field (PREFS is taken by the reader's link)"
            yield Problem(f"{where}.at.{adapter}", "MIN-04", fix)
