"""The consent store: the one door for writes, and the reads. Only this package, the tables and migrations know SQL."""

from bridge.store.errors import BadInput, IncompleteEvidence, OldSchema, StoreAway, TooMany, UnknownSubject
from bridge.store.store import Plan, Store
from bridge.store.values import Mail, Person, Push, SignUp, Task

__all__ = [
    "BadInput",
    "IncompleteEvidence",
    "Mail",
    "OldSchema",
    "Person",
    "Plan",
    "Push",
    "SignUp",
    "Store",
    "StoreAway",
    "Task",
    "TooMany",
    "UnknownSubject",
]
