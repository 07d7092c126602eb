"""One Mailchimp audience: its members and the rules about who may become what."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapters.sandbox import moment
from adapters.sandbox.addresses import plain, valid
from adapters.sandbox.keep import Kept

AUDIENCE = "a1b2c3d4e5"
CATEGORY = "c0ffee0001"
INTERESTS = {"11aa22bb33": "newsletter", "44cc55dd66": "offers"}
#: What a GDPR audience asks a member to permit, by ids that nobody can guess.
PERMISSIONS = {"d1e2f3a4b5": "Email", "e6f7a8b9c0": "Direct Mail"}
_EMAIL = "d1e2f3a4b5"
#: A text merge field keeps this many bytes and says nothing about the rest.
FIELD_BYTES = 255

_FORGOTTEN = "was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."
STATUSES = frozenset({"subscribed", "unsubscribed", "cleaned", "pending", "transactional"})
_KNOWN = frozenset(
    {
        "email_address", "email_type", "interests", "ip_opt", "ip_signup", "language", "location",
        "marketing_permissions", "merge_fields", "status", "status_if_new", "timestamp_opt", "timestamp_signup",
        "vip", "tags",
    }
)  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {
    "email_address": str, "email_type": str, "interests": dict, "ip_opt": str, "ip_signup": str, "language": str,
    "merge_fields": dict, "status": str, "status_if_new": str, "timestamp_opt": str, "timestamp_signup": str,
    "vip": bool, "tags": list, "marketing_permissions": list, "location": dict,
}  # fmt: skip


class Wrong(Exception):
    """Mailchimp refuses a write: title, text and the fields that are wrong."""

    def __init__(self, title: str, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.fields = dict(fields or {})


def invalid(**fields: str) -> Wrong:
    """The body does not have the right form."""
    text = "The resource submitted could not be validated. For field-specific details, see the 'errors' array."
    return Wrong("Invalid Resource", text, fields)


def hashed(email: str) -> str:
    """The id of a member."""
    return hashlib.md5(plain(email).encode(), usedforsecurity=False).hexdigest()


@dataclass
class MergeField:
    """One field of the audience."""

    merge_id: int
    tag: str
    name: str
    type: str = "text"
    public: bool = False
    required: bool = False


@dataclass
class Listed:
    """One member."""

    email: str
    status: str
    compliance: bool = False
    language: str = ""
    email_type: str = "html"
    vip: bool = False
    interests: dict[str, bool] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    permitted: list[str] = field(default_factory=list)  # ids of marketing permissions
    given: dict[str, str] = field(default_factory=dict)  # ip_opt and its kind, as sent
    unsubscribe_reason: str = ""
    created: datetime = field(default_factory=moment.now)
    last_changed: datetime = field(default_factory=moment.now)
    left: list[datetime] = field(default_factory=list)  # each time she was unsubscribed

    def was(self, before: str | None) -> None:
        """Note what she became, if that is something her activity tells."""
        if self.status == "unsubscribed" and before != self.status:
            self.left.append(moment.now())

    @property
    def unique_id(self) -> str:
        """The id webhooks carry; belongs to the address."""
        return hashlib.sha256(plain(self.email).encode()).hexdigest()[:10]


class Audience:
    """Members by hash, fields, interests; no web in here. The ESP's lock protects it."""

    def __init__(self) -> None:
        self.members: dict[str, Listed] = Kept()
        self.forgotten: set[str] = set()
        self.interests: dict[str, dict[str, str]] = {CATEGORY: dict(INTERESTS)}
        self.categories: dict[str, str] = {CATEGORY: "What you get"}
        self.shown: set[str] = set()  # categories that readers see on Mailchimp's own pages
        self.fields: dict[str, MergeField] = {"PREFS": MergeField(1, "PREFS", "Preference link")}
        self.abuse: list[dict[str, Any]] = []
        self.keeps_unsubscribed = self.refuses_pending = False
        self.permissions: dict[str, str] = {}

    def put(self, key: str, body: Any, *, lenient: bool = False) -> tuple[Listed, str | None]:
        """Insert or update; the member and its status before (None: new)."""
        check_shape(body)
        member = self.members.get(key)
        if member is not None:
            return self.patch(key, body, lenient=lenient)
        email = body.get("email_address")
        if not valid(email):
            raise invalid(email_address="Please provide a valid email address.")
        if hashed(email) != key:
            raise invalid(email_address="The address does not belong to this subscriber hash.")
        status = body.get("status_if_new", body.get("status"))
        if status not in STATUSES:
            raise invalid(status_if_new="Data did not match any of the schemas described in anyOf.")
        if key in self.forgotten:
            raise Wrong("Forgotten Email Not Subscribed", f"{email} {_FORGOTTEN}")
        check_reputation(email)
        fresh = Listed(email.strip(), status)
        self._fill(fresh, body, lenient=lenient)
        self.members[key] = fresh
        return fresh, None

    def patch(self, key: str, body: Any, *, lenient: bool = False) -> tuple[Listed, str | None]:
        """Change a member who is there; the member and its status before."""
        check_shape(body)
        member = self.members[key]
        before = member.status
        email = body.get("email_address", member.email)
        if not valid(email):
            raise invalid(email_address="Please provide a valid email address.")
        status = self._next_status(member, body.get("status"))
        moved = hashed(email) != key
        if moved and hashed(email) in self.members:
            raise Wrong("Member Exists", f"{email} is already a list member. Use PUT to insert or update list members.")
        self._fill(member, body, lenient=lenient)
        member.status = status
        member.was(before)
        member.email = email.strip()
        member.last_changed = moment.now()
        if moved:
            self.members[hashed(email)] = self.members.pop(key)
        return member, before

    def _next_status(self, member: Listed, wanted: Any) -> str:
        if wanted is None:
            return member.status
        if wanted not in STATUSES:
            raise invalid(status="Data did not match any of the schemas described in anyOf.")
        refused = {"subscribed", "pending"} if self.refuses_pending else {"subscribed"}
        if wanted in refused and (member.compliance or member.status == "cleaned"):
            text = "is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."
            raise Wrong("Member In Compliance State", f"{member.email} {text}")
        if wanted == "subscribed" and member.status == "unsubscribed" and self.keeps_unsubscribed:
            return member.status
        return str(wanted)

    def _fill(self, member: Listed, body: Mapping[str, Any], *, lenient: bool) -> None:
        """All checks first, then all changes."""
        interests = body.get("interests", {})
        known = {one for group in self.interests.values() for one in group}
        for interest in interests:
            if interest not in known:
                raise Wrong("Invalid Resource", f'Invalid interest ID: "{interest}".')
        fields = {**member.fields, **self._fields(body.get("merge_fields", {}))}
        missing = [one.tag for one in self.fields.values() if one.required and not fields.get(one.tag)]
        if missing and not lenient:
            raise Wrong(
                "Invalid Resource", "Your merge fields were invalid.", dict.fromkeys(missing, "Please enter a value")
            )
        member.fields = fields
        member.interests.update(interests)
        member.language = body.get("language", member.language)
        member.email_type = body.get("email_type", member.email_type)
        member.vip = body.get("vip", member.vip)
        member.tags.extend(tag for tag in body.get("tags", []) if isinstance(tag, str) and tag not in member.tags)
        for told in body.get("marketing_permissions", []):
            self._permit(member, told)
        for name in ("ip_opt", "ip_signup", "timestamp_opt", "timestamp_signup"):
            if name in body:
                member.given[name] = body[name]

    def _permit(self, member: Listed, told: Any) -> None:
        one = told.get("marketing_permission_id") if isinstance(told, dict) else None
        if one in self.permissions:  # one that the audience does not have is passed over without a word
            member.permitted = [known for known in member.permitted if known != one]
            if told.get("enabled") is True:
                member.permitted.append(one)

    def _fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for tag, value in given.items():
            if tag not in self.fields:
                wrong[tag] = "This merge field does not exist"
            elif isinstance(value, (dict, list)) and self.fields[tag].type != "address":
                wrong[tag] = "Please enter a value of the right type"
            else:
                kept[tag] = cut(value) if self.fields[tag].type == "text" else value
        if wrong:
            raise Wrong("Invalid Resource", "Your merge fields were invalid.", wrong)
        return kept

    def receives(self, member: Listed) -> list[str]:
        """Names of the interests Mailchimp would really mail her for."""
        if member.status != "subscribed" or (self.permissions and _EMAIL not in member.permitted):
            return []
        names = {one: name for group in self.interests.values() for one, name in group.items()}
        return [names[one] for one in names if member.interests.get(one)]

    def interest(self, name: str) -> str | None:
        """The id of an interest by its name or id."""
        for group in self.interests.values():
            for one, title in group.items():
                if name in (one, title):
                    return one
        return None


def cut(value: Any) -> str:
    """What is left of a text, without a word about the rest."""
    return str(value).encode()[:FIELD_BYTES].decode("utf-8", "ignore")


def check_shape(body: Any) -> None:
    """Unknown properties and wrong types are refused."""
    if not isinstance(body, dict):
        raise Wrong("JSON Parse Error", "We encountered an unspecified JSON parsing error.")
    wrong = {name: "This property is not known." for name in body if name not in _KNOWN}
    for name, value in body.items():
        if name in _TYPES and not isinstance(value, _TYPES[name]):
            wrong[name] = "Data did not match any of the schemas described in anyOf."
    interests = body.get("interests")
    if isinstance(interests, dict) and not all(isinstance(on, bool) for on in interests.values()):
        wrong["interests"] = "Schema describes boolean, something else found instead"
    if wrong:
        raise invalid(**wrong)


def check_reputation(email: str) -> None:
    """Mailchimp's own guards against odd addresses, by the first word of the address."""
    if plain(email).startswith("fake"):
        raise Wrong("Invalid Resource", f"{email} looks fake or invalid, please enter a real email address.")
    if plain(email).startswith("eager"):
        text = "has signed up to a lot of lists very recently; we're not allowing more signups for now"
        raise Wrong("Invalid Resource", f"{email} {text}")


def changed_since(member: Listed, moment: datetime) -> bool:
    """Whether a member changed at or after a moment, in whole seconds as Mailchimp counts."""
    return member.last_changed >= moment - timedelta(seconds=1)
