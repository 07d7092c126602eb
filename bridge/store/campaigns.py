"""Campaigns that ask contacts without proof once more: planned, begun, held, and how far they are (AUD-03 to AUD-05).

That an address was asked is written with the promise of its mail, under a keyed hash of address and purpose that the
database takes once. The hash outlives erasure, rotation of keys and restored backups; nothing else of her does.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import and_, delete, exists, func, insert, or_, select, update

from bridge.decide import Contact, Wave, from_bits, may_ask_once_more, proof
from bridge.store.bought import noted
from bridge.store.door import Batch
from bridge.store.engine import Database
from bridge.store.errors import BadInput
from bridge.store.funnel import Funnel, funnel, kept, tally
from bridge.store.rows import Opened, Rows, listed, with_stops
from bridge.store.sql import Hand, Sql
from bridge.store.values import Mail, Person
from bridge.tables import EVENT_TYPES, asked, campaigns, outbox, subjects, waves
from bridge.vault import new_typed_id
from bridge.vocabulary import EventType, Limits, MailKind, micros

_CANDIDATES = Sql(
    "SELECT subject, missing FROM unproven WHERE subject > ? AND subject <= ? AND purpose = ? ORDER BY subject LIMIT ?"
)
_KNOWN = Sql("SELECT hash FROM asked WHERE hash IN ({})")
_HERS = Sql("SELECT subject, purpose FROM asked WHERE subject IN ({})")
_LOCKED = Sql("SELECT state, done, wave FROM campaigns WHERE id = ? [FOR UPDATE]")
#: How many a wave asked already: who is here, and who no longer is.
_COUNT = Sql(
    "SELECT (SELECT count(*) FROM asked WHERE campaign = ? AND wave = ?) + COALESCE("
    "(SELECT yes + no + complained + bounced + removed FROM waves WHERE campaign = ? AND wave = ?), 0)"
)
_ASKED = Sql(
    "INSERT INTO asked (hash, purpose, time, campaign, wave, subject, mail) VALUES (?, ?, ?, ?, ?, ?, ?)", table=asked
)
_WAVE = Sql("INSERT INTO waves (campaign, wave, size, begun) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
_GO_ON = Sql("UPDATE campaigns SET done = ?, wave = ? WHERE id = ?")
#: One campaign asks at a time, also where two are begun at this moment.
_ALONE = Sql("SELECT pg_advisory_xact_lock(72051209)")
_BUSY = Sql("SELECT purpose FROM campaigns WHERE state IN ('running', 'paused') AND id <> ?")
_START = Sql("UPDATE campaigns SET state = 'running', started = ? WHERE id = ? AND state = 'planned'")
#: Whether a campaign is under way, or anybody's time to answer is over.
_ANY = Sql(
    "SELECT EXISTS (SELECT 1 FROM campaigns WHERE state IN ('running', 'paused', 'asked')) "
    "OR EXISTS (SELECT 1 FROM asked WHERE due <= ? AND due IS NOT NULL AND subject IS NOT NULL)"
)
_SENT = Sql(
    "UPDATE asked SET sent = ?, due = ? + 86400000000 * "
    "COALESCE((SELECT answer_days FROM campaigns c WHERE c.id = asked.campaign), 60) WHERE mail = ?"
)
_UNSENT = Sql("UPDATE asked SET sent = NULL, due = NULL WHERE mail = ?")
_FREE = Sql("DELETE FROM asked WHERE mail = ? AND sent IS NULL AND NOT returned")
#: Whether anybody whom the campaign of a mail asked has complained since: who is here, and who no longer is.
_COMPLAINED = (
    "SELECT 1 FROM waves w WHERE w.campaign = c.id AND w.complained > 0",
    "SELECT 1 FROM asked o JOIN events e ON e.subject = o.subject AND e.time >= o.time "
    f"WHERE o.campaign = c.id AND e.type = {EVENT_TYPES.index(EventType.COMPLAINED) + 1}",
)
_QUESTION = Sql(
    f"SELECT c.state, a.purpose, u.missing, EXISTS ({_COMPLAINED[0]}) OR EXISTS ({_COMPLAINED[1]}) "
    "FROM asked a JOIN campaigns c ON c.id = a.campaign "
    "JOIN names n ON n.text = a.purpose "
    "LEFT JOIN unproven u ON u.subject = a.subject AND u.purpose = n.number WHERE a.mail = ?"
)

#: So many contacts are looked at in one transaction: no click waits long (decision 16).
_CHUNK = 50
_PAGE = 500

#: The field of a reader that says where she is, if the policy declares it.
COUNTRY = "country"


class State(StrEnum):
    """Where a campaign stands."""

    PLANNED = "planned"
    RUNNING = "running"  # asking, a wave at a time
    PAUSED = "paused"  # by a person
    ASKED = "asked"  # everybody was asked; answers may still come
    STOPPED = "stopped"  # by itself, for good
    DONE = "done"  # nobody has time to answer any more


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign, as it stands. Its fields are the columns of the table."""

    id: str
    purpose: str
    state: State
    why: str
    approver: str
    reason: str
    countries: str
    notice: int
    answer_days: int
    eligible: int
    upto: int
    done: int
    wave: int
    made: datetime
    started: datetime | None
    ended: datetime | None

    @property
    def is_through(self) -> bool:
        """Whether it has come to the last contact it was planned for."""
        return self.done >= self.upto


class WaveNow(msgspec.Struct, frozen=True, kw_only=True):
    """One wave of a campaign, as it stands."""

    wave: int
    size: int
    begun: datetime
    watched: datetime | None
    funnel: Funnel

    @property
    def counts(self) -> Wave:
        """What decides whether the campaign may go on: of a wave whose mails are settled, those that left."""
        asked = self.funnel.asked
        left = asked - self.funnel.unsent if self.watched else min(self.size, asked)
        return Wave(left, self.funnel.bounced, self.funnel.complained)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Who may be asked now, and who not and why: counts only."""

    eligible: int
    not_asked: Mapping[str, int]  # by `Unaskable` reason
    upto: int


class Campaigns:
    """The book of campaigns."""

    def __init__(self, database: Database, rows: Rows, clock: Callable[[], datetime]) -> None:
        self._database, self._rows, self._clock = database, rows, clock

    # -- looking ------------------------------------------------------------------------------------------------

    def all(self) -> list[Campaign]:
        """Every campaign, the newest first."""
        return self._found(select(campaigns).order_by(campaigns.c.made.desc(), campaigns.c.id))

    def find(self, id_: str) -> Campaign | None:
        """One campaign."""
        return next(iter(self._found(select(campaigns).where(campaigns.c.id == id_))), None)

    def has_work(self) -> bool:
        """Whether there may be anything to go on with or to end; asked without a lock, for mostly there is not."""
        with self._database.looking() as db:
            ((any_,),) = _ANY.rows(db, (micros(self._clock()),))
        return bool(any_)

    def in_state(self, *states: State) -> list[Campaign]:
        """Those that stand so, the newest first."""
        query = select(campaigns).where(campaigns.c.state.in_([state.value for state in states]))
        return self._found(query.order_by(campaigns.c.made.desc(), campaigns.c.id))

    def waves(self, id_: str) -> list[WaveNow]:
        """The waves of a campaign, in order, with what became of everybody in them."""
        with self._database.reading() as db:
            rows = db.execute(select(waves).where(waves.c.campaign == id_).order_by(waves.c.wave)).all()
            live, gone = tally(db, asked.c.campaign == id_), kept(db, id_)
        return [
            WaveNow(
                wave=row.wave,
                size=row.size,
                begun=row.begun,
                watched=row.watched,
                funnel=funnel(live.get((id_, row.wave), Counter()) + gone[row.wave]),
            )
            for row in rows
        ]

    def of(self, person: Person) -> list[dict[str, Any]]:
        """What one person was asked by which campaign, and when."""
        query = select(asked.c.campaign, asked.c.purpose, asked.c.time, asked.c.sent).order_by(asked.c.time)
        with self._database.reading() as db:
            return [dict(row) for row in db.execute(query.where(asked.c.subject == person.number)).mappings()]

    def look(self, purpose: str, limits: Limits, *, confirmed: bool, progress: Callable[[int, int], None]) -> Planned:
        """Everybody whom a list named for a purpose without proof: may she be asked, if not, why? Writes nothing."""
        with self._database.reading() as db:
            upto = db.scalar(select(func.max(subjects.c.number))) or 0
        number, now = self._rows.names.number(purpose), self._clock()
        eligible, against, last = 0, Counter[str](), 0
        while True:
            with self._database.looking() as db:
                found: dict[int, int] = dict(_CANDIDATES.rows(db, (last, upto, number, _PAGE)))
                people = self._rows.readable(db, list(found))
                told = self._rows.histories(db, [opened.person for opened in people.values()])
                contacts = self._contacts(db, purpose, people, found, confirmed=confirmed)
                stops = self._rows.stops(db, [opened.person.email for opened in people.values()])
            if not found:
                return Planned(eligible=eligible, not_asked=dict(against.most_common()), upto=upto)
            for subject in found:
                if subject not in people:
                    against["cannot be read: run consent-bridge verify"] += 1
                    continue
                history = with_stops(told[subject], stops[people[subject].person.email])
                answer = may_ask_once_more(history, purpose, contacts[subject], now, limits)
                eligible += answer.may
                against.update([] if answer.may else [str(answer.why[0])])
            last = max(found)
            progress(last, upto)

    def question(self, mail: Mail, *, confirmed: bool) -> tuple[State | None, Contact | None]:
        """What the gate must know of the question in a mail: the state of its campaign, and the contact while that may
        send. Nothing may where anybody complained, though nobody has stopped it yet."""
        with self._database.looking() as db:
            found, bought = next(iter(_QUESTION.rows(db, (mail.id,))), None), noted(db)
        if found is None or mail.purposes != (found[1],):
            return None, None
        state = State(found[0])
        if state not in (State.RUNNING, State.ASKED) or found[3]:
            return state, None
        return state, _contact(mail.person, found[2], bought, asked=False, confirmed=confirmed)

    def _found(self, query: Any) -> list[Campaign]:
        with self._database.reading() as db:
            rows = [{str(name): value for name, value in row.items()} for row in db.execute(query).mappings()]
        return [Campaign(**{**row, "state": State(row["state"])}) for row in rows]

    def _contacts(
        self, db: Hand, purpose: str, people: Mapping[int, Opened], gaps: Mapping[int, int], *, confirmed: bool
    ) -> dict[int, Contact]:
        """What the rule must know of each besides her events."""
        hashes = {self._hash(purpose, opened): number for number, opened in people.items()}
        before = {hashes[bytes(value)] for (value,) in listed(_KNOWN, db, list(hashes))}
        # Whoever moved was asked at an address that she had then.
        before |= {number for number, about in listed(_HERS, db, list(people)) if about == purpose}
        bought = noted(db)
        return {
            number: _contact(opened.person, gaps[number], bought, asked=number in before, confirmed=confirmed)
            for number, opened in people.items()
        }

    def _hash(self, purpose: str, opened: Opened) -> bytes:
        return self._rows.vault.once(purpose, opened.person.email)

    # -- by a person --------------------------------------------------------------------------------------------

    def plan(self, planned: Planned, **about: Any) -> Campaign:
        """Write a campaign down as planned. One that was planned for the same purpose before is forgotten."""
        campaign = Campaign(
            id=new_typed_id(),
            state=State.PLANNED,
            why="",
            eligible=planned.eligible,
            upto=planned.upto,
            done=0,
            wave=0,
            made=self._clock(),
            started=None,
            ended=None,
            **about,
        )
        older = and_(campaigns.c.purpose == campaign.purpose, campaigns.c.state == State.PLANNED.value)
        with self._database.writing() as db:
            db.execute(delete(campaigns).where(older))
            db.execute(insert(campaigns).values(msgspec.structs.asdict(campaign)))
        return campaign

    def start(self, campaign: Campaign) -> None:
        """Let it ask. Raises `BadInput` where it was begun already, or another one is under way."""

        def begin(db: Hand) -> None:
            if db.dialect == "postgresql":
                _ALONE.rows(db)
            if busy := _BUSY.rows(db, (campaign.id,)):
                raise BadInput(f"a campaign about {busy[0][0]} is under way: let it end, or it stays paused")
            if not _START.run(db, (micros(self._clock()), campaign.id)):
                raise BadInput(f"campaign {campaign.id} was begun already: see consent-bridge repermission status")

        self._database.write(begin)

    def pause(self, campaign: Campaign) -> None:
        """Ask nobody until it is resumed; mails that have not left wait."""
        self._change(campaign, State.RUNNING, State.PAUSED)

    def resume(self, campaign: Campaign) -> None:
        """Go on, with the mails that waited first."""
        self._change(campaign, State.PAUSED, State.RUNNING)
        with self._database.writing() as db:
            db.execute(update(outbox).where(outbox.c.id.in_(_mails(campaign))).values(due=self._clock()))

    def _change(self, campaign: Campaign, before: State, after: State) -> None:
        mine = and_(campaigns.c.id == campaign.id, campaigns.c.state == before.value)
        with self._database.writing() as db:
            if not db.execute(update(campaigns).where(mine).values(state=after.value)).rowcount:
                raise BadInput(f"campaign {campaign.id} is not {before}: see consent-bridge repermission status")

    # -- by itself ----------------------------------------------------------------------------------------------

    def ask(self, batch: Batch, campaign: Campaign, size: int, *, confirmed: bool, new: bool) -> int:
        """Come to the next contacts and promise each who may be asked her mail; how many were come to.

        0 where another program has gone on with it. `new`: this begins the next wave, of so many; else it is the rest
        of the last one.
        """
        db, purpose, wave = batch.db, campaign.purpose, campaign.wave + new
        if list(_LOCKED.rows(db, (campaign.id,))) != [(State.RUNNING.value, campaign.done, campaign.wave)]:
            return 0
        room = size - int(_COUNT.rows(db, (campaign.id, wave) * 2)[0][0])
        number = self._rows.names.numbers(db, {purpose})[purpose]
        found: dict[int, int] = dict(_CANDIDATES.rows(db, (campaign.done, campaign.upto, number, _CHUNK)))
        batch.load_numbers(list(self._rows.readable(db, list(found))))
        contacts = self._contacts(db, purpose, batch.people, found, confirmed=confirmed)
        promised: list[tuple[Any, ...]] = []
        last = campaign.done
        for subject in found:
            if len(promised) == room:
                break
            last = subject
            opened, history = batch.people.get(subject), batch.history.get(subject, [])
            if opened is None:
                continue
            if may_ask_once_more(history, purpose, contacts[subject], batch.now, batch.limits).may:
                channel = proof(history, purpose).channel or ""
                kind, language = MailKind.REPERMISSION.value, opened.person.language
                mail = batch.mail(opened, kind, [purpose], language=language, request=campaign.id, channel=channel)
                hash_ = self._hash(purpose, opened)
                promised.append((hash_, purpose, micros(batch.now), campaign.id, wave, subject, mail))
        if len(found) < _CHUNK and last == max(found, default=last):
            last = campaign.upto
        _ASKED.many(db, promised)
        if promised:
            _WAVE.run(db, (campaign.id, wave, size, micros(batch.now)))
        _GO_ON.run(db, (last, wave if promised else campaign.wave, campaign.id))
        return max(1, len(found))

    def watch(self, campaign: Campaign, span: timedelta) -> bool:
        """Begin to watch the last wave, if none of its mails waits any more; whether that is so."""
        mine = and_(asked.c.campaign == campaign.id, asked.c.wave == campaign.wave)
        waiting = select(asked.c.hash).join(outbox, outbox.c.id == asked.c.mail).where(mine)
        row = and_(waves.c.campaign == campaign.id, waves.c.wave == campaign.wave)
        now = self._clock()
        # One that lasts so long was begun before the clock was set back.
        open_ = or_(waves.c.watched.is_(None), waves.c.watched > now + span)
        with self._database.writing() as db:
            change = update(waves).where(row, open_, ~exists(waiting)).values(watched=now + span)
            return bool(db.execute(change).rowcount)

    def end(self, campaign: Campaign, state: State, why: str = "") -> bool:
        """Ask nobody any more; of one that is stopped, mails that have not left are taken back, and whom they were for
        was not asked. False where that is so already."""
        going = (State.RUNNING.value, State.PAUSED.value, State.ASKED.value)
        mine = and_(campaigns.c.id == campaign.id, campaigns.c.state.in_(going))
        with self._database.writing() as db:
            change = update(campaigns).where(mine).values(state=state.value, why=why, ended=self._clock())
            if not db.execute(change).rowcount:
                return False
            if state is State.STOPPED:
                db.execute(delete(outbox).where(outbox.c.id.in_(_mails(campaign))))
                db.execute(
                    delete(asked).where(asked.c.campaign == campaign.id, asked.c.sent.is_(None), ~asked.c.returned)
                )
        return True

    def close(self) -> int:
        """End what nobody can answer any more; how many campaigns that was."""
        waiting = select(asked.c.hash).where(
            asked.c.campaign == campaigns.c.id,
            or_(asked.c.due.is_not(None), and_(asked.c.sent.is_(None), exists().where(outbox.c.id == asked.c.mail))),
        )
        over = and_(campaigns.c.state == State.ASKED.value, ~exists(waiting))
        with self._database.reading() as db:
            if db.scalar(select(func.count()).select_from(campaigns).where(over)) == 0:
                return 0
        with self._database.writing() as db:
            return int(db.execute(update(campaigns).where(over).values(state=State.DONE.value)).rowcount)


def note_sent(db: Hand, mail: str, now: datetime) -> None:
    """The mail is about to leave: her time to answer runs from here."""
    _SENT.run(db, (micros(now), micros(now), mail))


def note_unsent(db: Hand, mail: str) -> None:
    """It did not leave after all."""
    _UNSENT.run(db, (mail,))


def free(db: Hand, mail: str) -> None:
    """It never leaves: nobody was asked by it, unless it was handed over."""
    _FREE.run(db, (mail,))


def _mails(campaign: Campaign) -> Any:
    return select(asked.c.mail).where(asked.c.campaign == campaign.id, asked.c.mail.is_not(None))


def _contact(person: Person, missing: int | None, bought: frozenset[str], *, asked: bool, confirmed: bool) -> Contact:
    country = person.fields.get(COUNTRY, "").strip().upper()
    gaps = None if missing is None else from_bits(missing)
    return Contact(gaps=gaps, country=country, asked=asked, confirmed=confirmed, bought=bought)
