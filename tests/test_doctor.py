"""What `doctor` finds wrong, each with its fix: the address, the clock, the domain, a received mail, a page, the house."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from werkzeug.wrappers import Request, Response

from bridge.jobs.doctor import address, domain, page, sample, times
from bridge.jobs.doctor import house as own_side
from bridge.vocabulary import Finding
from tests.conftest import House, Reader
from tests.name_server import names
from tests.served import Application, free_port, served

Made = Callable[..., House]


def wrong(findings: Iterable[Finding]) -> dict[str, str]:
    """What is wrong, by subject."""
    return {found.subject: found.fix for found in findings if not found.ok}


def notes(findings: Iterable[Finding]) -> dict[str, str]:
    """What is worth knowing."""
    return {found.subject: found.fix for found in findings if found.ok and found.fix}


# -- our address -------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> int:
    """Where the pages answer."""
    return free_port()


@pytest.fixture
def here(make_house: Made, sqlite_url: str, port: int) -> House:
    """A house whose address is on this machine; nobody answers there yet."""
    return make_house(sqlite_url, BRIDGE_BASE_URL=f"http://127.0.0.1:{port}")


def test_pages_that_answer_as_they_should_have_nothing_to_mend(here: House, port: int) -> None:
    """RFC 8058, WDR-06, HOOK-01: both encodings, GET and HEAD, a forged webhook call; and nobody was touched."""
    before = here.store.last_written()
    with served(here.app, port):
        findings = list(address.look(here.bridge))
    assert [found.fix for found in findings] == [""] * 5
    assert {"urlencoded", "multipart"} <= {
        word for found in findings for word in found.subject.replace(",", "").split()
    }
    assert here.store.last_written() == before


def test_pages_that_do_not_answer_are_one_line_with_the_command_that_starts_them(here: House) -> None:
    (found,) = address.look(here.bridge)
    assert not found.ok
    assert "consent-bridge serve" in found.fix


def in_front(app: Application, change: Callable[[Request, Response], Response | None]) -> Application:
    """A proxy in front of the pages that means well."""

    def application(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        answer = Response.from_app(app, environ)
        return (change(request, answer) or answer)(environ, start_response)

    return application


def redirects(request: Request, answer: Response) -> Response | None:
    """To its idea of our address."""
    if request.path.startswith("/u/"):
        return Response(status=308, headers={"Location": "https://www.dedagwijzer.example/"})
    return None


def sets_a_cookie(_request: Request, answer: Response) -> None:
    """On everything."""
    answer.set_cookie("balance", "node-2")


def takes_no_post(request: Request, _answer: Response) -> Response | None:
    """A firewall that knows better."""
    return Response(status=403) if request.method == "POST" else None


def caches(_request: Request, answer: Response) -> None:
    """What it should not."""
    answer.headers["Cache-Control"] = "public, max-age=600"


def answers_itself(request: Request, _answer: Response) -> Response | None:
    """A page of its own, whatever is asked."""
    return Response("Welcome!") if request.path.startswith("/u/") else None


def lets_everybody_in(request: Request, _answer: Response) -> Response | None:
    """At the webhook's address."""
    return Response(status=204) if request.path.startswith("/webhooks/") and request.method == "POST" else None


def hides_the_webhooks(request: Request, _answer: Response) -> Response | None:
    """Because they are not for readers."""
    return Response(status=404) if request.path.startswith("/webhooks/") else None


@pytest.mark.parametrize(
    ("change", "where", "fix"),
    [
        (redirects, "one-click unsubscribe, urlencoded (RFC 8058)", "redirect"),
        (redirects, "opening links changes nothing (GET, HEAD)", "redirect"),
        (sets_a_cookie, "one-click unsubscribe, multipart (RFC 8058)", "cookie"),
        (sets_a_cookie, "opening links changes nothing (GET, HEAD)", "cookie"),
        (takes_no_post, "one-click unsubscribe, multipart (RFC 8058)", "let POST to /u/ pass"),
        (caches, "opening links changes nothing (GET, HEAD)", "cache in front"),
        (answers_itself, "one-click unsubscribe, urlencoded (RFC 8058)", "consent-bridge serve"),
        (lets_everybody_in, "memory: its webhook reaches us", "not refused"),
        (hides_the_webhooks, "memory: its webhook reaches us", "let /webhooks/ pass"),
    ],
)
def test_what_stands_in_front_is_found_out(here: House, port: int, change: Any, where: str, fix: str) -> None:
    with served(in_front(here.app, change), port):
        found = wrong(address.look(here.bridge))
    (told,) = [told for subject, told in found.items() if subject.startswith(where)]
    assert fix in told


def test_a_look_that_writes_is_found_out(here: House, port: int) -> None:
    """WDR-06: a scanner's visit must leave nothing behind."""

    def writes(request: Request, _answer: Response) -> None:
        if request.method == "GET" and request.path.startswith("/confirm/"):
            here.store.ask_link("nobody@lezer.example", request.path[-6:], "nl")

    with served(in_front(here.app, writes), port):
        found = wrong(address.look(here.bridge))
    assert "something was written" in found["opening links changes nothing (GET, HEAD)"]


# -- the clock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "word"), [(200, " s fast"), (-3600, " s slow"), (20, "")])
def test_a_clock_that_is_off_is_named(home: House, port: int, seconds: int, word: str, monkeypatch: Any) -> None:
    """R1: the times of the evidence come from this clock."""

    def other(environ: Any, start_response: Any) -> Any:
        return Response(status=401)(environ, start_response)  # the server adds the time, also to a no

    monkeypatch.setattr(type(home.bridge.adapters["memory"]), "site", f"http://127.0.0.1:{port}/3.0")
    home.clock.now = datetime.now(UTC) + timedelta(seconds=seconds)
    with served(other, port):
        (found,) = times.look(home.bridge)
    assert found.ok is not bool(word)
    assert word in found.fix


# -- the domain --------------------------------------------------------------------------------------------------

DOMAIN = "post.dedagwijzer.example"
GOOD = {
    DOMAIN: ["google-site-verification=x", "v=spf1 include:_spf.platform.example -all"],
    "_spf.platform.example": ["v=spf1 ip4:192.0.2.0/24 ~all"],
    "k2._domainkey.post.dedagwijzer.example": ["v=DKIM1; k=rsa; p=" + "MIGf" * 90],
    "_dmarc.dedagwijzer.example": ["v=DMARC1; p=reject; sp=quarantine"],
}


@pytest.fixture
def asked(home: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """What is found with these DNS records; a platform that signs with k2 or k3 is switched on."""
    monkeypatch.setattr(type(home.bridge.adapters["memory"]), "dkim_selectors", ("k2", "k3"))
    sender = home.bridge.policy.mail.sender_address
    assert sender.endswith(f"@{DOMAIN}"), sender

    def look(records: dict[str, list[str]], message: EmailMessage | None = None, **more: bool) -> list[Finding]:
        with names(records, **more) as server:
            home.bridge.settings = msgspec.structs.replace(home.bridge.settings, dns=server)
            return list(domain.look(home.bridge, message))

    return look


def test_a_domain_with_all_three_has_nothing_to_mend(asked: Any) -> None:
    """SND-03: SPF, a DKIM key for each platform, DMARC of the domain above."""
    findings = asked(GOOD)
    assert wrong(findings) == {}
    assert list(notes(findings)) == [f"DKIM of {DOMAIN} for our own mails: not looked at"]


@pytest.mark.parametrize(
    ("changed", "what", "fix"),
    [
        ({DOMAIN: []}, "SPF", "add a TXT record"),
        ({DOMAIN: ["v=spf1 -all", "v=spf1 ~all"]}, "SPF", "put them together"),
        ({DOMAIN: ["v=spf1 +all"]}, "SPF", "anybody"),
        ({DOMAIN: ["v=spf1 " + "a:x.example " * 11 + "-all"]}, "SPF", "11 look-ups"),
        ({"k2._domainkey.post.dedagwijzer.example": []}, "DKIM", "k2._domainkey.post.dedagwijzer.example or k3."),
        ({"k2._domainkey.post.dedagwijzer.example": ["v=DKIM1; p="]}, "DKIM", "withdrawn"),
        ({"_dmarc.dedagwijzer.example": []}, "DMARC", "_dmarc.post.dedagwijzer.example"),
        ({"_dmarc.dedagwijzer.example": ["v=DMARC1; rua=mailto:x@y.example"]}, "DMARC", "p=none"),
        ({"_dmarc.dedagwijzer.example": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, "DMARC", "keep one"),
    ],
)
def test_each_gap_in_dns_is_named_with_its_fix(asked: Any, changed: Any, what: str, fix: str) -> None:
    """SND-03."""
    found = wrong(asked({**GOOD, **changed}))
    (told,) = found.values()
    assert next(iter(found)).startswith(what)
    assert fix in told


def test_a_key_of_the_domain_above_is_aligned_unless_dmarc_is_strict(asked: Any) -> None:
    """SND-03: aligned."""
    above = {**GOOD, "k3._domainkey.dedagwijzer.example": ["v=DKIM1; p=abc"]}
    del above["k2._domainkey.post.dedagwijzer.example"]
    assert wrong(asked(above)) == {}
    above["_dmarc.dedagwijzer.example"] = ["v=DMARC1; p=reject; adkim=s"]
    assert [subject.split()[0] for subject in wrong(asked(above))] == ["DKIM"]


def test_dns_that_is_silent_is_no_gap_but_said(asked: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(domain, "_SECONDS", 0.2)
    (told,) = wrong(asked({}, silent=True)).values()
    assert "resolver" in told


def test_on_this_machine_alone_no_dns_is_asked(here: House) -> None:
    """A demo must not tell the internet about itself."""
    (found,) = domain.look(here.bridge, None)
    assert found.ok
    assert "not looked at" in found.subject


@pytest.mark.parametrize("told", ["ns.example:53", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x"])
def test_a_name_server_is_an_address_and_a_port(make_house: Made, sqlite_url: str, told: str) -> None:
    with pytest.raises(Exception, match="BRIDGE_DNS must be"):
        make_house(sqlite_url, BRIDGE_DNS=told)


# -- a received mail ---------------------------------------------------------------------------------------------

MAIL = """\
DKIM-Signature: v=1; a=rsa-sha256; d={signer}; s=k2; t=1; bh=x=;
 h=From:To:Subject:
 {covered}; b=AbC
From: De Dagwijzer <nieuws@post.dedagwijzer.example>
To: an@lezer.example
Subject: Nieuws
{more}
Dag
"""
BOTH = "List-Unsubscribe: <https://keuzes.dagwijzer.example/u/x>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"


def received(
    signer: str = DOMAIN, covered: str = "List-Unsubscribe:List-Unsubscribe-Post", more: str = BOTH
) -> EmailMessage:
    """A mail as a mailbox shows it."""
    text = MAIL.format(signer=signer, covered=covered, more=more)
    message = message_from_string(text, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_with_the_button_has_nothing_to_mend(home: House) -> None:
    """RFC 8058 section 4, SND-03: both headers there, and in h= of a signature of the sender's own domain."""
    findings = list(sample.look(home.bridge, received()))
    assert wrong(findings) == {}
    assert len(findings) == 5


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        (received(covered="List-Unsubscribe"), "h= does not name list-unsubscribe-post"),
        (received(covered="Date"), "h= does not name list-unsubscribe, list-unsubscribe-post"),
        (received(signer="mcsv.example"), "signed by mcsv.example only"),
        (received(more=BOTH.partition("\n")[0] + "\n"), "List-Unsubscribe=One-Click"),
        (received(more="List-Unsubscribe: <mailto:x@y.example>\n" + BOTH.partition("\n")[2]), "no https address"),
        (received(more=BOTH + BOTH), "more than once"),
    ],
)
def test_a_mail_without_the_button_says_why(home: House, message: EmailMessage, fix: str) -> None:
    """SND-03: bad samples."""
    assert any(fix in told for told in wrong(sample.look(home.bridge, message)).values())


def test_a_mail_that_nobody_signed_says_so(home: House) -> None:
    message = received()
    del message["DKIM-Signature"]
    assert "not signed" in wrong(sample.look(home.bridge, message))["sample mail: DKIM"]


def test_the_key_that_signed_a_sample_is_looked_up(asked: Any) -> None:
    """SND-03: the mail says which key; DNS must hold it."""
    subject = f"DKIM of {DOMAIN}, selector k2"
    assert subject in {found.subject for found in asked(GOOD, received()) if found.ok}
    gone = {**GOOD, "k2._domainkey.post.dedagwijzer.example": []}
    assert subject in wrong(asked(gone, received()))


# -- a page of the operator's own site -----------------------------------------------------------------------------


@pytest.fixture
def form(home: House) -> str:
    """The hosted form, as a browser gets it."""
    return home.client.get("/subscribe?language=nl", headers={"Accept": "text/html"}).get_data(as_text=True)


def test_our_own_form_passes_our_own_look(home: House, form: str) -> None:
    """CAP-01, CAP-07."""
    findings = list(page.look(home.bridge, form))
    assert wrong(findings) == {}
    assert len(findings) == 1 + len(home.bridge.policy.purposes)


@pytest.mark.parametrize(
    ("old", "new", "fix"),
    [
        ('value="newsletter"', 'value="newsletter" checked', "take `checked` out"),
        ('value="newsletter"', 'value="newsletter" CHECKED=""', "take `checked` out"),
        ("intrekken", "herroepen", "notices/newsletter-1.nl.txt"),
        ("Ja, stuur mij de nieuwsbrief", "Nee, stuur mij geen nieuwsbrief", "the label is not the policy's"),
        ("<form ", '<input type="hidden" name="purpose" value="offers"><form ', "hidden field"),
        ("<form ", '<div role="checkbox" aria-checked="true">Ja</div><form ', "take `checked` out"),
    ],
)
def test_a_page_that_is_not_what_is_on_file_is_named(home: House, form: str, old: str, new: str, fix: str) -> None:
    """CAP-01: no ticked box; CAP-07: the words that were shown are the words on file."""
    assert old in form
    assert any(fix in told for told in wrong(page.look(home.bridge, form.replace(old, new, 1))).values())


def test_how_a_page_breaks_its_lines_is_its_own_affair(home: House) -> None:
    words = home.bridge.notices.wording("newsletter", "nl")
    first, rest = words.text[:40], words.text[40:].replace("\n\n", "</p>\n<p>").replace(" ", "\n  ")
    told = f"<html lang='nl-BE'><p>{first}<b>{rest}</b><label><input type=checkbox name=x> {words.label}</label>"
    assert wrong(page.look(home.bridge, told)) == {}


def test_a_page_without_a_box_asks_for_nothing(home: House) -> None:
    found = wrong(page.look(home.bridge, "<html lang=nl><form><input type=email name=email></form>"))
    assert "needs a box" in found["page: boxes"]
    assert "page: wording" in found


# -- the house ---------------------------------------------------------------------------------------------------


def test_work_that_waits_too_long_is_named_with_its_age(house: House) -> None:
    """ESP-06: nobody sends; WDR-11 has its own clock."""
    Reader(house, "an.vandenberg@lezer.example").signs_up()
    waiting = "1 waiting for mail"
    assert waiting in {found.subject for found in at_home(house) if found.ok}
    house.clock.forward(minutes=16)
    assert "consent-bridge dispatch" in wrong(at_home(house))[waiting]


def at_home(told: House) -> list[Finding]:
    """What is found about our own side."""
    return list(own_side.look(told.bridge))


def test_dates_that_run_out_are_named_before_and_after(home: House) -> None:
    """REG-02, CHN-05."""
    (processor,) = home.bridge.policy.processors.values()
    home.clock.now = datetime.combine(processor.review_by, datetime.min.time(), UTC) - timedelta(days=20)
    assert str(processor.review_by) in notes(at_home(home))["memory: contract"]
    home.clock.forward(days=22)
    assert "review" in wrong(at_home(home))["memory: contract"]


def test_an_overdue_review_of_a_form_is_named(home: House) -> None:
    channel = next(iter(home.bridge.policy.channels.values()))
    home.clock.now = datetime(channel.next_review.year + 1, 1, 1, tzinfo=UTC)
    assert channel.owner in wrong(at_home(home))[f"channel {channel.id}: its review"]


def test_an_old_key_is_a_hint_to_make_a_new_one(home: House) -> None:
    """KEY-03."""
    assert not any("link key" in subject for subject in notes(at_home(home)))
    home.clock.forward(days=800)
    assert "keys rotate link" in notes(at_home(home))["link key link1"]
