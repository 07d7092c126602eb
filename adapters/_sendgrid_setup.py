"""What SendGrid must have before anybody is told to it, made where it is missing; and what usually goes wrong there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from adapters._outcomes import Told
from adapters._plans import contacts_of_plan
from adapters._sendgrid_api import SendGridApi, mapping
from adapters._sendgrid_contacts import Fields
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Finding, Step

PUBLIC_KEY = "SENDGRID_WEBHOOK_PUBLIC_KEY"

#: Events without which a "no", a complaint or a dead address is not heard of, as the settings call them.
EVENTS = ("bounce", "deferred", "dropped", "group_resubscribe", "group_unsubscribe", "spam_report", "unsubscribe")
#: Events that tell what readers do, which is nobody's business here (TRK-01), or that say nothing about consent.
_NEVER = ("open", "click")

#: What the key of the adapter must be allowed to do.
SCOPES = (
    *("asm.groups.read", "asm.groups.suppressions.create", "asm.groups.suppressions.delete"),
    *("asm.groups.suppressions.read", "asm.suppressions.global.create", "asm.suppressions.global.delete"),
    *("asm.suppressions.global.read", "marketing.read", "marketing.update", "suppression.read"),
    *("recipients.erasejob.create", "user.webhooks.event.settings.read"),
)
#: A key that may do this opens the whole account to whoever finds it.
_TOO_MUCH = ("api_keys.create", "teammates.create", "billing.update", "subusers.create")

_HOOKS = ("user", "webhooks", "event", "settings")
_RUN = "run consent-bridge setup sendgrid"
#: The same where only single mails leave by SendGrid, and there is nothing else to set up.
_BY_HAND = "make it right under Settings > Mail Settings > Event Webhooks"
_MOST_NAME, _MOST_PAGE = 30, 1000


class SendGridSetup:
    """Looks at one account and mends it."""

    def __init__(
        self,
        api: SendGridApi,
        settings: Mapping[str, str],
        places: Mapping[str, Mapping[str, str]],
        fields: Fields,
    ) -> None:
        self._api, self._settings, self._places, self._fields = api, settings, places, fields

    # -- making ---------------------------------------------------------------------------------------------------

    def setup(self, webhook: str) -> list[Step]:
        """Custom field, lists, unsubscribe groups and webhook; each is looked for before it is made."""
        return list(self._steps(webhook))

    def _steps(self, webhook: str) -> Iterator[Step]:
        if not self._api.eu:  # no contacts there, so neither fields nor lists
            yield from self._custom_fields()
            yield from self._lists()
        yield from self._groups()
        if webhook:
            yield from self._hook(webhook)

    def _custom_fields(self) -> Iterator[Step]:
        there = self._fields.read()
        for name in self._fields.custom:
            if name.lower() not in there:
                body = {"name": name, "field_type": "Text"}
                make = partial(self._api.post, "marketing", "field_definitions", body=body)
                self._do(f"adding the field {name}", make)
            yield Step(f"custom field {name}", made=name.lower() not in there)

    def _lists(self) -> Iterator[Step]:
        read = partial(self._api.get, "marketing", "lists", query={"page_size": _MOST_PAGE})
        found = mapping(self._do("reading the lists", read)).get("result") or []
        there = {str(one.get("id")): str(one.get("name", "")) for one in found if isinstance(one, dict)}
        for purpose, place in self._places.items():
            make = partial(self._api.post, "marketing", "lists", body={"name": purpose})
            yield self._place("list", purpose, place["list"], there, make)

    def _groups(self) -> Iterator[Step]:
        found = self._do("reading the unsubscribe groups", lambda: self._api.get("asm", "groups"))
        there = {str(one.get("id")): str(one.get("name", "")) for one in found if isinstance(one, dict)}
        for purpose, place in self._places.items():
            body = {"name": purpose[:_MOST_NAME], "description": f"Mail for the topic {purpose}"}
            make = partial(self._api.post, "asm", "groups", body=body)
            yield self._place("group", purpose, place["group"], there, make)

    def _place(self, kind: str, purpose: str, told: str, there: Mapping[str, str], make: Callable[[], Any]) -> Step:
        """What the policy names is there; else one with the purpose's name; else a new one, whose id is said."""
        if told in there:
            return Step(f"{kind} {told} of {purpose}", made=False)
        same = next((one for one, name in there.items() if name == purpose[:_MOST_NAME]), "")
        found = same or str(mapping(self._do(f"adding a {kind}", make)).get("id", ""))
        todo = f'write {kind} = "{found}" under [purposes.at.sendgrid] of {purpose} in the policy'
        return Step(f"{kind} {found} of {purpose}", made=not same, todo=todo)

    def _hook(self, webhook: str) -> Iterator[Step]:
        hooks, most = self._hooks()
        hook: Mapping[str, Any] | None = next((one for one in hooks if one.get("url") == webhook), None)
        wanted = {"url": webhook, "enabled": True, **dict.fromkeys(EVENTS, True)}
        if hook is None:
            if len(hooks) >= most:
                raise Misconfigured(
                    f"SendGrid has {most} event webhooks already and takes no more: delete one that is not used"
                )
            body = {**wanted, **dict.fromkeys(_NEVER, False), "friendly_name": "Consent Bridge"}
            hook = mapping(self._do("adding the webhook", lambda: self._api.post(*_HOOKS, body=body)))
            yield Step("event webhook", made=True)
        elif _against_hook(hook):
            self._do("changing the webhook", lambda: self._api.patch(*_HOOKS, str(hook["id"]), body=wanted))
            yield Step("event webhook", made=True)
        else:
            yield Step("event webhook", made=False)
        yield self._signing(str(hook.get("id", "")), str(hook.get("public_key") or ""))

    def _signing(self, hook: str, key: str) -> Step:
        """Signing on, and its public key known here."""
        subject, signed = "signature of the event webhook", bool(key)
        if not key:
            body = {"enabled": True}
            answer = self._do("signing the webhook", lambda: self._api.patch(*_HOOKS, "signed", hook, body=body))
            key = str(mapping(answer).get("public_key") or "")
        if not key:
            raise AdapterError("sendgrid: no public key came back while signing the webhook")
        known = key in _keys(self._settings)
        return Step(subject, made=not signed, keep=None if known else (PUBLIC_KEY, hook, key))

    def _hooks(self) -> tuple[list[dict[str, Any]], int]:
        answer = mapping(self._do("reading the webhooks", lambda: self._api.get(*_HOOKS, "all")))
        hooks = [one for one in answer.get("webhooks") or () if isinstance(one, dict)]
        return hooks, int(answer.get("max_allowed") or 5)

    def _do(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Told as told:
            raise AdapterError(f"sendgrid: {told.outcome.reason} while {what}") from None

    # -- looking --------------------------------------------------------------------------------------------------

    def check(self, webhook: str) -> Iterator[Finding]:
        """Key and scopes, lists, groups, custom field, webhook and its key, plan."""
        try:
            scopes = mapping(self._api.get("scopes")).get("scopes") or []
        except (AdapterError, Told) as error:
            yield Finding("sendgrid answers", False, str(error))
            return
        yield Finding("sendgrid answers", True)
        yield _scopes({str(scope) for scope in scopes})
        key = bool(_keys(self._settings))
        yield Finding("sendgrid webhook key", key, "" if key else f"{_RUN}, or set {PUBLIC_KEY}")
        yield from self._check_places()
        if not self._api.eu:
            for name in self._fields.custom:
                yield self._look(f"sendgrid custom field {name}", _RUN, partial(self._fields.id, name))
        if webhook:
            yield self.check_hook(webhook)
        if not self._api.eu:
            yield self._plan()

    def _check_places(self) -> Iterator[Finding]:
        fix = f"it is unknown: {_RUN}, which makes one and says its id for [purposes.at.sendgrid] of the policy"
        for purpose, place in self._places.items():
            if not self._api.eu:
                look = partial(self._api.get, "marketing", "lists", place["list"])
                yield self._look(f"sendgrid list of {purpose}", fix, look)
            look = partial(self._api.get, "asm", "groups", place["group"])
            yield self._look(f"sendgrid unsubscribe group of {purpose}", fix, look)

    def check_hook(self, webhook: str) -> Finding:
        """Whether the event webhook is there, tells what matters, and is signed with a key that is known here."""
        subject, fix = "sendgrid event webhook", _RUN if self._places else _BY_HAND
        try:
            hooks, _ = self._hooks()
        except AdapterError as error:
            return Finding(subject, False, str(error))
        hook = next((one for one in hooks if one.get("url") == webhook), None)
        if hook is None:
            return Finding(subject, False, f"there is none to our address: {fix}")
        # Of single mails there are no groups.
        wanted = EVENTS if self._places else [name for name in EVENTS if not name.startswith("group_")]
        if wrong := _against_hook(hook, wanted):
            return Finding(subject, False, f"{wrong}: {fix}")
        key = str(hook.get("public_key") or "")
        if not key:
            return Finding(subject, False, f"it is not signed, and unsigned calls are refused here: {fix}")
        if key not in _keys(self._settings):
            return Finding(
                subject, False, f"it is signed with a key that is not known here: {fix}, or set {PUBLIC_KEY}"
            )
        followed = [name for name in _NEVER if hook.get(name)]
        hint = (
            f"it tells of each {' and '.join(followed)}, which nothing here uses: switch that off" if followed else ""
        )
        return Finding(f"{subject}, signed", True, hint)

    def _plan(self) -> Finding:
        try:
            answer = mapping(self._api.get("marketing", "contacts", "count"))
        except (AdapterError, Told) as error:
            return Finding("sendgrid plan", False, str(error))
        return contacts_of_plan("sendgrid", int(answer.get("contact_count") or 0), self._settings)

    def _look(self, subject: str, fix: str, call: Callable[[], object]) -> Finding:
        try:
            call()
        except Told as told:
            return Finding(subject, False, fix if told.status == 404 else told.outcome.reason)
        except AdapterError as error:
            return Finding(subject, False, str(error))
        return Finding(subject, True)


def _keys(settings: Mapping[str, str]) -> list[str]:
    return [key.strip() for key in settings.get(PUBLIC_KEY, "").split(",") if key.strip()]


def _scopes(there: set[str]) -> Finding:
    subject = "sendgrid key: scopes"
    missing = [scope for scope in SCOPES if scope not in there]
    if missing:
        return Finding(subject, False, f"give the key also: {', '.join(missing)} (Settings > API Keys)")
    more = [scope for scope in _TOO_MUCH if scope in there]
    hint = f"it may also do {', '.join(more)}: make a narrower key for us" if more else ""
    return Finding(subject, True, hint)


def _against_hook(hook: Mapping[str, Any], wanted: Sequence[str] = EVENTS) -> str:
    """What a webhook would not tell us."""
    if not hook.get("enabled"):
        return "it is switched off"
    deaf = [name for name in wanted if not hook.get(name)]
    return f"it does not tell of {', '.join(deaf)}" if deaf else ""
