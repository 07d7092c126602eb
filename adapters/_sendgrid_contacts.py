"""What a SendGrid contact is made of, and what is read from one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

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

    @property
    def custom(self) -> list[str]:
        """The custom fields that are needed: the reader's link, and what the policy declares beyond reserved ones."""
        return [PREFS, *(name for name in self._declared.values() if name not in RESERVED)]

    def contact(self, member: Member) -> bytes:
        """All that leaves the house for one member (MIN-04), as it goes over the wire."""
        return self._made(member, self.id)

    def weight(self, member: Member) -> int:
        """How long that is, or will be once the ids are known."""
        return len(self._made(member, lambda name: self._ids.get(name.lower(), name)))

    def _made(self, member: Member, id_of: Callable[[str], str]) -> bytes:
        contact: dict[str, Any] = {"email": member.email.strip()}
        custom = {id_of(PREFS): member.link} if member.link else {}
        for name, value in self._values(member):
            if name in RESERVED:
                contact[name] = value
            else:
                custom[id_of(name)] = value
        if custom:
            contact["custom_fields"] = custom
        return msgspec.json.encode(contact)

    def _values(self, member: Member) -> Iterator[tuple[str, str]]:
        if member.language and "language" in self._declared:
            yield self._declared["language"], member.language
        for field, value in member.fields.items():
            if field in self._declared:
                yield self._declared[field], value

    def id(self, name: str) -> str:
        """SendGrid's id of a custom field; values are keyed by it."""
        known = self._ids.get(name.lower())
        if known is None:
            self.look_up()
            known = self._ids.get(name.lower())
        if known is None:
            raise Misconfigured(
                f"SendGrid has no custom field {name!r}: run consent-bridge setup sendgrid, or correct the policy"
            )
        return known

    @property
    def known(self) -> bool:
        """Whether the ids were looked up."""
        return bool(self._ids)

    def wanted(self, member: Member) -> bool:
        """Whether something of hers needs an id."""
        return bool(member.link or member.fields or ("language" in self._declared and member.language))

    def look_up(self) -> None:
        """Read the ids."""
        self._ids = self.read()

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
