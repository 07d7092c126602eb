"""AWS Lambda and its HTTP API on this machine: the real runtime client runs the unpacked zip, and nothing else of ours.

What is played here is what AWS documents of the Runtime API, of payload format 2.0 and of SQS event sources.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.aws import Played

#: What Lambda itself provides: the runtime client and what that stands on.
PROVIDED = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")


class Failed(Exception):
    """The function did not start, or raised; the text is what the runtime told of it."""


def provide(folder: Path) -> Path:
    """A folder with what Lambda provides, out of the tests' own environment."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROVIDED:
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (folder / origin.name).symlink_to(origin)
    return folder


class _Quiet(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, -1

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def body(self) -> bytes:
        """What was sent."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _serve(kind: type[_Quiet]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a function was ended in the middle of a call
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Function:
    """One function: a Runtime API of its own, and one process of the runtime client."""

    def __init__(
        self,
        name: str,
        handler: str,
        task: Path,
        provided: Path,
        environment: Mapping[str, str],
        log: Path,
        in_snapshot: Callable[[], object] | None = None,
    ) -> None:
        self.in_snapshot = in_snapshot
        self.name, self.timeout, self.log = name, 60.0, log
        self._events: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._pending: dict[str, Future[Any]] = {}
        self._ready, self._error = threading.Event(), ""
        self._api = _serve(self._runtime_api())
        address = f"127.0.0.1:{self._api.server_port}"
        told = {"FUNCTION_NAME": name, "RUNTIME_API": address, "FUNCTION_VERSION": "$LATEST", "LOG_FORMAT": "JSON"}
        told |= {"FUNCTION_MEMORY_SIZE": "512", "LOG_GROUP_NAME": "group", "LOG_STREAM_NAME": "stream"}
        given = {f"AWS_LAMBDA_{key}": value for key, value in told.items()} | {
            "PATH": os.environ["PATH"],
            "_HANDLER": handler,
            "LAMBDA_TASK_ROOT": str(task),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(task), str(provided)]),
            **environment,
        }
        # -S: this machine's own packages are not Lambda's.
        base = getattr(sys, "_base_executable", sys.executable)
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [base, "-S", "-m", "awslambdaric", handler], cwd=task, env=given, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            self._wait()
        except Failed:
            self.stop()
            raise

    def _runtime_api(self) -> type[_Quiet]:
        function = self

        class Api(_Quiet):
            def do_GET(self) -> None:
                """The next event. Without a content type the runtime client crashes."""
                if self.path.endswith("/restore/next"):  # a snapshot is taken and taken up (SnapStart)
                    if function.in_snapshot:
                        function.in_snapshot()
                    self.reply(200, b"{}", [("Content-Type", "application/json")])
                    return
                function._ready.set()
                item = function._events.get()
                if item is None:
                    self.close_connection = True
                    return
                headers = {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": item[0],
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + function.timeout) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:eu-central-1:1:function:{function.name}",
                }
                self.reply(200, item[1], list(headers.items()))

            def do_POST(self) -> None:
                """An answer, or an error."""
                body, parts = self.body(), self.path.split("/")
                self.reply(202, b"{}")
                if parts[-2:] == ["init", "error"]:
                    function._error = body.decode()
                    function._ready.set()
                    return
                waiting = function._pending.pop(parts[-2])
                if parts[-1] == "error":
                    waiting.set_exception(Failed(body.decode()))
                else:
                    waiting.set_result(json.loads(body))

        return Api

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while not self._ready.wait(0.02):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed(f"it did not start: {self.log.read_text(errors='replace')[-2000:]}")
        if self._error:
            raise Failed(self._error)

    def invoke(self, event: object) -> Any:
        """Run it once, and wait for what it returns."""
        name, waiting = str(uuid.uuid4()), Future[Any]()
        self._pending[name] = waiting
        self._events.put((name, json.dumps(event).encode()))
        return waiting.result(self.timeout)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(10)
        self._events.put(None)
        self._api.shutdown()
        self._api.server_close()


def event_of(
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, encoded: bool | None = None
) -> dict[str, Any]:
    """What an HTTP API makes of a request (payload 2.0). `encoded` says whether the body is base64; None = as AWS does."""
    parts, told = urlsplit(url), {name.lower(): value for name, value in headers.items()}
    cookies = told.pop("cookie", "")
    kind = told.get("content-type", "")
    if encoded is None:
        encoded = bool(body) and not kind.startswith(("text/", "application/json", "application/xml"))
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(parts.path),
        "rawQueryString": parts.query,
        "headers": {"host": "api.test", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", **told},
        "requestContext": {
            "stage": "$default",
            "http": {"method": method, "path": parts.path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9"},
        },
        "isBase64Encoded": encoded,
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if body:
        event["body"] = base64.b64encode(body).decode() if encoded else body.decode()
    return event


class HttpApi:
    """A gateway on loopback: the first route that fits gets the request, else the default."""

    def __init__(self) -> None:
        self.routes: list[tuple[str, Function]] = []
        self.default: Function | None = None
        self._server = _serve(self._gateway())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _gateway(self) -> type[_Quiet]:
        api = self

        class Gateway(_Quiet):
            def _any(self) -> None:
                headers: dict[str, str] = {}
                for name, value in self.headers.items():  # repeated ones are joined
                    headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
                event = event_of(self.command, self.path, headers, self.body())
                function = next((one for path, one in api.routes if self.path.startswith(path)), api.default)
                assert function is not None
                try:
                    told = function.invoke(event)
                except Exception:
                    self.reply(500, b'{"message":"Internal Server Error"}')
                    return
                body = (told.get("body") or "").encode()
                body = base64.b64decode(body) if told.get("isBase64Encoded") else body
                sent = [(name, value) for name, value in told["headers"].items() if name.lower() != "content-length"]
                self.reply(told["statusCode"], body, [*sent, *(("Set-Cookie", c) for c in told.get("cookies", ()))])

            do_GET = do_POST = do_HEAD = _any  # noqa: N815  (as http.server names them)

        return Gateway

    def stop(self) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()


def pump(aws: Played, url: str, function: Function) -> tuple[int, int]:
    """One poll of an SQS event source: messages handled, messages that failed and stay."""
    sqs = aws.client("sqs")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    if not messages:
        return 0, 0
    records = [{"messageId": one["MessageId"], "body": one["Body"]} for one in messages]
    try:
        told = function.invoke({"Records": records}) or {}
        failed = {one["itemIdentifier"] for one in told.get("batchItemFailures", [])}
    except Failed:
        failed = {one["MessageId"] for one in messages}
    for one in messages:
        if one["MessageId"] not in failed:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return len(messages) - len(failed), len(failed)


class Running:
    """What AWS does by itself: polls the queues and keeps the timetable, a minute of it each second."""

    def __init__(self, rounds: Sequence[Callable[[], object]]) -> None:
        self._rounds, self._stop = rounds, threading.Event()
        self.errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            for one in self._rounds:
                try:
                    one()
                except Exception as error:
                    self.errors.append(error)
