"""One small HTTP call as a mail program or a platform makes it: no cookie is kept, no redirect followed."""

import http.client
import ssl
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple
from urllib.parse import urlsplit

_SECONDS = 10.0
#: Most of an answer that is looked at.
MOST = 2_000_000


class Answer(NamedTuple):
    """What came back; status 0 = nobody answered, and `trouble` says why."""

    status: int
    headers: Message = Message()
    body: bytes = b""
    trouble: str = ""


def knock(method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Make one call. Trouble on the way is an answer too."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    line = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        told = {"User-Agent": "consent-bridge-doctor", **(headers or {})}
        line.request(method, target, body=body or None, headers=told)
        answer = line.getresponse()
        return Answer(answer.status, answer.headers, answer.read(MOST))
    except ssl.SSLError as error:
        return Answer(0, trouble=f"its certificate is not accepted ({error.reason})")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, trouble=f"nobody answers ({type(error).__name__})")
    finally:
        line.close()
