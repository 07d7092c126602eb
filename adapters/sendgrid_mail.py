"""Single mails through SendGrid's mail/send: the transport for `sendgrid:`."""

import base64
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from typing import Any, ClassVar

from adapters._outcomes import Told
from adapters._sendgrid_api import SendGridApi, mapping
from adapters._sendgrid_contacts import Fields
from adapters._sendgrid_events import SendGridEvents
from adapters._sendgrid_setup import SendGridSetup
from bridge.adapter import AdapterError, Ears, MailLater, MailRefused, Misconfigured, Transport
from bridge.vocabulary import Finding, Letter

#: Nothing of SendGrid's may be added to a mail: no tracked links, no pixel, no second unsubscribe header.
_NO_TRACKING = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}


class SendGridMail(Transport):
    """`sendgrid:`, with SENDGRID_API_KEY and SENDGRID_BASE_URL; works on the EU host too.

    SendGrid has no idempotency key, so a retry after a timeout may send twice (decision 25). Its own suppression lists
    are never bypassed.
    """

    #: Limit of the call.
    seconds: ClassVar[float] = 10.0

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Check the key; open nothing."""
        super().__init__(url, settings)
        self._api = SendGridApi(settings, self.seconds)
        self._needs = SendGridSetup(self._api, settings, {}, Fields(self._api, {}))
        self._events = SendGridEvents(settings, lambda _group: ())  # our mails carry no unsubscribe group

    def ears(self) -> Ears:
        """The event webhook, also where no list lives at SendGrid."""
        return self._events

    def check(self, webhook: str = "") -> list[Finding]:
        """Key, its right to send, and the event webhook."""
        try:
            scopes = mapping(self._api.get("scopes")).get("scopes") or []
        except (AdapterError, Told) as error:
            return [Finding("sendgrid answers", False, str(error))]
        may = "mail.send" in scopes
        fix = "" if may else "the key lacks mail.send: give it under Settings > API Keys"
        hook = [self._needs.check_hook(webhook)] if webhook else []
        return [Finding("sendgrid answers", True), Finding("sendgrid key: may send mail", may, fix), *hook]

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand one mail over; 202 means SendGrid has it in its queue."""
        message = _message(letter)
        ready()
        try:
            self._api.post("mail", "send", body=message)
        except Told as told:
            if told.status >= 500:
                raise MailLater(f"sendgrid answered {told.status}", maybe=True) from None
            raise MailRefused(f"sendgrid answered {told.status}") from None
        except AdapterError as error:  # also a wrong key: the mail is good, the setting is not
            refused = isinstance(error, Misconfigured) or error.wait is not None
            raise MailLater(error.reason, error.wait, maybe=not refused) from None


def _message(letter: Letter) -> dict[str, Any]:
    message: dict[str, Any] = {
        "personalizations": [{"to": [{"email": letter.to}]}],
        "from": _person(letter.sender),
        "subject": letter.subject,
        "content": [
            {"type": kind, "value": text}
            for kind, text in (("text/plain", letter.text), ("text/html", letter.html))
            if text
        ],
        "headers": {**letter.headers, "Message-ID": letter.message_id},
        # Stored long and not treated as personal by SendGrid: opaque ids only.
        "custom_args": {"cb_mail": letter.message_id.strip("<>").partition("@")[0]},
        "tracking_settings": _NO_TRACKING,
    }
    if letter.reply_to:
        message["reply_to"] = _person(letter.reply_to)
    if letter.attachments:
        message["attachments"] = [
            {
                "content": base64.b64encode(content).decode(),
                "type": media_type,
                "filename": filename,
                "disposition": "attachment",
            }
            for filename, media_type, content in letter.attachments
        ]
    return message


def _person(written: str) -> dict[str, str]:
    name, email = parseaddr(written)
    return {"email": email, "name": name} if name else {"email": email}
