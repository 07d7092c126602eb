"""When a request must be answered: GDPR 12(3), Regulation 1182/71. Row RGT-07; section 6."""

from datetime import date, timedelta

import pytest
from dateutil.easter import easter as reckoned
from hypothesis import given
from hypothesis import strategies as st

from bridge.decide.holidays import easter, is_holiday
from bridge.decide.requests import EXTENDED, FIRST, Alert, alert, due

DAYS = st.dates(date(2018, 1, 1), date(2098, 1, 1))
COUNTRIES = st.sampled_from(["BE", "NL", "DE"])


def is_off(country: str, day: date) -> bool:
    """Whether nobody works on that day."""
    return day.weekday() >= 5 or is_holiday(country, day)


@pytest.mark.parametrize(
    ("received", "country", "months", "expected"),
    [
        (date(2026, 8, 31), "BE", FIRST, date(2026, 9, 30)),  # no 31 September
        (date(2027, 1, 31), "BE", FIRST, date(2027, 3, 1)),  # 28 February is a Sunday
        (date(2026, 8, 31), "BE", EXTENDED, date(2026, 11, 30)),
        (date(2028, 1, 31), "BE", FIRST, date(2028, 2, 29)),
        (date(2026, 10, 11), "BE", FIRST, date(2026, 11, 12)),  # Armistice Day, Belgium only
        (date(2026, 10, 11), "NL", FIRST, date(2026, 11, 11)),
        (date(2026, 11, 25), "BE", FIRST, date(2026, 12, 28)),  # Christmas is a Friday
        (date(2026, 11, 25), "NL", FIRST, date(2026, 12, 28)),
        (date(2027, 11, 30), "NL", FIRST, date(2027, 12, 30)),
        (date(2026, 12, 1), "BE", FIRST, date(2027, 1, 4)),  # New Year's Day is a Friday
        (date(2026, 3, 3), "NL", FIRST, date(2026, 4, 7)),  # Good Friday, Easter, its Monday
        (date(2026, 3, 3), "BE", FIRST, date(2026, 4, 3)),
        (date(2026, 3, 27), "NL", FIRST, date(2026, 4, 28)),  # King's Day
        (date(2031, 3, 26), "NL", FIRST, date(2031, 4, 28)),  # ... and where the 27th is a Sunday
        (date(2027, 4, 5), "NL", FIRST, date(2027, 5, 7)),  # Liberation Day, then Ascension Day
    ],
)
def test_the_last_day_is_the_same_date_on_a_working_day(
    received: date, country: str, months: int, expected: date
) -> None:
    """RGT-07: both examples of the row, and what weekends, holidays and short months do."""
    assert due(received, country, months=months) == expected


@given(DAYS, COUNTRIES, st.sampled_from([FIRST, EXTENDED]))
def test_it_is_a_working_day_and_never_later_than_it_must_be(received: date, country: str, months: int) -> None:
    """RGT-07, Reg. 1182/71 art. 3: no day off is the last one, and no working day lies between the date and it."""
    last = due(received, country, months=months)
    nominal = due(received, "", (), months)
    assert not is_off(country, last)
    month = (received.year * 12 + received.month - 1 + months) % 12 + 1
    first = next(d for n in range(8) if (d := last - timedelta(days=n)).month == month and d.day <= received.day)
    assert all(is_off(country, first + timedelta(days=n)) for n in range((last - first).days))
    assert nominal <= last
    assert first.day == received.day or (first + timedelta(days=1)).month != month or is_off(country, first)


@given(DAYS, DAYS, COUNTRIES)
def test_who_came_first_is_due_first(one: date, other: date, country: str) -> None:
    """RGT-07: no later request is due before an earlier one."""
    earlier, later = sorted((one, other))
    assert due(earlier, country) <= due(later, country)


@given(DAYS, COUNTRIES)
def test_a_further_holiday_moves_it_and_only_it(received: date, country: str) -> None:
    """RGT-07, section 11 `dsar_holidays`: a day off that the policy names moves what would end on it."""
    last = due(received, country)
    assert due(received, country, {last}) > last
    assert due(received, country, {last + timedelta(days=1)}) == last


@given(st.integers(1900, 2199))
def test_easter_is_where_others_reckon_it(year: int) -> None:
    """RGT-07: against a library's reckoning."""
    assert easter(year) == reckoned(year)


def test_the_days_off_of_two_countries() -> None:
    """RGT-07: Belgium has ten in 2026, the Netherlands nine with Good Friday; a country we do not know has none."""
    year = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    found = {country: [d.strftime("%m-%d") for d in year if is_holiday(country, d)] for country in ("BE", "NL", "XX")}
    assert found == {
        "BE": ["01-01", "04-06", "05-01", "05-14", "05-25", "07-21", "08-15", "11-01", "11-11", "12-25"],
        "NL": ["01-01", "04-03", "04-06", "04-27", "05-05", "05-14", "05-25", "12-25", "12-26"],
        "XX": [],
    }


def test_alerts_come_at_a_week_at_three_weeks_and_three_days_before_the_end() -> None:
    """RGT-07: each day of one request, from the day it came to the day after it was due."""
    received = date(2026, 8, 31)
    last = due(received, "BE")
    said = {n: alert(received, last, received + timedelta(days=n)) for n in range(33)}
    first = {what: min(n for n, each in said.items() if each is what) for what in Alert}
    assert first == {Alert.WEEK: 7, Alert.THREE_WEEKS: 21, Alert.SOON: 27, Alert.OVERDUE: 31}
    assert said[6] is None


@given(DAYS, st.integers(0, 120), st.booleans())
def test_an_alert_never_grows_weaker(received: date, days: int, extended: bool) -> None:
    """RGT-07: whatever the day, the next one says at least as much."""
    order: list[Alert | None] = [None, *Alert]
    last = due(received, "BE", months=EXTENDED if extended else FIRST)
    now, then = (alert(received, last, received + timedelta(days=n), extended=extended) for n in (days, days + 1))
    assert order.index(now) <= order.index(then)
