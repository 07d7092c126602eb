"""What ESPs tell: verify over the raw bytes, parse, write, answer; in that order."""

import logging

from flask import Blueprint, Response, request

from bridge.adapter import Unverified
from bridge.vocabulary import Incoming
from bridge.web.app import bridge, problem

log = logging.getLogger("bridge.webhooks")

bp = Blueprint("webhooks", __name__)

#: After decoding (decision 28).
_MOST_BYTES = 8 * 1024 * 1024


@bp.get("/webhooks/<adapter>")
@bp.get("/webhooks/<adapter>/<secret>")
def probe(adapter: str, secret: str = "") -> Response:  # noqa: ARG001  (ESPs look whether the address answers)
    """Say that the address is there, and nothing else."""
    return Response(status=200 if adapter in bridge().adapters else 404)


@bp.post("/webhooks/<adapter>")
@bp.post("/webhooks/<adapter>/<secret>")
def receive(adapter: str, secret: str = "") -> Response:
    """Take a genuine call: 2xx only after commit, so that the ESP tries again when we could not write it."""
    house = bridge()
    esp = house.adapters.get(adapter)
    if esp is None:
        return problem(404, "no such webhook")
    request.max_content_length = _MOST_BYTES
    call = Incoming(
        headers={name.lower(): value for name, value in request.headers},
        body=request.get_data(cache=False),
        secret=secret,
    )
    try:
        esp.verify(call)
    except Unverified:
        log.warning("%s: a webhook call was not genuine and was not read", adapter)
        return problem(401, "not verified")
    new = house.store.hear(adapter, esp.parse(call))
    log.info("%s: %d news", adapter, new)
    return Response(status=204)
