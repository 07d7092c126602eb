"""Requests by letter or phone whose time runs out (RGT-07): counts by kind, nobody's name."""

from collections.abc import Iterator

from bridge.bootstrap import Bridge
from bridge.jobs.requests import in_words
from bridge.vocabulary import Finding


def look(bridge: Bridge) -> Iterator[Finding]:
    """What should have been answered, and what must be within three days."""
    book, now = bridge.store.cases, bridge.clock()
    late, soon = book.overdue(now), book.due_soon(now)
    if late:
        fix = "answer them today (GDPR 12(3)): consent-bridge rights list"
        yield Finding(f"requests overdue: {in_words(late)}", False, fix)
    if soon:
        yield Finding(f"requests due within 3 days: {in_words(soon)}", True, "see consent-bridge rights list")
    if not late and not soon:
        yield Finding("requests by letter: none is pressing", True)
