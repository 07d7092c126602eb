"""Log lines: for people or as JSON. What is logged holds ids and codes, never an address, token or payload (MIN-03)."""

import json
import logging
import secrets
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

#: Libraries that would print bodies, keys or addresses below this level, or what concerns no operator.
_QUIET = ("alembic", "urllib3", "python_http_client", "sqlalchemy", "botocore", "mail.log", "asyncio")

#: Tells of a lost connection in tracebacks that quote the driver; that the database is away is said by the store.
_SILENT = "sqlalchemy.pool"

#: The id of the request that this thread answers; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")

log = logging.getLogger("bridge")


def new_request_id() -> str:
    """An id of our own: what a client sends in a header may be anything, a name as well."""
    return secrets.token_hex(8)


def place(error: BaseException) -> str:
    """Where an error happened, call by call, without its own text: that may quote a value."""
    calls = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    return "\n".join(f"  {call.filename}:{call.lineno} in {call.name}" for call in calls)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line, which ends with the request's id."""
        record.stack_info = None
        first, *more = super().format(record).split("\n")
        asked = request_id.get()
        return "\n".join([f"{first} [{asked}]" if asked else first, *more])

    def formatException(self, ei: object) -> str:  # noqa: N802  (logging's name)
        """The kind of error and where it happened."""
        error = ei[1] if isinstance(ei, tuple) else None
        return f"{type(error).__name__}\n{place(error)}" if isinstance(error, BaseException) else ""


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object a line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": moment, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if asked := request_id.get():
            fields["request"] = asked
        if isinstance(record.exc_info, tuple) and isinstance(error := record.exc_info[1], BaseException):
            fields |= {"error": type(error).__name__, "where": place(error)}
        return json.dumps(fields)


def formatter(form: str) -> logging.Formatter:
    """How a line is written: `text` or `json`."""
    return _Json() if form == "json" else _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")


def start_logging(level: str, form: str) -> None:
    """Log to standard error; so too errors that nobody thought of, whose own text would quote values."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet()
    sys.excepthook = _unforeseen
    threading.excepthook = _in_a_thread


def quiet() -> None:
    """Let libraries speak of what concerns an operator only."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_SILENT).setLevel(logging.CRITICAL)


def _unforeseen(kind: type[BaseException], error: BaseException, found: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, found)
        return
    log.critical("an error that nobody thought of", exc_info=(kind, error, found))


def _in_a_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and told.exc_type is not SystemExit:
        log.critical("a thread ended", exc_info=(told.exc_type, told.exc_value, told.exc_traceback))
