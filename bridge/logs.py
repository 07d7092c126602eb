"""Log lines: for people or as JSON. What is logged holds ids and codes, never an address, token or payload (MIN-03)."""

import json
import logging
import sys
from datetime import UTC, datetime

#: Libraries that would print bodies, keys or addresses below this level, or what concerns no operator.
_QUIET = ("alembic", "urllib3", "python_http_client", "sqlalchemy", "botocore", "mail.log", "asyncio")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object a line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": moment, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return json.dumps(fields)


def start_logging(level: str, form: str) -> None:
    """Log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
