"""The doorbell: after a commit whoever sends is told that there is work. It carries ids of rows and nothing else.

A ring may be lost, late, doubled or out of order: what is promised stands in the database, and is looked for each
minute without one.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from bridge.aws import Aws, AwsError

log = logging.getLogger("bridge.doorbell")

#: How `BRIDGE_NUDGE` may be said.
INLINE, NONE = "inline", "none"
_SQS = re.compile(r"sqs:(https?://[^\s?#@]+)")
_LAMBDA = re.compile(r"lambda:([A-Za-z0-9_-]{1,64})")

#: Rows named in one ring. Those that are left out are found by whoever answers it.
MOST = 100

#: No number of a row is as large.
_MOST_ROWS = 2**63

#: A reader waits for it.
_SECONDS = 1.0

#: A row of a mail by its id, or of what a platform is to be told of somebody by her number.
Row = str | int


def is_known(nudge: str) -> bool:
    """Whether a setting says a way to ring."""
    return nudge in (INLINE, NONE) or bool(_SQS.fullmatch(nudge) or _LAMBDA.fullmatch(nudge))


def is_queue(text: str) -> bool:
    """Whether this says a queue of SQS."""
    return bool(_SQS.fullmatch(text))


class Bell:
    """What rings as a setting says: `wake` in this process, a queue, a function, or nothing."""

    def __init__(self, nudge: str, environment: Mapping[str, str], wake: Callable[[], None]) -> None:
        self._queue, self._function = _SQS.fullmatch(nudge), _LAMBDA.fullmatch(nudge)
        self._wake = wake if nudge == INLINE else None
        self._aws = Aws(environment, seconds=_SECONDS)

    def ring(self, rows: Sequence[Row]) -> None:
        """Ring for these rows, or for whatever is due. Nobody is told of a lost ring: the work is written down."""
        if self._wake:
            self._wake()
            return
        try:
            if self._queue:
                self._aws.send(self._queue[1], json.dumps(rows[:MOST]))
            elif self._function:
                self._aws.invoke(self._function[1], {"ring": rows[:MOST]})
        except Exception as error:
            why = error if isinstance(error, AwsError) else type(error).__name__
            log.warning("the doorbell: %s; the work is found within a minute", why)

    def close(self) -> None:
        """Let go of the line."""
        self._aws.close()


def heard(body: object) -> list[Row]:
    """The rows that a ring names; of anything else nothing, which means: look at all that is due."""
    rows = body if isinstance(body, list) else []
    return [row for row in rows if isinstance(row, str) or (type(row) is int and 0 < row < _MOST_ROWS)][:MOST]
