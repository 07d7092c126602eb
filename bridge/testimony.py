"""One person's story as a document that a judge reads who never saw this program: sentences, in the chosen language.

Who answers for it, how it was made, where the person stands and why, each event with what proves it and the exact words
shown, what is not known, and whether the chain of her events is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bridge.bootstrap import Bridge
from bridge.decide import (
    MAILABLE,
    SAYS_YES,
    STOPS,
    UNDATED,
    blocks,
    declared_child,
    guardian,
    guardian_ends,
    has_guardian,
    paused_until,
    settled,
    standing,
    unconfirmed_move,
    whole,
)
from bridge.evidence import Found
from bridge.notices import Wording
from bridge.sentences import (
    BLOCKED,
    BY_GUARDIAN,
    CLAIMED,
    COLLECTED,
    CUSTOMER,
    DATED,
    HAPPENED,
    LISTED,
    NO_DATE,
    SALE,
    STANDING,
    TOLD,
)
from bridge.store.values import Confirmation
from bridge.texts import mark, wrapped
from bridge.vocabulary import (
    EVERY_PURPOSE,
    GUARDIAN,
    PREFERENCES,
    READER,
    REPORTED,
    UNASKED_AGE,
    ConsentEvent,
    Doubt,
    EventType,
    Evidence,
    Method,
    Road,
    Status,
)

T = EventType

#: What a form asked about her age, and the answer.
_OLDER = mark("Asked was whether the reader is at least %(age)s years old. The answer was yes.")
_YOUNGER = mark("Asked was whether the reader is at least %(age)s years old. The answer was no.")

#: By which road a yes behind a mailed link came.
_ROADS = {
    Road.SAME_BROWSER: mark(
        "The yes came from the browser that had sent the form: a random code that only it held came with it."
    ),
    Road.CODE: mark("The six digits that stood in the mail were typed."),
    Road.BUTTON: mark(
        "A button was pressed, in a browser that had not sent the form, without the digits of the mail. That may also "
        "have been a program that checks mail."
    ),
}
_DOUBTS = {
    Doubt.SOON: mark("What makes it doubtful: nobody reads a mail so soon after it leaves."),
    Doubt.MANY: mark(
        "What makes it doubtful: links of other people at the same mail domain were pressed within the same seconds."
    ),
}

#: Heard so much later than it happened, it is said.
_AT_ONCE = timedelta(seconds=1)


class Entry(NamedTuple):
    """One thing that is said: a heading, sentences, and the words that were shown, if any."""

    heading: str
    lines: Sequence[str]
    words_title: str = ""
    words: Wording | None = None


class Section(NamedTuple):
    """Some entries under one title."""

    title: str
    entries: Sequence[Entry]


class Document(NamedTuple):
    """The whole document, in one language."""

    title: str
    language: str
    sections: Sequence[Section]

    def text(self) -> str:
        """As plain text that prints well."""
        return "\n".join([self.title, "=" * len(self.title), "", *(line for part in self._parts() for line in part)])

    def _parts(self) -> Iterator[list[str]]:
        for section in self.sections:
            yield [section.title, "-" * len(section.title), ""]
            for entry in section.entries:
                yield [entry.heading, *([""] if entry.lines else [])] if entry.heading else []
                yield [wrapped(line) for line in entry.lines]
                if entry.words:
                    shown = [entry.words.label, "", *entry.words.text.splitlines()]
                    yield [entry.words_title, "", *(f"    | {line}".rstrip() for line in shown), ""]


def document(bridge: Bridge, found: Found, language: str) -> Document:
    """The document about one address, in one of the policy's languages."""
    return Teller(bridge, found, language).document()


class Teller:
    """Says it in one language."""

    def __init__(self, bridge: Bridge, found: Found, language: str) -> None:
        self._bridge, self._found, self._language = bridge, found, language
        self._policy, self._texts = bridge.policy, bridge.texts
        self._numbers = {event.key: number for number, event in self._numbered()}

    def document(self) -> Document:
        """All sections that there is something to say in."""
        sections = [Section(self._say("About this document"), [Entry("", self._about())])]
        if self._found.person:
            standing = [self._standing(each) for each in self._policy.purposes]
            sections.append(Section(self._say("Where this person stands"), standing))
        sections += self.told()
        sections.append(Section(self._say("What is not known"), [Entry("", self._gaps())]))
        if self._found.person:
            sections.append(Section(self._say("Whether the record is whole"), [Entry("", self._chain())]))
        title = self._say("Evidence about consent to mail")
        return Document(title, self._language, sections)

    def told(self) -> list[Section]:
        """What happened, what was asked once more, and what the stop list says, as far as there is any of it."""
        found, sections = self._found, []
        if found.person:
            story = [self._event(*one) for one in self._numbered()]
            sections.append(Section(self._say("What happened"), story))
        if found.asked:
            sections.append(Section(self._say("What was asked once more"), [Entry("", self._asked())]))
        if found.stops:
            sections.append(Section(self._say("What the stop list says"), [Entry("", self._stop_list())]))
        return sections

    def _numbered(self) -> list[tuple[int, ConsentEvent]]:
        return list(enumerate(self._found.story, start=1))

    # -- the parts ----------------------------------------------------------------------------------------------

    def _about(self) -> list[str]:
        found, controller = self._found, self._policy.controller
        contact = self._policy.contact
        lines = [
            self._say(
                "Made on %(when)s for %(controller)s, %(address)s, %(email)s. That is the controller: it decides why "
                "and how the data in this document is used, and answers for it (GDPR, article 4(7)).",
                when=self._moment(found.made),
                controller=controller.name,
                address=controller.address,
                email=controller.email,
            ),
            self._say("Questions about it go to %(name)s, %(email)s.", name=contact.name, email=contact.email),
            self._say(
                "It was put together by a program, Consent Bridge, by which the controller asks for consent and keeps "
                "the proof. The program wrote down each event below when it happened or was told. Its database lets "
                "nobody change or remove what was written; nothing in this document was typed by hand."
            ),
            self._say(
                "Times are those of %(zone)s, with the same moment in UTC beside them.",
                zone=self._policy.timezone,
            ),
        ]
        if found.person is None:
            return [*lines, self._say("It is about the address %(email)s.", email=found.email)]
        language = self._texts.names([found.person.language])[found.person.language] if found.person.language else "–"
        about = self._say(
            "It is about whoever reads the mail of %(email)s, below called the reader. Language: %(language)s. "
            "Number in the program: %(subject)s.",
            email=found.person.email,
            language=language,
            subject=found.person.id,
        )
        return [*lines, about]

    def _standing(self, purpose: str) -> Entry:
        found = self._found
        answer = found.standing[purpose]
        verdict = self._say("may be mailed on that day") if answer.may else self._say("may not be mailed on that day")
        status, by = standing(found.history, purpose)
        lines = [self._stands(purpose)]
        if by and by.type in STOPS and by.method is Method.IMPORT and not self._proves_nothing(purpose):
            lines.append(self._say("Only a list says so."))
        against = list(self._against(purpose, status, by))
        if not answer.may and status in MAILABLE and not against:
            against = list(answer.why)  # a reason of which this document knows no sentence
        return Entry(self._texts.named(self._language, self._what(purpose), verdict), [*lines, *against])

    def _stands(self, purpose: str) -> str:
        """Where she stands, and by what; a consent is named only where there was one."""
        status, by = standing(self._found.history, purpose)
        if self._proves_nothing(purpose):
            return self._say(STANDING[Status.UNKNOWN])
        if by and status in CUSTOMER and self._before(by, purpose) is Status.SOFT_OPT_IN:
            return self._say(CUSTOMER[status], entry=self._entry(by))
        if by and status is Status.GIVEN and by.method in CLAIMED:
            own = standing((e for e in self._found.history if e.type is not T.GIVEN or e.source == READER), purpose)
            if own.status is not Status.GIVEN:
                return self._say(CLAIMED[by.method], entry=self._entry(by))
            by = own.by
        return self._say(STANDING[status], entry=self._entry(by))

    def _proves_nothing(self, purpose: str) -> bool:
        """Whether nothing was ever proven: also where a list calls too old what never was."""
        status, by = standing(self._found.history, purpose)
        if by and status in CUSTOMER:
            return self._before(by, purpose) not in MAILABLE
        return status is Status.UNKNOWN

    def _before(self, stop: ConsentEvent, purpose: str) -> Status:
        """What a stop ended, if other stops had not."""
        starts = (e for e in self._found.history if e.type not in STOPS and whole(e.time) <= whole(stop.time))
        return standing(starts, purpose).status

    def _against(self, purpose: str, status: Status, by: ConsentEvent | None) -> Iterator[str]:
        """Why nothing may be mailed although a yes stands, or beside what ended it."""
        found, limits = self._found, self._found.limits
        for block, event in blocks(found.history, limits).items():
            yield self._say(BLOCKED[block], entry=self._entry(event))
        mine = settled(found.history)
        child, yes = declared_child(mine), guardian(mine, purpose)
        if child and not yes and has_guardian(mine):
            yield self._say("A parent or guardian has agreed to something else, not to this.")
        if child and yes and found.made >= guardian_ends(yes, limits):
            yield self._say("The consent of the parent or guardian has ended %(entry)s.", entry=self._entry(yes))
        if unconfirmed_move(found.history):
            yield self._say("The address changed, and the new mailbox has not confirmed yet.")
        pause = paused_until(found.history, purpose)
        if pause and pause > found.made:
            yield self._say("The reader asked for no mail until %(until)s.", until=self._moment(pause))
        if by and status in MAILABLE:
            age = limits.consent_max_age if status is Status.GIVEN else limits.soft_max_age
            if found.made >= by.time + age:
                yield self._say("It has been too old to count since %(when)s.", when=self._moment(by.time + age))
            if status is Status.SOFT_OPT_IN and not limits.soft_opt_in:
                yield self._say("The controller's policy, or its country's law, allows no mail on this ground.")
            since = limits.notice_since.get(purpose, 0)
            if status is Status.GIVEN and (by.notice or 0) < since:
                yield self._say("The words agreed to no longer cover what this mailing is today.")
        if purpose in limits.closed:
            yield self._say("Nobody may be mailed for it on that day: %(reason)s", reason=limits.closed[purpose])

    def _event(self, number: int, event: ConsentEvent) -> Entry:
        seen = event.evidence
        told = HAPPENED.get((event.type, event.method), HAPPENED[event.type])
        by_link = event.source == GUARDIAN and event.method is not Method.STAFF
        if by_link or (event.method is Method.CLOCK and seen.detail == GUARDIAN):
            told = BY_GUARDIAN.get(event.type, told)
        lines = [
            self._say(
                told,
                when=self._moment(event.time),
                what=self._what(event.purpose),
                place=self._place(event.channel),
                asked=self._moment(event.asked) if event.asked else "–",
                until=self._moment(event.until) if event.until else "–",
                reason=seen.single_opt_in or "–",
            )
        ]
        listed = event.method is Method.IMPORT
        if listed and event.type not in SAYS_YES:
            dated = NO_DATE if seen.detail == UNDATED else DATED
            lines.append(self._say(dated, when=self._moment(event.time)))
        if event.source != READER and event.method in TOLD and (listed or (event.type, event.method) not in HAPPENED):
            told = TOLD[event.method]
            lines.append(self._say(told, who=self._who(event.source), heard=self._moment(event.received)))
        elif event.received - event.time > _AT_ONCE:
            lines.append(self._say("It was written down on %(heard)s.", heard=self._moment(event.received)))
        collected = COLLECTED.get(seen.detail or "") if listed and event.type in SAYS_YES else None
        if collected:
            lines.append(self._say(collected))
        elif seen.detail and event.method in REPORTED:
            lines.append(self._say("The code that came with it: %(code)s", code=seen.detail))
        lines += self._proof(event, seen)
        lines += self._carried_out(number, event)
        title = self._say("The exact words that were shown:")
        if listed:
            title = self._say("The words that were shown, by the word of that list:")
        words = self._found.words.get(seen.wording or "")
        return Entry(self._say("Entry %(number)s", number=number), lines, title, words)

    def _proof(self, event: ConsentEvent, seen: Evidence) -> Iterator[str]:
        if seen.at_least and seen.at_least != UNASKED_AGE:
            age, _, answer = seen.at_least.partition(" ")
            yield self._say(_OLDER if answer == "yes" else _YOUNGER, age=age)
        yield from self._road(seen)
        if seen.document:
            yield self._say("The document that proves it: %(document)s", document=seen.document)
        for fact, sentence in SALE.items() if event.type is T.ENROLLED else ():
            yield self._say(sentence, value=(seen.sale or {}).get(fact) or "–")
        if seen.box == "ticked" and seen.wording:
            yield self._say("The box beside the words below was sent as ticked.")
        if seen.wording:
            version = self._say("Version %(version)s of the words.", version=event.notice) if event.notice else ""
            sha = self._say("Fingerprint of the words (SHA-256): %(sha256)s", sha256=seen.wording)
            yield f"{version} {sha}".strip()
        if seen.request:
            yield self._say("Number that ties request, mail and answer together: %(request)s", request=seen.request)
        if seen.token:
            yield self._say("Fingerprint of the link that was used: %(token)s", token=seen.token)
        if seen.template:
            yield self._say("Fingerprint of the text of the mail: %(template)s", template=seen.template)
        if seen.ip:
            yield self._say("Network address that it came from: %(ip)s", ip=seen.ip)

    def _road(self, seen: Evidence) -> Iterator[str]:
        """By which road a yes came, and what makes it doubtful (CON-05)."""
        if seen.road not in _ROADS:
            return
        yield self._say(_ROADS[Road(seen.road)])
        if seen.after is not None:
            yield self._say("That was %(seconds)s seconds after the mail left.", seconds=seen.after)
        for doubt in (seen.doubt or "").split():
            if doubt in _DOUBTS:
                yield self._say(_DOUBTS[Doubt(doubt)])

    def _carried_out(self, number: int, event: ConsentEvent) -> Iterator[str]:
        """When each platform had done what this stop asks (WDR-11)."""
        for one in self._found.confirmed.get(number, ()):
            if event.type not in STOPS:
                yield from self._told_of(one)
                continue
            who = self._who(one.adapter)
            if one.confirmed:
                yield self._say("%(who)s had carried it out on %(when)s.", who=who, when=self._moment(one.confirmed))
            else:
                yield self._say("%(who)s has not confirmed yet that it is carried out.", who=who)

    def _told_of(self, one: Confirmation) -> Iterator[str]:
        """When each platform was told of a correction (GDPR 19)."""
        who = self._who(one.adapter)
        if one.confirmed:
            yield self._say("%(who)s was told of it on %(when)s.", who=who, when=self._moment(one.confirmed))
        else:
            yield self._say("%(who)s is still to be told of it.", who=who)

    def _asked(self) -> list[str]:
        """The question that may be put once, ever, to contacts without a whole proof (AUD-03)."""
        return [self._asked_by(row) for row in self._found.asked]

    def _asked_by(self, row: Mapping[str, Any]) -> str:
        about = {"what": self._what(row["purpose"]), "campaign": row["campaign"]}
        if row["sent"] is None:
            return self._say(
                "The controller meant to ask once more about %(what)s (campaign %(campaign)s). That mail did not "
                "leave.",
                **about,
            )
        return self._say(
            "On %(when)s the controller asked once more whether mail about %(what)s is wanted (campaign %(campaign)s).",
            when=self._moment(row["sent"]),
            **about,
        )

    def _stop_list(self) -> list[str]:
        return [
            self._say(
                "Of whoever says no, a code is kept that is made from the address with a secret key, so that a no "
                "stays a no. It holds no name and no address, and cannot be turned back. A no of a list without a date "
                "counts from the day that list was first taken in. For this address it says:"
            ),
            *(
                "- " + self._say(LISTED[stop.type], what=self._what(stop.purpose), when=self._moment(stop.time))
                for stop in self._found.stops
            ),
        ]

    def _gaps(self) -> list[str]:
        found = self._found
        gaps = []
        if found.person is None:
            gaps.append(
                self._say(
                    "Nobody of this address is in the record: whoever had it never signed up here, or was erased, or "
                    "the no came from a mailing platform or a list. When it was heard here is not kept, nor from whom."
                )
            )
            return gaps
        if not found.sealed:
            gaps.append(self._say("The evidence of at least one entry cannot be opened: only outlines are shown."))
        gaps += list(self._unproven())
        gaps.append(self._say("Before the first entry nothing is known of this address here."))
        gaps.append(
            self._say(
                "A confirmation proves that somebody could open the mailbox. It does not prove who that was. The "
                "moment at which a mail left is not kept, only when its question was put."
            )
        )
        if any(event.evidence.left for event in found.story):
            gaps.append(self._say("An earlier address is kept as a code only: it can be recognised, and not be read."))
        if not any(event.evidence.ip for event in found.story):
            gaps.append(
                self._say("Not kept are network addresses, and whether a mail was opened or a link in it followed.")
            )
        if any(one.confirmed is None for clocks in found.confirmed.values() for one in clocks):
            gaps.append(self._say("Whether a stop was carried out that a platform has not confirmed is not known."))
        return gaps

    def _unproven(self) -> Iterator[str]:
        found = self._found
        told = self._numbered()
        listed = [str(n) for n, e in told if e.method is Method.IMPORT and e.type in (T.GIVEN, T.ENROLLED)]
        if listed:
            sentence = self._say(
                "Entries read from a list (%(entries)s) were not seen by this program; the document they name must be "
                "looked at.",
                entries=", ".join(listed),
            )
            yield sentence
        lost = [str(n) for n, e in told if e.evidence.wording and e.evidence.wording not in found.words]
        if lost:
            yield self._say("The words of these entries are not in the record: %(entries)s.", entries=", ".join(lost))
        for purpose in found.standing:
            if self._proves_nothing(purpose):
                yield self._say("Nothing proves a yes to %(what)s.", what=self._what(purpose))

    def _chain(self) -> list[str]:
        found = self._found
        how = self._say(
            "Each entry is sealed together with a fingerprint (SHA-256) of the one before it, so that none can be "
            "changed, left out or put in between without the fingerprints failing to match."
        )
        if not found.problems:
            whole = self._say(
                "The chain of entries about this person (%(count)s in all) was checked on %(when)s, and it is whole: "
                "every fingerprint matches, and what is sealed is what is shown here.",
                count=len(found.story),
                when=self._moment(found.made),
            )
            if self._bridge.seals:
                limit = self._say(
                    "Whether somebody who holds both the keys and the database made a whole chain anew is shown by "
                    "signed checkpoints of the whole record that are kept elsewhere; the evidence pack holds those "
                    "that cover this person."
                )
            else:
                limit = self._say(
                    "It does not show whether somebody who holds both the keys and the database made a whole chain "
                    "anew."
                )
            return [how, whole, limit]
        broken = self._say("THE CHAIN IS NOT WHOLE: something in the record of this person was changed. Found was:")
        return [how, broken, *(f"- {problem.where}: {problem.what}" for problem in found.problems)]

    # -- words --------------------------------------------------------------------------------------------------

    def _say(self, message: str, **values: object) -> str:
        return self._texts.gettext(self._language, message, **values)

    def _moment(self, value: datetime) -> str:
        return self._texts.exact(self._language, value)

    def _what(self, purpose: str) -> str:
        if purpose == EVERY_PURPOSE:
            return self._say("every mailing")
        declared = self._policy.purposes.get(purpose)
        return self._texts.quoted(self._language, declared.name[self._language] if declared else purpose)

    def _place(self, channel: str | None) -> str:
        if channel == PREFERENCES:
            return self._say("the preference page")
        declared = self._policy.channels.get(channel or "")
        return declared.place[self._language] if declared else channel or self._say("not noted")

    def _who(self, source: str) -> str:
        return self._policy.processors[source].name if source in self._policy.processors else source

    def _entry(self, event: ConsentEvent | None) -> str:
        """Where to read of it."""
        if event is None:
            return ""
        number = self._numbers.get(event.key)
        return self._say("(entry %(number)s)", number=number) if number else self._say("(the stop list)")
