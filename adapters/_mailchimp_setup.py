"""What Mailchimp needs before anybody is told to it, made where it is missing; and what usually goes wrong there."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from adapters._mailchimp_api import MailchimpApi
from adapters._mailchimp_members import PAGE, PREFS, Purposes
from adapters._mailchimp_permissions import Permissions
from adapters._mailchimp_webhooks import SIGNING, signing_secrets
from adapters._outcomes import Told
from adapters._plans import contacts_of_plan
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Finding, Step

#: Groups that `setup` makes are in this category, which shows on no form of Mailchimp's.
CATEGORY = "Consent Bridge"

#: What we want to hear of, and from whom: what the API does is our own echo.
EVENTS = {"subscribe": True, "unsubscribe": True, "profile": True, "cleaned": True, "upemail": True, "campaign": False}
SOURCES = {"user": True, "admin": True, "api": False}
#: News without which a "no" or a dead address is not heard of.
_NEEDED = ("unsubscribe", "cleaned", "upemail")

#: What is read of an audience.
_SHOWN = ["id", "double_optin", "marketing_permissions", "stats.member_count", "stats.unsubscribe_count"]
_UNKNOWN = "it is unknown: look at [purposes.at.mailchimp] of the policy"
_RUN = "run consent-bridge setup mailchimp"


#: A group that a reader takes herself off stays on here, and the next call puts it on again: nobody tells us in words.
_SHOWN_GROUP = (
    "readers see it on Mailchimp's own pages, and what they untick there is told to nobody: set its category to hidden "
    "(Audience > Manage contacts > Groups)"
)


class _Group(NamedTuple):
    """One group, and whether readers see it at Mailchimp."""

    name: str
    shown: bool


class MailchimpSetup:
    """Looks at one account and mends it, audience by audience."""

    def __init__(
        self,
        api: MailchimpApi,
        settings: Mapping[str, str],
        audiences: Mapping[str, Purposes],
        permissions: Permissions,
        declared: Collection[str] = (),
    ) -> None:
        """`declared`: the merge fields by their tags that the policy's own fields go to."""
        self._api, self._settings, self._audiences, self._permissions = api, settings, audiences, permissions
        self._signing = signing_secrets(settings, audiences)
        self._declared = tuple(declared)

    # -- making ---------------------------------------------------------------------------------------------------

    def setup(self, webhook: str) -> list[Step]:
        """Merge field, groups and webhook of each audience; each is looked for before it is made."""
        return [
            step for audience, purposes in self._audiences.items() for step in self._at(audience, purposes, webhook)
        ]

    def _at(self, audience: str, purposes: Purposes, webhook: str) -> Iterator[Step]:
        yield self._field(audience)
        yield from self._declared_fields(audience)
        yield from self._groups(audience, purposes)
        if webhook:
            yield self._hook(audience, webhook)

    def _field(self, audience: str) -> Step:
        subject = f"merge field {PREFS} of audience {audience}"
        kind = self._field_type(audience)
        if kind is not None:
            wrong = (
                "" if kind in ("text", "url") else f"it is of type {kind}: delete it at Mailchimp and run setup again"
            )
            return Step(subject, made=False, todo=wrong)
        body = {"name": "Preference link", "type": "text", "tag": PREFS, "public": False}
        self._do("adding the merge field", lambda: self._api.call(self._api.lists.add_list_merge_field, audience, body))
        return Step(subject, made=True)

    def _declared_fields(self, audience: str) -> Iterator[Step]:
        missing = self._missing(audience)
        for tag in self._declared:
            if tag in missing:
                body = {"name": tag, "type": "text", "tag": tag, "public": False}
                make = partial(self._api.call, self._api.lists.add_list_merge_field, audience, body)
                self._do(f"adding the merge field {tag}", make)
            yield Step(f"merge field {tag} of audience {audience}", made=tag in missing)

    def _missing(self, audience: str) -> list[str]:
        """Declared merge fields that an audience lacks: whoever has a value for one would be refused there."""
        if not self._declared:
            return []
        fields = self._do("reading the merge fields", lambda: self._fields(audience))
        there = {str(one.get("tag", "")).upper() for one in fields}
        return [tag for tag in self._declared if tag.upper() not in there]

    def _groups(self, audience: str, purposes: Purposes) -> Iterator[Step]:
        """A group for each purpose whose id in the policy is none of Mailchimp's; named after the purpose."""
        wanted = {purpose: interest for purpose, interest in purposes.items() if interest}
        if not wanted:
            return
        there = self._do("reading the groups", lambda: self.interests(audience))
        for purpose, interest in wanted.items():
            if interest in there:
                yield Step(
                    f"group {interest} of {purpose}", made=False, todo=_SHOWN_GROUP if there[interest].shown else ""
                )
                continue
            same = next((one for one, group in there.items() if group.name == purpose), "")
            found = same or self._make_group(audience, purpose)
            todo = f'write interest = "{found}" under [purposes.at.mailchimp] of {purpose} in the policy'
            yield Step(f"group {found} of {purpose}", made=not same, todo=todo)

    def _make_group(self, audience: str, purpose: str) -> str:
        lists = self._api.lists

        def make() -> str:
            answer = self._api.call(lists.get_list_interest_categories, audience, count=PAGE)
            named = (one["id"] for one in answer.get("categories") or () if one.get("title") == CATEGORY)
            category = next(named, None)
            if category is None:
                body = {"title": CATEGORY, "type": "hidden"}
                category = self._api.call(lists.create_list_interest_category, audience, body)["id"]
            body = {"name": purpose}
            return str(self._api.call(lists.create_interest_category_interest, audience, category, body)["id"])

        return str(self._do("adding a group", make))

    def _hook(self, audience: str, webhook: str) -> Step:
        subject = f"webhook of audience {audience}"
        secret = self._settings.get("MAILCHIMP_WEBHOOK_SECRET", "")
        if not secret:
            return Step(subject, made=False, todo="set MAILCHIMP_WEBHOOK_SECRET to a random text, then run setup again")
        url = f"{webhook}/{secret}"
        hook = next((one for one in self._hooks(audience) if one.get("url") == url), None)
        if hook is not None and not _against_hook(hook) and not self._against_signature(audience, hook):
            return Step(subject, made=False)
        if hook is not None:  # only the answer that makes a webhook tells its signing secret
            self._do("removing the old webhook", lambda: self._drop(audience, str(hook["id"])))
        answer = self._do("adding the webhook", lambda: self._make_hook(audience, url))
        signing = answer.get("signing_secret")
        signed = isinstance(signing, str) and signing != ""
        return Step(subject, made=True, keep=(SIGNING, audience, f"{audience}:{signing}" if signed else ""))

    def _make_hook(self, audience: str, url: str) -> dict[str, Any]:
        body = {"url": url, "events": EVENTS, "sources": SOURCES}
        try:
            return self._api.call(self._api.lists.create_list_webhook, audience, body)
        except Told as told:
            if told.status != 400:
                raise
            raise AdapterError(
                "mailchimp looked at our address and was not answered with 200: start `consent-bridge serve`, see that "
                "BRIDGE_BASE_URL is reached from outside, and run setup again"
            ) from None

    def _drop(self, audience: str, hook: str) -> None:
        try:
            self._api.call(self._api.lists.delete_list_webhook, audience, hook)
        except Told as told:
            if told.status != 404:
                raise

    def _against_signature(self, audience: str, hook: Mapping[str, Any]) -> str:
        """Why what it sends would be refused, or proves less than it could."""
        if bool(hook.get("signing_enabled")) == (audience in self._signing):
            return ""
        if hook.get("signing_enabled"):
            return "it is signed, and its signing secret is not known here"
        return f"it is not signed, and by {SIGNING} it should be, so all it tells is refused"

    def _do(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Told as told:
            if told.status != 404:
                raise AdapterError(f"mailchimp: {told.outcome.reason} while {what}") from None
            raise Misconfigured(
                f"an audience is unknown to Mailchimp ({', '.join(self._audiences)}): look at [purposes.at.mailchimp]"
            ) from None

    # -- looking --------------------------------------------------------------------------------------------------

    def check(self, webhook: str) -> Iterator[Finding]:
        """Key and data centre, then each audience: field, groups, opt-in, webhook; then the plan."""
        try:
            self._api.call(self._api.ping.get)
        except (AdapterError, Told) as error:
            yield Finding("mailchimp answers", False, str(error))
            return
        yield Finding("mailchimp answers", True)
        yield self.centre()
        secret = bool(self._settings.get("MAILCHIMP_WEBHOOK_SECRET"))
        yield Finding("mailchimp webhook secret", secret, "" if secret else "set MAILCHIMP_WEBHOOK_SECRET")
        contacts = 0
        for audience, purposes in self._audiences.items():
            subject = f"mailchimp audience {audience}"
            try:
                answer = self._api.call(
                    self._api.lists.get_list,
                    audience,
                    fields=_SHOWN,
                )
                yield from self._check_audience(subject, audience, purposes, answer, webhook)
            except Told as told:
                yield Finding(subject, False, _UNKNOWN if told.status == 404 else told.outcome.reason)
                return
            except AdapterError as error:
                yield Finding(subject, False, str(error))
                return
            stats = answer.get("stats") or {}
            contacts += sum(int(stats.get(name) or 0) for name in ("member_count", "unsubscribe_count"))
        yield contacts_of_plan("mailchimp", contacts, self._settings)

    def centre(self) -> Finding:
        """A key works at its own data centre only."""
        subject = f"mailchimp data centre {self._api.centre}"
        host = urlsplit(self._api.base).hostname or ""
        there = host.removesuffix(".api.mailchimp.com")
        if host.endswith(".api.mailchimp.com") and there != self._api.centre:
            return Finding(
                subject, False, f"MAILCHIMP_BASE_URL is at {there}: leave it out, the key says where it belongs"
            )
        return Finding(subject, True)

    def _check_audience(
        self, subject: str, audience: str, purposes: Purposes, answer: Mapping[str, Any], webhook: str
    ) -> Iterator[Finding]:
        double = " (its own double opt-in is on; our confirmed readers do not pass it again)"
        yield Finding(subject + (double if answer.get("double_optin") else ""), True)
        kind = self._field_type(audience)
        fix = _RUN if kind is None else f"it is of type {kind}, a link needs text: delete it and {_RUN}"
        right = kind in ("text", "url")
        yield Finding(f"{subject}, merge field {PREFS}", right, "" if right else fix)
        for tag in self._missing(audience):
            yield Finding(f"{subject}, merge field {tag}", False, _RUN)
        there = self.interests(audience) if any(purposes.values()) else {}
        for purpose, interest in purposes.items():
            if interest and (interest not in there or there[interest].shown):
                unknown = f"it is unknown: {_RUN}, which makes one and says its id for [purposes.at.mailchimp]"
                fix = _SHOWN_GROUP if interest in there else unknown
                yield Finding(f"{subject}, group {interest} of {purpose}", False, fix)
        yield from self._permissions.check(audience, asked=bool(answer.get("marketing_permissions")))
        if webhook:
            yield self._check_hook(subject, audience, webhook)

    def _check_hook(self, subject: str, audience: str, webhook: str) -> Finding:
        subject = f"{subject}, webhook"
        url = f"{webhook}/{self._settings.get('MAILCHIMP_WEBHOOK_SECRET', '')}"
        hooks = self._hooks(audience)
        hook = next((one for one in hooks if one.get("url") == url), None)
        if hook is None:
            other = any(str(one.get("url", "")).startswith(f"{webhook}/") for one in hooks)
            why = "there is one with another secret in its address" if other else "there is none to our address"
            return Finding(subject, False, f"{why}: {_RUN}" + (", then delete the old one" if other else ""))
        if wrong := _against_hook(hook):
            return Finding(subject, False, f"{wrong}: {_RUN}")
        if wrong := self._against_signature(audience, hook):
            return Finding(subject, False, f"{wrong}: {_RUN}")
        if not hook.get("signing_enabled"):
            hint = "Mailchimp does not sign it, only the secret in its address proves it: delete it and run setup again"
            return Finding(subject, True, hint)
        return Finding(f"{subject}, signed", True)

    def _hooks(self, audience: str) -> list[dict[str, Any]]:
        answer = self._api.call(self._api.lists.get_list_webhooks, audience)
        return [one for one in answer.get("webhooks") or () if isinstance(one, dict)]

    def _field_type(self, audience: str) -> str | None:
        """What type the field for the reader's link has; None where there is no such field."""
        fields = self._do("reading the merge fields", lambda: self._fields(audience))
        return next((str(one.get("type", "text")) for one in fields if one.get("tag") == PREFS), None)

    def _fields(self, audience: str) -> list[dict[str, Any]]:
        wanted = ["merge_fields.tag", "merge_fields.type"]
        answer = self._api.call(self._api.lists.get_list_merge_fields, audience, count=PAGE, fields=wanted)
        return [one for one in answer.get("merge_fields") or () if isinstance(one, dict)]

    def interests(self, audience: str) -> dict[str, "_Group"]:
        """All groups of an audience by id; they live in categories."""
        lists = self._api.lists
        answer = self._api.call(lists.get_list_interest_categories, audience, count=PAGE)
        found: dict[str, _Group] = {}
        for category in answer.get("categories") or ():
            page = self._api.call(lists.list_interest_category_interests, audience, category["id"], count=PAGE)
            shown = category.get("type") != "hidden"
            found |= {
                str(one.get("id")): _Group(str(one.get("name", "")), shown) for one in page.get("interests") or ()
            }
        return found


def _against_hook(hook: Mapping[str, Any]) -> str:
    """What a webhook would not tell us, or tells us of ourselves."""
    events, sources = hook.get("events") or {}, hook.get("sources") or {}
    deaf = [name for name in _NEEDED if not events.get(name)]
    deaf += [f"acts of {name}" for name in ("user", "admin") if not sources.get(name)]
    if deaf:
        return f"it does not tell of {', '.join(deaf)}"
    return "it tells us of our own calls too" if sources.get("api") else ""
