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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.sandbox.keep import Keeper, Kept
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


def unsigned(_body: bytes) -> Mapping[str, str]:
    """No signature."""
    return {}


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
    """Sends deliveries one after the other in a thread of its own, and remembers how each try ended.

    Where a keeper is there, nothing leaves before it was written down with the act it tells of.
    """

    name = "courier"

    def __init__(self, keeper: Keeper | None = None) -> None:
        self.log: deque[dict[str, Any]] = deque(maxlen=500)
        self.gaps: Sequence[float] = GAPS
        self.keeper = keeper or Keeper()
        self._news: dict[int, tuple[float, Delivery]] = Kept()
        self._waiting: list[tuple[float, int]] = []
        self._unwritten: list[tuple[float, int]] = []
        self._kept: dict[str, list[Delivery]] = {}
        self._number = itertools.count()
        self._wake = threading.Condition()
        self._busy = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sandbox-courier", daemon=True)

    def start(self) -> None:
        """Begin to send; what was kept from before goes first."""
        self._waiting = [(due, number) for number, (due, _) in self._news.items()]
        heapq.heapify(self._waiting)
        self._number = itertools.count(max(self._news, default=0) + 1)
        self._thread.start()

    def memory(self) -> Mapping[str, Any]:
        """What waits to be told."""
        return {"news": self._news, "kept": self._kept}

    def parts(self) -> Mapping[str, object]:
        """Nothing that others name."""
        return {}

    @contextmanager
    def held(self) -> Iterator["Courier"]:
        """While what waits is written down nobody changes it; then it may leave."""
        with self._wake:
            yield self
            for entry in self._unwritten:
                heapq.heappush(self._waiting, entry)
            self._unwritten.clear()
            self._wake.notify_all()

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
            self.keeper.write(self)
        with self.held():
            pass

    def clear(self) -> None:
        """Forget everything that waits, and the log."""
        with self._wake:
            self._waiting.clear()
            self._unwritten.clear()
            self._news.clear()
            self._kept.clear()
            self.log.clear()

    def waiting(self) -> int:
        """How many are still to be told."""
        with self._wake:
            return len(self._news)

    def idle(self, limit: float = 10) -> bool:
        """Wait until nothing is due any more; whether that came true within the limit."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._news and not self._busy, timeout=limit)

    def stop(self) -> None:
        """End the thread; what waits is dropped here, and kept where there is a keeper."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=11)

    def _push(self, delivery: Delivery, after: float) -> None:
        if len(self._news) >= ROOM:
            self._note(delivery, "no room")
            return
        number, due = next(self._number), time.monotonic() + after
        # Copied, because each of several has tries of its own.
        self._news[number] = (due, replace(delivery))
        if self.keeper.on:
            self._unwritten.append((due, number))
        else:
            heapq.heappush(self._waiting, (due, number))
            self._wake.notify_all()

    def _next(self) -> int | None:
        """The next delivery that is due; None when it is time to end."""
        with self._wake:
            while not self._stopped:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    number = heapq.heappop(self._waiting)[1]
                    if number not in self._news:
                        continue  # forgotten meanwhile
                    self._busy = True
                    return number
                self._wake.wait(timeout=self._waiting[0][0] - now if self._waiting else None)
            return None

    def _run(self) -> None:
        while (number := self._next()) is not None:
            _, delivery = self._news[number]
            again = self._try(delivery)
            with self._wake:
                if number in self._news:  # not forgotten meanwhile
                    self._put_off(number, delivery, again)
                    self.keeper.write(self)
                self._busy = False
                self._wake.notify_all()

    def _put_off(self, number: int, delivery: Delivery, again: float | None) -> None:
        if again is None:
            del self._news[number]
            return
        due = time.monotonic() + again
        self._news[number] = (due, delivery)
        heapq.heappush(self._waiting, (due, number))

    def _try(self, delivery: Delivery) -> float | None:
        """Make one try; after how many seconds the next, None when there is none."""
        headers = {"Content-Type": delivery.content_type, "User-Agent": f"sandbox-{delivery.esp}"}
        status = knock("POST", delivery.url, delivery.body, {**headers, **delivery.sign(delivery.body)}).status
        delivery.tries += 1
        self._note(delivery, status)
        if status == 410 and delivery.gone:
            delivery.gone()
        elif not 200 <= status < 300 and delivery.tries <= len(self.gaps):
            return self.gaps[delivery.tries - 1]
        return None

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
