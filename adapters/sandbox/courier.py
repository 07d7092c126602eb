"""Webhooks on their way out: signed as the ESPs sign, tried again with growing gaps until somebody says 2xx."""

import base64
import hashlib
import heapq
import hmac
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.sandbox.knock import knock

#: Seconds between tries; after the last one the news is lost.
GAPS = (0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60)
#: Most that may wait at once.
ROOM = 2000


@dataclass(frozen=True)
class Webhooks:
    """Where the ESPs send their news, and what they sign it with."""

    mailchimp_url: str = ""
    mailchimp_signing_secret: str = ""
    sendgrid_url: str = ""
    sendgrid_private_key_pem: str = ""


def mailchimp_signature(secret: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """Mailchimp's header: HMAC-SHA256 over time, dot and raw body."""
    moment = str(int(time.time() if now is None else now))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Mailchimp-Signature": f"t={moment},v1={digest}"}


def sendgrid_body(events: Sequence[Mapping[str, Any]]) -> bytes:
    """SendGrid's bytes: elements apart by comma and CR LF, and CR LF at the end."""
    return ("[" + ",\r\n".join(json.dumps(one, separators=(",", ":")) for one in events) + "]\r\n").encode()


def sendgrid_signature(pem: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """SendGrid's headers: ECDSA P-256 over time and raw body."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the SendGrid webhook key must be an EC key on P-256")
    moment = str(int(time.time() if now is None else now))
    signature = key.sign(moment.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": moment,
    }


def public_key(pem: str) -> str:
    """The public half as SendGrid shows it: base64 of the DER form."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


@dataclass
class Delivery:
    """One piece of news for one address."""

    esp: str
    url: str
    what: str
    body: bytes
    content_type: str
    sign: Callable[[bytes], Mapping[str, str]]
    gone: Callable[[], None] | None = None  # called on 410
    tries: int = 0


class Courier:
    """Sends deliveries one after the other in a thread of its own, and remembers how each try ended."""

    def __init__(self) -> None:
        self.log: deque[dict[str, Any]] = deque(maxlen=500)
        self.gaps: Sequence[float] = GAPS
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._kept: dict[str, list[Delivery]] = {}
        self._number = itertools.count()
        self._wake = threading.Condition()
        self._busy = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sandbox-courier", daemon=True)
        self._thread.start()

    def send(self, delivery: Delivery, mode: str = "up", seconds: float | None = None) -> None:
        """Take a delivery; `mode` is the trouble the ESP is in."""
        if mode == "lose":
            self._note(delivery, "lost")
            return
        with self._wake:
            if mode == "reorder":
                self._kept.setdefault(delivery.esp, []).append(delivery)
                return
            for _ in range(3 if mode == "duplicate" else 1):
                self._push(delivery, (seconds or 5) if mode == "delay" else 0)

    def release(self, esp: str) -> None:
        """Send what was kept back, newest first."""
        with self._wake:
            for delivery in reversed(self._kept.pop(esp, [])):
                self._push(delivery, 0)

    def clear(self) -> None:
        """Forget everything that waits, and the log."""
        with self._wake:
            self._waiting.clear()
            self._kept.clear()
            self.log.clear()

    def idle(self, limit: float = 10) -> bool:
        """Wait until nothing is due any more; whether that came true within the limit."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._waiting and not self._busy, timeout=limit)

    def stop(self) -> None:
        """End the thread; what waits is dropped."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        self._thread.join(timeout=11)

    def _push(self, delivery: Delivery, after: float) -> None:
        if len(self._waiting) >= ROOM:
            self._note(delivery, "no room")
            return
        heapq.heappush(self._waiting, (time.monotonic() + after, next(self._number), delivery))
        self._wake.notify_all()

    def _next(self) -> Delivery | None:
        """The next delivery that is due; None when it is time to end."""
        with self._wake:
            while not self._stopped:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    self._busy = True
                    return heapq.heappop(self._waiting)[2]
                self._wake.wait(timeout=self._waiting[0][0] - now if self._waiting else None)
            return None

    def _run(self) -> None:
        while delivery := self._next():
            self._try(delivery)
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _try(self, delivery: Delivery) -> None:
        headers = {"Content-Type": delivery.content_type, "User-Agent": f"sandbox-{delivery.esp}"}
        status = knock("POST", delivery.url, delivery.body, {**headers, **delivery.sign(delivery.body)}).status
        delivery.tries += 1
        self._note(delivery, status)
        if status == 410 and delivery.gone:
            delivery.gone()
        elif not 200 <= status < 300 and delivery.tries <= len(self.gaps):
            with self._wake:
                self._push(delivery, self.gaps[delivery.tries - 1])

    def _note(self, delivery: Delivery, status: int | str) -> None:
        self.log.append(
            {
                "esp": delivery.esp,
                "what": delivery.what,
                "status": status,
                "try": delivery.tries,
                "time": time.time(),
            }
        )
