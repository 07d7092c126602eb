"""The same acts in a house of ten million people on PostgreSQL, beside the same acts in one of ten thousand."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

from bench import crowd, house, load, machine, multitude
from bench.figures import Row, at_most, no_goal, row
from bench.load import Cost
from bench.places import Place, Postgres
from bench.run import Run, spread
from bench.webhooks import RELEVANT, Sender, adapter, hear
from bridge.bootstrap import THREADS, Bridge

#: How much more an act may cost among many: the upper pages of an index stay in memory, one lower page is read more.
GROWTH = 1.5

#: Mails taken up at a time, as the dispatcher does, and how often.
_MAILS, _TAKEN = 10, 5

#: Of so many people one has a mail that waits.
_ONE_IN = 20


def growing(run: Run) -> list[Row]:
    """Rows of PostgreSQL: SQLite is for one machine and about a million people."""
    return [row for place in run.places if isinstance(place, Postgres) for row in _Houses(run, place).rows()]


class _Houses:
    """A few people and many: the few are in both houses, with the same addresses and links."""

    def __init__(self, run: Run, place: Place) -> None:
        self._run, self._place, self._sender = run, place, Sender()
        self._count, self._batches = max(1, run.size.requests // 3), max(1, run.size.batches // 2)
        clicked = self._count * (run.size.rounds + 1)
        self._few = max(run.size.small, clicked + self._batches * RELEVANT)
        self._calls = [
            self._sender.batch(f"grown-{n}", spread(self._few, clicked + n * RELEVANT, RELEVANT))
            for n in range(self._batches)
        ]
        settings = house.environment(run.folder, place.url("growing_few"))
        few = house.open_house({**settings, "SENDGRID_WEBHOOK_PUBLIC_KEY": self._sender.public})
        crowd.fill(few, self._few)
        crowd.prove(few, place.url("growing_proof"))
        started, times = time.monotonic(), max(2, run.size.growing // self._few)
        self._both = (few, multitude.grow(few, place.url("growing_many"), times))
        self._many = times * self._few
        machine.say(f"   {self._many:,} people in {time.monotonic() - started:,.0f} s")

    def rows(self) -> list[Row]:
        """All figures."""
        rows = _sizes(self._both[1], self._many, verbose=self._run.verbose)
        asks = [partial(self._may_mail, bridge) for bridge in self._both]
        rows.append(self._row("may this person be mailed", _best(asks, self._run.size.rounds)))
        rows += self._pages()
        costs = [self._told(bridge) for bridge in self._both]
        rows.append(self._row(f"a signed batch of 1,000 events, {RELEVANT} of them about consent", costs))
        for bridge in self._both:
            _ask_for_links(bridge, self._few)
        few = multitude.mails(self._both[0])
        multitude.more_mails(self._both[1], max(2, self._many // _ONE_IN // few))
        many = multitude.mails(self._both[1])
        costs = [self._each([partial(_take, bridge)] * _TAKEN, bridge) for bridge in self._both]
        rows.append(self._row(f"{_MAILS} mails taken up, {many:,} due beside {few:,}", costs))
        for bridge in self._both:
            bridge.database.engine.dispose()
        return rows

    def _row(self, what: str, costs: Sequence[Cost]) -> Row:
        few, many = costs
        return row(
            "growing",
            f"{what}: CPU with {self._many:,} people ÷ with {self._few:,}",
            _said(many),
            _said(few),
            at_most(many.together / few.together, GROWTH),
            database=self._place.name,
        )

    def _drawn(self, number: int) -> list[int]:
        """Readers of one round."""
        return spread(self._few, number * self._count, self._count)

    def _may_mail(self, bridge: Bridge, number: int) -> Cost:
        emails = [house.address(reader) for reader in self._drawn(number)]
        return self._each([partial(bridge.store.may_mail, email, "newsletter") for email in emails], bridge)

    def _told(self, bridge: Bridge) -> Cost:
        listens = adapter(bridge, self._sender)
        return self._each([partial(hear, bridge, listens, call) for call in self._calls], bridge)

    def _pages(self) -> list[Row]:
        """Through the server, as readers ask."""
        for bridge in self._both:
            bridge.database.engine.dispose()
        with ExitStack() as stack:
            servers = [stack.enter_context(self._serve(bridge)) for bridge in self._both]
            for server in servers:  # until all of its threads have connected
                load.measure(server, self._asked(load.page, 0), self._run.connections)
            rows = []
            for what, ask in (("preference page, GET", load.page), ("one click, POST", load.click)):
                sides = [partial(self._ask, server, ask) for server in servers]
                rows.append(self._row(what, _best(sides, self._run.size.rounds)))
        return rows

    def _serve(self, bridge: Bridge) -> AbstractContextManager[load.Server]:
        settings = {**bridge.settings.environment, "CONSENT_BRIDGE_NO_DISPATCH": "1"}
        seen = partial(self._place.backends, bridge.settings.database_url)
        return load.server("bridge.handlers.server:application", settings, threads=THREADS, backends=seen)

    def _asked(self, ask: Callable[[str], bytes], number: int) -> list[bytes]:
        """The requests of one round: links are the same in both houses."""
        return [ask(token) for token in house.tokens(self._both[0], self._drawn(number))]

    def _ask(self, server: load.Server, ask: Callable[[str], bytes], number: int) -> Cost:
        return load.measure(server, self._asked(ask, number), self._run.connections)

    def _each(self, work: Sequence[Callable[[], object]], bridge: Bridge) -> Cost:
        """One after the other in this process: how long each took, and what CPU."""
        bridge.store.person(house.address(1))  # connected
        theirs, waits = self._place.backends(bridge.settings.database_url), list[float]()
        before, mine, started = machine.cpu_seconds(theirs), time.process_time(), time.perf_counter()
        for one in work:
            begun = time.perf_counter()
            one()
            waits.append(time.perf_counter() - begun)
        return Cost(
            requests=len(work),
            failed=0,
            cpu=time.process_time() - mine,
            backends=machine.cpu_seconds(theirs) - before,
            seconds=time.perf_counter() - started,
            waits=tuple(sorted(waits)),
            generator=0.0,
        )


def _best(sides: Sequence[Callable[[int], Cost]], rounds: int) -> list[Cost]:
    return [load.steadiest(costs) for costs in load.rounds(sides, rounds)]


def _said(cost: Cost) -> str:
    database = cost.together - cost.milliseconds
    return f"{cost.milliseconds:.3f} + {database:.3f} ms, p50 {cost.wait(0.5):.2f}, p99 {cost.wait(0.99):.2f} ms"


def _ask_for_links(bridge: Bridge, readers: int) -> None:
    """So that there are mails to be taken up."""
    clock = bridge.clock
    assert isinstance(clock, house.Clock)
    clock.now = datetime.now(UTC)
    multitude.forget_mails(bridge)
    for number in spread(readers, 0, _MAILS * _TAKEN):
        network = f"10.{number >> 8 & 255}.{number & 255}.0/24"
        bridge.acts.ask_link(house.address(number), network=network, language="nl")
    clock.now += timedelta(minutes=5)


def _take(bridge: Bridge) -> None:
    taken = bridge.store.queue.claim_mails(_MAILS)
    if len(taken) != _MAILS:
        raise SystemExit(f"{len(taken)} of {_MAILS} mails were taken up: the figures would mean nothing")


def _sizes(many: Bridge, people: int, *, verbose: bool) -> list[Row]:
    made = partial(row, "growing", database="PostgreSQL")
    whole = house.size(many)
    rows = [
        made(
            f"bytes a person, {people:,} people",
            f"{whole / people:,.0f}: {whole / 1e9:,.2f} GB",
            "",
            no_goal(whole / people),
        )
    ]
    if verbose:
        rows += [
            made(f"of these, {name}", f"{took / people:,.1f}: {took / 1e6:,.0f} MB")
            for name, took in house.parts(many).items()
            if took > people
        ]
    return rows
