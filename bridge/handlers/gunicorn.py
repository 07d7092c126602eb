"""Gunicorn's settings for the pages in several processes: `gunicorn --config python:bridge.handlers.gunicorn`.

Gunicorn's own options go before these, such as `--workers 4` and `--bind`.
"""

import os
import sys
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from bridge.bootstrap import START_ERRORS, Bridge
from bridge.logs import formatter, start_logging
from bridge.settings import read_env_file
from bridge.store import OldSchema, StoreAway, StoreBroken
from bridge.web.counts import share, take_part

wsgi_app = "bridge.handlers.server:pages()"
proc_name = "consent-bridge"
bind = "127.0.0.1:8080"
worker_class = "gthread"
threads = 8  # of each worker, and so its connections to the database
keepalive = 15
timeout = 60
graceful_timeout = 20  # what is asked already is answered; then a worker ends
accesslog = None  # a path holds a reader's token: let the proxy in front log, without paths
control_socket_disable = True
forwarder_headers = ""
if Path("/dev/shm").is_dir():  # noqa: S108  (memory: workers show there that they live)
    worker_tmp_dir = "/dev/shm"  # noqa: S108

#: More than the workers that can be there at once; each counts its answers in a part of its own (`/metrics`).
_PARTS = 64

if Path(".env").is_file() and not any(name.startswith("BRIDGE_") for name in os.environ):  # as every command does
    for _name, _value in read_env_file(Path(".env")).items():
        os.environ.setdefault(_name, _value)
share(_PARTS)


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801  (gunicorn's name for it; it has no types)
    """Gunicorn's own lines in our form. It would tell who sent what: of a request nothing is told (MIN-03)."""

    def setup(self, cfg: Any) -> None:
        """To standard error."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter(os.environ.get("BRIDGE_LOG_FORMAT", "text")))

    def warning(self, msg: object, *args: object, **more: Any) -> None:
        """One of its warnings names the sender and what was sent."""
        said = str(msg)
        super().warning(
            "a request was refused that is none" if said.startswith("Invalid request") else said, *args, **more
        )

    def exception(self, msg: object, *_args: object, **_more: Any) -> None:
        """Errors it met name the path; ours tell of themselves before they get here."""
        what = "Error handling a request" if "request" in str(msg) else "Error in a worker"
        self.error(what, exc_info=True)


def on_starting(_server: Any) -> None:
    """What is wrong with settings, policy or schema is said once, in one line, before there is any worker."""
    try:
        bridge = Bridge.from_env()
        start_logging(bridge.settings.log_level, bridge.settings.log_format)
        bridge.ready()
    except StoreAway as error:
        sys.stderr.write(f"consent-bridge: the store is away ({error}): stops are parked until it is back\n")
    except (*START_ERRORS, OldSchema, StoreBroken) as error:
        sys.stderr.write("".join(f"consent-bridge: {line}\n" for line in str(error).splitlines()))
        sys.exit(1)
    bridge.close()


def pre_fork(server: Any, worker: Any) -> None:
    """A worker counts where nobody else does now."""
    taken = {other.part for other in server.WORKERS.values()}
    worker.part = next((part for part in range(_PARTS) if part not in taken), 0)


def post_fork(_server: Any, worker: Any) -> None:
    """It is that worker from here on."""
    take_part(worker.part)
