"""Around every request: an id for its log lines and for an error's answer; its route, kind and time for monitors."""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bridge.logs import new_request_id, request_id
from bridge.web.counts import Counts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("bridge.web")

#: Where the application says which route answers: its pattern, for a path may hold a token.
ROUTE = "consent_bridge.route"
HEADER = "X-Request-Id"


class Watch:
    """Sees each request and its answer go by; the path is not looked at (WEB-02)."""

    def __init__(self, application: "WSGIApplication", counts: Counts) -> None:
        self._application, self._counts = application, counts

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """One request."""
        began, told = time.perf_counter(), request_id.set(asked := new_request_id())
        status = 500

        def start(line: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            if status >= 400:  # whoever meets an error can name it, and no two good answers differ (CAP-09)
                headers = [*headers, (HEADER, asked)]
            return start_response(line, headers, *error)

        try:
            return self._application(environ, start)
        finally:
            took = time.perf_counter() - began
            method = environ["REQUEST_METHOD"].replace("HEAD", "GET")
            name = f"{method} {environ[ROUTE]}" if ROUTE in environ else "other"
            self._counts.add(name, status, took)
            log.debug("%s %d %.0f ms", name, status, 1000 * took)
            request_id.reset(told)
