"""When a request of a person must be answered (RGT-07): GDPR 12(3), by the periods of Regulation 1182/71."""

import calendar
from collections.abc import Collection
from datetime import date, timedelta
from enum import StrEnum

from bridge.decide.holidays import is_holiday

#: In months: what 12(3) gives, and what it gives where reasons for more are told within the first month.
FIRST, EXTENDED = 1, 3

_WEEK, _THREE_WEEKS, _LAST = timedelta(days=7), timedelta(days=21), timedelta(days=3)
_SATURDAY = 5


class Alert(StrEnum):
    """How pressing a request is that nobody has answered."""

    WEEK = "a week old"
    THREE_WEEKS = "three weeks old"
    SOON = "due within 3 days"
    OVERDUE = "overdue"


def due(received: date, country: str, more: Collection[date] = (), months: int = FIRST) -> date:
    """The last day to answer what came on that day: the same date so many months on, or the last day of a month that
    has no such date; from a Saturday, Sunday or public holiday the next working day (Reg. 1182/71, art. 3(2)(c), 3(4)).

    `more` are holidays besides those that are known of the country; where none are known, days off only seem to be
    working days, and the answer is due too early rather than too late.
    """
    year, month = divmod(received.year * 12 + received.month - 1 + months, 12)
    day = date(year, month + 1, min(received.day, calendar.monthrange(year, month + 1)[1]))
    while day.weekday() >= _SATURDAY or day in more or is_holiday(country, day):
        day += timedelta(days=1)
    return day


def alert(received: date, due: date, today: date, *, extended: bool = False) -> Alert | None:
    """What must be said of an open request today: from day 7, from day 21, from three days before it is due."""
    if today > due:
        return Alert.OVERDUE
    if today >= due - _LAST:
        return Alert.SOON
    if extended:  # she was told that it takes longer
        return None
    if today >= received + _THREE_WEEKS:
        return Alert.THREE_WEEKS
    return Alert.WEEK if today >= received + _WEEK else None
