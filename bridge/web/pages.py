"""What a reader opens from a site or a mail: sign up, confirm, unsubscribe, preferences, the papers.

A GET or HEAD never changes anything: mail scanners open every link (CON-05, WDR-05).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network

from email_validator import EmailNotValidError, validate_email
from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import HTTPException

from bridge.acts import LONGEST_PAUSE, Confirmed, Late
from bridge.links import BadLink, ExpiredLink
from bridge.notices import Wording
from bridge.store import StoreAway
from bridge.store.values import Person
from bridge.vocabulary import Method, masked_email
from bridge.web.app import bridge, language, page, problem

bp = Blueprint("pages", __name__)

_LONGEST_VALUE = 320

#: What Python makes of bytes that are no UTF-8: such an address or name was never typed.
_UNREADABLE = "\ufffd"

#: Wordings are counted from 1; a number beyond this was never one, and is more than a database column holds.
_MOST_VERSIONS = 1_000_000


# -- sign up ----------------------------------------------------------------------------------------------------


@bp.get("/subscribe")
def ask_subscribe() -> Response:
    """Show the form of a channel, every box empty (CAP-01)."""
    return _subscribe_page(language(), _channel(request.args.get("channel")), email="", errors={})


@bp.post("/subscribe")
def subscribe() -> Response:
    """Take the form. The answer is the same for every address (CAP-09)."""
    house = bridge()
    spoken = language(_one("language"))
    channel = _channel(request.form.get("channel"))
    say = house.texts.gettext
    errors = {}
    try:
        email = _address(_one("email"))
    except EmailNotValidError:
        errors["email"] = say(spoken, "This does not look like an e-mail address. Example: name@example.org")
    offered = house.policy.channels[channel].purposes
    purposes = [p for p in dict.fromkeys(_many("purpose")) if p in offered]
    if set(_many("purpose")) - set(offered):
        errors["page"] = say(spoken, "This form was out of date. Here is the current one.")
    elif not purposes:
        errors["purpose"] = say(spoken, "Please tick at least one box: we need your own choice.")
    fields = _declared(purposes, errors, spoken)
    if errors:
        return _subscribe_page(spoken, channel, email=_one("email"), errors=errors, status=400)
    house.acts.sign_up(email, purposes, channel=channel, language=spoken, network=_network(), fields=fields)
    return page("asked", lang=spoken)


def _subscribe_page(spoken: str, channel: str, *, email: str, errors: dict[str, str], status: int = 200) -> Response:
    house = bridge()
    offered = house.policy.channels[channel].purposes
    fields = [f for f in house.policy.fields.values() if set(f.purposes) & set(offered)]
    return page(
        "subscribe",
        status=status,
        lang=spoken,
        action="/subscribe",
        channel=channel,
        email=email,
        purposes=[_shown(house.notices.wording(purpose, spoken)) for purpose in offered],
        fields=[
            {
                "id": f.id,
                "label": f.label[spoken],
                "value": _one(f.id) if request.method == "POST" else "",
                "choices": f.choices,
                "max_length": f.max_length,
            }
            for f in fields
        ],
        errors=errors,
        languages=_tongues(channel),
    )


def _tongues(channel: str) -> list[dict[str, str]]:
    """The other languages of a form, on the same channel: where a yes was given is part of its proof (CHN-01)."""
    names = bridge().texts.names(bridge().policy.languages)
    return [{"code": c, "name": name, "url": f"?channel={channel}&language={c}"} for c, name in names.items()]


def _shown(words: Wording) -> dict[str, object]:
    """One purpose with the exact words beside its box (CAP-04)."""
    purpose = bridge().policy.purposes[words.purpose]
    return {
        "id": purpose.id,
        "name": purpose.name[words.language],
        "description": purpose.description[words.language],
        "frequency": purpose.frequency[words.language],
        "label": words.label,
        "notice": words.text,
        "wording": words.sha256,
        "version": words.version,
        "url": f"/notices/{words.purpose}/{words.version}/{words.language}",
    }


def _declared(purposes: Sequence[str], errors: dict[str, str], spoken: str) -> dict[str, str]:
    """The fields the policy declares for what was ticked; everything else is dropped (MIN-01)."""
    house = bridge()
    found = {}
    for field in house.policy.fields.values():
        value = _one(field.id).strip()
        if not value or not set(field.purposes) & set(purposes):
            continue
        readable = value.isprintable() and _UNREADABLE not in value and len(value) <= field.max_length
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
        return _confirm_late(error)
    spoken = language(words[0].language)
    return page(
        "confirm",
        lang=spoken,
        action=f"/confirm/{token}",
        masked=masked_email(person.email),
        purposes=[_shown(w) for w in words],
    )


@bp.post("/confirm/<token>")
def confirm(token: str) -> Response:
    """The reader's yes."""
    try:
        answer, words = bridge().acts.confirm(token)
    except (ExpiredLink, Late) as error:
        return _confirm_late(error)
    return page(
        "confirmed",
        lang=language(words[0].language),
        purposes=[_shown(w) for w in words],
        again=answer is Confirmed.AGAIN,
        preferences_url="/preferences",
    )


def _confirm_late(error: Exception) -> Response:
    reason = "expired" if isinstance(error, ExpiredLink) else "void"
    return page("confirm_late", status=410, reason=reason, subscribe_url="/subscribe")


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
        return Response("Unsubscribed.\n", mimetype="text/plain")
    spoken = language(person.language if person else None)
    purpose = house.policy.purposes.get(stopped)
    still = _still_on(person)
    return page(
        "unsubscribed",
        lang=spoken,
        purpose=purpose.name[spoken] if purpose else None,
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
    except StoreAway:
        return []


# -- preferences ------------------------------------------------------------------------------------------------


@bp.get("/preferences")
def ask_link() -> Response:
    """Show where to ask for a link."""
    return page("link", action="/preferences", email="", errors={})


@bp.post("/preferences")
def send_link() -> Response:
    """Mail a fresh link. The answer is the same for every address (CAP-09)."""
    spoken = language(_one("language"))
    try:
        email = _address(_one("email"))
    except EmailNotValidError:
        say = bridge().texts.gettext
        wrong = {"email": say(spoken, "This does not look like an e-mail address. Example: name@example.org")}
        return page("link", status=400, lang=spoken, action="/preferences", email=_one("email"), errors=wrong)
    bridge().acts.ask_link(email, network=_network(), language=spoken)
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
    if _one("stop") == "all":
        return _stop_all(token)
    if _one("save") == "purposes":
        wanted, was = _known(_many("purpose")), _known(_many("was"))
        if set(_many("purpose")) - set(house.policy.purposes):
            abort(400)
        saved = house.acts.save(token, wanted=wanted, was=was, made=_made(), network=_network(), shown=_chosen())
        if saved == "late":
            saved, errors = None, {"page": _say("You stopped this in the meantime. Look again, then save once more.")}
        elif saved == "full":
            full = _say("We mailed you a short while ago and do not mail again so soon. Switch on with a new link.")
            saved, errors = None, {"page": full}
    elif "language" in request.form:
        if _one("language") not in house.policy.languages:
            abort(400)
        house.acts.set_language(token, _one("language"))
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
    except StoreAway:
        return page("unsubscribed", purpose=None, preferences_url="/preferences", still_on=[], all_action=None)


def _pause(token: str, errors: dict[str, str]) -> str | None:
    today = bridge().clock().astimezone(bridge().policy.zone).date()
    text = _one("pause_until")
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
                **_shown(house.notices.wording(row.purpose, spoken)),
                "status": row.status,
                "on": row.on,
                "since": row.since,
                "how": house.texts.how_text(spoken, row.method) if row.method else "",
                "paused_until": row.paused_until,
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
        pause_until=seen.pause_until,
        pause_min=(today + timedelta(days=1)).isoformat(),
        pause_max=(today + LONGEST_PAUSE).isoformat(),
        errors=errors,
        link_url="/preferences",
    )


# -- papers -----------------------------------------------------------------------------------------------------


@bp.get("/privacy")
def privacy() -> Response:
    """The privacy statement, from the policy."""
    return _privacy()


@bp.get("/privacy/<version>")
def privacy_version(version: str) -> Response:
    """The statement of that version; only the current one is kept until statements are published."""
    if version != _statement_version():
        abort(404)
    return _privacy()


def _privacy() -> Response:
    house = bridge()
    spoken = language()
    policy = house.policy
    return page(
        "privacy",
        lang=spoken,
        purposes=[
            {
                "name": p.name[spoken],
                "description": p.description[spoken],
                "basis": p.basis.value,
                "frequency": p.frequency[spoken],
                "recipients": list(p.recipients),
            }
            for p in policy.purposes.values()
        ],
        processors=[
            {"name": p.name, "service": p.service, "country": p.country, "transfer_tool": p.transfer_tool}
            for p in policy.processors.values()
        ],
        retention=_retention(),
        version=_statement_version(),
        date=datetime.fromtimestamp(house.settings.policy.stat().st_mtime, UTC),
        postal_address=policy.mail.postal_address,
    )


def _retention() -> list[dict[str, object]]:
    kept = bridge().policy
    return [
        {"what": "pending", "how_long": kept.limits_.pending_ttl},
        {"what": "consent", "how_long": kept.limits_.consent_max_age},
        {"what": "profile", "how_long": kept.retention.profile},
        {"what": "evidence", "how_long": kept.retention.evidence},
        {"what": "stop_list", "how_long": kept.retention.stop_list},
    ]


def _statement_version() -> str:
    """The version is what the statement is made of: the policy's own bytes."""
    return sha256(bridge().settings.policy.read_bytes()).hexdigest()[:12]


@bp.get("/notices/<purpose>/<int:version>/<spoken>")
def notice(purpose: str, version: int, spoken: str) -> Response:
    """The exact words once shown beside a box (CAP-07)."""
    house = bridge()
    if version > _MOST_VERSIONS or not purpose.isprintable() or not spoken.isprintable():
        abort(404)
    words = house.notices.get((purpose, version, spoken)) or house.store.shown(purpose, version, spoken)
    if words is None:
        abort(404)
    known = house.policy.purposes.get(purpose)
    tongue = spoken if spoken in house.policy.languages else language()
    return page(
        "notice",
        lang=tongue,
        purpose=known.name[tongue] if known else purpose,
        version=version,
        language=spoken,
        label=words.label,
        notice=words.text,
        sha256=words.sha256,
    )


# -- reading forms ----------------------------------------------------------------------------------------------


def _one(name: str) -> str:
    """One value of the form; empty when it is missing or absurdly long."""
    value = request.form.get(name, "")
    return value if len(value) <= _LONGEST_VALUE and "\x00" not in value else ""


def _many(name: str) -> list[str]:
    return [value for value in request.form.getlist(name) if len(value) <= _LONGEST_VALUE]


def _known(values: Sequence[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value in bridge().policy.purposes]


def _made() -> datetime | None:
    text = _one("made")
    return datetime.fromtimestamp(int(text), UTC) if text.isascii() and text.isdigit() and len(text) <= 11 else None


def _address(text: str) -> str:
    """The address as typed, if it can be one. Asks no name server: the answer must not depend on the domain."""
    if _UNREADABLE in text:
        raise EmailNotValidError
    return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized


def _channel(wanted: str | None) -> str:
    channels = bridge().policy.channels
    if not wanted:
        return next(iter(channels))
    if wanted not in channels:
        abort(400 if request.method == "POST" else 404)
    return wanted


def _network() -> str:
    """The client's network, for limits only; kept as a keyed hash (/24 or /56)."""
    try:
        address = ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network(f"{address}/{24 if address.version == 4 else 56}", strict=False))


def _chosen() -> str | None:
    """The language the reader switched this page to, if she did."""
    wanted = request.args.get("language", "")
    return wanted if wanted in bridge().policy.languages else None


def _say(message: str) -> str:
    return bridge().texts.gettext(language(), message)
