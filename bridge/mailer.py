"""Letters from template folders: what each mail says, its headers, its receipt."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bridge.links import FRESH_LIFE, Action, Claim, Links
from bridge.own_texts import OwnTexts
from bridge.policy import Policy
from bridge.texts import TEMPLATES, Texts
from bridge.vocabulary import EVERY_PURPOSE, NATURES, Hold, Letter, MailKind, Nature, short_hash

#: Mails a reader can leave from, besides marketing: they carry the list headers (RFC 2369, RFC 8058).
_LIST_MAILS = frozenset({MailKind.WELCOME, MailKind.SUBSCRIBED, MailKind.REPERMISSION})

#: Mails without a link to leave at their foot: there is nothing to leave, or the way out is a button.
_NO_FOOT = frozenset(
    {
        MailKind.CONFIRM,
        MailKind.LINK,
        MailKind.REPERMISSION,
        MailKind.IDENTITY,
        MailKind.BREACH,
        MailKind.GUARDIAN,
        MailKind.OF_AGE,
        MailKind.MOVE,
        MailKind.MOVED,
    }
)

#: Mails whose question may wait for its code, where the policy says so (CON-05).
_CODED = frozenset({MailKind.GUARDIAN, MailKind.OF_AGE, MailKind.REPERMISSION, MailKind.MOVE})


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Why one mail is written, and to whom. `key` fixes its Message-ID."""

    key: str
    kind: MailKind
    subject: str
    mark: str
    email: str
    language: str
    purposes: Sequence[str]
    asked: datetime
    request: str = ""
    channel: str = ""
    until: datetime | None = None  # an answer is awaited
    receipt: str = ""
    papers: tuple[tuple[str, str, bytes], ...] = ()  # signed receipts: name, media type, content
    words: str = ""  # of a breach: what the people concerned are told
    about: str = ""  # the child a guardian is asked about, masked
    child: bool = False  # she said to be below the national age
    statement: tuple[int, date] | None = (
        None  # a version of the privacy statement that readers must hear of, and its day
    )


class Mailer:
    """Writes letters. Everything they say comes from the policy, the catalogues and the occasion."""

    def __init__(self, policy: Policy, texts: Texts, links: Links) -> None:
        """Raises `Promotes` where a service mail's template holds a promotion (SND-05)."""
        check_natures(TEMPLATES / "email")
        self._policy, self._texts, self._links = policy, texts, links
        self._host = urlsplit(links.base_url).hostname or "localhost"
        self.templates = Templates(texts.own)
        self._domain = policy.mail.sender_address.rpartition("@")[2]

    def write(self, occasion: Occasion) -> Letter:
        """The letter for an occasion: the same one each time, so that a repeat is the same mail."""
        kind, language = occasion.kind, occasion.language
        context = self._context(occasion)
        subject = self._texts.render(f"email/{kind}/subject.txt", language, **context)
        receipt = occasion.receipt.encode()
        return Letter(
            sender=_mailbox(self._policy.mail.sender_name, self._policy.mail.sender_address),
            to=occasion.email,
            reply_to=self._policy.mail.reply_to,
            subject=" ".join(subject.split()),
            text=self._texts.render(f"email/{kind}/body.txt", language, **context),
            html=self._texts.render(f"email/{kind}/body.html", language, **context),
            message_id=f"<{occasion.key}@{self._domain}>",
            headers=self._headers(occasion),
            attachments=(*((("consent-receipt.txt", "text/plain", receipt),) if receipt else ()), *occasion.papers),
        )

    def unsubscribe_url(self, occasion: Occasion) -> str:
        """Where one click stops what this mail is about."""
        return self._links.url("/u/", self._stop_token(occasion))

    def _context(self, occasion: Occasion) -> Mapping[str, object]:
        language, policy = occasion.language, self._policy
        channel = policy.channels.get(occasion.channel)
        purposes = [policy.purposes[p] for p in occasion.purposes if p in policy.purposes]
        leaves = occasion.kind not in _NO_FOOT
        return {
            "purposes": [
                {
                    "name": p.name[language],
                    "description": p.description[language],
                    "frequency": p.frequency[language],
                    "label": p.label[language],
                }
                for p in purposes
            ],
            "url": self._url(occasion),
            "code": self._code(occasion),
            "place": channel.place[language] if channel else policy.looks.name,
            "asked": occasion.asked,
            "hours": int(policy.limits_.pending_ttl.time.total_seconds() // 3600),
            "minutes": int(FRESH_LIFE.total_seconds() // 60),
            "no_url": self.unsubscribe_url(occasion) if occasion.kind is MailKind.REPERMISSION else None,
            "until": occasion.until,
            "about": occasion.about,
            "child": occasion.child,
            "age": policy.age.years,
            "unsubscribe_url": self.unsubscribe_url(occasion) if leaves else None,
            "preferences_url": self._links.url("/preferences/", self._stop_token(occasion)) if leaves else None,
            "postal_address": policy.mail.postal_address,
            "sender_name": policy.mail.sender_name,
            "receipt": occasion.receipt,
            "check_url": self._links.url("/receipt") if occasion.papers else None,
            "words": occasion.words.split("\n\n"),
            "statement": self._statement(occasion),
        }

    def _statement(self, occasion: Occasion) -> Mapping[str, object] | None:
        """Where it says what changed; not in a mail that asks for something (TRN-05)."""
        if occasion.statement is None or occasion.kind is MailKind.REPERMISSION:
            return None
        version, day = occasion.statement
        return {"day": day, "url": self._links.url(f"/privacy/{version}")}

    def _url(self, occasion: Occasion) -> str:
        if occasion.kind is MailKind.CONFIRM:
            return self._links.url("/confirm/", self._token(occasion, Action.CONFIRM))
        if occasion.kind is MailKind.GUARDIAN:
            return self._links.url("/guardian/", self._token(occasion, Action.GUARDIAN))
        if occasion.kind is MailKind.OF_AGE:
            return self._links.url("/of-age/", self._token(occasion, Action.OF_AGE))
        if occasion.kind is MailKind.REPERMISSION:
            claim = msgspec.structs.replace(
                _claim(occasion, Action.ONCE), template=self.templates.hash(occasion.kind, occasion.language)
            )
            return self._links.url("/question/", self._links.token(claim))
        if occasion.kind is MailKind.IDENTITY:
            return self._links.url("/requests/", self._token(occasion, Action.REQUEST))
        if occasion.kind is MailKind.MOVE:
            return self._links.url("/my-data/", self._token(occasion, Action.MOVE))
        if occasion.kind is MailKind.LINK:
            return self._links.url("/preferences/", self._token(occasion, Action.FRESH))
        return self._links.url("/preferences/", self._stop_token(occasion))

    def has_code(self, kind: MailKind) -> bool:
        """Whether a mail of this kind holds digits that can be typed: each confirmation, and wherever a yes may have to
        wait for them."""
        return kind is MailKind.CONFIRM or (kind in _CODED and self._policy.sign_up.hold is not Hold.NEVER)

    def _code(self, occasion: Occasion) -> str:
        """The digits as they are easily read: "123 456"; empty where this mail has none."""
        if not self.has_code(occasion.kind):
            return ""
        digits = self._links.code(occasion.kind, occasion.subject, occasion.request)
        return f"{digits[:3]} {digits[3:]}"

    def _token(self, occasion: Occasion, action: Action) -> str:
        return self._links.token(_claim(occasion, action))

    def _stop_token(self, occasion: Occasion) -> str:
        if occasion.kind is MailKind.REPERMISSION:
            return self._token(occasion, Action.STOP)  # the no to what it asks
        return stop_token(self._links, occasion.subject, occasion.mark, occasion.asked, occasion.purposes)

    def _headers(self, occasion: Occasion) -> Mapping[str, str]:
        headers = {"Auto-Submitted": "auto-generated", "Content-Language": occasion.language}
        if occasion.kind not in _LIST_MAILS and NATURES[occasion.kind] is not Nature.MARKETING:
            return headers
        one = occasion.purposes[0] if len(occasion.purposes) == 1 else ""
        name = self._policy.purposes[one].name[occasion.language] if one else self._policy.looks.name
        return headers | {
            "List-Id": f"{_phrase(name)} <{one or 'all'}.lists.{self._host}>",
            "List-Unsubscribe": f"<{self.unsubscribe_url(occasion)}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }


#: Links that answer one request.
_ANSWERS = frozenset({Action.CONFIRM, Action.MOVE, Action.REQUEST, Action.GUARDIAN, Action.OF_AGE})


def _claim(occasion: Occasion, action: Action) -> Claim:
    """What a link of this mail says. The two answers to a question of ours are about its purpose."""
    question = occasion.kind is MailKind.REPERMISSION
    return Claim(
        action=action,
        subject=occasion.subject,
        address=occasion.mark,
        made=occasion.asked,
        purpose=occasion.purposes[0] if question else EVERY_PURPOSE,
        request=occasion.request if question or action in _ANSWERS else "",
    )


def stop_token(links: Links, subject: str, mark: str, made: datetime, purposes: Sequence[str] = ()) -> str:
    """A link that can only stop, and lives for ever: for one purpose where the mail is about one, else for all."""
    purpose = purposes[0] if len(purposes) == 1 else EVERY_PURPOSE
    return links.token(Claim(action=Action.STOP, subject=subject, address=mark, made=made, purpose=purpose))


def template_files(kind: MailKind, own: OwnTexts | None = None) -> list[tuple[str, bytes]]:
    """What a mail says, by name and content: its template files and what all mails share; then `own`, the operator's
    words in one language for sentences that stand in them, where there are any.
    """
    paths = [*sorted((TEMPLATES / "email" / kind).iterdir()), *sorted(TEMPLATES.glob("mail*"))]
    files = [(path.name, path.read_bytes()) for path in paths]
    text = b"\n".join(content for _, content in files).decode()
    said = {ours: theirs for ours, theirs in (own.words if own else {}).items() if _quoted(ours) in text}
    words = json.dumps(said, ensure_ascii=False, sort_keys=True, default=dict)
    return [*files, ("texts", words.encode())] if said else files


def template_hash(kind: MailKind, own: OwnTexts | None = None) -> str:
    """Which words asked (section 4)."""
    return hash_of(template_files(kind, own))


def hash_of(files: Sequence[tuple[str, bytes]]) -> str:
    """A short hash of what `template_files` found."""
    return short_hash(b"".join(content for _, content in files))


class Templates:
    """Which words a mail says in a language, as its proof names them. `own`: the operator's words, by language."""

    def __init__(self, own: Mapping[str, OwnTexts]) -> None:
        self.own = own
        self._known: dict[tuple[MailKind, str], str] = {}

    def hash(self, kind: MailKind, language: str | None) -> str:
        """The hash of that mail in that language."""
        spoken = language or ""
        if (kind, spoken) not in self._known:
            self._known[kind, spoken] = template_hash(kind, self.own.get(spoken))
        return self._known[kind, spoken]


def _quoted(sentence: str) -> str:
    """A sentence as it stands in a template."""
    return json.dumps(sentence, ensure_ascii=False)


class Promotes(Exception):
    """A mail that is declared a service holds a promotion; the text names it and the fix (SND-05)."""


#: How a template says that it promotes: a block or macro of that name, a comment or an attribute.
_PROMOTION = re.compile(
    r"\{[%{#](?!-?\s*macro\b)[^}]*\bpromotion\b|<!--\s*promotion\b|\bdata-promotion\b", re.IGNORECASE
)
_FROM = re.compile(r"\{%-?\s*(?:extends|include|import|from)\s+[\"']([^\"']+)[\"']")


@cache
def check_natures(folder: Path) -> None:
    """Refuse a service mail that holds a promotion: by law it is marketing, whatever else it says (SND-05).

    `folder` holds a folder for each kind of mail; what its files extend or import lies beside that folder.
    """
    for kind, nature in NATURES.items():
        for file in sorted((folder / kind).glob("*")) if nature is Nature.SERVICE else ():
            if promoting := _promoting(file, folder.parent):
                raise Promotes(
                    f"{promoting.relative_to(folder.parent)}: the mail {kind} is a service and must not hold a "
                    "promotion; take that out, or declare the mail marketing, which only goes to who said yes (SND-05)"
                )


def _promoting(file: Path, templates: Path) -> Path | None:
    """The file that promotes: this one, or one that it is made from."""
    text = file.read_text(encoding="utf-8")
    if _PROMOTION.search(text):
        return file
    parts = (_promoting(templates / name, templates) for name in _FROM.findall(text))
    return next((found for found in parts if found), None)


def _phrase(name: str) -> str:
    """A name as the phrase before a list's identifier (RFC 2919); never quoted and encoded (RFC 2047)."""
    if re.fullmatch(r"[A-Za-z0-9 &'_-]+", name):
        return name
    if name.isascii():
        return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return " ".join(re.sub(r'[()<>\[\]:;@\\,."]', " ", name).split())


def _mailbox(name: str, address: str) -> str:
    from email.headerregistry import Address  # pages ask for the words of a mail, and write none

    return str(Address(display_name=name, addr_spec=address))
