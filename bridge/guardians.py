"""What a child's guardian does by the mailed link, and what the child answers when the guardian's consent has ended.

The guardian's address is in the mail that asks and nowhere else; here only the link is known (KID-01, R15).
"""

from collections.abc import Sequence
from datetime import datetime, time
from enum import StrEnum

import msgspec

from bridge.acts import ANY_PRESS, Acts, Confirmed, Ended, Late, by_reader
from bridge.decide import (
    STOPS,
    concerns,
    declared_child,
    guardian,
    guardians_no,
    may_come_of_age,
    settled,
    whole,
)
from bridge.links import Action, BadLink, Claim, fingerprint
from bridge.notices import Wording
from bridge.store import Plan
from bridge.store.answering import Asked, Press
from bridge.store.values import Person
from bridge.vault import new_id
from bridge.vocabulary import (
    EVERY_PURPOSE,
    GUARDIAN,
    ConsentEvent,
    EventType,
    Evidence,
    MailKind,
    Method,
    masked_email,
)

T = EventType


class Word(StrEnum):
    """How a guardian's link stands."""

    ASKED = "asked"  # no answer yet
    YES = "yes"
    NO = "no"
    OVER = "over"  # nothing is left to be decided: she decides alone now, left herself, or nothing of her is here


class Ward(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardian's page shows."""

    masked: str
    language: str
    word: Word
    words: tuple[Wording, ...] = ()
    until: datetime | None = None  # of a yes
    may_say_yes: bool = False  # the question is not too old


class Guardians:
    """Guardians' side of the house, and the child's when she comes of age. Knows no web."""

    def __init__(self, acts: Acts) -> None:
        self.acts = acts
        self.store, self.policy, self.links = acts.store, acts.policy, acts.links

    # -- the guardian -------------------------------------------------------------------------------------------

    def ward(self, token: str) -> Ward:
        """Who asks, for what, and how it stands. Raises `BadLink`."""
        claim = self.links.read(Action.GUARDIAN, token, self.acts.clock())
        person = self._ward(claim)
        if person is None:
            return Ward(masked="", language="", word=Word.OVER)
        return self._shown(person, self.store.story(person), claim)

    def say_yes(self, token: str, years: int | None, press: Press = ANY_PRESS) -> tuple[Ward, str]:
        """The guardian agrees; `years`: after so many full years the child is old enough, if that was said.

        Also gives `HELD` or `WRONG` where it waits for the code of the mail; else it is empty.

        Raises `ExpiredLink` when the question is too old, `Late` when the child left, or was let go, since.
        """
        now = self.acts.clock()
        claim = self.links.read(Action.GUARDIAN, token, now, self.policy.limits_.pending_ttl.time)
        person = self._ward(claim)
        if person is None or person.mark != claim.address:  # an address that changed has its own question (R13)
            raise Late
        if years is not None and not 1 <= years <= self.policy.age.years:
            raise BadLink

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            mine = settled(story)
            asked = self._asked(story, claim)
            stops = [e for e in mine if e.type in STOPS and any(concerns(e, a.purpose) for a in asked)]
            if not asked or declared_child(mine) is None:
                raise Late
            if any(whole(stop.time) >= whole(claim.made) for stop in stops):
                raise Late
            new = [one for one in asked if guardian(mine, one.purpose) is None]
            return Plan(events=[self._agreed(holder, one, claim, token, years) for one in new])

        done = self.store.answer(person.id, Asked(MailKind.GUARDIAN, claim.request), press, build)
        return self.ward(token), done.answer

    def say_no(self, token: str) -> Ward:
        """The guardian refuses, or takes the yes back: at any time, by the same link. Said twice, it is said once."""
        claim = self.links.read(Action.GUARDIAN, token, self.acts.clock())
        person = self._ward(claim)
        if person is None:
            return Ward(masked="", language="", word=Word.OVER)

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            mine = settled(story)
            if declared_child(mine) is None:  # she decides alone, or somebody else typed her address
                return Plan()
            events = []
            for one in self._asked(story, claim):
                yes, no = guardian(mine, one.purpose), guardians_no(mine, one.purpose)
                if yes is None and no is not None and whole(no.time) >= whole(one.time):
                    continue
                kind = T.WITHDRAWN if yes else T.REFUSED
                events.append(self._event(kind, holder, one, claim, token))
            return Plan(events=events)

        self.store.act(person.id, build)
        return self.ward(token)

    def _ward(self, claim: Claim) -> Person | None:
        """The child a link means, also under a newer address; nobody who came after her."""
        found = self.store.look(claim.subject, claim.address)
        return found[0] if found and found[0].id == claim.subject else None

    def _asked(self, story: Sequence[ConsentEvent], claim: Claim) -> list[ConsentEvent]:
        """What the child asked for by the form that this link is about."""
        return [e for e in story if e.type is T.REQUESTED and claim.request and e.evidence.request == claim.request]

    def _shown(self, person: Person, story: Sequence[ConsentEvent], claim: Claim) -> Ward:
        mine, now = settled(story), self.acts.clock()
        asked = self._asked(story, claim)
        yes = [said for one in asked if (said := guardian(mine, one.purpose))]
        noes = [no for one in asked if (no := guardians_no(mine, one.purpose)) and whole(no.time) >= whole(one.time)]
        settled_ones = {e.purpose for e in noes} | {one.purpose for one in asked if guardian(mine, one.purpose)}
        open_ = [o for o in asked if o.purpose not in settled_ones and not self._is_left(mine, o, claim)]
        word = Word.ASKED if open_ else Word.YES if yes else Word.NO if noes else Word.OVER
        if declared_child(mine) is None or not asked:
            word = Word.OVER
        return Ward(
            masked=masked_email(person.email),
            language=asked[0].evidence.language or person.language if asked else person.language,
            word=word,
            words=tuple(self.acts.words(one) for one in asked),
            until=min((said.until for said in yes if said.until), default=None),
            may_say_yes=now <= claim.made + self.policy.limits_.pending_ttl.time and person.mark == claim.address,
        )

    def _is_left(self, mine: Sequence[ConsentEvent], one: ConsentEvent, claim: Claim) -> bool:
        stops = (e for e in mine if e.type in STOPS and concerns(e, one.purpose))
        return any(whole(stop.time) >= whole(claim.made) for stop in stops)

    def _agreed(self, holder: Person, one: ConsentEvent, claim: Claim, token: str, years: int | None) -> ConsentEvent:
        event = self._event(T.GUARDIAN_CONFIRMED, holder, one, claim, token)
        return msgspec.structs.replace(event, until=self._until(event.time, years))

    def _until(self, now: datetime, years: int | None) -> datetime:
        """The end of a guardian's yes: the beginning of the month in which she is old enough, or the policy's span."""
        if years is None:
            return now + self.policy.limits_.guardian_lasts.time
        here = now.astimezone(self.policy.zone).date()
        return datetime.combine(here.replace(year=here.year + years, day=1), time(), self.policy.zone)

    def _event(self, kind: EventType, holder: Person, one: ConsentEvent, claim: Claim, token: str) -> ConsentEvent:
        seen = one.evidence
        proof = Evidence(
            wording=seen.wording,
            language=seen.language,
            request=claim.request,
            template=self.acts.templates.hash(MailKind.GUARDIAN, seen.language),
            token=fingerprint(token),
        )
        now = self.acts.clock()
        return ConsentEvent(
            type=kind,
            subject=holder.id,
            time=now,
            received=now,
            source=GUARDIAN,
            method=Method.CONFIRM_PAGE if kind is T.GUARDIAN_CONFIRMED else Method.UNSUBSCRIBE_PAGE,
            key=new_id(),
            purpose=one.purpose,
            asked=claim.made,
            channel=one.channel,
            notice=one.notice,
            evidence=proof,
        )

    # -- coming of age ------------------------------------------------------------------------------------------

    def asked_of_age(self, token: str) -> tuple[Person, list[Wording], bool]:
        """What the child is asked herself now that the guardian's yes has ended, and whether she answered already.
        Raises `ExpiredLink`, `Late` or `BadLink`.
        """
        claim, person = self._grown(token)
        story = self.store.story(person)
        ended = self._ended(story, claim)
        return person, self._today(ended, self._language(person)), _answered(story, claim)

    def say_of_age(self, token: str, press: Press = ANY_PRESS) -> tuple[Confirmed, list[Wording]]:
        """She is old enough and wants to go on: her own yes, once, to the words of today."""
        claim, person = self._grown(token)
        language, shown = self._language(person), list[Wording]()

        def build(holder: Person, story: list[ConsentEvent]) -> Plan:
            ended = self._ended(story, claim)
            shown[:] = self._today(ended, language)
            if _answered(story, claim):
                return Plan(answer=Confirmed.AGAIN)
            now = self.acts.clock()
            answer = f"{self.policy.age.years} yes"
            said = self.acts.templates.hash(MailKind.OF_AGE, language)
            told = Evidence(request=claim.request, token=fingerprint(token), at_least=answer, template=said)
            grown = by_reader(T.OF_AGE, holder, EVERY_PURPOSE, Method.CONFIRM_PAGE, now)
            grown = msgspec.structs.replace(grown, asked=claim.made, evidence=told)
            if not may_come_of_age(settled(story), now, self.store.limits(now)):
                raise Ended
            channels = {e.purpose: e.channel for e in story if e.type is T.GIVEN and e.channel}
            given = [
                msgspec.structs.replace(
                    grown,
                    type=T.GIVEN,
                    key=new_id(),
                    purpose=words.purpose,
                    channel=channels.get(words.purpose),
                    notice=words.version,
                    evidence=msgspec.structs.replace(told, wording=words.sha256, language=words.language),
                )
                for words in shown
            ]
            return Plan(events=[grown, *given], answer=Confirmed.NOW)

        asked = Asked(MailKind.OF_AGE, claim.request)
        return Confirmed(self.store.answer(person.id, asked, press, build).answer), shown

    def _grown(self, token: str) -> tuple[Claim, Person]:
        life = self.policy.limits_.of_age_answer.time
        claim = self.links.read(Action.OF_AGE, token, self.acts.clock(), life)
        person = self._ward(claim)
        if person is None or person.mark != claim.address:
            raise Late
        return claim, person

    def _ended(self, story: Sequence[ConsentEvent], claim: Claim) -> list[ConsentEvent]:
        """What ended by the clock and is asked about; `Late` when she said no since."""
        ended = [e for e in story if e.type is T.EXPIRED and claim.request and e.evidence.request == claim.request]
        ended = [e for e in ended if e.purpose in self.policy.purposes]
        stops = [e for e in story if e.type in STOPS and any(concerns(e, one.purpose) for one in ended)]
        if not ended or any(whole(stop.time) >= whole(claim.made) for stop in stops):
            raise Late
        return ended

    def _today(self, ended: Sequence[ConsentEvent], language: str) -> list[Wording]:
        return [self.acts.notices.wording(e.purpose, language) for e in ended]

    def _language(self, person: Person) -> str:
        return person.language if person.language in self.policy.languages else self.policy.languages[0]


def _answered(story: Sequence[ConsentEvent], claim: Claim) -> bool:
    return any(e.type is T.GIVEN and e.evidence.request == claim.request for e in story)
