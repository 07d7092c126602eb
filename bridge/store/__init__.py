"""The consent store: the one door for writes, and the reads. Only this package, the tables and migrations know SQL."""

from bridge.store.changing import Moved
from bridge.store.errors import BadInput, IncompleteEvidence, OldSchema, StoreAway, StoreBroken, TooMany, UnknownSubject
from bridge.store.pushes import Busy, open_jobs
from bridge.store.store import Plan, Store
from bridge.store.values import (
    Confirmation,
    Erased,
    Erasure,
    Job,
    Mail,
    Person,
    Push,
    SignUp,
    StopTimes,
    Task,
)

__all__ = [
    "BadInput",
    "Busy",
    "Confirmation",
    "Erased",
    "Erasure",
    "IncompleteEvidence",
    "Job",
    "Mail",
    "Moved",
    "OldSchema",
    "Person",
    "Plan",
    "Push",
    "SignUp",
    "StopTimes",
    "Store",
    "StoreAway",
    "StoreBroken",
    "Task",
    "TooMany",
    "UnknownSubject",
    "open_jobs",
]
