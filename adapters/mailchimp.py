"""Mailchimp: audiences, interests and list webhooks; few people by direct calls, many by batches."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import msgspec

from adapters import _mailchimp_batches as batches
from adapters._held import facts
from adapters._mailchimp_api import SECONDS, MailchimpApi, meaning_of, member_id
from adapters._mailchimp_everybody import read_everybody, read_some
from adapters._mailchimp_members import PREFS, Purposes, read_members
from adapters._mailchimp_permissions import Permission, Permissions
from adapters._mailchimp_setup import MailchimpSetup
from adapters._mailchimp_webhooks import MailchimpWebhooks
from adapters._outcomes import Round, Told, later, refused, worst
from adapters._plans import plan_limit
from bridge.adapter import Adapter, AdapterError, Misconfigured
from bridge.vocabulary import (
    ALONE,
    DONE,
    FORM_THERE,
    GONE_THERE,
    STOPPED_THERE,
    WAITING_THERE,
    Finding,
    Incoming,
    Left,
    Member,
    Outcome,
    OutcomeKind,
    Report,
    Seen,
    Step,
)

#: Mailchimp cuts text merge fields here without saying so, in bytes.
_LONGEST = 255

#: Statuses in which Mailchimp sends no campaign; "pending" may still become "subscribed" without us.
_SILENT = frozenset({"unsubscribed", "cleaned", "archived", "transactional"})

#: Statuses that are somebody's stop.
_STOPS = frozenset({"unsubscribed", "cleaned", "archived"})

#: Answers to a stop that say: this address gets nothing anyway.
_STOPPED_ANYWAY = frozenset({"not_found", "compliance", "forgotten"})


#: So many people at most are told by direct calls, one each; a batch takes four and some time.
_FEW = 20

_PENDING = Outcome(OutcomeKind.PENDING, "job")


class _Fields(msgspec.Struct):
    PREFS: object = ""


class _Kept(msgspec.Struct):
    """What an answer says of a member, as far as we look at it."""

    status: str | None = None
    interests: dict[str, bool] | None = None
    merge_fields: _Fields | None = None
    marketing_permissions: list[Permission] | None = None


_KEPT = msgspec.json.Decoder(_Kept)


class Mailchimp(Adapter):
    """A purpose is an interest of an audience, or a whole audience where it has that to itself.

    `subscribed` is sent for a known member only after a fresh act of the reader (decisions 1 and 7); nobody is created
    there who has nothing on. What Mailchimp may ignore is looked at in its answer.
    """

    name = "mailchimp"
    needs_places = frozenset({"audience"})
    may_places = frozenset({"interest", "permission", "form"})
    batch = _FEW
    bulk = batches.MOST
    connections = 10
    after_erasure = "an address that was erased comes back only through Mailchimp's own sign-up form, by no import."
    link_place = f"*|{PREFS}|*"
    dkim_selectors = ("k2", "k3", "k1")
    signs_webhooks = False  # only webhooks made since 2026 are signed, so the secret in the path always counts

    #: Limit of each call; the SDK's own is 120.
    seconds: ClassVar[float] = SECONDS

    #: What time it is; tests set another.
    clock: ClassVar[Callable[[], datetime]] = staticmethod(lambda: datetime.now(UTC))

    def __init__(
        self, settings: Mapping[str, str], places: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
    ) -> None:
        """Check key, base URL and places; open nothing."""
        super().__init__(settings, places, fields)
        self._api = MailchimpApi(settings, self.seconds)
        self._audiences = _by_audience(places)
        self._purposes = tuple(self._audiences.values())
        self._permissions = Permissions(self._api, places)
        self._needs = MailchimpSetup(self._api, settings, self._audiences, self._permissions, fields.values())
        plan_limit(self.name, settings)
        self._webhooks = MailchimpWebhooks(settings, self._audiences, lambda: type(self).clock())

    def put(self, members: Sequence[Member]) -> list[Outcome]:
        """Stops first; then, where there are many, batches of whoever needs no `status`; then the others."""
        batch = Round(len(members))
        riders = [i for i, member in enumerate(members) if self._may_ride(member)] if len(members) > _FEW else []
        direct = sorted({*range(len(members))}.difference(riders), key=lambda i: (bool(_on(members[i])), i))
        stops = [i for i in direct if not _on(members[i])]
        size = max(1, batches.MOST // len(self._audiences))
        with batch.remembering():
            for index in stops:
                batch.one(index, partial(self._put, members[index]))
            for begin in range(0, len(riders), size):
                batch.attempt(riders[begin : begin + size], partial(self._start, members))
            for index in direct[len(stops) :]:
                batch.one(index, partial(self._put, members[index]))
        return batch.outcomes

    def left(self, members: Sequence[Member], since: datetime, *, exact: bool = False) -> Left:  # noqa: ARG002
        """How those stand whom a direct call would put on again; a batch puts nobody on who left."""
        written = [one for one in members if not (one.gone and len(self._audiences) == 1)]
        direct = [one.email for one in written if len(members) <= _FEW or not self._may_ride(one)]
        return read_some(self._api, self._audiences, direct)

    def _may_ride(self, member: Member) -> bool:
        """Whether an upsert without `status` says all about her; what it did is seen in its answer."""
        if not _on(member) or _is_long(member.link) or member.gone:
            return False
        for purposes in self._purposes:
            if member.on.isdisjoint(purposes) and not self._is_unknown(purposes, member):
                return False
        return True

    def _is_unknown(self, purposes: Purposes, member: Member) -> bool:
        """Never told about this audience, neither yes nor no: nothing of ours is there."""
        said = member.on | member.stopped | member.paused
        return member.first and not member.blocked and not said.intersection(purposes)

    def _start(self, members: Sequence[Member], who: Sequence[int]) -> Outcome:
        for audience in self._audiences:
            self._permissions.learn(audience)
        operations = [
            self._operation(place, number, audience, purposes, members[index])
            for place, index in enumerate(who)
            for number, (audience, purposes) in enumerate(self._audiences.items())
            if not members[index].on.isdisjoint(purposes)
        ]
        job = self._api.start_batch(msgspec.json.encode({"operations": operations})).get("id")
        if not isinstance(job, str) or not job:
            return later("no_job")._replace(maybe=True)
        return _PENDING._replace(job=job)

    def _operation(
        self, place: int, number: int, audience: str, purposes: Purposes, member: Member
    ) -> batches.Operation:
        path = f"/lists/{audience}/members/{member_id(member.email)}"
        return batches.operation(place, number, path, self._wanted(audience, purposes, member))

    def follow(self, job: str, members: Sequence[Member]) -> list[Outcome]:
        """One look at a batch; when it is over, its file says what became of each, as a direct call would have."""
        try:
            answer = self._api.batch(job)
        except Told as told:
            return [_PENDING if told.status >= 500 else later("job_unknown")] * len(members)
        if answer.get("status") != "finished":
            return [_PENDING] * len(members)
        people = list(members)
        found: list[list[Outcome]] = [[] for _ in people]
        left: set[int] = set()
        try:
            link = answer.get("response_body_url")
            for done in batches.results(self._api.files, link, self._api.seconds):
                place, number = done.place
                if 0 <= place < len(people) and 0 <= number < len(self._purposes):
                    found[place].append(self._result(done, number, people[place], left))
        except batches.ResultLostError as lost:
            return [lost.outcome] * len(members)
        # Whoever left there and has said yes since, or lacks a permission, is told by a direct call.
        return [
            later(ALONE, 0.0) if place in left else self._whole(found[place], one) for place, one in enumerate(people)
        ]

    def _whole(self, found: Sequence[Outcome], member: Member) -> Outcome:
        """What the answers about her say together; one that is missing says nothing."""
        if len(found) == len(self._purposes) == 1:
            return found[0]
        wanted = sum(not member.on.isdisjoint(purposes) for purposes in self._purposes)
        return worst(found) if len(found) >= max(1, wanted) else later("no_result")

    def _result(self, done: batches.Done, number: int, member: Member, left: set[int]) -> Outcome:
        """One operation's answer, by the same rules as a direct call's."""
        audience, purposes = list(self._audiences.items())[number]
        fresh = bool(member.fresh.intersection(purposes))
        if done.status_code >= 400:
            outcome = _refusal(done)
            if fresh and outcome.reason == "compliance":
                left.add(done.place[0])
            return _journey(outcome)
        try:
            kept = _KEPT.decode(done.response)
        except ValueError:
            kept = _Kept()
        if (kept.status in _SILENT and fresh) or self._permissions.missing(audience, member.on, _shown(kept)):
            left.add(done.place[0])
        return _verdict(kept, purposes, member)

    def _put(self, member: Member) -> Outcome:
        """Each audience by itself: neither a refusal nor a broken line in one keeps a stop from another."""
        outcomes, broken = [], None
        for audience, purposes in self._audiences.items():
            try:
                outcomes.append(_outcome(partial(self._put_at, audience, purposes, member)))
            except AdapterError as error:
                broken = error
        if broken is not None:
            raise broken
        return worst(outcomes)

    def _put_at(self, audience: str, purposes: Purposes, member: Member) -> Outcome:
        if self._is_unknown(purposes, member):
            return DONE
        if member.blocked or not member.on.intersection(purposes):
            if self._is_on_hold(purposes, member):
                self._switch_off(audience, purposes, member)
                return DONE
            return self._stop(audience, purposes, member)
        if member.gone and len(self._audiences) == 1:  # of several, nobody knows which one deleted her
            return refused(GONE_THERE)  # no call brings her back: only their own form does
        fresh = member.fresh.intersection(purposes)
        if fresh and fresh < member.on.intersection(purposes) and self._has_left(audience, member):
            # She left everything there, and said yes to some of it again: only that comes back.
            member = msgspec.structs.replace(member, on=fresh)
        if _is_long(member.link):
            self._switch_off(audience, purposes, member)
            return refused("link_too_long")
        try:
            kept = self._write(audience, purposes, member)
        except Told as told:
            if fresh and told.outcome.reason == "compliance":
                return self._ask_there(audience, purposes, member)
            return _journey(told.outcome)
        if fresh and kept.status in _SILENT:  # it said yes to us and changed nothing
            return self._ask_there(audience, purposes, member)
        return self._permitted(audience, purposes, member, kept)

    def _write(self, audience: str, purposes: Purposes, member: Member, **more: str) -> _Kept:
        """One upsert, and what she is there afterwards."""
        answer = self._api.call(
            self._api.lists.set_list_member,
            audience,
            member_id(member.email),
            {**self._wanted(audience, purposes, member, direct=True), **more},
            skip_merge_validation="true",  # a required field of Carla's must not stand in the way of a yes or no
        )
        return _kept(answer)

    def _ask_there(self, audience: str, purposes: Purposes, member: Member) -> Outcome:
        """She left there once and says yes anew: let Mailchimp ask her itself; where it does not, its form remains."""
        try:
            kept = self._write(audience, purposes, member, status="pending")
        except Told as told:
            if told.outcome.kind is not OutcomeKind.REFUSED:
                raise
            return refused(GONE_THERE if told.outcome.reason == "forgotten" else FORM_THERE)
        if kept.status in _SILENT:
            return refused(FORM_THERE)
        return self._permitted(audience, purposes, member, kept)

    def _permitted(self, audience: str, purposes: Purposes, member: Member, kept: _Kept) -> Outcome:
        """Where she is on, give the marketing permissions that the policy names, and look whether they are there."""
        outcome = _verdict(kept, purposes, member)
        missing = self._permissions.missing(audience, member.on, _shown(kept)) if kept.status == "subscribed" else []
        if not missing or outcome.kind is not OutcomeKind.DONE:
            return outcome
        body = self._permissions.wanted(audience, member.on)
        if body:
            kept = _kept(self._change(audience, member, {"marketing_permissions": body}))
        missing = self._permissions.missing(audience, member.on, _shown(kept))
        return later(missing[0])._replace(told=True) if missing else outcome

    def _is_on_hold(self, purposes: Purposes, member: Member) -> bool:
        """Paused, not stopped: her interests go off and she stays a member, so that the end of the pause needs no act.

        An audience without interests knows no such thing: there a pause is an unsubscribe that only she can lift.
        """
        held = member.paused.intersection(purposes)
        return bool(held) and not member.blocked and all(purposes[purpose] for purpose in held)

    def _wanted(self, audience: str, purposes: Purposes, member: Member, *, direct: bool = False) -> dict[str, Any]:
        """All that leaves the house for one member (MIN-04). `status` only in a direct call (decision 24)."""
        wanted: dict[str, Any] = {"email_address": member.email.strip(), "status_if_new": "subscribed"}
        if direct and member.fresh.intersection(purposes):
            wanted["status"] = "subscribed"
        if interests := _interests(purposes, member.on):
            wanted["interests"] = interests
        if permissions := self._permissions.wanted(audience, member.on):
            wanted["marketing_permissions"] = permissions
        if member.language:
            wanted["language"] = member.language.replace("-", "_")
        merge_fields: dict[str, str] = {}
        for field, value in member.fields.items():
            if field in self.fields:
                merge_fields[self.fields[field]] = value
        if member.link:
            merge_fields[PREFS] = member.link
        if merge_fields:
            wanted["merge_fields"] = merge_fields
        return wanted

    def _stop(self, audience: str, purposes: Purposes, member: Member) -> Outcome:
        """Leave the audience; whoever was never there stays away."""
        body: dict[str, Any] = {"status": "unsubscribed"}
        if interests := _interests(purposes, frozenset()):
            body["interests"] = interests
        try:
            answer = self._change(audience, member, body)
        except Told as told:
            if told.outcome.reason in _STOPPED_ANYWAY:
                return DONE
            raise
        status = answer.get("status")
        return DONE if status in _SILENT else later(f"kept_{_word(status)}")

    def _has_left(self, audience: str, member: Member) -> bool:
        try:
            there = self._api.call(
                self._api.lists.get_list_member, audience, member_id(member.email), fields=["status"]
            )
        except Told as told:
            if told.status == 404:
                return False
            raise
        return there.get("status") in _STOPS

    def _switch_off(self, audience: str, purposes: Purposes, member: Member) -> None:
        """Carry out the stops of a member whose yes cannot be written."""
        off = {interest: False for purpose, interest in purposes.items() if interest and purpose not in member.on}
        if not off:
            return
        try:
            self._change(audience, member, {"interests": off})
        except Told as told:
            if told.outcome.reason not in _STOPPED_ANYWAY:
                raise

    def _change(self, audience: str, member: Member, body: dict[str, Any]) -> dict[str, Any]:
        return self._api.call(
            self._api.lists.update_list_member,
            audience,
            member_id(member.email),
            body,
            skip_merge_validation="true",
        )

    def erase(self, emails: Sequence[str]) -> list[Outcome]:
        """Delete for good in every audience, then see that it answers 404 (ESP-04)."""
        batch = Round(len(emails))
        for index, email in enumerate(emails):
            batch.one(index, partial(self._erase, email))
        return batch.outcomes

    def _erase(self, email: str) -> Outcome:
        return worst(_outcome(partial(self._erase_at, audience, email)) for audience in self._audiences)

    def _erase_at(self, audience: str, email: str) -> Outcome:
        try:
            self._api.call(self._api.lists.delete_list_member_permanent, audience, member_id(email))
        except Told as told:
            if told.status != 404:
                raise
        try:
            self._api.call(self._api.lists.get_list_member, audience, member_id(email), fields=["status"])
        except Told as told:
            if told.status == 404:
                return DONE
            raise
        return later("still_there")

    def held(self, emails: Sequence[str]) -> list[Mapping[str, str]]:
        """All that a look at each of them in each audience shows, archived people too."""
        return [
            {
                f"{audience}: {name}" if len(self._audiences) > 1 else name: value
                for audience in self._audiences
                for name, value in self._held_at(audience, email).items()
            }
            for email in emails
        ]

    def _held_at(self, audience: str, email: str) -> Mapping[str, str]:
        try:
            answer = self._api.call(self._api.lists.get_list_member, audience, member_id(email))
        except Told as told:
            if told.status == 404:
                return {}
            raise AdapterError(f"mailchimp: {told.outcome.reason} while reading a member") from None
        return facts(answer, without=("_links",))

    def members(self) -> Iterator[Member]:
        """Everybody in all audiences, archived people too; each person once."""
        return read_members(self._api, self._audiences)

    def everybody(self, since: str = "") -> Iterator[Seen]:
        """Complaints, then everybody in all audiences, page by page."""
        return read_everybody(self._api, self._audiences, since)

    def shared(self, purpose: str) -> Collection[str]:
        """All of an audience: its groups are no lists of their own."""
        return self._audiences[self.places[purpose]["audience"]]

    def knows_pause(self, purpose: str) -> bool:
        """With an interest she stays a member while she is paused; without one a pause is an unsubscribe there."""
        return bool(self.places[purpose].get("interest"))

    def verify(self, call: Incoming) -> None:
        """Path secret in constant time, then the signature where there is a signing secret (HOOK-01)."""
        self._webhooks.verify(call)

    def parse(self, call: Incoming) -> list[Report]:
        """Unsubscribed, complained, bounced, subscribed; the rest says nothing about consent."""
        return self._webhooks.parse(call)

    @property
    def site(self) -> str:
        """Where the time is read from."""
        return self._api.base

    def setup(self, webhook: str = "") -> list[Step]:
        """Merge field, groups and webhook, where they are missing."""
        return self._needs.setup(webhook)

    def check(self, webhook: str = "") -> list[Finding]:
        """Key, audiences, merge field, groups, opt-in setting, webhook, plan."""
        return list(self._needs.check(webhook))


def _by_audience(places: Mapping[str, Mapping[str, str]]) -> dict[str, Purposes]:
    audiences: dict[str, Purposes] = {}
    for purpose, place in places.items():
        if not place.get("audience"):
            raise Misconfigured(f"purpose {purpose!r} has no audience under [purposes.at.mailchimp] of the policy")
        if not place.get("form", "https://").startswith("https://"):
            raise Misconfigured(f"form of purpose {purpose!r} under [purposes.at.mailchimp] must begin with https://")
        audiences.setdefault(place["audience"], {})[purpose] = place.get("interest", "")
    for audience, purposes in audiences.items():
        interests = list(purposes.values())
        if len(interests) > 1 and ("" in interests or len(set(interests)) < len(interests)):
            raise Misconfigured(f"purposes that share audience {audience} need an interest each, all different")
    return audiences


def _outcome(call: Callable[[], Outcome]) -> Outcome:
    """What Mailchimp told about this member, as an outcome."""
    try:
        return call()
    except Told as told:
        return told.outcome


def _interests(purposes: Purposes, on: frozenset[str]) -> dict[str, bool]:
    return {interest: purpose in on for purpose, interest in purposes.items() if interest}


def _has(there: Mapping[str, bool], wanted: Mapping[str, bool]) -> bool:
    """Whether these interests are as wanted; one that is not shown is off."""
    return wanted.items() <= there.items() or all(there.get(one, False) == on for one, on in wanted.items())


def _verdict(kept: _Kept, purposes: Purposes, member: Member) -> Outcome:
    """What Mailchimp made of it: it does not always obey and does not always say so (contracts, finding 8)."""
    status = kept.status
    if status == "pending":
        return refused(WAITING_THERE)  # Mailchimp has asked her itself; her press there comes by webhook
    if status != "subscribed":
        if not member.fresh.intersection(purposes) and status in _STOPS:
            return refused(STOPPED_THERE)
        return refused(f"kept_{status}") if status in _SILENT else later(f"kept_{_word(status)}")
    if not _has(kept.interests or {}, _interests(purposes, member.on)):
        return later("kept_interests")._replace(told=True)
    if member.link and (kept.merge_fields is None or member.link != kept.merge_fields.PREFS):
        return later("kept_prefs")._replace(told=True)  # most often the merge field is missing: `setup` makes it
    return DONE


def _kept(answer: object) -> _Kept:
    try:
        return msgspec.convert(answer, _Kept)
    except msgspec.ValidationError:
        return _Kept()


def _shown(kept: _Kept) -> list[Permission]:
    return kept.marketing_permissions or []


def _journey(outcome: Outcome) -> Outcome:
    """A refusal that only she can lift, by Mailchimp's own form, under the name that the bridge knows it by."""
    return refused(GONE_THERE) if outcome.reason == "forgotten" else outcome


def _refusal(done: batches.Done) -> Outcome:
    """What an operation's error means for its member, as a direct call's would."""
    error = meaning_of(done.status_code, done.response)
    return error.outcome if isinstance(error, Told) else later("operation_failed")


def _on(member: Member) -> frozenset[str]:
    return frozenset() if member.blocked else member.on


def _is_long(link: str) -> bool:
    """Whether a link would be cut."""
    return len(link) > _LONGEST or (not link.isascii() and len(link.encode()) > _LONGEST)


def _word(status: object) -> str:
    return str(status) if status == "subscribed" else "unknown"
