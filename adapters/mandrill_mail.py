"""Single mails through Mailchimp Transactional (Mandrill): the transport for `mandrill:`."""

import base64
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from typing import Any, ClassVar, TypeVar

import requests

from adapters._mandrill_events import MandrillEvents
from bridge.adapter import Ears, MailLater, MailRefused, Misconfigured, Transport
from bridge.vocabulary import Finding, Letter

_T = TypeVar("_T", dict[str, Any], list[Any])

HOST = "https://mandrillapp.com/api/1.0"

#: News without which a dead address or a complaint is not heard of.
_NEEDED = ("hard_bounce", "soft_bounce", "spam", "unsub", "reject")
_MAKE = f"add one under Settings > Webhooks with {', '.join(_NEEDED)}"

#: What Mandrill says of a mail that it will never send -> the code that says the same of an address.
_DEAD = {"hard-bounce": "5.1.1", "invalid": "5.1.3"}


class MandrillMail(Transport):
    """`mandrill:`, with MANDRILL_API_KEY. What became of the mails is told to MandrillEvents.

    There is no idempotency key, so a retry after a timeout may send twice (decision 25). Its own list of rejected
    addresses is never bypassed.
    """

    #: Limit of the call.
    seconds: ClassVar[float] = 10.0

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Check the key; open nothing."""
        super().__init__(url, settings)
        self._key = settings.get("MANDRILL_API_KEY", "").strip()
        if not self._key:
            raise Misconfigured("MANDRILL_API_KEY is missing: make a key under Settings > SMTP & API Info and set it")
        self._events = MandrillEvents(settings)

    def ears(self) -> Ears:
        """Its webhook."""
        return self._events

    def check(self, webhook: str = "") -> list[Finding]:
        """Key, and the webhook that tells of bounces and complaints with the key it is signed with."""
        try:
            self._ask("users/ping2", dict)
            hooks = self._ask("webhooks/list", list) if webhook else []
        except MailLater as error:
            return [Finding("mandrill answers", False, f"{error.reason}: look at MANDRILL_API_KEY")]
        return [Finding("mandrill answers", True), *([self._check_hook(hooks, webhook)] if webhook else [])]

    def _check_hook(self, hooks: Any, webhook: str) -> Finding:
        subject = "mandrill webhook"
        told = [one for one in hooks if isinstance(one, dict) and one.get("url") == webhook]
        if not told:
            return Finding(subject, False, f"there is none to {webhook}: {_MAKE}")
        missing = [name for name in _NEEDED if name not in (told[0].get("events") or ())]
        if missing:
            return Finding(subject, False, f"it does not tell of {', '.join(missing)}: {_MAKE}")
        if not self._events.knows(str(told[0].get("auth_key") or "")):
            return Finding(subject, False, "its calls are refused: set MANDRILL_WEBHOOK_KEY to the key that it shows")
        return Finding(subject, True)

    def _ask(self, what: str, kind: type[_T]) -> _T:
        """A question that changes nothing, and an answer of that kind; raises `MailLater`."""
        try:
            with requests.post(
                f"{HOST}/{what}", json={"key": self._key}, timeout=self.seconds, allow_redirects=False
            ) as told:
                status, answer = told.status_code, _json(told)
        except requests.RequestException as error:
            raise MailLater(f"mandrill: {type(error).__name__}") from None
        if status != 200 or not isinstance(answer, kind):
            name = answer.get("name") if isinstance(answer, dict) else None
            raise MailLater(f"mandrill: {name}" if name else f"mandrill answered {status}, and not as it should")
        return answer

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand one mail over; "sent" and "queued" both mean that Mandrill has it."""
        body = {"key": self._key, "message": _message(letter), "async": False}
        ready()
        try:
            with requests.post(f"{HOST}/messages/send", json=body, timeout=self.seconds, allow_redirects=False) as told:
                status, answer = told.status_code, _json(told)
        except requests.RequestException as error:
            begun = not isinstance(error, requests.ConnectTimeout)
            raise MailLater(f"mandrill: {type(error).__name__}", maybe=begun) from None
        _judge(status, answer)


def _judge(status: int, answer: Any) -> None:
    """Raise what an answer that is no yes means."""
    if isinstance(answer, dict):  # an error of the call: the mail was not taken
        name = answer.get("name")
        if name in ("Invalid_Key", "PaymentRequired", "ServiceUnavailable", "Unknown_Subaccount") or status == 429:
            raise MailLater(f"mandrill: {name}")
        if name == "ValidationError":
            raise MailRefused("mandrill: the mail is not valid")
        raise MailLater(f"mandrill answered {status}", maybe=True)
    if status != 200 or not isinstance(answer, list) or not answer or not isinstance(answer[0], dict):
        raise MailLater(f"mandrill answered {status}", maybe=True)
    became = answer[0].get("status")
    if became in ("rejected", "invalid"):
        reason = "invalid" if became == "invalid" else str(answer[0].get("reject_reason"))
        raise MailRefused(f"mandrill: {became}", _DEAD.get(reason, ""))


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _message(letter: Letter) -> dict[str, Any]:
    name, sender = parseaddr(letter.sender)
    headers = {**letter.headers, "Message-ID": letter.message_id}
    if letter.reply_to:
        headers["Reply-To"] = letter.reply_to
    return {
        "from_email": sender,
        "from_name": name,
        "to": [{"email": letter.to, "type": "to"}],
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
        "headers": headers,
        # Nothing of Mandrill's may be added to a mail: no tracked links, no pixel, and no copy is kept to look at.
        "track_opens": False,
        "track_clicks": False,
        "view_content_link": False,
        "auto_text": False,
        "attachments": [
            {"type": kind, "name": filename, "content": base64.b64encode(content).decode()}
            for filename, kind, content in letter.attachments
        ],
    }
