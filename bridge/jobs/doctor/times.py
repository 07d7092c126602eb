"""Our clock beside others': every time in the evidence comes from it, and platforms refuse signatures by the minute."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from bridge.bootstrap import Bridge
from bridge.jobs.doctor.knock import knock
from bridge.vocabulary import Finding

_TOLERANCE = timedelta(seconds=60)


def look(bridge: Bridge) -> Iterator[Finding]:
    """The `Date` of any answer will do, also of one that says no; the first platform that tells the time counts."""
    for name, adapter in bridge.adapters.items():
        if not adapter.site:
            continue
        before = bridge.clock()
        told = knock("GET", adapter.site).headers.get("Date", "")
        after = bridge.clock()
        try:
            theirs = parsedate_to_datetime(told).replace(tzinfo=UTC)
        except ValueError:
            continue
        ours = before + (after - before) / 2
        off = ours - theirs
        fine = abs(off) <= _TOLERANCE
        way = "fast" if off > timedelta(0) else "slow"
        fix = f"{abs(off) // timedelta(seconds=1)} s {way}: switch on time synchronisation (NTP) on this machine"
        yield Finding(f"clock beside {name}'s", fine, "" if fine else fix)
        return
