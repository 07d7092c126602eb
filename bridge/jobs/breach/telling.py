"""Telling people of a breach, once a second person approved it: a mail to each, and no address on any screen."""

import hashlib
from collections.abc import Callable

import msgspec

from bridge.bootstrap import Bridge
from bridge.jobs.breach.ids import Ids
from bridge.store import BadInput
from bridge.store.values import Listed


def subject_of(bridge: Bridge, number: int, ids: Ids) -> bytes:
    """A hash of what is to be approved: these people and these words. Raises `BadInput` where something is missing."""
    return _hash(ids, _words(bridge, number, ids))


def _words(bridge: Bridge, number: int, ids: Ids) -> dict[str, str]:
    if ids.about.breach != number:
        raise BadInput(f"{ids.path}: belongs to breach {ids.about.breach}")
    words = bridge.store.breaches.find(number).facts.words
    missing = [language for language in bridge.policy.languages if not words.get(language, "").strip()]
    if missing:
        raise BadInput(
            f"what people are told is missing in {', '.join(missing)}: "
            f"consent-bridge breach note {number} --words {missing[0]}=FILE"
        )
    return words


def _hash(ids: Ids, words: dict[str, str]) -> bytes:
    return hashlib.sha256(ids.hash + msgspec.json.encode(words, order="sorted")).digest()


def tell(
    bridge: Bridge,
    number: int,
    ids: Ids,
    by: str,
    *,
    approved: bytes,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Listed:
    """Have each of these people told. Killed, it goes on when run again: nobody is told twice of one breach.

    Raises `BadInput` where file or words are others than those `approved` is of (`subject_of`).
    """
    words = _words(bridge, number, ids)
    if _hash(ids, words) != approved:
        raise BadInput("the file or the words are others than those that were to be approved; ask for it again")
    bridge.store.breaches.let_go(number, words)
    sums = dict.fromkeys(Listed.__struct_fields__, 0)
    done = 0
    for block in ids.read(bridge.vault):
        bridge.database.give_way()
        noted = bridge.store.list_for_breach(number, block)
        for name in sums:
            sums[name] += getattr(noted, name)
        done += len(block)
        progress(done, done)
    bridge.store.nudge()
    found = Listed(**sums)
    text = f"mail to people approved: {found.listed} listed, {found.before} before, {found.gone} erased since"
    bridge.store.breaches.add(number, text, by)
    return found
