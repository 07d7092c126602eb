"""What she asked us by letter or phone, and what became of it, for herself (GDPR 15)."""

from collections.abc import Iterator, Sequence
from typing import Any

from bridge.bootstrap import Bridge
from bridge.identity import ASKED
from bridge.store.case_files import Case, Told
from bridge.texts import mark
from bridge.vocabulary import rfc3339

STATES = {"open": mark("not answered yet"), "answered": mark("answered"), "refused": mark("refused")}


def as_rows(found: Sequence[tuple[Case, Told]]) -> list[dict[str, Any]]:
    """Each request as plain data, with what is written of her in it."""
    return [_row(case, told) for case, told in found]


def _row(case: Case, told: Told) -> dict[str, Any]:
    moments = {name: getattr(case, name) for name in ("asked", "verified", "acted", "extended", "closed")}
    words = {name: getattr(told, name) for name in ("note", "extension", "reason", "complaint", "answer", "purpose")}
    return {
        "reference": case.id,
        "kind": case.kind.value,
        "received": case.received.isoformat(),
        "due": case.due.isoformat(),
        "state": case.state,
        "address": told.email,
        "language": told.language,
        "written down": rfc3339(case.opened),
        "known to be you by": case.how.value if case.how else None,
        **{name: rfc3339(moment) for name, moment in moments.items() if moment},
        **{name: text for name, text in words.items() if text},
    }


def lines(bridge: Bridge, found: Sequence[tuple[Case, Told]], language: str) -> Iterator[str]:
    """The same as sentences."""
    texts = bridge.texts
    for case, told in found:
        yield texts.gettext(
            language,
            "On %(day)s you asked us %(asked)s: %(state)s. Our reference: %(id)s",
            day=texts.day(language, case.received),
            asked=texts.gettext(language, ASKED[case.kind]),
            state=texts.gettext(language, STATES[case.state]),
            id=case.id,
        )
        yield from (each for each in (told.note, told.extension, told.reason, told.answer) if each)
