"""Mail to the sandbox's mailbox: the transport for `sandbox:`. The bridge's side of the sandbox."""

import smtplib
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, localtime, parseaddr
from urllib.parse import urlsplit

from bridge.adapter import MailLater, MailRefused, Misconfigured, Transport
from bridge.vocabulary import Letter

_SECONDS = 10.0
#: Where the sandbox's mailbox listens when it was started without options.
_HOME = ("127.0.0.1", 8101)


class SandboxMail(Transport):
    """`sandbox:` for the mailbox on its usual port, or `sandbox://host:port`."""

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Read the address; connect later."""
        super().__init__(url, settings)
        parts = urlsplit(url)
        try:
            self.host, self.port = parts.hostname or _HOME[0], parts.port or _HOME[1]
        except ValueError:
            raise Misconfigured("BRIDGE_MAIL_URL: write sandbox: or sandbox://127.0.0.1:8101") from None

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Put one mail into the mailbox."""
        utf8 = not letter.to.isascii()
        policy = (SMTPUTF8 if utf8 else SMTP).clone(max_line_length=998)
        content = build(letter).as_bytes(policy=policy)
        options = ["SMTPUTF8", "BODY=8BITMIME"] if utf8 else []
        try:
            with smtplib.SMTP(self.host, self.port, timeout=_SECONDS) as server:
                server.ehlo()
                ready()
                server.sendmail(parseaddr(letter.sender)[1], [letter.to], content, options)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise verdict(code, text) from None
        except smtplib.SMTPResponseException as error:
            raise verdict(error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailLater(f"sandbox mailbox: {type(error).__name__}") from None


def build(letter: Letter) -> EmailMessage:
    """The message with long lines left whole: a folded List-Unsubscribe would be no address any more."""
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    message["From"] = letter.sender
    message["To"] = letter.to
    message["Reply-To"] = letter.reply_to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = letter.message_id
    for name, value in letter.headers.items():
        message[name] = value
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for filename, kind, content in letter.attachments:
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=filename)
    return message


def verdict(code: int, text: bytes | str) -> MailLater | MailRefused:
    """Later for 4xx, never for 5xx; the words are dropped, they may hold the address."""
    words = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    first = words.partition(" ")[0]
    enhanced = first if first.replace(".", "").isdigit() and first.count(".") == 2 else ""
    if 500 <= code < 600:
        return MailRefused(f"sandbox mailbox answered {code}", enhanced)
    return MailLater(f"sandbox mailbox answered {code}")
