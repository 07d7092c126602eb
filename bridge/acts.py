"""What a reader does: sign up, confirm, stop, choose; here or at an ESP. Each act is decided under her lock and written
once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType

import msgspec

from bridge.decide import (
    MAILABLE,
    STOPS,
    blocks,
    concerns,
    declared_child,
    is_live,
    may_come_of_age,
    paused_until,
    pending,
    proof,
    settled,
    standing,
    unguarded,
    whole,
)
from bridge.decide import (
    guardian as guardians_yes,
)
from bridge.links import FRESH_LIFE, Action, BadLink, Claim, ExpiredLink, Links, fingerprint
from bridge.mailer import Templates
from bridge.notices import Notices, Wording
from bridge.parking import Parking
from bridge.policy import USUAL, Policy
from bridge.spool import Parked, Spool
from bridge.store import Confirmation, Plan, SignUp, Store, StoreAway, StoreBroken
from bridge.store.answering import HELD, WRONG, Asked, Press
from bridge.store.values import Person
from bridge.vault import new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    GUARDIAN,
    PREFERENCES,
    READER,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    MailKind,
    Method,
    Status,
    masked_email,
)

LONGEST_PAUSE = timedelta(days=366)

#: A yes with nothing beside it.
ANY_PRESS = Press()

#: Links that put a question which waits for its answer.
_ASKING = (Action.CONFIRM, Action.MOVE)


class Late(BadLink):
    """A confirmation that no longer counts: she left, or was blocked, after it was asked. Offer a new request."""


class Ended(Late):
    """The same, but it was not she who said no: her address died, or what asked is over."""


class NotByThisLink(BadLink):
    """An old mail's link was used for what only a fresh one may do. Offer a fresh one."""


class Confirmed(StrEnum):
    """What a press on the confirm button came to."""

    NOW = "now"
    AGAIN = "again"
    WAITS = "waits"  # for her guardian: said by a child (KID-01)
    PAUSED = "paused"  # her yes counts, and a pause of hers goes on
    UNASKED = "unasked"  # the same, where no guardian could be asked before she said so herself
    HELD = HELD  # nothing was written: it may not have been a person, and waits for the code of the mail
    WRONG = WRONG  # nor now: those were not the digits


class How(StrEnum):
    """What the page behind a confirm link shows."""

    PRESS = "press"  # a button
    BY_ITSELF = "by itself"  # it is the browser that sent the form: the page presses the button
    TYPE = "type"  # a press was held: it asks for the code


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One purpose as its reader sees it."""

    purpose: str
    status: Status
    on: bool
    since: datetime | None
    method: Method | None
    paused_until: datetime | None
    confirmed: tuple[tuple[str, datetime | None], ...] = ()  # a stop: who sends there, and when they had stopped
    guardian_waits: bool = False  # a child's yes, without her guardian's (KID-01)
    asks_age: bool = False  # only a form that asks her age can switch it on
    by_guardian: bool = False  # her guardian said so
    rhythm: str = USUAL  # how often she wants it, where she may choose that
    waits: tuple[tuple[str, str, str], ...] = ()  # a yes: who waits for an act of hers, for which, and their form


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """What the preference page shows."""

    masked: str
    language: str
    fresh: bool
    rows: tuple[Row, ...]
    pause_until: datetime | None
    made: datetime


class Acts:
    """The reader's side of the house. Knows no web."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        notices: Notices,
        links: Links,
        *,
        spool: Spool,
        clock: Callable[[], datetime],
        templates: Templates,
    ) -> None:
        """`templates` names the words of the mails that ask."""
        self.store, self.policy, self.notices, self.links, self.clock = store, policy, notices, links, clock
        self.templates = templates
        self.parking = Parking(store, spool, self._write_stop)

    # -- joining ------------------------------------------------------------------------------------------------

    def sign_up(
        self,
        email: str,
        purposes: Sequence[str],
        *,
        channel: str,
        language: str,
        network: str,
        fields: Mapping[str, str],
        old_enough: bool | None = None,
        guardian: str = "",
        place: str = "",
        request: str = "",
        work: str = "",
        versions: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Take a form that was sent with these boxes ticked. `place`: the browser it came from (`Links.place`);
        `request`: a new id, where the page that follows names this form by it; `work`: what it counted before;
        `versions`: of the words beside the boxes, where those were not the ones in use.

        `old_enough`: her answer where the form asks whether she is of the national age; a child names a guardian.
        """
        answer = None if old_enough is None else f"{self.policy.age.years} {'yes' if old_enough else 'no'}"
        shown = {purpose: self.notices.wording(purpose, language, versions.get(purpose)) for purpose in purposes}
        form = SignUp(
            email=email,
            channel=channel,
            language=language,
            network=network,
            fields=fields,
            evidence={p: self._ticked(p, words, answer) for p, words in shown.items()},
            notices={p: words.version for p, words in shown.items()},
            guardian="" if old_enough else guardian,
            place=place,
            request=request,
            worked=work.rpartition(":")[0] if self.links.is_worked(work, self.clock()) else "",
        )
        self.store.sign_up(form)

    def asked(self, token: str) -> tuple[Person, list[Wording]]:
        """What a confirm link asks, to show it: raises `ExpiredLink`, `Late` or `BadLink`."""
        claim = self._claim(Action.CONFIRM, token)
        person = self._person(claim)
        waiting = self._waiting(person, self.store.story(person), claim)
        return person, [self.words(event) for event in waiting]

    def how_asked(self, token: str, place: str) -> How:
        """How a confirm link's question stands for a browser with this place."""
        claim = self._claim(Action.CONFIRM, token)
        waiting = self.store.question(self._person(claim), Asked(MailKind.CONFIRM, claim.request))
        if waiting is None:
            return How.PRESS
        return How.BY_ITSELF if place and place == waiting.place else How.TYPE if waiting.held else How.PRESS

    def confirm(self, token: str, press: Press = ANY_PRESS) -> tuple[Confirmed, list[Wording]]:
        """The reader pressed the button: her yes, once. A second press says it was done (CON-04)."""
        claim = self._claim(Action.CONFIRM, token)
        person = self._person(claim)
        done: list[ConsentEvent] = []
        build = self._confirming(claim, fingerprint(token), done)
        plan = self.store.answer(person.id, Asked(MailKind.CONFIRM, claim.request), press, build)
        return Confirmed(plan.answer), [self.words(event) for event in done]

    def type_code(self, press: Press) -> tuple[Confirmed, list[Wording]]:
        """The digits of the mail were typed in the browser that sent the form. All that is wrong is `WRONG`."""
        done: list[ConsentEvent] = []

        def answers(mark: str, asked: datetime, request: str) -> Callable[[Person, list[ConsentEvent]], Plan]:
            made = whole(asked)
            claim = Claim(action=Action.CONFIRM, subject="", address=mark, made=made, request=request)
            return self._confirming(claim, None, done)

        plan = self.store.answer_at(press, answers)
        return Confirmed(plan.answer), [self.words(event) for event in done]

    def press(self, place: str, code: str, network: str) -> Press:
        """What came with a yes, as the store judges it. `code`: what was typed; empty = nothing was."""

        def is_code(subject: str, asked: Asked) -> bool:
            return self.links.is_code(code, asked.kind, subject, asked.request)

        chosen = self.policy.sign_up
        typed = is_code if code else None
        return Press(place=place, is_code=typed, hold=chosen.hold, network=network, most_wrong=chosen.per_network_hour)

    def _confirming(
        self, claim: Claim, token: str | None, done: list[ConsentEvent]
    ) -> Callable[[Person, list[ConsentEvent]], Plan]:
        """Her yes to one request. `token`: the fingerprint of the link, where one was used; `done` is what is asked."""

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            done[:] = self._waiting(holder, story, claim)
            if _answered(story, claim.request):
                return Plan(answer=self._comes(story, done, claim.request) or Confirmed.AGAIN)
            given = [self._given(holder, asked, claim, token) for asked in done]
            given = [*self._of_her_age(story, done, claim, token), *given]
            language = done[0].evidence.language or holder.language
            moved = msgspec.structs.replace(holder, language=language) if language != holder.language else None
            waits = self._comes([*story, *given], done, claim.request)
            return Plan(events=given, person=moved, answer=waits or Confirmed.NOW)

        return build

    def _comes(self, story: Sequence[ConsentEvent], done: Sequence[ConsentEvent], request: str) -> Confirmed | None:
        """What keeps her mail back though she said yes, if anything does."""
        pauses = all(self._pauses(story, asked.purpose) for asked in done)
        return _whose_turn(settled(story), done, request) or (Confirmed.PAUSED if pauses else None)

    def _pauses(self, story: Sequence[ConsentEvent], purpose: str) -> bool:
        until = paused_until(story, purpose)
        return until is not None and until > self.clock()

    def _of_her_age(
        self, story: Sequence[ConsentEvent], done: Sequence[ConsentEvent], claim: Claim, token: str | None
    ) -> list[ConsentEvent]:
        """What her answer about her age says, now that it is known to be hers (KID-01)."""
        asked, mine, now = done[0], settled(story), self.clock()
        answer = next((one.evidence.at_least for one in done if one.evidence.at_least), "")
        child = declared_child(mine) is not None
        if answer.endswith("no") and not child:  # she got mail before: a form alone says nothing of her
            kind, moment = EventType.CHILD_DECLARED, asked.time
        elif answer.endswith("yes") and child and may_come_of_age(mine, now, self.store.limits(now)):
            kind, moment = EventType.OF_AGE, now
        else:
            return []
        proof = Evidence(request=claim.request, token=token, at_least=answer, language=asked.evidence.language)
        event = ConsentEvent(
            type=kind,
            subject=asked.subject,
            time=moment,
            received=now,
            source=READER,
            method=Method.CONFIRM_PAGE,
            key=new_id(),
            asked=claim.made,
            evidence=proof,
        )
        return [event]

    # -- the question that is put once --------------------------------------------------------------------------

    def question(self, token: str) -> tuple[Person, Wording, str]:
        """What the once-only question asks, to show it, and the token of its no; empty where her yes is given already.
        Raises `ExpiredLink`, `Late` or `BadLink`.
        """
        claim, version = self._put_once(token)
        person, history = self._meant(claim)
        self._in_time(history, claim)
        asked = not _answered(self.store.story(person), claim.request)
        stop = msgspec.structs.replace(claim, action=Action.STOP, template="")
        no = self.links.token(stop) if asked else ""
        return person, self.notices.wording(claim.purpose, self._language(person), version), no

    def say_yes(self, token: str, press: Press = ANY_PRESS) -> tuple[Confirmed, Wording]:
        """The reader pressed the button: her yes, once, with the campaign that asked in its proof (AUD-05)."""
        claim, version = self._put_once(token)
        person = self._person(claim)
        words = self.notices.wording(claim.purpose, self._language(person), version)

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            self._in_time(story, claim)
            if _answered(story, claim.request):
                return Plan(answer=Confirmed.AGAIN)
            given = by_reader(EventType.GIVEN, holder, claim.purpose, Method.CONFIRM_PAGE, self.clock())
            evidence = Evidence(
                wording=words.sha256,
                language=words.language,
                request=claim.request,
                template=claim.template or self.templates.hash(MailKind.REPERMISSION, words.language),
                token=fingerprint(token),
            )
            channel = proof(story, claim.purpose).channel  # where her address came from
            told = msgspec.structs.replace(
                given, asked=claim.made, channel=channel, notice=words.version, evidence=evidence
            )
            return Plan(events=[told], answer=Confirmed.PAUSED if self._pauses(story, claim.purpose) else Confirmed.NOW)

        asked = Asked(MailKind.REPERMISSION, claim.request)
        return Confirmed(self.store.answer(person.id, asked, press, build).answer), words

    def _put_once(self, token: str) -> tuple[Claim, int]:
        """What a question's link says, and the version of the words it was about."""
        now = self.clock()
        claim = self.links.read(Action.ONCE, token, now)
        campaign = self.store.campaigns.find(claim.request)
        purpose = self.policy.purposes.get(claim.purpose)
        if campaign is None or purpose is None or campaign.notice < purpose.notice_since:
            raise Ended
        if now > claim.made + timedelta(days=campaign.answer_days):
            raise ExpiredLink
        return claim, campaign.notice

    def _in_time(self, story: Sequence[ConsentEvent], claim: Claim) -> None:
        """`Late` when she said no, or her address died, after she was asked (R4, R7)."""
        stops = [e for e in story if e.type in STOPS and concerns(e, claim.purpose)]
        bounce = blocks(story, self.store.limits(self.clock())).get(Block.BOUNCED)
        if any(whole(end.time) >= whole(claim.made) for end in stops):
            raise Late
        if bounce and whole(bounce.time) >= whole(claim.made):
            raise Ended

    # -- leaving ------------------------------------------------------------------------------------------------

    def stop(self, token: str, method: Method, *, everything: bool | None = None) -> tuple[str, Person | None]:
        """Stop what the link is about, or everything. Done before it answers; parked when the store is away.

        Gives the purpose that was stopped (empty = all) and the person, if she is still here.
        """
        claim = self._stop_claim(token)
        whole_person = self.policy.oneclick_scope == "all" if everything is None else everything
        return self._stop(claim, EVERY_PURPOSE if whole_person else claim.purpose, method, token)

    def stop_everything(self, token: str) -> None:
        """Stop all mail, from the preference page (PRF-05)."""
        claim = self._preferences_claim(token)
        self._stop(claim, EVERY_PURPOSE, road(claim), token)

    def _stop(self, claim: Claim, purpose: str, method: Method, token: str) -> tuple[str, Person | None]:
        stop = Parked(subject=claim.subject, mark=claim.address, purpose=purpose, time=self.clock(), method=method)
        if claim.request and purpose == claim.purpose:
            stop = msgspec.structs.replace(stop, request=claim.request, token=fingerprint(token))
        return purpose, self.parking.stop(stop)

    def to_stop(self, token: str) -> tuple[Claim, Person | None]:
        """What a stop link is about, to show it; without the person while the store is away."""
        claim = self._stop_claim(token)
        try:
            return claim, self.store.find(claim.subject, claim.address)
        except (StoreAway, StoreBroken):
            return claim, None

    def is_answer(self, token: str) -> bool:
        """Whether a stop link is the no to a question of ours."""
        return bool(self._stop_claim(token).request)

    def still_on(self, person: Person) -> list[str]:
        """The purposes a person still gets mail for."""
        history, now = self.store.history(person), self.clock()
        limits = self.store.limits(now)
        if blocks(history, limits):
            return []
        mine = settled(history)
        on = (p for p in self.policy.purposes if standing(history, p).status in MAILABLE)
        return [p for p in on if unguarded(mine, p) is None]

    # -- choosing -----------------------------------------------------------------------------------------------

    def preferences(self, token: str) -> Preferences:
        """What the preference page shows. An old mail's link sees a masked address and can stop or ask."""
        claim = self._preferences_claim(token)
        person, history = self._meant(claim)
        return self._preferences(person, history, fresh=claim.action is Action.FRESH)

    def story(self, token: str) -> tuple[Person, list[ConsentEvent]]:
        """Whoever holds a fresh link of hers, and all that happened to her; an old mail's link shows none of it."""
        claim = self._preferences_claim(token)
        if claim.action is not Action.FRESH:
            raise NotByThisLink("an old mail's link shows no receipts")
        person = self._person(claim)
        return person, self.store.story(person)

    def save(
        self,
        token: str,
        *,
        wanted: Sequence[str],
        was: Sequence[str],
        made: datetime | None,
        network: str,
        shown: str | None = None,
    ) -> str:
        """Carry out what she changed on the page, and nothing else. Gives `saved`, `mailed` when she must
        confirm by mail, `full` when she should but too many mails went to her already, `late` when she stopped
        something after the page was made (then she should look again), `age` where only a form may switch it on, or
        `link` where that is so for a reason that an old mail's link does not tell.
        """
        claim = self._preferences_claim(token)
        person, now = self._person(claim), self.clock()
        asked = max(claim.made, min(made, now)) if made else claim.made
        on = [p for p in wanted if p in self.policy.purposes and p not in was]
        off = [p for p in was if p in self.policy.purposes and p not in wanted]
        fresh, method = claim.action is Action.FRESH, road(claim)
        language = shown or self._language(person)
        late: list[str] = []
        mine = settled(self.store.history(person))
        by_form = [p for p in on if self.needs_form(mine, p)]
        form = "age" if fresh or set(by_form) <= self.policy.for_children else "link"
        on = [p for p in on if p not in by_form]

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            events = [by_reader(EventType.WITHDRAWN, holder, p, method, now) for p in off]
            for purpose in on if fresh else ():
                given = self._chosen(holder, self.notices.wording(purpose, language), asked, now, token)
                if _is_late([*story, *events], given):
                    late.append(purpose)
                else:
                    events.append(given)
            return Plan(events=events)

        self.store.act(person.id, build)
        if late:
            return "late"
        if on and not fresh:
            answer = "mailed" if self.ask_by_mail(person, on, network=network, language=shown) else "full"
            return form if by_form else answer
        return form if by_form else "saved"

    def ask_by_mail(self, person: Person, purposes: Sequence[str], *, network: str, language: str | None) -> bool:
        """Mail her the question about these. False where no mail goes: so many went to her already."""
        spoken = language or self._language(person)
        self.sign_up(person.email, purposes, channel=PREFERENCES, language=spoken, network=network, fields={})
        return self._all_asked(person, purposes)

    def needs_form(self, mine: Sequence[ConsentEvent], purpose: str) -> bool:
        """Whether only a form may switch this on: it asks her age and, of a child, for her guardian (KID-01)."""
        about_age = purpose in self.policy.for_children or declared_child(mine) is not None
        return about_age and guardians_yes(mine, purpose) is None

    def set_language(self, token: str, language: str) -> None:
        """Write to her in another language from now on (PRF-02); not by an old mail's link, which may be anybody's."""
        claim = self._preferences_claim(token)
        person, now = self._person(claim), self.clock()
        if claim.action is not Action.FRESH:
            raise NotByThisLink

        def build(holder: Person, _story: list[ConsentEvent]) -> Plan:
            if holder.language == language:
                return Plan()
            event = by_reader(EventType.CORRECTED, holder, EVERY_PURPOSE, road(claim), now)
            detail = msgspec.structs.replace(event, evidence=Evidence(detail="language", language=language))
            return Plan(events=[detail], person=msgspec.structs.replace(holder, language=language))

        self.store.act(person.id, build)

    def pause(self, token: str, until: date | None) -> None:
        """No mail until a day, or the end of a pause. Touches no purpose."""
        claim = self._preferences_claim(token)
        person, now = self._person(claim), self.clock()
        fresh = claim.action is Action.FRESH
        if until is None and not fresh:
            raise NotByThisLink  # mails are forwarded: an old link may lower, never raise (decision 8)
        kind = EventType.PAUSED if until else EventType.RESUMED
        event = by_reader(kind, person, EVERY_PURPOSE, road(claim), now)
        if until:
            event = msgspec.structs.replace(event, until=datetime.combine(until, time(), self.policy.zone))

        def build(_holder: Person, story: list[ConsentEvent]) -> Plan:
            known = paused_until(story, EVERY_PURPOSE)
            is_sooner = known is not None and event.until is not None and event.until < known
            return Plan() if is_sooner and not fresh else Plan(events=[event])  # nor make a pause shorter

        self.store.act(person.id, build)

    def ask_link(self, email: str, *, network: str, language: str) -> None:
        """Mail her a fresh link to her preferences; the same answer and work for every address."""
        self.store.ask_link(email, network, language)

    def _all_asked(self, person: Person, purposes: Sequence[str]) -> bool:
        """Whether each of these is on, or waits for her confirmation; a sign-up over the limit leaves no trace."""
        history, now = self.store.history(person), self.clock()
        limits = self.store.limits(now)
        asked = (pending(history, p, now, limits) or is_live(history, p, now, limits) for p in purposes)
        return all(asked)

    # -- inside -------------------------------------------------------------------------------------------------

    def own(self, token: str) -> tuple[Person, list[ConsentEvent], Claim]:
        """Whom a freshly mailed link means, and what happened to her; an old mail's link opens nothing (PRF-03)."""
        claim = self._claim(Action.FRESH, token)
        return *self._meant(claim), claim

    def holder(self, token: str) -> tuple[Claim, Person]:
        """What a fresh link, or an old mail's, says, and whom it means."""
        claim = self._preferences_claim(token)
        return claim, self._person(claim)

    def spoken(self, person: Person) -> str:
        """Her language, or the policy's first."""
        return self._language(person)

    def _claim(self, action: Action, token: str) -> Claim:
        life = self.policy.limits_.pending_ttl.time if action in _ASKING else FRESH_LIFE
        return self.links.read(action, token, self.clock(), life)

    def _stop_claim(self, token: str) -> Claim:
        return self.links.read(Action.STOP, token, self.clock())

    def _preferences_claim(self, token: str) -> Claim:
        """A fresh link, else an old mail's; an expired fresh one stays expired."""
        try:
            return self._claim(Action.FRESH, token)
        except ExpiredLink:
            raise
        except BadLink:
            return self._stop_claim(token)

    def _person(self, claim: Claim) -> Person:
        return self._meant(claim)[0]

    def _meant(self, claim: Claim) -> tuple[Person, list[ConsentEvent]]:
        """Whom a link means, and what happened to her."""
        found = self.store.look(claim.subject, claim.address)
        if found is None:
            raise Late
        person = found[0]
        # Only a stop outlives an address: what was mailed to another one is void (R13).
        if claim.action is not Action.STOP and (person.id, person.mark) != (claim.subject, claim.address):
            raise Late
        return found

    def _language(self, person: Person) -> str:
        return person.language if person.language in self.policy.languages else self.policy.languages[0]

    def words(self, event: ConsentEvent) -> Wording:
        language = event.evidence.language or self.policy.languages[0]
        return self.notices.wording(event.purpose, language, event.notice)

    def _ticked(self, purpose: str, words: Wording, at_least: str | None = None) -> Evidence:
        chosen = self.policy.purposes[purpose]
        return Evidence(
            wording=words.sha256,
            language=words.language,
            box="ticked",
            single_opt_in=chosen.single_opt_in_reason if chosen.opt_in == "single" else None,
            at_least=at_least if chosen.offered_to_children else None,
        )

    def _waiting(self, _person: Person, story: Sequence[ConsentEvent], claim: Claim) -> list[ConsentEvent]:
        """The requests this link answers; `Late` when a stop came after it was asked (R4)."""
        asked = [e for e in story if e.type is EventType.REQUESTED and e.evidence.request == claim.request]
        if not asked or not claim.request:
            raise Late
        answered = _answered(story, claim.request)
        now = self.clock()
        limits = self.store.limits(now)
        stops = [e for e in story if e.type in STOPS and any(concerns(e, a.purpose) for a in asked)]
        # Nor does it count after a bounce: who presses a button must be able to rely on what the page says (R7).
        bounce = blocks(story, limits).get(Block.BOUNCED)
        if any(whole(end.time) >= whole(claim.made) for end in [*stops, *([bounce] if bounce else [])]):
            raise Late
        if answered:
            return asked
        waiting = [e for e in asked if not is_live(story, e.purpose, now, limits)]
        return waiting or asked

    def _given(self, person: Person, asked: ConsentEvent, claim: Claim, token: str | None) -> ConsentEvent:
        event = by_reader(EventType.GIVEN, person, asked.purpose, Method.CONFIRM_PAGE, self.clock())
        said = self.templates.hash(MailKind.CONFIRM, asked.evidence.language)
        evidence = msgspec.structs.replace(asked.evidence, template=said, token=token)
        return msgspec.structs.replace(
            event, asked=claim.made, channel=asked.channel, notice=asked.notice, evidence=evidence
        )

    def _chosen(self, person: Person, words: Wording, asked: datetime, now: datetime, token: str) -> ConsentEvent:
        event = by_reader(EventType.GIVEN, person, words.purpose, Method.PREFERENCE_PAGE, now)
        evidence = Evidence(wording=words.sha256, language=words.language, box="ticked", token=fingerprint(token))
        return msgspec.structs.replace(event, asked=asked, channel=PREFERENCES, notice=words.version, evidence=evidence)

    def _write_stop(self, stop: Parked) -> Person | None:
        def event(person: Person) -> ConsentEvent:
            if not stop.request:
                return by_reader(EventType.WITHDRAWN, person, stop.purpose, stop.method, stop.time)
            no = by_reader(EventType.REFUSED, person, stop.purpose, stop.method, stop.time)
            said = self.templates.hash(MailKind.REPERMISSION, self._language(person))
            evidence = Evidence(request=stop.request, template=said, token=stop.token)
            return msgspec.structs.replace(no, evidence=evidence)

        return self.store.stop(stop.subject, stop.mark, event)

    def _preferences(self, person: Person, history: Sequence[ConsentEvent], *, fresh: bool) -> Preferences:
        now, mine = self.clock(), settled(history)
        rows = []
        stopped = any(event.type in STOPS for event in history)
        clocks = self.store.confirmations(person) if stopped else []
        waits = self.store.waits_there(person)
        for purpose in self.policy.purposes:
            status, by = standing(history, purpose)
            pause = paused_until(history, purpose)
            pause = pause if pause and pause > now else None
            rows.append(
                Row(
                    purpose=purpose,
                    status=status,
                    on=status in MAILABLE,
                    since=by.time if by else None,
                    method=by.method if by else None,
                    paused_until=pause,
                    guardian_waits=status in (*MAILABLE, Status.REQUESTED) and unguarded(mine, purpose) is not None,
                    asks_age=status not in MAILABLE and self.needs_form(mine, purpose),
                    by_guardian=by is not None and by.source == GUARDIAN,
                    confirmed=self._confirmed(purpose, by, history, clocks),
                    rhythm=self._rhythm(person, purpose),
                    waits=self._waits(purpose, waits) if status in MAILABLE else (),
                )
            )
        return Preferences(
            masked=masked_email(person.email),
            language=self._language(person),
            fresh=fresh,
            rows=tuple(rows),
            pause_until=next((row.paused_until for row in rows if row.on and row.paused_until), None),
            made=now,
        )

    def _confirmed(
        self, purpose: str, by: ConsentEvent | None, history: Sequence[ConsentEvent], clocks: Sequence[Confirmation]
    ) -> tuple[tuple[str, datetime | None], ...]:
        """Who sends for a purpose that she stopped, and when each of them had stopped it (WDR-11)."""
        if by is None or by.type not in STOPS:
            return ()
        numbered = {number: event for number, event in enumerate(history, start=1) if concerns(event, purpose)}
        last_yes = max((n for n, event in numbered.items() if event.type is EventType.GIVEN), default=0)
        mine = [clock for clock in clocks if clock.number in numbered and clock.number > last_yes]
        latest = {c.adapter: c.confirmed for c in mine if purpose in self.policy.places(c.adapter)}
        return tuple((self.policy.sender(adapter), confirmed) for adapter, confirmed in sorted(latest.items()))

    def _rhythm(self, person: Person, purpose: str) -> str:
        field = self.policy.rhythms.get(purpose)
        known = person.fields.get(field.id, USUAL) if field else USUAL
        return known if field and known in field.values else USUAL

    def _waits(self, purpose: str, waits: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
        """Who sends for a purpose but takes her back only by an act of hers there: name, reason, address of a form."""
        here = [(name, reason, self.policy.places(name).get(purpose)) for name, reason in waits.items()]
        return tuple((self.policy.sender(n), reason, place.get("form", "")) for n, reason, place in here if place)


def road(claim: Claim) -> Method:
    """By which link she came to the preference page: a freshly mailed one, or that of an old mail."""
    return Method.PREFERENCE_PAGE if claim.action is Action.FRESH else Method.PREFERENCE_LINK


def _whose_turn(mine: Collection[ConsentEvent], done: Sequence[ConsentEvent], request: str) -> Confirmed | None:
    """Of a child whose yes waits for her guardian's: whether that was asked. What a stranger's form says of a reader is
    told to no guardian, so nobody was where it was only this press that said that she is a child.
    """
    says = next((child for asked in done if (child := unguarded(mine, asked.purpose))), None)
    if says is None:
        return None
    here = says.method is Method.CONFIRM_PAGE and says.evidence.request == request
    return Confirmed.UNASKED if here else Confirmed.WAITS


def _answered(story: Sequence[ConsentEvent], request: str) -> bool:
    return any(e.type is EventType.GIVEN and e.evidence.request == request for e in story)


def _is_late(story: Sequence[ConsentEvent], given: ConsentEvent) -> bool:
    """The page was made before she last said stop: what it shows is no longer what she sees."""
    asked = given.asked
    stops = [e for e in story if e.type in STOPS and concerns(e, given.purpose)]
    return asked is None or any(whole(stop.time) >= whole(asked) for stop in stops)


def by_reader(kind: EventType, person: Person, purpose: str, method: Method, now: datetime) -> ConsentEvent:
    """What she does at this moment, as an event."""
    return ConsentEvent(
        type=kind,
        subject=person.id,
        time=now,
        received=now,
        source=READER,
        method=method,
        key=new_id(),
        purpose=purpose,
    )
