"""The pages for servers of one's own: with the dispatcher inside for `serve`, alone for gunicorn and others."""

import os
from multiprocessing.util import Finalize

from bridge.bootstrap import Bridge
from bridge.handlers.cold import Checked
from bridge.jobs.dispatch import Dispatcher
from bridge.logs import start_logging
from bridge.settings import read_settings
from bridge.web.app import BridgeApp, create_app

#: Set by `serve --no-dispatch`; not a setting of the operator's.
NO_DISPATCH = "CONSENT_BRIDGE_NO_DISPATCH"

#: Set by `serve --workers`, as little a setting: the most connections that each of several processes takes.
CONNECTIONS = "CONSENT_BRIDGE_CONNECTIONS"

#: So long the dispatcher may take to finish what it holds when it is told to end.
_STOPS_WITHIN = 10.0


def application() -> BridgeApp:
    """The application of this process, from its environment; work is done within seconds."""
    bridge = Bridge(read_settings(os.environ), connections=int(os.environ.get(CONNECTIONS, "0")))
    start_logging(bridge.settings.log_level, bridge.settings.log_format)
    bridge.ready()
    app = create_app(bridge)
    dispatcher = Dispatcher(bridge)
    if os.environ.get(NO_DISPATCH):
        dispatcher.start_replay()
    else:
        dispatcher.start()
    # The server ends this process when the last request is answered: what was claimed is finished or given back then.
    Finalize(None, dispatcher.stop, args=(_STOPS_WITHIN,), exitpriority=10)
    return app


def pages() -> BridgeApp:
    """The pages of this process, one of several; `consent-bridge dispatch` sends.

    They come up while the database is away, and stops are parked: one that ends and is made anew meanwhile, as servers
    do with workers, must not take the others down.
    """
    bridge = Bridge.from_env()
    start_logging(bridge.settings.log_level, bridge.settings.log_format)
    checked = Checked(bridge, "run: consent-bridge db upgrade")
    checked.check()
    Dispatcher(bridge).start_replay(checked.check)  # which makes up for it as soon as the database is there
    return create_app(bridge)
