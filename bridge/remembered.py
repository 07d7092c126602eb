"""What happened, told to the reader herself in plain words: "you said yes on the form at the foot of our website".

For her preference page, behind a fresh link. What a judge reads is in `bridge.sentences`; all of it is on the page "my
data".
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bridge.policy import Policy
from bridge.texts import Texts, mark
from bridge.vocabulary import GUARDIAN, PREFERENCES, ConsentEvent, EventType, Method

T = EventType
M = Method


class Told(NamedTuple):
    """One line of her history."""

    time: datetime
    words: str


#: By what happened and by which road; by what happened alone where the road makes no difference. `%(what)s` is what it
#: is about, `%(place)s` where it was asked.
SAID: Mapping[tuple[EventType, Method] | EventType, str] = {
    T.REQUESTED: mark("Your address was entered for %(what)s, through %(place)s. You have not confirmed it."),
    (T.GIVEN, M.CONFIRM_PAGE): mark("You said yes to %(what)s, through %(place)s, and confirmed it from your mailbox."),
    (T.GIVEN, M.PREFERENCE_PAGE): mark("You said yes to %(what)s on this page."),
    (T.GIVEN, M.FORM): mark("You said yes to %(what)s, through %(place)s."),
    T.GIVEN: mark("We hold a yes of yours to %(what)s, from %(place)s."),
    T.ENROLLED: mark("You bought something from us; since then we may write to you about %(what)s."),
    T.IMPORTED: mark("Your address was on an older list of ours, for %(what)s, without proof of your yes."),
    T.REFUSED: mark("You said no to %(what)s."),
    (T.WITHDRAWN, M.ONE_CLICK): mark("You stopped %(what)s with the unsubscribe button of your mail program."),
    (T.WITHDRAWN, M.UNSUBSCRIBE_PAGE): mark("You stopped %(what)s through the unsubscribe link in a mail."),
    (T.WITHDRAWN, M.PREFERENCE_PAGE): mark("You stopped %(what)s on this page."),
    (T.WITHDRAWN, M.PREFERENCE_LINK): mark("You stopped %(what)s on this page, through a link in a mail."),
    T.WITHDRAWN: mark("%(what)s was stopped for you."),
    T.UNSUBSCRIBED: mark("You left %(what)s at our mailing service."),
    T.OBJECTED: mark("You objected to our mail: a no to all of it."),
    T.COMPLAINED: mark("You reported a mail of ours as unwanted: we take that as a no to all of it."),
    T.EXPIRED: mark("Your yes to %(what)s grew too old to count."),
    T.REVOKED: mark("We ended %(what)s."),
    T.INVALIDATED: mark("Your yes to %(what)s could not be proven and counts no longer."),
    T.ERASED: mark("Whoever had this address was erased."),
    T.PAUSED: mark("You asked for no mail until %(until)s."),
    T.RESUMED: mark("You ended the pause."),
    T.RESTRICTED: mark("You had the use of your data restricted."),
    T.UNRESTRICTED: mark("You ended that restriction."),
    T.CHILD_DECLARED: mark("We noted that you are younger than %(age)s."),
    T.GUARDIAN_CONFIRMED: mark("Your parent or guardian said yes to %(what)s."),
    T.OF_AGE: mark("You told us that you decide alone now."),
    T.MOVED: mark("Your address was changed."),
    T.MERGED: mark("Two records of yours were put together."),
    T.CORRECTED: mark("You changed this: %(details)s."),
    T.SUBSCRIBED: mark("Our mailing service had you on its list for %(what)s; that counts for nothing here."),
    T.BOUNCED: mark("A mail to you came back: the mailbox was not there."),
}

#: Too small to tell: a mail came later than it should.
UNTOLD = frozenset({T.DEFERRED})

#: What a child's guardian did by the mailed link.
BY_GUARDIAN: Mapping[EventType, str] = {
    T.REFUSED: mark("Your parent or guardian said no to %(what)s."),
    T.WITHDRAWN: mark("Your parent or guardian stopped %(what)s."),
    T.EXPIRED: mark("The consent of your parent or guardian to %(what)s ended."),
}


def remembered(policy: Policy, texts: Texts, story: Sequence[ConsentEvent], language: str) -> list[Told]:
    """Her history, the newest first. A question that she answered is told with its answer."""
    answered = {event.evidence.request for event in story if event.type is T.GIVEN} - {None}
    shown = [
        event
        for event in story
        if event.type not in UNTOLD and not (event.type is T.REQUESTED and event.evidence.request in answered)
    ]
    shown.sort(key=lambda event: event.time, reverse=True)
    return [Told(event.time, _sentence(policy, texts, event, language)) for event in shown]


def _sentence(policy: Policy, texts: Texts, event: ConsentEvent, language: str) -> str:
    words = SAID.get((event.type, event.method)) or SAID[event.type]
    if event.source == GUARDIAN or (event.method is M.CLOCK and event.evidence.detail == GUARDIAN):
        words = BY_GUARDIAN.get(event.type, words)
    return texts.gettext(
        language,
        words,
        what=_what(policy, texts, event, language),
        place=_place(policy, texts, event, language),
        until=texts.day(language, event.until) if event.until else "",
        details=", ".join(_details(policy, texts, (event.evidence.detail or "").split(), language)),
        age=policy.age.years,
    )


def _what(policy: Policy, texts: Texts, event: ConsentEvent, language: str) -> str:
    if not event.purpose:
        return texts.gettext(language, "all our mail")
    purpose = policy.purposes.get(event.purpose)
    return texts.quoted(language, purpose.name[language] if purpose else event.purpose)


def _place(policy: Policy, texts: Texts, event: ConsentEvent, language: str) -> str:
    if event.channel == PREFERENCES:
        return texts.gettext(language, "this page")
    channel = policy.channels.get(event.channel or "")
    return channel.place[language] if channel else texts.gettext(language, "a place we no longer use")


def _details(policy: Policy, texts: Texts, names: Collection[str], language: str) -> Iterator[str]:
    for name in names:
        field = policy.fields.get(name)
        if name == "language":
            yield texts.gettext(language, "the language of our mail")
        elif field:
            yield field.label[language]
    if not names:
        yield texts.gettext(language, "your details")
