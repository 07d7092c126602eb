"""Calls to AWS without Amazon's SDK: signed as the SDK signs, secrets by ARN (`NAME_ARN`), errors that tell no value.

Interface section 3, decision 34; MIN-03.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.aws import Aws, AwsError, Credentials, Request, Secrets, signed
from bridge.doorbell import Bell
from bridge.settings import BadSetting, read_settings
from tests.aws import Played, played

SECRET = "s3cret-for-tests-only"


@pytest.fixture(scope="module")
def aws() -> Iterator[Played]:
    """Queues and secrets."""
    with played() as there:
        yield there


@pytest.fixture
def calls(aws: Played) -> Iterator[Aws]:
    """Who calls them."""
    with closing(Aws(aws.environment)) as ours:
        yield ours


_text = st.text("abcXYZ019-_", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=64),
    name=st.text("abcXYZ019-_:%", min_size=1, max_size=12),
    secret=_text,
    token=st.one_of(st.just(""), _text),
    value=st.text("ab  =/;", max_size=12),
    moment=st.integers(0, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_a_call_is_signed_as_amazons_sdk_signs_it(
    body: bytes, name: str, secret: str, token: str, value: str, moment: datetime
) -> None:
    """Signature Version 4: the same signature for every body, path, key, session token, header and moment."""
    from urllib.parse import quote

    path = f"/2015-03-31/functions/{quote(name, safe='')}/invocations"
    headers = {"Content-Type": "application/json", "X-Amz-Target": value}
    theirs = AWSRequest("POST", f"https://lambda.eu-central-1.amazonaws.com{path}", data=body, headers=headers)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    theirs.context["timestamp"] = stamp
    auth = SigV4Auth(TheirCredentials("AKIATEST", secret, token or None), "lambda", "eu-central-1")
    theirs.headers["X-Amz-Date"] = stamp
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    asked = auth.canonical_request(theirs)
    wanted = auth.signature(auth.string_to_sign(theirs, asked), theirs)

    request = Request("lambda.eu-central-1.amazonaws.com", path, headers, body)
    ours = signed(request, Credentials("AKIATEST", secret, token), "lambda", "eu-central-1", moment)
    assert ours["authorization"].rpartition("Signature=")[2] == wanted


# -- secrets -----------------------------------------------------------------------------------------------------


def test_a_secret_is_read_whole_or_by_field(aws: Played, calls: Aws) -> None:
    """As ECS names it: `ARN`, `ARN:FIELD::` or `ARN:FIELD`."""
    plain = aws.secret("plain", SECRET)
    fields = aws.secret("fields", {"link_keys": "k1:abc", "number": 5})
    secrets = Secrets(calls)
    assert secrets.read(plain) == SECRET
    assert secrets.read(f"{fields}:link_keys::") == secrets.read(f"{fields}:link_keys") == "k1:abc"
    assert secrets.read(f"{fields}:number::") == "5"


@pytest.mark.parametrize(
    ("arn", "why"),
    [
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AbCdEf", "ResourceNotFoundException"),
        ("arn:aws:ssm:eu-central-1:123456789012:parameter/x", "no ARN of a secret"),
        (SECRET, "no ARN of a secret"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_by_its_setting(
    aws: Played, environment: dict[str, str], arn: str, why: str
) -> None:
    """One line: the setting and AWS's code, never the value."""
    told = {**environment, **aws.environment, "BRIDGE_LINK_KEYS_ARN": arn}
    del told["BRIDGE_LINK_KEYS"]
    with pytest.raises(BadSetting, match=why) as caught:
        read_settings(told)
    assert str(caught.value).startswith("BRIDGE_LINK_KEYS_ARN: ")
    assert arn not in str(caught.value)


def test_a_field_that_is_not_there_is_a_setting_that_is_not_set(
    aws: Played, calls: Aws, environment: dict[str, str]
) -> None:
    """Fail closed: what must be set is named, as when it stands nowhere; a secret that has no fields is an error."""
    arn = aws.secret("empty", {"other": SECRET})
    text, items = aws.secret("text", SECRET), aws.secret("items", [SECRET])
    assert Secrets(calls).read(f"{arn}:link_keys::") == ""
    for name in (text, items):
        with pytest.raises(AwsError, match="no JSON object"):
            Secrets(calls).read(f"{name}:link_keys::")
    told = {**environment, **aws.environment, "BRIDGE_LINK_KEYS_ARN": f"{arn}:link_keys::"}
    del told["BRIDGE_LINK_KEYS"]
    with pytest.raises(BadSetting, match="BRIDGE_LINK_KEYS is missing: make one"):
        read_settings(told)


def test_settings_may_all_be_secrets_of_aws(aws: Played, environment: dict[str, str]) -> None:
    """`NAME_ARN` of ours and of an adapter in use; one secret that holds many is read once."""
    names = ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_MAIL_URL", "BRIDGE_ADAPTERS", "MEMORY_WEBHOOK_SECRET")
    arn = aws.secret("all", {name: environment[name] for name in names})
    told = {**environment, **aws.environment}
    for name in names:
        del told[name]
        told[f"{name}_ARN"] = f"{arn}:{name}::"
    read = read_settings(told)
    plain = read_settings(environment)
    assert (read.link_keys, read.vault_keys, read.mail_url) == (plain.link_keys, plain.vault_keys, plain.mail_url)
    assert read.environment["MEMORY_WEBHOOK_SECRET"] == environment["MEMORY_WEBHOOK_SECRET"]


def test_a_secret_given_twice_is_refused(aws: Played, environment: dict[str, str]) -> None:
    """Which of the two counts must not be a guess."""
    told = {**environment, **aws.environment, "BRIDGE_LINK_KEYS_ARN": aws.secret("twice", SECRET)}
    with pytest.raises(BadSetting, match="BRIDGE_LINK_KEYS and BRIDGE_LINK_KEYS_ARN are both set: keep one"):
        read_settings(told)


# -- the line ----------------------------------------------------------------------------------------------------


class _Runtime(BaseHTTPRequestHandler):
    """Gives credentials as Lambda does after a snapshot was taken up, and takes calls; closes each line after two."""

    protocol_version = "HTTP/1.1"
    ends: ClassVar[datetime]
    fetched: ClassVar[list[str]]
    calls: ClassVar[list[dict[str, Any]]]
    answer: ClassVar[tuple[int, bytes]]

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """The credentials."""
        self.fetched.append(self.headers["Authorization"])
        keys = {"AccessKeyId": "AKIASNAP", "SecretAccessKey": SECRET, "Token": "t", "Expiration": self.ends.isoformat()}
        self._reply(200, json.dumps(keys).encode())

    def do_POST(self) -> None:
        """A call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append({**dict(self.headers), "path": self.path, "body": body})
        self._reply(*self.answer)
        if len(self.calls) % 2 == 0:
            self.close_connection = True  # without saying so


@pytest.fixture
def runtime() -> Iterator[tuple[type[_Runtime], dict[str, str]]]:
    """Such a runtime, and how a function knows of it."""
    kind = type("Runtime", (_Runtime,), {"fetched": [], "calls": [], "answer": (200, b"{}")})
    kind.ends = datetime(2026, 11, 30, 12, tzinfo=UTC)  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield (
        kind,
        {
            "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the-runtime-knows",
        },
    )
    server.shutdown()
    thread.join(10)
    server.server_close()


MakeAws = Callable[[dict[str, str], Callable[[], datetime]], Aws]


@pytest.fixture
def made() -> Iterator[MakeAws]:
    """Whoever calls, at that moment; lines are closed in the end."""
    with ExitStack() as stack:
        yield lambda environment, clock: stack.enter_context(closing(Aws(environment, clock=clock)))


def test_credentials_of_a_snapshot_are_fetched_and_fetched_again_before_they_end(
    runtime: tuple[type[_Runtime], dict[str, str]], made: MakeAws
) -> None:
    """SnapStart: keys in the environment would be those of the snapshot."""
    kind, environment = runtime
    now = kind.ends - timedelta(hours=1)
    aws = made(environment, lambda: now)
    aws.invoke("worker", {"ring": []})
    aws.invoke("worker", {"ring": []})
    assert kind.fetched == ["the-runtime-knows"]
    now = kind.ends - timedelta(minutes=4)
    kind.ends += timedelta(hours=6)
    aws.invoke("worker", {"ring": []})
    assert len(kind.fetched) == 2
    assert all("Credential=AKIASNAP/" in call["authorization"] for call in kind.calls)


def test_a_bell_may_be_a_function(runtime: tuple[type[_Runtime], dict[str, str]]) -> None:
    """`BRIDGE_NUDGE=lambda:NAME`: it is run with the rows, and nobody waits for it."""
    kind, environment = runtime
    kind.ends = datetime.now(UTC) + timedelta(hours=1)
    with closing(Bell("lambda:worker", environment, lambda: None)) as bell:
        bell.ring(["m" * 22, 7])
    (call,) = kind.calls
    assert json.loads(call["body"]) == {"ring": ["m" * 22, 7]}
    assert call["path"].endswith("/functions/worker/invocations")
    assert call["x-amz-invocation-type"] == "Event"


def test_a_line_that_was_closed_while_the_function_was_frozen_is_opened_anew(
    runtime: tuple[type[_Runtime], dict[str, str]], made: MakeAws
) -> None:
    """Lambda freezes a function between events; what it finds then is a line that nobody holds."""
    kind, environment = runtime
    aws = made(environment, lambda: kind.ends - timedelta(hours=1))
    for _ in range(7):
        aws.invoke("worker", {"ring": ["m"]})
    assert len(kind.calls) == 7
    assert kind.calls[0]["path"] == "/2015-03-31/functions/worker/invocations"
    assert kind.calls[0]["x-amz-invocation-type"] == "Event", "nobody waits for what it does"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((403, json.dumps({"__type": "com.amazonaws#AccessDenied", "message": SECRET}).encode()), "403 AccessDenied"),
        ((400, json.dumps({"__type": f"x#{SECRET}!"}).encode()), "400"),
        ((500, SECRET.encode()), "500"),
        ((503, b"[]"), "503"),
        ((200, SECRET.encode()), "an answer that is no JSON"),
        ((200, b"{}"), "a secret that is no text"),
    ],
)
def test_an_error_is_a_code(
    runtime: tuple[type[_Runtime], dict[str, str]], made: MakeAws, answer: tuple[int, bytes], says: str
) -> None:
    """MIN-03: what AWS says about an error stays there."""
    kind, environment = runtime
    kind.answer = answer
    aws = made(environment, lambda: kind.ends - timedelta(hours=1))
    with pytest.raises(AwsError) as caught:
        aws.secret("arn:aws:secretsmanager:eu-central-1:1:secret:x", "eu-central-1")
    assert str(caught.value) == says


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_who_cannot_call_says_why(runtime: tuple[type[_Runtime], dict[str, str]], missing: str) -> None:
    """No region, no credentials."""
    _, environment = runtime
    del environment[missing]
    with pytest.raises(AwsError, match="AWS_"):
        Aws(environment).invoke("worker", {})


def test_nobody_there_is_an_error_and_no_wait(runtime: tuple[type[_Runtime], dict[str, str]]) -> None:
    """A refused connection."""
    _, environment = runtime
    environment |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x"}
    del environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    with pytest.raises(AwsError, match="ConnectionRefusedError"):
        Aws(environment).send("https://sqs.eu-central-1.amazonaws.com/1/q", "[]")
