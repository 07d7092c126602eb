"""One row of a list as what it says of an address: a yes with its proof, one that only says so, or a no.

A yes counts as proof by today's bar (GDPR recital 171): who, when, how, which words, for which use, and where that can
be seen. Whatever is missing, the row is kept as a contact without proof, who is not mailed (CHN-05). The words are our
own, which name the controller: a row of a third party's list that proves no yes to those proves none to us (CHN-04).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bridge.decide import NO_YES, SALE_FACTS, SHOWS_WHO, STOPS
from bridge.jobs.lists.addresses import address
from bridge.jobs.lists.columns import Columns
from bridge.jobs.lists.moments import moment
from bridge.notices import Notices
from bridge.policy import Policy
from bridge.vocabulary import (
    EVERY_PURPOSE,
    UNASKED_AGE,
    Entry,
    EventType,
    Evidence,
    LegalBasis,
    bounce_type,
    enhanced_code,
)

T = EventType

#: What lists call where somebody stands. Whatever is none of these is refused: nobody guesses.
_STATUSES: Mapping[str, EventType] = {
    **dict.fromkeys(("given", "subscribed", "active", "opted_in", "confirmed"), T.GIVEN),
    **dict.fromkeys(("soft_opt_in",), T.ENROLLED),
    **dict.fromkeys(("unknown", "nonsubscribed", "non_subscribed", "transactional", "archived"), T.IMPORTED),
    **dict.fromkeys(("unsubscribed", "opted_out", "opt_out", "inactive"), T.UNSUBSCRIBED),
    **dict.fromkeys(("complained", "complaint", "abuse", "spam", "spamreport", "spam_report"), T.COMPLAINED),
    **dict.fromkeys(("cleaned", "bounced", "bounce", "hard_bounce", "invalid"), T.BOUNCED),
    "withdrawn": T.WITHDRAWN,
    "refused": T.REFUSED,
    "objected": T.OBJECTED,
    "expired": T.EXPIRED,
    "revoked": T.REVOKED,
    "invalidated": T.INVALIDATED,
}
#: Mailchimp's columns that say by themselves what a row is.
_LEFT = (("unsub_time", T.UNSUBSCRIBED), ("clean_time", T.BOUNCED))

#: Columns whose words differ from row to row.
_DATES = frozenset({"time", "confirm_time", "optin_time", "unsub_time", "clean_time", "created", "sale_time"})

#: So many kinds of rows are remembered at a time.
_MOST_ALIKE = 10_000

UNCONFIRMED = frozenset({"requested", "pending", "unconfirmed"})

#: How a yes was collected. The first kinds show that whoever holds the mailbox said it.
_METHODS: Mapping[str, str] = {
    **dict.fromkeys(("double_opt_in", "doi", "confirm_page", "confirmed"), "double_opt_in"),
    **dict.fromkeys(("paper", "letter", "card", "signature"), "paper"),
    **dict.fromkeys(("form", "single_opt_in", "soi", "web"), "form"),
    **dict.fromkeys(("phone", "counter", "event"), "spoken"),
}
#: What the report calls rows; whatever is not here is a no.
_SAID = {T.GIVEN: "yes", T.ENROLLED: "customer", T.IMPORTED: "without proof", T.BOUNCED: "dead address"}

_LONGEST_REFERENCE = 200


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What rows mean that do not say so themselves."""

    channel: str
    purpose: str = ""  # else the first of the channel; a no that names none is one to everything
    status: str = ""
    dates: str = ""

    @property
    def is_no(self) -> bool:
        """Whether rows that say nothing of it are a no, or a dead address."""
        kind = _STATUSES.get(word(self.status))
        return kind in STOPS or kind is T.BOUNCED

    @property
    def problem(self) -> str:
        """What is wrong with the status; empty if nothing is."""
        try:
            named(word(self.status))
        except ValueError as error:
            return str(error)
        return ""


class _Like(NamedTuple):
    """What rows say that differ by person and moment only."""

    template: Entry
    times: Sequence[str]  # the columns with her moment, the first that is filled
    lacking: tuple[str, ...] = ()
    ends: bool = False  # a no, or a dead address


class Lines:
    """Reads rows of one list, whose columns are known."""

    def __init__(
        self,
        policy: Policy,
        notices: Notices,
        columns: Columns,
        defaults: Defaults,
        now: datetime,
        *,
        third_parties: Collection[str],
    ) -> None:
        self._policy, self._notices, self._columns, self._defaults = policy, notices, columns, defaults
        self._now, self._third_parties = now, third_parties
        self._same = [place for word, place in columns.places.items() if word != "email" and word not in _DATES]
        self._times = [place for word, place in columns.places.items() if word in _DATES]
        self._known: dict[tuple[object, ...], _Like | str] = {}
        self.dropped: Counter[str] = Counter()
        self.said: Counter[str] = Counter()  # how many rows say what, for people
        self.lacking: Counter[str] = Counter()  # what rows without proof lack

    def entry(self, cells: Sequence[str]) -> Entry:
        """What a row says. ValueError says, without any of its words, what is wrong with it."""
        columns = self._columns
        if len(cells) != columns.count:
            raise ValueError(f"{len(cells)} cells, but {columns.count} columns; look for a missing quote or delimiter")
        email = address(cells[columns.email])
        like = self._like(cells)
        if isinstance(like, str):
            raise ValueError(like)
        template, ends = like.template, like.ends
        entry = msgspec.structs.replace(
            template,
            email=email,
            time=self._time(cells, like.times, ends=ends),
            fields={} if ends else self._fields(cells, template.purpose),
        )
        for place, name in columns.dropped.items():
            if cells[place] and not cells[place].isspace():
                self.dropped[name] += 1
        self.said[_SAID.get(entry.type, "no")] += 1
        if entry.type is T.IMPORTED:
            self.lacking.update(like.lacking)
        return entry

    def _like(self, cells: Sequence[str]) -> "_Like | str":
        """What rows say that differ from this one by person and moment only; a text is what is wrong with them.

        Nearly all rows of a list are alike in all else: it is worked out once.
        """
        key = (*(cells[place] for place in self._same), *(not cells[place].strip() for place in self._times))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_ALIKE:
                self._known.clear()
            try:
                known = self._read({word: cells[place].strip() for word, place in self._columns.places.items()})
            except ValueError as error:
                known = str(error)
            self._known[key] = known
        return known

    def _read(self, row: Mapping[str, str]) -> "_Like":
        kind = self._kind(row)
        if kind in STOPS or kind is T.BOUNCED:
            return self._ended(row, kind)
        channel = self._channel(row)
        purpose = self._purpose(row, channel, kind)
        times = ("sale_time",) if kind is T.ENROLLED else ("time", "confirm_time", "optin_time")
        dated = self._now if any(row.get(name) for name in times) else None  # when, is each row's own
        about = Entry(email="", type=kind, purpose=purpose, channel=channel, time=dated, language=self._language(row))
        if kind is T.ENROLLED:
            return _Like(self._sale(row, about), times)
        return self._consent(row, about, times)

    def _kind(self, row: Mapping[str, str]) -> EventType:
        """What the row would be, if it proves what it says. Of two things it says the stricter counts (R14)."""
        said = next((kind for name, kind in _LEFT if row.get(name)), None)
        kind = named(word(row.get("status", "")))
        if said and kind not in STOPS:
            kind = said
        if kind is None and any(self._columns.has(name) for name, _ in _LEFT) and not self._defaults.status:
            raise ValueError(
                "it is not said whether she left: that cell is empty; say how such rows stand with --status subscribed "
                "or --status unsubscribed"
            )
        kind = kind or named(word(self._defaults.status)) or T.GIVEN
        if kind in STOPS or kind is T.BOUNCED:
            return kind
        basis = word(row.get("basis", "")) or LegalBasis.CONSENT.value
        if basis not in (LegalBasis.CONSENT.value, LegalBasis.SOFT_OPT_IN.value):
            raise ValueError("unknown basis: write consent or soft_opt_in; nothing else lets anybody mail marketing")
        return T.ENROLLED if kind is T.GIVEN and basis == LegalBasis.SOFT_OPT_IN.value else kind

    def _ended(self, row: Mapping[str, str], kind: EventType) -> "_Like":
        """A no, or a dead address. Nothing about it that cannot be read makes it less of one (R1): a date that says
        nothing counts as none, a purpose that nobody knows as all."""
        named = row.get("purpose") or self._defaults.purpose
        channel = row.get("channel", "")
        names = ("unsub_time", "clean_time", *(("created",) if self._columns.of_suppressions else ()), "time")
        ended = Entry(
            email="",
            type=kind,
            purpose=named if named in self._policy.purposes and kind in STOPS else EVERY_PURPOSE,
            channel=channel if channel in self._policy.channels else self._defaults.channel,
        )
        return _Like(ended, names, ends=True)

    def _channel(self, row: Mapping[str, str]) -> str:
        channel = row.get("channel") or self._defaults.channel
        if channel not in self._policy.channels:
            raise ValueError(f"unknown channel: the policy declares {', '.join(self._policy.channels)}")
        return channel

    def _purpose(self, row: Mapping[str, str], channel: str, kind: EventType) -> str:  # noqa: ARG002 - audits need it
        named = row.get("purpose") or self._defaults.purpose
        if named and named not in self._policy.purposes:
            raise ValueError(f"unknown purpose: the policy declares {', '.join(self._policy.purposes)}")
        asked = self._policy.channels[channel].purposes
        if named and named not in asked:
            raise ValueError(f"the channel {channel} asks for {', '.join(asked)} only")
        return named or asked[0]

    def _time(self, cells: Sequence[str], names: Sequence[str], *, ends: bool) -> datetime | None:
        """The first date of these columns that a row has; of a no one that cannot be read is none."""
        places = self._columns.places
        text = next((cells[places[name]] for name in names if name in places and cells[places[name]].strip()), "")
        if not text:
            return None
        try:
            return moment(text, self._policy.zone, self._now, self._defaults.dates)
        except ValueError:
            if ends:
                return None
            raise

    def _language(self, row: Mapping[str, str]) -> str:
        told = row.get("language", "").replace("_", "-")
        short = told.partition("-")[0].lower()
        return next((name for name in (told, short) if name in self._policy.languages), "")

    def _fields(self, cells: Sequence[str], purpose: str) -> dict[str, str]:
        """Declared fields that this purpose needs; others are dropped and counted (MIN-01)."""
        kept = {}
        for name, place in self._columns.fields.items():
            field, value = self._policy.fields[name], cells[place].strip()
            if not value:
                continue
            fits = len(value) <= field.max_length and value in (field.values or (value,))
            if purpose in field.purposes and fits and value.isprintable():
                kept[name] = value
            else:
                self.dropped[name] += 1
        return kept

    def _notice(self, row: Mapping[str, str]) -> int | None:
        text = row.get("notice", "")
        if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 10_000):
            raise ValueError("notice must be the version of the words that were shown: 1, 2, 3")
        return int(text) if text else None

    def _evidence(self, row: Mapping[str, str], about: Entry, version: int | None) -> Evidence:
        method = word(row.get("method", ""))
        if method and method not in _METHODS:
            raise ValueError("unknown method: write double_opt_in, form, paper or phone")
        document = row.get("source_document", "")
        if len(document) > _LONGEST_REFERENCE or "@" in document:
            raise ValueError("source_document must be a short reference, without any address")
        shown = self._notices.get((about.purpose, version, about.language)) if version else None
        return Evidence(
            wording=shown.sha256 if shown else None,
            language=about.language or None,
            document=document or None,
            detail=_METHODS.get(method),
        )

    def _consent(self, row: Mapping[str, str], about: Entry, times: Sequence[str]) -> "_Like":
        """A yes if all of its proof is there, else a contact without one."""
        version = self._notice(row)
        evidence = self._evidence(row, about, version)
        lacking = missing(about.time, evidence, self._confirmed(about))
        if about.type is T.IMPORTED:  # the list itself does not say that she said yes
            evidence = msgspec.structs.replace(evidence, detail=NO_YES)
        if about.purpose in self._policy.for_children:  # nobody asked how old she is (KID-01)
            lacking = [*lacking, "guardian"]
            evidence = msgspec.structs.replace(evidence, at_least=UNASKED_AGE)
        proven = about.type is T.GIVEN and not lacking
        kind = T.GIVEN if proven else T.IMPORTED
        said = msgspec.structs.replace(about, type=kind, notice=version, evidence=evidence)
        return _Like(said, times, tuple(lacking or ["status"]))

    def _confirmed(self, about: Entry) -> bool:
        """Whether a yes must show that whoever holds the mailbox said it: always, where others say so (CHN-04)."""
        others = about.channel in self._third_parties
        return others or self._policy.purposes[about.purpose].opt_in == "double"

    def _sale(self, row: Mapping[str, str], about: Entry) -> Entry:
        """A customer's soft opt-in with its six facts (SOF-01); refused where one is missing."""
        channel, purpose = self._policy.channels[about.channel], self._policy.purposes[about.purpose]
        if not self._policy.soft_opt_in:
            raise ValueError("soft opt-in is off: the policy, or the country's profile, does not allow it")
        if purpose.basis is not LegalBasis.SOFT_OPT_IN:
            raise ValueError("this purpose rests on consent; soft opt-in is for a purpose of its own")
        if channel.sale is None:
            raise ValueError("this channel sells nothing: no soft opt-in from forms, downloads or lists")
        sold = self._sold(row, about)
        lacking = missing_of_sale(sold)
        if lacking:
            raise ValueError(f"soft opt-in without its proof: {', '.join(lacking)} missing")
        return sold

    def _sold(self, row: Mapping[str, str], about: Entry) -> Entry:
        """The same with the facts of the sale, as far as they are there; an empty one is missing."""
        version = self._notice(row)
        evidence = self._evidence(row, about, version)
        channel = self._policy.channels.get(about.channel)
        sale = channel.sale if channel else None
        category = row.get("sale_category", "")
        facts = {
            "sale_id": row.get("sale_id", ""),
            "from_person": sale.collected if sale else "",
            "same_entity": self._policy.controller.name,
            "similar_category": category if sale and category in sale.categories else "",
            "opt_out_offered": evidence.wording or "",
            "opt_out_in_mail": "link in every mail",
        }
        return msgspec.structs.replace(about, notice=version, evidence=msgspec.structs.replace(evidence, sale=facts))


def missing_of_sale(sold: Entry) -> list[str]:
    """What a soft opt-in from a list lacks (SOF-01)."""
    facts = sold.evidence.sale or {}
    return [fact for fact in SALE_FACTS if not facts.get(fact)] + ([] if sold.time else ["sale_time"])


def missing(time: datetime | None, evidence: Evidence, confirmed: bool) -> list[str]:
    """What a yes from a list lacks to be proof, by the names of the columns."""
    need: dict[str, object] = {
        "time": time,
        "notice": evidence.wording,
        "language": evidence.language,
        "method": evidence.detail in SHOWS_WHO if confirmed else evidence.detail,
        "source_document": evidence.document,
    }
    return [name for name, value in need.items() if not value]


def named(status: str) -> EventType | None:
    """What a word for a status means; None for none."""
    if not status:
        return None
    if code := enhanced_code(status):  # of a file of bounces
        if bounce_type(code) is not T.BOUNCED:
            raise ValueError("no dead address: it failed for a while, or for a reason that is not hers (R7)")
        return T.BOUNCED
    if status in UNCONFIRMED:
        raise ValueError("was never confirmed: nothing may be kept of it")
    if status not in _STATUSES:
        raise ValueError("unknown status: write subscribed, unsubscribed, cleaned, complained or unknown")
    return _STATUSES[status]


def word(text: str) -> str:
    return text.strip().casefold().replace(" ", "_").replace("-", "_")
