"""What the outbox promises, carried out: mails to readers, and each ESP told how its members should be.

One lane for mail and five per adapter (erasures, stops, jobs, looks, the rest), so that an ESP that hangs slows no
other and bulk work no stop.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import msgspec

from bridge.adapter import MailLater, MailRefused
from bridge.bootstrap import Bridge
from bridge.decide import Contact, gate
from bridge.jobs.checkpoints import Notary
from bridge.jobs.clock import StopWatch
from bridge.jobs.erasing import Eraser
from bridge.jobs.looking import Looker
from bridge.jobs.push import Pusher
from bridge.jobs.receipt import goodbye, receipt
from bridge.jobs.repermission import Asker, changed, confirmed
from bridge.jobs.requests import RequestWatch
from bridge.jobs.retention import Purge
from bridge.mailer import Occasion
from bridge.settings import BadSetting
from bridge.store import Mail, StoreAway
from bridge.store.answering import NOTED
from bridge.store.campaigns import State
from bridge.vocabulary import EventType, Letter, MailKind, Report, bounce_type, masked_email

log = logging.getLogger("bridge.dispatch")

#: Mails that may not go twice: killed between hand-over and commit, they are not sent again (decision 25).
_ONCE = frozenset({MailKind.WELCOME, MailKind.GOODBYE, MailKind.REPERMISSION, MailKind.BREACH, MailKind.OF_AGE})

#: A question of a campaign that is paused, or about what many complain of, is looked at again after so long.
_HELD = timedelta(hours=1)

#: A question that waited longer is taken back: its link and its day count from when it was promised.
_STALE = timedelta(days=3)

#: So few at a time that the last one leaves before the lease ends, however slow the mail server is.
_MAILS_AT_ONCE = 10

_IDLE_SECONDS = 1.0

#: Rounds of forgetting, one a minute: what reads all of the history is done in one of so many.
_EACH_HOUR, _EACH_DAY = 60, 24 * 60


class _LostLease(Exception):
    """Somebody else holds this work now."""


class Dispatcher:
    """Carries out promised work. Several may run at once, in one process or many."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pushers: dict[str, Pusher] = {}
        self._watch = StopWatch(bridge)
        self._requests = RequestWatch(bridge)
        self._asker = Asker(bridge)
        self._notary = Notary(bridge)

    # -- running ------------------------------------------------------------------------------------------------

    def once(self) -> int:
        """Do everything that is due now; how many pieces of work were taken up."""
        done = self.work()
        self.raise_alarms()
        self.seal()
        return done

    def work(self, more: Callable[[], bool] = lambda: True) -> int:
        """Do what is due, stops first, until nothing is or `more` says no; how many pieces of work were taken up."""
        self.bridge.check_keys()
        done = self.bridge.acts.parking.replay()
        lanes = self._in_turn(more)
        while taken := sum(lane() for lane in lanes if more() and not self._stop.is_set()):
            done += taken
        return done

    def answer(self, rows: Sequence[str | int], more: Callable[[], bool]) -> int:
        """Do what a doorbell rang for. When these rows are done already, somebody else has looked at what was due."""
        return self.work(more) if not rows or self.bridge.store.queue.waits(rows) else 0

    def raise_alarms(self) -> None:
        """Say what is late, or soon will be: a no that a platform was not told, a request that was not answered."""
        self._watch.look()
        self._requests.look()

    def seal(self) -> int:
        """Sign a checkpoint of the history where one is due; how many were."""
        return self._notary.look()

    def _in_turn(self, more: Callable[[], bool]) -> list[Callable[[], int]]:
        """Every lane, for whoever goes through them one after the other."""
        pushers = {name: self._pusher(name) for name in self.bridge.adapters}
        stops = [lane for name, pusher in pushers.items() for lane in (self._eraser(name).erasures, pusher.stops)]
        others = [lane for pusher in pushers.values() for lane in (pusher.jobs, pusher.others, Looker(pusher).looks)]
        store = self.bridge.store
        before = [self._asker.look, store.end_guardians, store.tell_of_breaches]
        return [*stops, *before, lambda: self.mails(more), *others]

    def start(self, workers: int = 1) -> None:
        """Run every lane in threads of its own, until `stop`."""
        self.bridge.wake = self._wake.set
        lanes: dict[str, Callable[[], int]] = {"mail": self.mails, "breaches": self.bridge.store.tell_of_breaches}
        for name in self.bridge.adapters:
            pusher = self._pusher(name)
            lanes[f"{name} erasures"] = self._eraser(name).erasures
            lanes[f"{name} looks"] = Looker(pusher).looks
            lanes |= {f"{name} stops": pusher.stops, f"{name} jobs": pusher.jobs, name: pusher.others}
        for name, lane in lanes.items():
            for number in range(workers):
                thread = threading.Thread(target=self._lane, args=(name, lane), name=f"{name}-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
        for name, chore in (
            ("purge", self._purge),
            ("withdrawal clock", lambda: self._each(60.0, "withdrawal clock", self.raise_alarms)),
            ("questions", lambda: self._each(60.0, "asking once more", lambda: self._until_done(self._asker.look))),
            ("checkpoints", lambda: self._each(60.0, "checkpoint", self.seal)),
        ):
            thread = threading.Thread(target=chore, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def start_replay(self, before: Callable[[], object] = lambda: None) -> None:
        """Only write the stops that were parked by this machine's pages, where the sending is done on another.

        `before` is called each time: whatever has to be right before anything is written.
        """

        def replay() -> None:
            before()
            self.bridge.acts.parking.replay()

        chore = partial(self._each, _IDLE_SECONDS, "parked stops", replay)
        thread = threading.Thread(target=chore, name="parked stops", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self, seconds: float = 10.0) -> bool:
        """Let each lane finish what it is at, for so long at most; True when all have ended.

        What was claimed and not begun is given back; what takes longer comes back when its lease ends.
        """
        self._stop.set()
        self._wake.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def forget(self) -> int:
        """Forget what is kept for hours or days only; for a timetable, each hour. How much that was."""
        return self._forget_requests() + self._purge_quarantine()

    def _lane(self, name: str, lane: Callable[[], int]) -> None:
        while not self._stop.is_set():
            try:
                self.bridge.check_keys()  # without a key that others use already, a "no" might be overlooked
                self.bridge.acts.parking.replay()
                taken = lane()
            except StoreAway as error:
                log.warning("%s: the store is away (%s)", name, error)
                taken = 0
            except BadSetting as error:
                log.error("%s: nothing is sent: %s", name, error)
                taken = 0
            except Exception as error:  # a lane must not die of one bad row; its lease brings it back
                log.error("%s: %s, tried again later", name, type(error).__name__)
                taken = 0
            if not taken:
                self._wake.wait(_IDLE_SECONDS)
                self._wake.clear()

    def _each(self, seconds: float, what: str, chore: Callable[[], object]) -> None:
        """Do a chore every so many seconds, until `stop`. What fails now is done later: such a thread must not end."""
        while not self._stop.wait(seconds):
            try:
                chore()
            except StoreAway:
                continue
            except Exception as error:
                log.error("%s: %s, tried again later", what, type(error).__name__)

    def _until_done(self, look: Callable[[], int]) -> None:
        while look() and not self._stop.is_set():
            pass

    def _purge(self) -> None:
        rounds, daily = count(), 0

        def chore() -> None:
            nonlocal daily
            number = next(rounds)
            self._until_done(self.bridge.store.end_guardians)
            self._forget_requests()
            if number % _EACH_HOUR == 0:
                self._purge_quarantine()
            if number >= daily:
                self.purge()
                daily = number + _EACH_DAY

        self._each(60.0, "retention", chore)

    def _forget_requests(self) -> int:
        if gone := self.bridge.store.forget_requests():
            log.info("unconfirmed requests deleted: %d", gone)
        self.bridge.store.forget_wishes()
        return gone

    def _purge_quarantine(self) -> int:
        """Whom somebody else's list brought without a proof is kept for less than a month (CHN-04)."""
        if gone := Purge(self.bridge, halt=self._stop.is_set).quarantined():
            log.info("contacts of third parties' lists without proof deleted: %d", gone)
        return gone

    def purge(self, more: Callable[[], bool] = lambda: True) -> int:
        """What the policy's time is over for is forgotten once a day (MIN-06); killed, it goes on the next time."""
        counts = Purge(self.bridge, halt=lambda: self._stop.is_set() or not more()).run()
        if any(counts.values()):
            log.info("retention: %s", ", ".join(f"{rule} {count}" for rule, count in counts.items() if count))
        return sum(counts.values())

    # -- mail ---------------------------------------------------------------------------------------------------

    def mails(self, more: Callable[[], bool] = lambda: True) -> int:
        """Send the mails that are due, until `more` says no: the rest is given back. How many were taken up."""
        mails = self.bridge.store.queue.claim_mails(_MAILS_AT_ONCE)
        for place, mail in enumerate(mails):
            if self._stop.is_set() or not more():
                self.bridge.store.queue.give_back(mails[place:])
                return place
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
        passed = self._at_the_gate(mail, kind, now)
        if passed is None or not self._is_noted(passed, kind):
            return
        mail = passed
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
            self._send(self.bridge.mailer.write(self._occasion(mail, kind)), ready)
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
            if kind is MailKind.REPERMISSION:
                queue.note_returned(mail, dead=bounce_type(error.code) is EventType.BOUNCED)
            queue.finish_mail(mail)
        else:
            queue.finish_mail(mail)

    def _is_noted(self, mail: Mail, kind: MailKind) -> bool:
        """Of a question it is noted that it leaves now: how soon somebody says yes tells who it was (CON-05)."""
        if kind not in NOTED or (mail.handed and kind in _ONCE):
            return True
        mailer = self.bridge.mailer
        template = mailer.templates.hash(kind, self._language(mail))
        return self.bridge.store.queue.ask(mail, coded=mailer.has_code(kind), template=template)

    def _at_the_gate(self, mail: Mail, kind: MailKind, now: datetime) -> Mail | None:
        """The mail as it may leave now; None where it may not, or not yet."""
        queue = self.bridge.store.queue
        history = self.bridge.store.history(mail.person)  # read again: others were sent since this one was claimed
        limits = self.bridge.limits(now)
        if kind in (MailKind.CONFIRM, MailKind.GUARDIAN):  # what was answered meanwhile is not asked again
            waiting = tuple(p for p in mail.purposes if gate(kind, history, [p], now, limits).may)
            mail = msgspec.structs.replace(mail, purposes=waiting or mail.purposes)
        contact: Contact | None = None
        if kind is MailKind.REPERMISSION:
            if abs(now - mail.made) > _STALE:
                log.info("mail %s (%s) not sent: it waited too long", mail.id, kind)
                queue.drop_mail(mail)
                return None
            state, contact = self.bridge.store.campaigns.question(mail, confirmed=confirmed(self.bridge, mail.purposes))
            held = self.bridge.store.complaints.held(now, limits)
            if state is State.PAUSED or not held.keys().isdisjoint(mail.purposes):
                queue.hold_mail(mail, _HELD)
                return None
            campaign = self.bridge.store.campaigns.find(mail.request) if contact else None
            if campaign is None or changed(self.bridge, campaign):
                contact = None  # it would not say what was approved
        answer = gate(kind, history, mail.purposes, now, limits, contact=contact)
        if answer.may:
            return mail
        log.info("mail %s (%s) not sent: %s", mail.id, kind, "; ".join(answer.why))
        queue.drop_mail(mail)
        return None

    def _send(self, letter: Letter, ready: Callable[[], None]) -> None:
        """Hand over a letter. After an error that nobody thought of, it may have left all the same."""
        try:
            self.bridge.transport.send(letter, ready)
        except (MailLater, MailRefused, StoreAway, _LostLease):
            raise
        except Exception as error:
            raise MailLater(f"{type(error).__name__} in the transport", maybe=True) from None

    def _put_off(self, mail: Mail, reason: str, wait: float | None = None) -> None:
        if self.bridge.store.queue.put_off_mail(mail, reason, wait):
            log.warning("mail %s (%s) put off: %s", mail.id, mail.kind, reason)
        else:
            log.error("mail %s (%s) given up: %s", mail.id, mail.kind, reason)

    def _language(self, mail: Mail) -> str:
        languages = self.bridge.policy.languages
        return mail.language if mail.language in languages else languages[0]

    def _occasion(self, mail: Mail, kind: MailKind) -> Occasion:
        person, bridge, language = mail.person, self.bridge, self._language(mail)
        occasion = Occasion(
            key=mail.id,
            kind=kind,
            subject=person.id,
            mark=person.mark,
            email=mail.to or person.email,
            about=masked_email(person.email) if mail.to else "",
            child=mail.child,
            language=language,
            purposes=mail.purposes,
            asked=mail.made,
            request=mail.request,
            channel=mail.channel,
            until=mail.made
            + bridge.policy.repermission.answer_within.time
            - timedelta(days=1),  # the whole of that day
            statement=bridge.board.mail(bridge.clock()),
        )
        if kind is MailKind.GOODBYE:
            return goodbye(bridge, person, occasion)
        if kind is MailKind.BREACH:
            told = bridge.store.breaches.find(int(mail.request)).facts.approved
            words = told.get(language) or next(iter(told.values()))
            return msgspec.structs.replace(occasion, words=words)
        if kind is not MailKind.WELCOME:
            return occasion
        return receipt(bridge, person, occasion)

    def _bounced(self, mail: Mail, code: str, now: datetime) -> None:
        kind = bounce_type(code)
        if kind is not None and not mail.to:  # else it is not her address that is dead
            report = Report(type=kind, email=mail.person.email, time=now, key=mail.id, detail=code)
            self.bridge.store.hear("mail", [report])

    # -- ESPs ---------------------------------------------------------------------------------------------------

    def pushes(self, name: str) -> int:
        """Tell one ESP what is due, erasures and stops first; how many people and jobs were taken up."""
        pusher = self._pusher(name)
        told = self._eraser(name).erasures() + pusher.stops() + pusher.jobs() + pusher.others()
        return told + Looker(pusher).looks()

    def _eraser(self, name: str) -> Eraser:
        return Eraser(self._pusher(name))

    def _pusher(self, name: str) -> Pusher:
        return self._pushers.setdefault(name, Pusher(self.bridge, name))
