"""Mailchimp's batches: many operations in one call, done later in any order; their result is a file."""

import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast
from urllib.parse import urlsplit

import msgspec

from bridge.vocabulary import Outcome, OutcomeKind

#: Most operations of one batch; Mailchimp names no number.
MOST = 500

#: A result is a few MB: an answer for each operation. What is larger is not read.
_LARGEST = 64 * 1024 * 1024
_BLOCK = 256 * 1024

_encode = msgspec.json.Encoder().encode


class ResultLostError(Exception):
    """The result cannot be had this way; the outcome says what is to be done for all of its people."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Done(msgspec.Struct):
    """One operation that was done: what its own call would have answered, as text."""

    status_code: int
    operation_id: str = ""
    response: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Whom and which audience it was about; (-1, -1) where it is none of ours."""
        member, _, audience = self.operation_id.partition(".")
        return (int(member), int(audience)) if member.isdecimal() and audience.isdecimal() else (-1, -1)


_RESULTS = msgspec.json.Decoder(list[Done])


class _Params(msgspec.Struct, frozen=True):
    skip_merge_validation: str = "true"


class Operation(msgspec.Struct):
    """One upsert of a batch, in Mailchimp's words."""

    path: str
    operation_id: str
    body: str
    method: str = "PUT"
    params: _Params = _Params()


def operation(place: int, number: int, path: str, body: Mapping[str, Any]) -> Operation:
    """One upsert. Its id is a place in this batch and says nothing about anybody (decision 18)."""
    return Operation(path, f"{place}.{number}", _encode(body).decode())


def results(session: Any, url: object, seconds: float) -> Iterator[Done]:
    """What became of each operation, read from the file as it arrives. Raises `ResultLostError`."""
    import requests
    from urllib3.exceptions import HTTPError

    try:
        # The link carries its own right to read; our key does not travel there.
        with session.get(_checked(url), stream=True, timeout=seconds) as answer:
            if answer.status_code in (404, 410):
                raise ResultLostError(Outcome(OutcomeKind.LATER, "result_missing"))
            if not answer.ok:  # a link lives ten minutes; the next look gives another
                raise ResultLostError(Outcome(OutcomeKind.PENDING, "link_expired"))
            yield from _unpacked(cast(IO[bytes], answer.raw))
    except (requests.RequestException, HTTPError, OSError) as error:
        raise ResultLostError(Outcome(OutcomeKind.PENDING, f"no_result_{type(error).__name__}")) from None
    except (tarfile.TarError, EOFError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise ResultLostError(Outcome(OutcomeKind.LATER, f"result_{type(error).__name__}")) from None


def _checked(url: object) -> str:
    parts = urlsplit(url if isinstance(url, str) else "")
    loopback = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme != "https" and not loopback:
        raise ResultLostError(Outcome(OutcomeKind.LATER, "result_address"))
    return str(url)


def _unpacked(stream: IO[bytes]) -> Iterator[Done]:
    """Each file of the archive by itself; never more than one is held."""
    with tarfile.open(fileobj=stream, mode="r|gz", bufsize=_BLOCK) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isfile() else None
            if file is None:
                continue
            if entry.size > _LARGEST:
                raise ValueError
            yield from _RESULTS.decode(file.read())
