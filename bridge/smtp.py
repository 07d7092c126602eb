"""Mail over SMTP: the transport for `smtp://` and `smtps://`."""

import smtplib
import ssl
from collections.abc import Callable, Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, localtime, parseaddr
from urllib.parse import unquote, urlsplit

from bridge.adapter import MailLater, MailRefused, Misconfigured, Transport
from bridge.vocabulary import Letter

_SECONDS = 10.0


class Smtp(Transport):
    """`smtp://user:pass@host:port` (STARTTLS where offered, required with a password) or `smtps://…`."""

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Read the address; connect later."""
        super().__init__(url, settings)
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if not parts.hostname or port == -1:
            raise Misconfigured("BRIDGE_MAIL_URL needs a host: smtp://user:password@mail.your-domain:587")
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = port or (465 if self._tls else 587 if parts.username else 25)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand one mail to the server."""
        message = build(letter)
        try:
            with self._connect() as server:
                _hand_over(server, letter, message, ready)
        except smtplib.SMTPResponseException as error:
            raise _verdict(error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _verdict(code, text) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailLater(f"mail server: {type(error).__name__}") from None

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=_SECONDS, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=_SECONDS)
        try:
            server.ehlo()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif not self._tls and self._user:
                raise MailRefused("mail server offers no encryption: the password was not sent; use smtps://")
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server


def build(letter: Letter) -> EmailMessage:
    """The message as it goes over the wire: text and HTML, one of each header, no folded addresses.

    Python's default policies turn a long URI into encoded words, which breaks List-Unsubscribe: hence the line length.
    """
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    for name, value in (
        ("From", letter.sender),
        ("To", _address(letter.to)),
        ("Reply-To", letter.reply_to),
        ("Subject", letter.subject),
        ("Date", format_datetime(localtime())),
        ("Message-ID", letter.message_id),
        *letter.headers.items(),
    ):
        message[name] = value
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for filename, media_type, content in letter.attachments:
        main, _, sub = media_type.partition("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=filename)
    return message


def _address(email: str) -> Address:
    return Address(addr_spec=email)


def _hand_over(server: smtplib.SMTP, letter: Letter, message: EmailMessage, ready: Callable[[], None]) -> None:
    international = not letter.to.isascii()
    if international and not server.has_extn("smtputf8"):
        raise MailRefused("mail server does not take international addresses (SMTPUTF8)", "5.6.7")
    sender = parseaddr(letter.sender)[1]
    _expect(server.mail(sender, ("SMTPUTF8", "BODY=8BITMIME") if international else ()), 250)
    _expect(server.rcpt(letter.to), 250, 251)
    _expect(server.docmd("DATA"), 354)
    ready()
    policy = SMTPUTF8.clone(max_line_length=998) if international else message.policy
    server.send(_dot_stuffed(message.as_bytes(policy=policy)) + b".\r\n")
    _expect(server.getreply(), 250)


def _dot_stuffed(data: bytes) -> bytes:
    text = data if data.endswith(b"\r\n") else data + b"\r\n"
    return text.replace(b"\r\n.", b"\r\n..")


def _expect(answer: tuple[int, bytes], *codes: int) -> None:
    if answer[0] not in codes:
        raise smtplib.SMTPResponseException(*answer)


def _verdict(code: int, text: bytes | str) -> Exception:
    """Later for 4xx, never for 5xx; the server's own words may hold the address and are dropped."""
    words = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    first = words.partition(" ")[0]
    enhanced = first if first.count(".") == 2 and first.replace(".", "").isdigit() else ""
    if 500 <= code < 600:
        return MailRefused(f"mail server answered {code}", enhanced)
    return MailLater(f"mail server answered {code}")
