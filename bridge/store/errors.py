"""What can go wrong at the store, each named after what the caller should do."""


class StoreAway(Exception):
    """The database is locked, full or unreachable: nothing was written; try again shortly."""


class StoreBusy(StoreAway):
    """Somebody holds a lock for longer than we wait: nothing was written; try again shortly."""


class StoreBroken(Exception):
    """The database refused a statement of ours: a mistake of this program; nothing was written."""


class OldSchema(Exception):
    """The database has another schema than this program: run `consent-bridge db upgrade`."""


class UnknownSubject(Exception):
    """No such person: never was, or erased."""


class TooMany(Exception):
    """A client network asked too often. `wait` is how many seconds it should wait."""

    def __init__(self, wait: int) -> None:
        super().__init__("too many requests")
        self.wait = wait


class BadInput(ValueError):
    """An event that may not be recorded; the text says what is wrong with it."""


class IncompleteEvidence(BadInput):
    """A yes without its proof: the text names what is missing (CAP-05)."""
