"""What an audit counted: how many contacts have which grade, per purpose, per channel, by age, and what is missing."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bridge.decide import Grade, Graded, Proof
from bridge.vocabulary import Status, rfc3339

#: Where no channel is known.
NOWHERE = "unknown"

#: The ages of a yes that are told apart: name, and how old it is at most.
AGES: Mapping[str, timedelta] = {
    "under 6 months": timedelta(days=183),
    "6 to 12 months": timedelta(days=366),
    "1 to 2 years": timedelta(days=731),
    "2 to 3 years": timedelta(days=1096),
}
OLDER, UNDATED = "over 3 years", "no date"


class Tally:
    """The counts of one audit, as of one moment. Each contact counts once for each purpose it is about."""

    def __init__(self, made: datetime, source: str) -> None:
        self.made, self.source = made, source
        self.rows = self.rejected = self.repeated = 0  # of a list: rows, those without an address, those said before
        self.unreadable = 0  # contacts in the store whose row cannot be opened, or who were erased at that moment
        self.total = 0
        self.grades: Counter[Grade] = Counter()
        self.by_purpose: dict[str, Counter[Grade]] = {}
        self.by_channel: dict[str, Counter[Grade]] = {}
        self.by_age: dict[str, Counter[Grade]] = {name: Counter() for name in (*AGES, OLDER, UNDATED)}
        self.missing: Counter[str] = Counter()

    def add(self, purpose: str, proof: Proof, graded: Graded, people: int = 1) -> None:
        """So many contacts alike."""
        self.total += people
        channel, age = proof.channel or NOWHERE, self._age(proof)
        self.grades[graded.grade] += people
        self.by_purpose.setdefault(purpose, Counter())[graded.grade] += people
        self.by_channel.setdefault(channel, Counter())[graded.grade] += people
        self.by_age[age][graded.grade] += people
        for fact in graded.missing:
            self.missing[fact] += people

    def as_json(self) -> dict[str, Any]:
        """The counts as plain data (`interface.md` section 5)."""
        told: dict[str, Any] = {"made": rfc3339(self.made), "source": self.source, "total": self.total}
        if self.rows:
            told |= {"rows": self.rows, "rejected": self.rejected, "repeated": self.repeated}
        return told | {
            "grades": every(self.grades),
            "by_purpose": {purpose: every(counts) for purpose, counts in sorted(self.by_purpose.items())},
            "by_channel": {channel: every(counts) for channel, counts in sorted(self.by_channel.items())},
            "by_age": {age: every(counts) for age, counts in self.by_age.items()},
            "missing": dict(self.missing.most_common()),
        }

    def _age(self, proof: Proof) -> str:
        came_in = proof.status is Status.UNKNOWN and "time" in (proof.gaps or ())  # that is all its time says
        if proof.time is None or came_in:
            return UNDATED
        return next((name for name, most in AGES.items() if self.made - proof.time < most), OLDER)


def every(counts: Mapping[Grade, int]) -> dict[str, int]:
    """All five grades, with none too."""
    return {grade.value: counts.get(grade, 0) for grade in Grade}
