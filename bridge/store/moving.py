"""An address that changed at an ESP: the person, her proof and her stops go with it; mail waits for an answer (R13)."""

from collections.abc import Callable, Collection, Sequence

import msgspec

from bridge.decide import LISTED, MAILABLE, standing
from bridge.store.answering import Asked, note_asked
from bridge.store.door import Batch, Stop, remember_stops
from bridge.store.erasing import promise_old
from bridge.store.rows import Opened, listed, stop_event
from bridge.store.sql import Sql
from bridge.tables import moment
from bridge.vault import Hash, Vault, new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    SYSTEM,
    ConsentEvent,
    EventType,
    MailKind,
    Method,
)

_STOPS = Sql("SELECT hash, kid, reason, scope, since FROM stop_list WHERE hash IN ({})")


REPORTS = Sql("SELECT report FROM events WHERE report IN ({})")


class Mover:
    """Moves people within a transaction. `mark` is `Links.mark`."""

    def __init__(self, vault: Vault, mark: Callable[[str], str]) -> None:
        self._vault, self._mark = vault, mark

    def move(
        self,
        batch: Batch,
        opened: Opened,
        event: ConsentEvent,
        email: str,
        there: Opened | None,
        *,
        ask: bool = True,
    ) -> None:
        """Carry out `moved`. The new mailbox is asked for what was on; until it answers, nothing goes there. Without
        `ask` the event itself is that answer.

        Where somebody is known at the new address already (`there`), the two stay two: the one who moved is held, and
        what she said no to is stopped for both (R14).
        """
        if there is not None:
            history = batch.history[opened.number]
            on = {purpose for purpose in _purposes(history) if standing(history, purpose).status in MAILABLE}
            batch.add(opened, _leaving(event, ""))
            self.stop_too(batch, history, there, event)
            self.set_right(batch, there, event, on)
            return
        live = self._live(batch, opened) if ask else []
        promise_old(batch.db, self._vault, opened.number, opened.person.email, batch.now)
        moved = batch.move(opened, email, self._mark(email))
        batch.add(moved, _leaving(event, opened.person.mark))
        request = new_id()
        asked = [self._question(given, event, request, batch) for given in live]
        for question in asked:
            batch.add(moved, question)
        if asked:
            note_asked(batch, moved.number, Asked(MailKind.CONFIRM, request), "")
            batch.mail(
                moved,
                MailKind.CONFIRM.value,
                [question.purpose for question in asked],
                language=moved.person.language,
                request=request,
                channel=asked[0].channel or "",
            )

    def set_right(self, batch: Batch, there: Opened, moved: ConsentEvent, purposes: Collection[str]) -> None:
        """The ESP holds what somebody else was on for at the address of `there` now: that is no yes of hers (ESP-01),
        so it is told how she stands. News that was heard before changes nothing."""
        keys = {
            self._vault.report_keys(f"{moved.key}\n{EventType.SUBSCRIBED}\n{purpose}")[0]: purpose
            for purpose in sorted(purposes)
        }
        for key in self._new(batch, there, keys):
            told = msgspec.structs.replace(moved, type=EventType.SUBSCRIBED, purpose=keys[key], key=key)
            batch.add(there, msgspec.structs.replace(told, subject=there.person.id))
            batch.tell(there)  # also where she is on for the same: what else she is on for is not there

    def carry_stops(self, batch: Batch, old: Sequence[Hash], email: str) -> list[ConsentEvent]:
        """The stops of somebody we do not hold go with her to her new address. Gives them."""
        newest = self._vault.stop_hashes(email)[0]
        kids = {entry.value: entry.kid for entry in old}
        rows = listed(_STOPS, batch.db, list(kids))
        kept = [(EventType(reason), scope, since) for hash_, kid, reason, scope, since in rows if kids[hash_] == kid]
        remember_stops(batch.db, [Stop(newest, scope, reason, moment(since)) for reason, scope, since in kept])
        return [stop_event(reason.value, scope, moment(since)) for reason, scope, since in kept]

    def _live(self, batch: Batch, opened: Opened) -> list[ConsentEvent]:
        """Her yes for each purpose that is on, with its evidence."""
        history = batch.history[opened.number]
        standings = [standing(history, purpose) for purpose in _purposes(history)]
        on = {one.by.key for one in standings if one.by and one.status in MAILABLE and one.by.type is EventType.GIVEN}
        return [event for event in batch.rows.story(batch.db, opened) if event.key in on] if on else []

    def _question(self, given: ConsentEvent, moved: ConsentEvent, request: str, batch: Batch) -> ConsentEvent:
        """The words she agreed to before, put to her new mailbox. By which road she agreed says nothing there."""
        words = msgspec.structs.replace(given.evidence, request=request, template=None, token=None)
        return ConsentEvent(
            type=EventType.REQUESTED,
            subject=moved.subject,
            time=batch.now,
            received=batch.now,
            source=SYSTEM,
            method=Method.WEBHOOK,
            key=new_id(),
            purpose=given.purpose,
            channel=given.channel,
            notice=given.notice,
            evidence=msgspec.structs.replace(words, road=None, after=None, doubt=None),
        )

    def stop_too(self, batch: Batch, history: Sequence[ConsentEvent], there: Opened, moved: ConsentEvent) -> None:
        """What was said no to at an address that moved to hers is stopped for her too; told again it says nothing."""
        stops = {
            self._vault.report_keys(f"{moved.key}\n{stop.type}\n{stop.purpose}\n{stop.time}")[0]: stop
            for stop in history
            if stop.type in LISTED - {EventType.ERASED}
        }
        for key in self._new(batch, there, stops):
            stop = stops[key]
            told = msgspec.structs.replace(moved, type=stop.type, purpose=stop.purpose, time=stop.time, key=key)
            batch.add(there, msgspec.structs.replace(told, subject=there.person.id))

    def _new(self, batch: Batch, there: Opened, keys: Collection[str]) -> list[str]:
        """Which of these keys no news has yet."""
        known = {report for (report,) in listed(REPORTS, batch.db, list(keys))}
        known |= {event.key for event in batch.history[there.number]}
        return [key for key in keys if key not in known]


def _leaving(event: ConsentEvent, mark: str) -> ConsentEvent:
    """The move, with the address that was left, so that it can be told later whose it was before."""
    return msgspec.structs.replace(event, evidence=msgspec.structs.replace(event.evidence, left=mark))


def _purposes(history: Sequence[ConsentEvent]) -> list[str]:
    return sorted({event.purpose for event in history} - {EVERY_PURPOSE})
