"""Reading everybody from SendGrid as far as mail is concerned: its suppression lists, then exports of our lists.

A contact in none of our lists gets nothing, so nobody asks for those.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from adapters import _sendgrid_exports as exports
from adapters._sendgrid_api import SendGridApi
from bridge.vocabulary import EVERY_PURPOSE, EventType, Member, Seen

#: Account-wide lists and what being on one means.
_LISTS = {
    "unsubscribes": EventType.UNSUBSCRIBED,
    "spam_reports": EventType.COMPLAINED,
    "bounces": EventType.BOUNCED,
    "invalid_emails": EventType.BOUNCED,
}
#: Of these a new yes takes her off.
_LIFTED = ("unsubscribes", "spam_reports", "bounces")

_GROUPS = "groups"
_AT_ONCE = 1000

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


def since(
    api: SendGridApi,
    places: Mapping[str, Mapping[str, str]],
    members: Sequence[Member],
    moment: datetime,
    *,
    exact: bool,
) -> Iterator[Seen]:
    """What these people left, complained of or lost since that moment, by lists of everybody's; of groups only that
    they left it, unless it must be exact: then all of them are read, for SendGrid tells the time nowhere else."""
    emails = {_low(member.email): member.email for member in members}
    start = {"start_time": max(0, int(moment.timestamp()) - _SLACK)}
    for name, kind in _LISTS.items():
        for seen in _everywhere(api, name, places, start) if name in _LIFTED else ():
            about = {EVERY_PURPOSE} if kind is EventType.UNSUBSCRIBED else seen.purposes
            yield from _only(seen._replace(purposes=frozenset(about)), emails)
    if exact:
        for seen in _groups(api, places):
            yield from _only(seen, emails)
        return
    for purpose, place in places.items():
        new = [member.email for member in members if purpose in member.fresh]
        for first in range(0, len(new), _AT_ONCE):
            there = exports.in_group(api, place["group"], new[first : first + _AT_ONCE])
            if there:
                left = [emails[low] for low in there]
                yield Seen(left, stop=EventType.UNSUBSCRIBED, purposes=frozenset({purpose}))


def _only(seen: Seen, emails: Mapping[str, str]) -> Iterator[Seen]:
    """What is said of these, under the names they were asked for."""
    every = zip(map(_low, seen.emails), seen.times, strict=True)
    told = [(emails[low], time) for low, time in every if low in emails]
    if told:
        yield seen._replace(emails=[email for email, _ in told], times=[time for _, time in told])


def _in_list(api: SendGridApi, job: str, purpose: str, pause: Callable[[float], None]) -> Iterator[Seen]:
    on = frozenset({purpose})
    for emails in exports.addresses(api, job, pause, _AT_ONCE):
        yield Seen(emails, on)


def _everywhere(
    api: SendGridApi, name: str, places: Mapping[str, Mapping[str, str]], asked: Mapping[str, int] | None = None
) -> Iterator[Seen]:
    kind = _LISTS[name]
    purposes = frozenset(places) if kind is EventType.UNSUBSCRIBED else frozenset()
    for page in exports.pages(api, "suppression", name, asked=asked):
        told = [(str(entry.get("email") or "").strip(), entry.get("created")) for entry in page]
        emails = [email for email, _ in told if email]
        yield Seen(emails, stop=kind, purposes=purposes, times=[_seconds(time) for email, time in told if email])


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
            yield Seen(emails, stop=EventType.UNSUBSCRIBED, purposes=frozenset({purpose}), times=times)


def _low(email: str) -> str:
    return email.strip().lower()


def _seconds(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
