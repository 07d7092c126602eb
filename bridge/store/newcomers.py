"""Whoever of a list is not here yet, made ready before the transaction begins: key, sealed profile, sealed event."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bridge.decide import event_of
from bridge.store.rows import Written, profile_bytes
from bridge.store.sql import Hand, Sql
from bridge.store.values import Person
from bridge.tables import person_keys, subjects
from bridge.vault import FIRST, Vault, about_event, canonical, digest, new_ids, pack, seal_each
from bridge.vocabulary import ConsentEvent, Entry

_NEW = Sql(
    "INSERT INTO subjects (number, id, kid, lookup, mark, profile) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    table=subjects,
)
_KEYS = Sql("INSERT INTO person_keys (subject, kid, wrapped) VALUES (?, ?, ?)", table=person_keys)


class Draft(NamedTuple):
    """Somebody who may be new, ready but for her number."""

    entry: Entry
    person: Person
    key: Any
    wrapped: bytes
    profile: bytes
    event: ConsentEvent
    sealed: bytes
    digest: bytes

    def written(self, number: int) -> Written:
        """Her first event, as it is written."""
        return Written(self.event, number, 1, self.sealed, self.digest)


def drafted(
    vault: Vault, mark: Callable[[str], str], entries: Sequence[Entry], begun: datetime, now: datetime
) -> list[Draft]:
    """Whom each of these lines brings in. `mark` is `Links.mark`.

    Step by step for all of them, not line by line: so a processor takes half the time for it.
    """
    ids = new_ids(len(entries))
    wrapped, keys = vault.new_people(ids)
    events = [event_of(entry, id_, begun, now) for entry, id_ in zip(entries, ids, strict=True)]
    packed = [pack(data) for data in [canonical(event) for event in events]]
    sealed = seal_each(keys, packed, [about_event(id_, 1) for id_ in ids])
    digests = [digest(FIRST, each) for each in sealed]
    people = [
        Person(number=0, id=id_, email=e.email, mark=mark(e.email), language=e.language, fields=e.fields)
        for e, id_ in zip(entries, ids, strict=True)
    ]
    profiles = seal_each(keys, [profile_bytes(person) for person in people], ids)
    each = zip(entries, people, keys, wrapped, profiles, events, sealed, digests, strict=True)
    return [Draft(*one) for one in each]


def insert(db: Hand, kid: str, people: Mapping[bytes, tuple[int, Draft]]) -> bool:
    """Write the rows of people, each with her number, by the hash of her address under the newest root, `kid`.

    False where somebody has such an address by now; then all of it must be undone.
    """
    in_order = sorted(people.items())  # one lock order for all writers
    rows = [(number, d.person.id, kid, lookup, d.person.mark, d.profile) for lookup, (number, d) in in_order]
    if _NEW.many(db, rows) != len(rows):
        return False
    _KEYS.fresh(db, [(number, kid, d.wrapped) for _, (number, d) in in_order])
    return True
