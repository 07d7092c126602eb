"""Addresses as lists have them."""

import re
import unicodedata
from email.utils import parseaddr

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: What nearly every address looks like, and what `email-validator` would take as it is: it takes fifty times as long.
_PLAIN = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,63}}")
_SPECIAL = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)

#: What sheets and web pages leave around an address.
_AROUND = " \t\r\n\u00a0\u200b\u200c\u200d\u2060\ufeff"
_QUOTES = _AROUND + "'\";,"

#: An address with a name before it; more is no single address.
_LONGEST = 500

_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK")


def address(text: str) -> str:
    """The address in a cell, also in display form (`An <an@krant.example>`). ValueError says what is wrong with it."""
    text = text.strip(_AROUND)
    if len(text) > _LONGEST or text.count("<") > 1:
        raise ValueError("more than one address; give each a row of its own")
    text = parseaddr(text)[1] if text.endswith(">") else text.strip(_QUOTES)
    if not text:
        raise ValueError("no address")
    if _PLAIN.fullmatch(text) and len(text) <= 254:
        local, _, domain = text.rpartition("@")
        if len(local) <= 64 and domain.rpartition(".")[2].lower() not in _SPECIAL and "--" not in domain:
            return f"{local}@{domain.lower()}"
    if _mixes_alphabets(text):
        raise ValueError("the address mixes alphabets that look alike; type it anew")
    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise ValueError("no valid address") from None


def _mixes_alphabets(text: str) -> bool:
    """Whether a word of an address is written in two alphabets, as only a forger or a slip of the keyboard does."""
    if text.isascii():
        return False
    for word in re.split(r"[@.\-_+]", text):
        names = {unicodedata.name(letter, "").partition(" ")[0] for letter in word if letter.isalpha()}
        if len(names.intersection(_ALPHABETS)) > 1:
            return True
    return False
