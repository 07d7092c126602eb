"""Reading everybody from Mailchimp as far as mail is concerned: pages of a thousand, decoded only where we look."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from adapters._mailchimp_api import MailchimpApi, member_id
from adapters._mailchimp_members import Purposes, pages
from adapters._outcomes import Told
from bridge.adapter import AdapterError
from bridge.vocabulary import EventType, Left, Seen

T = TypeVar("T")


class _Row(msgspec.Struct, gc=False):
    """One member. Of a million most have the same few sets of interests, so these are decoded once a set and page."""

    email_address: str = ""
    status: str = ""
    interests: msgspec.Raw = msgspec.Raw(b"null")
    last_changed: str | None = None


class _Members(msgspec.Struct):
    members: list[_Row] = []
    total_items: int = 0


class _Complaint(msgspec.Struct):
    email_address: str = ""
    date: str | None = None


class _Complaints(msgspec.Struct):
    abuse_reports: list[_Complaint] = []
    total_items: int = 0


_MEMBERS, _COMPLAINTS = msgspec.json.Decoder(_Members), msgspec.json.Decoder(_Complaints)
_ROW = msgspec.json.Decoder(_Row)


class _Act(msgspec.Struct):
    activity_type: str = ""
    created_at_timestamp: str | None = None


class _Activity(msgspec.Struct):
    activity: list[_Act] = []


_ACTIVITY, _MOST_ACTIVITY = msgspec.json.Decoder(_Activity), 100

#: No further person is asked about after this long.
_LONGEST_SECONDS = 30.0
_INTERESTS = msgspec.json.Decoder(dict[str, bool] | None)

_ASKED = ("email_address", "status", "last_changed", "interests")

#: Who is archived is shown only when asked for; a webhook would have said "unsubscribed, deleted".
_LEFT = frozenset({"unsubscribed", "archived"})

_COMPLAINED, _PRESENT, _ARCHIVED = "complaints", "members", "archived"


def read_everybody(api: MailchimpApi, audiences: Mapping[str, Purposes], since: str) -> Iterator[Seen]:
    """Complaints of each audience, then its members, then its archived ones; `since` is where to go on."""
    steps = [(kind, audience) for kind in (_COMPLAINED, _PRESENT, _ARCHIVED) for audience in audiences]
    step, offset = _place(since, len(steps))
    for number in range(step, len(steps)):
        kind, audience = steps[number]
        read = _complaints(api, audience, offset) if kind == _COMPLAINED else None
        read = read or _members(api, audience, audiences[audience], archived=kind == _ARCHIVED, offset=offset)
        for group, behind in read:
            yield group._replace(mark=json.dumps([number, behind]) if behind else "")
        offset = 0


def _place(since: str, steps: int) -> tuple[int, int]:
    """Which step, and which row of it."""
    if not since:
        return 0, 0
    step, offset = json.loads(since)
    return (int(step), int(offset)) if int(step) < steps else (0, 0)


def _complaints(api: MailchimpApi, audience: str, offset: int) -> Iterator[tuple[Seen, int]]:
    asked = {"fields": "abuse_reports.email_address,abuse_reports.date,total_items"}

    def read(offset: int, count: int) -> tuple[Sequence[_Complaint], int]:
        path = f"/lists/{audience}/abuse-reports"
        page = _decoded(_COMPLAINTS, api.content(path, {**asked, "count": count, "offset": offset}))
        return page.abuse_reports, page.total_items

    for rows, behind in pages(read, offset):
        told = [(row.email_address, _seconds(row.date)) for row in rows if row.email_address]
        emails, times = [email for email, _ in told], [time for _, time in told]
        yield Seen(emails, stop=EventType.COMPLAINED, times=times), behind


def _members(
    api: MailchimpApi, audience: str, purposes: Purposes, *, archived: bool, offset: int
) -> Iterator[tuple[Seen, int]]:
    fields = _ASKED if any(purposes.values()) else _ASKED[:-1]
    asked = {"fields": ",".join([*(f"members.{field}" for field in fields), "total_items"])}
    if archived:
        asked["status"] = "archived"

    def read(offset: int, count: int) -> tuple[Sequence[_Row], int]:
        path = f"/lists/{audience}/members"
        page = _decoded(_MEMBERS, api.content(path, {**asked, "count": count, "offset": offset}))
        return page.members, page.total_items

    for rows, behind in pages(read, offset):
        groups = list(_alike(rows, purposes))
        for place, group in enumerate(groups, start=1):
            yield group, behind if place == len(groups) else 0


def read_some(api: MailchimpApi, audiences: Mapping[str, Purposes], emails: Sequence[str]) -> Left:
    """A few people, one by one, as they stand now; of whom it does not tell, or there is no time for, is named."""
    seen: list[Seen] = []
    unasked: set[str] = set()
    end = time.monotonic() + _LONGEST_SECONDS
    for email in emails:
        for audience, purposes in audiences.items():
            if time.monotonic() > end:
                unasked.add(email)
                break
            try:
                body = api.content(f"/lists/{audience}/members/{member_id(email)}", {"fields": ",".join(_ASKED)})
            except Told as told:
                if told.status != 404:
                    unasked.add(email)
                continue
            row = _decoded(_ROW, body)
            if row.status in _LEFT:
                row.last_changed = _left(api, audience, email) or row.last_changed
            seen += (group._replace(emails=[email]) for group in _alike([row], purposes))
    return Left(seen, frozenset(unasked))


def _left(api: MailchimpApi, audience: str, email: str) -> str | None:
    """When she left last: any write of ours moves `last_changed`, her activity stays as it was."""
    path = f"/lists/{audience}/members/{member_id(email)}/activity-feed"
    try:
        body = api.content(path, {"activity_filters": "unsub", "count": _MOST_ACTIVITY})
    except Told:
        return None
    times = [one.created_at_timestamp for one in _decoded(_ACTIVITY, body).activity if one.activity_type == "unsub"]
    return max(filter(_seconds, times), key=_seconds, default=None)


def _alike(rows: Sequence[_Row], purposes: Purposes) -> Iterator[Seen]:
    """A page in groups that stand alike."""
    groups: dict[tuple[str, bytes], list[_Row]] = {}
    for row in rows:
        if row.email_address:
            groups.setdefault((row.status, bytes(row.interests)), []).append(row)
    for (status, interests), alike in groups.items():
        emails = [row.email_address for row in alike]
        if status in _LEFT:
            times = [_seconds(row.last_changed) for row in alike]
            yield Seen(emails, stop=EventType.UNSUBSCRIBED, purposes=frozenset(purposes), times=times)
        elif status == "cleaned":
            yield Seen(emails, stop=EventType.BOUNCED, times=[_seconds(row.last_changed) for row in alike])
        else:
            kept = _decoded(_INTERESTS, interests) or {}
            on = (purpose for purpose, interest in purposes.items() if not interest or kept.get(interest))
            yield Seen(emails, frozenset(on) if status == "subscribed" else frozenset())


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AdapterError("mailchimp: a page has an unknown shape") from None


def _seconds(text: str | None) -> int:
    """A time of Mailchimp's in whole seconds since 1970 UTC; 0 for none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return 0
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
