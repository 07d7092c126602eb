"""One HTTP call as a browser, a mail program or an ESP makes it; an answer that breaks off is no answer."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit


class Answer(NamedTuple):
    """What came back, whole."""

    status: int
    text: str


def call(
    method: str,
    url: str,
    fields: Any = None,
    *,
    json_: Mapping[str, Any] | None = None,
    query: Mapping[str, str] | None = None,
    seconds: float = 20.0,
) -> Answer | None:
    """Call; None when nobody answered or the answer is not whole."""
    parts = urlsplit(url)
    headers = {"Accept": "text/html"}
    body = None
    if json_ is not None:
        body, headers["Content-Type"] = json.dumps(json_).encode(), "application/json"
    elif fields is not None:
        body, headers["Content-Type"] = urlencode(fields).encode(), "application/x-www-form-urlencoded"
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        line.request(method, parts.path + (f"?{urlencode(query)}" if query else ""), body=body, headers=headers)
        answer = line.getresponse()
        text = answer.read()
        if answer.length:  # fewer bytes than promised
            return None
        return Answer(answer.status, text.decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()
