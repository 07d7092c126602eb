"""Readers in real time: each act takes a moment, who gets no answer tries again as people and programs do."""

import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.torture.calls import Answer
from tests.torture.readers import Act, Reader
from tests.torture.town import Town

#: Between two acts of one reader: the time of an act is compared in whole seconds (decision 1).
_BREATH = 1.05

#: Between two looks into a mailbox, or at what an ESP shows of her, in seconds.
_LOOK = 0.7

#: What pages answer; the rest is what an ESP did, or only looking.
PAGES = {
    "sign up": "sign-up",
    "confirm": "confirm",
    "one click": "one-click",
    "stop": "unsubscribe page",
    "ask link": "ask for a link",
    "look": "preference page",
    "save": "save preferences",
}


class Tally:
    """How long answered pages took, and how many tries got no answer. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self.failed: Counter[str] = Counter()

    def note(self, what: str, seconds: float, *, answered: bool) -> None:
        """One try."""
        with self._lock:
            if answered:
                self.seconds[what].append(seconds)
            else:
                self.failed[what] += 1


class Post:
    """Brings each reader the mails that came for her; asks the mailbox for all that is new, once for everybody."""

    def __init__(self, town: Town, failed: list[BaseException]) -> None:
        self.town, self.failed = town, failed
        self.boxes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._last = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="post", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            while not self._ended.wait(0.3):
                self._bring()
        except BaseException as error:
            self.failed.append(error)

    def _bring(self) -> None:
        for mail in reversed(self.town.control("mails", after=str(self._last)) or []):
            self._last = max(self._last, mail["id"])
            self.boxes[mail["to"]].insert(0, {name: mail[name] for name in ("id", "links", "one_click")})


@dataclass(kw_only=True)
class Visitor(Reader):
    """One person, who acts in real time."""

    post: Post
    tally: Tally
    looks: int = 60
    rested: float = 0.0
    _last: float = field(default=0.0)
    _as_program: bool = False

    def life(self) -> Iterator[None]:
        """She joins; later she changes her mind, here or at a platform."""
        yield from self._paced(self._joins())
        if not any(act.accepted for act in self.acts if act.kind == "confirm"):
            return
        roads: list[Callable[[], Iterator[None]]] = [
            *(self._one_click, self._one_click, self._one_click, self._unsubscribe_page, self._stops_everything),
            *(self._saves, self._saves, self._saves, self._saves),
            *(self._leaves_at_esp, self._leaves_at_esp, self._leaves_at_esp, self._joins, self._joins),
        ]
        for _ in range(self.rng.randint(1, 4)):
            yield from self._paced(self.rng.choice(roads)())

    def _paced(self, road: Iterator[None]) -> Iterator[None]:
        """She does nothing else for a moment after each step."""
        for step in road:
            self.rested = time.monotonic() + _LOOK * self.rng.uniform(0.7, 1.3)
            yield step
        self.rested = max(self.rested, self._last + _BREATH)
        yield

    def _one_click(self) -> Iterator[None]:
        self._as_program = True
        try:
            yield from super()._one_click()
        finally:
            self._as_program = False

    def _mails(self) -> list[dict[str, Any]]:
        return self.post.boxes[self.email][:]

    def _begins(self) -> None:
        time.sleep(max(0.0, self._last + _BREATH - time.monotonic()))

    def _noted(self, act: Act, answer: Answer | None, seconds: float) -> None:
        self._last = time.monotonic()
        what = "one click" if act.kind == "stop" and self._as_program else act.kind
        if what in PAGES:
            self.tally.note(what, seconds, answered=answer is not None and answer.status < 500)

    def _tries_again(self, act: Act, answer: Answer | None) -> bool:
        """A person presses again; of mail programs one in three leaves it at that."""
        if self._as_program and act.kind == "stop" and self.rng.random() < 1 / 3:
            return False
        time.sleep(self.rng.uniform(0.3, 1.2))
        return True
