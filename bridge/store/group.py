"""Group commit: of the writers that wait together, one carries out the work of all in one transaction."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from bridge.store.errors import StoreAway, StoreBroken
from bridge.store.sql import Hand

T = TypeVar("T")

#: No transaction takes in more work than this, or goes on taking it in for longer: clicks never wait long.
_MOST = 128
_SECONDS = 0.025


class _Ticket:
    """One writer's work on its way."""

    def __init__(self, work: Callable[[Hand], Any]) -> None:
        self.work = work
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.leads = False
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self, seconds: float) -> bool:
        """Until it is done, or its turn to lead; False when nothing happened for so long."""
        return self._woken.acquire(timeout=seconds)

    def wake(self) -> None:
        """Let its writer go on."""
        self._woken.release()


class Group:
    """Who comes first leads: opens the transaction, does its own work and that of all who wait, commits, wakes them.

    Each piece of work stands in a savepoint of its own: what fails is undone by itself and told to its own writer. When
    the transaction as a whole fails, every writer in it is told that nothing was written.
    """

    def __init__(self, writing: Callable[[], AbstractContextManager[Hand]], patience: float) -> None:
        self._writing, self._patience = writing, patience
        self._door = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._led = False

    def write(self, work: Callable[[Hand], T]) -> T:
        """Carry out one piece of work; returns after its commit."""
        ticket = _Ticket(work)
        with self._door:
            ticket.leads = not self._led
            if ticket.leads:
                self._led = True
            else:
                self._waiting.append(ticket)
        if not ticket.leads and not ticket.wait(self._patience):
            self._give_up(ticket)
        if ticket.leads and not ticket.done:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        value: T = ticket.value
        return value

    def _give_up(self, ticket: _Ticket) -> None:
        """Leave the queue. Whose work is under way already must see it out, or a "no" could be told twice over."""
        with self._door:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                raise StoreAway("other writers hold the database")
        ticket.wait(-1)

    def _lead(self, first: _Ticket) -> None:
        group = [first]
        try:
            self._carry_out(group)
        except BaseException as error:
            its_own = isinstance(error, StoreBroken) and len(group) == 1  # alone, nobody else can be at fault
            for ticket in group:
                ticket.error = ticket.error or (error if its_own else _for_all(error))
            if not isinstance(error, Exception):  # somebody ends this thread
                raise
        finally:
            for ticket in group:
                ticket.done = True
            self._hand_on()
            for ticket in group[1:]:
                ticket.wake()

    def _carry_out(self, group: list[_Ticket]) -> None:
        """One transaction. Alone, a writer needs no savepoint."""
        with self._writing() as hand:
            until = time.monotonic() + _SECONDS
            with self._door:
                alone = not self._waiting
            if alone:
                _alone(hand, group[0])
                return
            _do(hand, group[0])
            while len(group) < _MOST and time.monotonic() < until:
                with self._door:
                    if not self._waiting:
                        return
                    group.append(self._waiting.popleft())
                _do(hand, group[-1])

    def _hand_on(self) -> None:
        """Who has waited longest leads next."""
        with self._door:
            if not self._waiting:
                self._led = False
                return
            ticket = self._waiting.popleft()
            ticket.leads = True
        ticket.wake()


class _Lost(Exception):
    """One piece of work took the whole transaction with it."""


def _alone(hand: Hand, ticket: _Ticket) -> None:
    """The only piece of work in a transaction."""
    try:
        ticket.value = ticket.work(hand)
    except Exception as error:
        ticket.error = error
        raise


def _do(hand: Hand, ticket: _Ticket) -> None:
    """One piece of work in a savepoint of its own. An error that took the whole transaction with it goes on up."""
    hand.cursor.execute("SAVEPOINT piece")
    try:
        ticket.value = ticket.work(hand)
    except Exception as error:
        ticket.error = error
        if not _in_transaction(hand):
            raise _Lost from error
        hand.cursor.execute("ROLLBACK TO piece")
    hand.cursor.execute("RELEASE piece")


def _in_transaction(hand: Hand) -> bool:
    """Whether SQLite still has the transaction: a full disk or a broken file ends it without asking."""
    return bool(hand.cursor.connection.in_transaction)


def _for_all(error: BaseException) -> StoreAway:
    """What those in a failed transaction are told whose own work was well."""
    return StoreAway(str(error) if isinstance(error, StoreAway) else f"the transaction failed: {type(error).__name__}")
