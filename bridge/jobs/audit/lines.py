"""Rows of a list as an audit reads them: what cannot be used as proof is missing, and no row is refused for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from bridge.jobs.lists.lines import UNCONFIRMED, Lines, missing_of_sale, word
from bridge.vocabulary import Entry, EventType, Evidence, LegalBasis

T = EventType


class AuditLines(Lines):
    """Reads rows of one list. A channel nobody declared, a date or a notice that cannot be read: each is a gap."""

    def entry(self, cells: Sequence[str]) -> Entry:
        """What a row says. ValueError where there is no address, no status or no purpose to be graded."""
        entry = super().entry(cells)
        if entry.type in (T.GIVEN, T.ENROLLED) and not (entry.time and entry.channel):  # a date that says nothing
            return msgspec.structs.replace(entry, type=T.IMPORTED)
        return entry

    def _kind(self, row: Mapping[str, str]) -> EventType:
        return T.IMPORTED if word(row.get("status", "")) in UNCONFIRMED else super()._kind(row)

    def _channel(self, row: Mapping[str, str]) -> str:
        named = row.get("channel") or self._defaults.channel
        return named if named in self._policy.channels else ""

    def _purpose(self, row: Mapping[str, str], channel: str, kind: EventType) -> str:  # noqa: ARG002 - any channel may lack it
        """The one that is named, else that of all rows, else the policy's first that rests on the same ground."""
        purposes = self._policy.purposes
        named = row.get("purpose") or self._defaults.purpose
        if named and named not in purposes:
            raise ValueError(f"unknown purpose: the policy declares {', '.join(purposes)}")
        sold = [id_ for id_, each in purposes.items() if each.basis is LegalBasis.SOFT_OPT_IN]
        return named or next(iter(sold if sold and kind is T.ENROLLED else purposes))

    def _time(self, cells: Sequence[str], names: Sequence[str], *, ends: bool) -> datetime | None:  # noqa: ARG002 - nothing is refused for a date
        return super()._time(cells, names, ends=True)

    def _notice(self, row: Mapping[str, str]) -> int | None:
        try:
            return super()._notice(row)
        except ValueError:
            return None

    def _evidence(self, row: Mapping[str, str], about: Entry, version: int | None) -> Evidence:
        for spoilt in ((), ("method",), ("source_document",)):
            try:
                return super()._evidence({**row, **dict.fromkeys(spoilt, "")}, about, version)
            except ValueError:
                continue
        return super()._evidence({**row, "method": "", "source_document": ""}, about, version)

    def _sale(self, row: Mapping[str, str], about: Entry) -> Entry:
        sold = self._sold(row, about)
        rests = self._policy.purposes[about.purpose].basis is LegalBasis.SOFT_OPT_IN
        return sold if rests and not missing_of_sale(sold) else msgspec.structs.replace(sold, type=T.IMPORTED)
