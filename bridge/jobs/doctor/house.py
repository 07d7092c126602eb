"""Our own side: what waits for how long, dates that run out, keys that grow old."""

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from bridge.bootstrap import Bridge
from bridge.jobs.checkpoints import behind
from bridge.store import Task
from bridge.store.checkpoints import count_by_key, is_due
from bridge.store.rotate import used
from bridge.vocabulary import Finding, rfc3339

#: What waits longer was not tried: mails and news leave within seconds.
_LATE = timedelta(minutes=15)
#: An erasure is told again when what was under way about the person has ended: a day after a restore.
_LATE_ERASURE = timedelta(days=3)
#: So long before a date runs out it is named.
_SOON = timedelta(days=30)
#: The SQLite in which it is mended (sqlite.org/wal.html).
_MENDED = (3, 51, 3)
_OLD_KEY = timedelta(days=731)


def look(bridge: Bridge) -> Iterator[Finding]:
    """Waiting work, contracts, reviews of channels, age of keys."""
    now = bridge.clock()
    today = now.astimezone(bridge.policy.zone).date()
    for task in bridge.store.tasks():
        if task.waiting:
            yield _waiting(bridge, task, now)
    yield from _dates(bridge, today)
    yield from _texts(bridge)
    yield from _keys(bridge, now)
    yield from _seals(bridge, now)
    if bridge.database.dialect == "sqlite":
        yield _sqlite(sqlite3.sqlite_version_info)


def _sqlite(version: tuple[int, ...]) -> Finding:
    """Whether SQLite itself may lose what was committed (its WAL-reset bug); the bridge keeps clear of it."""
    old = version < _MENDED
    hint = "has a bug of its own that the bridge keeps clear of: let no other program open the file while it runs"
    return Finding(f"SQLite {'.'.join(map(str, version))}", True, hint if old else "")


def _waiting(bridge: Bridge, task: Task, now: datetime) -> Finding:
    name, _, erasures = task.name.partition(" ")
    if erasures and name not in bridge.adapters:
        fix = f"BRIDGE_ADAPTERS does not name {name}, so nobody tells it: switch it on until they are gone there"
        return Finding(f"{task.waiting} people wait to be erased at {name}", False, fix)
    subject = f"{task.waiting} waiting for {task.name}"
    if task.oldest is None or now - task.oldest <= (_LATE_ERASURE if erasures else _LATE):
        return Finding(subject, True)
    since = rfc3339(task.oldest)
    fix = f"the oldest since {since}: start `consent-bridge dispatch`, or read in its log why nothing is taken"
    return Finding(subject, False, fix)


def _dates(bridge: Bridge, today: date) -> Iterator[Finding]:
    policy = bridge.policy
    for name in bridge.adapters:
        problem = policy.processor_problem(name, today)
        party = policy.processors.get(name)
        soon = party.review_by if party else None
        hint = f"look at it again before {soon} and move review_by, else nothing new is sent there" if soon else ""
        near = soon is not None and soon - today <= _SOON
        yield Finding(f"{name}: contract", problem is None, problem or (hint if near else ""))
    for channel in policy.channels.values():
        if channel.next_review < today:
            fix = (
                f"was due {channel.next_review}: {channel.owner} looks at the form and moves next_review in the policy"
            )
            yield Finding(f"channel {channel.id}: its review", False, fix)
    if others := bridge.third_parties:
        kept = bridge.store.in_quarantine(others)
        fix = (
            "they had to be told or deleted within a month (GDPR 14): start `consent-bridge dispatch`, it deletes them"
        )
        subject = f"third parties' lists: {kept.people} people without proof, {kept.overdue} of them for too long"
        yield Finding(subject, not kept.overdue, fix if kept.overdue else "")


def _texts(bridge: Bridge) -> Iterator[Finding]:
    """The operator's own words; a language of hers that is not whole is read half in English (CAP-08)."""
    for language, own in bridge.texts.own.items():
        lacking = bridge.texts.lacking(language)
        fix = f"{len(lacking)} sentences are said in English, the first: “{lacking[0]}”" if lacking else ""
        yield Finding(f"texts/{language}.toml: {len(own.words)} sentences", not lacking, fix)


def _keys(bridge: Bridge, now: datetime) -> Iterator[Finding]:
    settings = bridge.settings
    since = used(bridge.database)
    for ring, keys in (("link", settings.link_keys), ("vault", settings.vault_keys)):
        newest = next(key for key in keys if not key.waits)
        began = since.get((ring, newest.kid))
        old = began is not None and now - began > _OLD_KEY
        fix = f"in use since {began:%Y-%m-%d}: make a new one, `consent-bridge keys rotate {ring}`" if old else ""
        yield Finding(f"{ring} key {newest.kid}", True, fix)


def _seals(bridge: Bridge, now: datetime) -> Iterator[Finding]:
    """Whether the history is sealed, and whoever keeps its checkpoints elsewhere has them all."""
    signed = count_by_key(bridge.database)
    if lost := sorted(signed.keys() - set(bridge.seals.kids)):
        fix = f"BRIDGE_SEAL_KEYS lacks {', '.join(lost)}: put it back, or nobody can check what it signed"
        yield Finding("seal keys of the checkpoints", False, fix)
    if not bridge.seals:
        hint = (
            "BRIDGE_SEAL_KEYS is empty: no checkpoints, no packs, no signed receipts; consent-bridge keys new makes one"
        )
        yield Finding("seal key", True, hint)
        return
    yield Finding(f"seal key {bridge.seals.newest}", True)
    late = is_due(bridge.database, now - 2 * bridge.policy.checkpoints.every.time)
    fix = "something is new and long not sealed: start `consent-bridge dispatch`, or run consent-bridge checkpoint"
    yield Finding(f"checkpoints: {sum(signed.values())}", not (late and signed), fix if late else "")
    if bridge.policy.checkpoints.file and (missing := behind(bridge)):
        fix = f"it lacks {missing}: see that the file can be written; the next checkpoint brings them all"
        yield Finding("checkpoints kept elsewhere", False, fix)
