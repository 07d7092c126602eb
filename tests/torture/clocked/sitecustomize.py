"""The real commands, started as an operator starts them, in a play whose clock is moved: Python reads this first."""

import os
from pathlib import Path

if _folder := os.environ.get("TORTURE_FOLDER"):
    from bridge.bootstrap import Bridge
    from tests.torture.clock import Clock
    from tests.torture.trail import Trail

    _clock = Clock(Path(_folder) / "clock")
    Bridge.__init__.__kwdefaults__["clock"] = _clock
    Trail(Path(_folder) / "trail", "command", _clock).follow_mails()
