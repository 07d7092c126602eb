"""By which rules a list is judged: whoever goes on with it later must go on with the same."""

import msgspec

from bridge.bootstrap import Bridge
from bridge.vault import FIRST, digest


def rules_of(bridge: Bridge) -> bytes:
    """A hash of the policy and its wordings."""
    return digest(FIRST, msgspec.json.encode([bridge.policy, sorted(shown.sha256 for shown in bridge.notices)]))
