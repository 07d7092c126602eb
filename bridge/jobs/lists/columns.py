"""What the columns of a list are called, by us and by the platforms that wrote it, and which of them are read."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.policy import Policy
from bridge.store import BadInput

#: Our own columns.
OURS = (
    *("email", "purpose", "language", "status", "basis", "time", "channel", "notice", "method", "source_document"),
    *("sale_id", "sale_time", "sale_category"),
)

#: What platforms call theirs: Mailchimp's audience exports, SendGrid's contacts and suppressions.
_THEIRS: Mapping[str, str] = {
    "email_address": "email",
    "e_mail": "email",
    "e_mail_address": "email",
    "optin_time": "optin_time",
    "confirm_time": "confirm_time",
    "unsub_time": "unsub_time",
    "clean_time": "clean_time",
    "created": "created",
}

#: SendGrid's files of people who left or bounced have no other columns: only there `created` is when that was.
_SUPPRESSIONS = frozenset({"email", "created", "reason", "status", "ip", "group_id", "group_name", "name"})

_READ = frozenset({*OURS, *_THEIRS.values()})


class Columns:
    """Where in a row each thing stands. Everything that is not named here is dropped and counted, never kept (MIN-01).

    Raises `BadInput` where the header cannot be the header of a list.
    """

    def __init__(self, path: Path, header: Sequence[str], policy: Policy) -> None:
        if any("@" in name for name in header):
            raise BadInput(
                f"{path}: the first line holds an address, not the names of the columns; write them there: "
                "email, and any of purpose, language, status, time, channel, notice, method, source_document"
            )
        fields = _field_names(policy)
        plain = [_plain(name) for name in header]
        words = [_THEIRS.get(name, name if name in OURS else fields.get(name, "")) for name in plain]
        twice = sorted(word for word, count in Counter(words).items() if word and count > 1)
        if twice:
            raise BadInput(f"{path}: two columns are {twice[0]}; keep the right one")
        if "email" not in words:
            raise BadInput(f"{path}: no column is called email (or Email Address); rename the one with the addresses")
        self.count = len(header)
        self.email = words.index("email")
        self.places = {word: place for place, word in enumerate(words) if word in _READ}
        self.fields = {word: place for place, word in enumerate(words) if word and word not in _READ}
        self.of_suppressions = set(plain) <= _SUPPRESSIONS
        self.dropped = {place: header[place] or f"column {place + 1}" for place, word in enumerate(words) if not word}

    def has(self, word: str) -> bool:
        """Whether there is such a column."""
        return word in self.places


def _field_names(policy: Policy) -> dict[str, str]:
    """What a declared field may be called: by its id, by its labels, by its names at platforms."""
    found: dict[str, str] = {}
    for field in policy.fields.values():
        for name in (*field.label.values(), *field.at.values(), field.id):
            found[_plain(name)] = field.id
    return {name: id_ for name, id_ in found.items() if name not in OURS and name not in _THEIRS}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
