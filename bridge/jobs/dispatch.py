"""What the outbox promises, carried out: mails to readers, and each ESP told how its members should be.

One lane for mail and one per adapter, so that an ESP that hangs slows no other.
"""

import logging
import threading
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from bridge.adapter import AdapterError, MailLater, MailRefused, Misconfigured
from bridge.bootstrap import Bridge
from bridge.decide import MAILABLE, STOPS, blocks, gate, is_on, paused_until, standing
from bridge.jobs.receipt import receipt
from bridge.mailer import Occasion, stop_token
from bridge.store import Mail, Push, StoreAway
from bridge.vocabulary import (
    Block,
    EventType,
    Limits,
    MailKind,
    Member,
    Outcome,
    OutcomeKind,
    Report,
    bounce_type,
)

log = logging.getLogger("bridge.dispatch")

#: Mails that may not go twice: killed between hand-over and commit, they are not sent again (decision 25).
_ONCE = frozenset({MailKind.WELCOME, MailKind.GOODBYE})

#: So few at a time that the last one leaves before the lease ends, however slow the mail server is.
_MAILS_AT_ONCE = 10

_IDLE_SECONDS = 1.0
_UNTIL_MENDED = 300.0


class _LostLease(Exception):
    """Somebody else holds this work now."""


class Dispatcher:
    """Carries out promised work. Several may run at once, in one process or many."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # -- running ------------------------------------------------------------------------------------------------

    def once(self) -> int:
        """Do everything that is due now; how many pieces of work were taken up."""
        done = self.bridge.acts.replay()
        lanes = [self.mails, *(lambda name=name: self.pushes(name) for name in self.bridge.adapters)]
        while taken := sum(lane() for lane in lanes):
            done += taken
        return done

    def start(self, workers: int = 1) -> None:
        """Run every lane in threads of its own, until `stop`."""
        self.bridge.wake = self._wake.set
        for name in ["mail", *self.bridge.adapters]:
            for number in range(workers):
                thread = threading.Thread(target=self._lane, args=(name,), name=f"{name}-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
        purge = threading.Thread(target=self._purge, name="purge", daemon=True)
        purge.start()
        self._threads.append(purge)

    def stop(self, seconds: float = 10.0) -> None:
        """Let each lane finish what it holds, then end."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(seconds)

    def _lane(self, name: str) -> None:
        while not self._stop.is_set():
            try:
                self.bridge.acts.replay()
                taken = self.mails() if name == "mail" else self.pushes(name)
            except StoreAway as error:
                log.warning("%s: the store is away (%s)", name, error)
                taken = 0
            except Exception as error:  # a lane must not die of one bad row; its lease brings it back
                log.error("%s: %s, tried again later", name, type(error).__name__)
                taken = 0
            if not taken:
                self._wake.wait(_IDLE_SECONDS)
                self._wake.clear()

    def _purge(self) -> None:
        while not self._stop.wait(60.0):
            try:
                gone = self.bridge.store.forget_requests()
            except StoreAway:
                continue
            if gone:
                log.info("unconfirmed requests deleted: %d", gone)

    # -- mail ---------------------------------------------------------------------------------------------------

    def mails(self) -> int:
        """Send the mails that are due; how many were taken up."""
        mails = self.bridge.store.queue.claim_mails(_MAILS_AT_ONCE)
        for mail in mails:
            try:
                self._mail(mail)
            except StoreAway:
                raise
            except Exception as error:  # one mail that cannot be written must not hold back the others
                self._put_off(mail, type(error).__name__)
        return len(mails)

    def _mail(self, mail: Mail) -> None:
        queue, kind = self.bridge.store.queue, MailKind(mail.kind)
        now = self.bridge.clock()
        history = self.bridge.store.history(mail.person)  # read again: others were sent since this one was claimed
        limits = self.bridge.limits(now)
        if kind is MailKind.CONFIRM:  # what she answered meanwhile, by another mail, is not asked again
            waiting = tuple(p for p in mail.purposes if gate(kind, history, [p], now, limits).may)
            mail = msgspec.structs.replace(mail, purposes=waiting or mail.purposes)
        answer = gate(kind, history, mail.purposes, now, limits)
        if not answer.may:
            log.info("mail %s (%s) not sent: %s", mail.id, kind, "; ".join(answer.why))
            queue.finish_mail(mail)
            return
        if mail.handed and kind in _ONCE:
            log.info("mail %s (%s) may have left before a crash: not sent again", mail.id, kind)
            queue.finish_mail(mail)
            return

        left: list[bool] = []

        def ready() -> None:
            if kind not in _ONCE:
                return
            if not queue.hand_over(mail):
                raise _LostLease
            left.append(True)

        try:
            self.bridge.transport.send(self.bridge.mailer.write(self._occasion(mail, kind)), ready)
        except _LostLease:
            return
        except MailLater as error:
            if error.maybe and left:
                log.warning("mail %s (%s) may have left: not sent again", mail.id, kind)
                queue.finish_mail(mail)
                return
            self._put_off(mail, error.reason, error.wait)
        except MailRefused as error:
            log.warning("mail %s (%s) refused: %s", mail.id, kind, error.reason)
            self._bounced(mail, error.code, now)
            queue.finish_mail(mail)
        else:
            queue.finish_mail(mail)

    def _put_off(self, mail: Mail, reason: str, wait: float | None = None) -> None:
        if self.bridge.store.queue.put_off_mail(mail, reason, wait):
            log.warning("mail %s (%s) put off: %s", mail.id, mail.kind, reason)
        else:
            log.error("mail %s (%s) given up: %s", mail.id, mail.kind, reason)

    def _occasion(self, mail: Mail, kind: MailKind) -> Occasion:
        person, bridge = mail.person, self.bridge
        languages = bridge.policy.languages
        language = mail.language if mail.language in languages else languages[0]
        occasion = Occasion(
            key=mail.id,
            kind=kind,
            subject=person.id,
            mark=person.mark,
            email=person.email,
            language=language,
            purposes=mail.purposes,
            asked=mail.made,
            request=mail.request,
            channel=mail.channel,
        )
        if kind is not MailKind.WELCOME:
            return occasion
        return receipt(bridge, person, occasion)

    def _bounced(self, mail: Mail, code: str, now: datetime) -> None:
        kind = bounce_type(code)
        if kind is not None:
            report = Report(type=kind, email=mail.person.email, time=now, key=mail.id, detail=code)
            self.bridge.store.hear("mail", [report])

    # -- ESPs ---------------------------------------------------------------------------------------------------

    def pushes(self, name: str) -> int:
        """Tell one ESP how its members should be, stops first; how many people were taken up."""
        adapter = self.bridge.adapters[name]
        claimed = self.bridge.store.queue.claim_pushes(name, adapter.batch)
        if not claimed:
            return 0
        closed = self._contract_problem(name)
        if closed:
            log.error("%s: %s; only stops are sent", name, closed)
        results: list[tuple[Push, Outcome]] = []
        ready = []
        for push in claimed:
            held = self._held(name, push, closed)
            if held is None:
                ready.append(push)
            else:
                results.append((push, held))
        results += zip(ready, self._put(name, ready), strict=True)
        for push, outcome in results:
            if outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.LATER):
                log.warning("%s: subject %s %s: %s", name, push.person.id, outcome.kind, outcome.reason)
        self.bridge.store.queue.finish_pushes((push, self._unless_hidden(name, push, told)) for push, told in results)
        return len(claimed)

    def _unless_hidden(self, name: str, push: Push, outcome: Outcome) -> Outcome:
        """A new yes that a pause hides has not been told yet: it must still count as new when the pause ends."""
        now = self.bridge.clock()
        paused = [purpose for purpose in self.bridge.policy.places(name) if _is_paused(push, purpose, now)]
        if outcome.kind is not OutcomeKind.DONE or not _new_yes(push, paused, self.bridge.limits(now)):
            return outcome
        ends = [end - now for purpose in paused if (end := paused_until(push.history, purpose))]
        return Outcome(OutcomeKind.LATER, "paused", min(ends).total_seconds())

    def _contract_problem(self, name: str) -> str | None:
        """Why nothing new may go to this processor today, by the policy's own calendar (REG-02)."""
        policy = self.bridge.policy
        return policy.processor_problem(name, self.bridge.clock().astimezone(policy.zone).date())

    def _held(self, name: str, push: Push, closed: str | None) -> Outcome | None:
        """Why this person is not told now: the contract ran out, or a job that names her is still open."""
        if push.job is not None:
            outcome = self._job_of(name, push, push.job)
            if outcome is not None:
                return outcome
        if closed and not push.stop:
            return Outcome(OutcomeKind.LATER, "processor closed", _UNTIL_MENDED)
        return None

    def _job_of(self, name: str, push: Push, open_job: str) -> Outcome | None:
        """What became of an open job; None when it is over and how things are now must be said."""
        sent, _, job = open_job.partition("|")
        member = self._member(name, push)
        if push.stop and (member.stopped or member.blocked):
            # A stop goes at once, and again when the job has ended (decision 24). A new yes waits for that.
            self._call(name, [msgspec.structs.replace(member, fresh=frozenset())])
        outcome = self._follow(name, job)
        if outcome.kind is OutcomeKind.PENDING:
            return outcome._replace(job=open_job)
        if outcome.kind is OutcomeKind.DONE and sent != _state(push, member):
            return None
        return outcome

    def _follow(self, name: str, job: str) -> Outcome:
        try:
            return self.bridge.adapters[name].follow(job)
        except AdapterError as error:
            return Outcome(OutcomeKind.PENDING, error.reason, error.wait)
        except Exception as error:  # an adapter's own mistake: the job may still be open
            log.error("%s: %s while following a job", name, type(error).__name__)
            return Outcome(OutcomeKind.PENDING, "adapter failed")

    def _put(self, name: str, pushes: Sequence[Push]) -> list[Outcome]:
        members = [self._member(name, push) for push in pushes]
        return [
            outcome._replace(job=f"{_state(push, member)}|{outcome.job}")
            if outcome.kind is OutcomeKind.PENDING
            else outcome
            for push, member, outcome in zip(pushes, members, self._call(name, members), strict=True)
        ]

    def _call(self, name: str, members: Sequence[Member]) -> list[Outcome]:
        """Call the ESP. Whatever happens there gives each person an outcome."""
        if not members:
            return []
        try:
            outcomes = self.bridge.adapters[name].put(members)
            if len(outcomes) != len(members):
                raise RuntimeError
        except Misconfigured as error:
            log.error("%s: %s", name, error.reason)
            return [Outcome(OutcomeKind.LATER, "misconfigured", _UNTIL_MENDED)] * len(members)
        except AdapterError as error:
            log.warning("%s: %s", name, error.reason)
            return [Outcome(OutcomeKind.LATER, error.reason, error.wait)] * len(members)
        except Exception as error:  # an adapter's own mistake with one person must not hold back the others
            if len(members) > 1:
                return [outcome for member in members for outcome in self._call(name, [member])]
            log.error("%s: %s in the adapter", name, type(error).__name__)
            return [Outcome(OutcomeKind.LATER, "adapter failed")]
        return outcomes

    def _member(self, name: str, push: Push) -> Member:
        """How this person should be at this ESP now. Nothing but this leaves the house (MIN-04)."""
        now = self.bridge.clock()
        # A contract that ran out holds back everything but stops (`_held`); it is no "no" of hers.
        limits = msgspec.structs.replace(self.bridge.limits(now), closed={})
        person, history, policy = push.person, push.history, self.bridge.policy
        purposes = policy.places(name)
        closed = blocks(history, limits)
        on = frozenset(purpose for purpose in purposes if is_on(history, purpose, now, limits))
        fresh = _new_yes(push, on, limits)
        if self._contract_problem(name):
            on, fresh = on - fresh, frozenset()  # without a contract nothing new begins there (REG-02)
        stopped = frozenset(p for p in purposes if p not in on and (closed or _is_stopped(push, p)))
        paused = frozenset(p for p in purposes if p not in on and not closed and _is_paused(push, p, now))
        fields = {
            field.id: person.fields[field.id]
            for field in policy.fields.values()
            if name in field.at and field.id in person.fields and on & set(field.purposes)
        }
        token = stop_token(self.bridge.links, person.id, person.mark, min(history[0].time, now) if history else now)
        return Member(
            email=person.email,
            language=person.language,
            on=on,
            stopped=stopped,
            fresh=fresh,
            paused=paused,
            # A dead address is stopped per purpose only: a global stop there would also hold back her own
            # confirmation mail, which is what brings her back (R7).
            blocked=bool(closed.keys() - {Block.BOUNCED}),
            link=self.bridge.links.url("/preferences/", token),
            fields=fields,
        )


def _state(push: Push, member: Member) -> str:
    """What an ESP was told of a person, to see later whether things have changed since."""
    return f"{push.number} {' '.join(sorted(member.on))}"


def _new_yes(push: Push, purposes: Collection[str], limits: Limits) -> frozenset[str]:
    """For which of these a standing yes of her own is newer than what the ESP was told last.

    A new yes that brings a dead address back to life renews all that stood: the ESP was told to stop it (R7).
    """
    new = {event.key for event in push.history[push.put : push.number]}
    before = [event for event in push.history if event.type is not EventType.GIVEN or event.key not in new]
    revived = Block.BOUNCED in blocks(before, limits) and Block.BOUNCED not in blocks(push.history, limits)
    yes = {purpose: standing(push.history, purpose).by for purpose in purposes}
    return frozenset(
        purpose
        for purpose, by in yes.items()
        if by is not None and by.confirmed and by.type is EventType.GIVEN and (revived or by.key in new)
    )


def _is_paused(push: Push, purpose: str, now: datetime) -> bool:
    pause = paused_until(push.history, purpose)
    return pause is not None and pause > now and standing(push.history, purpose).status in MAILABLE


def _is_stopped(push: Push, purpose: str) -> bool:
    by = standing(push.history, purpose).by
    return by is not None and by.type in STOPS
