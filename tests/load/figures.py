"""What a run is told as: one short table."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.load.people import PAGES

#: Acts as the table counts them.
_ESPS = ("mailchimp", "sendgrid")


@dataclass
class Told:
    """The figures of one run on one database."""

    database: str
    processes: str
    seconds: float
    acts: Counter[str] = field(default_factory=Counter)
    maybe: int = 0
    again: int = 0
    readers: int = 0
    pages: Mapping[str, Sequence[float]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    mails: int = 0
    repeated: int = 0
    parked: int = 0
    mailed: float | None = None
    equal: float | None = None
    late: int = 0
    memory: Mapping[str, float] = field(default_factory=dict)
    connections: int = 0

    def rows(self) -> list[tuple[str, str]]:
        """Each figure with what it is."""
        every = sorted(seconds for some in self.pages.values() for seconds in some)
        news = sum(number for kind, number in self.acts.items() if kind.startswith(_ESPS))
        kinds = [f"{name} {self.acts[kind]}" for kind, name in _KINDS.items() if self.acts[kind]]
        found = [
            ("processes", self.processes),
            (
                "readers; accepted acts; acts a second",
                f"{self.readers}; {self.accepted}; {self.accepted / self.seconds:.1f}",
            ),
            ("of these", ", ".join([*kinds, f"news of platforms {news}"])),
            ("not known to be accepted; tries again", f"{self.maybe}; {self.again}"),
            ("pages answered; p50, p99, longest", f"{len(every)}; {_times(every)}"),
            *((f"  {PAGES[kind]}", _times(sorted(some))) for kind, some in self.pages.items() if len(some) >= _ENOUGH),
            ("kills survived", f"{sum(self.kills.values())}: {_list(self.kills)}"),
            ("calls to the platforms", _list(self.calls)),
            ("mails that came; came again; stops parked", f"{self.mails}; {self.repeated}; {self.parked}"),
            ("both platforms equal to the store", self._equal()),
            ("most memory of a process", ", ".join(f"{name} {size:.0f} MB" for name, size in self.memory.items())),
        ]
        if self.connections:
            found.append(("most connections to PostgreSQL", str(self.connections)))
        return found

    @property
    def accepted(self) -> int:
        """Acts that somebody said were taken."""
        return sum(self.acts.values())

    def _equal(self) -> str:
        if self.equal is None:
            return "with the clock moved on: not measured"
        late = f"; but for {self.late} people of calls that were cut, who are told again within the hour"
        return f"{self.equal:.0f} s after the last act (mails: {self.mailed or 0:.0f} s){late if self.late else ''}"


_KINDS = {"sign up": "sign-ups", "confirm": "confirmations", "stop": "stops", "save": "preferences saved"}

#: Of fewer no 99th is told.
_ENOUGH = 20


def table(told: Told) -> str:
    """The table, and the machine it was made on."""
    rows = told.rows()
    width = max(len(name) for name, _ in rows)
    head = f"{told.database}, {told.seconds:.0f} s, {os.cpu_count()} cores"
    return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    at = [seconds[int(len(seconds) * share)] for share in (0.5, 0.99)]
    return ", ".join(f"{time * 1000:.0f} ms" for time in (*at, seconds[-1]))


def _list(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counted.items())) or "none"
