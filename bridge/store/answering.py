"""Questions that wait for a yes: what is noted when one is asked and when its mail leaves, and how a yes to it came in.

Everything here is done under the lock of the person who was asked, so that codes that are typed at the same moment are
counted one after the other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, or_

from bridge.decide import AT_ONCE, TRIES, Way, by_button, must_wait, stamped
from bridge.store.door import Batch
from bridge.store.errors import TooMany
from bridge.store.sql import Hand, Sql
from bridge.store.values import Mail
from bridge.tables import moment, open_questions
from bridge.vault import Vault
from bridge.vocabulary import ConsentEvent, Hold, MailKind, Road, micros, normal_email

_ASK = Sql("INSERT INTO open_questions (subject, kind, request, asked, place) VALUES (?, ?, ?, ?, ?)")
_SENT = Sql(
    "UPDATE open_questions SET domain = ?, sent = ?, coded = ?, template = ? "
    "WHERE subject = ? AND kind = ? AND request = ?"
)
_SENT_FIRST = Sql(
    "INSERT INTO open_questions (subject, kind, request, asked, domain, sent, coded, template) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (subject, kind, request) DO UPDATE SET domain = excluded.domain, sent = excluded.sent, "
    "coded = excluded.coded, template = excluded.template"
)
_FIND = Sql(
    "SELECT asked, place, domain, sent, coded, tries, held, doubt, template FROM open_questions "
    "WHERE subject = ? AND kind = ? AND request = ?"
)
_AT = Sql(
    "SELECT s.id, q.kind, q.request FROM open_questions q JOIN subjects s ON s.number = q.subject "
    "WHERE q.place = ? ORDER BY q.asked DESC, q.subject, q.kind, q.request LIMIT 10"
)
_OF_FORM = Sql(
    "SELECT s.id, q.kind, q.request FROM open_questions q JOIN subjects s ON s.number = q.subject "
    "WHERE q.place = ? AND q.request = ? ORDER BY q.subject, q.kind"
)
_WRONG = Sql("UPDATE open_questions SET tries = tries + 1 WHERE subject = ? AND kind = ? AND request = ?")
_HOLD = Sql("UPDATE open_questions SET held = ?, doubt = ? WHERE subject = ? AND kind = ? AND request = ?")
_DONE = Sql("DELETE FROM open_questions WHERE subject = ? AND kind = ? AND request = ?")
_RECENT = Sql("SELECT count(*) FROM throttle WHERE bucket = ? AND time > ?")
_COUNT = Sql("INSERT INTO throttle (bucket, time) VALUES (?, ?)")
_TAKE_TURNS = Sql("SELECT pg_advisory_xact_lock(?)")

#: Questions that are noted here, each of which one press answers with yes.
NOTED = frozenset({MailKind.CONFIRM, MailKind.GUARDIAN, MailKind.OF_AGE, MailKind.REPERMISSION, MailKind.MOVE})

#: What a form is noted as: a question; or, where she gets all of it already, one that asks her nothing. That is noted
#: too, so that digits are the same work for every address (CAP-09).
FORMS = frozenset({MailKind.CONFIRM, MailKind.SUBSCRIBED})

#: Answers of a plan that was not carried out: the code is asked for, or it was not right.
HELD, WRONG = "held", "wrong"


class Asked(NamedTuple):
    """Which question is answered."""

    kind: MailKind
    request: str


class Press(NamedTuple):
    """What came with a yes. `is_code` says whether the digits that were typed are those of a mail, by person's id and
    question; None where none were typed."""

    place: str = ""  # of the browser's cookie
    form: str = ""  # the request of the form that the digits were typed behind; empty = not known
    is_code: Callable[[str, Asked], bool] | None = None
    hold: Hold = Hold.NEVER
    network: str = ""
    most_wrong: int = 20  # wrong codes of one network in an hour


class Question(NamedTuple):
    """One that waits."""

    asked: datetime
    place: str | None
    domain: bytes | None
    sent: datetime | None
    coded: bool
    tries: int
    held: datetime | None
    doubt: str | None
    template: str | None  # which words the mail said when it left; None = it has not, or left before that was noted


def note_asked(batch: Batch, number: int, asked: Asked, place: str) -> None:
    """A form was sent from a browser with this place; empty where it keeps none."""
    _ASK.run(batch.db, (number, asked.kind.value, asked.request, micros(batch.now), place or None))


def note_sent(db: Connection, vault: Vault, mail: Mail, now: datetime, *, coded: bool, template: str) -> None:
    """The mail that asks is about to leave. What a form asked is noted since then, and no more once it is answered."""
    domain = vault.bucket("domain", normal_email(mail.to or mail.person.email).rpartition("@")[2])
    mine = (mail.person.number, mail.kind, mail.request)
    told = (domain, micros(now), coded, template)
    if mail.kind == MailKind.CONFIRM:
        _SENT.run(db, (*told, *mine))
    else:
        _SENT_FIRST.run(db, (*mine, micros(mail.made), *told))


def find(db: Hand | Connection, number: int, asked: Asked) -> Question | None:
    """The question as it waits; None where it was answered, or is from before questions were noted."""
    for row in _FIND.rows(db, (number, asked.kind.value, asked.request)):
        at, place, domain, sent, coded, tries, held, doubt, template = row
        return Question(
            asked=moment(at),
            place=place,
            domain=None if domain is None else bytes(domain),
            sent=None if sent is None else moment(sent),
            coded=bool(coded),
            tries=tries,
            held=None if held is None else moment(held),
            doubt=doubt,
            template=template,
        )
    return None


def asked_at(db: Hand | Connection, place: str, form: str) -> list[tuple[str, Asked]]:
    """Who signed up from a browser with this place lately and has not confirmed: ids and questions, the newest first.
    With `form` only by that one."""
    found = _OF_FORM.rows(db, (place, form)) if form else _AT.rows(db, (place,))
    return [(subject, Asked(MailKind(kind), request)) for subject, kind, request in found if kind in FORMS]


def way_of(batch: Batch, number: int, asked: Asked, question: Question | None, press: Press) -> Way | str:
    """By which road a yes came; or `HELD` or `WRONG`, where it is not one yet. Counts what must be counted."""
    if question is None:
        return Way(Road.BUTTON)
    subject = batch.people[number].person.id
    if press.place and press.place == question.place:
        return Way(Road.SAME_BROWSER)
    if press.is_code is not None:
        check_guesses(batch, press)
        if is_right(question, subject, asked, press.is_code):
            return Way(Road.CODE)
        count_wrong(batch, press, [(number, asked)])
        return WRONG
    way = by_button(batch.now, question.sent, _others(batch, question))
    if not must_wait(way, press.hold, coded=question.coded, held=question.held is not None):
        return way
    if question.held is None:
        doubts = " ".join(way.doubts) or None
        _HOLD.run(batch.db, (micros(batch.now), doubts, number, asked.kind.value, asked.request))
    return HELD


def proven(events: Sequence[ConsentEvent], way: Way, question: Question | None) -> list[ConsentEvent]:
    """What she says, with its road in the proof, and the words that her mail said: today's may be others."""
    told = stamped(events, way)
    if question is None or question.template is None:
        return told
    sent = question.template
    return [
        msgspec.structs.replace(event, evidence=msgspec.structs.replace(event.evidence, template=sent))
        for event in told
    ]


def is_right(question: Question, subject: str, asked: Asked, is_code: Callable[[str, Asked], bool]) -> bool:
    """Whether the code of a question was typed, whose mail has left, and which was not guessed at too often."""
    return question.sent is not None and question.tries < TRIES and is_code(subject, asked)


def take_turns(batch: Batch, press: Press) -> None:
    """Let codes that are typed at the same moment, in one network or browser, count each other. Before anybody is
    locked: whoever has a turn waits for people, and nobody the other way about."""
    if press.is_code is not None and batch.db.dialect == "postgresql":
        buckets = [_network(batch, press), *([_browser(batch, press)] if press.place else [])]
        for bucket in sorted(buckets):
            _TAKE_TURNS.rows(batch.db, (int.from_bytes(bucket[:8], "big", signed=True),))


def check_guesses(batch: Batch, press: Press) -> None:
    """`TooMany` where a network typed too many wrong codes: not even a right one is looked at then."""
    ((times,),) = _RECENT.rows(batch.db, (_network(batch, press), micros(batch.now - timedelta(hours=1))))
    if times >= press.most_wrong:
        raise TooMany(3600)


def may_guess(batch: Batch, press: Press) -> bool:
    """Whether digits that name no form may be looked at. Wrong ones count for their browser then, and spend nobody's
    tries: several people may sign up in one."""
    if press.form:
        return True
    ((times,),) = _RECENT.rows(batch.db, (_browser(batch, press), micros(batch.now - batch.limits.pending_ttl)))
    return bool(times < TRIES)


def count_wrong(batch: Batch, press: Press, guessed: Sequence[tuple[int, Asked]]) -> None:
    """A wrong code counts for its network, and for the question that it was meant for: where that is not known, for
    the browser."""
    of_browser = press.place and not press.form and not guessed
    buckets = [_network(batch, press), *([_browser(batch, press)] if of_browser else [])]
    _COUNT.many(batch.db, [(bucket, micros(batch.now)) for bucket in buckets])
    _WRONG.many(batch.db, [(number, asked.kind.value, asked.request) for number, asked in guessed])


def _network(batch: Batch, press: Press) -> bytes:
    return batch.vault.bucket("code network", press.network)


def _browser(batch: Batch, press: Press) -> bytes:
    return batch.vault.bucket("code browser", press.place)


def done(batch: Batch, number: int, asked: Asked) -> None:
    """It is answered."""
    _DONE.run(batch.db, (number, asked.kind.value, asked.request))


def forget(db: Connection, ends: dict[MailKind, datetime]) -> None:
    """Questions that were asked before these moments, by kind: nobody can answer them any more."""
    old = (((open_questions.c.kind == kind.value) & (open_questions.c.asked < end)) for kind, end in ends.items())
    db.execute(delete(open_questions).where(open_questions.c.asked < max(ends.values()), or_(*old)))


def _others(batch: Batch, question: Question) -> int:
    """Other people's buttons of that domain, pressed just now; this one counts for theirs."""
    if question.domain is None:
        return 0
    bucket = batch.vault.bucket("pressed", question.domain.hex())
    if batch.db.dialect == "postgresql":  # who presses at this same moment is not seen before she has committed
        _TAKE_TURNS.rows(batch.db, (int.from_bytes(bucket[:8], "big", signed=True),))
    ((others,),) = _RECENT.rows(batch.db, (bucket, micros(batch.now - AT_ONCE)))
    if question.held is None:
        _COUNT.run(batch.db, (bucket, micros(batch.now)))
    return int(others)
