"""One mail of each kind as readers get it, made up: for looking at. Nobody's data, and links that open nothing."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from bridge.links import Links
from bridge.mailer import Mailer, Occasion
from bridge.policy import Policy
from bridge.texts import Texts, mark
from bridge.vocabulary import Letter, MailKind, masked_email

#: Every kind that a reader may find in her mailbox, and what it is.
KINDS: Mapping[MailKind, str] = {
    MailKind.CONFIRM: "asks for the confirmation of a sign-up",
    MailKind.SUBSCRIBED: "answers a sign-up by somebody who is subscribed already",
    MailKind.WELCOME: "says that she is subscribed, with her receipt",
    MailKind.GOODBYE: "says that she is unsubscribed",
    MailKind.LINK: "brings the link to her preferences",
    MailKind.IDENTITY: "asks whether a request by letter or phone is hers",
    MailKind.MOVE: "asks a new mailbox whether it is hers",
    MailKind.MOVED: "tells the address she left",
    MailKind.REPERMISSION: "asks an old contact once for a yes",
    MailKind.BREACH: "tells of a breach of her data, in words of yours",
    MailKind.GUARDIAN: "asks a child's parent or guardian",
    MailKind.OF_AGE: "asks her once the guardian's consent has ended",
}

_WHEN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
_SUBJECT, _REQUEST = "AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBB"  # as long as real ones
_READER, _CHILD = "reader@mailbox.example", "child@mailbox.example"
_WORDS = mark("Here stand your own words about it, once a second person has approved them.")


class Specimens:
    """Sample mails in the policy's words and looks. Opens no database and sends nothing."""

    def __init__(self, policy: Policy, texts: Texts, links: Links) -> None:
        self._policy, self._texts, self._links = policy, texts, links
        self._mailer = Mailer(policy, texts, links)

    def letter(self, kind: MailKind, language: str, *, statement: bool = False) -> Letter:
        """One mail. `statement`: at a time when readers must hear of a changed privacy statement."""
        policy = self._policy
        purposes = tuple(policy.purposes)
        one = kind is MailKind.REPERMISSION
        occasion = Occasion(
            key=f"sample-{kind}",
            kind=kind,
            subject=_SUBJECT,
            mark=self._links.mark(_READER),
            email=_READER,
            language=language,
            purposes=purposes[:1] if one else purposes,
            asked=_WHEN,
            request=_REQUEST,
            channel=next(iter(policy.forms), ""),
            until=_WHEN + policy.repermission.answer_within.time,
            receipt="-" if kind is MailKind.WELCOME else "",
            papers=(("consent-receipt.json", "application/ld+json", b"{}"),)
            if kind in (MailKind.WELCOME, MailKind.GOODBYE)
            else (),
            words=self._texts.gettext(language, _WORDS) if kind is MailKind.BREACH else "",
            about=masked_email(_CHILD) if kind is MailKind.GUARDIAN else "",
            child=kind is MailKind.CONFIRM and bool(policy.for_children),
            statement=(2, date(_WHEN.year, 12, 1) - timedelta(days=1)) if statement else None,
        )
        return self._mailer.write(occasion)

    def all(self, language: str) -> Iterator[tuple[MailKind, Letter]]:
        """Every kind."""
        for kind in KINDS:
            yield kind, self.letter(kind, language)
