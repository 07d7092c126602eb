"""Requests by letter or phone, from the first line to the answer: GDPR 12 to 22. Rows RGT-07, RGT-08, RGT-09."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import msgspec

from bridge.access import collect, written
from bridge.bootstrap import Bridge
from bridge.decide import after_restriction, blocks
from bridge.decide.requests import EXTENDED, FIRST, Alert, alert, due
from bridge.identity import ASKED
from bridge.store import BadInput, Plan
from bridge.store.case_files import Case, Proof, Told
from bridge.store.cases import Act
from bridge.store.values import Person
from bridge.texts import mark
from bridge.vault import new_id
from bridge.vocabulary import OPERATOR, Block, ConsentEvent, EventType, Evidence, Method, RequestKind

log = logging.getLogger("bridge.requests")

#: What no controller may refuse: a no to mail is a no (GDPR 7(3), 21(3)).
NEVER_REFUSED = frozenset({RequestKind.WITHDRAW, RequestKind.OBJECT})

#: What is given or done only to whom it belongs.
NEEDS_PROOF = frozenset(RequestKind) - NEVER_REFUSED - {RequestKind.COMPLAINT}

#: What is answered with her data.
WITH_DATA = frozenset({RequestKind.ACCESS, RequestKind.PORT})

#: Written so that it stands in every refusal (GDPR 12(4)).
COMPLAINT = mark(
    "You can complain about this to a data protection authority, such as that of the country where you live or work, "
    "and you can go to court."
)
#: The same where the policy names the authority (`statement.authority`).
COMPLAINT_AT = mark(
    "You can complain about this to %(name)s (%(address)s, %(website)s), or to the data protection authority of the "
    "country where you live or work, and you can go to court."
)


class Answered(NamedTuple):
    """What an answer came to: the files for her, by name, and which mailing services were told to erase her."""

    files: dict[str, bytes]
    platforms: tuple[str, ...] = ()


LETTER = "letter.txt"


def open_request(
    bridge: Bridge, told: Told, kind: RequestKind, received: date | None = None, *, own_mailbox: bool = False
) -> Case:
    """Write down what came on that day, today where none is told; whoever wants no mail is stopped as of then.

    Raises `BadInput` for a day that has not come, or is too long ago to be meant.
    """
    policy, now = bridge.policy, bridge.clock()
    today = now.astimezone(policy.zone).date()
    day = received or today
    if day > today:
        raise BadInput(f"{day} has not come yet: a request is received today or before")
    if today - day > timedelta(days=3660):
        raise BadInput(f"{day} is more than ten years ago: look at the date once more")
    if told.purpose and told.purpose not in policy.purposes:
        raise BadInput(f"no purpose {told.purpose!r} in the policy; there are: {', '.join(policy.purposes)}")
    # The last moment of its day: within it, the no wins. What she said yes to on a later day stands (R2).
    ended = datetime.combine(day + timedelta(days=1), time(), policy.zone) - timedelta(seconds=1)
    return bridge.store.cases.open(
        told,
        kind,
        received=day,
        said=min(ended, now),
        due=_due(bridge, day, FIRST),
        by=bridge.settings.operator,
        own_mailbox=own_mailbox,
    )


def pressing(bridge: Bridge, case: Case) -> Alert | None:
    """What must be said of a request today."""
    if case.closed is not None:
        return None
    today = bridge.clock().astimezone(bridge.policy.zone).date()
    return alert(case.received, case.due, today, extended=case.extended is not None)


def ask_whether_hers(bridge: Bridge, case: Case) -> None:
    """Mail her the page that asks whether the request is hers."""
    told = _told(bridge, case)
    bridge.store.cases.ask_mailbox(case, told, _language(bridge, told, None))


def other_mailbox(bridge: Bridge, case: Case, language: str | None) -> str:
    """It came from another mailbox: what is written back there (GDPR 12(6)). It names no address."""
    told = bridge.store.cases.told(case)
    bridge.store.cases.note_asked(case)
    return _letter(
        bridge, "identity", case, told, language, link_url=bridge.links.url("/preferences"), stopped=case.acted
    )


def extend(bridge: Bridge, case: Case, reason: str, language: str | None) -> tuple[Case, str]:
    """Two months more, for reasons that she is told within the first (GDPR 12(3)); what she is written."""
    told = _told(bridge, case)
    if bridge.clock().astimezone(bridge.policy.zone).date() > case.due:
        raise BadInput("its month is over: the reasons had to be told within it, so answer now")
    case_ = msgspec.structs.replace(told, extension=_words(reason))
    bridge.store.cases.extend(case, case_, _due(bridge, case.received, EXTENDED))
    later = bridge.store.cases.find(case.id)
    return later, _letter(bridge, "extension", later, told, language, reason=_words(reason))


def refuse(bridge: Bridge, case: Case, reason: str, language: str | None) -> str:
    """Not done, for a reason, with the way to complain (GDPR 12(4)); what she is written."""
    if case.kind in NEVER_REFUSED:
        raise BadInput(f"a request to {case.kind} cannot be refused: it was carried out when it was written down")
    told = bridge.store.cases.told(case)
    spoken = _language(bridge, told, language)
    words, complaint = _words(reason), _where_to_complain(bridge, spoken)
    letter = _letter(bridge, "refusal", case, told, language, reason=words, complaint=complaint)
    told = told and msgspec.structs.replace(told, reason=words, complaint=complaint)
    bridge.store.cases.close(case, told, bridge.settings.operator, refused=True)
    return letter


def answer(
    bridge: Bridge,
    case: Case,
    *,
    own: str = "",
    language: str | None = None,
    changes: Mapping[str, str] | None = None,
    keep: Callable[[Mapping[str, bytes]], None] = lambda _files: None,
) -> Answered:
    """Carry out what is asked, through the one door, and give what she is answered with.

    `own`: words of the operator's own in the letter. `changes`: what is corrected (`language`, declared fields).
    `keep` is given the files before the request is closed, so that none is closed whose answer was lost. Raises
    `BadInput` where nobody knows yet that it is she who asks.
    """
    book, told = bridge.store.cases, bridge.store.cases.told(case)
    if case.closed is not None:
        raise BadInput("that request is closed already: see consent-bridge rights list --all")
    if case.kind in NEEDS_PROOF and not case.dark:
        _proven(case)
    if case.kind is RequestKind.COMPLAINT and not own:
        raise BadInput("a complaint is answered in words: give them with --text")
    person = book.person(told) if told else None
    spoken = _language(bridge, told, language)
    about: dict[str, Any] = {"held": "", "senders": (), "changed": bool(changes), "own": own}
    files: dict[str, bytes] = {}
    platforms: tuple[str, ...] = ()
    act: Act | None = None
    if case.kind in WITH_DATA and told is not None:
        files, about["held"] = _pack(bridge, told, person, spoken)
    elif case.kind in WITH_DATA:
        about["held"] = "nothing"
    elif case.kind is RequestKind.ERASE:
        # First, so that a kill before the file is closed forgets nothing: it is then answered once more.
        if told is None:
            platforms = tuple(bridge.adapters)
        elif book.is_here(told) or not told.subject or not _is_anothers(bridge, told.email):
            platforms = bridge.store.erase_person(person.email if person else told.email).platforms
        about["senders"] = [bridge.policy.sender(name) for name in platforms]
        told = None
    elif case.kind is RequestKind.RESTRICT:
        act = _marks(bridge, EventType.RESTRICTED)
    elif case.kind is RequestKind.RECTIFY and (changes or not own):
        act = _corrects(bridge, changes or {})
    letter = _letter(bridge, "answer", case, told, spoken, **about)
    kept, files = told and msgspec.structs.replace(told, answer=own), {LETTER: letter.encode(), **files}
    keep(files)
    book.close(case, kept, bridge.settings.operator, act=act, acted=case.kind is RequestKind.ERASE)
    bridge.store.nudge()
    return Answered(files, platforms)


def lift(bridge: Bridge, case: Case, reason: str, language: str | None, *, carry_out: bool) -> str:
    """End the restriction that this request brought, if she was told before; what she is told (GDPR 18(3))."""
    told = _told(bridge, case)
    if case.kind is not RequestKind.RESTRICT or case.closed is None or case.refused:
        raise BadInput("that request brought no restriction that could be lifted")
    words = _words(reason)
    complaint = _where_to_complain(bridge, _language(bridge, told, language))
    letter = _letter(bridge, "lifted", case, told, language, reason=words, complaint=complaint)
    person = bridge.store.cases.person(told)
    if person is None:
        raise BadInput("nobody of that address is here any more")
    if carry_out:
        bridge.store.act(person.id, _lifts(bridge, case))
        bridge.store.nudge()
    return letter


class RequestWatch:
    """Says aloud, once a day, that answers are overdue or due soon: counts by kind, nobody's name."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._said: date | None = None

    def look(self) -> None:
        """Raise the alarm of this day."""
        bridge, now = self._bridge, self._bridge.clock()
        today = now.astimezone(bridge.policy.zone).date()
        if today == self._said:
            return
        late, soon = bridge.store.cases.overdue(now), bridge.store.cases.due_soon(now)
        if late:
            log.error("requests overdue (RGT-07): %s; run consent-bridge rights list", in_words(late))
        if soon:
            log.warning("requests due within 3 days (RGT-07): %s", in_words(soon))
        self._said = today


def in_words(counts: Mapping[str, int]) -> str:
    """Counts by kind in a line."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


# -- inside -----------------------------------------------------------------------------------------------------


def _due(bridge: Bridge, received: date, months: int) -> date:
    return due(received, bridge.policy.country, bridge.policy.dsar_holidays, months)


def _told(bridge: Bridge, case: Case) -> Told:
    told = bridge.store.cases.told(case)
    if told is None:
        raise BadInput("she was erased: nothing of her is left in this request, so answer it")
    return told


def _proven(case: Case) -> None:
    if case.how is Proof.DENIED:
        raise BadInput("she said, from her mailbox, that she did not ask this: refuse it (rights refuse)")
    if case.verified is None:
        raise BadInput(
            "nobody knows yet that it is she who asks: `rights verify` mails her a link; say --own-mailbox where the "
            "request came from her own"
        )


def _words(reason: str) -> str:
    words = " ".join(reason.split())
    if len(words) < 10:
        raise BadInput("the reason is told to her: write it in a sentence")
    return words


def _pack(bridge: Bridge, told: Told, person: Person | None, language: str) -> tuple[dict[str, bytes], str]:
    """Everything there is of her as files, and what there is where she is not here."""
    found = collect(bridge, person.email if person else told.email)
    if found is None or (found.person and (person is None or found.person.id != person.id)):
        return {}, "nothing"  # whoever has her address now is another
    return written(bridge, found, language), "person" if found.person else "stop list"


def _is_anothers(bridge: Bridge, email: str) -> bool:
    """Of an address whose reader is gone already: whether somebody else has it, or had it before she moved."""
    return bridge.store.knows(email) or bridge.store.has_moved(email)


def _marks(bridge: Bridge, kind: EventType) -> Act:
    def act(person: Person, _history: Sequence[ConsentEvent]) -> tuple[list[ConsentEvent], None]:
        return [_event(bridge, person, kind)], None

    return act


def _lifts(bridge: Bridge, case: Case) -> Callable[[Person, list[ConsentEvent]], Plan]:
    """The end of the restriction that this request brought, and of no other."""

    def build(person: Person, story: list[ConsentEvent]) -> Plan:
        now = bridge.clock()
        standing = blocks(story, bridge.store.limits(now)).get(Block.RESTRICTED)
        if standing is None:
            raise BadInput("her data is not restricted any more: there is nothing to lift")
        if standing.evidence.document != case.id:
            raise BadInput("she had it restricted anew since, herself or by another request: this lifts only its own")
        moment, seen = after_restriction(standing, now), Evidence(document=case.id)
        event = _event(bridge, person, EventType.UNRESTRICTED)
        return Plan(events=[msgspec.structs.replace(event, time=moment, received=moment, evidence=seen)])

    return build


def _corrects(bridge: Bridge, changes: Mapping[str, str]) -> Act:
    """Her language and declared fields, as she told them (GDPR 16)."""
    policy = bridge.policy
    if not changes:
        raise BadInput("what is corrected? Say --set NAME=VALUE (language, or a field of the policy), or --text")
    for name, value in changes.items():
        _check(bridge, name, value)
    fields = {name: value for name, value in changes.items() if name in policy.fields}

    def act(person: Person, _history: Sequence[ConsentEvent]) -> tuple[list[ConsentEvent], Person | None]:
        known = {"language": person.language, **person.fields}
        changed = [name for name, value in changes.items() if value != known.get(name, "")]
        if not changed:
            return [], None
        kept = {name: value for name, value in {**person.fields, **fields}.items() if value}
        new = msgspec.structs.replace(person, language=changes.get("language", person.language), fields=kept)
        event = _event(bridge, person, EventType.CORRECTED)
        return [msgspec.structs.replace(event, evidence=Evidence(detail=" ".join(changed)))], new

    return act


def _check(bridge: Bridge, name: str, value: str) -> None:
    policy = bridge.policy
    if name == "language":
        if value not in policy.languages:
            raise BadInput(f"no language {value!r} in the policy; there are: {', '.join(policy.languages)}")
        return
    field = policy.fields.get(name)
    if field is None:
        there = ", ".join(["language", *policy.fields])
        raise BadInput(f"nothing called {name!r} is kept of anybody; what can be corrected: {there}")
    if len(value) > field.max_length or any(not char.isprintable() for char in value):
        raise BadInput(f"{name}: at most {field.max_length} printable characters")
    if value and field.values and value not in field.values:
        raise BadInput(f"{name}: one of {', '.join(field.values)}")


def _event(bridge: Bridge, person: Person, kind: EventType) -> ConsentEvent:
    now = bridge.clock()
    return ConsentEvent(
        type=kind, subject=person.id, time=now, received=now, source=OPERATOR, method=Method.STAFF, key=new_id()
    )


def _language(bridge: Bridge, told: Told | None, wanted: str | None) -> str:
    return bridge.texts.choose(wanted, told.language if told else None)


def _where_to_complain(bridge: Bridge, spoken: str) -> str:
    where, say = bridge.policy.statement.authority, bridge.texts.gettext
    if where is None:
        return say(spoken, COMPLAINT)
    return say(spoken, COMPLAINT_AT, name=where.name, address=where.address, website=where.website)


def _letter(bridge: Bridge, name: str, case: Case, told: Told | None, language: str | None, **about: Any) -> str:
    spoken = _language(bridge, told, language)
    asked = bridge.texts.gettext(spoken, ASKED[case.kind])
    today = bridge.clock().astimezone(bridge.policy.zone).date()
    context = {"own": "", "case": case, "asked": asked, "today": today, **about}
    return bridge.texts.render(f"letter/{name}.txt", spoken, **context)
