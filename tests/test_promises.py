"""The three promises, attacked: nobody is mailed without live proof; a "no" is never lost or overtaken; after the end
nothing is left but a keyed hash. GDPR 7(1), 7(3), 17.

Any interleaving of a reader, an ESP that lies, doubles and delays, a scanner, staff, and a dispatcher that fails.
"""

import base64
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.store import BadInput
from bridge.vault import new_id
from bridge.vocabulary import OPERATOR, ConsentEvent, EventType, Evidence, Method, Report
from tests.conftest import BASE_URL, House, Reader

PURPOSES = ("newsletter", "offers")
PURPOSE = st.sampled_from(PURPOSES)

STEPS = st.one_of(
    st.tuples(st.just("signs_up"), PURPOSE),
    st.tuples(st.just("presses"), st.integers(0, 5)),  # some confirmation link of hers, old or new
    st.tuples(st.just("one_click"), st.integers(0, 5)),
    st.tuples(st.just("saves"), st.sets(PURPOSE)),
    st.tuples(st.just("stops_all"), st.none()),
    st.tuples(st.just("esp_says"), st.sampled_from([EventType.UNSUBSCRIBED, EventType.COMPLAINED, EventType.BOUNCED])),
    st.tuples(st.just("esp_lies"), PURPOSE),  # "subscribed", without proof
    st.tuples(st.just("esp_repeats"), st.none()),
    st.tuples(st.just("staff_imports"), PURPOSE),
    st.tuples(st.just("scanner"), st.none()),
    st.tuples(st.just("dispatch"), st.booleans()),  # with the ESP down, or up
    st.tuples(st.just("time"), st.sampled_from([1, 7, 3600, 25 * 3600])),
)


class Life:
    """One reader's life, with a second, much simpler book of what she said: `yes` holds her standing yeses."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.an = Reader(house, f"an-{new_id().lower()}@lezer.example")
        self.yes: set[str] = set()
        self.confirm_links: list[tuple[str, set[str]]] = []
        self.stop_links: list[str] = []
        self.reports: list[Report] = []
        self.bounced_at: datetime | None = None

    @property
    def bounced(self) -> bool:
        return self.bounced_at is not None

    def said_yes(self, given: ConsentEvent) -> None:
        self.yes.add(given.purpose)
        assert given.asked is not None
        if self.bounced_at is not None and given.asked.replace(microsecond=0) > self.bounced_at:
            self.bounced_at = None  # the mail that asked arrived after the bounce: the mailbox lives

    def said_no(self, *purposes: str) -> None:
        self.yes -= set(purposes)

    def collect_mails(self) -> None:
        for mail in self.an.mails():
            text = mail.get_body(("plain",)).get_content()
            for word in text.split():
                link = word.removeprefix(BASE_URL)
                if link.startswith("/confirm/") and link not in [known for known, _ in self.confirm_links]:
                    self.confirm_links.append((link, set()))
                if link.startswith("/u/") and link not in self.stop_links:
                    self.stop_links.append(link)

    def signs_up(self, purpose: str) -> None:
        self.an.signs_up(purpose)
        self.collect_mails()

    def presses(self, which: int) -> None:
        if not self.confirm_links:
            return
        link, _ = self.confirm_links[which % len(self.confirm_links)]
        before = {p: self.an.may(p).status for p in PURPOSES}
        page = self.house.client.post(link)
        assert page.status_code in (200, 410)
        if page.status_code == 410:  # a refused link changes nothing
            assert {p: self.an.may(p).status for p in PURPOSES} == before
            return
        for event in self.an.story():
            if event.type is EventType.GIVEN and event.time == self.house.clock():
                self.said_yes(event)

    def one_click(self, which: int) -> None:
        if not self.stop_links:
            return
        link = self.stop_links[which % len(self.stop_links)]
        assert self.house.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        claim, _ = self.house.bridge.acts.to_stop(link.removeprefix("/u/"))
        self.said_no(*([claim.purpose] if claim.purpose else PURPOSES))

    def saves(self, wanted: set[str]) -> None:
        if self.house.store.person(self.an.email) is None:
            return
        self.house.clock.forward(minutes=6)
        had = len(self.an.mails())
        self.house.client.post("/preferences", data={"email": self.an.email})
        if len(self.an.mails()) == had:
            return  # over her limit
        page = self.an.saves(self.an.link("/preferences/"), *wanted)
        if page.status_code == 200:
            self.said_no(*(set(PURPOSES) - wanted))
            for event in self.an.story():
                if event.type is EventType.GIVEN and event.time == self.house.clock():
                    self.said_yes(event)

    def stops_all(self, _: None) -> None:
        if self.stop_links:
            self.house.client.post(self.stop_links[0], data={"scope": "all"})
            self.said_no(*PURPOSES)

    def esp_says(self, kind: EventType) -> None:
        if self.house.store.person(self.an.email) is None:
            return
        report = self.an.told_by_esp(kind)
        self.reports.append(report)
        self.house.hear(report)
        if kind is EventType.BOUNCED:
            self.bounced_at = self.house.clock()
        else:
            self.said_no(*PURPOSES)

    def esp_lies(self, purpose: str) -> None:
        self.house.hear(self.an.told_by_esp(EventType.SUBSCRIBED, purpose))

    def esp_repeats(self, _: None) -> None:
        assert self.house.hear(*self.reports, *reversed(self.reports)) == 0

    def staff_imports(self, purpose: str) -> None:
        person = self.house.store.person(self.an.email)
        if person is None or self.an.may(purpose).status in ("unknown", "requested", "given"):
            return  # a proven import may start a fresh contact; what it may never do is lift a stop
        now = self.house.clock()
        words = self.house.bridge.notices.wording(purpose, "nl")
        proof = Evidence(wording=words.sha256, language="nl", document="file-1", box="ticked")
        event = ConsentEvent(
            type=EventType.GIVEN,
            subject=person.id,
            time=now,
            received=now,
            asked=now,
            source=OPERATOR,
            method=Method.IMPORT,
            key=new_id(),
            purpose=purpose,
            channel="footer",
            notice=1,
            evidence=proof,
        )
        self.house.store.record([event])

    def scanner(self, _: None) -> None:
        for link in [known for known, _ in self.confirm_links] + self.stop_links:
            self.house.client.get(link)
            self.house.client.head(link)

    def dispatch(self, down: bool) -> None:
        self.house.esp.down = down
        self.house.dispatch()
        self.house.esp.down = False

    def time(self, seconds: int) -> None:
        self.house.clock.forward(seconds=seconds)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_whatever_happens_the_promises_hold(home: House, steps: list[tuple[str, object]]) -> None:
    """R1 to R7, ESP-01, ESP-03, CON-05, WDR-04: may_mail only with her standing yes; both sides end equal."""
    home.clock.forward(hours=2)
    life = Life(home)
    life.signs_up("newsletter")
    for name, value in steps:
        home.clock.forward(seconds=1)
        getattr(life, name)(value)
        for purpose in PURPOSES:
            assert not life.an.may(purpose).may or (purpose in life.yes and not life.bounced)
            if purpose in life.yes and not life.bounced:
                assert life.an.may(purpose).may, life.an.may(purpose)

    for _ in range(12):  # back-off ends, whatever was down is up
        home.clock.forward(hours=2)
        home.dispatch()
    for purpose in PURPOSES:
        assert life.an.is_on(purpose) == life.an.may(purpose).may
    assert home.verify().problems == ()


def test_a_request_never_confirmed_leaves_nothing_but_keyed_hashes(reader: Reader, tmp_path: Path) -> None:
    """CON-06, SUP-01: after the request ran out her address is in no table, file or log, in no common coding."""
    house = reader.house
    reader.signs_up("newsletter", "offers")
    reader.mails()
    house.clock.forward(days=4)

    assert house.store.forget_requests() == 1

    house.close()
    found = b"".join(path.read_bytes() for path in tmp_path.glob("consent.db*"))
    for form in (reader.email, reader.email.upper(), reader.email.partition("@")[0]):
        raw = form.encode()
        assert raw not in found
        assert base64.b64encode(raw)[:-4] not in found
        assert raw.hex().encode() not in found
    assert house.store.person(reader.email) is None
    assert house.verify().problems == ()


def test_an_event_without_proof_cannot_be_written_at_all(reader: Reader) -> None:
    """CAP-05: nobody is mailed without live proof, because a yes without it does not get in."""
    reader.signs_up("newsletter")
    person = reader.house.store.person(reader.email)
    assert person is not None
    now = reader.house.clock()
    bare = ConsentEvent(
        type=EventType.GIVEN,
        subject=person.id,
        time=now,
        received=now,
        asked=now - timedelta(minutes=1),
        source="reader",
        method=Method.CONFIRM_PAGE,
        key=new_id(),
        purpose="newsletter",
    )
    with pytest.raises(BadInput, match="missing"):
        reader.house.store.record([bare])
    assert reader.status() == "requested"
