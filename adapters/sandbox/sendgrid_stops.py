"""A toy SendGrid's suppressions: groups people left, the global list, bounces and the others."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, request

from adapters.sandbox import moment
from adapters.sandbox.addresses import plain, valid
from adapters.sandbox.esp import Refusal, Route, body_of, fields_of, number, reply

if TYPE_CHECKING:
    from adapters.sandbox.sendgrid import SendGrid

KINDS = ("bounces", "blocks", "spam_reports", "invalid_emails")
#: Lists that keep every mail from an address, and what an event calls the reason.
WORDS = {
    "global": "Unsubscribed Address",
    "bounces": "Bounced Address",
    "spam_reports": "Spam Reporting Address",
    "invalid_emails": "Invalid",
}


class Stops:
    """Who must not get mail; the ESP's lock protects it."""

    def __init__(self, esp: "SendGrid") -> None:
        self.esp = esp
        self.clear()

    def clear(self) -> None:
        """Back to the seeds."""
        self.groups: dict[int, dict[str, Any]] = {
            101: {"name": "newsletter", "description": "Newsletter", "is_default": False},
            102: {"name": "offers", "description": "Offers", "is_default": False},
        }
        self.left: dict[int, dict[str, int]] = {101: {}, 102: {}}
        self.everywhere: dict[str, int] = {}
        self.lists: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}

    def routes(self) -> Iterable[Route]:
        """All addresses of this file; those with fixed names come before those with an address in them."""
        group = "/asm/groups/<int:group_id>"
        kinds = f"/suppression/<any({','.join(KINDS)}):kind>"
        return [
            Route("GET", "/asm/groups", self.all_groups),
            Route("POST", "/asm/groups", self.add_group),
            Route("GET", group, self.group),
            Route("PATCH", group, self.change_group),
            Route("DELETE", group, self.drop_group),
            Route("GET", f"{group}/suppressions", self.left_group),
            Route("POST", f"{group}/suppressions", self.leave_group),
            Route("POST", f"{group}/suppressions/search", self.search_group),
            Route("DELETE", f"{group}/suppressions/<path:email>", self.back_to_group),
            Route("GET", "/asm/suppressions", self.every_group_stop),
            Route("POST", "/asm/suppressions/global", self.leave_everything),
            Route("GET", "/asm/suppressions/global/<path:email>", self.is_global),
            Route("DELETE", "/asm/suppressions/global/<path:email>", self.back_everywhere),
            Route("GET", "/asm/suppressions/<path:email>", self.groups_of),
            Route("GET", "/suppression/unsubscribes", self.unsubscribes),
            Route("GET", kinds, self.entries),
            Route("DELETE", kinds, self.drop_entries),
            Route("GET", f"{kinds}/<path:email>", self.entry),
            Route("DELETE", f"{kinds}/<path:email>", self.drop_entry),
        ]

    # What the rest of the ESP asks.

    def reason(self, email: str, group_id: int | None) -> str:
        """Why no mail goes to an address; empty when one does."""
        if email in self.everywhere:
            return WORDS["global"]
        for kind in ("bounces", "spam_reports", "invalid_emails"):
            if email in self.lists[kind]:
                return WORDS[kind]
        return WORDS["global"] if group_id in self.left and email in self.left[group_id] else ""

    def state(self, email: str) -> str:
        """One word for how an address stands as a whole."""
        if email in self.lists["bounces"]:
            return "bounced"
        if email in self.lists["spam_reports"]:
            return "complained"
        return "unsubscribed" if email in self.everywhere else "active"

    def people(self) -> list[str]:
        """Every address on any of the lists."""
        left = [email for one in self.left.values() for email in one]
        return [*self.everywhere, *left, *(email for one in self.lists.values() for email in one)]

    def group_named(self, name: str) -> int | None:
        """The group of that name or id."""
        return next((one for one, group in self.groups.items() if name in (group["name"], str(one))), None)

    def add(self, kind: str, email: str, **facts: str) -> None:
        """Put an address on one of the lists."""
        self.lists[kind][email] = {"created": moment.seconds(), "email": email, **facts}

    # Groups.

    def _group(self, group_id: int) -> dict[str, Any]:
        if group_id not in self.groups:
            raise self.esp.refuse(404, "group not found")
        return self.groups[group_id]

    def _view(self, group_id: int) -> dict[str, Any]:
        return {"id": group_id, **self._group(group_id), "unsubscribes": len(self.left[group_id])}

    def all_groups(self) -> Response:
        return reply([self._view(one) for one in self.groups])

    def group(self, group_id: int) -> Response:
        return reply(self._view(group_id))

    def add_group(self) -> Response:
        body = body_of()
        if not isinstance(body, dict) or not _text(body.get("name"), 30) or not _text(body.get("description"), 100):
            raise self.esp.refuse(400, "name (30) and description (100) are required", "name")
        if len(self.groups) >= 200:
            raise self.esp.refuse(400, "no more than 200 groups")
        if any(group["name"] == body["name"] for group in self.groups.values()):
            raise self.esp.refuse(400, "the name is taken", "name")
        group_id = max(self.groups, default=100) + 1
        self.groups[group_id] = {"name": body["name"], "description": body["description"], "is_default": False}
        self.left[group_id] = {}
        return reply({"id": group_id, **self.groups[group_id]}, 201)

    def change_group(self, group_id: int) -> Response:
        body = fields_of()
        self._group(group_id).update(
            {name: body[name] for name in ("name", "description") if _text(body.get(name), 100)}
        )
        return reply(self._view(group_id), 201)

    def drop_group(self, group_id: int) -> Response:
        self._group(group_id)
        del self.groups[group_id], self.left[group_id]
        return Response(status=204)

    def left_group(self, group_id: int) -> Response:
        self._group(group_id)
        return reply(list(self.left[group_id]))

    def leave_group(self, group_id: int) -> Response:
        """A group that is not there (any more) sends the addresses to the global list, as the real one does."""
        emails = self._emails()
        self.left.get(group_id, self.everywhere).update(dict.fromkeys(emails, moment.seconds()))
        return reply({"recipient_emails": emails}, 201)

    def search_group(self, group_id: int) -> Response:
        self._group(group_id)
        return reply([one for one in self._emails() if one in self.left[group_id]])

    def back_to_group(self, group_id: int, email: str) -> Response:
        self._group(group_id)
        self.left[group_id].pop(plain(email), None)
        return Response(status=204)

    def every_group_stop(self) -> Response:
        every = [
            {"email": email, "group_id": one, "group_name": self.groups[one]["name"], "created_at": created}
            for one, left in self.left.items()
            for email, created in left.items()
        ]
        return self._page(every, "created_at")

    def groups_of(self, email: str) -> Response:
        groups = [
            {"id": one, **group, "suppressed": plain(email) in self.left[one]} for one, group in self.groups.items()
        ]
        return reply({"suppressions": groups})

    # The global list.

    def leave_everything(self) -> Response:
        emails = self._emails()
        self.everywhere.update(dict.fromkeys(emails, moment.seconds()))
        return reply({"recipient_emails": emails}, 201)

    def is_global(self, email: str) -> Response:
        return reply({"recipient_email": plain(email)} if plain(email) in self.everywhere else {})

    def back_everywhere(self, email: str) -> Response:
        self.everywhere.pop(plain(email), None)
        return Response(status=204)

    def unsubscribes(self) -> Response:
        return self._page(
            [{"email": email, "created": created} for email, created in self.everywhere.items()], "created"
        )

    def _emails(self) -> list[str]:
        body = body_of()
        emails = body.get("recipient_emails") if isinstance(body, dict) else None
        if not isinstance(emails, list) or not emails or not all(valid(one) for one in emails):
            raise self.esp.refuse(400, "recipient_emails must be a list of addresses", "recipient_emails")
        return [plain(one) for one in emails]

    # Bounces and the others.

    def entries(self, kind: str) -> Response:
        return self._page(list(self.lists[kind].values()), "created")

    def entry(self, kind: str, email: str) -> Response:
        found = self.lists[kind].get(plain(email))
        return reply([found] if found else [])

    def drop_entries(self, kind: str) -> Response:
        body = fields_of()
        named = body.get("emails", [])
        if not isinstance(named, list):
            raise self.esp.refuse(400, "emails must be a list", "emails")
        for email in list(self.lists[kind]) if body.get("delete_all") else named:
            self.lists[kind].pop(plain(str(email)), None)
        return Response(status=204)

    def drop_entry(self, kind: str, email: str) -> Response:
        if self.lists[kind].pop(plain(email), None) is None:
            raise self.esp.refuse(404, "resource not found")
        return Response(status=204)

    def _page(self, every: list[dict[str, Any]], time_name: str) -> Response:
        limit, offset = number("limit", 500, 1, 500), number("offset", 0, 0, 10**9)
        start, end = number("start_time", 0, 0, 10**12), number("end_time", 10**12, 0, 10**12)
        if limit is None or offset is None or start is None or end is None:
            raise Refusal(self.esp.problem(400, "limit is at most 500; times are Unix seconds"))
        wanted = plain(request.args.get("email", ""))
        chosen = [
            one for one in every if start <= one[time_name] <= end and (not wanted or one["email"].startswith(wanted))
        ]
        chosen.sort(key=lambda one: -one[time_name])
        return reply(chosen[offset : offset + limit])


def _text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most
