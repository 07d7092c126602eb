"""Reading everything back from SendGrid: exports of contacts, files of job errors, suppression lists."""

import csv
import gzip
import http.client
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import IO, Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import urlopen

from adapters._outcomes import Told
from adapters._sendgrid_api import SendGridApi, mapping
from adapters._sendgrid_contacts import PREFS
from bridge.adapter import AdapterError
from bridge.vocabulary import Member

#: Seconds between looks at an export, and how often we look: twelve minutes in all.
_WAITS = (1.0, 2.0, 4.0, 8.0, *[15.0] * 47)

_PAGE = 500  # most that a suppression list gives at once

#: Account-wide lists: whoever is on one of them gets no mail, whatever the purpose.
_GLOBAL_LISTS = ("unsubscribes", "bounces", "spam_reports", "invalid_emails")

_GZIP = b"\x1f\x8b"

Row = Mapping[str, Any]
T = TypeVar("T")


class TooLongError(Exception):
    """A list has more pages than it is worth reading."""


def members(
    api: SendGridApi, places: Mapping[str, Mapping[str, str]], pause: Callable[[float], None]
) -> Iterator[Member]:
    """Every contact with the purposes that are on: whose list she is in, less whom the suppression lists stop.

    One export per list and one of everybody, because the file does not say which lists a contact is in.
    """
    jobs = {purpose: start(api, place["list"]) for purpose, place in places.items()}
    everybody = start(api, None)
    left = {purpose: _left(api, place["group"]) for purpose, place in places.items()}
    stops = _stopped_everywhere(api)
    listed = {purpose: {address(row).lower() for row in _rows(api, job, pause)} for purpose, job in jobs.items()}
    for row in _rows(api, everybody, pause):
        low = address(row).lower()
        if not low:
            continue
        out = low in stops["unsubscribes"] or low in stops["spam_reports"]
        dead = low in stops["bounces"] or low in stops["invalid_emails"]
        stopped = frozenset(purpose for purpose in places if out or low in left[purpose])
        on = frozenset(purpose for purpose in places if low in listed[purpose] and not dead) - stopped
        yield Member(email=address(row), on=on, stopped=stopped, blocked=dead, link=str(row.get(PREFS) or ""))


def start(api: SendGridApi, list_id: str | None) -> str:
    """Ask for an export of one list, or of everybody; the id of the job."""
    body: dict[str, Any] = {"file_type": "csv"}
    if list_id:
        body["list_ids"] = [list_id]
    job = mapping(_read(lambda: api.post("marketing", "contacts", "exports", body=body))).get("id")
    if not isinstance(job, str) or not job:
        raise AdapterError("sendgrid: export without an id")
    return job


def _rows(api: SendGridApi, job: str, pause: Callable[[float], None]) -> Iterator[Row]:
    """The contacts of an export, once it is ready; names of columns in lower case."""
    for url in _finished(api, job, pause):
        yield from download(url, api.seconds)


def _finished(api: SendGridApi, job: str, pause: Callable[[float], None]) -> list[str]:
    for wait in _WAITS:
        answer = mapping(_read(lambda: api.get("marketing", "contacts", "exports", job)))
        status = answer.get("status")
        if status == "ready":
            return [str(url) for url in answer.get("urls") or ()]
        if status != "pending":
            raise AdapterError("sendgrid: the export failed")
        pause(wait)
    raise AdapterError("sendgrid: the export is not ready yet")


def addresses(api: SendGridApi, job: str, pause: Callable[[float], None], size: int) -> Iterator[list[str]]:
    """Only the addresses of an export, so many at a time."""
    for url in _finished(api, job, pause):
        yield from _opened(url, api.seconds, partial(_addresses, size))


def _addresses(size: int, stream: IO[bytes]) -> Iterator[list[str]]:
    """A CSV's column is read by its place: a dictionary a row costs more than everything else about it."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    first = next(text, "")
    if first.lstrip()[:1] in ("[", "{"):
        named = filter(None, map(address, _parsed(first, text)))
        while some := list(islice(named, size)):
            yield some
        return
    rows = csv.reader(chain([first], text))
    head = [name.strip().lower() for name in next(rows, [])]
    if "email" not in head:
        if head:
            raise ValueError("no column with addresses")
        return
    place = head.index("email")
    while part := list(islice(rows, size)):
        if some := [email for row in part if len(row) > place and (email := row[place].strip())]:
            yield some


def download(url: str, seconds: float) -> Iterator[Row]:
    """A file SendGrid points to: CSV or JSON, packed or not, read line by line."""
    return _opened(url, seconds, _parse)


def _opened(url: str, seconds: float, parse: Callable[[IO[bytes]], Iterator[T]]) -> Iterator[T]:
    parts = urlsplit(url)
    loopback = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme != "https" and not loopback:
        raise AdapterError("sendgrid: the file is not at an https address")
    try:
        # Only https, or http to this machine, gets here.
        with urlopen(url, timeout=seconds) as answer:  # noqa: S310  # the scheme was checked above
            yield from parse(_unpacked(cast(IO[bytes], answer)))
    except (OSError, EOFError, ValueError, csv.Error, http.client.HTTPException) as error:
        raise AdapterError(f"sendgrid: no file ({type(error).__name__})") from None


def _unpacked(answer: IO[bytes]) -> IO[bytes]:
    first = answer.read(2)
    whole = cast(IO[bytes], io.BufferedReader(_Joined(first, answer)))
    return cast(IO[bytes], gzip.GzipFile(fileobj=whole)) if first == _GZIP else whole


class _Joined(io.RawIOBase):
    """A stream with its first bytes put back."""

    def __init__(self, first: bytes, rest: IO[bytes]) -> None:
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill from what was put back, then from the stream."""
        data = self._first[: len(buffer)] if self._first else self._rest.read(len(buffer))
        self._first = self._first[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def _parse(stream: IO[bytes]) -> Iterator[Row]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    yield from _parsed(next(text, ""), text)


def _parsed(first: str, text: io.TextIOWrapper) -> Iterator[Row]:
    if first.lstrip().startswith("["):
        found: Iterator[Any] = iter(json.loads(first + text.read()))
    elif first.lstrip().startswith("{"):
        found = (json.loads(line) for line in chain([first], text) if line.strip())
    else:
        found = csv.DictReader(chain([first], text))
    for row in found:
        if isinstance(row, dict):
            yield {str(name).lower(): value for name, value in row.items()}


def address(row: Row) -> str:
    """The address of a row, or nothing."""
    return str(row.get("email") or "").strip()


def _left(api: SendGridApi, group: str) -> set[str]:
    """Everybody who left a group, lower case."""
    found = _read(lambda: api.get("asm", "groups", group, "suppressions"))
    return {str(email).lower() for email in found} if isinstance(found, list) else set()


def _stopped_everywhere(api: SendGridApi) -> dict[str, set[str]]:
    """The account-wide lists, lower case."""
    return {name: set(listed(api, name)) for name in _GLOBAL_LISTS}


def listed(api: SendGridApi, name: str, most: int | None = None) -> Iterator[str]:
    """Everybody on an account-wide list, lower case; raises `TooLongError` after so many pages."""
    for page in pages(api, "suppression", name, most=most):
        yield from (str(entry.get("email", "")).lower() for entry in page)


def in_group(api: SendGridApi, group: str, emails: Sequence[str]) -> set[str]:
    """Who of these (at most 1,000) left a group, lower case."""
    body = {"recipient_emails": [email.strip() for email in emails]}
    found = api.post("asm", "groups", group, "suppressions", "search", body=body)
    return {low(str(email)) for email in found} & set(map(low, emails)) if isinstance(found, list) else set()


def low(email: str) -> str:
    """An address as SendGrid compares it."""
    return email.strip().lower()


def pages(
    api: SendGridApi, *path: str, most: int | None = None, asked: Mapping[str, int | str] | None = None
) -> Iterator[list[Row]]:
    """A list of suppressions, page by page, as far as asked; raises `TooLongError` after so many."""
    offset, before = 0, None
    while True:
        if most is not None and offset >= most * _PAGE:
            raise TooLongError
        query = {"limit": _PAGE, "offset": offset, **(asked or {})}
        page = _read(lambda query=query: api.get(*path, query=query))  # type: ignore[misc]  # binds now
        entries = page if isinstance(page, list) else []
        if entries and entries == before and path[0] == "asm":
            return  # whether this one knows pages is not written anywhere: it has told everything
        yield [entry for entry in entries if isinstance(entry, dict)]
        if len(entries) < _PAGE:
            return
        offset, before = offset + _PAGE, entries


def _read(call: Callable[[], Any]) -> Any:
    """Reading is about no single member: what SendGrid refuses here fails the reading."""
    try:
        return call()
    except Told as told:
        raise AdapterError(f"sendgrid: {told.outcome.reason} while reading") from None
