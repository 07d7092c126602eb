"""The web pages with the dispatcher inside, for `serve`: one process, one writer, work done within seconds."""

import os

from bridge.bootstrap import Bridge
from bridge.jobs.dispatch import Dispatcher
from bridge.logs import start_logging
from bridge.web.app import BridgeApp, create_app

#: Set by `serve --no-dispatch`; not a setting of the operator's.
NO_DISPATCH = "CONSENT_BRIDGE_NO_DISPATCH"


def application() -> BridgeApp:
    """The application of this process, from its environment."""
    bridge = Bridge.from_env()
    start_logging(bridge.settings.log_level, bridge.settings.log_format)
    bridge.ready()
    app = create_app(bridge)
    if os.environ.get(NO_DISPATCH):
        Dispatcher(bridge).start_replay()
    else:
        Dispatcher(bridge).start()
    return app
