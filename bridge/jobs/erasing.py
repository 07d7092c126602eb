"""Who was erased here, erased at one ESP too: at once, and again when what was under way has ended (decision 24)."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from bridge.adapter import AdapterError, Misconfigured
from bridge.jobs.circuit import Turn
from bridge.jobs.push import Pusher
from bridge.store import Erasure
from bridge.vocabulary import Outcome, OutcomeKind

log = logging.getLogger("bridge.dispatch")

#: So few at a time, because an ESP may want two calls for each; the round ends well within the lease.
_AT_ONCE = 50

#: No new call is begun after this long with one batch whose addresses an adapter stumbles over.
_STUMBLE_SECONDS = 60.0

_UNTIL_MENDED = 300.0
_ALARM = timedelta(hours=1)


class Eraser:
    """The erasures of one ESP, never given up. They keep to its turns and connections, and make no stop wait."""

    def __init__(self, pusher: Pusher) -> None:
        self.pusher = pusher

    def erasures(self) -> int:
        """Erase who is due, by the ESP's permanent delete, until it says that she is gone (ESP-04)."""
        pusher, queue = self.pusher, self.pusher.bridge.store.queue
        if not queue.erasures.has_due(pusher.name):
            return 0
        with pusher.spare_turn() as turn:
            if turn is None:
                return 0
            found = queue.erasures.claim(pusher.name, turn.most or min(pusher.adapter.batch, _AT_ONCE))
            ready = [erasure for erasure in found if not self._is_settled(erasure)]
            if ready:
                self._erase(turn, ready)
            return len(found)

    def _is_settled(self, erasure: Erasure) -> bool:
        """What needs no call of its own.

        Whoever holds the address now and said yes is not erased, for that may be a one-way door there: her own push
        says how she should be, once more when nothing of the time before can overtake it.
        """
        book, queue = self.pusher.bridge.store.queue.erasures, self.pusher.bridge.store.queue
        if erasure.waits and erasure.told:
            book.look_again(erasure)
        elif erasure.newcomer is None:
            return False
        elif queue.tell_again(self.pusher.name, [erasure.newcomer]):
            book.look_again(erasure, soon=True)  # she is held, or in a job of her own
        elif erasure.waits:
            book.told(erasure)
        else:
            book.gone([erasure])
        return True

    def _erase(self, turn: Turn, ready: Sequence[Erasure]) -> None:
        book, name = self.pusher.bridge.store.queue.erasures, self.pusher.name
        emails = list(dict.fromkeys(erasure.email for erasure in ready))
        said = dict(zip(emails, self._call(turn, emails, time.monotonic()), strict=True))
        failed = Counter[str]()
        gone: list[Erasure] = []
        for erasure in ready:
            outcome = said[erasure.email]
            if outcome.kind is not OutcomeKind.DONE:
                failed[outcome.reason] += 1
                book.put_off(erasure, outcome.wait, refused=outcome.kind is OutcomeKind.REFUSED)
            elif book.newcomer(name, erasure.email) is not None:
                book.tell_newcomer(erasure)
            elif erasure.waits:
                book.told(erasure)
            else:
                gone.append(erasure)
        book.gone(gone)
        late = any(self.pusher.bridge.clock() - erasure.made > _ALARM for erasure in ready)
        for reason, count in failed.items():
            text = "%s: %d erased people are not known to be gone there (%s); tried again until they are"
            log.log(logging.ERROR if late else logging.WARNING, text, name, count, reason)

    def _call(self, turn: Turn, emails: Sequence[str], began: float) -> list[Outcome]:
        """Call the ESP. Whatever happens there gives each address an outcome."""
        name = self.pusher.name
        try:
            outcomes = self.pusher.adapter.erase(emails)
            if len(outcomes) != len(emails):
                raise RuntimeError
        except Misconfigured as error:  # perhaps for erasing alone: the ESP's other news go on
            log.error("%s: %s", name, error.reason)
            return [Outcome(OutcomeKind.LATER, "misconfigured", _UNTIL_MENDED)] * len(emails)
        except AdapterError as error:
            log.warning("%s: %s", name, error.reason)
            turn.failed(error.reason, error.wait)
            return [Outcome(OutcomeKind.LATER, error.reason, error.wait)] * len(emails)
        except Exception as error:  # an adapter's own mistake with one address must not hold back the others
            if len(emails) > 1 and time.monotonic() - began < _STUMBLE_SECONDS:
                middle = len(emails) // 2
                return [*self._call(turn, emails[:middle], began), *self._call(turn, emails[middle:], began)]
            log.error("%s: %s in the adapter", name, type(error).__name__)
            return [Outcome(OutcomeKind.LATER, "adapter failed")] * len(emails)
        turn.answered(outcomes)
        return outcomes
