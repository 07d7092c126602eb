"""The tables, and the triggers that keep history what it was. Nothing else."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from bridge.vocabulary import EventType, Method, Status, micros

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    """The moment of a column, aware UTC. A spoilt number must not keep `verify` from naming it."""
    return _EPOCH + timedelta(microseconds=max(0, min(value, _LAST)))


class AwareDateTime(TypeDecorator[datetime]):
    """A moment that is always aware UTC: whole microseconds, so that both databases give and take the same number."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's call
        """Refuse naive times."""
        return None if value is None else micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's call
        """Give the moment back in UTC."""
        return None if value is None else moment(value)


#: The numbers that words of ours have in the database: their place in these lists, from 1. Only ever add at the end.
EVENT_TYPES: Sequence[EventType] = (
    EventType.REQUESTED,
    EventType.GIVEN,
    EventType.ENROLLED,
    EventType.IMPORTED,
    EventType.REFUSED,
    EventType.WITHDRAWN,
    EventType.OBJECTED,
    EventType.EXPIRED,
    EventType.REVOKED,
    EventType.INVALIDATED,
    EventType.ERASED,
    EventType.PAUSED,
    EventType.RESUMED,
    EventType.RESTRICTED,
    EventType.UNRESTRICTED,
    EventType.CHILD_DECLARED,
    EventType.GUARDIAN_CONFIRMED,
    EventType.MOVED,
    EventType.MERGED,
    EventType.CORRECTED,
    EventType.SUBSCRIBED,
    EventType.UNSUBSCRIBED,
    EventType.BOUNCED,
    EventType.DEFERRED,
    EventType.COMPLAINED,
    EventType.OF_AGE,
)
METHODS: Sequence[Method] = (
    Method.FORM,
    Method.CONFIRM_PAGE,
    Method.PREFERENCE_PAGE,
    Method.PREFERENCE_LINK,
    Method.ONE_CLICK,
    Method.UNSUBSCRIBE_PAGE,
    Method.IMPORT,
    Method.STAFF,
    Method.WEBHOOK,
    Method.RECONCILE,
    Method.CLOCK,
    Method.STOP_LIST,
)
STATUSES: Sequence[Status] = (
    Status.UNKNOWN,
    Status.REQUESTED,
    Status.GIVEN,
    Status.SOFT_OPT_IN,
    Status.REFUSED,
    Status.WITHDRAWN,
    Status.OBJECTED,
    Status.EXPIRED,
    Status.REVOKED,
    Status.INVALIDATED,
)


class Coded(TypeDecorator[str]):
    """A word of ours as a small number: one byte instead of ten."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, *words: StrEnum) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's call
        """The number of a word. The error names no value: it may end in a log (MIN-03)."""
        if value is None:
            return None
        if value not in self.words:
            raise ValueError("no word that this column knows")
        return [str(word) for word in self.words].index(value) + 1

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's call
        """The word of a number; one that is none is shown as it is, so that `verify` can name it."""
        if value is None:
            return None
        known = isinstance(value, int) and 1 <= value <= len(self.words)
        return str(self.words[value - 1]) if known else str(value)


#: SQLite numbers its rows itself only for INTEGER keys.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

#: One person. `number` stays inside, `id` goes into links; the address is only in the sealed profile.
subjects = Table(
    "subjects",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(22), nullable=False, unique=True),
    Column("kid", String(16), nullable=False),
    Column("lookup", LargeBinary, nullable=False, unique=True),  # keyed hash of the address
    Column("mark", String(10), nullable=False, index=True),  # the short hash that links carry
    Column("profile", LargeBinary, nullable=False),  # sealed: address as typed, language, declared fields
    Column("trimmed", Boolean),  # true = she left long ago, and only the address is in it
    sqlite_autoincrement=True,
)

#: Addresses people had before they moved, as keyed hashes: what was said there before is still about them (R13).
former = Table(
    "former",
    metadata,
    Column("lookup", LargeBinary, primary_key=True),
    Column("kid", String(16), nullable=False),
    Column("subject", _Number, nullable=False, index=True),
    Column("stop", LargeBinary),  # the address as the stop list knows it, for the day she is erased; kept since 0010
)

#: The wrapped key of each person, apart: a backup without it is dark (SUP-04).
person_keys = Table(
    "person_keys",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("kid", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)

#: What happened, append-only. Erasure blanks all but `id` and `digest`.
events = Table(
    "events",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("subject", _Number),
    Column("number", Integer),  # 1, 2, 3 … within the person
    Column("type", Coded(*EVENT_TYPES)),
    Column("purpose", SmallInteger),  # in `names`
    Column("time", AwareDateTime),
    Column("received", AwareDateTime),  # empty = at `time`
    Column("asked", AwareDateTime),
    Column("until", AwareDateTime),
    Column("source", SmallInteger),  # in `names`
    Column("method", Coded(*METHODS)),
    Column("channel", SmallInteger),  # in `names`
    Column("notice", SmallInteger),
    Column("report", String(22)),  # a machine's news: keyed hash of its id, so that it counts once
    Column("sealed", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("subject", "number"),
    sqlite_autoincrement=True,
)
Index(
    "ix_events_report",
    events.c.report,
    unique=True,
    sqlite_where=events.c.report.is_not(None),
    postgresql_where=events.c.report.is_not(None),
)

#: Who may be off for another reason than her status: what blocks and pauses begin with. Few people have any of these.
Index(
    "ix_events_closers",
    events.c.subject,
    sqlite_where=text("type IN (11, 12, 14, 16, 23, 24)"),
    postgresql_where=text("type IN (11, 12, 14, 16, 23, 24)"),
)

#: Words that rows repeat, each written once: purposes, channels, sources. Never changed, never removed.
names = Table(
    "names",
    metadata,
    Column("number", SmallInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("text", String(32), nullable=False, unique=True),
)

#: Where each person stands: a projection of `events`, written only with them.
records = Table(
    "records",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("purpose", SmallInteger, primary_key=True, autoincrement=False),  # in `names`
    Column("status", Coded(*STATUSES), nullable=False),
    Column("since", AwareDateTime, nullable=False),
    Column("number", Integer, nullable=False),  # the person's last event when this was written
    sqlite_with_rowid=False,
)

#: What lists say of people without proving it lacks these facts (`decide.FACTS`, a bit each), so that an audit opens
#: nobody's seal (AUD-01). Of several lines about one person what they lack together; written only with `events`.
unproven = Table(
    "unproven",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("purpose", SmallInteger, primary_key=True, autoincrement=False),  # in `names`
    Column("missing", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

Index(
    "ix_records_requested",
    records.c.since,
    sqlite_where=text("status = 2"),  # requested
    postgresql_where=text("status = 2"),
)

#: What each ESP must still be told: one row per person and adapter. `due` is empty when both sides are equal.
pushes = Table(
    "pushes",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("adapter", String(32), primary_key=True),
    Column("wanted", Integer, nullable=False),  # number of the person's event that must be known there
    Column("put", Integer, nullable=False, server_default="0"),  # number that is known there
    Column("stop", Boolean, nullable=False, server_default=text("false")),  # goes first and is never given up
    Column("due", AwareDateTime),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("leased", AwareDateTime),
    Column("lease", String(22)),
    Column("job", Text),  # open jobs at the ESP that name this person (`esp_jobs.number`), and what they say of her
    Column("reason", String(64)),  # why it did not work last time, as a code
    Column("told", BigInteger),  # keyed hash of what the ESP was told last and took; empty while that is not sure
    sqlite_with_rowid=False,
)
Index(
    "ix_pushes_due",
    pushes.c.adapter,
    pushes.c.stop,
    pushes.c.due,
    sqlite_where=pushes.c.due.is_not(None),
    postgresql_where=pushes.c.due.is_not(None),
)

#: How long a stop took to reach each ESP (WDR-11): one row per stop and adapter, so nothing of whoever never said stop.
stop_clocks = Table(
    "stop_clocks",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("adapter", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the person's event that is the stop
    Column("acted", AwareDateTime, nullable=False),  # when she said it
    Column("confirmed", AwareDateTime),  # when the ESP had done it; empty while it has not
    Index("ix_stop_clocks_confirmed", "adapter", "confirmed", "acted"),
    sqlite_with_rowid=False,
)

#: Addresses that an ESP deleted for good and takes back only by its own form: keyed hashes (decision 18).
gone_there = Table(
    "gone_there",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("adapter", String(32), nullable=False, index=True),
    sqlite_with_rowid=False,
)

#: Work an ESP took to do later (decision 24): followed once a job, not once a person.
esp_jobs = Table(
    "esp_jobs",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("adapter", String(32), nullable=False),
    Column("key", Text),  # the ESP's id; empty while nobody knows whether there is a job
    Column("carried", LargeBinary, nullable=False),  # numbers of the people in it, packed
    Column("made", AwareDateTime, nullable=False),
    Column("due", AwareDateTime, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("leased", AwareDateTime),
    Column("lease", String(22)),
    Index("ix_esp_jobs_due", "adapter", "due"),
    sqlite_autoincrement=True,
)

#: Who holds one of the connections an ESP allows (decision 26); a crashed holder's ends by itself.
connections = Table(
    "connections",
    metadata,
    Column("adapter", String(32), primary_key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("lease", String(22), nullable=False),
    Column("until", AwareDateTime, nullable=False),
    sqlite_with_rowid=False,
)

#: How far a comparison with an ESP has come, so that a killed one goes on; gone when it is over.
comparisons = Table(
    "comparisons",
    metadata,
    Column("adapter", String(32), primary_key=True),
    Column("made", AwareDateTime, nullable=False),
    Column("state", LargeBinary, nullable=False),  # people by number; no address
)

#: ESPs that nothing is sent from any more: whoever is on there is switched off, their stops still count.
retired = Table(
    "retired",
    metadata,
    Column("adapter", String(32), primary_key=True),
    Column("time", AwareDateTime, nullable=False),
)

#: Mails promised in the transaction of their event; gone once handed over.
outbox = Table(
    "outbox",
    metadata,
    Column("id", String(22), primary_key=True),  # also in the Message-ID, so that a repeat is the same mail
    Column("work", String(24), nullable=False),  # mail:<name>
    Column("subject", _Number, nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),  # sealed under the person's key
    Column("made", AwareDateTime, nullable=False),
    Column("due", AwareDateTime, nullable=False, index=True),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("leased", AwareDateTime),
    Column("lease", String(22)),
    Column("handed", AwareDateTime),  # set at the last moment before hand-over of what may not be sent twice
    Column("reason", String(64)),
)

#: What readers asked for themselves, and waves of questions or news of ours, which go behind all of that.
WISHES, WAVES = (f"work {word} ('mail:repermission', 'mail:breach')" for word in ("NOT IN", "IN"))
for _name, _which in (("wishes", WISHES), ("waves", WAVES)):
    Index(f"ix_outbox_{_name}", outbox.c.due, sqlite_where=text(_which), postgresql_where=text(_which))

#: What platforms hold of readers who asked to see it: kept for a day, and in no backup.
looks = Table(
    "looks",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("adapter", String(32), primary_key=True),
    Column("asked", AwareDateTime, nullable=False),
    Column("due", AwareDateTime),  # empty when it was answered
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("leased", AwareDateTime),
    Column("lease", String(22)),
    Column("told", AwareDateTime),  # when the platform answered
    Column("sealed", LargeBinary),  # what it said, under the person's key
    sqlite_with_rowid=False,
)
Index(
    "ix_looks_due",
    looks.c.adapter,
    looks.c.due,
    sqlite_where=looks.c.due.is_not(None),
    postgresql_where=looks.c.due.is_not(None),
)

#: New addresses that readers asked to be moved to and have not confirmed from there: the last one of each.
moves = Table(
    "moves",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("request", String(22), nullable=False),  # also in the link
    Column("asked", AwareDateTime, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the new address, under the person's key
    sqlite_with_rowid=False,
)

#: Questions that went out by mail and wait for a yes: how one can be told from a program that opens links. Gone with
#: the answer, or when the question is too old.
open_questions = Table(
    "open_questions",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("kind", String(12), primary_key=True),  # of the mail that asks
    Column("request", String(22), primary_key=True),  # also in the link
    Column("asked", AwareDateTime, nullable=False, index=True),
    Column("place", String(22)),  # keyed hash of a random cookie of the browser that sent the form
    Column("domain", LargeBinary),  # keyed hash of the mail domain that was asked
    Column("sent", AwareDateTime),  # when the mail left last; empty while it has not
    Column("coded", Boolean, nullable=False, server_default=text("false")),  # a code stands in the mail
    Column("tries", SmallInteger, nullable=False, server_default="0"),  # wrong codes
    Column("held", AwareDateTime),  # when a doubtful press was held first
    Column("doubt", String(16)),  # why
    Column("template", String(11)),  # which words the mail said when it left
    sqlite_with_rowid=False,
)
Index(
    "ix_open_questions_place",
    open_questions.c.place,
    sqlite_where=open_questions.c.place.is_not(None),
    postgresql_where=open_questions.c.place.is_not(None),
)

#: How many sign-ups were confirmed by which road, by channel, and presses that were held: plain numbers, of nobody.
confirm_roads = Table(
    "confirm_roads",
    metadata,
    Column("channel", SmallInteger, primary_key=True, autoincrement=False),  # in `names`
    Column("road", String(12), primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Who was told of a correction, or of a changed address (GDPR 19, RGT-03): one row per event of hers and adapter.
corrections = Table(
    "corrections",
    metadata,
    Column("subject", _Number, primary_key=True, autoincrement=False),
    Column("adapter", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the person's event
    Column("acted", AwareDateTime, nullable=False),
    Column("confirmed", AwareDateTime),  # when the ESP had taken it; empty while it has not
    sqlite_with_rowid=False,
)
Index(
    "ix_corrections_adapter",
    corrections.c.adapter,
    sqlite_where=corrections.c.confirmed.is_(None),
    postgresql_where=corrections.c.confirmed.is_(None),
)

#: Lists that were taken in, each once, and how far: a killed import goes on behind what it committed last.
lists = Table(
    "lists",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # keyed, of the whole list
    Column("begun", AwareDateTime, nullable=False),
    Column("judged", AwareDateTime, nullable=False),  # rows are judged as of that moment, also behind a kill
    Column("rules", LargeBinary, nullable=False),  # ... and by this policy
    Column("done", BigInteger, nullable=False),  # lines; 0 = it was taken in to its end
    Column("imported", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("suppressed", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Dangerous acts of one operator that wait for another's word (decision 36); kept for the record. Nothing of readers.
approvals = Table(
    "approvals",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("act", String(24), nullable=False),
    Column("hash", LargeBinary, nullable=False),  # of what is to be done: nothing else is approved
    Column("about", Text, nullable=False),  # what the act needs, as JSON
    Column("asked", AwareDateTime, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("approved", AwareDateTime),
    Column("approved_by", Text),
    Column("done", AwareDateTime),
)

#: Breaches of personal data (GDPR 33(5)) as they are known now. Nothing of readers.
breaches = Table(
    "breaches",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("noticed", AwareDateTime, nullable=False),  # the clock runs from here
    Column("closed", AwareDateTime),
    Column("facts", Text, nullable=False),  # `store.breaches.Facts`, as JSON
    sqlite_autoincrement=True,
)

#: What was written down about each breach, by whom and when; only ever added to.
breach_notes = Table(
    "breach_notes",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("breach", _Number, nullable=False, index=True),
    Column("time", AwareDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    sqlite_autoincrement=True,
)

#: Who is to be told of a breach, each once (GDPR 34), and how far that is; gone with her.
breach_told = Table(
    "breach_told",
    metadata,
    Column("breach", _Number, primary_key=True, autoincrement=False),
    Column("subject", _Number, primary_key=True, autoincrement=False, index=True),
    Column("state", SmallInteger, nullable=False, server_default="0"),  # 0 waits, 1 a mail was promised, 2 none may go
    sqlite_with_rowid=False,
)
Index(
    "ix_breach_told_waits",
    breach_told.c.breach,
    breach_told.c.subject,
    sqlite_where=text("state = 0"),
    postgresql_where=text("state = 0"),
)

#: What staff did that changes something about people or rules, or opens personal data (ORG-02). Append-only, as events
#: are; when its time is over `person`, `reason` and `about` are blanked. Of readers it holds kinds and counts only.
staff_log = Table(
    "staff_log",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("time", AwareDateTime, nullable=False),
    Column("act", String(32), nullable=False),
    Column("stage", String(8), nullable=False),  # `store.staff.Stage`
    Column("run", String(22), nullable=False),  # the same in every entry of one act
    Column("person", Text),
    Column("reason", Text),
    Column("about", Text),  # JSON: kinds and counts
    sqlite_autoincrement=True,
)

#: Channels that brought somebody else's lists, also when the policy says so no longer (CHN-04). Nothing of readers.
bought = Table(
    "bought",
    metadata,
    Column("channel", SmallInteger, primary_key=True, autoincrement=False),  # in `names`
    sqlite_with_rowid=False,
)

#: Of people who asked and are gone only their number is left, by channel (CON-06, CHN-06).
unanswered = Table(
    "unanswered",
    metadata,
    Column("channel", SmallInteger, primary_key=True, autoincrement=False),  # in `names`
    Column("count", BigInteger, nullable=False),  # who never confirmed
    Column("confirmed", BigInteger, nullable=False, server_default="0"),  # who had confirmed
    sqlite_with_rowid=False,
)

#: Campaigns that ask contacts without proof once more (AUD-03): what was allowed, how far each is. Nothing of readers.
campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("state", String(8), nullable=False),  # `store.campaigns.State`
    Column("why", Text, nullable=False),  # it was stopped
    Column("approver", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("countries", Text, nullable=False),  # with blanks between
    Column("notice", SmallInteger, nullable=False),  # the words that are asked about
    Column("answer_days", SmallInteger, nullable=False),
    Column("eligible", Integer, nullable=False),  # when it was planned
    Column("upto", _Number, nullable=False),  # the last person it may come to: who is here later was not planned for
    Column("done", _Number, nullable=False),  # the last one it has come to
    Column("wave", SmallInteger, nullable=False),  # the last one begun; 0 = none
    Column("made", AwareDateTime, nullable=False),
    Column("started", AwareDateTime),
    Column("ended", AwareDateTime),
)

#: The waves of a campaign. What is counted here is of people who are no longer here; the others are counted anew.
waves = Table(
    "waves",
    metadata,
    Column("campaign", String(22), primary_key=True),
    Column("wave", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("begun", AwareDateTime, nullable=False),
    Column("watched", AwareDateTime),  # until then; empty while mails of it wait
    Column("yes", Integer, nullable=False, server_default="0"),
    Column("no", Integer, nullable=False, server_default="0"),
    Column("complained", Integer, nullable=False, server_default="0"),
    Column("bounced", Integer, nullable=False, server_default="0"),
    Column("removed", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

#: Addresses that were asked once more, each once for a purpose, ever (R11, AUD-04): the keyed hash is of both, under a
#: key that never changes, so that no rotation lets anybody be asked again. Written with the promise of the mail. When
#: she is erased everything but hash, purpose and time goes.
asked = Table(
    "asked",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("time", AwareDateTime, nullable=False),
    Column("campaign", String(22)),
    Column("wave", SmallInteger),
    Column("subject", _Number),
    Column("mail", String(22)),  # in `outbox`, while it waits there
    Column("sent", AwareDateTime),  # when the mail was handed over
    Column("due", AwareDateTime),  # when her time to answer is over; empty when that is settled
    Column("returned", Boolean, nullable=False, server_default=text("false")),  # refused at hand-over
    Index("ix_asked_campaign_wave", "campaign", "wave"),
    sqlite_with_rowid=False,
)
for _column in (asked.c.subject, asked.c.mail, asked.c.due):
    Index(
        f"ix_asked_{_column.name}",
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )

#: Who said no, as keyed hashes (SUP-01): no address, name or subject id.
stop_list = Table(
    "stop_list",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("scope", String(32), primary_key=True),  # a purpose; empty = all
    Column("kid", String(16), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("since", AwareDateTime, nullable=False),
)

#: The exact words once shown, kept for ever, each once (CAP-07).
wordings = Table(
    "wordings",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("language", String(8), nullable=False),
    Column("label", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("first_used", AwareDateTime, nullable=False),
    UniqueConstraint("purpose", "version", "language"),
)

#: What limits count (CAP-10): keyed hashes of addresses and networks, with the time.
throttle = Table(
    "throttle",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("bucket", LargeBinary, nullable=False),
    Column("time", AwareDateTime, nullable=False, index=True),
    Index("ix_throttle_bucket_time", "bucket", "time"),
)

#: Root keys that rows are made under: none may be dropped while it stands here (KEY-03).
keys_used = Table(
    "keys_used",
    metadata,
    Column("ring", String(8), primary_key=True),
    Column("kid", String(16), primary_key=True),
    Column("since", AwareDateTime),  # when a program first used it for something new
)

#: Whose data was destroyed, so that a restored backup forgets them too (SUP-06): a hash of the random subject id, which
#: is gone; neither the id nor an address can be found from it.
erasures = Table(
    "erasures",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("time", AwareDateTime, nullable=False),
)

#: Who was erased here and must be at an ESP too: an address under a key of its own, both gone with the ESP's last word
#: (decision 20). In backups it stands with the keys. Nothing in it names the person that was.
erase_work = Table(
    "erase_work",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("adapter", String(32), nullable=False),
    Column("kid", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # the key of this row
    Column("address", LargeBinary, nullable=False),  # sealed under it
    Column("made", AwareDateTime, nullable=False),
    Column("jobs", Text, nullable=False),  # open ones that may name her (`esp_jobs.number`)
    Column("held", AwareDateTime),  # a call about her was under way and ends before this
    Column("calm", AwareDateTime, nullable=False),  # the ESP's word before this is not its last
    Column("told", AwareDateTime),  # when it last said that she is gone
    Column("due", AwareDateTime, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("leased", AwareDateTime),
    Column("lease", String(22)),
    Index("ix_erase_work_due", "adapter", "due"),
)

#: Requests of people by letter or phone (RGT-09). What names or describes her is sealed under a key of the case's own;
#: key, hash and seal go when she is erased, and kind and dates stay, of nobody. In backups it stands with the keys.
cases = Table(
    "cases",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("received", String(10), nullable=False),  # 2026-11-25, in the policy's timezone; so `due`
    Column("due", String(10), nullable=False),
    Column("opened", AwareDateTime, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("kid", String(16)),
    Column("lookup", LargeBinary, index=True),  # keyed hash of the address, as in `subjects`
    Column("wrapped", LargeBinary),  # the key of this row
    Column("sealed", LargeBinary),  # her address, what she asks and what she was told
    Column("acted", AwareDateTime),  # when what she asks was carried out
    Column("asked", AwareDateTime),  # when she was asked whether the request is hers
    Column("verified", AwareDateTime),
    Column("how", String(12)),  # `store.cases.Proof`; "denied" = she says that it is not
    Column("extended", AwareDateTime),
    Column("closed", AwareDateTime),
    Column("closed_by", Text),
    Column("refused", Boolean, nullable=False, server_default=text("false")),
)

Index("ix_cases_open", cases.c.due, sqlite_where=text("closed IS NULL"), postgresql_where=text("closed IS NULL"))

#: What a platform told `setup` and tells nobody again, such as the secret it signs its webhooks with (decision 28).
esp_secrets = Table(
    "esp_secrets",
    metadata,
    Column("adapter", String(32), primary_key=True),
    Column("setting", String(64), primary_key=True),  # the setting that it stands for
    Column("place", String(64), primary_key=True),  # whose it is at the platform: an audience, a webhook
    Column("kid", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("since", AwareDateTime, nullable=False),
)

#: How many readers of a purpose complained on a day (SND-04): plain numbers, of nobody.
complaints = Table(
    "complaints",
    metadata,
    Column("day", String(10), primary_key=True),  # 2026-11-25, in the policy's timezone
    Column("purpose", String(32), primary_key=True),
    Column("count", Integer, nullable=False),
)

#: Signed checkpoints: each covers every digest of `events` that none before it does (decision 14). Nothing of readers.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    Column("time", AwareDateTime, nullable=False),
    Column("leaves", Text, nullable=False),  # ids of the events, as "1-500 502-900"
    Column("count", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),  # of the Merkle tree of their digests, by id
    Column("previous", LargeBinary, nullable=False),  # SHA-256 of what the one before it signed
    Column("kid", String(16), nullable=False),  # in `BRIDGE_SEAL_KEYS`
    Column("signature", LargeBinary, nullable=False),
)

#: The privacy statement as it was published: each version in each language, byte for byte, for ever (TRN-03).
statements = Table(
    "statements",
    metadata,
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("language", String(8), primary_key=True),
    Column("published", AwareDateTime, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("sha256", String(64), nullable=False),  # of `body`
    Column("body", LargeBinary, nullable=False),
    Column("content", Text, nullable=False),  # what it says, item by item, as JSON
    Column("changes", Text, nullable=False),  # against the version before, as JSON
)

#: What the registers said when a person last looked at them (REG-04, decision 35). Nothing of readers.
register_looks = Table(
    "register_looks",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("time", AwareDateTime, nullable=False),
    Column("looked_by", Text, nullable=False),
    Column("content", Text, nullable=False),  # as JSON
)

_BLANKED = [column.name for column in events.c if column.name not in ("id", "digest")]

_ONLY_BLANKS = "NEW.id = OLD.id AND NEW.digest = OLD.digest AND OLD.sealed IS NOT NULL AND " + " AND ".join(
    f"NEW.{name} IS NULL" for name in _BLANKED
)
_APPEND_ONLY, _NEVER_CHANGE = "events are append-only", "wordings once shown never change"
_SIGNED = "checkpoints are append-only"
_PUBLISHED = "statements once published never change"

_ONLY_FORGETS = "OLD.person IS NOT NULL AND " + " AND ".join(
    f"NEW.{column.name} IS NULL" if column.nullable else f"NEW.{column.name} = OLD.{column.name}"
    for column in staff_log.c
)
_STAFF_LOG = "the staff log is append-only"


def _sqlite_trigger(table: str, when: str, condition: str, message: str) -> str:
    name = f"{table}_keep_{when.lower()}"
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table} {condition} BEGIN SELECT RAISE(ABORT, '{message}'); END"


def _postgresql_trigger(table: str, when: str) -> str:
    each = "" if when == "TRUNCATE" else "FOR EACH ROW "
    return f"CREATE TRIGGER {table}_keep_{when.lower()} BEFORE {when} ON {table} {each}EXECUTE FUNCTION {table}_keep()"


#: Triggers that refuse any change of history but its blanking, by name; made anew after every migration, because
#: alembic's batch mode on SQLite rebuilds tables and loses them.
TRIGGERS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "events_keep_update": _sqlite_trigger("events", "UPDATE", f"WHEN NOT ({_ONLY_BLANKS})", _APPEND_ONLY),
        "events_keep_delete": _sqlite_trigger("events", "DELETE", "", _APPEND_ONLY),
        "events_keep_insert": _sqlite_trigger(  # INSERT OR REPLACE deletes without a word
            "events",
            "INSERT",
            "WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id) "
            "OR EXISTS (SELECT 1 FROM events WHERE subject = NEW.subject AND number = NEW.number) "
            "OR EXISTS (SELECT 1 FROM events WHERE report = NEW.report)",
            _APPEND_ONLY,
        ),
        "wordings_keep_insert": _sqlite_trigger(
            "wordings",
            "INSERT",
            "WHEN EXISTS (SELECT 1 FROM wordings WHERE sha256 = NEW.sha256) OR EXISTS (SELECT 1 FROM wordings "
            "WHERE purpose = NEW.purpose AND version = NEW.version AND language = NEW.language)",
            _NEVER_CHANGE,
        ),
        "wordings_keep_update": _sqlite_trigger("wordings", "UPDATE", "", _NEVER_CHANGE),
        "wordings_keep_delete": _sqlite_trigger("wordings", "DELETE", "", _NEVER_CHANGE),
        "checkpoints_keep_insert": _sqlite_trigger(
            "checkpoints", "INSERT", "WHEN EXISTS (SELECT 1 FROM checkpoints WHERE number = NEW.number)", _SIGNED
        ),
        "checkpoints_keep_update": _sqlite_trigger("checkpoints", "UPDATE", "", _SIGNED),
        "checkpoints_keep_delete": _sqlite_trigger("checkpoints", "DELETE", "", _SIGNED),
        "statements_keep_insert": _sqlite_trigger(
            "statements",
            "INSERT",
            "WHEN EXISTS (SELECT 1 FROM statements WHERE version = NEW.version AND language = NEW.language)",
            _PUBLISHED,
        ),
        "statements_keep_update": _sqlite_trigger("statements", "UPDATE", "", _PUBLISHED),
        "statements_keep_delete": _sqlite_trigger("statements", "DELETE", "", _PUBLISHED),
        "staff_log_keep_insert": _sqlite_trigger(
            "staff_log", "INSERT", "WHEN EXISTS (SELECT 1 FROM staff_log WHERE number = NEW.number)", _STAFF_LOG
        ),
        "staff_log_keep_update": _sqlite_trigger("staff_log", "UPDATE", f"WHEN NOT ({_ONLY_FORGETS})", _STAFF_LOG),
        "staff_log_keep_delete": _sqlite_trigger("staff_log", "DELETE", "", _STAFF_LOG),
    },
    "postgresql": {
        f"{table}_keep_{when.lower()}": _postgresql_trigger(table, when)
        for table in ("events", "wordings", "statements", "staff_log", "checkpoints")
        for when in ("UPDATE", "DELETE", "TRUNCATE")
    },
}

#: What PostgreSQL's triggers call.
FUNCTIONS = (
    "CREATE OR REPLACE FUNCTION events_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF TG_OP = 'UPDATE' THEN IF {_ONLY_BLANKS} THEN RETURN NEW; END IF; END IF; "
    f"RAISE EXCEPTION '{_APPEND_ONLY}'; END $$",
    "CREATE OR REPLACE FUNCTION wordings_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"RAISE EXCEPTION '{_NEVER_CHANGE}'; END $$",
    "CREATE OR REPLACE FUNCTION checkpoints_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"RAISE EXCEPTION '{_SIGNED}'; END $$",
    "CREATE OR REPLACE FUNCTION statements_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"RAISE EXCEPTION '{_PUBLISHED}'; END $$",
    "CREATE OR REPLACE FUNCTION staff_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF TG_OP = 'UPDATE' THEN IF {_ONLY_FORGETS} THEN RETURN NEW; END IF; END IF; "
    f"RAISE EXCEPTION '{_STAFF_LOG}'; END $$",
)
