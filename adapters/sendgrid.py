"""SendGrid Marketing: contacts, lists, unsubscribe groups and the event webhook."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar

import msgspec

from adapters import _sendgrid_everybody as everybody
from adapters import _sendgrid_exports as exports
from adapters._held import facts
from adapters._outcomes import Round, Told, later, refused
from adapters._plans import plan_limit
from adapters._sendgrid_api import SECONDS, SendGridApi, mapping
from adapters._sendgrid_contacts import PREFS, Contact, Fields, found
from adapters._sendgrid_events import SendGridEvents
from adapters._sendgrid_setup import SendGridSetup
from bridge.adapter import Adapter, AdapterError, Misconfigured
from bridge.vocabulary import DONE, Finding, Incoming, Left, Member, Outcome, OutcomeKind, Report, Seen, Step

_SEARCH = 100  # addresses in one search, ids in one removal
_SUPPRESS = 1000
_ERASE = 900  # 5,000 or 256 KB: with the longest addresses the second comes first
_CONTACTS = 30_000
_BYTES = 6_000_000
_FEW = 3  # so many people's stops are lifted one by one; of more, they are looked up together
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
    batch = _SUPPRESS
    bulk = _CONTACTS
    bulk_bytes = _BYTES - 1500  # so that the last contact, a longer one than most, and the frame still fit
    after_erasure = "its suppression lists keep an address that left or bounced; they are what stops its mail there."
    signs_webhooks = True
    link_place = f"{{{{{PREFS}}}}}"
    dkim_selectors = ("s1", "s2")

    #: Limit of each call; the SDK has none.
    seconds: ClassVar[float] = SECONDS

    #: How to wait between two looks at an export; tests wait not at all.
    pause: ClassVar[Callable[[float], None]] = staticmethod(time.sleep)

    #: What time it is; tests set another.
    clock: ClassVar[Callable[[], datetime]] = staticmethod(lambda: datetime.now(UTC))

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Check key, host, public keys and places; open nothing."""
        super().__init__(settings, places, fields)
        _need_places(places)
        self._api = SendGridApi(settings, self.seconds)
        self._events = SendGridEvents(settings, self._purposes_of, lambda: type(self).clock())
        self._fields = Fields(self._api, fields)
        self._needs = SendGridSetup(self._api, settings, places, self._fields)
        plan_limit(self.name, settings)
        self._most = _CONTACTS  # of one upsert; halved while a job fails and does not say for whom

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Stops first; then those who get mail, as jobs to follow."""
        batch = Round(len(members))
        with batch.remembering():
            self._suppress(batch, members)
            self._leave(batch, members)
            self._lift_all(batch, members)
            self._upsert(batch, members)
        return batch.outcomes

    def weight(self, member: Member) -> int:
        """Her contact and the comma after it."""
        return self._fields.weight(member) + 1 if _on(member) else 0

    def left(self, members: Sequence[Member], since: datetime, *, exact: bool = False) -> Left:
        """Stops of theirs: account-wide ones since that moment, and groups they left."""
        if exact:
            return everybody.exact(self._api, self.places, members)
        return everybody.left(self._api, self.places, members, since)

    def _suppress(self, batch: Round, members: Sequence[Member]) -> None:
        for purpose, place in self.places.items():
            stopped = [i for i, member in enumerate(members) if member.blocked or purpose in member.stopped]
            looked: set[str] = set()
            for who in _chunks(stopped, _SUPPRESS):
                batch.attempt(who, partial(self._suppress_in, place["group"], looked, members))
        for who in _chunks([i for i, member in enumerate(members) if member.blocked], _SUPPRESS):
            batch.attempt(who, partial(self._suppress_everywhere, members))

    def _suppress_in(self, group: str, looked: set[str], members: Sequence[Member], who: Sequence[int]) -> Outcome:
        if group not in looked:
            # For a group that is not there SendGrid takes the addresses into the global list instead.
            try:
                self._api.get("asm", "groups", group)
            except Told as told:
                raise (Told(later("no_group"), 404) if told.status == 404 else told) from None
            looked.add(group)
        self._api.post("asm", "groups", group, "suppressions", body=_recipients(members, who))
        return DONE

    def _suppress_everywhere(self, members: Sequence[Member], who: Sequence[int]) -> Outcome:
        self._api.post("asm", "suppressions", "global", body=_recipients(members, who))
        return DONE

    def _leave(self, batch: Round, members: Sequence[Member]) -> None:
        if self._api.eu:
            return  # no contacts there, so nobody to take from a list
        leaving = [i for i, member in enumerate(members) if self._leaving(member)]
        for who in _chunks(leaving, _SEARCH):
            jobs: dict[int, list[str]] = {}
            try:
                batch.attempt(who, partial(self._leave_lists, members, jobs))
            finally:
                for index, named in jobs.items():
                    batch.note([index], _pending(" ".join(dict.fromkeys(named))))

    def _leaving(self, member: Member) -> set[str]:
        """Purposes whose list she may be in and must not be."""
        off = self.places.keys() - _on(member)
        return off & (member.stopped | member.paused) if member.first and not member.blocked else off

    def _leave_lists(self, members: Sequence[Member], jobs: dict[int, list[str]], who: Sequence[int]) -> Outcome:
        """Take them from the lists by ids from a search; a removal is a job like any other (decisions 24 and 27)."""
        there = self._search([members[i].email for i in who])
        for purpose, place in self.places.items():
            off = {i: there.get(exports.low(members[i].email)) for i in who if purpose in self._leaving(members[i])}
            ids = {i: contact.id for i, contact in off.items() if contact and place["list"] in contact.lists}
            if ids:
                query = {"contact_ids": ",".join(ids.values())}
                answer = self._api.delete("marketing", "lists", place["list"], "contacts", query=query)
                job = mapping(answer).get("job_id")
                for index in ids if isinstance(job, str) and job else ():
                    jobs.setdefault(index, []).append(str(job))
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

    def _lift_all(self, batch: Round, members: Sequence[Member]) -> None:
        """Take back the stops that new yeses answer, in as few calls as there are lists to look into."""
        fresh = [i for i, member in enumerate(members) if member.fresh & _on(member) & self.places.keys()]
        alone = set(fresh)
        if len(fresh) > _FEW:
            batch.attempt(fresh, partial(self._left_everything, members, alone), reading=True)
        for index in sorted(alone):
            batch.one(index, partial(self._lift, members[index]))
        together = [index for index in fresh if index not in alone]
        lows = {index: exports.low(members[index].email) for index in together}
        for purpose, place in self.places.items():
            said = [i for i in together if purpose in members[i].fresh & _on(members[i])]
            for who in _chunks(said, _SUPPRESS):
                left: list[int] = []
                batch.attempt(who, partial(self._left_group, place["group"], lows, left), reading=True)
                for index in left:
                    path = ("asm", "groups", place["group"], "suppressions", lows[index])
                    batch.one(index, partial(self._gone, *path))
        for who in _chunks(together, _SUPPRESS):
            for name in ("bounces", "spam_reports"):  # else SendGrid drops all mail of somebody who came back
                batch.attempt(who, partial(self._drop_entries, name, lows))

    def _left_everything(self, members: Sequence[Member], alone: set[int], who: Sequence[int]) -> Outcome:
        """Keep in `alone` who is on the global list: it is read, unless it has more pages than there are people."""
        try:
            everywhere = set(exports.listed(self._api, "unsubscribes", most=len(who)))
        except exports.TooLongError:
            return DONE
        there = (index for index in who if exports.low(members[index].email) in everywhere) if everywhere else ()
        alone.intersection_update(there)
        return DONE

    def _left_group(self, group: str, lows: Mapping[int, str], left: list[int], who: Sequence[int]) -> Outcome:
        """Who of these left a group."""
        there = exports.in_group(self._api, group, [lows[index] for index in who])
        left += [index for index in who if lows[index] in there]
        return DONE

    def _drop_entries(self, name: str, lows: Mapping[int, str], who: Sequence[int]) -> Outcome:
        # Never without addresses: the same call could be read as "all".
        self._api.delete("suppression", name, body={"emails": [lows[index] for index in who]})
        return DONE

    def _lift(self, member: Member) -> Outcome:
        """Take back the stops of one person."""
        email = exports.low(member.email)
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

    def _gone(self, *path: str) -> Outcome:
        try:
            self._api.delete(*path)
        except Told as told:
            if told.status != 404:
                raise
        return DONE

    def _upsert(self, batch: Round, members: Sequence[Member]) -> None:
        """One call per equal set of lists: `list_ids` belong to the call (decision 27)."""
        groups: dict[frozenset[str], list[int]] = {}
        for index, member in enumerate(members):
            on = _on(member)
            if not on or on.isdisjoint(self.places):
                continue
            if len(member.link.encode()) > _LONGEST_LINK:
                batch.note([index], refused("link_too_long"))
            else:
                groups.setdefault(on, []).append(index)
        everybody = [index for who in groups.values() for index in who]
        if not self._fields.known and any(self._fields.wanted(members[index]) for index in everybody):
            batch.attempt(everybody, self._look_up, reading=True)
            if batch.down:
                return
        by_lists: dict[tuple[str, ...], list[int]] = {}
        for on, who in groups.items():
            lists = tuple(sorted(self.places[purpose]["list"] for purpose in on.intersection(self.places)))
            by_lists.setdefault(lists, []).extend(who)
        for lists, who in by_lists.items():
            made = {index: self._fields.contact(members[index]) for index in sorted(who)}
            for chunk in self._sized(made, _BYTES - len(_frame(lists, b""))):
                batch.attempt(chunk, partial(self._send, lists, made))

    def _look_up(self, _who: Sequence[int]) -> Outcome:
        self._fields.look_up()
        return DONE

    def _sized(self, made: Mapping[int, bytes], most: int) -> Iterator[list[int]]:
        """Chunks SendGrid takes, of so many bytes at most."""
        chunk: list[int] = []
        size = 0
        for index, contact in made.items():
            if chunk and (len(chunk) >= self._most or size + len(contact) > most):
                yield chunk
                chunk, size = [], 0
            chunk.append(index)
            size += len(contact) + 1
        if chunk:
            yield chunk

    def _send(self, lists: tuple[str, ...], made: Mapping[int, bytes], who: Sequence[int]) -> Outcome:
        body = _frame(lists, b",".join([made[index] for index in who]))
        job = mapping(self._api.put("marketing", "contacts", body=body)).get("job_id")
        if not isinstance(job, str) or not job:
            return later("no_job")._replace(maybe=True)
        return _pending(job)

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        """What became of a job. Bad rows do not undo the good ones: who they are about is in a file."""
        try:
            answer = mapping(self._api.get("marketing", "contacts", "imports", job))
        except Told as told:
            return [_pending(job) if told.status >= 500 else later("job_unknown")] * len(members)
        results = answer.get("results") or {}
        match answer.get("status"):
            case "completed" if not results.get("errored_count"):
                self._most = min(_CONTACTS, 2 * self._most)
                return [DONE] * len(members)
            case "completed" | "errored":
                return self._errored(results, members)
            case "failed":
                return [later("job_failed")] * len(members)
        return [_pending(job)] * len(members)

    def _errored(self, results: Mapping[str, object], members: Sequence[Member]) -> list[Outcome]:
        """The bad ones are refused. While nobody says who they are, jobs get smaller until each stands alone."""
        if len(members) == 1:
            return [refused("row_refused")]
        bad = self._bad_rows(str(results.get("errors_url") or ""))
        named = [exports.low(member.email) in bad for member in members]
        if sum(named) == results.get("errored_count"):
            return [refused("row_refused") if is_bad else DONE for is_bad in named]
        self._most = max(1, min(self._most, len(members)) // 2)
        return [refused("row_refused") if is_bad else later("errored_rows") for is_bad in named]

    def _bad_rows(self, errors_url: str) -> set[str]:
        """Whose rows failed, lower case; nobody where there is no file."""
        if not errors_url:
            return set()
        try:
            rows = [exports.address(row) for row in exports.download(errors_url, self._api.seconds)]
        except AdapterError:
            return set()
        return {email.lower() for email in rows if email}

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
                left.update({i: later("still_there", _GONE_SECONDS) for i in who if exports.low(emails[i]) in still})
            return DONE

        batch.attempt(who, erase)
        return left

    def _erase_data(self, emails: Sequence[str], who: Sequence[int]) -> Outcome:
        self._api.post("recipients", "erasejob", body={"email_addresses": [emails[index].strip() for index in who]})
        return DONE

    def held(self, emails: Sequence[str]) -> list[Mapping[str, str]]:
        """The contact as a search shows it, and the suppression lists that an address of theirs stands on."""
        try:
            there = {} if self._api.eu else self._contacts(emails)
            groups = {
                purpose: exports.in_group(self._api, place["group"], emails) for purpose, place in self.places.items()
            }
            return [self._held(email, there.get(exports.low(email), {}), groups) for email in emails]
        except Told as told:
            raise AdapterError(f"sendgrid: {told.outcome.reason} while reading contacts") from None

    def _contacts(self, emails: Sequence[str]) -> dict[str, Mapping[str, object]]:
        found: dict[str, Mapping[str, object]] = {}
        for who in _chunks(range(len(emails)), _SEARCH):
            body = {"emails": [emails[index].strip() for index in who]}
            try:
                answer = self._api.post("marketing", "contacts", "search", "emails", body=body)
            except Told as told:
                if told.status == 404:  # none of them
                    continue
                raise
            for email, entry in (mapping(answer).get("result") or {}).items():
                contact = entry.get("contact") if isinstance(entry, dict) else None  # entries may also be errors
                if isinstance(contact, dict):
                    found[exports.low(email)] = contact
        return found

    def _held(self, email: str, contact: Mapping[str, object], groups: Mapping[str, set[str]]) -> Mapping[str, str]:
        low = exports.low(email)
        stops: dict[str, object] = {f"left.{purpose}": low in who for purpose, who in groups.items() if low in who}
        if self._is_stopped_everywhere(low):
            stops["left.everything"] = True
        for name in ("bounces", "spam_reports"):
            if entries := self._api.get("suppression", name, low):
                stops[name] = entries
        return facts({**contact, **stops}, without=("_metadata",))

    def members(self) -> Iterator[Member]:
        """Every contact, from exports (plain reading shows the 50 newest), less whom the suppression lists stop."""
        return exports.members(self._api, self.places, type(self).pause)

    def answer(self, call: Incoming) -> Mapping[str, object] | None:
        """The token for its webhook calls, where OAuth is on."""
        return self._events.answer(call)

    def everybody(self, since: str = "") -> Iterator[Seen]:
        """The suppression lists, then whoever is in a list of ours, from exports; contacts in none get nothing."""
        return everybody.read(self._api, self.places, type(self).pause, since)

    def verify(self, call: Incoming) -> None:
        """ECDSA over timestamp and raw body, any of our public keys (HOOK-01)."""
        self._events.verify(call)

    def parse(self, call: Incoming) -> list[Report]:
        """Bounced, complained, unsubscribed, deferred, subscribed again; the rest says nothing about consent."""
        return self._events.parse(call)

    def _purposes_of(self, group: str) -> Sequence[str]:
        return tuple(purpose for purpose, place in self.places.items() if place["group"] == group)

    @property
    def site(self) -> str:
        """Where the time is read from."""
        return self._api.host

    def setup(self, webhook: str = "") -> list[Step]:
        """Custom field, lists, unsubscribe groups and webhook, where they are missing."""
        return self._needs.setup(webhook)

    def check(self, webhook: str = "") -> list[Finding]:
        """Key and scopes, lists, groups, custom field, webhook and its key, plan."""
        return list(self._needs.check(webhook))


def _need_places(places: Mapping[str, Mapping[str, str]]) -> None:
    for key in ("list", "group"):
        values = [place.get(key, "") for place in places.values()]
        if not all(values):
            raise Misconfigured(f"every purpose needs a {key} under [purposes.at.sendgrid] of the policy")
        if len(set(values)) < len(values):
            raise Misconfigured(f"two purposes share a SendGrid {key}: leaving one would leave both; give each its own")


def _frame(lists: Sequence[str], contacts: bytes) -> bytes:
    return b'{"list_ids":%b,"contacts":[%b]}' % (msgspec.json.encode(lists), contacts)


def _pending(job: str) -> Outcome:
    return Outcome(OutcomeKind.PENDING, "job", _FOLLOW_SECONDS, job)


def _on(member: Member) -> frozenset[str]:
    return frozenset() if member.blocked else member.on


def _recipients(members: Sequence[Member], who: Sequence[int]) -> dict[str, list[str]]:
    return {"recipient_emails": [members[index].email.strip() for index in who]}


def _chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
