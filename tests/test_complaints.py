"""How many readers press "spam": a note at 0.1 %, and at 0.3 % nothing new begins for that purpose. SND-04."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from bridge.jobs.doctor import complaints as look
from bridge.policy import PolicyError, load
from bridge.store.complaints import Rate
from bridge.vocabulary import EventType, Finding, Status
from tests.conftest import House, Reader
from tests.test_store import consents

Made = Callable[..., House]
ME = "an.vandenberg@lezer.example"


@pytest.fixture
def crowd(house: House) -> list[Reader]:
    """A thousand readers would take long to make: eight of the newsletter, and limits as for eight."""
    policy = Path(house.environment["BRIDGE_POLICY"])
    policy.write_text(with_limits(policy, "complaint_warn = 1\ncomplaint_stop = 5\ncomplaint_least = 1"), "utf-8")
    del house.bridge.policy
    house.bridge._limits = None
    readers = [Reader(house, f"reader{number}@lezer.example") for number in range(8)]
    for reader in readers:
        consents(house, reader.email, "newsletter")
    house.dispatch()
    house.clock.forward(minutes=5)
    return readers


def with_limits(policy: Path, limits: str) -> str:
    """The policy with other limits."""
    text = policy.read_text(encoding="utf-8")
    assert "complaint_least = 1000" in text
    return text.replace("complaint_least = 1000", limits)


def complains(reader: Reader) -> None:
    """She presses "spam"; the ESP tells."""
    reader.house.hear(reader.told_by_esp(EventType.COMPLAINED))


def found(house: House) -> list[Finding]:
    """What doctor says of complaints."""
    return list(look.look(house.bridge))


@pytest.mark.parametrize(
    ("complaints", "readers", "percent"), [(1, 999, 0.1), (3, 997, 0.3), (0, 0, 0.0), (1, 0, 100.0), (1, 1999, 0.05)]
)
def test_a_rate_is_complaints_over_all_who_were_on(complaints: int, readers: int, percent: float) -> None:
    """SND-04: fixture rates."""
    assert Rate(date(2026, 11, 25), "newsletter", complaints, readers).percent == pytest.approx(percent)


def test_a_day_at_the_limit_stops_what_is_new_and_nothing_else(house: House, crowd: list[Reader]) -> None:
    """SND-04: the queue of that purpose; another purpose and every stop go on."""
    complains(crowd[0])
    new = Reader(house, ME)
    consents(house, new.email, "newsletter", "offers")
    house.dispatch()
    assert not new.is_on("newsletter")
    assert new.is_on("offers")
    house.hear(crowd[1].told_by_esp(EventType.UNSUBSCRIBED))
    house.dispatch()
    assert not crowd[1].is_on("newsletter")
    assert crowd[2].is_on("newsletter")  # who was on there stays: pulling everybody out would be no kinder


def test_a_stopped_purpose_is_refused_with_the_reason(house: House, crowd: list[Reader]) -> None:
    """SND-01, SND-04: the operator's own programs ask `may-mail` before each mail."""
    assert crowd[2].may().may
    complains(crowd[0])
    answer = crowd[2].may()
    assert not answer.may
    assert answer.status is Status.GIVEN
    assert any("12.50 % of readers complained on 2026-11-23 (1 of 8)" in why for why in answer.why)


def test_what_waited_goes_on_after_a_day_that_was_better(house: House, crowd: list[Reader]) -> None:
    """SND-04: her yes was not lost meanwhile."""
    complains(crowd[0])
    new = Reader(house, ME)
    consents(house, new.email, "newsletter")
    house.dispatch()
    house.clock.forward(days=1)
    house.dispatch()
    assert not new.is_on("newsletter")
    house.clock.forward(days=1)
    house.dispatch()
    assert new.is_on("newsletter")
    assert new.may().may


def test_doctor_shows_the_stop_then_the_memory_of_it(house: House, crowd: list[Reader]) -> None:
    """SND-04: red while stopped; a note as long as it is in the last week."""
    (calm,) = found(house)
    assert calm == Finding("complaints: below 1 % on each of the last 7 days", ok=True)
    complains(crowd[0])
    (stopped,) = found(house)
    assert not stopped.ok
    assert "newsletter" in stopped.subject
    house.clock.forward(days=2)
    (note,) = found(house)
    assert note.ok
    assert note.fix
    house.clock.forward(days=7)
    assert found(house) == [calm]


def test_few_complaints_are_chance_whatever_their_share(house: House, crowd: list[Reader]) -> None:
    """SND-04: `complaint_least`; doctor says so all the same."""
    complains(crowd[0])
    limits = msgspec.structs.replace(house.bridge.limits(house.clock()), complaint_least=2)
    assert house.store.complaints.held(house.clock(), limits) == {}
    complains(crowd[1])
    assert set(house.store.complaints.held(house.clock(), limits)) == {"newsletter"}


def test_told_twice_is_one_complaint_and_so_is_a_second_mail(house: House, crowd: list[Reader]) -> None:
    """HOOK-02, SND-04: a reader counts once; whoever was not on does not count."""
    report = crowd[0].told_by_esp(EventType.COMPLAINED)
    house.hear(report)
    house.hear(report)
    complains(crowd[0])
    house.hear(Reader(house, "stranger@lezer.example").told_by_esp(EventType.COMPLAINED))
    today = house.clock.now.date()
    assert [rate.complaints for rate in house.store.complaints.rates(today, today)] == [1]


def test_a_day_is_one_of_the_operators(house: House, crowd: list[Reader]) -> None:
    """Decision 34: report days are in the policy's timezone; here 23:30 UTC is half past midnight."""
    house.clock.now = house.clock.now.replace(hour=23, minute=30)
    complains(crowd[0])
    days = [rate.day for rate in house.store.complaints.rates(date(2026, 11, 1), date(2026, 12, 1))]
    assert days == [date(2026, 11, 24)]


def test_old_complaints_that_are_found_late_stop_nothing_now(house: House, crowd: list[Reader]) -> None:
    """Reconciling tells of the whole past at once: each counts for its own day."""
    for reader in crowd[:5]:
        report = reader.told_by_esp(EventType.COMPLAINED)
        house.hear(msgspec.structs.replace(report, time=report.time - timedelta(days=3)))
    assert house.store.complaints.held(house.clock(), house.bridge.limits(house.clock())) == {}


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        ("complaint_warn = 0.4", "limits.complaint_warn"),
        ("complaint_stop = 20", "limits.complaint_stop"),
        ("complaint_stop = nan", "limits.complaint_stop"),
        ("complaint_warn = 0", "limits.complaint_warn"),
        ("complaint_least = 0", "limits.complaint_least"),
    ],
)
def test_limits_out_of_range_are_refused(policy_folder: Path, limits: str, row: str) -> None:
    """SND-04: settings."""
    file = policy_folder / "policy.toml"
    file.write_text(with_limits(file, limits), encoding="utf-8")
    with pytest.raises(PolicyError, match=f"{row}: SND-04"):
        load(file)
