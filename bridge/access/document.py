"""Everything of one person as a page for herself, to read and print: plain words, in her language (GDPR 12(1), 15)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bridge.access.collecting import Collected
from bridge.access.data import recipients, retention, sources
from bridge.access.requests import lines
from bridge.bootstrap import Bridge
from bridge.decide import blocks, standing
from bridge.store.looks import Copy
from bridge.testimony import Document, Entry, Section, Teller
from bridge.texts import mark
from bridge.vocabulary import PREFERENCES, Block, LegalBasis, MailKind

GROUNDS = {
    LegalBasis.CONSENT: mark(
        "Your consent (GDPR, article 6(1)(a)). You can take it back at any time; what was done before stays lawful."
    ),
    LegalBasis.SOFT_OPT_IN: mark(
        "You are our customer: we may write to you about similar products of our own (GDPR, article 6(1)(f), and the "
        "ePrivacy rules for customers). You can object at any time."
    ),
}

HELD_BACK = {
    Block.BOUNCED: mark("Our mail to your address came back: the mailbox was not there."),
    Block.RESTRICTED: mark("You asked us to restrict the use of your data: it is kept, and not used."),
    Block.CHILD_UNVERIFIED: mark("A parent or guardian has not confirmed yet."),
    Block.ERASED: mark("You were erased here once and have not confirmed anew."),
}

MAILS = {
    MailKind.CONFIRM: mark("a question to confirm"),
    MailKind.SUBSCRIBED: mark("an answer that you are subscribed already"),
    MailKind.WELCOME: mark("a receipt for your yes"),
    MailKind.GOODBYE: mark("an acknowledgement that you left"),
    MailKind.LINK: mark("the link you asked for"),
    MailKind.ANSWER: mark("an answer to your request"),
    MailKind.IDENTITY: mark("the question whether a request is yours"),
    MailKind.MOVE: mark("the question whether your new mailbox is yours"),
    MailKind.MOVED: mark("a notice to the address you left"),
    MailKind.BREACH: mark("word of a breach of your data"),
    MailKind.GUARDIAN: mark("the question to your parent or guardian"),
    MailKind.OF_AGE: mark("the question whether you are old enough now"),
    MailKind.REPERMISSION: mark("the question whether you still want our mail"),
}

KEPT = {
    "a request that is not confirmed": mark("A request that is not confirmed"),
    "a consent, since your last answer": mark("Your yes, before we ask again"),
    "address and fields, after you left": mark("What you filled in, after you left"),
    "proof of your choices, after you left": mark(
        "The proof of your choices with your address, sealed and for nothing else, after you left"
    ),
    "code on the stop list": mark(
        "A fingerprint of your address, so that a stop stays a stop: as long as we mail anybody, and at least"
    ),
    "backups": mark("A copy in our backups, after it is gone here"),
}

#: What her address asked for, that limits count.
COUNTED = {
    "sign-up": mark("sign-ups"),
    "preferences": mark("boxes ticked behind an older link"),
    "link": mark("links asked for"),
    "move": mark("moves to this address"),
    "guardian": mark("questions to this address as that of a parent or guardian"),
}


def document(bridge: Bridge, found: Collected, language: str) -> Document:
    """The page about one address, in one of the policy's languages."""
    return _Speaker(bridge, found, language).document()


class _Speaker:
    """Tells her in one language."""

    def __init__(self, bridge: Bridge, found: Collected, language: str) -> None:
        self._bridge, self._found, self._language = bridge, found, language
        self._policy, self._texts = bridge.policy, bridge.texts

    def document(self) -> Document:
        """All sections that there is something to say in."""
        found = self._found
        sections = [
            Section(self._say("Your data at %(controller)s", controller=self._policy.controller.name), [self._head()])
        ]
        if found.person:
            sections += [
                Section(self._say("What we know of you"), [Entry("", list(self._profile()))]),
                Section(self._say("What we use it for"), [self._purpose(each) for each in self._policy.purposes]),
                Section(self._say("Where it came from"), [Entry("", list(self._sources()))]),
            ]
        sections.append(Section(self._say("Who gets it"), list(self._recipients())))
        if found.held and found.held.copies:
            copies = [self._copy(copy) for copy in found.held.copies]
            sections.append(Section(self._say("What they hold, in their own words"), copies))
        sections += [
            Section(self._say("How long we keep it"), [Entry("", list(self._retention()))]),
            Section(self._say("What you can ask"), [Entry("", list(self._rights()))]),
        ]
        if found.held and (found.held.waiting or found.held.counted or found.held.questions):
            sections.append(Section(self._say("What waits, and what is counted"), [Entry("", [*self._waiting()])]))
        if found.held and found.held.breaches:
            numbers = ", ".join(str(number) for number, _ in found.held.breaches)
            said = self._say("Breaches of data in our register that concern you: number %(numbers)s", numbers=numbers)
            sections.append(Section(self._say("What went wrong with your data"), [Entry("", [said])]))
        if found.requests:
            asked = list(lines(self._bridge, found.requests, self._language))
            sections.append(Section(self._say("What you asked us by letter or phone"), [Entry("", asked)]))
        told = Teller(self._bridge, found.found, self._language).told()
        if told:
            who = self._say("In the sentences below, “the reader” or “this person” is you, and “the controller” is us.")
            told[0] = told[0]._replace(entries=[Entry("", [who]), *told[0].entries])
        return Document(self._say("My data"), self._language, [*sections, *told])

    def _head(self) -> Entry:
        controller, contact = self._policy.controller, self._policy.contact
        made = self._say(
            "Made on %(when)s for whoever reads the mail of %(email)s, by %(controller)s, %(address)s. We decide why "
            "and how this data is used, and answer for it.",
            when=self._moment(self._found.found.made),
            email=self._found.found.email,
            controller=controller.name,
            address=controller.address,
        )
        role = self._say("Data protection officer:") if self._policy.dpo else self._say("Questions about your data:")
        return Entry("", [made, f"{role} {contact.name}, {contact.email}"])

    def _profile(self) -> Iterator[str]:
        person = self._found.person
        assert person is not None  # noqa: S101 - the section is there only with her
        yield self._say("Your e-mail address: %(email)s", email=person.email)
        if person.language:
            yield self._say("Language: %(language)s", language=self._texts.names([person.language])[person.language])
        for name, value in person.fields.items():
            field = self._policy.fields.get(name)
            label, said = (field.label, self._policy.said(field, value, self._language)) if field else ({}, value)
            yield self._texts.named(self._language, label.get(self._language, name), said)
            if field:
                yield self._say("We ask it for this: %(need)s", need=field.need)
        yield self._say("Your number in our program: %(number)s", number=person.id)
        held = self._found.held
        if held and held.moving:
            address, asked = held.moving
            yield self._say(
                "New address that has not confirmed yet: %(email)s, asked on %(when)s",
                email=address,
                when=self._moment(asked),
            )
        if held and held.earlier:
            yield self._say(
                "Addresses you had here before, kept as a code that cannot be read: %(count)s", count=held.earlier
            )

    def _purpose(self, purpose: str) -> Entry:
        declared, found = self._policy.purposes[purpose], self._found.found
        status, by = standing(found.history, purpose)
        stands = self._texts.status_text(self._language, status)
        if by:
            since = self._say("since %(day)s", day=self._texts.day(self._language, by.time))
            stands = f"{stands} · {since} · {self._texts.how_text(self._language, by.method)}"
        answer = found.standing[purpose]
        lines = [
            declared.description[self._language],
            self._say("How often: %(often)s", often=declared.frequency[self._language]),
            self._say("Legal ground: %(ground)s", ground=self._say(GROUNDS[declared.basis])),
            stands,
            self._say("We mail you for this.") if answer.may else self._say("We do not mail you for this."),
        ]
        lines += [self._say(HELD_BACK[block]) for block in blocks(found.history, found.limits)]
        if self._found.held and self._found.held.lacking.get(purpose):
            lines.append(self._say("A list named you for this without proof of your yes; it counts for nothing."))
        if declared.recipients:
            lines.append(self._say("Also received by: %(names)s", names=", ".join(declared.recipients)))
        return Entry(declared.name[self._language], lines)

    def _sources(self) -> Iterator[str]:
        told = sources(self._policy, self._found, self._language)
        for one in told:
            if one["channel"] == PREFERENCES:
                yield self._say("From yourself, on the preference page.")
            elif other := one.get("list of"):
                yield self._say("From a list of %(name)s, %(contact)s.", name=other["name"], contact=other["contact"])
            elif place := one.get("place"):
                yield self._say("Through: %(place)s.", place=place)
            else:
                yield self._say(
                    "Through a place called %(channel)s, which is no longer in use.", channel=one["channel"]
                )
        if not told:
            yield self._say("Where your address came from is not noted.")

    def _recipients(self) -> Iterator[Entry]:
        rows = recipients(self._bridge, self._found)
        if not rows:
            yield Entry("", [self._say("Nobody: we do everything ourselves.")])
        for row in rows:
            yield Entry(row.get("name", row["platform"]), list(self._recipient(row)))

    def _recipient(self, row: dict[str, Any]) -> Iterator[str]:
        if processor := self._policy.processors.get(row["platform"]):
            service = processor.service_text.get(self._language) or processor.service
            country = self._texts.country(self._language, processor.country)
            yield self._say("%(service)s, %(country)s", service=service, country=country)
            if tool := processor.safeguard.get(self._language) or processor.transfer_tool:
                yield self._say("safeguard for data outside Europe: %(tool)s", tool=tool)
        if not row["told of you"]:
            yield self._say("It was told nothing of you.")
            return
        if row["waits to be told"] or row["carries out work about you"]:
            yield self._say("Something about you is on its way there.")
        elif row["took it"]:
            yield self._say("It was told how you stand here, and took it.")
        if row.get("deleted you for good"):
            yield self._say("It deleted your address for good, and takes it back only through a form of its own.")
        if row.get("last refusal"):
            yield self._say("It last answered with this code: %(code)s", code=row["last refusal"])

    def _copy(self, copy: Copy) -> Entry:
        name = self._policy.sender(copy.adapter)
        if copy.facts is None:
            asked = self._moment(copy.asked)
            return Entry(name, [self._say("It was asked on %(when)s and has not answered yet.", when=asked)])
        if copy.closed:
            return Entry(name, [self._say("It cannot be asked about one person; write to us and we look there.")])
        if not copy.facts:
            return Entry(name, [self._say("It holds nothing of you.")])
        read = self._say("Read on %(when)s.", when=self._moment(copy.told or copy.asked))
        return Entry(name, [read, *(f"{field}: {value}" for field, value in copy.facts.items())])

    def _retention(self) -> Iterator[str]:
        for name, span in retention(self._policy).items():
            yield self._texts.named(self._language, self._say(KEPT[name]), self._texts.length(self._language, span))

    def _rights(self) -> Iterator[str]:
        yield self._say(
            "Stop: with the link in every mail, or on your preference page. It costs nothing and needs no reason."
        )
        yield self._say("See what we keep about you, and have a copy to take with you.")
        yield self._say("Have it put right, limited or erased.")
        yield self._say("Object to our use of your address for marketing; we then stop for good.")
        yield self._say(
            "You do all of this yourself behind a link that you have mailed to you: %(url)s", url=self._page()
        )
        yield self._say(
            "Or write to us; we answer within a month. If you think we do not follow the law, you can complain to the "
            "data protection authority of the country where you live or work."
        )
        yield self._say("No decision about you is made by a machine.")

    def _waiting(self) -> Iterator[str]:
        held = self._found.held
        for mail in held.waiting if held else ():
            kind = self._say(MAILS[MailKind(mail.kind)]) if mail.kind in set(MAILS) else mail.kind
            yield self._say("A mail that has not left yet: %(kind)s, %(when)s", kind=kind, when=self._moment(mail.made))
        for question in held.questions if held else ():
            asked = self._moment(question.asked)
            if not question.waits:
                yield self._say("A form asked on %(when)s for what you receive already, so nothing waits.", when=asked)
                continue
            yield self._say("A question that waits for an answer, asked on %(when)s", when=asked)
            if question.held:
                held_on = self._moment(question.held)
                yield self._say(
                    "Its button was pressed on %(when)s; that waits for the digits of the mail.", when=held_on
                )
        for kind, times in (held.counted if held else {}).items():
            yield self._say(
                "Counted so that nobody floods your mailbox: %(what)s, %(times)s",
                what=self._say(COUNTED[kind]),
                times=", ".join(self._moment(time) for time in times),
            )

    def _page(self) -> str:
        return self._bridge.links.url("/preferences")

    def _say(self, message: str, **values: object) -> str:
        return self._texts.gettext(self._language, message, **values)

    def _moment(self, value: datetime) -> str:
        return self._texts.moment(self._language, value)
