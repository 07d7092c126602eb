"""Everybody told to both ESPs: calls by kind, and this side's CPU a person beside one SDK call a person."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from sqlalchemy import update

from bench import crowd, house, load, machine, tls
from bench.figures import Row, at_most, no_goal, row
from bench.places import Place
from bench.run import Run
from bridge.adapter import Adapter
from bridge.bootstrap import Bridge
from bridge.jobs.dispatch import Dispatcher
from bridge.mailer import stop_token
from bridge.tables import pushes
from bridge.vocabulary import Member, Outcome, OutcomeKind

#: People told by the adapter alone, at most: CPU a person is soon steady.
_ALONE = 100_000

#: No call of a job's begin or end: the ESP is asked how far it is.
_POLLS = ("waiting polls", "batch is finished", "upsert is finished")

#: What section 10 of the contracts allows: members of one batch, contacts and bytes of one upsert.
_BATCH, _UPSERT, _UPSERT_BYTES = 500, 30_000, 6_000_000


class Esp:
    """The stand-in's process, and what it counted."""

    def __init__(self, base: str) -> None:
        self.base = base

    def told(self) -> dict[str, Any]:
        """What was asked of it since it was cleared."""
        with urlopen(f"{self.base}/counts") as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def clear(self) -> None:
        """Begin anew."""
        urlopen(f"{self.base}/clear").close()


@contextmanager
def stand_in(folder: Path) -> Iterator[Esp]:
    """Both ESPs, over TLS, on the other core."""
    certificate = folder / "esp.pem"
    command = [sys.executable, "-m", "bench.standin", str(certificate)]
    with machine.pinned(machine.LOAD_CORE):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        if not base:
            raise SystemExit("the ESPs' stand-in did not start")
        with tls.trusted(certificate):
            yield Esp(base)
    finally:
        process.terminate()
        process.wait(load.PATIENCE)


def push(run: Run) -> list[Row]:
    """Rows of the adapters alone, then of the dispatcher on each database."""
    with stand_in(run.folder) as esp:
        rows, single = [], dict[str, float]()
        bridge = house.open_house(house.environment(run.folder, f"sqlite:///{run.folder}/nothing.db", esp.base))
        few = [_member(bridge, number) for number in range(run.size.direct)]
        for name, call in (("mailchimp", _mailchimp_call(bridge)), ("sendgrid", _sendgrid_call(bridge))):
            single[name] = _cpu(partial(_one_by_one, call, few)) / len(few)
            rows.append(_alone(run, esp, bridge, name, single[name]))
        for place in run.places:
            rows += _dispatched(run, place, esp, sum(single.values()))
    return rows


def _cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, on the server's core; the stand-in is on the other."""
    with machine.pinned(machine.SERVER_CORE):
        before = time.process_time()
        work()
        return time.process_time() - before


def _one_by_one(call: Callable[[Member], object], members: Sequence[Member]) -> None:
    for member in members:
        call(member)


# -- one SDK call a person ---------------------------------------------------------------------------------------


def _member(bridge: Bridge, number: int) -> Member:
    token = stop_token(bridge.links, f"{number:022}", bridge.links.mark(house.address(number)), bridge.clock())
    newsletter = frozenset({"newsletter"})
    link = bridge.links.url("/preferences/", token)
    return Member(email=house.address(number), language="nl", on=newsletter, fresh=newsletter, link=link, first=True)


def _mailchimp_call(bridge: Bridge) -> Callable[[Member], object]:
    """As the SDK's own documents show it: one client, one call a member."""
    from mailchimp_marketing import Client

    from adapters._mailchimp_api import member_id

    client = Client({"api_key": bridge.settings.environment["MAILCHIMP_API_KEY"]})
    client.api_client.host, client.api_client.server = bridge.settings.environment["MAILCHIMP_BASE_URL"], ""

    def call(member: Member) -> object:
        body = {
            "email_address": member.email,
            "status_if_new": "subscribed",
            "interests": {"newsletter": True, "offers": False},
            "language": "nl",
            "merge_fields": {"PREFS": member.link},
        }
        return client.lists.set_list_member("a1b2c3d4e5", member_id(member.email), body)

    return call


def _sendgrid_call(bridge: Bridge) -> Callable[[Member], object]:
    """The same: one client, one contact a call."""
    from sendgrid import SendGridAPIClient

    settings = bridge.settings.environment
    client = SendGridAPIClient(settings["SENDGRID_API_KEY"], host=settings["SENDGRID_BASE_URL"]).client

    def call(member: Member) -> object:
        contact = {"email": member.email, "custom_fields": {"e1_T": member.link}}
        return client.marketing.contacts.put(request_body={"list_ids": ["list-newsletter"], "contacts": [contact]})

    return call


# -- the adapter alone -------------------------------------------------------------------------------------------


def _alone(run: Run, esp: Esp, bridge: Bridge, name: str, single: float) -> Row:
    """Members made before; `put` and `follow` until every job is over."""
    adapter = bridge.adapters[name]
    count = min(run.size.pushes, _ALONE)
    most = max(adapter.batch, adapter.bulk)
    esp.clear()
    took = 0.0
    with machine.bar(f"{name}: {count:,} people, the adapter alone", count) as done:
        for first in range(1, count + 1, most):
            members = [_member(bridge, number) for number in range(first, min(first + most, count + 1))]
            took += _cpu(partial(_told, adapter, members))
            done(len(members))
    each = took / count
    return row(
        "push",
        f"{name}, {count:,} people told: CPU of the adapter a person; floor: one SDK call a person, both over TLS",
        f"{each * 1e6:,.1f} µs",
        f"{single * 1e6:,.0f} µs",
        at_most(each / single, 0.01, "≤ 1/100"),
    )


def _told(adapter: Adapter, members: Sequence[Member]) -> None:
    open_jobs: dict[str, list[Member]] = {}
    for member, outcome in zip(members, adapter.put(members), strict=True):
        _check(outcome)
        for job in outcome.job.split():
            open_jobs.setdefault(job, []).append(member)
    while open_jobs:
        for job, carried in list(open_jobs.items()):
            outcomes = adapter.follow(job, carried)
            for outcome in outcomes:
                _check(outcome)
            if not any(outcome.kind is OutcomeKind.PENDING for outcome in outcomes):
                del open_jobs[job]


def _check(outcome: Outcome) -> None:
    if outcome.kind not in (OutcomeKind.DONE, OutcomeKind.PENDING):
        raise SystemExit(f"a member was not taken ({outcome.reason}): the figures would mean nothing")


# -- the whole way -----------------------------------------------------------------------------------------------


def _dispatched(run: Run, place: Place, esp: Esp, single: float) -> list[Row]:
    count = run.size.pushes
    bridge = house.open_house(house.environment(run.folder, place.url("pushes"), esp.base))
    crowd.fill(bridge, count, told=False)
    esp.clear()
    took = _cpu(partial(_until_told, bridge, f"{place.name}: telling both ESPs"))
    told = esp.told()
    if (told["members"], told["contacts"]) != (count, count):
        raise SystemExit(f"of {count} people {told['members']} and {told['contacts']} arrived at the ESPs")
    calls = Counter(told["calls"])
    esp.clear()
    with bridge.database.writing() as db:  # all are looked at once more, and nobody has changed
        db.execute(update(pushes).values(due=bridge.clock()))
    again = _cpu(partial(_until_told, bridge, f"{place.name}: looking again"))
    writes = sum(n for kind, n in esp.told()["calls"].items() if kind.split()[1] in ("PUT", "POST", "PATCH", "DELETE"))
    bridge.database.engine.dispose()
    what, made = f"both ESPs, {count:,} people", partial(row, "push", database=place.name)
    return [
        *_calls(place, count, calls, told["bytes"]),
        made(
            f"{what} told: CPU of the whole dispatcher a person; floor: two SDK calls, both over TLS",
            f"{took / count * 1e6:,.0f} µs",
            f"{single * 1e6:,.0f} µs",
            no_goal(took / count / single),
        ),
        made(
            f"{what} looked at again, nothing changed: calls that write",
            f"{writes:,} ({again / count * 1e6:,.0f} µs a person)",
            "",
            at_most(writes, 0, "0"),
        ),
    ]


def _calls(place: Place, count: int, calls: Counter[str], sent: int) -> list[Row]:
    """Mailchimp: everything but polls. SendGrid: upserts; of what else it was asked all is shown."""
    upserts = max(ceil(count / _UPSERT), ceil(sent / _UPSERT_BYTES))
    return [
        _called(place, "mailchimp", count, calls, only="", allowed=3 * ceil(count / _BATCH)),
        _called(place, "sendgrid", count, calls, only="PUT /marketing/contacts", allowed=upserts),
    ]


def _called(place: Place, name: str, count: int, calls: Counter[str], *, only: str, allowed: int) -> Row:
    kinds = {kind.partition(" ")[2]: n for kind, n in sorted(calls.items()) if kind.startswith(f"{name} ")}
    told = {kind: n for kind, n in kinds.items() if kind not in _POLLS}
    counted = told.get(only, 0) if only else sum(told.values())
    shown = "; ".join(f"{kind} {n:,}" for kind, n in told.items())
    polls = ", ".join(f"{kind} {n:,}" for kind, n in kinds.items() if kind in _POLLS) or "none"
    return row(
        "push",
        f"{name}, {count:,} people told: {'upserts' if only else 'calls'} (polls apart)",
        f"{counted:,}: {shown}; polls: {polls}",
        "",
        at_most(counted, allowed, f"≤ {allowed:,}"),
        database=place.name,
    )


def _until_told(bridge: Bridge, label: str) -> None:
    """The dispatcher's own rounds until nothing waits; the clock jumps over what would be waiting."""
    clock, dispatcher = bridge.clock, Dispatcher(bridge)
    assert isinstance(clock, house.Clock)
    left, idle = _waiting(bridge), 0
    with machine.bar(label, left) as done:
        while left:
            taken = sum(dispatcher.pushes(name) for name in house.ADAPTERS)
            done(taken)
            if taken:
                idle = 0
                continue
            clock.now += house.A_WHILE
            idle += 1
            if not _waiting(bridge):
                return
            if idle > 100:
                raise SystemExit(f"{_waiting(bridge)} pushes are still waiting: the figures would mean nothing")


def _waiting(bridge: Bridge) -> int:
    return sum(task.waiting for task in bridge.store.tasks())
