"""What ESPs write as a time: Unix seconds, most of the time."""

from datetime import UTC, datetime


def unix_moment(stamp: object) -> datetime | None:
    """A number of Unix seconds as a moment; None for what is none."""
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
