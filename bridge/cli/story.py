"""`demo --check`: the whole story played over HTTP without a person, one line a step."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import click

from bridge.cli.traces import dresses, files_with

_PATIENCE = 60.0
#: SQLite's log is emptied each minute where somebody read from it at the moment of the erasure.
_LONG_PATIENCE = 90.0
AN, BRAM, DIRK, EMMA = (
    "an@krant-lezer.example",
    "bram@krant-lezer.example",
    "dirk@krant-lezer.example",
    "emma@krant-lezer.example",
)


class StepFailed(Exception):
    """One step of the story did not hold."""


class Answer(NamedTuple):
    """What a request gave."""

    status: int
    headers: Mapping[str, str]
    text: str


class Form(HTMLParser):
    """The fields of a page's forms, as a browser would send them untouched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.checked: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect hidden fields and ticked boxes."""
        told = dict(attrs)
        name, value = told.get("name"), told.get("value") or ""
        if tag != "input" or not name:
            return
        if told.get("type") == "hidden":
            self.fields.append((name, value))
        elif told.get("type") == "checkbox" and "checked" in told:
            self.checked.append(value)


class Story:
    """A reader, two ESPs and everything that can happen between them."""

    def __init__(self, bridge: str, sandbox: str, environment: Mapping[str, str], folder: Path) -> None:
        self.bridge, self.sandbox, self.environment, self.folder = bridge, sandbox, dict(environment), folder
        self._number = 0

    def play(self) -> int:
        """Play every step; 0 only if each held."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("the pages answer and every box is empty", self._pages),
            ("An signs up; the mail with the button arrives", self._signs_up),
            ("before she confirms, no mailing platform knows her", self._unknown_yet),
            ("a mail scanner opens every link: nothing happens", self._scanner),
            ("she presses the button; a second press changes nothing", self._confirms),
            ("both mailing platforms have her on, with her link", self._appears),
            ("the welcome mail holds her receipt and a one-click header", self._welcome),
            ("she asks for a link and adds a second topic", self._adds),
            ("one click in her mail program stops the first topic at both", self._one_click),
            ("she presses stop everything: both platforms know", self._stops_all),
            ("an old confirm link brings nobody back", self._old_link),
            ("Bram's address bounces: nobody mails him any more", self._bounces),
            ("Dirk complains: everything stops for him, everywhere", self._complains),
            ("Emma leaves at the mailing platform: we hear it", self._leaves_there),
            ("An asks by letter to be erased: nobody here or there holds her", self._erased),
            ("the history verifies from the first event to the last", self._verifies),
            ("nothing of An is left in our files but a keyed hash", self._leaves_nothing),
        ]
        for title, step in steps:
            self._number += 1
            started = time.monotonic()
            try:
                told = step()
            except StepFailed as error:
                click.echo(f"{self._number:2}. FAILED  {title}: {error}")
                return 1
            seconds = time.monotonic() - started
            click.echo(f"{self._number:2}. ok      {title}{f' ({told})' if told else ''}  [{seconds:.1f} s]")
        click.echo(f"all {self._number} steps held")
        return 0

    # -- steps --------------------------------------------------------------------------------------------------

    def _pages(self) -> str:
        page = self._get("/subscribe")
        self._hold(page.status == 200, "the form did not open")
        self._hold(not Form(page.text).checked, "a box was ticked before anybody ticked it")
        self._hold(self._get("/readyz").status == 200, "/readyz is not ready")
        return ""

    def _signs_up(self) -> str:
        self._subscribe(AN, "newsletter")
        mail = self._mail(AN, "/confirm/")
        self._confirm_url = self._link(mail, "/confirm/")
        return str(mail["subject"])

    def _unknown_yet(self) -> str:
        self._hold(not any(self._receives(AN).values()), "a platform was told before she confirmed")
        self._hold(not self._may(AN)["may"], "the store says she may be mailed")
        return f"status {self._may(AN)['status']}"

    def _scanner(self) -> str:
        codes = self._control("act", {"email": AN, "act": "scan"})
        self._hold(not any(self._receives(AN).values()), "the scanner confirmed for her")
        self._hold(self._may(AN)["status"] == "requested", "the scanner changed her status")
        return f"{len(codes.get('statuses', codes))} requests" if isinstance(codes, dict) else ""

    def _confirms(self) -> str:
        self._hold(self._post_url(self._confirm_url, {}).status == 200, "the button did not work")
        self._hold(self._post_url(self._confirm_url, {}).status == 200, "the second press was refused")
        answer = self._may(AN)
        self._hold(answer["may"], "; ".join(answer["why"]))
        return str(answer["why"][0])

    def _appears(self) -> str:
        seen = self._until(lambda: self._on_everywhere(AN, {"newsletter"}), "not on at both platforms")
        people = self._control_get("people", email=AN)
        self._hold(
            all("/preferences/" in (there.get("link") or "") for there in people.values()), "her link is missing"
        )
        return ", ".join(sorted(seen))

    def _welcome(self) -> str:
        mail = self._mail(AN, "/u/")
        headers = {name.lower(): value for name, value in mail["headers"]}
        self._hold(headers.get("list-unsubscribe-post") == "List-Unsubscribe=One-Click", "no one-click header")
        self._hold("list-id" in headers, "no List-Id")
        self._one_click_url = headers["list-unsubscribe"].strip("<>")
        self._hold(bool(mail.get("attachments")), "no receipt")
        return str(mail["subject"])

    def _adds(self) -> str:
        self._post("/preferences", {"email": AN})
        link = self._link(self._mail(AN, "/preferences/", newest=True, subject_of="link"), "/preferences/")
        form = Form(self._get_url(link).text)
        kept = [pair for pair in form.fields if pair[0] in ("save", "was", "made")]
        wanted = [("purpose", purpose) for purpose in [*form.checked, "offers"]]
        self._hold(self._post_url(link, [*kept, *wanted]).status == 200, "the page did not save")
        self._until(lambda: self._on_everywhere(AN, {"newsletter", "offers"}), "the second topic is not on at both")
        return ""

    def _one_click(self) -> str:
        path = self._one_click_url.removeprefix(self.bridge)
        answer = self._post(path, {"List-Unsubscribe": "One-Click"})
        self._hold(answer.status == 200 and "location" not in answer.headers, f"answered {answer.status}")
        self._hold(not self._may(AN)["may"], "she may still be mailed")
        self._until(lambda: self._on_everywhere(AN, {"offers"}), "the first topic is still on somewhere")
        return ""

    def _stops_all(self) -> str:
        link = self._link(self._mail(AN, "/preferences/", newest=True, subject_of="link"), "/preferences/")
        self._hold(self._post_url(link, {"stop": "all"}).status == 200, "the button did not work")
        self._until(lambda: self._on_everywhere(AN, set()), "something is still on somewhere")
        return str(self._may(AN, "offers")["status"])

    def _old_link(self) -> str:
        answer = self._post_url(self._confirm_url, {})
        self._hold(answer.status != 200, "an old link was taken")
        self._hold(not self._may(AN)["may"], "she may be mailed again")
        return f"answered {answer.status}"

    def _bounces(self) -> str:
        self._joins(BRAM)
        platform = self._platforms()[-1]
        self._control("act", {"email": BRAM, "act": "bounce", "esp": platform})
        self._until(lambda: not self._may(BRAM)["may"], "the bounce was not heard")
        self._until(lambda: self._on_everywhere(BRAM, set()), "still on somewhere")
        return "; ".join(self._may(BRAM)["why"])

    def _complains(self) -> str:
        self._joins(DIRK)
        platform = self._platforms()[0]
        self._control("act", {"email": DIRK, "act": "complain", "esp": platform})
        self._until(lambda: self._may(DIRK)["status"] == "objected", "the complaint was not heard")
        self._until(lambda: self._on_everywhere(DIRK, set()), "still on somewhere")
        return "; ".join(self._may(DIRK)["why"])

    def _leaves_there(self) -> str:
        self._joins(EMMA)
        platform = self._platforms()[0]
        self._control("act", {"email": EMMA, "act": "unsubscribe", "esp": platform})
        self._until(lambda: self._may(EMMA)["status"] == "withdrawn", "the unsubscribe was not heard")
        self._until(lambda: self._on_everywhere(EMMA, set()), "still on at the other platform")
        return "; ".join(self._may(EMMA)["why"])

    def _erased(self) -> str:
        self._id = str(self._command("evidence", AN, "--json")["subject"])
        self._hold(bool(files_with(self._ours(), dresses(self._id))), "whoever looks finds nothing where something is")
        letter = self._command("rights", "open", AN, "erase", "--own-mailbox", "--json")
        self._hold(letter["alert"] is None, "a letter of today presses already")
        told = self._command("rights", "answer", letter["id"], "--yes", "--json")
        self._hold(told["state"] == "answered" and told["erased"], "the letter is not answered")
        self._hold(self._may(AN)["status"] == "unknown", "the store still knows her")
        self._until(lambda: not self._holds(AN), "a platform still holds her")
        return ", ".join(told["platforms"])

    def _leaves_nothing(self) -> str:
        """Logs may name the random id that was hers: it says nothing any more."""
        self._hold("erased" in str(self._may(AN)["why"]), "the stop list does not keep her off")
        ours = self._ours()
        files = [path for path in ours if path.suffix != ".log"]
        address, id_ = dresses(AN), dresses(self._id)
        found: list[str] = []

        def clean() -> bool:
            found[:] = files_with(ours, address) + files_with(files, id_)
            return not found

        self._until(clean, "her address or id is still there", patience=_LONG_PATIENCE, found=found)
        return f"{len(ours)} files, {len(address) + len(id_)} spellings"

    def _ours(self) -> list[Path]:
        """Every file but the toy platforms' and mailbox's: what she was mailed is hers."""
        everywhere = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path for path in everywhere if not path.name.startswith("sandbox")]

    def _verifies(self) -> str:
        verdict = self._command("verify", "--json")
        self._hold(not verdict["problems"], str(verdict["problems"]))
        return f"{verdict['people']} people, {verdict['events']} events"

    # -- doing --------------------------------------------------------------------------------------------------

    def _joins(self, email: str) -> None:
        self._subscribe(email, "newsletter")
        url = self._link(self._mail(email, "/confirm/"), "/confirm/")
        self._hold(self._post_url(url, {}).status == 200, "the button did not work")
        self._until(lambda: self._on_everywhere(email, {"newsletter"}), "not on at both platforms")

    def _subscribe(self, email: str, *purposes: str) -> None:
        form = Form(self._get("/subscribe").text)
        fields = [*form.fields, ("email", email), *(("purpose", purpose) for purpose in purposes)]
        self._hold(self._post("/subscribe", fields).status == 200, "the form was refused")

    def _mail(self, email: str, path: str, *, newest: bool = False, subject_of: str = "") -> Any:
        """The mail to her that holds a link with this path."""

        def found() -> dict[str, Any] | None:
            mails = self._control_get("mails", to=email)
            fitting = [m for m in mails if any(urlsplit(link).path.startswith(path) for link in m["links"])]
            if subject_of == "link":  # the only mail without a way to unsubscribe in it
                fitting = [m for m in fitting if not any("/u/" in link for link in m["links"])]
            fitting.sort(key=lambda m: str(m["id"]) if not isinstance(m["id"], int) else f"{m['id']:012}")
            return (fitting[-1] if newest else fitting[0]) if fitting else None

        return self._until(found, f"no mail with {path} arrived")

    def _link(self, mail: Mapping[str, Any], path: str) -> str:
        return next(str(link) for link in mail["links"] if urlsplit(link).path.startswith(path))

    def _platforms(self) -> list[str]:
        return sorted(self._control_get("people", email=AN))

    def _receives(self, email: str) -> dict[str, set[str]]:
        people = self._control_get("people", email=email)
        return {esp: set(there.get("receives") or ()) for esp, there in people.items()}

    def _holds(self, email: str) -> bool:
        return any(there["present"] for there in self._control_get("people", email=email).values())

    def _on_everywhere(self, email: str, purposes: set[str]) -> list[str] | None:
        there = self._receives(email)
        return list(there) if there and all(on == purposes for on in there.values()) else None

    def _may(self, email: str, purpose: str = "newsletter") -> Any:
        return self._command("may-mail", email, purpose, "--json")

    def _command(self, *words: str) -> Any:
        command = [sys.executable, "-m", "bridge.cli", *words]
        done = subprocess.run(  # noqa: S603  (our own command, no shell)
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if not done.stdout.strip():
            raise StepFailed(f"consent-bridge {words[0]}: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)

    def _until(
        self, look: Callable[[], Any], otherwise: str, *, patience: float = _PATIENCE, found: Sequence[str] = ()
    ) -> Any:
        end = time.monotonic() + patience
        while True:
            seen = look()
            if seen or (seen is not None and seen == []):
                return seen
            if time.monotonic() > end:
                raise StepFailed("; ".join([otherwise, *found[:5]]))
            time.sleep(0.2)

    def _hold(self, held: bool, otherwise: str) -> None:
        if not held:
            raise StepFailed(otherwise)

    # -- HTTP ---------------------------------------------------------------------------------------------------

    def _get(self, path: str) -> Answer:
        return self._get_url(self.bridge + path)

    def _get_url(self, url: str) -> Answer:
        return _http(Request(url, headers={"Accept": "text/html"}))  # noqa: S310  (addresses of our own demo)

    def _post(self, path: str, fields: Any) -> Answer:
        return self._post_url(self.bridge + path, fields)

    def _post_url(self, url: str, fields: Any) -> Answer:
        return _http(Request(url, urlencode(fields).encode(), headers={"Accept": "text/html"}))  # noqa: S310  (as above)

    def _control(self, what: str, data: Mapping[str, Any]) -> Any:
        body = json.dumps(data).encode()
        url = f"{self.sandbox}/control/{what}"
        answer = _http(Request(url, body, headers={"Content-Type": "application/json"}))  # noqa: S310  (as above)
        self._hold(answer.status < 300, f"the sandbox answered {answer.status}: {answer.text[:200]}")
        return json.loads(answer.text)

    def _control_get(self, what: str, **query: str) -> Any:
        answer = _http(Request(f"{self.sandbox}/control/{what}?{urlencode(query)}"))  # noqa: S310  (as above)
        self._hold(answer.status == 200, f"the sandbox answered {answer.status}: {answer.text[:200]}")
        found = json.loads(answer.text)
        return found["mails"] if isinstance(found, dict) and "mails" in found else found


def _http(request: Request) -> Answer:
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310  (addresses of our own demo)
            return _answer(answer.status, answer)
    except HTTPError as error:
        return _answer(error.code, error)


def _answer(status: int, answer: Any) -> Answer:
    text = answer.read().decode("utf-8", "replace")
    return Answer(status, {name.lower(): value for name, value in answer.headers.items()}, re.sub(r"\r\n", "\n", text))
