"""How Mailchimp is called and what its errors mean. The SDK (mailchimp-marketing 3.0.80) is known only here."""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from adapters._outcomes import INTERNAL, Told, retry_after
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Outcome, OutcomeKind

#: Seconds a call may take; the SDK's own limit is 120.
SECONDS = 20.0

_HOURS = 3600.0

#: How long to start no batch where too many of them wait.
_FULL = 60.0

#: After so many silent seconds a new line is opened: the other end, or what stands between, may have left the old one.
_IDLE = 10.0

#: What urllib3 calls a line that never stood: nothing went out on it.
_NO_LINE = frozenset({"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "SSLError"})


class _Meaning(NamedTuple):
    """One row of the table of errors: status, title and a hint in the detail, and what they mean for the member."""

    status: int
    title: str
    hint: str
    kind: OutcomeKind
    reason: str
    wait: float | None = None


_REFUSED, _LATER = OutcomeKind.REFUSED, OutcomeKind.LATER

#: What an error says about one member, first match first; an empty title or hint matches any.
#: Wordings as in contracts/samples/mailchimp-errors.json: the title decides, the detail only tells kinds of
#: "Invalid Resource" apart.
ERRORS: tuple[_Meaning, ...] = (
    _Meaning(400, "member in compliance state", "", _REFUSED, "compliance"),
    _Meaning(400, "forgotten email not subscribed", "", _REFUSED, "forgotten"),
    _Meaning(400, "member exists", "", _LATER, "member_exists"),
    _Meaning(400, "invalid resource", "signed up to a lot of lists", _LATER, "too_many_signups", 6 * _HOURS),
    _Meaning(400, "invalid resource", "looks fake", _REFUSED, "fake"),
    _Meaning(400, "invalid resource", "merge fields", _REFUSED, "merge_fields"),
    _Meaning(400, "invalid resource", "", _REFUSED, "schema"),
    _Meaning(400, "", "", _REFUSED, "bad_request"),
    _Meaning(404, "", "", _LATER, "not_found"),
    _Meaning(405, "", "", _REFUSED, "method_not_allowed"),
    _Meaning(500, "", "", _LATER, INTERNAL.reason),
)

#: Statuses that mean the whole account is busy or away, whoever was asked about.
_BUSY = {429: "too_many_requests", 502: "unavailable", 503: "unavailable", 504: "timeout"}

_KEY = re.compile(r"[0-9A-Za-z]+-([a-z]{2}[0-9]{1,4})")


def member_id(email: str) -> str:
    """Mailchimp's id of an address in any audience."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


class MailchimpApi:
    """One account. Answers are dictionaries; everything else is one of our errors."""

    def __init__(self, settings: Mapping[str, str], seconds: float) -> None:
        self._key = settings.get("MAILCHIMP_API_KEY", "")
        found = _KEY.fullmatch(self._key)
        if not found:
            raise Misconfigured(
                "MAILCHIMP_API_KEY must end in its data centre, like …-us21: copy it whole from Account > API keys"
            )
        base = settings.get("MAILCHIMP_BASE_URL", "") or f"https://{found[1]}.api.mailchimp.com/3.0"
        _check_base(base)
        #: Where it is called, and the data centre the key belongs to.
        self.base, self.centre = base.rstrip("/"), found[1]
        self.seconds = seconds
        self._spoke = 0.0
        self._asked = threading.local()
        logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines name members

    @cached_property
    def lists(self) -> Any:
        """The SDK's calls about audiences."""
        return self._client.lists

    def start_batch(self, body: bytes) -> dict[str, Any]:
        """The SDK's `batches.start` with a body that is JSON already: its own serialising costs more than the rest."""
        return self.call(self._kept, "POST", "/batches", data=body)

    def batch(self, job: str) -> dict[str, Any]:
        """The SDK's `batches.status`: how far a batch is, and where its result lies."""
        path = f"/batches/{quote(job, safe='')}"
        return self.call(self._kept, "GET", path, params={"fields": "status,response_body_url"})

    def content(self, path: str, params: Mapping[str, object]) -> bytes:
        """The body of a GET as it came: of a long page only what is looked at is decoded."""
        found: list[bytes] = []
        self.call(self._kept, "GET", path, taken=found.append, params=params)
        return found[0] if found else b"{}"

    @cached_property
    def ping(self) -> Any:
        """The SDK's call that only asks whether the key is good."""
        return self._client.ping

    @cached_property
    def files(self) -> Any:
        """A line for files that Mailchimp points to; our key does not travel on it."""
        from requests import Session

        return Session()

    @cached_property
    def _client(self) -> Any:
        from mailchimp_marketing import Client

        client = Client({"api_key": self._key, "timeout": self.seconds})
        # The SDK replaces every "server" in a URL by the data centre, wherever it stands; so we name the host.
        client.api_client.host = self.base
        client.api_client.server = ""
        client.api_client.request = partial(self._heeded, client.api_client.request)
        return client

    @cached_property
    def _line(self) -> Any:
        """A line that stays open from call to call: the SDK's new one for each costs more than a batch's people."""
        from http.cookiejar import DefaultCookiePolicy

        from requests import Session

        line = Session()
        line.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # the SDK keeps none either
        found = line.merge_environment_settings(self.base, {}, None, None, None)  # once, not at each call
        line.proxies, line.verify, line.trust_env = found["proxies"], found["verify"], False
        return line

    def _kept(self, verb: str, path: str, taken: Callable[[bytes], None] | None = None, **told: Any) -> Any:
        """One call as the SDK's client makes it, from its own settings, and with its own kind of answer.

        `taken` is given a good answer's body instead.
        """
        import requests
        from mailchimp_marketing.api_client import ApiClientError

        client, now = self._client.api_client, time.monotonic()
        if now - self._spoke > _IDLE:
            self._line.close()
        self._spoke = now
        told |= {"headers": client.default_headers, "auth": ("user", client.api_key), "timeout": client.timeout}
        try:
            answer = self._heeded(self._line.request, verb, client.host + path, **told)
            if taken is not None and answer.ok:
                taken(answer.content)
                return {}
            found = answer.json() if answer.ok else None
        except requests.JSONDecodeError:
            return answer
        except requests.RequestException as error:
            raise ApiClientError(error) from None
        return found if isinstance(found, dict) and found else answer

    def _heeded(self, request: Callable[..., Any], *args: Any, **told: Any) -> Any:
        """A call whose error will keep no header: how long we are to wait is noted before."""
        answer = request(*args, **told)
        self._asked.wait = retry_after(answer.headers)
        return answer

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One call with its time limit; the answer by its type, or `Told`, `AdapterError`, `Misconfigured`."""
        from mailchimp_marketing.api_client import ApiClientError
        from requests import Response

        self._asked.wait = None
        try:
            answer = method(*args, **kwargs)
        except ApiClientError as error:
            raise meaning_of(error.status_code, error.text, self._asked.wait) from None
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, Response):  # no body, `{}`, or a body that is not JSON: whatever the status
            if not answer.ok:
                raise meaning_of(answer.status_code, answer.text, self._asked.wait)
            if answer.content.strip() in (b"", b"{}"):
                return {}
        raise AdapterError("mailchimp: the answer is not JSON")


def meaning_of(status: int | None, text: object, wait: float | None = None) -> Exception:
    """The SDK's error in our words; `wait` is what was asked for with it. Its texts hold addresses: none is kept."""
    if status is None:
        return AdapterError(f"mailchimp: no answer ({type(text).__name__})", maybe=_went_out(text))
    title, detail = _problem(text)
    if status == 429 and "batches" in detail:  # 500 of them wait; direct calls go on
        return Told(Outcome(_LATER, "batches_full", _FULL, away=True), status)
    if status in _BUSY:
        return AdapterError(f"mailchimp: {_BUSY[status]}", wait, maybe=status in (502, 504))
    if status == 401 or (status == 403 and title):
        return Misconfigured("MAILCHIMP_API_KEY is not accepted: make a new key under Account > API keys and set it")
    if status == 403:  # documented for heavy load, then without a body
        return AdapterError("mailchimp: too_many_requests", wait)
    for row in ERRORS:
        if row.status == status and row.title in title and row.hint in detail:
            return Told(Outcome(row.kind, row.reason, row.wait), status)
    if status >= 500:
        return AdapterError("mailchimp: unavailable", wait)
    return Told(Outcome(_REFUSED, f"http_{status}"), status)


def _went_out(error: object) -> bool:
    """Whether a call without an answer may have been heard all the same."""
    cause = error.args[0] if isinstance(error, Exception) and error.args else None
    return type(getattr(cause, "reason", cause)).__name__ not in _NO_LINE


def _problem(text: object) -> tuple[str, str]:
    """Title and detail of an error body: a dictionary, or a string with JSON in it, or nothing of use."""
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except ValueError:
            return "", ""
    if not isinstance(text, dict):
        return "", ""
    return str(text.get("title", "")).lower(), str(text.get("detail", "")).lower()


def _check_base(base: str) -> None:
    parts = urlsplit(base)
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    raise Misconfigured("MAILCHIMP_BASE_URL must be https:// (http only for loopback): the key travels with it")
