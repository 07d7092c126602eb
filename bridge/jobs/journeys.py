"""Readers whose new yes waits at a platform for an act of their own there: what `doctor` says of them."""

from collections.abc import Iterator

from bridge.bootstrap import Bridge
from bridge.vocabulary import WAITING_THERE, Finding


def findings(bridge: Bridge) -> Iterator[Finding]:
    """How many wait at each platform, and whether their page can show them the form."""
    for name in bridge.adapters:
        found = bridge.store.waiting_there(name)
        mailed = found.get(WAITING_THERE, 0)
        forms = sum(found.values()) - mailed
        if not found:
            continue
        told = f"{name}: readers who once left wait there: {mailed} for its confirmation mail, {forms} for its own form"
        without = sorted(purpose for purpose, place in bridge.policy.places(name).items() if not place.get("form"))
        fix = f'name the form on their page: form = "https://…" under [purposes.at.{name}] of {", ".join(without)}'
        yield Finding(told, ok=not (forms and without), fix=fix if forms and without else "")
