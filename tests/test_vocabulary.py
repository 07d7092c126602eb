"""The words of the house, as they go over the wire and onto pages: interface.md section 5, RFC 3339, RFC 3463."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from bridge.vocabulary import (
    CONFIRMED,
    DEAD_ADDRESS_CODES,
    Answer,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    MailKind,
    Method,
    Status,
    bounce_type,
    masked_email,
    rfc3339,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def event(**more: object) -> ConsentEvent:
    """An's confirmed yes, or a variation of it."""
    fields: dict[str, object] = {
        "type": EventType.GIVEN,
        "subject": "an",
        "time": NOON,
        "received": NOON,
        "source": "reader",
        "method": Method.CONFIRM_PAGE,
        "key": "k1",
    }
    return ConsentEvent(**(fields | more))  # type: ignore[arg-type]  # names and values as the tests give them


def test_the_words_on_the_wire_are_as_promised() -> None:
    """interface.md section 5: statuses and blocks by name, and no others."""
    assert {str(status) for status in Status} == {
        *("unknown", "requested", "given", "soft_opt_in", "refused"),
        *("withdrawn", "objected", "expired", "revoked", "invalidated"),
    }
    assert {str(block) for block in Block} == {"bounced", "restricted", "child_unverified", "erased"}


def test_every_event_type_of_the_papers_is_here() -> None:
    """layout.md section 3 and decision 5: one list for both sides of the bridge."""
    for name in ("enrolled", "imported", "paused", "resumed", "restricted", "unrestricted", "guardian_confirmed"):
        assert EventType(name)
    for name in ("moved", "merged", "bounced", "complained", "deferred", "subscribed", "unsubscribed", "erased"):
        assert EventType(name)


def test_an_answer_has_the_form_that_programs_read() -> None:
    """interface.md section 5: byte for byte."""
    why = ("withdrawn 2026-11-23T10:04:57Z by reader (one-click)",)
    answer = Answer(may=False, status=Status.WITHDRAWN, why=why)
    assert msgspec.json.encode(answer) == (
        b'{"may":false,"status":"withdrawn","why":["withdrawn 2026-11-23T10:04:57Z by reader (one-click)"]}'
    )


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, "2026-11-23T12:00:00Z"),
        (NOON + timedelta(microseconds=999_999), "2026-11-23T12:00:00Z"),  # cut, never rounded up
        (NOON.astimezone(timezone(timedelta(hours=1))), "2026-11-23T12:00:00Z"),
        (datetime(2026, 11, 23, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-11-22T19:00:00Z"),
    ],
)
def test_times_go_out_as_utc_in_whole_seconds(moment: datetime, text: str) -> None:
    """RFC 3339, interface.md section 5: always with Z."""
    assert rfc3339(moment) == text


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("an.vandenberg@lezer.example", "a•••@l•••.example"),
        ("a@l.example", "a•••@l•••.example"),  # as long as any other: no length is told
        ("an+krant@post.lezer.example", "a•••@p•••.example"),
        ("élise@lezer.example", "é•••@l•••.example"),
        ('"an@werk"@lezer.example', '"•••@l•••.example'),
    ],
)
def test_a_page_shows_an_address_masked(email: str, shown: str) -> None:
    """PRF-03: enough for its owner, nothing for whoever was forwarded the mail."""
    assert masked_email(email) == shown


@pytest.mark.parametrize("source", ["reader", "operator", "system", "mailchimp"])
@pytest.mark.parametrize("method", Method)
def test_confirmed_means_the_reader_herself_with_her_mailbox(source: str, method: Method) -> None:
    """R2, decision 8: two roads prove the mailbox, and only in the reader's own hand."""
    proven = source == "reader" and method.value in ("confirm_page", "preference_page")
    assert event(source=source, method=method).confirmed is proven
    assert event(source=source, method=method).by_reader is (source == "reader")
    assert (method in CONFIRMED) is (method.value in ("confirm_page", "preference_page"))


def test_what_happened_cannot_be_changed_afterwards() -> None:
    """CAP-06: in memory neither."""
    for thing, name in ((event(), "type"), (Evidence(box="ticked"), "box")):
        with pytest.raises(AttributeError):
            setattr(thing, name, None)


def test_an_event_and_its_proof_have_no_room_for_an_address() -> None:
    """MIN-01, MIN-03, section 7: no field for an address, a name, a browser or a free note."""
    fields = {*ConsentEvent.__struct_fields__, *Evidence.__struct_fields__}
    assert not fields & {"email", "address", "name", "user_agent", "note", "phone", "birthday", "location"}


def test_every_kind_of_mail_is_named_once() -> None:
    """SND-01, decision 6: the gate has a rule for each of these, and lets nothing else out."""
    assert {str(kind) for kind in MailKind} == {
        *("confirm", "subscribed", "welcome", "goodbye", "link", "answer", "repermission", "breach", "marketing"),
        *("identity", "move", "moved"),
        *("guardian", "of_age"),
    }


def test_only_five_codes_name_a_dead_address() -> None:
    """R7, RFC 3463: over every code of classes 4 and 5 with subjects 0 to 7 and details 0 to 40."""
    codes = [f"{kind}.{subject}.{detail}" for kind in (2, 4, 5) for subject in range(8) for detail in range(41)]
    found = {code: bounce_type(code) for code in codes}
    assert {code for code, means in found.items() if means is EventType.BOUNCED} == {
        *("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10")
    }
    assert set(DEAD_ADDRESS_CODES) == {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
    soft = {code for code, means in found.items() if means is EventType.DEFERRED}
    assert soft == {code for code in codes if code.startswith("4.")} | {"5.2.2"}
    assert all(found[code] is None for code in codes if code.startswith(("5.7.", "2.")))
