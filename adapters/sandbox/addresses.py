"""What the toy ESPs think of an address."""

import re

_ADDRESS = re.compile(r"[^@\s<>,;:\"\\]+@[^@\s<>,;:\"\\]+\.[^@\s<>,;:\"\\.]{2,}")


def plain(email: str) -> str:
    """The form under which ESPs know an address."""
    return email.strip().lower()


def valid(email: object) -> bool:
    """Whether it has the shape of an address."""
    return isinstance(email, str) and len(email) <= 254 and _ADDRESS.fullmatch(email.strip()) is not None
