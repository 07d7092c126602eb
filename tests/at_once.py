"""What several programs do at the same moment, each with its own `Bridge.from_env`: run by test_parallel.py."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from multiprocessing.synchronize import Barrier
from random import Random
from typing import TypeVar

from bridge.bootstrap import Bridge
from bridge.store import StoreAway, TooMany
from bridge.vault import new_id
from bridge.vocabulary import READER, ConsentEvent, EventType, Method, Report

_start: list[Barrier] = []

_T = TypeVar("_T")


def begin(barrier: Barrier) -> None:
    """Take the starting line that all programs share."""
    _start[:] = [barrier]


def run(job: str, environment: Mapping[str, str], now: datetime, *more: object) -> object:
    """Open the house, wait at the line, do one job; gives which process it was, and the job's answer."""
    bridge = Bridge.from_env(environment)
    bridge.clock = lambda: now
    bridge.ready()
    _start[0].wait(60)
    try:
        return os.getpid(), _JOBS[job](bridge, *more)
    finally:
        bridge.database.engine.dispose()


def _again(act: Callable[[], _T]) -> _T:
    """Try as a caller should: whoever is told that the store is away tries again."""
    for _ in range(20):
        try:
            return act()
        except StoreAway:
            continue
    return act()


def _pauses(bridge: Bridge, subjects: Sequence[str], turns: int) -> int:
    """Write `turns` events of each person, in batches that name the people in this order."""
    for _ in range(turns):
        told = [_pause(bridge, subject) for subject in subjects]
        _again(lambda told=told: bridge.store.record(told))  # type: ignore[misc]  # mypy cannot infer a bound default
    return turns * len(subjects)


def _pause(bridge: Bridge, subject: str) -> ConsentEvent:
    return ConsentEvent(
        type=EventType.PAUSED,
        subject=subject,
        time=bridge.clock(),
        received=bridge.clock(),
        source=READER,
        method=Method.PREFERENCE_PAGE,
        key=new_id(),
        until=bridge.clock(),
    )


def _confirm(bridge: Bridge, token: str) -> str:
    return str(_again(lambda: bridge.acts.confirm(token))[0])


def _sign_up(bridge: Bridge, email: str, network: str = "", *, again: bool = True) -> str:
    def send() -> None:
        bridge.acts.sign_up(
            email,
            ["newsletter", "offers"],
            channel="footer",
            language="nl",
            network=network or new_id(),
            fields={},
        )

    try:
        _again(send) if again else send()
    except TooMany:
        return "too many"
    return "taken"


def _asks(bridge: Bridge, subjects: Sequence[tuple[str, str]], seed: int, turns: int) -> list[str]:
    """Ask for mail in turn, as people of one network do: forms, links, new addresses. Gives what the store could not
    do at the first try."""
    drawn = Random(seed)
    failed = []
    for _ in range(turns):
        (subject, email), (_, other) = drawn.choice(subjects), drawn.choice(subjects)
        ways: Mapping[str, Callable[[], object]] = {
            "form": lambda email=email: _sign_up(bridge, email, "203.0.113.9", again=False),
            "link": lambda email=email: bridge.store.ask_link(email, "203.0.113.9", "nl"),
            "address": lambda subject=subject, other=other: bridge.store.ask_move(subject, other, "203.0.113.9", "nl"),
        }
        way = drawn.choice(sorted(ways))
        try:
            ways[way]()
        except StoreAway as error:
            failed.append(f"{way}: {error}")
    return failed


def _stop(bridge: Bridge, token: str) -> str:
    return bridge.acts.stop(token, Method.ONE_CLICK)[0]


def _hear(bridge: Bridge, reports: Sequence[Report]) -> int:
    return _again(lambda: bridge.store.hear("memory", reports))


def _claim(bridge: Bridge, most: int) -> list[tuple[str, str]]:
    """Take work until there is none; gives what was taken, none of it finished."""
    taken = []
    while pushes := _again(lambda: bridge.store.queue.claim_pushes("memory", most)):
        taken += [("push", push.person.id) for push in pushes]
    while mails := _again(lambda: bridge.store.queue.claim_mails(most)):
        taken += [("mail", mail.id) for mail in mails]
    return taken


_JOBS: Mapping[str, Callable[..., object]] = {
    "pauses": _pauses,
    "confirm": _confirm,
    "sign_up": _sign_up,
    "asks": _asks,
    "stop": _stop,
    "hear": _hear,
    "claim": _claim,
}
