"""One small HTTP call, never following a redirect: what the courier and the scanner use to reach the bridge."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

#: Most of an answer that is looked at.
MOST = 1_000_000


class Answer(NamedTuple):
    """What came back; status 0 means nobody answered."""

    status: int
    content_type: str = ""
    body: bytes = b""


NOBODY = Answer(0)


def knock(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, limit: float = 10
) -> Answer:
    """Make one call with a time limit; trouble on the way is `NOBODY`, never an exception."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return NOBODY
    connection_type = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = connection_type(parts.hostname, parts.port, timeout=limit)
    except (ValueError, http.client.HTTPException):
        return NOBODY
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type", ""), response.read(MOST))
    except (OSError, ValueError, http.client.HTTPException):
        return NOBODY
    finally:
        connection.close()
