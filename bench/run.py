"""What every section gets: how much to measure, where, and the houses that several sections share."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from bench import crowd, floor, house, load
from bench.places import Place
from bridge.vault import new_key


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    small: int  # people
    large: int
    requests: int  # a round and side
    rounds: int
    clicks: int  # a round of many clients
    clients: int
    acts: int  # readers who sign up by real acts
    pushes: int  # people told to both ESPs
    direct: int  # SDK calls, one person each, that a bulk push is compared with
    batches: int  # of a platform's events
    growing: int  # people, on PostgreSQL only


SMALL = Size(
    small=2_000,
    large=20_000,
    requests=400,
    rounds=3,
    clicks=4_000,
    clients=64,
    acts=400,
    pushes=20_000,
    direct=300,
    batches=10,
    growing=100_000,
)

FULL = Size(
    small=10_000,
    large=1_000_000,
    requests=1_500,
    rounds=5,
    clicks=15_000,
    clients=64,
    acts=2_000,
    pushes=1_000_000,
    direct=500,
    batches=40,
    growing=10_000_000,
)

#: So small that a test can run it.
TINY = Size(
    small=40,
    large=80,
    requests=6,
    rounds=1,
    clicks=12,
    clients=4,
    acts=5,
    pushes=60,
    direct=5,
    batches=1,
    growing=400,
)


class Pair:
    """Our house and the floor's, with equally many people, on one kind of database. Nobody clicks twice."""

    def __init__(self, place: Place, folder: Path, name: str, people: int) -> None:
        self.place, self.people = place, people
        url, self.floor_url = place.url(name), place.url(f"{name}_floor")
        self.settings = house.environment(folder, url)
        self.bridge = house.open_house(self.settings)
        self.empty = house.size(self.bridge)
        crowd.fill(self.bridge, people)
        self.filled, self.parts = house.size(self.bridge), house.parts(self.bridge)
        self.proven = crowd.prove(self.bridge, place.url(f"{name}_proof"))
        floor.fill(self.floor_url, people)
        self._floor_key, self._used = new_key("floor"), 0

    def unused(self, count: int) -> list[int]:
        """Readers who did not click yet, spread over everybody."""
        if self._used + count > self.people:
            raise SystemExit(f"{self.people} people are too few: this run needs {count} more who did not click yet")
        self._used += count
        return spread(self.people, self._used - count, count)

    def left(self) -> int:
        """How many did not click yet."""
        return self.people - self._used

    def drawn(self, count: int, rounds: int) -> list[list[int]]:
        """Readers who did not click yet, for each round and the one before the first that is not counted."""
        return [self.unused(count) for _ in range(rounds + 1)]

    def anybody(self, count: int, rounds: int) -> list[list[int]]:
        """Readers to look at, spread over everybody, as many rounds as `drawn` gives."""
        return [spread(self.people, turn * count, count) for turn in range(rounds + 1)]

    def tokens(self, numbers: list[int]) -> list[str]:
        """Our links of these readers."""
        return house.tokens(self.bridge, numbers)

    def floor_tokens(self, numbers: list[int]) -> list[str]:
        """The floor's."""
        signed = floor.links(self._floor_key)
        return [str(signed.dumps(number)) for number in numbers]

    @contextmanager
    def serve_ours(self, threads: int) -> Iterator[load.Server]:
        """The bridge's pages, without the dispatcher."""
        settings = {**self.settings, "CONSENT_BRIDGE_NO_DISPATCH": "1"}
        seen = partial(self.place.backends, self.settings["BRIDGE_DATABASE_URL"])
        self.bridge.database.engine.dispose()
        with load.server("bridge.handlers.server:application", settings, threads=threads, backends=seen) as ours:
            yield ours

    @contextmanager
    def serve_floor(self, threads: int) -> Iterator[load.Server]:
        """The floor's pages."""
        settings = {"FLOOR_DATABASE": self.floor_url, "FLOOR_KEY": self._floor_key}
        seen = partial(self.place.backends, self.floor_url)
        with load.server("bench.floor:application", settings, threads=threads, backends=seen) as theirs:
            yield theirs


def spread(people: int, first: int, count: int) -> list[int]:
    """So many of these people, hopping so that neighbours in the file are not asked one after the other."""
    hop = _hop(people)
    return [1 + n * hop % people for n in range(first, first + count)]


def _hop(people: int) -> int:
    """A step that visits everybody once before anybody twice."""
    hop = max(1, int(people * 0.618))
    while _shares_a_factor(hop, people):
        hop += 1
    return hop


def _shares_a_factor(one: int, other: int) -> bool:
    while other:
        one, other = other, one % other
    return one > 1


class Run:
    """One run: what was asked for, and the houses made so far."""

    def __init__(self, size: Size, folder: Path, places: list[Place], *, verbose: bool, connections: int) -> None:
        self.size, self.folder, self.places = size, folder, places
        self.verbose, self.connections = verbose, connections
        self._pairs: dict[tuple[str, int], Pair] = {}

    def pair(self, place: Place, people: int) -> Pair:
        """Both houses of that size on that kind of database, made when first asked for."""
        key = place.name, people
        if key not in self._pairs:
            self._pairs[key] = Pair(place, self.folder, f"house_{people}", people)
        return self._pairs[key]

    def close(self) -> None:
        """Let go of the databases."""
        for pair in self._pairs.values():
            pair.bridge.database.engine.dispose()
