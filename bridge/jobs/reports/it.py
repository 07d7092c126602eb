"""The report for IT: work that waits, platforms that do not answer, keys, schema, backups. Nothing of readers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bridge.bootstrap import Bridge
from bridge.jobs.reports.sheet import Block, Chart, Grid, Said, Section, bars, span
from bridge.store import revision
from bridge.store.departments import Queue
from bridge.store.rotate import used
from bridge.texts import mark
from bridge.vault import Key
from bridge.vocabulary import rfc3339

TITLE = mark("Report for IT")
SUBTITLE = mark("What waits, what does not answer, keys and copies")

#: So many tries in vain, and a platform counts as away: the dispatcher only probes it.
_AWAY = 3
#: Acts whose last time is told.
_ACTS = {
    "backup": mark("Backup"),
    "restore": mark("Restore"),
    "reconcile": mark("Comparison with a platform"),
    "keys rotate": mark("New key"),
    "import": mark("List taken in"),
}


def figures(bridge: Bridge, language: str) -> dict[str, Any]:  # noqa: ARG001  (as every report)
    """The numbers. All of them are work or machines: told exactly."""
    now, store = bridge.clock(), bridge.store
    jobs = store.departments.jobs()
    queues = {queue.name: queue for queue in store.departments.queues()}
    names = dict.fromkeys(["mail", *bridge.settings.adapters, *queues])
    since = used(bridge.database)
    done = store.departments.last_done()
    return {
        "queues": [_queue(queues.get(name, Queue(name=name)), jobs.get(name, 0), now) for name in names],
        "keys": [
            {
                "ring": ring,
                "key": key.kid,
                "days": (now - began).days if (began := since.get((ring, key.kid))) else None,
            }
            for ring, keys in _rings(bridge).items()
            for key in keys
        ],
        "database": bridge.database.dialect,
        "schema": revision.head(),
        "adapters": list(bridge.settings.adapters),
        "last": {act: rfc3339(done[act]) if act in done else None for act in _ACTS},
        "verified": None,  # `verify` writes nothing anywhere, so nobody knows
    }


def sections(bridge: Bridge, language: str, found: dict[str, Any]) -> list[Section]:
    """The same on paper."""

    def say(words: str) -> str:
        return bridge.texts.gettext(language, words)

    number = bridge.texts.number
    heads = [say(words) for words in _QUEUE]
    lines = [
        [
            _name(bridge, language, queue["name"]),
            number(language, queue["waiting"]),
            number(language, queue["stops"]),
            number(language, queue["tried"]),
            "–" if queue["oldest_seconds"] is None else _span(bridge, language, queue["oldest_seconds"]),
            number(language, queue["jobs"]),
            say(mark("only probed")) if queue["away"] else say(mark("open")),
        ]
        for queue in found["queues"]
    ]
    waiting = {_name(bridge, language, queue["name"]): queue["waiting"] for queue in found["queues"]}
    chart = Chart(say(mark("Pieces of work that wait")), say(mark("For")), bars({}, waiting), "counts")
    work: list[Block] = [chart, Grid(say(mark("Work that waits to leave the house")), heads, lines)]
    reasons = [
        [f"{_name(bridge, language, queue['name'])}: {reason}", number(language, count)]
        for queue in found["queues"]
        for reason, count in sorted(queue["reasons"].items())
    ]
    if reasons:
        work.append(
            Grid(say(mark("Why it did not work last time")), [say(mark("Reason")), say(mark("Times"))], reasons)
        )
    days = {f"{key['ring']} {key['key']}": key["days"] for key in found["keys"] if key["days"] is not None}
    last = [[say(words), _moment(bridge, language, found["last"][act])] for act, words in _ACTS.items()]
    last.append(["consent-bridge verify", say(mark("not known"))])
    aged = say(mark("Days since each key was first used"))
    when = say(mark("When it was last done, by the staff log"))
    return [
        Section(say(mark("Work and platforms")), work),
        Section(say(mark("Keys")), [Chart(aged, say(mark("Key")), bars({}, days), "counts")]),
        Section(
            say(mark("Store and copies")),
            [
                Said(
                    bridge.texts.gettext(
                        language, "%(database)s, schema %(schema)s.", database=found["database"], schema=found["schema"]
                    )
                ),
                Grid(when, [say(mark("Act")), say(mark("Last time"))], last),
            ],
        ),
    ]


def _queue(queue: Queue, jobs: int, now: datetime) -> dict[str, Any]:
    oldest = max((now - queue.oldest).total_seconds(), 0) if queue.oldest else None
    return {
        "name": queue.name,
        "waiting": queue.waiting,
        "stops": queue.stops,
        "tried": queue.tried,
        "oldest_seconds": oldest,
        "away": queue.most_tries >= _AWAY,
        "jobs": jobs,
        "reasons": dict(queue.reasons),
    }


def _days(now: datetime, began: datetime | None) -> int | None:
    return (now - began).days if began else None


def _rings(bridge: Bridge) -> dict[str, Sequence[Key]]:
    settings = bridge.settings
    return {"link": settings.link_keys, "vault": settings.vault_keys, "seal": settings.seal_keys}


def _name(bridge: Bridge, language: str, name: str) -> str:
    if name == "mail":
        return bridge.texts.gettext(language, mark("mails"))
    adapter, _, erasures = name.partition(" ")
    sender, kind = bridge.policy.sender(adapter), bridge.texts.gettext(language, mark("erasures"))
    return f"{sender}, {kind}" if erasures else sender


def _span(bridge: Bridge, language: str, seconds: float) -> str:
    return span(bridge, language, timedelta(seconds=seconds))


def _moment(bridge: Bridge, language: str, text: str | None) -> str:
    return bridge.texts.moment(language, datetime.fromisoformat(text)) if text else "–"


_QUEUE = (
    mark("For"),
    mark("Waiting"),
    mark("Stops"),
    mark("Tried"),
    mark("Oldest"),
    mark("Jobs"),
    mark("Line"),
)
