"""Reading everybody back from Mailchimp, page by page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from adapters._mailchimp_api import MailchimpApi, member_id
from adapters._outcomes import Told
from bridge.adapter import AdapterError, Misconfigured
from bridge.vocabulary import Member

T = TypeVar("T")

#: Merge field that carries the reader's link: `*|PREFS|*` in a template.
PREFS = "PREFS"

#: An audience's purposes: purpose id -> interest id, or "" where being subscribed is the purpose.
Purposes = dict[str, str]

PAGE = 1000  # most that Mailchimp gives at once
_SMALLEST_PAGE = 125
_OVERLAP = 20

_FIELDS = ("email_address", "status", "language", "interests", f"merge_fields.{PREFS}")


def read_members(api: MailchimpApi, audiences: Mapping[str, Purposes]) -> Iterator[Member]:
    """Everybody once, whatever the number of audiences. A single audience is not held in memory."""
    if len(audiences) == 1:
        ((audience, purposes),) = audiences.items()
        yield from _members_of(api, audience, purposes)
        return
    people: dict[str, Member] = {}
    for audience, purposes in audiences.items():
        for member in _members_of(api, audience, purposes):
            known = people.get(member.email.lower())
            people[member.email.lower()] = _joined(known, member) if known else member
    yield from people.values()


def _members_of(api: MailchimpApi, audience: str, purposes: Purposes) -> Iterator[Member]:
    seen: set[str] = set()
    for status in (None, "archived"):  # archived people are shown only when asked for
        for row in _rows(api, audience, status):
            address = str(row.get("email_address", ""))
            if address and member_id(address) not in seen:
                seen.add(member_id(address))
                yield _member(address, row, purposes)


def _rows(api: MailchimpApi, audience: str, status: str | None) -> Iterator[Mapping[str, Any]]:
    """All pages. They move while we read, so each overlaps the last; too large ones are halved."""
    asked: dict[str, Any] = {"fields": [*(f"members.{field}" for field in _FIELDS), "total_items"]}
    if status:
        asked["status"] = status

    def read(offset: int, count: int) -> tuple[list[Mapping[str, Any]], int]:
        page = api.call(api.lists.get_list_members_info, audience, count=count, offset=offset, **asked)
        return page.get("members") or [], int(page.get("total_items", 0))

    for rows, _ in pages(read):
        yield from rows


def pages(read: Callable[[int, int], tuple[Sequence[T], int]], offset: int = 0) -> Iterator[tuple[Sequence[T], int]]:
    """All pages from an offset on, each with the offset of the next; `read` gives one and how many rows there are."""
    count = PAGE
    while True:
        try:
            rows, total = read(offset, count)
        except Misconfigured:
            raise
        except AdapterError:
            if count // 2 < _SMALLEST_PAGE:
                raise
            count //= 2
            continue
        except Told as told:
            raise AdapterError(f"mailchimp: {told.outcome.reason} while reading an audience") from None
        over = not rows or offset + len(rows) >= total
        offset += max(len(rows) - _OVERLAP, 1)
        yield rows, offset
        if over:
            return


def _member(address: str, row: Mapping[str, Any], purposes: Purposes) -> Member:
    status, kept = row.get("status"), row.get("interests") or {}
    on = {purpose for purpose, interest in purposes.items() if not interest or kept.get(interest)}
    return Member(
        email=address,
        language=str(row.get("language") or "").replace("_", "-"),
        on=frozenset(on) if status == "subscribed" else frozenset(),
        stopped=frozenset(purposes) if status == "unsubscribed" else frozenset(),
        blocked=status == "cleaned",
        link=str((row.get("merge_fields") or {}).get(PREFS, "")),
    )


def _joined(one: Member, other: Member) -> Member:
    """One person in two audiences."""
    return Member(
        email=one.email,
        language=one.language or other.language,
        on=one.on | other.on,
        stopped=one.stopped | other.stopped,
        blocked=one.blocked or other.blocked,
        link=one.link or other.link,
    )
