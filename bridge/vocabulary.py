"""The words of the house, each in one place; everything else is built from these."""

import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

import msgspec

#: Purpose of an event that is about the person as a whole: it counts for every purpose.
EVERY_PURPOSE = ""


#: The channel of what a reader chooses on her preference page; built in, besides those of the policy.
PREFERENCES = "preferences"

#: Groups of fewer people than this are hidden in reports that are shared: a person could be told from them (ORG-01).
FEW = 5


class Status(StrEnum):
    """Where a person stands for one purpose. Names follow the tail of the DPV 2.3 consent status terms."""

    UNKNOWN = "unknown"  # nothing that proves a yes or a no
    REQUESTED = "requested"  # asked for, not yet confirmed from the mailbox
    GIVEN = "given"  # consent, GDPR 6(1)(a)
    SOFT_OPT_IN = "soft_opt_in"  # own customer, ePrivacy 13(2); never described as consent
    REFUSED = "refused"  # said no when asked
    WITHDRAWN = "withdrawn"  # said stop, GDPR 7(3)
    OBJECTED = "objected"  # objection or complaint, GDPR 21(2): for every purpose
    EXPIRED = "expired"  # the yes grew too old
    REVOKED = "revoked"  # the controller ended it
    INVALIDATED = "invalidated"  # the proof did not hold, or an authority said so


class Block(StrEnum):
    """Why nothing may be sent to an address, whatever the purpose."""

    BOUNCED = "bounced"  # the address is dead; lifted by a confirmation from it
    RESTRICTED = "restricted"  # GDPR 18: kept, not used
    CHILD_UNVERIFIED = "child_unverified"  # GDPR 8: waiting for the guardian
    ERASED = "erased"  # only a keyed hash is left


class EventType(StrEnum):
    """What can happen to one person's consent. One list for both sides of the bridge."""

    REQUESTED = "requested"  # a form was sent with the box ticked
    GIVEN = "given"
    ENROLLED = "enrolled"  # soft opt-in with all its facts
    IMPORTED = "imported"  # came in a file without proof: never a yes
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    EXPIRED = "expired"
    REVOKED = "revoked"
    INVALIDATED = "invalidated"
    ERASED = "erased"
    PAUSED = "paused"  # no mail until a date; no stop
    RESUMED = "resumed"
    RESTRICTED = "restricted"
    UNRESTRICTED = "unrestricted"
    CHILD_DECLARED = "child_declared"  # said to be below the national age
    GUARDIAN_CONFIRMED = "guardian_confirmed"
    OF_AGE = "of_age"  # was a child, and says to decide alone now (R15)
    MOVED = "moved"  # new address, same person
    MERGED = "merged"  # two records turned out to be one person
    CORRECTED = "corrected"  # language or a declared field changed
    SUBSCRIBED = "subscribed"  # an ESP says so: proves nothing
    UNSUBSCRIBED = "unsubscribed"  # left at the ESP
    BOUNCED = "bounced"  # permanent: the address is dead
    DEFERRED = "deferred"  # temporary: counted (rule R7)
    COMPLAINED = "complained"  # spam report


class LegalBasis(StrEnum):
    """The lawful ground a purpose rests on."""

    CONSENT = "consent"
    SOFT_OPT_IN = "soft_opt_in"


class Method(StrEnum):
    """By which road an event came: a named kind of proof, never a yes/no flag."""

    FORM = "form"  # sign-up form, unconfirmed
    CONFIRM_PAGE = "confirm_page"  # button behind the mailed link
    PREFERENCE_PAGE = "preference_page"  # preference page behind a freshly mailed link
    PREFERENCE_LINK = "preference_link"  # preference page behind an old mail's link: may stop, not start
    ONE_CLICK = "one_click"  # RFC 8058, posted by the mail client
    UNSUBSCRIBE_PAGE = "unsubscribe_page"
    IMPORT = "import"
    STAFF = "staff"  # letter, phone, desk
    WEBHOOK = "webhook"
    RECONCILE = "reconcile"
    CLOCK = "clock"  # what a limit of the policy says by itself
    STOP_LIST = "stop_list"  # known only as a keyed hash


#: Roads that prove control of the mailbox at that moment.
CONFIRMED = frozenset({Method.CONFIRM_PAGE, Method.PREFERENCE_PAGE})

#: Roads by which a machine tells its news: each piece has a key of the machine's own, and counts once.
REPORTED = frozenset({Method.WEBHOOK, Method.RECONCILE})

#: `source` of an event: the reader herself, the operator's staff or programs; else the adapter's name.
READER = "reader"
OPERATOR = "operator"
SYSTEM = "system"
#: ... or whoever has parental responsibility for her (GDPR 8).
GUARDIAN = "guardian"


class Road(StrEnum):
    """From where a yes behind a mailed link came."""

    SAME_BROWSER = "same_browser"  # the browser that had sent the form: a cookie of that request says so
    CODE = "code"  # the digits of the mail were typed
    BUTTON = "button"  # a button was pressed elsewhere: by a person, or by a program that presses buttons


class Doubt(StrEnum):
    """What makes a pressed button doubtful: it may have been a mail scanner's."""

    SOON = "soon"  # within seconds of the mail
    MANY = "many"  # together with other people's links at addresses of the same domain


class Hold(StrEnum):
    """Which yeses wait until the code of the mail is typed (`[sign_up] hold`)."""

    NEVER = "never"
    DOUBTFUL = "doubtful"  # a pressed button that may be a scanner's
    ALL = "all"  # every one without the cookie of the browser that sent the form


class MailKind(StrEnum):
    """Every mail this house sends or lets through; each has its own rule at the gate."""

    CONFIRM = "confirm"
    SUBSCRIBED = "subscribed"
    WELCOME = "welcome"
    GOODBYE = "goodbye"
    LINK = "link"
    ANSWER = "answer"
    IDENTITY = "identity"  # did a request by letter or phone come from her? (RGT-08)
    MOVE = "move"  # to a new address of hers: is this mailbox yours? (R13)
    MOVED = "moved"  # to the address she left, once
    REPERMISSION = "repermission"  # the question for proof, once ever (AUD-03)
    BREACH = "breach"  # her data got into wrong hands, and what that means for her (GDPR 34)
    GUARDIAN = "guardian"  # asks whoever has parental responsibility (KID-01)
    OF_AGE = "of_age"  # asks the child herself, once the guardian's consent has ended (R15)
    MARKETING = "marketing"


class Nature(StrEnum):
    """What a mail is by law (SND-05)."""

    SERVICE = "service"  # answers an act of the reader's, or asks; holds no promotion
    MARKETING = "marketing"  # passes the gate as such, with all headers of a list


#: What each kind of mail is: the one place that says so. A service mail whose template promotes something is refused
#: at the start.
NATURES: Mapping[MailKind, Nature] = {
    MailKind.CONFIRM: Nature.SERVICE,
    MailKind.SUBSCRIBED: Nature.SERVICE,
    MailKind.WELCOME: Nature.SERVICE,
    MailKind.GOODBYE: Nature.SERVICE,
    MailKind.LINK: Nature.SERVICE,
    MailKind.ANSWER: Nature.SERVICE,
    MailKind.IDENTITY: Nature.SERVICE,
    MailKind.MOVE: Nature.SERVICE,
    MailKind.MOVED: Nature.SERVICE,
    MailKind.REPERMISSION: Nature.SERVICE,
    MailKind.BREACH: Nature.SERVICE,
    MailKind.GUARDIAN: Nature.SERVICE,
    MailKind.OF_AGE: Nature.SERVICE,
    MailKind.MARKETING: Nature.MARKETING,
}


class RequestKind(StrEnum):
    """What a person may ask of us by letter or phone (GDPR 15 to 22; 7(3))."""

    ACCESS = "access"  # 15: what do you hold?
    RECTIFY = "rectify"  # 16
    ERASE = "erase"  # 17
    RESTRICT = "restrict"  # 18
    PORT = "port"  # 20: give me what I gave you, for a machine
    OBJECT = "object"  # 21(2): no direct marketing at all
    WITHDRAW = "withdraw"  # 7(3)
    COMPLAINT = "complaint"  # something went wrong


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What proves an event (`standards.md` section 4). Sealed; holds no address."""

    wording: str | None = None  # SHA-256 (hex) of the label and text shown
    language: str | None = None  # of page, wording and mail
    box: str | None = None  # "ticked": state of the box as posted
    request: str | None = None  # id that ties request, mail and answer together
    template: str | None = None  # `short_hash` of the mail's templates; with the request it gives the mail
    token: str | None = None  # `short_hash` of the link that was used
    document: str | None = None  # reference of a paper or import file
    single_opt_in: str | None = None  # the policy's written reason where no confirmation is asked
    sale: Mapping[str, str] | None = None  # facts of a soft opt-in
    ip: str | None = None  # only where the policy asks for it
    left: str | None = None  # of a move: the mark of the address she left (`Links.mark`); empty = she kept it
    at_least: str | None = None  # her answer to "are you at least N?": "16 yes", "16 no" (KID-01)
    road: str | None = None  # of a yes behind a mailed link: a `Road`; empty = from before roads were kept
    after: int | None = None  # of a pressed button: so many seconds after the mail had left
    doubt: str | None = None  # ... and what makes it doubtful: `Doubt`s with a blank between
    detail: str | None = None  # a machine's reason code, never free text


#: `at_least` of what a list says about a purpose that children are invited to: nobody knows whether she is one.
UNASKED_AGE = "unasked"


class ConsentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one person's consent. Never changed, never removed.

    `time` is when it happened as told, `received` when we heard; `asked` is when the question was put that a yes
    answers. All aware UTC. `purpose` is empty when the whole person is meant.
    """

    type: EventType
    subject: str
    time: datetime
    received: datetime
    source: str
    method: Method
    key: str
    purpose: str = EVERY_PURPOSE
    asked: datetime | None = None
    until: datetime | None = None  # end of a pause, or of a guardian's consent (R15)
    channel: str | None = None  # where it was collected
    notice: int | None = None  # version of the wording
    evidence: Evidence = Evidence()

    @property
    def by_reader(self) -> bool:
        """The reader's own act."""
        return self.source == READER

    @property
    def confirmed(self) -> bool:
        """The reader's own act, made with control of the mailbox."""
        return self.source == READER and self.method in CONFIRMED


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an ESP tells about an address: its news in our words.

    `key` is the ESP's own id of the news, or one made from its meaning. `purpose` empty = every purpose.
    `to` is her new address, with `moved`.
    """

    type: EventType
    email: str
    time: datetime
    key: str
    purpose: str = EVERY_PURPOSE
    method: Method = Method.WEBHOOK
    detail: str | None = None  # the ESP's reason as a code
    to: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of a list says of an address: a yes with its proof, one without, a no, or that it is dead.

    `type` is the event it would be. A yes never has purpose "" (all); a line without a date has no `time`.
    """

    email: str
    type: EventType
    purpose: str
    channel: str
    time: datetime | None = None
    language: str = ""
    notice: int | None = None  # version of the wording she saw
    evidence: Evidence = Evidence()
    fields: Mapping[str, str] = {}  # declared fields only
    by_platform: bool = False  # as an ESP holds it: of whoever may be mailed here, comparing both sides says more


class Taken(StrEnum):
    """What became of one line of a list."""

    IMPORTED = "imported"  # something new is known now
    UNCHANGED = "unchanged"  # all of it was known
    SUPPRESSED = "suppressed"  # a no of hers, or a dead address, stands against it: nothing was kept


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person at an ESP, as any ESP can be told how she should be there. Nothing else leaves the house (MIN-04)."""

    email: str
    language: str = ""
    on: frozenset[str] = frozenset()  # purposes she gets mail for
    stopped: frozenset[str] = frozenset()  # purposes she said no to, or that a block closes
    paused: frozenset[str] = frozenset()  # on, but on hold: no mail now, and no stop
    fresh: frozenset[str] = frozenset()  # on by a yes of her own that this ESP was not told yet: lifts its stop
    blocked: bool = False  # nothing may be sent to this address
    first: bool = False  # this ESP took nothing about her from us yet: nothing of ours is there to be taken back
    gone: bool = False  # this ESP deleted her address for good and takes it back only by its own form
    link: str = ""  # her stop and preference link
    fields: Mapping[str, str] = {}  # declared fields only


class Seen(NamedTuple):
    """Some of the people an ESP holds, who stand alike there: what it mails them for, what it keeps from them.

    What is said of one address more than once adds up; there a stop outweighs an "on".
    """

    emails: Sequence[str]
    on: frozenset[str] = frozenset()  # purposes it would mail them for
    stop: EventType | None = None  # they left there (unsubscribed), complained there, or are dead there (bounced)
    purposes: frozenset[str] = frozenset()  # what they left, where they did not complain; by `left` also "" for all
    times: Sequence[int] = ()  # when that was, at the latest, of each: whole seconds since 1970 UTC, 0 = not told
    only_stop: bool = False  # they stand on the ESP's own list of stops, which it keeps; that is no contact it holds
    mark: str = ""  # where reading goes on behind these; empty = it cannot begin in the middle


class Left(NamedTuple):
    """The stops an ESP holds of some people, and of whom it could not be asked just now: they are told nothing new."""

    seen: Sequence[Seen] = ()
    unasked: frozenset[str] = frozenset()


class OutcomeKind(StrEnum):
    """What became of one member in one call."""

    DONE = "done"
    PENDING = "pending"  # the ESP took it as a job: follow `job`
    LATER = "later"  # may work later: `wait` seconds if the ESP said so
    REFUSED = "refused"  # the ESP will never take it: `reason` says why


class Outcome(NamedTuple):
    """What became of one member in one call. `reason` is a short code of ours, never the ESP's text."""

    kind: OutcomeKind
    reason: str = ""
    wait: float | None = None
    job: str = ""  # jobs at the ESP that now name her, by their ids with a blank between, whatever the kind
    told: bool = False  # with LATER: her new yes was taken, only something beside it is missing
    away: bool = False  # with LATER: it is not about her, the ESP takes nothing from anybody for now
    maybe: bool = False  # with LATER: it may have been carried out all the same, or may be later


DONE = Outcome(OutcomeKind.DONE)

#: Reason of a refusal: the ESP keeps a stop of hers that was not heard here yet. Nothing goes to her from there.
STOPPED_THERE = "stopped_there"

#: Reasons of a refusal: her new yes waits at the ESP, where she once left or was deleted, and only she can go on there:
#: by the ESP's own confirmation mail, which it has sent; by its own form; by that form, for it deleted her for good.
WAITING_THERE, FORM_THERE, GONE_THERE = "waiting_there", "form_there", "gone_there"
JOURNEYS = (WAITING_THERE, FORM_THERE, GONE_THERE)

#: Refusals after which nothing goes to her from there: whatever had to stop, is stopped.
RESTING = frozenset({STOPPED_THERE, *JOURNEYS})

#: Reason of a wait: nobody could say whether a stop is there that a new yes would overwrite; stops were carried out.
UNASKED = "unasked"

#: Reason of a wait: many at once were told, and of her it must be said by a call of her own.
ALONE = "alone"

#: Reason of a wait: all was done, and a pause hides a new yes of hers that this ESP must still be told when it ends.
HIDDEN = "paused"

#: Reason of a wait: all was done but for a new yes to a purpose about which too many readers complain (SND-04).
HELD_BACK = "complaints"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Yes or no, and every reason for it."""

    may: bool
    status: Status
    why: tuple[str, ...]


class Finding(NamedTuple):
    """One line of `doctor`: what was looked at, whether it is right, and what to do if not.

    Right with a `fix` is a hint: nothing is wrong yet.
    """

    subject: str
    ok: bool
    fix: str = ""


class Step(NamedTuple):
    """One line of `setup`: what is there now, whether it had to be made, and what is left for a person to do.

    `keep` is a secret the ESP told, which the store keeps: the setting it stands for, the place it belongs to there,
    and its value.
    """

    subject: str
    made: bool
    todo: str = ""
    keep: tuple[str, str, str] | None = None


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook call without its web framework: lower-case header names, raw body bytes."""

    headers: Mapping[str, str]
    body: bytes
    secret: str = ""  # the part of the path behind the adapter's name
    url: str = ""  # the whole address that was called, as the ESP knows it


#: Enhanced status codes that name a dead address (RFC 3463; rule R7).
DEAD_ADDRESS_CODES = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})


def bounce_type(code: str) -> EventType | None:
    """What an enhanced SMTP status code means for the reader (rule R7).

    A dead address is `bounced`. Temporary trouble and full mailboxes are `deferred` and only counted. Everything
    else (5.7.x: policy, our fault) never counts against the reader: None.
    """
    if code in DEAD_ADDRESS_CODES:
        return EventType.BOUNCED
    if code.startswith("4.") or code == "5.2.2":
        return EventType.DEFERRED
    return None


_ENHANCED = re.compile(r"(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")


def enhanced_code(text: str) -> str:
    """The enhanced SMTP status code in what a mail server said (RFC 3463); empty when there is none."""
    found = _ENHANCED.search(text[:1000])
    return found[0] if found else ""


def normal_email(email: str) -> str:
    """An address as it is compared (SUP-03): NFC, trimmed, lower case, domain as A-labels. Dots and tags are kept."""
    if email.isascii():  # neither form nor IDNA changes anything there
        return email.strip().lower()
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).lower())
    local, at, domain = text.rpartition("@")
    if domain.isascii() and domain.replace(".", "").replace("-", "").isalnum():  # IDNA knows no other form of it
        return text
    import idna  # few addresses need it, and its tables are large

    with suppress(UnicodeError):  # a name the internet cannot hold is compared as it is
        # IDNA 2008, as registries and `email-validator` do: the codec "idna" takes faß.example for fass.example.
        domain = idna.encode(domain, uts46=True).decode("ascii")
    return f"{local}{at}{domain}"


def short_hash(data: bytes) -> str:
    """Which of some known things was meant: the first 64 bits of the SHA-256, in 11 characters of base64url."""
    return urlsafe_b64encode(sha256(data).digest()[:8])[:11].decode("ascii")


def masked_email(email: str) -> str:
    """An address as a page may show it to whoever holds the link: `a•••@k•••.example`."""
    local, _, domain = email.rpartition("@")
    name, _, top = domain.rpartition(".")
    return f"{local[:1]}•••@{name[:1]}•••.{top}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """A moment in whole microseconds since 1970, UTC. A naive one means something else on every machine."""
    if moment.tzinfo is None:
        raise ValueError("a time without its zone cannot be stored")
    return (moment - _EPOCH) // _MICROSECOND


def rfc3339(moment: datetime) -> str:
    """A time as it goes over the wire: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows of the once-only question to contacts without proof (AUD-03 to AUD-05)."""

    home: str  # the controller's country: that of contacts of whom nothing else is known
    countries: frozenset[str]  # whose readers may be asked
    waves: tuple[int, ...] = (100,)  # how many are asked at once; the last one again and again
    watch: timedelta = timedelta(hours=24)  # how long each wave is watched before the next
    bounces_stop: float = 2.0  # percent of a wave


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices that the rules need, as they stand on one day (`standards.md` section 11)."""

    pending_ttl: timedelta = timedelta(hours=72)  # R9
    consent_max_age: timedelta = timedelta(days=1096)  # R10: 36 months
    soft_opt_in: bool = False  # SOF-03: the country's profile allows it
    soft_max_age: timedelta = timedelta(days=731)
    soft_bounces: int = 5  # R7: this many deferrals ...
    soft_bounce_window: timedelta = timedelta(days=15)  # ... within this time are a dead address
    ask_again_after: timedelta = timedelta(days=183)  # R16
    erased_ask_again_after: timedelta = timedelta(days=30)  # R12
    goodbye: bool = False  # WDR-12
    complaint_warn: float = 0.1  # SND-04: percent of a purpose's readers on one day
    complaint_stop: float = 0.3
    complaint_least: int = 3  # fewer complaints on one day are chance, whatever their share
    zone: tzinfo = UTC  # where the operator's days begin
    notice_since: Mapping[str, int] = {}  # purpose -> oldest wording that still covers it; absent = unknown purpose
    channels: frozenset[str] = frozenset()  # where addresses may be collected (CHN-01)
    bought: frozenset[str] = frozenset()  # those of them that are somebody else's lists (CHN-04)
    closed: Mapping[str, str] = {}  # purpose -> why nobody may be mailed for it now (REG-02)
    asking: Asking | None = None  # AUD-03: None = nobody is asked once more
    for_children: frozenset[str] = frozenset()  # purposes whose form asks the age (KID-01)
    guardian_lasts: timedelta = timedelta(days=366)  # R15: a guardian's consent that names no end
    of_age_answer: timedelta = timedelta(days=30)  # R15: so long the question to her is open


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One mail, ready for any road out."""

    sender: str  # "Name <a@b>"
    to: str
    reply_to: str
    subject: str
    text: str
    html: str
    message_id: str  # "<id@host>", fixed per outbox row
    headers: Mapping[str, str] = {}
    attachments: tuple[tuple[str, str, bytes], ...] = ()  # name, media type, content
