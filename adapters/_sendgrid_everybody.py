"""Reading everybody from SendGrid as far as mail is concerned: its suppression lists, then exports of our lists.

A contact in none of our lists gets nothing, so nobody asks for those.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from adapters import _sendgrid_exports as exports
from adapters._outcomes import Told
from adapters._sendgrid_api import SendGridApi
from bridge.adapter import AdapterError
from bridge.vocabulary import EVERY_PURPOSE, EventType, Left, Member, Seen

#: Account-wide lists and what being on one means.
_LISTS = {
    "unsubscribes": EventType.UNSUBSCRIBED,
    "spam_reports": EventType.COMPLAINED,
    "bounces": EventType.BOUNCED,
    "invalid_emails": EventType.BOUNCED,
}
#: Of these a new yes takes her off.
_LIFTED = {name: _LISTS[name] for name in ("unsubscribes", "spam_reports", "bounces")}

_GROUPS = "groups"
_AT_ONCE = 1000

#: So many people at most are asked about one by one.
_FEW = 5

#: Seconds that the two clocks may differ by.
_SLACK = 300


def read(
    api: SendGridApi, places: Mapping[str, Mapping[str, str]], pause: Callable[[float], None], since: str
) -> Iterator[Seen]:
    """Exports are asked for first, for they take their time. A mark says which step is over, and which exports run."""
    steps = [*([] if api.eu else places), *_LISTS, _GROUPS]
    steps.sort(key=lambda step: step in places)  # the stops of people who are not in the store come before their lists
    step, jobs = _place(since, steps)
    if not jobs and not api.eu:
        jobs = {purpose: exports.start(api, place["list"]) for purpose, place in places.items()}
    for number in range(step, len(steps)):
        name = steps[number]
        if name in places:
            yield from _in_list(api, jobs[name], name, pause)
        elif name == _GROUPS:
            yield from _groups(api, places)
        else:
            yield from _everywhere(api, name, places)
        yield Seen((), mark=json.dumps([number + 1, steps, jobs]))


def _place(since: str, steps: list[str]) -> tuple[int, dict[str, str]]:
    """Which step, and the exports that were begun for it."""
    if since:
        step, known, jobs = json.loads(since)
        if known == steps:
            return int(step), {str(name): str(job) for name, job in jobs.items()}
    return 0, {}


def left(api: SendGridApi, places: Mapping[str, Mapping[str, str]], members: Sequence[Member], since: datetime) -> Left:
    """What these people left, complained of or lost since that moment; of groups only that they left them.

    Of a few each account-wide list is asked for each, of many it is read once from that moment on.
    """
    emails = {exports.low(member.email): member.email for member in members}
    start = max(0, int(since.timestamp()) - _SLACK)
    seen: list[Seen] = []
    for name, kind in _LIFTED.items():
        asked = [{"email": low} for low in emails] if len(emails) <= _FEW else [{"start_time": start}]
        about = frozenset({EVERY_PURPOSE} if kind is EventType.UNSUBSCRIBED else ())
        for query in asked:
            for found in _everywhere(api, name, places, query):
                seen += _only(found._replace(purposes=about), emails)
    unasked: set[str] = set()
    for purpose, place in places.items():
        new = [member.email for member in members if purpose in member.fresh]
        for first in range(0, len(new), _AT_ONCE):
            there = _in_group(api, place["group"], new[first : first + _AT_ONCE], unasked)
            gone = [emails[low] for low in there]
            seen += [Seen(gone, stop=EventType.UNSUBSCRIBED, purposes=frozenset({purpose}))] if gone else []
    return Left(seen, frozenset(unasked))


def exact(api: SendGridApi, places: Mapping[str, Mapping[str, str]], members: Sequence[Member]) -> Left:
    """When they left groups: SendGrid tells that nowhere but in the list of everybody's."""
    emails = {exports.low(member.email): member.email for member in members}
    return Left([part for seen in _groups(api, places) for part in _only(seen, emails)])


def _in_group(api: SendGridApi, group: str, emails: Sequence[str], unasked: set[str]) -> set[str]:
    """Who of these left a group; an address that SendGrid does not take is found by halving."""
    try:
        return exports.in_group(api, group, emails)
    except Told as told:
        if told.status not in (400, 413):
            raise AdapterError(f"sendgrid: {told.outcome.reason} while reading") from None
        if len(emails) == 1:
            unasked.update(emails)
            return set()
        half = len(emails) // 2
        return _in_group(api, group, emails[:half], unasked) | _in_group(api, group, emails[half:], unasked)


def _only(seen: Seen, emails: Mapping[str, str]) -> Iterator[Seen]:
    """What is said of these, under the names they were asked for."""
    every = zip(map(exports.low, seen.emails), seen.times, strict=True)
    told = [(emails[low], time) for low, time in every if low in emails]
    if told:
        yield seen._replace(emails=[email for email, _ in told], times=[time for _, time in told])


def _in_list(api: SendGridApi, job: str, purpose: str, pause: Callable[[float], None]) -> Iterator[Seen]:
    on = frozenset({purpose})
    for emails in exports.addresses(api, job, pause, _AT_ONCE):
        yield Seen(emails, on)


def _everywhere(
    api: SendGridApi, name: str, places: Mapping[str, Mapping[str, str]], asked: Mapping[str, int | str] | None = None
) -> Iterator[Seen]:
    kind = _LISTS[name]
    purposes = frozenset(places) if kind is EventType.UNSUBSCRIBED else frozenset()
    for page in exports.pages(api, "suppression", name, asked=asked):
        told = [(str(entry.get("email") or "").strip(), entry.get("created")) for entry in page]
        emails = [email for email, _ in told if email]
        times = [_seconds(time) for email, time in told if email]
        yield Seen(emails, stop=kind, purposes=purposes, times=times, only_stop=True)


def _groups(api: SendGridApi, places: Mapping[str, Mapping[str, str]]) -> Iterator[Seen]:
    """Who left a group of ours, and when."""
    purposes = {place["group"]: purpose for purpose, place in places.items()}
    for page in exports.pages(api, "asm", "suppressions"):
        left: dict[str, list[tuple[str, int]]] = {}
        for entry in page:
            purpose, email = purposes.get(str(entry.get("group_id"))), str(entry.get("email") or "").strip()
            if purpose and email:
                left.setdefault(purpose, []).append((email, _seconds(entry.get("created_at"))))
        for purpose, told in left.items():
            emails, times = [email for email, _ in told], [time for _, time in told]
            yield Seen(emails, stop=EventType.UNSUBSCRIBED, purposes=frozenset({purpose}), times=times, only_stop=True)


def _seconds(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
