"""Public holidays on which no period of ours ends, by country, worked out by rule.

Sources, known in November 2026: Belgium, Act of 4 January 1974 and Royal Decree of 18 April 1974, art. 1 (ten days);
the Netherlands, Algemene termijnenwet, art. 3(1) and (2) (King's Day is the Saturday before where it falls on a
Sunday). Other countries: none are known, which makes an answer due too early at most; the policy names them in
`dsar_holidays`. Special days that a government declares belong there too.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache

_SUNDAY = 6


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    century, rest = divmod(year, 100)
    moon = year % 19
    epact = (19 * moon + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (moon + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def is_holiday(country: str, day: date) -> bool:
    """Whether a day is a public holiday of this country."""
    return day in _of(country, day.year)


@lru_cache(maxsize=64)
def _of(country: str, year: int) -> frozenset[date]:
    days = _COUNTRIES.get(country)
    return frozenset(days(year)) if days else frozenset()


def _church(year: int) -> list[date]:
    """Easter Monday, Ascension Day and Whit Monday."""
    return [easter(year) + timedelta(days=days) for days in (1, 39, 50)]


def _belgium(year: int) -> list[date]:
    fixed = ((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25))
    return [*_church(year), *(date(year, month, day) for month, day in fixed)]


def _netherlands(year: int) -> list[date]:
    king = date(year, 4, 27)
    good_friday = easter(year) - timedelta(days=2)
    fixed = (date(year, month, day) for month, day in ((1, 1), (5, 5), (12, 25), (12, 26)))
    return [*_church(year), *fixed, good_friday, king - timedelta(days=king.weekday() == _SUNDAY)]


_COUNTRIES: Mapping[str, Callable[[int], list[date]]] = {"BE": _belgium, "NL": _netherlands}
