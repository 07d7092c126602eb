"""What the processes did with each mail and each parked stop, in the order they did it: lines in one pipe, which outlives whoever is killed."""

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from adapters.sandbox.courier import Courier, Delivery
from bridge.adapter import MailLater, MailRefused
from bridge.smtp import Smtp
from bridge.spool import Parked, Spool
from bridge.store import Store, StoreAway
from bridge.store.jobs import JobBook
from bridge.store.work import WorkQueue
from bridge.tables import outbox
from bridge.vocabulary import Letter
from tests.torture.clock import Clock


class Trail:
    """The writing end. One line is written in one piece, so that none is mixed with another's."""

    def __init__(self, pipe: Path, who: str, clock: Clock) -> None:
        self.who, self.clock = who, clock
        self._pipe = os.open(pipe, os.O_WRONLY)

    def say(self, what: str, **more: Any) -> None:
        """Leave a line."""
        line = {"who": self.who, "pid": os.getpid(), "what": what, "time": self.clock().timestamp(), **more}
        os.write(self._pipe, json.dumps(line).encode() + b"\n")

    def follow_stops(self) -> None:
        """From now on this process says when it parks a stop."""
        park = Spool.park

        def parked(spool: Spool, stop: Parked) -> None:
            park(spool, stop)
            self.say("parked")

        Spool.park = parked  # type: ignore[method-assign]

    def follow_news(self) -> None:
        """From now on this process says what it heard of an ESP's news, or how the ESP told it."""
        take_in, try_ = Store.take_in, Courier._try

        def heard(store: Store, adapter: str, news: Any) -> int:
            new = take_in(store, adapter, news)
            self.say("hears", adapter=adapter, news=[f"{one.type} {one.purpose}" for one in news], new=new)
            return new

        def tried(courier: Courier, delivery: Delivery) -> float | None:
            again = try_(courier, delivery)
            self.say("tells", adapter=delivery.esp, news=delivery.what, tries=delivery.tries, again=again)
            return again

        Store.take_in, Courier._try = heard, tried  # type: ignore[method-assign]

    def follow_jobs(self) -> None:
        """From now on this process says which jobs an ESP took."""
        started = JobBook.started

        def noted(book: JobBook, adapter: str, jobs: Any) -> dict[str, int]:
            numbers = started(book, adapter, jobs)
            for people, _ in jobs.values():
                self.say("job", adapter=adapter, people=len(people))
            return numbers

        JobBook.started = noted  # type: ignore[method-assign]

    def follow_mails(self) -> None:
        """From now on this process says what it does with each mail."""
        claim, put_off, send = WorkQueue.claim_mails, WorkQueue.put_off_mail, Smtp.send

        def claimed(queue: WorkQueue, most: int = 20) -> Any:
            since = self.clock.lived()
            mails = claim(queue, most)
            for mail in mails:
                about = {"kind": str(mail.kind), "subject": mail.person.id, "request": mail.request}
                self.say("claims", id=mail.id, since=since, taken=self.clock.lived(), **about)
            return mails

        def later(queue: WorkQueue, mail: Any, *args: Any) -> bool:
            again = put_off(queue, mail, *args)
            self.say("put off", id=mail.id)
            return again

        def holder(queue: WorkQueue, mail: Any) -> str | None:
            with queue.database.reading() as db:
                found: str | None = db.scalar(select(outbox.c.lease).where(outbox.c.id == mail.id))
                return found

        def ending(end: Callable[[WorkQueue, Any], None]) -> Callable[[WorkQueue, Any], None]:
            def ended(queue: WorkQueue, mail: Any) -> None:
                before = holder(queue, mail)
                self.say("ends", id=mail.id)  # whoever is killed before the next line may have done it
                end(queue, mail)
                with suppress(StoreAway):  # then nobody knows, and it counts as cut
                    after = holder(queue, mail)
                    self.say("done" if before == mail.lease and after is None else "lost", id=mail.id)

            return ended

        def sent(road: Smtp, letter: Letter, ready: Callable[[], None]) -> None:
            say = partial(self.say, id=letter.message_id[1:].partition("@")[0])

            def leaves() -> None:
                ready()
                say("leaves")

            try:
                send(road, letter, leaves)
            except MailLater as error:
                say("later", maybe=error.maybe)
                raise
            except MailRefused:
                say("refused")
                raise
            say("sent")

        for end in (WorkQueue.finish_mail, WorkQueue.drop_mail):
            setattr(WorkQueue, end.__name__, ending(end))
        WorkQueue.claim_mails, WorkQueue.put_off_mail, Smtp.send = claimed, later, sent  # type: ignore[method-assign]


class Reading:
    """The reading end: all lines so far."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._open = os.open(path, os.O_WRONLY)  # so that the pipe does not end while nobody else writes
        os.set_blocking(reading, True)
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, args=(reading,), name="trail", daemon=True)
        self._thread.start()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as file:
            for line in file:
                self.lines.append(json.loads(line))

    def close(self) -> None:
        """Read to the last line; all other writers are gone."""
        if self._open >= 0:
            os.close(self._open)
            self._open = -1
            self._thread.join(10)
