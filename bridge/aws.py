"""Calls to AWS from whoever must start fast: secrets read at a start, a doorbell rung after a commit.

Written out with the standard library, because loading Amazon's SDK takes longer than everything else of a start
(Signature Version 4, docs.aws.amazon.com/IAM: "Create a signed AWS API request").
"""

import hmac
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

_JSON = {
    "secretsmanager": "application/x-amz-json-1.1",
    "sqs": "application/x-amz-json-1.0",
    "lambda": "application/json",
}

#: Answers are small: one secret is at most 64 KiB.
_MOST_BYTES = 1024 * 1024

#: Credentials that end sooner are fetched anew.
_SOON = timedelta(minutes=5)

_SECRET = re.compile(r"(arn:aws[\w-]*:secretsmanager:([a-z0-9-]+):\d+:secret:[\w/+=.@-]+)(?::([^:]*)(?::[^:]*){0,2})?")


class AwsError(Exception):
    """A call was refused or did not arrive; the text is a code, never a value."""


class Credentials(NamedTuple):
    """Who calls."""

    key: str
    secret: str
    token: str = ""
    ends: datetime | None = None


class Request(NamedTuple):
    """What is sent, before it is signed."""

    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def signed(request: Request, who: Credentials, service: str, region: str, now: datetime) -> dict[str, str]:
    """The headers of a POST, with its signature."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": request.host, "x-amz-date": moment}
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    path = quote(request.path, safe="/-_.~")  # which the caller has encoded once already
    asked = f"POST\n{path}\n\n{lines}\n{names}\n{sha256(request.body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(asked.encode()).hexdigest()}"
    key = f"AWS4{who.secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    told = f"Credential={who.key}/{scope}, SignedHeaders={names}, Signature={_mac(key, text).hex()}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {told}"}


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def is_there(environment: Mapping[str, str]) -> bool:
    """Whether this process may call AWS as somebody: on Lambda always, elsewhere where credentials are set."""
    named = ("AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return any(environment.get(name) for name in named)


class Aws:
    """AWS as seen with these settings. A line that was used stays open: a ring costs no new handshake."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        seconds: float = 5.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._environment, self._seconds, self._clock = environment, seconds, clock
        self._fetched: Credentials | None = None
        self._lines: dict[str, deque[HTTPConnection]] = {}

    def secret(self, arn: str, region: str) -> str:
        """The text that Secrets Manager keeps under an ARN."""
        text = self.call("secretsmanager", "GetSecretValue", {"SecretId": arn}, region=region).get("SecretString")
        if not isinstance(text, str):
            raise AwsError("a secret that is no text")
        return text

    def send(self, queue: str, body: str) -> None:
        """Put one message into an SQS queue, named by its URL."""
        self.queue(queue, "SendMessage", {"QueueUrl": queue, "MessageBody": body})

    def queue(self, queue: str, action: str, message: object) -> dict[str, Any]:
        """One call about an SQS queue, in its region."""
        region = self._environment.get("AWS_REGION", "")
        told = re.match(r"https://sqs\.([a-z0-9-]+)\.", queue)
        return self.call("sqs", f"AmazonSQS.{action}", message, region=told[1] if told else region)

    def invoke(self, function: str, event: object) -> None:
        """Have a Lambda function run, without waiting for it."""
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        self._post("lambda", path, {"X-Amz-Invocation-Type": "Event"}, json.dumps(event).encode())

    def call(self, service: str, target: str, message: object, *, region: str = "") -> dict[str, Any]:
        """One call of a JSON service."""
        target = target if "." in target else f"{service}.{target}"
        answer = self._post(service, "/", {"X-Amz-Target": target}, json.dumps(message).encode(), region)
        try:
            told = json.loads(answer or b"{}")
        except ValueError:
            raise AwsError("an answer that is no JSON") from None
        return told if isinstance(told, dict) else {}

    def close(self) -> None:
        """Let go of every line."""
        for lines in self._lines.values():
            while lines:
                lines.pop().close()

    # -- the line -----------------------------------------------------------------------------------------------

    def _post(self, service: str, path: str, headers: Mapping[str, str], body: bytes, region: str = "") -> bytes:
        region = region or self._environment.get("AWS_REGION") or self._environment.get("AWS_DEFAULT_REGION", "")
        if not region:
            raise AwsError("AWS_REGION is not set")
        base = urlsplit(self._endpoint(service, region))
        content = {"Content-Type": _JSON[service], **headers}
        request = Request(base.netloc, base.path.rstrip("/") + path, content, body)
        told = signed(request, self._credentials(), service, region, self._clock())
        lines = self._lines.setdefault(f"{base.scheme}://{base.netloc}", deque(maxlen=4))
        while True:
            line, used = (lines.pop(), True) if lines else (self._line(base.scheme, base.netloc), False)
            try:
                status, answer = _exchange(line, request.path, told, body)
            except (OSError, HTTPException) as error:
                line.close()
                if used:  # the other side let go of it while this process was frozen
                    continue
                raise AwsError(type(error).__name__) from None
            if len(lines) == lines.maxlen:
                line.close()
            else:
                lines.append(line)
            if status >= 300:
                raise AwsError(_code(status, answer))
            return answer

    def _line(self, scheme: str, host: str) -> HTTPConnection:
        kind = HTTPConnection if scheme == "http" else HTTPSConnection
        return kind(host, timeout=self._seconds)

    def _endpoint(self, service: str, region: str) -> str:
        """Where a service is; the variables are those of Amazon's own SDKs."""
        name = {"secretsmanager": "SECRETS_MANAGER"}.get(service, service.upper())
        told = self._environment.get(f"AWS_ENDPOINT_URL_{name}") or self._environment.get("AWS_ENDPOINT_URL")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return told or f"https://{service}.{region}.{suffix}"

    def _credentials(self) -> Credentials:
        """The function's own; after a snapshot was taken up (SnapStart) they are fetched, and end."""
        told = self._environment
        if url := told.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            if self._fetched is None or (self._fetched.ends and self._fetched.ends - self._clock() < _SOON):
                self._fetched = self._fetch(url)
            return self._fetched
        if key := told.get("AWS_ACCESS_KEY_ID"):
            return Credentials(key, told.get("AWS_SECRET_ACCESS_KEY", ""), told.get("AWS_SESSION_TOKEN", ""))
        raise AwsError("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

    def _fetch(self, url: str) -> Credentials:
        place = urlsplit(url)
        token = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        line = self._line(place.scheme, place.netloc)
        try:
            line.request(
                "GET", place.path + (f"?{place.query}" if place.query else ""), headers={"Authorization": token}
            )
            told = json.loads(_read(line.getresponse()))
            ends = datetime.fromisoformat(told["Expiration"])
            return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told["Token"], ends)
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            raise AwsError("no credentials from where the runtime says they are") from None
        finally:
            line.close()


class Secrets:
    """Secrets by ARN, each fetched once. With `:FIELD::` behind it an ARN means a field of a JSON secret, as in ECS.

    A field that is not there is empty, as a setting that is not set.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws, self._read = aws, dict[str, str]()

    def read(self, name: str) -> str:
        """One value."""
        found = _SECRET.fullmatch(name)
        if found is None:
            raise AwsError("no ARN of a secret")
        arn, region, field = found.groups()
        if arn not in self._read:
            self._read[arn] = self._aws.secret(arn, region)
        if not field:
            return self._read[arn]
        try:
            value = json.loads(self._read[arn]).get(field, "")
        except (ValueError, AttributeError):
            raise AwsError("a secret that is no JSON object") from None
        return value if isinstance(value, str) else json.dumps(value)


def _exchange(line: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    line.request("POST", path, body, dict(headers))
    answer = line.getresponse()
    return answer.status, _read(answer)


def _read(answer: HTTPResponse) -> bytes:
    body = answer.read(_MOST_BYTES)
    if not answer.isclosed():
        answer.close()
        raise HTTPException("too long an answer")
    return body


def _code(status: int, answer: bytes) -> str:
    """The name of an error, which AWS puts into `__type`; never its message."""
    with suppress(ValueError, AttributeError):
        name = str(json.loads(answer).get("__type", "")).rpartition("#")[2]
        if re.fullmatch(r"[A-Za-z]{1,64}", name):
            return f"{status} {name}"
    return str(status)
