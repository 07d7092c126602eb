"""What an ESP holds of somebody, as she may read it: its own fields with their values, one line each."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

_MOST = 500  # lines of one person


def facts(answer: Any, without: Collection[str] = ()) -> dict[str, str]:
    """An answer's fields, named by where they stand (`merge_fields.FNAME`); empty ones and links of its own are not."""
    found: dict[str, str] = {}
    for name, value in _lines("", answer, without):
        if len(found) < _MOST:
            found[name] = value
    return found


def _lines(name: str, value: Any, without: Collection[str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in without:
                yield from _lines(f"{name}.{key}" if name else str(key), inner, without)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value, start=1):
            yield from _lines(f"{name}.{place}", inner, without)
    elif value is not None and value != "":
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
