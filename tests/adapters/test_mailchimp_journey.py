"""Who left Mailchimp, or was deleted there, and says yes anew: the right next step, and never a guess. Contracts 6.

Rows ESP-01, CON-02, WDR-13; findings 8 and 9: what was written is looked at.
"""

from typing import Any

import pytest

from adapters.mailchimp import Mailchimp
from bridge.adapter import Misconfigured
from bridge.vocabulary import DONE, FORM_THERE, GONE_THERE, STOPPED_THERE, WAITING_THERE, Outcome, OutcomeKind
from tests.adapters.conftest import BRAM, Answer, Call, Desk, an
from tests.adapters.test_mailchimp import (
    AUDIENCE,
    MEMBER,
    NEWS,
    PLACES,
    SETTINGS,
    adapter,
    keeps,
    obeys,
    problem,
)

__all__ = ["adapter"]

COMPLIANCE = problem("Member In Compliance State", detail="an is in a compliance state and cannot be subscribed")
FORGOTTEN = problem("Forgotten Email Not Subscribed", detail="an was permanently deleted and cannot be re-imported")


def refused(reason: str) -> list[Outcome]:
    return [Outcome(OutcomeKind.REFUSED, reason)]


def statuses(mailchimp: Desk) -> list[object]:
    """The `status` of each upsert."""
    return [call.body.get("status") for call in mailchimp.made("PUT")]


def test_who_left_there_is_asked_by_mailchimp_itself(adapter: Mailchimp, mailchimp: Desk) -> None:
    """CON-02: `pending` is the only status that a member in compliance state may get; everything else is kept."""
    mailchimp.on("PUT", MEMBER, COMPLIANCE, obeys)
    assert adapter.put([an(fresh=True)]) == refused(WAITING_THERE)
    assert statuses(mailchimp) == ["subscribed", "pending"]
    assert mailchimp.calls[1].body["interests"] == mailchimp.calls[0].body["interests"], "ready for her press there"


def test_a_yes_that_is_silently_ignored_goes_the_same_way(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Contracts finding 8: it answers 200 and leaves her unsubscribed; so what it answers is read."""
    mailchimp.on("PUT", MEMBER, keeps(status="unsubscribed"), obeys)
    assert adapter.put([an(fresh=True)]) == refused(WAITING_THERE)
    assert statuses(mailchimp) == ["subscribed", "pending"]


@pytest.mark.parametrize("then", [COMPLIANCE, keeps(status="unsubscribed"), problem("Anything else")])
def test_where_mailchimp_does_not_ask_its_form_remains(adapter: Mailchimp, mailchimp: Desk, then: Any) -> None:
    """`pending` may work; where it is refused, or ignored without a word, only the hosted form is left."""
    mailchimp.on("PUT", MEMBER, COMPLIANCE, then)
    assert adapter.put([an(fresh=True)]) == refused(FORM_THERE)


def test_trouble_while_it_is_asked_is_no_answer(adapter: Mailchimp, mailchimp: Desk) -> None:
    """ESP-06: the second call broke: later, and the yes stays fresh."""
    mailchimp.on("PUT", MEMBER, COMPLIANCE, problem("InternalServerError", status=500))
    (outcome,) = adapter.put([an(fresh=True)])
    assert outcome.kind is OutcomeKind.LATER
    assert not outcome.told


def test_it_may_say_yes_at_once(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Findings 8: sometimes it obeys after all."""
    mailchimp.on("PUT", MEMBER, COMPLIANCE, keeps(status="subscribed"))
    assert adapter.put([an(fresh=True)]) == [DONE]


def test_who_was_deleted_there_needs_their_form(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Contracts finding 9: `pending` fails too, so it is not tried."""
    mailchimp.on("PUT", MEMBER, FORGOTTEN)
    assert adapter.put([an(fresh=True)]) == refused(GONE_THERE)
    assert statuses(mailchimp) == ["subscribed"]


def test_who_is_known_to_be_deleted_there_costs_no_call(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Finding 9: a GET would answer 404, as for somebody never seen; the store remembers it."""
    assert adapter.put([an(fresh=True, gone=True)]) == refused(GONE_THERE)
    assert mailchimp.calls == []


def test_of_several_audiences_each_is_asked(mailchimp: Desk) -> None:
    """It was one audience that deleted her; the others may have her."""
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    mailchimp.on("PUT", r"/lists/aaaa000001/members/\w+", FORGOTTEN)
    mailchimp.on("PUT", r"/lists/bbbb000002/members/\w+", obeys)
    both = an(on=frozenset(places), fresh=True, gone=True)
    assert Mailchimp(SETTINGS, places, {}).put([both]) == refused(GONE_THERE)
    assert len(mailchimp.made("PUT")) == 2


def test_a_stop_of_whoever_is_deleted_there_is_done(adapter: Mailchimp, mailchimp: Desk) -> None:
    """WDR-11: she is not there: nothing can go to her."""
    assert adapter.put([an(on=frozenset(), stopped=frozenset(PLACES), gone=True)]) == [DONE]


def test_without_a_fresh_yes_nobody_is_asked(adapter: Mailchimp, mailchimp: Desk) -> None:
    """Decision 1: only her own new act lets Mailchimp mail her a question."""
    mailchimp.on("PUT", MEMBER, keeps(status="unsubscribed"))
    assert adapter.put([an()]) == refused(STOPPED_THERE)
    assert statuses(mailchimp) == [None]


def test_who_waits_there_is_not_asked_twice(adapter: Mailchimp, mailchimp: Desk) -> None:
    """SND: one confirmation mail per request: told again without a fresh yes, she is only looked at."""
    mailchimp.on("PUT", MEMBER, keeps(status="pending"))
    assert adapter.put([an()]) == refused(WAITING_THERE)
    assert statuses(mailchimp) == [None]


def test_a_real_refusal_in_another_audience_weighs_more(mailchimp: Desk) -> None:
    """WDR-11: a refusal with which nothing is sent must not hide one with which a stop was not done."""
    places = {"newsletter": {"audience": "aaaa000001"}, "offers": {"audience": "bbbb000002"}}
    mailchimp.on("PUT", r"/lists/aaaa000001/members/\w+", FORGOTTEN)
    mailchimp.on("PATCH", r"/lists/bbbb000002/members/\w+", problem("Invalid Resource"))
    told = an(on=frozenset({"newsletter"}), stopped=frozenset({"offers"}), fresh=True)
    assert Mailchimp(SETTINGS, places, {}).put([told]) == refused("schema")


# -- marketing permissions ----------------------------------------------------------------------------------------

EMAIL, POST = "d1e2f3a4b5", "e6f7a8b9c0"
PERMITTED = {purpose: place | {"permission": "Email"} for purpose, place in PLACES.items()}


class Gdpr:
    """An audience with GDPR fields: its ids are seen at a member only."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.enabled: set[str] = set()
        self.obeys = obeys

    def shown(self) -> list[dict[str, object]]:
        """As they stand at a member."""
        texts = {EMAIL: "Email", POST: "Direct Mail"}
        return [
            {"marketing_permission_id": one, "text": text, "enabled": one in self.enabled}
            for one, text in texts.items()
        ]

    def put(self, call: Call) -> Answer:
        """An upsert or change."""
        if self.obeys:
            told = call.body.get("marketing_permissions", [])
            self.enabled |= {one["marketing_permission_id"] for one in told if one["enabled"]}
            self.enabled -= {one["marketing_permission_id"] for one in told if not one["enabled"]}
        return Answer(200, obeys(call).body | {"marketing_permissions": self.shown()})


def permitting(mailchimp: Desk, there: Gdpr) -> Mailchimp:
    mailchimp.on("PUT", MEMBER, there.put)
    mailchimp.on("PATCH", MEMBER, there.put)
    return Mailchimp(SETTINGS, PERMITTED, {})


def test_the_permission_is_learnt_from_the_first_member_and_kept(mailchimp: Desk) -> None:
    """Contracts 4: ids are readable only at a member; the first one costs a second call, all others none."""
    there = Gdpr()
    adapter = permitting(mailchimp, there)
    assert adapter.put([an(fresh=True)]) == [DONE]
    assert there.enabled == {EMAIL}, "the one that is named, and no other"
    assert [call.method for call in mailchimp.calls] == ["PUT", "PATCH"]

    there.enabled.clear()
    mailchimp.calls.clear()
    assert adapter.put([an(email=BRAM, fresh=True)]) == [DONE]
    (call,) = mailchimp.calls
    assert call.body["marketing_permissions"] == [{"marketing_permission_id": EMAIL, "enabled": True}]


def test_a_permission_that_is_ignored_or_unknown_has_a_name(mailchimp: Desk) -> None:
    """Finding 8: "not sent = not permitted"; a yes there without its permission is no yes, so it is tried again."""
    adapter = permitting(mailchimp, Gdpr(obeys=False))
    assert adapter.put([an(fresh=True)]) == [Outcome(OutcomeKind.LATER, "kept_permission", told=True)]
    mailchimp.on("PUT", MEMBER, obeys)
    other = {purpose: place | {"permission": "Fax"} for purpose, place in PLACES.items()}
    told = Mailchimp(SETTINGS, other, {}).put([an(fresh=True)])
    assert told == [Outcome(OutcomeKind.LATER, "permission_unknown", told=True)]


def test_an_audience_without_gdpr_fields_is_told_nothing_of_permissions(adapter: Mailchimp, mailchimp: Desk) -> None:
    """MIN-04."""
    mailchimp.on("PUT", MEMBER, obeys)
    adapter.put([an(fresh=True)])
    assert "marketing_permissions" not in mailchimp.calls[0].body


def test_a_batch_carries_the_permission_too(mailchimp: Desk) -> None:
    """Learnt before the batch from one member; 500 people cost one call more, once."""
    there = Gdpr()
    mailchimp.on(
        "GET", rf"/lists/{AUDIENCE}/members", Answer(200, {"members": [{"marketing_permissions": there.shown()}]})
    )
    mailchimp.on("POST", "/batches", Answer(200, {"id": "b1"}))
    adapter = Mailchimp(SETTINGS, PERMITTED, {})
    many = [an(email=f"p{number}@lezer.example") for number in range(30)]
    adapter.put(many)
    adapter.put(many)
    assert len(mailchimp.made("GET")) == 1
    for call in mailchimp.made("POST"):
        for operation in call.body["operations"]:
            assert f'"marketing_permission_id":"{EMAIL}","enabled":true' in operation["body"]


@pytest.mark.parametrize(
    ("asks", "named", "fix"),
    [
        (True, "Email", ""),
        (True, "", 'set permission = "…" under [purposes.at.mailchimp] to one of: Direct Mail, Email; '),
        (True, "Fax", 'set permission = "…" under [purposes.at.mailchimp] to one of: Direct Mail, Email; '),
        (False, "Email", "it asks for none: take permission out of [purposes.at.mailchimp]"),
        (False, "", ""),
    ],
)
def test_doctor_says_which_permission_there_is(mailchimp: Desk, asks: bool, named: str, fix: str) -> None:
    """Contracts 12: members "not permitted" is what people see; the fix is a line in the policy."""
    mailchimp.on("GET", "/ping", Answer(200, {"health_status": "Everything's Chimpy!"}))
    mailchimp.on("GET", f"/lists/{AUDIENCE}", Answer(200, {"id": AUDIENCE, "marketing_permissions": asks}))
    mailchimp.on("GET", f"/lists/{AUDIENCE}/merge-fields", Answer(200, {"merge_fields": [{"tag": "PREFS"}]}))
    mailchimp.on(
        "GET", f"/lists/{AUDIENCE}/members", Answer(200, {"members": [{"marketing_permissions": Gdpr().shown()}]})
    )
    place = {"audience": AUDIENCE, **({"permission": named} if named else {})}
    findings = Mailchimp(SETTINGS, {"newsletter": place}, {}).check()
    said = {one.subject: (one.ok, one.fix) for one in findings if one.subject.endswith("marketing permissions")}
    if not asks and not named:
        assert said == {}
    else:
        ((ok, told),) = said.values()
        assert ok is not bool(fix)
        assert told.startswith(fix)


def test_the_form_of_the_policy_must_be_a_web_address() -> None:
    """It stands on a page as a link: nothing else than https may stand there."""
    place = {"audience": AUDIENCE, "interest": NEWS}
    Mailchimp(SETTINGS, {"newsletter": place | {"form": "https://krant.us21.list-manage.example/subscribe"}}, {})
    for wrong in ("javascript:alert(1)", "http://krant.example/form", "krant.example"):
        with pytest.raises(Misconfigured, match="form of purpose 'newsletter'"):
            Mailchimp(SETTINGS, {"newsletter": place | {"form": wrong}}, {})
