"""Which personal data may be asked of a reader, and which never (`standards.md` section 7, MIN-01)."""

import re
from collections.abc import Iterable

#: Without a closed list of answers only these may be asked, as a free text.
FREE = frozenset({
    "first_name", "firstname", "voornaam", "given_name", "salutation", "aanspreking", "aanhef",
    "customer_number", "klantnummer", "customer_id", "last_sale_date", "last_sale_category",
})  # fmt: skip

#: Words refused in an id, a name at an ESP and a label (English, Dutch).
_ANYWHERE = frozenset({
    "age", "leeftijd", "dob", "sex", "seks", "sexe", "kunne", "gsm", "mobiel", "fax", "sms", "whatsapp", "ssn",
    "bsn", "insz", "rrn", "iban", "strafblad",
})  # fmt: skip

#: Words refused in an id or a name at an ESP; in a label they may be harmless ("News of your city").
_IN_NAMES = frozenset({
    "tel", "telno", "mobile", "street", "straat", "city", "stad", "town", "gemeente", "woonplaats", "zip",
    "zipcode", "address", "address2", "addr", "ip", "ipaddress", "geo", "location", "locatie", "browser",
    "device", "toestel", "opens", "race", "ras", "religion", "religie", "geloof", "godsdienst", "health",
    "gezondheid", "union", "vakbond", "politics", "politiek", "criminal", "note", "notes", "notities",
    "opmerking", "opmerkingen", "comment", "comments", "remarks", "friends", "vrienden", "contacts", "passwd",
})  # fmt: skip

#: Beginnings of words that are refused in all three.
_STEMS = (
    "birth", "bday", "geboort", "verjaar", "gender", "geslacht", "phone", "telephone", "telefoon",
    "mobilenumber", "postal", "postcode", "postadres", "huisnummer", "housenumber", "straatnaam", "streetname",
    "adres", "homeaddress", "fingerprint", "useragent", "ipadres", "ipaddress", "nationaalnummer",
    "rijksregister", "nationalnumber", "nationalid", "idcard", "identiteitskaart", "passport", "paspoort",
    "password", "wachtwoord", "religio", "ethnic", "etnisch", "medical", "medisch", "disease", "ziekte",
    "diagnos", "sexual", "seksue", "biometri", "geneti", "openhistory", "inferred", "enrich",
)  # fmt: skip

#: Beginnings that give no harmless word when they stand inside a name written without separators.
_INSIDE = tuple(stem for stem in _STEMS if stem not in {"adres", "ethnic", "geneti", "postal"})

_LABEL = re.compile(r"address|(postal|home|street|mailing|your) address", re.IGNORECASE)


def forbidden_name(names: Iterable[str]) -> str | None:
    """The first id or name at an ESP that stands for data nobody here may hold; else None."""
    for name in names:
        words = _words(name)
        joined = "".join(words)
        if (
            _is_forbidden(words)
            or not _IN_NAMES.isdisjoint([*words, joined])
            or any(part in joined for part in _INSIDE)
        ):
            return name
    return None


def forbidden_label(labels: Iterable[str]) -> str | None:
    """The first label that asks for data nobody here may hold; else None."""
    return next((text for text in labels if _is_forbidden(_words(text)) or _LABEL.fullmatch(text.strip(" :*?"))), None)


def is_allowed_without_choices(field: str) -> bool:
    """Free text is open only to the few kinds of data that section 7 allows with a written need."""
    return field.replace("-", "_") in FREE


def _is_forbidden(words: list[str]) -> bool:
    return any(word in _ANYWHERE or word.startswith(_STEMS) for word in words)


def _words(name: str) -> list[str]:
    """The words of a name, also of one written likeThis or like_this."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())
