"""Many people at once: files of people with proof, changes that concern them all, and what they do meanwhile.

So many that Mailchimp takes them as batches and SendGrid as large upserts, in jobs that end late and in any order.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bridge.mailer import stop_token
from bridge.store import StoreAway
from tests.torture.readers import PURPOSES, Act, Reader, clerk_life
from tests.torture.town import Town

#: An errand is begun again for so long.
_PATIENCE = 60.0

#: So many are erased together.
_ERASED = 12

#: So many of them act at once, while the ESPs are still busy with all of them.
_BUSY = 24


@dataclass
class OneOfMany(Reader):
    """Somebody who came in with many others. She acts while the ESPs still work at all of them."""

    link: tuple[str, str] = ("", "")  # her id and the mark of her address, as mails that an ESP sends hold them
    busy: bool = False

    def life(self) -> Iterator[None]:
        """What she does this time."""
        try:
            roads = (
                [self._follows_link] * 5
                + [self._leaves_at_esp] * 2
                + [*(self._joins, self._saves, self._pauses, self.is_erased, self.is_erased)]
            )
            for _ in range(self.rng.choice([1, 1, 2, 3])):
                for _ in range(self.rng.choice([0, 0, 5, 20])):
                    yield
                yield from self.rng.choice(roads)()
        finally:
            self.busy = False

    def knows_link(self) -> bool:
        """Whether she has a link: an ESP's mail bears one."""
        if not self.link[0]:
            person = self.town.bridge.store.person(self.email)
            self.link = (person.id, person.mark) if person else ("", "")
        return bool(self.link[0])

    def _follows_link(self) -> Iterator[None]:
        """She presses a link of a mail that an ESP sent, in one of three ways."""
        about = self.rng.choice([(), *((one,) for one in PURPOSES)])
        made = self.town.clock() - timedelta(days=1)
        path = f"/u/{stop_token(self.town.bridge.links, *self.link, made, about)}"
        scope = self._scope(path)
        self.counts_jobs("stop")
        match self.rng.choice(["one click", "page", "everything"]):
            case "one click":
                self._does(Act("stop", off=(scope,)), path, {"List-Unsubscribe": "One-Click"})
            case "page":
                chosen = self.rng.choice(["list", "all"])
                self._does(Act("stop", off=("" if chosen == "all" else scope,)), path, {"scope": chosen})
            case "everything":
                self._does(Act("stop", off=("",)), path.replace("/u/", "/preferences/"), {"stop": "all"})
        yield


class Crowds:
    """Sends clerks on errands, one at a time, until each is done; then some of the people it was about act."""

    def __init__(self, town: Town, readers: list[Reader], ending: Callable[[], bool]) -> None:
        self.town, self.readers, self.ending = town, readers, ending
        self.people: list[OneOfMany] = []
        self.lives: deque[Iterator[None]] = deque()
        self._wanted: deque[tuple[int, float, int]] = deque()
        self._files = 0
        self.failed: BaseException | None = None
        self.thread = threading.Thread(target=self._work, name="crowds")

    def come(self, size: int, seed: float, most: int) -> None:
        """Let so many come, or change something about so many who came; nothing where the last are not done.

        More than `most` people never come.
        """
        if not self._wanted:
            self._wanted.append((size, seed, most))

    def _work(self) -> None:
        try:
            while not self.ending():
                if self._wanted:
                    self._errand(*self._wanted[0])
                    self._wanted.popleft()
                time.sleep(0.02)
        except BaseException as error:
            self.failed = error

    def _errand(self, size: int, seed: float, most: int) -> None:
        rng = random.Random(seed)
        room = most - len(self.people)
        if (size > len(self.people) or rng.random() < 0.2) and room > size // 2:
            people = self._file(min(size, room), rng)
        elif rng.random() < 0.2:
            people = self._erase(rng.sample(self.people, min(_ERASED, len(self.people))), rng)
        else:
            people = rng.sample(self.people, min(size, len(self.people)))
            self._send({"what": "language", "language": rng.choice(["nl", "en"])}, people, rng)
        acting = [one for one in rng.sample(people, min(_BUSY, len(people) // 3)) if not one.busy]
        for one in acting:
            if self._has_link(one):
                one.busy = True
                self.lives.append(one.life())

    def _file(self, size: int, rng: random.Random) -> list[OneOfMany]:
        self._files += 1
        purposes = rng.choice([*((one,) for one in PURPOSES), PURPOSES, PURPOSES])
        people = []
        for number in range(size):
            email = f"lijst{self._files}-{number}-{rng.randrange(10**6)}@krant-lezer.example"
            people.append(OneOfMany(self.town, email, random.Random(rng.random()), self.ending))
        act = Act("file", on=purposes, jumps=self.town.jumps, tries=1)
        self.readers += people
        for one in people:
            one.acts.append(act)
        words = {"purposes": purposes, "language": rng.choice(["nl", "en"]), "document": f"lijst-{self._files}"}
        act.accepted = self._send({"what": "take in", **words}, people, rng)
        self.people += people
        return people

    def _erase(self, people: list[OneOfMany], rng: random.Random) -> list[OneOfMany]:
        """Several are erased by one clerk, whatever is under way with them."""
        people = [one for one in people if not one.busy]
        act = Act("erase", off=("",), jumps=self.town.jumps, tries=1)
        for one in people:
            one.busy = True
            one.counts_jobs("erasure")
            one.acts.append(act)
        self.town.clock.move(rng.uniform(1.1, 3.0))
        act.accepted = self._send({"what": "erase"}, people, rng)
        for one in people:
            one.busy = False
        return people

    def _send(self, errand: dict[str, Any], people: list[OneOfMany], rng: random.Random) -> bool:
        """Clerks die at it, or find the store away; the next one goes on."""
        whole = {**errand, "people": [one.email for one in people]}
        self.town.figures.errands[errand["what"]] += 1
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if self.town.send_clerk(whole, clerk_life(rng)) == "done":
                self.town.figures.crowded += len(people)
                return True
            time.sleep(0.05)
        return False

    def _has_link(self, one: OneOfMany) -> bool:
        try:
            return one.knows_link()
        except StoreAway:
            return False
