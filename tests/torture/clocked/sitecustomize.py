"""The real commands, started as an operator starts them, in a play whose clock is moved: Python reads this first."""

import os
from pathlib import Path

if _folder := os.environ.get("TORTURE_FOLDER"):
    from bridge.bootstrap import Bridge
    from tests.torture.clock import Clock
    from tests.torture.trail import Trail

    _clock = Clock(Path(_folder) / "clock")
    Bridge.__init__.__kwdefaults__["clock"] = _clock
    _trail = Trail(Path(_folder) / "trail", "command", _clock)
    _trail.follow_mails()
    _trail.follow_jobs()
    _trail.follow_news()
    _trail.follow_stops()
