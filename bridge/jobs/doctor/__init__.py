"""What usually goes wrong, looked at now: our own side, our address as others see it, the domain, the platforms.

Every look is a `Finding`: right; right with something to know (`ok` and a `fix`); or wrong, with the fix. Nothing that
is looked at changes anything for anybody.
"""

from collections.abc import Iterator
from email.message import EmailMessage
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.jobs.doctor import (
    address,
    ages,
    breaches,
    campaigns,
    complaints,
    domain,
    house,
    page,
    papers,
    requests,
    sample,
    times,
)
from bridge.vocabulary import Finding


class Papers(NamedTuple):
    """What the operator hands over to be looked at as well."""

    message: EmailMessage | None = None  # as a mailbox received it
    page: str = ""  # a page of the operator's own site, as HTML


def look(bridge: Bridge, given: Papers) -> Iterator[Finding]:
    """Everything but the platforms' own findings, each as soon as it is known."""
    yield from house.look(bridge)
    yield from breaches.look(bridge)
    yield from papers.look(bridge)
    yield from complaints.look(bridge)
    yield from campaigns.look(bridge)
    yield from requests.look(bridge)
    yield from ages.look(bridge)
    yield from address.look(bridge)
    yield from times.look(bridge)
    yield from domain.look(bridge, given.message)
    if given.message is not None:
        yield from sample.look(bridge, given.message)
    if given.page:
        yield from page.look(bridge, given.page)
