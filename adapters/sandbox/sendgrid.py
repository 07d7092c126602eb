"""A toy SendGrid: the v3 calls an adapter makes, with the habits of the real one."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, request

from adapters.sandbox import moment, sendgrid_account
from adapters.sandbox.addresses import plain
from adapters.sandbox.courier import Courier, Webhooks
from adapters.sandbox.esp import ActError, Esp, Judge, Refusal, Route, reply
from adapters.sandbox.mailbox import Mailbox
from adapters.sandbox.sendgrid_contacts import Contacts
from adapters.sandbox.sendgrid_mail import Sender
from adapters.sandbox.sendgrid_stops import Stops

LISTS = {
    "7f0c8a52-0c6e-4f6e-9a01-000000000001": "newsletter",
    "7f0c8a52-0c6e-4f6e-9a01-000000000002": "offers",
}
FIELDS = {"e1_T": {"id": "e1_T", "name": "prefs", "field_type": "Text"}}
_TEXTS = {
    400: "bad request",
    401: "authorization required",
    403: "access forbidden",
    404: "not found",
    405: "method not allowed",
    413: "payload too large",
    429: "too many requests",
    500: "internal server error",
    503: "service unavailable",
}


class SendGrid(Esp):
    """One account."""

    name = "sendgrid"
    prefix = "/sendgrid/v3"
    files_prefix = "/sendgrid/files"

    def __init__(self, courier: Courier, mailbox: Mailbox, webhooks: Webhooks, judge: Judge | None = None) -> None:
        super().__init__(courier, mailbox, judge)
        self.told = webhooks
        self.contacts = Contacts(self)
        self.stops = Stops(self)
        self.sender = Sender(self)
        self.account = sendgrid_account.Account(self)
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.trouble.set("up")
            self.jobs.all.clear()
            self.calls.clear()
            self.refusals.clear()
            self.lists = dict(LISTS)
            self.fields = {key: dict(one) for key, one in FIELDS.items()}
            self.erased: set[str] = set()
            self.contacts.clear()
            self.stops.clear()
            self.account.clear()

    def memory(self) -> Mapping[str, Any]:
        return {
            "lists": self.lists,
            "fields": self.fields,
            "erased": self.erased,
            "contacts": self.contacts.all,
            "files": self.contacts.files,
            "exports": self.contacts.exports,
            "groups": self.stops.groups,
            "left": self.stops.left,
            "everywhere": self.stops.everywhere,
            "suppressed": self.stops.lists,
            "webhooks": self.account.webhooks,
            "tracks": self.account.tracks,
            "jobs": self.jobs.all,
        }

    def parts(self) -> Mapping[str, object]:
        return {
            self.name: self,
            f"{self.name}.contacts": self.contacts,
            f"{self.name}.stops": self.stops,
            f"{self.name}.account": self.account,
        }

    def search_lag(self, seconds: float) -> None:
        self.contacts.search_seconds = seconds

    def routes(self) -> Iterable[Route]:
        return [
            *self.contacts.routes(),
            *self.stops.routes(),
            *self.account.routes(),
            Route("POST", "/mail/send", self.sender.send),
        ]

    def register(self, app: Flask) -> None:
        super().register(app)
        app.add_url_rule(f"{self.files_prefix}/<name>", "sendgrid_file", self._file)

    def _file(self, name: str) -> Response:
        content, _ = self.contacts.files.get(name, (None, ""))
        return Response(content, content_type="application/gzip") if content else self.problem(404)

    def problem(self, status: int, text: str = "", field: str | None = None) -> Response:
        error: dict[str, Any] = {"message": text or _TEXTS.get(status, "error")}
        if status not in {404, 500, 503}:
            error["field"] = field
        return reply({"errors": [error]}, status)

    def refuse(self, status: int, text: str = "", field: str | None = None) -> Refusal:
        """An answer that says no."""
        return Refusal(self.problem(status, text, field))

    def throttled(self) -> Response:
        response = self.problem(429)
        response.headers["X-RateLimit-Limit"] = "100"
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers["X-RateLimit-Reset"] = str(int(time.time() + self.trouble.wait()))
        return response

    def allow(self) -> None:
        login = request.authorization
        key = login.token if login and login.type == "bearer" else ""
        if not key or key.startswith("bad-"):
            raise self.refuse(401)
        if key.startswith("forbidden-"):
            raise self.refuse(403)

    # What people look at.

    def people(self) -> list[str]:
        with self.lock:
            self.jobs.settle()
            return list(dict.fromkeys([*self.contacts.all, *self.stops.people()]))

    def person(self, email: str) -> dict[str, Any]:
        email = plain(email)
        with self.lock:
            self.jobs.settle()
            contact = self.contacts.all.get(email)
            lists = [self.lists[one] for one in self.lists if contact and one in contact.lists]
            state = self.stops.state(email)
            left = [group["name"] for one, group in self.stops.groups.items() if email in self.stops.left[one]]
            return {
                "present": contact is not None,
                "status": state if contact or state != "active" else "suppressed" if left else None,
                "receives": [one for one in lists if not self.stops.reason(email, self.stops.group_named(one))],
                "link": str(self._link(contact.custom) if contact else ""),
                "lists": lists,
                "suppressed": left,
                "erased": email in self.erased,
            }

    def _link(self, custom: dict[str, Any]) -> Any:
        return next((value for key, value in custom.items() if self.fields.get(key, {}).get("name") == "prefs"), "")

    def purposes(self) -> list[str]:
        with self.lock:
            return [group["name"] for group in self.stops.groups.values()]

    def act(self, email: str, act: str, purpose: str) -> str:
        email = plain(email)
        with self.lock:
            return self._act(email, act, purpose)

    def _act(self, email: str, act: str, purpose: str) -> str:
        group_id = self.stops.group_named(purpose) if purpose else None
        if purpose and group_id is None:
            raise ActError(f"SendGrid has no group called {purpose!r}.")
        group = {"asm_group_id": group_id} if group_id else {}
        if act == "bounce":
            reason = "550 5.1.1 The email account that you tried to reach does not exist."
            self.stops.add("bounces", email, reason=reason, status="5.1.1")
            facts = {"type": "bounce", "status": "5.1.1", "reason": reason, "bounce_classification": "Invalid Address"}
            self.account.tell("bounce", email, **facts, **group)
            return "A mail bounced; SendGrid suppressed the address and tells the bridge."
        if act == "complain":
            self.stops.add("spam_reports", email, ip="192.0.2.9")
            self.account.tell("spamreport", email, **group)
            return "The reader reported spam; SendGrid suppressed the address and tells the bridge."
        if act == "unsubscribe" and group_id:
            self.stops.left[group_id][email] = moment.seconds()
            self.account.tell("group_unsubscribe", email, url="http://www.sendgrid.com/", ip="192.0.2.9", **group)
            return f"The reader left {purpose} at SendGrid, which tells the bridge."
        if act == "unsubscribe":
            self.stops.everywhere[email] = moment.seconds()
            self.account.tell("unsubscribe", email)
            return "The reader unsubscribed from everything at SendGrid, which tells the bridge."
        if act == "subscribe" and group_id:
            self.stops.left[group_id].pop(email, None)
            self.account.tell("group_resubscribe", email, url="http://www.sendgrid.com/", ip="192.0.2.9", **group)
            return f"The reader joined {purpose} again at SendGrid, which tells the bridge."
        if act in {"defer", "drop", "read"}:
            return self._happens(email, act, group_id)
        if act == "block":
            facts = {"type": "blocked", "status": "5.2.2", "reason": "552 5.2.2 over quota"}
            self.stops.add("blocks", email, reason=facts["reason"], status="5.2.2")
            self.account.tell("bounce", email, **facts, bounce_classification="Mailbox Unavailable")
            return "A full mailbox refused one mail; SendGrid suppresses nothing and tells the bridge."
        raise ActError(f"SendGrid knows no act {act!r}.")

    def _happens(self, email: str, act: str, group_id: int | None) -> str:
        """What becomes of a mail and stops nothing at SendGrid itself."""
        if act == "defer":
            facts = {"response": "452 4.2.2 over quota", "attempt": "2"}
            self.account.tell("deferred", email, **facts)
            return "A mail was deferred for the second time, which SendGrid tells the bridge."
        if act == "drop":
            reason = self.stops.reason(email, group_id)
            if not reason:
                raise ActError("SendGrid drops nothing to an address that it may mail.")
            self.account.tell(
                "dropped", email, reason=reason, status="5.0.0", **({"asm_group_id": group_id} if group_id else {})
            )
            return f"SendGrid dropped a mail ({reason}) and tells the bridge."
        for event in ("processed", "delivered", "open", "click"):
            self.account.tell(event, email)
        return "She got a mail, opened it and clicked; whoever asked SendGrid to tell such things hears it."
