"""A toy Mailchimp's calls around the members: fields, groups, tags, complaints, webhooks."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response

from adapters.sandbox.courier import Webhooks
from adapters.sandbox.esp import Refusal, Route, body_of, number, reply
from adapters.sandbox.knock import knock
from adapters.sandbox.mailchimp_audience import MergeField

if TYPE_CHECKING:
    from adapters.sandbox.mailchimp import Mailchimp

_EVENTS = ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign")
_SOURCES = ("user", "admin", "api")
_TYPES = frozenset(
    ["text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"]
)


@dataclass
class Hook:
    """One webhook of the audience."""

    id: str
    url: str
    events: dict[str, bool]
    sources: dict[str, bool]
    signing_secret: str
    enabled: bool = True

    def view(self, list_id: str) -> dict[str, Any]:
        """As the API shows it: never the secret."""
        return {
            "id": self.id,
            "url": self.url,
            "events": self.events,
            "sources": self.sources,
            "list_id": list_id,
            "signing_enabled": bool(self.signing_secret),
            "_links": [],
        }


def seeded(told: Webhooks) -> dict[str, Hook]:
    """The webhook the sandbox was started with: everything but the echo of the API."""
    if not told.mailchimp_url:
        return {}
    sources = {"user": True, "admin": True, "api": False}
    hook = Hook("5eed000001", told.mailchimp_url, dict.fromkeys(_EVENTS, True), sources, told.mailchimp_signing_secret)
    return {hook.id: hook}


def routes(esp: "Mailchimp") -> list[Route]:
    """All addresses of this file."""
    here = Around(esp)
    fields, groups, hooks = (f"/lists/<list_id>/{part}" for part in ("merge-fields", "interest-categories", "webhooks"))
    return [
        Route("GET", "/lists/<list_id>/members/<key>/tags", here.tags),
        Route("POST", "/lists/<list_id>/members/<key>/tags", here.change_tags),
        Route("GET", fields, here.fields),
        Route("POST", fields, here.add_field),
        Route("GET", groups, here.categories),
        Route("POST", groups, here.add_category),
        Route("GET", f"{groups}/<category>/interests", here.interests),
        Route("POST", f"{groups}/<category>/interests", here.add_interest),
        Route("GET", "/lists/<list_id>/abuse-reports", here.abuse),
        Route("GET", hooks, here.webhooks),
        Route("POST", hooks, here.add_webhook, locked=False),
        Route("GET", f"{hooks}/<hook_id>", here.webhook),
        Route("DELETE", f"{hooks}/<hook_id>", here.drop_webhook),
    ]


class Around:
    """The calls, each a short look at or change of the audience."""

    def __init__(self, esp: "Mailchimp") -> None:
        self.esp = esp

    def _invalid(self, **fields: str) -> Refusal:
        return Refusal(self.esp.problem(400, title="Invalid Resource", fields=fields))

    def _page(self, name: str, list_id: str, entries: list[dict[str, Any]]) -> Response:
        count, offset = number("count", 10, 0, 1000), number("offset", 0, 0, 10**9)
        if count is None or offset is None:
            raise self._invalid(count="Must be between 0 and 1000.")
        return reply(
            {name: entries[offset : offset + count], "list_id": list_id, "total_items": len(entries), "_links": []}
        )

    # Tags.

    def tags(self, list_id: str, key: str) -> Response:
        member = self.esp.known(list_id).members.get(key)
        if member is None:
            raise Refusal(self.esp.problem(404))
        tags = [
            {"id": place, "name": name, "date_added": member.created.isoformat(timespec="seconds")}
            for place, name in enumerate(member.tags, 1)
        ]
        return reply({"tags": tags, "total_items": len(tags), "_links": []})

    def change_tags(self, list_id: str, key: str) -> Response:
        member = self.esp.known(list_id).members.get(key)
        if member is None:
            raise Refusal(self.esp.problem(404))
        body = body_of()
        wanted = body.get("tags") if isinstance(body, dict) else None
        if not isinstance(wanted, list) or not all(_is_tag(one) for one in wanted):
            raise self._invalid(tags="Schema describes array, something else found instead")
        for one in wanted:
            member.tags = [tag for tag in member.tags if tag != one["name"]]
            if one["status"] == "active":
                member.tags.append(one["name"])
        return Response(status=204)

    # Merge fields.

    def fields(self, list_id: str) -> Response:
        audience = self.esp.known(list_id)
        return self._page("merge_fields", list_id, [self._field_view(one) for one in audience.fields.values()])

    def _field_view(self, field: MergeField) -> dict[str, Any]:
        return {
            "merge_id": field.merge_id,
            "tag": field.tag,
            "name": field.name,
            "type": field.type,
            "required": field.required,
            "public": field.public,
            "default_value": "",
            "display_order": field.merge_id,
            "help_text": "",
            "_links": [],
        }

    def add_field(self, list_id: str) -> Response:
        audience = self.esp.known(list_id)
        body = body_of()
        if not isinstance(body, dict) or not body.get("name") or str(body.get("type")) not in _TYPES:
            raise self._invalid(name="Please enter a name and one of the known types.")
        number_ = len(audience.fields) + 1
        tag = str(body.get("tag") or f"MMERGE{number_}").upper()
        if len(tag) > 10 or not tag.replace("_", "").isalnum() or not tag.isascii():
            raise self._invalid(tag="Tags have at most 10 letters, digits or underscores.")
        if tag in audience.fields or tag == "EMAIL":
            text = f'A Merge Field with the tag "{tag}" already exists for this list.'
            raise Refusal(self.esp.problem(400, text, "Invalid Resource"))
        public, required = bool(body.get("public", False)), bool(body.get("required", False))
        audience.fields[tag] = MergeField(number_, tag, str(body["name"]), body["type"], public, required)
        return reply({**self._field_view(audience.fields[tag]), "list_id": list_id})

    # Groups.

    def categories(self, list_id: str) -> Response:
        audience = self.esp.known(list_id)
        entries: list[dict[str, object]] = [
            {
                "id": one,
                "title": title,
                "type": "checkboxes" if one in audience.shown else "hidden",
                "display_order": 0,
                "list_id": list_id,
                "_links": [],
            }
            for one, title in audience.categories.items()
        ]
        return self._page("categories", list_id, entries)

    def add_category(self, list_id: str) -> Response:
        audience = self.esp.known(list_id)
        body = body_of()
        if not isinstance(body, dict) or not isinstance(body.get("title"), str) or not body.get("type"):
            raise self._invalid(title="Please enter a title and a type.")
        one = secrets.token_hex(5)
        audience.categories[one], audience.interests[one] = body["title"], {}
        if body["type"] != "hidden":
            audience.shown.add(one)
        return reply({"id": one, "title": body["title"], "type": body["type"], "list_id": list_id, "_links": []})

    def _group(self, list_id: str, category: str) -> dict[str, str]:
        group = self.esp.known(list_id).interests.get(category)
        if group is None:
            raise Refusal(self.esp.problem(404))
        return group

    def interests(self, list_id: str, category: str) -> Response:
        group = self._group(list_id, category)
        members = self.esp.audience.members.values()
        entries = [
            {
                "id": one,
                "name": name,
                "category_id": category,
                "list_id": list_id,
                "subscriber_count": str(sum(bool(member.interests.get(one)) for member in members)),
                "display_order": place,
                "_links": [],
            }
            for place, (one, name) in enumerate(group.items(), 1)
        ]
        return self._page("interests", list_id, entries)

    def add_interest(self, list_id: str, category: str) -> Response:
        group = self._group(list_id, category)
        body = body_of()
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str) or not name:
            raise self._invalid(name="Please enter a name.")
        if name in group.values():
            text = f'Cannot add "{name}" because it already exists on the list.'
            raise Refusal(self.esp.problem(400, text, "Invalid Resource"))
        one = secrets.token_hex(5)
        group[one] = name
        return reply({"id": one, "name": name, "category_id": category, "list_id": list_id, "_links": []})

    def abuse(self, list_id: str) -> Response:
        return self._page("abuse_reports", list_id, self.esp.known(list_id).abuse)

    # Webhooks.

    def webhooks(self, list_id: str) -> Response:
        self.esp.known(list_id)
        hooks = [hook.view(list_id) for hook in self.esp.webhooks.values()]
        return reply({"webhooks": hooks, "list_id": list_id, "total_items": len(hooks), "_links": []})

    def webhook(self, list_id: str, hook_id: str) -> Response:
        self.esp.known(list_id)
        if hook_id not in self.esp.webhooks:
            raise Refusal(self.esp.problem(404))
        return reply(self.esp.webhooks[hook_id].view(list_id))

    def add_webhook(self, list_id: str) -> Response:
        """Looks at the address with GET before it says yes, as the real one does; so it holds no lock meanwhile."""
        self.esp.known(list_id)
        body = body_of()
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise self._invalid(url="Please enter a valid URL.")
        if knock("GET", url, headers={"User-Agent": "sandbox-mailchimp"}).status != 200:
            raise self._invalid(url="The URL did not answer 200 to a GET request.")
        hook = Hook(
            id=secrets.token_hex(5),
            url=url,
            events=_switches(body.get("events"), _EVENTS),
            sources=_switches(body.get("sources"), _SOURCES),
            signing_secret=secrets.token_hex(16),
        )
        with self.esp.lock:
            if any(known.url == url for known in self.esp.webhooks.values()):
                raise self._invalid(url="Sorry, you can't set up multiple WebHooks for one URL")
            self.esp.webhooks[hook.id] = hook
        return reply({**hook.view(list_id), "signing_secret": hook.signing_secret})

    def drop_webhook(self, list_id: str, hook_id: str) -> Response:
        self.esp.known(list_id)
        if self.esp.webhooks.pop(hook_id, None) is None:
            raise Refusal(self.esp.problem(404))
        return Response(status=204)


def _is_tag(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("name"), str) and one.get("status") in ("active", "inactive")


def _switches(given: Any, names: tuple[str, ...]) -> dict[str, bool]:
    asked = given if isinstance(given, dict) else {}
    return {name: bool(asked.get(name, False)) for name in names}
