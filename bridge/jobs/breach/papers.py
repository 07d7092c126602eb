"""The papers about a breach: numbers, the notice to the authority and the notice to people, as drafts (GDPR 33, 34)."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import BreachClock, breach_clock
from bridge.files import whole
from bridge.jobs.breach.ids import SUFFIX, written
from bridge.store.affected import scope_of
from bridge.store.breaches import Breach
from bridge.texts import mark
from bridge.vocabulary import rfc3339

#: What is kept of people, as a notice says it; what a declared field is called comes from the policy.
KINDS = {
    "address": mark("e-mail address"),
    "language": mark("language"),
    "evidence": mark("when, where and how they said yes or no"),
    "former": mark("an earlier address, only as a keyed hash"),
}
STANDS = {
    "unknown": mark("no proof"),
    "requested": mark("wait for their confirmation"),
    "given": mark("said yes"),
    "soft_opt_in": mark("customers"),
    "refused": mark("refused"),
    "withdrawn": mark("stopped"),
    "objected": mark("objected"),
    "expired": mark("too old"),
    "revoked": mark("ended by us"),
    "invalidated": mark("could not be proven"),
}


class Window(NamedTuple):
    """People who were here in it are counted."""

    since: datetime
    until: datetime


def clock_of(bridge: Bridge, breach: Breach) -> BreachClock:
    """How a breach stands against the policy's clock now."""
    facts, span = breach.facts, bridge.policy.limits_.breach_clock.time
    sent = [phase.time for phase in facts.phases]
    return breach_clock(breach.noticed, span, bridge.clock(), sent, bool(facts.no_report))


def time_left(clock: BreachClock) -> str:
    """The same in words, for a terminal."""
    if clock.stopped:
        return "clock stopped"
    hours, minutes = divmod(int(abs(clock.left) / timedelta(minutes=1)), 60)
    return f"OVERDUE by {hours} h {minutes} min" if clock.overdue else f"{hours} h {minutes} min left"


def as_data(bridge: Bridge, breach: Breach) -> dict[str, Any]:
    """One breach as plain data."""
    clock = clock_of(bridge, breach)
    return {
        "number": breach.number,
        "noticed": rfc3339(breach.noticed),
        "due": rfc3339(clock.due),
        "overdue": clock.overdue and breach.closed is None,
        "closed": rfc3339(breach.closed) if breach.closed else None,
        **_times(msgspec.to_builtins(breach.facts, builtin_types=(datetime,))),
    }


def collect(
    bridge: Bridge,
    breach: Breach,
    window: Window,
    ids: Path,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Everything counted, and the sealed file of ids written beside it. Nobody's address is told."""
    store = bridge.store
    scope = scope_of(breach, *window, bridge.settings.adapters)
    found = store.affected(scope)
    languages, countries, fields = Counter[str](), Counter[str](), Counter[str]()
    with written(ids, bridge.vault, breach.number, bridge.clock()) as file:
        for person in store.each_affected(scope, progress):
            file.add(person.id)
            languages[person.language] += 1
            countries[person.country] += 1
            fields.update(person.fields)
    kinds = {"address": found.people, "language": found.people - languages[""]}
    kinds |= {"evidence": found.with_events, "former": found.former_addresses}
    return {
        "breach": as_data(bridge, breach),
        "controller": bridge.policy.controller.name,
        "contact": bridge.policy.contact.name,
        "made": rfc3339(bridge.clock()),
        "window": {"from": rfc3339(window.since), "to": rfc3339(window.until)},
        "counted": {name: list(getattr(scope, name)) for name in ("purposes", "channels", "adapters")},
        "people": found.people,
        "records": found.events,
        "records_within": found.events_within,
        "ids": file.count,
        "erased_since": found.erased_since,
        "by_purpose": found.by_purpose,
        "without_purpose": found.without_purpose,
        "by_channel": found.by_channel,
        "by_platform": found.by_platform,
        "by_language": dict(sorted(languages.items())),
        "by_country": dict(sorted(countries.items())),
        "kinds": {name: count for name, count in kinds.items() if count},
        "fields": dict(sorted(fields.items())),
        "mails_waiting": found.mails,
        "stop_list": found.stop_list,
    }


def export(
    bridge: Bridge,
    breach: Breach,
    window: Window,
    folder: Path,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[dict[str, Any], Sequence[Path]]:
    """Write the numbers, the drafts in each of the policy's languages and the sealed ids; gives the numbers and files.

    Raises FileExistsError where one of them is there: nothing is overwritten.
    """
    stem = f"breach-{breach.number}"
    folder.mkdir(parents=True, exist_ok=True)
    names = {name: folder / f"{stem}-{name}" for name in _drafts(bridge)}
    paths = [folder / f"{stem}.json", *names.values(), folder / f"{stem}{SUFFIX}"]
    for path in paths:
        if path.exists():
            raise FileExistsError(17, "is there already and is never overwritten", str(path))
    found = collect(bridge, breach, window, paths[-1], progress)
    notes = bridge.store.breaches.notes(breach.number)
    told = {"numbers": found, "breach": breach, "clock": clock_of(bridge, breach), "notes": notes}
    told |= window._asdict()
    _write(paths[0], json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    for name, path in names.items():
        _write(path, draft(bridge, name, told))
    return found, paths


def draft(bridge: Bridge, name: str, told: dict[str, Any]) -> str:
    """One notice, such as `authority.nl.html`."""
    whom, language, ending = name.split(".")
    say = bridge.texts.gettext
    title = {
        "authority": say(language, mark("Notice of a breach of personal data")),
        "people": say(language, mark("Your data may have got into wrong hands")),
    }[whom]
    policy = bridge.policy
    numbers = told["numbers"]
    labels = {id_: field.label[language] for id_, field in policy.fields.items()}
    kinds = [(say(language, KINDS[kind]), count) for kind, count in numbers["kinds"].items()]
    kinds += [(labels.get(id_, id_), count) for id_, count in numbers["fields"].items()]
    return bridge.texts.render(
        f"report/breach_{whom}.{ending}",
        language,
        title=title,
        subtitle=say(language, mark("Breach %(number)s"), number=told["breach"].number),
        made=bridge.clock(),
        facts=told["breach"].facts,
        noticed=told["breach"].noticed,
        due=told["clock"].due,
        clock=policy.limits_.breach_clock,
        since=told["since"],
        until=told["until"],
        numbers=numbers,
        kinds=kinds,
        stands=[
            (
                policy.purposes[purpose].name[language] if purpose in policy.purposes else purpose,
                [(say(language, STANDS[status]), count) for status, count in parts.items()],
            )
            for purpose, parts in numbers["by_purpose"].items()
        ],
        purposes=[
            policy.purposes[id_].name[language] for id_ in told["breach"].facts.purposes if id_ in policy.purposes
        ],
        places={id_: channel.place[language] for id_, channel in policy.channels.items()},
        words=told["breach"].facts.words.get(language, "").split("\n\n"),
    )


def _known(bridge: Bridge, breach: Breach) -> list[str]:
    return [id_ for id_ in breach.facts.purposes if id_ in bridge.policy.purposes]


def _drafts(bridge: Bridge) -> list[str]:
    return [
        f"{whom}.{language}.{ending}"
        for whom in ("authority", "people")
        for language in bridge.policy.languages
        for ending in ("html", "txt")
    ]


def _write(path: Path, text: str) -> None:
    with whole(path) as file:
        file.write(text.encode())


def _times(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, dict):
        return {key: _times(one) for key, one in value.items()}
    return [_times(one) for one in value] if isinstance(value, list | tuple) else value
