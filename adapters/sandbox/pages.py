"""The sandbox for people: who is on which list, the mailbox, and buttons that let things happen."""

import itertools
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from adapters.sandbox.control import perform, tune
from adapters.sandbox.esp import ActError
from adapters.sandbox.state import State
from adapters.sandbox.trouble import MODES

TITLES = {"mailchimp": "Mailchimp", "sendgrid": "SendGrid"}
#: The modes with a button, and what it says.
SWITCHES = {
    "down": "Goes down",
    "hang": "Hangs",
    "throttle": "Throttles",
    "pending": "Jobs wait",
    "shuffled": "Jobs wait and mix",
}
#: What can happen to a reader at each: the act, what the button says, and whether it is about one list.
READER_ACTS = {
    "mailchimp": (
        *(("unsubscribe", "Leaves", True), ("subscribe", "Signs up there", True), ("confirm", "Confirms there", False)),
        *(("bounce", "Hard bounce", False), ("complain", "Complains", False), ("move", "Changes address", False)),
        *(("abuse", "Cleaned as abuse", False), ("remove", "Is removed", False), ("edit", "Edits her name", False)),
        ("compliance", "Compliance state", False),
    ),
    "sendgrid": (
        *(("unsubscribe", "Leaves", True), ("subscribe", "Joins again", True), ("bounce", "Hard bounce", False)),
        *(("block", "Full mailbox", False), ("defer", "Deferred", False), ("drop", "Dropped", False)),
        *(("complain", "Complains", False), ("read", "Reads a mail", False)),
    ),
}
#: People shown of each ESP: those who came last.
SHOWN = 200
#: Everything from this machine; a mail in its frame may bring its own colours but no program and no picture.
_POLICY = (
    "default-src 'none'; style-src 'self'{}; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Result(NamedTuple):
    """What a button did."""

    ok: bool
    said: str
    visits: list[dict[str, Any]]


def pages(state: State) -> Blueprint:
    """All addresses people open."""
    here = _Pages(state)
    blueprint = Blueprint("pages", __name__)
    blueprint.add_url_rule("/", view_func=here.home, endpoint="home")
    blueprint.add_url_rule("/readers/<int:number>", view_func=here.reader, endpoint="reader")
    blueprint.add_url_rule("/mails/<int:number>", view_func=here.mail, endpoint="mail")
    blueprint.add_url_rule("/do", view_func=here.do, endpoint="do", methods=["POST"])
    blueprint.add_app_template_filter(clock, "clock")
    return blueprint


class _Pages:
    def __init__(self, state: State) -> None:
        self.state = state
        self._results: OrderedDict[int, Result] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def home(self) -> Response:
        """Both ESPs and the mailbox on one page."""
        context = {
            "cards": [self._card(name) for name in self.state.esps],
            "mails": self.state.mailbox.mails()[:100],
            "result": self._result(),
            "bridge": self._bridge(),
            "smtp_port": self.state.smtp_port,
            "switches": SWITCHES,
        }
        return _page("page.html", context)

    def mail(self, number: int) -> Response:
        """One mail with its frame, headers and links."""
        mail = self.state.mailbox.mail(number)
        if mail is None:
            abort(404)
        return _page("mail.html", {"mail": mail, "result": self._result()}, inline=True)

    def reader(self, number: int) -> Response:
        """One reader at both ESPs, everything that can happen to her there, and what the store knows of her."""
        email = self.state.reader(number)
        if not email:
            abort(404)
        cards = [
            {"name": name, "title": TITLES[name], "acts": READER_ACTS[name], "purposes": esp.purposes()}
            | {"mode": esp.trouble.mode, "one": esp.person(email)}
            for name, esp in self.state.esps.items()
        ]
        context = {"email": email, "number": number, "cards": cards, "result": self._result()}
        context |= {"timeline": self.state.timeline(email), "mails": self.state.mailbox.mails(email)[:20]}
        return _page("reader.html", context)

    def do(self) -> AnyResponse:
        """A button was pressed."""
        try:
            result = self._pressed(request.form.to_dict())
        except ActError as error:
            result = Result(False, str(error), [])
        number = self._remember(result)
        if request.form.get("reader", "").isdigit():
            return redirect(url_for("pages.reader", number=int(request.form["reader"]), done=number), 303)
        if request.form.get("back", "").isdigit():
            return redirect(url_for("pages.mail", number=int(request.form["back"]), done=number), 303)
        return redirect(url_for("pages.home", done=number), 303)

    def _pressed(self, fields: dict[str, str]) -> Result:
        if fields.get("reset"):
            self.state.reset()
            return Result(True, "Everything is as at the start: no people, no mails.", [])
        if fields.get("fill"):
            return Result(True, _filled(self.state.fill()), [])
        if mode := fields.get("mode"):
            tune(self.state.esp(fields.get("esp", "")), {"mode": mode})
            return Result(True, f"{TITLES[fields['esp']]} {MODES[mode]}.", [])
        done = perform(self.state, fields)
        return Result(bool(done["ok"]), done["said"], done.get("visits", []))

    def _remember(self, result: Result) -> int:
        with self._lock:
            number = next(self._numbers)
            self._results[number] = result
            while len(self._results) > 50:
                self._results.popitem(last=False)
            return number

    def _result(self) -> Result | None:
        number = request.args.get("done", "")
        with self._lock:
            return self._results.get(int(number)) if number.isdigit() else None

    def _card(self, name: str) -> dict[str, Any]:
        esp = self.state.esps[name]
        everybody = esp.people()
        shown = everybody[-SHOWN:]
        people = [{"email": email, "number": self.state.number(email), **esp.person(email)} for email in shown]
        news = [one for one in self.state.courier.log if one["esp"] == name][-5:]
        return {
            "name": name,
            "title": TITLES[name],
            "mode": esp.trouble.mode,
            "meaning": MODES[esp.trouble.mode],
            "people": people,
            "purposes": esp.purposes(),
            "count": len(everybody),
            "news": news[::-1],
        }

    def _bridge(self) -> str:
        """Where the bridge's own pages are, as far as the webhooks tell."""
        parts = urlsplit(self.state.webhooks.sendgrid_url or self.state.webhooks.mailchimp_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _page(template: str, context: dict[str, Any], *, inline: bool = False) -> Response:
    response = make_response(render_template(template, **context))
    response.headers["Content-Security-Policy"] = _POLICY.format(" 'unsafe-inline'" if inline else "")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _filled(came: dict[str, int]) -> str:
    told = " and ".join(f"{count} at {TITLES[name]}" for name, count in came.items())
    if not any(came.values()):
        return "The old list is there already; whoever was deleted does not come back. Start over to have all of it."
    return f"An old list is there as if for years, {told}, and nobody told the bridge. Take it in: README, First day."


def clock(moment: datetime | float) -> str:
    """A time of today as this machine's clock shows it."""
    if isinstance(moment, datetime):
        return f"{moment.astimezone():%H:%M:%S}"
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S}"
