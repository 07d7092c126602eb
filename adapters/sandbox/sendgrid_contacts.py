"""A toy SendGrid's contacts: stored only when a job has run, found by search only some time later."""

import csv
import gzip
import io
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response, json, request

from adapters.sandbox import moment
from adapters.sandbox.addresses import plain, valid
from adapters.sandbox.esp import Route, body_of, fields_of, reply
from adapters.sandbox.jobs import Work
from adapters.sandbox.keep import Kept

if TYPE_CHECKING:
    from adapters.sandbox.sendgrid import SendGrid

#: Most characters per reserved field.
RESERVED = {
    "address_line_1": 100, "address_line_2": 100, "city": 60, "country": 50, "email": 254, "first_name": 50,
    "last_name": 50, "postal_code": 50, "state_province_region": 50, "phone_number": 50, "whatsapp": 50, "line": 50,
    "facebook": 50, "unique_name": 50, "external_id": 254, "anonymous_id": 254, "phone_number_id": 254,
}  # fmt: skip
_IDENTIFIERS = ("email", "phone_number_id", "external_id", "anonymous_id")
#: Most characters of a custom text field.
TEXT = 1000


@dataclass
class Contact:
    """One person at SendGrid."""

    email: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    fields: dict[str, str] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    created: datetime = field(default_factory=moment.now)
    updated: datetime = field(default_factory=moment.now)
    stored: float = field(default_factory=time.monotonic)


class Contacts:
    """The marketing calls about people; the ESP's lock protects them."""

    def __init__(self, esp: "SendGrid") -> None:
        self.esp = esp
        self.search_seconds = 0.2
        self.clear()

    def clear(self) -> None:
        """Nobody is here."""
        self.all: dict[str, Contact] = Kept()
        self.files: dict[str, tuple[bytes, str]] = Kept()
        self.exports: dict[str, dict[str, Any]] = {}

    def routes(self) -> Iterable[Route]:
        """All addresses of this file."""
        base = "/marketing/contacts"
        return [
            Route("GET", base, self.newest),
            Route("PUT", base, self.put),
            Route("DELETE", base, self.delete),
            Route("GET", f"{base}/count", self.count),
            Route("GET", f"{base}/imports/<job_id>", self.job),
            Route("POST", f"{base}/search/emails", self.search),
            Route("GET POST", f"{base}/exports", self.start_export),
            Route("GET", f"{base}/exports/<export_id>", self.export),
            Route("GET", f"{base}/<contact_id>", self.one),
            Route("DELETE", "/marketing/lists/<list_id>/contacts", self.leave_list),
            Route("GET", "/marketing/lists/<list_id>/contacts/count", self.count_list),
        ]

    # Storing.

    def put(self) -> Response:
        body = body_of()
        rows, lists = self._checked(body)
        return reply({"job_id": self.esp.jobs.add(partial(self._store, rows, lists)).id}, 202)

    def _checked(self, body: Any) -> tuple[list[dict[str, Any]], list[str]]:
        """What can be refused at once."""
        refuse = self.esp.refuse
        if not isinstance(body, dict) or not isinstance(body.get("contacts"), list):
            raise refuse(400, "contacts is required", "contacts")
        if (request.content_length or 0) > 6_000_000:
            raise refuse(413, "payload too large")
        for name in body:
            if name not in {"contacts", "list_ids"}:
                raise refuse(400, "unknown property", name)
        rows, lists = body["contacts"], body.get("list_ids", [])
        if not 1 <= len(rows) <= 30_000:
            raise refuse(400, "contacts must have between 1 and 30000 entries", "contacts")
        if not isinstance(lists, list) or any(one not in [*self.esp.lists] for one in lists):
            raise refuse(400, "one or more list ids do not exist", "list_ids")
        for place, row in enumerate(rows):
            self._check_row(row, f"contacts[{place}]")
        return rows, lists

    def _check_row(self, row: Any, where: str) -> None:
        refuse = self.esp.refuse
        if not isinstance(row, dict) or not any(row.get(name) for name in _IDENTIFIERS):
            raise refuse(400, "at least one identifier is required", where)
        for name, value in row.items():
            if name in {"alternate_emails", "custom_fields"}:
                continue
            if name not in RESERVED:
                raise refuse(400, "unknown property", f"{where}.{name}")
            if not isinstance(value, str) or len(value) > RESERVED[name]:
                raise refuse(400, f"must be text of at most {RESERVED[name]} characters", f"{where}.{name}")
        custom = row.get("custom_fields", {})
        if not isinstance(custom, dict):
            raise refuse(400, "must be an object", f"{where}.custom_fields")
        for name in custom:
            if name not in self.esp.fields:
                raise refuse(400, "no custom field with this id", f"{where}.custom_fields.{name}")

    def _store(self, rows: list[dict[str, Any]], lists: list[str]) -> tuple[str, dict[str, Any]]:
        """The job itself; bad rows are told in a file, good ones are stored."""
        results: dict[str, Any] = {"requested_count": len(rows), "errored_count": 0, "errors_url": ""}
        if self.esp.trouble.mode == "contact_limit":
            return "failed", {**results, "errored_count": len(rows)}
        results |= {"created_count": 0, "updated_count": 0, "deleted_count": 0}
        bad: list[tuple[str, str]] = []
        for row in rows:
            if reason := _bad(row):
                bad.append((str(row.get("email", "")), reason))
            else:
                results[self._store_row(row, lists)] += 1
        if bad:
            results["errored_count"] = len(bad)
            results["errors_url"] = self.keep_file(_table(["EMAIL", "ERROR"], bad), "csv")
        return ("errored" if bad else "completed"), results

    def _store_row(self, row: dict[str, Any], lists: list[str]) -> str:
        email = plain(row.get("email", ""))
        key = email or next(str(row[name]) for name in _IDENTIFIERS if row.get(name))
        known = self.all.get(key)
        contact = known or self.all.setdefault(key, Contact(email))
        contact.fields |= {name: value for name, value in row.items() if name in RESERVED and name != "email"}
        contact.custom |= row.get("custom_fields", {})
        contact.lists |= set(lists)
        contact.updated = moment.now()
        return "updated_count" if known else "created_count"

    # Going.

    def delete(self) -> Response:
        if request.args.get("delete_all_contacts") == "true":
            return self._later(partial(self._drop, None))
        return self._later(partial(self._drop, self._ids("ids")))

    def _drop(self, ids: set[str] | None) -> tuple[str, dict[str, Any]]:
        """Forget these contacts, or all."""
        for key in [key for key, one in self.all.items() if ids is None or one.id in ids]:
            del self.all[key]
        return "completed", {}

    def leave_list(self, list_id: str) -> Response:
        if list_id not in self.esp.lists:
            raise self.esp.refuse(404, "not found")
        return self._later(partial(self._take_off, list_id, self._ids("contact_ids")))

    def _take_off(self, list_id: str, ids: set[str]) -> tuple[str, dict[str, Any]]:
        for key in [key for key, one in self.all.items() if one.id in ids]:
            self.all[key].lists.discard(list_id)
        return "completed", {}

    def _ids(self, name: str) -> set[str]:
        ids = {one for one in request.args.get(name, "").split(",") if one}
        if not ids:
            raise self.esp.refuse(400, f"{name} is required", name)
        return ids

    def _later(self, work: Work) -> Response:
        return reply({"job_id": self.esp.jobs.add(work, kind="delete").id}, 202)

    # Asking.

    def job(self, job_id: str) -> Response:
        job = self.esp.jobs.look(job_id)
        if job is None:
            raise self.esp.refuse(404, "not found")
        answer: dict[str, Any] = {
            "id": job.id,
            "status": job.status,
            "job_type": job.kind,
            "results": dict(job.results),
        }
        if answer["results"].get("errors_url"):
            answer["results"]["errors_url"] = self.link(answer["results"]["errors_url"])
        answer["started_at"] = _stamp(job.started)
        if job.finished:
            answer["finished_at"] = _stamp(job.finished)
        return reply(answer)

    def search(self) -> Response:
        body = body_of()
        emails = body.get("emails") if isinstance(body, dict) else None
        if not isinstance(emails, list) or not 1 <= len(emails) <= 100:
            raise self.esp.refuse(400, "emails must have between 1 and 100 entries", "emails")
        if not all(valid(one) for one in emails):
            raise self.esp.refuse(400, "one or more emails are invalid", "emails")
        found: dict[str, Any] = {}
        for email in dict.fromkeys(map(plain, emails)):
            contact = self.all.get(email)
            visible = contact is not None and time.monotonic() - contact.stored >= self.search_seconds
            found[email] = {"contact": self.view(contact)} if contact and visible else {"error": "contact not found"}
        if not any("contact" in one for one in found.values()):
            raise self.esp.refuse(404, "not found")
        return reply({"result": found})

    def newest(self) -> Response:
        newest = sorted(self.all.values(), key=lambda one: one.updated, reverse=True)[:50]
        return reply({"result": [self.view(one) for one in newest], "contact_count": len(self.all), "_metadata": {}})

    def count(self) -> Response:
        return reply({"contact_count": len(self.all), "billable_count": len(self.all)})

    def count_list(self, list_id: str) -> Response:
        if list_id not in self.esp.lists:
            raise self.esp.refuse(404, "not found")
        held = sum(list_id in one.lists for one in self.all.values())
        return reply({"contact_count": held, "billable_count": held})

    def one(self, contact_id: str) -> Response:
        for contact in self.all.values():
            if contact.id == contact_id:
                return reply(self.view(contact))
        raise self.esp.refuse(404, "not found")

    def view(self, contact: Contact) -> dict[str, Any]:
        """A contact as the API shows it: custom fields by name."""
        names = self.esp.fields
        return {
            **dict.fromkeys(RESERVED, ""),
            **contact.fields,
            "id": contact.id,
            "email": contact.email,
            "alternate_emails": [],
            "list_ids": sorted(contact.lists),
            "segment_ids": [],
            "custom_fields": {names[key]["name"]: value for key, value in contact.custom.items() if key in names},
            "created_at": _stamp(contact.created),
            "updated_at": _stamp(contact.updated),
        }

    # Exports.

    def start_export(self) -> Response:
        if request.method == "GET":
            return reply({"result": [self._export_view(one) for one in self.exports], "_metadata": {}})
        body = fields_of()
        lists, kind = body.get("list_ids", []), body.get("file_type", "csv")
        if (
            kind not in ("csv", "json")
            or not isinstance(lists, list)
            or any(one not in [*self.esp.lists] for one in lists)
        ):
            raise self.esp.refuse(400, "unknown file type or list", "list_ids")
        export_id = str(uuid.uuid4())
        self.exports = {one: known for one, known in self.exports.items() if known["job"] in self.esp.jobs.all}
        self.exports[export_id] = {"job": self.esp.jobs.add(partial(self._export, lists, kind), kind="export").id}
        return reply({"id": export_id, "_metadata": {}}, 202)

    def _export(self, lists: list[str], kind: str) -> tuple[str, dict[str, Any]]:
        chosen = [one for one in self.all.values() if not lists or one.lists & set(lists)]
        return "ready", {"file": self.keep_file(self._file(chosen, kind), kind), "count": len(chosen)}

    def export(self, export_id: str) -> Response:
        known = self.exports.get(export_id)
        if known is None or self.esp.jobs.look(known["job"]) is None:
            raise self.esp.refuse(404, "not found")
        return reply(self._export_view(export_id))

    def _export_view(self, export_id: str) -> dict[str, Any]:
        job = self.esp.jobs.all[self.exports[export_id]["job"]]
        view: dict[str, Any] = {"id": export_id, "status": job.status, "urls": [], "created_at": _stamp(job.started)}
        view |= {
            "updated_at": _stamp(job.finished or job.started),
            "expires_at": _stamp(job.started + timedelta(days=3)),
        }
        if job.finished:
            view |= {"urls": [self.link(job.results["file"])], "contact_count": job.results["count"]}
            view["completed_at"] = _stamp(job.finished)
        return view

    def _file(self, chosen: list[Contact], kind: str) -> bytes:
        views = [self.view(one) for one in chosen]
        if kind == "json":
            return "".join(json.dumps({"contact_id": one["id"], **one}) + "\n" for one in views).encode()
        custom = [one["name"] for one in self.esp.fields.values()]
        head = [name.upper() for name in RESERVED] + ["CONTACT_ID", "CREATED_AT", "UPDATED_AT", *custom]
        rows = [
            [*(one[name] for name in RESERVED), one["id"], one["created_at"], one["updated_at"]]
            + [one["custom_fields"].get(name, "") for name in custom]
            for one in views
        ]
        return _table(head, rows)

    def keep_file(self, content: bytes, kind: str) -> str:
        """Keep a result for download; its name."""
        name = f"{uuid.uuid4()}.{kind}.gz"
        self.files[name] = (gzip.compress(content), kind)
        for old in list(self.files)[:-100]:
            del self.files[old]
        return name

    def link(self, name: str) -> str:
        """Where a kept file is; no key needed, as with the real one's signed links."""
        return f"{request.host_url}{self.esp.files_prefix[1:]}/{name}"


def _bad(row: dict[str, Any]) -> str:
    """Why a row is refused while the job runs; empty when it is fine."""
    email = row.get("email")
    if email is not None and (not valid(email) or plain(email).startswith("invalid")):
        return "invalid email"
    if any(isinstance(value, str) and len(value) > TEXT for value in row.get("custom_fields", {}).values()):
        return "custom field too long"
    return ""


def _table(head: list[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
