"""Readers, and what ESPs do to them: each act goes by the public road, is tried again until somebody answers, and is
written down with what was answered. What was accepted must be true in the end."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from bridge.cli.story import Form
from bridge.links import Action
from bridge.store import StoreAway
from bridge.tables import pushes
from tests.torture.calls import Answer, call
from tests.torture.town import Town

PURPOSES = ("newsletter", "offers")

#: Far enough ahead that no link is from the future, whatever the clock did.
_LATER = datetime(2100, 1, 1, tzinfo=UTC)

_SIGN_UPS = 3  # as many as the policy's limit lets one address have


@dataclass
class Act:
    """Something a reader or an ESP did, how often it was tried, and whether anybody said that it was taken."""

    kind: str
    #: Purposes that go off and on; "" stands for all.
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    request: str = ""
    jumps: int = 0
    away: bool = False
    tries: int = 0
    accepted: bool = False
    refused: bool = False


@dataclass
class Reader:
    """One person, from her first form to her last act."""

    town: Town
    email: str
    rng: random.Random
    ending: Callable[[], bool]
    acts: list[Act] = field(default_factory=list)
    pressed: set[str] = field(default_factory=set)
    #: How often she looks into her mailbox before she does something else.
    looks: int = 250

    def life(self) -> Iterator[None]:
        """Everything she does; it pauses where she waits for a mail."""
        yield from self._joins()
        roads = [
            self._one_click,
            self._one_click,
            self._unsubscribe_page,
            self._stops_everything,
            self._saves,
            self._saves,
            self._pauses,
            self._leaves_at_esp,
            self._leaves_at_esp,
            self._joins,
            self._joins,
            self.is_erased,
        ]
        for _ in range(self.rng.randint(2, 7)):
            for _ in range(self.rng.randint(0, 15)):
                if self.town.store_away:
                    break
                yield
            # Who wants to leave while the store is away is what the spool is for.
            away = self.town.store_away and self.rng.random() < 0.8
            yield from self.rng.choice(roads[:4] if away else roads)()

    # -- what she does ------------------------------------------------------------------------------------------

    def _joins(self) -> Iterator[None]:
        if sum(act.tries for act in self.acts if act.kind == "sign up") >= _SIGN_UPS:
            return
        purposes = self.rng.choice([*((one,) for one in PURPOSES), PURPOSES])
        fields = [("email", self.email), ("channel", "footer"), ("language", self.rng.choice(["nl", "en"]))]
        form = [*fields, *(("purpose", purpose) for purpose in purposes)]
        if not self._does(Act("sign up", on=purposes), "/subscribe", form):
            return
        mail = yield from self._mail("/confirm/")
        if mail is None:
            return
        path = _path(mail, "/confirm/")
        claim = self.town.bridge.links.read(Action.CONFIRM, path.removeprefix("/confirm/"), _LATER)
        self.pressed.add(claim.request)
        if self.rng.random() < 0.2:
            call("GET", self.town.url + path)  # a scanner was here first
        self._does(Act("confirm", request=claim.request), path, {})
        if self.rng.random() < 0.2:
            self._does(Act("confirm", request=claim.request), path, {})

    def _one_click(self) -> Iterator[None]:
        mail = yield from self._mail("/u/")
        if mail is not None and mail["one_click"]:
            path = urlsplit(mail["one_click"]).path
            self._does(Act("stop", off=(self._scope(path),)), path, {"List-Unsubscribe": "One-Click"})

    def _unsubscribe_page(self) -> Iterator[None]:
        mail = yield from self._mail("/u/")
        if mail is not None:
            path = _path(mail, "/u/")
            scope = self.rng.choice(["list", "all"])
            self._does(Act("stop", off=("" if scope == "all" else self._scope(path),)), path, {"scope": scope})

    def _stops_everything(self) -> Iterator[None]:
        mail = yield from self._mail("/u/")
        if mail is not None:
            self._does(Act("stop", off=("",)), _path(mail, "/u/").replace("/u/", "/preferences/"), {"stop": "all"})

    def _saves(self) -> Iterator[None]:
        path = yield from self._fresh_link()
        form = self._form(path) if path else None
        if form is None:
            return
        was = tuple(value for name, value in form.fields if name == "was")
        wanted = tuple(purpose for purpose in PURPOSES if self.rng.random() < 0.5)
        kept = [pair for pair in form.fields if pair[0] in ("save", "was", "made")]
        act = Act("save", off=tuple(p for p in was if p not in wanted), on=tuple(p for p in wanted if p not in was))
        self._does(act, path, [*kept, *(("purpose", purpose) for purpose in wanted)])

    def _pauses(self) -> Iterator[None]:
        path = yield from self._fresh_link()
        if path:
            day = (self.town.clock() + timedelta(days=self.rng.randint(2, 3))).date().isoformat()
            self._does(Act("pause"), path, {"pause_until": day})

    def _leaves_at_esp(self) -> Iterator[None]:
        esp = self.rng.choice(["mailchimp", "sendgrid"])
        for _ in range(self.looks):
            there = self.town.control("people", email=self.email)
            if there and there[esp]["receives"]:
                break
            if self.ending():
                return
            yield
        else:
            return
        what = self.rng.choice(["unsubscribe", "unsubscribe", "complain", "bounce"])
        purpose = self.rng.choice(["", *PURPOSES]) if (esp, what) == ("sendgrid", "unsubscribe") else ""
        body = {"esp": esp, "email": self.email, "act": what, "purpose": purpose}
        act = Act(f"{esp} {what}", off=(purpose,))
        self._insists(act, lambda: call("POST", f"{self.town.toys.url}/control/act", json_=body), "sandbox")

    def is_erased(self) -> Iterator[None]:
        """She writes a letter: a clerk erases her."""
        self.counts_jobs("erasure")
        errand = {"what": "erase", "people": [self.email]}

        def attempt() -> Answer | None:
            done = self.town.send_clerk(errand, clerk_life(self.rng)) == "done"
            return Answer(200, "") if done else None

        self._insists(Act("erase", off=("",)), attempt)
        yield

    # -- how she does it ----------------------------------------------------------------------------------------

    def _fresh_link(self) -> Iterator[None]:
        known = {mail["id"] for mail in self._mails() if _is_link_mail(mail)}
        self._does(Act("ask link"), "/preferences", {"email": self.email})
        mail = yield from self._mail("/preferences/", lambda one: _is_link_mail(one) and one["id"] not in known)
        return _path(mail, "/preferences/") if mail else ""  # type: ignore[return-value]

    def _form(self, path: str) -> Form | None:
        act = Act("look")
        answer = self._insists(act, lambda: call("GET", self.town.url + path), "web")
        return Form(answer.text) if answer is not None and answer.status == 200 else None

    def _scope(self, path: str) -> str:
        return self.town.bridge.links.read(Action.STOP, path.removeprefix("/u/"), _LATER).purpose

    def _mails(self) -> list[dict[str, Any]]:
        return self.town.control("mails", to=self.email) or []

    def _mail(self, path: str, fits: Callable[[dict[str, Any]], bool] | None = None) -> Iterator[None]:
        """The newest mail with a link to this path; a confirmation only while it was not pressed."""
        for _ in range(self.looks):
            for mail in self._mails():
                if any(urlsplit(link).path.startswith(path) for link in mail["links"]) and (fits or self._unused)(mail):
                    return mail  # type: ignore[return-value]
            if self.ending():
                return None
            yield
        return None

    def _unused(self, mail: dict[str, Any]) -> bool:
        path = _path(mail, "/confirm/")
        if not path:
            return True
        claim = self.town.bridge.links.read(Action.CONFIRM, path.removeprefix("/confirm/"), _LATER)
        return claim.request not in self.pressed

    def _does(self, act: Act, path: str, fields: Any) -> bool:
        self._insists(act, lambda: call("POST", self.town.url + path, fields), "web")
        return act.accepted

    def counts_jobs(self, what: str) -> None:
        """Count how often it happens to somebody whom an open job names."""
        if _is_in_job(self.town, self.email):
            self.town.figures.in_jobs[what] += 1

    def _insists(self, act: Act, attempt: Callable[[], Answer | None], whom: str = "") -> Answer | None:
        """Try until somebody answers; 2xx is a promise, 4xx a refusal, all else is tried again."""
        town = self.town
        self._begins()
        act.jumps = town.jumps
        self.acts.append(act)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if whom:
                town.wait_up(whom)
            act.tries += 1
            act.away |= town.store_away
            began = time.monotonic()
            answer = attempt()
            self._noted(act, answer, time.monotonic() - began)
            town.figures.tries += 1
            if answer is not None and answer.status < 500:
                act.accepted, act.refused = answer.status < 300, answer.status >= 300
                town.figures.acts[act.kind] += 1
                return answer
            if answer is not None and answer.status != 503:
                town.figures.wrong.append(f"{act.kind} was answered {answer.status}")
            town.figures.retries += 1
            if not self._tries_again(act, answer):
                return None
        return None

    def _begins(self) -> None:
        """Between two acts of hers lies more than a second."""
        self.town.clock.move(self.rng.uniform(1.1, 3.0))

    def _noted(self, act: Act, answer: Answer | None, seconds: float) -> None:
        """One try was answered, or was not."""

    def _tries_again(self, act: Act, answer: Answer | None) -> bool:
        """Whether she insists, some time after a try that failed."""
        time.sleep(0.03 if answer is None else 0.1)
        return True


def clerk_life(rng: random.Random) -> int:
    """After how many steps a clerk dies; 0 is never."""
    return int(10 ** rng.uniform(1, 4)) if rng.random() < 0.7 else 0


def _is_in_job(town: Town, email: str) -> bool:
    """Whether an open job at some ESP names her at this moment."""
    try:
        person = town.bridge.store.person(email)
        if person is None:
            return False
        with town.database().reading() as db:
            named = select(pushes.c.subject).where(pushes.c.subject == person.number, pushes.c.job.is_not(None))
            return db.execute(named).first() is not None
    except StoreAway:
        return False


def _path(mail: dict[str, Any], path: str) -> str:
    """Where the mail's first link of this kind leads, without the host."""
    paths = [urlsplit(link).path for link in mail["links"]]
    return next((found for found in paths if found.startswith(path)), "")


def _is_link_mail(mail: dict[str, Any]) -> bool:
    return bool(_path(mail, "/preferences/")) and not _path(mail, "/u/")
