"""What a reader opens from a site or a mail: sign up, unsubscribe.

A GET or HEAD never changes anything: mail scanners open every link (CON-05, WDR-05).
"""

from collections.abc import Sequence

from flask import Blueprint, Response, abort, request, send_file
from werkzeug.exceptions import HTTPException

from bridge import embedding
from bridge.links import TASK_BITS, BadLink
from bridge.policy import BESIDE, Channel
from bridge.store import StoreAway, StoreBroken, TooMany
from bridge.store.values import Person
from bridge.vault import new_id
from bridge.vocabulary import Method, masked_email
from bridge.web import browser, children, forms, one_click
from bridge.web.app import bridge, language, page, problem, with_script
from bridge.web.parts import named, shown

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
    except forms.NoAddress:
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
    versions = _versions(purposes, errors, spoken)
    fields = _declared(purposes, errors, spoken)
    age = children.answer(channel, forms.one("email"), purposes, errors, spoken)
    if errors:
        return _subscribe_page(spoken, channel, email=forms.one("email"), errors=errors, status=400)
    secret, asked = browser.secret(), new_id()
    if forms.one(forms.TRAP):  # no person sees that field: nothing is written, and the answer is the same
        return _form_taken(form, spoken, secret, asked, guardian=bool(age.guardian))
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
            place=house.links.place(secret),
            request=asked,
            work=forms.one("work"),
            versions=versions,
        )
    except TooMany:
        if form.kind not in BESIDE:
            raise
        return _thanks(form, spoken, asked=False, later=True)  # what she came for never hangs on her tick (CAP-03)
    return _form_taken(form, spoken, secret, asked, guardian=bool(age.guardian))


def _versions(purposes: Sequence[str], errors: dict[str, str], spoken: str) -> dict[str, int]:
    """Which words stood beside her boxes (CAP-07). A form on another site has to say so, for its copy may be old."""
    house, told = bridge(), forms.many("wording")
    if not purposes or not (told or browser.from_elsewhere()):
        return {}
    found = embedding.versions(house.notices, house.policy, purposes, told, spoken)
    if found is None:
        errors["page"] = house.texts.gettext(spoken, "This form was out of date. Here is the current one.")
    return found or {}


def _form_taken(form: Channel, spoken: str, secret: str, asked: str, *, guardian: bool) -> Response:
    """The form was taken. By its cookie the browser is known again when the link in the mail is opened in it; `asked`
    is the request that digits are meant for which are typed on this page."""
    if form.kind in BESIDE:
        return browser.remember(_thanks(form, spoken, asked=True), secret)
    place = f"{bridge().links.place(secret)}.{asked}"
    known = not browser.from_strangers()
    told = page("asked", lang=spoken, guardian=guardian, known=known, action="/subscribe/code", place=place, errors={})
    return browser.remember(told, secret)


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
    fields = [f for f in house.policy.fields.values() if set(f.purposes) & set(offered) and not f.rhythm]
    works = house.policy.sign_up.proof_of_work
    told = page(
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
        task=house.links.task(house.clock()) if works else "",
        task_bits=TASK_BITS,
    )
    return with_script(told) if works else told


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
        if not value or field.rhythm or not set(field.purposes) & set(purposes):
            continue
        readable = value.isprintable() and forms.UNREADABLE not in value and len(value) <= field.max_length
        if not readable or (field.choices and value not in field.choices):
            errors[field.id] = house.texts.gettext(spoken, "Please check what you wrote here.")
        else:
            found[field.id] = value
    return found


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
    still, answered = _still_on(person), house.acts.is_answer(token)
    return page(
        "unsubscribed",
        lang=spoken,
        purpose=purpose.name[spoken] if purpose else None,
        within=house.policy.repermission.answer_within if answered else None,
        undo=[] if answered else named(_taken(person), spoken),
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


def _taken(person: Person | None) -> list[str]:
    """What this stop ended, to undo a mistake; nothing where we cannot look just now."""
    try:
        return bridge().choosing.taken(person) if person else []
    except (StoreAway, StoreBroken):
        return []


def _still_on(person: Person | None) -> list[str]:
    """What she still gets; nothing where we cannot look just now, for the stop itself is done."""
    try:
        return bridge().acts.still_on(person) if person else []
    except (StoreAway, StoreBroken):
        return []
