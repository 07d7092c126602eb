"""Dates as lists have them: which moment is meant, or why nobody can tell."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

_DAY, _HOUR = r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])[Mm])?"
_NUMBERED = re.compile(rf"{_DAY}(?:,?[ T]{_HOUR})?")
_SECONDS = re.compile(r"\d{9,10}(?:\.\d+)?")
_SENDGRID = re.compile(r"(.*?\d) (UTC|[+-]\d{4})(?: \w+)?")

_UNREADABLE = "a date cannot be read; write it like 2024-05-31 or 2024-05-31 14:05:00"

#: Clocks of two machines may differ so much (R1).
_AHEAD = timedelta(minutes=5)

_EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)

#: How dates with slashes are read: day first, month first, or only those that can mean one day.
ORDERS = ("dmy", "mdy")


def moment(text: str, zone: tzinfo, now: datetime, order: str = "") -> datetime:
    """A moment in UTC. One without a zone is meant in `zone`. ValueError says what to write instead."""
    found = _read(text.strip(), order)
    try:
        found = (found.replace(tzinfo=zone) if found.tzinfo is None else found).astimezone(UTC)
    except OverflowError:  # the first or last day there is, as some programs write "none"
        raise ValueError(_UNREADABLE) from None
    if found > now + _AHEAD:
        raise ValueError("a date lies in the future")
    if found < _EARLIEST:
        raise ValueError("a date lies before 1995, when nobody sent newsletters")
    return found


def _read(text: str, order: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        if numbered := _NUMBERED.fullmatch(text):
            return _numbered(numbered, order)
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        if sendgrid := _SENDGRID.fullmatch(text):
            return datetime.fromisoformat(f"{sendgrid[1]}{sendgrid[2].replace('UTC', '+00:00')}")
    except (ValueError, OverflowError) as error:
        if isinstance(error, _Ambiguous):
            raise
    raise ValueError(_UNREADABLE)


class _Ambiguous(ValueError):
    """It may be two days."""


def _numbered(found: re.Match[str], order: str) -> datetime:
    one, mark, two, year = int(found[1]), found[2], int(found[3]), int(found[4])
    day, month = (two, one) if order == "mdy" else (one, two)
    if mark == "/" and not order:  # 31/05 and 05/31 can mean one day, 04/05 cannot
        if one <= 12 and two <= 12 and one != two:
            raise _Ambiguous("a date may be two days, day or month first; say which with --dates dmy or --dates mdy")
        if two > 12:
            day, month = two, one
    hour = int(found[5] or 0)
    if found[8]:
        hour = hour % 12 + (12 if found[8] in "pP" else 0)
    return datetime(year, month, day, hour, int(found[6] or 0), int(found[7] or 0))  # noqa: DTZ001 - the caller's zone
