"""Pages that answer on a real port of this machine."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

Application = Callable[..., Any]


class _Quiet(WSGIRequestHandler):
    """Writes no address into any log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(application: Application, port: int) -> Iterator[None]:
    """The application at that port, until the end of the block."""
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
