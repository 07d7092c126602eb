"""What a platform says of the people it holds, as lines of a list."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import msgspec

from bridge.jobs.lists.addresses import address
from bridge.vocabulary import EVERY_PURPOSE, Entry, EventType, Seen


def entries_of(seen: Seen, purposes: Collection[str], channel: str, otherwise: str = "") -> tuple[list[Entry], int]:
    """What an ESP says of some people: every use they are mailed for, without any proof, or that they left.

    `purposes` are the policy's; `otherwise` is what somebody counts for who is on there for none of them, if anything.
    Gives also how many of its addresses are none.
    """
    if otherwise and seen.stop is None and not seen.on & set(purposes):
        seen = seen._replace(on=frozenset({otherwise}))
    found: list[Entry] = []
    bad = 0
    for place, text in enumerate(seen.emails):
        try:
            email = address(text)
        except ValueError:
            bad += 1
            continue
        found += _lines_of(email, seen, seen.times[place] if seen.times else 0, purposes, channel)
    return found, bad


def _lines_of(email: str, seen: Seen, since: int, purposes: Collection[str], channel: str) -> Iterator[Entry]:
    if seen.stop is None:
        for purpose in sorted(seen.on & set(purposes)):
            yield Entry(email=email, type=EventType.IMPORTED, purpose=purpose, channel=channel)
        return
    time = datetime.fromtimestamp(since, UTC) if since else None
    left = sorted(seen.purposes) if seen.stop is EventType.UNSUBSCRIBED else [EVERY_PURPOSE]
    said = Entry(email=email, type=seen.stop, purpose="", channel=channel, time=time, by_platform=True)
    yield from (msgspec.structs.replace(said, purpose=purpose) for purpose in left)
