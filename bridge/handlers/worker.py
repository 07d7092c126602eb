"""AWS Lambda: what promised work is carried out by, rung for or on a timetable; knows no Flask.

`worker` answers the doorbell, `scheduled` does one job of the timetable, `migrate` brings the database to this
program's schema. They are made when the runtime asks for one; importing this module does nothing.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from bridge.bootstrap import Bridge
from bridge.doorbell import heard
from bridge.handlers.cold import Cold
from bridge.handlers.figures import tell
from bridge.handlers.frozen import no_collection
from bridge.jobs.dispatch import Dispatcher
from bridge.settings import BadSetting
from bridge.spool import QueueSpool, from_message

log = logging.getLogger("bridge.handlers")

T = TypeVar("T")
Event = Mapping[str, Any]
More = Callable[[], bool]

#: Nothing new is begun when less is left: a call to a platform or mail server may take so long.
_SPARE_MILLISECONDS = 40_000

#: A comparison reads on one while it writes on the other; nothing else needs two.
_CONNECTIONS = {"worker": 1, "scheduled": 2}

#: Whom a nightly comparison may switch on at a platform; of more, nobody, and a person must look (`reconcile`).
_MOST_CHANGES = 100


class JobFailed(Exception):
    """A job of the timetable went wrong; the text names the job and the kind of error."""


def _clock(dispatcher: Dispatcher, _more: More) -> int:
    dispatcher.raise_alarms()
    tell(dispatcher.bridge)
    return 0


def _reconcile(dispatcher: Dispatcher, more: More) -> int:
    from bridge.adapter import AdapterError
    from bridge.jobs.reconcile import Reconciler

    done = 0
    for name in dispatcher.bridge.adapters:
        try:
            result = Reconciler(dispatcher.bridge, name, dry_run=False, max_changes=_MOST_CHANGES).run()
        except AdapterError as error:
            log.error("reconcile: %s: %s, tried again with the next run", name, error.reason)
            continue
        done += result.applied
        if result.braked or result.strangers_braked:
            log.error("reconcile: %s: more would change than is allowed: run consent-bridge reconcile %s", name, name)
    return done + dispatcher.work(more)


def _reports(dispatcher: Dispatcher, _more: More) -> int:
    from bridge.jobs.reports.mailing import send_all

    return send_all(dispatcher.bridge)


#: The timetable's jobs; when each is due is written in serverless.yml.
JOBS: Mapping[str, Callable[[Dispatcher, More], int]] = {
    "relay": lambda dispatcher, more: dispatcher.work(more),
    "clock": _clock,
    "checkpoint": lambda dispatcher, _more: dispatcher.seal(),
    "forget": lambda dispatcher, _more: dispatcher.forget(),
    "purge": lambda dispatcher, more: dispatcher.purge(more),
    "reconcile": _reconcile,
    "reports": _reports,
}


def __getattr__(name: str) -> Callable[[Event, Any], Any]:
    """What the runtime asks for before the first event: by then everything is loaded and checked."""
    if name not in _HANDLERS:
        raise AttributeError(name)
    if name in _CONNECTIONS:
        _house(_CONNECTIONS[name])
    return _HANDLERS[name]


class _House:
    """The dispatcher of this function, made anew when the keys that it knows have become too few."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._made: tuple[Cold, Dispatcher] | None = None
        self._make()

    def _make(self) -> tuple[Cold, Dispatcher]:
        cold = Cold(self._connections)
        cold.check()
        self._made = (cold, Dispatcher(cold.bridge))
        return self._made

    def do(self, work: Callable[[Dispatcher], T]) -> T:
        """Carry out one piece of work."""
        try:
            return self._try(work)
        except BadSetting:  # a rotation may have gone on since the secrets were read
            if self._made:
                self._made[0].bridge.close()
            self._made = None
            return self._try(work)

    def _try(self, work: Callable[[Dispatcher], T]) -> T:
        cold, dispatcher = self._made or self._make()
        cold.check()
        return work(dispatcher)


@cache
def _house(connections: int) -> _House:
    with no_collection():
        return _House(connections)


def _worker(event: Event, context: Any) -> dict[str, Any]:
    """Answer rings, and write stops that were parked: messages of a queue, of which those that fail are named."""
    if event.get("aside") == "again":
        return {"parked": _park_again()}
    if "Records" not in event:
        _answer(heard(event.get("ring")), context)
        return {}
    failed = [record["messageId"] for record in event["Records"] if not _is_answered(record, context)]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _is_answered(record: Event, context: Any) -> bool:
    try:
        told = _json(record["body"])
        if line := from_message(told):
            return _house(_CONNECTIONS["worker"]).do(lambda dispatcher: dispatcher.bridge.acts.parking.is_over(line))
        _answer(heard(told), context)
    except Exception as error:  # one message must not hold back the others
        log.error("a message: %s, tried again later", _why(error))
        return False
    return True


def _park_again() -> int:
    """What was set aside is tried once more, when a person has mended what was wrong (README, On AWS)."""
    spool = _house(_CONNECTIONS["worker"]).do(lambda dispatcher: dispatcher.bridge.spool)
    return spool.park_again() if isinstance(spool, QueueSpool) else 0


def _answer(rows: Sequence[str | int], context: Any) -> None:
    _house(_CONNECTIONS["worker"]).do(lambda dispatcher: dispatcher.answer(rows, _more(context)))


def _scheduled(event: Event, context: Any) -> dict[str, Any]:
    """Do one job of the timetable."""
    name = str(event.get("job"))
    if name not in JOBS:
        raise JobFailed("no such job: " + ", ".join(JOBS))
    try:
        done = _house(_CONNECTIONS["scheduled"]).do(lambda dispatcher: JOBS[name](dispatcher, _more(context)))
    except Exception as error:
        raise JobFailed(f"{name}: {_why(error)}") from None  # the runtime logs it: no text of anybody's
    return {"job": name, "done": done}


def _migrate(_event: Event, _context: Any) -> dict[str, Any]:
    """Bring the database to this program's schema; twice at once is harmless."""
    from bridge.store import schema

    bridge = Bridge.from_env()
    try:
        changed = schema.upgrade(bridge.database)
    except Exception as error:
        raise JobFailed(f"migrate: {_why(error)}") from None
    finally:
        bridge.close()
    return {"schema": schema.head(), "changed": changed}


_HANDLERS: Mapping[str, Callable[[Event, Any], dict[str, Any]]] = {
    "worker": _worker,
    "scheduled": _scheduled,
    "migrate": _migrate,
}


def _more(context: Any) -> More:
    return lambda: bool(context.get_remaining_time_in_millis() > _SPARE_MILLISECONDS)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _why(error: Exception) -> str:
    """What may be logged of an error: settings and schemas name themselves, anything else its kind."""
    from bridge.bootstrap import START_ERRORS
    from bridge.store import OldSchema, StoreAway

    return str(error) if isinstance(error, (*START_ERRORS, OldSchema, StoreAway)) else type(error).__name__
