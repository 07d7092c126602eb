"""The real commands, started as an operator starts them, in a play whose clock is moved: Python reads this first."""

import ctypes
import os
import signal
from pathlib import Path

#: Who started us; ourselves where one program became another.
_parent = int(os.environ.get("TORTURE_PARENT", "0"))


def _dies_with_its_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which a fork forgets
    if _parent not in (os.getppid(), os.getpid()):  # it was gone before that was said
        os._exit(1)


def _forks() -> None:
    global _parent  # noqa: PLW0603 - a child's parent is whoever forks
    _parent = os.getpid()


if _folder := os.environ.get("TORTURE_FOLDER"):
    _dies_with_its_parent()  # before whatever takes time
    os.environ["TORTURE_PARENT"] = str(os.getpid())  # of whatever is started from here
    os.register_at_fork(before=_forks, after_in_child=_dies_with_its_parent)

    from adapters.sandbox import moment
    from bridge.bootstrap import Bridge
    from tests.torture.clock import Clock
    from tests.torture.trail import Trail

    _clock = Clock(Path(_folder) / "clock")
    Bridge.__init__.__kwdefaults__["clock"] = moment.clock = _clock
    _trail = Trail(Path(_folder) / "trail", "command", _clock)
    _trail.follow_mails()
    _trail.follow_jobs()
    _trail.follow_news()
    _trail.follow_stops()
