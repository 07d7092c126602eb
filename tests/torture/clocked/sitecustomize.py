"""The real commands, started as an operator starts them, in a play whose clock is moved: Python reads this first."""

import ctypes
import os
import signal
from pathlib import Path

if _folder := os.environ.get("TORTURE_FOLDER"):
    from adapters.sandbox import moment
    from bridge.bootstrap import Bridge
    from tests.torture.clock import Clock
    from tests.torture.trail import Trail

    def _dies_with_its_parent() -> None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which a fork forgets

    _dies_with_its_parent()
    os.register_at_fork(after_in_child=_dies_with_its_parent)
    _clock = Clock(Path(_folder) / "clock")
    Bridge.__init__.__kwdefaults__["clock"] = moment.clock = _clock
    _trail = Trail(Path(_folder) / "trail", "command", _clock)
    _trail.follow_mails()
    _trail.follow_jobs()
    _trail.follow_news()
    _trail.follow_stops()
