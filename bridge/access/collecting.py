"""Everything that is kept of one person, read once for all the forms it is told in."""

from collections.abc import Sequence
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.evidence import Found, look
from bridge.store.case_files import Case, Told
from bridge.store.holding import Holding, holding
from bridge.store.values import Person


class Collected(NamedTuple):
    """What there is of one address. Without a person only the stop list knows it."""

    found: Found
    held: Holding | None
    requests: Sequence[tuple[Case, Told]] = ()  # by letter or phone

    @property
    def person(self) -> Person | None:
        """Whoever has that address."""
        return self.found.person


def collect(bridge: Bridge, email: str) -> Collected | None:
    """What is kept of an address; None where nothing is. Raises `Sealed` when her own row cannot be opened."""
    found = look(bridge, email)
    if found is None:
        return None
    person = found.person
    held = holding(bridge.database, bridge.store.rows, person.number, found.made) if person else None
    return Collected(found, held, bridge.store.cases.of(found.email))
