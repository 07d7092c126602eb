"""Single mails through SendGrid: RFC 8058 headers pass untouched, nothing is tracked, nothing of the reader is left there."""

import base64
from collections.abc import Callable

import pytest

from adapters.sendgrid_mail import SendGridMail
from bridge.adapter import MailLater, MailRefused, Misconfigured
from bridge.vocabulary import Letter
from tests.adapters.conftest import AN, Answer, Desk
from tests.conftest import House, Reader
from tests.esps import NEW, OLD, Hooks, public
from tests.test_store import consents

HEADERS = {
    "List-Unsubscribe": "<https://prefs.krant.example/u/Q2FybGE>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
LETTER = Letter(
    sender="De Krant <nieuws@krant.example>",
    to=AN,
    reply_to="lezers@krant.example",
    subject="Bevestig je inschrijving",
    text="Dag An",
    html="<p>Dag An</p>",
    message_id="<5f1c.7@krant.example>",
    headers=HEADERS,
    attachments=(("bewijs.txt", "text/plain", b"gezien"),),
)
ACCEPTED = Answer(202, None, {"X-Message-Id": "made-up"}, None)


@pytest.fixture
def transport(sendgrid_url: str) -> SendGridMail:
    return SendGridMail("sendgrid:", {"SENDGRID_API_KEY": "SG.made-up-key", "SENDGRID_BASE_URL": sendgrid_url})


def test_the_mail_is_handed_over_whole(transport: SendGridMail, sendgrid: Desk) -> None:
    """Contracts section 9: SendGrid's own unsubscribe header would win if its tracking were on."""
    sendgrid.on("POST", "/mail/send", ACCEPTED)

    transport.send(LETTER, lambda: None)

    (call,) = sendgrid.calls
    assert call.body == {
        "personalizations": [{"to": [{"email": AN}]}],
        "from": {"email": "nieuws@krant.example", "name": "De Krant"},
        "reply_to": {"email": "lezers@krant.example"},
        "subject": "Bevestig je inschrijving",
        "content": [
            {"type": "text/plain", "value": "Dag An"},
            {"type": "text/html", "value": "<p>Dag An</p>"},
        ],
        "headers": {**HEADERS, "Message-ID": "<5f1c.7@krant.example>"},
        "custom_args": {"cb_mail": "5f1c.7"},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        },
        "attachments": [
            {
                "content": base64.b64encode(b"gezien").decode(),
                "type": "text/plain",
                "filename": "bewijs.txt",
                "disposition": "attachment",
            }
        ],
    }


def test_ready_is_said_before_the_mail_goes(transport: SendGridMail, sendgrid: Desk) -> None:
    """Decision 25."""
    sent_when_ready: list[int] = []
    sendgrid.on("POST", "/mail/send", ACCEPTED)

    transport.send(LETTER, lambda: sent_when_ready.append(len(sendgrid.calls)))

    assert sent_when_ready == [0]
    assert len(sendgrid.calls) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422])
def test_a_mail_sendgrid_will_never_take(transport: SendGridMail, sendgrid: Desk, status: int) -> None:
    sendgrid.on("POST", "/mail/send", Answer(status, {"errors": [{"message": AN}]}))
    with pytest.raises(MailRefused) as caught:
        transport.send(LETTER, lambda: None)
    assert AN not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503])
def test_a_mail_that_may_go_later(transport: SendGridMail, sendgrid: Desk, status: int) -> None:
    """A wrong key is no reason to throw a good mail away."""
    sendgrid.on("POST", "/mail/send", Answer(status, b"<html>", {}, "text/html"))
    with pytest.raises(MailLater) as caught:
        transport.send(LETTER, lambda: None)
    assert "SG." not in str(caught.value)


def test_a_server_that_never_answers_ends_by_our_limit(silent_server: str) -> None:
    """ESP-06; client library 262."""

    class Hasty(SendGridMail):
        seconds = 0.2

    transport = Hasty("sendgrid:", {"SENDGRID_API_KEY": "SG.made-up-key", "SENDGRID_BASE_URL": silent_server})
    with pytest.raises(MailLater, match="TimeoutError"):
        transport.send(LETTER, lambda: None)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(Misconfigured, match="SENDGRID_API_KEY"):
        SendGridMail("sendgrid:", {})


def test_what_became_of_our_mails_is_heard_where_no_list_lives_there(
    make_house: Callable[..., House], sqlite_url: str
) -> None:
    """HOOK-01, R6, R7: at `/webhooks/sendgrid`, by the road for mail alone."""
    settings = {"SENDGRID_API_KEY": "SG.made-up", "SENDGRID_WEBHOOK_PUBLIC_KEY": public(NEW)}
    house = make_house(sqlite_url, BRIDGE_MAIL_URL="sendgrid:", **settings)
    hooks, an = Hooks(house), Reader(house, "an.vandenberg@lezer.example")
    consents(house, an.email, "newsletter")
    group = hooks.event(an, "group_unsubscribe", asm_group_id=5)

    assert hooks.sendgrid(group).status_code == 204
    assert an.may().may
    assert hooks.sendgrid(hooks.event(an, "bounce", type="bounce", status="5.1.1"), key=OLD).status_code == 401
    assert an.may().may
    assert hooks.sendgrid(hooks.event(an, "bounce", type="bounce", status="5.1.1")).status_code == 204
    assert not an.may().may


# -- looking -----------------------------------------------------------------------------------------------------

HOOK = "https://keuzes.krant.example/webhooks/sendgrid"
EVENTS = ("bounce", "dropped", "spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe", "deferred")


@pytest.mark.parametrize(
    ("scopes", "changed", "fix"),
    [
        (["mail.send"], {}, ""),
        (["marketing.read"], {}, "lacks mail.send"),
        (
            ["mail.send"],
            {"url": "https://elders.example"},
            "there is none to our address: make it right under Settings",
        ),
        (["mail.send"], {"bounce": False}, "does not tell of"),
        (["mail.send"], {"group_unsubscribe": False, "group_resubscribe": False}, ""),
        (["mail.send"], {"public_key": ""}, "not signed"),
        (["mail.send"], {"public_key": "another"}, "or set SENDGRID_WEBHOOK_PUBLIC_KEY"),
    ],
)
def test_a_road_that_would_not_be_heard_from_is_named(
    sendgrid_url: str, sendgrid: Desk, scopes: list[str], changed: dict[str, object], fix: str
) -> None:
    """SND-03, HOOK-01: also where no list lives at SendGrid, and `setup` has nothing to do."""
    hook = {
        "id": "h",
        "url": HOOK,
        "enabled": True,
        "public_key": public(NEW),
        **dict.fromkeys(EVENTS, True),
        **changed,
    }
    sendgrid.on("GET", "/scopes", Answer(200, {"scopes": scopes}))
    sendgrid.on("GET", "/user/webhooks/event/settings/all", Answer(200, {"webhooks": [hook], "max_allowed": 5}))
    settings = {
        "SENDGRID_API_KEY": "SG.made-up-key",
        "SENDGRID_BASE_URL": sendgrid_url,
        "SENDGRID_WEBHOOK_PUBLIC_KEY": public(NEW),
    }
    wrong = [finding.fix for finding in SendGridMail("sendgrid:", settings).check(HOOK) if not finding.ok]
    assert [fix in one for one in wrong] == ([True] if fix else [])


def test_a_key_that_is_refused_is_named(transport: SendGridMail, sendgrid: Desk) -> None:
    sendgrid.on("GET", "/scopes", Answer(401, {"errors": [{"message": "no"}]}))
    (found,) = transport.check(HOOK)
    assert (found.subject, found.ok) == ("sendgrid answers", False)
