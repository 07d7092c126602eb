"""Afterwards: is everything true that anybody was promised, and nothing twice?"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import func, select

from bridge.decide import STOPS
from bridge.store.verify import verify
from bridge.store.work import LEASE
from bridge.tables import erase_work, esp_jobs, metadata, outbox, pushes, subjects
from bridge.vocabulary import EVERY_PURPOSE, ConsentEvent, EventType, Method, Status
from tests.torture.readers import PURPOSES, Act, Reader
from tests.torture.town import Broken, Town, ended_badly

T = EventType

#: Mails that may not come twice (decision 25).
_ONCE = ("welcome", "goodbye")

#: How the Message-IDs of Mailchimp's own mails end.
_MAILCHIMP = "@mailchimp.example>"

#: How long a request lives, in seconds, less than a clock that was set back can hide.
_PENDING = 71 * 3600.0

_ESP_WORDS = {"unsubscribe": T.UNSUBSCRIBED, "complain": T.COMPLAINED, "bounce": T.BOUNCED}

_TOKEN = re.compile(rb"/(?:u|confirm|preferences)/[\w.-]{20,}")


#: What nobody expects: an error that our own code did not foresee, or a thread that ended with one; and a library's,
#: whose tracebacks quote whatever the driver said.
_SURPRISE = re.compile(rb"^.*(?: ERROR +(?:bridge|sqlalchemy)|Exception in thread).*$", re.MULTILINE)


#: Alarms that have to be: time leaps here, and what waits for an ESP meanwhile waits for hours.
_ALARM = re.compile(rb"erased people are not known to be gone there|stops not confirmed for over")


class Check:
    """The last look, through the public roads: the store's reads, `verify`, the ESPs' own pages, the mailbox."""

    def __init__(self, town: Town, readers: Sequence[Reader]) -> None:
        self.town, self.readers = town, readers
        self.lines = list(town.trail.lines)
        for line in self.lines:
            if line["what"] == "job":
                town.figures.jobs[line["adapter"]] += 1
                town.figures.largest[line["adapter"]] = max(
                    town.figures.largest.get(line["adapter"], 0), line["people"]
                )
        town.figures.parked = sum(line["what"] == "parked" for line in self.lines)

    def all(self) -> None:
        """Everything; raises `Broken` with all that does not hold."""
        looks = (
            self._answers,
            self._history,
            self._people,
            self._mails,
            self._esps,
            self._rows,
            self._traces,
            self._ends,
            self._logs,
        )
        wrong = [text for look in looks for text in look()]
        if wrong:
            trail = self.town.folder / "trail.jsonl"
            trail.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines))
            more = f"\n... and {len(wrong) - 25} more" if len(wrong) > 25 else ""
            raise Broken("\n".join(wrong[:25]) + more)

    # -- the store ----------------------------------------------------------------------------------------------

    def _answers(self) -> Iterator[str]:
        yield from self.town.figures.wrong

    def _history(self) -> Iterator[str]:
        verdict = verify(self.town.database(), self.town.bridge.vault)
        for problem in verdict.problems:
            yield f"verify: {problem.where}: {problem.what}"

    def _people(self) -> Iterator[str]:
        for reader in self.readers:
            for text in self._reader(reader):
                yield f"{reader.email}: {text}\n    {_told(reader)}"

    def _reader(self, reader: Reader) -> Iterator[str]:
        store = self.town.bridge.store
        person = store.person(reader.email)
        before, after = _erased(reader)
        if before and before[-1].tries and not before[-1].accepted:
            return  # nobody knows whether she was erased
        if person is None:
            # Who never confirmed is forgotten after three days (CON-06); to who was erased only that brings her back.
            vain = ("sign up", "ask link", "look")
            if any(act.accepted for act in after if (act.kind == "confirm" if before else act.kind not in vain)):
                yield "is not in the store"
            return
        if before and not any(act.tries for act in after if act.kind == "sign up"):
            yield "was erased, and is in the store"
        story = store.story(person)
        yield from _counted(before, after, story)
        state = _State(story)
        for act in reader.acts:
            state.take(act)
        for purpose in PURPOSES:
            answer = store.may_mail(reader.email, purpose)
            if state.off(purpose) and answer.may:
                yield f"said no to {purpose} and may be mailed: {'; '.join(answer.why)}"
            if state.on(purpose) and not answer.may:
                yield f"said yes to {purpose} and may not be mailed: {'; '.join(answer.why)}"

    def _rows(self) -> Iterator[str]:
        with self.town.database().reading() as db:
            if waiting := db.scalar(select(func.count()).select_from(outbox)):
                yield f"{waiting} mails wait for ever"
            if leases := db.scalar(select(func.count()).where(pushes.c.leased.is_not(None))):
                yield f"{leases} pushes are still leased"
        with self.town.database().reading() as db:
            if jobs := db.scalar(select(func.count()).select_from(esp_jobs)):
                yield f"{jobs} jobs are never followed to their end"
            if named := db.scalar(select(func.count()).where(pushes.c.job.is_not(None))):
                yield f"{named} people wait for jobs that are over"
            if work := db.scalar(select(func.count()).select_from(erase_work)):
                yield f"{work} erasures have not come to their end"
        for task in self.town.bridge.store.tasks():
            if task.waiting:
                yield f"{task.waiting} pieces of work wait for {task.name}"

    # -- mails --------------------------------------------------------------------------------------------------

    def _mails(self) -> Iterator[str]:
        """Decision 25, mail by mail."""
        letters = self.town.control("letters")
        asks = Counter(letter["to"] for letter in letters if letter["message_id"].endswith(_MAILCHIMP))
        letters = [letter for letter in letters if not letter["message_id"].endswith(_MAILCHIMP)]
        yield from self._asked_there(asks)
        came = Counter(_id(letter["message_id"]) for letter in letters)
        with self.town.database().reading() as db:
            here = set(db.scalars(select(subjects.c.id)))
        said: dict[str, list[dict[str, Any]]] = {}
        for line in self.lines:
            if "id" in line:
                said.setdefault(line["id"], []).append(line)
        for key in came.keys() - said.keys():
            yield f"mail {key} came and nobody sent it"
        for key, lines in said.items():
            gone = not any(line.get("subject") in here for line in lines)
            for text in self._mail(came[key], lines, gone=gone):
                yield f"{_kind(lines)} mail {key}: {text}\n    {[(x['who'], x['pid'], x['what'], x.get('maybe')) for x in lines]}"
        withheld = {
            line["request"]: lines[-1]["time"]
            for key, lines in said.items()
            for line in lines
            if not came[key] and line["what"] == "claims" and line["kind"] == "confirm"
        }
        yield from self._withheld(withheld)
        asked = {line["request"] for line in self.lines if line["what"] == "claims" and line["request"]}
        yield from self._unasked(asked)

    def _asked_there(self, asks: Mapping[str, int]) -> Iterator[str]:
        """Mailchimp itself asks nobody but who said yes here, and once for each time she did (contracts 6)."""
        yes = {
            reader.email: sum(
                act.tries for act in reader.acts if act.kind == "confirm" or (act.kind == "save" and act.on)
            )
            for reader in self.readers
        }
        for email, times in asks.items():
            if times > yes.get(email, 0):
                yield f"{email}: Mailchimp asked her {times} times, she said yes {yes.get(email, 0)} times"

    def _mail(self, came: int, lines: Sequence[dict[str, Any]], *, gone: bool) -> Iterator[str]:
        """One mail; what was for somebody who is gone may be gone with her."""
        attempts = _attempts(lines)
        left = sum("leaves" in said for said in attempts)
        # A repeat needs a reason: cut between hand-over and commit, or overtaken because its lease was over.
        cut = sum("leaves" in said and ("done" not in said or "overtaken" in said) for said in attempts)
        if came > left:
            yield f"came {came} times and left {left} times"
        if _kind(lines) in _ONCE and came > 1:
            yield f"came {came} times"
        if came > 1 + cut:
            yield f"came {came} times; only {cut} attempts were cut between hand-over and commit"
        self.town.figures.repeated += max(0, came - 1)
        for before, after in pairwise(attempts):
            gap = after["claims"]["taken"] - before["claims"]["since"]  # by a clock that is never set back
            if "done" in before and "overtaken" not in before:
                yield "was taken up again after it was done"
            # One that could not be handed over was put off, perhaps, before its process could say so.
            if "overtaken" in before and "later" not in before and gap < LEASE.total_seconds():
                yield f"was taken from its holder {gap:.1f} seconds after that took it up"
        if not came and not gone and _kind(lines) != "confirm" and not _may_be_missing(_kind(lines), attempts):
            yield "never came, and nobody said why"

    def _withheld(self, withheld: Mapping[str, float]) -> Iterator[str]:
        """A confirmation is held back only from who answered already, left, or asked too long ago (SND-01)."""
        for reader in self.readers:
            if _erased(reader)[0] and len({act.jumps for act in reader.acts}) > 1:
                continue  # her erasure may be later than what she asked afterwards
            person = self.town.bridge.store.person(reader.email)
            story = self.town.bridge.store.story(person) if person else []
            for event in story:
                when = withheld.get(event.evidence.request or "")
                if event.type is not T.REQUESTED or when is None or when - event.time.timestamp() > _PENDING:
                    continue
                ends = {T.GIVEN, T.BOUNCED, *STOPS}
                if not any(e.type in ends and e.purpose in ("", event.purpose) for e in story):
                    yield f"{reader.email}: her confirmation was held back and nothing stood against it\n    {_told(reader)}"

    def _unasked(self, asked: set[str]) -> Iterator[str]:
        """Every sign-up that is in the store was answered by a mail."""
        for reader in self.readers:
            person = self.town.bridge.store.person(reader.email)
            for event in self.town.bridge.store.story(person) if person else ():
                if event.type is T.REQUESTED and event.evidence.request not in asked:
                    yield f"{reader.email}: nobody took up the mail for her sign-up"

    # -- ESPs ---------------------------------------------------------------------------------------------------

    def _esps(self) -> Iterator[str]:
        """Both hold what the store says: nobody is on whom `may_mail` refuses, nobody is missing."""
        people = {one["email"]: one for one in self.town.control("people")}
        for email in people.keys() - {reader.email for reader in self.readers}:
            yield f"{email} is at an ESP and nobody put her there"
        for reader in self.readers:
            there = people.get(reader.email)
            answers = {purpose: self.town.bridge.store.may_mail(reader.email, purpose) for purpose in PURPOSES}
            wanted = {purpose for purpose, answer in answers.items() if answer.may}
            if there is None:
                if wanted:
                    yield f"{reader.email} is on and no ESP knows her\n    {_told(reader)}"
                continue
            if _erased(reader)[0] and not self._was_on_again(reader):
                for esp in ("mailchimp", "sendgrid"):
                    if there[esp]["present"]:
                        yield f"{reader.email} was erased and is at {esp}: {there[esp]}\n    {_told(reader)}"
                continue
            for esp in ("mailchimp", "sendgrid"):
                has = set(there[esp]["receives"])
                # Mailchimp lets nobody but the reader lift its compliance state (README, Limits); and an ESP's own no
                # may bear a time before her yes where the clock was set back: then it mails her less.
                less = (
                    there[esp].get("compliance")
                    or there[esp].get("forgotten")
                    or len({act.jumps for act in reader.acts}) > 1
                )
                speaks = there[esp].get("language")
                if has and speaks and speaks != self.town.bridge.store.person(reader.email).language:
                    yield f"{reader.email}: {esp} writes to her in {speaks}\n    {_told(reader)}"
                if has - wanted or (wanted - has and not less):
                    yield f"{reader.email}: {esp} mails her {has}, the store says {wanted}: {there[esp]}\n    {_told(reader)}"
            stopped = {p for p, answer in answers.items() if answer.status in (Status.WITHDRAWN, Status.OBJECTED)}
            everywhere = there["sendgrid"]["status"] in ("bounced", "complained", "unsubscribed")
            if not everywhere and stopped - set(there["sendgrid"]["suppressed"]):
                yield f"{reader.email}: sendgrid does not know her no to {stopped}: {there['sendgrid']}\n    {_told(reader)}"

    def _was_on_again(self, reader: Reader) -> bool:
        """Whether she said yes anew since she was erased."""
        person = self.town.bridge.store.person(reader.email)
        return person is not None and any(e.type is T.GIVEN for e in self.town.bridge.store.story(person))

    def _traces(self) -> Iterator[str]:
        """SUP-04: of who was erased and is not here again nothing is left but a keyed hash and blank events."""
        rows = dict(self._every_row())
        files = {path.name: path.read_bytes() for path in self.town.folder.glob("consent.db*")}
        here = self.town.bridge.store.person
        for reader in self.readers:
            if _erased(reader)[0] and here(reader.email) is None:
                wanted = reader.email.encode()
                for place, content in (rows | files).items():
                    if wanted in content:
                        yield f"{reader.email} was erased and stands in {place}\n    {_told(reader)}"
        said = [line for line in self.lines if line["what"] in ("erases", "promises")]
        gone = [line for line in said if not self._is_here(line.get("subject", ""))]
        ids = {line["subject"].encode() for line in gone if "subject" in line}
        # The lookup of an address is the same when she came again; her id and her keys never come again.
        for left in ids | {bytes.fromhex(one) for line in gone for one in line["left"]}:
            for place, content in (rows | files).items():
                if left in content and not self._is_lookup(left):
                    yield f"a trace of somebody erased stands in {place}"

    def _is_here(self, subject: str) -> bool:
        """Whether that person is here: a clerk was killed before he erased her, and nobody came after him."""
        with self.town.database().reading() as db:
            return db.execute(select(subjects.c.id).where(subjects.c.id == subject)).first() is not None

    def _is_lookup(self, left: bytes) -> bool:
        """Whether somebody who is here is found by this."""
        with self.town.database().reading() as db:
            return db.execute(select(subjects.c.id).where(subjects.c.lookup == left)).first() is not None

    def _every_row(self) -> Iterator[tuple[str, bytes]]:
        """Everything that can be asked of the database, table by table."""
        with self.town.database().reading() as db:
            for table in metadata.sorted_tables:
                cells = (cell for row in db.execute(select(table)) for cell in row)
                yield table.name, b"\0".join(c if isinstance(c, bytes) else str(c).encode() for c in cells)

    # -- processes ----------------------------------------------------------------------------------------------

    def _ends(self) -> Iterator[str]:
        for line in self.lines:
            if line["what"] == "ended" and ended_badly(line["code"]):
                yield f"a process ended by itself with {line['code']}"

    def _logs(self) -> Iterator[str]:
        """MIN-03: no address, token or key is in any log."""
        secrets = [text.encode() for text in self.town.secrets()]
        for path in sorted(self.town.folder.glob("*.log")):
            for line in path.read_bytes().splitlines():
                if b"@krant-lezer.example" in line or _TOKEN.search(line) or any(key in line for key in secrets):
                    yield f"{path.name} holds an address, a token or a key: {line[:120]!r}"
                    break
            for line in _SURPRISE.findall(path.read_bytes()):
                if _ALARM.search(line):
                    continue
                yield f"{path.name}: {line.decode(errors='replace')}"


class _State:
    """What a reader was told that she gets, act by act."""

    def __init__(self, story: Sequence[ConsentEvent]) -> None:
        asked = [e for e in story if e.type is T.REQUESTED]
        self._asked = {
            r: {e.purpose for e in asked if e.evidence.request == r} for r in {e.evidence.request for e in asked}
        }
        self._said: dict[str, bool | None] = dict.fromkeys(PURPOSES, False)
        self._dead: bool | None = False
        self._jumps = dict.fromkeys(PURPOSES, 0)
        self._yes = dict.fromkeys(PURPOSES, 0)
        self._sure = dict.fromkeys(PURPOSES, True)
        self._first: int | None = None
        self._was_erased = False

    def off(self, purpose: str) -> bool:
        """Surely off."""
        return self._said[purpose] is False or self._dead is True

    def on(self, purpose: str) -> bool:
        """Surely on. Where the clock was set back between a no and the next yes, the no may have won."""
        return self._said[purpose] is True and self._dead is False and self._sure[purpose]

    def take(self, act: Act) -> None:
        """One act more."""
        if act.refused or act.kind in ("sign up", "ask link", "look", "pause"):
            return
        self._first = act.jumps if self._first is None else self._first
        if act.kind == "erase":
            self._was_erased = True
            self._said = dict.fromkeys(PURPOSES, False if act.accepted else None)
            self._jumps = dict.fromkeys(PURPOSES, act.jumps)
            self._dead = False if self._dead is False else None
            return
        late = act.away or act.kind not in ("stop", "save", "confirm")
        if act.kind.endswith("bounce"):
            self._dead = (
                True if act.accepted and {self._yes[p] for p in PURPOSES if self._said[p]} <= {act.jumps} else None
            )
            self._jumps = dict.fromkeys(PURPOSES, act.jumps)
            return
        for purpose in PURPOSES:
            if purpose in act.off or "" in act.off:
                # What is heard or written later has the time it happened; where the clock was set back between
                # the yes and then, and is right again since, that is before the yes.
                old = late and self._said[purpose] is not False and self._yes[purpose] != act.jumps
                sure = self._said[purpose] is False or (act.accepted and not old)
                self._said[purpose] = False if sure else None
                self._jumps[purpose] = act.jumps
        on = self._asked.get(act.request, set()) if act.kind == "confirm" else act.on
        for purpose in on:
            self._said[purpose] = True if act.accepted else None
            self._yes[purpose] = act.jumps
            self._sure[purpose] = act.jumps == self._jumps[purpose]
            if self._was_erased:  # what was before may be heard now, with its own time
                self._sure[purpose] &= act.jumps == self._first
        if on and self._dead is not False:
            self._dead = False if act.accepted and act.kind == "confirm" else None


def _erased(reader: Reader) -> tuple[list[Act], list[Act]]:
    """What she did up to her last erasure, and since."""
    place = max((number for number, act in enumerate(reader.acts, start=1) if act.kind == "erase"), default=0)
    return reader.acts[:place], reader.acts[place:]


def _counted(before: Sequence[Act], acts: Sequence[Act], story: Sequence[ConsentEvent]) -> Iterator[str]:
    """Each act is there as often as it was accepted, and not oftener than it was tried.

    Of what was before her erasure only stops may be there, which were heard or written late.
    """
    least: Counter[tuple[str, str, str]] = Counter()
    most: Counter[tuple[str, str, str]] = Counter()
    state = _State(story)
    for act in before:
        for key, _ in _events_of(act):
            if act.kind not in ("save", "file", "pause"):
                most[key] += act.tries
        state.take(act)
    for act in acts:
        for key, news in _events_of(act):
            most[key] += act.tries
            # A stop of what is off already is no second event (WDR-10); nobody holds the news of whom nobody knows.
            concerned = news or ("all" if before and key[0] in ("mailchimp", "sendgrid") else "")
            sure = act.accepted and (not concerned or any(state.on(p) for p in PURPOSES if concerned in (p, "all")))
            least[key] += bool(sure)
        state.take(act)
    there: Counter[tuple[str, str, str]] = Counter((_source(e), str(e.type), e.purpose) for e in story)
    yield from _joined(acts, story, limited=bool(before))
    if len({act.jumps for act in (*before, *acts)}) == 1:  # where the clock was set back a stop said again may be news
        yield from _said_again(story)
    for key in least | most | there:
        if key[1] in (T.REQUESTED, T.CORRECTED) or key[0] == Method.CONFIRM_PAGE:
            continue
        # Where the clock was set back, a stop that we wrote at an ESP may bear a time after her new yes: then it is
        # taken for hers, and it mails her less.
        more = int(len({act.jumps for act in (*before, *acts)}) > 1 and key[1] == T.UNSUBSCRIBED)
        if not least[key] <= there[key] <= most[key] + more:
            yield f"{key} is there {there[key]} times, accepted {least[key]}, tried {most[key]}"


def _joined(acts: Sequence[Act], story: Sequence[ConsentEvent], *, limited: bool) -> Iterator[str]:
    """Sign-ups and confirmations, which are tied by their request. Who was erased may not ask again at once (R12)."""
    signs = [act for act in acts if act.kind == "sign up"]
    requests = {e.evidence.request for e in story if e.type is T.REQUESTED}
    if len(requests) > sum(act.tries for act in signs):
        yield f"{len(requests)} sign-ups are there, {sum(act.tries for act in signs)} were tried"
    if not limited and sum(act.tries for act in signs) <= 3 and len(requests) < sum(act.accepted for act in signs):
        yield f"{len(requests)} sign-ups are there, {sum(act.accepted for act in signs)} were accepted"
    confirms = [e for e in story if e.type is T.GIVEN and e.method is Method.CONFIRM_PAGE]
    given = Counter((e.evidence.request, e.purpose) for e in confirms)
    for (_, purpose), times in given.items():
        if times > 1:
            yield f"one confirmation of {purpose} is there {times} times"
    for act in acts:
        if act.kind == "confirm" and act.accepted and not any(request == act.request for request, _ in given):
            yield "an accepted confirmation is not there"


def _said_again(story: Sequence[ConsentEvent]) -> Iterator[str]:
    """A stop of her own that said nothing new is no second event (WDR-10)."""
    off: set[str] = set()
    for event in story:
        if event.type in (T.REQUESTED, T.GIVEN):
            off -= {"", event.purpose}
        elif event.type is T.WITHDRAWN and event.by_reader:
            if event.purpose in off:
                yield f"one stop of {event.purpose or 'everything'} is there twice"
            off.add(event.purpose)


def _source(event: ConsentEvent) -> str:
    if event.type is T.GIVEN:
        return str(event.method)
    return event.source


def _events_of(act: Act) -> Iterator[tuple[tuple[str, str, str], str]]:
    """The events an act makes; with each of her own stops for which purposes it is news."""
    esp, _, what = act.kind.partition(" ")
    if act.kind == "stop":
        yield ("reader", str(T.WITHDRAWN), act.off[0]), act.off[0] or "all"
    elif act.kind == "save":
        for purpose in act.off:
            yield ("reader", str(T.WITHDRAWN), purpose), purpose
        for purpose in act.on:
            yield (str(Method.PREFERENCE_PAGE), str(T.GIVEN), purpose), ""
    elif act.kind == "file":
        for purpose in act.on:
            yield (str(Method.IMPORT), str(T.GIVEN), purpose), ""
    elif act.kind == "pause":
        yield ("reader", str(T.PAUSED), EVERY_PURPOSE), ""
    elif what in _ESP_WORDS:
        # At Mailchimp both purposes live in one audience, and leaving it is news of each (decision 7).
        about = PURPOSES if (esp, what) == ("mailchimp", "unsubscribe") else act.off
        for purpose in about:
            yield (esp, str(_ESP_WORDS[what]), purpose), ""


def _attempts(lines: Sequence[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Lines of one mail by attempt: from a claim to whatever that process said last of it.

    One that was neither done nor put off when the next began was overtaken: by then its lease had to be over.
    """
    found: list[dict[str, dict[str, Any]]] = []
    of: dict[int, dict[str, dict[str, Any]]] = {}
    for line in lines:
        if line["what"] == "claims":
            if found and not found[-1].keys() & {"done", "put off"}:
                found[-1]["overtaken"] = line
            of[line["pid"]] = {}
            found.append(of[line["pid"]])
        if line["pid"] in of:
            of[line["pid"]][line["what"]] = line
    return found


def _may_be_missing(kind: str, attempts: Sequence[dict[str, dict[str, Any]]]) -> bool:
    """Held back by the gate or refused, as its process said; or it may not go twice and one was cut at it.

    Whether a confirmation was rightly held back is asked of the store (`_withheld`).
    """
    if any("refused" in said or ("ends" in said and "leaves" not in said) for said in attempts):
        return True
    return kind in _ONCE and any("leaves" in said or "put off" not in said for said in attempts)


def _kind(lines: Sequence[dict[str, Any]]) -> str:
    return next((str(line["kind"]) for line in lines if line["what"] == "claims"), "unknown")


def _id(message_id: str) -> str:
    return message_id[1:].partition("@")[0]


def _told(reader: Reader) -> str:
    short = [
        f"{act.kind}{'-' + ','.join(act.off) if act.off else ''}{'+' + ','.join(act.on) if act.on else ''}"
        f"{'!' if act.accepted else '-' if act.refused else '?'}{act.tries}@{act.jumps}"
        for act in reader.acts
        if act.kind != "look"
    ]
    return " ".join(short)
