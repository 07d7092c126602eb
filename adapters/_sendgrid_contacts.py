"""What a SendGrid contact is made of, and what is read from one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from adapters._outcomes import Told
from adapters._sendgrid_api import SendGridApi, mapping
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Member

#: Custom field that carries the reader's link: `{{prefs}}` in a design.
PREFS = "prefs"

#: Fields every account has; their values stand beside the address, all others go by the id of a custom field.
RESERVED = frozenset(
    [
        *("first_name", "last_name", "address_line_1", "address_line_2"),
        *("city", "state_province_region", "postal_code", "country"),
    ]
)


class Contact(NamedTuple):
    """A contact as a search shows it."""

    id: str
    lists: frozenset[str]


class Fields:
    """The account's custom fields: our names to SendGrid's ids, looked up once."""

    def __init__(self, api: SendGridApi, declared: Mapping[str, str]) -> None:
        self._api = api
        self._declared = declared
        self._ids: dict[str, str] = {}

    def contact(self, member: Member) -> dict[str, Any]:
        """All that leaves the house for one member (MIN-04)."""
        values = {self._declared[field]: value for field, value in member.fields.items() if field in self._declared}
        if member.language and "language" in self._declared:
            values[self._declared["language"]] = member.language
        if member.link:
            values[PREFS] = member.link
        contact: dict[str, Any] = {"email": member.email.strip()}
        contact.update({name: value for name, value in values.items() if name in RESERVED})
        custom = {self.id(name): value for name, value in values.items() if name not in RESERVED}
        if custom:
            contact["custom_fields"] = custom
        return contact

    def id(self, name: str) -> str:
        """SendGrid's id of a custom field; values are keyed by it."""
        if name.lower() not in self._ids:
            self._ids = self.read()
        if name.lower() not in self._ids:
            raise Misconfigured(
                f"SendGrid has no custom field {name!r}: run consent-bridge setup sendgrid, or correct the policy"
            )
        return self._ids[name.lower()]

    def read(self) -> dict[str, str]:
        """All custom fields, by lower-case name."""
        try:
            answer = mapping(self._api.get("marketing", "field_definitions"))
        except Told as told:
            raise AdapterError(f"sendgrid: {told.outcome.reason} while reading the fields") from None
        found = answer.get("custom_fields") or []
        return {str(field.get("name", "")).lower(): str(field.get("id", "")) for field in found}


def found(answer: Any) -> Iterator[tuple[str, Contact]]:
    """Who a search by address found, by lower-case address; entries may also be errors."""
    for email, entry in (mapping(answer).get("result") or {}).items():
        contact = entry.get("contact") if isinstance(entry, dict) else None
        if isinstance(contact, dict) and contact.get("id"):
            yield email.strip().lower(), Contact(str(contact["id"]), frozenset(contact.get("list_ids") or ()))


def weight(member: Member) -> int:
    """Bytes of a contact on the wire, rather too many than too few."""
    return len(json.dumps([member.email, member.link, member.language, dict(member.fields)])) + 300
