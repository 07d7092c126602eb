"""Mail over SMTP: the transport for `smtp://`, `smtps://`, and `sandbox:` (the mailbox of `consent-bridge sandbox`)."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, localtime, parseaddr
from functools import cached_property
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from bridge.adapter import MailLater, MailRefused, Misconfigured, Transport
from bridge.vocabulary import Finding, Letter


class _Hurried(smtplib.SMTP):
    """A conversation that has to be over at `end`, however slowly each single answer comes."""

    def __init__(self, seconds: float, host: str, port: int, **options: Any) -> None:
        self._end = monotonic() + seconds
        super().__init__(host, port, timeout=seconds, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for an answer, but not longer than there is time."""
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock is not None:
            self.sock.settimeout(left)
        return super().getreply()


class _HurriedTls(_Hurried, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


class _Headers(HeaderRegistry):
    """Python makes a class for each header of a mail, which takes half of the time that a mail takes: once will do."""

    def __init__(self) -> None:
        super().__init__()
        self._made = dict[type, type]()

    def __getitem__(self, name: str) -> type:
        """The class for a header."""
        known = self.registry.get(name.lower(), self.default_class)
        if known not in self._made:
            self._made[known] = super().__getitem__(name)
        return self._made[known]


#: Python's default policies turn a long URI into encoded words, which breaks List-Unsubscribe: hence the line length.
_PLAIN = SMTP.clone(max_line_length=998, header_factory=_Headers())
_INTERNATIONAL = SMTPUTF8.clone(max_line_length=998, header_factory=_PLAIN.header_factory)

#: Where `sandbox:` finds its mailbox when it was started without options.
_SANDBOX = ("127.0.0.1", 8101)


class Smtp(Transport):
    """`smtp://user:pass@host:port` (STARTTLS where offered, required with a password) or `smtps://…`."""

    #: How long handing over one mail may take.
    seconds: ClassVar[float] = 10.0

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        """Read the address; connect later."""
        super().__init__(url, settings)
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        host = parts.hostname
        if parts.scheme == "sandbox" and port != -1:
            host, port = host or _SANDBOX[0], port or _SANDBOX[1]
        if not host or port == -1:
            raise Misconfigured("BRIDGE_MAIL_URL needs a host: smtp://user:password@mail.your-domain:587")
        self._tls = parts.scheme == "smtps"
        self._host = host
        self._port = port or (465 if self._tls else 587 if parts.username else 25)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")

    def send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand one mail to the server."""
        try:
            message = build(letter)
        except ValueError:
            raise MailRefused("the letter cannot be written as a mail") from None
        try:
            with self._connected() as server:
                _hand_over(server, letter, message, ready)
        except smtplib.SMTPResponseException as error:
            raise _verdict(error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailLater(f"mail server: {type(error).__name__}", maybe=True) from None

    def check(self, webhook: str = "") -> list[Finding]:  # noqa: ARG002  (a mail server tells nothing later)
        """Speak to the server as far as a mail would need it: name, encryption, password. No mail."""
        subject = f"mail server {self._host}:{self._port}"
        try:
            server = self._connect()
        except (MailLater, smtplib.SMTPException, OSError) as error:
            return [Finding(subject, False, self._fix(error))]
        told = ", encrypted" if isinstance(server.sock, ssl.SSLSocket) else "; it offers no encryption"
        told += ", and takes our password" if self._user else ""
        _goodbye(server)
        return [Finding(f"{subject} answers{told}", True)]

    def _fix(self, error: Exception) -> str:
        if urlsplit(self.url).scheme == "sandbox":
            return "the sandbox is not running: start `consent-bridge sandbox`, or set BRIDGE_MAIL_URL to a mail server"
        match error:
            case MailLater():
                return error.reason
            case smtplib.SMTPAuthenticationError():
                return f"it does not take user and password (answered {error.smtp_code}): look at BRIDGE_MAIL_URL"
            case smtplib.SMTPResponseException():
                return f"it does not let us in (answered {error.smtp_code}): ask who runs it whether we may send"
            case smtplib.SMTPNotSupportedError():
                return (
                    "it takes no password: leave user and password out of BRIDGE_MAIL_URL, or use its port for senders"
                )
            case socket.gaierror():
                return "there is no such host: look at BRIDGE_MAIL_URL"
            case ssl.SSLCertVerificationError():
                return "its certificate does not prove that name: write the name it was made for into BRIDGE_MAIL_URL"
            case ssl.SSLError():
                return "it does not speak TLS from the first byte: use smtp:// instead of smtps://"
            case ConnectionRefusedError():
                return "nobody listens there: look at host and port in BRIDGE_MAIL_URL"
            case TimeoutError():
                return "it does not answer: many networks close port 25; use port 587 or 465, or open the firewall"
        return f"the line broke ({type(error).__name__}): look at host and port in BRIDGE_MAIL_URL"

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A server that is ready to take mail. What it says to our goodbye changes nothing about the mail."""
        try:
            server = self._connect()
        except smtplib.SMTPResponseException as error:  # nothing to do with this mail: it must not be lost by it
            raise MailLater(f"mail server does not let us in (answered {error.smtp_code})") from None
        try:
            yield server
        finally:
            _goodbye(server)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Whom we believe who they are: read once, for all of a machine's certificates take longer than a mail."""
        return ssl.create_default_context()

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = _HurriedTls(self.seconds, self._host, self._port, context=self._trust)
        else:
            server = _Hurried(self.seconds, self._host, self._port)
        try:
            server.ehlo()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=self._trust)
                server.ehlo()
            elif not self._tls and self._user:
                raise MailLater("mail server offers no encryption: password not sent; use smtps://")
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server


def _goodbye(server: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        server.docmd("QUIT")
    server.close()


def build(letter: Letter) -> EmailMessage:
    """The message as it goes over the wire: text and HTML, one of each header, no folded addresses."""
    message = EmailMessage(policy=_PLAIN)
    for name, value in (
        ("From", letter.sender),
        ("To", _address(letter.to)),
        ("Reply-To", letter.reply_to),
        ("Subject", letter.subject),
        ("Date", format_datetime(localtime())),
        ("Message-ID", letter.message_id),
    ):
        message[name] = value
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for filename, media_type, content in letter.attachments:
        main, _, sub = media_type.partition("/")
        if main == "text":  # as text, so that its encoding is named
            message.add_attachment(content.decode(), subtype=sub, filename=filename, cte="quoted-printable")
        else:
            message.add_attachment(content, maintype=main, subtype=sub, filename=filename)
    for name, value in letter.headers.items():  # last: Python moves Content-Language into a part otherwise
        message[name] = value
    return message


def _address(email: str) -> Address:
    username, _, domain = _on_the_wire(email).rpartition("@")
    return Address(username=username, domain=domain)  # `addr_spec=` takes no international mailbox


def _on_the_wire(email: str) -> str:
    """An address as every mail server takes it: a domain in A-labels, where that loses nothing of the name."""
    local, _, domain = email.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        same = ascii_domain.encode("ascii").decode("idna") == domain.lower()
    except UnicodeError:
        same = False
    return f"{local}@{ascii_domain}" if local.isascii() and not domain.isascii() and same else email


def _hand_over(server: smtplib.SMTP, letter: Letter, message: EmailMessage, ready: Callable[[], None]) -> None:
    to = _on_the_wire(letter.to)
    international = not to.isascii()
    if international and not server.has_extn("smtputf8"):
        raise MailRefused("mail server does not take international addresses (SMTPUTF8)", "5.6.7")
    sender = parseaddr(letter.sender)[1]
    code, _text = server.mail(sender, ("SMTPUTF8", "BODY=8BITMIME") if international else ())
    if code != 250:  # about us, not about her: neither lost nor counted against her
        raise MailLater(f"mail server does not take our sender address (answered {code})")
    _expect(server.rcpt(to), 250, 251)
    _expect(server.docmd("DATA"), 354)
    ready()
    policy = _INTERNATIONAL if international else _PLAIN
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
