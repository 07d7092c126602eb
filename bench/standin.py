"""A stand-in for both ESPs: the few calls that telling people takes, answered quickly, in a process of its own.

It speaks TLS as they do: `python -m bench.standin CERTIFICATE` writes there whom to trust, then prints its address.

It keeps what it is told of each member, answers batches with their results, and counts calls by kind. It checks little:
what the ESPs really do is played by `adapters.sandbox`, which is too slow for a million.
Each job is still open the first time it is asked for, so that waiting is seen.
"""

import asyncio
import io
import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from bench import reading, tls

_MEMBER = re.compile(r"/lists/[^/]+/members/([0-9a-f]{32})")
_OPEN = "waiting polls"

#: A person's own part of an address, so that calls of one kind are counted together.
_IDS = re.compile(r"[0-9a-f]{32}|[^/]*(?:@|%40)[^/]*|(?<=/)(?:job|batch)-\d+|(?<=/lists/)[^/]+|(?<=/groups/)[^/]+")

Answer = tuple[int, bytes]


class StandIn:
    """Both accounts."""

    def __init__(self) -> None:
        self.base = ""
        self.counts: Counter[str] = Counter()
        self.clear()

    def clear(self) -> None:
        """Nobody is here, nothing was asked."""
        self.counts.clear()
        self.sent = 0  # bytes of upserts
        self.members: dict[str, bytes] = {}  # Mailchimp's, by id: the body that was put last
        self.contacts: set[str] = set()  # SendGrid's, by address
        self.held = 0  # people both hold besides, by number, for whoever reads everybody
        self.batches: dict[str, Any] = {}
        self.looked: Counter[str] = Counter()

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """One call."""
        path, _, asked = path.partition("?")
        if path == "/counts":
            told = {"calls": self.counts, "bytes": self.sent, "members": len(self.members)}
            return 200, msgspec.json.encode({**told, "contacts": len(self.contacts)})
        if path == "/clear":
            self.clear()
            return 200, b"{}"
        if path.startswith("/hold/"):
            self.held = int(path.removeprefix("/hold/"))
            return 200, b"{}"
        if method == "GET" and (found := reading.answer(self, path, dict(parse_qsl(asked)))):
            return found
        if path.startswith("/3.0"):
            return self._mailchimp(method, path.removeprefix("/3.0"), body)
        return self._sendgrid(method, path.removeprefix("/v3"), body)

    def _count(self, esp: str, method: str, path: str) -> None:
        self.counts[f"{esp} {method} {_IDS.sub('*', path)}"] += 1

    # -- Mailchimp ------------------------------------------------------------------------------------------------

    def _mailchimp(self, method: str, path: str, body: bytes) -> Answer:
        if path.startswith("/batches/") and not path.endswith(".tar.gz"):
            return self._batch(path.removeprefix("/batches/"))
        self._count("mailchimp", method, path)
        if method == "POST" and path == "/batches":
            key = f"batch-{len(self.batches) + 1}"
            self.batches[key] = msgspec.json.decode(body)["operations"]
            return 200, msgspec.json.encode({"id": key, "status": "pending", "response_body_url": ""})
        if path.endswith("/result.tar.gz"):
            return 200, self._result(path.split("/")[2])
        return self._member(method, path, body)

    def _batch(self, key: str) -> Answer:
        operations = self.batches.get(key)
        if operations is None:
            return 404, _problem(404)
        self.looked[key] += 1
        done = self.looked[key] > 1
        self.counts[f"mailchimp {'batch is finished' if done else _OPEN}"] += 1
        count = len(operations) if done else 0
        told = {"id": key, "status": "finished" if done else "started", "total_operations": len(operations)}
        told |= {"finished_operations": count, "errored_operations": 0, "submitted_at": "", "completed_at": ""}
        url = f"{self.base}/3.0/batches/{key}/result.tar.gz" if done else ""
        return 200, msgspec.json.encode({**told, "response_body_url": url})

    def _result(self, key: str) -> bytes:
        results = []
        for operation in self.batches.pop(key):
            body = operation.get("body") or "{}"
            status, response = self._member(operation["method"], operation["path"].partition("?")[0], body.encode())
            told = {"status_code": status, "operation_id": operation.get("operation_id", "")}
            results.append({**told, "response": response.decode()})
        content, packed = msgspec.json.encode(results), io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            entry = tarfile.TarInfo(f"{key}.json")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    def _member(self, method: str, path: str, body: bytes) -> Answer:
        found = _MEMBER.fullmatch(path)
        if not found:
            return 200, b"{}"
        key = found[1]
        if method == "PUT":
            self.members[key] = body
        if key not in self.members:
            return 404, _problem(404)
        told = {"status": "subscribed", **json.loads(self.members[key])}
        if method == "PATCH":
            told |= json.loads(body)
            self.members[key] = msgspec.json.encode(told)
        told.setdefault("interests", {})
        return 200, msgspec.json.encode({"id": key, **told})

    # -- SendGrid -------------------------------------------------------------------------------------------------

    def _sendgrid(self, method: str, path: str, body: bytes) -> Answer:
        if path.startswith("/marketing/contacts/imports/"):
            return self._job(path.rpartition("/")[2])
        self._count("sendgrid", method, path)
        match method, path:
            case "PUT", "/marketing/contacts":
                rows = msgspec.json.decode(body)["contacts"]
                self.contacts.update(row["email"].lower() for row in rows)
                self.sent += len(body)
                key = f"job-{len(self.batches) + 1}"
                self.batches[key] = len(rows)
                return 202, msgspec.json.encode({"job_id": key})
            case "POST", "/marketing/contacts/exports":
                key = str(msgspec.json.decode(body).get("list_ids", [""])[0])
                return 202, msgspec.json.encode({"id": f"export-{key}", "_metadata": {}})
            case "GET", "/marketing/field_definitions":
                return 200, b'{"custom_fields":[{"id":"e1_T","name":"prefs","field_type":"Text"}]}'
            case "GET", _ if "/groups/" in path and not path.endswith("/suppressions"):
                return 200, b'{"id":1,"name":"newsletter"}'
            case "GET", _ if path.startswith("/asm/suppressions/global/"):
                return 200, b"{}"
            case ("GET", _) | ("POST", "/asm/groups/1/suppressions/search" | "/asm/groups/2/suppressions/search"):
                return 200, b"[]"
            case "POST", "/marketing/contacts/search/emails":
                return 404, b'{"errors":[{"message":"not found"}]}'
            case "DELETE", "/suppression/bounces" | "/suppression/spam_reports":  # of all whose addresses it is given
                return 204, b""
            case "DELETE", _:
                return 404, b'{"errors":[{"message":"not found"}]}'
        return 201, b"{}"

    def _job(self, key: str) -> Answer:
        count = self.batches.get(key)
        if count is None:
            return 404, b'{"errors":[{"message":"not found"}]}'
        self.looked[key] += 1
        done = self.looked[key] > 1
        self.counts[f"sendgrid {'upsert is finished' if done else _OPEN}"] += 1
        results = {"requested_count": count, "created_count": count, "errored_count": 0, "errors_url": ""}
        return 200, msgspec.json.encode(
            {"id": key, "status": "completed" if done else "pending", "results": results if done else {}}
        )


def _problem(status: int) -> bytes:
    return msgspec.json.encode({"title": "Resource Not Found", "status": status, "detail": "", "instance": ""})


class _Line(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, answer: Callable[[str, str, bytes], Answer]) -> None:
        self._answer, self._got = answer, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer whatever is whole."""
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[:end].decode("latin-1")
            found = re.search(r"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._got) < whole:
                if "\r\nexpect: 100" in head.lower():
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            method, path, _ = head.split(" ", 2)
            status, content = self._answer(method, path, bytes(self._got[end + 4 : whole]))
            del self._got[:whole]
            kind = "application/gzip" if path.endswith(".gz") else "application/json"
            self._transport.write(
                f"HTTP/1.1 {status} told\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
            )


async def _serve(certificate: Path) -> None:
    esp, context = StandIn(), tls.server(certificate)
    server = await asyncio.get_running_loop().create_server(lambda: _Line(esp.answer), "127.0.0.1", 0, ssl=context)
    esp.base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(f"{esp.base}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
