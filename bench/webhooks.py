"""SendGrid's signed batches of 1,000 events, and each told again: how many of them a CPU second takes.

The floor verifies the same bytes, reads the same fields and writes the relevant events in one statement that knows
those it has; it decides, seals and chains nothing.
"""

import base64
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.sendgrid import SendGrid
from bench import anymail, crowd, house, inbox, machine
from bench.figures import Row, Verdict, at_least, at_most, row
from bench.places import Place
from bench.run import Run, spread
from bridge.bootstrap import Bridge
from bridge.vocabulary import Incoming

#: As many events as SendGrid sends at once, and how many of them are about consent.
BATCH, RELEVANT = 1_000, 117

_RELEVANT = (
    {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such mailbox"},
    {"event": "spamreport"},
    {"event": "unsubscribe"},
    {"event": "group_unsubscribe", "asm_group_id": 1},
)
_OTHERS = ({"event": "processed"}, {"event": "delivered"}, {"event": "open"}, {"event": "click"})

#: Custom arguments, categories and addresses of machines make an event of 970 bytes.
_MORE = {"category": ["daily"], "useragent": "u" * 180, "url": "https://site.example/" + "p" * 320, "ip": "192.0.2.7"}


class Told(NamedTuple):
    """CPU seconds that some batches took, the first time and the second."""

    new: float
    again: float

    def rate(self, batches: int) -> float:
        """Events a CPU second."""
        return batches * BATCH / self.new


class Sender:
    """SendGrid: a key, and batches signed with it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(public).decode()

    def batch(self, name: str, people: Sequence[int]) -> Incoming:
        """One call about these people: every ninth event or so is about consent."""
        now, step = int(time.time()) - 60, BATCH // max(1, len(people))
        events: list[dict[str, Any]] = []
        for place in range(BATCH):
            number, rest = divmod(place, step)
            told = _RELEVANT[number % len(_RELEVANT)] if rest == 0 and number < len(people) else None
            who = people[number % len(people)]
            events.append(
                {
                    "email": house.address(who),
                    "timestamp": now,
                    "sg_event_id": f"{name}-{place:04}".ljust(32, "e"),
                    "sg_message_id": f"{name}-{who}.filter0001.16648.5515E0B88.0".ljust(64, "m"),
                    **(told or _OTHERS[place % len(_OTHERS)]),
                    **_MORE,
                }
            )
        body = msgspec.json.encode(events) + b"\r\n"
        stamp = str(now)
        signature = self._key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "content-type": "application/json",
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": stamp,
        }
        return Incoming(headers=headers, body=body, secret="")


def webhooks(run: Run) -> list[Row]:
    """Rows of all databases."""
    return [row for place in run.places for row in _on(run, place)]


def _on(run: Run, place: Place) -> list[Row]:
    sender, batches = Sender(), run.size.batches
    settings = {**house.environment(run.folder, place.url("news")), "SENDGRID_WEBHOOK_PUBLIC_KEY": sender.public}
    few, people = house.open_house(settings), max(run.size.small, batches * RELEVANT)
    crowd.fill(few, people)
    about = [spread(people, n * RELEVANT, RELEVANT) for n in range(batches)]
    told = [sender.batch(f"few-{n}", who) for n, who in enumerate(about)]
    ours = _measure(place, few.settings.database_url, partial(hear, few, adapter(few, sender)), told)
    few.database.engine.dispose()
    theirs = _floor(place, sender, told)
    bytes_each = sum(len(call.body) for call in told) / batches / BATCH
    made = partial(row, "webhooks", database=place.name)
    what = f"signed batches of {BATCH:,} events of {bytes_each:.0f} bytes, {RELEVANT} of them about consent: "

    def line(text: str, verdict: Verdict, mine: float, other: float) -> Row:
        return made(what + text, f"{mine:,.0f} events a CPU s", f"{other:,.0f}", verdict)

    rates, floors = ours.rate(batches), theirs.rate(batches)
    rows = [line("new", at_least(rates / floors, 0.4), rates, floors)]
    again = batches * BATCH / ours.again
    rows.append(line("told again, beside new", at_least(again / rates, 5.0), again, rates))
    peer = _anymail(place, sender, told[: max(1, batches // 10)])
    rows.append(
        line("new, beside django-anymail with one get_or_create an event", at_least(rates / peer, 20.0), rates, peer)
    )
    many = run.pair(place, run.size.large)
    if many.left() >= batches * RELEVANT:
        drawn = [sender.batch(f"many-{n}", many.unused(RELEVANT)) for n in range(batches)]
        hears = partial(hear, many.bridge, adapter(many.bridge, sender))
        large = _measure(place, many.bridge.settings.database_url, hears, drawn)
        rate = large.rate(batches)
        rows.append(
            line(f"CPU with {many.people:,} people, beside {people:,}", at_most(rates / rate, 1.15), rate, rates)
        )
    return rows


def adapter(bridge: Bridge, sender: Sender) -> SendGrid:
    """What takes the sender's calls in."""
    settings = {"SENDGRID_API_KEY": "SG.only-for-figures", "SENDGRID_WEBHOOK_PUBLIC_KEY": sender.public}
    return SendGrid(settings, bridge.policy.places("sendgrid"), {})


def hear(bridge: Bridge, told: SendGrid, call: Incoming) -> int:
    """What the webhook's address does between the server and Flask's answer."""
    told.verify(call)
    return bridge.store.hear("sendgrid", told.parse(call))


def _measure(place: Place, url: str, hear: Callable[[Incoming], int], calls: Sequence[Incoming]) -> Told:
    took = []
    for expected in (len(calls) * RELEVANT, 0):
        heard, cpu = _cpu(place, url, lambda: sum(map(hear, calls)))
        if heard != expected:
            raise SystemExit(f"{heard} of {expected} news were new: the figures would mean nothing")
        took.append(cpu)
    return Told(*took)


def _cpu(place: Place, url: str, work: Callable[[], int]) -> tuple[int, float]:
    """What some work gives, and this process's CPU with that of the database server's processes."""
    theirs = place.backends(url)
    before, mine = machine.cpu_seconds(theirs), time.process_time()
    given = work()
    return given, time.process_time() - mine + machine.cpu_seconds(place.backends(url)) - before


def _anymail(place: Place, sender: Sender, calls: Sequence[Incoming]) -> float:
    """Events a CPU second."""
    url = place.url("news_anymail")
    peer = anymail.Anymail(url, sender.public)
    requests = peer.requests(calls)
    heard, cpu = _cpu(place, url, lambda: sum(map(peer.hear, requests)))
    peer.close()
    if heard != len(calls) * BATCH:
        raise SystemExit(f"{heard} of {len(calls) * BATCH} events were new: the figures would mean nothing")
    return heard / cpu


def _floor(place: Place, sender: Sender, calls: Sequence[Incoming]) -> Told:
    url = place.url("news_floor")
    took_in = inbox.Inbox(url, sender.public)
    told = _measure(place, url, took_in.hear, calls)
    took_in.close()
    return told
