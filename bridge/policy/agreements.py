"""What is refused in what is agreed with others: third parties, assessments, the statement's own lines."""

import re

from bridge.policy.checks import Problems, country_code, every_language, known_purposes, mail_address, one_line
from bridge.policy.checks import well_formed_id as id_form
from bridge.policy.parties import CLAUSES, Processor
from bridge.policy.shapes import Assessment, Policy, Problem


def party_refusals(policy: Policy) -> Problems:
    """Everything about these tables that a rule forbids."""
    for key, party in policy.processors.items():
        where = f"processors.{key}"
        yield from _named(where, party)
        yield from one_line(f"{where}.name", party.name, "REG-02")
        yield from one_line(f"{where}.service", party.service, "REG-02", most=200)
        yield from country_code(f"{where}.country", party.country)
        yield from _said(policy, where, party)
        yield from _dates(where, party)
        yield from _sub_processors(where, party)
        if party.told:
            yield from _transfer(where, party)
    yield from _assessments(policy)
    yield from _statement(policy)
    yield from _served(policy)


def _named(where: str, party: Processor) -> Problems:
    if party.adapter and party.id:
        yield Problem(f"{where}.id", "REG-02", "has an adapter already, which names it; remove one of the two")
    elif party.key:
        yield from id_form(where, party.key, key="adapter" if party.adapter else "id")
    else:
        fix = 'name it: adapter = "..." for a mailing platform, id = "..." for any other third party'
        yield Problem(f"{where}.adapter", "REG-02", fix)


def _said(policy: Policy, where: str, party: Processor) -> Problems:
    for key in ("service_text", "safeguard"):
        if texts := getattr(party, key):
            yield from every_language(policy, f"{where}.{key}", texts, most=400)
    if party.contact:
        yield from mail_address(f"{where}.contact", party.contact, "CON-07")
    for key in (
        "address",
        "region",
        "contract_version",
        "contract_file",
        "security",
        "breach_contact",
        "deletion_proof",
        "owner",
    ):
        if text := getattr(party, key):
            yield from one_line(f"{where}.{key}", text, "REG-02", most=300)
    for kind in party.data:
        yield from one_line(f"{where}.data", kind, "REG-02", most=80)
    if party.purposes:
        yield from known_purposes(policy, where, party.purposes, "REG-02")
    if unknown := [letter for letter in party.clauses if letter not in CLAUSES]:
        fix = f'"{unknown[0]}" is no clause of 28(3); they are: {", ".join(CLAUSES)}'
        yield Problem(f"{where}.clauses", "REG-02", fix)


def _dates(where: str, party: Processor) -> Problems:
    if party.review_by and party.contract and party.review_by <= party.contract:
        fix = "must be after the date of the contract: the day by which you look at it again"
        yield Problem(f"{where}.review_by", "REG-02", fix)
    if party.review_by and party.last_review and party.review_by <= party.last_review:
        fix = "must be after last_review: the day by which you look at it again"
        yield Problem(f"{where}.review_by", "REG-02", fix)


def _sub_processors(where: str, party: Processor) -> Problems:
    for name, other in party.sub_processors.items():
        place = f"{where}.sub_processors.{name}"
        yield from one_line(f"{place}.name", other.name, "REG-04")
        yield from one_line(f"{place}.service", other.service, "REG-04", most=200)
        yield from country_code(f"{place}.country", other.country)
        for key, text in (("region", other.region), ("transfer_tool", other.transfer_tool)):
            if text:
                yield from one_line(f"{place}.{key}", text, "REG-04", most=200)


def _transfer(where: str, party: Processor) -> Problems:
    if not party.abroad:
        return
    if not party.transfer_tool.strip():
        fix = f'{party.country} is outside the EEA: name the tool, like "standard contractual clauses (2021/914)"'
        yield Problem(f"{where}.transfer_tool", "REG-03", fix)
    else:
        yield from one_line(f"{where}.transfer_tool", party.transfer_tool, "REG-03", most=200)
    if party.transfer_assessed is None:
        fix = "write the date on which you assessed the transfer; without it the transfer is unlawful"
        yield Problem(f"{where}.transfer_assessed", "REG-03", fix)


def _assessments(policy: Policy) -> Problems:
    for key in policy.assessments.__struct_fields__:
        found: Assessment | None = getattr(policy.assessments, key)
        if found is None:
            continue
        where = f"assessments.{key}"
        yield from one_line(f"{where}.reference", found.reference, "REG-05", most=300)
        yield from one_line(f"{where}.by", found.by, "REG-05")
        if found.review_by and found.review_by <= found.made:
            yield Problem(f"{where}.review_by", "REG-05", "must be after the day on which it was made")


def _statement(policy: Policy) -> Problems:
    chosen = policy.statement
    for key in ("interest", "automated"):
        if texts := getattr(chosen, key):
            yield from every_language(policy, f"statement.{key}", texts, most=600)
    if chosen.representative:
        yield from one_line("statement.representative.name", chosen.representative.name, "TRN-01", most=300)
        yield from mail_address("statement.representative.email", chosen.representative.email, "TRN-01")
    if chosen.authority:
        yield from one_line("statement.authority.name", chosen.authority.name, "TRN-01")
        yield from one_line("statement.authority.address", chosen.authority.address, "TRN-01", most=300)
        if not re.fullmatch(r"https://[^\s/]+\S*", chosen.authority.website):
            fix = 'must start with https://, like "https://www.dataprotectionauthority.be"'
            yield Problem("statement.authority.website", "TRN-01", fix)
    for name in policy.controller.formerly:
        yield from one_line("controller.formerly", name, "TRN-05")


def _served(policy: Policy) -> Problems:
    for measure in policy.processing.measures:
        yield from one_line("processing.measures", measure, "REG-01", most=300)
    for key, served in policy.controllers_served.items():
        where = f"controllers_served.{key}"
        yield from one_line(f"{where}.name", served.name, "REG-01")
        yield from one_line(f"{where}.address", served.address, "REG-01", most=300)
        yield from mail_address(f"{where}.email", served.email, "REG-01")
        if served.dpo:
            yield from mail_address(f"{where}.dpo", served.dpo, "REG-01")
        if not served.processing:
            yield Problem(f"{where}.processing", "REG-01", "name the kinds of processing that you do for it")
        for kind in served.processing:
            yield from one_line(f"{where}.processing", kind, "REG-01", most=200)
