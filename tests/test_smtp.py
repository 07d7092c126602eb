"""Mail servers that refuse, hang, break off or offer no encryption: nothing is lost, nothing is given away.

RFC 5321, 3207, 4954, 6531; rule R7; rows ESP-06, CON-01, MIN-03.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.adapter import MailLater, MailRefused, Misconfigured
from bridge.smtp import Smtp, _dot_stuffed, build
from bridge.vocabulary import EventType, Letter, Status

LETTER = Letter(
    sender="De Dagwijzer <nieuws@post.dedagwijzer.example>",
    to="an.vandenberg@lezer.example",
    reply_to="lezers@dedagwijzer.example",
    subject="Bevestig je aanmelding",
    text="Beste lezer\n.\n..\n. een punt\n",
    html="<p>Beste lezer</p>",
    message_id="<id@post.dedagwijzer.example>",
)

#: What a friendly mail server says to each command.
FRIENDLY = {
    "": "220 mail.example ready",
    "EHLO": "250-mail.example\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    ".": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
}


class Talk:
    """One conversation, as a mail server saw it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data = b""

    @property
    def verbs(self) -> list[str]:
        """The commands, without what they say."""
        return [line.split(" ")[0].split(":")[0].upper() for line in self.lines]


@contextmanager
def server(**says: str | None) -> Iterator[tuple[str, Talk]]:
    """A mail server that says these things; None closes the line instead of answering, "" never answers."""
    answers = {**FRIENDLY, **{verb.replace("dot", ".").replace("hello", ""): text for verb, text in says.items()}}
    talk, over = Talk(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, answers, talk, over), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", talk
    finally:
        over.set()
        with suppress(OSError), socket.create_connection(listener.getsockname(), 1):
            pass  # nobody came: wake the one who waits
        listener.close()
        thread.join(10)


def _serve(listener: socket.socket, answers: dict[str, str | None], talk: Talk, over: threading.Event) -> None:
    with suppress(OSError):  # the other side broke off
        line, _ = listener.accept()
        _talk(line, answers, talk, over)


def _talk(line: socket.socket, answers: dict[str, str | None], talk: Talk, over: threading.Event) -> None:
    with line, line.makefile("rb") as file:
        if not _say(line, answers[""], over):
            return
        while heard := file.readline():
            text = heard.decode("utf-8", "replace").rstrip("\r\n")
            talk.lines.append(text)
            verb = text.split(" ")[0].split(":")[0].upper()
            if not _say(line, answers.get(verb, "502 5.5.1 what?"), over) or verb == "QUIT":
                return
            if verb == "DATA" and (answers["DATA"] or "").startswith("354"):
                while (part := file.readline()) not in (b".\r\n", b""):
                    talk.data += part
                if not _say(line, answers["."], over):
                    return


def _say(line: socket.socket, text: str | None, over: threading.Event) -> bool:
    if text is None:
        return False
    if text == "":
        over.wait(20)
        return False
    line.sendall(text.encode() + b"\r\n")
    return True


def send(address: str, letter: Letter = LETTER, *, scheme: str = "smtp", user: str = "") -> list[str]:
    """Hand one mail over; gives what was noted just before it left."""
    noted: list[str] = []
    Smtp(f"{scheme}://{user}{address}", {}).send(letter, lambda: noted.append("ready"))
    return noted


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience."""
    monkeypatch.setattr(Smtp, "seconds", 0.3)


# -- what a server may answer ------------------------------------------------------------------------------------


def test_a_mail_is_handed_over_and_noted_at_the_last_moment():
    """Decision 25: `ready` is called after the server agreed to take it and before the message goes out."""
    with server() as (address, talk):
        assert send(address) == ["ready"]
    assert talk.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert talk.lines[1] == "mail FROM:<nieuws@post.dedagwijzer.example>"
    assert talk.lines[2] == "rcpt TO:<an.vandenberg@lezer.example>"
    message = message_from_bytes(talk.data, policy=policy.default)
    assert message["To"] == "an.vandenberg@lezer.example"


@pytest.mark.parametrize(
    ("says", "error", "code", "noted"),
    [
        ({"RCPT": "550 5.1.1 no such mailbox"}, MailRefused, "5.1.1", 0),
        ({"RCPT": "550 5.7.1 policy"}, MailRefused, "5.7.1", 0),
        ({"RCPT": "550 no such user an.vandenberg@lezer.example"}, MailRefused, "", 0),
        ({"RCPT": "451 4.7.1 greylisted"}, MailLater, None, 0),
        ({"RCPT": "421 4.3.2 going down"}, MailLater, None, 0),
        ({"RCPT": None}, MailLater, None, 0),
        ({"MAIL": "550 5.1.2 sender domain unknown"}, MailLater, None, 0),
        ({"MAIL": "451 4.3.0 busy"}, MailLater, None, 0),
        ({"DATA": "554 5.6.0 no"}, MailRefused, "5.6.0", 0),
        ({"DATA": "451 4.3.0 no room"}, MailLater, None, 0),
        ({"DATA": None}, MailLater, None, 0),
        ({"dot": "550 5.7.1 looks like spam"}, MailRefused, "5.7.1", 1),
        ({"dot": "452 4.3.1 disk full"}, MailLater, None, 1),
        ({"dot": None}, MailLater, None, 1),
        ({"hello": "554 5.3.2 no service here"}, MailLater, None, 0),
        ({"hello": "421 4.3.2 too many connections"}, MailLater, None, 0),
        ({"hello": None}, MailLater, None, 0),
        ({"hello": "this is a web server"}, MailLater, None, 0),
    ],
)
def test_each_answer_gives_its_verdict(says, error, code, noted):
    """R7, ESP-06: 5xx about her or the message = never, everything else = later; what is about us loses no mail."""
    noticed: list[int] = []
    with server(**says) as (address, _talk), pytest.raises(error) as caught:
        Smtp(f"smtp://{address}", {}).send(LETTER, lambda: noticed.append(1))
    assert len(noticed) == noted
    if code is not None:
        assert caught.value.code == code
    assert "an.vandenberg" not in str(caught.value)
    assert "lezer.example" not in caught.value.reason


@pytest.mark.parametrize("bye", ["421 4.3.2 closing", "500 what?", None, ""])
def test_what_a_server_says_to_goodbye_changes_nothing(bye, quick):
    """Decision 25: it took the mail; a bad goodbye must not send it again."""
    with server(QUIT=bye) as (address, talk):
        assert send(address) == ["ready"]
    assert talk.data


@pytest.mark.parametrize("bye", ["421 4.3.2 closing", None])
def test_a_bad_goodbye_hides_no_refusal(bye):
    """R7: a dead address stays a dead address, whatever is said afterwards."""
    with server(RCPT="550 5.1.1 no such mailbox", QUIT=bye) as (address, _), pytest.raises(MailRefused) as caught:
        send(address)
    assert caught.value.code == "5.1.1"


@pytest.mark.parametrize("silent", ["hello", "EHLO", "RCPT", "DATA", "dot"])
def test_a_server_that_never_answers_is_left(silent, quick):
    """ESP-06: a time limit on every call; it ends as "later"."""
    with server(**{silent: ""}) as (address, _), pytest.raises(MailLater):
        send(address)


def test_the_limit_is_for_the_whole_mail(quick, monkeypatch):
    """ESP-06: a server that takes a little time for each answer cannot hold a lane for ever."""
    moments = iter(range(1000))
    monkeypatch.setattr("bridge.smtp.monotonic", lambda: next(moments) * 0.11)
    with server() as (address, talk), pytest.raises(MailLater):
        send(address)
    assert "DATA" not in talk.verbs


def test_nobody_listens():
    """ESP-06: a wrong port is "later", not a mail lost."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(MailLater):
            send(f"127.0.0.1:{port}")


# -- passwords and encryption ------------------------------------------------------------------------------------


def test_a_password_is_never_sent_in_the_open():
    """Without STARTTLS the server learns nothing and the operator reads what to do; the mail waits."""
    with server() as (address, talk), pytest.raises(MailLater, match=r"smtps://") as caught:
        send(address, user="carla:s3cret-for-tests@")
    assert "MAIL" not in talk.verbs
    assert not any("AUTH" in verb for verb in talk.verbs)
    assert "s3cret" not in "".join(talk.lines)
    assert "s3cret" not in str(caught.value)
    assert "not sent" in caught.value.reason[:64]


def test_a_refused_starttls_is_not_passed_over():
    """RFC 3207: no falling back to the open line."""
    hello = "250-mail.example\r\n250 STARTTLS"
    with server(EHLO=hello, STARTTLS="454 4.7.0 not now") as (address, talk), pytest.raises(MailLater):
        send(address, user="carla:s3cret-for-tests@")
    assert "MAIL" not in talk.verbs
    assert "AUTH" not in talk.verbs


def test_a_false_certificate_is_not_accepted(quick):
    """A server that says it is ready for TLS and is not, or not the one it says, gets neither password nor mail."""
    hello = "250-mail.example\r\n250 STARTTLS"
    with server(EHLO=hello, STARTTLS="220 go") as (address, talk), pytest.raises(MailLater):
        send(address, user="carla:s3cret-for-tests@")
    assert "MAIL" not in talk.verbs


def test_smtps_speaks_no_open_word(quick):
    """`smtps://` is encrypted from the first byte: an open server hears nothing it can read."""
    with server() as (address, talk), pytest.raises(MailLater):
        send(address, scheme="smtps", user="carla:s3cret-for-tests@")
    assert talk.data == b""
    assert "EHLO" not in talk.verbs


@pytest.mark.parametrize(
    "url", ["smtp://", "smtp:mail.example", "smtp://:25", "smtp://host:notaport", "smtp://carla:s3cret@host:99999"]
)
def test_an_address_without_a_host_or_port_is_named(url):
    """Wrong settings say which and how; never with the password."""
    with pytest.raises(Misconfigured, match="BRIDGE_MAIL_URL") as caught:
        Smtp(url, {})
    assert "s3cret" not in str(caught.value)


def test_the_port_follows_from_the_form():
    """25 for a neighbour, 587 with a password, 465 for smtps."""
    found = [Smtp(url, {})._port for url in ("smtp://h", "smtp://u:p@h", "smtps://u:p@h", "smtp://h:2525")]
    assert found == [25, 587, 465, 2525]


# -- bytes -------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b".", b"..", b". a", b"a.", b"", b"text"]), max_size=8))
@settings(deadline=None, max_examples=60)
def test_no_line_of_a_mail_can_end_it(lines):
    """RFC 5321 4.5.2: what arrives after un-stuffing is what was written, and no line is a lone dot on its way."""
    data = b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    sent = _dot_stuffed(data)

    on_the_way = sent.split(b"\r\n")
    assert b"." not in on_the_way
    assert b"\r\n".join(line.removeprefix(b".") for line in on_the_way) == data


def test_dots_arrive_as_they_were_written():
    """RFC 5321 4.5.2, over a real line."""
    with server() as (address, talk):
        send(address)
    received = b"".join(line[1:] if line.startswith(b".") else line for line in talk.data.splitlines(keepends=True))
    body = message_from_bytes(received, policy=policy.default).get_body(("plain",))
    assert body.get_content().splitlines() == LETTER.text.splitlines()


@pytest.mark.parametrize(
    ("to", "smtputf8", "rcpt"),
    [
        ("an@köln.example", False, "an@xn--kln-sna.example"),
        ("an@KÖLN.example", False, "an@xn--kln-sna.example"),
        ("jörg@köln.example", True, "jörg@köln.example"),
        ("jörg@lezer.example", True, "jörg@lezer.example"),
        ("an@straße.example", True, "an@straße.example"),  # "strasse" is somebody else's domain
    ],
)
def test_an_international_address_reaches_the_right_domain(to, smtputf8, rcpt):
    """RFC 6531, SUP-03: A-labels for servers of yesterday, SMTPUTF8 only where it is needed."""
    letter = Letter(**{name: getattr(LETTER, name) for name in Letter.__struct_fields__} | {"to": to})
    hello = "250-mail.example\r\n250-8BITMIME\r\n250 SMTPUTF8"
    with server(EHLO=hello if smtputf8 else FRIENDLY["EHLO"]) as (address, talk):
        send(address, letter)
    assert talk.lines[2] == f"rcpt TO:<{rcpt}>"
    assert ("SMTPUTF8" in talk.lines[1]) is smtputf8
    assert f"To: {rcpt}\r\n".encode() in talk.data


def test_a_server_without_smtputf8_refuses_an_international_mailbox_by_name():
    """RFC 6531: said, not mangled; and it does not count as a dead address (R7)."""
    letter = Letter(**{name: getattr(LETTER, name) for name in Letter.__struct_fields__} | {"to": "jörg@lezer.example"})
    with server() as (address, talk), pytest.raises(MailRefused) as caught:
        send(address, letter)
    assert caught.value.code == "5.6.7"
    assert "MAIL" not in talk.verbs


@pytest.mark.parametrize(
    "field", ["subject", "sender", "reply_to", "to", "message_id", "headers"], ids=lambda name: f"through {name}"
)
@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r"], ids=["crlf", "lf", "cr"])
def test_no_header_comes_in_through_a_name(field, break_):
    """Bad input: a line break in a header is refused; nothing is sent."""
    evil = f"x{break_}Bcc: dirk@lezer.example"
    values = {name: getattr(LETTER, name) for name in Letter.__struct_fields__}
    letter = Letter(**values | {field: {"X-Evil": evil} if field == "headers" else evil})
    with server() as (address, talk), pytest.raises(MailRefused):
        send(address, letter)
    assert talk.data == b""


# -- what the house makes of it ----------------------------------------------------------------------------------


def test_a_dead_address_stops_the_mail_and_is_known(house, an):
    """R7: 550 5.1.1 while she is subscribed: the mail is dropped, a bounce is recorded, the ESP is told."""
    an.has_consented()
    house.mailbox.refuse.add(an.email)
    house.clock.forward(minutes=6)
    house.client.post("/preferences", data={"email": an.email})
    house.dispatch()

    assert an.status() is Status.GIVEN
    assert not an.may().may
    assert an.may().why[0].startswith("bounced")
    bounce = next(event for event in an.story() if event.type is EventType.BOUNCED)
    assert bounce.source == "mail"
    assert not an.is_on()
    assert not any(task.waiting for task in house.store.tasks())


def test_a_dead_address_that_comes_back_is_alive_again(house, an):
    """R7: lifted by a confirmation from that address; the road to it stays open."""
    test_a_dead_address_stops_the_mail_and_is_known(house, an)
    house.mailbox.refuse.clear()
    house.clock.forward(days=2)
    an.signs_up()
    house.clock.forward(minutes=1)
    assert an.confirms().status_code == 200
    house.dispatch()

    assert an.may().may
    assert an.is_on()


def test_a_refusal_by_policy_is_not_held_against_her(house, an):
    """R7: 5.7.x is our fault, never the reader's."""
    an.has_consented()
    with server(RCPT="550 5.7.1 we do not like you") as (address, _):
        house.bridge.transport = Smtp(f"smtp://{address}", {})
        house.clock.forward(minutes=6)
        house.client.post("/preferences", data={"email": an.email})
        house.dispatch()

    assert an.may().may
    assert not any(task.waiting for task in house.store.tasks())


def test_a_busy_server_gets_the_mail_later(house, an):
    """CON-01: 451 puts it off; it arrives once."""
    house.mailbox.later.add(an.email)
    an.signs_up()
    house.dispatch()
    assert house.mailbox.to(an.email) == []

    house.mailbox.later.clear()
    house.clock.forward(minutes=1)
    house.dispatch()
    house.dispatch()
    assert len(house.mailbox.to(an.email)) == 1


@pytest.mark.parametrize("says", [{"dot": None}, {"DATA": None}, {"dot": ""}], ids=["dot", "data", "silence"])
def test_a_line_that_breaks_in_the_middle_loses_nothing(house, an, says, quick):
    """ESP-06: closed or silent in the middle of DATA; sent again, the same mail."""
    road = house.bridge.transport
    an.signs_up()
    with server(**says) as (address, _):
        house.bridge.transport = Smtp(f"smtp://{address}", {})
        house.dispatch()
    house.bridge.transport = road
    house.clock.forward(minutes=1)
    house.dispatch()

    assert len(house.mailbox.to(an.email)) == 1


def test_a_wrong_password_loses_no_mail(home, reader, caplog):
    """The operator changes a password at night: mail waits, and the log says why without it."""
    road = home.bridge.transport
    reader.signs_up()
    with server(EHLO="250 mail.example") as (address, _):
        home.bridge.transport = Smtp(f"smtp://carla:s3cret-for-tests@{address}", {})
        home.dispatch()
    assert "smtps://" in caplog.text
    assert "s3cret" not in caplog.text
    home.bridge.transport = road
    home.clock.forward(minutes=1)
    home.dispatch()
    assert len(home.mailbox.to(reader.email)) == 1


def test_the_servers_own_words_reach_no_log(home, reader, caplog):
    """MIN-03: mail servers quote the address they refuse."""
    home.mailbox.refuse.add(reader.email)
    reader.signs_up()
    home.dispatch()
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("bridge")]
    assert any("refused" in line for line in logged)
    assert not any("lezer.example" in line for line in logged)


def test_a_mail_has_one_of_each_header_and_both_forms():
    """RFC 5322 3.6."""
    message = build(LETTER)
    names = [name.lower() for name in message]
    assert len(names) == len(set(names))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
