"""The consent store: the one door for writes, and the reads. Only this package, the tables and migrations know SQL."""

from bridge.store.errors import BadInput, IncompleteEvidence, OldSchema, StoreAway, StoreBroken, TooMany, UnknownSubject
from bridge.store.pushes import Busy, open_jobs
from bridge.store.store import Plan, Store
from bridge.store.values import Erased, Erasure, Job, Mail, Person, Push, SignUp, Task

__all__ = [
    "BadInput",
    "Busy",
    "Erased",
    "Erasure",
    "IncompleteEvidence",
    "Job",
    "Mail",
    "OldSchema",
    "Person",
    "Plan",
    "Push",
    "SignUp",
    "Store",
    "StoreAway",
    "StoreBroken",
    "Task",
    "TooMany",
    "UnknownSubject",
    "open_jobs",
]
