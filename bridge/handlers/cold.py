"""How a server comes up that must not wait for its database: on AWS Lambda once, while it is being made ready."""

import logging
import os
import threading

from bridge.bootstrap import Bridge
from bridge.logs import quiet
from bridge.settings import read_settings
from bridge.store import OldSchema, StoreAway

log = logging.getLogger("bridge.handlers")


class Checked:
    """A bridge that is checked before its first use; again at the next while the database is away."""

    def __init__(self, bridge: Bridge, fix: str, *, sends: bool = True) -> None:
        """`fix` is what to do about an old schema; what only `sends` needs is not loaded for pages alone."""
        self.bridge, self._fix, self._sends = bridge, fix, sends
        self._checked = False
        self._one = threading.Lock()

    def check(self) -> None:
        """Check everything that a start needs. Raises what is wrong with settings or policy.

        Until the database was migrated it is away: pages say so, and stops are parked rather than refused. While it is
        looked at again it stays closed for all others: who knows yet whose schema is there by now.
        """
        with self._one:
            if not self._checked:
                self._check()

    def _check(self) -> None:
        database = self.bridge.database
        try:
            with database.inspected():
                if self._sends:
                    self.bridge.ready()
                else:
                    self.bridge.ready_to_answer()
        except OldSchema as error:
            log.error("nothing is read or written: %s (%s)", error, self._fix)
            database.closed = "its schema is another one"
        except StoreAway as error:
            log.warning("the store is away (%s)", error)
            database.closed = str(error)  # whoever is answered now need not wait for it once more
        else:
            database.closed = ""
            self._checked = True


class Cold(Checked):
    """A function's, with so many connections."""

    def __init__(self, connections: int = 1, *, sends: bool = True) -> None:
        house = Bridge(read_settings(os.environ), connections=connections)
        super().__init__(house, "on AWS: npx osls invoke -f migrate", sends=sends)
        logging.getLogger().setLevel(self.bridge.settings.log_level)
        quiet()
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            from snapshot_restore_py import register_before_snapshot

            register_before_snapshot(self.bridge.close)  # a snapshot's connections are nobody's when it is taken up
