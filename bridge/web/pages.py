"""What a reader opens from a site or a mail: sign up, confirm, unsubscribe, preferences.

A GET or HEAD never changes anything: mail scanners open every link (CON-05, WDR-05).
"""

from collections.abc import Sequence
from datetime import date, timedelta

from email_validator import EmailNotValidError
from flask import Blueprint, Response, abort, request, send_file
from werkzeug.exceptions import HTTPException

from bridge.acts import LONGEST_PAUSE, Confirmed, Late, Row
from bridge.links import BadLink, ExpiredLink
from bridge.policy import BESIDE, Channel
from bridge.store import StoreAway, StoreBroken, TooMany
from bridge.store.values import Person
from bridge.vocabulary import WAITING_THERE, Method, masked_email
from bridge.web import children, forms, one_click
from bridge.web.app import bridge, language, page, problem
from bridge.web.parts import confirm_late, confirmed, shown

bp = Blueprint("pages", __name__)


# -- sign up ----------------------------------------------------------------------------------------------------


@bp.get("/subscribe")
def ask_subscribe() -> Response:
    """Show the form of a channel, every box empty (CAP-01)."""
    return _subscribe_page(language(), forms.channel(request.args.get("channel")), email="", errors={})


@bp.post("/subscribe")
def subscribe() -> Response:
    """Take the form. The answer is the same for every address (CAP-09)."""
    house = bridge()
    spoken = language(forms.one("language"))
    channel = forms.channel(request.form.get("channel"))
    say = house.texts.gettext
    errors = {}
    try:
        email = forms.address(forms.one("email"))
    except EmailNotValidError:
        errors["email"] = say(spoken, "This does not look like an e-mail address. Example: name@example.org")
    form = house.policy.channels[channel]
    ticked = [p for p in dict.fromkeys(forms.many("purpose")) if p]
    purposes = [p for p in ticked if p in form.purposes]
    if set(ticked) - set(form.purposes):
        errors["page"] = say(spoken, "This form was out of date. Here is the current one.")
    elif not purposes and form.kind in BESIDE:
        return _thanks(form, spoken, asked=False)  # what she came for, and nothing else (CAP-03, CHN-02)
    elif not purposes:
        errors["purpose"] = say(spoken, "Please tick at least one box: we need your own choice.")
    fields = _declared(purposes, errors, spoken)
    age = children.answer(channel, forms.one("email"), purposes, errors, spoken)
    if errors:
        return _subscribe_page(spoken, channel, email=forms.one("email"), errors=errors, status=400)
    try:
        house.acts.sign_up(
            email,
            purposes,
            channel=channel,
            language=spoken,
            network=forms.network(),
            fields=fields,
            old_enough=age.old_enough,
            guardian=age.guardian,
        )
    except TooMany:
        if form.kind not in BESIDE:
            raise
        return _thanks(form, spoken, asked=False, later=True)  # what she came for never hangs on her tick (CAP-03)
    if form.kind in BESIDE:
        return _thanks(form, spoken, asked=True)
    return page("asked", lang=spoken, guardian=bool(age.guardian))


def _thanks(form: Channel, spoken: str, *, asked: bool, later: bool = False) -> Response:
    """The same for whoever ticked a box and whoever did not: what this form gives. Without a tick nothing is kept.

    `later`: her network asked too often for her tick to be taken now (CAP-10).
    """
    url = form.asset if form.asset.startswith("https:") else f"/assets/{form.id}" if form.asset else None
    return page("thanks", lang=spoken, asset_url=url, asked=asked, later=later)


@bp.get("/assets/<channel>")
def asset(channel: str) -> Response:
    """What a form gives away, where that is a file of the operator's. Who opens it is not noted."""
    form = bridge().policy.channels.get(channel)
    if form is None or not form.asset or form.asset.startswith("https:"):
        abort(404)
    path = (bridge().settings.policy.parent / form.asset).resolve()
    if not path.is_file():
        abort(404)
    return send_file(path, as_attachment=True, download_name=path.name, max_age=300)


def _subscribe_page(spoken: str, channel: str, *, email: str, errors: dict[str, str], status: int = 200) -> Response:
    house = bridge()
    form = house.policy.channels[channel]
    offered = form.purposes
    fields = [f for f in house.policy.fields.values() if set(f.purposes) & set(offered)]
    return page(
        "subscribe",
        status=status,
        lang=spoken,
        action="/subscribe",
        channel=channel,
        email=email,
        purposes=[shown(house.notices.wording(purpose, spoken)) for purpose in offered],
        fields=[
            {
                "id": f.id,
                "label": f.label[spoken],
                "value": forms.one(f.id) if request.method == "POST" else "",
                "choices": f.choices,
                "max_length": f.max_length,
            }
            for f in fields
        ],
        errors=errors,
        age=children.asked_age(channel),
        at_least=forms.one("at_least") if request.method == "POST" else "",
        guardian=forms.one("guardian") if request.method == "POST" else "",
        beside=form.kind in BESIDE,
        languages=_tongues(channel),
    )


def _tongues(channel: str) -> list[dict[str, str]]:
    """The other languages of a form, on the same channel: where a yes was given is part of its proof (CHN-01)."""
    names = bridge().texts.names(bridge().policy.languages)
    return [{"code": c, "name": name, "url": f"?channel={channel}&language={c}"} for c, name in names.items()]


def _declared(purposes: Sequence[str], errors: dict[str, str], spoken: str) -> dict[str, str]:
    """The fields the policy declares for what was ticked; everything else is dropped (MIN-01)."""
    house = bridge()
    found = {}
    for field in house.policy.fields.values():
        value = forms.one(field.id).strip()
        if not value or not set(field.purposes) & set(purposes):
            continue
        readable = value.isprintable() and forms.UNREADABLE not in value and len(value) <= field.max_length
        if not readable or (field.choices and value not in field.choices):
            errors[field.id] = house.texts.gettext(spoken, "Please check what you wrote here.")
        else:
            found[field.id] = value
    return found


# -- confirm ----------------------------------------------------------------------------------------------------


@bp.get("/confirm/<token>")
def ask_confirm(token: str) -> Response:
    """Show one button. Scanners follow links, so a GET confirms nothing."""
    try:
        person, words = bridge().acts.asked(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    spoken = language(words[0].language)
    return page(
        "confirm",
        lang=spoken,
        action=f"/confirm/{token}",
        masked=masked_email(person.email),
        purposes=[shown(w) for w in words],
    )


@bp.post("/confirm/<token>")
def confirm(token: str) -> Response:
    """The reader's yes."""
    try:
        answer, words = bridge().acts.confirm(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    return confirmed(words, answer)


# -- the question that is put once ------------------------------------------------------------------------------


@bp.get("/question/<token>")
def ask_question(token: str) -> Response:
    """Show two buttons. Scanners follow links, so a GET answers nothing."""
    try:
        person, words, no = bridge().acts.question(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    if not no:
        return confirmed([words], Confirmed.AGAIN)
    return page(
        "question",
        lang=language(words.language),
        action=f"/question/{token}",
        no_action=f"/u/{no}",
        masked=masked_email(person.email),
        purpose=shown(words),
    )


@bp.post("/question/<token>")
def answer_question(token: str) -> Response:
    """The reader's yes; her no is posted to `/u/`."""
    try:
        answer, words = bridge().acts.say_yes(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    return confirmed([words], answer)


# -- unsubscribe ------------------------------------------------------------------------------------------------


@bp.get("/u/<token>")
def ask_unsubscribe(token: str) -> Response:
    """Show the button, also while the store is away; the same address takes the mail program's one click."""
    house = bridge()
    claim, person = house.acts.to_stop(token)
    spoken = language(person.language if person else None)
    purpose = house.policy.purposes.get(claim.purpose)
    others = [p for p in _still_on(person) if p != claim.purpose]
    return page(
        "unsubscribe",
        lang=spoken,
        action=f"/u/{token}",
        masked=masked_email(person.email) if person else None,
        purpose=purpose.name[spoken] if purpose else None,
        others=bool(others and purpose),
        question=bool(claim.request),
    )


@bp.post("/u/<token>")
def unsubscribe(token: str) -> Response:
    """Stop the mail: pressed by the reader, or posted by the mail program (RFC 8058). Done before the answer."""
    house = bridge()
    scope = _scope()
    method = Method.UNSUBSCRIBE_PAGE if scope else Method.ONE_CLICK
    everything = {"list": False, "all": True}.get(scope)
    try:
        stopped, person = house.acts.stop(token, method, everything=everything)
    except BadLink:
        if scope:
            raise
        return problem(404, "no such link")  # a mail program asked: no page, no hint (WDR-10)
    if not scope:
        return one_click.answer()
    spoken = language(person.language if person else None)
    purpose = house.policy.purposes.get(stopped)
    still = _still_on(person)
    return page(
        "unsubscribed",
        lang=spoken,
        purpose=purpose.name[spoken] if purpose else None,
        within=house.policy.repermission.answer_within if house.acts.is_answer(token) else None,
        preferences_url=f"/preferences/{token}",
        still_on=[house.policy.purposes[p].name[spoken] for p in still],
        all_action=f"/u/{token}" if still else None,
    )


def _scope() -> str:
    """Which button of our page was pressed; empty for a mail program's post, whatever its body is."""
    try:
        scope = request.form.get("scope", "")
    except HTTPException:
        scope = ""  # a stop is a stop, however odd its body
    return scope if scope in ("list", "all") else ""


def _still_on(person: Person | None) -> list[str]:
    """What she still gets; nothing where we cannot look just now, for the stop itself is done."""
    try:
        return bridge().acts.still_on(person) if person else []
    except (StoreAway, StoreBroken):
        return []


# -- preferences ------------------------------------------------------------------------------------------------


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
    except EmailNotValidError:
        say = bridge().texts.gettext
        wrong = {"email": say(spoken, "This does not look like an e-mail address. Example: name@example.org")}
        return page("link", status=400, lang=spoken, action="/preferences", email=forms.one("email"), errors=wrong)
    bridge().acts.ask_link(email, network=forms.network(), language=spoken)
    return page("link_sent", lang=spoken)


@bp.get("/preferences/<token>")
def show_preferences(token: str) -> Response:
    """What she receives and may change."""
    return _preferences_page(token, saved=None, errors={})


@bp.post("/preferences/<token>")
def change_preferences(token: str) -> Response:
    """Carry out one of the page's four forms; anything else changes nothing."""
    house = bridge()
    errors: dict[str, str] = {}
    saved: str | None = None
    if forms.one("stop") == "all":
        return _stop_all(token)
    if forms.one("save") == "purposes":
        wanted, was = forms.known(forms.many("purpose")), forms.known(forms.many("was"))
        if set(forms.many("purpose")) - set(house.policy.purposes):
            abort(400)
        saved = house.acts.save(
            token, wanted=wanted, was=was, made=forms.made(), network=forms.network(), shown=_chosen()
        )
        if saved == "late":
            saved, errors = None, {"page": _say("You stopped this in the meantime. Look again, then save once more.")}
        elif saved == "age":
            form = _say("For what children are invited to as well, please use the form: it asks how old you are.")
            saved, errors = None, {"page": form}
        elif saved == "full":
            full = _say("We mailed you a short while ago and do not mail again so soon. Switch on with a new link.")
            saved, errors = None, {"page": full}
    elif "language" in request.form:
        if forms.one("language") not in house.policy.languages:
            abort(400)
        house.acts.set_language(token, forms.one("language"))
        saved = "language"
    elif "pause_until" in request.form:
        saved = _pause(token, errors)
    else:
        abort(400)
    return _preferences_page(token, saved=saved, errors=errors)


def _stop_all(token: str) -> Response:
    """Stop everything, by an old link or a fresh one. A stop that had to be parked is done as well."""
    bridge().acts.stop_everything(token)
    try:
        return _preferences_page(token, saved="stopped", errors={})
    except (StoreAway, StoreBroken):
        return page(
            "unsubscribed", purpose=None, within=None, preferences_url="/preferences", still_on=[], all_action=None
        )


def _pause(token: str, errors: dict[str, str]) -> str | None:
    today = bridge().clock().astimezone(bridge().policy.zone).date()
    text = forms.one("pause_until")
    if not text:
        bridge().acts.pause(token, None)
        return "resumed"
    try:
        until = date.fromisoformat(text)
    except ValueError:
        until = today
    if not today < until <= today + LONGEST_PAUSE:
        errors["pause_until"] = _say("Please choose a day from tomorrow on, at most a year ahead.")
        return None
    bridge().acts.pause(token, until)
    return "paused"


def _preferences_page(token: str, *, saved: str | None, errors: dict[str, str]) -> Response:
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
        link_url="/preferences",
        receipts_url=f"/preferences/{token}/receipts" if seen.fresh and house.seals else None,
        my_data_url=f"/my-data/{token}" if seen.fresh else "/preferences",
    )


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
