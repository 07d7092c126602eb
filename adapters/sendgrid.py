"""SendGrid Marketing: contacts, lists, unsubscribe groups and the event webhook."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar

from adapters import _sendgrid_exports as exports
from adapters._outcomes import Round, Told, later, refused
from adapters._sendgrid_api import SECONDS, SendGridApi, mapping
from adapters._sendgrid_contacts import PREFS, Contact, Fields, found, weight
from adapters._sendgrid_events import SendGridEvents
from bridge.adapter import Adapter, AdapterError, Misconfigured
from bridge.vocabulary import DONE, Finding, Incoming, Member, Outcome, OutcomeKind, Report

_SEARCH = 100  # addresses in one search, ids in one removal
_SUPPRESS = 1000
_ERASE = 900  # 5,000 or 256 KB: with the longest addresses the second comes first
_CONTACTS = 30_000
_BYTES = 5_500_000  # of 6 MB, leaving room for the frame
_LONGEST_LINK = 1000

_FOLLOW_SECONDS = 5.0
_GONE_SECONDS = 60.0


class SendGrid(Adapter):
    """A purpose is a list (who gets the mail) and an unsubscribe group (who must not).

    Stops come first and count at once by the group; leaving the list follows. A suppression is lifted only after a
    fresh act of the reader. The global list is used for blocked addresses only: it also holds back the confirmation
    mail of somebody who left everything and wants to return. SendGrid has no field for the language; it is sent
    where the policy declares a field `language`. Only address, lists, link and declared fields leave (MIN-04).
    """

    name = "sendgrid"
    needs_places = frozenset({"list", "group"})
    batch = 50  # a fresh yes takes some calls each: a batch ends well within a lease
    signs_webhooks = True

    #: Limit of each call; the SDK has none.
    seconds: ClassVar[float] = SECONDS

    #: How to wait between two looks at an export; tests wait not at all.
    pause: ClassVar[Callable[[float], None]] = staticmethod(time.sleep)

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Check key, host, public keys and places; open nothing."""
        super().__init__(settings, places, fields)
        _need_places(places)
        self._api = SendGridApi(settings, self.seconds)
        self._events = SendGridEvents(settings, self._purposes_of)
        self._fields = Fields(self._api, fields)
        self._suspects: set[str] = set()  # addresses a job could not store: each goes in a job of its own

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Stops first; then those who get mail, as jobs to follow."""
        batch = Round(len(members))
        self._suppress(batch, members)
        self._leave(batch, members)
        for index, member in enumerate(members):
            if member.fresh & _on(member) & self.places.keys():
                batch.one(index, partial(self._lift, member))
        self._upsert(batch, members)
        return batch.outcomes

    def _suppress(self, batch: Round, members: Sequence[Member]) -> None:
        for purpose, place in self.places.items():
            stopped = [i for i, member in enumerate(members) if member.blocked or purpose in member.stopped]
            for who in _chunks(stopped, _SUPPRESS):
                batch.attempt(who, partial(self._suppress_in, place["group"], members))
        for who in _chunks([i for i, member in enumerate(members) if member.blocked], _SUPPRESS):
            batch.attempt(who, partial(self._suppress_everywhere, members))

    def _suppress_in(self, group: str, members: Sequence[Member], who: Sequence[int]) -> Outcome:
        # For a group that is not there SendGrid takes the addresses into the global list instead.
        try:
            self._api.get("asm", "groups", group)
        except Told as told:
            raise (Told(later("no_group"), 404) if told.status == 404 else told) from None
        self._api.post("asm", "groups", group, "suppressions", body=_recipients(members, who))
        return DONE

    def _suppress_everywhere(self, members: Sequence[Member], who: Sequence[int]) -> Outcome:
        self._api.post("asm", "suppressions", "global", body=_recipients(members, who))
        return DONE

    def _leave(self, batch: Round, members: Sequence[Member]) -> None:
        if self._api.eu:
            return  # no contacts there, so nobody to take from a list
        leaving = [i for i, member in enumerate(members) if not _on(member) >= self.places.keys()]
        for who in _chunks(leaving, _SEARCH):
            batch.attempt(who, partial(self._leave_lists, members))

    def _leave_lists(self, members: Sequence[Member], who: Sequence[int]) -> Outcome:
        there = self._search([members[i].email for i in who])
        for purpose, place in self.places.items():
            off = [_low(members[i].email) for i in who if purpose not in _on(members[i])]
            ids = [there[email].id for email in off if email in there and place["list"] in there[email].lists]
            if ids:
                query = {"contact_ids": ",".join(ids)}
                self._api.delete("marketing", "lists", place["list"], "contacts", query=query)
        return DONE

    def _search(self, emails: Sequence[str]) -> dict[str, Contact]:
        """Who of these (at most 100) is a contact, by lower-case address."""
        try:
            body = {"emails": [email.strip() for email in emails]}
            answer = self._api.post("marketing", "contacts", "search", "emails", body=body)
        except Told as told:
            if told.status == 404:  # none of them
                return {}
            raise
        return dict(found(answer))

    def _lift(self, member: Member) -> Outcome:
        """Take back the stops that her own new yes answers."""
        email = member.email.strip().lower()
        on = _on(member).intersection(self.places)
        if (old := on - member.fresh) and self._is_stopped_everywhere(email):
            for purpose in sorted(old):  # she left everything there: only what she said yes to again comes back
                body = {"recipient_emails": [email]}
                self._api.post("asm", "groups", self.places[purpose]["group"], "suppressions", body=body)
        for purpose in sorted(on & member.fresh):
            self._gone("asm", "groups", self.places[purpose]["group"], "suppressions", email)
        self._gone("asm", "suppressions", "global", email)
        for name in ("bounces", "spam_reports"):  # else SendGrid drops all mail of somebody who came back
            self._gone("suppression", name, email)
        return DONE

    def _is_stopped_everywhere(self, email: str) -> bool:
        return bool(self._api.get("asm", "suppressions", "global", email).get("recipient_email"))

    def _gone(self, *path: str) -> None:
        try:
            self._api.delete(*path)
        except Told as told:
            if told.status != 404:
                raise

    def _upsert(self, batch: Round, members: Sequence[Member]) -> None:
        """One call per equal set of lists: `list_ids` belong to the call (decision 27)."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, member in enumerate(members):
            lists = tuple(sorted(self.places[p]["list"] for p in _on(member).intersection(self.places)))
            if lists and len(member.link.encode()) > _LONGEST_LINK:
                batch.note([index], refused("link_too_long"))
            elif lists:
                groups.setdefault(lists, []).append(index)
        for lists, who in groups.items():
            for chunk in self._sized(members, who):
                batch.attempt(chunk, partial(self._send, lists, members))

    def _sized(self, members: Sequence[Member], who: Sequence[int]) -> Iterator[list[int]]:
        """Chunks SendGrid takes; whoever spoiled a job before goes alone."""
        chunk: list[int] = []
        size = 0
        for index in who:
            if members[index].email.strip().lower() in self._suspects:
                yield [index]
                continue
            size_of_one = weight(members[index])
            if chunk and (len(chunk) == _CONTACTS or size + size_of_one > _BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(index)
            size += size_of_one
        if chunk:
            yield chunk

    def _send(self, lists: tuple[str, ...], members: Sequence[Member], who: Sequence[int]) -> Outcome:
        body = {"list_ids": list(lists), "contacts": [self._fields.contact(members[index]) for index in who]}
        answer = self._api.put("marketing", "contacts", body=body)
        job = mapping(answer).get("job_id")
        if not isinstance(job, str) or not job:
            return later("no_job")
        return Outcome(OutcomeKind.PENDING, "job", _FOLLOW_SECONDS, job)

    def follow(self, job: str) -> Outcome:
        """What became of an upsert. Bad rows do not undo the good ones: all are sent again, the bad ones alone."""
        pending = Outcome(OutcomeKind.PENDING, "job", _FOLLOW_SECONDS, job)
        try:
            answer = mapping(self._api.get("marketing", "contacts", "imports", job))
        except Told as told:
            return pending if told.status >= 500 else later("job_unknown")
        results = answer.get("results") or {}
        match answer.get("status"):
            case "completed" if not results.get("errored_count"):
                return DONE
            case "completed" | "errored":
                if results.get("requested_count") == 1:
                    return refused("row_refused")
                self._suspect(str(results.get("errors_url") or ""))
                return later("errored_rows")
            case "failed":
                return later("job_failed")
        return pending

    def _suspect(self, errors_url: str) -> None:
        """Remember whose rows failed. Without the file the dispatcher's spread of retries parts them in time."""
        if not errors_url:
            return
        try:
            rows = [exports.address(row) for row in exports.download(errors_url, self._api.seconds)]
        except AdapterError:
            return
        self._suspects.update(email.lower() for email in rows if email)

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Delete contacts and what SendGrid keeps about their mails; done when a search finds nobody (ESP-04).

        Entries in suppression lists stay: they are stops, and SendGrid alone would mail without them.
        """
        batch = Round(len(emails))
        if not self._api.eu:
            for who in _chunks(range(len(emails)), _SEARCH):
                for index, outcome in self._erase_contacts(batch, emails, who).items():
                    batch.note([index], outcome)
        for who in _chunks(range(len(emails)), _ERASE):
            batch.attempt(who, partial(self._erase_data, emails))
        return batch.outcomes

    def _erase_contacts(self, batch: Round, emails: Sequence[str], who: Sequence[int]) -> dict[int, Outcome]:
        left: dict[int, Outcome] = {}

        def erase(who: Sequence[int]) -> Outcome:
            wanted = [emails[index] for index in who]
            ids = [contact.id for contact in self._search(wanted).values()]
            if ids:  # without ids the same call could be read as "all"
                self._api.delete("marketing", "contacts", query={"ids": ",".join(ids)})
                still = self._search(wanted)
                left.update({i: later("still_there", _GONE_SECONDS) for i in who if _low(emails[i]) in still})
            return DONE

        batch.attempt(who, erase)
        return left

    def _erase_data(self, emails: Sequence[str], who: Sequence[int]) -> Outcome:
        self._api.post("recipients", "erasejob", body={"email_addresses": [emails[index].strip() for index in who]})
        return DONE

    def members(self) -> Iterator[Member]:
        """Every contact, from exports (plain reading shows the 50 newest), less whom the suppression lists stop."""
        return exports.members(self._api, self.places, type(self).pause)

    def verify(self, call: Incoming) -> None:
        """ECDSA over timestamp and raw body, any of our public keys (HOOK-01)."""
        self._events.verify(call)

    def parse(self, call: Incoming) -> list[Report]:
        """Bounced, complained, unsubscribed, deferred; the rest says nothing about consent."""
        return self._events.parse(call)

    def _purposes_of(self, group: str) -> Sequence[str]:
        return tuple(purpose for purpose, place in self.places.items() if place["group"] == group)

    def setup(self) -> list[str]:
        """Make the custom field for the reader's link where it is missing."""
        if PREFS in self._fields.read():
            return []
        try:
            self._api.post("marketing", "field_definitions", body={"name": PREFS, "field_type": "Text"})
        except Told as told:
            raise AdapterError(f"sendgrid: {told.outcome.reason} while adding the field {PREFS}") from None
        return [f"custom field {PREFS} added"]

    def check(self) -> list[Finding]:
        """Key and scopes, host, lists, groups, custom field, webhook key."""
        key = bool(self.settings.get("SENDGRID_WEBHOOK_PUBLIC_KEY"))
        return [
            self._look("sendgrid answers", "", lambda: self._api.get("scopes")),
            Finding("sendgrid webhook key", key, "" if key else "set SENDGRID_WEBHOOK_PUBLIC_KEY"),
            *self._check_places(),
            self._look(
                f"sendgrid custom field {PREFS}", "run consent-bridge setup sendgrid", lambda: self._fields.id(PREFS)
            ),
        ]

    def _check_places(self) -> Iterator[Finding]:
        fix = "it is unknown: look at [purposes.at.sendgrid] of the policy"
        for purpose, place in self.places.items():
            yield self._look(
                f"sendgrid list of {purpose}", fix, partial(self._api.get, "marketing", "lists", place["list"])
            )
            yield self._look(
                f"sendgrid unsubscribe group of {purpose}", fix, partial(self._api.get, "asm", "groups", place["group"])
            )

    def _look(self, subject: str, fix: str, call: Callable[[], object]) -> Finding:
        try:
            call()
        except Told as told:
            return Finding(subject, False, fix or told.outcome.reason)
        except AdapterError as error:
            return Finding(subject, False, str(error))
        return Finding(subject, True)


def _need_places(places: Mapping[str, Mapping[str, str]]) -> None:
    for key in ("list", "group"):
        values = [place.get(key, "") for place in places.values()]
        if not all(values):
            raise Misconfigured(f"every purpose needs a {key} under [purposes.at.sendgrid] of the policy")
        if len(set(values)) < len(values):
            raise Misconfigured(f"two purposes share a SendGrid {key}: leaving one would leave both; give each its own")


def _on(member: Member) -> frozenset[str]:
    return frozenset() if member.blocked else member.on


def _low(email: str) -> str:
    return email.strip().lower()


def _recipients(members: Sequence[Member], who: Sequence[int]) -> dict[str, list[str]]:
    return {"recipient_emails": [members[index].email.strip() for index in who]}


def _chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
