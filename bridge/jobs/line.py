"""One of the connections an ESP allows, held as long as a long reading lasts (decision 26)."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from bridge.adapter import AdapterError
from bridge.bootstrap import Bridge
from bridge.store.waiting import LEASE

_T = TypeVar("_T")

#: How often it is looked whether one is free, and how long.
_LOOK = timedelta(seconds=1)
_LONGEST = LEASE + timedelta(seconds=30)  # whoever died with one in hand lets go of it by then


def on_a_line(
    bridge: Bridge, name: str, pages: Iterator[_T], pause: Callable[[float], None] = time.sleep
) -> Iterator[_T]:
    """The same pages, each read while one of the ESP's connections is ours. Raises `AdapterError` when none gets free.

    One that is lost because a page took too long is taken anew, so that the ESP never sees more than it allows.
    """
    most, book = bridge.adapters[name].connections, bridge.store.queue.connections
    if most is None:
        yield from pages
        return

    def take() -> str:
        for _ in range(_LONGEST // _LOOK):
            if lease := book.take(name, most, urgent=False):
                return lease
            pause(_LOOK.total_seconds())
        raise AdapterError("all connections are in use: run it again when fewer people are being told")

    lease, since = take(), bridge.clock()
    try:
        for page in pages:
            yield page
            if not timedelta(0) <= bridge.clock() - since < LEASE / 3:
                lease = lease if book.renew(name, lease) else take()
                since = bridge.clock()
    finally:
        book.give_back(name, lease)
