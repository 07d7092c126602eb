"""A toy Mailchimp: the Marketing API's calls an adapter makes, with the habits of the real one."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from flask import Flask, Response, json, request

from adapters.sandbox import mailchimp_acts, mailchimp_batches, mailchimp_lists, moment
from adapters.sandbox.addresses import plain
from adapters.sandbox.courier import Courier, Webhooks
from adapters.sandbox.esp import Esp, Judge, Refusal, Route, body_of, number, reply
from adapters.sandbox.mailbox import Mailbox
from adapters.sandbox.mailchimp_audience import AUDIENCE, PERMISSIONS, Audience, Listed, Wrong, changed_since, hashed

_DOCS = "https://mailchimp.com/developer/marketing/docs/errors/"
_TITLES = {
    400: ("Bad Request", "The request could not be understood."),
    401: ("API Key Invalid", "Your API key may be invalid, or you've attempted to access the wrong datacenter."),
    404: ("Resource Not Found", "The requested resource could not be found."),
    405: ("Method Not Allowed", "The requested method and resource are not compatible."),
    429: ("Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."),
    500: (
        "InternalServerError",
        "An unexpected internal error has occurred. Please contact Support for more information.",
    ),
    503: ("Service Unavailable", "The service is not available."),
}


class Mailchimp(Esp):
    """One account with one audience."""

    name = "mailchimp"
    prefix = "/mailchimp/3.0"
    files_prefix = "/mailchimp/files"
    connections = 10

    def __init__(self, courier: Courier, mailbox: Mailbox, webhooks: Webhooks, judge: Judge | None = None) -> None:
        super().__init__(courier, mailbox, judge)
        self.told = webhooks
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.trouble.set("up")
            self.jobs.all.clear()
            self.calls.clear()
            self.refusals.clear()
            self.audience = Audience()
            self.webhooks = mailchimp_lists.seeded(self.told)
            self.batches: dict[str, dict[str, Any]] = {}
            self.files: dict[str, bytes] = {}

    def change_mode(self, mode: str, seconds: float | None = None, every: int = 2, **chances: Any) -> None:
        super().change_mode(mode, seconds, every, **chances)
        with self.lock:
            self.audience.keeps_unsubscribed = mode == "keeps_unsubscribed"
            self.audience.refuses_pending = mode == "refuses_pending"
            self.audience.permissions = dict(PERMISSIONS) if mode == "asks_permission" else {}

    def memory(self) -> Mapping[str, Any]:
        here = self.audience
        return {
            "members": here.members,
            "forgotten": here.forgotten,
            "interests": here.interests,
            "categories": here.categories,
            "shown": here.shown,
            "fields": here.fields,
            "abuse": here.abuse,
            "webhooks": self.webhooks,
            "batches": self.batches,
            "files": self.files,
            "jobs": self.jobs.all,
        }

    def parts(self) -> Mapping[str, object]:
        return {self.name: self}

    def routes(self) -> Iterable[Route]:
        member = "/lists/<list_id>/members/<key>"
        return [
            Route("GET", "/ping", self.ping),
            Route("GET", "/lists", self.lists),
            Route("GET", "/lists/<list_id>", self.one_list),
            Route("GET", "/lists/<list_id>/members", self.members),
            Route("POST", "/lists/<list_id>/members", self.add_member),
            Route("GET", member, self.member),
            Route("PUT", member, self.put_member),
            Route("PATCH", member, self.patch_member),
            Route("DELETE", member, self.archive_member),
            Route("POST", f"{member}/actions/delete-permanent", self.forget_member),
            Route("GET", f"{member}/activity-feed", self.activity),
            *mailchimp_lists.routes(self),
            *mailchimp_batches.routes(self),
        ]

    def register(self, app: Flask) -> None:
        super().register(app)
        app.add_url_rule(f"{self.files_prefix}/<batch_id>-response.tar.gz", "mailchimp_file", self._file)

    def _file(self, batch_id: str) -> Response:
        """A batch's result; no key needed, as with the real one's signed links."""
        if self.trouble.mode == "links_expire":
            return Response("<Error><Code>AccessDenied</Code></Error>", 403, content_type="application/xml")
        content = self.files.get(batch_id) if self.trouble.mode != "results_gone" else None
        return Response(content, content_type="application/gzip") if content else self.problem(404)

    # What every Mailchimp answer looks like.

    def problem(
        self, status: int, text: str = "", title: str = "", fields: Mapping[str, str] | None = None
    ) -> Response:
        usual = _TITLES.get(status, ("Error", "Something is wrong."))
        body: dict[str, Any] = {
            "type": _DOCS,
            "title": title or usual[0],
            "status": status,
            "detail": text or usual[1],
            "instance": str(uuid.uuid4()),
        }
        if fields:
            body["errors"] = [{"field": name, "message": message} for name, message in fields.items()]
        return Response(json.dumps(body), status, content_type="application/problem+json; charset=utf-8")

    def throttled(self) -> Response:
        return self.problem(429)

    def refuse(self, wrong: Wrong) -> Refusal:
        """A refused write as an answer."""
        return Refusal(self.problem(400, wrong.detail, wrong.title, wrong.fields))

    def allow(self) -> None:
        login = request.authorization
        key = (login.token or login.password or "") if login else ""
        if not key or key.startswith("bad-"):
            raise Refusal(self.problem(401))

    def known(self, list_id: str) -> Audience:
        """The audience, or 404."""
        if list_id != AUDIENCE:
            raise Refusal(self.problem(404))
        return self.audience

    # The calls.

    def ping(self) -> Response:
        return reply({"health_status": "Everything's Chimpy!"})

    def lists(self) -> Response:
        return pruned({"lists": [self._list_view()], "total_items": 1, "_links": []})

    def one_list(self, list_id: str) -> Response:
        self.known(list_id)
        return pruned(self._list_view())

    def _list_view(self) -> dict[str, Any]:
        counts = [member.status for member in self.audience.members.values()]
        return {
            "id": AUDIENCE,
            "name": "Readers",
            "double_optin": False,
            "marketing_permissions": bool(self.audience.permissions),
            "email_type_option": False,
            "date_created": "2026-01-01T00:00:00+00:00",
            "stats": {
                "member_count": counts.count("subscribed"),
                "unsubscribe_count": counts.count("unsubscribed"),
                "cleaned_count": counts.count("cleaned"),
                "merge_field_count": len(self.audience.fields),
            },
            "_links": [],
        }

    def members(self, list_id: str) -> Response:
        audience = self.known(list_id)
        count, offset = number("count", 10, 0, 1000), number("offset", 0, 0, 10**9)
        if count is None or offset is None:
            raise Refusal(self.problem(400, title="Invalid Resource", fields={"count": "Must be between 0 and 1000."}))
        found = [one for one in audience.members.values() if self._asked_for(one)]
        page = [self.view(one) for one in found[offset : offset + count]]
        return pruned({"members": page, "list_id": list_id, "total_items": len(found), "_links": []})

    def _asked_for(self, member: Listed) -> bool:
        wanted = request.args.get("status")
        since = request.args.get("since_last_changed")
        if wanted is not None and member.status != wanted:
            return False
        if wanted is None and member.status == "archived":
            return False
        return since is None or changed_since(member, self._moment(since))

    def _moment(self, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Refusal(
                self.problem(400, title="Invalid Resource", fields={"since_last_changed": "Not a valid date."})
            )
        return moment

    def member(self, list_id: str, key: str) -> Response:
        return pruned(self.view(self._there(list_id, key)))

    def activity(self, list_id: str, key: str) -> Response:
        """What she did, newest first; of all that the real one tells only that she left."""
        left = self._there(list_id, key).left
        wanted = request.args.get("activity_filters", "unsub").split(",")
        told = [{"activity_type": "unsub", "created_at_timestamp": one.isoformat(timespec="seconds")} for one in left]
        count = number("count", 10, 0, 1000)
        found = told[::-1][:count] if "unsub" in wanted else []
        return pruned({"activity": found, "email_id": self._key(key), "list_id": list_id, "total_items": len(told)})

    def add_member(self, list_id: str) -> Response:
        audience = self.known(list_id)
        body = body_of()
        key = hashed(str(body.get("email_address", ""))) if isinstance(body, dict) else ""
        if key in audience.members:
            text = f"{body['email_address']} is already a list member. Use PUT to insert or update list members."
            raise Refusal(self.problem(400, text, "Member Exists"))
        return self.put_member(list_id, key)

    def put_member(self, list_id: str, key: str) -> Response:
        audience = self.known(list_id)
        try:
            member, before = audience.put(self._key(key), body_of(), lenient=lenient())
        except Wrong as wrong:
            raise self.refuse(wrong) from None
        self._tell(member, before)
        return pruned(self.view(member))

    def patch_member(self, list_id: str, key: str) -> Response:
        self._there(list_id, key)
        try:
            member, before = self.audience.patch(self._key(key), body_of(), lenient=lenient())
        except Wrong as wrong:
            raise self.refuse(wrong) from None
        self._tell(member, before)
        return pruned(self.view(member))

    def archive_member(self, list_id: str, key: str) -> Response:
        member = self._there(list_id, key)
        if member.status in {"cleaned", "pending", "archived"}:
            raise Refusal(self.problem(405, "This list member cannot be removed. Please contact support."))
        member.status, member.last_changed = "archived", moment.now()
        mailchimp_acts.tell(self, "unsubscribe", member, "api", action="delete", reason="manual")
        return Response(status=204)

    def forget_member(self, list_id: str, key: str) -> Response:
        self._there(list_id, key)
        del self.audience.members[self._key(key)]
        self.audience.forgotten.add(self._key(key))
        return Response(status=204)

    def _key(self, key: str) -> str:
        return hashed(key) if "@" in key else key.lower()

    def _there(self, list_id: str, key: str) -> Listed:
        member = self.known(list_id).members.get(self._key(key))
        if member is None:
            raise Refusal(self.problem(404))
        return member

    def _tell(self, member: Listed, before: str | None) -> None:
        """What a write by the API sets off: an echo for webhooks that want it, and Mailchimp's own question."""
        if member.status == before:
            return
        if member.status == "subscribed":
            mailchimp_acts.tell(self, "subscribe", member, "api")
        elif member.status == "unsubscribed" and before is not None:
            mailchimp_acts.tell(self, "unsubscribe", member, "api", action="unsub", reason="manual")
        elif member.status == "pending":
            mailchimp_acts.ask(self, member)

    def view(self, member: Listed) -> dict[str, Any]:
        """A member as the API shows it."""
        every = {one: False for group in self.audience.interests.values() for one in group}
        return {
            "id": hashed(member.email),
            "email_address": member.email,
            "unique_email_id": member.unique_id,
            "contact_id": member.unique_id * 3,
            "full_name": "",
            "web_id": int(member.unique_id[:7], 16),
            "email_type": member.email_type,
            "status": member.status,
            "unsubscribe_reason": member.unsubscribe_reason,
            "merge_fields": {tag: member.fields.get(tag, "") for tag in self.audience.fields},
            "interests": {**every, **member.interests},
            **self._permissions(member),
            "language": member.language,
            "vip": member.vip,
            "ip_signup": "",
            "ip_opt": "",
            "timestamp_signup": "",
            "timestamp_opt": member.created.isoformat(timespec="seconds"),
            **member.given,
            "last_changed": member.last_changed.isoformat(timespec="seconds"),
            "list_id": AUDIENCE,
            "tags_count": len(member.tags),
            "tags": [{"id": place, "name": tag} for place, tag in enumerate(member.tags, 1)],
            "_links": [],
        }

    def _permissions(self, member: Listed) -> dict[str, Any]:
        """Shown only where the audience asks for them; their ids stand nowhere else."""
        found = [
            {"marketing_permission_id": one, "text": text, "enabled": one in member.permitted}
            for one, text in self.audience.permissions.items()
        ]
        return {"marketing_permissions": found} if found else {}

    # What people look at.

    def people(self) -> list[str]:
        with self.lock:
            self.jobs.settle()
            return [plain(member.email) for member in self.audience.members.values()]

    def person(self, email: str) -> dict[str, Any]:
        with self.lock:
            self.jobs.settle()
            member = self.audience.members.get(hashed(email))
            return {
                "present": member is not None,
                "status": member.status if member else None,
                "receives": self.audience.receives(member) if member else [],
                "link": str(member.fields.get("PREFS", "")) if member else "",
                "language": member.language if member else "",
                "compliance": bool(member and member.compliance),
                "forgotten": hashed(email) in self.audience.forgotten,
            }

    def purposes(self) -> list[str]:
        with self.lock:
            return [name for group in self.audience.interests.values() for name in group.values()]

    def act(self, email: str, act: str, purpose: str) -> str:
        with self.lock:
            return mailchimp_acts.act(self, email, act, purpose)


def lenient() -> bool:
    """Whether required merge fields may be missing in this call."""
    return request.args.get("skip_merge_validation", "").lower() == "true"


def pruned(content: dict[str, Any]) -> Response:
    """An answer with only the fields the caller asked for (`fields=members.id,total_items`)."""
    wanted = [path.split(".") for path in request.args.get("fields", "").split(",") if path]
    return reply(_pick(content, wanted) if wanted else content)


def _pick(content: Any, wanted: list[list[str]]) -> Any:
    if isinstance(content, list):
        return [_pick(one, wanted) for one in content]
    if not isinstance(content, dict) or any(not path for path in wanted):
        return content
    names = {path[0] for path in wanted}
    return {
        name: _pick(value, [path[1:] for path in wanted if path[0] == name])
        for name, value in content.items()
        if name in names
    }
