"""AWS Lambda: the pages and webhooks behind an HTTP API (payload 2.0).

`handler` is made when the runtime asks for it, which is before the first request; importing this module does nothing.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from bridge.handlers.frozen import no_collection

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def __getattr__(name: str) -> Handler:
    if name == "handler":
        return _handler()
    raise AttributeError(name)


@cache
def _handler() -> Handler:
    with no_collection():
        from apig_wsgi import make_lambda_handler

        from bridge.handlers.cold import Cold
        from bridge.web.app import create_app

        cold = Cold(sends=False)
        cold.check()
        answer = make_lambda_handler(create_app(cold.bridge), binary_support=True)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        cold.check()
        told: dict[str, Any] = answer(event, context)
        return told

    return handle
