"""The withdrawal clock: from a reader's "no" to each ESP's word that it is done. Row WDR-11; GDPR 7(3), 12(2), 19."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.jobs import clock as clocks
from bridge.jobs.dispatch import Dispatcher
from bridge.store.erase import erase
from bridge.tables import stop_clocks
from bridge.vocabulary import DONE, EVERY_PURPOSE, STOPPED_THERE, EventType, Outcome, OutcomeKind
from tests.conftest import Clock, House, Reader
from tests.test_dispatch import Jobs, pauses, says_no, says_yes, with_esp
from tests.test_preferences import cards, fresh_link, someone
from tests.test_subscribe import html


def times(reader: Reader) -> list[tuple[str, datetime, datetime | None]]:
    """Each stop of hers at each ESP: when it was said, and when it was confirmed."""
    told = reader.house.store.confirmations(someone(reader))
    return [(clock.adapter, clock.acted, clock.confirmed) for clock in told]


def running(house: House) -> int:
    """How many rows the clock has."""
    with house.bridge.database.reading() as db:
        return db.scalar(select(func.count()).select_from(stop_clocks)) or 0


# -- what is kept -------------------------------------------------------------------------------------------------


def test_every_stop_is_timed_from_her_act_to_the_esps_word(house: House, an: Reader) -> None:
    """WDR-11: the time of the click and the time of the confirmation stand beside each other, for each stop."""
    an.has_consented("newsletter", "offers")
    assert running(house) == 0, "whoever never said stop has no row"

    first = house.clock()
    says_no(house, an, "offers")
    assert times(an) == [("memory", first, None)]
    confirmed = house.clock.forward(seconds=7)
    house.dispatch()
    second = house.clock.forward(minutes=1)
    says_no(house, an, EVERY_PURPOSE)

    assert times(an) == [("memory", first, confirmed), ("memory", second, None)]
    house.dispatch()
    assert times(an) == [("memory", first, confirmed), ("memory", second, second)]


def test_the_clock_runs_until_the_esp_answers(house: House, an: Reader) -> None:
    """WDR-11, ESP-06: an ESP that is away confirms nothing; the clock stops with the answer, not with the try."""
    an.has_consented()
    link = an.link("/u/")
    house.esp.down = True
    said = house.clock()
    house.client.post(link, data={"List-Unsubscribe": "One-Click"})
    for _ in range(60):
        house.clock.forward(minutes=3)
        house.dispatch()
    assert times(an) == [("memory", said, None)]

    house.esp.down = False
    back = house.clock.forward(minutes=6)
    house.dispatch()
    assert times(an) == [("memory", said, back)]


def test_a_second_press_starts_no_second_clock(house: House, an: Reader) -> None:
    """WDR-10, WDR-11: what says nothing new is no stop of its own."""
    an.has_consented()
    for _ in range(3):
        an.one_click()
        house.clock.forward(minutes=1)
    assert len(times(an)) == 1


def test_a_stop_said_while_the_esp_is_asked_is_not_confirmed_by_that_answer(house: House, an: Reader) -> None:
    """WDR-11, ESP-03: the answer to what was told before her act says nothing about her act."""
    an.has_consented("newsletter", "offers")
    says_no(house, an, "offers")
    early = house.store.queue.claim_pushes("memory", 10)
    late = house.clock.forward(seconds=3)
    says_no(house, an, "newsletter")
    house.store.queue.finish_pushes([(push, DONE) for push in early])

    assert [confirmed for _, _, confirmed in times(an)] == [late, None]
    house.dispatch()
    assert [confirmed for _, _, confirmed in times(an)] == [late, late]


def test_a_stop_told_during_a_job_counts_from_the_end_of_the_job(house: House, an: Reader) -> None:
    """WDR-11, decision 24: an open job may still undo the direct call; only after its end is the stop sure."""
    esp = with_esp(house, Jobs)
    an.has_consented()
    assert esp.open, "her yes is a job there"
    an.one_click()
    house.dispatch()
    house.clock.forward(minutes=20)
    house.dispatch()
    told = {adapter: confirmed for adapter, _, confirmed in times(an)}
    assert told["jobs"] is None
    assert told["memory"] is not None

    esp.end_jobs()
    for _ in range(4):
        ended = house.clock.forward(hours=1)
        house.dispatch()
        if all(confirmed for _, _, confirmed in times(an)):
            break
    assert {adapter: confirmed for adapter, _, confirmed in times(an)}["jobs"] == ended


def test_an_esp_that_keeps_a_stop_of_its_own_has_confirmed_hers(house: House, an: Reader) -> None:
    """WDR-11: nothing goes to her from there, and the ESP said so."""
    an.has_consented("newsletter", "offers")
    says_no(house, an, "offers")
    pushes = house.store.queue.claim_pushes("memory", 10)
    house.store.queue.finish_pushes([(push, Outcome(OutcomeKind.REFUSED, STOPPED_THERE)) for push in pushes])
    assert [confirmed for _, _, confirmed in times(an)] == [house.clock()]


@pytest.mark.parametrize("kind", [OutcomeKind.LATER, OutcomeKind.REFUSED, OutcomeKind.PENDING])
def test_no_other_answer_stops_the_clock(house: House, an: Reader, kind: OutcomeKind) -> None:
    """WDR-11, decision 23: it goes on until the stop is done, however often the ESP says something else."""
    an.has_consented()
    says_no(house, an, "newsletter")
    pushes = house.store.queue.claim_pushes("memory", 10)
    house.store.queue.finish_pushes([(push, Outcome(kind, "odd")) for push in pushes])
    assert [confirmed for _, _, confirmed in times(an)] == [None]


def test_a_new_yes_that_waits_for_a_pause_does_not_hold_up_the_clock_of_a_stop(house: House, an: Reader) -> None:
    """WDR-11: she stopped one thing, and said yes to another that a pause still hides: the stop is done at once."""
    an.has_consented("newsletter")
    pauses(house, an, days=3)
    says_yes(house, an, "offers")
    says_no(house, an, "newsletter")
    house.dispatch()
    assert [confirmed for _, _, confirmed in times(an)] == [house.clock()]


def test_an_esp_that_told_us_of_the_stop_has_no_clock(house: House, an: Reader) -> None:
    """WDR-11, WDR-13: she left at one ESP; only the others have something to confirm."""
    with_esp(house, Jobs).holds = False
    an.has_consented()
    left = house.clock.forward(minutes=3)
    house.hear(an.told_by_esp(EventType.UNSUBSCRIBED, "newsletter"))
    house.dispatch()
    assert times(an) == [("jobs", left, left)]


def test_erasing_a_person_takes_her_clocks_too(house: House, an: Reader, dirk: Reader) -> None:
    """ERS-01, SUP-04: after erasure no row names her; Dirk's stays."""
    for reader in (an, dirk):
        reader.has_consented()
        says_no(house, reader, "newsletter")
    with house.bridge.database.writing() as db:
        erase(db, [someone(an).number], house.clock())
    assert running(house) == 1
    assert len(times(dirk)) == 1


# -- what the reader sees -----------------------------------------------------------------------------------------


def test_she_sees_who_has_confirmed_and_when(home: House, reader: Reader) -> None:
    """WDR-11, PRF-01: on her own page, to the second, in the policy's time zone and in her language."""
    reader.has_consented("newsletter", "offers")
    says_no(home, reader, "newsletter")
    waits = html(home.client.get(f"{fresh_link(reader)}?language=en"))
    assert "An ESP in memory has not confirmed this yet. We ask again until it has." in cards(waits)["newsletter"]

    home.clock.now = datetime.fromisoformat("2026-11-23T14:02:07+01:00")
    home.dispatch()
    link = fresh_link(reader)
    english, dutch = (html(home.client.get(f"{link}?language={tongue}")) for tongue in ("en", "nl"))
    assert "An ESP in memory confirmed at 14:02:07" in cards(english)["newsletter"]
    assert "An ESP in memory bevestigde dit om 14:02:07" in cards(dutch)["newsletter"]
    assert "An ESP" not in cards(english)["offers"], "what she still receives was not stopped"

    home.clock.forward(days=1)
    later = html(home.client.get(f"{fresh_link(reader)}?language=en"))
    assert "An ESP in memory confirmed on 23 November 2026 at 14:02:07" in cards(later)["newsletter"]


def test_her_page_tells_of_the_last_stop_only(home: House, reader: Reader) -> None:
    """WDR-11: after a new yes an old confirmation is no longer shown; after a new stop only the new one is."""
    reader.has_consented("newsletter")
    says_no(home, reader, "newsletter")
    home.dispatch()
    home.clock.forward(minutes=10)
    says_yes(home, reader, "newsletter")
    assert "confirmed at" not in html(home.client.get(f"{fresh_link(reader)}?language=en"))
    home.dispatch()
    home.clock.forward(minutes=10)
    says_no(home, reader, "newsletter")
    page = html(home.client.get(f"{fresh_link(reader)}?language=en"))
    assert "confirmed at" not in page
    assert "has not confirmed this yet" in cards(page)["newsletter"]


def test_a_stop_of_everything_shows_at_every_purpose(home: House, reader: Reader) -> None:
    """WDR-11, PRF-05: one stop, and each thing she had says when it was done."""
    reader.has_consented("newsletter", "offers")
    home.client.post(fresh_link(reader), data={"stop": "all"})
    home.dispatch()
    shown = cards(html(home.client.get(f"{fresh_link(reader)}?language=en")))
    assert all("An ESP in memory confirmed at" in shown[purpose] for purpose in ("newsletter", "offers"))


# -- the alarm ----------------------------------------------------------------------------------------------------


def alarms(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What the clock said in the log since the last look."""
    found = [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "bridge.clock"]
    caplog.clear()
    return found


def test_after_an_hour_without_a_confirmation_the_alarm_goes_off(
    house: House, an: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """WDR-11: the ESP is down for three hours: no mail passes the gate, an alarm an hour, then the push arrives."""
    an.has_consented()
    house.esp.down = True
    says_no(house, an, "newsletter")
    raised = []
    for minute in range(181):
        house.dispatch()
        raised += [(minute, *alarm) for alarm in alarms(caplog)]
        assert not an.may().may
        house.clock.forward(minutes=1)
    assert [minute for minute, _, _ in raised] == [61, 121]
    assert {level for _, level, _ in raised} == {logging.ERROR}
    assert "memory: 1 stops not confirmed for over 1 hour (WDR-11), the oldest of 2026-11-23T" in raised[0][2]
    assert an.email not in str(raised)

    house.esp.down = False
    house.clock.forward(minutes=6)
    house.dispatch()
    alarms(caplog)
    house.clock.forward(hours=3)
    house.dispatch()
    assert not an.is_on()
    assert alarms(caplog) == []


def test_after_two_days_the_people_are_named_who_must_not_be_mailed_from_there(
    house: House, an: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """WDR-11: the hard ceiling of 48 hours. The line names subject ids, nobody's address."""
    an.has_consented()
    house.esp.down = True
    says_no(house, an, "newsletter")
    house.clock.forward(hours=48)
    house.dispatch()
    assert {level for level, _ in alarms(caplog)} == {logging.ERROR}
    house.clock.forward(hours=1)
    house.dispatch()
    critical = [text for level, text in alarms(caplog) if level == logging.CRITICAL]
    assert critical == [
        "memory: 1 stops were not confirmed within 48 hours (WDR-11): send no campaign from there until they are; "
        f"subjects {someone(an).id}"
    ]


def test_doctor_is_red_from_the_first_hour_on(house: House, an: Reader) -> None:
    """WDR-11: green while stops arrive, red with the fix when one does not, green again afterwards."""

    def look() -> tuple[bool, str]:
        (finding,) = clocks.findings(house.bridge)
        return finding.ok, f"{finding.subject}: {finding.fix}"

    an.has_consented()
    assert look() == (True, "memory: stops on their way: 0; 0 confirmed within a day, 0 of them in five minutes: ")
    house.esp.down = True
    says_no(house, an, "newsletter")
    assert look()[0]
    house.clock.forward(minutes=61)
    ok, said = look()
    assert not ok
    assert "whether consent-bridge dispatch runs" in said
    house.clock.forward(hours=48)
    assert "for over 48 hours: send no campaign from there" in look()[1]
    house.esp.down = False
    house.dispatch()
    ok, said = look()
    assert ok
    assert f"1 confirmed within a day, 0 of them in five minutes, the slowest in {61 * 60 + 48 * 3600} s" in said


def test_a_clock_that_is_set_back_makes_no_negative_time(house: House, an: Reader) -> None:
    """WDR-11: the confirmation seems to come before the act: it took no time."""
    an.has_consented()
    says_no(house, an, "newsletter")
    house.clock.forward(hours=-5)
    house.dispatch()
    found = house.store.stop_times("memory")
    assert (found.waiting, found.confirmed, found.slowest) == (0, 1, timedelta(0))


# -- figures for monitors -----------------------------------------------------------------------------------------


TOKEN = "a-token-only-for-tests"


def figures(house: House) -> dict[str, str]:
    """What a monitor reads."""
    answer = house.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    lines = answer.get_data(as_text=True).splitlines()
    ours = [line for line in lines if line.startswith(("consent_bridge_stops_", "consent_bridge_requests_"))]
    return dict(line.rsplit(" ", 1) for line in ours)


@pytest.fixture
def watched(make_house: Callable[..., House], database_url: str) -> House:
    """A house that a monitor may look into."""
    return make_house(database_url, BRIDGE_METRICS_TOKEN=TOKEN)


def test_a_monitor_reads_how_stops_fare(watched: House) -> None:
    """WDR-11: on their way, late, confirmed, and how long it took; counts only."""
    an = Reader(watched, "an.vandenberg@lezer.example")
    an.has_consented("newsletter", "offers")
    says_no(watched, an, "offers")
    watched.clock.forward(seconds=12)
    watched.dispatch()
    watched.esp.down = True
    says_no(watched, an, "newsletter")
    watched.clock.forward(minutes=90)
    name = 'consent_bridge_stops_{}{{adapter="memory"}}'.format
    assert figures(watched) == {
        name("waiting"): "1",
        name("oldest_seconds"): "5400",
        name("late"): "1",
        name("broken"): "0",
        name("confirmed_day"): "1",
        name("confirmed_in_time_day"): "1",
        name("slowest_day_seconds"): "12",
        "consent_bridge_stops_parked": "0",
        "consent_bridge_stops_aside": "0",
        "consent_bridge_requests_overdue": "0",
        "consent_bridge_requests_due_soon": "0",
    }


def test_the_figures_are_for_whoever_has_the_token(watched: House, make_house: Any, sqlite_url: str) -> None:
    """WEB-06: without the token 401; in a house without one the address does not exist."""
    for wrong in ({}, {"Authorization": "Bearer "}, {"Authorization": TOKEN}, {"Authorization": "Bearer ünknown"}):
        assert watched.client.get("/metrics", headers=wrong).status_code == 401
    closed = make_house(sqlite_url)
    for told in ("", "Bearer ", f"Bearer {TOKEN}"):
        assert closed.client.get("/metrics", headers={"Authorization": told}).status_code == 404


def test_the_dispatcher_looks_at_the_clock_by_itself(house: House, an: Reader, clock: Clock) -> None:
    """WDR-11: `dispatch` and `serve` run the alarm as a thread beside the lanes."""
    dispatcher = Dispatcher(house.bridge)
    dispatcher.start()
    try:
        assert "withdrawal clock" in {thread.name for thread in dispatcher._threads}
    finally:
        dispatcher.stop()


def test_a_stop_by_another_door_is_timed_as_well(house: House, an: Reader) -> None:
    """WDR-13: whatever door a stop came by, it has a clock."""
    an.has_consented()
    house.store.hear("mail", [an.told_by_esp(EventType.COMPLAINED)])
    house.dispatch()
    assert len(times(an)) == 1
