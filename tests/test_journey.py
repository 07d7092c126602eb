"""A reader left at the platform once, and says yes here anew: her yes is kept, she is told what to do, and it ends well.

Rows ESP-01, ESP-06, WDR-11, CON-02, PRF-01; contracts 6 and findings 8 and 9. The platform is the sandbox's Mailchimp.
"""

import re

import pytest
from sqlalchemy import select

from adapters.sandbox import mailchimp_acts as acts
from adapters.sandbox.control import perform
from adapters.sandbox.mailchimp_audience import hashed
from adapters.sandbox.server import Running
from bridge.jobs import journeys
from bridge.store.erase import erase
from bridge.tables import gone_there
from bridge.vocabulary import FORM_THERE, GONE_THERE, WAITING_THERE, EventType, Incoming, Outcome, OutcomeKind
from tests.bulk import Bulk
from tests.conftest import House, Reader
from tests.test_dispatch import says_no, says_yes
from tests.test_preferences import cards, fresh_link, someone
from tests.test_subscribe import html

FORM = "https://krant.us21.list-manage.example/subscribe?u=1&id=2"


class Far:
    """A house with Mailchimp, and what happens there."""

    def __init__(self, bulk: Bulk) -> None:
        self.bulk, self.house = bulk, bulk.house
        self.esp = bulk.running.state.mailchimp

    def happens(self, reader: Reader, act: str) -> None:
        """Something happens at Mailchimp; its webhook is lost."""
        perform(self.bulk.running.state, {"esp": "mailchimp", "email": reader.email, "act": act})

    def tells(self, reader: Reader, again: bytes = b"") -> bytes:
        """The webhook of a sign-up there arrives, in the published form; gives it."""
        body = again or acts.form(self.esp, "subscribe", self.esp.audience.members[hashed(reader.email)], {})
        reports = self.house.bridge.adapters["mailchimp"].parse(Incoming(headers={}, body=body))
        assert {report.type for report in reports} == {EventType.SUBSCRIBED}
        self.house.store.hear("mailchimp", reports)
        return body

    def status(self, reader: Reader) -> str | None:
        """How she stands there."""
        found: str | None = self.esp.person(reader.email)["status"]
        return found

    def waits(self, reader: Reader) -> str | None:
        """For what her yes waits there, as the store knows it."""
        return self.house.store.waits_there(someone(reader)).get("mailchimp")

    def questions(self, reader: Reader) -> int:
        """How many confirmation mails Mailchimp sent her itself."""
        mails = [mail.as_json() for mail in self.bulk.running.state.mailbox.mails(reader.email)]
        return sum(mail["subject"] == "Please confirm your subscription" for mail in mails)

    def page(self, reader: Reader, language: str = "en") -> str:
        """What her preference page says of the newsletter."""
        return cards(html(self.house.client.get(f"{fresh_link(reader)}?language={language}")))["newsletter"]


@pytest.fixture
def far(house: House, running: Running, keys: dict[str, str]) -> Far:
    """The house on both databases, with Mailchimp alone."""
    running.state.reset()
    bulk = Bulk(house, running, keys, ["mailchimp"]).at_once()
    house.bridge.adapters.pop("memory")
    return Far(bulk)


def left_and_back(far: Far, reader: Reader, *, act: str = "compliance") -> None:
    """She was on, was stopped at Mailchimp, and says yes anew here."""
    reader.has_consented("newsletter")
    far.happens(reader, act)
    says_no(far.house, reader, "newsletter")
    far.house.dispatch()
    far.house.clock.forward(days=1)
    says_yes(far.house, reader, "newsletter")
    far.house.dispatch()


def test_her_fresh_yes_is_kept_and_mailchimp_asks_her_itself(far: Far, an: Reader) -> None:
    """ESP-06, contracts 6: not "invalid address" and no retry for ever: the state has a name, the right step is made."""
    left_and_back(far, an)
    assert an.may().may, "here her yes stands"
    assert far.status(an) == "pending"
    assert far.waits(an) == WAITING_THERE
    for _ in range(30):
        far.house.clock.forward(hours=1)
        far.house.dispatch()
    assert far.questions(an) == 1, "one confirmation mail for one yes"
    assert not any(task.waiting for task in far.house.store.tasks() if task.name == "mailchimp")


def test_her_press_there_finishes_it_by_the_webhook(far: Far, an: Reader) -> None:
    """ESP-01: the webhook is no consent; the one given here is what is carried out, with her choices as they are now."""
    left_and_back(far, an)
    far.happens(an, "confirm")
    proofs = [event for event in an.story() if event.type is EventType.GIVEN]
    far.tells(an)
    assert [event for event in an.story() if event.type is EventType.GIVEN] == proofs, "no yes by Mailchimp's word"
    far.house.dispatch()
    assert far.waits(an) is None
    assert far.bulk.receives("mailchimp", an.email) == ["newsletter"]


def test_a_webhook_told_twice_changes_nothing_more(far: Far, an: Reader) -> None:
    """ESP-03, WDR-10: our own echoes and doubles send nothing."""
    left_and_back(far, an)
    far.happens(an, "confirm")
    told = far.tells(an)
    far.house.dispatch()
    far.bulk.calls("mailchimp")
    far.tells(an, told)
    far.house.dispatch()
    assert not far.bulk.calls("mailchimp")


def test_a_webhook_while_she_is_being_told_is_not_lost(far: Far, an: Reader) -> None:
    """ESP-03: somebody asks Mailchimp at that moment and hears "pending"; the press that came meanwhile counts."""
    left_and_back(far, an)
    says_yes(far.house, an, "offers")
    far.house.dispatch()
    far.house.store.queue.tell_again("mailchimp", [someone(an).number])
    (push,) = far.house.store.queue.claim_pushes("mailchimp", 1)
    far.happens(an, "confirm")
    far.tells(an)
    far.house.store.queue.finish_pushes([(push, Outcome(OutcomeKind.REFUSED, WAITING_THERE))])
    far.house.dispatch()
    assert far.bulk.receives("mailchimp", an.email) == ["newsletter", "offers"]
    assert far.waits(an) is None


def test_her_page_says_what_to_do(far: Far, an: Reader) -> None:
    """PRF-01: in her language, beside the topic that waits; gone when it is done."""
    left_and_back(far, an)
    assert "An ESP in memory had stopped your address once, so it asks you itself" in far.page(an)
    assert "vraagt het je daarom zelf" in far.page(an, "nl")
    far.happens(an, "confirm")
    far.tells(an)
    far.house.dispatch()
    assert "asks you itself" not in far.page(an)


@pytest.mark.parametrize("form", ["", FORM])
def test_where_only_their_form_works_she_is_shown_it(far: Far, an: Reader, form: str) -> None:
    """Contracts 6: `pending` is refused as well: the hosted form, by the address that the policy names."""
    far.house.bridge.policy.purposes["newsletter"].at["mailchimp"]["form"] = form
    far.bulk.trouble("mailchimp", mode="refuses_pending")
    left_and_back(far, an)
    assert far.waits(an) == FORM_THERE
    assert far.questions(an) == 0
    page = html(far.house.client.get(f"{fresh_link(an)}?language=en"))
    assert "takes it back only through a form of its own" in cards(page)["newsletter"]
    shown = re.findall(r'<a href="([^"]+)" rel="noreferrer">Open the form', page)
    assert shown == ([form.replace("&", "&amp;")] if form else [])
    assert ("we send you its address" in page) is not bool(form)
    del far.house.bridge.policy.purposes["newsletter"].at["mailchimp"]["form"]


def test_what_waits_is_not_forgotten_when_something_else_of_hers_changes(far: Far, an: Reader) -> None:
    """ESP-06: told again without a fresh yes, Mailchimp says only that it keeps a stop: her page still shows the way."""
    far.bulk.trouble("mailchimp", mode="refuses_pending")
    left_and_back(far, an)
    before = far.questions(an)
    page = fresh_link(an)
    far.house.client.post(page, data={"language": "en"})
    assert far.waits(an) == FORM_THERE, "while she is told again, too"
    far.house.dispatch()
    assert far.waits(an) == FORM_THERE
    assert far.questions(an) == before


def test_a_question_there_that_lapsed_leaves_the_form(far: Far, an: Reader) -> None:
    """Mailchimp drops its question some day; then its mail is of no use any more."""
    left_and_back(far, an)
    far.happens(an, "compliance")
    far.house.client.post(fresh_link(an), data={"language": "en"})
    far.house.dispatch()
    assert far.waits(an) == FORM_THERE


def test_who_was_deleted_there_for_good_is_remembered_as_a_keyed_hash(far: Far, an: Reader) -> None:
    """Decision 18, contracts finding 9: erased here and there, back by a new sign-up: one try, then her page knows."""
    an.has_consented("newsletter")
    far.house.bridge.adapters["mailchimp"].erase([an.email])
    erase_here(far.house, an)
    far.house.clock.forward(days=40)
    an.has_consented("newsletter")
    far.house.dispatch()
    assert far.waits(an) == GONE_THERE
    assert "only through a form of its own" in far.page(an)
    with far.house.bridge.database.reading() as db:
        (row,) = db.execute(select(gone_there)).all()
    assert an.email.encode() not in bytes(row.hash)
    assert row.adapter == "mailchimp"

    far.bulk.calls("mailchimp")
    erase_here(far.house, an)
    far.house.clock.forward(days=40)
    an.has_consented("newsletter")
    far.house.dispatch()
    assert far.waits(an) == GONE_THERE
    assert not far.bulk.calls("mailchimp"), "it outlives her erasure, so nothing has to be tried"


def test_the_form_brings_back_whoever_was_deleted(far: Far, an: Reader) -> None:
    """Finding 9: her sign-up on Mailchimp's form ends it, and the hash goes."""
    an.has_consented("newsletter")
    far.house.bridge.adapters["mailchimp"].erase([an.email])
    erase_here(far.house, an)
    far.house.clock.forward(days=40)
    an.has_consented("newsletter")
    far.house.dispatch()
    far.happens(an, "subscribe")
    far.tells(an)
    far.house.dispatch()
    assert far.waits(an) is None
    assert far.bulk.receives("mailchimp", an.email) == ["newsletter"]
    with far.house.bridge.database.reading() as db:
        assert db.execute(select(gone_there)).all() == []


def test_one_such_person_holds_up_nobody_and_no_stop(far: Far, an: Reader, dirk: Reader) -> None:
    """Pain 6 of the peers: one row failed the whole sync. And a stop said in the same breath is confirmed."""
    far.bulk.people(30, "newsletter")
    an.has_consented("newsletter", "offers")
    far.happens(an, "compliance")
    says_no(far.house, an, "newsletter")
    says_no(far.house, an, "offers")
    far.house.clock.forward(minutes=5)
    says_yes(far.house, an, "newsletter")
    dirk.has_consented("newsletter")
    far.bulk.settle()
    assert far.waits(an) == WAITING_THERE
    assert far.bulk.receives("mailchimp", dirk.email) == ["newsletter"]
    assert all(clock.confirmed for clock in far.house.store.confirmations(someone(an)))


def test_a_stop_while_she_waits_ends_the_waiting(far: Far, an: Reader) -> None:
    """WDR-11: a late press in Mailchimp's mail must find nothing to switch on here."""
    left_and_back(far, an)
    says_no(far.house, an, "newsletter")
    far.house.dispatch()
    assert far.waits(an) is None
    assert far.status(an) == "unsubscribed"
    assert "asks you itself" not in far.page(an)


def test_doctor_counts_who_waits_and_asks_for_the_form(far: Far, an: Reader, dirk: Reader) -> None:
    """In reports: how many, for what, and the line of the policy that is missing."""
    assert list(journeys.findings(far.house.bridge)) == []
    left_and_back(far, an)
    (finding,) = journeys.findings(far.house.bridge)
    assert finding.ok
    assert finding.subject.endswith("1 for its confirmation mail, 0 for its own form")
    far.bulk.trouble("mailchimp", mode="refuses_pending")
    left_and_back(far, dirk)
    (finding,) = journeys.findings(far.house.bridge)
    assert not finding.ok
    assert 'form = "https://…" under [purposes.at.mailchimp] of newsletter, offers' in finding.fix


def test_an_audience_with_gdpr_fields_mails_her(far: Far, an: Reader) -> None:
    """Contracts 12: not sent = not permitted: the permission of the policy is given with her yes, and looked at."""
    far.bulk.trouble("mailchimp", mode="asks_permission")
    an.has_consented("newsletter")
    assert far.bulk.receives("mailchimp", an.email) == [], "the policy names no permission: doctor says so"
    places = {purpose: {**place, "permission": "Email"} for purpose, place in _places(far.house).items()}
    far.house.bridge.adapters["mailchimp"] = type(far.house.bridge.adapters["mailchimp"])(
        far.house.bridge.adapters["mailchimp"].settings, places, {}
    )
    says_yes(far.house, an, "offers")
    far.house.dispatch()
    assert far.bulk.receives("mailchimp", an.email) == ["newsletter", "offers"]


def _places(house: House) -> dict[str, dict[str, str]]:
    return {purpose: dict(place) for purpose, place in house.bridge.policy.places("mailchimp").items()}


def erase_here(house: House, reader: Reader) -> None:
    """Nothing of hers is left here."""
    with house.bridge.database.writing() as db:
        erase(db, [someone(reader).number], house.clock())
