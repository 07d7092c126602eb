"""Staff at work: an errand about many people at once, by the store's own door, in a process that can die in it.

Whoever was killed is sent again: an errand that was half done is finished, and nothing of it is done twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import select

from bridge.bootstrap import Bridge
from bridge.store.door import Batch
from bridge.tables import erase_work, person_keys, subjects
from bridge.vault import new_id
from bridge.vocabulary import EVERY_PURPOSE, OPERATOR, ConsentEvent, EventType, Evidence, Method
from tests.torture.trail import Trail

#: People in one transaction: more than Mailchimp is told by direct calls, and few enough that no click waits long.
_AT_ONCE = 40


def carry_out(bridge: Bridge, errand: dict[str, Any], trail: Trail) -> None:
    """Do one errand; raises `StoreAway` where it could not be finished."""
    if errand["what"] == "erase":
        for email in errand["people"]:
            _erase(bridge, email, trail)
        return
    write: Callable[[Bridge, Batch, Sequence[str], dict[str, Any]], None] = _ERRANDS[errand["what"]]
    for begin in range(0, len(errand["people"]), _AT_ONCE):
        part = errand["people"][begin : begin + _AT_ONCE]
        bridge.store._write(lambda batch, part=part: write(bridge, batch, part, errand))  # type: ignore[misc]


def _erase(bridge: Bridge, email: str, trail: Trail) -> None:
    """Erase her, and leave in the trail what nobody may find afterwards: her id and what opened her rows."""
    hashes = [entry.value for entry in bridge.vault.lookups(email)]
    query = select(subjects.c.id, subjects.c.lookup, person_keys.c.wrapped).outerjoin(
        person_keys, person_keys.c.subject == subjects.c.number
    )
    with bridge.database.reading() as db:
        found = db.execute(query.where(subjects.c.lookup.in_(hashes))).all()
    for subject, lookup, wrapped in found:
        trail.say("erases", subject=subject, left=[lookup.hex(), *([wrapped.hex()] if wrapped else [])])
    bridge.store.erase_person(email)
    with bridge.database.reading() as db:
        promised = db.execute(select(erase_work.c.wrapped, erase_work.c.address)).all()
    for wrapped, address in promised[-10:]:
        trail.say("promises", left=[wrapped.hex(), address.hex()])


def _take_in(bridge: Bridge, batch: Batch, people: Sequence[str], errand: dict[str, Any]) -> None:
    """A file of people with proof, as an import writes it."""
    store, language = bridge.store, errand["language"]
    shown = [bridge.notices.wording(purpose, language) for purpose in errand["purposes"]]
    for email in people:
        opened = store.sign_ups.ensure(batch, email, language, {})
        if batch.history[opened.number]:
            continue  # taken in by somebody who was killed afterwards
        told = [
            msgspec.structs.replace(
                _event(EventType.GIVEN, opened.person.id, Method.IMPORT, batch, words.purpose),
                channel="footer",
                notice=words.version,
                evidence=Evidence(wording=words.sha256, language=language, document=errand["document"]),
            )
            for words in shown
        ]
        store._words.keep(batch, told)
        for event in told:
            batch.add(opened, event)


def _change_language(bridge: Bridge, batch: Batch, people: Sequence[str], errand: dict[str, Any]) -> None:
    """Many are written to in another language from now on: each ESP must be told of all of them again."""
    language = errand["language"]
    batch.load_known(set(bridge.store._ids(batch, people).values()))  # who is erased at this moment is nobody's errand
    for opened in list(batch.people.values()):
        if opened.person.language == language:
            continue
        event = _event(EventType.CORRECTED, opened.person.id, Method.STAFF, batch)
        batch.add(opened, msgspec.structs.replace(event, evidence=Evidence(detail="language", language=language)))
        batch.correct(opened, msgspec.structs.replace(opened.person, language=language))


def _event(kind: EventType, subject: str, method: Method, batch: Batch, purpose: str = EVERY_PURPOSE) -> ConsentEvent:
    return ConsentEvent(
        type=kind,
        subject=subject,
        time=batch.now,
        received=batch.now,
        source=OPERATOR,
        method=method,
        key=new_id(),
        purpose=purpose,
    )


_ERRANDS = {"take in": _take_in, "language": _change_language}
