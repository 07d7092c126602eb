"""The sandbox by program: look at people and mails, let things happen, make trouble."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from adapters.sandbox.esp import ActError, Esp, body_of, reply
from adapters.sandbox.scanner import press_unsubscribe, scan
from adapters.sandbox.state import State
from adapters.sandbox.trouble import MODES

ACTS = (
    *("bounce", "complain", "unsubscribe", "subscribe", "confirm", "compliance", "block", "defer", "drop", "read"),
    *("abuse", "remove", "edit", "move", "scan", "one-click"),
)


def control(state: State) -> Blueprint:
    """All addresses under /control."""
    here = _Control(state)
    blueprint = Blueprint("control", __name__, url_prefix="/control")
    blueprint.add_url_rule("/healthz", view_func=here.healthz)
    blueprint.add_url_rule("/people", view_func=here.people)
    blueprint.add_url_rule("/mails", view_func=here.mails)
    blueprint.add_url_rule("/letters", view_func=here.letters)
    blueprint.add_url_rule("/deliveries", view_func=here.deliveries)
    blueprint.add_url_rule("/calls", view_func=here.calls)
    blueprint.add_url_rule("/act", view_func=here.act, methods=["POST"])
    blueprint.add_url_rule("/esp", view_func=here.esp, methods=["POST"])
    blueprint.add_url_rule("/fill", view_func=here.fill, methods=["POST"])
    blueprint.add_url_rule("/reset", view_func=here.reset, methods=["POST"])
    blueprint.register_error_handler(ActError, lambda error: reply({"error": str(error)}, 400))
    return blueprint


class _Control:
    def __init__(self, state: State) -> None:
        self.state = state

    def healthz(self) -> Response:
        waiting = {
            "news": self.state.courier.waiting(),
            **{name: esp.open_jobs() for name, esp in self.state.esps.items()},
        }
        fates = {name: dict(esp.trouble.fates) for name, esp in self.state.esps.items()}
        return reply({"ok": True, "smtp_port": self.state.smtp_port, "waiting": waiting, "fates": fates})

    def people(self) -> Response:
        email = request.args.get("email", "")
        if email:
            return reply(self.state.person(email))
        return reply([{"email": one, **self.state.person(one)} for one in self.state.people()])

    def mails(self) -> Response:
        """The mails to one address, or all of them, or those that came after one; newest first."""
        after = request.args.get("after", "0")
        since = int(after) if after.isascii() and after.isdigit() else 0
        mails = self.state.mailbox.mails(request.args.get("to", ""))
        return reply([mail.as_json() for mail in mails if mail.id > since])

    def letters(self) -> Response:
        """Every mail that ever came, with `--keep` only: more than the mailbox shows."""
        return reply([{"to": to, "message_id": message_id} for _, to, message_id in self.state.keeper.letters()])

    def deliveries(self) -> Response:
        return reply(list(self.state.courier.log))

    def calls(self) -> Response:
        return reply({name: list(esp.calls) for name, esp in self.state.esps.items()})

    def act(self) -> Response:
        body = _fields()
        return reply(perform(self.state, body))

    def esp(self) -> Response:
        body = _fields()
        tune(self.state.esp(str(body.get("esp", ""))), body)
        return reply({"esp": body["esp"], "mode": self.state.esp(body["esp"]).trouble.mode})

    def fill(self) -> Response:
        """People whom both have held for years; how many came to each."""
        return reply(self.state.fill())

    def reset(self) -> Response:
        self.state.reset()
        return reply({"ok": True})


def _fields() -> dict[str, Any]:
    body = body_of()
    if not isinstance(body, dict):
        raise ActError("The body must be a JSON object.")
    return body


def perform(state: State, body: Mapping[str, Any]) -> dict[str, Any]:
    """Let something happen to a person; says what. Raises `ActError`."""
    email, act = str(body.get("email", "")), str(body.get("act", ""))
    if act not in ACTS:
        raise ActError(f"act must be one of: {', '.join(ACTS)}.")
    if act in {"scan", "one-click"}:
        return _with_mail(state, email, act, body.get("mail"))
    if not email:
        raise ActError("email is missing.")
    esp = state.esp(str(body.get("esp", "")))
    with esp.lock:
        said = esp.act(email, act, str(body.get("purpose") or ""))
        esp.keep()
    return {"ok": True, "said": said}


def _with_mail(state: State, email: str, act: str, number: Any) -> dict[str, Any]:
    mails = state.mailbox.mails(email)
    mail = state.mailbox.mail(int(number)) if str(number or "").isdigit() else (mails[0] if mails else None)
    if mail is None:
        raise ActError("There is no mail to this address yet.")
    if act == "one-click":
        return press_unsubscribe(mail)
    return scan(mail, state.friends())


def tune(esp: Esp, body: Mapping[str, Any]) -> None:
    """Change an ESP's mode, or how long its jobs take. Raises `ActError`."""
    mode, seconds, every = body.get("mode"), _time(body, "seconds"), body.get("every", 2)
    chances = {name: _percent(body, name) for name in ("errors", "hangs") if name in body}
    seed = body.get("seed")
    if mode is not None and str(mode) not in MODES:
        raise ActError(f"mode must be one of: {', '.join(MODES)}.")
    if not isinstance(every, int):
        raise ActError("every must be a whole number.")
    if seed is not None and not isinstance(seed, int):
        raise ActError("seed must be a whole number.")
    with esp.lock:
        pace = _time(body, "job_seconds")
        if pace is not None:
            esp.jobs.seconds = pace
        if isinstance(body.get("job_polls"), int):
            esp.jobs.polls = body["job_polls"]
        lag = _time(body, "search_seconds")
        if lag is not None:
            esp.search_lag(lag)
    if mode is not None:
        esp.change_mode(mode, seconds, every, seed=seed, **chances)


def _percent(body: Mapping[str, Any], name: str) -> float:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise ActError(f"{name} must be calls in a hundred.")
    return float(value)


def _time(body: Mapping[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ActError(f"{name} must be a number of seconds.")
    return float(value)
