"""The sentences in which a judge reads one person's story: one for each thing that can happen, by each road.

They say what the program saw and no more. Soft opt-in is never called consent (SOF-01): what may befall either names
neither. What only a list or a platform says is said to be their word. `%(when)s` is when it happened as told,
`%(heard)s` when it came in here.
"""

from collections.abc import Mapping

from bridge.decide import NO_YES
from bridge.texts import mark
from bridge.vocabulary import Block, EventType, Method, Status

T = EventType
M = Method
S = Status

#: What happened, by its kind and road; by its kind alone where the road makes no difference to what is said.
HAPPENED: Mapping[tuple[EventType, Method] | EventType, str] = {
    (T.REQUESTED, M.FORM): mark(
        "On %(when)s a form was sent with this address, asking for %(what)s. The place was: %(place)s. This is a "
        "request and not yet a consent: nothing is mailed for it until the mailbox has confirmed."
    ),
    T.REQUESTED: mark(
        "On %(when)s the reader asked for %(what)s. The place was: %(place)s. This is not yet a consent."
    ),
    (T.REQUESTED, M.WEBHOOK): mark(
        "On %(when)s this program put the question about %(what)s once more, in a mail to the new address: a consent "
        "moves with a changed address only when the new mailbox has confirmed."
    ),
    (T.GIVEN, M.CONFIRM_PAGE): mark(
        "On %(when)s the reader pressed the confirm button on the page behind the link that had been mailed to the "
        "reader's address, and so consented to %(what)s. The question had been put on %(asked)s. "
        "The place was: %(place)s."
    ),
    (T.GIVEN, M.PREFERENCE_PAGE): mark(
        "On %(when)s the reader chose %(what)s on the preference page and saved it, and so consented. The page was "
        "behind a link that had been mailed on request to the reader's address and works for half an hour; it had been "
        "made on %(asked)s."
    ),
    (T.GIVEN, M.FORM): mark(
        "On %(when)s a form was sent with this address and the box for %(what)s ticked. The place was: %(place)s. "
        "The controller asks for no confirmation from the mailbox here, and gives this reason: %(reason)s"
    ),
    T.GIVEN: mark("The controller holds that this person consented to %(what)s on %(when)s. The place was: %(place)s."),
    T.ENROLLED: mark(
        "On %(when)s this person bought something from the controller and may since then be written to about its own "
        "similar products (%(what)s). This is not a consent: it rests on the rule for a seller's own customers "
        "(Directive 2002/58/EC, article 13(2)) and on the facts below. The place was: %(place)s."
    ),
    T.IMPORTED: mark(
        "A list names this address for %(what)s without the proof that a consent needs. It counts for nothing: "
        "nobody is mailed because of it. The date it was given here is %(when)s. The place was: %(place)s."
    ),
    T.REFUSED: mark("On %(when)s this person said no to %(what)s."),
    (T.WITHDRAWN, M.ONE_CLICK): mark(
        "On %(when)s the unsubscribe button of the reader's mail program was used (RFC 8058): stop for %(what)s."
    ),
    (T.WITHDRAWN, M.UNSUBSCRIBE_PAGE): mark(
        "On %(when)s the reader pressed the button on the page behind the unsubscribe link of a mail: stop "
        "for %(what)s."
    ),
    (T.WITHDRAWN, M.PREFERENCE_PAGE): mark("On %(when)s the reader stopped %(what)s on the preference page."),
    (T.WITHDRAWN, M.PREFERENCE_LINK): mark("On %(when)s the reader stopped %(what)s on the preference page."),
    (T.WITHDRAWN, M.CONFIRM_PAGE): mark(
        "On %(when)s, when the reader's address changed, a stop for %(what)s of the address that was left, or of the "
        "new one, was taken along: the stricter counts."
    ),
    (T.WITHDRAWN, M.FORM): mark(
        "On %(when)s, when the reader's address changed, a stop for %(what)s of the address that was left, or of the "
        "new one, was taken along: the stricter counts."
    ),
    T.WITHDRAWN: mark("On %(when)s this person said stop to %(what)s."),
    T.OBJECTED: mark("On %(when)s this person objected to mail. That is a no to every mailing."),
    T.EXPIRED: mark("On %(when)s the ground for %(what)s grew too old to count."),
    T.REVOKED: mark("On %(when)s the controller ended %(what)s."),
    T.INVALIDATED: mark("On %(when)s the ground for %(what)s was found not to hold, and has not counted since."),
    T.ERASED: mark("On %(when)s whoever had this address was erased."),
    T.PAUSED: mark("On %(when)s the reader asked for no mail until %(until)s. That ends nothing else."),
    T.RESUMED: mark("On %(when)s the reader ended the pause."),
    T.RESTRICTED: mark("On %(when)s the use of this person's data was restricted (GDPR, article 18)."),
    T.UNRESTRICTED: mark("On %(when)s the restriction ended."),
    T.CHILD_DECLARED: mark("On %(when)s the reader was said to be below the age at which one decides alone."),
    (T.CHILD_DECLARED, M.FORM): mark(
        "On %(when)s a form was sent with this address on which the question about age was answered with no: below "
        "the age at which one decides alone (GDPR, article 8). Until whoever has parental responsibility agrees, "
        "nothing is mailed."
    ),
    (T.CHILD_DECLARED, M.CONFIRM_PAGE): mark(
        "On %(when)s the reader said to be below the age at which one decides alone (GDPR, article 8), and confirmed "
        "that from the mailbox."
    ),
    T.GUARDIAN_CONFIRMED: mark(
        "On %(when)s whoever has parental responsibility agreed to %(what)s, until %(until)s at the latest."
    ),
    (T.GUARDIAN_CONFIRMED, M.CONFIRM_PAGE): mark(
        "On %(when)s the button was pressed on the page behind the link that had been mailed to the address given as "
        "that of a parent or guardian, and so %(what)s was agreed to for the reader (GDPR, article 8). The question "
        "had been put on %(asked)s. That consent ends on %(until)s. The address of the guardian is not kept."
    ),
    T.OF_AGE: mark("On %(when)s the reader was said to be old enough to decide alone."),
    (T.OF_AGE, M.CONFIRM_PAGE): mark(
        "On %(when)s the reader said on the page behind a link that had been mailed to the reader's address to be old "
        "enough to decide alone."
    ),
    (T.MOVED, M.CONFIRM_PAGE): mark(
        "On %(when)s the reader's address changed: the reader asked for it on the page “my data”, and pressed the "
        "button on the page behind the link that had been mailed to the new address. The consents moved with it."
    ),
    T.MOVED: mark(
        "On %(when)s the reader's address changed. Until the mailbox of the new address has confirmed, no consent "
        "moves to it and nothing is mailed there."
    ),
    T.MERGED: mark("On %(when)s two records turned out to be one person."),
    T.CORRECTED: mark("On %(when)s the reader's language or details were corrected."),
    T.SUBSCRIBED: mark(
        "By the word of a mailing platform this person was on there for %(what)s on %(when)s. A platform's word is no "
        "consent and counts for nothing."
    ),
    T.UNSUBSCRIBED: mark("On %(when)s the reader left at a mailing platform: stop for %(what)s."),
    T.BOUNCED: mark(
        "On %(when)s mail to this address came back for good: the mailbox is not there. Nothing is mailed to it until "
        "somebody confirms from it."
    ),
    T.DEFERRED: mark("On %(when)s mail to this address could not be delivered for the time being."),
    T.COMPLAINED: mark("On %(when)s the reader reported a mail as spam. That counts as an objection to every mailing."),
    # Of a list: `DATED` or `NO_DATE` follows.
    (T.EXPIRED, M.IMPORT): mark("A list says that the ground for %(what)s had grown too old to count."),
    (T.REFUSED, M.IMPORT): mark("A list says that this person said no to %(what)s."),
    (T.WITHDRAWN, M.IMPORT): mark("A list says that this person said stop to %(what)s."),
    (T.UNSUBSCRIBED, M.IMPORT): mark("A list says that this person was unsubscribed: stop for %(what)s."),
    (T.REVOKED, M.IMPORT): mark("A list says that the controller ended %(what)s."),
    (T.INVALIDATED, M.IMPORT): mark("A list says that the ground for %(what)s was found not to hold."),
    (T.OBJECTED, M.IMPORT): mark("A list says that this person objected to mail. That is a no to every mailing."),
    (T.COMPLAINED, M.IMPORT): mark(
        "A list says that this person reported a mail as spam. That counts as an objection to every mailing."
    ),
    (T.ERASED, M.IMPORT): mark("A list says that whoever had this address was erased."),
    (T.BOUNCED, M.IMPORT): mark(
        "A list says that the mailbox of this address is not there. Nothing is mailed to it until somebody confirms "
        "from it."
    ),
}

#: What a child's guardian said by the mailed link, and what the clock ends with a guardian's consent.
BY_GUARDIAN: Mapping[EventType, str] = {
    T.REFUSED: mark(
        "On %(when)s no was said to %(what)s on the page behind the link that had been mailed to the reader's parent "
        "or guardian."
    ),
    T.WITHDRAWN: mark(
        "On %(when)s the consent to %(what)s was taken back on the page behind the link that had been mailed to the "
        "reader's parent or guardian."
    ),
    T.EXPIRED: mark("On %(when)s the consent of the reader's parent or guardian to %(what)s ended by its time."),
}

#: Since when a no counts, or a mailbox was not there, that a list tells of.
DATED = mark("By that list it happened on %(when)s.")
NO_DATE = mark("The list gives no date; it counts from the day that list was first taken in, %(when)s.")

#: How it came to be known here, where that is not the reader's own act.
TOLD: Mapping[Method, str] = {
    M.IMPORT: mark(
        "This program did not see it happen: it was read from a list that the controller took in on %(heard)s."
    ),
    M.STAFF: mark("It was entered by a member of the controller's staff on %(heard)s."),
    M.WEBHOOK: mark("%(who)s told it; the message came in on %(heard)s."),
    M.RECONCILE: mark("It was found on %(heard)s, when this program read what %(who)s holds."),
    M.CLOCK: mark("It follows from a limit of the controller's policy."),
}

#: How a yes was given that a list tells of, by the word of that list.
COLLECTED: Mapping[str, str] = {
    "double_opt_in": mark("By the word of that list the mailbox had confirmed."),
    "paper": mark("By the word of that list it was given on paper."),
    "form": mark("By the word of that list it was given on a form, without confirmation from the mailbox."),
    "spoken": mark("By the word of that list it was given by word of mouth."),
    NO_YES: mark("That list itself does not say that a yes was given."),
}

#: The facts of a sale (SOF-01).
SALE: Mapping[str, str] = {
    "sale_id": mark("Number of the sale: %(value)s"),
    "from_person": mark("The buyer gave the address: %(value)s"),
    "same_entity": mark("The seller, who also writes the mails: %(value)s"),
    "similar_category": mark("What was bought, of the same kind as the mails are about: %(value)s"),
    "opt_out_offered": mark("Refusing was offered at that moment in the words with this fingerprint: %(value)s"),
    "opt_out_in_mail": mark("Refusing is offered in each mail: %(value)s"),
}

#: Where somebody stands for one purpose; `%(entry)s` names the entry that put her there.
STANDING: Mapping[Status, str] = {
    S.UNKNOWN: mark("There is no proof of a yes."),
    S.REQUESTED: mark("It was asked for and is not confirmed %(entry)s."),
    S.GIVEN: mark("The reader consented %(entry)s; the ground is GDPR, article 6(1)(a)."),
    S.SOFT_OPT_IN: mark(
        "This person is a customer %(entry)s; the ground is the rule for a seller's own customers, not consent."
    ),
    S.REFUSED: mark("This person said no %(entry)s."),
    S.WITHDRAWN: mark("This person said stop %(entry)s."),
    S.OBJECTED: mark("This person objected to mail %(entry)s."),
    S.EXPIRED: mark("The consent is too old to count %(entry)s."),
    S.REVOKED: mark("The controller ended it %(entry)s."),
    S.INVALIDATED: mark("The consent was found not to hold %(entry)s."),
}

#: The same where the consent is what the controller claims, by the road on which it came in.
CLAIMED: Mapping[Method, str] = {
    M.IMPORT: mark(
        "The controller holds, by a list and the document it names, that the reader consented %(entry)s; the ground is "
        "GDPR, article 6(1)(a)."
    ),
    M.STAFF: mark(
        "The controller holds, by the word of its staff and the document they name, that the reader consented "
        "%(entry)s; the ground is GDPR, article 6(1)(a)."
    ),
}

#: The same where what ended was no consent but the rule for a seller's own customers (SOF-01).
CUSTOMER: Mapping[Status, str] = {
    S.EXPIRED: mark("This person bought too long ago for that to count %(entry)s."),
    S.INVALIDATED: mark("The rule for a seller's own customers was found not to hold for this person %(entry)s."),
}

BLOCKED: Mapping[Block, str] = {
    Block.BOUNCED: mark("The mailbox is not there %(entry)s."),
    Block.RESTRICTED: mark("The use of this person's data is restricted %(entry)s."),
    Block.CHILD_UNVERIFIED: mark("A parent or guardian has not confirmed yet %(entry)s."),
    Block.ERASED: mark("This person was erased %(entry)s."),
}

#: What the stop list says of an address, by its reason.
LISTED: Mapping[EventType, str] = {
    T.WITHDRAWN: mark("stop to %(what)s, since %(when)s"),
    T.UNSUBSCRIBED: mark("left at a mailing platform, or by the word of a list: stop to %(what)s, since %(when)s"),
    T.REFUSED: mark("no to %(what)s, since %(when)s"),
    T.OBJECTED: mark("objected to every mailing, since %(when)s"),
    T.COMPLAINED: mark("reported a mail as spam: no to every mailing, since %(when)s"),
    T.ERASED: mark("was erased on request on %(when)s: no to everything"),
}
