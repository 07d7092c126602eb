"""The timetable on AWS does what the dispatcher's threads do on one machine: all of it (issue 7, point 1)."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bridge.handlers import worker
from bridge.jobs.dispatch import Dispatcher
from tests.conftest import House

BRIDGE = str(Path(worker.__file__).resolve().parent.parent)

#: How many connections there are is another matter.
ENGINE = {"engine.py", "turns.py", "group.py"}

#: What only holds threads together.
FRAME = {
    *("Dispatcher._lane", "Dispatcher._each", "Dispatcher._until_done", "Dispatcher._purge"),
    *("Dispatcher._purge.<locals>.chore", "Dispatcher._eraser"),
}


class OneRound(Dispatcher):
    """A dispatcher each of whose threads does what it does once, and ends."""

    def _lane(self, name: str, lane: Callable[[], int]) -> None:
        assert name
        self.bridge.check_keys()
        self.bridge.acts.parking.replay()
        lane()

    def _each(self, seconds: float, what: str, chore: Callable[[], object]) -> None:
        assert seconds == 60.0 or what == "parked stops"
        chore()


def test_the_timetable_leaves_out_nothing_that_threads_do(home: House) -> None:
    """One look of each thread beside one run of each job: every function of ours that the first come by, the others do.
    A chore that is given to a thread alone would never be done on Lambda."""
    by_threads, by_jobs = set[str](), set[str]()

    def noting(found: set[str]) -> Callable[[FrameType, str, object], None]:
        def note(frame: FrameType, event: str, _arg: object) -> None:
            code = frame.f_code
            if event == "call" and code.co_filename.startswith(BRIDGE) and "<lambda>" not in code.co_qualname:
                found.add(f"{Path(code.co_filename).stem}.py {code.co_qualname}")

        return note

    def keep_the_timetable() -> None:
        dispatcher = Dispatcher(home.bridge)
        for job in worker.JOBS.values():
            job(dispatcher, lambda: True)

    keep_the_timetable()  # what is made at its first use is made for both
    threading.setprofile(noting(by_threads))
    try:
        threads = OneRound(home.bridge)
        threads.start()
    finally:
        threading.setprofile(None)
    for thread in threads._threads:
        thread.join(60)
    sys.setprofile(noting(by_jobs))
    try:
        keep_the_timetable()
    finally:
        sys.setprofile(None)
    told = {name for name in by_threads if name.partition(" ")[2] not in FRAME and name.partition(" ")[0] not in ENGINE}
    for must in ("end_guardians", "forget_requests", "forget_wishes", "quarantined", "Keeper.forget", "Asker.look"):
        assert any(must in name for name in told), must
    assert told - by_jobs == set()
