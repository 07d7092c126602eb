"""From TOML to typed choices, noting everything that does not fit instead of stopping at the first."""

import re
import types
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from bridge.policy.shapes import Policy, Problem, Span, Unit

FORM = "form"  # the row of a problem that is about the file itself
_SPAN = re.compile(r"(0|[1-9][0-9]{0,4}) ?(h|hours?|days?|months?)")
_UNITS: dict[str, Unit] = {"h": "hours", "d": "days", "m": "months"}
_KINDS = {
    str: 'text in quotes, like "this"',
    int: "a whole number",
    bool: "true or false",
    date: "a date, like 2026-11-23 (no quotes)",
    dict: "a table",
    tuple: 'a list, like ["one", "two"]',
}
_EMPTY: dict[Any, Any] = {str: "", int: 0, bool: False, date: date.min, tuple: (), dict: {}, Span: Span(0, "days")}

S = TypeVar("S", bound=msgspec.Struct)


def parse_span(text: str) -> Span | None:
    """A length of time as people write it ("72h", "15 days", "36 months"), or None."""
    found = _SPAN.fullmatch(text)
    return Span(int(found[1]), _UNITS[found[2][0]]) if found else None


class Reading:
    """One pass over a parsed file: builds the shapes and collects the problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def policy(self, data: Mapping[str, Any]) -> Policy:
        """The whole file. Where a value did not fit, an empty one stands in its place and `problems` names it."""
        return self._struct(Policy, data, "")

    def failed(self, where: str) -> bool:
        """A value at this place or around it could not be read, so no rule can judge it."""
        return any(where == bad.where or where.startswith(bad.where + ".") for bad in self.problems)

    def _refuse(self, where: str, fix: str) -> None:
        self.problems.append(Problem(where or "the file", FORM, fix))

    def _struct(self, shape: type[S], data: object, where: str) -> S:
        if not isinstance(data, Mapping):
            self._refuse(where, f"must be a table, like [{where}]")
            data = {}
            quiet = True
        else:
            quiet = False
        known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
        for key in sorted(data.keys() - known.keys()):
            self._refuse(_join(where, key), _unknown(str(key), list(known)))
        values: dict[str, Any] = {}
        for key, field in known.items():
            place = _join(where, key)
            if key in data:
                values[field.name] = self._value(field.type, data[key], place)
            elif field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
                values[field.name] = self._blank(field.type)
                if not quiet:
                    self._refuse(place, f"is missing; {_wanted(field.type)}")
        return shape(**values)

    def _value(self, kind: Any, value: object, where: str) -> Any:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Span:
            return self._struct(kind, value, where)
        if kind is Span:
            return self._span(value, where)
        shape = _optional(kind)
        if shape is not None:
            return self._value(shape, value, where)
        item = _listed(kind)
        if item is not None:
            return self._list(item, value, where)
        if kind is date and type(value) is not date:
            return self._misfit(kind, where)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return self._misfit(kind, where)

    def _misfit(self, kind: Any, where: str) -> Any:
        self._refuse(where, _wanted(kind))
        return self._blank(kind)

    def _span(self, value: object, where: str) -> Span:
        span = parse_span(value) if isinstance(value, str) else None
        if span is None:
            self._refuse(where, _wanted(Span))
        return span or Span(0, "days")

    def _list(self, item: type[msgspec.Struct], value: object, where: str) -> dict[str, msgspec.Struct]:
        """An array of tables as a dict by id, in the order of the file."""
        found: dict[str, msgspec.Struct] = {}
        if not isinstance(value, list):
            self._refuse(where, f"must be written as [[{where}]], one block for each")
            return found
        keys: tuple[str, ...] = getattr(item, "KEYS", item.__struct_fields__[:1])
        for number, data in enumerate(value, 1):
            told = [key for key in keys if isinstance(data, Mapping) and isinstance(data.get(key), str) and data[key]]
            key = told[0] if told else keys[0]
            name = data[key] if told else str(number)
            shape = self._struct(item, data, f"{where}.{name}")
            if name in found:
                self._refuse(f"{where}.{name}.{key}", f"is there twice; give each of [[{where}]] its own {key}")
            found[name] = shape
        return found

    def _blank(self, kind: Any) -> Any:
        if isinstance(kind, type) and issubclass(kind, Enum):
            return next(iter(kind))
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Span:
            return Reading()._struct(kind, {}, "")
        if _optional(kind) is not None:
            return None
        return _EMPTY[get_origin(kind) or kind]


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _optional(kind: Any) -> Any:
    """X of `X | None`, else None."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return None


def _listed(kind: Any) -> type[msgspec.Struct] | None:
    """The shape behind `dict[str, Shape]`, which the file writes as `[[...]]`; else None."""
    if get_origin(kind) is dict:
        item = get_args(kind)[1]
        if isinstance(item, type) and issubclass(item, msgspec.Struct):
            return item
    return None


def _wanted(kind: Any) -> str:
    """What a value of this kind looks like, in the operator's words."""
    if kind is Span:
        return 'must be a length of time in quotes, like "72h", "15 days" or "36 months"'
    kind = _optional(kind) or kind
    choices: tuple[Any, ...] = ()
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = tuple(member.value for member in kind)
    elif get_origin(kind) is Literal:
        choices = get_args(kind)
    if choices:
        return "must be " + " or ".join(f'"{choice}"' for choice in choices)
    if _listed(kind) is not None:
        return "at least one block is needed"
    if get_origin(kind) is dict and get_args(kind) == (str, str):
        return 'must be a table with text in quotes, like { en = "Daily news" }'
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "must be a table"
    return f"must be {_KINDS[get_origin(kind) or kind]}"


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known here: {', '.join(sorted(known))}"
