"""The floor of webhooks: the least that takes a signed batch exactly once."""

import base64

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bench import floor
from bridge.vocabulary import Incoming

_KNOWN = {"bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe"}

_TABLE = "CREATE TABLE news (key text PRIMARY KEY, email text NOT NULL, type text NOT NULL, time bigint NOT NULL)"
_ROWS = {
    "sqlite": "value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true",
    "postgresql": "value ->> 0, value ->> 1, value ->> 2, (value ->> 3)::bigint FROM json_array_elements(%s::json)",
}


class _Event(msgspec.Struct):
    email: str
    timestamp: int
    event: str
    sg_message_id: str
    type: str | None = None
    status: str | None = None
    reason: str | None = None
    asm_group_id: int | None = None


class Inbox:
    """The least that takes a signed batch exactly once: verify, read the fields, one insert of what matters."""

    def __init__(self, url: str, key: str) -> None:
        self._engine = floor.connect(url).execution_options(immediate=True)
        found = load_der_public_key(base64.b64decode(key))
        assert isinstance(found, ec.EllipticCurvePublicKey)
        self._key = found
        with self._engine.begin() as db:
            db.exec_driver_sql(_TABLE)
        rows = _ROWS[self._engine.dialect.name]
        self._insert = f"INSERT INTO news SELECT {rows} ON CONFLICT DO NOTHING RETURNING key"

    def hear(self, call: Incoming) -> int:
        """How many were new."""
        stamp = call.headers["x-twilio-email-event-webhook-timestamp"].encode()
        signature = base64.b64decode(call.headers["x-twilio-email-event-webhook-signature"])
        self._key.verify(signature, stamp + call.body, ec.ECDSA(hashes.SHA256()))
        told = [event for event in msgspec.json.decode(call.body, type=list[_Event]) if event.event in _KNOWN]
        rows = [(f"{e.event}/{e.email}/{e.timestamp}/{e.sg_message_id}", e.email, e.event, e.timestamp) for e in told]
        with self._engine.begin() as db:
            return len(db.exec_driver_sql(self._insert, (msgspec.json.encode(rows).decode(),)).all())

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
