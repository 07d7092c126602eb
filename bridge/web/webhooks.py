"""What ESPs tell: verify over the raw bytes, parse, write, answer; in that order."""

import binascii
import logging
import re

from flask import Blueprint, Response, jsonify, request

from bridge.adapter import Ears, Unverified
from bridge.bootstrap import Bridge
from bridge.vocabulary import Incoming, Report
from bridge.web.app import bridge, problem

log = logging.getLogger("bridge.webhooks")

bp = Blueprint("webhooks", __name__)

#: After decoding (decision 28).
_MOST_BYTES = 8 * 1024 * 1024

#: On the wire: base64 makes four bytes of three.
_MOST_WIRE = _MOST_BYTES // 3 * 4 + 4

#: How a body begins that an ESP may send: JSON, or a form.
_BODY = re.compile(rb"\s*[\[{]|[A-Za-z0-9_.%\[\]-]+=")


@bp.get("/webhooks/<adapter>")
@bp.get("/webhooks/<adapter>/<secret>")
def probe(adapter: str, secret: str = "") -> Response:  # noqa: ARG001  (ESPs look whether the address answers)
    """Say that the address is there, and nothing else."""
    return Response(status=404 if bridge().ears(adapter) is None else 200)


@bp.post("/webhooks/<adapter>")
@bp.post("/webhooks/<adapter>/<secret>")
def receive(adapter: str, secret: str = "") -> Response:
    """Take a genuine call: 2xx only when it is written, or parked on disk, so that the ESP tries again otherwise.

    Never 410: to some that says that the address is gone for good.
    """
    house = bridge()
    ears = house.ears(adapter)
    if ears is None:
        return problem(404, "no such webhook")
    request.max_content_length = _MOST_WIRE  # a body that says it is longer is refused unread
    body = unwrapped(request.get_data(cache=False))
    if len(body) > _MOST_BYTES:
        return problem(413, "too much", "at most 8 MiB: send it in parts")
    query = f"?{request.query_string.decode('ascii', 'replace')}" if request.query_string else ""
    call = Incoming(
        headers={name.lower(): value for name, value in request.headers},
        body=body,
        secret=secret,
        url=house.links.url(request.path + query),
    )
    try:
        asked = ears.answer(call)
        if asked is not None:
            return jsonify(asked)
        reports = _heard(house, adapter, ears, call)
    except Unverified:
        log.warning("%s: a webhook call was not genuine and was not read", adapter)
        return problem(401, "not verified")
    new = house.acts.parking.hear(adapter, reports)
    log.info("%s: %s", adapter, "parked until the store is back" if new is None else f"{new} news")
    return Response(status=204)


def unwrapped(body: bytes) -> bytes:
    """The bytes the ESP sent and signed, where a gateway in front handed them on as base64.

    No body of an ESP is base64 as a whole: JSON and forms have marks in them that base64 has not.
    """
    try:
        inner = binascii.a2b_base64(body, strict_mode=True)
    except ValueError:
        return body
    return inner if _BODY.match(inner) else body


def _heard(house: Bridge, name: str, ears: Ears, call: Incoming) -> list[Report]:
    """What a genuine call says, also by what `setup` has learnt since this process began; else `Unverified`."""
    try:
        ears.verify(call)
        return ears.parse(call)
    except Unverified:
        renewed = house.renewed(name)
        if renewed is None:
            raise
        renewed.verify(call)
        return renewed.parse(call)
