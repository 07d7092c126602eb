"""A toy SendGrid's account calls: lists, custom fields, webhooks, scopes, erasure."""

import re
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response

from adapters.sandbox import moment
from adapters.sandbox.addresses import plain, valid
from adapters.sandbox.courier import Delivery, public_key, sendgrid_body, sendgrid_signature, unsigned
from adapters.sandbox.esp import Route, body_of, number, reply
from adapters.sandbox.sendgrid_contacts import RESERVED

if TYPE_CHECKING:
    from adapters.sandbox.sendgrid import SendGrid

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_EVENTS = (
    "group_resubscribe", "delivered", "group_unsubscribe", "spam_report", "bounce", "deferred", "unsubscribe",
    "processed", "open", "click", "dropped",
)  # fmt: skip
#: An event's name in the settings, where the two differ.
_SETTING = {"spamreport": "spam_report"}
_SCOPES = [
    "asm.groups.create", "asm.groups.read", "asm.groups.suppressions.create", "asm.groups.suppressions.delete",
    "asm.groups.suppressions.read", "asm.suppressions.global.create", "asm.suppressions.global.delete",
    "asm.suppressions.global.read", "mail.send", "marketing.read", "marketing.update", "recipients.erasejob.create",
    "suppression.read", "suppression.update", "user.webhooks.event.settings.read",
    "user.webhooks.event.settings.update",
]  # fmt: skip
#: Most webhooks of an account.
MOST = 5


class Account:
    """Everything that belongs to the account as a whole; the ESP's lock protects it."""

    def __init__(self, esp: "SendGrid") -> None:
        self.esp = esp
        self.webhooks: dict[str, dict[str, Any]] = {}
        self.tracks: dict[str, bool] = {}

    def clear(self) -> None:
        """Back to the webhook the sandbox was started with."""
        self.webhooks = {}
        self.tracks = dict.fromkeys(("subscription", "click", "open"), False)
        if self.esp.told.sendgrid_url:
            key = "5eed0000-0000-4000-8000-000000000001"
            self.webhooks[key] = _webhook(key, {"url": self.esp.told.sendgrid_url, "enabled": True})
            self.webhooks[key] |= dict.fromkeys(_EVENTS, True)
            self.webhooks[key]["signed"] = bool(self.esp.told.sendgrid_private_key_pem)

    def routes(self) -> Iterable[Route]:
        """All addresses of this file."""
        hooks = "/user/webhooks/event/settings"
        return [
            Route("GET", "/marketing/lists", self.lists),
            Route("POST", "/marketing/lists", self.add_list),
            Route("GET", "/marketing/lists/<list_id>", self.one_list),
            Route("DELETE", "/marketing/lists/<list_id>", self.drop_list),
            Route("GET", "/marketing/field_definitions", self.fields),
            Route("POST", "/marketing/field_definitions", self.add_field),
            Route("GET", "/scopes", self.scopes),
            Route("GET PATCH", "/tracking_settings/<any(subscription,click,open):kind>", self.tracking),
            Route("POST", "/recipients/erasejob", self.erase),
            Route("POST", hooks, self.add_webhook),
            Route("GET", f"{hooks}/all", self.all_webhooks),
            Route("GET PATCH", f"{hooks}/signed/<hook_id>", self.signing),
            Route("GET", f"{hooks}/<hook_id>", self.webhook),
            Route("PATCH", f"{hooks}/<hook_id>", self.change_webhook),
            Route("DELETE", f"{hooks}/<hook_id>", self.drop_webhook),
            Route("POST", "/user/webhooks/event/test", self.test_webhook),
        ]

    # Lists and fields.

    def _list_view(self, list_id: str) -> dict[str, Any]:
        held = sum(list_id in one.lists for one in self.esp.contacts.all.values())
        return {"id": list_id, "name": self.esp.lists[list_id], "contact_count": held, "_metadata": {}}

    def lists(self) -> Response:
        size = number("page_size", 100, 1, 1000)
        if size is None:
            raise self.esp.refuse(400, "page_size must be between 1 and 1000", "page_size")
        return reply({"result": [self._list_view(one) for one in self.esp.lists][:size], "_metadata": {}})

    def add_list(self) -> Response:
        body = body_of()
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str) or not name or len(name) > 100 or name in self.esp.lists.values():
            raise self.esp.refuse(400, "a list needs a name of its own", "name")
        list_id = str(uuid.uuid4())
        self.esp.lists[list_id] = name
        return reply(self._list_view(list_id), 201)

    def one_list(self, list_id: str) -> Response:
        if list_id not in self.esp.lists:
            raise self.esp.refuse(404, "not found")
        return reply(self._list_view(list_id))

    def drop_list(self, list_id: str) -> Response:
        if self.esp.lists.pop(list_id, None) is None:
            raise self.esp.refuse(404, "not found")
        for key in list(self.esp.contacts.all):
            self.esp.contacts.all[key].lists.discard(list_id)
        return Response(status=204)

    def fields(self) -> Response:
        reserved = [{"name": name, "field_type": "Text", "read_only": False} for name in RESERVED]
        return reply({"custom_fields": list(self.esp.fields.values()), "reserved_fields": reserved, "_metadata": {}})

    def add_field(self) -> Response:
        body = body_of()
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            raise self.esp.refuse(400, "a name has letters, digits and underscores and starts with none", "name")
        if body.get("field_type") not in ("Text", "Number", "Date"):
            raise self.esp.refuse(400, "field_type must be Text, Number or Date", "field_type")
        taken = {one["name"].lower() for one in self.esp.fields.values()} | set(RESERVED)
        if name.lower() in taken:
            raise self.esp.refuse(400, "the name is taken", "name")
        key = f"e{len(self.esp.fields) + 1}_{body['field_type'][0]}"
        self.esp.fields[key] = {"id": key, "name": name, "field_type": body["field_type"]}
        return reply({**self.esp.fields[key], "_metadata": {}})

    def tracking(self, kind: str) -> Response:
        body = body_of()
        if isinstance(body, dict) and "enabled" in body:
            self.tracks[kind] = bool(body["enabled"])
        return reply({"enabled": self.tracks[kind]})

    def scopes(self) -> Response:
        return reply({"scopes": _SCOPES})

    def erase(self) -> Response:
        """Forgets what SendGrid knows of past mails; contacts stay and must be deleted besides."""
        body = body_of()
        emails = body.get("email_addresses") if isinstance(body, dict) else None
        if not isinstance(emails, list) or not 1 <= len(emails) <= 5000 or not all(valid(one) for one in emails):
            raise self.esp.refuse(400, "email_addresses must have between 1 and 5000 addresses", "email_addresses")
        return reply({"job_id": self.esp.jobs.add(partial(self._erase, emails), kind="erase").id}, 202)

    def _erase(self, emails: list[str]) -> tuple[str, dict[str, Any]]:
        self.esp.erased |= {plain(one) for one in emails}
        return "completed", {}

    # Webhooks.

    def add_webhook(self) -> Response:
        body = self._settings()
        if len(self.webhooks) >= MOST:
            raise self.esp.refuse(400, f"no more than {MOST} webhooks")
        key = str(uuid.uuid4())
        self.webhooks[key] = _webhook(key, body)
        return reply(self._shown(key, secret=False), 201)

    def _settings(self) -> dict[str, Any]:
        body = body_of()
        if not isinstance(body, dict) or not str(body.get("url", "http://")).startswith(("http://", "https://")):
            raise self.esp.refuse(400, "url must be an http address", "url")
        return body

    def _known(self, hook_id: str) -> dict[str, Any]:
        if hook_id not in self.webhooks:
            raise self.esp.refuse(404, "not found")
        return self.webhooks[hook_id]

    def _shown(self, hook_id: str, *, secret: bool = True) -> dict[str, Any]:
        hook = self._known(hook_id)
        shown = {name: value for name, value in hook.items() if name != "signed"}
        if secret:
            shown["public_key"] = self._public_key() if hook["signed"] else ""
        return shown

    def _public_key(self) -> str:
        pem = self.esp.told.sendgrid_private_key_pem
        return public_key(pem) if pem else ""

    def all_webhooks(self) -> Response:
        return reply({"max_allowed": MOST, "webhooks": [self._shown(one) for one in self.webhooks]})

    def webhook(self, hook_id: str) -> Response:
        return reply(self._shown(hook_id))

    def change_webhook(self, hook_id: str) -> Response:
        self._known(hook_id).update({name: value for name, value in self._settings().items() if name != "id"})
        return reply(self._shown(hook_id, secret=False))

    def drop_webhook(self, hook_id: str) -> Response:
        self._known(hook_id)
        del self.webhooks[hook_id]
        return Response(status=204)

    def signing(self, hook_id: str) -> Response:
        hook = self._known(hook_id)
        body = body_of()
        if isinstance(body, dict) and "enabled" in body:
            hook["signed"] = bool(body["enabled"])
        return reply({"id": hook_id, "public_key": self._public_key() if hook["signed"] else ""})

    def test_webhook(self) -> Response:
        body = self._settings()
        for event in ("processed", "delivered"):
            self._send({"url": body.get("url", ""), "signed": True}, [make_event(event, "test@reader.example", {})])
        return Response(status=204)

    # News.

    def tell(self, event: str, email: str, **facts: Any) -> None:
        """Send one event to every webhook that wants it."""
        self.tell_all([make_event(event, email, facts)])

    def tell_all(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Send several events in one body."""
        every = list(events)
        for hook in self.webhooks.values():
            wanted = [one for one in every if hook.get(_SETTING.get(one["event"], one["event"]))]
            if hook["enabled"] and wanted:
                self._send(hook, wanted)

    def _send(self, hook: Mapping[str, Any], events: list[Mapping[str, Any]]) -> None:
        pem = self.esp.told.sendgrid_private_key_pem if hook["signed"] else ""
        self.esp.courier.send(
            Delivery(
                esp=self.esp.name,
                url=hook["url"],
                what=", ".join(one["event"] for one in events),
                body=sendgrid_body(events),
                content_type="application/json",
                sign=partial(sendgrid_signature, pem) if pem else unsigned,
            ),
            self.esp.trouble.mode,
            self.esp.trouble.seconds,
        )


def _webhook(key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    hook: dict[str, Any] = {
        "id": key,
        "url": "",
        "enabled": False,
        "friendly_name": "",
        **dict.fromkeys(_EVENTS, False),
    }
    return {**hook, **{name: value for name, value in given.items() if name in hook and name != "id"}, "signed": False}


def make_event(event: str, email: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One event as published; its own id, and that of a mail."""
    message = facts.get("sg_message_id") or f"{uuid.uuid4().hex[:22]}.recvd-sandbox-1"
    return {
        "email": email,
        "timestamp": moment.seconds(),
        "event": event,
        "sg_event_id": uuid.uuid4().hex,
        "sg_message_id": message,
        **facts,
    }
