"""What sealing takes of a request: the vault's functions timed inside real requests, in this process."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from bench.run import Pair
from bridge import vault
from bridge.vault import Vault
from bridge.web.app import create_app

#: What counts as sealing, by the name it is shown under.
_FUNCTIONS = {
    "seal": ("seal",),
    "open": ("unseal",),
    "chain": ("digest",),
    "pack": ("canonical", "pack", "unpack", "from_canonical"),
}
_METHODS = {
    "person's key": ("person", "new_person"),
    "keyed hashes": ("lookups", "stop_hashes", "bucket", "report_keys"),
}


class Spent(NamedTuple):
    """Milliseconds of one request that went into sealing, and into which part of it."""

    milliseconds: float
    parts: list[tuple[str, float]]


def of_page(pair: Pair, count: int) -> Spent:
    """In a preference page."""
    return _spent(pair, [("GET", f"/preferences/{token}") for token in pair.tokens(pair.anybody(count, 0)[0])])


def of_click(pair: Pair, count: int) -> Spent:
    """In a one click."""
    count = min(count, pair.left())
    return _spent(pair, [("POST", f"/u/{token}") for token in pair.tokens(pair.unused(count))])


def _spent(pair: Pair, requests: list[tuple[str, str]]) -> Spent:
    if not requests:
        return Spent(0.0, [])
    client = create_app(pair.bridge).test_client()
    with _watched() as took:
        for method, path in requests:
            answer = client.open(path, method=method, headers={"Accept": "text/html"} if method == "GET" else {})
            if answer.status_code != 200:
                raise SystemExit(f"a request answered {answer.status_code}: the share of sealing would mean nothing")
    parts = [(name, seconds / len(requests) * 1000) for name, seconds in took.most_common()]
    return Spent(sum(each for _, each in parts), parts)


@contextmanager
def _watched() -> Iterator["Counter[str]"]:
    """Time the vault's functions wherever they were imported; of calls within calls the outer one counts."""
    took: Counter[str] = Counter()
    inside: list[str] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if inside:
                return function(*args, **kwargs)
            inside.append(name)
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                took[name] += time.thread_time() - started  # type: ignore[assignment]  # a Counter of seconds
                inside.pop()

        return call

    changed: list[tuple[Any, str, Any]] = []
    for shown, names in _FUNCTIONS.items():
        for name in names:
            function = getattr(vault, name)
            watched = timed(shown, function)
            for module in [module for key, module in sys.modules.items() if key.startswith("bridge.")]:
                changed += [(module, key, watched) for key, value in vars(module).items() if value is function]
    changed += [
        (Vault, name, timed(shown, getattr(Vault, name))) for shown, names in _METHODS.items() for name in names
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in changed]
    for where, name, function in changed:
        setattr(where, name, function)
    try:
        yield took
    finally:
        for where, name, function in before:
            setattr(where, name, function)
