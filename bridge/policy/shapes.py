"""The operator's choices in typed form, and what they mean on a given day."""

import math
from collections.abc import Collection
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from bridge.policy.ages import Age, age_of
from bridge.policy.countries import Country, profile
from bridge.policy.parties import Flaw, Gate, Processor, Weight, flaws
from bridge.vocabulary import Asking, Hold, LegalBasis, Limits

#: Language -> text, one entry for every language of the policy.
Texts = dict[str, str]


class Problem(NamedTuple):
    """One thing that is wrong: the place in the file, the rule's row, and what to do."""

    where: str
    row: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.row}: {self.fix}"


class PolicyError(Exception):
    """The policy cannot be used. `problems` has one line for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


Unit = Literal["hours", "days", "months"]


class Span(msgspec.Struct, frozen=True):
    """A length of time as the operator wrote it: "72 hours", "15 days", "36 months"."""

    count: int
    unit: Unit

    @property
    def time(self) -> timedelta:
        """As a duration; a month counts as a twelfth of 365.25 days, rounded up to whole days."""
        if self.unit == "months":
            return timedelta(days=math.ceil(self.count * 365.25 / 12))
        return timedelta(**{self.unit: self.count})

    def __str__(self) -> str:
        return f"{self.count} {self.unit[:-1] if self.count == 1 else self.unit}"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the policy file."""


class Controller(Part, frozen=True, kw_only=True):
    """Who decides, and answers for it."""

    name: str
    address: str
    email: str
    website: str
    formerly: tuple[str, ...] = ()  # earlier names of the same company, which older wordings still have


class Contact(Part, frozen=True, kw_only=True):
    """Whom a reader writes to about her data."""

    name: str
    email: str


class MailIdentity(Part, frozen=True, kw_only=True):
    """Who our mails say they are from."""

    sender: str = msgspec.field(name="from")  # "Name <a@b>"
    reply_to: str
    postal_address: str

    @property
    def sender_name(self) -> str:
        """The name that readers see in their mailbox."""
        return self.sender.partition("<")[0].strip().strip('"').strip()

    @property
    def sender_address(self) -> str:
        """The address without the name."""
        return self.sender.partition("<")[2].rstrip("> ").strip()


class Looks(Part, frozen=True, kw_only=True):
    """How pages and mails look."""

    name: str
    logo: str = ""  # a file beside the policy
    accent: str = "#1a5fb4"


class LimitChoices(Part, frozen=True, kw_only=True):
    """How long things live and how often we try (`[limits]`)."""

    pending_ttl: Span = Span(72, "hours")
    consent_max_age: Span = Span(36, "months")
    refresh_lead: Span = Span(30, "days")
    soft_max_age: Span = Span(24, "months")
    soft_bounces: int = 5
    soft_bounce_window: Span = Span(15, "days")
    complaint_warn: float = 0.1
    complaint_stop: float = 0.3
    complaint_least: int = 3
    ask_again_after: Span = Span(6, "months")
    erased_ask_again_after: Span = Span(30, "days")
    breach_clock: Span = Span(72, "hours")  # from when a breach is noticed to the first word to the authority
    guardian_lasts: Span = Span(12, "months")
    of_age_answer: Span = Span(30, "days")


class SignUpLimits(Part, frozen=True, kw_only=True):
    """How many sign-up mails may go out, and what a form or an answer must bring (`[sign_up]`, CAP-10, CON-05)."""

    per_address_day: int = 1
    per_address_month: int = 3
    per_network_hour: int = 20
    global_hour: int = 1000
    hold: Hold = Hold.NEVER  # which yeses wait until the code of the mail is typed
    proof_of_work: bool = False  # a browser with scripts counts a little before it sends the form
    own_sites: tuple[str, ...] = ()  # origins of another domain whose pages are the operator's own


class Retention(Part, frozen=True, kw_only=True):
    """How long data is kept when its use has ended (`[retention]`, section 8)."""

    profile: Span = Span(30, "days")
    evidence: Span = Span(36, "months")
    bounced: Span = Span(90, "days")
    stop_list: Span = Span(36, "months")
    webhook_bodies: Span = Span(0, "days")
    request_files: Span = Span(36, "months")
    logs: Span = Span(30, "days")
    backups: Span = Span(35, "days")
    staff_log: Span = Span(36, "months")
    breach_register: Span = Span(60, "months")  # after a breach was closed
    marketing_ended: date | None = None  # from that day on nobody is mailed, and the stop list may grow too old


class Repermission(Part, frozen=True, kw_only=True):
    """Asking old contacts once more: off unless the country allows it and a named person answers for it."""

    allowed: bool = False
    approver: str = ""
    reason: str = ""
    countries: tuple[str, ...] = ()  # whose readers may be asked
    answer_within: Span = Span(30, "days")  # who has not answered by then is deleted
    waves: tuple[int, ...] = (100, 250, 1000, 2500, 10_000)  # the last one again and again
    watch: Span = Span(24, "hours")  # between two waves
    bounces_stop: float = 2.0  # percent of a wave


class Checkpoints(Part, frozen=True, kw_only=True):
    """How often the history is sealed, and where else the seals go (`[checkpoints]`, CAP-06)."""

    every: Span = Span(1, "hours")  # where something is new
    file: str = ""  # a line is added for each; best on another machine's disk
    mail: tuple[str, ...] = ()  # addresses of people who keep them


class Purpose(Part, frozen=True, kw_only=True):
    """One use of an address that gets its own yes or no."""

    id: str
    name: Texts
    description: Texts
    label: Texts
    frequency: Texts
    basis: LegalBasis
    opt_in: Literal["double", "single"] = "double"
    single_opt_in_reason: str = ""
    notice: int = 1
    notice_since: int = 1
    earlier_labels: dict[str, Texts] = {}  # version -> language -> label, where it was another one
    recipients: tuple[str, ...] = ()
    at: dict[str, dict[str, str]] = {}
    special_category: bool = False
    explicit_wording: Texts = {}
    dpia: str = ""
    offered_to_children: bool = False
    uses: tuple[str, ...] = ()
    part_of_terms: bool = False
    sample: Texts = {}  # an issue to look at first: a file beside the policy, or an https address

    def label_of(self, version: int, language: str) -> str | None:
        """The sentence beside the box as that version of the wording had it; None where nobody wrote it down."""
        return self.earlier_labels.get(str(version), {}).get(language) or self.label.get(language)


class Sale(Part, frozen=True, kw_only=True):
    """A channel that sells: what a soft opt-in of its customers rests on (SOF-01)."""

    collected: str  # how the buyer herself gave the address, and where she could refuse
    categories: tuple[str, ...]  # of products like those the mails are about


class ChannelKind(StrEnum):
    """What a place where addresses are collected is."""

    FORM = "form"  # to sign up, and for nothing else
    CONTACT_FORM = "contact_form"  # for a question; the box is beside it (CHN-02)
    BROCHURE = "brochure"  # for something to read, which comes without the box too (CAP-03, CHN-03)
    ORDER = "order"  # for something to buy; the box is beside it
    LIST = "list"  # a list of the controller's own, taken in
    THIRD_PARTY = "third_party"  # somebody else's list (CHN-04)
    API = "api"  # a program of the controller's


#: Where the box is beside something else, which works without it.
BESIDE = frozenset({ChannelKind.CONTACT_FORM, ChannelKind.BROCHURE, ChannelKind.ORDER})


class Source(Part, frozen=True, kw_only=True):
    """Who collected the addresses of a third party's list, for readers who ask (GDPR 14(2)(f))."""

    name: str
    contact: str  # an e-mail address


class Channel(Part, frozen=True, kw_only=True):
    """One place where addresses are collected."""

    id: str
    place: Texts
    purposes: tuple[str, ...]
    owner: str
    next_review: date
    last_review: date | None = None
    kind: ChannelKind = ChannelKind.FORM
    asset: str = ""  # what she gets with the box or without it: a file beside the policy, or an https address
    source: Source | None = None  # of a third party's list
    boxes: tuple[tuple[str, ...], ...] = ()
    auto_enrol: bool = False
    pre_ticked: bool = False
    sale: Sale | None = None


#: Of a field that says how often: as often as the purpose's `frequency` has it, which is what she said yes to.
USUAL = "usual"


class Field(Part, frozen=True, kw_only=True):
    """One more thing asked of a reader, with the reason why.

    `rhythm`: it says how often she wants one purpose, and is asked on her preference page alone. Its choices are each
    rarer than the one before, and all rarer than the purpose's `frequency`: so none is ever a new consent.
    """

    id: str
    label: Texts
    purposes: tuple[str, ...]
    need: str
    at: dict[str, str] = {}
    max_length: int = 100
    choices: tuple[str, ...] = ()
    choice_names: dict[str, Texts] = {}  # what readers see of a choice
    rhythm: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """What it may hold, the most often first; empty = any text."""
        return (USUAL, *self.choices) if self.rhythm else self.choices

    def is_rarer(self, value: str, known: str) -> bool:
        """Whether a choice of how often means less mail than another; nothing chosen is as usual."""
        return self.values.index(value) > self.values.index(known if known in self.values else USUAL)


class Assessment(Part, frozen=True, kw_only=True):
    """A weighing that somebody made and wrote down: where the paper lies, when, and by whom."""

    reference: str
    made: date
    by: str
    review_by: date | None = None


class Assessments(Part, frozen=True, kw_only=True):
    """What is weighed before data is used without a yes, or at a risk (`[assessments]`, GDPR 35, 6(1)(f), REG-05)."""

    dpia_screening: Assessment | None = None  # whether an impact assessment is needed, and why not
    soft_opt_in: Assessment | None = None  # legitimate interest: customers are mailed
    suppression: Assessment | None = None  # ... who said no is remembered as a keyed hash
    repermission: Assessment | None = None  # ... old contacts are asked once more
    third_party_lists: Assessment | None = None  # ... somebody else's list is looked through


class Authority(Part, frozen=True, kw_only=True):
    """Where readers may complain (GDPR 13(2)(d), 77)."""

    name: str
    address: str
    website: str


class StatementChoices(Part, frozen=True, kw_only=True):
    """What the privacy statement says besides what follows from the rest (`[statement]`, TRN-01)."""

    tell: Literal["none", "page", "mail"] = "page"  # how readers hear of a material change
    authority: Authority | None = None
    representative: Contact | None = None  # in the Union, of a controller outside it (GDPR 27)
    interest: Texts = {}  # which legitimate interest, where customers are mailed without asking (13(1)(d))
    automated: Texts = {}  # where decisions are made about people by machines alone; else "none" (13(2)(f))


class Processing(Part, frozen=True, kw_only=True):
    """What the record of processing says besides (`[processing]`, GDPR 30)."""

    measures: tuple[str, ...] = ()  # of security, besides those of this program


class Served(Part, frozen=True, kw_only=True):
    """A controller on whose behalf this bridge is run (`[[controllers_served]]`, GDPR 30(2)(a))."""

    name: str
    address: str
    email: str
    dpo: str = ""  # the officer's address
    processing: tuple[str, ...]  # categories of what is done for it


class Reports(Part, frozen=True, kw_only=True):
    """To whom each department's report is mailed (`[reports]`, ORG-01)."""

    marketing: tuple[str, ...] = ()
    sales: tuple[str, ...] = ()
    support: tuple[str, ...] = ()
    it: tuple[str, ...] = ()
    management: tuple[str, ...] = ()
    language: str = ""  # the policy's first


class Policy(Part, frozen=True, kw_only=True, dict=True):
    """Everything the operator chose, from one file. Never changes while the program runs."""

    controller: Controller
    dpo: Contact | None = None
    privacy_contact: Contact | None = None
    mail: MailIdentity
    looks: Looks
    timezone: str
    country: str
    languages: tuple[str, ...]
    purposes: dict[str, Purpose]
    channels: dict[str, Channel]
    fields: dict[str, Field] = {}
    processors: dict[str, Processor] = {}
    processor_gaps: Gate = Gate.BLOCK
    assessments: Assessments = Assessments()
    statement: StatementChoices = StatementChoices()
    processing: Processing = Processing()
    controllers_served: dict[str, Served] = {}
    limits_: LimitChoices = msgspec.field(name="limits", default=LimitChoices())
    sign_up: SignUpLimits = SignUpLimits()
    retention: Retention = Retention()
    repermission: Repermission = Repermission()
    checkpoints: Checkpoints = Checkpoints()
    reports: Reports = Reports()
    goodbye_mail_: bool | None = msgspec.field(name="goodbye_mail", default=None)
    oneclick_scope: Literal["list", "all"] = "list"
    new_consent_on_address_change: bool = False  # a new address must say yes anew before anything is mailed (R13)
    soft_opt_in: bool = False
    third_party_lists: Literal["forbidden", "quarantine"] = "forbidden"
    tracking: bool = False
    evidence_ip: bool = False
    dsar_holidays: tuple[date, ...] = ()  # days off besides the country's: no answer falls due on them (RGT-07)
    child_age: int | None = None  # as the country's law says today, where that differs from what is known here
    child_age_checked: date | None = None  # when somebody looked that up
    second_approver: tuple[str, ...] = ()  # acts that wait until another person approves them (ORG-02)
    staff_reason: Literal["optional", "required"] = "optional"  # whether an act of staff must say why (ORG-02)

    @property
    def contact(self) -> Contact:
        """Whom readers write to about their data: the data protection officer, else the privacy contact."""
        contact = self.dpo or self.privacy_contact
        assert contact is not None  # noqa: S101 - the loader refuses a policy without one (TRN-02)
        return contact

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of readers' dates and report days."""
        return ZoneInfo(self.timezone)

    @property
    def profile(self) -> Country:
        """What the controller's country allows and asks."""
        return profile(self.country)

    @property
    def age(self) -> Age:
        """Below which age a guardian decides, by the policy or the country's law (GDPR 8, KID-01)."""
        known = age_of(self.country)
        years = known.years if self.child_age is None else self.child_age
        source = known.source if years == known.years else "the policy"
        return Age(years, source, self.child_age_checked or known.checked)

    @property
    def for_children(self) -> frozenset[str]:
        """The purposes that children are invited to as well: their form asks the age."""
        return frozenset(purpose.id for purpose in self.purposes.values() if purpose.offered_to_children)

    @property
    def goodbye_mail(self) -> bool:
        """Leaving is acknowledged by one mail: as chosen, else as the country asks (WDR-12)."""
        return self.profile.goodbye_mail if self.goodbye_mail_ is None else self.goodbye_mail_

    @cached_property
    def rhythms(self) -> dict[str, Field]:
        """How often each purpose may be had, where a reader may choose that: the field that holds it."""
        return {purpose: field for field in self.fields.values() if field.rhythm for purpose in field.purposes}

    def said(self, field: Field, value: str, language: str) -> str:
        """What a reader sees of a field's value."""
        if field.rhythm and value == USUAL:
            return self.purposes[field.purposes[0]].frequency[language]
        return field.choice_names.get(value, {}).get(language, value)

    @property
    def forms(self) -> tuple[str, ...]:
        """The channels that are a form of ours, or post to it: what is taken in or called otherwise has no page."""
        pages = {ChannelKind.FORM, *BESIDE}
        return tuple(channel.id for channel in self.channels.values() if channel.kind in pages)

    @property
    def third_parties(self) -> tuple[str, ...]:
        """The channels that somebody else's lists come in by today; the store knows those of before too."""
        return tuple(c.id for c in self.channels.values() if c.kind is ChannelKind.THIRD_PARTY)

    def places(self, adapter: str) -> dict[str, dict[str, str]]:
        """Where each purpose lives at this adapter."""
        return {purpose.id: purpose.at[adapter] for purpose in self.purposes.values() if adapter in purpose.at}

    def field_names(self, adapter: str) -> dict[str, str]:
        """What each declared field is called at this adapter."""
        return {field.id: field.at[adapter] for field in self.fields.values() if adapter in field.at}

    def sender(self, adapter: str) -> str:
        """What a reader knows this processor by: its name without the company behind it."""
        processor = self.processors.get(adapter)
        return processor.name.partition(" (")[0] if processor else adapter

    def processor_problem(self, adapter: str, today: date) -> str | None:
        """Why nothing may go to this processor today, with the fix; None if it may (REG-02, REG-03)."""
        processor = self.processors.get(adapter)
        if processor is None:
            return f"no contract: add a [[processors]] entry for {adapter} (REG-02)"
        first = next((flaw for flaw in flaws(processor, today) if self.holds_back(flaw)), None)
        return f"{first.fix} ({first.row})" if first else None

    def holds_back(self, flaw: Flaw) -> bool:
        """Whether nothing new goes to a processor with this flaw (`processor_gaps`)."""
        soft = flaw.weight is Weight.SOFT and self.processor_gaps is Gate.BLOCK
        return soft or flaw.weight is Weight.REFUSED

    def uses(self, party: Processor) -> tuple[str, ...]:
        """The purposes that this third party gets data for."""
        here = tuple(purpose.id for purpose in self.purposes.values() if party.key in purpose.at)
        return here or party.purposes

    def limits(self, today: date, adapters: Collection[str]) -> Limits:
        """What the rules need to know today, with these adapters switched on."""
        chosen = self.limits_
        return Limits(
            pending_ttl=chosen.pending_ttl.time,
            consent_max_age=chosen.consent_max_age.time,
            soft_opt_in=self.soft_opt_in,
            soft_max_age=chosen.soft_max_age.time,
            soft_bounces=chosen.soft_bounces,
            complaint_warn=chosen.complaint_warn,
            complaint_stop=chosen.complaint_stop,
            complaint_least=chosen.complaint_least,
            zone=self.zone,
            soft_bounce_window=chosen.soft_bounce_window.time,
            ask_again_after=chosen.ask_again_after.time,
            erased_ask_again_after=chosen.erased_ask_again_after.time,
            goodbye=self.goodbye_mail,
            notice_since={purpose.id: purpose.notice_since for purpose in self.purposes.values()},
            channels=frozenset(self.channels),
            bought=frozenset(self.third_parties),
            closed=self._closed(today, adapters),
            asking=self._asking,
            for_children=self.for_children,
            guardian_lasts=chosen.guardian_lasts.time,
            of_age_answer=chosen.of_age_answer.time,
        )

    @property
    def _asking(self) -> Asking | None:
        """What is allowed of the once-only question; None where it is not (AUD-03)."""
        chosen = self.repermission
        if not chosen.allowed:
            return None
        return Asking(
            home=self.country,
            countries=frozenset(chosen.countries),
            waves=chosen.waves,
            watch=chosen.watch.time,
            bounces_stop=chosen.bounces_stop,
        )

    def _closed(self, today: date, adapters: Collection[str]) -> dict[str, str]:
        """Purposes for which no switched-on processor may be used today, with the reasons."""
        closed = {}
        ended = self.retention.marketing_ended
        if ended is not None and ended <= today:
            return dict.fromkeys(self.purposes, f"marketing ended on {ended} (marketing_ended in the policy)")
        for purpose in self.purposes.values():
            used = [adapter for adapter in purpose.at if adapter in adapters]
            reasons = [self.processor_problem(adapter, today) for adapter in used]
            if reasons and all(reasons):
                closed[purpose.id] = "; ".join(reason for reason in reasons if reason)
        return closed
