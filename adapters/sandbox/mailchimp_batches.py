"""A toy Mailchimp's bulk calls: operations that run later as a batch, and many members in one direct call."""

import io
import secrets
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response, json, request

from adapters.sandbox.esp import Refusal, Route, body_of, reply
from adapters.sandbox.mailchimp_audience import Audience, Wrong, hashed

if TYPE_CHECKING:
    from adapters.sandbox.mailchimp import Mailchimp

#: Most members of one direct call, and most batches that may wait.
MOST = 500
_KNOWN = "is already a list member, do you want to update? please provide update_existing:true in the request body"


def routes(esp: "Mailchimp") -> list[Route]:
    """All addresses of this file."""
    here = Bulk(esp)
    return [
        Route("POST", "/lists/<list_id>", here.members),
        Route("GET", "/batches", here.batches),
        Route("POST", "/batches", here.start_batch),
        Route("GET", "/batches/<batch_id>", here.batch),
    ]


class Bulk:
    """The calls; the ESP's lock protects them."""

    def __init__(self, esp: "Mailchimp") -> None:
        self.esp = esp

    def _invalid(self, **fields: str) -> Refusal:
        return Refusal(self.esp.problem(400, title="Invalid Resource", fields=fields))

    def members(self, list_id: str) -> Response:
        """Answers 200 even when every member failed, and with `update_existing` it overrides people who left."""
        audience = self.esp.known(list_id)
        body = body_of()
        rows = body.get("members") if isinstance(body, dict) else None
        if not isinstance(rows, list) or len(rows) > MOST:
            raise self._invalid(members=f"Schema describes array of at most {MOST}.")
        answer: dict[str, Any] = {"new_members": [], "updated_members": [], "errors": []}
        for row in rows:
            place, entry = self._member(audience, row, update=bool(body.get("update_existing")))
            answer[place].append(entry)
        counts = {"total_created": len(answer["new_members"]), "total_updated": len(answer["updated_members"])}
        return reply({**answer, **counts, "error_count": len(answer["errors"]), "_links": []})

    def _member(self, audience: Audience, row: Any, *, update: bool) -> tuple[str, dict[str, Any]]:
        email = str(row.get("email_address", "")) if isinstance(row, dict) else ""
        if hashed(email) in audience.members and not update:
            return "errors", _error(email, f"{email} {_KNOWN}", code="ERROR_CONTACT_EXISTS")
        try:
            member, before = audience.put(hashed(email), row)
        except Wrong as wrong:
            field, message = next(iter(wrong.fields.items()), ("", ""))
            return "errors", _error(email, wrong.detail, field, message)
        return ("updated_members" if before else "new_members"), self.esp.view(member)

    def batches(self) -> Response:
        views = [self._batch_view(one) for one in self.esp.batches]
        return reply({"batches": views, "total_items": len(views), "_links": []})

    def start_batch(self) -> Response:
        body = body_of()
        operations = body.get("operations") if isinstance(body, dict) else None
        if not isinstance(operations, list) or not operations or not all(_is_operation(one) for one in operations):
            raise self._invalid(operations="Schema describes array, something else found instead")
        if sum(job.finished is None for job in self.esp.jobs.all.values()) >= MOST:
            raise Refusal(self.esp.problem(429, f"You have more than {MOST} pending batches."))
        batch_id = secrets.token_hex(5)
        login = request.headers.get("Authorization", "")
        job = self.esp.jobs.add(partial(self._run, batch_id, operations, login), kind="batch")
        self.esp.batches[batch_id] = {"job": job.id, "total": len(operations)}
        self._forget_old()
        return reply(self._batch_view(batch_id))

    def _forget_old(self) -> None:
        for old in [one for one, known in self.esp.batches.items() if known["job"] not in self.esp.jobs.all]:
            del self.esp.batches[old]
            self.esp.files.pop(old, None)

    def batch(self, batch_id: str) -> Response:
        known = self.esp.batches.get(batch_id)
        if known is None or self.esp.jobs.look(known["job"]) is None:
            raise Refusal(self.esp.problem(404))
        return reply(self._batch_view(batch_id))

    def _batch_view(self, batch_id: str) -> dict[str, Any]:
        known = self.esp.batches[batch_id]
        job = self.esp.jobs.all[known["job"]]
        done = job.finished is not None
        link = f"{request.host_url}{self.esp.files_prefix[1:]}/{batch_id}-response.tar.gz"
        return {
            "id": batch_id,
            "status": "finished" if done else "pending",
            "total_operations": known["total"],
            "finished_operations": known["total"] if done else 0,
            "errored_operations": job.results.get("errored", 0),
            "submitted_at": job.started.isoformat(timespec="seconds"),
            "completed_at": job.finished.isoformat(timespec="seconds") if job.finished else "",
            "response_body_url": link if done else "",
            "_links": [],
        }

    def _run(self, batch_id: str, operations: list[dict[str, Any]], login: str) -> tuple[str, dict[str, Any]]:
        """Do every operation as a call of its own; one bad one never stops the others."""
        if self.esp.jobs.mixer:
            operations = self.esp.jobs.mixer.sample(operations, len(operations))
        results = [self._one(operation, login) for operation in operations]
        self.esp.files[batch_id] = _packed(batch_id, results)
        return "finished", {"errored": sum(one["status_code"] >= 400 for one in results)}

    def _one(self, operation: Mapping[str, Any], login: str) -> dict[str, Any]:
        answer = self.esp.app.test_client().open(
            self.esp.prefix + operation["path"],
            method=operation["method"],
            data=operation.get("body"),
            query_string={name: str(value) for name, value in (operation.get("params") or {}).items()},
            headers={"Authorization": login},
            environ_overrides={"sandbox.inner": True},
        )
        return {
            "status_code": answer.status_code,
            "operation_id": operation.get("operation_id", ""),
            "response": answer.get_data(as_text=True),
        }


def _error(email: str, text: str, field: str = "", message: str = "", code: str = "ERROR_GENERIC") -> dict[str, Any]:
    return {"email_address": email, "error": text, "error_code": code, "field": field, "field_message": message}


def _is_operation(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and one.get("method") in ("GET", "POST", "PUT", "PATCH", "DELETE")
        and isinstance(one.get("path"), str)
        and one["path"].startswith("/")
        and isinstance(one.get("body") or "", str)
        and isinstance(one.get("params") or {}, dict)
    )


def _packed(batch_id: str, results: list[dict[str, Any]]) -> bytes:
    """The result file: a tar.gz with one JSON document in it."""
    content = json.dumps(results).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"{batch_id}.json")
        entry.size, entry.mtime = len(content), int(datetime.now(UTC).timestamp())
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
