"""Asking a platform what it holds of readers who want to see it (GDPR 15); a page recorded the wish."""

import logging
from collections.abc import Mapping, Sequence

from bridge.adapter import AdapterError, Misconfigured
from bridge.jobs.circuit import Turn
from bridge.jobs.push import Pusher
from bridge.store.looks import Look

log = logging.getLogger("bridge.dispatch")

#: So few at a time, because an ESP may want a call or two for each.
_AT_ONCE = 20

_UNTIL_MENDED = 300.0


class Looker:
    """The looks of one ESP. They keep to its turns and connections, and make no stop wait."""

    def __init__(self, pusher: Pusher) -> None:
        self.pusher = pusher

    def looks(self) -> int:
        """Ask about who is due; how many were taken up."""
        pusher, queue = self.pusher, self.pusher.bridge.store.queue
        if not queue.looks.has_due(pusher.name):
            return 0
        with pusher.spare_turn() as turn:
            if turn is None:
                return 0
            found = queue.looks.claim(pusher.name, turn.most or _AT_ONCE)
            if found:
                self._ask(turn, found)
            return len(found)

    def _ask(self, turn: Turn, found: Sequence[Look]) -> None:
        book = self.pusher.bridge.store.queue.looks
        answers, wait = self._call(turn, [look.person.email for look in found])
        for place, look in enumerate(found):
            if answers is None:
                book.put_off(look, wait)
            else:
                book.told(look, answers[place])

    def _call(
        self, turn: Turn, emails: Sequence[str]
    ) -> tuple[Sequence[Mapping[str, str] | None] | None, float | None]:
        """What the ESP says of each; None where it says nothing now, and when it may be asked again."""
        name = self.pusher.name
        try:
            answers = self.pusher.adapter.held(emails)
            if answers is not None and len(answers) != len(emails):
                raise RuntimeError
        except Misconfigured as error:
            log.error("%s: %s", name, error.reason)
            return None, _UNTIL_MENDED
        except AdapterError as error:
            log.warning("%s: what it holds of readers who ask cannot be read now: %s", name, error.reason)
            turn.failed(error.reason, error.wait)
            return None, error.wait
        except Exception as error:  # an adapter's own mistake must not end the lane
            log.error("%s: %s in the adapter", name, type(error).__name__)
            return None, _UNTIL_MENDED
        turn.worked()
        return ([None] * len(emails) if answers is None else answers), None
