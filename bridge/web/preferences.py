"""The preference page: what a reader receives, how often, what happened, and how to stop all of it (PRF-01 to 06).

A freshly mailed link opens all of it. The link of an old mail, which anybody may have been forwarded, shows a masked
address and what is on, and can stop, pause, lower, or have her mailed (decision 8). A GET changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flask import Blueprint, Response, abort, request, send_file

from bridge.acts import LONGEST_PAUSE, Row
from bridge.policy import SAMPLES
from bridge.remembered import remembered
from bridge.store import StoreAway, StoreBroken
from bridge.texts import mark
from bridge.vocabulary import WAITING_THERE
from bridge.web import forms
from bridge.web.app import bridge, language, page
from bridge.web.parts import named, shown

bp = Blueprint("preferences", __name__)

#: Lines of her history on the page; all of it is on "my data".
_RECENT = 10


@bp.get("/preferences")
def ask_link() -> Response:
    """Show where to ask for a link."""
    return page("link", action="/preferences", email="", errors={})


@bp.post("/preferences")
def send_link() -> Response:
    """Mail a fresh link. The answer is the same for every address (CAP-09)."""
    spoken = language(forms.one("language"))
    try:
        email = forms.address(forms.one("email"))
    except forms.NoAddress:
        say = bridge().texts.gettext
        wrong = {"email": say(spoken, "This does not look like an e-mail address. Example: name@example.org")}
        return page("link", status=400, lang=spoken, action="/preferences", email=forms.one("email"), errors=wrong)
    bridge().acts.ask_link(email, network=forms.network(), language=spoken)
    return page("link_sent", lang=spoken)


@bp.get("/preferences/<token>")
def show_preferences(token: str) -> Response:
    """What she receives and may change."""
    return _preferences_page(token, saved=None)


@bp.post("/preferences/<token>")
def change_preferences(token: str) -> Response:
    """Carry out one of the page's forms; anything else changes nothing."""
    asked = next((name for name in _FORMS if name in request.form), "")
    if not asked:
        abort(400)
    return _FORMS[asked](token)


def _save(token: str) -> Response:
    """What she wants and how often. Her stops are carried out whatever becomes of the rest."""
    house = bridge()
    wanted, was = forms.known(forms.many("purpose")), forms.known(forms.many("was"))
    if forms.one("save") != "purposes" or set(forms.many("purpose")) - set(house.policy.purposes):
        abort(400)
    saved = house.acts.save(token, wanted=wanted, was=was, made=forms.made(), network=forms.network(), shown=_chosen())
    if not house.choosing.set_rhythms(token, _rhythms()) and saved in ("saved", "mailed"):
        saved = "often"
    errors = {"page": _say(_NOT_ALL[saved])} if saved in _NOT_ALL else {}
    stopped = bool(set(was) - set(wanted))
    return _preferences_page(token, saved=None if errors else saved, errors=errors, stopped=stopped)


_FULL = mark("We mailed you a short while ago and do not mail again so soon. Switch on with a new link.")

#: What was not saved, and what to do.
_NOT_ALL: Mapping[str, str] = {
    "late": mark("You stopped this in the meantime. Look again, then save once more."),
    "age": mark("For what children are invited to as well, please use the form: it asks how old you are."),
    "link": mark("Not all of this can be switched on from here. Ask for a new link."),
    "full": _FULL,
    "often": mark("With a link from a mail you can have it less often, not more often."),
}


def _rhythms() -> dict[str, str]:
    """How often she chose to have each purpose, where that differs from what the page showed."""
    told = {
        purpose: (forms.one(f"often-{purpose}"), forms.one(f"often-was-{purpose}"))
        for purpose in bridge().policy.rhythms
    }
    return {purpose: value for purpose, (value, was) in told.items() if value not in ("", was)}


def _stop_all(token: str) -> Response:
    """Stop everything, by an old link or a fresh one. A stop that had to be parked is done as well."""
    if forms.one("stop") != "all":
        abort(400)
    bridge().acts.stop_everything(token)
    try:
        return _preferences_page(token, saved="stopped", stopped=True)
    except (StoreAway, StoreBroken):
        nothing: dict[str, Any] = {"purpose": None, "within": None, "undo": [], "still_on": [], "all_action": None}
        return page("unsubscribed", preferences_url="/preferences", **nothing)


def _mail_link(token: str) -> Response:
    if forms.one("link") != "mail":
        abort(400)
    bridge().choosing.mail_link(token, network=forms.network())
    return page("link_sent")


def _undo(token: str) -> Response:
    """A mistaken stop: she is mailed the question, and what she answers there counts."""
    wanted = forms.known(forms.many("undo"))
    if not wanted:
        abort(400)
    mailed = bridge().choosing.ask_again(token, wanted, network=forms.network(), language=_chosen())
    if mailed:
        return _preferences_page(token, saved="mailed")
    return _preferences_page(token, saved=None, errors={"page": _say(_FULL)})


def _language(token: str) -> Response:
    if forms.one("language") not in bridge().policy.languages:
        abort(400)
    bridge().acts.set_language(token, forms.one("language"))
    return _preferences_page(token, saved="language")


def _pause(token: str) -> Response:
    today = bridge().clock().astimezone(bridge().policy.zone).date()
    text = forms.one("pause_until")
    if not text:
        bridge().acts.pause(token, None)
        return _preferences_page(token, saved="resumed")
    try:
        until = date.fromisoformat(text)
    except ValueError:
        until = today
    if not today < until <= today + LONGEST_PAUSE:
        wrong = _say("Please choose a day from tomorrow on, at most a year ahead.")
        return _preferences_page(token, saved=None, errors={"pause_until": wrong})
    bridge().acts.pause(token, until)
    return _preferences_page(token, saved="paused")


#: The page's forms, by the field that each alone has; a stop first.
_FORMS: Mapping[str, Callable[[str], Response]] = {
    "stop": _stop_all,
    "save": _save,
    "undo": _undo,
    "link": _mail_link,
    "language": _language,
    "pause_until": _pause,
}


def _preferences_page(
    token: str, *, saved: str | None, errors: Mapping[str, str] = MappingProxyType({}), stopped: bool = False
) -> Response:
    """`stopped`: this answers a stop, so that the page says what comes next and how to undo it."""
    house = bridge()
    seen = house.acts.preferences(token)
    spoken = seen.language if saved == "language" else language(seen.language)
    today = house.clock().astimezone(house.policy.zone).date()
    rows = []
    for row in seen.rows:
        rows.append(
            {
                **shown(house.notices.wording(row.purpose, spoken)),
                "status": row.status,
                "on": row.on,
                "since": row.since,
                "how": _how(row, spoken),
                "guardian_waits": row.guardian_waits,
                "asks_age": row.asks_age,
                "for_children": row.purpose in house.policy.for_children,
                "form": _form_of(row.purpose) if row.asks_age else "",
                "paused_until": row.paused_until,
                "sample": _sample(row.purpose, spoken),
                "rhythms": _choices(row.purpose, spoken) if row.on and not row.guardian_waits else [],
                "rhythm": row.rhythm,
                "waits": [
                    {"at": sender, "mailed": reason == WAITING_THERE, "form": form}
                    for sender, reason, form in row.waits
                ],
                "confirmed": [
                    {"by": sender, "at": at, "today": bool(at and at.astimezone(house.policy.zone).date() == today)}
                    for sender, at in row.confirmed
                ],
            }
        )
    return page(
        "preferences",
        status=400 if errors else 200,
        lang=spoken,
        # What is ticked here is recorded in the language it was shown in (CAP-08).
        action=f"/preferences/{token}" + (f"?language={spoken}" if spoken != seen.language else ""),
        masked=seen.masked,
        fresh=seen.fresh,
        saved=saved,
        rows=rows,
        was=[row.purpose for row in seen.rows if row.on],
        made=int(seen.made.timestamp()),
        language=seen.language,
        news=house.board.page(house.clock()),
        pause_until=seen.pause_until,
        pause_min=(today + timedelta(days=1)).isoformat(),
        pause_max=(today + LONGEST_PAUSE).isoformat(),
        errors=errors,
        age=house.policy.age.years,
        platforms=_told(seen.rows) if stopped else [],
        stopped=stopped,
        now=seen.made,
        kept=house.policy.retention.profile,
        undo=named(house.choosing.taken(house.acts.holder(token)[1]), spoken) if stopped else [],
        known=_known(token, spoken) if seen.fresh else None,
        receipts_url=f"/preferences/{token}/receipts" if seen.fresh and house.seals else None,
        my_data_url=f"/my-data/{token}" if seen.fresh else "/preferences",
    )


def _told(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each platform that has to hear of her stops, and when it had: the last of several counts."""
    heard: dict[str, list[datetime | None]] = {}
    for row in rows:
        for sender, at in row.confirmed:
            heard.setdefault(sender, []).append(at)
    return [{"by": by, "at": None if None in times else max(t for t in times if t)} for by, times in heard.items()]


def _known(token: str, spoken: str) -> dict[str, Any]:
    """What we know of her and what happened, behind a fresh link alone (PRF-03)."""
    house = bridge()
    person, story = house.acts.story(token)
    told = remembered(house.policy, house.texts, story, spoken)
    fields = [(field, person.fields[field.id]) for field in house.policy.fields.values() if field.id in person.fields]
    return {
        "fields": [(field.label[spoken], house.policy.said(field, value, spoken)) for field, value in fields],
        "history": told[:_RECENT],
        "older": len(told[_RECENT:]),
    }


def _choices(purpose: str, spoken: str) -> list[dict[str, str]]:
    """How often she may have it, the most often first."""
    house = bridge()
    field = house.policy.rhythms.get(purpose)
    return [{"id": value, "name": house.policy.said(field, value, spoken)} for value in field.values] if field else []


def _sample(purpose: str, spoken: str) -> str:
    """Where an issue to look at is; empty where the policy names none."""
    told = bridge().policy.purposes[purpose].sample.get(spoken, "")
    return told if told.startswith("https:") or not told else f"/samples/{purpose}/{spoken}"


@bp.get("/samples/<purpose>/<spoken>")
def sample(purpose: str, spoken: str) -> Response:
    """An issue of a purpose to look at first, where that is a file of the operator's. Who opens it is not noted."""
    declared = bridge().policy.purposes.get(purpose)
    told = declared.sample.get(spoken, "") if declared else ""
    path = (bridge().settings.policy.parent / told).resolve()
    kind = SAMPLES.get(Path(told).suffix.lower())
    if kind is None or told.startswith("https:") or not path.is_file():
        abort(404)
    return send_file(path, mimetype=kind, max_age=300)


def _how(row: Row, spoken: str) -> str:
    if row.by_guardian:
        return bridge().texts.gettext(spoken, "by your parent or guardian")
    return bridge().texts.how_text(spoken, row.method) if row.method else ""


def _form_of(purpose: str) -> str:
    """Our form that offers this; empty where none does."""
    policy = bridge().policy
    offers = (channel for channel in policy.forms if purpose in policy.channels[channel].purposes)
    return next((f"/subscribe?channel={channel}" for channel in offers), "")


def _chosen() -> str | None:
    """The language the reader switched this page to, if she did."""
    wanted = request.args.get("language", "")
    return wanted if wanted in bridge().policy.languages else None


def _say(message: str) -> str:
    return bridge().texts.gettext(language(), message)
