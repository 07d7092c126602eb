"""Which keys there are, which of them may go, and what the next step of a rotation is. For `consent-bridge keys`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from bridge.bootstrap import Bridge
from bridge.store.checkpoints import count_by_key
from bridge.store.rotate import named, used
from bridge.vault import Key
from bridge.vocabulary import rfc3339

#: So long platforms may repeat their news, and what was parked in a queue may lie there (14 days, aws/queues.yml): it,
#: and whom it is about, is known by hashes under the roots of the day it came.
_REPEATS = timedelta(days=15)
#: A second call within a month means "did it work?", not "once more".
_YOUNG = timedelta(days=30)


class Ring(StrEnum):
    """A list of keys."""

    LINK = "link"
    VAULT = "vault"
    SEAL = "seal"

    @property
    def setting(self) -> str:
        """The setting that holds it."""
        return f"BRIDGE_{self.upper()}_KEYS"


class Use(StrEnum):
    """What a key is for at present."""

    NEWEST = "newest"
    OLD = "old"
    WAITS = "waits"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One key: what it does, how many rows name it, and whether it may be dropped."""

    id: str
    use: Use
    rows: int
    may_go: bool
    why: str


class Next(StrEnum):
    """The next step of a rotation."""

    PUT_IN = "put in"  # a new key, known to all before any uses it
    RESTART = "restart"  # it waits: every process must have been started anew
    USE = "use"  # it is taken into use
    FINISH = "finish"  # rows are moved to it


def keys_of(bridge: Bridge, ring: Ring) -> Sequence[Key]:
    """The keys of a ring: those in use, newest first, then those that wait."""
    settings = bridge.settings
    rings = {Ring.LINK: settings.link_keys, Ring.VAULT: settings.vault_keys, Ring.SEAL: settings.seal_keys}
    return rings[ring]


def standings(bridge: Bridge, ring: Ring) -> list[Standing]:
    """Every key of a ring, in order."""
    keys, told = keys_of(bridge, ring), used(bridge.database)
    rows = named(bridge.database) if ring is Ring.VAULT else {}
    if ring is Ring.SEAL:
        rows = {kid: {"checkpoints": count} for kid, count in count_by_key(bridge.database).items()}
    active = [key.kid for key in keys if not key.waits]
    found = []
    for key in keys:
        mine = rows.get(key.kid, {})
        use = Use.WAITS if key.waits else Use.NEWEST if key.kid == active[0] else Use.OLD
        if use is Use.NEWEST:
            against = "in use for everything new"
        elif ring is Ring.LINK:
            against = _against_link(key.kid, active, told)
        elif ring is Ring.VAULT:
            against = _against_root(mine) or _against_day(bridge.clock(), key.kid, active, told)
        else:
            against = "" if key.waits else "what it signed must stay verifiable"
        why = against or "no row names it"
        found.append(Standing(id=key.kid, use=use, rows=sum(mine.values()), may_go=not against, why=why))
    return found


def next_step(bridge: Bridge, ring: Ring, *, restarted: bool, new: bool) -> Next:
    """Where a rotation stands: read from the settings and the database alone, so that it goes on after any kill."""
    keys = keys_of(bridge, ring)
    if any(key.waits for key in keys):
        return Next.USE if restarted else Next.RESTART
    if not keys or new:
        return Next.PUT_IN
    if ring is Ring.SEAL:  # no row names these; the ids we make begin with the month
        month = keys[0].kid.startswith(f"k{bridge.clock():%Y%m}")
        return Next.FINISH if len(keys) > 1 and month else Next.PUT_IN
    told = used(bridge.database)
    if ring is Ring.VAULT and _is_behind(named(bridge.database), keys[0].kid):
        return Next.FINISH
    since = told.get((ring.value, keys[0].kid))
    young = (ring.value, keys[0].kid) not in told or (since is not None and bridge.clock() - since < _YOUNG)
    return Next.FINISH if len(keys) > 1 and young else Next.PUT_IN


def _is_behind(rows: Mapping[str, Mapping[str, int]], newest: str) -> bool:
    """Whether people are still under an older root; stops of strangers are not counted, for they cannot be moved."""
    return any(kid != newest and set(tables) - {"stop_list"} for kid, tables in rows.items())


def _against_link(kid: str, active: Sequence[str], told: Mapping[tuple[str, str], datetime | None]) -> str:
    if kid == active[-1]:
        return "never: every link ever sent carries a mark made under the oldest key"
    return "never: unsubscribe links in old mails are signed with it" if (Ring.LINK.value, kid) in told else ""


def _against_root(rows: Mapping[str, int]) -> str:
    people = sum(count for table, count in rows.items() if table != "stop_list")
    if people:
        return f"{people} rows of people name it; run: consent-bridge keys rotate vault"
    if stops := rows.get("stop_list", 0):
        return f"{stops} stops of people we do not hold name it: without an address they cannot be moved (KEY-03)"
    return ""


def _against_day(
    now: datetime, kid: str, active: Sequence[str], told: Mapping[tuple[str, str], datetime | None]
) -> str:
    """News of a platform that came under this root must be known again for a while."""
    if kid not in active or (Ring.VAULT.value, kid) not in told:
        return ""
    newer = [told.get((Ring.VAULT.value, other)) for other in active[: active.index(kid)]]
    replaced = min((since for since in newer if since), default=None)
    if replaced is None or now - replaced >= _REPEATS:
        return ""
    return f"until {rfc3339(replaced + _REPEATS)}: platforms may repeat news that is known by it"
