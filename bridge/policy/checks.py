"""Checks that many rules share: each looks at one value and says what is wrong with it."""

import re
from collections.abc import Iterator

from bridge.policy.shapes import Policy, Problem, Texts

Problems = Iterator[Problem]

_ID = re.compile(r"[a-z][a-z0-9_-]{0,31}")
#: An address that every mail server takes, under a domain that is for use: `email_validator` says yes to it. Whatever
#: else is written that library judges; its tables take a tenth of a cold start on AWS Lambda.
PLAIN = re.compile(
    r"[a-z0-9]{1,20}(?:[._+-][a-z0-9]{1,20}){0,2}@(?:[a-z0-9]{1,30}(?:-[a-z0-9]{1,30})?\.){1,3}(?:[a-z]{2}|com|net|org|example)"
)
_COUNTRY = re.compile(r"[A-Z]{2}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def country_code(where: str, country: str) -> Problems:
    """An ISO 3166 code of two capitals."""
    if country == "UK":
        yield Problem(where, "section 11", 'the code of the United Kingdom is "GB"')
    elif not _COUNTRY.fullmatch(country):
        yield Problem(where, "section 11", 'must be a code of two capitals, like "BE"')


def well_formed_id(where: str, value: str, key: str = "id") -> Problems:
    """An id that fits in addresses, file names and proofs."""
    if not _ID.fullmatch(value):
        fix = "must start with a-z and hold at most 32 of a-z, 0-9, _ and -"
        yield Problem(f"{where}.{key}", "decision 35", fix)


def known_purposes(policy: Policy, where: str, purposes: tuple[str, ...], row: str) -> Problems:
    """At least one purpose, each there and named once."""
    if not purposes:
        yield Problem(f"{where}.purposes", row, "name the purposes it is for")
    for purpose in purposes:
        if purpose not in policy.purposes:
            fix = f'there is no purpose "{purpose}"; known: {", ".join(policy.purposes) or "none"}'
            yield Problem(f"{where}.purposes", row, fix)
    if len(set(purposes)) < len(purposes):
        yield Problem(f"{where}.purposes", row, "a purpose is there twice; name each once")


def every_language(policy: Policy, where: str, texts: Texts, most: int) -> Problems:
    """A text of one line in every language of the policy and in no other."""
    for language in policy.languages:
        if not texts.get(language, "").strip():
            yield Problem(f"{where}.{language}", "CAP-08", f"the text in {language} is missing")
        else:
            yield from one_line(f"{where}.{language}", texts[language], "CAP-04", most)
    for language in texts.keys() - set(policy.languages):
        fix = f"{language} is not among the languages of the policy; add it there or remove this text"
        yield Problem(f"{where}.{language}", "CAP-08", fix)


def one_line(where: str, text: str, row: str, most: int = 120) -> Problems:
    """A text that is there, not too long, and safe in a header."""
    if not text.strip():
        yield Problem(where, row, "must not be empty")
    elif len(text) > most:
        yield Problem(where, row, f"is longer than {most} characters")
    elif CONTROL.search(text):
        yield Problem(where, row, "must be one line without control characters")


def mail_address(where: str, address: str, row: str) -> Problems:
    """An e-mail address; it is not repeated in what we say about it."""
    if PLAIN.fullmatch(address):
        return
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        yield Problem(where, row, "is no e-mail address")
