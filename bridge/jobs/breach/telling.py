"""Telling people of a breach, once a second person approved it: a mail to each, and no address on any screen."""

import hashlib
from collections.abc import Callable

import msgspec

from bridge.bootstrap import Bridge
from bridge.jobs.breach.ids import Ids
from bridge.store import BadInput
from bridge.store.values import Told

#: So few in one transaction that no click waits long (decision 16).
_AT_ONCE = 50


def subject_of(bridge: Bridge, number: int, ids: Ids) -> bytes:
    """A hash of what is to be approved: these people and these words. Raises `BadInput` where something is missing."""
    if ids.about.breach != number:
        raise BadInput(f"{ids.path}: belongs to breach {ids.about.breach}")
    words = bridge.store.breaches.find(number).facts.words
    missing = [language for language in bridge.policy.languages if not words.get(language, "").strip()]
    if missing:
        raise BadInput(
            f"what people are told is missing in {', '.join(missing)}: "
            f"consent-bridge breach note {number} --words {missing[0]}=FILE"
        )
    return hashlib.sha256(ids.hash + msgspec.json.encode(words, order="sorted")).digest()


def tell(
    bridge: Bridge, number: int, ids: Ids, by: str, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Told:
    """Promise the mails. Killed, it goes on when run again: nobody is written to twice about one breach."""
    sums = dict.fromkeys(Told.__struct_fields__, 0)
    done = 0
    for block in ids.read(bridge.vault):
        for first in range(0, len(block), _AT_ONCE):
            bridge.database.give_way()
            told = bridge.store.tell_of_breach(number, block[first : first + _AT_ONCE])
            for name in sums:
                sums[name] += getattr(told, name)
        done += len(block)
        progress(done, done)
    found = Told(**sums)
    bridge.store.breaches.add(
        number,
        f"mail to people: {found.promised} promised, {found.before} before, {found.unreached} cannot be mailed, "
        f"{found.gone} erased since",
        by,
    )
    return found
